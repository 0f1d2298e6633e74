/* Where each buffer of a graph lies in its block: buffers whose lives do not meet share bytes. */
#ifndef FV_GRAPH_PLAN_H
#define FV_GRAPH_PLAN_H

#include "base/mem.h"

/* Times: node i runs forward at i and backward at 2n-1-i. */
typedef struct fv_plan_item {
    size_t bytes, offset;
    int birth, death; /* first and last time at which it holds something */
} fv_plan_item;

typedef struct fv_plan {
    fv_plan_item *items;
    size_t n, capacity;
    size_t bytes; /* of the block that holds them all */
    int *active;  /* scratch: items alive, by offset */
    size_t active_capacity;
} fv_plan;

/* Adds an item to be laid out; its number, or -1 when out of memory. */
int fv_plan_add(fv_plan *plan, size_t bytes, int birth, int death, fv_err *err);
/* Gives every item an offset (64-byte aligned): best fit in order of birth. */
fv_status fv_plan_lay_out(fv_plan *plan, fv_err *err);
/* Whether a layout made for `old` also serves `now`: the same items in the same order with the same
 * lives, none larger. Then copies the offsets. */
bool fv_plan_reuse(fv_plan *now, const fv_plan *old);
void fv_plan_release(fv_plan *plan);

#endif
