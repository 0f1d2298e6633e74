/* The table of families. To add one that differs only in names and keys is to add a row: docs/add-a-model.md. */
#include "models/family.h"

#define BERT_LAYER \
    { "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense", "attention.output.LayerNorm", \
      "intermediate.dense", "output.dense", "output.LayerNorm", "attention.self.query_up", "attention.output.hidden.weight" }

#define BERT_KEYS \
    { "num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size", "hidden_act", "hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout", "layer_norm_eps" }

/* RoBERTa's heads, which MPNet has too. */
#define LM_HEAD .word_dense = "lm_head.dense", .word_norm = "lm_head.layer_norm", .word_bias = "lm_head.bias", .word_gelu = true
#define OUT_PROJ .pooler = "classifier.dense", .pooler_act = FV_ACT_TANH, .classifier = "classifier.out_proj"

static const fv_family_info families[FV_FAMILIES] = {
    [FV_FAMILY_BERT] = {
        .model_type = "bert", .architecture = "Bert", .prefix = "bert.", .layers = "encoder.layer", .parts = BERT_LAYER, .keys = BERT_KEYS, .types = 2,
        .pooler = "pooler.dense", .pooler_is_body = true, .pooler_act = FV_ACT_TANH, .classifier = "classifier",
        .word_dense = "cls.predictions.transform.dense", .word_norm = "cls.predictions.transform.LayerNorm", .word_bias = "cls.predictions.bias",
    },
    [FV_FAMILY_ROBERTA] = {
        .model_type = "roberta", .architecture = "Roberta", .prefix = "roberta.", .layers = "encoder.layer", .parts = BERT_LAYER, .keys = BERT_KEYS, .types = 2,
        .from_padding = true, OUT_PROJ, LM_HEAD,
    },
    [FV_FAMILY_XLM_ROBERTA] = {
        .model_type = "xlm-roberta", .architecture = "XLMRoberta", .prefix = "roberta.", .layers = "encoder.layer", .parts = BERT_LAYER, .keys = BERT_KEYS, .types = 2,
        .from_padding = true, OUT_PROJ, LM_HEAD,
    },
    [FV_FAMILY_DISTILBERT] = {
        .model_type = "distilbert", .architecture = "DistilBert", .prefix = "distilbert.", .layers = "transformer.layer",
        .parts = {"attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin", "sa_layer_norm", "ffn.lin1", "ffn.lin2", "output_layer_norm"},
        .keys = {"n_layers", "dim", "n_heads", "hidden_dim", "activation", "dropout", "attention_dropout", "seq_classif_dropout", NULL},
        .pooler = "pre_classifier", .pooler_act = FV_ACT_RELU, .classifier = "classifier",
        .word_dense = "vocab_transform", .word_norm = "vocab_layer_norm", .word_bias = "vocab_projector.bias",
    },
    [FV_FAMILY_MPNET] = {
        .model_type = "mpnet", .architecture = "MPNet", .prefix = "mpnet.", .layers = "encoder.layer",
        .parts = {"attention.attn.q", "attention.attn.k", "attention.attn.v", "attention.attn.o", "attention.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm"},
        .keys = BERT_KEYS, .from_padding = true, .relative = true, OUT_PROJ, LM_HEAD,
    },
};

const fv_family_info *fv_family_of(fv_family family) { return &families[family]; }
