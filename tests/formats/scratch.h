/* A folder for a test's files. */
#ifndef FV_TESTS_FORMATS_SCRATCH_H
#define FV_TESTS_FORMATS_SCRATCH_H

#include "base/file.h"

/* cmocka group setup and teardown: make the folder, and remove it with all that is in it. */
int scratch_setup(void **state);
int scratch_teardown(void **state);
const char *scratch_folder(void);
/* NAME in the folder; good until the fourth call after. */
const char *scratch_path(const char *name);

#endif
