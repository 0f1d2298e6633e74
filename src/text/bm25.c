/* BM25 over documents that come and go. A word's postings are sorted by document, each a number of 24 bits and a count of 8; a
 * document keeps the list of its words, so that it can be taken out of theirs. Both lie in cells.
 *
 * The trap: a document is added all or nothing. So whatever may fail comes first (words are found or made, their lists get room), and
 * a word that nobody has, which a failure may leave, is taken away again. */
#include "text/bm25.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_COUNT = 255, COUNT_BITS = 8 };

/* One posting lies in `place` itself. */
struct fv_bm25_word {
    uint64_t hash;
    uint32_t place, n, room; /* where its postings lie, how many, how many there may be */
};

struct fv_bm25_document {
    uint32_t place, n; /* its words; n is ABSENT where there is no document */
};

#define ABSENT UINT32_MAX

void fv_bm25_init(fv_bm25 *x, double k1, double b) { *x = (fv_bm25){.k1 = k1, .b = b}; }

void fv_bm25_release(fv_bm25 *x)
{
    fv_cells_release(&x->cells);
    fv_free(x->words);
    fv_ids_release(&x->ids);
    fv_free(x->documents);
    fv_free(x->lengths);
    *x = (fv_bm25){0};
}

size_t fv_bm25_bytes(const fv_bm25 *x)
{
    return x->cells.capacity * sizeof *x->cells.words + x->words_capacity * sizeof *x->words + x->ids.n_slots * sizeof *x->ids.slots
           + x->documents_capacity * sizeof *x->documents + x->lengths_capacity * sizeof *x->lengths;
}

bool fv_bm25_has(const fv_bm25 *x, uint32_t document) { return document < x->n_documents && x->documents[document].n != ABSENT; }

/* ---- Words -------------------------------------------------------------------------------- */

static const fv_ids *ids_of(const fv_bm25 *x, fv_ids *view)
{
    *view = x->ids;
    view->keys = x->words; /* a word begins with its hash */
    view->stride = sizeof *x->words;
    return view;
}

static uint32_t find_word(const fv_bm25 *x, uint64_t hash)
{
    fv_ids view;
    return fv_ids_get(ids_of(x, &view), hash);
}

static void drop_word(fv_bm25 *x, uint32_t w)
{
    struct fv_bm25_word *word = &x->words[w];
    ids_of(x, &x->ids);
    fv_ids_remove(&x->ids, word->hash);
    if (word->room > 1) fv_cells_free(&x->cells, word->place, word->room);
    *word = (struct fv_bm25_word){.place = x->spare_word};
    x->spare_word = w + 1;
}

static fv_status make_word(fv_bm25 *x, uint64_t hash, uint32_t *w, fv_err *err)
{
    fv_status status = FV_OK;
    if (!x->spare_word) FV_TRY(fv_grow(&x->words, &x->words_capacity, x->n_words + 1, sizeof *x->words, err));
    ids_of(x, &x->ids);
    FV_TRY(fv_ids_reserve(&x->ids, 1, err));
    *w = x->spare_word ? x->spare_word - 1 : (uint32_t)x->n_words++;
    if (x->spare_word) x->spare_word = x->words[*w].place;
    x->words[*w] = (struct fv_bm25_word){.hash = hash, .room = 1};
    fv_ids_put(&x->ids, hash, *w);
done:
    return status;
}

static uint32_t *postings_of(const fv_bm25 *x, struct fv_bm25_word *word) { return word->room == 1 ? &word->place : x->cells.words + word->place; }

/* Moves the list to one of `n` or somewhat more. */
static fv_status move_list(fv_bm25 *x, struct fv_bm25_word *word, uint32_t n, fv_err *err)
{
    uint32_t place, first = word->place;
    if (n > 1) {
        fv_status status = fv_cells_new(&x->cells, n, &place, err);
        if (status != FV_OK) return status;
        memcpy(x->cells.words + place, postings_of(x, word), word->n * sizeof(uint32_t));
    } else place = *postings_of(x, word);
    if (word->room > 1) fv_cells_free(&x->cells, first, word->room);
    word->place = place;
    word->room = n > 1 ? fv_cells_room(n) : 1;
    return FV_OK;
}

static fv_status make_room(fv_bm25 *x, uint32_t w, fv_err *err)
{
    struct fv_bm25_word *word = &x->words[w];
    return word->n < word->room ? FV_OK : move_list(x, word, word->n + 1 + word->n / 4, err);
}

/* The first posting whose document is not below. */
static uint32_t place_of(const uint32_t *postings, uint32_t n, uint32_t document)
{
    uint32_t low = 0;
    while (low < n) {
        uint32_t middle = low + (n - low) / 2;
        if (postings[middle] >> COUNT_BITS < document) low = middle + 1;
        else n = middle;
    }
    return low;
}

static void insert(fv_bm25 *x, uint32_t w, uint32_t document, size_t count)
{
    struct fv_bm25_word *word = &x->words[w];
    uint32_t *postings = postings_of(x, word), at = place_of(postings, word->n, document);
    memmove(postings + at + 1, postings + at, (word->n++ - at) * sizeof *postings);
    postings[at] = document << COUNT_BITS | (uint32_t)(count < MOST_COUNT ? count : MOST_COUNT);
}

static void take_out(fv_bm25 *x, uint32_t w, uint32_t document)
{
    struct fv_bm25_word *word = &x->words[w];
    uint32_t *postings = postings_of(x, word), at = place_of(postings, word->n, document);
    memmove(postings + at, postings + at + 1, (--word->n - at) * sizeof *postings);
    if (!word->n) drop_word(x, w);
    else if (word->n <= word->room / 4) move_list(x, word, word->n, NULL); /* a larger list than needed does no harm */
}

/* ---- Documents ---------------------------------------------------------------------------- */

static int by_hash(const void *a, const void *b)
{
    uint64_t x = ((const fv_term *)a)->hash, y = ((const fv_term *)b)->hash;
    return (x > y) - (x < y);
}

/* Sorts the words; each different one is first in its run. The run that begins at i ends at: */
static size_t run_end(const fv_terms *terms, size_t i)
{
    size_t end = i + 1;
    while (end < terms->n && terms->items[end].hash == terms->items[i].hash) end++;
    return end;
}

static fv_status sorted_terms(fv_terms *terms, fv_terms_kind kind, const char *text, size_t len, fv_err *err)
{
    fv_status status = fv_terms_of(terms, kind, text, len, err);
    if (status == FV_OK && terms->n) qsort(terms->items, terms->n, sizeof *terms->items, by_hash);
    return status;
}

static uint32_t count_different(const fv_terms *terms)
{
    uint32_t n = 0;
    for (size_t i = 0; i < terms->n; i = run_end(terms, i)) n++;
    return n;
}

static fv_status make_documents(fv_bm25 *x, uint32_t document, fv_err *err)
{
    fv_status status = FV_OK;
    if (document >= FV_BM25_DOCUMENTS) return FV_FAIL(err, FV_E_ARGUMENT, "an index of more than %d texts; share them out among several", FV_BM25_DOCUMENTS);
    FV_TRY(fv_grow(&x->lengths, &x->lengths_capacity, document + 1, sizeof *x->lengths, err));
    FV_TRY(fv_grow(&x->documents, &x->documents_capacity, document + 1, sizeof *x->documents, err));
    for (; x->n_documents <= document; x->n_documents++) {
        x->documents[x->n_documents].n = ABSENT;
        x->lengths[x->n_documents] = 0;
    }
done:
    return status;
}

/* All that may fail: every word is there, with room for one more; *place is a list for their numbers. */
static fv_status prepare(fv_bm25 *x, const fv_terms *terms, uint32_t different, uint32_t *place, fv_err *err)
{
    fv_status status = FV_OK;
    for (size_t i = 0; i < terms->n; i = run_end(terms, i)) {
        uint32_t w = find_word(x, terms->items[i].hash);
        if (w == FV_NO_ID) FV_TRY(make_word(x, terms->items[i].hash, &w, err));
        FV_TRY(make_room(x, w, err));
    }
    if (different) FV_TRY(fv_cells_new(&x->cells, different, place, err));
done:
    return status;
}

static void drop_unused(fv_bm25 *x, const fv_terms *terms)
{
    for (size_t i = 0; i < terms->n; i = run_end(terms, i)) {
        uint32_t w = find_word(x, terms->items[i].hash);
        if (w != FV_NO_ID && !x->words[w].n) drop_word(x, w);
    }
}

fv_status fv_bm25_add(fv_bm25 *x, uint32_t document, const char *text, size_t len, fv_terms *terms, fv_err *err)
{
    fv_status status = FV_OK;
    uint32_t place = 0;
    FV_TRY(sorted_terms(terms, FV_TERMS_DOCUMENT, text, len, err));
    FV_TRY(make_documents(x, document, err));
    FV_ASSERT(!fv_bm25_has(x, document));
    uint32_t different = count_different(terms), at = 0;
    status = prepare(x, terms, different, &place, err);
    if (status != FV_OK) {
        drop_unused(x, terms);
        return status;
    }
    for (size_t i = 0, end; i < terms->n; i = end) {
        end = run_end(terms, i);
        uint32_t w = find_word(x, terms->items[i].hash);
        insert(x, w, document, end - i);
        x->cells.words[place + at++] = w;
    }
    x->documents[document] = (struct fv_bm25_document){.place = place, .n = different};
    x->lengths[document] = terms->length;
    x->count++;
    x->total += terms->length;
done:
    return status;
}

void fv_bm25_remove(fv_bm25 *x, uint32_t document)
{
    if (!fv_bm25_has(x, document)) return;
    struct fv_bm25_document *d = &x->documents[document];
    for (uint32_t i = 0; i < d->n; i++) take_out(x, x->cells.words[d->place + i], document);
    if (d->n) fv_cells_free(&x->cells, d->place, fv_cells_room(d->n));
    d->n = ABSENT;
    x->count--;
    x->total -= x->lengths[document];
    x->lengths[document] = 0;
}

/* ---- Scores ------------------------------------------------------------------------------- */

/* What a word counts for that n documents have. */
static double rarity(const fv_bm25 *x, uint32_t n) { return log(1 + ((double)x->count - n + 0.5) / (n + 0.5)); }

static void add_scores(const fv_bm25 *x, float *scores, uint32_t w, double weight_of_word)
{
    struct fv_bm25_word *word = &x->words[w];
    const uint32_t *postings = postings_of(x, word);
    double mean = x->total ? (double)x->total / (double)x->count : 1;
    float weight = (float)(weight_of_word * (x->k1 + 1)), base = (float)(x->k1 * (1 - x->b)), slope = (float)(x->k1 * x->b / mean);
    for (uint32_t i = 0; i < word->n; i++) {
        uint32_t document = postings[i] >> COUNT_BITS;
        float count = (float)(postings[i] & MOST_COUNT);
        scores[document] += weight * count / (count + base + slope * (float)x->lengths[document]);
    }
}

fv_status fv_bm25_scores(const fv_bm25 *x, float *scores, float *whole, const char *query, size_t len, fv_terms *terms, fv_err *err)
{
    fv_status status = sorted_terms(terms, FV_TERMS_QUERY, query, len, err);
    if (status != FV_OK) return status;
    double sum = 0;
    if (x->n_documents) memset(scores, 0, x->n_documents * sizeof *scores);
    for (size_t i = 0, end; i < terms->n; i = end) {
        end = run_end(terms, i);
        uint32_t w = find_word(x, terms->items[i].hash);
        double weight = (double)(end - i) * rarity(x, w == FV_NO_ID ? 0 : x->words[w].n);
        if (w != FV_NO_ID) add_scores(x, scores, w, weight);
        sum += weight;
    }
    if (whole) *whole = (float)sum;
    return FV_OK;
}
