/* Vectors through fv_train: pairs, hard ones, labels, triplets and a teacher are learnt; stopping and threads change no bit,
 * steps allocate nothing, others go on from it, the folder is one of sentence-transformers, and what is wrong is told. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"
#include "infer/infer.h"
#include "train/teacher.h"
#include "train/toy.h"

/* English and German, some seconds' worth. */
static void options(fv_train_options *o, const char *out)
{
    toy_options(o, toy_translations("pairs.tsv", 0, 240), toy_translations("pairs-valid.tsv", 240, 270), out);
    o->task = FV_TASK_EMBED;
    o->columns.text = "src";
    o->columns.text2 = "tgt";
    o->dropout = 0;
    o->batch_tokens = 600;
    o->steps = 100;
}

/* A validation figure in fovea.json. */
static double recorded(const char *folder, const char *name)
{
    json_error_t error;
    json_t *tree = json_loads(toy_read(folder, "fovea.json"), 0, &error);
    double value = json_number_value(json_object_get(json_object_get(json_object_get(tree, "valid"), name), "value"));
    json_decref(tree);
    return value;
}

static fv_report *evaluate(const char *folder, const char *path, const fv_eval_options *o, fv_err *err)
{
    fv_model *model = toy_open(folder);
    fv_session *session = fv_session_new(model, NULL, err);
    assert_non_null(session);
    fv_report *report = fv_eval(session, path, o, err);
    fv_session_free(session);
    fv_model_close(model);
    return report;
}

/* ---- What is learnt ---- */

static const char *learnt(void)
{
    static char folder[FV_PATH_MAX];
    if (*folder) return folder;
    fv_train_options o;
    options(&o, "learnt");
    o.dims[0] = 8;
    toy_train(&o);
    snprintf(folder, sizeof folder, "%s", o.out);
    return folder;
}

static void pairs_are_learnt(void **state)
{
    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); /* learning takes ten times longer, and has nothing to do with threads */
#endif
    const char *folder = learnt();
    fv_eval_options o;
    fv_err err = {0};
    fv_eval_options_init(&o);
    o.columns.text = "src";
    o.columns.text2 = "tgt";
    const char *valid = scratch_path("pairs-valid.tsv");
    double mrr = recorded(folder, "mrr");
    if (!(mrr > 0.7)) fail_msg("mrr %g", mrr);
    fv_report *report = evaluate(folder, valid, &o, &err);
    if (!report) fail_msg("%s", err.text);
    assert_true(fabs(toy_metric(report, "mrr") - mrr) < 1e-6);
    assert_int_equal(report->rows, 30);
    fv_report_free(report);
    o.dim = 8; /* the first numbers do alone, too */
    report = evaluate(folder, valid, &o, &err);
    if (!(toy_metric(report, "mrr") > 0.5)) fail_msg("the first 8 numbers: mrr %g", toy_metric(report, "mrr"));
    fv_report_free(report);
    o.dim = 33;
    assert_null(evaluate(folder, valid, &o, &err));
    toy_contains(err.text, "vectors of 33 numbers asked");
}

static void the_folder_is_one_of_sentence_transformers(void **state)
{
    (void)state;
    const char *folder = learnt();
    toy_contains(toy_read(folder, "config.json"), "\"BertModel\"");
    toy_contains(toy_read(folder, "modules.json"), "\"sentence_transformers.models.Pooling\"");
    toy_contains(toy_read(folder, "1_Pooling/config.json"), "\"pooling_mode_mean_tokens\": true");
    toy_contains(toy_read(folder, "1_Pooling/config.json"), "\"word_embedding_dimension\": 32");
    toy_contains(toy_read(folder, "sentence_bert_config.json"), "\"max_seq_length\": 24");
    toy_contains(toy_read(folder, "config_sentence_transformers.json"), "\"similarity_fn_name\": \"cosine\"");
    toy_contains(toy_read(folder, "2_Normalize/config.json"), "{}");
    const char *record = toy_read(folder, "fovea.json");
    toy_contains(record, "\"task\": \"embed\"");
    toy_contains(record, "\"labels_kind\": \"vector\"");
    toy_contains(record, "\"1_Pooling/config.json\": \"");
    toy_contains(record, "\"loss\": \"contrast\"");
    fv_model *model = toy_open(folder);
    assert_true(model->sentence.normalise && model->sentence.pooling == FV_POOLING_MEAN);
    assert_int_equal(model->max_len, 24);
    fv_model_close(model);
}

/* Vectors of a folder that was trained here, from sentence-transformers itself: tests/golden/vectors.py. */
static void vectors_are_those_of_sentence_transformers(void **state)
{
    (void)state;
    fv_err err = {0};
    json_t *rows = fv_json_load("tests/golden/vectors/expected.json", 1 << 20, &err);
    fv_model *model = toy_open("tests/golden/vectors");
    fv_session *session = fv_session_new(model, NULL, &err);
    assert_int_equal(json_array_size(rows), 5);
    assert_int_equal(fv_model_embedding_size(model), 16);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        fv_text text = {.text = json_string_value(json_object_get(row, "text"))};
        float x[16];
        if (fv_embed(session, &text, 1, NULL, x, &err) != FV_OK) fail_msg("%s", err.text);
        for (size_t c = 0; c < 16; c++) {
            double wanted = json_number_value(json_array_get(json_object_get(row, "vector"), c));
            if (!(fabs((double)x[c] - wanted) < 1e-5)) fail_msg("text %zu, number %zu: %.7f, expected %.7f", i, c, (double)x[c], wanted);
        }
    }
    fv_session_free(session);
    fv_model_close(model);
    json_decref(rows);
}

/* A model of another kind in its place is none any more. */
static void another_takes_its_place(void **state)
{
    (void)state;
    fv_train_options o;
    options(&o, "replaced");
    o.steps = 1;
    toy_train(&o);
    assert_true(fv_folder_exists(scratch_path("replaced/1_Pooling")));
    toy_options(&o, toy_classes("later.tsv", 0, 36), toy_classes("later-valid.tsv", 36, 54), "replaced");
    o.steps = 1;
    toy_train(&o);
    assert_false(fv_file_exists(scratch_path("replaced/modules.json")));
    assert_false(fv_folder_exists(scratch_path("replaced/1_Pooling")));
}

/* text, text2, label and perhaps negative: words of three kinds, alike if of one. */
static const char *kinds(const char *name, int first, int last, const char *form)
{
    static const char *const words[3][4] = {{"cherry", "currant", "sloe", "elder"}, {"copper", "zinc", "iron", "tin"}, {"danube", "loire", "oder", "volga"}};
    static char text[1 << 15];
    bool labels = strcmp(form, "label") == 0;
    size_t n = (size_t)snprintf(text, sizeof text, "text\ttext2\t%s\n", form);
    for (int i = first; i < last; i++) {
        int a = i % 3, b = labels ? i / 3 % 3 : a;
        n += (size_t)snprintf(text + n, sizeof text - n, "the %s\tsome %s\t", words[a][i / 9 % 4], words[b][i / 36 % 4]);
        if (labels) n += (size_t)snprintf(text + n, sizeof text - n, "%g\n", a == b ? 1.0 : a + b == 2 ? 0.3 : 0);
        else n += (size_t)snprintf(text + n, sizeof text - n, "some %s\n", words[(a + 1 + i % 2) % 3][i / 7 % 4]);
    }
    return toy_text(name, text);
}

static void kinds_options(fv_train_options *o, const char *out, const char *form, const char *loss)
{
    toy_options(o, kinds("kinds.tsv", 0, 120, form), kinds("kinds-valid.tsv", 120, 160, form), out);
    o->task = FV_TASK_EMBED;
    o->dropout = 0;
    o->steps = 60;
    o->loss = loss;
}

static void labels_and_triplets_are_learnt(void **state)
{
    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); /* as above */
#endif
    static const char *const losses[] = {NULL, "cosine"};
    fv_train_options o;
    for (int i = 0; i < 2; i++) {
        kinds_options(&o, "alike", "label", losses[i]);
        toy_train(&o);
        toy_contains(toy_read(o.out, "fovea.json"), i ? "\"loss\": \"cosine\"" : "\"loss\": \"cosent\"");
        if (!(recorded(o.out, "spearman") > 0.8)) fail_msg("%s: spearman %g", losses[i], recorded(o.out, "spearman"));
    }
    kinds_options(&o, "triplets", "negative", "triplet");
    toy_train(&o);
    if (!(recorded(o.out, "mrr") > 0.5)) fail_msg("triplet: mrr %g", recorded(o.out, "mrr"));
    kinds_options(&o, "hard", "negative", NULL);
    toy_train(&o);
    toy_contains(toy_read(o.out, "fovea.json"), "\"loss\": \"contrast\"");
    if (!(recorded(o.out, "mrr") > 0.5)) fail_msg("hard negatives: mrr %g", recorded(o.out, "mrr"));
}

/* ---- Teachers ---- */

static void pupil_options(fv_train_options *o, const char *out, int width)
{
    options(o, out);
    o->teacher = learnt();
    o->width = width;
    o->ffn = 2 * width;
}

/* A pupil of both languages gets the English vectors; a narrower one gets them turned. */
static void teachers_are_followed(void **state)
{
    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); /* as above */
#endif
    fv_train_options o;
    pupil_options(&o, "pupil", 32);
    toy_train(&o);
    if (!(recorded(o.out, "cosine") > 0.9)) fail_msg("cosine %g", recorded(o.out, "cosine"));
    if (!(recorded(o.out, "mrr") > 0.5)) fail_msg("mrr %g", recorded(o.out, "mrr"));
    assert_false(fv_file_exists(scratch_path("pupil/" FV_TURN_FILE)));
    pupil_options(&o, "narrow", 16);
    o.dims[0] = 8;
    toy_train(&o);
    if (!(recorded(o.out, "cosine") > 0.7)) fail_msg("narrow: cosine %g", recorded(o.out, "cosine"));
    assert_true(fv_file_exists(scratch_path("narrow/" FV_TURN_FILE)));
    pupil_options(&o, "wide", 48);
    toy_train(&o);
    if (!(recorded(o.out, "cosine") > 0.9)) fail_msg("wide: cosine %g", recorded(o.out, "cosine"));
}

static void its_turn_is_kept(void **state)
{
    (void)state;
    fv_train_options o;
    char first[65], second[65];
    fv_err err = {0};
    pupil_options(&o, "turned", 16);
    o.steps = 2;
    toy_train(&o);
    assert_int_equal(fv_sha256_file(scratch_path("turned/" FV_TURN_FILE), first, &err), FV_OK);
    const char *from = o.out;
    pupil_options(&o, "turned-on", 16);
    o.train = toy_text("lone.tsv", "src\none bird\ntwo birds\nthree stones\nfour rivers\n"); /* other texts, which would turn it otherwise */
    o.valid = toy_text("lone-valid.tsv", "src\nfive birds\n");
    o.columns.text2 = NULL;
    o.from = from;
    o.layers = o.width = o.heads = o.ffn = o.vocab = o.max_len = 0;
    o.steps = 2;
    toy_train(&o);
    assert_int_equal(fv_sha256_file(scratch_path("turned-on/" FV_TURN_FILE), second, &err), FV_OK);
    assert_string_equal(first, second);
}

/* A row whose text2 is empty teaches by its text alone: what is made of nothing is drawn nowhere. */
static void a_second_text_may_be_missing(void **state)
{
    (void)state;
    fv_train_options o;
    pupil_options(&o, "some", 32);
    o.train = toy_text("some.tsv", "src\ttgt\none bird\t\ntwo birds\tzwei Vögel\nthree stones\t\nfour rivers\tvier Flüsse\n");
    o.valid = toy_text("some-valid.tsv", "src\ttgt\nfive birds\t\nfive stones\t\n");
    o.steps = 2;
    toy_train(&o);
    double with = recorded(o.out, "cosine");
    o.out = scratch_path("same");
    o.valid = toy_text("same-valid.tsv", "src\ttgt\nfive birds\tfive birds\nfive stones\tfive stones\n");
    toy_train(&o);
    assert_float_equal(recorded(o.out, "cosine"), with, 1e-6); /* each text was judged once, not with an empty one */
}

/* ---- Equal bits ---- */

static void stopping_and_threads_change_no_bit(void **state)
{
    (void)state;
    fv_train_options o;
    options(&o, "whole");
    o.steps = 12;
    o.dropout = 0.1;
    o.accumulate = 2;
    o.dims[0] = 4;
    toy_stops_and_goes_on(&o, 6);
    pupil_options(&o, "whole", 16);
    o.steps = 12;
    o.dropout = 0.1;
    toy_stops_and_goes_on(&o, 6);
    kinds_options(&o, "whole", "label", NULL);
    o.steps = 8;
    toy_stops_and_goes_on(&o, 6);
}

static void steps_allocate_nothing(void **state)
{
    (void)state;
    fv_train_options o;
    options(&o, "steady");
    o.steps = 30;
    o.batch_tokens = 200;
    o.dims[0] = 8;
    toy_allocates_nothing(&o);
    kinds_options(&o, "steady", "negative", NULL);
    o.steps = 20;
    toy_allocates_nothing(&o);
}

/* ---- Going on ---- */

static void others_start_from_it(void **state)
{
    (void)state;
    fv_train_options o;
    options(&o, "second");
    o.from = learnt();
    o.layers = o.width = o.heads = o.ffn = o.vocab = o.max_len = 0;
    o.steps = 1;
    o.lr = 1e-7;
    toy_train(&o);
    assert_true(fabs(recorded(o.from, "mrr") - recorded(o.out, "mrr")) < 1e-3);
    toy_contains(toy_read(o.out, "sentence_bert_config.json"), "\"max_seq_length\": 24");
    o.pooling = "cls";
    o.max_len = 12;
    toy_train(&o);
    toy_contains(toy_read(o.out, "1_Pooling/config.json"), "\"pooling_mode_cls_token\": true");
    toy_contains(toy_read(o.out, "sentence_bert_config.json"), "\"max_seq_length\": 12");
    toy_options(&o, toy_classes("classes.tsv", 0, 36), toy_classes("classes-valid.tsv", 36, 54), "classes");
    o.layers = o.width = o.heads = o.ffn = o.vocab = o.max_len = 0;
    o.from = learnt();
    o.steps = 1;
    toy_train(&o);
}

/* ---- What is wrong ---- */

static void refused(const fv_train_options *o, fv_status expected, const char *part)
{
    fv_err err = {0};
    int64_t live = fv_alloc_live();
    fv_status status = fv_train(o, &err);
    if (status != expected || !strstr(err.text, part)) fail_msg("found %d \"%s\", expected %d \"%s\"", status, err.text, expected, part);
    assert_int_equal(fv_alloc_live(), live);
}

static void rows(fv_train_options *o, const char *text)
{
    options(o, "wrong");
    o->train = toy_text("wrong.tsv", text);
    o->valid = NULL;
    o->columns.text = "text";
    o->columns.text2 = NULL;
}

#define TEN(row) row row row row row row row row row row

static void wrong_rows_are_told(void **state)
{
    (void)state;
    fv_train_options o;
    rows(&o, "text\nalone\n"), o.valid = o.train, refused(&o, FV_E_INPUT, "rows of a text alone teach nothing without a teacher");
    rows(&o, "text\ttext2\nfull\tmoon\n\tmoon\n"), refused(&o, FV_E_INPUT, "wrong.tsv:3: a text is empty; expected some in all");
    rows(&o, "text\ttext2\nfull\tmoon\nhalf\t\n"), refused(&o, FV_E_INPUT, "wrong.tsv:3: a text is empty");
    rows(&o, "text\ttext2\nfull\tmoon\n"), refused(&o, FV_E_INPUT, "1 rows are too few");
    rows(&o, "text\ttext2\n" TEN("full\tmoon\n") "half\tmoon\n"), refused(&o, FV_E_INPUT, "all rows have the same text2; nothing is there to be told apart");
    rows(&o, "text\ttext2\tlabel\n" TEN("full\tmoon\t0.5\n") "half\tmoon\t0.5\n"), refused(&o, FV_E_INPUT, "all rows have the same label");
    rows(&o, "text\ttext2\tlabel\nfull\tmoon\tnan\n"), refused(&o, FV_E_INPUT, "wrong.tsv:2: the label is \"nan\"; expected a finite number");
    rows(&o, "text\ttext2\tgrade\n" TEN("full\tmoon\t1\n") "half\tsun\t0\n"), refused(&o, FV_E_INPUT, "rows have text, text2, grade; loss contrast is for text, text2 and perhaps negative");
    rows(&o, "text\ttext2\n" TEN("full\tmoon\n") "half\tsun\n"), o.columns.text2 = "answer", refused(&o, FV_E_INPUT, "no column \"answer\"; the header has \"text\", \"text2\"; name one with --text2");
    rows(&o, "text\ttext2\n" TEN("full\tmoon\n") "half\tsun\n"), o.loss = "triplet", refused(&o, FV_E_INPUT, "loss triplet is for text, text2, negative");
    rows(&o, "text\ttext2\n" TEN("full\tmoon\n") "half\tsun\n"), o.valid = toy_text("other.tsv", "text\ttext2\tlabel\na\tb\t1\n"), refused(&o, FV_E_INPUT, "other.tsv: rows have text, text2, label; expected text, text2, as the training rows");
    rows(&o, ""), o.train = toy_text("mixed.jsonl", "{\"text\":\"a\",\"text2\":\"b\"}\n{\"text\":\"a\"}\n"), refused(&o, FV_E_INPUT, "mixed.jsonl:2: no text2, and the rows before it have one");
    rows(&o, ""), o.train = toy_text("mixed.jsonl", "{\"text\":\"a\"}\n{\"text\":\"a\",\"text2\":\"b\"}\n"), refused(&o, FV_E_INPUT, "mixed.jsonl:2: a text2, and the rows before it have none");
}

static void wrong_options_are_told(void **state)
{
    (void)state;
    fv_train_options o;
    options(&o, "wrong"), o.loss = "hinge", refused(&o, FV_E_ARGUMENT, "loss \"hinge\" is not known; expected contrast, cosent, cosine, triplet or teacher");
    options(&o, "wrong"), o.loss = "teacher", refused(&o, FV_E_ARGUMENT, "loss teacher needs a teacher");
    options(&o, "wrong"), o.loss = "contrast", o.teacher = learnt(), refused(&o, FV_E_ARGUMENT, "loss contrast has no use for a teacher");
    options(&o, "wrong"), o.teacher = "no/such", refused(&o, FV_E_IO, "no/such: no such folder");
    options(&o, "wrong"), o.dims[0] = 33, refused(&o, FV_E_ARGUMENT, "vectors of 33 numbers asked; the model's have 32");
    options(&o, "wrong"), o.dims[0] = o.dims[1] = 8, refused(&o, FV_E_ARGUMENT, "vectors of 8 numbers are asked twice");
    options(&o, "wrong"), o.scale = 0, refused(&o, FV_E_ARGUMENT, "scale is 0");
    options(&o, "wrong"), o.margin = 3, refused(&o, FV_E_ARGUMENT, "margin is 3");
}

static void memory_may_fail_anywhere(void **state)
{
    (void)state;
    fv_train_options o;
    pupil_options(&o, "memory", 16);
    o.train = o.valid;
    o.steps = 1;
    toy_fails_without_memory(&o, 60, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_are_learnt),
        cmocka_unit_test(the_folder_is_one_of_sentence_transformers),
        cmocka_unit_test(vectors_are_those_of_sentence_transformers),
        cmocka_unit_test(another_takes_its_place),
        cmocka_unit_test(labels_and_triplets_are_learnt),
        cmocka_unit_test(teachers_are_followed),
        cmocka_unit_test(a_second_text_may_be_missing),
        cmocka_unit_test(its_turn_is_kept),
        cmocka_unit_test(stopping_and_threads_change_no_bit),
        cmocka_unit_test(steps_allocate_nothing),
        cmocka_unit_test(others_start_from_it),
        cmocka_unit_test(wrong_rows_are_told),
        cmocka_unit_test(wrong_options_are_told),
        cmocka_unit_test(memory_may_fail_anywhere),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
