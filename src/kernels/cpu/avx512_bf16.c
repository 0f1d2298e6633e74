/* Products of bf16 for AVX-512 with its instructions for them (Cooper Lake, Zen 4 on). Built with
 * -mavx512bf16 besides: nothing in here runs before supported() said yes. */
#if defined(__x86_64__)
#include "kernels/cpu/simd_avx512.h"

#include "kernels/cpu/isa.h"
#include "kernels/cpu/unroll.h"

#define PER_WORD 2

typedef __m512bh vw;
typedef vf vs;

static bool supported(void) { return fv_isa_avx512.supported() && __builtin_cpu_supports("avx512bf16"); }

INLINE vw vw_load(const float *p) { return (vw)vf_load(p); }
INLINE vw vw_set(const float *p) { return (vw)vf_set(*p); }
INLINE vs vs_zero(void) { return vf_zero(); }
INLINE vs vs_dot(vw x, vw y, vs sum) { return _mm512_dpbf16_ps(sum, x, y); }

INLINE void vs_give(float *c, vs sum, int64_t left, bool add, const fv_dequant *d, int row, int col)
{
    (void)d, (void)row, (void)col;
    if (left >= VL) vf_store(c, add ? vf_add(vf_load(c), sum) : sum);
    else vf_store_part(c, add ? vf_add(vf_load_part(c, left), sum) : sum, left);
}

/* Both halves rounded: the first argument becomes the upper one. */
INLINE vf rounded(vf low, vf high) { return (vf)_mm512_cvtne2ps_pbh(high, low); }

static inline vf get_some(const float *p, int64_t left);

INLINE vf words_of(const float *x, int64_t left, const fv_quant_row *rows, int64_t at)
{
    (void)rows, (void)at;
    return rounded(get_some(x, left), get_some(x + VL, left - VL));
}

#include "kernels/cpu/words.inc.c"

/* Two rows become one of pairs. */
static void pack_pairs(float *out, int64_t width, const float *x, int64_t ldx, int64_t used, int64_t k)
{
    const __m512i pairs = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    for (int64_t l = 0; l < k; l += 2) {
        for (int64_t i = 0; i < used; i += VL) {
            const float *p = x + l * ldx + i;
            vf both = rounded(get_some(p, used - i), l + 1 < k ? get_some(p + ldx, used - i) : vf_zero());
            both = (vf)_mm512_permutexvar_epi16(pairs, (__m512i)both);
            if (width >= VL || l + 2 < k) vf_store(out + l / 2 * width + i, both);
            else vf_store_part(out + l / 2 * width + i, both, width);
        }
    }
}

static void pack(float *out, int64_t width, const float *x, int64_t ldx, bool transpose, int64_t used, int64_t k)
{
    if (transpose) pack_turned(out, width, x, ldx, NULL, used, k);
    else pack_pairs(out, width, x, ldx, used, k);
}

static void tile(float *c, int64_t ldc, const float *a, int64_t a_step, const float *b, int64_t b_step, fv_ahead ahead, int64_t k, int rows, int cols, bool add)
{
    tiles[rows - 1][cols > VL](c, ldc, a, a_step, b, b_step, ahead.line ? ahead : (fv_ahead){b, b}, k, cols, add, NULL);
}

const fv_bf16_table fv_bf16_avx512 = {.supported = supported, .mr = MR, .nr = NR, .pack = pack, .tile = tile, .chains = chains};
#else
typedef int fv_no_avx512_bf16; /* ISO C wants something in a file */
#endif
