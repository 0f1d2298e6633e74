/* JSON lines: one object a line. Texts are strings; a label may be a string, a number, or an array
 * of these for several labels, which are joined by commas.
 *
 * Lines go to jansson directly and not through fv_json_parse, which tells lines and columns of a
 * file of its own; that they are UTF-8 was checked before. Values live in the row's tree. */
#include "data/reader.h"

#include <string.h>

#include "base/json.h"

static bool is_blank(const fv_lines *l)
{
    for (size_t i = 0; i < l->len; i++)
        if (l->text[i] != ' ' && l->text[i] != '\t') return false;
    return true;
}

static const char *type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER: case JSON_REAL: return "a number";
    case JSON_TRUE: return "true";
    case JSON_FALSE: return "false";
    default: return "null";
    }
}

static int bad_type(const fv_want *want, const json_t *value, const char *expected, fv_err *err)
{
    fv_err_set(err, FV_E_INPUT, "field \"%s\" is %s; expected %s", want->name, type_name(value), expected);
    return FV_ROW_BAD;
}

static int no_field(fv_reader *r, const fv_want *want, fv_err *err)
{
    fv_buf names = {0};
    fv_status status = FV_OK;
    const char *key;
    json_t *value;
    json_object_foreach(r->object, key, value) {
        status = fv_reader_list(&names, key, strlen(key), err);
        if (status != FV_OK) break;
    }
    int rc = status == FV_OK ? fv_reader_no_column(want, "the object has", names.data, err) : status;
    fv_buf_release(&names);
    return rc;
}

/* ---- Labels ------------------------------------------------------------------------------- */

/* With the fewest digits that give the number back; jansson's writer knows no locale. */
static fv_status add_number(fv_buf *to, const json_t *value, fv_err *err)
{
    char text[64];
    double back;
    size_t n = 0;
    for (size_t digits = 15; digits <= 17; digits++) {
        n = json_dumpb(value, text, sizeof text - 1, JSON_ENCODE_ANY | JSON_REAL_PRECISION(digits));
        FV_ASSERT(n < sizeof text);
        text[n] = '\0';
        if (!json_is_real(value) || (fv_parse_double(text, &back) && back == json_real_value(value))) break;
    }
    return fv_buf_add(to, text, n, err);
}

static int add_element(fv_reader *r, const fv_want *want, const json_t *value, fv_err *err)
{
    if (json_is_number(value)) {
        fv_status status = add_number(&r->made, value, err);
        return status == FV_OK ? 1 : status;
    }
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    const char *wrong = !text ? type_name(value) : text[strspn(text, " ")] == '\0' ? "an empty label" : NULL;
    fv_shown room;
    if (wrong)
        fv_err_set(err, FV_E_INPUT, "field \"%s\" is an array that holds %s; expected names", want->name, wrong);
    else if (memchr(text, ',', len))
        fv_err_set(err, FV_E_INPUT, "field \"%s\" is an array that holds %s, whose comma would separate labels; rename the label",
                   want->name, fv_show(&room, text, len));
    if (wrong || memchr(text, ',', len)) return FV_ROW_BAD;
    fv_status status = fv_buf_add(&r->made, text, len, err);
    return status == FV_OK ? 1 : status;
}

static int join_array(fv_reader *r, const fv_want *want, const json_t *array, fv_err *err)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        fv_status status = i > 0 ? fv_buf_putc(&r->made, ',', err) : FV_OK;
        if (status != FV_OK) return status;
        int rc = add_element(r, want, json_array_get(array, i), err);
        if (rc != 1) return rc;
    }
    return 1;
}

static int make_label(fv_reader *r, fv_want *want, const json_t *value, fv_err *err)
{
    r->made.len = 0;
    fv_status status = fv_buf_add(&r->made, "", 0, err); /* an empty array is an empty label, not a missing one */
    int rc = status == FV_OK ? 1 : status;
    if (rc == 1 && json_is_array(value)) rc = join_array(r, want, value, err);
    else if (rc == 1 && json_is_number(value)) rc = add_element(r, want, value, err);
    else if (rc == 1) rc = bad_type(want, value, "a string, a number or an array of strings", err);
    want->value = r->made.data;
    want->len = r->made.len;
    return rc;
}

/* ---- Rows --------------------------------------------------------------------------------- */

static int fill_want(fv_reader *r, fv_want *want, fv_err *err)
{
    const json_t *value = json_object_get(r->object, want->name);
    want->value = NULL;
    if (want->optional && (!value || json_is_null(value))) return 1;
    if (!value) return no_field(r, want, err);
    if (json_is_string(value)) {
        want->value = json_string_value(value);
        want->len = json_string_length(value);
        return 1;
    }
    return want->is_label ? make_label(r, want, value, err) : bad_type(want, value, "a string", err);
}

static int not_json(const fv_reader *r, const json_error_t *e, fv_err *err)
{
    enum json_error_code code = json_error_code(e);
    if (code == json_error_out_of_memory || e->text[0] == '\0')
        return FV_FAIL(err, FV_E_MEMORY, "%s: out of memory for line %lld", r->lines.name, (long long)r->at_line);
    const char *expected = code == json_error_duplicate_key ? "each key once"
        : code == json_error_null_character ? "text without \\u0000"
        : code == json_error_numeric_overflow ? "numbers that fit into 64 bits"
        : "one object a line";
    fv_err_set(err, FV_E_INPUT, "not JSON that can be read, at byte %d: %s; expected %s", e->position, e->text, expected);
    return FV_ROW_BAD;
}

/* The line as r->object. */
static int parse(fv_reader *r, fv_err *err)
{
    json_error_t e;
    json_decref(r->object);
    r->object = json_loadb(r->lines.text, r->lines.len, JSON_REJECT_DUPLICATES, &e);
    if (json_is_object((json_t *)r->object)) return 1;
    if (r->object) {
        fv_err_set(err, FV_E_INPUT, "the line is %s; expected an object, one a line", type_name(r->object));
        return FV_ROW_BAD;
    }
    return not_json(r, &e, err);
}

static int start(fv_reader *r, fv_err *err)
{
    (void)r;
    (void)err;
    return 1; /* every line names its own fields */
}

static int next(fv_reader *r, fv_err *err)
{
    int rc;
    while ((rc = fv_lines_next(&r->lines, err)) == 1 && is_blank(&r->lines)) continue;
    if (rc != 1) return rc;
    r->at_line = r->lines.line;
    rc = fv_reader_check(r, err);
    if (rc == 1) rc = parse(r, err);
    for (int i = 0; i < r->n_wants && rc == 1; i++) rc = fill_want(r, &r->wants[i], err);
    return rc;
}

static void stop(fv_reader *r)
{
    json_decref(r->object);
}

const fv_format fv_format_jsonl = {.name = "JSON lines", .start = start, .next = next, .stop = stop};
