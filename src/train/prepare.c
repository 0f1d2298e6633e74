/* All that is there before the first step: rows, labels, tokenizer, weights, room for gradients. */
#include <math.h>
#include <string.h>

#include "train/training.h"

/* Weights of the wide part at most, over all labels: 32 MB, and as much for each moment. */
enum { MAX_WIDE_WEIGHTS = 8 << 20 };

/* ---- Rows and labels ---- */

static fv_status load(fv_training *t, fv_part *part, const char *path, bool grow, fv_err *err)
{
    fv_status status = fv_dataset_load(&part->data, path, &t->o->columns, t->o->labels, &t->head.labels, grow, err);
    if (status != FV_OK) return status;
    if (part->data.skipped) fv_training_say(t, "%s: %lld bad rows left out; the first: %s", path, (long long)part->data.skipped, part->data.skipped_first);
    if (part->data.unknown) fv_training_say(t, "%s: %lld rows have labels that training never saw, and count as wrong; the first: %s", path, (long long)part->data.unknown, part->data.unknown_first);
    return FV_OK;
}

static fv_status check_labels(const fv_training *t, fv_err *err)
{
    const fv_label_set *labels = &t->head.labels;
    fv_shown shown;
    if (t->o->labels == FV_LABELS_SINGLE && labels->n < 2)
        return FV_FAIL(err, FV_E_INPUT, "%s: all %zu rows have the label %s; a classifier needs at least two", t->o->train, t->train.data.n, fv_show(&shown, labels->names[0], strlen(labels->names[0])));
    if (t->o->labels == FV_LABELS_MULTI && labels->n < 1) return FV_FAIL(err, FV_E_INPUT, "%s: no row has a label", t->o->train);
    return FV_OK;
}

static fv_status hold_back(fv_training *t, fv_err *err)
{
    if (t->train.data.n < 10) return FV_FAIL(err, FV_E_INPUT, "%s: %zu rows are too few to hold a tenth back; give validation data (--valid)", t->o->train, t->train.data.n);
    fv_status status = fv_dataset_split(&t->train.data, 0.1, t->recipe.seed, &t->valid.data, err);
    if (status == FV_OK) fv_training_say(t, "no validation file: %zu of %zu rows are held back from training", t->valid.data.n, t->valid.data.n + t->train.data.n);
    return status;
}

static fv_status load_all(fv_training *t, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(load(t, &t->train, t->o->train, true, err));
    FV_TRY(check_labels(t, err));
    FV_TRY(fv_dataset_sort_labels(&t->train.data, t->o->labels, &t->head.labels, err));
    if (t->o->valid) FV_TRY(load(t, &t->valid, t->o->valid, false, err));
    else FV_TRY(hold_back(t, err));
    if (t->o->test) FV_TRY(load(t, &t->test, t->o->test, false, err));
    t->has_test = t->o->test != NULL;
    t->head.kind = t->o->labels;
    t->head.temperature = 1;
    t->recipe.encoder.outputs = t->o->labels == FV_LABELS_REGRESSION ? 1 : t->head.labels.n;
done:
    return status;
}

/* What the recipe was applied to: a checkpoint of other data is refused. */
static fv_status note_hashes(fv_training *t, fv_err *err)
{
    json_t *tree = json_pack("{s:s, s:s}", "train", t->train.data.hash, "valid", t->o->valid ? t->valid.data.hash : "held back from train");
    bool fine = tree && (!t->has_test || json_object_set_new(tree, "test", json_string(t->test.data.hash)) == 0);
    fv_buf text = {0};
    fv_status status = fine ? fv_json_print(tree, 0, &text, err) : FV_FAIL(err, FV_E_MEMORY, "out of memory");
    json_decref(tree);
    t->data_hashes = text.data;
    return status;
}

/* ---- Tokens ---- */

typedef struct feed { const fv_dataset *data; size_t row; bool second; } feed;

static int next_text(void *user, const char **text, size_t *len, fv_err *err)
{
    (void)err;
    feed *f = user;
    while (f->row < f->data->n) {
        const fv_example *e = &f->data->rows[f->row];
        bool second = f->second;
        if (second || !e->text2) f->row++;
        f->second = !second && e->text2;
        *text = second ? e->text2 : e->text;
        *len = second ? e->text2_len : e->text_len;
        return 1;
    }
    return 0;
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
    feed f = {.data = &t->train.data};
    t->tokenizer = fv_tokenizer_train(&o, next_text, &f, err);
    if (!t->tokenizer) return FV_E_MEMORY;
    t->recipe.encoder.vocab = fv_tokenizer_size(t->tokenizer);
    return FV_OK;
}

/* Features are chosen by how many training texts have them: a pure function of the data. */
static fv_status choose_features(fv_training *t, const fv_text *texts, size_t n, fv_ngrams *ngrams, fv_err *err)
{
    fv_status status = FV_OK;
    fv_wide_counts counts = {0};
    for (size_t i = 0; i < n; i++) {
        FV_TRY(fv_prepare_ngrams(ngrams, &texts[i], err));
        FV_TRY(fv_wide_count(&counts, ngrams->hashes, ngrams->n, err));
    }
    FV_TRY(fv_wide_choose(&t->net.wide, &counts, MAX_WIDE_WEIGHTS / t->recipe.encoder.outputs, err));
    t->net.has_wide = t->net.wide.n > 0;
done:
    fv_wide_counts_release(&counts);
    return status;
}

static fv_status tokenize(fv_training *t, fv_part *part, bool trains, fv_err *err)
{
    fv_status status = FV_OK;
    fv_encoding encoding = {0};
    fv_ngrams ngrams = {0};
    fv_text *texts = fv_prepare_texts(&part->data, err);
    if (!texts) return FV_E_MEMORY;
    FV_TRY(fv_prepare_rows(&part->rows, t->tokenizer, t->recipe.encoder.max_len, texts, part->data.n, &encoding, &part->cut, err));
    FV_TRY(fv_sampler_init(&part->sampler, &part->rows, t->recipe.batch_tokens, t->recipe.seed, err));
    if (trains && t->recipe.wide) FV_TRY(choose_features(t, texts, part->data.n, &ngrams, err));
    if (t->net.has_wide) FV_TRY(fv_prepare_features(&part->features, &t->net.wide, texts, part->data.n, &ngrams, err));
    if (!trains) {
        part->logits = fv_alloc_zero(part->data.n * (size_t)t->recipe.encoder.outputs, sizeof(float), err);
        if (!part->logits) status = FV_E_MEMORY;
    }
done:
    fv_encoding_release(&encoding);
    fv_ngrams_release(&ngrams);
    fv_free(texts);
    return status;
}

static fv_status tokenize_all(fv_training *t, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(tokenize(t, &t->train, true, err));
    FV_TRY(tokenize(t, &t->valid, false, err));
    if (t->has_test) FV_TRY(tokenize(t, &t->test, false, err));
    int64_t cut = t->train.cut + t->valid.cut + t->test.cut;
    if (cut) fv_training_say(t, "%lld texts have more than %d tokens: their ends are cut (--max-len)", (long long)cut, t->recipe.encoder.max_len);
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

/* Takes over every weight of the same name and shape; the head only when the labels are the same. */
static void take_over(fv_training *t, const fv_model *from)
{
    bool same_head = from->head.kind == t->head.kind && same_names(&from->head.labels, &t->head.labels);
    for (size_t i = 0; i < from->net.encoder.params.n && i < t->net.encoder.params.n; i++) {
        fv_param *to = t->net.encoder.params.items[i];
        const fv_param *source = from->net.encoder.params.items[i];
        bool head = to == t->net.encoder.classifier.w || to == t->net.encoder.classifier.b;
        if (head && !same_head) continue;
        FV_ASSERT(to->rows == source->rows && to->cols == source->cols);
        memcpy(to->data, source->data, (size_t)(to->rows * to->cols) * sizeof(float));
    }
}

/* The architecture is the given model's; what training decides (dropout) stays the recipe's. */
static fv_status adopt_architecture(fv_training *t, const fv_model *from, fv_err *err)
{
    const fv_train_options *o = t->o;
    const fv_encoder_config *theirs = &from->net.encoder.config;
    if (o->layers || o->width || o->heads || o->ffn || o->vocab || o->pre_norm || o->relu || o->sinusoidal || o->article_attention)
        return FV_FAIL(err, FV_E_ARGUMENT, "%s decides the architecture: leave out layers, width, heads, ffn, vocab, pre-norm, relu, sinusoidal and article-attention", o->from);
    if (o->max_len > theirs->max_len) return FV_FAIL(err, FV_E_ARGUMENT, "%s takes texts of at most %d tokens; %d asked", o->from, theirs->max_len, o->max_len);
    fv_encoder_config config = *theirs;
    config.outputs = t->recipe.encoder.outputs;
    config.dropout = config.attention_dropout = t->recipe.encoder.dropout;
    t->recipe.encoder = config;
    return FV_OK;
}

static fv_status make_weights(fv_training *t, const fv_model *from, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(fv_encoder_init(&t->net.encoder, &t->recipe.encoder, err));
    if (t->net.has_wide) FV_TRY(fv_wide_add_param(&t->net.wide, &t->net.encoder.params, t->recipe.encoder.outputs, err));
    FV_TRY(fv_params_allocate(&t->net.encoder.params, err));
    fv_params_draw(&t->net.encoder.params, t->recipe.seed);
    if (from) take_over(t, from);
done:
    return status;
}

static fv_status make_vectors(fv_training *t, fv_err *err)
{
    size_t n = (size_t)t->net.encoder.params.n_floats, max_B = (size_t)t->train.sampler.max_B;
    t->moment1 = fv_alloc_zero(n, sizeof(float), err);
    t->moment2 = fv_alloc_zero(n, sizeof(float), err);
    t->best = fv_alloc_zero(n, sizeof(float), err);
    t->norm_scratch = fv_alloc(fv_sum_squares_scratch((int64_t)n), err);
    t->labels = fv_alloc_zero(max_B, sizeof *t->labels, err);
    t->targets = fv_alloc_zero(max_B * (size_t)t->recipe.encoder.outputs, sizeof *t->targets, err);
    t->graph = fv_graph_new(t->pool, err);
    t->infer_graph = fv_graph_new(t->pool, err);
    bool fine = t->moment1 && t->moment2 && t->best && t->norm_scratch && t->labels && t->targets && t->graph && t->infer_graph;
    return fine ? fv_shards_init(&t->shards, (int64_t)n, t->recipe.accumulate, err) : FV_E_MEMORY;
}

/* Plans memory for the largest batch that any epoch can form, so that no step allocates: as many
 * sequences as fit beside one that has all remaining tokens. */
static fv_status plan_largest(fv_training *t, fv_err *err)
{
    fv_status status = FV_OK;
    int32_t N = t->train.sampler.max_N, B = t->train.sampler.max_B;
    int32_t *zeros = fv_alloc_zero((size_t)N + (size_t)B + 1, sizeof *zeros, err), *offsets = fv_alloc_zero((size_t)B + 1, sizeof *offsets, err);
    uint64_t *sequences = fv_alloc_zero((size_t)B, sizeof *sequences, err);
    if (!zeros || !offsets || !sequences) { status = FV_E_MEMORY; goto done; }
    for (int32_t b = 1; b <= B; b++) offsets[b] = (int32_t)((int64_t)N * b / B);
    fv_batch batch = {.B = B, .N = N, .ids = zeros, .types = zeros, .positions = zeros, .offsets = offsets, .sequences = sequences, .rows = (uint32_t *)zeros};
    double loss;
    FV_TRY(fv_training_shard(t, &batch, 0, true, &loss, err));
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
    FV_TRY(load_all(t, err));
    FV_TRY(note_hashes(t, err));
    if (t->o->from) {
        from = fv_model_open(t->o->from, err);
        if (!from) { status = FV_E_FORMAT; goto done; }
        FV_TRY(adopt_architecture(t, from, err));
    }
    FV_TRY(make_tokenizer(t, err));
    FV_TRY(tokenize_all(t, err));
    FV_TRY(make_weights(t, from, err));
    FV_TRY(make_vectors(t, err));
    FV_TRY(plan_largest(t, err));
done:
    fv_model_close(from);
    return status;
}

static void release_part(fv_part *part)
{
    fv_sampler_release(&part->sampler);
    fv_token_rows_release(&part->rows);
    fv_feature_rows_release(&part->features);
    fv_dataset_release(&part->data);
    fv_free(part->logits);
}

void fv_training_release(fv_training *t)
{
    fv_record_close(&t->record);
    fv_shards_release(&t->shards);
    fv_graph_free(t->graph);
    fv_graph_free(t->infer_graph);
    fv_free(t->moment1);
    fv_free(t->moment2);
    fv_free(t->best);
    fv_free(t->norm_scratch);
    fv_free(t->labels);
    fv_free(t->targets);
    fv_free(t->data_hashes);
    release_part(&t->train);
    release_part(&t->valid);
    release_part(&t->test);
    fv_network_release(&t->net);
    fv_tokenizer_close(t->tokenizer);
    fv_label_set_release(&t->head.labels);
    fv_lock_drop(&t->lock);
}
