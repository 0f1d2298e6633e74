/* Element types: names and sizes as safetensors has them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>

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

static void short_floats_widen_exactly(void **state)
{
    (void)state;
    static const uint16_t half[] = {0x3c00, 0xc000, 0x7bff, 0x0400, 0x0001, 0x8001, 0x0000, 0x7c00, 0x7e00};
    static const uint16_t brain[] = {0x3f80, 0xc000, 0x7f80, 0x0001};
    char shifted[1 + sizeof half]; /* files align nothing */
    float f[9];
    memcpy(shifted + 1, half, sizeof half);
    fv_dtype_widen(f, shifted + 1, FV_F16, 9);
    assert_true(f[0] == 1 && f[1] == -2 && f[2] == 65504 && f[3] == 0x1p-14f && f[4] == 0x1p-24f && f[5] == -0x1p-24f && f[6] == 0 && isinf(f[7]) && isnan(f[8]));
    fv_dtype_widen(f, brain, FV_BF16, 4);
    assert_true(f[0] == 1 && f[1] == -2 && isinf(f[2]) && f[3] == 0x1p-133f);
    static const float same[] = {1.5f, -0.25f};
    fv_dtype_widen(f, same, FV_F32, 2);
    assert_memory_equal(f, same, sizeof same);
    for (int i = 0; i < FV_DTYPE_COUNT; i++) assert_int_equal(fv_dtype_widens((fv_dtype)i), i == FV_F32 || i == FV_F16 || i == FV_BF16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_round_trip),
        cmocka_unit_test(sizes_are_the_format_s),
        cmocka_unit_test(unknown_names_are_refused),
        cmocka_unit_test(short_floats_widen_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
