/* A team of searches, on a tiny model of random weights: how the work is shared changes no bit, a source that fails is named
 * whoever had it, and memory that runs out is an error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "infer/team.h"
#include "infer/tiny_translator.h"

enum { SOURCES = 61, THREADS = 3, MOST = 12, NBEST = 2 };

static fv_pool *one, *several;
static fv_seq2seq model;
static fv_search_source sources[SOURCES];
static int32_t ids[SOURCES][TINY_LONGEST];

static int set_up(void **state)
{
    (void)state;
    one = fv_pool_new(1, NULL);
    several = fv_pool_new(THREADS, NULL);
    if (!one || !several) return -1;
    tiny_translator(&model, FV_POSITIONS_SINUSOIDAL, false);
    tiny_sources(sources, ids, SOURCES);
    return fv_seq2seq_pack(&model, FV_PRECISION_F32, one, &(fv_mapping){0}, NULL) == FV_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    fv_seq2seq_release(&model);
    fv_pool_free(one);
    fv_pool_free(several);
    return 0;
}

static fv_search_options options(int beam)
{
    return (fv_search_options){.beam = beam, .nbest = beam > 1 ? NBEST : 1, .length_penalty = 1, .max_len = MOST, .min_len = 1, .batch_tokens = 2048, .attention = true};
}

static void assert_same(const fv_hypothesis *a, const fv_hypothesis *b, int32_t source)
{
    assert_int_equal(!a->ids, !b->ids);
    if (!a->ids) return;
    assert_int_equal(a->n, b->n);
    assert_int_equal(a->cut, b->cut);
    assert_memory_equal(&a->score, &b->score, sizeof a->score);
    assert_memory_equal(a->ids, b->ids, (size_t)a->n * sizeof *a->ids);
    assert_memory_equal(a->attention, b->attention, (size_t)(a->n * source) * sizeof *a->attention);
}

/* Few sources go to one search with all threads, many to searches side by side; 1 and 2 cannot be shared, 61 not evenly. */
static void sharing_changes_no_bit(void **state)
{
    (void)state;
    const size_t counts[] = {1, 2, 13, 48, SOURCES, 2, SOURCES};
    fv_hypothesis shared[SOURCES * NBEST], alone[SOURCES * NBEST];
    fv_team *team = fv_team_new(&model, NULL, several, NULL), *lone = fv_team_new(&model, NULL, one, NULL);
    for (int beam = 1; beam <= 4; beam += 3)
        for (size_t k = 0; k < FV_COUNT(counts); k++) {
            fv_search_options o = options(beam);
            assert_int_equal(fv_team_run(team, sources, counts[k], &o, shared, NULL), FV_OK);
            assert_int_equal(fv_team_run(lone, sources, counts[k], &o, alone, NULL), FV_OK);
            for (size_t i = 0; i < counts[k] * (size_t)o.nbest; i++) assert_same(&shared[i], &alone[i], sources[i / (size_t)o.nbest].n);
        }
    fv_team_free(team);
    fv_team_free(lone);
}

/* The pool may have been given other threads since. */
static void as_many_searches_as_threads(void **state)
{
    (void)state;
    fv_hypothesis shared[SOURCES], alone[SOURCES];
    fv_search_options o = options(1);
    for (int threads = 1; threads <= 4; threads++) {
        fv_pool *pool = fv_pool_new(threads, NULL);
        fv_team *team = fv_team_new(&model, NULL, pool, NULL), *lone = fv_team_new(&model, NULL, one, NULL);
        assert_int_equal(fv_team_run(team, sources, SOURCES, &o, shared, NULL), FV_OK);
        assert_int_equal(fv_team_run(lone, sources, SOURCES, &o, alone, NULL), FV_OK);
        for (int i = 0; i < SOURCES; i++) assert_same(&shared[i], &alone[i], sources[i].n);
        fv_team_free(team);
        fv_team_free(lone);
        fv_pool_free(pool);
    }
}

static void a_source_that_fails_is_named(void **state)
{
    (void)state;
    static const int32_t unheard[] = {TINY_VOCAB + 3};
    fv_hypothesis out[SOURCES];
    fv_search_options o = options(1);
    fv_team *team = fv_team_new(&model, NULL, several, NULL);
    for (int i = 0; i < SOURCES; i += 20) {
        fv_err err = {0};
        fv_search_source kept = sources[i];
        sources[i].prefix = unheard, sources[i].n_prefix = 1;
        assert_int_equal(fv_team_run(team, sources, SOURCES, &o, out, &err), FV_E_INPUT);
        char text[32];
        snprintf(text, sizeof text, "text %d:", i + 1);
        if (!strstr(err.text, text)) fail_msg("%s", err.text);
        sources[i] = kept;
        assert_int_equal(fv_team_run(team, sources, SOURCES, &o, out, &err), FV_OK);
    }
    fv_team_free(team);
}

static void memory_that_runs_out_is_an_error(void **state)
{
    (void)state;
    fv_hypothesis out[SOURCES];
    fv_search_options o = options(1);
    int64_t live = fv_alloc_live(), n = 0;
    for (fv_status status = FV_E_MEMORY; status != FV_OK; n++) {
        fv_team *team = fv_team_new(&model, NULL, several, NULL);
        assert_non_null(team);
        fv_alloc_fail_after(n);
        status = fv_team_run(team, sources, SOURCES, &o, out, NULL);
        fv_alloc_fail_after(-1);
        assert_true(status == FV_OK || status == FV_E_MEMORY);
        fv_team_free(team);
        assert_int_equal(fv_alloc_live(), live);
    }
    assert_true(n > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sharing_changes_no_bit),
        cmocka_unit_test(as_many_searches_as_threads),
        cmocka_unit_test(a_source_that_fails_is_named),
        cmocka_unit_test(memory_that_runs_out_is_an_error),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
