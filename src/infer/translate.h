/* What a session of a translator has beside others: infer/session.c makes and frees it. */
#ifndef FV_INFER_TRANSLATE_H
#define FV_INFER_TRANSLATE_H

#include "fovea.h"

typedef struct fv_translating fv_translating;

/* The model's weights are packed. */
fv_translating *fv_translating_new(const fv_model *model, const fv_session_options *options, fv_err *err);
void fv_translating_free(fv_translating *translating);

#endif
