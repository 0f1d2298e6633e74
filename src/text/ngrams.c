/* n-grams as hashes. The trap is a text of one endless word: work is bounded by (longest n) × length. */
#include "text/ngrams.h"

enum { WORD_NGRAM = 1, CHAR_NGRAM = 2, HAN_NGRAM = 3, SECOND_TEXT = 16, SHORTEST = 2, LONGEST = 5, LONGEST_HAN = 4 };

typedef enum kind { SPACE, WORD, MARK, HAN } kind;

static kind kind_of(const char *p, int len)
{
    const unsigned char *u = (const unsigned char *)p;
    if (len <= 1) {
        if (*u == ' ' || (*u >= '\t' && *u <= '\r')) return SPACE;
        return (*u >= '0' && *u <= '9') || (*u >= 'a' && *u <= 'z') || (*u >= 'A' && *u <= 'Z') || *u >= 0x80 ? WORD : MARK;
    }
    if (len == 3 && u[0] == 0xe3 && u[1] == 0x80) return MARK; /* U+3000 to U+303F */
    if ((len == 3 && u[0] >= 0xe3 && u[0] <= 0xe9) || len == 4) return HAN;
    return WORD;
}

static int char_len(const char *p, const char *end)
{
    int len = fv_utf8_len(p, end);
    return len ? len : 1;
}

/* A walk over one text. Its places in the input are followed only when somebody asks. */
typedef struct walker {
    fv_ngrams *to;
    uint64_t side;                   /* 0 or SECOND_TEXT */
    fv_buf room;                     /* a word between two blanks */
    uint64_t before;                 /* the hash of the word before, for pairs; 0: none */
    uint32_t before_begin;
    const fv_span *span, *last_span; /* where the run at hand begins; the text's last one */
    fv_err *err;
} walker;

/* A run of the normalised text, which has `edge` bytes of blank before it (and behind) where it is cut up. */
typedef struct run {
    size_t at, len, edge;
    bool mark;
} run;

static fv_status put(walker *w, const char *p, size_t n, uint64_t kind_of_gram)
{
    fv_ngrams *to = w->to;
    fv_status status = fv_grow(&to->hashes, &to->capacity, to->n + 1, sizeof *to->hashes, w->err);
    if (status == FV_OK) to->hashes[to->n++] = (fv_hash64(p, n, w->side + kind_of_gram) & ~(uint64_t)1) | (kind_of_gram == CHAR_NGRAM);
    return status;
}

/* ---- Places ---- */

static fv_status add_place(walker *w, fv_ngram_place place)
{
    fv_ngram_places *to = w->to->places;
    fv_status status = fv_grow(&to->items, &to->capacity, to->n + 1, sizeof *to->items, w->err);
    place.part = w->side != 0;
    if (status == FV_OK) to->items[to->n++] = place;
    return status;
}

static fv_ngram_place place_of(const walker *w, size_t begin, size_t end)
{
    fv_ngram_place place = {0};
    const fv_span *span = w->span;
    fv_span_source(&span, w->last_span, begin, end, &place.begin, &place.end);
    return place;
}

/* Bytes [from, to) of the run with its edges. A mark's pieces stand wherever it does. */
static fv_status place_piece(walker *w, const run *r, size_t from, size_t to)
{
    size_t begin = from > r->edge ? from - r->edge : 0, end = to - r->edge < r->len ? to - r->edge : r->len;
    fv_ngram_place place = place_of(w, r->at + begin, r->at + end);
    if (r->edge && !r->mark) {
        place.open_begin = from > 0;
        place.open_end = to < r->len + 2 * r->edge;
    }
    return add_place(w, place);
}

/* Words whose bytes touch (made from one character of the input) become one. */
static fv_status add_word(walker *w, fv_ngram_place at)
{
    fv_ngram_places *to = w->to->places;
    fv_ngram_word word = {.begin = at.begin, .end = at.end, .part = w->side != 0};
    fv_ngram_word *last = to->n_words ? &to->words[to->n_words - 1] : NULL;
    if (last && last->part == word.part && last->end > word.begin) {
        if (word.end > last->end) last->end = word.end;
        return FV_OK;
    }
    fv_status status = fv_grow(&to->words, &to->words_capacity, to->n_words + 1, sizeof *to->words, w->err);
    if (status == FV_OK) to->words[to->n_words++] = word;
    return status;
}

/* ---- n-grams ---- */

/* All pieces of low to high characters of [begin, end), which is the run with its edges. */
static fv_status put_pieces(walker *w, const run *r, const char *begin, const char *end, int low, int high, uint64_t kind_of_gram)
{
    fv_status status = FV_OK;
    for (const char *p = begin; p < end; p += char_len(p, end)) {
        const char *q = p;
        for (int n = 1; n <= high && q < end; n++) {
            q += char_len(q, end);
            if (n < low) continue;
            FV_TRY(put(w, p, (size_t)(q - p), kind_of_gram));
            if (w->to->places) FV_TRY(place_piece(w, r, (size_t)(p - begin), (size_t)(q - begin)));
        }
    }
done:
    return status;
}

/* The end of the run of one kind that starts at p. A mark is a run by itself. */
static const char *run_end(const char *p, const char *end, kind k)
{
    do p += char_len(p, end);
    while (p < end && k != MARK && kind_of(p, char_len(p, end)) == k);
    return p;
}

/* A word's pieces know its edges: they are taken from the word between two blanks. */
static fv_status put_word(walker *w, const run *r, const char *word)
{
    fv_status status = FV_OK;
    w->room.len = 0;
    FV_TRY(fv_buf_putc(&w->room, ' ', w->err));
    FV_TRY(fv_buf_add(&w->room, word, r->len, w->err));
    FV_TRY(fv_buf_putc(&w->room, ' ', w->err));
    FV_TRY(put(w, word, r->len, WORD_NGRAM));
    if (w->to->places) {
        fv_ngram_place place = place_of(w, r->at, r->at + r->len);
        FV_TRY(add_word(w, place));
        FV_TRY(add_place(w, place));
    }
    FV_TRY(put_pieces(w, r, w->room.data, w->room.data + w->room.len, SHORTEST, LONGEST, CHAR_NGRAM));
done:
    return status;
}

/* The word, if there is one before it, as a pair with that. */
static fv_status put_pair(walker *w, const run *r, const char *word)
{
    fv_status status = FV_OK;
    uint64_t pair[2] = {w->before, fv_hash64(word, r->len, w->side + WORD_NGRAM)};
    fv_ngram_place place = {0};
    if (w->to->places) place = place_of(w, r->at, r->at + r->len);
    uint32_t begin = place.begin;
    if (w->before) {
        FV_TRY(put(w, (const char *)pair, sizeof pair, WORD_NGRAM));
        place.begin = w->before_begin;
        place.pair = true;
        if (w->to->places) FV_TRY(add_place(w, place));
    }
    w->before = pair[1];
    w->before_begin = begin;
done:
    return status;
}

static fv_status put_han(walker *w, const run *r, const char *begin)
{
    fv_status status = FV_OK;
    const char *end = begin + r->len;
    if (w->to->places)
        for (const char *p = begin, *q; p < end; p = q) {
            q = p + char_len(p, end);
            FV_TRY(add_word(w, place_of(w, r->at + (size_t)(p - begin), r->at + (size_t)(q - begin))));
        }
    FV_TRY(put_pieces(w, r, begin, end, 1, LONGEST_HAN, HAN_NGRAM));
done:
    return status;
}

static fv_status put_text(walker *w)
{
    fv_status status = FV_OK;
    const char *begin = w->to->text.data, *end = begin + w->to->text.len;
    for (const char *p = begin, *q; p < end; p = q) {
        kind k = kind_of(p, char_len(p, end));
        q = run_end(p, end, k);
        run r = {.at = (size_t)(p - begin), .len = (size_t)(q - p), .edge = k != HAN, .mark = k == MARK};
        while (w->span < w->last_span && w->span[1].out <= r.at) w->span++;
        if (k == HAN) FV_TRY(put_han(w, &r, p));
        if (k == WORD || k == MARK) {
            FV_TRY(put_word(w, &r, p));
            FV_TRY(put_pair(w, &r, p));
        }
    }
done:
    fv_buf_release(&w->room);
    return status;
}

static fv_status add_text(fv_ngrams *to, const char *text, size_t len, uint64_t side, fv_err *err)
{
    fv_status status = fv_normalize_text(&to->text, (fv_normalizer){.form = FV_NORMALIZE_NFKC, .lowercase = true}, text, len, 0, err);
    if (status != FV_OK || to->text.len == 0) return status;
    walker w = {.to = to, .side = side, .span = to->text.spans, .last_span = to->text.spans + to->text.n_spans - 1, .err = err};
    return put_text(&w);
}

fv_status fv_ngrams_of(fv_ngrams *to, const char *text, size_t len, fv_err *err)
{
    to->n = 0;
    if (to->places) to->places->n = to->places->n_words = 0;
    return add_text(to, text, len, 0, err);
}

fv_status fv_ngrams_add(fv_ngrams *to, const char *text, size_t len, fv_err *err) { return add_text(to, text, len, SECOND_TEXT, err); }

void fv_ngrams_release(fv_ngrams *ngrams)
{
    fv_free(ngrams->hashes);
    fv_normalized_release(&ngrams->text);
    *ngrams = (fv_ngrams){0};
}

void fv_ngram_places_release(fv_ngram_places *places)
{
    fv_free(places->items);
    fv_free(places->words);
    *places = (fv_ngram_places){0};
}
