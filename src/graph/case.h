/* The inputs that an op's cases ask for: drawn values in strided storage, with room for gradients.
 * What walks the cases (tests, `bench/ops`) makes one fv_case for each build. */
#ifndef FV_GRAPH_CASE_H
#define FV_GRAPH_CASE_H

#include "graph/op.h"

typedef struct fv_case_in {
    fv_tensor *tensor;
    float *data, *grad;           /* [rows, stride] */
    int64_t rows, cols, stride;
} fv_case_in;

struct fv_case {
    fv_graph *graph;              /* borrowed; reset by fv_case_init */
    fv_rng rng;
    int64_t pad;                  /* floats between the rows of inputs */
    fv_case_in in[FV_MAX_IN];
    int n;
    fv_arena arena;
};

/* What lies between rows, in data and gradients: it must still lie there afterwards. */
#define FV_CASE_GUARD 12345.0f

void fv_case_init(fv_case *c, fv_graph *graph, bool training, uint64_t seed, int64_t pad);
void fv_case_release(fv_case *c);

#endif
