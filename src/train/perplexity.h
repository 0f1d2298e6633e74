/* How surprised a model is by the words that are hidden from it: the mean loss in nats, and its exponential, as many equally
 * likely words as would surprise alike. */
#ifndef FV_TRAIN_PERPLEXITY_H
#define FV_TRAIN_PERPLEXITY_H

#include "base/pool.h"
#include "base/rng.h"

/* Row i lost sums[i] in all on counts[i] words. */
typedef struct fv_row_losses {
    double *sums;    /* [n] */
    int32_t *counts; /* [n] */
    size_t n;
} fv_row_losses;

fv_status fv_row_losses_init(fv_row_losses *losses, size_t n, fv_err *err); /* zeros */
void fv_row_losses_release(fv_row_losses *losses);

/* An fv_measure (train/bootstrap.h) of an fv_row_losses: its loss and perplexity. NaN where no row has a word. */
void fv_perplexity_measure(const void *losses, fv_rng *chance, void *scratch, double *figures);
/* Metrics "loss" and "perplexity", with intervals over rows if asked for. FV_E_INPUT when no row has a word. */
fv_status fv_perplexity_compute(fv_report *report, const fv_row_losses *losses, uint64_t seed, bool intervals, fv_pool *pool, fv_err *err);

#endif
