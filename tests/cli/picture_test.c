/* Alignments drawn: cells under their words, the form for narrow terminals, and what leaves nothing to draw. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "cli/picture.h"

static const char source[] = "A dog";
static const fv_extent source_words[] = {{0, 1}, {2, 5}}, target_words[] = {{0, 3}, {3, 6}};
static const float attention[] = {0.9f, 0.1f, 0.02f, 0.98f};
static const uint32_t alignment[] = {0, 1};

static fv_translation translation(void)
{
    return (fv_translation){
        .text = "一狗", .len = 6, .source_words = source_words, .target_words = target_words, .n_source_words = 2, .n_target_words = 2,
        .attention = attention, .alignment = alignment,
    };
}

static void expect_picture(const fv_translation *t, size_t width, const char *expected)
{
    fv_buf out = {0};
    fv_err err = {0};
    assert_int_equal(cli_add_picture(&out, source, t, width, &err), FV_OK);
    assert_string_equal(out.data ? out.data : "", expected);
    fv_buf_release(&out);
}

static void cells_stand_under_words(void **state)
{
    (void)state;
    fv_translation t = translation();
    expect_picture(&t, 80, "     A dog\n  一 █ ░░░\n  狗   ███\n");
}

static void a_narrow_terminal_gets_lines(void **state)
{
    (void)state;
    fv_translation t = translation();
    expect_picture(&t, 9, "  一 ← A (0.90)\n  狗 ← dog (0.98)\n");
    expect_picture(&t, 10, "     A dog\n  一 █ ░░░\n  狗   ███\n");
}

static void nothing_leaves_nothing_to_draw(void **state)
{
    (void)state;
    fv_translation t = {.text = ""};
    expect_picture(&t, 80, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_stand_under_words),
        cmocka_unit_test(a_narrow_terminal_gets_lines),
        cmocka_unit_test(nothing_leaves_nothing_to_draw),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
