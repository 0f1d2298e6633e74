/* CTranslate2's files: all versions are read, what is hostile is refused with a message that helps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "formats/ctranslate2.h"
#include "formats/made_ctranslate2.h"
#include "formats/scratch.h"

static fv_err err;

static void save(fv_buf *bytes)
{
    assert_int_equal(fv_file_write(scratch_path("model.bin"), bytes->data, bytes->len, &err), FV_OK);
    fv_buf_release(bytes);
}

/* Takes `bytes` over. */
static void assert_refused(fv_buf *bytes, const char *message)
{
    fv_ctranslate2 m;
    save(bytes);
    int64_t live = fv_alloc_live();
    assert_int_equal(fv_ctranslate2_open(&m, scratch_folder(), &err), FV_E_FORMAT);
    if (!strstr(err.text, message) || !strstr(err.text, "model.bin: ")) fail_msg("\"%s\" does not say \"%s\"", err.text, message);
    assert_null(m.variables);
    assert_int_equal(fv_alloc_live(), live);
    assert_int_equal(fv_ctranslate2_open(&m, scratch_folder(), NULL), FV_E_FORMAT);
}

static const float row_scales[2] = {2, 0.5f};
static const int8_t bytes8[6] = {1, -2, 3, 4, 5, -128};

/* A matrix of 8 bits with its scales, a number, a text. */
static fv_buf example(uint32_t version)
{
    fv_buf b = {0};
    bool typed = version >= 4;
    int8_t eight = 8;
    made_header(&b, version, "TransformerSpec", 7, 4);
    made_variable(&b, typed, "w/weight", FV_I8, 2, 2, 3);
    fv_buf_add(&b, bytes8, sizeof bytes8, NULL);
    made_variable(&b, typed, "w/weight_scale", FV_F32, 1, 2, 0);
    fv_buf_add(&b, row_scales, sizeof row_scales, NULL);
    made_variable(&b, typed, "heads", FV_I8, 0, 0, 0);
    fv_buf_add(&b, &eight, 1, NULL);
    made_variable(&b, typed, "unk_token", FV_I8, 1, 5, 0);
    fv_buf_add(&b, "<unk>", 5, NULL);
    if (version >= 3) {
        made_u32(&b, 1);
        made_string(&b, "also/weight");
        made_string(&b, "w/weight");
    }
    return b;
}

static void expect_rows(const fv_ctranslate2 *m, const char *name)
{
    static const float expected[6] = {0.5f, -1, 1.5f, 8, 10, -256};
    float out[6];
    const fv_st_tensor *t = fv_ctranslate2_find(m, name);
    assert_non_null(t);
    assert_int_equal(fv_ctranslate2_floats(m, t, 0, 2, out, &err), FV_OK);
    assert_memory_equal(out, expected, sizeof out);
    assert_int_equal(fv_ctranslate2_floats(m, t, 1, 1, out, &err), FV_OK);
    assert_memory_equal(out, expected + 3, 3 * sizeof *out);
}

static void all_versions_are_read(void **state)
{
    (void)state;
    for (uint32_t version = 2; version <= 6; version++) {
        fv_buf b = example(version);
        fv_ctranslate2 m;
        double heads = 0, missing = 3;
        const char *unk = NULL, *none = "as it was";
        save(&b);
        if (fv_ctranslate2_open(&m, scratch_folder(), &err) != FV_OK) fail_msg("%s", err.text);
        assert_int_equal(m.version, version);
        assert_int_equal(m.revision, 7);
        assert_string_equal(m.specification, "TransformerSpec");
        assert_int_equal(m.n, version >= 3 ? 6 : 4); /* an alias, and its scale */
        expect_rows(&m, "w/weight");
        if (version >= 3) {
            expect_rows(&m, "also/weight");
            assert_ptr_equal(fv_ctranslate2_find(&m, "also/weight")->data, fv_ctranslate2_find(&m, "w/weight")->data);
        }
        assert_int_equal(fv_ctranslate2_number(&m, "heads", &heads, &err), FV_OK);
        assert_int_equal(fv_ctranslate2_number(&m, "missing", &missing, &err), FV_OK);
        assert_int_equal(fv_ctranslate2_text(&m, "unk_token", &unk, &err), FV_OK);
        assert_int_equal(fv_ctranslate2_text(&m, "missing", &none, &err), FV_OK);
        assert_true(heads == 8 && missing == 3);
        assert_string_equal(unk, "<unk>");
        assert_string_equal(none, "as it was");
        fv_ctranslate2_close(&m);
    }
}

/* One variable of every type, of rank 1 with two numbers and of rank 0 with the first. */
static void all_types_are_read(void **state)
{
    (void)state;
    static const struct { fv_dtype type; uint8_t bytes[8]; double first, second; } types[] = {
        {FV_F32, {0, 0, 0xc0, 0x3f, 0, 0, 0x80, 0xbe}, 1.5, -0.25}, {FV_F16, {0, 0x3e, 0, 0xb4}, 1.5, -0.25},
        {FV_BF16, {0xc0, 0x3f, 0x80, 0xbe}, 1.5, -0.25}, {FV_I16, {0xe8, 3, 0x18, 0xfc}, 1000, -1000},
        {FV_I8, {7, 0xf9}, 7, -7}, {FV_I32, {0, 0, 1, 0, 0xff, 0xff, 0xff, 0xff}, 65536, -1},
    };
    for (size_t i = 0; i < FV_COUNT(types); i++) {
        fv_buf b = {0};
        fv_ctranslate2 m;
        float out[2];
        double number = 0;
        made_header(&b, 6, "S", 1, 2);
        made_variable(&b, true, "vector", types[i].type, 1, 2, 0);
        fv_buf_add(&b, types[i].bytes, 2 * fv_dtype_bytes(types[i].type), NULL);
        made_variable(&b, true, "number", types[i].type, 0, 0, 0);
        fv_buf_add(&b, types[i].bytes, fv_dtype_bytes(types[i].type), NULL);
        made_u32(&b, 0);
        save(&b);
        assert_int_equal(fv_ctranslate2_open(&m, scratch_folder(), &err), FV_OK);
        assert_int_equal(fv_ctranslate2_number(&m, "number", &number, &err), FV_OK);
        assert_true(number == types[i].first);
        fv_status status = fv_ctranslate2_floats(&m, fv_ctranslate2_find(&m, "vector"), 0, 2, out, &err);
        if (fv_dtype_widens(types[i].type)) assert_true(status == FV_OK && out[0] == types[i].first && out[1] == types[i].second);
        else if (types[i].type == FV_I16) assert_true(status == FV_OK && out[0] == 1 && out[1] == -1); /* a scale of 1000 goes unsaid */
        else assert_int_equal(status, FV_E_FORMAT);
        fv_ctranslate2_close(&m);
    }
}

static void expect_scale_refused(fv_dtype type, int rank, uint32_t n, float value, const char *message)
{
    fv_buf b = {0};
    fv_ctranslate2 m;
    float out[6];
    made_header(&b, 2, "S", 1, 2);
    made_variable(&b, false, "w", FV_I8, 2, 2, 3);
    fv_buf_add(&b, bytes8, sizeof bytes8, NULL);
    made_variable(&b, false, "w_scale", type, rank, n, 0);
    for (uint32_t i = 0; i < (rank ? n : 1); i++) fv_buf_add(&b, &value, fv_dtype_bytes(type), NULL);
    save(&b);
    assert_int_equal(fv_ctranslate2_open(&m, scratch_folder(), &err), FV_OK);
    assert_int_equal(fv_ctranslate2_floats(&m, fv_ctranslate2_find(&m, "w"), 0, 2, out, &err), FV_E_FORMAT);
    if (!strstr(err.text, message)) fail_msg("\"%s\" does not say \"%s\"", err.text, message);
    fv_ctranslate2_close(&m);
}

static void scales_must_fit(void **state)
{
    (void)state;
    expect_scale_refused(FV_F32, 1, 3, 1, "\"w_scale\" is F32 of rank 1; expected F32, a number for each row or one for all");
    expect_scale_refused(FV_I8, 1, 2, 1, "\"w_scale\" is I8 of rank 1");
    expect_scale_refused(FV_F32, 1, 2, 0, "scales that can be divided by");
    expect_scale_refused(FV_F32, 0, 0, 1.0f / 0.0f, "scales that can be divided by");
    fv_buf b = example(6);
    fv_ctranslate2 m;
    double number;
    const char *text;
    save(&b);
    assert_int_equal(fv_ctranslate2_open(&m, scratch_folder(), &err), FV_OK);
    assert_int_equal(fv_ctranslate2_number(&m, "unk_token", &number, &err), FV_E_FORMAT);
    assert_int_equal(fv_ctranslate2_text(&m, "w/weight_scale", &text, &err), FV_E_FORMAT);
    fv_ctranslate2_close(&m);
}

/* Cut anywhere, and with anything behind the end, a file is refused. */
static void every_cut_is_refused(void **state)
{
    (void)state;
    fv_buf whole = example(6);
    for (size_t n = 0; n < whole.len; n++) {
        fv_buf part = {0};
        if (n) assert_int_equal(fv_buf_add(&part, whole.data, n, &err), FV_OK);
        assert_refused(&part, " left");
        n += n > 40; /* every second one will do, farther in */
    }
    fv_buf_release(&whole);
}

static void numbers_are_checked(void **state)
{
    (void)state;
    fv_buf b = {0};
    made_header(&b, 7, "S", 1, 0);
    assert_refused(&b, "binary version 7; supported: 2 to 6");
    made_header(&b, 1, "S", 1, 0);
    assert_refused(&b, "binary version 1");
    made_header(&b, 2, "S", 1, UINT32_MAX);
    assert_refused(&b, "the number of variables is 4294967295, more than the 0 bytes left can hold");
    made_header(&b, 3, "S", 1, 0);
    made_u32(&b, 1u << 31);
    assert_refused(&b, "the number of aliases is 2147483648");
    made_header(&b, 6, "S", 1, 0);
    made_u32(&b, 0);
    made_u8(&b, 0);
    assert_refused(&b, "1 bytes are left over");
    made_header(&b, 6, "S", 1, 1);
    made_variable(&b, true, "big", FV_F32, 2, UINT32_MAX, UINT32_MAX);
    assert_refused(&b, "\"big\": has 4 bytes of data; its shape and type need another number");
    made_header(&b, 6, "S", 1, 1);
    made_variable(&b, true, "far", FV_F32, 1, 1000, 0);
    assert_refused(&b, "\"far\": the data at byte");
    made_header(&b, 6, "S", 1, 1);
    made_string(&b, "deep");
    made_u8(&b, 9);
    for (int i = 0; i < 16; i++) made_u32(&b, 1);
    assert_refused(&b, "\"deep\": has 9 dimensions; at most 8");
    made_header(&b, 6, "S", 1, 1);
    made_string(&b, "wide");
    made_u8(&b, 8);
    for (int i = 0; i < 8; i++) made_u32(&b, UINT32_MAX);
    assert_refused(&b, "\"wide\": has more numbers than can be counted");
    made_header(&b, 6, "S", 1, 1);
    made_string(&b, "odd");
    made_u8(&b, 0), made_u8(&b, 6), made_u32(&b, 0), made_u32(&b, 0);
    assert_refused(&b, "\"odd\": type 6; expected 0 to 5");
    made_header(&b, 2, "S", 1, 1);
    made_string(&b, "odd");
    made_u8(&b, 0), made_u8(&b, 8), made_u32(&b, 0), made_u32(&b, 0);
    assert_refused(&b, "\"odd\": numbers of 8 bytes; expected 1, 2 or 4");
}

static void names_are_checked(void **state)
{
    (void)state;
    fv_buf b = {0};
    made_u32(&b, 6), made_u16(&b, 0), made_u32(&b, 1);
    assert_refused(&b, "the name of the specification at byte 6 does not end in its only zero byte");
    made_u32(&b, 6), made_u16(&b, 4), fv_buf_add(&b, "a\0b", 4, NULL), made_u32(&b, 1);
    assert_refused(&b, "does not end in its only zero byte");
    made_header(&b, 6, "S", 1, 2);
    for (int i = 0; i < 2; i++) made_variable(&b, true, "same", FV_I8, 0, 0, 0), made_u8(&b, 1);
    made_u32(&b, 0);
    assert_refused(&b, "variable \"same\" is there twice");
    b = example(6);
    b.len -= strlen("w/weight") + 1;
    fv_buf_add(&b, "w/weighs", strlen("w/weighs") + 1, NULL);
    assert_refused(&b, "an alias stands for \"w/weighs\", which is no variable");
    made_header(&b, 6, "S", 1, 1);
    made_variable(&b, true, "same", FV_I8, 0, 0, 0), made_u8(&b, 1);
    made_u32(&b, 1);
    made_string(&b, "same"), made_string(&b, "same");
    assert_refused(&b, "variable \"same\" is there twice");
}

/* ---- Vocabularies ---- */

static fv_status load(fv_map *tokens, const char *file, const void *bytes, size_t n, bool *found)
{
    assert_int_equal(fv_file_write(scratch_path(file), bytes, n, &err), FV_OK);
    fv_status status = fv_ctranslate2_vocabulary(tokens, found, scratch_folder(), "vocabulary", &err);
    assert_int_equal(fv_file_remove(scratch_path(file), &err), FV_OK);
    return status;
}

static void expect_tokens(const char *file, const char *text, const char *const *expected, size_t n)
{
    fv_map tokens;
    bool found;
    if (load(&tokens, file, text, strlen(text), &found) != FV_OK) fail_msg("%s", err.text);
    assert_true(found);
    assert_int_equal(tokens.n, n);
    for (size_t i = 0; i < n; i++) assert_string_equal(tokens.entries[i].key, expected[i]);
    fv_map_release(&tokens);
}

static void vocabularies_are_read(void **state)
{
    (void)state;
    fv_map tokens;
    bool found;
    expect_tokens("vocabulary.txt", "<s>\n\xd9\x8a\n a\n", (const char *[]){"<s>", "\xd9\x8a", " a"}, 3);
    expect_tokens("vocabulary.txt", "a\nb", (const char *[]){"a", "b"}, 2);
    expect_tokens("vocabulary.txt", "a\r\nb\r\n", (const char *[]){"a", "b"}, 2);
    expect_tokens("vocabulary.txt", "a\r\nb\n", (const char *[]){"a\r", "b"}, 2);
    expect_tokens("vocabulary.txt", "", NULL, 0);
    expect_tokens("vocabulary.json", "[\"<s>\", \"\\u064a\", \"\"]", (const char *[]){"<s>", "\xd9\x8a", ""}, 3);
    assert_int_equal(fv_ctranslate2_vocabulary(&tokens, &found, scratch_folder(), "vocabulary", &err), FV_OK);
    assert_false(found);
}

static void expect_vocabulary_refused(const char *file, const void *bytes, size_t n, const char *message)
{
    fv_map tokens;
    bool found;
    int64_t live = fv_alloc_live();
    assert_int_equal(load(&tokens, file, bytes, n, &found), FV_E_FORMAT);
    if (!strstr(err.text, message) || !strstr(err.text, file)) fail_msg("\"%s\" does not say \"%s\"", err.text, message);
    assert_int_equal(fv_alloc_live(), live);
}

static void vocabularies_are_checked(void **state)
{
    (void)state;
    expect_vocabulary_refused("vocabulary.txt", "a\nb\na\n", 6, "tokens 0 and 2 are both \"a\"");
    expect_vocabulary_refused("vocabulary.txt", "a\n\xff\n", 4, "token 1 is \"\\xFF\"; expected UTF-8");
    expect_vocabulary_refused("vocabulary.txt", "a\0b\n", 4, "token 0 is");
    expect_vocabulary_refused("vocabulary.json", "{\"a\": 0}", 8, "is no list");
    expect_vocabulary_refused("vocabulary.json", "[\"a\", 1]", 8, "entry 1 is no string");
    expect_vocabulary_refused("vocabulary.json", "[\"a\"", 4, "vocabulary.json");
}

static void memory_may_run_out(void **state)
{
    (void)state;
    fv_buf b = example(6);
    save(&b);
    int64_t live = fv_alloc_live();
    int failures = 0;
    for (int64_t n = 0; n < 40; n++) {
        fv_ctranslate2 m;
        fv_alloc_fail_after(n);
        fv_status status = fv_ctranslate2_open(&m, scratch_folder(), &err);
        fv_alloc_fail_after(-1);
        if (status == FV_OK) fv_ctranslate2_close(&m);
        else assert_int_equal(status, FV_E_MEMORY), failures++;
        assert_int_equal(fv_alloc_live(), live);
    }
    assert_true(failures > 4 && failures < 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_versions_are_read),
        cmocka_unit_test(all_types_are_read),
        cmocka_unit_test(scales_must_fit),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(numbers_are_checked),
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(vocabularies_are_read),
        cmocka_unit_test(vocabularies_are_checked),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
