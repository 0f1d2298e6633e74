/* Encoder folders that Transformers wrote, of every family: hidden states and logits are those of their home library, which
 * tests/golden/encoders.py recorded, and what a head answers is read from config.json. Ids are given, not texts: tokenizers are
 * another matter. All rows go through in one batch, so that no row may see another. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "infer/infer.h"

enum { MOST_ROWS = 8, MOST_TOKENS = 128, EVERY = 9 }; /* EVERY: of a vocabulary's logits, as recorded */

#define NEAR 1e-4

/* ---- A folder without its tokenizer ---- */

typedef struct opened {
    fv_network net;
    fv_head head;
    fv_safetensors file;
    json_t *expected;
} opened;

static json_t *load(const char *folder, const char *name)
{
    fv_err err = {0};
    char path[FV_PATH_MAX];
    snprintf(path, sizeof path, "tests/golden/encoders/%s/%s", folder, name);
    json_t *tree = fv_json_load(path, 1 << 20, &err);
    if (!tree) fail_msg("%s", err.text);
    return tree;
}

static void open_folder(opened *o, const char *name)
{
    fv_err err = {0};
    fv_encoder_config config;
    char path[FV_PATH_MAX];
    snprintf(path, sizeof path, "tests/golden/encoders/%s", name);
    json_t *tree = load(name, "config.json");
    *o = (opened){.expected = load(name, "expected.json")};
    if (fv_safetensors_open_folder(&o->file, path, &err) || fv_encoder_config_from_json(&config, tree, name, &err) || fv_head_from_config(&o->head, tree, name, &err)) fail_msg("%s", err.text);
    o->net.heads = &o->head;
    o->net.n_heads = 1;
    if (fv_network_init(&o->net, &config, &err) || fv_weights_map(&o->net.encoder.params, &o->file, &err)) fail_msg("%s", err.text);
    json_decref(tree);
}

static void close_folder(opened *o)
{
    fv_head_release(&o->head);
    fv_encoder_release(&o->net.encoder);
    fv_safetensors_close(&o->file);
    json_decref(o->expected);
}

/* ---- Rows as they were recorded ---- */

typedef struct rows {
    int32_t ids[MOST_TOKENS], types[MOST_TOKENS], positions[MOST_TOKENS], offsets[MOST_ROWS + 1];
    uint64_t sequences[MOST_ROWS];
    uint32_t numbers[MOST_ROWS];
    fv_batch batch;
} rows;

static void add_row(rows *r, const json_t *row)
{
    const json_t *ids = json_object_get(row, "ids"), *types = json_object_get(row, "types");
    fv_batch *b = &r->batch;
    assert_true(b->B < MOST_ROWS && b->N + (int)json_array_size(ids) <= MOST_TOKENS && json_array_size(ids) == json_array_size(types));
    for (size_t i = 0; i < json_array_size(ids); i++, b->N++) {
        r->ids[b->N] = (int32_t)json_integer_value(json_array_get(ids, i));
        r->types[b->N] = (int32_t)json_integer_value(json_array_get(types, i));
        r->positions[b->N] = (int32_t)i;
    }
    r->numbers[b->B] = (uint32_t)b->B;
    r->offsets[++b->B] = b->N;
}

static void make_rows(rows *r, const json_t *expected)
{
    *r = (rows){0};
    for (size_t i = 0; i < json_array_size(expected); i++) add_row(r, json_array_get(expected, i));
    assert_int_equal(r->batch.B, 4);
    r->batch.ids = r->ids, r->batch.types = r->types, r->batch.positions = r->positions;
    r->batch.offsets = r->offsets, r->batch.sequences = r->sequences, r->batch.rows = r->numbers;
}

/* ---- Comparing ---- */

/* The largest difference of rows [n, cols], of which every STEPth column was recorded, from the key of each recorded row. */
static double difference(const json_t *expected, const char *key, const float *x, int64_t stride, int64_t n, int64_t cols, int step)
{
    double most = 0;
    int64_t at = 0;
    for (size_t i = 0; i < json_array_size(expected); i++) {
        const json_t *list = json_object_get(json_array_get(expected, i), key);
        for (size_t r = 0; r < json_array_size(list); r++, at++) {
            const json_t *row = json_array_get(list, r);
            assert_true(at < n);
            assert_int_equal((int64_t)json_array_size(row), (cols + step - 1) / step);
            for (size_t c = 0; c < json_array_size(row); c++) most = fmax(most, fabs((double)x[at * stride + (int64_t)c * step] - json_number_value(json_array_get(row, c))));
        }
    }
    assert_int_equal(at, n);
    return most;
}

static const fv_tensor *run(fv_graph *g, fv_tensor *out)
{
    fv_err err = {0};
    if (fv_graph_plan(g, out, &err) != FV_OK) fail_msg("%s", err.text);
    fv_graph_forward(g, 0);
    return out;
}

/* Logits of all words from what the head makes of the hidden states: in training they are never formed. */
static float *word_logits(const opened *o, const fv_tensor *x)
{
    const fv_encoder *e = &o->net.encoder;
    int64_t V = e->config.vocab, C = x->cols;
    float *out = malloc((size_t)(x->rows * V) * sizeof *out);
    assert_non_null(out);
    for (int64_t r = 0; r < x->rows; r++)
        for (int64_t v = 0; v < V; v++) {
            double sum = (double)o->head.weights.bias->data[v];
            for (int64_t c = 0; c < C; c++) sum += (double)x->data[r * x->stride + c] * (double)e->words->data[v * C + c];
            out[r * V + v] = (float)sum;
        }
    return out;
}

static double logits_difference(const opened *o, fv_graph *g, const fv_batch *batch)
{
    fv_graph_reset(g, false);
    if (o->head.weights.place != FV_HEAD_WORD) {
        const fv_tensor *y = run(g, fv_network_build(&o->net, &o->head, g, batch, NULL));
        return difference(o->expected, "logits", y->data, y->stride, y->rows, y->cols, 1);
    }
    const fv_tensor *x = run(g, fv_head_build_words(&o->head.weights, &o->net.encoder, g, fv_encoder_build(&o->net.encoder, g, batch)));
    float *logits = word_logits(o, x);
    double most = difference(o->expected, "logits", logits, o->net.encoder.config.vocab, x->rows, o->net.encoder.config.vocab, EVERY);
    free(logits);
    return most;
}

static void compare(const opened *o, const char *name)
{
    rows r;
    make_rows(&r, o->expected);
    fv_graph *g = fv_graph_new(NULL, NULL);
    const fv_tensor *hidden = run(g, fv_encoder_build(&o->net.encoder, g, &r.batch));
    double most = difference(o->expected, "hidden", hidden->data, hidden->stride, hidden->rows, hidden->cols, 1);
    if (!(most < NEAR)) fail_msg("%s: hidden states differ by %g", name, most);
    most = logits_difference(o, g, &r.batch);
    if (!(most < NEAR)) fail_msg("%s: logits differ by %g", name, most);
    fv_graph_free(g);
}

static void every_family_gives_its_home_library_s_numbers(void **state)
{
    (void)state;
    static const char *const folders[] = {
        "bert", "bert-masked", "bert-tags", "bert-sharded", "roberta", "roberta-masked", "xlm-roberta", "distilbert", "distilbert-masked", "mpnet", "mpnet-masked",
    };
    for (size_t i = 0; i < FV_COUNT(folders); i++) {
        opened o;
        open_folder(&o, folders[i]);
        compare(&o, folders[i]);
        fv_pool *pool = fv_pool_shared(NULL);
        assert_int_equal(fv_params_pack(&o.net.encoder.params, FV_PRECISION_F32, pool, NULL), FV_OK);
        compare(&o, folders[i]);
        close_folder(&o);
    }
}

/* ---- What a head answers ---- */

static void the_head_is_what_config_json_says(void **state)
{
    (void)state;
    opened o;
    open_folder(&o, "roberta");
    assert_int_equal(o.head.kind, FV_LABELS_SINGLE);
    assert_int_equal(o.head.labels.n, 3);
    assert_string_equal(o.head.labels.names[2], "perhaps");
    close_folder(&o);
    open_folder(&o, "bert-tags");
    assert_int_equal(o.head.kind, FV_LABELS_TAGS);
    close_folder(&o);
    open_folder(&o, "mpnet-masked");
    assert_int_equal(o.head.kind, FV_LABELS_NONE);
    close_folder(&o);
    open_folder(&o, "bert-sharded");
    assert_int_equal(o.head.kind, FV_LABELS_REGRESSION);
    assert_int_equal(o.head.outputs, 1);
    close_folder(&o);
}

/* Scores of pairs, through texts and the public calls: the sigmoid of the logit, as its home library gives it. */
static void a_cross_encoder_scores_pairs(void **state)
{
    (void)state;
    fv_err err = {0};
    json_t *pairs = load("cross", "expected.json");
    fv_model *m = fv_model_open("tests/golden/encoders/cross", &err);
    fv_session *s = m ? fv_session_new(m, NULL, &err) : NULL;
    if (!s) fail_msg("%s", err.text);
    assert_int_equal(fv_session_labels(s), FV_LABELS_REGRESSION);
    assert_int_equal(json_array_size(pairs), 25);
    for (size_t i = 0; i < json_array_size(pairs); i++) {
        const json_t *row = json_array_get(pairs, i);
        fv_text text = {.text = json_string_value(json_object_get(row, "text")), .text2 = json_string_value(json_object_get(row, "text2"))};
        fv_label label;
        if (fv_classify(s, &text, 1, 1, &label, &err) != FV_OK) fail_msg("%s", err.text);
        double expected = json_real_value(json_object_get(row, "score"));
        if (!(fabs((double)label.score - expected) < 1e-5)) fail_msg("pair %zu: %.7f, expected %.7f", i, (double)label.score, expected);
    }
    fv_session_free(s);
    fv_model_close(m);
    json_decref(pairs);
}

static fv_head head_of(const char *text, fv_status expected, const char *part)
{
    fv_err err = {0};
    fv_head head;
    json_t *tree = fv_json_parse(text, strlen(text), "here", &err);
    assert_non_null(tree);
    fv_status status = fv_head_from_config(&head, tree, "here", &err);
    if (status != expected) fail_msg("%s: status %d: %s", text, status, err.text);
    if (status != FV_OK && !strstr(err.text, part)) fail_msg("\"%s\" does not say \"%s\"", err.text, part);
    json_decref(tree);
    return head;
}

static void expect_kind(const char *text, fv_labels kind, int outputs, bool squashed)
{
    fv_head head = head_of(text, FV_OK, NULL);
    assert_int_equal(head.kind, kind);
    assert_int_equal(head.outputs, outputs);
    assert_int_equal(head.squashed, squashed);
    fv_head_release(&head);
}

static void labels_and_problems_are_read_as_transformers_does(void **state)
{
    (void)state;
    expect_kind("{}", FV_LABELS_VECTOR, 0, false);
    expect_kind("{\"architectures\":[\"BertModel\"]}", FV_LABELS_VECTOR, 0, false);
    expect_kind("{\"architectures\":[\"BertForPreTraining\"]}", FV_LABELS_VECTOR, 0, false);
    expect_kind("{\"architectures\":[\"RobertaForMaskedLM\"]}", FV_LABELS_NONE, 0, false);
    expect_kind("{\"architectures\":[\"BertForSequenceClassification\"]}", FV_LABELS_SINGLE, 2, false);
    expect_kind("{\"architectures\":[\"BertForSequenceClassification\"],\"num_labels\":5}", FV_LABELS_SINGLE, 5, false);
    expect_kind("{\"architectures\":[\"BertForSequenceClassification\"],\"num_labels\":1}", FV_LABELS_REGRESSION, 1, true);
    expect_kind("{\"architectures\":[\"BertForSequenceClassification\"],\"num_labels\":1,\"problem_type\":\"regression\"}", FV_LABELS_REGRESSION, 1, false);
    expect_kind("{\"architectures\":[\"BertForSequenceClassification\"],\"problem_type\":\"multi_label_classification\",\"id2label\":{\"1\":\"b\",\"0\":\"a\"}}", FV_LABELS_MULTI, 2, false);
    expect_kind("{\"architectures\":[\"BertForSequenceClassification\"],\"num_labels\":1,\"sbert_ce_default_activation_function\":\"torch.nn.modules.linear.Identity\"}", FV_LABELS_REGRESSION, 1, false);
    expect_kind("{\"architectures\":[\"BertForSequenceClassification\"],\"num_labels\":1,\"sentence_transformers\":{\"activation_fn\":\"torch.nn.modules.activation.Sigmoid\"}}", FV_LABELS_REGRESSION, 1, true);
}

static void what_is_not_supported_is_named(void **state)
{
    (void)state;
    head_of("{\"architectures\":[\"BertForQuestionAnswering\"]}", FV_E_FORMAT, "here: architectures is \"BertForQuestionAnswering\"; supported: …Model");
    head_of("{\"architectures\":[\"BertForSequenceClassification\"],\"problem_type\":\"ranking\"}", FV_E_FORMAT, "problem_type is \"ranking\"");
    head_of("{\"architectures\":[\"BertForSequenceClassification\"],\"problem_type\":\"regression\"}", FV_E_FORMAT, "problem_type is regression with 2 labels");
    head_of("{\"architectures\":[\"BertForSequenceClassification\"],\"num_labels\":0}", FV_E_FORMAT, "num_labels");
    head_of("{\"architectures\":[\"BertForSequenceClassification\"],\"id2label\":{}}", FV_E_FORMAT, "id2label has 0 labels");
    head_of("{\"architectures\":[\"BertForTokenClassification\"],\"id2label\":{\"0\":\"a\",\"2\":\"b\"}}", FV_E_FORMAT, "id2label has no name for 1");
    head_of("{\"architectures\":[\"BertForTokenClassification\"],\"id2label\":{\"0\":\"a\",\"1\":\"a\"}}", FV_E_FORMAT, "two labels one name");
    head_of("{\"architectures\":[\"BertForSequenceClassification\"],\"num_labels\":1,\"sbert_ce_default_activation_function\":\"torch.nn.modules.activation.Tanh\"}", FV_E_FORMAT,
            "the score's activation is \"torch.nn.modules.activation.Tanh\"; supported: ");
    head_of("{\"architectures\":[\"BertForMaskedLM\"],\"tie_word_embeddings\":false}", FV_E_FORMAT, "tie_word_embeddings is false");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_family_gives_its_home_library_s_numbers),
        cmocka_unit_test(the_head_is_what_config_json_says),
        cmocka_unit_test(a_cross_encoder_scores_pairs),
        cmocka_unit_test(labels_and_problems_are_read_as_transformers_does),
        cmocka_unit_test(what_is_not_supported_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
