/* Terminals: their width, colour, the width of text in them; tables; the live line of a long job.
 *
 * Widths are columns: a Chinese character takes two. A pipe has no width (0), and nothing is cut
 * there. Text from files may hold control characters; nothing here lets one reach a terminal. */
#ifndef CLI_TERM_H
#define CLI_TERM_H

#include <jansson.h>
#include <stdio.h>

#include "base/str.h"

/* ---- term.c ---- */

int cli_width(FILE *to);     /* columns (COLUMNS first), or 0 if it is no terminal */
bool cli_live(FILE *to);     /* a terminal that can redraw a line */
bool cli_colour(FILE *to);   /* live, and NO_COLOR is not set */
size_t cli_text_width(const char *text, size_t len);
/* Adds `text` with control characters and broken UTF-8 as "�"; over `width` columns (0: no bound) it
 * is cut and ends in "…". */
fv_status cli_add_cut(fv_buf *out, const char *text, size_t len, size_t width, fv_err *err);
/* Words of `text` wrapped to `width`, every line after the first indented; ends the last line. */
void cli_wrap(FILE *to, const char *text, size_t column, size_t indent, size_t width);
/* "1m 20s", "3.2s". */
typedef struct cli_span { char text[32]; } cli_span;
const char *cli_show_span(cli_span *room, double seconds);
/* "1,234,567". */
typedef struct cli_count { char text[32]; } cli_count;
const char *cli_show_count(cli_count *room, int64_t n);

/* ---- out.c ---- */

/* Prints the object as one line of stdout and drops the caller's reference. NULL: out of memory. */
fv_status cli_json_line(json_t *object, fv_err *err);
/* Flushes stdout. What could not be written is an error, except that nobody reads on, which is none
 * of a person's business: then the text is empty. */
fv_status cli_flush(fv_err *err);

/* ---- table.c ---- */

/* Rows with aligned columns. Heads: ">" before a name aligns right, "~" lets the column be cut to fit
 * the terminal (the widest such column first). Errors are kept and given by cli_table_print. */
#define CLI_COLUMNS 12
typedef struct cli_table {
    const char *heads[CLI_COLUMNS];
    char align[CLI_COLUMNS];
    size_t n_columns, n_cells, capacity;
    char **cells;
    fv_arena arena;
    fv_status status;
} cli_table;

void cli_table_init(cli_table *table, const char *const *heads, size_t n);
/* The next cell, row by row. */
void cli_table_add(cli_table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints to stdout; prints nothing but the heads when there are no rows. Releases the table. */
fv_status cli_table_print(cli_table *table, fv_err *err);

/* ---- progress.c ---- */

/* A long job on stderr: one live line on a terminal, plain lines at most every ten seconds elsewhere. */
typedef struct cli_progress {
    bool live, quiet, shown;
    double last; /* when it was drawn last */
} cli_progress;

/* A piece of the live line. Pieces are dropped, highest rank first, until the line fits. */
typedef struct cli_piece {
    int rank;
    char text[96];
} cli_piece;

void cli_progress_init(cli_progress *progress, bool quiet);
/* Whether it is time to draw again; drawing is at most ten times a second, plain lines every ten seconds. */
bool cli_progress_due(const cli_progress *progress);
void cli_progress_draw(cli_progress *progress, const cli_piece *pieces, size_t n);
/* Clears the live line, so that other text can be printed. */
void cli_progress_clear(cli_progress *progress);
/* A whole line that stays. Nothing if quiet. */
void cli_progress_say(cli_progress *progress, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A bar of `cells` cells into `out`: "█████▌    ". */
void cli_bar(char *out, size_t size, double share, int cells);

#endif
