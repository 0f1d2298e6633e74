/* Where the model looked: attention rollout (Abnar & Zuidema 2020). Each layer's heads are averaged
 * and mixed half and half with the identity, which stands for the residual path; walking back from the
 * pooled place through the layers gives each token's share. Then pieces are put together into words.
 *
 * Built on taps alone: the graph is the one that answers, with q, k and the log-sum-exps kept. */
#include <stdio.h>
#include <string.h>

#include "graph/op.h"
#include "infer/infer.h"

/* ---- Tokens ---- */

static void keep_attention(fv_graph *g, int layers)
{
    for (int i = 0; i < layers; i++) {
        char name[32];
        snprintf(name, sizeof name, "layer.%d.attend", i);
        const fv_node *node = fv_graph_find_node(g, name);
        if (!node) continue;
        fv_graph_keep(g, node->out);
        for (int k = 0; k < node->n_in; k++) fv_graph_keep(g, node->in[k]);
    }
}

/* share := share · (½ mean over heads of A + ½ I) */
static void walk_back(const fv_node *node, double *share, double *next, float *weights, int n)
{
    fv_attention a = *(const fv_attention *)node->args;
    a.q = node->in[0]->data, a.ldq = node->in[0]->stride;
    a.k = node->in[1]->data, a.ldk = node->in[1]->stride;
    a.lse = node->aux;
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

static fv_status roll_out(fv_session *s, const fv_batch *batch, double *share, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_encoder *encoder = &s->model->net.encoder;
    size_t n = (size_t)batch->N;
    float *weights = fv_alloc(n * n * sizeof *weights, err);
    double *next = fv_alloc(n * sizeof *next, err);
    if (!weights || !next) { status = FV_E_MEMORY; goto done; }
    fv_graph_reset(s->graph, false);
    fv_tensor *out = fv_encoder_build(encoder, s->graph, batch);
    keep_attention(s->graph, encoder->config.layers);
    FV_TRY(fv_graph_plan(s->graph, out, err));
    fv_graph_forward(s->graph, 0);
    start_share(share, batch->N, encoder->config.pooling);
    for (int i = encoder->config.layers - 1; i >= 0; i--) {
        char name[32];
        snprintf(name, sizeof name, "layer.%d.attend", i);
        walk_back(fv_graph_find_node(s->graph, name), share, next, weights, batch->N);
    }
done:
    fv_free(weights);
    fv_free(next);
    return status;
}

/* ---- Words ---- */

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

enum { WORDY, MARK, IDEOGRAPH, INNER };

/* What a piece of text begins with: a letter or digit, a mark, a character that is a word by itself,
 * or the inside of a character that the tokenizer cut. */
static int kind_of(const unsigned char *p)
{
    if (*p < 0x80) return (*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') || *p == '\'' ? WORDY : MARK;
    if (*p < 0xc0) return INNER;
    if (*p == 0xe3 && p[1] == 0x80) return MARK;                /* U+3000 to U+303F: CJK punctuation */
    if (*p == 0xef && (p[1] == 0xbc || p[1] == 0xbd)) return MARK; /* U+FF00 to U+FF7F: full-width forms */
    if ((*p >= 0xe3 && *p <= 0xe9) || *p == 0xf0) return IDEOGRAPH; /* U+3000 to U+9FFF, and beyond U+10000 */
    return WORDY;
}

static bool joins(const fv_word *last, const fv_word *piece, const char *text, bool after_space)
{
    if (!last || after_space || last->part != piece->part || last->end != piece->begin) return false;
    int now = kind_of((const unsigned char *)text + piece->begin), before = kind_of((const unsigned char *)text + last->begin);
    return now == INNER || (now == WORDY && before == WORDY);
}

static fv_status group_words(fv_session *s, const fv_text *text, const double *share, size_t *n_words, fv_err *err)
{
    const fv_encoding *e = &s->encoding;
    size_t n = 0;
    double total = 0;
    fv_status status = fv_grow(&s->words, &s->words_capacity, e->n + 1, sizeof *s->words, err);
    if (status != FV_OK) return status;
    for (size_t i = 0; i < e->n; i++) {
        const char *in = e->types[i] ? text->text2 : text->text;
        fv_word piece = {.begin = e->begins[i], .end = e->ends[i], .part = e->types[i] != 0, .weight = (float)share[i]};
        bool spaced = false;
        while (piece.begin < piece.end && is_space(in[piece.begin])) piece.begin++, spaced = true;
        if (piece.begin == piece.end) continue;
        total += share[i];
        fv_word *last = n ? &s->words[n - 1] : NULL;
        if (joins(last, &piece, in, spaced)) {
            last->end = piece.end;
            last->weight += piece.weight;
        } else s->words[n++] = piece;
    }
    for (size_t i = 0; i < n; i++) s->words[i].weight = total > 0 ? (float)((double)s->words[i].weight / total) : 0;
    *n_words = n;
    return FV_OK;
}

fv_status fv_attention_words(fv_session *s, const fv_text *text, const fv_word **words, size_t *n, fv_err *err)
{
    fv_status status = FV_OK;
    double *share = NULL;
    fv_sampler sampler = {0};
    int64_t offsets[2] = {0, 0};
    *n = 0;
    if (s->head->kind == FV_LABELS_TEXT) return FV_FAIL(err, FV_E_ARGUMENT, "%s gives texts no labels: %s", s->model->folder, fv_labels_does(s->head->kind));
    FV_TRY(fv_prepare_one(&s->encoding, s->model->tokenizer, s->model->net.encoder.config.max_len, text, &s->cut, err));
    offsets[1] = (int64_t)s->encoding.n;
    fv_token_rows rows = {.ids = s->encoding.ids, .types = s->encoding.types, .offsets = offsets, .n = 1, .max_len = (int)s->encoding.n};
    share = fv_alloc((s->encoding.n + 1) * sizeof *share, err);
    if (!share) { status = FV_E_MEMORY; goto done; }
    FV_TRY(fv_sampler_init(&sampler, &rows, s->batch_tokens, 0, err));
    fv_sampler_plan(&sampler, -1);
    fv_batch batch;
    fv_sampler_get(&sampler, 0, &batch);
    FV_TRY(roll_out(s, &batch, share, err));
    FV_TRY(group_words(s, text, share, n, err));
    *words = s->words;
done:
    fv_sampler_release(&sampler);
    fv_free(share);
    return status;
}
