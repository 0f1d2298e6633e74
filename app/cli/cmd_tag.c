/* fovea tag: a tag for every word of each text, in order, as they come in. */
#include "cli/answers.h"
#include "cli/commands.h"
#include "cli/record.h"
#include "cli/term.h"

struct args {
    cli_common common;
    fv_session_options session;
    const char *model, *file;
    cli_rows_options rows;
};

#define AT(field) CLI_FIELD(struct args, field)

static const cli_option operands[] = {
    {"MODEL", NULL, "a model folder", AT(model), .needed = true},
    {"FILE", NULL, "texts; stdin if it is - or left out", AT(file)},
};

static const cli_option options[] = {
    {"head", "NAME", "which head answers, of a model with several", AT(session.head)},
    CLI_PRECISION(AT(session.products)),
    {"text", "COL", "column of the text, which makes any input a table", AT(rows.text)},
    {"lines", NULL, "each line is a text, whatever the file is called", AT(rows.lines)},
    {"skip-bad", NULL, "answer a bad row with an empty line, and count it, instead of failing at the first", AT(rows.skip_bad)},
};

static void init(void *user)
{
    struct args *args = user;
    fv_session_options_init(&args->session);
    args->file = "-";
}

/* ---- A text's answer ---- */

static void print_words(const fv_text *text, const fv_tagged *answer)
{
    for (size_t i = 0; i < answer->n_words; i++) {
        const fv_tagged_word *w = &answer->words[i];
        fwrite(text->text + w->begin, 1, w->end - w->begin, stdout);
        printf("\t%s\n", w->tag);
    }
    putchar('\n');
}

/* Appends to an array that becomes NULL when memory is out. */
static void append(json_t **array, json_t *item)
{
    if (*array && json_array_append_new(*array, item) == 0) return;
    json_decref(*array);
    *array = NULL;
}

static json_t *spans_json(const fv_text *text, const fv_tagged *answer)
{
    json_t *spans = json_array();
    for (size_t i = 0; i < answer->n_spans; i++) {
        const fv_tagged_span *s = &answer->spans[i];
        append(&spans, json_pack("{s:s, s:I, s:I, s:o, s:o}", "type", s->type, "begin", (json_int_t)s->begin, "end", (json_int_t)s->end, "text",
                                 cli_json_text(text->text + s->begin, s->end - s->begin), "score", cli_json_real((double)s->score)));
    }
    return spans;
}

static json_t *answer_json(const fv_text *text, const fv_tagged *answer)
{
    json_t *words = json_array(), *tags = json_array(), *scores = json_array();
    for (size_t i = 0; i < answer->n_words; i++) {
        const fv_tagged_word *w = &answer->words[i];
        append(&words, cli_json_text(text->text + w->begin, w->end - w->begin));
        append(&tags, json_string(w->tag));
        append(&scores, cli_json_real((double)w->score));
    }
    return json_pack("{s:o, s:o, s:o, s:o}", "words", words, "tags", tags, "scores", scores, "spans", spans_json(text, answer));
}

/* ---- All of them ---- */

struct printer {
    bool json;
    fv_tagged answers[CLI_CHUNK];
};

static fv_status answer(void *user, fv_session *session, const cli_chunk *chunk, fv_err *err)
{
    struct printer *p = user;
    fv_status status = fv_tag(session, chunk->texts, chunk->n, p->answers, err);
    for (size_t i = 0; i < chunk->n && status == FV_OK; i++) {
        if (chunk->bad[i]) status = cli_rows_print_bad(chunk, i, p->json, err);
        else if (p->json) status = cli_json_line(answer_json(&chunk->texts[i], &p->answers[i]), err);
        else print_words(&chunk->texts[i], &p->answers[i]);
    }
    return status;
}

static fv_status run(void *user, fv_err *err)
{
    struct args *args = user;
    struct printer printer = {.json = args->common.json};
    cli_answers answers = {
        .model = args->model, .file = args->file, .session = &args->session, .rows = &args->rows, .quiet = args->common.quiet,
        .long_texts = "were read in parts", .answer = answer, .user = &printer,
    };
    return cli_answer_all(&answers, err);
}

static const char *const examples[] = {
    "echo 'She flew from Oslo to Bad Homburg' | fovea tag models/places",
    "fovea tag models/places test.conll --json",
    NULL,
};

const cli_command cli_tag = {
    .name = "tag",
    .says = "tags the words of texts, from a file or a pipe",
    .text = "Prints each word with its tag, a tab between them, and an empty line after each text. Words are what stands between spaces, "
            "as in training: a model that learned full stops as words of their own wants them apart here too.\n\n"
            "A file named .tsv, .csv, .jsonl, .conll, .iob or .bio (also .gz) is a table with a column `text`, which in CoNLL files is a "
            "sentence's words. Anything else, stdin included, is plain lines, a text on each; --text makes it a table. A bad row ends the work, "
            "once all before it are answered; with --skip-bad it is counted, and its answer is that of a text without words, or {\"error\":…}.\n\n"
            "With --json a line is\n"
            "  {\"words\":[…],\"tags\":[…],\"scores\":[…],\"spans\":[…]}\n"
            "and what tags like B-PLACE I-PLACE spell is a span, its place in bytes of the text:\n"
            "  {\"type\":…,\"begin\":…,\"end\":…,\"text\":…,\"score\":…}",
    .examples = examples,
    .operands = operands, .n_operands = FV_COUNT(operands),
    .options = options, .n_options = FV_COUNT(options),
    .args_size = sizeof(struct args),
    .init = init,
    .run = run,
};
