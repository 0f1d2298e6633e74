/* Batches side by side, or one after the other with all threads at each.
 *
 * The traps: memory, since each core has a graph, so that batches side by side are small; and other sessions, which wait for the
 * pool: it is handed back after a few batches. */
#include "infer/crew.h"

#ifdef FV_STRESS
enum { LEAST_TOKENS = 8, SIDE_TOKENS = 24, WAVE = 2 };
#else
enum {
    LEAST_TOKENS = 64, /* for each core: with fewer it is the weights' way from memory that takes the time, which all should share */
    SIDE_TOKENS = 256, /* of a batch among several: their activations, some hundred kilobytes, stay in the second cache */
    WAVE = 4,          /* batches of each core before the pool is handed back */
};
#endif

/* A core's graph, where its batch is put together, and how it went. */
typedef struct side {
    fv_graph *graph;
    fv_batch_room room;
    size_t failed; /* the batch that failed; with status */
    fv_status status;
    fv_err err;
} side;

struct fv_crew {
    fv_graph *together;
    fv_pool *pool;
    side *sides;
    int n_sides;
};

fv_crew *fv_crew_new(fv_graph *graph, fv_pool *pool, fv_err *err)
{
    fv_crew *c = fv_alloc_zero(1, sizeof *c, err);
    if (c) *c = (fv_crew){.together = graph, .pool = pool};
    return c;
}

static void release_sides(fv_crew *c)
{
    for (int i = 0; i < c->n_sides; i++) fv_graph_free(c->sides[i].graph);
    fv_free(c->sides);
    c->sides = NULL;
    c->n_sides = 0;
}

void fv_crew_free(fv_crew *c)
{
    if (!c) return;
    release_sides(c);
    fv_free(c);
}

/* The number of threads may have changed since the last run. */
static fv_status make_sides(fv_crew *c, int threads, fv_err *err)
{
    if (c->n_sides == threads) return FV_OK;
    release_sides(c);
    c->sides = fv_alloc_zero((size_t)threads, sizeof *c->sides, err);
    if (!c->sides) return FV_E_MEMORY;
    for (; c->n_sides < threads; c->n_sides++) {
        fv_graph *g = c->sides[c->n_sides].graph = fv_graph_new(NULL, err);
        if (!g) return release_sides(c), FV_E_MEMORY;
        fv_graph_set_precision(g, fv_graph_precision(c->together));
    }
    return FV_OK;
}

typedef struct wave {
    fv_crew *crew;
    const fv_sampler *sampler;
    size_t first;
    fv_crew_fn fn;
    void *user;
} wave;

static void run_beside(void *arg, int64_t task, int worker)
{
    const wave *w = arg;
    side *s = &w->crew->sides[worker];
    fv_batch batch;
    if (s->status != FV_OK) return;
    fv_sampler_read(w->sampler, w->first + (size_t)task, &s->room, &batch);
    s->status = w->fn(w->user, s->graph, &batch, &s->err);
    s->failed = w->first + (size_t)task;
}

/* Of several failures the one of the earliest batch. */
static fv_status first_failure(const fv_crew *c, fv_err *err)
{
    const side *first = NULL;
    for (int i = 0; i < c->n_sides; i++) {
        const side *s = &c->sides[i];
        if (s->status != FV_OK && (!first || s->failed < first->failed)) first = s;
    }
    if (first && err) *err = first->err;
    return first ? first->status : FV_OK;
}

static fv_status run_sides(fv_crew *c, const fv_sampler *sampler, fv_crew_fn fn, void *user, fv_err *err)
{
    fv_status status = FV_OK;
    size_t most = WAVE * (size_t)c->n_sides;
    for (int i = 0; i < c->n_sides; i++) {
        c->sides[i].status = FV_OK;
        FV_TRY(fv_batch_room_init(&c->sides[i].room, sampler, err));
    }
    for (size_t first = 0; first < sampler->n_batches; first += most) {
        size_t left = sampler->n_batches - first;
        fv_pool_run(c->pool, (int64_t)(left < most ? left : most), run_beside, &(wave){c, sampler, first, fn, user});
        FV_TRY(first_failure(c, err));
    }
done:
    for (int i = 0; i < c->n_sides; i++) fv_batch_room_release(&c->sides[i].room);
    return status;
}

static fv_status run_together(fv_crew *c, fv_sampler *sampler, fv_crew_fn fn, void *user, fv_err *err)
{
    for (size_t i = 0; i < sampler->n_batches; i++) {
        fv_batch batch;
        fv_sampler_get(sampler, i, &batch);
        fv_status status = fn(user, c->together, &batch, err);
        if (status != FV_OK) return status;
    }
    return FV_OK;
}

/* Batches about as large as each other, as many for each core. A batch is full once the next row would not fit, so there is room for
 * the longest row beside what it should have; else what is left over would make a batch more. */
static int64_t side_tokens(const fv_token_rows *rows, int threads)
{
    int64_t tokens = rows->offsets[rows->n], rounds = (tokens + (int64_t)threads * SIDE_TOKENS - 1) / ((int64_t)threads * SIDE_TOKENS), batches = rounds * threads;
    return (tokens + batches - 1) / batches + rows->max_len - 1;
}

fv_status fv_crew_run(fv_crew *c, const fv_token_rows *rows, int batch_tokens, fv_crew_fn fn, void *user, fv_err *err)
{
    fv_status status = FV_OK;
    fv_sampler sampler = {0};
    int threads = fv_pool_threads(c->pool);
    bool beside = threads > 1 && rows->n > 1 && rows->offsets[rows->n] >= (int64_t)threads * LEAST_TOKENS;
    int64_t most = beside ? side_tokens(rows, threads) : batch_tokens;
    FV_TRY(fv_sampler_init(&sampler, rows, most < batch_tokens ? (int)most : batch_tokens, 0, err));
    fv_sampler_plan(&sampler, -1);
    if (beside) FV_TRY(make_sides(c, threads, err));
    status = beside && sampler.n_batches > 1 ? run_sides(c, &sampler, fn, user, err) : run_together(c, &sampler, fn, user, err);
done:
    fv_sampler_release(&sampler);
    return status;
}
