/* binary_cross_entropy: the mean over rows and labels of -t log σ(x) - (1-t) log(1-σ(x)): several labels
 * may hold at once.
 *   x [N, L], targets [N, L] dense floats in [0, 1]   ->   [1, 1]
 * Written as max(x,0) - x t + log(1 + e^-|x|), which no x overflows. */
#include "graph/op.h"
#include "ops.h"

#include <math.h>

typedef struct args {
    const float *targets;
} args;

static fv_status check(fv_node *node, fv_err *err)
{
    const args *a = node->args;
    if (!a->targets) return FV_FAIL(err, FV_E_ARGUMENT, "no targets");
    node->out->rows = node->out->cols = 1;
    node->keeps = FV_KEEP_IN(0);
    return FV_OK;
}

static double loss_of(double x, double t) { return (x > 0 ? x : 0) - x * t + log1p(exp(-fabs(x))); }

static void forward(const fv_node *node, const fv_run *run)
{
    (void)run;
    const args *a = node->args;
    const fv_tensor *x = node->in[0];
    double sum = 0;
    for (int64_t r = 0; r < x->rows; r++)
        for (int64_t c = 0; c < x->cols; c++) sum += loss_of((double)x->data[r * x->stride + c], (double)a->targets[r * x->cols + c]);
    node->out->data[0] = x->rows ? (float)(sum / (double)(x->rows * x->cols)) : 0;
}

static void backward(const fv_node *node, const fv_run *run)
{
    (void)run;
    const args *a = node->args;
    const fv_tensor *x = node->in[0];
    fv_grad_to d = fv_grad(node, 0);
    if (!d.data) return;
    float weight = node->out->grad[0] / (float)(x->rows * x->cols);
    for (int64_t r = 0; r < x->rows; r++)
        for (int64_t c = 0; c < x->cols; c++) {
            float p = 1 / (1 + expf(-x->data[r * x->stride + c])), g = weight * (p - a->targets[r * x->cols + c]);
            d.data[r * d.stride + c] = d.add ? d.data[r * d.stride + c] + g : g;
        }
}

static void reference(const fv_node *node, const fv_run *run, const double *const *in, double *out)
{
    (void)run;
    const args *a = node->args;
    int64_t n = node->in[0]->rows * node->in[0]->cols;
    out[0] = 0;
    for (int64_t i = 0; i < n; i++) {
        double p = 1 / (1 + exp(-in[0][i])), t = (double)a->targets[i];
        out[0] -= (t * log(p) + (1 - t) * log(1 - p)) / (double)n;
    }
}

static const float hard[] = {1, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 1}, soft[] = {.9f, .1f, .5f, 1, 0, .3f};

static fv_tensor *plain(fv_case *c) { return fv_binary_cross_entropy(fv_case_graph(c), fv_case_input(c, "x", 4, 3), hard); }
static fv_tensor *soft_and_large(fv_case *c) { return fv_binary_cross_entropy(fv_case_graph(c), fv_case_input_scaled(c, "x", 2, 3, 12, 0), soft); }
static fv_tensor *no_rows(fv_case *c) { return fv_binary_cross_entropy(fv_case_graph(c), fv_case_input(c, "x", 0, 3), hard); }
static fv_tensor *no_targets(fv_case *c) { return fv_binary_cross_entropy(fv_case_graph(c), fv_case_input(c, "x", 4, 3), NULL); }
static fv_tensor *typical(fv_case *c)
{
    float *targets = fv_graph_memory(fv_case_graph(c), 128 * 40 * sizeof *targets);
    for (int i = 0; targets && i < 128 * 40; i++) targets[i] = i % 5 == 0;
    return fv_binary_cross_entropy(fv_case_graph(c), fv_case_input(c, "x", 128, 40), targets);
}

static const fv_op_case cases[] = {{"plain", plain}, {"soft and large", soft_and_large}, {"no rows", no_rows}};
static const fv_op_case refused[] = {{"no targets", no_targets}};

const fv_op fv_op_binary_cross_entropy = {
    .name = "binary_cross_entropy", .says = "measures surprise where several labels may hold",
    .check = check, .forward = forward, .backward = backward, .reference = reference,
    FV_CASES(cases), FV_REFUSED(refused), .typical = typical, .tolerance = 1e-5,
};

FV_OP_FN fv_tensor *fv_binary_cross_entropy(fv_graph *g, fv_tensor *x, const float *targets) {
    return fv_graph_add(g, &fv_op_binary_cross_entropy, (fv_tensor *[]){x}, 1, 1, &(args){.targets = targets}, sizeof(args));
}
