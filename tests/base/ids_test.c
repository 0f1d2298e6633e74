/* The table of keys against a plain array, while keys come and go at random: few enough that they collide all the time. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/ids.h"
#include "base/rng.h"

enum { KEYS = 300, STEPS = 60000 };

typedef struct entry { uint32_t other; uint64_t key; } entry; /* keys need not stand first */

static uint64_t key_of(uint32_t k) { return k % 3 ? k : (uint64_t)k << 40; }

static void comes_and_goes(void **state)
{
    (void)state;
    fv_ids ids = {0};
    static entry entries[KEYS];
    bool there[KEYS] = {false};
    fv_rng rng = fv_rng_make(1, "ids");
    ids.keys = &entries[0].key;
    ids.stride = sizeof *entries;
    assert_int_equal(fv_ids_get(&ids, 5), FV_NO_ID);
    for (int step = 0; step < STEPS; step++) {
        uint32_t k = (uint32_t)fv_rng_below(&rng, KEYS);
        if (there[k]) fv_ids_remove(&ids, key_of(k));
        else {
            assert_int_equal(fv_ids_reserve(&ids, 1, NULL), FV_OK);
            entries[k].key = key_of(k);
            fv_ids_put(&ids, key_of(k), k);
        }
        there[k] = !there[k];
        if (step % 97) continue;
        size_t n = 0;
        for (uint32_t i = 0; i < KEYS; i++) {
            assert_int_equal(fv_ids_get(&ids, key_of(i)), there[i] ? i : FV_NO_ID);
            n += there[i];
        }
        assert_int_equal(ids.n, n);
    }
    assert_true(ids.n_slots <= 512);
    fv_ids_release(&ids);
}

static void no_memory(void **state)
{
    (void)state;
    fv_ids ids = {0};
    fv_err err;
    fv_alloc_fail_after(0);
    assert_int_equal(fv_ids_reserve(&ids, 1, &err), FV_E_MEMORY);
    assert_int_equal(fv_ids_reserve(&ids, 1, &err), FV_OK);
    fv_ids_release(&ids);
    assert_int_equal(fv_alloc_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(comes_and_goes), cmocka_unit_test(no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
