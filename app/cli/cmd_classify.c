/* fovea classify: a label for each text, in order, as they come in. */
#include "cli/answers.h"
#include "cli/commands.h"
#include "cli/record.h"
#include "cli/term.h"

#define HOLDS 0.5f /* of several labels, those at least this probable are said to hold */

struct args {
    cli_common common;
    fv_session_options session;
    const char *model, *file;
    int top; /* 0: not given */
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
    {"top", "K", "labels shown for each text, 1 if not given", AT(top), .low = 1, .high = 1e6},
    {"text", "COL", "column of the text, which makes any input a table; a,b joins two with a line break", AT(rows.text)},
    {"text2", "COL", "column of the second text of a pair", AT(rows.text2)},
    {"lines", NULL, "each line is a text, whatever the file is called", AT(rows.lines)},
    {"skip-bad", NULL, "answer a bad row with an empty line, and count it, instead of failing at the first", AT(rows.skip_bad)},
};

static void init(void *user)
{
    struct args *args = user;
    fv_session_options_init(&args->session);
    args->file = "-";
}

/* What a chunk is printed with. */
struct printer {
    bool json;
    fv_labels kind;
    int shown; /* labels of a row that are printed */
    int asked; /* labels of a row that were asked for: all of them if several may hold */
    bool top_given;
    fv_label *labels; /* of a chunk: [CLI_CHUNK × asked] */
};

static bool is_shown(const struct printer *p, const fv_label *label, int place)
{
    if (label->index < 0) return false;
    if (p->kind == FV_LABELS_MULTI && !p->top_given) return label->score >= HOLDS;
    return place < p->shown;
}

/* A name as one field of a line: a tab or a line break in it would break the line's form. */
static void put_field(const char *name)
{
    for (; *name; name++) putchar((unsigned char)*name < 0x20 ? ' ' : *name);
}

static void print_text(const struct printer *p, const fv_label *best)
{
    bool any = false;
    if (p->kind == FV_LABELS_REGRESSION) {
        printf("%.7g\n", (double)best->score);
        return;
    }
    for (int k = 0; k < p->asked; k++) {
        if (!is_shown(p, &best[k], k)) continue;
        if (any) putchar('\t');
        put_field(best[k].name);
        printf("\t%.4f", (double)best[k].score);
        any = true;
    }
    putchar('\n');
}

static json_t *scores_json(const struct printer *p, const fv_label *best)
{
    json_t *scores = json_object();
    for (int k = 0; k < p->shown && best[k].index >= 0; k++)
        if (json_object_set_new(scores, best[k].name, cli_json_real((double)best[k].score))) {
            json_decref(scores);
            return NULL;
        }
    return scores;
}

/* The names of those labels that hold. */
static json_t *holding_json(const struct printer *p, const fv_label *best)
{
    json_t *names = json_array();
    for (int k = 0; k < p->asked && best[k].index >= 0 && best[k].score >= HOLDS; k++)
        if (json_array_append_new(names, json_string(best[k].name))) {
            json_decref(names);
            return NULL;
        }
    return names;
}

static json_t *row_json(const struct printer *p, const fv_label *best)
{
    if (p->kind == FV_LABELS_REGRESSION) return json_pack("{s:o}", "value", cli_json_real((double)best->score));
    if (p->kind == FV_LABELS_MULTI) return json_pack("{s:o, s:o}", "labels", holding_json(p, best), "scores", scores_json(p, best));
    return json_pack("{s:s, s:o, s:o}", "label", best->name, "score", cli_json_real((double)best->score), "scores", scores_json(p, best));
}

static fv_status answer(void *user, fv_session *session, const cli_chunk *chunk, fv_err *err)
{
    struct printer *p = user;
    fv_status status = fv_classify(session, chunk->texts, chunk->n, p->asked, p->labels, err);
    for (size_t i = 0; i < chunk->n && status == FV_OK; i++) {
        const fv_label *best = p->labels + i * (size_t)p->asked;
        if (chunk->bad[i]) status = cli_rows_print_bad(chunk, i, p->json, err);
        else if (p->json) status = cli_json_line(row_json(p, best), err);
        else print_text(p, best);
    }
    return status;
}

/* `shown` holds --top until the model's labels are known. */
static fv_status begin(void *user, fv_session *session, fv_err *err)
{
    struct printer *p = user;
    int n = fv_session_n_labels(session), top = p->shown;
    p->kind = fv_session_labels(session);
    p->top_given = top > 0;
    p->shown = p->kind == FV_LABELS_REGRESSION || top < 1 ? 1 : top < n || n < 1 ? top : n;
    p->asked = p->kind == FV_LABELS_MULTI ? n : p->shown;
    p->labels = fv_alloc_zero(CLI_CHUNK * (size_t)p->asked, sizeof *p->labels, err);
    return p->labels ? FV_OK : FV_E_MEMORY;
}

static fv_status run(void *user, fv_err *err)
{
    struct args *args = user;
    struct printer printer = {.json = args->common.json, .shown = args->top};
    cli_answers answers = {
        .model = args->model, .file = args->file, .session = &args->session, .rows = &args->rows, .quiet = args->common.quiet,
        .long_texts = "were cut", .begin = begin, .answer = answer, .user = &printer,
    };
    fv_status status = cli_answer_all(&answers, err);
    fv_free(printer.labels);
    return status;
}

static const char *const examples[] = {
    "echo 'My parcel has not come' | fovea classify models/shop",
    "fovea classify models/shop test.tsv --top 3 --json",
    "cut -f 1 test.tsv | fovea classify models/shop - --lines",
    NULL,
};

const cli_command cli_classify = {
    .name = "classify",
    .says = "labels texts, from a file or a pipe",
    .text = "Prints one line for each text, in order: the label and its probability, separated by a tab (with --top K the K best, one after "
            "the other). If several labels may hold at once: those at least 0.5 probable, which may be none. If the model learned a number: "
            "the number. A line that is typed, or written by a program that waits, is answered at once.\n\n"
            "A file named .tsv, .csv or .jsonl (also .gz) is a table with a column `text`. Anything else, stdin included, is plain lines, "
            "a text on each, an empty one too, so that line numbers hold; --text makes it a table. A table on stdin tells its kind by its "
            "first line. Texts are UTF-8 without NUL bytes: another row ends the work, once all before it are answered, by an error that names "
            "its line and byte. With --skip-bad it is counted, and an empty line or {\"error\":…} is its answer: line numbers hold.\n\n"
            "With --json a line is\n"
            "  {\"label\":…,\"score\":…,\"scores\":{…}}     the K best in scores\n"
            "  {\"labels\":[…],\"scores\":{…}}            if several may hold\n"
            "  {\"value\":…}                            if the model learned a number",
    .examples = examples,
    .operands = operands, .n_operands = FV_COUNT(operands),
    .options = options, .n_options = FV_COUNT(options),
    .args_size = sizeof(struct args),
    .init = init,
    .run = run,
};
