/* What this machine reaches at best, the denominator of every share of peak: the multiply-add chains
 * and the triad of the tables, timed here. The best of several runs, since other programs only ever
 * make a run slower. Chains run for a millisecond or two, many times: where other programs compete,
 * some runs fit between two of their turns.
 *
 * The trap: with n threads there must be n tasks that take equally long and start together, so each
 * run is one job of a task a thread, and a short job before it wakes the threads. */
#include <time.h>

#include "base/mem.h"
#include "kernels/cpu/isa.h"

enum { CHAIN_RUNS = 25, CHAIN_STEPS = 100 * 1000, TRIAD_RUNS = 7, TASKS_PER_THREAD = 4 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct chaining {
    double (*chains)(int64_t steps);
    double flops; /* of one task; every task writes the same */
} chaining;

static void chain_task(void *arg, int64_t task, int worker)
{
    (void)worker;
    chaining *c = arg;
    double flops = c->chains(CHAIN_STEPS);
    if (task == 0) c->flops = flops;
}

static double best_rate(fv_pool *pool, fv_task_fn fn, void *arg, int64_t tasks, const double *amount, int runs)
{
    double best = 0;
    fv_pool_run(pool, tasks, fn, arg);
    for (int run = 0; run < runs; run++) {
        double start = now();
        fv_pool_run(pool, tasks, fn, arg);
        double rate = (double)tasks * *amount / (now() - start) / 1e9;
        if (rate > best) best = rate;
    }
    return best;
}

static int64_t threads_of(fv_pool *pool) { return pool ? fv_pool_threads(pool) : 1; }

static double chain_rate(fv_pool *pool, double (*chains)(int64_t steps))
{
    chaining c = {.chains = chains};
    return best_rate(pool, chain_task, &c, threads_of(pool) * TASKS_PER_THREAD, &c.flops, CHAIN_RUNS);
}

/* The fastest set that the processor offers, whichever is in use: a share of peak compares with it. */
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
    for (size_t i = 0; i < FV_COUNT(all); i++) {
        double rate = all[i]->supported() ? chain_rate(pool, all[i]->fma_chains) : 0;
        if (rate > best) best = rate;
    }
    return best;
}

double fv_peak_bf16(fv_pool *pool)
{
    double best = 0;
    for (size_t i = 0; i < FV_COUNT(all); i++) {
        const fv_bf16_table *t = all[i]->supported() ? fv_isa_bf16(all[i]) : NULL;
        double rate = t ? chain_rate(pool, t->chains) : 0;
        if (rate > best) best = rate;
    }
    return best;
}

double fv_peak_int8(fv_pool *pool)
{
    double best = 0;
    for (size_t i = 0; i < FV_COUNT(all); i++) {
        const fv_int8_table *t = all[i]->supported() ? fv_isa_int8(all[i]) : NULL;
        double rate = t && t->chains ? chain_rate(pool, t->chains) : 0;
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
    int64_t tasks = threads_of(pool) * 16, n = (int64_t)(bytes / 12) / tasks / 16 * 16;
    double amount = 12.0 * (double)n, rate = 0;
    size_t one = (size_t)(n * tasks) * sizeof(float);
    if (n <= 0) return (void)FV_FAIL(err, FV_E_ARGUMENT, "memory bandwidth: %zu bytes are too few; give at least a few megabytes", bytes), 0;
    triad t = {.isa = fv_isa_current(), .n = n, .a = fv_alloc(one, err), .b = fv_alloc(one, err), .c = fv_alloc(one, err)};
    if (t.a && t.b && t.c) {
        fv_pool_run(pool, tasks, fill_task, &t);
        rate = best_rate(pool, triad_task, &t, tasks, &amount, TRIAD_RUNS);
    }
    fv_free(t.a);
    fv_free(t.b);
    fv_free(t.c);
    return rate;
}
