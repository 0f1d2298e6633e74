/* JSON lines: one object a line. Texts are strings; a label may be a string, a number, or an array
 * of these for several labels, which are joined by commas. A text may also be an array of words, and
 * the label then one of tags: these are joined by spaces.
 *
 * The trap: values point into the row's tree, so it must live until the next row is asked for. */
#include "data/reader.h"

#include <string.h>

#include "base/json.h"
#include "data/tags.h"

static bool is_blank(const fv_lines *l)
{
    for (size_t i = 0; i < l->len; i++)
        if (!strchr(" \t\r", l->text[i]) || l->text[i] == '\0') return false;
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

static int bad_element(const fv_want *want, const char *found, const char *advice, fv_err *err)
{
    fv_err_set(err, FV_E_INPUT, "field \"%s\" is an array that holds %s; %s", want->name, found, advice);
    return FV_ROW_BAD;
}

/* ---- Words and their tags ----------------------------------------------------------------- */

static int add_word(fv_buf *to, const fv_want *want, const json_t *value, fv_err *err)
{
    fv_shown room;
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    if (!text) return bad_element(want, type_name(value), "expected strings, one for each word", err);
    if (!fv_word_is_one(text, len)) return bad_element(want, fv_show(&room, text, len), "expected one word, without spaces, in each string", err);
    fv_status status = fv_buf_add(to, text, len, err);
    return status == FV_OK ? 1 : status;
}

/* An array's strings with a space between them. */
static int join_words(fv_buf *to, fv_want *want, const json_t *array, fv_err *err)
{
    to->len = 0;
    fv_status status = fv_buf_add(to, "", 0, err); /* an empty array is an empty text, not a missing one */
    int rc = status == FV_OK ? 1 : status;
    for (size_t i = 0; i < json_array_size(array) && rc == 1; i++) {
        status = i > 0 ? fv_buf_putc(to, ' ', err) : FV_OK;
        rc = status == FV_OK ? add_word(to, want, json_array_get(array, i), err) : status;
    }
    want->value = to->data;
    want->len = to->len;
    return rc;
}

/* The text is one array: then the label holds a tag for each word. */
static bool is_words(const fv_reader *r)
{
    return r->n_text == 1 && json_is_array(json_object_get(r->object, r->wants[0].name));
}

/* ---- Labels ------------------------------------------------------------------------------- */

static int add_name(fv_reader *r, const fv_want *want, const json_t *value, fv_err *err)
{
    fv_shown room;
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    if (text[strspn(text, " ")] == '\0') return bad_element(want, "an empty label", "expected names", err);
    if (memchr(text, ',', len))
        return bad_element(want, fv_show(&room, text, len), "its comma would separate labels: rename the label", err);
    fv_status status = fv_buf_add(&r->made, text, len, err);
    return status == FV_OK ? 1 : status;
}

static int add_number(fv_reader *r, const json_t *value, fv_err *err)
{
    fv_status status = fv_json_print(value, 0, &r->made, err);
    return status == FV_OK ? 1 : status;
}

static int add_element(fv_reader *r, const fv_want *want, const json_t *value, fv_err *err)
{
    if (json_is_number(value)) return add_number(r, value, err);
    if (json_is_string(value)) return add_name(r, want, value, err);
    return bad_element(want, type_name(value), "expected names", err);
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
    else if (rc == 1 && json_is_number(value)) rc = add_number(r, value, err);
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
    if (is_words(r) && want == &r->wants[0]) return join_words(&r->words, want, value, err);
    if (is_words(r) && want->is_label && json_is_array(value)) return join_words(&r->made, want, value, err);
    return want->is_label ? make_label(r, want, value, err) : bad_type(want, value, "a string", err);
}

/* fv_json_parse says "line:1:COLUMN: …", for the line is all that it sees. */
static int not_json(const fv_reader *r, const fv_err *e, fv_err *err)
{
    static const char where[] = "line:1:";
    if (e->status == FV_E_MEMORY) return FV_FAIL(err, FV_E_MEMORY, "%s:%lld: out of memory", r->lines.name, (long long)r->at_line);
    bool told = strncmp(e->text, where, sizeof where - 1) == 0;
    fv_err_set(err, FV_E_INPUT, "not a JSON object%s%s", told ? ", column " : ": ", told ? e->text + sizeof where - 1 : e->text);
    return FV_ROW_BAD;
}

/* The line as r->object. */
static int parse(fv_reader *r, fv_err *err)
{
    fv_err e;
    json_decref(r->object);
    r->object = fv_json_parse(r->lines.text, r->lines.len, "line", &e);
    if (!r->object) return not_json(r, &e, err);
    if (json_is_object((json_t *)r->object)) return 1;
    fv_err_set(err, FV_E_INPUT, "the line is %s; expected an object, one a line", type_name(r->object));
    return FV_ROW_BAD;
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
