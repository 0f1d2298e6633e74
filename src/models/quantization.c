/* quantization_config, read and written. The trap is config.json's: a key that changes what is computed must be read or refused,
 * never passed over. So what is not known here is refused, unless it is null or empty. */
#include "models/quantization.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { MAX_GROUPS = 16 };

/* Where in the file, for messages. */
typedef struct place { char text[512]; } place;

static place inside(const char *where, const char *key)
{
    place p;
    fv_shown shown;
    snprintf(p.text, sizeof p.text, "%s: %s", where, fv_show(&shown, key, strlen(key)));
    return p;
}

static bool says_nothing(const json_t *value)
{
    return json_is_null(value) || json_is_false(value) || (json_is_object(value) && json_object_size(value) == 0) || (json_is_array(value) && json_array_size(value) == 0);
}

/* All of the object's keys are in the list, or say nothing. */
static fv_status refuse_others(const json_t *tree, const char *const *known, size_t n, const char *where, fv_err *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)tree, key, value)
    {
        bool found = says_nothing(value);
        for (size_t i = 0; i < n && !found; i++) found = strcmp(key, known[i]) == 0;
        if (!found) return FV_FAIL(err, FV_E_FORMAT, "%s; not supported", inside(where, key).text);
    }
    return FV_OK;
}

static fv_status need_word(const json_t *tree, const char *key, const char *word, const char *where, fv_err *err)
{
    const char *text = NULL;
    fv_shown shown;
    fv_status status = fv_json_text(tree, key, true, &text, where, err);
    if (status != FV_OK || strcmp(text, word) == 0) return status;
    return FV_FAIL(err, FV_E_FORMAT, "%s: %s is %s; supported: \"%s\"", where, key, fv_show(&shown, text, strlen(text)), word);
}

static fv_status need_bool(const json_t *tree, const char *key, bool preset, bool wanted, const char *where, fv_err *err)
{
    bool found = preset;
    fv_status status = fv_json_bool(tree, key, false, &found, where, err);
    if (status != FV_OK || found == wanted) return status;
    return FV_FAIL(err, FV_E_FORMAT, "%s: %s is %s; supported: %s", where, key, found ? "true" : "false", wanted ? "true" : "false");
}

/* What weights and activations have in common: whole numbers of 8 bits, with a scale for each `strategy`. */
static fv_status parse_numbers(const json_t *tree, const char *strategy, const char *where, fv_err *err)
{
    static const char *const known[] = {"num_bits", "type", "symmetric", "strategy", "dynamic", "observer", "observer_kwargs"};
    fv_status status = FV_OK;
    int64_t bits;
    FV_TRY(refuse_others(tree, known, FV_COUNT(known), where, err));
    FV_TRY(fv_json_int(tree, "num_bits", true, 8, 8, &bits, where, err));
    FV_TRY(need_word(tree, "type", "int", where, err));
    FV_TRY(need_word(tree, "strategy", strategy, where, err));
done:
    return status;
}

/* Activations are rounded between their smallest and largest here, whether a file asks for that or for symmetric numbers. */
static fv_status parse_group(fv_quantization *q, const json_t *group, const char *where, fv_err *err)
{
    static const char *const known[] = {"targets", "weights", "input_activations", "format"};
    fv_status status = FV_OK;
    const json_t *weights = json_object_get(group, "weights"), *activations = json_object_get(group, "input_activations");
    place w = inside(where, "weights"), a = inside(where, "input_activations");
    if (!json_is_object(group) || !json_is_object(weights)) return FV_FAIL(err, FV_E_FORMAT, "%s: not an object; expected how numbers are rounded", json_is_object(group) ? w.text : where);
    FV_TRY(refuse_others(group, known, FV_COUNT(known), where, err));
    if (json_object_get(group, "format") && !json_is_null(json_object_get(group, "format"))) FV_TRY(need_word(group, "format", "int-quantized", where, err));
    FV_TRY(parse_numbers(weights, "channel", w.text, err));
    FV_TRY(need_bool(weights, "symmetric", true, true, w.text, err));
    FV_TRY(need_bool(weights, "dynamic", false, false, w.text, err));
    q->weights = true;
    if (!activations || says_nothing(activations)) return FV_OK;
    FV_TRY(parse_numbers(activations, "token", a.text, err));
    FV_TRY(need_bool(activations, "dynamic", false, true, a.text, err));
    q->activations = true;
done:
    return status;
}

static fv_status parse_groups(fv_quantization *q, const json_t *groups, const char *where, fv_err *err)
{
    const char *key;
    json_t *group;
    if (!json_is_object(groups) || json_object_size(groups) < 1 || json_object_size(groups) > MAX_GROUPS)
        return FV_FAIL(err, FV_E_FORMAT, "%s: config_groups is no object of 1 to %d groups", where, MAX_GROUPS);
    json_object_foreach((json_t *)(uintptr_t)groups, key, group)
    {
        fv_status status = parse_group(q, group, inside(where, key).text, err);
        if (status != FV_OK) return status;
    }
    return FV_OK;
}

fv_status fv_quantization_from_json(fv_quantization *q, const json_t *config, const char *where, fv_err *err)
{
    static const char *const known[] = {"quant_method", "format", "quantization_status", "config_groups", "ignore", "version", "global_compression_ratio", "run_compressed"};
    fv_status status = FV_OK;
    const json_t *tree = json_object_get(config, "quantization_config");
    place at = inside(where, "quantization_config");
    *q = (fv_quantization){0};
    if (!tree || says_nothing(tree)) return FV_OK;
    if (!json_is_object(tree)) return FV_FAIL(err, FV_E_FORMAT, "%s: not an object; expected how weights are stored", at.text);
    FV_TRY(need_word(tree, "quant_method", "compressed-tensors", at.text, err));
    FV_TRY(need_word(tree, "format", "int-quantized", at.text, err));
    FV_TRY(need_word(tree, "quantization_status", "compressed", at.text, err));
    FV_TRY(refuse_others(tree, known, FV_COUNT(known), at.text, err));
    FV_TRY(parse_groups(q, json_object_get(tree, "config_groups"), at.text, err));
done:
    return status;
}

/* The expression is what Transformers looks for in the names of modules: all that are in no layer stay as they are. */
json_t *fv_quantization_to_json(void)
{
    json_t *weights = json_pack("{s:i, s:s, s:b, s:s, s:b}", "num_bits", 8, "type", "int", "symmetric", 1, "strategy", "channel", "dynamic", 0);
    json_t *activations = json_pack("{s:i, s:s, s:b, s:s, s:b}", "num_bits", 8, "type", "int", "symmetric", 0, "strategy", "token", "dynamic", 1);
    return json_pack("{s:s, s:s, s:s, s:{s:{s:[s], s:o, s:o}}, s:[s]}", "quant_method", "compressed-tensors", "format", "int-quantized", "quantization_status", "compressed",
        "config_groups", "group_0", "targets", "Linear", "weights", weights, "input_activations", activations, "ignore", "re:^(?!.*layers?\\.[0-9])");
}
