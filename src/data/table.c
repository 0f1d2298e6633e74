/* TSV (a header, one tab between fields, no quoting) and CSV (RFC 4180, also with plain line breaks).
 *
 * The trap: whether an empty line is the file's ragged end or a row is only known when the next line
 * is seen, so empty lines are counted first and given later. A quote that never closes would swallow
 * the rest of the file; its record is given back but for the first line, so that one bad row stays one. */
#include "data/reader.h"

#include <string.h>

enum { MAX_COLUMNS = 16384 };

/* ---- Cutting a record into fields ---------------------------------------------------------- */

/* Keeps the first `capacity` fields and counts all. */
typedef struct cutter {
    fv_span *spans;
    size_t capacity, count;
    size_t at;          /* CSV: how far the record is cut */
    size_t begin;       /* CSV: of the field being cut */
    bool quoted;        /* CSV: `at` is within quotes */
    int64_t quote_line; /* CSV: where these were opened */
} cutter;

static void keep(cutter *c, size_t begin, size_t end, bool quoted)
{
    if (c->count < c->capacity) c->spans[c->count] = (fv_span){begin, end, quoted};
    c->count++;
}

/* Keeps the field from `at` up to the next separator; false if it was the record's last. */
static bool cut_plain(cutter *c, const char *text, size_t len, char separator)
{
    const char *stop = len > c->at ? memchr(text + c->at, separator, len - c->at) : NULL;
    size_t end = stop ? (size_t)(stop - text) : len;
    keep(c, c->at, end, false);
    c->at = end + 1;
    return stop != NULL;
}

/* To the end of a quoted field: false if the text ends before the quote does. "" stands for a quote. */
static bool cut_quoted(cutter *c, const char *text, size_t len)
{
    const char *quote;
    while ((quote = len > c->at ? memchr(text + c->at, '"', len - c->at) : NULL)) {
        c->at = (size_t)(quote - text) + 1;
        if (c->at == len || text[c->at] != '"') {
            keep(c, c->begin, c->at - 1, true);
            c->quoted = false;
            return true;
        }
        c->at++;
    }
    c->at = len;
    return false;
}

typedef enum cut { CUT_WHOLE, CUT_OPEN, CUT_JUNK } cut;

/* Goes on where the last call found the record not whole yet (CUT_OPEN). */
static cut cut_csv(cutter *c, const char *text, size_t len, int64_t line)
{
    for (;;) {
        if (!c->quoted && (c->at >= len || text[c->at] != '"')) {
            if (!cut_plain(c, text, len, ',')) return CUT_WHOLE;
            continue;
        }
        if (!c->quoted) {
            c->quoted = true;
            c->quote_line = line;
            c->begin = ++c->at;
        }
        if (!cut_quoted(c, text, len)) return CUT_OPEN;
        if (c->at == len) return CUT_WHOLE;
        if (text[c->at] != ',') return CUT_JUNK;
        c->at++;
    }
}

/* ---- Records ------------------------------------------------------------------------------ */

static int bad_quotes(fv_reader *r, const cutter *c, cut how, fv_err *err)
{
    fv_shown room;
    const fv_lines *l = &r->lines;
    r->at_line = c->quote_line;
    if (how == CUT_JUNK) {
        fv_err_set(err, FV_E_INPUT, "field %zu is quoted, and after its closing quote in line %lld comes %s; "
                   "expected a comma (a quote within quotes is written \"\")", c->count, (long long)l->last, fv_show(&room, l->text + c->at, l->len - c->at));
    } else {
        fv_err_set(err, FV_E_INPUT, "the quote that opens field %zu never closes: %s; expected a closing quote (one within the text is written \"\")",
                   c->count + 1, fv_show(&room, l->text + c->begin, l->len - c->begin));
    }
    return FV_ROW_BAD;
}

/* Completes the record that starts with the present line: 1, FV_ROW_BAD or a status. */
static int read_csv(fv_reader *r, cutter *c, fv_err *err)
{
    fv_lines *l = &r->lines;
    cut how;
    int more = 1;
    while ((how = cut_csv(c, l->text, l->len, l->last)) == CUT_OPEN && (more = fv_lines_more(l, err)) == 1) continue;
    if (more < 0) return more;
    if (how == CUT_WHOLE) return 1;
    int rc = bad_quotes(r, c, how, err);
    fv_lines_keep_first(l);
    return rc;
}

static int read_tsv(fv_reader *r, cutter *c, fv_err *err)
{
    (void)err;
    while (cut_plain(c, r->lines.text, r->lines.len, '\t')) continue;
    return 1;
}

static int read_record(fv_reader *r, cutter *c, fv_err *err)
{
    int rc = r->format == &fv_format_csv ? read_csv(r, c, err) : read_tsv(r, c, err);
    return rc == 1 ? fv_reader_check(r, err) : rc;
}

/* Turns "" into " in place. Two wants may ask for one column: the second finds it done. */
static void unquote(const fv_lines *l, fv_span *span)
{
    char *text = l->text + span->begin, *end = l->text + span->end;
    char *to = span->quoted ? memchr(text, '"', span->end - span->begin) : NULL;
    span->quoted = false;
    if (!to) return;
    for (const char *from = to; from < end; from++) {
        if (*from == '"') from++;
        *to++ = *from;
    }
    span->end = (size_t)(to - l->text);
}

/* ---- The header --------------------------------------------------------------------------- */

static int no_column(fv_reader *r, const fv_want *want, fv_err *err)
{
    fv_buf names = {0};
    fv_status status = FV_OK;
    for (size_t i = 0; i < r->n_columns && status == FV_OK; i++)
        status = fv_reader_list(&names, r->lines.text + r->spans[i].begin, r->spans[i].end - r->spans[i].begin, err);
    int rc = status == FV_OK ? fv_reader_no_column(want, "the header has", names.data, err) : status;
    fv_buf_release(&names);
    return rc;
}

static int find_column(fv_reader *r, fv_want *want, fv_err *err)
{
    fv_shown room;
    size_t name_len = strlen(want->name);
    want->column = FV_NO_COLUMN;
    for (size_t i = 0; i < r->n_columns; i++) {
        const fv_span *span = &r->spans[i];
        if (span->end - span->begin != name_len || memcmp(r->lines.text + span->begin, want->name, name_len) != 0) continue;
        if (want->column != FV_NO_COLUMN) {
            fv_err_set(err, FV_E_INPUT, "columns %zu and %zu are both called %s; rename one", want->column + 1, i + 1,
                       fv_show(&room, want->name, name_len));
            return FV_ROW_BAD;
        }
        want->column = i;
    }
    return want->column == FV_NO_COLUMN && !want->optional ? no_column(r, want, err) : 1;
}

/* Cut twice: to count the columns, then to keep them. */
static int read_header(fv_reader *r, fv_err *err)
{
    cutter c = {0};
    int rc = read_record(r, &c, err);
    if (rc != 1) return rc;
    if (c.count > MAX_COLUMNS) {
        fv_err_set(err, FV_E_INPUT, "the header has %zu columns; at most %d are read", c.count, MAX_COLUMNS);
        return FV_ROW_BAD;
    }
    r->spans = fv_alloc(c.count * sizeof *r->spans, err);
    if (!r->spans) return FV_E_MEMORY;
    r->n_columns = c.count;
    c = (cutter){.spans = r->spans, .capacity = c.count};
    rc = read_record(r, &c, err);
    for (size_t i = 0; i < r->n_columns; i++) unquote(&r->lines, &r->spans[i]);
    return rc;
}

static int start(fv_reader *r, fv_err *err)
{
    int rc = fv_lines_next(&r->lines, err);
    if (rc == 0) return 1; /* an empty file has no rows, and that is all */
    if (rc < 0) return rc;
    r->at_line = r->lines.line;
    rc = read_header(r, err);
    for (int i = 0; i < r->n_wants && rc == 1; i++) rc = find_column(r, &r->wants[i], err);
    return rc;
}

/* ---- Rows --------------------------------------------------------------------------------- */

static int wrong_count(fv_reader *r, const cutter *c, fv_err *err)
{
    fv_shown room;
    bool csv = r->format == &fv_format_csv;
    const char *hint = csv ? "a field that holds a comma must be quoted" : "a field cannot hold a tab";
    const fv_span *last = &r->spans[c->count < r->n_columns ? c->count - 1 : r->n_columns - 1];
    if (c->count < r->n_columns) hint = csv ? "expected a comma between fields" : "expected a tab between fields";
    fv_err_set(err, FV_E_INPUT, "found %zu field%s, expected %zu as in the header; field %zu is %s; %s", c->count,
               c->count == 1 ? "" : "s", r->n_columns, (size_t)(last - r->spans) + 1,
               fv_show(&room, r->lines.text + last->begin, last->end - last->begin), hint);
    return FV_ROW_BAD;
}

/* Spoils the record. */
static void fill_wants(fv_reader *r)
{
    for (int i = 0; i < r->n_wants; i++) {
        fv_want *want = &r->wants[i];
        want->value = NULL;
        if (want->column == FV_NO_COLUMN) continue;
        fv_span *span = &r->spans[want->column];
        unquote(&r->lines, span);
        r->lines.text[span->end] = '\0';
        want->value = r->lines.text + span->begin;
        want->len = span->end - span->begin;
    }
}

/* An empty line among the others: the empty text of a file of one column, else a row without fields. */
static int blank_row(fv_reader *r, fv_err *err)
{
    r->at_line = r->blank_line++;
    r->blanks--;
    if (r->n_columns != 1) {
        fv_err_set(err, FV_E_INPUT, "the line is empty, expected %zu fields", r->n_columns);
        return FV_ROW_BAD;
    }
    for (int i = 0; i < r->n_wants; i++) {
        r->wants[i].value = r->wants[i].column == 0 ? "" : NULL;
        r->wants[i].len = 0;
    }
    return 1;
}

/* Passes over empty lines, counting them; what follows them is read again. 1, 0 or a status. */
static int pass_blanks(fv_reader *r, fv_err *err)
{
    int rc;
    while ((rc = fv_lines_next(&r->lines, err)) == 1 && r->lines.len == 0)
        if (r->blanks++ == 0) r->blank_line = r->lines.line;
    if (rc == 1 && r->blanks > 0) fv_lines_unread(&r->lines);
    if (rc != 1) r->blanks = 0;
    return rc;
}

static int next(fv_reader *r, fv_err *err)
{
    if (r->n_columns == 0) return 0;
    int rc = r->blanks > 0 ? 1 : pass_blanks(r, err);
    if (rc != 1) return rc;
    if (r->blanks > 0) return blank_row(r, err);
    r->at_line = r->lines.line;
    cutter c = {.spans = r->spans, .capacity = r->n_columns};
    rc = read_record(r, &c, err);
    if (rc != 1) return rc;
    if (c.count != r->n_columns) return wrong_count(r, &c, err);
    fill_wants(r);
    return 1;
}

static void stop(fv_reader *r)
{
    fv_free(r->spans);
}

const fv_format fv_format_tsv = {.name = "TSV", .start = start, .next = next, .stop = stop};
const fv_format fv_format_csv = {.name = "CSV", .start = start, .next = next, .stop = stop};
