/* Vectors as a .npy file, which NumPy and others map into memory: float32, [rows, dim], row after row (format version 1.0). How
 * many rows there will be is known at the end alone, so the header's length is fixed and its text written last. All or nothing. */
#ifndef CLI_NPY_H
#define CLI_NPY_H

#include "base/file.h"

typedef struct cli_npy {
    fv_writer *file;
    int64_t rows;
    int dim;
} cli_npy;

fv_status cli_npy_open(cli_npy *npy, const char *path, int dim, fv_err *err);
fv_status cli_npy_add(cli_npy *npy, const float *x, size_t rows, fv_err *err);
fv_status cli_npy_commit(cli_npy *npy, fv_err *err);
void cli_npy_abort(cli_npy *npy); /* {0} and a committed one are fine */

#endif
