/* The encoder–decoder (Vaswani et al. 2017): a source text is read once, a target text is written token by
 * token, each of which looks at those before it and, by cross-attention, at the source. In its default form it
 * is Marian's, names of weights and all, so that its folder loads as MarianMTModel elsewhere and theirs load here;
 * with pre-norm, other positions or vocabularies of its own kind it is a "fovea_seq2seq" in the same layout.
 *
 *   seq2seq.c          weights and graph
 *   seq2seq_config.c   config.json
 *   seq2seq_pack.c     packing for running
 *
 * Weights in files, I a layer's number, both sides alike, the decoder with encoder_attn beside self_attn:
 *
 *   model.shared.weight                                [V, C]  one table for both sides; else
 *   model.{encoder,decoder}.embed_tokens.weight        [V, C]
 *   model.{encoder,decoder}.embed_positions.weight     [max_len, C]  learned positions only
 *   model.{encoder,decoder}.relative_bias.weight       [32, H]  relative positions only; shared by the layers
 *   model.{encoder,decoder}.layernorm_embedding.{weight,bias}   with embedding_norm
 *   model.encoder.layers.I.self_attn.{q,k,v,out}_proj.{weight,bias}
 *   model.encoder.layers.I.{self_attn_layer_norm,encoder_attn_layer_norm,final_layer_norm}.{weight,bias}
 *   model.encoder.layers.I.{fc1,fc2}.{weight,bias}
 *   model.{encoder,decoder}.layer_norm.{weight,bias}   pre-norm only
 *   lm_head.weight                                     [V, C]  unless tied to the target's table
 *   final_logits_bias                                  [1, V]  with output_bias
 */
#ifndef FV_MODELS_SEQ2SEQ_H
#define FV_MODELS_SEQ2SEQ_H

#include "formats/formats.h"
#include "models/quantization.h"
#include "nn/nn.h"

/* How a token's place is told: sines and cosines added (Vaswani et al. 2017, 3.5; sines in the first half of
 * the columns, cosines in the second), a learned row added, queries and keys turned (Su et al. 2021), or a
 * learned number for each head and distance added to the scores (Raffel et al. 2020, 2.1). */
typedef enum fv_positions { FV_POSITIONS_SINUSOIDAL, FV_POSITIONS_LEARNED, FV_POSITIONS_ROTARY, FV_POSITIONS_RELATIVE } fv_positions;

typedef struct fv_seq2seq_config {
    int src_vocab, tgt_vocab;                /* equal when shared */
    int encoder_layers, decoder_layers, width, heads, ffn;
    int max_len;                             /* tokens of either text, </s> included */
    fv_act act;
    fv_positions positions;
    bool pre_norm;
    bool shared;                             /* one table of embeddings for both sides */
    bool tied;                               /* logits come from the target's table */
    bool scale_embedding;                    /* embeddings times sqrt(width) */
    bool embedding_norm;                     /* a layer norm on embeddings */
    bool output_bias;
    bool bare_source;                        /* source texts come without </s> at their end */
    int32_t pad, eos, start;                 /* ids; start is what a target text begins with; pad -1: none */
    double norm_eps, dropout, attention_dropout;
    fv_quantization stored;                  /* how the file has the weights */
} fv_seq2seq_config;

enum { FV_SEQ2SEQ_MAX_LAYERS = 32, FV_RELATIVE_BUCKETS = 32, FV_RELATIVE_SPAN = 128 };

/* One side: a stack of layers over embeddings. */
typedef struct fv_stack {
    fv_param *words, *positions, *relative;
    fv_norm_weights embedding_norm, final_norm;
    fv_block *blocks;                        /* [layers] */
    int layers;
} fv_stack;

typedef struct fv_seq2seq {
    fv_seq2seq_config config;
    fv_params params;
    fv_stack encoder, decoder;
    fv_param *output, *output_bias;          /* output is the decoder's words when tied */
    float *sinusoids;                        /* [max_len, width] or NULL */
} fv_seq2seq;

fv_status fv_seq2seq_config_check(const fv_seq2seq_config *config, fv_err *err);
/* Adds all parameters; storage comes from fv_params_allocate or fv_weights_map. */
fv_status fv_seq2seq_init(fv_seq2seq *model, const fv_seq2seq_config *config, fv_err *err);
void fv_seq2seq_release(fv_seq2seq *model);
/* Packs all matrices that products use (seq2seq_pack.c), unless they are, in whatever precision. Pages of `file`, from which the weights are mapped, are given back on
 * the way; it may be {0}. */
fv_status fv_seq2seq_pack(fv_seq2seq *model, fv_precision precision, fv_pool *pool, const fv_mapping *file, fv_err *err);

/* The source read: hidden states [M, width]. Nodes "encoder.embeddings", "encoder.layer.I". */
fv_tensor *fv_seq2seq_encode(const fv_seq2seq *model, fv_graph *g, const fv_batch *source);
/* All of a target text at once, for training and scoring: hidden states [N, width] from which the next tokens
 * follow. Sequence b of the target looks at sequence b of the source. Nodes "decoder.layer.I", "….cross". */
fv_tensor *fv_seq2seq_decode(const fv_seq2seq *model, fv_graph *g, fv_tensor *memory, const fv_batch *source, const fv_batch *target);
/* Mean cross-entropy [1, 1] of `targets` [N]; -1: does not count. The logits are never whole. */
fv_tensor *fv_seq2seq_loss(const fv_seq2seq *model, fv_graph *g, fv_tensor *hidden, const int32_t *targets, float smoothing);
/* Logits [rows, tgt_vocab]. */
fv_tensor *fv_seq2seq_logits(const fv_seq2seq *model, fv_graph *g, fv_tensor *hidden);

/* ---- One token at a time ---- */

/* Keys and values, side by side, of each decoder layer. Slots are the caller's to hand out; capacity is the
 * shape, length is data, so that a step allocates nothing. */
typedef struct fv_decoder_cache {
    float *block;
    float *self[FV_SEQ2SEQ_MAX_LAYERS];      /* [slots, 2·width]: of target tokens written so far */
    float *cross[FV_SEQ2SEQ_MAX_LAYERS];     /* [memory_rows, 2·width]: of source tokens */
    int64_t ld;                              /* of both: a cache line more, since rows a power of two apart share their places in the processor's cache */
    int64_t slots, memory_rows;
    float *bias;                             /* [heads, 2·FV_RELATIVE_SPAN+1] with relative positions, else NULL */
} fv_decoder_cache;

fv_status fv_decoder_cache_init(fv_decoder_cache *cache, const fv_seq2seq *model, int64_t slots, int64_t memory_rows, fv_err *err);
void fv_decoder_cache_release(fv_decoder_cache *cache);
/* The nodes that make a layer's cross keys and values from the source's hidden states: [M, 2·width]. Keep them
 * (fv_graph_keep) and, after the run, put rows [row, row + n) of them into the cache from its row `first` on. */
fv_tensor *fv_seq2seq_cross_kv(const fv_seq2seq *model, fv_graph *g, fv_tensor *memory, int layer);
void fv_decoder_cache_put(fv_decoder_cache *cache, int layer, int64_t first, const fv_tensor *kv, int64_t row, int64_t n);

/* The newest token of R texts in work. */
typedef struct fv_step {
    int32_t R;
    const int32_t *ids, *positions;          /* [R] the token, and its place in its text */
    const int32_t *slots;                    /* [R] where its key and value go */
    const int32_t *places;                   /* [R, ldplaces] slots of its text, oldest first, its own last */
    int64_t ldplaces;
    const int32_t *lengths;                  /* [R] how many, */
    int32_t most;                            /* at most */
    const int32_t *firsts, *memory_lengths;  /* [R] rows of the cross cache that hold its source, */
    int32_t most_memory;                     /* at most */
    float *weights;                          /* NULL, or [R, ldweights]: cross-attention of `weights_layer`, mean over heads */
    int64_t ldweights;
    int weights_layer;
} fv_step;

/* Hidden states [R, width] of the newest tokens. Running only. */
fv_tensor *fv_seq2seq_step(const fv_seq2seq *model, fv_graph *g, const fv_decoder_cache *cache, const fv_step *step);

/* config.json (seq2seq_config.c). Parsing names file and key of what is missing, wrong or not supported. */
json_t *fv_seq2seq_config_to_json(const fv_seq2seq_config *config, fv_err *err);
fv_status fv_seq2seq_config_from_json(fv_seq2seq_config *config, const json_t *tree, const char *where, fv_err *err);
/* Whether a config.json is of this architecture: by its model_type, "marian" or "fovea_seq2seq". */
bool fv_seq2seq_config_is(const json_t *tree);

#endif
