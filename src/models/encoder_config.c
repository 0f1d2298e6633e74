/* config.json of the encoder, in BERT's keys (Hugging Face Transformers). What BERT has no key for
 * makes the folder a "fovea_encoder", so that nobody loads it as what it is not. */
#include "models/encoder.h"

#include <stdio.h>
#include <string.h>

static const char *const pooling_names[] = {"cls", "mean", "max"}, *const attention_names[] = {"vaswani", "article"}, *const mixing_names[] = {"full", "uniform", "none"};

static bool is_bert(const fv_encoder_config *c)
{
    return !c->pre_norm && !c->sinusoidal && !c->article_attention && c->mixing == FV_MIXING_FULL && c->pooling == FV_POOLING_CLS;
}

json_t *fv_encoder_config_to_json(const fv_encoder_config *c, const char *purpose, fv_err *err)
{
    bool bert = is_bert(c);
    char architecture[64];
    snprintf(architecture, sizeof architecture, "%s%s", bert ? "Bert" : "FoveaEncoder", purpose);
    json_t *tree = json_pack("{s:[s], s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:f, s:f, s:f, s:i, s:s}",
        "architectures", architecture,
        "model_type", bert ? "bert" : "fovea_encoder",
        "hidden_act", c->act == FV_ACT_RELU ? "relu" : "gelu",
        "vocab_size", c->vocab, "num_hidden_layers", c->layers, "hidden_size", c->width,
        "num_attention_heads", c->heads, "intermediate_size", c->ffn,
        "max_position_embeddings", c->max_len, "type_vocab_size", c->types,
        "layer_norm_eps", c->norm_eps, "hidden_dropout_prob", c->dropout,
        "attention_probs_dropout_prob", c->attention_dropout, "classifier_dropout", c->dropout,
        "initializer_range", c->init_deviation, "pad_token_id", 0, "torch_dtype", "float32");
    json_t *more = bert ? json_object() : json_pack("{s:s, s:s, s:s, s:s, s:s}", "norm_position", c->pre_norm ? "pre" : "post",
        "position_embedding_type", c->sinusoidal ? "sinusoidal" : "absolute", "pooling", pooling_names[c->pooling],
        "attention_block", attention_names[c->article_attention], "attention_mixing", mixing_names[c->mixing]);
    bool fine = tree && more && json_object_update(tree, more) == 0;
    json_decref(more);
    if (fine) return tree;
    json_decref(tree);
    FV_FAIL(err, FV_E_MEMORY, "config.json: out of memory");
    return NULL;
}

static fv_status get_int(const json_t *tree, const char *key, int low, int high, int *out, const char *where, fv_err *err)
{
    int64_t value = *out;
    fv_status status = fv_json_int(tree, key, *out < 0, low, high, &value, where, err); /* negative preset: required */
    *out = (int)value;
    return status;
}

static fv_status parse_sizes(fv_encoder_config *c, const json_t *tree, const char *where, fv_err *err)
{
    fv_status status = FV_OK;
    c->vocab = c->layers = c->width = c->heads = c->ffn = c->max_len = -1;
    c->types = 2;
    FV_TRY(get_int(tree, "vocab_size", 8, 4000000, &c->vocab, where, err));
    FV_TRY(get_int(tree, "num_hidden_layers", 1, FV_MAX_LAYERS, &c->layers, where, err));
    FV_TRY(get_int(tree, "hidden_size", 8, 16384, &c->width, where, err));
    FV_TRY(get_int(tree, "num_attention_heads", 1, 1024, &c->heads, where, err));
    FV_TRY(get_int(tree, "intermediate_size", 1, 262144, &c->ffn, where, err));
    FV_TRY(get_int(tree, "max_position_embeddings", 4, 65536, &c->max_len, where, err));
    FV_TRY(get_int(tree, "type_vocab_size", 1, 16, &c->types, where, err));
    FV_TRY(fv_json_real(tree, "layer_norm_eps", false, &c->norm_eps, where, err));
    FV_TRY(fv_json_real(tree, "hidden_dropout_prob", false, &c->dropout, where, err));
    FV_TRY(fv_json_real(tree, "attention_probs_dropout_prob", false, &c->attention_dropout, where, err));
    FV_TRY(fv_json_real(tree, "initializer_range", false, &c->init_deviation, where, err));
done:
    return status;
}

fv_status fv_encoder_config_from_json(fv_encoder_config *c, const json_t *tree, const char *where, fv_err *err)
{
    fv_status status = FV_OK;
    int type = -1, act = 0, norm = 0, positions = 0, pooling = 0, attention = 0, mixing = 0;
    *c = (fv_encoder_config){.norm_eps = 1e-12, .dropout = 0.1, .attention_dropout = 0.1, .init_deviation = 0.02};
    FV_TRY(fv_json_word(tree, "model_type", false, (const char *[]){"bert", "fovea_encoder"}, 2, &type, where, err));
    if (type < 0) return FV_FAIL(err, FV_E_FORMAT, "%s: no model_type; expected \"bert\" or \"fovea_encoder\"", where);
    FV_TRY(fv_json_word(tree, "hidden_act", false, (const char *[]){"gelu", "relu"}, 2, &act, where, err));
    FV_TRY(fv_json_word(tree, "position_embedding_type", false, (const char *[]){"absolute", "sinusoidal"}, 2, &positions, where, err));
    FV_TRY(fv_json_word(tree, "norm_position", false, (const char *[]){"post", "pre"}, 2, &norm, where, err));
    FV_TRY(fv_json_word(tree, "pooling", false, pooling_names, 3, &pooling, where, err));
    FV_TRY(fv_json_word(tree, "attention_block", false, attention_names, 2, &attention, where, err));
    FV_TRY(fv_json_word(tree, "attention_mixing", false, mixing_names, 3, &mixing, where, err));
    FV_TRY(parse_sizes(c, tree, where, err));
    c->act = act ? FV_ACT_RELU : FV_ACT_GELU;
    c->sinusoidal = positions == 1;
    c->pre_norm = norm == 1;
    c->pooling = (fv_pooling)pooling;
    c->article_attention = attention == 1;
    c->mixing = (fv_mixing)mixing;
    fv_err why = {0};
    if (fv_encoder_config_check(c, &why) != FV_OK) status = FV_FAIL(err, FV_E_FORMAT, "%s: %s", where, why.text);
done:
    return status;
}
