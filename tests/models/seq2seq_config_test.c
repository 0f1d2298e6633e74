/* config.json of the encoder–decoder there and back, and the messages for what is not supported. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "models/seq2seq.h"

static fv_seq2seq_config sample(void)
{
    return (fv_seq2seq_config){
        .src_vocab = 500, .tgt_vocab = 500, .encoder_layers = 3, .decoder_layers = 2, .width = 48, .heads = 4, .ffn = 96, .max_len = 77,
        .act = FV_ACT_SILU, .shared = true, .tied = true, .scale_embedding = true, .output_bias = true, .pad = 499, .eos = 0, .start = 499,
        .norm_eps = 1e-5, .dropout = 0.25, .attention_dropout = 0.125,
    };
}

static void expect_same(const fv_seq2seq_config *a, const fv_seq2seq_config *b)
{
    assert_int_equal(a->src_vocab, b->src_vocab);
    assert_int_equal(a->tgt_vocab, b->tgt_vocab);
    assert_int_equal(a->encoder_layers, b->encoder_layers);
    assert_int_equal(a->decoder_layers, b->decoder_layers);
    assert_int_equal(a->width, b->width);
    assert_int_equal(a->heads, b->heads);
    assert_int_equal(a->ffn, b->ffn);
    assert_int_equal(a->max_len, b->max_len);
    assert_int_equal(a->act, b->act);
    assert_int_equal(a->positions, b->positions);
    assert_int_equal(a->pre_norm, b->pre_norm);
    assert_int_equal(a->shared, b->shared);
    assert_int_equal(a->tied, b->tied);
    assert_int_equal(a->scale_embedding, b->scale_embedding);
    assert_int_equal(a->embedding_norm, b->embedding_norm);
    assert_int_equal(a->output_bias, b->output_bias);
    assert_int_equal(a->bare_source, b->bare_source);
    assert_int_equal(a->pad, b->pad);
    assert_int_equal(a->eos, b->eos);
    assert_int_equal(a->start, b->start);
    assert_true(a->norm_eps == b->norm_eps && a->dropout == b->dropout && a->attention_dropout == b->attention_dropout);
}

/* Through text, as files go. */
static void expect_back(const fv_seq2seq_config *config, const char *model_type)
{
    fv_err err = {0};
    fv_buf text = {0};
    fv_seq2seq_config back;
    int64_t live = fv_alloc_live();
    json_t *tree = fv_seq2seq_config_to_json(config, &err);
    assert_non_null(tree);
    assert_string_equal(json_string_value(json_object_get(tree, "model_type")), model_type);
    assert_true(fv_seq2seq_config_is(tree));
    assert_int_equal(fv_json_print(tree, 2, &text, &err), FV_OK);
    json_decref(tree);
    tree = fv_json_parse(text.data, text.len, "config.json", &err);
    if (fv_seq2seq_config_from_json(&back, tree, "config.json", &err) != FV_OK) fail_msg("%s", err.text);
    json_decref(tree);
    fv_buf_release(&text);
    expect_same(config, &back);
    assert_int_equal(fv_alloc_live(), live);
}

static void marian_comes_back(void **state)
{
    (void)state;
    static const fv_act acts[] = {FV_ACT_RELU, FV_ACT_GELU, FV_ACT_SILU, FV_ACT_GELU_TANH};
    for (int i = 0; i < 16; i++) {
        fv_seq2seq_config config = sample();
        config.act = acts[i & 3];
        config.scale_embedding = i >> 2 & 1;
        config.output_bias = i >> 3 & 1;
        expect_back(&config, "marian");
    }
    fv_seq2seq_config config = sample();
    config.shared = false;
    config.src_vocab = 600;
    expect_back(&config, "marian");
    config.tied = false;
    expect_back(&config, "marian");
}

static void what_marian_cannot_say_comes_back(void **state)
{
    (void)state;
    for (int i = 0; i < 9; i++) {
        fv_seq2seq_config config = sample();
        if (i < 3) config.positions = (fv_positions)(FV_POSITIONS_LEARNED + i);
        config.pre_norm = i == 3;
        config.embedding_norm = i == 4;
        config.bare_source = i == 8;
        if (i == 5) config.pad = -1;
        if (i == 6) config.norm_eps = 1e-6;
        config.tied = i != 7;
        expect_back(&config, "fovea_seq2seq");
    }
    fv_seq2seq_config all = sample();
    all.positions = FV_POSITIONS_RELATIVE;
    all.pre_norm = all.embedding_norm = all.bare_source = true;
    all.shared = all.tied = all.output_bias = all.scale_embedding = false;
    all.tgt_vocab = 400;
    all.start = 1;
    all.pad = -1;
    expect_back(&all, "fovea_seq2seq");
}

/* As published with the models of OPUS. */
static const char opus[] =
    "{\"model_type\":\"marian\",\"architectures\":[\"MarianMTModel\"],\"activation_function\":\"swish\",\"d_model\":512,"
    "\"add_bias_logits\":false,\"add_final_layer_norm\":false,\"classif_dropout\":0.0,\"normalize_before\":false,\"normalize_embedding\":false,"
    "\"static_position_embeddings\":true,\"bad_words_ids\":[[58100]],\"bos_token_id\":0,\"decoder_start_token_id\":58100,\"eos_token_id\":0,"
    "\"pad_token_id\":58100,\"vocab_size\":58101,\"encoder_layers\":6,\"decoder_layers\":6,\"encoder_attention_heads\":8,"
    "\"decoder_attention_heads\":8,\"encoder_ffn_dim\":2048,\"decoder_ffn_dim\":2048,\"max_position_embeddings\":512,\"scale_embedding\":true,"
    "\"num_beams\":6,\"dropout\":0.1}";

static void published_files_are_read(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_seq2seq_config c, expected = {
        .src_vocab = 58101, .tgt_vocab = 58101, .encoder_layers = 6, .decoder_layers = 6, .width = 512, .heads = 8, .ffn = 2048, .max_len = 512,
        .act = FV_ACT_SILU, .shared = true, .tied = true, .scale_embedding = true, .output_bias = true, .pad = 58100, .start = 58100,
        .norm_eps = 1e-5, .dropout = 0.1,
    };
    json_t *tree = fv_json_parse(opus, strlen(opus), "here", &err);
    if (fv_seq2seq_config_from_json(&c, tree, "here", &err) != FV_OK) fail_msg("%s", err.text);
    expect_same(&c, &expected);
    json_decref(tree);
}

/* Takes over `value`; NULL: the key is taken away. */
static void expect_refused(const char *key, json_t *value, const char *part)
{
    fv_err err = {0};
    fv_seq2seq_config c;
    json_t *tree = fv_json_parse(opus, strlen(opus), "here", &err);
    if (value) json_object_set_new(tree, key, value);
    else json_object_del(tree, key);
    if (fv_seq2seq_config_from_json(&c, tree, "here", &err) != FV_E_FORMAT) fail_msg("%s was not refused", key);
    if (strncmp(err.text, "here: ", 6) != 0 || !strstr(err.text, part)) fail_msg("\"%s\" does not say \"%s\"", err.text, part);
    assert_int_equal(fv_seq2seq_config_from_json(&c, tree, "here", NULL), FV_E_FORMAT);
    json_decref(tree);
}

static void what_is_not_supported_is_named(void **state)
{
    (void)state;
    expect_refused("model_type", NULL, "model_type is missing");
    expect_refused("model_type", json_string("bart"), "model_type is \"bart\"; supported: \"marian\", \"fovea_seq2seq\"");
    expect_refused("activation_function", json_string("mish"), "activation_function is \"mish\"; supported: \"relu\", \"gelu\", \"swish\"");
    expect_refused("normalize_before", json_true(), "normalize_before is true, which no \"marian\" of Transformers computes");
    expect_refused("normalize_embedding", json_true(), "normalize_embedding is true");
    expect_refused("static_position_embeddings", json_false(), "static_position_embeddings is false");
    expect_refused("decoder_attention_heads", json_integer(4), "encoder_attention_heads is 8, decoder_attention_heads is 4; supported: equal ones");
    expect_refused("decoder_ffn_dim", json_integer(1024), "encoder_ffn_dim is 2048, decoder_ffn_dim is 1024");
    expect_refused("scale_embedding", json_integer(1), "scale_embedding is 1; expected true or false");
    expect_refused("dropout", json_real(1.5), "dropout 1.5");
    expect_refused("pad_token_id", NULL, "pad_token_id is missing");
    expect_refused("pad_token_id", json_integer(58101), "pad_token_id is 58101; expected a whole number from 0 to 58100");
    expect_refused("eos_token_id", json_integer(-1), "eos_token_id is -1");
    expect_refused("decoder_start_token_id", json_null(), "decoder_start_token_id is missing");
    static const char *const sizes[] = {"vocab_size", "d_model", "encoder_layers", "decoder_layers", "encoder_attention_heads", "encoder_ffn_dim", "max_position_embeddings"};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        expect_refused(sizes[i], NULL, sizes[i]);
        expect_refused(sizes[i], json_integer(0), sizes[i]);
        expect_refused(sizes[i], json_integer((json_int_t)1 << 40), sizes[i]);
        expect_refused(sizes[i], json_string("128"), sizes[i]);
    }
    json_t *list = json_array();
    assert_false(fv_seq2seq_config_is(list));
    assert_false(fv_seq2seq_config_is(NULL));
    json_decref(list);
}

static void memory_may_run_out(void **state)
{
    (void)state;
    fv_seq2seq_config config = sample();
    config.pre_norm = true;
    int64_t live = fv_alloc_live();
    int failures = 0;
    for (int64_t n = 0; n < 400; n++) {
        fv_err err = {0};
        fv_alloc_fail_after(n);
        json_t *tree = fv_seq2seq_config_to_json(&config, &err);
        fv_alloc_fail_after(-1);
        if (!tree) assert_int_equal(err.status, FV_E_MEMORY);
        failures += !tree;
        json_decref(tree);
        assert_int_equal(fv_alloc_live(), live);
    }
    assert_true(failures > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marian_comes_back),
        cmocka_unit_test(what_marian_cannot_say_comes_back),
        cmocka_unit_test(published_files_are_read),
        cmocka_unit_test(what_is_not_supported_is_named),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
