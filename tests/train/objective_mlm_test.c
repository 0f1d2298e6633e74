/* Masked pre-training through fv_train: words are learnt from those around them, stopping and threads change no bit, others
 * start from what was learnt, and what is wrong is told. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"
#include "train/toy.h"

static const char *const people[] = {"anna", "boris", "carla", "dmitri", "esther", "farid"};
static const char *const places[] = {"harbour", "market", "library", "station", "garden", "bakery"};
static const char *const things[] = {"rope", "apples", "novels", "tickets", "seeds", "bread"};

/* Row i names a place and what is sold there, which tell each other: plain text, a line each. */
static const char *plain_texts(const char *name, int first, int last)
{
    char all[1 << 15] = "";
    size_t n = 0;
    for (int i = first; i < last; i++) n += (size_t)snprintf(all + n, sizeof all - n, "%s went to the %s and bought %s there\n", people[i / 6 % 6], places[i % 6], things[i % 6]);
    return toy_text(name, all);
}

static void options(fv_train_options *o, const char *out)
{
    toy_options(o, plain_texts("train.txt", 0, 150), plain_texts("valid.txt", 150, 180), out);
    o->task = FV_TASK_MLM;
    o->dropout = 0;
    o->steps = 160;
}

/* Of the tokens of a file, in nats: what a model that only counts would lose. */
static double unigram_entropy(const char *folder, const char *path)
{
    fv_err err = {0};
    fv_buf text = {0};
    fv_encoding e = {0};
    double entropy = 0;
    fv_tokenizer *t = fv_tokenizer_open(folder, &err);
    assert_non_null(t);
    assert_int_equal(fv_file_read(path, 1 << 20, &text, &err), FV_OK);
    assert_int_equal(fv_tokenizer_encode(t, text.data, text.len, NULL, 0, false, &e, &err), FV_OK);
    double *counts = calloc((size_t)fv_tokenizer_size(t), sizeof *counts);
    for (size_t i = 0; i < e.n; i++) counts[e.ids[i]]++;
    for (int id = 0; id < fv_tokenizer_size(t); id++)
        if (counts[id] > 0) entropy -= counts[id] / (double)e.n * log(counts[id] / (double)e.n);
    free(counts);
    fv_encoding_release(&e);
    fv_buf_release(&text);
    fv_tokenizer_close(t);
    return entropy;
}

static fv_report *evaluate(const char *folder, const char *path, fv_err *err)
{
    fv_model *model = toy_open(folder);
    fv_session *session = fv_session_new(model, NULL, err);
    assert_non_null(session);
    fv_report *report = fv_eval(session, path, NULL, err);
    fv_session_free(session);
    fv_model_close(model);
    return report;
}

static void hidden_words_are_learnt(void **state)
{
    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); /* learning takes ten times longer, and has nothing to do with threads */
#endif
    fv_train_options o;
    fv_err err = {0};
    options(&o, "learnt");
    toy_train(&o);
    fv_report *report = evaluate(o.out, o.valid, &err);
    if (!report) fail_msg("%s", err.text);
    double loss = toy_metric(report, "loss"), entropy = unigram_entropy(o.out, o.valid);
    if (!(loss < 0.5 * entropy)) fail_msg("loss %g, unigram entropy %g", loss, entropy);
    assert_true(fabs(log(toy_metric(report, "perplexity")) - loss) < 1e-9);
    assert_int_equal(report->rows, 30);
    fv_report_free(report);
    const char *record = toy_read(o.out, "fovea.json");
    toy_contains(record, "\"task\": \"mlm\"");
    toy_contains(record, "\"perplexity\"");
    toy_contains(record, "\"labels_kind\": \"none\"");
    toy_contains(toy_read(o.out, "config.json"), "\"BertForMaskedLM\"");
}

/* The validation loss in fovea.json. */
static double recorded_loss(const char *folder)
{
    json_error_t error;
    json_t *tree = json_loads(toy_read(folder, "fovea.json"), 0, &error);
    double loss = json_number_value(json_object_get(json_object_get(json_object_get(tree, "valid"), "loss"), "value"));
    json_decref(tree);
    return loss;
}

/* What is scored is the same on each call, and what training said of its own validation rows. */
static void scores_can_be_had_again(void **state)
{
    (void)state;
    fv_train_options o;
    fv_err err = {0};
    options(&o, "again");
    o.steps = 5;
    toy_train(&o);
    fv_report *a = evaluate(o.out, o.valid, &err), *b = evaluate(o.out, o.valid, &err);
    assert_true(toy_metric(a, "loss") == toy_metric(b, "loss"));
    assert_true(a->metrics[0].low < a->metrics[0].value && a->metrics[0].value < a->metrics[0].high);
    assert_true(fabs(recorded_loss(o.out) - toy_metric(a, "loss")) < 1e-5); /* other products may be packed otherwise */
    fv_report_free(a);
    fv_report_free(b);
}

/* ---- Equal bits ---- */

static void stopping_and_threads_change_no_bit(void **state)
{
    (void)state;
    fv_train_options o;
    options(&o, "whole");
    o.steps = 25;
    o.dropout = 0.1;
    o.accumulate = 2;
    toy_stops_and_goes_on(&o, 9);
}

/* How many words are hidden differs from step to step. */
static void steps_allocate_nothing(void **state)
{
    (void)state;
    fv_train_options o;
    options(&o, "steady");
    o.steps = 60;
    o.batch_tokens = 100;
    toy_allocates_nothing(&o);
}

/* ---- Starting others ---- */

static void others_start_from_it(void **state)
{
    (void)state;
    fv_train_options o;
    fv_err err = {0};
    options(&o, "body");
    o.steps = 3;
    toy_train(&o);
    const char *body = o.out;
    toy_options(&o, toy_classes("classes.tsv", 0, 36), toy_classes("classes-valid.tsv", 36, 54), "classes");
    o.layers = o.width = o.heads = o.ffn = o.vocab = o.max_len = 0;
    o.from = body;
    o.steps = 2;
    o.attention_dropout = 0.125;
    toy_train(&o);
    toy_contains(toy_read(o.out, "config.json"), "\"attention_probs_dropout_prob\": 0.125");
    toy_contains(toy_read(o.out, "config.json"), "\"hidden_dropout_prob\": 0.1");
    toy_contains(toy_read(o.out, "config.json"), "\"BertForSequenceClassification\"");
    assert_null(strstr(toy_read(o.out, "config.json"), "MaskedLM"));

    options(&o, "further"); /* and it itself goes on, head and all */
    o.layers = o.width = o.heads = o.ffn = o.vocab = o.max_len = 0;
    o.from = body;
    o.steps = 1;
    o.lr = 1e-7;
    toy_train(&o);
    fv_report *before = evaluate(body, o.valid, &err), *after = evaluate(o.out, o.valid, &err);
    assert_true(fabs(toy_metric(before, "loss") - toy_metric(after, "loss")) < 1e-3);
    fv_report_free(before);
    fv_report_free(after);
}

/* ---- Data ---- */

static int listen(void *user, const fv_event *e)
{
    char *said = user;
    size_t n = strlen(said);
    if (e->kind == FV_EVENT_MESSAGE) snprintf(said + n, 2048 - n, "%s\n", e->text);
    return 0;
}

static void long_lines_take_several_rows(void **state)
{
    (void)state;
    char line[4096] = "", said[2048] = "";
    size_t n = 0;
    fv_train_options o;
    options(&o, "long");
    for (int i = 0; i < 60; i++) n += (size_t)snprintf(line + n, sizeof line - n, "%s sold %s at the %s ", people[i % 6], things[i % 6], places[i % 6]);
    o.train = toy_text("long.txt", line);
    o.on_event = listen;
    o.on_event_user = said;
    o.steps = 3;
    toy_train(&o);
    toy_contains(said, "1 texts have more than 24 tokens: they take several rows");
    assert_null(strstr(said, "cut"));
}

/* ---- Folders ---- */

static const char *folder_of_texts(const char *name)
{
    char path[128];
    assert_int_equal(fv_folder_make(scratch_path(name), NULL), FV_OK);
    snprintf(path, sizeof path, "%s/lines.txt", name);
    plain_texts(path, 0, 20);
    snprintf(path, sizeof path, "%s/one.md", name);
    toy_text(path, "# Market\n\nanna went to the market\nand bought apples there\n\nboris\n\ncarla\n\ndmitri\n\nesther\n\nfarid\n");
    snprintf(path, sizeof path, "%s/two.jsonl", name);
    toy_text(path, "{\"text\":\"the garden\"}\n{\"text\":\"seeds\"}\n{\"text\":\"bread\"}\n{\"text\":\"rope\"}\n");
    return scratch_path(name);
}

static void folders_are_learnt_from(void **state)
{
    (void)state;
    char said[2048] = "";
    fv_train_options o;
    options(&o, "of-folder");
    o.train = folder_of_texts("letters");
    o.on_event = listen;
    o.on_event_user = said;
    o.steps = 3;
    toy_train(&o);
    toy_contains(said, "letters: 12 texts of 3 files");
    toy_contains(toy_read(o.out, "fovea.json"), "\"files\": 3");
    toy_contains(toy_read(o.out, "fovea.json"), "\"skipped_files\": 0");
    char train[500], out[512];
    snprintf(train, sizeof train, "%s", o.train);
    snprintf(out, sizeof out, "%s/model", train);
    o.train = train;
    o.out = out;
    fv_err err = {0};
    assert_int_equal(fv_train(&o, &err), FV_E_ARGUMENT);
    toy_contains(err.text, "letters/model lies in ");
}

/* Also with other masks, and the folder's own tenth held back. */
static void stopping_changes_no_bit_of_folders(void **state)
{
    (void)state;
    fv_train_options o;
    options(&o, "folder-whole");
    o.train = folder_of_texts("letters2");
    o.valid = NULL;
    o.steps = 12;
    o.mask_share = 0.3;
    o.mask_pieces = true;
    toy_stops_and_goes_on(&o, 5);
}

/* What is hidden to learn by is recorded, and another share is another training. */
static void masks_are_of_the_recipe(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_train_options o;
    options(&o, "masks");
    o.steps = 2;
    toy_train(&o);
    char hash[2][65];
    snprintf(hash[0], sizeof hash[0], "%s", toy_hash(o.out));
    toy_contains(toy_read(o.out, "fovea.json"), "\"mask_share\": 0.15");
    o.mask_share = 0.5;
    toy_train(&o);
    snprintf(hash[1], sizeof hash[1], "%s", toy_hash(o.out));
    assert_string_not_equal(hash[0], hash[1]);
    o.mask_share = 0.95;
    assert_int_equal(fv_train(&o, &err), FV_E_ARGUMENT);
    toy_contains(err.text, "mask share is 0.95; expected 0.01 to 0.9");
}

static void tables_have_a_column_of_texts(void **state)
{
    (void)state;
    fv_train_options o;
    options(&o, "table");
    o.train = toy_pairs("pairs.tsv", 0, 30);
    o.valid = toy_pairs("pairs-valid.tsv", 30, 40);
    o.columns.text2 = "text2";
    o.steps = 2;
    toy_train(&o);
    o.columns.text = "body";
    fv_err err = {0};
    assert_int_equal(fv_train(&o, &err), FV_E_INPUT);
    toy_contains(err.text, "no column \"body\"");
}

static void expect_error(const fv_train_options *o, fv_status expected, const char *part)
{
    fv_err err = {0};
    int64_t live = fv_alloc_live();
    assert_int_equal(fv_train(o, &err), expected);
    toy_contains(err.text, part);
    assert_int_equal(fv_alloc_live(), live);
}

static void wrong_data_is_told(void **state)
{
    (void)state;
    fv_train_options o, bad;
    fv_err err = {0};
    options(&o, "wrong");
    o.steps = 2;
    bad = o, bad.train = toy_text("nothing.txt", ""), expect_error(&bad, FV_E_INPUT, "nothing.txt: no rows");
    bad = o, bad.train = toy_text("bytes.txt", "fine\n\xff\xfe\n"), expect_error(&bad, FV_E_INPUT, "bytes.txt:2");
    bad = o, bad.valid = toy_text("blank.jsonl", "{\"text\":\"\"}\n"), expect_error(&bad, FV_E_INPUT, "blank.jsonl: all texts are empty");
    toy_train(&o);
    assert_null(evaluate(o.out, toy_text("empty.jsonl", "{\"text\":\"\"}\n"), &err));
    toy_contains(err.text, "empty.jsonl: all texts are empty");
    assert_null(evaluate(o.out, "no/such/file.txt", &err));
    toy_contains(err.text, "no/such/file.txt");
}

static void labels_are_not_asked_of_it(void **state)
{
    (void)state;
    fv_train_options o;
    fv_err err = {0};
    fv_text text = {.text = "anna went"};
    fv_label best;
    options(&o, "asked");
    o.steps = 1;
    toy_train(&o);
    fv_model *model = toy_open(o.out);
    fv_session *session = fv_session_new(model, NULL, &err);
    assert_non_null(session);
    assert_int_equal(fv_classify(session, &text, 1, 1, &best, &err), FV_E_ARGUMENT);
    toy_contains(err.text, "gives texts no labels: it guesses missing words");
    fv_session_free(session);
    fv_model_close(model);
}

/* ---- Memory that fails ---- */

static void memory_may_fail_anywhere(void **state)
{
    (void)state;
    fv_train_options o;
    options(&o, "memory");
    o.steps = 1;
    toy_fails_without_memory(&o, 60, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hidden_words_are_learnt),
        cmocka_unit_test(scores_can_be_had_again),
        cmocka_unit_test(stopping_and_threads_change_no_bit),
        cmocka_unit_test(steps_allocate_nothing),
        cmocka_unit_test(others_start_from_it),
        cmocka_unit_test(long_lines_take_several_rows),
        cmocka_unit_test(folders_are_learnt_from),
        cmocka_unit_test(stopping_changes_no_bit_of_folders),
        cmocka_unit_test(masks_are_of_the_recipe),
        cmocka_unit_test(tables_have_a_column_of_texts),
        cmocka_unit_test(wrong_data_is_told),
        cmocka_unit_test(labels_are_not_asked_of_it),
        cmocka_unit_test(memory_may_fail_anywhere),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
