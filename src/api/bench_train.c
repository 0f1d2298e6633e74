/* Whole training steps: forward, backward, clipping and AdamW of an encoder on made-up ids, in the
 * lengths that news have (log-normal, mean some 50 tokens) and in equal ones. Only real tokens exist. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/bench.h"
#include "models/head.h"
#include "ops.h"

enum { BATCHES = 8, TOKENS = 2048, MAX_SEQUENCES = 512, LABELS = 4 };

typedef struct made_batch {
    int32_t ids[TOKENS], types[TOKENS], positions[TOKENS], offsets[MAX_SEQUENCES + 1], targets[MAX_SEQUENCES];
    uint64_t sequences[MAX_SEQUENCES];
    fv_batch batch;
} made_batch;

typedef struct shape { int layers, width, heads; fv_precision precision; bool mixed; } shape;

typedef struct rig {
    fv_encoder encoder;
    fv_head_weights head;
    fv_graph *graph;
    fv_pool *pool;
    float *grad, *moment1, *moment2;
    void *scratch;
    made_batch *batches; /* [BATCHES] */
    int next;
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

static fv_tensor *plan_step(rig *r, made_batch *b, fv_err *err)
{
    fv_graph_reset(r->graph, true);
    fv_tensor *hidden = fv_encoder_build(&r->encoder, r->graph, &b->batch), *logits = fv_head_build(&r->head, &r->encoder, r->graph, hidden, &b->batch);
    fv_graph_scope(r->graph, "loss");
    fv_tensor *loss = fv_cross_entropy(r->graph, logits, b->targets, 0.1f);
    r->status = fv_graph_plan(r->graph, loss, err);
    return loss;
}

static void run_step(rig *r, made_batch *b)
{
    fv_params *p = &r->encoder.params;
    memset(r->grad, 0, (size_t)p->n_floats * sizeof *r->grad);
    fv_tensor *loss = plan_step(r, b, NULL);
    if (r->status != FV_OK) return;
    fv_graph_forward(r->graph, 1);
    fv_graph_backward(r->graph, loss, 1, 1);
    double norm = sqrt(fv_sum_squares(r->grad, p->n_floats, r->pool, r->scratch));
    fv_adam adam = {.lr = 1e-4f, .beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f, .decay = 0.01f, .grad_scale = norm > 1 ? (float)(1 / norm) : 1, .correction1 = 0.1f, .correction2 = 0.001f, .decoupled = true};
    fv_adam_step(p->block, r->moment1, r->moment2, r->grad, p->n_floats, &adam, r->pool);
    fv_params_changed(p);
}

static void run_all(void *arg)
{
    rig *r = arg;
    for (int i = 0; i < BATCHES; i++) run_step(r, &r->batches[i]);
}

static fv_status set_up(rig *r, const fv_encoder_config *config, const shape *s, fv_err *err)
{
    fv_status status = FV_OK;
    fv_rng rng = fv_rng_make(1, "bench train");
    FV_TRY(fv_encoder_init(&r->encoder, config, err));
    FV_TRY(fv_head_init(&r->head, &r->encoder, FV_HEAD_TEXT, "", LABELS, err));
    FV_TRY(fv_params_allocate(&r->encoder.params, err));
    fv_params_draw(&r->encoder.params, 1);
    size_t n = (size_t)r->encoder.params.n_floats;
    r->grad = fv_alloc_zero(n, sizeof(float), err);
    r->moment1 = fv_alloc_zero(n, sizeof(float), err);
    r->moment2 = fv_alloc_zero(n, sizeof(float), err);
    r->scratch = fv_alloc(fv_sum_squares_scratch((int64_t)n), err);
    r->batches = fv_alloc_zero(BATCHES, sizeof *r->batches, err);
    r->graph = fv_graph_new(r->pool, err);
    if (!r->grad || !r->moment1 || !r->moment2 || !r->scratch || !r->batches || !r->graph) { status = FV_E_MEMORY; goto done; }
    fv_graph_set_precision(r->graph, s->precision);
    fv_params_bind_grad(&r->encoder.params, r->grad);
    for (int i = 0; i < BATCHES; i++) {
        make_batch(&r->batches[i], &rng, config->vocab, s->mixed);
        plan_step(r, &r->batches[i], err);
        FV_TRY(r->status);
        r->tokens += r->batches[i].batch.N;
        r->flops += fv_graph_flops(r->graph, false) + fv_graph_flops(r->graph, true);
    }
done:
    return status;
}

static fv_status bench_encoder(fv_bench_run *run, const shape *s, fv_err *err)
{
    char name[64];
    snprintf(name, sizeof name, "encoder %dx%d %s %s lengths", s->layers, s->width, s->precision == FV_PRECISION_BF16 ? "bf16" : "float32", s->mixed ? "mixed" : "equal");
    if (!fv_bench_wanted(run, name)) return FV_OK;
    if (s->precision == FV_PRECISION_BF16 && fv_peak_bf16(NULL) <= 0) return FV_OK; /* it would run, but for agreement, not for speed */
    fv_encoder_config config = {
        .vocab = s->width >= 512 ? 30522 : 8000, /* BERT's, as the peer that bench/peers runs has it */ .layers = s->layers, .width = s->width, .heads = s->heads, .ffn = 4 * s->width, .max_len = 128, .types = 2, .pooler = true,
        .act = FV_ACT_GELU, .norm_eps = 1e-12, .dropout = 0.1, .attention_dropout = 0.1, .init_deviation = 0.02,
    };
    rig r = {.pool = run->pool};
    fv_status status = set_up(&r, &config, s, err);
    run->precision = s->precision;
    if (status == FV_OK) fv_bench_case(run, name, "tokens/s", r.tokens, 1, r.flops, run_all, &r);
    if (status == FV_OK) status = r.status;
    fv_encoder_release(&r.encoder);
    fv_graph_free(r.graph);
    fv_free(r.grad), fv_free(r.moment1), fv_free(r.moment2), fv_free(r.scratch), fv_free(r.batches);
    return status;
}

fv_status fv_bench_train(fv_bench_run *run, fv_err *err)
{
    static const shape shapes[] = {
        {4, 512, 8, FV_PRECISION_F32, true}, {4, 512, 8, FV_PRECISION_F32, false}, {2, 128, 4, FV_PRECISION_F32, true},
        {4, 512, 8, FV_PRECISION_BF16, true}, {4, 512, 8, FV_PRECISION_BF16, false}, {2, 128, 4, FV_PRECISION_BF16, true},
    };
    fv_status status = FV_OK;
    for (size_t i = 0; i < FV_COUNT(shapes); i++) FV_TRY(bench_encoder(run, &shapes[i], err));
done:
    return status;
}
