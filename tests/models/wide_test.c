/* The wide part: which n-grams are chosen, what a row weighs, and the file and back. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "formats/scratch.h"
#include "models/wide.h"

/* Three texts: 7 is in all, 9 in two (twice in one), 5 and 1 in one. */
static fv_wide chosen(int64_t most)
{
    uint64_t a[] = {9, 7, 9}, b[] = {7, 9, 5}, c[] = {1, 7};
    fv_wide_counts counts = {0};
    fv_wide wide = {0};
    assert_int_equal(fv_wide_count(&counts, a, 3, NULL), FV_OK);
    assert_int_equal(fv_wide_count(&counts, b, 3, NULL), FV_OK);
    assert_int_equal(fv_wide_count(&counts, c, 2, NULL), FV_OK);
    assert_int_equal(fv_wide_choose(&wide, &counts, most, NULL), FV_OK);
    fv_wide_counts_release(&counts);
    return wide;
}

static void ngrams_of_two_texts_are_chosen(void **state)
{
    (void)state;
    fv_wide w = chosen(100);
    assert_int_equal(w.n, 2);
    assert_int_equal(w.hashes[0], 7);
    assert_int_equal(w.hashes[1], 9);
    assert_float_equal(w.idf[0], log(4.0 / 4) + 1, 1e-6);
    assert_float_equal(w.idf[1], log(4.0 / 3) + 1, 1e-6);
    fv_wide_release(&w);
}

static void the_commonest_come_first(void **state)
{
    (void)state;
    fv_wide w = chosen(1);
    assert_int_equal(w.n, 1);
    assert_int_equal(w.hashes[0], 7);
    fv_wide_release(&w);
}

static void rows_have_length_one(void **state)
{
    (void)state;
    fv_wide w = chosen(100);
    fv_feature_rows rows = {0};
    uint64_t text[] = {9, 3, 7, 9}, unknown[] = {3, 4};
    assert_int_equal(fv_feature_rows_init(&rows, 2, NULL), FV_OK);
    assert_int_equal(fv_wide_add_row(&w, &rows, text, 4, NULL), FV_OK);
    assert_int_equal(fv_wide_add_row(&w, &rows, unknown, 2, NULL), FV_OK);
    assert_int_equal(rows.n, 2);
    assert_int_equal(rows.offsets[1], 2);
    assert_int_equal(rows.offsets[2], 2);
    assert_int_equal(rows.ids[0], 0);
    assert_int_equal(rows.ids[1], 1);
    double seven = (double)w.idf[0], nine = (1 + log(2)) * (double)w.idf[1], length = sqrt(seven * seven + nine * nine);
    assert_float_equal(rows.values[0], seven / length, 1e-6);
    assert_float_equal(rows.values[1], nine / length, 1e-6);
    fv_feature_rows_release(&rows);
    fv_wide_release(&w);
}

/* Words and pieces of words, told apart by the last bit of the hash, are scaled each to length 1. */
static void pieces_do_not_drown_words(void **state)
{
    (void)state;
    uint64_t a[] = {8, 7, 9, 11}, b[] = {8, 7, 9, 11};
    fv_wide_counts counts = {0};
    fv_wide w = {0};
    fv_feature_rows rows = {0};
    assert_int_equal(fv_wide_count(&counts, a, 4, NULL), FV_OK);
    assert_int_equal(fv_wide_count(&counts, b, 4, NULL), FV_OK);
    assert_int_equal(fv_wide_choose(&w, &counts, 100, NULL), FV_OK);
    assert_int_equal(fv_feature_rows_init(&rows, 1, NULL), FV_OK);
    assert_int_equal(fv_wide_add_row(&w, &rows, a, 4, NULL), FV_OK);
    assert_int_equal(w.hashes[1], 8);
    assert_float_equal(rows.values[1], 1, 1e-6);
    for (int i = 0; i < 4; i++)
        if (i != 1) assert_float_equal(rows.values[i], 1 / sqrt(3), 1e-6);
    fv_wide_counts_release(&counts);
    fv_feature_rows_release(&rows);
    fv_wide_release(&w);
}

static void save(fv_wide *w, const char *path)
{
    w->outputs = 3;
    w->owned = true;
    w->weight = fv_alloc(6 * sizeof *w->weight, NULL);
    for (int i = 0; i < 6; i++) w->weight[i] = (float)i;
    assert_int_equal(fv_wide_save(w, path, NULL), FV_OK);
}

static void a_file_brings_back_what_was_saved(void **state)
{
    (void)state;
    const char *path = scratch_path("wide.safetensors");
    fv_wide w = chosen(100), back = {0};
    fv_safetensors file = {0};
    fv_err err = {0};
    save(&w, path);
    assert_int_equal(fv_safetensors_open(&file, path, &err), FV_OK);
    assert_int_equal(fv_wide_load(&back, &file, 3, &err), FV_OK);
    assert_int_equal(back.n, 2);
    assert_memory_equal(back.hashes, w.hashes, 2 * sizeof *w.hashes);
    assert_memory_equal(back.idf, w.idf, 2 * sizeof *w.idf);
    assert_memory_equal(back.weight, w.weight, 6 * sizeof(float));
    fv_wide_release(&back);
    assert_int_equal(fv_wide_load(&back, &file, 4, &err), FV_E_FORMAT);
    assert_non_null(strstr(err.text, "weight"));
    fv_wide_release(&back);
    fv_safetensors_close(&file);
    fv_wide_release(&w);
}

static void hashes_out_of_order_are_refused(void **state)
{
    (void)state;
    const char *path = scratch_path("wide.safetensors");
    fv_wide w = chosen(100), back = {0};
    fv_safetensors file = {0};
    fv_err err = {0};
    w.hashes[0] = 9;
    save(&w, path);
    assert_int_equal(fv_safetensors_open(&file, path, &err), FV_OK);
    assert_int_equal(fv_wide_load(&back, &file, 3, &err), FV_E_FORMAT);
    assert_non_null(strstr(err.text, "ascend"));
    fv_wide_release(&back);
    fv_safetensors_close(&file);
    fv_wide_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ngrams_of_two_texts_are_chosen),
        cmocka_unit_test(the_commonest_come_first),
        cmocka_unit_test(rows_have_length_one),
        cmocka_unit_test(pieces_do_not_drown_words),
        cmocka_unit_test(a_file_brings_back_what_was_saved),
        cmocka_unit_test(hashes_out_of_order_are_refused),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
