/* The whole encoder: its gradients against differences of its loss, what depends on what in a batch,
 * and what its configuration may not be. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "models/head.h"
#include "ops.h"

/* ---- A batch of three texts ---- */

enum { B = 3, N = 12, OUTPUTS = 3 };
static const int32_t ids[N] = {2, 7, 9, 3, 2, 11, 3, 2, 5, 6, 10, 3}, types[N] = {0, 0, 1, 1}, positions[N] = {0, 1, 2, 3, 0, 1, 2, 0, 1, 2, 3, 4};
static const int32_t offsets[B + 1] = {0, 4, 7, 12}, targets[B] = {0, 2, 1};
static const uint64_t sequences[B] = {5, 6, 7};
static const uint32_t row_numbers[B] = {0, 1, 2};
static const fv_batch batch = {.B = B, .N = N, .ids = ids, .types = types, .positions = positions, .offsets = offsets, .sequences = sequences, .rows = row_numbers};

static fv_encoder_config config_of(fv_pooling pooling, bool pre_norm, bool sinusoidal, fv_act act)
{
    return (fv_encoder_config){
        .vocab = 12, .layers = 2, .width = 8, .heads = 2, .ffn = 10, .max_len = 6, .types = 2, .pooler = true, .act = act, .pooling = pooling,
        .pre_norm = pre_norm, .sinusoidal = sinusoidal, .norm_eps = 1e-6, .init_deviation = 0.3,
    };
}

static fv_head_weights head; /* of the encoder at hand */

static void begin(fv_encoder *e, const fv_encoder_config *config)
{
    fv_err err = {0};
    if (fv_encoder_init(e, config, &err) != FV_OK || fv_head_init(&head, e, FV_HEAD_TEXT, "", OUTPUTS, &err) != FV_OK || fv_params_allocate(&e->params, &err) != FV_OK) fail_msg("%s", err.text);
    fv_params_draw(&e->params, 9);
    fv_rng rng = fv_rng_make(9, "shift"); /* biases and norms away from zero and one */
    for (int64_t i = 0; i < e->params.n_floats; i++) e->params.block[i] += (float)(0.1 * fv_rng_normal(&rng));
}

static double loss_of(const fv_encoder *e, fv_graph *g, bool backward)
{
    fv_err err = {0};
    fv_graph_reset(g, true);
    fv_tensor *logits = fv_head_build(&head, e, g, fv_encoder_build(e, g, &batch), &batch);
    fv_tensor *loss = fv_cross_entropy(g, logits, targets, 0.1f);
    if (fv_graph_plan(g, loss, &err) != FV_OK) fail_msg("%s", err.text);
    fv_graph_forward(g, 3);
    if (backward) fv_graph_backward(g, loss, 1, 3);
    return (double)loss->data[0];
}

/* ---- Gradients ---- */

static double length_of(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

/* Along a parameter's own gradient the loss rises by its length: the direction that rounding hides
 * least. */
static void check_param(fv_encoder *e, fv_graph *g, fv_param *p, const float *grad)
{
    const double step = 4e-3;
    int64_t n = p->rows * p->cols;
    double length = length_of(grad, n), at[2];
    float *kept = malloc((size_t)n * sizeof *kept);
    memcpy(kept, p->data, (size_t)n * sizeof *kept);
    if (!(length > 1e-4)) fail_msg("%s has a gradient of length %g", p->names[0], length);
    for (int side = 0; side < 2; side++) {
        for (int64_t i = 0; i < n; i++) p->data[i] = kept[i] + (float)((side ? step : -step) * (double)grad[i] / length);
        at[side] = loss_of(e, g, false);
    }
    double slope = (at[1] - at[0]) / (2 * step);
    if (fabs(slope - length) > 0.02 * length + 2e-4) fail_msg("%s: slope %g, gradient %g", p->names[0], slope, length);
    memcpy(p->data, kept, (size_t)n * sizeof *kept);
    free(kept);
}

static void check_gradients(const fv_encoder_config *config)
{
    fv_encoder e;
    begin(&e, config);
    fv_graph *g = fv_graph_new(NULL, NULL);
    float *grad = fv_alloc_zero((size_t)e.params.n_floats, sizeof *grad, NULL);
    fv_params_bind_grad(&e.params, grad);
    loss_of(&e, g, true);
    fv_params_bind_grad(&e.params, NULL);
    for (size_t i = 0; i < e.params.n; i++) check_param(&e, g, e.params.items[i], grad + e.params.items[i]->offset);
    fv_free(grad);
    fv_graph_free(g);
    fv_encoder_release(&e);
}

static void gradients_are_slopes(void **state)
{
    (void)state;
    fv_encoder_config configs[] = {
        config_of(FV_POOLING_CLS, false, false, FV_ACT_GELU), config_of(FV_POOLING_MEAN, true, false, FV_ACT_GELU),
        config_of(FV_POOLING_MAX, false, true, FV_ACT_GELU), config_of(FV_POOLING_CLS, true, true, FV_ACT_GELU),
        config_of(FV_POOLING_CLS, false, false, FV_ACT_GELU), config_of(FV_POOLING_CLS, false, false, FV_ACT_GELU),
        config_of(FV_POOLING_MEAN, false, false, FV_ACT_GELU),
    };
    configs[4].article_attention = true;
    configs[5].mixing = FV_MIXING_UNIFORM;
    configs[6].mixing = FV_MIXING_NONE;
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) check_gradients(&configs[i]);
}

/* ---- Batches ---- */

static void run(const fv_encoder *e, fv_graph *g, const fv_batch *of, float *logits)
{
    fv_err err = {0};
    fv_graph_reset(g, false);
    fv_tensor *out = fv_head_build(&head, e, g, fv_encoder_build(e, g, of), of);
    if (fv_graph_plan(g, out, &err) != FV_OK) fail_msg("%s", err.text);
    fv_graph_forward(g, 0);
    assert_int_equal(out->rows, of->B);
    assert_int_equal(out->cols, OUTPUTS);
    memcpy(logits, out->data, (size_t)(of->B * OUTPUTS) * sizeof *logits);
}

static void a_text_s_logits_are_its_own(void **state)
{
    (void)state;
    for (int pooling = 0; pooling < 3; pooling++) {
        fv_encoder_config config = config_of((fv_pooling)pooling, false, false, FV_ACT_RELU);
        fv_encoder e;
        float together[B * OUTPUTS], alone[OUTPUTS];
        begin(&e, &config);
        fv_graph *g = fv_graph_new(NULL, NULL);
        run(&e, g, &batch, together);
        for (int b = 0; b < B; b++) {
            int32_t first = offsets[b], n = offsets[b + 1] - first, ends[2] = {0, n};
            fv_batch one = {.B = 1, .N = n, .ids = ids + first, .types = types + first, .positions = positions + first, .offsets = ends, .sequences = sequences + b, .rows = row_numbers};
            run(&e, g, &one, alone);
            assert_memory_equal(alone, together + b * OUTPUTS, sizeof alone);
        }
        fv_graph_free(g);
        fv_encoder_release(&e);
    }
}

/* Hidden states of the batch with another word at one place, less those of the batch: the largest change of each row. */
static void change_one_word(fv_mixing mixing, int32_t place, float change[N])
{
    fv_encoder_config config = config_of(FV_POOLING_MEAN, false, false, FV_ACT_GELU);
    fv_encoder e;
    fv_err err = {0};
    float before[N * 8];
    int32_t others[N];
    memcpy(others, ids, sizeof others);
    others[place] = (ids[place] + 1) % 12;
    config.mixing = mixing;
    begin(&e, &config);
    fv_graph *g = fv_graph_new(NULL, NULL);
    for (int run_of = 0; run_of < 2; run_of++) {
        fv_batch of = batch;
        if (run_of) of.ids = others;
        fv_graph_reset(g, false);
        fv_tensor *out = fv_encoder_build(&e, g, &of);
        if (fv_graph_plan(g, out, &err) != FV_OK) fail_msg("%s", err.text);
        fv_graph_forward(g, 0);
        for (int r = 0; r < N; r++) change[r] = 0;
        for (int i = 0; i < N * 8; i++) {
            float y = out->data[i / 8 * out->stride + i % 8];
            if (run_of) change[i / 8] = fmaxf(change[i / 8], fabsf(y - before[i]));
            else before[i] = y;
        }
    }
    fv_graph_free(g);
    fv_encoder_release(&e);
}

static void without_mixing_a_word_changes_itself_only(void **state)
{
    (void)state;
    float change[N];
    for (int mixing = FV_MIXING_FULL; mixing <= FV_MIXING_NONE; mixing++) {
        change_one_word((fv_mixing)mixing, offsets[0] + 1, change);
        assert_true(change[offsets[0] + 1] > 1e-3f);
        assert_true(mixing == FV_MIXING_NONE ? change[offsets[0]] == 0 : change[offsets[0]] > 1e-5f);
        assert_true(change[offsets[1]] == 0);
    }
}

/* Queries and keys are the first two thirds of the product. */
static void uniform_mixing_asks_no_queries(void **state)
{
    (void)state;
    for (int mixing = FV_MIXING_FULL; mixing <= FV_MIXING_UNIFORM; mixing++) {
        fv_encoder_config config = config_of(FV_POOLING_CLS, false, false, FV_ACT_GELU);
        fv_encoder e;
        float before[B * OUTPUTS], after[B * OUTPUTS];
        config.mixing = (fv_mixing)mixing;
        begin(&e, &config);
        fv_graph *g = fv_graph_new(NULL, NULL);
        run(&e, g, &batch, before);
        for (int i = 0; i < 2 * 8 * 8; i++) e.blocks[0].qkv.w->data[i] += 0.5f;
        run(&e, g, &batch, after);
        assert_true((memcmp(before, after, sizeof before) == 0) == (mixing == FV_MIXING_UNIFORM));
        fv_graph_free(g);
        fv_encoder_release(&e);
    }
}

static void packing_changes_nothing_that_matters(void **state)
{
    (void)state;
    fv_encoder_config config = config_of(FV_POOLING_CLS, false, false, FV_ACT_GELU);
    fv_encoder e;
    float loose[B * OUTPUTS], packed[B * OUTPUTS];
    begin(&e, &config);
    fv_graph *g = fv_graph_new(NULL, NULL);
    run(&e, g, &batch, loose);
    assert_int_equal(fv_params_pack(&e.params, FV_PRECISION_F32, NULL, NULL), FV_OK);
    run(&e, g, &batch, packed);
    for (int i = 0; i < B * OUTPUTS; i++) assert_true(fabsf(loose[i] - packed[i]) < 1e-5f);
    fv_graph_free(g);
    fv_encoder_release(&e);
}

/* ---- Configurations ---- */

static void impossible_ones_are_refused(void **state)
{
    (void)state;
    fv_encoder_config good = config_of(FV_POOLING_CLS, false, false, FV_ACT_GELU), bad;
    fv_encoder e;
    fv_err err = {0};
    int64_t live = fv_alloc_live();
#define REFUSED(field, value, part) \
    bad = good, bad.field = (value), assert_int_equal(fv_encoder_init(&e, &bad, &err), FV_E_ARGUMENT), assert_non_null(strstr(err.text, part))
    REFUSED(layers, 0, "0 layers");
    REFUSED(layers, FV_MAX_LAYERS + 1, "65 layers; expected 1 to 64");
    REFUSED(width, 4, "width 4; expected 8");
    REFUSED(heads, 3, "width 8 does not divide into 3 heads");
    REFUSED(heads, 0, "heads");
    REFUSED(ffn, 0, "feed-forward width 0");
    REFUSED(max_len, 3, "texts of 3 tokens");
    REFUSED(vocab, 1, "vocabulary of 1");
    REFUSED(types, -1, "-1 token types; expected 0 to 16");
    REFUSED(types, 17, "17 token types");
    REFUSED(pad, 500000, "the padding's id is 500000");
    REFUSED(mixing, FV_MIXING_NONE, "[CLS] sees no word");
    REFUSED(dropout, 1, "dropout 1");
    REFUSED(attention_dropout, NAN, "attention dropout nan");
    REFUSED(norm_eps, 0, "epsilon 0");
    good.sinusoidal = true;
    good.width = good.heads = 16384;
    REFUSED(max_len, 65536, "fixed positions for 65536 tokens of width 16384");
    good = config_of(FV_POOLING_CLS, false, false, FV_ACT_GELU);
#undef REFUSED
    assert_int_equal(fv_alloc_live(), live);
    for (int64_t n = 0;; n++) {
        fv_alloc_fail_after(n);
        fv_status status = fv_encoder_init(&e, &good, &err);
        fv_alloc_fail_after(-1);
        if (status == FV_OK) break;
        assert_int_equal(status, FV_E_MEMORY);
        assert_int_equal(fv_alloc_live(), live);
    }
    fv_encoder_release(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_slopes),
        cmocka_unit_test(a_text_s_logits_are_its_own),
        cmocka_unit_test(without_mixing_a_word_changes_itself_only),
        cmocka_unit_test(uniform_mixing_asks_no_queries),
        cmocka_unit_test(packing_changes_nothing_that_matters),
        cmocka_unit_test(impossible_ones_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
