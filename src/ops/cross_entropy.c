/* cross_entropy: the mean over rows of -Σ target · log softmax(x), the target being 1-s on the right
 * label and s spread over all (label smoothing, Szegedy et al. 2016).
 *   x [N, L], targets [N] in [0, L) or -1 for rows that do not count   ->   [1, 1]
 * For label sets. Vocabularies get a loss fused with the product before it. */
#include "graph/op.h"
#include "ops.h"

#include <math.h>

typedef struct args {
    const int32_t *targets;
    float smoothing;
} args;

static int64_t counted(const args *a, int64_t rows)
{
    int64_t n = 0;
    for (int64_t r = 0; r < rows; r++) n += a->targets[r] >= 0;
    return n;
}

static fv_status check(fv_node *node, fv_err *err)
{
    const args *a = node->args;
    const fv_tensor *x = node->in[0];
    if (!a->targets) return FV_FAIL(err, FV_E_ARGUMENT, "no targets");
    for (int64_t r = 0; r < x->rows; r++)
        if (a->targets[r] >= x->cols) return FV_FAIL(err, FV_E_SHAPE, "row %lld has target %d; there are %lld labels", (long long)r, a->targets[r], (long long)x->cols);
    if (!(a->smoothing >= 0 && a->smoothing < 1)) return FV_FAIL(err, FV_E_ARGUMENT, "label smoothing is %g; expected 0 or more, and less than 1", (double)a->smoothing);
    node->out->rows = node->out->cols = 1;
    node->aux_floats = 2 * x->rows; /* losses, log-sum-exps */
    node->keeps = FV_KEEP_IN(0);
    return FV_OK;
}

static void forward(const fv_node *node, const fv_run *run)
{
    const args *a = node->args;
    const fv_tensor *x = node->in[0];
    double sum = 0;
    int64_t n = counted(a, x->rows);
    fv_cross_entropy_forward(node->aux, node->aux + x->rows, x->data, x->stride, a->targets, a->smoothing, x->rows, x->cols, run->pool);
    for (int64_t r = 0; r < x->rows; r++) sum += a->targets[r] >= 0 ? (double)node->aux[r] : 0;
    node->out->data[0] = n ? (float)(sum / (double)n) : 0;
}

static void backward(const fv_node *node, const fv_run *run)
{
    const args *a = node->args;
    const fv_tensor *x = node->in[0];
    fv_grad_to d = fv_grad(node, 0);
    int64_t n = counted(a, x->rows);
    float weight = n ? node->out->grad[0] / (float)n : 0;
    if (d.data) fv_cross_entropy_backward(d.data, d.stride, d.add, x->data, x->stride, node->aux + x->rows, a->targets, a->smoothing, weight, x->rows, x->cols, run->pool);
}

static void reference(const fv_node *node, const fv_run *run, const double *const *in, double *out)
{
    (void)run;
    const args *a = node->args;
    int64_t rows = node->in[0]->rows, cols = node->in[0]->cols, n = counted(a, rows);
    double total = 0;
    for (int64_t r = 0; r < rows; r++) {
        const double *x = in[0] + r * cols;
        double sum = 0, mean = 0;
        if (a->targets[r] < 0) continue;
        for (int64_t c = 0; c < cols; c++) sum += exp(x[c]), mean += x[c] / (double)cols;
        total += log(sum) - (1 - (double)a->smoothing) * x[a->targets[r]] - (double)a->smoothing * mean;
    }
    out[0] = n ? total / (double)n : 0;
}

static const int32_t right[] = {2, 0, 5, 2}, some[] = {2, -1, 5, -1}, outside[] = {2, 0, 7, 2};

static fv_tensor *plain(fv_case *c) { return fv_cross_entropy(fv_case_graph(c), fv_case_input(c, "x", 4, 7), right, 0); }
static fv_tensor *smoothed(fv_case *c) { return fv_cross_entropy(fv_case_graph(c), fv_case_input_scaled(c, "x", 4, 33, 5, 0), right, 0.1f); }
static fv_tensor *rows_left_out(fv_case *c) { return fv_cross_entropy(fv_case_graph(c), fv_case_input(c, "x", 4, 7), some, 0.1f); }
static fv_tensor *no_targets(fv_case *c) { return fv_cross_entropy(fv_case_graph(c), fv_case_input(c, "x", 4, 7), NULL, 0); }
static fv_tensor *target_outside(fv_case *c) { return fv_cross_entropy(fv_case_graph(c), fv_case_input(c, "x", 4, 7), outside, 0); }
static fv_tensor *smoothed_away(fv_case *c) { return fv_cross_entropy(fv_case_graph(c), fv_case_input(c, "x", 4, 7), right, 1); }
static fv_tensor *typical(fv_case *c) { return fv_cross_entropy(fv_case_graph(c), fv_case_input(c, "x", 128, 77), fv_case_integers(c, 128, 77), 0.1f); }

static const fv_op_case cases[] = {{"plain", plain}, {"smoothed", smoothed}, {"rows left out", rows_left_out}};
static const fv_op_case refused[] = {{"no targets", no_targets}, {"target outside", target_outside}, {"smoothed away", smoothed_away}};

const fv_op fv_op_cross_entropy = {
    .name = "cross_entropy", .says = "measures how surprised the model is by the right label",
    .check = check, .forward = forward, .backward = backward, .reference = reference,
    FV_CASES(cases), FV_REFUSED(refused), .typical = typical, .tolerance = 1e-5,
};

FV_OP_FN fv_tensor *fv_cross_entropy(fv_graph *g, fv_tensor *x, const int32_t *targets, float smoothing) {
    return fv_graph_add(g, &fv_op_cross_entropy, (fv_tensor *[]){x}, 1, 1, &(args){.targets = targets, .smoothing = smoothing}, sizeof(args));
}
