/* The pool: every task once, the same result with any number of threads, several callers at once,
 * many tiny jobs, sleeping and waking, changing size. Meant for ThreadSanitizer too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/pool.h"

#define N_MAX 1000

struct job {
    atomic_int runs[N_MAX];
    atomic_int in_use[64]; /* by worker: two tasks at once with one number would be a mistake */
    int threads;
    atomic_bool wrong;
    uint64_t results[N_MAX];
};

static void count_task(void *arg, int64_t task, int worker)
{
    struct job *job = arg;
    if (worker < 0 || worker >= job->threads) atomic_store(&job->wrong, true);
    else if (atomic_exchange(&job->in_use[worker], 1)) atomic_store(&job->wrong, true);
    atomic_fetch_add(&job->runs[task], 1);
    uint64_t x = (uint64_t)task;
    for (int i = 0; i < 50; i++) x = x * 6364136223846793005u + 1;
    job->results[task] = x;
    if (worker >= 0 && worker < job->threads) atomic_store(&job->in_use[worker], 0);
}

static void run_and_check(fv_pool *pool, int64_t n)
{
    struct job job = {.threads = fv_pool_threads(pool)};
    fv_pool_run(pool, n, count_task, &job);
    assert_false(job.wrong);
    for (int64_t i = 0; i < N_MAX; i++) assert_int_equal(job.runs[i], i < n);
}

static void every_task_runs_once(void **state)
{
    (void)state;
    static const int64_t sizes[] = {0, 1, 2, 3, 7, 8, 64, N_MAX};
    for (int threads = 1; threads <= 8; threads++) {
        fv_err err = {0};
        fv_pool *pool = fv_pool_new(threads, &err);
        assert_non_null(pool);
        assert_int_equal(fv_pool_threads(pool), threads);
        for (size_t i = 0; i < FV_COUNT(sizes); i++) run_and_check(pool, sizes[i]);
        fv_pool_free(pool);
    }
}

static void results_are_the_same_with_any_threads(void **state)
{
    (void)state;
    struct job alone = {.threads = 1};
    fv_pool_run(NULL, N_MAX, count_task, &alone);
    for (int threads = 1; threads <= 8; threads++) {
        fv_pool *pool = fv_pool_new(threads, NULL);
        struct job job = {.threads = threads};
        fv_pool_run(pool, N_MAX, count_task, &job);
        assert_memory_equal(job.results, alone.results, sizeof alone.results);
        fv_pool_free(pool);
    }
}

static void no_pool_runs_here(void **state)
{
    (void)state;
    assert_int_equal(fv_pool_threads(NULL), 1);
    run_and_check(NULL, 100);
    run_and_check(NULL, 0);
    fv_pool_free(NULL);
}

static void add_one(void *arg, int64_t task, int worker)
{
    (void)worker;
    atomic_fetch_add((atomic_long *)arg, task + 1);
}

static void many_tiny_jobs(void **state)
{
    (void)state;
    for (int threads = 2; threads <= 4; threads += 2) {
        fv_pool *pool = fv_pool_new(threads, NULL);
        int64_t allocations = fv_alloc_count();
        atomic_long sum = 0;
        for (int i = 0; i < 20000; i++) fv_pool_run(pool, 4, add_one, &sum);
        assert_int_equal(sum, 200000);
        assert_int_equal(fv_alloc_count(), allocations);
        fv_pool_free(pool);
    }
}

static void sleepers_are_woken(void **state)
{
    (void)state;
    fv_pool *pool = fv_pool_new(4, NULL);
    for (int64_t i = 0; i < 200; i++) {
        usleep(300); /* longer than anybody spins */
        run_and_check(pool, 2 + i % 7);
    }
    fv_pool_free(pool);
}

static void uneven_task(void *arg, int64_t task, int worker)
{
    (void)worker;
    if (task == 0) usleep(2000); /* the others run out of work and the caller may have to sleep */
    atomic_fetch_add((atomic_long *)arg, 1);
}

static void uneven_tasks_are_waited_for(void **state)
{
    (void)state;
    fv_pool *pool = fv_pool_new(3, NULL);
    for (int i = 0; i < 50; i++) {
        atomic_long done = 0;
        fv_pool_run(pool, 5, uneven_task, &done);
        assert_int_equal(done, 5);
    }
    fv_pool_free(pool);
}

/* Each task needs another one at the same time: works only if threads really run side by side. */
static void meet(void *arg, int64_t task, int worker)
{
    (void)task, (void)worker;
    pthread_barrier_wait(arg);
}

static void tasks_run_side_by_side(void **state)
{
    (void)state;
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, 4);
    fv_pool *pool = fv_pool_new(4, NULL);
    for (int i = 0; i < 20; i++) fv_pool_run(pool, 4, meet, &barrier);
    fv_pool_free(pool);
    pthread_barrier_destroy(&barrier);
}

static atomic_int working;
static atomic_bool crowded;

static void crowd_task(void *arg, int64_t task, int worker)
{
    (void)task, (void)worker;
    if (atomic_fetch_add(&working, 1) >= 2) atomic_store(&crowded, true);
    for (int i = 0; i < 200; i++) atomic_signal_fence(memory_order_seq_cst);
    atomic_fetch_sub(&working, 1);
    atomic_fetch_add((atomic_long *)arg, 1);
}

static void *call_often(void *pool)
{
    atomic_long done = 0;
    for (int i = 0; i < 300; i++) fv_pool_run(pool, 2 + i % 30, crowd_task, &done);
    long expected = 0;
    for (int i = 0; i < 300; i++) expected += 2 + i % 30;
    return done == expected ? pool : NULL;
}

static void callers_queue(void **state)
{
    (void)state;
    fv_pool *pool = fv_pool_new(2, NULL);
    pthread_t callers[4];
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&callers[i], NULL, call_often, pool), 0);
    for (int i = 0; i < 4; i++) {
        void *result;
        pthread_join(callers[i], &result);
        assert_ptr_equal(result, pool);
    }
    assert_false(crowded); /* 2 threads: never more than 2 tasks at once, whoever calls */
    fv_pool_free(pool);
}

static void start_another(void *arg, int64_t task, int worker)
{
    (void)task, (void)worker;
    atomic_long sum = 0;
    fv_pool_run(arg, 2, add_one, &sum);
}

/* Whether a child that starts a job inside a job of `threads` threads is stopped, not stuck. */
static bool nesting_is_stopped(int threads)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        if (!freopen("/dev/null", "w", stderr)) _exit(1);
        alarm(20);
        fv_pool *pool = fv_pool_new(threads, NULL);
        fv_pool_run(pool, 2, start_another, pool);
        _exit(0);
    }
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void a_job_inside_a_job_is_our_mistake(void **state)
{
    (void)state;
    assert_true(nesting_is_stopped(1));
    assert_true(nesting_is_stopped(2));
}

static void run_without_a_pool(void *arg, int64_t task, int worker)
{
    (void)task, (void)worker;
    fv_pool_run(NULL, 3, add_one, arg);
}

static void a_task_may_run_things_without_a_pool(void **state)
{
    (void)state;
    fv_pool *pool = fv_pool_new(2, NULL);
    atomic_long sum = 0;
    fv_pool_run(pool, 10, run_without_a_pool, &sum);
    assert_int_equal(sum, 60);
    fv_pool_free(pool);
}

static void a_pool_needs_memory(void **state)
{
    (void)state;
    fv_err err = {0};
    int64_t live = fv_alloc_live();
    fv_alloc_fail_after(0);
    assert_null(fv_pool_new(2, &err));
    fv_alloc_fail_after(-1);
    assert_int_equal(err.status, FV_E_MEMORY);
    assert_int_equal(fv_alloc_live(), live);
}

/* Memory for stacks runs out: the error says so and nothing stays behind. */
static void threads_that_cannot_start_are_an_error(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* sanitizers need that address space themselves */
#endif
    int status;
    pid_t child = fork();
    if (child == 0) {
        fv_err err = {0};
        setrlimit(RLIMIT_AS, &(struct rlimit){256u << 20, 256u << 20});
        fv_pool *pool = fv_pool_new(1000, &err);
        bool refused = !pool && err.status == FV_E_MEMORY && strstr(err.text, "of 1000 could not be started") && fv_alloc_live() == 0;
        pool = fv_pool_new(2, &err);
        _exit(refused && pool ? 0 : 1);
    }
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
}

static void the_shared_pool_stays_at_one_address(void **state)
{
    (void)state;
    static const int sizes[] = {3, 1, 8, 2, 2, 5};
    fv_err err = {0};
    int64_t allocations = fv_alloc_count();
    assert_int_equal(fv_set_threads(4, &err), FV_OK);
    fv_pool *pool = fv_pool_shared(&err);
    assert_int_equal(fv_pool_threads(pool), 4);
    for (size_t i = 0; i < FV_COUNT(sizes); i++) {
        assert_int_equal(fv_set_threads(sizes[i], &err), FV_OK);
        assert_ptr_equal(fv_pool_shared(&err), pool);
        assert_int_equal(fv_pool_threads(pool), sizes[i]);
        for (int k = 0; k < 20; k++) run_and_check(pool, 30);
    }
    assert_int_equal(fv_alloc_count(), allocations);
    assert_int_equal(fv_set_threads(0, &err), FV_OK);
    assert_true(fv_pool_threads(pool) >= 1);
}

static void threads_are_bounded(void **state)
{
    (void)state;
    fv_err err = {0};
    assert_int_equal(fv_set_threads(-1, &err), FV_E_ARGUMENT);
    assert_string_equal(err.text, "threads is -1; expected 1 to 1024, or 0 for one a core");
    assert_int_equal(fv_set_threads(1025, &err), FV_E_ARGUMENT);
}

static void *share(void *arg)
{
    (void)arg;
    return fv_pool_shared(NULL);
}

static void all_threads_get_the_same_pool(void **state)
{
    (void)state;
    pthread_t callers[4];
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&callers[i], NULL, share, NULL), 0);
    for (int i = 0; i < 4; i++) {
        void *pool;
        pthread_join(callers[i], &pool);
        assert_ptr_equal(pool, fv_pool_shared(NULL));
    }
}

int main(void)
{
    /* The tests that fork come first: the shared pool's threads do not survive a fork. */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_inside_a_job_is_our_mistake),
        cmocka_unit_test(threads_that_cannot_start_are_an_error),
        cmocka_unit_test(every_task_runs_once),
        cmocka_unit_test(results_are_the_same_with_any_threads),
        cmocka_unit_test(no_pool_runs_here),
        cmocka_unit_test(many_tiny_jobs),
        cmocka_unit_test(sleepers_are_woken),
        cmocka_unit_test(uneven_tasks_are_waited_for),
        cmocka_unit_test(tasks_run_side_by_side),
        cmocka_unit_test(callers_queue),
        cmocka_unit_test(a_task_may_run_things_without_a_pool),
        cmocka_unit_test(a_pool_needs_memory),
        cmocka_unit_test(all_threads_get_the_same_pool),
        cmocka_unit_test(the_shared_pool_stays_at_one_address),
        cmocka_unit_test(threads_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
