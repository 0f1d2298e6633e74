/* Searches of which each has one core, or one that has them all.
 *
 * The trap: memory. Each search has caches, so those that work side by side take fewer hypotheses at a time. */
#include "infer/team.h"

#include <stdlib.h>
#include <string.h>

#include "infer/decoder.h"

enum {
    LEAST_ROWS = 16, /* hypotheses for each core: with fewer it is the weights' way from memory that takes the time, which all should share */
    SIDE_ROWS = 64,  /* of one search among several, at a time */
};

/* A search with its decoder, and what it works on in this run. */
typedef struct member {
    fv_decoder *decoder;
    fv_search *search;
    fv_search_source *sources;
    fv_hypothesis *out;
    size_t n;
    fv_status status;
    fv_err err;
} member;

struct fv_team {
    const fv_seq2seq *model;
    const fv_shortlist *list;
    fv_pool *pool;
    member together; /* has all threads */
    member *sides;   /* [n_sides], each has one */
    size_t n_sides;
};

fv_team *fv_team_new(const fv_seq2seq *model, const fv_shortlist *list, fv_pool *pool, fv_err *err)
{
    fv_team *t = fv_alloc_zero(1, sizeof *t, err);
    if (t) *t = (fv_team){.model = model, .list = list, .pool = pool};
    return t;
}

static void release(member *m)
{
    fv_search_free(m->search);
    fv_decoder_free(m->decoder);
    *m = (member){0};
}

static void release_sides(fv_team *t)
{
    for (size_t i = 0; i < t->n_sides; i++) release(&t->sides[i]);
    fv_free(t->sides);
    t->sides = NULL;
    t->n_sides = 0;
}

void fv_team_free(fv_team *t)
{
    if (!t) return;
    release(&t->together);
    release_sides(t);
    fv_free(t);
}

/* Made when first needed: most sessions need only one kind. */
static fv_status make(const fv_team *t, member *m, fv_pool *pool, fv_err *err)
{
    fv_status status = FV_OK;
    if (m->search) return FV_OK;
    release(m);
    m->decoder = fv_decoder_new(t->model, pool, err);
    if (!m->decoder) return FV_E_MEMORY;
    if (t->list) FV_TRY(fv_decoder_restrict(m->decoder, t->list, pool, err));
    fv_stepper stepper = fv_decoder_stepper(m->decoder);
    m->search = fv_search_new(&stepper, pool, err);
    if (!m->search) return FV_E_MEMORY;
done:
    return status;
}

/* The number of threads may have changed since the last run. */
static fv_status make_sides(fv_team *t, size_t threads, fv_err *err)
{
    fv_status status = FV_OK;
    if (t->n_sides != threads) {
        release_sides(t);
        t->sides = fv_alloc_zero(threads, sizeof *t->sides, err);
        if (!t->sides) return FV_E_MEMORY;
        t->n_sides = threads;
    }
    for (size_t i = 0; i < threads; i++) FV_TRY(make(t, &t->sides[i], NULL, err));
done:
    return status;
}

/* ---- Dealing ---- */

typedef struct dealt { int32_t n; uint32_t source; } dealt;

static int longest_first(const void *a, const void *b)
{
    const dealt *x = a, *y = b;
    if (x->n != y->n) return x->n < y->n ? 1 : -1;
    return (x->source > y->source) - (x->source < y->source);
}

/* Sources by length, so that dealing them round gives each search as much to do as the others. */
static dealt *deal(const fv_search_source *sources, size_t n, fv_err *err)
{
    dealt *cards = fv_alloc(n * sizeof *cards, err);
    if (!cards) return NULL;
    for (size_t i = 0; i < n; i++) cards[i] = (dealt){.n = sources[i].n, .source = (uint32_t)i};
    qsort(cards, n, sizeof *cards, longest_first);
    return cards;
}

typedef struct sharing {
    fv_team *team;
    const fv_search_options *options;
} sharing;

static void search_alone(void *arg, int64_t task, int worker)
{
    (void)worker;
    const sharing *s = arg;
    member *m = &s->team->sides[task];
    m->status = fv_search_run(m->search, m->sources, m->n, s->options, m->out, &m->err);
}

/* Of several failures the one of the earliest search. */
static fv_status first_failure(const fv_team *t, fv_err *err)
{
    for (size_t i = 0; i < t->n_sides; i++) {
        if (t->sides[i].status == FV_OK) continue;
        if (err) *err = t->sides[i].err;
        return t->sides[i].status;
    }
    return FV_OK;
}

static fv_status run_sides(fv_team *t, const fv_search_source *sources, size_t n, const fv_search_options *options, fv_hypothesis *out, fv_err *err)
{
    fv_status status = FV_OK;
    size_t nbest = (size_t)options->nbest, sides = t->n_sides;
    dealt *cards = deal(sources, n, err);
    fv_search_source *mine = cards ? fv_alloc(n * sizeof *mine, err) : NULL;
    fv_hypothesis *found = mine ? fv_alloc_zero(n * nbest, sizeof *found, err) : NULL;
    if (!found) {
        status = FV_E_MEMORY;
        goto done;
    }
    for (size_t i = 0, at = 0; i < sides; i++) {
        member *m = &t->sides[i];
        *m = (member){.decoder = m->decoder, .search = m->search, .sources = mine + at, .out = found + at * nbest};
        for (size_t card = i; card < n; card += sides) m->sources[m->n++] = sources[cards[card].source];
        at += m->n;
    }
    fv_pool_run(t->pool, (int64_t)sides, search_alone, &(sharing){t, options});
    FV_TRY(first_failure(t, err));
    for (size_t card = 0; card < n; card++)
        memcpy(out + cards[card].source * nbest, t->sides[card % sides].out + card / sides * nbest, nbest * sizeof *out);
done:
    fv_free(cards);
    fv_free(mine);
    fv_free(found);
    return status;
}

/* ---- Entry ---- */

fv_status fv_team_run(fv_team *t, const fv_search_source *sources, size_t n, const fv_search_options *options, fv_hypothesis *out, fv_err *err)
{
    fv_status status = FV_OK;
    size_t threads = (size_t)fv_pool_threads(t->pool), beam = options->beam > 0 ? (size_t)options->beam : 1;
    if (threads > 1 && options->nbest > 0 && n * beam >= threads * LEAST_ROWS) {
        fv_search_options side = *options;
        if (!side.rows) side.rows = SIDE_ROWS;
        FV_TRY(make_sides(t, threads, err));
        return run_sides(t, sources, n, &side, out, err);
    }
    FV_TRY(make(t, &t->together, t->pool, err));
    return fv_search_run(t->together.search, sources, n, options, out, err);
done:
    return status;
}
