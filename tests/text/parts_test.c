/* Tokenizers of parts: ids and texts as the Hugging Face tokenizers library gave them for every normaliser, pre-tokenizer,
 * model, post-processor and decoder (tests/golden/tokenizer/parts.py recorded them); saving; and parts that would blow up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "formats/scratch.h"
#include "text/made.h"

#define GOLDEN "tests/golden/tokenizer/"

/* ---- What was recorded ---- */

static json_t *models; /* by name; and the texts */

static int load_models(void **state)
{
    models = fv_json_load(GOLDEN "parts-models.json", 1 << 20, NULL);
    return models ? scratch_setup(state) : -1;
}

static int drop_models(void **state)
{
    json_decref(models);
    return scratch_teardown(state);
}

static json_t *model_named(const char *name)
{
    json_t *model = json_object_get(json_object_get(models, "models"), name);
    if (!model) fail_msg("no model \"%s\"", name);
    return model;
}

/* A tokenizer of a model and the parts around it; NULL and a message if it is refused. */
static fv_tokenizer *make(json_t *model, json_t *parts, fv_err *err)
{
    fv_buf text = {0};
    json_t *tree = json_copy(parts);
    json_object_set(tree, "model", model);
    assert_int_equal(fv_json_print(tree, 0, &text, NULL), FV_OK);
    fv_tokenizer *t = fv_tokenizer_parse(text.data, text.len, "p.json", err);
    fv_buf_release(&text);
    json_decref(tree);
    return t;
}

static void assert_text(const fv_tokenizer *t, const json_t *row, size_t i, fv_encoding *e)
{
    const json_t *text = json_array_get(json_object_get(models, "texts"), i), *ids = json_array_get(json_object_get(row, "ids"), i);
    const char *p = json_string_value(text), *parts = json_dumps(json_object_get(row, "parts"), JSON_COMPACT), *expected = json_string_value(json_array_get(json_object_get(row, "texts"), i));
    char *back = NULL;
    size_t len, n = json_array_size(ids);
    fv_err err = {0};
    if (fv_tokenizer_encode(t, p, json_string_length(text), NULL, 0, true, e, &err) != FV_OK) fail_msg("%s", err.text);
    for (size_t k = 0; k < n || k < e->n; k++)
        if (k >= n || k >= e->n || e->ids[k] != json_integer_value(json_array_get(ids, k))) fail_msg("id %zu of %zu (expected %zu) differs for \"%s\" by %s", k, e->n, n, p, parts);
    assert_int_equal(fv_tokenizer_decode(t, e->ids, e->n, &back, &len, &err), FV_OK);
    if (strcmp(back, expected) != 0) fail_msg("decoded to \"%s\", expected \"%s\", by %s", back, expected, parts);
    free(back);
    free((void *)parts);
}

/* Each row twice: as read, and as saved and read again. */
static void assert_row(const json_t *row)
{
    fv_err err = {0};
    fv_encoding e = {0};
    size_t n = json_array_size(json_object_get(models, "texts"));
    fv_tokenizer *t = make(model_named(json_string_value(json_object_get(row, "model"))), json_object_get(row, "parts"), &err);
    if (!t) fail_msg("%s", err.text);
    for (size_t i = 0; i < n; i++) assert_text(t, row, i, &e);
    if (fv_tokenizer_save(t, scratch_path("saved.json"), &err) != FV_OK) fail_msg("%s", err.text);
    fv_tokenizer *back = fv_tokenizer_open(scratch_path("saved.json"), &err);
    if (!back) fail_msg("%s", err.text);
    for (size_t i = 0; i < n; i++) assert_text(back, row, i, &e);
    fv_encoding_release(&e);
    fv_tokenizer_close(t);
    fv_tokenizer_close(back);
}

static void every_part_gives_the_recorded_ids_and_texts(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_buf file = {0};
    size_t n = 0;
    assert_int_equal(fv_file_read(GOLDEN "parts.jsonl", 1 << 20, &file, &err), FV_OK);
    for (char *line = file.data, *end; (end = strchr(line, '\n')); line = end + 1, n++) {
        json_t *row = fv_json_parse(line, (size_t)(end - line), "parts.jsonl", &err);
        if (!row) fail_msg("%s", err.text);
        assert_row(row);
        json_decref(row);
    }
    assert_true(n >= 70);
    fv_buf_release(&file);
}

/* ---- By hand ---- */

static json_t *json_of(const char *text)
{
    fv_err err = {0};
    json_t *tree = fv_json_parse(text, strlen(text), "test", &err);
    if (!tree) fail_msg("%s", err.text);
    return tree;
}

/* Tokens and places of a text by parts around the character model. */
static void assert_cut(const char *parts, const char *text, const char *expected)
{
    fv_err err = {0};
    fv_encoding e = {0};
    json_t *tree = json_of(parts);
    fv_tokenizer *t = make(model_named("chars"), tree, &err);
    if (!t) fail_msg("%s", err.text);
    made_encode(t, text, &e);
    assert_string_equal(made_spelled(t, &e), expected);
    fv_encoding_release(&e);
    fv_tokenizer_close(t);
    json_decref(tree);
}

static void places_are_of_the_input(void **state)
{
    (void)state;
    assert_cut("{\"normalizer\":{\"type\":\"NFD\"}}", "e\u00e9", "e[0,1) e[1,3) [UNK][1,3) ");
    assert_cut("{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\"b\"},\"content\":\"a\"},\"pre_tokenizer\":{\"type\":\"FixedLength\",\"length\":1}}", "abba", "a[0,1) a[1,2) a[2,3) a[3,4) ");
    assert_cut("{\"normalizer\":{\"type\":\"Strip\"},\"pre_tokenizer\":{\"type\":\"FixedLength\",\"length\":1}}", "  ab ", "a[2,3) b[3,4) ");
    assert_cut("{\"normalizer\":{\"type\":\"Prepend\",\"prepend\":\"a\"},\"pre_tokenizer\":{\"type\":\"FixedLength\",\"length\":1}}", "bc", "a[0,0) b[0,1) c[1,2) ");
}

/* One U+FFFD stands for each broken sequence, as other decoders of UTF-8 have it, and covers its bytes. */
static void broken_bytes_are_one_character_each(void **state)
{
    (void)state;
    const char *parts = "{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\"\\ufffd\"},\"content\":\"a\"},\"pre_tokenizer\":{\"type\":\"FixedLength\",\"length\":1}}";
    assert_cut(parts, "b\xff" "b", "b[0,1) a[1,2) b[2,3) ");
    assert_cut(parts, "\xe4\xbd" "b\xf0\x9f\x98", "a[0,2) b[2,3) a[3,6) ");
    assert_cut(parts, "\xed\xa0\x80", "a[0,1) a[1,2) a[2,3) ");
}

/* A list of `n` equal parts. */
static void repeat(fv_buf *out, const char *opening, const char *part, int n)
{
    out->len = 0;
    fv_buf_puts(out, opening, NULL);
    for (int i = 0; i < n; i++) fv_buf_printf(out, NULL, "%s%s", i ? "," : "", part);
    assert_int_equal(fv_buf_puts(out, "]}}", NULL), FV_OK);
}

static void assert_costly(const char *parts, size_t len, const char *message)
{
    fv_err err = {0};
    fv_encoding e = {0};
    json_t *tree = json_of(parts);
    fv_tokenizer *t = make(model_named("chars"), tree, &err);
    if (!t) fail_msg("%s", err.text);
    char *text = malloc(len);
    memset(text, 'a', len);
    assert_int_not_equal(fv_tokenizer_encode(t, text, len, NULL, 0, false, &e, &err), FV_OK);
    if (!strstr(err.text, message)) fail_msg("\"%s\" should say \"%s\"", err.text, message);
    assert_int_equal(e.n, 0);
    free(text);
    fv_encoding_release(&e);
    fv_tokenizer_close(t);
    json_decref(tree);
}

static void what_blows_up_is_stopped(void **state)
{
    (void)state;
    fv_buf parts = {0};
    repeat(&parts, "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[", "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"aaa\"}", 60);
    assert_costly(parts.data, 2, "the tokenizer's normalizer makes more than 4194368 bytes");
    repeat(&parts, "{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"\\u00e9\"},\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[", "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}", 60);
    assert_costly(parts.data, 2, "the tokenizer's pre_tokenizer makes more than");
    fv_buf_release(&parts);
    assert_costly("{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(a+)+(?!a|$)\"},\"behavior\":\"Removed\"}}", 60, "too costly for this text");
    assert_costly("{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"(a|aa)+(?!a|$)\"},\"content\":\"\"}}", 60, "too costly for this text");
}

static void decoders_that_blow_up_are_stopped(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_buf parts = {0};
    char *back = NULL;
    size_t len;
    repeat(&parts, "{\"decoder\":{\"type\":\"Sequence\",\"decoders\":[", "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"aaa\"}", 60);
    json_t *tree = json_of(parts.data);
    fv_tokenizer *t = make(model_named("chars"), tree, &err);
    if (!t) fail_msg("%s", err.text);
    int32_t a = fv_tokenizer_id(t, "a");
    assert_true(a > 0);
    assert_int_equal(fv_tokenizer_decode(t, &a, 1, &back, &len, &err), FV_E_INPUT);
    assert_non_null(strstr(err.text, "the tokenizer's decoder makes more than"));
    assert_null(back);
    fv_tokenizer_close(t);
    json_decref(tree);
    fv_buf_release(&parts);
}

static void assert_refused(const char *parts, const char *message)
{
    fv_err err = {0};
    json_t *tree = json_of(parts);
    int64_t live = fv_alloc_live();
    fv_tokenizer *t = make(model_named("chars"), tree, &err);
    assert_null(t);
    assert_int_equal(err.status, FV_E_FORMAT);
    if (!strstr(err.text, message)) fail_msg("\"%s\" should say \"%s\"", err.text, message);
    assert_int_equal(fv_alloc_live(), live);
    json_decref(tree);
}

#define SPLIT_BY(pattern) "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" pattern "\"},\"behavior\":\"Removed\"}}"

static void patterns_that_mean_something_else_are_refused(void **state)
{
    (void)state;
    assert_refused(SPLIT_BY("[a[bc]]"), "it has [ in brackets, which is not supported here");
    assert_refused(SPLIT_BY("[a\\\\W]"), "it has the complement of a set");
    assert_refused(SPLIT_BY("[[:^alpha:]]"), "it has the complement of a set");
    assert_refused(SPLIT_BY("[[:nothing:]]"), "without the name of a set");
    assert_refused(SPLIT_BY("(?m:.)"), "it has (?m");
    assert_refused(SPLIT_BY("\\\\p{Nothing}"), "unknown property");
    assert_refused(SPLIT_BY("a{,3}"), "it has {,");
    assert_refused(SPLIT_BY("\\\\pL"), "without a name in braces");
    assert_refused(SPLIT_BY("\\\\"), "\\ at its end");
    assert_refused(SPLIT_BY("(*ACCEPT)"), "it has (*");
}

static void deep_and_long_lists_are_refused(void **state)
{
    (void)state;
    fv_buf deep = {0}, wide = {0};
    fv_buf_puts(&deep, "{\"decoder\":", NULL);
    for (int i = 0; i < 12; i++) fv_buf_puts(&deep, "{\"type\":\"Sequence\",\"decoders\":[", NULL);
    fv_buf_puts(&deep, "{\"type\":\"Fuse\"}", NULL);
    for (int i = 0; i < 12; i++) fv_buf_puts(&deep, "]}", NULL);
    fv_buf_puts(&deep, "}", NULL);
    assert_refused(deep.data, "Sequences in Sequences, 8 deep; expected fewer");
    repeat(&wide, "{\"decoder\":{\"type\":\"Sequence\",\"decoders\":[", "{\"type\":\"Fuse\"}", 300);
    assert_refused(wide.data, "more than 256 parts; expected a few");
    fv_buf_release(&deep);
    fv_buf_release(&wide);
}

static void memory_that_runs_out_is_an_error(void **state)
{
    (void)state;
    json_t *parts = json_of("{\"normalizer\":{\"type\":\"NFKD\"},\"pre_tokenizer\":{\"type\":\"Metaspace\"},\"decoder\":{\"type\":\"BPEDecoder\"}}");
    json_t *model = json_of("{\"type\":\"BPE\",\"unk_token\":\"?\",\"vocab\":{\"?\":0,\"a\":1,\"b\":2,\"ab\":3},\"merges\":[\"a b\"]}");
    bool ended = false;
    for (int64_t fail = 0; !ended; fail++) {
        fv_err err = {0};
        fv_encoding e = {0};
        char *back = NULL;
        size_t len;
        fv_buf text = {0};
        json_t *tree = json_copy(parts);
        json_object_set(tree, "model", model);
        assert_int_equal(fv_json_print(tree, 0, &text, NULL), FV_OK);
        json_decref(tree);
        int64_t live = fv_alloc_live();
        fv_alloc_fail_after(fail);
        fv_tokenizer *t = fv_tokenizer_parse(text.data, text.len, "p.json", &err);
        ended = t && fv_tokenizer_encode(t, "ab \xff" "ab", 6, NULL, 0, true, &e, &err) == FV_OK && fv_tokenizer_decode(t, e.ids, e.n, &back, &len, &err) == FV_OK;
        fv_alloc_fail_after(-1);
        if (!ended) assert_int_equal(err.status, FV_E_MEMORY);
        free(back);
        fv_encoding_release(&e);
        fv_tokenizer_close(t);
        assert_int_equal(fv_alloc_live(), live);
        fv_buf_release(&text);
    }
    json_decref(parts);
    json_decref(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_part_gives_the_recorded_ids_and_texts),
        cmocka_unit_test(places_are_of_the_input),
        cmocka_unit_test(broken_bytes_are_one_character_each),
        cmocka_unit_test(what_blows_up_is_stopped),
        cmocka_unit_test(decoders_that_blow_up_are_stopped),
        cmocka_unit_test(patterns_that_mean_something_else_are_refused),
        cmocka_unit_test(deep_and_long_lists_are_refused),
        cmocka_unit_test(memory_that_runs_out_is_an_error),
    };
    return cmocka_run_group_tests(tests, load_models, drop_models);
}
