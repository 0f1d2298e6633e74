/* What fv_eval leaves to files of their own: the figures of translators and of vectors. */
#ifndef FV_API_EVAL_H
#define FV_API_EVAL_H

#include "infer/infer.h"

/* Loss and perplexity of the references, and BLEU and chrF of what the model writes itself. `tell` as fv_infer_progress. */
fv_status fv_eval_translator(fv_report *report, fv_session *session, const fv_dataset *data, const fv_eval_options *options, fv_infer_progress tell, void *user, fv_pool *pool, fv_err *err);
/* How well vectors find texts, or agree with labels, as the rows' fields ask. */
fv_status fv_eval_vectors(fv_report *report, fv_session *session, const fv_dataset *data, const char *path, const fv_eval_options *options, fv_infer_progress tell, void *user, fv_pool *pool, fv_err *err);

#endif
