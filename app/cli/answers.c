/* From a model and a file to printed answers. See answers.h. */
#include <string.h>
#include <unistd.h>

#include "cli/answers.h"
#include "cli/term.h"

static fv_status answer_chunks(const cli_answers *a, fv_session *session, cli_rows *rows, fv_err *err)
{
    fv_status status = FV_OK;
    cli_chunk *chunk = fv_alloc(sizeof *chunk, err);
    if (!chunk) return FV_E_MEMORY;
    if (a->begin) FV_TRY(a->begin(a->user, session, err));
    for (;;) {
        FV_TRY(cli_rows_next(rows, chunk, err));
        if (chunk->n == 0) break;
        FV_TRY(a->answer(a->user, session, chunk, err));
        FV_TRY(cli_flush(err));
    }
done:
    fv_free(chunk);
    return status;
}

static void say_losses(const cli_answers *a, const fv_session *session, const cli_rows *rows)
{
    cli_count count;
    int64_t cut = fv_session_cut(session);
    if (cut) fprintf(stderr, "fovea: %s of the texts were longer than the model takes, and %s\n", cli_show_count(&count, cut), a->long_texts);
    cli_rows_say_skipped(rows);
}

fv_status cli_answer_all(const cli_answers *a, fv_err *err)
{
    fv_session *session = NULL;
    cli_rows *rows = NULL;
    fv_model *model = fv_model_open(a->model, err);
    if (model) session = fv_session_new(model, a->session, err);
    if (session) rows = cli_rows_open(a->file, a->rows, err);
    if (rows && strcmp(a->file, "-") == 0 && isatty(STDIN_FILENO) && !a->quiet)
        fprintf(stderr, "Type a text and press Enter; Ctrl-D ends.\n");
    fv_status status = rows ? answer_chunks(a, session, rows, err) : err->status;
    if (status == FV_OK && !a->quiet) say_losses(a, session, rows);
    cli_rows_close(rows);
    fv_session_free(session);
    fv_model_close(model);
    return status;
}
