/* direction_error: the mean over rows of 1 - cos, for rows of length 1 and targets of length 1.
 *   x [N, C], targets [N, C]   ->   [1, 1].   Half the squared distance of the two. */
#include "graph/op.h"
#include "ops.h"

typedef struct args { const float *targets; } args;

static fv_status check(fv_node *node, fv_err *err)
{
    const args *a = node->args;
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
    for (int64_t r = 0; r < x->rows; r++)
        for (int64_t c = 0; c < x->cols; c++) sum += (double)x->data[r * x->stride + c] * (double)a->targets[r * x->cols + c];
    node->out->data[0] = x->rows ? (float)(1 - sum / (double)x->rows) : 0;
}

static void backward(const fv_node *node, const fv_run *run)
{
    (void)run;
    const args *a = node->args;
    const fv_tensor *x = node->in[0];
    fv_grad_to d = fv_grad(node, 0);
    if (!d.data) return;
    float by = x->rows ? -node->out->grad[0] / (float)x->rows : 0;
    for (int64_t r = 0; r < x->rows; r++)
        for (int64_t c = 0; c < x->cols; c++) {
            float *to = d.data + r * d.stride + c, g = by * a->targets[r * x->cols + c];
            *to = d.add ? *to + g : g;
        }
}

static void reference(const fv_node *node, const fv_run *run, const double *const *in, double *out)
{
    (void)run;
    const args *a = node->args;
    int64_t rows = node->in[0]->rows, cols = node->in[0]->cols;
    out[0] = rows ? 1 : 0;
    for (int64_t i = 0; i < rows * cols; i++) out[0] -= in[0][i] * (double)a->targets[i] / (double)rows;
}

static const float wanted[] = {0.5f, -1, 3, 0, 2, 0.25f, -0.125f, 1, 1, -2, 0.3f, 0.7f};

static fv_tensor *plain(fv_case *c) { return fv_direction_error(fv_case_graph(c), fv_case_input(c, "x", 3, 4), wanted); }
static fv_tensor *no_rows(fv_case *c) { return fv_direction_error(fv_case_graph(c), fv_case_input(c, "x", 0, 4), wanted); }
static fv_tensor *no_targets(fv_case *c) { return fv_direction_error(fv_case_graph(c), fv_case_input(c, "x", 3, 4), NULL); }
static fv_tensor *typical(fv_case *c) { return fv_direction_error(fv_case_graph(c), fv_case_input(c, "x", 128, 384), fv_graph_memory(fv_case_graph(c), 128 * 384 * sizeof(float))); }

static const fv_op_case cases[] = {{"plain", plain}, {"no rows", no_rows}};
static const fv_op_case refused[] = {{"no targets", no_targets}};

const fv_op fv_op_direction_error = {
    .name = "direction_error", .says = "measures how far vectors point from the right ones",
    .check = check, .forward = forward, .backward = backward, .reference = reference,
    FV_CASES(cases), FV_REFUSED(refused), .typical = typical, .tolerance = 1e-5,
};

FV_OP_FN fv_tensor *fv_direction_error(fv_graph *g, fv_tensor *x, const float *targets) {
    return fv_graph_add(g, &fv_op_direction_error, (fv_tensor *[]){x}, 1, 1, &(args){.targets = targets}, sizeof(args));
}
