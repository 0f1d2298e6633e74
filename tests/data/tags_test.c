/* Words, tags taken apart, and the spans that they spell. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "data/tags.h"

/* ---- Words -------------------------------------------------------------------------------- */

static void words(void **state)
{
    (void)state;
    const char text[] = " I\tlive \r\n10\xc2\xa0" "000 ", *at = text, *end = text + sizeof text - 1, *word;
    const char *const expected[] = {"I", "live", ("10\xc2\xa0" "000")};
    size_t len;
    for (size_t i = 0; i < FV_COUNT(expected); i++) {
        assert_true(fv_word_next(&at, end, &word, &len));
        assert_int_equal(len, strlen(expected[i]));
        assert_memory_equal(word, expected[i], len);
        assert_ptr_equal(at, word + len);
    }
    assert_false(fv_word_next(&at, end, &word, &len));
    assert_false(fv_word_next(&at, end, &word, &len));
    assert_int_equal(fv_word_count(text, sizeof text - 1), 3);
    assert_int_equal(fv_word_count(" \v\f", 3), 0);
    assert_int_equal(fv_word_count("", 0), 0);
    assert_int_equal(fv_word_count("a b", 2), 1);
}

static void one_word(void **state)
{
    (void)state;
    assert_true(fv_word_is_one("x", 1));
    assert_true(fv_word_is_one("x y", 1));
    assert_false(fv_word_is_one("x y", 3));
    assert_false(fv_word_is_one("x ", 2));
    assert_false(fv_word_is_one(" x", 2));
    assert_false(fv_word_is_one("", 0));
}

/* ---- Tags --------------------------------------------------------------------------------- */

static void expect_tag(const char *name, fv_tag_part part, const char *type)
{
    fv_tag_name tag;
    assert_true(fv_tag_parse(name, &tag));
    assert_int_equal(tag.part, part);
    assert_string_equal(tag.type, type);
}

static void tags(void **state)
{
    (void)state;
    fv_tag_name tag;
    expect_tag("O", FV_TAG_OUT, "_");
    expect_tag("B-LOC", FV_TAG_BEGIN, "LOC");
    expect_tag("I-a-b", FV_TAG_IN, "a-b");
    expect_tag("M-x", FV_TAG_IN, "x");
    expect_tag("E", FV_TAG_END, "_");
    expect_tag("L-x", FV_TAG_END, "x");
    expect_tag("S-x", FV_TAG_SINGLE, "x");
    expect_tag("U-x", FV_TAG_SINGLE, "x");
    const char *const others[] = {"", "OUT", "O-x", "NOUN", "X", "B-", "Bx", "b-LOC", "-LOC", "IN"};
    for (size_t i = 0; i < FV_COUNT(others); i++) assert_false(fv_tag_parse(others[i], &tag));
}

static void sets_of_tags(void **state)
{
    (void)state;
    const char *const bio[] = {"B-x", "O"}, *const parts[] = {"O", "B-x", "NOUN"}, *const outside[] = {"O"};
    assert_true(fv_tags_have_spans(bio, 2));
    assert_true(fv_tags_have_spans(bio, 1));
    assert_false(fv_tags_have_spans(parts, 3));
    assert_false(fv_tags_have_spans(outside, 1));
    assert_false(fv_tags_have_spans(bio, 0));
}

/* ---- Spans -------------------------------------------------------------------------------- */

enum { MOST = 16 };

/* TAGS, separated by spaces ("?" for none), spell SPANS: "0-2 x, 2-3 y". */
static void expect_spans_of(const char *text, bool single, const char *spans)
{
    char copy[256], found[256] = "";
    const char *names[MOST];
    int32_t numbers[MOST];
    size_t n = 0, len = 0;
    snprintf(copy, sizeof copy, "%s", text);
    for (char *save = NULL, *at = strtok_r(copy, " ", &save); at; at = strtok_r(NULL, " ", &save), n++) {
        names[n] = at;
        numbers[n] = strcmp(at, "?") == 0 ? -1 : (int32_t)n;
    }
    fv_span_walk walk = {.names = names, .tags = numbers, .n = n, .single = single};
    for (fv_tag_span span; fv_span_next(&walk, &span);) {
        fv_tag_name tag;
        fv_tag_parse(names[span.tag], &tag);
        len += (size_t)snprintf(found + len, sizeof found - len, "%s%zu-%zu %s", len ? ", " : "", span.begin, span.end, single ? names[span.tag] : tag.type);
    }
    if (strcmp(found, spans) != 0) fail_msg("%s gives \"%s\" instead of \"%s\"", text, found, spans);
}

static void expect_spans(const char *text, const char *spans) { expect_spans_of(text, false, spans); }

static void spans(void **state)
{
    (void)state;
    expect_spans("", "");
    expect_spans("O O", "");
    expect_spans("B-x I-x O B-y", "0-2 x, 3-4 y");
    expect_spans("B-x B-x I-x", "0-1 x, 1-3 x");
    expect_spans("B-x I-y I-y", "0-1 x, 1-3 y");
    expect_spans("I-x I-x O I-x", "0-2 x, 3-4 x");
    expect_spans("I-x B-x", "0-1 x, 1-2 x");
    expect_spans("B I O I", "0-2 _, 3-4 _");
    expect_spans("B-x ? I-x", "0-1 x, 2-3 x");
}

static void spans_with_ends(void **state)
{
    (void)state;
    expect_spans("B-x I-x E-x S-x", "0-3 x, 3-4 x");
    expect_spans("B-x M-x L-x U-x", "0-3 x, 3-4 x");
    expect_spans("E-x E-x", "0-1 x, 1-2 x");
    expect_spans("E-x I-x", "0-1 x, 1-2 x");
    expect_spans("S-x I-x E-x", "0-1 x, 1-3 x");
    expect_spans("S-x S-x", "0-1 x, 1-2 x");
    expect_spans("B-x E-y", "0-1 x, 1-2 y");
    expect_spans("B-x I-x S-x E-x", "0-2 x, 2-3 x, 3-4 x");
}

static void single_words(void **state)
{
    (void)state;
    expect_spans_of("NOUN NOUN ? O", true, "0-1 NOUN, 1-2 NOUN, 3-4 O");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words),
        cmocka_unit_test(one_word),
        cmocka_unit_test(tags),
        cmocka_unit_test(sets_of_tags),
        cmocka_unit_test(spans),
        cmocka_unit_test(spans_with_ends),
        cmocka_unit_test(single_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
