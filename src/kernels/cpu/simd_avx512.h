/* The vector words that simd.inc.c is written in, for AVX-512 (F, BW, DQ, VL: Skylake-X and Zen 4 on).
 * vf: floats, vi: 32-bit integers, vm: a mask of lanes, vd: doubles. `left` counts lanes that exist. */
#include <immintrin.h>
#include <stdint.h>

#define VL 16
#define MR 14
#define NR 32
#define CHAINS 14

typedef __m512 vf;
typedef __m512i vi;
typedef __mmask16 vm;
typedef __m512d vd;

static inline vm lanes_below(int64_t left) { return left >= VL ? (vm)0xffff : (vm)((1u << left) - 1); }

static inline vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void vf_store(float *p, vf x) { _mm512_storeu_ps(p, x); }
static inline vf vf_load_part(const float *p, int64_t left) { return _mm512_maskz_loadu_ps(lanes_below(left), p); }
static inline void vf_store_part(float *p, vf x, int64_t left) { _mm512_mask_storeu_ps(p, lanes_below(left), x); }
static inline void vf_stream(float *p, vf x) { _mm512_stream_ps(p, x); }
static inline void vf_stream_end(void) { _mm_sfence(); }
/* Will be written. An instruction by hand: compilers fetch for reading, after which another core's line must be asked for again. */
static inline void vf_expect(float *p) { __asm__ volatile("prefetchw %0" : : "m"(*p)); }
static inline void vf_hide(vf *x) { __asm__ volatile("" : "+v"(*x)); } /* from the compiler: it keeps work that makes or takes x */
static inline vf vf_set(float x) { return _mm512_set1_ps(x); }
static inline vf vf_zero(void) { return _mm512_setzero_ps(); }
static inline vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
static inline vf vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
static inline vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
static inline vf vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
static inline vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
static inline vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }   /* a·b + c */
static inline vf vf_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); } /* c - a·b */
static inline vf vf_sqrt(vf x) { return _mm512_sqrt_ps(x); }
static inline vf vf_abs(vf x) { return _mm512_abs_ps(x); }
static inline vf vf_round(vf x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline vm vf_less(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
static inline vf vf_pick(vm m, vf yes, vf no) { return _mm512_mask_blend_ps(m, no, yes); }
static inline vf vf_keep(vm m, vf x) { return _mm512_maskz_mov_ps(m, x); } /* 0 elsewhere */
/* x · 2^n where not `zero`, else 0; n whole, from -126 to 127 where it counts */
static inline vf vf_scale_unless(vm zero, vf x, vf n) { return _mm512_maskz_scalef_ps((vm)~zero, x, n); }
static inline float vf_sum(vf x) { return _mm512_reduce_add_ps(x); }
static inline float vf_top(vf x) { return _mm512_reduce_max_ps(x); }

static inline vi vi_load(const void *p) { return _mm512_loadu_si512(p); }
static inline vi vi_set(uint32_t x) { return _mm512_set1_epi32((int)x); }
static inline vi vi_add(vi a, vi b) { return _mm512_add_epi32(a, b); }
static inline vi vi_mul(vi a, vi b) { return _mm512_mullo_epi32(a, b); }
static inline vi vi_xor(vi a, vi b) { return _mm512_xor_si512(a, b); }
#define vi_right(a, n) _mm512_srli_epi32(a, n)
#define vi_left(a, n) _mm512_slli_epi32(a, n)
/* 2 VL numbers as 16 bits each; their products with 2 VL others, pair by pair, added to sums. */
static inline vi vi_widen(const int8_t *p) { return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)p)); }
static inline vi vi_dot16(vi x, vi y, vi sum) { return _mm512_add_epi32(sum, _mm512_madd_epi16(x, y)); }
static inline int32_t vi_sum(vi x) { return _mm512_reduce_add_epi32(x); }
static inline vm vi_less(vi a, vi b) { return _mm512_cmplt_epi32_mask(a, b); }            /* signed */
static inline vm vi_not_below(vi a, vi b) { return _mm512_cmpge_epu32_mask(a, b); }       /* unsigned a >= b */
static inline vm vm_and_not(vm a, vm not) { return (vm)(a & ~not); }

static inline vd vd_zero(void) { return _mm512_setzero_pd(); }
static inline vd vd_add_squares(vd sum, vf x)
{
    vd low = _mm512_cvtps_pd(_mm512_castps512_ps256(x)), high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1));
    return _mm512_fmadd_pd(high, high, _mm512_fmadd_pd(low, low, sum));
}
static inline double vd_sum(vd x) { return _mm512_reduce_add_pd(x); }

/* r[i] lane j <-> r[j] lane i: pairs of floats, pairs of pairs, then quarters of registers. */
static inline void vf_transpose(vf r[VL])
{
    vf t[VL];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xdd);
    }
    for (int i = 0; i < 4; i++) {
        r[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
        r[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd);
        r[i + 4] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0x88);
        r[i + 12] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0xdd);
    }
}
