/* linear_cross_entropy: cross_entropy(x wᵀ + b, targets) over a vocabulary, whose logits are never whole.
 *   x [N, C], w [V, C], b [1, V] or NULL, targets [N] in [0, V) or -1 for rows that do not count   ->   [1, 1]
 * The mean over rows of -Σ target · log softmax, smoothed as in cross_entropy.c. Logits are made tile by tile: forward
 * keeps one log-sum-exp a row, backward makes the tile again and turns it into its own gradient P, from which
 *   dx += P w,   dw += Pᵀ x,   db += column sums of P.
 * One product more than a stored [N, V] would take, for memory that does not grow with V.
 * The trap: tiles go in one order, vocabulary outside, rows inside, so that every sum has one order too. */
#include "graph/op.h"
#include "ops.h"

#include <math.h>

#ifdef FV_STRESS
enum { TILE_ROWS = 3, TILE_COLUMNS = 5 };
#else
enum {
    TILE_ROWS = 512,     /* a tile of logits is 1 MB at most, as large as one core's second cache */
    TILE_COLUMNS = 512,
};
#endif

typedef struct args {
    const int32_t *targets;
    float smoothing;
    fv_precision precision;
} args;

enum { X, W, B };

/* Rows [row, row + rows) and vocabulary [column, column + columns) of the logits. */
typedef struct tile {
    int64_t row, rows, column, columns;
    float *logits; /* [rows, columns] */
} tile;

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

/* The size of a tile's side when n is cut evenly into the fewest. */
static int64_t even(int64_t n, int64_t most)
{
    int64_t pieces = n > most ? (n + most - 1) / most : 1;
    return (n + pieces - 1) / pieces;
}

static int64_t tile_rows(const fv_node *node) { return even(node->in[X]->rows, TILE_ROWS); }
static int64_t tile_columns(const fv_node *node) { return even(node->in[W]->rows, TILE_COLUMNS); }
/* Of the largest tile that so many rows or fewer make. */
static size_t logits_bytes(const fv_node *node) { return ((size_t)(min64(node->in[X]->rows, TILE_ROWS) * tile_columns(node)) * sizeof(float) + 63) / 64 * 64; }

static int64_t counted(const fv_node *node)
{
    const args *a = node->args;
    int64_t n = 0;
    for (int64_t r = 0; r < node->in[X]->rows; r++) n += a->targets[r] >= 0;
    return n;
}

/* ---- The products of a tile --------------------------------------------------------------- */

/* A row of data that there may not be yet: checks ask products for their scratch before planning. */
static float *row_of(float *data, int64_t row, int64_t stride) { return data ? data + row * stride : NULL; }

static fv_gemm logits_product(const fv_node *node, const tile *t)
{
    const args *a = node->args;
    const fv_tensor *x = node->in[X], *w = node->in[W], *b = node->in[B];
    return (fv_gemm){
        .m = t->rows, .n = t->columns, .k = x->cols, .precision = a->precision,
        .a = row_of(x->data, t->row, x->stride), .lda = x->stride,
        .b = row_of(w->data, t->column, w->stride), .ldb = w->stride, .b_t = true,
        .c = t->logits, .ldc = t->columns, .bias = b ? row_of(b->data, t->column, 1) : NULL,
    };
}

static fv_gemm input_product(const fv_node *node, const tile *t, fv_grad_to d)
{
    const args *a = node->args;
    const fv_tensor *w = node->in[W];
    return (fv_gemm){
        .m = t->rows, .n = w->cols, .k = t->columns, .precision = a->precision,
        .a = t->logits, .lda = t->columns, .b = row_of(w->data, t->column, w->stride), .ldb = w->stride,
        .c = row_of(d.data, t->row, d.stride), .ldc = d.stride, .add = true,
    };
}

static fv_gemm weight_product(const fv_node *node, const tile *t, fv_grad_to d)
{
    const args *a = node->args;
    const fv_tensor *x = node->in[X];
    return (fv_gemm){
        .m = t->columns, .n = x->cols, .k = t->rows, .precision = a->precision,
        .a = t->logits, .lda = t->columns, .a_t = true, .b = row_of(x->data, t->row, x->stride), .ldb = x->stride,
        .c = row_of(d.data, t->column, d.stride), .ldc = d.stride, .add = true,
    };
}

/* ---- Checks -------------------------------------------------------------------------------- */

static fv_status check_shapes(const fv_node *node, fv_err *err)
{
    const fv_tensor *x = node->in[X], *w = node->in[W], *b = node->in[B];
    if (x->cols != w->cols) return FV_FAIL(err, FV_E_SHAPE, "input is [%lld, %lld], weight [%lld, %lld]; expected equal second sizes", (long long)x->rows, (long long)x->cols, (long long)w->rows, (long long)w->cols);
    if (b && (b->rows != 1 || b->cols != w->rows)) return FV_FAIL(err, FV_E_SHAPE, "bias is [%lld, %lld]; expected [1, %lld]", (long long)b->rows, (long long)b->cols, (long long)w->rows);
    return FV_OK;
}

static fv_status check_args(const fv_node *node, fv_err *err)
{
    const args *a = node->args;
    if (!a->targets) return FV_FAIL(err, FV_E_ARGUMENT, "no targets");
    for (int64_t r = 0; r < node->in[X]->rows; r++)
        if (a->targets[r] >= node->in[W]->rows) return FV_FAIL(err, FV_E_SHAPE, "row %lld has target %d; the vocabulary has %lld entries", (long long)r, a->targets[r], (long long)node->in[W]->rows);
    if (!(a->smoothing >= 0 && a->smoothing < 1)) return FV_FAIL(err, FV_E_ARGUMENT, "label smoothing is %g; expected 0 or more, and less than 1", (double)a->smoothing);
    return FV_OK;
}

/* The last tiles are smaller, which need not mean that their products ask for less; and fewer rows may make larger tiles.
 * Room is made for all of them, so that a batch with fewer rows fits in. */
static void find_scratch(fv_node *node)
{
    int64_t n_rows = node->in[X]->rows, n_columns = node->in[W]->rows;
    const int64_t rows[] = {min64(n_rows, TILE_ROWS), tile_rows(node), n_rows % tile_rows(node)}, columns[] = {tile_columns(node), n_columns % tile_columns(node)};
    size_t forward = 0, backward = 0;
    for (int i = 0; i < 6; i++) {
        tile t = {.rows = rows[i / 2], .columns = columns[i % 2]};
        fv_gemm products[] = {logits_product(node, &t), input_product(node, &t, (fv_grad_to){0}), weight_product(node, &t, (fv_grad_to){0})};
        if (!t.rows || !t.columns) continue;
        forward = larger(forward, fv_gemm_scratch(&products[0], node->threads));
        for (int k = 0; k < 3; k++) backward = larger(backward, fv_gemm_scratch(&products[k], node->threads));
    }
    node->scratch_forward = logits_bytes(node) + forward;
    node->scratch_backward = logits_bytes(node) + backward;
}

static fv_status check(fv_node *node, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(check_shapes(node, err));
    FV_TRY(check_args(node, err));
    node->out->rows = node->out->cols = 1;
    node->aux_floats = 2 * node->in[X]->rows; /* losses, log-sum-exps */
    node->keeps = FV_KEEP_IN(X) | FV_KEEP_IN(W) | FV_KEEP_IN(B);
    if (node->in[X]->rows > 0) find_scratch(node);
done:
    return status;
}

/* ---- Tile by tile -------------------------------------------------------------------------- */

/* One for each pass: what it does with the tile's logits. */
typedef struct pass {
    const fv_node *node;
    fv_pool *pool;
    void *scratch;            /* of products */
    fv_grad_to dx, dw, db;    /* backward */
    float weight;             /* of a row */
} pass;

static void forward_tile(const pass *p, const tile *t)
{
    const args *a = p->node->args;
    float *losses = p->node->aux, *lse = losses + p->node->in[X]->rows;
    fv_cross_entropy_tile_forward(losses + t->row, lse + t->row, t->logits, t->columns, a->targets + t->row, a->smoothing, t->rows, t->column, t->columns, p->node->in[W]->rows, p->pool);
}

static void backward_tile(const pass *p, const tile *t)
{
    const fv_node *node = p->node;
    const args *a = node->args;
    const float *lse = node->aux + node->in[X]->rows;
    fv_cross_entropy_tile_backward(t->logits, t->columns, false, t->logits, t->columns, lse + t->row, a->targets + t->row, a->smoothing, p->weight, t->rows, t->column, t->columns, node->in[W]->rows, p->pool);
    if (p->dx.data) {
        fv_gemm g = input_product(node, t, p->dx);
        fv_gemm_run(&g, p->pool, p->scratch);
    }
    if (p->dw.data) {
        fv_gemm g = weight_product(node, t, p->dw);
        fv_gemm_run(&g, p->pool, p->scratch);
    }
    if (p->db.data) fv_sum_columns(p->db.data + t->column, true, t->logits, t->columns, t->rows, t->columns, p->pool);
}

static void walk(pass *p, void (*each)(const pass *, const tile *))
{
    const fv_node *node = p->node;
    int64_t n_rows = node->in[X]->rows, n_columns = node->in[W]->rows, rows = tile_rows(node), columns = tile_columns(node);
    float *logits = node->scratch;
    p->scratch = (char *)node->scratch + logits_bytes(node);
    for (int64_t column = 0; column < n_columns; column += columns) {
        for (int64_t row = 0; row < n_rows; row += rows) {
            tile t = {.row = row, .rows = min64(rows, n_rows - row), .column = column, .columns = min64(columns, n_columns - column), .logits = logits};
            fv_gemm g = logits_product(node, &t);
            fv_gemm_run(&g, p->pool, p->scratch);
            each(p, &t);
        }
    }
}

static void forward(const fv_node *node, const fv_run *run)
{
    pass p = {.node = node, .pool = run->pool};
    int64_t n = counted(node);
    double sum = 0;
    walk(&p, forward_tile);
    for (int64_t r = 0; r < node->in[X]->rows; r++) sum += (double)node->aux[r];
    node->out->data[0] = n ? (float)(sum / (double)n) : 0;
}

static void backward(const fv_node *node, const fv_run *run)
{
    int64_t n = counted(node);
    pass p = {
        .node = node, .pool = run->pool, .weight = n ? node->out->grad[0] / (float)n : 0,
        .dx = fv_grad_zeroed(node, X), .dw = fv_grad_zeroed(node, W), .db = fv_grad_zeroed(node, B),
    };
    if (n) walk(&p, backward_tile);
}

/* ---- The truth ------------------------------------------------------------------------------ */

static double logit(const fv_node *node, const double *const *in, int64_t r, int64_t v)
{
    int64_t cols = node->in[X]->cols;
    double sum = in[B] ? in[B][v] : 0;
    for (int64_t c = 0; c < cols; c++) sum += in[X][r * cols + c] * in[W][v * cols + c];
    return sum;
}

static void reference(const fv_node *node, const fv_run *run, const double *const *in, double *out)
{
    (void)run;
    const args *a = node->args;
    int64_t vocab = node->in[W]->rows, n = counted(node);
    double total = 0;
    for (int64_t r = 0; r < node->in[X]->rows; r++) {
        double sum = 0, mean = 0, top = -INFINITY;
        if (a->targets[r] < 0) continue;
        for (int64_t v = 0; v < vocab; v++) top = fmax(top, logit(node, in, r, v));
        for (int64_t v = 0; v < vocab; v++) sum += exp(logit(node, in, r, v) - top), mean += logit(node, in, r, v) / (double)vocab;
        total += top + log(sum) - (1 - (double)a->smoothing) * logit(node, in, r, a->targets[r]) - (double)a->smoothing * mean;
    }
    out[0] = n ? total / (double)n : 0;
}

static double flops(const fv_node *node, bool backward)
{
    double once = 2.0 * (double)node->in[X]->rows * (double)node->in[W]->rows * (double)node->in[X]->cols;
    return backward ? once * (node->in[X]->wants_grad + node->in[W]->wants_grad) : once;
}

static const int32_t right[] = {2, 0, 6, 2, 5}, some[] = {2, -1, 6, -1, 0}, none[] = {-1, -1, -1, -1, -1}, far[] = {TILE_COLUMNS + 1, 0, TILE_COLUMNS - 1}, outside[] = {2, 0, 7, 2, 5};

static fv_tensor *build(fv_case *c, int64_t rows, int64_t cols, int64_t vocab, bool bias, float scale, const int32_t *targets, float smoothing)
{
    fv_tensor *x = fv_case_input_scaled(c, "x", rows, cols, scale, 0), *w = fv_case_input(c, "w", vocab, cols);
    return fv_linear_cross_entropy(fv_case_graph(c), x, w, bias ? fv_case_input(c, "b", 1, vocab) : NULL, targets, smoothing);
}

static fv_tensor *bare(fv_case *c) { return build(c, 5, 6, 7, false, 1, right, 0); }
static fv_tensor *smoothed(fv_case *c) { return build(c, 5, 6, 7, true, 3, right, 0.1f); }
static fv_tensor *rows_left_out(fv_case *c) { return build(c, 5, 6, 7, true, 1, some, 0.1f); }
static fv_tensor *no_row_counts(fv_case *c) { return build(c, 5, 6, 7, true, 1, none, 0); }
static fv_tensor *large_logits(fv_case *c) { return build(c, 5, 6, 7, false, 40, right, 0); }
static fv_tensor *several_tiles(fv_case *c) { return build(c, 3, 2, TILE_COLUMNS + 7, true, 4, far, 0.1f); }
static fv_tensor *many_rows(fv_case *c) { return build(c, TILE_ROWS + 3, 2, 2, true, 1, fv_case_integers(c, TILE_ROWS + 3, 2), 0); }
static fv_tensor *no_targets(fv_case *c) { return build(c, 5, 6, 7, true, 1, NULL, 0); }
static fv_tensor *target_outside(fv_case *c) { return build(c, 5, 6, 7, true, 1, outside, 0); }
static fv_tensor *smoothed_away(fv_case *c) { return build(c, 5, 6, 7, true, 1, right, 1); }
static fv_tensor *widths_differ(fv_case *c) { return fv_linear_cross_entropy(fv_case_graph(c), fv_case_input(c, "x", 5, 6), fv_case_input(c, "w", 7, 5), NULL, right, 0); }
static fv_tensor *bias_too_long(fv_case *c) { return fv_linear_cross_entropy(fv_case_graph(c), fv_case_input(c, "x", 5, 6), fv_case_input(c, "w", 7, 6), fv_case_input(c, "b", 1, 8), right, 0); }
static fv_tensor *typical(fv_case *c) { return build(c, 2048, 512, 8000, true, 1, fv_case_integers(c, 2048, 8000), 0); }

static const fv_op_case cases[] = {
    {"bare", bare}, {"smoothed", smoothed}, {"rows left out", rows_left_out}, {"no row counts", no_row_counts},
    {"large logits", large_logits}, {"several tiles", several_tiles}, {"many rows", many_rows},
};
static const fv_op_case refused[] = {{"no targets", no_targets}, {"target outside", target_outside}, {"smoothed away", smoothed_away}, {"widths differ", widths_differ}, {"bias too long", bias_too_long}};

const fv_op fv_op_linear_cross_entropy = {
    .name = "linear_cross_entropy", .says = "measures how surprised the model is by the right word of a vocabulary",
    .check = check, .forward = forward, .backward = backward, .reference = reference, .flops = flops,
    FV_CASES(cases), FV_REFUSED(refused), .typical = typical, .tolerance = 2e-5,
};

FV_OP_FN fv_tensor *fv_linear_cross_entropy(fv_graph *g, fv_tensor *x, fv_tensor *w, fv_tensor *b, const int32_t *targets, float smoothing) {
    return fv_graph_add(g, &fv_op_linear_cross_entropy, (fv_tensor *[]){x, w, b}, 3, 1u << X | 1u << W, &(args){.targets = targets, .smoothing = smoothing, .precision = fv_graph_loose_precision(g)}, sizeof(args));
}
