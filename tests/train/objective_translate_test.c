/* A translator through fv_train: pairs are learnt, stopping and threads change no bit though words are cut anew in each
 * epoch, steps allocate nothing, others start from it, and what is wrong is told. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "infer/pairs.h"
#include "infer/shortlist.h"
#include "train/toy.h"

static void pairs_are_learnt(void **state)
{
    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); /* learning takes ten times longer, and has nothing to do with threads */
#endif
    fv_train_options o;
    toy_translator_options(&o, "learnt");
    o.average = 3;
    toy_train(&o);
    const char *record = toy_read(o.out, "fovea.json");
    toy_contains(record, "\"task\": \"translate\"");
    toy_contains(record, "\"labels_kind\": \"text\"");
    const char *at = strstr(record, "\"perplexity\"");
    assert_non_null(at);
    double perplexity = strtod(strstr(at, "\"value\":") + strlen("\"value\":"), NULL);
    if (!(perplexity < 1.3)) fail_msg("perplexity %g", perplexity);
    toy_contains(toy_read(o.out, "config.json"), "\"MarianMTModel\"");
    fv_model *model = toy_open(o.out); /* texts begin with nothing */
    const fv_seq2seq *m = model->net.translator;
    for (int c = 0; c < m->config.width; c++) assert_true(m->decoder.words->data[m->config.start * m->config.width + c] == 0);
    fv_model_close(model);
}

/* ---- What the pairs suggest ---- */

static size_t missing(const fv_shortlist *list, const fv_token_rows *row)
{
    uint64_t marks[8];
    int32_t out[512], source = 0;
    size_t n_missing = 0;
    assert_true(fv_shortlist_marks(list) <= FV_COUNT(marks));
    while (row->types[source] == 0) source++;
    size_t n = fv_shortlist_pick(list, marks, row->ids, (size_t)source, out);
    for (int64_t i = source; i < row->offsets[1]; i++) {
        size_t k = 0;
        while (k < n && out[k] != row->ids[i]) k++;
        n_missing += k == n;
    }
    return n_missing;
}

static void a_shortlist_lies_beside_it(void **state)
{
    (void)state;
    fv_train_options o;
    fv_err err = {0};
    toy_translator_options(&o, "suggests");
    o.steps = 1;
    o.sample_pieces = 0.2;
    toy_train(&o);
    toy_contains(toy_read(o.out, "fovea.json"), "\"shortlist.safetensors\"");
    fv_model *model = toy_open(o.out);
    const fv_seq2seq_config *c = &model->net.translator->config;
    char path[FV_PATH_MAX];
    fv_shortlist list;
    fv_text text = {.text = "three rivers and two birds", .text2 = "zwei vögel und drei flüsse"};
    text.len = strlen(text.text), text.len2 = strlen(text.text2);
    fv_pair_rows row = {0};
    int64_t cut = 0;
    assert_int_equal(fv_path_join(path, o.out, FV_SHORTLIST_FILE, &err), FV_OK);
    if (fv_shortlist_open(&list, path, c->src_vocab, c->tgt_vocab, &err) != FV_OK) fail_msg("%s", err.text);
    memset(list.always_bits, 0, fv_shortlist_marks(&list) * sizeof *list.always_bits); /* or else all of so few tokens are in it */
    assert_int_equal(fv_pair_rows_make(&row, model->pair, 40, &text, 1, &(fv_pair_drawing){0}, &cut, &err), FV_OK);
    assert_int_equal(missing(&list, &row.rows), 0);
    fv_pair_rows_release(&row);
    fv_shortlist_release(&list);
    fv_model_close(model);
    toy_options(&o, toy_classes("later.tsv", 0, 36), toy_classes("later-valid.tsv", 36, 54), "suggests");
    o.steps = 1;
    toy_train(&o); /* a model of another kind in its place has none */
    assert_false(fv_file_exists(path));
}

/* ---- Equal bits ---- */

static void stopping_and_threads_change_no_bit(void **state)
{
    (void)state;
    fv_train_options o;
    toy_translator_options(&o, "whole");
    o.steps = 40;
    o.dropout = 0.1;
    o.sample_pieces = 0.2;
    o.average = 2;
    toy_stops_and_goes_on(&o, 18);
}

static void steps_allocate_nothing(void **state)
{
    (void)state;
    fv_train_options o;
    toy_translator_options(&o, "steady");
    o.steps = 30;
    toy_allocates_nothing(&o);
}

/* ---- Rows ---- */

/* Drawn rows say the same text in other pieces, the same for the same epoch, and stay within the bound. */
static void rows_are_drawn(void **state)
{
    (void)state;
    fv_train_options o;
    fv_err err = {0};
    toy_translator_options(&o, "drawn");
    o.steps = 1;
    toy_train(&o);
    fv_model *model = toy_open(o.out);
    fv_text text = {.text = "three rivers and two birds", .len = 26, .text2 = "zwei vögel und drei flüsse", .len2 = 28};
    fv_pair_rows best = {0}, drawn = {0}, again = {0};
    int64_t cut = 0, others = 0;
    assert_int_equal(fv_pair_rows_make(&best, model->pair, 40, &text, 1, &(fv_pair_drawing){0}, &cut, &err), FV_OK);
    for (int64_t epoch = 0; epoch < 20; epoch++) {
        fv_pair_drawing d = {.alpha = 0.01, .seed = 4, .epoch = epoch, .longest = best.rows.max_len + 30};
        assert_int_equal(fv_pair_rows_make(&drawn, model->pair, 40, &text, 1, &d, &cut, &err), FV_OK);
        assert_int_equal(fv_pair_rows_make(&again, model->pair, 40, &text, 1, &d, &cut, &err), FV_OK);
        assert_int_equal(drawn.rows.max_len, again.rows.max_len);
        assert_memory_equal(drawn.rows.ids, again.rows.ids, (size_t)drawn.rows.max_len * sizeof(int32_t));
        assert_true(drawn.rows.max_len <= best.rows.max_len + 30);
        others += drawn.rows.max_len != best.rows.max_len || memcmp(drawn.rows.ids, best.rows.ids, (size_t)best.rows.max_len * sizeof(int32_t)) != 0;
    }
    if (others <= 5) fail_msg("%lld of 20 epochs have other pieces; the likeliest row has %d", (long long)others, best.rows.max_len);
    assert_int_equal(cut, 0);
    assert_int_equal(fv_pair_rows_make(&best, model->pair, 4, &text, 1, &(fv_pair_drawing){0}, &cut, &err), FV_OK);
    assert_int_equal(best.rows.max_len, 8); /* both halves cut to four, </s> kept */
    assert_int_equal(best.rows.ids[7], model->net.translator->config.eos);
    assert_int_equal(cut, 1);
    best.bare_source = true;
    assert_int_equal(fv_pair_rows_make(&best, model->pair, 40, &text, 1, &(fv_pair_drawing){0}, &cut, &err), FV_OK);
    assert_true(best.source.ids[best.source.n] == model->net.translator->config.eos && best.rows.types[best.source.n] == 1);
    fv_pair_rows_release(&best);
    fv_pair_rows_release(&drawn);
    fv_pair_rows_release(&again);
    fv_model_close(model);
}

/* ---- Starting others, and what is wrong ---- */

static void refused(fv_train_options *o, const char *part)
{
    fv_err err = {0};
    fv_status status = fv_train(o, &err);
    if (status == FV_OK || !strstr(err.text, part)) fail_msg("found \"%s\", expected \"%s\"", err.text, part);
}

static void others_start_from_it(void **state)
{
    (void)state;
    fv_train_options o;
    toy_translator_options(&o, "first");
    o.steps = 3;
    toy_train(&o);
    const char *first = o.out;
    toy_contains(toy_read(first, "config.json"), "\"dropout\": 0.0,\n  \"attention_dropout\": 0.0");
    toy_translator_options(&o, "second");
    o.from = first;
    o.steps = 1;
    refused(&o, "decides the architecture");
    o.layers = o.width = o.heads = o.ffn = o.vocab = o.max_len = 0;
    o.dropout = 0.25;
    o.attention_dropout = 0.125;
    toy_train(&o);
    toy_contains(toy_read(o.out, "config.json"), "\"dropout\": 0.25,\n  \"attention_dropout\": 0.125");
    toy_options(&o, toy_classes("classes.tsv", 0, 36), toy_classes("classes-valid.tsv", 36, 54), "classes");
    o.from = first;
    refused(&o, "is a translator: only train translate starts from one");
}

static void what_is_wrong_is_told(void **state)
{
    (void)state;
    fv_train_options o;
    toy_translator_options(&o, "wrong");
    o.train = toy_text("empty.tsv", "src\ttgt\none\teins\ntwo\t\n");
    refused(&o, "empty.tsv:3: a text is empty; expected a pair of texts");
    toy_translator_options(&o, "wrong");
    o.positions = "round";
    refused(&o, "positions \"round\" are not known; expected learned, sinusoidal, rotary or relative");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_are_learnt),
        cmocka_unit_test(a_shortlist_lies_beside_it),
        cmocka_unit_test(stopping_and_threads_change_no_bit),
        cmocka_unit_test(steps_allocate_nothing),
        cmocka_unit_test(rows_are_drawn),
        cmocka_unit_test(others_start_from_it),
        cmocka_unit_test(what_is_wrong_is_told),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
