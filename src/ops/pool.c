/* pool: one row for each sequence: its first token, the mean of its tokens, or each channel's maximum.
 *   x [N, C] by offsets [B+1]   ->   [B, C].  An empty sequence gives zeros.
 * The maximum keeps, for backward, the row that each channel came from (the first of equals). */
#include "graph/op.h"
#include "ops.h"

#include <string.h>

typedef struct args {
    const int32_t *offsets;
    int32_t B;
    int kind;
} args;

enum { FIRST, MEAN, MAX };

static fv_status check(fv_node *node, fv_err *err)
{
    const args *a = node->args;
    if (a->kind < FIRST || a->kind > MAX) return FV_FAIL(err, FV_E_ARGUMENT, "pooling %d is not known; expected 0 (first), 1 (mean) or 2 (max)", a->kind);
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

static void pool_sum(const fv_tensor *x, int32_t begin, int32_t end, float *y)
{
    memset(y, 0, (size_t)x->cols * sizeof *y);
    if (begin < end) fv_sum_columns(y, false, x->data + begin * x->stride, x->stride, end - begin, x->cols, NULL);
    float share = begin < end ? 1.0f / (float)(end - begin) : 0;
    for (int64_t c = 0; c < x->cols; c++) y[c] *= share;
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
    else pool_sum(x, begin, a->kind == FIRST && begin < end ? begin + 1 : end, y);
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
    float share = a->kind == MEAN ? 1.0f / (float)(end - begin) : 1;
    for (int32_t r = begin; r < end; r++) {
        float *dx = k->d.data + r * k->d.stride;
        if (!k->d.add) memset(dx, 0, (size_t)cols * sizeof *dx);
        if (a->kind == FIRST && r > begin) continue;
        for (int64_t c = 0; c < cols; c++)
            if (!from || from[c] == r) dx[c] += share * dy[c];
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
            double sum = 0, top = -1e300;
            int64_t begin = a->offsets[b], end = a->offsets[b + 1];
            for (int64_t r = begin; r < end; r++) {
                sum += in[0][r * cols + c];
                if (in[0][r * cols + c] > top) top = in[0][r * cols + c];
            }
            out[b * cols + c] = begin == end ? 0 : a->kind == FIRST ? in[0][begin * cols + c] : a->kind == MEAN ? sum / (double)(end - begin) : top;
        }
}

static const int32_t ends[] = {0, 4, 5, 5, 12};

static fv_tensor *first(fv_case *c) { return fv_pool_rows(fv_case_graph(c), fv_case_input(c, "x", 12, 9), ends, 4, FIRST); }
static fv_tensor *mean(fv_case *c) { return fv_pool_rows(fv_case_graph(c), fv_case_input(c, "x", 12, 9), ends, 4, MEAN); }
static fv_tensor *max(fv_case *c) { return fv_pool_rows(fv_case_graph(c), fv_case_input(c, "x", 12, 16), ends, 4, MAX); }
static fv_tensor *rows_missing(fv_case *c) { return fv_pool_rows(fv_case_graph(c), fv_case_input(c, "x", 11, 9), ends, 4, MEAN); }
static fv_tensor *kind_unknown(fv_case *c) { return fv_pool_rows(fv_case_graph(c), fv_case_input(c, "x", 12, 9), ends, 4, 3); }
static fv_tensor *typical(fv_case *c) { return fv_pool_rows(fv_case_graph(c), fv_case_input(c, "x", 2048, 512), fv_case_offsets(c, 32, 64), 32, MEAN); }

static const fv_op_case cases[] = {{"first", first}, {"mean", mean}, {"max", max}};
static const fv_op_case refused[] = {{"rows missing", rows_missing}, {"kind unknown", kind_unknown}};

const fv_op fv_op_pool = {
    .name = "pool", .says = "makes one vector of a sequence",
    .check = check, .forward = forward, .backward = backward, .reference = reference,
    FV_CASES(cases), FV_REFUSED(refused), .typical = typical, .tolerance = 1e-5,
};

FV_OP_FN fv_tensor *fv_pool_rows(fv_graph *g, fv_tensor *x, const int32_t *offsets, int32_t B, int kind) {
    return fv_graph_add(g, &fv_op_pool, (fv_tensor *[]){x}, 1, 1, &(args){.offsets = offsets, .B = B, .kind = kind}, sizeof(args));
}
