/* Tables whose columns line up, in any script. See term.h. */
#include <stdarg.h>
#include <string.h>

#include "cli/term.h"

#define GAP 2         /* spaces between columns */
#define LEAST_WIDTH 6 /* a column is not cut below this */

void cli_table_init(cli_table *t, const char *const *heads, size_t n)
{
    FV_ASSERT(n <= CLI_COLUMNS);
    *t = (cli_table){.n_columns = n};
    for (size_t i = 0; i < n; i++) {
        bool marked = heads[i][0] == '>' || heads[i][0] == '~';
        t->heads[i] = heads[i] + marked;
        t->align[i] = marked ? heads[i][0] : '<';
    }
}

/* A cell's text with control characters made harmless, kept in the table's arena. */
static fv_status keep(cli_table *t, const char *text, size_t len)
{
    fv_buf clean = {0};
    fv_status status = FV_OK;
    FV_TRY(fv_grow(&t->cells, &t->capacity, t->n_cells + 1, sizeof *t->cells, NULL));
    FV_TRY(cli_add_cut(&clean, text, len, 0, NULL));
    char *cell = fv_arena_strndup(&t->arena, clean.len ? clean.data : "", clean.len, NULL);
    if (!cell) status = FV_E_MEMORY;
    else t->cells[t->n_cells++] = cell;
done:
    fv_buf_release(&clean);
    return status;
}

void cli_table_add(cli_table *t, const char *format, ...)
{
    char text[4096];
    va_list list;
    if (t->status) return;
    va_start(list, format);
    int len = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (len >= (int)sizeof text) len = sizeof text - 1;
    t->status = keep(t, text, len < 0 ? 0 : (size_t)len);
}

static size_t width_of(const char *text) { return cli_text_width(text, strlen(text)); }

static void measure_columns(const cli_table *t, size_t widths[CLI_COLUMNS])
{
    for (size_t c = 0; c < t->n_columns; c++) widths[c] = width_of(t->heads[c]);
    for (size_t i = 0; i < t->n_cells; i++) {
        size_t w = width_of(t->cells[i]), *column = &widths[i % t->n_columns];
        if (w > *column) *column = w;
    }
}

/* Takes columns away from the widest "~" column until the row fits. */
static void shrink(const cli_table *t, size_t widths[CLI_COLUMNS], size_t room)
{
    for (;;) {
        size_t total = GAP * (t->n_columns - 1), widest = t->n_columns;
        for (size_t c = 0; c < t->n_columns; c++) {
            total += widths[c];
            if (t->align[c] == '~' && (widest == t->n_columns || widths[c] > widths[widest])) widest = c;
        }
        if (total <= room || widest == t->n_columns || widths[widest] <= LEAST_WIDTH) return;
        widths[widest]--;
    }
}

static fv_status add_spaces(fv_buf *line, size_t n, fv_err *err)
{
    for (size_t i = 0; i < n; i++) {
        fv_status status = fv_buf_putc(line, ' ', err);
        if (status) return status;
    }
    return FV_OK;
}

/* One row, without spaces behind it. */
static fv_status print_row(const cli_table *t, char *const *cells, const size_t *widths, bool bold, fv_buf *line, fv_err *err)
{
    fv_status status = FV_OK;
    line->len = 0;
    for (size_t c = 0; c < t->n_columns; c++) {
        size_t w = width_of(cells[c]), pad = w < widths[c] ? widths[c] - w : 0;
        if (c) FV_TRY(add_spaces(line, GAP, err));
        if (t->align[c] == '>') FV_TRY(add_spaces(line, pad, err));
        FV_TRY(cli_add_cut(line, cells[c], strlen(cells[c]), widths[c], err));
        if (t->align[c] != '>') FV_TRY(add_spaces(line, pad, err));
    }
    while (line->len && line->data[line->len - 1] == ' ') line->data[--line->len] = 0;
    printf(bold ? "\033[1m%s\033[0m\n" : "%s\n", line->len ? line->data : "");
done:
    return status;
}

fv_status cli_table_print(cli_table *t, fv_err *err)
{
    size_t widths[CLI_COLUMNS], room = (size_t)cli_width(stdout);
    fv_buf line = {0};
    fv_status status = t->status ? FV_FAIL(err, FV_E_MEMORY, "out of memory for a table") : FV_OK;
    if (status) goto done;
    measure_columns(t, widths);
    if (room) shrink(t, widths, room);
    FV_TRY(print_row(t, (char *const *)t->heads, widths, cli_colour(stdout), &line, err));
    for (size_t i = 0; i + t->n_columns <= t->n_cells; i += t->n_columns)
        FV_TRY(print_row(t, t->cells + i, widths, false, &line, err));
done:
    fv_buf_release(&line);
    fv_free(t->cells);
    fv_arena_release(&t->arena);
    *t = (cli_table){0};
    return status;
}
