/* How well cosines of pairs agree with what people said of them.
 *
 *   spearman   correlation of ranks; equal values share the mean of their ranks
 *   pearson    correlation of values
 *   auc        where the truth is 0 or 1: how often a pair of the one kind has a larger cosine than one of the other
 *              (Hanley & McNeil 1982), equal ones counting half
 *
 * A correlation is 0 when either side is constant; the auc 0.5 when one kind is missing. */
#ifndef FV_TRAIN_SIMILARITY_H
#define FV_TRAIN_SIMILARITY_H

#include "base/pool.h"

typedef struct fv_similarities {
    size_t n;
    const double *truth;  /* [n] */
    const float *cosines; /* [n] */
    uint64_t seed;
    bool values_only;     /* no intervals */
} fv_similarities;

/* Fills metrics and n_metrics of the report. */
fv_status fv_similarity_compute(fv_report *report, const fv_similarities *similarities, fv_pool *pool, fv_err *err);

#endif
