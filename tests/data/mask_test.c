/* Which tokens are hidden: BERT's shares, at least one in each row, specials left alone, words whole; and that nothing but
 * seed, epoch, row and place decides. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/mask.h"

enum { CLS = 1, SEP = 2, MASK = 3, FIRST = 10, ORDINARY = 500, ROWS = 2000, BUDGET = 700 };

typedef struct made {
    fv_token_rows rows;
    uint8_t *kinds;
    int32_t ordinary[ORDINARY];
    fv_masking masking;
    int64_t total, words;
} made;

/* [CLS] tokens [SEP]; every third token continues a word when `pieces`. */
static void make(made *m, int shortest, int longest, bool pieces)
{
    fv_rng rng = fv_rng_make(3, "made");
    *m = (made){.rows = {.n = ROWS, .offsets = fv_alloc_zero(ROWS + 1, sizeof(int64_t), NULL)}};
    for (size_t i = 0; i < ROWS; i++) m->rows.offsets[i + 1] = m->rows.offsets[i] + 2 + shortest + (int64_t)fv_rng_below(&rng, (uint64_t)(longest - shortest + 1));
    m->total = m->rows.offsets[ROWS];
    m->rows.ids = fv_alloc_zero((size_t)m->total, sizeof(int32_t), NULL);
    m->rows.types = fv_alloc_zero((size_t)m->total, 1, NULL);
    m->kinds = fv_alloc_zero((size_t)m->total, 1, NULL);
    for (size_t i = 0; i < ROWS; i++) {
        int64_t begin = m->rows.offsets[i], end = m->rows.offsets[i + 1];
        m->rows.ids[begin] = CLS;
        m->rows.ids[end - 1] = SEP;
        for (int64_t k = begin + 1; k < end - 1; k++) {
            m->rows.ids[k] = FIRST + (int32_t)fv_rng_below(&rng, ORDINARY);
            m->kinds[k] = pieces && (k - begin) % 3 == 0 ? FV_TOKEN_CONTINUES : FV_TOKEN_WORD;
            m->words += m->kinds[k] == FV_TOKEN_WORD;
        }
    }
    for (int i = 0; i < ORDINARY; i++) m->ordinary[i] = FIRST + i;
    m->masking = (fv_masking){.seed = 5, .share = 0.15, .mask_id = MASK, .ordinary = m->ordinary, .n_ordinary = ORDINARY, .rows = &m->rows, .kinds = m->kinds};
}

static void release(made *m)
{
    fv_token_rows_release(&m->rows);
    fv_free(m->kinds);
}

/* All rows as batches of at most `budget` tokens: what each token became, and whether it was chosen, in the order of the rows. */
typedef struct outcome {
    int32_t *ids;
    bool *chosen;
    int64_t n;
} outcome;

static outcome mask_all(const made *m, const fv_masking *masking, int budget)
{
    outcome o = {.ids = calloc((size_t)m->total, sizeof(int32_t)), .chosen = calloc((size_t)m->total, sizeof(bool))};
    int32_t *ids = calloc((size_t)m->total, sizeof *ids), *places = calloc((size_t)m->total, sizeof *places), *targets = calloc((size_t)m->total, sizeof *targets);
    fv_sampler s;
    fv_batch batch;
    assert_int_equal(fv_sampler_init(&s, &m->rows, budget, 1, NULL), FV_OK);
    for (size_t i = 0; i < s.n_batches; i++) {
        fv_sampler_get(&s, i, &batch);
        int32_t n = fv_mask_batch(masking, &batch, ids, places, targets);
        for (int32_t b = 0, at = 0; b < batch.B; b++) {
            int64_t to = m->rows.offsets[batch.rows[b]] - batch.offsets[b];
            for (int32_t k = batch.offsets[b]; k < batch.offsets[b + 1]; k++) {
                o.ids[to + k] = ids[k];
                if (at == n || places[at] != k) continue;
                o.chosen[to + k] = true;
                assert_int_equal(targets[at++], batch.ids[k]);
            }
            if (b == batch.B - 1) assert_int_equal(at, n);
        }
        o.n += n;
    }
    fv_sampler_release(&s);
    free(ids);
    free(places);
    free(targets);
    return o;
}

static void forget(outcome *o)
{
    free(o->ids);
    free(o->chosen);
}

static bool same(const made *m, const outcome *a, const outcome *b)
{
    return memcmp(a->ids, b->ids, (size_t)m->total * sizeof *a->ids) == 0 && memcmp(a->chosen, b->chosen, (size_t)m->total) == 0;
}

/* `found` of `of` within four deviations of a share. */
static void expect_share(const char *what, int64_t found, int64_t of, double share)
{
    double room = 4 * sqrt((double)of * share * (1 - share));
    if (fabs((double)found - share * (double)of) > room) fail_msg("%s: %lld of %lld, expected %.0f give or take %.0f", what, (long long)found, (long long)of, share * (double)of, room);
}

static void shares_are_berts(void **state)
{
    (void)state;
    made m;
    make(&m, 60, 120, false);
    outcome o = mask_all(&m, &m.masking, BUDGET);
    int64_t masked = 0, kept = 0, drawn = 0;
    for (int64_t k = 0; k < m.total; k++) {
        if (!o.chosen[k]) assert_int_equal(o.ids[k], m.rows.ids[k]);
        if (!o.chosen[k]) continue;
        masked += o.ids[k] == MASK;
        kept += o.ids[k] == m.rows.ids[k];
        drawn += o.ids[k] != MASK && o.ids[k] != m.rows.ids[k];
        assert_true(o.ids[k] == MASK || (o.ids[k] >= FIRST && o.ids[k] < FIRST + ORDINARY));
    }
    expect_share("chosen", o.n, m.words, 0.15);
    expect_share("masked", masked, o.n, 0.8);
    expect_share("kept", kept, o.n, 0.1 + 0.1 / ORDINARY); /* what is drawn may be what was there */
    expect_share("drawn", drawn, o.n, 0.1 - 0.1 / ORDINARY);
    forget(&o);
    release(&m);
}

static void every_place_is_as_likely(void **state)
{
    (void)state;
    enum { LENGTH = 20, EPOCHS = 20 };
    int64_t by_place[LENGTH + 2] = {0};
    made m;
    make(&m, LENGTH, LENGTH, false);
    for (m.masking.epoch = 0; m.masking.epoch < EPOCHS; m.masking.epoch++) {
        outcome o = mask_all(&m, &m.masking, BUDGET);
        for (int64_t k = 0; k < m.total; k++) by_place[k % (LENGTH + 2)] += o.chosen[k];
        forget(&o);
    }
    double none = pow(0.85, LENGTH); /* then one is chosen nevertheless */
    assert_int_equal(by_place[0] + by_place[LENGTH + 1], 0);
    for (int k = 1; k <= LENGTH; k++) expect_share("a place", by_place[k], (int64_t)ROWS * EPOCHS, 0.15 + none / LENGTH);
    release(&m);
}

static void at_least_one_of_each_row(void **state)
{
    (void)state;
    made m;
    make(&m, 1, 3, true);
    outcome o = mask_all(&m, &m.masking, BUDGET);
    for (size_t i = 0; i < ROWS; i++) {
        int64_t n = 0;
        for (int64_t k = m.rows.offsets[i]; k < m.rows.offsets[i + 1]; k++) n += o.chosen[k];
        assert_true(n >= 1);
    }
    forget(&o);
    release(&m);
}

/* [CLS] [SEP] and nothing else. */
static void rows_of_specials_are_left_alone(void **state)
{
    (void)state;
    made m;
    make(&m, 0, 0, false);
    outcome o = mask_all(&m, &m.masking, BUDGET);
    assert_int_equal(o.n, 0);
    assert_memory_equal(o.ids, m.rows.ids, (size_t)m.total * sizeof *o.ids);
    forget(&o);
    release(&m);
}

static void words_are_chosen_whole(void **state)
{
    (void)state;
    made m;
    make(&m, 60, 120, true);
    outcome o = mask_all(&m, &m.masking, BUDGET);
    int64_t words = 0;
    for (int64_t k = 0; k < m.total; k++) {
        words += o.chosen[k] && m.kinds[k] == FV_TOKEN_WORD;
        if (m.kinds[k] == FV_TOKEN_CONTINUES) assert_true(o.chosen[k] == o.chosen[k - 1]);
        if (m.kinds[k] == FV_TOKEN_FIXED) assert_false(o.chosen[k]);
    }
    expect_share("words", words, m.words, 0.15);
    forget(&o);
    release(&m);
}

static void batching_changes_nothing(void **state)
{
    (void)state;
    made m;
    make(&m, 3, 40, true);
    outcome a = mask_all(&m, &m.masking, BUDGET), b = mask_all(&m, &m.masking, 60);
    assert_true(same(&m, &a, &b));
    forget(&a);
    forget(&b);
    release(&m);
}

static void seed_and_epoch_change_the_choice(void **state)
{
    (void)state;
    made m;
    make(&m, 60, 120, false);
    fv_masking others[] = {m.masking, m.masking, m.masking};
    others[0].seed = 6;
    others[1].epoch = 1;
    others[2].epoch = FV_MASK_FOREVER;
    outcome a = mask_all(&m, &m.masking, BUDGET);
    for (size_t i = 0; i < FV_COUNT(others); i++) {
        outcome b = mask_all(&m, &others[i], BUDGET), again = mask_all(&m, &others[i], BUDGET);
        int64_t both = 0;
        for (int64_t k = 0; k < m.total; k++) both += a.chosen[k] && b.chosen[k];
        expect_share("chosen twice", both, m.words, 0.15 * 0.15);
        assert_true(same(&m, &b, &again));
        forget(&b);
        forget(&again);
    }
    forget(&a);
    release(&m);
}

/* All of a vocabulary special: nothing can be drawn. */
static void without_ordinary_tokens_none_is_drawn(void **state)
{
    (void)state;
    made m;
    make(&m, 20, 40, false);
    m.masking.n_ordinary = 0;
    outcome o = mask_all(&m, &m.masking, BUDGET);
    for (int64_t k = 0; k < m.total; k++) assert_true(o.ids[k] == m.rows.ids[k] || (o.chosen[k] && o.ids[k] == MASK));
    forget(&o);
    release(&m);
}

/* [CLS], an ordinary word, and characters of Chinese up to [SEP], some of several tokens. */
static void make_characters(made *m)
{
    make(m, 30, 60, false);
    for (size_t i = 0; i < ROWS; i++)
        for (int64_t k = m->rows.offsets[i] + 2; k < m->rows.offsets[i + 1] - 1; k++) m->kinds[k] = (k - m->rows.offsets[i]) % 7 == 6 ? FV_TOKEN_CONTINUES : FV_TOKEN_CHARACTER;
}

/* Single ones would leave a run of one at 0.85 of the times; here 15 % of tokens are chosen all the same. */
static void characters_are_chosen_in_runs(void **state)
{
    (void)state;
    made m;
    make_characters(&m);
    int64_t chosen = 0, characters = 0, beside = 0;
    int32_t places[2][64] = {{0}};
    for (m.masking.epoch = 0; m.masking.epoch < 2; m.masking.epoch++) {
        outcome o = mask_all(&m, &m.masking, BUDGET);
        for (int64_t k = 0; k < m.total; k++) {
            if (m.kinds[k] == FV_TOKEN_CONTINUES) assert_true(o.chosen[k] == o.chosen[k - 1]);
            if (m.kinds[k] != FV_TOKEN_CHARACTER) continue;
            characters++;
            chosen += o.chosen[k];
            beside += o.chosen[k] && o.chosen[k - 1];
        }
        for (int k = 0; k < 64 && k < m.rows.offsets[2]; k++) places[m.masking.epoch][k] = o.chosen[k];
        forget(&o);
    }
    double share = (double)chosen / (double)characters, run = (double)beside / (double)chosen;
    if (fabs(share - 0.15) > 0.005) fail_msg("%g of characters are chosen", share);
    /* the mean run has 1.8 characters, 1 / 1.8 of them first: 0.44 of the others have one before, and 0.15 of the first */
    if (fabs(run - (0.8 / 1.8 + 0.15 / 1.8)) > 0.02) fail_msg("%g of chosen characters stand behind a chosen one", run);
    assert_memory_not_equal(places[0], places[1], sizeof places[0]);
    release(&m);
}

static void pieces_are_chosen_alone(void **state)
{
    (void)state;
    made m;
    make_characters(&m);
    m.masking.pieces = true;
    outcome o = mask_all(&m, &m.masking, BUDGET);
    int64_t n = 0, beside = 0;
    for (int64_t k = 0; k < m.total; k++) {
        if (m.kinds[k] == FV_TOKEN_FIXED) assert_false(o.chosen[k]);
        if (!o.chosen[k] || m.kinds[k - 1] == FV_TOKEN_FIXED) continue;
        n++;
        beside += o.chosen[k - 1];
    }
    expect_share("behind a chosen one", beside, n, 0.15);
    expect_share("pieces", o.n, m.total - 2 * ROWS, 0.15);
    forget(&o);
    release(&m);
}

static void characters_too_are_the_same_in_any_batch(void **state)
{
    (void)state;
    made m;
    make_characters(&m);
    outcome a = mask_all(&m, &m.masking, BUDGET), b = mask_all(&m, &m.masking, 60);
    assert_true(same(&m, &a, &b));
    forget(&a);
    forget(&b);
    release(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_berts),
        cmocka_unit_test(every_place_is_as_likely),
        cmocka_unit_test(at_least_one_of_each_row),
        cmocka_unit_test(rows_of_specials_are_left_alone),
        cmocka_unit_test(words_are_chosen_whole),
        cmocka_unit_test(batching_changes_nothing),
        cmocka_unit_test(seed_and_epoch_change_the_choice),
        cmocka_unit_test(without_ordinary_tokens_none_is_drawn),
        cmocka_unit_test(characters_are_chosen_in_runs),
        cmocka_unit_test(pieces_are_chosen_alone),
        cmocka_unit_test(characters_too_are_the_same_in_any_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
