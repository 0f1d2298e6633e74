/* From predictions to figures: how good a model is, and how sure one may be of that.
 *
 *     fv_predictions p = {.kind = FV_LABELS_SINGLE, .n = n, .n_labels = L, .names = names,
 *                         .scores = scores, .truth = truth, .seed = 1};
 *     fv_report report = {0};
 *     FV_TRY(fv_metrics_compute(&report, &p, pool, err));
 *     ... report.metrics[0].value ...
 *     fv_metrics_release(&report);
 *
 * What the figures mean, by kind:
 *   SINGLE      accuracy   share of rows whose best-scored label (the first of equals) is the truth
 *               macro_f1   mean F1 of the labels that occur in the truth or among the predictions
 *               micro_f1   F1 of all decisions together: the same as accuracy here
 *               ece        expected calibration error of the best label's score (Guo et al. 2017), 15 equal bins
 *               loss       mean of -ln(score of the truth)
 *   MULTI       a label is predicted when its score is at least 0.5
 *               accuracy   share of rows whose set of labels is exactly right
 *               macro_f1, micro_f1   as above, over labels
 *               ece        of all n × n_labels decisions, each as sure as max(score, 1 - score)
 *               loss       mean binary cross-entropy of all decisions
 *   REGRESSION  r2         1 - squared error / variance of the truth. With a constant truth 1 if every
 *                          prediction is exact, else 0, as scikit-learn has it
 *               mse        mean squared error
 *               pearson    correlation; 0 when either side is constant
 *
 * F1, precision and recall are 0 where they would divide by 0. A score that is NaN counts as 0, and
 * for regression makes the figures NaN. Intervals hold the middle 95 % of 1,000 resamples of rows
 * (Efron 1979), drawn from `seed`: the same on any number of threads. */
#ifndef FV_TRAIN_METRICS_H
#define FV_TRAIN_METRICS_H

#include "base/pool.h"

/* What was predicted, and the truth. Everything is borrowed; `names` as long as the report lives. */
typedef struct fv_predictions {
    fv_labels kind;
    size_t n;                    /* rows */
    int n_labels;                /* 1 for regression */
    const char *const *names;    /* [n_labels]; unused for regression */
    const float *scores;         /* [n, n_labels] probabilities, or predicted values */
    const int32_t *truth;        /* single: [n], -1 for a label that the model does not know; multi: sets, back to back */
    const size_t *truth_offsets; /* multi: [n + 1], row i has truth[truth_offsets[i] .. truth_offsets[i + 1]) */
    const double *values;        /* regression: [n] */
    uint64_t seed;
    bool values_only;            /* no intervals: low and high are the value. For a look between epochs */
} fv_predictions;

/* Fills metrics, labels, confusions (single label only, at most 20) and rows of *report, and leaves
 * its other fields alone. A row whose truth is -1 is wrong for accuracy, micro-F1, precision and
 * calibration, has no F1 of its own, and does not count in the loss. No rows: FV_E_INPUT. */
fv_status fv_metrics_compute(fv_report *report, const fv_predictions *predictions, fv_pool *pool, fv_err *err);
/* Frees what fv_metrics_compute made. */
void fv_metrics_release(fv_report *report);

#endif
