/* Products of int8 in plain C: the truth that the vector versions agree with to the bit, and what runs
 * where there is no faster table. See isa.h for what each does. */
#include <math.h>
#include <string.h>

#include "kernels/cpu/isa.h"

#define MR 4
#define NR 8
#define PER_WORD 4

static bool supported(void) { return true; }

/* x · 0 is NaN for what is not finite. */
static void range(const float *x, int64_t n, float *low, float *high)
{
    float wrong = 0;
    *low = *high = 0;
    for (int64_t i = 0; i < n; i++) {
        if (x[i] < *low) *low = x[i];
        if (x[i] > *high) *high = x[i];
        wrong += x[i] * 0;
    }
    *high += wrong;
}

/* Written so that what is no number becomes 0. */
static uint8_t quantized(float x, const fv_quant_row *row)
{
    float q = rintf(x * row->inverse) + (float)row->zero;
    return q > 0 ? q < 255 ? (uint8_t)q : 255 : 0;
}

static void pack_rows(float *out, int64_t width, const float *x, int64_t ldx, const fv_quant_row *rows, int64_t used, int64_t k)
{
    uint8_t *bytes = (uint8_t *)out;
    for (int64_t l = 0; l < (k + PER_WORD - 1) / PER_WORD * PER_WORD; l++) {
        for (int64_t i = 0; i < used; i++) bytes[(l / PER_WORD * width + i) * PER_WORD + l % PER_WORD] = l < k ? quantized(x[i * ldx + l], rows + i) : 0;
    }
}

static int32_t products(const float *a, int64_t a_step, const float *b, int64_t b_step, int64_t k)
{
    const uint8_t *x = (const uint8_t *)a;
    const int8_t *y = (const int8_t *)b;
    int32_t sum = 0;
    for (int64_t l = 0; l < k; l++) {
        for (int i = 0; i < PER_WORD; i++) sum += x[l * a_step * PER_WORD + i] * y[l * b_step * PER_WORD + i];
    }
    return sum;
}

static void tile(float *c, int64_t ldc, const float *a, int64_t a_step, const float *b, int64_t b_step, fv_ahead ahead, int64_t k, int rows, int cols, bool add, const fv_dequant *d)
{
    (void)ahead;
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < cols; j++) {
            int32_t before = 0, sum = products(a + i, a_step, b + j, b_step, k);
            if (add) memcpy(&before, c + i * ldc + j, sizeof before);
            sum += before;
            if (d) c[i * ldc + j] = (float)(sum - d->rows[i].zero * d->col_sums[j]) * (d->rows[i].scale * d->col_scales[j]) + (d->bias ? d->bias[j] : 0);
            else memcpy(c + i * ldc + j, &sum, sizeof sum);
        }
    }
}

const fv_int8_table fv_int8_plain = {
    .supported = supported, .mr = MR, .nr = NR, .per_word = PER_WORD,
    .range = range, .pack_rows = pack_rows, .tile = tile,
};
