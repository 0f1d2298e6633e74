/* The scores of the words that a shortlist leaves to each source, for decoder.h: the rows of the output matrix that any
 * source in work may want are packed together once, and each step multiplies with these alone.
 *
 * A row of scores has the candidates of its own source and no others, so that a translation does not depend on what else
 * is in work. */
#ifndef FV_INFER_CHOICE_H
#define FV_INFER_CHOICE_H

#include "infer/search.h"
#include "infer/shortlist.h"

typedef struct fv_choice fv_choice;

/* All are borrowed; the model is packed. */
fv_choice *fv_choice_new(const fv_seq2seq *model, const fv_shortlist *list, fv_pool *pool, fv_err *err);
void fv_choice_free(fv_choice *choice);
/* Room for the largest batch; forgets all sources. */
fv_status fv_choice_plan(fv_choice *choice, const fv_search_shape *shape, fv_err *err);
/* A source takes up a lane. */
void fv_choice_read(fv_choice *choice, const fv_search_reading *reading);
/* Scores of hidden states [rows, width], row r for the source in lane lanes[r]. They live until the next call. */
fv_status fv_choice_score(fv_choice *choice, const fv_tensor *hidden, const int32_t *lanes, fv_search_logits *out, fv_err *err);

#endif
