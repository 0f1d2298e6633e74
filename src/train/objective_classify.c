/* Texts to labels: one of a set, any of a set, or a number. The wide part is learnt here too. */
#include <string.h>

#include "ops.h"
#include "train/evaluate.h"
#include "train/training.h"

/* Weights of the wide part at most, over all labels: 32 MB, and as much for each moment. */
enum { MAX_WIDE_WEIGHTS = 8 << 20 };

/* ---- Rows ---- */

/* Features are chosen by how many training texts have them: a pure function of the data. */
static fv_status choose_features(fv_head *head, const fv_text *texts, size_t n, fv_ngrams *ngrams, fv_err *err)
{
    fv_status status = FV_OK;
    fv_wide_counts counts = {0};
    for (size_t i = 0; i < n; i++) {
        FV_TRY(fv_prepare_ngrams(ngrams, &texts[i], err));
        FV_TRY(fv_wide_count(&counts, ngrams->hashes, ngrams->n, err));
    }
    FV_TRY(fv_wide_choose(&head->wide, &counts, MAX_WIDE_WEIGHTS / head->outputs, err));
    head->has_wide = head->wide.n > 0;
done:
    fv_wide_counts_release(&counts);
    return status;
}

static fv_status make_room(fv_job *job, fv_part *part, bool trains, fv_err *err)
{
    size_t outputs = (size_t)job->head->outputs;
    if (!trains) {
        part->logits = fv_alloc_zero(part->data.n * outputs, sizeof(float), err);
        return part->logits ? FV_OK : FV_E_MEMORY;
    }
    size_t max_B = (size_t)part->sampler.max_B;
    job->labels = fv_alloc_zero(max_B, sizeof *job->labels, err);
    job->targets = fv_alloc_zero(max_B * outputs, sizeof *job->targets, err);
    return job->labels && job->targets ? FV_OK : FV_E_MEMORY;
}

static fv_status encode(fv_training *t, fv_job *job, fv_part *part, bool trains, fv_err *err)
{
    fv_status status = FV_OK;
    fv_encoding encoding = {0};
    fv_ngrams ngrams = {0};
    fv_text *texts = fv_prepare_texts(&part->data, err);
    if (!texts) return FV_E_MEMORY;
    FV_TRY(fv_prepare_rows(&part->rows, t->tokenizer, t->recipe.encoder.max_len, texts, part->data.n, &encoding, &part->cut, err));
    FV_TRY(fv_sampler_init(&part->sampler, &part->rows, t->recipe.batch_tokens, t->recipe.seed, err));
    if (trains && t->recipe.wide) FV_TRY(choose_features(job->head, texts, part->data.n, &ngrams, err));
    if (job->head->has_wide) FV_TRY(fv_prepare_features(&part->features, &job->head->wide, texts, part->data.n, &ngrams, err));
    FV_TRY(make_room(job, part, trains, err));
done:
    fv_encoding_release(&encoding);
    fv_ngrams_release(&ngrams);
    fv_free(texts);
    return status;
}

/* ---- Loss ---- */

static void collect_truth(fv_job *job, const fv_batch *batch)
{
    int outputs = job->head->outputs;
    for (int32_t b = 0; b < batch->B; b++) {
        const fv_example *e = &job->train.data.rows[batch->rows[b]];
        float *target = job->targets + (size_t)b * (size_t)outputs;
        job->labels[b] = e->label;
        if (job->head->kind == FV_LABELS_REGRESSION) *target = (float)e->value;
        if (job->head->kind != FV_LABELS_MULTI) continue;
        memset(target, 0, (size_t)outputs * sizeof *target);
        for (int32_t i = 0; i < e->n_labels; i++) target[e->labels[i]] = 1;
    }
}

static fv_tensor *build_loss(fv_training *t, fv_job *job, const fv_batch *batch)
{
    fv_graph *g = job->graph;
    fv_tensor *logits = fv_network_build(&t->net, job->head, g, batch, &job->train.features);
    collect_truth(job, batch);
    fv_graph_scope(g, "loss");
    if (job->head->kind == FV_LABELS_MULTI) return fv_binary_cross_entropy(g, logits, job->targets);
    if (job->head->kind == FV_LABELS_REGRESSION) return fv_squared_error(g, logits, job->targets);
    return fv_cross_entropy(g, logits, job->labels, (float)t->recipe.label_smoothing);
}

/* ---- Figures ---- */

static fv_status evaluate(fv_training *t, fv_job *job, fv_part *part, bool intervals, fv_report *report, fv_err *err)
{
    fv_status status = fv_infer_rows(&t->net, job->head, t->infer_graph, &part->sampler, &part->features, part->logits, NULL, NULL, err);
    if (status != FV_OK) return status;
    return fv_evaluate(report, &part->data, job->head, part->logits, t->recipe.seed, intervals, t->pool, err);
}

static fv_status calibrate(fv_training *t, fv_job *job, fv_err *err)
{
    (void)t;
    const fv_dataset *data = &job->valid.data;
    if (job->head->kind != FV_LABELS_SINGLE) return FV_OK;
    int32_t *truth = fv_alloc(data->n * sizeof *truth, err);
    if (!truth) return FV_E_MEMORY;
    for (size_t i = 0; i < data->n; i++) truth[i] = data->rows[i].label;
    job->head->temperature = fv_infer_temperature(job->valid.logits, truth, data->n, job->head->outputs);
    fv_free(truth);
    return FV_OK;
}

static const char *headline(const fv_job *job)
{
    fv_labels kind = job->head->kind;
    return kind == FV_LABELS_SINGLE ? "accuracy" : kind == FV_LABELS_MULTI ? "micro_f1" : "r2";
}

static const char *tie_breaker(const fv_job *job) { return job->head->kind == FV_LABELS_REGRESSION ? "mse" : "loss"; }

const fv_objective fv_objective_classify = {
    .task = "classify", .encode = encode, .loss = build_loss, .evaluate = evaluate, .calibrate = calibrate, .headline = headline, .tie_breaker = tie_breaker,
};
