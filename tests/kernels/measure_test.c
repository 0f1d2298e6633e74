/* The peaks: plausible, and memory that is refused leaves nothing behind. */
#include "kernels/check.h"

static void peaks_are_plausible(void **state)
{
    (void)state;
    fv_pool *pool = fv_pool_new(2, NULL);
    double one = fv_peak_fma(NULL);
    assert_true(one > 0.05 && one < 5000);
    assert_true(fv_peak_fma(pool) > 0.05);
    double bf16 = fv_peak_bf16(NULL), int8 = fv_peak_int8(NULL); /* 0 where there is none */
    assert_true(bf16 == 0 || (bf16 > 0.05 && bf16 < 10000));
    assert_true(int8 == 0 || (int8 > 0.05 && int8 < 20000));
    double memory = fv_peak_memory(pool, 6 << 20, NULL);
    assert_true(memory > 0.05 && memory < 20000);
    fv_pool_free(pool);
}

static void too_little_memory(void **state)
{
    (void)state;
    fv_err err = {0};
    assert_true(fv_peak_memory(NULL, 100, &err) == 0);
    assert_int_equal(err.status, FV_E_ARGUMENT);
    for (int64_t nth = 0; nth < 3; nth++) {
        int64_t live = fv_alloc_live();
        fv_alloc_fail_after(nth);
        assert_true(fv_peak_memory(NULL, 3 << 20, &err) == 0);
        fv_alloc_fail_after(-1);
        assert_int_equal(err.status, FV_E_MEMORY);
        assert_int_equal(fv_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(peaks_are_plausible), cmocka_unit_test(too_little_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
