/* linear in a bf16 graph: values and gradients against float64, held to what rounding the operands of
 * each product may cost at most; that all three products do round; equal bits on any number of threads.
 * In an int8 graph: the kernel's int8 product forward, and float32 ones backward, both bit by bit.
 * In float32 it is the kernel's product, bit by bit. What holds in float32 is tested with all ops in ops_test.c. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "graph/op.h"
#include "ops.h"

enum { N = 37, I = 70, O = 45, MAX_ISAS = 8 };

/* ---- Sends given numbers back as the gradient of y ---- */

static fv_status given_check(fv_node *node, fv_err *err)
{
    (void)err;
    node->out->rows = node->out->cols = 1;
    return FV_OK;
}

static void given_forward(const fv_node *node, const fv_run *run)
{
    (void)run;
    node->out->data[0] = 0;
}

static void given_backward(const fv_node *node, const fv_run *run)
{
    (void)run;
    fv_grad_to d = fv_grad(node, 0);
    const fv_tensor *y = node->in[0];
    const float *dy = *(const float *const *)node->args;
    for (int64_t r = 0; r < y->rows; r++) memcpy(d.data + r * d.stride, dy + r * y->cols, (size_t)y->cols * sizeof *dy);
}

static const fv_op given = {.name = "given", .check = given_check, .forward = given_forward, .backward = given_backward};

/* ---- One layer and its results ---- */

typedef struct layer {
    int64_t n, in, out;
    float *x, *w, *b, *r, *dy;      /* what is given */
    float *y, *dx, *dw, *db, *dr;   /* what comes out */
} layer;

static float *drawn(fv_rng *rng, int64_t n)
{
    float *x = malloc((size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++) x[i] = (float)(2 * fv_rng_uniform(rng) - 1);
    return x;
}

static layer layer_new(int64_t n, int64_t in, int64_t out)
{
    fv_rng rng = fv_rng_make(5, "linear");
    layer l = {.n = n, .in = in, .out = out};
    float **given_ones[] = {&l.x, &l.w, &l.b, &l.r, &l.dy}, **results[] = {&l.dx, &l.dw, &l.db, &l.dr, &l.y};
    int64_t sizes[] = {n * in, out * in, out, n * out, n * out};
    for (int i = 0; i < 5; i++) *given_ones[i] = drawn(&rng, sizes[i]), *results[i] = drawn(&rng, sizes[i]);
    return l;
}

static void layer_free(layer *l)
{
    float *all[] = {l->x, l->w, l->b, l->r, l->dy, l->y, l->dx, l->dw, l->db, l->dr};
    for (size_t i = 0; i < FV_COUNT(all); i++) free(all[i]);
}

static void run_layer(layer *l, fv_graph *g, fv_act act)
{
    fv_err err = {0};
    fv_graph_reset(g, true);
    fv_tensor *x = fv_graph_input_grad(g, "x", l->x, l->dx, l->n, l->in, l->in), *w = fv_graph_input_grad(g, "w", l->w, l->dw, l->out, l->in, l->in);
    fv_tensor *b = fv_graph_input_grad(g, "b", l->b, l->db, 1, l->out, l->out), *r = fv_graph_input_grad(g, "r", l->r, l->dr, l->n, l->out, l->out);
    fv_tensor *y = fv_linear(g, x, w, b, act, r);
    const float *dy = l->dy;
    fv_tensor *end = fv_graph_add(g, &given, (fv_tensor *[]){y}, 1, 1, &dy, sizeof dy);
    fv_graph_keep(g, y);
    if (fv_graph_plan(g, end, &err) != FV_OK) fail_msg("%s", err.text);
    fv_graph_forward(g, 1);
    fv_graph_backward(g, end, 1, 1);
    memcpy(l->y, y->data, (size_t)(l->n * l->out) * sizeof *l->y);
}

static layer run_new(int64_t n, int64_t in, int64_t out, fv_precision precision, fv_act act, int threads)
{
    layer l = layer_new(n, in, out);
    fv_pool *pool = fv_pool_new(threads, NULL);
    fv_graph *g = fv_graph_new(pool, NULL);
    assert_non_null(g);
    fv_graph_set_precision(g, precision);
    run_layer(&l, g, act);
    fv_graph_free(g);
    fv_pool_free(pool);
    return l;
}

/* ---- The truth in float64, and how far from it bf16 may be ---- */

/* A number rounded to 8 bits is off by 2^-9 of itself at most, so a product of two by 2^-8; float32 sums add their own. */
static const double room = 1.0 / 256 + 1e-5;

typedef struct bound { double value, error; } bound;

static double gelu(double x) { return 0.5 * x * (1 + erf(x * M_SQRT1_2)); }
static double gelu_slope(double x) { return 0.5 * (1 + erf(x * M_SQRT1_2)) + x * exp(-0.5 * x * x) / sqrt(2 * M_PI); }

/* += a · b, where a was off by a.error before it was rounded. */
static void sum(bound *to, bound a, double b)
{
    to->value += a.value * b;
    to->error += (a.error + room * (fabs(a.value) + a.error)) * fabs(b);
}

static bound before_activation(const layer *l, int64_t r, int64_t c)
{
    bound z = {.value = (double)l->b[c]};
    for (int64_t i = 0; i < l->in; i++) sum(&z, (bound){.value = (double)l->x[r * l->in + i]}, (double)l->w[c * l->in + i]);
    return z;
}

static void expect_near(const char *what, float found, bound expected)
{
    if (!(fabs((double)found - expected.value) <= expected.error + 1e-5)) fail_msg("%s, %s: %.9g is not within %g of %.9g", fv_kernels_isa(), what, (double)found, expected.error, expected.value);
}

/* |gelu'| is at most 1.13 and |gelu''| at most 0.8: what an error before it becomes after it. */
static bound *check_forward(const layer *l)
{
    bound *slopes = malloc((size_t)(l->n * l->out) * sizeof *slopes); /* dy · gelu'(z) */
    for (int64_t r = 0; r < l->n; r++)
        for (int64_t c = 0; c < l->out; c++) {
            int64_t at = r * l->out + c;
            bound z = before_activation(l, r, c);
            expect_near("y", l->y[at], (bound){gelu(z.value) + (double)l->r[at], 1.13 * z.error});
            slopes[at] = (bound){(double)l->dy[at] * gelu_slope(z.value), 0.8 * z.error * fabs((double)l->dy[at])};
        }
    return slopes;
}

static void check_backward(const layer *l, const bound *slopes)
{
    for (int64_t r = 0; r < l->n; r++)
        for (int64_t i = 0; i < l->in; i++) {
            bound dx = {0};
            for (int64_t c = 0; c < l->out; c++) sum(&dx, slopes[r * l->out + c], (double)l->w[c * l->in + i]);
            expect_near("gradient of x", l->dx[r * l->in + i], dx);
        }
    for (int64_t c = 0; c < l->out; c++) {
        bound db = {0};
        for (int64_t r = 0; r < l->n; r++) db.value += slopes[r * l->out + c].value, db.error += slopes[r * l->out + c].error;
        expect_near("gradient of the bias", l->db[c], db);
        for (int64_t i = 0; i < l->in; i++) {
            bound dw = {0};
            for (int64_t r = 0; r < l->n; r++) sum(&dw, slopes[r * l->out + c], (double)l->x[r * l->in + i]);
            expect_near("gradient of w", l->dw[c * l->in + i], dw);
        }
    }
    for (int64_t at = 0; at < l->n * l->out; at++) assert_true(l->dr[at] == l->dy[at]);
}

static double largest_difference(const float *a, const float *b, int64_t n)
{
    double top = 0;
    for (int64_t i = 0; i < n; i++) top = fmax(top, fabs((double)a[i] - (double)b[i]));
    return top;
}

static void each_isa(void (*check)(void))
{
    const char *isas[MAX_ISAS];
    int n = fv_kernels_list(isas, MAX_ISAS);
    for (int i = 0; i < n; i++) {
        assert_int_equal(fv_kernels_force(isas[i], NULL), FV_OK);
        check();
    }
}

/* ---- Tests ---- */

static void check_against_float64(void)
{
    layer l = run_new(N, I, O, FV_PRECISION_BF16, FV_ACT_GELU, 1);
    bound *slopes = check_forward(&l);
    check_backward(&l, slopes);
    free(slopes);
    layer_free(&l);
}

static void bf16_values_and_gradients_are_near_float64(void **state)
{
    (void)state;
    each_isa(check_against_float64);
}

/* Without an activation the three products meet no rounding but their own. */
static void check_each_product_rounds(void)
{
    layer exact = run_new(N, I, O, FV_PRECISION_F32, FV_ACT_NONE, 1), l = run_new(N, I, O, FV_PRECISION_BF16, FV_ACT_NONE, 1);
    assert_true(largest_difference(l.y, exact.y, N * O) > 1e-3);
    assert_true(largest_difference(l.dx, exact.dx, N * I) > 1e-3);
    assert_true(largest_difference(l.dw, exact.dw, O * I) > 1e-3);
    assert_memory_equal(l.db, exact.db, O * sizeof *l.db);
    layer_free(&exact);
    layer_free(&l);
}

static void every_product_rounds_and_the_bias_s_gradient_does_not(void **state)
{
    (void)state;
    each_isa(check_each_product_rounds);
}

/* Large enough that every product is cut into several tasks. */
static void check_threads(void)
{
    const int64_t n = 301, in = 150, out = 260;
    layer one = run_new(n, in, out, FV_PRECISION_BF16, FV_ACT_GELU, 1);
    for (int threads = 2; threads <= 4; threads *= 2) {
        layer l = run_new(n, in, out, FV_PRECISION_BF16, FV_ACT_GELU, threads);
        assert_memory_equal(l.y, one.y, (size_t)(n * out) * sizeof *l.y);
        assert_memory_equal(l.dx, one.dx, (size_t)(n * in) * sizeof *l.dx);
        assert_memory_equal(l.dw, one.dw, (size_t)(out * in) * sizeof *l.dw);
        assert_memory_equal(l.db, one.db, (size_t)out * sizeof *l.db);
        layer_free(&l);
    }
    layer_free(&one);
}

static void bf16_gives_equal_bits_on_any_number_of_threads(void **state)
{
    (void)state;
    each_isa(check_threads);
}

static void kernel_product(fv_gemm g, int64_t m, int64_t n, int64_t k)
{
    g.m = m, g.n = n, g.k = k, g.ldc = n;
    void *scratch = malloc(fv_gemm_scratch(&g, 1) + 1);
    fv_gemm_run(&g, NULL, scratch);
    free(scratch);
}

static void check_float32_is_the_kernels(void)
{
    layer l = run_new(N, I, O, FV_PRECISION_F32, FV_ACT_NONE, 1), k = layer_new(N, I, O);
    kernel_product((fv_gemm){.a = l.x, .lda = I, .b = l.w, .ldb = I, .b_t = true, .c = k.y, .bias = l.b, .residual = l.r, .ldres = O}, N, O, I);
    kernel_product((fv_gemm){.a = l.dy, .lda = O, .b = l.w, .ldb = I, .c = k.dx}, N, I, O);
    kernel_product((fv_gemm){.a = l.dy, .lda = O, .a_t = true, .b = l.x, .ldb = I, .c = k.dw}, O, I, N);
    assert_memory_equal(l.y, k.y, N * O * sizeof *l.y);
    assert_memory_equal(l.dx, k.dx, N * I * sizeof *l.dx);
    assert_memory_equal(l.dw, k.dw, O * I * sizeof *l.dw);
    layer_free(&l);
    layer_free(&k);
}

static void float32_is_the_kernel_s_product_bit_by_bit(void **state)
{
    (void)state;
    each_isa(check_float32_is_the_kernels);
}

/* ---- int8 that learns ---- */

/* One layer on weights that are packed as int8, after they moved, in a graph that trains. */
static void run_packed(layer *l, fv_act act, fv_pool *pool)
{
    fv_err err = {0};
    fv_params params = {0};
    fv_param *p = fv_params_add(&params, (const char *[]){"dense.weight"}, 1, 2, l->out, l->in, FV_INIT_NORMAL, 1, &err);
    p->rounds = true;
    assert_int_equal(fv_params_allocate(&params, &err), FV_OK);
    fv_params_draw(&params, 1);
    assert_int_equal(fv_params_pack_rounding(&params, FV_PRECISION_INT8, pool, &err), FV_OK);
    memcpy(p->data, l->w, (size_t)(l->out * l->in) * sizeof *l->w);
    fv_params_learned(&params, pool);
    float *grad = calloc((size_t)params.n_floats, sizeof *grad);
    fv_params_bind_grad(&params, grad);
    fv_graph *g = fv_graph_new(pool, NULL);
    fv_graph_set_precision(g, FV_PRECISION_INT8);
    fv_graph_reset(g, true);
    fv_tensor *x = fv_graph_input_grad(g, "x", l->x, l->dx, l->n, l->in, l->in), *b = fv_graph_input_grad(g, "b", l->b, l->db, 1, l->out, l->out);
    fv_tensor *y = fv_linear(g, x, fv_graph_param(g, p), b, act, NULL);
    const float *dy = l->dy;
    fv_tensor *end = fv_graph_add(g, &given, (fv_tensor *[]){y}, 1, 1, &dy, sizeof dy);
    fv_graph_keep(g, y);
    if (fv_graph_plan(g, end, &err) != FV_OK) fail_msg("%s", err.text);
    fv_graph_forward(g, 1);
    fv_graph_backward(g, end, 1, 1);
    memcpy(l->y, y->data, (size_t)(l->n * l->out) * sizeof *l->y);
    memcpy(l->dw, p->grad, (size_t)(l->out * l->in) * sizeof *l->dw);
    fv_graph_free(g);
    free(grad);
    fv_params_release(&params);
}

/* What the estimator says: y and the slopes of the activation by the int8 product, gradients by float32 ones. */
static void estimate(layer *k, fv_act act)
{
    int8_t *q = calloc((size_t)(k->out * k->in), 1);
    float *scales = calloc((size_t)k->out, sizeof *scales), *pre = calloc((size_t)(k->n * k->out), sizeof *pre), *dz = calloc((size_t)(k->n * k->out), sizeof *dz);
    fv_quantize_weights(q, k->in, scales, k->w, k->in, k->out, k->in);
    fv_packed *packed = fv_packed_new_int8(q, k->in, scales, k->in, k->out, NULL);
    kernel_product((fv_gemm){.a = k->x, .lda = k->in, .packed = packed, .c = k->y, .bias = k->b, .act = act, .pre = pre, .ldpre = k->out}, k->n, k->out, k->in);
    memcpy(dz, k->dy, (size_t)(k->n * k->out) * sizeof *dz);
    if (act != FV_ACT_NONE) fv_act_backward(dz, k->out, false, dz, k->out, pre, k->out, k->n, k->out, act, NULL);
    kernel_product((fv_gemm){.a = dz, .lda = k->out, .b = k->w, .ldb = k->in, .c = k->dx}, k->n, k->in, k->out);
    kernel_product((fv_gemm){.a = dz, .lda = k->out, .a_t = true, .b = k->x, .ldb = k->in, .c = k->dw}, k->out, k->in, k->n);
    fv_packed_free(packed);
    free(q);
    free(scales);
    free(pre);
    free(dz);
}

static void check_same(const layer *a, const layer *b)
{
    assert_memory_equal(a->y, b->y, (size_t)(a->n * a->out) * sizeof *a->y);
    assert_memory_equal(a->dx, b->dx, (size_t)(a->n * a->in) * sizeof *a->dx);
    assert_memory_equal(a->dw, b->dw, (size_t)(a->out * a->in) * sizeof *a->dw);
}

static void check_straight_through(void)
{
    const fv_act acts[] = {FV_ACT_NONE, FV_ACT_GELU, FV_ACT_RELU};
    layer exact = run_new(N, I, O, FV_PRECISION_F32, FV_ACT_NONE, 1);
    for (size_t i = 0; i < FV_COUNT(acts); i++) {
        layer l = layer_new(N, I, O), expected = layer_new(N, I, O);
        run_packed(&l, acts[i], NULL);
        estimate(&expected, acts[i]);
        check_same(&l, &expected);
        assert_true(largest_difference(l.y, exact.y, N * O) > 1e-3);
        if (acts[i] == FV_ACT_NONE) assert_memory_equal(l.dx, exact.dx, N * I * sizeof *l.dx); /* no slope: as float32 training has it */
        if (acts[i] == FV_ACT_NONE) assert_memory_equal(l.dw, exact.dw, O * I * sizeof *l.dw);
        layer_free(&l);
        layer_free(&expected);
    }
    layer_free(&exact);
}

static void int8_goes_straight_through(void **state)
{
    (void)state;
    each_isa(check_straight_through);
}

static void check_packed_threads(void)
{
    layer one = layer_new(301, 150, 700);
    run_packed(&one, FV_ACT_GELU, NULL);
    for (int threads = 2; threads <= 4; threads *= 2) {
        layer l = layer_new(301, 150, 700);
        fv_pool *pool = fv_pool_new(threads, NULL);
        run_packed(&l, FV_ACT_GELU, pool);
        check_same(&l, &one);
        fv_pool_free(pool);
        layer_free(&l);
    }
    layer_free(&one);
}

static void int8_gives_equal_bits_on_any_number_of_threads(void **state)
{
    (void)state;
    each_isa(check_packed_threads);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bf16_values_and_gradients_are_near_float64),
        cmocka_unit_test(every_product_rounds_and_the_bias_s_gradient_does_not),
        cmocka_unit_test(bf16_gives_equal_bits_on_any_number_of_threads),
        cmocka_unit_test(float32_is_the_kernel_s_product_bit_by_bit),
        cmocka_unit_test(int8_goes_straight_through),
        cmocka_unit_test(int8_gives_equal_bits_on_any_number_of_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
