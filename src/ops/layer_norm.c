/* layer_norm: y = (x - mean) / sqrt(var + eps) · w + b, by rows (Ba et al. 2016).
 *   x [N, C], w and b [1, C]   ->   [N, C];  the rows' means and scales are kept for backward. */
#include "graph/op.h"
#include "ops.h"

#include <math.h>

typedef struct args {
    float eps;
} args;

enum { X, W, B };

static fv_status check(fv_node *node, fv_err *err)
{
    const fv_tensor *x = node->in[X];
    for (int i = W; i <= B; i++)
        if (node->in[i]->rows != 1 || node->in[i]->cols != x->cols)
            return FV_FAIL(err, FV_E_SHAPE, "%s is [%lld, %lld]; expected [1, %lld]", i == W ? "weight" : "bias", (long long)node->in[i]->rows, (long long)node->in[i]->cols, (long long)x->cols);
    node->out->rows = x->rows;
    node->out->cols = x->cols;
    node->aux_floats = fv_graph_training(node->graph) ? 2 * x->rows : 0;
    node->keeps = FV_KEEP_IN(X) | FV_KEEP_IN(W);
    node->scratch_backward = fv_layer_norm_scratch(x->rows, x->cols);
    return FV_OK;
}

static void forward(const fv_node *node, const fv_run *run)
{
    const args *a = node->args;
    const fv_tensor *x = node->in[X], *y = node->out;
    float *mean = node->aux_floats ? node->aux : NULL, *rstd = mean ? mean + x->rows : NULL;
    fv_layer_norm_forward(y->data, y->stride, mean, rstd, x->data, x->stride, node->in[W]->data, node->in[B]->data, x->rows, x->cols, a->eps, run->pool);
}

static void backward(const fv_node *node, const fv_run *run)
{
    const fv_tensor *x = node->in[X], *y = node->out;
    fv_grad_to dx = fv_grad(node, X), dw = fv_grad_zeroed(node, W), db = fv_grad_zeroed(node, B);
    fv_layer_norm_backward(dx.data, dx.stride, dx.add, dw.data, db.data, y->grad, y->grad_stride, x->data, x->stride, node->in[W]->data,
                           node->aux, node->aux + x->rows, x->rows, x->cols, run->pool, node->scratch);
}

static void reference(const fv_node *node, const fv_run *run, const double *const *in, double *out)
{
    (void)run;
    const args *a = node->args;
    int64_t cols = node->out->cols;
    for (int64_t r = 0; r < node->out->rows; r++) {
        const double *x = in[X] + r * cols;
        double mean = 0, var = 0;
        for (int64_t c = 0; c < cols; c++) mean += x[c] / (double)cols;
        for (int64_t c = 0; c < cols; c++) var += (x[c] - mean) * (x[c] - mean) / (double)cols;
        for (int64_t c = 0; c < cols; c++) out[r * cols + c] = (x[c] - mean) / sqrt(var + (double)a->eps) * in[W][c] + in[B][c];
    }
}

static fv_tensor *narrow(fv_case *c) { return fv_layer_norm(fv_case_graph(c), fv_case_input(c, "x", 5, 7), fv_case_input(c, "w", 1, 7), fv_case_input(c, "b", 1, 7), 1e-5f); }
static fv_tensor *wide(fv_case *c) { return fv_layer_norm(fv_case_graph(c), fv_case_input(c, "x", 70, 96), fv_case_input(c, "w", 1, 96), fv_case_input(c, "b", 1, 96), 1e-12f); }
static fv_tensor *far_from_zero(fv_case *c) { return fv_layer_norm(fv_case_graph(c), fv_case_input_scaled(c, "x", 3, 32, 1, 50), fv_case_input(c, "w", 1, 32), fv_case_input(c, "b", 1, 32), 1e-5f); }
static fv_tensor *weight_too_short(fv_case *c) { return fv_layer_norm(fv_case_graph(c), fv_case_input(c, "x", 5, 7), fv_case_input(c, "w", 1, 6), fv_case_input(c, "b", 1, 7), 1e-5f); }
static fv_tensor *typical(fv_case *c) { return fv_layer_norm(fv_case_graph(c), fv_case_input(c, "x", 2048, 512), fv_case_input(c, "w", 1, 512), fv_case_input(c, "b", 1, 512), 1e-5f); }

static const fv_op_case cases[] = {{"narrow", narrow}, {"wide", wide}, {"far from zero", far_from_zero}};
static const fv_op_case refused[] = {{"weight too short", weight_too_short}};

const fv_op fv_op_layer_norm = {
    .name = "layer_norm", .says = "brings each row to mean 0 and deviation 1, then to learned ones",
    .check = check, .forward = forward, .backward = backward, .reference = reference,
    FV_CASES(cases), FV_REFUSED(refused), .typical = typical, .tolerance = 1e-4,
};

FV_OP_FN fv_tensor *fv_layer_norm(fv_graph *g, fv_tensor *x, fv_tensor *w, fv_tensor *b, float eps) {
    return fv_graph_add(g, &fv_op_layer_norm, (fv_tensor *[]){x, w, b}, 3, 7, &(args){.eps = eps}, sizeof(args));
}
