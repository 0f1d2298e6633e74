/* CTranslate2's Transformers: what they say comes out under our names, and what is not supported is named. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "formats/made_ctranslate2.h"
#include "formats/scratch.h"
#include "models/encoder.h"
#include "models/seq2seq_import.h"

static fv_err err;
static fv_ctranslate2 from;
static fv_seq2seq_import made;

static void put(const char *name, const char *text) { assert_int_equal(fv_file_write(scratch_path(name), text, strlen(text), &err), FV_OK); }

static void usual_folder(void)
{
    static const char *const others[] = {"source_vocabulary.txt", "target_vocabulary.json"};
    for (size_t i = 0; i < FV_COUNT(others); i++) assert_int_equal(fv_file_remove(scratch_path(others[i]), &err), FV_OK);
    put("shared_vocabulary.txt", "</s>\n<s>\na\n");
    put("config.json", "{\"add_source_eos\": true, \"decoder_start_token\": \"<s>\", \"layer_norm_epsilon\": 1e-6}");
}

static fv_status import(const made_translator *what)
{
    fv_buf bytes = {0};
    made_translator_file(&bytes, what);
    assert_int_equal(fv_file_write(scratch_path("model.bin"), bytes.data, bytes.len, &err), FV_OK);
    fv_buf_release(&bytes);
    if (fv_ctranslate2_open(&from, scratch_folder(), &err) != FV_OK) fail_msg("%s", err.text);
    made = (fv_seq2seq_import){0};
    return fv_seq2seq_import_ctranslate2(&made, &from, &err);
}

static void finish(void)
{
    fv_seq2seq_import_release(&made);
    fv_ctranslate2_close(&from);
}

static void import_well(const made_translator *what)
{
    if (import(what) != FV_OK) fail_msg("%s", err.text);
}

static const fv_st_tensor *find(const char *name)
{
    for (size_t i = 0; i < made.n; i++)
        if (strcmp(made.tensors[i].name, name) == 0) return &made.tensors[i];
    fail_msg("no %s", name);
    return NULL;
}

/* Ours is rows [first, first + its rows) of theirs, as float32. */
static void expect_part(const char *ours, const char *theirs, int64_t first)
{
    float expected[256];
    const fv_st_tensor *t = find(ours), *source = fv_ctranslate2_find(&from, theirs);
    assert_non_null(source);
    assert_true(t->dtype == FV_F32 && t->bytes <= sizeof expected);
    assert_int_equal(fv_ctranslate2_floats(&from, source, first, t->shape[0], expected, &err), FV_OK);
    assert_memory_equal(t->data, expected, t->bytes);
}

/* What was made can be written, opened and mapped by what config.json asks for. */
static void expect_loads(void)
{
    fv_seq2seq model;
    fv_safetensors file;
    const char *path = scratch_path("made.safetensors");
    if (fv_seq2seq_init(&model, &made.config, &err) != FV_OK || fv_safetensors_write(path, made.tensors, made.n, NULL, NULL, 0, &err) != FV_OK ||
        fv_safetensors_open(&file, path, &err) != FV_OK || fv_weights_map(&model.params, &file, &err) != FV_OK) fail_msg("%s", err.text);
    fv_seq2seq_release(&model);
    fv_safetensors_close(&file);
}

static void weights_come_out_under_our_names(void **state)
{
    (void)state;
    static const fv_dtype types[] = {FV_F32, FV_F16, FV_I8, FV_I16};
    usual_folder();
    for (size_t i = 0; i < FV_COUNT(types); i++) {
        import_well(&(made_translator){.weights = types[i]});
        expect_part("model.encoder.embed_tokens.weight", "encoder/embeddings_0/weight", 0);
        expect_part("model.decoder.embed_tokens.weight", "decoder/embeddings/weight", 0);
        expect_part("model.encoder.layers.0.self_attn.q_proj.weight", "encoder/layer_0/self_attention/linear_0/weight", 0);
        expect_part("model.encoder.layers.0.self_attn.k_proj.weight", "encoder/layer_0/self_attention/linear_0/weight", 8);
        expect_part("model.encoder.layers.0.self_attn.v_proj.bias", "encoder/layer_0/self_attention/linear_0/bias", 16);
        expect_part("model.decoder.layers.0.encoder_attn.q_proj.weight", "decoder/layer_0/attention/linear_0/weight", 0);
        expect_part("model.decoder.layers.0.encoder_attn.v_proj.weight", "decoder/layer_0/attention/linear_1/weight", 8);
        expect_part("model.decoder.layers.0.encoder_attn.out_proj.bias", "decoder/layer_0/attention/linear_2/bias", 0);
        expect_part("model.decoder.layers.0.encoder_attn_layer_norm.bias", "decoder/layer_0/attention/layer_norm/beta", 0);
        expect_part("model.encoder.layers.0.final_layer_norm.weight", "encoder/layer_0/ffn/layer_norm/gamma", 0);
        expect_part("model.encoder.layers.0.fc2.weight", "encoder/layer_0/ffn/linear_1/weight", 0);
        expect_part("model.decoder.layer_norm.weight", "decoder/layer_norm/gamma", 0);
        expect_part("lm_head.weight", "decoder/projection/weight", 0);
        assert_int_equal(find("final_logits_bias")->rank, 2);
        expect_loads();
        finish();
    }
}

static void the_configuration_is_read(void **state)
{
    (void)state;
    usual_folder();
    import_well(&(made_translator){.activation = 2});
    const fv_seq2seq_config *c = &made.config;
    assert_true(c->src_vocab == 4 && c->tgt_vocab == 4 && c->width == 8 && c->ffn == 4 && c->heads == 2);
    assert_true(c->encoder_layers == 1 && c->decoder_layers == 1 && c->max_len == 512);
    assert_true(c->pre_norm && c->scale_embedding && c->output_bias && !c->shared && !c->tied && !c->embedding_norm && !c->bare_source);
    assert_true(c->eos == 0 && c->start == 1 && c->pad == -1);
    assert_int_equal(c->act, FV_ACT_SILU);
    assert_int_equal(c->positions, FV_POSITIONS_LEARNED);
    assert_true(c->norm_eps == 1e-6);
    assert_int_equal(made.source.n, 4); /* <unk> was added */
    assert_int_equal(fv_map_get(&made.source, "<unk>", 5), 3);
    assert_int_equal(made.target.n, 0);
    finish();
    import_well(&(made_translator){.scale = 2, .tied = true, .shared = true, .with = "encoder/sliding_window"});
    assert_true(c->tied && c->shared && !c->scale_embedding);
    expect_part("model.shared.weight", "encoder/embeddings_0/weight", 0);
    expect_loads();
    finish();
}

/* From 1, with lengths up to 10000 in width/2 - 1 steps. */
static void positions_are_the_tool_s(void **state)
{
    (void)state;
    usual_folder();
    import_well(&(made_translator){0});
    const float *table = find("model.decoder.embed_positions.weight")->data;
    assert_true(fabs((double)table[0] - sin(1)) < 1e-6 && fabs((double)table[4] - cos(1)) < 1e-6);
    assert_true(fabs((double)table[511 * 8 + 3] - sin(512 / 1e4)) < 1e-6);
    assert_true(fabs((double)table[9 * 8 + 5] - cos(10 / pow(1e4, 1.0 / 3))) < 1e-5);
    finish();
    import_well(&(made_translator){.positions = 6});
    assert_int_equal(made.config.max_len, 6); /* the decoder's has one more */
    expect_part("model.encoder.embed_positions.weight", "encoder/position_encodings/encodings", 0);
    expect_part("model.decoder.embed_positions.weight", "decoder/position_encodings/encodings", 0);
    expect_loads();
    finish();
}

static void a_missing_bias_is_zero(void **state)
{
    (void)state;
    static const float zeros[8];
    usual_folder();
    import_well(&(made_translator){.without = "decoder/layer_0/attention/linear_2/bias"});
    assert_memory_equal(find("model.decoder.layers.0.encoder_attn.out_proj.bias")->data, zeros, sizeof zeros);
    expect_loads();
    finish();
    import_well(&(made_translator){.without = "decoder/projection/bias"});
    assert_false(made.config.output_bias);
    expect_loads();
    finish();
}

/* What begins with no token begins with one of ours, whose row is zero and which is never chosen. */
static void a_start_from_nothing_becomes_a_token(void **state)
{
    (void)state;
    static const float zeros[8];
    usual_folder();
    import_well(&(made_translator){.with = "decoder/start_from_zero_embedding", .number = 1, .tied = true, .shared = true});
    const float *words = find("model.shared.weight")->data, *bias = find("final_logits_bias")->data;
    assert_true(made.config.tgt_vocab == 5 && made.config.src_vocab == 5 && made.config.start == 4);
    assert_memory_equal(words + 4 * 8, zeros, sizeof zeros);
    assert_true(bias[4] < -1e8f && bias[3] > -2);
    assert_int_equal(fv_map_get(&made.source, "<pad>", 5), 4);
    expect_loads();
    finish();
    import_well(&(made_translator){.with = "decoder/start_from_zero_embedding", .number = 1, .without = "decoder/projection/bias"});
    assert_true(made.config.src_vocab == 4 && made.config.tgt_vocab == 5 && made.config.output_bias);
    expect_loads();
    finish();
}

static void older_versions_frame_texts_by_attributes(void **state)
{
    (void)state;
    usual_folder();
    import_well(&(made_translator){.version = 2, .revision = 2, .specification = "TransformerBase", .with = "with_source_eos", .number = 1, .text_key = "bos_token", .text = "a"});
    assert_int_equal(made.config.eos, 0);
    assert_int_equal(made.config.start, 2);
    assert_true(!made.config.bare_source && made.config.norm_eps == 1e-5);
    finish();
}

static void expect_refused(const made_translator *what, const char *message)
{
    int64_t live = fv_alloc_live();
    assert_int_equal(import(what), FV_E_FORMAT);
    if (!strstr(err.text, message)) fail_msg("\"%s\" does not say \"%s\"", err.text, message);
    fv_seq2seq_import_release(&made);
    assert_int_equal(fv_seq2seq_import_ctranslate2(&made, &from, NULL), FV_E_FORMAT);
    finish();
    assert_int_equal(fv_alloc_live(), live);
}

static void what_is_not_supported_is_named(void **state)
{
    (void)state;
    usual_folder();
    expect_refused(&(made_translator){.specification = "WhisperSpec"}, "a model of kind \"WhisperSpec\"; supported: TransformerSpec");
    expect_refused(&(made_translator){.revision = 8}, "revision 8 of TransformerSpec; supported: 2 to 7");
    expect_refused(&(made_translator){.with = "decoder/layer_0/ffn/linear_0_noact/weight", .number = 1}, "the model has \"decoder/layer_0/ffn/linear_0_noact/weight\", which is not supported");
    expect_refused(&(made_translator){.activation = 5}, "activation 5; supported: 0 (ReLU)");
    expect_refused(&(made_translator){.without = "encoder/num_heads"}, "num_heads is 8 in the encoder and 2 in the decoder");
    expect_refused(&(made_translator){.with = "encoder/scale_embeddings", .number = 3}, "encoder/scale_embeddings is 3; supported: 1, and the root of the width, 2.82843");
    expect_refused(&(made_translator){.without = "decoder/layer_0/ffn/linear_1/weight"}, "no variable decoder/layer_0/ffn/linear_1/weight");
    expect_refused(&(made_translator){.without = "decoder/layer_norm/beta"}, "no variable decoder/layer_norm/beta");
    expect_refused(&(made_translator){.without = "decoder/embeddings/weight"}, "no variable decoder/embeddings_0/weight");
    expect_refused(&(made_translator){.positions = 2}, "texts of 2 tokens");
}

static void vocabularies_must_fit(void **state)
{
    (void)state;
    static const made_translator plain;
    usual_folder();
    put("shared_vocabulary.txt", "</s>\n<s>\na\nb\nc\n");
    expect_refused(&plain, "6 tokens for the source, whose embeddings have 4 rows");
    put("shared_vocabulary.txt", "</s>\na\nb\n");
    expect_refused(&plain, "no token \"<s>\" in the target's vocabulary, which a translation starts from");
    assert_int_equal(fv_file_remove(scratch_path("shared_vocabulary.txt"), &err), FV_OK);
    expect_refused(&plain, "no vocabularies");
    put("source_vocabulary.txt", "</s>\n");
    expect_refused(&plain, "no vocabularies");
    put("target_vocabulary.json", "[\"<s>\", \"</s>\"]");
    import_well(&plain);
    assert_true(made.source.n == 2 && made.target.n == 3 && made.config.eos == 1 && made.config.start == 0);
    finish();
    usual_folder();
    put("config.json", "{\"decoder_start_token\": null}");
    expect_refused(&plain, "has no token that translations start from");
    put("config.json", "{\"decoder_start_token\": \"<s>\", \"add_source_bos\": true}");
    expect_refused(&plain, "source texts begin with <s>, which is not supported");
    put("config.json", "{\"decoder_start_token\": \"<s>\", \"eos_token\": \"<e>\"}");
    expect_refused(&plain, "eos_token is \"<e>\"; supported: \"</s>\"");
    put("config.json", "[");
    expect_refused(&plain, "config.json");
}

static void memory_may_run_out(void **state)
{
    (void)state;
    usual_folder();
    import_well(&(made_translator){.weights = FV_I8});
    fv_seq2seq_import_release(&made);
    int64_t live = fv_alloc_live();
    int failures = 0;
    for (int64_t n = 0; n < 400; n++) {
        fv_alloc_fail_after(n);
        fv_status status = fv_seq2seq_import_ctranslate2(&made, &from, &err);
        fv_alloc_fail_after(-1);
        fv_seq2seq_import_release(&made);
        assert_true(status == FV_OK || status == FV_E_MEMORY);
        failures += status != FV_OK;
        assert_int_equal(fv_alloc_live(), live);
    }
    assert_true(failures > 20 && failures < 400);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_come_out_under_our_names),
        cmocka_unit_test(the_configuration_is_read),
        cmocka_unit_test(positions_are_the_tool_s),
        cmocka_unit_test(a_missing_bias_is_zero),
        cmocka_unit_test(a_start_from_nothing_becomes_a_token),
        cmocka_unit_test(older_versions_frame_texts_by_attributes),
        cmocka_unit_test(what_is_not_supported_is_named),
        cmocka_unit_test(vocabularies_must_fit),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
