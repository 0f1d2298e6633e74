/* The way of a text to ids: added tokens are found, the rest is normalised, split into pieces, each
 * piece merged, and the ids framed by the template. And the way back.
 *
 * Ids equal those of the Hugging Face tokenizers library on valid UTF-8, and that settles one thing
 * that may surprise: a special token that somebody typed, such as "[SEP]", becomes that token, as it
 * does there. Who does not trust a text, and minds, must not let it hold the special tokens' names.
 * Offsets are finer than theirs: a token of half a character says which bytes, and a composed
 * character covers all that it was composed of.
 *
 * The trap: the memory of a caller's fv_encoding outlives the tokenizer that filled it, so the cache
 * in it is tied to the tokenizer's serial number, never to its address. */
#include <stdlib.h>
#include <string.h>

#include "text/parts.h"

#define TEXT_MAX ((size_t)1 << 30)
#ifdef FV_STRESS
#define CACHE_SLOTS 2
#else
#define CACHE_SLOTS 4096 /* 64 bytes each: all of it fits a second-level cache */
#endif
#define ALPHA_MOST 1000.0 /* beyond, nothing changes but the danger of overflow */
#define CACHE_PIECE 24
#define CACHE_IDS 8

typedef struct cached {
    uint32_t hash;
    uint8_t len, n; /* len 0: empty */
    int32_t ids[CACHE_IDS];
    char piece[CACHE_PIECE];
} cached;

typedef struct scratch {
    uint64_t serial; /* of the tokenizer that the cache belongs to */
    cached *cache;   /* [CACHE_SLOTS] */
    pcre2_match_data *match;
    fv_normalized normalized;
    fv_buf prefixed;
    fv_meta meta;
    fv_cutting cutting;
    int32_t *ids;   /* of a whole text by a SentencePiece model, of a piece by parts, */
    uint32_t *lens; /* with the bytes of each */
    size_t ids_capacity, lens_capacity;
} scratch;

/* One call at work. Positions are in the normalised text of the gap at hand. */
typedef struct encoder {
    const fv_tokenizer *t;
    scratch *s;
    fv_encoding *out;
    const fv_span *span, *last_span; /* the span of the position emitted last; the gap's last one */
    uint8_t type;
    double alpha; /* of cuts by chance */
    fv_rng *rng;  /* NULL: the best one */
    fv_err *err;
} encoder;

/* ---- Output ------------------------------------------------------------------------------- */

static fv_status resize(void *block, size_t n, size_t size, fv_err *err)
{
    void *old, *grown;
    memcpy(&old, block, sizeof old);
    if (!(grown = fv_realloc(old, n * size, err))) return FV_E_MEMORY;
    memcpy(block, &grown, sizeof grown);
    return FV_OK;
}

static fv_status reserve(fv_encoding *out, size_t more, fv_err *err)
{
    fv_status status = FV_OK;
    if (out->n + more <= out->capacity) return FV_OK;
    size_t n = out->capacity ? out->capacity : 64;
    while (n < out->n + more) n *= 2;
    FV_TRY(resize(&out->ids, n, sizeof *out->ids, err));
    FV_TRY(resize(&out->begins, n, sizeof *out->begins, err));
    FV_TRY(resize(&out->ends, n, sizeof *out->ends, err));
    FV_TRY(resize(&out->types, n, sizeof *out->types, err));
    out->capacity = n;
done:
    return status;
}

static void put(encoder *e, int32_t id, uint32_t begin, uint32_t end)
{
    fv_encoding *out = e->out;
    out->ids[out->n] = id;
    out->begins[out->n] = begin;
    out->ends[out->n] = end;
    out->types[out->n++] = e->type;
}

fv_status fv_encoding_put(fv_encoding *out, int32_t id, uint32_t begin, uint32_t end, fv_err *err)
{
    encoder e = {.out = out};
    fv_status status = reserve(out, 1, err);
    if (status == FV_OK) put(&e, id, begin, end);
    return status;
}

/* Called with ascending positions. */
static void emit(encoder *e, int32_t id, size_t begin, size_t end)
{
    uint32_t from, to;
    fv_span_source(&e->span, e->last_span, begin, end, &from, &to);
    put(e, id, from, to);
}

/* ---- Pieces ------------------------------------------------------------------------------- */

static cached *cache_slot(scratch *s, const char *piece, size_t len, uint32_t *hash)
{
    *hash = (uint32_t)fv_hash64(piece, len, 0);
    return &s->cache[*hash % CACHE_SLOTS];
}

static void remember(cached *slot, uint32_t hash, const char *piece, size_t len, const int32_t *ids, size_t n)
{
    if (n > CACHE_IDS) return;
    *slot = (cached){.hash = hash, .len = (uint8_t)len, .n = (uint8_t)n};
    memcpy(slot->piece, piece, len);
    memcpy(slot->ids, ids, n * sizeof *ids);
}

/* The token that is spelled by all of a piece, or -1. */
static int32_t whole_piece(const fv_tokenizer *t, const char *piece, size_t len)
{
    char spelled[2 * FV_WHOLE_MAX];
    size_t n = 0;
    if (len > FV_WHOLE_MAX) return -1;
    for (size_t i = 0; i < len; i++) {
        const char *name = t->bpe.names->text[(unsigned char)piece[i]];
        size_t l = strlen(name);
        memcpy(spelled + n, name, l);
        n += l;
    }
    int32_t id = fv_map_get(&t->ids, spelled, n);
    return id >= 0 && !t->tokens[id].outside ? id : -1;
}

/* Ids of a piece of at most FV_BPE_SHORT bytes. */
static size_t solve_short(const fv_tokenizer *t, const char *piece, size_t len, int32_t *ids)
{
    if (t->kind == FV_TOKENIZER_WORDPIECE) return fv_wordpiece_word(&t->wordpiece, piece, len, ids);
    if (t->bpe.ignore_merges && (ids[0] = whole_piece(t, piece, len)) >= 0) return 1;
    return fv_bpe_short(&t->bpe, piece, len, ids);
}

static size_t solve_cached(encoder *e, const char *piece, size_t len, int32_t *ids)
{
    if (len > CACHE_PIECE) return solve_short(e->t, piece, len, ids);
    uint32_t hash;
    cached *slot = cache_slot(e->s, piece, len, &hash);
    if (slot->hash == hash && slot->len == len && memcmp(slot->piece, piece, len) == 0) {
        memcpy(ids, slot->ids, slot->n * sizeof *ids);
        return slot->n;
    }
    size_t n = solve_short(e->t, piece, len, ids);
    remember(slot, hash, piece, len, ids, n);
    return n;
}

static fv_status solve_long(const fv_tokenizer *t, const char *piece, size_t len, int32_t *ids, size_t *n, fv_err *err)
{
    if (t->kind == FV_TOKENIZER_BPE && t->bpe.ignore_merges && (ids[0] = whole_piece(t, piece, len)) >= 0) {
        *n = 1;
        return FV_OK;
    }
    if (t->kind == FV_TOKENIZER_BPE) return fv_bpe_long(&t->bpe, piece, len, ids, n, err);
    *n = fv_wordpiece_word(&t->wordpiece, piece, len, ids);
    return FV_OK;
}

/* Bytes of token i of n that a piece of `len` bytes became. A single one may be the unknown token,
 * which says nothing of its length; those inside a word are spelled with a prefix. */
static size_t token_len(const fv_tokenizer *t, const int32_t *ids, size_t i, size_t n, size_t len)
{
    if (n == 1) return len;
    size_t bytes = t->tokens[ids[i]].n_bytes;
    return i > 0 && t->kind == FV_TOKENIZER_WORDPIECE ? bytes - t->wordpiece.prefix_len : bytes;
}

/* `at` is the piece's position. With `prefix` its first byte is a space that is not in the text. */
static fv_status emit_ids(encoder *e, const int32_t *ids, size_t n, size_t piece_len, size_t at, bool prefix)
{
    fv_status status = reserve(e->out, n, e->err);
    for (size_t i = 0; i < n && status == FV_OK; i++) {
        size_t len = token_len(e->t, ids, i, n, piece_len);
        if (i == 0 && prefix) len--;
        emit(e, ids[i], at, at + len);
        at += len;
    }
    return status;
}

static fv_status encode_piece(encoder *e, const char *piece, size_t len, size_t at, bool prefix)
{
    if (len <= FV_BPE_SHORT) {
        int32_t ids[FV_BPE_SHORT];
        return emit_ids(e, ids, solve_cached(e, piece, len, ids), len, at, prefix);
    }
    size_t n;
    int32_t *ids = fv_alloc(len * sizeof *ids, e->err);
    if (!ids) return FV_E_MEMORY;
    fv_status status = solve_long(e->t, piece, len, ids, &n, e->err);
    if (status == FV_OK) status = emit_ids(e, ids, n, len, at, prefix);
    fv_free(ids);
    return status;
}

/* ---- Texts -------------------------------------------------------------------------------- */

static fv_status encode_words(encoder *e, const char *text, size_t len, size_t at)
{
    fv_status status = FV_OK;
    for (size_t from = 0, n; fv_bert_word(text, len, &from, &n) && status == FV_OK; from += n)
        status = encode_piece(e, text + from, n, at + from, false);
    return status;
}

/* Tokens of a piece at `from` of the scratch's meta text, whose own position is `at`. */
static void emit_unigram(encoder *e, const int32_t *ids, const uint32_t *lens, size_t n, size_t from, size_t at)
{
    const uint32_t *origin = e->s->meta.at;
    for (size_t i = 0; i < n; i++) {
        emit(e, ids[i], at + origin[from], at + origin[from + lens[i]]);
        from += lens[i];
    }
}

/* Whether the ids alone tell the lengths, so that they may be remembered without them. */
static bool tells_lengths(const fv_tokenizer *t, const int32_t *ids, const uint32_t *lens, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] == t->unigram.unk || lens[i] != t->tokens[ids[i]].n_bytes) return false;
    return true;
}

static fv_status cut_unigram(encoder *e, const char *piece, size_t len, int32_t *ids, uint32_t *lens, size_t *n)
{
    if (e->rng) return fv_unigram_sample(&e->t->unigram, piece, len, e->alpha, e->rng, ids, lens, n, e->err);
    return fv_unigram_piece(&e->t->unigram, piece, len, ids, lens, n, e->err);
}

static fv_status solve_unigram(encoder *e, const char *piece, size_t len, int32_t *ids, uint32_t *lens, size_t *n)
{
    uint32_t hash = 0;
    cached *slot = len <= CACHE_PIECE && !e->rng ? cache_slot(e->s, piece, len, &hash) : NULL;
    if (slot && slot->hash == hash && slot->len == len && memcmp(slot->piece, piece, len) == 0) {
        *n = slot->n;
        memcpy(ids, slot->ids, slot->n * sizeof *ids);
        for (size_t i = 0; i < *n; i++) lens[i] = e->t->tokens[ids[i]].n_bytes;
        return FV_OK;
    }
    fv_status status = cut_unigram(e, piece, len, ids, lens, n);
    if (status == FV_OK && slot && tells_lengths(e->t, ids, lens, *n)) remember(slot, hash, piece, len, ids, *n);
    return status;
}

static fv_status encode_unigram_piece(encoder *e, size_t from, size_t len, size_t at)
{
    fv_status status = FV_OK;
    int32_t few_ids[FV_BPE_SHORT], *ids = few_ids;
    uint32_t few_lens[FV_BPE_SHORT], *lens = few_lens;
    size_t n;
    if (len > FV_BPE_SHORT) {
        ids = fv_alloc(len * sizeof *ids, e->err);
        lens = fv_alloc(len * sizeof *lens, e->err);
        if (!ids || !lens) { status = FV_E_MEMORY; goto done; }
    }
    FV_TRY(solve_unigram(e, e->s->meta.text.data + from, len, ids, lens, &n));
    FV_TRY(reserve(e->out, n, e->err));
    emit_unigram(e, ids, lens, n, from, at);
done:
    if (ids != few_ids) fv_free(ids);
    if (lens != few_lens) fv_free(lens);
    return status;
}

/* By a SentencePiece model: the text as its normaliser left it is cut as a whole. */
static fv_status encode_whole(encoder *e, const char *text, size_t len)
{
    fv_status status = FV_OK;
    scratch *s = e->s;
    size_t n, at = 0;
    FV_TRY(fv_grow(&s->ids, &s->ids_capacity, len, sizeof *s->ids, e->err));
    FV_TRY(fv_grow(&s->lens, &s->lens_capacity, len, sizeof *s->lens, e->err));
    FV_TRY(e->t->sp->bpe ? fv_sentencepiece_bpe(e->t, text, len, s->ids, s->lens, &n, e->err) : cut_unigram(e, text, len, s->ids, s->lens, &n));
    FV_TRY(reserve(e->out, n, e->err));
    for (size_t i = 0; i < n; at += s->lens[i++]) emit(e, s->ids[i], at, at + s->lens[i]);
done:
    return status;
}

/* `at` is 0 only where a gap begins, and the span's input byte is 0 only in the first one. */
static fv_status encode_unigram(encoder *e, const char *text, size_t len, size_t at)
{
    fv_status status = FV_OK;
    bool first = at == 0 && e->span->begin == 0;
    FV_TRY(fv_meta_fill(&e->s->meta, &e->t->unigram, text, len, first, e->err));
    for (size_t from = 0, n; from < e->s->meta.text.len; from += n) {
        n = fv_meta_piece(&e->s->meta, &e->t->unigram, from);
        FV_TRY(encode_unigram_piece(e, from, n, at));
    }
done:
    return status;
}

static fv_status encode_pieces(encoder *e, const char *text, size_t len, size_t at)
{
    fv_status status = FV_OK;
    bool prefix = e->t->prefix_space && *text != ' ';
    if (prefix) {
        e->s->prefixed.len = 0;
        FV_TRY(fv_buf_putc(&e->s->prefixed, ' ', e->err));
        FV_TRY(fv_buf_add(&e->s->prefixed, text, len, e->err));
        text = e->s->prefixed.data;
        len++;
    }
    fv_pieces pieces;
    const char *piece;
    size_t n;
    int more;
    fv_pieces_start(&pieces, &e->t->splitter, e->s->match, text, len);
    while ((more = fv_pieces_next(&pieces, &piece, &n, e->err)) == 1) {
        bool first = prefix && piece == text;
        FV_TRY(encode_piece(e, piece, n, at, first));
        at += first ? n - 1 : n;
    }
    status = (fv_status)more;
done:
    return status;
}

/* Ids and lengths of a piece by parts into the scratch; those that the cache can hold are kept in it. */
static fv_status solve_parts(encoder *e, const char *piece, size_t len, size_t *n)
{
    scratch *s = e->s;
    uint32_t hash = 0, sum = 0;
    cached *slot = len <= CACHE_PIECE ? cache_slot(s, piece, len, &hash) : NULL;
    if (slot && slot->hash == hash && slot->len == len && memcmp(slot->piece, piece, len) == 0) {
        *n = slot->n;
        for (size_t i = 0; i < *n; i++) s->ids[i] = slot->ids[i], s->lens[i] = e->t->tokens[slot->ids[i]].n_bytes;
        return FV_OK;
    }
    fv_status status = fv_parts_solve(e->t, piece, len, s->ids, s->lens, n, e->err);
    for (size_t i = 0; i < *n && status == FV_OK; i++) {
        if (s->lens[i] != e->t->tokens[s->ids[i]].n_bytes) slot = NULL;
        sum += s->lens[i];
    }
    if (status == FV_OK && slot && sum == len) remember(slot, hash, piece, len, s->ids, *n);
    return status;
}

static fv_status encode_parts(encoder *e, const char *text, size_t len, size_t at)
{
    fv_status status = FV_OK;
    fv_cutting *c = &e->s->cutting;
    const fv_span *span;
    FV_TRY(fv_parts_split(c, e->t->parts, text, len, at == 0 && e->span->begin == 0, e->err));
    span = c->text.spans;
    for (size_t k = 0; k < c->n; k++) {
        size_t from = c->cuts[k].from, bytes = c->cuts[k].to - from, n = 0;
        FV_TRY(fv_grow(&e->s->ids, &e->s->ids_capacity, bytes, sizeof *e->s->ids, e->err));
        FV_TRY(fv_grow(&e->s->lens, &e->s->lens_capacity, bytes, sizeof *e->s->lens, e->err));
        FV_TRY(solve_parts(e, c->text.data + from, bytes, &n));
        FV_TRY(reserve(e->out, n, e->err));
        for (size_t i = 0; i < n; from += e->s->lens[i++]) {
            uint32_t begin, end;
            fv_span_source(&span, c->text.spans + c->text.n_spans - 1, from, from + e->s->lens[i], &begin, &end);
            emit(e, e->s->ids[i], at + begin, at + end);
        }
    }
done:
    return status;
}

/* A stretch without added tokens; `at` is its position. */
static fv_status encode_stretch(encoder *e, const char *text, size_t len, size_t at)
{
    if (len == 0) return FV_OK;
    if (e->t->parts && e->t->parts->splits_used) return encode_parts(e, text, len, at);
    if (e->t->sp) return encode_whole(e, text, len);
    if (e->t->kind == FV_TOKENIZER_WORDPIECE) return encode_words(e, text, len, at);
    if (e->t->kind == FV_TOKENIZER_UNIGRAM) return encode_unigram(e, text, len, at);
    return encode_pieces(e, text, len, at);
}

/* A part of the input without raw added tokens: normalised, then cut at those found afterwards. */
static fv_status encode_gap(encoder *e, const char *text, size_t len, uint32_t base)
{
    fv_status status = FV_OK;
    const fv_normalized *n = &e->s->normalized;
    const fv_added *found;
    if (len == 0) return FV_OK;
    FV_TRY(fv_normalize_text(&e->s->normalized, e->t->normalizer, text, len, base, e->err));
    e->span = n->spans;
    e->last_span = n->spans + n->n_spans - 1;
    size_t at = 0, begin, end;
    for (; (found = fv_finder_next(&e->t->after, n->data, n->len, at, &begin, &end)); at = end) {
        FV_TRY(encode_stretch(e, n->data + at, begin - at, at));
        FV_TRY(reserve(e->out, 1, e->err));
        emit(e, found->id, begin, end);
    }
    FV_TRY(encode_stretch(e, n->data + at, n->len - at, at));
done:
    return status;
}

static fv_status encode_text(encoder *e, const char *text, size_t len)
{
    fv_status status = FV_OK;
    const fv_added *found;
    size_t at = 0, begin, end;
    for (; (found = fv_finder_next(&e->t->raw, text, len, at, &begin, &end)); at = end) {
        FV_TRY(encode_gap(e, text + at, begin - at, (uint32_t)at));
        FV_TRY(reserve(e->out, 1, e->err));
        put(e, found->id, (uint32_t)begin, (uint32_t)end);
    }
    FV_TRY(encode_gap(e, text + at, len - at, (uint32_t)at));
done:
    return status;
}

static fv_status put_special(encoder *e, int32_t id)
{
    fv_status status = reserve(e->out, 1, e->err);
    if (status == FV_OK) put(e, id, 0, 0);
    return status;
}

/* Makes what is missing, and forgets another tokenizer's pieces. */
static fv_status ready_scratch(fv_encoding *out, const fv_tokenizer *t, scratch **made, fv_err *err)
{
    if (!out->scratch && !(out->scratch = fv_alloc_zero(1, sizeof(scratch), err))) return FV_E_MEMORY;
    scratch *s = out->scratch;
    if (!s->cache && !(s->cache = fv_alloc(CACHE_SLOTS * sizeof *s->cache, err))) return FV_E_MEMORY;
    if (s->serial != t->serial) memset(s->cache, 0, CACHE_SLOTS * sizeof *s->cache);
    s->serial = t->serial;
    if (t->splitter.pattern && !s->match && !(s->match = fv_splitter_scratch(&t->splitter, err))) return FV_E_MEMORY;
    *made = s;
    return FV_OK;
}

static fv_status too_long(size_t len, fv_err *err)
{
    return FV_FAIL(err, FV_E_INPUT, "a text of %zu bytes; at most %zu can be encoded: cut it", len, TEXT_MAX);
}

fv_status fv_tokenizer_encode(const fv_tokenizer *tokenizer, const char *text, size_t len, const char *text2, size_t len2, bool special, fv_encoding *out, fv_err *err)
{
    fv_status status = FV_OK;
    encoder e = {.t = tokenizer, .out = out, .err = err};
    const fv_frame *frame = text2 ? &tokenizer->two : &tokenizer->one;
    out->n = 0;
    if (len > TEXT_MAX) return too_long(len, err);
    if (text2 && len2 > TEXT_MAX) return too_long(len2, err);
    FV_TRY(ready_scratch(out, tokenizer, &e.s, err));
    for (int i = 0; i < frame->n; i++) {
        const fv_frame_step *step = &frame->steps[i];
        e.type = step->type;
        if (step->kind == FV_FRAME_FIRST) FV_TRY(encode_text(&e, text, len));
        else if (step->kind == FV_FRAME_SECOND) FV_TRY(encode_text(&e, text2, len2));
        else if (special) FV_TRY(put_special(&e, step->id));
    }
done:
    if (status != FV_OK) out->n = 0;
    return status;
}

fv_status fv_tokenizer_sample(const fv_tokenizer *tokenizer, const char *text, size_t len, double alpha, fv_rng *rng, fv_encoding *out, fv_err *err)
{
    fv_status status = FV_OK;
    encoder e = {.t = tokenizer, .out = out, .alpha = alpha, .rng = rng, .err = err};
    out->n = 0;
    if (tokenizer->kind != FV_TOKENIZER_UNIGRAM) return FV_FAIL(err, FV_E_ARGUMENT, "only unigram tokenizers know other ways to cut a text, and how probable each is");
    if (!(alpha >= 0 && alpha <= ALPHA_MOST)) return FV_FAIL(err, FV_E_ARGUMENT, "alpha is %g; expected 0 (any cut) to %g (nearly always the best one)", alpha, ALPHA_MOST);
    if (len > TEXT_MAX) return too_long(len, err);
    FV_TRY(ready_scratch(out, tokenizer, &e.s, err));
    status = encode_text(&e, text, len);
done:
    if (status != FV_OK) out->n = 0;
    return status;
}

const char *fv_sentencepiece_surface(const fv_encoding *encoding, const uint32_t **lens)
{
    const scratch *s = encoding->scratch;
    *lens = s->lens;
    return s->normalized.data;
}

void fv_encoding_release(fv_encoding *encoding)
{
    scratch *s = encoding->scratch;
    if (s) {
        fv_free(s->cache);
        pcre2_match_data_free(s->match);
        fv_normalized_release(&s->normalized);
        fv_buf_release(&s->prefixed);
        fv_meta_release(&s->meta);
        fv_cutting_release(&s->cutting);
        fv_free(s->ids);
        fv_free(s->lens);
    }
    void *blocks[] = {encoding->ids, encoding->begins, encoding->ends, encoding->types, s};
    for (size_t i = 0; i < FV_COUNT(blocks); i++) fv_free(blocks[i]);
    *encoding = (fv_encoding){0};
}

