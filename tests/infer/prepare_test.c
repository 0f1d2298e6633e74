/* Texts to rows: what is cut where, and what is counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "infer/infer.h"

enum { CLS = 1, SEP = 2, MOST = 64 };

static int32_t ids[MOST];
static uint32_t begins[MOST], ends[MOST];
static uint8_t types[MOST];

static void put(fv_encoding *e, int32_t id, uint32_t begin, uint32_t end, uint8_t type)
{
    ids[e->n] = id;
    begins[e->n] = begin;
    ends[e->n] = end;
    types[e->n++] = type;
}

/* [CLS] a tokens [SEP] (b tokens [SEP]): ids 100… and 200…, one byte each. */
static fv_encoding made(int a, int b)
{
    fv_encoding e = {.ids = ids, .begins = begins, .ends = ends, .types = types, .capacity = MOST};
    put(&e, CLS, 0, 0, 0);
    for (int i = 0; i < a; i++) put(&e, 100 + i, (uint32_t)i, (uint32_t)i + 1, 0);
    put(&e, SEP, (uint32_t)a, (uint32_t)a, 0);
    for (int i = 0; i < b; i++) put(&e, 200 + i, (uint32_t)i, (uint32_t)i + 1, 1);
    if (b) put(&e, SEP, (uint32_t)b, (uint32_t)b, 1);
    return e;
}

/* Cut to max_len, `left` of the first and `right` of the second text remain, from their beginnings. */
static void expect_cut(int a, int b, int max_len, int left, int right)
{
    fv_encoding e = made(a, b);
    bool cut = fv_prepare_cut(&e, max_len);
    assert_true(cut == (a + b + 2 + (b > 0) > max_len));
    size_t at = 0;
    assert_int_equal(e.ids[at++], CLS);
    for (int i = 0; i < left; i++) assert_int_equal(e.ids[at++], 100 + i);
    assert_int_equal(e.ids[at++], SEP);
    for (int i = 0; i < right; i++, at++) {
        assert_int_equal(e.ids[at], 200 + i);
        assert_int_equal(e.types[at], 1);
        assert_int_equal(e.ends[at], i + 1);
    }
    if (b) assert_int_equal(e.ids[at++], SEP);
    assert_int_equal(e.n, at);
    assert_true(e.n <= (size_t)max_len);
}

static void ends_are_cut(void **state)
{
    (void)state;
    expect_cut(5, 0, 7, 5, 0);
    expect_cut(6, 0, 7, 5, 0);
    expect_cut(50, 0, 4, 2, 0);
    expect_cut(0, 0, 4, 0, 0);
}

/* RoBERTa's pairs: <s> a </s></s> b </s>, all of type 0. */
static void types_need_not_tell_texts_apart(void **state)
{
    (void)state;
    static const int32_t expected[] = {CLS, 100, 101, 102, SEP, SEP, 200, 201, SEP};
    fv_encoding e = {.ids = ids, .begins = begins, .ends = ends, .types = types, .capacity = MOST};
    put(&e, CLS, 0, 0, 0);
    for (int i = 0; i < 10; i++) put(&e, 100 + i, (uint32_t)i, (uint32_t)i + 1, 0);
    put(&e, SEP, 10, 10, 0);
    put(&e, SEP, 0, 0, 0);
    put(&e, 200, 0, 1, 0);
    put(&e, 201, 1, 2, 0);
    put(&e, SEP, 2, 2, 0);
    assert_true(fv_prepare_cut(&e, 9));
    assert_int_equal(e.n, FV_COUNT(expected));
    assert_memory_equal(e.ids, expected, sizeof expected);
    static const uint8_t halves[] = {0, 0, 0, 0, 1, 1, 1, 1, 1};
    fv_prepare_halves(&e);
    assert_memory_equal(e.types, halves, sizeof halves);
}

static void the_longer_of_a_pair_is_cut_first(void **state)
{
    (void)state;
    expect_cut(3, 4, 10, 3, 4);
    expect_cut(10, 2, 9, 4, 2);
    expect_cut(2, 10, 9, 2, 4);
    expect_cut(10, 10, 9, 3, 3);
    expect_cut(10, 10, 10, 3, 4);
    expect_cut(11, 10, 10, 4, 3);
    expect_cut(4, 10, 10, 3, 4);
    expect_cut(10, 4, 10, 4, 3);
    expect_cut(20, 3, 4, 1, 0);
    expect_cut(3, 0, 4, 2, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_are_cut),
        cmocka_unit_test(the_longer_of_a_pair_is_cut_first),
        cmocka_unit_test(types_need_not_tell_texts_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
