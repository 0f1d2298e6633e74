/* Texts from a file, a table or a pipe, in chunks, in order: what classify, translate and the like read.
 *
 * A file is a table (read by fv_reader) or plain lines, each line a text, the empty line too:
 *   named .tsv, .csv, .jsonl, .conll, .iob, .bio     a table, also with .gz behind it
 *   anything else, stdin included                    plain lines, unless --text names a column
 *   --lines                                          plain lines, whatever the name
 * A line with a NUL or with bytes that are no UTF-8 is a bad row, as it is in a table. The rows before it are given first,
 * then comes the error. Under skip_bad it is an empty text that is marked, so that whoever answers line by line stays in step.
 * A chunk ends early when no more input is waiting, so that a line typed on a terminal, or written by
 * a program that waits for the answer, is answered at once. */
#ifndef CLI_ROWS_H
#define CLI_ROWS_H

#include "base/str.h"

typedef struct cli_rows cli_rows;

/* How to read, as the options of a command gave it. */
typedef struct cli_rows_options {
    const char *text, *text2; /* columns; NULL: not given */
    const char *usual;        /* the column of a table's text where none is given; NULL: "text" */
    bool lines, skip_bad;
    bool any_bytes; /* plain lines are not checked: the caller reads no text from them */
} cli_rows_options;

#define CLI_CHUNK 256

/* A chunk: texts valid until the next cli_rows_next. */
typedef struct cli_chunk {
    size_t n;
    const char *name;     /* of the file, for messages */
    fv_text *texts;       /* [n] */
    const int64_t *lines; /* [n] where each stands; 1 is the first */
    const char **bad;     /* [n] why a row was left out, which then is an empty text; else NULL */
} cli_chunk;

cli_rows *cli_rows_open(const char *path, const cli_rows_options *options, fv_err *err);
/* Fills the chunk; n is 0 at the end. */
fv_status cli_rows_next(cli_rows *rows, cli_chunk *chunk, fv_err *err);
/* Leaves out text i of a chunk after all, and counts it. */
fv_status cli_rows_leave_out(cli_rows *rows, const cli_chunk *chunk, size_t i, const fv_err *why, fv_err *err);
/* What stands in the answers for a row that was left out: {"error":…}, or an empty line. */
fv_status cli_rows_print_bad(const cli_chunk *chunk, size_t i, bool json, fv_err *err);
/* Says on stderr how many rows were left out, if any. */
void cli_rows_say_skipped(const cli_rows *rows);
void cli_rows_close(cli_rows *rows);

#endif
