/* Byte-pair encoding of one piece (Sennrich et al. 2016): of all neighbours that some merge joins,
 * the pair of lowest rank is joined, the leftmost first, until none is left.
 *
 * A piece is usually a word, and then a scan for the lowest rank beats anything clever. But a piece
 * may be ten megabytes without a space, and cutting it would change its ids: long pieces keep their
 * pairs in a heap. Both give the same ids.
 *
 * Learning the merges is left to bpe_train.c. */
#include <string.h>

#include "text/tokenizer.h"

#define NO_RANK UINT32_MAX

struct fv_bpe_slot {
    uint64_t pair; /* a in the upper half */
    uint32_t rank; /* NO_RANK: empty */
    int32_t id;
};

/* ---- The table ---------------------------------------------------------------------------- */

static uint64_t pair_of(int32_t a, int32_t b)
{
    return (uint64_t)(uint32_t)a << 32 | (uint32_t)b;
}

/* The slot of a pair, or the empty one where it would go. */
static struct fv_bpe_slot *slot_of(const fv_bpe *bpe, uint64_t pair)
{
    uint64_t hash = pair * 0x9e3779b97f4a7c15u;
    size_t i = (hash ^ hash >> 32) & bpe->mask;
    while (bpe->slots[i].rank != NO_RANK && bpe->slots[i].pair != pair) i = (i + 1) & bpe->mask;
    return &bpe->slots[i];
}

static fv_status fill(fv_bpe *bpe, const char *where, fv_err *err)
{
    size_t n_slots = 16;
    while (n_slots < 2 * (size_t)bpe->n) n_slots *= 2;
    if (!(bpe->slots = fv_alloc(n_slots * sizeof *bpe->slots, err))) return FV_E_MEMORY;
    bpe->mask = n_slots - 1;
    for (size_t i = 0; i < n_slots; i++) bpe->slots[i] = (struct fv_bpe_slot){.rank = NO_RANK};
    for (uint32_t rank = 0; rank < bpe->n; rank++) {
        const fv_merge *m = &bpe->merges[rank];
        struct fv_bpe_slot *slot = slot_of(bpe, pair_of(m->a, m->b));
        if (slot->rank != NO_RANK)
            return FV_FAIL(err, FV_E_FORMAT, "%s: model.merges[%u] joins the same two tokens as model.merges[%u]; expected each pair once", where, rank, slot->rank);
        *slot = (struct fv_bpe_slot){.pair = pair_of(m->a, m->b), .rank = rank, .id = m->id};
    }
    return FV_OK;
}

fv_status fv_bpe_init(fv_bpe *bpe, fv_merge *merges, uint32_t n, const char *where, fv_err *err)
{
    bpe->merges = merges;
    bpe->n = n;
    fv_status status = fill(bpe, where, err);
    if (status != FV_OK) fv_bpe_release(bpe);
    return status;
}

void fv_bpe_release(fv_bpe *bpe)
{
    fv_free(bpe->merges);
    fv_free(bpe->slots);
    *bpe = (fv_bpe){0};
}

/* ---- Short pieces ------------------------------------------------------------------------- */

typedef struct joint {
    uint32_t rank; /* NO_RANK: the two are not joined */
    int32_t id;
} joint;

static joint joint_of(const fv_bpe *bpe, int32_t a, int32_t b)
{
    const struct fv_bpe_slot *slot = slot_of(bpe, pair_of(a, b));
    return (joint){slot->rank, slot->id};
}

/* The leftmost of the lowest rank. */
static size_t best_joint(const joint *joints, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (joints[i].rank < joints[best].rank) best = i;
    return best;
}

/* Takes item i out of n. */
static void take_out(void *items, size_t size, size_t i, size_t n)
{
    char *at = (char *)items + i * size;
    memmove(at, at + size, (n - i - 1) * size);
}

static size_t merge_short(const fv_bpe *bpe, int32_t *ids, uint32_t *lens, size_t n)
{
    FV_ASSERT(n <= FV_BPE_SHORT);
    joint joints[FV_BPE_SHORT]; /* joints[i] is between ids[i] and ids[i + 1] */
    for (size_t i = 0; i + 1 < n; i++) joints[i] = joint_of(bpe, ids[i], ids[i + 1]);
    while (n > 1) {
        size_t i = best_joint(joints, n - 1);
        if (joints[i].rank == NO_RANK) break;
        ids[i] = joints[i].id;
        if (lens) lens[i] += lens[i + 1], take_out(lens, sizeof *lens, i + 1, n);
        take_out(ids, sizeof *ids, i + 1, n);
        take_out(joints, sizeof *joints, i, n - 1);
        n--;
        if (i > 0) joints[i - 1] = joint_of(bpe, ids[i - 1], ids[i]);
        if (i + 1 < n) joints[i] = joint_of(bpe, ids[i], ids[i + 1]);
    }
    return n;
}

size_t fv_bpe_short(const fv_bpe *bpe, const char *piece, size_t n, int32_t *ids)
{
    for (size_t i = 0; i < n; i++) ids[i] = bpe->byte_ids[(unsigned char)piece[i]];
    return merge_short(bpe, ids, NULL, n);
}

/* ---- Long pieces -------------------------------------------------------------------------- */

/* Symbols are a linked list over the bytes that they begin at. The heap holds rank << 32 | place, so
 * that its smallest entry is the lowest rank, leftmost. Entries are never removed when a symbol
 * changes: an entry counts only if the pair at its place still has its rank. */
typedef struct chain {
    const fv_bpe *bpe;
    int32_t *ids;         /* -1: swallowed by the symbol before */
    uint32_t *next, *prev; /* `n` and NO_PLACE are the ends */
    uint64_t *heap;
    size_t n, n_heap;
} chain;

#define NO_PLACE UINT32_MAX

/* Four children a node: half the levels of a binary heap, and the children share a cache line, which
 * is what a heap of megabytes waits for. */
#define CHILDREN 4

static size_t least_child(const uint64_t *heap, size_t n, size_t i)
{
    size_t first = CHILDREN * i + 1, end = first + CHILDREN < n ? first + CHILDREN : n, least = first;
    for (size_t child = first + 1; child < end; child++)
        if (heap[child] < heap[least]) least = child;
    return least;
}

static void sift_down(uint64_t *heap, size_t n, size_t i)
{
    uint64_t moved = heap[i];
    while (CHILDREN * i + 1 < n) {
        size_t child = least_child(heap, n, i);
        if (heap[child] >= moved) break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = moved;
}

static void push(chain *c, uint64_t entry)
{
    size_t i = c->n_heap++;
    for (size_t parent; i > 0 && c->heap[parent = (i - 1) / CHILDREN] > entry; i = parent) c->heap[i] = c->heap[parent];
    c->heap[i] = entry;
}

static uint64_t pop(chain *c)
{
    uint64_t top = c->heap[0];
    c->heap[0] = c->heap[--c->n_heap];
    if (c->n_heap) sift_down(c->heap, c->n_heap, 0);
    return top;
}

static joint joint_at(const chain *c, uint32_t at)
{
    if (c->ids[at] < 0 || c->next[at] == c->n) return (joint){NO_RANK, -1};
    return joint_of(c->bpe, c->ids[at], c->ids[c->next[at]]);
}

static void push_joint(chain *c, uint32_t at)
{
    joint j = joint_at(c, at);
    if (j.rank != NO_RANK) push(c, (uint64_t)j.rank << 32 | at);
}

static void start_chain(chain *c, const int32_t *ids)
{
    for (size_t i = 0; i < c->n; i++) {
        c->ids[i] = ids[i];
        c->next[i] = (uint32_t)i + 1;
        c->prev[i] = i ? (uint32_t)i - 1 : NO_PLACE;
    }
    for (uint32_t i = 0; i + 1 < c->n; i++) {
        joint j = joint_at(c, i);
        if (j.rank != NO_RANK) c->heap[c->n_heap++] = (uint64_t)j.rank << 32 | i;
    }
    for (size_t i = (c->n_heap + CHILDREN - 2) / CHILDREN; i-- > 0;) sift_down(c->heap, c->n_heap, i);
}

static void join(chain *c, uint32_t at, int32_t id)
{
    uint32_t gone = c->next[at], after = c->next[gone];
    c->ids[at] = id;
    c->ids[gone] = -1;
    c->next[at] = after;
    if (after != c->n) c->prev[after] = at;
    if (c->prev[at] != NO_PLACE) push_joint(c, c->prev[at]);
    push_joint(c, at);
}

/* One block for all four arrays: ids, next and prev of n, a heap of 2n (n pairs at first; each join
 * takes one entry out and puts two in at most). */
static fv_status make_chain(chain *c, const fv_bpe *bpe, size_t n, fv_err *err)
{
    uint64_t *block = fv_alloc(n * (2 * sizeof *c->heap + sizeof *c->next + sizeof *c->prev + sizeof *c->ids), err);
    if (!block) return FV_E_MEMORY;
    *c = (chain){.bpe = bpe, .heap = block, .n = n};
    c->next = (uint32_t *)(block + 2 * n);
    c->prev = c->next + n;
    c->ids = (int32_t *)(c->prev + n);
    return FV_OK;
}

/* What is left of the chain: each symbol's id, and the lengths of all that it swallowed. */
static size_t read_chain(const chain *c, int32_t *ids, uint32_t *lens)
{
    size_t n = 0;
    for (uint32_t at = 0; at != c->n; at = c->next[at]) {
        uint32_t len = 0;
        for (uint32_t i = at; lens && i < c->next[at]; i++) len += lens[i];
        if (lens) lens[n] = len;
        ids[n++] = c->ids[at];
    }
    return n;
}

static fv_status merge_long(const fv_bpe *bpe, int32_t *ids, uint32_t *lens, size_t *n, fv_err *err)
{
    chain c;
    FV_ASSERT(*n > 0 && *n < NO_PLACE);
    fv_status status = make_chain(&c, bpe, *n, err);
    if (status != FV_OK) return status;
    start_chain(&c, ids);
    while (c.n_heap) {
        uint64_t entry = pop(&c);
        joint j = joint_at(&c, (uint32_t)entry);
        if (j.rank == entry >> 32) join(&c, (uint32_t)entry, j.id);
    }
    *n = read_chain(&c, ids, lens);
    fv_free(c.heap);
    return FV_OK;
}

fv_status fv_bpe_merge(const fv_bpe *bpe, int32_t *ids, uint32_t *lens, size_t *n, fv_err *err)
{
    if (*n > FV_BPE_SHORT) return merge_long(bpe, ids, lens, n, err);
    *n = merge_short(bpe, ids, lens, *n);
    return FV_OK;
}

fv_status fv_bpe_long(const fv_bpe *bpe, const char *piece, size_t n, int32_t *ids, size_t *n_ids, fv_err *err)
{
    for (size_t i = 0; i < n; i++) ids[i] = bpe->byte_ids[(unsigned char)piece[i]];
    *n_ids = n;
    return merge_long(bpe, ids, NULL, n_ids, err);
}
