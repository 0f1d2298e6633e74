/* attend: softmax(scale · q kᵀ + bounds + biases) v for each head of each sequence (Vaswani et al. 2017, eq. 1).
 *   q [N, H·D] by q_offsets, k and v [M, K·D] by k_offsets, bias [H, 2·span+1] by distance or none   ->   [N, H·D]
 * Self-attention when both offset arrays are one; cross-attention otherwise. The weights are never
 * kept: one log-sum-exp a row and head is, and fv_attention_weights computes asked-for rows again. */
#include "graph/op.h"
#include "ops.h"

#include <math.h>

enum { Q, K, V, BIAS };

static fv_status check_width(const fv_tensor *t, const char *name, int64_t width, int64_t rows, fv_err *err)
{
    if (t->cols == width && t->rows == rows) return FV_OK;
    return FV_FAIL(err, FV_E_SHAPE, "%s is [%lld, %lld]; heads and offsets say [%lld, %lld]", name, (long long)t->rows, (long long)t->cols, (long long)rows, (long long)width);
}

static fv_status check_offsets(const int32_t *offsets, int32_t B, const char *name, fv_err *err)
{
    if (offsets[0] != 0) return FV_FAIL(err, FV_E_SHAPE, "%s start at %d; expected 0", name, offsets[0]);
    for (int32_t b = 0; b < B; b++)
        if (offsets[b + 1] < offsets[b]) return FV_FAIL(err, FV_E_SHAPE, "%s go from %d back to %d", name, offsets[b], offsets[b + 1]);
    return FV_OK;
}

/* Data has no place yet: whether there are biases is all that counts here. */
static size_t scratch(const fv_node *node)
{
    fv_attention a = *(const fv_attention *)node->args;
    a.bias = node->in[BIAS] ? &a.scale : NULL;
    return fv_attention_scratch(&a, node->threads);
}

static fv_status check(fv_node *node, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_attention *a = node->args;
    const fv_tensor *bias = node->in[BIAS];
    if (a->B < 1 || a->H < 1 || a->K < 1 || a->D < 1 || a->H % a->K) return FV_FAIL(err, FV_E_SHAPE, "%d query heads over %d key heads of size %d; expected a multiple", a->H, a->K, a->D);
    if (!(a->dropout >= 0 && a->dropout < 1)) return FV_FAIL(err, FV_E_ARGUMENT, "dropout is %g; expected 0 or more, and less than 1", (double)a->dropout);
    FV_TRY(check_offsets(a->q_offsets, a->B, "query offsets", err));
    FV_TRY(check_offsets(a->k_offsets, a->B, "key offsets", err));
    FV_TRY(check_width(node->in[Q], "q", (int64_t)a->H * a->D, a->q_offsets[a->B], err));
    FV_TRY(check_width(node->in[K], "k", (int64_t)a->K * a->D, a->k_offsets[a->B], err));
    FV_TRY(check_width(node->in[V], "v", (int64_t)a->K * a->D, a->k_offsets[a->B], err));
    if (bias && (a->span < 0 || bias->rows != a->H || bias->cols != 2 * (int64_t)a->span + 1))
        FV_TRY(FV_FAIL(err, FV_E_SHAPE, "bias is [%lld, %lld]; %d heads and span %d say [heads, 2·span + 1]", (long long)bias->rows, (long long)bias->cols, a->H, a->span));
    node->out->rows = node->in[Q]->rows;
    node->out->cols = node->in[Q]->cols;
    node->aux_floats = node->out->rows * a->H;
    node->keeps = FV_KEEP_IN(Q) | FV_KEEP_IN(K) | FV_KEEP_IN(V) | FV_KEEP_IN(BIAS) | FV_KEEP_OUT;
    node->scratch_forward = node->scratch_backward = scratch(node);
done:
    return status;
}

static fv_attention bound(const fv_node *node, const fv_run *run)
{
    fv_attention a = *(const fv_attention *)node->args;
    const fv_tensor *q = node->in[Q], *k = node->in[K], *v = node->in[V], *bias = node->in[BIAS];
    a.q = q->data, a.ldq = q->stride;
    a.k = k->data, a.ldk = k->stride;
    a.v = v->data, a.ldv = v->stride;
    a.bias = bias ? bias->data : NULL, a.ldbias = bias ? bias->stride : 0;
    a.out = node->out->data, a.ldo = node->out->stride;
    a.lse = node->aux;
    a.key = fv_mix(run->key, node->key);
    if (!fv_graph_training(node->graph)) a.dropout = 0;
    return a;
}

static void forward(const fv_node *node, const fv_run *run)
{
    fv_attention a = bound(node, run);
    fv_attention_forward(&a, run->pool, node->scratch);
}

static void backward(const fv_node *node, const fv_run *run)
{
    fv_attention a = bound(node, run);
    /* All three or none: the kernel forms them in one pass over the scores. */
    fv_grad_to dq = fv_grad(node, Q), dk = fv_grad(node, K), dv = fv_grad(node, V);
    fv_grad_to dbias = fv_grad_zeroed(node, BIAS);
    FV_ASSERT(dq.data && dk.data && dv.data);
    fv_attention_grad g = {
        .dout = node->out->grad, .lddo = node->out->grad_stride,
        .dq = dq.data, .dk = dk.data, .dv = dv.data, .lddq = dq.stride, .lddk = dk.stride, .lddv = dv.stride,
        .add_q = dq.add, .add_k = dk.add, .add_v = dv.add, .dbias = dbias.data, .lddbias = dbias.stride,
    };
    fv_attention_backward(&a, &g, run->pool, node->scratch);
}

static bool visible(const fv_attention *a, int32_t b, int64_t i, int64_t j, int64_t n, int64_t m)
{
    int64_t place = i + (m - n), away = j > place ? j - place : place - j;
    return (!a->causal || j <= place) && (a->window <= 0 || away < a->window) && (!a->k_limits || j < a->k_limits[b]);
}

/* What is added to the score of query i and key j, which is `away` keys further. */
static double bias_of(const fv_attention *a, const double *biases, int h, int64_t away)
{
    int64_t span = a->span, at = away < -span ? -span : away > span ? span : away;
    return biases ? biases[h * (2 * span + 1) + span + at] : 0;
}

/* One row of one head, written plainly: scores, softmax over what is visible, weighted mean. */
static void attend_row(const fv_attention *a, int32_t b, int64_t i, int h, const double *const *in, double *out, double *w)
{
    int64_t k0 = a->k_offsets[b], m = a->k_offsets[b + 1] - k0, n = a->q_offsets[b + 1] - a->q_offsets[b];
    int64_t row = a->q_offsets[b] + i, kh = (int64_t)h * a->K / a->H, lq = (int64_t)a->H * a->D, lk = (int64_t)a->K * a->D;
    const double *q = in[Q] + row * lq + (int64_t)h * a->D;
    double top = -INFINITY, sum = 0;
    for (int64_t j = 0; j < m; j++) {
        w[j] = bias_of(a, in[BIAS], h, j - (i + m - n));
        for (int d = 0; d < a->D; d++) w[j] += q[d] * in[K][(k0 + j) * lk + kh * a->D + d] * (double)a->scale;
        if (!visible(a, b, i, j, n, m)) w[j] = -INFINITY;
        if (w[j] > top) top = w[j];
    }
    for (int64_t j = 0; j < m; j++) sum += w[j] = w[j] == -INFINITY ? 0 : exp(w[j] - top);
    for (int d = 0; d < a->D; d++) {
        double mixed = 0;
        for (int64_t j = 0; j < m; j++) mixed += w[j] * in[V][(k0 + j) * lk + kh * a->D + d];
        out[row * lq + (int64_t)h * a->D + d] = sum > 0 ? mixed / sum : 0;
    }
}

static void reference(const fv_node *node, const fv_run *run, const double *const *in, double *out)
{
    (void)run;
    const fv_attention *a = node->args;
    double *w = fv_alloc_zero((size_t)a->k_offsets[a->B] + 1, sizeof *w, NULL);
    FV_ASSERT(w && a->dropout == 0);
    for (int32_t b = 0; b < a->B; b++)
        for (int64_t i = 0; i < a->q_offsets[b + 1] - a->q_offsets[b]; i++)
            for (int h = 0; h < a->H; h++) attend_row(a, b, i, h, in, out, w);
    fv_free(w);
}

static double flops(const fv_node *node, bool backward) { return fv_attention_flops(node->args, backward); }

static const int32_t own[] = {0, 5, 6, 19}, other[] = {0, 3, 10, 11}, limits[] = {5, 1, 6}, backwards[] = {0, 5, 4, 19};

static fv_tensor *build(fv_case *c, fv_attention a)
{
    a.B = 3;
    a.scale = 1 / sqrtf((float)a.D);
    if (!a.q_offsets) a.q_offsets = own;
    if (!a.k_offsets) a.k_offsets = own;
    fv_tensor *q = fv_case_input_scaled(c, "q", a.q_offsets[3], (int64_t)a.H * a.D, 2, 0);
    fv_tensor *k = fv_case_input_scaled(c, "k", a.k_offsets[3], (int64_t)a.K * a.D, 2, 0);
    return fv_attend(fv_case_graph(c), q, k, fv_case_input(c, "v", a.k_offsets[3], (int64_t)a.K * a.D), &a);
}

static fv_tensor *build_biased(fv_case *c, fv_attention a, int64_t biases)
{
    a.B = 3;
    a.scale = 1 / sqrtf((float)a.D);
    a.q_offsets = own;
    if (!a.k_offsets) a.k_offsets = own;
    fv_tensor *q = fv_case_input_scaled(c, "q", own[3], (int64_t)a.H * a.D, 2, 0);
    fv_tensor *k = fv_case_input_scaled(c, "k", a.k_offsets[3], (int64_t)a.K * a.D, 2, 0);
    fv_tensor *v = fv_case_input(c, "v", a.k_offsets[3], (int64_t)a.K * a.D);
    return fv_attend_biased(fv_case_graph(c), q, k, v, fv_case_input(c, "bias", a.H, biases), &a);
}

static fv_tensor *full(fv_case *c) { return build(c, (fv_attention){.H = 2, .K = 2, .D = 8}); }
static fv_tensor *causal(fv_case *c) { return build(c, (fv_attention){.H = 1, .K = 1, .D = 16, .causal = true}); }
static fv_tensor *windowed(fv_case *c) { return build(c, (fv_attention){.H = 1, .K = 1, .D = 5, .window = 3}); }
static fv_tensor *limited(fv_case *c) { return build(c, (fv_attention){.H = 1, .K = 1, .D = 8, .k_limits = limits}); }
static fv_tensor *shared_keys(fv_case *c) { return build(c, (fv_attention){.H = 4, .K = 2, .D = 4}); }
static fv_tensor *cross(fv_case *c) { return build(c, (fv_attention){.H = 2, .K = 2, .D = 8, .k_offsets = other}); }
static fv_tensor *itself(fv_case *c) { return build(c, (fv_attention){.H = 2, .K = 2, .D = 8, .window = 1}); }
static fv_tensor *biased(fv_case *c) { return build_biased(c, (fv_attention){.H = 2, .K = 2, .D = 8, .span = 4}, 9); }
static fv_tensor *biased_causal(fv_case *c) { return build_biased(c, (fv_attention){.H = 2, .K = 1, .D = 5, .span = 20, .causal = true}, 41); }
static fv_tensor *biased_cross(fv_case *c) { return build_biased(c, (fv_attention){.H = 1, .K = 1, .D = 8, .k_offsets = other, .span = 2}, 5); }
static fv_tensor *biases_missing(fv_case *c) { return build_biased(c, (fv_attention){.H = 2, .K = 2, .D = 8, .span = 4}, 8); }
static fv_tensor *heads_do_not_divide(fv_case *c) { return build(c, (fv_attention){.H = 3, .K = 2, .D = 4}); }
static fv_tensor *offsets_go_back(fv_case *c) { return build(c, (fv_attention){.H = 1, .K = 1, .D = 4, .q_offsets = backwards}); }

/* Columns of one [N, 3C] product, as the models use it: strided inputs, one gradient for three views. */
static fv_tensor *views(fv_case *c)
{
    fv_graph *g = fv_case_graph(c);
    fv_tensor *qkv = fv_case_input(c, "qkv", own[3], 48);
    fv_attention a = {.B = 3, .H = 2, .K = 2, .D = 8, .scale = 0.35f, .q_offsets = own, .k_offsets = own};
    return fv_attend(g, fv_view_columns(g, qkv, 0, 16), fv_view_columns(g, qkv, 16, 16), fv_view_columns(g, qkv, 32, 16), &a);
}

/* At scale 0 all scores are equal: the mean of what is seen, and no slope for queries and keys. */
static fv_tensor *uniform(fv_case *c)
{
    fv_graph *g = fv_case_graph(c);
    fv_tensor *qkv = fv_case_input(c, "qkv", own[3], 48);
    fv_attention a = {.B = 3, .H = 2, .K = 2, .D = 8, .q_offsets = own, .k_offsets = own};
    return fv_attend(g, fv_view_columns(g, qkv, 0, 16), fv_view_columns(g, qkv, 16, 16), fv_view_columns(g, qkv, 32, 16), &a);
}

static fv_tensor *typical(fv_case *c)
{
    fv_graph *g = fv_case_graph(c);
    const int32_t *offsets = fv_case_offsets(c, 32, 64);
    fv_tensor *qkv = fv_case_input(c, "qkv", 2048, 1536);
    fv_attention a = {.B = 32, .H = 8, .K = 8, .D = 64, .scale = 0.125f, .q_offsets = offsets, .k_offsets = offsets, .sequences = fv_case_names(c, 32), .dropout = 0.1f};
    return fv_attend(g, fv_view_columns(g, qkv, 0, 512), fv_view_columns(g, qkv, 512, 512), fv_view_columns(g, qkv, 1024, 512), &a);
}

static const fv_op_case cases[] = {{"full", full}, {"causal", causal}, {"window", windowed}, {"limits", limited}, {"shared keys", shared_keys}, {"cross", cross}, {"views", views}, {"itself", itself}, {"uniform", uniform}, {"biased", biased}, {"biased, causal", biased_causal}, {"biased, cross", biased_cross}};
static const fv_op_case refused[] = {{"heads do not divide", heads_do_not_divide}, {"offsets go back", offsets_go_back}, {"biases missing", biases_missing}};

const fv_op fv_op_attend = {
    .name = "attend", .says = "lets each token look at the others and take a weighted mean of what they hold",
    .check = check, .forward = forward, .backward = backward, .reference = reference, .flops = flops,
    FV_CASES(cases), FV_REFUSED(refused), .typical = typical, .tolerance = 2e-5,
};

FV_OP_FN fv_tensor *fv_attend(fv_graph *g, fv_tensor *q, fv_tensor *k, fv_tensor *v, const fv_attention *spec) {
    return fv_graph_add(g, &fv_op_attend, (fv_tensor *[]){q, k, v}, 3, 7, spec, sizeof *spec);
}

FV_OP_FN fv_tensor *fv_attend_biased(fv_graph *g, fv_tensor *q, fv_tensor *k, fv_tensor *v, fv_tensor *bias, const fv_attention *spec) {
    return fv_graph_add(g, &fv_op_attend, (fv_tensor *[]){q, k, v, bias}, 4, 15, spec, sizeof *spec);
}
