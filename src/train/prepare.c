/* All that is there before the first step, beside rows and labels: tokenizer, weights, room for gradients. */
#include <math.h>
#include <string.h>

#include "train/training.h"

/* ---- Hashes ---- */

static json_t *hashes_of(const fv_job *job)
{
    json_t *tree = json_pack("{s:s, s:s}", "train", job->train.data.hash, "valid", job->valid.path ? job->valid.data.hash : "held back from train");
    if (tree && (!job->has_test || json_object_set_new(tree, "test", json_string(job->test.data.hash)) == 0)) return tree;
    json_decref(tree);
    return NULL;
}

/* What the recipe was applied to: a checkpoint of other data is refused. */
static fv_status note_hashes(fv_training *t, fv_err *err)
{
    json_t *tree = t->recipe.task == FV_TASK_MULTI ? json_object() : hashes_of(&t->jobs[0]);
    bool fine = tree != NULL;
    for (int i = 0; i < t->n_jobs && fine && t->recipe.task == FV_TASK_MULTI; i++) {
        json_t *one = hashes_of(&t->jobs[i]);
        fine = one && json_object_set_new(one, "weight", json_real(t->jobs[i].weight)) == 0 && json_object_set(tree, t->jobs[i].head->name, one) == 0;
        json_decref(one);
    }
    fv_buf text = {0};
    fv_status status = fine ? fv_json_print(tree, 0, &text, err) : FV_FAIL(err, FV_E_MEMORY, "out of memory");
    json_decref(tree);
    t->data_hashes = text.data;
    return status;
}

/* ---- Tokens ---- */

/* The training texts of all jobs, one after the other. */
typedef struct feed { const fv_training *t; int job; size_t row; bool second; int part; } feed;

static int next_text(void *user, const char **text, size_t *len, fv_err *err)
{
    (void)err;
    feed *f = user;
    while (f->job < f->t->n_jobs && f->row >= f->t->jobs[f->job].train.data.n) f->job++, f->row = 0;
    if (f->job >= f->t->n_jobs) return 0;
    const fv_example *e = &f->t->jobs[f->job].train.data.rows[f->row];
    const char *texts[] = {e->text, e->text2, e->negative};
    const size_t lens[] = {e->text_len, e->text2_len, e->negative_len};
    *text = texts[f->part];
    *len = lens[f->part];
    do f->part++; while (f->part < 3 && !texts[f->part]);
    if (f->part == 3) f->part = 0, f->row++;
    return 1;
}

static fv_status make_tokenizer(fv_training *t, fv_err *err)
{
    if (t->o->from) {
        t->tokenizer = fv_tokenizer_open(t->o->from, err);
        return t->tokenizer ? FV_OK : FV_E_FORMAT;
    }
    fv_tokenizer_options o;
    fv_tokenizer_options_init(&o);
    o.vocab = t->recipe.encoder.vocab;
    o.normalize = FV_NORMALIZE_NFKC;
    o.lowercase = !t->recipe.cased;
    feed f = {.t = t};
    t->tokenizer = fv_tokenizer_train(&o, next_text, &f, err);
    if (!t->tokenizer) return FV_E_MEMORY;
    t->recipe.encoder.vocab = fv_tokenizer_size(t->tokenizer);
    return FV_OK;
}

/* One side of all pairs. */
static int next_source(void *user, const char **text, size_t *len, fv_err *err)
{
    (void)err;
    feed *f = user;
    if (f->row >= f->t->jobs[0].train.data.n) return 0;
    const fv_example *e = &f->t->jobs[0].train.data.rows[f->row++];
    *text = f->second ? e->text2 : e->text;
    *len = f->second ? e->text2_len : e->text_len;
    return 1;
}

static fv_status make_pair_tokenizer(fv_training *t, fv_err *err)
{
    fv_seq2seq_config *c = &t->recipe.translator;
    fv_pair_options o = {.vocab = c->src_vocab, .shared = c->shared, .normalize = FV_NORMALIZE_NFKC, .lowercase = false};
    feed source = {.t = t}, target = {.t = t, .second = true};
    t->pair = t->o->from ? fv_pair_tokenizer_open(t->o->from, err) : fv_pair_tokenizer_train(&o, next_source, &source, next_source, &target, err);
    if (!t->pair) return err->status;
    if (t->o->from) return FV_OK; /* its model says all below */
    c->src_vocab = fv_pair_size(t->pair, FV_SIDE_SOURCE);
    c->tgt_vocab = fv_pair_size(t->pair, FV_SIDE_TARGET);
    c->eos = fv_pair_eos(t->pair);
    c->pad = c->start = fv_pair_pad(t->pair);
    return FV_OK;
}

static fv_status encode_job(fv_training *t, fv_job *job, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(job->objective->encode(t, job, &job->train, true, err));
    FV_TRY(job->objective->encode(t, job, &job->valid, false, err));
    if (job->has_test) FV_TRY(job->objective->encode(t, job, &job->test, false, err));
    int64_t cut = job->train.cut + job->valid.cut + job->test.cut;
    if (cut) fv_training_say(t, "%lld texts have more than %d tokens: %s", (long long)cut, t->pair ? t->recipe.translator.max_len : t->recipe.task == FV_TASK_EMBED ? t->recipe.embed.max_len : t->recipe.encoder.max_len, job->objective->splits ? "they take several rows" : "their ends are cut (--max-len)");
done:
    return status;
}

/* A job's share of the shards: by default each row of each job is seen equally often. */
static void share_out(fv_training *t)
{
    double all = 0;
    for (int i = 0; i < t->n_jobs; i++) all += t->jobs[i].weight * (double)t->jobs[i].train.sampler.n_batches;
    for (int i = 0; i < t->n_jobs; i++) t->jobs[i].share = t->jobs[i].weight * (double)t->jobs[i].train.sampler.n_batches / all;
}

static fv_status encode_all(fv_training *t, fv_err *err)
{
    fv_status status = FV_OK;
    for (int i = 0; i < t->n_jobs; i++) FV_TRY(encode_job(t, &t->jobs[i], err));
    share_out(t);
done:
    return status;
}

/* ---- Weights ---- */

static bool same_names(const fv_label_set *a, const fv_label_set *b)
{
    if (a->n != b->n) return false;
    for (int i = 0; i < a->n; i++)
        if (strcmp(a->names[i], b->names[i]) != 0) return false;
    return true;
}

/* The head of another model that asks the same question, and so may be gone on with. */
static bool has_head(const fv_network *net, const fv_head *like)
{
    for (int i = 0; i < net->n_heads; i++) {
        const fv_head *h = &net->heads[i];
        if (strcmp(h->name, like->name) == 0 && h->kind == like->kind && same_names(&h->labels, &like->labels)) return true;
    }
    return false;
}

static bool is_of_head(const fv_head *head, const fv_param *p)
{
    const fv_head_weights *w = &head->weights;
    return p == w->classifier.w || p == w->classifier.b || p == w->transform.w || p == w->transform.b || p == w->norm.w || p == w->norm.b || p == w->bias;
}

static bool may_take(const fv_training *t, const fv_network *from, const fv_param *p)
{
    for (int i = 0; i < t->net.n_heads; i++)
        if (is_of_head(&t->net.heads[i], p)) return has_head(from, &t->net.heads[i]);
    return true;
}

/* Takes over every weight of the same name: the body, and the heads that ask the same. */
static void take_over(fv_training *t, fv_network *from)
{
    const fv_params *theirs = fv_network_params(from);
    for (size_t i = 0; i < t->params->n; i++) {
        fv_param *to = t->params->items[i];
        if (!may_take(t, from, to)) continue;
        for (size_t k = 0; k < theirs->n; k++) {
            const fv_param *source = theirs->items[k];
            if (strcmp(to->names[0], source->names[0]) != 0) continue;
            FV_ASSERT(to->rows == source->rows && to->cols == source->cols);
            fv_param_rows(to->data, source, 0, source->rows);
        }
    }
}

/* The architecture is the given model's; what training decides (dropout) stays the recipe's. */
static fv_status adopt_architecture(fv_training *t, const fv_model *from, fv_err *err)
{
    const fv_train_options *o = t->o;
    const fv_encoder_config *theirs = &from->net.encoder.config;
    if (from->net.translator) return FV_FAIL(err, FV_E_ARGUMENT, "%s is a translator: only train translate starts from one", o->from);
    if (o->layers || o->width || o->heads || o->ffn || o->vocab || o->pre_norm || o->relu || o->positions || o->article_attention || strcmp(o->attention, "full") != 0)
        return FV_FAIL(err, FV_E_ARGUMENT, "%s decides the architecture: leave out layers, width, heads, ffn, vocab, pre-norm, relu, positions, attention and article-attention", o->from);
    if (o->max_len > theirs->max_len) return FV_FAIL(err, FV_E_ARGUMENT, "%s takes texts of at most %d tokens; %d asked", o->from, theirs->max_len, o->max_len);
    fv_encoder_config config = *theirs;
    config.dropout = t->recipe.encoder.dropout;
    config.attention_dropout = t->recipe.encoder.attention_dropout;
    if (o->pooling && o->task != FV_TASK_EMBED) config.pooling = t->recipe.encoder.pooling; /* a vector's is no part of the body */
    config.stored = (fv_quantization){0};
    t->recipe.encoder = config;
    if (!(t->recipe.lr > 0)) t->recipe.lr = FV_TUNING_LR(config.width);
    return FV_OK;
}

/* The same of a translator. Its tokenizer comes with it. */
static fv_status adopt_translator(fv_training *t, const fv_model *from, fv_err *err)
{
    const fv_train_options *o = t->o;
    if (!from->net.translator) return FV_FAIL(err, FV_E_ARGUMENT, "%s is no translator: train translate starts from nothing or from another", o->from);
    if (o->layers || o->decoder_layers || o->width || o->heads || o->ffn || o->vocab || o->pre_norm || o->positions || o->separate_vocab || o->untied)
        return FV_FAIL(err, FV_E_ARGUMENT, "%s decides the architecture: leave out layers, decoder-layers, width, heads, ffn, vocab, pre-norm, positions, separate-vocab and untied", o->from);
    fv_seq2seq_config config = from->net.translator->config;
    if (o->max_len > config.max_len) return FV_FAIL(err, FV_E_ARGUMENT, "%s takes texts of at most %d tokens; %d asked", o->from, config.max_len, o->max_len);
    config.dropout = t->recipe.translator.dropout;
    config.attention_dropout = t->recipe.translator.attention_dropout;
    config.stored = (fv_quantization){0};
    t->recipe.translator = config;
    return FV_OK;
}

/* Who learns, and how fast: by how high in the body it lies. */
static fv_status settle_rates(fv_training *t, fv_err *err)
{
    const fv_recipe *r = &t->recipe;
    int layers = r->encoder.layers;
    if (r->freeze > layers) return FV_FAIL(err, FV_E_ARGUMENT, "%d layers are to be frozen; the model has %d", r->freeze, layers);
    for (size_t i = 0; i < t->params->n; i++) {
        fv_param *p = t->params->items[i];
        if (p->depth == FV_PARAM_ABOVE) continue;
        p->frozen = p->depth <= r->freeze;
        p->rate = (float)pow(r->layer_decay, layers - p->depth);
    }
    return FV_OK;
}

static fv_status make_weights(fv_training *t, fv_model *from, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(t->pair ? fv_network_init_translator(&t->net, &t->recipe.translator, err) : fv_network_init(&t->net, &t->recipe.encoder, err));
    t->params = fv_network_params(&t->net);
    FV_TRY(settle_rates(t, err));
    FV_TRY(fv_params_allocate(t->params, err));
    fv_params_draw(t->params, t->recipe.seed);
    if (from) take_over(t, &from->net);
    if (t->recipe.products == FV_PRODUCTS_INT8) FV_TRY(fv_params_pack_rounding(t->params, FV_PRECISION_INT8, t->pool, err));
    if (from && fv_network_stored(&from->net)->weights) fv_training_say(t, "%s: its weights of 8 bits are widened; training goes on in float32", t->o->from);
done:
    return status;
}

/* In the order of the weights, and where nothing is frozen in their very places. */
static fv_status make_moments(fv_training *t, fv_err *err)
{
    const fv_params *params = t->params;
    t->moment_at = fv_alloc(params->n * sizeof *t->moment_at, err);
    if (!t->moment_at) return FV_E_MEMORY;
    for (size_t i = 0; i < params->n; i++) {
        int64_t end = i + 1 < params->n ? params->items[i + 1]->offset : params->n_floats;
        t->moment_at[i] = t->n_moments;
        if (!params->items[i]->frozen) t->n_moments += end - params->items[i]->offset;
    }
    t->moment1 = fv_alloc_zero((size_t)t->n_moments, sizeof(float), err);
    t->moment2 = fv_alloc_zero((size_t)t->n_moments, sizeof(float), err);
    return t->moment1 && t->moment2 ? FV_OK : FV_E_MEMORY;
}

static fv_status make_vectors(fv_training *t, fv_err *err)
{
    size_t n = (size_t)t->params->n_floats;
    if (make_moments(t, err) != FV_OK) return FV_E_MEMORY;
    t->best = fv_alloc_zero(n, sizeof(float), err);
    bool averages = t->recipe.average > 1;
    t->mean = averages ? fv_alloc_zero(n, sizeof(float), err) : NULL;
    t->norm_scratch = fv_alloc(fv_sum_squares_scratch((int64_t)n), err);
    t->infer_graph = fv_graph_new(t->pool, err);
    bool fine = t->best && (t->mean || !averages) && t->norm_scratch && t->infer_graph;
    if (fine && t->recipe.products == FV_PRODUCTS_INT8) fv_graph_set_precision(t->infer_graph, FV_PRECISION_INT8); /* what is chosen is what will be served */
    return fine ? fv_shards_init(&t->shards, (int64_t)n, t->recipe.accumulate, err) : FV_E_MEMORY;
}

/* Plans memory for the largest batch that any epoch can form, so that no step allocates: as many
 * sequences as fit beside one that has all remaining tokens. */
static fv_status plan_largest(fv_training *t, fv_job *job, fv_err *err)
{
    fv_status status = FV_OK;
    int32_t N = job->train.sampler.max_N, B = job->train.sampler.max_B;
    int32_t *zeros = fv_alloc_zero((size_t)N + (size_t)B + 1, sizeof *zeros, err), *offsets = fv_alloc_zero((size_t)B + 1, sizeof *offsets, err);
    uint64_t *sequences = fv_alloc_zero((size_t)B, sizeof *sequences, err);
    job->graph = fv_graph_new(t->pool, err);
    if (!zeros || !offsets || !sequences || !job->graph) { status = FV_E_MEMORY; goto done; }
    fv_graph_set_precision(job->graph, (fv_precision)t->recipe.products);
    for (int32_t b = 1; b <= B; b++) offsets[b] = (int32_t)((int64_t)N * b / B);
    fv_batch batch = {.B = B, .N = N, .ids = zeros, .types = zeros, .positions = zeros, .offsets = offsets, .sequences = sequences, .rows = (uint32_t *)zeros};
    double loss;
    t->planning = true;
    status = fv_training_shard(t, job, &batch, 0, &loss, err);
    t->planning = false;
done:
    fv_free(zeros);
    fv_free(offsets);
    fv_free(sequences);
    return status;
}

fv_status fv_training_prepare(fv_training *t, fv_err *err)
{
    fv_status status = FV_OK;
    fv_model *from = NULL;
    FV_TRY(fv_jobs_load(t, err));
    FV_TRY(note_hashes(t, err));
    if (t->o->from) {
        from = fv_model_open(t->o->from, err);
        if (!from) { status = FV_E_FORMAT; goto done; }
        FV_TRY((t->recipe.task == FV_TASK_TRANSLATE ? adopt_translator : adopt_architecture)(t, from, err));
    }
    if (t->recipe.task == FV_TASK_EMBED) FV_TRY(fv_embed_adopt(t, from, err));
    FV_TRY((t->recipe.task == FV_TASK_TRANSLATE ? make_pair_tokenizer : make_tokenizer)(t, err));
    FV_TRY(encode_all(t, err));
    FV_TRY(make_weights(t, from, err));
    FV_TRY(make_vectors(t, err));
    for (int i = 0; i < t->n_jobs; i++) FV_TRY(plan_largest(t, &t->jobs[i], err));
done:
    fv_model_close(from);
    return status;
}

void fv_training_release(fv_training *t)
{
    fv_record_close(&t->record);
    fv_shards_release(&t->shards);
    for (int i = 0; i < t->n_jobs; i++) fv_job_release(&t->jobs[i]);
    fv_free(t->jobs);
    fv_graph_free(t->infer_graph);
    fv_free(t->moment1);
    fv_free(t->moment2);
    fv_free(t->moment_at);
    fv_free(t->best);
    fv_free(t->mean);
    fv_free(t->norm_scratch);
    fv_free(t->data_hashes);
    fv_network_release(&t->net);
    fv_sentence_release(&t->sentence);
    fv_teacher_close(t->teacher);
    fv_tokenizer_close(t->tokenizer);
    fv_pair_tokenizer_close(t->pair);
    fv_arena_release(&t->arena);
    fv_lock_drop(&t->lock);
}
