/* A model folder that Fovea wrote gives the logits that Hugging Face Transformers computes from it:
 * architecture, weights and tokenizer mean the same elsewhere. tests/golden/bert.py recorded them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "infer/infer.h"

static const char folder[] = "tests/golden/bert-tiny";

static void check_ids(const fv_encoding *e, const json_t *ids, const char *text)
{
    if (e->n != json_array_size(ids)) fail_msg("\"%s\" has %zu tokens, expected %zu", text, e->n, json_array_size(ids));
    for (size_t i = 0; i < e->n; i++) assert_int_equal(e->ids[i], json_integer_value(json_array_get(ids, i)));
}

static double difference(const float *logits, const json_t *expected, int n)
{
    double most = 0;
    assert_int_equal(json_array_size(expected), n);
    for (int i = 0; i < n; i++) most = fmax(most, fabs((double)logits[i] - json_number_value(json_array_get(expected, (size_t)i))));
    return most;
}

static double check_row(fv_model *m, const json_t *row)
{
    fv_err err = {0};
    int n = m->net.heads[0].outputs;
    fv_text text = {.text = json_string_value(json_object_get(row, "text")), .text2 = json_string_value(json_object_get(row, "text2"))};
    float *logits = calloc((size_t)n, sizeof *logits);
    fv_session *s = fv_session_new(m, NULL, &err);
    assert_true(logits && s);
    if (fv_session_logits(s, &text, 1, logits, NULL, NULL, &err) != FV_OK) fail_msg("%s", err.text);
    check_ids(&s->encoding, json_object_get(row, "ids"), text.text);
    double most = difference(logits, json_object_get(row, "logits"), n);
    fv_session_free(s);
    free(logits);
    return most;
}

static void logits_are_those_of_transformers(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_buf lines = {0};
    fv_model *m = fv_model_open(folder, &err);
    if (!m) fail_msg("%s", err.text);
    assert_int_equal(fv_file_read("tests/golden/bert-tiny/logits.jsonl", 1 << 20, &lines, &err), FV_OK);
    int n = 0;
    for (char *line = lines.data, *end; (end = strchr(line, '\n')); line = end + 1, n++) {
        json_t *row = fv_json_parse(line, (size_t)(end - line), "logits.jsonl", &err);
        assert_non_null(row);
        double most = check_row(m, row);
        if (!(most < 1e-5)) fail_msg("row %d differs by %g", n, most);
        json_decref(row);
    }
    assert_true(n >= 9);
    fv_buf_release(&lines);
    fv_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(logits_are_those_of_transformers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
