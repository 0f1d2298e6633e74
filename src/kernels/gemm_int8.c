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

enum { MOST_K = 65536 };

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

void fv_quantize_weights(int8_t *q, int64_t ldq, float *scales, const float *w, int64_t ldw, int64_t n, int64_t k)
{
    for (int64_t j = 0; j < n; j++) {
        float scale = largest(w + j * ldw, k) / 127;
        scales[j] = scale < FLT_MIN ? 1 : scale;
        float inverse = isfinite(scale) && scale >= FLT_MIN ? 1 / scale : 0;
        for (int64_t l = 0; l < k; l++) q[j * ldq + l] = inverse > 0 ? (int8_t)rintf(w[j * ldw + l] * inverse) : 0;
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

/* Column j of B, into its place in the panels of each block. */
static void pack_column(fv_packed *p, const fv_int8_table *t, const int8_t *w, int64_t j)
{
    int64_t words = (p->k + t->per_word - 1) / t->per_word, block = fv_gemm_k_block(words), n = round_up(p->n, t->nr);
    int32_t sum = 0;
    for (int64_t begin = 0; begin < words; begin += block) {
        int64_t count = min64(block, words - begin), first = begin * t->per_word;
        float *to = p->panels + begin * n + j / t->nr * count * t->nr + j % t->nr;
        put_numbers((uint8_t *)to, t->nr * (int64_t)sizeof(float), w + first, min64(p->k - first, count * t->per_word), t->per_word);
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
