/* The learning rate: hand-computed points, and shapes that must hold for every run. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "train/schedule.h"

static const fv_schedule all[] = {FV_SCHEDULE_LINEAR, FV_SCHEDULE_COSINE, FV_SCHEDULE_INVERSE_SQRT, FV_SCHEDULE_CONSTANT};
enum { N_ALL = sizeof all / sizeof *all };

static void assert_near(double found, double expected)
{
    if (!(fabs(found - expected) <= 1e-12)) fail_msg("%.17g; expected %.17g", found, expected);
}

static void assert_lr(fv_schedule kind, int64_t step, double expected)
{
    assert_near(fv_schedule_lr(kind, 2, 10, 110, step), expected);
}

static void warm_up_is_linear_and_ends_at_the_peak(void **state)
{
    (void)state;
    for (int i = 0; i < N_ALL; i++) {
        assert_lr(all[i], 0, 0.2);
        assert_lr(all[i], 4, 1);
        assert_lr(all[i], 9, 2);
    }
}

static void points_by_hand(void **state)
{
    (void)state;
    assert_lr(FV_SCHEDULE_LINEAR, 10, 2);
    assert_lr(FV_SCHEDULE_LINEAR, 60, 1);
    assert_lr(FV_SCHEDULE_LINEAR, 109, 0.02);
    assert_lr(FV_SCHEDULE_COSINE, 10, 2);
    assert_lr(FV_SCHEDULE_COSINE, 35, 1 + 0.70710678118654752);
    assert_lr(FV_SCHEDULE_COSINE, 60, 1);
    assert_lr(FV_SCHEDULE_COSINE, 85, 1 - 0.70710678118654752);
    assert_lr(FV_SCHEDULE_INVERSE_SQRT, 39, 1);
    assert_lr(FV_SCHEDULE_INVERSE_SQRT, 89, 2.0 / 3);
    assert_lr(FV_SCHEDULE_CONSTANT, 109, 2);
}

static void behind_the_end(void **state)
{
    (void)state;
    const int64_t steps[] = {110, 111, INT64_MAX - 1};
    for (int i = 0; i < 3; i++) {
        assert_lr(FV_SCHEDULE_LINEAR, steps[i], 0);
        assert_lr(FV_SCHEDULE_COSINE, steps[i], 0);
        assert_lr(FV_SCHEDULE_CONSTANT, steps[i], 2);
    }
}

static void no_warm_up(void **state)
{
    (void)state;
    for (int i = 0; i < N_ALL; i++) assert_near(fv_schedule_lr(all[i], 3, 0, 7, 0), 3);
    assert_near(fv_schedule_lr(FV_SCHEDULE_INVERSE_SQRT, 3, 0, 7, 3), 1.5);
}

static void short_runs(void **state)
{
    (void)state;
    for (int i = 0; i < N_ALL; i++) {
        assert_near(fv_schedule_lr(all[i], 3, 0, 1, 0), 3);
        assert_near(fv_schedule_lr(all[i], 3, 4, 4, 3), 3);  /* all warm-up */
        assert_near(fv_schedule_lr(all[i], 3, 10, 4, 3), 1.2);
    }
}

static void no_step_is_wasted_and_decay_never_rises(void **state)
{
    (void)state;
    for (int i = 0; i < N_ALL; i++)
        for (int64_t warmup = 0; warmup < 40; warmup += 13)
            for (int64_t step = 0; step < 40; step++) {
                double lr = fv_schedule_lr(all[i], 1, warmup, 40, step), next = fv_schedule_lr(all[i], 1, warmup, 40, step + 1);
                assert_true(lr > 0 && lr <= 1);
                assert_true(step + 1 < warmup ? next > lr : next <= lr);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(warm_up_is_linear_and_ends_at_the_peak),
        cmocka_unit_test(points_by_hand),
        cmocka_unit_test(behind_the_end),
        cmocka_unit_test(no_warm_up),
        cmocka_unit_test(short_runs),
        cmocka_unit_test(no_step_is_wasted_and_decay_never_rises),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
