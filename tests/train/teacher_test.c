/* Axes of symmetric matrices: they diagonalise, stand at right angles, and come longest first. Teachers themselves are tested
 * where they teach (objective_embed_test.c). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "train/teacher.h"

enum { N = 12 };

static void axes_diagonalise(void **state)
{
    (void)state;
    double a[N][N], spoilt[N][N], axes[N][N], last = INFINITY;
    fv_err err = {0};
    fv_rng rng = fv_rng_make(3, "axes");
    for (int i = 0; i < N; i++)
        for (int j = 0; j <= i; j++) a[i][j] = a[j][i] = fv_rng_normal(&rng) + (i == j ? 5 : 0);
    memcpy(spoilt, a, sizeof a);
    assert_int_equal(fv_axes_of(&axes[0][0], &spoilt[0][0], N, &err), FV_OK);
    for (int i = 0; i < N; i++) {
        double value = 0;
        for (int j = 0; j < N; j++) {
            double dot = 0, along = 0; /* axes[i] · axes[j], axes[i] · A · axes[j] */
            for (int k = 0; k < N; k++) {
                dot += axes[i][k] * axes[j][k];
                for (int l = 0; l < N; l++) along += axes[i][k] * a[k][l] * axes[j][l];
            }
            assert_true(fabs(dot - (i == j)) < 1e-12);
            if (i == j) value = along;
            else assert_true(fabs(along) < 1e-7);
        }
        assert_true(value <= last);
        last = value;
    }
}

/* Known by hand: [[2, 1], [1, 2]] has 3 along (1, 1) and 1 along (1, -1). */
static void two_by_hand(void **state)
{
    (void)state;
    double a[] = {2, 1, 1, 2}, axes[4];
    assert_int_equal(fv_axes_of(axes, a, 2, NULL), FV_OK);
    assert_true(fabs(fabs(axes[0]) - sqrt(0.5)) < 1e-12 && fabs(axes[0] - axes[1]) < 1e-12);
    assert_true(fabs(fabs(axes[2]) - sqrt(0.5)) < 1e-12 && fabs(axes[2] + axes[3]) < 1e-12);
}

/* Equal lengths, and none at all. */
static void odd_ones(void **state)
{
    (void)state;
    double a[] = {0, 0, 0, 0}, axes[4], one[] = {4}, axis[1];
    assert_int_equal(fv_axes_of(axes, a, 2, NULL), FV_OK);
    assert_true(axes[0] == 1 && axes[1] == 0 && axes[2] == 0 && axes[3] == 1);
    assert_int_equal(fv_axes_of(axis, one, 1, NULL), FV_OK);
    assert_true(axis[0] == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(axes_diagonalise), cmocka_unit_test(two_by_hand), cmocka_unit_test(odd_ones)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
