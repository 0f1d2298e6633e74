/* Words and their weights: words lie in the text in order, weights sum to 1, and a model whose
 * attention is known by construction is explained as constructed. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "infer/infer.h"
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

static size_t explain(const fv_text *text, const fv_word **words)
{
    fv_err err = {0};
    size_t n;
    if (fv_attention_words(session, text, words, &n, &err) != FV_OK) fail_msg("%s", err.text);
    return n;
}

/* The words between bars: "a|b||c", two bars before the second text. */
static void expect_words(const char *text, const char *text2, const char *expected)
{
    const fv_word *w;
    char found[1024] = "";
    size_t n = explain(&(fv_text){.text = text, .text2 = text2}, &w), at = 0;
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        const char *in = w[i].part ? text2 : text;
        assert_true(w[i].begin < w[i].end && w[i].end <= strlen(in));
        assert_true(i == 0 || w[i].part > w[i - 1].part || w[i].begin >= w[i - 1].end);
        assert_true(w[i].weight >= 0 && w[i].weight <= 1);
        const char *bar = i == 0 ? "" : w[i].part > w[i - 1].part ? "||" : "|";
        at += (size_t)snprintf(found + at, sizeof found - at, "%s%.*s", bar, (int)(w[i].end - w[i].begin), in + w[i].begin);
        sum += (double)w[i].weight;
    }
    assert_string_equal(found, expected);
    if (n && fabs(sum - 1) > 1e-5) fail_msg("weights of \"%s\" sum to %g", text, sum);
}

static void words_are_the_text_s(void **state)
{
    (void)state;
    expect_words("we found silver", NULL, "we|found|silver");
    expect_words("  Where's my card?\n", NULL, "Where's|my|card|?");
    expect_words("我要退货", NULL, "我|要|退|货");
    expect_words("我的order 12号，谢", NULL, "我|的|order|12|号|，|谢");
    expect_words("I ♥ 👍 café", NULL, "I|♥|👍|café");
    expect_words("one two", "three 四", "one|two||three|四");
    expect_words("", NULL, "");
    expect_words(" \t ", NULL, "");
    expect_words("", "b", "b");
}

static void cut_texts_and_broken_ones_are_explained(void **state)
{
    (void)state;
    static char text[4096];
    const fv_word *w;
    for (size_t i = 0; i + 3 < sizeof text; i += 2) memcpy(text + i, "x ", 2);
    size_t n = explain(&(fv_text){.text = text}, &w);
    assert_in_range(n, 5, 24);
    fv_err err = {0};
    assert_int_equal(fv_attention_words(session, &(fv_text){.text = "\xff\xfe a\xc3", .len = 5}, &w, &n, &err), FV_OK);
    for (size_t i = 0; i < n; i++) assert_true(w[i].end <= 5);
}

static void answers_do_not_change(void **state)
{
    (void)state;
    fv_text text = {.text = "they sold copper today"};
    const fv_word *w;
    float before[3], after[3];
    assert_int_equal(fv_classify_scores(session, &text, 1, before, NULL), FV_OK);
    explain(&text, &w);
    assert_int_equal(fv_classify_scores(session, &text, 1, after, NULL), FV_OK);
    assert_memory_equal(before, after, sizeof before);
}

/* ---- A planted pattern ---- */

static void fill(fv_param *p, float value)
{
    for (int64_t i = 0; i < p->rows * p->cols; i++) p->data[i] = value;
}

/* Rewrites a model so that each token's query is the same, and only one token's key answers to it:
 * every token then reads that one alone. Writes the folder anew and opens it. */
static fv_model *plant(int32_t id, const char *name)
{
    fv_err err = {0};
    fv_encoder e;
    fv_head_weights head;
    fv_safetensors file = {0};
    char to[FV_PATH_MAX], path[FV_PATH_MAX], command[3 * FV_PATH_MAX];
    assert_int_equal(fv_path_join(to, scratch_folder(), name, &err), FV_OK);
    snprintf(command, sizeof command, "cp -r '%s' '%s'", toy_model(), to);
    assert_int_equal(system(command), 0);
    assert_int_equal(fv_encoder_init(&e, &model->net.encoder.config, &err), FV_OK);
    assert_int_equal(fv_head_init(&head, &e, FV_HEAD_TEXT, "", model->net.heads[0].outputs, &err), FV_OK);
    assert_int_equal(fv_params_allocate(&e.params, &err), FV_OK);
    assert_int_equal(fv_path_join(path, to, "model.safetensors", &err), FV_OK);
    assert_int_equal(fv_safetensors_open(&file, path, &err), FV_OK);
    assert_int_equal(fv_weights_load(&e.params, &file, &err), FV_OK);
    fv_safetensors_close(&file);

    int C = e.config.width;
    fill(e.words, 0);
    fill(e.positions, 0);
    fill(e.types, 0);
    for (int c = 0; c < C; c++) e.words->data[id * C + c] = c % 2 ? 1.0f : -1.0f; /* normalised: ±1; the others stay 0 */
    fill(e.embedding_norm.w, 1);
    fill(e.embedding_norm.b, 0);
    fv_block *b = &e.blocks[0];
    fill(b->qkv.w, 0);
    fill(b->qkv.b, 0);
    for (int o = 0; o < C; o++) {
        b->qkv.b->data[o] = 1;                                              /* every query is 1 */
        for (int i = 0; i < C; i++) b->qkv.w->data[(C + o) * C + i] = i % 2 ? 1.0f : -1.0f; /* key: C for the one, 0 for others */
    }
    assert_int_equal(fv_weights_save(&e.params, path, NULL, NULL, 0, &err), FV_OK);
    fv_encoder_release(&e);
    return toy_open(to);
}

/* Rollout keeps half of each layer for the residual path: from [CLS] half goes to the planted word,
 * which is all that is left among words. With mean pooling the others keep the half of their own. */
static void a_planted_word_is_found(void **state)
{
    (void)state;
    fv_encoding e = {0};
    const char *text = "aa bb cc";
    assert_int_equal(fv_tokenizer_encode(model->tokenizer, text, strlen(text), NULL, 0, true, &e, NULL), FV_OK);
    int32_t id = -1;
    for (size_t i = 0; i < e.n; i++)
        if (e.begins[i] <= 3 && e.ends[i] > 3) id = e.ids[i];
    assert_true(id >= 0);
    fv_model *planted = plant(id, "planted"), *kept_model = model;
    fv_session *kept_session = session;
    assert_int_equal(planted->net.encoder.config.pooling, FV_POOLING_CLS);
    model = planted;
    session = fv_session_new(planted, NULL, NULL);
    const fv_word *w;
    assert_int_equal(explain(&(fv_text){.text = text}, &w), 3);
    if (!(w[1].weight > 0.999f)) fail_msg("weights %g %g %g", (double)w[0].weight, (double)w[1].weight, (double)w[2].weight);
    planted->net.encoder.config.pooling = FV_POOLING_MEAN;
    size_t n = explain(&(fv_text){.text = text}, &w);
    assert_int_equal(n, 3);
    assert_true(fabsf(w[0].weight - w[2].weight) < 1e-6f && w[0].weight > 0.01f && w[1].weight > w[0].weight);
    fv_session_free(session);
    fv_model_close(planted);
    fv_encoding_release(&e);
    model = kept_model;
    session = kept_session;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_the_text_s),
        cmocka_unit_test(cut_texts_and_broken_ones_are_explained),
        cmocka_unit_test(answers_do_not_change),
        cmocka_unit_test(a_planted_word_is_found),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
