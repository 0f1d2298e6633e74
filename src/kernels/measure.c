/* What this machine reaches at best, the denominator of every share of peak: the multiply-add chains
 * and the triad of the tables, timed here. The best of several runs, since other programs only ever
 * make a run slower.
 *
 * The trap: with n threads there must be n tasks that take equally long and start together, so each
 * run is one job of a task a thread, and a short job before it wakes the threads. */
#include <time.h>

#include "base/mem.h"
#include "kernels/cpu/isa.h"

enum { RUNS = 7, TASKS_PER_THREAD = 4 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The fastest set that the processor offers, whichever is in use: a share of peak compares with it. */
typedef struct chains {
    const fv_isa_table *isa;
    int64_t steps;
    double flops; /* of one task; every task writes the same */
} chains;

static void chain_task(void *arg, int64_t task, int worker)
{
    (void)worker;
    chains *c = arg;
    double flops = c->isa->fma_chains(c->steps);
    if (task == 0) c->flops = flops;
}

static double best_rate(fv_pool *pool, fv_task_fn fn, void *arg, int64_t tasks, const double *amount)
{
    double best = 0;
    fv_pool_run(pool, tasks, fn, arg);
    for (int run = 0; run < RUNS; run++) {
        double start = now();
        fv_pool_run(pool, tasks, fn, arg);
        double rate = (double)tasks * *amount / (now() - start) / 1e9;
        if (rate > best) best = rate;
    }
    return best;
}

static const fv_isa_table *const all[] = {
    &fv_isa_plain,
#if defined(__x86_64__)
    &fv_isa_avx2,
    &fv_isa_avx512,
#elif defined(__aarch64__)
    &fv_isa_neon,
#endif
};

double fv_peak_fma(fv_pool *pool)
{
    double best = 0;
    int64_t tasks = (int64_t)(pool ? fv_pool_threads(pool) : 1) * TASKS_PER_THREAD;
    for (size_t i = 0; i < FV_COUNT(all); i++) {
        chains c = {.isa = all[i], .steps = 400 * 1000};
        if (!c.isa->supported()) continue;
        double rate = best_rate(pool, chain_task, &c, tasks, &c.flops);
        if (rate > best) best = rate;
    }
    return best;
}

typedef struct triad {
    const fv_isa_table *isa;
    float *a, *b, *c;
    int64_t n; /* of one task, whole cache lines */
} triad;

static void triad_task(void *arg, int64_t task, int worker)
{
    (void)worker;
    const triad *t = arg;
    int64_t at = task * t->n;
    t->isa->triad(t->a + at, t->b + at, t->c + at, 3.0f, t->n);
}

static void fill_task(void *arg, int64_t task, int worker)
{
    (void)worker;
    const triad *t = arg;
    for (int64_t i = task * t->n; i < (task + 1) * t->n; i++) t->a[i] = t->b[i] = t->c[i] = 1.0f;
}

/* Counts 12 bytes an element, as STREAM does. */
double fv_peak_memory(fv_pool *pool, size_t bytes, fv_err *err)
{
    int64_t tasks = (int64_t)(pool ? fv_pool_threads(pool) : 1) * 16, n = (int64_t)(bytes / 12) / tasks / 16 * 16;
    double amount = 12.0 * (double)n, rate = 0;
    size_t one = (size_t)(n * tasks) * sizeof(float);
    if (n <= 0) return (void)FV_FAIL(err, FV_E_ARGUMENT, "memory bandwidth: %zu bytes are too few; give at least a few megabytes", bytes), 0;
    triad t = {.isa = fv_isa_current(), .n = n, .a = fv_alloc(one, err), .b = fv_alloc(one, err), .c = fv_alloc(one, err)};
    if (t.a && t.b && t.c) {
        fv_pool_run(pool, tasks, fill_task, &t);
        rate = best_rate(pool, triad_task, &t, tasks, &amount);
    }
    fv_free(t.a);
    fv_free(t.b);
    fv_free(t.c);
    return rate;
}
