/* From a model and a file to printed answers. See answers.h. */
#include <string.h>
#include <unistd.h>

#include "cli/answers.h"
#include "cli/term.h"

struct answering {
    const cli_answers *a;
    fv_session *session;
    cli_rows *rows;
};

/* The library counts the texts of a call; a person looks for a line. */
static fv_status name_line(const cli_chunk *chunk, const fv_err *said, fv_err *err)
{
    static const char counted[] = "text 1: ";
    size_t skip = strncmp(said->text, counted, sizeof counted - 1) == 0 ? sizeof counted - 1 : 0;
    return FV_FAIL(err, said->status, "%s:%lld: %s", chunk->name, (long long)chunk->lines[0], said->text + skip);
}

static cli_chunk part_of(const cli_chunk *chunk, size_t from, size_t to)
{
    return (cli_chunk){.n = to - from, .name = chunk->name, .texts = chunk->texts + from, .lines = chunk->lines + from, .bad = chunk->bad + from};
}

/* A text that cannot be answered is found by halving, so that all before it are answered, and in large parts. */
static fv_status answer_part(const struct answering *s, cli_chunk part, fv_err *err)
{
    fv_err bad, named;
    fv_status status = s->a->answer(s->a->user, s->session, &part, &bad);
    if (status == FV_OK) return FV_OK;
    if (status != FV_E_INPUT || part.n == 0) return FV_FAIL(err, status, "%s", bad.text);
    if (part.n > 1) {
        status = answer_part(s, part_of(&part, 0, part.n / 2), err);
        return status ? status : answer_part(s, part_of(&part, part.n / 2, part.n), err);
    }
    name_line(&part, &bad, &named);
    if (!s->a->rows->skip_bad) return FV_FAIL(err, status, "%s", named.text);
    status = cli_rows_leave_out(s->rows, &part, 0, &named, err);
    return status ? status : s->a->answer(s->a->user, s->session, &part, err);
}

static fv_status answer_chunks(const struct answering *s, fv_err *err)
{
    fv_status status = FV_OK;
    for (cli_chunk chunk;;) {
        FV_TRY(cli_rows_next(s->rows, &chunk, err));
        if (chunk.n == 0) break;
        FV_TRY(answer_part(s, chunk, err));
        FV_TRY(cli_flush(err));
    }
done:
    if (status) fflush(stdout); /* what was answered stands above the error */
    return status;
}

static void say_losses(const struct answering *s)
{
    cli_count count;
    int64_t cut = (s->session ? fv_session_cut(s->session) : 0) - (s->a->own_cut ? *s->a->own_cut : 0);
    if (cut) fprintf(stderr, "fovea: %s of the texts were longer than the model takes, and %s\n", cli_show_count(&count, cut), s->a->long_texts);
    cli_rows_say_skipped(s->rows);
}

/* A model that gives no such answers says so when asked about no text at all: before anybody types one. */
static fv_status begin(const cli_answers *a, fv_session *session, fv_err *err)
{
    fv_status status = a->begin ? a->begin(a->user, session, err) : FV_OK;
    return status ? status : a->answer(a->user, session, &(cli_chunk){0}, err);
}

fv_status cli_answer_all(const cli_answers *a, fv_err *err)
{
    struct answering s = {.a = a};
    fv_model *model = a->model ? fv_model_open(a->model, err) : NULL;
    if (model) s.session = fv_session_new(model, a->session, err);
    fv_status status = s.session || !a->model ? begin(a, s.session, err) : err->status;
    if (status == FV_OK) {
        s.rows = cli_rows_open(a->file, a->rows, err);
        if (s.rows && strcmp(a->file, "-") == 0 && isatty(STDIN_FILENO) && !a->quiet)
            fprintf(stderr, "Type a text and press Enter; Ctrl-D ends.\n");
        status = s.rows ? answer_chunks(&s, err) : err->status;
    }
    if (status == FV_OK && a->end) status = a->end(a->user, err);
    if (status == FV_OK && !a->quiet) say_losses(&s);
    cli_rows_close(s.rows);
    fv_session_free(s.session);
    fv_model_close(model);
    return status;
}
