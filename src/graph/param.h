/* Trainable weights: named matrices in one block, so that the optimiser, clipping and checkpoints see
 * one long vector.
 *
 * A parameter may have several parts, stacked by rows, that files keep under names of their own
 * (query, key and value are one [3C, C] product here and three tensors in a BERT file). */
#ifndef FV_GRAPH_PARAM_H
#define FV_GRAPH_PARAM_H

#include "base/dtype.h"
#include "base/mem.h"
#include "base/rng.h"
#include "kernels/kernels.h"

enum { FV_PARAM_ABOVE = 1 << 20 }; /* a depth above every layer */
enum { FV_MAX_PARTS = 3, FV_PARAM_NAME = 96, FV_N_PRECISIONS = FV_PRECISION_INT8 + 1 };

typedef enum fv_init { FV_INIT_ZERO, FV_INIT_ONE, FV_INIT_NORMAL } fv_init;

typedef struct fv_param {
    char names[FV_MAX_PARTS][FV_PARAM_NAME];
    int parts;
    int rank;             /* in files: 1 [cols] or 2 [rows, cols] */
    int64_t rows, cols;   /* of all parts together; vectors have one row (and parts side by side) */
    int64_t offset;       /* in the block, in floats */
    fv_init init;
    float deviation;      /* FV_INIT_NORMAL */
    bool decay;           /* weight decay applies: matrices, not biases and norms */
    int64_t zero_row;     /* a row that is drawn as zeros and stays so, or -1 */
    int depth;            /* in a body: 0 the embeddings, i its i-th layer, counted from 1; FV_PARAM_ABOVE: what stands on it */
    bool frozen;          /* does not learn: it gets no gradient */
    float rate;           /* learns so many times as fast as the step says; 1 */
    float *data, *grad;   /* grad: where fv_params_bind_grad says, or NULL */
    bool table;           /* of embeddings: rows are looked up */
    bool multiplied;      /* a table that products take, too: its numbers must be there whole */
    /* Running only, where data is NULL: the parts as the file has them, unaligned. A matrix that `rounds`: FV_I8 with a scale for each
     * of all rows; a table that is only looked up: two bytes a number. */
    const void *narrow[FV_MAX_PARTS];
    fv_dtype narrow_dtype;
    float *scales;
    bool rounds;          /* products with it may be rounded to bf16 or int8: the layers of a body. Heads answer in float32 */
    uint32_t version;     /* raised by whoever changes the weights (fv_params_changed) */
    fv_packed *packed[FV_N_PRECISIONS]; /* for running, and of int8 for training too */
} fv_param;

typedef struct fv_params {
    fv_param **items;     /* in order of adding */
    size_t n, capacity;
    int64_t n_floats;     /* of the block, alignment included */
    float *block;         /* owned, or NULL before fv_params_allocate */
    fv_arena arena;
    const char *prefix;   /* what files may leave out at the beginning of names, or NULL; borrowed */
    bool integers;        /* files may have matrices as FV_I8 with scales: config.json says so */
} fv_params;

/* Adds a parameter of `parts` names; NULL with err set on failure. Vectors: rank 1, rows = 1. */
fv_param *fv_params_add(fv_params *params, const char *const *names, int parts, int rank, int64_t rows, int64_t cols, fv_init init, float deviation, fv_err *err);
/* One zeroed block for all. */
fv_status fv_params_allocate(fv_params *params, fv_err *err);
/* Draws every parameter from (seed, its name): adding one changes no other. */
void fv_params_draw(fv_params *params, uint64_t seed);
/* Zeros for the rows of `block` [n_floats], of weights or gradients, that stay zero. */
void fv_params_hold_zeros(const fv_params *params, float *block);
/* Gradients live in `block` [n_floats], the caller's; NULL: none. What is frozen has none either way, so a graph computes none for it, nor
 * for what lies below if nothing there learns. */
void fv_params_bind_grad(fv_params *params, float *block);
/* Packs a matrix that products use, for running, in float32, bf16 or int8, unless it is. */
fv_status fv_param_pack(fv_param *param, fv_precision precision, fv_pool *pool, fv_err *err);
/* Packs every matrix that products use (rank 2, `packable`): in this precision if it `rounds`, else in float32. */
fv_status fv_params_pack(fv_params *params, fv_precision precision, fv_pool *pool, fv_err *err);
/* Packs what `rounds` alone: for training, where all else is multiplied as it is. */
fv_status fv_params_pack_rounding(fv_params *params, fv_precision precision, fv_pool *pool, fv_err *err);
/* What a product of this precision takes: the matrix packed so, else in float32, else in whichever there is; NULL: in none. */
const fv_packed *fv_param_packed(const fv_param *param, fv_precision precision);
/* After all weights may have changed: raises their versions. Packed copies are dropped, but those of int8, which are made anew where they lie,
 * with no allocation: training computes with them. The pool may be NULL. */
void fv_params_changed(fv_params *params, fv_pool *pool);
/* The same after a step of training: what is frozen is as it was, and so are its copies. */
void fv_params_learned(fv_params *params, fv_pool *pool);
/* Rows [first, first + n) as floats, whatever they are stored as. */
void fv_param_rows(float *to, const fv_param *param, int64_t first, int64_t n);
/* Part `i`: its first float, rows and columns. Parts of a matrix are row blocks, of a vector column blocks: both contiguous. */
float *fv_param_part(const fv_param *param, int i, int64_t *rows, int64_t *cols);
void fv_params_release(fv_params *params);

#endif
