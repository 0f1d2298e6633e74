/* Products of int8 for AVX-512 with VNNI (Cascade Lake, Zen 4 on): four products of bytes are added to
 * a 32-bit sum at once. Built with -mavx512vnni besides: nothing in here runs before supported() said yes. */
#if defined(__x86_64__)
#include "kernels/cpu/simd_avx512.h"

#include "kernels/cpu/isa.h"
#include "kernels/cpu/unroll.h"

#define PER_WORD 4
#define INT8_TABLE fv_int8_avx512

static bool supported(void) { return fv_isa_avx512.supported() && __builtin_cpu_supports("avx512vnni"); }

INLINE vi vi_zero(void) { return _mm512_setzero_si512(); }
INLINE vi vi_sub(vi a, vi b) { return _mm512_sub_epi32(a, b); }
INLINE vf vf_of(vi x) { return _mm512_cvtepi32_ps(x); }
INLINE vf vf_bits(vi x) { return _mm512_castsi512_ps(x); }
INLINE vi vi_bits(vf x) { return _mm512_castps_si512(x); }
INLINE vi vs_dot(vi x, vi y, vi sum) { return _mm512_dpbusd_epi32(sum, x, y); }

static inline vf get_some(const float *p, int64_t left);

/* The conversion rounds to nearest even; what is no number becomes the smallest one and so 0. */
INLINE __m128i bytes_of(vf x, vf inverse, vi zero)
{
    vi q = _mm512_add_epi32(_mm512_cvtps_epi32(vf_mul(x, inverse)), zero);
    return _mm512_cvtusepi32_epi8(_mm512_max_epi32(q, vi_zero()));
}

INLINE vf words_of(const float *x, int64_t left, const fv_quant_row *rows, int64_t at)
{
    vf inverse = vf_set(rows[at].inverse);
    vi zero = vi_set((uint32_t)rows[at].zero), q = _mm512_castsi128_si512(bytes_of(get_some(x, left), inverse, zero));
    q = _mm512_inserti32x4(q, bytes_of(get_some(x + VL, left - VL), inverse, zero), 1);
    q = _mm512_inserti32x4(q, bytes_of(get_some(x + 2 * VL, left - 2 * VL), inverse, zero), 2);
    return vf_bits(_mm512_inserti32x4(q, bytes_of(get_some(x + 3 * VL, left - 3 * VL), inverse, zero), 3));
}

#include "kernels/cpu/int8.inc.c"
#else
typedef int fv_no_avx512_vnni; /* ISO C wants something in a file */
#endif
