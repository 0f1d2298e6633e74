/* Rows of vectors, as they are and as int8. A block is one piece of memory, so that adding never moves what is there, and
 * is a task of the scan. The trap: a block's arrays are the scan's, which only reads them; whoever writes goes through `at` here. */
#include "index/index.h"

#include <string.h>

#ifdef FV_STRESS
enum { BLOCK_BYTES = 1 << 10, LEAST_ROWS = 4 };
#else
enum { BLOCK_BYTES = 1 << 20, LEAST_ROWS = 64 }; /* of int8: a few tens of microseconds of reading */
#endif

int64_t fv_vectors_per_block(int64_t D)
{
    int64_t rows = BLOCK_BYTES / fv_scan_stride(D) / LEAST_ROWS * LEAST_ROWS;
    return rows > LEAST_ROWS ? rows : LEAST_ROWS;
}

static size_t row_bytes(int64_t D) { return (size_t)D * sizeof(float) + (size_t)fv_scan_stride(D) + 2 * sizeof(float) + sizeof(int64_t); }

/* The largest alignment first; int8, which needs none, last. */
static fv_status new_block(fv_vectors *v, fv_err *err)
{
    size_t rows = (size_t)fv_vectors_per_block(v->D);
    fv_status status = fv_grow(&v->blocks, &v->capacity, v->n_blocks + 1, sizeof *v->blocks, err);
    if (status != FV_OK) return status;
    float *x = fv_alloc(rows * row_bytes(v->D), err);
    if (!x) return FV_E_MEMORY;
    fv_scan_block *b = &v->blocks[v->n_blocks++];
    *b = (fv_scan_block){.x = x, .names = (int64_t *)(void *)(x + (int64_t)rows * v->D)};
    b->scales = (const float *)(const void *)(b->names + rows);
    b->slacks = b->scales + rows;
    b->q = (const int8_t *)(const void *)(b->slacks + rows);
    return FV_OK;
}

/* The arrays of a row, to write to. */
typedef struct place {
    fv_scan_block *block;
    float *x, *scale, *slack;
    int64_t *name;
    int8_t *q;
} place;

static place at(const fv_vectors *v, int64_t row)
{
    int64_t per_block = fv_vectors_per_block(v->D), r = row % per_block;
    fv_scan_block *b = &v->blocks[row / per_block];
    return (place){
        .block = b, .x = (float *)(uintptr_t)b->x + r * v->D, .scale = (float *)(uintptr_t)b->scales + r, .slack = (float *)(uintptr_t)b->slacks + r,
        .name = (int64_t *)(uintptr_t)b->names + r, .q = (int8_t *)(uintptr_t)b->q + r * fv_scan_stride(v->D),
    };
}

fv_status fv_vectors_add(fv_vectors *v, int64_t name, const float *x, uint32_t *row, fv_err *err)
{
    if (v->n == (int64_t)v->n_blocks * fv_vectors_per_block(v->D)) {
        fv_status status = v->n < FV_NO_ROW - 1 ? new_block(v, err) : FV_FAIL(err, FV_E_ARGUMENT, "an index of more than %u vectors; share them out among several", FV_NO_ROW - 1);
        if (status != FV_OK) return status;
    }
    place p = at(v, v->n);
    *p.name = name;
    p.block->n++;
    *row = (uint32_t)v->n++;
    fv_vectors_set(v, *row, x);
    return FV_OK;
}

void fv_vectors_set(fv_vectors *v, uint32_t row, const float *x)
{
    place p = at(v, row);
    memcpy(p.x, x, (size_t)v->D * sizeof *x);
    fv_scan_quantize(p.q, p.scale, p.slack, x, v->D);
}

int64_t fv_vectors_remove(fv_vectors *v, uint32_t row)
{
    place to = at(v, row), from = at(v, v->n - 1);
    int64_t moved = *from.name;
    if (row != (uint32_t)v->n - 1) {
        memcpy(to.x, from.x, (size_t)v->D * sizeof *to.x);
        memcpy(to.q, from.q, (size_t)fv_scan_stride(v->D));
        *to.scale = *from.scale;
        *to.slack = *from.slack;
        *to.name = moved;
    }
    from.block->n--;
    v->n--;
    /* An empty block is kept, since the next item may need it; a second one is not. */
    if ((int64_t)v->n_blocks - 2 >= 0 && v->blocks[v->n_blocks - 2].n == 0) fv_free((void *)(uintptr_t)v->blocks[--v->n_blocks].x);
    return moved;
}

const float *fv_vectors_get(const fv_vectors *v, uint32_t row) { return at(v, row).x; }

size_t fv_vectors_bytes(const fv_vectors *v)
{
    if (!v->n_blocks) return 0; /* D may be 0 then */
    return v->n_blocks * (size_t)fv_vectors_per_block(v->D) * row_bytes(v->D) + v->capacity * sizeof *v->blocks;
}

void fv_vectors_release(fv_vectors *v)
{
    for (size_t i = 0; i < v->n_blocks; i++) fv_free((void *)(uintptr_t)v->blocks[i].x);
    fv_free(v->blocks);
    *v = (fv_vectors){.D = v->D};
}
