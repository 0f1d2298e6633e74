/* The score against its definition, and its gradient against differences. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "explain/explain.h"

static void log_odds_are_those_of_the_probability(void **state)
{
    (void)state;
    float z[3] = {1.5f, -0.25f, 0.75f};
    fv_score s = {.kind = FV_LABELS_SINGLE, .label = 2, .outputs = 3, .temperature = 1.7};
    double e[3], sum = 0;
    for (int i = 0; i < 3; i++) sum += e[i] = exp((double)z[i] / s.temperature);
    double p = e[2] / sum;
    assert_float_equal(fv_score_of(&s, z), log(p / (1 - p)), 1e-12);
    assert_float_equal(fv_score_chance(&s, z), p, 1e-12);
    s.kind = FV_LABELS_MULTI;
    assert_float_equal(fv_score_of(&s, z), 0.75 / 1.7, 1e-12);
    assert_float_equal(fv_score_chance(&s, z), 1 / (1 + exp(-0.75 / 1.7)), 1e-12);
    s = (fv_score){.kind = FV_LABELS_REGRESSION, .outputs = 1, .temperature = 1.7, .direction = -1};
    assert_float_equal(fv_score_of(&s, z), 1.5, 0);
    assert_float_equal(fv_score_chance(&s, z), -1.5, 0);
    s = (fv_score){.kind = FV_LABELS_SINGLE, .outputs = 1, .temperature = 1};
    assert_float_equal(fv_score_chance(&s, z), 1, 0); /* the only label there is */
    assert_true(isfinite(fv_score_of(&s, z)));
}

static void a_sure_score_is_finite(void **state)
{
    (void)state;
    float z[2] = {1000, -1000};
    fv_score s = {.kind = FV_LABELS_SINGLE, .outputs = 2, .temperature = 1};
    assert_float_equal(fv_score_of(&s, z), 2000, 1e-9);
    s.label = 1;
    assert_float_equal(fv_score_of(&s, z), -2000, 1e-9);
    assert_float_equal(fv_score_chance(&s, z), 0, 1e-300);
}

static void the_gradient_is_the_difference(void **state)
{
    (void)state;
    static const fv_labels kinds[] = {FV_LABELS_SINGLE, FV_LABELS_MULTI, FV_LABELS_REGRESSION};
    for (size_t k = 0; k < FV_COUNT(kinds); k++) {
        float z[4] = {0.5f, -1.25f, 2, 0.125f};
        double gradient[4];
        fv_score s = {.kind = kinds[k], .label = kinds[k] == FV_LABELS_REGRESSION ? 0 : 1, .outputs = kinds[k] == FV_LABELS_REGRESSION ? 1 : 4, .temperature = 0.8};
        assert_float_equal(fv_score_gradient(&s, z, gradient), fv_score_of(&s, z), 0);
        for (int j = 0; j < s.outputs; j++) {
            const float step = 1.0f / 256;
            float up[4] = {z[0], z[1], z[2], z[3]}, down[4] = {z[0], z[1], z[2], z[3]};
            up[j] += step, down[j] -= step;
            assert_float_equal(gradient[j], (fv_score_of(&s, up) - fv_score_of(&s, down)) / (2 * (double)step), 1e-5);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_odds_are_those_of_the_probability),
        cmocka_unit_test(a_sure_score_is_finite),
        cmocka_unit_test(the_gradient_is_the_difference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
