/* Calls of fovea.h that belong to no single room. */
#include "kernels/kernels.h"

const char *fv_isa(void) { return fv_kernels_isa(); }
