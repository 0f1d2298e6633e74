/* Products in int8: the same bits on every instruction set, equal to sums of 64-bit integers, and as
 * near to the product in float64 as half a step of each operand allows. */
#include <float.h>

#include "kernels/check.h"

static fv_pool *pool;

/* A product with int8 weights [n,k]; the reference quantises A by itself. */
typedef struct product {
    int64_t m, n, k;
    grid a;
    int8_t *w;
    int64_t ldw;
    float *scales;
} product;

static product product_new(int64_t m, int64_t n, int64_t k)
{
    product p = {.m = m, .n = n, .k = k, .a = grid_new(m, k, 3), .ldw = k + 1};
    grid_random(&p.a, chance(-1, 0.2f), chance(-0.2f, 1));
    p.w = calloc((size_t)(n * p.ldw), 1);
    p.scales = calloc((size_t)n, sizeof(float));
    assert_true(p.w && p.scales);
    for (int64_t i = 0; i < n * p.ldw; i++) p.w[i] = (int8_t)chance(-128, 127.9f);
    for (int64_t j = 0; j < n; j++) p.scales[j] = chance(0.001f, 0.02f);
    return p;
}

static void product_free(product *p)
{
    grid_free(&p->a);
    free(p->w);
    free(p->scales);
}

static fv_packed *packed(const product *p)
{
    fv_packed *made = fv_packed_new_int8(p->w, p->ldw, p->scales, p->k, p->n, NULL);
    assert_non_null(made);
    assert_int_equal(fv_packed_precision(made), FV_PRECISION_INT8);
    assert_true(fv_packed_bytes(made) >= (size_t)(p->k * p->n));
    return made;
}

/* q - zero of row i, and its scale. */
static float quantized_row(int32_t *q, const product *p, int64_t i)
{
    const float *x = p->a.at + i * p->a.ld;
    float low = 0, high = 0;
    for (int64_t l = 0; l < p->k; l++) {
        low = fminf(low, x[l]);
        high = fmaxf(high, x[l]);
    }
    float scale = (high - low) / 255;
    if (scale < FLT_MIN) {
        for (int64_t l = 0; l < p->k; l++) q[l] = 0;
        return 1;
    }
    float inverse = 1 / scale, zero = rintf(-low / scale);
    for (int64_t l = 0; l < p->k; l++) q[l] = (int32_t)(fminf(fmaxf(rintf(x[l] * inverse) + zero, 0), 255) - zero);
    return scale;
}

/* What every instruction set must give, to the bit: the sums are exact, the rest is rounded once at each step. */
static void reference(const grid *c, const product *p)
{
    int32_t *q = calloc((size_t)p->k + 1, sizeof *q);
    assert_non_null(q);
    for (int64_t i = 0; i < p->m; i++) {
        float scale = quantized_row(q, p, i);
        for (int64_t j = 0; j < p->n; j++) {
            int64_t sum = 0;
            for (int64_t l = 0; l < p->k; l++) sum += q[l] * p->w[j * p->ldw + l];
            c->at[i * c->ld + j] = (float)sum * (scale * p->scales[j]);
        }
    }
    free(q);
}

static void run(const fv_gemm *g, fv_pool *on)
{
    size_t bytes = fv_gemm_scratch(g, on ? fv_pool_threads(on) : 1);
    uint8_t *scratch = fv_alloc(bytes + 64, NULL);
    assert_non_null(scratch);
    memset(scratch, 0xff, bytes + 64);
    fv_gemm_run(g, on, scratch);
    for (int i = 0; i < 64; i++) assert_int_equal(scratch[bytes + (size_t)i], 0xff);
    fv_free(scratch);
}

static fv_gemm gemm_of(const product *p, const fv_packed *b, const grid *c)
{
    return (fv_gemm){.m = p->m, .n = p->n, .k = p->k, .a = p->a.at, .lda = p->a.ld, .packed = b, .c = c->at, .ldc = c->ld};
}

static void check_exact(const product *p)
{
    grid expected = grid_new(p->m, p->n, 2), c = grid_new(p->m, p->n, 2);
    reference(&expected, p);
    for (EACH_ISA(isa)) {
        fv_packed *b = packed(p);
        fv_gemm g = gemm_of(p, b, &c);
        grid_spoil(&c);
        run(&g, pool);
        if (!grid_same(&c, &expected)) fail_msg("int8 %ldx%ldx%ld on %s is not exact, or wrote outside", (long)p->m, (long)p->k, (long)p->n, fv_kernels_isa());
        fv_packed_free(b);
    }
    grid_free(&expected);
    grid_free(&c);
}

static void exact_in_every_size(void **state)
{
    (void)state;
    const int64_t sizes[] = {1, 3, 7, 14, 33, 66, 129};
    for (size_t i = 0; i < FV_COUNT(sizes); i++) {
        for (size_t j = 0; j < FV_COUNT(sizes); j++) {
            for (size_t l = 0; l < FV_COUNT(sizes); l++) {
                product p = product_new(sizes[i], sizes[j], sizes[l]);
                check_exact(&p);
                product_free(&p);
            }
        }
    }
}

/* k in several blocks, rows in several slabs, every number of rows and columns of a tile. */
static void exact_over_blocks(void **state)
{
    (void)state;
    const int64_t sizes[][3] = {{30, 70, 4000}, {300, 10, 14001}, {2, 260, 1700}};
    for (size_t i = 0; i < FV_COUNT(sizes); i++) {
        product p = product_new(sizes[i][0], sizes[i][1], sizes[i][2]);
        check_exact(&p);
        product_free(&p);
    }
    for (int64_t m = 1; m <= 30; m++) {
        product p = product_new(m, 34 - m, 21);
        check_exact(&p);
        product_free(&p);
    }
}

/* The largest products, at the longest k, reach within half a percent of what 32 bits hold. */
static void largest_sums(void **state)
{
    (void)state;
    for (int sign = -1; sign <= 1; sign += 2) {
        product p = product_new(1, 2, 65536);
        for (int64_t l = 0; l < p.k; l++) {
            p.a.at[l] = (float)sign;
            p.w[l] = -128;
            p.w[p.ldw + l] = 127;
        }
        check_exact(&p);
        product_free(&p);
    }
}

static void too_long_for_the_sums(void **state)
{
    (void)state;
    fv_err err = {0};
    const int8_t w = 0;
    const float scale = 1;
    assert_null(fv_packed_new_int8(&w, 65537, &scale, 65537, 1, &err));
    assert_int_equal(err.status, FV_E_ARGUMENT);
    assert_non_null(strstr(err.text, "65536"));
    assert_non_null(strstr(err.text, "[1, 65537]"));
}

/* Rows of zeros and of next to nothing are 0; one that holds no number shows it; its neighbours do not. */
static void strange_rows(void **state)
{
    (void)state;
    const float strange[] = {0, 1e-39f, NAN, INFINITY, -INFINITY};
    for (size_t s = 0; s < FV_COUNT(strange); s++) {
        for (EACH_ISA(isa)) {
            product p = product_new(3, 40, 37);
            for (int64_t l = 0; l < p.k; l++) p.a.at[p.a.ld + l] = s < 2 || l == 20 ? strange[s] : 1;
            grid c = grid_new(p.m, p.n, 0);
            fv_packed *b = packed(&p);
            fv_gemm g = gemm_of(&p, b, &c);
            run(&g, NULL);
            for (int64_t j = 0; j < p.n; j++) {
                assert_true(s < 2 ? grid_get(&c, 1, j) == 0 : isnan(grid_get(&c, 1, j)));
                assert_true(isfinite(grid_get(&c, 0, j)) && isfinite(grid_get(&c, 2, j)));
            }
            fv_packed_free(b);
            grid_free(&c);
            product_free(&p);
        }
    }
}

typedef struct wanted { bool bias, pre, residual; fv_act act; } wanted;

static void check_epilogue(const product *p, const wanted *w)
{
    grid ab = grid_new(p->m, p->n, 0), c = grid_new(p->m, p->n, 3), bias = grid_made(1, p->n, 0), pre = grid_new(p->m, p->n, 5), residual = grid_made(p->m, p->n, 7);
    double *before = doubles(p->m * p->n), *after = doubles(p->m * p->n);
    reference(&ab, p);
    for (int64_t i = 0; i < p->m; i++) {
        for (int64_t j = 0; j < p->n; j++) {
            double x = grid_get(&ab, i, j) + (w->bias ? grid_get(&bias, 0, j) : 0);
            before[i * p->n + j] = x;
            after[i * p->n + j] = act64(x, w->act) + (w->residual ? grid_get(&residual, i, j) : 0);
        }
    }
    fv_packed *b = packed(p);
    fv_gemm g = gemm_of(p, b, &c);
    g.act = w->act;
    if (w->bias) g.bias = bias.at;
    if (w->pre) { g.pre = pre.at; g.ldpre = pre.ld; }
    if (w->residual) { g.residual = residual.at; g.ldres = residual.ld; }
    run(&g, pool);
    double tolerance = 1e-6 * (double)(p->k + 8);
    grid_check(&c, after, tolerance, "residual + act(A·B + bias)");
    if (w->pre) grid_check(&pre, before, tolerance, "A·B + bias");
    else grid_check_guards(&pre);
    fv_packed_free(b);
    free(before);
    free(after);
    grid_free(&ab);
    grid_free(&c);
    grid_free(&bias);
    grid_free(&pre);
    grid_free(&residual);
}

static void epilogues(void **state)
{
    (void)state;
    const int64_t sizes[][3] = {{1, 1, 1}, {17, 33, 5}, {40, 130, 400}, {13, 20, 0}};
    for (size_t i = 0; i < FV_COUNT(sizes); i++) {
        product p = product_new(sizes[i][0], sizes[i][1], sizes[i][2]);
        for (EACH_ISA(isa)) {
            for (int v = 0; v < 32; v++) {
                wanted w = {.bias = v & 1, .pre = v & 2, .residual = v & 4, .act = (fv_act)(v / 8)};
                check_epilogue(&p, &w);
            }
        }
        product_free(&p);
    }
}

/* |x - x'| <= scale/2 and |w - w'| <= scale/2, so that a product is off by no more than their sums. */
static void near_the_product_of_floats(void **state)
{
    (void)state;
    const int64_t m = 20, n = 50, k = 300;
    product p = product_new(m, n, k);
    grid w = grid_made(n, k, 2), c = grid_new(m, n, 0);
    fv_quantize_weights(p.w, p.ldw, p.scales, w.at, w.ld, n, k);
    fv_packed *b = packed(&p);
    fv_gemm g = gemm_of(&p, b, &c);
    run(&g, NULL);
    for (int64_t i = 0; i < m; i++) {
        float low = 0, high = 0;
        for (int64_t l = 0; l < k; l++) {
            low = fminf(low, grid_get(&p.a, i, l));
            high = fmaxf(high, grid_get(&p.a, i, l));
        }
        double step = (high - low) / 255.0;
        for (int64_t j = 0; j < n; j++) {
            double exact = 0, most = 1e-5;
            for (int64_t l = 0; l < k; l++) {
                double x = grid_get(&p.a, i, l), y = grid_get(&w, j, l);
                exact += x * y;
                most += 0.501 * (step * fabs(y) + p.scales[j] * (fabs(x) + step));
            }
            check_close(grid_get(&c, i, j), exact, most, "int8 A·B", i, j);
            check_close(grid_get(&c, i, j), exact, 0.15, "int8 A·B, as a rule", i, j); /* errors' signs differ: some sqrt(k) of half steps */
        }
    }
    fv_packed_free(b);
    grid_free(&w);
    grid_free(&c);
    product_free(&p);
}

static void weights_to_int8(void **state)
{
    (void)state;
    const float w[][4] = {{-2, 1, 0.5f, 9}, {0, 0, 0, 9}, {1, NAN, 1, 9}, {1e-44f, 0, 0, 9}};
    const int8_t expected[][4] = {{-127, 64, 32, 55}, {0, 0, 0, 55}, {0, 0, 0, 55}, {0, 0, 0, 55}};
    int8_t q[4][4];
    float scales[4];
    memset(q, 55, sizeof q);
    fv_quantize_weights(q[0], 4, scales, w[0], 4, 4, 3);
    assert_memory_equal(q, expected, sizeof q);
    assert_true(scales[0] == 2.0f / 127 && scales[1] == 1 && isnan(scales[2]) && scales[3] == 1);
}

/* A row of zeros and one that is none among them. */
static grid moved_weights(int64_t n, int64_t k)
{
    grid w = grid_made(n, k, 2);
    for (int64_t l = 0; l < k && n > 4; l++) w.at[2 * w.ld + l] = 0;
    if (n > 4) w.at[3 * w.ld + k / 2] = NAN;
    return w;
}

static void check_refilled(product *p)
{
    grid w = moved_weights(p->n, p->k), expected = grid_new(p->m, p->n, 2), c = grid_new(p->m, p->n, 2);
    for (EACH_ISA(isa)) {
        for (int64_t i = 0; i < p->n * p->ldw; i++) p->w[i] = (int8_t)chance(-128, 127.9f);
        fv_packed *was = packed(p);
        fv_quantize_weights(p->w, p->ldw, p->scales, w.at, w.ld, p->n, p->k);
        fv_packed *anew = packed(p);
        for (int threads = 0; threads < 2; threads++) {
            int64_t before = fv_alloc_count();
            fv_packed_refill_int8(was, w.at, w.ld, threads ? pool : NULL);
            assert_int_equal(fv_alloc_count(), before);
            fv_gemm g = gemm_of(p, anew, &expected), h = gemm_of(p, was, &c);
            grid_spoil(&expected);
            grid_spoil(&c);
            run(&g, pool);
            run(&h, pool);
            if (!grid_same(&c, &expected)) fail_msg("int8 %ldx%ldx%ld on %s: weights packed in place differ from weights packed anew", (long)p->m, (long)p->k, (long)p->n, fv_kernels_isa());
        }
        fv_packed_free(was);
        fv_packed_free(anew);
    }
    grid_free(&w);
    grid_free(&expected);
    grid_free(&c);
}

static void weights_that_moved_are_packed_in_place(void **state)
{
    (void)state;
    const int64_t sizes[][3] = {{3, 1, 1}, {3, 5, 2}, {4, 17, 7}, {5, 33, 130}, {3, 700, 259}, {2, 70, 4001}, {2, 9, 14003}};
    for (size_t i = 0; i < FV_COUNT(sizes); i++) {
        product p = product_new(sizes[i][0], sizes[i][1], sizes[i][2]);
        check_refilled(&p);
        product_free(&p);
    }
}

static void same_bits_with_any_threads(void **state)
{
    (void)state;
    product p = product_new(200, 300, 2000);
    grid first = grid_new(p.m, p.n, 0), c = grid_new(p.m, p.n, 0);
    for (EACH_ISA(isa)) {
        fv_packed *b = packed(&p);
        for (int threads = 1; threads <= 4; threads *= 2) {
            fv_pool *some = fv_pool_new(threads, NULL);
            fv_gemm g = gemm_of(&p, b, threads == 1 ? &first : &c);
            g.act = FV_ACT_GELU;
            run(&g, some);
            if (threads > 1) assert_true(grid_same(&first, &c));
            fv_pool_free(some);
        }
        fv_packed_free(b);
    }
    grid_free(&first);
    grid_free(&c);
    product_free(&p);
}

/* As in float32: a row is quantised by itself and its sums are exact, so that its bits are its own. */
static void a_row_depends_on_no_other(void **state)
{
    (void)state;
    product p = product_new(37, 70, 3300);
    grid all = grid_new(p.m, p.n, 0), some = grid_new(p.m, p.n, 0), bias = grid_made(1, p.n, 0);
    for (EACH_ISA(isa)) {
        fv_packed *b = packed(&p);
        fv_gemm g = gemm_of(&p, b, &all);
        g.bias = bias.at;
        g.act = FV_ACT_GELU;
        run(&g, pool);
        for (int64_t rows = 1; rows <= 15; rows += 7) {
            grid_spoil(&some);
            for (int64_t first = 0; first < p.m; first += rows) {
                fv_gemm part = g;
                part.m = p.m - first < rows ? p.m - first : rows;
                part.a += first * part.lda;
                part.c = some.at + first * some.ld;
                run(&part, first % 2 ? pool : NULL);
            }
            assert_true(grid_same(&all, &some));
        }
        fv_packed_free(b);
    }
    grid_free(&all);
    grid_free(&some);
    grid_free(&bias);
    product_free(&p);
}

static void packing_without_memory(void **state)
{
    (void)state;
    product p = product_new(1, 10, 10);
    for (int64_t nth = 0; nth < 4; nth++) {
        int64_t live = fv_alloc_live();
        fv_err err = {0};
        fv_alloc_fail_after(nth);
        assert_null(fv_packed_new_int8(p.w, p.ldw, p.scales, p.k, p.n, &err));
        fv_alloc_fail_after(-1);
        assert_int_equal(err.status, FV_E_MEMORY);
        assert_int_equal(fv_alloc_live(), live);
    }
    product_free(&p);
}

/* Weights packed for one instruction set are multiplied by it, whatever is in use later. */
static void packed_keeps_its_instruction_set(void **state)
{
    (void)state;
    product p = product_new(20, 50, 30);
    grid expected = grid_new(p.m, p.n, 0), c = grid_new(p.m, p.n, 0);
    reference(&expected, &p);
    for (EACH_ISA(isa)) {
        fv_packed *b = packed(&p);
        for (int other = 0; use_isa(other); other++) {
            fv_gemm g = gemm_of(&p, b, &c);
            grid_spoil(&c);
            run(&g, NULL);
            assert_true(grid_same(&c, &expected));
        }
        fv_packed_free(b);
    }
    grid_free(&expected);
    grid_free(&c);
    product_free(&p);
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
        cmocka_unit_test(exact_in_every_size), cmocka_unit_test(exact_over_blocks), cmocka_unit_test(largest_sums),
        cmocka_unit_test(too_long_for_the_sums), cmocka_unit_test(strange_rows), cmocka_unit_test(epilogues),
        cmocka_unit_test(near_the_product_of_floats), cmocka_unit_test(weights_to_int8),
        cmocka_unit_test(weights_that_moved_are_packed_in_place),
        cmocka_unit_test(same_bits_with_any_threads), cmocka_unit_test(a_row_depends_on_no_other),
        cmocka_unit_test(packing_without_memory), cmocka_unit_test(packed_keeps_its_instruction_set),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
