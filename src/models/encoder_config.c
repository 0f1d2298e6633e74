/* config.json of the encoder, in the keys of its family (Hugging Face Transformers). What BERT has no key for
 * makes the folder a "fovea_encoder", so that nobody loads it as what it is not. The trap: a key that changes what is
 * computed must be read or refused, never passed over. */
#include "models/encoder.h"

#include <stdio.h>
#include <string.h>

static const char *const pooling_names[] = {"cls", "mean", "max"}, *const attention_names[] = {"vaswani", "article"}, *const mixing_names[] = {"full", "uniform", "none"};

enum { FOVEA_ENCODER = FV_FAMILIES }; /* among model types: BERT's names, with keys of our own */

/* What a layer may do with its wide half; Transformers has several names for some. The first of each is written. */
static const struct { const char *name; fv_act act; } acts[] = {
    {"gelu", FV_ACT_GELU}, {"gelu_python", FV_ACT_GELU}, {"gelu_new", FV_ACT_GELU_TANH}, {"gelu_pytorch_tanh", FV_ACT_GELU_TANH}, {"gelu_fast", FV_ACT_GELU_TANH},
    {"relu", FV_ACT_RELU}, {"silu", FV_ACT_SILU}, {"swish", FV_ACT_SILU},
};

static const char *act_name(fv_act act)
{
    for (size_t i = 0; i < FV_COUNT(acts); i++)
        if (acts[i].act == act) return acts[i].name;
    return "gelu";
}

static bool is_plain(const fv_encoder_config *c)
{
    return !c->pre_norm && !c->sinusoidal && !c->article_attention && c->mixing == FV_MIXING_FULL && c->pooling == FV_POOLING_CLS;
}

static bool put(json_t *tree, const char *key, json_t *value) { return json_object_set_new(tree, key, value) == 0; }

/* What the family calls its own way. */
static bool put_sizes(json_t *tree, const fv_encoder_config *c)
{
    const fv_family_info *f = fv_family_of(c->family);
    const fv_family_keys *k = &f->keys;
    bool fine = put(tree, k->act, json_string(act_name(c->act))) && put(tree, k->layers, json_integer(c->layers)) && put(tree, k->width, json_integer(c->width))
        && put(tree, k->heads, json_integer(c->heads)) && put(tree, k->ffn, json_integer(c->ffn)) && put(tree, k->dropout, json_real(c->dropout))
        && put(tree, k->attention_dropout, json_real(c->attention_dropout)) && put(tree, k->head_dropout, json_real(c->dropout));
    if (fine && k->norm_eps) fine = put(tree, k->norm_eps, json_real(c->norm_eps));
    if (fine && c->types) fine = put(tree, "type_vocab_size", json_integer(c->types));
    if (fine && f->relative) fine = put(tree, "relative_attention_num_buckets", json_integer(32));
    return fine;
}

static bool put_own_keys(json_t *tree, const fv_encoder_config *c)
{
    return put(tree, "norm_position", json_string(c->pre_norm ? "pre" : "post")) && put(tree, "position_embedding_type", json_string(c->sinusoidal ? "sinusoidal" : "absolute"))
        && put(tree, "pooling", json_string(pooling_names[c->pooling])) && put(tree, "attention_block", json_string(attention_names[c->article_attention]))
        && put(tree, "attention_mixing", json_string(mixing_names[c->mixing]));
}

json_t *fv_encoder_config_to_json(const fv_encoder_config *c, const char *purpose, fv_err *err)
{
    const fv_family_info *f = fv_family_of(c->family);
    bool plain = is_plain(c);
    char architecture[64];
    FV_ASSERT(plain || c->family == FV_FAMILY_BERT);
    snprintf(architecture, sizeof architecture, "%s%s", plain ? f->architecture : "FoveaEncoder", purpose);
    json_t *tree = json_pack("{s:[s], s:s}", "architectures", architecture, "model_type", plain ? f->model_type : "fovea_encoder");
    bool fine = tree && put(tree, "vocab_size", json_integer(c->vocab)) && put_sizes(tree, c)
        && put(tree, "max_position_embeddings", json_integer(c->max_len + (f->from_padding ? c->pad + 1 : 0)))
        && put(tree, "initializer_range", json_real(c->init_deviation)) && put(tree, "pad_token_id", json_integer(c->pad)) && put(tree, "torch_dtype", json_string("float32"));
    if (fine && !plain) fine = put_own_keys(tree, c);
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

static fv_status get_act(const json_t *tree, const char *key, fv_act *out, const char *where, fv_err *err)
{
    const char *names[FV_COUNT(acts)];
    int place = 0;
    for (size_t i = 0; i < FV_COUNT(acts); i++) names[i] = acts[i].name;
    fv_status status = fv_json_word(tree, key, false, names, (int)FV_COUNT(acts), &place, where, err);
    *out = acts[place].act;
    return status;
}

/* Rows of the table of positions become the tokens that a text may have. */
static fv_status parse_positions(fv_encoder_config *c, const json_t *tree, const char *where, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_family_info *f = fv_family_of(c->family);
    int rows = -1;
    FV_TRY(get_int(tree, "max_position_embeddings", 4, 65536, &rows, where, err));
    c->pad = f->from_padding ? 1 : 0;
    if (f->from_padding && !f->relative) FV_TRY(get_int(tree, "pad_token_id", 0, 1 << 20, &c->pad, where, err)); /* MPNet's code has 1, whatever is said */
    c->max_len = f->from_padding ? rows - c->pad - 1 : rows;
    if (c->max_len < 4) status = FV_FAIL(err, FV_E_FORMAT, "%s: max_position_embeddings is %d, of which %d come before the first; expected 4 more at least", where, rows, c->pad + 1);
done:
    return status;
}

static fv_status parse_sizes(fv_encoder_config *c, const json_t *tree, const char *where, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_family_info *f = fv_family_of(c->family);
    const fv_family_keys *k = &f->keys;
    c->vocab = c->layers = c->width = c->heads = c->ffn = -1;
    c->types = f->types;
    FV_TRY(get_int(tree, "vocab_size", 8, 4000000, &c->vocab, where, err));
    FV_TRY(get_int(tree, k->layers, 1, FV_MAX_LAYERS, &c->layers, where, err));
    FV_TRY(get_int(tree, k->width, 8, 16384, &c->width, where, err));
    FV_TRY(get_int(tree, k->heads, 1, 1024, &c->heads, where, err));
    FV_TRY(get_int(tree, k->ffn, 1, 262144, &c->ffn, where, err));
    FV_TRY(parse_positions(c, tree, where, err));
    if (f->types) FV_TRY(get_int(tree, "type_vocab_size", 1, 16, &c->types, where, err));
    if (k->norm_eps) FV_TRY(fv_json_real(tree, k->norm_eps, false, &c->norm_eps, where, err));
    FV_TRY(fv_json_real(tree, k->dropout, false, &c->dropout, where, err));
    FV_TRY(fv_json_real(tree, k->attention_dropout, false, &c->attention_dropout, where, err));
    FV_TRY(fv_json_real(tree, "initializer_range", false, &c->init_deviation, where, err));
    FV_TRY(get_act(tree, k->act, &c->act, where, err));
done:
    return status;
}

/* Keys that ask for another computation than ours, when they are there and say so. */
static fv_status refuse_others(const json_t *tree, bool relative, const char *where, fv_err *err)
{
    static const struct { const char *key, *what; } keys[] = {
        {"is_decoder", "a decoder, which sees only what came before"},
        {"add_cross_attention", "attention to another text"},
        {"auto_map", "code that comes with the model"},
        {"pruned_heads", "layers that lack heads"},
    };
    int64_t buckets = 32;
    for (size_t i = 0; i < FV_COUNT(keys); i++) {
        const json_t *value = json_object_get(tree, keys[i].key);
        bool says = json_is_true(value) || json_object_size(value) > 0 || json_array_size(value) > 0;
        if (says) return FV_FAIL(err, FV_E_FORMAT, "%s: %s asks for %s; not supported", where, keys[i].key, keys[i].what);
    }
    return relative ? fv_json_int(tree, "relative_attention_num_buckets", false, 32, 32, &buckets, where, err) : FV_OK;
}

static fv_status parse_type(fv_encoder_config *c, const json_t *tree, bool *own, const char *where, fv_err *err)
{
    const char *names[FV_FAMILIES + 1];
    int type = -1;
    for (int i = 0; i < FV_FAMILIES; i++) names[i] = fv_family_of((fv_family)i)->model_type;
    names[FOVEA_ENCODER] = "fovea_encoder";
    fv_status status = fv_json_word(tree, "model_type", false, names, FV_FAMILIES + 1, &type, where, err);
    if (status == FV_OK && type < 0) status = FV_FAIL(err, FV_E_FORMAT, "%s: no model_type; expected \"bert\", \"fovea_encoder\" or another that docs/models.md has", where);
    *own = type == FOVEA_ENCODER;
    c->family = *own || type < 0 ? FV_FAMILY_BERT : (fv_family)type;
    return status;
}

fv_status fv_encoder_config_from_json(fv_encoder_config *c, const json_t *tree, const char *where, fv_err *err)
{
    fv_status status = FV_OK;
    int norm = 0, positions = 0, pooling = 0, attention = 0, mixing = 0;
    bool own;
    *c = (fv_encoder_config){.norm_eps = 1e-12, .dropout = 0.1, .attention_dropout = 0.1, .init_deviation = 0.02};
    FV_TRY(parse_type(c, tree, &own, where, err));
    FV_TRY(refuse_others(tree, fv_family_of(c->family)->relative, where, err));
    FV_TRY(fv_quantization_from_json(&c->stored, tree, where, err));
    FV_TRY(fv_json_word(tree, "position_embedding_type", false, (const char *[]){"absolute", "sinusoidal"}, c->family == FV_FAMILY_BERT ? 2 : 1, &positions, where, err));
    if (c->family == FV_FAMILY_BERT) {
        FV_TRY(fv_json_word(tree, "norm_position", false, (const char *[]){"post", "pre"}, 2, &norm, where, err));
        FV_TRY(fv_json_word(tree, "pooling", false, pooling_names, 3, &pooling, where, err));
        FV_TRY(fv_json_word(tree, "attention_block", false, attention_names, 2, &attention, where, err));
        FV_TRY(fv_json_word(tree, "attention_mixing", false, mixing_names, 3, &mixing, where, err));
    }
    FV_TRY(parse_sizes(c, tree, where, err));
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
