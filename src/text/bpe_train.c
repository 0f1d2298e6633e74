/* Learning merges: pieces are counted over all texts, then the most frequent pair of neighbours
 * becomes a token, again and again (Sennrich et al. 2016).
 *
 * Counts are kept up to date instead of recounted: a pair knows the pieces that hold it, a merge
 * visits only those and changes only the counts next to it, and a heap gives the next pair. Its
 * entries may be stale; one is believed only if its count is the pair's. Equal counts go to the
 * smaller ids, so the result depends on what was counted and not on its order.
 *
 * The trap is Chinese. Left alone, merges glue the last byte of one character to the first of the
 * next, and tokens are torn characters. A token must be whole characters, or part of one. */
#include <string.h>

#include "text/tokenizer.h"

#define PIECE_MAX 1024 /* longer pieces are learned from in parts; encoding never cuts */
#define MAX_PIECES 4000000
#define MAX_BYTES (128u << 20)
#define NONE UINT32_MAX

/* ---- Counting pieces ---------------------------------------------------------------------- */

void fv_trainer_init(fv_trainer *trainer)
{
    *trainer = (fv_trainer){.max_pieces = MAX_PIECES, .max_bytes = MAX_BYTES};
}

void fv_trainer_release(fv_trainer *trainer)
{
    fv_map_release(&trainer->pieces);
    fv_free(trainer->counts);
    *trainer = (fv_trainer){0};
}

static fv_status count_piece(fv_trainer *t, const char *piece, size_t len, int64_t count, fv_err *err)
{
    int32_t i = fv_map_get(&t->pieces, piece, len);
    if (i >= 0) {
        t->counts[i] += count;
        return FV_OK;
    }
    fv_status status;
    i = (int32_t)t->pieces.n;
    FV_TRY(fv_grow(&t->counts, &t->counts_capacity, (size_t)i + 1, sizeof *t->counts, err));
    FV_TRY(fv_map_set(&t->pieces, piece, len, i, err));
    t->counts[i] = count;
    t->bytes += len;
done:
    return status;
}

/* Copies what occurs more than `rare` times. */
static fv_status copy_frequent(fv_trainer *to, const fv_trainer *from, int64_t rare, fv_err *err)
{
    fv_status status = FV_OK;
    for (size_t i = 0; i < from->pieces.n && status == FV_OK; i++) {
        const struct fv_map_entry *e = &from->pieces.entries[i];
        if (from->counts[e->value] > rare) status = count_piece(to, e->key, e->len, from->counts[e->value], err);
    }
    return status;
}

/* Forgets the rarest pieces until half the room is free: what is frequent stays. */
static fv_status forget_rare(fv_trainer *t, fv_err *err)
{
    fv_status status = FV_OK;
    fv_trainer kept = {0};
    int64_t rare = 0;
    do {
        fv_trainer_release(&kept);
        FV_TRY(copy_frequent(&kept, t, ++rare, err));
    } while (kept.pieces.n > t->max_pieces / 2 || kept.bytes > t->max_bytes / 2);
    kept.max_pieces = t->max_pieces;
    kept.max_bytes = t->max_bytes;
    fv_trainer old = *t;
    *t = kept;
    kept = old;
done:
    fv_trainer_release(&kept);
    return status;
}

/* A cut of at most PIECE_MAX bytes that does not part a character. */
static size_t part_len(const char *piece, size_t len)
{
    if (len <= PIECE_MAX) return len;
    size_t n = PIECE_MAX;
    while ((unsigned char)piece[n] >> 6 == 2) n--;
    return n;
}

fv_status fv_trainer_add(fv_trainer *trainer, const char *piece, size_t len, fv_err *err)
{
    fv_status status = FV_OK;
    while (len) {
        size_t n = part_len(piece, len);
        if (trainer->pieces.n >= trainer->max_pieces || trainer->bytes >= trainer->max_bytes) FV_TRY(forget_rare(trainer, err));
        FV_TRY(count_piece(trainer, piece, n, 1, err));
        piece += n;
        len -= n;
    }
done:
    return status;
}

/* ---- Shapes: which tokens may be joined ---------------------------------------------------- */

/* What a token is in UTF-8: 0 whole characters; m > 0 the head of one character that lacks m bytes;
 * -n the inside or tail of one, n bytes. */
typedef int8_t shape;
#define TORN 127

static shape shape_of_byte(int byte)
{
    if (byte < 0x80) return 0;
    if (byte < 0xC0) return -1;
    return byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;
}

static shape joined_shape(shape a, shape b)
{
    if (a == 0 && b == 0) return 0;
    if (a > 0 && b < 0) return -b <= a ? (shape)(a + b) : TORN;
    if (a < 0 && b < 0) return a + b >= -3 ? (shape)(a + b) : TORN;
    return TORN;
}

/* ---- Words, pairs and the heap ------------------------------------------------------------- */

typedef struct word {
    size_t begin;   /* its symbols are symbols[begin .. begin + len) */
    uint32_t len;
    int64_t count;
} word;

typedef struct pair {
    int32_t a, b;
    uint32_t words;  /* head of the list of words that may hold it, or NONE */
    int64_t count;
    bool touched;    /* its count rose in the merge at hand: in `touched` */
} pair;

typedef struct node { uint32_t word, next; } node;       /* of a pair's list of words */
typedef struct entry { int64_t count; uint32_t pair; } entry; /* of the heap */

typedef struct learner {
    int32_t *symbols;
    word *words;
    uint32_t n_words;
    pair *pairs;
    size_t n_pairs, pairs_capacity;
    uint32_t *slots; /* (a, b) -> index of pairs, or NONE */
    size_t n_slots;
    node *nodes;
    size_t n_nodes, nodes_capacity;
    uint32_t free_nodes; /* a list of them, or NONE */
    entry *heap;
    size_t n_heap, heap_capacity;
    uint32_t *touched;
    size_t n_touched, touched_capacity;
    shape *shapes;       /* of each token */
    int32_t n_base;      /* ids below are bytes or units, not merges */
    const fv_map *units; /* NULL: symbols are bytes */
    const char *prefix;  /* of units inside a word */
} learner;

static size_t pair_slot(const learner *l, int32_t a, int32_t b)
{
    uint64_t hash = ((uint64_t)(uint32_t)a << 32 | (uint32_t)b) * 0x9e3779b97f4a7c15u;
    size_t i = (hash ^ hash >> 32) & (l->n_slots - 1);
    while (l->slots[i] != NONE && (l->pairs[l->slots[i]].a != a || l->pairs[l->slots[i]].b != b)) i = (i + 1) & (l->n_slots - 1);
    return i;
}

static fv_status grow_slots(learner *l, fv_err *err)
{
    size_t n = l->n_slots ? 2 * l->n_slots : 1024;
    uint32_t *slots = fv_alloc(n * sizeof *slots, err);
    if (!slots) return FV_E_MEMORY;
    fv_free(l->slots);
    l->slots = slots;
    l->n_slots = n;
    memset(slots, 0xff, n * sizeof *slots);
    for (size_t i = 0; i < l->n_pairs; i++) slots[pair_slot(l, l->pairs[i].a, l->pairs[i].b)] = (uint32_t)i;
    return FV_OK;
}

/* The index of (a, b), which is made if it is new. */
static fv_status find_pair(learner *l, int32_t a, int32_t b, uint32_t *out, fv_err *err)
{
    fv_status status = FV_OK;
    if (2 * l->n_pairs >= l->n_slots) FV_TRY(grow_slots(l, err));
    size_t slot = pair_slot(l, a, b);
    if (l->slots[slot] == NONE) {
        FV_TRY(fv_grow(&l->pairs, &l->pairs_capacity, l->n_pairs + 1, sizeof *l->pairs, err));
        l->slots[slot] = (uint32_t)l->n_pairs;
        l->pairs[l->n_pairs++] = (pair){.a = a, .b = b, .words = NONE};
    }
    *out = l->slots[slot];
done:
    return status;
}

static fv_status list_word(learner *l, pair *p, uint32_t w, fv_err *err)
{
    if (p->words != NONE && l->nodes[p->words].word == w) return FV_OK; /* words come one at a time */
    uint32_t at = l->free_nodes;
    if (at != NONE) {
        l->free_nodes = l->nodes[at].next;
    } else {
        fv_status status = fv_grow(&l->nodes, &l->nodes_capacity, l->n_nodes + 1, sizeof *l->nodes, err);
        if (status != FV_OK) return status;
        at = (uint32_t)l->n_nodes++;
    }
    l->nodes[at] = (node){w, p->words};
    p->words = at;
    return FV_OK;
}

static void free_list(learner *l, uint32_t head)
{
    while (head != NONE) {
        uint32_t next = l->nodes[head].next;
        l->nodes[head].next = l->free_nodes;
        l->free_nodes = head;
        head = next;
    }
}

/* One more place of (a, b), in word w, which counts for `count`. Pairs that may never merge are not kept. */
static fv_status add_place(learner *l, int32_t a, int32_t b, uint32_t w, int64_t count, fv_err *err)
{
    fv_status status = FV_OK;
    uint32_t i;
    if (joined_shape(l->shapes[a], l->shapes[b]) == TORN) return FV_OK;
    FV_TRY(find_pair(l, a, b, &i, err));
    FV_TRY(list_word(l, &l->pairs[i], w, err));
    l->pairs[i].count += count;
    if (!l->pairs[i].touched) {
        FV_TRY(fv_grow(&l->touched, &l->touched_capacity, l->n_touched + 1, sizeof *l->touched, err));
        l->pairs[i].touched = true;
        l->touched[l->n_touched++] = i;
    }
done:
    return status;
}

static void drop_place(learner *l, int32_t a, int32_t b, int64_t count)
{
    uint32_t i = l->slots[pair_slot(l, a, b)];
    if (i != NONE) l->pairs[i].count -= count;
}

/* Whether x comes out of the heap before y. */
static bool before(const learner *l, entry x, entry y)
{
    if (x.count != y.count) return x.count > y.count;
    const pair *p = &l->pairs[x.pair], *q = &l->pairs[y.pair];
    return p->a != q->a ? p->a < q->a : p->b < q->b;
}

static fv_status push(learner *l, uint32_t which, fv_err *err)
{
    fv_status status = fv_grow(&l->heap, &l->heap_capacity, l->n_heap + 1, sizeof *l->heap, err);
    if (status != FV_OK) return status;
    entry e = {l->pairs[which].count, which};
    size_t i = l->n_heap++;
    for (size_t parent; i > 0 && before(l, e, l->heap[parent = (i - 1) / 2]); i = parent) l->heap[i] = l->heap[parent];
    l->heap[i] = e;
    return FV_OK;
}

static entry pop(learner *l)
{
    entry top = l->heap[0], last = l->heap[--l->n_heap];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < l->n_heap; i = child) {
        if (child + 1 < l->n_heap && before(l, l->heap[child + 1], l->heap[child])) child++;
        if (!before(l, l->heap[child], last)) break;
        l->heap[i] = l->heap[child];
    }
    l->heap[i] = last;
    return top;
}

static fv_status push_touched(learner *l, int64_t min_count, fv_err *err)
{
    fv_status status = FV_OK;
    for (size_t i = 0; i < l->n_touched; i++) {
        pair *p = &l->pairs[l->touched[i]];
        p->touched = false;
        if (p->count >= min_count) FV_TRY(push(l, l->touched[i], err));
    }
    l->n_touched = 0;
done:
    return status;
}

/* The most frequent pair, or NONE when nothing is left that occurs min_count times. */
static fv_status best_pair(learner *l, int64_t min_count, uint32_t *out, fv_err *err)
{
    fv_status status = FV_OK;
    *out = NONE;
    while (l->n_heap && *out == NONE) {
        entry e = pop(l);
        int64_t now = l->pairs[e.pair].count;
        if (e.count == now) *out = e.pair;
        else if (e.count > now && now >= min_count) FV_TRY(push(l, e.pair, err));
    }
done:
    return status;
}

/* ---- Learning ----------------------------------------------------------------------------- */

/* Takes a's and b's neighbours at symbols[i], symbols[i + 1] to the joined token; `done` symbols of
 * the word are already rewritten. */
static fv_status move_counts(learner *l, const fv_merge *m, uint32_t w, const int32_t *symbols, uint32_t i, uint32_t done, fv_err *err)
{
    fv_status status = FV_OK;
    int64_t count = l->words[w].count;
    drop_place(l, m->a, m->b, count);
    if (done > 0) {
        drop_place(l, symbols[done - 1], m->a, count);
        FV_TRY(add_place(l, symbols[done - 1], m->id, w, count, err));
    }
    if (i + 2 < l->words[w].len) {
        drop_place(l, m->b, symbols[i + 2], count);
        FV_TRY(add_place(l, m->id, symbols[i + 2], w, count, err));
    }
done:
    return status;
}

/* The first place of a b at or after `from`, or the end. */
static uint32_t next_place(const int32_t *symbols, uint32_t len, uint32_t from, const fv_merge *m)
{
    for (uint32_t i = from; i + 1 < len; i++)
        if (symbols[i] == m->a && symbols[i + 1] == m->b) return i;
    return len;
}

static fv_status merge_word(learner *l, const fv_merge *m, uint32_t w, fv_err *err)
{
    int32_t *symbols = l->symbols + l->words[w].begin;
    uint32_t len = l->words[w].len, from = 0, done = 0;
    for (uint32_t i; (i = next_place(symbols, len, from, m)) < len; from = i + 2) {
        if (done != from) memmove(symbols + done, symbols + from, (i - from) * sizeof *symbols);
        done += i - from;
        fv_status status = move_counts(l, m, w, symbols, i, done, err);
        if (status != FV_OK) return status;
        symbols[done++] = m->id;
    }
    if (done == from) return FV_OK; /* merged away since it was listed */
    memmove(symbols + done, symbols + from, (len - from) * sizeof *symbols);
    l->words[w].len = done + len - from;
    return FV_OK;
}

static fv_status merge_everywhere(learner *l, const fv_merge *m, uint32_t which, fv_err *err)
{
    fv_status status = FV_OK;
    uint32_t head = l->pairs[which].words;
    l->pairs[which].words = NONE;
    for (uint32_t at = head; at != NONE; at = l->nodes[at].next) FV_TRY(merge_word(l, m, l->nodes[at].word, err));
    free_list(l, head);
done:
    return status;
}

/* Makes the token of a and b. It is always a new one: what is inside a token was merged as it would
 * have been alone, or a merge across the token's edge would have kept it from arising; so no other
 * pair makes the same bytes, and no pair comes back once it is merged. */
static fv_status join_tokens(learner *l, fv_learned *out, fv_merge *m, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(fv_grow(&out->merges, &out->merges_capacity, (size_t)out->n_merges + 1, sizeof *out->merges, err));
    m->id = l->n_base + (int32_t)out->n_merges;
    out->merges[out->n_merges++] = *m;
    l->shapes[m->id] = joined_shape(l->shapes[m->a], l->shapes[m->b]);
done:
    return status;
}

/* Units are whole characters, all of shape 0. */
static fv_status make_shapes(learner *l, int vocab, fv_err *err)
{
    if (!(l->shapes = fv_alloc_zero((size_t)vocab, sizeof *l->shapes, err))) return FV_E_MEMORY;
    for (int byte = 0; byte < 256 && !l->units; byte++) l->shapes[byte] = shape_of_byte(byte);
    return FV_OK;
}

fv_status fv_unit_of(fv_buf *room, const char *p, size_t len, bool first, const char *prefix, fv_err *err)
{
    room->len = 0;
    fv_status status = first ? FV_OK : fv_buf_puts(room, prefix, err);
    return status == FV_OK ? fv_buf_add(room, p, len, err) : status;
}

/* Symbols of a piece into `out`, which has room for its bytes; none if a character is no unit. */
static fv_status read_units(const learner *l, const struct fv_map_entry *piece, fv_buf *room, int32_t *out, uint32_t *n, fv_err *err)
{
    const char *p = piece->key, *end = p + piece->len;
    *n = 0;
    while (p < end) {
        size_t len = (size_t)fv_utf8_len(p, end);
        if (!len) break;
        fv_status status = fv_unit_of(room, p, len, p == piece->key, l->prefix, err);
        if (status != FV_OK) return status;
        if ((out[*n] = fv_map_get(l->units, room->data, room->len)) < 0) break;
        ++*n;
        p += len;
    }
    if (p < end) *n = 0;
    return FV_OK;
}

static void read_bytes(const struct fv_map_entry *piece, int32_t *out, uint32_t *n)
{
    for (*n = 0; *n < piece->len; ++*n) out[*n] = (unsigned char)piece->key[*n];
}

static fv_status make_words(learner *l, const fv_trainer *t, fv_err *err)
{
    fv_status status = FV_OK;
    fv_buf room = {0};
    size_t at = 0;
    l->symbols = fv_alloc(t->bytes * sizeof *l->symbols, err);
    l->words = fv_alloc(t->pieces.n * sizeof *l->words, err);
    if (!l->symbols || !l->words) return FV_E_MEMORY;
    for (; l->n_words < t->pieces.n; l->n_words++) {
        const struct fv_map_entry *e = &t->pieces.entries[l->n_words];
        word *w = &l->words[l->n_words];
        *w = (word){.begin = at, .count = t->counts[e->value]};
        if (l->units) FV_TRY(read_units(l, e, &room, l->symbols + at, &w->len, err));
        else read_bytes(e, l->symbols + at, &w->len);
        at += w->len;
    }
done:
    fv_buf_release(&room);
    return status;
}

static fv_status count_pairs(learner *l, fv_err *err)
{
    fv_status status = grow_slots(l, err);
    for (uint32_t w = 0; w < l->n_words; w++) {
        const int32_t *symbols = l->symbols + l->words[w].begin;
        for (uint32_t i = 0; i + 1 < l->words[w].len && status == FV_OK; i++)
            status = add_place(l, symbols[i], symbols[i + 1], w, l->words[w].count, err);
    }
    return status;
}

static void release_learner(learner *l)
{
    void *blocks[] = {l->symbols, l->words, l->pairs, l->slots, l->nodes, l->heap, l->touched, l->shapes};
    for (size_t i = 0; i < FV_COUNT(blocks); i++) fv_free(blocks[i]);
}

static fv_status learn(learner *l, const fv_trainer *trainer, int vocab, int min_count, fv_learned *out, fv_err *err)
{
    fv_status status = FV_OK;
    *out = (fv_learned){0};
    FV_ASSERT(vocab >= l->n_base);
    FV_TRY(make_shapes(l, vocab, err));
    FV_TRY(make_words(l, trainer, err));
    FV_TRY(count_pairs(l, err));
    while (l->n_base + (int)out->n_merges < vocab) {
        uint32_t best;
        FV_TRY(push_touched(l, min_count, err));
        FV_TRY(best_pair(l, min_count, &best, err));
        if (best == NONE) break;
        fv_merge m = {.a = l->pairs[best].a, .b = l->pairs[best].b};
        FV_TRY(join_tokens(l, out, &m, err));
        FV_TRY(merge_everywhere(l, &m, best, err));
    }
done:
    release_learner(l);
    if (status != FV_OK) fv_learned_release(out);
    return status;
}

fv_status fv_trainer_learn(const fv_trainer *trainer, int vocab, int min_count, fv_learned *out, fv_err *err)
{
    learner l = {.free_nodes = NONE, .n_base = 256};
    return learn(&l, trainer, vocab, min_count, out, err);
}

fv_status fv_trainer_learn_units(const fv_trainer *trainer, const fv_map *units, const char *prefix, int vocab, int min_count, fv_learned *out, fv_err *err)
{
    learner l = {.free_nodes = NONE, .n_base = (int32_t)units->n, .units = units, .prefix = prefix};
    return learn(&l, trainer, vocab, min_count, out, err);
}

void fv_learned_release(fv_learned *learned)
{
    fv_free(learned->merges);
    *learned = (fv_learned){0};
}
