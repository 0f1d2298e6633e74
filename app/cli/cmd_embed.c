/* fovea embed: a vector for each text, in order, as they come in; as lines, or as one file of numbers. */
#include <math.h>
#include <unistd.h>

#include "cli/answers.h"
#include "cli/commands.h"
#include "cli/npy.h"
#include "cli/term.h"

#define SHORT_SECONDS 2.0 /* shorter work shows no progress */

struct args {
    cli_common common;
    fv_session_options session;
    const char *model, *file, *npy;
    cli_rows_options rows;
    fv_embed_options o;
};

#define AT(field) CLI_FIELD(struct args, field)

static const cli_option operands[] = {
    {"MODEL", NULL, "a model folder", AT(model), .needed = true},
    {"FILE", NULL, "texts; stdin if it is - or left out", AT(file)},
};

static const cli_option options[] = {
    {"npy", "FILE", "the vectors as one file of NumPy instead of lines", AT(npy)},
    {"prompt", "NAME", "which of the model's prompts stands before each text, of a model with several", AT(o.prompt_name)},
    {"prompt-text", "TEXT", "what stands before each text, in your own words; empty: nothing", AT(o.prompt)},
    {"dims", "N", "keep the first N numbers, for models that were trained to be cut", AT(o.dim), .low = 1, .high = 1e6},
    {"unit", "model|yes|no", "scale vectors to length 1; model: as its folder says", AT(o.unit)},
    CLI_PRECISION(AT(session.products)),
    {"text", "COL", "column of the text, which makes any input a table; a,b joins two with a line break", AT(rows.text)},
    {"lines", NULL, "each line is a text, whatever the file is called", AT(rows.lines)},
    {"skip-bad", NULL, "answer a bad row with an empty line (--npy: with NaNs), and count it, instead of failing at the first", AT(rows.skip_bad)},
};

static void init(void *user)
{
    struct args *args = user;
    fv_session_options_init(&args->session);
    fv_embed_options_init(&args->o);
    args->file = "-";
}

/* ---- What a chunk is printed with ---- */

struct printer {
    const struct args *args;
    int dim;
    float *vectors; /* [CLI_CHUNK, dim] */
    fv_buf line;
    cli_npy npy;
    cli_progress progress;
    int64_t texts;
    double began;
};

static fv_status print_vector(struct printer *p, const float *x, fv_err *err)
{
    fv_status status = FV_OK;
    bool json = p->args->common.json;
    p->line.len = 0;
    FV_TRY(fv_buf_printf(&p->line, err, json ? "{\"embedding\":[" : ""));
    for (int i = 0; i < p->dim; i++) FV_TRY(fv_buf_printf(&p->line, err, "%s%.7g", i == 0 ? "" : json ? "," : " ", (double)x[i]));
    FV_TRY(fv_buf_printf(&p->line, err, json ? "]}\n" : "\n"));
    fwrite(p->line.data, 1, p->line.len, stdout); /* failing to write is left to cli_flush */
done:
    return status;
}

static fv_status print_chunk(struct printer *p, const cli_chunk *chunk, fv_err *err)
{
    fv_status status = FV_OK;
    for (size_t i = 0; i < chunk->n && status == FV_OK; i++) {
        const float *x = p->vectors + i * (size_t)p->dim;
        status = chunk->bad[i] ? cli_rows_print_bad(chunk, i, p->args->common.json, err) : print_vector(p, x, err);
    }
    return status;
}

static fv_status keep_chunk(struct printer *p, const cli_chunk *chunk, fv_err *err)
{
    for (size_t i = 0; i < chunk->n; i++)
        for (int c = 0; c < p->dim && chunk->bad[i]; c++) p->vectors[i * (size_t)p->dim + (size_t)c] = NAN;
    return cli_npy_add(&p->npy, p->vectors, chunk->n, err);
}

/* None where the lines themselves run over the terminal. */
static void show_progress(struct printer *p, size_t texts)
{
    cli_piece pieces[2] = {{1, ""}, {2, ""}};
    cli_count count;
    double seconds = fv_now() - p->began;
    p->texts += (int64_t)texts;
    if (seconds < SHORT_SECONDS || !cli_progress_due(&p->progress) || (!p->args->npy && isatty(STDOUT_FILENO))) return;
    snprintf(pieces[0].text, sizeof pieces[0].text, "%s texts", cli_show_count(&count, p->texts));
    snprintf(pieces[1].text, sizeof pieces[1].text, "%s a second", cli_show_count(&count, (int64_t)((double)p->texts / seconds)));
    cli_progress_draw(&p->progress, pieces, FV_COUNT(pieces));
}

/* ---- The three calls of answers.h ---- */

static fv_status begin(void *user, fv_session *session, fv_err *err)
{
    struct printer *p = user;
    const struct args *args = p->args;
    fv_status status = fv_embed(session, NULL, 0, &args->o, NULL, err); /* says no before a file is opened */
    if (status != FV_OK) return status;
    p->dim = args->o.dim ? args->o.dim : fv_model_embedding_size(fv_session_model(session));
    p->vectors = fv_alloc_zero(CLI_CHUNK * (size_t)p->dim, sizeof *p->vectors, err);
    if (!p->vectors) return FV_E_MEMORY;
    cli_progress_init(&p->progress, args->common.quiet);
    p->began = fv_now();
    return args->npy ? cli_npy_open(&p->npy, args->npy, p->dim, err) : FV_OK;
}

static fv_status answer(void *user, fv_session *session, const cli_chunk *chunk, fv_err *err)
{
    struct printer *p = user;
    fv_status status = fv_embed(session, chunk->texts, chunk->n, &p->args->o, p->vectors, err);
    if (status == FV_OK) status = p->args->npy ? keep_chunk(p, chunk, err) : print_chunk(p, chunk, err);
    if (status == FV_OK) show_progress(p, chunk->n);
    return status;
}

static fv_status end(void *user, fv_err *err)
{
    struct printer *p = user;
    cli_progress_clear(&p->progress);
    return p->args->npy ? cli_npy_commit(&p->npy, err) : FV_OK;
}

static fv_status run(void *user, fv_err *err)
{
    struct args *args = user;
    struct printer printer = {.args = args};
    if (args->npy && args->common.json) return FV_FAIL(err, FV_E_ARGUMENT, "--npy and --json ask for two forms; expected one of them");
    cli_answers answers = {
        .model = args->model, .session = &args->session, .file = args->file, .rows = &args->rows, .quiet = args->common.quiet,
        .long_texts = "were cut", .begin = begin, .answer = answer, .end = end, .user = &printer,
    };
    fv_status status = cli_answer_all(&answers, err);
    cli_progress_clear(&printer.progress);
    cli_npy_abort(&printer.npy);
    fv_buf_release(&printer.line);
    fv_free(printer.vectors);
    return status;
}

static const char *const examples[] = {
    "echo 'My parcel has not come' | fovea embed models/minilm --json",
    "echo '我的包裹还没到' | fovea embed models/shop",
    "fovea embed models/minilm faq.tsv --text question --npy faq.npy",
    NULL,
};

const cli_command cli_embed = {
    .name = "embed",
    .says = "turns texts into vectors, from a file or a pipe",
    .text = "Prints one line for each text, in order: the numbers of its vector, separated by spaces. Texts that mean the like have vectors "
            "that point the same way, if the model was trained for that: a folder of sentence-transformers says how its vectors are made, "
            "and is followed; of any other encoder it is the mean of the hidden states, whatever heads it has. A text's vector does not depend on the others.\n\n"
            "With --json a line is\n"
            "  {\"embedding\":[…]}\n"
            "Lines have seven digits of each number. --npy writes all 32 bits, [texts, numbers], to a file that numpy.load reads, and "
            "nothing to stdout; if the work fails, the file is as it was.\n\n"
            "A file named .tsv, .csv or .jsonl (also .gz) is a table with a column `text`. Anything else, stdin included, is plain lines, "
            "a text on each, an empty one too, so that line numbers hold; --text makes it a table. A bad row ends the work, once all before it "
            "are answered; with --skip-bad it is counted, and its answer is an empty line, {\"error\":…} or NaNs.",
    .examples = examples,
    .operands = operands, .n_operands = FV_COUNT(operands),
    .options = options, .n_options = FV_COUNT(options),
    .args_size = sizeof(struct args),
    .init = init,
    .run = run,
};
