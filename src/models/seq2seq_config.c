/* config.json of the encoder–decoder, in Marian's keys (Hugging Face Transformers). What Marian cannot say makes the
 * folder a "fovea_seq2seq", so that nobody loads it as what it is not.
 *
 * The trap: Transformers' MarianMTModel does not look at normalize_before, normalize_embedding and
 * static_position_embeddings, which Marian's own models have: it always computes the default. So a "marian" that
 * asks for something else is refused, and in a "fovea_seq2seq" they mean what they say. */
#include "models/seq2seq.h"

#include <stdio.h>
#include <string.h>

static const double marian_eps = 1e-5; /* Marian has no key for it */

static const char *const type_names[] = {"marian", "fovea_seq2seq"}, *const position_names[] = {"sinusoidal", "learned", "rotary", "relative"};

/* The first name of each is the one that is written. */
static const struct { const char *name; fv_act act; } activations[] = {
    {"relu", FV_ACT_RELU}, {"gelu", FV_ACT_GELU}, {"swish", FV_ACT_SILU}, {"silu", FV_ACT_SILU},
    {"gelu_new", FV_ACT_GELU_TANH}, {"gelu_pytorch_tanh", FV_ACT_GELU_TANH},
};

static const char *activation_name(fv_act act)
{
    for (size_t i = 0; i < FV_COUNT(activations); i++)
        if (activations[i].act == act) return activations[i].name;
    FV_ASSERT(!"an activation without a name");
    return NULL;
}

static bool is_marian(const fv_seq2seq_config *c)
{
    return c->positions == FV_POSITIONS_SINUSOIDAL && !c->pre_norm && !c->embedding_norm && !c->bare_source && c->pad >= 0 &&
           c->norm_eps == marian_eps && (c->tied || !c->shared); /* untied, Transformers has a table for each side */
}

/* ---- Writing ---- */

static json_t *sizes_json(const fv_seq2seq_config *c)
{
    return json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i}",
        "vocab_size", c->src_vocab, "decoder_vocab_size", c->tgt_vocab, "d_model", c->width,
        "encoder_layers", c->encoder_layers, "decoder_layers", c->decoder_layers, "num_hidden_layers", c->encoder_layers,
        "encoder_attention_heads", c->heads, "decoder_attention_heads", c->heads,
        "encoder_ffn_dim", c->ffn, "decoder_ffn_dim", c->ffn,
        "max_position_embeddings", c->max_len);
}

static json_t *choices_json(const fv_seq2seq_config *c)
{
    return json_pack("{s:s, s:b, s:b, s:b, s:b, s:b, s:b, s:i, s:i, s:i, s:o, s:f, s:f}",
        "activation_function", activation_name(c->act), "scale_embedding", c->scale_embedding,
        "normalize_before", c->pre_norm, "normalize_embedding", c->embedding_norm,
        "share_encoder_decoder_embeddings", c->shared, "tie_word_embeddings", c->tied, "output_bias", c->output_bias,
        "eos_token_id", c->eos, "forced_eos_token_id", c->eos, "decoder_start_token_id", c->start,
        "pad_token_id", c->pad >= 0 ? json_integer(c->pad) : json_null(), "dropout", c->dropout, "attention_dropout", c->attention_dropout);
}

static json_t *beyond_marian_json(const fv_seq2seq_config *c)
{
    return json_pack("{s:s, s:f, s:b}", "position_embedding_type", position_names[c->positions], "layer_norm_eps", c->norm_eps, "source_eos", !c->bare_source);
}

json_t *fv_seq2seq_config_to_json(const fv_seq2seq_config *c, fv_err *err)
{
    bool marian = is_marian(c);
    json_t *tree = json_pack("{s:[s], s:s, s:b, s:s}", "architectures", marian ? "MarianMTModel" : "FoveaSeq2Seq",
        "model_type", type_names[!marian], "is_encoder_decoder", true, "torch_dtype", "float32");
    json_t *parts[] = {sizes_json(c), choices_json(c), marian ? json_pack("{s:b}", "static_position_embeddings", true) : beyond_marian_json(c)};
    bool fine = tree;
    for (size_t i = 0; i < FV_COUNT(parts); i++) {
        fine = fine && parts[i] && json_object_update(tree, parts[i]) == 0;
        json_decref(parts[i]);
    }
    if (fine) return tree;
    json_decref(tree);
    FV_FAIL(err, FV_E_MEMORY, "config.json: out of memory");
    return NULL;
}

/* ---- Reading ---- */

static fv_status get_int(const json_t *tree, const char *key, bool required, int low, int high, int *out, const char *where, fv_err *err)
{
    int64_t value = *out;
    fv_status status = fv_json_int(tree, key, required, low, high, &value, where, err);
    *out = (int)value;
    return status;
}

/* A number that Marian has for either side, and we for both. */
static fv_status get_pair(const json_t *tree, const char *encoder_key, const char *decoder_key, int high, int *out, const char *where, fv_err *err)
{
    fv_status status = FV_OK;
    int other;
    FV_TRY(get_int(tree, encoder_key, true, 1, high, out, where, err));
    other = *out;
    FV_TRY(get_int(tree, decoder_key, false, 1, high, &other, where, err));
    if (other != *out) status = FV_FAIL(err, FV_E_FORMAT, "%s: %s is %d, %s is %d; supported: equal ones", where, encoder_key, *out, decoder_key, other);
done:
    return status;
}

static fv_status parse_sizes(fv_seq2seq_config *c, const json_t *tree, const char *where, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(get_int(tree, "vocab_size", true, 4, 4000000, &c->src_vocab, where, err));
    c->tgt_vocab = c->src_vocab;
    if (!c->shared) FV_TRY(get_int(tree, "decoder_vocab_size", false, 4, 4000000, &c->tgt_vocab, where, err));
    FV_TRY(get_int(tree, "d_model", true, 8, 16384, &c->width, where, err));
    FV_TRY(get_int(tree, "encoder_layers", true, 1, FV_SEQ2SEQ_MAX_LAYERS, &c->encoder_layers, where, err));
    FV_TRY(get_int(tree, "decoder_layers", true, 1, FV_SEQ2SEQ_MAX_LAYERS, &c->decoder_layers, where, err));
    FV_TRY(get_pair(tree, "encoder_attention_heads", "decoder_attention_heads", 1024, &c->heads, where, err));
    FV_TRY(get_pair(tree, "encoder_ffn_dim", "decoder_ffn_dim", 262144, &c->ffn, where, err));
    FV_TRY(get_int(tree, "max_position_embeddings", true, 4, 65536, &c->max_len, where, err));
done:
    return status;
}

static fv_status parse_ids(fv_seq2seq_config *c, const json_t *tree, bool marian, const char *where, fv_err *err)
{
    fv_status status = FV_OK;
    c->pad = -1;
    FV_TRY(get_int(tree, "pad_token_id", marian, 0, c->src_vocab - 1, &c->pad, where, err));
    FV_TRY(get_int(tree, "eos_token_id", true, 0, c->tgt_vocab - 1, &c->eos, where, err));
    FV_TRY(get_int(tree, "decoder_start_token_id", true, 0, c->tgt_vocab - 1, &c->start, where, err));
done:
    return status;
}

/* What both kinds have. */
static fv_status parse_choices(fv_seq2seq_config *c, const json_t *tree, const char *where, fv_err *err)
{
    fv_status status = FV_OK;
    const char *names[FV_COUNT(activations)];
    int act = 1;
    for (size_t i = 0; i < FV_COUNT(activations); i++) names[i] = activations[i].name;
    FV_TRY(fv_json_word(tree, "activation_function", false, names, (int)FV_COUNT(names), &act, where, err));
    c->act = activations[act].act;
    FV_TRY(fv_json_bool(tree, "scale_embedding", false, &c->scale_embedding, where, err));
    FV_TRY(fv_json_bool(tree, "share_encoder_decoder_embeddings", false, &c->shared, where, err));
    FV_TRY(fv_json_bool(tree, "tie_word_embeddings", false, &c->tied, where, err));
    FV_TRY(fv_json_bool(tree, "output_bias", false, &c->output_bias, where, err));
    FV_TRY(fv_json_bool(tree, "normalize_before", false, &c->pre_norm, where, err));
    FV_TRY(fv_json_bool(tree, "normalize_embedding", false, &c->embedding_norm, where, err));
    FV_TRY(fv_json_real(tree, "dropout", false, &c->dropout, where, err));
    FV_TRY(fv_json_real(tree, "attention_dropout", false, &c->attention_dropout, where, err));
done:
    return status;
}

static fv_status parse_beyond_marian(fv_seq2seq_config *c, const json_t *tree, const char *where, fv_err *err)
{
    fv_status status = FV_OK;
    int positions = FV_POSITIONS_SINUSOIDAL;
    bool source_eos = true;
    FV_TRY(fv_json_word(tree, "position_embedding_type", false, position_names, (int)FV_COUNT(position_names), &positions, where, err));
    FV_TRY(fv_json_real(tree, "layer_norm_eps", false, &c->norm_eps, where, err));
    FV_TRY(fv_json_bool(tree, "source_eos", false, &source_eos, where, err));
    c->positions = (fv_positions)positions;
    c->bare_source = !source_eos;
done:
    return status;
}

static fv_status refuse_marian(const char *where, const char *key, const char *found, fv_err *err)
{
    return FV_FAIL(err, FV_E_FORMAT, "%s: %s is %s, which no \"marian\" of Transformers computes; a \"fovea_seq2seq\" may have it", where, key, found);
}

static fv_status check_marian(const fv_seq2seq_config *c, const json_t *tree, const char *where, fv_err *err)
{
    bool fixed = true;
    fv_status status = fv_json_bool(tree, "static_position_embeddings", false, &fixed, where, err);
    if (status != FV_OK) return status;
    if (!fixed) return refuse_marian(where, "static_position_embeddings", "false", err);
    if (c->pre_norm) return refuse_marian(where, "normalize_before", "true", err);
    if (c->embedding_norm) return refuse_marian(where, "normalize_embedding", "true", err);
    return FV_OK;
}

bool fv_seq2seq_config_is(const json_t *tree)
{
    const char *type = json_string_value(json_object_get(tree, "model_type"));
    return type && (strcmp(type, type_names[0]) == 0 || strcmp(type, type_names[1]) == 0);
}

fv_status fv_seq2seq_config_from_json(fv_seq2seq_config *c, const json_t *tree, const char *where, fv_err *err)
{
    fv_status status = FV_OK;
    int type = 0;
    fv_err why = {0};
    *c = (fv_seq2seq_config){.shared = true, .tied = true, .output_bias = true, .norm_eps = marian_eps, .dropout = 0.1};
    FV_TRY(fv_json_word(tree, "model_type", true, type_names, (int)FV_COUNT(type_names), &type, where, err));
    FV_TRY(fv_quantization_from_json(&c->stored, tree, where, err));
    FV_TRY(parse_choices(c, tree, where, err));
    FV_TRY(type == 0 ? check_marian(c, tree, where, err) : parse_beyond_marian(c, tree, where, err));
    FV_TRY(parse_sizes(c, tree, where, err));
    FV_TRY(parse_ids(c, tree, type == 0, where, err));
    if (fv_seq2seq_config_check(c, &why) != FV_OK) status = FV_FAIL(err, FV_E_FORMAT, "%s: %s", where, why.text);
done:
    return status;
}
