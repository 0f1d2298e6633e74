/* What counts as a word for searching: which texts have the same ones, where they stand, and texts that are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text/terms.h"

static fv_terms terms;

/* Their places as "0-3 4-7", in the order of the walk. */
static const char *places(fv_terms_kind kind, const char *text)
{
    static char out[512];
    size_t at = 0;
    assert_int_equal(fv_terms_of(&terms, kind, text, strlen(text), NULL), FV_OK);
    out[0] = 0;
    for (size_t i = 0; i < terms.n; i++) at += (size_t)snprintf(out + at, sizeof out - at, "%s%u-%u", i ? " " : "", terms.items[i].begin, terms.items[i].end);
    return out;
}

static void where_words_stand(void **state)
{
    (void)state;
    assert_string_equal(places(FV_TERMS_DOCUMENT, "It's a café, No. 42!"), "0-2 3-4 5-6 7-12 14-16 18-20");
    assert_int_equal(terms.length, 6);
    assert_string_equal(places(FV_TERMS_DOCUMENT, "你好吗"), "0-3 0-6 3-6 3-9 6-9");
    assert_int_equal(terms.length, 3);
    assert_string_equal(places(FV_TERMS_QUERY, "你好吗"), "0-6 3-9");
    assert_string_equal(places(FV_TERMS_QUERY, "茶"), "0-3");
    assert_string_equal(places(FV_TERMS_QUERY, "茶 iPhone手机"), "0-3 4-10 10-16");
    assert_string_equal(places(FV_TERMS_QUERY, "北，京"), "0-3 6-9");
    assert_string_equal(places(FV_TERMS_DOCUMENT, ""), "");
    assert_string_equal(places(FV_TERMS_DOCUMENT, " \t.,;()[]{}!? 😀 \xff\xfe"), "");
    assert_int_equal(terms.length, 0);
    assert_string_equal(places(FV_TERMS_DOCUMENT, "ab\xff" "cd"), "0-2 3-5");
}

static bool same(const char *a, const char *b)
{
    fv_terms other = {0};
    assert_int_equal(fv_terms_of(&terms, FV_TERMS_DOCUMENT, a, strlen(a), NULL), FV_OK);
    assert_int_equal(fv_terms_of(&other, FV_TERMS_DOCUMENT, b, strlen(b), NULL), FV_OK);
    bool equal = terms.n == other.n && terms.n > 0;
    for (size_t i = 0; equal && i < terms.n; i++) equal = terms.items[i].hash == other.items[i].hash;
    fv_terms_release(&other);
    return equal;
}

static void which_are_the_same(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"Café", "cafe"}, {"CAFE\u0301", "café"}, {"Straße", "STRASSE"}, {"ＡＢＣ１２", "abc12"}, {"ﬁne", "fine"}, {"ΣΊΣΥΦΟΣ", "σίσυφος"},
        {"αθηνά", "αθηνα"}, {"İstanbul", "istanbul"}, {"Việt", "viet"}, {"ｶﾞ", "ガ"}, {"ЁЛКА", "ёлка"}, {"naïve-test", "naive test"},
    };
    for (size_t i = 0; i < FV_COUNT(pairs); i++)
        if (!same(pairs[i][0], pairs[i][1])) fail_msg("%s is not %s", pairs[i][0], pairs[i][1]);
    static const char *const others[][2] = {{"й", "и"}, {"が", "か"}, {"cat", "cats"}, {"你", "您"}, {"ab", "a b"}, {"北京", "京北"}};
    for (size_t i = 0; i < FV_COUNT(others); i++)
        if (same(others[i][0], others[i][1])) fail_msg("%s is %s", others[i][0], others[i][1]);
}

/* A letter that stands for a Chinese pair or a single character would be found by it. */
static void kinds_are_apart(void **state)
{
    (void)state;
    assert_int_equal(fv_terms_of(&terms, FV_TERMS_DOCUMENT, "你好", 6, NULL), FV_OK);
    assert_int_equal(terms.n, 3);
    for (size_t i = 0; i < 3; i++)
        for (size_t k = 0; k < i; k++) assert_true(terms.items[i].hash != terms.items[k].hash);
}

/* Work is in proportion to length: these take seconds where it is not. */
static void long_texts(void **state)
{
    (void)state;
    static const char *const parts[] = {"a", "你", "a ", "\u0301", "ﷺ", "あ゙", "\xff", "각"};
    for (size_t i = 0; i < FV_COUNT(parts); i++) {
        size_t n = strlen(parts[i]), len = n * 100000;
        char *text = malloc(len);
        assert_non_null(text);
        for (size_t at = 0; at < len; at++) text[at] = parts[i][at % n];
        assert_int_equal(fv_terms_of(&terms, FV_TERMS_DOCUMENT, text, len, NULL), FV_OK);
        for (size_t k = 0; k < terms.n; k++) assert_true(terms.items[k].begin < terms.items[k].end && terms.items[k].end <= len && (!k || terms.items[k - 1].begin <= terms.items[k].begin));
        free(text);
    }
}

static void no_memory(void **state)
{
    (void)state;
    fv_terms_release(&terms);
    int64_t live = fv_alloc_live();
    for (int64_t fail = 0, failures = 1; failures; fail++) {
        fv_err err;
        fv_alloc_fail_after(fail);
        failures = fv_terms_of(&terms, FV_TERMS_DOCUMENT, "Ein Café für 你好", 19, &err) != FV_OK;
        fv_alloc_fail_after(-1);
        if (failures) assert_int_equal(err.status, FV_E_MEMORY);
        fv_terms_release(&terms);
        assert_int_equal(fv_alloc_live(), live);
    }
}

static int teardown(void **state)
{
    (void)state;
    fv_terms_release(&terms);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_words_stand), cmocka_unit_test(which_are_the_same), cmocka_unit_test(kinds_are_apart), cmocka_unit_test(long_texts), cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
