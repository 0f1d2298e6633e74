/* The inner loops for AVX-512. Built with -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx2 -mfma:
 * nothing in here runs before supported() said yes. */
#if defined(__x86_64__)
#include "kernels/cpu/simd_avx512.h"

#define ISA_TABLE fv_isa_avx512
#define ISA_NAME "avx512"
#include "kernels/cpu/isa.h"

static bool supported(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")
        && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("fma");
}

#include "kernels/cpu/simd.inc.c"
#else
typedef int fv_no_avx512; /* ISO C wants something in a file */
#endif
