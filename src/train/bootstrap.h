/* Figures of a set of rows, and how far they would move with another set: the middle 95 % of 1,000
 * resamples of the rows (Efron 1979), drawn from a seed and the same on any number of threads.
 *
 *     static void measure(const void *rows, fv_rng *chance, void *scratch, double *figures)
 *     {
 *         const struct mine *all = rows;
 *         for (size_t i = 0; i < all->n; i++) ... all->items[fv_bootstrap_draw(chance, i, all->n)] ...
 *     }
 *     fv_bootstrap b = {.measure = measure, .rows = &mine, .names = names, .n_figures = 2, .seed = 1};
 *     FV_TRY(fv_bootstrap_run(&report, &b, pool, err));
 */
#ifndef FV_TRAIN_BOOTSTRAP_H
#define FV_TRAIN_BOOTSTRAP_H

#include "base/pool.h"
#include "base/rng.h"

enum { FV_BOOTSTRAP_RESAMPLES = 1000, FV_BOOTSTRAP_FIGURES = 8 /* at most */ };

/* Computes figures over the rows that `chance` draws, or over all rows once if it is NULL. Called by
 * several threads at once, each with its own scratch, which holds what the last call left. */
typedef void (*fv_measure)(const void *rows, fv_rng *chance, void *scratch, double *figures);

typedef struct fv_bootstrap {
    fv_measure measure;
    const void *rows;
    const char *const *names; /* of the figures */
    size_t n_figures;
    size_t scratch_bytes;
    uint64_t seed;
    bool values_only;         /* no resamples: low and high are the value */
} fv_bootstrap;

/* Which row is the i-th of a resample: the i-th, or one drawn from chance. */
static inline size_t fv_bootstrap_draw(fv_rng *chance, size_t i, size_t n)
{
    return chance ? (size_t)fv_rng_below(chance, n) : i;
}

/* Fills metrics and n_metrics of *report; the caller frees them. A figure that is NaN in any resample
 * has the interval NaN. */
fv_status fv_bootstrap_run(fv_report *report, const fv_bootstrap *bootstrap, fv_pool *pool, fv_err *err);

#endif
