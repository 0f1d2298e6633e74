/* What every plan must hold: each row once, the budget kept, the bounds true, and equal seeds and
 * epochs giving equal plans without an allocation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/data.h"

/* Rows of lengths between low and high; row i holds the ids i × 10,000, i × 10,000 + 1 … */
static void make_rows(fv_token_rows *rows, size_t n, int low, int high)
{
    fv_rng rng = fv_rng_make(n, "test");
    *rows = (fv_token_rows){.n = n, .offsets = fv_alloc((n + 1) * sizeof(int64_t), NULL)};
    rows->offsets[0] = 0;
    for (size_t i = 0; i < n; i++)
        rows->offsets[i + 1] = rows->offsets[i] + low + (int64_t)fv_rng_below(&rng, (uint64_t)(high - low) + 1);
    rows->ids = fv_alloc((size_t)rows->offsets[n] * sizeof(int32_t), NULL);
    rows->types = fv_alloc((size_t)rows->offsets[n], NULL);
    for (size_t i = 0; i < n; i++) {
        int len = (int)(rows->offsets[i + 1] - rows->offsets[i]);
        if (len > rows->max_len) rows->max_len = len;
        for (int t = 0; t < len; t++) {
            rows->ids[rows->offsets[i] + t] = (int32_t)(i * 10000) + t;
            rows->types[rows->offsets[i] + t] = t >= len / 2;
        }
    }
}

static int64_t len_of(const fv_token_rows *rows, uint32_t row)
{
    return rows->offsets[row + 1] - rows->offsets[row];
}

static void check_sequence(const fv_token_rows *rows, const fv_batch *batch, int b)
{
    uint32_t row = batch->rows[b];
    int32_t begin = batch->offsets[b], len = batch->offsets[b + 1] - begin;
    assert_int_equal(len, len_of(rows, row));
    assert_int_equal(batch->sequences[b], row);
    for (int32_t t = 0; t < len; t++) {
        assert_int_equal(batch->ids[begin + t], (int32_t)row * 10000 + t);
        assert_int_equal(batch->positions[begin + t], t);
        assert_int_equal(batch->types[begin + t], t >= len / 2);
    }
}

/* Walks the present plan. */
static void check_plan(fv_sampler *s)
{
    const fv_token_rows *rows = s->rows;
    char *seen = calloc(rows->n + 1, 1);
    size_t n = 0;
    for (size_t i = 0; i < s->n_batches; i++) {
        fv_batch batch;
        fv_sampler_get(s, i, &batch);
        assert_in_range(batch.B, 1, s->max_B);
        assert_in_range(batch.N, 0, s->max_N);
        assert_true(batch.N <= s->batch_tokens || batch.B == 1);
        assert_int_equal(batch.offsets[0], 0);
        assert_int_equal(batch.offsets[batch.B], batch.N);
        for (int b = 0; b < batch.B; b++) {
            assert_in_range(batch.rows[b], 0, rows->n - 1);
            assert_int_equal(seen[batch.rows[b]]++, 0);
            check_sequence(rows, &batch, b);
            n++;
        }
    }
    assert_int_equal(n, rows->n);
    free(seen);
}

static void every_epoch_holds_each_row_once(void **state)
{
    (void)state;
    static const struct { size_t n; int low, high, budget; } cases[] = {
        {1000, 3, 60, 256}, {1000, 3, 60, 40}, {1000, 3, 60, 1}, {50, 1, 1, 7}, {300, 0, 3, 10}, {1, 5, 5, 3}, {20000, 1, 8, 64}, {10, 2, 9, 100000},
    };
    for (size_t c = 0; c < FV_COUNT(cases); c++) {
        fv_token_rows rows;
        fv_sampler s;
        make_rows(&rows, cases[c].n, cases[c].low, cases[c].high);
        assert_int_equal(fv_sampler_init(&s, &rows, cases[c].budget, 7, NULL), FV_OK);
        check_plan(&s);
        for (int64_t epoch = -1; epoch < 3; epoch++) {
            int64_t allocations = fv_alloc_count();
            fv_sampler_plan(&s, epoch);
            assert_int_equal(fv_alloc_count(), allocations);
            assert_int_equal(s.epoch, epoch);
            check_plan(&s);
        }
        fv_sampler_release(&s);
        fv_token_rows_release(&rows);
    }
}

static bool same_plan(const fv_sampler *a, const fv_sampler *b)
{
    return a->n_batches == b->n_batches && memcmp(a->order, b->order, a->rows->n * sizeof *a->order) == 0 &&
           memcmp(a->starts, b->starts, (a->n_batches + 1) * sizeof *a->starts) == 0;
}

static void plans_depend_on_seed_and_epoch_alone(void **state)
{
    (void)state;
    fv_token_rows rows;
    fv_sampler a, b, c;
    make_rows(&rows, 2000, 3, 40);
    assert_int_equal(fv_sampler_init(&a, &rows, 128, 1, NULL), FV_OK);
    assert_int_equal(fv_sampler_init(&b, &rows, 128, 1, NULL), FV_OK);
    assert_int_equal(fv_sampler_init(&c, &rows, 128, 2, NULL), FV_OK);
    for (int64_t epoch = 0; epoch < 5; epoch++) fv_sampler_plan(&a, epoch); /* whatever was planned before */
    assert_false(same_plan(&a, &b));
    fv_sampler_plan(&b, 4);
    assert_true(same_plan(&a, &b));
    fv_sampler_plan(&c, 4);
    assert_false(same_plan(&a, &c));
    fv_sampler_plan(&a, -1);
    fv_sampler_plan(&c, -1);
    assert_true(same_plan(&a, &c));
    fv_sampler_release(&a);
    fv_sampler_release(&b);
    fv_sampler_release(&c);
    fv_token_rows_release(&rows);
}

static void evaluation_goes_from_long_to_short(void **state)
{
    (void)state;
    fv_token_rows rows;
    fv_sampler s;
    make_rows(&rows, 500, 1, 30);
    assert_int_equal(fv_sampler_init(&s, &rows, 100, 1, NULL), FV_OK);
    fv_sampler_plan(&s, -1);
    for (size_t i = 1; i < rows.n; i++) {
        int64_t before = len_of(&rows, s.order[i - 1]), now = len_of(&rows, s.order[i]);
        assert_true(before > now || (before == now && s.order[i - 1] < s.order[i]));
    }
    fv_sampler_release(&s);
    fv_token_rows_release(&rows);
}

/* Sorting within windows is there to fill batches: of 5 … 60 tokens into 512 it wastes little. */
static void batches_are_full_and_alike(void **state)
{
    (void)state;
    fv_token_rows rows;
    fv_sampler s;
    make_rows(&rows, 20000, 5, 60);
    assert_int_equal(fv_sampler_init(&s, &rows, 512, 1, NULL), FV_OK);
    double filled = (double)rows.offsets[rows.n] / ((double)s.n_batches * 512);
    if (filled < 0.94) fail_msg("batches are %.3f full", filled);
    int64_t spread = 0;
    for (size_t i = 0; i < s.n_batches; i++)
        spread += len_of(&rows, s.order[s.starts[i + 1] - 1]) - len_of(&rows, s.order[s.starts[i]]);
    assert_true((double)spread / (double)s.n_batches < 4);
    fv_sampler_release(&s);
    fv_token_rows_release(&rows);
}

/* The bounds are reached where they can be, not only kept. */
static void bounds_are_tight(void **state)
{
    (void)state;
    fv_token_rows rows;
    fv_sampler s;
    make_rows(&rows, 100, 4, 4);
    assert_int_equal(fv_sampler_init(&s, &rows, 42, 1, NULL), FV_OK);
    assert_int_equal(s.max_B, 10);
    assert_int_equal(s.max_N, 42);
    fv_sampler_release(&s);
    assert_int_equal(fv_sampler_init(&s, &rows, 3, 1, NULL), FV_OK);
    assert_int_equal(s.max_B, 1);
    assert_int_equal(s.max_N, 4);
    fv_sampler_release(&s);
    assert_int_equal(fv_sampler_init(&s, &rows, 1 << 30, 1, NULL), FV_OK);
    assert_int_equal(s.max_B, 100);
    assert_int_equal(s.max_N, 400);
    assert_int_equal(s.n_batches, 1);
    fv_sampler_release(&s);
    fv_token_rows_release(&rows);
}

/* Written down once: a plan that changes would break the resuming of runs started before. */
static void a_plan_stays_what_it_was(void **state)
{
    (void)state;
    fv_token_rows rows;
    fv_sampler s;
    make_rows(&rows, 10000, 3, 50);
    assert_int_equal(fv_sampler_init(&s, &rows, 256, 42, NULL), FV_OK);
    fv_sampler_plan(&s, 3);
    uint64_t hash = fv_hash64(s.order, rows.n * sizeof *s.order, fv_hash64(s.starts, (s.n_batches + 1) * sizeof *s.starts, 0));
    assert_int_equal(hash, 0x1e12d9702d6349d3u);
    fv_sampler_release(&s);
    fv_token_rows_release(&rows);
}

static void errors(void **state)
{
    (void)state;
    fv_token_rows rows;
    fv_sampler s;
    fv_err err = {0};
    make_rows(&rows, 5, 1, 3);
    assert_int_equal(fv_sampler_init(&s, &rows, 0, 1, &err), FV_E_ARGUMENT);
    assert_string_equal(err.text, "batches of 0 tokens make no sense; expected at least 1");
    int64_t live = fv_alloc_live();
    fv_status status = FV_E_MEMORY;
    for (int n = 0; status != FV_OK; n++) {
        fv_alloc_fail_after(n);
        status = fv_sampler_init(&s, &rows, 4, 1, &err);
        fv_alloc_fail_after(-1);
        assert_true(status == FV_OK || (status == FV_E_MEMORY && fv_alloc_live() == live));
    }
    fv_sampler_release(&s);
    assert_int_equal(fv_alloc_live(), live);
    fv_token_rows_release(&rows);
    make_rows(&rows, 0, 1, 3);
    assert_int_equal(fv_sampler_init(&s, &rows, 4, 1, &err), FV_OK);
    assert_int_equal(s.n_batches, 0);
    fv_sampler_plan(&s, -1);
    assert_int_equal(s.n_batches, 0);
    fv_sampler_release(&s);
    fv_token_rows_release(&rows);
}

/* Rows that are cut anew may be longer or shorter: the room that was planned must do. */
static void rows_that_change_stay_within_the_bounds(void **state)
{
    (void)state;
    fv_token_rows rows, longer, shorter;
    fv_sampler s;
    make_rows(&rows, 60, 4, 9);
    make_rows(&longer, 60, 9, 12);
    make_rows(&shorter, 60, 1, 2);
    assert_int_equal(fv_sampler_init(&s, &rows, 50, 3, NULL), FV_OK);
    int32_t B = s.max_B, N = s.max_N;
    for (int i = 0; i < 2; i++) {
        s.rows = i ? &longer : &shorter;
        for (int64_t epoch = -1; epoch < 3; epoch++) {
            fv_sampler_plan(&s, epoch);
            check_plan(&s);
            for (size_t b = 0; b < s.n_batches; b++) {
                fv_batch batch;
                fv_sampler_get(&s, b, &batch);
                assert_true(batch.B <= B && batch.N <= N);
            }
        }
    }
    fv_sampler_release(&s);
    fv_token_rows_release(&rows);
    fv_token_rows_release(&longer);
    fv_token_rows_release(&shorter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_epoch_holds_each_row_once),
        cmocka_unit_test(plans_depend_on_seed_and_epoch_alone),
        cmocka_unit_test(evaluation_goes_from_long_to_short),
        cmocka_unit_test(batches_are_full_and_alike),
        cmocka_unit_test(bounds_are_tight),
        cmocka_unit_test(a_plan_stays_what_it_was),
        cmocka_unit_test(errors),
        cmocka_unit_test(rows_that_change_stay_within_the_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
