/* Files that tests of this room read, made on the spot in the scratch folder of formats/scratch.h. */
#ifndef FV_TESTS_DATA_MADE_H
#define FV_TESTS_DATA_MADE_H

#include "base/str.h"

/* Write NAME and give its path, good until the fourth call after. */
const char *made_bytes(const char *name, const void *bytes, size_t n);
const char *made_text(const char *name, const char *text);
/* Bytes as one gzip member, added to `to`. */
void made_gzip(fv_buf *to, const void *bytes, size_t n);
/* TIMES × TEXT, added to `to`. */
void made_repeat(fv_buf *to, const char *text, size_t times);

/* All rows as "line text|text2|label" lines, "-" where there is none; or the error's text with the
 * path in front of it cut off. Good until the next call. */
const char *read_rows(const char *path, const fv_columns *columns);

#endif
