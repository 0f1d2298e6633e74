/* Many short lists of 32-bit words in one block of memory: a list is a place in it. What is freed is used again, for lists of its
 * size or, cut up, for smaller ones. {0} is empty. */
#ifndef FV_TEXT_CELLS_H
#define FV_TEXT_CELLS_H

#include "base/mem.h"

enum { FV_CELL_SIZES = 96, FV_CELL_MOST = 1 << 24 }; /* words of a list at most */

typedef struct fv_cells {
    uint32_t *words;
    size_t n, capacity;               /* words handed out at some time; words there are */
    uint32_t spare[FV_CELL_SIZES];    /* the place + 1 of the first free list of each size, which holds that of the next */
} fv_cells;

/* Words of the list that holds `n` > 0: at most an eighth more (of short ones, a word). */
uint32_t fv_cells_room(uint32_t n);
/* A list of fv_cells_room(n) words. Older pointers into `words` are void after it. */
fv_status fv_cells_new(fv_cells *cells, uint32_t n, uint32_t *place, fv_err *err);
void fv_cells_free(fv_cells *cells, uint32_t place, uint32_t room);
void fv_cells_release(fv_cells *cells);

#endif
