/* Where the model looked: maps of attention, and attention rollout (Abnar & Zuidema 2020). Each layer's heads are averaged
 * and mixed half and half with the identity, which stands for the residual path; walking back from the
 * pooled place through the layers gives each token's share. Then pieces are put together into words.
 *
 * Built on taps alone: the graph is the one that answers, with q, k and the log-sum-exps kept. */
#include <stdio.h>
#include <string.h>

#include "explain/explain.h"
#include "graph/op.h"

/* ---- Tokens ---- */

static const fv_node *attention_of(const fv_graph *g, int layer)
{
    char name[32];
    snprintf(name, sizeof name, "layer.%d.attend", layer);
    return fv_graph_find_node(g, name);
}

static void keep_attention(fv_graph *g, int layers)
{
    for (int i = 0; i < layers; i++) {
        const fv_node *node = attention_of(g, i);
        if (!node) continue;
        fv_graph_keep(g, node->out);
        for (int k = 0; k < node->n_in; k++) fv_graph_keep(g, node->in[k]);
    }
}

/* What fv_attention_weights needs to form the weights of a node that has run. */
static fv_attention seen_by(const fv_node *node)
{
    fv_attention a = *(const fv_attention *)node->args;
    const fv_tensor *q = node->in[0], *k = node->in[1], *bias = node->n_in > 3 ? node->in[3] : NULL;
    a.q = q->data, a.ldq = q->stride;
    a.k = k->data, a.ldk = k->stride;
    a.bias = bias ? bias->data : NULL, a.ldbias = bias ? bias->stride : 0;
    a.lse = node->aux;
    return a;
}

/* share := share · (½ mean over heads of A + ½ I) */
static void walk_back(const fv_node *node, double *share, double *next, float *weights, int n)
{
    fv_attention a = seen_by(node);
    for (int j = 0; j < n; j++) next[j] = share[j] / 2;
    for (int h = 0; h < a.H; h++) {
        fv_attention_weights(&a, 0, h, weights);
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++) next[j] += share[i] * (double)weights[(size_t)i * (size_t)n + (size_t)j] / (2 * a.H);
    }
    memcpy(share, next, (size_t)n * sizeof *share);
}

static void start_share(double *share, int n, fv_pooling pooling)
{
    for (int i = 0; i < n; i++) share[i] = pooling == FV_POOLING_CLS ? i == 0 : 1.0 / n;
}

/* Runs the body over one text, with attention kept. The sampler owns the batch: release it when all is read. */
static fv_status run_body(fv_session *s, const fv_encoding *e, fv_sampler *sampler, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_encoder *encoder = &s->model->net.encoder;
    int64_t offsets[2] = {0, (int64_t)e->n};
    fv_token_rows rows = {.ids = e->ids, .types = e->types, .offsets = offsets, .n = 1, .max_len = (int)e->n};
    fv_batch batch;
    FV_TRY(fv_sampler_init(sampler, &rows, s->batch_tokens, 0, err));
    fv_sampler_plan(sampler, -1);
    fv_sampler_get(sampler, 0, &batch);
    fv_graph_reset(s->graph, false);
    fv_tensor *out = fv_encoder_build(encoder, s->graph, &batch);
    keep_attention(s->graph, encoder->config.layers);
    FV_TRY(fv_graph_plan(s->graph, out, err));
    fv_graph_forward(s->graph, 0);
done:
    return status;
}

fv_status fv_explain_rollout(fv_explaining *x, double *words, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_encoder_config *c = &x->session->model->net.encoder.config;
    size_t n = x->encoding.n;
    fv_sampler sampler = {0};
    float *weights = fv_alloc(n * n * sizeof *weights, err);
    double *share = fv_alloc((2 * n + 1) * sizeof *share, err), sum = 0;
    if (!weights || !share) { status = FV_E_MEMORY; goto done; }
    FV_TRY(run_body(x->session, &x->encoding, &sampler, err));
    start_share(share, (int)n, c->pooling);
    for (int i = c->layers - 1; i >= 0; i--) walk_back(attention_of(x->session->graph, i), share, share + n, weights, (int)n);
    memset(words, 0, x->units.n * sizeof *words);
    fv_shares_add(&x->shares, share, words);
    for (size_t i = 0; i < x->units.n; i++) sum += words[i];
    for (size_t i = 0; i < x->units.n && sum > 0; i++) words[i] /= sum;
done:
    fv_sampler_release(&sampler);
    fv_free(weights);
    fv_free(share);
    return status;
}

/* ---- Maps ---- */

/* places[token's share] numbers rows and columns: frames and words in the order of their first tokens. */
static fv_status find_places(const fv_explaining *x, fv_explanation *e, int32_t **at, fv_arena *arena, fv_err *err)
{
    const fv_shares *s = &x->shares;
    fv_place *places = fv_arena_alloc(arena, (s->n + 1) * sizeof *places, err);
    int32_t *of_word = fv_arena_alloc(arena, (x->units.n + 1) * sizeof *of_word, err);
    *at = fv_arena_alloc(arena, (s->n + 1) * sizeof **at, err);
    if (!places || !of_word || !*at) return FV_E_MEMORY;
    for (size_t i = 0; i < x->units.n; i++) of_word[i] = -1;
    for (size_t i = 0; i < s->n; i++) {
        int32_t word = s->items[i].word;
        if (word >= 0 && of_word[word] >= 0) { (*at)[i] = of_word[word]; continue; }
        places[e->n_places] = (fv_place){.word = word, .frame = word < 0 ? fv_tokenizer_token(x->session->model->tokenizer, x->encoding.ids[s->items[i].token]) : NULL};
        (*at)[i] = (int32_t)e->n_places++;
        if (word >= 0) of_word[word] = (*at)[i];
    }
    e->places = places;
    return FV_OK;
}

/* Sum over a word's tokens as columns, mean as rows: out [places, places], zeroed, from weights [tokens, tokens]. */
static void fold(const fv_shares *s, const int32_t *at, const double *row_shares, size_t places, const float *weights, size_t tokens, float *out)
{
    for (size_t i = 0; i < s->n; i++) {
        const float *row = weights + (size_t)s->items[i].token * tokens;
        float *to = out + (size_t)at[i] * places;
        double share = s->items[i].share / row_shares[at[i]];
        for (size_t j = 0; j < s->n; j++) to[at[j]] += (float)(share * s->items[j].share * (double)row[s->items[j].token]);
    }
}

fv_status fv_explain_maps(fv_explaining *x, fv_explanation *e, fv_arena *arena, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_encoder_config *c = &x->session->model->net.encoder.config;
    size_t n = x->encoding.n;
    int32_t *at;
    fv_sampler sampler = {0};
    float *weights = fv_alloc(n * n * sizeof *weights, err);
    if (!weights) return FV_E_MEMORY;
    FV_TRY(find_places(x, e, &at, arena, err));
    size_t square = e->n_places * e->n_places;
    double *row_shares = fv_arena_alloc(arena, (e->n_places + 1) * sizeof *row_shares, err);
    float *maps = fv_arena_alloc(arena, (size_t)c->layers * (size_t)c->heads * square * sizeof *maps, err);
    if (!row_shares || !maps) { status = FV_E_MEMORY; goto done; }
    for (size_t i = 0; i < x->shares.n; i++) row_shares[at[i]] += x->shares.items[i].share;
    FV_TRY(run_body(x->session, &x->encoding, &sampler, err));
    e->layers = c->layers, e->heads = c->heads, e->maps = maps;
    for (int l = 0; l < c->layers; l++) {
        fv_attention a = seen_by(attention_of(x->session->graph, l));
        for (int h = 0; h < c->heads; h++, maps += square) {
            fv_attention_weights(&a, 0, h, weights);
            fold(&x->shares, at, row_shares, e->n_places, weights, n, maps);
        }
    }
done:
    fv_sampler_release(&sampler);
    fv_free(weights);
    return status;
}

/* ---- Words, alone ---- */

/* As fv_word; only words that the model reads, or a part of them. */
static fv_status give_words(fv_session *s, const fv_explaining *x, const double *weights, size_t *n, fv_err *err)
{
    fv_status status = fv_grow(&s->words, &s->words_capacity, x->units.n + 1, sizeof *s->words, err);
    uint32_t read[2] = {0, 0};
    if (status != FV_OK) return status;
    for (size_t i = 0; i < x->encoding.n; i++)
        if (x->encoding.ends[i] > read[x->encoding.types[i] != 0]) read[x->encoding.types[i] != 0] = x->encoding.ends[i];
    for (size_t i = 0; i < x->units.n; i++) {
        const fv_explained_word *w = &x->units.items[i];
        if (w->begin < read[w->part]) s->words[(*n)++] = (fv_word){.begin = w->begin, .end = w->end < read[w->part] ? w->end : read[w->part], .part = w->part, .weight = (float)weights[i]};
    }
    return FV_OK;
}

fv_status fv_attention_words(fv_session *s, const fv_text *text, const fv_word **words, size_t *n, fv_err *err)
{
    fv_status status = FV_OK;
    fv_explaining x = {.session = s, .text = fv_units_measured(text)};
    double *weights = NULL;
    *n = 0;
    if (s->head->kind == FV_LABELS_TEXT) return fv_session_refuse(s, "gives texts no labels", err);
    FV_TRY(fv_explain_encode(&x, &s->cut, err));
    FV_TRY(fv_units_find(&x.units, &x.text, err));
    FV_TRY(fv_shares_find(&x.shares, &x.units, &x.encoding, err));
    weights = fv_alloc_zero(x.units.n + 1, sizeof *weights, err);
    if (!weights) { status = FV_E_MEMORY; goto done; }
    FV_TRY(fv_explain_rollout(&x, weights, err));
    FV_TRY(give_words(s, &x, weights, n, err));
    *words = s->words;
done:
    fv_encoding_release(&x.encoding);
    fv_units_release(&x.units);
    fv_shares_release(&x.shares);
    fv_free(weights);
    return status;
}
