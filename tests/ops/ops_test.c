/* Walks every op of src/ops: values against the op's own float64 reference, gradients against finite
 * differences of that reference, on every instruction set that this machine has, with dense and with
 * strided inputs, gradients set and added, one thread and three; and shapes that must be refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "graph/case.h"
#include "ops.h"

enum { SEED = 7, MAX_ISAS = 8 };
static const uint64_t key = 99;

/* ---- A scalar of any output: Σ y · r, so that gradients can be asked for ---- */

static double weight_of(int64_t i) { return sin(0.7 * (double)i + 0.3); }

static fv_status dot_check(fv_node *node, fv_err *err)
{
    (void)err;
    node->out->rows = node->out->cols = 1;
    return FV_OK;
}

static void dot_forward(const fv_node *node, const fv_run *run)
{
    (void)run;
    node->out->data[0] = 0;
}

static void dot_backward(const fv_node *node, const fv_run *run)
{
    (void)run;
    fv_grad_to d = fv_grad(node, 0);
    const fv_tensor *y = node->in[0];
    for (int64_t r = 0; r < y->rows; r++)
        for (int64_t c = 0; c < y->cols; c++) d.data[r * d.stride + c] = node->out->grad[0] * (float)weight_of(r * y->cols + c);
}

static const fv_op dot = {.name = "dot", .check = dot_check, .forward = dot_forward, .backward = dot_backward};

/* ---- Dense float64 copies of what a node reads ---- */

typedef struct truth {
    double *in[FV_MAX_IN];   /* by node input; views are cut out of their parents */
    double *out;
} truth;

static double *widen(const fv_tensor *t)
{
    double *x = malloc((size_t)(t->rows * t->cols) * sizeof *x);
    for (int64_t r = 0; r < t->rows; r++)
        for (int64_t c = 0; c < t->cols; c++) x[r * t->cols + c] = (double)t->data[r * t->stride + c];
    return x;
}

static truth make_truth(const fv_node *node)
{
    truth t = {.out = malloc((size_t)(node->out->rows * node->out->cols) * sizeof *t.out)};
    for (int i = 0; i < node->n_in; i++) t.in[i] = node->in[i] ? widen(node->in[i]) : NULL;
    return t;
}

static void free_truth(truth *t)
{
    for (int i = 0; i < FV_MAX_IN; i++) free(t->in[i]);
    free(t->out);
}

static double scalar(const fv_node *node, const fv_run *run, truth *t)
{
    double sum = 0;
    node->op->reference(node, run, (const double *const *)t->in, t->out);
    for (int64_t i = 0; i < node->out->rows * node->out->cols; i++) sum += t->out[i] * weight_of(i);
    return sum;
}

/* ---- One case ---- */

typedef struct setting { const fv_op *op; const fv_op_case *c; const char *isa; int64_t pad; bool add; } setting;

static void complain(const setting *s, const char *what, double found, double expected)
{
    fail_msg("%s, %s, %s, pad %d, %s: %s is %.9g, expected %.9g", s->op->name, s->c->name, s->isa, (int)s->pad, s->add ? "added" : "set", what, found, expected);
}

static double largest(const double *x, int64_t n)
{
    double top = 1;
    for (int64_t i = 0; i < n; i++) top = fmax(top, fabs(x[i]));
    return top;
}

static void check_values(const setting *s, const fv_node *node, truth *t)
{
    const fv_tensor *y = node->out;
    double room = s->op->tolerance * largest(t->out, y->rows * y->cols);
    for (int64_t r = 0; r < y->rows; r++)
        for (int64_t c = 0; c < y->cols; c++) {
            double found = (double)y->data[r * y->stride + c], expected = t->out[r * y->cols + c];
            if (!(fabs(found - expected) <= room)) complain(s, "value", found, expected);
        }
}

/* The slope along one element: central difference in float64, exact to some 1e-9. An element that the
 * node reads several times (one tensor as two inputs) moves everywhere. */
static double slope(const fv_node *node, const fv_run *run, truth *t, const fv_tensor *leaf, int64_t r, int64_t c)
{
    const double h = 1e-5;
    double side[2];
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < node->n_in; i++) {
            const fv_tensor *in = node->in[i];
            int64_t column = in ? c - (in->base ? in->column : 0) : -1;
            if (!in || (in != leaf && in->base != leaf) || column < 0 || column >= in->cols) continue;
            t->in[i][r * in->cols + column] = (double)leaf->data[r * leaf->stride + c] + (k ? -h : h);
        }
        side[k] = scalar(node, run, t);
    }
    for (int i = 0; i < node->n_in; i++) {
        const fv_tensor *in = node->in[i];
        int64_t column = in ? c - (in->base ? in->column : 0) : -1;
        if (in && (in == leaf || in->base == leaf) && column >= 0 && column < in->cols) t->in[i][r * in->cols + column] = (double)leaf->data[r * leaf->stride + c];
    }
    return (side[0] - side[1]) / (2 * h);
}

/* The slopes of a case, found once: they do not depend on the instruction set, the threads or the
 * layout of rows, and finite differences are what takes this test's time. */
enum { MAX_CASES = 256 };
static struct { const fv_op_case *c; double *slopes[FV_MAX_IN]; } known[MAX_CASES];

static double **find_slopes(const setting *s, const fv_case *c, const fv_node *node, const fv_run *run, truth *t)
{
    int k = 0;
    while (known[k].c && known[k].c != s->c) k++;
    assert_true(k < MAX_CASES - 1);
    if (known[k].c) return known[k].slopes;
    known[k].c = s->c;
    for (int i = 0; i < c->n; i++) {
        const fv_case_in *in = &c->in[i];
        known[k].slopes[i] = malloc((size_t)(in->rows * in->cols) * sizeof(double));
        for (int64_t at = 0; at < in->rows * in->cols; at++) known[k].slopes[i][at] = slope(node, run, t, in->tensor, at / in->cols, at % in->cols);
    }
    return known[k].slopes;
}

static void forget_slopes(void)
{
    for (int k = 0; known[k].c; k++)
        for (int i = 0; i < FV_MAX_IN; i++) free(known[k].slopes[i]);
    memset(known, 0, sizeof known);
}

static void check_gradient(const setting *s, const fv_case_in *in, const double *slopes)
{
    double top = 1, worst = 0, worst_found = 0, worst_expected = 0;
    for (int64_t r = 0; r < in->rows; r++)
        for (int64_t c = 0; c < in->cols; c++) {
            double expected = slopes[r * in->cols + c] + (s->add ? 0.5 : 0), found = (double)in->grad[r * in->stride + c];
            top = fmax(top, fabs(expected));
            if (!(fabs(found - expected) <= worst)) worst = isnan(found) ? INFINITY : fabs(found - expected), worst_found = found, worst_expected = expected;
        }
    if (worst > 2 * s->op->tolerance * top) complain(s, "gradient", worst_found, worst_expected);
}

static void check_guards(const setting *s, const fv_case *c)
{
    for (int i = 0; i < c->n; i++)
        for (int64_t r = 0; r < c->in[i].rows; r++)
            for (int64_t k = c->in[i].cols; k < c->in[i].stride; k++)
                if (c->in[i].data[r * c->in[i].stride + k] != FV_CASE_GUARD || c->in[i].grad[r * c->in[i].stride + k] != FV_CASE_GUARD) complain(s, "what lies between rows", 0, (double)FV_CASE_GUARD);
}

static void prepare_gradients(const setting *s, fv_case *c)
{
    for (int i = 0; i < c->n; i++) {
        c->in[i].tensor->grad_set = s->add;
        for (int64_t r = 0; r < c->in[i].rows; r++)
            for (int64_t k = 0; k < c->in[i].cols; k++) c->in[i].grad[r * c->in[i].stride + k] = s->add ? 0.5f : NAN;
    }
}

static void run_case(const setting *s, fv_graph *g)
{
    fv_case c;
    fv_err err = {0};
    fv_run run = {.key = key};
    fv_case_init(&c, g, true, SEED, s->pad);
    fv_tensor *y = s->c->build(&c);
    fv_tensor *loss = y ? fv_graph_add(g, &dot, (fv_tensor *[]){y}, 1, 1, NULL, 0) : NULL;
    fv_graph_keep(g, y);
    if (fv_graph_plan(g, loss ? loss : c.in[0].tensor, &err) != FV_OK) fail_msg("%s, %s: %s", s->op->name, s->c->name, err.text);
    prepare_gradients(s, &c);
    fv_graph_forward(g, key);
    truth t = make_truth(y->from);
    scalar(y->from, &run, &t);
    check_values(s, y->from, &t);
    if (s->op->backward) {
        double **slopes = find_slopes(s, &c, y->from, &run, &t);
        fv_graph_backward(g, loss, 1, key);
        for (int i = 0; i < c.n; i++) check_gradient(s, &c.in[i], slopes[i]);
    }
    check_guards(s, &c);
    free_truth(&t);
    fv_case_release(&c);
}

static void walk(void (*each)(const setting *, fv_graph *), int threads)
{
    const char *isas[MAX_ISAS];
    int n_isas = fv_kernels_list(isas, MAX_ISAS);
    fv_pool *pool = fv_pool_new(threads, NULL);
    fv_graph *g = fv_graph_new(pool, NULL);
    assert_non_null(g);
    for (int i = 0; i < n_isas; i++) {
        assert_int_equal(fv_kernels_force(isas[i], NULL), FV_OK);
        for (int o = 0; o < fv_n_ops; o++)
            for (int k = 0; k < fv_ops[o]->n_cases; k++)
                for (int way = 0; way < 4; way++) {
                    setting s = {.op = fv_ops[o], .c = &fv_ops[o]->cases[k], .isa = isas[i], .pad = way & 1 ? 3 : 0, .add = way & 2};
                    each(&s, g);
                }
    }
    forget_slopes();
    fv_graph_free(g);
    fv_pool_free(pool);
}

static void values_and_gradients(void **state)
{
    (void)state;
    walk(run_case, 1);
}

static void values_and_gradients_on_three_threads(void **state)
{
    (void)state;
    walk(run_case, 3);
}

static void every_op_has_its_truth(void **state)
{
    (void)state;
    assert_true(fv_n_ops >= 10);
    for (int o = 0; o < fv_n_ops; o++) {
        const fv_op *op = fv_ops[o];
        if (!op->reference || !op->forward || !op->check || op->n_cases < 1 || op->n_refused < 1 || !(op->tolerance > 0 && op->tolerance < 1e-3) || !op->says)
            fail_msg("%s: a reference, cases, refused shapes, a tolerance and a sentence are expected", op->name);
    }
}

static void wrong_shapes_are_refused_with_a_reason(void **state)
{
    (void)state;
    fv_graph *g = fv_graph_new(NULL, NULL);
    for (int o = 0; o < fv_n_ops; o++)
        for (int k = 0; k < fv_ops[o]->n_refused; k++) {
            fv_case c;
            fv_err err = {0};
            fv_case_init(&c, g, true, SEED, 0);
            fv_tensor *y = fv_ops[o]->refused[k].build(&c);
            if (y) fail_msg("%s takes: %s", fv_ops[o]->name, fv_ops[o]->refused[k].name);
            assert_int_not_equal(fv_graph_plan(g, c.in[0].tensor, &err), FV_OK);
            if (!strstr(err.text, fv_ops[o]->name)) fail_msg("%s: the error does not name the op: %s", fv_ops[o]->name, err.text);
            fv_case_release(&c);
        }
    fv_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_has_its_truth),
        cmocka_unit_test(values_and_gradients),
        cmocka_unit_test(values_and_gradients_on_three_threads),
        cmocka_unit_test(wrong_shapes_are_refused_with_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
