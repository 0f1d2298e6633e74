/* The vector words that simd.inc.c is written in, for AVX2 with FMA (Haswell and Zen on).
 * vf: floats, vi: 32-bit integers, vm: a mask of lanes, vd: doubles. `left` counts lanes that exist. */
#include <immintrin.h>
#include <stdint.h>

#define VL 8
#define MR 6
#define NR 16
#define CHAINS 12

typedef __m256 vf;
typedef __m256i vi;
typedef __m256 vm;
typedef __m256d vd;

static inline __m256i part_mask(int64_t left)
{
    static const int32_t ones[2 * VL] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)(ones + VL - (left < VL ? left : VL)));
}
static inline vm lanes_below(int64_t left) { return _mm256_castsi256_ps(part_mask(left)); }

static inline vf vf_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void vf_store(float *p, vf x) { _mm256_storeu_ps(p, x); }
static inline vf vf_load_part(const float *p, int64_t left) { return _mm256_maskload_ps(p, part_mask(left)); }
static inline void vf_store_part(float *p, vf x, int64_t left) { _mm256_maskstore_ps(p, part_mask(left), x); }
static inline void vf_stream(float *p, vf x) { _mm256_stream_ps(p, x); }
static inline void vf_stream_end(void) { _mm_sfence(); }
/* Will be written. An instruction by hand: compilers fetch for reading, after which another core's line must be asked for again. */
static inline void vf_expect(float *p) { __asm__ volatile("prefetchw %0" : : "m"(*p)); }
static inline void vf_hide(vf *x) { __asm__ volatile("" : "+v"(*x)); } /* from the compiler: it keeps work that makes or takes x */
static inline vf vf_set(float x) { return _mm256_set1_ps(x); }
static inline vf vf_zero(void) { return _mm256_setzero_ps(); }
static inline vf vf_add(vf a, vf b) { return _mm256_add_ps(a, b); }
static inline vf vf_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
static inline vf vf_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
static inline vf vf_div(vf a, vf b) { return _mm256_div_ps(a, b); }
static inline vf vf_max(vf a, vf b) { return _mm256_max_ps(a, b); }
static inline vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }   /* a·b + c */
static inline vf vf_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); } /* c - a·b */
static inline vf vf_sqrt(vf x) { return _mm256_sqrt_ps(x); }
static inline vf vf_abs(vf x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }
static inline vf vf_round(vf x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline vm vf_less(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
static inline vf vf_pick(vm m, vf yes, vf no) { return _mm256_blendv_ps(no, yes, m); }
static inline vf vf_keep(vm m, vf x) { return _mm256_and_ps(m, x); } /* 0 elsewhere */
/* x · 2^n where not `zero`, else 0; n whole, from -126 to 127 where it counts; x from 0.5 to 2. Adding
 * n to the exponent keeps 2^128 apart from overflow: x below 1 carries. */
static inline vf vf_scale_unless(vm zero, vf x, vf n)
{
    __m256i shift = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
    vf y = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), shift));
    return _mm256_andnot_ps(zero, y);
}
static inline float vf_sum(vf x)
{
    __m128 y = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    y = _mm_add_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_add_ss(y, _mm_movehdup_ps(y)));
}
static inline float vf_top(vf x)
{
    __m128 y = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    y = _mm_max_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_max_ss(y, _mm_movehdup_ps(y)));
}

static inline vi vi_load(const void *p) { return _mm256_loadu_si256(p); }
static inline vi vi_set(uint32_t x) { return _mm256_set1_epi32((int)x); }
static inline vi vi_add(vi a, vi b) { return _mm256_add_epi32(a, b); }
static inline vi vi_mul(vi a, vi b) { return _mm256_mullo_epi32(a, b); }
static inline vi vi_xor(vi a, vi b) { return _mm256_xor_si256(a, b); }
#define vi_right(a, n) _mm256_srli_epi32(a, n)
#define vi_left(a, n) _mm256_slli_epi32(a, n)
/* 2 VL numbers as 16 bits each; their products with 2 VL others, pair by pair, added to sums. */
static inline vi vi_widen(const int8_t *p) { return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)p)); }
static inline vi vi_dot16(vi x, vi y, vi sum) { return _mm256_add_epi32(sum, _mm256_madd_epi16(x, y)); }
static inline int32_t vi_sum(vi x)
{
    __m128i y = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    y = _mm_add_epi32(y, _mm_unpackhi_epi64(y, y));
    return _mm_cvtsi128_si32(_mm_add_epi32(y, _mm_shuffle_epi32(y, 1)));
}
static inline vm vi_less(vi a, vi b) { return _mm256_castsi256_ps(_mm256_cmpgt_epi32(b, a)); } /* signed */
static inline vm vi_not_below(vi a, vi b)                                                     /* unsigned a >= b */
{
    return _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_max_epu32(a, b), a));
}
static inline vm vm_and_not(vm a, vm not) { return _mm256_andnot_ps(not, a); }

static inline vd vd_zero(void) { return _mm256_setzero_pd(); }
static inline vd vd_add_squares(vd sum, vf x)
{
    vd low = _mm256_cvtps_pd(_mm256_castps256_ps128(x)), high = _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1));
    return _mm256_fmadd_pd(high, high, _mm256_fmadd_pd(low, low, sum));
}
static inline double vd_sum(vd x)
{
    __m128d y = _mm_add_pd(_mm256_castpd256_pd128(x), _mm256_extractf128_pd(x, 1));
    return _mm_cvtsd_f64(_mm_add_sd(y, _mm_unpackhi_pd(y, y)));
}

/* r[i] lane j <-> r[j] lane i: pairs of floats, pairs of pairs, then halves of registers. */
static inline void vf_transpose(vf r[VL])
{
    vf t[VL];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x20);
        t[i + 4] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x31);
    }
    for (int i = 0; i < 8; i++) r[i] = t[i];
}
