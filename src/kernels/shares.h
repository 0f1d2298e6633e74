/* Tasks handed to threads so that, as far as can be, the same thread does the same share of them each
 * time: what it wrote to its caches in one job it finds there in the next. Who has done his share helps
 * the others. Like fv_pool_run otherwise: which thread does what changes no result. */
#ifndef FV_KERNELS_SHARES_H
#define FV_KERNELS_SHARES_H

#include "base/pool.h"

void fv_shares_run(fv_pool *pool, int64_t n_tasks, fv_task_fn fn, void *arg);

#endif
