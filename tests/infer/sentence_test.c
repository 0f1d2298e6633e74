/* Folders of sentence-transformers as versions since 2019 have written them, and chains of modules that are not supported: each is
 * refused by name, for a module that is passed over changes every vector. What vectors come out is embed_test.c's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "formats/scratch.h"
#include "infer/infer.h"

static const fv_encoder_config encoder = {.width = 16};
static char folder[FV_PATH_MAX];

/* A new folder, empty but for those of modules. */
static void begin(void)
{
    static const char *const parts[] = {"0_Transformer", "1_Pooling", "2_Dense", "3_Dense"};
    static int n;
    char name[16], path[FV_PATH_MAX];
    snprintf(name, sizeof name, "model-%d", n++);
    snprintf(folder, sizeof folder, "%s", scratch_path(name));
    assert_int_equal(mkdir(folder, 0777), 0);
    for (size_t i = 0; i < FV_COUNT(parts); i++) {
        assert_int_equal(fv_path_join(path, folder, parts[i], NULL), FV_OK);
        assert_int_equal(mkdir(path, 0777), 0);
    }
}

static void put(const char *name, const char *text)
{
    char path[FV_PATH_MAX];
    assert_int_equal(fv_path_join(path, folder, name, NULL), FV_OK);
    assert_int_equal(fv_file_write(path, text, strlen(text), NULL), FV_OK);
}

#define MODULE(kind, path) "{\"idx\":0,\"name\":\"0\",\"path\":\"" path "\",\"type\":\"sentence_transformers.models." kind "\"}"
#define CHAIN(...) "[" MODULE("Transformer", "") "," __VA_ARGS__ "]"
#define POOLED MODULE("Pooling", "1_Pooling")
#define DENSE "{\"in_features\":16,\"out_features\":3,\"bias\":true,\"activation_function\":\"torch.nn.modules.activation.Tanh\"}"

static void put_chain(const char *modules, const char *pooling)
{
    begin();
    put("modules.json", modules);
    put("1_Pooling/config.json", pooling);
}

static void put_dense(const char *name, int out, int in)
{
    float numbers[16 * 16 + 16] = {0};
    char path[FV_PATH_MAX];
    fv_st_tensor list[] = {
        {.name = "linear.weight", .dtype = FV_F32, .rank = 2, .shape = {out, in}, .data = numbers, .bytes = (size_t)(out * in) * 4},
        {.name = "linear.bias", .dtype = FV_F32, .rank = 1, .shape = {out}, .data = numbers, .bytes = (size_t)out * 4},
    };
    assert_int_equal(fv_path_join(path, folder, name, NULL), FV_OK);
    assert_int_equal(fv_safetensors_write(path, list, 2, NULL, NULL, 0, NULL), FV_OK);
}

static fv_status open_it(fv_sentence *s, bool lowers, fv_err *err)
{
    char body[FV_PATH_MAX];
    *s = (fv_sentence){0};
    fv_status status = fv_sentence_body(body, folder, err);
    return status == FV_OK ? fv_sentence_open(s, folder, body, &encoder, lowers, err) : status;
}

static fv_sentence opened(void)
{
    fv_err err = {0};
    fv_sentence s;
    if (open_it(&s, true, &err) != FV_OK) fail_msg("%s", err.text);
    return s;
}

static void refused(const char *part)
{
    fv_err err = {0};
    fv_sentence s;
    int64_t live = fv_alloc_live();
    fv_status status = open_it(&s, false, &err);
    if (status != FV_E_FORMAT) fail_msg("status %d (%s), expected \"%s\"", status, err.text, part);
    if (!strstr(err.text, part) || strncmp(err.text, folder, strlen(folder)) != 0) fail_msg("\"%s\" should begin with the folder and hold \"%s\"", err.text, part);
    assert_int_equal(fv_alloc_live(), live);
    assert_int_equal(open_it(&s, false, NULL), FV_E_FORMAT);
}

/* ---- What is read ---- */

static void no_modules_give_the_mean(void **state)
{
    (void)state;
    begin();
    fv_sentence s = opened();
    assert_false(s.given || s.normalise);
    assert_int_equal(s.pooling, FV_POOLING_MEAN);
    assert_int_equal(fv_sentence_size(&s, &encoder), 16);
    fv_sentence_release(&s);
}

static void the_body_may_lie_below(void **state)
{
    (void)state;
    char body[FV_PATH_MAX], expected[FV_PATH_MAX];
    put_chain("[" MODULE("Transformer", "0_Transformer") "," POOLED "]", "{\"pooling_mode_cls_token\":true}");
    put("0_Transformer/sentence_bert_config.json", "{\"max_seq_length\":128,\"do_lower_case\":true}");
    assert_int_equal(fv_sentence_body(body, folder, NULL), FV_OK);
    assert_int_equal(fv_path_join(expected, folder, "0_Transformer", NULL), FV_OK);
    assert_string_equal(body, expected);
    fv_sentence s = opened();
    assert_true(s.given);
    assert_int_equal(s.max_len, 128);
    assert_int_equal(s.pooling, FV_POOLING_CLS);
    fv_sentence_release(&s);
}

static void poolings_have_older_and_newer_names(void **state)
{
    (void)state;
    static const struct { const char *json; fv_pooling pooling; } cases[] = {
        {"{\"word_embedding_dimension\":16,\"pooling_mode_cls_token\":true,\"pooling_mode_mean_tokens\":false}", FV_POOLING_CLS},
        {"{\"pooling_mode_mean_tokens\":true}", FV_POOLING_MEAN},
        {"{\"pooling_mode_max_tokens\":true}", FV_POOLING_MAX},
        {"{\"pooling_mode_mean_sqrt_len_tokens\":true}", FV_POOLING_ROOT},
        {"{\"pooling_mode_weightedmean_tokens\":true}", FV_POOLING_RISING},
        {"{\"pooling_mode_lasttoken\":true}", FV_POOLING_LAST},
        {"{\"embedding_dimension\":16,\"pooling_mode\":\"cls\",\"include_prompt\":true}", FV_POOLING_CLS},
        {"{\"pooling_mode\":\"mean\"}", FV_POOLING_MEAN},
        {"{\"pooling_mode\":[\"max\"]}", FV_POOLING_MAX},
        {"{\"pooling_mode\":\"mean_sqrt_len_tokens\"}", FV_POOLING_ROOT},
        {"{\"pooling_mode\":\"weightedmean\"}", FV_POOLING_RISING},
        {"{\"pooling_mode\":\"lasttoken\"}", FV_POOLING_LAST},
    };
    for (size_t i = 0; i < FV_COUNT(cases); i++) {
        put_chain(CHAIN(POOLED), cases[i].json);
        fv_sentence s = opened();
        if (s.pooling != cases[i].pooling) fail_msg("%s gives %s", cases[i].json, fv_pooling_name(s.pooling));
        fv_sentence_release(&s);
    }
}

static void layers_may_follow(void **state)
{
    (void)state;
    put_chain(CHAIN(POOLED "," MODULE("Dense", "2_Dense") "," MODULE("Dense", "3_Dense") "," MODULE("Normalize", "4_Normalize")), "{\"pooling_mode_mean_tokens\":true}");
    put("2_Dense/config.json", DENSE);
    put("3_Dense/config.json", "{\"in_features\":3,\"out_features\":5,\"bias\":false,\"activation_function\":\"torch.nn.modules.linear.Identity\"}");
    put_dense("2_Dense/model.safetensors", 3, 16);
    put_dense("3_Dense/model.safetensors", 5, 3);
    fv_sentence s = opened();
    assert_int_equal(fv_sentence_size(&s, &encoder), 5);
    assert_true(s.n_dense == 2 && s.normalise && s.dense[0].b && !s.dense[1].b);
    assert_true(s.dense[0].act == FV_ACT_TANH && s.dense[1].act == FV_ACT_NONE);
    fv_sentence_release(&s);
}

static void lengths_and_prompts(void **state)
{
    (void)state;
    put_chain(CHAIN(POOLED), "{\"pooling_mode_mean_tokens\":true}");
    put("tokenizer_config.json", "{\"model_max_length\":64}");
    put("config_sentence_transformers.json", "{\"prompts\":{\"query\":\"find: \"},\"default_prompt_name\":\"query\",\"activation_fn\":\"torch.nn.modules.linear.Identity\"}");
    fv_sentence s = opened();
    assert_int_equal(s.max_len, 64);
    assert_string_equal(s.prompt, "query");
    assert_string_equal(s.activation, "torch.nn.modules.linear.Identity");
    fv_sentence_release(&s);
    put("sentence_bert_config.json", "{\"max_seq_length\":32}");
    put("tokenizer_config.json", "{\"model_max_length\":1000000000000000019884624838656}");
    s = opened();
    assert_int_equal(s.max_len, 32);
    fv_sentence_release(&s);
    put("sentence_bert_config.json", "{\"max_seq_length\":null}");
    s = opened();
    assert_int_equal(s.max_len, 0);
    fv_sentence_release(&s);
}

/* ---- What is refused ---- */

static void chains_that_are_not_supported(void **state)
{
    (void)state;
    static const char *const lists[] = {"[]", "{}", "[" POOLED "]", "[{\"type\":\"sentence_transformers.models.CLIPModel\",\"path\":\"\"}]", "[{\"type\":7,\"path\":\"\"}]", "[{\"type\":\"evil.Transformer\",\"path\":\"\"}]"};
    for (size_t i = 0; i < FV_COUNT(lists); i++) {
        put_chain(lists[i], "{\"pooling_mode_mean_tokens\":true}");
        refused("modules.json: expected a list of at most 7 modules that begins with a Transformer of sentence_transformers");
    }
    static const char *const chains[] = {
        CHAIN(MODULE("WordWeights", "1_Pooling")), CHAIN(POOLED "," POOLED), CHAIN(MODULE("Normalize", "2_Normalize") "," POOLED), CHAIN(POOLED "," MODULE("Normalize", "x") "," MODULE("Dense", "2_Dense")),
        CHAIN("{\"path\":\"\"}"), CHAIN(MODULE("Dense", "2_Dense")), CHAIN(MODULE("Transformer", "")),
    };
    for (size_t i = 0; i < FV_COUNT(chains); i++) {
        put_chain(chains[i], "{\"pooling_mode_mean_tokens\":true}");
        refused("supported: Transformer, Pooling, Dense, Normalize, in this order");
    }
}

static void paths_that_lead_elsewhere(void **state)
{
    (void)state;
    static const char *const chains[] = {
        CHAIN(MODULE("Pooling", "../1_Pooling")), CHAIN(MODULE("Pooling", "..")), CHAIN(MODULE("Pooling", "/etc")), CHAIN(MODULE("Pooling", "x/../1_Pooling")), CHAIN(MODULE("Pooling", ".hidden")),
        "[" MODULE("Transformer", "../other") "," POOLED "]",
    };
    for (size_t i = 0; i < FV_COUNT(chains); i++) {
        put_chain(chains[i], "{\"pooling_mode_mean_tokens\":true}");
        refused("expected the name of a folder beside it");
    }
    put_chain(CHAIN("{\"type\":\"sentence_transformers.models.Pooling\"}"), "{}");
    refused("path is missing");
}

static void poolings_that_are_not_supported(void **state)
{
    (void)state;
    static const char *const poolings[] = {
        "{}", "{\"pooling_mode_mean_tokens\":false}", "{\"pooling_mode_mean_tokens\":true,\"pooling_mode_max_tokens\":true}", "{\"pooling_mode\":[\"mean\",\"max\"]}", "{\"pooling_mode\":\"median\"}", "{\"pooling_mode\":3}",
    };
    for (size_t i = 0; i < FV_COUNT(poolings); i++) {
        put_chain(CHAIN(POOLED), poolings[i]);
        refused("1_Pooling/config.json: expected one pooling mode: cls, mean, max");
    }
    put_chain(CHAIN(POOLED), "{\"word_embedding_dimension\":384,\"pooling_mode_mean_tokens\":true}");
    refused("word_embedding_dimension");
    put_chain(CHAIN(MODULE("Pooling", "none")), "{}");
    refused("none/config.json: is missing; modules.json lists it as Pooling");
}

static void dense_layers_that_are_not_supported(void **state)
{
    (void)state;
    static const struct { const char *json, *part; } cases[] = {
        {"{\"in_features\":8,\"out_features\":3}", "in_features"},
        {"{\"in_features\":16,\"out_features\":0}", "out_features"},
        {"{\"in_features\":16,\"out_features\":99999999}", "out_features"},
        {"{\"in_features\":16,\"out_features\":4}", "linear.weight is [3, 16]; config.json says [4, 16]"},
        {"{\"in_features\":16,\"out_features\":3,\"activation_function\":\"builtins.eval\"}", "activation_function is \"builtins.eval\"; supported: \"torch.nn.modules.linear.Identity\""},
        {"{\"in_features\":16,\"out_features\":3,\"use_residual\":true}", "use_residual is true; not supported"},
        {"{\"in_features\":16,\"out_features\":3,\"module_input_name\":\"token_embeddings\"}", "module_input_name is \"token_embeddings\""},
    };
    put_chain(CHAIN(POOLED "," MODULE("Dense", "2_Dense")), "{\"pooling_mode_mean_tokens\":true}");
    refused("2_Dense/config.json: is missing; modules.json lists it as Dense");
    put_dense("2_Dense/model.safetensors", 3, 16);
    for (size_t i = 0; i < FV_COUNT(cases); i++) {
        put("2_Dense/config.json", cases[i].json);
        refused(cases[i].part);
    }
}

static void settings_that_are_not_supported(void **state)
{
    (void)state;
    static const struct { const char *file, *json, *part; } cases[] = {
        {"sentence_bert_config.json", "{\"max_seq_length\":-1}", "max_seq_length"},
        {"sentence_bert_config.json", "{\"do_lower_case\":true}", "do_lower_case is true, and the tokenizer keeps upper case"},
        {"sentence_bert_config.json", "{\"transformer_task\":\"text-generation\"}", "transformer_task is \"text-generation\""},
        {"config_sentence_transformers.json", "{\"prompts\":{\"q\":1}}", "the prompt \"q\" is no text"},
        {"config_sentence_transformers.json", "{\"prompts\":{},\"default_prompt_name\":\"q\"}", "default_prompt_name is no name in prompts"},
        {"config_sentence_transformers.json", "[", "config_sentence_transformers.json:1:"},
    };
    for (size_t i = 0; i < FV_COUNT(cases); i++) {
        put_chain(CHAIN(POOLED), "{\"pooling_mode_mean_tokens\":true}");
        put(cases[i].file, cases[i].json);
        refused(cases[i].part);
    }
}

static void out_of_memory_leaks_nothing(void **state)
{
    (void)state;
    put_chain(CHAIN(POOLED "," MODULE("Dense", "2_Dense")), "{\"pooling_mode_mean_tokens\":true}");
    put("2_Dense/config.json", DENSE);
    put_dense("2_Dense/model.safetensors", 3, 16);
    put("config_sentence_transformers.json", "{\"prompts\":{\"query\":\"find: \"}}");
    fv_sentence s = opened(); /* the shared pool is made */
    fv_sentence_release(&s);
    int64_t live = fv_alloc_live();
    for (int64_t n = 0;; n++) {
        fv_alloc_fail_after(n);
        fv_status status = open_it(&s, true, NULL);
        fv_alloc_fail_after(-1);
        if (status == FV_OK) fv_sentence_release(&s);
        assert_int_equal(fv_alloc_live(), live);
        if (status == FV_OK) break;
        if (status != FV_E_MEMORY) fail_msg("status %d at allocation %lld", status, (long long)n);
        assert_true(n < 2000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_modules_give_the_mean),
        cmocka_unit_test(the_body_may_lie_below),
        cmocka_unit_test(poolings_have_older_and_newer_names),
        cmocka_unit_test(layers_may_follow),
        cmocka_unit_test(lengths_and_prompts),
        cmocka_unit_test(chains_that_are_not_supported),
        cmocka_unit_test(paths_that_lead_elsewhere),
        cmocka_unit_test(poolings_that_are_not_supported),
        cmocka_unit_test(dense_layers_that_are_not_supported),
        cmocka_unit_test(settings_that_are_not_supported),
        cmocka_unit_test(out_of_memory_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
