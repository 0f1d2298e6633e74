/* mean_of: the mean of up to eight losses.   n times [1, 1]   ->   [1, 1] */
#include "graph/op.h"
#include "ops.h"

static fv_status check(fv_node *node, fv_err *err)
{
    for (int i = 0; i < node->n_in; i++)
        if (!node->in[i] || node->in[i]->rows != 1 || node->in[i]->cols != 1) return FV_FAIL(err, FV_E_SHAPE, "input %d is no loss; expected [1, 1]", i);
    node->out->rows = node->out->cols = 1;
    return FV_OK;
}

static void forward(const fv_node *node, const fv_run *run)
{
    (void)run;
    double sum = 0;
    for (int i = 0; i < node->n_in; i++) sum += (double)node->in[i]->data[0];
    node->out->data[0] = (float)(sum / node->n_in);
}

static void backward(const fv_node *node, const fv_run *run)
{
    (void)run;
    float g = node->out->grad[0] / (float)node->n_in;
    for (int i = 0; i < node->n_in; i++) {
        fv_grad_to d = fv_grad(node, i);
        if (d.data) d.data[0] = d.add ? d.data[0] + g : g;
    }
}

static void reference(const fv_node *node, const fv_run *run, const double *const *in, double *out)
{
    (void)run;
    out[0] = 0;
    for (int i = 0; i < node->n_in; i++) out[0] += in[i][0] / node->n_in;
}

static fv_tensor *loss(fv_case *c, const char *name) { return fv_case_input(c, name, 1, 1); }
static fv_tensor *one(fv_case *c) { return fv_mean_of(fv_case_graph(c), (fv_tensor *[]){loss(c, "a")}, 1); }
static fv_tensor *three(fv_case *c) { return fv_mean_of(fv_case_graph(c), (fv_tensor *[]){loss(c, "a"), loss(c, "b"), loss(c, "c")}, 3); }
static fv_tensor *a_row(fv_case *c) { return fv_mean_of(fv_case_graph(c), (fv_tensor *[]){loss(c, "a"), fv_case_input(c, "b", 1, 2)}, 2); }
static fv_tensor *typical(fv_case *c) { return three(c); }

static const fv_op_case cases[] = {{"one", one}, {"three", three}};
static const fv_op_case refused[] = {{"a row", a_row}};

const fv_op fv_op_mean_of = {
    .name = "mean_of", .says = "joins several losses to one",
    .check = check, .forward = forward, .backward = backward, .reference = reference,
    FV_CASES(cases), FV_REFUSED(refused), .typical = typical, .tolerance = 1e-6,
};

FV_OP_FN fv_tensor *fv_mean_of(fv_graph *g, fv_tensor *const *losses, int n) {
    return fv_graph_add(g, &fv_op_mean_of, losses, n, (1u << n) - 1, NULL, 0);
}
