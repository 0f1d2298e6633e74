/* JSON trees by jansson: loaded from files, printed, and their fields read, with Fovea's errors. Parsing is in
 * json_parse.c.
 *
 * The trap: jansson allocates through us, so what it gives (json_dumps) must not meet free(). */
#include "base/json.h"

#include <string.h>

#include "base/file.h"

/* Before main, when no other thread can be inside jansson. A tree that a host program had made
 * already would do no harm: fv_free_plain is free and a count. */
__attribute__((constructor)) static void adopt_allocator(void)
{
    json_set_alloc_funcs(fv_alloc_plain, fv_free_plain);
}

/* ---- Loading ------------------------------------------------------------------------------ */

json_t *fv_json_load(const char *path, size_t max_bytes, fv_err *err)
{
    fv_buf text = {0};
    json_t *tree = NULL;
    if (fv_file_read(path, max_bytes, &text, err) == FV_OK) tree = fv_json_parse(text.data, text.len, path, err);
    fv_buf_release(&text);
    return tree;
}

/* ---- Writing ------------------------------------------------------------------------------ */

/* Ours, because jansson prints 0.1 as 0.10000000000000001 and people read these files. */
struct printer {
    fv_buf *out;
    int indent; /* 0: all on one line */
    fv_err *err;
};

static fv_status print_value(struct printer *to, const json_t *value, int depth);

static bool needs_escape(char c)
{
    return (unsigned char)c < 0x20 || c == '"' || c == '\\';
}

static fv_status print_escape(struct printer *to, char c)
{
    switch (c) {
    case '"': return fv_buf_puts(to->out, "\\\"", to->err);
    case '\\': return fv_buf_puts(to->out, "\\\\", to->err);
    case '\n': return fv_buf_puts(to->out, "\\n", to->err);
    case '\r': return fv_buf_puts(to->out, "\\r", to->err);
    case '\t': return fv_buf_puts(to->out, "\\t", to->err);
    default: return fv_buf_printf(to->out, to->err, "\\u%04x", (unsigned char)c);
    }
}

static fv_status print_string(struct printer *to, const char *text, size_t len)
{
    fv_status status;
    const char *p = text, *end = text + len;
    FV_TRY(fv_buf_putc(to->out, '"', to->err));
    while (p < end) {
        size_t plain = 0;
        while (p + plain < end && !needs_escape(p[plain])) plain++;
        FV_TRY(fv_buf_add(to->out, p, plain, to->err));
        p += plain;
        if (p < end) FV_TRY(print_escape(to, *p++));
    }
    FV_TRY(fv_buf_putc(to->out, '"', to->err));
done:
    return status;
}

/* A real stays one when it is read again. */
static fv_status print_real(struct printer *to, double value)
{
    char text[FV_DOUBLE_TEXT];
    fv_double_text(value, text);
    return fv_buf_printf(to->out, to->err, "%s%s", text, strpbrk(text, ".e") ? "" : ".0");
}

static fv_status print_break(struct printer *to, int depth)
{
    if (to->indent == 0) return FV_OK;
    return fv_buf_printf(to->out, to->err, "\n%*s", to->indent * depth, "");
}

static fv_status print_list(struct printer *to, const json_t *list, int depth)
{
    fv_status status;
    size_t n = json_array_size(list);
    FV_TRY(fv_buf_putc(to->out, '[', to->err));
    for (size_t i = 0; i < n; i++) {
        FV_TRY(print_break(to, depth + 1));
        FV_TRY(print_value(to, json_array_get(list, i), depth + 1));
        if (i + 1 < n) FV_TRY(fv_buf_putc(to->out, ',', to->err));
    }
    if (n > 0) FV_TRY(print_break(to, depth));
    FV_TRY(fv_buf_putc(to->out, ']', to->err));
done:
    return status;
}

static fv_status print_object(struct printer *to, json_t *object, int depth)
{
    fv_status status;
    void *first = json_object_iter(object);
    FV_TRY(fv_buf_putc(to->out, '{', to->err));
    for (void *at = first; at; at = json_object_iter_next(object, at)) {
        if (at != first) FV_TRY(fv_buf_putc(to->out, ',', to->err));
        FV_TRY(print_break(to, depth + 1));
        FV_TRY(print_string(to, json_object_iter_key(at), strlen(json_object_iter_key(at))));
        FV_TRY(fv_buf_puts(to->out, to->indent ? ": " : ":", to->err));
        FV_TRY(print_value(to, json_object_iter_value(at), depth + 1));
    }
    if (first) FV_TRY(print_break(to, depth));
    FV_TRY(fv_buf_putc(to->out, '}', to->err));
done:
    return status;
}

static fv_status print_value(struct printer *to, const json_t *value, int depth)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: return print_object(to, (json_t *)value, depth); /* iterating changes nothing */
    case JSON_ARRAY: return print_list(to, value, depth);
    case JSON_STRING: return print_string(to, json_string_value(value), json_string_length(value));
    case JSON_INTEGER: return fv_buf_printf(to->out, to->err, "%lld", (long long)json_integer_value(value));
    case JSON_REAL: return print_real(to, json_real_value(value));
    case JSON_TRUE: return fv_buf_puts(to->out, "true", to->err);
    case JSON_FALSE: return fv_buf_puts(to->out, "false", to->err);
    case JSON_NULL: break;
    }
    return fv_buf_puts(to->out, "null", to->err);
}

fv_status fv_json_print(const json_t *tree, int indent, fv_buf *out, fv_err *err)
{
    struct printer to = {.out = out, .indent = indent, .err = err};
    return print_value(&to, tree, 0);
}

fv_status fv_json_save(const json_t *tree, const char *path, fv_err *err)
{
    fv_status status;
    fv_buf text = {0};
    FV_TRY(fv_json_print(tree, 2, &text, err));
    FV_TRY(fv_buf_putc(&text, '\n', err));
    FV_TRY(fv_file_write(path, text.data, text.len, err));
done:
    fv_buf_release(&text);
    return status;
}

/* ---- Fields ------------------------------------------------------------------------------- */

/* A value as a message shows it. */
static const char *show_value(const json_t *value, fv_shown *room)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "a list";
    case JSON_STRING: return fv_show(room, json_string_value(value), json_string_length(value));
    case JSON_INTEGER: snprintf(room->text, sizeof room->text, "%lld", (long long)json_integer_value(value)); return room->text;
    case JSON_REAL: return fv_double_text(json_real_value(value), room->text);
    case JSON_TRUE: return "true";
    case JSON_FALSE: return "false";
    case JSON_NULL: return "null";
    }
    return "nothing";
}

static fv_status wrong(const char *where, const char *key, const json_t *value, const char *expected, fv_err *err)
{
    fv_shown room;
    return FV_FAIL(err, FV_E_FORMAT, "%s: %s is %s; expected %s", where, key, show_value(value, &room), expected);
}

/* *value is NULL where the field is missing and may be. */
static fv_status find(const json_t *object, const char *key, bool required, const char *expected, const json_t **value, const char *where, fv_err *err)
{
    fv_shown room;
    *value = NULL;
    if (!json_is_object(object))
        return FV_FAIL(err, FV_E_FORMAT, "%s: is %s; expected an object with %s", where, object ? show_value(object, &room) : "nothing", key);
    const json_t *found = json_object_get(object, key);
    if (found && !json_is_null(found)) *value = found;
    else if (required) return FV_FAIL(err, FV_E_FORMAT, "%s: %s is missing; expected %s", where, key, expected);
    return FV_OK;
}

fv_status fv_json_int(const json_t *object, const char *key, bool required, int64_t low, int64_t high, int64_t *out, const char *where, fv_err *err)
{
    char expected[96];
    const json_t *value;
    snprintf(expected, sizeof expected, "a whole number from %lld to %lld", (long long)low, (long long)high);
    fv_status status = find(object, key, required, expected, &value, where, err);
    if (status != FV_OK || !value) return status;
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < low || number > high) return wrong(where, key, value, expected, err);
    *out = number;
    return FV_OK;
}

fv_status fv_json_real(const json_t *object, const char *key, bool required, double *out, const char *where, fv_err *err)
{
    const json_t *value;
    fv_status status = find(object, key, required, "a number", &value, where, err);
    if (status != FV_OK || !value) return status;
    if (!json_is_number(value)) return wrong(where, key, value, "a number", err);
    *out = json_number_value(value);
    return FV_OK;
}

fv_status fv_json_bool(const json_t *object, const char *key, bool required, bool *out, const char *where, fv_err *err)
{
    const json_t *value;
    fv_status status = find(object, key, required, "true or false", &value, where, err);
    if (status != FV_OK || !value) return status;
    if (!json_is_boolean(value)) return wrong(where, key, value, "true or false", err);
    *out = json_is_true(value);
    return FV_OK;
}

fv_status fv_json_text(const json_t *object, const char *key, bool required, const char **out, const char *where, fv_err *err)
{
    const json_t *value;
    fv_status status = find(object, key, required, "a string", &value, where, err);
    if (status != FV_OK || !value) return status;
    if (!json_is_string(value)) return wrong(where, key, value, "a string", err);
    *out = json_string_value(value);
    return FV_OK;
}

static fv_status unknown_word(const char *where, const char *key, const char *text, const char *const *words, int n, fv_err *err)
{
    fv_buf list = {0};
    fv_shown room;
    for (int i = 0; i < n; i++) fv_buf_printf(&list, NULL, "%s\"%s\"", i ? ", " : "", words[i]);
    fv_status status = FV_FAIL(err, FV_E_FORMAT, "%s: %s is %s; supported: %s", where, key, fv_show(&room, text, strlen(text)), list.data ? list.data : "");
    fv_buf_release(&list);
    return status;
}

fv_status fv_json_word(const json_t *object, const char *key, bool required, const char *const *words, int n, int *out, const char *where, fv_err *err)
{
    const char *text = NULL;
    fv_status status = fv_json_text(object, key, required, &text, where, err);
    if (status != FV_OK || !text) return status;
    for (int i = 0; i < n; i++)
        if (strcmp(text, words[i]) == 0) return *out = i, FV_OK;
    return unknown_word(where, key, text, words, n, err);
}
