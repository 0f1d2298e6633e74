/* take_rows: y[i] = x[rows[i]]: some rows of x, in any order, also more than once.
 *   x [N, C], rows [n] host integers in [0, N)   ->   [n, C];   dx[rows[i]] += dy[i], in the order of i
 * So that what is asked about a few tokens (the masked ones) is computed for no others. */
#include "graph/op.h"
#include "ops.h"

typedef struct args {
    const int32_t *rows;
    int64_t n;
} args;

static fv_status check(fv_node *node, fv_err *err)
{
    const args *a = node->args;
    if (a->n < 1) return FV_FAIL(err, FV_E_SHAPE, "no rows are asked for; expected one or more");
    for (int64_t i = 0; i < a->n; i++)
        if (a->rows[i] < 0 || a->rows[i] >= node->in[0]->rows)
            return FV_FAIL(err, FV_E_SHAPE, "row %d asked for at place %lld; there are rows 0 to %lld", a->rows[i], (long long)i, (long long)node->in[0]->rows - 1);
    node->out->rows = a->n;
    node->out->cols = node->in[0]->cols;
    return FV_OK;
}

static void forward(const fv_node *node, const fv_run *run)
{
    const args *a = node->args;
    const fv_tensor *x = node->in[0], *y = node->out;
    fv_gather_rows(y->data, y->stride, false, x->data, x->stride, a->rows, 1, y->rows, y->cols, run->pool);
}

static void backward(const fv_node *node, const fv_run *run)
{
    const args *a = node->args;
    const fv_tensor *y = node->out;
    fv_grad_to d = fv_grad_zeroed(node, 0);
    if (d.data) fv_scatter_rows(d.data, d.stride, y->grad, y->grad_stride, a->rows, 1, y->rows, y->cols, run->pool);
}

static void reference(const fv_node *node, const fv_run *run, const double *const *in, double *out)
{
    (void)run;
    const args *a = node->args;
    int64_t cols = node->out->cols;
    for (int64_t i = 0; i < a->n; i++)
        for (int64_t c = 0; c < cols; c++) out[i * cols + c] = in[0][a->rows[i] * cols + c];
}

static const int32_t few[] = {4, 0, 2}, again[] = {3, 1, 3, 3, 0, 1}, outside[] = {4, 5, 0};

static fv_tensor *some(fv_case *c) { return fv_take_rows(fv_case_graph(c), fv_case_input(c, "x", 5, 7), few, 3); }
static fv_tensor *more_than_once(fv_case *c) { return fv_take_rows(fv_case_graph(c), fv_case_input(c, "x", 5, 17), again, 6); }
static fv_tensor *columns(fv_case *c) { return fv_take_rows(fv_case_graph(c), fv_view_columns(fv_case_graph(c), fv_case_input(c, "x", 5, 9), 2, 4), again, 6); }
static fv_tensor *row_outside(fv_case *c) { return fv_take_rows(fv_case_graph(c), fv_case_input(c, "x", 5, 7), outside, 3); }
static fv_tensor *no_rows(fv_case *c) { return fv_take_rows(fv_case_graph(c), fv_case_input(c, "x", 5, 7), few, 0); }
static fv_tensor *typical(fv_case *c) { return fv_take_rows(fv_case_graph(c), fv_case_input(c, "x", 2048, 512), fv_case_integers(c, 307, 2048), 307); }

static const fv_op_case cases[] = {{"some", some}, {"more than once", more_than_once}, {"columns", columns}};
static const fv_op_case refused[] = {{"row outside", row_outside}, {"no rows", no_rows}};

const fv_op fv_op_take_rows = {
    .name = "take_rows", .says = "keeps the rows that are asked about",
    .check = check, .forward = forward, .backward = backward, .reference = reference,
    FV_CASES(cases), FV_REFUSED(refused), .typical = typical, .tolerance = 1e-6,
};

FV_OP_FN fv_tensor *fv_take_rows(fv_graph *g, fv_tensor *x, const int32_t *rows, int64_t n) {
    return fv_graph_add(g, &fv_op_take_rows, (fv_tensor *[]){x}, 1, 1, &(args){.rows = rows, .n = n}, sizeof(args));
}
