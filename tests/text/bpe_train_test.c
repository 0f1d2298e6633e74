/* Learning merges: the right pairs in the right order, whole characters, bounded memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "text/tokenizer.h"

static void add(fv_trainer *t, const char *piece, int times)
{
    for (int i = 0; i < times; i++) assert_int_equal(fv_trainer_add(t, piece, strlen(piece), NULL), FV_OK);
}

/* The bytes of a learned token, at most 63 of them. */
static void spell(const fv_learned *l, int32_t id, char out[64])
{
    if (id < 256) {
        out[0] = (char)id;
        out[1] = 0;
        return;
    }
    char a[64], b[64];
    spell(l, l->merges[id - 256].a, a);
    spell(l, l->merges[id - 256].b, b);
    assert_true(snprintf(out, 64, "%s%s", a, b) < 64);
}

static void assert_learns(const fv_trainer *t, int vocab, int min_count, const char *expected)
{
    fv_learned l;
    char found[1024] = "", token[64];
    assert_int_equal(fv_trainer_learn(t, vocab, min_count, &l, NULL), FV_OK);
    for (int32_t id = 256; id < 256 + (int32_t)l.n_merges; id++) {
        spell(&l, id, token);
        size_t at = strlen(found);
        snprintf(found + at, sizeof found - at, "%s%s", at ? " " : "", token);
    }
    assert_string_equal(found, expected);
    fv_learned_release(&l);
}

/* The example of Sennrich et al. 2016, without their mark for a word's end. */
static void the_most_frequent_pair_goes_first(void **state)
{
    (void)state;
    fv_trainer t;
    fv_trainer_init(&t);
    add(&t, "low", 5);
    add(&t, "lower", 2);
    add(&t, "newest", 6);
    add(&t, "widest", 3);
    /* e s and s t occur 9 times each, and the smaller ids go first; then es t 9, l o 7, lo w 7; then of
     * e w, n e and w est, 6 each, e w; n ew, new est; of d est, i d and w i, 3 each, d est. */
    assert_learns(&t, 256 + 8, 1, "es est lo low ew new newest dest");
    assert_learns(&t, 256 + 1, 1, "es");
    assert_learns(&t, 256, 1, "");
    assert_learns(&t, 300, 7, "es est lo low");
    fv_trainer_release(&t);
}

static void what_came_first_does_not_matter(void **state)
{
    (void)state;
    static const char *const words[] = {"abab", "baba", "cab", "abc", "bca", "aabb", "\u4f60\u597d", "\u597d\u4f60"};
    fv_learned l[2];
    for (int order = 0; order < 2; order++) {
        fv_trainer t;
        fv_trainer_init(&t);
        for (size_t i = 0; i < FV_COUNT(words); i++) add(&t, words[order ? FV_COUNT(words) - 1 - i : i], 3);
        assert_int_equal(fv_trainer_learn(&t, 280, 1, &l[order], NULL), FV_OK);
        fv_trainer_release(&t);
    }
    assert_int_equal(l[0].n_merges, l[1].n_merges);
    assert_memory_equal(l[0].merges, l[1].merges, l[0].n_merges * sizeof *l[0].merges);
    fv_learned_release(&l[0]);
    fv_learned_release(&l[1]);
}

static void repeated_letters_are_counted_right(void **state)
{
    (void)state;
    fv_trainer t;
    fv_trainer_init(&t);
    add(&t, "aaaaaaaa", 1); /* 7 pairs, then 3 of aa, then 1 of aaaa */
    assert_learns(&t, 300, 1, "aa aaaa aaaaaaaa");
    assert_learns(&t, 300, 2, "aa aaaa");
    fv_trainer_release(&t);
}

/* A slow clear way to the same end: all is counted again for each merge. */
static int32_t naive_best(int32_t (*words)[16], const int *lens, int n, fv_merge *best)
{
    int32_t top = 0;
    for (int w = 0; w < n; w++) {
        for (int i = 0; i + 1 < lens[w]; i++) {
            int32_t a = words[w][i], b = words[w][i + 1], count = 0;
            for (int v = 0; v < n; v++)
                for (int k = 0; k + 1 < lens[v]; k++) count += words[v][k] == a && words[v][k + 1] == b;
            if (count > top || (count == top && (a < best->a || (a == best->a && b < best->b)))) *best = (fv_merge){a, b, 0}, top = count;
        }
    }
    return top;
}

static int naive_merge(int32_t *word, int len, const fv_merge *m)
{
    int n = 0;
    for (int i = 0; i < len; i++) {
        bool here = i + 1 < len && word[i] == m->a && word[i + 1] == m->b;
        word[n++] = here ? m->id : word[i];
        i += here;
    }
    return n;
}

static void counts_kept_up_to_date_are_right(void **state)
{
    (void)state;
    enum { WORDS = 40 };
    for (uint64_t seed = 0; seed < 20; seed++) {
        fv_rng rng = fv_rng_make(seed, "words");
        int32_t words[WORDS][16];
        int lens[WORDS];
        fv_trainer t;
        fv_learned l;
        fv_trainer_init(&t);
        for (int w = 0; w < WORDS; w++) {
            char text[16];
            lens[w] = 1 + (int)fv_rng_below(&rng, 16);
            for (int i = 0; i < lens[w]; i++) words[w][i] = text[i] = (char)('a' + fv_rng_below(&rng, 3));
            assert_int_equal(fv_trainer_add(&t, text, (size_t)lens[w], NULL), FV_OK);
        }
        assert_int_equal(fv_trainer_learn(&t, 290, 2, &l, NULL), FV_OK);
        uint32_t i = 0;
        for (fv_merge best = {0}; i < l.n_merges && naive_best(words, lens, WORDS, &best) >= 2;) {
            assert_int_equal(l.merges[i].a, best.a);
            assert_int_equal(l.merges[i].b, best.b);
            best.id = l.merges[i++].id;
            for (int w = 0; w < WORDS; w++) lens[w] = naive_merge(words[w], lens[w], &best);
        }
        assert_int_equal(i, l.n_merges);
        fv_learned_release(&l);
        fv_trainer_release(&t);
    }
}

/* Text of whole characters, or a part of one character. */
static bool is_clean(const char *token)
{
    const char *p = token, *end = token + strlen(token);
    while (p < end && fv_utf8_len(p, end)) p += fv_utf8_len(p, end);
    if (p == end) return true;
    if (p != token) return false;
    static const char *const whole[] = {"\u00e9\u00e8\u00e0", "\u4f60\u597d\u55ce\u54ea\u91cc", "\U0001f600\U0001f601\U0001f602"};
    for (size_t k = 0; k < FV_COUNT(whole); k++)
        for (const char *q = whole[k]; *q; q += fv_utf8_len(q, q + 4))
            for (int i = 0; i < fv_utf8_len(q, q + 4); i++)
                if (strlen(token) + (size_t)i <= (size_t)fv_utf8_len(q, q + 4) && memcmp(q + i, token, strlen(token)) == 0) return true;
    return false;
}

static void no_token_is_a_torn_character(void **state)
{
    (void)state;
    fv_trainer t;
    fv_learned l;
    char token[64];
    fv_trainer_init(&t);
    add(&t, "\u00e9\u00e8\u00e9\u00e0", 3);
    add(&t, "\u4f60\u597d\u4f60\u597d\u55ce", 5);
    add(&t, "\u54ea\u91cc\u4f60\u597d", 2);
    add(&t, "\U0001f600\U0001f601\U0001f602", 4);
    add(&t, " \u00e9\u4f60", 4);
    assert_int_equal(fv_trainer_learn(&t, 400, 1, &l, NULL), FV_OK);
    bool has_word = false;
    for (int32_t id = 256; id < 256 + (int32_t)l.n_merges; id++) {
        spell(&l, id, token);
        has_word |= strcmp(token, "\u4f60\u597d") == 0;
        if (!is_clean(token)) fail_msg("token %d is torn", (int)id);
    }
    assert_true(has_word);
    fv_learned_release(&l);
    fv_trainer_release(&t);
}

/* Few letters and many repeats, where it would happen first if it could. */
static void no_token_is_made_twice(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        fv_rng rng = fv_rng_make(seed, "repeats");
        fv_trainer t;
        fv_learned l;
        fv_map seen = {0};
        fv_trainer_init(&t);
        for (int w = 0; w < 10; w++) {
            char text[40];
            size_t n = 1 + fv_rng_below(&rng, 40);
            for (size_t i = 0; i < n; i++) text[i] = (char)('a' + fv_rng_below(&rng, 2));
            assert_int_equal(fv_trainer_add(&t, text, n, NULL), FV_OK);
        }
        assert_int_equal(fv_trainer_learn(&t, 330, 1, &l, NULL), FV_OK);
        for (int32_t id = 256; id < 256 + (int32_t)l.n_merges; id++) {
            char token[64];
            spell(&l, id, token);
            assert_int_equal(fv_map_get(&seen, token, strlen(token)), -1);
            assert_int_equal(fv_map_set(&seen, token, strlen(token), id, NULL), FV_OK);
            assert_int_equal(l.merges[id - 256].id, id);
        }
        fv_map_release(&seen);
        fv_learned_release(&l);
        fv_trainer_release(&t);
    }
}

static void the_rarest_are_forgotten_when_room_ends(void **state)
{
    (void)state;
    fv_trainer t;
    fv_trainer_init(&t);
    t.max_pieces = 100;
    add(&t, "frequent", 50);
    for (int i = 0; i < 5000; i++) {
        char piece[16];
        snprintf(piece, sizeof piece, "x%d", i);
        add(&t, piece, 1);
        if (i % 10 == 0) add(&t, "often", 1);
    }
    assert_true(t.pieces.n <= 100);
    assert_true(fv_map_get(&t.pieces, "x0", 2) < 0);
    assert_int_equal(t.counts[fv_map_get(&t.pieces, "frequent", 8)], 50);
    assert_true(t.counts[fv_map_get(&t.pieces, "often", 5)] > 400);
    fv_trainer_release(&t);

    fv_trainer_init(&t);
    t.max_bytes = 4096;
    char *longer = malloc(100000);
    for (int i = 0; i < 100000; i += 2) memcpy(longer + i, i % 600 < 300 ? "\u00e9" : "\u00e8", 2);
    longer[99999] = 'x';
    assert_int_equal(fv_trainer_add(&t, longer, 100000, NULL), FV_OK); /* cut into parts between characters */
    assert_true(t.bytes <= 4096 + 1024);
    for (size_t i = 0; i < t.pieces.n; i++) assert_int_not_equal((unsigned char)t.pieces.entries[i].key[0] >> 6, 2);
    free(longer);
    fv_trainer_release(&t);
}

static void memory_that_runs_out_is_an_error(void **state)
{
    (void)state;
    for (int64_t fail = 0, ended = 0; !ended; fail++) {
        fv_trainer t;
        fv_learned l = {0};
        int64_t live = fv_alloc_live();
        fv_alloc_fail_after(fail);
        fv_trainer_init(&t);
        fv_status status = fv_trainer_add(&t, "abcabcabc", 9, NULL);
        if (status == FV_OK) status = fv_trainer_learn(&t, 300, 1, &l, NULL);
        fv_alloc_fail_after(-1);
        ended = status == FV_OK;
        if (!ended) assert_int_equal(status, FV_E_MEMORY);
        fv_learned_release(&l);
        fv_trainer_release(&t);
        assert_int_equal(fv_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_most_frequent_pair_goes_first),
        cmocka_unit_test(what_came_first_does_not_matter),
        cmocka_unit_test(repeated_letters_are_counted_right),
        cmocka_unit_test(counts_kept_up_to_date_are_right),
        cmocka_unit_test(no_token_is_a_torn_character),
        cmocka_unit_test(no_token_is_made_twice),
        cmocka_unit_test(the_rarest_are_forgotten_when_room_ends),
        cmocka_unit_test(memory_that_runs_out_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
