/* Starting from another model: every task from every family of encoders, with what is frozen keeping its bits, layers learning at
 * their rates, and a stop that changes none of it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "models/head.h"
#include "ops.h"
#include "train/toy.h"

/* ---- Two files of weights ---- */

/* 0: the embeddings, i: the i-th layer from below, FV_PARAM_ABOVE: the rest; by the names that all families have. */
static int depth_of(const char *name)
{
    const char *layer = strstr(name, "layer.");
    if (layer) return atoi(layer + 6) + 1;
    return strstr(name, "embeddings.") || strstr(name, "relative_attention_bias") ? 0 : FV_PARAM_ABOVE;
}

static void open_weights(fv_safetensors *file, const char *folder)
{
    fv_err err = {0};
    if (fv_safetensors_open_folder(file, folder, &err) != FV_OK) fail_msg("%s", err.text);
}

/* Folders of hubs leave the family's prefix out, or not. */
static const fv_st_tensor *find_same(const fv_safetensors *file, const char *name)
{
    const fv_st_tensor *found = fv_safetensors_find(file, name);
    const char *dot = strchr(name, '.');
    return found || !dot ? found : fv_safetensors_find(file, dot + 1);
}

/* What training writes is float32; what it began with may have been shorter, which is then the same number. */
static bool moved(const fv_st_tensor *before, const fv_st_tensor *after)
{
    size_t n = after->bytes / sizeof(float);
    float *was = malloc(after->bytes);
    assert_true(after->dtype == FV_F32 && before->bytes == n * fv_dtype_bytes(before->dtype));
    fv_dtype_widen(was, before->data, before->dtype, (int64_t)n);
    bool differs = memcmp(was, after->data, after->bytes) != 0;
    free(was);
    return differs;
}

/* Up to `freeze` no bit of the body has changed, and above it something of each layer has. */
static void check_frozen(const char *from, const char *to, int freeze, const char *what)
{
    enum { DEEPEST = 8 };
    fv_safetensors before, after;
    int seen[DEEPEST] = {0}, changed[DEEPEST] = {0};
    open_weights(&before, from);
    open_weights(&after, to);
    for (size_t i = 0; i < after.n; i++) {
        int depth = depth_of(after.tensors[i].name);
        const fv_st_tensor *old = depth == FV_PARAM_ABOVE ? NULL : find_same(&before, after.tensors[i].name);
        if (!old) continue;
        assert_in_range(depth, 0, DEEPEST - 1);
        seen[depth]++;
        changed[depth] += moved(old, &after.tensors[i]);
    }
    for (int d = 0; d < DEEPEST; d++) {
        if (d <= freeze && changed[d]) fail_msg("%s, freeze %d: %d tensors at depth %d have changed", what, freeze, changed[d], d);
        if (d > freeze && seen[d] && !changed[d]) fail_msg("%s, freeze %d: nothing at depth %d has changed", what, freeze, d);
    }
    assert_true(seen[0] && seen[1]);
    fv_safetensors_close(&before);
    fv_safetensors_close(&after);
}

/* ---- Trainings ---- */

/* Two layers, hardly trained, as "body". */
static const char *body(void)
{
    static char folder[FV_PATH_MAX];
    fv_train_options o;
    if (*folder) return folder;
    toy_options(&o, toy_classes("train.tsv", 0, 60), toy_classes("valid.tsv", 60, 90), "body");
    o.layers = 2;
    o.steps = 3;
    toy_train(&o);
    snprintf(folder, sizeof folder, "%s", o.out);
    return folder;
}

/* The architecture is the other model's. */
static void from_options(fv_train_options *o, const char *train, const char *valid, const char *out, const char *from)
{
    toy_options(o, train, valid, out);
    o->layers = o->width = o->heads = o->ffn = o->max_len = o->vocab = 0;
    o->from = from;
    o->steps = 3;
}

typedef struct way {
    const char *name;
    const char *(*make)(const char *name, int first, int last);
    const char *file;
    fv_task task;
    fv_labels labels;
    const char *text2;
} way;

/* Texts that belong together: two columns and no label. */
static const char *vector_pairs(const char *name, int first, int last)
{
    fv_buf rows = {0};
    fv_buf_puts(&rows, "text\ttext2\n", NULL);
    for (int i = first; i < last; i++) fv_buf_printf(&rows, NULL, "a cat sat %d\tthe cat %d sat\n", i, i);
    const char *path = toy_text(name, rows.data);
    fv_buf_release(&rows);
    return path;
}

static const way ways[] = {
    {"single label", toy_classes, "w.tsv", FV_TASK_CLASSIFY, FV_LABELS_SINGLE, NULL},
    {"several labels", toy_sets, "w.tsv", FV_TASK_CLASSIFY, FV_LABELS_MULTI, NULL},
    {"a number", toy_numbers, "w.tsv", FV_TASK_CLASSIFY, FV_LABELS_REGRESSION, NULL},
    {"pairs", toy_pairs, "w.tsv", FV_TASK_CLASSIFY, FV_LABELS_SINGLE, "text2"},
    {"tags", toy_tags, "w.conll", FV_TASK_TAG, FV_LABELS_SINGLE, NULL},
    {"missing words", toy_classes, "w.tsv", FV_TASK_MLM, FV_LABELS_SINGLE, NULL},
    {"vectors", vector_pairs, "w.tsv", FV_TASK_EMBED, FV_LABELS_SINGLE, NULL},
};

static void train_way(const way *w, const char *from, int freeze, char out[FV_PATH_MAX])
{
    fv_train_options o;
    char valid[32];
    snprintf(valid, sizeof valid, "v-%s", w->file);
    from_options(&o, w->make(w->file, 0, 24), w->make(valid, 24, 36), "way", from);
    o.task = w->task;
    o.labels = w->labels;
    o.columns.text2 = w->text2;
    o.freeze = freeze;
    toy_train(&o);
    snprintf(out, FV_PATH_MAX, "%s", o.out);
    fv_model_close(toy_open(out));
}

static void frozen_weights_keep_their_bits(void **state)
{
    char out[FV_PATH_MAX];
    (void)state;
    for (size_t i = 0; i < FV_COUNT(ways); i++)
        for (int freeze = -1; freeze <= 2; freeze++) {
            train_way(&ways[i], body(), freeze, out);
            check_frozen(body(), out, freeze, ways[i].name);
        }
}

static void copy(const char *from, const char *to, const char *name)
{
    char a[FV_PATH_MAX], b[FV_PATH_MAX];
    fv_buf bytes = {0};
    snprintf(a, sizeof a, "tests/golden/encoders/%s/%s", from, name);
    snprintf(b, sizeof b, "%s/%s", to, name);
    if (fv_file_exists(a)) {
        assert_int_equal(fv_file_read(a, 1 << 20, &bytes, NULL), FV_OK);
        assert_int_equal(fv_file_write(b, bytes.data, bytes.len, NULL), FV_OK);
    }
    fv_buf_release(&bytes);
}

/* The folder's model in the scratch folder, with the tokenizer of one that has one: all have its vocabulary. */
static void with_tokenizer(const char *folder, char to[FV_PATH_MAX])
{
    static const char *const files[] = {"config.json", "model.safetensors", "model.safetensors.index.json", "model-00001-of-00004.safetensors", "model-00002-of-00004.safetensors", "model-00003-of-00004.safetensors", "model-00004-of-00004.safetensors"};
    snprintf(to, FV_PATH_MAX, "%s", scratch_path(folder));
    assert_int_equal(fv_folder_make(to, NULL), FV_OK);
    for (size_t i = 0; i < FV_COUNT(files); i++) copy(folder, to, files[i]);
    copy("sentence", to, "tokenizer.json");
    copy("sentence", to, "tokenizer_config.json");
}

/* Folders as hubs have them, of each family, begin each task. */
static void every_task_starts_from_every_family(void **state)
{
    static const char *const folders[] = {"bert", "bert-masked", "bert-sharded", "bert-tags", "cross", "distilbert", "distilbert-masked", "mpnet", "mpnet-masked", "roberta", "roberta-masked", "sentence", "xlm-roberta"};
    char from[FV_PATH_MAX], out[FV_PATH_MAX];
    (void)state;
    for (size_t f = 0; f < FV_COUNT(folders); f++) {
        with_tokenizer(folders[f], from);
        for (size_t i = 0; i < FV_COUNT(ways); i++) {
            train_way(&ways[i], from, (int)(f + i) % 2, out);
            check_frozen(from, out, (int)(f + i) % 2, folders[f]);
        }
    }
}

static void several_tasks_share_what_is_frozen(void **state)
{
    fv_train_options o;
    char list[512];
    (void)state;
    snprintf(list, sizeof list, "[{\"name\":\"kind\",\"train\":\"%s\"},{\"name\":\"size\",\"train\":\"%s\",\"labels\":\"regression\"}]", toy_classes("m1.tsv", 0, 40), toy_numbers("m2.tsv", 0, 40));
    from_options(&o, toy_text("tasks.json", list), NULL, "multi", body());
    o.valid = NULL;
    o.task = FV_TASK_MULTI;
    o.freeze = 1;
    o.steps = 6;
    toy_train(&o);
    check_frozen(body(), o.out, 1, "multi");
}

/* ---- Rates ---- */

/* The numbers of one tensor after a single step, less those before. */
static double *step_of(const char *name, const char *folder, size_t *n)
{
    fv_safetensors before, after;
    open_weights(&before, body());
    open_weights(&after, folder);
    const fv_st_tensor *a = fv_safetensors_find(&before, name), *b = fv_safetensors_find(&after, name);
    assert_true(a && b && a->bytes == b->bytes);
    *n = a->bytes / sizeof(float);
    double *step = malloc(*n * sizeof *step);
    for (size_t i = 0; i < *n; i++) step[i] = (double)((const float *)b->data)[i] - (double)((const float *)a->data)[i];
    fv_safetensors_close(&before);
    fv_safetensors_close(&after);
    return step;
}

static void one_step(fv_train_options *o, const char *out, double decay)
{
    from_options(o, toy_classes("train.tsv", 0, 60), toy_classes("valid.tsv", 60, 90), out, body());
    o->steps = 1;
    o->warmup = 0;
    o->lr = 0.01;
    o->weight_decay = 0.05;
    o->layer_decay = decay;
    toy_train(o);
}

/* Gradients of a first step do not depend on rates, so that every weight's way is its way at the full rate times its layer's; all in
 * float64, but for the rounding of the weights themselves. */
static void layers_learn_at_their_rates(void **state)
{
    static const struct { const char *name; double rate; } all[] = {
        {"bert.embeddings.word_embeddings.weight", 0.09}, {"bert.embeddings.LayerNorm.weight", 0.09}, {"bert.encoder.layer.0.attention.self.key.weight", 0.3},
        {"bert.encoder.layer.0.output.dense.weight", 0.3}, {"bert.encoder.layer.1.intermediate.dense.weight", 1}, {"bert.pooler.dense.weight", 1}, {"classifier.weight", 1},
    };
    fv_train_options full, slow;
    (void)state;
    one_step(&full, "full", 1);
    one_step(&slow, "slow", 0.3);
    for (size_t k = 0; k < FV_COUNT(all); k++) {
        size_t n, m;
        double *a = step_of(all[k].name, full.out, &n), *b = step_of(all[k].name, slow.out, &m), longest = 0;
        assert_int_equal(n, m);
        for (size_t i = 0; i < n; i++) {
            if (fabs(b[i] - all[k].rate * a[i]) > 4e-7) fail_msg("%s[%zu]: a step of %g; expected %g × %g", all[k].name, i, b[i], all[k].rate, a[i]);
            longest = fmax(longest, fabs(a[i]));
        }
        assert_true(longest > 5e-3); /* Adam's first steps are as long as the rate, which is 0.01 */
        free(a);
        free(b);
    }
}

static void stopping_changes_nothing(void **state)
{
    fv_train_options o;
    (void)state;
    from_options(&o, toy_classes("train.tsv", 0, 60), toy_classes("valid.tsv", 60, 90), "whole", body());
    o.freeze = 0;
    o.layer_decay = 0.7;
    o.steps = 7;
    o.dropout = 0.1;
    toy_stops_and_goes_on(&o, 3);
}

/* ---- What is kept of what does not learn ---- */

static int stop_after_two(void *user, const fv_event *e)
{
    (void)user;
    return e->kind == FV_EVENT_STEP && e->step == 2;
}

/* The checkpoint of a training that was stopped after two steps, of 6. */
static void stop_early(fv_train_options *o, int freeze, const char *out, char path[FV_PATH_MAX])
{
    fv_err err = {0};
    from_options(o, toy_classes("train.tsv", 0, 60), toy_classes("valid.tsv", 60, 90), out, body());
    o->freeze = freeze;
    o->steps = 6;
    o->on_event = stop_after_two;
    assert_int_equal(fv_train(o, &err), FV_E_STOPPED);
    o->on_event = NULL;
    o->resume = true;
    assert_int_equal(fv_path_join(path, o->out, "checkpoint.safetensors", NULL), FV_OK);
}

static int64_t length_of(const fv_safetensors *file, const char *name)
{
    const fv_st_tensor *tensor = fv_safetensors_find(file, name);
    assert_non_null(tensor);
    return tensor->shape[0];
}

/* As it was written when everything had moments: zeros for what is frozen, which comes first. */
static void write_as_before(const char *path)
{
    static const char *const keys[] = {"fovea_checkpoint", "state", "recipe", "data"};
    const char *values[FV_COUNT(keys)];
    fv_safetensors file;
    fv_err err = {0};
    assert_int_equal(fv_safetensors_open(&file, path, &err), FV_OK);
    int64_t n = length_of(&file, "weights"), moments = length_of(&file, "moment1");
    assert_in_range(moments, 1, n / 2); /* more than half of the weights are frozen */
    fv_st_tensor tensors[8];
    float *wide[2];
    int widened = 0;
    assert_in_range(file.n, 4, FV_COUNT(tensors));
    for (size_t i = 0; i < file.n; i++) {
        tensors[i] = file.tensors[i];
        if (tensors[i].shape[0] != moments) continue;
        float *all = wide[widened++] = fv_alloc_zero((size_t)n, sizeof *all, NULL);
        memcpy(all + n - moments, tensors[i].data, tensors[i].bytes);
        tensors[i].data = all;
        tensors[i].shape[0] = n;
        tensors[i].bytes = (size_t)n * sizeof *all;
    }
    assert_int_equal(widened, 2);
    for (size_t i = 0; i < FV_COUNT(keys); i++) values[i] = fv_safetensors_meta(&file, keys[i]);
    assert_int_equal(fv_safetensors_write(path, tensors, file.n, keys, values, FV_COUNT(keys), &err), FV_OK);
    fv_safetensors_close(&file);
    fv_free(wide[0]);
    fv_free(wide[1]);
}

static void what_is_frozen_has_no_moments(void **state)
{
    fv_train_options o;
    char path[FV_PATH_MAX], whole[129];
    fv_safetensors file;
    (void)state;
    stop_early(&o, -1, "moments", path);
    assert_int_equal(fv_safetensors_open(&file, path, NULL), FV_OK);
    assert_int_equal(length_of(&file, "moment1"), length_of(&file, "weights"));
    fv_safetensors_close(&file);

    stop_early(&o, 2, "moments-new", path);
    toy_train(&o);
    snprintf(whole, sizeof whole, "%s", toy_hash(o.out));
    stop_early(&o, 2, "moments-old", path);
    write_as_before(path);
    toy_train(&o);
    assert_string_equal(toy_hash(o.out), whole);
}

/* ---- What may be asked, and what it saves ---- */

static void refuse(const fv_train_options *o, const char *words)
{
    fv_err err = {0};
    assert_int_equal(fv_train(o, &err), FV_E_ARGUMENT);
    toy_contains(err.text, words);
}

static void choices_are_checked(void **state)
{
    fv_train_options o, bad;
    (void)state;
    from_options(&o, toy_classes("train.tsv", 0, 60), toy_classes("valid.tsv", 60, 90), "bad", body());
    bad = o, bad.freeze = 3, refuse(&bad, "3 layers are to be frozen; the model has 2");
    bad = o, bad.freeze = -2, refuse(&bad, "freeze is -2");
    bad = o, bad.layer_decay = 0, refuse(&bad, "layer decay is 0");
    bad = o, bad.layer_decay = 1.5, refuse(&bad, "layer decay is 1.5");
    bad = o, bad.freeze = 0, bad.task = FV_TASK_TRANSLATE, bad.from = NULL, refuse(&bad, "a translator learns as a whole");
    o.freeze = 1;
    o.steps = 4;
    toy_train(&o);
    bad = o, bad.freeze = 0, bad.steps = 5, bad.resume = true;
    toy_train(&bad); /* a finished model of another recipe is trained anew, not gone on with */
    check_frozen(body(), bad.out, 0, "anew");
}

/* Work of a step's backward half, with so much of three layers frozen. */
static double backward_work(int freeze)
{
    static const int32_t ids[] = {2, 7, 9, 3}, zeros[4], positions[] = {0, 1, 2, 3}, offsets[] = {0, 4}, targets[] = {1};
    static const uint64_t sequences[1];
    const fv_batch batch = {.B = 1, .N = 4, .ids = ids, .types = zeros, .positions = positions, .offsets = offsets, .sequences = sequences, .rows = (const uint32_t *)zeros};
    const fv_encoder_config config = {.vocab = 12, .layers = 3, .width = 16, .heads = 2, .ffn = 32, .max_len = 6, .types = 2, .pooler = true, .norm_eps = 1e-6, .init_deviation = 0.3};
    fv_encoder e;
    fv_head_weights head;
    assert_int_equal(fv_encoder_init(&e, &config, NULL), FV_OK);
    assert_int_equal(fv_head_init(&head, &e, FV_HEAD_TEXT, "", 3, NULL), FV_OK);
    assert_int_equal(fv_params_allocate(&e.params, NULL), FV_OK);
    for (size_t i = 0; i < e.params.n; i++) e.params.items[i]->frozen = e.params.items[i]->depth <= freeze;
    float *grad = fv_alloc_zero((size_t)e.params.n_floats, sizeof *grad, NULL);
    fv_params_bind_grad(&e.params, grad);
    fv_graph *g = fv_graph_new(NULL, NULL);
    fv_graph_reset(g, true);
    fv_tensor *loss = fv_cross_entropy(g, fv_head_build(&head, &e, g, fv_encoder_build(&e, g, &batch), &batch), targets, 0);
    assert_int_equal(fv_graph_plan(g, loss, NULL), FV_OK);
    double work = fv_graph_flops(g, true);
    fv_graph_free(g);
    fv_free(grad);
    fv_encoder_release(&e);
    return work;
}

static void frozen_layers_are_not_walked_back(void **state)
{
    (void)state;
    double all = backward_work(-1), one = backward_work(1), two = backward_work(2), three = backward_work(3);
    assert_true(one < 0.75 * all && two < 0.45 * all && three < 0.1 * all);
    assert_true(three > 0); /* the head's */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frozen_weights_keep_their_bits), cmocka_unit_test(every_task_starts_from_every_family), cmocka_unit_test(several_tasks_share_what_is_frozen),
        cmocka_unit_test(layers_learn_at_their_rates), cmocka_unit_test(stopping_changes_nothing), cmocka_unit_test(choices_are_checked),
        cmocka_unit_test(frozen_layers_are_not_walked_back), cmocka_unit_test(what_is_frozen_has_no_moments),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
