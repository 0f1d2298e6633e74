/* How surprised a model is by the words that are hidden from it: the mean loss in nats, and its exponential, as many equally
 * likely words as would surprise alike. */
#ifndef FV_TRAIN_PERPLEXITY_H
#define FV_TRAIN_PERPLEXITY_H

#include "base/pool.h"

/* Row i lost losses[i] in all on counts[i] words. Metrics "loss" and "perplexity", with intervals over rows if asked for.
 * FV_E_INPUT when no row has a word. */
fv_status fv_perplexity_compute(fv_report *report, const double *losses, const int32_t *counts, size_t n, uint64_t seed, bool intervals, fv_pool *pool, fv_err *err);

#endif
