/* Which target tokens a source token becomes, learned from pairs of texts: IBM Model 1 (Brown et al. 1993), which
 * asks of each target token which source token of its pair made it, and learns how likely each makes each by EM.
 *
 *     fv_lexicon_options o;
 *     fv_lexicon_options_init(&o);
 *     o.source_vocab = ..., o.target_vocab = ..., o.always = specials, o.n_always = 2;
 *     FV_TRY(fv_lexicon_learn(&list, &o, &source, &target, pool, err));
 *     FV_TRY(fv_shortlist_save(&list, path, err));
 *     fv_shortlist_release(&list);
 *
 * The same bits on any number of threads. Memory: some 8 bytes a token of the pairs, and at most
 * 8 × FV_LEXICON_ROW bytes a source token. */
#ifndef FV_TRAIN_LEXICON_H
#define FV_TRAIN_LEXICON_H

#include "base/pool.h"
#include "data/data.h"
#include "infer/shortlist.h"

/* Target tokens kept of those that stand beside one source token: the ones that do so most often. The right ones
 * stand beside it nearly always, so only the commonest tokens of all can come before them. */
enum { FV_LEXICON_ROW = 500 };

typedef struct fv_lexicon_options {
    int32_t source_vocab, target_vocab;
    bool shared;           /* one vocabulary: a token may always become itself, as names and numbers do */
    const int32_t *always; /* target tokens that are always candidates: the one that ends a text, and its like */
    int32_t n_always;
    int32_t frequent;      /* and so many of the commonest; default 300 */
    int32_t best;          /* target tokens of a source token at most; default 100 */
    double floor;          /* their least probability; default 0.0001 */
    int iterations;        /* of EM; default 5 */
} fv_lexicon_options;

void fv_lexicon_options_init(fv_lexicon_options *options);
/* Row i of `source` and row i of `target` say the same. All ids are inside their vocabularies. No pairs: FV_E_INPUT. */
fv_status fv_lexicon_learn(fv_shortlist *out, const fv_lexicon_options *options, const fv_token_rows *source, const fv_token_rows *target, fv_pool *pool, fv_err *err);

#endif
