/* A real sentence encoder, all-MiniLM-L6-v2: texts of many scripts give the numbers that sentence-transformers gives, which
 * tests/golden/minilm.py recorded. tools/fetch-minilm puts the model where this looks for it (FOVEA_MINILM names another
 * folder); without it the test skips. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "infer/infer.h"

enum { SIZE = 384, EVERY = 24, TEXTS = 24 }; /* EVERY: of the numbers, as recorded */

static const char *folder(void)
{
    const char *named = getenv("FOVEA_MINILM");
    return named ? named : ".cache/models/all-MiniLM-L6-v2";
}

static fv_model *open_model(void)
{
    fv_err err = {0};
    if (!fv_folder_exists(folder())) {
        print_message("no %s: tools/fetch-minilm fetches it\n", folder());
        skip();
    }
    fv_model *m = fv_model_open(folder(), &err);
    if (!m) fail_msg("%s", err.text);
    assert_int_equal(fv_model_embedding_size(m), SIZE);
    return m;
}

static void check_row(const float *x, const json_t *row)
{
    const json_t *numbers = json_object_get(row, "numbers");
    const char *text = json_string_value(json_object_get(row, "text"));
    double square = 0, most = 0;
    assert_int_equal(json_array_size(numbers), SIZE / EVERY);
    for (int i = 0; i < SIZE; i++) square += (double)x[i] * (double)x[i];
    for (int i = 0; i < SIZE; i += EVERY) most = fmax(most, fabs((double)x[i] - json_number_value(json_array_get(numbers, (size_t)(i / EVERY)))));
    if (!(most < 2e-6)) fail_msg("\"%.60s\": differs by %g", text, most);
    if (!(fabs(square - 1) < 1e-5)) fail_msg("\"%.60s\": has the length %g", text, sqrt(square));
}

static void vectors_are_those_of_sentence_transformers(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_buf lines = {0};
    fv_model *m = open_model();
    fv_session *s = fv_session_new(m, NULL, &err);
    json_t *rows[TEXTS];
    fv_text texts[TEXTS] = {{0}};
    size_t n = 0;
    assert_int_equal(fv_file_read("tests/golden/minilm.jsonl", 1 << 20, &lines, &err), FV_OK);
    for (char *line = lines.data, *end; (end = strchr(line, '\n')); line = end + 1, n++) {
        assert_true(n < TEXTS);
        rows[n] = fv_json_parse(line, (size_t)(end - line), "minilm.jsonl", &err);
        assert_non_null(rows[n]);
        texts[n].text = json_string_value(json_object_get(rows[n], "text"));
    }
    assert_int_equal(n, TEXTS);
    float *x = malloc(TEXTS * SIZE * sizeof *x);
    assert_true(s && x);
    if (fv_embed(s, texts, TEXTS, NULL, x, &err) != FV_OK) fail_msg("%s", err.text);
    assert_int_equal(fv_session_cut(s), 1);
    for (size_t i = 0; i < TEXTS; i++) {
        check_row(x + i * SIZE, rows[i]);
        json_decref(rows[i]);
    }
    free(x);
    fv_buf_release(&lines);
    fv_session_free(s);
    fv_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(vectors_are_those_of_sentence_transformers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
