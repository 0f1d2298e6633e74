/* JSON: what is refused and in which words, field readers, printing that reads back, failing memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "formats/scratch.h"

static int64_t live_before;
static fv_err err;

static int remember(void **state)
{
    (void)state;
    live_before = fv_alloc_live();
    err = (fv_err){0};
    return 0;
}

static int nothing_leaked(void **state)
{
    (void)state;
    fv_alloc_fail_after(-1);
    fv_write_fail_after(-1);
    return fv_alloc_live() == live_before ? 0 : -1;
}

static json_t *parsed(const char *text)
{
    json_t *tree = fv_json_parse(text, strlen(text), "c.json", &err);
    if (!tree) fail_msg("%s", err.text);
    return tree;
}

static void refused(const char *text, size_t len, const char *message)
{
    json_t *tree = fv_json_parse(text, len, "c.json", &err);
    assert_null(tree);
    assert_int_equal(err.status, FV_E_FORMAT);
    assert_string_equal(err.text, message);
}

/* ---- Parsing ------------------------------------------------------------------------------ */

static void reads_json(void **state)
{
    (void)state;
    json_t *tree = parsed("\xEF\xBB\xBF{\"猫\": [1, -2.5e3, true, null, \"\\u732b\\n\"], \"o\": {}}\r\n");
    json_t *list = json_object_get(tree, "猫");
    assert_int_equal(json_array_size(list), 5);
    assert_string_equal(json_string_value(json_array_get(list, 4)), "猫\n");
    json_decref(tree);
    tree = parsed("[9223372036854775807, 1000000000000000019884624838656]"); /* the second is how "no limit" is published */
    assert_true(json_integer_value(json_array_get(tree, 0)) == INT64_MAX);
    assert_true(json_is_real(json_array_get(tree, 1)) && json_real_value(json_array_get(tree, 1)) == 1000000000000000019884624838656.0);
    json_decref(tree);
}

static void says_where_and_what(void **state)
{
    (void)state;
    static const struct { const char *text, *begins, *ends; } cases[] = {
        {"", "c.json: is empty", "; expected JSON"},
        {" \r\n\t", "c.json: is empty", "; expected JSON"},
        {"\xEF\xBB\xBF", "c.json: is empty", "; expected JSON"},
        {"{\n  \"a\": 1,\n}", "c.json:3:1: \"}\" instead of a key in quotes", "; expected valid JSON"},
        {"{\"a\" 1}", "c.json:1:6: \"1\" instead of ':'", "; expected valid JSON"},
        {"[1, 2", "c.json:1:6: the end instead of ',' or ']'", "; expected valid JSON"},
        {"[1] [2]", "c.json:1:5: \"[\" instead of the end", "; expected valid JSON"},
        {"nothing", "c.json:1:1: \"n\" instead of '[' or '{'", "; expected valid JSON"},
        {"{\"a\": 1,\n \"a\": 2}", "c.json:2:2: a duplicate key", "; expected each key once"},
        {"[1e999]", "c.json:1:2: a number that is too large", "; expected a number that fits into 64 bits"},
        {"[\"\\ud800x\"]", "c.json:1:3: half of a surrogate pair", "; expected valid JSON"},
        {"[\"\\udc00\"]", "c.json:1:3: half of a surrogate pair", "; expected valid JSON"},
        {"[\"\\ud800\\u0041\"]", "c.json:1:3: half of a surrogate pair", "; expected valid JSON"},
        {"[\"\\u12g4\"]", "c.json:1:7: \"g\" instead of four hexadecimal digits", "; expected valid JSON"},
        {"[\"\\x\"]", "c.json:1:4: \"x\" instead of an escape", "; expected valid JSON"},
        {"[\"a\nb\"]", "c.json:1:4: ", "; expected valid JSON"},
        {"[\"a", "c.json:1:4: the end instead of a closing quote", "; expected valid JSON"},
        {"[01]", "c.json:1:3: \"1\" instead of ',' or ']'", "; expected valid JSON"},
        {"[1.]", "c.json:1:4: \"]\" instead of a digit", "; expected valid JSON"},
        {"[-]", "c.json:1:3: \"]\" instead of a digit", "; expected valid JSON"},
        {"[1e+]", "c.json:1:5: \"]\" instead of a digit", "; expected valid JSON"},
        {"[tru]", "c.json:1:2: \"t\" instead of a value", "; expected valid JSON"},
        {"[1,]", "c.json:1:4: \"]\" instead of a value", "; expected valid JSON"},
        {"[\"\\u0000\"]", "c.json:1:3: a NUL character (\\u0000)", "; expected text without it"},
        {"{\"猫\xff\": 1}", "c.json:1:4: a byte that is not UTF-8", "; expected UTF-8 text"},
        {"[\"\xed\xa0\x80\"]", "c.json:1:3: a byte that is not UTF-8", "; expected UTF-8 text"},
        {"[\"\xe7\x8c", "c.json:1:3: a byte that is not UTF-8", "; expected UTF-8 text"},
    };
    for (size_t i = 0; i < FV_COUNT(cases); i++) {
        assert_null(fv_json_parse(cases[i].text, strlen(cases[i].text), "c.json", &err));
        assert_int_equal(err.status, FV_E_FORMAT);
        const char *end = strstr(err.text, cases[i].ends);
        if (strncmp(err.text, cases[i].begins, strlen(cases[i].begins)) != 0 || !end || strcmp(end, cases[i].ends) != 0) fail_msg("%s", err.text);
    }
}

static void nul_bytes_are_refused(void **state)
{
    (void)state;
    refused("[1]\n\0", 5, "c.json:2:1: a NUL byte; expected text");
    refused("[\"\0\"]", 5, "c.json:1:3: a NUL byte; expected text");
    refused("[\"\\\0\"]", 6, "c.json:1:4: a NUL byte; expected text");
}

static void nested(char *text, int levels)
{
    memset(text, '[', (size_t)levels);
    memset(text + levels, ']', (size_t)levels);
    text[2 * levels] = 0;
}

static void depth_is_bounded(void **state)
{
    (void)state;
    static char text[400001];
    nested(text, 64);
    json_decref(parsed(text));
    nested(text, 65);
    refused(text, strlen(text), "c.json:1:65: a list or object inside more than 64 others; expected at most 64 levels");
    nested(text, 200000);
    assert_null(fv_json_parse(text, strlen(text), "c.json", &err));
    json_decref(parsed("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[\"]"));
}

static void a_message_is_one_safe_line(void **state)
{
    (void)state;
    const char *text = "[ \033[31m\n]";
    assert_null(fv_json_parse(text, strlen(text), "c.json", &err));
    for (const char *p = err.text; *p; p++) assert_true((unsigned char)*p >= 0x20);
}

static void files_are_bounded_and_named(void **state)
{
    (void)state;
    const char *path = scratch_path("config.json");
    assert_int_equal(fv_file_write(path, "{\"a\":\n]", 7, &err), FV_OK);
    assert_null(fv_json_load(path, 100, &err));
    assert_non_null(strstr(err.text, "config.json:2:1: \"]\" instead of a value; expected valid JSON"));
    assert_null(fv_json_load(path, 6, &err));
    assert_int_equal(err.status, FV_E_INPUT);
    assert_null(fv_json_load(scratch_path("missing.json"), 100, &err));
    assert_int_equal(err.status, FV_E_IO);
}

/* ---- Fields ------------------------------------------------------------------------------- */

static const char fields[] = "{\"n\": 7, \"x\": 2.5, \"t\": \"text\", \"b\": true, \"z\": null, \"o\": {}, \"l\": [], \"s\": \"a\\nb\"}";

static void fields_are_read(void **state)
{
    (void)state;
    json_t *o = parsed(fields);
    int64_t n = 0;
    double x = 0, whole = 0;
    bool b = false;
    const char *t = NULL;
    assert_int_equal(fv_json_int(o, "n", true, 7, 7, &n, "f", &err), FV_OK);
    assert_int_equal(fv_json_real(o, "x", true, &x, "f", &err), FV_OK);
    assert_int_equal(fv_json_real(o, "n", true, &whole, "f", &err), FV_OK);
    assert_int_equal(fv_json_bool(o, "b", true, &b, "f", &err), FV_OK);
    assert_int_equal(fv_json_text(o, "t", true, &t, "f", &err), FV_OK);
    assert_int_equal(n, 7);
    assert_true(x == 2.5 && whole == 7 && b);
    assert_string_equal(t, "text");
    json_decref(o);
}

static void missing_fields_keep_their_defaults(void **state)
{
    (void)state;
    json_t *o = parsed(fields);
    int64_t n = 5;
    double x = 6;
    bool b = true;
    const char *t = "default";
    static const char *keys[] = {"missing", "z"};
    for (size_t i = 0; i < FV_COUNT(keys); i++) {
        assert_int_equal(fv_json_int(o, keys[i], false, 0, 9, &n, "f", &err), FV_OK);
        assert_int_equal(fv_json_real(o, keys[i], false, &x, "f", &err), FV_OK);
        assert_int_equal(fv_json_bool(o, keys[i], false, &b, "f", &err), FV_OK);
        assert_int_equal(fv_json_text(o, keys[i], false, &t, "f", &err), FV_OK);
    }
    assert_true(n == 5 && x == 6 && b);
    assert_string_equal(t, "default");
    json_decref(o);
}

static const char *const kinds[] = {"image", "text"};

static void words_are_found_among_those_known(void **state)
{
    (void)state;
    json_t *o = parsed(fields);
    int place = -7;
    assert_int_equal(fv_json_word(o, "missing", false, kinds, 2, &place, "f", &err), FV_OK);
    assert_int_equal(place, -7);
    assert_int_equal(fv_json_word(o, "t", true, kinds, 2, &place, "f", &err), FV_OK);
    assert_int_equal(place, 1);
    json_decref(o);
}

#define WRONG(call, message)                           \
    do {                                               \
        assert_int_equal(call, FV_E_FORMAT);           \
        assert_string_equal(err.text, message);        \
    } while (0)

static void wrong_fields_say_what_was_found(void **state)
{
    (void)state;
    json_t *o = parsed(fields);
    int64_t n = 5;
    double x = 6;
    bool b = true;
    const char *t = "default";
    WRONG(fv_json_int(o, "t", true, 1, 9, &n, "f", &err), "f: t is \"text\"; expected a whole number from 1 to 9");
    WRONG(fv_json_int(o, "n", true, 8, 9, &n, "f", &err), "f: n is 7; expected a whole number from 8 to 9");
    WRONG(fv_json_int(o, "n", true, 1, 6, &n, "f", &err), "f: n is 7; expected a whole number from 1 to 6");
    WRONG(fv_json_int(o, "x", true, 1, 9, &n, "f", &err), "f: x is 2.5; expected a whole number from 1 to 9");
    WRONG(fv_json_int(o, "gone", true, 1, 9, &n, "f", &err), "f: gone is missing; expected a whole number from 1 to 9");
    WRONG(fv_json_real(o, "l", false, &x, "f", &err), "f: l is a list; expected a number");
    WRONG(fv_json_real(o, "z", true, &x, "f", &err), "f: z is missing; expected a number");
    WRONG(fv_json_bool(o, "n", false, &b, "f", &err), "f: n is 7; expected true or false");
    WRONG(fv_json_bool(o, "s", false, &b, "f", &err), "f: s is \"a\\nb\"; expected true or false");
    WRONG(fv_json_text(o, "o", false, &t, "f", &err), "f: o is an object; expected a string");
    WRONG(fv_json_text(o, "b", false, &t, "f", &err), "f: b is true; expected a string");
    WRONG(fv_json_text(json_object_get(o, "l"), "k", false, &t, "f", &err), "f: is a list; expected an object with k");
    int place = -7;
    WRONG(fv_json_word(o, "t", false, (const char *[]){"x", "y"}, 2, &place, "f", &err), "f: t is \"text\"; supported: \"x\", \"y\"");
    WRONG(fv_json_word(o, "n", false, kinds, 2, &place, "f", &err), "f: n is 7; expected a string");
    assert_int_equal(place, -7);
    WRONG(fv_json_text(NULL, "k", false, &t, "f", &err), "f: is nothing; expected an object with k");
    assert_true(n == 5 && x == 6 && b);
    assert_string_equal(t, "default");
    json_decref(o);
}

/* ---- Printing ----------------------------------------------------------------------------- */

static void printed(const char *text, int indent, const char *expected)
{
    fv_buf out = {0};
    json_t *tree = parsed(text);
    assert_int_equal(fv_json_print(tree, indent, &out, &err), FV_OK);
    assert_string_equal(out.data, expected);
    json_t *back = parsed(out.data);
    assert_true(json_equal(tree, back));
    json_decref(back);
    json_decref(tree);
    fv_buf_release(&out);
}

static void prints_what_reads_back(void **state)
{
    (void)state;
    printed("{\"b\": [1, 2.0, 0.1, 1e-12, 1e300], \"a\": {}, \"c\": [], \"d\": null}", 0,
            "{\"b\":[1,2.0,0.1,1e-12,1e+300],\"a\":{},\"c\":[],\"d\":null}");
    printed("[true, false, \"\\\"\\\\\\n\\t\\r\\u0001/猫🐈\"]", 0, "[true,false,\"\\\"\\\\\\n\\t\\r\\u0001/猫🐈\"]");
    printed("{\"a\": [1, {\"b\": 2}], \"\": \"\"}", 2, "{\n  \"a\": [\n    1,\n    {\n      \"b\": 2\n    }\n  ],\n  \"\": \"\"\n}");
    printed("[-9223372036854775808, 9223372036854775807, 0.3333333333333333, -0.0]", 0,
            "[-9223372036854775808,9223372036854775807,0.3333333333333333,-0.0]");
}

static void saves_all_or_nothing(void **state)
{
    (void)state;
    const char *path = scratch_path("saved.json");
    json_t *tree = parsed("{\"a\": 1}");
    assert_int_equal(fv_json_save(tree, path, &err), FV_OK);
    fv_buf text = {0};
    fv_write_fail_after(1);
    assert_int_equal(fv_json_save(tree, path, &err), FV_E_IO);
    assert_int_equal(fv_file_read(path, 100, &text, &err), FV_OK);
    assert_string_equal(text.data, "{\n  \"a\": 1\n}\n");
    fv_buf_release(&text);
    json_decref(tree);
}

/* ---- Memory ------------------------------------------------------------------------------- */

static void parsing_survives_each_failure(void **state)
{
    (void)state;
    const char *path = scratch_path("fields.json");
    assert_int_equal(fv_file_write(path, fields, strlen(fields), &err), FV_OK);
    int64_t failures = 0;
    for (;; failures++) {
        fv_alloc_fail_after(failures);
        json_t *tree = fv_json_load(path, 1000, &err);
        fv_alloc_fail_after(-1);
        if (tree) {
            json_t *expected = parsed(fields);
            assert_true(json_equal(tree, expected));
            json_decref(expected);
            json_decref(tree);
            break;
        }
        assert_int_equal(err.status, FV_E_MEMORY);
        assert_int_equal(fv_alloc_live(), live_before);
    }
    assert_true(failures > 15);
}

static void saving_survives_each_failure(void **state)
{
    (void)state;
    json_t *tree = parsed(fields);
    int64_t live = fv_alloc_live(), failures = 0;
    for (;; failures++) {
        fv_alloc_fail_after(failures);
        fv_status status = fv_json_save(tree, scratch_path("out.json"), &err);
        fv_alloc_fail_after(-1);
        assert_int_equal(fv_alloc_live(), live);
        if (status == FV_OK) break;
        assert_int_equal(status, FV_E_MEMORY);
        assert_false(fv_file_exists(scratch_path("out.json")));
    }
    assert_true(failures >= 4);
    json_decref(tree);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, remember, nothing_leaked)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_json),
        TEST(says_where_and_what),
        TEST(nul_bytes_are_refused),
        TEST(depth_is_bounded),
        TEST(a_message_is_one_safe_line),
        TEST(files_are_bounded_and_named),
        TEST(fields_are_read),
        TEST(missing_fields_keep_their_defaults),
        TEST(words_are_found_among_those_known),
        TEST(wrong_fields_say_what_was_found),
        TEST(prints_what_reads_back),
        TEST(saves_all_or_nothing),
        TEST(parsing_survives_each_failure),
        TEST(saving_survives_each_failure),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
