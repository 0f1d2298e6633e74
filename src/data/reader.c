/* fv_reader_*: rows of labelled text from a file of any of our kinds.
 *
 * Here the kind is told, the wanted columns are named, texts are joined, bad rows are counted or
 * reported. Bytes and lines are lines.c's, each kind of file has a file of its own.
 * The trap: a bad row (FV_ROW_BAD) may be skipped and reading goes on; anything else, a failing disk
 * or a damaged gzip, may not. Formats must keep the two apart. */
#include "data/reader.h"

#include <string.h>
#include <strings.h>

void fv_columns_init(fv_columns *columns)
{
    *columns = (fv_columns){.size = sizeof *columns, .text = "text", .label = "label"};
}

/* ---- What formats share --------------------------------------------------------------------- */

static uint64_t load8(const char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* Place of the first NUL or byte that is not UTF-8, or `len`. */
static size_t find_bad_byte(const char *text, size_t len)
{
    const char *p = text, *end = text + len;
    while (p < end) {
        if (end - p >= 8) {
            uint64_t w = load8(p);
            /* all ASCII and no zero byte: the subtraction borrows from a zero byte only (or from its neighbour) */
            if (((w | (w - 0x0101010101010101u)) & 0x8080808080808080u) == 0) { p += 8; continue; }
        }
        int n = *p == '\0' ? 0 : fv_utf8_len(p, end);
        if (n == 0) break;
        p += n;
    }
    return (size_t)(p - text);
}

int fv_reader_check(fv_reader *r, fv_err *err)
{
    const fv_lines *l = &r->lines;
    fv_shown room;
    size_t at = find_bad_byte(l->text, l->len), line_start = 0;
    if (at == l->len) return 1;
    r->at_line = l->line;
    for (size_t i = 0; i < at; i++) {
        if (l->text[i] != '\n') continue;
        line_start = i + 1;
        r->at_line++;
    }
    size_t from = at - line_start > 20 ? at - 20 : line_start, rest = l->len - from;
    const char *says = l->text[at] == '\0' ? "is a NUL byte" : "is not UTF-8";
    fv_err_set(err, FV_E_INPUT, "byte %zu (0x%02x) %s: %s; expected UTF-8 text", at - line_start + 1,
               (unsigned char)l->text[at], says, fv_show(&room, l->text + from, rest < 40 ? rest : 40));
    return FV_ROW_BAD;
}

fv_status fv_reader_list(fv_buf *list, const char *name, size_t len, fv_err *err)
{
    enum { ENOUGH = 400 }; /* bytes that a message has room for */
    fv_shown room;
    if (list->len > ENOUGH) return FV_OK;
    const char *comma = list->len > 0 ? ", " : "";
    fv_status status = fv_buf_printf(list, err, "%s%s", comma, fv_show(&room, name, len));
    if (status == FV_OK && list->len > ENOUGH) status = fv_buf_puts(list, ", …", err);
    return status;
}

int fv_reader_no_column(const fv_want *want, const char *kind, const char *names, fv_err *err)
{
    fv_shown room;
    fv_err_set(err, FV_E_INPUT, "no column %s; %s %s; name one with %s", fv_show(&room, want->name, strlen(want->name)), kind,
               names ? names : "none", want->option);
    return FV_ROW_BAD;
}

/* ---- Which kind ----------------------------------------------------------------------------- */

static const struct { const char *ending; const fv_format *format; } by_name[] = {
    {".tsv", &fv_format_tsv},     {".csv", &fv_format_csv},      {".jsonl", &fv_format_jsonl},
    {".ndjson", &fv_format_jsonl}, {".json", &fv_format_jsonl},  {".txt", &fv_format_fasttext},
    {".ft", &fv_format_fasttext}, {".conll", &fv_format_conll},  {".iob", &fv_format_conll},
    {".bio", &fv_format_conll},   {".md", &fv_format_prose},
};

static const fv_format *format_by_name(const char *path)
{
    size_t len = strlen(path);
    if (len >= 3 && strcasecmp(path + len - 3, ".gz") == 0) len -= 3;
    for (size_t i = 0; i < FV_COUNT(by_name); i++) {
        size_t n = strlen(by_name[i].ending);
        if (len > n && strncasecmp(path + len - n, by_name[i].ending, n) == 0) return by_name[i].format;
    }
    return NULL;
}

/* A header of one column is read as TSV: texts below it may then hold commas and quotes. */
static const fv_format *format_by_line(const char *line, size_t len)
{
    static const char label[] = "__label__", document[] = "-DOCSTART-";
    if (len > 0 && line[0] == '{') return &fv_format_jsonl;
    if (len >= sizeof label - 1 && memcmp(line, label, sizeof label - 1) == 0) return &fv_format_fasttext;
    if (len >= sizeof document - 1 && memcmp(line, document, sizeof document - 1) == 0) return &fv_format_conll;
    if (memchr(line, '\t', len)) return &fv_format_tsv;
    return len > 0 && (line[0] == '"' || memchr(line, ',', len)) ? &fv_format_csv : &fv_format_tsv;
}

static fv_status choose_format(fv_reader *r, bool prose, fv_err *err)
{
    r->format = format_by_name(r->path);
    if (prose && r->format == &fv_format_fasttext) r->format = &fv_format_prose;
    if (r->format) return FV_OK;
    int rc = fv_lines_next(&r->lines, err);
    if (rc < 0) return (fv_status)rc;
    r->format = rc == 0 ? &fv_format_tsv : format_by_line(r->lines.text, r->lines.len);
    if (rc == 1) fv_lines_unread(&r->lines);
    return FV_OK;
}

/* ---- Opening -------------------------------------------------------------------------------- */

static fv_status add_want(fv_reader *r, const char *name, const char *option, fv_err *err)
{
    if (*name == '\0') return FV_FAIL(err, FV_E_ARGUMENT, "%s names an empty column; expected a column's name", option);
    r->wants[r->n_wants++] = (fv_want){.name = name, .option = option, .column = FV_NO_COLUMN};
    return FV_OK;
}

/* Cuts "a,b" at its commas, in place. */
static fv_status add_texts(fv_reader *r, char *names, fv_err *err)
{
    for (char *name = names, *comma; name; name = comma) {
        comma = strchr(name, ',');
        if (comma) *comma++ = '\0';
        if (r->n_text == FV_TEXT_COLUMNS)
            return FV_FAIL(err, FV_E_ARGUMENT, "--text names more than %d columns", FV_TEXT_COLUMNS);
        fv_status status = add_want(r, name, "--text", err);
        if (status != FV_OK) return status;
        r->n_text++;
    }
    return FV_OK;
}

/* A copy of the name, behind those that are there. */
static char *copy_name(char **at, const char *name)
{
    size_t bytes = strlen(name) + 1;
    char *copy = memcpy(*at, name, bytes);
    *at += bytes;
    return copy;
}

static fv_status copy_wants(fv_reader *r, const fv_columns *c, fv_err *err)
{
    const struct { const char *name, *option; int *place; bool is_label, optional; } others[] = {
        {c->text2, "--text2", &r->text2, false, c->text2_optional}, {c->negative, "--negative", &r->negative, false, c->negative_optional},
        {c->label, "--label", &r->label, true, c->label_optional}, {c->grade, "--grade", &r->grade, true, c->grade_optional},
    };
    size_t bytes = strlen(c->text) + 1;
    for (size_t i = 0; i < FV_COUNT(others); i++) bytes += others[i].name ? strlen(others[i].name) + 1 : 0;
    char *at = r->names = fv_alloc(bytes, err);
    if (!r->names) return FV_E_MEMORY;
    fv_status status = add_texts(r, copy_name(&at, c->text), err);
    for (size_t i = 0; i < FV_COUNT(others) && status == FV_OK; i++) {
        *others[i].place = others[i].name ? r->n_wants : -1;
        if (!others[i].name) continue;
        status = add_want(r, copy_name(&at, others[i].name), others[i].option, err);
        r->wants[*others[i].place].is_label = others[i].is_label;
        r->wants[*others[i].place].optional = others[i].optional;
    }
    return status;
}

/* What a format says about a row, made whole: where, and what can be done. */
static fv_status give_bad(const fv_reader *r, const fv_err *bad, const char *advice, fv_err *err)
{
    return FV_FAIL(err, FV_E_INPUT, "%s:%lld: %s%s", r->lines.name, (long long)r->at_line, bad->text, advice);
}

static fv_status start_reading(fv_reader *r, const char *path, bool prose, fv_err *err)
{
    fv_err bad = {0};
    fv_status status = FV_OK;
    r->path = fv_strdup(path, err);
    if (!r->path) return FV_E_MEMORY;
    FV_TRY(fv_lines_open(&r->lines, r->path, err));
    FV_TRY(choose_format(r, prose, err));
    int rc = r->format->start(r, &bad);
    if (rc == FV_ROW_BAD) status = give_bad(r, &bad, "", err);
    else if (rc < 0) status = FV_FAIL(err, bad.status, "%s", bad.text);
done:
    return status;
}

static fv_reader *open_reader(const char *path, const fv_columns *columns, bool prose, fv_err *err)
{
    fv_columns defaults;
    fv_columns_init(&defaults);
    if (!columns) columns = &defaults;
    if (columns->size != sizeof *columns || !columns->text) {
        FV_FAIL(err, FV_E_ARGUMENT, "the columns were not set up by fv_columns_init, or name no text");
        return NULL;
    }
    fv_reader *r = fv_alloc_zero(1, sizeof *r, err);
    if (!r) return NULL;
    r->skip_bad = columns->skip_bad;
    r->tell_bad = columns->tell_bad;
    if (copy_wants(r, columns, err) == FV_OK && start_reading(r, path, prose, err) == FV_OK) return r;
    fv_reader_close(r);
    return NULL;
}

fv_reader *fv_reader_open(const char *path, const fv_columns *columns, fv_err *err) { return open_reader(path, columns, false, err); }

fv_reader *fv_reader_open_prose(const char *path, const fv_columns *columns, fv_err *err) { return open_reader(path, columns, true, err); }

/* ---- Rows ----------------------------------------------------------------------------------- */

static fv_status join_texts(fv_reader *r, fv_err *err)
{
    r->text.len = 0;
    for (int i = 0; i < r->n_text; i++) {
        fv_status status = i > 0 ? fv_buf_putc(&r->text, '\n', err) : FV_OK;
        if (status == FV_OK) status = fv_buf_add(&r->text, r->wants[i].value, r->wants[i].len, err);
        if (status != FV_OK) return status;
    }
    return FV_OK;
}

static void take(const fv_reader *r, int place, const char **value, size_t *len)
{
    if (place < 0 || !r->wants[place].value) return;
    *value = r->wants[place].value;
    *len = r->wants[place].len;
}

static int give_row(fv_reader *r, fv_row *row, fv_err *err)
{
    *row = (fv_row){.text = r->wants[0].value, .text_len = r->wants[0].len, .line = r->at_line};
    if (r->n_text > 1) {
        fv_status status = join_texts(r, err);
        if (status != FV_OK) return status;
        row->text = r->text.data;
        row->text_len = r->text.len;
    }
    take(r, r->text2, &row->text2, &row->text2_len);
    take(r, r->negative, &row->negative, &row->negative_len);
    take(r, r->label, &row->label, &row->label_len);
    take(r, r->grade, &row->grade, &row->grade_len);
    return 1;
}

static void skip(fv_reader *r, const fv_err *bad)
{
    if (r->skipped++ == 0) give_bad(r, bad, "", &r->first_bad);
}

int fv_reader_next(fv_reader *r, fv_row *row, fv_err *err)
{
    for (;;) {
        fv_err bad;
        int rc = r->format->next(r, &bad);
        if (rc == 1) return give_row(r, row, err);
        if (rc == 0) return 0;
        if (rc < 0) return FV_FAIL(err, bad.status, "%s", bad.text);
        if (!r->skip_bad) return give_bad(r, &bad, "; or pass --skip-bad to leave such rows out", err);
        skip(r, &bad);
        if (!r->tell_bad) continue;
        *row = (fv_row){.line = r->at_line};
        give_bad(r, &bad, "", err);
        return 2;
    }
}

int64_t fv_reader_skipped(const fv_reader *r, const char **first)
{
    if (first) *first = r->first_bad.text;
    return r->skipped;
}

void fv_reader_close(fv_reader *r)
{
    if (!r) return;
    if (r->format) r->format->stop(r);
    fv_lines_close(&r->lines);
    fv_buf_release(&r->text);
    fv_buf_release(&r->words);
    fv_buf_release(&r->made);
    fv_free(r->path);
    fv_free(r->names);
    fv_free(r);
}
