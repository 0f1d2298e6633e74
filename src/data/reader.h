/* What reader.c and the formats agree on; for this room's files only.
 *
 * A reader wants a few columns (fv_want). A format finds them in its kind of file and, row by row,
 * fills in their values; joining texts, skipping bad rows and saying where are done once, in reader.c. */
#ifndef FV_DATA_READER_H
#define FV_DATA_READER_H

#include "data/lines.h"

#define FV_TEXT_COLUMNS 16             /* "a,b,…" at most */
#define FV_ROW_BAD 2                   /* a format's `next`: err says what is wrong with this row alone */

typedef struct fv_want {
    const char *name, *option;         /* column, and the option that would name another: "--text" */
    bool is_label, optional;
    size_t column;                     /* the formats': FV_NO_COLUMN if the file has none */
    const char *value;                 /* of this row, ended by a zero byte; NULL if it has none */
    size_t len;
} fv_want;

#define FV_NO_COLUMN SIZE_MAX

typedef struct fv_span { size_t begin, end; bool quoted; } fv_span; /* a field within the record */

typedef struct fv_format {
    const char *name;
    int (*start)(fv_reader *, fv_err *); /* the header, if there is one; finds the columns: 1, FV_ROW_BAD or a status */
    int (*next)(fv_reader *, fv_err *);  /* fills wants[].value: 1, 0 at the end, FV_ROW_BAD or a status */
    void (*stop)(fv_reader *);           /* frees what is the format's own */
} fv_format;

extern const fv_format fv_format_tsv, fv_format_csv, fv_format_jsonl, fv_format_fasttext, fv_format_conll, fv_format_prose;

struct fv_reader {
    fv_lines lines;
    const fv_format *format;
    char *path, *names;                /* copies; wants point into names */
    fv_want wants[FV_TEXT_COLUMNS + 4];/* the parts of the text, then the others */
    int n_wants, n_text;
    int text2, negative, label, grade; /* places in wants, or -1 */
    bool skip_bad, tell_bad;
    int64_t at_line;                   /* where an error of this row is */
    fv_buf text;                       /* several columns joined */
    fv_buf words, made;                /* the formats': a text of single words, a label put together */
    int64_t skipped;
    fv_err first_bad;

    size_t n_columns;                  /* of the file's first line: tables, CoNLL */
    /* table.c */
    fv_span *spans;                    /* [n_columns] */
    int64_t blanks, blank_line;        /* empty lines read that may or may not be the last ones */
    /* jsonl.c */
    void *object;
};

/* As fv_reader_open of a file that lies in a folder of texts: .txt is plain text, not fastText lines. */
fv_reader *fv_reader_open_prose(const char *path, const fv_columns *columns, fv_err *err);

/* FV_ROW_BAD unless the record is UTF-8 without NUL bytes. Every format calls it before cutting. */
int fv_reader_check(fv_reader *reader, fv_err *err);
/* FV_ROW_BAD, saying: no column "text"; KIND "id", "body"; name one with --text. `names`: the shown names. */
int fv_reader_no_column(const fv_want *want, const char *kind, const char *names, fv_err *err);
/* Adds a name to a list of shown ones, "…" instead of all beyond some. */
fv_status fv_reader_list(fv_buf *list, const char *name, size_t len, fv_err *err);

#endif
