/* IBM Model 1: the obvious pairs of a tiny corpus, one iteration by hand, edges, threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "train/lexicon.h"

/* Rows of up to LONGEST tokens. */
enum { MOST = 4096, LONGEST = 12 };

typedef struct made {
    int32_t ids[MOST * LONGEST];
    int64_t offsets[MOST + 1];
    fv_token_rows rows;
} made;

static void start(made *m)
{
    m->offsets[0] = 0;
    m->rows = (fv_token_rows){.ids = m->ids, .offsets = m->offsets};
}

static void add(made *m, const int32_t *ids, size_t n)
{
    fv_token_rows *r = &m->rows;
    assert_true(r->n < MOST && n <= LONGEST);
    if (n) memcpy(m->ids + m->offsets[r->n], ids, n * sizeof *ids);
    m->offsets[r->n + 1] = m->offsets[r->n] + (int64_t)n;
    r->n++;
}

static fv_shortlist learn(const made *source, const made *target, const fv_lexicon_options *o, fv_pool *pool)
{
    fv_shortlist list;
    fv_err err = {0};
    if (fv_lexicon_learn(&list, o, &source->rows, &target->rows, pool, &err) != FV_OK) fail_msg("%s", err.text);
    return list;
}

static fv_lexicon_options options(int32_t source, int32_t target)
{
    fv_lexicon_options o;
    fv_lexicon_options_init(&o);
    o.source_vocab = source;
    o.target_vocab = target;
    return o;
}

static void assert_row(const fv_shortlist *list, int32_t source, const int32_t *expected, int32_t n)
{
    int32_t begin = list->offsets[source];
    if (list->offsets[source + 1] - begin != n) fail_msg("token %d has %d candidates, expected %d", source, list->offsets[source + 1] - begin, n);
    for (int32_t i = 0; i < n; i++)
        if (list->targets[begin + i] != expected[i]) fail_msg("candidate %d of token %d is %d, expected %d", i, source, list->targets[begin + i], expected[i]);
}

/* ---- Small texts -------------------------------------------------------------------------- */

/* the house · the book · a book · a small house, in German: das Haus · das Buch · ein Buch · ein kleines Haus */
enum { THE, HOUSE, BOOK, A, SMALL, UNSEEN, N_ENGLISH };
enum { DAS, HAUS, BUCH, EIN, KLEINES, N_GERMAN };
static made english, german;

static void make_books(void)
{
    start(&english), start(&german);
    add(&english, (const int32_t[]){THE, HOUSE}, 2), add(&german, (const int32_t[]){DAS, HAUS}, 2);
    add(&english, (const int32_t[]){THE, BOOK}, 2), add(&german, (const int32_t[]){DAS, BUCH}, 2);
    add(&english, (const int32_t[]){A, BOOK}, 2), add(&german, (const int32_t[]){EIN, BUCH}, 2);
    add(&english, (const int32_t[]){A, SMALL, HOUSE}, 3), add(&german, (const int32_t[]){EIN, KLEINES, HAUS}, 3);
}

static void obvious_pairs(void **state)
{
    (void)state;
    make_books();
    fv_lexicon_options o = options(N_ENGLISH, N_GERMAN);
    o.best = 1, o.frequent = 0, o.iterations = 20;
    fv_shortlist list = learn(&english, &german, &o, NULL);
    assert_row(&list, THE, (const int32_t[]){DAS}, 1);
    assert_row(&list, HOUSE, (const int32_t[]){HAUS}, 1);
    assert_row(&list, BOOK, (const int32_t[]){BUCH}, 1);
    assert_row(&list, A, (const int32_t[]){EIN}, 1);
    assert_row(&list, SMALL, (const int32_t[]){KLEINES}, 1);
    assert_row(&list, UNSEEN, NULL, 0);
    assert_int_equal(list.n_always, 0);
    fv_shortlist_release(&list);
}

/* After one iteration from nothing known, by hand: "the" has 1/3 (it, the other one, the empty word) of each of
 * its four target tokens, so das 2/3 : Haus 1/3 : Buch 1/3, which is 0.5, 0.25, 0.25. */
static void one_iteration_by_hand(void **state)
{
    (void)state;
    make_books();
    fv_lexicon_options o = options(N_ENGLISH, N_GERMAN);
    o.frequent = 0, o.iterations = 1, o.floor = 0.2499;
    fv_shortlist list = learn(&english, &german, &o, NULL);
    assert_row(&list, THE, (const int32_t[]){DAS, HAUS, BUCH}, 3);
    fv_shortlist_release(&list);
    o.floor = 0.2501;
    list = learn(&english, &german, &o, NULL);
    assert_row(&list, THE, (const int32_t[]){DAS}, 1);
    fv_shortlist_release(&list);
    o.floor = 0.5001;
    list = learn(&english, &german, &o, NULL);
    assert_row(&list, THE, NULL, 0);
    fv_shortlist_release(&list);
}

static void always_and_shared(void **state)
{
    (void)state;
    make_books();
    const int32_t specials[] = {KLEINES, DAS};
    fv_lexicon_options o = options(N_ENGLISH, N_GERMAN);
    o.best = 1, o.frequent = 2, o.iterations = 20, o.always = specials, o.n_always = 2, o.shared = true;
    fv_shortlist list = learn(&english, &german, &o, NULL);
    assert_int_equal(list.n_always, 3); /* das and Haus are the first of the four that stand twice */
    assert_memory_equal(list.always, ((const int32_t[]){DAS, HAUS, KLEINES}), 3 * sizeof(int32_t));
    assert_row(&list, SMALL, (const int32_t[]){KLEINES}, 1); /* which is its own number */
    assert_row(&list, A, (const int32_t[]){EIN}, 1);
    assert_row(&list, UNSEEN, NULL, 0); /* the other side has no such number */
    fv_shortlist_release(&list);
    o.frequent = 1000, o.best = 0;
    list = learn(&english, &german, &o, NULL);
    assert_int_equal(list.n_always, N_GERMAN);
    assert_row(&list, HOUSE, (const int32_t[]){HOUSE}, 1);
    fv_shortlist_release(&list);
}

static void empty_texts(void **state)
{
    (void)state;
    fv_shortlist list;
    fv_err err = {0};
    fv_lexicon_options o = options(N_ENGLISH, N_GERMAN);
    start(&english), start(&german);
    assert_int_equal(fv_lexicon_learn(&list, &o, &english.rows, &german.rows, NULL, &err), FV_E_INPUT);
    assert_string_equal(err.text, "no pairs of texts to learn a shortlist from; expected at least one");
    add(&english, NULL, 0), add(&german, NULL, 0);
    add(&english, (const int32_t[]){A}, 1), add(&german, NULL, 0);
    add(&english, NULL, 0), add(&german, (const int32_t[]){EIN}, 1);
    list = learn(&english, &german, &o, NULL);
    assert_row(&list, A, NULL, 0);
    assert_int_equal(list.n_always, N_GERMAN);
    fv_shortlist_release(&list);
}

/* ---- Many texts --------------------------------------------------------------------------- */

enum { WORDS = 900, COMMON = 40 };

/* Word w becomes WORDS - 1 - w, wherever it stands; among them words of no meaning, common ones. */
static void make_many(void)
{
    fv_rng chance = fv_rng_make(7, "lexicon");
    start(&english), start(&german);
    for (int i = 0; i < MOST; i++) {
        int32_t source[LONGEST], target[LONGEST];
        size_t n = 2 + fv_rng_below(&chance, LONGEST - 3);
        for (size_t k = 0; k < n; k++) {
            source[k] = (int32_t)(k % 3 ? COMMON + fv_rng_below(&chance, WORDS - COMMON) : fv_rng_below(&chance, COMMON));
            target[n - 1 - k] = WORDS - 1 - source[k];
        }
        target[n] = WORDS;
        add(&english, source, n), add(&german, target, n + 1);
    }
}

static void rows_longer_than_are_kept(void **state)
{
    (void)state;
    make_many();
    fv_lexicon_options o = options(WORDS, WORDS + 1);
    o.best = 2, o.frequent = 1;
    fv_shortlist list = learn(&english, &german, &o, NULL);
    int right = 0;
    for (int32_t w = 0; w < WORDS; w++)
        for (int32_t k = list.offsets[w]; k < list.offsets[w + 1]; k++) right += list.targets[k] == WORDS - 1 - w;
    assert_int_equal(right, WORDS);
    assert_int_equal(list.always[0], WORDS);
    fv_shortlist_release(&list);
}

static void the_same_on_any_number_of_threads(void **state)
{
    (void)state;
    make_many();
    fv_lexicon_options o = options(WORDS, WORDS + 1);
    fv_pool *pool = fv_pool_new(3, NULL);
    fv_shortlist alone = learn(&english, &german, &o, NULL), together = learn(&english, &german, &o, pool);
    assert_memory_equal(alone.offsets, together.offsets, (WORDS + 1) * sizeof(int32_t));
    assert_memory_equal(alone.targets, together.targets, (size_t)alone.offsets[WORDS] * sizeof(int32_t));
    fv_shortlist_release(&alone);
    fv_shortlist_release(&together);
    fv_pool_free(pool);
}

static void memory_that_runs_out(void **state)
{
    (void)state;
    make_books();
    fv_lexicon_options o = options(N_ENGLISH, N_GERMAN);
    fv_status status = FV_E_MEMORY;
    int64_t live = fv_alloc_live();
    for (int64_t n = 0; status != FV_OK; n++) {
        fv_shortlist list;
        fv_err err = {0};
        fv_alloc_fail_after(n);
        status = fv_lexicon_learn(&list, &o, &english.rows, &german.rows, NULL, &err);
        fv_alloc_fail_after(-1);
        if (status == FV_OK) fv_shortlist_release(&list);
        else assert_int_equal(err.status, FV_E_MEMORY);
        assert_int_equal(fv_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(obvious_pairs),
        cmocka_unit_test(one_iteration_by_hand),
        cmocka_unit_test(always_and_shared),
        cmocka_unit_test(empty_texts),
        cmocka_unit_test(rows_longer_than_are_kept),
        cmocka_unit_test(the_same_on_any_number_of_threads),
        cmocka_unit_test(memory_that_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
