/* Figures of translations: values as text/overlap.h gives them, intervals, losses, edges. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "train/metrics.h"
#include "train/translations.h"

enum { N = 90 };

static char made[2 * N][64];
static fv_text_span texts[N], references[N];
static double sums[N];
static int32_t counts[N];
static const fv_row_losses losses = {.sums = sums, .counts = counts, .n = N};

/* Sentences of a few words, of which some are wrong, some in capitals. */
static int make_texts(void **state)
{
    (void)state;
    static const char *const words[] = {"boat", "river", "a", "quiet", "stone", "under"};
    for (int i = 0; i < N; i++) {
        int at[2] = {0, 0};
        for (int w = 0; w < 4 + i % 3; w++) {
            const char *word = words[(i + w * w) % 6], *other = (i * w) % 7 == 3 ? words[(i + w) % 5] : word;
            at[0] += snprintf(made[2 * i] + at[0], sizeof made[0] - (size_t)at[0], "%s ", i % 5 == w ? "River" : other);
            at[1] += snprintf(made[2 * i + 1] + at[1], sizeof made[0] - (size_t)at[1], "%s ", word);
        }
        texts[i] = (fv_text_span){made[2 * i], (size_t)at[0]};
        references[i] = (fv_text_span){made[2 * i + 1], (size_t)at[1]};
        sums[i] = 0.25 * (i % 8);
        counts[i] = 1 + i % 4;
    }
    return 0;
}

static fv_translations all(void) { return (fv_translations){.n = N, .texts = texts, .references = references, .seed = 1}; }

static fv_report compute(const fv_translations *t, fv_pool *pool)
{
    fv_report report = {0};
    fv_err err = {0};
    if (fv_translations_compute(&report, t, pool, &err) != FV_OK) fail_msg("%s", err.text);
    return report;
}

static void values_are_those_of_the_sums(void **state)
{
    (void)state;
    fv_translations t = all();
    fv_report report = compute(&t, NULL);
    fv_bleu_stats sum[2] = {0}, one;
    fv_chrf_stats chrf = {0}, c;
    fv_overlap room = {0};
    for (size_t i = 0; i < N; i++) {
        for (int lower = 0; lower < 2; lower++) {
            assert_int_equal(fv_bleu_count(&one, &room, &(fv_bleu_options){.lower = lower}, texts[i].text, texts[i].len, &references[i], 1, NULL), FV_OK);
            fv_bleu_add(&sum[lower], &one);
        }
        assert_int_equal(fv_chrf_count(&c, &room, &(fv_chrf_options){0}, texts[i].text, texts[i].len, &references[i], 1, NULL), FV_OK);
        fv_chrf_add(&chrf, &c);
    }
    fv_overlap_release(&room);
    assert_int_equal(report.rows, N);
    assert_int_equal(report.n_metrics, 3);
    assert_string_equal(report.metrics[0].name, "bleu");
    assert_string_equal(report.metrics[1].name, "bleu_lc");
    assert_string_equal(report.metrics[2].name, "chrf");
    assert_true(report.metrics[0].value == fv_bleu_value(&sum[0], false));
    assert_true(report.metrics[1].value == fv_bleu_value(&sum[1], false));
    assert_true(report.metrics[2].value == fv_chrf_value(&chrf));
    assert_true(report.metrics[0].value > 10 && report.metrics[1].value > report.metrics[0].value && report.metrics[1].value < 100);
    fv_metrics_release(&report);
}

static void intervals(void **state)
{
    (void)state;
    fv_translations t = all();
    fv_pool *pool = fv_pool_new(3, NULL);
    t.losses = &losses;
    fv_report alone = compute(&t, NULL), together = compute(&t, pool);
    assert_int_equal(alone.n_metrics, 5);
    for (size_t i = 0; i < 5; i++) {
        const fv_metric *x = &alone.metrics[i], *y = &together.metrics[i];
        assert_true(x->value == y->value && x->low == y->low && x->high == y->high);
        assert_true(x->low < x->value && x->value < x->high && x->high - x->low < 30);
    }
    fv_metrics_release(&alone);
    fv_metrics_release(&together);
    fv_pool_free(pool);
}

static void losses_by_token(void **state)
{
    (void)state;
    double loss = 0;
    int64_t tokens = 0;
    fv_translations t = all();
    t.losses = &losses, t.values_only = true;
    fv_report report = compute(&t, NULL);
    for (int i = 0; i < N; i++) loss += sums[i], tokens += counts[i];
    assert_string_equal(report.metrics[3].name, "loss");
    assert_string_equal(report.metrics[4].name, "perplexity");
    assert_true(report.metrics[3].value == loss / (double)tokens);
    assert_true(report.metrics[4].value == exp(loss / (double)tokens) && report.metrics[4].low == report.metrics[4].value);
    fv_metrics_release(&report);
}

static void which_cut(void **state)
{
    (void)state;
    const fv_text_span chinese[] = {{"我买了iPhone。", 18}, {"你好", 6}}, none = {"", 0};
    assert_int_equal(fv_translations_cut(references, N), FV_BLEU_13A);
    assert_int_equal(fv_translations_cut(chinese, 2), FV_BLEU_ZH);
    assert_int_equal(fv_translations_cut(&none, 1), FV_BLEU_13A);
}

static void nothing_to_judge(void **state)
{
    (void)state;
    fv_report report = {0};
    fv_err err = {0};
    fv_translations t = {0};
    assert_int_equal(fv_translations_compute(&report, &t, NULL, &err), FV_E_INPUT);
    assert_string_equal(err.text, "no translations to judge; expected at least one");
    assert_null(report.metrics);
}

static void memory_that_runs_out(void **state)
{
    (void)state;
    fv_translations t = all();
    fv_status status = FV_E_MEMORY;
    int64_t live = fv_alloc_live();
    t.n = 5, t.values_only = true;
    for (int64_t n = 0; status != FV_OK; n++) {
        fv_report report = {0};
        fv_err err = {0};
        fv_alloc_fail_after(n);
        status = fv_translations_compute(&report, &t, NULL, &err);
        fv_alloc_fail_after(-1);
        if (status == FV_OK) fv_metrics_release(&report);
        else assert_int_equal(err.status, FV_E_MEMORY);
        assert_null(report.metrics);
        assert_int_equal(fv_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_those_of_the_sums),
        cmocka_unit_test(intervals),
        cmocka_unit_test(losses_by_token),
        cmocka_unit_test(which_cut),
        cmocka_unit_test(nothing_to_judge),
        cmocka_unit_test(memory_that_runs_out),
    };
    return cmocka_run_group_tests(tests, make_texts, NULL);
}
