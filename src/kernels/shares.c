/* Shares of a job's tasks. Cores may have no cache in common (two core complexes of one processor have
 * none), and then a line that another core wrote last costs as much as memory. So thread w begins with
 * the w-th of equal runs of tasks, which for rows of a batch are the same rows in every kernel, and
 * takes from the next runs when its own is used up.
 *
 * The trap: the pool says how often a task is to be done, not which: every call of `claim` takes exactly
 * one task from the runs, so that as many calls as tasks leave none behind. */
#include "kernels/shares.h"

#include <stdatomic.h>

enum { MOST_RUNS = 64, CACHE_LINE = 64 }; /* more threads than that share runs */

typedef struct run {
    _Alignas(CACHE_LINE) atomic_int_fast64_t next;
    int64_t end;
} run;

typedef struct shares {
    fv_task_fn fn;
    void *arg;
    int n_runs;
    run runs[MOST_RUNS];
} shares;

static void claim(void *arg, int64_t call, int worker)
{
    shares *s = arg;
    (void)call;
    for (int i = 0; i < s->n_runs; i++) {
        run *r = &s->runs[(worker + i) % s->n_runs];
        if (atomic_load_explicit(&r->next, memory_order_relaxed) >= r->end) continue;
        int64_t task = atomic_fetch_add_explicit(&r->next, 1, memory_order_relaxed);
        if (task >= r->end) continue;
        s->fn(s->arg, task, worker);
        return;
    }
}

void fv_shares_run(fv_pool *pool, int64_t n_tasks, fv_task_fn fn, void *arg)
{
    int threads = pool ? fv_pool_threads(pool) : 1;
    if (threads == 1 || n_tasks <= 1) {
        fv_pool_run(n_tasks > 1 ? pool : NULL, n_tasks, fn, arg);
        return;
    }
    shares s = {.fn = fn, .arg = arg, .n_runs = threads < MOST_RUNS ? threads : MOST_RUNS};
    for (int i = 0; i < s.n_runs; i++) {
        atomic_init(&s.runs[i].next, n_tasks * i / s.n_runs);
        s.runs[i].end = n_tasks * (i + 1) / s.n_runs;
    }
    fv_pool_run(pool, n_tasks, claim, &s);
}
