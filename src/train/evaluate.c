/* Rows and logits brought into the forms that the metrics take. */
#include "train/evaluate.h"

#include <string.h>

typedef struct truth {
    int32_t *labels;
    size_t *offsets;
    double *values;
} truth;

static void release_truth(truth *a)
{
    fv_free(a->labels);
    fv_free(a->offsets);
    fv_free(a->values);
}

static fv_status collect_truth(truth *a, const fv_dataset *data, fv_labels kind, fv_err *err)
{
    size_t n = 0, at = 0;
    for (size_t i = 0; i < data->n; i++) n += kind == FV_LABELS_MULTI ? (size_t)data->rows[i].n_labels : 1;
    *a = (truth){
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
    truth a = {0};
    size_t count = data->n * (size_t)head->outputs;
    float *scores = fv_alloc(count * sizeof *scores, err);
    if (!scores) return FV_E_MEMORY;
    FV_TRY(collect_truth(&a, data, head->kind, err));
    memcpy(scores, logits, count * sizeof *scores);
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
