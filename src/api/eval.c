/* fv_eval: a labelled file against a model. */
#include <string.h>

#include "train/evaluate.h"

void fv_eval_options_init(fv_eval_options *o)
{
    *o = (fv_eval_options){.size = sizeof *o, .seed = 1};
    fv_columns_init(&o->columns);
}

static int tell(void *user, size_t batches, size_t of)
{
    const fv_eval_options *o = user;
    fv_event event = {.size = sizeof event, .kind = FV_EVENT_STEP, .text = "", .metric = "", .step = (int64_t)batches, .steps = (int64_t)of};
    return o->on_event ? o->on_event(o->on_event_user, &event) : 0;
}

static fv_status score_rows(fv_session *s, const fv_dataset *data, float *logits, const fv_eval_options *o, fv_err *err)
{
    fv_text *texts = fv_prepare_texts(data, err);
    if (!texts) return FV_E_MEMORY;
    fv_status status = fv_session_logits(s, texts, data->n, logits, tell, (void *)(uintptr_t)o, err);
    fv_free(texts);
    return status;
}

static fv_status evaluate_texts(fv_report *report, fv_session *s, const fv_dataset *data, const fv_eval_options *o, fv_pool *pool, fv_err *err)
{
    float *logits = fv_alloc(data->n * (size_t)s->head->outputs * sizeof *logits, err);
    if (!logits) return FV_E_MEMORY;
    fv_status status = score_rows(s, data, logits, o, err);
    if (status == FV_OK) status = fv_evaluate(report, data, s->head, logits, o->seed, true, pool, err);
    fv_free(logits);
    return status;
}

static fv_status evaluate_words(fv_report *report, fv_session *s, const fv_dataset *data, const fv_eval_options *o, fv_pool *pool, fv_err *err)
{
    fv_word_rows words = {0};
    float *logits = NULL;
    fv_text *texts = fv_prepare_texts(data, err);
    fv_status status = texts ? fv_session_word_logits(s, texts, data->n, &words, &logits, tell, (void *)(uintptr_t)o, err) : FV_E_MEMORY;
    if (status == FV_OK) status = fv_evaluate_tags(report, data, &words, s->head, logits, o->seed, true, pool, err);
    fv_word_rows_release(&words);
    fv_free(logits);
    fv_free(texts);
    return status;
}

static fv_status evaluate(fv_report *report, fv_session *s, const char *path, const fv_eval_options *o, fv_err *err)
{
    fv_status status = FV_OK;
    fv_dataset data = {0};
    int64_t cut = s->cut;
    fv_pool *pool = fv_pool_shared(err);
    if (!pool) return FV_E_MEMORY;
    FV_TRY(fv_dataset_load(&data, path, &o->columns, s->head->kind, &s->head->labels, false, err));
    FV_TRY(s->head->kind == FV_LABELS_TAGS ? evaluate_words(report, s, &data, o, pool, err) : evaluate_texts(report, s, &data, o, pool, err));
    report->cut = s->cut - cut;
    report->unknown_labels = data.unknown;
    report->skipped = data.skipped;
done:
    fv_dataset_release(&data);
    return status;
}

fv_report *fv_eval(fv_session *session, const char *path, const fv_eval_options *options, fv_err *err)
{
    fv_eval_options defaults;
    fv_eval_options_init(&defaults);
    fv_report *report = fv_alloc_zero(1, sizeof *report, err);
    if (!report) return NULL;
    if (evaluate(report, session, path, options ? options : &defaults, err) == FV_OK) return report;
    fv_report_free(report);
    return NULL;
}

void fv_report_free(fv_report *report)
{
    if (!report) return;
    fv_metrics_release(report);
    fv_free(report);
}
