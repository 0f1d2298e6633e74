/* Tags: learned from every kind of file, in parts where texts are long, and beside another job. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "train/toy.h"

/* ThreadSanitizer makes learning ten times slower, and what is learned has nothing to do with threads. */
static void skip_if_slow(void)
{
#ifdef __SANITIZE_THREAD__
    skip();
#endif
}

static void tag_options(fv_train_options *o, const char *train, const char *valid, const char *out)
{
    toy_options(o, train, valid, out);
    o->task = FV_TASK_TAG;
}

/* A figure of a head of the model in `folder` over a file. */
static double measure(const char *folder, const char *head, const char *path, const char *metric)
{
    fv_err err = {0};
    fv_session_options so;
    fv_session_options_init(&so);
    so.head = head;
    fv_model *model = toy_open(folder);
    fv_session *session = fv_session_new(model, &so, &err);
    if (!session) fail_msg("%s", err.text);
    fv_report *report = fv_eval(session, path, NULL, &err);
    if (!report) fail_msg("%s", err.text);
    double value = toy_metric(report, metric);
    fv_report_free(report);
    fv_session_free(session);
    fv_model_close(model);
    return value;
}

static void expect_error(const fv_train_options *o, const char *message)
{
    fv_err err = {0};
    assert_int_equal(fv_train(o, &err), FV_E_INPUT);
    toy_contains(err.text, message);
}

/* ---- Learning ----------------------------------------------------------------------------- */

static void spans_are_learned(void **state)
{
    (void)state;
    skip_if_slow();
    const char *test = toy_tags("test.conll", 270, 360);
    double f1 = measure(toy_tag_model(), NULL, test, "f1"), accuracy = measure(toy_tag_model(), NULL, test, "accuracy");
    if (f1 < 0.95 || accuracy < 0.95) fail_msg("f1 %g, accuracy %g", f1, accuracy);
    const char *record = toy_read(toy_tag_model(), "fovea.json");
    toy_contains(record, "\"task\": \"tag\"");
    toy_contains(record, "\"labels_kind\": \"tags\"");
    toy_contains(toy_read(toy_tag_model(), "config.json"), "BertForTokenClassification");
}

/* FILE's rows in another form: the words and their tags, each joined. */
static const char *rewrite(const char *from, const char *name, const char *header, const char *form)
{
    fv_buf text = {0};
    fv_row row;
    fv_reader *reader = fv_reader_open(from, NULL, NULL);
    assert_non_null(reader);
    assert_int_equal(fv_buf_puts(&text, header, NULL), FV_OK);
    while (fv_reader_next(reader, &row, NULL) == 1) {
        char line[512];
        snprintf(line, sizeof line, form, row.text, row.label);
        assert_int_equal(fv_buf_puts(&text, line, NULL), FV_OK);
    }
    fv_reader_close(reader);
    const char *path = toy_text(name, text.data);
    fv_buf_release(&text);
    return path;
}

static void files_of_all_kinds_are_alike(void **state)
{
    (void)state;
    fv_train_options o;
    const char *conll = toy_tags("train.conll", 0, 60);
    const char *files[] = {conll, rewrite(conll, "train.tsv", "text\tlabel\n", "%s\t%s\n"), rewrite(conll, "train.jsonl", "", "{\"text\":\"%s\",\"label\":\"%s\"}\n")};
    const char *first = NULL;
    for (size_t i = 0; i < FV_COUNT(files); i++) {
        tag_options(&o, files[i], toy_tags("valid.conll", 60, 90), "alike");
        o.steps = 5;
        toy_train(&o);
        const char *hash = toy_hash(o.out);
        if (i > 0) assert_string_equal(hash, first);
        first = hash;
    }
}

static void threads_change_nothing(void **state)
{
    (void)state;
    const char *hashes[2];
    for (int threads = 1; threads <= 2; threads++) {
        fv_train_options o;
        assert_int_equal(fv_set_threads(threads, NULL), FV_OK);
        tag_options(&o, toy_tags("train.conll", 0, 60), toy_tags("valid.conll", 60, 90), "threads");
        o.steps = 8;
        o.accumulate = 2;
        toy_train(&o);
        hashes[threads - 1] = toy_hash(o.out);
    }
    assert_string_equal(hashes[0], hashes[1]);
}

/* ---- Long texts --------------------------------------------------------------------------- */

static bool said_parts;

static int listen(void *user, const fv_event *event)
{
    (void)user;
    if (event->kind == FV_EVENT_MESSAGE && strstr(event->text, "tokens: they take several rows")) said_parts = true;
    return 0;
}

/* Eight tokens hold a part of a sentence only; spans still fit in. */
static void long_texts_are_read_in_parts(void **state)
{
    (void)state;
    skip_if_slow();
    fv_train_options o;
    tag_options(&o, toy_tags("train.conll", 0, 180), toy_tags("valid.conll", 180, 270), "parts");
    o.max_len = 8;
    o.steps = 150;
    o.on_event = listen;
    toy_train(&o);
    assert_true(said_parts);
    double f1 = measure(o.out, NULL, toy_tags("test.conll", 270, 360), "f1");
    if (f1 < 0.75) fail_msg("f1 %g", f1);
}

/* ---- Beside another job ------------------------------------------------------------------- */

static void one_body_tags_and_classifies(void **state)
{
    (void)state;
    skip_if_slow();
    fv_train_options o;
    toy_tags("m-tags.conll", 0, 180), toy_tags("m-tags-valid.conll", 180, 240);
    toy_classes("m-classes.tsv", 0, 180), toy_classes("m-classes-valid.tsv", 180, 240);
    const char *list = toy_text("tasks.json",
        "[{\"name\":\"kind\",\"train\":\"m-classes.tsv\",\"valid\":\"m-classes-valid.tsv\"},"
        "{\"name\":\"spans\",\"task\":\"tag\",\"train\":\"m-tags.conll\",\"valid\":\"m-tags-valid.conll\"}]");
    toy_options(&o, list, NULL, "both");
    o.task = FV_TASK_MULTI;
    o.steps = 300;
    toy_train(&o);
    double f1 = measure(o.out, "spans", toy_tags("test.conll", 270, 360), "f1"), accuracy = measure(o.out, "kind", toy_classes("test.tsv", 270, 360), "accuracy");
    if (f1 < 0.95 || accuracy < 0.95) fail_msg("f1 %g, accuracy %g", f1, accuracy);
}

/* ---- What cannot be learned --------------------------------------------------------------- */

static void bad_files(void **state)
{
    (void)state;
    fv_train_options o;
    const char *valid = toy_tags("valid.conll", 60, 90);
    tag_options(&o, toy_text("bad.tsv", "text\tlabel\nwe saw\tO O\nold copper\tO\n"), valid, "bad");
    expect_error(&o, "bad.tsv:3: 2 words and 1 tag; expected as many, a space between them; or pass --skip-bad");
    tag_options(&o, toy_text("one.conll", "we\tO\nsaw\tO\n"), valid, "bad");
    expect_error(&o, "one.conll: all words have the tag \"O\"; expected at least two tags");
    tag_options(&o, toy_text("none.tsv", "text\tlabel\n \t\n"), valid, "bad");
    expect_error(&o, "none.tsv: no words in any text; expected words and their tags");
    tag_options(&o, toy_tags("train.conll", 0, 60), toy_text("none.tsv", "text\tlabel\n \t\n"), "bad");
    expect_error(&o, "none.tsv: no words in any text; expected words and their tags");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_are_learned),
        cmocka_unit_test(files_of_all_kinds_are_alike),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(long_texts_are_read_in_parts),
        cmocka_unit_test(one_body_tags_and_classifies),
        cmocka_unit_test(bad_files),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
