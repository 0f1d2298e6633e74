/* Saying what a tokenizer.json holds that cannot be used here, and where; and the small questions that
 * all its readers ask. */
#include <string.h>

#include "text/tokenizer_json.h"

const char *fv_json_describe(const json_t *value, fv_shown *room)
{
    if (!value) return "missing";
    if (json_is_object(value)) return "an object";
    if (json_is_array(value)) return "a list";
    if (json_is_null(value)) return "null";
    if (json_is_boolean(value)) return json_is_true(value) ? "true" : "false";
    if (json_is_string(value)) return fv_show(room, json_string_value(value), json_string_length(value));
    if (json_is_integer(value)) snprintf(room->text, sizeof room->text, "%lld", (long long)json_integer_value(value));
    else snprintf(room->text, sizeof room->text, "the real number %g", json_real_value(value));
    return room->text;
}

fv_status fv_json_refuse(const fv_json_source *s, const char *key, const json_t *found, const char *expected)
{
    fv_shown room;
    return FV_FAIL(s->err, FV_E_FORMAT, "%s: %s is %s; expected %s", s->where, key, fv_json_describe(found, &room), expected);
}

fv_status fv_json_refuse_item(const fv_json_source *s, const char *list, size_t i, const char *key, const json_t *found, const char *expected)
{
    char name[96];
    snprintf(name, sizeof name, "%s[%zu]%s", list, i, key);
    return fv_json_refuse(s, name, found, expected);
}

/* A flag that may be missing and then is false. */
bool fv_json_read_flag(const json_t *value, bool *out)
{
    *out = json_is_true(value);
    return !value || json_is_boolean(value);
}

bool fv_json_is_false(const json_t *value)
{
    return !value || json_is_false(value);
}

static const char *type_of(const json_t *value)
{
    const char *type = json_string_value(json_object_get(value, "type"));
    return type ? type : "";
}

bool fv_json_is_type(const json_t *value, const char *type)
{
    return strcmp(type_of(value), type) == 0;
}

/* Absent, null, zero or empty: the feature is off. */
bool fv_json_is_off(const json_t *value)
{
    if (!value || json_is_null(value) || json_is_false(value)) return true;
    if (json_is_number(value)) return json_number_value(value) == 0;
    return json_is_string(value) && json_string_length(value) == 0;
}
