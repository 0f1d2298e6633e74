/* Products of int8 for AVX2. Its instruction for products of bytes clips sums of two to 16 bits, which
 * full-sized weights would feel, so numbers are widened to 16 bits while they are packed, and pairs
 * are multiplied exactly. Built with -mavx2 -mfma: nothing in here runs before supported() said yes. */
#if defined(__x86_64__)
#include "kernels/cpu/simd_avx2.h"

/* Multiplying and adding are two instructions here, and what is between them needs a register: with six rows two sums would have none. */
#undef MR
#define MR 4

#include "kernels/cpu/isa.h"
#include "kernels/cpu/unroll.h"

#define PER_WORD 2
#define INT8_TABLE fv_int8_avx2

static bool supported(void) { return fv_isa_avx2.supported(); }

INLINE vi vi_zero(void) { return _mm256_setzero_si256(); }
INLINE vi vi_sub(vi a, vi b) { return _mm256_sub_epi32(a, b); }
INLINE vf vf_of(vi x) { return _mm256_cvtepi32_ps(x); }
INLINE vf vf_bits(vi x) { return _mm256_castsi256_ps(x); }
INLINE vi vi_bits(vf x) { return _mm256_castps_si256(x); }
INLINE vi vs_dot(vi x, vi y, vi sum) { return _mm256_add_epi32(sum, _mm256_madd_epi16(x, y)); }

static inline vf get_some(const float *p, int64_t left);

/* The conversion rounds to nearest even; what is no number becomes the smallest one and so 0. */
INLINE vi quantized(vf x, vf inverse, vi zero)
{
    vi q = _mm256_add_epi32(_mm256_cvtps_epi32(vf_mul(x, inverse)), zero);
    return _mm256_min_epi32(_mm256_max_epi32(q, vi_zero()), vi_set(255));
}

INLINE vf words_of(const float *x, int64_t left, const fv_quant_row *rows, int64_t at)
{
    vf inverse = vf_set(rows[at].inverse);
    vi zero = vi_set((uint32_t)rows[at].zero);
    vi q = _mm256_packs_epi32(quantized(get_some(x, left), inverse, zero), quantized(get_some(x + VL, left - VL), inverse, zero));
    return vf_bits(_mm256_permute4x64_epi64(q, 0xd8)); /* packing works in halves of a register: back in order */
}

#include "kernels/cpu/int8.inc.c"
#else
typedef int fv_no_avx2_int8; /* ISO C wants something in a file */
#endif
