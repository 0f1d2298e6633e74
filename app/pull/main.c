/* fovea-pull: what `fovea pull` becomes. Reads the same words by the same table (app/cli/cmd_pull.c), shows how far it is,
 * and prints where the model lies. */
#include <signal.h>
#include <string.h>

#include "cli/pull.h"
#include "cli/term.h"
#include "pull/pull.h"

static atomic_bool stop;

/* The second Ctrl-C ends at once: what came is on the disk either way. */
static void on_signal(int number)
{
    atomic_store(&stop, true);
    signal(number, SIG_DFL);
}

typedef struct view {
    cli_progress progress;
    const hub_file *file;
    uint64_t had; /* when this file began */
    double began;
} view;

static void tell(void *user, const hub_file *file, uint64_t have)
{
    view *v = user;
    cli_piece pieces[5] = {{1, ""}, {3, ""}, {2, ""}, {4, ""}, {5, ""}};
    cli_span span;
    if (v->file != file) *v = (view){.progress = v->progress, .file = file, .had = have, .began = fv_now()};
    if (!cli_progress_due(&v->progress)) return;
    double speed = (double)(have - v->had) / (fv_now() - v->began + 1e-9), share = file->size ? (double)have / (double)file->size : 1;
    snprintf(pieces[0].text, sizeof pieces[0].text, "%.60s", file->path);
    cli_bar(pieces[1].text, sizeof pieces[1].text, share, 20);
    snprintf(pieces[2].text, sizeof pieces[2].text, "%.1f of %.1f MB", 1e-6 * (double)have, 1e-6 * (double)file->size);
    snprintf(pieces[3].text, sizeof pieces[3].text, "%.1f MB/s", 1e-6 * speed);
    if (speed > 0) snprintf(pieces[4].text, sizeof pieces[4].text, "%s left", cli_show_span(&span, (double)(file->size - have) / speed));
    cli_progress_draw(&v->progress, pieces, FV_COUNT(pieces));
}

static fv_status print(const pull_job *job, bool json, fv_err *err)
{
    if (!json) {
        printf("%s\n", job->folder);
        return FV_OK;
    }
    return cli_json_line(json_pack("{s:s,s:s,s:s,s:I}", "model", job->name, "commit", job->commit, "path", job->folder, "fetched", (json_int_t)job->fetched), err);
}

static fv_status pull(const cli_pull_args *args, fv_err *err)
{
    view v = {0};
    pull_job job = {.name = args->name, .revision = args->revision, .out = args->out, .stop = &stop, .tell = tell, .user = &v};
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    cli_progress_init(&v.progress, args->common.quiet);
    fv_status status = pull_model(&job, err);
    cli_progress_clear(&v.progress);
    if (status == FV_OK) status = print(&job, args->common.json, err);
    return status == FV_OK ? cli_flush(err) : status;
}

static fv_status run(int argc, char **argv, fv_err *err)
{
    cli_call call;
    fv_status status;
    FV_TRY(cli_call_init(&call, &cli_pull, err));
    FV_TRY(cli_parse(&call, argc, argv, err));
    const cli_pull_args *args = call.args;
    FV_TRY(args->common.help ? cli_help_command(&cli_pull, err) : pull(args, err));
done:
    cli_call_release(&call);
    return status;
}

int main(int argc, char **argv)
{
    fv_err err = {0};
    fv_status status = run(argc - 1, argv + 1, &err);
    if (status == FV_OK) return 0;
    if (err.text[0]) fv_err_print(stderr, &err);
    return cli_exit_status(status);
}
