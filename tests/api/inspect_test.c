/* fv_model_inspect: one JSON object that says what a folder is; hashes are those of its files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "train/toy.h"

static const json_t *at(const json_t *tree, const char *a, const char *b)
{
    const json_t *found = json_object_get(json_object_get(tree, a), b);
    if (!found) fail_msg("no %s.%s", a, b);
    return found;
}

static void a_folder_is_described(void **state)
{
    (void)state;
    fv_err err = {0};
    int64_t live = fv_alloc_live();
    char *text = fv_model_inspect(toy_model(), &err);
    if (!text) fail_msg("%s", err.text);
    json_t *tree = fv_json_parse(text, strlen(text), "inspect", &err);
    assert_non_null(tree);
    assert_int_equal(json_integer_value(at(tree, "architecture", "layers")), 1);
    assert_int_equal(json_integer_value(at(tree, "architecture", "width")), 32);
    assert_true(json_integer_value(at(tree, "architecture", "parameters")) > 10000);
    assert_int_equal(json_array_size(json_object_get(tree, "labels")), 3);
    const char *hash = json_string_value(json_object_get(at(tree, "files", "model.safetensors"), "sha256"));
    assert_string_equal(hash, toy_hash(toy_model()));
    assert_string_equal(json_string_value(at(json_object_get(tree, "training"), "files", "model.safetensors")), hash);
    json_decref(tree);
    free(text);
    assert_int_equal(fv_alloc_live(), live);
}

/* Of another program, which wrote no record. */
static void a_translator_is_described(void **state)
{
    (void)state;
    static const char folder[] = "tests/golden/marian-tiny";
    fv_err err = {0};
    int64_t live = fv_alloc_live(), total = fv_alloc_count();
    char *text = fv_model_inspect(folder, &err);
    total = fv_alloc_count() - total;
    if (!text) fail_msg("%s", err.text);
    json_t *tree = fv_json_parse(text, strlen(text), "inspect", &err);
    assert_string_equal(json_string_value(at(tree, "architecture", "kind")), "encoder-decoder");
    assert_string_equal(json_string_value(at(tree, "architecture", "activation")), "swish");
    assert_int_equal(json_integer_value(at(tree, "architecture", "decoder_layers")), 1);
    assert_int_equal(json_integer_value(at(tree, "architecture", "parameters")), 2107);
    assert_int_equal(json_integer_value(at(tree, "tokenizer", "target_entries")), 23);
    assert_non_null(at(tree, "files", "vocab.json"));
    assert_null(json_object_get(json_object_get(tree, "files"), "fovea.json"));
    assert_true(json_is_null(json_object_get(tree, "training")));
    json_decref(tree);
    free(text);
    for (int64_t n = 0; n < total; n += 5) {
        fv_alloc_fail_after(n);
        free(fv_model_inspect(folder, NULL));
        fv_alloc_fail_after(-1);
        assert_int_equal(fv_alloc_live(), live);
    }
}

/* How it makes vectors stands beside what it is. */
static void a_sentence_encoder_is_described(void **state)
{
    (void)state;
    fv_err err = {0};
    char *text = fv_model_inspect("tests/golden/encoders/sentence", &err);
    if (!text) fail_msg("%s", err.text);
    json_t *tree = fv_json_parse(text, strlen(text), "inspect", &err);
    assert_string_equal(json_string_value(at(tree, "architecture", "family")), "bert");
    assert_int_equal(json_integer_value(at(tree, "embedding", "numbers")), 10);
    assert_string_equal(json_string_value(at(tree, "embedding", "pooling")), "mean");
    assert_int_equal(json_integer_value(at(tree, "embedding", "dense_layers")), 1);
    assert_true(json_is_true(at(tree, "embedding", "unit_length")));
    assert_int_equal(json_integer_value(at(tree, "embedding", "max_len")), 20);
    assert_int_equal(json_array_size(at(tree, "embedding", "prompts")), 3);
    assert_non_null(at(tree, "files", "modules.json"));
    json_decref(tree);
    free(text);
}

static void what_is_no_model_is_refused(void **state)
{
    (void)state;
    fv_err err = {0};
    assert_null(fv_model_inspect("no/such/folder", &err));
    assert_int_equal(err.status, FV_E_IO);
    assert_null(fv_model_inspect(scratch_folder(), &err));
    toy_contains(err.text, "config.json");
}

static void lack_of_memory_is_told(void **state)
{
    (void)state;
    toy_model();
    int64_t total = fv_alloc_count();
    free(fv_model_inspect(toy_model(), NULL));
    total = fv_alloc_count() - total;
    for (int64_t n = 0; n < total; n += 7) {
        fv_err err = {0};
        int64_t live = fv_alloc_live();
        fv_alloc_fail_after(n);
        char *text = fv_model_inspect(toy_model(), &err);
        fv_alloc_fail_after(-1);
        if (!text && err.status != FV_E_MEMORY) fail_msg("allocation %lld: status %d, \"%s\"", (long long)n, err.status, err.text);
        if (fv_alloc_live() != live) fail_msg("allocation %lld leaked (%s)", (long long)n, err.text);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_is_described),
        cmocka_unit_test(a_translator_is_described),
        cmocka_unit_test(a_sentence_encoder_is_described),
        cmocka_unit_test(what_is_no_model_is_refused),
        cmocka_unit_test(lack_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
