/* Weights in several files: found through their index as if they were in one, and what an index from a stranger may not say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "formats/formats.h"
#include "formats/scratch.h"

static const float numbers[] = {1, 2, 3, 4, 5, 6};
static char folder[FV_PATH_MAX];

static const char *path_of(const char *name)
{
    static char path[FV_PATH_MAX];
    assert_int_equal(fv_path_join(path, folder, name, NULL), FV_OK);
    return path;
}

/* A new folder, empty. */
static void begin(void)
{
    static int n;
    char name[16];
    snprintf(name, sizeof name, "model-%d", n++);
    snprintf(folder, sizeof folder, "%s", scratch_path(name));
    assert_int_equal(mkdir(folder, 0777), 0);
}

/* A file with the tensors of a string's letters, two numbers each. */
static void put_shard(const char *name, const char *letters)
{
    fv_st_tensor list[4] = {{0}};
    char names[4][2];
    size_t n = strlen(letters);
    for (size_t i = 0; i < n; i++) {
        names[i][0] = letters[i], names[i][1] = 0;
        list[i] = (fv_st_tensor){.name = names[i], .dtype = FV_F32, .rank = 1, .shape = {2}, .data = numbers + 2 * (letters[i] - 'a'), .bytes = 8};
    }
    assert_int_equal(fv_safetensors_write(path_of(name), list, n, NULL, NULL, 0, NULL), FV_OK);
}

static void put_index(const char *text) { assert_int_equal(fv_file_write(path_of("model.safetensors.index.json"), text, strlen(text), NULL), FV_OK); }

static void put_example(void)
{
    begin();
    put_shard("one.safetensors", "ac");
    put_shard("two.safetensors", "b");
    put_index("{\"metadata\":{\"total_size\":24},\"weight_map\":{\"c\":\"one.safetensors\",\"b\":\"two.safetensors\",\"a\":\"one.safetensors\"}}");
}

static void refused(fv_status expected, const char *part)
{
    fv_err err = {0};
    fv_safetensors file;
    int64_t live = fv_alloc_live();
    fv_status status = fv_safetensors_open_folder(&file, folder, &err);
    if (status != expected) fail_msg("status %d (%s), expected %d with \"%s\"", status, err.text, expected, part);
    if (!strstr(err.text, part) || strncmp(err.text, folder, strlen(folder)) != 0) fail_msg("\"%s\" should begin with the folder and hold \"%s\"", err.text, part);
    assert_int_equal(fv_alloc_live(), live);
    assert_true(fv_safetensors_open_folder(&file, folder, NULL) != FV_OK);
}

/* ---- What is read ---- */

static void shards_are_as_one_file(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_safetensors file;
    put_example();
    if (fv_safetensors_open_folder(&file, folder, &err) != FV_OK) fail_msg("%s", err.text);
    assert_int_equal(file.n, 3);
    for (size_t i = 0; i < 3; i++) {
        const char name[] = {(char)('a' + i), 0};
        const fv_st_tensor *t = fv_safetensors_find(&file, name);
        assert_non_null(t);
        assert_string_equal(t->name, name);
        assert_memory_equal(t->data, numbers + 2 * i, 8);
    }
    assert_null(fv_safetensors_find(&file, "d"));
    assert_non_null(strstr(file.path, "model.safetensors.index.json"));
    fv_safetensors_close(&file);
}

static void a_whole_file_goes_first(void **state)
{
    (void)state;
    fv_safetensors file;
    put_example();
    put_shard("model.safetensors", "a");
    assert_int_equal(fv_safetensors_open_folder(&file, folder, NULL), FV_OK);
    assert_int_equal(file.n, 1);
    fv_safetensors_close(&file);
}

/* What a shard holds beside what the index lists is nobody's. */
static void what_is_not_listed_is_left_alone(void **state)
{
    (void)state;
    fv_safetensors file;
    put_example();
    put_index("{\"weight_map\":{\"c\":\"one.safetensors\"}}");
    assert_int_equal(fv_safetensors_open_folder(&file, folder, NULL), FV_OK);
    assert_int_equal(file.n, 1);
    assert_null(fv_safetensors_find(&file, "a"));
    fv_safetensors_close(&file);
}

/* ---- What is refused ---- */

static void a_folder_without_weights(void **state)
{
    (void)state;
    begin();
    refused(FV_E_IO, ": no weights in it (it ");
    assert_int_equal(fv_file_write(path_of("pytorch_model.bin"), "PK", 2, NULL), FV_OK);
    refused(FV_E_FORMAT, "its weights are in pytorch_model.bin, which can run programs and is not read; expected model.safetensors");
}

static void an_index_lists_files(void **state)
{
    (void)state;
    put_example();
    static const char *const nothing[] = {"{}", "{\"weight_map\":{}}", "{\"weight_map\":[]}", "{\"weight_map\":\"one.safetensors\"}", "[1]"};
    for (size_t i = 0; i < FV_COUNT(nothing); i++) {
        put_index(nothing[i]);
        refused(FV_E_FORMAT, "weight_map is missing or empty; expected the file of every tensor");
    }
    put_index("{\"weight_map\":{\"a\":3}}");
    refused(FV_E_FORMAT, "weight_map: \"a\" is in no name; expected the name of a .safetensors file beside the index");
    put_index("{\"weight_map\":");
    refused(FV_E_FORMAT, "model.safetensors.index.json:1:");
    put_index("{\"weight_map\":{\"a\":\"one.safetensors\",\"a\":\"two.safetensors\"}}");
    refused(FV_E_FORMAT, "a duplicate key");
}

/* Nothing outside the folder is opened: the secret lies right above it, and holds what is asked for. */
static void names_that_lead_elsewhere(void **state)
{
    (void)state;
    char text[FV_PATH_MAX + 64];
    put_example();
    put_shard("../secret.safetensors", "a");
    const char *outside[] = {
        "../secret.safetensors", "./one.safetensors", "x/../../secret.safetensors", "/etc/secret.safetensors", ".safetensors", "..safetensors", ".one.safetensors", "x\\\\one.safetensors",
        "c:one.safetensors", "one.safetensors/", "one.bin", "", "model.safetensors.index.json",
    };
    for (size_t i = 0; i < FV_COUNT(outside); i++) {
        snprintf(text, sizeof text, "{\"weight_map\":{\"c\":\"one.safetensors\",\"a\":\"%s\"}}", outside[i]);
        put_index(text);
        refused(FV_E_FORMAT, "expected the name of a .safetensors file beside the index");
    }
    memset(text, 0, sizeof text);
    snprintf(text, sizeof text, "{\"weight_map\":{\"a\":\"%0300d.safetensors\"}}", 1);
    put_index(text);
    refused(FV_E_FORMAT, "expected the name of a .safetensors file beside the index");
}

static void shards_that_do_not_hold_what_is_said(void **state)
{
    (void)state;
    put_example();
    put_index("{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"gone.safetensors\"}}");
    refused(FV_E_IO, "gone.safetensors: is missing; ");
    refused(FV_E_IO, "model.safetensors.index.json lists 2 such files: fetch the folder again");
    put_index("{\"weight_map\":{\"a\":\"one.safetensors\",\"d\":\"two.safetensors\"}}");
    refused(FV_E_FORMAT, "two.safetensors: no tensor \"d\", which ");
    put_index("{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"three.safetensors\"}}");
    refused(FV_E_IO, "three.safetensors");
    assert_int_equal(fv_file_write(path_of("two.safetensors"), "short", 5, NULL), FV_OK);
    put_index("{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"two.safetensors\"}}");
    refused(FV_E_FORMAT, "two.safetensors: 5 bytes long");
}

static void absurdly_many_shards(void **state)
{
    (void)state;
    fv_buf text = {0};
    begin();
    fv_buf_puts(&text, "{\"weight_map\":{", NULL);
    for (int i = 0; i < 1100; i++) fv_buf_printf(&text, NULL, "%s\"t%d\":\"%d.safetensors\"", i ? "," : "", i, i);
    fv_buf_puts(&text, "}}", NULL);
    put_index(text.data);
    fv_buf_release(&text);
    refused(FV_E_FORMAT, "weight_map names more than 1024 files");
}

static void out_of_memory_leaks_nothing(void **state)
{
    (void)state;
    put_example();
    int64_t live = fv_alloc_live();
    for (int64_t n = 0;; n++) {
        fv_safetensors file;
        fv_alloc_fail_after(n);
        fv_status status = fv_safetensors_open_folder(&file, folder, NULL);
        fv_alloc_fail_after(-1);
        if (status == FV_OK) fv_safetensors_close(&file);
        assert_int_equal(fv_alloc_live(), live);
        if (status == FV_OK) break;
        assert_int_equal(status, FV_E_MEMORY);
        assert_true(n < 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shards_are_as_one_file),
        cmocka_unit_test(a_whole_file_goes_first),
        cmocka_unit_test(what_is_not_listed_is_left_alone),
        cmocka_unit_test(a_folder_without_weights),
        cmocka_unit_test(an_index_lists_files),
        cmocka_unit_test(names_that_lead_elsewhere),
        cmocka_unit_test(shards_that_do_not_hold_what_is_said),
        cmocka_unit_test(absurdly_many_shards),
        cmocka_unit_test(out_of_memory_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
