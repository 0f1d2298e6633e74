/* attend_step: attention of one new token a row against cached keys and values: a step of decoding.
 *   q [R, H·D], k_new and v_new [R, K·D] or both NULL   ->   [R, H·D]
 * New keys and values are copied into their slots of the cache first, and so may be among what is looked at. Without
 * them the cache is as somebody filled it: the source's keys in cross-attention. Runs forward only.
 *
 * The trap: what the cache points to is read when the graph runs, not when it is built, so no check of lengths and
 * slots is possible before; a wrong one is our own mistake, and stops. */
#include "graph/step_cache.h"
#include "graph/op.h"
#include "ops.h"

#include <math.h>
#include <string.h>

enum { Q, K, V };

static fv_status check_input(const fv_tensor *t, const char *name, int64_t rows, int64_t cols, fv_err *err)
{
    if (t->rows == rows && t->cols == cols) return FV_OK;
    return FV_FAIL(err, FV_E_SHAPE, "%s is [%lld, %lld]; expected [%lld, %lld]", name, (long long)t->rows, (long long)t->cols, (long long)rows, (long long)cols);
}

static fv_attention_step bound(const fv_node *node)
{
    const fv_step_cache *c = node->args;
    const fv_tensor *q = node->in[Q], *y = node->out;
    return (fv_attention_step){
        .R = (int32_t)q->rows, .H = c->H, .K = c->K, .D = c->D, .scale = c->scale,
        .q = q->data, .ldq = q->stride, .k = c->k, .ldk = c->ld, .v = c->v, .ldv = c->ld,
        .places = c->places, .ldplaces = c->ldplaces, .firsts = c->firsts, .lengths = c->lengths,
        .bias = c->bias, .span = c->span, .out = y->data, .ldo = y->stride, .weights = c->weights, .ldweights = c->ldweights,
    };
}

static fv_status check(fv_node *node, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_step_cache *c = node->args;
    const fv_tensor *q = node->in[Q], *k = node->in[K], *v = node->in[V];
    if (c->H < 1 || c->K < 1 || c->D < 1 || c->H % c->K) return FV_FAIL(err, FV_E_SHAPE, "%d query heads over %d key heads of size %d; expected a multiple", c->H, c->K, c->D);
    int64_t width = (int64_t)c->K * c->D;
    if (c->ld < width) return FV_FAIL(err, FV_E_SHAPE, "rows of the cache are %lld apart; expected at least %lld", (long long)c->ld, (long long)width);
    if (!k != !v) return FV_FAIL(err, FV_E_SHAPE, "new keys and new values go together; expected both or neither");
    FV_TRY(check_input(q, "q", q->rows, (int64_t)c->H * c->D, err));
    if (k) FV_TRY(check_input(k, "new keys", q->rows, width, err));
    if (v) FV_TRY(check_input(v, "new values", q->rows, width, err));
    node->out->rows = q->rows;
    node->out->cols = node->out->stride = q->cols;
    fv_attention_step s = bound(node);
    node->scratch_forward = fv_attention_step_scratch(&s, c->most_keys, node->threads);
done:
    return status;
}

/* Few floats a row: a job of its own would cost more than one thread takes. */
static void keep_new(const fv_step_cache *c, float *cache, const fv_tensor *x)
{
    for (int64_t r = 0; r < x->rows; r++) {
        FV_ASSERT(c->slots[r] >= 0 && c->slots[r] < c->n_slots);
        memcpy(cache + c->slots[r] * c->ld, x->data + r * x->stride, (size_t)x->cols * sizeof *cache);
    }
}

static void forward(const fv_node *node, const fv_run *run)
{
    const fv_step_cache *c = node->args;
    fv_attention_step s = bound(node);
    for (int32_t r = 0; r < s.R; r++) FV_ASSERT(c->lengths[r] >= 0 && c->lengths[r] <= c->most_keys);
    if (node->in[K]) {
        keep_new(c, c->k, node->in[K]);
        keep_new(c, c->v, node->in[V]);
    }
    fv_attention_step_forward(&s, run->pool, node->scratch);
}

/* Column i of a key or value: a new one's from the input, whatever the cache now holds. */
static double cached(const fv_node *node, const float *cache, const double *fresh, int32_t slot, int64_t i)
{
    const fv_step_cache *c = node->args;
    for (int64_t r = 0; fresh && r < node->in[Q]->rows; r++)
        if (c->slots[r] == slot) return fresh[r * c->K * c->D + i];
    return (double)cache[slot * c->ld + i];
}

static int32_t slot_of(const fv_step_cache *c, int64_t r, int32_t j) { return c->places ? c->places[r * c->ldplaces + j] : c->firsts[r] + j; }

static double bias_of(const fv_step_cache *c, int32_t h, int32_t away)
{
    int32_t place = away < -c->span ? -c->span : away;
    return c->bias ? (double)c->bias[h * (2 * c->span + 1) + c->span + place] : 0;
}

/* One row of one head, written plainly. */
static void attend_row(const fv_node *node, int64_t r, int32_t h, const double *const *in, double *out, double *w)
{
    const fv_step_cache *c = node->args;
    int64_t first = (int64_t)h * c->K / c->H * c->D, row = r * c->H * c->D + (int64_t)h * c->D;
    int32_t n = c->lengths[r];
    double top = -INFINITY, sum = 0;
    for (int32_t j = 0; j < n; j++) {
        w[j] = bias_of(c, h, j - (n - 1));
        for (int d = 0; d < c->D; d++) w[j] += (double)c->scale * in[Q][row + d] * cached(node, c->k, in[K], slot_of(c, r, j), first + d);
        top = fmax(top, w[j]);
    }
    for (int32_t j = 0; j < n; j++) sum += w[j] = exp(w[j] - top);
    for (int d = 0; d < c->D; d++) {
        out[row + d] = 0;
        for (int32_t j = 0; j < n; j++) out[row + d] += w[j] / sum * cached(node, c->v, in[V], slot_of(c, r, j), first + d);
    }
}

static void reference(const fv_node *node, const fv_run *run, const double *const *in, double *out)
{
    (void)run;
    const fv_step_cache *c = node->args;
    double *w = fv_alloc_zero((size_t)c->most_keys + 1, sizeof *w, NULL);
    FV_ASSERT(w);
    for (int64_t r = 0; r < node->in[Q]->rows; r++)
        for (int32_t h = 0; h < c->H; h++) attend_row(node, r, h, in, out, w);
    fv_free(w);
}

/* Of the longest rows that may come. */
static double flops(const fv_node *node, bool backward)
{
    const fv_step_cache *c = node->args;
    return backward ? 0 : 4.0 * (double)node->in[Q]->rows * c->most_keys * c->H * c->D;
}

static float *filled(fv_case *c, size_t n, double step)
{
    float *x = fv_graph_memory(fv_case_graph(c), n * sizeof *x);
    for (size_t i = 0; x && i < n; i++) x[i] = (float)sin(step * (double)i);
    return x;
}

/* Three rows with a cache of twelve slots. */
static fv_tensor *build(fv_case *c, fv_step_cache cache, bool fresh)
{
    enum { ROWS = 3, SLOTS = 12 };
    int64_t width = (int64_t)cache.K * cache.D;
    cache.ld = width + 2;
    cache.n_slots = SLOTS;
    cache.scale = 0.6f;
    cache.most_keys = 5;
    cache.k = filled(c, (size_t)(SLOTS * cache.ld), 1.7);
    cache.v = filled(c, (size_t)(SLOTS * cache.ld), 0.9);
    if (!cache.k || !cache.v) return NULL;
    fv_tensor *q = fv_case_input_scaled(c, "q", ROWS, (int64_t)cache.H * cache.D, 2, 0);
    fv_tensor *k = fresh ? fv_case_input_scaled(c, "k", ROWS, width, 2, 0) : NULL, *v = fresh ? fv_case_input(c, "v", ROWS, width) : NULL;
    return fv_attend_step(fv_case_graph(c), q, k, v, &cache);
}

static const int32_t slots[] = {3, 11, 5}, lengths[] = {4, 1, 3}, places[] = {0, 2, 1, 3, -1, 11, -1, -1, -1, -1, 2, 0, 5, -1, -1};
static const int32_t firsts[] = {7, 2, 2}, source_lengths[] = {5, 2, 0};
static const float biases[] = {0.1f, -0.4f, 0.9f, 77, 77, -0.3f, 0.6f, 0.2f, 77, 77};

static fv_tensor *gathered(fv_case *c) { return build(c, (fv_step_cache){.H = 2, .K = 2, .D = 8, .slots = slots, .lengths = lengths, .places = places, .ldplaces = 5}, true); }
static fv_tensor *biased(fv_case *c) { return build(c, (fv_step_cache){.H = 2, .K = 2, .D = 5, .slots = slots, .lengths = lengths, .places = places, .ldplaces = 5, .bias = biases, .span = 2}, true); }
static fv_tensor *cross(fv_case *c) { return build(c, (fv_step_cache){.H = 4, .K = 2, .D = 16, .lengths = source_lengths, .firsts = firsts}, false); }
static fv_tensor *heads_do_not_divide(fv_case *c) { return build(c, (fv_step_cache){.H = 3, .K = 2, .D = 8, .lengths = source_lengths, .firsts = firsts}, false); }

static fv_tensor *keys_without_values(fv_case *c)
{
    fv_step_cache cache = {.H = 1, .K = 1, .D = 4, .ld = 4, .n_slots = 12, .slots = slots, .lengths = lengths, .firsts = firsts, .most_keys = 5};
    return fv_attend_step(fv_case_graph(c), fv_case_input(c, "q", 3, 4), fv_case_input(c, "k", 3, 4), NULL, &cache);
}

static fv_tensor *rows_differ(fv_case *c)
{
    fv_step_cache cache = {.H = 1, .K = 1, .D = 4, .ld = 4, .n_slots = 12, .slots = slots, .lengths = lengths, .firsts = firsts, .most_keys = 5};
    return fv_attend_step(fv_case_graph(c), fv_case_input(c, "q", 3, 4), fv_case_input(c, "k", 2, 4), fv_case_input(c, "v", 3, 4), &cache);
}

/* 32 sentences in 4 beams against sources of 30 tokens each. */
static fv_tensor *typical(fv_case *c)
{
    enum { SENTENCES = 32, BEAMS = 4, TOKENS = 30, WIDTH = 512 };
    fv_graph *g = fv_case_graph(c);
    int32_t *starts = fv_graph_memory(g, SENTENCES * BEAMS * sizeof *starts), *counts = fv_graph_memory(g, SENTENCES * BEAMS * sizeof *counts);
    fv_step_cache cache = {.H = 8, .K = 8, .D = 64, .scale = 0.125f, .ld = WIDTH, .n_slots = SENTENCES * TOKENS, .firsts = starts, .lengths = counts, .most_keys = TOKENS};
    cache.k = filled(c, SENTENCES * TOKENS * WIDTH, 1.7);
    cache.v = filled(c, SENTENCES * TOKENS * WIDTH, 0.9);
    if (!starts || !counts || !cache.k || !cache.v) return NULL;
    for (int32_t r = 0; r < SENTENCES * BEAMS; r++) {
        starts[r] = r / BEAMS * TOKENS;
        counts[r] = TOKENS;
    }
    return fv_attend_step(g, fv_case_input(c, "q", SENTENCES * BEAMS, WIDTH), NULL, NULL, &cache);
}

static const fv_op_case cases[] = {{"gathered", gathered}, {"bias", biased}, {"cross", cross}};
static const fv_op_case refused[] = {{"heads do not divide", heads_do_not_divide}, {"keys without values", keys_without_values}, {"rows differ", rows_differ}};

const fv_op fv_op_attend_step = {
    .name = "attend_step", .says = "lets one new token a row look at those before it, whose keys and values are kept",
    .check = check, .forward = forward, .reference = reference, .flops = flops,
    FV_CASES(cases), FV_REFUSED(refused), .typical = typical, .tolerance = 2e-5,
};

FV_OP_FN fv_tensor *fv_attend_step(fv_graph *g, fv_tensor *q, fv_tensor *k_new, fv_tensor *v_new, const fv_step_cache *cache) {
    return fv_graph_add(g, &fv_op_attend_step, (fv_tensor *[]){q, k_new, v_new}, 3, 1u << Q, cache, sizeof *cache);
}
