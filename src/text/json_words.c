/* What the tokenizer.json of a WordPiece model says: BERT's normaliser, its words, its framing.
 * All else is refused by name, for the reasons in tokenizer_json.c. */
#include <string.h>

#include "text/tokenizer_json.h"

#define MAX_CHARS_MOST 1000000

/* A flag with a default. */
static fv_status read_option(const fv_json_source *s, const json_t *object, const char *part, const char *key, bool preset, bool *out)
{
    char name[96];
    const json_t *value = json_object_get(object, key);
    *out = value ? json_is_true(value) : preset;
    if (!value || json_is_boolean(value)) return FV_OK;
    snprintf(name, sizeof name, "%s.%s", part, key);
    return fv_json_refuse(s, name, value, "true or false");
}

fv_status fv_json_bert_normalizer(const fv_json_source *s, const json_t *value)
{
    fv_status status = FV_OK;
    fv_normalizer *n = &s->t->normalizer;
    if (!value || json_is_null(value)) return FV_OK;
    if (!fv_json_is_type(value, "BertNormalizer")) return fv_json_refuse(s, "normalizer.type", json_object_get(value, "type"), "\"BertNormalizer\" for a WordPiece model");
    n->bert = true;
    FV_TRY(read_option(s, value, "normalizer", "clean_text", true, &n->clean));
    FV_TRY(read_option(s, value, "normalizer", "handle_chinese_chars", true, &n->han_apart));
    FV_TRY(read_option(s, value, "normalizer", "lowercase", true, &n->lowercase));
    n->strip_accents = n->lowercase; /* null: as lowercase says */
    if (!json_is_null(json_object_get(value, "strip_accents")))
        FV_TRY(read_option(s, value, "normalizer", "strip_accents", n->lowercase, &n->strip_accents));
done:
    return status;
}

fv_status fv_json_bert_pre_tokenizer(const fv_json_source *s, const json_t *value)
{
    if (fv_json_is_type(value, "BertPreTokenizer")) return FV_OK;
    return fv_json_refuse(s, "pre_tokenizer.type", json_object_get(value, "type"), "\"BertPreTokenizer\" for a WordPiece model");
}

static fv_status read_unknown(const fv_json_source *s, const json_t *name)
{
    fv_wordpiece *wp = &s->t->wordpiece;
    const char *text = json_is_string(name) ? json_string_value(name) : "";
    wp->unk = fv_map_get(&s->t->ids, text, strlen(text));
    return wp->unk >= 0 ? FV_OK : fv_json_refuse(s, "model.unk_token", name, "a token of model.vocab");
}

static fv_status read_prefix(const fv_json_source *s, const json_t *value)
{
    fv_wordpiece *wp = &s->t->wordpiece;
    if (!json_is_string(value)) return fv_json_refuse(s, "model.continuing_subword_prefix", value, "text, as \"##\"");
    wp->prefix_len = json_string_length(value);
    wp->prefix = fv_arena_strndup(&s->t->arena, json_string_value(value), wp->prefix_len, s->err);
    return wp->prefix ? FV_OK : FV_E_MEMORY;
}

fv_status fv_json_wordpiece(const fv_json_source *s, const json_t *model, const json_t *added)
{
    fv_status status = FV_OK;
    const json_t *most = json_object_get(model, "max_input_chars_per_word");
    json_int_t chars = json_is_integer(most) ? json_integer_value(most) : -1;
    if (chars < 0 || chars > MAX_CHARS_MOST) return fv_json_refuse(s, "model.max_input_chars_per_word", most, "0 to 1000000, as 100");
    s->t->wordpiece.max_chars = (size_t)chars;
    FV_TRY(fv_json_read_tokens(s, json_object_get(model, "vocab"), added));
    FV_TRY(read_unknown(s, json_object_get(model, "unk_token")));
    FV_TRY(read_prefix(s, json_object_get(model, "continuing_subword_prefix")));
done:
    return status;
}

fv_status fv_json_wordpiece_decoder(const fv_json_source *s, const json_t *value)
{
    fv_wordpiece *wp = &s->t->wordpiece;
    const json_t *prefix = json_object_get(value, "prefix");
    if (!fv_json_is_type(value, "WordPiece")) return fv_json_refuse(s, "decoder.type", json_object_get(value, "type"), "\"WordPiece\"");
    if (!json_is_string(prefix) || strcmp(json_string_value(prefix), wp->prefix) != 0)
        return fv_json_refuse(s, "decoder.prefix", prefix, "what model.continuing_subword_prefix is");
    return read_option(s, value, "decoder", "cleanup", true, &wp->cleanup);
}

/* ["[SEP]", 102] */
static fv_status read_pair(const fv_json_source *s, const json_t *value, const char *key, int32_t *out)
{
    const json_t *name = json_array_get(value, 0), *id = json_array_get(value, 1);
    const char *text = json_is_string(name) ? json_string_value(name) : "";
    *out = fv_map_get(&s->t->ids, text, strlen(text));
    if (*out < 0) return fv_json_refuse(s, key, name, "a token of the vocabulary and its id");
    return json_is_integer(id) && json_integer_value(id) == *out ? FV_OK : fv_json_refuse(s, key, id, "the id that the vocabulary gives the token");
}

fv_status fv_json_bert_frame(const fv_json_source *s, const json_t *value)
{
    fv_status status = FV_OK;
    int32_t cls, sep;
    FV_TRY(read_pair(s, json_object_get(value, "cls"), "post_processor.cls", &cls));
    FV_TRY(read_pair(s, json_object_get(value, "sep"), "post_processor.sep", &sep));
    fv_frame_bert(s->t, cls, sep);
done:
    return status;
}
