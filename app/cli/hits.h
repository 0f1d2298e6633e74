/* Hits on the screen: what `fovea search` prints for people. */
#ifndef CLI_HITS_H
#define CLI_HITS_H

#include "base/str.h"

/* One hit as one line: its place, score and name, then as much of the text as fits `width` columns (0: all of it), from where the first of the
 * query's words stands; those words in bold if `colour`. */
typedef struct cli_hit {
    int place;
    double score;
    const char *name, *query, *text;
    size_t query_len, len;
} cli_hit;

fv_status cli_put_hit(fv_buf *out, const cli_hit *hit, int width, bool colour, fv_err *err);

#endif
