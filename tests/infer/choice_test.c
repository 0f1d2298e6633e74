/* Decoding by a shortlist: one that has all words changes no bit, one that has few is kept to, and neither neighbours,
 * threads nor precision make a source's words another's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "infer/decoder.h"

enum { EOS = 0, PAD = 299, VOCAB = 300, SOURCES = 13, LONGEST = 7, MOST = 12, PER_WORD = 6 };

static fv_seq2seq model;
static fv_pool *pools[2];
static int32_t source_ids[SOURCES][LONGEST];
static fv_search_source sources[SOURCES];

static void make_sources(void)
{
    fv_rng rng = fv_rng_make(3, "sources");
    for (int32_t i = 0; i < SOURCES; i++) {
        int32_t n = 2 + (int32_t)fv_rng_below(&rng, LONGEST - 1);
        for (int32_t j = 0; j < n; j++) source_ids[i][j] = j == n - 1 ? EOS : 1 + (int32_t)fv_rng_below(&rng, PAD - 1);
        sources[i] = (fv_search_source){.ids = source_ids[i], .n = n, .text = (size_t)i + 1};
    }
}

static int set_up(void **state)
{
    (void)state;
    fv_seq2seq_config c = {
        .src_vocab = VOCAB, .tgt_vocab = VOCAB, .encoder_layers = 1, .decoder_layers = 2, .width = 32, .heads = 4, .ffn = 48, .max_len = 40, .act = FV_ACT_RELU,
        .shared = true, .tied = true, .scale_embedding = true, .output_bias = true, .pad = PAD, .eos = EOS, .start = PAD, .norm_eps = 1e-5,
    };
    pools[0] = fv_pool_new(1, NULL);
    pools[1] = fv_pool_new(3, NULL);
    if (!pools[0] || !pools[1] || fv_seq2seq_init(&model, &c, NULL) != FV_OK || fv_params_allocate(&model.params, NULL) != FV_OK) return -1;
    fv_params_draw(&model.params, 5);
    for (int i = 0; i < VOCAB; i++) model.output_bias->data[i] = (float)(i % 7) * 0.2f; /* so that not the last word comes again and again */
    make_sources();
    return fv_seq2seq_pack(&model, FV_PRECISION_F32, pools[0], &(fv_mapping){0}, NULL) == FV_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    fv_seq2seq_release(&model);
    fv_pool_free(pools[0]);
    fv_pool_free(pools[1]);
    return 0;
}

/* ---- Lists -------------------------------------------------------------------------------- */

static int32_t list_always[VOCAB], list_offsets[VOCAB + 1], list_targets[VOCAB * PER_WORD];

/* Every word, whatever the source. */
static void make_full(fv_shortlist *list)
{
    for (int32_t i = 0; i < VOCAB; i++) list_always[i] = i;
    memset(list_offsets, 0, sizeof list_offsets);
    *list = (fv_shortlist){.source_vocab = VOCAB, .target_vocab = VOCAB, .always = list_always, .n_always = VOCAB, .offsets = list_offsets, .targets = list_targets};
    assert_int_equal(fv_shortlist_seal(list, "full", NULL), FV_OK);
}

/* </s>, and of each word a few that follow it. */
static void make_few(fv_shortlist *list)
{
    int32_t n = 0;
    list_always[0] = EOS;
    for (int32_t i = 0; i < VOCAB; i++) {
        list_offsets[i] = n;
        for (int32_t k = 1; k <= PER_WORD && i + 3 * k < PAD; k++) list_targets[n++] = i + 3 * k;
    }
    list_offsets[VOCAB] = n;
    *list = (fv_shortlist){.source_vocab = VOCAB, .target_vocab = VOCAB, .always = list_always, .n_always = 1, .offsets = list_offsets, .targets = list_targets};
    assert_int_equal(fv_shortlist_seal(list, "few", NULL), FV_OK);
}

static bool suggested(const fv_shortlist *list, const fv_search_source *source, int32_t id)
{
    uint64_t marks[(VOCAB + 63) / 64];
    int32_t out[VOCAB];
    size_t n = fv_shortlist_pick(list, marks, source->ids, (size_t)source->n, out);
    for (size_t i = 0; i < n; i++)
        if (out[i] == id) return true;
    return false;
}

/* ---- Runs --------------------------------------------------------------------------------- */

typedef struct rig { fv_decoder *decoder; fv_search *search; } rig;

static rig make_rig(const fv_shortlist *list, fv_pool *pool)
{
    rig r = {.decoder = fv_decoder_new(&model, pool, NULL)};
    assert_non_null(r.decoder);
    if (list) assert_int_equal(fv_decoder_restrict(r.decoder, list, pool, NULL), FV_OK);
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

static void run(rig *r, const fv_search_source *from, size_t n, int beam, fv_hypothesis *out)
{
    fv_err err = {0};
    fv_search_options o = {.beam = beam, .nbest = 1, .length_penalty = 1, .max_len = MOST, .min_len = 2, .batch = 5, .batch_tokens = 2048};
    if (fv_search_run(r->search, from, n, &o, out, &err) != FV_OK) fail_msg("%s", err.text);
}

static void assert_same(const fv_hypothesis *a, const fv_hypothesis *b)
{
    assert_int_equal(a->n, b->n);
    assert_memory_equal(a->ids, b->ids, (size_t)a->n * sizeof *a->ids);
    assert_true(a->score == b->score);
}

static void all_words_change_no_bit(void **state)
{
    (void)state;
    fv_shortlist list;
    make_full(&list);
    rig free_one = make_rig(NULL, pools[0]), listed = make_rig(&list, pools[1]);
    fv_hypothesis a[SOURCES], b[SOURCES];
    for (int beam = 1; beam <= 4; beam += 3) {
        run(&free_one, sources, SOURCES, beam, a);
        run(&listed, sources, SOURCES, beam, b);
        for (int i = 0; i < SOURCES; i++) assert_same(&a[i], &b[i]);
    }
    release(&free_one);
    release(&listed);
    fv_free(list.always_bits);
}

static void words_are_the_source_s_own(void **state)
{
    (void)state;
    fv_shortlist list;
    make_few(&list);
    rig r = make_rig(&list, pools[1]), alone = make_rig(&list, pools[0]);
    fv_hypothesis out[SOURCES], one;
    int words = 0;
    run(&r, sources, SOURCES, 4, out);
    for (int i = 0; i < SOURCES; i++) {
        for (int32_t k = 0; k < out[i].n; k++, words++) assert_true(suggested(&list, &sources[i], out[i].ids[k]));
        run(&alone, &sources[i], 1, 4, &one);
        assert_same(&out[i], &one);
    }
    assert_true(words > 2 * SOURCES);
    release(&r);
    release(&alone);
    fv_free(list.always_bits);
}

/* What must come comes, though the list would not have it. */
static void prefixes(void **state)
{
    (void)state;
    static const int32_t prefix[] = {298, 1, 298};
    fv_shortlist list;
    make_few(&list);
    rig r = make_rig(&list, pools[0]);
    fv_search_source forced = sources[0];
    fv_hypothesis out;
    forced.prefix = prefix;
    forced.n_prefix = 3;
    run(&r, &forced, 1, 4, &out);
    assert_true(out.n >= 3);
    assert_memory_equal(out.ids, prefix, sizeof prefix);
    release(&r);
    fv_free(list.always_bits);
}

static void memory_that_runs_out(void **state)
{
    (void)state;
    fv_shortlist list;
    make_few(&list);
    fv_status status = FV_E_MEMORY;
    int64_t live = fv_alloc_live();
    for (int64_t n = 0; status != FV_OK; n++) {
        fv_err err = {0};
        fv_decoder *d = fv_decoder_new(&model, pools[0], NULL);
        assert_non_null(d);
        fv_alloc_fail_after(n);
        status = fv_decoder_restrict(d, &list, pools[0], &err);
        fv_alloc_fail_after(-1);
        if (status != FV_OK) assert_int_equal(err.status, FV_E_MEMORY);
        fv_decoder_free(d);
        assert_int_equal(fv_alloc_live(), live);
    }
    fv_free(list.always_bits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_words_change_no_bit),
        cmocka_unit_test(words_are_the_source_s_own),
        cmocka_unit_test(prefixes),
        cmocka_unit_test(memory_that_runs_out),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
