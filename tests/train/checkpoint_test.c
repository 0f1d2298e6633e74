/* Stopped, killed, resumed: the end is the same bits. What does not fit a checkpoint is refused.
 *
 * The killed trainings are this program started again with --train, since a process that has threads
 * should not fork to go on by itself. */
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rng.h"
#include "train/toy.h"

extern char **environ;

/* Several epochs, two shards a step: ends and middles of epochs are where a stop may fall. */
static void begin_options(fv_train_options *o, const char *train, const char *valid, const char *out)
{
    toy_options(o, train, valid, out);
    o->steps = 26;
    o->batch_tokens = 128;
    o->accumulate = 2;
    o->patience = 50;
    o->wide = true;
}

/* Few rows: the n-grams' part is fitted anew at every start, and there are some sixty. */
static void begin_toy(fv_train_options *o, const char *out)
{
    begin_options(o, toy_classes("train.tsv", 0, 30), toy_classes("valid.tsv", 30, 42), out);
}

/* The weights of a training that nothing stopped. */
static const char *undisturbed(void)
{
    static char hex[129];
    if (*hex) return hex;
    fv_train_options o;
    begin_toy(&o, "undisturbed");
    toy_train(&o);
    snprintf(hex, sizeof hex, "%s", toy_hash(o.out));
    return hex;
}

/* ---- Stopped on request ---- */

typedef struct brake {
    int64_t at;      /* stop after this step; 0: never */
    int64_t steps;   /* seen */
    char said[1024]; /* the last message */
} brake;

static int watch(void *user, const fv_event *e)
{
    brake *b = user;
    if (e->kind == FV_EVENT_MESSAGE) snprintf(b->said, sizeof b->said, "%s", e->text);
    if (e->kind != FV_EVENT_STEP) return 0;
    b->steps++;
    return e->step == b->at;
}

static void drive(fv_train_options *o, brake *b)
{
    o->on_event = watch;
    o->on_event_user = b;
}

static int count_lines(const char *text, const char *part)
{
    int n = 0;
    for (const char *p = text; (p = strstr(p, part)); p++) n++;
    return n;
}

static void stopping_changes_no_bit(void **state)
{
    (void)state;
    static const int64_t stops[] = {1, 4, 8, 25};
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
        fv_err err = {0};
        fv_train_options o;
        brake b = {.at = stops[i]};
        char out[32];
        snprintf(out, sizeof out, "stopped-%lld", (long long)stops[i]);
        begin_toy(&o, out);
        drive(&o, &b);
        assert_int_equal(fv_train(&o, &err), FV_E_STOPPED);
        toy_contains(err.text, "of 26; --resume goes on from there");
        assert_int_equal(b.steps, stops[i]);
        o.resume = true;
        b = (brake){0};
        toy_train(&o);
        assert_int_equal(b.steps, 26 - stops[i]);
        assert_string_equal(toy_hash(o.out), undisturbed());
        assert_int_equal(count_lines(toy_read(o.out, "log.jsonl"), "\"loss\":"), 26 + count_lines(toy_read(o.out, "log.jsonl"), "\"valid\""));
    }
}

/* Stopped at every step: all the state there is goes through the file. */
static void a_training_in_pieces(void **state)
{
    (void)state;
    fv_train_options o;
    brake b = {0};
    begin_toy(&o, "pieces");
    o.resume = true; /* with nothing there it begins */
    drive(&o, &b);
    for (b.at = 1; b.at < 26; b.at++) {
        fv_err err = {0};
        assert_int_equal(fv_train(&o, &err), FV_E_STOPPED);
    }
    b.at = 0;
    toy_train(&o);
    assert_string_equal(toy_hash(o.out), undisturbed());
}

/* ---- Killed ---- */

static int train_as_child(const char *train, const char *valid, const char *out)
{
    fv_err err = {0};
    fv_train_options o;
    begin_options(&o, train, valid, "unused");
    o.out = out;
    o.resume = true;
    o.checkpoint_seconds = 0;
    return fv_train(&o, &err) == FV_OK ? 0 : fv_err_print(stderr, &err);
}

static pid_t spawn_training(const fv_train_options *o)
{
    char self[FV_PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0) skip();
    self[n] = 0;
    char *args[] = {self, (char *)(uintptr_t)"--train", (char *)(uintptr_t)o->train, (char *)(uintptr_t)o->valid, (char *)(uintptr_t)o->out, NULL};
    pid_t child;
    assert_int_equal(posix_spawn(&child, self, NULL, NULL, args, environ), 0);
    return child;
}

static void killing_changes_no_bit(void **state)
{
    (void)state;
    fv_train_options o;
    begin_options(&o, toy_classes("long.tsv", 0, 90), toy_classes("long-valid.tsv", 90, 120), "unkilled"); /* long enough to be killed often */
    toy_train(&o);
    char hash[129];
    snprintf(hash, sizeof hash, "%s", toy_hash(o.out));
    begin_options(&o, o.train, o.valid, "killed");
    fv_rng rng = fv_rng_make(1, "kills");
    int kills = 0, how = 0;
    for (bool done = false; !done;) {
        pid_t child = spawn_training(&o);
        /* Early at first, so that a fast machine is killed often enough too, then ever later. */
        if (kills < 20) usleep((useconds_t)(fv_rng_below(&rng, 4000 + 3000 * (uint64_t)kills) + 1000));
        if (kills < 20) kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &how, 0), child);
        done = !WIFSIGNALED(how);
        kills += !done;
    }
    assert_int_equal(WEXITSTATUS(how), 0);
    assert_true(kills >= 5);
    assert_string_equal(toy_hash(o.out), hash);
    assert_int_equal(count_lines(toy_read(o.out, "log.jsonl"), "\"lr\":"), 26);
}

/* ---- What is refused ---- */

/* A training stopped after step 5, to be resumed. */
static void leave_unfinished(fv_train_options *o, const char *out)
{
    static brake b;
    fv_err err = {0};
    b = (brake){.at = 5};
    begin_toy(o, out);
    drive(o, &b);
    assert_int_equal(fv_train(o, &err), FV_E_STOPPED);
    b = (brake){0};
    o->resume = true;
}

static void expect_refused(const fv_train_options *o, fv_status expected, const char *part)
{
    fv_err err = {0};
    int64_t live = fv_alloc_live();
    fv_status status = fv_train(o, &err);
    if (status != expected) fail_msg("status %d: %s; expected \"%s\"", status, err.text, part);
    toy_contains(err.text, part);
    assert_int_equal(err.status, expected);
    assert_int_equal(fv_alloc_live(), live);
}

static void other_options_are_refused(void **state)
{
    (void)state;
    fv_train_options o, other;
    leave_unfinished(&o, "other");
    other = o, other.lr = 1e-3, expect_refused(&other, FV_E_ARGUMENT, "was made with lr = 0.004, now 0.001 is asked");
    other = o, other.seed = 7, expect_refused(&other, FV_E_ARGUMENT, "seed = 1, now 7");
    other = o, other.dropout = 0, expect_refused(&other, FV_E_ARGUMENT, "dropout = 0.2, now 0.0");
    other = o, other.steps = 30, expect_refused(&other, FV_E_ARGUMENT, "steps = 26, now 30");
    other = o, other.layers = 2, expect_refused(&other, FV_E_ARGUMENT, "layers = 1, now 2");
    other = o, other.pooling = "mean", expect_refused(&other, FV_E_ARGUMENT, "pooling = \"cls\", now \"mean\"");
    other = o, other.accumulate = 1, expect_refused(&other, FV_E_ARGUMENT, "accumulate = 2, now 1");
    other = o, other.train = toy_classes("train2.tsv", 1, 31), expect_refused(&other, FV_E_ARGUMENT, "was made with train = ");
    other = o, other.valid = toy_classes("valid2.tsv", 31, 43), expect_refused(&other, FV_E_ARGUMENT, "was made with valid = ");
    other = o, other.resume = false, expect_refused(&other, FV_E_ARGUMENT, "holds an unfinished training; --resume goes on with it");
    toy_train(&o);
    assert_string_equal(toy_hash(o.out), undisturbed());
}

static void a_finished_run_is_left_alone(void **state)
{
    (void)state;
    fv_train_options o;
    brake b = {0};
    begin_toy(&o, "finished");
    drive(&o, &b);
    toy_train(&o);
    b = (brake){0};
    o.resume = true;
    toy_train(&o);
    assert_int_equal(b.steps, 0);
    toy_contains(b.said, "finished already");
    assert_string_equal(toy_hash(o.out), undisturbed());
    o.seed = 3; /* another training: begins anew */
    toy_train(&o);
    assert_int_equal(b.steps, 26);
    assert_string_not_equal(toy_hash(o.out), undisturbed());
}

/* ---- Damaged files ---- */

static char checkpoint[FV_PATH_MAX];
static char *bytes;
static size_t n_bytes;

static void put(const void *data, size_t n)
{
    FILE *file = fopen(checkpoint, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

/* The checkpoint with one text of its header replaced by another of the same length. */
static void put_changed(const char *from, const char *to)
{
    assert_int_equal(strlen(from), strlen(to));
    char *copy = malloc(n_bytes), *at = NULL;
    memcpy(copy, bytes, n_bytes);
    at = memmem(copy, n_bytes, from, strlen(from));
    if (!at) fail_msg("no %s in the checkpoint", from);
    memcpy(at, to, strlen(to));
    put(copy, n_bytes);
    free(copy);
}

static void damage_is_refused(void **state)
{
    (void)state;
    fv_train_options o;
    fv_buf text = {0};
    leave_unfinished(&o, "damaged");
    assert_int_equal(fv_path_join(checkpoint, o.out, "checkpoint.safetensors", NULL), FV_OK);
    assert_int_equal(fv_file_read(checkpoint, 1 << 24, &text, NULL), FV_OK);
    bytes = text.data, n_bytes = text.len;
    static const double cuts[] = {0, 0.0001, 0.003, 0.5, 0.999};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        put(bytes, (size_t)(cuts[i] * (double)n_bytes));
        expect_refused(&o, FV_E_FORMAT, "checkpoint.safetensors");
    }
    static const struct { const char *from, *to, *message; } changes[] = {
        {"\"fovea_checkpoint\":\"1\"", "\"fovea_checkpoint\":\"2\"", "version 2; this program reads version 1"},
        {"\"fovea_checkpoint\":\"1\"", "\"fovea_checkpoinx\":\"1\"", "version is missing"},
        {"\\\"step\\\":5", "\\\"step\\\":-", "checkpoint.safetensors"},
        {"\\\"batch\\\":", "\\\"botch\\\":", "batch"},
        {"\\\"step\\\":5", "\\\"stop\\\":5", "step"},
        {"\\\"steps\\\":26,\\\"step\\\"", "\\\"steps\\\":02,\\\"step\\\"", "checkpoint.safetensors"},
        {"\"moment1\"", "\"moment3\"", "expected moment1 to be F32 ["},
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        put_changed(changes[i].from, changes[i].to);
        expect_refused(&o, FV_E_FORMAT, changes[i].message);
    }
    put(bytes, n_bytes);
    toy_train(&o);
    assert_string_equal(toy_hash(o.out), undisturbed());
    fv_buf_release(&text);
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "--train") == 0) return train_as_child(argv[2], argv[3], argv[4]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stopping_changes_no_bit),
        cmocka_unit_test(a_training_in_pieces),
        cmocka_unit_test(killing_changes_no_bit),
        cmocka_unit_test(other_options_are_refused),
        cmocka_unit_test(a_finished_run_is_left_alone),
        cmocka_unit_test(damage_is_refused),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
