/* What a tokenizer.json says of framing: special tokens around a text and around a pair.
 *
 * Offsets that the library trims of spaces afterwards stay untrimmed here: no id depends on them. */
#include <string.h>

#include "text/tokenizer_json.h"

#define POST_PROCESSORS "TemplateProcessing, BertProcessing, RobertaProcessing, ByteLevel, a Sequence of them, or null"

static fv_status add_step(const fv_json_source *s, const char *key, fv_frame *frame, fv_frame_step step)
{
    if (frame->n == FV_FRAME_MAX)
        return FV_FAIL(s->err, FV_E_FORMAT, "%s: post_processor.%s has more than %d steps; expected a few", s->where, key, FV_FRAME_MAX);
    frame->steps[frame->n++] = step;
    return FV_OK;
}

static fv_status read_type_id(const fv_json_source *s, const json_t *body, uint8_t *out)
{
    const json_t *value = json_object_get(body, "type_id");
    json_int_t type = json_is_integer(value) ? json_integer_value(value) : value ? -1 : 0;
    *out = (uint8_t)type;
    return type == 0 || type == 1 ? FV_OK : fv_json_refuse(s, "post_processor type_id", value, "0 or 1");
}

/* A special token of the template stands for one or more ids. */
static fv_status add_special(const fv_json_source *s, const char *key, const json_t *specials, const json_t *name, uint8_t type, fv_frame *frame)
{
    fv_status status = FV_OK;
    const char *text = json_string_value(name);
    const json_t *ids = text ? json_object_get(json_object_get(specials, text), "ids") : NULL;
    if (json_array_size(ids) == 0) return fv_json_refuse(s, "post_processor SpecialToken.id", name, "a name in post_processor.special_tokens, with its ids");
    for (size_t i = 0; i < json_array_size(ids) && status == FV_OK; i++) {
        const json_t *id = json_array_get(ids, i);
        json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
        if (value < 0 || value >= s->t->n) return fv_json_refuse(s, "post_processor.special_tokens ids", id, "ids of the vocabulary");
        status = add_step(s, key, frame, (fv_frame_step){.kind = FV_FRAME_TOKEN, .type = type, .id = (int32_t)value});
    }
    return status;
}

static fv_status read_step(const fv_json_source *s, const char *key, const json_t *step, const json_t *specials, fv_frame *frame)
{
    const json_t *text = json_object_get(step, "Sequence"), *special = json_object_get(step, "SpecialToken");
    const json_t *id = json_object_get(text ? text : special, "id");
    uint8_t type;
    fv_status status = read_type_id(s, text ? text : special, &type);
    if (status != FV_OK) return status;
    if (special) return add_special(s, key, specials, id, type, frame);
    const char *name = json_is_string(id) ? json_string_value(id) : "";
    if (strcmp(name, "A") == 0) return add_step(s, key, frame, (fv_frame_step){.kind = FV_FRAME_FIRST, .type = type});
    if (strcmp(name, "B") == 0) return add_step(s, key, frame, (fv_frame_step){.kind = FV_FRAME_SECOND, .type = type});
    return fv_json_refuse(s, "post_processor Sequence.id", id, "\"A\" or \"B\"");
}

static int count_kind(const fv_frame *frame, fv_frame_kind kind)
{
    int n = 0;
    for (int i = 0; i < frame->n; i++) n += frame->steps[i].kind == kind;
    return n;
}

static fv_status read_frame(const fv_json_source *s, const json_t *template, const char *key, int n_second, fv_frame *frame)
{
    fv_status status = FV_OK;
    const json_t *steps = json_object_get(template, key);
    frame->n = 0;
    if (!json_is_array(steps)) return FV_FAIL(s->err, FV_E_FORMAT, "%s: post_processor.%s is not a list; expected the steps of the template", s->where, key);
    for (size_t i = 0; i < json_array_size(steps); i++)
        FV_TRY(read_step(s, key, json_array_get(steps, i), json_object_get(template, "special_tokens"), frame));
    if (count_kind(frame, FV_FRAME_FIRST) != 1 || count_kind(frame, FV_FRAME_SECOND) != n_second)
        status = FV_FAIL(s->err, FV_E_FORMAT, "%s: post_processor.%s names A %d times and B %d times; expected 1 and %d", s->where, key, count_kind(frame, FV_FRAME_FIRST), count_kind(frame, FV_FRAME_SECOND), n_second);
done:
    return status;
}

static fv_status read_template(const fv_json_source *s, const json_t *value)
{
    fv_status status = FV_OK;
    s->t->framed = true;
    FV_TRY(read_frame(s, value, "single", 0, &s->t->one));
    FV_TRY(read_frame(s, value, "pair", 1, &s->t->two));
done:
    return status;
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

static fv_status read_around(const fv_json_source *s, const json_t *value, bool roberta)
{
    fv_status status = FV_OK;
    int32_t cls, sep;
    FV_TRY(read_pair(s, json_object_get(value, "cls"), "post_processor.cls", &cls));
    FV_TRY(read_pair(s, json_object_get(value, "sep"), "post_processor.sep", &sep));
    if (roberta) fv_frame_roberta(s->t, cls, sep);
    else fv_frame_bert(s->t, cls, sep);
done:
    return status;
}

/* Two that frame would be framed twice by the library, whose meaning for a pair nobody relies on. */
static fv_status read_one(const fv_json_source *s, const json_t *value)
{
    if (fv_json_is_type(value, "ByteLevel")) return FV_OK;
    if (s->t->framed) return fv_json_refuse(s, "post_processor.processors", value, "one that adds special tokens, not two");
    if (fv_json_is_type(value, "BertProcessing")) return read_around(s, value, false);
    if (fv_json_is_type(value, "RobertaProcessing")) return read_around(s, value, true);
    if (fv_json_is_type(value, "TemplateProcessing")) return read_template(s, value);
    return fv_json_refuse(s, "post_processor.type", json_object_get(value, "type"), POST_PROCESSORS);
}

fv_status fv_json_post_processor(const fv_json_source *s, const json_t *value)
{
    fv_status status = FV_OK;
    const json_t *list = json_object_get(value, "processors");
    fv_frame_plain(s->t);
    if (!value || json_is_null(value)) return FV_OK;
    if (!fv_json_is_type(value, "Sequence")) return read_one(s, value);
    if (!json_is_array(list)) return fv_json_refuse(s, "post_processor.processors", list, "a list");
    for (size_t i = 0; i < json_array_size(list) && status == FV_OK; i++) status = read_one(s, json_array_get(list, i));
    return status;
}
