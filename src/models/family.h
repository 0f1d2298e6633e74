/* The families of encoders that hubs know: BERT and four that differ from it in names, and in little else. There is one
 * encoder (encoder.h); what differs by family is data, in one table:
 *
 *   bert          Devlin et al. 2019          MiniLM and most sentence encoders are of it
 *   roberta       Liu et al. 2019             positions begin behind the padding's id; no token types
 *   xlm-roberta   Conneau et al. 2020         the same, in a hundred languages
 *   distilbert    Sanh et al. 2019            no token types; keys of its own in config.json
 *   mpnet         Song et al. 2020            T5's relative biases, one table for all layers, beside positions
 */
#ifndef FV_MODELS_FAMILY_H
#define FV_MODELS_FAMILY_H

#include "kernels/kernels.h"

typedef enum fv_family { FV_FAMILY_BERT, FV_FAMILY_ROBERTA, FV_FAMILY_XLM_ROBERTA, FV_FAMILY_DISTILBERT, FV_FAMILY_MPNET, FV_FAMILIES } fv_family;

/* What a layer's tensors are called. The last two are of the article's block alone, which only our own files have. */
typedef enum fv_layer_part { FV_PART_QUERY, FV_PART_KEY, FV_PART_VALUE, FV_PART_MIXED, FV_PART_MIXED_NORM, FV_PART_UP, FV_PART_DOWN, FV_PART_NORM, FV_PART_QUERY_UP, FV_PART_HIDDEN, FV_PARTS } fv_layer_part;

/* Sizes and rates under a family's own keys in config.json. */
typedef struct fv_family_keys {
    const char *layers, *width, *heads, *ffn, *act, *dropout, *attention_dropout, *head_dropout;
    const char *norm_eps; /* NULL: it is not said, but 1e-12 */
} fv_family_keys;

typedef struct fv_family_info {
    const char *model_type, *architecture; /* "bert"; "Bert", before "ForSequenceClassification" */
    const char *prefix;                    /* of all names of the body; files of a bare body leave it out */
    const char *layers;                    /* before a layer's number */
    const char *parts[FV_PARTS];
    fv_family_keys keys;
    int types;                             /* token types unless config.json says: 0: there never are any */
    bool from_padding;                     /* the first position is the one behind the padding's id */
    bool relative;                         /* biases by distance, "encoder.relative_attention_bias" */
    /* Heads: the dense layer on the pooled row, its activation, and what follows; a missing word's dense layer, norm and bias. */
    const char *pooler, *classifier, *word_dense, *word_norm, *word_bias;
    bool pooler_is_body;                   /* it carries the prefix, and a bare body may have it */
    fv_act pooler_act;
    bool word_gelu;                        /* gelu before that norm, whatever the layers have */
} fv_family_info;

const fv_family_info *fv_family_of(fv_family family);

#endif
