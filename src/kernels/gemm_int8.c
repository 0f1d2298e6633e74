/* What int8 adds to products: weights and rows of A become integers with scales. gemm.c has the rest.
 *
 * Rows of A are quantised asymmetrically, between the smallest and the largest of their numbers and 0:
 * after an activation most lie on one side, and symmetric numbers would waste a bit. The zero point is
 * taken out of the sums again with each column's sum of weights.
 *
 * The trap: a quantised number must not depend on the instruction set, so it is x times the inverse
 * of the scale, rounded to nearest even, the same everywhere; a division would round otherwise. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/gemm.h"
#include "kernels/shares.h"

enum { MOST_K = 65536, PIECE_WORDS = 64, REFILL_NUMBERS = 1 << 16 };

static int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }
static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- Rows of A ---------------------------------------------------------------------------- */

/* A row of zeros, or nearly, is 0. One that is not all finite gives no number at all. */
static fv_quant_row quant_row(float low, float high)
{
    float scale = (high - low) / 255;
    if (scale < FLT_MIN) return (fv_quant_row){.scale = 1};
    if (!isfinite(scale)) return (fv_quant_row){.scale = NAN};
    return (fv_quant_row){.scale = scale, .inverse = 1 / scale, .zero = (int32_t)rintf(-low / scale)};
}

void fv_quantize_rows(fv_quant_row *rows, const fv_gemm *g, const fv_int8_table *table, int64_t first, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        float low, high;
        table->range(g->a + (first + i) * g->lda, g->k, &low, &high);
        rows[i] = quant_row(low, high);
    }
}

/* ---- Weights ------------------------------------------------------------------------------ */

/* NaN when x is not all finite. */
static float largest(const float *x, int64_t n)
{
    float top = 0, wrong = 0;
    for (int64_t i = 0; i < n; i++) {
        if (fabsf(x[i]) > top) top = fabsf(x[i]);
        wrong += x[i] * 0;
    }
    return top + wrong;
}

/* A row's scale, and by what its numbers are multiplied: 0 where they have no integers. */
static float scale_of(const float *w, int64_t k, float *inverse)
{
    float scale = largest(w, k) / 127;
    *inverse = isfinite(scale) && scale >= FLT_MIN ? 1 / scale : 0;
    return scale < FLT_MIN ? 1 : scale;
}

static void quantize(int8_t *q, const float *w, int64_t n, float inverse)
{
    for (int64_t l = 0; l < n; l++) q[l] = inverse > 0 ? (int8_t)rintf(w[l] * inverse) : 0;
}

void fv_quantize_weights(int8_t *q, int64_t ldq, float *scales, const float *w, int64_t ldw, int64_t n, int64_t k)
{
    for (int64_t j = 0; j < n; j++) {
        float inverse;
        scales[j] = scale_of(w + j * ldw, k, &inverse);
        quantize(q + j * ldq, w + j * ldw, k, inverse);
    }
}

/* The two sizes of number that a word may hold. */
static void put_number(uint8_t *word, int64_t at, int per_word, int8_t number)
{
    int16_t wide = number;
    if (per_word == 4) memcpy(word + at, &number, sizeof number);
    else memcpy(word + at * 2, &wide, sizeof wide);
}

/* n numbers into words that lie `step` bytes apart. The last word may be filled by less: it is zero already. */
static void put_numbers(uint8_t *to, int64_t step, const int8_t *w, int64_t n, int per_word)
{
    int64_t l = 0;
    if (per_word == 4) {
        for (; l + 4 <= n; l += 4, to += step) memcpy(to, w + l, 4);
    } else {
        for (; l + 2 <= n; l += 2, to += step) {
            uint32_t pair = (uint16_t)w[l] | (uint32_t)(uint16_t)w[l + 1] << 16;
            memcpy(to, &pair, sizeof pair);
        }
    }
    for (int64_t at = 0; l + at < n; at++) put_number(to, at, per_word, w[l + at]);
}

/* Where column j's words of the block that begins at `begin` begin. */
static float *column_at(const fv_packed *p, const fv_int8_table *t, int64_t begin, int64_t count, int64_t j)
{
    return p->panels + begin * round_up(p->n, t->nr) + j / t->nr * count * t->nr + j % t->nr;
}

static int64_t words_of(const fv_packed *p, const fv_int8_table *t) { return (p->k + t->per_word - 1) / t->per_word; }

/* Column j of B, into its place in the panels of each block. */
static void pack_column(fv_packed *p, const fv_int8_table *t, const int8_t *w, int64_t j)
{
    int64_t words = words_of(p, t), block = fv_gemm_k_block(words);
    int32_t sum = 0;
    for (int64_t begin = 0; begin < words; begin += block) {
        int64_t count = min64(block, words - begin), first = begin * t->per_word;
        uint8_t *to = (uint8_t *)column_at(p, t, begin, count, j);
        put_numbers(to, t->nr * (int64_t)sizeof(float), w + first, min64(p->k - first, count * t->per_word), t->per_word);
    }
    for (int64_t l = 0; l < p->k; l++) sum += w[l];
    p->sums[j] = sum;
}

fv_packed *fv_packed_new_int8(const int8_t *w, int64_t ldw, const float *scales, int64_t k, int64_t n, fv_err *err)
{
    if (k > MOST_K) return (void)FV_FAIL(err, FV_E_ARGUMENT, "int8 weights [%lld, %lld]: rows of more than %d numbers could overflow 32-bit sums; keep such weights in float32 or bf16", (long long)n, (long long)k, MOST_K), NULL;
    fv_packed *p = fv_alloc_zero(1, sizeof *p, err);
    if (!p) return NULL;
    const fv_isa_table *isa = fv_isa_current();
    const fv_int8_table *t = fv_isa_int8(isa);
    size_t words = (size_t)((k + t->per_word - 1) / t->per_word), columns = (size_t)round_up(n, t->nr);
    *p = (fv_packed){.isa = isa, .precision = FV_PRECISION_INT8, .k = k, .n = n, .bytes = (words + 2) * columns * sizeof(float)};
    p->panels = fv_alloc_zero(words * columns, sizeof(float), err);
    p->scales = p->panels ? fv_alloc_zero(columns, sizeof(float), err) : NULL;
    p->sums = p->scales ? fv_alloc_zero(columns, sizeof(int32_t), err) : NULL;
    if (!p->sums) {
        fv_packed_free(p);
        return NULL;
    }
    memcpy(p->scales, scales, (size_t)n * sizeof *scales);
    for (int64_t j = 0; j < n; j++) pack_column(p, t, w + j * ldw, j);
    return p;
}

/* ---- Weights that have moved --------------------------------------------------------------- */

typedef struct refilling {
    fv_packed *to;
    const fv_int8_table *table;
    const float *w;
    int64_t ldw, group; /* columns of a task */
} refilling;

/* Words [word, word + count) of column j from its numbers, which are integers only on their way; the sum of these. */
static int32_t refill_words(uint8_t *to, const refilling *r, const float *w, float inverse, int64_t word, int64_t count)
{
    int8_t q[PIECE_WORDS * 4];
    int per_word = r->table->per_word;
    int64_t step = r->table->nr * (int64_t)sizeof(float);
    int32_t sum = 0;
    for (int64_t at = 0; at < count; at += PIECE_WORDS) {
        int64_t first = (word + at) * per_word, n = min64(r->to->k - first, min64(PIECE_WORDS, count - at) * per_word);
        quantize(q, w + first, n, inverse);
        put_numbers(to + at * step, step, q, n, per_word);
        for (int64_t l = 0; l < n; l++) sum += q[l];
    }
    return sum;
}

static void refill_column(const refilling *r, int64_t j)
{
    fv_packed *p = r->to;
    const float *w = r->w + j * r->ldw;
    float inverse;
    int64_t words = words_of(p, r->table), block = fv_gemm_k_block(words);
    p->scales[j] = scale_of(w, p->k, &inverse);
    p->sums[j] = 0;
    for (int64_t begin = 0; begin < words; begin += block) {
        int64_t count = min64(block, words - begin);
        p->sums[j] += refill_words((uint8_t *)column_at(p, r->table, begin, count, j), r, w, inverse, begin, count);
    }
}

static void refill_task(void *arg, int64_t task, int worker)
{
    (void)worker;
    const refilling *r = arg;
    int64_t first = task * r->group, last = min64(first + r->group, r->to->n);
    for (int64_t j = first; j < last; j++) refill_column(r, j);
}

void fv_packed_refill_int8(fv_packed *packed, const float *w, int64_t ldw, fv_pool *pool)
{
    FV_ASSERT(packed->precision == FV_PRECISION_INT8);
    refilling r = {.to = packed, .table = fv_isa_int8(packed->isa), .w = w, .ldw = ldw};
    r.group = round_up(REFILL_NUMBERS / (packed->k + 1) + 1, r.table->nr); /* whole panels: no two tasks write to one cache line */
    fv_shares_run(pool, (packed->n + r.group - 1) / r.group, refill_task, &r);
}
