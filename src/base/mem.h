/* Memory: the only door to the heap, and arenas for things that die together.
 *
 * Every allocation of the library passes fv_alloc, so that a test can fail the nth one
 * (fv_alloc_fail_after) and count what is alive (fv_alloc_live). Sizes that overflow fail too. */
#ifndef FV_BASE_MEM_H
#define FV_BASE_MEM_H

#include "base/err.h"

/* Uninitialised / zeroed memory, 64-byte aligned, or NULL with err set. Zero bytes give a valid pointer. */
void *fv_alloc(size_t bytes, fv_err *err);
void *fv_alloc_zero(size_t count, size_t size, fv_err *err);
/* Grows or shrinks; the old block stays valid on failure. */
void *fv_realloc(void *block, size_t bytes, fv_err *err);
void fv_free(void *block); /* NULL is fine */
/* For libraries that take an allocator (jansson): counted and failed like fv_alloc, aligned like
 * malloc, freed by fv_free_plain alone. */
void *fv_alloc_plain(size_t bytes);
void fv_free_plain(void *block);

char *fv_strdup(const char *text, fv_err *err);
char *fv_strndup(const char *text, size_t len, fv_err *err);

/* Doubles *items (element `size` bytes) until it holds `need`. Works on {NULL, 0}. */
fv_status fv_grow(void *items, size_t *capacity, size_t need, size_t size, fv_err *err);

/* Tests: the allocation after `n` more successful ones fails, once (negative: never). */
void fv_alloc_fail_after(int64_t n);
int64_t fv_alloc_live(void);  /* blocks alive */
int64_t fv_alloc_count(void); /* allocations since the start */

/* A bump allocator: blocks are added as needed, released together. {0} is an empty arena. */
typedef struct fv_arena {
    struct fv_arena_block *first, *current;
    size_t used;       /* bytes handed out since the last reset */
    size_t block_bytes;/* of the next block; 0 means 64 KiB */
} fv_arena;

/* 64-byte aligned, zeroed. NULL with err set when out of memory. */
void *fv_arena_alloc(fv_arena *arena, size_t bytes, fv_err *err);
/* Small things, 8-byte aligned, not zeroed. */
void *fv_arena_alloc_small(fv_arena *arena, size_t bytes, fv_err *err);
char *fv_arena_strndup(fv_arena *arena, const char *text, size_t len, fv_err *err);
void fv_arena_reset(fv_arena *arena);   /* keeps the blocks, forgets what is in them */
void fv_arena_release(fv_arena *arena); /* back to {0} */

#endif
