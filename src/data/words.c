/* What a word is to tags: what stands between white space. Readers, datasets and whoever lays tags on
 * tokens ask here, so that all count alike.
 *
 * The trap: only ASCII white space separates. A no-break space within "10 000" is part of the word, or
 * a file's words and its tags would no longer be as many. */
#include "data/data.h"

#include <string.h>

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

bool fv_word_next(const char **at, const char *end, const char **word, size_t *len)
{
    while (*at < end && is_space(**at)) ++*at;
    *word = *at;
    while (*at < end && !is_space(**at)) ++*at;
    *len = (size_t)(*at - *word);
    return *len > 0;
}

bool fv_word_is_one(const char *text, size_t len)
{
    const char *at = text, *word;
    size_t n;
    return fv_word_next(&at, text + len, &word, &n) && n == len;
}
