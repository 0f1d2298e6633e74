/* Tags of words: where they stand, what neighbours may change (nothing), odd texts, and refusals. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "train/toy.h"

static fv_model *model;

static int open_model(void **state)
{
    if (scratch_setup(state) != 0) return -1;
    model = toy_open(toy_tag_model());
    return 0;
}

static int close_model(void **state)
{
    fv_model_close(model);
    return scratch_teardown(state);
}

static fv_session *new_session(int batch_tokens)
{
    fv_err err = {0};
    fv_session_options o;
    fv_session_options_init(&o);
    if (batch_tokens) o.batch_tokens = batch_tokens;
    fv_session *s = fv_session_new(model, &o, &err);
    if (!s) fail_msg("%s", err.text);
    return s;
}

static void tag(fv_session *s, const fv_text *texts, size_t n, fv_tagged *out)
{
    fv_err err = {0};
    if (fv_tag(s, texts, n, out, &err) != FV_OK) fail_msg("%s", err.text);
}

static void assert_word(const fv_tagged *answer, size_t i, uint32_t begin, uint32_t end, const char *name)
{
    assert_true(i < answer->n_words);
    assert_int_equal(answer->words[i].begin, begin);
    assert_int_equal(answer->words[i].end, end);
    assert_string_equal(answer->words[i].tag, name);
    assert_true(answer->words[i].score > 0.2f && answer->words[i].score <= 1);
}

static void words_and_spans(void **state)
{
    (void)state;
    fv_session *s = new_session(0);
    fv_text text = {.text = "  we found  old copper today"};
    fv_tagged answer;
    tag(s, &text, 1, &answer);
    assert_int_equal(answer.n_words, 5);
    assert_word(&answer, 0, 2, 4, "O");
    assert_word(&answer, 1, 5, 10, "O");
    assert_word(&answer, 2, 12, 15, "B-metal");
    assert_word(&answer, 3, 16, 22, "I-metal");
    assert_word(&answer, 4, 23, 28, "O");
    assert_int_equal(answer.n_spans, 1);
    const fv_tagged_span *span = &answer.spans[0];
    assert_int_equal(span->begin, 12);
    assert_int_equal(span->end, 22);
    assert_string_equal(span->type, "metal");
    float least = fminf(answer.words[2].score, answer.words[3].score);
    assert_true(span->score == least);
    fv_session_free(s);
}

static void assert_same(const fv_tagged *a, const fv_tagged *b)
{
    assert_int_equal(a->n_words, b->n_words);
    assert_int_equal(a->n_spans, b->n_spans);
    for (size_t i = 0; i < a->n_words; i++) {
        assert_string_equal(a->words[i].tag, b->words[i].tag);
        assert_true(fabsf(a->words[i].score - b->words[i].score) < 1e-4f);
    }
    for (size_t i = 0; i < a->n_spans; i++) {
        assert_int_equal(a->spans[i].begin, b->spans[i].begin);
        assert_int_equal(a->spans[i].end, b->spans[i].end);
        assert_string_equal(a->spans[i].type, b->spans[i].type);
    }
}

static void neighbours_change_nothing(void **state)
{
    (void)state;
    const fv_text texts[] = {{.text = "look at old sloe near home"}, {.text = ""}, {.text = "nobody saw 长江 again"}, {.text = " \t"}, {.text = "he likes tin"}};
    enum { N = sizeof texts / sizeof *texts };
    fv_session *together = new_session(0), *small = new_session(8), *alone = new_session(0);
    fv_tagged all[N], cut[N], one;
    tag(together, texts, N, all);
    tag(small, texts, N, cut);
    for (int i = 0; i < N; i++) {
        tag(alone, &texts[i], 1, &one);
        assert_same(&all[i], &one);
        assert_same(&cut[i], &one);
        assert_int_equal(one.n_words == 0, i == 1 || i == 3);
    }
    assert_string_equal(all[2].spans[0].type, "river");
    assert_string_equal(all[4].spans[0].type, "metal");
    tag(alone, texts, 0, &one);
    fv_session_free(together);
    fv_session_free(small);
    fv_session_free(alone);
}

/* 60 words do not fit into 24 tokens: all are tagged, and the text is counted once. */
static void long_texts(void **state)
{
    (void)state;
    char text[1024] = "";
    for (int i = 0; i < 15; i++) memcpy(text + 23 * i, "they sold copper again ", 24);
    fv_session *s = new_session(0);
    fv_text one = {.text = text};
    fv_tagged answer;
    tag(s, &one, 1, &answer);
    assert_int_equal(answer.n_words, 60);
    assert_int_equal(fv_session_cut(s), 1);
    int found = 0; /* not all: parts begin in the middle of what was learned as a sentence */
    for (size_t i = 0; i < answer.n_words; i++) {
        static const uint32_t begins[] = {0, 5, 10, 17};
        assert_int_equal(answer.words[i].begin, 23 * (i / 4) + begins[i % 4]);
        found += i % 4 == 2 && strcmp(answer.words[i].tag, "B-metal") == 0;
    }
    assert_in_range(found, 8, 15);
    fv_session_free(s);
}

static void what_is_no_text(void **state)
{
    (void)state;
    fv_session *s = new_session(0);
    const char broken[] = "old \xff\xfe copper \x01", zero[] = "tin\0tin";
    fv_text texts[] = {{.text = broken, .len = sizeof broken - 1}, {.text = zero, .len = sizeof zero - 1}};
    fv_tagged answers[2];
    tag(s, texts, 2, answers);
    assert_int_equal(answers[0].n_words, 4);
    assert_int_equal(answers[1].n_words, 1);
    for (size_t i = 0; i < 4; i++) assert_non_null(answers[0].words[i].tag);
    fv_session_free(s);
}

static void refusals(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_session *s = new_session(0);
    fv_text text = {.text = "old copper"}, pair = {.text = "old", .text2 = "copper"};
    fv_label label;
    fv_tagged answer;
    assert_int_equal(fv_classify(s, &text, 1, 1, &label, &err), FV_E_ARGUMENT);
    toy_contains(err.text, "toy-tags gives texts no labels: it tags words; use `fovea tag`");
    assert_int_equal(fv_tag(s, &pair, 1, &answer, &err), FV_E_ARGUMENT);
    toy_contains(err.text, "a pair of texts; expected one text whose words are tagged");
    fv_session_free(s);
    fv_model *other = toy_open(toy_model());
    s = fv_session_new(other, NULL, NULL);
    assert_int_equal(fv_tag(s, &text, 1, &answer, &err), FV_E_ARGUMENT);
    toy_contains(err.text, "toy-model tags no words: it labels texts; use `fovea classify`");
    fv_session_free(s);
    fv_model_close(other);
}

static void memory_that_runs_out(void **state)
{
    (void)state;
    fv_text texts[] = {{.text = "look at old sloe near home"}, {.text = "he likes tin"}};
    fv_tagged answers[2];
    fv_status status = FV_E_MEMORY;
    int64_t live = fv_alloc_live();
    for (int64_t n = 0; status != FV_OK; n++) {
        fv_session *s = new_session(0);
        fv_err err = {0};
        fv_alloc_fail_after(n);
        status = fv_tag(s, texts, 2, answers, &err);
        fv_alloc_fail_after(-1);
        if (status != FV_OK) assert_int_equal(status, FV_E_MEMORY);
        fv_session_free(s);
        assert_int_equal(fv_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_and_spans),
        cmocka_unit_test(neighbours_change_nothing),
        cmocka_unit_test(long_texts),
        cmocka_unit_test(what_is_no_text),
        cmocka_unit_test(refusals),
        cmocka_unit_test(memory_that_runs_out),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
