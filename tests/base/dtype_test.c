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

static void rounding_is_to_nearest_even(void **state)
{
    (void)state;
    static const uint32_t bits[] = {
        0x3f800000, 0x3f807fff, 0x3f808000, 0x3f808001, 0x3f818000, 0xbf818000, /* 1; below half, half to even, above half; half to even, up */
        0x00000001, 0x80000000, 0x0000ffff, 0x7f7fffff, 0x7f800000, 0xff800000, /* tiny, -0, tiny up; the largest number; infinities */
        0x7f800001, 0xffc00000, 0x7fffffff,                                     /* no numbers */
    };
    static const uint16_t expected[] = {
        0x3f80, 0x3f80, 0x3f80, 0x3f81, 0x3f82, 0xbf82,
        0x0000, 0x8000, 0x0001, 0x7f80, 0x7f80, 0xff80,
        0x7fc0, 0xffc0, 0x7fff,
    };
    uint16_t got[15];
    char shifted[1 + sizeof bits]; /* files align nothing */
    memcpy(shifted + 1, bits, sizeof bits);
    fv_dtype_round_bf16(got, shifted + 1, FV_F32, 15);
    for (int i = 0; i < 15; i++) assert_int_equal(got[i], expected[i]);
    static const uint16_t half[] = {0x3c00, 0x3c01, 0x3c0c, 0x7e00}, rounded[] = {0x3f80, 0x3f80, 0x3f82, 0x7fc0};
    fv_dtype_round_bf16(got, half, FV_F16, 4);
    assert_memory_equal(got, rounded, sizeof rounded);
}

/* Every half is its own nearest; between two neighbours the middle goes to the even one, and what lies beside it to the nearer. */
static void halves_round_to_nearest_even(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x7bff; h++) {
        uint16_t pair[2] = {(uint16_t)h, (uint16_t)(h + 1)}, found[4], even = (uint16_t)(h + (h & 1));
        float f[2];
        fv_dtype_widen(f, pair, FV_F16, 2);
        float middle = 0.5f * (f[0] + f[1]), asked[4] = {f[0], nextafterf(middle, 0), -middle, nextafterf(middle, 1e6f)};
        assert_true(fv_dtype_round_f16(found, asked, 4));
        assert_true(found[0] == pair[0] && found[1] == pair[0] && found[2] == (even | 0x8000) && found[3] == pair[1]);
    }
    static const float wrong[] = {65520, -70000, INFINITY, NAN};
    uint16_t half;
    for (int i = 0; i < 4; i++) assert_false(fv_dtype_round_f16(&half, wrong + i, 1));
    assert_true(fv_dtype_round_f16(&half, &(float){65519.996f}, 1) && half == 0x7bff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_round_trip),
        cmocka_unit_test(sizes_are_the_format_s),
        cmocka_unit_test(unknown_names_are_refused),
        cmocka_unit_test(short_floats_widen_exactly),
        cmocka_unit_test(rounding_is_to_nearest_even),
        cmocka_unit_test(halves_round_to_nearest_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
