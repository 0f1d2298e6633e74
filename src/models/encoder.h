/* The encoder: token, position and type embeddings, Transformer layers, and one pooled row for each
 * text. In its default form it is BERT (Devlin et al. 2019), names of weights and all, so that its
 * folder loads as BertForSequenceClassification and the like elsewhere; with pre-norm, sinusoids, other
 * pooling, other mixing or the article's attention block it is a "fovea_encoder" in the same layout. What answers
 * questions sits on top of it: head.h. RoBERTa, DistilBERT, MPNet and XLM-R are the same under other names: family.h.
 *
 *   encoder.c          weights and graph
 *   family.c           names by family
 *   encoder_config.c   config.json
 *   weights.c          model.safetensors
 *   quantization.c     weights that are stored as integers
 */
#ifndef FV_MODELS_ENCODER_H
#define FV_MODELS_ENCODER_H

#include "formats/formats.h"
#include "models/family.h"
#include "models/quantization.h"
#include "nn/nn.h"

typedef enum fv_pooling { FV_POOLING_CLS, FV_POOLING_MEAN, FV_POOLING_MAX, FV_POOLING_ROOT, FV_POOLING_RISING, FV_POOLING_LAST } fv_pooling; /* as the op `pool` numbers them; the last three in others' folders alone */

typedef struct fv_encoder_config {
    fv_family family;            /* names and heads; with what follows left as it is, BERT's */
    int vocab, layers, width, heads, ffn, max_len;
    int types;                   /* 0: none */
    int pad;                     /* the padding's id, where positions begin behind it: texts never hold it, but as a word */
    fv_act act;
    fv_pooling pooling;
    bool pre_norm, sinusoidal;   /* sinusoidal: word vectors are scaled by sqrt(width) too */
    bool article_attention;      /* the article's attention block instead of Vaswani's: nn.h has both */
    fv_mixing mixing;            /* FV_MIXING_FULL but for comparisons */
    bool pooler;                 /* a dense layer on pooled rows: for heads that answer about whole texts */
    double norm_eps, dropout, attention_dropout, init_deviation;
    fv_quantization stored;      /* how the file has the weights */
} fv_encoder_config;

enum { FV_MAX_LAYERS = 64 };

typedef struct fv_encoder {
    fv_encoder_config config;
    fv_params params;
    fv_param *words, *positions, *types; /* types: NULL without */
    fv_param *distances;                 /* [buckets, heads], or NULL */
    fv_norm_weights embedding_norm, final_norm; /* final_norm: pre-norm only */
    fv_block blocks[FV_MAX_LAYERS];
    fv_linear_weights pooler;                   /* with config.pooler */
    float *sinusoids;                           /* [max_len, width] or NULL */
} fv_encoder;

fv_status fv_encoder_config_check(const fv_encoder_config *config, fv_err *err);
/* Adds all parameters; storage comes from fv_params_allocate or fv_weights_map. */
fv_status fv_encoder_init(fv_encoder *encoder, const fv_encoder_config *config, fv_err *err);
void fv_encoder_release(fv_encoder *encoder);
/* Hidden states [N, width] of a batch. Nodes: "embeddings", "layer.I.attend", "layer.I". */
fv_tensor *fv_encoder_build(const fv_encoder *encoder, fv_graph *g, const fv_batch *batch);
/* Hidden states to one row a text: pooled, through the pooler, dropped out. [B, width] */
fv_tensor *fv_encoder_pool(const fv_encoder *encoder, fv_graph *g, fv_tensor *hidden, const fv_batch *batch);

/* config.json. `purpose` ends the name of the architecture, "ForSequenceClassification" say; "Model" for
 * a body with several heads. Parsing names file and key of what is missing, wrong or not supported, and
 * leaves `pooler` to the caller, who also adds labels to the tree (fv_model_* of infer does) and owns it. */
json_t *fv_encoder_config_to_json(const fv_encoder_config *config, const char *purpose, fv_err *err);
fv_status fv_encoder_config_from_json(fv_encoder_config *config, const json_t *tree, const char *where, fv_err *err);

/* Weights in a file under their names. Map: float32 tensors stay in the mapping, which must outlive the
 * parameters, those of several parts where these lie back to back; so do integers of layers and tables of two bytes a number, which
 * are widened when they are used; others are copied (float16, bfloat16 and integers widened). Load: copies all into the block. A missing tensor or a wrong shape says which, what was found and what config.json asked for. */
/* The tensor of that name, or of the name that other writers give it; NULL if missing. */
const fv_st_tensor *fv_weights_find(const fv_params *params, const fv_safetensors *file, const char *name);
fv_status fv_weights_map(fv_params *params, const fv_safetensors *file, fv_err *err);
fv_status fv_weights_load(fv_params *params, const fv_safetensors *file, fv_err *err);
fv_status fv_weights_save(const fv_params *params, const char *path, const char *const *meta_keys, const char *const *meta_values, size_t n_meta, fv_err *err);

#endif
