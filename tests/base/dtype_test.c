/* Element types: names and sizes as safetensors has them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/dtype.h"

static void names_round_trip(void **state)
{
    (void)state;
    for (int i = 0; i < FV_DTYPE_COUNT; i++) assert_int_equal(fv_dtype_parse(fv_dtype_name((fv_dtype)i)), i);
}

static void sizes_are_the_format_s(void **state)
{
    (void)state;
    assert_int_equal(fv_dtype_bytes(FV_F64), 8);
    assert_int_equal(fv_dtype_bytes(FV_F32), sizeof(float));
    assert_int_equal(fv_dtype_bytes(FV_BF16), 2);
    assert_int_equal(fv_dtype_bytes(FV_I8), 1);
    assert_int_equal(fv_dtype_bytes(FV_BOOL), 1);
    assert_string_equal(fv_dtype_name(FV_BF16), "BF16");
}

static void unknown_names_are_refused(void **state)
{
    (void)state;
    static const char *names[] = {"", "f32", "F3", "F321", "F8_E4M3", " F32"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) assert_int_equal(fv_dtype_parse(names[i]), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_round_trip),
        cmocka_unit_test(sizes_are_the_format_s),
        cmocka_unit_test(unknown_names_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
