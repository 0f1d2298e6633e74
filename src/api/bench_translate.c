/* Translating: a Transformer-base of random weights (6+6 layers of 512, a vocabulary of 32,000) writes exactly 25 tokens for each
 * of 128 sources of 25 in batches of 32, greedily and by a beam of 4, in float32 and in int8; and for one source alone, where nearly all time is
 * the weights' way from memory, so that its share is of the memory's peak. Ids are made up: which they are changes no time. */
#include <stdio.h>
#include <string.h>

#include "api/bench.h"
#include "infer/team.h"

enum { SOURCES = 128, BATCH = 32, TOKENS = 25, WORDS = 32000, TURNS = 7 };

typedef struct translating {
    fv_seq2seq model;
    fv_team *team;
    fv_search_options options;
    fv_search_source sources[SOURCES];
    int32_t ids[SOURCES][TOKENS + 1];
    fv_hypothesis out[SOURCES];
    size_t n;
    fv_status status;
} translating;

static void make_sources(translating *t)
{
    fv_rng rng = fv_rng_make(1, "bench translate");
    for (size_t i = 0; i < SOURCES; i++) {
        for (int j = 0; j < TOKENS; j++) t->ids[i][j] = 2 + (int32_t)fv_rng_below(&rng, WORDS - 2);
        t->ids[i][TOKENS] = 0;
        t->sources[i] = (fv_search_source){.ids = t->ids[i], .n = TOKENS + 1, .text = i + 1};
    }
}

static fv_status set_up(translating *t, fv_precision precision, fv_pool *pool, fv_err *err)
{
    fv_status status = FV_OK;
    fv_seq2seq_config c = {
        .src_vocab = WORDS + 1, .tgt_vocab = WORDS + 1, .encoder_layers = 6, .decoder_layers = 6, .width = 512, .heads = 8, .ffn = 2048, .max_len = 512, .act = FV_ACT_RELU,
        .shared = true, .tied = true, .scale_embedding = true, .output_bias = true, .pad = WORDS, .eos = 0, .start = WORDS, .norm_eps = 1e-5,
    };
    FV_TRY(fv_seq2seq_init(&t->model, &c, err));
    FV_TRY(fv_params_allocate(&t->model.params, err));
    fv_params_draw(&t->model.params, 1);
    FV_TRY(fv_seq2seq_pack(&t->model, precision, pool, &(fv_mapping){0}, err));
    t->team = fv_team_new(&t->model, NULL, pool, err);
    if (!t->team) return FV_E_MEMORY;
    make_sources(t);
done:
    return status;
}

static void tear_down(translating *t)
{
    fv_team_free(t->team);
    fv_seq2seq_release(&t->model);
}

static void translate(void *arg)
{
    translating *t = arg;
    if (t->status == FV_OK) t->status = fv_team_run(t->team, t->sources, t->n, &t->options, t->out, NULL);
}

/* A multiply-add counts 2: of a hypothesis's token the decoder without its cross keys and values, and the logits; of a source token
 * the encoder and those. Attention itself is little beside them. */
static double flops_of(int beam, size_t n)
{
    double C = 512, F = 2048, decoder = 6 * (6 * C * C + 2 * C * F) + C * (WORDS + 1), encoder = 6 * (4 * C * C + 2 * C * F) + 6 * 2 * C * C;
    return 2 * (double)n * (TOKENS * beam * decoder + (TOKENS + 1) * encoder);
}

static void ask(translating *t, int beam, size_t n)
{
    t->n = n;
    t->options = (fv_search_options){.beam = beam, .nbest = 1, .length_penalty = 1, .max_len = TOKENS, .min_len = TOKENS, .batch = BATCH, .batch_tokens = 2048};
}

static void bench_batch(fv_bench_run *run, translating *t, int beam, const char *type)
{
    char name[64], search[16] = "greedy";
    if (beam > 1) snprintf(search, sizeof search, "beam %d", beam);
    snprintf(name, sizeof name, "%s %s 6+6x512 batch %d", search, type, BATCH);
    ask(t, beam, SOURCES);
    fv_bench_case(run, name, "tokens/s", SOURCES * TOKENS, 1, flops_of(beam, SOURCES), translate, t);
}

static double packed_bytes(const fv_param *p) { return (double)fv_packed_bytes(fv_param_packed(p, FV_PRECISION_F32)); }

/* Packed bytes that a step reads: all of the decoder but what makes cross keys and values, and the output's. */
static double bytes_of_step(const fv_seq2seq *m)
{
    double bytes = packed_bytes(m->output);
    for (int i = 0; i < m->decoder.layers; i++) {
        const fv_block *b = &m->decoder.blocks[i];
        const fv_linear_weights *all[] = {&b->qkv, &b->out, &b->cross_q, &b->cross_out, &b->up, &b->down};
        for (size_t k = 0; k < FV_COUNT(all); k++) bytes += packed_bytes(all[k]->w);
    }
    return bytes;
}

static void bench_one(fv_bench_run *run, translating *t, const char *type)
{
    char name[64];
    double values[TURNS];
    snprintf(name, sizeof name, "one sentence greedy %s 6+6x512", type);
    if (!fv_bench_wanted(run, name)) return;
    ask(t, 1, 1);
    translate(t);
    double peak = 1e9 * fv_peak_memory(run->pool, (size_t)256 << 20, NULL), best = 0;
    for (int i = 0; i < TURNS; i++) {
        double begun = fv_now();
        translate(t);
        values[i] = TOKENS / (fv_now() - begun);
        best = values[i] > best ? values[i] : best;
    }
    fv_bench_report(run, name, "tokens/s", fv_pool_threads(run->pool), values, TURNS, peak > 0 ? best * bytes_of_step(&t->model) / peak : 0);
}

static fv_status bench_type(fv_bench_run *run, fv_precision precision, const char *type, fv_err *err)
{
    translating *t = fv_alloc_zero(1, sizeof *t, err);
    if (!t) return FV_E_MEMORY;
    fv_status status = set_up(t, precision, run->pool, err);
    run->precision = precision;
    if (status == FV_OK) {
        bench_batch(run, t, 1, type);
        bench_batch(run, t, 4, type);
        bench_one(run, t, type);
        status = t->status == FV_OK ? FV_OK : FV_FAIL(err, t->status, "translating: %s", fv_status_text(t->status));
    }
    tear_down(t);
    fv_free(t);
    return status;
}

fv_status fv_bench_translate(fv_bench_run *run, fv_err *err)
{
    fv_status status = FV_OK;
    if (!run->only || !strstr(run->only, "int8")) FV_TRY(bench_type(run, FV_PRECISION_F32, "float32", err));
    if (!run->only || !strstr(run->only, "float32")) FV_TRY(bench_type(run, FV_PRECISION_INT8, "int8", err));
done:
    return status;
}
