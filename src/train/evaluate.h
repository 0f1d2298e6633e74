/* From rows and logits to a report: what validation, tests and fv_eval share. */
#ifndef FV_TRAIN_EVALUATE_H
#define FV_TRAIN_EVALUATE_H

#include "infer/words.h"
#include "train/metrics.h"

/* Logits [n, outputs] of all rows of `data`, in row order, are left alone. Release the report with
 * fv_metrics_release while the head's label names live. Without intervals low and high are the value. */
fv_status fv_evaluate(fv_report *report, const fv_dataset *data, const fv_head *head, const float *logits, uint64_t seed, bool intervals, fv_pool *pool, fv_err *err);

/* The same for tags: logits [words->n, outputs], words those of the rows' texts. */
fv_status fv_evaluate_tags(fv_report *report, const fv_dataset *data, const fv_word_rows *words, const fv_head *head, const float *logits, uint64_t seed, bool intervals, fv_pool *pool, fv_err *err);
/* The tags of all rows, one behind the other: [words->n], -1 where there is none. fv_free it. */
int32_t *fv_evaluate_truth(const fv_dataset *data, const fv_word_rows *words, fv_err *err);

#endif
