/* Figures of tagged sentences: by hand, against seqeval's, and at the edges. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "train/metrics.h"
#include "train/spans.h"

enum { O, B_LOC, I_LOC, B_PER, I_PER, N_NAMES };
static const char *const names[] = {"O", "B-LOC", "I-LOC", "B-PER", "I-PER"};

static void assert_near(double found, double expected)
{
    if (!(fabs(found - expected) <= 1e-10)) fail_msg("%.12g; expected %.12g", found, expected);
}

static void assert_metric(const fv_report *report, size_t i, const char *name, double expected)
{
    assert_true(i < report->n_metrics);
    assert_string_equal(report->metrics[i].name, name);
    assert_near(report->metrics[i].value, expected);
    assert_true(report->metrics[i].low <= report->metrics[i].high);
}

static void assert_figures(const fv_report *report, double accuracy, double precision, double recall, double f1)
{
    assert_int_equal(report->n_metrics, 4);
    assert_metric(report, 0, "accuracy", accuracy);
    assert_metric(report, 1, "precision", precision);
    assert_metric(report, 2, "recall", recall);
    assert_metric(report, 3, "f1", f1);
}

static void assert_type(const fv_report *report, size_t i, const char *name, double precision, double recall, double f1, int64_t count)
{
    assert_true(i < report->n_labels);
    assert_string_equal(report->labels[i].name, name);
    assert_near(report->labels[i].precision, precision);
    assert_near(report->labels[i].recall, recall);
    assert_near(report->labels[i].f1, f1);
    assert_int_equal(report->labels[i].count, count);
}

static fv_report compute(const fv_tag_predictions *p)
{
    fv_report report = {0};
    fv_err err = {0};
    if (fv_spans_compute(&report, p, NULL, &err) != FV_OK) fail_msg("%s", err.text);
    return report;
}

/* ---- By hand ------------------------------------------------------------------------------ */

static const size_t offsets[] = {0, 5, 5, 9};
static const int32_t truth[] = {B_LOC, I_LOC, O, B_PER, O, /**/ O, B_LOC, B_LOC, I_LOC};

static fv_tag_predictions predictions(const int32_t *predicted)
{
    return (fv_tag_predictions){.n = 3, .offsets = offsets, .truth = truth, .predicted = predicted, .names = names, .n_names = N_NAMES, .seed = 1};
}

static void by_hand(void **state)
{
    (void)state;
    /* a span too long, a span of another type, a span that is none, one missed, one right */
    const int32_t predicted[] = {B_LOC, I_LOC, I_LOC, B_LOC, B_PER, /**/ O, O, B_LOC, I_LOC};
    fv_tag_predictions p = predictions(predicted);
    fv_report report = compute(&p);
    assert_figures(&report, 5.0 / 9, 0.25, 0.25, 0.25);
    assert_int_equal(report.rows, 3);
    assert_int_equal(report.n_labels, 2);
    assert_type(&report, 0, "LOC", 1.0 / 3, 1.0 / 3, 1.0 / 3, 3);
    assert_type(&report, 1, "PER", 0, 0, 0, 1);
    assert_int_equal(report.labels[0].predicted, 3);
    assert_int_equal(report.labels[1].predicted, 1);
    fv_metrics_release(&report);
}

static void all_right_and_all_cut(void **state)
{
    (void)state;
    const int32_t cut[] = {-1, -1, -1, -1, -1, -1, -1, -1, -1};
    fv_tag_predictions p = predictions(truth);
    fv_report report = compute(&p);
    assert_figures(&report, 1, 1, 1, 1);
    fv_metrics_release(&report);
    p = predictions(cut);
    report = compute(&p);
    assert_figures(&report, 0, 0, 0, 0);
    fv_metrics_release(&report);
    p.truth = cut; /* tags that have no name are never right */
    report = compute(&p);
    assert_figures(&report, 0, 0, 0, 0);
    fv_metrics_release(&report);
}

static void parts_of_speech(void **state)
{
    (void)state;
    const char *const tags[] = {"NOUN", "VERB", "O"};
    const size_t ends[] = {0, 4};
    const int32_t true_tags[] = {0, 1, 1, 2}, guesses[] = {0, 1, 0, 2};
    fv_tag_predictions p = {.n = 1, .offsets = ends, .truth = true_tags, .predicted = guesses, .names = tags, .n_names = 3, .seed = 1};
    fv_report report = compute(&p);
    assert_int_equal(report.n_metrics, 1);
    assert_metric(&report, 0, "accuracy", 0.75);
    assert_int_equal(report.n_labels, 3);
    assert_type(&report, 0, "NOUN", 0.5, 1, 2.0 / 3, 1);
    assert_type(&report, 1, "VERB", 1, 0.5, 2.0 / 3, 2);
    assert_type(&report, 2, "O", 1, 1, 1, 1);
    fv_metrics_release(&report);
}

static void nothing_to_judge(void **state)
{
    (void)state;
    fv_report report = {0};
    fv_err err = {0};
    const size_t empty[] = {0, 0};
    fv_tag_predictions p = predictions(truth);
    p.n = 0;
    assert_int_equal(fv_spans_compute(&report, &p, NULL, &err), FV_E_INPUT);
    p.n = 1;
    p.offsets = empty;
    assert_int_equal(fv_spans_compute(&report, &p, NULL, &err), FV_E_INPUT);
    assert_string_equal(err.text, "no words to judge; expected at least one");
    assert_null(report.metrics);
}

/* ---- Against seqeval ---------------------------------------------------------------------- */

enum { SENTENCES = 60, MOST_WORDS = SENTENCES * 13 };

typedef struct made {
    size_t offsets[SENTENCES + 1];
    int32_t truth[MOST_WORDS], predicted[MOST_WORDS];
} made;

/* As in tests/golden/spans.py, which made the figures below. */
static fv_tag_predictions make(made *m, const char *const *tags, int n_tags)
{
    size_t at = 0;
    for (int s = 0; s < SENTENCES; s++) {
        m->offsets[s] = at;
        for (int w = 0; w < 1 + s * 7 % 13; w++, at++) {
            int t = (s * 31 + w * 17 + s * w * 7) % 97 % n_tags;
            m->truth[at] = t;
            m->predicted[at] = (s * w + s + 3 * w) % 5 ? t : (t + s + w) % n_tags;
        }
    }
    m->offsets[SENTENCES] = at;
    return (fv_tag_predictions){.n = SENTENCES, .offsets = m->offsets, .truth = m->truth, .predicted = m->predicted, .names = tags, .n_names = n_tags, .seed = 1};
}

static void as_seqeval_has_it(void **state)
{
    (void)state;
    static const char *const bio[] = {"O", "B-LOC", "I-LOC", "B-PER", "I-PER", "B-a-b", "I-a-b"};
    static const char *const iobes[] = {"O", "B-LOC", "I-LOC", "E-LOC", "S-LOC", "B-PER", "I-PER", "E-PER", "S-PER"};
    static const char *const bare[] = {"O", "B", "I"};
    made m;
    fv_tag_predictions p = make(&m, bio, FV_COUNT(bio));
    fv_report report = compute(&p);
    assert_figures(&report, 0.844660194175, 0.799352750809, 0.786624203822, 0.792937399679);
    assert_type(&report, 0, "LOC", 0.825, 0.798387096774, 0.811475409836, 124);
    assert_type(&report, 1, "PER", 0.731958762887, 0.755319148936, 0.743455497382, 94);
    assert_type(&report, 2, "a-b", 0.836956521739, 0.802083333333, 0.81914893617, 96);
    fv_metrics_release(&report);

    p = make(&m, iobes, FV_COUNT(iobes));
    report = compute(&p);
    assert_figures(&report, 0.844660194175, 0.839622641509, 0.842271293375, 0.84094488189);
    assert_type(&report, 0, "LOC", 0.828220858896, 0.823170731707, 0.825688073394, 164);
    assert_type(&report, 1, "PER", 0.851612903226, 0.862745098039, 0.857142857143, 153);
    fv_metrics_release(&report);

    p = make(&m, bare, FV_COUNT(bare));
    report = compute(&p);
    assert_figures(&report, 0.878640776699, 0.787356321839, 0.769662921348, 0.778409090909);
    assert_type(&report, 0, "_", 0.787356321839, 0.769662921348, 0.778409090909, 178);
    fv_metrics_release(&report);
}

/* ---- Intervals and memory ----------------------------------------------------------------- */

static void intervals(void **state)
{
    (void)state;
    made m;
    fv_tag_predictions p = make(&m, names, N_NAMES);
    fv_pool *pool = fv_pool_new(3, NULL);
    fv_report alone = compute(&p), together = {0};
    assert_int_equal(fv_spans_compute(&together, &p, pool, NULL), FV_OK);
    for (size_t i = 0; i < 4; i++) {
        const fv_metric *x = &alone.metrics[i], *y = &together.metrics[i];
        assert_true(x->low == y->low && x->high == y->high);
        assert_true(x->low < x->value && x->value < x->high);
        assert_true(x->high - x->low < 0.2);
    }
    fv_metrics_release(&alone);
    fv_metrics_release(&together);
    p.values_only = true;
    alone = compute(&p);
    assert_true(alone.metrics[3].low == alone.metrics[3].value);
    fv_metrics_release(&alone);
    fv_pool_free(pool);
}

static void memory_that_runs_out(void **state)
{
    (void)state;
    fv_tag_predictions p = predictions(truth);
    fv_status status = FV_E_MEMORY;
    int64_t live = fv_alloc_live();
    for (int64_t n = 0; status != FV_OK; n++) {
        fv_report report = {0};
        fv_err err = {0};
        fv_alloc_fail_after(n);
        status = fv_spans_compute(&report, &p, NULL, &err);
        fv_alloc_fail_after(-1);
        if (status == FV_OK) fv_metrics_release(&report);
        else assert_int_equal(status, FV_E_MEMORY);
        assert_null(report.metrics);
        assert_int_equal(fv_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand),
        cmocka_unit_test(all_right_and_all_cut),
        cmocka_unit_test(parts_of_speech),
        cmocka_unit_test(nothing_to_judge),
        cmocka_unit_test(as_seqeval_has_it),
        cmocka_unit_test(intervals),
        cmocka_unit_test(memory_that_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
