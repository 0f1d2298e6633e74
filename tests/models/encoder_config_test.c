/* config.json there and back, and the messages for what is not supported. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "models/encoder.h"

static fv_encoder_config sample(void)
{
    return (fv_encoder_config){
        .vocab = 500, .layers = 3, .width = 48, .heads = 4, .ffn = 96, .max_len = 77, .types = 2, .act = FV_ACT_RELU,
        .norm_eps = 1e-7, .dropout = 0.25, .attention_dropout = 0.125, .init_deviation = 0.05,
    };
}

static const char *text_of(const json_t *tree, const char *key)
{
    const char *text = json_string_value(json_object_get(tree, key));
    return text ? text : "";
}

static void expect_same(const fv_encoder_config *a, const fv_encoder_config *b)
{
    assert_int_equal(a->vocab, b->vocab);
    assert_int_equal(a->layers, b->layers);
    assert_int_equal(a->width, b->width);
    assert_int_equal(a->heads, b->heads);
    assert_int_equal(a->ffn, b->ffn);
    assert_int_equal(a->max_len, b->max_len);
    assert_int_equal(a->types, b->types);
    assert_int_equal(a->act, b->act);
    assert_int_equal(a->pooling, b->pooling);
    assert_int_equal(a->pre_norm, b->pre_norm);
    assert_int_equal(a->sinusoidal, b->sinusoidal);
    assert_int_equal(a->article_attention, b->article_attention);
    assert_int_equal(a->mixing, b->mixing);
    assert_true(a->norm_eps == b->norm_eps && a->dropout == b->dropout && a->attention_dropout == b->attention_dropout && a->init_deviation == b->init_deviation);
}

/* Through text, as files go. */
static fv_encoder_config back_and_forth(const fv_encoder_config *config, const char *model_type)
{
    fv_err err = {0};
    fv_buf text = {0};
    fv_encoder_config back;
    json_t *tree = fv_encoder_config_to_json(config, "ForSequenceClassification", &err);
    assert_non_null(tree);
    assert_string_equal(text_of(tree, "model_type"), model_type);
    assert_int_equal(fv_json_print(tree, 2, &text, &err), FV_OK);
    json_decref(tree);
    tree = fv_json_parse(text.data, text.len, "config.json", &err);
    if (fv_encoder_config_from_json(&back, tree, "config.json", &err) != FV_OK) fail_msg("%s", err.text);
    json_decref(tree);
    fv_buf_release(&text);
    return back;
}

static void configurations_come_back(void **state)
{
    (void)state;
    fv_encoder_config config = sample(), back = back_and_forth(&config, "bert");
    expect_same(&config, &back);
    for (int i = 1; i < 24; i++) {
        config = sample();
        config.pre_norm = i & 1;
        config.sinusoidal = i >> 1 & 1;
        config.article_attention = i >> 2 & 1;
        config.pooling = (fv_pooling)(i >> 3);
        back = back_and_forth(&config, "fovea_encoder");
        expect_same(&config, &back);
    }
    config.mixing = FV_MIXING_UNIFORM;
    back = back_and_forth(&config, "fovea_encoder");
    expect_same(&config, &back);
    config = sample();
    config.mixing = FV_MIXING_NONE;
    config.pooling = FV_POOLING_MEAN;
    back = back_and_forth(&config, "fovea_encoder");
    expect_same(&config, &back);
}

static const char bert[] =
    "{\"model_type\":\"bert\",\"vocab_size\":30522,\"num_hidden_layers\":2,\"hidden_size\":128,\"num_attention_heads\":2,"
    "\"intermediate_size\":512,\"max_position_embeddings\":512,\"torch_dtype\":\"float16\",\"classifier_dropout\":null}";

/* Published files leave out what is usual. */
static void what_is_left_out_is_bert_s(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_encoder_config c;
    json_t *tree = fv_json_parse(bert, strlen(bert), "here", &err);
    assert_int_equal(fv_encoder_config_from_json(&c, tree, "here", &err), FV_OK);
    assert_true(c.norm_eps == 1e-12 && c.dropout == 0.1 && c.attention_dropout == 0.1 && c.init_deviation == 0.02);
    assert_int_equal(c.types, 2);
    assert_int_equal(c.act, FV_ACT_GELU);
    assert_int_equal(c.pooling, FV_POOLING_CLS);
    assert_false(c.pre_norm || c.sinusoidal);
    json_decref(tree);
}

static void expect_refused(const char *key, json_t *value, const char *part)
{
    fv_err err = {0};
    fv_encoder_config c;
    json_t *tree = fv_json_parse(bert, strlen(bert), "here", &err);
    if (value) json_object_set_new(tree, key, value);
    else json_object_del(tree, key);
    if (fv_encoder_config_from_json(&c, tree, "here", &err) != FV_E_FORMAT) fail_msg("%s was not refused", key);
    if (strncmp(err.text, "here: ", 6) != 0 || !strstr(err.text, part)) fail_msg("\"%s\" does not say \"%s\"", err.text, part);
    json_decref(tree);
}

static void what_is_not_supported_is_named(void **state)
{
    (void)state;
    expect_refused("model_type", NULL, "no model_type; expected \"bert\", \"fovea_encoder\" or another that docs/models.md has");
    expect_refused("model_type", json_string("electra"), "model_type is \"electra\"; supported: \"bert\", \"roberta\", \"xlm-roberta\", \"distilbert\", \"mpnet\", \"fovea_encoder\"");
    expect_refused("model_type", json_integer(3), "model_type");
    expect_refused("hidden_act", json_string("mish"), "hidden_act is \"mish\"; supported: \"gelu\", \"gelu_python\"");
    expect_refused("position_embedding_type", json_string("relative_key"), "position_embedding_type is \"relative_key\"");
    expect_refused("pooling", json_string("last"), "pooling is \"last\"");
    expect_refused("attention_block", json_string("other"), "attention_block is \"other\"; supported: \"vaswani\", \"article\"");
    expect_refused("norm_position", json_string("sandwich"), "norm_position is \"sandwich\"");
    static const char *const sizes[] = {"vocab_size", "num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size", "max_position_embeddings"};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        expect_refused(sizes[i], NULL, sizes[i]);
        expect_refused(sizes[i], json_integer(0), sizes[i]);
        expect_refused(sizes[i], json_integer(-1), sizes[i]);
        expect_refused(sizes[i], json_integer((json_int_t)1 << 40), sizes[i]);
        expect_refused(sizes[i], json_string("128"), sizes[i]);
        expect_refused(sizes[i], json_real(1e300), sizes[i]);
    }
    expect_refused("num_attention_heads", json_integer(3), "width 128 does not divide into 3 heads");
    expect_refused("hidden_dropout_prob", json_real(1.5), "dropout 1.5");
    expect_refused("layer_norm_eps", json_real(-1), "layer norm epsilon -1");
    expect_refused("layer_norm_eps", json_string("tiny"), "layer_norm_eps");
    expect_refused("type_vocab_size", json_integer(0), "type_vocab_size");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(configurations_come_back),
        cmocka_unit_test(what_is_left_out_is_bert_s),
        cmocka_unit_test(what_is_not_supported_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
