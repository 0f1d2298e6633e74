/* What the model of a tokenizer.json says whose tokens are words or parts of words: WordPiece, WordLevel. */
#include <string.h>

#include "text/tokenizer_json.h"

#define MAX_CHARS_MOST 1000000
#define PREFIX_MAX 64

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

/* Without an unknown token a text of known words alone can be encoded. */
fv_status fv_json_wordlevel(const fv_json_source *s, const json_t *model, const json_t *added)
{
    const json_t *name = json_object_get(model, "unk_token");
    if (!json_is_string(name)) return fv_json_refuse(s, "model.unk_token", name, "text, as \"[UNK]\"");
    fv_status status = fv_json_read_tokens(s, json_object_get(model, "vocab"), added);
    if (status == FV_OK) s->t->unk = fv_map_get(&s->t->ids, json_string_value(name), json_string_length(name));
    return status;
}
