/* The .npy format. See npy.h. */
#include <stdio.h>
#include <string.h>

#include "cli/npy.h"

#define MAGIC "\x93NUMPY\x01\x00"

enum { HEADER = 128, PROLOGUE = 10 }; /* bytes: a multiple of 64 keeps the numbers aligned; magic, version and length */

/* The dictionary is padded with spaces up to the line break that ends it. */
static void make_header(char out[HEADER], int64_t rows, int dim)
{
    memset(out, ' ', HEADER);
    memcpy(out, MAGIC, PROLOGUE - 2);
    out[PROLOGUE - 2] = HEADER - PROLOGUE;
    out[PROLOGUE - 1] = 0;
    int n = snprintf(out + PROLOGUE, HEADER - PROLOGUE, "{'descr': '<f4', 'fortran_order': False, 'shape': (%lld, %d), }", (long long)rows, dim);
    out[PROLOGUE + n] = ' ';
    out[HEADER - 1] = '\n';
}

fv_status cli_npy_open(cli_npy *npy, const char *path, int dim, fv_err *err)
{
    char header[HEADER];
    *npy = (cli_npy){.file = fv_writer_open(path, err), .dim = dim};
    make_header(header, 0, dim);
    return npy->file ? fv_writer_write(npy->file, header, sizeof header, err) : err->status;
}

/* Floats lie as "<f4" says: machines with other byte orders are not built for. */
fv_status cli_npy_add(cli_npy *npy, const float *x, size_t rows, fv_err *err)
{
    npy->rows += (int64_t)rows;
    return fv_writer_write(npy->file, x, rows * (size_t)npy->dim * sizeof *x, err);
}

fv_status cli_npy_commit(cli_npy *npy, fv_err *err)
{
    char header[HEADER];
    make_header(header, npy->rows, npy->dim);
    fv_status status = fv_writer_write_head(npy->file, header, sizeof header, err);
    if (status != FV_OK) return status;
    fv_writer *file = npy->file;
    npy->file = NULL;
    return fv_writer_commit(file, err);
}

void cli_npy_abort(cli_npy *npy)
{
    fv_writer_abort(npy->file);
    npy->file = NULL;
}
