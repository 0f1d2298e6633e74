/* add: y = a + b, both [N, C]. */
#include "graph/op.h"
#include "ops.h"

enum { A, B };

static fv_status check(fv_node *node, fv_err *err)
{
    const fv_tensor *a = node->in[A], *b = node->in[B];
    if (a->rows != b->rows || a->cols != b->cols)
        return FV_FAIL(err, FV_E_SHAPE, "[%lld, %lld] and [%lld, %lld]; expected equal shapes", (long long)a->rows, (long long)a->cols, (long long)b->rows, (long long)b->cols);
    node->out->rows = a->rows;
    node->out->cols = a->cols;
    node->passes = 1u << A | 1u << B;
    return FV_OK;
}

static void forward(const fv_node *node, const fv_run *run)
{
    const fv_tensor *a = node->in[A], *b = node->in[B], *y = node->out;
    fv_add_rows(y->data, y->stride, a->data, a->stride, b->data, b->stride, y->rows, y->cols, run->pool);
}

static void backward(const fv_node *node, const fv_run *run)
{
    const fv_tensor *y = node->out;
    for (int i = A; i <= B; i++) {
        fv_grad_to d = fv_grad_passed(node, i);
        if (d.data) fv_copy_rows(d.data, d.stride, d.add, y->grad, y->grad_stride, 1, y->rows, y->cols, run->pool);
    }
}

static void reference(const fv_node *node, const fv_run *run, const double *const *in, double *out)
{
    (void)run;
    for (int64_t i = 0; i < node->out->rows * node->out->cols; i++) out[i] = in[A][i] + in[B][i];
}

static fv_tensor *plain(fv_case *c) { return fv_add(fv_case_graph(c), fv_case_input(c, "a", 5, 7), fv_case_input(c, "b", 5, 7)); }
static fv_tensor *to_itself(fv_case *c)
{
    fv_tensor *a = fv_case_input(c, "a", 3, 20);
    return fv_add(fv_case_graph(c), a, a);
}
static fv_tensor *shapes_differ(fv_case *c) { return fv_add(fv_case_graph(c), fv_case_input(c, "a", 5, 7), fv_case_input(c, "b", 4, 7)); }
static fv_tensor *typical(fv_case *c) { return fv_add(fv_case_graph(c), fv_case_input(c, "a", 2048, 512), fv_case_input(c, "b", 2048, 512)); }

static const fv_op_case cases[] = {{"plain", plain}, {"to itself", to_itself}};
static const fv_op_case refused[] = {{"shapes differ", shapes_differ}};

const fv_op fv_op_add = {
    .name = "add", .says = "adds two tensors",
    .check = check, .forward = forward, .backward = backward, .reference = reference,
    FV_CASES(cases), FV_REFUSED(refused), .typical = typical, .tolerance = 1e-6,
};

FV_OP_FN fv_tensor *fv_add(fv_graph *g, fv_tensor *a, fv_tensor *b) {
    return fv_graph_add(g, &fv_op_add, (fv_tensor *[]){a, b}, 2, 3, NULL, 0);
}
