/* Weights and graph of the encoder. */
#include "models/encoder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ops.h"

enum { MAX_SINUSOIDS = 1 << 25 }; /* computed before a file is asked whether it fits: a bound on what a config.json can cost */
enum { DISTANCE_BUCKETS = 32, FARTHEST = 128 }; /* MPNet's, which its code does not take from config.json */

fv_status fv_encoder_config_check(const fv_encoder_config *c, fv_err *err)
{
    if (c->layers < 1 || c->layers > FV_MAX_LAYERS) return FV_FAIL(err, FV_E_ARGUMENT, "%d layers; expected 1 to %d", c->layers, FV_MAX_LAYERS);
    if (c->width < 8 || c->width > 16384) return FV_FAIL(err, FV_E_ARGUMENT, "width %d; expected 8 to 16384", c->width);
    if (c->heads < 1 || c->width % c->heads) return FV_FAIL(err, FV_E_ARGUMENT, "width %d does not divide into %d heads", c->width, c->heads);
    if (c->ffn < 1 || c->ffn > 262144) return FV_FAIL(err, FV_E_ARGUMENT, "feed-forward width %d; expected 1 to 262144", c->ffn);
    if (c->max_len < 4 || c->max_len > 65536) return FV_FAIL(err, FV_E_ARGUMENT, "texts of %d tokens; expected 4 to 65536", c->max_len);
    if (c->sinusoidal && (int64_t)c->max_len * c->width > MAX_SINUSOIDS)
        return FV_FAIL(err, FV_E_ARGUMENT, "fixed positions for %d tokens of width %d; expected at most %d numbers", c->max_len, c->width, MAX_SINUSOIDS);
    if (c->vocab < 8 || c->vocab > 4000000) return FV_FAIL(err, FV_E_ARGUMENT, "vocabulary of %d; expected 8 to 4000000", c->vocab);
    if (c->types < 0 || c->types > 16) return FV_FAIL(err, FV_E_ARGUMENT, "%d token types; expected 0 to 16", c->types);
    if (c->pad < 0 || c->pad >= c->vocab) return FV_FAIL(err, FV_E_ARGUMENT, "the padding's id is %d; the vocabulary has %d entries", c->pad, c->vocab);
    if (!(c->dropout >= 0 && c->dropout < 1) || !(c->attention_dropout >= 0 && c->attention_dropout < 1))
        return FV_FAIL(err, FV_E_ARGUMENT, "dropout %g, attention dropout %g; expected 0 or more, and less than 1", c->dropout, c->attention_dropout);
    if (c->mixing == FV_MIXING_NONE && c->pooling == FV_POOLING_CLS) return FV_FAIL(err, FV_E_ARGUMENT, "without mixing, [CLS] sees no word of the text; expected pooling mean or max");
    if (!(c->norm_eps > 0 && c->norm_eps < 1)) return FV_FAIL(err, FV_E_ARGUMENT, "layer norm epsilon %g; expected between 0 and 1", c->norm_eps);
    return FV_OK;
}

typedef struct name { char text[FV_PARAM_NAME]; } name;

static name name_of(const fv_encoder *e, const char *rest)
{
    name full;
    snprintf(full.text, sizeof full.text, "%s%s", fv_family_of(e->config.family)->prefix, rest);
    return full;
}

static fv_status add_table(fv_encoder *e, fv_param **table, const char *rest, int64_t rows, int64_t cols, fv_err *err)
{
    name full = name_of(e, rest);
    *table = fv_params_add(&e->params, (const char *[]){full.text}, 1, 2, rows, cols, FV_INIT_NORMAL, (float)e->config.init_deviation, err);
    if (!*table) return FV_E_MEMORY;
    (*table)->decay = false; /* rows of rare words get no gradient to stand against decay */
    (*table)->table = true;
    return FV_OK;
}

/* Where positions begin. */
static int first_position(const fv_encoder_config *c) { return fv_family_of(c->family)->from_padding ? c->pad + 1 : 0; }

static fv_status init_embeddings(fv_encoder *e, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_encoder_config *c = &e->config;
    FV_TRY(add_table(e, &e->words, "embeddings.word_embeddings.weight", c->vocab, c->width, err));
    if (!c->sinusoidal) FV_TRY(add_table(e, &e->positions, "embeddings.position_embeddings.weight", c->max_len + first_position(c), c->width, err));
    if (c->types) FV_TRY(add_table(e, &e->types, "embeddings.token_type_embeddings.weight", c->types, c->width, err));
    FV_TRY(fv_norm_init(&e->embedding_norm, &e->params, name_of(e, "embeddings.LayerNorm").text, c->width, err));
    if (c->sinusoidal) {
        e->sinusoids = fv_alloc_zero((size_t)c->max_len * (size_t)c->width, sizeof(float), err);
        if (!e->sinusoids) return FV_E_MEMORY;
        fv_sinusoids(e->sinusoids, c->max_len, c->width);
    }
    if (fv_family_of(c->family)->relative) FV_TRY(add_table(e, &e->distances, "encoder.relative_attention_bias.weight", DISTANCE_BUCKETS, c->heads, err));
    if (e->distances) e->distances->multiplied = true; /* every row of it */
done:
    return status;
}

typedef struct layer_names { char text[FV_PARTS][FV_PARAM_NAME]; } layer_names;

static layer_names name_layer(const fv_encoder *e, int layer)
{
    const fv_family_info *f = fv_family_of(e->config.family);
    layer_names names;
    for (int i = 0; i < FV_PARTS; i++) snprintf(names.text[i], FV_PARAM_NAME, "%s%s.%d.%s", f->prefix, f->layers, layer, f->parts[i] ? f->parts[i] : "");
    return names;
}

/* A layer's matrix: the products that int8 is for. */
static fv_status init_dense(fv_encoder *e, fv_linear_weights *w, const char *const *names, int parts, int64_t out, int64_t in, fv_err *err)
{
    fv_status status = fv_linear_init(w, &e->params, names, parts, out, in, (float)e->config.init_deviation, err);
    if (status == FV_OK) w->w->rounds = true;
    return status;
}

static fv_status init_article(fv_encoder *e, fv_block *b, const layer_names *n, fv_err *err)
{
    fv_status status = FV_OK;
    int64_t width = e->config.width;
    FV_TRY(init_dense(e, &b->query_up, (const char *[]){n->text[FV_PART_QUERY_UP]}, 1, width, width, err));
    FV_TRY(init_dense(e, &b->query, (const char *[]){n->text[FV_PART_QUERY]}, 1, width, width, err));
    FV_TRY(init_dense(e, &b->kv, (const char *[]){n->text[FV_PART_KEY], n->text[FV_PART_VALUE]}, 2, 2 * width, width, err));
    b->hidden = fv_params_add(&e->params, (const char *[]){n->text[FV_PART_HIDDEN]}, 1, 2, width, width, FV_INIT_NORMAL, (float)e->config.init_deviation, err);
    if (b->hidden) b->hidden->rounds = true;
    else status = FV_E_MEMORY;
done:
    return status;
}

static fv_status init_block(fv_encoder *e, int layer, fv_err *err)
{
    fv_status status = FV_OK;
    fv_block *b = &e->blocks[layer];
    layer_names n = name_layer(e, layer);
    int64_t width = e->config.width, ffn = e->config.ffn;
    if (e->config.article_attention) FV_TRY(init_article(e, b, &n, err));
    else FV_TRY(init_dense(e, &b->qkv, (const char *[]){n.text[FV_PART_QUERY], n.text[FV_PART_KEY], n.text[FV_PART_VALUE]}, 3, 3 * width, width, err));
    FV_TRY(init_dense(e, &b->out, (const char *[]){n.text[FV_PART_MIXED]}, 1, width, width, err));
    FV_TRY(fv_norm_init(&b->attention_norm, &e->params, n.text[FV_PART_MIXED_NORM], width, err));
    FV_TRY(init_dense(e, &b->up, (const char *[]){n.text[FV_PART_UP]}, 1, ffn, width, err));
    FV_TRY(init_dense(e, &b->down, (const char *[]){n.text[FV_PART_DOWN]}, 1, width, ffn, err));
    FV_TRY(fv_norm_init(&b->ffn_norm, &e->params, n.text[FV_PART_NORM], width, err));
done:
    return status;
}

static fv_status init_pooler(fv_encoder *e, fv_err *err)
{
    const fv_family_info *f = fv_family_of(e->config.family);
    const name own = name_of(e, f->pooler);
    return fv_linear_init(&e->pooler, &e->params, (const char *[]){f->pooler_is_body ? own.text : f->pooler}, 1, e->config.width, e->config.width, (float)e->config.init_deviation, err);
}

/* Of the parameters added since the last call. */
static void mark_depth(fv_encoder *e, size_t *first, int depth)
{
    for (; *first < e->params.n; ++*first) e->params.items[*first]->depth = depth;
}

fv_status fv_encoder_init(fv_encoder *e, const fv_encoder_config *config, fv_err *err)
{
    fv_status status = FV_OK;
    size_t first = 0;
    const fv_family_info *f = fv_family_of(config->family);
    *e = (fv_encoder){.config = *config, .params.prefix = f->prefix, .params.integers = config->stored.weights};
    FV_TRY(fv_encoder_config_check(config, err));
    FV_TRY(init_embeddings(e, err));
    mark_depth(e, &first, 0);
    for (int i = 0; i < config->layers; i++) {
        FV_TRY(init_block(e, i, err));
        mark_depth(e, &first, i + 1);
    }
    if (config->pre_norm) FV_TRY(fv_norm_init(&e->final_norm, &e->params, name_of(e, "encoder.LayerNorm").text, config->width, err));
    if (config->pooler) FV_TRY(init_pooler(e, err));
done:
    if (status != FV_OK) fv_encoder_release(e);
    return status;
}

void fv_encoder_release(fv_encoder *e)
{
    fv_params_release(&e->params);
    fv_free(e->sinusoids);
    e->sinusoids = NULL;
}

/* Places in the table of positions: as counted, or behind the padding's id. A word that spells the padding takes the
 * padding's place and is not counted, as in RoBERTa's own code. */
static const int32_t *places_of(const fv_encoder_config *c, fv_graph *g, const fv_batch *batch)
{
    int32_t first = first_position(c);
    int32_t *places = first ? fv_graph_memory(g, (size_t)batch->N * sizeof *places) : NULL;
    for (int32_t b = 0; places && b < batch->B; b++)
        for (int32_t i = batch->offsets[b], at = first; i < batch->offsets[b + 1]; i++) places[i] = batch->ids[i] == c->pad ? c->pad : at++;
    return first ? places : batch->positions;
}

/* Families other than BERT have type 0 for both texts of a pair. */
static const int32_t *types_of(const fv_encoder_config *c, fv_graph *g, const fv_batch *batch)
{
    if (c->family == FV_FAMILY_BERT && c->types > 1) return batch->types;
    size_t bytes = (size_t)batch->N * sizeof *batch->types;
    int32_t *zeros = fv_graph_memory(g, bytes);
    return zeros ? memset(zeros, 0, bytes) : NULL;
}

static fv_tensor *build_embeddings(const fv_encoder *e, fv_graph *g, const fv_batch *batch)
{
    const fv_encoder_config *c = &e->config;
    fv_tensor *positions = c->sinusoidal ? fv_graph_input(g, "sinusoids", e->sinusoids, c->max_len, c->width, c->width) : fv_graph_param(g, e->positions);
    fv_tensor *tables[] = {fv_graph_param(g, e->words), positions, c->types ? fv_graph_param(g, e->types) : NULL};
    const int32_t *ids[] = {batch->ids, places_of(c, g, batch), types_of(c, g, batch)};
    float scales[] = {c->sinusoidal ? sqrtf((float)c->width) : 1, 1, 1};
    if (!ids[1] || !ids[2]) return NULL;
    fv_tensor *x = fv_embed_rows(g, tables, ids, scales, c->types ? 3 : 2, batch->N);
    x = fv_norm_build(g, x, &e->embedding_norm, (float)c->norm_eps);
    return fv_drop_build(g, x, NULL, (float)c->dropout, batch);
}

fv_tensor *fv_encoder_pool(const fv_encoder *e, fv_graph *g, fv_tensor *hidden, const fv_batch *batch)
{
    fv_graph_scope(g, "pool");
    fv_tensor *pooled = fv_pool_rows(g, hidden, batch->offsets, batch->B, (int)e->config.pooling);
    pooled = fv_linear_build(g, pooled, &e->pooler, fv_family_of(e->config.family)->pooler_act, NULL);
    fv_batch one_row_each = *batch;
    int32_t *ends = fv_graph_memory(g, ((size_t)batch->B + 1) * sizeof *ends);
    if (!ends) return NULL;
    for (int32_t b = 0; b <= batch->B; b++) ends[b] = b;
    one_row_each.offsets = ends;
    return fv_drop_build(g, pooled, NULL, (float)e->config.dropout, &one_row_each);
}

fv_tensor *fv_encoder_build(const fv_encoder *e, fv_graph *g, const fv_batch *batch)
{
    const fv_encoder_config *c = &e->config;
    fv_block_shape shape = {
        .heads = c->heads, .kv_heads = c->heads, .pre_norm = c->pre_norm, .act = c->act, .norm_eps = (float)c->norm_eps,
        .dropout = (float)c->dropout, .attention_dropout = (float)c->attention_dropout, .article = c->article_attention, .mixing = c->mixing,
    };
    fv_graph_scope(g, "embeddings");
    fv_tensor *x = build_embeddings(e, g, batch);
    if (e->distances) {
        shape.span = FARTHEST;
        shape.bias = fv_relative_bias(g, fv_graph_param(g, e->distances), FARTHEST, FARTHEST, true);
    }
    for (int i = 0; i < c->layers; i++) {
        fv_graph_scope(g, "layer.%d", i);
        x = fv_block_build(g, x, &e->blocks[i], &shape, batch);
    }
    fv_graph_scope(g, "final");
    return c->pre_norm ? fv_norm_build(g, x, &e->final_norm, (float)c->norm_eps) : x;
}
