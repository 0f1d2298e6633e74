/* One Transformer layer and its pieces, as lines of graph. */
#include "nn/nn.h"

#include <math.h>
#include <stdio.h>

#include "ops.h"

static fv_status suffixed(char out[FV_PARAM_NAME], const char *name, const char *suffix, fv_err *err)
{
    int n = snprintf(out, FV_PARAM_NAME, "%s.%s", name, suffix);
    return n < FV_PARAM_NAME ? FV_OK : FV_FAIL(err, FV_E_ARGUMENT, "%s.%s: a name this long is not supported", name, suffix);
}

static fv_status add_named(fv_param **param, fv_params *params, const char *const *names, int parts, const char *suffix, int rank, int64_t rows, int64_t cols, fv_init init, float deviation, fv_err *err)
{
    fv_status status = FV_OK;
    char full[FV_MAX_PARTS][FV_PARAM_NAME];
    const char *list[FV_MAX_PARTS];
    for (int i = 0; i < parts; i++) {
        FV_TRY(suffixed(full[i], names[i], suffix, err));
        list[i] = full[i];
    }
    *param = fv_params_add(params, list, parts, rank, rows, cols, init, deviation, err);
    if (!*param) status = FV_E_MEMORY;
done:
    return status;
}

fv_status fv_linear_init(fv_linear_weights *weights, fv_params *params, const char *const *names, int parts, int64_t out, int64_t in, float deviation, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(add_named(&weights->w, params, names, parts, "weight", 2, out, in, FV_INIT_NORMAL, deviation, err));
    FV_TRY(add_named(&weights->b, params, names, parts, "bias", 1, 1, out, FV_INIT_ZERO, 0, err));
done:
    return status;
}

fv_status fv_norm_init(fv_norm_weights *weights, fv_params *params, const char *name, int64_t width, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(add_named(&weights->w, params, &name, 1, "weight", 1, 1, width, FV_INIT_ONE, 0, err));
    FV_TRY(add_named(&weights->b, params, &name, 1, "bias", 1, 1, width, FV_INIT_ZERO, 0, err));
done:
    return status;
}

fv_tensor *fv_linear_build(fv_graph *g, fv_tensor *x, const fv_linear_weights *weights, fv_act act, fv_tensor *residual)
{
    return fv_linear(g, x, fv_graph_param(g, weights->w), fv_graph_param(g, weights->b), act, residual);
}

fv_tensor *fv_norm_build(fv_graph *g, fv_tensor *x, const fv_norm_weights *weights, float eps)
{
    return fv_layer_norm(g, x, fv_graph_param(g, weights->w), fv_graph_param(g, weights->b), eps);
}

fv_tensor *fv_drop_build(fv_graph *g, fv_tensor *x, fv_tensor *residual, float p, const fv_batch *batch)
{
    if (!fv_graph_training(g) || p <= 0) return residual ? fv_add(g, x, residual) : x;
    fv_dropout d = {.p = p, .B = batch->B, .offsets = batch->offsets, .sequences = batch->sequences};
    return fv_drop(g, x, residual, &d);
}

/* residual + dropout(x wᵀ + b): without dropout the product adds the residual itself. */
static fv_tensor *back_into(fv_graph *g, fv_tensor *x, const fv_linear_weights *weights, fv_tensor *residual, float p, const fv_batch *batch)
{
    if (!fv_graph_training(g) || p <= 0) return fv_linear_build(g, x, weights, FV_ACT_NONE, residual);
    return fv_drop_build(g, fv_linear_build(g, x, weights, FV_ACT_NONE, NULL), residual, p, batch);
}

static fv_tensor *turned(fv_graph *g, fv_tensor *x, const int32_t *positions, const fv_block_shape *shape)
{
    return shape->rotary_base > 0 ? fv_rotary(g, x, positions, shape->heads, shape->rotary_base, false) : x;
}

/* Queries of `batch`, keys and values of `seen`: the same but for attention to another text. */
static fv_tensor *attend_heads(fv_graph *g, fv_tensor *q, fv_tensor *k, fv_tensor *v, const fv_block_shape *shape, const fv_batch *batch, const fv_batch *seen)
{
    if (!q) return NULL;
    int D = (int)(q->cols / shape->heads);
    fv_attention spec = {
        .B = batch->B, .H = shape->heads, .K = shape->kv_heads, .D = D,
        .q_offsets = batch->offsets, .k_offsets = seen->offsets, .sequences = batch->sequences,
        .scale = shape->mixing == FV_MIXING_UNIFORM ? 0 : 1 / sqrtf((float)D), /* equal scores: equal weights */
        .causal = shape->causal, .window = shape->mixing == FV_MIXING_NONE ? 1 : shape->window, .dropout = shape->attention_dropout, .span = shape->span,
    };
    return shape->bias ? fv_attend_biased(g, q, k, v, shape->bias, &spec) : fv_attend(g, q, k, v, &spec);
}

/* `in` is what attention reads, x what the residual path carries: the same unless norms come first. */
static fv_tensor *vaswani_attention(fv_graph *g, fv_tensor *in, fv_tensor *x, const fv_block *block, const fv_block_shape *shape, const fv_batch *batch)
{
    fv_tensor *qkv = fv_linear_build(g, in, &block->qkv, FV_ACT_NONE, NULL);
    if (!qkv) return NULL;
    int groups = shape->heads + 2 * shape->kv_heads;
    int64_t D = qkv->cols / groups, q_cols = shape->heads * D, k_cols = shape->kv_heads * D;
    fv_tensor *q = turned(g, fv_view_columns(g, qkv, 0, q_cols), batch->positions, shape), *k = turned(g, fv_view_columns(g, qkv, q_cols, k_cols), batch->positions, shape);
    fv_tensor *mixed = attend_heads(g, q, k, fv_view_columns(g, qkv, q_cols + k_cols, k_cols), shape, batch, batch);
    return back_into(g, mixed, &block->out, x, shape->dropout, batch);
}

/* [h ; a] Wᵀ is written as the sum of products that it is, h W_hᵀ + a W_aᵀ: the second product takes the
 * first as its residual, so nothing is copied side by side and no product has to read it again. */
static fv_tensor *article_attention(fv_graph *g, fv_tensor *in, fv_tensor *x, const fv_block *block, const fv_block_shape *shape, const fv_batch *batch)
{
    fv_tensor *q = fv_linear_build(g, fv_linear_build(g, in, &block->query_up, shape->act, NULL), &block->query, FV_ACT_NONE, NULL);
    fv_tensor *kv = fv_linear_build(g, in, &block->kv, shape->act, NULL);
    if (!kv) return NULL;
    int64_t cols = kv->cols / 2;
    fv_tensor *mixed = attend_heads(g, q, fv_view_columns(g, kv, 0, cols), fv_view_columns(g, kv, cols, cols), shape, batch, batch);
    bool drops = fv_graph_training(g) && shape->dropout > 0;
    fv_tensor *own = fv_linear(g, in, fv_graph_param(g, block->hidden), NULL, FV_ACT_NONE, drops ? NULL : x);
    fv_tensor *out = fv_linear_build(g, mixed, &block->out, FV_ACT_NONE, own);
    return drops ? fv_drop_build(g, out, x, shape->dropout, batch) : out;
}

static fv_tensor *attention_half(fv_graph *g, fv_tensor *x, const fv_block *block, const fv_block_shape *shape, const fv_batch *batch)
{
    fv_tensor *in = shape->pre_norm ? fv_norm_build(g, x, &block->attention_norm, shape->norm_eps) : x;
    fv_tensor *out = (shape->article ? article_attention : vaswani_attention)(g, in, x, block, shape, batch);
    return shape->pre_norm ? out : fv_norm_build(g, out, &block->attention_norm, shape->norm_eps);
}

static fv_tensor *cross_half(fv_graph *g, fv_tensor *x, const fv_block *block, const fv_block_shape *shape, const fv_batch *batch, fv_tensor *memory, const fv_batch *source)
{
    fv_block_shape sees_all = *shape;
    sees_all.causal = false; /* and places in another text are no distances */
    sees_all.bias = NULL;
    fv_tensor *in = shape->pre_norm ? fv_norm_build(g, x, &block->cross_norm, shape->norm_eps) : x;
    fv_tensor *q = fv_linear_build(g, in, &block->cross_q, FV_ACT_NONE, NULL), *kv = fv_linear_build(g, memory, &block->cross_kv, FV_ACT_NONE, NULL);
    if (!kv) return NULL;
    int64_t cols = kv->cols / 2;
    fv_tensor *mixed = attend_heads(g, q, fv_view_columns(g, kv, 0, cols), fv_view_columns(g, kv, cols, cols), &sees_all, batch, source);
    fv_tensor *out = back_into(g, mixed, &block->cross_out, x, shape->dropout, batch);
    return shape->pre_norm ? out : fv_norm_build(g, out, &block->cross_norm, shape->norm_eps);
}

static fv_tensor *ffn_half(fv_graph *g, fv_tensor *x, const fv_block *block, const fv_block_shape *shape, const fv_batch *batch)
{
    fv_tensor *in = shape->pre_norm ? fv_norm_build(g, x, &block->ffn_norm, shape->norm_eps) : x;
    fv_tensor *up = fv_linear_build(g, in, &block->up, shape->act, NULL);
    fv_tensor *out = back_into(g, up, &block->down, x, shape->dropout, batch);
    return shape->pre_norm ? out : fv_norm_build(g, out, &block->ffn_norm, shape->norm_eps);
}

fv_tensor *fv_block_build(fv_graph *g, fv_tensor *x, const fv_block *block, const fv_block_shape *shape, const fv_batch *batch)
{
    return ffn_half(g, attention_half(g, x, block, shape, batch), block, shape, batch);
}

fv_tensor *fv_decoder_block_build(fv_graph *g, fv_tensor *x, const fv_block *block, const fv_block_shape *shape, const fv_batch *batch, fv_tensor *memory, const fv_batch *source)
{
    fv_tensor *y = attention_half(g, x, block, shape, batch);
    return ffn_half(g, cross_half(g, y, block, shape, batch, memory, source), block, shape, batch);
}

/* Running only: nothing is dropped, and products add the residual themselves. */
static fv_tensor *self_step(fv_graph *g, fv_tensor *x, const int32_t *positions, const fv_block *block, const fv_block_shape *shape, const struct fv_step_cache *own)
{
    fv_tensor *in = shape->pre_norm ? fv_norm_build(g, x, &block->attention_norm, shape->norm_eps) : x;
    fv_tensor *qkv = fv_linear_build(g, in, &block->qkv, FV_ACT_NONE, NULL);
    if (!qkv) return NULL;
    int64_t C = qkv->cols / 3;
    fv_tensor *q = turned(g, fv_view_columns(g, qkv, 0, C), positions, shape), *k = turned(g, fv_view_columns(g, qkv, C, C), positions, shape);
    fv_tensor *mixed = fv_attend_step(g, q, k, fv_view_columns(g, qkv, 2 * C, C), own);
    fv_tensor *out = fv_linear_build(g, mixed, &block->out, FV_ACT_NONE, x);
    return shape->pre_norm ? out : fv_norm_build(g, out, &block->attention_norm, shape->norm_eps);
}

static fv_tensor *cross_step(fv_graph *g, fv_tensor *x, const fv_block *block, const fv_block_shape *shape, const struct fv_step_cache *source)
{
    fv_tensor *in = shape->pre_norm ? fv_norm_build(g, x, &block->cross_norm, shape->norm_eps) : x;
    fv_tensor *mixed = fv_attend_step(g, fv_linear_build(g, in, &block->cross_q, FV_ACT_NONE, NULL), NULL, NULL, source);
    fv_tensor *out = fv_linear_build(g, mixed, &block->cross_out, FV_ACT_NONE, x);
    return shape->pre_norm ? out : fv_norm_build(g, out, &block->cross_norm, shape->norm_eps);
}

fv_tensor *fv_decoder_block_step(fv_graph *g, fv_tensor *x, const int32_t *positions, const fv_block *block, const fv_block_shape *shape, const struct fv_step_cache *own, const struct fv_step_cache *source)
{
    return ffn_half(g, cross_step(g, self_step(g, x, positions, block, shape, own), block, shape, source), block, shape, NULL);
}

void fv_sinusoids(float *table, int64_t rows, int64_t cols)
{
    for (int64_t c = 0; c < cols; c++) {
        double length = pow(10000.0, (double)(c / 2 * 2) / (double)cols);
        for (int64_t p = 0; p < rows; p++) table[p * cols + c] = (float)(c % 2 ? cos((double)p / length) : sin((double)p / length));
    }
}
