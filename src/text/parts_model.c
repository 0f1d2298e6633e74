/* Pieces to ids for tokenizers of parts: merging that starts from characters, as BPE does where bytes are not the alphabet
 * (bpe.c has the merging itself), whole words, and the other models' own ways with their lengths told.
 *
 * All follows the Hugging Face library, odd corners included: a character that nothing knows vanishes when there is no
 * unknown token, and unknown ones that bytes spell do not end a run of unknown ones that they do not. */
#include <stdio.h>
#include <string.h>

#include "text/parts.h"

#define SPELLED_MAX 160 /* a character with the prefix and suffix, which reading bounds */

/* ---- BPE ---------------------------------------------------------------------------------- */

static int32_t find(const fv_tokenizer *t, const char *text, size_t len)
{
    int32_t id = fv_map_get(&t->ids, text, len);
    return id >= 0 && !t->tokens[id].outside ? id : -1;
}

void fv_parts_seal_bpe(fv_tokenizer *t)
{
    for (int byte = 0; byte < 256; byte++) {
        char name[8];
        int len = snprintf(name, sizeof name, "<0x%02X>", (unsigned)byte);
        t->bpe.byte_ids[byte] = t->bpe.byte_fallback ? find(t, name, (size_t)len) : -1;
    }
}

/* Ids in work, before merging. */
typedef struct units {
    const fv_tokenizer *t;
    int32_t *ids;
    uint32_t *lens;
    size_t n;
    uint32_t unknown; /* bytes of unknown characters that are not written yet */
} units;

static void put(units *u, int32_t id, uint32_t len)
{
    u->ids[u->n] = id;
    u->lens[u->n++] = len;
}

static void flush(units *u)
{
    if (u->unknown) put(u, u->t->bpe.unk, u->unknown);
    u->unknown = 0;
}

static int32_t char_id(const fv_tokenizer *t, const char *p, size_t n, bool first, bool last)
{
    const fv_bpe *b = &t->bpe;
    char spelled[SPELLED_MAX];
    size_t prefix = first ? 0 : strlen(b->prefix), suffix = last ? strlen(b->suffix) : 0;
    if (!prefix && !suffix) return find(t, p, n);
    FV_ASSERT(prefix + n + suffix <= sizeof spelled);
    memcpy(spelled, b->prefix, prefix);
    memcpy(spelled + prefix, p, n);
    memcpy(spelled + prefix + n, b->suffix, suffix);
    return find(t, spelled, prefix + n + suffix);
}

/* By the tokens of its bytes, if all are there. */
static bool put_bytes(units *u, const char *p, size_t n)
{
    const int32_t *ids = u->t->bpe.byte_ids;
    if (!u->t->bpe.byte_fallback) return false;
    for (size_t i = 0; i < n; i++)
        if (ids[(unsigned char)p[i]] < 0) return false;
    for (size_t i = 0; i < n; i++) put(u, ids[(unsigned char)p[i]], 1);
    return true;
}

static void put_char(units *u, const char *p, size_t n, bool first, bool last)
{
    int32_t id = char_id(u->t, p, n, first, last);
    if (id >= 0) {
        flush(u);
        put(u, id, (uint32_t)n);
    } else if (!put_bytes(u, p, n) && u->t->bpe.unk >= 0) {
        if (!u->t->bpe.fuse_unk) flush(u);
        u->unknown += (uint32_t)n;
    }
}

static fv_status solve_bpe(const fv_tokenizer *t, const char *piece, size_t len, int32_t *ids, uint32_t *lens, size_t *n, fv_err *err)
{
    units u = {.t = t, .ids = ids, .lens = lens};
    int32_t whole = t->bpe.ignore_merges ? find(t, piece, len) : -1;
    if (whole >= 0) {
        put(&u, whole, (uint32_t)len);
        *n = 1;
        return FV_OK;
    }
    for (size_t at = 0, l; at < len; at += l) {
        int32_t point;
        l = fv_point_at(piece + at, len - at, &point);
        put_char(&u, piece + at, l, at == 0, at + l == len);
    }
    flush(&u);
    *n = u.n;
    return u.n ? fv_bpe_merge(&t->bpe, ids, lens, n, err) : FV_OK;
}

/* ---- The others --------------------------------------------------------------------------- */

static fv_status solve_word(const fv_tokenizer *t, const char *piece, size_t len, int32_t *ids, uint32_t *lens, size_t *n, fv_err *err)
{
    ids[0] = find(t, piece, len);
    lens[0] = (uint32_t)len;
    *n = 1;
    if (ids[0] < 0) ids[0] = t->unk;
    return ids[0] >= 0 ? FV_OK : FV_FAIL(err, FV_E_INPUT, "the text has a word that the vocabulary lacks, and model.unk_token names no token of it");
}

static void solve_wordpiece(const fv_tokenizer *t, const char *piece, size_t len, int32_t *ids, uint32_t *lens, size_t *n)
{
    *n = fv_wordpiece_word(&t->wordpiece, piece, len, ids);
    for (size_t i = 0; i < *n; i++) lens[i] = t->tokens[ids[i]].n_bytes - (i ? (uint32_t)t->wordpiece.prefix_len : 0);
    if (*n == 1) lens[0] = (uint32_t)len;
}

fv_status fv_parts_solve(const fv_tokenizer *t, const char *piece, size_t len, int32_t *ids, uint32_t *lens, size_t *n, fv_err *err)
{
    switch (t->kind) {
    case FV_TOKENIZER_WORDPIECE: solve_wordpiece(t, piece, len, ids, lens, n); return FV_OK;
    case FV_TOKENIZER_UNIGRAM: return fv_unigram_piece(&t->unigram, piece, len, ids, lens, n, err);
    case FV_TOKENIZER_WORDLEVEL: return solve_word(t, piece, len, ids, lens, n, err);
    default: return solve_bpe(t, piece, len, ids, lens, n, err);
    }
}
