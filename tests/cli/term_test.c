/* Widths of text, cutting, wrapping, bars, spans and counts. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "cli/term.h"

static void expect_cut(const char *text, size_t width, const char *expected)
{
    fv_buf out = {0};
    fv_err err = {0};
    assert_int_equal(cli_add_cut(&out, text, strlen(text), width, &err), FV_OK);
    assert_string_equal(out.data ? out.data : "", expected);
    if (width) assert_true(cli_text_width(expected, strlen(expected)) <= width);
    fv_buf_release(&out);
}

static void chinese_takes_two_columns(void **state)
{
    (void)state;
    assert_int_equal(cli_text_width("abc", 3), 3);
    assert_int_equal(cli_text_width("退货", 6), 4);
    assert_int_equal(cli_text_width("e\xcc\x81", 3), 1); /* a combining accent takes none */
    assert_int_equal(cli_text_width("", 0), 0);
}

static void cutting_keeps_within_the_width(void **state)
{
    (void)state;
    expect_cut("abcdef", 6, "abcdef");
    expect_cut("abcdef", 5, "abcd…");
    expect_cut("退换货品", 8, "退换货品");
    expect_cut("退换货品", 7, "退换货…");
    expect_cut("退换货品", 6, "退换…");
    expect_cut("退换货品", 1, "…");
    expect_cut("abcdef", 0, "abcdef");
    expect_cut("", 3, "");
}

static void nothing_harmful_reaches_a_terminal(void **state)
{
    (void)state;
    expect_cut("a\033[31mb", 0, "a\xef\xbf\xbd[31mb");
    expect_cut("a\tb\nc\x7f", 0, "a\xef\xbf\xbd" "b\xef\xbf\xbd" "c\xef\xbf\xbd");
    expect_cut("\xc2\x9b" "31m", 0, "\xef\xbf\xbd" "31m"); /* the one-character form of ESC [ */
    expect_cut("\xff" "a\xe9\x80", 0, "\xef\xbf\xbd" "a\xef\xbf\xbd\xef\xbf\xbd");
}

static void text_wraps_at_words(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len;
    FILE *to = open_memstream(&text, &len);
    cli_wrap(to, "one two  three a-word-wider-than-all", 4, 2, 10);
    fclose(to);
    assert_string_equal(text, "one\n  two\n  three\n  a-word-wider-than-all\n");
    free(text);
}

static void bars_grow_by_eighths(void **state)
{
    (void)state;
    char bar[64];
    cli_bar(bar, sizeof bar, 0, 4);
    assert_string_equal(bar, "    ");
    cli_bar(bar, sizeof bar, 0.375, 4);
    assert_string_equal(bar, "█▌  ");
    cli_bar(bar, sizeof bar, 1, 4);
    assert_string_equal(bar, "████");
    cli_bar(bar, sizeof bar, 7, 4);
    assert_string_equal(bar, "████");
    cli_bar(bar, 8, 1, 4); /* room for two whole cells */
    assert_string_equal(bar, "██");
}

static void spans_and_counts_read_well(void **state)
{
    (void)state;
    cli_span span;
    cli_count count;
    assert_string_equal(cli_show_span(&span, 0.04), "0.0s");
    assert_string_equal(cli_show_span(&span, -1), "0.0s");
    assert_string_equal(cli_show_span(&span, 9.94), "9.9s");
    assert_string_equal(cli_show_span(&span, 59.6), "1m 00s");
    assert_string_equal(cli_show_span(&span, 80), "1m 20s");
    assert_string_equal(cli_show_span(&span, 3 * 3600 + 125), "3h 02m");
    assert_string_equal(cli_show_span(&span, 1e300), "277777h 46m");
    assert_string_equal(cli_show_count(&count, 0), "0");
    assert_string_equal(cli_show_count(&count, 999), "999");
    assert_string_equal(cli_show_count(&count, 1000), "1,000");
    assert_string_equal(cli_show_count(&count, -123456), "-123,456");
    assert_string_equal(cli_show_count(&count, INT64_MAX), "9,223,372,036,854,775,807");
}

static void a_pipe_has_no_width(void **state)
{
    (void)state;
    FILE *file = tmpfile();
    setenv("COLUMNS", "40", 1);
    assert_int_equal(cli_width(file), 0);
    assert_false(cli_live(file));
    assert_false(cli_colour(file));
    fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chinese_takes_two_columns),
        cmocka_unit_test(cutting_keeps_within_the_width),
        cmocka_unit_test(nothing_harmful_reaches_a_terminal),
        cmocka_unit_test(text_wraps_at_words),
        cmocka_unit_test(bars_grow_by_eighths),
        cmocka_unit_test(spans_and_counts_read_well),
        cmocka_unit_test(a_pipe_has_no_width),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
