/* fv_convert: all of a folder or nothing of it; and the models of ../shared/models, where they are, translate as the
 * tool does: tests/golden/transliteration.py recorded what it says. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "formats/made_ctranslate2.h"
#include "formats/scratch.h"
#include "models/encoder.h"
#include "models/seq2seq.h"

static fv_err err;

static void put(const char *path, const char *name, const char *text)
{
    char file[FV_PATH_MAX];
    assert_int_equal(fv_path_join(file, path, name, &err), FV_OK);
    assert_int_equal(fv_file_write(file, text, strlen(text), &err), FV_OK);
}

/* A folder with a small model, of 8 bits as they come. */
static const char *make_input(void)
{
    const char *in = scratch_path("in");
    char file[FV_PATH_MAX];
    fv_buf bytes = {0};
    made_translator_file(&bytes, &(made_translator){.weights = FV_I8, .tied = true});
    assert_int_equal(fv_folder_make(in, &err), FV_OK);
    assert_int_equal(fv_path_join(file, in, "model.bin", &err), FV_OK);
    assert_int_equal(fv_file_write(file, bytes.data, bytes.len, &err), FV_OK);
    fv_buf_release(&bytes);
    put(in, "config.json", "{\"add_source_eos\": true, \"decoder_start_token\": \"</s>\"}");
    put(in, "source_vocabulary.txt", "</s>\na\n\"b\\\n");
    put(in, "target_vocabulary.json", "[\"</s>\", \"<unk>\", \"x\", \"\\u00e9\"]");
    return in;
}

static json_t *load(const char *folder, const char *name)
{
    char path[FV_PATH_MAX];
    assert_int_equal(fv_path_join(path, folder, name, &err), FV_OK);
    json_t *tree = fv_json_load(path, 1 << 20, &err);
    if (!tree) fail_msg("%s", err.text);
    return tree;
}

static void open_model(fv_seq2seq *model, fv_safetensors *file, const char *folder)
{
    char path[FV_PATH_MAX];
    fv_seq2seq_config config;
    json_t *tree = load(folder, "config.json");
    assert_int_equal(fv_path_join(path, folder, "model.safetensors", &err), FV_OK);
    if (fv_seq2seq_config_from_json(&config, tree, "config.json", &err) != FV_OK || fv_seq2seq_init(model, &config, &err) != FV_OK ||
        fv_safetensors_open(file, path, &err) != FV_OK || fv_weights_map(&model->params, file, &err) != FV_OK) fail_msg("%s", err.text);
    json_decref(tree);
}

static int64_t token(const json_t *vocabulary, const char *text)
{
    const json_t *id = json_object_get(vocabulary, text);
    return id ? json_integer_value(id) : -1;
}

static void expect_hash(const char *folder, const char *name)
{
    char path[FV_PATH_MAX], hex[65];
    json_t *record = load(folder, "fovea.json");
    assert_int_equal(fv_path_join(path, folder, name, &err), FV_OK);
    assert_int_equal(fv_sha256_file(path, hex, &err), FV_OK);
    assert_string_equal(json_string_value(json_object_get(json_object_get(record, "files"), name)), hex);
    json_decref(record);
}

static void a_folder_is_made(void **state)
{
    (void)state;
    const char *in = make_input(), *out = scratch_path("deep/er/out");
    fv_seq2seq model;
    fv_safetensors file;
    if (fv_convert(in, out, NULL, &err) != FV_OK) fail_msg("%s", err.text);
    open_model(&model, &file, out);
    assert_true(model.config.tied && !model.config.shared);
    fv_seq2seq_release(&model);
    fv_safetensors_close(&file);
    json_t *source = load(out, "vocab.json"), *target = load(out, "target_vocab.json"), *record = load(out, "fovea.json");
    assert_true(token(source, "</s>") == 0 && token(source, "\"b\\") == 2 && token(source, "<unk>") == 3);
    assert_true(token(target, "\xc3\xa9") == 3 && json_object_size(target) == 4);
    assert_string_equal(json_string_value(json_object_get(record, "task")), "translate");
    expect_hash(out, "model.safetensors");
    expect_hash(out, "target_vocab.json");
    json_decref(source), json_decref(target), json_decref(record);
}

static void pieces_are_taken_along(void **state)
{
    (void)state;
    const char *in = make_input(), *out = scratch_path("with-pieces");
    put(in, "source.spm", "as it is");
    if (fv_convert(in, out, NULL, &err) != FV_OK) fail_msg("%s", err.text);
    expect_hash(out, "source.spm");
    assert_false(fv_file_exists(scratch_path("with-pieces/target.spm")));
    assert_int_equal(fv_file_remove(scratch_path("in/source.spm"), &err), FV_OK);
}

static void nothing_is_overwritten(void **state)
{
    (void)state;
    const char *in = make_input(), *out = scratch_path("taken");
    assert_int_equal(fv_folder_make(out, &err), FV_OK);
    put(out, "note.txt", "mine");
    assert_int_equal(fv_convert(in, out, NULL, &err), FV_E_ARGUMENT);
    assert_non_null(strstr(err.text, "taken: is there already"));
    assert_int_equal(fv_file_remove(scratch_path("taken/note.txt"), &err), FV_OK);
    if (fv_convert(in, out, NULL, &err) != FV_OK) fail_msg("%s", err.text); /* an empty folder is as good as none */
    assert_int_equal(fv_convert(in, "", NULL, &err), FV_E_ARGUMENT);
    assert_int_equal(fv_convert(in, scratch_path("taken/vocab.json"), NULL, &err), FV_E_ARGUMENT);
}

static void what_is_no_model_is_refused(void **state)
{
    (void)state;
    assert_int_equal(fv_convert(scratch_path("none"), scratch_path("o"), NULL, &err), FV_E_IO);
    assert_non_null(strstr(err.text, "none: no such folder"));
    assert_int_equal(fv_convert(scratch_folder(), scratch_path("o"), NULL, &err), FV_E_FORMAT);
    assert_non_null(strstr(err.text, "no model.bin; supported: models of CTranslate2"));
    assert_false(fv_folder_exists(scratch_path("o")));
}

/* ---- In two bytes ---- */

static const fv_convert_options two_bytes = {.size = sizeof two_bytes, .bf16 = true};

static void open_weights(fv_safetensors *file, const char *folder)
{
    char path[FV_PATH_MAX];
    assert_int_equal(fv_path_join(path, folder, "model.safetensors", &err), FV_OK);
    if (fv_safetensors_open(file, path, &err) != FV_OK) fail_msg("%s", err.text);
}

/* Each weight is within half a place of the eight that bfloat16 keeps. */
static void expect_rounded(const char *folder, const char *of)
{
    fv_safetensors wide, narrow;
    open_weights(&wide, of);
    open_weights(&narrow, folder);
    assert_int_equal(wide.n, narrow.n);
    for (size_t i = 0; i < wide.n; i++) {
        const float *exact = wide.tensors[i].data;
        size_t n = wide.tensors[i].bytes / sizeof *exact;
        assert_true(narrow.tensors[i].dtype == FV_BF16 && narrow.tensors[i].rank == wide.tensors[i].rank && narrow.tensors[i].bytes == 2 * n);
        assert_memory_equal(narrow.tensors[i].shape, wide.tensors[i].shape, sizeof wide.tensors[i].shape);
        for (size_t k = 0; k < n; k++) {
            float rounded;
            fv_dtype_widen(&rounded, (const char *)narrow.tensors[i].data + 2 * k, FV_BF16, 1);
            assert_true(fabsf(rounded - exact[k]) <= fabsf(exact[k]) * 0x1p-8f);
        }
    }
    fv_safetensors_close(&wide);
    fv_safetensors_close(&narrow);
}

static void expect_translates(const char *folder)
{
    fv_translation got;
    fv_model *m = fv_model_open(folder, &err);
    fv_session *session = m ? fv_session_new(m, NULL, &err) : NULL;
    if (!session || fv_translate(session, &(fv_text){.text = "a"}, 1, NULL, &got, &err) != FV_OK) fail_msg("%s", err.text);
    fv_session_free(session);
    fv_model_close(m);
}

static void weights_are_rounded(void **state)
{
    (void)state;
    const char *in = make_input(), *out = scratch_path("four-bytes");
    if (fv_convert(in, out, NULL, &err) != FV_OK || fv_convert(out, scratch_path("two"), &two_bytes, &err) != FV_OK) fail_msg("%s", err.text);
    if (fv_convert(in, scratch_path("at-once"), &two_bytes, &err) != FV_OK) fail_msg("%s", err.text);
    expect_rounded(scratch_path("two"), scratch_path("four-bytes"));
    expect_rounded(scratch_path("at-once"), scratch_path("four-bytes"));
    const char *two = scratch_path("two");
    json_t *config = load(two, "config.json"), *record = load(two, "fovea.json");
    assert_string_equal(json_string_value(json_object_get(config, "torch_dtype")), "bfloat16");
    assert_string_equal(json_string_value(json_object_get(json_object_get(record, "converted"), "program")), "CTranslate2");
    assert_string_equal(json_string_value(json_object_get(json_object_get(record, "rounded"), "to")), "bfloat16");
    json_decref(config), json_decref(record);
    expect_hash(two, "model.safetensors");
    expect_hash(two, "target_vocab.json");
    expect_translates(two);
}

/* A folder of Marian in Transformers has no fovea.json, and gets none; other files are not the model's. */
static void what_is_beside_a_model_stays_behind(void **state)
{
    (void)state;
    const char *in = make_input(), *out = scratch_path("foreign");
    if (fv_convert(in, out, NULL, &err) != FV_OK) fail_msg("%s", err.text);
    assert_int_equal(fv_file_remove(scratch_path("foreign/fovea.json"), &err), FV_OK);
    put(scratch_path("foreign"), "log.jsonl", "{}\n");
    if (fv_convert(scratch_path("foreign"), scratch_path("foreign-two"), &two_bytes, &err) != FV_OK) fail_msg("%s", err.text);
    assert_false(fv_file_exists(scratch_path("foreign-two/fovea.json")));
    assert_false(fv_file_exists(scratch_path("foreign-two/log.jsonl")));
    expect_translates(scratch_path("foreign-two"));
}

static void what_cannot_be_rounded_is_refused(void **state)
{
    (void)state;
    const char *four = scratch_path("four"), *two = scratch_path("of-four");
    if (fv_convert(make_input(), four, NULL, &err) != FV_OK) fail_msg("%s", err.text);
    assert_int_equal(fv_convert(four, two, NULL, &err), FV_E_ARGUMENT);
    assert_non_null(strstr(err.text, "needs no conversion; --bf16"));
    if (fv_convert(four, two, &two_bytes, &err) != FV_OK) fail_msg("%s", err.text);
    assert_int_equal(fv_convert(two, scratch_path("again"), &two_bytes, &err), FV_E_ARGUMENT);
    assert_non_null(strstr(err.text, "of two bytes already"));
    put(scratch_path("four"), "model.safetensors", "short");
    assert_int_equal(fv_convert(scratch_path("four"), scratch_path("again"), &two_bytes, &err), FV_E_FORMAT);
    assert_false(fv_folder_exists(scratch_path("again")));
}

/* ---- When something fails ---- */

/* Whatever fails, nothing is there afterwards, neither the folder nor what was to become it. */
static void check_nothing(const char *out)
{
    char staging[FV_PATH_MAX];
    snprintf(staging, sizeof staging, "%.4000s.new-%ld", out, (long)getpid());
    assert_false(fv_folder_exists(out));
    assert_false(fv_folder_exists(staging));
}

static void check_full_disk(const char *in, const char *out, const fv_convert_options *options)
{
    int64_t n = 0;
    for (;; n++) {
        fv_write_fail_after(n);
        fv_status status = fv_convert(in, out, options, &err);
        fv_write_fail_after(-1);
        if (status == FV_OK) break;
        assert_int_equal(status, FV_E_IO);
        check_nothing(out);
    }
    assert_true(n > 10);
}

static void a_full_disk_leaves_nothing(void **state)
{
    (void)state;
    check_full_disk(make_input(), scratch_path("full"), NULL);
    check_full_disk(scratch_path("full"), scratch_path("full-two"), &two_bytes);
}

static void check_lack_of_memory(const char *in, const char *out, const fv_convert_options *options)
{
    int64_t n = 0;
    for (int64_t live = fv_alloc_live();; n += 1 + n / 10) { /* each run syncs files */
        fv_alloc_fail_after(n);
        fv_status status = fv_convert(in, out, options, &err);
        fv_alloc_fail_after(-1);
        assert_int_equal(fv_alloc_live(), live);
        if (status == FV_OK) break;
        assert_true(status == FV_E_MEMORY || status == FV_E_IO); /* a writer says only that it cannot write */
        check_nothing(out);
    }
    assert_true(n > 40);
}

static void lack_of_memory_leaves_nothing(void **state)
{
    (void)state;
    check_lack_of_memory(make_input(), scratch_path("short"), NULL);
    check_lack_of_memory(scratch_path("short"), scratch_path("short-two"), &two_bytes);
}

/* ---- The tool's own words ---- */

/* The next field of a line, which ends in a zero byte then. */
static char *field(char **at)
{
    char *text = *at, *stop = strpbrk(text, "\t\n");
    *stop = 0;
    *at = stop + 1;
    return text;
}

static void check_line(fv_session *session, int beam, char *at)
{
    fv_translate_options o;
    fv_translation got;
    fv_text words = {.text = field(&at)};
    const char *expected = field(&at);
    double score = strtod(field(&at), NULL);
    fv_translate_options_init(&o);
    o.beam = beam;
    if (fv_translate(session, &words, 1, &o, &got, &err) != FV_OK) fail_msg("%s", err.text);
    assert_string_equal(got.text, expected);
    if (!(fabs(got.score - score) < 2e-5)) fail_msg("%s scores %g, expected %g", expected, got.score, score);
}

static int check_lines(const char *folder, const char *model, char *lines)
{
    int n = 0;
    fv_model *m = fv_model_open(folder, &err);
    fv_session *session = m ? fv_session_new(m, NULL, &err) : NULL;
    if (!session) fail_msg("%s", err.text);
    for (char *line = lines, *next; (next = strchr(line, '\n')); line = next + 1) {
        char copy[1024], *at = copy;
        if (strncmp(line, model, strlen(model)) != 0) continue;
        snprintf(copy, sizeof copy, "%.*s", (int)(next - line + 1), line);
        field(&at);
        int beam = atoi(field(&at));
        check_line(session, beam, at);
        n++;
    }
    fv_session_free(session);
    fv_model_close(m);
    return n;
}

static void converted_models_say_what_the_tool_says(void **state)
{
    (void)state;
    static const struct { const char *model, *folder; } models[] = {
        {"float32\t", "../shared/models/ctranslate2_aren-transliteration"},
        {"int16\t", "../shared/models/ctranslate2_aren-transliteration-i16"},
        {"int8\t", "../shared/models/ctranslate2_aren-transliteration-i8"},
    };
    fv_buf lines = {0};
    if (!fv_folder_exists(models[0].folder)) skip();
    assert_int_equal(fv_file_read("tests/golden/transliteration.tsv", 1 << 20, &lines, &err), FV_OK);
    for (size_t i = 0; i < FV_COUNT(models); i++) {
        char name[16];
        snprintf(name, sizeof name, "real-%zu", i);
        const char *out = scratch_path(name);
        if (fv_convert(models[i].folder, out, NULL, &err) != FV_OK) fail_msg("%s", err.text);
        assert_int_equal(check_lines(out, models[i].model, lines.data), 99);
    }
    fv_buf_release(&lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_is_made),
        cmocka_unit_test(pieces_are_taken_along),
        cmocka_unit_test(nothing_is_overwritten),
        cmocka_unit_test(what_is_no_model_is_refused),
        cmocka_unit_test(weights_are_rounded),
        cmocka_unit_test(what_is_beside_a_model_stays_behind),
        cmocka_unit_test(what_cannot_be_rounded_is_refused),
        cmocka_unit_test(a_full_disk_leaves_nothing),
        cmocka_unit_test(lack_of_memory_leaves_nothing),
        cmocka_unit_test(converted_models_say_what_the_tool_says),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
