/* Texts to rows of token ids. What is left to others: how a text becomes tokens (text/), and how rows
 * become batches (data/). The trap: a pair is cut from its longer half, and the framing tokens stay. */
#include "infer/infer.h"

#include <string.h>

static bool is_frame(const fv_encoding *e, size_t i) { return e->begins[i] == e->ends[i]; }

/* Which text the tokens are of, going through them in order. Types need not tell: RoBERTa has one for both texts. Then it is the
 * frames between them that do. */
typedef struct halves {
    bool words;
    int now;
} halves;

static int half_of(halves *h, const fv_encoding *e, size_t i)
{
    if (is_frame(e, i)) h->now |= h->words;
    else h->words = true;
    return h->now | (e->types[i] != 0);
}

/* How many tokens of each half may stay. The shorter one stays whole if it is no more than half of the room; which of two gets
 * the odd token is as in the tokenizers of Hugging Face ("longest_first"). */
static void share_out(const fv_encoding *e, int max_len, size_t keep[2])
{
    size_t frames = 0;
    halves h = {0};
    keep[0] = keep[1] = 0;
    for (size_t i = 0; i < e->n; i++) {
        int half = half_of(&h, e, i);
        if (is_frame(e, i)) frames++;
        else keep[half]++;
    }
    size_t room = (size_t)max_len > frames ? (size_t)max_len - frames : 0;
    if (keep[0] + keep[1] <= room) return;
    int shorter = keep[1] < keep[0];
    if (keep[shorter] > room / 2) keep[shorter] = room / 2;
    keep[!shorter] = room - keep[shorter];
}

bool fv_prepare_cut(fv_encoding *e, int max_len)
{
    size_t keep[2], seen[2] = {0, 0}, n = 0;
    halves h = {0};
    if (e->n <= (size_t)max_len) return false;
    share_out(e, max_len, keep);
    for (size_t i = 0; i < e->n; i++) {
        int half = half_of(&h, e, i);
        if (!is_frame(e, i) && ++seen[half] > keep[half]) continue;
        e->ids[n] = e->ids[i];
        e->begins[n] = e->begins[i];
        e->ends[n] = e->ends[i];
        e->types[n++] = e->types[i];
    }
    e->n = n < (size_t)max_len ? n : (size_t)max_len;
    return true;
}

void fv_prepare_halves(fv_encoding *e)
{
    halves h = {0};
    for (size_t i = 0; i < e->n; i++) e->types[i] = (uint8_t)half_of(&h, e, i);
}

static fv_status add_row(fv_token_rows *rows, size_t *capacity, const fv_encoding *e, size_t row, fv_err *err)
{
    fv_status status = FV_OK;
    size_t at = (size_t)rows->offsets[row], end = at + e->n, types_capacity = *capacity;
    if (end > *capacity) {
        FV_TRY(fv_grow(&rows->types, &types_capacity, end, sizeof *rows->types, err));
        FV_TRY(fv_grow(&rows->ids, capacity, end, sizeof *rows->ids, err));
    }
    memcpy(rows->ids + at, e->ids, e->n * sizeof *e->ids);
    memcpy(rows->types + at, e->types, e->n);
    rows->offsets[row + 1] = (int64_t)end;
    if ((int)e->n > rows->max_len) rows->max_len = (int)e->n;
done:
    return status;
}

static size_t length(const char *text, size_t len) { return text && !len ? strlen(text) : len; }

fv_status fv_prepare_one(fv_encoding *encoding, const fv_tokenizer *tokenizer, int max_len, const fv_text *t, int64_t *cut, fv_err *err)
{
    fv_status status = fv_tokenizer_encode(tokenizer, t->text, length(t->text, t->len), t->text2, length(t->text2, t->len2), true, encoding, err);
    if (status == FV_OK && fv_prepare_cut(encoding, max_len)) ++*cut;
    return status;
}

fv_text *fv_prepare_texts(const fv_dataset *data, fv_err *err)
{
    fv_text *texts = fv_alloc_zero(data->n, sizeof *texts, err);
    for (size_t i = 0; texts && i < data->n; i++) {
        const fv_example *e = &data->rows[i];
        texts[i] = (fv_text){.text = e->text, .len = e->text_len, .text2 = e->text2, .len2 = e->text2_len};
    }
    return texts;
}

fv_status fv_prepare_rows(fv_token_rows *rows, const fv_tokenizer *tokenizer, int max_len, const fv_text *texts, size_t n, fv_encoding *encoding, int64_t *cut, fv_err *err)
{
    fv_status status = FV_OK;
    size_t capacity = 0;
    *rows = (fv_token_rows){.n = n};
    rows->offsets = fv_alloc_zero(n + 1, sizeof *rows->offsets, err);
    if (!rows->offsets) return FV_E_MEMORY;
    for (size_t i = 0; i < n; i++) {
        FV_TRY(fv_prepare_one(encoding, tokenizer, max_len, &texts[i], cut, err));
        FV_TRY(add_row(rows, &capacity, encoding, i, err));
    }
done:
    if (status != FV_OK) fv_token_rows_release(rows);
    return status;
}

/* ---- Features ---- */

fv_status fv_prepare_ngrams(fv_ngrams *ngrams, const fv_text *t, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(fv_ngrams_of(ngrams, t->text, length(t->text, t->len), err));
    if (t->text2) FV_TRY(fv_ngrams_add(ngrams, t->text2, length(t->text2, t->len2), err));
done:
    return status;
}

/* Chosen by how many texts have them: a pure function of the texts. */
fv_status fv_prepare_wide(fv_wide *wide, const fv_text *texts, size_t n, int64_t most, fv_ngrams *ngrams, fv_err *err)
{
    fv_status status = FV_OK;
    fv_wide_counts counts = {0};
    for (size_t i = 0; i < n; i++) {
        FV_TRY(fv_prepare_ngrams(ngrams, &texts[i], err));
        FV_TRY(fv_wide_count(&counts, ngrams->hashes, ngrams->n, err));
    }
    FV_TRY(fv_wide_choose(wide, &counts, most, err));
done:
    fv_wide_counts_release(&counts);
    return status;
}

fv_status fv_prepare_features(fv_feature_rows *rows, const fv_wide *wide, const fv_text *texts, size_t n, fv_ngrams *ngrams, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(fv_feature_rows_init(rows, n, err));
    for (size_t i = 0; i < n; i++) {
        FV_TRY(fv_prepare_ngrams(ngrams, &texts[i], err));
        FV_TRY(fv_wide_add_row(wide, rows, ngrams->hashes, ngrams->n, err));
    }
done:
    if (status != FV_OK) fv_feature_rows_release(rows);
    return status;
}
