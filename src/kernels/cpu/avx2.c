/* The inner loops for AVX2 with FMA. Built with -mavx2 -mfma: nothing in here runs before
 * supported() said yes. */
#if defined(__x86_64__)
#include "kernels/cpu/simd_avx2.h"

#define ISA_TABLE fv_isa_avx2
#define ISA_NAME "avx2"
#include "kernels/cpu/isa.h"

static bool supported(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

#include "kernels/cpu/simd.inc.c"
#else
typedef int fv_no_avx2; /* ISO C wants something in a file */
#endif
