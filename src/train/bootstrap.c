/* Values and intervals by resampling. What a row is and what is measured are the caller's.
 *
 * The trap: each resample is one task of the pool and draws from a stream of its own, numbered by the
 * resample: were a stream shared, intervals would depend on the number of threads. */
#include "train/bootstrap.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

enum { N = FV_BOOTSTRAP_RESAMPLES };

typedef struct run {
    const fv_bootstrap *of;
    fv_rng chance;
    char *scratch;   /* [threads] pieces */
    double *figures; /* [N, n_figures] */
} run;

static void resample(void *arg, int64_t task, int worker)
{
    const run *r = arg;
    fv_rng chance = fv_rng_fork(&r->chance, (uint64_t)task);
    r->of->measure(r->of->rows, &chance, r->scratch + (size_t)worker * r->of->scratch_bytes, r->figures + (size_t)task * r->of->n_figures);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Between neighbours, linearly. */
static double percentile(const double *sorted, double part)
{
    double place = part * (N - 1);
    size_t below = (size_t)place;
    return sorted[below] + (place - (double)below) * (sorted[below + 1] - sorted[below]);
}

static void interval(const run *r, size_t figure, double *column, fv_metric *metric)
{
    metric->low = metric->high = NAN;
    for (size_t i = 0; i < N; i++) {
        column[i] = r->figures[i * r->of->n_figures + figure];
        if (isnan(column[i])) return; /* cannot be sorted */
    }
    qsort(column, N, sizeof *column, by_value);
    metric->low = percentile(column, 0.025);
    metric->high = percentile(column, 0.975);
}

static void measure_all(fv_report *report, const run *r)
{
    double values[FV_BOOTSTRAP_FIGURES];
    const fv_bootstrap *b = r->of;
    b->measure(b->rows, NULL, r->scratch, values);
    for (size_t i = 0; i < b->n_figures; i++)
        report->metrics[i] = (fv_metric){.name = b->names[i], .value = values[i], .low = values[i], .high = values[i]};
}

static void measure_intervals(fv_report *report, run *r, fv_pool *pool)
{
    double column[N];
    fv_pool_run(pool, N, resample, r);
    for (size_t i = 0; i < r->of->n_figures; i++) interval(r, i, column, &report->metrics[i]);
}

fv_status fv_bootstrap_run(fv_report *report, const fv_bootstrap *b, fv_pool *pool, fv_err *err)
{
    fv_status status = FV_E_MEMORY;
    size_t threads = pool ? (size_t)fv_pool_threads(pool) : 1;
    FV_ASSERT(b->n_figures <= FV_BOOTSTRAP_FIGURES);
    run r = {.of = b, .chance = fv_rng_make(b->seed, "bootstrap")};
    r.scratch = fv_alloc_zero(threads, b->scratch_bytes, err);
    r.figures = r.scratch ? fv_alloc_zero(N * b->n_figures, sizeof(double), err) : NULL;
    report->metrics = r.figures ? fv_alloc_zero(b->n_figures, sizeof *report->metrics, err) : NULL;
    if (!report->metrics) goto done;
    status = FV_OK;
    report->n_metrics = b->n_figures;
    measure_all(report, &r);
    if (!b->values_only) measure_intervals(report, &r, pool);
done:
    fv_free(r.scratch);
    fv_free(r.figures);
    return status;
}
