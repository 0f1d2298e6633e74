/* Answers: their order, what a text's neighbours may change (nothing), odd texts, many threads. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "infer/infer.h"
#include "train/toy.h"

static fv_model *model;

static int open_model(void **state)
{
    if (scratch_setup(state) != 0) return -1;
    model = toy_open(toy_model());
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

static void classify(fv_session *s, const fv_text *texts, size_t n, int top, fv_label *out)
{
    fv_err err = {0};
    if (fv_classify(s, texts, n, top, out, &err) != FV_OK) fail_msg("%s", err.text);
}

/* ---- Order ---- */

static void the_best_come_first(void **state)
{
    (void)state;
    fv_session *s = new_session(0);
    fv_text texts[] = {{.text = "we found silver today"}, {.text = "nobody saw 长江 again"}, {.text = "look at sloe near home"}};
    static const char *const expected[] = {"metal", "river", "berry"};
    fv_label out[3 * 5];
    classify(s, texts, 3, 5, out);
    for (int i = 0; i < 3; i++) {
        const fv_label *row = out + i * 5;
        assert_string_equal(row[0].name, expected[i]);
        assert_string_equal(row[0].name, fv_session_label(s, row[0].index));
        assert_true(row[0].score >= row[1].score && row[1].score >= row[2].score);
        assert_true(fabsf(row[0].score + row[1].score + row[2].score - 1) < 1e-5f);
        assert_int_equal(row[3].index, -1);
        assert_int_equal(row[4].index, -1);
        assert_null(row[4].name);
    }
    float scores[9];
    assert_int_equal(fv_classify_scores(s, texts, 3, scores, NULL), FV_OK);
    assert_true(scores[out[0].index] == out[0].score);
    fv_session_free(s);
}

static void equal_scores_keep_the_labels_order(void **state)
{
    (void)state;
    fv_head head = {.kind = FV_LABELS_SINGLE, .temperature = 1, .outputs = 3};
    float logits[3] = {2, 2, 2};
    fv_infer_scores(&head, logits, 1);
    assert_true(logits[0] == logits[1] && logits[1] == logits[2]);
    fv_session *s = new_session(0);
    fv_text text = {.text = ""};
    fv_label two[2], three[3];
    classify(s, &text, 1, 2, two);
    classify(s, &text, 1, 3, three);
    assert_int_equal(two[0].index, three[0].index);
    assert_int_equal(two[1].index, three[1].index);
    assert_int_not_equal(two[0].index, two[1].index);
    fv_session_free(s);
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_session *s = new_session(0);
    fv_text text = {.text = "a"};
    fv_label out;
    assert_int_equal(fv_classify(s, &text, 1, 0, &out, &err), FV_E_ARGUMENT);
    toy_contains(err.text, "top is 0; expected 1 or more");
    assert_int_equal(fv_classify(s, NULL, 0, 1, NULL, &err), FV_OK);
    fv_session_free(s);
    fv_session_options o;
    fv_session_options_init(&o);
    o.batch_tokens = 0;
    assert_null(fv_session_new(model, &o, &err));
    toy_contains(err.text, "batch_tokens is 0");
}

/* ---- Neighbours ---- */

enum { MANY = 60 };

static void make_texts(fv_text texts[MANY])
{
    static char room[MANY][200];
    for (int i = 0; i < MANY; i++) {
        room[i][0] = 0;
        for (int k = 0; k <= i * 7 % 11; k++) {
            size_t n = strlen(room[i]);
            snprintf(room[i] + n, sizeof room[i] - n, "%s ", (const char *[]){"silver", "长江", "we", "x", "sloe"}[(i + k * k) % 5]);
        }
        texts[i] = (fv_text){.text = room[i], .text2 = i % 4 == 3 ? room[i / 2] : NULL};
    }
}

/* The same bits alone, among others, in any order, in batches of any size. */
static void neighbours_change_no_bit(void **state)
{
    (void)state;
    fv_text texts[MANY], turned[MANY];
    float alone[3], together[MANY * 3], backwards[MANY * 3], small[MANY * 3];
    make_texts(texts);
    for (int i = 0; i < MANY; i++) turned[i] = texts[MANY - 1 - i];
    fv_session *wide = new_session(0), *narrow = new_session(17);
    assert_int_equal(fv_classify_scores(wide, texts, MANY, together, NULL), FV_OK);
    assert_int_equal(fv_classify_scores(wide, turned, MANY, backwards, NULL), FV_OK);
    assert_int_equal(fv_classify_scores(narrow, texts, MANY, small, NULL), FV_OK);
    assert_memory_equal(together, small, sizeof small);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(fv_classify_scores(wide, texts + i, 1, alone, NULL), FV_OK);
        if (memcmp(alone, together + i * 3, sizeof alone) != 0) fail_msg("text %d: %.9g alone, %.9g among others", i, (double)alone[0], (double)together[i * 3]);
        assert_memory_equal(alone, backwards + (MANY - 1 - i) * 3, sizeof alone);
    }
    fv_session_free(wide);
    fv_session_free(narrow);
}

/* ---- Odd texts ---- */

static void odd_texts_are_answered(void **state)
{
    (void)state;
    fv_session *s = new_session(0);
    static char long_text[100000];
    memset(long_text, 'x', sizeof long_text - 1);
    fv_text texts[] = {
        {.text = ""}, {.text = " \t\n"}, {.text = long_text}, {.text = "\xff\xfe\xc0", .len = 3}, {.text = "a\0b", .len = 3},
        {.text = "👩‍👩‍👧"}, {.text = "a", .text2 = ""}, {.text = "a", .text2 = long_text}, {.text = "silver and gold", .len = 6},
    };
    enum { N = sizeof texts / sizeof *texts };
    fv_label out[N], again;
    classify(s, texts, N, 1, out);
    for (int i = 0; i < N; i++) assert_true(out[i].index >= 0 && isfinite(out[i].score) && out[i].score > 0.3f);
    assert_int_equal(fv_session_cut(s), 2);
    classify(s, texts + 2, 1, 1, &again);
    assert_int_equal(fv_session_cut(s), 3);
    classify(s, &(fv_text){.text = "silver"}, 1, 1, &again);
    assert_true(again.score == out[N - 1].score);
    fv_session_free(s);
}

/* ---- Reuse and threads ---- */

static void a_session_s_memory_settles(void **state)
{
    (void)state;
    fv_text texts[MANY];
    fv_label out[MANY];
    make_texts(texts);
    fv_session *s = new_session(0);
    classify(s, texts, MANY, 1, out);
    int64_t live = fv_alloc_live();
    for (int i = 0; i < 5; i++) classify(s, texts + i, MANY - 7 * (size_t)i - 5, 1, out);
    assert_int_equal(fv_alloc_live(), live);
    fv_session_free(s);
}

static float expected_scores[MANY * 3];

static void *classify_often(void *arg)
{
    fv_text texts[MANY];
    memcpy(texts, arg, sizeof texts);
    fv_session *s = fv_session_new(model, NULL, NULL);
    float scores[MANY * 3];
    const char *wrong = s ? NULL : "no session";
    for (int i = 0; i < 8 && !wrong; i++) {
        if (fv_classify_scores(s, texts, MANY, scores, NULL) != FV_OK) wrong = "failed";
        else if (memcmp(scores, expected_scores, sizeof scores) != 0) wrong = "other scores";
    }
    fv_session_free(s);
    return (void *)(uintptr_t)wrong;
}

static void threads_share_a_model(void **state)
{
    (void)state;
    fv_text texts[MANY];
    pthread_t threads[4];
    make_texts(texts);
    fv_session *s = new_session(0);
    assert_int_equal(fv_classify_scores(s, texts, MANY, expected_scores, NULL), FV_OK);
    fv_session_free(s);
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, classify_often, texts), 0);
    for (int i = 0; i < 4; i++) {
        void *wrong;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        if (wrong) fail_msg("thread %d: %s", i, (const char *)wrong);
    }
}

/* ---- Temperature ---- */

static void scores_follow_the_temperature(void **state)
{
    (void)state;
    fv_head head = {.kind = FV_LABELS_SINGLE, .temperature = 2, .outputs = 2};
    float logits[] = {2, 0, 100, -100};
    fv_infer_scores(&head, logits, 2);
    assert_true(fabs((double)logits[0] - 1 / (1 + exp(-1.0))) < 1e-6);
    assert_true(logits[2] == 1 && logits[3] < 1e-30f);
    head.kind = FV_LABELS_MULTI;
    float sets[] = {2, -2};
    fv_infer_scores(&head, sets, 1);
    assert_true(fabs((double)sets[0] - 1 / (1 + exp(-1.0))) < 1e-6 && fabs((double)(sets[0] + sets[1]) - 1) < 1e-6);
    head.kind = FV_LABELS_REGRESSION;
    float number = 7;
    head.outputs = 1;
    fv_infer_scores(&head, &number, 1);
    assert_true(number == 7);
}

/* Labels drawn as softmax(logits / 3) says: 3 is what is found. */
static void the_right_temperature_is_found(void **state)
{
    (void)state;
    enum { N = 4000, C = 3 };
    static float logits[N * C];
    static int32_t truth[N];
    fv_rng rng = fv_rng_make(5, "temperature");
    for (int i = 0; i < N; i++) {
        double p[C], sum = 0, u = fv_rng_uniform(&rng);
        for (int c = 0; c < C; c++) sum += p[c] = exp((double)(logits[i * C + c] = (float)(4 * fv_rng_normal(&rng))) / 3);
        int label = 0;
        for (u *= sum; label < C - 1 && u > p[label]; label++) u -= p[label];
        truth[i] = label;
    }
    double found = fv_infer_temperature(logits, truth, N, C);
    if (fabs(found - 3) > 0.3) fail_msg("found %g", found);
    assert_true(fv_infer_temperature(logits, truth, 10, C) == 1); /* too few to learn from */
    for (int i = 0; i < N; i++) truth[i] = -1;
    double none = fv_infer_temperature(logits, truth, N, C);
    assert_true(none == 1); /* no row whose label is known */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_come_first),
        cmocka_unit_test(equal_scores_keep_the_labels_order),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(neighbours_change_no_bit),
        cmocka_unit_test(odd_texts_are_answered),
        cmocka_unit_test(a_session_s_memory_settles),
        cmocka_unit_test(threads_share_a_model),
        cmocka_unit_test(scores_follow_the_temperature),
        cmocka_unit_test(the_right_temperature_is_found),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
