/* fv_bench: how fast this machine and this program are. Each case is measured in several turns, and the
 * multiply-add peak before each turn: on a shared machine the two drift together, from one second to the
 * next, and only their ratio means something. A case's share is the median of its turns' shares. */
#include "api/bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TURNS = 7 };
static const double turn_seconds = 0.03;

/* ---- Harness ---- */

bool fv_bench_wanted(const fv_bench_run *run, const char *name) { return !run->only || strstr(name, run->only); }

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void fv_bench_report(const fv_bench_run *run, const char *name, const char *unit, int threads, const double *values, int n, double share)
{
    double sorted[TURNS];
    memcpy(sorted, values, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, by_value);
    fv_bench_result r = {
        .bench = run->bench, .name = name, .isa = fv_isa(), .unit = unit, .threads = threads, .runs = n,
        .value = sorted[n / 2], .min = sorted[0], .max = sorted[n - 1], .share_of_peak = share,
    };
    run->on_result(run->user, &r);
}

static double time_calls(fv_bench_fn fn, void *arg, int calls)
{
    double begun = fv_now();
    for (int i = 0; i < calls; i++) fn(arg);
    return (fv_now() - begun) / calls;
}

static double (*const peaks[])(fv_pool *) = {[FV_PRECISION_F32] = fv_peak_fma, [FV_PRECISION_BF16] = fv_peak_bf16, [FV_PRECISION_INT8] = fv_peak_int8};
static const char *const precisions[] = {[FV_PRECISION_F32] = "float32", [FV_PRECISION_BF16] = "bf16", [FV_PRECISION_INT8] = "int8"};

void fv_bench_case(fv_bench_run *run, const char *name, const char *unit, double units, double scale, double flops, fv_bench_fn fn, void *arg)
{
    double values[TURNS], shares[TURNS];
    if (!fv_bench_wanted(run, name)) return;
    int calls = (int)fmax(1, turn_seconds / time_calls(fn, arg, 2));
    for (int i = 0; i < TURNS; i++) {
        double peak = 1e9 * peaks[run->precision](run->pool), seconds = time_calls(fn, arg, calls);
        values[i] = units / seconds / scale;
        shares[i] = peak > 0 ? flops / seconds / peak : 0;
    }
    qsort(shares, TURNS, sizeof *shares, by_value);
    fv_bench_report(run, name, unit, fv_pool_threads(run->pool), values, TURNS, shares[TURNS / 2]);
}

static float *drawn(size_t n, fv_err *err)
{
    float *x = fv_alloc(n * sizeof *x, err);
    fv_rng rng = fv_rng_make(1, "bench");
    for (size_t i = 0; x && i < n; i++) x[i] = (float)fv_rng_uniform(&rng) - 0.5f;
    return x;
}

/* ---- peak ---- */

/* bf16 and int8 only where the processor has instructions for them. */
static void bench_multiply_add(fv_bench_run *run, fv_precision precision)
{
    char name[64];
    double values[TURNS];
    snprintf(name, sizeof name, "%s multiply-add", precisions[precision]);
    if (!fv_bench_wanted(run, name)) return;
    for (int i = 0; i < TURNS; i++) values[i] = peaks[precision](run->pool);
    if (values[0] > 0) fv_bench_report(run, name, "GFLOP/s", fv_pool_threads(run->pool), values, TURNS, 0);
}

static fv_status bench_peak(fv_bench_run *run, fv_err *err)
{
    double values[TURNS];
    const size_t bytes = (size_t)256 << 20;
    for (fv_precision p = FV_PRECISION_F32; p <= FV_PRECISION_INT8; p++) bench_multiply_add(run, p);
    if (!fv_bench_wanted(run, "memory triad")) return FV_OK;
    for (int i = 0; i < TURNS; i++)
        if ((values[i] = fv_peak_memory(run->pool, bytes, err)) <= 0) return FV_E_MEMORY;
    fv_bench_report(run, "memory triad", "GB/s", fv_pool_threads(run->pool), values, TURNS, 0);
    return FV_OK;
}

/* ---- gemm ---- */

typedef struct product { fv_gemm g; fv_pool *pool; void *scratch; } product;

static void run_product(void *arg)
{
    product *p = arg;
    fv_gemm_run(&p->g, p->pool, p->scratch);
}

typedef struct epilogue { const char *name; bool bias; fv_act act; bool residual; } epilogue;

/* Weights [n,k] packed as the precision wants them. */
static fv_packed *packed_weights(fv_precision precision, const float *b, int n, int k, fv_pool *pool, fv_err *err)
{
    if (precision == FV_PRECISION_F32) return fv_packed_new(b, k, true, k, n, pool, err);
    if (precision == FV_PRECISION_BF16) return fv_packed_new_bf16(b, k, true, k, n, pool, err);
    int8_t *q = fv_alloc((size_t)n * (size_t)k, err);
    float *scales = fv_alloc((size_t)n * sizeof *scales, err);
    fv_packed *packed = NULL;
    if (q && scales) {
        fv_quantize_weights(q, k, scales, b, k, n, k);
        packed = fv_packed_new_int8(q, k, scales, k, n, err);
    }
    fv_free(q), fv_free(scales);
    return packed;
}

static fv_status bench_product(fv_bench_run *run, int m, int k, int n, const epilogue *e, fv_err *err)
{
    char name[96];
    snprintf(name, sizeof name, "%s %dx%dx%d %s", precisions[run->precision], m, k, n, e->name);
    if (!fv_bench_wanted(run, name)) return FV_OK;
    fv_status status = FV_E_MEMORY;
    size_t M = (size_t)m, K = (size_t)k, N = (size_t)n;
    float *a = drawn(M * K, err), *b = drawn(K * N, err), *c = drawn(M * N, err), *r = drawn(M * N, err), *bias = drawn(N, err);
    fv_packed *packed = b ? packed_weights(run->precision, b, n, k, run->pool, err) : NULL;
    product p = {.pool = run->pool, .g = {.m = m, .n = n, .k = k, .a = a, .lda = k, .b = b, .ldb = k, .b_t = true, .packed = packed, .c = c, .ldc = n,
                 .bias = e->bias ? bias : NULL, .act = e->act, .residual = e->residual ? r : NULL, .ldres = n}};
    p.scratch = fv_alloc(fv_gemm_scratch(&p.g, fv_pool_threads(run->pool)) + 1, err);
    if (a && b && c && r && bias && packed && p.scratch) {
        double flops = 2.0 * m * n * k;
        fv_bench_case(run, name, "GFLOP/s", flops, 1e9, flops, run_product, &p);
        status = FV_OK;
    }
    fv_packed_free(packed);
    fv_free(a), fv_free(b), fv_free(c), fv_free(r), fv_free(bias), fv_free(p.scratch);
    return status;
}

static fv_status bench_gemm(fv_bench_run *run, fv_err *err)
{
    static const int rows[] = {128, 512, 2048}, shapes[][2] = {{384, 1536}, {512, 2048}, {768, 3072}};
    static const int steps[][3] = {{1, 512, 2048}, {1, 512, 32000}, {32, 512, 512}, {32, 512, 2048}, {128, 512, 512}}; /* of decoding: few rows, where weights' way from memory counts */
    static const epilogue epilogues[] = {{"bias", true, FV_ACT_NONE, false}, {"bias+gelu", true, FV_ACT_GELU, false}, {"bias+residual", true, FV_ACT_NONE, true}};
    fv_status status = FV_OK;
    for (run->precision = FV_PRECISION_F32; run->precision <= FV_PRECISION_INT8; run->precision++) {
        size_t n_epilogues = run->precision == FV_PRECISION_F32 ? FV_COUNT(epilogues) : 1;
        if (peaks[run->precision](NULL) <= 0) continue;
        for (size_t s = 0; s < FV_COUNT(shapes); s++)
            for (size_t m = 0; m < FV_COUNT(rows); m++)
                for (size_t e = 0; e < n_epilogues; e++) FV_TRY(bench_product(run, rows[m], shapes[s][0], shapes[s][1], &epilogues[e], err));
        for (size_t i = 0; i < FV_COUNT(steps); i++) FV_TRY(bench_product(run, steps[i][0], steps[i][1], steps[i][2], &epilogues[0], err));
    }
done:
    return status;
}

/* ---- attention ---- */

enum { HEADS = 8, HEAD_SIZE = 64, WIDTH = HEADS * HEAD_SIZE, PLACES = 4096 };

typedef struct attending { fv_attention a; fv_attention_grad g; fv_pool *pool; void *scratch; } attending;

static void run_forward(void *arg)
{
    attending *t = arg;
    fv_attention_forward(&t->a, t->pool, t->scratch);
}

static void run_backward(void *arg)
{
    attending *t = arg;
    fv_attention_backward(&t->a, &t->g, t->pool, t->scratch);
}

static void bench_attending(fv_bench_run *run, attending *t, const char *kind, int length)
{
    char name[96];
    double forward = fv_attention_flops(&t->a, false), backward = fv_attention_flops(&t->a, true);
    snprintf(name, sizeof name, "forward %s %d d64", kind, length);
    fv_bench_case(run, name, "GFLOP/s", forward, 1e9, forward, run_forward, t);
    snprintf(name, sizeof name, "backward %s %d d64", kind, length);
    run_forward(t); /* whatever was asked for, backward reads a forward's sums */
    fv_bench_case(run, name, "GFLOP/s", backward, 1e9, backward, run_backward, t);
}

/* Sequences of one length, about PLACES places in all. */
static void bench_length(fv_bench_run *run, attending *t, int length)
{
    int32_t offsets[PLACES + 1], B = length < PLACES ? PLACES / length : 1;
    uint64_t sequences[PLACES];
    for (int32_t b = 0; b <= B; b++) offsets[b] = b * length;
    for (int32_t b = 0; b < B; b++) sequences[b] = (uint64_t)b;
    t->a.B = B;
    t->a.q_offsets = t->a.k_offsets = offsets;
    t->a.sequences = sequences;
    t->scratch = fv_alloc(fv_attention_scratch(&t->a, fv_pool_threads(run->pool)) + 1, NULL);
    if (!t->scratch) return;
    bench_attending(run, t, "full", length);
    t->a.causal = true;
    bench_attending(run, t, "causal", length);
    t->a.causal = false;
    t->a.dropout = 0.1f;
    bench_attending(run, t, "dropout", length);
    t->a.dropout = 0;
    fv_free(t->scratch);
}

static fv_status bench_attention(fv_bench_run *run, fv_err *err)
{
    static const int lengths[] = {16, 64, 128, 256, 512, 1024, 2048, 4096};
    size_t n = (size_t)PLACES * WIDTH;
    float *qkv = drawn(3 * n, err), *out = drawn(2 * n, err), *grads = drawn(3 * n, err), *lse = drawn((size_t)PLACES * HEADS, err);
    if (qkv && out && grads && lse) {
        attending t = {.pool = run->pool,
            .a = {.H = HEADS, .K = HEADS, .D = HEAD_SIZE, .scale = 0.125f, .q = qkv, .k = qkv + WIDTH, .v = qkv + 2 * WIDTH, .ldq = 3 * WIDTH, .ldk = 3 * WIDTH, .ldv = 3 * WIDTH, .out = out, .ldo = WIDTH, .lse = lse},
            .g = {.dout = out + n, .lddo = WIDTH, .dq = grads, .dk = grads + WIDTH, .dv = grads + 2 * WIDTH, .lddq = 3 * WIDTH, .lddk = 3 * WIDTH, .lddv = 3 * WIDTH}};
        for (size_t i = 0; i < FV_COUNT(lengths); i++) bench_length(run, &t, lengths[i]);
    }
    fv_status status = qkv && out && grads && lse ? FV_OK : FV_E_MEMORY;
    fv_free(qkv), fv_free(out), fv_free(grads), fv_free(lse);
    return status;
}

/* ---- optimiser ---- */

typedef struct stepping { float *w, *m, *v, *g; int64_t n; fv_pool *pool; } stepping;

static void run_adam(void *arg)
{
    stepping *s = arg;
    fv_adam adam = {.lr = 1e-4f, .beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f, .decay = 0.01f, .grad_scale = 1, .correction1 = 0.1f, .correction2 = 0.001f, .decoupled = true};
    fv_adam_step(s->w, s->m, s->v, s->g, s->n, &adam, s->pool);
}

/* Four arrays read and three written: 28 bytes a parameter. The share is of the memory's peak. */
static fv_status bench_optimiser(fv_bench_run *run, fv_err *err)
{
    const char *name = "adamw 32 million parameters";
    if (!fv_bench_wanted(run, name)) return FV_OK;
    const int64_t n = 32 << 20;
    stepping s = {.n = n, .pool = run->pool, .w = drawn((size_t)n, err), .m = drawn((size_t)n, err), .v = fv_alloc_zero((size_t)n, sizeof(float), err), .g = drawn((size_t)n, err)};
    fv_status status = FV_E_MEMORY;
    if (s.w && s.m && s.v && s.g) {
        double bandwidth = 1e9 * fv_peak_memory(run->pool, (size_t)256 << 20, err), values[TURNS];
        run_adam(&s);
        for (int i = 0; i < TURNS; i++) values[i] = 28.0 * (double)n / time_calls(run_adam, &s, 1) / 1e9;
        qsort(values, TURNS, sizeof *values, by_value);
        fv_bench_report(run, name, "GB/s", fv_pool_threads(run->pool), values, TURNS, bandwidth > 0 ? 1e9 * values[TURNS / 2] / bandwidth : 0);
        status = FV_OK;
    }
    fv_free(s.w), fv_free(s.m), fv_free(s.v), fv_free(s.g);
    return status;
}

/* ---- Entry ---- */

typedef struct bench { const char *name; fv_status (*run)(fv_bench_run *, fv_err *); } bench;

static const bench benches[] = {{"peak", bench_peak}, {"gemm", bench_gemm}, {"attention", bench_attention}, {"embed", fv_bench_embed}, {"ops", fv_bench_ops}, {"train", fv_bench_train}, {"translate", fv_bench_translate}, {"optimiser", bench_optimiser}};

fv_status fv_bench(const char *what, const char *only, fv_on_bench on_result, void *user, fv_err *err)
{
    fv_status status = fv_kernels_check(err);
    if (status != FV_OK) return status;
    fv_bench_run run = {.bench = what, .only = only, .on_result = on_result, .user = user, .pool = fv_pool_shared(err)};
    if (!run.pool) return FV_E_MEMORY;
    for (size_t i = 0; i < FV_COUNT(benches); i++)
        if (strcmp(benches[i].name, what) == 0) return benches[i].run(&run, err);
    return FV_FAIL(err, FV_E_ARGUMENT, "bench \"%s\" is not known; expected peak, gemm, attention, embed, ops, train, translate or optimiser", what);
}
