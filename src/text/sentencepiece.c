/* A SentencePiece model's parts put together, and the way back from its pieces to a text.
 *
 * Reading and writing files is left to sentencepiece_read.c and sentencepiece_write.c, normalising to charsmap.c, cutting
 * to unigram.c and sentencepiece_bpe.c. All of it follows the sentencepiece library, whose ids and texts are the
 * definition: hence the float scores, and the odd rule for the first space. */
#include <float.h>
#include <stdio.h>
#include <string.h>

#include "text/sentencepiece.h"

#define UNKNOWN_COSTS 10 /* below the least probable piece */
#define UNK_SURFACE " \xe2\x81\x87 "
#define BROKEN "\xef\xbf\xbd"

/* ---- Putting one together ----------------------------------------------------------------- */

fv_status fv_sentencepiece_begin(fv_tokenizer *t, fv_err *err)
{
    if (!(t->sp = fv_alloc_zero(1, sizeof *t->sp, err))) return FV_E_MEMORY;
    t->sp->dummy_prefix = t->sp->trim = t->sp->escape = true;
    t->sp->unk_surface = UNK_SURFACE;
    t->sp->normalizer = "identity";
    t->normalizer = (fv_normalizer){.sp = t->sp};
    t->unigram.prepend = FV_PREPEND_NEVER; /* the normaliser does that */
    return FV_OK;
}

void fv_sentencepiece_free(fv_sentencepiece *sp)
{
    if (!sp) return;
    fv_buf_release(&sp->map.blob);
    fv_trie_release(&sp->user);
    fv_free(sp);
}

/* What byte fallback needs: a piece for each of the 256. */
static fv_status find_bytes(fv_tokenizer *t, const char *where, fv_err *err)
{
    for (int byte = 0; byte < 256; byte++) {
        char name[8], c = (char)byte;
        int len = snprintf(name, sizeof name, "<0x%02X>", (unsigned)byte);
        int32_t id = fv_map_get(&t->ids, name, (size_t)len);
        if (id < 0 || t->sp->types[id] != FV_PIECE_BYTE)
            return FV_FAIL(err, FV_E_FORMAT, "%s: trainer_spec.byte_fallback is set, but there is no piece \"%s\" of type BYTE; expected all 256", where, name);
        fv_token *token = &t->tokens[id];
        if (!(token->bytes = fv_arena_strndup(&t->arena, &c, 1, err))) return FV_E_MEMORY;
        token->n_bytes = 1;
        t->unigram.byte_ids[byte] = id;
    }
    t->unigram.has_bytes = true;
    return FV_OK;
}

/* Of normal pieces; the format's own bound where there are none. */
static float least_score(const fv_tokenizer *t)
{
    float least = FLT_MAX;
    for (int32_t id = 0; id < t->n; id++)
        if (t->sp->types[id] == FV_PIECE_NORMAL && (float)t->unigram.scores[id] < least) least = (float)t->unigram.scores[id];
    return least;
}

/* Pieces that texts may hold. Merging reads the scores as the file gave them. */
static fv_status index_pieces(fv_tokenizer *t, fv_err *err)
{
    fv_status status = FV_OK;
    fv_unigram *u = &t->unigram;
    float least = least_score(t);
    u->unk_score = least == FLT_MAX ? -UNKNOWN_COSTS : least - UNKNOWN_COSTS;
    for (int32_t id = 0; id < t->n; id++) {
        const char *text = t->tokens[id].text;
        size_t len = strlen(text);
        bool user = t->sp->types[id] == FV_PIECE_USER;
        if (user) FV_TRY(fv_trie_add(&t->sp->user, text, len, id, err));
        if (t->sp->bpe) continue;
        if (user) u->scores[id] = 0; /* certain: it is always chosen */
        if (user || t->sp->types[id] == FV_PIECE_NORMAL) FV_TRY(fv_trie_add(&u->trie, text, len, id, err));
    }
done:
    return status;
}

fv_status fv_sentencepiece_seal(fv_tokenizer *t, const char *where, fv_err *err)
{
    fv_status status = FV_OK;
    FV_ASSERT(t->sp->types && t->unigram.scores && t->unigram.unk >= 0);
    t->unigram.whole = t->unigram.single = true;
    for (int32_t id = 0; id < t->n; id++) t->tokens[id].special = t->sp->types[id] == FV_PIECE_CONTROL;
    if (t->unigram.byte_fallback) FV_TRY(find_bytes(t, where, err));
    status = index_pieces(t, err);
done:
    return status;
}

/* ---- The way back ------------------------------------------------------------------------- */

typedef struct joiner {
    const fv_sentencepiece *sp;
    const fv_piece *pieces;
    fv_buf *out;
    uint32_t *begins, *ends;
    bool at_start;  /* the next piece's FV_META was put in front of the text, and goes */
    bool took_meta; /* the last piece's did */
    fv_err *err;
} joiner;

static void mark(const joiner *j, size_t i, size_t begin)
{
    if (j->begins) j->begins[i] = (uint32_t)begin;
    if (j->ends) j->ends[i] = (uint32_t)j->out->len;
}

static int byte_of(const fv_piece *piece)
{
    unsigned byte = 0;
    return piece->len == 6 && sscanf(piece->text, "<0x%2X>", &byte) == 1 ? (int)byte : -1;
}

/* Bytes of one character starting at piece i of a run of bytes that ends at `end`, or 0 if they make none. */
static size_t char_of(const joiner *j, size_t i, size_t end, char bytes[4])
{
    size_t n = 0;
    for (; n < 4 && i + n < end; n++) bytes[n] = (char)byte_of(&j->pieces[i + n]);
    return (size_t)fv_utf8_len(bytes, bytes + n);
}

/* A run of byte pieces [begin, end): each of a character's bytes made all of it. */
static fv_status join_bytes(joiner *j, size_t begin, size_t end)
{
    fv_status status = FV_OK;
    for (size_t i = begin, n; i < end && status == FV_OK; i += n) {
        char bytes[4];
        size_t from = j->out->len;
        n = char_of(j, i, end, bytes);
        status = n ? fv_buf_add(j->out, bytes, n, j->err) : fv_buf_puts(j->out, BROKEN, j->err);
        if (n == 0) n = 1;
        for (size_t k = 0; k < n; k++) mark(j, i + k, from);
    }
    return status;
}

static fv_status join_text(joiner *j, const char *p, size_t len)
{
    fv_status status = FV_OK;
    const char *end = p + len;
    while (p < end && status == FV_OK) {
        bool meta = end - p >= FV_META_LEN && memcmp(p, FV_META, FV_META_LEN) == 0;
        status = fv_buf_putc(j->out, meta ? ' ' : *p, j->err);
        p += meta ? FV_META_LEN : 1;
    }
    return status;
}

static fv_status join_piece(joiner *j, const fv_piece *piece)
{
    bool drops = j->at_start && (j->sp->dummy_prefix || j->sp->trim);
    j->took_meta = false;
    if (piece->type == FV_PIECE_CONTROL) return FV_OK;
    if (piece->type == FV_PIECE_UNKNOWN) return fv_buf_puts(j->out, j->sp->unk_surface, j->err);
    if (!drops || piece->len < FV_META_LEN || memcmp(piece->text, FV_META, FV_META_LEN) != 0) return join_text(j, piece->text, piece->len);
    j->took_meta = !j->sp->trim; /* a trimmed text has no more spaces in front either */
    return join_text(j, piece->text + FV_META_LEN, piece->len - FV_META_LEN);
}

fv_status fv_sentencepiece_join(const fv_sentencepiece *sp, const fv_piece *pieces, size_t n, fv_buf *out, uint32_t *begins, uint32_t *ends, fv_err *err)
{
    fv_status status = FV_OK;
    joiner j = {.sp = sp, .pieces = pieces, .out = out, .begins = begins, .ends = ends, .at_start = true, .err = err};
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i; end < n && pieces[end].type == FV_PIECE_BYTE;) end++;
        FV_TRY(join_bytes(&j, i, end));
        if (end == n) break;
        size_t from = out->len;
        if (j.took_meta || from > 0) j.at_start = false;
        FV_TRY(join_piece(&j, &pieces[end]));
        mark(&j, end++, from);
    }
done:
    return status;
}

fv_status fv_sentencepiece_decode(const fv_tokenizer *t, const int32_t *ids, size_t n, fv_buf *out, fv_err *err)
{
    fv_piece *pieces = fv_alloc(n * sizeof *pieces, err);
    if (!pieces) return FV_E_MEMORY;
    for (size_t i = 0; i < n; i++) {
        const char *text = t->tokens[ids[i]].text;
        pieces[i] = (fv_piece){text, (uint32_t)strlen(text), (fv_piece_type)t->sp->types[ids[i]]};
    }
    fv_status status = fv_sentencepiece_join(t->sp, pieces, n, out, NULL, NULL, err);
    fv_free(pieces);
    return status;
}
