/* Reading a SentencePiece model: a protocol buffer (ModelProto), taken apart by hand.
 *
 * What is not understood but would change ids is refused by name; what only says how the model was trained is passed
 * over. Files come from strangers: every length is checked against the bytes that are left before it is used.
 *
 * The trap: at each byte of a text the cutters walk as far as a piece goes, and each unknown character is written as
 * unk_surface, so a file of one long string could make a short text take hours or gigabytes: hence FV_PIECE_MAX. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "text/sentencepiece.h"

#define PIECES_MAX 4000000
#define SCORE_MOST 1e12 /* so that no sum over a text overflows */

/* Field numbers of sentencepiece_model.proto. */
enum { MODEL_PIECES = 1, MODEL_TRAINER = 2, MODEL_NORMALIZER = 3, MODEL_DENORMALIZER = 5 };
enum { PIECE_TEXT = 1, PIECE_SCORE = 2, PIECE_TYPE = 3 };
enum { TRAINER_MODEL_TYPE = 3, TRAINER_SUFFIX = 24, TRAINER_BYTE_FALLBACK = 35, TRAINER_UNK_SURFACE = 44 };
enum { NORMALIZER_NAME = 1, NORMALIZER_CHARSMAP = 2, NORMALIZER_DUMMY = 3, NORMALIZER_TRIM = 4, NORMALIZER_ESCAPE = 5 };
enum { MODEL_UNIGRAM = 1, MODEL_BPE, MODEL_WORD, MODEL_CHAR };
enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

/* ---- The wire ----------------------------------------------------------------------------- */

typedef struct cursor {
    const char *p, *end, *start;
    const char *where;
    fv_err *err;
} cursor;

typedef struct field {
    uint64_t number, value; /* value: of a varint or a fixed number */
    int wire;
    const char *bytes;
    size_t len;
} field;

static fv_status broken(const cursor *c, const char *what)
{
    return FV_FAIL(c->err, FV_E_FORMAT, "%s: byte %zu: %s; expected a SentencePiece model (a protocol buffer): is the file cut or of another kind?", c->where, (size_t)(c->p - c->start), what);
}

static fv_status read_varint(cursor *c, uint64_t *value)
{
    *value = 0;
    for (int shift = 0; shift < 64 && c->p < c->end; shift += 7) {
        unsigned char byte = (unsigned char)*c->p++;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return FV_OK;
    }
    return broken(c, "a number that does not end");
}

static fv_status read_fixed(cursor *c, size_t bytes, uint64_t *value)
{
    if ((size_t)(c->end - c->p) < bytes) return broken(c, "a number that goes past the end");
    *value = 0;
    for (size_t i = 0; i < bytes; i++) *value |= (uint64_t)(unsigned char)*c->p++ << 8 * i;
    return FV_OK;
}

static fv_status read_bytes(cursor *c, field *f)
{
    uint64_t len;
    fv_status status = read_varint(c, &len);
    if (status != FV_OK) return status;
    if (len > (uint64_t)(c->end - c->p))
        return FV_FAIL(c->err, FV_E_FORMAT, "%s: byte %zu: field %llu has %llu bytes, but %zu are left; is the file cut?", c->where, (size_t)(c->p - c->start), (unsigned long long)f->number, (unsigned long long)len, (size_t)(c->end - c->p));
    f->bytes = c->p;
    f->len = (size_t)len;
    c->p += len;
    return FV_OK;
}

/* 1: a field; 0: the end; negative: an fv_status. */
static int next_field(cursor *c, field *f)
{
    uint64_t tag;
    fv_status status;
    if (c->p == c->end) return 0;
    if ((status = read_varint(c, &tag)) != FV_OK) return status;
    *f = (field){.number = tag >> 3, .wire = (int)(tag & 7)};
    switch (f->wire) {
    case WIRE_VARINT: status = read_varint(c, &f->value); break;
    case WIRE_64: status = read_fixed(c, 8, &f->value); break;
    case WIRE_32: status = read_fixed(c, 4, &f->value); break;
    case WIRE_BYTES: status = read_bytes(c, f); break;
    default: status = broken(c, "a field of an unknown kind");
    }
    return status == FV_OK ? 1 : status;
}

static cursor inside(const cursor *c, const field *f)
{
    return (cursor){.p = f->bytes, .end = f->bytes + f->len, .start = c->start, .where = c->where, .err = c->err};
}

/* A field of the wrong wire kind is damage, not something new to pass over. */
static fv_status expect(const cursor *c, const field *f, int wire, const char *name)
{
    if (f->wire == wire) return FV_OK;
    return FV_FAIL(c->err, FV_E_FORMAT, "%s: byte %zu: %s is stored as kind %d; expected %d", c->where, (size_t)(c->p - c->start), name, f->wire, wire);
}

/* ---- Pieces ------------------------------------------------------------------------------- */

typedef struct entry {
    const char *text;
    size_t len;
    float score;
    uint64_t type;
} entry;

static float float_of(uint64_t bits)
{
    uint32_t low = (uint32_t)bits;
    float value;
    memcpy(&value, &low, sizeof value);
    return value;
}

static fv_status read_entry(const cursor *outer, const field *whole, entry *e)
{
    cursor c = inside(outer, whole);
    field f;
    int more;
    fv_status status = FV_OK;
    *e = (entry){.text = "", .type = FV_PIECE_NORMAL};
    while ((more = next_field(&c, &f)) == 1) {
        if (f.number == PIECE_TEXT) {
            FV_TRY(expect(&c, &f, WIRE_BYTES, "a piece's text"));
            e->text = f.bytes, e->len = f.len;
        } else if (f.number == PIECE_SCORE) {
            FV_TRY(expect(&c, &f, WIRE_32, "a piece's score"));
            e->score = float_of(f.value);
        } else if (f.number == PIECE_TYPE) {
            FV_TRY(expect(&c, &f, WIRE_VARINT, "a piece's type"));
            e->type = f.value;
        }
    }
    status = (fv_status)more;
done:
    return status;
}

static bool is_text(const char *p, size_t len)
{
    const char *end = p + len;
    for (int n; p < end; p += n)
        if (!*p || !(n = fv_utf8_len(p, end))) return false;
    return true;
}

static fv_status check_entry(const cursor *c, const fv_tokenizer *t, int32_t id, const entry *e)
{
    fv_shown room;
    if (e->len == 0) return FV_FAIL(c->err, FV_E_FORMAT, "%s: piece %d is empty", c->where, (int)id);
    if (e->len > FV_PIECE_MAX) return FV_FAIL(c->err, FV_E_FORMAT, "%s: piece %d has %zu bytes; expected at most %d", c->where, (int)id, e->len, FV_PIECE_MAX);
    if (!is_text(e->text, e->len)) return FV_FAIL(c->err, FV_E_FORMAT, "%s: piece %d is %s; expected UTF-8 without a zero byte", c->where, (int)id, fv_show(&room, e->text, e->len));
    if (fv_map_get(&t->ids, e->text, e->len) >= 0) return FV_FAIL(c->err, FV_E_FORMAT, "%s: piece %d, %s, is there twice; expected each once", c->where, (int)id, fv_show(&room, e->text, e->len));
    if (!(fabs((double)e->score) <= SCORE_MOST)) return FV_FAIL(c->err, FV_E_FORMAT, "%s: piece %d, %s, has score %g; expected -1e12 to 1e12", c->where, (int)id, fv_show(&room, e->text, e->len), (double)e->score);
    if (e->type < FV_PIECE_NORMAL || e->type > FV_PIECE_BYTE) return FV_FAIL(c->err, FV_E_FORMAT, "%s: piece %d, %s, has type %llu; expected 1 to 6", c->where, (int)id, fv_show(&room, e->text, e->len), (unsigned long long)e->type);
    return FV_OK;
}

static fv_status add_entry(const cursor *c, fv_tokenizer *t, int32_t id, const entry *e)
{
    fv_status status = check_entry(c, t, id, e);
    if (status != FV_OK) return status;
    if (e->type == FV_PIECE_UNKNOWN && t->unigram.unk >= 0) return FV_FAIL(c->err, FV_E_FORMAT, "%s: pieces %d and %d are both of type UNKNOWN; expected one", c->where, (int)t->unigram.unk, (int)id);
    if (e->type == FV_PIECE_UNKNOWN) t->unigram.unk = id;
    t->sp->types[id] = (uint8_t)e->type;
    t->unigram.scores[id] = (double)e->score;
    return fv_tokenizer_name(t, id, e->text, e->len, c->err);
}

static fv_status count_pieces(cursor c, size_t *n)
{
    field f;
    int more;
    *n = 0;
    while ((more = next_field(&c, &f)) == 1) *n += f.number == MODEL_PIECES && f.wire == WIRE_BYTES;
    if (more < 0) return (fv_status)more;
    if (*n == 0 || *n > PIECES_MAX) return FV_FAIL(c.err, FV_E_FORMAT, "%s: %zu pieces; expected 1 to %d", c.where, *n, PIECES_MAX);
    return FV_OK;
}

static fv_status reserve(fv_tokenizer *t, size_t n, fv_err *err)
{
    fv_status status = fv_tokenizer_reserve(t, n, 0, err);
    if (status != FV_OK) return status;
    t->sp->types = fv_arena_alloc(&t->arena, n, err);
    t->unigram.scores = fv_arena_alloc(&t->arena, n * sizeof *t->unigram.scores, err);
    t->unigram.n_scores = (int32_t)n;
    t->unigram.unk = -1;
    return t->sp->types && t->unigram.scores ? FV_OK : FV_E_MEMORY;
}

/* ---- Settings ----------------------------------------------------------------------------- */

static fv_status read_model_type(const cursor *c, fv_tokenizer *t, uint64_t type)
{
    static const char *const refused[] = {[MODEL_WORD] = "WORD", [MODEL_CHAR] = "CHAR"};
    if (type == MODEL_WORD || type == MODEL_CHAR) return FV_FAIL(c->err, FV_E_FORMAT, "%s: trainer_spec.model_type is %s; expected UNIGRAM or BPE", c->where, refused[type]);
    if (type != MODEL_UNIGRAM && type != MODEL_BPE) return FV_FAIL(c->err, FV_E_FORMAT, "%s: trainer_spec.model_type is %llu; expected 1 (UNIGRAM) or 2 (BPE)", c->where, (unsigned long long)type);
    t->sp->bpe = type == MODEL_BPE;
    t->kind = t->sp->bpe ? FV_TOKENIZER_BPE : FV_TOKENIZER_UNIGRAM;
    return FV_OK;
}

static fv_status read_text(const cursor *c, fv_tokenizer *t, const field *f, const char *name, const char **out)
{
    if (f->len > FV_PIECE_MAX) return FV_FAIL(c->err, FV_E_FORMAT, "%s: %s has %zu bytes; expected at most %d", c->where, name, f->len, FV_PIECE_MAX);
    if (!is_text(f->bytes, f->len)) return FV_FAIL(c->err, FV_E_FORMAT, "%s: %s is no UTF-8", c->where, name);
    *out = fv_arena_strndup(&t->arena, f->bytes, f->len, c->err);
    return *out ? FV_OK : FV_E_MEMORY;
}

static fv_status read_trainer(const cursor *outer, const field *whole, fv_tokenizer *t)
{
    cursor c = inside(outer, whole);
    field f;
    int more;
    fv_status status = FV_OK;
    while ((more = next_field(&c, &f)) == 1) {
        switch (f.number) {
        case TRAINER_MODEL_TYPE:
            FV_TRY(expect(&c, &f, WIRE_VARINT, "trainer_spec.model_type"));
            FV_TRY(read_model_type(&c, t, f.value));
            break;
        case TRAINER_SUFFIX:
            if (f.wire == WIRE_VARINT && f.value == 0) break;
            status = FV_FAIL(c.err, FV_E_FORMAT, "%s: trainer_spec.treat_whitespace_as_suffix is set; expected spaces in front of words", c.where);
            goto done;
        case TRAINER_BYTE_FALLBACK:
            FV_TRY(expect(&c, &f, WIRE_VARINT, "trainer_spec.byte_fallback"));
            t->unigram.byte_fallback = f.value != 0;
            break;
        case TRAINER_UNK_SURFACE:
            FV_TRY(expect(&c, &f, WIRE_BYTES, "trainer_spec.unk_surface"));
            FV_TRY(read_text(&c, t, &f, "trainer_spec.unk_surface", &t->sp->unk_surface));
            break;
        }
    }
    status = (fv_status)more;
done:
    return status;
}

static fv_status read_charsmap(const cursor *c, const field *f, fv_charsmap *map)
{
    fv_status status = FV_OK;
    fv_buf blob = {0};
    FV_TRY(expect(c, f, WIRE_BYTES, "normalizer_spec.precompiled_charsmap"));
    if (f->len == 0) return FV_OK;
    FV_TRY(fv_buf_add(&blob, f->bytes, f->len, c->err));
    fv_buf_release(&map->blob);
    *map = (fv_charsmap){0};
    status = fv_charsmap_init(map, &blob, c->where, c->err);
done:
    fv_buf_release(&blob);
    return status;
}

static fv_status read_switch(const cursor *c, const field *f, const char *name, bool *out)
{
    fv_status status = expect(c, f, WIRE_VARINT, name);
    if (status == FV_OK) *out = f->value != 0;
    return status;
}

static fv_status read_normalizer(const cursor *outer, const field *whole, fv_tokenizer *t)
{
    cursor c = inside(outer, whole);
    field f;
    int more;
    fv_status status = FV_OK;
    while ((more = next_field(&c, &f)) == 1) {
        switch (f.number) {
        case NORMALIZER_NAME:
            FV_TRY(expect(&c, &f, WIRE_BYTES, "normalizer_spec.name"));
            FV_TRY(read_text(&c, t, &f, "normalizer_spec.name", &t->sp->normalizer));
            break;
        case NORMALIZER_CHARSMAP: FV_TRY(read_charsmap(&c, &f, &t->sp->map)); break;
        case NORMALIZER_DUMMY: FV_TRY(read_switch(&c, &f, "normalizer_spec.add_dummy_prefix", &t->sp->dummy_prefix)); break;
        case NORMALIZER_TRIM: FV_TRY(read_switch(&c, &f, "normalizer_spec.remove_extra_whitespaces", &t->sp->trim)); break;
        case NORMALIZER_ESCAPE: FV_TRY(read_switch(&c, &f, "normalizer_spec.escape_whitespaces", &t->sp->escape)); break;
        }
    }
    status = (fv_status)more;
done:
    return status;
}

static fv_status refuse_denormalizer(const cursor *outer, const field *whole)
{
    cursor c = inside(outer, whole);
    field f;
    int more;
    while ((more = next_field(&c, &f)) == 1)
        if (f.number == NORMALIZER_CHARSMAP && f.wire == WIRE_BYTES && f.len > 0)
            return FV_FAIL(c.err, FV_E_FORMAT, "%s: denormalizer_spec has a precompiled_charsmap; expected none", c.where);
    return (fv_status)more;
}

/* ---- The whole ---------------------------------------------------------------------------- */

static fv_status read_model(cursor c, fv_tokenizer *t)
{
    field f;
    int more;
    int32_t id = 0;
    fv_status status = FV_OK;
    while ((more = next_field(&c, &f)) == 1) {
        entry e;
        if (f.number > MODEL_DENORMALIZER || f.number == 0) continue;
        FV_TRY(expect(&c, &f, WIRE_BYTES, "a part of the model"));
        if (f.number == MODEL_PIECES) {
            FV_TRY(read_entry(&c, &f, &e));
            FV_TRY(add_entry(&c, t, id++, &e));
        }
        else if (f.number == MODEL_TRAINER) FV_TRY(read_trainer(&c, &f, t));
        else if (f.number == MODEL_NORMALIZER) FV_TRY(read_normalizer(&c, &f, t));
        else if (f.number == MODEL_DENORMALIZER) FV_TRY(refuse_denormalizer(&c, &f));
    }
    status = (fv_status)more;
done:
    return status;
}

/* What can be told only once all is read. */
static fv_status check_model(const cursor *c, const fv_tokenizer *t)
{
    if (t->unigram.unk < 0) return FV_FAIL(c->err, FV_E_FORMAT, "%s: no piece is of type UNKNOWN; expected one", c->where);
    for (int32_t id = 0; id < t->n; id++) {
        if (t->sp->types[id] == FV_PIECE_BYTE && !t->unigram.byte_fallback)
            return FV_FAIL(c->err, FV_E_FORMAT, "%s: piece %d, \"%s\", is of type BYTE, but trainer_spec.byte_fallback is not set", c->where, (int)id, t->tokens[id].text);
        if (t->sp->types[id] == FV_PIECE_UNUSED && t->sp->bpe)
            return FV_FAIL(c->err, FV_E_FORMAT, "%s: piece %d, \"%s\", is of type UNUSED; expected none in a model of type BPE", c->where, (int)id, t->tokens[id].text);
    }
    return FV_OK;
}

fv_tokenizer *fv_sentencepiece_parse(const char *bytes, size_t len, const char *where, fv_err *err)
{
    fv_status status = FV_OK;
    cursor c = {.p = bytes, .end = bytes + len, .start = bytes, .where = where, .err = err};
    size_t n;
    fv_tokenizer *t = fv_tokenizer_new(err);
    if (!t) return NULL;
    t->kind = FV_TOKENIZER_UNIGRAM; /* the format's default */
    FV_TRY(fv_sentencepiece_begin(t, err));
    FV_TRY(count_pieces(c, &n));
    FV_TRY(reserve(t, n, err));
    FV_TRY(read_model(c, t));
    FV_TRY(check_model(&c, t));
    fv_frame_plain(t);
    FV_TRY(fv_tokenizer_seal(t, where, err));
done:
    if (status == FV_OK) return t;
    fv_tokenizer_close(t);
    return NULL;
}

bool fv_sentencepiece_is(const char *path)
{
    static const char *const ends[] = {".model", ".spm"};
    size_t len = strlen(path);
    for (size_t i = 0; i < FV_COUNT(ends); i++)
        if (len > strlen(ends[i]) && strcmp(path + len - strlen(ends[i]), ends[i]) == 0 && !fv_folder_exists(path)) return true;
    return false;
}

fv_tokenizer *fv_sentencepiece_open(const char *path, fv_err *err)
{
    fv_mapping file = {0};
    if (fv_file_map(path, &file, err) != FV_OK) return NULL;
    fv_tokenizer *t = fv_sentencepiece_parse(file.data ? (const char *)file.data : "", file.size, path, err);
    fv_file_unmap(&file);
    return t;
}
