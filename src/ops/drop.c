/* dropout: y = residual + x · mask / keep (Srivastava et al. 2014), or residual + x when running.
 *   x [N, C], residual [N, C] or NULL   ->   [N, C]
 * The mask is a function of the step's key, the node's name, the sequence's name and the place in it:
 * it is never kept, and backward draws it again. */
#include "graph/op.h"
#include "ops.h"

enum { X, R };

static fv_status check(fv_node *node, fv_err *err)
{
    const fv_dropout *d = node->args;
    const fv_tensor *x = node->in[X], *r = node->in[R];
    if (!(d->p >= 0 && d->p < 1)) return FV_FAIL(err, FV_E_ARGUMENT, "probability is %g; expected 0 or more, and less than 1", (double)d->p);
    if (d->offsets[d->B] != x->rows) return FV_FAIL(err, FV_E_SHAPE, "sequences end at row %d; there are %lld rows", d->offsets[d->B], (long long)x->rows);
    if (r && (r->rows != x->rows || r->cols != x->cols)) return FV_FAIL(err, FV_E_SHAPE, "residual is [%lld, %lld]; expected [%lld, %lld]", (long long)r->rows, (long long)r->cols, (long long)x->rows, (long long)x->cols);
    node->out->rows = x->rows;
    node->out->cols = x->cols;
    node->passes = 1u << R;
    return FV_OK;
}

static fv_dropout drawn(const fv_node *node, const fv_run *run)
{
    fv_dropout d = *(const fv_dropout *)node->args;
    d.key = fv_mix(run->key, node->key);
    if (!fv_graph_training(node->graph)) d.p = 0;
    return d;
}

static void forward(const fv_node *node, const fv_run *run)
{
    const fv_tensor *x = node->in[X], *r = node->in[R], *y = node->out;
    fv_dropout d = drawn(node, run);
    fv_dropout_apply(y->data, y->stride, false, x->data, x->stride, r ? r->data : NULL, r ? r->stride : 0, x->cols, &d, run->pool);
}

static void backward(const fv_node *node, const fv_run *run)
{
    const fv_tensor *y = node->out;
    fv_dropout d = drawn(node, run);
    fv_grad_to dx = fv_grad(node, X), dr = fv_grad_passed(node, R);
    if (dx.data) fv_dropout_apply(dx.data, dx.stride, dx.add, y->grad, y->grad_stride, NULL, 0, y->cols, &d, run->pool);
    if (dr.data) fv_copy_rows(dr.data, dr.stride, dr.add, y->grad, y->grad_stride, 1, y->rows, y->cols, run->pool);
}

/* The mask comes from the kernel (its statistics are tested there): what is checked here is its use. */
static void reference(const fv_node *node, const fv_run *run, const double *const *in, double *out)
{
    fv_dropout d = drawn(node, run);
    int64_t n = node->out->rows * node->out->cols;
    float *mask = fv_alloc((size_t)n * sizeof *mask, NULL);
    FV_ASSERT(mask);
    for (int64_t i = 0; i < n; i++) mask[i] = 1;
    fv_dropout_apply(mask, node->out->cols, false, mask, node->out->cols, NULL, 0, node->out->cols, &d, NULL);
    for (int64_t i = 0; i < n; i++) out[i] = in[X][i] * (double)mask[i] + (in[R] ? in[R][i] : 0);
    fv_free(mask);
}

static const int32_t offsets[] = {0, 3, 3, 9};
static const uint64_t names[] = {17, 4, 1};
static const fv_dropout third = {.p = 0.33f, .B = 3, .offsets = offsets, .sequences = names};
static const fv_dropout none = {.p = 0, .B = 3, .offsets = offsets, .sequences = names};
static const fv_dropout always = {.p = 1, .B = 3, .offsets = offsets, .sequences = names};

static fv_tensor *alone(fv_case *c) { return fv_drop(fv_case_graph(c), fv_case_input(c, "x", 9, 21), NULL, &third); }
static fv_tensor *with_residual(fv_case *c) { return fv_drop(fv_case_graph(c), fv_case_input(c, "x", 9, 32), fv_case_input(c, "r", 9, 32), &third); }
static fv_tensor *nothing_dropped(fv_case *c) { return fv_drop(fv_case_graph(c), fv_case_input(c, "x", 9, 8), fv_case_input(c, "r", 9, 8), &none); }
static fv_tensor *all_dropped(fv_case *c) { return fv_drop(fv_case_graph(c), fv_case_input(c, "x", 9, 8), NULL, &always); }
static fv_tensor *rows_missing(fv_case *c) { return fv_drop(fv_case_graph(c), fv_case_input(c, "x", 8, 8), NULL, &third); }
static fv_tensor *typical(fv_case *c)
{
    fv_dropout tenth = {.p = 0.1f, .B = 32, .offsets = fv_case_offsets(c, 32, 64), .sequences = fv_case_names(c, 32)};
    return fv_drop(fv_case_graph(c), fv_case_input(c, "x", 2048, 512), fv_case_input(c, "r", 2048, 512), &tenth);
}

static const fv_op_case cases[] = {{"alone", alone}, {"residual", with_residual}, {"nothing dropped", nothing_dropped}};
static const fv_op_case refused[] = {{"all dropped", all_dropped}, {"rows missing", rows_missing}};

const fv_op fv_op_drop = {
    .name = "drop", .says = "drops values at random while training, so that none is relied on alone",
    .check = check, .forward = forward, .backward = backward, .reference = reference,
    FV_CASES(cases), FV_REFUSED(refused), .typical = typical, .tolerance = 1e-6,
};

FV_OP_FN fv_tensor *fv_drop(fv_graph *g, fv_tensor *x, fv_tensor *residual, const fv_dropout *dropout) {
    return fv_graph_add(g, &fv_op_drop, (fv_tensor *[]){x, residual}, 2, 1u << X, dropout, sizeof *dropout);
}
