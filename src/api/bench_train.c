/* Whole training steps: forward, backward, clipping and AdamW on made-up ids. An encoder in the lengths
 * that news have (log-normal, mean some 50 tokens) and in equal ones; a translator in those of picture
 * captions (mean some 15 tokens), alike within a batch as a sampler would have them. Only real tokens exist. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/bench.h"
#include "models/head.h"
#include "models/seq2seq.h"
#include "ops.h"

enum { BATCHES = 8, PAIRS = 2, TOKENS = 2048, MAX_SEQUENCES = 512, LABELS = 4 };

typedef struct made_batch {
    int32_t ids[TOKENS], types[TOKENS], positions[TOKENS], offsets[MAX_SEQUENCES + 1], targets[TOKENS];
    uint64_t sequences[MAX_SEQUENCES];
    fv_batch batch;
} made_batch;

typedef struct shape { int layers, width, heads; fv_precision precision; bool mixed; } shape;

typedef struct rig {
    fv_encoder encoder;
    fv_head_weights head;
    fv_seq2seq translator; /* instead of the two; batches then come in twos, source and target */
    fv_params *params;
    int sides;             /* batches of a step: 1 or 2 */
    int steps;             /* that are run in turns: PAIRS, or BATCHES */
    fv_graph *graph;
    fv_pool *pool;
    float *grad, *moment1, *moment2;
    void *scratch;
    made_batch *batches; /* [steps · sides] */
    double flops, tokens; /* of all batches */
    fv_status status;
} rig;

static int draw_length(fv_rng *rng, bool mixed)
{
    double length = mixed ? exp(log(47) + 0.35 * fv_rng_normal(rng)) : 64;
    return (int)fmin(128, fmax(8, length));
}

static void make_batch(made_batch *b, fv_rng *rng, int vocab, bool mixed)
{
    int32_t B = 0, N = 0;
    for (int length = draw_length(rng, mixed); N + length <= TOKENS; length = draw_length(rng, mixed)) {
        b->sequences[B] = fv_rng_next(rng);
        b->targets[B] = (int32_t)fv_rng_below(rng, LABELS);
        for (int i = 0; i < length; i++, N++) {
            b->ids[N] = (int32_t)fv_rng_below(rng, (uint64_t)vocab);
            b->positions[N] = i;
        }
        b->offsets[++B] = N;
    }
    b->batch = (fv_batch){.B = B, .N = N, .ids = b->ids, .types = b->types, .positions = b->positions, .offsets = b->offsets, .sequences = b->sequences};
}

/* As many sentences on both sides, about as long. */
static void make_pair(made_batch *source, made_batch *target, fv_rng *rng, int vocab)
{
    double middle = exp(log(14) + 0.3 * fv_rng_normal(rng));
    int32_t B = 0, M = 0, N = 0;
    for (;; B++) {
        int m = (int)fmin(60, fmax(4, middle + fv_rng_normal(rng))), n = (int)fmin(60, fmax(4, middle * 1.05 + 2 * fv_rng_normal(rng)));
        if (B == MAX_SEQUENCES || M + m > TOKENS || N + n > TOKENS) break;
        source->sequences[B] = target->sequences[B] = fv_rng_next(rng);
        for (int i = 0; i < m; i++, M++) source->ids[M] = (int32_t)fv_rng_below(rng, (uint64_t)vocab), source->positions[M] = i;
        for (int i = 0; i < n; i++, N++) target->ids[N] = (int32_t)fv_rng_below(rng, (uint64_t)vocab), target->positions[N] = i;
        for (int i = 0; i < n; i++) target->targets[N - n + i] = i + 1 < n ? target->ids[N - n + i + 1] : 0;
        source->offsets[B + 1] = M;
        target->offsets[B + 1] = N;
    }
    source->batch = (fv_batch){.B = B, .N = M, .ids = source->ids, .types = source->types, .positions = source->positions, .offsets = source->offsets, .sequences = source->sequences};
    target->batch = (fv_batch){.B = B, .N = N, .ids = target->ids, .types = target->types, .positions = target->positions, .offsets = target->offsets, .sequences = target->sequences};
}

static fv_tensor *encoder_loss(rig *r, const made_batch *b)
{
    fv_tensor *hidden = fv_encoder_build(&r->encoder, r->graph, &b->batch), *logits = fv_head_build(&r->head, &r->encoder, r->graph, hidden, &b->batch);
    fv_graph_scope(r->graph, "loss");
    return fv_cross_entropy(r->graph, logits, b->targets, 0.1f);
}

static fv_tensor *translator_loss(rig *r, const made_batch *b)
{
    fv_tensor *memory = fv_seq2seq_encode(&r->translator, r->graph, &b[0].batch);
    return fv_seq2seq_loss(&r->translator, r->graph, fv_seq2seq_decode(&r->translator, r->graph, memory, &b[0].batch, &b[1].batch), b[1].targets, 0.1f);
}

static fv_tensor *plan_step(rig *r, const made_batch *b, fv_err *err)
{
    fv_graph_reset(r->graph, true);
    fv_tensor *loss = (r->sides == 2 ? translator_loss : encoder_loss)(r, b);
    r->status = fv_graph_plan(r->graph, loss, err);
    return loss;
}

static void run_step(rig *r, const made_batch *b)
{
    fv_params *p = r->params;
    memset(r->grad, 0, (size_t)p->n_floats * sizeof *r->grad);
    fv_tensor *loss = plan_step(r, b, NULL);
    if (r->status != FV_OK) return;
    fv_graph_forward(r->graph, 1);
    fv_graph_backward(r->graph, loss, 1, 1);
    double norm = sqrt(fv_sum_squares(r->grad, p->n_floats, r->pool, r->scratch));
    fv_adam adam = {.lr = 1e-4f, .beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f, .decay = 0.01f, .grad_scale = norm > 1 ? (float)(1 / norm) : 1, .correction1 = 0.1f, .correction2 = 0.001f, .decoupled = true};
    fv_adam_step(p->block, r->moment1, r->moment2, r->grad, p->n_floats, &adam, r->pool);
    fv_params_changed(p, r->pool);
}

static void run_all(void *arg)
{
    rig *r = arg;
    for (int i = 0; i < r->steps; i++) run_step(r, &r->batches[i * r->sides]);
}

static void make_batches(rig *r, int i, fv_rng *rng, int vocab, const shape *s)
{
    made_batch *b = &r->batches[i * r->sides];
    if (r->sides == 2) make_pair(&b[0], &b[1], rng, vocab);
    else make_batch(b, rng, vocab, s->mixed);
    for (int side = 0; side < r->sides; side++) r->tokens += b[side].batch.N;
}

/* All but the weights, which are there. */
static fv_status set_up(rig *r, int vocab, const shape *s, fv_err *err)
{
    fv_status status = FV_OK;
    fv_rng rng = fv_rng_make(1, "bench train");
    FV_TRY(fv_params_allocate(r->params, err));
    fv_params_draw(r->params, 1);
    size_t n = (size_t)r->params->n_floats;
    r->grad = fv_alloc_zero(n, sizeof(float), err);
    r->moment1 = fv_alloc_zero(n, sizeof(float), err);
    r->moment2 = fv_alloc_zero(n, sizeof(float), err);
    r->scratch = fv_alloc(fv_sum_squares_scratch((int64_t)n), err);
    r->batches = fv_alloc_zero((size_t)(r->steps * r->sides), sizeof *r->batches, err);
    r->graph = fv_graph_new(r->pool, err);
    if (!r->grad || !r->moment1 || !r->moment2 || !r->scratch || !r->batches || !r->graph) { status = FV_E_MEMORY; goto done; }
    fv_graph_set_precision(r->graph, s->precision);
    fv_params_bind_grad(r->params, r->grad);
    for (int i = 0; i < r->steps; i++) {
        make_batches(r, i, &rng, vocab, s);
        plan_step(r, &r->batches[i * r->sides], err);
        FV_TRY(r->status);
        r->flops += fv_graph_flops(r->graph, false) + fv_graph_flops(r->graph, true);
    }
done:
    return status;
}

static void release(rig *r)
{
    fv_encoder_release(&r->encoder);
    fv_seq2seq_release(&r->translator);
    fv_graph_free(r->graph);
    fv_free(r->grad), fv_free(r->moment1), fv_free(r->moment2), fv_free(r->scratch), fv_free(r->batches);
}

static fv_status make_encoder(rig *r, const shape *s, int vocab, fv_err *err)
{
    fv_encoder_config config = {
        .vocab = vocab, .layers = s->layers, .width = s->width, .heads = s->heads, .ffn = 4 * s->width, .max_len = 128, .types = 2, .pooler = true,
        .act = FV_ACT_GELU, .norm_eps = 1e-12, .dropout = 0.1, .attention_dropout = 0.1, .init_deviation = 0.02,
    };
    r->params = &r->encoder.params;
    fv_status status = fv_encoder_init(&r->encoder, &config, err);
    return status == FV_OK ? fv_head_init(&r->head, &r->encoder, FV_HEAD_TEXT, "", LABELS, err) : status;
}

static fv_status make_translator(rig *r, const shape *s, int vocab, fv_err *err)
{
    fv_seq2seq_config config = {
        .src_vocab = vocab, .tgt_vocab = vocab, .encoder_layers = s->layers, .decoder_layers = s->layers, .width = s->width, .heads = s->heads, .ffn = 4 * s->width, .max_len = 128,
        .act = FV_ACT_RELU, .shared = true, .tied = true, .scale_embedding = true, .pad = -1, .norm_eps = 1e-5, .dropout = 0.1, .attention_dropout = 0.1,
    };
    r->params = &r->translator.params;
    return fv_seq2seq_init(&r->translator, &config, err);
}

/* Vocabularies are those of the peers that bench/peers runs. */
static fv_status bench_case(fv_bench_run *run, const shape *s, const char *name, int sides, fv_err *err)
{
    int vocab = sides == 1 && s->width >= 512 ? 30522 : 8000;
    if (!fv_bench_wanted(run, name)) return FV_OK;
    if (s->precision == FV_PRECISION_BF16 && fv_peak_bf16(NULL) <= 0) return FV_OK; /* it would run, but for agreement, not for speed */
    rig r = {.pool = run->pool, .sides = sides, .steps = sides == 2 ? PAIRS : BATCHES};
    fv_status status = (sides == 2 ? make_translator : make_encoder)(&r, s, vocab, err);
    if (status == FV_OK) status = set_up(&r, vocab, s, err);
    run->precision = s->precision;
    if (status == FV_OK) fv_bench_case(run, name, "tokens/s", r.tokens, 1, r.flops, run_all, &r);
    if (status == FV_OK) status = r.status;
    release(&r);
    return status;
}

static const char *precision_name(const shape *s) { return s->precision == FV_PRECISION_BF16 ? "bf16" : "float32"; }

fv_status fv_bench_train(fv_bench_run *run, fv_err *err)
{
    static const shape encoders[] = {
        {4, 512, 8, FV_PRECISION_F32, true}, {4, 512, 8, FV_PRECISION_F32, false}, {2, 128, 4, FV_PRECISION_F32, true},
        {4, 512, 8, FV_PRECISION_BF16, true}, {4, 512, 8, FV_PRECISION_BF16, false}, {2, 128, 4, FV_PRECISION_BF16, true},
    };
    static const shape translators[] = {{6, 512, 8, FV_PRECISION_F32, true}, {4, 128, 4, FV_PRECISION_F32, true}, {6, 512, 8, FV_PRECISION_BF16, true}, {4, 128, 4, FV_PRECISION_BF16, true}};
    fv_status status = FV_OK;
    char name[64];
    for (size_t i = 0; i < FV_COUNT(encoders); i++) {
        const shape *s = &encoders[i];
        snprintf(name, sizeof name, "encoder %dx%d %s %s lengths", s->layers, s->width, precision_name(s), s->mixed ? "mixed" : "equal");
        FV_TRY(bench_case(run, s, name, 1, err));
    }
    for (size_t i = 0; i < FV_COUNT(translators); i++) {
        const shape *s = &translators[i];
        snprintf(name, sizeof name, "translation %d+%dx%d %s", s->layers, s->layers, s->width, precision_name(s));
        FV_TRY(bench_case(run, s, name, 2, err));
    }
done:
    return status;
}
