/* Words among tokens. How a text becomes tokens is text/'s, what a word is data/tags.h says.
 *
 * The trap: tokens and words need not nest. A byte-level token may begin with the space in front of its
 * word, or be nothing but spaces; a character that normalising joins to the next gives a token that
 * begins in one word and ends in another; and what a tokenizer drops leaves a word without any. */
#include "infer/words.h"

#include <string.h>

#include "data/tags.h"

/* ---- Words and their pieces --------------------------------------------------------------- */

static fv_status grow(fv_word_rows *w, size_t need, fv_err *err)
{
    fv_status status = FV_OK;
    size_t capacity[3] = {w->capacity, w->capacity, w->capacity};
    FV_TRY(fv_grow(&w->begins, &capacity[0], need, sizeof *w->begins, err));
    FV_TRY(fv_grow(&w->ends, &capacity[1], need, sizeof *w->ends, err));
    FV_TRY(fv_grow(&w->first, &capacity[2], need, sizeof *w->first, err));
    FV_TRY(fv_grow(&w->past, &w->capacity, need, sizeof *w->past, err));
done:
    return status;
}

/* Joins the words in w->joined, a space between them, and adds them as they stand there. */
static fv_status join_words(fv_word_rows *w, const char *text, size_t len, fv_err *err)
{
    fv_status status = FV_OK;
    const char *at = text, *word;
    size_t bytes;
    w->joined.len = 0;
    FV_TRY(fv_buf_add(&w->joined, "", 0, err));
    while (fv_word_next(&at, text + len, &word, &bytes)) {
        FV_TRY(grow(w, w->n + 1, err));
        if (w->joined.len > 0) FV_TRY(fv_buf_putc(&w->joined, ' ', err));
        w->begins[w->n] = (uint32_t)w->joined.len;
        FV_TRY(fv_buf_add(&w->joined, word, bytes, err));
        w->ends[w->n++] = (uint32_t)w->joined.len;
    }
done:
    return status;
}

/* Words [from, n) as they stand in the text itself. */
static void place_words(fv_word_rows *w, size_t from, const char *text, size_t len)
{
    const char *at = text, *word;
    size_t bytes;
    for (size_t i = from; fv_word_next(&at, text + len, &word, &bytes); i++) {
        w->begins[i] = (uint32_t)(word - text);
        w->ends[i] = (uint32_t)(at - text);
    }
}

static bool is_frame(const fv_encoding *e, size_t i) { return e->begins[i] == e->ends[i]; }

/* The first byte of bytes [begin, end) that is no white space, or `end`. */
static uint32_t first_visible(const char *text, uint32_t begin, uint32_t end)
{
    const char *at = text + begin, *word;
    size_t bytes;
    return fv_word_next(&at, text + end, &word, &bytes) ? (uint32_t)(word - text) : end;
}

void fv_word_rows_align(fv_word_rows *w, size_t from, const char *text, const fv_encoding *e)
{
    size_t word = from;
    for (size_t i = from; i < w->n; i++) w->first[i] = w->past[i] = -1;
    for (size_t i = 0; i < e->n; i++) {
        if (is_frame(e, i)) continue;
        uint32_t at = first_visible(text, e->begins[i], e->ends[i]);
        if (at == e->ends[i]) continue;
        while (word < w->n && w->ends[word] <= at) word++;
        FV_ASSERT(word < w->n); /* what is visible lies in a word */
        if (w->first[word] < 0) w->first[word] = (int32_t)i;
        w->past[word] = (int32_t)i + 1;
    }
}

/* ---- Rows --------------------------------------------------------------------------------- */

/* The tokens that a row of a text takes: its frames and those of some words. */
typedef struct slice {
    size_t head, begin, end, tail; /* [0, head), [begin, end), [tail, n) of the encoding */
} slice;

static fv_status append(fv_word_rows *w, const fv_encoding *e, size_t from, size_t to, fv_err *err)
{
    fv_status status = FV_OK;
    fv_token_rows *t = &w->tokens;
    size_t at = (size_t)t->offsets[t->n], end = at + to - from, types_capacity = w->ids_capacity;
    FV_TRY(fv_grow(&t->types, &types_capacity, end, sizeof *t->types, err));
    FV_TRY(fv_grow(&t->ids, &w->ids_capacity, end, sizeof *t->ids, err));
    memcpy(t->ids + at, e->ids + from, (to - from) * sizeof *t->ids);
    memcpy(t->types + at, e->types + from, to - from);
    t->offsets[t->n] = (int64_t)end;
done:
    return status;
}

static fv_status begin_row(fv_word_rows *w, fv_err *err)
{
    fv_status status = FV_OK;
    fv_token_rows *t = &w->tokens;
    size_t words_capacity = w->rows_capacity;
    FV_TRY(fv_grow(&w->of_row, &words_capacity, t->n + 2, sizeof *w->of_row, err));
    FV_TRY(fv_grow(&t->offsets, &w->rows_capacity, t->n + 2, sizeof *t->offsets, err));
    if (t->n == 0) t->offsets[0] = 0;
    t->offsets[t->n + 1] = t->offsets[t->n];
    t->n++;
done:
    return status;
}

/* A row with words [from, to), whose tokens are those of `s`. */
static fv_status add_row(fv_word_rows *w, const fv_encoding *e, const slice *s, size_t from, size_t to, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(begin_row(w, err));
    FV_TRY(append(w, e, 0, s->head, err));
    FV_TRY(append(w, e, s->begin, s->end, err));
    FV_TRY(append(w, e, s->tail, e->n, err));
    fv_token_rows *t = &w->tokens;
    int length = (int)(t->offsets[t->n] - t->offsets[t->n - 1]);
    if (length > t->max_len) t->max_len = length;
    w->of_row[t->n - 1] = from;
    w->of_row[t->n] = to;
    for (size_t i = from; i < to; i++)
        if (w->first[i] >= 0) w->first[i] += (int32_t)s->head - (int32_t)s->begin;
done:
    return status;
}

/* Framing tokens stand at both ends. */
static slice frames_of(const fv_encoding *e)
{
    slice s = {.tail = e->n};
    while (s.head < e->n && is_frame(e, s.head)) s.head++;
    while (s.tail > s.head && is_frame(e, s.tail - 1)) s.tail--;
    return s;
}

/* Cut behind the last word that has room in a row with word `from`; gives the word behind it. */
static size_t choose_end(const fv_word_rows *w, slice *s, size_t from, size_t room)
{
    size_t to = from + 1;
    s->begin = (size_t)w->first[from];
    s->end = (size_t)w->past[from];
    if (s->end > s->begin + room) s->end = s->begin + room;
    for (size_t i = from; i < w->n; i++) {
        if (w->past[i] < 0) continue;
        if ((size_t)w->past[i] > s->begin + room) break;
        s->end = (size_t)w->past[i];
        to = i + 1;
    }
    return to;
}

/* Several rows for the text whose words are [from, n). Words without pieces are in no row, or in one for nothing. */
static fv_status add_parts(fv_word_rows *w, const fv_encoding *e, slice s, size_t from, int max_len, fv_err *err)
{
    size_t frames = s.head + e->n - s.tail;
    size_t room = (size_t)max_len > frames ? (size_t)max_len - frames : 1;
    while (from < w->n) {
        if (w->first[from] < 0) { from++; continue; }
        size_t to = choose_end(w, &s, from, room);
        fv_status status = add_row(w, e, &s, from, to, err);
        if (status != FV_OK) return status;
        from = to;
    }
    return FV_OK;
}

static fv_status add_rows(fv_word_rows *w, const fv_encoding *e, size_t from, int max_len, int64_t *cut, fv_err *err)
{
    slice s = frames_of(e);
    if (from == w->n) return FV_OK;
    if (e->n > (size_t)max_len) {
        ++*cut;
        return add_parts(w, e, s, from, max_len, err);
    }
    s.begin = s.head;
    s.end = s.tail;
    return add_row(w, e, &s, from, w->n, err);
}

static fv_status add_text(fv_word_rows *w, const fv_tokenizer *tokenizer, int max_len, const fv_text *t, fv_encoding *e, int64_t *cut, fv_err *err)
{
    fv_status status = FV_OK;
    size_t from = w->n, len = t->text && !t->len ? strlen(t->text) : t->len;
    if (t->text2) return FV_FAIL(err, FV_E_ARGUMENT, "a pair of texts; expected one text whose words are tagged");
    FV_TRY(join_words(w, t->text, len, err));
    FV_TRY(fv_tokenizer_encode(tokenizer, w->joined.data, w->joined.len, NULL, 0, true, e, err));
    fv_word_rows_align(w, from, w->joined.data, e);
    place_words(w, from, t->text, len);
    FV_TRY(add_rows(w, e, from, max_len, cut, err));
done:
    return status;
}

fv_status fv_word_rows_make(fv_word_rows *w, const fv_tokenizer *tokenizer, int max_len, const fv_text *texts, size_t n, fv_encoding *encoding, int64_t *cut, fv_err *err)
{
    fv_status status = FV_OK;
    *w = (fv_word_rows){.n_texts = n};
    w->of_text = fv_alloc_zero(n + 1, sizeof *w->of_text, err);
    if (!w->of_text) return FV_E_MEMORY;
    for (size_t i = 0; i < n; i++) {
        FV_TRY(add_text(w, tokenizer, max_len, &texts[i], encoding, cut, err));
        w->of_text[i + 1] = w->n;
    }
done:
    if (status != FV_OK) fv_word_rows_release(w);
    return status;
}

void fv_word_rows_release(fv_word_rows *w)
{
    fv_token_rows_release(&w->tokens);
    fv_free(w->of_row);
    fv_free(w->of_text);
    fv_free(w->begins);
    fv_free(w->ends);
    fv_free(w->first);
    fv_free(w->past);
    fv_buf_release(&w->joined);
    *w = (fv_word_rows){0};
}
