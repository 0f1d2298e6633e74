/* Some columns of packed weights, packed again: when a step of decoding wants the scores of a few thousand
 * words of the vocabulary, only their columns are multiplied. Which words these are is the caller's.
 *
 * The trap: a column lies in its panel a line apart for each word of k, so that taking it reads a line for
 * each word, and taking one of sixteen neighbours costs what taking all would. It pays because it is
 * done once for a batch of sentences and used at each step. */
#include <string.h>

#include "base/mem.h"
#include "kernels/gemm.h"
#include "kernels/shares.h"

enum { MOST_NR = 64 };

/* How panels lie, in words: as b_offset of gemm.c has it. */
typedef struct layout {
    int64_t nr, words, block; /* words along k, and of a block of them */
} layout;

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

static layout layout_of(const fv_packed *p)
{
    const fv_bf16_table *bf16 = p->precision == FV_PRECISION_BF16 ? fv_isa_bf16(p->isa) : NULL;
    const fv_int8_table *int8 = p->precision == FV_PRECISION_INT8 ? fv_isa_int8(p->isa) : NULL;
    int64_t per_word = bf16 ? 2 : int8 ? int8->per_word : 1, words = ceil_div(p->k, per_word);
    return (layout){.nr = bf16 ? bf16->nr : int8 ? int8->nr : p->isa->nr, .words = words, .block = fv_gemm_k_block(words)};
}

/* The first word of a panel in the block that begins at word `begin`. */
static int64_t panel_at(const layout *l, int64_t n, int64_t begin, int64_t panel)
{
    return begin * ceil_div(n, l->nr) * l->nr + panel * min64(l->block, l->words - begin) * l->nr;
}

typedef struct taking {
    fv_packed *to;
    const fv_packed *from;
    const int32_t *columns;
    layout lay;
} taking;

/* A word of all columns after the other: as many streams are read side by side, and one is written. */
static void take_words(float *out, const float *const *from, int64_t nr, int64_t words)
{
    for (int64_t l = 0; l < words; l++) {
        for (int64_t j = 0; j < nr; j++) memcpy(out + l * nr + j, from[j] + l * nr, sizeof *out); /* mostly no float */
    }
}

static void take_scales(const taking *t, int64_t at, int32_t column)
{
    t->to->scales[at] = t->from->scales[column];
    t->to->sums[at] = t->from->sums[column];
}

/* One panel; the last one's columns that do not exist repeat the last that does. */
static void take_panel(void *arg, int64_t panel, int worker)
{
    (void)worker;
    const taking *t = arg;
    const layout *l = &t->lay;
    const float *from[MOST_NR];
    int32_t column[MOST_NR];
    for (int64_t j = 0; j < l->nr; j++) {
        column[j] = t->columns[min64(panel * l->nr + j, t->to->n - 1)];
        FV_ASSERT(column[j] >= 0 && column[j] < t->from->n);
        if (t->to->scales) take_scales(t, panel * l->nr + j, column[j]);
    }
    for (int64_t begin = 0; begin < l->words; begin += l->block) {
        for (int64_t j = 0; j < l->nr; j++) from[j] = t->from->panels + panel_at(l, t->from->n, begin, column[j] / l->nr) + column[j] % l->nr;
        take_words(t->to->panels + panel_at(l, t->to->n, begin, panel), from, l->nr, min64(l->block, l->words - begin));
    }
}

void fv_packed_take_columns(fv_packed *to, const fv_packed *from, const int32_t *columns, int64_t n, fv_pool *pool)
{
    FV_ASSERT(to->isa == from->isa && to->precision == from->precision && to->k == from->k && n <= to->most);
    taking t = {.to = to, .from = from, .columns = columns, .lay = layout_of(from)};
    FV_ASSERT(t.lay.nr <= MOST_NR);
    to->n = n;
    fv_shares_run(pool, ceil_div(n, t.lay.nr), take_panel, &t);
}

fv_packed *fv_packed_columns_new(const fv_packed *like, int64_t most, fv_err *err)
{
    layout l = layout_of(like);
    size_t columns = (size_t)(ceil_div(most, l.nr) * l.nr), words = (size_t)l.words;
    bool scaled = like->scales;
    fv_packed *p = fv_alloc_zero(1, sizeof *p, err);
    if (!p) return NULL;
    *p = (fv_packed){.isa = like->isa, .precision = like->precision, .k = like->k, .most = most, .bytes = (words + 2 * scaled) * columns * sizeof(float)};
    p->panels = fv_alloc_zero(columns * words, sizeof(float), err);
    if (p->panels && scaled) p->scales = fv_alloc_zero(columns, sizeof(float), err);
    if (p->scales) p->sums = fv_alloc_zero(columns, sizeof(int32_t), err);
    if (p->panels && (!scaled || p->sums)) return p;
    fv_packed_free(p);
    return NULL;
}
