/* bag: y[b] = base[b] + Σ value · w[id] over the sparse features of row rows[b]: a linear model on
 * n-grams, added to what a network says.
 *   w [F, L], base [B, L] or NULL, rows [B] numbers into the features   ->   [B, L]
 * Backward touches only the rows of w that occur. Labels are cut into tasks, so that each sum has one
 * owner and one order. */
#include <string.h>

#include "data/data.h"
#include "graph/op.h"
#include "ops.h"

typedef struct args {
    const fv_feature_rows *features;
    const uint32_t *rows;
    int32_t B;
} args;

enum { W, BASE, LABELS_PER_TASK = 32 };

static fv_status check(fv_node *node, fv_err *err)
{
    const args *a = node->args;
    const fv_tensor *w = node->in[W], *base = node->in[BASE];
    if (base && (base->rows != a->B || base->cols != w->cols))
        return FV_FAIL(err, FV_E_SHAPE, "base is [%lld, %lld]; expected [%d, %lld]", (long long)base->rows, (long long)base->cols, a->B, (long long)w->cols);
    for (int32_t b = 0; b < a->B; b++)
        for (int64_t i = a->features->offsets[a->rows[b]]; i < a->features->offsets[a->rows[b] + 1]; i++)
            if (a->features->ids[i] < 0 || a->features->ids[i] >= w->rows) return FV_FAIL(err, FV_E_SHAPE, "feature %d; the table has rows 0 to %lld", a->features->ids[i], (long long)w->rows - 1);
    node->out->rows = a->B;
    node->out->cols = w->cols;
    return FV_OK;
}

static int64_t n_tasks(const fv_node *node) { return (node->out->cols + LABELS_PER_TASK - 1) / LABELS_PER_TASK; }

typedef struct work { const fv_node *node; fv_grad_to dw; } work;

/* Adds from x to y, or from y's gradient to w's, for the labels of one task. */
static void walk(const work *k, int64_t task, bool back)
{
    const args *a = k->node->args;
    const fv_tensor *w = k->node->in[W], *y = k->node->out;
    int64_t first = task * LABELS_PER_TASK, n = y->cols - first < LABELS_PER_TASK ? y->cols - first : LABELS_PER_TASK;
    for (int32_t b = 0; b < a->B; b++) {
        const fv_feature_rows *f = a->features;
        for (int64_t i = f->offsets[a->rows[b]]; i < f->offsets[a->rows[b] + 1]; i++) {
            const float *from = back ? y->grad + b * y->grad_stride + first : w->data + f->ids[i] * w->stride + first;
            float *to = back ? k->dw.data + f->ids[i] * k->dw.stride + first : y->data + b * y->stride + first;
            for (int64_t c = 0; c < n; c++) to[c] += f->values[i] * from[c];
        }
    }
}

static void forward_task(void *arg, int64_t task, int worker)
{
    (void)worker;
    walk(arg, task, false);
}

static void backward_task(void *arg, int64_t task, int worker)
{
    (void)worker;
    walk(arg, task, true);
}

static void forward(const fv_node *node, const fv_run *run)
{
    const fv_tensor *base = node->in[BASE], *y = node->out;
    work k = {.node = node};
    if (base) fv_copy_rows(y->data, y->stride, false, base->data, base->stride, 1, y->rows, y->cols, NULL);
    else memset(y->data, 0, (size_t)(y->rows * y->stride) * sizeof *y->data);
    fv_pool_run(run->pool, n_tasks(node), forward_task, &k);
}

static void backward(const fv_node *node, const fv_run *run)
{
    const fv_tensor *y = node->out;
    work k = {.node = node, .dw = fv_grad_zeroed(node, W)};
    fv_grad_to db = fv_grad(node, BASE);
    if (k.dw.data) fv_pool_run(run->pool, n_tasks(node), backward_task, &k);
    if (db.data) fv_copy_rows(db.data, db.stride, db.add, y->grad, y->grad_stride, 1, y->rows, y->cols, NULL);
}

static void reference(const fv_node *node, const fv_run *run, const double *const *in, double *out)
{
    (void)run;
    const args *a = node->args;
    int64_t cols = node->out->cols;
    for (int32_t b = 0; b < a->B; b++)
        for (int64_t c = 0; c < cols; c++) {
            double sum = in[BASE] ? in[BASE][b * cols + c] : 0;
            for (int64_t i = a->features->offsets[a->rows[b]]; i < a->features->offsets[a->rows[b] + 1]; i++)
                sum += (double)a->features->values[i] * in[W][a->features->ids[i] * cols + c];
            out[b * cols + c] = sum;
        }
}

static int32_t some_ids[] = {0, 3, 4, 1, 3, 5}, outside_ids[] = {0, 3, 4, 1, 3, 6};
static float some_values[] = {1, 0.5f, -2, 0.25f, 3, 1};
static int64_t some_offsets[] = {0, 3, 3, 6};
static const fv_feature_rows some = {.ids = some_ids, .values = some_values, .offsets = some_offsets, .n = 3};
static const fv_feature_rows outside = {.ids = outside_ids, .values = some_values, .offsets = some_offsets, .n = 3};
static const uint32_t mixed[] = {2, 0, 1, 2};

static fv_tensor *alone(fv_case *c) { return fv_bag(fv_case_graph(c), fv_case_input(c, "w", 6, 5), NULL, &some, mixed, 4); }
static fv_tensor *onto_base(fv_case *c) { return fv_bag(fv_case_graph(c), fv_case_input(c, "w", 6, 40), fv_case_input(c, "base", 4, 40), &some, mixed, 4); }
static fv_tensor *id_outside(fv_case *c) { return fv_bag(fv_case_graph(c), fv_case_input(c, "w", 6, 5), NULL, &outside, mixed, 4); }
static fv_tensor *base_too_narrow(fv_case *c) { return fv_bag(fv_case_graph(c), fv_case_input(c, "w", 6, 5), fv_case_input(c, "base", 4, 4), &some, mixed, 4); }

/* 128 texts of 150 features each, 77 labels. */
static fv_tensor *typical(fv_case *c)
{
    enum { TEXTS = 128, EACH = 150, FEATURES = 20000 };
    fv_graph *g = fv_case_graph(c);
    fv_feature_rows *f = fv_graph_memory(g, sizeof *f);
    float *values = fv_graph_memory(g, TEXTS * EACH * sizeof *values);
    int64_t *offsets = fv_graph_memory(g, (TEXTS + 1) * sizeof *offsets);
    uint32_t *rows = fv_graph_memory(g, TEXTS * sizeof *rows);
    if (!f || !values || !offsets || !rows) return NULL;
    for (int i = 0; i < TEXTS * EACH; i++) values[i] = 0.1f;
    for (int i = 0; i <= TEXTS; i++) offsets[i] = (int64_t)i * EACH;
    for (uint32_t i = 0; i < TEXTS; i++) rows[i] = i;
    *f = (fv_feature_rows){.ids = (int32_t *)(uintptr_t)fv_case_integers(c, TEXTS * EACH, FEATURES), .values = values, .offsets = offsets, .n = TEXTS};
    return fv_bag(g, fv_case_input(c, "w", FEATURES, 77), fv_case_input(c, "base", TEXTS, 77), f, rows, TEXTS);
}

static const fv_op_case cases[] = {{"alone", alone}, {"onto base", onto_base}};
static const fv_op_case refused[] = {{"id outside", id_outside}, {"base too narrow", base_too_narrow}};

const fv_op fv_op_bag = {
    .name = "bag", .says = "adds what each n-gram of the text speaks for, whatever their order",
    .check = check, .forward = forward, .backward = backward, .reference = reference,
    FV_CASES(cases), FV_REFUSED(refused), .typical = typical, .tolerance = 1e-5,
};

FV_OP_FN fv_tensor *fv_bag(fv_graph *g, fv_tensor *w, fv_tensor *base, const struct fv_feature_rows *features, const uint32_t *rows, int32_t B) {
    return fv_graph_add(g, &fv_op_bag, (fv_tensor *[]){w, base}, 2, 1u << W, &(args){.features = features, .rows = rows, .B = B}, sizeof(args));
}
