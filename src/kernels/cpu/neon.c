/* The inner loops for NEON, which every 64-bit ARM has. */
#if defined(__aarch64__)
#include "kernels/cpu/simd_neon.h"

#define ISA_TABLE fv_isa_neon
#define ISA_NAME "neon"
#include "kernels/cpu/isa.h"

static bool supported(void) { return true; }

#include "kernels/cpu/simd.inc.c"
#else
typedef int fv_no_neon; /* ISO C wants something in a file */
#endif
