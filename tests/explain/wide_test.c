/* What n-grams say: weights that sum to the logit's wide part, places that are the text's, and words that
 * told a planted pattern found again. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "infer/infer.h"
#include "train/toy.h"

typedef struct trained {
    fv_model *model;
    fv_session *session;
} trained;

static trained single, multi, number, pair, narrow;

static const char *const texts[] = {
    "we found cherry near home", "They SAW copper, copper and ｃｏｐｐｅｒ!", "她 sold 长江 today 长江", "nothing known: qqq", "zzz", "", " \n ", "\xff\xfe loire \xe9",
};

static trained begin(const fv_train_options *o)
{
    trained t = {.model = toy_open(o->out)};
    t.session = fv_session_new(t.model, NULL, NULL);
    assert_non_null(t.session);
    return t;
}

static trained train(const char *train_file, const char *valid_file, const char *out, fv_labels labels, bool second)
{
    fv_train_options o;
    toy_options(&o, train_file, valid_file, out);
    o.labels = labels;
    o.wide = true;
    o.steps = 40;
    if (second) o.columns.text2 = "text2";
    toy_train(&o);
    return begin(&o);
}

static int train_all(void **state)
{
    if (scratch_setup(state) != 0) return -1;
    single = train(toy_classes("a.tsv", 0, 120), toy_classes("av.tsv", 120, 150), "single", FV_LABELS_SINGLE, false);
    multi = train(toy_sets("b.tsv", 0, 120), toy_sets("bv.tsv", 120, 150), "multi", FV_LABELS_MULTI, false);
    number = train(toy_numbers("c.tsv", 0, 120), toy_numbers("cv.tsv", 120, 150), "number", FV_LABELS_REGRESSION, false);
    pair = train(toy_pairs("d.tsv", 0, 120), toy_pairs("dv.tsv", 120, 150), "pair", FV_LABELS_SINGLE, true);
    narrow.model = toy_open(toy_model());
    narrow.session = fv_session_new(narrow.model, NULL, NULL);
    return narrow.session ? 0 : -1;
}

static int close_all(void **state)
{
    trained *all[] = {&single, &multi, &number, &pair, &narrow};
    for (size_t i = 0; i < FV_COUNT(all); i++) {
        fv_session_free(all[i]->session);
        fv_model_close(all[i]->model);
    }
    return scratch_teardown(state);
}

static fv_reasons *explain(const trained *t, const fv_text *text, int label)
{
    fv_err err = {0};
    fv_reasons *r = fv_explain_wide(t->session, text, label, &err);
    if (!r) fail_msg("%s", err.text);
    return r;
}

static double sum(const fv_reason *reasons, size_t n)
{
    double total = 0;
    for (size_t i = 0; i < n; i++) total += reasons[i].weight;
    return total;
}

/* What the op adds to the logits of one text: a graph of the wide part alone. */
static void wide_logits(const trained *t, const fv_text *text, float *out)
{
    const fv_wide *wide = &t->session->head->wide;
    fv_feature_rows rows = {0};
    fv_ngrams ngrams = {0};
    uint32_t row = 0;
    fv_batch batch = {.B = 1, .rows = &row};
    assert_int_equal(fv_prepare_features(&rows, wide, text, 1, &ngrams, NULL), FV_OK);
    fv_graph_reset(t->session->graph, false);
    fv_tensor *logits = fv_wide_build(wide, t->session->graph, NULL, &rows, &batch);
    assert_int_equal(fv_graph_plan(t->session->graph, logits, NULL), FV_OK);
    fv_graph_forward(t->session->graph, 0);
    memcpy(out, logits->data, (size_t)logits->cols * sizeof *out);
    fv_feature_rows_release(&rows);
    fv_ngrams_release(&ngrams);
}

static void expect_sums(const trained *t, const fv_text *text, int label)
{
    float logits[8], wide[8];
    assert_int_equal(fv_session_logits(t->session, text, 1, logits, NULL, NULL, NULL), FV_OK);
    wide_logits(t, text, wide);
    fv_reasons *r = explain(t, text, label);
    if (label >= 0) assert_int_equal(r->label, label);
    assert_true(sum(r->ngrams, r->n_ngrams) == r->wide); /* to the last bit */
    assert_float_equal(sum(r->words, r->n_words), r->wide, 1e-12);
    assert_float_equal(r->wide, wide[r->label], 1e-5);
    assert_true(r->logit == (double)logits[r->label]);
    double rival = r->rival < 0 ? 0 : (double)logits[r->rival], rival_wide = r->rival < 0 ? 0 : (double)wide[r->rival];
    assert_true(r->margin == r->logit - rival);
    assert_float_equal(r->wide_margin, r->wide - rival_wide, 1e-5);
    for (size_t i = 1; i < r->n_ngrams; i++) assert_true(fabs(r->ngrams[i].weight) <= fabs(r->ngrams[i - 1].weight));
    fv_reasons_free(r);
}

static void weights_sum_to_the_wide_logit(void **state)
{
    (void)state;
    const trained *all[] = {&single, &multi, &number};
    for (size_t k = 0; k < FV_COUNT(all); k++)
        for (size_t i = 0; i < FV_COUNT(texts); i++)
            for (int label = -1; label < fv_session_n_labels(all[k]->session); label++) expect_sums(all[k], &(fv_text){.text = texts[i], .len = strlen(texts[i])}, label);
    expect_sums(&pair, &(fv_text){.text = "cherry", .text2 = "copper cherry today"}, -1);
    expect_sums(&pair, &(fv_text){.text = "", .text2 = "copper"}, 1);
}

static void labels_that_compete_have_a_rival(void **state)
{
    (void)state;
    fv_text text = {.text = "we found silver"};
    fv_label best[2];
    assert_int_equal(fv_classify(single.session, &text, 1, 2, best, NULL), FV_OK);
    fv_reasons *r = explain(&single, &text, -1);
    assert_int_equal(r->label, best[0].index);
    assert_int_equal(r->rival, best[1].index);
    assert_true(r->margin > 0);
    fv_reasons_free(r);
    r = explain(&single, &text, best[1].index);
    assert_int_equal(r->rival, best[0].index);
    assert_true(r->margin < 0);
    fv_reasons_free(r);
    const trained *alone[] = {&multi, &number};
    for (size_t i = 0; i < FV_COUNT(alone); i++) {
        r = explain(alone[i], &text, -1);
        assert_int_equal(r->rival, -1);
        assert_true(r->margin == r->logit && r->wide_margin == r->wide);
        fv_reasons_free(r);
    }
}

static const fv_reason *heaviest_word(const fv_reasons *r)
{
    const fv_reason *best = &r->words[0];
    for (size_t i = 1; i < r->n_words; i++)
        if (r->words[i].weight > best->weight) best = &r->words[i];
    return best;
}

/* One word of six tells the label; it is found whatever stands around it. */
static void the_word_that_tells_the_label_weighs_most(void **state)
{
    (void)state;
    static const struct { const char *text, *word, *label; } rows[] = {
        {"they spoke of Mulberry with care", "Mulberry", "berry"}, {"she drew nickel at last", "nickel", "metal"}, {"we found DANUBE today", "DANUBE", "river"},
    };
    for (size_t i = 0; i < FV_COUNT(rows); i++) {
        fv_reasons *r = explain(&single, &(fv_text){.text = rows[i].text}, -1);
        assert_string_equal(fv_session_label(single.session, r->label), rows[i].label);
        const fv_reason *w = heaviest_word(r);
        if (w->end - w->begin != strlen(rows[i].word) || memcmp(rows[i].text + w->begin, rows[i].word, w->end - w->begin) != 0)
            fail_msg("\"%s\" is explained by \"%.*s\"", rows[i].text, (int)(w->end - w->begin), rows[i].text + w->begin);
        fv_reasons_free(r);
    }
}

/* Twice in the text: each place has half, and the second text's words are its own. */
static void equal_words_share_alike(void **state)
{
    (void)state;
    fv_reasons *r = explain(&single, &(fv_text){.text = "silver ? silver"}, -1);
    assert_int_equal(r->n_words, 3);
    double whole = 0;
    for (size_t i = 0; i < r->n_ngrams; i++) {
        const fv_reason *g = &r->ngrams[i];
        assert_true(g->begin == 0 || g->end - g->begin != 6); /* named once, where it stands first */
        if (g->end - g->begin <= 6 && g->end <= 6) whole += g->weight;
    }
    assert_float_equal(r->words[0].weight, r->words[2].weight, 1e-3 * fabs(whole)); /* but for pairs with the mark */
    fv_reasons_free(r);
    r = explain(&pair, &(fv_text){.text = "cherry", .text2 = "copper"}, -1);
    assert_int_equal(r->n_words, 2);
    assert_int_equal(r->words[1].part, 1);
    for (size_t i = 0; i < r->n_ngrams; i++) assert_true(r->ngrams[i].end <= 6 && r->ngrams[i].begin < r->ngrams[i].end);
    fv_reasons_free(r);
}

/* A word of three letters is also a piece of itself with both ends: one reason. */
static void what_is_equal_is_named_once(void **state)
{
    (void)state;
    fv_reasons *r = explain(&single, &(fv_text){.text = "nobody saw tin again, tin"}, -1);
    for (size_t i = 0; i < r->n_ngrams; i++)
        for (size_t k = 0; k < i; k++) {
            const fv_reason *x = &r->ngrams[i], *y = &r->ngrams[k];
            if (x->begin == y->begin && x->end == y->end && x->open_begin == y->open_begin && x->open_end == y->open_end) fail_msg("bytes %u to %u are named twice", x->begin, x->end);
        }
    fv_reasons_free(r);
}

static void what_cannot_be_explained_is_refused(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_text text = {.text = "a"};
    assert_false(fv_session_has_wide(narrow.session));
    assert_true(fv_session_has_wide(single.session));
    assert_null(fv_explain_wide(narrow.session, &text, -1, &err));
    assert_int_equal(err.status, FV_E_ARGUMENT);
    toy_contains(err.text, "no wide part");
    assert_null(fv_explain_wide(single.session, &text, 3, &err));
    toy_contains(err.text, "label 3");
    fv_reasons_free(NULL);
}

static void lack_of_memory_is_told(void **state)
{
    (void)state;
    fv_text text = {.text = "we found silver 长江", .text2 = "and tin"};
    fv_reasons_free(explain(&single, &text, -1));
    int64_t live = fv_alloc_live(), total = fv_alloc_count();
    fv_reasons_free(explain(&single, &text, -1));
    total = fv_alloc_count() - total;
    assert_true(total > 10);
    for (int64_t n = 0; n < total; n++) {
        fv_err err = {0};
        fv_alloc_fail_after(n);
        fv_reasons *r = fv_explain_wide(single.session, &text, -1, &err);
        fv_alloc_fail_after(-1);
        if (r || err.status != FV_E_MEMORY) fail_msg("allocation %lld of %lld: status %d, \"%s\"", (long long)n, (long long)total, err.status, err.text);
        assert_int_equal(fv_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_sum_to_the_wide_logit),
        cmocka_unit_test(labels_that_compete_have_a_rival),
        cmocka_unit_test(the_word_that_tells_the_label_weighs_most),
        cmocka_unit_test(equal_words_share_alike),
        cmocka_unit_test(what_is_equal_is_named_once),
        cmocka_unit_test(what_cannot_be_explained_is_refused),
        cmocka_unit_test(lack_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, train_all, close_all);
}
