/* Building, planning and running: names, views, taps, the first error, and no allocation once the
 * largest graph was planned. What ops compute is tested in tests/ops. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "graph/op.h"
#include "ops.h"

static fv_graph *graph;

static int begin(void **state)
{
    (void)state;
    graph = fv_graph_new(NULL, NULL);
    return graph ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    fv_alloc_fail_after(-1);
    fv_graph_free(graph);
    return 0;
}

/* Plans and runs; the key does not matter without dropout. */
static void run(fv_tensor *result)
{
    fv_err err = {0};
    if (fv_graph_plan(graph, result, &err) != FV_OK) fail_msg("%s", err.text);
    fv_graph_forward(graph, 1);
    if (fv_graph_training(graph)) fv_graph_backward(graph, result, 1, 1);
}

static void expect_floats(const float *found, const float *expected, int n)
{
    for (int i = 0; i < n; i++)
        if (fabsf(found[i] - expected[i]) > 1e-5f * (1 + fabsf(expected[i]))) fail_msg("number %d is %g, expected %g", i, (double)found[i], (double)expected[i]);
}

/* ---- Names ---- */

static void nodes_are_named_by_scope_and_op(void **state)
{
    (void)state;
    float x[4] = {1, 2, 3, 4};
    fv_graph_reset(graph, false);
    fv_tensor *in = fv_graph_input(graph, "x", x, 2, 2, 2), *a = fv_add(graph, in, in);
    fv_graph_scope(graph, "layer.%d", 3);
    fv_tensor *b = fv_add(graph, a, in), *c = fv_add(graph, b, in);
    assert_string_equal(a->name, "add");
    assert_string_equal(b->name, "layer.3.add");
    assert_string_equal(c->name, "layer.3.add.2");
    assert_ptr_equal(fv_graph_find(graph, "layer.3.add.2"), c);
    assert_null(fv_graph_find(graph, "layer.3"));
    assert_int_equal(fv_graph_n_nodes(graph), 3);
    assert_int_not_equal(b->from->key, c->from->key);
    fv_graph_reset(graph, false);
    assert_int_equal(fv_graph_n_nodes(graph), 0);
    assert_null(fv_graph_find(graph, "add"));
    assert_string_equal(fv_add(graph, fv_graph_input(graph, "x", x, 2, 2, 2), fv_graph_input(graph, "x", x, 2, 2, 2))->name, "add");
}

/* ---- Gradients ---- */

/* mean over rows of (y - target)²: its gradient is 2 (y - target) / rows. */
static const float no_targets[8];

static void views_share_their_parent_s_gradient(void **state)
{
    (void)state;
    float x[8] = {1, 2, 3, 4, 5, 6, 7, 8}, dx[8];
    memset(dx, 0x7f, sizeof dx);
    fv_graph_reset(graph, true);
    fv_tensor *in = fv_graph_input_grad(graph, "x", x, dx, 2, 4, 4);
    fv_tensor *sum = fv_add(graph, fv_view_columns(graph, in, 0, 1), fv_view_columns(graph, in, 2, 1)); /* x0 + x2; columns 1 and 3 are not read */
    fv_tensor *loss = fv_squared_error(graph, sum, no_targets);
    run(loss);
    float y0 = 4, y1 = 12;
    expect_floats(loss->data, (float[]){(y0 * y0 + y1 * y1) / 2}, 1);
    expect_floats(dx, (float[]){y0, 0, y0, 0, y1, 0, y1, 0}, 8);
}

/* A view of a view, of a tensor that is also read as a whole, and one column read twice. */
static void gradients_of_all_readers_add_up(void **state)
{
    (void)state;
    float x[6] = {1, 2, 3, -1, 0, 2}, dx[6];
    fv_graph_reset(graph, true);
    fv_tensor *in = fv_graph_input_grad(graph, "x", x, dx, 2, 3, 3);
    fv_tensor *h = fv_add(graph, in, in); /* 2x */
    fv_tensor *right = fv_view_columns(graph, h, 1, 2), *last = fv_view_columns(graph, right, 1, 1);
    fv_tensor *y = fv_add(graph, fv_view_columns(graph, fv_add(graph, h, in), 0, 1), fv_add(graph, last, last)); /* 3 x0 + 4 x2 */
    run(fv_squared_error(graph, y, no_targets));
    float y0 = 15, y1 = 5;
    expect_floats(dx, (float[]){3 * y0, 0, 4 * y0, 3 * y1, 0, 4 * y1}, 6);
}

/* ---- A tap that writes ---- */

static void write_tens(void *user, fv_tensor *t)
{
    for (int64_t i = 0; i < t->rows * t->cols; i++) t->data[i] += 10;
    ++*(int *)user;
}

/* Nothing that the watched node is made of wants a gradient: it gets one all the same, and it is still there at the end, though the
 * next node passes its own on and could have taken its place. */
static void a_watched_node_is_written_and_has_a_gradient(void **state)
{
    (void)state;
    float x[2] = {1, 2}, seed[2] = {3, -1};
    int calls = 0;
    fv_graph_reset(graph, true);
    fv_graph_watch(graph, "first.add", write_tens, &calls);
    fv_tensor *in = fv_graph_input(graph, "x", x, 1, 2, 2);
    fv_graph_scope(graph, "first");
    fv_tensor *watched = fv_add(graph, in, in);
    fv_graph_scope(graph, "then");
    fv_tensor *y = watched;
    for (int i = 0; i < 4; i++) y = fv_add(graph, y, in);
    y = fv_add(graph, y, y);
    assert_int_equal(fv_graph_plan(graph, y, NULL), FV_OK);
    fv_graph_forward(graph, 1);
    assert_int_equal(calls, 1);
    expect_floats(watched->data, (float[]){12, 14}, 2);
    expect_floats(y->data, (float[]){32, 44}, 2);
    fv_graph_backward_from(graph, y, seed, 1);
    expect_floats(watched->grad, (float[]){6, -2}, 2);
    fv_graph_reset(graph, false);
    assert_int_equal(fv_graph_plan(graph, fv_add(graph, fv_graph_input(graph, "x", x, 1, 2, 2), fv_graph_input(graph, "x", x, 1, 2, 2)), NULL), FV_OK);
    fv_graph_forward(graph, 1);
    assert_int_equal(calls, 1); /* a reset forgets the tap */
}

static void parameters_gradients_add(void **state)
{
    (void)state;
    fv_params params = {0};
    float x[2] = {3, 1}, *grad;
    const char *name = "w";
    fv_param *w = fv_params_add(&params, &name, 1, 2, 1, 2, FV_INIT_ZERO, 0, NULL);
    assert_int_equal(fv_params_allocate(&params, NULL), FV_OK);
    grad = fv_alloc_zero((size_t)params.n_floats, sizeof *grad, NULL);
    fv_params_bind_grad(&params, grad);
    w->data[0] = 1;
    for (int step = 1; step <= 2; step++) {
        fv_graph_reset(graph, true);
        fv_tensor *in = fv_graph_input(graph, "x", x, 1, 2, 2), *weights = fv_graph_param(graph, w);
        run(fv_squared_error(graph, fv_linear(graph, in, weights, NULL, FV_ACT_NONE, NULL), no_targets));
        expect_floats(w->grad, (float[]){18.0f * (float)step, 6.0f * (float)step}, 2);
    }
    fv_graph_reset(graph, false);
    assert_false(fv_graph_param(graph, w)->wants_grad);
    fv_free(grad);
    fv_params_release(&params);
}

/* Three residual blocks h + f(h), where the residual goes by way of a view or not. A tensor with views has a gradient
 * of its own; without, all three lie in one place, and the numbers are the same. */
enum { BLOCKS = 3, HIGH = 5, WIDE = 6 };

typedef fv_tensor *residual_fn(fv_tensor *x, fv_tensor *residual, fv_tensor *w);

static fv_tensor *by_add(fv_tensor *x, fv_tensor *residual, fv_tensor *w)
{
    (void)w;
    return fv_add(graph, residual, x);
}

static fv_tensor *by_drop(fv_tensor *x, fv_tensor *residual, fv_tensor *w)
{
    static const int32_t offsets[] = {0, HIGH};
    static const uint64_t names[] = {3};
    (void)w;
    return fv_drop(graph, x, residual, &(fv_dropout){.p = 0.3f, .B = 1, .offsets = offsets, .sequences = names});
}

static fv_tensor *by_linear(fv_tensor *x, fv_tensor *residual, fv_tensor *w)
{
    return fv_linear(graph, x, w, NULL, FV_ACT_NONE, residual);
}

static void run_blocks(residual_fn *add, bool views, float *w, float dx[HIGH * WIDE], float dw[WIDE * WIDE])
{
    static float x[HIGH * WIDE], targets[HIGH * WIDE];
    fv_tensor *h[BLOCKS + 1];
    for (int i = 0; i < HIGH * WIDE; i++) x[i] = sinf((float)i);
    fv_graph_reset(graph, true);
    fv_tensor *in = fv_graph_input_grad(graph, "x", x, dx, HIGH, WIDE, WIDE), *weights = fv_graph_input_grad(graph, "w", w, dw, WIDE, WIDE, WIDE);
    h[0] = fv_linear(graph, in, weights, NULL, FV_ACT_NONE, NULL);
    for (int i = 0; i < BLOCKS; i++) {
        fv_tensor *up = fv_linear(graph, h[i], weights, NULL, FV_ACT_GELU, NULL);
        h[i + 1] = add(up, views ? fv_view_columns(graph, h[i], 0, WIDE) : h[i], weights);
    }
    run(fv_squared_error(graph, fv_view_columns(graph, h[BLOCKS], 0, 1), targets));
    for (int i = 0; i < BLOCKS; i++) assert_int_equal(h[i]->grad == h[BLOCKS]->grad, !views);
}

static void residuals_share_a_gradient(void **state)
{
    (void)state;
    residual_fn *const ways[] = {by_add, by_drop, by_linear};
    float w[WIDE * WIDE], dx[2][HIGH * WIDE], dw[2][WIDE * WIDE];
    for (int i = 0; i < WIDE * WIDE; i++) w[i] = cosf((float)i);
    for (size_t k = 0; k < FV_COUNT(ways); k++) {
        for (int views = 0; views < 2; views++) run_blocks(ways[k], views, w, dx[views], dw[views]);
        for (int i = 0; i < HIGH * WIDE; i++) assert_true(dx[0][i] == dx[1][i] && dx[0][i] != 0);
        for (int i = 0; i < WIDE * WIDE; i++) assert_true(dw[0][i] == dw[1][i]);
    }
}

/* Where the output's gradient is changed in place, or the tensor is read twice by the node, nothing is shared. */
static void what_must_not_share_a_gradient_does_not(void **state)
{
    (void)state;
    float x[4] = {1, 2, -3, 4}, dx[4], w[4] = {1, 0, 0, 1};
    fv_graph_reset(graph, true);
    fv_tensor *in = fv_graph_input_grad(graph, "x", x, dx, 2, 2, 2), *eye = fv_graph_input(graph, "w", w, 2, 2, 2);
    fv_tensor *h = fv_linear(graph, in, eye, NULL, FV_ACT_NONE, NULL);
    fv_tensor *up = fv_linear(graph, in, eye, NULL, FV_ACT_RELU, h); /* relu(x) + x */
    fv_tensor *twice = fv_linear(graph, up, eye, NULL, FV_ACT_NONE, up);
    fv_tensor *y = fv_add(graph, twice, twice);
    run(fv_squared_error(graph, fv_view_columns(graph, y, 0, 1), no_targets));
    assert_ptr_not_equal(h->grad, up->grad);
    assert_ptr_not_equal(up->grad, twice->grad);
    assert_ptr_not_equal(twice->grad, y->grad);
    expect_floats(dx, (float[]){64, 0, -48, 0}, 4);
}

static void the_scale_reaches_every_gradient(void **state)
{
    (void)state;
    float x[1] = {3}, dx[1];
    fv_graph_reset(graph, true);
    fv_tensor *loss = fv_squared_error(graph, fv_graph_input_grad(graph, "x", x, dx, 1, 1, 1), no_targets);
    assert_int_equal(fv_graph_plan(graph, loss, NULL), FV_OK);
    fv_graph_forward(graph, 1);
    fv_graph_backward(graph, loss, 0.25f, 1);
    expect_floats(dx, (float[]){1.5f}, 1);
}

/* ---- Precision ---- */

/* 1 + 2^-9 needs 10 bits: in bf16 it is 1. */
static float fine_square(void)
{
    static float x[1] = {1 + 1.0f / 512};
    fv_tensor *in = fv_graph_input(graph, "x", x, 1, 1, 1), *y = fv_linear(graph, in, in, NULL, FV_ACT_NONE, NULL);
    run(y);
    return y->data[0];
}

static void precision_is_float32_until_set_and_outlives_resets(void **state)
{
    (void)state;
    fv_graph_reset(graph, false);
    assert_int_equal(fv_graph_precision(graph), FV_PRECISION_F32);
    assert_true(fine_square() > 1);
    fv_graph_set_precision(graph, FV_PRECISION_BF16);
    for (int i = 0; i < 2; i++) {
        fv_graph_reset(graph, false);
        assert_int_equal(fv_graph_precision(graph), FV_PRECISION_BF16);
        assert_true(fine_square() == 1);
    }
    fv_graph_set_precision(graph, FV_PRECISION_F32);
    fv_graph_reset(graph, false);
    assert_true(fine_square() > 1);
}

static void a_node_keeps_the_precision_it_was_added_with(void **state)
{
    (void)state;
    float x[1] = {1 + 1.0f / 512};
    fv_graph_reset(graph, false);
    fv_graph_set_precision(graph, FV_PRECISION_BF16);
    fv_tensor *in = fv_graph_input(graph, "x", x, 1, 1, 1), *rough = fv_linear(graph, in, in, NULL, FV_ACT_NONE, NULL);
    fv_graph_set_precision(graph, FV_PRECISION_F32);
    fv_tensor *fine = fv_linear(graph, in, in, NULL, FV_ACT_NONE, rough);
    run(fine);
    expect_floats(fine->data, (float[]){1 + x[0] * x[0]}, 1);
}

/* ---- Memory ---- */

enum { CHAIN = 12 };

/* (1 + i) · x at link i; without a tap all links share two buffers. */
static fv_tensor *build_chain(float *x, int64_t rows, fv_tensor *links[CHAIN])
{
    fv_tensor *in = fv_graph_input(graph, "x", x, rows, 4, 4), *y = in;
    for (int i = 0; i < CHAIN; i++) links[i] = y = fv_add(graph, y, in);
    return y;
}

static void taps_keep_their_values(void **state)
{
    (void)state;
    float x[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    fv_tensor *links[CHAIN];
    fv_graph_reset(graph, false);
    fv_tensor *y = build_chain(x, 2, links);
    run(y);
    size_t bare = fv_graph_bytes(graph);
    assert_ptr_equal(links[0]->data, links[2]->data); /* overwritten */
    fv_graph_reset(graph, false);
    y = build_chain(x, 2, links);
    fv_graph_keep(graph, links[0]);
    fv_graph_keep(graph, fv_view_columns(graph, links[5], 1, 2));
    fv_graph_keep(graph, NULL);
    run(y);
    assert_true(fv_graph_bytes(graph) > bare);
    for (int i = 0; i < 8; i++) {
        assert_true(links[0]->data[i] == 2 * x[i]);
        assert_true(links[5]->data[i] == 7 * x[i]);
        assert_true(y->data[i] == (CHAIN + 1) * x[i]);
    }
}

static void steps_do_not_allocate(void **state)
{
    (void)state;
    float x[64 * 4] = {0}, targets[64 * 4] = {0};
    fv_tensor *links[CHAIN];
    int64_t count = -1;
    for (int step = 0; step < 20; step++) {
        int64_t rows = step == 0 ? 64 : 1 + step * 3;
        fv_graph_reset(graph, true);
        fv_tensor *loss = fv_squared_error(graph, fv_view_columns(graph, build_chain(x, rows, links), 0, 1), targets);
        run(loss);
        if (step == 1) count = fv_alloc_count();
        if (step > 1) assert_int_equal(fv_alloc_count(), count);
    }
}

static void the_block_grows_when_it_must(void **state)
{
    (void)state;
    static float x[1000 * 4];
    fv_tensor *links[CHAIN];
    fv_graph_reset(graph, false);
    run(build_chain(x, 10, links));
    size_t small = fv_graph_bytes(graph);
    fv_graph_reset(graph, false);
    x[3999] = 2;
    fv_tensor *y = build_chain(x, 1000, links);
    run(y);
    assert_true(fv_graph_bytes(graph) > small);
    assert_true(y->data[3999] == 2 * (CHAIN + 1));
}

/* ---- Errors ---- */

static void the_first_error_is_reported(void **state)
{
    (void)state;
    float x[12] = {0};
    fv_err err = {0};
    fv_graph_reset(graph, false);
    fv_graph_scope(graph, "broken");
    fv_tensor *a = fv_graph_input(graph, "a", x, 2, 3, 3), *b = fv_graph_input(graph, "b", x, 3, 2, 2);
    fv_tensor *sum = fv_add(graph, a, b);
    assert_null(sum);
    assert_null(fv_view_columns(graph, sum, 0, 1)); /* lines after it accept NULL */
    assert_null(fv_add(graph, sum, a));
    assert_null(fv_view_columns(graph, a, 2, 5));   /* a second error changes nothing */
    assert_int_equal(fv_graph_plan(graph, NULL, &err), FV_E_SHAPE);
    assert_non_null(strstr(err.text, "broken.add: "));
    assert_null(strstr(err.text, "columns"));
    fv_graph_reset(graph, false); /* forgotten */
    run(fv_add(graph, fv_graph_input(graph, "a", x, 2, 3, 3), fv_graph_input(graph, "a", x, 2, 3, 3)));
}

static void bad_leaves_and_views_are_refused(void **state)
{
    (void)state;
    float x[12] = {0};
    fv_err err = {0};
    fv_graph_reset(graph, false);
    assert_null(fv_graph_input(graph, "narrow", x, 2, 3, 2));
    assert_int_equal(fv_graph_plan(graph, NULL, &err), FV_E_SHAPE);
    assert_non_null(strstr(err.text, "narrow: rows are 2 apart but have 3 columns"));
    static const int64_t views[][2] = {{-1, 2}, {0, 0}, {2, 2}, {0, 4}};
    for (size_t i = 0; i < 4; i++) {
        fv_graph_reset(graph, false);
        assert_null(fv_view_columns(graph, fv_graph_input(graph, "x", x, 2, 3, 3), views[i][0], views[i][1]));
        assert_int_equal(fv_graph_plan(graph, NULL, &err), FV_E_SHAPE);
    }
    fv_graph_reset(graph, false);
    assert_null(fv_graph_param(graph, NULL));
    assert_null(fv_add(graph, fv_graph_input(graph, "x", x, 2, 3, 3), NULL));
    assert_int_equal(fv_graph_plan(graph, NULL, &err), FV_E_SHAPE);
    assert_non_null(strstr(err.text, "add: input 1 is missing"));
}

static void builders_may_fail_the_graph(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_graph_reset(graph, false);
    assert_int_equal(fv_graph_fail(graph, FV_E_ARGUMENT, "%d heads", 3), FV_E_ARGUMENT);
    assert_int_equal(fv_graph_fail(graph, FV_E_INPUT, "later"), FV_E_ARGUMENT);
    assert_null(fv_graph_memory(graph, 8));
    assert_int_equal(fv_graph_plan(graph, NULL, &err), FV_E_ARGUMENT);
    assert_string_equal(err.text, "3 heads");
}

/* Every allocation fails once; the graph goes on after it. */
static void lack_of_memory_is_reported(void **state)
{
    (void)state;
    float x[8] = {0};
    fv_tensor *links[CHAIN];
    bool done = false;
    for (int n = 0; !done; n++) {
        fv_err err = {0};
        fv_graph *fresh = fv_graph_new(NULL, NULL), *kept = graph;
        int64_t live = fv_alloc_live();
        graph = fresh;
        fv_alloc_fail_after(n);
        fv_graph_reset(graph, true);
        fv_status status = fv_graph_plan(graph, build_chain(x, 2, links), &err);
        fv_alloc_fail_after(-1);
        done = status == FV_OK;
        if (!done) assert_int_equal(status, FV_E_MEMORY);
        graph = kept;
        fv_graph_free(fresh);
        assert_true(fv_alloc_live() == live - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nodes_are_named_by_scope_and_op, begin, end),
        cmocka_unit_test_setup_teardown(views_share_their_parent_s_gradient, begin, end),
        cmocka_unit_test_setup_teardown(gradients_of_all_readers_add_up, begin, end),
        cmocka_unit_test_setup_teardown(a_watched_node_is_written_and_has_a_gradient, begin, end),
        cmocka_unit_test_setup_teardown(parameters_gradients_add, begin, end),
        cmocka_unit_test_setup_teardown(residuals_share_a_gradient, begin, end),
        cmocka_unit_test_setup_teardown(what_must_not_share_a_gradient_does_not, begin, end),
        cmocka_unit_test_setup_teardown(the_scale_reaches_every_gradient, begin, end),
        cmocka_unit_test_setup_teardown(precision_is_float32_until_set_and_outlives_resets, begin, end),
        cmocka_unit_test_setup_teardown(a_node_keeps_the_precision_it_was_added_with, begin, end),
        cmocka_unit_test_setup_teardown(taps_keep_their_values, begin, end),
        cmocka_unit_test_setup_teardown(steps_do_not_allocate, begin, end),
        cmocka_unit_test_setup_teardown(the_block_grows_when_it_must, begin, end),
        cmocka_unit_test_setup_teardown(the_first_error_is_reported, begin, end),
        cmocka_unit_test_setup_teardown(bad_leaves_and_views_are_refused, begin, end),
        cmocka_unit_test_setup_teardown(builders_may_fail_the_graph, begin, end),
        cmocka_unit_test_setup_teardown(lack_of_memory_is_reported, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
