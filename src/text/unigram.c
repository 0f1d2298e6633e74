/* Unigram language model on one piece (Kudo 2018): of all ways to cut it into tokens, the one whose
 * probabilities multiply to most, found by Viterbi's algorithm over the tokens that begin at each place.
 *
 * A character that no token covers costs more than any token; neighbours of that sort are one unknown
 * token, or bytes if the vocabulary has a token for each. Learning is left to unigram_train.c. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "text/tokenizer.h"

#define UNKNOWN_COSTS 10 /* SentencePiece's: below the least probable token */

typedef struct node {
    double score;  /* of the best way to here */
    uint32_t from; /* where its last token begins */
    int32_t id;    /* of that token */
} node;

/* Tokens "<0x00>" to "<0xFF>", all or none. */
static bool find_bytes(fv_unigram *u, const fv_map *ids)
{
    for (int byte = 0; byte < 256; byte++) {
        char text[8];
        int len = snprintf(text, sizeof text, "<0x%02X>", (unsigned)byte);
        if ((u->byte_ids[byte] = fv_map_get(ids, text, (size_t)len)) < 0) return false;
    }
    return true;
}

fv_status fv_unigram_init(fv_unigram *u, const fv_token *tokens, int32_t n, const fv_map *ids, fv_err *err)
{
    fv_status status = FV_OK;
    double least = 0;
    for (int32_t id = 0; id < u->n_scores; id++) least = id == 0 || u->scores[id] < least ? u->scores[id] : least;
    u->unk_score = least - UNKNOWN_COSTS;
    u->has_bytes = u->byte_fallback && find_bytes(u, ids);
    for (int32_t id = 0; id < n && id < u->n_scores && status == FV_OK; id++)
        if (tokens[id].text[0]) status = fv_trie_add(&u->trie, tokens[id].text, strlen(tokens[id].text), id, err);
    return status;
}

void fv_unigram_release(fv_unigram *u)
{
    fv_trie_release(&u->trie);
}

static void offer(const fv_unigram *u, node *to, double score, size_t from, int32_t id)
{
    if (u->single) score = (float)score;
    if (to->score < score) *to = (node){score, (uint32_t)from, id};
}

/* Tokens that begin at `at`, and the unknown token if none is its one character. */
static void extend(const fv_unigram *u, node *nodes, const char *piece, size_t len, size_t at, size_t char_len)
{
    uint32_t state = 0;
    bool single = false;
    for (size_t i = at; i < len; i++) {
        int32_t id;
        if (!(state = fv_trie_step(&u->trie, state, piece[i], &id))) break;
        if (id < 0) continue;
        offer(u, &nodes[i + 1], nodes[at].score + u->scores[id], at, id);
        single |= i + 1 == at + char_len;
    }
    if (!single) offer(u, &nodes[at + char_len], nodes[at].score + u->unk_score, at, u->unk);
}

static void find_best(const fv_unigram *u, node *nodes, const char *piece, size_t len)
{
    for (size_t i = 1; i <= len; i++) nodes[i].score = -INFINITY;
    nodes[0].score = 0;
    for (size_t at = 0, n; at < len; at += n) {
        n = (size_t)fv_utf8_len(piece + at, piece + len);
        if (n == 0) n = 1; /* a broken byte is unknown */
        extend(u, nodes, piece, len, at, n);
    }
}

/* The way back from the end, then turned round. */
static size_t collect(const node *nodes, size_t len, int32_t *ids, uint32_t *lens)
{
    size_t n = 0;
    for (size_t end = len; end > 0; end = nodes[end].from) {
        ids[n] = nodes[end].id;
        lens[n++] = (uint32_t)end - nodes[end].from;
    }
    for (size_t i = 0; i < n / 2; i++) {
        int32_t id = ids[i];
        uint32_t l = lens[i];
        ids[i] = ids[n - 1 - i], ids[n - 1 - i] = id;
        lens[i] = lens[n - 1 - i], lens[n - 1 - i] = l;
    }
    return n;
}

static size_t fuse_unknown(const fv_unigram *u, int32_t *ids, uint32_t *lens, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (kept && ids[i] == u->unk && ids[kept - 1] == u->unk) { lens[kept - 1] += lens[i]; continue; }
        ids[kept] = ids[i];
        lens[kept++] = lens[i];
    }
    return kept;
}

/* Unknown stretches become their bytes. Done from behind: there are never more tokens than bytes. */
static size_t spell_unknown(const fv_unigram *u, const char *piece, size_t len, int32_t *ids, uint32_t *lens, size_t n)
{
    size_t to = len, end = len;
    for (size_t i = n; i-- > 0;) {
        size_t l = lens[i];
        end -= l;
        if (ids[i] != u->unk) {
            ids[--to] = ids[i];
            lens[to] = (uint32_t)l;
            continue;
        }
        while (l-- > 0) {
            ids[--to] = u->byte_ids[(unsigned char)piece[end + l]];
            lens[to] = 1;
        }
    }
    memmove(ids, ids + to, (len - to) * sizeof *ids);
    memmove(lens, lens + to, (len - to) * sizeof *lens);
    return len - to;
}

static bool has_unknown(const fv_unigram *u, const int32_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] == u->unk) return true;
    return false;
}

fv_status fv_unigram_finish(const fv_unigram *u, const char *piece, size_t len, int32_t *ids, uint32_t *lens, size_t *n, fv_err *err)
{
    if (!has_unknown(u, ids, *n)) return FV_OK;
    *n = fuse_unknown(u, ids, lens, *n);
    if (u->has_bytes) *n = spell_unknown(u, piece, len, ids, lens, *n);
    else if (u->unk < 0) return FV_FAIL(err, FV_E_INPUT, "the text has a character that the vocabulary lacks, and model.unk_id names no unknown token");
    return FV_OK;
}

fv_status fv_unigram_piece(const fv_unigram *u, const char *piece, size_t len, int32_t *ids, uint32_t *lens, size_t *n, fv_err *err)
{
    node few[FV_BPE_SHORT + 1], *nodes = few;
    if (len > FV_BPE_SHORT && !(nodes = fv_alloc((len + 1) * sizeof *nodes, err))) return FV_E_MEMORY;
    find_best(u, nodes, piece, len);
    *n = collect(nodes, len, ids, lens);
    if (nodes != few) fv_free(nodes);
    return fv_unigram_finish(u, piece, len, ids, lens, n, err);
}
