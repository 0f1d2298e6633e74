/* A batch of pairs taken apart: what the encoder reads, what the decoder reads one place later, and what it is to foretell. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "data/data.h"

static void equal(const int32_t *found, const int32_t *expected, size_t n) { assert_memory_equal(found, expected, n * sizeof *found); }

/* Two rows: 11 12 13 | 21 22 and 14 | 23 24 25. */
static const int32_t ids[] = {11, 12, 13, 21, 22, 14, 23, 24, 25}, types[] = {0, 0, 0, 1, 1, 0, 1, 1, 1}, offsets[] = {0, 5, 9};
static const uint64_t sequences[] = {8, 3};
static const uint32_t rows[] = {8, 3};
static const fv_batch batch = {.B = 2, .N = 9, .ids = ids, .types = types, .positions = types, .offsets = offsets, .sequences = sequences, .rows = rows};

static void the_target_is_moved_on_by_one(void **state)
{
    (void)state;
    fv_pair_batch p;
    assert_int_equal(fv_pair_batch_init(&p, 2, 9, 99, NULL), FV_OK);
    for (int again = 0; again < 2; again++) { /* the second time over what the first left */
        fv_pair_batch_split(&p, &batch);
        assert_int_equal(p.source.N, 4);
        assert_int_equal(p.target.N, 5);
        equal(p.source.ids, (const int32_t[]){11, 12, 13, 14}, 4);
        equal(p.source.positions, (const int32_t[]){0, 1, 2, 0}, 4);
        equal(p.source.offsets, (const int32_t[]){0, 3, 4}, 3);
        equal(p.target.ids, (const int32_t[]){99, 21, 99, 23, 24}, 5);
        equal(p.targets, (const int32_t[]){21, 22, 23, 24, 25}, 5);
        equal(p.target.positions, (const int32_t[]){0, 1, 0, 1, 2}, 5);
        equal(p.target.offsets, (const int32_t[]){0, 2, 5}, 3);
        equal(p.target.types, (const int32_t[]){0, 0, 0, 0, 0}, 5);
        assert_true(p.source.sequences == sequences && p.target.rows == rows && p.target.B == 2);
    }
    fv_pair_batch_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_target_is_moved_on_by_one)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
