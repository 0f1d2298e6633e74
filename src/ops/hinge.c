/* hinge: one number is to lie above another by a margin: the mean of max(0, margin + below - above).
 *   above [N, 1], below [N, 1]   ->   [1, 1].   With cosines, the triplet loss (Schroff et al. 2015, eq. 3, halved). */
#include "graph/op.h"
#include "ops.h"

enum { ABOVE, BELOW };

typedef struct args { float margin; } args;

static fv_status check(fv_node *node, fv_err *err)
{
    const fv_tensor *a = node->in[ABOVE], *b = node->in[BELOW];
    if (a->rows != b->rows || a->cols != 1 || b->cols != 1)
        return FV_FAIL(err, FV_E_SHAPE, "[%lld, %lld] above [%lld, %lld]; expected as many rows of one number", (long long)a->rows, (long long)a->cols, (long long)b->rows, (long long)b->cols);
    node->out->rows = node->out->cols = 1;
    node->keeps = FV_KEEP_IN(ABOVE) | FV_KEEP_IN(BELOW);
    return FV_OK;
}

/* By how much the margin is missed. */
static float miss(const fv_node *node, int64_t r)
{
    const args *a = node->args;
    const fv_tensor *above = node->in[ABOVE], *below = node->in[BELOW];
    return a->margin + below->data[r * below->stride] - above->data[r * above->stride];
}

static void forward(const fv_node *node, const fv_run *run)
{
    (void)run;
    double sum = 0;
    int64_t rows = node->in[ABOVE]->rows;
    for (int64_t r = 0; r < rows; r++) sum += miss(node, r) > 0 ? (double)miss(node, r) : 0;
    node->out->data[0] = rows ? (float)(sum / (double)rows) : 0;
}

static void put(fv_grad_to d, int64_t r, float g)
{
    if (d.data) d.data[r * d.stride] = d.add ? d.data[r * d.stride] + g : g;
}

static void backward(const fv_node *node, const fv_run *run)
{
    (void)run;
    fv_grad_to above = fv_grad(node, ABOVE), below = fv_grad(node, BELOW);
    int64_t rows = node->in[ABOVE]->rows;
    for (int64_t r = 0; r < rows; r++) {
        float g = miss(node, r) > 0 ? node->out->grad[0] / (float)rows : 0;
        put(above, r, -g);
        put(below, r, g);
    }
}

static void reference(const fv_node *node, const fv_run *run, const double *const *in, double *out)
{
    (void)run;
    const args *a = node->args;
    int64_t rows = node->in[ABOVE]->rows;
    out[0] = 0;
    for (int64_t r = 0; r < rows; r++) {
        double missed = (double)a->margin + in[BELOW][r] - in[ABOVE][r];
        out[0] += missed > 0 ? missed / (double)rows : 0;
    }
}

static fv_tensor *plain(fv_case *c) { return fv_hinge(fv_case_graph(c), fv_case_input(c, "above", 9, 1), fv_case_input(c, "below", 9, 1), 0.3f); }
static fv_tensor *all_missed(fv_case *c) { return fv_hinge(fv_case_graph(c), fv_case_input(c, "above", 5, 1), fv_case_input(c, "below", 5, 1), 3); }
static fv_tensor *rows_missing(fv_case *c) { return fv_hinge(fv_case_graph(c), fv_case_input(c, "above", 5, 1), fv_case_input(c, "below", 4, 1), 3); }
static fv_tensor *two_values(fv_case *c) { return fv_hinge(fv_case_graph(c), fv_case_input(c, "above", 5, 2), fv_case_input(c, "below", 5, 2), 3); }
static fv_tensor *typical(fv_case *c) { return fv_hinge(fv_case_graph(c), fv_case_input(c, "above", 128, 1), fv_case_input(c, "below", 128, 1), 0.3f); }

static const fv_op_case cases[] = {{"plain", plain}, {"all missed", all_missed}};
static const fv_op_case refused[] = {{"rows missing", rows_missing}, {"two values", two_values}};

const fv_op fv_op_hinge = {
    .name = "hinge", .says = "measures by how much a number fails to lie above another",
    .check = check, .forward = forward, .backward = backward, .reference = reference,
    FV_CASES(cases), FV_REFUSED(refused), .typical = typical, .tolerance = 1e-5,
};

FV_OP_FN fv_tensor *fv_hinge(fv_graph *g, fv_tensor *above, fv_tensor *below, float margin) {
    return fv_graph_add(g, &fv_op_hinge, (fv_tensor *[]){above, below}, 2, 1u << ABOVE | 1u << BELOW, &(args){.margin = margin}, sizeof(args));
}
