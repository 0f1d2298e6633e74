/* Errors: what a message keeps, what it must never let through, and what ends the program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/str.h"

static void keeps_status_and_text(void **state)
{
    (void)state;
    fv_err err = {0};
    assert_int_equal(FV_FAIL(&err, FV_E_INPUT, "x.tsv:%d: %s", 7, "no label"), FV_E_INPUT);
    assert_int_equal(err.status, FV_E_INPUT);
    assert_string_equal(err.text, "x.tsv:7: no label");
}

static void null_is_fine(void **state)
{
    (void)state;
    assert_int_equal(FV_FAIL(NULL, FV_E_IO, "%s", "nobody reads this"), FV_E_IO);
    fv_err_prefix(NULL, "x");
}

static void is_cut_at_a_character(void **state)
{
    (void)state;
    char longer[2000];
    for (int lead = 0; lead < 4; lead++) {
        size_t n = (size_t)lead;
        memset(longer, 'a', n);
        for (; n + 4 < sizeof longer; n += 3) memcpy(longer + n, "猫", 3);
        longer[n] = 0;
        fv_err err = {0};
        FV_FAIL(&err, FV_E_INPUT, "%s", longer);
        size_t len = strlen(err.text);
        assert_in_range(len, sizeof err.text - 3, sizeof err.text - 1);
        assert_int_equal((len - (size_t)lead) % 3, 0);
        assert_memory_equal(err.text, longer, len);
    }
}

static void a_text_that_just_fits_is_not_cut(void **state)
{
    (void)state;
    char text[sizeof((fv_err *)NULL)->text];
    memset(text, 'a', sizeof text);
    memcpy(text + sizeof text - 4, "猫", 4);
    fv_err err = {0};
    FV_FAIL(&err, FV_E_INPUT, "%s", text);
    assert_string_equal(err.text, text);
}

static void is_one_printable_line(void **state)
{
    (void)state;
    fv_err err = {0};
    FV_FAIL(&err, FV_E_INPUT, "%s", "a\nb\tc\033[31m\x7f \xff \xe7\x8c \xc2\x9b é猫🐈");
    assert_string_equal(err.text, "a b c?[31m? ? ?? ? é猫🐈");
}

static void may_quote_itself(void **state)
{
    (void)state;
    fv_err err = {0};
    FV_FAIL(&err, FV_E_INPUT, "inner");
    FV_FAIL(&err, FV_E_FORMAT, "outer (%s)", err.text);
    assert_string_equal(err.text, "outer (inner)");
    assert_int_equal(err.status, FV_E_FORMAT);
}

static void prefix_goes_in_front(void **state)
{
    (void)state;
    fv_err err = {0};
    FV_FAIL(&err, FV_E_INPUT, "no label");
    fv_err_prefix(&err, "%s:%d", "x.tsv", 3);
    assert_string_equal(err.text, "x.tsv:3: no label");
    assert_int_equal(err.status, FV_E_INPUT);
}

static void prefix_of_a_full_text_cuts_its_end(void **state)
{
    (void)state;
    char longer[2000];
    memset(longer, 'b', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    fv_err err = {0};
    FV_FAIL(&err, FV_E_INPUT, "%s", longer);
    fv_err_prefix(&err, "here");
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_memory_equal(err.text, "here: bbb", 9);
}

static void every_status_has_its_own_text(void **state)
{
    (void)state;
    static const fv_status all[] = {
#define STATUS(name, value, text) name,
        FV_STATUS_LIST(STATUS)
#undef STATUS
    };
    for (size_t i = 0; i < FV_COUNT(all); i++)
        for (size_t j = i + 1; j < FV_COUNT(all); j++) assert_string_not_equal(fv_status_text(all[i]), fv_status_text(all[j]));
    assert_string_equal(fv_status_text((fv_status)-99), "an unknown status");
}

static void printed(const fv_err *err, const char *expected)
{
    char line[128] = {0};
    FILE *to = fmemopen(line, sizeof line, "w");
    assert_non_null(to);
    assert_int_equal(fv_err_print(to, err), 1);
    fclose(to);
    assert_string_equal(line, expected);
}

static void prints_one_line(void **state)
{
    (void)state;
    fv_err err = {0};
    FV_FAIL(&err, FV_E_INPUT, "x: empty");
    printed(&err, "fovea: x: empty\n");
    printed(&(fv_err){.status = FV_E_MEMORY}, "fovea: out of memory\n");
    printed(NULL, "fovea: done\n");
}

static void a_broken_promise_stops_the_program(void **state)
{
    (void)state;
    int ends[2], status;
    char text[256] = {0};
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], 2);
        FV_ASSERT(1 + 1 == 3);
        _exit(0);
    }
    close(ends[1]);
    assert_true(read(ends[0], text, sizeof text - 1) > 0);
    close(ends[0]);
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(text, "err_test.c"));
    assert_non_null(strstr(text, "1 + 1 == 3"));
}

static void version_is_the_header_s(void **state)
{
    (void)state;
    assert_string_equal(fv_version(), FV_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_status_and_text),
        cmocka_unit_test(null_is_fine),
        cmocka_unit_test(is_cut_at_a_character),
        cmocka_unit_test(a_text_that_just_fits_is_not_cut),
        cmocka_unit_test(is_one_printable_line),
        cmocka_unit_test(may_quote_itself),
        cmocka_unit_test(prefix_goes_in_front),
        cmocka_unit_test(prefix_of_a_full_text_cuts_its_end),
        cmocka_unit_test(every_status_has_its_own_text),
        cmocka_unit_test(prints_one_line),
        cmocka_unit_test(a_broken_promise_stops_the_program),
        cmocka_unit_test(version_is_the_header_s),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
