/* fv_eval of a translator: figures as sacreBLEU has them, intervals, signatures, and what it says of files and options that
 * do not fit. The model is small, and knows its training pairs by heart. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "train/toy.h"

static fv_model *model;
static fv_session *session;

/* The references are near to what it writes for these, which tests/golden/translator.py lists. */
static const char *const rows =
    "src\ttgt\n"
    "one houses and one houses\teins häuser und eins häuser\n"
    "two houses and one houses\tEins Häuser und zwei Häuser\n"
    "four birds and two birds\tzwei vögel, vier vögel\n"
    "six birds and six houses\tsechs häuser und sechs vögel\n"
    "two birds and two birds\tzwei vögel und eins\n"
    "five birds and three birds\tdrei große vögel und fünf vögel\n"
    "two rivers and three birds\tzwei flüsse und drei vögel\n"
    "four rivers and four rivers\tvier Flüsse und vier Flüsse!\n";

static int open_model(void **state)
{
    fv_train_options o;
    if (scratch_setup(state) != 0) return -1;
    toy_translator_options(&o, "translator");
    toy_train(&o);
    model = toy_open(o.out);
    session = fv_session_new(model, NULL, NULL);
    return session ? 0 : -1;
}

static int close_model(void **state)
{
    fv_session_free(session);
    fv_model_close(model);
    return scratch_teardown(state);
}

static fv_eval_options options(void)
{
    fv_eval_options o;
    fv_eval_options_init(&o);
    o.columns.text = "src";
    o.columns.label = "tgt";
    return o;
}

static fv_report *evaluate(const char *path, const fv_eval_options *o)
{
    fv_err err = {0};
    fv_report *r = fv_eval(session, path, o, &err);
    if (!r) fail_msg("%s", err.text);
    return r;
}

static void refused(const char *path, const fv_eval_options *o, fv_status status, const char *part)
{
    fv_err err = {0};
    assert_null(fv_eval(session, path, o, &err));
    assert_int_equal(err.status, status);
    toy_contains(err.text, part);
}

/* ---- Figures ---- */

static void figures_are_those_of_sacrebleu(void **state)
{
    (void)state;
    static const struct { const char *words, *signature; double bleu, bleu_lc; } cases[] = {
        {NULL, "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp", 47.3736, 69.2431},
        {"13a", "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp", 47.3736, 69.2431},
        {"char", "nrefs:1|case:mixed|eff:no|tok:char|smooth:exp", 82.3334, 89.3289},
    };
    const char *path = toy_text("near.tsv", rows);
    for (size_t i = 0; i < FV_COUNT(cases); i++) {
        fv_eval_options o = options();
        o.bleu_words = cases[i].words;
        fv_report *r = evaluate(path, &o);
        assert_true(fabs(toy_metric(r, "bleu") - cases[i].bleu) < 1e-4);
        assert_true(fabs(toy_metric(r, "bleu_lc") - cases[i].bleu_lc) < 1e-4);
        assert_true(fabs(toy_metric(r, "chrf") - 77.2754) < 1e-4);
        toy_contains(r->bleu_signature, cases[i].signature);
        toy_contains(r->chrf_signature, "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no");
        assert_int_equal(r->rows, 8);
        fv_report_free(r);
    }
}

static void what_is_known_by_heart(void **state)
{
    (void)state;
    fv_eval_options o = options();
    fv_report *known = evaluate(toy_translations("known.tsv", 0, 12), &o), *near = evaluate(toy_text("near.tsv", rows), &o);
    assert_true(toy_metric(known, "bleu") > 100 - 1e-9 && known->metrics[0].low == known->metrics[0].value);
    assert_true(toy_metric(known, "chrf") > 100 - 1e-9);
    assert_true(toy_metric(known, "loss") < 0.05 && toy_metric(known, "loss") < 0.1 * toy_metric(near, "loss"));
    assert_true(toy_metric(near, "perplexity") == exp(toy_metric(near, "loss")));
    assert_int_equal(known->n_labels + known->n_confusions, 0);
    assert_int_equal(known->cut + known->skipped + known->unknown_labels, 0);
    fv_report_free(known);
    fv_report_free(near);
}

static void intervals_hold_the_figures(void **state)
{
    (void)state;
    fv_report *all[3];
    const char *path = toy_text("near.tsv", rows);
    for (int i = 0; i < 3; i++) {
        fv_eval_options o = options();
        assert_int_equal(fv_set_threads(1 + i % 2, NULL), FV_OK);
        o.seed = i == 2 ? 99 : 1;
        all[i] = evaluate(path, &o);
    }
    bool other_ends = false;
    assert_int_equal(all[0]->n_metrics, 5);
    for (size_t k = 0; k < 5; k++) {
        const fv_metric *m = &all[0]->metrics[k], *threads = &all[1]->metrics[k], *seed = &all[2]->metrics[k];
        assert_true(m->low < m->value && m->value < m->high);
        assert_true(m->low == threads->low && m->value == threads->value && m->high == threads->high);
        assert_true(m->value == seed->value);
        other_ends |= m->low != seed->low;
    }
    assert_true(other_ends);
    for (int i = 0; i < 3; i++) fv_report_free(all[i]);
}

/* ---- Options and texts ---- */

static void words_are_cut_by_the_script(void **state)
{
    (void)state;
    fv_eval_options o = options();
    fv_report *r = evaluate(toy_text("han.tsv", "src\ttgt\none houses\t一座房子\n"), &o);
    toy_contains(r->bleu_signature, "tok:zh");
    fv_report_free(r);
}

static void long_texts_are_counted(void **state)
{
    (void)state;
    char text[4096] = "src\ttgt\ntwo birds and two birds\tzwei vögel und zwei vögel\n";
    for (int i = 0; i < 30; i++) strncat(text, "two birds ", sizeof text - strlen(text) - 1);
    strncat(text, "\tzwei vögel\n", sizeof text - strlen(text) - 1);
    fv_eval_options o = options();
    fv_report *r = evaluate(toy_text("long.tsv", text), &o);
    assert_int_equal(r->rows, 2);
    assert_int_equal(r->cut, 1);
    fv_report_free(r);
}

/* ---- What does not fit ---- */

static void what_does_not_fit_is_told(void **state)
{
    (void)state;
    const char *near = toy_text("near.tsv", rows), *half = toy_text("half.tsv", "src\ttgt\none houses\teins häuser\ntwo birds\t\n");
    fv_eval_options o = options();
    o.bleu_words = "words";
    refused(near, &o, FV_E_ARGUMENT, "BLEU's words: \"words\"; expected 13a, intl, zh, char or none");
    o = options();
    o.beam = -1;
    refused(near, &o, FV_E_ARGUMENT, "beam -1; expected 1 or more");
    o = options();
    refused("no/such.tsv", &o, FV_E_IO, "no/such.tsv");
    refused(toy_text("none.tsv", "src\ttgt\n"), &o, FV_E_INPUT, "none.tsv: no rows");
    refused(half, &o, FV_E_INPUT, "half.tsv:3: a text is empty; expected a pair of texts");
    o.columns.skip_bad = true;
    fv_report *r = evaluate(half, &o);
    assert_int_equal(r->rows, 1);
    assert_int_equal(r->skipped, 1);
    fv_report_free(r);
    o.columns.label = "other";
    refused(near, &o, FV_E_INPUT, "no column \"other\"");
}

typedef struct stopper { int64_t calls, last; } stopper;

static int stop(void *user, const fv_event *event)
{
    stopper *s = user;
    assert_true(event->kind == FV_EVENT_STEP && event->step >= 1 && event->step <= event->steps);
    return ++s->calls == s->last;
}

/* First batches of references are told of, then texts that were translated. */
static void it_can_be_stopped(void **state)
{
    (void)state;
    const char *path = toy_text("near.tsv", rows);
    static const char *const said[] = {"stopped after batch 1 of 1", "stopped after 8 of 8 texts"};
    for (int i = 0; i < 2; i++) {
        stopper s = {.last = i + 1};
        fv_eval_options o = options();
        o.on_event = stop;
        o.on_event_user = &s;
        refused(path, &o, FV_E_STOPPED, said[i]);
        assert_int_equal(s.calls, i + 1);
    }
}

static void memory_may_fail_anywhere(void **state)
{
    (void)state;
    const char *path = toy_text("two.tsv", "src\ttgt\ntwo birds and two birds\tzwei vögel\none houses and one houses\teins häuser\n");
    fv_eval_options o = options();
    fv_report_free(evaluate(path, &o)); /* the session has its room, the pool its threads */
    fv_report *r = NULL;
    for (int64_t n = 0; !r; n++) {
        fv_err err = {0};
        int64_t live = fv_alloc_live();
        fv_alloc_fail_after(n);
        r = fv_eval(session, path, &o, &err);
        fv_alloc_fail_after(-1);
        if (r) break;
        assert_int_equal(err.status, FV_E_MEMORY);
        assert_int_equal(fv_alloc_live(), live);
        if (n > 5000) fail_msg("%s", err.text);
    }
    fv_report_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_those_of_sacrebleu),
        cmocka_unit_test(what_is_known_by_heart),
        cmocka_unit_test(intervals_hold_the_figures),
        cmocka_unit_test(words_are_cut_by_the_script),
        cmocka_unit_test(long_texts_are_counted),
        cmocka_unit_test(what_does_not_fit_is_told),
        cmocka_unit_test(it_can_be_stopped),
        cmocka_unit_test(memory_may_fail_anywhere),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
