/* Ranks and figures of retrieval, by hand; and what a file's rows say. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "train/metrics.h"
#include "train/retrieval.h"
#include "train/toy.h"

static fv_dataset load(const char *text)
{
    fv_dataset data;
    fv_columns c;
    fv_err err = {0};
    fv_label_set labels = {0};
    fv_columns_init(&c);
    fv_dataset_vector_columns(&c);
    if (fv_dataset_load(&data, toy_text("rows.tsv", text), &c, FV_LABELS_VECTOR, &labels, true, &err) != FV_OK) fail_msg("%s", err.text);
    return data;
}

static double measured(const char *text, const float *vectors, int dim, bool own, const char *name)
{
    fv_judgements j;
    fv_report report = {0};
    fv_err err = {0};
    fv_dataset data = load(text);
    assert_int_equal(fv_judgements_make(&j, &data, &err), FV_OK);
    fv_rankings r = {.judgements = &j, .vectors = vectors, .dim = dim, .own = own, .seed = 1};
    if (fv_retrieval_compute(&report, &r, NULL, &err) != FV_OK) fail_msg("%s", err.text);
    double value = toy_metric(&report, name);
    for (size_t i = 0; i < report.n_metrics; i++) assert_true(report.metrics[i].low <= report.metrics[i].value && report.metrics[i].value <= report.metrics[i].high);
    fv_metrics_release(&report);
    fv_judgements_release(&j);
    fv_dataset_release(&data);
    return value;
}

static void near(double found, double expected)
{
    if (!(fabs(found - expected) < 1e-9)) fail_msg("found %.12g, expected %.12g", found, expected);
}

/* Queries a and b, documents x, y, z; a: x 0.9, y 0.8, z 0.1; b: x 0.7, y 0.6, z 0.5. */
static const char two[] = "text\ttext2\na\tx\nb\tz\nb\ty\n";
static const float two_vectors[] = {1, 0, 0, 1, /* x z y, in order of appearance */ 0.9f, 0.7f, 0.1f, 0.5f, 0.8f, 0.6f};

static void by_hand(void **state)
{
    (void)state;
    near(measured(two, two_vectors, 2, false, "mrr"), (1 + 1.0 / 2) / 2);
    near(measured(two, two_vectors, 2, false, "recall1"), 0.5);
    near(measured(two, two_vectors, 2, false, "recall10"), 1);
    near(measured(two, two_vectors, 2, false, "ndcg10"), (1 + (1 / log2(3) + 1 / log2(4)) / (1 + 1 / log2(3))) / 2);
}

static void only_its_own_are_ranked(void **state)
{
    (void)state;
    near(measured("text\ttext2\tgrade\na\tx\t0\na\ty\t1\nb\tz\t2\n", (const float[]){1, 0, 0, 1, 0.5f, 1, 0.4f, 0, 0.9f, 0.5f}, 2, false, "mrr"), (1.0 / 3 + 1.0 / 2) / 2);
    near(measured("text\ttext2\tgrade\na\tx\t0\na\ty\t1\nb\tz\t2\n", (const float[]){1, 0, 0, 1, 0.5f, 1, 0.4f, 0, 0.9f, 0.5f}, 2, true, "mrr"), (1.0 / 2 + 1) / 2);
}

/* One text, four documents in the order w x y z; grades 1 of x, 3 of y; z is a document that nobody asks for. */
static void grades_count(void **state)
{
    (void)state;
    static const char text[] = "text\ttext2\tgrade\na\tw\t0\na\tx\t1\na\ty\t3\n\tz\t\n";
    const float vectors[] = {1, 0.9f, 0.8f, 0.7f, 0.75f};
    near(measured(text, vectors, 1, false, "ndcg10"), (1 / log2(3) + 3 / log2(5)) / (3 + 1 / log2(3)));
    near(measured(text, vectors, 1, false, "mrr"), 0.5);
    near(measured(text, vectors, 1, true, "ndcg10"), (1 / log2(3) + 3 / log2(4)) / (3 + 1 / log2(3)));
}

/* A model that says the same of all texts finds nothing by chance, nor does one that says nothing. */
static void equal_ones_gain_nothing(void **state)
{
    (void)state;
    near(measured("text\ttext2\na\tx\nb\ty\nc\tz\n", (const float[]){1, 1, 1, 1, 1, 1}, 1, false, "mrr"), 1.0 / 3);
    near(measured("text\ttext2\na\tx\nb\ty\nc\tz\n", (const float[]){1, 1, 1, NAN, NAN, NAN}, 1, false, "mrr"), 1.0 / 3);
}

/* 12 right ones, all first: of ten all are found. */
static void more_than_ten_are_right(void **state)
{
    (void)state;
    char text[400] = "text\ttext2\n";
    float all[15] = {1, -1}; /* a, and b, whose cosines are turned round */
    for (int i = 0; i < 13; i++) {
        size_t n = strlen(text);
        snprintf(text + n, sizeof text - n, "%s\td%d\n", i < 12 ? "a" : "b", i);
        all[i + 2] = i < 12 ? 1 : 0.5f;
    }
    near(measured(text, all, 1, false, "recall10"), 1);
    near(measured(text, all, 1, false, "ndcg10"), 1);
}

static void repeated_rows_are_one(void **state)
{
    (void)state;
    fv_judgements j;
    fv_err err = {0};
    fv_dataset data = load("text\ttext2\tnegative\na\tx\tz\na\tx\ty\nb\ty\tz\n");
    assert_int_equal(fv_judgements_make(&j, &data, &err), FV_OK);
    assert_int_equal(j.n, 2);
    assert_int_equal(j.n_queries, 2);
    assert_int_equal(j.n_documents, 3);
    assert_int_equal(j.asked[2], 2); /* x, z, y */
    fv_judgements_release(&j);
    fv_dataset_release(&data);
}

static void nothing_right_is_told(void **state)
{
    (void)state;
    fv_judgements j;
    fv_report report = {0};
    fv_err err = {0};
    fv_dataset data = load("text\ttext2\tgrade\na\tx\t0\n");
    assert_int_equal(fv_judgements_make(&j, &data, &err), FV_OK);
    fv_rankings r = {.judgements = &j, .vectors = (const float[]){1, 1}, .dim = 1};
    assert_int_equal(fv_retrieval_compute(&report, &r, NULL, &err), FV_E_INPUT);
    toy_contains(err.text, "no text has a right text2");
    fv_judgements_release(&j);
    fv_dataset_release(&data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand), cmocka_unit_test(only_its_own_are_ranked), cmocka_unit_test(grades_count), cmocka_unit_test(equal_ones_gain_nothing),
        cmocka_unit_test(more_than_ten_are_right), cmocka_unit_test(repeated_rows_are_one), cmocka_unit_test(nothing_right_is_told),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
