/* Building, planning and running a graph. The layout of bytes is plan.c's; what a node computes is its
 * op's. The trap: lifetimes. A tensor's buffer must live until the last node that reads it, and with
 * training until the last backward that reads it, which the op declares in `keeps`. */
#include "graph/graph.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "graph/op.h"
#include "graph/plan.h"

struct fv_graph {
    fv_arena arena;
    fv_pool *pool;
    fv_node *first, *last;
    fv_tensor *tensors, *last_tensor; /* every tensor, in order of making */
    int n_nodes;
    bool training;
    fv_precision precision; /* outlives resets */
    char scope[64];
    struct watch {
        const char *name;
        fv_graph_edit edit;
        void *user;
        const fv_tensor *tensor; /* once the node is there */
    } watch;
    fv_err error;
    fv_plan plan, laid_out; /* of this graph; of the block */
    uint8_t *block;
    size_t block_bytes;
};

fv_graph *fv_graph_new(fv_pool *pool, fv_err *err)
{
    fv_graph *graph = fv_alloc_zero(1, sizeof *graph, err);
    if (graph) graph->pool = pool;
    return graph;
}

void fv_graph_free(fv_graph *graph)
{
    if (!graph) return;
    fv_arena_release(&graph->arena);
    fv_plan_release(&graph->plan);
    fv_plan_release(&graph->laid_out);
    fv_free(graph->block);
    fv_free(graph);
}

void fv_graph_reset(fv_graph *graph, bool training)
{
    fv_arena_reset(&graph->arena);
    graph->first = graph->last = NULL;
    graph->tensors = graph->last_tensor = NULL;
    graph->n_nodes = 0;
    graph->training = training;
    graph->scope[0] = 0;
    graph->watch = (struct watch){0};
    graph->error.status = FV_OK;
}

bool fv_graph_training(const fv_graph *graph) { return graph->training; }

void fv_graph_set_precision(fv_graph *graph, fv_precision precision)
{
    graph->precision = precision;
}

fv_precision fv_graph_precision(const fv_graph *graph) { return graph->precision; }
fv_precision fv_graph_loose_precision(const fv_graph *graph) { return graph->precision == FV_PRECISION_INT8 ? FV_PRECISION_F32 : graph->precision; }
size_t fv_graph_bytes(const fv_graph *graph) { return graph->block_bytes; }
int fv_graph_n_nodes(const fv_graph *graph) { return graph->n_nodes; }

void fv_graph_scope(fv_graph *graph, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(graph->scope, sizeof graph->scope, format, args);
    va_end(args);
}

fv_status fv_graph_fail(fv_graph *graph, fv_status status, const char *format, ...)
{
    if (graph->error.status != FV_OK) return graph->error.status;
    va_list args;
    char text[sizeof graph->error.text];
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return fv_err_set(&graph->error, status, "%s", text);
}

void *fv_graph_memory(fv_graph *graph, size_t bytes)
{
    if (graph->error.status != FV_OK) return NULL;
    fv_err err = {0};
    void *memory = fv_arena_alloc(&graph->arena, bytes, &err);
    if (!memory) fv_graph_fail(graph, FV_E_MEMORY, "%s", err.text);
    return memory;
}

/* ---- Leaves and views ---- */

static fv_tensor *new_tensor(fv_graph *graph, const char *name)
{
    fv_tensor *t = fv_graph_memory(graph, sizeof *t);
    if (!t) return NULL;
    t->name = name;
    t->dtype = FV_F32;
    t->item = t->grad_item = -1;
    t->last_use = t->first_back = -1;
    if (graph->last_tensor) graph->last_tensor->next = t;
    else graph->tensors = t;
    graph->last_tensor = t;
    return t;
}

fv_tensor *fv_graph_input(fv_graph *graph, const char *name, float *data, int64_t rows, int64_t cols, int64_t stride)
{
    fv_tensor *t = new_tensor(graph, name);
    if (!t) return NULL;
    if (stride < cols) return fv_graph_fail(graph, FV_E_SHAPE, "%s: rows are %lld apart but have %lld columns", name, (long long)stride, (long long)cols), NULL;
    t->rows = rows;
    t->cols = cols;
    t->stride = t->grad_stride = stride;
    t->data = data;
    return t;
}

fv_tensor *fv_graph_input_grad(fv_graph *graph, const char *name, float *data, float *grad, int64_t rows, int64_t cols, int64_t stride)
{
    fv_tensor *t = fv_graph_input(graph, name, data, rows, cols, stride);
    if (!t) return NULL;
    t->grad = grad;
    t->wants_grad = grad && graph->training;
    return t;
}

fv_tensor *fv_graph_param(fv_graph *graph, fv_param *param)
{
    if (!param) return NULL;
    fv_tensor *t = fv_graph_input(graph, param->names[0], param->data, param->rows, param->cols, param->cols);
    if (!t) return NULL;
    t->param = param;
    t->version = param->version;
    t->grad = param->grad;
    t->wants_grad = graph->training && param->grad;
    t->grad_set = true; /* parameters' gradients add */
    return t;
}

fv_tensor *fv_view_columns(fv_graph *graph, fv_tensor *x, int64_t first, int64_t cols)
{
    if (!x) return NULL;
    if (first < 0 || cols < 1 || first + cols > x->cols)
        return fv_graph_fail(graph, FV_E_SHAPE, "%s: columns %lld to %lld asked of %lld", x->name, (long long)first, (long long)(first + cols), (long long)x->cols), NULL;
    fv_tensor *t = new_tensor(graph, x->name);
    if (!t) return NULL;
    t->rows = x->rows;
    t->cols = cols;
    t->stride = x->stride;
    t->wants_grad = x->wants_grad;
    t->base = x->base ? x->base : x;
    t->column = first + (x->base ? x->column : 0);
    t->base->has_views = true;
    if (t->base->data) t->data = t->base->data + t->column;
    if (t->base->grad) t->grad = t->base->grad + t->column;
    t->grad_stride = t->base->grad_stride;
    return t;
}

/* ---- Nodes ---- */

/* "scope.op", and "scope.op.2" for the second of its kind there. */
static const char *node_name(fv_graph *graph, const char *op)
{
    char base[FV_PARAM_NAME], name[FV_PARAM_NAME + 16];
    snprintf(base, sizeof base, "%s%s%s", graph->scope, graph->scope[0] ? "." : "", op);
    snprintf(name, sizeof name, "%s", base);
    for (int i = 2; fv_graph_find_node(graph, name); i++) snprintf(name, sizeof name, "%s.%d", base, i);
    size_t n = strlen(name) + 1;
    char *copy = fv_graph_memory(graph, n);
    return copy ? memcpy(copy, name, n) : NULL;
}

static fv_node *new_node(fv_graph *graph, const fv_op *op, fv_tensor *const *in, int n_in, const void *args, size_t args_bytes)
{
    fv_node *node = fv_graph_memory(graph, sizeof *node);
    void *copy = args_bytes ? fv_graph_memory(graph, args_bytes) : NULL;
    const char *name = node_name(graph, op->name);
    if (!node || !name || (args_bytes && !copy)) return NULL;
    if (args_bytes) memcpy(copy, args, args_bytes);
    *node = (fv_node){.op = op, .name = name, .graph = graph, .n_in = n_in, .args = copy, .threads = fv_pool_threads(graph->pool)};
    node->key = fv_hash64(name, strlen(name), 0);
    node->aux_item = node->forward_item = node->backward_item = -1;
    memcpy(node->in, in, (size_t)n_in * sizeof *in);
    return node;
}

static void append(fv_graph *graph, fv_node *node)
{
    node->index = graph->n_nodes++;
    node->previous = graph->last;
    if (graph->last) graph->last->next = node;
    else graph->first = node;
    graph->last = node;
}

static void watch(fv_graph *graph, fv_tensor *out)
{
    if (!graph->watch.name || strcmp(out->name, graph->watch.name) != 0) return;
    graph->watch.tensor = out;
    out->keep = true;
    out->wants_grad = graph->training;
}

fv_tensor *fv_graph_add(fv_graph *graph, const fv_op *op, fv_tensor *const *in, int n_in, uint32_t required, const void *args, size_t args_bytes)
{
    FV_ASSERT(n_in <= FV_MAX_IN);
    if (graph->error.status != FV_OK) return NULL;
    for (int i = 0; i < n_in; i++)
        if (!in[i] && (required >> i & 1)) return fv_graph_fail(graph, FV_E_SHAPE, "%s: input %d is missing", op->name, i), NULL;
    fv_node *node = new_node(graph, op, in, n_in, args, args_bytes);
    fv_tensor *out = node ? new_tensor(graph, node->name) : NULL;
    if (!out) return NULL;
    node->out = out;
    out->from = node;
    for (int i = 0; i < n_in; i++)
        if (op->backward && in[i] && in[i]->wants_grad) out->wants_grad = true;
    watch(graph, out);
    fv_err err = {0};
    if (op->check(node, &err) != FV_OK) return fv_graph_fail(graph, err.status, "%s: %s", node->name, err.text), NULL;
    out->stride = out->grad_stride = out->cols;
    append(graph, node);
    return out;
}

fv_grad_to fv_grad(const fv_node *node, int i)
{
    fv_tensor *t = node->in[i];
    if (!t || !t->wants_grad || !t->grad) return (fv_grad_to){0};
    bool *set = t->base ? &t->base->grad_set : &t->grad_set;
    fv_grad_to to = {.data = t->grad, .stride = t->grad_stride, .add = *set};
    *set = true;
    return to;
}

fv_grad_to fv_grad_passed(const fv_node *node, int i)
{
    fv_grad_to to = fv_grad(node, i);
    if (to.data && node->in[i]->grad_of == node->out) to.data = NULL;
    return to;
}

fv_grad_to fv_grad_zeroed(const fv_node *node, int i)
{
    fv_grad_to to = fv_grad(node, i);
    if (to.data && !to.add)
        for (int64_t r = 0; r < node->in[i]->rows; r++) memset(to.data + r * to.stride, 0, (size_t)node->in[i]->cols * sizeof(float));
    to.add = true;
    return to;
}

void fv_graph_keep(fv_graph *graph, fv_tensor *tensor)
{
    (void)graph;
    if (tensor) (tensor->base ? tensor->base : tensor)->keep = true;
}

void fv_graph_watch(fv_graph *graph, const char *node, fv_graph_edit edit, void *user)
{
    FV_ASSERT(graph->n_nodes == 0);
    graph->watch = (struct watch){.name = node, .edit = edit, .user = user};
}

const fv_node *fv_graph_find_node(const fv_graph *graph, const char *name)
{
    for (const fv_node *n = graph->first; n; n = n->next)
        if (strcmp(n->name, name) == 0) return n;
    return NULL;
}

fv_tensor *fv_graph_find(const fv_graph *graph, const char *name)
{
    const fv_node *node = fv_graph_find_node(graph, name);
    return node ? node->out : NULL;
}

/* ---- Planning ---- */

static int backward_time(const fv_graph *graph, const fv_node *node)
{
    return 2 * graph->n_nodes - 1 - node->index;
}

static fv_tensor *root(fv_tensor *t) { return t->base ? t->base : t; }

static void use(fv_tensor *t, int time)
{
    if (time > root(t)->last_use) root(t)->last_use = time;
}

/* Whether the gradient of input i may lie where the output's lies, which nothing reads once the node has gone back: it
 * is the first to be written, in one piece, and the node itself sends nothing else there. A watched gradient is read later. */
static bool may_inherit(const fv_graph *graph, const fv_node *node, int i, const fv_tensor *result)
{
    const fv_tensor *t = node->in[i];
    if (!t || !(node->passes >> i & 1) || !t->from || t == result || node->out == graph->watch.tensor || !t->wants_grad || t->has_views || t->first_back != backward_time(graph, node)) return false;
    for (int k = 0; k < node->n_in; k++)
        if (k != i && node->in[k] == t) return false;
    return true;
}

/* A chain of residuals shares one gradient. Nodes go forwards, so that the death of the first tensor reaches the last. */
static void find_heirs(fv_graph *graph, const fv_tensor *result)
{
    for (fv_node *node = graph->first; node; node = node->next) {
        node->out->grad_of = NULL;
        node->out->grad_death = node->out == graph->watch.tensor ? 2 * graph->n_nodes : backward_time(graph, node);
        for (int i = 0; graph->training && i < node->n_in; i++) {
            if (!may_inherit(graph, node, i, result)) continue;
            node->in[i]->grad_of = node->out;
            node->out->grad_death = node->in[i]->grad_death;
            break;
        }
    }
}

/* When each tensor is read last, and when its gradient is first written. */
static void find_lives(fv_graph *graph)
{
    for (fv_node *node = graph->first; node; node = node->next) {
        bool back = graph->training && node->out->wants_grad;
        use(node->out, node->index);
        if (back && (node->keeps & FV_KEEP_OUT)) use(node->out, backward_time(graph, node));
        for (int i = 0; i < node->n_in; i++) {
            fv_tensor *t = node->in[i];
            if (!t) continue;
            use(t, back && (node->keeps & FV_KEEP_IN(i)) ? backward_time(graph, node) : node->index);
            if (back) root(t)->first_back = backward_time(graph, node); /* the latest reader goes back first */
        }
    }
}

static size_t floats(int64_t n) { return (size_t)n * sizeof(float); }

static fv_status add_item(fv_graph *graph, int *item, size_t bytes, int birth, int death, fv_err *err)
{
    *item = fv_plan_add(&graph->plan, bytes, birth, death, err);
    return *item < 0 ? FV_E_MEMORY : FV_OK;
}

static fv_status add_items(fv_graph *graph, fv_node *node, const fv_tensor *result, fv_err *err)
{
    fv_status status = FV_OK;
    fv_tensor *out = node->out;
    bool back = graph->training && out->wants_grad;
    int end = 2 * graph->n_nodes, now = node->index, then = backward_time(graph, node);
    FV_TRY(add_item(graph, &out->item, floats(out->rows * out->cols), now, out->keep || out == result ? end : out->last_use, err));
    FV_TRY(add_item(graph, &node->aux_item, floats(node->aux_floats), now, out->keep ? end : back ? then : now, err));
    FV_TRY(add_item(graph, &node->forward_item, node->scratch_forward, now, now, err));
    FV_TRY(add_item(graph, &node->backward_item, back ? node->scratch_backward : 0, then, then, err));
    int grad_birth = out == result || out->first_back < 0 ? graph->n_nodes : out->first_back;
    FV_TRY(add_item(graph, &out->grad_item, back && !out->grad_of ? floats(out->rows * out->cols) : 0, grad_birth, out->grad_death, err));
done:
    return status;
}

static void *at(fv_graph *graph, int item) { return graph->block + graph->plan.items[item].offset; }

static void bind(fv_graph *graph)
{
    for (fv_node *node = graph->first; node; node = node->next) {
        fv_tensor *out = node->out;
        out->data = at(graph, out->item);
        node->aux = at(graph, node->aux_item);
        out->grad = graph->training && out->wants_grad ? at(graph, out->grad_item) : NULL;
    }
    for (fv_node *node = graph->last; node; node = node->previous)
        if (node->out->grad_of) node->out->grad = node->out->grad_of->grad;
    for (fv_tensor *t = graph->tensors; t; t = t->next) {
        if (!t->base) continue;
        t->data = t->base->data + t->column;
        t->stride = t->base->stride;
        t->grad = t->base->grad ? t->base->grad + t->column : NULL;
        t->grad_stride = t->base->grad_stride;
    }
}

/* The block grows to the largest layout seen, and a layout is kept while it serves. */
static fv_status lay_out(fv_graph *graph, fv_err *err)
{
    fv_status status = FV_OK;
    if (fv_plan_reuse(&graph->plan, &graph->laid_out)) return FV_OK;
    FV_TRY(fv_plan_lay_out(&graph->plan, err));
    if (graph->plan.bytes > graph->block_bytes || !graph->block) {
        uint8_t *block = fv_alloc(graph->plan.bytes, err);
        if (!block) return FV_E_MEMORY;
        fv_free(graph->block);
        graph->block = block;
        graph->block_bytes = graph->plan.bytes;
    }
    FV_TRY(fv_grow(&graph->laid_out.items, &graph->laid_out.capacity, graph->plan.n, sizeof *graph->plan.items, err));
    memcpy(graph->laid_out.items, graph->plan.items, graph->plan.n * sizeof *graph->plan.items);
    graph->laid_out.n = graph->plan.n;
    graph->laid_out.bytes = graph->plan.bytes;
done:
    return status;
}

fv_status fv_graph_plan(fv_graph *graph, fv_tensor *result, fv_err *err)
{
    fv_status status = FV_OK;
    if (graph->error.status != FV_OK) return FV_FAIL(err, graph->error.status, "%s", graph->error.text);
    FV_ASSERT(result);
    graph->plan.n = 0;
    find_lives(graph);
    find_heirs(graph, result);
    for (fv_node *node = graph->first; node; node = node->next) FV_TRY(add_items(graph, node, result, err));
    FV_TRY(lay_out(graph, err));
    bind(graph);
done:
    return status;
}

/* ---- Running ---- */

void fv_graph_forward(fv_graph *graph, uint64_t key)
{
    fv_run run = {.pool = graph->pool, .key = key};
    for (fv_node *node = graph->first; node; node = node->next) {
        node->scratch = at(graph, node->forward_item);
        node->op->forward(node, &run);
        if (node->out == graph->watch.tensor && graph->watch.edit) graph->watch.edit(graph->watch.user, node->out);
    }
}

static void clear(fv_tensor *t)
{
    for (int64_t r = 0; r < t->rows; r++) memset(t->grad + r * t->grad_stride, 0, floats(t->cols));
}

/* A parent whose views are written one by one starts from zero, once. */
static void clear_parents(const fv_node *node)
{
    for (int i = 0; i < node->n_in; i++) {
        fv_tensor *t = node->in[i] ? root(node->in[i]) : NULL;
        if (!t || !t->has_views || t->grad_set || !t->wants_grad || !t->grad) continue;
        clear(t);
        t->grad_set = true;
    }
}

void fv_graph_backward_from(fv_graph *graph, fv_tensor *result, const float *grad, uint64_t key)
{
    FV_ASSERT(graph->training);
    if (!result->wants_grad) return;
    fv_run run = {.pool = graph->pool, .key = key};
    for (int64_t r = 0; r < result->rows; r++) memcpy(result->grad + r * result->grad_stride, grad + r * result->cols, floats(result->cols));
    result->grad_set = true;
    for (fv_node *node = graph->last; node; node = node->previous) {
        if (!node->out->wants_grad || !node->out->grad_set) continue;
        clear_parents(node);
        node->scratch = at(graph, node->backward_item);
        node->op->backward(node, &run);
    }
}

void fv_graph_backward(fv_graph *graph, fv_tensor *loss, float scale, uint64_t key)
{
    FV_ASSERT(loss->rows == 1 && loss->cols == 1);
    fv_graph_backward_from(graph, loss, &scale, key);
}

double fv_graph_flops(const fv_graph *graph, bool backward)
{
    double sum = 0;
    for (const fv_node *node = graph->first; node; node = node->next)
        if (node->op->flops && (!backward || node->out->wants_grad)) sum += node->op->flops(node, backward);
    return sum;
}
