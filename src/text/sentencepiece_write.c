/* Writing a SentencePiece model, so that the sentencepiece library gives the same ids.
 *
 * A unigram model that was trained as such (a tokenizer.json's) can be one too if nothing in its way of normalising is beyond
 * a table of characters. One difference is left: a text that begins with a space gets one more in front of it there. */
#include <string.h>

#include "base/file.h"
#include "text/sentencepiece.h"

enum { WIRE_VARINT = 0, WIRE_BYTES = 2, WIRE_32 = 5 };

static fv_status put_varint(fv_buf *to, uint64_t value, fv_err *err)
{
    for (; value >= 0x80; value >>= 7) {
        fv_status status = fv_buf_putc(to, (char)(value | 0x80), err);
        if (status != FV_OK) return status;
    }
    return fv_buf_putc(to, (char)value, err);
}

static fv_status put_number(fv_buf *to, unsigned field, uint64_t value, fv_err *err)
{
    fv_status status = put_varint(to, field << 3 | WIRE_VARINT, err);
    return status == FV_OK ? put_varint(to, value, err) : status;
}

static fv_status put_bytes(fv_buf *to, unsigned field, const char *bytes, size_t len, fv_err *err)
{
    fv_status status = put_varint(to, field << 3 | WIRE_BYTES, err);
    if (status == FV_OK) status = put_varint(to, len, err);
    return status == FV_OK ? fv_buf_add(to, bytes, len, err) : status;
}

static fv_status put_text(fv_buf *to, unsigned field, const char *text, fv_err *err)
{
    return put_bytes(to, field, text, strlen(text), err);
}

static fv_status put_float(fv_buf *to, unsigned field, float value, fv_err *err)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    char bytes[4] = {(char)bits, (char)(bits >> 8), (char)(bits >> 16), (char)(bits >> 24)};
    fv_status status = put_varint(to, field << 3 | WIRE_32, err);
    return status == FV_OK ? fv_buf_add(to, bytes, 4, err) : status;
}

/* What is written: a tokenizer, and how the format sees it. */
typedef struct model {
    const fv_tokenizer *t;
    const fv_sentencepiece *sp; /* the tokenizer's, or one made for the occasion, without types */
    fv_buf charsmap;
} model;

static bool is_byte(const fv_tokenizer *t, int32_t id)
{
    const fv_token *token = &t->tokens[id];
    return t->unigram.has_bytes && token->n_bytes == 1 && t->unigram.byte_ids[(unsigned char)token->bytes[0]] == id;
}

/* What a user's piece has in memory is what cutting makes of it. */
static float score_of(const model *m, int32_t id, fv_piece_type type)
{
    bool made = type == FV_PIECE_USER && !m->sp->bpe;
    return made || id >= m->t->unigram.n_scores ? 0 : (float)m->t->unigram.scores[id];
}

/* Special tokens that the normaliser leaves alone are found in texts by us, and by nobody who reads the file. */
static fv_piece_type type_of(const model *m, int32_t id)
{
    if (m->t->sp) return (fv_piece_type)m->sp->types[id];
    if (id == m->t->unigram.unk) return FV_PIECE_UNKNOWN;
    if (is_byte(m->t, id)) return FV_PIECE_BYTE;
    if (m->t->tokens[id].special) return FV_PIECE_CONTROL;
    return m->t->tokens[id].added ? FV_PIECE_USER : FV_PIECE_NORMAL;
}

static fv_status put_piece(fv_buf *to, const model *m, int32_t id, fv_buf *room, fv_err *err)
{
    fv_status status = FV_OK;
    fv_piece_type type = type_of(m, id);
    room->len = 0;
    FV_TRY(put_text(room, 1, m->t->tokens[id].text, err));
    FV_TRY(put_float(room, 2, score_of(m, id, type), err));
    if (type != FV_PIECE_NORMAL) FV_TRY(put_number(room, 3, type, err));
    status = put_bytes(to, 1, room->data, room->len, err);
done:
    return status;
}

/* Ids by their usual names; a negative one is written as ten bytes, as the format has it. */
static fv_status put_special(fv_buf *to, const model *m, unsigned field, const char *const names[2], fv_err *err)
{
    fv_status status = FV_OK;
    for (int i = 0; i < 2; i++) {
        int32_t id = fv_map_get(&m->t->ids, names[i], strlen(names[i]));
        if (id < 0) continue;
        FV_TRY(put_number(to, field, (uint64_t)id, err));
        if (i > 0) FV_TRY(put_text(to, field + 5, names[i], err));
        return FV_OK;
    }
    status = put_number(to, field, UINT64_MAX, err);
done:
    return status;
}

static fv_status put_trainer(fv_buf *to, const model *m, fv_buf *room, fv_err *err)
{
    /* Theirs, ours; fields 40 to 43, and 45 to 48 for names that are not theirs. */
    static const char *const specials[4][2] = {{"<unk>", "[UNK]"}, {"<s>", "[CLS]"}, {"</s>", "[SEP]"}, {"<pad>", "[PAD]"}};
    fv_status status = FV_OK;
    room->len = 0;
    FV_TRY(put_number(room, 3, m->sp->bpe ? 2 : 1, err));
    FV_TRY(put_number(room, 4, (uint64_t)m->t->n, err));
    FV_TRY(put_number(room, 35, m->t->unigram.byte_fallback && m->t->unigram.has_bytes, err));
    for (unsigned i = 0; i < 4; i++) FV_TRY(put_special(room, m, 40 + i, specials[i], err));
    FV_TRY(put_text(room, 44, m->sp->unk_surface, err));
    status = put_bytes(to, 2, room->data, room->len, err);
done:
    return status;
}

static fv_status put_normalizer(fv_buf *to, const model *m, fv_buf *room, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_buf *map = m->t->sp ? &m->sp->map.blob : &m->charsmap;
    room->len = 0;
    FV_TRY(put_text(room, 1, m->sp->normalizer, err));
    FV_TRY(put_bytes(room, 2, map->data, map->len, err));
    FV_TRY(put_number(room, 3, m->sp->dummy_prefix, err));
    FV_TRY(put_number(room, 4, m->sp->trim, err));
    FV_TRY(put_number(room, 5, m->sp->escape, err));
    status = put_bytes(to, 3, room->data, room->len, err);
done:
    return status;
}

static fv_status put_model(fv_buf *to, const model *m, fv_err *err)
{
    fv_status status = FV_OK;
    fv_buf room = {0};
    for (int32_t id = 0; id < m->t->n; id++) FV_TRY(put_piece(to, m, id, &room, err));
    FV_TRY(put_trainer(to, m, &room, err));
    FV_TRY(put_normalizer(to, m, &room, err));
done:
    fv_buf_release(&room);
    return status;
}

/* How the format says what a tokenizer.json's unigram model does, or why it cannot. */
static fv_status translate(const fv_tokenizer *t, fv_sentencepiece *sp, fv_buf *charsmap, const char *path, fv_err *err)
{
    if (t->kind != FV_TOKENIZER_UNIGRAM) return FV_FAIL(err, FV_E_ARGUMENT, "%s: only unigram tokenizers can be written as SentencePiece models; give a path that ends in .json", path);
    if (t->normalizer.form != FV_NORMALIZE_NONE) return FV_FAIL(err, FV_E_ARGUMENT, "%s: a SentencePiece model cannot normalise by %s exactly; train with --normalize none, or give a path that ends in .json", path, t->normalizer.form == FV_NORMALIZE_NFC ? "NFC" : "NFKC");
    for (int32_t id = 0; id < t->n; id++) {
        size_t len = strlen(t->tokens[id].text);
        if (len > FV_PIECE_MAX) return FV_FAIL(err, FV_E_ARGUMENT, "%s: token %d has %zu bytes; a SentencePiece model that is read here has at most %d; give a path that ends in .json", path, (int)id, len, FV_PIECE_MAX);
    }
    if (t->unigram.unk < 0) return FV_FAIL(err, FV_E_ARGUMENT, "%s: a SentencePiece model needs an unknown token, and this tokenizer has none; give a path that ends in .json", path);
    *sp = (fv_sentencepiece){.dummy_prefix = t->unigram.prepend != FV_PREPEND_NEVER, .escape = true, .unk_surface = " \xe2\x81\x87 ", .normalizer = t->normalizer.lowercase ? "lowercase" : "identity"};
    return fv_charsmap_make(charsmap, FV_NORMALIZE_NONE, t->normalizer.lowercase, err);
}

fv_status fv_sentencepiece_save(const fv_tokenizer *t, const char *path, fv_err *err)
{
    fv_status status = FV_OK;
    fv_sentencepiece made;
    model m = {.t = t, .sp = t->sp ? t->sp : &made};
    fv_buf file = {0};
    if (!t->sp) FV_TRY(translate(t, &made, &m.charsmap, path, err));
    FV_TRY(put_model(&file, &m, err));
    status = fv_file_write(path, file.data, file.len, err);
done:
    fv_buf_release(&file);
    fv_buf_release(&m.charsmap);
    return status;
}
