/* fv_eval: a labelled file against a model, and what it says of rows that do not fit. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "train/toy.h"

static fv_model *model;
static fv_session *session;

static int open_model(void **state)
{
    if (scratch_setup(state) != 0) return -1;
    model = toy_open(toy_model());
    session = fv_session_new(model, NULL, NULL);
    return session ? 0 : -1;
}

static int close_model(void **state)
{
    fv_session_free(session);
    fv_model_close(model);
    return scratch_teardown(state);
}

static void figures_are_counted(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_report *r = fv_eval(session, toy_classes("test.tsv", 270, 330), NULL, &err);
    if (!r) fail_msg("%s", err.text);
    assert_int_equal(r->rows, 60);
    assert_int_equal(r->unknown_labels, 0);
    assert_int_equal(r->skipped, 0);
    assert_int_equal(r->n_labels, 3);
    assert_string_equal(r->labels[1].name, "metal");
    assert_int_equal(r->labels[1].count, 20);
    for (size_t i = 0; i < r->n_metrics; i++) assert_true(r->metrics[i].low <= r->metrics[i].value && r->metrics[i].value <= r->metrics[i].high);
    assert_true(toy_metric(r, "accuracy") > 0.97);
    fv_report_free(r);
    fv_report_free(NULL);
}

static void the_seed_draws_the_interval(void **state)
{
    (void)state;
    fv_eval_options o;
    fv_eval_options_init(&o);
    const char *path = toy_text("half.tsv", "text\tlabel\nfound zinc\tmetal\nfound tin\triver\nfound sloe\tberry\nfound oder\tmetal\nfound iron\tberry\n");
    double ends[3] = {0}; /* of all intervals, summed */
    for (int i = 0; i < 3; i++) {
        o.seed = i == 2 ? 99 : 1;
        fv_report *r = fv_eval(session, path, &o, NULL);
        assert_non_null(r);
        assert_true(r->n_confusions >= 1);
        for (size_t k = 0; k < r->n_metrics; k++) ends[i] += r->metrics[k].low + r->metrics[k].high;
        fv_report_free(r);
    }
    assert_true(ends[0] == ends[1]);
    assert_true(ends[0] != ends[2]);
}

static void odd_rows_are_counted(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_eval_options o;
    fv_eval_options_init(&o);
    static char text[4000] = "text\tlabel\nfound zinc\tmetal\nfound gold\tjewel\nno label here\n";
    for (int i = 0; i < 400; i++) strncat(text, "x ", sizeof text - strlen(text) - 1);
    strncat(text, "\triver\n", sizeof text - strlen(text) - 1);
    const char *path = toy_text("odd.tsv", text);
    assert_null(fv_eval(session, path, &o, &err));
    assert_int_equal(err.status, FV_E_INPUT);
    toy_contains(err.text, "odd.tsv:4");
    o.columns.skip_bad = true;
    fv_report *r = fv_eval(session, path, &o, &err);
    if (!r) fail_msg("%s", err.text);
    assert_int_equal(r->rows, 3);
    assert_int_equal(r->unknown_labels, 1);
    assert_int_equal(r->skipped, 1);
    assert_int_equal(r->cut, 1);
    fv_report_free(r);
}

static void bad_files_are_refused(void **state)
{
    (void)state;
    fv_err err = {0};
    assert_null(fv_eval(session, "no/such.tsv", NULL, &err));
    assert_int_equal(err.status, FV_E_IO);
    assert_null(fv_eval(session, toy_text("empty.tsv", "text\tlabel\n"), NULL, &err));
    assert_int_equal(err.status, FV_E_INPUT);
    toy_contains(err.text, "empty.tsv");
}

static int stop(void *user, const fv_event *event)
{
    assert_true(event->step >= 1 && event->step <= event->steps);
    return ++*(int *)user == 2;
}

static void it_can_be_stopped(void **state)
{
    (void)state;
    fv_err err = {0};
    int calls = 0;
    fv_session_options small;
    fv_session_options_init(&small);
    small.batch_tokens = 16;
    fv_session *s = fv_session_new(model, &small, &err);
    fv_eval_options o;
    fv_eval_options_init(&o);
    o.on_event = stop;
    o.on_event_user = &calls;
    assert_null(fv_eval(s, toy_classes("test.tsv", 270, 330), &o, &err));
    assert_int_equal(err.status, FV_E_STOPPED);
    assert_int_equal(calls, 2);
    fv_session_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_counted),
        cmocka_unit_test(the_seed_draws_the_interval),
        cmocka_unit_test(odd_rows_are_counted),
        cmocka_unit_test(bad_files_are_refused),
        cmocka_unit_test(it_can_be_stopped),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
