/* The inner loops in plain C: the truth that the vector versions are tested against, and what runs
 * where there is no faster table. Loops are as simple as they can be; see isa.h for what each does. */
#include <math.h>

#include "kernels/cpu/isa.h"

#define MR 4
#define NR 8

static bool supported(void) { return true; }

/* ---- Functions ---------------------------------------------------------------------------- */

static float sigmoid(float x) { return 1 / (1 + expf(-x)); }

/* GELU by tanh is x · sigmoid(x · (a + b·x²)), since tanh(u) = 2 · sigmoid(2u) - 1. */
static float gelu_tanh_inner(float x) { return x * (1.59576912f + 0.0713548163f * x * x); }

static float gelu_tanh_slope(float x)
{
    float u = gelu_tanh_inner(x), s = sigmoid(u);
    return fabsf(x) < 16 ? s + x * s * sigmoid(-u) * (1.59576912f + 0.214064449f * x * x) : s; /* beyond it x² could be infinite */
}

static float activate(float x, fv_act act)
{
    switch (act) {
    case FV_ACT_RELU: return x > 0 ? x : 0;
    case FV_ACT_GELU: return 0.5f * x * erfcf(-0.70710678f * x); /* erfc keeps the left tail's digits */
    case FV_ACT_TANH: return tanhf(x);
    case FV_ACT_SILU: return x * sigmoid(x);
    case FV_ACT_GELU_TANH: return x * sigmoid(gelu_tanh_inner(x));
    case FV_ACT_NONE: break;
    }
    return x;
}

static float slope(float x, fv_act act)
{
    switch (act) {
    case FV_ACT_RELU: return x > 0;
    case FV_ACT_GELU: return 0.5f * erfcf(-0.70710678f * x) + x * 0.39894228f * expf(-0.5f * x * x);
    case FV_ACT_TANH: return 1 - tanhf(x) * tanhf(x);
    case FV_ACT_SILU: return sigmoid(x) * (1 + x * sigmoid(-x));
    case FV_ACT_GELU_TANH: return gelu_tanh_slope(x);
    case FV_ACT_NONE: break;
    }
    return 1;
}

/* ---- Products ----------------------------------------------------------------------------- */

static void pack(float *out, int64_t width, const float *x, int64_t ldx, bool transpose, int64_t used, int64_t k)
{
    for (int64_t l = 0; l < k; l++) {
        for (int64_t i = 0; i < used; i++) out[l * width + i] = transpose ? x[i * ldx + l] : x[l * ldx + i];
    }
}

static void turn(float *out, const float *x, int64_t ldx, float scale, int64_t used, int64_t k)
{
    for (int64_t i = 0; i < used; i++) {
        for (int64_t l = 0; l < k; l++) out[(i / NR * k + l) * NR + i % NR] = scale * x[i * ldx + l];
    }
}

/* a's element (i, l) lies at a[i·a_row + l·a_step]. */
static void tile_any(float *c, int64_t ldc, const float *a, int64_t a_row, int64_t a_step, const float *b, int64_t b_step, int64_t k, int rows, int cols, bool add)
{
    for (int i = 0; i < rows; i++) {
        float sum[NR] = {0};
        for (int64_t l = 0; l < k; l++) {
            for (int j = 0; j < cols; j++) sum[j] += a[i * a_row + l * a_step] * b[l * b_step + j];
        }
        for (int j = 0; j < cols; j++) c[i * ldc + j] = add ? c[i * ldc + j] + sum[j] : sum[j];
    }
}

static void tile(float *c, int64_t ldc, const float *a, int64_t a_step, const float *b, int64_t b_step, fv_ahead ahead, int64_t k, int rows, int cols, bool add)
{
    (void)ahead;
    tile_any(c, ldc, a, 1, a_step, b, b_step, k, rows, cols, add);
}

static void tile_rows(float *c, int64_t ldc, const float *a, const float *b, int64_t b_step, int64_t k, int rows, int cols, bool add)
{
    tile_any(c, ldc, a, FV_TILE_LD, 1, b, b_step, k, rows, cols, add);
}

static void epilogue(float *c, int64_t ldc, int rows, int cols, const fv_epilogue *e)
{
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < cols; j++) {
            float x = c[i * ldc + j] + (e->bias ? e->bias[j] : 0);
            if (e->pre) e->pre[i * e->ldpre + j] = x;
            x = activate(x, e->act);
            c[i * ldc + j] = e->residual ? x + e->residual[i * e->ldres + j] : x;
        }
    }
}

/* ---- Attention ---------------------------------------------------------------------------- */

static bool sees(const fv_score_tile *t, int lane, int32_t row)
{
    int32_t key = t->first_key + row;
    return !t->lo || (key >= t->lo[lane] && key < t->hi[lane]);
}

static bool keeps(const fv_score_tile *t, int lane, int32_t row)
{
    if (!t->row_keys) return true;
    uint32_t key = (uint32_t)(t->first_key + row);
    uint32_t word = fv_random_word(t->row_keys[lane], key / 4);
    return (word >> (24 - 8 * (key % 4)) & 0xff) >= t->drop;
}

static void softmax_lane(const fv_score_tile *t, int lane, float *max, float *sum, float *alpha)
{
    float top = *max, total = 0;
    for (int32_t r = 0; r < t->n_keys; r++) {
        float s = t->s[r * t->ld + lane];
        if (sees(t, lane, r) && !(s <= top)) top = s; /* a score that is no number is taken, so that it shows */
    }
    float base = top == -INFINITY ? 0 : top; /* nothing seen yet: -inf - -inf would be NaN */
    for (int32_t r = 0; r < t->n_keys; r++) {
        float *s = &t->s[r * t->ld + lane];
        float p = sees(t, lane, r) ? expf(*s - base) : 0;
        total += p;
        *s = keeps(t, lane, r) ? p : 0;
    }
    *alpha = expf(*max - base);
    *sum = *sum * *alpha + total;
    *max = top;
}

static void softmax_tile(const fv_score_tile *t, float *max, float *sum, float *alpha)
{
    for (int lane = 0; lane < t->lanes; lane++) softmax_lane(t, lane, max + lane, sum + lane, alpha + lane);
}

static void softmax_grad_tile(const fv_score_tile *t, float *dp, const float *lse, const float *delta, float scale)
{
    for (int32_t r = 0; r < t->n_keys; r++) {
        for (int lane = 0; lane < t->lanes; lane++) {
            float *s = &t->s[r * t->ld + lane], *d = &dp[r * t->ld + lane];
            float p = sees(t, lane, r) ? expf(*s - lse[lane]) : 0;
            bool kept = keeps(t, lane, r);
            *s = kept ? p : 0;
            *d = p * ((kept ? *d : 0) * scale - delta[lane]);
        }
    }
}

static void give(float *y, float value, bool add) { *y = add ? *y + value : value; }

static void dot_rows(float *s, const float *q, const float *const *rows, int64_t at, int64_t n, int64_t D, float scale)
{
    for (int64_t i = 0; i < n; i++) {
        float sum = 0;
        for (int64_t d = 0; d < D; d++) sum += q[d] * rows[i][at + d];
        s[i] = scale * sum;
    }
}

static void softmax(float *s, int64_t n)
{
    float top = s[0], sum = 0;
    for (int64_t i = 1; i < n; i++) {
        if (s[i] > top) top = s[i];
    }
    for (int64_t i = 0; i < n; i++) sum += s[i] = expf(s[i] - top);
    for (int64_t i = 0; i < n; i++) s[i] *= 1 / sum;
}

static void mix_rows(float *y, bool add, const float *w, const float *const *rows, int64_t at, int64_t n, int64_t D)
{
    for (int64_t d = 0; d < D; d++) {
        float sum = 0;
        for (int64_t i = 0; i < n; i++) sum += w[i] * rows[i][at + d];
        give(y + d, sum, add);
    }
}

/* ---- Rows --------------------------------------------------------------------------------- */

static void scan(int32_t *sums, int64_t ld, const int8_t *rows, int n_rows, const int16_t *queries, int n_queries, int64_t stride)
{
    for (int q = 0; q < n_queries; q++) {
        for (int r = 0; r < n_rows; r++) {
            int32_t sum = 0;
            for (int64_t k = 0; k < stride; k++) sum += rows[r * stride + k] * queries[q * stride + k];
            sums[q * ld + r] = sum;
        }
    }
}

static float dot(const float *a, const float *b, int64_t n)
{
    float sum = 0;
    for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

static void copy(float *y, int64_t ldy, bool add, const float *x, int64_t ldx, float scale, int64_t rows, int64_t n)
{
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = 0; i < n; i++) give(&y[r * ldy + i], scale * x[r * ldx + i], add);
    }
}

static void scale_rows(float *x, int64_t ldx, const float *scales, int64_t rows, int64_t n)
{
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = 0; i < n; i++) x[r * ldx + i] *= scales[r];
    }
}

static void add_row(float *y, const float *a, const float *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] = a[i] + b[i];
}

static void sum_rows(float *out, bool add, const float *x, int64_t ldx, int64_t rows, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int64_t r = 0; r < rows; r++) sum += x[r * ldx + i];
        give(out + i, (float)sum, add);
    }
}

static double sum_squares(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
    return sum;
}

static void act_forward(float *y, const float *x, int64_t n, fv_act act)
{
    for (int64_t i = 0; i < n; i++) y[i] = activate(x[i], act);
}

static void act_backward(float *dx, bool add, const float *dy, const float *x, int64_t n, fv_act act)
{
    for (int64_t i = 0; i < n; i++) give(dx + i, dy[i] * slope(x[i], act), add);
}

static void norm_forward(float *y, float *mean, float *rstd, const float *x, const float *w, const float *b, int64_t n, float eps)
{
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i];
    double mu = sum / (double)n;
    for (int64_t i = 0; i < n; i++) squares += (x[i] - mu) * (x[i] - mu);
    *mean = (float)mu;
    *rstd = (float)(1 / sqrt(squares / (double)n + eps));
    for (int64_t i = 0; i < n; i++) y[i] = (x[i] - *mean) * *rstd * w[i] + b[i];
}

static void norm_backward(float *dx, bool add, float *dw, float *db, const float *dy, const float *x, const float *w, float mean, float rstd, int64_t n)
{
    float sum = 0, along = 0;
    for (int64_t i = 0; i < n; i++) {
        float normal = (x[i] - mean) * rstd;
        sum += dy[i] * w[i];
        along += dy[i] * w[i] * normal;
        if (dw) {
            dw[i] += dy[i] * normal;
            db[i] += dy[i];
        }
    }
    if (!dx) return;
    for (int64_t i = 0; i < n; i++) {
        float normal = (x[i] - mean) * rstd;
        give(dx + i, rstd * (dy[i] * w[i] - sum / (float)n - normal * (along / (float)n)), add);
    }
}

static float log_sum_exp(const float *x, int64_t n, float *sum)
{
    float top = -INFINITY;
    double all = 0, exps = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!(x[i] <= top)) top = x[i];
        all += x[i];
    }
    for (int64_t i = 0; i < n; i++) exps += expf(x[i] - top);
    *sum = (float)all;
    return top + (float)log(exps);
}

static void block_tops(float *tops, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        float *top = tops + i / FV_TOP_BLOCK;
        if (i % FV_TOP_BLOCK == 0) *top = -INFINITY;
        if (x[i] > *top) *top = x[i];
    }
}

static void softmax_row(float *dx, bool add, const float *x, int64_t n, float lse, float weight, float shift)
{
    for (int64_t i = 0; i < n; i++) give(dx + i, weight * expf(x[i] - lse) - shift, add);
}

static void dropout_row(float *y, bool add, const float *x, const float *residual, int64_t n, uint32_t row_key, uint32_t drop, float scale)
{
    for (int64_t c = 0; c < n; c++) {
        uint32_t word = fv_random_word(row_key, (uint32_t)(c / 64 * 16 + c % 16));
        bool kept = (word >> (24 - 8 * (c / 16 % 4)) & 0xff) >= drop;
        give(y + c, (kept ? x[c] * scale : 0) + (residual ? residual[c] : 0), add);
    }
}

/* ---- Parameters --------------------------------------------------------------------------- */

static void adam(float *w, float *m, float *v, const float *grad, int64_t n, const fv_adam *o)
{
    for (int64_t i = 0; i < n; i++) {
        float g = grad[i] * o->grad_scale, x = w[i];
        if (o->decoupled) x *= 1 - o->lr * o->decay;
        else g += o->decay * x;
        m[i] = o->beta1 * m[i] + (1 - o->beta1) * g;
        v[i] = o->beta2 * v[i] + (1 - o->beta2) * g * g;
        w[i] = x - o->lr / o->correction1 * m[i] / (sqrtf(v[i]) / sqrtf(o->correction2) + o->epsilon);
    }
}

/* ---- Measure ------------------------------------------------------------------------------ */

static void triad(float *a, const float *b, const float *c, float s, int64_t n)
{
    for (int64_t i = 0; i < n; i++) a[i] = b[i] + s * c[i];
}

static double fma_chains(int64_t steps)
{
    enum { CHAINS = 16 };
    float a[CHAINS];
    volatile float x = 0.999f, y = 0.001f, last; /* volatile: else the loop would be computed beforehand */
    float u = x, w = y;
    for (int i = 0; i < CHAINS; i++) a[i] = (float)i;
    for (int64_t s = 0; s < steps; s++) {
        for (int i = 0; i < CHAINS; i++) a[i] = a[i] * u + w;
    }
    for (int i = 0; i < CHAINS; i++) last = a[i];
    (void)last;
    return (double)steps * CHAINS * 2;
}

const fv_isa_table fv_isa_plain = {
    .name = "plain", .supported = supported, .lanes = 1, .mr = MR, .nr = NR,
    .pack = pack, .turn = turn, .tile = tile, .tile_rows = tile_rows, .epilogue = epilogue,
    .softmax_tile = softmax_tile, .softmax_grad_tile = softmax_grad_tile,
    .dot_rows = dot_rows, .softmax = softmax, .mix_rows = mix_rows,
    .dot = dot, .copy = copy, .scale_rows = scale_rows, .add_row = add_row, .sum_rows = sum_rows, .sum_squares = sum_squares,
    .act_forward = act_forward, .act_backward = act_backward,
    .norm_forward = norm_forward, .norm_backward = norm_backward,
    .log_sum_exp = log_sum_exp, .block_tops = block_tops, .scan = scan, .softmax_row = softmax_row, .dropout_row = dropout_row,
    .adam = adam, .triad = triad, .fma_chains = fma_chains,
};
