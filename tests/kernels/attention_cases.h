/* Attention problems for attention_test.c and attention_backward_test.c: ragged sequences with every
 * kind of bound, and the same in float64 with the whole matrix of weights.
 *
 * The mask of dropout is not computed here a second time: it is read off the kernels, by attending to
 * values that are one-hot in the key, and then used by the reference for forward and backward. */
#ifndef FV_TESTS_KERNELS_ATTENTION_CASES_H
#define FV_TESTS_KERNELS_ATTENTION_CASES_H

#include "kernels/check.h"

enum { MOST_SEQUENCES = 8 };

typedef struct shape {
    const char *name;
    int32_t B, H, K, D;
    int32_t n[MOST_SEQUENCES], m[MOST_SEQUENCES]; /* queries and keys of each sequence */
    bool causal;
    int32_t window;
    int32_t limits[MOST_SEQUENCES];               /* -1: none at all */
    float dropout, reach;                         /* reach: inputs lie in [-reach, reach]; 0: 1 */
    int32_t span;                                 /* 0: no biases */
} shape;

static const shape shapes[] = {
    {.name = "one token", .B = 1, .H = 1, .K = 1, .D = 16, .n = {1}, .m = {1}, .limits = {-1}},
    {.name = "short, ragged", .B = 5, .H = 4, .K = 4, .D = 32, .n = {15, 3, 0, 33, 8}, .m = {15, 3, 0, 33, 8}, .limits = {-1}},
    {.name = "odd head size", .B = 2, .H = 2, .K = 2, .D = 19, .n = {50, 21}, .m = {50, 21}, .limits = {-1}},
    {.name = "wide head", .B = 1, .H = 1, .K = 1, .D = 128, .n = {70}, .m = {70}, .limits = {-1}},
    {.name = "tiny head", .B = 2, .H = 3, .K = 3, .D = 1, .n = {5, 40}, .m = {5, 40}, .limits = {-1}},
    {.name = "long", .B = 1, .H = 1, .K = 1, .D = 64, .n = {350}, .m = {350}, .limits = {-1}},
    {.name = "causal", .B = 3, .H = 2, .K = 2, .D = 24, .n = {1, 65, 340}, .m = {1, 65, 340}, .causal = true, .limits = {-1}},
    {.name = "causal, more keys", .B = 2, .H = 1, .K = 1, .D = 16, .n = {7, 100}, .m = {20, 129}, .causal = true, .limits = {-1}},
    {.name = "causal, fewer keys", .B = 2, .H = 1, .K = 1, .D = 16, .n = {20, 100}, .m = {7, 60}, .causal = true, .limits = {-1}},
    {.name = "window", .B = 2, .H = 2, .K = 1, .D = 16, .n = {150, 9}, .m = {150, 9}, .window = 5, .limits = {-1}},
    {.name = "causal window", .B = 2, .H = 2, .K = 2, .D = 16, .n = {400, 13}, .m = {400, 13}, .causal = true, .window = 40, .limits = {-1}},
    {.name = "limits", .B = 4, .H = 2, .K = 2, .D = 16, .n = {30, 40, 5, 6}, .m = {30, 40, 5, 6}, .limits = {11, 40, 0, 99}},
    {.name = "limits, causal", .B = 2, .H = 2, .K = 2, .D = 16, .n = {30, 70}, .m = {30, 70}, .causal = true, .limits = {11, 50}},
    {.name = "cross", .B = 4, .H = 4, .K = 4, .D = 32, .n = {10, 0, 37, 4}, .m = {45, 6, 12, 0}, .limits = {-1}},
    {.name = "grouped heads", .B = 2, .H = 6, .K = 2, .D = 16, .n = {40, 12}, .m = {40, 12}, .limits = {-1}},
    {.name = "dropout", .B = 3, .H = 2, .K = 2, .D = 16, .n = {50, 7, 90}, .m = {50, 7, 90}, .limits = {-1}, .dropout = 0.1f},
    {.name = "dropout, causal window, grouped", .B = 2, .H = 4, .K = 2, .D = 16, .n = {120, 31}, .m = {130, 31}, .causal = true, .window = 50, .limits = {-1}, .dropout = 0.4f},
    {.name = "biases, one token", .B = 1, .H = 2, .K = 2, .D = 16, .n = {1}, .m = {1}, .limits = {-1}, .span = 1},
    {.name = "biases, short, ragged", .B = 5, .H = 4, .K = 4, .D = 32, .n = {15, 3, 0, 33, 8}, .m = {15, 3, 0, 33, 8}, .limits = {-1}, .span = 40},
    {.name = "biases, long", .B = 1, .H = 1, .K = 1, .D = 100, .n = {350}, .m = {350}, .limits = {-1}, .span = 20},
    {.name = "biases, causal window", .B = 2, .H = 2, .K = 2, .D = 16, .n = {400, 13}, .m = {400, 13}, .causal = true, .window = 40, .limits = {-1}, .span = 32},
    {.name = "biases, cross", .B = 4, .H = 4, .K = 4, .D = 19, .n = {10, 0, 137, 4}, .m = {45, 6, 12, 0}, .limits = {-1}, .span = 9},
    {.name = "biases, limits, dropout, grouped", .B = 3, .H = 4, .K = 2, .D = 16, .n = {120, 31, 5}, .m = {130, 31, 5}, .limits = {99, 40, 0}, .dropout = 0.4f, .span = 5},
    {.name = "biases, many sequences, causal", .B = 8, .H = 6, .K = 6, .D = 24, .n = {70, 7, 9, 65, 66, 1, 20, 33}, .m = {70, 7, 9, 65, 66, 1, 20, 33}, .causal = true, .limits = {-1}, .span = 3},
    {.name = "large scores", .B = 1, .H = 1, .K = 1, .D = 16, .n = {40}, .m = {40}, .limits = {-1}, .reach = 12},
};

/* A shape with its operands. Queries, keys and values lie in one array, as a fused projection leaves
 * them, when there are as many; in any case rows have gaps. */
typedef struct problem {
    fv_attention a;
    int32_t q_offsets[MOST_SEQUENCES + 1], k_offsets[MOST_SEQUENCES + 1];
    uint64_t sequences[MOST_SEQUENCES];
    int32_t N, M;
    grid q, k, v, out, lse, bias;
} problem;

static inline void problem_init(problem *p, const shape *s)
{
    *p = (problem){0};
    for (int32_t b = 0; b < s->B; b++) {
        p->q_offsets[b + 1] = p->q_offsets[b] + s->n[b];
        p->k_offsets[b + 1] = p->k_offsets[b] + s->m[b];
        p->sequences[b] = 1000u + 7u * (uint64_t)b;
    }
    float reach = s->reach > 0 ? s->reach : 1;
    p->N = p->q_offsets[s->B];
    p->M = p->k_offsets[s->B];
    p->q = grid_new(p->N, s->H * s->D, 3);
    p->k = grid_new(p->M, s->K * s->D, 5);
    p->v = grid_made(p->M, s->K * s->D, 1);
    grid_random(&p->q, -reach, reach);
    grid_random(&p->k, -reach, reach);
    p->out = grid_new(p->N, s->H * s->D, 2);
    p->lse = grid_new(p->N, s->H, 0);
    p->bias = grid_made(s->H, 2 * s->span + 1, 4);
    p->a = (fv_attention){
        .B = s->B, .H = s->H, .K = s->K, .D = s->D, .q_offsets = p->q_offsets, .k_offsets = p->k_offsets,
        .k_limits = s->limits[0] < 0 ? NULL : s->limits, .sequences = p->sequences, .scale = 0.9f / sqrtf((float)s->D),
        .causal = s->causal, .window = s->window, .dropout = s->dropout, .key = 77,
        .q = p->q.at, .k = p->k.at, .v = p->v.at, .ldq = p->q.ld, .ldk = p->k.ld, .ldv = p->v.ld,
        .out = p->out.at, .lse = p->lse.at, .ldo = p->out.ld,
        .bias = s->span ? p->bias.at : NULL, .ldbias = p->bias.ld, .span = s->span,
    };
}

static inline void problem_release(problem *p)
{
    grid_free(&p->q);
    grid_free(&p->k);
    grid_free(&p->v);
    grid_free(&p->out);
    grid_free(&p->lse);
    grid_free(&p->bias);
}

/* Scratch full of NaN, with a guard behind it. */
static inline uint8_t *scratch_new(const fv_attention *a, int threads)
{
    size_t bytes = fv_attention_scratch(a, threads);
    uint8_t *scratch = fv_alloc(bytes + 64, NULL);
    assert_non_null(scratch);
    memset(scratch, 0xff, bytes + 64);
    return scratch;
}

static inline void scratch_free(uint8_t *scratch, const fv_attention *a, int threads)
{
    size_t bytes = fv_attention_scratch(a, threads);
    for (size_t i = 0; i < 64; i++) assert_int_equal(scratch[bytes + i], 0xff);
    fv_free(scratch);
}

static inline void attend(const fv_attention *a, fv_pool *pool)
{
    int threads = pool ? fv_pool_threads(pool) : 1;
    uint8_t *scratch = scratch_new(a, threads);
    fv_attention_forward(a, pool, scratch);
    scratch_free(scratch, a, threads);
}

static inline bool visible(const fv_attention *a, int32_t b, int32_t i, int32_t j)
{
    int64_t n = a->q_offsets[b + 1] - a->q_offsets[b], m = a->k_offsets[b + 1] - a->k_offsets[b], place = i + m - n;
    if (a->causal && j > place) return false;
    if (a->window > 0 && llabs(j - place) >= a->window) return false;
    return !a->k_limits || j < a->k_limits[b];
}

/* Which of a head's biases query i and key j meet. */
static inline int64_t bias_of(const fv_attention *a, int32_t b, int32_t i, int32_t j)
{
    int64_t n = a->q_offsets[b + 1] - a->q_offsets[b], m = a->k_offsets[b + 1] - a->k_offsets[b], away = j - (i + m - n);
    return away < -a->span ? 0 : away > a->span ? 2 * a->span : a->span + away;
}

/* All weights of all sequences and heads in float64, with lse; [b] points to [H][n][m]. */
typedef struct truth {
    double *weights[MOST_SEQUENCES], *kept[MOST_SEQUENCES]; /* kept: 1 or 0 by dropout */
    double *lse;                                            /* [N][H] */
} truth;

static inline int64_t truth_at(const fv_attention *a, int32_t b, int32_t h, int32_t i, int32_t j)
{
    int64_t n = a->q_offsets[b + 1] - a->q_offsets[b], m = a->k_offsets[b + 1] - a->k_offsets[b];
    return (h * n + i) * m + j;
}

static inline void truth_row(truth *t, const problem *p, int32_t b, int32_t h, int32_t i)
{
    const fv_attention *a = &p->a;
    int32_t m = a->k_offsets[b + 1] - a->k_offsets[b], kh = h / (a->H / a->K);
    int64_t row = a->q_offsets[b] + i;
    double top = -INFINITY, sum = 0, *w = t->weights[b] + truth_at(a, b, h, i, 0);
    for (int32_t j = 0; j < m; j++) {
        double s = 0;
        for (int32_t d = 0; d < a->D; d++) s += (double)a->q[row * a->ldq + h * a->D + d] * a->k[(a->k_offsets[b] + j) * a->ldk + kh * a->D + d];
        w[j] = visible(a, b, i, j) ? s * a->scale + (a->bias ? (double)a->bias[h * a->ldbias + bias_of(a, b, i, j)] : 0) : -INFINITY;
        if (w[j] > top) top = w[j];
    }
    for (int32_t j = 0; j < m; j++) sum += w[j] == -INFINITY ? 0 : exp(w[j] - top);
    t->lse[row * a->H + h] = sum > 0 ? top + log(sum) : -INFINITY;
    for (int32_t j = 0; j < m; j++) w[j] = w[j] == -INFINITY ? 0 : exp(w[j] - top) / sum;
}

static inline truth truth_new(const problem *p)
{
    const fv_attention *a = &p->a;
    truth t = {.lse = doubles((int64_t)p->N * a->H)};
    for (int32_t b = 0; b < a->B; b++) {
        int32_t n = a->q_offsets[b + 1] - a->q_offsets[b], m = a->k_offsets[b + 1] - a->k_offsets[b];
        t.weights[b] = doubles((int64_t)a->H * n * m);
        t.kept[b] = doubles((int64_t)a->H * n * m);
        for (int64_t x = 0; x < (int64_t)a->H * n * m; x++) t.kept[b][x] = 1;
        for (int32_t h = 0; h < a->H; h++) {
            for (int32_t i = 0; i < n; i++) truth_row(&t, p, b, h, i);
        }
    }
    return t;
}

static inline void truth_free(truth *t)
{
    for (int b = 0; b < MOST_SEQUENCES; b++) {
        free(t->weights[b]);
        free(t->kept[b]);
    }
    free(t->lse);
}

static inline double keep_share(const fv_attention *a) { return (256 - floor(256 * (double)a->dropout + 0.5)) / 256; }

/* One pass of read_mask: which of the keys first .. first + D - 1 each query kept, read as whether the
 * output is 0 where the value is 1 for that key alone. Weights are never 0 here. */
static inline void read_mask_part(truth *t, const problem *p, const grid *values, const grid *out, int32_t first)
{
    const fv_attention *a = &p->a;
    for (int32_t b = 0; b < a->B; b++) {
        int32_t n = a->q_offsets[b + 1] - a->q_offsets[b], m = a->k_offsets[b + 1] - a->k_offsets[b];
        for (int32_t h = 0; h < a->H; h++) {
            for (int32_t i = 0; i < n; i++) {
                for (int32_t j = first; j < m && j < first + a->D; j++) {
                    if (visible(a, b, i, j)) t->kept[b][truth_at(a, b, h, i, j)] = grid_get(out, a->q_offsets[b] + i, h * a->D + j - first) != 0;
                }
            }
        }
    }
    (void)values;
}

/* Asks the kernels which weights they drop. */
static inline void read_mask(truth *t, const problem *p)
{
    fv_attention a = p->a;
    int32_t longest = 0;
    grid values = grid_made(p->M, a.K * a.D, 0), out = grid_new(p->N, a.H * a.D, 0);
    for (int32_t b = 0; b < a.B; b++) longest = a.k_offsets[b + 1] - a.k_offsets[b] > longest ? a.k_offsets[b + 1] - a.k_offsets[b] : longest;
    a.v = values.at;
    a.ldv = values.ld;
    a.out = out.at;
    a.ldo = out.ld;
    for (int32_t first = 0; first < longest; first += a.D) {
        for (int32_t b = 0; b < a.B; b++) {
            for (int32_t row = a.k_offsets[b]; row < a.k_offsets[b + 1]; row++) {
                for (int32_t c = 0; c < a.K * a.D; c++) values.at[row * values.ld + c] = row - a.k_offsets[b] - first == c % a.D;
            }
        }
        attend(&a, NULL);
        read_mask_part(t, p, &values, &out, first);
    }
    grid_free(&values);
    grid_free(&out);
}

#endif
