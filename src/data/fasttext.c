/* fastText lines: "__label__card __label__urgent My card was stolen". Several labels are joined by
 * commas. Lines without a label are texts when none is needed, so a plain file of texts reads too. */
#include "data/reader.h"

#include <string.h>

static const char prefix[] = "__label__";
enum { PREFIX = sizeof prefix - 1, TEXT = 0, LABEL = 1 /* the columns that it has */ };

static const char *pass_spaces(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t')) at++;
    return at;
}

static const char *pass_word(const char *at, const char *end)
{
    while (at < end && *at != ' ' && *at != '\t') at++;
    return at;
}

static int bad(fv_reader *r, const char *says, fv_err *err)
{
    fv_shown room;
    fv_err_set(err, FV_E_INPUT, "%s: %s; expected __label__NAME and then the text", says,
               fv_show(&room, r->lines.text, r->lines.len));
    return FV_ROW_BAD;
}

/* Joins the labels at the line's start in r->made; *text is where they end. 1, FV_ROW_BAD or a status. */
static int read_labels(fv_reader *r, const char **text, int *n, fv_err *err)
{
    const char *at = r->lines.text, *end = at + r->lines.len;
    bool comma = false;
    r->made.len = 0;
    for (*n = 0; (size_t)(end - at) >= PREFIX && memcmp(at, prefix, PREFIX) == 0; ++*n) {
        const char *name = at + PREFIX, *stop = pass_word(name, end);
        if (stop == name) return bad(r, "a label without a name", err);
        comma |= memchr(name, ',', (size_t)(stop - name)) != NULL;
        fv_status status = *n > 0 ? fv_buf_putc(&r->made, ',', err) : FV_OK;
        if (status == FV_OK) status = fv_buf_add(&r->made, name, (size_t)(stop - name), err);
        if (status != FV_OK) return status;
        at = pass_spaces(stop, end);
    }
    if (comma && *n > 1) return bad(r, "a comma within one of several labels, where it separates labels", err);
    *text = at;
    return 1;
}

static int start(fv_reader *r, fv_err *err)
{
    r->at_line = 1;
    for (int i = 0; i < r->n_wants; i++) {
        fv_want *want = &r->wants[i];
        want->column = strcmp(want->name, "text") == 0 ? TEXT : strcmp(want->name, "label") == 0 ? LABEL : FV_NO_COLUMN;
        if (want->column == FV_NO_COLUMN && !want->optional)
            return fv_reader_no_column(want, "fastText lines have", "\"text\", \"label\"", err);
    }
    return 1;
}

static int next(fv_reader *r, fv_err *err)
{
    int rc, n_labels;
    const char *text = NULL;
    while ((rc = fv_lines_next(&r->lines, err)) == 1 && r->lines.len == 0) continue;
    if (rc != 1) return rc;
    r->at_line = r->lines.line;
    if ((rc = fv_reader_check(r, err)) != 1 || (rc = read_labels(r, &text, &n_labels, err)) != 1) return rc;
    r->lines.text[r->lines.len] = '\0';
    for (int i = 0; i < r->n_wants; i++) {
        fv_want *want = &r->wants[i];
        bool label = want->column == LABEL;
        if (label && n_labels == 0 && !want->optional) return bad(r, "no label", err);
        want->value = label ? (n_labels > 0 ? r->made.data : NULL) : want->column == TEXT ? text : NULL;
        want->len = label ? r->made.len : r->lines.len - (size_t)(text - r->lines.text);
    }
    return 1;
}

static void stop(fv_reader *r)
{
    (void)r;
}

const fv_format fv_format_fasttext = {.name = "fastText lines", .start = start, .next = next, .stop = stop};
