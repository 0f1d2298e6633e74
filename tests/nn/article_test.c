/* The article's attention block: values and gradients against the formulas of nn.h in float64, dropout
 * along a direction, what config.json and the weights say, and that a model of it learns. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "models/encoder.h"
#include "ops.h"
#include "train/toy.h"

enum { ROWS = 9, WIDTH = 8, HEADS = 2, FFN = 12, LARGEST = ROWS * FFN };

static const int32_t offsets[] = {0, 4, 5, 9};
static const uint64_t sequences[] = {3, 11, 5};
static const fv_batch batch = {.B = 3, .N = ROWS, .offsets = offsets, .sequences = sequences};
static const uint64_t key = 41;

/* ---- A loss of any output: Σ y · w ---- */

static double weight_of(int64_t i) { return sin(0.9 * (double)i + 0.2); }

static fv_status sum_check(fv_node *node, fv_err *err)
{
    (void)err;
    node->out->rows = node->out->cols = 1;
    return FV_OK;
}

static void sum_forward(const fv_node *node, const fv_run *run)
{
    (void)run;
    const fv_tensor *y = node->in[0];
    double sum = 0;
    for (int64_t r = 0; r < y->rows; r++)
        for (int64_t c = 0; c < y->cols; c++) sum += (double)y->data[r * y->stride + c] * weight_of(r * y->cols + c);
    node->out->data[0] = (float)sum;
}

static void sum_backward(const fv_node *node, const fv_run *run)
{
    (void)run;
    const fv_tensor *y = node->in[0];
    fv_grad_to d = fv_grad(node, 0);
    for (int64_t r = 0; r < y->rows; r++)
        for (int64_t c = 0; c < y->cols; c++) d.data[r * d.stride + c] = node->out->grad[0] * (float)weight_of(r * y->cols + c);
}

static const fv_op sum_op = {.name = "sum", .check = sum_check, .forward = sum_forward, .backward = sum_backward};

/* ---- A layer on a drawn input ---- */

typedef struct layer {
    fv_encoder encoder;   /* its one block is what is tested; embeddings and head lie idle */
    fv_block_shape shape;
    fv_graph *graph;
    float *gradients;
    float x[ROWS * WIDTH], dx[ROWS * WIDTH];
    fv_tensor *y, *loss;
} layer;

static const fv_encoder_config article = {
    .vocab = 8, .layers = 1, .width = WIDTH, .heads = HEADS, .ffn = FFN, .max_len = 4, .types = 1, .act = FV_ACT_GELU,
    .article_attention = true, .norm_eps = 1e-5, .init_deviation = 0.4,
};

static void fill(float *x, int64_t n, const char *name)
{
    fv_rng rng = fv_rng_make(7, name);
    for (int64_t i = 0; i < n; i++) x[i] = (float)fv_rng_normal(&rng);
}

static void make_layer(layer *l, fv_block_shape shape, bool training)
{
    fv_err err = {0};
    *l = (layer){.shape = shape, .graph = fv_graph_new(NULL, NULL)};
    assert_non_null(l->graph);
    if (fv_encoder_init(&l->encoder, &article, &err) != FV_OK) fail_msg("%s", err.text);
    assert_int_equal(fv_params_allocate(&l->encoder.params, &err), FV_OK);
    fill(l->encoder.params.block, l->encoder.params.n_floats, "weights"); /* biases and norms too */
    for (int64_t i = 0; i < l->encoder.params.n_floats; i++) l->encoder.params.block[i] *= 0.4f;
    l->gradients = fv_alloc_zero((size_t)l->encoder.params.n_floats, sizeof(float), &err);
    assert_non_null(l->gradients);
    if (training) fv_params_bind_grad(&l->encoder.params, l->gradients);
    fill(l->x, ROWS * WIDTH, "x");
}

static void free_layer(layer *l)
{
    fv_encoder_release(&l->encoder);
    fv_graph_free(l->graph);
    fv_free(l->gradients);
}

static double run_layer(layer *l, bool training)
{
    fv_err err = {0};
    fv_graph_reset(l->graph, training);
    fv_tensor *x = fv_graph_input_grad(l->graph, "x", l->x, l->dx, ROWS, WIDTH, WIDTH);
    fv_graph_scope(l->graph, "layer.0");
    l->y = fv_block_build(l->graph, x, &l->encoder.blocks[0], &l->shape, &batch);
    l->loss = l->y ? fv_graph_add(l->graph, &sum_op, (fv_tensor *[]){l->y}, 1, 1, NULL, 0) : NULL;
    fv_graph_keep(l->graph, l->y);
    if (fv_graph_plan(l->graph, l->loss ? l->loss : x, &err) != FV_OK) fail_msg("%s", err.text);
    fv_graph_forward(l->graph, key);
    return (double)l->loss->data[0];
}

/* ---- The same in float64, as nn.h has it ---- */

static double activate(fv_act act, double x)
{
    if (act == FV_ACT_NONE) return x;
    return act == FV_ACT_RELU ? fmax(x, 0) : 0.5 * x * (1 + erf(x / sqrt(2)));
}

/* y = act(x wᵀ + b), w being rows `first` … of the parameter; y may hold what is added to. */
static void linear(double *y, const double *x, int in, const double *w, const double *b, int out, fv_act act)
{
    for (int r = 0; r < ROWS; r++)
        for (int o = 0; o < out; o++) {
            double sum = b ? b[o] : 0;
            for (int i = 0; i < in; i++) sum += x[r * in + i] * w[o * in + i];
            y[r * out + o] = activate(act, sum);
        }
}

static void norm(double *x, const double *w, const double *b, double eps)
{
    for (int r = 0; r < ROWS; r++) {
        double *row = x + r * WIDTH, mean = 0, var = 0;
        for (int c = 0; c < WIDTH; c++) mean += row[c] / WIDTH;
        for (int c = 0; c < WIDTH; c++) var += (row[c] - mean) * (row[c] - mean) / WIDTH;
        for (int c = 0; c < WIDTH; c++) row[c] = (row[c] - mean) / sqrt(var + eps) * w[c] + b[c];
    }
}

static void attend_row(double *a, const double *q, const double *kv, int row, int begin, int end, int head)
{
    enum { D = WIDTH / HEADS };
    double weights[ROWS], sum = 0;
    for (int j = begin; j < end; j++) {
        double score = 0;
        for (int d = 0; d < D; d++) score += q[row * WIDTH + head * D + d] * kv[j * 2 * WIDTH + head * D + d];
        sum += weights[j] = exp(score / sqrt(D));
    }
    for (int d = 0; d < D; d++) {
        double *out = &a[row * WIDTH + head * D + d];
        *out = 0;
        for (int j = begin; j < end; j++) *out += weights[j] / sum * kv[j * 2 * WIDTH + WIDTH + head * D + d];
    }
}

static const double *at(const double *block, const fv_param *p) { return block + p->offset; }

/* [h ; a] Wᵀ + b with the two halves of W put side by side, as the formula says. */
static void concatenated(const layer *l, const double *block, double *y, const double *h, const double *a)
{
    const fv_block *b = &l->encoder.blocks[0];
    double both[ROWS * 2 * WIDTH], w[WIDTH * 2 * WIDTH];
    for (int r = 0; r < ROWS; r++) {
        memcpy(both + r * 2 * WIDTH, h + r * WIDTH, WIDTH * sizeof *h);
        memcpy(both + r * 2 * WIDTH + WIDTH, a + r * WIDTH, WIDTH * sizeof *a);
    }
    for (int o = 0; o < WIDTH; o++) {
        memcpy(w + o * 2 * WIDTH, at(block, b->hidden) + o * WIDTH, WIDTH * sizeof *w);
        memcpy(w + o * 2 * WIDTH + WIDTH, at(block, b->out.w) + o * WIDTH, WIDTH * sizeof *w);
    }
    linear(y, both, 2 * WIDTH, w, at(block, b->out.b), WIDTH, FV_ACT_NONE);
}

static void attention_truth(const layer *l, const double *block, double *y, const double *h)
{
    const fv_block *b = &l->encoder.blocks[0];
    double up[ROWS * WIDTH], q[ROWS * WIDTH], kv[ROWS * 2 * WIDTH], a[ROWS * WIDTH];
    linear(up, h, WIDTH, at(block, b->query_up.w), at(block, b->query_up.b), WIDTH, l->shape.act);
    linear(q, up, WIDTH, at(block, b->query.w), at(block, b->query.b), WIDTH, FV_ACT_NONE);
    linear(kv, h, WIDTH, at(block, b->kv.w), at(block, b->kv.b), 2 * WIDTH, l->shape.act);
    for (int s = 0; s < batch.B; s++)
        for (int row = offsets[s]; row < offsets[s + 1]; row++)
            for (int head = 0; head < HEADS; head++) attend_row(a, q, kv, row, offsets[s], offsets[s + 1], head);
    concatenated(l, block, y, h, a);
}

static void ffn_truth(const layer *l, const double *block, double *y, const double *h)
{
    const fv_block *b = &l->encoder.blocks[0];
    double up[LARGEST];
    linear(up, h, WIDTH, at(block, b->up.w), at(block, b->up.b), FFN, l->shape.act);
    linear(y, up, FFN, at(block, b->down.w), at(block, b->down.b), WIDTH, FV_ACT_NONE);
}

/* x becomes norm(x + half(x)), or x + half(norm(x)). */
static void half_truth(const layer *l, const double *block, double *x, const fv_norm_weights *n, void (*half)(const layer *, const double *, double *, const double *))
{
    const double *w = at(block, n->w), *b = at(block, n->b), eps = (double)l->shape.norm_eps;
    double in[ROWS * WIDTH], y[ROWS * WIDTH];
    memcpy(in, x, sizeof in);
    if (l->shape.pre_norm) norm(in, w, b, eps);
    half(l, block, y, in);
    for (int i = 0; i < ROWS * WIDTH; i++) x[i] += y[i];
    if (!l->shape.pre_norm) norm(x, w, b, eps);
}

static double truth(const layer *l, const double *block, const double *x, double *y)
{
    double sum = 0;
    memcpy(y, x, ROWS * WIDTH * sizeof *y);
    half_truth(l, block, y, &l->encoder.blocks[0].attention_norm, attention_truth);
    half_truth(l, block, y, &l->encoder.blocks[0].ffn_norm, ffn_truth);
    for (int i = 0; i < ROWS * WIDTH; i++) sum += y[i] * weight_of(i);
    return sum;
}

/* ---- Values and gradients ---- */

static double *widen(const float *x, int64_t n)
{
    double *wide = malloc((size_t)n * sizeof *wide);
    for (int64_t i = 0; i < n; i++) wide[i] = (double)x[i];
    return wide;
}

/* The gradient of n numbers against central differences of the truth. */
static void check_gradient(const layer *l, const char *name, const float *found, double *numbers, int64_t n, const double *block, const double *x)
{
    const double step = 1e-5;
    double y[ROWS * WIDTH];
    for (int64_t i = 0; i < n; i++) {
        double here = numbers[i];
        numbers[i] = here + step;
        double above = truth(l, block, x, y);
        numbers[i] = here - step;
        double slope = (above - truth(l, block, x, y)) / (2 * step);
        numbers[i] = here;
        if (!(fabs((double)found[i] - slope) <= 1e-4 * (1 + fabs(slope)))) fail_msg("%s %d: gradient is %.8g, expected %.8g", name, (int)i, (double)found[i], slope);
    }
}

static bool of_the_block(const fv_param *p) { return strstr(p->names[0], ".layer.0.") != NULL; }

static void check_all(fv_block_shape shape)
{
    layer l;
    make_layer(&l, shape, true);
    double *block = widen(l.encoder.params.block, l.encoder.params.n_floats), *x = widen(l.x, ROWS * WIDTH), y[ROWS * WIDTH];
    run_layer(&l, true);
    truth(&l, block, x, y);
    for (int i = 0; i < ROWS * WIDTH; i++)
        if (!(fabs((double)l.y->data[i] - y[i]) <= 2e-5 * (1 + fabs(y[i])))) fail_msg("value %d is %.8g, expected %.8g", i, (double)l.y->data[i], y[i]);
    fv_graph_backward(l.graph, l.loss, 1, key);
    check_gradient(&l, "x", l.dx, x, ROWS * WIDTH, block, x);
    int checked = 0;
    for (size_t i = 0; i < l.encoder.params.n; i++) {
        const fv_param *p = l.encoder.params.items[i];
        if (!of_the_block(p)) continue;
        check_gradient(&l, p->names[0], p->grad, block + p->offset, p->rows * p->cols, block, x);
        checked++;
    }
    assert_int_equal(checked, 17); /* 3 pairs and the hidden state's, out, 2 norms, up, down */
    free(block);
    free(x);
    free_layer(&l);
}

static void values_and_gradients(void **state)
{
    (void)state;
    check_all((fv_block_shape){.article = true, .heads = HEADS, .kv_heads = HEADS, .act = FV_ACT_GELU, .norm_eps = 1e-5f});
    check_all((fv_block_shape){.article = true, .heads = HEADS, .kv_heads = HEADS, .act = FV_ACT_GELU, .norm_eps = 1e-5f, .pre_norm = true});
    check_all((fv_block_shape){.article = true, .heads = HEADS, .kv_heads = HEADS, .act = FV_ACT_RELU, .norm_eps = 1e-5f});
}

/* With dropout the loss is still a function of the weights, since chance comes from a key: the
 * gradient along a direction must be what a step along it changes. */
static void gradients_under_dropout(void **state)
{
    (void)state;
    const float step = 5e-3f;
    layer l;
    make_layer(&l, (fv_block_shape){.article = true, .heads = HEADS, .kv_heads = HEADS, .act = FV_ACT_GELU, .norm_eps = 1e-5f, .dropout = 0.3f, .attention_dropout = 0.3f}, true);
    double plain = run_layer(&l, false), dropped = run_layer(&l, true), expected = 0;
    assert_true(fabs(plain - dropped) > 1e-2);
    fv_graph_backward(l.graph, l.loss, 1, key);
    int64_t n = l.encoder.params.n_floats;
    float *direction = malloc((size_t)n * sizeof *direction), *block = l.encoder.params.block;
    fill(direction, n, "direction");
    for (int64_t i = 0; i < n; i++) expected += (double)direction[i] * (double)l.gradients[i];
    for (int64_t i = 0; i < n; i++) block[i] += step * direction[i];
    double above = run_layer(&l, true);
    for (int64_t i = 0; i < n; i++) block[i] -= 2 * step * direction[i];
    double slope = (above - run_layer(&l, true)) / (2 * (double)step);
    assert_true(fabs(expected) > 0.1);
    if (!(fabs(slope - expected) <= 0.02 * fabs(expected))) fail_msg("the slope is %g, the gradient says %g", slope, expected);
    free(direction);
    free_layer(&l);
}

/* ---- Names and config.json ---- */

static bool has_parameter(const fv_encoder *e, const char *name)
{
    for (size_t i = 0; i < e->params.n; i++)
        for (int part = 0; part < e->params.items[i]->parts; part++)
            if (strcmp(e->params.items[i]->names[part], name) == 0) return true;
    return false;
}

static void weights_are_named(void **state)
{
    (void)state;
    static const char *const own[] = {"self.query_up.weight", "self.query_up.bias", "output.hidden.weight"};
    static const char *const shared[] = {"self.query.weight", "self.key.weight", "self.value.bias", "output.dense.weight"};
    fv_encoder_config config = article;
    for (int is_article = 0; is_article < 2; is_article++) {
        fv_encoder e;
        char name[FV_PARAM_NAME];
        config.article_attention = is_article;
        assert_int_equal(fv_encoder_init(&e, &config, NULL), FV_OK);
        for (size_t i = 0; i < FV_COUNT(own); i++) {
            snprintf(name, sizeof name, "bert.encoder.layer.0.attention.%s", own[i]);
            assert_int_equal(has_parameter(&e, name), is_article);
        }
        for (size_t i = 0; i < FV_COUNT(shared); i++) {
            snprintf(name, sizeof name, "bert.encoder.layer.0.attention.%s", shared[i]);
            assert_true(has_parameter(&e, name));
        }
        fv_encoder_release(&e);
    }
}

static const char *text_of(const json_t *tree, const char *name) { return json_string_value(json_object_get(tree, name)); }

static void config_comes_back(void **state)
{
    (void)state;
    fv_encoder_config config = article, back;
    fv_err err = {0};
    json_t *tree = fv_encoder_config_to_json(&config, "Model", &err);
    assert_string_equal(text_of(tree, "model_type"), "fovea_encoder");
    assert_string_equal(text_of(tree, "attention_block"), "article");
    assert_int_equal(fv_encoder_config_from_json(&back, tree, "config.json", &err), FV_OK);
    assert_true(back.article_attention);
    json_object_set_new(tree, "attention_block", json_string("mean"));
    assert_int_equal(fv_encoder_config_from_json(&back, tree, "config.json", &err), FV_E_FORMAT);
    toy_contains(err.text, "config.json: attention_block is \"mean\"; supported: \"vaswani\", \"article\"");
    json_object_del(tree, "attention_block"); /* folders older than the key */
    assert_int_equal(fv_encoder_config_from_json(&back, tree, "config.json", &err), FV_OK);
    assert_false(back.article_attention);
    json_decref(tree);
}

static void a_bert_says_nothing_of_it(void **state)
{
    (void)state;
    fv_encoder_config config = article;
    config.article_attention = false;
    json_t *tree = fv_encoder_config_to_json(&config, "Model", NULL);
    assert_string_equal(text_of(tree, "model_type"), "bert");
    assert_null(json_object_get(tree, "attention_block"));
    json_decref(tree);
}

/* ---- Training ---- */

static double accuracy_of(const char *folder, const char *path)
{
    fv_err err = {0};
    fv_model *model = toy_open(folder);
    fv_session *session = fv_session_new(model, NULL, &err);
    fv_report *report = session ? fv_eval(session, path, NULL, &err) : NULL;
    if (!report) fail_msg("%s", err.text);
    double value = toy_metric(report, "accuracy");
    fv_report_free(report);
    fv_session_free(session);
    fv_model_close(model);
    return value;
}

static void a_model_of_it_learns(void **state)
{
    (void)state;
    fv_train_options o;
    toy_options(&o, toy_classes("train.tsv", 0, 90), toy_classes("valid.tsv", 90, 120), "article");
    o.article_attention = true;
    toy_train(&o);
    double accuracy = accuracy_of(o.out, toy_classes("test.tsv", 270, 360));
    if (accuracy < 0.95) fail_msg("accuracy %g", accuracy);
    toy_contains(toy_read(o.out, "config.json"), "\"attention_block\": \"article\"");
    toy_contains(toy_read(o.out, "fovea.json"), "\"article_attention\": true");
}

/* The given model decides: its block is kept, and asking for another is refused. */
static void fine_tuning_keeps_the_block(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_train_options o;
    const char *from = scratch_path("article");
    toy_options(&o, toy_classes("train.tsv", 0, 90), toy_classes("valid.tsv", 90, 120), "tuned");
    o.layers = o.width = o.heads = o.ffn = o.vocab = 0;
    o.from = from;
    o.steps = 4;
    toy_train(&o);
    toy_contains(toy_read(o.out, "config.json"), "\"attention_block\": \"article\"");
    o.article_attention = true;
    o.out = scratch_path("refused");
    assert_int_equal(fv_train(&o, &err), FV_E_ARGUMENT);
    toy_contains(err.text, "article-attention");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_and_gradients),
        cmocka_unit_test(gradients_under_dropout),
        cmocka_unit_test(weights_are_named),
        cmocka_unit_test(config_comes_back),
        cmocka_unit_test(a_bert_says_nothing_of_it),
        cmocka_unit_test(a_model_of_it_learns),
        cmocka_unit_test(fine_tuning_keeps_the_block),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
