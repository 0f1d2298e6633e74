/* Memory layout by lifetimes. A best-fit sweep: at each birth the dead leave, and the newcomer takes
 * the smallest gap that holds it. Some hundreds of items, so lists are plain arrays. */
#include "graph/plan.h"

#include <string.h>

enum { ALIGN = 64 };

int fv_plan_add(fv_plan *plan, size_t bytes, int birth, int death, fv_err *err)
{
    if (fv_grow(&plan->items, &plan->capacity, plan->n + 1, sizeof *plan->items, err) != FV_OK) return -1;
    size_t rounded = (bytes + ALIGN - 1) / ALIGN * ALIGN;
#ifdef FV_CHECKED
    rounded += ALIGN; /* guard bytes between neighbours */
#endif
    plan->items[plan->n] = (fv_plan_item){.bytes = rounded, .birth = birth, .death = death};
    return (int)plan->n++;
}

/* Removes items that died before `time`; the rest keeps its order. */
static size_t drop_dead(const fv_plan *plan, size_t n, int time)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (plan->items[plan->active[i]].death >= time) plan->active[kept++] = plan->active[i];
    return kept;
}

/* Finds the smallest gap between active items for `bytes`; *place is where in the list it belongs. */
static size_t find_gap(const fv_plan *plan, size_t n, size_t bytes, size_t *place)
{
    size_t end = 0, best = SIZE_MAX, best_room = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        const fv_plan_item *a = &plan->items[plan->active[i]];
        size_t room = a->offset - end;
        if (a->offset > end && room >= bytes && room < best_room) {
            best = end;
            best_room = room;
            *place = i;
        }
        end = a->offset + a->bytes;
    }
    if (best != SIZE_MAX) return best;
    *place = n;
    return end;
}

static size_t place_item(fv_plan *plan, size_t n, int index)
{
    fv_plan_item *item = &plan->items[index];
    size_t place;
    item->offset = find_gap(plan, n, item->bytes, &place);
    memmove(plan->active + place + 1, plan->active + place, (n - place) * sizeof *plan->active);
    plan->active[place] = index;
    if (item->offset + item->bytes > plan->bytes) plan->bytes = item->offset + item->bytes;
    return n + 1;
}

fv_status fv_plan_lay_out(fv_plan *plan, fv_err *err)
{
    fv_status status = FV_OK;
    int last = 0;
    FV_TRY(fv_grow(&plan->active, &plan->active_capacity, plan->n + 1, sizeof *plan->active, err));
    plan->bytes = 0;
    for (size_t i = 0; i < plan->n; i++)
        if (plan->items[i].birth > last) last = plan->items[i].birth;
    size_t alive = 0;
    for (int time = 0; time <= last; time++) {
        alive = drop_dead(plan, alive, time);
        for (size_t i = 0; i < plan->n; i++)
            if (plan->items[i].birth == time && plan->items[i].bytes) alive = place_item(plan, alive, (int)i);
    }
done:
    return status;
}

bool fv_plan_reuse(fv_plan *now, const fv_plan *old)
{
    if (now->n != old->n) return false;
    for (size_t i = 0; i < now->n; i++) {
        const fv_plan_item *a = &now->items[i], *b = &old->items[i];
        if (a->bytes > b->bytes || a->birth != b->birth || a->death != b->death) return false;
    }
    for (size_t i = 0; i < now->n; i++) now->items[i].offset = old->items[i].offset;
    now->bytes = old->bytes;
    return true;
}

void fv_plan_release(fv_plan *plan)
{
    fv_free(plan->items);
    fv_free(plan->active);
    *plan = (fv_plan){0};
}
