/* EM for IBM Model 1. The file and the union of rows are infer/shortlist.c's.
 *
 * The table of probabilities has a row for each source token, and one more for the empty word, which makes what no
 * source token does. One iteration walks the pairs twice: first each target token learns how probable it is in its
 * pair (a task for some pairs), then each source token gathers its share of all its pairs' target tokens (a task
 * for some source tokens). So every number has one writer, which adds in the order of the pairs: that is why the
 * bits do not depend on threads. It is also why a token knows its pairs (`pairs`, by `starts`).
 *
 * The trap: rows are cut to FV_LEXICON_ROW, so a target token may be in no row of its pair. Its probability is 0
 * then, and nothing may be divided by it. */
#include "train/lexicon.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { SOURCES = 64, PAIRS = 256 /* of one task */ };

typedef struct candidate {
    int32_t target;
    int32_t beside, frequency; /* of the source token; in all texts */
    float p;
} candidate;

/* Scratch of one thread. */
typedef struct room {
    int32_t *places; /* [target_vocab] 0, or the place in a row + 1; counts while rows are made */
    candidate *found; /* [target_vocab] */
    double shares[FV_LEXICON_ROW];
} room;

typedef struct learner {
    const fv_lexicon_options *o;
    const fv_token_rows *source, *target;
    int64_t *starts; /* [source_vocab + 1] a source token's occurrences: pairs[starts[i] .. starts[i + 1]) */
    uint32_t *pairs;
    int32_t *frequency; /* [target_vocab] */
    int64_t *rows; /* [source_vocab + 2] room for a row's entries; the last row is the empty word's */
    int32_t *lengths; /* [source_vocab + 1] entries that it has */
    int32_t *targets; /* entries, ascending in a row */
    float *p;
    float *sums; /* [target tokens] probability of each in its pair */
    room *rooms; /* [n_rooms] */
    size_t n_rooms;
} learner;

void fv_lexicon_options_init(fv_lexicon_options *options)
{
    *options = (fv_lexicon_options){.frequent = 300, .best = 100, .floor = 0.0001, .iterations = 5};
}

/* ---- Occurrences -------------------------------------------------------------------------- */

static void count_targets(learner *l)
{
    for (int64_t i = 0; i < l->target->offsets[l->target->n]; i++) {
        FV_ASSERT(l->target->ids[i] >= 0 && l->target->ids[i] < l->o->target_vocab);
        l->frequency[l->target->ids[i]]++;
    }
}

/* Counting sort of the source tokens by id; their pairs stay in order. */
static void sort_occurrences(learner *l)
{
    const fv_token_rows *s = l->source;
    int32_t V = l->o->source_vocab;
    for (int64_t i = 0; i < s->offsets[s->n]; i++) {
        FV_ASSERT(s->ids[i] >= 0 && s->ids[i] < V);
        l->starts[s->ids[i] + 1]++;
    }
    for (int32_t i = 0; i < V; i++) l->starts[i + 1] += l->starts[i];
    for (size_t pair = 0; pair < s->n; pair++)
        for (int64_t i = s->offsets[pair]; i < s->offsets[pair + 1]; i++) l->pairs[l->starts[s->ids[i]]++] = (uint32_t)pair;
    /* each start is now the next one's: move them back */
    memmove(l->starts + 1, l->starts, (size_t)V * sizeof *l->starts);
    l->starts[0] = 0;
}

static int64_t occurrences(const learner *l, int32_t source)
{
    return source == l->o->source_vocab ? (int64_t)l->target->n : l->starts[source + 1] - l->starts[source];
}

/* The pair of a token's i-th occurrence; the empty word is in every pair. */
static size_t pair_of(const learner *l, int32_t source, int64_t i)
{
    return source == l->o->source_vocab ? (size_t)i : l->pairs[l->starts[source] + i];
}

/* ---- Rows --------------------------------------------------------------------------------- */

/* A row has no more entries than there are target tokens beside its source token. */
static int64_t plan_rows(learner *l)
{
    l->rows[0] = 0;
    for (int32_t s = 0; s <= l->o->source_vocab; s++) {
        int64_t n = 0;
        for (int64_t i = 0; i < occurrences(l, s) && n < FV_LEXICON_ROW; i++) {
            size_t pair = pair_of(l, s, i);
            n += l->target->offsets[pair + 1] - l->target->offsets[pair];
        }
        l->rows[s + 1] = l->rows[s] + (n < FV_LEXICON_ROW ? n : FV_LEXICON_ROW);
    }
    return l->rows[l->o->source_vocab + 1];
}

/* Oftener beside the source token first; of equals the one that is rarer elsewhere. */
static int by_company(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->beside != y->beside) return x->beside > y->beside ? -1 : 1;
    if (x->frequency != y->frequency) return x->frequency < y->frequency ? -1 : 1;
    return (x->target > y->target) - (x->target < y->target);
}

static int by_id(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static void make_row(learner *l, int32_t source, room *r)
{
    int32_t n = 0, kept;
    for (int64_t i = 0; i < occurrences(l, source); i++) {
        size_t pair = pair_of(l, source, i);
        for (int64_t k = l->target->offsets[pair]; k < l->target->offsets[pair + 1]; k++) {
            int32_t t = l->target->ids[k];
            if (r->places[t]++ == 0) r->found[n++] = (candidate){.target = t, .frequency = l->frequency[t]};
        }
    }
    for (int32_t i = 0; i < n; i++) {
        r->found[i].beside = r->places[r->found[i].target];
        r->places[r->found[i].target] = 0;
    }
    if (n > FV_LEXICON_ROW) qsort(r->found, (size_t)n, sizeof *r->found, by_company);
    kept = n < FV_LEXICON_ROW ? n : FV_LEXICON_ROW;
    int32_t *targets = l->targets + l->rows[source];
    for (int32_t i = 0; i < kept; i++) {
        targets[i] = r->found[i].target;
        l->p[l->rows[source] + i] = 1; /* all alike; the first iteration makes them sum to 1 */
    }
    qsort(targets, (size_t)kept, sizeof *targets, by_id);
    l->lengths[source] = kept;
}

/* ---- EM ----------------------------------------------------------------------------------- */

static float probability(const learner *l, int32_t source, int32_t target)
{
    const int32_t *row = l->targets + l->rows[source];
    int32_t low = 0, high = l->lengths[source];
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (row[middle] < target) low = middle + 1;
        else high = middle;
    }
    return low < l->lengths[source] && row[low] == target ? l->p[l->rows[source] + low] : 0;
}

static void sum_pair(learner *l, size_t pair)
{
    const fv_token_rows *s = l->source, *t = l->target;
    for (int64_t k = t->offsets[pair]; k < t->offsets[pair + 1]; k++) {
        double sum = (double)probability(l, l->o->source_vocab, t->ids[k]);
        for (int64_t i = s->offsets[pair]; i < s->offsets[pair + 1]; i++) sum += (double)probability(l, s->ids[i], t->ids[k]);
        l->sums[k] = (float)sum;
    }
}

/* A source token's share of each target token beside it is its part of that one's probability. */
static void gather_row(learner *l, int32_t source, room *r)
{
    const fv_token_rows *t = l->target;
    const int32_t *row = l->targets + l->rows[source], n = l->lengths[source];
    float *p = l->p + l->rows[source];
    double all = 0;
    for (int32_t i = 0; i < n; i++) {
        r->places[row[i]] = i + 1;
        r->shares[i] = 0;
    }
    for (int64_t i = 0; i < occurrences(l, source); i++) {
        size_t pair = pair_of(l, source, i);
        for (int64_t k = t->offsets[pair]; k < t->offsets[pair + 1]; k++) {
            int32_t place = r->places[t->ids[k]];
            if (place && l->sums[k] > 0) r->shares[place - 1] += (double)(p[place - 1] / l->sums[k]);
        }
    }
    for (int32_t i = 0; i < n; i++) all += r->shares[i];
    for (int32_t i = 0; i < n; i++) {
        r->places[row[i]] = 0;
        if (all > 0) p[i] = (float)(r->shares[i] / all);
    }
}

static void make_rows(void *arg, int64_t task, int worker)
{
    learner *l = arg;
    for (int32_t s = (int32_t)task * SOURCES, end = s + SOURCES; s < end && s <= l->o->source_vocab; s++) make_row(l, s, &l->rooms[worker]);
}

static void sum_pairs(void *arg, int64_t task, int worker)
{
    (void)worker;
    learner *l = arg;
    for (size_t i = (size_t)task * PAIRS, end = i + PAIRS; i < end && i < l->source->n; i++) sum_pair(l, i);
}

static void gather_rows(void *arg, int64_t task, int worker)
{
    learner *l = arg;
    for (int32_t s = (int32_t)task * SOURCES, end = s + SOURCES; s < end && s <= l->o->source_vocab; s++) gather_row(l, s, &l->rooms[worker]);
}

static void learn(learner *l, fv_pool *pool)
{
    int64_t sources = l->o->source_vocab / SOURCES + 1, pairs = ((int64_t)l->source->n + PAIRS - 1) / PAIRS;
    fv_pool_run(pool, sources, make_rows, l);
    for (int i = 0; i < l->o->iterations; i++) {
        fv_pool_run(pool, pairs, sum_pairs, l);
        fv_pool_run(pool, sources, gather_rows, l);
    }
}

/* ---- The list ----------------------------------------------------------------------------- */

static int by_probability(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->p != y->p) return x->p > y->p ? -1 : 1;
    return (x->target > y->target) - (x->target < y->target);
}

static int by_frequency(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->frequency != y->frequency) return x->frequency > y->frequency ? -1 : 1;
    return (x->target > y->target) - (x->target < y->target);
}

/* Ascending, without repeats; gives how many are left. */
static int32_t sort_ids(int32_t *ids, int32_t n)
{
    int32_t left = 0;
    qsort(ids, (size_t)n, sizeof *ids, by_id);
    for (int32_t i = 0; i < n; i++)
        if (left == 0 || ids[left - 1] != ids[i]) ids[left++] = ids[i];
    return left;
}

/* The likeliest targets of a source token, into out; gives how many, at most o->best + 1. */
static int32_t best_of(const learner *l, int32_t source, candidate *found, int32_t *out)
{
    int32_t n = 0;
    for (int32_t i = 0; i < l->lengths[source]; i++) found[i] = (candidate){.target = l->targets[l->rows[source] + i], .p = l->p[l->rows[source] + i]};
    qsort(found, (size_t)l->lengths[source], sizeof *found, by_probability);
    for (int32_t i = 0; i < l->lengths[source] && n < l->o->best && (double)found[i].p >= l->o->floor; i++) out[n++] = found[i].target;
    if (l->o->shared && source < l->o->target_vocab) out[n++] = source;
    return sort_ids(out, n);
}

static fv_status give_rows(fv_shortlist *out, const learner *l, fv_err *err)
{
    size_t most = 0;
    for (int32_t s = 0; s < l->o->source_vocab; s++) most += (size_t)(l->lengths[s] < l->o->best ? l->lengths[s] : l->o->best) + l->o->shared;
    if (most > INT32_MAX) return FV_FAIL(err, FV_E_ARGUMENT, "a shortlist of up to %zu candidates in all; expected at most %d: keep fewer of each token", most, INT32_MAX);
    out->offsets = fv_alloc_zero((size_t)out->source_vocab + 1, sizeof *out->offsets, err);
    out->targets = out->offsets ? fv_alloc(most * sizeof *out->targets, err) : NULL;
    if (!out->targets) return FV_E_MEMORY;
    for (int32_t s = 0; s < l->o->source_vocab; s++)
        out->offsets[s + 1] = out->offsets[s] + best_of(l, s, l->rooms[0].found, out->targets + out->offsets[s]);
    return FV_OK;
}

static fv_status give_always(fv_shortlist *out, const learner *l, fv_err *err)
{
    candidate *found = l->rooms[0].found;
    int32_t V = l->o->target_vocab, n = l->o->n_always;
    int32_t frequent = l->o->frequent < V ? l->o->frequent : V;
    out->always = fv_alloc((size_t)(n + frequent) * sizeof *out->always, err);
    if (!out->always) return FV_E_MEMORY;
    if (n) memcpy(out->always, l->o->always, (size_t)n * sizeof *out->always);
    for (int32_t t = 0; t < V; t++) found[t] = (candidate){.target = t, .frequency = l->frequency[t]};
    qsort(found, (size_t)V, sizeof *found, by_frequency);
    for (int32_t i = 0; i < frequent; i++) out->always[n++] = found[i].target;
    out->n_always = sort_ids(out->always, n);
    return FV_OK;
}

/* ---- Memory ------------------------------------------------------------------------------- */

static void release(learner *l)
{
    for (size_t i = 0; l->rooms && i < l->n_rooms; i++) {
        fv_free(l->rooms[i].places);
        fv_free(l->rooms[i].found);
    }
    fv_free(l->rooms);
    fv_free(l->starts);
    fv_free(l->pairs);
    fv_free(l->frequency);
    fv_free(l->rows);
    fv_free(l->lengths);
    fv_free(l->targets);
    fv_free(l->p);
    fv_free(l->sums);
}

static fv_status make_rooms(learner *l, fv_pool *pool, fv_err *err)
{
    l->n_rooms = pool ? (size_t)fv_pool_threads(pool) : 1;
    if (!(l->rooms = fv_alloc_zero(l->n_rooms, sizeof *l->rooms, err))) return FV_E_MEMORY;
    for (size_t i = 0; i < l->n_rooms; i++) {
        room *r = &l->rooms[i];
        r->places = fv_alloc_zero((size_t)l->o->target_vocab, sizeof *r->places, err);
        r->found = r->places ? fv_alloc((size_t)l->o->target_vocab * sizeof *r->found, err) : NULL;
        if (!r->found) return FV_E_MEMORY;
    }
    return FV_OK;
}

static fv_status prepare(learner *l, fv_pool *pool, fv_err *err)
{
    size_t V = (size_t)l->o->source_vocab, n_source = (size_t)l->source->offsets[l->source->n], n_target = (size_t)l->target->offsets[l->target->n];
    fv_status status = make_rooms(l, pool, err);
    if (status != FV_OK) return status;
    if (!(l->starts = fv_alloc_zero(V + 1, sizeof *l->starts, err))) return FV_E_MEMORY;
    if (!(l->pairs = fv_alloc_zero(n_source, sizeof *l->pairs, err))) return FV_E_MEMORY;
    if (!(l->frequency = fv_alloc_zero((size_t)l->o->target_vocab, sizeof *l->frequency, err))) return FV_E_MEMORY;
    if (!(l->rows = fv_alloc_zero(V + 2, sizeof *l->rows, err))) return FV_E_MEMORY;
    if (!(l->lengths = fv_alloc_zero(V + 1, sizeof *l->lengths, err))) return FV_E_MEMORY;
    if (!(l->sums = fv_alloc_zero(n_target, sizeof *l->sums, err))) return FV_E_MEMORY;
    count_targets(l);
    sort_occurrences(l);
    size_t entries = (size_t)plan_rows(l);
    if (!(l->targets = fv_alloc_zero(entries, sizeof *l->targets, err))) return FV_E_MEMORY;
    if (!(l->p = fv_alloc_zero(entries, sizeof *l->p, err))) return FV_E_MEMORY;
    return FV_OK;
}

static bool make_sense(const fv_lexicon_options *o)
{
    return o->source_vocab > 0 && o->target_vocab > 0 && o->n_always >= 0 && o->frequent >= 0 && o->best >= 0 && o->iterations > 0 && o->floor >= 0;
}

fv_status fv_lexicon_learn(fv_shortlist *out, const fv_lexicon_options *options, const fv_token_rows *source, const fv_token_rows *target, fv_pool *pool, fv_err *err)
{
    fv_status status = FV_OK;
    learner l = {.o = options, .source = source, .target = target};
    *out = (fv_shortlist){.source_vocab = options->source_vocab, .target_vocab = options->target_vocab};
    FV_ASSERT(make_sense(options) && source->n == target->n && source->n <= UINT32_MAX);
    if (source->n == 0) return FV_FAIL(err, FV_E_INPUT, "no pairs of texts to learn a shortlist from; expected at least one");
    FV_TRY(prepare(&l, pool, err));
    learn(&l, pool);
    FV_TRY(give_rows(out, &l, err));
    FV_TRY(give_always(out, &l, err));
    FV_TRY(fv_shortlist_seal(out, "the learned shortlist", err));
done:
    release(&l);
    if (status != FV_OK) fv_shortlist_release(out);
    return status;
}
