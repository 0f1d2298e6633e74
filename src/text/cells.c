/* Lists of words. Sizes are 1, 2, 3, 4, then four to each doubling: 5, 6, 7, 8, 10, 12, 14, 16, 20 … */
#include "text/cells.h"

static uint32_t size_of(int class)
{
    if (class < 4) return (uint32_t)class + 1;
    return (uint32_t)(5 + class % 4) << (class / 4 - 1);
}

/* The smallest size that holds n. */
static int class_of(uint32_t n)
{
    if (n <= 4) return (int)n - 1;
    int shift = 29 - __builtin_clz(n - 1); /* n - 1 is 4..7 after it */
    return 4 * (shift + 1) + (int)((n - 1) >> shift) - 4;
}

uint32_t fv_cells_room(uint32_t n) { return size_of(class_of(n)); }

static void put_spare(fv_cells *cells, uint32_t place, int class)
{
    cells->words[place] = cells->spare[class];
    cells->spare[class] = place + 1;
}

static uint32_t take_spare(fv_cells *cells, int class)
{
    uint32_t place = cells->spare[class] - 1;
    cells->spare[class] = cells->words[place];
    return place;
}

/* What lies behind a list that was cut off a larger one, as lists as large as can be. */
static void put_rest(fv_cells *cells, uint32_t place, uint32_t n)
{
    while (n) {
        int class = class_of(n);
        if (size_of(class) > n) class--;
        put_spare(cells, place, class);
        place += size_of(class);
        n -= size_of(class);
    }
}

fv_status fv_cells_new(fv_cells *cells, uint32_t n, uint32_t *place, fv_err *err)
{
    int wanted = class_of(n);
    FV_ASSERT(n > 0 && wanted < FV_CELL_SIZES);
    for (int class = wanted; class < FV_CELL_SIZES; class++) {
        if (!cells->spare[class]) continue;
        *place = take_spare(cells, class);
        put_rest(cells, *place + size_of(wanted), size_of(class) - size_of(wanted));
        return FV_OK;
    }
    size_t end = cells->n + size_of(wanted);
    if (end >= UINT32_MAX) return FV_FAIL(err, FV_E_MEMORY, "an index of more than 16 GiB of words; share the items out among several");
    fv_status status = fv_grow(&cells->words, &cells->capacity, end, sizeof *cells->words, err);
    if (status != FV_OK) return status;
    *place = (uint32_t)cells->n;
    cells->n = end;
    return FV_OK;
}

void fv_cells_free(fv_cells *cells, uint32_t place, uint32_t room) { put_spare(cells, place, class_of(room)); }

void fv_cells_release(fv_cells *cells)
{
    fv_free(cells->words);
    *cells = (fv_cells){0};
}
