/* A model folder in the making. Its files make sense only together, so they are written into a folder of their own beside the
 * place where the model shall be, which then gets its name in one step. A place where something lies already is refused. */
#ifndef FV_API_STAGING_H
#define FV_API_STAGING_H

#include "base/file.h"

typedef struct fv_staging {
    char place[FV_PATH_MAX]; /* without a slash at its end */
    char path[FV_PATH_MAX];  /* where files go; "" until it is made */
} fv_staging;

/* Says no before anything is done. */
fv_status fv_staging_check(fv_staging *staging, const char *out, fv_err *err);
fv_status fv_staging_begin(fv_staging *staging, fv_err *err);
fv_status fv_staging_take_place(const fv_staging *staging, fv_err *err);
void fv_staging_end(const fv_staging *staging); /* whatever is left of it: nothing, after a success */
/* A copy of FROM as NAME in it. */
fv_status fv_staging_copy(const fv_staging *staging, const char *from, const char *name, fv_err *err);

#endif
