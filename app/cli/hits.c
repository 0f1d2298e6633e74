/* Hits for people. See hits.h. What is cut away is counted in columns, not bytes: a Chinese character takes two. */
#include <stdlib.h>
#include <string.h>

#include "cli/hits.h"
#include "cli/term.h"

#define BOLD "\033[1m"
#define PLAIN "\033[0m"
#define NAME_COLUMNS 20
#define LEAST_COLUMNS 20 /* of the text, however little room there is */
#define BEFORE 15        /* columns shown before the first word that was met, when the text does not begin with it */

static int char_len(const char *p, const char *end)
{
    int n = fv_utf8_len(p, end);
    return n ? n : 1;
}

/* The byte where what is shown begins: the text's first, unless the first match would not be seen then. */
static size_t first_shown(const cli_hit *hit, const fv_extent *match, size_t n, size_t columns)
{
    if (!n || !columns || cli_text_width(hit->text, match[0].end) < columns) return 0;
    size_t at = match[0].begin, width = 0;
    while (at > 0 && width < BEFORE) {
        size_t before = at - 1;
        while (before > 0 && ((unsigned char)hit->text[before] & 0xC0) == 0x80) before--;
        width += cli_text_width(hit->text + before, at - before);
        at = before;
    }
    return at;
}

/* Bytes from `at` that fit; *all when nothing is left out. */
static size_t fitting(const cli_hit *hit, size_t at, size_t columns, bool *all)
{
    const char *p = hit->text + at, *end = hit->text + hit->len;
    size_t width = 0;
    *all = !columns || cli_text_width(p, (size_t)(end - p)) <= columns;
    if (*all) return hit->len;
    for (int n; p < end; p += n) {
        n = char_len(p, end);
        width += cli_text_width(p, (size_t)n);
        if (width > columns - 1) break;
    }
    return (size_t)(p - hit->text);
}

/* Bytes [from, to) of the text, without what a terminal would take for commands. */
static fv_status put_plain(fv_buf *out, const cli_hit *hit, size_t from, size_t to, fv_err *err) { return from < to ? cli_add_cut(out, hit->text + from, to - from, 0, err) : FV_OK; }

static fv_status put_bold(fv_buf *out, const cli_hit *hit, size_t from, size_t to, fv_err *err)
{
    fv_status status = FV_OK;
    if (from >= to) return FV_OK;
    FV_TRY(fv_buf_puts(out, BOLD, err));
    FV_TRY(put_plain(out, hit, from, to, err));
    FV_TRY(fv_buf_puts(out, PLAIN, err));
done:
    return status;
}

static fv_status put_text(fv_buf *out, const cli_hit *hit, size_t columns, bool colour, fv_err *err)
{
    fv_status status = FV_OK;
    fv_extent *match = NULL;
    size_t n = 0;
    bool all;
    FV_TRY(fv_matched_words(hit->query, hit->query_len, hit->text, hit->len, &match, &n, err));
    size_t at = first_shown(hit, match, n, columns), end;
    if (at) FV_TRY(fv_buf_puts(out, "…", err));
    end = fitting(hit, at, columns && at ? columns - 1 : columns, &all);
    for (size_t i = 0; i < n && colour && match[i].begin < end; i++) {
        if (match[i].begin < at) continue;
        size_t stop = match[i].end < end ? match[i].end : end;
        FV_TRY(put_plain(out, hit, at, match[i].begin, err));
        FV_TRY(put_bold(out, hit, match[i].begin, stop, err));
        at = stop;
    }
    FV_TRY(put_plain(out, hit, at, end, err));
    if (!all) FV_TRY(fv_buf_puts(out, "…", err));
done:
    free(match);
    return status;
}

/* A text of several lines in one: what is no more than a blank is shown as one. */
static char *in_one_line(const char *text, size_t len, fv_err *err)
{
    char *copy = fv_strndup(text, len, err);
    for (size_t i = 0; copy && i < len; i++)
        if (copy[i] == '\n' || copy[i] == '\r' || copy[i] == '\t') copy[i] = ' ';
    return copy;
}

fv_status cli_put_hit(fv_buf *out, const cli_hit *given, int width, bool colour, fv_err *err)
{
    fv_status status = FV_OK;
    size_t from = out->len;
    char *line = in_one_line(given->text, given->len, err);
    cli_hit shown = *given, *hit = &shown;
    if (!line) return FV_E_MEMORY;
    shown.text = line;
    FV_TRY(fv_buf_printf(out, err, "%3d  %7.4f  ", hit->place, hit->score));
    FV_TRY(cli_add_cut(out, hit->name, strlen(hit->name), NAME_COLUMNS, err));
    FV_TRY(fv_buf_puts(out, "  ", err));
    size_t used = cli_text_width(out->data + from, out->len - from), columns = width ? (size_t)width : 0;
    if (columns) columns = columns > used + LEAST_COLUMNS ? columns - used - 1 : LEAST_COLUMNS;
    FV_TRY(put_text(out, hit, columns, colour, err));
    FV_TRY(fv_buf_putc(out, '\n', err));
done:
    fv_free(line);
    return status;
}
