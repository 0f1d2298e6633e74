/* What the files of the products share, and nobody else needs. */
#ifndef FV_KERNELS_GEMM_H
#define FV_KERNELS_GEMM_H

#include "kernels/cpu/isa.h"

struct fv_packed {
    const fv_isa_table *isa; /* whose panels these are */
    fv_precision precision;
    int64_t k, n;
    int64_t most;            /* columns that there is room for, where they are taken from another; else 0 */
    size_t bytes;
    float *panels;
    float *scales;           /* int8: of each column, in whole panels */
    int32_t *sums;           /* and of its weights */
};

/* int8: how rows [first, first + count) of A are quantised, into rows[count]. */
void fv_quantize_rows(fv_quant_row *rows, const fv_gemm *g, const fv_int8_table *table, int64_t first, int64_t count);

/* Longest run of words along k that a block holds; a panel's blocks follow each other. */
int64_t fv_gemm_k_block(int64_t words);

#endif
