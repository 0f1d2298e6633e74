/* safetensors: what is written comes back, what is hostile is refused with a message that helps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "formats/formats.h"
#include "formats/scratch.h"

/* A file by hand: the header's length as claimed, the header, and `data_bytes` bytes of data. */
static const char *make_file(uint64_t claimed, const char *header, size_t data_bytes)
{
    const char *path = scratch_path("made.safetensors");
    fv_buf bytes = {0};
    assert_int_equal(fv_buf_add(&bytes, &claimed, sizeof claimed, NULL), FV_OK);
    assert_int_equal(fv_buf_puts(&bytes, header, NULL), FV_OK);
    for (size_t i = 0; i < data_bytes; i++) assert_int_equal(fv_buf_putc(&bytes, (char)i, NULL), FV_OK);
    assert_int_equal(fv_file_write(path, bytes.data, bytes.len, NULL), FV_OK);
    fv_buf_release(&bytes);
    return path;
}

static void assert_refused(const char *path, const char *message)
{
    fv_err err = {0};
    fv_safetensors file;
    int64_t live = fv_alloc_live();
    assert_int_equal(fv_safetensors_open(&file, path, &err), FV_E_FORMAT);
    if (!strstr(err.text, message) || strncmp(err.text, path, strlen(path)) != 0)
        fail_msg("\"%s\" should begin with the path and hold \"%s\"", err.text, message);
    assert_null(file.tensors);
    assert_null(file.map.data);
    assert_int_equal(fv_alloc_live(), live);
    assert_int_equal(fv_safetensors_open(&file, path, NULL), FV_E_FORMAT);
}

static const float weights[6] = {1, 2, 3, 4, 5, 6};
static const int64_t scalar = -7;

static fv_status write_example(const char *path, fv_err *err)
{
    const fv_st_tensor tensors[] = {
        {.name = "layer.weight", .dtype = FV_F32, .rank = 2, .shape = {2, 3}, .data = weights, .bytes = sizeof weights},
        {.name = "empty", .dtype = FV_F16, .rank = 3, .shape = {4, 0, 2}},
        {.name = "a \"scalar\" \xe5\xad\x97", .dtype = FV_I64, .rank = 0, .data = &scalar, .bytes = sizeof scalar},
    };
    const char *const keys[] = {"format", "made by"}, *const values[] = {"pt", "a test"};
    return fv_safetensors_write(path, tensors, FV_COUNT(tensors), keys, values, FV_COUNT(keys), err);
}

static void what_is_written_comes_back(void **state)
{
    (void)state;
    const char *path = scratch_path("example.safetensors");
    fv_err err = {0};
    fv_safetensors file;
    assert_int_equal(write_example(path, &err), FV_OK);
    assert_int_equal(fv_safetensors_open(&file, path, &err), FV_OK);
    assert_int_equal(file.n, 3);

    const fv_st_tensor *weight = fv_safetensors_find(&file, "layer.weight");
    assert_non_null(weight);
    assert_int_equal(weight->dtype, FV_F32);
    assert_int_equal(weight->rank, 2);
    assert_int_equal(weight->shape[0], 2);
    assert_int_equal(weight->shape[1], 3);
    assert_memory_equal(weight->data, weights, sizeof weights);
    assert_int_equal((uintptr_t)weight->data % 64, 0);

    const fv_st_tensor *empty = fv_safetensors_find(&file, "empty");
    assert_non_null(empty);
    assert_int_equal(empty->bytes, 0);
    assert_int_equal(empty->shape[1], 0);

    const fv_st_tensor *one = fv_safetensors_find(&file, "a \"scalar\" \xe5\xad\x97");
    assert_non_null(one);
    assert_int_equal(one->rank, 0);
    assert_memory_equal(one->data, &scalar, sizeof scalar);

    assert_null(fv_safetensors_find(&file, "layer"));
    assert_string_equal(fv_safetensors_meta(&file, "made by"), "a test");
    assert_null(fv_safetensors_meta(&file, "nothing"));
    fv_safetensors_close(&file);
    assert_null(file.path);
}

static void tensors_are_sorted_by_name(void **state)
{
    (void)state;
    fv_safetensors file;
    const char *path = scratch_path("sorted.safetensors");
    assert_int_equal(write_example(path, NULL), FV_OK);
    assert_int_equal(fv_safetensors_open(&file, path, NULL), FV_OK);
    for (size_t i = 1; i < file.n; i++) assert_true(strcmp(file.tensors[i - 1].name, file.tensors[i].name) < 0);
    fv_safetensors_close(&file);
}

static void nothing_is_a_file_too(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_safetensors file;
    const char *path = scratch_path("nothing.safetensors");
    assert_int_equal(fv_safetensors_write(path, NULL, 0, NULL, NULL, 0, &err), FV_OK);
    assert_int_equal(fv_safetensors_open(&file, path, &err), FV_OK);
    assert_int_equal(file.n, 0);
    assert_null(fv_safetensors_find(&file, "x"));
    assert_null(fv_safetensors_meta(&file, "x"));
    fv_safetensors_close(&file);
}

/* What save_file of the Python package safetensors 0.8.0 writes for
 * {"b": numpy.array([1.5, -2], "<f4"), "a": numpy.array(7, "<i8")}, metadata={"format": "np"} */
static void others_files_are_read(void **state)
{
    (void)state;
    static const char header[] = "{\"__metadata__\":{\"format\":\"np\"},\"a\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]},"
                                 "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,16]}}      ";
    fv_safetensors file;
    assert_int_equal(fv_safetensors_open(&file, make_file(sizeof header - 1, header, 16), NULL), FV_OK);
    assert_int_equal(file.n, 2);
    assert_string_equal(fv_safetensors_meta(&file, "format"), "np");
    const uint8_t *b = fv_safetensors_find(&file, "b")->data;
    assert_int_equal(b[0], 8);
    assert_int_equal(b[7], 15);
    fv_safetensors_close(&file);
}

static void headers_that_are_no_headers(void **state)
{
    (void)state;
    const char *path = scratch_path("short.safetensors");
    assert_int_equal(fv_file_write(path, "", 0, NULL), FV_OK);
    assert_refused(path, "0 bytes long");
    assert_int_equal(fv_file_write(path, "1234567", 7, NULL), FV_OK);
    assert_refused(path, "7 bytes long");
    assert_refused(make_file(0, "", 0), "does not begin with {");
    assert_refused(make_file(3, "{}", 0), "header length is 3, but 2 bytes follow; the file is cut short");
    assert_refused(make_file(100 * 1000 * 1000 + 1, "{}", 0), "above the limit of 100000000");
    assert_refused(make_file(UINT64_C(1) << 63, "{}", 0), "header length is 9223372036854775808");
    assert_refused(make_file(UINT64_MAX, "{}", 0), "is it a safetensors file?");
    assert_refused(make_file(2, "[]", 0), "does not begin with {");
    assert_refused(make_file(3, " {}", 0), "does not begin with {");
    assert_refused(make_file(2, "{]", 0), "");
    assert_refused(make_file(3, "{}x", 0), "");
    assert_refused(make_file(7, "{\"a\":1}", 0), "tensor \"a\": its entry is no object");
}

#define ENTRY(dtype, shape, range) "{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" range "}"

static void hostile_headers(void **state)
{
    (void)state;
    static const struct { const char *header; size_t data_bytes; const char *message; } cases[] = {
        {"{\"a\":" ENTRY("\"F4\"", "[1]", "[0,4]") "}", 4, "tensor \"a\": dtype is \"F4\"; expected one of F64 F32"},
        {"{\"a\":" ENTRY("7", "[1]", "[0,4]") "}", 4, "dtype is missing"},
        {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "dtype is missing"},
        {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "shape is missing"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "data_offsets is no list"},
        {"{\"a\":" ENTRY("\"F32\"", "4", "[0,4]") "}", 4, "shape is missing or no list"},
        {"{\"a\":" ENTRY("\"F32\"", "[-1]", "[0,4]") "}", 4, "shape[0] is no whole number"},
        {"{\"a\":" ENTRY("\"F32\"", "[1,1.0]", "[0,4]") "}", 4, "shape[1] is no whole number"},
        {"{\"a\":" ENTRY("\"F32\"", "[\"1\"]", "[0,4]") "}", 4, "shape[0] is no whole number"},
        {"{\"a\":" ENTRY("\"F32\"", "[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, "shape has 9 sizes; at most 8"},
        {"{\"a\":" ENTRY("\"F32\"", "[4611686018427387904]", "[0,0]") "}", 0, "more bytes than can be counted"},
        {"{\"a\":" ENTRY("\"F32\"", "[4294967296,4294967296]", "[0,4]") "}", 4, "more bytes than can be counted"},
        {"{\"a\":" ENTRY("\"F32\"", "[4294967296,4294967296,0]", "[0,0]") "}", 0, "more bytes than can be counted"},
        {"{\"a\":" ENTRY("\"F32\"", "[9223372036854775808]", "[0,4]") "}", 4, ""},
        {"{\"a\":" ENTRY("\"F32\"", "[2]", "[0,4]") "}", 4, "data_offsets has 4 bytes; dtype and shape need 8"},
        {"{\"a\":" ENTRY("\"F32\"", "[1]", "[0,8]") "}", 4, "data_offsets ends at 8, but the file has 4 bytes of data; it may be cut"},
        {"{\"a\":" ENTRY("\"F32\"", "[1]", "[4,0]") "}", 4, "data_offsets is [4, 0]; expected 0 <= begin <= end"},
        {"{\"a\":" ENTRY("\"F32\"", "[1]", "[-4,0]") "}", 4, "data_offsets is [-4, 0]"},
        {"{\"a\":" ENTRY("\"F32\"", "[1]", "[0,4,8]") "}", 4, "data_offsets is no list of two"},
        {"{\"a\":" ENTRY("\"F32\"", "[1]", "[0,4.0]") "}", 4, "data_offsets is no list of two"},
        {"{\"a\":" ENTRY("\"F32\"", "[1]", "{\"0\":0}") "}", 4, "data_offsets is no list of two"},
        {"{\"a\":" ENTRY("\"F32\"", "[1]", "[0,9223372036854775807]") "}", 4, "data_offsets ends at 9223372036854775807"},
        {"{\"a\":" ENTRY("\"U8\"", "[2]", "[0,2]") ",\"b\":" ENTRY("\"U8\"", "[2]", "[1,3]") "}", 3, "tensor \"b\": data_offsets begins at 1, which leaves an overlap"},
        {"{\"a\":" ENTRY("\"U8\"", "[2]", "[0,2]") ",\"b\":" ENTRY("\"U8\"", "[2]", "[0,2]") "}", 2, "leaves an overlap"},
        {"{\"a\":" ENTRY("\"U8\"", "[2]", "[0,2]") ",\"b\":" ENTRY("\"U8\"", "[2]", "[3,5]") "}", 5, "begins at 3, which leaves a gap; expected 2"},
        {"{\"a\":" ENTRY("\"U8\"", "[2]", "[1,3]") "}", 3, "begins at 1, which leaves a gap; expected 0"},
        {"{\"a\":" ENTRY("\"U8\"", "[0]", "[1,1]") ",\"b\":" ENTRY("\"U8\"", "[2]", "[0,2]") "}", 2, "overlap"},
        {"{\"a\":" ENTRY("\"U8\"", "[2]", "[0,2]") "}", 3, "3 bytes of data; the header's tensors have 2"},
        {"{}", 1, "1 bytes of data; the header's tensors have 0"},
        {"{\"a\":" ENTRY("\"U8\"", "[1]", "[0,1]") ",\"a\":" ENTRY("\"U8\"", "[1]", "[0,1]") "}", 1, ""},
        {"{\"__metadata__\":{\"x\":1}}", 0, "__metadata__: \"x\" is no string"},
        {"{\"__metadata__\":[]}", 0, "__metadata__ is no object"},
        {"{\"a\\u0000b\":" ENTRY("\"U8\"", "[1]", "[0,1]") "}", 1, ""},
        {"{\"\xff\":" ENTRY("\"U8\"", "[1]", "[0,1]") "}", 1, ""},
        {"{\"a\x1b\":" ENTRY("\"U8\"", "[1]", "[0,1]") "}", 1, ""},
    };
    for (size_t i = 0; i < FV_COUNT(cases); i++)
        assert_refused(make_file(strlen(cases[i].header), cases[i].header, cases[i].data_bytes), cases[i].message);
}

static void deep_json_is_refused(void **state)
{
    (void)state;
    enum { DEEP = 1000 * 1000 };
    char *header = malloc(DEEP + 6);
    assert_non_null(header);
    memcpy(header, "{\"a\":", 5);
    memset(header + 5, '[', DEEP);
    header[DEEP + 5] = 0;
    assert_refused(make_file(DEEP + 5, header, 0), "");
    free(header);
}

static void odd_but_fine(void **state)
{
    (void)state;
    static const struct { const char *header; size_t data_bytes, n; } cases[] = {
        {"{}", 0, 0},
        {"{}   ", 0, 0},
        {"{\"__metadata__\":null}", 0, 0},
        {"{\"__metadata__\":{}}", 0, 0},
        {"{\"\":" ENTRY("\"U8\"", "[1]", "[0,1]") "}", 1, 1},
        {"{\"a\":{\"more\":1,\"dtype\":\"BF16\",\"shape\":[],\"data_offsets\":[0,2]}}", 2, 1},
        {"{\"z\":" ENTRY("\"U8\"", "[0]", "[2,2]") ",\"b\":" ENTRY("\"U8\"", "[2]", "[0,2]") ",\"a\":" ENTRY("\"U8\"", "[0,9]", "[0,0]") "}", 2, 3},
    };
    for (size_t i = 0; i < FV_COUNT(cases); i++) {
        fv_err err = {0};
        fv_safetensors file;
        if (fv_safetensors_open(&file, make_file(strlen(cases[i].header), cases[i].header, cases[i].data_bytes), &err) != FV_OK)
            fail_msg("%s: %s", cases[i].header, err.text);
        assert_int_equal(file.n, cases[i].n);
        fv_safetensors_close(&file);
    }
}

static void cut_anywhere_is_refused(void **state)
{
    (void)state;
    const char *whole = scratch_path("whole.safetensors"), *cut = scratch_path("cut.safetensors");
    fv_buf bytes = {0};
    assert_int_equal(write_example(whole, NULL), FV_OK);
    assert_int_equal(fv_file_read(whole, 1 << 20, &bytes, NULL), FV_OK);
    for (size_t n = 0; n < bytes.len; n += n < 16 || n + 16 > bytes.len ? 1 : 13) {
        assert_int_equal(fv_file_write(cut, bytes.data, n, NULL), FV_OK);
        assert_refused(cut, "");
    }
    fv_buf_release(&bytes);
}

static void missing_files_and_folders(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_safetensors file;
    assert_int_equal(fv_safetensors_open(&file, scratch_path("missing"), &err), FV_E_IO);
    assert_non_null(strstr(err.text, "missing"));
    assert_int_not_equal(fv_safetensors_open(&file, scratch_folder(), &err), FV_OK);
}

static void bad_tensors_are_not_written(void **state)
{
    (void)state;
    static const struct { fv_st_tensor tensors[2]; size_t n; const char *message; } cases[] = {
        {{{.name = "a", .dtype = FV_U8, .rank = 1, .shape = {3}, .data = weights, .bytes = 2}}, 1, "\"a\" has 2 bytes; its dtype and shape need 3"},
        {{{.name = "a", .dtype = FV_U8, .data = weights, .bytes = 1}, {.name = "a", .dtype = FV_U8, .data = weights, .bytes = 1}}, 2, "\"a\" is given twice"},
        {{{.name = "__metadata__", .dtype = FV_U8, .data = weights, .bytes = 1}}, 1, "another meaning"},
        {{{.name = "\xff", .dtype = FV_U8, .data = weights, .bytes = 1}}, 1, "not UTF-8"},
    };
    const char *path = scratch_path("refused.safetensors");
    for (size_t i = 0; i < FV_COUNT(cases); i++) {
        fv_err err = {0};
        assert_int_equal(fv_safetensors_write(path, cases[i].tensors, cases[i].n, NULL, NULL, 0, &err), FV_E_ARGUMENT);
        if (!strstr(err.text, cases[i].message) || !strstr(err.text, path)) fail_msg("\"%s\" should hold \"%s\"", err.text, cases[i].message);
        assert_false(fv_file_exists(path));
    }
}

/* Every allocation fails once, when writing and when reading; nothing leaks and the old file stays. */
static void full_heap(void **state)
{
    (void)state;
    const char *path = scratch_path("heap.safetensors");
    fv_safetensors file;
    fv_status status = FV_E_MEMORY;
    int64_t live = fv_alloc_live();
    for (int n = 0; status != FV_OK && n < 1000; n++) {
        fv_alloc_fail_after(n);
        status = write_example(path, NULL);
        fv_alloc_fail_after(-1);
        if (status != FV_OK) assert_int_equal(fv_alloc_live(), live);
        assert_int_equal(fv_file_exists(path), status == FV_OK);
    }
    assert_int_equal(status, FV_OK);
    assert_int_equal(fv_alloc_live(), live);
    status = FV_E_MEMORY;
    for (int n = 0; status != FV_OK && n < 1000; n++) {
        fv_err err = {0};
        fv_alloc_fail_after(n);
        status = fv_safetensors_open(&file, path, &err);
        fv_alloc_fail_after(-1);
        if (status != FV_OK) { /* jansson takes some of its full heaps for bad JSON, so the kind is open */
            assert_int_equal(err.status, status);
            assert_int_equal(fv_alloc_live(), live);
        }
    }
    assert_int_equal(status, FV_OK);
    fv_safetensors_close(&file);
    assert_int_equal(fv_alloc_live(), live);
}

static void full_disk(void **state)
{
    (void)state;
    const char *path = scratch_path("disk.safetensors");
    fv_buf before = {0}, after = {0};
    assert_int_equal(fv_safetensors_write(path, NULL, 0, NULL, NULL, 0, NULL), FV_OK);
    assert_int_equal(fv_file_read(path, 1 << 20, &before, NULL), FV_OK);
    for (int n = 0; n < 3; n++) {
        fv_write_fail_after(n);
        fv_status status = write_example(path, NULL);
        fv_write_fail_after(-1);
        if (status == FV_OK) {
            assert_true(n > 0);
            break;
        }
        assert_int_equal(status, FV_E_IO);
        assert_int_equal(fv_file_read(path, 1 << 20, &after, NULL), FV_OK);
        assert_int_equal(after.len, before.len);
        assert_memory_equal(after.data, before.data, before.len);
    }
    fv_buf_release(&before);
    fv_buf_release(&after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_comes_back),
        cmocka_unit_test(tensors_are_sorted_by_name),
        cmocka_unit_test(nothing_is_a_file_too),
        cmocka_unit_test(others_files_are_read),
        cmocka_unit_test(headers_that_are_no_headers),
        cmocka_unit_test(hostile_headers),
        cmocka_unit_test(deep_json_is_refused),
        cmocka_unit_test(odd_but_fine),
        cmocka_unit_test(cut_anywhere_is_refused),
        cmocka_unit_test(missing_files_and_folders),
        cmocka_unit_test(bad_tensors_are_not_written),
        cmocka_unit_test(full_heap),
        cmocka_unit_test(full_disk),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
