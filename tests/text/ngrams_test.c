/* n-grams as hashes: which pieces a text has, told by comparing texts, since hashes say nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text/ngrams.h"

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Sorted n-grams of a text. */
static fv_ngrams of(const char *text)
{
    fv_ngrams n = {0};
    assert_int_equal(fv_ngrams_of(&n, text, strlen(text), NULL), FV_OK);
    if (n.n) qsort(n.hashes, n.n, sizeof *n.hashes, by_value);
    return n;
}

static size_t shared(const char *a, const char *b)
{
    fv_ngrams x = of(a), y = of(b);
    size_t n = 0;
    for (size_t i = 0, j = 0; i < x.n && j < y.n;) {
        if (x.hashes[i] == y.hashes[j]) n++, i++, j++;
        else if (x.hashes[i] < y.hashes[j]) i++;
        else j++;
    }
    fv_ngrams_release(&x);
    fv_ngrams_release(&y);
    return n;
}

static size_t count(const char *text)
{
    fv_ngrams n = of(text);
    size_t found = n.n;
    fv_ngrams_release(&n);
    return found;
}

static void a_word_has_itself_and_its_pieces(void **state)
{
    (void)state;
    /* "ab": the word; of " ab ": 3 pieces of two characters, 2 of three, 1 of four. */
    assert_int_equal(count("ab"), 1 + 3 + 2 + 1);
    /* A second word adds the same and the pair. */
    assert_int_equal(count("ab cd"), 2 * (1 + 3 + 2 + 1) + 1);
    assert_int_equal(count(""), 0);
    assert_int_equal(count(" \t\n"), 0);
}

static void chinese_has_pieces_of_one_to_four_characters(void **state)
{
    (void)state;
    assert_int_equal(count("退款"), 2 + 1);
    assert_int_equal(count("我要退款吗"), 5 + 4 + 3 + 2);
    assert_int_equal(shared("我要退款", "退款多久"), 3); /* 退, 款, 退款 */
}

static void case_and_width_do_not_matter(void **state)
{
    (void)state;
    assert_int_equal(shared("Refund", "ｒｅｆｕｎｄ"), count("refund"));
    assert_true(shared("refund", "refunds") > 8);
    assert_int_equal(shared("refund", "日本"), 0);
}

static void pairs_know_their_order(void **state)
{
    (void)state;
    assert_int_equal(shared("not good", "not good"), count("not good"));
    assert_int_equal(shared("not good", "good not"), count("not good") - 1);
}

static void a_second_text_is_told_apart(void **state)
{
    (void)state;
    fv_ngrams n = {0};
    assert_int_equal(fv_ngrams_of(&n, "ab", 2, NULL), FV_OK);
    size_t first = n.n;
    assert_int_equal(fv_ngrams_add(&n, "ab", 2, NULL), FV_OK);
    assert_int_equal(n.n, 2 * first);
    for (size_t i = 0; i < first; i++)
        for (size_t j = first; j < n.n; j++) assert_true(n.hashes[i] != n.hashes[j]);
    fv_ngrams_release(&n);
}

static void broken_utf8_and_endless_words_are_taken(void **state)
{
    (void)state;
    enum { LONG = 1 << 20 };
    char *text = malloc(LONG);
    fv_ngrams n = {0};
    for (size_t i = 0; i < LONG; i++) text[i] = "\xff\xe9\x80z"[i % 4];
    assert_int_equal(fv_ngrams_of(&n, text, LONG, NULL), FV_OK);
    memset(text, 'a', LONG);
    assert_int_equal(fv_ngrams_of(&n, text, LONG, NULL), FV_OK);
    assert_true(n.n < 5 * (size_t)LONG);
    fv_ngrams_release(&n);
    free(text);
}

static void lack_of_memory_is_told_and_leaks_nothing(void **state)
{
    (void)state;
    int64_t alive = fv_alloc_live();
    for (int64_t k = 0; k < 40; k++) {
        fv_ngram_places places = {0};
        fv_ngrams n = {.places = &places};
        fv_alloc_fail_after(k);
        fv_status status = fv_ngrams_of(&n, "Ｗhere is my order? 我的订单", 34, NULL);
        fv_alloc_fail_after(-1);
        assert_true(status == FV_OK || status == FV_E_MEMORY);
        fv_ngrams_release(&n);
        fv_ngram_places_release(&places);
    }
    assert_int_equal(fv_alloc_live(), alive);
}

/* ---- Places ---- */

/* "word|word": where the words lie in the text. */
static void expect_words(const char *text, const char *expected)
{
    fv_ngram_places places = {0};
    fv_ngrams n = {.places = &places};
    char found[256] = "";
    size_t at = 0;
    assert_int_equal(fv_ngrams_of(&n, text, strlen(text), NULL), FV_OK);
    assert_int_equal(places.n, n.n);
    for (size_t i = 0; i < places.n_words; i++) {
        const fv_ngram_word *w = &places.words[i];
        assert_true(w->begin < w->end && w->end <= strlen(text));
        assert_true(i == 0 || w->begin >= places.words[i - 1].end);
        at += (size_t)snprintf(found + at, sizeof found - at, "%s%.*s", i ? "|" : "", (int)(w->end - w->begin), text + w->begin);
    }
    assert_string_equal(found, expected);
    fv_ngrams_release(&n);
    fv_ngram_places_release(&places);
}

static void words_lie_in_the_text_as_given(void **state)
{
    (void)state;
    expect_words("", "");
    expect_words(" My card, 2 days! ", "My|card|,|2|days|!");
    expect_words("我要退款OK吗", "我|要|退|款|OK|吗");
    expect_words("ＲＥfund ﬁne", "ＲＥfund|ﬁne");
    expect_words("e\xcc\x81t\xc3\xa9", "e\xcc\x81t\xc3\xa9");          /* a composed letter is not cut */
    expect_words("a…b", "a|…|b");                                       /* three marks from one character: one word */
    expect_words("㍿も", "㍿|も");                                       /* four characters from one */
    expect_words("\xff\xfe a", "\xff\xfe|a");
}

/* Whether some n-gram is shown so: -text- where letters may stand beside it, a pair in parentheses. */
static bool stands(const fv_ngrams *n, const char *text, const char *expected)
{
    for (size_t i = 0; i < n->places->n; i++) {
        const fv_ngram_place *p = &n->places->items[i];
        char shown[128];
        snprintf(shown, sizeof shown, "%s%s%.*s%s%s", p->pair ? "(" : "", p->open_begin ? "-" : "", (int)(p->end - p->begin), text + p->begin,
                 p->open_end ? "-" : "", p->pair ? ")" : "");
        if (strcmp(shown, expected) == 0) return true;
    }
    return false;
}

static void a_piece_knows_its_bytes_and_its_ends(void **state)
{
    (void)state;
    const char *text = "Not ＧＯＯＤ! 我要";
    const char *there[] = {"Not", "No-", "-ot", "-No-", "(Not ＧＯＯＤ)", "(ＧＯＯＤ!)", "ＧＯＯＤ", "-ＯＯ-", "!", "我", "我要"};
    const char *absent[] = {"No", "-!", "!-", "-我-", "(我要)", "(! 我)"};
    fv_ngram_places places = {0};
    fv_ngrams n = {.places = &places};
    assert_int_equal(fv_ngrams_of(&n, text, strlen(text), NULL), FV_OK);
    assert_int_equal(places.n, count(text)); /* asking changes no hash */
    for (size_t i = 0; i < FV_COUNT(there); i++)
        if (!stands(&n, text, there[i])) fail_msg("%s is missing", there[i]);
    for (size_t i = 0; i < FV_COUNT(absent); i++)
        if (stands(&n, text, absent[i])) fail_msg("%s should not be there", absent[i]);
    fv_ngrams_release(&n);
    fv_ngram_places_release(&places);
}

static void a_second_text_has_places_of_its_own(void **state)
{
    (void)state;
    fv_ngram_places places = {0};
    fv_ngrams n = {.places = &places};
    for (int again = 0; again < 2; again++) {
        assert_int_equal(fv_ngrams_of(&n, "one two", 7, NULL), FV_OK);
        size_t first = n.n;
        assert_int_equal(fv_ngrams_add(&n, "two", 3, NULL), FV_OK);
        assert_int_equal(places.n, n.n);
        for (size_t i = 0; i < n.n; i++) assert_int_equal(places.items[i].part, i >= first);
        assert_int_equal(places.n_words, 3);
        assert_int_equal(places.words[2].part, 1);
        assert_int_equal(places.words[2].begin, 0);
    }
    fv_ngrams_release(&n);
    fv_ngram_places_release(&places);
}

static void places_lie_within_any_text(void **state)
{
    (void)state;
    char text[64];
    uint32_t seed = 7;
    fv_ngram_places places = {0};
    fv_ngrams n = {.places = &places};
    for (int k = 0; k < 3000; k++) {
        static const char *const parts[] = {"a", "B", " ", "!", "我", "\xcc\x81", "ﬁ", "İ", "…", "㍿", "\xff", "\xe9", "ガ", "\xef\xbe\x9e", "🙂", "\n"};
        size_t len = 0;
        for (int i = 0; i < 8; i++) {
            const char *part = parts[(seed = seed * 1664525 + 1013904223) >> 28];
            memcpy(text + len, part, strlen(part));
            len += strlen(part);
        }
        assert_int_equal(fv_ngrams_of(&n, text, len, NULL), FV_OK);
        assert_int_equal(places.n, n.n);
        for (size_t i = 0; i < places.n; i++) assert_true(places.items[i].begin < places.items[i].end && places.items[i].end <= len);
        for (size_t i = 0; i < places.n_words; i++) assert_true(places.words[i].end <= len && (i == 0 || places.words[i].begin >= places.words[i - 1].end));
    }
    fv_ngrams_release(&n);
    fv_ngram_places_release(&places);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_word_has_itself_and_its_pieces),
        cmocka_unit_test(chinese_has_pieces_of_one_to_four_characters),
        cmocka_unit_test(case_and_width_do_not_matter),
        cmocka_unit_test(pairs_know_their_order),
        cmocka_unit_test(a_second_text_is_told_apart),
        cmocka_unit_test(broken_utf8_and_endless_words_are_taken),
        cmocka_unit_test(words_lie_in_the_text_as_given),
        cmocka_unit_test(a_piece_knows_its_bytes_and_its_ends),
        cmocka_unit_test(a_second_text_has_places_of_its_own),
        cmocka_unit_test(places_lie_within_any_text),
        cmocka_unit_test(lack_of_memory_is_told_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
