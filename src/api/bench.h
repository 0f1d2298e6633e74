/* Timing for fv_bench: a case is run a few times, and told with its share of the peak. */
#ifndef FV_API_BENCH_H
#define FV_API_BENCH_H

#include "base/file.h"
#include "kernels/kernels.h"

typedef struct fv_bench_run {
    const char *bench, *only;
    fv_on_bench on_result;
    void *user;
    fv_pool *pool;
    fv_precision precision; /* whose peak cases are compared with */
} fv_bench_run;

/* One timed call of a case. */
typedef void (*fv_bench_fn)(void *arg);

bool fv_bench_wanted(const fv_bench_run *run, const char *name);
/* Warms up, runs the case in seven turns of at least 30 ms, and reports units done a second, divided
 * by `scale`. flops: of one call; 0 if a share of the peak has no meaning. */
void fv_bench_case(fv_bench_run *run, const char *name, const char *unit, double units, double scale, double flops, fv_bench_fn fn, void *arg);
void fv_bench_report(const fv_bench_run *run, const char *name, const char *unit, int threads, const double *values, int n, double share);

fv_status fv_bench_ops(fv_bench_run *run, fv_err *err);
fv_status fv_bench_train(fv_bench_run *run, fv_err *err);
fv_status fv_bench_translate(fv_bench_run *run, fv_err *err);
fv_status fv_bench_embed(fv_bench_run *run, fv_err *err);

#endif
