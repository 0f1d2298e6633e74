/* The encoder–decoder: gradients of every parameter against differences of the loss, writing token by token against all
 * at once, what depends on what in a batch, and what its configuration may not be. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "models/seq2seq.h"

/* ---- Two pairs of texts ---- */

enum { B = 2, M = 7, N = 6, VOCAB = 11, MOST = 8 };
static const int32_t source_ids[M] = {5, 7, 9, 0, 3, 8, 0}, source_positions[M] = {0, 1, 2, 3, 0, 1, 2}, source_offsets[B + 1] = {0, 4, 7};
static const int32_t target_ids[N] = {10, 4, 6, 2, 10, 9}, target_positions[N] = {0, 1, 2, 3, 0, 1}, target_offsets[B + 1] = {0, 4, 6};
static const int32_t targets[N] = {4, 6, 2, 0, 9, 0}, zeros[N + M];
static const uint64_t sequences[B] = {5, 6};
static const fv_batch source = {.B = B, .N = M, .ids = source_ids, .types = zeros, .positions = source_positions, .offsets = source_offsets, .sequences = sequences};
static const fv_batch target = {.B = B, .N = N, .ids = target_ids, .types = zeros, .positions = target_positions, .offsets = target_offsets, .sequences = sequences};

static const fv_seq2seq_config plain = {
    .src_vocab = VOCAB, .tgt_vocab = VOCAB, .encoder_layers = 2, .decoder_layers = 2, .width = 8, .heads = 2, .ffn = 12, .max_len = MOST, .act = FV_ACT_GELU,
    .shared = true, .tied = true, .scale_embedding = true, .output_bias = true, .pad = 10, .eos = 0, .start = 10, .norm_eps = 1e-5,
};

static fv_seq2seq_config pre_norm_learned(void)
{
    fv_seq2seq_config c = plain;
    c.pre_norm = c.embedding_norm = true;
    c.shared = c.tied = c.scale_embedding = c.output_bias = false;
    c.positions = FV_POSITIONS_LEARNED;
    c.decoder_layers = 1;
    return c;
}

static fv_seq2seq_config placed(fv_positions positions)
{
    fv_seq2seq_config c = plain;
    c.positions = positions;
    return c;
}

static void begin(fv_seq2seq *m, const fv_seq2seq_config *config)
{
    fv_err err = {0};
    if (fv_seq2seq_init(m, config, &err) != FV_OK || fv_params_allocate(&m->params, &err) != FV_OK) fail_msg("%s", err.text);
    fv_params_draw(&m->params, 9);
    fv_rng rng = fv_rng_make(9, "shift"); /* biases and norms away from zero and one */
    for (int64_t i = 0; i < m->params.n_floats; i++) m->params.block[i] += (float)(0.1 * fv_rng_normal(&rng));
}

static fv_tensor *decoded(const fv_seq2seq *m, fv_graph *g)
{
    return fv_seq2seq_decode(m, g, fv_seq2seq_encode(m, g, &source), &source, &target);
}

/* ---- Gradients ---- */

static double loss_of(const fv_seq2seq *m, fv_graph *g, bool backward)
{
    fv_err err = {0};
    fv_graph_reset(g, true);
    fv_tensor *loss = fv_seq2seq_loss(m, g, decoded(m, g), targets, 0.1f);
    if (fv_graph_plan(g, loss, &err) != FV_OK) fail_msg("%s", err.text);
    fv_graph_forward(g, 3);
    if (backward) fv_graph_backward(g, loss, 1, 3);
    return (double)loss->data[0];
}

/* Along a parameter's own gradient the loss rises by its length: the direction that rounding hides least. */
static void check_param(const fv_seq2seq *m, fv_graph *g, fv_param *p, const float *grad)
{
    const double step = 4e-3;
    int64_t n = p->rows * p->cols;
    double length = 0, at[2];
    float *kept = malloc((size_t)n * sizeof *kept);
    memcpy(kept, p->data, (size_t)n * sizeof *kept);
    for (int64_t i = 0; i < n; i++) length += (double)grad[i] * (double)grad[i];
    length = sqrt(length);
    if (!(length > 1e-5)) fail_msg("%s has a gradient of length %g", p->names[0], length);
    for (int side = 0; side < 2; side++) {
        for (int64_t i = 0; i < n; i++) p->data[i] = kept[i] + (float)((side ? step : -step) * (double)grad[i] / length);
        at[side] = loss_of(m, g, false);
    }
    double slope = (at[1] - at[0]) / (2 * step);
    if (fabs(slope - length) > 0.02 * length + 4e-4) fail_msg("%s: slope %g, gradient %g", p->names[0], slope, length);
    memcpy(p->data, kept, (size_t)n * sizeof *kept);
    free(kept);
}

static void check_gradients(const fv_seq2seq_config *config)
{
    fv_seq2seq m;
    begin(&m, config);
    fv_graph *g = fv_graph_new(NULL, NULL);
    float *grad = calloc((size_t)m.params.n_floats, sizeof *grad);
    fv_params_bind_grad(&m.params, grad);
    loss_of(&m, g, true);
    float *first = malloc((size_t)m.params.n_floats * sizeof *first);
    memcpy(first, grad, (size_t)m.params.n_floats * sizeof *first);
    for (size_t i = 0; i < m.params.n; i++) check_param(&m, g, m.params.items[i], first + m.params.items[i]->offset);
    free(first);
    free(grad);
    fv_graph_free(g);
    fv_seq2seq_release(&m);
}

static void gradients_are_the_slopes_of_the_loss(void **state)
{
    (void)state;
    fv_seq2seq_config other = pre_norm_learned(), rotary = placed(FV_POSITIONS_ROTARY), relative = placed(FV_POSITIONS_RELATIVE);
    check_gradients(&plain);
    check_gradients(&other);
    check_gradients(&rotary);
    check_gradients(&relative);
}

/* ---- Token by token ---- */

static void fill_cross(const fv_seq2seq *m, fv_graph *g, fv_decoder_cache *cache)
{
    fv_tensor *kv[FV_SEQ2SEQ_MAX_LAYERS];
    fv_err err = {0};
    fv_graph_reset(g, false);
    fv_tensor *memory = fv_seq2seq_encode(m, g, &source);
    for (int i = 0; i < m->decoder.layers; i++) fv_graph_keep(g, kv[i] = fv_seq2seq_cross_kv(m, g, memory, i));
    if (fv_graph_plan(g, kv[m->decoder.layers - 1], &err) != FV_OK) fail_msg("%s", err.text);
    fv_graph_forward(g, 0);
    for (int i = 0; i < m->decoder.layers; i++) fv_decoder_cache_put(cache, i, 0, kv[i], 0, M);
}

/* One text at a time, its slots scattered: slot of token t of text b is 2·t + 1 - b. */
static void write_text(const fv_seq2seq *m, fv_graph *g, fv_decoder_cache *cache, int b, float *out)
{
    int32_t places[MOST], n = target_offsets[b + 1] - target_offsets[b];
    float weights[M];
    fv_err err = {0};
    for (int32_t t = 0; t < n; t++) {
        places[t] = 2 * t + 1 - b;
        fv_step s = {
            .R = 1, .ids = &target_ids[target_offsets[b] + t], .positions = &t, .slots = &places[t], .places = places, .ldplaces = MOST,
            .lengths = (int32_t[]){t + 1}, .most = MOST, .firsts = &source_offsets[b], .memory_lengths = (int32_t[]){source_offsets[b + 1] - source_offsets[b]}, .most_memory = M,
            .weights = weights, .ldweights = M,
        };
        fv_graph_reset(g, false);
        fv_tensor *logits = fv_seq2seq_logits(m, g, fv_seq2seq_step(m, g, cache, &s));
        if (fv_graph_plan(g, logits, &err) != FV_OK) fail_msg("%s", err.text);
        fv_graph_forward(g, 0);
        memcpy(out + (target_offsets[b] + t) * VOCAB, logits->data, VOCAB * sizeof *out);
        double sum = 0;
        for (int32_t j = 0; j < s.memory_lengths[0]; j++) sum += (double)weights[j];
        assert_true(fabs(sum - 1) < 1e-5);
    }
}

static void check_steps(const fv_seq2seq_config *config)
{
    fv_seq2seq m;
    fv_decoder_cache cache;
    fv_err err = {0};
    float out[N * VOCAB];
    begin(&m, config);
    fv_graph *g = fv_graph_new(NULL, NULL);
    assert_int_equal(fv_decoder_cache_init(&cache, &m, 2 * MOST, M, &err), FV_OK);
    fill_cross(&m, g, &cache);
    for (int b = 0; b < B; b++) write_text(&m, g, &cache, b, out);
    fv_graph_reset(g, false);
    fv_tensor *logits = fv_seq2seq_logits(&m, g, decoded(&m, g));
    if (fv_graph_plan(g, logits, &err) != FV_OK) fail_msg("%s", err.text);
    fv_graph_forward(g, 0);
    for (int i = 0; i < N * VOCAB; i++)
        if (fabs((double)out[i] - (double)logits->data[i]) > 2e-5) fail_msg("logit %d: %g in steps, %g at once", i, (double)out[i], (double)logits->data[i]);
    fv_decoder_cache_release(&cache);
    fv_graph_free(g);
    fv_seq2seq_release(&m);
}

static void writing_token_by_token_is_writing_at_once(void **state)
{
    (void)state;
    fv_seq2seq_config other = pre_norm_learned(), rotary = placed(FV_POSITIONS_ROTARY), relative = placed(FV_POSITIONS_RELATIVE);
    check_steps(&plain);
    check_steps(&other);
    check_steps(&rotary);
    check_steps(&relative);
}

/* ---- Configuration ---- */

static void refused(fv_seq2seq_config config, const char *message)
{
    fv_seq2seq m;
    fv_err err = {0};
    assert_int_equal(fv_seq2seq_init(&m, &config, &err), FV_E_ARGUMENT);
    assert_string_equal(err.text, message);
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    fv_seq2seq_config c = plain;
    c.heads = 3, refused(c, "width 8 does not divide into 3 heads");
    c = plain, c.decoder_layers = 0, refused(c, "2 and 0 layers; expected 1 to 32 in encoder and decoder");
    c = plain, c.src_vocab = 12, refused(c, "one table for vocabularies of 12 and 11; expected equal ones");
    c = plain, c.start = 11, refused(c, "id 11 for the start of a target text; expected 0 to 10");
    c = plain, c.positions = FV_POSITIONS_ROTARY, c.heads = 8, refused(c, "rotary positions turn pairs of numbers; found heads of 1");
    c = plain, c.max_len = 65536, c.width = 16384, c.heads = 1, refused(c, "fixed positions for 65536 tokens of width 16384; expected at most 33554432 numbers");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_the_slopes_of_the_loss),
        cmocka_unit_test(writing_token_by_token_is_writing_at_once),
        cmocka_unit_test(what_makes_no_sense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
