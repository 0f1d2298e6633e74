/* squared_error: the mean of (x - t)².   x [N, 1], targets [N]   ->   [1, 1] */
#include "graph/op.h"
#include "ops.h"

typedef struct args {
    const float *targets;
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

static void forward(const fv_node *node, const fv_run *run)
{
    (void)run;
    const args *a = node->args;
    const fv_tensor *x = node->in[0];
    double sum = 0;
    for (int64_t r = 0; r < x->rows; r++) {
        double off = (double)x->data[r * x->stride] - (double)a->targets[r];
        sum += off * off;
    }
    node->out->data[0] = x->rows ? (float)(sum / (double)x->rows) : 0;
}

static void backward(const fv_node *node, const fv_run *run)
{
    (void)run;
    const args *a = node->args;
    const fv_tensor *x = node->in[0];
    fv_grad_to d = fv_grad(node, 0);
    if (!d.data) return;
    for (int64_t r = 0; r < x->rows; r++) {
        float g = node->out->grad[0] * 2 * (x->data[r * x->stride] - a->targets[r]) / (float)x->rows;
        d.data[r * d.stride] = d.add ? d.data[r * d.stride] + g : g;
    }
}

static void reference(const fv_node *node, const fv_run *run, const double *const *in, double *out)
{
    (void)run;
    const args *a = node->args;
    int64_t rows = node->in[0]->rows;
    out[0] = 0;
    for (int64_t r = 0; r < rows; r++) out[0] += (in[0][r] - (double)a->targets[r]) * (in[0][r] - (double)a->targets[r]) / (double)rows;
}

static const float wanted[] = {0.5f, -1, 3, 0, 2};

static fv_tensor *plain(fv_case *c) { return fv_squared_error(fv_case_graph(c), fv_case_input(c, "x", 5, 1), wanted); }
static fv_tensor *no_rows(fv_case *c) { return fv_squared_error(fv_case_graph(c), fv_case_input(c, "x", 0, 1), wanted); }
static fv_tensor *no_targets(fv_case *c) { return fv_squared_error(fv_case_graph(c), fv_case_input(c, "x", 5, 1), NULL); }
static fv_tensor *two_values(fv_case *c) { return fv_squared_error(fv_case_graph(c), fv_case_input(c, "x", 5, 2), wanted); }
static fv_tensor *typical(fv_case *c) { return fv_squared_error(fv_case_graph(c), fv_case_input(c, "x", 128, 1), fv_graph_memory(fv_case_graph(c), 128 * sizeof(float))); }

static const fv_op_case cases[] = {{"plain", plain}, {"no rows", no_rows}};
static const fv_op_case refused[] = {{"no targets", no_targets}, {"two values", two_values}};

const fv_op fv_op_squared_error = {
    .name = "squared_error", .says = "measures how far a number is from the right one",
    .check = check, .forward = forward, .backward = backward, .reference = reference,
    FV_CASES(cases), FV_REFUSED(refused), .typical = typical, .tolerance = 1e-5,
};

FV_OP_FN fv_tensor *fv_squared_error(fv_graph *g, fv_tensor *x, const float *targets) {
    return fv_graph_add(g, &fv_op_squared_error, (fv_tensor *[]){x}, 1, 1, &(args){.targets = targets}, sizeof(args));
}
