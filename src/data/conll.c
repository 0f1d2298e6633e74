/* CoNLL files: a word and its tag on each line, a blank line between sentences. A sentence makes one
 * row: the words joined by spaces are its text, the tags joined by spaces its label.
 *
 * Columns stand apart by tabs, or else by spaces; the first is the word, the last the tag, and what
 * lies between (parts of speech, chunks) is not read. "-DOCSTART-" lines and, before a sentence,
 * lines that begin with "# " are not read either.
 * The trap: a bad line spoils its whole sentence, so the rest of it must be passed before the row is
 * called bad, or its tail would come out as a sentence of its own. */
#include "data/reader.h"

#include <string.h>

#include "data/tags.h"

enum { TEXT = 0, LABEL = 1 /* the columns that it has */ };

/* One line, cut: 0 columns on a line that ends a sentence. */
typedef struct columns {
    const char *word, *tag; /* the first and the last */
    size_t word_len, tag_len, n;
} columns;

static void trim(const char **begin, const char **end)
{
    while (*begin < *end && **begin == ' ') ++*begin;
    while (*begin < *end && (*end)[-1] == ' ') --*end;
}

static void keep_column(columns *c, const char *begin, const char *end)
{
    trim(&begin, &end);
    if (c->n++ == 0) c->word = begin, c->word_len = (size_t)(end - begin);
    c->tag = begin;
    c->tag_len = (size_t)(end - begin);
}

static columns cut_at_tabs(const char *at, const char *end)
{
    columns c = {0};
    for (const char *tab; (tab = memchr(at, '\t', (size_t)(end - at))); at = tab + 1) keep_column(&c, at, tab);
    keep_column(&c, at, end);
    return c;
}

static columns cut_at_spaces(const char *at, const char *end)
{
    columns c = {0};
    for (const char *stop; at < end; at = stop) {
        while (at < end && *at == ' ') at++;
        stop = at;
        while (stop < end && *stop != ' ') stop++;
        if (stop > at) keep_column(&c, at, stop);
    }
    return c;
}

static columns cut(const fv_lines *l)
{
    const char *end = l->text + l->len;
    while (end > l->text && (end[-1] == '\r' || end[-1] == ' ' || end[-1] == '\t')) end--; /* a tag is never empty, so no tab counts here */
    if (end == l->text) return (columns){0};
    return memchr(l->text, '\t', (size_t)(end - l->text)) ? cut_at_tabs(l->text, end) : cut_at_spaces(l->text, end);
}

static bool begins_with(const fv_lines *l, const char *text)
{
    size_t n = strlen(text);
    return l->len >= n && memcmp(l->text, text, n) == 0;
}

static bool is_comment(const fv_lines *l) { return begins_with(l, "# ") || (l->len == 1 && l->text[0] == '#'); }

/* ---- Lines -------------------------------------------------------------------------------- */

static int bad(fv_reader *r, const char *says, const char *expected, fv_err *err)
{
    fv_shown room;
    fv_err_set(err, FV_E_INPUT, "%s: %s; expected %s", says, fv_show(&room, r->lines.text, r->lines.len), expected);
    return FV_ROW_BAD;
}

static bool needs_tags(const fv_reader *r)
{
    for (int i = 0; i < r->n_wants; i++)
        if (r->wants[i].column == LABEL && !r->wants[i].optional) return true;
    return false;
}

/* All lines have as many columns as the file's first: a word with a space in it must not pass for two columns. */
static int check_columns(fv_reader *r, const columns *c, fv_err *err)
{
    char says[96];
    if (c->word_len == 0) return bad(r, "the line has no word", "a word and its tag", err);
    if (!fv_word_is_one(c->word, c->word_len)) return bad(r, "a word that holds a space", "one word in the first column", err);
    if (c->n == 1 && needs_tags(r)) return bad(r, "one column only", "a word and its tag, apart by a tab or by spaces", err);
    if (!fv_word_is_one(c->tag, c->tag_len)) return bad(r, "a tag that holds a space", "one tag in the last column", err);
    if (r->n_columns == 0) r->n_columns = c->n;
    if (c->n == r->n_columns) return 1;
    snprintf(says, sizeof says, "found %zu column%s where the lines before have %zu", c->n, c->n == 1 ? "" : "s", r->n_columns);
    return bad(r, says, "as many on every line, apart by a tab or by spaces, the first the word, the last its tag", err);
}

static fv_status add_to_list(fv_buf *list, const char *item, size_t len, fv_err *err)
{
    fv_status status = list->len > 0 ? fv_buf_putc(list, ' ', err) : FV_OK;
    return status == FV_OK ? fv_buf_add(list, item, len, err) : status;
}

/* The present line to the sentence: 1, FV_ROW_BAD or a status. */
static int add_word(fv_reader *r, const columns *c, fv_err *err)
{
    int rc = check_columns(r, c, err);
    if (rc != 1) return rc;
    if (r->words.len + c->word_len > FV_LINE_BYTES)
        return bad(r, "the sentence is longer than 64 MB", "a blank line after each sentence", err);
    fv_status status = add_to_list(&r->words, c->word, c->word_len, err);
    if (status == FV_OK && c->n > 1) status = add_to_list(&r->made, c->tag, c->tag_len, err);
    return status == FV_OK ? 1 : status;
}

/* ---- Sentences ---------------------------------------------------------------------------- */

typedef enum kind { WORD, GAP, COMMENT } kind;

static kind kind_of(const fv_reader *r, const columns *c, bool within)
{
    if (c->n == 0 || begins_with(&r->lines, "-DOCSTART-")) return GAP;
    return !within && is_comment(&r->lines) ? COMMENT : WORD;
}

/* Reads on to the sentence's end, its lines no longer of interest. */
static int pass_rest(fv_reader *r, fv_err *err)
{
    int rc;
    while ((rc = fv_lines_next(&r->lines, err)) == 1) {
        columns c = cut(&r->lines);
        if (kind_of(r, &c, true) == GAP) break;
    }
    return rc < 0 ? rc : FV_ROW_BAD;
}

/* A sentence into r->words and r->made; *first is its first line. 1, 0 at the end, FV_ROW_BAD or a status. */
static int read_sentence(fv_reader *r, int64_t *first, fv_err *err)
{
    int rc;
    bool within = false;
    r->words.len = r->made.len = 0;
    while ((rc = fv_lines_next(&r->lines, err)) == 1) {
        columns c = cut(&r->lines);
        kind what = kind_of(r, &c, within);
        if (what == COMMENT || (what == GAP && !within)) continue;
        if (what == GAP) break;
        if (!within) *first = r->lines.line;
        within = true;
        r->at_line = r->lines.line;
        rc = fv_reader_check(r, err);
        if (rc == 1) rc = add_word(r, &c, err);
        if (rc == FV_ROW_BAD) rc = pass_rest(r, err);
        if (rc != 1) return rc;
    }
    return rc < 0 ? rc : within;
}

static void fill_wants(fv_reader *r)
{
    bool tagged = r->n_columns > 1;
    for (int i = 0; i < r->n_wants; i++) {
        fv_want *want = &r->wants[i];
        const fv_buf *list = want->column == TEXT ? &r->words : want->column == LABEL && tagged ? &r->made : NULL;
        want->value = list ? list->data : NULL;
        want->len = list ? list->len : 0;
    }
}

/* ---- The format --------------------------------------------------------------------------- */

static int start(fv_reader *r, fv_err *err)
{
    r->at_line = 1;
    r->n_columns = 0;
    for (int i = 0; i < r->n_wants; i++) {
        fv_want *want = &r->wants[i];
        want->column = strcmp(want->name, "text") == 0 ? TEXT : strcmp(want->name, "label") == 0 ? LABEL : FV_NO_COLUMN;
        if (want->column == FV_NO_COLUMN && !want->optional)
            return fv_reader_no_column(want, "CoNLL files have", "\"text\" (the words), \"label\" (their tags)", err);
    }
    return 1;
}

static int next(fv_reader *r, fv_err *err)
{
    int64_t first = 0;
    int rc = read_sentence(r, &first, err);
    if (rc != 1) return rc;
    r->at_line = first;
    fill_wants(r);
    return 1;
}

static void stop(fv_reader *r)
{
    (void)r;
}

const fv_format fv_format_conll = {.name = "CoNLL", .start = start, .next = next, .stop = stop};
