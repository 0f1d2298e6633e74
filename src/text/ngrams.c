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

static fv_status put(fv_ngrams *to, const char *p, size_t n, uint64_t seed, fv_err *err)
{
    fv_status status = fv_grow(&to->hashes, &to->capacity, to->n + 1, sizeof *to->hashes, err);
    if (status == FV_OK) to->hashes[to->n++] = fv_hash64(p, n, seed);
    return status;
}

/* All pieces of low to high characters of [begin, end). */
static fv_status put_pieces(fv_ngrams *to, const char *begin, const char *end, int low, int high, uint64_t seed, fv_err *err)
{
    fv_status status = FV_OK;
    for (const char *p = begin; p < end; p += char_len(p, end)) {
        const char *q = p;
        for (int n = 1; n <= high && q < end; n++) {
            q += char_len(q, end);
            if (n >= low) FV_TRY(put(to, p, (size_t)(q - p), seed, err));
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
static fv_status put_word(fv_ngrams *to, fv_buf *room, const char *begin, const char *end, uint64_t side, fv_err *err)
{
    fv_status status = FV_OK;
    room->len = 0;
    FV_TRY(fv_buf_putc(room, ' ', err));
    FV_TRY(fv_buf_add(room, begin, (size_t)(end - begin), err));
    FV_TRY(fv_buf_putc(room, ' ', err));
    FV_TRY(put(to, begin, (size_t)(end - begin), side + WORD_NGRAM, err));
    FV_TRY(put_pieces(to, room->data, room->data + room->len, SHORTEST, LONGEST, side + CHAR_NGRAM, err));
done:
    return status;
}

static fv_status put_text(fv_ngrams *to, const char *p, const char *end, uint64_t side, fv_err *err)
{
    fv_status status = FV_OK;
    fv_buf room = {0};
    uint64_t before = 0; /* the hash of the word before, for pairs */
    while (p < end) {
        kind k = kind_of(p, char_len(p, end));
        const char *q = run_end(p, end, k);
        if (k == HAN) FV_TRY(put_pieces(to, p, q, 1, LONGEST_HAN, side + HAN_NGRAM, err));
        if (k == WORD || k == MARK) {
            FV_TRY(put_word(to, &room, p, q, side, err));
            uint64_t now = fv_hash64(p, (size_t)(q - p), side + WORD_NGRAM), pair[2] = {before, now};
            if (before) FV_TRY(put(to, (const char *)pair, sizeof pair, side + WORD_NGRAM, err));
            before = now;
        }
        p = q;
    }
done:
    fv_buf_release(&room);
    return status;
}

static fv_status add_text(fv_ngrams *to, const char *text, size_t len, uint64_t side, fv_err *err)
{
    fv_status status = fv_normalize_text(&to->text, (fv_normalizer){.form = FV_NORMALIZE_NFKC, .lowercase = true}, text, len, 0, err);
    if (status != FV_OK) return status;
    return put_text(to, to->text.data, to->text.data + to->text.len, side, err);
}

fv_status fv_ngrams_of(fv_ngrams *to, const char *text, size_t len, fv_err *err)
{
    to->n = 0;
    return add_text(to, text, len, 0, err);
}

fv_status fv_ngrams_add(fv_ngrams *to, const char *text, size_t len, fv_err *err) { return add_text(to, text, len, SECOND_TEXT, err); }

void fv_ngrams_release(fv_ngrams *ngrams)
{
    fv_free(ngrams->hashes);
    fv_normalized_release(&ngrams->text);
    *ngrams = (fv_ngrams){0};
}
