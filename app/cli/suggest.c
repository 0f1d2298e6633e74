/* "Did you mean …?": the nearest name by edits. */
#include <string.h>

#include "cli/commands.h"

#define LONGEST 40 /* names longer than this are nobody's typing mistake */

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Edits between a and b: insert, delete, replace, or swap neighbours (Damerau 1964, in the form
 * that never edits a swapped pair again). */
static size_t distance(const char *a, size_t n, const char *b, size_t m)
{
    size_t row[3][LONGEST + 1];
    for (size_t j = 0; j <= m; j++) row[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *now = row[i % 3], *up = row[(i + 2) % 3], *up2 = row[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= m; j++) {
            now[j] = least(least(up[j], now[j - 1]) + 1, up[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) now[j] = least(now[j], up2[j - 2] + 1);
        }
    }
    return row[n % 3][m];
}

const char *cli_nearest(const char *text, const char *const *names, size_t n)
{
    size_t len = strlen(text), best = len < 4 ? 1 : 2;
    const char *found = NULL;
    if (len == 0 || len > LONGEST) return NULL;
    for (size_t i = 0; i < n; i++) {
        size_t name_len = strlen(names[i]);
        if (name_len > LONGEST) continue;
        size_t edits = distance(text, len, names[i], name_len);
        /* A beginning of the name counts as near: --batch for --batch-tokens. */
        if (edits > best && len >= 3 && strncmp(text, names[i], len) == 0) edits = best;
        if (edits < best || (edits == best && !found)) {
            best = edits;
            found = names[i];
        }
    }
    return found;
}
