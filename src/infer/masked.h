/* Masked pre-training, from texts to a loss: which words are hidden is data/mask.h's, this is how texts
 * become rows for it, and a batch the graph of its loss.
 *
 *     fv_masked_rows_make(&rows, &kinds, tokenizer, max_len, texts, n, &encoding, &cut, err);
 *     fv_masker_init(&masker, tokenizer, seed, err), fv_masker_reserve(&masker, sampler.max_N, err);
 *     fv_tensor *loss = fv_masker_build(&masker, &net, head, graph, &batch, 0);
 *
 * Nothing of a text is lost: one that is longer than the model takes makes several rows, cut between words. */
#ifndef FV_INFER_MASKED_H
#define FV_INFER_MASKED_H

#include "data/mask.h"
#include "infer/infer.h"

/* Rows of at most max_len tokens, framing ones included, and in *kinds (fv_free it) what each token is. Pieces that
 * follow each other without white space or punctuation between them are one word; ideographs and Kana are characters. Both texts of
 * a pair make one row if they fit in it, else rows of their own. Texts that made more rows than one are counted in *cut. */
fv_status fv_masked_rows_make(fv_token_rows *rows, uint8_t **kinds, const fv_tokenizer *tokenizer, int max_len, const fv_text *texts, size_t n, fv_encoding *encoding, int64_t *cut, fv_err *err);

#define FV_MASK_SHARE 0.15 /* of words (Devlin et al. 2019): where models are judged, and the usual one to learn by */

/* Hides words of batches. */
typedef struct fv_masker {
    fv_masking masking;              /* epoch, rows and kinds are the caller's to set, and share and pieces may be */
    int32_t *ordinary;               /* the tokens that are not special */
    int32_t *ids, *places, *targets; /* of a batch: as fv_mask_batch gives them */
    int32_t n;                       /* chosen; places and targets have one more, without effect, when it is 0 */
    size_t room;
} fv_masker;

/* FV_E_FORMAT if the tokenizer has no mask token. */
fv_status fv_masker_init(fv_masker *masker, const fv_tokenizer *tokenizer, uint64_t seed, fv_err *err);
fv_status fv_masker_reserve(fv_masker *masker, int32_t max_N, fv_err *err); /* for batches of so many tokens */
void fv_masker_release(fv_masker *masker);
/* Hides words of the batch and adds the nodes of their mean loss, [1, 1]. */
fv_tensor *fv_masker_build(fv_masker *masker, const fv_network *net, const fv_head *head, fv_graph *g, const fv_batch *batch);
/* The same with every token chosen, whatever it is: no batch of its size needs more memory. */
fv_tensor *fv_masker_build_largest(fv_masker *masker, const fv_network *net, const fv_head *head, fv_graph *g, const fv_batch *batch);

/* What each row of the sampler loses on its hidden words: the sum in losses[row], how many in counts[row]. Masks are those of
 * FV_MASK_FOREVER, whole words, FV_MASK_SHARE of them, so that equal weights have equal losses. progress may be NULL. */
fv_status fv_masked_score(fv_masker *masker, const fv_network *net, const fv_head *head, fv_graph *graph, fv_sampler *sampler, const uint8_t *kinds, double *losses, int32_t *counts, fv_infer_progress progress, void *user, fv_err *err);

#endif
