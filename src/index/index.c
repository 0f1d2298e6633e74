/* The public calls of searching. An item has a slot: its number as a document of words, and where its row of numbers is found.
 *
 * A replacement is put beside what it replaces, and takes its place when all of it is there: so a failure leaves the old one.
 *
 * The trap: readers could keep a writer waiting for ever. So everybody passes a gate, which a writer keeps shut while he waits. */
#include "index/index.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_DIM = 65536, MOST_TOP = 1 << 20, CONSIDERED = 100 }; /* candidates of each way that are fused, at least */

/* A search's room, kept for the next one. */
typedef struct scratch {
    struct scratch *next;
    fv_buf scan;
    fv_near *near;      /* [near_capacity] */
    size_t near_capacity;
    int *counts;        /* [counts_capacity] */
    size_t counts_capacity;
    float *vectors;     /* queries, row by row */
    size_t vectors_capacity;
    float *scores;      /* of words, by slot */
    size_t scores_capacity;
    fv_hit *both;       /* candidates of either way */
    size_t both_capacity;
    fv_terms terms;
} scratch;

struct fv_index {
    fv_index_options o;
    fv_pool *pool;
    pthread_mutex_t gate, spares;
    pthread_rwlock_t lock;
    int64_t *ids;      /* [n_slots] */
    uint32_t *rows;    /* [n_slots] where its vector lies; FV_NO_ROW: it has none */
    size_t n_slots, ids_capacity, rows_capacity;
    uint32_t *free_slots;
    size_t n_free, free_capacity;
    fv_ids of_id;      /* slots */
    fv_vectors vectors;
    fv_bm25 words;
    fv_terms terms;    /* the writer's */
    scratch *spare;
};

void fv_index_options_init(fv_index_options *options) { *options = (fv_index_options){.size = sizeof *options, .words = true, .k1 = 1.2, .b = 0.75}; }
void fv_find_options_init(fv_find_options *options) { *options = (fv_find_options){.size = sizeof *options, .top = 10}; }

/* ---- Locks -------------------------------------------------------------------------------- */

static void lock_to_read(fv_index *x)
{
    pthread_mutex_lock(&x->gate);
    pthread_rwlock_rdlock(&x->lock);
    pthread_mutex_unlock(&x->gate);
}

static void lock_to_write(fv_index *x)
{
    pthread_mutex_lock(&x->gate);
    pthread_rwlock_wrlock(&x->lock);
    pthread_mutex_unlock(&x->gate);
}

static void unlock(fv_index *x) { pthread_rwlock_unlock(&x->lock); }

/* ---- New and free ------------------------------------------------------------------------- */

static fv_status check_options(const fv_index_options *o, fv_err *err)
{
    if (o->dim < 0 || o->dim > MOST_DIM) return FV_FAIL(err, FV_E_ARGUMENT, "an index of vectors of %d numbers; expected 0 (none) to %d", o->dim, MOST_DIM);
    if (!o->dim && !o->words) return FV_FAIL(err, FV_E_ARGUMENT, "an index without vectors and without words finds nothing; set dim, or words");
    if (!(o->k1 >= 0 && o->k1 <= 1000 && o->b >= 0 && o->b <= 1)) return FV_FAIL(err, FV_E_ARGUMENT, "BM25 with k1 %g and b %g; expected 0 or more, and 0 to 1", o->k1, o->b);
    return FV_OK;
}

fv_index *fv_index_new(const fv_index_options *options, fv_err *err)
{
    fv_index_options defaults;
    fv_index_options_init(&defaults);
    if (!options) options = &defaults;
    if (check_options(options, err) != FV_OK || fv_kernels_check(err) != FV_OK) return NULL;
    fv_pool *pool = fv_pool_shared(err);
    fv_index *x = pool ? fv_alloc_zero(1, sizeof *x, err) : NULL;
    if (!x) return NULL;
    x->o = *options;
    x->pool = pool;
    x->vectors.D = options->dim;
    fv_bm25_init(&x->words, options->k1, options->b);
    pthread_mutex_init(&x->gate, NULL);
    pthread_mutex_init(&x->spares, NULL);
    pthread_rwlock_init(&x->lock, NULL);
    return x;
}

static void scratch_free(scratch *s)
{
    fv_buf_release(&s->scan);
    fv_free(s->near);
    fv_free(s->counts);
    fv_free(s->vectors);
    fv_free(s->scores);
    fv_free(s->both);
    fv_terms_release(&s->terms);
    fv_free(s);
}

void fv_index_free(fv_index *x)
{
    if (!x) return;
    for (scratch *s = x->spare, *next; s; s = next) {
        next = s->next;
        scratch_free(s);
    }
    fv_vectors_release(&x->vectors);
    fv_bm25_release(&x->words);
    fv_ids_release(&x->of_id);
    fv_terms_release(&x->terms);
    fv_free(x->ids);
    fv_free(x->rows);
    fv_free(x->free_slots);
    pthread_rwlock_destroy(&x->lock);
    pthread_mutex_destroy(&x->spares);
    pthread_mutex_destroy(&x->gate);
    fv_free(x);
}

/* ---- Items -------------------------------------------------------------------------------- */

/* Adding moves the array of ids, and readers must change nothing: so the table is told each time where they lie. */
static fv_ids table(const fv_index *x)
{
    fv_ids ids = x->of_id;
    ids.keys = x->ids;
    ids.stride = sizeof *x->ids;
    return ids;
}

static uint32_t find(const fv_index *x, int64_t id)
{
    fv_ids ids = table(x);
    return fv_ids_get(&ids, (uint64_t)id);
}

static size_t length(const char *text, size_t len) { return len ? len : strlen(text); }

static fv_status check_item(const fv_index *x, const fv_index_item *item, size_t i, fv_err *err)
{
    if (!item->vector && !item->text) return FV_FAIL(err, FV_E_INPUT, "item %zu: it has neither a vector nor a text", i + 1);
    if (item->vector && !x->o.dim) return FV_FAIL(err, FV_E_ARGUMENT, "item %zu: it has a vector; the index was made without vectors (dim is 0)", i + 1);
    if (item->text && !x->o.words) return FV_FAIL(err, FV_E_ARGUMENT, "item %zu: it has a text; the index was made without words", i + 1);
    if (item->vector && !fv_scan_takes(item->vector, x->o.dim))
        return FV_FAIL(err, FV_E_INPUT, "item %zu: its vector has a number that is not finite, or is longer than %g", i + 1, FV_SCAN_LONGEST);
    if (item->text && length(item->text, item->len) > FV_TERMS_BYTES)
        return FV_FAIL(err, FV_E_INPUT, "item %zu: a text of %zu bytes; expected at most %u", i + 1, length(item->text, item->len), FV_TERMS_BYTES);
    return FV_OK;
}

static uint32_t spare_slot(const fv_index *x) { return x->n_free ? x->free_slots[x->n_free - 1] : (uint32_t)x->n_slots; }

/* Room for one item more, and for its slot to be free one day. */
static fv_status reserve(fv_index *x, fv_err *err)
{
    fv_status status = FV_OK;
    if (!x->n_free) {
        FV_TRY(fv_grow(&x->ids, &x->ids_capacity, x->n_slots + 1, sizeof *x->ids, err));
        FV_TRY(fv_grow(&x->rows, &x->rows_capacity, x->n_slots + 1, sizeof *x->rows, err));
        FV_TRY(fv_grow(&x->free_slots, &x->free_capacity, x->n_slots + 1, sizeof *x->free_slots, err));
    }
    x->of_id = table(x);
    FV_TRY(fv_ids_reserve(&x->of_id, 1, err));
done:
    return status;
}

/* The row that moves into the place of the one that goes belongs to another item, unless it is the same. */
static void drop_row(fv_index *x, uint32_t s)
{
    uint32_t row = x->rows[s];
    int64_t moved = fv_vectors_remove(&x->vectors, row);
    uint32_t other = find(x, moved);
    if (other != FV_NO_ID && x->rows[other] == (uint32_t)x->vectors.n) x->rows[other] = row;
}

static void drop(fv_index *x, uint32_t s)
{
    if (x->rows[s] != FV_NO_ROW) drop_row(x, s);
    fv_bm25_remove(&x->words, s);
    x->of_id = table(x);
    fv_ids_remove(&x->of_id, (uint64_t)x->ids[s]);
    x->free_slots[x->n_free++] = s;
}

/* Everything is there: it becomes the item of that id. A row that both have was the old one's. */
static void commit(fv_index *x, const fv_index_item *item, uint32_t s, uint32_t row, uint32_t old)
{
    if (x->n_free) x->n_free--;
    else x->n_slots++;
    x->ids[s] = item->id;
    x->rows[s] = row;
    if (old != FV_NO_ID) {
        if (row != FV_NO_ROW && row == x->rows[old]) {
            fv_vectors_set(&x->vectors, row, item->vector);
            x->rows[old] = FV_NO_ROW;
        }
        drop(x, old);
    }
    x->of_id = table(x);
    fv_ids_put(&x->of_id, (uint64_t)item->id, s);
}

static fv_status add(fv_index *x, const fv_index_item *item, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(reserve(x, err));
    uint32_t s = spare_slot(x), old = find(x, item->id), row = FV_NO_ROW;
    if (item->text) FV_TRY(fv_bm25_add(&x->words, s, item->text, length(item->text, item->len), &x->terms, err));
    if (item->vector && old != FV_NO_ID) row = x->rows[old];
    if (item->vector && row == FV_NO_ROW) status = fv_vectors_add(&x->vectors, item->id, item->vector, &row, err);
    if (status == FV_OK) commit(x, item, s, row, old);
    else fv_bm25_remove(&x->words, s);
done:
    return status;
}

fv_status fv_index_add(fv_index *x, const fv_index_item *items, size_t n, fv_err *err)
{
    fv_status status = FV_OK;
    for (size_t i = 0; i < n; i++) FV_TRY(check_item(x, &items[i], i, err));
    lock_to_write(x);
    for (size_t i = 0; i < n && status == FV_OK; i++) status = add(x, &items[i], err);
    unlock(x);
done:
    return status;
}

bool fv_index_remove(fv_index *x, int64_t id)
{
    lock_to_write(x);
    uint32_t s = find(x, id);
    if (s != FV_NO_ID) drop(x, s);
    unlock(x);
    return s != FV_NO_ID;
}

bool fv_index_has(fv_index *x, int64_t id)
{
    lock_to_read(x);
    bool there = find(x, id) != FV_NO_ID;
    unlock(x);
    return there;
}

size_t fv_index_size(fv_index *x)
{
    lock_to_read(x);
    size_t n = x->n_slots - x->n_free;
    unlock(x);
    return n;
}

size_t fv_index_bytes(fv_index *x)
{
    lock_to_read(x);
    size_t bytes = sizeof *x + x->ids_capacity * sizeof *x->ids + x->rows_capacity * sizeof *x->rows + x->free_capacity * sizeof *x->free_slots
                   + x->of_id.n_slots * sizeof *x->of_id.slots + fv_vectors_bytes(&x->vectors) + fv_bm25_bytes(&x->words);
    unlock(x);
    return bytes;
}

/* ---- Searching ---------------------------------------------------------------------------- */

typedef struct search {
    fv_index *x;
    scratch *room;
    fv_find by;
    int top, considered; /* hits; candidates of each way */
    fv_err *err;
} search;

static fv_status check_query(const fv_index *x, const fv_query *q, fv_find by, size_t i, fv_err *err)
{
    bool meaning = by != FV_FIND_WORDS, words = by != FV_FIND_MEANING;
    if (meaning && !q->vector) return FV_FAIL(err, FV_E_ARGUMENT, "query %zu: it has no vector, which finding by meaning needs", i + 1);
    if (words && !q->text) return FV_FAIL(err, FV_E_ARGUMENT, "query %zu: it has no text, which finding by words needs", i + 1);
    if (meaning && !fv_scan_takes(q->vector, x->o.dim))
        return FV_FAIL(err, FV_E_INPUT, "query %zu: its vector has a number that is not finite, or is longer than %g", i + 1, FV_SCAN_LONGEST);
    return FV_OK;
}

static fv_status check_search(const fv_index *x, const fv_query *queries, size_t n, const fv_find_options *o, fv_err *err)
{
    fv_status status = FV_OK;
    if (o->top < 1 || o->top > MOST_TOP) return FV_FAIL(err, FV_E_ARGUMENT, "top is %d; expected 1 to %d", o->top, MOST_TOP);
    if (o->by != FV_FIND_WORDS && !x->o.dim) return FV_FAIL(err, FV_E_ARGUMENT, "the index was made without vectors (dim is 0): it finds by words alone");
    if (o->by != FV_FIND_MEANING && !x->o.words) return FV_FAIL(err, FV_E_ARGUMENT, "the index was made without words: it finds by meaning alone");
    for (size_t i = 0; i < n && status == FV_OK; i++) status = check_query(x, &queries[i], o->by, i, err);
    return status;
}

static scratch *take_scratch(fv_index *x, fv_err *err)
{
    pthread_mutex_lock(&x->spares);
    scratch *s = x->spare;
    if (s) x->spare = s->next;
    pthread_mutex_unlock(&x->spares);
    return s ? s : fv_alloc_zero(1, sizeof *s, err);
}

static void give_scratch(fv_index *x, scratch *s)
{
    pthread_mutex_lock(&x->spares);
    s->next = x->spare;
    x->spare = s;
    pthread_mutex_unlock(&x->spares);
}

/* The nearest of every query, one list of `considered` after the other, into near and counts. */
static fv_status scan(search *s, const fv_query *queries, size_t n)
{
    fv_status status = FV_OK;
    const fv_vectors *v = &s->x->vectors;
    scratch *r = s->room;
    FV_TRY(fv_grow(&r->vectors, &r->vectors_capacity, n * (size_t)v->D, sizeof *r->vectors, s->err));
    FV_TRY(fv_grow(&r->near, &r->near_capacity, (n + 1) * (size_t)s->considered, sizeof *r->near, s->err)); /* one more for the words' */
    FV_TRY(fv_grow(&r->counts, &r->counts_capacity, n, sizeof *r->counts, s->err));
    r->scan.len = 0;
    FV_TRY(fv_buf_reserve(&r->scan, fv_scan_scratch(v->D, (int64_t)n, s->considered, fv_pool_threads(s->x->pool)), s->err));
    for (size_t i = 0; i < n; i++) memcpy(r->vectors + i * (size_t)v->D, queries[i].vector, (size_t)v->D * sizeof *r->vectors);
    fv_scan_top(r->near, r->counts, v->blocks, (int64_t)v->n_blocks, r->vectors, v->D, (int64_t)n, v->D, s->considered, s->x->pool, r->scan.data);
done:
    return status;
}

/* The best by words, into list number `list` of near; every slot's score is in `scores` then. */
static fv_status rank_words(search *s, const fv_query *q, size_t list, fv_nearest *best, float *whole)
{
    fv_status status = FV_OK;
    const fv_bm25 *words = &s->x->words;
    scratch *r = s->room;
    FV_TRY(fv_grow(&r->near, &r->near_capacity, (list + 1) * (size_t)s->considered, sizeof *r->near, s->err));
    FV_TRY(fv_grow(&r->scores, &r->scores_capacity, words->n_documents, sizeof *r->scores, s->err));
    FV_TRY(fv_bm25_scores(words, r->scores, whole, q->text, length(q->text, q->len), &r->terms, s->err));
    *best = (fv_nearest){.items = r->near + list * (size_t)s->considered, .k = s->considered};
    for (size_t d = 0; d < words->n_documents; d++)
        if (r->scores[d] > 0 && fv_nearest_wants(best, r->scores[d])) fv_nearest_add(best, s->x->ids[d], r->scores[d]);
    fv_nearest_sort(best);
done:
    return status;
}

/* ---- Hits ---- */

static size_t give_meaning(const search *s, const fv_near *near, int n, fv_hit *hits)
{
    n = n < s->top ? n : s->top;
    for (int i = 0; i < n; i++) hits[i] = (fv_hit){.id = near[i].name, .score = near[i].score, .meaning = near[i].score, .words = NAN, .meaning_rank = i + 1};
    return (size_t)n;
}

static size_t give_words(const search *s, const fv_near *near, int n, fv_hit *hits)
{
    n = n < s->top ? n : s->top;
    for (int i = 0; i < n; i++) hits[i] = (fv_hit){.id = near[i].name, .score = near[i].score, .meaning = NAN, .words = near[i].score, .words_rank = i + 1};
    return (size_t)n;
}

static int by_id(const void *a, const void *b)
{
    int64_t x = ((const fv_hit *)a)->id, y = ((const fv_hit *)b)->id;
    return (x > y) - (x < y);
}

static int best_first(const void *a, const void *b)
{
    const fv_hit *x = a, *y = b;
    return x->score != y->score ? (x->score < y->score ? 1 : -1) : by_id(a, b);
}

/* One list of both: an item that is in both lists once, with both of its places. */
static size_t join(fv_hit *all, const fv_near *near, int n_near, const fv_nearest *words)
{
    size_t n = 0, joined = 0;
    for (int i = 0; i < n_near; i++) all[n++] = (fv_hit){.id = near[i].name, .meaning_rank = i + 1};
    for (int i = 0; i < words->n; i++) all[n++] = (fv_hit){.id = words->items[i].name, .words_rank = i + 1};
    qsort(all, n, sizeof *all, by_id);
    for (size_t i = 0; i < n; i++) {
        if (!joined || all[joined - 1].id != all[i].id) {
            all[joined++] = all[i];
            continue;
        }
        all[joined - 1].meaning_rank += all[i].meaning_rank;
        all[joined - 1].words_rank += all[i].words_rank;
    }
    return joined;
}

/* Both scores of an item, wherever it was found. */
static void score_both(const search *s, const fv_query *q, fv_hit *hit)
{
    const fv_index *x = s->x;
    uint32_t slot = find(x, hit->id), row = x->rows[slot];
    hit->meaning = row == FV_NO_ROW ? NAN : (float)fv_scan_product(fv_vectors_get(&x->vectors, row), q->vector, x->o.dim);
    hit->words = fv_bm25_has(&x->words, slot) ? s->room->scores[slot] : NAN;
}

static fv_status give_both(search *s, const fv_query *q, size_t n_queries, size_t i, fv_hit *hits, size_t *count)
{
    fv_status status = FV_OK;
    fv_nearest words;
    float whole;
    scratch *r = s->room;
    FV_TRY(rank_words(s, q, n_queries, &words, &whole));
    const fv_near *near = r->near + i * (size_t)s->considered;
    FV_TRY(fv_grow(&r->both, &r->both_capacity, 2 * (size_t)s->considered, sizeof *r->both, s->err));
    size_t n = join(r->both, near, r->counts[i], &words);
    for (size_t k = 0; k < n; k++) {
        score_both(s, q, &r->both[k]);
        r->both[k].score = fv_fuse(&r->both[k], whole);
    }
    qsort(r->both, n, sizeof *r->both, best_first);
    *count = n < (size_t)s->top ? n : (size_t)s->top;
    memcpy(hits, r->both, *count * sizeof *hits);
done:
    return status;
}

static fv_status search_all(search *s, const fv_query *queries, size_t n, fv_hit *hits, size_t *counts)
{
    fv_status status = FV_OK;
    fv_nearest words;
    if (s->by != FV_FIND_WORDS) FV_TRY(scan(s, queries, n));
    for (size_t i = 0; i < n; i++, hits += s->top) {
        if (s->by == FV_FIND_MEANING) counts[i] = give_meaning(s, s->room->near + i * (size_t)s->considered, s->room->counts[i], hits);
        if (s->by == FV_FIND_HYBRID) FV_TRY(give_both(s, &queries[i], n, i, hits, &counts[i]));
        if (s->by != FV_FIND_WORDS) continue;
        FV_TRY(rank_words(s, &queries[i], 0, &words, NULL));
        counts[i] = give_words(s, words.items, words.n, hits);
    }
done:
    return status;
}

/* No more than there are items, whatever was asked for. */
static int candidates(const fv_index *x, const fv_find_options *o)
{
    size_t items = x->n_slots - x->n_free;
    int wanted = o->by == FV_FIND_HYBRID && o->top < CONSIDERED ? CONSIDERED : o->top;
    return items < (size_t)wanted ? (int)items : wanted;
}

fv_status fv_index_search(fv_index *x, const fv_query *queries, size_t n, const fv_find_options *options, fv_hit *hits, size_t *counts, fv_err *err)
{
    fv_find_options defaults;
    fv_find_options_init(&defaults);
    if (!options) options = &defaults;
    fv_status status = check_search(x, queries, n, options, err);
    if (status != FV_OK || n == 0) return status;
    search s = {.x = x, .by = options->by, .top = options->top, .err = err, .room = take_scratch(x, err)};
    if (!s.room) return FV_E_MEMORY;
    lock_to_read(x);
    s.considered = candidates(x, options);
    if (s.considered) status = search_all(&s, queries, n, hits, counts);
    else memset(counts, 0, n * sizeof *counts);
    unlock(x);
    give_scratch(x, s.room);
    return status;
}

/* ---- Words of a query in a text ----------------------------------------------------------- */

static int by_hash(const void *a, const void *b)
{
    uint64_t x = ((const fv_term *)a)->hash, y = ((const fv_term *)b)->hash;
    return (x > y) - (x < y);
}

/* Pairs of characters overlap; what touches so becomes one. */
static void add_extent(fv_extent *list, size_t *n, const fv_term *t)
{
    fv_extent *last = *n ? &list[*n - 1] : NULL;
    if (last && t->begin < last->end) last->end = t->end > last->end ? t->end : last->end;
    else list[(*n)++] = (fv_extent){.begin = t->begin, .end = t->end};
}

fv_status fv_matched_words(const char *query, size_t query_len, const char *text, size_t len, fv_extent **out, size_t *n, fv_err *err)
{
    fv_status status = FV_OK;
    fv_terms asked = {0}, there = {0};
    *out = NULL;
    *n = 0;
    FV_TRY(fv_terms_of(&asked, FV_TERMS_QUERY, query, length(query, query_len), err));
    FV_TRY(fv_terms_of(&there, FV_TERMS_DOCUMENT, text, length(text, len), err));
    if (asked.n) qsort(asked.items, asked.n, sizeof *asked.items, by_hash);
    *out = malloc((there.n + 1) * sizeof **out);
    if (!*out) FV_TRY(FV_FAIL(err, FV_E_MEMORY, "out of memory: the places of %zu words", there.n));
    for (size_t i = 0; i < there.n; i++)
        if (asked.n && bsearch(&there.items[i], asked.items, asked.n, sizeof *asked.items, by_hash)) add_extent(*out, n, &there.items[i]);
done:
    fv_terms_release(&asked);
    fv_terms_release(&there);
    return status;
}
