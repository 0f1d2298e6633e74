/* Choosing the instruction set: what there is, forcing one, and refusing what there is not. */
#include "kernels/check.h"

static void plain_is_always_there(void **state)
{
    (void)state;
    const char *names[8];
    int n = fv_kernels_list(names, 8);
    assert_true(n >= 1);
    assert_string_equal(names[0], "plain");
    assert_int_equal(fv_kernels_list(names, 1), 1);
}

/* Runs first: nothing has been forced yet. */
static void environment_chooses(void **state)
{
    (void)state;
    setenv("FOVEA_ISA", "plain", 1);
    assert_int_equal(fv_kernels_check(NULL), FV_OK);
    assert_string_equal(fv_kernels_isa(), "plain");
    unsetenv("FOVEA_ISA");
    assert_int_equal(fv_kernels_check(NULL), FV_OK);
}

static void force_takes_what_is_listed(void **state)
{
    (void)state;
    const char *names[8];
    int n = fv_kernels_list(names, 8);
    for (int i = 0; i < n; i++) {
        assert_int_equal(fv_kernels_force(names[i], NULL), FV_OK);
        assert_string_equal(fv_kernels_isa(), names[i]);
    }
}

static void unknown_names_are_refused(void **state)
{
    (void)state;
    fv_err err = {0};
    assert_int_equal(fv_kernels_force("plain", NULL), FV_OK);
    assert_int_equal(fv_kernels_force("sse9", &err), FV_E_ARGUMENT);
    assert_non_null(strstr(err.text, "sse9"));
    assert_non_null(strstr(err.text, "plain"));
    assert_string_equal(fv_kernels_isa(), "plain");
    setenv("FOVEA_ISA", "", 1);
    assert_int_equal(fv_kernels_check(&err), FV_E_ARGUMENT);
    assert_non_null(strstr(err.text, "FOVEA_ISA"));
    unsetenv("FOVEA_ISA");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(environment_chooses), cmocka_unit_test(plain_is_always_there),
        cmocka_unit_test(force_takes_what_is_listed), cmocka_unit_test(unknown_names_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
