/* What a training learns, and that its bits depend on nothing but recipe and data. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "train/toy.h"

/* ThreadSanitizer makes learning ten times slower, and what is learned has nothing to do with threads. */
static void skip_if_slow(void)
{
#ifdef __SANITIZE_THREAD__
    skip();
#endif
}

/* ---- Learning ---- */

/* A figure of the model in `folder` over a labelled file. */
static double measure(const char *folder, const char *path, const char *metric, const char *text2)
{
    fv_err err = {0};
    fv_model *model = toy_open(folder);
    fv_session *session = fv_session_new(model, NULL, &err);
    assert_non_null(session);
    fv_eval_options o;
    fv_eval_options_init(&o);
    o.columns.text2 = text2;
    fv_report *report = fv_eval(session, path, &o, &err);
    if (!report) fail_msg("%s", err.text);
    double value = toy_metric(report, metric);
    fv_report_free(report);
    fv_session_free(session);
    fv_model_close(model);
    return value;
}

static void classes_are_learned(void **state)
{
    (void)state;
    double accuracy = measure(toy_model(), toy_classes("test.tsv", 270, 360), "accuracy", NULL);
    if (accuracy < 1) fail_msg("accuracy %g", accuracy);
}

/* Every switch of the architecture still learns. */
static void variants_learn(void **state)
{
    (void)state;
    skip_if_slow();
    static const struct { const char *name, *pooling; const char *positions; bool pre_norm, relu; fv_optimiser optimiser; fv_schedule schedule; } variants[] = {
        {"pre-norm", "cls", "learned", true, false, FV_OPTIMISER_ADAMW, FV_SCHEDULE_COSINE},
        {"mean", "mean", NULL, false, true, FV_OPTIMISER_ADAM, FV_SCHEDULE_INVERSE_SQRT},
        {"max", "max", "sinusoidal", false, false, FV_OPTIMISER_ADAMW, FV_SCHEDULE_CONSTANT},
    };
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        fv_train_options o;
        toy_options(&o, toy_classes("train.tsv", 0, 90), toy_classes("valid.tsv", 90, 120), variants[i].name);
        o.pooling = variants[i].pooling;
        o.pre_norm = variants[i].pre_norm;
        o.relu = variants[i].relu;
        o.positions = variants[i].positions;
        o.optimiser = variants[i].optimiser;
        o.schedule = variants[i].schedule;
        o.weight_decay = 1e-4;
        toy_train(&o);
        double accuracy = measure(o.out, toy_classes("test.tsv", 270, 360), "accuracy", NULL);
        if (accuracy < 0.95) fail_msg("%s: accuracy %g", variants[i].name, accuracy);
    }
}

static void sets_are_learned(void **state)
{
    (void)state;
    skip_if_slow();
    fv_train_options o;
    toy_options(&o, toy_sets("train.tsv", 0, 112), toy_sets("valid.tsv", 112, 133), "sets");
    o.labels = FV_LABELS_MULTI;
    o.steps = 250;
    o.dropout = 0;
    toy_train(&o);
    double f1 = measure(o.out, toy_sets("test.tsv", 200, 240), "micro_f1", NULL);
    if (f1 < 0.99) fail_msg("micro_f1 %g", f1);
}

static void numbers_are_learned(void **state)
{
    (void)state;
    skip_if_slow();
    fv_train_options o;
    toy_options(&o, toy_numbers("train.tsv", 0, 108), toy_numbers("valid.tsv", 108, 126), "numbers");
    o.labels = FV_LABELS_REGRESSION;
    o.steps = 150;
    o.dropout = 0;
    toy_train(&o);
    double r2 = measure(o.out, toy_numbers("test.tsv", 200, 240), "r2", NULL);
    if (!(r2 > 0.95)) fail_msg("r2 %g", r2);
}

static void pairs_are_learned(void **state)
{
    (void)state;
    skip_if_slow();
    fv_train_options o;
    toy_options(&o, toy_pairs("train.tsv", 0, 160), toy_pairs("valid.tsv", 160, 192), "pairs");
    o.columns.text2 = "text2";
    o.layers = 2;
    o.steps = 300;
    o.dropout = 0;
    o.lr = 2e-3;
    toy_train(&o);
    double accuracy = measure(o.out, toy_pairs("test.tsv", 200, 240), "accuracy", "text2");
    if (accuracy < 0.99) fail_msg("accuracy %g", accuracy);
}

/* ---- Equal bits ---- */

static const char *train_with_threads(fv_train_options *o, int threads, const char *out)
{
    fv_err err = {0};
    assert_int_equal(fv_set_threads(threads, &err), FV_OK);
    char path[FV_PATH_MAX];
    assert_int_equal(fv_path_join(path, scratch_folder(), out, &err), FV_OK);
    o->out = path;
    toy_train(o);
    assert_int_equal(fv_set_threads(2, &err), FV_OK);
    return toy_hash(path);
}

static void threads_do_not_matter(void **state)
{
    (void)state;
    fv_train_options o;
    toy_options(&o, toy_classes("train.tsv", 0, 120), toy_classes("valid.tsv", 120, 150), "unused");
    o.width = 64;
    o.wide = true;
    o.steps = 12;
    o.batch_tokens = 700;
    const char *one = train_with_threads(&o, 1, "threads-1");
    assert_string_equal(train_with_threads(&o, 2, "threads-2"), one);
    assert_string_equal(train_with_threads(&o, 4, "threads-4"), one);
    o.accumulate = 4;
    const char *shards = train_with_threads(&o, 1, "shards-1");
    assert_string_not_equal(shards, one);
    assert_string_equal(train_with_threads(&o, 4, "shards-4"), shards);
}

static void the_seed_matters(void **state)
{
    (void)state;
    fv_train_options o;
    toy_options(&o, toy_classes("train.tsv", 0, 60), toy_classes("valid.tsv", 60, 90), "seed");
    o.steps = 3;
    toy_train(&o);
    const char *first = toy_hash(o.out);
    toy_train(&o);
    assert_string_equal(toy_hash(o.out), first);
    o.seed = 2;
    toy_train(&o);
    assert_string_not_equal(toy_hash(o.out), first);
}

/* ---- Events ---- */

typedef struct seen {
    int64_t steps, epochs, done, last_step, messages;
    int64_t allocations, allocating_steps; /* between one step's event and the next */
    double last_lr, highest_lr;
    char said[4096];
} seen;

static int watch(void *user, const fv_event *e)
{
    seen *s = user;
    if (e->kind == FV_EVENT_MESSAGE) {
        size_t n = strlen(s->said);
        snprintf(s->said + n, sizeof s->said - n, "%s\n", e->text);
        s->messages++;
    }
    if (e->kind == FV_EVENT_EPOCH) s->epochs++;
    if (e->kind == FV_EVENT_DONE) s->done++;
    if (e->kind != FV_EVENT_STEP) return s->allocations = 0, 0;
    if (s->allocations && s->steps >= 2 && fv_alloc_count() != s->allocations) s->allocating_steps++;
    s->allocations = fv_alloc_count();
    s->steps++;
    assert_int_equal(e->step, s->last_step + 1);
    s->last_step = e->step;
    if (e->lr > s->highest_lr) s->highest_lr = e->lr;
    s->last_lr = e->lr;
    return 0;
}

static void steps_are_told_and_allocate_nothing(void **state)
{
    (void)state;
    seen s = {0};
    fv_train_options o;
    toy_options(&o, toy_classes("train.tsv", 0, 150), toy_classes("valid.tsv", 150, 180), "events");
    o.on_event = watch;
    o.on_event_user = &s;
    o.batch_tokens = 64;
    o.accumulate = 2;
    toy_train(&o);
    assert_int_equal(s.steps, 100);
    assert_int_equal(s.done, 1);
    assert_true(s.epochs >= 2);
    assert_int_equal(s.allocating_steps, 0);
    assert_true(fabs(s.highest_lr - o.lr) < o.lr * 0.05);
    assert_true(s.last_lr < o.lr * 0.05);
}

static void patience_ends_a_training(void **state)
{
    (void)state;
    skip_if_slow();
    seen s = {0};
    fv_train_options o;
    toy_options(&o, toy_classes("train.tsv", 0, 90), toy_classes("valid.tsv", 90, 120), "patience");
    o.on_event = watch;
    o.on_event_user = &s;
    o.patience = 2;
    o.steps = 5000;
    toy_train(&o);
    assert_true(s.steps < 1000);
    toy_contains(s.said, "no better validation for 2 epochs");
}

static void seconds_fix_the_steps(void **state)
{
    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); /* reading the data alone may take these seconds, and the clock has nothing to do with threads */
#endif
    seen s = {0};
    fv_train_options o;
    toy_options(&o, toy_classes("train.tsv", 0, 90), toy_classes("valid.tsv", 90, 120), "seconds");
    o.on_event = watch;
    o.on_event_user = &s;
    o.steps = 100000000;
    o.max_seconds = 1.5;
    toy_train(&o);
    toy_contains(s.said, "fit into 1.5 seconds");
    char recorded[64];
    snprintf(recorded, sizeof recorded, "\"steps\": %lld,", (long long)s.last_step);
    toy_contains(toy_read(o.out, "fovea.json"), recorded);
    o.max_seconds = 1e-6;
    fv_err err = {0};
    assert_int_equal(fv_train(&o, &err), FV_E_ARGUMENT);
    toy_contains(err.text, "seconds are too few");
}

/* ---- Going wrong ---- */

static void divergence_is_told(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_train_options o;
    toy_options(&o, toy_numbers("train.tsv", 0, 60), toy_numbers("valid.tsv", 60, 90), "diverged");
    o.labels = FV_LABELS_REGRESSION;
    o.train = toy_text("huge.tsv", "text\tlabel\na\t1e300\nb\t-1e300\nc\t3e300\n");
    int64_t live = fv_alloc_live();
    assert_int_equal(fv_train(&o, &err), FV_E_DIVERGED);
    toy_contains(err.text, "step 1: loss is ");
    toy_contains(err.text, "--lr");
    assert_int_equal(fv_alloc_live(), live);
    assert_null(fv_model_open(o.out, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_are_learned),
        cmocka_unit_test(variants_learn),
        cmocka_unit_test(sets_are_learned),
        cmocka_unit_test(numbers_are_learned),
        cmocka_unit_test(pairs_are_learned),
        cmocka_unit_test(threads_do_not_matter),
        cmocka_unit_test(the_seed_matters),
        cmocka_unit_test(steps_are_told_and_allocate_nothing),
        cmocka_unit_test(patience_ends_a_training),
        cmocka_unit_test(seconds_fix_the_steps),
        cmocka_unit_test(divergence_is_told),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
