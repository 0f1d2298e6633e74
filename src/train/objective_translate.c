/* Translation (Vaswani et al. 2017): each token of the target from those before it and from the source. No labels; a pair
 * is a row. With sample_pieces the training rows are cut into pieces anew for each epoch, so that the model sees words in
 * many spellings; validation always takes the likeliest pieces. */
#include "train/perplexity.h"
#include "train/training.h"

static fv_status fill(fv_training *t, fv_part *part, const fv_pair_drawing *drawing, int64_t *cut, fv_err *err)
{
    fv_text *texts = fv_prepare_texts(&part->data, err);
    if (!texts) return FV_E_MEMORY;
    part->pairs.bare_source = t->recipe.translator.bare_source;
    fv_status status = fv_pair_rows_make(&part->pairs, t->pair, t->recipe.translator.max_len, texts, part->data.n, drawing, cut, err);
    fv_free(texts);
    return status;
}

/* One pair of batches serves all parts: it has room for the largest of any. */
static fv_status make_room(fv_training *t, fv_job *job, const fv_sampler *s, fv_err *err)
{
    fv_pair_batch *p = &job->pairs;
    int32_t B = s->max_B > p->max_B ? s->max_B : p->max_B, N = s->max_N > p->max_N ? s->max_N : p->max_N;
    fv_pair_batch_release(p);
    return fv_pair_batch_init(p, B, N, t->recipe.translator.start, err);
}

static fv_status encode(fv_training *t, fv_job *job, fv_part *part, bool trains, fv_err *err)
{
    (void)trains;
    fv_status status = FV_OK;
    FV_TRY(fill(t, part, &(fv_pair_drawing){0}, &part->cut, err));
    FV_TRY(fv_sampler_init(&part->sampler, &part->pairs.rows, t->recipe.batch_tokens, t->recipe.seed, err));
    FV_TRY(make_room(t, job, &part->sampler, err));
done:
    return status;
}

static fv_status draw_rows(fv_training *t, fv_job *job, fv_err *err)
{
    int64_t cut = 0; /* counted once, when the part was encoded */
    fv_pair_drawing d = {.alpha = t->recipe.sample_pieces, .seed = t->recipe.seed, .epoch = job->epoch, .longest = job->train.sampler.max_N};
    return d.alpha > 0 ? fill(t, &job->train, &d, &cut, err) : FV_OK;
}

/* While planning: as if every token were the source's, and the target's, too; no batch needs more room. */
static void split(const fv_training *t, fv_job *job, const fv_batch *batch)
{
    fv_pair_batch *p = &job->pairs;
    if (!t->planning) {
        fv_pair_batch_split(p, batch);
        return;
    }
    p->source = p->target = *batch;
    for (int32_t i = 0; i < batch->N; i++) p->targets[i] = 0;
}

static fv_tensor *build_loss(fv_training *t, fv_job *job, const fv_batch *batch)
{
    const fv_seq2seq *m = t->net.translator;
    const fv_pair_batch *p = &job->pairs;
    split(t, job, batch);
    fv_tensor *memory = fv_seq2seq_encode(m, job->graph, &p->source);
    fv_tensor *hidden = fv_seq2seq_decode(m, job->graph, memory, &p->source, &p->target);
    return fv_seq2seq_loss(m, job->graph, hidden, p->targets, (float)t->recipe.label_smoothing);
}

static fv_status evaluate(fv_training *t, fv_job *job, fv_part *part, bool intervals, fv_report *report, fv_err *err)
{
    fv_status status = FV_OK;
    fv_row_losses losses;
    FV_TRY(fv_row_losses_init(&losses, part->pairs.rows.n, err));
    FV_TRY(fv_pair_score(t->net.translator, t->infer_graph, &part->sampler, &job->pairs, losses.sums, losses.counts, NULL, NULL, err));
    FV_TRY(fv_perplexity_compute(report, &losses, t->recipe.seed, intervals, t->pool, err));
done:
    fv_row_losses_release(&losses);
    return status;
}

const fv_objective fv_objective_translate = {
    .task = "translate", .encode = encode, .loss = build_loss, .evaluate = evaluate, .judging = fv_judged_by_loss, .draw_rows = draw_rows,
};
