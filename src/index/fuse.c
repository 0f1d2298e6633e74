/* Two scores into one. A cosine says how near by itself, a sum of words does not: it is compared with what a document would have that has all of
 * the query's words. So a query of which only the little words are met leaves the ranking to meaning, which shares of the best score do not.
 * docs/decisions.md has what else was tried. */
#include "index/index.h"

#include <math.h>

#define WORDS 0.2f /* what having all words is worth, in cosines */

float fv_fuse(const fv_hit *hit, float whole)
{
    float meaning = isnan(hit->meaning) ? 0 : hit->meaning, words = isnan(hit->words) || !(whole > 0) ? 0 : hit->words / whole;
    return meaning + WORDS * words;
}
