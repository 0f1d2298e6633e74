/* Plain text as people write it: blank lines part texts, and a text keeps its own line breaks. It has no columns: whatever
 * column is asked for as the text, a paragraph is it. Long ones are parted at a line's end, so that a file without
 * any blank line gives more texts than one. */
#include "data/reader.h"

#include <string.h>

enum { LONG = 16 << 10 }; /* bytes of a text after which it ends with its line */

static bool is_blank(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!strchr(" \t\r\n", text[i]) || text[i] == '\0') return false;
    return true;
}

static int start(fv_reader *r, fv_err *err)
{
    r->at_line = 1;
    r->n_text = 1; /* "title,body" are columns of tables: here they are one */
    for (int i = 0; i < r->n_wants; i++)
        if ((i == r->text2 || i == r->label) && !r->wants[i].optional) return fv_reader_no_column(&r->wants[i], "plain text has", "\"text\"", err);
    return 1;
}

/* Adds lines to the record until one is blank; it then belongs to no text. */
static int add_lines(fv_lines *l, fv_err *err)
{
    int rc = 1;
    while (l->len < LONG) {
        size_t before = l->len;
        rc = fv_lines_more(l, err);
        if (rc != 1) break;
        if (is_blank(l->text + before, l->len - before)) return l->len = before, 1;
    }
    return rc == 0 ? 1 : rc;
}

/* Line breaks of other systems become ours. */
static void drop_returns(fv_lines *l)
{
    size_t kept = 0;
    for (size_t i = 0; i < l->len; i++)
        if (l->text[i] != '\r' || i + 1 == l->len || l->text[i + 1] != '\n') l->text[kept++] = l->text[i];
    l->len = kept;
}

static int next(fv_reader *r, fv_err *err)
{
    fv_lines *l = &r->lines;
    int rc;
    while ((rc = fv_lines_next(l, err)) == 1 && is_blank(l->text, l->len)) continue;
    if (rc != 1 || (rc = add_lines(l, err)) != 1) return rc;
    r->at_line = l->line;
    if ((rc = fv_reader_check(r, err)) != 1) return rc;
    drop_returns(l);
    l->text[l->len] = '\0';
    for (int i = 0; i < r->n_wants; i++) r->wants[i].value = NULL, r->wants[i].len = 0;
    r->wants[0].value = l->text;
    r->wants[0].len = l->len;
    return 1;
}

static void stop(fv_reader *r)
{
    (void)r;
}

const fv_format fv_format_prose = {.name = "plain text", .start = start, .next = next, .stop = stop};
