/* Cutting a text by merges, as SentencePiece does: of all neighbours that spell a piece together, the pair of the highest
 * score is joined, the leftmost first, until none is left. Unlike bpe.c it starts from characters, and any two neighbours may
 * make a piece, however they came about, so it asks the vocabulary instead of a list of merges. */
#include <string.h>

#include "text/sentencepiece.h"

#define NONE UINT32_MAX

/* Neighbours that may be joined; stale once either has changed, which their bytes tell. */
typedef struct pair {
    float score;
    uint32_t left, bytes;
} pair;

/* A symbol lies where its text begins. */
typedef struct symbol {
    uint32_t len; /* 0: joined to the one before */
    uint32_t prev, next;
    bool whole;   /* a user's piece: never joined */
} symbol;

typedef struct merger {
    const fv_tokenizer *t;
    const char *text;
    uint32_t len;
    symbol *symbols; /* [len] */
    pair *heap;      /* [2 len]: each merge takes one out and puts two in at most */
    size_t n_heap;
} merger;

static bool before(const pair *a, const pair *b)
{
    return a->score > b->score || (a->score == b->score && a->left < b->left);
}

static void push(merger *m, pair p)
{
    size_t i = m->n_heap++;
    for (; i > 0 && before(&p, &m->heap[(i - 1) / 2]); i = (i - 1) / 2) m->heap[i] = m->heap[(i - 1) / 2];
    m->heap[i] = p;
}

static pair pop(merger *m)
{
    pair top = m->heap[0], last = m->heap[--m->n_heap];
    size_t i = 0, child;
    while ((child = 2 * i + 1) < m->n_heap) {
        if (child + 1 < m->n_heap && before(&m->heap[child + 1], &m->heap[child])) child++;
        if (!before(&m->heap[child], &last)) break;
        m->heap[i] = m->heap[child];
        i = child;
    }
    m->heap[i] = last;
    return top;
}

static void offer(merger *m, uint32_t left)
{
    const symbol *a = &m->symbols[left];
    if (a->next == NONE || a->whole || m->symbols[a->next].whole) return;
    uint32_t bytes = a->len + m->symbols[a->next].len;
    int32_t id = fv_map_get(&m->t->ids, m->text + left, bytes);
    if (id < 0 || (m->t->sp->types[id] != FV_PIECE_NORMAL && m->t->sp->types[id] != FV_PIECE_USER)) return;
    push(m, (pair){(float)m->t->unigram.scores[id], left, bytes});
}

/* The symbol at p before any merge: a user's piece or a character. */
static symbol first_symbol(const fv_sentencepiece *sp, const char *p, size_t len)
{
    symbol s = {0};
    uint32_t state = 0;
    for (uint32_t i = 0; i < len; i++) {
        int32_t id;
        if (!(state = fv_trie_step(&sp->user, state, p[i], &id))) break;
        if (id >= 0) s.len = i + 1;
    }
    s.whole = s.len > 0;
    if (!s.whole) s.len = (uint32_t)fv_utf8_len(p, p + len);
    if (s.len == 0) s.len = 1;
    return s;
}

static void start(merger *m)
{
    uint32_t prev = NONE;
    for (uint32_t at = 0; at < m->len; at += m->symbols[at].len) {
        m->symbols[at] = first_symbol(m->t->sp, m->text + at, m->len - at);
        m->symbols[at].prev = prev;
        m->symbols[at].next = at + m->symbols[at].len < m->len ? at + m->symbols[at].len : NONE;
        prev = at;
    }
    for (uint32_t at = 0; at != NONE; at = m->symbols[at].next) offer(m, at);
}

static void merge(merger *m)
{
    while (m->n_heap) {
        pair p = pop(m);
        symbol *a = &m->symbols[p.left];
        if (a->len == 0 || a->next == NONE || a->len + m->symbols[a->next].len != p.bytes) continue;
        symbol *b = &m->symbols[a->next];
        a->len = p.bytes;
        b->len = 0;
        a->next = b->next;
        if (a->next != NONE) m->symbols[a->next].prev = p.left;
        if (a->prev != NONE) offer(m, a->prev);
        offer(m, p.left);
    }
}

fv_status fv_sentencepiece_bpe(const fv_tokenizer *t, const char *text, size_t len, int32_t *ids, uint32_t *lens, size_t *n, fv_err *err)
{
    merger m = {.t = t, .text = text, .len = (uint32_t)len};
    *n = 0;
    if (len == 0) return FV_OK;
    m.heap = fv_alloc(len * (2 * sizeof *m.heap + sizeof *m.symbols), err);
    if (!m.heap) return FV_E_MEMORY;
    m.symbols = (symbol *)(m.heap + 2 * len);
    start(&m);
    merge(&m);
    for (uint32_t at = 0; at != NONE; at = m.symbols[at].next) {
        int32_t id = fv_map_get(&t->ids, text + at, m.symbols[at].len);
        ids[*n] = id >= 0 ? id : t->unigram.unk;
        lens[(*n)++] = m.symbols[at].len;
    }
    fv_free(m.heap);
    return fv_unigram_finish(&t->unigram, text, len, ids, lens, n, err);
}
