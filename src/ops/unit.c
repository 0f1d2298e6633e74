/* unit: each row scaled to length 1, y = x / |x|.   x [N, C]   ->   [N, C];   dx = (dy - y (y·dy)) / |x|
 * A row shorter than 1e-12 has no direction: it is divided by that instead, and gets no gradient. */
#include "graph/op.h"
#include "ops.h"

#include <math.h>

static const double shortest = 1e-12;

static fv_status check(fv_node *node, fv_err *err)
{
    if (node->in[0]->cols < 1) return FV_FAIL(err, FV_E_SHAPE, "rows without numbers; expected at least one a row");
    node->out->rows = node->in[0]->rows;
    node->out->cols = node->in[0]->cols;
    node->aux_floats = node->in[0]->rows; /* one over the lengths, 0 where there is no direction */
    node->keeps = FV_KEEP_OUT;
    return FV_OK;
}

static double dot(const float *a, const float *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

static void forward_one(void *arg, int64_t r, int worker)
{
    (void)worker;
    const fv_node *node = arg;
    const float *x = node->in[0]->data + r * node->in[0]->stride;
    float *y = node->out->data + r * node->out->stride;
    double length = sqrt(dot(x, x, node->out->cols)), scale = 1 / fmax(length, shortest);
    for (int64_t c = 0; c < node->out->cols; c++) y[c] = (float)((double)x[c] * scale);
    node->aux[r] = length < shortest ? 0 : (float)scale;
}

static void forward(const fv_node *node, const fv_run *run) { fv_pool_run(run->pool, node->out->rows, forward_one, (void *)(uintptr_t)node); }

typedef struct back {
    const fv_node *node;
    fv_grad_to d;
} back;

static void backward_one(void *arg, int64_t r, int worker)
{
    (void)worker;
    const back *k = arg;
    const fv_tensor *out = k->node->out;
    const float *y = out->data + r * out->stride, *dy = out->grad + r * out->grad_stride;
    float *dx = k->d.data + r * k->d.stride, along = (float)dot(y, dy, out->cols), scale = k->node->aux[r];
    for (int64_t c = 0; c < out->cols; c++) {
        float g = scale * (dy[c] - along * y[c]);
        dx[c] = k->d.add ? dx[c] + g : g;
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
    int64_t cols = node->out->cols;
    for (int64_t r = 0; r < node->out->rows; r++) {
        double sum = 0;
        for (int64_t c = 0; c < cols; c++) sum += in[0][r * cols + c] * in[0][r * cols + c];
        for (int64_t c = 0; c < cols; c++) out[r * cols + c] = in[0][r * cols + c] / fmax(sqrt(sum), shortest);
    }
}

static fv_tensor *plain(fv_case *c) { return fv_unit_rows(fv_case_graph(c), fv_case_input(c, "x", 5, 7)); }
static fv_tensor *long_ones(fv_case *c) { return fv_unit_rows(fv_case_graph(c), fv_case_input_scaled(c, "x", 3, 33, 100, 20)); }
static fv_tensor *prefix(fv_case *c) { return fv_unit_rows(fv_case_graph(c), fv_view_columns(fv_case_graph(c), fv_case_input(c, "x", 4, 24), 0, 9)); }
static fv_tensor *no_numbers(fv_case *c) { return fv_unit_rows(fv_case_graph(c), fv_case_input(c, "x", 5, 0)); }
static fv_tensor *typical(fv_case *c) { return fv_unit_rows(fv_case_graph(c), fv_case_input(c, "x", 128, 384)); }

static const fv_op_case cases[] = {{"plain", plain}, {"long ones", long_ones}, {"the first columns", prefix}};
static const fv_op_case refused[] = {{"no numbers", no_numbers}};

const fv_op fv_op_unit = {
    .name = "unit", .says = "scales each row to length 1",
    .check = check, .forward = forward, .backward = backward, .reference = reference,
    FV_CASES(cases), FV_REFUSED(refused), .typical = typical, .tolerance = 1e-5,
};

FV_OP_FN fv_tensor *fv_unit_rows(fv_graph *g, fv_tensor *x) {
    return fv_graph_add(g, &fv_op_unit, (fv_tensor *[]){x}, 1, 1, NULL, 0);
}
