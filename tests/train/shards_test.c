/* Gradient accumulation: the sum is that of a balanced tree, bit for bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "train/shards.h"

enum { MOST_SHARDS = 16, MOST_PARAMS = 10000 };

static float grads[MOST_SHARDS][MOST_PARAMS];

/* Of very different sizes, so that another order of adding gives other bits. */
static void make_grads(void)
{
    fv_rng rng = fv_rng_make(7, "shards");
    for (int s = 0; s < MOST_SHARDS; s++)
        for (int i = 0; i < MOST_PARAMS; i++) {
            float scale = (float)(1u << fv_rng_below(&rng, 20));
            grads[s][i] = scale * (float)(fv_rng_uniform(&rng) - 0.5);
        }
}

/* The definition: a tree over shards first .. first + n. */
static float tree_sum(int param, int first, int n)
{
    if (n == 1) return grads[first][param];
    float older = tree_sum(param, first, n / 2), newer = tree_sum(param, first + n / 2, n / 2);
    return older + newer;
}

static void push_all(fv_shards *sum, fv_pool *pool)
{
    for (int s = 0; s < sum->shards; s++) {
        float *slot = fv_shards_slot(sum);
        assert_ptr_equal(slot, fv_shards_slot(sum));
        memcpy(slot, grads[s], (size_t)sum->n_params * sizeof *slot);
        fv_shards_push(sum, pool);
    }
}

static void assert_tree(const fv_shards *sum, const float *total)
{
    for (int i = 0; i < sum->n_params; i++) {
        float expected = tree_sum(i, 0, sum->shards);
        assert_memory_equal(&total[i], &expected, sizeof expected);
    }
}

static void the_sum_is_the_balanced_tree(void **state)
{
    (void)state;
    const int64_t sizes[] = {1, 100, 4096, MOST_PARAMS};
    make_grads();
    for (int shards = 1; shards <= MOST_SHARDS; shards *= 2)
        for (size_t i = 0; i < FV_COUNT(sizes); i++) {
            fv_shards sum;
            assert_int_equal(fv_shards_init(&sum, sizes[i], shards, NULL), FV_OK);
            push_all(&sum, NULL);
            assert_tree(&sum, fv_shards_sum(&sum));
            push_all(&sum, NULL); /* the next step */
            assert_tree(&sum, fv_shards_sum(&sum));
            fv_shards_release(&sum);
        }
}

/* The test above proves something only if the order can be told from the bits. */
static void another_order_gives_other_bits(void **state)
{
    (void)state;
    int different = 0;
    make_grads();
    for (int i = 0; i < MOST_PARAMS; i++) {
        float in_a_row = 0, tree = tree_sum(i, 0, 8);
        for (int s = 0; s < 8; s++) in_a_row += grads[s][i];
        different += in_a_row != tree;
    }
    assert_true(different > 100);
}

static void threads_change_nothing(void **state)
{
    (void)state;
    fv_shards sum;
    fv_pool *pool = fv_pool_new(4, NULL);
    assert_non_null(pool);
    make_grads();
    assert_int_equal(fv_shards_init(&sum, MOST_PARAMS, 8, NULL), FV_OK);
    push_all(&sum, pool);
    assert_tree(&sum, fv_shards_sum(&sum));
    fv_shards_release(&sum);
    fv_pool_free(pool);
}

static int count_buffers(const fv_shards *sum)
{
    int n = 0;
    for (int i = 0; i < FV_SHARDS_MAX_LEVELS; i++) n += sum->buffers[i] != NULL;
    return n;
}

static void few_buffers(void **state)
{
    (void)state;
    const struct { int shards, buffers; } cases[] = {{1, 1}, {2, 2}, {4, 3}, {8, 4}, {1024, 11}, {1 << 30, 31}};
    for (size_t i = 0; i < FV_COUNT(cases); i++) {
        fv_shards sum;
        assert_int_equal(fv_shards_init(&sum, 3, cases[i].shards, NULL), FV_OK);
        assert_int_equal(count_buffers(&sum), cases[i].buffers);
        fv_shards_release(&sum);
    }
}

static void only_powers_of_two(void **state)
{
    (void)state;
    const int bad[] = {0, -1, 3, 6, 12, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < FV_COUNT(bad); i++) {
        fv_shards sum;
        fv_err err = {0};
        assert_int_equal(fv_shards_init(&sum, 3, bad[i], &err), FV_E_ARGUMENT);
        assert_non_null(strstr(err.text, "expected a power of two"));
        fv_shards_release(&sum);
    }
}

static void full_heap(void **state)
{
    (void)state;
    int64_t live = fv_alloc_live();
    for (int n = 0; n < 4; n++) {
        fv_shards sum;
        fv_alloc_fail_after(n);
        assert_int_equal(fv_shards_init(&sum, 100, 8, NULL), FV_E_MEMORY);
        fv_alloc_fail_after(-1);
        assert_int_equal(fv_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sum_is_the_balanced_tree),
        cmocka_unit_test(another_order_gives_other_bits),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(few_buffers),
        cmocka_unit_test(only_powers_of_two),
        cmocka_unit_test(full_heap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
