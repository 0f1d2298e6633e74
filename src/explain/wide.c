/* What the wide part says: which n-grams spoke for a label and which against it. The model is linear there,
 * so this is no estimate: the weights are the terms of the very sum that it adds to the logit.
 *
 * Hashes are traced back to the text by the walker of text/ngrams.c. The trap: fv_wide_add_row sorts the
 * hashes that it is given, while places belong to them in the walker's order, so it gets a copy. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "explain/explain.h"

/* The n-grams of one text, and the features that they are. */
typedef struct evidence {
    const fv_wide *wide;
    fv_ngrams ngrams;
    fv_ngram_places places;
    fv_feature_rows row; /* of this text alone */
    int64_t *features;   /* [ngrams.n] which of the row's features an n-gram is; -1: the model does not know it */
} evidence;

bool fv_session_has_wide(const fv_session *session) { return session->head->has_wide; }

/* ---- n-grams and features ---- */

/* The row's features ascend by hash. */
static int64_t feature_of(const evidence *e, uint64_t hash)
{
    int64_t low = 0, high = e->row.offsets[1];
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        uint64_t found = e->wide->hashes[e->row.ids[middle]];
        if (found == hash) return middle;
        if (found < hash) low = middle + 1;
        else high = middle;
    }
    return -1;
}

static fv_status gather(evidence *e, const fv_text *text, fv_err *err)
{
    fv_status status = FV_OK;
    uint64_t *hashes = NULL;
    e->ngrams.places = &e->places;
    FV_TRY(fv_prepare_ngrams(&e->ngrams, text, err));
    size_t n = e->ngrams.n;
    hashes = fv_alloc((n + 1) * sizeof *hashes, err);
    e->features = fv_alloc((n + 1) * sizeof *e->features, err);
    if (!hashes || !e->features) { status = FV_E_MEMORY; goto done; }
    if (n) memcpy(hashes, e->ngrams.hashes, n * sizeof *hashes);
    FV_TRY(fv_feature_rows_init(&e->row, 1, err));
    FV_TRY(fv_wide_add_row(e->wide, &e->row, hashes, n, err));
    for (size_t i = 0; i < n; i++) e->features[i] = feature_of(e, e->ngrams.hashes[i]);
done:
    fv_free(hashes);
    return status;
}

static void release(evidence *e)
{
    fv_ngrams_release(&e->ngrams);
    fv_ngram_places_release(&e->places);
    fv_feature_rows_release(&e->row);
    fv_free(e->features);
}

/* What a feature adds to the logit of a label. */
static double weight_of(const evidence *e, int64_t feature, int label)
{
    return (double)e->row.values[feature] * (double)e->wide->weight[(int64_t)e->row.ids[feature] * e->wide->outputs + label];
}

static double wide_logit(const evidence *e, int label)
{
    double sum = 0;
    for (int64_t i = 0; i < e->row.offsets[1]; i++) sum += weight_of(e, i, label);
    return sum;
}

/* ---- Reasons ---- */

/* The same bytes with the same ends say the same thing: a word of three letters is a piece of itself. */
static int by_place(const void *a, const void *b)
{
    const fv_reason *x = a, *y = b;
    if (x->part != y->part) return x->part - y->part;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return (4 * x->pair + 2 * x->open_begin + x->open_end) - (4 * y->pair + 2 * y->open_begin + y->open_end);
}

static int by_weight(const void *a, const void *b)
{
    double x = fabs(((const fv_reason *)a)->weight), y = fabs(((const fv_reason *)b)->weight);
    return x != y ? (x < y ? 1 : -1) : by_place(a, b);
}

static size_t merge_equal(fv_reason *reasons, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (kept && by_place(&reasons[kept - 1], &reasons[i]) == 0) reasons[kept - 1].weight += reasons[i].weight;
        else reasons[kept++] = reasons[i];
    }
    return kept;
}

/* One reason for each feature, where it stands first; counts[feature] is how often it stands. */
static void name_features(const evidence *e, fv_reasons *r, uint32_t *counts)
{
    for (size_t i = 0; i < e->ngrams.n; i++) {
        int64_t feature = e->features[i];
        if (feature < 0 || counts[feature]++) continue;
        const fv_ngram_place *p = &e->places.items[i];
        r->ngrams[feature] = (fv_reason){.begin = p->begin, .end = p->end, .part = p->part, .open_begin = p->open_begin, .open_end = p->open_end,
                                         .pair = p->pair, .weight = weight_of(e, feature, r->label)};
    }
}

/* The word that byte `at` of a part lies in. */
static size_t word_at(const evidence *e, int part, uint32_t at)
{
    size_t low = 0, high = e->places.n_words;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        const fv_ngram_word *w = &e->places.words[middle];
        if (w->part < part || (w->part == part && w->begin <= at)) low = middle;
        else high = middle;
    }
    return low;
}

/* A feature's weight goes in equal parts to the places where it stands, and there to the words that it
 * lies in: a pair to its two. */
static void spread(const evidence *e, fv_reasons *r, const uint32_t *counts)
{
    for (size_t i = 0; i < e->ngrams.n; i++) {
        if (e->features[i] < 0) continue;
        const fv_ngram_place *p = &e->places.items[i];
        size_t first = word_at(e, p->part, p->begin), last = word_at(e, p->part, p->end - 1);
        double share = weight_of(e, e->features[i], r->label) / counts[e->features[i]];
        if (p->pair) {
            r->words[first].weight += share / 2;
            r->words[last].weight += share / 2;
        } else
            for (size_t k = first; k <= last; k++) r->words[k].weight += share / (double)(last - first + 1);
    }
}

static fv_status fill(const evidence *e, fv_reasons *r, fv_err *err)
{
    size_t n = (size_t)e->row.offsets[1];
    uint32_t *counts = fv_alloc_zero(n + 1, sizeof *counts, err);
    r->ngrams = fv_alloc_zero(n + 1, sizeof *r->ngrams, err);
    r->words = fv_alloc_zero(e->places.n_words + 1, sizeof *r->words, err);
    if (counts && r->ngrams && r->words) {
        r->n_words = e->places.n_words;
        for (size_t i = 0; i < r->n_words; i++) {
            const fv_ngram_word *w = &e->places.words[i];
            r->words[i] = (fv_reason){.begin = w->begin, .end = w->end, .part = w->part};
        }
        name_features(e, r, counts);
        spread(e, r, counts);
        qsort(r->ngrams, n, sizeof *r->ngrams, by_place);
        r->n_ngrams = merge_equal(r->ngrams, n);
        qsort(r->ngrams, r->n_ngrams, sizeof *r->ngrams, by_weight);
        for (size_t i = 0; i < r->n_ngrams; i++) r->wide += r->ngrams[i].weight;
    }
    fv_free(counts);
    return counts && r->ngrams && r->words ? FV_OK : FV_E_MEMORY;
}

fv_status fv_wide_by_words(fv_explaining *x, double *weights, fv_err *err)
{
    fv_status status = FV_OK;
    evidence e = {.wide = &x->session->head->wide};
    fv_reasons r = {0};
    uint32_t *counts = NULL;
    int outputs = e.wide->outputs;
    FV_TRY(gather(&e, &x->text, err));
    counts = fv_alloc_zero((size_t)e.row.offsets[1] + 1, sizeof *counts, err);
    r.words = fv_alloc_zero(e.places.n_words + 1, sizeof *r.words, err);
    if (!counts || !r.words) { status = FV_E_MEMORY; goto done; }
    for (size_t i = 0; i < e.ngrams.n; i++)
        if (e.features[i] >= 0) counts[e.features[i]]++;
    for (r.label = 0; r.label < outputs; r.label++) {
        memset(r.words, 0, e.places.n_words * sizeof *r.words);
        spread(&e, &r, counts);
        for (size_t i = 0; i < e.places.n_words; i++) {
            size_t word = fv_units_at(&x->units, e.places.words[i].part, e.places.words[i].begin);
            weights[word * (size_t)outputs + (size_t)r.label] += r.words[i].weight;
        }
    }
done:
    release(&e);
    fv_free(counts);
    fv_free(r.words);
    return status;
}

/* ---- The call ---- */

static int best_but(const float *logits, int n, int but)
{
    int best = -1;
    for (int i = 0; i < n; i++)
        if (i != but && (best < 0 || logits[i] > logits[best])) best = i;
    return best;
}

/* Which labels are compared, and by how much the first is ahead. */
static fv_status choose(fv_reasons *r, fv_session *s, const fv_text *text, int label, fv_err *err)
{
    int n = fv_session_n_labels(s);
    float *logits = fv_alloc((size_t)n * sizeof *logits, err);
    if (!logits) return FV_E_MEMORY;
    fv_status status = fv_session_logits(s, text, 1, logits, NULL, NULL, err);
    if (status == FV_OK) {
        r->label = label < 0 ? best_but(logits, n, -1) : label;
        r->rival = fv_session_labels(s) == FV_LABELS_SINGLE ? best_but(logits, n, r->label) : -1;
        r->logit = (double)logits[r->label];
        r->margin = r->logit - (r->rival < 0 ? 0 : (double)logits[r->rival]);
    }
    fv_free(logits);
    return status;
}

fv_reasons *fv_explain_wide(fv_session *s, const fv_text *text, int label, fv_err *err)
{
    fv_status status = FV_OK;
    evidence e = {.wide = &s->head->wide};
    if (s->head->weights.place != FV_HEAD_TEXT) return fv_session_refuse(s, "gives texts no labels", err), NULL;
    if (!s->head->has_wide) return FV_FAIL(err, FV_E_ARGUMENT, "%s has no wide part, which could be explained", s->model->folder), NULL;
    if (label >= fv_session_n_labels(s)) return FV_FAIL(err, FV_E_ARGUMENT, "label %d; the model has %d", label, fv_session_n_labels(s)), NULL;
    fv_reasons *r = fv_alloc_zero(1, sizeof *r, err);
    if (!r) return NULL;
    FV_TRY(choose(r, s, text, label, err));
    FV_TRY(gather(&e, text, err));
    FV_TRY(fill(&e, r, err));
    r->wide_margin = r->wide - (r->rival < 0 ? 0 : wide_logit(&e, r->rival));
done:
    release(&e);
    if (status == FV_OK) return r;
    fv_reasons_free(r);
    return NULL;
}

void fv_reasons_free(fv_reasons *r)
{
    if (!r) return;
    fv_free(r->ngrams);
    fv_free(r->words);
    fv_free(r);
}
