/* A labelled file in, a model out, progress on standard error, and Ctrl-C stops cleanly: what it
 * learned so far is kept, and the same command goes on from there.
 *
 *     cc train.c $(pkg-config --cflags --libs fovea) -o train
 *     ./train train.tsv models/shop 2000
 *
 * The file has a header line with the columns `label` and `text`. STEPS may be left out: then the
 * recipe decides how long to train. */
// run: demo/train.tsv build/examples/model 20

#include <fovea.h>
#include <signal.h>
#include <stdlib.h>

static volatile sig_atomic_t interrupted;

static void interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

/* Called for every step. What it returns decides whether training goes on. */
static int show(void *user, const fv_event *event)
{
    FILE *to = user;
    switch (event->kind) {
    case FV_EVENT_MESSAGE:
        fprintf(to, "%s\n", event->text);
        break;
    case FV_EVENT_STEP:
        if (event->step % 10 == 0)
            fprintf(to, "step %lld of %lld: loss %.3f, %.0f tokens a second, %.0f s left\n", (long long)event->step,
                    (long long)event->steps, event->loss, event->tokens_per_s, event->seconds_left);
        break;
    case FV_EVENT_EPOCH:
        fprintf(to, "epoch %lld: %s %.3f%s\n", (long long)event->epoch + 1, event->metric, event->value, event->best ? ", the best so far" : "");
        break;
    case FV_EVENT_DONE:
        fprintf(to, "done in %.1f s\n", event->seconds);
        break;
    }
    return interrupted;
}

int main(int argc, char **argv)
{
    fv_err err = {0};
    fv_train_options options;
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: train FILE MODEL [STEPS]\n");
        return 2;
    }
    signal(SIGINT, interrupt);
    fv_train_options_init(&options);
    options.train = argv[1];
    options.out = argv[2];
    if (argc == 4) options.steps = strtoll(argv[3], NULL, 10);
    options.preset = "tiny";
    options.resume = true;
    options.on_event = show;
    options.on_event_user = stderr;
    if (fv_train(&options, &err)) return fv_err_print(stderr, &err);
    return 0;
}
