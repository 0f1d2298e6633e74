/* Behind fv_index: items, found by meaning and by words.
 *
 *   vectors.c  rows of numbers that come and go, as kernels/scan.c wants them
 *   fuse.c     two scores into one
 *   chance.c   what a best hit scores that means nothing
 *   index.c    the public calls: items, locks, a search's steps
 *
 * Words are text/bm25.h's. This room knows neither models nor tokens. */
#ifndef FV_INDEX_INDEX_H
#define FV_INDEX_INDEX_H

#include "base/ids.h"
#include "kernels/kernels.h"
#include "text/bm25.h"

/* ---- vectors.c ---- */

/* Rows in blocks, dense: the last row takes the place of one that goes. {.D = …} is empty. */
typedef struct fv_vectors {
    int64_t D;
    fv_scan_block *blocks; /* [n_blocks]; all but the last full; their arrays are one piece of memory, which x begins */
    size_t n_blocks, capacity;
    int64_t n;
} fv_vectors;

#define FV_NO_ROW UINT32_MAX

int64_t fv_vectors_per_block(int64_t D);
/* x is a row that fv_scan_takes; *row is where it lies. */
fv_status fv_vectors_add(fv_vectors *v, int64_t name, const float *x, uint32_t *row, fv_err *err);
void fv_vectors_set(fv_vectors *v, uint32_t row, const float *x); /* another vector of the same name */
/* The name of the row that now lies there, or the removed one's own when it was the last. */
int64_t fv_vectors_remove(fv_vectors *v, uint32_t row);
const float *fv_vectors_get(const fv_vectors *v, uint32_t row);
size_t fv_vectors_bytes(const fv_vectors *v);
void fv_vectors_release(fv_vectors *v);

/* ---- fuse.c ---- */

/* The score of a hit whose meaning and words are known; `whole` is fv_bm25_scores'. */
float fv_fuse(const fv_hit *hit, float whole);

#endif
