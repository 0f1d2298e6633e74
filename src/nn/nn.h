/* The pieces that architectures share: weights that belong together, and the lines of graph that use
 * them. Names in files are the architecture's business: it gives them.
 *
 *   fv_linear_weights    y = x wᵀ + b                       w [O, I], b [1, O]
 *   fv_norm_weights      layer norm                         w, b [1, C]
 *   fv_block             one Transformer layer: self-attention, in a decoder attention to the source, then a
 *                        feed-forward pair
 *
 * Self-attention comes as one of two blocks. With h [N, C] what the layer reads, f the activation,
 * [a ; b] columns side by side, attend(q, k, v) softmax(q kᵀ / sqrt(D)) v head by head:
 *
 *   Vaswani et al. 2017, 3.2.2                     the article's
 *     [q ; k ; v] = h Wᵀ + b                         q = f(h W₁ᵀ + b₁) W₂ᵀ + b₂
 *     a = attend(q, k, v)                            [k ; v] = f(h Wₖᵥᵀ + bₖᵥ)
 *     y = a Wₒᵀ + bₒ                                  a = attend(q, k, v)
 *                                                    y = [h ; a] Wₒᵀ + bₒ
 *
 * Queries of the article's block are a feed-forward pair of inner width C, its keys and values are
 * activated, and its output reads the hidden state beside what was attended to: 6 C² weights where
 * Vaswani's has 4 C². Residual, norms, dropout and the feed-forward half are the same for both.
 */
#ifndef FV_NN_NN_H
#define FV_NN_NN_H

#include "data/data.h"
#include "graph/graph.h"
#include "graph/step_cache.h"

typedef struct fv_linear_weights { fv_param *w, *b; } fv_linear_weights;
typedef struct fv_norm_weights { fv_param *w, *b; } fv_norm_weights;

/* Weights named NAME.weight and NAME.bias; `names` are the parts that are stacked into one product. */
fv_status fv_linear_init(fv_linear_weights *weights, fv_params *params, const char *const *names, int parts, int64_t out, int64_t in, float deviation, fv_err *err);
fv_status fv_norm_init(fv_norm_weights *weights, fv_params *params, const char *name, int64_t width, fv_err *err);

fv_tensor *fv_linear_build(fv_graph *g, fv_tensor *x, const fv_linear_weights *weights, fv_act act, fv_tensor *residual);
fv_tensor *fv_norm_build(fv_graph *g, fv_tensor *x, const fv_norm_weights *weights, float eps);

typedef struct fv_block {
    fv_linear_weights qkv, out, up, down;
    fv_norm_weights attention_norm, ffn_norm;
    /* A decoder's attention to the source: queries from the target [C, C], keys and values from the source [2C, C]. */
    fv_linear_weights cross_q, cross_kv, cross_out;
    fv_norm_weights cross_norm;
    /* The article's block, which leaves qkv empty. Its Wₒ lies in two: hidden [C, C] for h, out for a. */
    fv_linear_weights query_up, query, kv;
    fv_param *hidden;
} fv_block;

/* What a token's value is mixed with: what the scores say; every token that it sees, all alike; or
 * nothing but itself. The last two are there to tell what attention adds: they have the same weights and
 * the same cost, and queries and keys without effect. */
typedef enum fv_mixing { FV_MIXING_FULL, FV_MIXING_UNIFORM, FV_MIXING_NONE } fv_mixing;

typedef struct fv_block_shape {
    int heads, kv_heads;
    bool pre_norm;            /* norm before each half (Xiong et al. 2020) instead of after it */
    fv_act act;
    float norm_eps;
    float dropout, attention_dropout;
    bool causal;
    int window;
    float rotary_base;        /* > 0: queries and keys are turned by their position (Su et al. 2021) */
    fv_tensor *bias;          /* NULL, or [H, 2·span+1] added to scores by distance: see fv_attention */
    int span;
    fv_mixing mixing;
    bool article;             /* the article's attention block instead of Vaswani's */
} fv_block_shape;

/* x [N, C] -> [N, C]. The node of attention is named "attend" in the scope that is set. */
fv_tensor *fv_block_build(fv_graph *g, fv_tensor *x, const fv_block *block, const fv_block_shape *shape, const fv_batch *batch);
/* The decoder's: between the two halves sequence b of x looks at sequence b of memory [M, C], whose batch `source` is. */
fv_tensor *fv_decoder_block_build(fv_graph *g, fv_tensor *x, const fv_block *block, const fv_block_shape *shape, const fv_batch *batch, fv_tensor *memory, const fv_batch *source);

/* The same for the newest tokens alone, x [R, C], positions [R]: those before them, and the source, are in caches, whose layout
 * is heads of D = C / heads side by side; biases are the caches' too. The nodes of attention are "attend_step" and "attend_step.2". */
fv_tensor *fv_decoder_block_step(fv_graph *g, fv_tensor *x, const int32_t *positions, const fv_block *block, const fv_block_shape *shape, const struct fv_step_cache *own, const struct fv_step_cache *source);

/* Dropout of a batch's rows plus a residual; without training, or p = 0, what is cheapest. */
fv_tensor *fv_drop_build(fv_graph *g, fv_tensor *x, fv_tensor *residual, float p, const fv_batch *batch);

/* Fixed positions (Vaswani et al. 2017, 3.5): row p holds sin and cos of p / 10000^(2i/C), interleaved. */
void fv_sinusoids(float *table, int64_t rows, int64_t cols);

#endif
