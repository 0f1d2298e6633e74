/* quantization_config: what is written is read; what asks for something else is refused by file and key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "models/quantization.h"

static fv_err err;

static json_t *parse(const char *text)
{
    json_t *tree = fv_json_parse(text, strlen(text), "test", &err);
    if (!tree) fail_msg("%s", err.text);
    return tree;
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    fv_quantization q;
    json_t *tree = json_pack("{s:o}", "quantization_config", fv_quantization_to_json());
    assert_int_equal(fv_quantization_from_json(&q, tree, "config.json", &err), FV_OK);
    assert_true(q.weights && q.activations);
    json_decref(tree);
}

static void what_says_nothing_is_nothing(void **state)
{
    (void)state;
    static const char *const texts[] = {"{}", "{\"quantization_config\":null}", "{\"quantization_config\":{}}"};
    for (size_t i = 0; i < FV_COUNT(texts); i++) {
        json_t *tree = parse(texts[i]);
        fv_quantization q = {true, true};
        assert_int_equal(fv_quantization_from_json(&q, tree, "config.json", &err), FV_OK);
        assert_false(q.weights || q.activations);
        json_decref(tree);
    }
}

/* As llm-compressor writes them: with much that is null, and activations left alone. */
static void others_words_are_understood(void **state)
{
    (void)state;
    fv_quantization q;
    json_t *tree = parse("{\"quantization_config\":{\"config_groups\":{\"group_0\":{\"format\":null,\"input_activations\":null,\"output_activations\":null,\"targets\":[\"Linear\"],"
        "\"weights\":{\"actorder\":null,\"block_structure\":null,\"dynamic\":false,\"group_size\":null,\"num_bits\":8,\"observer\":\"minmax\",\"observer_kwargs\":{},\"strategy\":\"channel\",\"symmetric\":true,\"type\":\"int\"}}},"
        "\"format\":\"int-quantized\",\"global_compression_ratio\":1.2,\"ignore\":[\"lm_head\"],\"kv_cache_scheme\":null,\"quant_method\":\"compressed-tensors\",\"quantization_status\":\"compressed\",\"sparsity_config\":{},\"version\":\"0.20.1\"}}");
    if (fv_quantization_from_json(&q, tree, "config.json", &err) != FV_OK) fail_msg("%s", err.text);
    assert_true(q.weights && !q.activations);
    json_decref(tree);
}

/* One value of what we write is another: PATH of keys, parted by slashes. */
static void expect_refused(const char *path, const char *value, const char *message)
{
    fv_quantization q;
    char copy[128], *key = copy, *slash;
    json_t *tree = json_pack("{s:o}", "quantization_config", fv_quantization_to_json()), *at = json_object_get(tree, "quantization_config");
    snprintf(copy, sizeof copy, "%s", path);
    for (; (slash = strchr(key, '/')); key = slash + 1) {
        *slash = 0;
        at = json_object_get(at, key);
        assert_non_null(at);
    }
    assert_int_equal(json_object_set_new(at, key, json_loads(value, JSON_DECODE_ANY, NULL)), 0);
    assert_int_equal(fv_quantization_from_json(&q, tree, "config.json", &err), FV_E_FORMAT);
    if (!strstr(err.text, message)) fail_msg("%s is %s: \"%s\" lacks \"%s\"", path, value, err.text, message);
    assert_ptr_equal(strstr(err.text, "config.json: "), err.text);
    json_decref(tree);
}

static void what_is_not_supported_is_named(void **state)
{
    (void)state;
    expect_refused("quant_method", "\"gptq\"", "\"quantization_config\": quant_method is \"gptq\"; supported: \"compressed-tensors\"");
    expect_refused("quant_method", "8", "quant_method");
    expect_refused("format", "\"pack-quantized\"", "format is \"pack-quantized\"; supported: \"int-quantized\"");
    expect_refused("quantization_status", "\"frozen\"", "supported: \"compressed\"");
    expect_refused("kv_cache_scheme", "{\"num_bits\":8}", "\"kv_cache_scheme\"; not supported");
    expect_refused("sparsity_config", "{\"format\":\"sparse-24\"}", "\"sparsity_config\"; not supported");
    expect_refused("transform_config", "{\"a\":1}", "\"transform_config\"; not supported");
    expect_refused("config_groups", "{}", "config_groups is no object of 1 to 16 groups");
    expect_refused("config_groups", "[1]", "config_groups is no object");
    expect_refused("config_groups/group_0", "3", "\"group_0\": not an object");
    expect_refused("config_groups/group_0/weights", "null", "\"weights\": not an object");
    expect_refused("config_groups/group_0/output_activations", "{\"num_bits\":8}", "\"output_activations\"; not supported");
    expect_refused("config_groups/group_0/format", "\"float-quantized\"", "format is \"float-quantized\"");
    expect_refused("config_groups/group_0/weights/num_bits", "4", "\"weights\": num_bits is 4");
    expect_refused("config_groups/group_0/weights/type", "\"float\"", "type is \"float\"; supported: \"int\"");
    expect_refused("config_groups/group_0/weights/strategy", "\"group\"", "strategy is \"group\"; supported: \"channel\"");
    expect_refused("config_groups/group_0/weights/symmetric", "false", "symmetric is false; supported: true");
    expect_refused("config_groups/group_0/weights/dynamic", "true", "dynamic is true; supported: false");
    expect_refused("config_groups/group_0/weights/group_size", "128", "\"group_size\"; not supported");
    expect_refused("config_groups/group_0/input_activations/strategy", "\"tensor\"", "strategy is \"tensor\"; supported: \"token\"");
    expect_refused("config_groups/group_0/input_activations/dynamic", "false", "dynamic is false; supported: true");
}

static void lack_of_memory_is_told(void **state)
{
    (void)state;
    int64_t live = fv_alloc_live();
    for (int64_t n = 0;; n++) {
        fv_alloc_fail_after(n);
        json_t *tree = fv_quantization_to_json();
        fv_alloc_fail_after(-1);
        bool done = tree;
        json_decref(tree);
        assert_int_equal(fv_alloc_live(), live);
        if (done) break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(what_says_nothing_is_nothing),
        cmocka_unit_test(others_words_are_understood),
        cmocka_unit_test(what_is_not_supported_is_named),
        cmocka_unit_test(lack_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
