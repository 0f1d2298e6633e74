/* Trainings that are killed, again and again, at moments that chance picks, and go on with --resume: each must
 * end in the bits of one that nothing disturbed, with any number of threads, and tell no step twice.
 *
 * A life is a training from its beginning to its end. Every other life starts over a finished model, and every
 * third kill waits for the last step, so that it meets the moments in which the new model takes the old one's
 * place. HARD_KILLS is how many kills there are in all (default 16).
 *
 * The trap: a child may be forked from a process of one thread only, so the parent never computes. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rng.h"
#include "train/toy.h"

enum { STEPS = 12 };

typedef struct way {
    const char *name;
    int threads[3]; /* each attempt takes one of them by chance */
    bool stops;     /* half of the kills ask first, as Ctrl-C does */
    bool translates;
} way;

static const way ways[] = {
    {"1 thread", {1, 1, 1}, false, false},
    {"2 threads", {2, 2, 2}, false, false},
    {"4 threads", {4, 4, 4}, false, false},
    {"1, 2 and 4 threads in turns, half of them stopped by a signal", {1, 2, 4}, true, false},
    {"a translator, 1, 2 and 4 threads in turns, half of them stopped by a signal", {1, 2, 4}, true, true},
};

/* A training, and how it goes undisturbed. */
typedef struct subject {
    fv_train_options options;
    char right_hash[129];
    double whole_seconds, last_seconds; /* all of it, and what follows the last step */
} subject;

static subject classifier, translator;
static const char *other_rows;
static char finished_hash[129];
static fv_rng chance;

/* ---- The child -------------------------------------------------------------------------------- */

static volatile sig_atomic_t stop_asked;

static void ask_to_stop(int signal_number)
{
    (void)signal_number;
    stop_asked = 1;
}

/* Tells the parent, through a pipe, that the last step is done. */
static int on_event(void *user, const fv_event *e)
{
    const int *pipe_end = user;
    if (e->kind == FV_EVENT_STEP && e->step == STEPS && write(*pipe_end, "", 1) != 1) _exit(3);
    return stop_asked;
}

/* Ends with 0 when the training is over, 1 when it was stopped, 2 with a message otherwise. */
static void train_and_exit(const fv_train_options *options, int threads, int pipe_end)
{
    fv_err err = {0};
    fv_train_options o = *options;
    o.on_event = on_event;
    o.on_event_user = &pipe_end;
    signal(SIGINT, ask_to_stop);
    fv_status status = fv_set_threads(threads, &err);
    if (status == FV_OK) status = fv_train(&o, &err);
    if (status != FV_OK && status != FV_E_STOPPED) fprintf(stderr, "the training failed: %s\n", err.text);
    _exit(status == FV_OK ? 0 : status == FV_E_STOPPED ? 1 : 2);
}

typedef struct child {
    pid_t pid;
    int last_step; /* readable when the last step is done, or the child is gone */
} child;

static child begin_child(const fv_train_options *o, int threads)
{
    int ends[2];
    fflush(NULL);
    assert_int_equal(pipe(ends), 0);
    child c = {.pid = fork(), .last_step = ends[0]};
    assert_true(c.pid >= 0);
    if (c.pid == 0) train_and_exit(o, threads, ends[1]);
    close(ends[1]);
    return c;
}

static void await_last_step(const child *c)
{
    char byte;
    while (read(c->last_step, &byte, 1) < 0) {}
}

/* The child's status as waitpid gives it. */
static int end_child(child *c)
{
    int status;
    assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
    close(c->last_step);
    return status;
}

/* ---- The parent ------------------------------------------------------------------------------- */

static void wait_for(double seconds)
{
    usleep((useconds_t)(1e6 * seconds));
}

static void expect_end(int status)
{
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) fail_msg("a training ended with status %x", (unsigned)status);
}

static void learn_what_is_right(subject *s)
{
    double began = fv_now(), last;
    child c = begin_child(&s->options, 1);
    await_last_step(&c);
    last = fv_now();
    expect_end(end_child(&c));
    s->whole_seconds = fv_now() - began;
    s->last_seconds = fv_now() - last;
    snprintf(s->right_hash, sizeof s->right_hash, "%s", toy_hash(s->options.out));
}

static void make_finished(const char *out)
{
    fv_train_options o = classifier.options;
    o.out = out;
    o.steps = 2;
    o.columns.text2 = NULL;
    o.train = o.valid = o.test = other_rows;
    child c = begin_child(&o, 1);
    await_last_step(&c);
    expect_end(end_child(&c));
    snprintf(finished_hash, sizeof finished_hash, "%s", toy_hash(out));
}

static void check_result(const subject *s, const char *out)
{
    int lines = 0;
    if (strcmp(toy_hash(out), s->right_hash) != 0) fail_msg("%s ended in other bits", out);
    for (const char *p = toy_read(out, "log.jsonl"); (p = strstr(p, "\"lr\"")); p++) lines++;
    if (lines != STEPS) fail_msg("%s/log.jsonl tells of %d steps; there were %d", out, lines, STEPS);
}

typedef struct tally { int kills, last, stops, lives; } tally;

typedef struct life {
    const subject *of;
    char out[FV_PATH_MAX];
    bool over_another; /* a finished model lies there at the beginning */
    bool often;        /* a checkpoint after every step */
    bool publishes;    /* some attempt took its last step, so the old model may be gone */
} life;

/* The model that lay there is whole as long as no attempt came to its end. */
static void check_kill(life *l, const child *c, bool at_the_end)
{
    char byte;
    l->publishes |= at_the_end || read(c->last_step, &byte, 1) == 1;
    if (l->over_another && !l->publishes && strcmp(toy_hash(l->out), finished_hash) != 0) fail_msg("%s: the model that was there has changed", l->out);
}

/* One attempt, killed at some moment. True if it came through before. */
static bool attempt(const way *w, life *l, tally *n)
{
    const subject *s = l->of;
    fv_train_options o = s->options;
    o.out = l->out;
    o.resume = true;
    o.checkpoint_seconds = l->often ? 0 : s->whole_seconds / 5;
    bool at_the_end = fv_rng_below(&chance, 3) == 0, ask = w->stops && fv_rng_below(&chance, 2);
    child c = begin_child(&o, w->threads[fv_rng_below(&chance, 3)]);
    if (at_the_end) await_last_step(&c);
    double share = fv_rng_uniform(&chance);
    wait_for(at_the_end ? s->last_seconds * share * share : s->whole_seconds * share); /* sooner, for it is over soon */
    kill(c.pid, ask ? SIGINT : SIGKILL);
    check_kill(l, &c, at_the_end);
    int status = end_child(&c);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
    if (WIFEXITED(status) && !(ask && WEXITSTATUS(status) == 1)) fail_msg("%s: a training ended with status %x", l->out, (unsigned)status);
    n->kills++;
    n->last += at_the_end;
    n->stops += ask;
    return false;
}

static void live(const way *w, tally *n)
{
    life l = {.of = w->translates ? &translator : &classifier, .over_another = n->lives % 2, .often = n->lives / 2 % 2};
    snprintf(l.out, sizeof l.out, "%s/life-%d-%d", scratch_folder(), (int)(w - ways), n->lives);
    if (l.over_another) make_finished(l.out);
    while (!attempt(w, &l, n)) {}
    check_result(l.of, l.out);
    n->lives++;
}

static int kills_wanted(void)
{
    const char *said = getenv("HARD_KILLS");
    int all = said ? atoi(said) : 16;
    return (all + (int)FV_COUNT(ways) - 1) / (int)FV_COUNT(ways);
}

static void killed_again_and_again(void **state)
{
    const way *w = *state;
    tally n = {0};
    int wanted = kills_wanted();
    chance = fv_rng_make(1, w->name);
    while (n.kills < wanted) live(w, &n);
    printf("note: %s: %d kills (%d after the last step, %d by Ctrl-C), %d trainings, all in the same bits\n", w->name, n.kills, n.last, n.stops, n.lives);
}

/* ---- All -------------------------------------------------------------------------------------- */

static void make_classifier(void)
{
    fv_train_options *o = &classifier.options;
    toy_options(o, toy_pairs("pairs.tsv", 0, 40), toy_pairs("valid.tsv", 40, 60), "right");
    o->test = o->valid;
    o->columns.text2 = "text2";
    o->wide = true;
    o->accumulate = 2;
    o->steps = STEPS;
}

/* Its texts are cut anew in each epoch. */
static void make_translator(void)
{
    fv_train_options *o = &translator.options;
    toy_translator_options(o, "right-translator");
    o->dropout = 0.1;
    o->sample_pieces = 0.1;
    o->steps = STEPS;
}

static int set_up(void **state)
{
    if (scratch_setup(state) != 0) return 1;
    other_rows = toy_classes("other.tsv", 0, 18);
    make_classifier();
    make_translator();
    learn_what_is_right(&classifier);
    learn_what_is_right(&translator);
    return 0;
}

/* One argument: only the tests that it names, * and ? allowed. */
int main(int argc, char **argv)
{
    struct CMUnitTest tests[FV_COUNT(ways)];
    for (size_t i = 0; i < FV_COUNT(ways); i++)
        tests[i] = (struct CMUnitTest){.name = ways[i].name, .test_func = killed_again_and_again, .initial_state = (void *)(uintptr_t)&ways[i]};
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, set_up, scratch_teardown);
}
