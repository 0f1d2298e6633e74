/* What fv_search asks of an encoder–decoder: sources read into the cross cache, and one token more for every hypothesis.
 *
 * A step's graph is planned for a number of rows and run again while it stays, since what changes from token to token lies in
 * the arrays that it points to. Caches grow when a larger batch comes, and nothing else allocates. */
#ifndef FV_INFER_DECODER_H
#define FV_INFER_DECODER_H

#include "infer/search.h"
#include "infer/shortlist.h"

typedef struct fv_decoder fv_decoder;

fv_decoder *fv_decoder_new(const fv_seq2seq *model, fv_pool *pool, fv_err *err); /* both are borrowed */
/* From now on only what the shortlist (borrowed) suggests for a source is scored. The model is packed; before anything is read. */
fv_status fv_decoder_restrict(fv_decoder *decoder, const fv_shortlist *list, fv_pool *pool, fv_err *err);
void fv_decoder_free(fv_decoder *decoder);
/* Valid while the decoder lives. */
fv_stepper fv_decoder_stepper(fv_decoder *decoder);

#endif
