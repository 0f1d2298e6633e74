/* fv_train's promises when things go wrong: an error that says what and where, nothing leaked, and
 * the model that lay in the folder before unharmed. Memory and disk fail at every nth turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "train/toy.h"

/* ---- What a person may get wrong ---- */

static void expect_error(const fv_train_options *o, fv_status expected, const char *part)
{
    fv_err err = {0};
    int64_t live = fv_alloc_live();
    fv_status status = fv_train(o, &err);
    if (status != expected) fail_msg("status %d: \"%s\"; expected %d, \"%s\"", status, err.text, expected, part);
    assert_int_equal(err.status, expected);
    toy_contains(err.text, part);
    assert_int_equal(fv_alloc_live(), live);
    assert_int_equal(fv_train(o, NULL), expected);
}

static void base_options(fv_train_options *o)
{
    toy_options(o, toy_classes("train.tsv", 0, 36), toy_classes("valid.tsv", 36, 54), "wrong");
    o->steps = 3;
}

static void options_are_checked(void **state)
{
    (void)state;
    fv_train_options o, bad;
    base_options(&o);
    bad = o, bad.size = 8, expect_error(&bad, FV_E_ARGUMENT, "fv_train_options_init");
    bad = o, bad.train = NULL, expect_error(&bad, FV_E_ARGUMENT, "--train");
    bad = o, bad.out = NULL, expect_error(&bad, FV_E_ARGUMENT, "--out");
    bad = o, bad.train = bad.valid = "-", expect_error(&bad, FV_E_ARGUMENT, "stdin");
}

static void files_are_checked(void **state)
{
    (void)state;
    fv_train_options o, bad;
    base_options(&o);
    bad = o, bad.train = toy_text("empty.tsv", ""), expect_error(&bad, FV_E_INPUT, "empty.tsv");
    bad = o, bad.train = toy_text("header.tsv", "text\tlabel\n"), expect_error(&bad, FV_E_INPUT, "header.tsv");
    bad = o, bad.train = "no/such/file.tsv", expect_error(&bad, FV_E_IO, "no/such/file.tsv");
    bad = o, bad.train = scratch_folder(), expect_error(&bad, FV_E_IO, "is a folder; expected a file");
    bad = o, bad.train = toy_text("columns.tsv", "words\tlabel\na\tb\n"), expect_error(&bad, FV_E_INPUT, "columns.tsv");
    bad = o, bad.valid = toy_text("bad.tsv", "text\tlabel\na\tberry\nb\n"), expect_error(&bad, FV_E_INPUT, "bad.tsv:3");
    bad = o, bad.test = toy_text("none.tsv", "text\tlabel\n"), expect_error(&bad, FV_E_INPUT, "none.tsv");
    bad = o, bad.train = toy_text("one.tsv", "text\tlabel\na\tonly\nb\tonly\n"), expect_error(&bad, FV_E_INPUT, "all 2 rows have the label \"only\"");
    bad = o, bad.train = toy_text("few.tsv", "text\tlabel\na\tx\nb\ty\n"), bad.valid = NULL, expect_error(&bad, FV_E_INPUT, "2 rows are too few to hold a tenth back");
    bad = o, bad.labels = FV_LABELS_REGRESSION, expect_error(&bad, FV_E_INPUT, "train.tsv:2");
}

static int keep_message(void *user, const fv_event *e)
{
    char *text = user;
    size_t n = strlen(text);
    if (e->kind == FV_EVENT_MESSAGE) snprintf(text + n, 2048 - n, "%s\n", e->text);
    return 0;
}

static void odd_rows_are_told_and_survived(void **state)
{
    (void)state;
    char said[2048] = "";
    fv_train_options o;
    base_options(&o);
    o.valid = toy_text("odd.tsv", "text\tlabel\nfound zinc\tmetal\nfound gold\tjewel\n");
    o.test = toy_text("odd-test.tsv", "text\tlabel\nfound zinc\tmetal\nno tab here\n");
    o.columns.skip_bad = true;
    o.max_len = 4;
    o.on_event = keep_message;
    o.on_event_user = said;
    toy_train(&o);
    toy_contains(said, "odd.tsv: 1 rows have labels that training never saw");
    toy_contains(said, "odd.tsv:3");
    toy_contains(said, "\"jewel\"");
    toy_contains(said, "odd-test.tsv: 1 bad rows left out");
    toy_contains(said, "texts have more than 4 tokens: their ends are cut");
}

static void a_part_can_be_held_back(void **state)
{
    (void)state;
    char said[2048] = "";
    fv_train_options o;
    base_options(&o);
    o.valid = NULL;
    o.on_event = keep_message;
    o.on_event_user = said;
    toy_train(&o);
    toy_contains(said, "of 36 rows are held back from training");
}

static int train_again(void *user, const fv_event *e)
{
    fv_train_options *o = user;
    fv_err err = {0};
    if (e->kind != FV_EVENT_STEP || e->step != 1) return 0;
    fv_train_options second = *o;
    second.on_event = NULL;
    assert_int_equal(fv_train(&second, &err), FV_E_BUSY);
    toy_contains(err.text, "another training is writing there");
    return 0;
}

static void two_trainings_do_not_share_a_folder(void **state)
{
    (void)state;
    fv_train_options o;
    base_options(&o);
    o.on_event = train_again;
    o.on_event_user = &o;
    toy_train(&o);
}

static void folders_that_cannot_be_written(void **state)
{
    (void)state;
    fv_train_options o, bad;
    base_options(&o);
    bad = o, bad.out = toy_text("file", "not a folder"), expect_error(&bad, FV_E_IO, "file");
    if (geteuid() == 0) return; /* root writes everywhere */
    char path[FV_PATH_MAX];
    assert_int_equal(fv_path_join(path, scratch_folder(), "locked", NULL), FV_OK);
    assert_int_equal(mkdir(path, 0500), 0);
    bad = o, bad.out = path, expect_error(&bad, FV_E_IO, "locked");
}

/* ---- What a refused training leaves ---- */

/* Refused twice: where OUT and the folder above it are not there, and where OUT holds another's file. */
static void expect_no_trace(fv_train_options o, fv_status expected, const char *part)
{
    char above[FV_PATH_MAX], out[FV_PATH_MAX], notes[FV_PATH_MAX], before[sizeof(fv_holds)];
    fv_holds holds;
    snprintf(above, sizeof above, "%s", scratch_path("refused"));
    assert_int_equal(fv_path_join(out, above, "model", NULL), FV_OK);
    assert_int_equal(fv_path_join(notes, out, "log.jsonl", NULL), FV_OK);
    o.out = out;
    expect_error(&o, expected, part);
    if (fv_folder_exists(above)) fail_msg("\"%s\" left %s: %s", part, above, fv_folder_holds(&holds, above));
    assert_int_equal(fv_folder_make(out, NULL), FV_OK);
    assert_int_equal(fv_file_write(notes, "dear to somebody\n", 17, NULL), FV_OK);
    snprintf(before, sizeof before, "%s", fv_folder_holds(&holds, out));
    expect_error(&o, expected, part);
    assert_string_equal(fv_folder_holds(&holds, out), before);
    assert_string_equal(toy_read(out, "log.jsonl"), "dear to somebody\n");
    assert_int_equal(fv_file_remove(notes, NULL), FV_OK);
    fv_folder_unmake(out, strlen(scratch_folder()));
}

static void a_refused_training_leaves_no_trace(void **state)
{
    (void)state;
    fv_train_options o, bad;
    base_options(&o);
    bad = o, bad.dropout = 2, expect_no_trace(bad, FV_E_ARGUMENT, "dropout");
    bad = o, bad.resume = true, bad.train = "no/such/file.tsv", expect_no_trace(bad, FV_E_IO, "no/such/file.tsv");
    bad = o, bad.from = "no/such/model", expect_no_trace(bad, FV_E_IO, "no/such/model");
    bad = o, bad.freeze = 9, expect_no_trace(bad, FV_E_ARGUMENT, "9 layers are to be frozen");
    bad = o, bad.steps = 0, bad.max_seconds = 1e-6, expect_no_trace(bad, FV_E_ARGUMENT, "seconds are too few");
    bad = o, bad.task = FV_TASK_TAG, bad.train = toy_text("no-tags.conll", "word\n"), expect_no_trace(bad, FV_E_INPUT, "no-tags.conll");
    bad = o, bad.task = FV_TASK_MLM, bad.train = toy_text("nothing.txt", "\n"), expect_no_trace(bad, FV_E_INPUT, "nothing.txt");
    bad = o, bad.task = FV_TASK_MULTI, bad.train = toy_text("tasks.json", "[]"), expect_no_trace(bad, FV_E_INPUT, "tasks.json");
    bad = o, bad.task = FV_TASK_TRANSLATE, bad.from = toy_model(), expect_no_trace(bad, FV_E_ARGUMENT, "is no translator");
    bad = o, bad.task = FV_TASK_EMBED, bad.train = bad.valid = toy_text("faq.tsv", "text\ttext2\nzinc\tmetal\npear\tberry\n"), bad.teacher = "no/such/teacher", expect_no_trace(bad, FV_E_IO, "no/such/teacher");
}

/* ---- From another model ---- */

static void a_model_starts_from_another(void **state)
{
    (void)state;
    fv_train_options o, bad;
    base_options(&o);
    o.from = toy_model();
    o.layers = o.width = o.heads = o.ffn = o.vocab = o.max_len = 0;
    o.steps = 1;
    o.lr = 1e-6;
    toy_train(&o); /* one tiny step: it still knows what it knew */
    toy_contains(toy_read(o.out, "fovea.json"), "\"from\"");
    toy_contains(toy_read(o.out, "config.json"), "BertFor");
    fv_err err = {0};
    fv_model *model = toy_open(o.out);
    fv_session *session = fv_session_new(model, NULL, &err);
    fv_report *report = fv_eval(session, toy_classes("test.tsv", 270, 330), NULL, &err);
    assert_non_null(report);
    assert_true(toy_metric(report, "accuracy") > 0.97);
    fv_report_free(report);
    fv_session_free(session);
    fv_model_close(model);

    bad = o, bad.layers = 3, expect_error(&bad, FV_E_ARGUMENT, "decides the architecture");
    bad = o, bad.max_len = 100, expect_error(&bad, FV_E_ARGUMENT, "at most 24 tokens; 100 asked");
    bad = o, bad.from = "no/such/model", expect_error(&bad, FV_E_IO, "no/such/model");

    o.train = toy_text("new.tsv", "text\tlabel\nfound zinc\tyes\nfound gold\tno\n"); /* other labels: the head begins anew */
    o.valid = o.train;
    toy_train(&o);
    toy_contains(toy_read(o.out, "config.json"), "\"yes\": 1");

    o.pooling = "mean"; /* the one thing of the body that may be chosen anew */
    o.lr = 0;
    toy_train(&o);
    toy_contains(toy_read(o.out, "config.json"), "\"pooling\": \"mean\"");
    toy_contains(toy_read(o.out, "fovea.json"), "\"lr\": 0.0005"); /* the most, which its width of 32 would exceed */
}

/* ---- Memory and disk ---- */

/* The folder holds a finished model of another shape, whose hash is `old`. */
typedef struct victim {
    fv_train_options o;
    const char *old;
} victim;

static void begin_victim(victim *v, const char *out)
{
    fv_train_options first;
    toy_options(&first, toy_classes("train.tsv", 0, 36), toy_classes("valid.tsv", 36, 54), out);
    first.steps = 2;
    toy_train(&first);
    v->old = toy_hash(first.out);
    v->o = first;
    v->o.out = first.out;
    v->o.train = toy_pairs("pairs.tsv", 0, 10); /* few rows: there are some 170 trainings, and each fits the n-grams' part */
    v->o.valid = v->o.test = toy_pairs("pairs-valid.tsv", 10, 16);
    v->o.columns.text2 = "text2";
    v->o.width = 16;
    v->o.ffn = 20;
    v->o.vocab = 300;
    v->o.accumulate = 2;
    v->o.wide = true;
    v->o.checkpoint_seconds = 0;
}

/* After a failure: an error with a text, nothing leaked, and either the old model or, when the very
 * last things failed, the new one: both open. */
static void check_harmless(const victim *v, fv_status status, const fv_err *err, int64_t live, int64_t n)
{
    if (err->status != status || !err->text[0]) fail_msg("failure %lld: status %d, error %d \"%s\"", (long long)n, status, err->status, err->text);
    if (fv_alloc_live() != live) fail_msg("failure %lld (%s) leaked %lld blocks", (long long)n, err->text, (long long)(fv_alloc_live() - live));
    fv_err why = {0};
    fv_model *model = fv_model_open(v->o.out, &why);
    if (!model) fail_msg("after failure %lld (%s) the folder does not open: %s", (long long)n, err->text, why.text);
    fv_session *session = fv_session_new(model, NULL, &why);
    assert_non_null(session);
    bool old = fv_session_n_labels(session) == 3;
    fv_session_free(session);
    fv_model_close(model);
    if (old) assert_string_equal(toy_hash(v->o.out), v->old);
}

static void forget_checkpoint(const victim *v)
{
    char path[FV_PATH_MAX];
    assert_int_equal(fv_path_join(path, v->o.out, "checkpoint.safetensors", NULL), FV_OK);
    assert_int_equal(fv_file_remove(path, NULL), FV_OK);
}

static int count(const char *text, const char *part)
{
    int n = 0;
    for (; (text = strstr(text, part)); text++) n++;
    return n;
}

/* What a failure that can be done without must not change. */
typedef struct outcome {
    char weights[129], config[4096];
    int fields; /* of fovea.json, whose times differ */
} outcome;

static outcome outcome_of(const char *folder)
{
    outcome o;
    snprintf(o.weights, sizeof o.weights, "%s", toy_hash(folder));
    snprintf(o.config, sizeof o.config, "%s", toy_read(folder, "config.json"));
    o.fields = count(toy_read(folder, "fovea.json"), "\": ");
    return o;
}

static void check_same_outcome(const outcome *right, const char *folder)
{
    outcome now = outcome_of(folder);
    assert_string_equal(now.weights, right->weights);
    assert_string_equal(now.config, right->config);
    assert_int_equal(now.fields, right->fields);
}

static int64_t allocations_of(const victim *v, outcome *right)
{
    int64_t before = fv_alloc_count();
    fv_train_options o = v->o;
    o.out = scratch_path("counted");
    toy_train(&o);
    *right = outcome_of(o.out);
    return fv_alloc_count() - before;
}

/* Matching of patterns is compiled to machine code where there is memory for it: that one failure may
 * pass, and changes nothing. */
static void memory_may_fail_anywhere(void **state)
{
    (void)state;
    victim v;
    outcome right;
    int passed = 0;
    begin_victim(&v, "memory");
    int64_t total = allocations_of(&v, &right);
    fv_rng rng = fv_rng_make(1, "memory");
    for (int i = 0; i < 120; i++) {
        int64_t n = i < 20 ? total - 1 - i : (int64_t)fv_rng_below(&rng, (uint64_t)total), live = fv_alloc_live();
        fv_err err = {0};
        fv_alloc_fail_after(n);
        fv_status status = fv_train(&v.o, &err);
        fv_alloc_fail_after(-1);
        if (status == FV_OK) {
            if (++passed > 3) fail_msg("failure %lld went unnoticed", (long long)n);
            check_same_outcome(&right, v.o.out);
            begin_victim(&v, "memory");
            continue;
        }
        check_harmless(&v, status, &err, live, n);
        assert_int_equal(status, FV_E_MEMORY);
        forget_checkpoint(&v);
    }
}

static void the_disk_may_fill_at_any_write(void **state)
{
    (void)state;
    victim v;
    begin_victim(&v, "disk");
    bool finished = false;
    int64_t n = 0;
    for (; !finished; n++) {
        int64_t live = fv_alloc_live();
        fv_err err = {0};
        fv_write_fail_after(n);
        fv_status status = fv_train(&v.o, &err);
        fv_write_fail_after(-1);
        finished = status == FV_OK;
        if (finished) break;
        check_harmless(&v, status, &err, live, n);
        assert_int_equal(status, FV_E_IO);
        forget_checkpoint(&v);
    }
    assert_true(n > 20);
}

/* ---- Running, with memory that fails ---- */

static void sessions_survive_lack_of_memory(void **state)
{
    (void)state;
    fv_text texts[] = {{.text = "we found zinc again"}, {.text = "look at 长江", .text2 = "today"}};
    const char *path = toy_classes("some.tsv", 0, 9);
    const fv_word *words;
    size_t n_words;
    fv_label best[4];
    toy_model();
    bool done = false;
    for (int64_t n = 0; !done; n++) {
        fv_err err = {0};
        int64_t live = fv_alloc_live();
        fv_alloc_fail_after(n);
        fv_model *model = fv_model_open(toy_model(), &err);
        fv_session *session = model ? fv_session_new(model, NULL, &err) : NULL;
        bool fine = session && fv_classify(session, texts, 2, 2, best, &err) == FV_OK && fv_attention_words(session, texts, &words, &n_words, &err) == FV_OK;
        fv_report *report = fine ? fv_eval(session, path, NULL, &err) : NULL;
        fv_alloc_fail_after(-1);
        done = report && err.status == FV_OK;
        if (!done && err.status != FV_E_MEMORY) fail_msg("allocation %lld: status %d, \"%s\"", (long long)n, err.status, err.text);
        fv_report_free(report);
        fv_session_free(session);
        fv_model_close(model);
        if (fv_alloc_live() != live) fail_msg("allocation %lld leaked (%s)", (long long)n, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_checked),
        cmocka_unit_test(files_are_checked),
        cmocka_unit_test(odd_rows_are_told_and_survived),
        cmocka_unit_test(a_part_can_be_held_back),
        cmocka_unit_test(two_trainings_do_not_share_a_folder),
        cmocka_unit_test(folders_that_cannot_be_written),
        cmocka_unit_test(a_refused_training_leaves_no_trace),
        cmocka_unit_test(a_model_starts_from_another),
        cmocka_unit_test(memory_may_fail_anywhere),
        cmocka_unit_test(the_disk_may_fill_at_any_write),
        cmocka_unit_test(sessions_survive_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
