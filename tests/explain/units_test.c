/* Words are the text's whatever its bytes; texts with words left out read as if they had never been there; tokens give words their shares. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "explain/explain.h"

static fv_text text_of(const char *text, const char *text2) { return fv_units_measured(&(fv_text){.text = text, .text2 = text2}); }

static fv_units find(const fv_text *text)
{
    fv_units u = {0};
    assert_int_equal(fv_units_find(&u, text, NULL), FV_OK);
    return u;
}

/* Words between bars. */
static void expect_words(const char *text, const char *expected)
{
    char found[256] = "";
    size_t at = 0;
    fv_text t = text_of(text, NULL);
    fv_units u = find(&t);
    for (size_t i = 0; i < u.n; i++) at += (size_t)snprintf(found + at, sizeof found - at, "%s%.*s", i ? "|" : "", (int)(u.items[i].end - u.items[i].begin), text + u.items[i].begin);
    assert_string_equal(found, expected);
    fv_units_release(&u);
}

static void words_are_runs_marks_and_characters(void **state)
{
    (void)state;
    expect_words("Where's my card?", "Where's|my|card|?");
    expect_words("我要退货，谢谢！", "我|要|退|货|，|谢|谢|！");
    expect_words("12号 x_1 a-b", "12|号|x_1|a|-|b");
    expect_words("naïve cafe\xcc\x81 прИвет", "naïve|cafe\xcc\x81|прИвет");
    expect_words("wide\xe3\x80\x80" "blank no\xc2\xa0" "break", "wide|blank|no|break");
    expect_words("«ha» — 👍🏽!", "«|ha|»|—|👍|🏽|!");
    expect_words("カタカナ 한국어", "カ|タ|カ|ナ|한국어");
    expect_words("\xcc\x81 alone", "\xcc\x81|alone");
    expect_words("", "");
    expect_words(" \t\n", "");
}

static void broken_bytes_are_words_within_the_text(void **state)
{
    (void)state;
    static const char bytes[] = "\xff\xfe a\xc3\0b\xe4\xb8 \xf0\x9f";
    for (size_t len = 1; len < sizeof bytes; len++) {
        fv_text t = {.text = bytes, .len = len};
        fv_units u = find(&t);
        for (size_t i = 0; i < u.n; i++) assert_true(u.items[i].begin < u.items[i].end && u.items[i].end <= len && (i == 0 || u.items[i].begin >= u.items[i - 1].end));
        fv_units_release(&u);
    }
}

/* `keep` has a letter for each word: 'k' stays. */
static void expect_without(const char *text, const char *text2, const char *keep, const char *expected, const char *expected2)
{
    fv_arena arena = {0};
    bool kept[32];
    fv_text t = text_of(text, text2), out;
    fv_units u = find(&t);
    assert_int_equal(u.n, strlen(keep));
    for (size_t i = 0; i < u.n; i++) kept[i] = keep[i] == 'k';
    assert_int_equal(fv_units_without(&u, &t, kept, &arena, &out, NULL), FV_OK);
    assert_string_equal(out.text, expected);
    assert_int_equal(out.len, strlen(expected));
    if (text2) assert_string_equal(out.text2, expected2);
    else assert_null(out.text2);
    fv_units_release(&u);
    fv_arena_release(&arena);
}

static void texts_without_words_have_no_holes(void **state)
{
    (void)state;
    expect_without("where is my card", NULL, "kkkk", "where is my card", NULL);
    expect_without("where is my card", NULL, "k-kk", "where my card", NULL);
    expect_without("where is my card", NULL, "-kkk", "is my card", NULL);
    expect_without("where is my card", NULL, "kkk-", "where is my", NULL);
    expect_without("where is my card", NULL, "k--k", "where card", NULL);
    expect_without("where is my card", NULL, "----", "", NULL);
    expect_without("my card, please", NULL, "kk-k", "my card please", NULL);
    expect_without("a-b c", NULL, "k-kk", "a b c", NULL);
    expect_without("при-вет", NULL, "k-k", "при вет", NULL);
    expect_without("a-b", NULL, "k--", "a", NULL);
    expect_without("我不要退货", NULL, "k-kkk", "我要退货", NULL);
    expect_without("我，要", NULL, "k-k", "我要", NULL);
    expect_without("one two", "three 四", "-kk-", "two", "three");
    expect_without("one", "two", "--", "", "");
}

/* Tokens [begin, end) of the first text; end = begin is a frame. */
static void expect_shares(const char *text, const uint32_t (*tokens)[2], size_t n, const double *weights, const double *expected)
{
    uint32_t begins[16], ends[16];
    uint8_t types[16] = {0};
    double words[16] = {0};
    for (size_t i = 0; i < n; i++) begins[i] = tokens[i][0], ends[i] = tokens[i][1];
    fv_encoding e = {.begins = begins, .ends = ends, .types = types, .n = n};
    fv_text t = text_of(text, NULL);
    fv_units u = find(&t);
    fv_shares s = {0};
    assert_int_equal(fv_shares_find(&s, &u, &e, NULL), FV_OK);
    fv_shares_add(&s, weights, words);
    for (size_t i = 0; i < u.n; i++)
        if (fabs(words[i] - expected[i]) > 1e-12) fail_msg("\"%s\": word %zu has %g, expected %g", text, i, words[i], expected[i]);
    fv_shares_release(&s);
    fv_units_release(&u);
}

static void tokens_add_up_to_words(void **state)
{
    (void)state;
    const uint32_t pieces[][2] = {{0, 0}, {0, 3}, {3, 5}, {5, 6}, {6, 9}, {9, 9}}; /* [CLS] unb el " " yes [SEP] */
    expect_shares("unbel yes", pieces, 6, (double[]){9, 1, 2, 4, 8, 9}, (double[]){3, 12});
    const uint32_t characters[][2] = {{0, 6}, {6, 9}}; /* one token of two characters */
    expect_shares("我要退", characters, 2, (double[]){4, 1}, (double[]){2, 2, 1});
    const uint32_t blank_behind[][2] = {{0, 1}, {1, 3}};
    expect_shares("a  ", blank_behind, 2, (double[]){1, 2}, (double[]){3});
}

static void tokens_of_a_second_text_are_its_own(void **state)
{
    (void)state;
    uint32_t begins[] = {0, 0, 1}, ends[] = {1, 1, 3};
    uint8_t types[] = {0, 1, 1};
    fv_encoding e = {.begins = begins, .ends = ends, .types = types, .n = 3};
    fv_text t = text_of("a", "b c");
    fv_units u = find(&t);
    fv_shares s = {0};
    double words[3] = {0};
    assert_int_equal(fv_shares_find(&s, &u, &e, NULL), FV_OK);
    fv_shares_add(&s, (double[]){1, 2, 4}, words);
    assert_true(words[0] == 1 && words[1] == 2 && words[2] == 4);
    fv_shares_release(&s);
    fv_units_release(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_runs_marks_and_characters),
        cmocka_unit_test(broken_bytes_are_words_within_the_text),
        cmocka_unit_test(texts_without_words_have_no_holes),
        cmocka_unit_test(tokens_add_up_to_words),
        cmocka_unit_test(tokens_of_a_second_text_are_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
