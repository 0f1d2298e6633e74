/* Columns taken from packed weights: the product with them has, bit for bit, those columns of the whole product, in
 * every precision, on every instruction set; room is used again, and nothing is allocated for it. */
#include "kernels/check.h"

static fv_pool *pool;

/* Weights [n,k] packed in a precision. */
static fv_packed *packed(fv_precision precision, const grid *w)
{
    fv_packed *p = NULL;
    if (precision == FV_PRECISION_F32) p = fv_packed_new(w->at, w->ld, true, w->cols, w->rows, pool, NULL);
    if (precision == FV_PRECISION_BF16) p = fv_packed_new_bf16(w->at, w->ld, true, w->cols, w->rows, pool, NULL);
    if (precision == FV_PRECISION_INT8) {
        int8_t *q = fv_alloc((size_t)(w->rows * w->cols), NULL);
        float *scales = fv_alloc((size_t)w->rows * sizeof *scales, NULL);
        assert_true(q && scales);
        fv_quantize_weights(q, w->cols, scales, w->at, w->ld, w->rows, w->cols);
        p = fv_packed_new_int8(q, w->cols, scales, w->cols, w->rows, NULL);
        fv_free(q);
        fv_free(scales);
    }
    assert_non_null(p);
    return p;
}

static void multiply(const grid *c, const grid *a, const fv_packed *b, const float *bias)
{
    fv_gemm g = {.m = a->rows, .n = c->cols, .k = a->cols, .a = a->at, .lda = a->ld, .packed = b, .c = c->at, .ldc = c->ld, .bias = bias, .act = FV_ACT_GELU};
    void *scratch = fv_alloc(fv_gemm_scratch(&g, 2) + 1, NULL);
    assert_non_null(scratch);
    grid_spoil(c);
    fv_gemm_run(&g, pool, scratch);
    grid_check_guards(c);
    fv_free(scratch);
}

/* n columns: sorted with gaps, then the same backwards, with the first one twice. */
static void choose(int32_t *columns, int64_t n, int64_t all, bool backwards)
{
    for (int64_t j = 0; j < n; j++) columns[backwards ? n - 1 - j : j] = (int32_t)(j * all / n);
    if (backwards) columns[0] = columns[n - 1];
}

static void check_columns(fv_packed *room, const fv_packed *whole, const grid *a, const grid *all, const float *bias, int64_t n, bool backwards)
{
    int32_t *columns = calloc((size_t)n + 1, sizeof *columns);
    grid c = grid_new(a->rows, n, 3), chosen = grid_new(1, n, 0);
    assert_non_null(columns);
    choose(columns, n, all->cols, backwards);
    for (int64_t j = 0; j < n; j++) chosen.at[j] = bias[columns[j]];
    int64_t before = fv_alloc_count();
    fv_packed_take_columns(room, whole, columns, n, n % 2 ? NULL : pool);
    assert_int_equal(fv_alloc_count(), before);
    multiply(&c, a, room, chosen.at);
    for (int64_t i = 0; i < c.rows; i++) {
        for (int64_t j = 0; j < n; j++) {
            float got = grid_get(&c, i, j), expected = grid_get(all, i, columns[j]);
            if (memcmp(&got, &expected, sizeof got) != 0) fail_msg("row %ld, column %ld taken as %ld of %ld, on %s: %.9g, expected %.9g", (long)i, (long)columns[j], (long)j, (long)n, fv_kernels_isa(), (double)got, (double)expected);
        }
    }
    grid_free(&c);
    grid_free(&chosen);
    free(columns);
}

static void check_weights(fv_precision precision, int64_t m, int64_t all, int64_t k)
{
    const int64_t counts[] = {50, 1, 32, 33, 64, 7, 0, 90};
    grid a = grid_made(m, k, 1), w = grid_made(all, k, 2), bias = grid_made(1, all, 0), c = grid_new(m, all, 0);
    fv_packed *whole = packed(precision, &w), *room = fv_packed_columns_new(whole, 90, NULL);
    assert_non_null(room);
    assert_int_equal(fv_packed_precision(room), precision);
    assert_true(fv_packed_bytes(room) >= (size_t)(90 * k) * (precision == FV_PRECISION_INT8 ? 1 : 2));
    multiply(&c, &a, whole, bias.at);
    for (size_t i = 0; i < FV_COUNT(counts); i++) check_columns(room, whole, &a, &c, bias.at, counts[i], i % 2);
    fv_packed_free(whole);
    fv_packed_free(room);
    grid_free(&a);
    grid_free(&w);
    grid_free(&bias);
    grid_free(&c);
}

static void bits_of_the_whole_product(void **state)
{
    (void)state;
    for (EACH_ISA(isa)) {
        for (fv_precision precision = FV_PRECISION_F32; precision <= FV_PRECISION_INT8; precision++) {
            check_weights(precision, 5, 201, 67);
            check_weights(precision, 1, 96, 1);
            check_weights(precision, 3, 100, 3200); /* several blocks of k in every precision */
        }
    }
}

static void room_without_memory(void **state)
{
    (void)state;
    grid w = grid_made(40, 10, 0);
    for (fv_precision precision = FV_PRECISION_F32; precision <= FV_PRECISION_INT8; precision++) {
        fv_packed *whole = packed(precision, &w);
        for (int64_t nth = 0; nth < (precision == FV_PRECISION_INT8 ? 4 : 2); nth++) {
            int64_t live = fv_alloc_live();
            fv_err err = {0};
            fv_alloc_fail_after(nth);
            assert_null(fv_packed_columns_new(whole, 20, &err));
            fv_alloc_fail_after(-1);
            assert_int_equal(err.status, FV_E_MEMORY);
            assert_int_equal(fv_alloc_live(), live);
        }
        fv_packed_free(whole);
    }
    grid_free(&w);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(bits_of_the_whole_product), cmocka_unit_test(room_without_memory)};
    return cmocka_run_group_tests(tests, start, stop);
}
