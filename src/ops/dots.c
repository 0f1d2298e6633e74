/* dots: how alike two rows are, of which `parts` stand together: row 0 of each group with row `other`.
 *   x [P·B, C]   ->   [B, 1]. Cosines, if the rows have length 1. */
#include "graph/op.h"
#include "ops.h"

#include <string.h>

typedef struct args { int parts, other; } args;

static fv_status check(fv_node *node, fv_err *err)
{
    const args *a = node->args;
    const fv_tensor *x = node->in[0];
    if (a->parts < 2 || a->other < 1 || a->other >= a->parts || x->rows % a->parts)
        return FV_FAIL(err, FV_E_SHAPE, "row %d of %d among %lld rows; expected whole groups that have it", a->other, a->parts, (long long)x->rows);
    node->out->rows = x->rows / a->parts;
    node->out->cols = 1;
    node->keeps = FV_KEEP_IN(0);
    return FV_OK;
}

static void forward(const fv_node *node, const fv_run *run)
{
    (void)run;
    const args *a = node->args;
    const fv_tensor *x = node->in[0], *y = node->out;
    for (int64_t b = 0; b < y->rows; b++) {
        const float *one = x->data + b * a->parts * x->stride, *other = one + a->other * x->stride;
        double sum = 0;
        for (int64_t c = 0; c < x->cols; c++) sum += (double)one[c] * (double)other[c];
        y->data[b * y->stride] = (float)sum;
    }
}

static void put(float *to, bool add, const float *x, float by, int64_t cols)
{
    for (int64_t c = 0; c < cols; c++) to[c] = (add ? to[c] : 0) + by * x[c];
}

static void backward(const fv_node *node, const fv_run *run)
{
    (void)run;
    const args *a = node->args;
    const fv_tensor *x = node->in[0], *y = node->out;
    fv_grad_to d = fv_grad(node, 0);
    if (!d.data) return;
    for (int64_t r = 0; r < x->rows; r++) {
        float *to = d.data + r * d.stride, dy = y->grad[r / a->parts * y->grad_stride];
        const float *first = x->data + r / a->parts * a->parts * x->stride;
        int part = (int)(r % a->parts);
        if (part == 0 || part == a->other) put(to, d.add, first + (part ? 0 : a->other) * x->stride, dy, x->cols);
        else if (!d.add) memset(to, 0, (size_t)x->cols * sizeof *to);
    }
}

static void reference(const fv_node *node, const fv_run *run, const double *const *in, double *out)
{
    (void)run;
    const args *a = node->args;
    int64_t cols = node->in[0]->cols;
    for (int64_t b = 0; b < node->out->rows; b++) {
        out[b] = 0;
        for (int64_t c = 0; c < cols; c++) out[b] += in[0][b * a->parts * cols + c] * in[0][(b * a->parts + a->other) * cols + c];
    }
}

static fv_tensor *plain(fv_case *c) { return fv_dots(fv_case_graph(c), fv_case_input(c, "x", 10, 7), 2, 1); }
static fv_tensor *second(fv_case *c) { return fv_dots(fv_case_graph(c), fv_case_input(c, "x", 9, 20), 3, 1); }
static fv_tensor *third(fv_case *c) { return fv_dots(fv_case_graph(c), fv_case_input(c, "x", 9, 20), 3, 2); }
static fv_tensor *row_missing(fv_case *c) { return fv_dots(fv_case_graph(c), fv_case_input(c, "x", 9, 7), 2, 1); }
static fv_tensor *with_itself(fv_case *c) { return fv_dots(fv_case_graph(c), fv_case_input(c, "x", 8, 7), 2, 0); }
static fv_tensor *typical(fv_case *c) { return fv_dots(fv_case_graph(c), fv_case_input(c, "x", 256, 384), 2, 1); }

static const fv_op_case cases[] = {{"plain", plain}, {"the second of three", second}, {"the third of three", third}};
static const fv_op_case refused[] = {{"a row missing", row_missing}, {"with itself", with_itself}};

const fv_op fv_op_dots = {
    .name = "dots", .says = "measures how alike two vectors are",
    .check = check, .forward = forward, .backward = backward, .reference = reference,
    FV_CASES(cases), FV_REFUSED(refused), .typical = typical, .tolerance = 1e-5,
};

FV_OP_FN fv_tensor *fv_dots(fv_graph *g, fv_tensor *x, int parts, int other) {
    return fv_graph_add(g, &fv_op_dots, (fv_tensor *[]){x}, 1, 1, &(args){.parts = parts, .other = other}, sizeof(args));
}
