/* Products of int8 in vectors, compiled by avx512_vnni.c and avx2_int8.c, each of which defines over
 * simd_*.h what its words are:
 *   INT8_TABLE, PER_WORD, supported()
 *   vi_sub, vi_zero, vf_of     differences; whole numbers as floats
 *   vf_bits, vi_bits           the same bits as the other kind
 *   vs_dot(x, y, sum)          sum + the products of a word of A and one of B
 *   words_of                   quantises; see words.inc.c */
typedef vi vw, vs;

INLINE vw vw_load(const float *p) { return vi_load(p); }
INLINE vw vw_set(const float *p) { return vi_bits(vf_set(*p)); }
INLINE vs vs_zero(void) { return vi_zero(); }

INLINE void put(float *p, vf x, int64_t left)
{
    if (left >= VL) vf_store(p, x);
    else vf_store_part(p, x, left);
}

/* Whole panels of scales and sums exist, so their loads need no look at the end. */
INLINE vf dequantized(vs sum, const fv_dequant *d, int64_t left, int row, int col)
{
    vi zeros = vi_mul(vi_set((uint32_t)d->rows[row].zero), vi_load(d->col_sums + col));
    vf x = vf_mul(vf_of(vi_sub(sum, zeros)), vf_mul(vf_set(d->rows[row].scale), vf_load(d->col_scales + col)));
    return d->bias ? vf_add(x, get_some(d->bias + col, left)) : x;
}

INLINE void vs_give(float *c, vs sum, int64_t left, bool add, const fv_dequant *d, int row, int col)
{
    if (add) sum = vi_add(sum, vi_bits(left >= VL ? vf_load(c) : vf_load_part(c, left)));
    put(c, d ? dequantized(sum, d, left, row, col) : vf_bits(sum), left);
}

#include "kernels/cpu/words.inc.c"

/* x · 0 is NaN for what is not finite: the maxima alone would lose it. */
static void range(const float *x, int64_t n, float *low, float *high)
{
    vf below = vf_zero(), above = vf_zero(), wrong = vf_zero();
    for (int64_t i = 0; i < n; i += VL) {
        vf y = get_some(x + i, n - i);
        below = vf_max(vf_sub(vf_zero(), y), below);
        above = vf_max(y, above);
        wrong = vf_fma(y, vf_zero(), wrong);
    }
    *low = -vf_top(below);
    *high = vf_top(above) + vf_sum(wrong);
}

static void tile(float *c, int64_t ldc, const float *a, int64_t a_step, const float *b, int64_t b_step, fv_ahead ahead, int64_t k, int rows, int cols, bool add, const fv_dequant *d)
{
    tiles[rows - 1][cols > VL](c, ldc, a, a_step, b, b_step, ahead.line ? ahead : (fv_ahead){b, b}, k, cols, add, d);
}

const fv_int8_table INT8_TABLE = {
    .supported = supported, .mr = MR, .nr = NR, .per_word = PER_WORD,
    .range = range, .pack_rows = pack_turned, .tile = tile, .chains = chains,
};
