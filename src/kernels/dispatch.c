/* Chooses the table of inner loops, once: the fastest that the processor offers, or the one that
 * FOVEA_ISA names. A name that makes no sense cannot be refused here, where nobody listens: the
 * fastest is used and fv_kernels_check, which the public calls ask early, tells. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "kernels/cpu/isa.h"

/* Slowest first. */
static const fv_isa_table *const tables[] = {
    &fv_isa_plain,
#if defined(__x86_64__)
    &fv_isa_avx2,
    &fv_isa_avx512,
#elif defined(__aarch64__)
    &fv_isa_neon,
#endif
};

static _Atomic(const fv_isa_table *) current;

static const fv_isa_table *best(void)
{
    size_t i = FV_COUNT(tables) - 1;
    while (!tables[i]->supported()) i--; /* plain always is */
    return tables[i];
}

static const fv_isa_table *find(const char *name)
{
    for (size_t i = 0; i < FV_COUNT(tables); i++) {
        if (strcmp(tables[i]->name, name) == 0 && tables[i]->supported()) return tables[i];
    }
    return NULL;
}

/* Two threads that come here first both find the same. */
const fv_isa_table *fv_isa_current(void)
{
    const fv_isa_table *table = atomic_load_explicit(&current, memory_order_acquire);
    if (table) return table;
    const char *wanted = getenv("FOVEA_ISA");
    table = wanted ? find(wanted) : NULL;
    if (!table) table = best();
    atomic_store_explicit(&current, table, memory_order_release);
    return table;
}

const fv_bf16_table *fv_isa_bf16(const fv_isa_table *isa)
{
#if defined(__x86_64__)
    if (isa == &fv_isa_avx512 && fv_bf16_avx512.supported()) return &fv_bf16_avx512;
#endif
    (void)isa;
    return NULL;
}

/* AVX-512 without its instructions for int8 has those of AVX2. */
const fv_int8_table *fv_isa_int8(const fv_isa_table *isa)
{
#if defined(__x86_64__)
    if (isa == &fv_isa_avx512 && fv_int8_avx512.supported()) return &fv_int8_avx512;
    if (isa == &fv_isa_avx512 || isa == &fv_isa_avx2) return &fv_int8_avx2;
#endif
    (void)isa;
    return &fv_int8_plain;
}

const char *fv_kernels_isa(void) { return fv_isa_current()->name; }

int fv_kernels_list(const char **names, int max)
{
    int n = 0;
    for (size_t i = 0; i < FV_COUNT(tables) && n < max; i++) {
        if (tables[i]->supported()) names[n++] = tables[i]->name;
    }
    return n;
}

static fv_status refuse(const char *where, const char *isa, fv_err *err)
{
    char list[64] = "";
    fv_shown shown;
    for (size_t i = 0; i < FV_COUNT(tables); i++) {
        if (!tables[i]->supported()) continue;
        if (list[0]) strncat(list, ", ", sizeof list - strlen(list) - 1);
        strncat(list, tables[i]->name, sizeof list - strlen(list) - 1);
    }
    return FV_FAIL(err, FV_E_ARGUMENT, "%s: %s is not an instruction set of this machine; expected one of %s", where, fv_show(&shown, isa, strlen(isa)), list);
}

fv_status fv_kernels_force(const char *isa, fv_err *err)
{
    const fv_isa_table *table = find(isa);
    if (!table) return refuse("instruction set", isa, err);
    atomic_store_explicit(&current, table, memory_order_release);
    return FV_OK;
}

fv_status fv_kernels_check(fv_err *err)
{
    const char *wanted = getenv("FOVEA_ISA");
    return wanted && !find(wanted) ? refuse("FOVEA_ISA", wanted, err) : FV_OK;
}
