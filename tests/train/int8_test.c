/* Training with products of int8: it computes what a session with int8 products computes, learns to bear the rounding, and has
 * the same bits whatever happens to it. How gradients go through the rounding is in ops/linear_test.c. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "kernels/kernels.h"
#include "train/toy.h"

enum { MAX_ISAS = 8 };

static double measure(const char *folder, const char *path, fv_products products, const char *metric)
{
    fv_err err = {0};
    fv_model *model = toy_open(folder);
    fv_session_options so;
    fv_session_options_init(&so);
    so.products = products;
    fv_session *session = fv_session_new(model, &so, &err);
    if (!session) fail_msg("%s", err.text);
    fv_eval_options o;
    fv_eval_options_init(&o);
    fv_report *report = fv_eval(session, path, &o, &err);
    if (!report) fail_msg("%s", err.text);
    double value = toy_metric(report, metric);
    fv_report_free(report);
    fv_session_free(session);
    fv_model_close(model);
    return value;
}

/* The number behind "KEY": in a file of the folder, the first behind `after`. */
static double number_in(const char *folder, const char *file, const char *after, const char *key)
{
    const char *at = strstr(toy_read(folder, file), after);
    assert_non_null(at);
    at = strstr(at, key);
    assert_non_null(at);
    return strtod(at + strlen(key), NULL);
}

/* ---- The same numbers as a session's ---- */

/* One step that moves nothing, on a batch that has all rows; too few for a temperature. */
static void a_step_has_the_loss_of_an_int8_session(void **state)
{
    (void)state;
    const char *isas[MAX_ISAS];
    int n = fv_kernels_list(isas, MAX_ISAS);
    for (int i = 0; i < n; i++) {
        fv_train_options o;
        const char *path = toy_classes("few.tsv", 0, 18);
        assert_int_equal(fv_kernels_force(isas[i], NULL), FV_OK);
        toy_options(&o, path, path, "still");
        o.products = FV_PRODUCTS_INT8;
        o.from = toy_model();
        o.layers = o.width = o.heads = o.ffn = o.max_len = o.vocab = 0;
        o.steps = 1;
        o.lr = 1e-30;
        o.dropout = o.word_dropout = o.label_smoothing = o.weight_decay = 0;
        o.batch_tokens = 4096;
        toy_train(&o);
        double served = measure(o.out, path, FV_PRODUCTS_INT8, "loss"), exact = measure(o.out, path, FV_PRODUCTS_FLOAT32, "loss");
        double step = number_in(o.out, "log.jsonl", "\"step\"", "\"loss\":"), valid = number_in(o.out, "fovea.json", "\"valid\": {", "\"loss\": {\n      \"value\":");
        if (!(fabs(step - served) < 1e-6 && fabs(valid - served) < 1e-6)) fail_msg("%s: a step's loss is %.9g, validation's %.9g, a session's %.9g", isas[i], step, valid, served);
        assert_true(fabs(exact - served) > 1e-5);
        toy_contains(toy_read(o.out, "fovea.json"), "\"products\": \"int8\"");
    }
}

/* ---- What it is for ---- */

static void finish(fv_train_options *o, const char *from, fv_products products)
{
    o->from = from;
    o->layers = o->width = o->heads = o->ffn = o->max_len = o->vocab = 0;
    o->products = products;
    o->steps = 60;
    o->lr = 5e-4;
    toy_train(o);
}

/* Sums of two numbers, learnt until rounding is most of what is wrong: more float32 helps int8 less than learning with it. */
static void it_learns_to_bear_the_rounding(void **state)
{
    (void)state;
    fv_train_options o, same, aware;
    const char *train = toy_numbers("train.tsv", 0, 108), *valid = toy_numbers("valid.tsv", 108, 162);
    toy_options(&o, train, valid, "float");
    o.labels = FV_LABELS_REGRESSION;
    o.steps = 300;
    o.dropout = o.word_dropout = 0;
    toy_train(&o);
    same = aware = o;
    same.out = scratch_path("same"), aware.out = scratch_path("aware");
    finish(&same, o.out, FV_PRODUCTS_FLOAT32);
    finish(&aware, o.out, FV_PRODUCTS_INT8);
    double float32 = measure(o.out, valid, FV_PRODUCTS_FLOAT32, "mse"), before = measure(o.out, valid, FV_PRODUCTS_INT8, "mse");
    double more = measure(same.out, valid, FV_PRODUCTS_INT8, "mse"), after = measure(aware.out, valid, FV_PRODUCTS_INT8, "mse");
    if (!(after < before && after < more)) fail_msg("mse: float32 %g, int8 %g; in int8 after more of float32 %g, of int8 %g", float32, before, more, after);
}

/* ---- The same bits ---- */

static void int8_options(fv_train_options *o, const char *out)
{
    toy_options(o, toy_classes("train.tsv", 0, 120), toy_classes("valid.tsv", 120, 150), out);
    o->products = FV_PRODUCTS_INT8;
    o->width = 64;
    o->steps = 12;
    o->batch_tokens = 500;
}

static void threads_do_not_matter(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_train_options o;
    const char *first = NULL;
    int8_options(&o, "threads");
    o.ffn = 1200; /* several tasks of packing */
    for (int threads = 1; threads <= 4; threads *= 2) {
        assert_int_equal(fv_set_threads(threads, &err), FV_OK);
        toy_train(&o);
        if (first) assert_string_equal(toy_hash(o.out), first);
        first = toy_hash(o.out);
    }
    assert_int_equal(fv_set_threads(2, &err), FV_OK);
    o.products = FV_PRODUCTS_FLOAT32;
    toy_train(&o);
    assert_string_not_equal(toy_hash(o.out), first);
}

static void stopping_does_not_matter(void **state)
{
    (void)state;
    fv_train_options o;
    int8_options(&o, "whole");
    toy_stops_and_goes_on(&o, 5);
    o.from = toy_model();
    o.layers = o.width = o.heads = o.ffn = o.max_len = o.vocab = 0;
    o.freeze = 0;
    toy_stops_and_goes_on(&o, 7);
}

static void steps_allocate_nothing(void **state)
{
    (void)state;
    fv_train_options o;
    int8_options(&o, "allocates");
    o.batch_tokens = 64;
    o.accumulate = 2;
    o.steps = 60;
    toy_allocates_nothing(&o);
}

static void memory_that_lacks_is_told(void **state)
{
    (void)state;
    fv_train_options o;
    int8_options(&o, "memory");
    o.steps = 2;
    toy_fails_without_memory(&o, 40, 8);
}

/* ---- Every task of encoders ---- */

static void every_task_takes_it(void **state)
{
    (void)state;
    fv_train_options o;
    int8_options(&o, "tags");
    o.steps = 3;
    o.task = FV_TASK_TAG;
    o.train = toy_tags("train.conll", 0, 60), o.valid = toy_tags("valid.conll", 60, 90);
    toy_train(&o);
    toy_contains(toy_read(o.out, "fovea.json"), "\"products\": \"int8\"");
    int8_options(&o, "mlm");
    o.steps = 3;
    o.task = FV_TASK_MLM;
    toy_train(&o);
    int8_options(&o, "multi");
    o.steps = 3;
    o.task = FV_TASK_MULTI;
    o.train = toy_text("tasks.json", "[{\"name\": \"class\", \"train\": \"train.tsv\"}, {\"name\": \"tag\", \"task\": \"tag\", \"train\": \"train.conll\"}]"), o.valid = NULL;
    toy_train(&o);
    int8_options(&o, "vectors");
    o.steps = 3;
    o.task = FV_TASK_EMBED;
    o.train = toy_text("pairs.tsv", "text\ttext2\nlong river\ta stream\nred berry\ta fruit\nold iron\ta metal\n");
    o.valid = toy_text("more.tsv", "text\ttext2\nwide river\tstreams\nblue berry\tfruits\n");
    toy_train(&o);
    toy_contains(toy_read(o.out, "fovea.json"), "\"products\": \"int8\"");
}

/* ---- What it cannot ---- */

static void rows_that_are_too_long_are_refused(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_train_options o;
    int8_options(&o, "long");
    o.width = 8, o.heads = 1;
    o.ffn = 65600;
    assert_int_equal(fv_train(&o, &err), FV_E_ARGUMENT);
    toy_contains(err.text, "int8 weights [8, 65600]: rows of more than 65536 numbers");
    toy_contains(err.text, "keep such weights in float32 or bf16");
    assert_false(fv_file_exists(o.out));
}

static void translators_are_refused(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_train_options o;
    toy_translator_options(&o, "translator");
    o.products = FV_PRODUCTS_INT8;
    assert_int_equal(fv_train(&o, &err), FV_E_ARGUMENT);
    toy_contains(err.text, "a translator learns with float32 or bf16");
    assert_false(fv_file_exists(o.out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_has_the_loss_of_an_int8_session),
        cmocka_unit_test(it_learns_to_bear_the_rounding),
        cmocka_unit_test(threads_do_not_matter),
        cmocka_unit_test(stopping_does_not_matter),
        cmocka_unit_test(steps_allocate_nothing),
        cmocka_unit_test(memory_that_lacks_is_told),
        cmocka_unit_test(every_task_takes_it),
        cmocka_unit_test(rows_that_are_too_long_are_refused),
        cmocka_unit_test(translators_are_refused),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
