/* The loss over a vocabulary against the two ops that it stands for, at sizes that take several tiles each way; the same
 * bits on any number of threads; logits far from zero; bf16. What ops_test asks of every op is not asked again. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "graph/graph.h"
#include "ops.h"

enum { ROWS = 1100, COLS = 24, VOCAB = 1237, FLOATS = ROWS * COLS + VOCAB * COLS + VOCAB };

typedef struct made {
    float *x, *w, *b;    /* in one block */
    float *dx, *dw, *db; /* in another */
    int32_t targets[ROWS];
} made;

static void make(made *m, float scale)
{
    fv_rng rng = fv_rng_make(5, "made");
    m->x = calloc(FLOATS, sizeof *m->x);
    m->dx = calloc(FLOATS, sizeof *m->dx);
    m->w = m->x + ROWS * COLS;
    m->b = m->w + VOCAB * COLS;
    m->dw = m->dx + ROWS * COLS;
    m->db = m->dw + VOCAB * COLS;
    for (int i = 0; i < FLOATS; i++) m->x[i] = scale * (float)fv_rng_normal(&rng);
    for (int i = 0; i < ROWS; i++) m->targets[i] = (int32_t)fv_rng_below(&rng, VOCAB + 300) - 300;
}

static void release(made *m)
{
    free(m->x);
    free(m->dx);
}

typedef fv_tensor *(*loss_fn)(fv_graph *g, fv_tensor *x, fv_tensor *w, fv_tensor *b, const int32_t *targets);

static fv_tensor *fused(fv_graph *g, fv_tensor *x, fv_tensor *w, fv_tensor *b, const int32_t *targets) { return fv_linear_cross_entropy(g, x, w, b, targets, 0.1f); }
static fv_tensor *apart(fv_graph *g, fv_tensor *x, fv_tensor *w, fv_tensor *b, const int32_t *targets) { return fv_cross_entropy(g, fv_linear(g, x, w, b, FV_ACT_NONE, NULL), targets, 0.1f); }

/* The loss; the gradients of ROWS times it, so that they are of the size of 1. */
static float run(made *m, loss_fn build, int threads, fv_precision precision)
{
    fv_err err = {0};
    fv_pool *pool = fv_pool_new(threads, NULL);
    fv_graph *g = fv_graph_new(pool, NULL);
    assert_non_null(g);
    fv_graph_reset(g, true);
    fv_graph_set_precision(g, precision);
    fv_tensor *x = fv_graph_input_grad(g, "x", m->x, m->dx, ROWS, COLS, COLS);
    fv_tensor *w = fv_graph_input_grad(g, "w", m->w, m->dw, VOCAB, COLS, COLS);
    fv_tensor *b = fv_graph_input_grad(g, "b", m->b, m->db, 1, VOCAB, VOCAB);
    fv_tensor *loss = build(g, x, w, b, m->targets);
    if (fv_graph_plan(g, loss, &err) != FV_OK) fail_msg("%s", err.text);
    fv_graph_forward(g, 1);
    float value = loss->data[0];
    fv_graph_backward(g, loss, ROWS, 1);
    fv_graph_free(g);
    fv_pool_free(pool);
    return value;
}

static double farthest(const made *a, const made *b)
{
    double most = 0;
    for (int i = 0; i < FLOATS; i++) most = fmax(most, isnan(a->dx[i]) ? INFINITY : fabs((double)a->dx[i] - (double)b->dx[i]) / (1 + fabs((double)b->dx[i])));
    return most;
}

static void is_what_product_and_loss_are(void **state)
{
    (void)state;
    made one, two;
    make(&one, 1);
    make(&two, 1);
    float a = run(&one, fused, 2, FV_PRECISION_F32), b = run(&two, apart, 2, FV_PRECISION_F32);
    assert_true(fabsf(a - b) < 1e-5f * b);
    assert_true(farthest(&one, &two) < 1e-4); /* a stress build adds up 248 tiles a row */
    release(&one);
    release(&two);
}

static void threads_change_no_bit(void **state)
{
    (void)state;
    made one, many;
    make(&one, 1);
    float value = run(&one, fused, 1, FV_PRECISION_F32);
    for (int threads = 2; threads <= 3; threads++) {
        make(&many, 1);
        assert_true(run(&many, fused, threads, FV_PRECISION_F32) == value);
        assert_memory_equal(one.dx, many.dx, FLOATS * sizeof(float));
        release(&many);
    }
    release(&one);
}

/* Logits of some thousands: exp() of them is no number, the loss is. */
static void large_logits_stay_numbers(void **state)
{
    (void)state;
    made one, two;
    make(&one, 30);
    make(&two, 30);
    float a = run(&one, fused, 2, FV_PRECISION_F32), b = run(&two, apart, 2, FV_PRECISION_F32);
    assert_true(a > 1000 && isfinite(a));
    assert_true(fabsf(a - b) < 1e-5f * b);
    assert_true(farthest(&one, &two) < 0.1); /* an ulp of a logit moves a weight of 30 by some thousandths */
    release(&one);
    release(&two);
}

static void bf16_is_near(void **state)
{
    (void)state;
    made one, two;
    make(&one, 0.5f);
    make(&two, 0.5f);
    float exact = run(&one, fused, 2, FV_PRECISION_F32), rounded = run(&two, fused, 2, FV_PRECISION_BF16);
    assert_true(rounded != exact && fabsf(rounded - exact) < 0.01f * exact);
    assert_in_range((int64_t)(1e4 * farthest(&one, &two)), 1, 1000);
    release(&one);
    release(&two);
}

/* What the loss needs beside its inputs: tiles, not [ROWS, VOCAB]. */
static void logits_are_never_whole(void **state)
{
    (void)state;
    enum { VAST = 200000 };
    fv_graph *g = fv_graph_new(NULL, NULL);
    float *x = calloc(ROWS, sizeof *x), *w = calloc(VAST, sizeof *w);
    int32_t *targets = calloc(ROWS, sizeof *targets);
    fv_graph_reset(g, true);
    fv_tensor *wide = fv_graph_input_grad(g, "w", w, w, VAST, 1, 1);
    fv_tensor *loss = fv_linear_cross_entropy(g, fv_graph_input_grad(g, "x", x, x, ROWS, 1, 1), wide, NULL, targets, 0);
    assert_int_equal(fv_graph_plan(g, loss, NULL), FV_OK);
    assert_true(fv_graph_bytes(g) < (size_t)4 << 20);
    fv_graph_free(g);
    free(x);
    free(w);
    free(targets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_what_product_and_loss_are),
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(large_logits_stay_numbers),
        cmocka_unit_test(bf16_is_near),
        cmocka_unit_test(logits_are_never_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
