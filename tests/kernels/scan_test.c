/* The nearest rows against sorting all products in double, to the bit: on every instruction set, with any number of threads,
 * for rows that int8 cannot tell apart, ties, zeros, very long and very short ones; and the inner loop against whole numbers. */
#include <float.h>

#include "kernels/check.h"
#include "kernels/cpu/isa.h"

/* ---- The inner loop ---- */

static void check_sums(int rows, int queries, int64_t stride)
{
    int8_t *q = fv_alloc((size_t)(rows * stride), NULL);
    int16_t *p = fv_alloc((size_t)(queries * stride) * sizeof *p, NULL);
    int32_t *sums = fv_alloc_zero((size_t)(queries * (rows + 3)), sizeof *sums, NULL);
    int64_t most = INT32_MAX / (127 * stride) < 32767 ? INT32_MAX / (127 * stride) : 32767;
    for (int64_t i = 0; i < rows * stride; i++) q[i] = (int8_t)(rows == 1 ? 127 : chance(-127, 127.9f));
    for (int64_t i = 0; i < queries * stride; i++) p[i] = (int16_t)(rows == 1 ? most : (int64_t)chance((float)-most, (float)most));
    for (EACH_ISA(isa)) {
        for (int i = 0; i < queries * (rows + 3); i++) sums[i] = 7;
        fv_isa_current()->scan(sums, rows + 3, q, rows, p, queries, stride);
        for (int j = 0; j < queries; j++) {
            for (int i = 0; i < rows + 3; i++) {
                int64_t sum = 0;
                for (int64_t k = 0; i < rows && k < stride; k++) sum += q[i * stride + k] * p[j * stride + k];
                if (sums[j * (rows + 3) + i] != (i < rows ? sum : 7)) fail_msg("%d rows, %d queries, %ld numbers on %s: row %d is %d, expected %ld", rows, queries, (long)stride, fv_kernels_isa(), i, sums[j * (rows + 3) + i], (long)sum);
            }
        }
    }
    fv_free(q);
    fv_free(p);
    fv_free(sums);
}

/* One row holds the largest numbers there are: sums of 32 bits just hold them. */
static void sums_are_exact(void **state)
{
    (void)state;
    for (int rows = 1; rows <= 9; rows++)
        for (int queries = 1; queries <= 9; queries++) check_sums(rows, queries, 32 * (rows + queries));
    check_sums(1, 1, 65536);
    check_sums(64, 16, 384);
}

/* ---- Whole scans ---- */

enum { BLOCKS = 5, QUERIES = 19 };

typedef struct rows {
    int64_t n, D;
    float *x, *queries, *scales, *slacks;
    int8_t *q;
    int64_t *names;
    fv_scan_block blocks[BLOCKS];
} rows;

/* Names run against the order of the rows, so that ties show who decides. */
static rows rows_new(int64_t n, int64_t D, float (*number)(int64_t row))
{
    rows r = {.n = n, .D = D};
    int64_t stride = fv_scan_stride(D);
    r.x = fv_alloc((size_t)(n * D) * sizeof(float), NULL);
    r.queries = fv_alloc((size_t)(QUERIES * D) * sizeof(float), NULL);
    r.scales = fv_alloc((size_t)n * sizeof(float), NULL);
    r.slacks = fv_alloc((size_t)n * sizeof(float), NULL);
    r.q = fv_alloc((size_t)(n * stride), NULL);
    r.names = fv_alloc((size_t)n * sizeof(int64_t), NULL);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t d = 0; d < D; d++) r.x[i * D + d] = number(i);
        assert_true(fv_scan_takes(r.x + i * D, D));
        fv_scan_quantize(r.q + i * stride, r.scales + i, r.slacks + i, r.x + i * D, D);
        r.names[i] = 3 * (n - i) - 100;
    }
    for (int64_t i = 0; i < QUERIES * D; i++) r.queries[i] = i / D == 1 ? 0 : number(i / D);
    for (int64_t b = 0, at = 0, end; b < BLOCKS; b++, at = end) {
        end = n * (b + 1) * (b + 1) / (BLOCKS * BLOCKS);
        r.blocks[b] = (fv_scan_block){.x = r.x + at * D, .q = r.q + at * stride, .scales = r.scales + at, .slacks = r.slacks + at, .names = r.names + at, .n = end - at};
    }
    return r;
}

static void rows_free(rows *r)
{
    fv_free(r->x);
    fv_free(r->queries);
    fv_free(r->scales);
    fv_free(r->slacks);
    fv_free(r->q);
    fv_free(r->names);
}

static int in_order(const void *a, const void *b)
{
    const fv_near *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return x->name > y->name ? 1 : -1;
}

static fv_near *slow_way(const rows *r, const float *query)
{
    fv_near *all = malloc((size_t)(r->n + 1) * sizeof *all);
    assert_non_null(all);
    for (int64_t i = 0; i < r->n; i++) all[i] = (fv_near){.name = r->names[i], .score = (float)fv_scan_product(r->x + i * r->D, query, r->D)};
    qsort(all, (size_t)r->n, sizeof *all, in_order);
    return all;
}

static void check_top(const rows *r, int k, int64_t n_queries, int threads)
{
    fv_pool *pool = threads > 1 ? fv_pool_new(threads, NULL) : NULL;
    size_t bytes = fv_scan_scratch(r->D, n_queries, k, threads);
    uint8_t *scratch = fv_alloc(bytes + 64, NULL);
    fv_near *out = fv_alloc_zero((size_t)(n_queries * k), sizeof *out, NULL);
    int counts[QUERIES];
    memset(scratch, 0x5a, bytes + 64);
    fv_scan_top(out, counts, r->blocks, BLOCKS, r->queries, r->D, n_queries, r->D, k, pool, scratch);
    for (int i = 0; i < 64; i++) assert_int_equal(scratch[bytes + (size_t)i], 0x5a);
    for (int64_t q = 0; q < n_queries; q++) {
        fv_near *all = slow_way(r, r->queries + q * r->D);
        assert_int_equal(counts[q], k < r->n ? k : r->n);
        for (int i = 0; i < counts[q]; i++) {
            fv_near got = out[q * k + i];
            if (got.name != all[i].name || got.score != all[i].score)
                fail_msg("%ld rows of %ld, query %ld, place %d on %s: %ld with %.9g, expected %ld with %.9g", (long)r->n, (long)r->D, (long)q, i, fv_kernels_isa(), (long)got.name, (double)got.score, (long)all[i].name, (double)all[i].score);
        }
        free(all);
    }
    fv_free(scratch);
    fv_free(out);
    fv_pool_free(pool);
}

static void check_rows(int64_t n, int64_t D, float (*number)(int64_t row))
{
    rows r = rows_new(n, D, number);
    for (EACH_ISA(isa)) {
        check_top(&r, 1, 1, 1);
        check_top(&r, 7, QUERIES, 1);
        check_top(&r, 7, 5, 3);
        check_top(&r, (int)n + 2, 2, 2);
    }
    rows_free(&r);
}

static float any(int64_t row) { return (void)row, chance(-1, 1); }
static float alike(int64_t row) { return (void)row, 0.5f + chance(-1e-4f, 1e-4f); }     /* int8 sees one and the same row */
static float few(int64_t row) { return (float)(row % 3); }                              /* ties by the hundred */
static float none(int64_t row) { return (void)row, 0; }
static float far(int64_t row) { return chance(-1, 1) * powf(10, (float)(row % 25) - 12); } /* lengths from 1e-12 to 1e12 */
static float faint(int64_t row) { return (void)row, chance(-1, 1) * 1e-30f; }           /* products near the smallest floats */
static float spiked(int64_t row) { return chance(0, 1) < 0.03f ? chance(-50, 50) : chance(-0.2f, 0.2f) + (float)(row % 2); }

static void as_the_slow_way(void **state)
{
    (void)state;
    float (*const kinds[])(int64_t row) = {any, alike, few, none, far, faint, spiked};
    for (size_t i = 0; i < FV_COUNT(kinds); i++) {
        check_rows(700, 48, kinds[i]);
        check_rows(130, 385, kinds[i]);
    }
    check_rows(1, 1, any);
    check_rows(65, 33, any);
    check_rows(3, 4000, any);
}

/* The bound leaves few rows to look at: of rows at random, far fewer than the scan sees. (Twice the slack's share of a length of 1.) */
static void the_bound_is_tight(void **state)
{
    (void)state;
    rows r = rows_new(200, 384, any);
    for (int64_t i = 0; i < r.n; i++) {
        double length = sqrt(fv_scan_product(r.x + i * 384, r.x + i * 384, 384));
        assert_true(r.slacks[i] > 0 && r.slacks[i] < 0.006 * length);
    }
    rows_free(&r);
}

static void what_is_not_taken(void **state)
{
    (void)state;
    float x[40] = {0};
    assert_true(fv_scan_takes(x, 40));
    x[39] = NAN;
    assert_false(fv_scan_takes(x, 40));
    x[39] = -INFINITY;
    assert_false(fv_scan_takes(x, 40));
    x[39] = 2e15f;
    assert_false(fv_scan_takes(x, 40));
    x[39] = 9e14f;
    assert_true(fv_scan_takes(x, 40));
}

/* A heap of k keeps the k best in any order of coming. */
static void the_best_so_far(void **state)
{
    (void)state;
    fv_near items[5];
    for (int round = 0; round < 200; round++) {
        fv_nearest best = {.items = items, .k = round % 6};
        int top[8] = {0};
        for (int i = 0; i < 30; i++) {
            int score = (int)chance(0, 7.99f);
            top[score]++;
            if (fv_nearest_wants(&best, (float)score)) fv_nearest_add(&best, round + i, (float)score);
        }
        fv_nearest_sort(&best);
        assert_int_equal(best.n, round % 6);
        for (int i = 0, score = 7; i < best.n; i++) {
            while (!top[score]) score--;
            top[score]--;
            assert_true(best.items[i].score == (float)score);
            if (i) assert_true(fv_near_before(best.items[i - 1], best.items[i]));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_exact), cmocka_unit_test(as_the_slow_way), cmocka_unit_test(the_bound_is_tight),
        cmocka_unit_test(what_is_not_taken), cmocka_unit_test(the_best_so_far),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
