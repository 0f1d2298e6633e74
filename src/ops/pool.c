/* pool: one row for each sequence.
 *   x [N, C] by offsets [B+1]   ->   [B, C].  An empty sequence gives zeros.
 * Kinds, of n tokens x₁ … xₙ: 0 the first · 1 the mean · 2 each channel's maximum · 3 the sum over √n · 4 the mean with
 * weights 1 … n, for models that read forwards (Muennighoff 2022) · 5 the last. All but the maximum are weighted sums.
 * The maximum keeps, for backward, the row that each channel came from (the first of equals). */
#include "graph/op.h"
#include "ops.h"

#include <math.h>
#include <string.h>

typedef struct args {
    const int32_t *offsets;
    int32_t B;
    int kind;
} args;

enum { FIRST, MEAN, MAX, ROOT, RISING, LAST };

/* Of row i of n in the sum. */
static float share(int kind, int64_t i, int64_t n)
{
    switch (kind) {
    case FIRST: return i == 0;
    case MEAN: return 1.0f / (float)n;
    case ROOT: return 1.0f / sqrtf((float)n);
    case RISING: return (float)(2.0 * (double)(i + 1) / ((double)n * (double)(n + 1)));
    default: return i == n - 1;
    }
}

static fv_status check(fv_node *node, fv_err *err)
{
    const args *a = node->args;
    if (a->kind < FIRST || a->kind > LAST) return FV_FAIL(err, FV_E_ARGUMENT, "pooling %d is not known; expected 0 (first), 1 (mean), 2 (max), 3 (sum over root), 4 (rising weights) or 5 (last)", a->kind);
    if (a->B < 1 || a->offsets[a->B] != node->in[0]->rows) return FV_FAIL(err, FV_E_SHAPE, "sequences end at row %d; there are %lld rows", a->B < 1 ? 0 : a->offsets[a->B], (long long)node->in[0]->rows);
    node->out->rows = a->B;
    node->out->cols = node->in[0]->cols;
    node->aux_floats = a->kind == MAX ? node->out->rows * node->out->cols : 0;
    return FV_OK;
}

static void pool_max(const fv_tensor *x, int32_t begin, int32_t end, float *y, int32_t *from)
{
    for (int64_t c = 0; c < x->cols; c++) {
        int32_t best = begin;
        for (int32_t r = begin + 1; r < end; r++)
            if (x->data[r * x->stride + c] > x->data[best * x->stride + c]) best = r;
        y[c] = begin < end ? x->data[best * x->stride + c] : 0;
        from[c] = begin < end ? best : -1;
    }
}

/* Equal shares: one sum, scaled once. */
static void pool_evenly(const fv_tensor *x, int32_t begin, int32_t end, float scale, float *y)
{
    memset(y, 0, (size_t)x->cols * sizeof *y);
    if (begin < end) fv_sum_columns(y, false, x->data + begin * x->stride, x->stride, end - begin, x->cols, NULL);
    for (int64_t c = 0; c < x->cols; c++) y[c] *= scale;
}

static void pool_rising(const fv_tensor *x, int32_t begin, int32_t end, float *y)
{
    memset(y, 0, (size_t)x->cols * sizeof *y);
    for (int32_t r = begin; r < end; r++) {
        float w = share(RISING, r - begin, end - begin);
        for (int64_t c = 0; c < x->cols; c++) y[c] += w * x->data[r * x->stride + c];
    }
}

static void pool_sum(const fv_tensor *x, int32_t begin, int32_t end, int kind, float *y)
{
    if (kind == RISING) pool_rising(x, begin, end, y);
    else if (begin == end) pool_evenly(x, begin, end, 0, y);
    else if (kind == FIRST) pool_evenly(x, begin, begin + 1, 1, y);
    else if (kind == LAST) pool_evenly(x, end - 1, end, 1, y);
    else pool_evenly(x, begin, end, share(kind, 0, end - begin), y);
}

static void forward_one(void *arg, int64_t b, int worker)
{
    (void)worker;
    const fv_node *node = arg;
    const args *a = node->args;
    const fv_tensor *x = node->in[0];
    float *y = node->out->data + b * node->out->stride;
    int32_t begin = a->offsets[b], end = a->offsets[b + 1];
    if (a->kind == MAX) pool_max(x, begin, end, y, (int32_t *)node->aux + b * x->cols);
    else pool_sum(x, begin, end, a->kind, y);
}

static void forward(const fv_node *node, const fv_run *run) { fv_pool_run(run->pool, node->out->rows, forward_one, (void *)(uintptr_t)node); }

typedef struct back {
    const fv_node *node;
    fv_grad_to d;
} back;

static void backward_one(void *arg, int64_t b, int worker)
{
    (void)worker;
    const back *k = arg;
    const args *a = k->node->args;
    int64_t cols = k->node->out->cols;
    const float *dy = k->node->out->grad + b * k->node->out->grad_stride;
    int32_t begin = a->offsets[b], end = a->offsets[b + 1];
    const int32_t *from = a->kind == MAX ? (const int32_t *)k->node->aux + b * cols : NULL;
    for (int32_t r = begin; r < end; r++) {
        float *dx = k->d.data + r * k->d.stride;
        if (!k->d.add) memset(dx, 0, (size_t)cols * sizeof *dx);
        float w = a->kind == MAX ? 1 : share(a->kind, r - begin, end - begin);
        if (w == 0) continue;
        for (int64_t c = 0; c < cols; c++)
            if (!from || from[c] == r) dx[c] += w * dy[c];
    }
}

static void backward(const fv_node *node, const fv_run *run)
{
    back k = {.node = node, .d = fv_grad(node, 0)};
    if (k.d.data) fv_pool_run(run->pool, node->out->rows, backward_one, &k);
}

static void reference(const fv_node *node, const fv_run *run, const double *const *in, double *out)
{
    (void)run;
    const args *a = node->args;
    int64_t cols = node->out->cols;
    for (int32_t b = 0; b < a->B; b++)
        for (int64_t c = 0; c < cols; c++) {
            double sum = 0, last = 0, rising = 0, top = -1e300;
            int64_t begin = a->offsets[b], end = a->offsets[b + 1], n = end - begin;
            for (int64_t r = begin; r < end; r++) {
                last = in[0][r * cols + c];
                sum += last;
                rising += last * (double)(r - begin + 1);
                if (last > top) top = last;
            }
            double by_kind[] = {n ? in[0][begin * cols + c] : 0, sum / (double)n, top, sum / sqrt((double)n), rising / ((double)n * (double)(n + 1) / 2), last};
            out[b * cols + c] = n ? by_kind[a->kind] : 0;
        }
}

static const int32_t ends[] = {0, 4, 5, 5, 12};

static fv_tensor *first(fv_case *c) { return fv_pool_rows(fv_case_graph(c), fv_case_input(c, "x", 12, 9), ends, 4, FIRST); }
static fv_tensor *mean(fv_case *c) { return fv_pool_rows(fv_case_graph(c), fv_case_input(c, "x", 12, 9), ends, 4, MEAN); }
static fv_tensor *max(fv_case *c) { return fv_pool_rows(fv_case_graph(c), fv_case_input(c, "x", 12, 16), ends, 4, MAX); }
static fv_tensor *root(fv_case *c) { return fv_pool_rows(fv_case_graph(c), fv_case_input(c, "x", 12, 9), ends, 4, ROOT); }
static fv_tensor *rising(fv_case *c) { return fv_pool_rows(fv_case_graph(c), fv_case_input(c, "x", 12, 9), ends, 4, RISING); }
static fv_tensor *last(fv_case *c) { return fv_pool_rows(fv_case_graph(c), fv_case_input(c, "x", 12, 9), ends, 4, LAST); }
static fv_tensor *rows_missing(fv_case *c) { return fv_pool_rows(fv_case_graph(c), fv_case_input(c, "x", 11, 9), ends, 4, MEAN); }
static fv_tensor *kind_unknown(fv_case *c) { return fv_pool_rows(fv_case_graph(c), fv_case_input(c, "x", 12, 9), ends, 4, 6); }
static fv_tensor *typical(fv_case *c) { return fv_pool_rows(fv_case_graph(c), fv_case_input(c, "x", 2048, 512), fv_case_offsets(c, 32, 64), 32, MEAN); }

static const fv_op_case cases[] = {{"first", first}, {"mean", mean}, {"max", max}, {"sum over root", root}, {"rising", rising}, {"last", last}};
static const fv_op_case refused[] = {{"rows missing", rows_missing}, {"kind unknown", kind_unknown}};

const fv_op fv_op_pool = {
    .name = "pool", .says = "makes one vector of a sequence",
    .check = check, .forward = forward, .backward = backward, .reference = reference,
    FV_CASES(cases), FV_REFUSED(refused), .typical = typical, .tolerance = 1e-5,
};

FV_OP_FN fv_tensor *fv_pool_rows(fv_graph *g, fv_tensor *x, const int32_t *offsets, int32_t B, int kind) {
    return fv_graph_add(g, &fv_op_pool, (fv_tensor *[]){x}, 1, 1, &(args){.offsets = offsets, .B = B, .kind = kind}, sizeof(args));
}
