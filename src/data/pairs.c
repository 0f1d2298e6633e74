/* A batch of pairs as two batches: what the encoder reads, and what the decoder reads and is to foretell. */
#include "data/data.h"

fv_status fv_pair_batch_init(fv_pair_batch *p, int32_t max_B, int32_t max_N, int32_t start, fv_err *err)
{
    size_t N = (size_t)max_N, B = (size_t)max_B + 1;
    *p = (fv_pair_batch){.start = start, .max_B = max_B, .max_N = max_N};
    p->ids = fv_alloc_zero(N, sizeof *p->ids, err);
    p->positions = fv_alloc_zero(N, sizeof *p->positions, err);
    p->zeros = fv_alloc_zero(N, sizeof *p->zeros, err);
    p->targets = fv_alloc_zero(N, sizeof *p->targets, err);
    p->offsets = fv_alloc_zero(2 * B, sizeof *p->offsets, err);
    if (p->ids && p->positions && p->zeros && p->targets && p->offsets) return FV_OK;
    fv_pair_batch_release(p);
    return FV_E_MEMORY;
}

/* The tokens of one half of every row to ids from `at` on; gives how many. */
static int32_t take_half(fv_pair_batch *p, const fv_batch *batch, int half, int32_t at, int32_t *offsets)
{
    int32_t n = 0;
    for (int32_t b = 0; b < batch->B; b++) {
        offsets[b] = n;
        for (int32_t i = batch->offsets[b]; i < batch->offsets[b + 1]; i++) {
            if (batch->types[i] != half) continue;
            p->ids[at + n] = batch->ids[i];
            p->positions[at + n] = n - offsets[b];
            n++;
        }
    }
    offsets[batch->B] = n;
    return n;
}

static fv_batch half_of(const fv_pair_batch *p, const fv_batch *batch, int32_t at, int32_t n, const int32_t *offsets)
{
    return (fv_batch){.B = batch->B, .N = n, .ids = p->ids + at, .types = p->zeros, .positions = p->positions + at,
                      .offsets = offsets, .sequences = batch->sequences, .rows = batch->rows};
}

void fv_pair_batch_split(fv_pair_batch *p, const fv_batch *batch)
{
    FV_ASSERT(batch->B <= p->max_B && batch->N <= p->max_N);
    int32_t *source = p->offsets, *target = p->offsets + p->max_B + 1;
    int32_t M = take_half(p, batch, 0, 0, source), N = take_half(p, batch, 1, M, target);
    p->source = half_of(p, batch, 0, M, source);
    p->target = half_of(p, batch, M, N, target);
    int32_t *ids = p->ids + M;
    for (int32_t b = batch->B - 1; b >= 0; b--) {
        for (int32_t i = target[b + 1] - 1; i >= target[b]; i--) {
            p->targets[i] = ids[i];
            ids[i] = i > target[b] ? ids[i - 1] : p->start;
        }
    }
}

void fv_pair_batch_release(fv_pair_batch *p)
{
    fv_free(p->ids);
    fv_free(p->positions);
    fv_free(p->zeros);
    fv_free(p->targets);
    fv_free(p->offsets);
    *p = (fv_pair_batch){0};
}
