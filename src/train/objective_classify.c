/* Texts to labels: one of a set, any of a set, or a number. The wide part is learnt here too, before the
 * Transformer; on the validation rows, which neither learnt from, the two are weighed against each other
 * whenever they are judged, and at the end that weighing goes into the weights of both. */
#include <string.h>

#include "ops.h"
#include "train/evaluate.h"
#include "train/training.h"

/* Weights of the wide part at most, over all labels: 64 MB. */
enum { MAX_WIDE_WEIGHTS = 16 << 20 };

/* ---- Rows ---- */

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

/* The weights come from all rows that may be learnt from: those that were held back here are judged by
 * what the others taught, and then join them. */
static fv_status learn_ngrams(fv_training *t, fv_job *job, fv_err *err)
{
    fv_status status = FV_OK;
    fv_head *head = job->head;
    fv_wide *w = &head->wide;
    fv_wide_rows rows[] = {{&job->train.features, &job->train.data}, {&job->valid.features, &job->valid.data}};
    double C;
    job->margins = fv_alloc(job->valid.data.n * (size_t)head->outputs * sizeof *job->margins, err);
    w->weight = fv_alloc((size_t)(w->n + 1) * (size_t)head->outputs * sizeof *w->weight, err);
    w->outputs = head->outputs;
    w->owned = true;
    if (!job->margins || !w->weight) return FV_E_MEMORY;
    fv_training_say(t, "%s%sweighing %lld n-grams", head->name, *head->name ? ": " : "", (long long)w->n);
    FV_TRY(fv_wide_choose_C(&C, job->margins, &rows[0], 1, &rows[1], head->kind, head->outputs, w->n, t->recipe.seed, t->pool, err));
    FV_TRY(fv_wide_fit(w->weight, C, rows, job->valid.path ? 1 : 2, head->kind, head->outputs, w->n, t->recipe.seed, t->pool, err));
done:
    return status;
}

static fv_status choose_features(fv_head *head, const fv_text *texts, size_t n, fv_ngrams *ngrams, fv_err *err)
{
    fv_status status = fv_prepare_wide(&head->wide, texts, n, MAX_WIDE_WEIGHTS / head->outputs, ngrams, err);
    head->has_wide = status == FV_OK && head->wide.n > 0;
    return status;
}

/* What the Transformer reads: the rows' texts, for lessons with copies behind them. */
static fv_status encode_tokens(fv_training *t, fv_job *job, fv_part *part, const fv_text *texts, bool trains, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_lessons *l = &job->lessons;
    fv_encoding encoding = {0};
    if (trains && t->recipe.taught) FV_TRY(fv_lessons_make(&job->lessons, &part->data, job->head->outputs, t->recipe.seed, t->pool, err));
    bool taught = trains && l->n > 0;
    FV_TRY(fv_prepare_rows(&part->rows, t->tokenizer, t->recipe.encoder.max_len, taught ? l->texts : texts, taught ? l->n : part->data.n, &encoding, &part->cut, err));
    FV_TRY(fv_sampler_init(&part->sampler, &part->rows, t->recipe.batch_tokens, t->recipe.seed, err));
done:
    fv_encoding_release(&encoding);
    return status;
}

static fv_status encode(fv_training *t, fv_job *job, fv_part *part, bool trains, fv_err *err)
{
    fv_status status = FV_OK;
    fv_ngrams ngrams = {0};
    fv_text *texts = fv_prepare_texts(&part->data, err);
    if (!texts) return FV_E_MEMORY;
    FV_TRY(encode_tokens(t, job, part, texts, trains, err));
    if (trains && t->recipe.wide) FV_TRY(choose_features(job->head, texts, part->data.n, &ngrams, err));
    if (job->head->has_wide) FV_TRY(fv_prepare_features(&part->features, &job->head->wide, texts, part->data.n, &ngrams, err));
    FV_TRY(make_room(job, part, trains, err));
    if (job->head->has_wide && part == &job->valid) FV_TRY(learn_ngrams(t, job, err));
done:
    fv_ngrams_release(&ngrams);
    fv_free(texts);
    return status;
}

/* ---- Loss ---- */

/* In lessons a row is a text or a copy of one, and the truth is what the teachers say. */
static void collect_shares(fv_job *job, const fv_batch *batch)
{
    size_t outputs = (size_t)job->head->outputs;
    for (int32_t b = 0; b < batch->B; b++)
        memcpy(job->targets + (size_t)b * outputs, job->lessons.shares + batch->rows[b] * outputs, outputs * sizeof *job->targets);
}

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

/* Other tokens hidden in each epoch make a small set larger (Iyyer et al. 2015, there on embeddings): the
 * Transformer cannot know a text by one rare word of it. The n-grams stay whole: they are linear, and
 * know them anyhow. False when out of memory; the graph then has the error. */
static bool hide_words(const fv_training *t, fv_graph *g, fv_batch *batch)
{
    int32_t mask = fv_tokenizer_id(t->tokenizer, "[MASK]"), end = fv_tokenizer_id(t->tokenizer, "[SEP]");
    uint64_t key = fv_mix(t->recipe.seed, (uint64_t)t->step), most = (uint64_t)(t->recipe.word_dropout * 0x1p32);
    if (!most || mask < 0) return true;
    int32_t *ids = fv_graph_memory(g, (size_t)batch->N * sizeof *ids);
    if (!ids) return false;
    for (int32_t b = 0; b < batch->B; b++) {
        uint64_t name = fv_mix(key, batch->sequences[b]);
        for (int32_t i = batch->offsets[b]; i < batch->offsets[b + 1]; i++) {
            bool frame = i == batch->offsets[b] || batch->ids[i] == end;
            ids[i] = !frame && fv_mix(name, (uint64_t)batch->positions[i]) >> 32 < most ? mask : batch->ids[i];
        }
    }
    batch->ids = ids;
    return true;
}

static fv_tensor *build_loss(fv_training *t, fv_job *job, const fv_batch *batch)
{
    fv_graph *g = job->graph;
    fv_batch shown = *batch;
    if (!hide_words(t, g, &shown)) return NULL;
    fv_tensor *logits = fv_network_build(&t->net, job->head, g, &shown, NULL);
    fv_graph_scope(g, "loss");
    if (job->lessons.n > 0) {
        collect_shares(job, batch);
        return fv_soft_cross_entropy(g, logits, job->targets);
    }
    collect_truth(job, batch);
    if (job->head->kind == FV_LABELS_MULTI) return fv_binary_cross_entropy(g, logits, job->targets);
    if (job->head->kind == FV_LABELS_REGRESSION) return fv_squared_error(g, logits, job->targets);
    return fv_cross_entropy(g, logits, job->labels, (float)t->recipe.label_smoothing);
}

/* ---- Figures ---- */

/* logits = deep · a + wide · b on the validation rows, a and b being those that lose least there. */
static void fuse(fv_job *job)
{
    size_t n = job->valid.data.n * (size_t)job->head->outputs;
    float *logits = job->valid.logits;
    fv_fusion_fit(&job->fusion, logits, job->margins, &job->valid.data, job->head->kind, job->head->outputs);
    for (size_t i = 0; i < n; i++) logits[i] = (float)(job->fusion.deep * (double)logits[i] + job->fusion.wide * (double)job->margins[i]);
}

static fv_status evaluate(fv_training *t, fv_job *job, fv_part *part, bool intervals, fv_report *report, fv_err *err)
{
    bool apart = job->head->has_wide && !job->settled;
    FV_ASSERT(!apart || part == &job->valid);
    fv_status status = fv_infer_rows(&t->net, job->head, t->infer_graph, &part->sampler, apart ? NULL : &part->features, part->logits, NULL, NULL, err);
    if (status != FV_OK) return status;
    if (apart) fuse(job);
    return fv_evaluate(report, &part->data, job->head, part->logits, t->recipe.seed, intervals, t->pool, err);
}

/* With a wide part the logits that lose least are there already. */
static fv_status calibrate(fv_training *t, fv_job *job, fv_err *err)
{
    (void)t;
    const fv_dataset *data = &job->valid.data;
    if (job->head->kind != FV_LABELS_SINGLE || job->head->has_wide) return FV_OK;
    int32_t *truth = fv_alloc(data->n * sizeof *truth, err);
    if (!truth) return FV_E_MEMORY;
    for (size_t i = 0; i < data->n; i++) truth[i] = data->rows[i].label;
    job->head->temperature = fv_infer_temperature(job->valid.logits, truth, data->n, job->head->outputs);
    fv_free(truth);
    return FV_OK;
}

static void scale(float *x, int64_t n, double by)
{
    for (int64_t i = 0; i < n; i++) x[i] = (float)((double)x[i] * by);
}

/* The weighing goes into the weights, and the n-grams' bias into the Transformer's. */
static void settle(fv_training *t, fv_job *job)
{
    fv_head *head = job->head;
    fv_linear_weights *c = &head->weights.classifier;
    if (!head->has_wide) return;
    scale(c->w->data, c->w->rows * c->w->cols, job->fusion.deep);
    scale(c->b->data, c->b->cols, job->fusion.deep);
    scale(head->wide.weight, (head->wide.n + 1) * head->outputs, job->fusion.wide);
    for (int i = 0; i < head->outputs; i++) c->b->data[i] += head->wide.weight[head->wide.n * head->outputs + i];
    fv_params_changed(t->params, t->pool);
    job->settled = true;
}

/* With a wide part the two are weighed anew at each look, and answer much alike in all epochs: which of them is right more
 * often is soon a matter of chance, how sure they rightly are is less so. */
static fv_judging judging(const fv_job *job)
{
    fv_labels kind = job->head->kind;
    const char *headline = kind == FV_LABELS_SINGLE ? "accuracy" : kind == FV_LABELS_MULTI ? "micro_f1" : "r2";
    return (fv_judging){.headline = headline, .tie_breaker = kind == FV_LABELS_REGRESSION ? "mse" : "loss", .by_tie_breaker = job->head->has_wide};
}

const fv_objective fv_objective_classify = {
    .task = "classify", .encode = encode, .loss = build_loss, .evaluate = evaluate, .calibrate = calibrate, .settle = settle, .judging = judging,
};
