/* embed: y[i] = Σ_t scale_t · table_t[ids_t[i]] over up to three tables: words, positions, types.
 *   table_t [V_t, C], ids_t [N] host integers in [0, V_t)   ->   [N, C]
 * A table without gradient (fixed sinusoids) is just not asked for one. One that is stored in fewer bits (running only) is widened
 * row by row. */
#include "graph/op.h"
#include "ops.h"

enum { MAX_TABLES = 3 };

typedef struct args {
    int64_t n;
    const int32_t *ids[MAX_TABLES];
    float scales[MAX_TABLES];
} args;

static fv_status check_ids(const int32_t *ids, int64_t n, int64_t rows, fv_err *err)
{
    for (int64_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= rows)
            return FV_FAIL(err, FV_E_SHAPE, "id %d at place %lld; the table has rows 0 to %lld", ids[i], (long long)i, (long long)rows - 1);
    return FV_OK;
}

static fv_status check(fv_node *node, fv_err *err)
{
    const args *a = node->args;
    if (a->n < 1) return FV_FAIL(err, FV_E_SHAPE, "no ids");
    for (int t = 0; t < node->n_in; t++) {
        if (node->in[t]->cols != node->in[0]->cols)
            return FV_FAIL(err, FV_E_SHAPE, "tables are %lld and %lld wide; expected one width", (long long)node->in[0]->cols, (long long)node->in[t]->cols);
        if (check_ids(a->ids[t], a->n, node->in[t]->rows, err) != FV_OK) return FV_E_SHAPE;
    }
    node->out->rows = a->n;
    node->out->cols = node->in[0]->cols;
    for (int t = 0; t < node->n_in; t++)
        if (!node->in[t]->data) node->scratch_forward = (size_t)node->out->cols * sizeof(float);
    return FV_OK;
}

static void look_up_narrow(const fv_node *node, int t)
{
    const args *a = node->args;
    float *row = node->scratch;
    const fv_tensor *y = node->out;
    for (int64_t i = 0; i < y->rows; i++) {
        fv_param_rows(row, node->in[t]->param, a->ids[t][i], 1);
        fv_copy_rows(y->data + i * y->stride, y->stride, t > 0, row, y->cols, a->scales[t], 1, y->cols, NULL);
    }
}

static void forward(const fv_node *node, const fv_run *run)
{
    const args *a = node->args;
    fv_tensor *y = node->out;
    for (int t = 0; t < node->n_in; t++) {
        if (!node->in[t]->data) look_up_narrow(node, t);
        else fv_gather_rows(y->data, y->stride, t > 0, node->in[t]->data, node->in[t]->stride, a->ids[t], a->scales[t], y->rows, y->cols, run->pool);
    }
}

static void backward(const fv_node *node, const fv_run *run)
{
    const args *a = node->args;
    const fv_tensor *y = node->out;
    for (int t = 0; t < node->n_in; t++) {
        fv_grad_to d = fv_grad_zeroed(node, t);
        if (d.data) fv_scatter_rows(d.data, d.stride, y->grad, y->grad_stride, a->ids[t], a->scales[t], y->rows, y->cols, run->pool);
    }
}

static void reference(const fv_node *node, const fv_run *run, const double *const *in, double *out)
{
    (void)run;
    const args *a = node->args;
    int64_t cols = node->out->cols;
    for (int64_t i = 0; i < a->n; i++)
        for (int64_t c = 0; c < cols; c++) {
            double sum = 0;
            for (int t = 0; t < node->n_in; t++) sum += (double)a->scales[t] * in[t][a->ids[t][i] * cols + c];
            out[i * cols + c] = sum;
        }
}

static const int32_t words[] = {3, 0, 3, 6, 2}, places[] = {0, 1, 2, 0, 1}, outside[] = {0, 7};
static const float ones[] = {1, 1, 1}, eight[] = {8, 1, 1};

static fv_tensor *one_table(fv_case *c)
{
    fv_tensor *tables[] = {fv_case_input(c, "words", 7, 5)};
    const int32_t *ids[] = {words};
    return fv_embed_rows(fv_case_graph(c), tables, ids, eight, 1, 5);
}

static fv_tensor *words_and_positions(fv_case *c)
{
    fv_tensor *tables[] = {fv_case_input(c, "words", 7, 16), fv_case_input(c, "positions", 3, 16)};
    const int32_t *ids[] = {words, places};
    return fv_embed_rows(fv_case_graph(c), tables, ids, ones, 2, 5);
}

static fv_tensor *id_outside(fv_case *c)
{
    fv_tensor *tables[] = {fv_case_input(c, "words", 7, 5)};
    const int32_t *ids[] = {outside};
    return fv_embed_rows(fv_case_graph(c), tables, ids, ones, 1, 2);
}

static fv_tensor *two_widths(fv_case *c)
{
    fv_tensor *tables[] = {fv_case_input(c, "words", 7, 5), fv_case_input(c, "positions", 3, 4)};
    const int32_t *ids[] = {words, places};
    return fv_embed_rows(fv_case_graph(c), tables, ids, ones, 2, 5);
}
static fv_tensor *typical(fv_case *c)
{
    fv_tensor *tables[] = {fv_case_input(c, "words", 8000, 512), fv_case_input(c, "positions", 64, 512)};
    const int32_t *ids[] = {fv_case_integers(c, 2048, 8000), fv_case_integers(c, 2048, 64)};
    return fv_embed_rows(fv_case_graph(c), tables, ids, ones, 2, 2048);
}

static const fv_op_case cases[] = {{"one table", one_table}, {"words and positions", words_and_positions}};
static const fv_op_case refused[] = {{"id outside", id_outside}, {"two widths", two_widths}};

const fv_op fv_op_embed = {
    .name = "embed", .says = "looks up each token's vector",
    .check = check, .forward = forward, .backward = backward, .reference = reference,
    FV_CASES(cases), FV_REFUSED(refused), .typical = typical, .tolerance = 1e-6,
};

FV_OP_FN fv_tensor *fv_embed_rows(fv_graph *g, fv_tensor *const *tables, const int32_t *const *ids, const float *scales, int n_tables, int64_t n) {
    FV_ASSERT(n_tables >= 1 && n_tables <= MAX_TABLES);
    args a = {.n = n};
    for (int t = 0; t < n_tables; t++) {
        a.ids[t] = ids[t];
        a.scales[t] = scales[t];
    }
    return fv_graph_add(g, &fv_op_embed, tables, n_tables, (1u << n_tables) - 1, &a, sizeof a);
}
