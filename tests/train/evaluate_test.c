/* From rows and logits to figures: each kind of label finds its truth in the rows, and logits become
 * scores on the way, divided by the head's temperature, in a copy. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "train/evaluate.h"

static const char *names[] = {"a", "b", "c"};

static fv_head head_of(fv_labels kind, int outputs, double temperature)
{
    return (fv_head){.kind = kind, .temperature = temperature, .outputs = outputs, .labels = {.names = names, .n = kind == FV_LABELS_REGRESSION ? 0 : outputs}};
}

static const fv_metric *metric(const fv_report *r, const char *name)
{
    for (size_t i = 0; i < r->n_metrics; i++)
        if (strcmp(r->metrics[i].name, name) == 0) return &r->metrics[i];
    fail_msg("no metric %s", name);
    return NULL;
}

static fv_report evaluate(fv_example *rows, size_t n, const fv_head *head, const float *logits, bool intervals)
{
    fv_report report = {0};
    fv_err err = {0};
    fv_dataset data = {.rows = rows, .n = n};
    if (fv_evaluate(&report, &data, head, logits, 1, intervals, NULL, &err) != FV_OK) fail_msg("%s", err.text);
    assert_int_equal(report.rows, n);
    return report;
}

static void one_label_is_judged_by_softmax(void **state)
{
    (void)state;
    fv_example rows[] = {{.label = 2}, {.label = 0}, {.label = -1}};
    const float logits[] = {1, 2, 5, 3, 3.5f, 0, 0, 0, 1}, kept = logits[2];
    fv_head head = head_of(FV_LABELS_SINGLE, 3, 2);
    fv_report r = evaluate(rows, 3, &head, logits, false);
    assert_float_equal(metric(&r, "accuracy")->value, 1.0 / 3, 1e-9);
    /* logits are halved by the temperature; a row without a known truth has no loss */
    double first = exp(2.5) / (exp(0.5) + exp(1) + exp(2.5)), second = exp(1.5) / (exp(1.5) + exp(1.75) + 1);
    assert_float_equal(metric(&r, "loss")->value, -(log(first) + log(second)) / 2, 1e-6);
    assert_string_equal(r.labels[2].name, "c");
    assert_true(logits[2] == kept);
    fv_metrics_release(&r);
}

static void sets_of_labels_are_judged_each_by_its_sigmoid(void **state)
{
    (void)state;
    static const int32_t both[] = {0, 2}, one[] = {1};
    fv_example rows[] = {{.labels = both, .n_labels = 2}, {.n_labels = 0}, {.labels = one, .n_labels = 1}};
    const float logits[] = {1, -1, 1, -2, -2, -2, 4, 4, -4}; /* right, right (none), one too many */
    fv_head head = head_of(FV_LABELS_MULTI, 3, 1);
    fv_report r = evaluate(rows, 3, &head, logits, false);
    assert_float_equal(metric(&r, "accuracy")->value, 2.0 / 3, 1e-9);
    assert_float_equal(metric(&r, "micro_f1")->value, 2 * 3.0 / (2 * 3 + 1), 1e-9);
    assert_int_equal(r.labels[0].count, 1);
    assert_int_equal(r.labels[0].predicted, 2);
    fv_metrics_release(&r);
}

static void numbers_are_taken_as_they_are(void **state)
{
    (void)state;
    fv_example rows[] = {{.value = 1.5}, {.value = -2}, {.value = 0}};
    const float logits[] = {1, -2, 0.5f};
    fv_head head = head_of(FV_LABELS_REGRESSION, 1, 3); /* no temperature divides a number */
    fv_report r = evaluate(rows, 3, &head, logits, false);
    assert_float_equal(metric(&r, "mse")->value, (0.25 + 0.25) / 3, 1e-9);
    fv_metrics_release(&r);
}

static void intervals_are_made_when_asked(void **state)
{
    (void)state;
    fv_example rows[40];
    float logits[80];
    for (int i = 0; i < 40; i++) {
        rows[i] = (fv_example){.label = i % 2};
        logits[2 * i] = i % 3 ? 0 : 1;
        logits[2 * i + 1] = i % 3 ? (float)(i % 2) : 0;
    }
    fv_head head = head_of(FV_LABELS_SINGLE, 2, 1);
    fv_report without = evaluate(rows, 40, &head, logits, false), with = evaluate(rows, 40, &head, logits, true);
    const fv_metric *a = metric(&without, "accuracy"), *b = metric(&with, "accuracy");
    assert_true(a->value == b->value && a->low == a->value && a->high == a->value);
    assert_true(b->low < b->value && b->value < b->high);
    fv_metrics_release(&without);
    fv_metrics_release(&with);
}

static void no_rows_are_an_error(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_report report = {0};
    fv_dataset data = {0};
    fv_head head = head_of(FV_LABELS_SINGLE, 2, 1);
    assert_int_equal(fv_evaluate(&report, &data, &head, NULL, 1, false, NULL, &err), FV_E_INPUT);
    assert_true(err.text[0]);
}

static void lack_of_memory_is_told(void **state)
{
    (void)state;
    static const int32_t one[] = {1};
    fv_example rows[] = {{.labels = one, .n_labels = 1}, {.labels = one, .n_labels = 1}};
    const float logits[] = {1, 2, 3, 4};
    fv_head head = head_of(FV_LABELS_MULTI, 2, 1);
    fv_dataset data = {.rows = rows, .n = 2};
    fv_report r = evaluate(rows, 2, &head, logits, true);
    fv_metrics_release(&r);
    int64_t live = fv_alloc_live(), total = fv_alloc_count();
    r = evaluate(rows, 2, &head, logits, true);
    total = fv_alloc_count() - total;
    fv_metrics_release(&r);
    for (int64_t k = 0; k < total; k++) {
        fv_report report = {0};
        fv_err err = {0};
        fv_alloc_fail_after(k);
        fv_status status = fv_evaluate(&report, &data, &head, logits, 1, true, NULL, &err);
        fv_alloc_fail_after(-1);
        assert_int_equal(status, FV_E_MEMORY);
        assert_int_equal(err.status, FV_E_MEMORY);
        fv_metrics_release(&report);
        assert_int_equal(fv_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_label_is_judged_by_softmax),
        cmocka_unit_test(sets_of_labels_are_judged_each_by_its_sigmoid),
        cmocka_unit_test(numbers_are_taken_as_they_are),
        cmocka_unit_test(intervals_are_made_when_asked),
        cmocka_unit_test(no_rows_are_an_error),
        cmocka_unit_test(lack_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
