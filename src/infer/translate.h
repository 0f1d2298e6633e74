/* What a session of a translator has beside others: infer/session.c makes and frees it. */
#ifndef FV_INFER_TRANSLATE_H
#define FV_INFER_TRANSLATE_H

#include "fovea.h"

typedef struct fv_translating fv_translating;

/* Packs the model's weights, unless a session before did. */
fv_translating *fv_translating_new(fv_model *model, const fv_session_options *options, fv_err *err);
void fv_translating_free(fv_translating *translating);

#endif
