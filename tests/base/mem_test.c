/* Memory: alignment, counting, failing on demand, growing, arenas. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "base/mem.h"

static int64_t live_before;

static int remember_live(void **state)
{
    (void)state;
    live_before = fv_alloc_live();
    return 0;
}

static int nothing_leaked(void **state)
{
    (void)state;
    fv_alloc_fail_after(-1);
    return fv_alloc_live() == live_before ? 0 : -1;
}

static bool aligned(const void *p, size_t to)
{
    return (uintptr_t)p % to == 0;
}

static void blocks_are_aligned_and_counted(void **state)
{
    (void)state;
    int64_t count = fv_alloc_count();
    void *blocks[100];
    for (size_t i = 0; i < 100; i++) {
        blocks[i] = fv_alloc(i * i, NULL);
        assert_non_null(blocks[i]); /* zero bytes too */
        assert_true(aligned(blocks[i], 64));
        memset(blocks[i], (int)i, i * i);
    }
    assert_int_equal(fv_alloc_count(), count + 100);
    assert_int_equal(fv_alloc_live(), live_before + 100);
    for (size_t i = 0; i < 100; i++) fv_free(blocks[i]);
    fv_free(NULL);
    assert_int_equal(fv_alloc_live(), live_before);
}

static void zeroed_is_zero(void **state)
{
    (void)state;
    char *dirty = fv_alloc(1000, NULL);
    memset(dirty, 1, 1000);
    fv_free(dirty);
    char *clean = fv_alloc_zero(10, 100, NULL);
    for (int i = 0; i < 1000; i++) assert_int_equal(clean[i], 0);
    fv_free(clean);
}

static void sizes_that_overflow_fail(void **state)
{
    (void)state;
    fv_err err = {0};
    assert_null(fv_alloc(SIZE_MAX, &err));
    assert_int_equal(err.status, FV_E_MEMORY);
    assert_non_null(strstr(err.text, "out of memory"));
    assert_null(fv_alloc(SIZE_MAX - 64, NULL));
    assert_null(fv_alloc((size_t)PTRDIFF_MAX, NULL));
    assert_null(fv_alloc_zero(SIZE_MAX / 2, 3, NULL));
    assert_null(fv_alloc_plain(SIZE_MAX));
    assert_null(fv_strndup("x", SIZE_MAX, NULL));
    fv_arena arena = {0};
    assert_null(fv_arena_alloc(&arena, SIZE_MAX, NULL));
    assert_null(fv_arena_alloc_small(&arena, SIZE_MAX - 100, NULL));
    assert_null(fv_arena_strndup(&arena, "x", SIZE_MAX, NULL));
}

static void realloc_keeps_content_and_alignment(void **state)
{
    (void)state;
    unsigned char *p = fv_realloc(NULL, 1, NULL);
    p[0] = 0;
    for (size_t n = 2; n <= 3000; n += 7) {
        size_t old = n < 9 ? 1 : n - 7;
        p = fv_realloc(p, n, NULL);
        assert_true(aligned(p, 64));
        for (size_t i = old; i < n; i++) p[i] = (unsigned char)i;
    }
    p = fv_realloc(p, 500, NULL);
    for (size_t i = 0; i < 500; i++) assert_int_equal(p[i], (unsigned char)i);
    fv_free(p);
}

static void a_failed_realloc_keeps_the_block(void **state)
{
    (void)state;
    fv_err err = {0};
    char *p = fv_strdup("kept", &err);
    fv_alloc_fail_after(0);
    assert_null(fv_realloc(p, 1000, &err));
    assert_int_equal(err.status, FV_E_MEMORY);
    assert_null(fv_realloc(p, SIZE_MAX, &err));
    assert_string_equal(p, "kept");
    fv_free(p);
}

static void the_nth_allocation_fails_once(void **state)
{
    (void)state;
    fv_alloc_fail_after(2);
    void *a = fv_alloc(1, NULL), *b = fv_alloc_plain(1), *c = fv_alloc(1, NULL), *d = fv_alloc(1, NULL);
    assert_true(a && b && !c && d);
    fv_free(a), fv_free_plain(b), fv_free(d);
    fv_free_plain(NULL);
}

static void strings_are_copied(void **state)
{
    (void)state;
    char *whole = fv_strdup("注意", NULL), *part = fv_strndup("attention", 3, NULL), *none = fv_strndup(NULL, 0, NULL);
    assert_string_equal(whole, "注意");
    assert_string_equal(part, "att");
    assert_string_equal(none, "");
    fv_free(whole), fv_free(part), fv_free(none);
}

static void grow_doubles(void **state)
{
    (void)state;
    uint32_t *items = NULL;
    size_t capacity = 0;
    int64_t count = fv_alloc_count();
    for (uint32_t n = 0; n < 10000; n++) {
        assert_int_equal(fv_grow(&items, &capacity, n + 1, sizeof *items, NULL), FV_OK);
        items[n] = n;
    }
    assert_true(fv_alloc_count() - count < 12);
    for (uint32_t n = 0; n < 10000; n++) assert_int_equal(items[n], n);
    assert_int_equal(fv_grow(&items, &capacity, 1000000, sizeof *items, NULL), FV_OK);
    assert_int_equal(capacity, 1000000);
    fv_free(items);
}

static void a_failed_grow_changes_nothing(void **state)
{
    (void)state;
    fv_err err = {0};
    int *items = NULL;
    size_t capacity = 0;
    assert_int_equal(fv_grow(&items, &capacity, SIZE_MAX / 2, sizeof *items, &err), FV_E_MEMORY);
    assert_int_equal(err.status, FV_E_MEMORY);
    fv_alloc_fail_after(0);
    assert_int_equal(fv_grow(&items, &capacity, 1, sizeof *items, &err), FV_E_MEMORY);
    assert_null(items);
    assert_int_equal(capacity, 0);
}

static void arena_pieces_are_aligned_zeroed_and_apart(void **state)
{
    (void)state;
    fv_arena arena = {0};
    enum { N = 300 };
    unsigned char *pieces[N];
    size_t sum = 0;
    for (int round = 0; round < 3; round++, fv_arena_reset(&arena), sum = 0) {
        for (size_t i = 0; i < N; i++) {
            size_t bytes = i * 7 % 1000;
            pieces[i] = i % 2 ? fv_arena_alloc(&arena, bytes, NULL) : fv_arena_alloc_small(&arena, bytes, NULL);
            assert_true(aligned(pieces[i], i % 2 ? 64 : 8));
            for (size_t k = 0; i % 2 && k < bytes; k++) assert_int_equal(pieces[i][k], 0);
            memset(pieces[i], (int)i, bytes);
            sum += bytes;
        }
        assert_int_equal(arena.used, sum);
        for (size_t i = 0; i < N; i++)
            for (size_t k = 0; k < i * 7 % 1000; k++) assert_int_equal(pieces[i][k], (unsigned char)i);
    }
    fv_arena_release(&arena);
    assert_null(arena.first);
}

static void a_reset_arena_needs_no_new_blocks(void **state)
{
    (void)state;
    fv_arena arena = {.block_bytes = 1000};
    for (int i = 0; i < 100; i++) assert_non_null(fv_arena_alloc(&arena, (size_t)i * 50, NULL));
    int64_t count = fv_alloc_count();
    for (int round = 0; round < 3; round++) {
        fv_arena_reset(&arena);
        assert_int_equal(arena.used, 0);
        for (int i = 0; i < 100; i++) assert_non_null(fv_arena_alloc(&arena, (size_t)i * 50, NULL));
    }
    assert_int_equal(fv_alloc_count(), count);
    fv_arena_release(&arena);
}

static void a_piece_larger_than_a_block_fits(void **state)
{
    (void)state;
    fv_arena arena = {.block_bytes = 100};
    char *small = fv_arena_strndup(&arena, "small", 5, NULL);
    char *large = fv_arena_alloc(&arena, 1 << 20, NULL);
    memset(large, 1, 1 << 20);
    fv_arena_reset(&arena);
    small = fv_arena_strndup(&arena, "small", 5, NULL);
    large = fv_arena_alloc(&arena, 2 << 20, NULL);
    memset(large, 1, 2 << 20);
    assert_string_equal(small, "small");
    fv_arena_release(&arena);
}

static void an_arena_survives_a_failed_block(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_arena arena = {.block_bytes = 128};
    char *kept = fv_arena_strndup(&arena, "kept", 4, &err);
    fv_alloc_fail_after(0);
    assert_null(fv_arena_alloc(&arena, 4096, &err));
    assert_int_equal(err.status, FV_E_MEMORY);
    assert_non_null(fv_arena_alloc(&arena, 4096, &err));
    assert_string_equal(kept, "kept");
    fv_arena_release(&arena);
}

static void *churn(void *arg)
{
    for (int i = 0; i < 2000; i++) fv_free(fv_alloc((size_t)i % 300, NULL));
    return arg;
}

static void counters_hold_among_threads(void **state)
{
    (void)state;
    int64_t count = fv_alloc_count();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, churn, NULL), 0);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    assert_int_equal(fv_alloc_count() - count, 8000);
    assert_int_equal(fv_alloc_live(), live_before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, remember_live, nothing_leaked)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(blocks_are_aligned_and_counted),
        TEST(zeroed_is_zero),
        TEST(sizes_that_overflow_fail),
        TEST(realloc_keeps_content_and_alignment),
        TEST(a_failed_realloc_keeps_the_block),
        TEST(the_nth_allocation_fails_once),
        TEST(strings_are_copied),
        TEST(grow_doubles),
        TEST(a_failed_grow_changes_nothing),
        TEST(arena_pieces_are_aligned_zeroed_and_apart),
        TEST(a_reset_arena_needs_no_new_blocks),
        TEST(a_piece_larger_than_a_block_fits),
        TEST(an_arena_survives_a_failed_block),
        TEST(counters_hold_among_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
