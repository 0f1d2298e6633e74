/* A hash table from 64-bit keys to places in an array of the caller's, which holds the keys: so a place costs four bytes and
 * little more. Keys may go again. {0} is empty. */
#ifndef FV_BASE_IDS_H
#define FV_BASE_IDS_H

#include "base/mem.h"

typedef struct fv_ids {
    uint32_t *slots; /* [n_slots] a place + 1, or 0 */
    size_t n_slots, n;
    const void *keys; /* the caller's array, `stride` bytes from key to key: set before every call, since it may move */
    size_t stride;
} fv_ids;

#define FV_NO_ID UINT32_MAX

/* The place of a key, or FV_NO_ID. */
uint32_t fv_ids_get(const fv_ids *ids, uint64_t key);
/* Room for `more` of them. */
fv_status fv_ids_reserve(fv_ids *ids, size_t more, fv_err *err);
/* A key that is not there yet and stands at `place` of the array; there is room. */
void fv_ids_put(fv_ids *ids, uint64_t key, uint32_t place);
/* A key that is there, and still stands in the array. */
void fv_ids_remove(fv_ids *ids, uint64_t key);
void fv_ids_release(fv_ids *ids);

#endif
