/* Tensors, and a graph of the operations of one step.
 *
 * Model code is straight-line C that adds nodes; nothing is computed until the graph is planned and
 * run. A graph is built anew for each batch (a few hundred nodes, microseconds):
 *
 *     fv_graph_reset(g, true);
 *     fv_tensor *x = fv_graph_input(g, "x", data, n, c);
 *     fv_tensor *y = fv_linear(g, x, fv_graph_param(g, w), fv_graph_param(g, b), FV_ACT_GELU, NULL);
 *     fv_tensor *loss = fv_cross_entropy(g, y, targets, 0.1f);
 *     FV_TRY(fv_graph_plan(g, loss, err)); // shapes, memory: the first error of any line above
 *     fv_graph_forward(g, key);
 *     fv_graph_backward(g, loss, 1.0f, key);
 *
 * Builders return NULL for a bad shape and accept NULL; the graph keeps the first error, which
 * planning reports. Memory comes from one block that is laid out by lifetimes; the layout is kept
 * while later graphs have the same nodes and no larger tensors, so that a step allocates nothing.
 * A graph belongs to one thread. */
#ifndef FV_GRAPH_GRAPH_H
#define FV_GRAPH_GRAPH_H

#include "base/dtype.h"
#include "base/mem.h"
#include "graph/param.h"

typedef struct fv_graph fv_graph;
typedef struct fv_node fv_node;
struct fv_op;

/* A matrix of float32 on the host: rows may be strided, columns are unit stride. Everything is a
 * matrix: q of H heads is [N, H·D], a vector is [1, C]. Integers (ids, offsets, targets) are host data
 * that ops take as arguments; they must live until the graph has run. */
typedef struct fv_tensor {
    const char *name;
    fv_dtype dtype;
    int device;             /* 0: host */
    uint32_t version;       /* of a parameter: raised when its weights change */
    int64_t rows, cols, stride;
    float *data;            /* set for leaves at once, for others by fv_graph_plan */
    float *grad;            /* NULL: not wanted. Same rows and columns */
    int64_t grad_stride;
    bool wants_grad;
    bool grad_set;          /* backward: something is in grad; what comes next is added */
    fv_param *param;        /* a parameter leaf's, else NULL */
    struct fv_tensor *base; /* a view's parent, else NULL */
    int64_t column;         /* a view's first column in it */
    fv_node *from;          /* the node that makes it; NULL for leaves */
    struct fv_tensor *next; /* in order of making */
    /* planning */
    bool has_views, keep;
    int first_back, last_use, item, grad_item, grad_death;
    struct fv_tensor *grad_of; /* the later tensor in whose memory its gradient lies, else NULL: see fv_node's `passes` */
} fv_tensor;

fv_graph *fv_graph_new(fv_pool *pool, fv_err *err); /* the pool is borrowed */
void fv_graph_free(fv_graph *graph);
/* Forgets all nodes. Training: storage for backward is planned, and dropout is alive. */
void fv_graph_reset(fv_graph *graph, bool training);
bool fv_graph_training(const fv_graph *graph);
/* What products of nodes added from now on round their operands to, forward and backward: float32, or bf16. Kept over
 * resets; float32 until set. Weights, activations, gradients, sums and all else stay float32, and so do products with
 * weights that were packed as float32 alone. int8 is for products with packed weights, forward; all others are float32 then,
 * and gradients pass the rounding as if it were not there (the straight-through estimator, Bengio, Léonard & Courville 2013). */
void fv_graph_set_precision(fv_graph *graph, fv_precision precision);
fv_precision fv_graph_precision(const fv_graph *graph);
fv_precision fv_graph_loose_precision(const fv_graph *graph); /* of products without packed weights */
/* Names of what is added next start with this, such as "layer.3"; "" at the start. */
void fv_graph_scope(fv_graph *graph, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Leaves. The data is borrowed. An input gets a gradient only if it asks (gradient tests, attribution). */
fv_tensor *fv_graph_input(fv_graph *graph, const char *name, float *data, int64_t rows, int64_t cols, int64_t stride);
fv_tensor *fv_graph_input_grad(fv_graph *graph, const char *name, float *data, float *grad, int64_t rows, int64_t cols, int64_t stride);
fv_tensor *fv_graph_param(fv_graph *graph, fv_param *param);
/* Columns [first, first + cols) of x: no copy; its gradient lands in x's. */
fv_tensor *fv_view_columns(fv_graph *graph, fv_tensor *x, int64_t first, int64_t cols);

/* A tap: the tensor's values (and what its node noted for backward) stay readable after the run. Find it by the name of its node, such as
 * "layer.0.attention"; NULL if there is none. */
void fv_graph_keep(fv_graph *graph, fv_tensor *tensor);
fv_tensor *fv_graph_find(const fv_graph *graph, const char *name);
const fv_node *fv_graph_find_node(const fv_graph *graph, const char *name);

/* A tap that writes, set between reset and building: the node of that name (borrowed) gets a gradient even where nothing that it is made of
 * wants one, and values and gradient stay readable. `edit` (may be NULL) is called once the values are there and may change them, before
 * any later node reads them: so an explanation puts other vectors in the place of embeddings. One a graph; a reset forgets it. */
typedef void (*fv_graph_edit)(void *user, fv_tensor *tensor);
void fv_graph_watch(fv_graph *graph, const char *node, fv_graph_edit edit, void *user);

/* Reports the first builder error, else lays out memory. `result` is the loss or what is asked for. */
fv_status fv_graph_plan(fv_graph *graph, fv_tensor *result, fv_err *err);
/* `key` is chance's in this step: fv_mix(seed, step). The same one for both calls. */
void fv_graph_forward(fv_graph *graph, uint64_t key);
/* Gradients of scale · loss ([1,1]): parameters' are added to, activations' are set. */
void fv_graph_backward(fv_graph *graph, fv_tensor *loss, float scale, uint64_t key);
/* The same from a result of any shape, whose own gradient is given: [rows, cols], dense. */
void fv_graph_backward_from(fv_graph *graph, fv_tensor *result, const float *grad, uint64_t key);

size_t fv_graph_bytes(const fv_graph *graph);                 /* of the block */
double fv_graph_flops(const fv_graph *graph, bool backward);  /* multiply-adds × 2 of products and attention */
int fv_graph_n_nodes(const fv_graph *graph);
/* The first error so far (FV_OK if none): for builders that want to add their own. */
fv_status fv_graph_fail(fv_graph *graph, fv_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
