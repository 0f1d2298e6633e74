/* The inner loops for NEON, which every 64-bit ARM has.
 *
 * simd.inc.c measures in words that only x86 knows: a fence after stores that pass the caches by, and
 * a class of registers. Here such stores are plain ones, and fma_chains is written once more; the one
 * in simd.inc.c loses its name and its register class, and is not used. */
#if defined(__aarch64__)
#include "kernels/cpu/simd_neon.h"

#define ISA_TABLE fv_isa_neon
#define ISA_NAME "neon"
#include "kernels/cpu/isa.h"

static bool supported(void) { return true; }

static inline void _mm_sfence(void) {}

#define EACH_CHAIN _Pragma("GCC unroll 32") for (int i = 0; i < CHAINS; i++)
static double fma_chains(int64_t steps)
{
    vf a[CHAINS], x = vf_set(0.999f), y = vf_set(0.001f);
    __asm__ volatile("" : "+w"(x.lo), "+w"(x.hi), "+w"(y.lo), "+w"(y.hi));
    EACH_CHAIN a[i] = vf_set((float)i);
    for (int64_t s = 0; s < steps; s++) {
        EACH_CHAIN a[i] = vf_fma(a[i], x, y);
    }
    EACH_CHAIN __asm__ volatile("" : "+w"(a[i].lo), "+w"(a[i].hi)); /* else the work would be removed */
    return (double)steps * CHAINS * VL * 2;
}

#include <math.h> /* before `volatile` means something else */
#define fma_chains(steps) __attribute__((unused)) chains_of_x86(steps)
#define volatile(...) ("")
#include "kernels/cpu/simd.inc.c"
#else
typedef int fv_no_neon; /* ISO C wants something in a file */
#endif
