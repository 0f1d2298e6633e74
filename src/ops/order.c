/* order: what should be larger is to be larger, by how much does not matter (CoSENT: Su 2022).
 *   x [N, 1], targets [N]   ->   [1, 1]: log(1 + Σ exp(scale · (xⱼ - xᵢ))) over all i, j with targetsᵢ > targetsⱼ
 * One sum for the batch, not a mean over rows: pairs that are right by far count nothing. */
#include "graph/op.h"
#include "ops.h"

#include <math.h>

typedef struct args {
    const float *targets;
    float scale;
} args;

static fv_status check(fv_node *node, fv_err *err)
{
    const args *a = node->args;
    if (node->in[0]->cols != 1) return FV_FAIL(err, FV_E_SHAPE, "%lld values a row; expected 1", (long long)node->in[0]->cols);
    if (!a->targets) return FV_FAIL(err, FV_E_ARGUMENT, "no targets");
    node->out->rows = node->out->cols = 1;
    node->keeps = FV_KEEP_IN(0);
    return FV_OK;
}

static double value(const fv_tensor *x, int64_t r) { return (double)x->data[r * x->stride]; }

/* The largest exponent, 0 of the 1 included, is taken out of the sum. */
static double largest(const fv_tensor *x, const args *a)
{
    double top = 0;
    for (int64_t i = 0; i < x->rows; i++)
        for (int64_t j = 0; j < x->rows; j++)
            if (a->targets[i] > a->targets[j]) top = fmax(top, (double)a->scale * (value(x, j) - value(x, i)));
    return top;
}

/* e to the exponent of the pair; 0 if it is none. */
static double weight(const fv_tensor *x, const args *a, int64_t i, int64_t j, double top)
{
    return a->targets[i] > a->targets[j] ? exp((double)a->scale * (value(x, j) - value(x, i)) - top) : 0;
}

static double sum_up(const fv_tensor *x, const args *a, double top)
{
    double sum = exp(-top);
    for (int64_t i = 0; i < x->rows; i++)
        for (int64_t j = 0; j < x->rows; j++) sum += weight(x, a, i, j, top);
    return sum;
}

static void forward(const fv_node *node, const fv_run *run)
{
    (void)run;
    const fv_tensor *x = node->in[0];
    double top = largest(x, node->args);
    node->out->data[0] = (float)(top + log(sum_up(x, node->args, top)));
}

static void backward(const fv_node *node, const fv_run *run)
{
    (void)run;
    const args *a = node->args;
    const fv_tensor *x = node->in[0];
    fv_grad_to d = fv_grad(node, 0);
    if (!d.data) return;
    double top = largest(x, a), by = (double)node->out->grad[0] * (double)a->scale / sum_up(x, a, top);
    for (int64_t r = 0; r < x->rows; r++) {
        double slope = 0;
        for (int64_t other = 0; other < x->rows; other++) slope += weight(x, a, other, r, top) - weight(x, a, r, other, top);
        d.data[r * d.stride] = (d.add ? d.data[r * d.stride] : 0) + (float)(by * slope);
    }
}

static void reference(const fv_node *node, const fv_run *run, const double *const *in, double *out)
{
    (void)run;
    const args *a = node->args;
    double sum = 1;
    for (int64_t i = 0; i < node->in[0]->rows; i++)
        for (int64_t j = 0; j < node->in[0]->rows; j++)
            if (a->targets[i] > a->targets[j]) sum += exp((double)a->scale * (in[0][j] - in[0][i]));
    out[0] = log(sum);
}

static const float wanted[] = {0.5f, -1, 3, 0, 3}, alike[] = {1, 1, 1, 1, 1};

static fv_tensor *plain(fv_case *c) { return fv_order(fv_case_graph(c), fv_case_input(c, "x", 5, 1), wanted, 3); }
static fv_tensor *steep(fv_case *c) { return fv_order(fv_case_graph(c), fv_case_input(c, "x", 5, 1), wanted, 20); }
static fv_tensor *nothing_larger(fv_case *c) { return fv_order(fv_case_graph(c), fv_case_input(c, "x", 5, 1), alike, 20); }
static fv_tensor *no_targets(fv_case *c) { return fv_order(fv_case_graph(c), fv_case_input(c, "x", 5, 1), NULL, 20); }
static fv_tensor *two_values(fv_case *c) { return fv_order(fv_case_graph(c), fv_case_input(c, "x", 5, 2), wanted, 20); }
static fv_tensor *typical(fv_case *c) { return fv_order(fv_case_graph(c), fv_case_input(c, "x", 128, 1), fv_graph_memory(fv_case_graph(c), 128 * sizeof(float)), 20); }

static const fv_op_case cases[] = {{"plain", plain}, {"steep", steep}, {"nothing larger", nothing_larger}};
static const fv_op_case refused[] = {{"no targets", no_targets}, {"two values", two_values}};

const fv_op fv_op_order = {
    .name = "order", .says = "measures how far numbers are from the right order",
    .check = check, .forward = forward, .backward = backward, .reference = reference,
    FV_CASES(cases), FV_REFUSED(refused), .typical = typical, .tolerance = 2e-5,
};

FV_OP_FN fv_tensor *fv_order(fv_graph *g, fv_tensor *x, const float *targets, float scale) {
    return fv_graph_add(g, &fv_op_order, (fv_tensor *[]){x}, 1, 1, &(args){.targets = targets, .scale = scale}, sizeof(args));
}
