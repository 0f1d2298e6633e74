/* A folder of MarianMTModel gives the logits here that Hugging Face Transformers computes from it, and what we write is
 * read again with the same logits: here always, and by Transformers with
 *
 *     FOVEA_MARIAN=FOLDER build/tests/models/seq2seq_golden_test
 *     python tests/golden/marian.py check FOLDER/tied FOLDER/separate */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "formats/scratch.h"
#include "models/encoder.h"
#include "models/seq2seq.h"

enum { MOST = 32, VOCAB = 23 };

static fv_err err;

/* ---- Logits ---- */

typedef struct text {
    int32_t ids[MOST], positions[MOST], types[MOST], offsets[2], n;
    uint64_t sequence;
} text;

static fv_batch batch_of(text *t)
{
    t->offsets[1] = t->n;
    for (int32_t i = 0; i < t->n; i++) t->positions[i] = i;
    return (fv_batch){.B = 1, .N = t->n, .ids = t->ids, .types = t->types, .positions = t->positions, .offsets = t->offsets, .sequences = &t->sequence};
}

static text text_of(const json_t *list)
{
    text t = {0};
    assert_true(json_array_size(list) > 0 && json_array_size(list) <= MOST);
    for (size_t i = 0; i < json_array_size(list); i++) t.ids[t.n++] = (int32_t)json_integer_value(json_array_get(list, i));
    return t;
}

/* After each token of the target: out [target's n, VOCAB]. */
static void compute(const fv_seq2seq *m, text *source, text *target, float *out)
{
    fv_pool *pool = fv_pool_new(1, &err);
    fv_graph *g = fv_graph_new(pool, &err);
    fv_batch from = batch_of(source), to = batch_of(target);
    fv_graph_reset(g, false);
    fv_tensor *logits = fv_seq2seq_logits(m, g, fv_seq2seq_decode(m, g, fv_seq2seq_encode(m, g, &from), &from, &to));
    if (fv_graph_plan(g, logits, &err) != FV_OK) fail_msg("%s", err.text);
    fv_graph_forward(g, 0);
    for (int32_t r = 0; r < to.N; r++) memcpy(out + r * VOCAB, logits->data + r * logits->stride, VOCAB * sizeof *out);
    fv_graph_free(g);
    fv_pool_free(pool);
}

static double difference(const float *logits, const json_t *rows, int32_t n)
{
    double most = 0;
    assert_int_equal(json_array_size(rows), n);
    for (int32_t r = 0; r < n; r++) {
        const json_t *row = json_array_get(rows, (size_t)r);
        assert_int_equal(json_array_size(row), VOCAB);
        for (int32_t i = 0; i < VOCAB; i++) most = fmax(most, fabs((double)logits[r * VOCAB + i] - json_number_value(json_array_get(row, (size_t)i))));
    }
    return most;
}

static json_t *rows_json(const float *logits, int32_t n)
{
    json_t *rows = json_array();
    for (int32_t r = 0; r < n; r++) {
        json_t *row = json_array();
        for (int32_t i = 0; i < VOCAB; i++) json_array_append_new(row, json_real((double)logits[r * VOCAB + i]));
        json_array_append_new(rows, row);
    }
    return rows;
}

/* ---- Folders ---- */

static const char *in_folder(const char *folder, const char *name)
{
    static char paths[2][FV_PATH_MAX];
    static int next;
    char *path = paths[next++ % 2];
    assert_int_equal(fv_path_join(path, folder, name, &err), FV_OK);
    return path;
}

static void open_model(fv_seq2seq *m, fv_safetensors *file, const char *folder)
{
    fv_seq2seq_config config;
    json_t *tree = fv_json_load(in_folder(folder, "config.json"), 1 << 20, &err);
    if (!tree || fv_seq2seq_config_from_json(&config, tree, folder, &err) != FV_OK || fv_seq2seq_init(m, &config, &err) != FV_OK ||
        fv_safetensors_open(file, in_folder(folder, "model.safetensors"), &err) != FV_OK || fv_weights_map(&m->params, file, &err) != FV_OK) fail_msg("%s", err.text);
    json_decref(tree);
}

static void close_model(fv_seq2seq *m, fv_safetensors *file)
{
    fv_seq2seq_release(m);
    fv_safetensors_close(file);
}

/* Every recorded pair of the folder: the model must say the same. */
static void check_folder(const char *folder, double tolerance, int expected)
{
    fv_seq2seq m;
    fv_safetensors file;
    fv_buf lines = {0};
    int n = 0;
    open_model(&m, &file, folder);
    assert_int_equal(fv_file_read(in_folder(folder, "logits.jsonl"), 1 << 20, &lines, &err), FV_OK);
    for (char *line = lines.data, *end; (end = strchr(line, '\n')); line = end + 1, n++) {
        float logits[MOST * VOCAB];
        json_t *row = fv_json_parse(line, (size_t)(end - line), "logits.jsonl", &err);
        text source = text_of(json_object_get(row, "source")), target = text_of(json_object_get(row, "target"));
        compute(&m, &source, &target, logits);
        double most = difference(logits, json_object_get(row, "logits"), target.n);
        if (!(most <= tolerance)) fail_msg("%s: pair %d differs by %g", folder, n, most);
        json_decref(row);
    }
    assert_int_equal(n, expected);
    fv_buf_release(&lines);
    close_model(&m, &file);
}

static void marian_s_logits_are_those_of_transformers(void **state)
{
    (void)state;
    check_folder("tests/golden/marian-tiny", 1e-5, 4);
}

/* ---- What we write ---- */

static const fv_seq2seq_config tied = {
    .src_vocab = VOCAB, .tgt_vocab = VOCAB, .encoder_layers = 1, .decoder_layers = 2, .width = 12, .heads = 3, .ffn = 20, .max_len = 24, .act = FV_ACT_GELU,
    .shared = true, .tied = true, .scale_embedding = true, .output_bias = true, .pad = 22, .eos = 0, .start = 22, .norm_eps = 1e-5, .dropout = 0.1,
};

static void save_logits(const fv_seq2seq *m, const char *path)
{
    static const int32_t lengths[][2] = {{3, 4}, {1, 1}, {17, 9}};
    fv_buf lines = {0};
    for (size_t i = 0; i < FV_COUNT(lengths); i++) {
        float logits[MOST * VOCAB];
        text source = {.n = lengths[i][0]}, target = {.n = lengths[i][1]};
        json_t *ids[] = {json_array(), json_array()};
        for (int32_t p = 0; p < source.n; p++) json_array_append_new(ids[0], json_integer(source.ids[p] = p * 7 % 22));
        for (int32_t p = 0; p < target.n; p++) json_array_append_new(ids[1], json_integer(target.ids[p] = p ? p * 5 % 22 : 22));
        compute(m, &source, &target, logits);
        json_t *row = json_pack("{s:o, s:o, s:o}", "source", ids[0], "target", ids[1], "logits", rows_json(logits, target.n));
        assert_int_equal(fv_json_print(row, 0, &lines, &err), FV_OK);
        assert_int_equal(fv_buf_putc(&lines, '\n', &err), FV_OK);
        json_decref(row);
    }
    assert_int_equal(fv_file_write(path, lines.data, lines.len, &err), FV_OK);
    fv_buf_release(&lines);
}

static void write_folder(const fv_seq2seq_config *config, const char *folder)
{
    fv_seq2seq m;
    json_t *tree = fv_seq2seq_config_to_json(config, &err);
    assert_string_equal(json_string_value(json_object_get(tree, "model_type")), "marian");
    if (fv_seq2seq_init(&m, config, &err) != FV_OK || fv_params_allocate(&m.params, &err) != FV_OK || fv_folder_make(folder, &err) != FV_OK) fail_msg("%s", err.text);
    fv_params_draw(&m.params, 5);
    fv_rng rng = fv_rng_make(5, "shift"); /* biases and norms away from zero and one */
    for (int64_t i = 0; i < m.params.n_floats; i++) m.params.block[i] += (float)(0.3 * fv_rng_normal(&rng));
    assert_int_equal(fv_json_save(tree, in_folder(folder, "config.json"), &err), FV_OK);
    assert_int_equal(fv_weights_save(&m.params, in_folder(folder, "model.safetensors"), (const char *[]){"format"}, (const char *[]){"pt"}, 1, &err), FV_OK);
    save_logits(&m, in_folder(folder, "logits.jsonl"));
    json_decref(tree);
    fv_seq2seq_release(&m);
}

static void what_is_written_is_read_with_the_same_logits(void **state)
{
    (void)state;
    fv_seq2seq_config separate = tied;
    const char *keep = getenv("FOVEA_MARIAN");
    char folder[FV_PATH_MAX];
    separate.shared = false;
    separate.src_vocab = 30;
    separate.act = FV_ACT_RELU;
    snprintf(folder, sizeof folder, "%s/tied", keep ? keep : scratch_folder());
    write_folder(&tied, folder);
    check_folder(folder, 0, 3);
    snprintf(folder, sizeof folder, "%s/separate", keep ? keep : scratch_folder());
    write_folder(&separate, folder);
    check_folder(folder, 0, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marian_s_logits_are_those_of_transformers),
        cmocka_unit_test(what_is_written_is_read_with_the_same_logits),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
