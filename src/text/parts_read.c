/* Lists of parts as tokenizer.json has them, and the readers of single settings that all parts share. What a part's type
 * does not know is left alone, as the Hugging Face library leaves it; a type that no table has is refused by name. */
#include <string.h>

#include "text/parts.h"

#define KEY_MAX 128
#define DEPTH_MAX 8   /* of Sequences in Sequences */
#define PARTS_MAX 256

/* ---- Settings ----------------------------------------------------------------------------- */

fv_status fv_part_refuse(const fv_json_source *s, const char *key, const char *name, const json_t *found, const char *expected)
{
    char whole[KEY_MAX + 64];
    snprintf(whole, sizeof whole, "%s.%s", key, name);
    return fv_json_refuse(s, whole, found, expected);
}

fv_status fv_part_flag(const fv_json_source *s, const char *key, const json_t *value, const char *name, bool preset, bool *out)
{
    const json_t *found = json_object_get(value, name);
    *out = found ? json_is_true(found) : preset;
    return !found || json_is_boolean(found) ? FV_OK : fv_part_refuse(s, key, name, found, "true or false");
}

fv_status fv_part_text(const fv_json_source *s, const char *key, const json_t *value, const char *name, const char *preset, const char **out)
{
    const json_t *found = json_object_get(value, name);
    if (!json_is_string(found) && (found || !preset)) return fv_part_refuse(s, key, name, found, "text");
    const char *text = found ? json_string_value(found) : preset;
    *out = fv_arena_strndup(&s->t->arena, text, strlen(text), s->err);
    return *out ? FV_OK : FV_E_MEMORY;
}

fv_status fv_part_char(const fv_json_source *s, const char *key, const json_t *value, const char *name, const char *preset, const char **out)
{
    int32_t point;
    fv_status status = fv_part_text(s, key, value, name, preset, out);
    if (status != FV_OK) return status;
    if (**out && fv_point_at(*out, strlen(*out), &point) == strlen(*out)) return FV_OK;
    return fv_part_refuse(s, key, name, json_object_get(value, name), "one character");
}

fv_status fv_part_count(const fv_json_source *s, const char *key, const json_t *value, const char *name, int64_t preset, int64_t *out)
{
    const json_t *found = json_object_get(value, name);
    *out = found ? json_integer_value(found) : preset;
    return !found || (json_is_integer(found) && *out >= 0) ? FV_OK : fv_part_refuse(s, key, name, found, "0 or more");
}

/* Old files say add_prefix_space instead of prepend_scheme. */
fv_status fv_part_prepend(const fv_json_source *s, const char *key, const json_t *value, fv_prepend *out)
{
    static const char *const names[] = {[FV_PREPEND_ALWAYS] = "always", [FV_PREPEND_FIRST] = "first", [FV_PREPEND_NEVER] = "never"};
    const json_t *scheme = json_object_get(value, "prepend_scheme"), *old = json_object_get(value, "add_prefix_space");
    *out = json_is_false(old) ? FV_PREPEND_NEVER : FV_PREPEND_ALWAYS;
    if (!scheme || json_is_null(scheme)) return FV_OK;
    for (size_t i = 0; i < FV_COUNT(names); i++)
        if (json_is_string(scheme) && strcmp(json_string_value(scheme), names[i]) == 0) { *out = (fv_prepend)i; return FV_OK; }
    return fv_part_refuse(s, key, "prepend_scheme", scheme, "\"always\", \"first\" or \"never\"");
}

/* ---- Lists -------------------------------------------------------------------------------- */

bool fv_part_is(const fv_part *part, const char *type)
{
    return strcmp(part->kind->type, type) == 0;
}

void fv_part_list_release(fv_part_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        fv_pattern_release(&list->items[i].pattern);
        fv_buf_release(&list->items[i].map.blob);
    }
    fv_free(list->items);
    *list = (fv_part_list){0};
}

void fv_parts_free(fv_parts *parts)
{
    if (!parts) return;
    fv_part_list_release(&parts->normalizers);
    fv_part_list_release(&parts->splits);
    fv_part_list_release(&parts->decoders);
    json_decref(parts->tree);
    fv_free(parts);
}

/* What may stand there: one of a table's types, or a Sequence whose list is called `list`. */
typedef struct grammar {
    const fv_part_kind *kinds;
    const char *list;
} grammar;

static const fv_part_kind *kind_of(const grammar *g, const json_t *value)
{
    for (const fv_part_kind *kind = g->kinds; kind->type; kind++)
        if (fv_json_is_type(value, kind->type)) return kind;
    return NULL;
}

static fv_status refuse_type(const fv_json_source *s, const grammar *g, const char *key, const json_t *value)
{
    char types[320] = "";
    for (const fv_part_kind *kind = g->kinds; kind->type; kind++) {
        size_t n = strlen(types);
        snprintf(types + n, sizeof types - n, "%s, ", kind->type);
    }
    snprintf(types + strlen(types), sizeof types - strlen(types), "or a Sequence of them");
    return fv_part_refuse(s, key, "type", json_object_get(value, "type"), types);
}

static fv_status read_part(const fv_json_source *s, const grammar *g, const char *key, const json_t *value, fv_part_list *out)
{
    const fv_part_kind *kind = kind_of(g, value);
    if (!kind) return refuse_type(s, g, key, value);
    if (out->n == PARTS_MAX) return FV_FAIL(s->err, FV_E_FORMAT, "%s: %s: more than %d parts; expected a few", s->where, key, PARTS_MAX);
    fv_status status = fv_grow(&out->items, &out->capacity, out->n + 1, sizeof *out->items, s->err);
    if (status != FV_OK) return status;
    fv_part *part = &out->items[out->n++];
    *part = (fv_part){.kind = kind};
    return kind->read ? kind->read(s, key, value, part) : FV_OK;
}

static fv_status read_list(const fv_json_source *s, const grammar *g, const char *key, const json_t *value, int depth, fv_part_list *out)
{
    fv_status status = FV_OK;
    const json_t *list = json_object_get(value, g->list);
    if (!value || json_is_null(value)) return FV_OK;
    if (!fv_json_is_type(value, "Sequence")) return read_part(s, g, key, value, out);
    if (depth == DEPTH_MAX) return FV_FAIL(s->err, FV_E_FORMAT, "%s: %s: Sequences in Sequences, %d deep; expected fewer", s->where, key, DEPTH_MAX);
    if (!json_is_array(list)) return fv_part_refuse(s, key, g->list, list, "a list");
    for (size_t i = 0; i < json_array_size(list) && status == FV_OK; i++) {
        char inner[KEY_MAX];
        snprintf(inner, sizeof inner, "%s.%s[%zu]", key, g->list, i);
        status = read_list(s, g, inner, json_array_get(list, i), depth + 1, out);
    }
    return status;
}

fv_status fv_read_normalizers(const fv_json_source *s, const json_t *value, fv_part_list *out)
{
    return read_list(s, &(grammar){fv_normalize_kinds, "normalizers"}, "normalizer", value, 0, out);
}

fv_status fv_read_splits(const fv_json_source *s, const json_t *value, fv_part_list *out)
{
    return read_list(s, &(grammar){fv_split_kinds, "pretokenizers"}, "pre_tokenizer", value, 0, out);
}

fv_status fv_read_decoders(const fv_json_source *s, const json_t *value, fv_part_list *out)
{
    return read_list(s, &(grammar){fv_decode_kinds, "decoders"}, "decoder", value, 0, out);
}
