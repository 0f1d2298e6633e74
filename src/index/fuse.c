/* Two rankings into one. The one by meaning has cosines, the one by words sums without a bound, and neither's place says how far it is
 * from the next: so each score is taken as a share of the query's best, and the shares are added. docs/decisions.md has what else was tried. */
#include "index/index.h"

#include <math.h>

static float share(float score, float best) { return isnan(score) || !(best > 0) ? 0 : score / best; }

float fv_fuse(const fv_hit *hit, float best_meaning, float best_words) { return 0.5f * (share(hit->meaning, best_meaning) + share(hit->words, best_words)); }
