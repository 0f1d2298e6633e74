/* Weights and graph of the encoder–decoder. What a step of decoding keeps lies in the caller's cache; which slots
 * hold what is the caller's business too. */
#include "models/seq2seq.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ops.h"

enum {
    CACHE_LINE = 16,         /* floats */
    MAX_SINUSOIDS = 1 << 25, /* computed before a file is asked whether it fits: a bound on what a config.json can cost */
};

static fv_status check_id(int32_t id, bool optional, int vocab, const char *what, fv_err *err)
{
    if ((optional && id == -1) || (id >= 0 && id < vocab)) return FV_OK;
    return FV_FAIL(err, FV_E_ARGUMENT, "id %d for %s; expected 0 to %d", id, what, vocab - 1);
}

static fv_status check_sizes(const fv_seq2seq_config *c, fv_err *err)
{
    if (c->encoder_layers < 1 || c->encoder_layers > FV_SEQ2SEQ_MAX_LAYERS || c->decoder_layers < 1 || c->decoder_layers > FV_SEQ2SEQ_MAX_LAYERS)
        return FV_FAIL(err, FV_E_ARGUMENT, "%d and %d layers; expected 1 to %d in encoder and decoder", c->encoder_layers, c->decoder_layers, FV_SEQ2SEQ_MAX_LAYERS);
    if (c->width < 8 || c->width > 16384) return FV_FAIL(err, FV_E_ARGUMENT, "width %d; expected 8 to 16384", c->width);
    if (c->heads < 1 || c->width % c->heads) return FV_FAIL(err, FV_E_ARGUMENT, "width %d does not divide into %d heads", c->width, c->heads);
    if (c->ffn < 1 || c->ffn > 262144) return FV_FAIL(err, FV_E_ARGUMENT, "feed-forward width %d; expected 1 to 262144", c->ffn);
    if (c->max_len < 4 || c->max_len > 65536) return FV_FAIL(err, FV_E_ARGUMENT, "texts of %d tokens; expected 4 to 65536", c->max_len);
    if (c->src_vocab < 4 || c->src_vocab > 4000000 || c->tgt_vocab < 4 || c->tgt_vocab > 4000000)
        return FV_FAIL(err, FV_E_ARGUMENT, "vocabularies of %d and %d; expected 4 to 4000000", c->src_vocab, c->tgt_vocab);
    return FV_OK;
}

fv_status fv_seq2seq_config_check(const fv_seq2seq_config *c, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(check_sizes(c, err));
    if (c->shared && c->src_vocab != c->tgt_vocab) return FV_FAIL(err, FV_E_ARGUMENT, "one table for vocabularies of %d and %d; expected equal ones", c->src_vocab, c->tgt_vocab);
    if (c->positions == FV_POSITIONS_SINUSOIDAL && (int64_t)c->max_len * c->width > MAX_SINUSOIDS)
        return FV_FAIL(err, FV_E_ARGUMENT, "fixed positions for %d tokens of width %d; expected at most %d numbers", c->max_len, c->width, MAX_SINUSOIDS);
    if (c->positions == FV_POSITIONS_ROTARY && c->width / c->heads % 2) return FV_FAIL(err, FV_E_ARGUMENT, "rotary positions turn pairs of numbers; found heads of %d", c->width / c->heads);
    if (!(c->dropout >= 0 && c->dropout < 1) || !(c->attention_dropout >= 0 && c->attention_dropout < 1))
        return FV_FAIL(err, FV_E_ARGUMENT, "dropout %g, attention dropout %g; expected 0 or more, and less than 1", c->dropout, c->attention_dropout);
    if (!(c->norm_eps > 0 && c->norm_eps < 1)) return FV_FAIL(err, FV_E_ARGUMENT, "layer norm epsilon %g; expected between 0 and 1", c->norm_eps);
    FV_TRY(check_id(c->eos, false, c->tgt_vocab, "the end of a text", err));
    FV_TRY(check_id(c->eos, false, c->src_vocab, "the end of a text", err));
    FV_TRY(check_id(c->start, false, c->tgt_vocab, "the start of a target text", err));
    FV_TRY(check_id(c->pad, true, c->src_vocab, "padding", err));
done:
    return status;
}

/* ---- Weights ---- */

/* Deviations after Glorot & Bengio 2010; queries, keys and values count as three products, as in Vaswani's code. */
static float glorot(int64_t in, int64_t out) { return (float)sqrt(2.0 / (double)(in + out)); }

typedef struct named { char text[3][FV_PARAM_NAME]; } named;

/* "model.SIDE.layers.I.PART" for up to three parts. */
static fv_status add_linear(fv_seq2seq *m, fv_linear_weights *w, const char *side, int layer, const char *const *suffixes, int parts, int64_t out, int64_t in, float deviation, fv_err *err)
{
    named n;
    for (int i = 0; i < parts; i++) snprintf(n.text[i], FV_PARAM_NAME, "model.%s.layers.%d.%s", side, layer, suffixes[i]);
    fv_status status = fv_linear_init(w, &m->params, (const char *[]){n.text[0], n.text[1], n.text[2]}, parts, out, in, deviation, err);
    if (status == FV_OK) w->w->rounds = true;
    return status;
}

static fv_status add_norm(fv_seq2seq *m, fv_norm_weights *w, const char *side, int layer, const char *suffix, fv_err *err)
{
    char name[FV_PARAM_NAME];
    if (layer < 0) snprintf(name, sizeof name, "model.%s.%s", side, suffix);
    else snprintf(name, sizeof name, "model.%s.layers.%d.%s", side, layer, suffix);
    return fv_norm_init(w, &m->params, name, m->config.width, err);
}

static fv_status add_table(fv_seq2seq *m, fv_param **table, const char *name, int64_t rows, int64_t cols, float deviation, fv_err *err)
{
    *table = fv_params_add(&m->params, &name, 1, 2, rows, cols, FV_INIT_NORMAL, deviation, err);
    if (!*table) return FV_E_MEMORY;
    (*table)->decay = false; /* rows of rare words get no gradient to stand against decay */
    (*table)->table = (*table)->multiplied = true;
    return FV_OK;
}

static fv_status init_cross(fv_seq2seq *m, fv_block *b, int layer, fv_err *err)
{
    fv_status status = FV_OK;
    int64_t C = m->config.width;
    FV_TRY(add_linear(m, &b->cross_q, "decoder", layer, (const char *[]){"encoder_attn.q_proj"}, 1, C, C, glorot(C, C), err));
    FV_TRY(add_linear(m, &b->cross_kv, "decoder", layer, (const char *[]){"encoder_attn.k_proj", "encoder_attn.v_proj"}, 2, 2 * C, C, glorot(C, C), err));
    FV_TRY(add_linear(m, &b->cross_out, "decoder", layer, (const char *[]){"encoder_attn.out_proj"}, 1, C, C, glorot(C, C), err));
    FV_TRY(add_norm(m, &b->cross_norm, "decoder", layer, "encoder_attn_layer_norm", err));
done:
    return status;
}

static fv_status init_block(fv_seq2seq *m, fv_block *b, const char *side, int layer, bool looks_at_source, fv_err *err)
{
    fv_status status = FV_OK;
    int64_t C = m->config.width, F = m->config.ffn;
    FV_TRY(add_linear(m, &b->qkv, side, layer, (const char *[]){"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}, 3, 3 * C, C, glorot(C, 3 * C), err));
    FV_TRY(add_linear(m, &b->out, side, layer, (const char *[]){"self_attn.out_proj"}, 1, C, C, glorot(C, C), err));
    FV_TRY(add_norm(m, &b->attention_norm, side, layer, "self_attn_layer_norm", err));
    if (looks_at_source) FV_TRY(init_cross(m, b, layer, err));
    FV_TRY(add_linear(m, &b->up, side, layer, (const char *[]){"fc1"}, 1, F, C, glorot(C, F), err));
    FV_TRY(add_linear(m, &b->down, side, layer, (const char *[]){"fc2"}, 1, C, F, glorot(F, C), err));
    FV_TRY(add_norm(m, &b->ffn_norm, side, layer, "final_layer_norm", err));
done:
    return status;
}

static fv_status init_positions(fv_seq2seq *m, fv_stack *s, const char *side, fv_err *err)
{
    const fv_seq2seq_config *c = &m->config;
    char name[FV_PARAM_NAME];
    if (c->positions == FV_POSITIONS_LEARNED) {
        snprintf(name, sizeof name, "model.%s.embed_positions.weight", side);
        return add_table(m, &s->positions, name, c->max_len, c->width, c->scale_embedding ? 0.02f : (float)sqrt(1.0 / c->width), err);
    }
    if (c->positions != FV_POSITIONS_RELATIVE) return FV_OK;
    snprintf(name, sizeof name, "model.%s.relative_bias.weight", side);
    return add_table(m, &s->relative, name, FV_RELATIVE_BUCKETS, c->heads, 0.02f, err);
}

static fv_status init_stack(fv_seq2seq *m, fv_stack *s, const char *side, int layers, fv_err *err)
{
    fv_status status = FV_OK;
    bool decodes = s == &m->decoder;
    s->blocks = fv_alloc_zero((size_t)layers, sizeof *s->blocks, err);
    if (!s->blocks) return FV_E_MEMORY;
    s->layers = layers;
    FV_TRY(init_positions(m, s, side, err));
    if (m->config.embedding_norm) FV_TRY(add_norm(m, &s->embedding_norm, side, -1, "layernorm_embedding", err));
    for (int i = 0; i < layers; i++) FV_TRY(init_block(m, &s->blocks[i], side, i, decodes, err));
    if (m->config.pre_norm) FV_TRY(add_norm(m, &s->final_norm, side, -1, "layer_norm", err));
done:
    return status;
}

static fv_status init_words(fv_seq2seq *m, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_seq2seq_config *c = &m->config;
    float deviation = (float)sqrt(1.0 / c->width);
    FV_TRY(add_table(m, &m->decoder.words, c->shared ? "model.shared.weight" : "model.decoder.embed_tokens.weight", c->tgt_vocab, c->width, deviation, err));
    if (c->pad == c->start) m->decoder.words->zero_row = c->pad; /* Marian's texts begin with nothing, and converters count on it */
    m->encoder.words = m->decoder.words;
    if (!c->shared) FV_TRY(add_table(m, &m->encoder.words, "model.encoder.embed_tokens.weight", c->src_vocab, c->width, deviation, err));
    m->output = m->decoder.words;
    if (!c->tied) FV_TRY(add_table(m, &m->output, "lm_head.weight", c->tgt_vocab, c->width, deviation, err));
    if (c->output_bias) {
        m->output_bias = fv_params_add(&m->params, (const char *[]){"final_logits_bias"}, 1, 2, 1, c->tgt_vocab, FV_INIT_ZERO, 0, err);
        if (!m->output_bias) return FV_E_MEMORY;
        m->output_bias->decay = false;
    }
done:
    return status;
}

/* Marian's order: sines of all lengths first, then their cosines. */
static fv_status make_sinusoids(fv_seq2seq *m, fv_err *err)
{
    int64_t rows = m->config.max_len, C = m->config.width, sines = (C + 1) / 2;
    m->sinusoids = fv_alloc_zero((size_t)(rows * C), sizeof(float), err);
    if (!m->sinusoids) return FV_E_MEMORY;
    for (int64_t i = 0; i < C; i++) {
        bool sine = i < sines;
        double length = pow(10000.0, 2.0 * (double)(sine ? i : i - sines) / (double)C);
        for (int64_t p = 0; p < rows; p++) m->sinusoids[p * C + i] = (float)(sine ? sin((double)p / length) : cos((double)p / length));
    }
    return FV_OK;
}

fv_status fv_seq2seq_init(fv_seq2seq *m, const fv_seq2seq_config *config, fv_err *err)
{
    fv_status status = FV_OK;
    *m = (fv_seq2seq){.config = *config, .params.integers = config->stored.weights};
    FV_TRY(fv_seq2seq_config_check(config, err));
    FV_TRY(init_words(m, err));
    FV_TRY(init_stack(m, &m->encoder, "encoder", config->encoder_layers, err));
    FV_TRY(init_stack(m, &m->decoder, "decoder", config->decoder_layers, err));
    if (config->positions == FV_POSITIONS_SINUSOIDAL) FV_TRY(make_sinusoids(m, err));
done:
    if (status != FV_OK) fv_seq2seq_release(m);
    return status;
}

void fv_seq2seq_release(fv_seq2seq *m)
{
    fv_params_release(&m->params);
    fv_free(m->encoder.blocks);
    fv_free(m->decoder.blocks);
    fv_free(m->sinusoids);
    *m = (fv_seq2seq){0};
}

/* ---- Graph ---- */

static const float rotary_base = 10000;

/* A side's table of buckets as a bias for each distance; the layers of a side share it. The decoder looks back only. */
static fv_tensor *bias_by_distance(const fv_seq2seq *m, fv_graph *g, const fv_stack *s)
{
    if (!s->relative) return NULL;
    fv_graph_scope(g, "%s.relative", s == &m->encoder ? "encoder" : "decoder");
    return fv_relative_bias(g, fv_graph_param(g, s->relative), FV_RELATIVE_SPAN, FV_RELATIVE_SPAN, s == &m->encoder);
}

static fv_block_shape shape_of(const fv_seq2seq *m, bool causal)
{
    const fv_seq2seq_config *c = &m->config;
    return (fv_block_shape){
        .heads = c->heads, .kv_heads = c->heads, .pre_norm = c->pre_norm, .act = c->act, .norm_eps = (float)c->norm_eps,
        .dropout = (float)c->dropout, .attention_dropout = (float)c->attention_dropout, .causal = causal,
        .rotary_base = c->positions == FV_POSITIONS_ROTARY ? rotary_base : 0, .span = FV_RELATIVE_SPAN,
    };
}

/* Rows of words and positions, summed; positions NULL where they are told otherwise. */
static fv_tensor *embed(const fv_seq2seq *m, fv_graph *g, const fv_stack *s, const int32_t *ids, const int32_t *positions, int64_t n)
{
    const fv_seq2seq_config *c = &m->config;
    fv_tensor *tables[2] = {fv_graph_param(g, s->words), NULL};
    if (m->sinusoids) tables[1] = fv_graph_input(g, "sinusoids", m->sinusoids, c->max_len, c->width, c->width);
    else if (s->positions) tables[1] = fv_graph_param(g, s->positions);
    float scales[] = {c->scale_embedding ? sqrtf((float)c->width) : 1, 1};
    fv_tensor *x = fv_embed_rows(g, tables, (const int32_t *[]){ids, positions}, scales, tables[1] ? 2 : 1, n);
    return c->embedding_norm ? fv_norm_build(g, x, &s->embedding_norm, (float)c->norm_eps) : x;
}

static fv_tensor *embed_batch(const fv_seq2seq *m, fv_graph *g, const fv_stack *s, const fv_batch *batch)
{
    return fv_drop_build(g, embed(m, g, s, batch->ids, batch->positions, batch->N), NULL, (float)m->config.dropout, batch);
}

static fv_tensor *finish(const fv_seq2seq *m, fv_graph *g, const fv_stack *s, fv_tensor *x, const char *side)
{
    fv_graph_scope(g, "%s.final", side);
    return m->config.pre_norm ? fv_norm_build(g, x, &s->final_norm, (float)m->config.norm_eps) : x;
}

fv_tensor *fv_seq2seq_encode(const fv_seq2seq *m, fv_graph *g, const fv_batch *source)
{
    fv_block_shape shape = shape_of(m, false);
    shape.bias = bias_by_distance(m, g, &m->encoder);
    fv_graph_scope(g, "encoder.embeddings");
    fv_tensor *x = embed_batch(m, g, &m->encoder, source);
    for (int i = 0; i < m->encoder.layers; i++) {
        fv_graph_scope(g, "encoder.layer.%d", i);
        x = fv_block_build(g, x, &m->encoder.blocks[i], &shape, source);
    }
    return finish(m, g, &m->encoder, x, "encoder");
}

fv_tensor *fv_seq2seq_decode(const fv_seq2seq *m, fv_graph *g, fv_tensor *memory, const fv_batch *source, const fv_batch *target)
{
    fv_block_shape shape = shape_of(m, true);
    shape.bias = bias_by_distance(m, g, &m->decoder);
    fv_graph_scope(g, "decoder.embeddings");
    fv_tensor *x = embed_batch(m, g, &m->decoder, target);
    for (int i = 0; i < m->decoder.layers; i++) {
        fv_graph_scope(g, "decoder.layer.%d", i);
        x = fv_decoder_block_build(g, x, &m->decoder.blocks[i], &shape, target, memory, source);
    }
    return finish(m, g, &m->decoder, x, "decoder");
}

static fv_tensor *bias_of(const fv_seq2seq *m, fv_graph *g) { return m->output_bias ? fv_graph_param(g, m->output_bias) : NULL; }

fv_tensor *fv_seq2seq_loss(const fv_seq2seq *m, fv_graph *g, fv_tensor *hidden, const int32_t *targets, float smoothing)
{
    fv_graph_scope(g, "loss");
    return fv_linear_cross_entropy(g, hidden, fv_graph_param(g, m->output), bias_of(m, g), targets, smoothing);
}

fv_tensor *fv_seq2seq_logits(const fv_seq2seq *m, fv_graph *g, fv_tensor *hidden)
{
    fv_graph_scope(g, "logits");
    return fv_linear(g, hidden, fv_graph_param(g, m->output), bias_of(m, g), FV_ACT_NONE, NULL);
}

/* ---- One token at a time ---- */

/* Made once: weights do not change while texts are written. */
static fv_status make_bias(fv_decoder_cache *cache, const fv_seq2seq *m, fv_err *err)
{
    fv_status status = FV_OK;
    fv_graph *g = fv_graph_new(NULL, err);
    if (!g) return FV_E_MEMORY;
    fv_graph_reset(g, false);
    fv_tensor *bias = bias_by_distance(m, g, &m->decoder);
    FV_TRY(fv_graph_plan(g, bias, err));
    fv_graph_forward(g, 0);
    cache->bias = fv_alloc((size_t)(bias->rows * bias->cols) * sizeof *cache->bias, err);
    if (!cache->bias) { status = FV_E_MEMORY; goto done; }
    for (int64_t h = 0; h < bias->rows; h++) memcpy(cache->bias + h * bias->cols, bias->data + h * bias->stride, (size_t)bias->cols * sizeof *cache->bias);
done:
    fv_graph_free(g);
    return status;
}

fv_status fv_decoder_cache_init(fv_decoder_cache *cache, const fv_seq2seq *m, int64_t slots, int64_t memory_rows, fv_err *err)
{
    int64_t ld = 2 * (int64_t)m->config.width + CACHE_LINE, self = slots * ld, cross = memory_rows * ld;
    *cache = (fv_decoder_cache){.slots = slots, .memory_rows = memory_rows, .ld = ld};
    /* Not cleared: a slot is written before it is read, and most texts never reach most of them, nor then the memory's pages. */
    cache->block = fv_alloc((size_t)((self + cross) * m->decoder.layers) * sizeof(float), err);
    if (!cache->block) return FV_E_MEMORY;
    for (int i = 0; i < m->decoder.layers; i++) {
        cache->self[i] = cache->block + i * (self + cross);
        cache->cross[i] = cache->self[i] + self;
    }
    fv_status status = m->decoder.relative ? make_bias(cache, m, err) : FV_OK;
    if (status != FV_OK) fv_decoder_cache_release(cache);
    return status;
}

void fv_decoder_cache_release(fv_decoder_cache *cache)
{
    fv_free(cache->block);
    fv_free(cache->bias);
    *cache = (fv_decoder_cache){0};
}

fv_tensor *fv_seq2seq_cross_kv(const fv_seq2seq *m, fv_graph *g, fv_tensor *memory, int layer)
{
    fv_graph_scope(g, "decoder.layer.%d.cross", layer);
    return fv_linear_build(g, memory, &m->decoder.blocks[layer].cross_kv, FV_ACT_NONE, NULL);
}

void fv_decoder_cache_put(fv_decoder_cache *cache, int layer, int64_t first, const fv_tensor *kv, int64_t row, int64_t n)
{
    for (int64_t r = 0; r < n; r++)
        memcpy(cache->cross[layer] + (first + r) * cache->ld, kv->data + (row + r) * kv->stride, (size_t)kv->cols * sizeof(float));
}

/* Keys and values side by side in `block`. */
static struct fv_step_cache cache_of(const fv_seq2seq *m, float *block, int64_t slots, int64_t ld)
{
    const fv_seq2seq_config *c = &m->config;
    int D = c->width / c->heads;
    return (struct fv_step_cache){.H = c->heads, .K = c->heads, .D = D, .scale = 1 / sqrtf((float)D), .k = block, .v = block + c->width, .ld = ld, .n_slots = (int32_t)slots};
}

static struct fv_step_cache own_cache(const fv_seq2seq *m, const fv_decoder_cache *cache, const fv_step *s, int layer)
{
    struct fv_step_cache c = cache_of(m, cache->self[layer], cache->slots, cache->ld);
    c.slots = s->slots;
    c.places = s->places;
    c.ldplaces = s->ldplaces;
    c.lengths = s->lengths;
    c.most_keys = s->most;
    c.bias = cache->bias;
    c.span = FV_RELATIVE_SPAN;
    return c;
}

static struct fv_step_cache source_cache(const fv_seq2seq *m, const fv_decoder_cache *cache, const fv_step *s, int layer)
{
    struct fv_step_cache c = cache_of(m, cache->cross[layer], cache->memory_rows, cache->ld);
    c.firsts = s->firsts;
    c.lengths = s->memory_lengths;
    c.most_keys = s->most_memory;
    if (layer == s->weights_layer) c.weights = s->weights, c.ldweights = s->ldweights;
    return c;
}

fv_tensor *fv_seq2seq_step(const fv_seq2seq *m, fv_graph *g, const fv_decoder_cache *cache, const fv_step *s)
{
    FV_ASSERT(!fv_graph_training(g));
    fv_block_shape shape = shape_of(m, true);
    fv_graph_scope(g, "decoder.embeddings");
    fv_tensor *x = embed(m, g, &m->decoder, s->ids, s->positions, s->R);
    for (int i = 0; i < m->decoder.layers; i++) {
        struct fv_step_cache own = own_cache(m, cache, s, i), source = source_cache(m, cache, s, i);
        fv_graph_scope(g, "decoder.layer.%d", i);
        x = fv_decoder_block_step(g, x, s->positions, &m->decoder.blocks[i], &shape, &own, &source);
    }
    return finish(m, g, &m->decoder, x, "decoder");
}
