/* Memory: the only door to the heap, and arenas.
 *
 * A block has a line of 64 bytes in front of it that remembers its size, because no portable
 * realloc keeps an alignment. Many tiny blocks belong in an arena, not here.
 * The trap: fv_alloc and fv_alloc_plain look alike, but each needs its own free. */
#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#define LINE 64 /* a cache line, and the widest vector */
#define SIZE_LIMIT ((size_t)PTRDIFF_MAX - 2 * LINE)
#ifdef FV_STRESS
#define ARENA_BLOCK_DEFAULT ((size_t)256) /* edges come often */
#else
#define ARENA_BLOCK_DEFAULT ((size_t)64 << 10)
#endif
#define ARENA_BLOCK_LARGEST ((size_t)16 << 20)

#if defined(__SANITIZE_ADDRESS__)
#define FV_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FV_POISONS 1
#endif
#endif

/* With AddressSanitizer arena pieces lie apart, and what was not handed out is forbidden ground. */
#ifdef FV_POISONS
#include <sanitizer/asan_interface.h>
#define GUARD LINE
#define FORBID(p, n) __asan_poison_memory_region((p), (n))
#define ALLOW(p, n) __asan_unpoison_memory_region((p), (n))
#else
#define GUARD 0
#define FORBID(p, n) ((void)(p), (void)(n))
#define ALLOW(p, n) ((void)(p), (void)(n))
#endif

/* Weights and activations are walked in panels thousands of bytes apart: with pages of 4 KB each step of a
 * walk needs an address translation of its own. Large blocks ask for pages of 2 MB. */
#define LARGE_PAGE ((size_t)2 << 20)
#define IS_LARGE(bytes) ((bytes) >= LARGE_PAGE)

struct header { size_t bytes; };
_Static_assert(sizeof(struct header) <= LINE, "the header must fit in front of a block");

static atomic_int_fast64_t fail_after = -1;
static atomic_int_fast64_t live_blocks, allocations;

void fv_alloc_fail_after(int64_t n) { atomic_store(&fail_after, n); }
int64_t fv_alloc_live(void) { return atomic_load(&live_blocks); }
int64_t fv_alloc_count(void) { return atomic_load(&allocations); }

/* Counts down to the failure that a test asked for; below zero it stays quiet. */
static bool told_to_fail(void)
{
    if (atomic_load_explicit(&fail_after, memory_order_relaxed) < 0) return false;
    return atomic_fetch_sub(&fail_after, 1) == 0;
}

static void count_new_block(void)
{
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&live_blocks, 1, memory_order_relaxed);
}

static void *no_memory(size_t bytes, fv_err *err)
{
    FV_FAIL(err, FV_E_MEMORY, "out of memory: %zu bytes more could not be had; close other programs or ask for smaller sizes", bytes);
    return NULL;
}

static struct header *header_of(void *block)
{
    return (struct header *)((char *)block - LINE);
}

static void ask_for_large_pages(void *base, size_t bytes)
{
#if defined(MADV_HUGEPAGE)
    madvise(base, bytes / LARGE_PAGE * LARGE_PAGE, MADV_HUGEPAGE); /* a wish: refused, everything works as before */
#else
    (void)base, (void)bytes;
#endif
}

void *fv_alloc(size_t bytes, fv_err *err)
{
    void *base = NULL;
    if (bytes > SIZE_LIMIT || told_to_fail() || posix_memalign(&base, IS_LARGE(bytes) ? LARGE_PAGE : LINE, LINE + bytes) != 0) return no_memory(bytes, err);
    if (IS_LARGE(bytes)) ask_for_large_pages(base, bytes);
    ((struct header *)base)->bytes = bytes;
    count_new_block();
    return (char *)base + LINE;
}

void *fv_alloc_zero(size_t count, size_t size, fv_err *err)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) return no_memory(SIZE_MAX, err);
    void *block = fv_alloc(bytes, err);
    return block ? memset(block, 0, bytes) : NULL;
}

void *fv_realloc(void *block, size_t bytes, fv_err *err)
{
    void *moved = fv_alloc(bytes, err);
    if (!moved || !block) return moved;
    size_t old = header_of(block)->bytes;
    memcpy(moved, block, old < bytes ? old : bytes);
    fv_free(block);
    return moved;
}

void fv_free(void *block)
{
    if (!block) return;
    atomic_fetch_sub_explicit(&live_blocks, 1, memory_order_relaxed);
    free(header_of(block));
}

void *fv_alloc_plain(size_t bytes)
{
    if (bytes > SIZE_LIMIT || told_to_fail()) return NULL;
    void *block = malloc(bytes ? bytes : 1);
    if (block) count_new_block();
    return block;
}

void fv_free_plain(void *block)
{
    if (!block) return;
    atomic_fetch_sub_explicit(&live_blocks, 1, memory_order_relaxed);
    free(block);
}

char *fv_strndup(const char *text, size_t len, fv_err *err)
{
    if (len > SIZE_LIMIT) return no_memory(len, err);
    char *copy = fv_alloc(len + 1, err);
    if (!copy) return NULL;
    if (len) memcpy(copy, text, len);
    copy[len] = 0;
    return copy;
}

char *fv_strdup(const char *text, fv_err *err)
{
    return fv_strndup(text, strlen(text), err);
}

fv_status fv_grow(void *items, size_t *capacity, size_t need, size_t size, fv_err *err)
{
    if (need <= *capacity) return FV_OK;
    size_t wanted = *capacity < SIZE_LIMIT / 2 ? *capacity * 2 : need;
    if (wanted < 16) wanted = 16;
    if (wanted < need) wanted = need;
    size_t bytes;
    if (__builtin_mul_overflow(wanted, size, &bytes)) return no_memory(SIZE_MAX, err), FV_E_MEMORY;
    /* `items` is the address of a pointer of any type; copying its bytes breaks no aliasing rule. */
    void *block;
    memcpy(&block, items, sizeof block);
    block = fv_realloc(block, bytes, err);
    if (!block) return FV_E_MEMORY;
    memcpy(items, &block, sizeof block);
    *capacity = wanted;
    return FV_OK;
}

/* ---- Arenas ------------------------------------------------------------------------------- */

/* Blocks form a list in the order of use. Those up to `current` hold pieces, later ones are spare
 * (left by a reset) and their `used` means nothing until they become current. */
struct fv_arena_block {
    struct fv_arena_block *next;
    size_t bytes, used;
    _Alignas(LINE) char data[];
};

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

static bool fits(const struct fv_arena_block *block, size_t used, size_t bytes, size_t align)
{
    size_t start = round_up(used, align);
    return start <= block->bytes && bytes + GUARD <= block->bytes - start;
}

static void start_block(fv_arena *arena, struct fv_arena_block *block)
{
    block->used = 0;
    arena->current = block;
}

/* A new block comes right after the current one, so that smaller spare ones stay for later. */
static bool add_block(fv_arena *arena, size_t bytes, fv_err *err)
{
    size_t usual = arena->block_bytes ? arena->block_bytes : ARENA_BLOCK_DEFAULT;
    size_t room = bytes + GUARD > usual ? bytes + GUARD : usual;
    struct fv_arena_block *block = fv_alloc(sizeof *block + room, err);
    if (!block) return false;
    block->bytes = room;
    struct fv_arena_block **link = arena->current ? &arena->current->next : &arena->first;
    block->next = *link;
    *link = block;
    FORBID(block->data, room);
    start_block(arena, block);
    if (usual < ARENA_BLOCK_LARGEST) arena->block_bytes = usual * 2;
    return true;
}

static bool find_room(fv_arena *arena, size_t bytes, size_t align, fv_err *err)
{
    struct fv_arena_block *current = arena->current;
    if (current && fits(current, current->used, bytes, align)) return true;
    struct fv_arena_block *spare = current ? current->next : arena->first;
    if (!spare || !fits(spare, 0, bytes, align)) return add_block(arena, bytes, err);
    start_block(arena, spare);
    return true;
}

static void *take(fv_arena *arena, size_t bytes, size_t align, fv_err *err)
{
    if (bytes > SIZE_LIMIT - 4 * LINE) return no_memory(bytes, err);
    if (!find_room(arena, bytes, align, err)) return NULL;
    struct fv_arena_block *block = arena->current;
    char *piece = block->data + round_up(block->used, align);
    block->used = (size_t)(piece - block->data) + bytes + GUARD;
    arena->used += bytes;
    ALLOW(piece, bytes);
    return piece;
}

void *fv_arena_alloc(fv_arena *arena, size_t bytes, fv_err *err)
{
    void *piece = take(arena, bytes, LINE, err);
    return piece ? memset(piece, 0, bytes) : NULL;
}

void *fv_arena_alloc_small(fv_arena *arena, size_t bytes, fv_err *err)
{
    return take(arena, bytes, 8, err);
}

char *fv_arena_strndup(fv_arena *arena, const char *text, size_t len, fv_err *err)
{
    if (len > SIZE_LIMIT / 2) return no_memory(len, err);
    char *copy = take(arena, len + 1, 1, err);
    if (!copy) return NULL;
    if (len) memcpy(copy, text, len);
    copy[len] = 0;
    return copy;
}

void fv_arena_reset(fv_arena *arena)
{
    for (struct fv_arena_block *block = arena->first; block; block = block->next) FORBID(block->data, block->bytes);
    arena->current = NULL;
    arena->used = 0;
}

void fv_arena_release(fv_arena *arena)
{
    struct fv_arena_block *block = arena->first;
    while (block) {
        struct fv_arena_block *next = block->next;
        ALLOW(block->data, block->bytes);
        fv_free(block);
        block = next;
    }
    *arena = (fv_arena){0};
}
