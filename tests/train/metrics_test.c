/* Figures: by hand, against scikit-learn's, and at the edges. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "train/metrics.h"

static const char *const names[] = {"a", "b", "c", "d", "e"};

static void assert_near(double found, double expected, double within)
{
    if (!(fabs(found - expected) <= within)) fail_msg("%.12g; expected %.12g", found, expected);
}

static const fv_metric *metric(const fv_report *report, const char *name)
{
    for (size_t i = 0; i < report->n_metrics; i++)
        if (strcmp(report->metrics[i].name, name) == 0) return &report->metrics[i];
    fail_msg("no metric %s", name);
    return NULL;
}

static void assert_metric(const fv_report *report, const char *name, double expected)
{
    const fv_metric *m = metric(report, name);
    assert_near(m->value, expected, 1e-6);
    assert_true(m->low <= m->high);
}

static fv_report compute(const fv_predictions *p)
{
    fv_report report = {0};
    fv_err err = {0};
    if (fv_metrics_compute(&report, p, NULL, &err) != FV_OK) fail_msg("%s", err.text);
    return report;
}

static void assert_label(const fv_label_score *label, const char *name, double precision, double recall, double f1, int64_t count, int64_t predicted)
{
    assert_string_equal(label->name, name);
    assert_near(label->precision, precision, 1e-9);
    assert_near(label->recall, recall, 1e-9);
    assert_near(label->f1, f1, 1e-9);
    assert_int_equal(label->count, count);
    assert_int_equal(label->predicted, predicted);
}

static void assert_confusion(const fv_report *report, size_t i, const char *truth, const char *predicted, int64_t count)
{
    assert_true(i < report->n_confusions);
    assert_string_equal(report->confusions[i].truth, truth);
    assert_string_equal(report->confusions[i].predicted, predicted);
    assert_int_equal(report->confusions[i].count, count);
}

/* ---- By hand ------------------------------------------------------------------------------ */

static void single_labels_by_hand(void **state)
{
    (void)state;
    /* predicted: a a b b, with d never predicted and never true; c is true once */
    static const float scores[4][4] = {{0.7f, 0.1f, 0.1f, 0.1f}, {0.5f, 0.25f, 0.25f, 0}, {0.2f, 0.8f, 0, 0}, {0.3f, 0.4f, 0.3f, 0}};
    static const int32_t truth[4] = {0, 1, 1, 2};
    fv_predictions p = {.kind = FV_LABELS_SINGLE, .n = 4, .n_labels = 4, .names = names, .scores = scores[0], .truth = truth};
    fv_report report = compute(&p);
    assert_int_equal(report.rows, 4);
    assert_int_equal(report.n_metrics, 5);
    assert_metric(&report, "accuracy", 0.5);
    assert_metric(&report, "micro_f1", 0.5);
    assert_metric(&report, "macro_f1", (2.0 / 3 + 0.5 + 0) / 3);
    assert_metric(&report, "ece", (0.3 + 0.5 + 0.2 + 0.4) / 4); /* four bins with one row each */
    assert_metric(&report, "loss", -(log(0.7) + log(0.25) + log(0.8) + log(0.3)) / 4);
    assert_int_equal(report.n_labels, 4);
    assert_label(&report.labels[0], "a", 0.5, 1, 2.0 / 3, 1, 2);
    assert_label(&report.labels[1], "b", 0.5, 0.5, 0.5, 2, 2);
    assert_label(&report.labels[2], "c", 0, 0, 0, 1, 0);
    assert_label(&report.labels[3], "d", 0, 0, 0, 0, 0);
    assert_int_equal(report.n_confusions, 2);
    assert_confusion(&report, 0, "b", "a", 1);
    assert_confusion(&report, 1, "c", "b", 1);
    fv_metrics_release(&report);
    assert_null(report.metrics);
}

static void confidence_in_one_bin_cancels(void **state)
{
    (void)state;
    static const float scores[4][2] = {{0.75f, 0.25f}, {0.75f, 0.25f}, {0.75f, 0.25f}, {0.75f, 0.25f}};
    static const int32_t truth[4] = {0, 0, 0, 1};
    fv_predictions p = {.kind = FV_LABELS_SINGLE, .n = 4, .n_labels = 2, .names = names, .scores = scores[0], .truth = truth};
    fv_report report = compute(&p);
    assert_metric(&report, "ece", 0); /* right three times out of four, as it said */
    fv_metrics_release(&report);
}

static void several_labels_by_hand(void **state)
{
    (void)state;
    static const float scores[3][3] = {{0.9f, 0.6f, 0.1f}, {0.5f, 0.2f, 0.3f}, {0.1f, 0.2f, 0.4f}};
    static const int32_t truth[] = {0, 1, 2, 0}; /* {a, b}, {c, a}, {} */
    static const size_t offsets[] = {0, 2, 4, 4};
    fv_predictions p = {.kind = FV_LABELS_MULTI, .n = 3, .n_labels = 3, .names = names, .scores = scores[0], .truth = truth, .truth_offsets = offsets};
    fv_report report = compute(&p);
    assert_metric(&report, "accuracy", 2.0 / 3);
    assert_metric(&report, "macro_f1", (1 + 1 + 0) / 3.0);
    assert_metric(&report, "micro_f1", 2 * 3.0 / (2 * 3 + 1));
    assert_metric(&report, "loss", -(log(0.9) + log(0.6) + log(0.9) + log(0.5) + log(0.8) + log(0.3) + log(0.9) + log(0.8) + log(0.6)) / 9);
    /* bins of 1/15: .9 .9 .9 | .6 .6 | .5 | .8 .8 | .7 wrong */
    assert_metric(&report, "ece", (0.3 + 0.8 + 0.5 + 0.4 + 0.7) / 9);
    assert_label(&report.labels[0], "a", 1, 1, 1, 2, 2);
    assert_label(&report.labels[2], "c", 0, 0, 0, 1, 0);
    assert_int_equal(report.n_confusions, 0);
    fv_metrics_release(&report);
}

static void numbers_by_hand(void **state)
{
    (void)state;
    static const float predicted[] = {1, 2, 3, 6};
    static const double truth[] = {1, 2, 3, 4};
    fv_predictions p = {.kind = FV_LABELS_REGRESSION, .n = 4, .n_labels = 1, .scores = predicted, .values = truth};
    fv_report report = compute(&p);
    assert_int_equal(report.n_metrics, 3);
    assert_string_equal(report.metrics[0].name, "r2");
    assert_metric(&report, "mse", 1);
    assert_metric(&report, "r2", 1 - 4 / 5.0);
    assert_metric(&report, "pearson", 8 / sqrt(5 * 14.0));
    assert_int_equal(report.n_labels, 0);
    fv_metrics_release(&report);
}

/* ---- Against scikit-learn ----------------------------------------------------------------- */

/* Recorded with scikit-learn 1.9.1, scipy 1.17.1 and numpy 2.4.6 by: python3 tests/golden/metrics.py */
enum { N = 200, L = 5 };

static int raw(int i, int j) { return (i * 31 + j * 17 + i * j * 7) % 97; }

static void single_labels_as_scikit_learn(void **state)
{
    (void)state;
    static float scores[N][L];
    static int32_t truth[N];
    for (int i = 0; i < N; i++) {
        int best = 0, sum = 0;
        for (int j = 0; j < L; j++) {
            sum += raw(i, j) + 1;
            if (raw(i, j) > raw(i, best)) best = j;
        }
        for (int j = 0; j < L; j++) scores[i][j] = (float)((double)(raw(i, j) + 1) / sum);
        truth[i] = i % 3 == 0 ? (i * i + 3 * i) % L : best;
    }
    fv_predictions p = {.kind = FV_LABELS_SINGLE, .n = N, .n_labels = L, .names = names, .scores = scores[0], .truth = truth};
    fv_report report = compute(&p);
    assert_metric(&report, "accuracy", 0.725);
    assert_metric(&report, "macro_f1", 0.7403204248148921);
    assert_metric(&report, "micro_f1", 0.725);
    assert_metric(&report, "loss", 1.3168364758925313);
    assert_metric(&report, "ece", 0.3902141466736794);
    assert_label(&report.labels[0], "a", 0.754716981132, 0.655737704918, 0.701754385965, 61, 53);
    assert_label(&report.labels[1], "b", 0.678571428571, 1, 0.808510638298, 19, 28);
    assert_label(&report.labels[2], "c", 0.685714285714, 1, 0.813559322034, 24, 35);
    assert_label(&report.labels[3], "d", 0.736842105263, 0.538461538462, 0.622222222222, 52, 38);
    assert_label(&report.labels[4], "e", 0.739130434783, 0.772727272727, 0.755555555556, 44, 46);
    assert_int_equal(report.n_confusions, 10);
    assert_confusion(&report, 0, "d", "a", 11);
    assert_confusion(&report, 1, "d", "b", 8);
    assert_confusion(&report, 2, "a", "c", 7); /* equal counts: in the labels' order */
    assert_confusion(&report, 3, "a", "e", 7);
    assert_confusion(&report, 9, "a", "b", 1);
    fv_metrics_release(&report);
}

static void several_labels_as_scikit_learn(void **state)
{
    (void)state;
    static float scores[N][L];
    static int32_t truth[N * L];
    static size_t offsets[N + 1];
    for (int i = 0; i < N; i++) {
        offsets[i + 1] = offsets[i];
        for (int j = 0; j < L; j++) {
            scores[i][j] = (float)((raw(i, j) + 1) / 98.0);
            if ((i * 5 + j * j * 3 + i * j) % 4 == 0) truth[offsets[i + 1]++] = j;
        }
    }
    fv_predictions p = {.kind = FV_LABELS_MULTI, .n = N, .n_labels = L, .names = names, .scores = scores[0], .truth = truth, .truth_offsets = offsets};
    fv_report report = compute(&p);
    assert_metric(&report, "accuracy", 0.035);
    assert_metric(&report, "macro_f1", 0.18764377831997212);
    assert_metric(&report, "micro_f1", 0.21646341463414634);
    assert_metric(&report, "loss", 0.999942649618523);
    assert_metric(&report, "ece", 0.26136734580993654);
    assert_label(&report.labels[0], "a", 0.247524752475, 0.5, 0.331125827815, 50, 101);
    assert_label(&report.labels[1], "b", 0, 0, 0, 0, 101);
    assert_label(&report.labels[2], "c", 0.207920792079, 0.42, 0.278145695364, 50, 101);
    assert_label(&report.labels[4], "e", 0.245098039216, 0.5, 0.328947368421, 50, 102);
    fv_metrics_release(&report);
}

static void numbers_as_scikit_learn(void **state)
{
    (void)state;
    static float predicted[N];
    static double truth[N];
    for (int i = 0; i < N; i++) {
        truth[i] = (i * 37 % 101) / 10.0;
        predicted[i] = (float)(truth[i] * 0.8 + (i * 13 % 7) / 3.0 - 1);
    }
    fv_predictions p = {.kind = FV_LABELS_REGRESSION, .n = N, .n_labels = 1, .scores = predicted, .values = truth};
    fv_report report = compute(&p);
    assert_metric(&report, "r2", 0.7913666638511989);
    assert_metric(&report, "mse", 1.7835500075770063);
    assert_metric(&report, "pearson", 0.9613482508980402);
    fv_metrics_release(&report);
}

/* ---- Edges -------------------------------------------------------------------------------- */

static void one_row(void **state)
{
    (void)state;
    static const float scores[] = {0.25f, 0.75f};
    static const int32_t truth[] = {1};
    static const double value = 3;
    fv_predictions p = {.kind = FV_LABELS_SINGLE, .n = 1, .n_labels = 2, .names = names, .scores = scores, .truth = truth};
    fv_report report = compute(&p);
    for (size_t i = 0; i < report.n_metrics; i++) {
        assert_near(report.metrics[i].low, report.metrics[i].value, 1e-12);
        assert_near(report.metrics[i].high, report.metrics[i].value, 1e-12);
    }
    assert_metric(&report, "macro_f1", 1); /* over the one label that occurs */
    fv_metrics_release(&report);

    p = (fv_predictions){.kind = FV_LABELS_REGRESSION, .n = 1, .n_labels = 1, .scores = scores, .values = &value};
    report = compute(&p);
    assert_metric(&report, "r2", 0);
    assert_metric(&report, "mse", 2.75 * 2.75);
    assert_metric(&report, "pearson", 0);
    fv_metrics_release(&report);
}

static void constant_truth(void **state)
{
    (void)state;
    static const double truth[] = {0.1, 0.1, 0.1};
    static const float off[] = {0.1f, 0.2f, 0.3f}, flat[] = {1, 1, 1};
    static const double ones[] = {1, 1, 1}, rising[] = {1, 2, 3};
    fv_predictions p = {.kind = FV_LABELS_REGRESSION, .n = 3, .n_labels = 1, .scores = off, .values = truth};
    fv_report report = compute(&p);
    assert_metric(&report, "r2", 0);
    assert_metric(&report, "pearson", 0);
    fv_metrics_release(&report);

    p.scores = flat, p.values = ones;
    report = compute(&p);
    assert_metric(&report, "r2", 1);
    assert_metric(&report, "mse", 0);
    fv_metrics_release(&report);

    p.values = rising; /* a model that always says the same */
    report = compute(&p);
    assert_metric(&report, "r2", 1 - 5 / 2.0);
    assert_metric(&report, "pearson", 0);
    fv_metrics_release(&report);
}

static void scores_that_are_no_probabilities(void **state)
{
    (void)state;
    static const float scores[4][2] = {{NAN, NAN}, {0, 1}, {INFINITY, -INFINITY}, {-3, 2}};
    static const int32_t truth[4] = {1, 0, 0, 1};
    fv_predictions p = {.kind = FV_LABELS_SINGLE, .n = 4, .n_labels = 2, .names = names, .scores = scores[0], .truth = truth};
    fv_report report = compute(&p);
    assert_metric(&report, "accuracy", 0.5);
    assert_metric(&report, "loss", 2 * 87.3365447505531 / 4); /* -ln(FLT_MIN), twice */
    fv_metrics_release(&report);

    static const int32_t sets[] = {1, 0};
    static const size_t offsets[] = {0, 1, 2, 2, 2};
    p.kind = FV_LABELS_MULTI, p.truth = sets, p.truth_offsets = offsets;
    report = compute(&p);
    assert_true(isfinite(metric(&report, "loss")->value));
    assert_true(isfinite(metric(&report, "ece")->value));
    fv_metrics_release(&report);
}

static void predictions_that_are_nan(void **state)
{
    (void)state;
    static const float predicted[] = {1, NAN, 3};
    static const double truth[] = {1, 2, 3};
    fv_predictions p = {.kind = FV_LABELS_REGRESSION, .n = 3, .n_labels = 1, .scores = predicted, .values = truth};
    fv_report report = compute(&p);
    for (size_t i = 0; i < report.n_metrics; i++) {
        assert_true(isnan(report.metrics[i].value));
        assert_true(isnan(report.metrics[i].low) && isnan(report.metrics[i].high));
    }
    fv_metrics_release(&report);
}

static void labels_that_the_model_does_not_know(void **state)
{
    (void)state;
    static const float scores[3][2] = {{0.75f, 0.25f}, {0.75f, 0.25f}, {0.25f, 0.75f}};
    static const int32_t truth[3] = {0, -1, 1};
    fv_predictions p = {.kind = FV_LABELS_SINGLE, .n = 3, .n_labels = 2, .names = names, .scores = scores[0], .truth = truth};
    fv_report report = compute(&p);
    assert_metric(&report, "accuracy", 2.0 / 3);
    assert_metric(&report, "micro_f1", 2.0 / 3);
    assert_metric(&report, "macro_f1", (2.0 / 3 + 1) / 2);
    assert_metric(&report, "loss", -log(0.75));
    assert_label(&report.labels[0], "a", 0.5, 1, 2.0 / 3, 1, 2);
    assert_int_equal(report.n_confusions, 0);
    fv_metrics_release(&report);
}

static void nothing_true_and_nothing_predicted(void **state)
{
    (void)state;
    static const float scores[2] = {0.1f, 0.1f};
    static const size_t offsets[3] = {0, 0, 0};
    static const int32_t none[1] = {0};
    fv_predictions p = {.kind = FV_LABELS_MULTI, .n = 2, .n_labels = 1, .names = names, .scores = scores, .truth = none, .truth_offsets = offsets};
    fv_report report = compute(&p);
    assert_metric(&report, "accuracy", 1);
    assert_metric(&report, "macro_f1", 0);
    assert_metric(&report, "micro_f1", 0);
    fv_metrics_release(&report);
}

static void no_rows(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_report report = {0};
    fv_predictions p = {.kind = FV_LABELS_SINGLE, .n_labels = 1, .names = names};
    assert_int_equal(fv_metrics_compute(&report, &p, NULL, &err), FV_E_INPUT);
    assert_string_equal(err.text, "no rows to judge; expected at least one");
}

/* ---- Many rows ---------------------------------------------------------------------------- */

enum { MANY_ROWS = 1000, MANY_LABELS = 30 };

static float many_scores[MANY_ROWS][MANY_LABELS];
static int32_t many_truth[MANY_ROWS];
static const char *many_names[MANY_LABELS];

/* Right in 4 rows of 5, wrong in all kinds of ways. */
static fv_predictions make_many(void)
{
    fv_rng rng = fv_rng_make(3, "metrics");
    for (int i = 0; i < MANY_ROWS; i++) {
        int best = (int)fv_rng_below(&rng, MANY_LABELS);
        for (int j = 0; j < MANY_LABELS; j++) many_scores[i][j] = 0.2f / MANY_LABELS;
        many_scores[i][best] = (float)(0.3 + 0.7 * fv_rng_uniform(&rng));
        many_truth[i] = i % 5 ? best : (best + 1 + i / 5 % (MANY_LABELS - 1)) % MANY_LABELS;
    }
    for (int j = 0; j < MANY_LABELS; j++) many_names[j] = "label";
    return (fv_predictions){.kind = FV_LABELS_SINGLE, .n = MANY_ROWS, .n_labels = MANY_LABELS, .names = many_names, .scores = many_scores[0], .truth = many_truth, .seed = 1};
}

static void intervals_are_as_wide_as_theory_says(void **state)
{
    (void)state;
    fv_predictions p = make_many();
    fv_report report = compute(&p);
    const fv_metric *accuracy = metric(&report, "accuracy");
    double about = accuracy->value, half = 1.96 * sqrt(about * (1 - about) / MANY_ROWS); /* a proportion's standard error */
    assert_near(about - accuracy->low, half, 0.2 * half);
    assert_near(accuracy->high - about, half, 0.2 * half);
    fv_metrics_release(&report);
}

static void intervals_can_be_left_out(void **state)
{
    (void)state;
    fv_predictions p = make_many();
    p.values_only = true;
    fv_report report = compute(&p);
    for (size_t i = 0; i < report.n_metrics; i++) {
        assert_true(report.metrics[i].low == report.metrics[i].value);
        assert_true(report.metrics[i].high == report.metrics[i].value);
    }
    assert_metric(&report, "accuracy", 0.8);
    fv_metrics_release(&report);
}

static void at_most_twenty_confusions(void **state)
{
    (void)state;
    fv_predictions p = make_many();
    fv_report report = compute(&p);
    assert_int_equal(report.n_confusions, 20);
    for (size_t i = 1; i < 20; i++) assert_true(report.confusions[i - 1].count >= report.confusions[i].count);
    fv_metrics_release(&report);
}

static void chance_hangs_on_the_seed_alone(void **state)
{
    (void)state;
    fv_predictions p = make_many();
    fv_report one = compute(&p), four = {0}, other;
    fv_pool *pool = fv_pool_new(4, NULL);
    assert_non_null(pool);
    assert_int_equal(fv_metrics_compute(&four, &p, pool, NULL), FV_OK);
    for (size_t i = 0; i < one.n_metrics; i++) assert_memory_equal(&one.metrics[i], &four.metrics[i], sizeof *one.metrics);
    p.seed = 2;
    other = compute(&p);
    assert_true(metric(&other, "loss")->low != metric(&one, "loss")->low);
    assert_true(metric(&other, "loss")->value == metric(&one, "loss")->value);
    fv_metrics_release(&one);
    fv_metrics_release(&four);
    fv_metrics_release(&other);
    fv_pool_free(pool);
}

static void full_heap(void **state)
{
    (void)state;
    static const float scores[2][2] = {{0.75f, 0.25f}, {0.75f, 0.25f}};
    static const int32_t truth[2] = {0, 1};
    fv_predictions p = {.kind = FV_LABELS_SINGLE, .n = 2, .n_labels = 2, .names = names, .scores = scores[0], .truth = truth};
    fv_status status = FV_E_MEMORY;
    int64_t live = fv_alloc_live();
    for (int n = 0; status != FV_OK && n < 100; n++) {
        fv_report report = {0};
        fv_err err = {0};
        fv_alloc_fail_after(n);
        status = fv_metrics_compute(&report, &p, NULL, &err);
        fv_alloc_fail_after(-1);
        assert_int_equal(err.status, status);
        fv_metrics_release(&report);
        assert_int_equal(fv_alloc_live(), live);
    }
    assert_int_equal(status, FV_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(single_labels_by_hand),
        cmocka_unit_test(confidence_in_one_bin_cancels),
        cmocka_unit_test(several_labels_by_hand),
        cmocka_unit_test(numbers_by_hand),
        cmocka_unit_test(single_labels_as_scikit_learn),
        cmocka_unit_test(several_labels_as_scikit_learn),
        cmocka_unit_test(numbers_as_scikit_learn),
        cmocka_unit_test(one_row),
        cmocka_unit_test(constant_truth),
        cmocka_unit_test(scores_that_are_no_probabilities),
        cmocka_unit_test(predictions_that_are_nan),
        cmocka_unit_test(labels_that_the_model_does_not_know),
        cmocka_unit_test(nothing_true_and_nothing_predicted),
        cmocka_unit_test(no_rows),
        cmocka_unit_test(intervals_are_as_wide_as_theory_says),
        cmocka_unit_test(intervals_can_be_left_out),
        cmocka_unit_test(at_most_twenty_confusions),
        cmocka_unit_test(chance_hangs_on_the_seed_alone),
        cmocka_unit_test(full_heap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
