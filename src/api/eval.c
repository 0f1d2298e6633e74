/* fv_eval: a labelled file against a model, or a file of texts against one that tells hidden words. Translators are
 * eval_translator.c's. */
#include <string.h>

#include "api/eval.h"
#include "infer/masked.h"
#include "train/evaluate.h"
#include "train/perplexity.h"

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

static fv_status evaluate_labels(fv_report *report, fv_session *s, const fv_dataset *data, const fv_eval_options *o, fv_pool *pool, fv_err *err)
{
    fv_status status = FV_OK;
    int64_t cut = s->cut;
    float *logits = fv_alloc(data->n * (size_t)s->head->outputs * sizeof *logits, err);
    if (!logits) return FV_E_MEMORY;
    FV_TRY(score_rows(s, data, logits, o, err));
    FV_TRY(fv_evaluate(report, data, s->head, logits, o->seed, true, pool, err));
    report->cut = s->cut - cut;
    report->unknown_labels = data->unknown;
done:
    fv_free(logits);
    return status;
}

/* ---- Tags ---- */

static fv_status evaluate_words(fv_report *report, fv_session *s, const fv_dataset *data, const fv_eval_options *o, fv_pool *pool, fv_err *err)
{
    fv_word_rows words = {0};
    float *logits = NULL;
    int64_t cut = s->cut;
    fv_text *texts = fv_prepare_texts(data, err);
    fv_status status = texts ? fv_session_word_logits(s, texts, data->n, &words, &logits, tell, (void *)(uintptr_t)o, err) : FV_E_MEMORY;
    if (status == FV_OK) status = fv_evaluate_tags(report, data, &words, s->head, logits, o->seed, true, pool, err);
    s->cut = cut; /* long texts took several rows, and lost nothing */
    report->unknown_labels = data->unknown;
    fv_word_rows_release(&words);
    fv_free(logits);
    fv_free(texts);
    return status;
}

/* ---- Hidden words ---- */

static fv_status score_hidden(fv_report *report, fv_session *s, const fv_token_rows *rows, const uint8_t *kinds, const fv_eval_options *o, fv_pool *pool, fv_err *err)
{
    fv_status status = FV_OK;
    fv_sampler sampler = {0};
    fv_masker masker = {0};
    fv_row_losses losses;
    FV_TRY(fv_row_losses_init(&losses, rows->n, err));
    FV_TRY(fv_sampler_init(&sampler, rows, s->batch_tokens, 0, err));
    FV_TRY(fv_masker_init(&masker, s->model->tokenizer, o->seed, err));
    FV_TRY(fv_masked_score(&masker, &s->model->net, s->head, s->graph, &sampler, kinds, losses.sums, losses.counts, tell, (void *)(uintptr_t)o, err));
    FV_TRY(fv_perplexity_compute(report, &losses, o->seed, true, pool, err));
done:
    fv_masker_release(&masker);
    fv_sampler_release(&sampler);
    fv_row_losses_release(&losses);
    return status;
}

static fv_status evaluate_hidden(fv_report *report, fv_session *s, const char *path, const fv_dataset *data, const fv_eval_options *o, fv_pool *pool, fv_err *err)
{
    fv_status status = FV_OK;
    fv_token_rows rows = {0};
    uint8_t *kinds = NULL;
    int64_t several = 0;
    fv_text *texts = fv_prepare_texts(data, err);
    if (!texts) return FV_E_MEMORY;
    FV_TRY(fv_masked_rows_make(&rows, &kinds, s->model->tokenizer, s->model->max_len, texts, data->n, &s->encoding, &several, err));
    if (rows.n == 0) status = FV_FAIL(err, FV_E_INPUT, "%s: all texts are empty; expected words", path);
    else FV_TRY(score_hidden(report, s, &rows, kinds, o, pool, err));
done:
    fv_token_rows_release(&rows);
    fv_free(kinds);
    fv_free(texts);
    return status;
}

/* ---- All of it ---- */

static fv_status evaluate(fv_report *report, fv_session *s, const char *path, const fv_eval_options *o, fv_err *err)
{
    fv_status status = FV_OK;
    fv_dataset data = {0};
    fv_columns columns = o->columns;
    fv_pool *pool = fv_pool_shared(err);
    if (!pool) return FV_E_MEMORY;
    if (s->head == &s->none) return fv_session_refuse(s, "cannot be judged", err);
    if (s->head->kind == FV_LABELS_NONE) columns.label = NULL;
    if (s->head->kind == FV_LABELS_VECTOR) fv_dataset_vector_columns(&columns);
    FV_TRY(fv_dataset_load(&data, path, &columns, s->head->kind, &s->head->labels, false, err));
    switch (s->head->kind) {
    case FV_LABELS_NONE: FV_TRY(evaluate_hidden(report, s, path, &data, o, pool, err)); break;
    case FV_LABELS_TAGS: FV_TRY(evaluate_words(report, s, &data, o, pool, err)); break;
    case FV_LABELS_VECTOR: FV_TRY(fv_eval_vectors(report, s, &data, path, o, tell, (void *)(uintptr_t)o, pool, err)); break;
    case FV_LABELS_TEXT: FV_TRY(fv_eval_translator(report, s, &data, o, tell, (void *)(uintptr_t)o, pool, err)); break;
    default: FV_TRY(evaluate_labels(report, s, &data, o, pool, err));
    }
    report->rows = (int64_t)data.n;
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
