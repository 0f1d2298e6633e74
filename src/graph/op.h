/* What an operation is. Each lives in one file of src/ops and ends in its description; the build
 * lists the folder, so that declaration, table, tests and benchmark follow from the file being there.
 *
 * The rule for gradients, written once: a parameter's gradient is added to; an activation's first
 * gradient of a step is set, later ones are added. backward() asks fv_grad(node, i) for each input and
 * passes .add on to the kernel; .data is NULL where no gradient is wanted. */
#ifndef FV_GRAPH_OP_H
#define FV_GRAPH_OP_H

#include "graph/graph.h"

#define FV_OP_FN /* marks a builder for tools/gen-ops; its signature stays on one line */

struct fv_feature_rows; /* data/data.h: in the signature of `bag` */
typedef struct fv_step_cache fv_step_cache; /* graph/step_cache.h: in that of `attend_step` */

enum { FV_MAX_IN = 8 };

/* What a running op needs beside its node. */
typedef struct fv_run {
    fv_pool *pool;
    uint64_t key; /* of chance in this step; an op draws from fv_mix(run->key, node->key) */
} fv_run;

typedef struct fv_case fv_case;

/* A case builds the op on inputs that it asks for, in a graph that the test owns. */
typedef struct fv_op_case {
    const char *name;
    fv_tensor *(*build)(fv_case *c);
} fv_op_case;

#define FV_CASES(table) .cases = (table), .n_cases = (int)(sizeof(table) / sizeof((table)[0]))
#define FV_REFUSED(table) .refused = (table), .n_refused = (int)(sizeof(table) / sizeof((table)[0]))

typedef struct fv_op {
    const char *name;
    const char *says; /* one line for people */
    /* Checks shapes; sets out->rows and cols, aux_floats, scratch bytes, keeps. */
    fv_status (*check)(fv_node *node, fv_err *err);
    void (*forward)(const fv_node *node, const fv_run *run);
    void (*backward)(const fv_node *node, const fv_run *run); /* NULL: no gradient flows */
    /* The truth, slow and in float64: in[i] is dense [rows, cols] of input i (NULL if absent). */
    void (*reference)(const fv_node *node, const fv_run *run, const double *const *in, double *out);
    double (*flops)(const fv_node *node, bool backward); /* NULL: not counted */
    const fv_op_case *cases, *refused; /* right ones; ones whose shapes must be refused */
    int n_cases, n_refused;
    fv_tensor *(*typical)(fv_case *c); /* the sizes of a training step of 2,048 tokens: what `fovea bench ops` times */
    double tolerance; /* relative, of values and gradients against float64 */
} fv_op;

struct fv_node {
    const fv_op *op;
    const char *name;       /* "layer.0.attention": unique in the graph, the key of chance and of taps */
    fv_graph *graph;
    fv_tensor *in[FV_MAX_IN], *out;
    int n_in;
    const void *args;       /* the op's own struct */
    uint64_t key;           /* hash of the name: mixed with run->key where chance is needed */
    int index;
    fv_node *next, *previous;
    /* set by check */
    int64_t aux_floats;     /* kept from forward to backward: log-sum-exps, means … */
    size_t scratch_forward, scratch_backward; /* bytes alive during the call only */
    uint32_t keeps;         /* bit i: backward reads input i; FV_KEEP_OUT: it reads the output */
    uint32_t passes;        /* bit i: input i's gradient is the output's as it stands when backward ends: see fv_grad_passed */
    int threads;            /* of the pool, for scratch sizes */
    /* set by planning */
    float *aux;
    void *scratch;
    int aux_item, forward_item, backward_item;
};

#define FV_KEEP_IN(i) (1u << (i))
#define FV_KEEP_OUT (1u << 31)

typedef struct fv_grad_to {
    float *data; /* NULL: not wanted */
    int64_t stride;
    bool add;
} fv_grad_to;

/* Where backward puts the gradient of input i; marks it as set. Call once for each input. */
fv_grad_to fv_grad(const fv_node *node, int i);
/* For an input that the node `passes`: as fv_grad, but .data is NULL, too, where planning let it lie in the output's
 * gradient, and so it is there already. */
fv_grad_to fv_grad_passed(const fv_node *node, int i);
/* The same for kernels that can only add: what would be set is zero-filled first. */
fv_grad_to fv_grad_zeroed(const fv_node *node, int i);

/* For builders: adds a node with a copy of args. in[i] may be NULL for an absent optional input
 * (`required`: bits of those that may not be); a NULL required input or an earlier error gives NULL. */
fv_tensor *fv_graph_add(fv_graph *graph, const fv_op *op, fv_tensor *const *in, int n_in, uint32_t required, const void *args, size_t args_bytes);
/* Memory of the graph's life, for arrays in args; NULL on failure, with the graph's error set. */
void *fv_graph_memory(fv_graph *graph, size_t bytes);

/* For typical cases: sequences of equal length, as [B + 1] offsets, [B] names, or n integers below `below`. */
const int32_t *fv_case_offsets(fv_case *c, int32_t B, int32_t length);
const uint64_t *fv_case_names(fv_case *c, int32_t B);
const int32_t *fv_case_integers(fv_case *c, int64_t n, int32_t below);

/* For cases: inputs with values drawn from the case's stream, uniform in [-1, 1] … */
fv_graph *fv_case_graph(fv_case *c);
fv_tensor *fv_case_input(fv_case *c, const char *name, int64_t rows, int64_t cols);
fv_tensor *fv_case_input_scaled(fv_case *c, const char *name, int64_t rows, int64_t cols, float scale, float shift);

#endif
