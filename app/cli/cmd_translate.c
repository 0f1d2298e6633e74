/* fovea translate: texts into another language, in order, as they come in. What the model read for each word is drawn by picture.c. */
#include "cli/answers.h"
#include "cli/commands.h"
#include "cli/picture.h"
#include "cli/record.h"
#include "cli/term.h"

struct args {
    cli_common common;
    fv_session_options session;
    fv_translate_options o;
    const char *model, *file, *prefix;
    cli_rows_options rows;
};

#define AT(field) CLI_FIELD(struct args, field)

static const cli_option operands[] = {
    {"MODEL", NULL, "a model folder", AT(model), .needed = true},
    {"FILE", NULL, "texts; stdin if it is - or left out", AT(file)},
};

static const cli_option options[] = {
    {"src", "COL", "column of the text, which makes any input a table; src in tables if not given", AT(rows.text)},
    {"lines", NULL, "each line is a text, whatever the file is called", AT(rows.lines)},
    {"skip-bad", NULL, "answer a bad row with an empty line, and count it, instead of failing at the first", AT(rows.skip_bad)},
    {"beam", "N", "hypotheses kept while searching; 1: the likeliest token each time", AT(o.beam), .low = 1, .high = 1000},
    {"nbest", "N", "translations of each text, best first, at most --beam", AT(o.nbest), .low = 1, .high = 1000},
    {"length-penalty", "X", "log-probabilities are divided by the length to this power: more likes longer", AT(o.length_penalty), .low = 0, .high = 10},
    {"coverage-penalty", "X", "how much it counts that a source word was left out", AT(o.coverage_penalty), .low = 0, .high = 100},
    {"max-len", "N", "tokens of a translation at most; twice the source's and 20 if not given", AT(o.max_len), .low = 0, .high = 1048576},
    {"min-len", "N", "tokens of a translation at least", AT(o.min_len), .low = 0, .high = 1048576},
    {"prefix", "COL", "column of what a row's translation begins with", AT(rows.text2)},
    {"prefix-text", "TEXT", "what every translation begins with", AT(prefix)},
    {"align", NULL, "show which source words made each word", AT(o.align)},
    {"long", "refuse|split", "what happens to a text longer than the model: split at sentences, else between words", AT(o.long_texts)},
    CLI_PRECISION(AT(session.products)),
    {"shortlist", NULL, "consider only words that the training pairs suggest for the text: faster, and mostly the same", AT(session.shortlist)},
};

static void init(void *user)
{
    struct args *args = user;
    fv_session_options_init(&args->session);
    fv_translate_options_init(&args->o);
    args->file = "-";
    args->rows.usual = "src";
}

struct printer {
    const struct args *args;
    size_t nbest;
    fv_translation *found; /* of a chunk: [CLI_CHUNK × nbest] */
    int64_t texts, cut;    /* answered; translations without an end */
};

/* ---- JSON ---- */

/* Appends to an array that becomes NULL when memory is out. */
static void append(json_t **array, json_t *item)
{
    if (*array && json_array_append_new(*array, item) == 0) return;
    json_decref(*array);
    *array = NULL;
}

static json_t *words_json(const char *text, const fv_extent *words, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) append(&list, cli_json_text(text + words[i].begin, words[i].end - words[i].begin));
    return list;
}

/* For each word of the target the source word that it attended to most, and how much. */
static json_t *links_json(const fv_translation *t)
{
    json_t *list = json_array();
    for (size_t i = 0; i < t->n_target_words && t->n_source_words; i++) {
        size_t best = t->alignment[i];
        append(&list, json_pack("[I, I, o]", (json_int_t)best, (json_int_t)i, cli_json_real((double)t->attention[i * t->n_source_words + best])));
    }
    return list;
}

static json_t *translation_json(const struct printer *p, const fv_text *text, const fv_translation *t)
{
    json_t *one = json_pack("{s:o, s:o}", "text", cli_json_text(t->text, t->len), "score", cli_json_real(t->score));
    bool fine = one && (!t->cut || json_object_set_new(one, "cut", json_true()) == 0);
    if (fine && p->args->o.align)
        fine = json_object_set_new(one, "align", links_json(t)) == 0
            && json_object_set_new(one, "source_words", words_json(text->text, t->source_words, t->n_source_words)) == 0
            && json_object_set_new(one, "target_words", words_json(t->text, t->target_words, t->n_target_words)) == 0;
    if (fine) return one;
    json_decref(one);
    return NULL;
}

static json_t *text_json(const struct printer *p, const fv_text *text, const fv_translation *found)
{
    if (p->nbest == 1) return translation_json(p, text, found);
    json_t *list = json_array();
    for (size_t k = 0; k < p->nbest && found[k].text; k++) append(&list, translation_json(p, text, &found[k]));
    return json_pack("{s:o}", "nbest", list);
}

/* ---- Lines ---- */

/* A line break or a tab in a translation would break the order of lines. */
static void put_line(const fv_translation *t)
{
    for (size_t i = 0; i < t->len; i++) putchar((unsigned char)t->text[i] < 0x20 ? ' ' : t->text[i]);
    putchar('\n');
}

static fv_status print_text(const struct printer *p, const fv_text *text, const fv_translation *found, fv_err *err)
{
    fv_status status = FV_OK;
    for (size_t k = 0; k < p->nbest && found[k].text && status == FV_OK; k++) {
        if (p->nbest > 1) printf("%lld\t%.4f\t", (long long)p->texts, found[k].score);
        put_line(&found[k]);
        if (p->args->o.align && found[k].n_target_words) status = cli_print_picture(text->text, &found[k], err);
    }
    return status;
}

/* ---- Chunks ---- */

static fv_status print_all(struct printer *p, const cli_chunk *chunk, fv_err *err)
{
    fv_status status = FV_OK;
    bool json = p->args->common.json;
    for (size_t i = 0; i < chunk->n && status == FV_OK; i++) {
        const fv_translation *found = p->found + i * p->nbest;
        p->texts++;
        p->cut += found->cut;
        if (chunk->bad[i]) status = cli_rows_print_bad(chunk, i, json, err);
        else status = json ? cli_json_line(text_json(p, &chunk->texts[i], found), err) : print_text(p, &chunk->texts[i], found, err);
    }
    return status;
}

static fv_status answer(void *user, fv_session *session, const cli_chunk *chunk, fv_err *err)
{
    struct printer *p = user;
    for (size_t i = 0; i < chunk->n && p->args->prefix; i++) chunk->texts[i].text2 = chunk->bad[i] ? NULL : p->args->prefix;
    fv_status status = fv_translate(session, chunk->texts, chunk->n, &p->args->o, p->found, err);
    return status ? status : print_all(p, chunk, err);
}

static fv_status begin(void *user, fv_session *session, fv_err *err)
{
    (void)session;
    struct printer *p = user;
    p->found = fv_alloc_zero(CLI_CHUNK * p->nbest, sizeof *p->found, err);
    return p->found ? FV_OK : FV_E_MEMORY;
}

static fv_status run(void *user, fv_err *err)
{
    struct args *args = user;
    struct printer printer = {.args = args, .nbest = (size_t)args->o.nbest};
    cli_answers answers = {
        .model = args->model, .file = args->file, .session = &args->session, .rows = &args->rows, .quiet = args->common.quiet,
        .begin = begin, .answer = answer, .user = &printer,
    };
    if (args->o.nbest > args->o.beam) return FV_FAIL(err, FV_E_ARGUMENT, "--nbest %d of --beam %d; expected no more than are searched for", args->o.nbest, args->o.beam);
    if (args->prefix && args->rows.text2) return FV_FAIL(err, FV_E_ARGUMENT, "--prefix and --prefix-text exclude each other");
    fv_status status = cli_answer_all(&answers, err);
    cli_count count;
    if (status == FV_OK && printer.cut && !args->common.quiet)
        fprintf(stderr, "fovea: %s translations ran into --max-len, and lack their ends\n", cli_show_count(&count, printer.cut));
    fv_free(printer.found);
    return status;
}

static const char *const examples[] = {
    "echo 'A dog runs on the beach.' | fovea translate models/en-de",
    "fovea translate models/en-de test.tsv --src en --json",
    "echo 'A dog runs on the beach.' | fovea translate models/en-de --align",
    NULL,
};

const cli_command cli_translate = {
    .name = "translate",
    .says = "translates texts, from a file or a pipe",
    .text = "Prints one line for each text, in order: its translation. An empty line gives an empty line, so that line numbers hold. "
            "With --nbest N the N best, each after the text's number and a score (mean log-probability of a token), parted by tabs.\n\n"
            "A file named .tsv, .csv or .jsonl (also .gz) is a table with a column `src`. Anything else, stdin included, is plain lines; --src "
            "makes it a table. A row that is not UTF-8 ends the work, once all before it are translated, by an error that names its line; so does a "
            "text longer than the model, unless --long split has it translated in parts. With --skip-bad such rows are counted instead, and an "
            "empty line or {\"error\":…} stands for each: translations and texts stay side by side.\n\n"
            "--align draws under each translation how much each of its words (down) attended to each word of the text (across): "
            "blank, ░, ▒, ▓ and █ from nothing to all. Where that is too wide, each word is followed by the one it attended to most. Words "
            "are what stands between spaces, or one Chinese character.\n\n"
            "With --json a line is\n"
            "  {\"text\":…,\"score\":…}                   with \"cut\":true if its end is missing\n"
            "  {\"nbest\":[{…},…]}                      with --nbest\n"
            "and --align adds \"source_words\", \"target_words\" and for each target word the source word it attended to most, both counted "
            "from 0, and how much:\n"
            "  \"align\":[[source,target,weight],…]",
    .examples = examples,
    .operands = operands, .n_operands = FV_COUNT(operands),
    .options = options, .n_options = FV_COUNT(options),
    .args_size = sizeof(struct args),
    .init = init,
    .run = run,
};
