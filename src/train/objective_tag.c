/* Words to tags: a loss at the first piece of every word, and figures of words and spans. */
#include "data/tags.h"
#include "ops.h"
#include "train/evaluate.h"
#include "train/training.h"

/* ---- Rows ---- */

static fv_status make_room(fv_job *job, fv_part *part, bool trains, fv_err *err)
{
    part->tags = fv_evaluate_truth(&part->data, &part->words, err);
    if (!part->tags) return FV_E_MEMORY;
    if (!trains) {
        part->logits = fv_alloc_zero(part->words.n * (size_t)job->head->outputs, sizeof *part->logits, err);
        return part->logits ? FV_OK : FV_E_MEMORY;
    }
    job->labels = fv_alloc_zero((size_t)part->sampler.max_N, sizeof *job->labels, err);
    return job->labels ? FV_OK : FV_E_MEMORY;
}

static fv_status encode(fv_training *t, fv_job *job, fv_part *part, bool trains, fv_err *err)
{
    fv_status status = FV_OK;
    fv_encoding encoding = {0};
    fv_text *texts = fv_prepare_texts(&part->data, err);
    if (!texts) return FV_E_MEMORY;
    FV_TRY(fv_word_rows_make(&part->words, t->tokenizer, t->recipe.encoder.max_len, texts, part->data.n, &encoding, &part->cut, err));
    if (part->words.tokens.n == 0) {
        status = FV_FAIL(err, FV_E_INPUT, "%s: no words in any text; expected words and their tags", part->path ? part->path : job->train.path);
        goto done;
    }
    FV_TRY(fv_sampler_init(&part->sampler, &part->words.tokens, t->recipe.batch_tokens, t->recipe.seed, err));
    FV_TRY(make_room(job, part, trains, err));
done:
    fv_encoding_release(&encoding);
    fv_free(texts);
    return status;
}

/* ---- Loss ---- */

/* The tags of a batch's words at their first pieces; the other tokens have none. */
static void collect_truth(fv_job *job, const fv_batch *batch)
{
    const fv_word_rows *words = &job->train.words;
    for (int32_t i = 0; i < batch->N; i++) job->labels[i] = -1;
    for (int32_t b = 0; b < batch->B; b++) {
        size_t row = batch->rows[b];
        for (size_t w = words->of_row[row]; w < words->of_row[row + 1]; w++)
            if (words->first[w] >= 0) job->labels[batch->offsets[b] + words->first[w]] = job->train.tags[w];
    }
}

static fv_tensor *build_loss(fv_training *t, fv_job *job, const fv_batch *batch)
{
    fv_tensor *logits = fv_network_build(&t->net, job->head, job->graph, batch, NULL);
    if (!t->planning) collect_truth(job, batch);
    fv_graph_scope(job->graph, "loss");
    return fv_cross_entropy(job->graph, logits, job->labels, (float)t->recipe.label_smoothing);
}

/* ---- Figures ---- */

static fv_status evaluate(fv_training *t, fv_job *job, fv_part *part, bool intervals, fv_report *report, fv_err *err)
{
    fv_status status = fv_infer_words(&t->net, job->head, t->infer_graph, &part->sampler, &part->words, part->logits, NULL, NULL, err);
    if (status != FV_OK) return status;
    return fv_evaluate_tags(report, &part->data, &part->words, job->head, part->logits, t->recipe.seed, intervals, t->pool, err);
}

static fv_status calibrate(fv_training *t, fv_job *job, fv_err *err)
{
    (void)t;
    (void)err;
    job->head->temperature = fv_infer_temperature(job->valid.logits, job->valid.tags, job->valid.words.n, job->head->outputs);
    return FV_OK;
}

static fv_judging judging(const fv_job *job)
{
    return (fv_judging){.headline = fv_tags_have_spans(job->head->labels.names, job->head->labels.n) ? "f1" : "accuracy", .tie_breaker = "loss"};
}

const fv_objective fv_objective_tag = {
    .task = "tag", .encode = encode, .loss = build_loss, .evaluate = evaluate, .calibrate = calibrate, .judging = judging,
    .splits = true,
};
