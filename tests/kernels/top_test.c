/* The best columns of rows, against sorting, on every instruction set: ties, NaN, -inf, short rows, few numbers. */
#include <stdlib.h>

#include "kernels/check.h"

enum { MOST = 9000, K = 7 };

static const float *sorted_row;

static int best_first(const void *a, const void *b)
{
    int32_t i = *(const int32_t *)a, j = *(const int32_t *)b;
    if (sorted_row[i] != sorted_row[j]) return sorted_row[i] < sorted_row[j] ? 1 : -1;
    return i - j;
}

static void check_row(const float *x, int32_t n, const int32_t *best, const float *values, float lse)
{
    int32_t *order = malloc((size_t)n * sizeof *order), kept = 0;
    double sum = 0;
    bool odd = false;
    for (int32_t i = 0; i < n; i++) {
        if (x[i] > -INFINITY) order[kept++] = i;
        odd |= isnan(x[i]);
        sum += exp((double)x[i]);
    }
    sorted_row = x;
    qsort(order, (size_t)kept, sizeof *order, best_first);
    for (int i = 0; i < K; i++) {
        assert_int_equal(best[i], i < kept ? order[i] : -1);
        if (i < kept) assert_true(values[i] == x[order[i]]);
    }
    if (odd || kept == 0) assert_true(isnan(lse));
    else assert_true(fabs((double)lse - log(sum)) < 1e-5);
    free(order);
}

static void largest_first(void **state)
{
    (void)state;
    static const int32_t widths[] = {1, 5, 63, 64, 65, 200, 4096, 4097, MOST};
    enum { ROWS = 6 };
    float *x = malloc((size_t)ROWS * MOST * sizeof *x), values[ROWS * K], lse[ROWS];
    int32_t best[ROWS * K], counts[ROWS];
    fv_pool *pool = fv_pool_new(3, NULL);
    for (EACH_ISA(isa)) {
        for (size_t w = 0; w < FV_COUNT(widths); w++) {
            int32_t n = widths[w];
            fv_rng rng = fv_rng_make(w, "top");
            for (int32_t i = 0; i < ROWS * n; i++) x[i] = (float)fv_rng_uniform(&rng) * 8 - 4;
            for (int32_t i = 0; i < n; i++) x[n + i] = (float)(i % 5);      /* ties */
            x[2 * n + n / 2] = NAN;
            for (int32_t i = 0; i < n; i++) x[3 * n + i] = i % 40 ? -INFINITY : 1;
            for (int32_t i = 0; i < n; i++) x[4 * n + i] = i % 2 ? NAN : -INFINITY;
            for (int r = 0; r < ROWS; r++) counts[r] = n - r % n / 2;
            fv_top_rows(best, values, lse, x, n, NULL, ROWS, n, K, pool);
            for (int r = 0; r < ROWS; r++) check_row(x + r * n, n, best + r * K, values + r * K, lse[r]);
            fv_top_rows(best, values, lse, x, n, counts, ROWS, n, K, NULL);
            for (int r = 0; r < ROWS; r++) check_row(x + r * n, counts[r], best + r * K, values + r * K, lse[r]);
        }
    }
    fv_pool_free(pool);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(largest_first)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
