/* Sums the gradients of a step's shards by one fixed tree.
 *
 *     for (int i = 0; i < shards; i++) {
 *         float *grad = fv_shards_slot(&sum);
 *         memset(grad, 0, n_params * sizeof *grad);
 *         ... backward of shard i adds into grad ...
 *         fv_shards_push(&sum, pool);
 *     }
 *     const float *total = fv_shards_sum(&sum);
 */
#ifndef FV_TRAIN_SHARDS_H
#define FV_TRAIN_SHARDS_H

#include "base/pool.h"

#define FV_SHARDS_MAX_LEVELS 31

/* With i shards pushed, the bits of i say which subtrees wait: a subtree of 2^b shards for each bit
 * b that is set, the larger ones first. So `waiting` is the number of set bits of `pushed`. */
typedef struct fv_shards {
    float *buffers[FV_SHARDS_MAX_LEVELS]; /* [n_params] each; log2(shards) + 1 of them */
    int64_t n_params;
    int shards, pushed, waiting;
} fv_shards;

/* `shards`: a power of two, else FV_E_ARGUMENT. */
fv_status fv_shards_init(fv_shards *sum, int64_t n_params, int shards, fv_err *err);
/* Where the next shard's gradient goes. It holds what was there before: zero it. The first slot
 * after the last push begins the next step, and may be the memory of the last sum. */
float *fv_shards_slot(fv_shards *sum);
/* Takes the slot's content as a shard. */
void fv_shards_push(fv_shards *sum, fv_pool *pool);
/* The sum, after as many pushes as there are shards; until the next slot is written. The caller may
 * change it in place. */
float *fv_shards_sum(fv_shards *sum);
void fv_shards_release(fv_shards *sum);

#endif
