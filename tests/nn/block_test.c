/* One Transformer layer against the same lines written plainly in float64, on ragged batches. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "nn/nn.h"

enum { C = 12, FFN = 20, N = 9, B = 3 };
static const int32_t offsets[B + 1] = {0, 5, 6, 9};
static const uint64_t sequences[B] = {0, 1, 2};

/* ---- The truth ---- */

/* y [rows, out] = x [rows, in] · wᵀ + b */
static void linear(double *y, const double *x, const fv_linear_weights *l, int rows)
{
    int out = (int)l->w->rows, in = (int)l->w->cols;
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < out; o++) {
            double sum = (double)l->b->data[o];
            for (int i = 0; i < in; i++) sum += x[r * in + i] * (double)l->w->data[o * in + i];
            y[r * out + o] = sum;
        }
}

static void norm(double *y, const double *x, const fv_norm_weights *n, double eps)
{
    for (int r = 0; r < N; r++) {
        double mean = 0, variance = 0;
        for (int c = 0; c < C; c++) mean += x[r * C + c] / C;
        for (int c = 0; c < C; c++) variance += (x[r * C + c] - mean) * (x[r * C + c] - mean) / C;
        for (int c = 0; c < C; c++) y[r * C + c] = (x[r * C + c] - mean) / sqrt(variance + eps) * (double)n->w->data[c] + (double)n->b->data[c];
    }
}

static bool visible(const fv_block_shape *s, int query, int key)
{
    if (s->causal && key > query) return false;
    return s->window <= 0 || abs(key - query) < s->window;
}

/* One head of one sequence: rows are qkv_cols apart. */
static void attend(double *out, const double *q, const double *k, const double *v, int n, int D, int qkv_cols, const fv_block_shape *s)
{
    for (int i = 0; i < n; i++) {
        double weights[N], sum = 0;
        for (int j = 0; j < n; j++) {
            double score = 0;
            for (int d = 0; d < D; d++) score += q[i * qkv_cols + d] * k[j * qkv_cols + d];
            sum += weights[j] = visible(s, i, j) ? exp(score / sqrt(D)) : 0;
        }
        for (int d = 0; d < D; d++) {
            out[i * C + d] = 0;
            for (int j = 0; j < n; j++) out[i * C + d] += weights[j] / sum * v[j * qkv_cols + d];
        }
    }
}

static void self_attention(double *out, const double *x, const fv_block *b, const fv_block_shape *s)
{
    int D = C / s->heads, cols = C + 2 * s->kv_heads * D;
    double qkv[N * 3 * C], mixed[N * C];
    linear(qkv, x, &b->qkv, N);
    for (int i = 0; i < B; i++)
        for (int h = 0; h < s->heads; h++) {
            const double *row = qkv + offsets[i] * cols;
            int kv = h * s->kv_heads / s->heads;
            attend(mixed + offsets[i] * C + h * D, row + h * D, row + C + kv * D, row + C + s->kv_heads * D + kv * D, offsets[i + 1] - offsets[i], D, cols, s);
        }
    linear(out, mixed, &b->out, N);
}

static void feed_forward(double *out, const double *x, const fv_block *b, const fv_block_shape *s)
{
    double hidden[N * FFN];
    linear(hidden, x, &b->up, N);
    for (int i = 0; i < N * FFN; i++)
        hidden[i] = s->act == FV_ACT_RELU ? fmax(0, hidden[i]) : hidden[i] * 0.5 * (1 + erf(hidden[i] / sqrt(2)));
    linear(out, hidden, &b->down, N);
}

typedef void half_fn(double *out, const double *x, const fv_block *b, const fv_block_shape *s);

/* Post-norm: norm(x + f(x)); pre-norm: x + f(norm(x)). */
static void half(double *x, half_fn *f, const fv_norm_weights *n, const fv_block *b, const fv_block_shape *s)
{
    double in[N * C], out[N * C];
    if (s->pre_norm) norm(in, x, n, (double)s->norm_eps);
    else memcpy(in, x, sizeof in);
    f(out, in, b, s);
    for (int i = 0; i < N * C; i++) out[i] += x[i];
    if (s->pre_norm) memcpy(x, out, sizeof out);
    else norm(x, out, n, (double)s->norm_eps);
}

/* ---- The layer ---- */

static void init_block(fv_block *b, fv_params *params, int heads, int kv_heads)
{
    int D = C / heads;
    fv_status status = fv_linear_init(&b->qkv, params, (const char *[]){"qkv"}, 1, C + 2 * kv_heads * D, C, 0.4f, NULL);
    if (status == FV_OK) status = fv_linear_init(&b->out, params, (const char *[]){"out"}, 1, C, C, 0.3f, NULL);
    if (status == FV_OK) status = fv_linear_init(&b->up, params, (const char *[]){"up"}, 1, FFN, C, 0.3f, NULL);
    if (status == FV_OK) status = fv_linear_init(&b->down, params, (const char *[]){"down"}, 1, C, FFN, 0.3f, NULL);
    if (status == FV_OK) status = fv_norm_init(&b->attention_norm, params, "norm1", C, NULL);
    if (status == FV_OK) status = fv_norm_init(&b->ffn_norm, params, "norm2", C, NULL);
    if (status == FV_OK) status = fv_params_allocate(params, NULL);
    assert_int_equal(status, FV_OK);
    fv_rng rng = fv_rng_make(3, "block");
    for (int64_t i = 0; i < params->n_floats; i++) params->block[i] = (float)(0.35 * fv_rng_normal(&rng));
}

static void check(const fv_block_shape *shape, bool training)
{
    fv_params params = {0};
    fv_block block = {0};
    float x[N * C];
    double truth[N * C];
    init_block(&block, &params, shape->heads, shape->kv_heads);
    fv_rng rng = fv_rng_make(4, "x");
    for (int i = 0; i < N * C; i++) truth[i] = (double)(x[i] = (float)fv_rng_normal(&rng));
    half(truth, self_attention, &block.attention_norm, &block, shape);
    half(truth, feed_forward, &block.ffn_norm, &block, shape);

    fv_batch batch = {.B = B, .N = N, .offsets = offsets, .sequences = sequences};
    fv_graph *g = fv_graph_new(NULL, NULL);
    fv_err err = {0};
    fv_graph_reset(g, training);
    fv_tensor *y = fv_block_build(g, fv_graph_input(g, "x", x, N, C, C), &block, shape, &batch);
    if (fv_graph_plan(g, y, &err) != FV_OK) fail_msg("%s", err.text);
    assert_non_null(fv_graph_find_node(g, "attend"));
    fv_graph_forward(g, 1);
    for (int i = 0; i < N * C; i++)
        if (fabs((double)y->data[i] - truth[i]) > 2e-5 * (1 + fabs(truth[i]))) fail_msg("number %d is %.8g, expected %.8g", i, (double)y->data[i], truth[i]);
    fv_graph_free(g);
    fv_params_release(&params);
}

static void layers_are_what_they_say(void **state)
{
    (void)state;
    static const fv_block_shape shapes[] = {
        {.heads = 2, .kv_heads = 2, .act = FV_ACT_GELU, .norm_eps = 1e-12f},
        {.heads = 3, .kv_heads = 3, .act = FV_ACT_RELU, .norm_eps = 1e-5f, .pre_norm = true},
        {.heads = 4, .kv_heads = 2, .act = FV_ACT_GELU, .norm_eps = 1e-5f, .causal = true},
        {.heads = 1, .kv_heads = 1, .act = FV_ACT_GELU, .norm_eps = 1e-5f, .pre_norm = true, .window = 2},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        check(&shapes[i], false);
        check(&shapes[i], true); /* without dropout training computes the same */
    }
}

/* Dropout is alive in training alone, and drawn from the step's key. */
static void dropout_lives_in_training(void **state)
{
    (void)state;
    fv_params params = {0};
    fv_block block = {0};
    float x[N * C], seen[4][N * C];
    for (int i = 0; i < N * C; i++) x[i] = sinf((float)i);
    init_block(&block, &params, 2, 2);
    fv_block_shape shape = {.heads = 2, .kv_heads = 2, .act = FV_ACT_GELU, .norm_eps = 1e-5f, .dropout = 0.3f, .attention_dropout = 0.3f};
    fv_batch batch = {.B = B, .N = N, .offsets = offsets, .sequences = sequences};
    fv_graph *g = fv_graph_new(NULL, NULL);
    static const struct { bool training; uint64_t key; } runs[] = {{true, 1}, {true, 1}, {true, 2}, {false, 1}};
    for (int i = 0; i < 4; i++) {
        fv_graph_reset(g, runs[i].training);
        fv_tensor *y = fv_block_build(g, fv_graph_input(g, "x", x, N, C, C), &block, &shape, &batch);
        assert_int_equal(fv_graph_plan(g, y, NULL), FV_OK);
        fv_graph_forward(g, runs[i].key);
        memcpy(seen[i], y->data, sizeof seen[i]);
    }
    assert_memory_equal(seen[0], seen[1], sizeof seen[0]);
    assert_memory_not_equal(seen[0], seen[2], sizeof seen[0]);
    assert_memory_not_equal(seen[0], seen[3], sizeof seen[0]);
    fv_graph_free(g);
    fv_params_release(&params);
}

static void sinusoids_are_the_paper_s(void **state)
{
    (void)state;
    float table[7 * 6];
    fv_sinusoids(table, 7, 6);
    for (int c = 0; c < 6; c++) assert_true(table[c] == (float)(c % 2)); /* position 0: sin 0, cos 0 */
    assert_true(fabs((double)table[5 * 6 + 2] - sin(5 / pow(10000, 2.0 / 6))) < 1e-6);
    assert_true(fabs((double)table[6 * 6 + 5] - cos(6 / pow(10000, 4.0 / 6))) < 1e-6);
}

static void long_names_are_refused(void **state)
{
    (void)state;
    fv_params params = {0};
    fv_linear_weights l;
    fv_err err = {0};
    char name[FV_PARAM_NAME];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    assert_int_equal(fv_linear_init(&l, &params, (const char *[]){name}, 1, 4, 4, 1, &err), FV_E_ARGUMENT);
    assert_non_null(strstr(err.text, "a name this long is not supported"));
    fv_params_release(&params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_are_what_they_say),
        cmocka_unit_test(dropout_lives_in_training),
        cmocka_unit_test(sinusoids_are_the_paper_s),
        cmocka_unit_test(long_names_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
