/* Translating texts, by a small model that learns to name numbers of things in another language: texts to texts, words and their
 * attention, long and odd texts, and refusals. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "infer/align.h"
#include "train/toy.h"

static fv_model *model;

static const char *const numbers[] = {"one", "two", "three", "four", "five", "six"}, *const figures[] = {"eins", "zwei", "drei", "vier", "fünf", "sechs"};
static const char *const things[] = {"houses", "birds", "rivers", "stones"}, *const dinge[] = {"häuser", "vögel", "flüsse", "steine"};

static const char *pairs(const char *name, int first, int last)
{
    char all[1 << 14] = "src\ttgt\n";
    size_t n = strlen(all);
    for (int i = first; i < last; i++) n += (size_t)snprintf(all + n, sizeof all - n, "%s %s.\t%s %s.\n", numbers[i % 6], things[i / 6 % 4], figures[i % 6], dinge[i / 6 % 4]);
    return toy_text(name, all);
}

static int open_model(void **state)
{
    if (scratch_setup(state) != 0) return -1;
    fv_train_options o;
    toy_options(&o, pairs("train.tsv", 0, 240), pairs("valid.tsv", 240, 264), "translator");
    o.task = FV_TASK_TRANSLATE;
    o.columns.text = "src";
    o.columns.label = "tgt";
    o.vocab = 80;
    o.max_len = 24;
    o.dropout = o.label_smoothing = 0;
    o.lr = 0.01;
    o.batch_tokens = 300;
    o.steps = 150;
    toy_train(&o);
    model = toy_open(o.out);
    return 0;
}

static int close_model(void **state)
{
    fv_model_close(model);
    return scratch_teardown(state);
}

static fv_session *new_session(void)
{
    fv_err err = {0};
    fv_session *s = fv_session_new(model, NULL, &err);
    if (!s) fail_msg("%s", err.text);
    return s;
}

static void translate(fv_session *s, const fv_text *texts, size_t n, const fv_translate_options *o, fv_translation *out)
{
    fv_err err = {0};
    if (fv_translate(s, texts, n, o, out, &err) != FV_OK) fail_msg("%s", err.text);
}

static void texts_become_texts(void **state)
{
    (void)state;
    fv_session *s = new_session();
    const fv_text texts[] = {{.text = "two birds."}, {.text = ""}, {.text = "  "}, {.text = "five rivers. and more", .len = 12}};
    fv_translation out[4];
    translate(s, texts, 4, NULL, out);
    assert_string_equal(out[0].text, "zwei vögel.");
    assert_int_equal(out[0].len, strlen("zwei vögel."));
    assert_true(out[0].score < 0 && out[0].score > -0.5 && !out[0].cut);
    assert_string_equal(out[1].text, "");
    assert_string_equal(out[2].text, "");
    assert_true(out[1].len == 0 && !out[1].cut);
    assert_string_equal(out[3].text, "fünf flüsse.");
    assert_null(out[0].attention);
    fv_session_free(s);
}

static void the_best_come_first(void **state)
{
    (void)state;
    fv_session *s = new_session();
    const fv_text texts[] = {{.text = "three stones."}, {.text = ""}};
    fv_translation out[6];
    fv_translate_options o;
    fv_translate_options_init(&o);
    o.nbest = 3;
    translate(s, texts, 2, &o, out);
    assert_string_equal(out[0].text, "drei steine.");
    for (int i = 1; i < 3; i++) {
        assert_non_null(out[i].text);
        assert_string_not_equal(out[i].text, out[i - 1].text);
        assert_true(out[i].cut > out[i - 1].cut || out[i].score <= out[i - 1].score);
    }
    assert_string_equal(out[3].text, "");
    assert_null(out[4].text);
    assert_null(out[5].text);
    fv_session_free(s);
}

static void a_prefix_is_kept(void **state)
{
    (void)state;
    fv_session *s = new_session();
    const fv_text text = {.text = "two birds.", .text2 = "sechs"};
    fv_translation out;
    translate(s, &text, 1, NULL, &out);
    assert_memory_equal(out.text, "sechs", 5);
    fv_session_free(s);
}

static void words_are_aligned(void **state)
{
    (void)state;
    fv_session *s = new_session();
    const fv_text text = {.text = " six  houses."};
    fv_translation out;
    fv_translate_options o;
    fv_translate_options_init(&o);
    o.align = true;
    translate(s, &text, 1, &o, &out);
    assert_string_equal(out.text, "sechs häuser.");
    assert_int_equal(out.n_source_words, 2);
    assert_int_equal(out.source_words[0].begin, 1);
    assert_int_equal(out.source_words[0].end, 4);
    assert_int_equal(out.source_words[1].begin, 6);
    assert_int_equal(out.source_words[1].end, 13);
    assert_int_equal(out.n_target_words, 2);
    assert_int_equal(out.target_words[1].begin, 6);
    assert_int_equal(out.target_words[1].end, 14);
    for (size_t t = 0; t < 2; t++) {
        const float *row = out.attention + 2 * t;
        assert_true(fabsf(row[0] + row[1] - 1) < 1e-5f && row[0] >= 0 && row[1] >= 0);
        assert_int_equal(out.alignment[t], row[1] > row[0]);
    }
    fv_session_free(s);
}

/* What a text is is its own: the same bits beside others. */
static void neighbours_change_nothing(void **state)
{
    (void)state;
    fv_session *s = new_session();
    char kept[24][64];
    double scores[24];
    char lines[24][64];
    fv_text texts[24];
    fv_translation out[24], one;
    for (int i = 0; i < 24; i++) {
        snprintf(lines[i], sizeof lines[i], "%s %s%s", numbers[i % 6], things[i / 6], i % 3 ? "." : ". one two three");
        texts[i] = (fv_text){.text = lines[i]};
    }
    translate(s, texts, 24, NULL, out);
    for (int i = 0; i < 24; i++) {
        snprintf(kept[i], sizeof kept[i], "%s", out[i].text);
        scores[i] = out[i].score;
    }
    for (int i = 0; i < 24; i++) {
        translate(s, &texts[i], 1, NULL, &one);
        assert_string_equal(one.text, kept[i]);
        assert_memory_equal(&one.score, &scores[i], sizeof one.score);
    }
    fv_session_free(s);
}

static void long_texts(void **state)
{
    (void)state;
    fv_session *s = new_session();
    char text[400] = "";
    for (int i = 0; i < 12; i++) snprintf(text + strlen(text), sizeof text - strlen(text), "%s %s. ", numbers[i % 6], things[i % 4]);
    const fv_text texts[] = {{.text = "one birds."}, {.text = text}};
    fv_translation out[2];
    fv_err err = {0};
    assert_int_equal(fv_translate(s, texts, 2, NULL, out, &err), FV_E_INPUT);
    assert_memory_equal(err.text, "text 2: ", 8);
    assert_non_null(strstr(err.text, " tokens; the model takes 23: shorten it, or have it split"));
    fv_translate_options o;
    fv_translate_options_init(&o);
    o.long_texts = FV_LONG_SPLIT;
    o.align = true;
    translate(s, texts, 2, &o, out);
    assert_int_equal(out[1].n_source_words, 24);
    size_t n = out[1].n_target_words; /* the model knows one sentence at a time, and stops after it: two parts make two */
    assert_true(n >= 4);
    const fv_extent *last = &out[1].target_words[n - 1];
    assert_int_equal(last->end, out[1].len);
    assert_true(out[1].attention[23] == 0 && out[1].attention[(n - 1) * 24] == 0); /* parts keep to their own words */
    assert_true(out[1].alignment[n - 1] > out[1].alignment[0]);
    fv_session_free(s);
}

static void refusals(void **state)
{
    (void)state;
    fv_session *s = new_session();
    const fv_text text = {.text = "two birds."};
    fv_translation out[2];
    fv_err err = {0};
    fv_translate_options o;
    fv_translate_options_init(&o);
    o.nbest = 5;
    assert_int_equal(fv_translate(s, &text, 1, &o, out, &err), FV_E_ARGUMENT);
    assert_string_equal(err.text, "nbest 5, beam 4; expected 1 or more, and nbest at most beam");
    o.nbest = 1;
    o.length_penalty = -1;
    assert_int_equal(fv_translate(s, &text, 1, &o, out, &err), FV_E_ARGUMENT);
    assert_string_equal(err.text, "length penalty -1, coverage penalty 0; expected 0 to 100");
    fv_session_options so;
    fv_session_options_init(&so);
    so.products = (fv_products)7;
    assert_null(fv_session_new(model, &so, &err));
    assert_string_equal(err.text, "products 7; expected FV_PRODUCTS_FLOAT32, _BF16, _INT8 or _AS_MODEL");
    fv_session_free(s);
}

/* Also before there is any text. */
static void other_questions(void **state)
{
    (void)state;
    fv_session *s = new_session();
    const fv_text text = {.text = "two birds."};
    const fv_word *words;
    size_t n;
    fv_err err = {0};
    assert_int_equal(fv_classify(s, NULL, 0, 1, NULL, &err), FV_E_ARGUMENT);
    toy_contains(err.text, "gives texts no labels: it is a translator; use `fovea translate`");
    assert_int_equal(fv_tag(s, NULL, 0, NULL, &err), FV_E_ARGUMENT);
    toy_contains(err.text, "tags no words: it is a translator; use `fovea translate`");
    assert_int_equal(fv_attention_words(s, &text, &words, &n, &err), FV_E_ARGUMENT);
    toy_contains(err.text, "gives texts no labels: it is a translator");
    assert_null(fv_explain_wide(s, &text, -1, &err));
    fv_session_free(s);
}

/* ---- Words ---- */

static void what_a_word_is(void **state)
{
    (void)state;
    static const struct { const char *text; size_t n; uint32_t last_begin, last_end; } cases[] = {
        {"", 0, 0, 0}, {" \t\n", 0, 0, 0}, {"a", 1, 0, 1}, {" ab  cd ", 2, 5, 7}, {"你好吗", 3, 6, 9}, {"ab你cd", 3, 5, 7}, {"よい\xe3\x80\x80x", 3, 9, 10}, {"a\xff b", 2, 3, 4},
    };
    for (size_t i = 0; i < FV_COUNT(cases); i++) {
        fv_arena arena = {0};
        fv_word_list list;
        assert_int_equal(fv_words_find(&list, cases[i].text, strlen(cases[i].text), &arena, NULL), FV_OK);
        assert_int_equal(list.n, cases[i].n);
        if (list.n) {
            assert_int_equal(list.words[list.n - 1].begin, cases[i].last_begin);
            assert_int_equal(list.words[list.n - 1].end, cases[i].last_end);
        }
        fv_arena_release(&arena);
    }
}

static void pieces_add_up_to_words(void **state)
{
    (void)state;
    fv_extent from[] = {{0, 5}, {6, 8}}, to[] = {{0, 4}, {4, 7}, {8, 9}};
    fv_word_list source = {from, 2}, target = {to, 3};
    const uint32_t sb[] = {0, 2, 5, 8}, se[] = {2, 5, 8, 8}, tb[] = {0, 2, 3}, te[] = {2, 3, 7}; /* a piece with its space; </s>; a piece of two words */
    const float attention[] = {0.1f, 0.2f, 0.3f, 0.4f, 0.3f, 0.1f, 0.1f, 0.5f, 0, 0.1f, 0.7f, 0.2f};
    float weights[6] = {0};
    uint32_t best[3];
    fv_align_add(weights, &source, &target, &(fv_token_bytes){sb, se, 4}, &(fv_token_bytes){tb, te, 3}, attention, 4);
    fv_align_finish(weights, best, 3, 2);
    const double expected[] = {0.8 / 1.9, 1.1 / 1.9, 0.1 / 0.8, 0.7 / 0.8, 0.5, 0.5};
    for (int i = 0; i < 6; i++) assert_true(fabs((double)weights[i] - expected[i]) < 1e-6);
    assert_true(best[0] == 1 && best[1] == 1 && best[2] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_become_texts),
        cmocka_unit_test(the_best_come_first),
        cmocka_unit_test(a_prefix_is_kept),
        cmocka_unit_test(words_are_aligned),
        cmocka_unit_test(neighbours_change_nothing),
        cmocka_unit_test(long_texts),
        cmocka_unit_test(refusals),
        cmocka_unit_test(other_questions),
        cmocka_unit_test(what_a_word_is),
        cmocka_unit_test(pieces_add_up_to_words),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
