/* Embedding: an encoder in the shape of all-MiniLM-L6-v2 (6 layers of 384, 12 heads, feed-forward of 1,536, vocabulary of 30,522)
 * with random weights turns rows of made-up ids into vectors as fv_embed does: 32 sequences of 128 or of 16 tokens, many in
 * lengths that short questions have (log-normal, mean some 15 tokens), and one of 10 tokens. Units are those of the peers
 * that bench/embed-peers runs. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/bench.h"
#include "infer/infer.h"

enum { WORDS = 30522, MANY = 512, TURNS = 7, CALLS = 200 };

typedef struct embedding {
    fv_encoder encoder;
    fv_sentence sentence;
    fv_graph *graph;
    fv_crew *crew;
    fv_token_rows rows;
    int batch_tokens;
    float *out;
    double flops; /* of all rows: 21 million a token in products, and attention */
    fv_status status;
} embedding;

static fv_status set_up(embedding *e, fv_precision precision, fv_pool *pool, fv_err *err)
{
    fv_status status = FV_OK;
    fv_encoder_config config = {
        .vocab = WORDS, .layers = 6, .width = 384, .heads = 12, .ffn = 1536, .max_len = 128, .types = 2,
        .act = FV_ACT_GELU, .norm_eps = 1e-12, .init_deviation = 0.02,
    };
    e->sentence = (fv_sentence){.pooling = FV_POOLING_MEAN, .normalise = true};
    FV_TRY(fv_encoder_init(&e->encoder, &config, err));
    FV_TRY(fv_params_allocate(&e->encoder.params, err));
    fv_params_draw(&e->encoder.params, 1);
    FV_TRY(fv_params_pack(&e->encoder.params, precision, pool, err));
    e->graph = fv_graph_new(pool, err);
    if (!e->graph) return FV_E_MEMORY;
    fv_graph_set_precision(e->graph, precision);
    e->crew = fv_crew_new(e->graph, pool, err);
    if (!e->crew) return FV_E_MEMORY;
done:
    return status;
}

static void drop_rows(embedding *e)
{
    fv_token_rows_release(&e->rows);
    fv_free(e->out);
    e->out = NULL;
}

static void tear_down(embedding *e)
{
    drop_rows(e);
    fv_crew_free(e->crew);
    fv_graph_free(e->graph);
    fv_encoder_release(&e->encoder);
}

/* length 0: as questions have them. */
static int64_t draw_length(fv_rng *rng, int length)
{
    return length ? length : (int64_t)fmin(80, fmax(5, exp(log(13.5) + 0.45 * fv_rng_normal(rng))));
}

/* Work of one row of n tokens: products with 4·C² + 2·C·F weights a layer, and attention's 4·C·n a token. */
static double row_flops(const fv_encoder_config *c, int64_t n)
{
    double C = c->width, F = c->ffn;
    return c->layers * (double)n * (2 * (4 * C * C + 2 * C * F) + 4 * C * (double)n);
}

static fv_status make_rows(embedding *e, size_t n, int length, fv_err *err)
{
    fv_session_options o;
    fv_rng rng = fv_rng_make(1, "bench embed");
    e->flops = 0;
    e->rows = (fv_token_rows){.n = n, .offsets = fv_alloc_zero(n + 1, sizeof *e->rows.offsets, err)};
    if (!e->rows.offsets) return FV_E_MEMORY;
    for (size_t i = 0; i < n; i++) {
        int64_t len = draw_length(&rng, length);
        e->rows.offsets[i + 1] = e->rows.offsets[i] + len;
        if (len > e->rows.max_len) e->rows.max_len = (int)len;
        e->flops += row_flops(&e->encoder.config, len);
    }
    size_t tokens = (size_t)e->rows.offsets[n];
    e->rows.ids = fv_alloc(tokens * sizeof *e->rows.ids, err);
    e->rows.types = fv_alloc_zero(tokens, sizeof *e->rows.types, err);
    e->out = fv_alloc(n * (size_t)e->encoder.config.width * sizeof *e->out, err);
    if (!e->rows.ids || !e->rows.types || !e->out) return FV_E_MEMORY;
    for (size_t i = 0; i < tokens; i++) e->rows.ids[i] = (int32_t)fv_rng_below(&rng, WORDS);
    fv_session_options_init(&o);
    e->batch_tokens = o.batch_tokens;
    return FV_OK;
}

static void embed(void *arg)
{
    embedding *e = arg;
    if (e->status == FV_OK) e->status = fv_crew_vectors(e->crew, &e->encoder, &e->sentence, &e->rows, e->batch_tokens, e->encoder.config.width, true, e->out, NULL);
}

static fv_status bench_rows(fv_bench_run *run, embedding *e, const char *type, const char *shape, size_t n, int length, fv_err *err)
{
    char name[64];
    snprintf(name, sizeof name, "%s %s", type, shape);
    if (!fv_bench_wanted(run, name)) return FV_OK;
    fv_status status = make_rows(e, n, length, err);
    if (status == FV_OK && length) fv_bench_case(run, name, "tokens/s", (double)e->rows.offsets[n], 1, e->flops, embed, e);
    else if (status == FV_OK) fv_bench_case(run, name, "sentences/s", (double)n, 1, e->flops, embed, e);
    drop_rows(e);
    return status;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* One sentence is waited for: milliseconds of the median call of a turn, and of the call that 99 in 100 are faster than. */
static fv_status bench_one(fv_bench_run *run, embedding *e, const char *type, fv_err *err)
{
    char name[64], slow[80];
    double medians[TURNS], last[TURNS], calls[CALLS];
    snprintf(name, sizeof name, "%s one", type);
    snprintf(slow, sizeof slow, "%s p99", name);
    if (!fv_bench_wanted(run, name) && !fv_bench_wanted(run, slow)) return FV_OK;
    fv_status status = make_rows(e, 1, 10, err);
    for (int i = 0; i < 20 && status == FV_OK; i++) embed(e);
    for (int turn = 0; turn < TURNS && status == FV_OK; turn++) {
        for (int i = 0; i < CALLS; i++) {
            double begun = fv_now();
            embed(e);
            calls[i] = 1e3 * (fv_now() - begun);
        }
        qsort(calls, CALLS, sizeof *calls, by_value);
        medians[turn] = calls[CALLS / 2];
        last[turn] = calls[CALLS * 99 / 100];
    }
    if (status == FV_OK) {
        fv_bench_report(run, name, "ms", fv_pool_threads(run->pool), medians, TURNS, 0);
        fv_bench_report(run, slow, "ms", fv_pool_threads(run->pool), last, TURNS, 0);
    }
    drop_rows(e);
    return status;
}

static fv_status bench_type(fv_bench_run *run, const char *type, fv_err *err)
{
    fv_status status = FV_OK;
    embedding e = {.status = FV_OK};
    FV_TRY(set_up(&e, run->precision, run->pool, err));
    FV_TRY(bench_rows(run, &e, type, "32x128", 32, 128, err));
    FV_TRY(bench_rows(run, &e, type, "32x16", 32, 16, err));
    FV_TRY(bench_rows(run, &e, type, "mixed", MANY, 0, err));
    FV_TRY(bench_one(run, &e, type, err));
    if (e.status != FV_OK) status = FV_FAIL(err, e.status, "embedding: %s", fv_status_text(e.status));
done:
    tear_down(&e);
    return status;
}

/* Only where a case of the type is asked for are its weights made. bf16 only where the processor has it: elsewhere it would run,
 * but for agreement, not for speed. */
fv_status fv_bench_embed(fv_bench_run *run, fv_err *err)
{
    static const char *const types[] = {[FV_PRECISION_F32] = "float32", [FV_PRECISION_BF16] = "bf16", [FV_PRECISION_INT8] = "int8"};
    static const char *const shapes[] = {"32x128", "32x16", "mixed", "one", "one p99"};
    for (size_t i = 0; i < FV_COUNT(types); i++) {
        char name[64];
        bool wanted = false;
        for (size_t k = 0; k < FV_COUNT(shapes); k++) {
            snprintf(name, sizeof name, "%s %s", types[i], shapes[k]);
            wanted |= fv_bench_wanted(run, name);
        }
        run->precision = (fv_precision)i;
        if (!wanted || (i == FV_PRECISION_BF16 && fv_peak_bf16(NULL) <= 0)) continue;
        fv_status status = bench_type(run, types[i], err);
        if (status != FV_OK) return status;
    }
    return FV_OK;
}
