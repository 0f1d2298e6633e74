/* The fixed tree of gradient accumulation: shards are leaves of a balanced binary tree and are added
 * pairwise, neighbours first, as a binary counter carries. A machine that later owns a subtree adds
 * the same numbers in the same order, so the bits do not change. What a shard is, and dividing by
 * the number of tokens, is the loop's. The trap: `older + newer`, never the other way round, and
 * never into the newer buffer, which is the next slot. */
#include "train/shards.h"

#include "base/mem.h"
#include "kernels/kernels.h"

enum { CHUNK = 4096 }; /* floats a row, so that the kernel has rows to share out */

static void add(float *to, const float *from, int64_t n, fv_pool *pool)
{
    int64_t rows = n / CHUNK, rest = n % CHUNK, done = rows * CHUNK;
    if (rows > 0) fv_copy_rows(to, CHUNK, true, from, CHUNK, 1, rows, CHUNK, pool);
    if (rest > 0) fv_copy_rows(to + done, rest, true, from + done, rest, 1, 1, rest, pool);
}

fv_status fv_shards_init(fv_shards *sum, int64_t n_params, int shards, fv_err *err)
{
    *sum = (fv_shards){.n_params = n_params, .shards = shards};
    if (shards < 1 || (shards & (shards - 1)) != 0)
        return FV_FAIL(err, FV_E_ARGUMENT, "accumulate is %d; expected a power of two: 1, 2, 4, 8 …", shards);
    for (int level = 0; shards >> level != 0; level++) {
        sum->buffers[level] = fv_alloc_zero((size_t)n_params, sizeof(float), err);
        if (!sum->buffers[level]) {
            fv_shards_release(sum);
            return FV_E_MEMORY;
        }
    }
    return FV_OK;
}

float *fv_shards_slot(fv_shards *sum)
{
    if (sum->pushed == sum->shards) sum->pushed = sum->waiting = 0;
    return sum->buffers[sum->waiting];
}

void fv_shards_push(fv_shards *sum, fv_pool *pool)
{
    FV_ASSERT(sum->pushed < sum->shards);
    sum->waiting++;
    sum->pushed++;
    for (int carry = sum->pushed; carry % 2 == 0; carry /= 2) {
        sum->waiting--;
        add(sum->buffers[sum->waiting - 1], sum->buffers[sum->waiting], sum->n_params, pool);
    }
}

float *fv_shards_sum(fv_shards *sum)
{
    FV_ASSERT(sum->pushed == sum->shards);
    return sum->buffers[0];
}

void fv_shards_release(fv_shards *sum)
{
    for (int level = 0; level < FV_SHARDS_MAX_LEVELS; level++) fv_free(sum->buffers[level]);
    *sum = (fv_shards){0};
}
