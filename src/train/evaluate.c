/* Rows and logits brought into the forms that the metrics take. */
#include "train/evaluate.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "train/spans.h"

typedef struct answers {
    int32_t *labels;
    size_t *offsets;
    double *values;
} answers;

static void release_truth(answers *a)
{
    fv_free(a->labels);
    fv_free(a->offsets);
    fv_free(a->values);
}

static fv_status collect_truth(answers *a, const fv_dataset *data, fv_labels kind, fv_err *err)
{
    size_t n = 0, at = 0;
    for (size_t i = 0; i < data->n; i++) n += kind == FV_LABELS_MULTI ? (size_t)data->rows[i].n_labels : 1;
    *a = (answers){
        .labels = fv_alloc_zero(n + 1, sizeof *a->labels, err),
        .offsets = fv_alloc_zero(data->n + 1, sizeof *a->offsets, err),
        .values = fv_alloc_zero(data->n + 1, sizeof *a->values, err),
    };
    if (!a->labels || !a->offsets || !a->values) return FV_E_MEMORY;
    for (size_t i = 0; i < data->n; i++) {
        const fv_example *e = &data->rows[i];
        a->values[i] = e->value;
        if (kind == FV_LABELS_MULTI)
            for (int32_t k = 0; k < e->n_labels; k++) a->labels[at++] = e->labels[k];
        else a->labels[at++] = e->label;
        a->offsets[i + 1] = at;
    }
    return FV_OK;
}

fv_status fv_evaluate(fv_report *report, const fv_dataset *data, const fv_head *head, const float *logits, uint64_t seed, bool intervals, fv_pool *pool, fv_err *err)
{
    fv_status status = FV_OK;
    answers a = {0};
    size_t count = data->n * (size_t)head->outputs;
    float *scores = fv_alloc(count * sizeof *scores, err);
    if (!scores) return FV_E_MEMORY;
    FV_TRY(collect_truth(&a, data, head->kind, err));
    if (count > 0) memcpy(scores, logits, count * sizeof *scores); /* logits of no rows may be NULL, which memcpy must not be given */
    fv_infer_scores(head, scores, data->n);
    fv_predictions p = {
        .kind = head->kind, .n = data->n, .n_labels = head->outputs, .names = head->labels.names, .scores = scores,
        .truth = a.labels, .truth_offsets = a.offsets, .values = a.values, .seed = seed, .values_only = !intervals,
    };
    FV_TRY(fv_metrics_compute(report, &p, pool, err));
done:
    release_truth(&a);
    fv_free(scores);
    return status;
}

/* ---- Tags ---- */

int32_t *fv_evaluate_truth(const fv_dataset *data, const fv_word_rows *words, fv_err *err)
{
    int32_t *truth = fv_alloc(words->n * sizeof *truth, err);
    for (size_t i = 0; truth && i < data->n; i++) {
        const fv_example *row = &data->rows[i];
        size_t n = words->of_text[i + 1] - words->of_text[i];
        FV_ASSERT(n == (size_t)row->n_labels || row->n_labels == 0);
        for (size_t w = 0; w < n; w++) truth[words->of_text[i] + w] = row->n_labels ? row->labels[w] : -1;
    }
    return truth;
}

/* -ln(score of the truth); NaN for words that have none, or that the model has not seen. */
static void measure_losses(float *losses, const fv_word_rows *words, const int32_t *truth, const float *scores, int outputs)
{
    for (size_t w = 0; w < words->n; w++) {
        bool counts = truth[w] >= 0 && words->first[w] >= 0;
        losses[w] = counts ? -logf(fmaxf(scores[w * (size_t)outputs + (size_t)truth[w]], FLT_MIN)) : NAN;
    }
}

fv_status fv_evaluate_tags(fv_report *report, const fv_dataset *data, const fv_word_rows *words, const fv_head *head, const float *logits, uint64_t seed, bool intervals, fv_pool *pool, fv_err *err)
{
    fv_status status = FV_E_MEMORY;
    size_t count = words->n * (size_t)head->outputs;
    int32_t *truth = fv_evaluate_truth(data, words, err), *best = fv_alloc(words->n * sizeof *best, err);
    float *scores = fv_alloc(count * sizeof *scores, err), *losses = fv_alloc(words->n * sizeof *losses, err);
    if (!truth || !best || !scores || !losses) goto done;
    fv_infer_best_tags(head, words, logits, best);
    if (count > 0) memcpy(scores, logits, count * sizeof *scores); /* logits of no rows may be NULL, which memcpy must not be given */
    fv_infer_scores(head, scores, words->n);
    measure_losses(losses, words, truth, scores, head->outputs);
    fv_tag_predictions p = {
        .n = data->n, .offsets = words->of_text, .truth = truth, .predicted = best, .losses = losses,
        .names = head->labels.names, .n_names = head->labels.n, .seed = seed, .values_only = !intervals,
    };
    status = fv_spans_compute(report, &p, pool, err);
done:
    fv_free(truth);
    fv_free(best);
    fv_free(scores);
    fv_free(losses);
    return status;
}
