/* The decoder behind the search, on tiny models of random weights: what is written token by token is what the whole graph says,
 * and neither neighbours, threads nor precision of packing change a translation where they must not. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "infer/decoder.h"
#include "infer/tiny_translator.h"

enum { EOS = TINY_EOS, PAD = TINY_PAD, VOCAB = TINY_VOCAB, LONGEST = TINY_LONGEST, SOURCES = 9, MOST = 12 };

static fv_pool *pools[2];

static int set_up(void **state)
{
    (void)state;
    pools[0] = fv_pool_new(1, NULL);
    pools[1] = fv_pool_new(3, NULL);
    return pools[0] && pools[1] ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    fv_pool_free(pools[0]);
    fv_pool_free(pools[1]);
    return 0;
}

typedef struct rig { fv_decoder *decoder; fv_search *search; } rig;

static rig make_rig(const fv_seq2seq *m, fv_pool *pool)
{
    rig r = {.decoder = fv_decoder_new(m, pool, NULL)};
    fv_stepper stepper = fv_decoder_stepper(r.decoder);
    r.search = fv_search_new(&stepper, pool, NULL);
    assert_non_null(r.search);
    return r;
}

static void release(rig *r)
{
    fv_search_free(r->search);
    fv_decoder_free(r->decoder);
}

static void run(rig *r, const fv_search_source *sources, size_t n, const fv_search_options *o, fv_hypothesis *out)
{
    fv_err err = {0};
    if (fv_search_run(r->search, sources, n, o, out, &err) != FV_OK) fail_msg("%s", err.text);
}

static fv_search_options options(int beam)
{
    return (fv_search_options){.beam = beam, .nbest = 1, .length_penalty = 1, .max_len = MOST, .min_len = 2, .batch_tokens = 2048, .attention = true};
}

/* Logits [target, VOCAB] of the whole graph. */
static fv_tensor *whole(const fv_seq2seq *m, fv_graph *g, const fv_search_source *source, const int32_t *target, int32_t n)
{
    static const int32_t places[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13};
    static int32_t from[2], to[2];
    static const uint64_t name[1];
    fv_err err = {0};
    from[1] = source->n, to[1] = n;
    fv_batch s = {.B = 1, .N = source->n, .ids = source->ids, .positions = places, .offsets = from, .sequences = name};
    fv_batch t = {.B = 1, .N = n, .ids = target, .positions = places, .offsets = to, .sequences = name};
    fv_graph_reset(g, false);
    fv_tensor *logits = fv_seq2seq_logits(m, g, fv_seq2seq_decode(m, g, fv_seq2seq_encode(m, g, &s), &s, &t));
    if (fv_graph_plan(g, logits, &err) != FV_OK) fail_msg("%s", err.text);
    fv_graph_forward(g, 0);
    return logits;
}

static void assert_greedy(const fv_seq2seq *m, fv_graph *g, const fv_search_source *source, const fv_hypothesis *out)
{
    int32_t target[MOST + 1] = {PAD};
    memcpy(target + 1, out->ids, (size_t)out->n * sizeof *target);
    fv_tensor *logits = whole(m, g, source, target, out->n + !out->cut);
    for (int32_t t = 0; t < out->n + !out->cut; t++) {
        const float *x = logits->data + t * logits->stride;
        int32_t chosen = t < out->n ? out->ids[t] : EOS;
        for (int32_t i = 0; i < VOCAB; i++)
            if (i != PAD && !(i == EOS && t < 2)) assert_true(x[i] <= x[chosen] + 1e-4f);
    }
    for (int32_t t = 0; t < out->n; t++) {
        double sum = 0;
        for (int32_t i = 0; i < source->n; i++) sum += (double)out->attention[t * source->n + i];
        assert_true(fabs(sum - 1) < 1e-4);
    }
}

static void greedy_is_the_graph_s_choice(void **state)
{
    (void)state;
    const fv_positions kinds[] = {FV_POSITIONS_SINUSOIDAL, FV_POSITIONS_LEARNED, FV_POSITIONS_ROTARY, FV_POSITIONS_RELATIVE};
    fv_search_source sources[SOURCES];
    int32_t ids[SOURCES][LONGEST];
    fv_hypothesis out[SOURCES];
    tiny_sources(sources, ids, SOURCES);
    for (size_t k = 0; k < FV_COUNT(kinds); k++) {
        fv_seq2seq m;
        tiny_translator(&m, kinds[k], k % 2);
        rig r = make_rig(&m, pools[1]);
        fv_graph *g = fv_graph_new(pools[0], NULL);
        fv_search_options o = options(1);
        o.batch = 4;
        run(&r, sources, SOURCES, &o, out);
        for (int i = 0; i < SOURCES; i++) assert_greedy(&m, g, &sources[i], &out[i]);
        fv_graph_free(g);
        release(&r);
        fv_seq2seq_release(&m);
    }
}

static void assert_same(const fv_hypothesis *a, const fv_hypothesis *b, int32_t source)
{
    assert_int_equal(a->n, b->n);
    assert_int_equal(a->cut, b->cut);
    assert_memory_equal(&a->score, &b->score, sizeof a->score);
    assert_memory_equal(a->ids, b->ids, (size_t)a->n * sizeof *a->ids);
    assert_memory_equal(a->attention, b->attention, (size_t)(a->n * source) * sizeof *a->attention);
}

static void neighbours_and_threads_change_no_bit(void **state)
{
    (void)state;
    const fv_precision precisions[] = {FV_PRECISION_F32, FV_PRECISION_BF16, FV_PRECISION_INT8};
    fv_search_source sources[SOURCES];
    int32_t ids[SOURCES][LONGEST];
    tiny_sources(sources, ids, SOURCES);
    for (size_t p = 0; p < FV_COUNT(precisions); p++) {
        fv_seq2seq m;
        fv_hypothesis out[SOURCES], one;
        tiny_translator(&m, FV_POSITIONS_SINUSOIDAL, false);
        assert_int_equal(fv_seq2seq_pack(&m, precisions[p], pools[0], &(fv_mapping){0}, NULL), FV_OK);
        assert_int_equal(fv_packed_precision(fv_param_packed(m.output, FV_PRECISION_F32)), precisions[p]);
        rig r = make_rig(&m, pools[1]), alone = make_rig(&m, pools[0]);
        for (int beam = 1; beam <= 4; beam += 3) {
            fv_search_options o = options(beam);
            run(&r, sources, SOURCES, &o, out);
            for (int i = 0; i < SOURCES; i++) {
                run(&alone, &sources[i], 1, &o, &one);
                assert_same(&out[i], &one, sources[i].n);
            }
        }
        release(&r);
        release(&alone);
        fv_seq2seq_release(&m);
    }
}

/* Once the largest batch has come, tokens cost no allocation. */
static void steps_allocate_nothing(void **state)
{
    (void)state;
    fv_search_source sources[SOURCES];
    int32_t ids[SOURCES][LONGEST];
    fv_hypothesis out[SOURCES];
    fv_seq2seq m;
    int64_t counts[2];
    tiny_sources(sources, ids, SOURCES);
    tiny_translator(&m, FV_POSITIONS_SINUSOIDAL, false);
    rig r = make_rig(&m, pools[1]);
    fv_search_options o = options(3);
    o.min_len = MOST;
    run(&r, sources, SOURCES, &o, out);
    for (int i = 0; i < 2; i++) {
        o.max_len = o.min_len = i ? MOST : 2;
        int64_t before = fv_alloc_count();
        run(&r, sources, SOURCES, &o, out);
        counts[i] = fv_alloc_count() - before;
    }
    assert_int_equal(counts[0], counts[1]);
    release(&r);
    fv_seq2seq_release(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_is_the_graph_s_choice),
        cmocka_unit_test(neighbours_and_threads_change_no_bit),
        cmocka_unit_test(steps_allocate_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
