/* Pieces of a text by patterns, ours and strangers', and added tokens found in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "text/tokenizer.h"

/* The pieces of a text joined by "|", or "error" in front of the message. Good until the next call. */
static const char *pieces_of(const char *pattern, const char *text, size_t len)
{
    static fv_buf joined;
    static char empty[] = "";
    fv_err err = {0};
    fv_splitter s;
    fv_pieces p;
    const char *piece;
    size_t n, total = 0;
    int more;
    joined.len = 0;
    if (joined.data) joined.data[0] = 0;
    if (fv_splitter_init(&s, pattern, "test", &err) != FV_OK) fail_msg("%s", err.text);
    pcre2_match_data *match = pattern ? fv_splitter_scratch(&s, NULL) : NULL;
    fv_pieces_start(&p, &s, match, text, len);
    while ((more = fv_pieces_next(&p, &piece, &n, &err)) == 1) {
        assert_true(n > 0 && piece == text + total);
        total += n;
        if (joined.len) fv_buf_putc(&joined, '|', NULL);
        fv_buf_add(&joined, piece, n, NULL);
    }
    if (more < 0) {
        assert_int_equal(more, err.status);
        joined.len = 0;
        fv_buf_printf(&joined, NULL, "error %s", err.text);
    } else {
        assert_int_equal(total, len); /* nothing is lost */
    }
    pcre2_match_data_free(match);
    fv_splitter_release(&s);
    return joined.data ? joined.data : empty;
}

static void assert_pieces(const char *pattern, const char *text, const char *expected)
{
    assert_string_equal(pieces_of(pattern, text, strlen(text)), expected);
}

static void our_pattern_cuts_words(void **state)
{
    (void)state;
    const char *p = fv_split_pattern;
    assert_pieces(p, "", "");
    assert_pieces(p, "The cat, the hat!", "The| cat|,| the| hat|!");
    assert_pieces(p, "I'd we've they\u2019ll don'T it's", "I|'d| we|'ve| they|\u2019ll| don|'T| it|'s");
    assert_pieces(p, "'tis rock'n'roll 's", "'|tis| rock|'|n|'|roll| '|s"); /* no contraction inside a word, none after a space */
    assert_pieces(p, "1234567 $9.50", "123|456|7| $|9|.|50");
    assert_pieces(p, "a  b\t\tc \n\nd  ", "a| | b|\t\t|c| \n\n|d|  ");
    assert_pieces(p, "wait...what ?!", "wait|...|what| ?!");
}

static void our_pattern_knows_other_scripts(void **state)
{
    (void)state;
    const char *p = fv_split_pattern;
    assert_pieces(p, "我的iPhone 手机壳ABC到了", "我的|iPhone| |手机壳|ABC|到了");
    assert_pieces(p, "二〇〇八年々、", "二〇〇八年々|、");
    assert_pieces(p, "返品したい", "返品|したい");
    assert_pieces(p, "नमस्ते मैं", "नमस्ते| मैं"); /* vowel signs stay with their letters */
    assert_pieces(p, "cafe\u0301s", "cafe\u0301s");
    assert_pieces(p, "ok\u2764\ufe0flove", "ok|\u2764\ufe0f|love"); /* the emoji keeps its selector */
    assert_pieces(p, "\u846b\U000E0100\u57ce", "\u846b\U000E0100\u57ce");
    assert_pieces(p, "a\u3000b\u00a0c\u2028d", "a|\u3000|b|\u00a0|c|\u2028|d");
    assert_pieces(p, "a\u180eb", "a|\u180e|b"); /* not a space, whatever pcre2 thinks */
}

/* Whatever a code point is, it lands in a piece, and the pattern never leaves a gap to be filled. */
static void our_pattern_matches_every_code_point(void **state)
{
    (void)state;
    fv_splitter s;
    assert_int_equal(fv_splitter_init(&s, fv_split_pattern, "test", NULL), FV_OK);
    pcre2_match_data *match = fv_splitter_scratch(&s, NULL);
    for (uint32_t c = 0; c < 0x110000; c++) {
        unsigned char text[4];
        int len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        if (c >= 0xD800 && c < 0xE000) continue;
        for (int i = len - 1, rest = (int)c; i >= 0; i--, rest >>= 6) text[i] = (unsigned char)(i ? 0x80 | (rest & 0x3F) : rest);
        if (len > 1) text[0] |= (unsigned char)(0xF00 >> len);
        assert_int_equal(fv_utf8_len((char *)text, (char *)text + len), len);
        assert_int_equal(pcre2_match(s.code, text, (size_t)len, 0, PCRE2_ANCHORED | PCRE2_NO_UTF_CHECK, match, NULL), 1);
        assert_int_equal(pcre2_get_ovector_pointer(match)[1], len);
    }
    pcre2_match_data_free(match);
    fv_splitter_release(&s);
}

static void gpt2s_pattern_cuts_as_it_does(void **state)
{
    (void)state;
    assert_pieces(fv_split_gpt2, "Hello  world, it's 2024!", "Hello| | world|,| it|'s| 2024|!");
    assert_pieces(fv_split_gpt2, "a\n\nb  ", "a|\n|\n|b|  ");
    assert_pieces(fv_split_gpt2, "'tis IT'S", "'t|is| IT|'|S");
}

static void without_a_pattern_all_is_one_piece(void **state)
{
    (void)state;
    assert_pieces(NULL, "all of it, 你好", "all of it, 你好");
    assert_pieces(NULL, "a\xff" "b", "a|\xff|b");
}

static void bytes_that_are_no_text_are_pieces(void **state)
{
    (void)state;
    assert_pieces(fv_split_pattern, "a b\xff\xfe c\xe4\xbd", "a| b|\xff\xfe| c|\xe4\xbd");
    assert_pieces(fv_split_pattern, "\x80", "\x80");
    assert_string_equal(pieces_of(fv_split_pattern, "a\0b", 3), "a|"); /* as far as C shows "a|NUL|b" */
}

static void gaps_and_empty_matches_cut_as_in_oniguruma(void **state)
{
    (void)state;
    assert_pieces("b+", "aabbcbb", "aa|bb|c|bb");
    assert_pieces("x", "abc", "abc");
    assert_pieces("x*", "abc", "a|b|c");
    assert_pieces("b*", "abbc", "a|bb|c");
    assert_pieces("(?=b)", "abab", "a|ba|b");
    assert_pieces("$", "abc", "abc");
    assert_pieces("", "a\u4f60", "a|\u4f60");
}

static void assert_not_understood(const char *pattern, const char *message)
{
    fv_err err = {0};
    fv_splitter s;
    int64_t live = fv_alloc_live();
    assert_int_equal(fv_splitter_init(&s, pattern, "t.json", &err), FV_E_FORMAT);
    if (!strstr(err.text, message) || strncmp(err.text, "t.json: ", 8) != 0) fail_msg("%s", err.text);
    assert_int_equal(fv_alloc_live(), live);
}

static void bad_patterns_are_refused(void **state)
{
    (void)state;
    assert_not_understood("a(b", "missing closing parenthesis, at byte 3");
    assert_not_understood("\\C", "\\C");
    assert_not_understood("(((a{1000}){1000}){1000}){1000}", "too large");
    char *longer = malloc(20001);
    memset(longer, 'a', 20000);
    longer[20000] = 0;
    assert_not_understood(longer, "longer than the limit");
    free(longer);
}

/* Exponential in the length of the text, were it not bounded. */
static void hostile_patterns_end_in_an_error(void **state)
{
    (void)state;
    static const char *const patterns[] = {"(a+)+$", "(a|aa)+$", "(?:a*)*b", "(a?){40}a{40}$", "(?:(?=(a+))a*)+\\1b"};
    char text[200];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '!';
    for (size_t i = 0; i < FV_COUNT(patterns); i++) {
        double start = fv_now();
        const char *found = pieces_of(patterns[i], text, sizeof text);
        if (strncmp(found, "error ", 6) == 0) assert_non_null(strstr(found, "too costly for this text: "));
        if (i == 0) assert_int_equal(strncmp(found, "error ", 6), 0);
        assert_true(fv_now() - start < 20);
    }
    assert_non_null(strstr(pieces_of("(?:a(?R)?b)", "aaab", 4), "aa|ab"));
}

/* Each word alone would stay under the most steps that a match may take: many of them must not add up to a standstill. */
static void hostile_patterns_on_many_words(void **state)
{
    (void)state;
    enum { WORDS = 2000, WORD = 21 };
    static char text[WORDS * WORD];
    memset(text, 'a', sizeof text);
    for (size_t i = WORD - 1; i < sizeof text; i += WORD) text[i] = ' ';
    double start = fv_now();
    const char *found = pieces_of("(a+)+[bc]", text, sizeof text);
    if (!strstr(found, "too costly for this text: match limit exceeded")) fail_msg("%.80s after %g s", found, fv_now() - start);
    assert_true(fv_now() - start < 5);
}

/* A letter and its marks is a step or more for each: limits grow with the text. */
static void long_words_of_slow_patterns_are_fine(void **state)
{
    (void)state;
    enum { LEN = 20000 };
    char *text = malloc(LEN);
    memset(text, 'a', LEN);
    for (int len = 1000; len <= LEN; len *= 20) {
        const char *found = pieces_of("(?:\\p{L}\\p{M}*)+|\\s*[\\r\\n]+", text, (size_t)len);
        if (strncmp(found, "error", 5) == 0) fail_msg("%d letters: %s", len, found);
    }
    free(text);
}

static void ten_megabytes_of_one_kind_are_quick(void **state)
{
    (void)state;
    static const char *const kinds[] = {"a", " ", "\t", "1", "!", "\u4f60", "\u0301", "'"};
    enum { LEN = 3000000 };
    char *text = malloc(LEN);
    for (size_t i = 0; i < 2 * FV_COUNT(kinds); i++) {
        const char *kind = kinds[i / 2], *pattern = i % 2 ? fv_split_gpt2 : fv_split_pattern;
        size_t n = strlen(kind);
        for (size_t at = 0; at < LEN; at++) text[at] = kind[at % n];
        double start = fv_now();
        assert_int_not_equal(strncmp(pieces_of(pattern, text, LEN), "error", 5), 0);
        assert_true(fv_now() - start < 10);
    }
    free(text);
}

/* ---- Added tokens ---- */

static fv_added added(const char *text, int32_t id)
{
    return (fv_added){.text = text, .sought = text, .sought_len = (uint32_t)strlen(text), .id = id};
}

static void the_leftmost_then_longest_token_is_found(void **state)
{
    (void)state;
    const fv_added list[] = {added("ab", 1), added("abcd", 2), added("bc", 3), added("x", 4), added("\xe4\xbd\xa0", 5), added("ab", 6)};
    const char *text = "zabcabcd bc \xe4\xbd\xa0x ab";
    static const struct { size_t at; int32_t id; } expected[] = {{1, 1}, {4, 2}, {9, 3}, {12, 5}, {15, 4}, {17, 1}};
    fv_finder f;
    size_t from = 0, at = 0, end = 0, n = 0;
    assert_int_equal(fv_finder_init(&f, list, FV_COUNT(list), false, NULL), FV_OK);
    for (const fv_added *found; (found = fv_finder_next(&f, text, strlen(text), from, &at, &end)); from = end, n++) {
        assert_int_equal(end, at + found->sought_len);
        assert_true(n < FV_COUNT(expected));
        assert_int_equal(at, expected[n].at);
        assert_true(found->id == expected[n].id || (expected[n].id == 1 && found->id == 6)); /* the same text twice: either */
    }
    assert_int_equal(n, FV_COUNT(expected));
    assert_null(fv_finder_next(&f, "abcd", 1, 0, &at, &end)); /* cut by the end */
    fv_finder_release(&f);
}

static void a_finder_takes_its_kind_only(void **state)
{
    (void)state;
    fv_added list[] = {added("a", 1), added("b", 2)};
    list[1].normalized = true;
    fv_finder f;
    size_t at, end;
    assert_int_equal(fv_finder_init(&f, list, FV_COUNT(list), true, NULL), FV_OK);
    assert_int_equal(fv_finder_next(&f, "ab", 2, 0, &at, &end)->id, 2);
    fv_finder_release(&f);
    assert_int_equal(fv_finder_init(&f, list, 0, false, NULL), FV_OK);
    assert_null(fv_finder_next(&f, "ab", 2, 0, &at, &end));
    fv_finder_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_pattern_cuts_words),
        cmocka_unit_test(our_pattern_knows_other_scripts),
        cmocka_unit_test(our_pattern_matches_every_code_point),
        cmocka_unit_test(gpt2s_pattern_cuts_as_it_does),
        cmocka_unit_test(without_a_pattern_all_is_one_piece),
        cmocka_unit_test(bytes_that_are_no_text_are_pieces),
        cmocka_unit_test(gaps_and_empty_matches_cut_as_in_oniguruma),
        cmocka_unit_test(bad_patterns_are_refused),
        cmocka_unit_test(hostile_patterns_end_in_an_error),
        cmocka_unit_test(hostile_patterns_on_many_words),
        cmocka_unit_test(long_words_of_slow_patterns_are_fine),
        cmocka_unit_test(ten_megabytes_of_one_kind_are_quick),
        cmocka_unit_test(the_leftmost_then_longest_token_is_found),
        cmocka_unit_test(a_finder_takes_its_kind_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
