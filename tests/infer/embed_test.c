/* Vectors of texts: those that sentence-transformers makes of its own folder (tests/golden/encoders.py recorded them), and what
 * a caller may ask for beside. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "infer/infer.h"

enum { SIZE = 10 };

static const char folder[] = "tests/golden/encoders/sentence";

static fv_model *model;
static fv_session *session;

static fv_session *new_session(fv_model *m)
{
    fv_err err = {0};
    fv_session *s = fv_session_new(m, NULL, &err);
    if (!s) fail_msg("%s", err.text);
    return s;
}

static fv_model *open_model(const char *path)
{
    fv_err err = {0};
    fv_model *m = fv_model_open(path, &err);
    if (!m) fail_msg("%s", err.text);
    return m;
}

static int setup(void **state)
{
    (void)state;
    model = open_model(folder);
    session = new_session(model);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fv_session_free(session);
    fv_model_close(model);
    return 0;
}

static void embed(const char *const *texts, size_t n, const fv_embed_options *o, float *out)
{
    fv_err err = {0};
    fv_text list[8] = {{0}};
    for (size_t i = 0; i < n; i++) list[i].text = texts[i];
    if (fv_embed(session, list, n, o, out, &err) != FV_OK) fail_msg("%s", err.text);
}

static void embed_one(const char *text, const fv_embed_options *o, float *out) { embed(&text, 1, o, out); }

static fv_embed_options with_prompt(const char *name, const char *prompt)
{
    fv_embed_options o;
    fv_embed_options_init(&o);
    o.prompt_name = name;
    o.prompt = prompt;
    return o;
}

static double length(const float *x, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

/* ---- Values ---- */

static void vectors_are_those_of_sentence_transformers(void **state)
{
    (void)state;
    json_t *rows = fv_json_load("tests/golden/encoders/sentence/expected.json", 1 << 20, NULL);
    assert_int_equal(json_array_size(rows), 12);
    assert_int_equal(fv_model_embedding_size(model), SIZE);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i), *expected = json_object_get(row, "vector");
        fv_embed_options o = with_prompt(json_string_value(json_object_get(row, "prompt")), NULL);
        float x[SIZE];
        embed_one(json_string_value(json_object_get(row, "text")), &o, x);
        for (size_t c = 0; c < SIZE; c++) {
            double found = (double)x[c], wanted = json_number_value(json_array_get(expected, c));
            if (!(fabs(found - wanted) < 1e-5)) fail_msg("text %zu, number %zu: %.7f, expected %.7f", i, c, found, wanted);
        }
    }
    json_decref(rows);
}

/* Without modules.json: the mean of the hidden states, not scaled, whatever head the folder has. */
static void a_folder_of_another_kind_gives_the_mean(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_model *m = open_model("tests/golden/bert-tiny");
    fv_session *s = new_session(m);
    fv_text text = {.text = "where is my parcel?"};
    int width = fv_model_embedding_size(m);
    float *x = malloc((size_t)width * sizeof *x);
    assert_true(x && width == m->net.encoder.config.width);
    if (fv_embed(s, &text, 1, NULL, x, &err) != FV_OK) fail_msg("%s", err.text);
    fv_batch batch = {.B = 1, .N = (int32_t)s->encoding.n, .ids = s->encoding.ids, .sequences = (uint64_t[]){0}, .rows = (uint32_t[]){0}};
    int32_t types[16] = {0}, positions[16], offsets[2] = {0, batch.N};
    assert_true(batch.N <= 16);
    for (int i = 0; i < batch.N; i++) positions[i] = i;
    batch.types = types, batch.positions = positions, batch.offsets = offsets;
    fv_graph *g = fv_graph_new(NULL, NULL);
    fv_tensor *hidden = fv_encoder_build(&m->net.encoder, g, &batch);
    assert_int_equal(fv_graph_plan(g, hidden, NULL), FV_OK);
    fv_graph_forward(g, 0);
    for (int c = 0; c < width; c++) {
        double sum = 0;
        for (int i = 0; i < batch.N; i++) sum += (double)hidden->data[i * hidden->stride + c];
        assert_true(fabs(sum / batch.N - (double)x[c]) < 1e-5);
    }
    fv_graph_free(g);
    free(x);
    fv_session_free(s);
    fv_model_close(m);
}

/* ---- What a caller may ask for ---- */

static void a_vector_does_not_depend_on_the_others(void **state)
{
    (void)state;
    static const char *const texts[] = {"a cat sat.", "", "the dog", "x y z x y z x y z x y z x y z x y z x y z x y z", "b"};
    float together[5 * SIZE], alone[SIZE];
    int64_t before = fv_session_cut(session);
    embed(texts, 5, NULL, together);
    assert_int_equal(fv_session_cut(session), before + 1);
    for (size_t i = 0; i < 5; i++) {
        embed_one(texts[i], NULL, alone);
        assert_memory_equal(alone, together + i * SIZE, sizeof alone);
    }
}

static void lengths_and_sizes_are_as_asked(void **state)
{
    (void)state;
    float unit[SIZE], raw[SIZE], cut[4], cut_raw[4];
    fv_embed_options o;
    fv_embed_options_init(&o);
    embed_one("a cat sat.", &o, unit);
    o.unit = FV_UNIT_NO;
    embed_one("a cat sat.", &o, raw);
    o.dim = 4;
    embed_one("a cat sat.", &o, cut_raw);
    o.unit = FV_UNIT_YES;
    embed_one("a cat sat.", &o, cut);
    assert_true(fabs(length(unit, SIZE) - 1) < 1e-6 && fabs(length(cut, 4) - 1) < 1e-6);
    assert_true(fabs(length(raw, SIZE) - 1) > 0.01);
    assert_memory_equal(cut_raw, raw, sizeof cut_raw);
    for (int i = 0; i < SIZE; i++) assert_true(fabs((double)raw[i] / length(raw, SIZE) - (double)unit[i]) < 1e-6);
    for (int i = 0; i < 4; i++) assert_true(fabs((double)raw[i] / length(raw, 4) - (double)cut[i]) < 1e-6);
}

static void a_prompt_is_words_in_front(void **state)
{
    (void)state;
    float by_name[SIZE], by_text[SIZE], joined[SIZE], none[SIZE];
    fv_embed_options named = with_prompt("query", NULL), given = with_prompt(NULL, "find: "), empty = with_prompt("query", "");
    embed_one("a cat", &named, by_name);
    embed_one("a cat", &given, by_text);
    embed_one("find: a cat", NULL, joined);
    embed_one("find: a cat", &empty, none);
    assert_memory_equal(by_name, by_text, sizeof by_name);
    assert_memory_equal(by_name, joined, sizeof by_name);
    assert_memory_equal(none, joined, sizeof none);
}

static void texts_with_lengths_and_without(void **state)
{
    (void)state;
    fv_embed_options prompt = with_prompt("query", NULL);
    fv_text texts[] = {{.text = "a cat and more", .len = 5}, {.text = "a cat"}, {.text = NULL}, {.text = ""}};
    float x[4 * SIZE];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fv_embed(session, texts, 4, i ? &prompt : NULL, x, NULL), FV_OK);
        assert_memory_equal(x, x + SIZE, SIZE * sizeof *x);
        assert_memory_equal(x + 2 * SIZE, x + 3 * SIZE, SIZE * sizeof *x);
    }
    assert_int_equal(fv_embed(session, NULL, 0, NULL, NULL, NULL), FV_OK);
}

static void expect_refused(const fv_embed_options *o, const char *part)
{
    fv_err err = {0};
    fv_text text = {.text = "a"};
    float x[SIZE + 1];
    assert_int_equal(fv_embed(session, &text, 1, o, x, &err), FV_E_ARGUMENT);
    if (!strstr(err.text, part)) fail_msg("\"%s\" does not say \"%s\"", err.text, part);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    fv_embed_options o = with_prompt("question", NULL);
    expect_refused(&o, "no prompt is called \"question\"; it has: ");
    fv_embed_options_init(&o);
    o.dim = SIZE + 1;
    expect_refused(&o, "vectors of 11 numbers asked; tests/golden/encoders/sentence gives 10");
    o.dim = -1;
    expect_refused(&o, "vectors of -1 numbers asked");
}

static void out_of_memory_leaks_nothing(void **state)
{
    (void)state;
    fv_embed_options o = with_prompt("query", NULL);
    fv_text texts[] = {{.text = "a cat"}, {.text = "sat"}};
    float x[2 * SIZE];
    assert_int_equal(fv_embed(session, texts, 2, &o, x, NULL), FV_OK);
    int64_t live = fv_alloc_live();
    for (int64_t n = 0;; n++) {
        fv_alloc_fail_after(n);
        fv_status status = fv_embed(session, texts, 2, &o, x, NULL);
        fv_alloc_fail_after(-1);
        if (status == FV_OK) break;
        assert_int_equal(status, FV_E_MEMORY);
        assert_int_equal(fv_alloc_live(), live);
        assert_true(n < 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_are_those_of_sentence_transformers),
        cmocka_unit_test(a_folder_of_another_kind_gives_the_mean),
        cmocka_unit_test(a_vector_does_not_depend_on_the_others),
        cmocka_unit_test(lengths_and_sizes_are_as_asked),
        cmocka_unit_test(a_prompt_is_words_in_front),
        cmocka_unit_test(texts_with_lengths_and_without),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(out_of_memory_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
