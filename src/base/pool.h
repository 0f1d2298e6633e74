/* One pool of threads for the process. A job is n tasks numbered 0..n-1; which thread runs which is
 * open, so a task's result must depend on its number alone. Threads sleep when idle (after spinning
 * for some microseconds), and jobs of several callers queue: cores are never oversubscribed.
 *
 * `worker` is 0..threads-1 and tells concurrent tasks of one job apart: for scratch, nothing else.
 * A task must not start a job. */
#ifndef FV_BASE_POOL_H
#define FV_BASE_POOL_H

#include "base/err.h"

typedef struct fv_pool fv_pool;
typedef void (*fv_task_fn)(void *arg, int64_t task, int worker);

fv_pool *fv_pool_new(int threads, fv_err *err); /* 0: one for each core of the affinity mask */
void fv_pool_free(fv_pool *pool);
int fv_pool_threads(const fv_pool *pool);
void fv_pool_run(fv_pool *pool, int64_t n_tasks, fv_task_fn fn, void *arg); /* returns when all are done; a NULL pool runs them here */

/* The process's pool, made at first use, without allocating. It stays at one address: fv_set_threads (fovea.h)
 * only changes how many threads it has, between jobs. So ask fv_pool_threads when scratch is made, not before. */
fv_pool *fv_pool_shared(fv_err *err);

#endif
