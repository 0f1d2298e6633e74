/* Products in float32 and in bf16 against float64, over odd sizes, strides and transposes, on every
 * instruction set. In bf16 the operands of the reference are rounded; the sums are not. */
#include "kernels/check.h"

static fv_pool *pool;

/* A product with its operands; the logical A and B are kept row-major in float64 for the reference. */
typedef struct product {
    int64_t m, n, k;
    fv_precision precision;
    double *a, *b, *ab; /* [m,k], [k,n], [m,n] */
} product;

/* To the nearest number of 8 significant bits, ties to even. */
static double rounded(double x, fv_precision precision)
{
    int exponent;
    double fraction = frexp(x, &exponent);
    return precision == FV_PRECISION_BF16 ? ldexp(nearbyint(ldexp(fraction, 8)), exponent - 8) : x;
}

static product product_new(int64_t m, int64_t n, int64_t k, fv_precision precision)
{
    product p = {.m = m, .n = n, .k = k, .precision = precision, .a = doubles(m * k), .b = doubles(k * n), .ab = doubles(m * n)};
    for (int64_t i = 0; i < m * k; i++) p.a[i] = chance(-1, 1);
    for (int64_t i = 0; i < k * n; i++) p.b[i] = chance(-1, 1);
    for (int64_t i = 0; i < m; i++) {
        for (int64_t l = 0; l < k; l++) {
            for (int64_t j = 0; j < n; j++) p.ab[i * n + j] += rounded(p.a[i * k + l], precision) * rounded(p.b[l * n + j], precision);
        }
    }
    return p;
}

static void product_free(product *p)
{
    free(p->a);
    free(p->b);
    free(p->ab);
}

static grid stored(const double *x, int64_t rows, int64_t cols, bool transposed, int64_t gap)
{
    grid g = transposed ? grid_new(cols, rows, gap) : grid_new(rows, cols, gap);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t c = 0; c < cols; c++) *(transposed ? &g.at[c * g.ld + r] : &g.at[r * g.ld + c]) = (float)x[r * cols + c];
    }
    return g;
}

static fv_packed *packed_b(const product *p, const grid *b, bool b_t)
{
    fv_packed *packed = (p->precision == FV_PRECISION_BF16 ? fv_packed_new_bf16 : fv_packed_new)(b->at, b->ld, b_t, p->k, p->n, pool, NULL);
    assert_non_null(packed);
    assert_int_equal(fv_packed_precision(packed), p->precision);
    return packed;
}

static double tolerance(const product *p) { return 4e-7 * ((double)p->k + 8); }

static void run(const fv_gemm *g, fv_pool *on)
{
    int threads = on ? fv_pool_threads(on) : 1;
    size_t bytes = fv_gemm_scratch(g, threads);
    uint8_t *scratch = fv_alloc(bytes + 64, NULL);
    assert_non_null(scratch);
    memset(scratch, 0xff, bytes + 64); /* NaN */
    fv_gemm_run(g, on, scratch);
    for (int i = 0; i < 64; i++) assert_int_equal(scratch[bytes + (size_t)i], 0xff);
    fv_free(scratch);
}

/* C set (over NaN) and added to, B plain and packed, for one pair of transposes. */
static void check_transposes(const product *p, bool a_t, bool b_t)
{
    grid a = stored(p->a, p->m, p->k, a_t, 3), b = stored(p->b, p->k, p->n, b_t, 5), c = grid_new(p->m, p->n, 2);
    fv_gemm g = {.m = p->m, .n = p->n, .k = p->k, .a = a.at, .lda = a.ld, .a_t = a_t, .b = b.at, .ldb = b.ld, .b_t = b_t, .c = c.at, .ldc = c.ld, .precision = p->precision};
    run(&g, NULL);
    grid_check(&c, p->ab, tolerance(p), "A·B");
    fv_packed *packed = packed_b(p, &b, b_t);
    assert_true(fv_packed_bytes(packed) >= (size_t)(p->k * p->n) * (p->precision == FV_PRECISION_BF16 ? 2 : 4));
    g.packed = packed;
    g.b = NULL;
    g.precision = FV_PRECISION_F32; /* packed B knows its own */
    grid_spoil(&c);
    run(&g, pool);
    grid_check(&c, p->ab, tolerance(p), "A·packed B");
    g.add = true;
    run(&g, pool);
    double *twice = doubles(p->m * p->n);
    for (int64_t i = 0; i < p->m * p->n; i++) twice[i] = 2 * p->ab[i];
    grid_check(&c, twice, 2 * tolerance(p), "C + A·B");
    free(twice);
    fv_packed_free(packed);
    grid_free(&a);
    grid_free(&b);
    grid_free(&c);
}

#define EACH_PRECISION(p) fv_precision p = FV_PRECISION_F32; p <= FV_PRECISION_BF16; p++

static void sizes_and_transposes(void **state)
{
    (void)state;
    const int64_t sizes[] = {1, 7, 13, 32, 65};
    for (size_t i = 0; i < FV_COUNT(sizes); i++) {
        for (size_t j = 0; j < FV_COUNT(sizes); j++) {
            for (size_t l = 0; l < FV_COUNT(sizes); l++) {
                for (EACH_PRECISION(precision)) {
                    product p = product_new(sizes[i], sizes[j], sizes[l], precision);
                    for (EACH_ISA(isa)) {
                        for (int t = 0; t < 4; t++) check_transposes(&p, t & 1, t & 2);
                    }
                    product_free(&p);
                }
            }
        }
    }
}

/* Every number of rows and columns of a register tile, so that each of its functions runs. */
static void tile_edges(void **state)
{
    (void)state;
    for (int64_t m = 1; m <= 30; m++) {
        for (EACH_PRECISION(precision)) {
            product p = product_new(m, 34 - m, 21, precision);
            for (EACH_ISA(isa)) check_transposes(&p, m & 1, m & 2);
            product_free(&p);
        }
    }
}

/* k in several blocks, rows in several slabs. */
static void blocks_and_slabs(void **state)
{
    (void)state;
    const int64_t sizes[][3] = {{30, 70, 1000}, {300, 3, 5000}, {2, 260, 777}};
    for (size_t i = 0; i < FV_COUNT(sizes); i++) {
        for (EACH_PRECISION(precision)) {
            product p = product_new(sizes[i][0], sizes[i][1], sizes[i][2], precision);
            for (EACH_ISA(isa)) {
                check_transposes(&p, false, true);
                check_transposes(&p, true, false);
            }
            product_free(&p);
        }
    }
}

typedef struct wanted { bool bias, pre, residual; fv_act act; } wanted;

static void check_epilogue(const product *p, const wanted *w)
{
    grid a = stored(p->a, p->m, p->k, false, 0), b = stored(p->b, p->k, p->n, true, 1), c = grid_new(p->m, p->n, 3);
    grid bias = grid_made(1, p->n, 0), pre = grid_new(p->m, p->n, 5), residual = grid_made(p->m, p->n, 7);
    double *before = doubles(p->m * p->n), *after = doubles(p->m * p->n);
    for (int64_t i = 0; i < p->m; i++) {
        for (int64_t j = 0; j < p->n; j++) {
            double x = p->ab[i * p->n + j] + (w->bias ? grid_get(&bias, 0, j) : 0);
            before[i * p->n + j] = x;
            after[i * p->n + j] = act64(x, w->act) + (w->residual ? grid_get(&residual, i, j) : 0);
        }
    }
    fv_gemm g = {.m = p->m, .n = p->n, .k = p->k, .a = a.at, .lda = a.ld, .b = b.at, .ldb = b.ld, .b_t = true, .c = c.at, .ldc = c.ld, .act = w->act, .precision = p->precision};
    if (w->bias) g.bias = bias.at;
    if (w->pre) { g.pre = pre.at; g.ldpre = pre.ld; }
    if (w->residual) { g.residual = residual.at; g.ldres = residual.ld; }
    run(&g, pool);
    grid_check(&c, after, 2 * tolerance(p), "residual + act(A·B + bias)");
    if (w->pre) grid_check(&pre, before, tolerance(p), "A·B + bias");
    else grid_check_guards(&pre);
    free(before);
    free(after);
    grid_free(&a);
    grid_free(&b);
    grid_free(&c);
    grid_free(&bias);
    grid_free(&pre);
    grid_free(&residual);
}

static void epilogues(void **state)
{
    (void)state;
    const int64_t sizes[][3] = {{1, 1, 1}, {17, 33, 5}, {30, 70, 100}, {9, 20, 800}, {13, 20, 0}};
    for (size_t i = 0; i < FV_COUNT(sizes); i++) {
        for (EACH_PRECISION(precision)) {
            product p = product_new(sizes[i][0], sizes[i][1], sizes[i][2], precision);
            for (EACH_ISA(isa)) {
                for (int v = 0; v < 8 * FV_N_ACTS; v++) {
                    wanted w = {.bias = v & 1, .pre = v & 2, .residual = v & 4, .act = (fv_act)(v / 8)};
                    check_epilogue(&p, &w);
                }
            }
            product_free(&p);
        }
    }
}

static void nothing_to_do(void **state)
{
    (void)state;
    grid c = grid_made(3, 3, 1), copy = grid_new(3, 3, 1);
    grid_copy(&copy, &c);
    fv_gemm none = {.m = 0, .n = 3, .k = 3, .c = c.at, .ldc = c.ld}, add = {.m = 3, .n = 3, .k = 0, .c = c.at, .ldc = c.ld, .add = true};
    for (EACH_ISA(isa)) {
        run(&none, pool);
        run(&add, pool);
        assert_true(grid_same(&c, &copy));
    }
    grid_free(&c);
    grid_free(&copy);
}

static void check_threads(const fv_gemm *like)
{
    fv_gemm g = *like;
    grid first = grid_new(g.m, g.n, 0), c = grid_new(g.m, g.n, 0);
    for (int threads = 1; threads <= 4; threads *= 2) {
        fv_pool *some = fv_pool_new(threads, NULL);
        g.c = threads == 1 ? first.at : c.at;
        g.ldc = g.n;
        run(&g, some);
        if (threads > 1) assert_true(grid_same(&first, &c));
        fv_pool_free(some);
    }
    grid_free(&first);
    grid_free(&c);
}

static void same_bits_with_any_threads(void **state)
{
    (void)state;
    const int64_t sizes[][3] = {{150, 200, 500}, {5, 700, 90}, {500, 20, 2100}};
    for (size_t s = 0; s < FV_COUNT(sizes); s++) {
        int64_t m = sizes[s][0], n = sizes[s][1], k = sizes[s][2];
        grid a = grid_made(m, k, 0), b = grid_made(n, k, 0);
        for (EACH_PRECISION(precision)) {
            for (EACH_ISA(isa)) {
                fv_gemm g = {.m = m, .n = n, .k = k, .a = a.at, .lda = k, .b = b.at, .ldb = k, .b_t = true, .act = FV_ACT_GELU, .precision = precision};
                check_threads(&g);
            }
        }
        grid_free(&a);
        grid_free(&b);
    }
}

/* A sentence's translation must not depend on its neighbours in the batch: the rows of a product are those of the
 * products of each row, and of a few, however its sums are cut. */
static void check_rows_alone(const product *p, bool packs)
{
    grid a = stored(p->a, p->m, p->k, false, 3), b = stored(p->b, p->k, p->n, false, 5), r = grid_made(p->m, p->n, 1), all = grid_new(p->m, p->n, 0), some = grid_new(p->m, p->n, 0);
    fv_packed *packed = packs ? packed_b(p, &b, false) : NULL;
    fv_gemm g = {.m = p->m, .n = p->n, .k = p->k, .a = a.at, .lda = a.ld, .b = b.at, .ldb = b.ld, .packed = packed, .c = all.at, .ldc = all.ld, .precision = p->precision,
                 .bias = r.at, .act = FV_ACT_GELU, .residual = r.at, .ldres = r.ld};
    run(&g, pool);
    for (int64_t rows = 1; rows <= 15; rows += 7) {
        grid_spoil(&some);
        for (int64_t first = 0; first < p->m; first += rows) {
            fv_gemm part = g;
            part.m = p->m - first < rows ? p->m - first : rows;
            part.a = a.at + first * a.ld;
            part.residual = r.at + first * r.ld;
            part.c = some.at + first * some.ld;
            run(&part, first % 2 ? pool : NULL);
        }
        if (!grid_same(&all, &some)) fail_msg("%s, %ld rows of %ld at a time, k %ld, n %ld, precision %d: other bits than all at once", fv_kernels_isa(), (long)rows, (long)p->m, (long)p->k, (long)p->n, (int)p->precision);
    }
    fv_packed_free(packed);
    grid_free(&a);
    grid_free(&b);
    grid_free(&r);
    grid_free(&all);
    grid_free(&some);
}

static void a_row_depends_on_no_other(void **state)
{
    (void)state;
    const int64_t sizes[][2] = {{70, 100}, {64, 512}, {33, 1700}, {9, 3300}}; /* n and k: several blocks of k in the last */
    for (size_t s = 0; s < FV_COUNT(sizes); s++) {
        for (EACH_PRECISION(precision)) {
            product p = product_new(37, sizes[s][0], sizes[s][1], precision);
            for (EACH_ISA(isa)) {
                check_rows_alone(&p, true);
                check_rows_alone(&p, false);
            }
            product_free(&p);
        }
    }
}

/* a · 1 in bf16 is a, rounded. */
static float through_bf16(float a, bool a_t)
{
    float one = 1, c;
    fv_gemm g = {.m = 1, .n = 1, .k = 1, .a = &a, .lda = 1, .a_t = a_t, .b = &one, .ldb = 1, .c = &c, .ldc = 1, .precision = FV_PRECISION_BF16};
    run(&g, NULL);
    return c;
}

static void bf16_rounds_to_nearest_even(void **state)
{
    (void)state;
    const float step = 1.0f / 128; /* between 1 and 2 */
    const float pairs[][2] = {
        {1 + step / 2, 1}, {1 + 3 * step / 2, 1 + 2 * step}, {1 + step / 2 + 1e-6f, 1 + step}, {-1 - step / 2, -1}, {2 - step / 4, 2},
        {0, 0}, {1e-30f, 0x1.44p-100f}, {INFINITY, INFINITY}, {-INFINITY, -INFINITY}, {3.4e38f, INFINITY}, {3.38e38f, 0x1.fcp127f},
    };
    for (EACH_ISA(isa)) {
        for (size_t i = 0; i < FV_COUNT(pairs); i++) {
            assert_true(through_bf16(pairs[i][0], false) == pairs[i][1]);
            assert_true(through_bf16(pairs[i][0], true) == pairs[i][1]);
        }
        const uint32_t nans[] = {0x7fc00000, 0x7f800001, 0xffffffff, 0x7fffffff};
        for (size_t i = 0; i < FV_COUNT(nans); i++) {
            float x;
            memcpy(&x, nans + i, sizeof x);
            assert_true(isnan(through_bf16(x, false)));
        }
    }
}

static void packing_without_memory(void **state)
{
    (void)state;
    grid b = grid_made(10, 10, 0);
    for (int64_t nth = 0; nth < 4; nth++) {
        int64_t live = fv_alloc_live();
        fv_err err = {0};
        fv_alloc_fail_after(nth % 2);
        assert_null((nth % 4 < 2 ? fv_packed_new : fv_packed_new_bf16)(b.at, b.ld, false, 10, 10, NULL, &err));
        fv_alloc_fail_after(-1);
        assert_int_equal(err.status, FV_E_MEMORY);
        assert_int_equal(fv_alloc_live(), live);
    }
    fv_packed_free(NULL);
    grid_free(&b);
}

static void check_packed_elsewhere(const product *p)
{
    grid a = stored(p->a, p->m, p->k, false, 0), b = stored(p->b, p->k, p->n, false, 0), c = grid_new(p->m, p->n, 0);
    for (EACH_ISA(isa)) {
        fv_packed *packed = packed_b(p, &b, false);
        for (int other = 0; use_isa(other); other++) {
            fv_gemm g = {.m = p->m, .n = p->n, .k = p->k, .a = a.at, .lda = a.ld, .packed = packed, .c = c.at, .ldc = c.ld};
            grid_spoil(&c);
            run(&g, NULL);
            grid_check(&c, p->ab, tolerance(p), "A·packed B");
        }
        fv_packed_free(packed);
    }
    grid_free(&a);
    grid_free(&b);
    grid_free(&c);
}

/* A matrix packed for one instruction set is multiplied by it, whatever is in use later. */
static void packed_keeps_its_instruction_set(void **state)
{
    (void)state;
    for (EACH_PRECISION(precision)) {
        product p = product_new(20, 50, 30, precision);
        check_packed_elsewhere(&p);
        product_free(&p);
    }
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
        cmocka_unit_test(sizes_and_transposes), cmocka_unit_test(tile_edges),
        cmocka_unit_test(blocks_and_slabs), cmocka_unit_test(epilogues),
        cmocka_unit_test(nothing_to_do), cmocka_unit_test(same_bits_with_any_threads), cmocka_unit_test(a_row_depends_on_no_other),
        cmocka_unit_test(bf16_rounds_to_nearest_even), cmocka_unit_test(packing_without_memory), cmocka_unit_test(packed_keeps_its_instruction_set),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
