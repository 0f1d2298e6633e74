/* Every task is done exactly once, whatever the threads, and each thread begins with its own share. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/shares.h"

enum { MOST = 1000 };

typedef struct counts { atomic_int done[MOST]; int threads; } counts;

static void count(void *arg, int64_t task, int worker)
{
    counts *c = arg;
    assert_in_range(worker, 0, c->threads - 1);
    atomic_fetch_add(&c->done[task], 1);
}

static void each_task_once(void **state)
{
    (void)state;
    const int threads[] = {1, 2, 3, 5};
    const int64_t tasks[] = {0, 1, 2, 3, 7, MOST};
    for (size_t i = 0; i < FV_COUNT(threads); i++) {
        fv_pool *pool = fv_pool_new(threads[i], NULL);
        assert_non_null(pool);
        for (size_t j = 0; j < FV_COUNT(tasks); j++) {
            counts c = {.threads = threads[i]};
            fv_shares_run(pool, tasks[j], count, &c);
            for (int64_t t = 0; t < MOST; t++) assert_int_equal(atomic_load(&c.done[t]), t < tasks[j]);
        }
        fv_pool_free(pool);
    }
}

static void without_a_pool(void **state)
{
    (void)state;
    counts c = {.threads = 1};
    fv_shares_run(NULL, MOST, count, &c);
    for (int t = 0; t < MOST; t++) assert_int_equal(atomic_load(&c.done[t]), 1);
}

typedef struct order { int64_t first[2]; atomic_int begun[2]; } order;

/* Each waits in his first task until the other is in one, so that both have shown where they begin. */
static void note_start(void *arg, int64_t task, int worker)
{
    order *o = arg;
    if (!atomic_load(&o->begun[worker])) o->first[worker] = task;
    atomic_store(&o->begun[worker], 1);
    while (!atomic_load(&o->begun[1 - worker])) sched_yield();
}

static void threads_begin_with_their_own(void **state)
{
    (void)state;
    fv_pool *pool = fv_pool_new(2, NULL);
    assert_non_null(pool);
    for (int i = 0; i < 20; i++) {
        order o = {.first = {-1, -1}};
        fv_shares_run(pool, MOST, note_start, &o);
        assert_int_equal(o.first[0], 0);
        assert_int_equal(o.first[1], MOST / 2);
    }
    fv_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_task_once), cmocka_unit_test(without_a_pool), cmocka_unit_test(threads_begin_with_their_own)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
