/* A translator's texts to ids of its vocabulary and back.
 *
 * Two vocabularies meet here. A SentencePiece model cuts a text and numbers the pieces its own way; the model's ids are those of
 * vocab.json, which knows pieces by their spelling. What SentencePiece does not know it hands on as it is spelled, and vocab.json
 * may know it all the same (a shared vocabulary holds the other side's pieces), so such stretches are looked up too, as Marian and
 * Transformers do. The files are left to sentencepiece_*.c and pair_files.c. */
#include "text/pair.h"

#include <stdlib.h>
#include <string.h>

#include "text/pair_parts.h"

/* ---- The vocabulary ----------------------------------------------------------------------- */

const fv_pair_vocab *fv_pair_vocab_of(const fv_pair_tokenizer *t, fv_side side)
{
    return &t->vocabs[t->separate ? side : FV_SIDE_SOURCE];
}

int fv_pair_size(const fv_pair_tokenizer *t, fv_side side) { return fv_pair_vocab_of(t, side)->n; }
int32_t fv_pair_eos(const fv_pair_tokenizer *t) { return fv_pair_vocab_of(t, FV_SIDE_TARGET)->eos; }
int32_t fv_pair_unk(const fv_pair_tokenizer *t) { return fv_pair_vocab_of(t, FV_SIDE_TARGET)->unk; }
int32_t fv_pair_pad(const fv_pair_tokenizer *t) { return fv_pair_vocab_of(t, FV_SIDE_TARGET)->pad; }

const char *fv_pair_token(const fv_pair_tokenizer *t, fv_side side, int32_t id)
{
    const fv_pair_vocab *v = fv_pair_vocab_of(t, side);
    return id >= 0 && id < v->n ? v->tokens[id] : NULL;
}

static bool is_special(const fv_pair_vocab *v, int32_t id)
{
    return id == v->eos || id == v->unk || id == v->pad;
}

/* The id of what a text spells, special tokens left out: nobody ends a sentence by typing "</s>". */
static int32_t find_typed(const fv_pair_vocab *v, const char *text, size_t len)
{
    int32_t id = fv_map_get(&v->ids, text, len);
    return id >= 0 && is_special(v, id) ? -1 : id;
}

static fv_status known_or_unknown(const fv_pair_vocab *v, int32_t *id, const char *text, size_t len, fv_err *err)
{
    fv_shown room;
    if (*id < 0) *id = find_typed(v, text, len);
    if (*id < 0) *id = v->unk;
    return *id >= 0 ? FV_OK : FV_FAIL(err, FV_E_INPUT, "%s is not in the vocabulary, which has no \"<unk>\" to stand for it", fv_show(&room, text, len));
}

/* ---- Texts to ids ------------------------------------------------------------------------- */

/* Bytes of the token such as ">>fra<<" that the text begins with, if the vocabulary has it. */
static size_t language_len(const fv_pair_vocab *v, const char *text, size_t len, int32_t *id)
{
    if (len < 4 || memcmp(text, ">>", 2) != 0) return 0;
    const char *end = memmem(text + 2, len - 2, "<<", 2);
    size_t n = end ? (size_t)(end + 2 - text) : 0;
    *id = n ? find_typed(v, text, n) : -1;
    return *id < 0 ? 0 : n;
}

/* Puts the token in front of those that the rest of the text, `n` bytes on, has become. */
static fv_status put_language(fv_encoding *out, int32_t id, size_t n, fv_err *err)
{
    fv_status status = fv_encoding_put(out, id, 0, (uint32_t)n, err);
    if (status != FV_OK) return status;
    for (size_t i = out->n - 1; i > 0; i--) {
        out->ids[i] = out->ids[i - 1];
        out->begins[i] = out->begins[i - 1] + (uint32_t)n;
        out->ends[i] = out->ends[i - 1] + (uint32_t)n;
    }
    out->ids[0] = id;
    out->begins[0] = 0;
    out->ends[0] = (uint32_t)n;
    return FV_OK;
}

static fv_status encode_pieces(const fv_pair_tokenizer *t, fv_side side, const char *text, size_t len, double alpha, fv_rng *rng, fv_encoding *out, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_pair_vocab *v = fv_pair_vocab_of(t, side);
    const fv_tokenizer *spm = t->spm[side];
    if (alpha > 0) FV_TRY(fv_tokenizer_sample(spm, text, len, alpha, rng, out, err));
    else FV_TRY(fv_tokenizer_encode(spm, text, len, NULL, 0, false, out, err));
    const uint32_t *lens;
    const char *surface = fv_sentencepiece_surface(out, &lens);
    for (size_t i = 0; i < out->n; i++) {
        int32_t id = t->ids[side][out->ids[i]];
        FV_TRY(known_or_unknown(v, &id, surface, lens[i], err));
        out->ids[i] = id;
        surface += lens[i];
    }
done:
    return status;
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static fv_status encode_words(const fv_pair_tokenizer *t, fv_side side, const char *text, size_t len, fv_encoding *out, fv_err *err)
{
    const fv_pair_vocab *v = fv_pair_vocab_of(t, side);
    out->n = 0;
    if (len > UINT32_MAX) return FV_FAIL(err, FV_E_INPUT, "a text of %zu bytes; at most %u can be encoded: cut it", len, UINT32_MAX);
    for (size_t at = 0, end; at < len; at = end) {
        int32_t id = -1;
        for (end = at; end < len && !is_blank(text[end]);) end++;
        if (end == at) { end++; continue; }
        fv_status status = known_or_unknown(v, &id, text + at, end - at, err);
        if (status == FV_OK) status = fv_encoding_put(out, id, (uint32_t)at, (uint32_t)end, err);
        if (status != FV_OK) return status;
    }
    return FV_OK;
}

fv_status fv_pair_encode(const fv_pair_tokenizer *t, fv_side side, const char *text, size_t len, double alpha, fv_rng *rng, fv_encoding *out, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_pair_vocab *v = fv_pair_vocab_of(t, side);
    int32_t language = -1;
    size_t n = language_len(v, text, len, &language);
    if (t->spm[side]) FV_TRY(encode_pieces(t, side, text + n, len - n, alpha, rng, out, err));
    else FV_TRY(encode_words(t, side, text + n, len - n, out, err));
    if (n) FV_TRY(put_language(out, language, n, err));
    if (v->eos >= 0) FV_TRY(fv_encoding_put(out, v->eos, (uint32_t)len, (uint32_t)len, err));
done:
    if (status != FV_OK) out->n = 0;
    return status;
}

/* ---- Ids to texts ------------------------------------------------------------------------- */

static fv_status check_ids(const fv_pair_vocab *v, const int32_t *ids, size_t n, fv_err *err)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= v->n)
            return FV_FAIL(err, FV_E_INPUT, "id %d, number %zu of %zu, is not in the vocabulary; expected 0 to %d", (int)ids[i], i + 1, n, (int)v->n - 1);
    return FV_OK;
}

/* A piece of the other side, which this side's model lacks, is what it spells. */
static fv_piece piece_of(const fv_pair_vocab *v, const fv_tokenizer *spm, int32_t id)
{
    fv_piece piece = {v->tokens[id], (uint32_t)strlen(v->tokens[id]), FV_PIECE_NORMAL};
    int32_t own = fv_map_get(&spm->ids, piece.text, piece.len);
    if (is_special(v, id)) piece.type = FV_PIECE_CONTROL;
    else if (own >= 0 && (spm->sp->types[own] == FV_PIECE_BYTE || spm->sp->types[own] == FV_PIECE_CONTROL)) piece.type = (fv_piece_type)spm->sp->types[own];
    return piece;
}

static fv_status decode_pieces(const fv_pair_vocab *v, const fv_tokenizer *spm, const int32_t *ids, size_t n, fv_buf *out, uint32_t *begins, uint32_t *ends, fv_err *err)
{
    fv_piece *pieces = fv_alloc(n * sizeof *pieces, err);
    if (!pieces) return FV_E_MEMORY;
    for (size_t i = 0; i < n; i++) pieces[i] = piece_of(v, spm, ids[i]);
    fv_status status = fv_sentencepiece_join(spm->sp, pieces, n, out, begins, ends, err);
    fv_free(pieces);
    return status;
}

static fv_status decode_words(const fv_pair_vocab *v, const int32_t *ids, size_t n, fv_buf *out, uint32_t *begins, uint32_t *ends, fv_err *err)
{
    fv_status status = FV_OK;
    for (size_t i = 0; i < n; i++) {
        bool special = is_special(v, ids[i]);
        if (!special && out->len) FV_TRY(fv_buf_putc(out, ' ', err));
        if (begins) begins[i] = (uint32_t)out->len;
        if (!special) FV_TRY(fv_buf_puts(out, v->tokens[ids[i]], err));
        if (ends) ends[i] = (uint32_t)out->len;
    }
done:
    return status;
}

static uint32_t shifted(uint32_t at, size_t from, size_t len)
{
    return at < from ? 0 : at - from > len ? (uint32_t)len : at - (uint32_t)from;
}

/* Spaces at both ends go. */
static void strip(const fv_buf *text, size_t n, size_t *from, size_t *len, uint32_t *begins, uint32_t *ends)
{
    size_t first = 0, last = text->len;
    while (first < last && text->data[first] == ' ') first++;
    while (last > first && text->data[last - 1] == ' ') last--;
    *from = first;
    *len = last - first;
    for (size_t i = 0; i < n; i++) {
        if (begins) begins[i] = shifted(begins[i], first, *len);
        if (ends) ends[i] = shifted(ends[i], first, *len);
    }
}

fv_status fv_pair_decode(const fv_pair_tokenizer *t, fv_side side, const int32_t *ids, size_t n, char **out, size_t *out_len, uint32_t *begins, uint32_t *ends, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_pair_vocab *v = fv_pair_vocab_of(t, side);
    fv_buf text = {0};
    size_t from, len;
    FV_TRY(check_ids(v, ids, n, err));
    if (t->spm[side]) FV_TRY(decode_pieces(v, t->spm[side], ids, n, &text, begins, ends, err));
    else FV_TRY(decode_words(v, ids, n, &text, begins, ends, err));
    strip(&text, n, &from, &len, begins, ends);
    char *given = malloc(len + 1); /* the caller's to free(), so not from fv_alloc */
    if (!given) { status = FV_FAIL(err, FV_E_MEMORY, "out of memory for %zu bytes of text", len); goto done; }
    if (len) memcpy(given, text.data + from, len);
    given[len] = 0;
    *out = given;
    *out_len = len;
done:
    fv_buf_release(&text);
    return status;
}
