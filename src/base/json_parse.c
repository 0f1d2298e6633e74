/* JSON (RFC 8259) to a jansson tree, from files of strangers: depth is bounded, keys are told once, text is
 * UTF-8 without NUL, numbers fit into 64 bits (whole ones that do not are taken as real), and what is wrong is
 * named with line and column.
 *
 * jansson's own parser is left out because it is not safe when memory runs out: its lexer does not see that a
 * byte of a string could not be kept, and then reads and writes past the end. Its values are safe, and their
 * functions say when they could not be made. */
#include <string.h>

#include "base/json.h"

#define DEPTH_MAX 64 /* lists and objects inside each other: trees are walked by recursion, here and later */

struct parser {
    const char *begin, *p, *end; /* all, what comes next, the end */
    const char *where;
    int depth;
    fv_buf text; /* of a string or number, while it is read */
    fv_err *err;
};

static json_t *value(struct parser *s);

/* ---- What can be wrong -------------------------------------------------------------------- */

/* Always false, like all that fails here. */
static bool refuse(const struct parser *s, const char *at, const char *found, const char *expected)
{
    int line = 1;
    long column = 1; /* in characters */
    for (const char *p = s->begin; p < at; p++) {
        column += ((unsigned char)*p & 0xC0) != 0x80;
        if (*p == '\n') line++, column = 1;
    }
    FV_FAIL(s->err, FV_E_FORMAT, "%s:%d:%ld: %s; expected %s", s->where, line, column, found, expected);
    return false;
}

static bool no_memory(const struct parser *s)
{
    FV_FAIL(s->err, FV_E_MEMORY, "%s: out of memory; close other programs", s->where);
    return false;
}

/* The next character is not what should stand there. */
static bool instead_of(const struct parser *s, const char *wanted)
{
    char found[160];
    fv_shown room;
    int n = s->p < s->end ? fv_utf8_len(s->p, s->end) : 0;
    if (s->p == s->end) snprintf(found, sizeof found, "the end instead of %s", wanted);
    else if (*s->p == 0) return refuse(s, s->p, "a NUL byte", "text");
    else if (n == 0) return refuse(s, s->p, "a byte that is not UTF-8", "UTF-8 text");
    else snprintf(found, sizeof found, "%s instead of %s", fv_show(&room, s->p, (size_t)n), wanted);
    return refuse(s, s->p, found, "valid JSON");
}

static void skip_blanks(struct parser *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r')) s->p++;
}

/* Passes over the character if it comes next, after blanks. */
static bool took(struct parser *s, char c)
{
    skip_blanks(s);
    if (s->p == s->end || *s->p != c) return false;
    s->p++;
    return true;
}

/* ---- Strings ------------------------------------------------------------------------------ */

static bool add(struct parser *s, const char *bytes, size_t n)
{
    return fv_buf_add(&s->text, bytes, n, s->err) == FV_OK;
}

/* Four hexadecimal digits, or -1 with p at what is none. */
static int32_t hex4(struct parser *s)
{
    static const char digits[] = "0123456789abcdef";
    int32_t code = 0;
    for (int i = 0; i < 4; i++, s->p++) {
        char c = s->p < s->end ? *s->p : 0;
        if (c >= 'A' && c <= 'F') c = (char)(c + 'a' - 'A');
        const char *digit = c ? strchr(digits, c) : NULL;
        if (!digit) return instead_of(s, "four hexadecimal digits") - 1;
        code = 16 * code + (int32_t)(digit - digits);
    }
    return code;
}

static bool add_code(struct parser *s, uint32_t code)
{
    char utf8[4];
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = n; i-- > 1; code >>= 6) utf8[i] = (char)(0x80 | (code & 0x3F));
    utf8[0] = (char)(lead[n] | code);
    return add(s, utf8, n);
}

/* After "\u": one character, which takes two escapes beyond U+FFFF. */
static bool unicode_escape(struct parser *s, const char *begin)
{
    int32_t code = hex4(s), low;
    if (code < 0) return false;
    if (code == 0) return refuse(s, begin, "a NUL character (\\u0000)", "text without it");
    if (code < 0xD800 || code > 0xDFFF) return add_code(s, (uint32_t)code);
    if (code > 0xDBFF || s->end - s->p < 2 || s->p[0] != '\\' || s->p[1] != 'u') return refuse(s, begin, "half of a surrogate pair", "valid JSON");
    s->p += 2;
    if ((low = hex4(s)) < 0) return false;
    if (low < 0xDC00 || low > 0xDFFF) return refuse(s, begin, "half of a surrogate pair", "valid JSON");
    return add_code(s, 0x10000 + ((uint32_t)(code - 0xD800) << 10) + (uint32_t)(low - 0xDC00));
}

static bool escape(struct parser *s)
{
    static const char letters[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
    const char *begin = s->p++;
    char c = s->p < s->end ? *s->p : 0;
    const char *letter = c ? strchr(letters, c) : NULL;
    if (!letter && c != 'u') return instead_of(s, "an escape");
    s->p++;
    return letter ? add(s, &means[letter - letters], 1) : unicode_escape(s, begin);
}

/* All up to the next quote, escape or mistake. */
static bool plain_part(struct parser *s)
{
    const char *begin = s->p;
    while (s->p < s->end && *s->p != '"' && *s->p != '\\') {
        int n = (unsigned char)*s->p < 0x80 ? (unsigned char)*s->p >= 0x20 : fv_utf8_len(s->p, s->end);
        if (n == 0) return instead_of(s, "text without line breaks and control characters");
        s->p += n;
    }
    return add(s, begin, (size_t)(s->p - begin));
}

static json_t *string(struct parser *s)
{
    s->text.len = 0;
    for (s->p++; plain_part(s);) {
        if (s->p == s->end) return instead_of(s, "a closing quote"), NULL;
        if (*s->p == '\\') {
            if (!escape(s)) return NULL;
            continue;
        }
        s->p++;
        json_t *made = json_stringn_nocheck(s->text.data, s->text.len);
        return made ? made : (no_memory(s), NULL);
    }
    return NULL;
}

/* ---- Numbers and words -------------------------------------------------------------------- */

static bool digits(struct parser *s)
{
    const char *begin = s->p;
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9') s->p++;
    return s->p > begin || instead_of(s, "a digit");
}

static bool next_is(const struct parser *s, const char *any)
{
    return s->p < s->end && *s->p && strchr(any, *s->p);
}

/* Passes over a number; *real says that it has a point or an exponent. */
static bool number_ends(struct parser *s, bool *real)
{
    *real = false;
    if (*s->p == '-') s->p++;
    if (next_is(s, "0")) s->p++;
    else if (!digits(s)) return false;
    if (next_is(s, ".")) {
        s->p++, *real = true;
        if (!digits(s)) return false;
    }
    if (!next_is(s, "eE")) return true;
    s->p++, *real = true;
    if (next_is(s, "+-")) s->p++;
    return digits(s);
}

static json_t *number(struct parser *s)
{
    const char *begin = s->p;
    double real = 0;
    int64_t whole = 0;
    bool is_real;
    s->text.len = 0;
    if (!number_ends(s, &is_real) || !add(s, begin, (size_t)(s->p - begin))) return NULL;
    if (!is_real && !fv_parse_int64(s->text.data, &whole)) is_real = true; /* published files write "no limit" as a 1 and thirty digits */
    if (is_real && !fv_parse_double(s->text.data, &real))
        return refuse(s, begin, "a number that is too large", "a number that fits into 64 bits"), NULL;
    json_t *made = is_real ? json_real(real) : json_integer(whole);
    return made ? made : (no_memory(s), NULL);
}

static bool took_word(struct parser *s, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0) return false;
    s->p += n;
    return true;
}

/* ---- Lists and objects -------------------------------------------------------------------- */

static bool add_items(struct parser *s, json_t *list)
{
    if (took(s, ']')) return true;
    for (;;) {
        json_t *item = value(s);
        if (!item) return false;
        if (json_array_append_new(list, item) != 0) return no_memory(s);
        if (took(s, ']')) return true;
        if (!took(s, ',')) return instead_of(s, "',' or ']'");
    }
}

static bool add_field(struct parser *s, json_t *object, const char *key, const char *begin)
{
    if (json_object_get(object, key)) return refuse(s, begin, "a duplicate key", "each key once");
    if (!took(s, ':')) return instead_of(s, "':'");
    json_t *field = value(s);
    if (!field) return false;
    return json_object_set_new_nocheck(object, key, field) == 0 || no_memory(s);
}

static bool add_fields(struct parser *s, json_t *object)
{
    if (took(s, '}')) return true;
    for (;;) {
        skip_blanks(s);
        const char *begin = s->p;
        if (!next_is(s, "\"")) return instead_of(s, "a key in quotes");
        json_t *key = string(s);
        bool added = key && add_field(s, object, json_string_value(key), begin);
        json_decref(key);
        if (!added) return false;
        if (took(s, '}')) return true;
        if (!took(s, ',')) return instead_of(s, "',' or '}'");
    }
}

static json_t *filled(struct parser *s, json_t *made, bool (*fill)(struct parser *, json_t *))
{
    if (!made) return no_memory(s), NULL;
    if (s->depth == DEPTH_MAX) refuse(s, s->p, "a list or object inside more than 64 others", "at most 64 levels");
    else {
        s->p++, s->depth++;
        bool whole = fill(s, made);
        s->depth--;
        if (whole) return made;
    }
    json_decref(made);
    return NULL;
}

static json_t *value(struct parser *s)
{
    skip_blanks(s);
    if (next_is(s, "[")) return filled(s, json_array(), add_items);
    if (next_is(s, "{")) return filled(s, json_object(), add_fields);
    if (next_is(s, "\"")) return string(s);
    if (next_is(s, "-0123456789")) return number(s);
    if (took_word(s, "true")) return json_true();
    if (took_word(s, "false")) return json_false();
    if (took_word(s, "null")) return json_null();
    return instead_of(s, "a value"), NULL;
}

/* ---- All of it ---------------------------------------------------------------------------- */

static json_t *parse(struct parser *s)
{
    skip_blanks(s);
    if (s->p == s->end) {
        FV_FAIL(s->err, FV_E_FORMAT, "%s: is empty; expected JSON", s->where);
        return NULL;
    }
    if (!next_is(s, "[{")) return instead_of(s, "'[' or '{'"), NULL;
    json_t *tree = value(s);
    skip_blanks(s);
    if (!tree || s->p == s->end) return tree;
    instead_of(s, "the end");
    json_decref(tree);
    return NULL;
}

json_t *fv_json_parse(const char *text, size_t len, const char *where, fv_err *err)
{
    if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) text += 3, len -= 3; /* a byte-order mark */
    struct parser s = {.begin = text, .p = text, .end = text + len, .where = where, .err = err};
    json_t *tree = parse(&s);
    fv_buf_release(&s.text);
    return tree;
}
