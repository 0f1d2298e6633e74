/* Open addressing with linear probing. What is removed leaves no mark: those that were pushed past it move back
 * (Knuth 1973, algorithm 6.4 R), so that a table whose keys come and go for ever stays as fast as a new one. */
#include "base/ids.h"

#include <string.h>

#include "base/rng.h"

static uint64_t key_at(const fv_ids *ids, uint32_t place)
{
    uint64_t key;
    memcpy(&key, (const char *)ids->keys + place * ids->stride, sizeof key);
    return key;
}

static size_t home(const fv_ids *ids, uint64_t key) { return fv_mix(key, 0) & (ids->n_slots - 1); }
static size_t next(const fv_ids *ids, size_t slot) { return (slot + 1) & (ids->n_slots - 1); }

uint32_t fv_ids_get(const fv_ids *ids, uint64_t key)
{
    if (!ids->n) return FV_NO_ID;
    for (size_t s = home(ids, key); ids->slots[s]; s = next(ids, s))
        if (key_at(ids, ids->slots[s] - 1) == key) return ids->slots[s] - 1;
    return FV_NO_ID;
}

static void put(fv_ids *ids, uint64_t key, uint32_t place)
{
    size_t s = home(ids, key);
    while (ids->slots[s]) s = next(ids, s);
    ids->slots[s] = place + 1;
}

/* At most three of four slots are taken. */
fv_status fv_ids_reserve(fv_ids *ids, size_t more, fv_err *err)
{
    size_t n_slots = ids->n_slots ? ids->n_slots : 16;
    while ((ids->n + more) * 4 > n_slots * 3) n_slots *= 2;
    if (n_slots == ids->n_slots) return FV_OK;
    fv_ids larger = *ids;
    larger.n_slots = n_slots;
    larger.slots = fv_alloc_zero(n_slots, sizeof *larger.slots, err);
    if (!larger.slots) return FV_E_MEMORY;
    for (size_t s = 0; s < ids->n_slots; s++)
        if (ids->slots[s]) put(&larger, key_at(ids, ids->slots[s] - 1), ids->slots[s] - 1);
    fv_free(ids->slots);
    *ids = larger;
    return FV_OK;
}

void fv_ids_put(fv_ids *ids, uint64_t key, uint32_t place)
{
    put(ids, key, place);
    ids->n++;
}

void fv_ids_remove(fv_ids *ids, uint64_t key)
{
    size_t hole = home(ids, key);
    while (key_at(ids, ids->slots[hole] - 1) != key) hole = next(ids, hole);
    for (size_t s = next(ids, hole); ids->slots[s]; s = next(ids, s)) {
        size_t wanted = home(ids, key_at(ids, ids->slots[s] - 1));
        bool between = hole <= s ? wanted > hole && wanted <= s : wanted > hole || wanted <= s;
        if (between) continue;
        ids->slots[hole] = ids->slots[s];
        hole = s;
    }
    ids->slots[hole] = 0;
    ids->n--;
}

void fv_ids_release(fv_ids *ids)
{
    fv_free(ids->slots);
    *ids = (fv_ids){0};
}
