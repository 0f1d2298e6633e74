/* The inner loops in vectors, written once over the words of simd_*.h and compiled by avx2.c and
 * avx512.c, each of which defines ISA_TABLE, ISA_NAME and supported(). plain.c says what they mean.
 *
 * The trap: a register tile must live in registers. Its loops have constant bounds and are unrolled
 * whole (UNROLL), in functions inlined with constant arguments (INLINE); an array of vectors whose
 * index is not constant after that falls into memory and costs a factor of ten. */
#include <math.h>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/unroll.h"

/* Loads and stores of a vector of which only `left` lanes may exist: one predictable branch. */
INLINE vf get(const float *p, int64_t left) { return left >= VL ? vf_load(p) : vf_load_part(p, left); }

INLINE void put(float *p, vf x, int64_t left)
{
    if (left >= VL) vf_store(p, x);
    else vf_store_part(p, x, left);
}

/* Sets or adds. */
INLINE void give(float *p, vf x, int64_t left, bool add) { put(p, add ? vf_add(get(p, left), x) : x, left); }

/* ---- Functions ---------------------------------------------------------------------------- */

/* exp(x) for x <= 0 (a little above is fine), within 2e-7; 0 below -87, where floats end. The
 * polynomial is the minimax one of exp(r) - 1 - r on |r| <= ln 2 / 2. */
INLINE vf exp_falling(vf x)
{
    vf n = vf_round(vf_mul(x, vf_set(1.44269504f)));
    vf r = vf_fnma(n, vf_set(0.693147181f), x);
    vf p = vf_fma(r, vf_set(0.00831252523f), vf_set(0.0418901145f));
    p = vf_fma(p, r, vf_set(0.166671142f));
    p = vf_fma(p, r, vf_set(0.499992311f));
    p = vf_fma(vf_mul(r, r), p, r);
    return vf_scale_unless(vf_less(x, vf_set(-87.0f)), vf_add(p, vf_set(1.0f)), n);
}

/* 2·Phi(x) = 1 + erf(x / sqrt 2) within 2e-7, and relatively so in the left tail; bell = exp(-x²/2).
 * erfc(|x| / sqrt 2) / bell is Mills' ratio, smooth and falling like 1 / |x|: a polynomial in
 * t = 1 / (1 + |x| / 4) without constant, fitted to |x| = 14, where the bell has gone to 0
 * (the form is Hastings', 1955). */
INLINE vf twice_normal_cdf(vf x, vf bell)
{
    vf t = vf_div(vf_set(1.0f), vf_fma(vf_abs(x), vf_set(0.25f), vf_set(1.0f)));
    vf m = vf_fma(t, vf_set(-0.181946963f), vf_set(0.677897573f));
    m = vf_fma(m, t, vf_set(-0.524814785f));
    m = vf_fma(m, t, vf_set(0.554155052f));
    m = vf_fma(m, t, vf_set(0.0535371825f));
    m = vf_fma(m, t, vf_set(0.223452404f));
    m = vf_fma(m, t, vf_set(0.197719544f));
    vf tail = vf_mul(vf_mul(m, t), bell);
    return vf_pick(vf_less(x, vf_zero()), tail, vf_sub(vf_set(2.0f), tail));
}

INLINE vf bell_of(vf x) { return exp_falling(vf_mul(vf_mul(x, x), vf_set(-0.5f))); }

INLINE vf gelu(vf x) { return vf_mul(vf_mul(x, vf_set(0.5f)), twice_normal_cdf(x, bell_of(x))); }

/* Phi(x) + x·phi(x) */
INLINE vf gelu_slope(vf x)
{
    vf bell = bell_of(x);
    return vf_fma(vf_mul(x, vf_set(0.398942280f)), bell, vf_mul(vf_set(0.5f), twice_normal_cdf(x, bell)));
}

/* (1 - e) / (1 + e) with e = exp(-2|x|); near 0, where that cancels, the series. */
INLINE vf tanh_all(vf x)
{
    vf y = vf_abs(x), e = exp_falling(vf_mul(y, vf_set(-2.0f)));
    vf far = vf_div(vf_sub(vf_set(1.0f), e), vf_add(vf_set(1.0f), e));
    vf t = vf_mul(x, x);
    vf near = vf_fma(t, vf_set(-17.0f / 315.0f), vf_set(2.0f / 15.0f));
    near = vf_fma(vf_mul(vf_fma(near, t, vf_set(-1.0f / 3.0f)), t), x, x);
    far = vf_pick(vf_less(x, vf_zero()), vf_sub(vf_zero(), far), far);
    return vf_pick(vf_less(y, vf_set(0.15f)), near, far);
}

/* s = 1 / (1 + e^-x), and its slope s · (1 - s) without the digits that 1 - s would lose. */
typedef struct sigmoid_of { vf value, slope; } sigmoid_of;

INLINE sigmoid_of sigmoid(vf x)
{
    vf e = exp_falling(vf_sub(vf_zero(), vf_abs(x))), near = vf_div(vf_set(1.0f), vf_add(vf_set(1.0f), e)), far = vf_mul(e, near);
    return (sigmoid_of){vf_pick(vf_less(x, vf_zero()), far, near), vf_mul(near, far)};
}

INLINE vf silu_slope(vf x)
{
    sigmoid_of s = sigmoid(x);
    return vf_fma(x, s.slope, s.value);
}

/* GELU by tanh is x · sigmoid(x · (a + b·x²)), since tanh(u) = 2 · sigmoid(2u) - 1. */
INLINE sigmoid_of gelu_tanh_gate(vf x) { return sigmoid(vf_mul(x, vf_fma(vf_mul(x, x), vf_set(0.0713548163f), vf_set(1.59576912f)))); }

/* Beyond 16 the gate is flat, and x² could be infinite. */
INLINE vf gelu_tanh_slope(vf x)
{
    sigmoid_of s = gelu_tanh_gate(x);
    vf bend = vf_mul(vf_mul(x, s.slope), vf_fma(vf_mul(x, x), vf_set(0.214064449f), vf_set(1.59576912f)));
    return vf_add(s.value, vf_keep(vf_less(vf_abs(x), vf_set(16.0f)), bend));
}

INLINE vf activate(vf x, fv_act act)
{
    switch (act) {
    case FV_ACT_RELU: return vf_max(x, vf_zero());
    case FV_ACT_GELU: return gelu(x);
    case FV_ACT_TANH: return tanh_all(x);
    case FV_ACT_SILU: return vf_mul(x, sigmoid(x).value);
    case FV_ACT_GELU_TANH: return vf_mul(x, gelu_tanh_gate(x).value);
    case FV_ACT_NONE: break;
    }
    return x;
}

INLINE vf slope(vf x, fv_act act)
{
    switch (act) {
    case FV_ACT_RELU: return vf_keep(vf_less(vf_zero(), x), vf_set(1.0f));
    case FV_ACT_GELU: return gelu_slope(x);
    case FV_ACT_TANH: { vf y = tanh_all(x); return vf_fnma(y, y, vf_set(1.0f)); }
    case FV_ACT_SILU: return silu_slope(x);
    case FV_ACT_GELU_TANH: return gelu_tanh_slope(x);
    case FV_ACT_NONE: break;
    }
    return vf_set(1.0f);
}

/* ---- Products ----------------------------------------------------------------------------- */

/* Stores of a panel narrower than a vector run over into the next row, which is written later; the
 * panel's last row must not. */
INLINE void pack_put(float *out, int64_t width, vf x, bool last)
{
    if (width >= VL || !last) vf_store(out, x);
    else vf_store_part(out, x, width);
}

static void pack_copy(float *out, int64_t width, const float *x, int64_t ldx, int64_t used, int64_t k)
{
    for (int64_t l = 0; l < k; l++) {
        for (int64_t i = 0; i < used; i += VL) pack_put(out + l * width + i, width, get(x + l * ldx + i, used - i), l + 1 == k);
    }
}

/* VL columns of VL rows of x, of which `used` exist, become VL rows of out, of which `left` are
 * wanted. Lanes of rows that do not exist repeat the last. Not inlined: in a loop, compilers keep
 * sixteen row addresses in memory and bump each. */
INLINE void turn_body(float *out, int64_t width, const float *x, int64_t ldx, float scale, int64_t used, int64_t left, bool last)
{
    vf r[VL];
    UNROLL
    for (int i = 0; i < VL; i++) {
        r[i] = vf_mul(get(x, left), vf_set(scale));
        x += i + 1 < used ? ldx : 0;
    }
    vf_transpose(r);
    UNROLL
    for (int i = 0; i < VL; i++) {
        if (i < left) pack_put(out + i * width, width, r[i], last && i + 1 == (left < VL ? left : VL));
    }
}

static __attribute__((noinline)) void turn_square(float *out, int64_t width, const float *x, int64_t ldx, float scale, int64_t used, bool last)
{
    turn_body(out, width, x, ldx, scale, used, VL, last);
}

static __attribute__((noinline)) void turn_edge(float *out, int64_t width, const float *x, int64_t ldx, float scale, int64_t used, int64_t left)
{
    turn_body(out, width, x, ldx, scale, used, left, true);
}

static void turn_panel(float *out, int64_t width, const float *x, int64_t ldx, float scale, int64_t used, int64_t k)
{
    int64_t l = 0;
    for (; l + VL <= k; l += VL) turn_square(out + l * width, width, x + l, ldx, scale, used, l + VL == k);
    if (l < k) turn_edge(out + l * width, width, x + l, ldx, scale, used, k - l);
}

static void pack(float *out, int64_t width, const float *x, int64_t ldx, bool transpose, int64_t used, int64_t k)
{
    if (!transpose) pack_copy(out, width, x, ldx, used, k);
    for (int64_t i = 0; transpose && i < used; i += VL) turn_panel(out + i, width, x + i * ldx, ldx, 1.0f, used - i, k);
}

static void turn(float *out, const float *x, int64_t ldx, float scale, int64_t used, int64_t k)
{
    for (int64_t i = 0; i < used; i += VL) turn_panel(out + i / NR * NR * k + i % NR, NR, x + i * ldx, ldx, scale, used - i, k);
}

/* The heart: rows × vectors of sums held in registers while k runs. a's element (i, l) lies at
 * a[i·a_row + l·a_step]. */
INLINE void tile_step(vf sum[MR][2], const float *a, int64_t a_row, const float *b, int rows, int vectors)
{
    vf y[2];
    UNROLL
    for (int j = 0; j < vectors; j++) y[j] = vf_load(b + j * VL);
    UNROLL
    for (int i = 0; i < rows; i++) {
        vf x = vf_set(a[i * a_row]);
        UNROLL
        for (int j = 0; j < vectors; j++) sum[i][j] = vf_fma(x, y[j], sum[i][j]);
    }
}

/* c is fetched meanwhile, a row at each of the first steps: all at once would keep b waiting. */
INLINE void tile_sums(vf sum[MR][2], float *c, int64_t ldc, const float *a, int64_t a_row, int64_t a_step, const float *b, int64_t b_step, fv_ahead ahead, int64_t k, int rows, int vectors)
{
    int64_t l = 0;
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int j = 0; j < vectors; j++) sum[i][j] = vf_zero();
    }
    for (int64_t first = k < rows ? k : rows; l < first; l++) {
        for (int j = 0; j < vectors; j += 16 / VL) vf_expect(c + l * ldc + j * VL);
        tile_step(sum, a + l * a_step, a_row, b + l * b_step, rows, vectors);
    }
    for (; l < k; l++) {
        fv_ask_ahead(ahead, l * b_step);
        tile_step(sum, a + l * a_step, a_row, b + l * b_step, rows, vectors);
    }
}

INLINE void tile_give(float *c, int64_t ldc, vf sum[MR][2], int rows, int vectors, int64_t cols, bool add)
{
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int j = 0; j < vectors; j++) give(c + i * ldc + j * VL, sum[i][j], cols - j * VL, add);
    }
}

/* Whole tiles are stored without a look at each vector's end. */
INLINE void tile_body(float *c, int64_t ldc, const float *a, int64_t a_row, int64_t a_step, const float *b, int64_t b_step, fv_ahead ahead, int64_t k, int rows, int vectors, int cols, bool add)
{
    vf sum[MR][2];
    tile_sums(sum, c, ldc, a, a_row, a_step, b, b_step, ahead, k, rows, vectors);
    if (cols < vectors * VL) tile_give(c, ldc, sum, rows, vectors, cols, add);
    else if (add) tile_give(c, ldc, sum, rows, vectors, vectors * VL, true);
    else tile_give(c, ldc, sum, rows, vectors, vectors * VL, false);
}

/* One function for each number of rows and vectors; [rows - 1][vectors - 1] finds it. */
#define TILE_ARGS float *c, int64_t ldc, const float *a, int64_t a_step, const float *b, int64_t b_step, fv_ahead ahead, int64_t k, int cols, bool add
#define TILE_ONE(name, rows, vectors, a_row, a_col) \
    static void name##_##rows##_##vectors(TILE_ARGS) { (void)a_step; tile_body(c, ldc, a, a_row, a_col, b, b_step, ahead, k, rows, vectors, cols, add); }
#define TILE_FN(rows) TILE_ONE(tile, rows, 1, 1, a_step) TILE_ONE(tile, rows, 2, 1, a_step) \
    TILE_ONE(tile_rows, rows, 1, FV_TILE_LD, 1) TILE_ONE(tile_rows, rows, 2, FV_TILE_LD, 1)
#define TILE_PAIR(rows) {tile_##rows##_1, tile_##rows##_2},
#define TILE_ROWS_PAIR(rows) {tile_rows_##rows##_1, tile_rows_##rows##_2},

EACH_ROWS(TILE_FN)

typedef void (*tile_fn)(TILE_ARGS);
static const tile_fn tiles[MR][2] = {EACH_ROWS(TILE_PAIR)};
static const tile_fn tiles_rows[MR][2] = {EACH_ROWS(TILE_ROWS_PAIR)};

static void tile(float *c, int64_t ldc, const float *a, int64_t a_step, const float *b, int64_t b_step, fv_ahead ahead, int64_t k, int rows, int cols, bool add)
{
    tiles[rows - 1][cols > VL](c, ldc, a, a_step, b, b_step, ahead.line ? ahead : (fv_ahead){b, b}, k, cols, add);
}

static void tile_rows(float *c, int64_t ldc, const float *a, const float *b, int64_t b_step, int64_t k, int rows, int cols, bool add)
{
    tiles_rows[rows - 1][cols > VL](c, ldc, a, 0, b, b_step, (fv_ahead){b, b}, k, cols, add);
}

/* Inlined for each activation, so that its branch is outside the loops. */
INLINE void epilogue_body(float *c, int64_t ldc, int rows, int cols, const fv_epilogue *e, fv_act act)
{
    for (int j = 0; j < cols; j += VL) {
        int64_t left = cols - j;
        vf bias = e->bias ? get(e->bias + j, left) : vf_zero();
        for (int i = 0; i < rows; i++) {
            vf x = vf_add(get(c + i * ldc + j, left), bias);
            if (e->pre) put(e->pre + i * e->ldpre + j, x, left);
            x = activate(x, act);
            if (e->residual) x = vf_add(x, get(e->residual + i * e->ldres + j, left));
            put(c + i * ldc + j, x, left);
        }
    }
}

static void epilogue(float *c, int64_t ldc, int rows, int cols, const fv_epilogue *e)
{
    switch (e->act) {
    case FV_ACT_RELU: epilogue_body(c, ldc, rows, cols, e, FV_ACT_RELU); return;
    case FV_ACT_GELU: epilogue_body(c, ldc, rows, cols, e, FV_ACT_GELU); return;
    case FV_ACT_TANH: epilogue_body(c, ldc, rows, cols, e, FV_ACT_TANH); return;
    case FV_ACT_SILU: epilogue_body(c, ldc, rows, cols, e, FV_ACT_SILU); return;
    case FV_ACT_GELU_TANH: epilogue_body(c, ldc, rows, cols, e, FV_ACT_GELU_TANH); return;
    case FV_ACT_NONE: epilogue_body(c, ldc, rows, cols, e, FV_ACT_NONE); return;
    }
}

/* ---- Attention ---------------------------------------------------------------------------- */

/* fv_random_word for a vector of words. */
INLINE vi random_words(vi start)
{
    vi x = vi_mul(vi_xor(start, vi_right(start, 16)), vi_set(FV_WORD_MUL1));
    x = vi_mul(vi_xor(x, vi_right(x, 15)), vi_set(FV_WORD_MUL2));
    return vi_xor(x, vi_right(x, 16));
}

/* The random bytes of one vector of queries as the keys go by: key j's is byte j % 4, from the top,
 * of word j / 4; the next one is kept in the top byte. */
typedef struct bytes_of_keys { vi row_keys, words; } bytes_of_keys;

INLINE void bytes_refill(bytes_of_keys *b, int32_t key)
{
    b->words = random_words(vi_add(b->row_keys, vi_set((uint32_t)(key / 4) * FV_WORD_STEP)));
}

INLINE bytes_of_keys bytes_start(const uint32_t *row_keys, int32_t key)
{
    bytes_of_keys b = {.row_keys = vi_load(row_keys)};
    bytes_refill(&b, key);
    for (int i = 0; i < key % 4; i++) b.words = vi_left(b.words, 8);
    return b;
}

/* Which lanes keep key `key`; to be called for one key after the other. Only the top byte decides:
 * the threshold's lower bits are zero. */
INLINE vm bytes_next(bytes_of_keys *b, int32_t key, vi threshold)
{
    if (key % 4 == 0) bytes_refill(b, key);
    vm keep = vi_not_below(b->words, threshold);
    b->words = vi_left(b->words, 8);
    return keep;
}

/* Hides what the bounds hide and gives the maximum over keys. */
INLINE vf scores_max(const fv_score_tile *t, int lane)
{
    vf top = vf_set(-INFINITY);
    float *s = t->s + lane;
    if (!t->lo) {
        for (int32_t r = 0; r < t->n_keys; r++) top = vf_max(vf_load(s + r * t->ld), top);
        return top;
    }
    vi lo = vi_load(t->lo + lane), hi = vi_load(t->hi + lane);
    for (int32_t r = 0; r < t->n_keys; r++) {
        vi key = vi_set((uint32_t)(t->first_key + r));
        vf x = vf_pick(vm_and_not(vi_less(key, hi), vi_less(key, lo)), vf_load(s + r * t->ld), vf_set(-INFINITY));
        vf_store(s + r * t->ld, x);
        top = vf_max(x, top);
    }
    return top;
}

/* s = exp(s - top), dropped where told; gives the sum over keys before dropout. */
INLINE vf scores_exp(const fv_score_tile *t, int lane, vf top, bool drops)
{
    float *s = t->s + lane;
    vf sum = vf_zero();
    vi threshold = vi_set(t->drop << 24);
    bytes_of_keys bytes = {0};
    if (drops) bytes = bytes_start(t->row_keys + lane, t->first_key);
    for (int32_t r = 0; r < t->n_keys; r++) {
        vf p = exp_falling(vf_sub(vf_load(s + r * t->ld), top));
        sum = vf_add(sum, p);
        if (drops) p = vf_keep(bytes_next(&bytes, t->first_key + r, threshold), p);
        vf_store(s + r * t->ld, p);
    }
    return sum;
}

static void softmax_tile(const fv_score_tile *t, float *max, float *sum, float *alpha)
{
    for (int lane = 0; lane < t->lanes; lane += VL) {
        vf old = vf_load(max + lane), top = vf_max(scores_max(t, lane), old);
        vf_store(max + lane, top);
        /* A query that has seen nothing yet: -inf - -inf would be NaN. */
        vf base = vf_pick(vf_less(vf_set(-INFINITY), top), top, vf_zero());
        vf a = exp_falling(vf_sub(old, base));
        vf_store(alpha + lane, a);
        vf more = t->row_keys ? scores_exp(t, lane, base, true) : scores_exp(t, lane, base, false);
        vf_store(sum + lane, vf_fma(vf_load(sum + lane), a, more));
    }
}

INLINE void grad_lanes(const fv_score_tile *t, float *dp, int lane, vf lse, vf delta, vf scale, bool hides, bool drops)
{
    float *s = t->s + lane;
    vi lo = vi_set(0), hi = lo, threshold = vi_set(t->drop << 24);
    if (hides) { lo = vi_load(t->lo + lane); hi = vi_load(t->hi + lane); }
    bytes_of_keys bytes = {0};
    if (drops) bytes = bytes_start(t->row_keys + lane, t->first_key);
    for (int32_t r = 0; r < t->n_keys; r++) {
        int32_t key = t->first_key + r;
        vf p = exp_falling(vf_sub(vf_load(s + r * t->ld), lse));
        vf d = vf_load(dp + lane + r * t->ld);
        if (hides) p = vf_keep(vm_and_not(vi_less(vi_set((uint32_t)key), hi), vi_less(vi_set((uint32_t)key), lo)), p);
        vf kept = p;
        if (drops) {
            vm keep = bytes_next(&bytes, key, threshold);
            kept = vf_keep(keep, p);
            d = vf_keep(keep, d);
        }
        vf_store(s + r * t->ld, kept);
        vf_store(dp + lane + r * t->ld, vf_mul(p, vf_sub(vf_mul(d, scale), delta)));
    }
}

static void softmax_grad_tile(const fv_score_tile *t, float *dp, const float *lse, const float *delta, float scale)
{
    for (int lane = 0; lane < t->lanes; lane += VL) {
        vf l = vf_load(lse + lane), d = vf_load(delta + lane), s = vf_set(scale);
        if (t->lo && t->row_keys) grad_lanes(t, dp, lane, l, d, s, true, true);
        else if (t->lo) grad_lanes(t, dp, lane, l, d, s, true, false);
        else if (t->row_keys) grad_lanes(t, dp, lane, l, d, s, false, true);
        else grad_lanes(t, dp, lane, l, d, s, false, false);
    }
}

#include "kernels/cpu/step.inc.c"
#include "kernels/cpu/scan.inc.c"

/* ---- Rows --------------------------------------------------------------------------------- */

static float dot(const float *a, const float *b, int64_t n)
{
    vf sum = vf_zero();
    for (int64_t i = 0; i < n; i += VL) sum = vf_fma(get(a + i, n - i), get(b + i, n - i), sum);
    return vf_sum(sum);
}

static void copy(float *y, int64_t ldy, bool add, const float *x, int64_t ldx, float scale, int64_t rows, int64_t n)
{
    vf s = vf_set(scale);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = 0; i < n; i += VL) give(y + r * ldy + i, vf_mul(get(x + r * ldx + i, n - i), s), n - i, add);
    }
}

static void scale_rows(float *x, int64_t ldx, const float *scales, int64_t rows, int64_t n)
{
    for (int64_t r = 0; r < rows; r++) {
        vf s = vf_set(scales[r]);
        for (int64_t i = 0; i < n; i += VL) put(x + r * ldx + i, vf_mul(get(x + r * ldx + i, n - i), s), n - i);
    }
}

static void add_row(float *y, const float *a, const float *b, int64_t n)
{
    for (int64_t i = 0; i < n; i += VL) put(y + i, vf_add(get(a + i, n - i), get(b + i, n - i)), n - i);
}

/* The sums of up to STRIP vectors of columns, 32 rows apart from the rest until they are whole:
 * shorter chains round less. */
#define STRIP 8
INLINE void sum_strip(vf total[STRIP], const float *x, int64_t ldx, int64_t rows, int vectors, int64_t n)
{
    for (int j = 0; j < vectors; j++) total[j] = vf_zero();
    for (int64_t r = 0; r < rows;) {
        vf part[STRIP];
        UNROLL
        for (int j = 0; j < vectors; j++) part[j] = vf_zero();
        for (int64_t end = r + 32 < rows ? r + 32 : rows; r < end; r++) {
            UNROLL
            for (int j = 0; j < vectors; j++) part[j] = vf_add(part[j], get(x + r * ldx + j * VL, n - j * VL));
        }
        UNROLL
        for (int j = 0; j < vectors; j++) total[j] = vf_add(total[j], part[j]);
    }
}

static void sum_rows(float *out, bool add, const float *x, int64_t ldx, int64_t rows, int64_t n)
{
    vf total[STRIP];
    int64_t i = 0;
    for (; i + STRIP * VL <= n; i += STRIP * VL) {
        sum_strip(total, x + i, ldx, rows, STRIP, STRIP * VL);
        for (int j = 0; j < STRIP; j++) give(out + i + j * VL, total[j], VL, add);
    }
    for (; i < n; i += VL) {
        sum_strip(total, x + i, ldx, rows, 1, n - i);
        give(out + i, total[0], n - i, add);
    }
}

static double sum_squares(const float *x, int64_t n)
{
    vd sum = vd_zero(), other = vd_zero();
    int64_t i = 0;
    for (; i + 2 * VL <= n; i += 2 * VL) {
        sum = vd_add_squares(sum, vf_load(x + i));
        other = vd_add_squares(other, vf_load(x + i + VL));
    }
    for (; i < n; i += VL) sum = vd_add_squares(sum, get(x + i, n - i));
    return vd_sum(sum) + vd_sum(other);
}

INLINE void act_forward_body(float *y, const float *x, int64_t n, fv_act act)
{
    for (int64_t i = 0; i < n; i += VL) put(y + i, activate(get(x + i, n - i), act), n - i);
}

static void act_forward(float *y, const float *x, int64_t n, fv_act act)
{
    switch (act) {
    case FV_ACT_RELU: act_forward_body(y, x, n, FV_ACT_RELU); return;
    case FV_ACT_GELU: act_forward_body(y, x, n, FV_ACT_GELU); return;
    case FV_ACT_TANH: act_forward_body(y, x, n, FV_ACT_TANH); return;
    case FV_ACT_SILU: act_forward_body(y, x, n, FV_ACT_SILU); return;
    case FV_ACT_GELU_TANH: act_forward_body(y, x, n, FV_ACT_GELU_TANH); return;
    case FV_ACT_NONE: act_forward_body(y, x, n, FV_ACT_NONE); return;
    }
}

INLINE void act_backward_body(float *dx, bool add, const float *dy, const float *x, int64_t n, fv_act act)
{
    for (int64_t i = 0; i < n; i += VL) {
        give(dx + i, vf_mul(get(dy + i, n - i), slope(get(x + i, n - i), act)), n - i, add);
    }
}

static void act_backward(float *dx, bool add, const float *dy, const float *x, int64_t n, fv_act act)
{
    switch (act) {
    case FV_ACT_RELU: act_backward_body(dx, add, dy, x, n, FV_ACT_RELU); return;
    case FV_ACT_GELU: act_backward_body(dx, add, dy, x, n, FV_ACT_GELU); return;
    case FV_ACT_TANH: act_backward_body(dx, add, dy, x, n, FV_ACT_TANH); return;
    case FV_ACT_SILU: act_backward_body(dx, add, dy, x, n, FV_ACT_SILU); return;
    case FV_ACT_GELU_TANH: act_backward_body(dx, add, dy, x, n, FV_ACT_GELU_TANH); return;
    case FV_ACT_NONE: act_backward_body(dx, add, dy, x, n, FV_ACT_NONE); return;
    }
}

INLINE float row_sum(const float *x, int64_t n)
{
    vf sum = vf_zero();
    for (int64_t i = 0; i < n; i += VL) sum = vf_add(sum, get(x + i, n - i));
    return vf_sum(sum);
}

/* Two passes: the variance about the mean itself loses nothing where the mean is large. */
static void norm_forward(float *y, float *mean, float *rstd, const float *x, const float *w, const float *b, int64_t n, float eps)
{
    float mu = row_sum(x, n) / (float)n;
    vf m = vf_set(mu), squares = vf_zero();
    for (int64_t i = 0; i < n; i += VL) {
        vf d = vf_keep(lanes_below(n - i), vf_sub(get(x + i, n - i), m));
        squares = vf_fma(d, d, squares);
    }
    float scale = 1.0f / sqrtf(vf_sum(squares) / (float)n + eps);
    vf s = vf_set(scale);
    for (int64_t i = 0; i < n; i += VL) {
        vf normal = vf_mul(vf_sub(get(x + i, n - i), m), s);
        put(y + i, vf_fma(normal, get(w + i, n - i), get(b + i, n - i)), n - i);
    }
    *mean = mu;
    *rstd = scale;
}

static void norm_backward(float *dx, bool add, float *dw, float *db, const float *dy, const float *x, const float *w, float mean, float rstd, int64_t n)
{
    vf m = vf_set(mean), s = vf_set(rstd), sum = vf_zero(), along = vf_zero();
    for (int64_t i = 0; i < n; i += VL) {
        int64_t left = n - i;
        vf g = get(dy + i, left), normal = vf_mul(vf_sub(get(x + i, left), m), s), gw = vf_mul(g, get(w + i, left));
        sum = vf_add(sum, gw);
        along = vf_fma(gw, normal, along);
        if (dw) {
            put(dw + i, vf_fma(g, normal, get(dw + i, left)), left);
            put(db + i, vf_add(g, get(db + i, left)), left);
        }
    }
    if (!dx) return;
    vf flat = vf_set(vf_sum(sum) / (float)n), tilt = vf_set(vf_sum(along) / (float)n);
    for (int64_t i = 0; i < n; i += VL) {
        int64_t left = n - i;
        vf normal = vf_mul(vf_sub(get(x + i, left), m), s), gw = vf_mul(get(dy + i, left), get(w + i, left));
        give(dx + i, vf_mul(s, vf_fnma(normal, tilt, vf_sub(gw, flat))), left, add);
    }
}

static float log_sum_exp(const float *x, int64_t n, float *sum)
{
    vf top = vf_set(-INFINITY), all = vf_zero(), exps = vf_zero();
    for (int64_t i = 0; i < n; i += VL) {
        vf v = get(x + i, n - i);
        all = vf_add(all, v);
        top = vf_max(vf_pick(lanes_below(n - i), v, top), top);
    }
    float most = vf_top(top);
    vf base = vf_set(most);
    for (int64_t i = 0; i < n; i += VL) exps = vf_add(exps, vf_keep(lanes_below(n - i), exp_falling(vf_sub(get(x + i, n - i), base))));
    *sum = vf_sum(all);
    return most + logf(vf_sum(exps));
}

static void block_tops(float *tops, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i += FV_TOP_BLOCK) {
        vf top = vf_set(-INFINITY);
        int64_t end = i + FV_TOP_BLOCK < n ? i + FV_TOP_BLOCK : n;
        for (int64_t j = i; j < end; j += VL) top = vf_max(vf_pick(lanes_below(end - j), get(x + j, end - j), top), top); /* of a NaN and a number: the number */
        tops[i / FV_TOP_BLOCK] = vf_top(top);
    }
}

static void softmax_row(float *dx, bool add, const float *x, int64_t n, float lse, float weight, float shift)
{
    vf base = vf_set(lse), w = vf_set(weight), c = vf_set(shift);
    for (int64_t i = 0; i < n; i += VL) {
        vf p = exp_falling(vf_sub(get(x + i, n - i), base));
        give(dx + i, vf_sub(vf_mul(p, w), c), n - i, add);
    }
}

static void dropout_row(float *y, bool add, const float *x, const float *residual, int64_t n, uint32_t row_key, uint32_t drop, float scale)
{
    static const uint32_t lane_steps[16] = {
        0, FV_WORD_STEP, 2 * FV_WORD_STEP, 3 * FV_WORD_STEP, 4 * FV_WORD_STEP, 5 * FV_WORD_STEP, 6 * FV_WORD_STEP, 7 * FV_WORD_STEP,
        8 * FV_WORD_STEP, 9 * FV_WORD_STEP, 10 * FV_WORD_STEP, 11 * FV_WORD_STEP, 12 * FV_WORD_STEP, 13 * FV_WORD_STEP, 14 * FV_WORD_STEP, 15 * FV_WORD_STEP,
    };
    vi threshold = vi_set(drop << 24);
    vf s = vf_set(scale);
    for (int64_t block = 0; block < n; block += 64) {
        for (int lane = 0; lane < 16; lane += VL) {
            vi words = random_words(vi_add(vi_load(lane_steps + lane), vi_set(row_key + (uint32_t)(block / 4) * FV_WORD_STEP)));
            for (int64_t i = block + lane; i < n && i < block + 64; i += 16) {
                vf v = vf_keep(vi_not_below(words, threshold), vf_mul(get(x + i, n - i), s));
                if (residual) v = vf_add(v, get(residual + i, n - i));
                give(y + i, v, n - i, add);
                words = vi_left(words, 8);
            }
        }
    }
}

/* ---- Parameters --------------------------------------------------------------------------- */

INLINE void adam_body(float *w, float *m, float *v, const float *grad, int64_t n, const fv_adam *adam, bool decoupled)
{
    vf b1 = vf_set(adam->beta1), c1 = vf_set(1.0f - adam->beta1), b2 = vf_set(adam->beta2), c2 = vf_set(1.0f - adam->beta2);
    vf gs = vf_set(adam->grad_scale), step = vf_set(adam->lr / adam->correction1), eps = vf_set(adam->epsilon);
    vf root = vf_set(1.0f / sqrtf(adam->correction2)), shrink = vf_set(1.0f - adam->lr * adam->decay), decay = vf_set(adam->decay);
    for (int64_t i = 0; i < n; i += VL) {
        int64_t left = n - i;
        vf x = get(w + i, left), g = vf_mul(get(grad + i, left), gs);
        if (decoupled) x = vf_mul(x, shrink);
        else g = vf_fma(decay, x, g);
        vf first = vf_fma(b1, get(m + i, left), vf_mul(c1, g)), second = vf_fma(b2, get(v + i, left), vf_mul(c2, vf_mul(g, g)));
        put(m + i, first, left);
        put(v + i, second, left);
        put(w + i, vf_fnma(step, vf_div(first, vf_fma(vf_sqrt(second), root, eps)), x), left);
    }
}

static void adam(float *w, float *m, float *v, const float *grad, int64_t n, const fv_adam *options)
{
    if (options->decoupled) adam_body(w, m, v, grad, n, options, true);
    else adam_body(w, m, v, grad, n, options, false);
}

/* ---- Measure ------------------------------------------------------------------------------ */

/* Stores pass the caches by: what is written is not read first, nor does it push out what is. */
static void triad(float *a, const float *b, const float *c, float s, int64_t n)
{
    int64_t i = 0;
    vf scale = vf_set(s);
    for (; i + VL <= n; i += VL) vf_stream(a + i, vf_fma(scale, vf_load(c + i), vf_load(b + i)));
    for (; i < n; i++) a[i] = b[i] + s * c[i];
    vf_stream_end();
}

static double fma_chains(int64_t steps)
{
    vf a[CHAINS], x = vf_set(0.999f), y = vf_set(0.001f);
    vf_hide(&x);
    vf_hide(&y);
    UNROLL
    for (int i = 0; i < CHAINS; i++) a[i] = vf_set((float)i);
    for (int64_t s = 0; s < steps; s++) {
        UNROLL
        for (int i = 0; i < CHAINS; i++) a[i] = vf_fma(a[i], x, y);
    }
    UNROLL
    for (int i = 0; i < CHAINS; i++) vf_hide(&a[i]); /* else the work would be removed */
    return (double)steps * CHAINS * VL * 2;
}

const fv_isa_table ISA_TABLE = {
    .name = ISA_NAME, .supported = supported, .lanes = VL, .mr = MR, .nr = NR,
    .pack = pack, .turn = turn, .tile = tile, .tile_rows = tile_rows, .epilogue = epilogue,
    .softmax_tile = softmax_tile, .softmax_grad_tile = softmax_grad_tile,
    .dot_rows = dot_rows, .softmax = softmax, .mix_rows = mix_rows,
    .dot = dot, .copy = copy, .scale_rows = scale_rows, .add_row = add_row, .sum_rows = sum_rows, .sum_squares = sum_squares,
    .act_forward = act_forward, .act_backward = act_backward,
    .norm_forward = norm_forward, .norm_backward = norm_backward,
    .log_sum_exp = log_sum_exp, .block_tops = block_tops, .scan = scan, .softmax_row = softmax_row, .dropout_row = dropout_row,
    .adam = adam, .triad = triad, .fma_chains = fma_chains,
};
