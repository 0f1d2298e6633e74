/* soft_cross_entropy: the mean over rows of -Σ target · log softmax(x), for targets that are shares of
 * labels instead of one: what a teacher thinks, say. Each row of targets sums to 1.
 *   x [N, L], targets [N, L]   ->   [1, 1]
 * For label sets, as cross_entropy is. */
#include "graph/op.h"
#include "ops.h"

#include <math.h>

typedef struct args { const float *targets; } args;

static fv_status check(fv_node *node, fv_err *err)
{
    const args *a = node->args;
    const fv_tensor *x = node->in[0];
    if (!a->targets) return FV_FAIL(err, FV_E_ARGUMENT, "no targets");
    for (int64_t r = 0; r < x->rows; r++) {
        float sum = 0;
        for (int64_t c = 0; c < x->cols; c++) sum += a->targets[r * x->cols + c];
        if (!(fabsf(sum - 1) < 1e-3f)) return FV_FAIL(err, FV_E_ARGUMENT, "the shares of row %lld sum to %g; expected 1", (long long)r, (double)sum);
    }
    node->out->rows = node->out->cols = 1;
    node->aux_floats = x->rows; /* log-sum-exps */
    node->keeps = FV_KEEP_IN(0);
    return FV_OK;
}

static void forward(const fv_node *node, const fv_run *run)
{
    (void)run;
    const args *a = node->args;
    const fv_tensor *x = node->in[0];
    double total = 0;
    for (int64_t r = 0; r < x->rows; r++) {
        const float *row = x->data + r * x->stride, *target = a->targets + r * x->cols;
        float top = -INFINITY;
        double sum = 0, hit = 0;
        for (int64_t c = 0; c < x->cols; c++) top = fmaxf(top, row[c]);
        for (int64_t c = 0; c < x->cols; c++) sum += expf(row[c] - top), hit += (double)(target[c] * row[c]);
        node->aux[r] = top + (float)log(sum);
        total += (double)node->aux[r] - hit;
    }
    node->out->data[0] = x->rows ? (float)(total / (double)x->rows) : 0;
}

static void backward(const fv_node *node, const fv_run *run)
{
    (void)run;
    const args *a = node->args;
    const fv_tensor *x = node->in[0];
    fv_grad_to d = fv_grad(node, 0);
    float weight = x->rows ? node->out->grad[0] / (float)x->rows : 0;
    if (!d.data) return;
    for (int64_t r = 0; r < x->rows; r++) {
        const float *row = x->data + r * x->stride, *target = a->targets + r * x->cols;
        float *to = d.data + r * d.stride;
        for (int64_t c = 0; c < x->cols; c++) {
            float slope = weight * (expf(row[c] - node->aux[r]) - target[c]);
            to[c] = d.add ? to[c] + slope : slope;
        }
    }
}

static void reference(const fv_node *node, const fv_run *run, const double *const *in, double *out)
{
    (void)run;
    const args *a = node->args;
    int64_t rows = node->in[0]->rows, cols = node->in[0]->cols;
    double total = 0;
    for (int64_t r = 0; r < rows; r++) {
        double sum = 0;
        for (int64_t c = 0; c < cols; c++) sum += exp(in[0][r * cols + c]);
        for (int64_t c = 0; c < cols; c++) total += (double)a->targets[r * cols + c] * (log(sum) - in[0][r * cols + c]);
    }
    out[0] = rows ? total / (double)rows : 0;
}

static const float shares[] = {0.5f, 0.25f, 0.25f, 0, 0, 1, 0.125f, 0.375f, 0.5f};

static fv_tensor *plain(fv_case *c) { return fv_soft_cross_entropy(fv_case_graph(c), fv_case_input(c, "x", 3, 3), shares); }
static fv_tensor *loud(fv_case *c) { return fv_soft_cross_entropy(fv_case_graph(c), fv_case_input_scaled(c, "x", 3, 3, 20, 0), shares); }
static fv_tensor *no_rows(fv_case *c) { return fv_soft_cross_entropy(fv_case_graph(c), fv_case_input(c, "x", 0, 3), shares); }

static fv_tensor *no_targets(fv_case *c) { return fv_soft_cross_entropy(fv_case_graph(c), fv_case_input(c, "x", 3, 3), NULL); }
static fv_tensor *too_much(fv_case *c) { return fv_soft_cross_entropy(fv_case_graph(c), fv_case_input(c, "x", 2, 4), shares); }

static const fv_op_case cases[] = {{"plain", plain}, {"loud", loud}, {"no rows", no_rows}};
static const fv_op_case refused[] = {{"no targets", no_targets}, {"shares of too much", too_much}};

const fv_op fv_op_soft_cross_entropy = {
    .name = "soft_cross_entropy", .says = "measures how far the model's shares of labels are from a teacher's",
    .check = check, .forward = forward, .backward = backward, .reference = reference,
    FV_CASES(cases), FV_REFUSED(refused), .typical = plain, .tolerance = 1e-5,
};

FV_OP_FN fv_tensor *fv_soft_cross_entropy(fv_graph *g, fv_tensor *x, const float *targets) {
    return fv_graph_add(g, &fv_op_soft_cross_entropy, (fv_tensor *[]){x}, 1, 1, &(args){.targets = targets}, sizeof(args));
}
