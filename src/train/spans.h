/* From the tags of words to figures: how many words were tagged rightly, and how many spans ("B-LOC
 * I-LOC" is one, of type LOC; data/tags.h has the rules) were found.
 *
 *     fv_tag_predictions p = {.n = n, .offsets = offsets, .truth = truth, .predicted = predicted,
 *                             .names = names, .n_names = L, .seed = 1};
 *     FV_TRY(fv_spans_compute(&report, &p, pool, err));
 *
 * The figures:
 *   accuracy           share of words with the right tag
 *   precision, recall  share of the spans predicted, of the true spans, that are in the other too: the same
 *   f1                 first and last word and the same type (micro averages over all types)
 *   loss               mean of `losses`, when they are given
 * When the names are no tags of spans (parts of speech), there are accuracy and loss only, and
 * the scores are those of tags instead of types. A quotient is 0 where it would divide by 0. */
#ifndef FV_TRAIN_SPANS_H
#define FV_TRAIN_SPANS_H

#include "base/pool.h"

/* Everything is borrowed; `names` as long as the report lives. */
typedef struct fv_tag_predictions {
    size_t n;                   /* sentences */
    const size_t *offsets;      /* [n + 1]: sentence i has words offsets[i] .. offsets[i + 1] */
    const int32_t *truth;       /* [words]: a place in names, or -1 for a tag that has none: never right, in no span */
    const int32_t *predicted;   /* the same; -1 where the text was cut */
    const float *losses;        /* [words] -ln(score of the truth), NaN for words that do not count; or NULL */
    const char *const *names;   /* [n_names] */
    int n_names;
    uint64_t seed;              /* of the intervals, which resample sentences */
    bool values_only;           /* no intervals */
} fv_tag_predictions;

/* Fills metrics, labels (a score for each type, or tag, in the order of their first name) and rows of *report. No words: FV_E_INPUT. Release with fv_metrics_release. */
fv_status fv_spans_compute(fv_report *report, const fv_tag_predictions *predictions, fv_pool *pool, fv_err *err);

#endif
