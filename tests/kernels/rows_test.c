/* What walks rows, against float64, on every instruction set: odd widths, gaps between rows, set over
 * NaN and added to. */
#include "kernels/check.h"

static const int64_t row_counts[] = {1, 3, 70}, col_counts[] = {1, 7, 13, 64, 129, 700};

/* Runs `body(rows, cols)` for every size on every instruction set. */
static void each_size(void (*body)(int64_t rows, int64_t cols))
{
    for (EACH_ISA(isa)) {
        for (size_t r = 0; r < FV_COUNT(row_counts); r++) {
            for (size_t c = 0; c < FV_COUNT(col_counts); c++) body(row_counts[r], col_counts[c]);
        }
    }
}

static fv_pool *pool;

static double *as_doubles(const grid *g)
{
    double *x = doubles(g->rows * g->cols);
    for (int64_t i = 0; i < g->rows * g->cols; i++) x[i] = grid_get(g, i / g->cols, i % g->cols);
    return x;
}

/* Checks y, then runs again adding and checks old + expected. */
#define CHECK_SET_AND_ADD(y, expected, tolerance, what, call)                                       \
    do {                                                                                            \
        bool add = false;                                                                           \
        call;                                                                                       \
        grid_check(&(y), expected, tolerance, what);                                                \
        double *old_ = as_doubles(&(y));                                                            \
        for (int64_t i_ = 0; i_ < (y).rows * (y).cols; i_++) old_[i_] += (expected)[i_];            \
        add = true;                                                                                 \
        call;                                                                                       \
        grid_check(&(y), old_, 2 * (tolerance), what ", added");                                    \
        free(old_);                                                                                 \
    } while (0)

/* ---- Layer norm --------------------------------------------------------------------------- */

typedef struct norm_case {
    grid x, w, b, y, dy, dx, stats;
    double *ey, *edx, *edw, *edb;
} norm_case;

static void norm_case_init(norm_case *n, int64_t rows, int64_t cols, float offset)
{
    *n = (norm_case){
        .x = grid_new(rows, cols, 3), .w = grid_made(1, cols, 0), .b = grid_made(1, cols, 0), .y = grid_new(rows, cols, 1),
        .dy = grid_made(rows, cols, 2), .dx = grid_new(rows, cols, 4), .stats = grid_new(2, rows, 0),
        .ey = doubles(rows * cols), .edx = doubles(rows * cols), .edw = doubles(cols), .edb = doubles(cols),
    };
    grid_random(&n->x, offset - 1, offset + 1);
}

static void norm_case_release(norm_case *n)
{
    grid *grids[] = {&n->x, &n->w, &n->b, &n->y, &n->dy, &n->dx, &n->stats};
    for (size_t i = 0; i < FV_COUNT(grids); i++) grid_free(grids[i]);
    free(n->ey);
    free(n->edx);
    free(n->edw);
    free(n->edb);
}

static void expect_norm_row(norm_case *n, int64_t r, double eps)
{
    int64_t C = n->x.cols;
    double mean = 0, var = 0, flat = 0, tilt = 0;
    for (int64_t c = 0; c < C; c++) mean += grid_get(&n->x, r, c) / (double)C;
    for (int64_t c = 0; c < C; c++) var += (grid_get(&n->x, r, c) - mean) * (grid_get(&n->x, r, c) - mean) / (double)C;
    double rstd = 1 / sqrt(var + eps);
    for (int64_t c = 0; c < C; c++) {
        double normal = (grid_get(&n->x, r, c) - mean) * rstd, g = grid_get(&n->dy, r, c), gw = g * grid_get(&n->w, 0, c);
        n->ey[r * C + c] = normal * grid_get(&n->w, 0, c) + grid_get(&n->b, 0, c);
        n->edw[c] += g * normal;
        n->edb[c] += g;
        flat += gw / (double)C;
        tilt += gw * normal / (double)C;
    }
    for (int64_t c = 0; c < C; c++) {
        double normal = (grid_get(&n->x, r, c) - mean) * rstd;
        n->edx[r * C + c] = rstd * (grid_get(&n->dy, r, c) * grid_get(&n->w, 0, c) - flat - normal * tilt);
    }
}

static void norm_of_size(int64_t rows, int64_t cols)
{
    norm_case n;
    norm_case_init(&n, rows, cols, 0.5f);
    const float eps = 1e-2f; /* large, so that a single column has a gradient of use */
    for (int64_t r = 0; r < rows; r++) expect_norm_row(&n, r, eps);
    float *mean = n.stats.at, *rstd = n.stats.at + rows;
    fv_layer_norm_forward(n.y.at, n.y.ld, mean, rstd, n.x.at, n.x.ld, n.w.at, n.b.at, rows, cols, eps, pool);
    grid_check(&n.y, n.ey, 2e-5, "layer norm");
    grid_spoil(&n.y);
    fv_layer_norm_forward(n.y.at, n.y.ld, NULL, NULL, n.x.at, n.x.ld, n.w.at, n.b.at, rows, cols, eps, pool);
    grid_check(&n.y, n.ey, 2e-5, "layer norm without statistics");
    void *scratch = fv_alloc(fv_layer_norm_scratch(rows, cols), NULL);
    grid dw = grid_new(1, cols, 0), db = grid_new(1, cols, 0);
    memset(dw.at, 0, (size_t)cols * sizeof(float));
    memset(db.at, 0, (size_t)cols * sizeof(float));
    CHECK_SET_AND_ADD(n.dx, n.edx, 5e-5, "dx of layer norm",
        fv_layer_norm_backward(n.dx.at, n.dx.ld, add, add ? NULL : dw.at, add ? NULL : db.at, n.dy.at, n.dy.ld, n.x.at, n.x.ld, n.w.at, mean, rstd, rows, cols, pool, scratch));
    grid_check(&dw, n.edw, 1e-4, "dw of layer norm");
    grid_check(&db, n.edb, 1e-4, "db of layer norm");
    fv_layer_norm_backward(NULL, 0, false, dw.at, db.at, n.dy.at, n.dy.ld, n.x.at, n.x.ld, n.w.at, mean, rstd, rows, cols, pool, scratch);
    for (int64_t c = 0; c < cols; c++) {
        n.edw[c] *= 2;
        n.edb[c] *= 2;
    }
    grid_check(&dw, n.edw, 2e-4, "dw added");
    grid_check(&db, n.edb, 2e-4, "db added");
    fv_free(scratch);
    grid_free(&dw);
    grid_free(&db);
    norm_case_release(&n);
}

static void layer_norm(void **state)
{
    (void)state;
    each_size(norm_of_size);
}

/* A mean a thousand times the deviation: the variance must not be a difference of large squares. */
static void layer_norm_far_from_zero(void **state)
{
    (void)state;
    for (EACH_ISA(isa)) {
        norm_case n;
        norm_case_init(&n, 4, 256, 1000);
        for (int64_t r = 0; r < 4; r++) expect_norm_row(&n, r, 1e-5);
        fv_layer_norm_forward(n.y.at, n.y.ld, NULL, NULL, n.x.at, n.x.ld, n.w.at, n.b.at, 4, 256, 1e-5f, NULL);
        grid_check(&n.y, n.ey, 1e-3, "layer norm");
        norm_case_release(&n);
    }
}

/* ---- Activations -------------------------------------------------------------------------- */

static void acts_of_size(int64_t rows, int64_t cols)
{
    grid x = grid_new(rows, cols, 1), y = grid_new(rows, cols, 2), dy = grid_made(rows, cols, 3), dx = grid_new(rows, cols, 0);
    grid_random(&x, -7, 7);
    double *value = doubles(rows * cols), *slope = doubles(rows * cols);
    for (int act = FV_ACT_NONE; act < FV_N_ACTS; act++) {
        for (int64_t i = 0; i < rows * cols; i++) {
            double at = grid_get(&x, i / cols, i % cols);
            value[i] = act64(at, (fv_act)act);
            slope[i] = act_slope64(at, (fv_act)act) * grid_get(&dy, i / cols, i % cols);
        }
        fv_act_forward(y.at, y.ld, x.at, x.ld, rows, cols, (fv_act)act, pool);
        grid_check(&y, value, 1e-6, "activation");
        CHECK_SET_AND_ADD(dx, slope, 1e-6, "slope of activation", fv_act_backward(dx.at, dx.ld, add, dy.at, dy.ld, x.at, x.ld, rows, cols, (fv_act)act, pool));
        grid_spoil(&y);
        grid_copy(&y, &dy);
        fv_act_backward(y.at, y.ld, false, y.at, y.ld, x.at, x.ld, rows, cols, (fv_act)act, pool);
        grid_check(&y, slope, 1e-6, "slope of activation, in place");
    }
    grid_free(&x);
    grid_free(&y);
    grid_free(&dy);
    grid_free(&dx);
    free(value);
    free(slope);
}

static void activations(void **state)
{
    (void)state;
    each_size(acts_of_size);
}

/* Within two units in the last place of 2 over the whole line, and no surprises far out. */
static void gelu_is_exact(void **state)
{
    (void)state;
    const float far[] = {0, -0.0f, 1e-30f, -1e-30f, 20, -20, 1000, -1000, 1e30f, -1e30f};
    enum { N = 40001 };
    static float x[N], y[N];
    for (EACH_ISA(isa)) {
        for (int i = 0; i < N; i++) x[i] = (float)(i - N / 2) * 0.0006f;
        fv_act_forward(y, N, x, N, 1, N, FV_ACT_GELU, NULL);
        for (int i = 0; i < N; i++) check_close(y[i], gelu64(x[i]), 1.2e-7 * fmax(1, x[i]) + 1e-7, "gelu", 0, i);
        fv_act_forward(y, N, far, N, 1, FV_COUNT(far), FV_ACT_GELU, NULL);
        for (size_t i = 0; i < FV_COUNT(far); i++) check_close(y[i], far[i] > 0 ? gelu64(far[i]) : 0, fabs(far[i]) * 1e-7 + 1e-30, "gelu far out", 0, (int64_t)i);
        fv_act_forward(y, 2, (const float[]){NAN, 1}, 2, 1, 2, FV_ACT_GELU, NULL);
        assert_true(isnan(y[0]) && !isnan(y[1]));
    }
}

/* Far out every activation is x, 0 or 1 and its slope 1 or 0: no infinity or NaN from what is squared on the way. A NaN shows. */
static void activations_far_out(void **state)
{
    (void)state;
    const float far[] = {0, -0.0f, 1e-30f, -1e-30f, 90, -90, 1000, -1000, 1e30f, -1e30f};
    const float ones[FV_COUNT(far)] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    float y[FV_COUNT(far)], dy[FV_COUNT(far)];
    for (EACH_ISA(isa)) {
        for (int act = FV_ACT_SILU; act <= FV_ACT_GELU_TANH; act++) {
            fv_act_forward(y, 0, far, 0, 1, FV_COUNT(far), (fv_act)act, NULL);
            fv_act_backward(dy, 0, false, ones, 0, far, 0, 1, FV_COUNT(far), (fv_act)act, NULL);
            for (size_t i = 0; i < FV_COUNT(far); i++) {
                check_close(y[i], far[i] > 1 ? far[i] : far[i] < -1 ? 0 : far[i] / 2, fabs(far[i]) * 1e-7, "far out", act, (int64_t)i);
                check_close(dy[i], far[i] > 1 ? 1 : far[i] < -1 ? 0 : 0.5, 1e-6, "slope far out", act, (int64_t)i);
            }
            fv_act_forward(y, 2, (const float[]){NAN, 1}, 2, 1, 2, (fv_act)act, NULL);
            fv_act_backward(dy, 2, false, ones, 2, (const float[]){NAN, 1}, 2, 1, 2, (fv_act)act, NULL);
            assert_true(isnan(y[0]) && !isnan(y[1]) && isnan(dy[0]) && !isnan(dy[1]));
        }
    }
}

/* ---- Copies, sums, tables ----------------------------------------------------------------- */

static void simple_of_size(int64_t rows, int64_t cols)
{
    grid x = grid_made(rows, cols, 3), z = grid_made(rows, cols, 5), y = grid_new(rows, cols, 1), sums = grid_new(1, cols, 0);
    double *scaled = doubles(rows * cols), *sum = doubles(rows * cols), *columns = doubles(cols);
    for (int64_t i = 0; i < rows * cols; i++) {
        double a = grid_get(&x, i / cols, i % cols);
        scaled[i] = -1.5 * a;
        sum[i] = a + grid_get(&z, i / cols, i % cols);
        columns[i % cols] += a;
    }
    CHECK_SET_AND_ADD(y, scaled, 2e-7, "copy", fv_copy_rows(y.at, y.ld, add, x.at, x.ld, -1.5f, rows, cols, pool));
    fv_add_rows(y.at, y.ld, x.at, x.ld, z.at, z.ld, rows, cols, pool);
    grid_check(&y, sum, 1e-6, "sum of rows");
    CHECK_SET_AND_ADD(sums, columns, 2e-6 * sqrt((double)rows), "column sums", fv_sum_columns(sums.at, add, x.at, x.ld, rows, cols, pool));
    grid_free(&x);
    grid_free(&z);
    grid_free(&y);
    grid_free(&sums);
    free(scaled);
    free(sum);
    free(columns);
}

static void copies_and_sums(void **state)
{
    (void)state;
    each_size(simple_of_size);
}

static void tables_of_size(int64_t rows, int64_t cols)
{
    enum { ENTRIES = 9 };
    grid table = grid_made(ENTRIES, cols, 2), y = grid_new(rows, cols, 1), dy = grid_made(rows, cols, 3), dtable = grid_new(ENTRIES, cols, 4);
    int32_t *ids = calloc((size_t)rows, sizeof *ids);
    double *picked = doubles(rows * cols), *sum = doubles(ENTRIES * cols);
    for (int64_t r = 0; r < rows; r++) ids[r] = (int32_t)(r * r % 7); /* some often, 7 and 8 never */
    for (int64_t i = 0; i < rows * cols; i++) {
        picked[i] = 2.0 * grid_get(&table, ids[i / cols], i % cols);
        sum[ids[i / cols] * cols + i % cols] += 3.0 * grid_get(&dy, i / cols, i % cols);
    }
    CHECK_SET_AND_ADD(y, picked, 1e-6, "gather", fv_gather_rows(y.at, y.ld, add, table.at, table.ld, ids, 2, rows, cols, pool));
    grid_random(&dtable, 0, 0);
    fv_scatter_rows(dtable.at, dtable.ld, dy.at, dy.ld, ids, 3, rows, cols, pool);
    grid_check(&dtable, sum, 5e-6 * (double)rows, "scatter");
    grid_free(&table);
    grid_free(&y);
    grid_free(&dy);
    grid_free(&dtable);
    free(ids);
    free(picked);
    free(sum);
}

static void embeddings(void **state)
{
    (void)state;
    each_size(tables_of_size);
}

/* ---- Dropout ------------------------------------------------------------------------------ */

static const int32_t ragged[] = {0, 5, 5, 6, 70};
static const uint64_t names[] = {11, 12, 13, 14};

static void dropout_of_size(int64_t rows, int64_t cols)
{
    if (rows != 70) return;
    fv_dropout d = {.p = 0.25f, .key = 5, .B = 4, .offsets = ragged, .sequences = names};
    grid x = grid_new(rows, cols, 1), y = grid_new(rows, cols, 2), residual = grid_made(rows, cols, 3), all = grid_new(rows, cols, 0);
    grid_random(&x, 1, 2);
    fv_dropout_apply(y.at, y.ld, false, x.at, x.ld, NULL, 0, cols, &d, pool);
    double *expected = doubles(rows * cols), *more = doubles(rows * cols);
    for (int64_t i = 0; i < rows * cols; i++) {
        bool kept = grid_get(&y, i / cols, i % cols) != 0;
        expected[i] = kept ? grid_get(&x, i / cols, i % cols) / 0.75 : 0;
        more[i] = expected[i] + grid_get(&residual, i / cols, i % cols);
    }
    grid_check(&y, expected, 1e-6, "dropout");
    CHECK_SET_AND_ADD(y, more, 1e-6, "dropout and residual", fv_dropout_apply(y.at, y.ld, add, x.at, x.ld, residual.at, residual.ld, cols, &d, pool));
    d.p = 0;
    fv_dropout_apply(all.at, all.ld, false, x.at, x.ld, NULL, 0, cols, &d, pool);
    for (int64_t r = 0; r < rows; r++) assert_memory_equal(all.at + r * all.ld, x.at + r * x.ld, (size_t)cols * sizeof(float));
    grid_free(&x);
    grid_free(&y);
    grid_free(&residual);
    grid_free(&all);
    free(expected);
    free(more);
}

static void dropout(void **state)
{
    (void)state;
    each_size(dropout_of_size);
}

/* Every instruction set drops the same; the share is right; a sequence takes its choice along when
 * it stands elsewhere in the batch. */
static void dropout_is_one_choice(void **state)
{
    (void)state;
    const int64_t cols = 700;
    const int32_t turned[] = {0, 64, 65, 65, 70};
    const uint64_t turned_names[] = {14, 13, 12, 11};
    fv_dropout d = {.p = 0.25f, .key = 5, .B = 4, .offsets = ragged, .sequences = names}, t = {.p = 0.25f, .key = 5, .B = 4, .offsets = turned, .sequences = turned_names};
    grid one = grid_new(70, cols, 0), first = grid_new(70, cols, 0), y = grid_new(70, cols, 0);
    grid_random(&one, 1, 1);
    for (EACH_ISA(isa)) {
        grid *to = isa == 0 ? &first : &y;
        fv_dropout_apply(to->at, cols, false, one.at, cols, NULL, 0, cols, &d, pool);
        assert_memory_equal(to->at, first.at, 70 * (size_t)cols * sizeof(float));
        fv_dropout_apply(y.at, cols, false, one.at, cols, NULL, 0, cols, &t, pool);
        assert_memory_equal(y.at, first.at + 6 * cols, 64 * (size_t)cols * sizeof(float));
        assert_memory_equal(y.at + 65 * cols, first.at, 5 * (size_t)cols * sizeof(float));
    }
    double kept = 0;
    for (int64_t i = 0; i < 70 * cols; i++) kept += first.at[i] != 0;
    check_close(kept / (double)(70 * cols), 0.75, 5 * sqrt(0.1875 / (double)(70 * cols)), "share kept", 0, 0);
    grid_free(&one);
    grid_free(&first);
    grid_free(&y);
}

/* ---- Losses ------------------------------------------------------------------------------- */

static void expect_loss_row(const grid *x, int64_t r, int32_t target, double smoothing, double weight, double *loss, double *dx)
{
    int64_t C = x->cols;
    double top = -INFINITY, sum = 0, mean = 0;
    for (int64_t c = 0; c < C; c++) {
        top = fmax(top, grid_get(x, r, c));
        mean += grid_get(x, r, c) / (double)C;
    }
    for (int64_t c = 0; c < C; c++) sum += exp(grid_get(x, r, c) - top);
    double lse = top + log(sum);
    *loss = target < 0 ? 0 : lse - (1 - smoothing) * grid_get(x, r, target) - smoothing * mean;
    for (int64_t c = 0; c < C; c++) {
        double wanted = smoothing / (double)C + (c == target ? 1 - smoothing : 0);
        dx[c] = target < 0 ? 0 : weight * (exp(grid_get(x, r, c) - lse) - wanted);
    }
}

static void loss_of_size(int64_t rows, int64_t cols)
{
    grid x = grid_new(rows, cols, 2), dx = grid_new(rows, cols, 1), loss = grid_new(1, rows, 0), lse = grid_new(1, rows, 0);
    int32_t *targets = calloc((size_t)rows, sizeof *targets);
    double *eloss = doubles(rows), *edx = doubles(rows * cols);
    grid_random(&x, -9, 9);
    for (int64_t r = 0; r < rows; r++) targets[r] = r % 5 == 2 ? -1 : (int32_t)(r * 31 % cols);
    for (int s = 0; s < 2; s++) {
        for (int64_t r = 0; r < rows; r++) expect_loss_row(&x, r, targets[r], 0.1 * s, 0.5, eloss + r, edx + r * cols);
        fv_cross_entropy_forward(loss.at, lse.at, x.at, x.ld, targets, 0.1f * (float)s, rows, cols, pool);
        grid_check(&loss, eloss, 5e-6, "cross-entropy");
        grid_check_guards(&lse);
        CHECK_SET_AND_ADD(dx, edx, 2e-6, "gradient of cross-entropy", fv_cross_entropy_backward(dx.at, dx.ld, add, x.at, x.ld, lse.at, targets, 0.1f * (float)s, 0.5f, rows, cols, pool));
    }
    grid_free(&x);
    grid_free(&dx);
    grid_free(&loss);
    grid_free(&lse);
    free(targets);
    free(eloss);
    free(edx);
}

static void cross_entropy(void **state)
{
    (void)state;
    each_size(loss_of_size);
}

static void cross_entropy_of_huge_scores(void **state)
{
    (void)state;
    const float x[] = {3e38f, -3e38f, 0};
    const int32_t target = 0;
    for (EACH_ISA(isa)) {
        float loss, lse, dx[3];
        fv_cross_entropy_forward(&loss, &lse, x, 3, &target, 0, 1, 3, NULL);
        fv_cross_entropy_backward(dx, 3, false, x, 3, &lse, &target, 0, 1, 1, 3, NULL);
        assert_true(loss == 0 && lse == 3e38f && dx[0] == 0 && dx[1] == 0 && dx[2] == 0);
    }
}

/* Columns tile by tile, the gradient where the scores were, is what all at once gives. */
static void cross_entropy_in_tiles(void **state)
{
    (void)state;
    enum { ROWS = 9, COLS = 101, TILE = 38 };
    const int32_t targets[ROWS] = {0, 37, 38, -1, 75, 76, 100, -1, 50};
    for (EACH_ISA(isa)) {
        grid x = grid_made(ROWS, COLS, 3);
        float loss[2][ROWS], lse[2][ROWS], dx[ROWS * COLS];
        fv_cross_entropy_forward(loss[0], lse[0], x.at, x.ld, targets, 0.1f, ROWS, COLS, pool);
        fv_cross_entropy_backward(dx, COLS, false, x.at, x.ld, lse[0], targets, 0.1f, 0.5f, ROWS, COLS, pool);
        for (int64_t at = 0; at < COLS; at += TILE)
            fv_cross_entropy_tile_forward(loss[1], lse[1], x.at + at, x.ld, targets, 0.1f, ROWS, at, at + TILE < COLS ? TILE : COLS - at, COLS, pool);
        for (int64_t at = 0; at < COLS; at += TILE)
            fv_cross_entropy_tile_backward(x.at + at, x.ld, false, x.at + at, x.ld, lse[1], targets, 0.1f, 0.5f, ROWS, at, at + TILE < COLS ? TILE : COLS - at, COLS, pool);
        for (int64_t r = 0; r < ROWS; r++) {
            check_close((double)loss[1][r], (double)loss[0][r], 5e-6, "loss in tiles", r, 0);
            for (int64_t c = 0; c < COLS; c++) check_close((double)x.at[r * x.ld + c], (double)dx[r * COLS + c], 1e-6, "gradient in tiles", r, c);
        }
        grid_check_guards(&x);
        grid_free(&x);
    }
}

/* ---- Parameters --------------------------------------------------------------------------- */

static void sum_of_squares(void **state)
{
    (void)state;
    const int64_t sizes[] = {0, 1, 7, 13, 129, 40001};
    for (EACH_ISA(isa)) {
        for (size_t i = 0; i < FV_COUNT(sizes); i++) {
            grid x = grid_made(1, sizes[i], 0);
            double expected = 0;
            for (int64_t c = 0; c < sizes[i]; c++) expected += (double)x.at[c] * x.at[c];
            void *scratch = fv_alloc(fv_sum_squares_scratch(sizes[i]), NULL);
            double got = fv_sum_squares(x.at, sizes[i], pool, scratch);
            check_close(got, expected, 1e-12 * (1 + expected), "sum of squares", 0, sizes[i]);
            fv_free(scratch);
            grid_free(&x);
        }
    }
}

/* One element's step in float64. */
static void expect_adam(double *w, double *m, double *v, double g, const fv_adam *o)
{
    g *= o->grad_scale;
    if (o->decoupled) *w -= (double)o->lr * o->decay * *w;
    else g += o->decay * *w;
    *m = o->beta1 * *m + (1 - (double)o->beta1) * g;
    *v = o->beta2 * *v + (1 - (double)o->beta2) * g * g;
    *w -= o->lr * (*m / o->correction1) / (sqrt(*v / o->correction2) + o->epsilon);
}

static void adam_of_size(int64_t n, bool decoupled)
{
    fv_adam o = {.lr = 0.01f, .beta1 = 0.9f, .beta2 = 0.98f, .epsilon = 1e-6f, .decay = 0.1f, .grad_scale = 0.5f, .decoupled = decoupled};
    grid w = grid_made(1, n, 0), m = grid_new(1, n, 0), v = grid_new(1, n, 0), g = grid_made(1, n, 0);
    grid_random(&m, 0, 0);
    grid_random(&v, 0, 0);
    double *ew = as_doubles(&w), *em = doubles(n), *ev = doubles(n);
    for (int step = 1; step <= 3; step++) {
        o.correction1 = (float)(1 - pow(0.9, step));
        o.correction2 = (float)(1 - pow(0.98, step));
        for (int64_t i = 0; i < n; i++) expect_adam(ew + i, em + i, ev + i, g.at[i], &o);
        fv_adam_step(w.at, m.at, v.at, g.at, n, &o, pool);
    }
    grid_check(&w, ew, 2e-6, "parameter");
    grid_check(&m, em, 1e-6, "first moment");
    grid_check(&v, ev, 1e-6, "second moment");
    grid_free(&w);
    grid_free(&m);
    grid_free(&v);
    grid_free(&g);
    free(ew);
    free(em);
    free(ev);
}

static void adam(void **state)
{
    (void)state;
    const int64_t sizes[] = {1, 7, 13, 129, 40001};
    for (EACH_ISA(isa)) {
        for (size_t i = 0; i < FV_COUNT(sizes); i++) {
            adam_of_size(sizes[i], false);
            adam_of_size(sizes[i], true);
        }
    }
}

/* ---- Threads ------------------------------------------------------------------------------ */

/* All that sums over rows, with some number of threads. */
static void sums_with(fv_pool *some, const grid *x, const grid *dy, grid *out)
{
    int64_t rows = x->rows, cols = x->cols;
    grid stats = grid_new(2, rows, 0), y = grid_new(rows, cols, 0);
    void *scratch = fv_alloc(fv_layer_norm_scratch(rows, cols) + fv_sum_squares_scratch(rows * cols), NULL);
    float *w = x->at, *to = out->at;
    memset(to, 0, (size_t)(4 * out->ld) * sizeof(float));
    fv_layer_norm_forward(y.at, y.ld, stats.at, stats.at + rows, x->at, x->ld, w, w, rows, cols, 1e-5f, some);
    fv_layer_norm_backward(y.at, y.ld, false, to, to + cols, dy->at, dy->ld, x->at, x->ld, w, stats.at, stats.at + rows, rows, cols, some, scratch);
    fv_sum_columns(to + 2 * cols, false, x->at, x->ld, rows, cols, some);
    double squares = fv_sum_squares(x->at, rows * cols, some, scratch);
    memcpy(to + 3 * cols, &squares, sizeof squares);
    fv_free(scratch);
    grid_free(&stats);
    grid_free(&y);
}

static void same_bits_with_any_threads(void **state)
{
    (void)state;
    grid x = grid_made(3000, 130, 0), dy = grid_made(3000, 130, 0), first = grid_new(4, 130, 0), out = grid_new(4, 130, 0);
    for (EACH_ISA(isa)) {
        for (int threads = 1; threads <= 4; threads *= 2) {
            fv_pool *some = fv_pool_new(threads, NULL);
            sums_with(some, &x, &dy, threads == 1 ? &first : &out);
            if (threads > 1) assert_true(grid_same(&first, &out));
            fv_pool_free(some);
        }
    }
    grid_free(&x);
    grid_free(&dy);
    grid_free(&first);
    grid_free(&out);
}

static int start(void **state)
{
    (void)state;
    pool = fv_pool_new(2, NULL);
    return pool ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    fv_pool_free(pool);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layer_norm), cmocka_unit_test(layer_norm_far_from_zero), cmocka_unit_test(activations), cmocka_unit_test(gelu_is_exact), cmocka_unit_test(activations_far_out),
        cmocka_unit_test(copies_and_sums), cmocka_unit_test(embeddings), cmocka_unit_test(dropout), cmocka_unit_test(dropout_is_one_choice),
        cmocka_unit_test(cross_entropy), cmocka_unit_test(cross_entropy_of_huge_scores), cmocka_unit_test(cross_entropy_in_tiles),
        cmocka_unit_test(sum_of_squares), cmocka_unit_test(adam), cmocka_unit_test(same_bits_with_any_threads),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
