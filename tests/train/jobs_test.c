/* Several jobs on one body: a list of tasks is read, or refused with its reason; what is trained answers
 * each question by its own head, ends in the same bits after a stop, and starts others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "train/toy.h"

static const char *two_tasks(void)
{
    toy_classes("jobs_kind.tsv", 0, 300);
    toy_classes("jobs_kind_valid.tsv", 300, 360);
    toy_numbers("jobs_size.tsv", 0, 200);
    return toy_text("jobs.json",
                    "[{\"name\": \"kind\", \"train\": \"jobs_kind.tsv\", \"valid\": \"jobs_kind_valid.tsv\", \"test\": \"jobs_kind_valid.tsv\"},\n"
                    " {\"name\": \"size\", \"train\": \"jobs_size.tsv\", \"labels\": \"regression\", \"weight\": 2}]");
}

static void options_of(fv_train_options *o, const char *list, const char *out)
{
    toy_options(o, list, NULL, out);
    o->task = FV_TASK_MULTI;
    o->steps = 240;
}

static fv_session *session_of(fv_model *model, const char *head)
{
    fv_err err = {0};
    fv_session_options o;
    fv_session_options_init(&o);
    o.head = head;
    fv_session *s = fv_session_new(model, &o, &err);
    if (!s) fail_msg("%s", err.text);
    return s;
}

static fv_err refusal;

static void asks_which(fv_status status)
{
    assert_int_equal(status, FV_E_ARGUMENT);
    toy_contains(refusal.text, "several heads: kind, size; say which one (--head)");
    refusal = (fv_err){0};
}

/* A vector is the body's. Whatever is a head's, a session without one refuses, and asks for its name. */
static void vectors_need_no_head(fv_model *model, fv_session *named)
{
    fv_err err = {0};
    const fv_text text = {.text = "nobody saw silver near home"};
    fv_label label;
    fv_tagged tagged;
    fv_translation translation;
    float theirs[64], ours[64];
    int size = fv_model_embedding_size(model);
    fv_session *s = fv_session_new(model, NULL, &err);
    if (!s) fail_msg("%s", err.text);
    assert_in_range(size, 1, 64);
    assert_int_equal(fv_embed(named, &text, 1, NULL, theirs, &err), FV_OK);
    assert_int_equal(fv_embed(s, &text, 1, NULL, ours, &err), FV_OK);
    assert_memory_equal(ours, theirs, (size_t)size * sizeof *ours);
    assert_int_equal(fv_session_n_labels(s), 0);
    assert_int_equal(fv_session_labels(s), FV_LABELS_VECTOR);
    assert_null(fv_session_label(s, 0));
    asks_which(fv_classify(s, &text, 1, 1, &label, &refusal));
    asks_which(fv_tag(s, &text, 1, &tagged, &refusal));
    asks_which(fv_translate(s, &text, 1, NULL, &translation, &refusal));
    assert_null(fv_explain(s, &text, NULL, &refusal));
    asks_which(refusal.status);
    assert_null(fv_explain_wide(s, &text, -1, &refusal));
    asks_which(refusal.status);
    assert_null(fv_eval(s, toy_classes("judged.tsv", 0, 9), NULL, &refusal));
    asks_which(refusal.status);
    fv_session_free(s);
}

static void each_head_answers_its_own_question(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_train_options o;
    options_of(&o, two_tasks(), "jobs_model");
    o.wide = true;
    if (fv_train(&o, &err) != FV_OK) fail_msg("%s", err.text);
    fv_model *model = fv_model_open(o.out, &err);
    if (!model) fail_msg("%s", err.text);
    assert_int_equal(fv_model_n_heads(model), 2);
    assert_string_equal(fv_model_head_name(model, 1), "size");
    fv_session *kind = session_of(model, "kind"), *size = session_of(model, "size");
    assert_int_equal(fv_session_n_labels(kind), 3);
    assert_int_equal(fv_session_labels(size), FV_LABELS_REGRESSION);
    fv_text metal = {.text = "nobody saw silver near home"}, low = {.text = "we found cherry currant today"}, high = {.text = "we found danube 长江 today"};
    fv_label label, numbers[2];
    assert_int_equal(fv_classify(kind, &metal, 1, 1, &label, &err), FV_OK);
    assert_string_equal(label.name, "metal");
    assert_int_equal(fv_classify(size, &low, 1, 1, &numbers[0], &err), FV_OK);
    assert_int_equal(fv_classify(size, &high, 1, 1, &numbers[1], &err), FV_OK);
    assert_true(numbers[1].score > numbers[0].score + 1);
    fv_session_options wrong;
    fv_session_options_init(&wrong);
    wrong.head = "colour";
    assert_null(fv_session_new(model, &wrong, &err));
    toy_contains(err.text, "no head is called \"colour\"; it has: kind, size");
    vectors_need_no_head(model, kind);
    fv_session_free(kind);
    fv_session_free(size);
    fv_model_close(model);
}

static void a_stop_changes_no_bit(void **state)
{
    (void)state;
    fv_train_options o;
    options_of(&o, two_tasks(), "jobs_whole");
    o.accumulate = 2;
    toy_stops_and_goes_on(&o, 120);
}

static void one_head_starts_from_a_body_with_several(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_train_options o;
    options_of(&o, two_tasks(), "jobs_base");
    if (fv_train(&o, &err) != FV_OK) fail_msg("%s", err.text);
    const char *base = o.out;
    toy_options(&o, toy_classes("jobs_more.tsv", 0, 120), toy_classes("jobs_more_valid.tsv", 300, 360), "jobs_from");
    o.layers = o.width = o.heads = o.ffn = o.vocab = o.max_len = 0;
    o.from = base;
    o.steps = 40;
    if (fv_train(&o, &err) != FV_OK) fail_msg("%s", err.text);
    fv_model *model = fv_model_open(o.out, &err);
    if (!model) fail_msg("%s", err.text);
    fv_session *s = session_of(model, NULL);
    assert_int_equal(fv_session_n_labels(s), 3);
    fv_session_free(s);
    fv_model_close(model);
}

static void refused(const char *list, fv_status expected, const char *part)
{
    fv_err err = {0};
    fv_train_options o;
    int64_t live = fv_alloc_live();
    options_of(&o, toy_text("jobs_bad.json", list), "jobs_refused");
    fv_status status = fv_train(&o, &err);
    if (status != expected) fail_msg("status %d: %s", status, err.text);
    toy_contains(err.text, part);
    assert_int_equal(fv_alloc_live(), live);
}

static void lists_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    two_tasks();
#define OK "{\"name\": \"kind\", \"train\": \"jobs_kind.tsv\"}"
    refused("[" OK "]", FV_E_INPUT, "not a list of 2 to 64 tasks");
    refused("{}", FV_E_INPUT, "not a list of 2 to 64 tasks");
    refused("[" OK ", 5]", FV_E_FORMAT, "task 2: is 5; expected an object");
    refused("[" OK "," OK "]", FV_E_INPUT, "task 2: a task before it is called kind too");
    refused("[" OK ", {\"name\": \"a/b\", \"train\": \"x.tsv\"}]", FV_E_FORMAT, "task 2: found the name \"a/b\"");
    refused("[" OK ", {\"name\": \"\", \"train\": \"x.tsv\"}]", FV_E_INPUT, "task 2: no name");
    refused("[" OK ", {\"name\": \"b\"}]", FV_E_INPUT, "task 2: no file to learn from (train)");
    refused("[" OK ", {\"name\": \"b\", \"train\": \"jobs_missing.tsv\"}]", FV_E_IO, "jobs_missing.tsv");
    refused("[" OK ", {\"name\": \"b\", \"train\": \"jobs_size.tsv\", \"labels\": \"some\"}]", FV_E_INPUT, "labels is \"some\"; expected single, multi or regression");
    refused("[" OK ", {\"name\": \"b\", \"train\": \"jobs_size.tsv\", \"weight\": 0}]", FV_E_INPUT, "weight is 0; expected more than 0");
    refused("[" OK ", {\"name\": \"b\", \"train\": \"jobs_size.tsv\", \"colour\": \"red\"}]", FV_E_INPUT, "\"colour\" is not known");
#undef OK
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_head_answers_its_own_question),
        cmocka_unit_test(a_stop_changes_no_bit),
        cmocka_unit_test(one_head_starts_from_a_body_with_several),
        cmocka_unit_test(lists_that_make_no_sense_are_refused),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
