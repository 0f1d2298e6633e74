/* Texts to words for searching. See terms.h. The trap: a character that normalising made several of, or one of several, has
 * one place in the text; so places are asked of the spans, never counted. */
#include "text/terms.h"

#include <utf8proc.h>

enum { WORD = 1, ONE = 2, PAIR = 3, MOST_PARTS = 32, GREEK_END = 0x400, MARKS = 0x300, MARKS_END = 0x370 };

typedef enum sort { GAP, LETTER, TIGHT } sort;

/* Scripts that put no space between words. */
static bool is_tight(int32_t p)
{
    static const int32_t ranges[][2] = {
        {0xE00, 0xEFF},     /* Thai, Lao */
        {0x1000, 0x109F},   /* Myanmar */
        {0x1100, 0x11FF},   /* Hangul, in parts */
        {0x1780, 0x17FF},   /* Khmer */
        {0x3005, 0x3007},
        {0x3040, 0x30FF},   /* Hiragana, Katakana */
        {0x3100, 0x312F}, {0x31A0, 0x31FF},
        {0x3400, 0x4DBF}, {0x4E00, 0x9FFF}, {0xF900, 0xFAFF}, {0x20000, 0x3FFFF}, /* Han */
        {0xAC00, 0xD7A3},   /* Hangul */
    };
    if (p < 0xE00) return false;
    for (size_t i = 0; i < FV_COUNT(ranges); i++)
        if (p >= ranges[i][0] && p <= ranges[i][1]) return true;
    return false;
}

static sort sort_of(int32_t p)
{
    if (p < 0x80) return (p >= '0' && p <= '9') || (p >= 'a' && p <= 'z') || (p >= 'A' && p <= 'Z') ? LETTER : GAP;
    switch (utf8proc_category(p)) {
    case UTF8PROC_CATEGORY_LU: case UTF8PROC_CATEGORY_LL: case UTF8PROC_CATEGORY_LT: case UTF8PROC_CATEGORY_LM: case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND: case UTF8PROC_CATEGORY_NL: case UTF8PROC_CATEGORY_NO:
    case UTF8PROC_CATEGORY_MN: case UTF8PROC_CATEGORY_MC: case UTF8PROC_CATEGORY_ME: return is_tight(p) ? TIGHT : LETTER;
    default: return GAP;
    }
}

/* Adds the point's letters to the word: in the folded case, in parts, without the accents of Latin and Greek. й keeps its breve. */
static fv_status add_folded(fv_buf *word, int32_t point, int32_t *base, fv_err *err)
{
    fv_status status = FV_OK;
    int32_t parts[MOST_PARTS];
    int boundary = 0;
    utf8proc_ssize_t n = utf8proc_decompose_char(point, parts, MOST_PARTS, (utf8proc_option_t)(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_CASEFOLD), &boundary);
    FV_ASSERT(n >= 0 && n <= MOST_PARTS);
    for (utf8proc_ssize_t i = 0; i < n && status == FV_OK; i++) {
        bool mark = parts[i] >= MARKS && parts[i] < MARKS_END;
        if (mark && *base < GREEK_END) continue;
        if (!mark) *base = parts[i];
        utf8proc_uint8_t bytes[4];
        status = fv_buf_add(word, bytes, (size_t)utf8proc_encode_char(parts[i], bytes), err);
    }
    return status;
}

/* ---- The walk ---- */

typedef struct walker {
    fv_terms *to;
    fv_terms_kind kind;
    const fv_span *span, *last_span;
    fv_err *err;
} walker;

/* Bytes [begin, end) of the normalised text, whose key are n bytes at p. */
static fv_status put(walker *w, uint64_t kind, const char *p, size_t n, size_t begin, size_t end)
{
    fv_terms *to = w->to;
    fv_status status = fv_grow(&to->items, &to->capacity, to->n + 1, sizeof *to->items, w->err);
    if (status != FV_OK) return status;
    const fv_span *span = w->span;
    fv_term *t = &to->items[to->n++];
    t->hash = fv_hash64(p, n, kind);
    fv_span_source(&span, w->last_span, begin, end, &t->begin, &t->end);
    return FV_OK;
}

/* The run of one sort that begins at `at` with a character of `first` bytes. */
static size_t run_end(const fv_normalized *text, size_t at, size_t first, sort s)
{
    int32_t point;
    size_t n;
    for (at += first; at < text->len; at += n) {
        n = fv_point_at(text->data + at, text->len - at, &point);
        if (sort_of(point) != s) break;
    }
    return at;
}

static fv_status put_word(walker *w, size_t begin, size_t end)
{
    fv_terms *to = w->to;
    fv_status status = FV_OK;
    int32_t point, base = 0;
    to->word.len = 0;
    for (size_t at = begin; at < end;) {
        at += fv_point_at(to->text.data + at, end - at, &point);
        FV_TRY(add_folded(&to->word, point, &base, w->err));
    }
    if (!to->word.len) return FV_OK; /* marks alone */
    to->length++;
    FV_TRY(put(w, WORD, to->word.data, to->word.len, begin, end));
done:
    return status;
}

static fv_status put_tight(walker *w, size_t begin, size_t end)
{
    fv_status status = FV_OK;
    const char *data = w->to->text.data;
    int32_t point;
    for (size_t at = begin, before = begin, n; at < end; before = at, at += n) {
        n = fv_point_at(data + at, end - at, &point);
        bool alone = at == begin && at + n == end;
        while (w->span < w->last_span && w->span[1].out <= before) w->span++;
        w->to->length++;
        if (at > begin) FV_TRY(put(w, PAIR, data + before, at + n - before, before, at + n)); /* first: places ascend */
        if (alone || w->kind == FV_TERMS_DOCUMENT) FV_TRY(put(w, ONE, data + at, n, at, at + n));
    }
done:
    return status;
}

fv_status fv_terms_of(fv_terms *to, fv_terms_kind kind, const char *text, size_t len, fv_err *err)
{
    fv_status status = FV_OK;
    to->n = to->length = 0;
    if (len > FV_TERMS_BYTES) return FV_FAIL(err, FV_E_INPUT, "a text of %zu bytes; expected at most %u", len, FV_TERMS_BYTES);
    FV_TRY(fv_normalize_text(&to->text, (fv_normalizer){.form = FV_NORMALIZE_NFKC, .lowercase = true}, text, len, 0, err));
    if (to->text.len == 0) return FV_OK;
    walker w = {.to = to, .kind = kind, .span = to->text.spans, .last_span = to->text.spans + to->text.n_spans - 1, .err = err};
    for (size_t at = 0, end; at < to->text.len; at = end) {
        int32_t point;
        size_t n = fv_point_at(to->text.data + at, to->text.len - at, &point);
        sort s = sort_of(point);
        end = run_end(&to->text, at, n, s);
        while (w.span < w.last_span && w.span[1].out <= at) w.span++;
        if (s == LETTER) FV_TRY(put_word(&w, at, end));
        if (s == TIGHT) FV_TRY(put_tight(&w, at, end));
    }
done:
    return status;
}

void fv_terms_release(fv_terms *terms)
{
    fv_free(terms->items);
    fv_normalized_release(&terms->text);
    fv_buf_release(&terms->word);
    *terms = (fv_terms){0};
}
