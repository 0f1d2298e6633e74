/* Merging one piece: by rank, leftmost first, and the same by both ways of doing it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/rng.h"
#include "text/tokenizer.h"

/* Bytes are their own ids; merges go on from 256. */
static void make(fv_bpe *bpe, const fv_merge *merges, uint32_t n)
{
    fv_merge *copy = fv_alloc(n * sizeof *copy, NULL);
    memcpy(copy, merges, n * sizeof *copy);
    *bpe = (fv_bpe){0};
    for (int i = 0; i < 256; i++) bpe->byte_ids[i] = i;
    assert_int_equal(fv_bpe_init(bpe, copy, n, "test", NULL), FV_OK);
}

static void assert_ids(const fv_bpe *bpe, const char *piece, const char *expected)
{
    for (int is_long = 0; is_long < 2; is_long++) {
        int32_t ids[64];
        size_t len = strlen(piece), n = 0;
        char found[256] = "";
        if (is_long) assert_int_equal(fv_bpe_long(bpe, piece, len, ids, &n, NULL), FV_OK);
        else if (len > FV_BPE_SHORT) continue;
        else n = fv_bpe_short(bpe, piece, len, ids);
        for (size_t i = 0, at = 0; i < n; i++) at += (size_t)snprintf(found + at, sizeof found - at, "%s%d", i ? " " : "", ids[i]);
        assert_string_equal(found, expected);
    }
}

static void ranks_decide_then_the_left(void **state)
{
    (void)state;
    const fv_merge merges[] = {{'b', 'c', 256}, {'a', 'b', 257}, {'a', 256, 258}, {'x', 'x', 259}, {259, 259, 260}};
    fv_bpe bpe;
    make(&bpe, merges, FV_COUNT(merges));
    assert_ids(&bpe, "a", "97");
    assert_ids(&bpe, "ab", "257");
    assert_ids(&bpe, "abc", "258"); /* b c first, though a b is on the left */
    assert_ids(&bpe, "abab", "257 257");
    assert_ids(&bpe, "xxx", "259 120");
    assert_ids(&bpe, "xxxx", "260");
    assert_ids(&bpe, "xxxxx", "260 120");
    assert_ids(&bpe, "zz", "122 122");
    fv_bpe_release(&bpe);
}

/* A merge of lower rank may become possible only after one of higher rank; it then goes first. */
static void a_merge_may_make_way_for_an_earlier_one(void **state)
{
    (void)state;
    const fv_merge merges[] = {{256, 'a', 257}, {'a', 'b', 256}};
    fv_bpe bpe;
    make(&bpe, merges, FV_COUNT(merges));
    assert_ids(&bpe, "abab", "257 98");
    fv_bpe_release(&bpe);
}

static void random_merges(fv_rng *rng, fv_merge *merges, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        bool known = true;
        while (known) {
            uint64_t a = fv_rng_below(rng, 4 + i), b = fv_rng_below(rng, 4 + i);
            merges[i] = (fv_merge){a < 4 ? 'a' + (int)a : 252 + (int)a, b < 4 ? 'a' + (int)b : 252 + (int)b, 256 + (int)i};
            known = false;
            for (uint32_t k = 0; k < i; k++) known |= merges[k].a == merges[i].a && merges[k].b == merges[i].b;
        }
    }
}

static void both_ways_give_the_same_ids(void **state)
{
    (void)state;
    fv_rng rng = fv_rng_make(1, "merges");
    for (int round = 0; round < 300; round++) {
        fv_merge merges[12];
        fv_bpe bpe;
        random_merges(&rng, merges, FV_COUNT(merges));
        fv_rng order = fv_rng_fork(&rng, (uint64_t)round);
        for (uint32_t i = FV_COUNT(merges) - 1; i > 0; i--) { /* any ranks at all, such as a file may have */
            uint64_t k = fv_rng_below(&order, i + 1);
            fv_merge swapped = merges[i];
            merges[i] = merges[k];
            merges[k] = swapped;
        }
        make(&bpe, merges, FV_COUNT(merges));
        for (int piece = 0; piece < 20; piece++) {
            char text[FV_BPE_SHORT];
            int32_t a[FV_BPE_SHORT], b[FV_BPE_SHORT];
            size_t n = 1 + fv_rng_below(&rng, FV_BPE_SHORT), n_b;
            for (size_t i = 0; i < n; i++) text[i] = (char)('a' + fv_rng_below(&rng, 4));
            size_t n_a = fv_bpe_short(&bpe, text, n, a);
            assert_int_equal(fv_bpe_long(&bpe, text, n, b, &n_b, NULL), FV_OK);
            assert_int_equal(n_a, n_b);
            assert_memory_equal(a, b, n_a * sizeof *a);
        }
        fv_bpe_release(&bpe);
    }
}

static void a_pair_listed_twice_is_refused(void **state)
{
    (void)state;
    int64_t live = fv_alloc_live();
    fv_err err = {0};
    fv_bpe bpe;
    fv_merge *merges = fv_alloc(2 * sizeof *merges, NULL);
    merges[0] = (fv_merge){'a', 'b', 256};
    merges[1] = (fv_merge){'a', 'b', 257};
    assert_int_equal(fv_bpe_init(&bpe, merges, 2, "t.json", &err), FV_E_FORMAT);
    assert_string_equal(err.text, "t.json: model.merges[1] joins the same two tokens as model.merges[0]; expected each pair once");
    assert_int_equal(fv_alloc_live(), live);
}

static void a_word_of_a_megabyte_is_quick(void **state)
{
    (void)state;
    enum { LEN = 1 << 20 };
    fv_merge merges[20];
    fv_bpe bpe;
    for (int i = 0; i < 20; i++) merges[i] = (fv_merge){i ? 255 + i : 'a', i ? 255 + i : 'a', 256 + i};
    make(&bpe, merges, FV_COUNT(merges));
    char *text = malloc(LEN);
    int32_t *ids = malloc(LEN * sizeof *ids);
    size_t n;
    memset(text, 'a', LEN);
    double start = fv_now();
    assert_int_equal(fv_bpe_long(&bpe, text, LEN, ids, &n, NULL), FV_OK);
    assert_true(fv_now() - start < 20); /* squares would take an hour */
    assert_int_equal(n, 1);
    assert_int_equal(ids[0], 256 + 19);
    fv_bpe_release(&bpe);
    free(text);
    free(ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_decide_then_the_left),
        cmocka_unit_test(a_merge_may_make_way_for_an_earlier_one),
        cmocka_unit_test(both_ways_give_the_same_ids),
        cmocka_unit_test(a_pair_listed_twice_is_refused),
        cmocka_unit_test(a_word_of_a_megabyte_is_quick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
