/* The files that make a model folder one of sentence-transformers. Names of classes and keys are those that its versions from
 * 2.0 on know: newer ones read them too. Its own older versions want a folder for Normalize, so that it has an empty
 * configuration. */
#include "infer/sentence.h"

#include <stdio.h>

static const char *const names[] = {"modules.json", "sentence_bert_config.json", "config_sentence_transformers.json", "1_Pooling/config.json", "2_Normalize/config.json"};

const char *fv_sentence_file(int i) { return i < (int)FV_COUNT(names) ? names[i] : NULL; }

static json_t *modules(void)
{
    static const char *const kinds[] = {"Transformer", "Pooling", "Normalize"}, *const folders[] = {"", "1_Pooling", "2_Normalize"};
    json_t *list = json_array();
    for (int i = 0; i < 3; i++) {
        char name[12], type[64];
        snprintf(name, sizeof name, "%d", i);
        snprintf(type, sizeof type, "sentence_transformers.models.%s", kinds[i]);
        if (json_array_append_new(list, json_pack("{s:i, s:s, s:s, s:s}", "idx", i, "name", name, "path", folders[i], "type", type)) != 0) return json_decref(list), NULL;
    }
    return list;
}

/* Older versions look for a flag for each kind. */
static json_t *pooling(const fv_sentence *s, int width)
{
    static const struct { const char *key; fv_pooling pooling; } flags[] = {
        {"pooling_mode_cls_token", FV_POOLING_CLS}, {"pooling_mode_mean_tokens", FV_POOLING_MEAN}, {"pooling_mode_max_tokens", FV_POOLING_MAX},
        {"pooling_mode_mean_sqrt_len_tokens", FV_POOLING_ROOT}, {"pooling_mode_weightedmean_tokens", FV_POOLING_RISING}, {"pooling_mode_lasttoken", FV_POOLING_LAST},
    };
    json_t *tree = json_pack("{s:i}", "word_embedding_dimension", width);
    for (size_t i = 0; i < FV_COUNT(flags); i++)
        if (json_object_set_new(tree, flags[i].key, json_boolean(flags[i].pooling == s->pooling)) != 0) return json_decref(tree), NULL;
    if (json_object_set_new(tree, "include_prompt", json_true()) != 0) return json_decref(tree), NULL;
    return tree;
}

/* Prompts of the model that training started from stay. */
static json_t *settings(const fv_sentence *s)
{
    json_t *prompts = s->prompts ? json_deep_copy(s->prompts) : json_object();
    return json_pack("{s:o, s:s?, s:s}", "prompts", prompts, "default_prompt_name", s->prompt, "similarity_fn_name", "cosine");
}

json_t *fv_sentence_file_json(int i, const fv_sentence *s, int width, fv_err *err)
{
    json_t *tree = i == 0   ? modules()
                   : i == 1 ? json_pack("{s:i, s:b}", "max_seq_length", s->max_len, "do_lower_case", 0)
                   : i == 2 ? settings(s)
                   : i == 3 ? pooling(s, width)
                            : json_object();
    if (!tree) FV_FAIL(err, FV_E_MEMORY, "%s: out of memory", names[i]);
    return tree;
}
