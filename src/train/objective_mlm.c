/* Masked pre-training (Devlin et al. 2019, 3.1): words of plain texts are hidden, and to be told from what is around them.
 * No labels, no cutting: long texts take several rows. Validation hides the same words each time, however training does. */
#include "infer/masked.h"
#include "train/perplexity.h"
#include "train/training.h"

/* One masker serves all parts: it has room for the largest batch of any. */
static fv_status make_masker(fv_training *t, fv_job *job, const fv_part *part, bool trains, fv_err *err)
{
    fv_status status = trains ? fv_masker_init(&job->masker, t->tokenizer, t->recipe.seed, err) : FV_OK;
    return status == FV_OK ? fv_masker_reserve(&job->masker, part->sampler.max_N, err) : status;
}

static fv_status encode(fv_training *t, fv_job *job, fv_part *part, bool trains, fv_err *err)
{
    fv_status status = FV_OK;
    fv_encoding encoding = {0};
    fv_text *texts = fv_prepare_texts(&part->data, err);
    if (!texts) return FV_E_MEMORY;
    FV_TRY(fv_masked_rows_make(&part->rows, &part->kinds, t->tokenizer, t->recipe.encoder.max_len, texts, part->data.n, &encoding, &part->cut, err));
    if (part->rows.n == 0) { status = FV_FAIL(err, FV_E_INPUT, "%s: all texts are empty; expected words", part->path ? part->path : t->o->train); goto done; }
    FV_TRY(fv_sampler_init(&part->sampler, &part->rows, t->recipe.batch_tokens, t->recipe.seed, err));
    FV_TRY(make_masker(t, job, part, trains, err));
done:
    fv_encoding_release(&encoding);
    fv_free(texts);
    return status;
}

static fv_tensor *build_loss(fv_training *t, fv_job *job, const fv_batch *batch)
{
    fv_masker *m = &job->masker;
    if (t->planning) return fv_masker_build_largest(m, &t->net, job->head, job->graph, batch);
    m->masking.epoch = job->epoch;
    m->masking.share = t->recipe.mask_share;
    m->masking.pieces = t->recipe.mask_pieces;
    m->masking.rows = &job->train.rows;
    m->masking.kinds = job->train.kinds;
    return fv_masker_build(m, &t->net, job->head, job->graph, batch);
}

static fv_status evaluate(fv_training *t, fv_job *job, fv_part *part, bool intervals, fv_report *report, fv_err *err)
{
    fv_status status = FV_OK;
    fv_row_losses losses;
    FV_TRY(fv_row_losses_init(&losses, part->rows.n, err));
    FV_TRY(fv_masked_score(&job->masker, &t->net, job->head, t->infer_graph, &part->sampler, part->kinds, losses.sums, losses.counts, NULL, NULL, err));
    FV_TRY(fv_perplexity_compute(report, &losses, t->recipe.seed, intervals, t->pool, err));
done:
    fv_row_losses_release(&losses);
    return status;
}

const fv_objective fv_objective_mlm = {
    .task = "mlm", .encode = encode, .loss = build_loss, .evaluate = evaluate, .judging = fv_judged_by_loss, .splits = true,
};
