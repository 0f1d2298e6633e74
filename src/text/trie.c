/* A trie over bytes: which tokens begin at a place of a text, found in one walk.
 *
 * Its edges lie in one hash table, keyed by node and byte, and an edge holds the id of the token that
 * ends with it: a step is one probe. Built once, then only read. */
#include <string.h>

#include "text/tokenizer.h"

struct fv_trie_edge {
    uint64_t key; /* node << 8 | byte */
    uint32_t to;  /* 0, the root, is nobody's child: an empty slot */
    int32_t id;   /* of the token that ends here, or -1 */
};

static struct fv_trie_edge *edge_slot(const fv_trie *trie, uint64_t key)
{
    uint64_t hash = key * 0x9e3779b97f4a7c15u;
    size_t i = (hash ^ hash >> 32) & (trie->n_slots - 1);
    while (trie->edges[i].to && trie->edges[i].key != key) i = (i + 1) & (trie->n_slots - 1);
    return &trie->edges[i];
}

static fv_status grow(fv_trie *trie, fv_err *err)
{
    fv_trie bigger = {.n_slots = trie->n_slots ? 2 * trie->n_slots : 1024, .n_edges = trie->n_edges};
    if (!(bigger.edges = fv_alloc_zero(bigger.n_slots, sizeof *bigger.edges, err))) return FV_E_MEMORY;
    for (size_t i = 0; i < trie->n_slots; i++)
        if (trie->edges[i].to) *edge_slot(&bigger, trie->edges[i].key) = trie->edges[i];
    fv_trie_release(trie);
    *trie = bigger;
    return FV_OK;
}

fv_status fv_trie_add(fv_trie *trie, const char *text, size_t len, int32_t id, fv_err *err)
{
    uint32_t node = 0;
    FV_ASSERT(len > 0);
    for (size_t i = 0; i < len; i++) {
        if (2 * (trie->n_edges + 1) >= trie->n_slots && grow(trie, err) != FV_OK) return FV_E_MEMORY;
        uint64_t key = (uint64_t)node << 8 | (unsigned char)text[i];
        struct fv_trie_edge *edge = edge_slot(trie, key);
        if (!edge->to) *edge = (struct fv_trie_edge){.key = key, .to = ++trie->n_edges, .id = -1};
        if (i + 1 == len) edge->id = id;
        node = edge->to;
    }
    return FV_OK;
}

uint32_t fv_trie_step(const fv_trie *trie, uint32_t node, char byte, int32_t *id)
{
    if (!trie->n_slots) return 0;
    const struct fv_trie_edge *edge = edge_slot(trie, (uint64_t)node << 8 | (unsigned char)byte);
    if (edge->to) *id = edge->id;
    return edge->to;
}

void fv_trie_release(fv_trie *trie)
{
    fv_free(trie->edges);
    *trie = (fv_trie){0};
}
