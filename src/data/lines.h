/* Lines of a file, a gzip or stdin, in constant memory; for this room's files only.
 *
 * A record is one line, or several when a quoted CSV field runs over its line's end. It lies in one
 * piece in a buffer of ours, so its reader may cut it up in place, but only once it is whole: a
 * record that was written to can no longer be given back. */
#ifndef FV_DATA_LINES_H
#define FV_DATA_LINES_H

#include <zlib.h>

#include "base/str.h"

#define FV_LINE_BYTES ((size_t)64 << 20) /* a longer line is an error */

typedef struct fv_lines {
    /* the present record, until the next call; text[len] may be overwritten with a zero byte */
    char *text;
    size_t len;         /* without the line break at its end */
    int64_t line, last; /* its first and last line; 1 is the file's first */
    const char *name;   /* for messages */

    /* lines.c's own */
    int fd;
    bool ended, gzip, between; /* between: a gzip member ended and no other has begun */
    z_stream z;
    uint8_t *in;               /* bytes as read: [in_begin, in_end) are not used yet */
    size_t in_begin, in_end;
    char *data;                /* text: the record is [begin, next), read ahead is [next, end) */
    size_t begin, next, end, capacity;
    size_t first_bytes;        /* of the record's first line, its break included */
    fv_err failure;            /* what ended the reading; given again by every later call */
} fv_lines;

/* PATH "-" is stdin. A byte-order mark is dropped. */
fv_status fv_lines_open(fv_lines *lines, const char *path, fv_err *err);
/* A record of the next line. 1; 0: the end; negative: an fv_status. */
int fv_lines_next(fv_lines *lines, fv_err *err);
/* Adds the next line to the record, the break between them kept. 0: there is none, or the record
 * would be longer than FV_LINE_BYTES; it is then as before. */
int fv_lines_more(fv_lines *lines, fv_err *err);
/* Gives back all lines of the record after its first, or all of it: they will be read again. */
void fv_lines_keep_first(fv_lines *lines);
void fv_lines_unread(fv_lines *lines);
void fv_lines_close(fv_lines *lines);

#endif
