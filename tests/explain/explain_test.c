/* fv_explain: the word that is known to decide is found; what is no better than chance is withheld; figures are what they say; the same
 * bits by any number of threads; odd texts and wrong options. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "explain/explain.h"
#include "train/toy.h"

typedef struct trained {
    fv_model *model;
    fv_session *session;
} trained;

static trained narrow, wide, multi, number, pair;

static trained train(const char *train_file, const char *valid_file, const char *out, fv_labels labels, bool with_wide, int64_t steps, bool second)
{
    fv_train_options o;
    toy_options(&o, train_file, valid_file, out);
    o.labels = labels;
    o.wide = with_wide;
    o.steps = steps;
    if (second) o.columns.text2 = "text2";
    toy_train(&o);
    trained t = {.model = toy_open(o.out)};
    t.session = fv_session_new(t.model, NULL, NULL);
    assert_non_null(t.session);
    return t;
}

static int train_all(void **state)
{
    if (scratch_setup(state) != 0) return -1;
    const char *classes = toy_classes("a.tsv", 0, 300), *held = toy_classes("av.tsv", 300, 360);
    narrow = train(classes, held, "narrow", FV_LABELS_SINGLE, false, 200, false);
    wide = train(classes, held, "wide", FV_LABELS_SINGLE, true, 200, false);
    multi = train(toy_sets("b.tsv", 0, 120), toy_sets("bv.tsv", 120, 150), "multi", FV_LABELS_MULTI, true, 100, false);
    number = train(toy_numbers("c.tsv", 0, 120), toy_numbers("cv.tsv", 120, 150), "number", FV_LABELS_REGRESSION, true, 100, false);
    pair = train(toy_pairs("d.tsv", 0, 120), toy_pairs("dv.tsv", 120, 150), "pair", FV_LABELS_SINGLE, true, 60, true);
    return 0;
}

static int close_all(void **state)
{
    trained *all[] = {&narrow, &wide, &multi, &number, &pair};
    for (size_t i = 0; i < FV_COUNT(all); i++) {
        fv_session_free(all[i]->session);
        fv_model_close(all[i]->model);
    }
    return scratch_teardown(state);
}

static fv_explanation *explain(const trained *t, const fv_text *text, const fv_explain_options *o)
{
    fv_err err = {0};
    fv_explanation *e = fv_explain(t->session, text, o, &err);
    if (!e) fail_msg("%s", err.text);
    return e;
}

static const fv_attribution *method_of(const fv_explanation *e, fv_method method)
{
    for (int i = 0; i < e->n_attributions; i++)
        if (e->attributions[i].method == method) return &e->attributions[i];
    return NULL;
}

static size_t first_word(const double *weights, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (weights[i] > weights[best]) best = i;
    return best;
}

/* ---- A known word ---- */

static const char *const deciding[] = {"cherry", "currant", "raspberry", "elder", "mulberry", "sloe", "copper", "silver", "zinc", "iron", "nickel", "tin", "danube", "长江", "loire", "oder", "volga", "tagus"};

/* Whether the word lies in the one that decides, wherever that stands. */
static bool decides(const char *text, const fv_explained_word *w)
{
    for (size_t i = 0; i < FV_COUNT(deciding); i++) {
        const char *at = strstr(text, deciding[i]);
        if (at && at - text <= w->begin && w->end <= at - text + (ptrdiff_t)strlen(deciding[i]) && (at == text || at[-1] == ' ')) return true;
    }
    return false;
}

/* In how many of the rows each method is shown, and in how many of these it has the word first. */
typedef struct tally {
    int rows, shown[FV_N_METHODS], found[FV_N_METHODS], gaps; /* withheld for their gap */
} tally;

static tally count_found(const trained *t, const char *path)
{
    tally c = {0};
    fv_reader *reader = fv_reader_open(path, NULL, NULL);
    fv_row row;
    assert_non_null(reader);
    for (; fv_reader_next(reader, &row, NULL) == 1; c.rows++) {
        fv_explanation *e = explain(t, &(fv_text){.text = row.text, .len = row.text_len}, NULL);
        for (int i = 0; i < e->n_attributions; i++) {
            const fv_attribution *a = &e->attributions[i];
            c.gaps += a->withheld == FV_WITHHELD_GAP;
            if (!a->weights) continue;
            c.shown[a->method]++;
            c.found[a->method] += decides(row.text, &e->words[first_word(a->weights, e->n_words)]);
        }
        fv_explanation_free(e);
    }
    fv_reader_close(reader);
    for (int m = 0; m < FV_N_METHODS; m++) print_message("%s: first in %d of the %d that show it, %d rows\n", fv_method_name((fv_method)m), c.found[m], c.shown[m], c.rows);
    return c;
}

/* Of the rows that show it, 99 in 100; and so many show it. */
static void expect_found(const tally *c, fv_method method, double shown)
{
    if (c->shown[method] < shown * c->rows) fail_msg("%s is shown in %d of %d", fv_method_name(method), c->shown[method], c->rows);
    if (c->found[method] < 0.99 * c->shown[method]) fail_msg("%s has the word that decides first in %d of %d", fv_method_name(method), c->found[method], c->shown[method]);
}

static void the_word_that_decides_is_first(void **state)
{
    (void)state;
    const trained *all[] = {&narrow, &wide};
    for (int i = 0; i < 2; i++) {
        tally c = count_found(all[i], toy_classes("unseen.tsv", 360, 560)); /* none that was learnt from */
        for (int m = 0; m < FV_N_METHODS; m++) expect_found(&c, (fv_method)m, m == FV_METHOD_GRADIENT ? 0 : 0.9);
    }
}

/* Authored sentences: six to fourteen neutral words in any order, and one that decides, anywhere among them. */
static const char *planted_rows(const char *name, uint64_t seed, int n)
{
    static const char *const neutral[] = {"the", "a", "we", "they", "he", "she", "saw", "had", "some", "more", "of", "at", "in", "on", "near", "and", "then", "again", "today", "house",
        "table", "window", "road", "morning", "evening", "long", "small", "old", "new", "quite", "very", "there", "here", "was", "is", "with", "from", "for", "about", "walked"};
    static const char *const labels[] = {"berry", "metal", "river"};
    fv_rng rng = fv_rng_make(seed, "planted");
    fv_buf text = {0};
    fv_buf_puts(&text, "text\tlabel\n", NULL);
    for (int i = 0; i < n; i++) {
        int words = 6 + (int)(9 * fv_rng_uniform(&rng)), at = (int)((words + 1) * fv_rng_uniform(&rng)), chosen = (int)(FV_COUNT(deciding) * fv_rng_uniform(&rng));
        for (int k = 0; k <= words; k++)
            fv_buf_printf(&text, NULL, "%s%s", k ? " " : "", k == at ? deciding[chosen] : neutral[(size_t)(FV_COUNT(neutral) * fv_rng_uniform(&rng))]);
        fv_buf_printf(&text, NULL, "\t%s\n", labels[chosen / 6]);
    }
    const char *path = toy_text(name, text.data);
    fv_buf_release(&text);
    return path;
}

static tally explain_planted(bool with_wide, int64_t steps)
{
    fv_train_options o;
    toy_options(&o, planted_rows("planted.tsv", 1, 2000), planted_rows("planted-valid.tsv", 2, 90), "planted");
    o.wide = with_wide;
    o.steps = steps;
    o.batch_tokens = 512;
    toy_train(&o);
    trained t = {.model = toy_open(o.out)};
    t.session = fv_session_new(t.model, NULL, NULL);
    assert_non_null(t.session);
    tally c = count_found(&t, planted_rows("planted-unseen.tsv", 3, 300));
    fv_session_free(t.session);
    fv_model_close(t.model);
    return c;
}

/* Where a model has learnt that one known word decides, that word is first, wherever it stands, by each method that is shown. The Transformer
 * alone is so sure of these that its score hardly changes near the text: the gradient is mostly withheld there, so it need not be shown. */
static void a_planted_word_is_first(void **state)
{
    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); /* learning takes ten times as long, and threads are tested below */
#endif
    tally c = explain_planted(true, 300);
    for (int m = 0; m < FV_N_METHODS; m++) expect_found(&c, (fv_method)m, 0.9);
    c = explain_planted(false, 700);
    for (int m = 0; m < FV_N_METHODS; m++) expect_found(&c, (fv_method)m, m == FV_METHOD_GRADIENT ? 0 : 0.9);
    assert_true(c.gaps > 100); /* and for that reason */
}

/* ---- Figures ---- */

static void leave_one_out_is_what_it_says(void **state)
{
    (void)state;
    float with[3], without[3];
    fv_explain_options o;
    fv_explain_options_init(&o);
    o.methods = 1u << FV_METHOD_LEAVE_ONE_OUT;
    o.orders = 0;
    o.label = 1;
    fv_explanation *e = explain(&wide, &(fv_text){.text = "we found zinc today"}, &o);
    fv_score s = {.kind = FV_LABELS_SINGLE, .label = 1, .outputs = 3, .temperature = wide.session->head->temperature};
    assert_int_equal(fv_session_logits(wide.session, &(fv_text){.text = "we found zinc today"}, 1, with, NULL, NULL, NULL), FV_OK);
    assert_int_equal(fv_session_logits(wide.session, &(fv_text){.text = "we found today"}, 1, without, NULL, NULL, NULL), FV_OK);
    assert_int_equal(e->n_attributions, 1);
    assert_int_equal(e->n_words, 4);
    assert_float_equal(e->attributions[0].weights[2], fv_score_of(&s, with) - fv_score_of(&s, without), 1e-4);
    assert_true(isnan(e->attributions[0].measured.sufficiency) && e->attributions[0].withheld == FV_WITHHELD_NOT);
    fv_explanation_free(e);
}

/* Ten words: shares are 1, 2 and 5 of them. */
static void figures_are_those_of_the_article(void **state)
{
    (void)state;
    static const char text[] = "zinc we found tin today a b c d e";
    static const char *const without[] = {"we found tin today a b c d e", "found tin today a b c d e", "a b c d e"}, *const with[] = {"zinc", "zinc we", "zinc we found tin today"};
    float scores[3];
    uint32_t order[10];
    fv_faithfulness f;
    double c = 0, s = 0;
    for (uint32_t i = 0; i < 10; i++) order[i] = i;
    assert_int_equal(fv_classify_scores(narrow.session, &(fv_text){.text = text}, 1, scores, NULL), FV_OK);
    double whole = (double)scores[1];
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fv_classify_scores(narrow.session, &(fv_text){.text = without[i]}, 1, scores, NULL), FV_OK);
        c += (whole - (double)scores[1]) / 3;
        assert_int_equal(fv_classify_scores(narrow.session, &(fv_text){.text = with[i]}, 1, scores, NULL), FV_OK);
        s += (whole - (double)scores[1]) / 3;
    }
    fv_explaining x = {.session = narrow.session, .text = fv_units_measured(&(fv_text){.text = text})};
    x.score = (fv_score){.kind = FV_LABELS_SINGLE, .label = 1, .outputs = 3, .temperature = narrow.session->head->temperature, .direction = 1};
    assert_int_equal(fv_units_find(&x.units, &x.text, NULL), FV_OK);
    assert_int_equal(fv_explain_measure(&x, order, 1, &f, NULL), FV_OK);
    assert_float_equal(f.comprehensiveness, c, 1e-5);
    assert_float_equal(f.sufficiency, s, 1e-5);
    fv_units_release(&x.units);
    fv_arena_release(&x.arena);
}

static void withheld_is_what_is_no_better_than_chance(void **state)
{
    (void)state;
    static const char *const texts[] = {"we found zinc today", "they spoke of elder with care", "nothing known here at all", "a a a a a a", "qq zz"}; /* orders of one word are all alike */
    int withheld = 0, shown = 0;
    for (size_t i = 0; i < FV_COUNT(texts); i++) {
        fv_explanation *e = explain(&narrow, &(fv_text){.text = texts[i]}, NULL);
        double bar = e->random.comprehensiveness - e->random.sufficiency + 2 * e->random_error, last = INFINITY;
        assert_int_equal(e->orders, 20);
        assert_int_equal(e->n_attributions, FV_N_METHODS);
        for (int m = 0; m < e->n_attributions; m++) {
            const fv_attribution *a = &e->attributions[m];
            double net = a->measured.comprehensiveness - a->measured.sufficiency;
            bool lacks = fabs(a->gap) > 0.9 * fabs(e->score - e->baseline_score);
            assert_int_equal(a->withheld, !(net > bar + 1e-6) ? FV_WITHHELD_RANDOM : lacks ? FV_WITHHELD_GAP : FV_WITHHELD_NOT);
            assert_true((a->weights == NULL) == (a->withheld != FV_WITHHELD_NOT));
            assert_true(net <= last || a->withheld != FV_WITHHELD_NOT); /* best first */
            last = a->withheld == FV_WITHHELD_NOT ? net : INFINITY;
            if (a->withheld == FV_WITHHELD_NOT) shown++;
            else withheld++;
        }
        fv_explanation_free(e);
    }
    assert_true(shown > 0 && withheld > 0); /* both happen */
}

/* Nothing to put in order. */
static void short_texts_are_withheld(void **state)
{
    (void)state;
    static const char *const texts[] = {"", " \n", "zinc", "江"};
    for (size_t i = 0; i < FV_COUNT(texts); i++) {
        fv_explanation *e = explain(&wide, &(fv_text){.text = texts[i]}, NULL);
        assert_true(e->n_words < 2 && isnan(e->random.comprehensiveness));
        for (int m = 0; m < e->n_attributions; m++) assert_true(e->attributions[m].withheld == FV_WITHHELD_SHORT && !e->attributions[m].weights);
        fv_explanation_free(e);
    }
}

static void every_kind_of_label_is_explained(void **state)
{
    (void)state;
    fv_label best;
    fv_text text = {.text = "we found silver and the volga"};
    fv_explanation *e = explain(&multi, &text, NULL);
    assert_int_equal(fv_classify(multi.session, &text, 1, 1, &best, NULL), FV_OK);
    assert_int_equal(e->label, best.index);
    assert_float_equal(e->answer, (double)best.score, 1e-6);
    fv_explanation_free(e);
    text = (fv_text){.text = "cherry volga at last"};
    e = explain(&number, &text, NULL);
    assert_int_equal(fv_classify(number.session, &text, 1, 1, &best, NULL), FV_OK);
    assert_float_equal(e->answer, (double)best.score, 1e-6);
    assert_true(e->answer == e->score);
    fv_explanation_free(e);
    text = (fv_text){.text = "copper", .text2 = "silver at last"};
    e = explain(&pair, &text, NULL);
    assert_int_equal(e->n_words, 4);
    assert_int_equal(e->words[1].part, 1);
    assert_int_equal(e->words[1].begin, 0);
    fv_explanation_free(e);
}

/* A value that is low is explained by what brought it down: 0 and 0 of at most 2, less 1. */
static void a_low_number_is_measured_downwards(void **state)
{
    (void)state;
    fv_explanation *e = explain(&number, &(fv_text){.text = "cherry currant at last"}, NULL);
    assert_true(e->score < e->baseline_score);
    const fv_attribution *a = method_of(e, FV_METHOD_LEAVE_ONE_OUT);
    assert_true(a->measured.comprehensiveness > 0);
    if (a->weights) assert_true(fmin(a->weights[0], a->weights[1]) < 0);
    fv_explanation_free(e);
}

/* ---- Maps ---- */

/* One layer, read from [CLS]: rollout is half the heads' mean row of [CLS], and words share it. */
static void maps_agree_with_rollout(void **state)
{
    (void)state;
    fv_explain_options o;
    fv_explain_options_init(&o);
    o.maps = true;
    o.orders = 0;
    fv_explanation *e = explain(&narrow, &(fv_text){.text = "they spoke of raspberry with care"}, &o);
    double shares[16] = {0}, sum = 0;
    assert_true(e->layers == 1 && e->heads >= 1 && e->n_places == e->n_words + 2 && narrow.model->net.encoder.config.pooling == FV_POOLING_CLS);
    assert_true(e->places[0].word == -1 && strcmp(e->places[0].frame, "[CLS]") == 0 && strcmp(e->places[e->n_places - 1].frame, "[SEP]") == 0);
    for (int h = 0; h < e->heads; h++)
        for (size_t i = 0; i < e->n_places; i++) {
            const float *row = e->maps + ((size_t)h * e->n_places + i) * e->n_places;
            double all = 0;
            for (size_t j = 0; j < e->n_places; j++) all += (double)row[j];
            assert_float_equal(all, 1, 1e-5);
            for (size_t j = 0; j < e->n_places && i == 0; j++)
                if (e->places[j].word >= 0) shares[e->places[j].word] += (double)row[j], sum += (double)row[j];
        }
    const fv_attribution *a = method_of(e, FV_METHOD_ATTENTION);
    for (size_t w = 0; w < e->n_words; w++) assert_float_equal(a->weights[w], shares[w] / sum, 1e-5);
    fv_explanation_free(e);
}

/* ---- The same bits ---- */

static void threads_do_not_matter(void **state)
{
    (void)state;
    fv_text text = {.text = "they spoke of raspberry, copper and the Danube with care 我们"};
    fv_explain_options o;
    fv_explain_options_init(&o);
    o.maps = true;
    fv_explanation *made[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fv_set_threads(i ? 3 : 1, NULL), FV_OK);
        trained t = {.model = toy_open(wide.model->folder)};
        t.session = fv_session_new(t.model, NULL, NULL);
        made[i] = explain(&t, &text, &o);
        fv_session_free(t.session);
        made[i]->baseline = "";
        for (size_t k = 0; k < made[i]->n_places; k++) ((fv_place *)(uintptr_t)made[i]->places)[k].frame = NULL; /* the model's, which goes */
        fv_model_close(t.model);
    }
    const fv_explanation *a = made[0], *b = made[1];
    assert_memory_equal(a->maps, b->maps, (size_t)(a->layers * a->heads) * a->n_places * a->n_places * sizeof *a->maps);
    assert_memory_equal(&a->random, &b->random, sizeof a->random);
    for (int i = 0; i < a->n_attributions; i++) {
        const fv_attribution *x = &a->attributions[i], *y = &b->attributions[i];
        assert_int_equal(x->method, y->method);
        assert_memory_equal(&x->measured, &y->measured, sizeof x->measured);
        assert_true((x->weights == NULL) == (y->weights == NULL));
        if (x->weights) assert_memory_equal(x->weights, y->weights, a->n_words * sizeof *x->weights);
    }
    fv_explanation_free(made[0]);
    fv_explanation_free(made[1]);
    fv_set_threads(0, NULL);
}

/* ---- Odd input ---- */

static void long_texts_are_explained_as_far_as_they_are_read(void **state)
{
    (void)state;
    static char text[4096];
    for (size_t i = 0; i + 5 < sizeof text; i += 5) memcpy(text + i, i == 5 ? "zinc " : "word ", 5);
    int64_t before = fv_session_cut(wide.session);
    fv_explanation *e = explain(&wide, &(fv_text){.text = text, .text2 = NULL}, NULL);
    assert_true(e->cut && e->read[0] < 2000 && e->n_words > 2 && e->words[e->n_words - 1].end == e->read[0]);
    assert_int_equal(fv_session_cut(wide.session), before + 1);
    float scores[3];
    assert_int_equal(fv_classify_scores(wide.session, &(fv_text){.text = text, .len = e->read[0]}, 1, scores, NULL), FV_OK);
    assert_float_equal(e->answer, (double)scores[e->label], 1e-6);
    fv_explanation_free(e);
    e = explain(&pair, &(fv_text){.text = text, .text2 = text}, NULL);
    assert_true(e->cut && e->read[0] && e->read[1]);
    fv_explanation_free(e);
}

static void broken_texts_are_explained(void **state)
{
    (void)state;
    static const char *const texts[] = {"\xff\xfe loire \xe9", "\x01\x02 \x1b[31m red", "<script>alert(1)</script>", "\xe6\xb1", "\xef\xbb\xbf zinc"};
    for (size_t i = 0; i < FV_COUNT(texts); i++) {
        fv_explain_options o;
        fv_explain_options_init(&o);
        o.maps = true;
        fv_explanation *e = explain(&wide, &(fv_text){.text = texts[i]}, &o);
        for (size_t w = 0; w < e->n_words; w++) assert_true(e->words[w].begin < e->words[w].end && e->words[w].end <= strlen(texts[i]));
        fv_explanation_free(e);
    }
    fv_explanation *e = explain(&wide, &(fv_text){.text = "zinc\0tin", .len = 8}, NULL);
    assert_int_equal(e->words[e->n_words - 1].end, 8);
    fv_explanation_free(e);
}

static void expect_refused(const fv_explain_options *o, const char *part)
{
    fv_err err = {0};
    assert_null(fv_explain(narrow.session, &(fv_text){.text = "zinc"}, o, &err));
    assert_int_equal(err.status, FV_E_ARGUMENT);
    toy_contains(err.text, part);
}

static void wrong_options_are_refused(void **state)
{
    (void)state;
    fv_explain_options o, base;
    fv_explain_options_init(&base);
    o = base, o.label = 3;
    expect_refused(&o, "label 3; the model has 3");
    o = base, o.methods = 0;
    expect_refused(&o, "methods are 0x0");
    o = base, o.methods = 1u << FV_N_METHODS;
    expect_refused(&o, "methods are 0x10");
    o = base, o.steps = 257;
    expect_refused(&o, "expected 0 to 256");
    o = base, o.orders = -1;
    expect_refused(&o, "expected 0 to 10000");
    fv_err err = {0};
    fv_model *tagger = toy_open(toy_tag_model());
    fv_session *session = fv_session_new(tagger, NULL, NULL);
    assert_null(fv_explain(session, &(fv_text){.text = "zinc"}, NULL, &err));
    toy_contains(err.text, "fovea tag");
    fv_session_free(session);
    fv_model_close(tagger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_word_that_decides_is_first),
        cmocka_unit_test(a_planted_word_is_first),
        cmocka_unit_test(leave_one_out_is_what_it_says),
        cmocka_unit_test(figures_are_those_of_the_article),
        cmocka_unit_test(withheld_is_what_is_no_better_than_chance),
        cmocka_unit_test(short_texts_are_withheld),
        cmocka_unit_test(every_kind_of_label_is_explained),
        cmocka_unit_test(a_low_number_is_measured_downwards),
        cmocka_unit_test(maps_agree_with_rollout),
        cmocka_unit_test(threads_do_not_matter),
        cmocka_unit_test(long_texts_are_explained_as_far_as_they_are_read),
        cmocka_unit_test(broken_texts_are_explained),
        cmocka_unit_test(wrong_options_are_refused),
    };
    return cmocka_run_group_tests(tests, train_all, close_all);
}
