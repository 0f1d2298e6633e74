/* Attention of one query, in vectors: what a step of decoding is made of. Part of simd.inc.c, whose words
 * and functions it uses; kernels/attention_step.c calls it for a few keys of one head at a time.
 *
 * The trap: rows of keys and values lie anywhere, so that the processor cannot guess the next one; what
 * hides the way to memory is that VL rows are read side by side. */

/* One piece of four vectors, or of one, of VL keys: q stays in registers while the keys go by. */
INLINE void dot_piece(vf sum[VL], const float *q, const float *const row[VL], int64_t at, int vectors, int64_t left)
{
    vf x[4];
    UNROLL
    for (int j = 0; j < vectors; j++) x[j] = get(q + j * VL, left - j * VL);
    UNROLL
    for (int i = 0; i < VL; i++) {
        UNROLL
        for (int j = 0; j < vectors; j++) sum[i] = vf_fma(x[j], get(row[i] + at + j * VL, left - j * VL), sum[i]);
    }
}

/* The sums of VL vectors, one in each lane, by a fixed tree. */
INLINE vf sums_across(vf r[VL])
{
    vf_transpose(r);
    UNROLL
    for (int half = VL / 2; half > 0; half /= 2) {
        UNROLL
        for (int i = 0; i < half; i++) r[i] = vf_add(r[i], r[i + half]);
    }
    return r[0];
}

static void dot_rows(float *s, const float *q, const float *const *rows, int64_t at, int64_t n, int64_t D, float scale)
{
    for (int64_t key = 0; key < n; key += VL) {
        vf sum[VL];
        const float *row[VL]; /* what does not exist repeats the last */
        int64_t d = 0;
        UNROLL
        for (int i = 0; i < VL; i++) {
            row[i] = rows[key + i < n ? key + i : n - 1];
            sum[i] = vf_zero();
        }
        for (; d + 4 * VL <= D; d += 4 * VL) dot_piece(sum, q + d, row, at + d, 4, 4 * VL);
        for (; d + VL <= D; d += VL) dot_piece(sum, q + d, row, at + d, 1, VL);
        if (d < D) dot_piece(sum, q + d, row, at + d, 1, D - d);
        put(s + key, vf_mul(sums_across(sum), vf_set(scale)), n - key);
    }
}

/* exp_falling is for finite differences: a score that is no number makes the sum none, and so shows. */
static void softmax(float *s, int64_t n)
{
    vf top = vf_set(-INFINITY), sum = vf_zero();
    for (int64_t i = 0; i < n; i += VL) top = vf_max(vf_pick(lanes_below(n - i), get(s + i, n - i), top), top);
    vf base = vf_set(vf_top(top));
    for (int64_t i = 0; i < n; i += VL) {
        vf p = vf_keep(lanes_below(n - i), exp_falling(vf_sub(get(s + i, n - i), base)));
        sum = vf_add(sum, p);
        put(s + i, p, n - i);
    }
    vf share = vf_set(1.0f / vf_sum(sum));
    for (int64_t i = 0; i < n; i += VL) put(s + i, vf_mul(get(s + i, n - i), share), n - i);
}

/* Sums of `vectors` vectors of columns, beginning at column d. */
INLINE void mix_strip(float *y, bool add, const float *w, const float *const *rows, int64_t at, int64_t n, int vectors, int64_t left)
{
    vf sum[8];
    UNROLL
    for (int j = 0; j < vectors; j++) sum[j] = add ? get(y + j * VL, left - j * VL) : vf_zero();
    for (int64_t i = 0; i < n; i++) {
        vf x = vf_set(w[i]);
        UNROLL
        for (int j = 0; j < vectors; j++) sum[j] = vf_fma(x, get(rows[i] + at + j * VL, left - j * VL), sum[j]);
    }
    UNROLL
    for (int j = 0; j < vectors; j++) put(y + j * VL, sum[j], left - j * VL);
}

static void mix_rows(float *y, bool add, const float *w, const float *const *rows, int64_t at, int64_t n, int64_t D)
{
    int64_t d = 0;
    for (; d + 8 * VL <= D; d += 8 * VL) mix_strip(y + d, add, w, rows, at + d, n, 8, 8 * VL);
    for (; d + 4 * VL <= D; d += 4 * VL) mix_strip(y + d, add, w, rows, at + d, n, 4, 4 * VL);
    for (; d < D; d += VL) mix_strip(y + d, add, w, rows, at + d, n, 1, D - d);
}
