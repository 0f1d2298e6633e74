/* The pool of threads.
 *
 * A job is open while `job` is odd. A worker that sees a new open job enters (`inside`), claims
 * tasks from one counter until they run out, and leaves. The caller works too, then closes the job
 * and waits until nobody is inside. So a worker that wakes late costs nothing: it finds the job
 * closed, or the next one open.
 *
 * Two pairs of sequentially consistent steps carry it, and must keep their order:
 *   enter:  inside++, then read job      close: write job, then read inside
 *   sleep:  sleepers++, then read job    open:  write job, then read sleepers
 * In each pair at least one side sees the other. The job's plain fields change only while it is
 * closed and nobody is inside.
 *
 * The trap: everybody spins a little before sleeping, because jobs of a training step come some
 * microseconds apart and waking a thread takes tens. Spinning is bounded by the clock, and left out
 * where there are more threads than cores. */
#include "base/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#endif

#include "base/file.h"
#include "base/mem.h"

#define MAX_THREADS 1024
#define SPIN_SECONDS 40e-6
#define PAUSES_A_LOOK 32 /* between two looks at the clock */
#define CACHE_LINE 64

struct seat {
    fv_pool *pool;
    pthread_t thread;
    int worker;
};

struct fv_pool {
    pthread_mutex_t callers; /* held for a whole job: callers queue here */
    pthread_mutex_t sleep;   /* only for the two conditions */
    pthread_cond_t work, done;
    atomic_int threads;      /* a worker with a higher number ends */
    atomic_bool spins;       /* there are no more threads than cores */
    struct seat seats[MAX_THREADS]; /* [0] is the caller's and has no thread */

    fv_task_fn fn;
    void *arg;
    int64_t n_tasks;

    _Alignas(CACHE_LINE) atomic_uint job;
    atomic_int sleepers;
    atomic_bool caller_sleeps;
    _Alignas(CACHE_LINE) atomic_int inside;
    _Alignas(CACHE_LINE) atomic_int_fast64_t next_task;
};

static _Thread_local bool in_task;

/* ---- Waiting ------------------------------------------------------------------------------ */

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

typedef bool (*condition_fn)(fv_pool *pool, unsigned seen, int worker);

static bool spin_until(condition_fn met, fv_pool *pool, unsigned seen, int worker)
{
    if (met(pool, seen, worker)) return true;
    if (!atomic_load_explicit(&pool->spins, memory_order_relaxed)) return false;
    double end = fv_now() + SPIN_SECONDS;
    do {
        for (int i = 0; i < PAUSES_A_LOOK; i++) {
            relax();
            if (met(pool, seen, worker)) return true;
        }
    } while (fv_now() < end);
    return false;
}

static bool leaves(fv_pool *pool, int worker)
{
    return worker >= atomic_load(&pool->threads);
}

/* For a worker: an open job that it was not in yet, or the end of its life. */
static bool has_news(fv_pool *pool, unsigned seen, int worker)
{
    unsigned job = atomic_load(&pool->job);
    return (job % 2 && job != seen) || leaves(pool, worker);
}

static bool all_left(fv_pool *pool, unsigned seen, int worker)
{
    (void)seen, (void)worker;
    return atomic_load(&pool->inside) == 0;
}

static void wait_for_news(fv_pool *pool, unsigned seen, int worker)
{
    if (spin_until(has_news, pool, seen, worker)) return;
    pthread_mutex_lock(&pool->sleep);
    atomic_fetch_add(&pool->sleepers, 1);
    while (!has_news(pool, seen, worker)) pthread_cond_wait(&pool->work, &pool->sleep);
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->sleep);
}

static void wait_for_leavers(fv_pool *pool)
{
    if (spin_until(all_left, pool, 0, 0)) return;
    pthread_mutex_lock(&pool->sleep);
    atomic_store(&pool->caller_sleeps, true);
    while (!all_left(pool, 0, 0)) pthread_cond_wait(&pool->done, &pool->sleep);
    atomic_store(&pool->caller_sleeps, false);
    pthread_mutex_unlock(&pool->sleep);
}

/* Passing through the mutex makes sure that a sleeper is either counted and waiting, or has not
 * looked yet. */
static void wake(fv_pool *pool, pthread_cond_t *condition, bool all)
{
    pthread_mutex_lock(&pool->sleep);
    pthread_mutex_unlock(&pool->sleep);
    if (all) pthread_cond_broadcast(condition);
    else pthread_cond_signal(condition);
}

/* A job of few tasks leaves the others asleep. */
static void wake_workers(fv_pool *pool, int64_t wanted)
{
    int sleepers = atomic_load(&pool->sleepers);
    if (wanted >= sleepers) {
        if (sleepers > 0) wake(pool, &pool->work, true);
        return;
    }
    for (int64_t i = 0; i < wanted; i++) wake(pool, &pool->work, false);
}

/* ---- Working ------------------------------------------------------------------------------ */

static void claim_tasks(fv_pool *pool, int worker)
{
    in_task = true;
    for (;;) {
        int64_t task = atomic_fetch_add_explicit(&pool->next_task, 1, memory_order_relaxed);
        if (task >= pool->n_tasks) break;
        pool->fn(pool->arg, task, worker);
    }
    in_task = false;
}

/* Gives the job that was open, or `seen` if it was closed already. */
static unsigned enter_and_work(fv_pool *pool, unsigned seen, int worker)
{
    atomic_fetch_add(&pool->inside, 1);
    unsigned job = atomic_load(&pool->job);
    if (job % 2) claim_tasks(pool, worker);
    bool last = atomic_fetch_sub(&pool->inside, 1) == 1;
    if (last && atomic_load(&pool->caller_sleeps)) wake(pool, &pool->done, true);
    return job % 2 ? job : seen;
}

static void *worker_main(void *arg)
{
    struct seat *seat = arg;
    unsigned seen = 0;
    for (;;) {
        wait_for_news(seat->pool, seen, seat->worker);
        if (leaves(seat->pool, seat->worker)) return NULL;
        seen = enter_and_work(seat->pool, seen, seat->worker);
    }
}

static void run_here(int64_t n_tasks, fv_task_fn fn, void *arg)
{
    for (int64_t task = 0; task < n_tasks; task++) fn(arg, task, 0);
}

static void run_alone(int64_t n_tasks, fv_task_fn fn, void *arg)
{
    in_task = true; /* so that a broken rule shows with one thread too */
    run_here(n_tasks, fn, arg);
    in_task = false;
}

static void run_with_workers(fv_pool *pool, int64_t n_tasks, fv_task_fn fn, void *arg)
{
    pool->fn = fn;
    pool->arg = arg;
    pool->n_tasks = n_tasks;
    atomic_store_explicit(&pool->next_task, 0, memory_order_relaxed);
    atomic_fetch_add(&pool->job, 1);
    wake_workers(pool, n_tasks - 1);
    claim_tasks(pool, 0);
    atomic_fetch_add(&pool->job, 1);
    wait_for_leavers(pool);
}

void fv_pool_run(fv_pool *pool, int64_t n_tasks, fv_task_fn fn, void *arg)
{
    if (!pool) {
        run_here(n_tasks, fn, arg);
        return;
    }
    FV_ASSERT(!in_task); /* a task must not start a job: its own job holds the pool */
    if (n_tasks <= 1 || fv_pool_threads(pool) == 1) {
        run_alone(n_tasks, fn, arg);
        return;
    }
    pthread_mutex_lock(&pool->callers);
    run_with_workers(pool, n_tasks, fn, arg);
    pthread_mutex_unlock(&pool->callers);
}

/* ---- Size --------------------------------------------------------------------------------- */

static int count_cores(void)
{
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
#endif
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

static int wanted_threads(int threads)
{
    int wanted = threads > 0 ? threads : count_cores();
    return wanted < MAX_THREADS ? wanted : MAX_THREADS;
}

/* Workers leave signals to the program's own threads: a handler may count on where it runs. */
static int start_worker(struct seat *seat)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&seat->thread, NULL, worker_main, seat);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure;
}

static void shrink(fv_pool *pool, int threads)
{
    int before = atomic_exchange(&pool->threads, threads);
    wake(pool, &pool->work, true);
    for (int worker = threads; worker < before; worker++) pthread_join(pool->seats[worker].thread, NULL);
}

static fv_status grow(fv_pool *pool, int threads, fv_err *err)
{
    int before = atomic_load(&pool->threads);
    for (int worker = before; worker < threads; worker++) {
        atomic_store(&pool->threads, worker + 1);
        pool->seats[worker] = (struct seat){.pool = pool, .worker = worker};
        int failure = start_worker(&pool->seats[worker]);
        if (!failure) continue;
        atomic_store(&pool->threads, worker);
        shrink(pool, before);
        return FV_FAIL(err, FV_E_MEMORY, "thread %d of %d could not be started: %s; ask for fewer threads", worker + 1, threads, strerror(failure));
    }
    return FV_OK;
}

/* Between jobs: on failure the pool keeps the threads that it had. */
static fv_status resize(fv_pool *pool, int threads, fv_err *err)
{
    fv_status status = FV_OK;
    pthread_mutex_lock(&pool->callers);
    atomic_store_explicit(&pool->spins, threads <= count_cores(), memory_order_relaxed);
    if (threads < fv_pool_threads(pool)) shrink(pool, threads);
    else status = grow(pool, threads, err);
    pthread_mutex_unlock(&pool->callers);
    return status;
}

static void init_pool(fv_pool *pool)
{
    pthread_mutex_init(&pool->callers, NULL);
    pthread_mutex_init(&pool->sleep, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->done, NULL);
    atomic_init(&pool->threads, 1);
}

fv_pool *fv_pool_new(int threads, fv_err *err)
{
    fv_pool *pool = fv_alloc_zero(1, sizeof *pool, err);
    if (!pool) return NULL;
    init_pool(pool);
    if (resize(pool, wanted_threads(threads), err) == FV_OK) return pool;
    fv_pool_free(pool);
    return NULL;
}

void fv_pool_free(fv_pool *pool)
{
    if (!pool) return;
    shrink(pool, 1);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->sleep);
    pthread_mutex_destroy(&pool->callers);
    fv_free(pool);
}

int fv_pool_threads(const fv_pool *pool)
{
    return pool ? atomic_load_explicit(&pool->threads, memory_order_relaxed) : 1;
}

/* ---- The process's pool ------------------------------------------------------------------- */

/* It stays at one address for ever, so that who holds it need not care about fv_set_threads. */
static pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER;
static fv_pool shared = {
    .callers = PTHREAD_MUTEX_INITIALIZER,
    .sleep = PTHREAD_MUTEX_INITIALIZER,
    .work = PTHREAD_COND_INITIALIZER,
    .done = PTHREAD_COND_INITIALIZER,
    .threads = 1,
};
static bool shared_ready;
static int shared_threads; /* as fv_set_threads was told; 0: one for each core */

fv_pool *fv_pool_shared(fv_err *err)
{
    pthread_mutex_lock(&shared_lock);
    if (!shared_ready) shared_ready = resize(&shared, wanted_threads(shared_threads), err) == FV_OK;
    fv_pool *pool = shared_ready ? &shared : NULL;
    pthread_mutex_unlock(&shared_lock);
    return pool;
}

fv_status fv_set_threads(int threads, fv_err *err)
{
    if (threads < 0 || threads > MAX_THREADS)
        return FV_FAIL(err, FV_E_ARGUMENT, "threads is %d; expected 1 to %d, or 0 for one a core", threads, MAX_THREADS);
    pthread_mutex_lock(&shared_lock);
    fv_status status = shared_ready ? resize(&shared, wanted_threads(threads), err) : FV_OK;
    if (status == FV_OK) shared_threads = threads;
    pthread_mutex_unlock(&shared_lock);
    return status;
}
