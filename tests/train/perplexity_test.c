/* Loss and perplexity: means over words, not over rows; intervals by rows. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "train/metrics.h"
#include "train/perplexity.h"

enum { N = 200 };

static void words_count_alike(void **state)
{
    (void)state;
    const fv_row_losses losses = {.sums = (double[]){1.5, 0, 7}, .counts = (int32_t[]){1, 0, 4}, .n = 3};
    fv_report report = {0};
    assert_int_equal(fv_perplexity_compute(&report, &losses, 1, false, NULL, NULL), FV_OK);
    assert_int_equal(report.rows, 3);
    assert_int_equal(report.n_metrics, 2);
    assert_string_equal(report.metrics[0].name, "loss");
    assert_string_equal(report.metrics[1].name, "perplexity");
    assert_true(fabs(report.metrics[0].value - 1.7) < 1e-12);
    assert_true(fabs(report.metrics[1].value - exp(1.7)) < 1e-12);
    assert_true(report.metrics[0].low == report.metrics[0].value && report.metrics[0].high == report.metrics[0].value);
    fv_metrics_release(&report);
}

/* Rows of one word each: the interval is some two standard errors wide on each side. */
static void intervals_are_of_rows(void **state)
{
    (void)state;
    fv_row_losses losses;
    fv_report report = {0};
    assert_int_equal(fv_row_losses_init(&losses, N, NULL), FV_OK);
    for (int i = 0; i < N; i++) losses.sums[i] = 2 + (i % 2 ? 0.5 : -0.5), losses.counts[i] = 1;
    assert_int_equal(fv_perplexity_compute(&report, &losses, 1, true, NULL, NULL), FV_OK);
    double error = 0.5 / sqrt(N);
    const fv_metric *loss = &report.metrics[0], *perplexity = &report.metrics[1];
    assert_true(fabs((2 - loss->low) / (1.96 * error) - 1) < 0.15 && fabs((loss->high - 2) / (1.96 * error) - 1) < 0.15);
    assert_true(fabs(log(perplexity->low) - loss->low) < 1e-3 && fabs(log(perplexity->high) - loss->high) < 1e-3);
    fv_metrics_release(&report);
    fv_row_losses_release(&losses);
}

static void without_words_there_is_nothing_to_judge(void **state)
{
    (void)state;
    const fv_row_losses losses = {.sums = (double[]){0, 0}, .counts = (int32_t[]){0, 0}, .n = 2};
    fv_report report = {0};
    fv_err err = {0};
    assert_int_equal(fv_perplexity_compute(&report, &losses, 1, true, NULL, &err), FV_E_INPUT);
    assert_string_equal(err.text, "no words to judge; expected a text that has some");
    assert_null(report.metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_count_alike),
        cmocka_unit_test(intervals_are_of_rows),
        cmocka_unit_test(without_words_there_is_nothing_to_judge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
