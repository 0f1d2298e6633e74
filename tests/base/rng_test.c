/* Chance: the same again, uniform, normal, unbiased, and streams that know nothing of each other.
 * Seeds are fixed, so each statistic is one number; bounds are several deviations wide. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"

/* The numbers written here are a promise: trainings of other versions must draw the same. */
static void numbers_stay_the_same(void **state)
{
    (void)state;
    fv_rng zero = {0};
    assert_true(fv_rng_next(&zero) == 0);
    assert_true(fv_rng_next(&zero) == 0xe220a8397b1dcdafu); /* the first of splitmix64 from seed 0 */
    assert_true(fv_rng_next(&zero) == 0x6e789e6aa1b965f4u);
    assert_true(fv_rng_next(&zero) == 0x06c45d188009454fu);
    fv_rng named = fv_rng_make(42, "dropout");
    assert_true(named.key == 0x0b0472bac2119ed1u);
    assert_true(fv_rng_fork(&named, 7).key == 0x615c5ff3374d5c5fu);
}

static void a_copy_draws_the_same(void **state)
{
    (void)state;
    fv_rng a = fv_rng_make(1, "x");
    for (int i = 0; i < 10; i++) fv_rng_next(&a);
    fv_rng b = a;
    for (int i = 0; i < 100; i++) assert_true(fv_rng_next(&a) == fv_rng_next(&b));
}

static void forks_do_not_depend_on_what_was_drawn(void **state)
{
    (void)state;
    fv_rng a = fv_rng_make(1, "x");
    uint64_t before = fv_rng_fork(&a, 3).key;
    fv_rng_next(&a);
    assert_true(fv_rng_fork(&a, 3).key == before);
    assert_true(fv_rng_fork(&a, 4).key != before);
}

static void uniform_has_the_moments_of_uniform(void **state)
{
    (void)state;
    enum { N = 400000 };
    double sum = 0, squares = 0, cubes = 0, low = 1, high = 0;
    fv_rng rng = fv_rng_make(2, "uniform");
    for (int i = 0; i < N; i++) {
        double u = fv_rng_uniform(&rng);
        assert_true(u >= 0 && u < 1);
        sum += u, squares += u * u, cubes += u * u * u;
        low = fmin(low, u), high = fmax(high, u);
    }
    assert_true(fabs(sum / N - 1.0 / 2) < 0.002);
    assert_true(fabs(squares / N - 1.0 / 3) < 0.002);
    assert_true(fabs(cubes / N - 1.0 / 4) < 0.002);
    assert_true(low < 1e-4 && high > 1 - 1e-4);
}

/* Sum of (seen - expected)^2 / expected: about `cells` - 1, deviation sqrt(2 cells). */
static double chi_square(const int64_t *seen, int cells, double expected)
{
    double sum = 0;
    for (int i = 0; i < cells; i++) sum += ((double)seen[i] - expected) * ((double)seen[i] - expected) / expected;
    return sum;
}

static void below_is_even(void **state)
{
    (void)state;
    static const int sizes[] = {2, 3, 7, 100, 641};
    for (size_t k = 0; k < FV_COUNT(sizes); k++) {
        int64_t seen[641] = {0};
        int n = sizes[k];
        fv_rng rng = fv_rng_make(3, "below");
        for (int i = 0; i < 200 * n; i++) seen[fv_rng_below(&rng, (uint64_t)n)]++;
        assert_true(chi_square(seen, n, 200) < n + 5 * sqrt(2 * n));
    }
    fv_rng rng = {0};
    assert_true(fv_rng_below(&rng, 1) == 0);
}

/* For n = 3 * 2^62 a plain product would draw every third number twice as often as the others. */
static void below_is_even_for_huge_n_too(void **state)
{
    (void)state;
    uint64_t n = (uint64_t)3 << 62;
    int64_t seen[3] = {0};
    fv_rng rng = fv_rng_make(4, "huge");
    for (int i = 0; i < 30000; i++) {
        uint64_t x = fv_rng_below(&rng, n);
        assert_true(x < n);
        seen[x % 3]++;
    }
    assert_true(chi_square(seen, 3, 10000) < 15);
}

static void bits_are_even_and_pairs_independent(void **state)
{
    (void)state;
    enum { N = 100000 };
    int ones[64] = {0}, same[64] = {0};
    fv_rng rng = fv_rng_make(5, "bits");
    for (int i = 0; i < N; i++) {
        uint64_t x = fv_rng_next(&rng), next = x ^ (x >> 1 | x << 63);
        for (int b = 0; b < 64; b++) ones[b] += x >> b & 1, same[b] += next >> b & 1;
    }
    for (int b = 0; b < 64; b++) {
        assert_true(abs(ones[b] - N / 2) < 5 * sqrt(N) / 2);
        assert_true(abs(same[b] - N / 2) < 5 * sqrt(N) / 2);
    }
}

static void normal_has_the_moments_of_normal(void **state)
{
    (void)state;
    enum { N = 400000 };
    double moments[4] = {0};
    fv_rng rng = fv_rng_make(6, "normal");
    for (int i = 0; i < N; i++) {
        double x = fv_rng_normal(&rng), power = 1;
        assert_true(isfinite(x));
        for (int k = 0; k < 4; k++) moments[k] += (power *= x) / N;
    }
    assert_true(fabs(moments[0]) < 0.01);
    assert_true(fabs(moments[1] - 1) < 0.01);
    assert_true(fabs(moments[2]) < 0.03);
    assert_true(fabs(moments[3] - 3) < 0.08);
}

static void every_order_is_as_likely(void **state)
{
    (void)state;
    int64_t seen[256] = {0}, orders[24];
    fv_rng rng = fv_rng_make(7, "shuffle");
    for (int i = 0; i < 24000; i++) {
        uint32_t x[4] = {0, 1, 2, 3};
        fv_rng_shuffle(&rng, x, 4);
        seen[x[0] << 6 | x[1] << 4 | x[2] << 2 | x[3]]++;
    }
    int n = 0;
    for (int i = 0; i < 256; i++)
        if (seen[i]) assert_true(n < 24), orders[n++] = seen[i];
    assert_int_equal(n, 24);
    assert_true(chi_square(orders, 24, 1000) < 24 + 5 * sqrt(48));
}

static void shuffle_keeps_all_items(void **state)
{
    (void)state;
    uint32_t items[1000];
    bool met[1000] = {0};
    for (uint32_t i = 0; i < 1000; i++) items[i] = i;
    fv_rng rng = fv_rng_make(8, "shuffle");
    fv_rng_shuffle(&rng, items, 1000);
    for (int i = 0; i < 1000; i++) assert_false(met[items[i]]), met[items[i]] = true;
    fv_rng_shuffle(&rng, NULL, 0);
    fv_rng_shuffle(&rng, items, 1);
}

/* Correlation of two streams over n draws: mean 0, deviation 1 / sqrt(n). */
static double correlation(fv_rng a, fv_rng b, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += (fv_rng_uniform(&a) - 0.5) * (fv_rng_uniform(&b) - 0.5) * 12;
    return sum / n;
}

static void streams_are_independent(void **state)
{
    (void)state;
    enum { N = 20000 };
    double bound = 5 / sqrt(N);
    fv_rng a = fv_rng_make(9, "a"), b = fv_rng_make(9, "b"), c = fv_rng_make(10, "a");
    assert_true(fabs(correlation(a, b, N)) < bound);
    assert_true(fabs(correlation(a, c, N)) < bound);
    for (uint64_t i = 0; i < 20; i++) {
        fv_rng fork = fv_rng_fork(&a, i);
        assert_true(fabs(correlation(a, fork, N)) < bound);
        assert_true(fabs(correlation(fv_rng_fork(&a, i + 1), fork, N)) < bound);
        assert_true(fabs(correlation(fv_rng_fork(&fork, i), fork, N)) < bound);
    }
}

/* The first numbers of neighbouring forks must look like one good stream too: dropout uses them so. */
static void first_numbers_of_forks_are_even(void **state)
{
    (void)state;
    int64_t seen[64] = {0};
    fv_rng parent = fv_rng_make(11, "parent");
    for (uint64_t i = 0; i < 64000; i++) {
        fv_rng fork = fv_rng_fork(&parent, i);
        seen[fv_rng_next(&fork) >> 58]++;
    }
    assert_true(chi_square(seen, 64, 1000) < 64 + 5 * sqrt(128));
}

static void mix_spreads_single_bits(void **state)
{
    (void)state;
    for (int bit = 0; bit < 64; bit++) {
        double flips_a = 0, flips_b = 0;
        for (uint64_t i = 0; i < 200; i++) {
            uint64_t a = i * 0x123456789abcdef1u, b = i * i;
            flips_a += __builtin_popcountll(fv_mix(a, b) ^ fv_mix(a ^ (uint64_t)1 << bit, b));
            flips_b += __builtin_popcountll(fv_mix(a, b) ^ fv_mix(a, b ^ (uint64_t)1 << bit));
        }
        assert_true(fabs(flips_a / 200 - 32) < 3);
        assert_true(fabs(flips_b / 200 - 32) < 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_stay_the_same),
        cmocka_unit_test(a_copy_draws_the_same),
        cmocka_unit_test(forks_do_not_depend_on_what_was_drawn),
        cmocka_unit_test(uniform_has_the_moments_of_uniform),
        cmocka_unit_test(below_is_even),
        cmocka_unit_test(below_is_even_for_huge_n_too),
        cmocka_unit_test(bits_are_even_and_pairs_independent),
        cmocka_unit_test(normal_has_the_moments_of_normal),
        cmocka_unit_test(every_order_is_as_likely),
        cmocka_unit_test(shuffle_keeps_all_items),
        cmocka_unit_test(streams_are_independent),
        cmocka_unit_test(first_numbers_of_forks_are_even),
        cmocka_unit_test(mix_spreads_single_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
