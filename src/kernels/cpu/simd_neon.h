/* The vector words that simd.inc.c is written in, for NEON (every 64-bit ARM).
 * vf: floats, vi: 32-bit integers, vm: a mask of lanes, vd: doubles. `left` counts lanes that exist.
 *
 * A word is two registers: so a product's tile is 6 rows of 2 words, 24 of the 32 registers, with four
 * for B and some left for A, and every long chain of operations has a second one beside it. */
#include <arm_neon.h>
#include <stdint.h>

#define VL 8
#define MR 6
#define NR 16
#define CHAINS 12

typedef struct { float32x4_t lo, hi; } vf;
typedef struct { uint32x4_t lo, hi; } vi, vm;
typedef struct { float64x2_t lo, hi; } vd;

static inline vm lanes_below(int64_t left)
{
    static const uint32_t lanes[VL] = {0, 1, 2, 3, 4, 5, 6, 7};
    uint32x4_t end = vdupq_n_u32((uint32_t)(left < VL ? left : VL));
    return (vm){vcltq_u32(vld1q_u32(lanes), end), vcltq_u32(vld1q_u32(lanes + 4), end)};
}

/* NEON has no masked loads and stores: single lanes, so that nothing beyond the last is touched. */
static inline float32x4_t load_some(const float *p, int64_t left)
{
    float32x4_t x = vdupq_n_f32(0.0f);
    if (left >= 4) return vld1q_f32(p);
    if (left > 0) x = vld1q_lane_f32(p, x, 0);
    if (left > 1) x = vld1q_lane_f32(p + 1, x, 1);
    if (left > 2) x = vld1q_lane_f32(p + 2, x, 2);
    return x;
}
static inline void store_some(float *p, float32x4_t x, int64_t left)
{
    if (left >= 4) { vst1q_f32(p, x); return; }
    if (left > 0) vst1q_lane_f32(p, x, 0);
    if (left > 1) vst1q_lane_f32(p + 1, x, 1);
    if (left > 2) vst1q_lane_f32(p + 2, x, 2);
}

static inline vf vf_load(const float *p) { return (vf){vld1q_f32(p), vld1q_f32(p + 4)}; }
static inline void vf_store(float *p, vf x) { vst1q_f32(p, x.lo); vst1q_f32(p + 4, x.hi); }
static inline vf vf_load_part(const float *p, int64_t left) { return (vf){load_some(p, left), load_some(p + 4, left - 4)}; }
static inline void vf_store_part(float *p, vf x, int64_t left) { store_some(p, x.lo, left); store_some(p + 4, x.hi, left - 4); }
static inline void vf_stream(float *p, vf x) { vf_store(p, x); } /* processors see by themselves that whole lines are written */
static inline void vf_stream_end(void) {}
static inline void vf_expect(float *p) { __builtin_prefetch(p, 1); } /* will be written */
static inline void vf_hide(vf *x) { __asm__ volatile("" : "+w"(x->lo), "+w"(x->hi)); } /* from the compiler: it keeps work that makes or takes x */
static inline vf vf_set(float x) { return (vf){vdupq_n_f32(x), vdupq_n_f32(x)}; }
static inline vf vf_zero(void) { return vf_set(0.0f); }
static inline vf vf_add(vf a, vf b) { return (vf){vaddq_f32(a.lo, b.lo), vaddq_f32(a.hi, b.hi)}; }
static inline vf vf_sub(vf a, vf b) { return (vf){vsubq_f32(a.lo, b.lo), vsubq_f32(a.hi, b.hi)}; }
static inline vf vf_mul(vf a, vf b) { return (vf){vmulq_f32(a.lo, b.lo), vmulq_f32(a.hi, b.hi)}; }
static inline vf vf_div(vf a, vf b) { return (vf){vdivq_f32(a.lo, b.lo), vdivq_f32(a.hi, b.hi)}; }
static inline vf vf_max(vf a, vf b) { return (vf){vmaxnmq_f32(a.lo, b.lo), vmaxnmq_f32(a.hi, b.hi)}; } /* of a number and a NaN: the number */
static inline vf vf_fma(vf a, vf b, vf c) { return (vf){vfmaq_f32(c.lo, a.lo, b.lo), vfmaq_f32(c.hi, a.hi, b.hi)}; }  /* a·b + c */
static inline vf vf_fnma(vf a, vf b, vf c) { return (vf){vfmsq_f32(c.lo, a.lo, b.lo), vfmsq_f32(c.hi, a.hi, b.hi)}; } /* c - a·b */
static inline vf vf_sqrt(vf x) { return (vf){vsqrtq_f32(x.lo), vsqrtq_f32(x.hi)}; }
static inline vf vf_abs(vf x) { return (vf){vabsq_f32(x.lo), vabsq_f32(x.hi)}; }
static inline vf vf_round(vf x) { return (vf){vrndnq_f32(x.lo), vrndnq_f32(x.hi)}; }
static inline vm vf_less(vf a, vf b) { return (vm){vcltq_f32(a.lo, b.lo), vcltq_f32(a.hi, b.hi)}; }
static inline vf vf_pick(vm m, vf yes, vf no) { return (vf){vbslq_f32(m.lo, yes.lo, no.lo), vbslq_f32(m.hi, yes.hi, no.hi)}; }
static inline vf vf_keep(vm m, vf x) { return vf_pick(m, x, vf_zero()); } /* 0 elsewhere */
/* x · 2^n where not `zero`, else 0; n whole, from -126 to 127 where it counts; x from 0.5 to 2. Adding
 * n to the exponent keeps 2^128 apart from overflow: x below 1 carries. */
static inline float32x4_t scale_unless(uint32x4_t zero, float32x4_t x, float32x4_t n)
{
    uint32x4_t shift = vshlq_n_u32(vreinterpretq_u32_s32(vcvtq_s32_f32(n)), 23);
    return vreinterpretq_f32_u32(vbicq_u32(vaddq_u32(vreinterpretq_u32_f32(x), shift), zero));
}
static inline vf vf_scale_unless(vm zero, vf x, vf n) { return (vf){scale_unless(zero.lo, x.lo, n.lo), scale_unless(zero.hi, x.hi, n.hi)}; }
static inline float vf_sum(vf x) { return vaddvq_f32(vaddq_f32(x.lo, x.hi)); }
static inline float vf_top(vf x) { return vmaxnmvq_f32(vmaxnmq_f32(x.lo, x.hi)); }

static inline vi vi_load(const void *p) { return (vi){vld1q_u32(p), vld1q_u32((const uint32_t *)p + 4)}; }
static inline vi vi_set(uint32_t x) { return (vi){vdupq_n_u32(x), vdupq_n_u32(x)}; }
static inline vi vi_add(vi a, vi b) { return (vi){vaddq_u32(a.lo, b.lo), vaddq_u32(a.hi, b.hi)}; }
static inline vi vi_mul(vi a, vi b) { return (vi){vmulq_u32(a.lo, b.lo), vmulq_u32(a.hi, b.hi)}; }
static inline vi vi_xor(vi a, vi b) { return (vi){veorq_u32(a.lo, b.lo), veorq_u32(a.hi, b.hi)}; }
#define vi_right(a, n) ((vi){vshrq_n_u32((a).lo, n), vshrq_n_u32((a).hi, n)})
#define vi_left(a, n) ((vi){vshlq_n_u32((a).lo, n), vshlq_n_u32((a).hi, n)})
/* 2 VL numbers as 16 bits each; their products with 2 VL others, each lane the sum of two, added to sums. */
static inline vi vi_widen(const int8_t *p)
{
    int8x16_t x = vld1q_s8(p);
    return (vi){vreinterpretq_u32_s16(vmovl_s8(vget_low_s8(x))), vreinterpretq_u32_s16(vmovl_high_s8(x))};
}
static inline uint32x4_t dot16(uint32x4_t x, uint32x4_t y, uint32x4_t sum)
{
    int16x8_t a = vreinterpretq_s16_u32(x), b = vreinterpretq_s16_u32(y);
    int32x4_t low = vmlal_s16(vreinterpretq_s32_u32(sum), vget_low_s16(a), vget_low_s16(b));
    return vreinterpretq_u32_s32(vmlal_high_s16(low, a, b));
}
static inline vi vi_dot16(vi x, vi y, vi sum) { return (vi){dot16(x.lo, y.lo, sum.lo), dot16(x.hi, y.hi, sum.hi)}; }
static inline int32_t vi_sum(vi x) { return (int32_t)vaddvq_u32(vaddq_u32(x.lo, x.hi)); }
static inline uint32x4_t less_signed(uint32x4_t a, uint32x4_t b) { return vcltq_s32(vreinterpretq_s32_u32(a), vreinterpretq_s32_u32(b)); }
static inline vm vi_less(vi a, vi b) { return (vm){less_signed(a.lo, b.lo), less_signed(a.hi, b.hi)}; }                  /* signed */
static inline vm vi_not_below(vi a, vi b) { return (vm){vcgeq_u32(a.lo, b.lo), vcgeq_u32(a.hi, b.hi)}; }                 /* unsigned a >= b */
static inline vm vm_and_not(vm a, vm not) { return (vm){vbicq_u32(a.lo, not.lo), vbicq_u32(a.hi, not.hi)}; }

static inline vd vd_zero(void) { return (vd){vdupq_n_f64(0.0), vdupq_n_f64(0.0)}; }
static inline float64x2_t add_squares(float64x2_t sum, float32x4_t x)
{
    float64x2_t low = vcvt_f64_f32(vget_low_f32(x)), high = vcvt_high_f64_f32(x);
    return vfmaq_f64(vfmaq_f64(sum, low, low), high, high);
}
static inline vd vd_add_squares(vd sum, vf x) { return (vd){add_squares(sum.lo, x.lo), add_squares(sum.hi, x.hi)}; }
static inline double vd_sum(vd x) { return vaddvq_f64(vaddq_f64(x.lo, x.hi)); }

/* Lane j of x[i] <-> lane i of x[j]: pairs of floats, then pairs of pairs. */
static inline void transpose_quarter(float32x4_t x[4])
{
    float64x2_t a = vreinterpretq_f64_f32(vtrn1q_f32(x[0], x[1])), b = vreinterpretq_f64_f32(vtrn2q_f32(x[0], x[1]));
    float64x2_t c = vreinterpretq_f64_f32(vtrn1q_f32(x[2], x[3])), d = vreinterpretq_f64_f32(vtrn2q_f32(x[2], x[3]));
    x[0] = vreinterpretq_f32_f64(vtrn1q_f64(a, c));
    x[1] = vreinterpretq_f32_f64(vtrn1q_f64(b, d));
    x[2] = vreinterpretq_f32_f64(vtrn2q_f64(a, c));
    x[3] = vreinterpretq_f32_f64(vtrn2q_f64(b, d));
}

/* r[i] lane j <-> r[j] lane i, quarter by quarter; the two that lie off the diagonal change places. */
static inline void vf_transpose(vf r[VL])
{
    float32x4_t nw[4], ne[4], sw[4], se[4];
    for (int i = 0; i < 4; i++) {
        nw[i] = r[i].lo;
        ne[i] = r[i].hi;
        sw[i] = r[i + 4].lo;
        se[i] = r[i + 4].hi;
    }
    transpose_quarter(nw);
    transpose_quarter(ne);
    transpose_quarter(sw);
    transpose_quarter(se);
    for (int i = 0; i < 4; i++) {
        r[i] = (vf){nw[i], sw[i]};
        r[i + 4] = (vf){ne[i], se[i]};
    }
}
