/* fovea tokenizer train, encode, decode. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/record.h"
#include "cli/rows.h"
#include "cli/term.h"

/* ---- train ---- */

struct train_args {
    cli_common common;
    cli_list files;
    const char *out;
    cli_rows_options rows;
    fv_tokenizer_options o;
};

#define TRAIN_AT(field) CLI_FIELD(struct train_args, field)

static const cli_option train_operands[] = {
    {"FILE", NULL, "texts to learn from; - is stdin", TRAIN_AT(files), .needed = true},
};

static const cli_option train_options[] = {
    {"out", "PATH", "a file ending in .json, or in .spm (unigram only), or the folder that gets a tokenizer.json", TRAIN_AT(out), .needed = true},
    {"kind", "bpe|wordpiece|unigram", "how a word becomes tokens", TRAIN_AT(o.kind)},
    {"vocab", "N", "entries, the 5 special tokens (and 256 bytes of bpe) included", TRAIN_AT(o.vocab), .low = 6, .high = 4000000},
    {"normalize", "none|nfc|nfkc", "Unicode normal form that texts are brought into first (wordpiece: as BERT does, always)", TRAIN_AT(o.normalize)},
    {"lowercase", NULL, "make texts lower case first", TRAIN_AT(o.lowercase)},
    {"min-count", "N", "leave out pairs (unigram: pieces) that are rarer", TRAIN_AT(o.min_count), .low = 1, .high = 1e9},
    {"text", "COL", "column of the text, which makes any input a table", TRAIN_AT(rows.text)},
    {"lines", NULL, "each line is a text, whatever the file is called", TRAIN_AT(rows.lines)},
    {"skip-bad", NULL, "leave out bad rows, and count them, instead of failing at the first", TRAIN_AT(rows.skip_bad)},
};

static void train_init(void *user)
{
    struct train_args *args = user;
    fv_tokenizer_options_init(&args->o);
}

/* All texts of all files, one after the other. */
struct source {
    const struct train_args *args;
    size_t next_file;
    cli_rows *rows;
    cli_chunk chunk;
    size_t at;
};

/* Makes chunk.n - at positive unless all files are used up. */
static fv_status more(struct source *s, fv_err *err)
{
    while (s->at == s->chunk.n) {
        if (!s->rows) {
            if (s->next_file == s->args->files.n) return FV_OK;
            s->rows = cli_rows_open(s->args->files.items[s->next_file++], &s->args->rows, err);
            if (!s->rows) return err->status;
        }
        fv_status status = cli_rows_next(s->rows, &s->chunk, err);
        s->at = 0;
        if (status) return status;
        if (s->chunk.n) continue;
        if (!s->args->common.quiet) cli_rows_say_skipped(s->rows);
        cli_rows_close(s->rows);
        s->rows = NULL;
    }
    return FV_OK;
}

static int next_text(void *user, const char **text, size_t *len, fv_err *err)
{
    struct source *s = user;
    fv_status status = more(s, err);
    if (status) return status;
    if (s->at == s->chunk.n) return 0;
    *text = s->chunk.texts[s->at].text;
    *len = s->chunk.texts[s->at++].len;
    return 1;
}

static bool named(const char *path, const char *end)
{
    size_t len = strlen(path), n = strlen(end);
    return len > n && strcmp(path + len - n, end) == 0;
}

/* OUT itself if it is named as a file, else OUT/tokenizer.json, its folder made. */
static fv_status output_path(char path[FV_PATH_MAX], const char *out, fv_err *err)
{
    if (named(out, ".json") || named(out, ".spm") || named(out, ".model")) return fv_path_join(path, "", out, err);
    fv_status status = fv_folder_make(out, err);
    return status ? status : fv_path_join(path, out, "tokenizer.json", err);
}

static fv_status report_training(const struct train_args *args, const fv_tokenizer *tokenizer, const char *path, fv_err *err)
{
    int size = fv_tokenizer_size(tokenizer);
    if (args->common.json) return cli_json_line(json_pack("{s:o, s:i}", "path", cli_json_text(path, strlen(path)), "size", size), err);
    cli_count count;
    if (!args->common.quiet) fprintf(stderr, "%s: %s entries\n", path, cli_show_count(&count, size));
    if (size < args->o.vocab && !args->common.quiet)
        fprintf(stderr, "fewer than --vocab %d: the texts have no more %s that occur %d times\n", args->o.vocab, args->o.kind == FV_TOKENIZER_UNIGRAM ? "pieces" : "pairs", args->o.min_count);
    return FV_OK;
}

static fv_status train_run(void *user, fv_err *err)
{
    struct train_args *args = user;
    char path[FV_PATH_MAX];
    fv_tokenizer *tokenizer = NULL;
    fv_status status = FV_OK;
    struct source *source = fv_alloc_zero(1, sizeof *source, err);
    if (!source) return FV_E_MEMORY;
    source->args = args;
    tokenizer = fv_tokenizer_train(&args->o, next_text, source, err);
    if (!tokenizer) status = err->status;
    else {
        FV_TRY(output_path(path, args->out, err));
        FV_TRY(fv_tokenizer_save(tokenizer, path, err));
        FV_TRY(report_training(args, tokenizer, path, err));
    }
done:
    cli_rows_close(source->rows);
    fv_free(source);
    fv_tokenizer_close(tokenizer);
    return status;
}

static const char *const train_examples[] = {
    "fovea tokenizer train train.tsv --out shop.json --vocab 2000",
    NULL,
};

const cli_command cli_tokenizer_train = {
    .name = "tokenizer train",
    .says = "learns a vocabulary from texts",
    .text = "bpe: any text in any script can be encoded, and decoding gives it back (after normalisation). wordpiece: as BERT's; "
            "unigram: as SentencePiece's; to both, characters that were not learned are [UNK]. Files are tables if "
            "named .tsv, .csv or .jsonl (also .gz), else plain lines. `fovea train` does this by itself; a vocabulary of your own serves "
            "other uses. The file is one that other tools load.",
    .examples = train_examples,
    .operands = train_operands, .n_operands = FV_COUNT(train_operands),
    .options = train_options, .n_options = FV_COUNT(train_options),
    .args_size = sizeof(struct train_args),
    .init = train_init,
    .run = train_run,
};

/* ---- encode ---- */

struct encode_args {
    cli_common common;
    const char *model, *file;
    bool special;
    cli_rows_options rows;
};

#define ENCODE_AT(field) CLI_FIELD(struct encode_args, field)

static const cli_option encode_operands[] = {
    {"MODEL", NULL, "a model folder, a tokenizer.json, or a SentencePiece model (.model, .spm)", ENCODE_AT(model), .needed = true},
    {"FILE", NULL, "texts; stdin if it is - or left out", ENCODE_AT(file)},
};

static const cli_option encode_options[] = {
    {"special", NULL, "add the tokens that a model's input starts and ends with", ENCODE_AT(special)},
    {"text", "COL", "column of the text, which makes any input a table", ENCODE_AT(rows.text)},
    {"lines", NULL, "each line is a text, whatever the file is called", ENCODE_AT(rows.lines)},
    {"skip-bad", NULL, "answer a bad row with {\"error\":…}, and count it, instead of failing at the first", ENCODE_AT(rows.skip_bad)},
};

static void encode_init(void *user)
{
    struct encode_args *args = user;
    args->file = "-";
}

static json_t *encoding_json(const fv_tokenizer *tokenizer, const fv_encoding *e)
{
    json_t *ids = json_array(), *tokens = json_array(), *offsets = json_array();
    bool failed = !ids || !tokens || !offsets;
    for (size_t i = 0; i < e->n && !failed; i++) {
        const char *token = fv_tokenizer_token(tokenizer, e->ids[i]);
        if (!token) token = "";
        failed = json_array_append_new(ids, json_integer(e->ids[i])) || json_array_append_new(tokens, cli_json_text(token, strlen(token))) ||
                 json_array_append_new(offsets, json_pack("[I, I]", (json_int_t)e->begins[i], (json_int_t)e->ends[i]));
    }
    if (!failed) return json_pack("{s:o, s:o, s:o}", "ids", ids, "tokens", tokens, "offsets", offsets);
    json_decref(ids);
    json_decref(tokens);
    json_decref(offsets);
    return NULL;
}

static fv_status encode_all(const struct encode_args *args, const fv_tokenizer *tokenizer, cli_rows *rows, fv_err *err)
{
    fv_encoding encoding = {0};
    fv_status status = FV_OK;
    for (cli_chunk chunk;;) {
        FV_TRY(cli_rows_next(rows, &chunk, err));
        if (chunk.n == 0) break;
        for (size_t i = 0; i < chunk.n; i++) {
            const fv_text *t = &chunk.texts[i];
            FV_TRY(fv_tokenizer_encode(tokenizer, t->text, t->len, NULL, 0, args->special, &encoding, err));
            FV_TRY(chunk.bad[i] ? cli_rows_print_bad(&chunk, i, true, err) : cli_json_line(encoding_json(tokenizer, &encoding), err));
        }
        FV_TRY(cli_flush(err));
    }
done:
    fv_encoding_release(&encoding);
    return status;
}

static fv_status encode_run(void *user, fv_err *err)
{
    struct encode_args *args = user;
    fv_tokenizer *tokenizer = fv_tokenizer_open(args->model, err);
    cli_rows *rows = tokenizer ? cli_rows_open(args->file, &args->rows, err) : NULL;
    fv_status status = rows ? encode_all(args, tokenizer, rows, err) : err->status;
    if (status == FV_OK && !args->common.quiet) cli_rows_say_skipped(rows);
    cli_rows_close(rows);
    fv_tokenizer_close(tokenizer);
    return status;
}

static const char *const encode_examples[] = {
    "echo 'My parcel has not come' | fovea tokenizer encode models/shop",
    "fovea tokenizer encode models/shop test.tsv --special",
    NULL,
};

const cli_command cli_tokenizer_encode = {
    .name = "tokenizer encode",
    .says = "turns texts into token ids",
    .text = "Prints a JSON object for each text, in order, with or without --json:\n"
            "  {\"ids\":[…],\"tokens\":[…],\"offsets\":[[begin,end],…]}\n"
            "Offsets count bytes of the text as given. Tokens are spelled as the vocabulary spells them. Input is read as `fovea classify` "
            "reads it.",
    .examples = encode_examples,
    .operands = encode_operands, .n_operands = FV_COUNT(encode_operands),
    .options = encode_options, .n_options = FV_COUNT(encode_options),
    .args_size = sizeof(struct encode_args),
    .init = encode_init,
    .run = encode_run,
};

/* ---- decode ---- */

struct decode_args {
    cli_common common;
    const char *model, *file;
};

#define DECODE_AT(field) CLI_FIELD(struct decode_args, field)

static const cli_option decode_operands[] = {
    {"MODEL", NULL, "a model folder, a tokenizer.json, or a SentencePiece model (.model, .spm)", DECODE_AT(model), .needed = true},
    {"FILE", NULL, "lines of ids; stdin if it is - or left out", DECODE_AT(file)},
};

static void decode_init(void *user)
{
    struct decode_args *args = user;
    args->file = "-";
}

/* Ids of one line. */
struct ids {
    int32_t *items;
    size_t n, capacity;
};

static fv_status add_id(struct ids *ids, int64_t id, int size, const char *where, fv_err *err)
{
    if (id < 0 || id >= size) return FV_FAIL(err, FV_E_INPUT, "%s: id %lld; expected 0 to %d", where, (long long)id, size - 1);
    fv_status status = fv_grow(&ids->items, &ids->capacity, ids->n + 1, sizeof *ids->items, err);
    if (status == FV_OK) ids->items[ids->n++] = (int32_t)id;
    return status;
}

static fv_status read_numbers(struct ids *ids, const char *text, int size, const char *where, fv_err *err)
{
    static const char gap[] = " \t,";
    for (text += strspn(text, gap); *text; text += strspn(text, gap)) {
        char word[24];
        int64_t id;
        fv_shown shown;
        size_t len = strcspn(text, gap);
        snprintf(word, sizeof word, "%.*s", (int)(len < 23 ? len : 23), text);
        if (len > 22 || !fv_parse_int64(word, &id))
            return FV_FAIL(err, FV_E_INPUT, "%s: %s is no token id; expected ids separated by spaces, or {\"ids\":[…]}", where, fv_show(&shown, text, len));
        fv_status status = add_id(ids, id, size, where, err);
        if (status) return status;
        text += len;
    }
    return FV_OK;
}

static fv_status read_object(struct ids *ids, const fv_text *line, int size, const char *where, fv_err *err)
{
    size_t i;
    json_t *item, *tree = fv_json_parse(line->text, line->len, where, err);
    if (!tree) return err->status;
    const json_t *list = json_is_array(tree) ? tree : json_object_get(tree, "ids");
    fv_status status = FV_OK;
    if (!json_is_array(list)) status = FV_FAIL(err, FV_E_INPUT, "%s: no array \"ids\"; expected {\"ids\":[…]}", where);
    else json_array_foreach((json_t *)list, i, item)
        {
            if (json_is_integer(item)) status = add_id(ids, json_integer_value(item), size, where, err);
            else status = FV_FAIL(err, FV_E_INPUT, "%s: ids[%zu] is no whole number", where, i);
            if (status) break;
        }
    json_decref(tree);
    return status;
}

static fv_status decode_line(const struct decode_args *args, const fv_tokenizer *tokenizer, const fv_text *line, const char *where, struct ids *ids, fv_err *err)
{
    char *text = NULL;
    size_t len = 0;
    int size = fv_tokenizer_size(tokenizer);
    bool object = line->text[0] == '{' || line->text[0] == '[';
    fv_status status;
    ids->n = 0;
    FV_TRY(object ? read_object(ids, line, size, where, err) : read_numbers(ids, line->text, size, where, err));
    FV_TRY(fv_tokenizer_decode(tokenizer, ids->items, ids->n, &text, &len, err));
    if (args->common.json) status = cli_json_line(json_pack("{s:o}", "text", cli_json_text(text, len)), err);
    else {
        fwrite(text, 1, len, stdout);
        putchar('\n');
    }
done:
    free(text);
    return status;
}

static fv_status decode_all(const struct decode_args *args, const fv_tokenizer *tokenizer, cli_rows *rows, fv_err *err)
{
    struct ids ids = {0};
    char where[300];
    long long line = 0;
    fv_status status = FV_OK;
    for (cli_chunk chunk;;) {
        FV_TRY(cli_rows_next(rows, &chunk, err));
        if (chunk.n == 0) break;
        for (size_t i = 0; i < chunk.n; i++) {
            snprintf(where, sizeof where, "%.250s:%lld", strcmp(args->file, "-") ? args->file : "stdin", ++line);
            FV_TRY(decode_line(args, tokenizer, &chunk.texts[i], where, &ids, err));
        }
        FV_TRY(cli_flush(err));
    }
done:
    fv_free(ids.items);
    return status;
}

static fv_status decode_run(void *user, fv_err *err)
{
    struct decode_args *args = user;
    const cli_rows_options lines = {.lines = true, .any_bytes = true};
    fv_tokenizer *tokenizer = fv_tokenizer_open(args->model, err);
    cli_rows *rows = tokenizer ? cli_rows_open(args->file, &lines, err) : NULL;
    fv_status status = rows ? decode_all(args, tokenizer, rows, err) : err->status;
    cli_rows_close(rows);
    fv_tokenizer_close(tokenizer);
    return status;
}

static const char *const decode_examples[] = {
    "echo '300 301 302' | fovea tokenizer decode models/shop",
    "echo 'My parcel has not come' | fovea tokenizer encode models/shop | fovea tokenizer decode models/shop",
    NULL,
};

const cli_command cli_tokenizer_decode = {
    .name = "tokenizer decode",
    .says = "turns token ids back into texts",
    .text = "Each line holds ids separated by spaces, or what `fovea tokenizer encode` prints. Special tokens are left out. A text that holds "
            "line breaks takes several lines; with --json it is {\"text\":…}, on one.",
    .examples = decode_examples,
    .operands = decode_operands, .n_operands = FV_COUNT(decode_operands),
    .args_size = sizeof(struct decode_args),
    .init = decode_init,
    .run = decode_run,
};
