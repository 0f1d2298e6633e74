/* What rotary positions are for: lengths stay, products of a query and a key depend on their distance alone, and a token
 * turned by itself is what it is among others. Values and gradients are ops_test's. */
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

enum { D = 64, ROWS = 400 };

static void rotate(float *out, float *x, const int32_t *positions, int64_t rows, bool interleaved)
{
    fv_err err = {0};
    fv_graph *g = fv_graph_new(NULL, NULL);
    assert_non_null(g);
    fv_graph_reset(g, false);
    fv_tensor *y = fv_rotary(g, fv_graph_input(g, "x", x, rows, D, D), positions, 1, 10000, interleaved);
    fv_graph_keep(g, y);
    if (fv_graph_plan(g, y, &err) != FV_OK) fail_msg("%s", err.text);
    fv_graph_forward(g, 1);
    for (int64_t r = 0; r < rows; r++) memcpy(out + r * D, y->data + r * y->stride, D * sizeof *out);
    fv_graph_free(g);
}

static void draw(float *x, int64_t n)
{
    fv_rng rng = fv_rng_make(3, "rotary");
    for (int64_t i = 0; i < n; i++) x[i] = (float)fv_rng_normal(&rng);
}

static double product(const float *a, const float *b)
{
    double sum = 0;
    for (int i = 0; i < D; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

static void products_depend_on_distance(void **state)
{
    (void)state;
    float x[2 * D], y[2 * D];
    const int32_t near[][2] = {{5, 0}, {12, 7}, {1005, 1000}}, far[2] = {13, 0};
    draw(x, 2 * D);
    for (int interleaved = 0; interleaved <= 1; interleaved++) {
        double first = 0;
        for (int i = 0; i < 3; i++) {
            rotate(y, x, near[i], 2, interleaved);
            if (i == 0) first = product(y, y + D);
            assert_true(fabs(product(y, y + D) - first) < 2e-4);
            assert_true(fabs(product(y, y) - product(x, x)) < 2e-5 * product(x, x));
        }
        rotate(y, x, far, 2, interleaved);
        assert_true(fabs(product(y, y + D) - first) > 0.01);
    }
}

static void position_0_turns_nothing(void **state)
{
    (void)state;
    float x[D], y[D];
    draw(x, D);
    rotate(y, x, (const int32_t[]){0}, 1, false);
    assert_memory_equal(x, y, sizeof x);
}

/* Sines come from a table of positions or of rows: both must give the same bits, or a decoder would see other keys than training did. */
static void alone_as_among_others(void **state)
{
    (void)state;
    static float x[ROWS * D], all[ROWS * D];
    float one[D];
    int32_t positions[ROWS];
    draw(x, ROWS * D);
    for (int r = 0; r < ROWS; r++) positions[r] = r * 7 % (ROWS - 1);
    rotate(all, x, positions, ROWS, false);
    for (int r = 0; r < ROWS; r += 13) {
        rotate(one, x + r * D, positions + r, 1, false);
        assert_memory_equal(one, all + r * D, sizeof one);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_depend_on_distance),
        cmocka_unit_test(position_0_turns_nothing),
        cmocka_unit_test(alone_as_among_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
