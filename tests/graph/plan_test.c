/* The layout of memory: buffers that live at the same time never share a byte, and a layout is kept
 * only while it serves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "graph/plan.h"

static void add(fv_plan *plan, size_t bytes, int birth, int death)
{
    assert_true(fv_plan_add(plan, bytes, birth, death, NULL) == (int)plan->n - 1);
}

static bool meet(const fv_plan_item *a, const fv_plan_item *b)
{
    bool in_time = a->birth <= b->death && b->birth <= a->death;
    bool in_bytes = a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
    return in_time && in_bytes;
}

static void check(const fv_plan *plan)
{
    for (size_t i = 0; i < plan->n; i++) {
        const fv_plan_item *a = &plan->items[i];
        if (!a->bytes) continue;
        assert_int_equal(a->offset % 64, 0);
        assert_true(a->offset + a->bytes <= plan->bytes);
        for (size_t j = 0; j < i; j++)
            if (meet(a, &plan->items[j])) fail_msg("items %zu and %zu share bytes", j, i);
    }
}

/* The most bytes alive at one time: no layout needs less. */
static size_t lower_bound(const fv_plan *plan, int times)
{
    size_t most = 0;
    for (int time = 0; time < times; time++) {
        size_t alive = 0;
        for (size_t i = 0; i < plan->n; i++)
            if (plan->items[i].birth <= time && plan->items[i].death >= time) alive += plan->items[i].bytes;
        if (alive > most) most = alive;
    }
    return most;
}

static void lives_that_meet_share_nothing(void **state)
{
    (void)state;
    fv_rng rng = fv_rng_make(1, "plans");
    for (int round = 0; round < 300; round++) {
        fv_plan plan = {0};
        int n = (int)fv_rng_below(&rng, 60) + 1, times = (int)fv_rng_below(&rng, 40) + 1;
        size_t sum = 0;
        for (int i = 0; i < n; i++) {
            int birth = (int)fv_rng_below(&rng, (uint64_t)times);
            add(&plan, fv_rng_below(&rng, 5000), birth, birth + (int)fv_rng_below(&rng, (uint64_t)(times - birth)));
            sum += plan.items[i].bytes;
        }
        assert_int_equal(fv_plan_lay_out(&plan, NULL), FV_OK);
        check(&plan);
        assert_in_range(plan.bytes, lower_bound(&plan, times), sum);
        fv_plan_release(&plan);
    }
}

static void the_dead_make_room(void **state)
{
    (void)state;
    fv_plan plan = {0};
    for (int i = 0; i < 100; i++) add(&plan, 1000, i, i + 1); /* a chain: two alive at a time */
    assert_int_equal(fv_plan_lay_out(&plan, NULL), FV_OK);
    check(&plan);
    assert_true(plan.bytes == 2 * plan.items[0].bytes);
    fv_plan_release(&plan);
}

static void the_smallest_gap_is_taken(void **state)
{
    (void)state;
    fv_plan plan = {0};
    size_t sizes[] = {640, 64, 128, 64};
    for (int i = 0; i < 4; i++) add(&plan, sizes[i], 0, i % 2 ? 9 : 1); /* gaps of 640 and 128 from time 2 */
    add(&plan, 128, 2, 9);
    assert_int_equal(fv_plan_lay_out(&plan, NULL), FV_OK);
    check(&plan);
    assert_int_equal(plan.items[4].offset, plan.items[2].offset);
    fv_plan_release(&plan);
}

static void nothing_needs_nothing(void **state)
{
    (void)state;
    fv_plan plan = {0};
    assert_int_equal(fv_plan_lay_out(&plan, NULL), FV_OK);
    assert_int_equal(plan.bytes, 0);
    fv_plan_release(&plan);
}

/* ---- Reuse ---- */

static void make(fv_plan *plan, size_t first, size_t second, int death)
{
    plan->n = 0;
    add(plan, first, 0, death);
    add(plan, second, 1, death);
}

static void a_layout_serves_what_is_no_larger(void **state)
{
    (void)state;
    fv_plan old = {0}, now = {0};
    make(&old, 1000, 2000, 5);
    assert_int_equal(fv_plan_lay_out(&old, NULL), FV_OK);
    make(&now, 500, 2000, 5);
    assert_true(fv_plan_reuse(&now, &old));
    assert_int_equal(now.items[1].offset, old.items[1].offset);
    assert_int_equal(now.bytes, old.bytes);
    check(&now);
    make(&now, 1000, 2100, 5);
    assert_false(fv_plan_reuse(&now, &old)); /* larger */
    make(&now, 1000, 2000, 4);
    assert_false(fv_plan_reuse(&now, &old)); /* another life */
    make(&now, 1000, 2000, 5);
    add(&now, 1, 0, 1);
    assert_false(fv_plan_reuse(&now, &old)); /* one more */
    fv_plan_release(&old);
    fv_plan_release(&now);
}

static void lack_of_memory_is_told(void **state)
{
    (void)state;
    fv_plan plan = {0};
    fv_err err = {0};
    fv_alloc_fail_after(0);
    assert_int_equal(fv_plan_add(&plan, 10, 0, 1, &err), -1);
    assert_int_equal(err.status, FV_E_MEMORY);
    add(&plan, 10, 0, 1);
    fv_alloc_fail_after(0);
    assert_int_equal(fv_plan_lay_out(&plan, &err), FV_E_MEMORY);
    fv_alloc_fail_after(-1);
    fv_plan_release(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lives_that_meet_share_nothing),
        cmocka_unit_test(the_dead_make_room),
        cmocka_unit_test(the_smallest_gap_is_taken),
        cmocka_unit_test(nothing_needs_nothing),
        cmocka_unit_test(a_layout_serves_what_is_no_larger),
        cmocka_unit_test(lack_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
