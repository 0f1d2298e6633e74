/* The table of inner loops: one for each instruction set. Each works on one row or one tile, knows
 * nothing of threads, masks nothing but what it is told, and never allocates. cpu/plain.c says in
 * plain C what each of them means; the others must agree with it up to rounding, and in the random
 * bits of dropout exactly.
 *
 * A product's operands are packed: B in panels b[k][nr], A in panels a[k][mr] (`pack` makes both).
 * A panel's last columns may be missing; then `tile` is told fewer, and looks no further than the
 * vector that holds the last one. */
#ifndef FV_KERNELS_CPU_ISA_H
#define FV_KERNELS_CPU_ISA_H

#include "kernels/kernels.h"

/* Into the second cache, since it is read only after what is at work. */
static inline void fv_ask(const float *p) { __builtin_prefetch(p, 0, 2); }

/* Two cache lines of each of k rows, b_step apart, that a tile of a product asks for from memory while it computes: of what is
 * multiplied next, so that nobody waits for it. Both may be one; NULL: none is wanted. */
typedef struct fv_ahead {
    const float *line, *other;
} fv_ahead;

static inline void fv_ask_ahead(fv_ahead a, int64_t at)
{
    fv_ask(a.line + at);
    fv_ask(a.other + at);
}

/* Distance of the rows that tile_rows reads: fixed, so that it can address them by constants. */
#define FV_TILE_LD 64

/* Columns that block_tops looks at as one: some vectors, so that sums across lanes are rare. */
#define FV_TOP_BLOCK 64

/* What follows a product on the tile that is still in the first cache: c = residual + act(c + bias).
 * Pointers are those of the tile's first element; NULL for what is not wanted. */
typedef struct fv_epilogue {
    const float *bias;
    fv_act act;
    float *pre;
    int64_t ldpre;
    const float *residual;
    int64_t ldres;
} fv_epilogue;

/* A tile of transposed scores, s[key][query]: each vector lane is a query, so that the softmax needs
 * no sums across lanes. Key r of the tile is key first_key + r of the sequence. */
typedef struct fv_score_tile {
    float *s;
    int64_t ld;
    int32_t n_keys, first_key;
    int32_t lanes;             /* queries, rounded up to whole vectors; fits ld */
    const int32_t *lo, *hi;    /* [lanes]: query sees keys lo <= j < hi; NULL when all are visible */
    const uint32_t *row_keys;  /* [lanes]: dropout; NULL for none */
    uint32_t drop;             /* a score's random byte below it is dropped */
} fv_score_tile;

typedef struct fv_isa_table {
    const char *name;
    bool (*supported)(void);
    int lanes; /* floats of a vector */
    int mr, nr; /* rows and columns of a product's register tile */

    /* out[l][i] = transpose ? x[i][l] : x[l][i], for l < k and i < used; beyond that, up to the end of
     * the vector or the panel, zeros or what is in x. */
    void (*pack)(float *out, int64_t width, const float *x, int64_t ldx, bool transpose, int64_t used, int64_t k);
    /* The same for `transpose`, in panels of nr, out[used / nr][k][nr], times scale. */
    void (*turn)(float *out, const float *x, int64_t ldx, float scale, int64_t used, int64_t k);
    /* c[rows][cols] = or += the sum over k of a[k][i] · b[k][j]; rows of a are a_step floats apart, of b b_step. */
    void (*tile)(float *c, int64_t ldc, const float *a, int64_t a_step, const float *b, int64_t b_step, fv_ahead ahead, int64_t k, int rows, int cols, bool add);
    /* The same with a[i][k], its rows FV_TILE_LD apart. */
    void (*tile_rows)(float *c, int64_t ldc, const float *a, const float *b, int64_t b_step, int64_t k, int rows, int cols, bool add);
    void (*epilogue)(float *c, int64_t ldc, int rows, int cols, const fv_epilogue *e);

    /* One step of the online softmax. max, sum: [lanes], the state, starting from -inf and 0. Scores
     * become exp(s - max), 0 where hidden or dropped; the sum counts the dropped. alpha: [lanes],
     * what earlier sums of values must be multiplied by. */
    void (*softmax_tile)(const fv_score_tile *t, float *max, float *sum, float *alpha);
    /* s becomes p = exp(s - lse), 0 where dropped; dp becomes p' · (dp · scale - delta), p' being p
     * before dropout, and dp counting as 0 where dropped. lse, delta: [lanes]. */
    void (*softmax_grad_tile)(const fv_score_tile *t, float *dp, const float *lse, const float *delta, float scale);

    /* Attention of one query to n rows of keys or values that lie anywhere, of which columns [at, at + D) count:
     * s[i] = scale · (q · row i); the softmax of n > 0 scores, in their place; y = or += the sum of w[i] · row i. */
    void (*dot_rows)(float *s, const float *q, const float *const *rows, int64_t at, int64_t n, int64_t D, float scale);
    void (*softmax)(float *s, int64_t n);
    void (*mix_rows)(float *y, bool add, const float *w, const float *const *rows, int64_t at, int64_t n, int64_t D);

    float (*dot)(const float *a, const float *b, int64_t n);
    void (*copy)(float *y, int64_t ldy, bool add, const float *x, int64_t ldx, float scale, int64_t rows, int64_t n); /* y = or += scale · x */
    void (*scale_rows)(float *x, int64_t ldx, const float *scales, int64_t rows, int64_t n);                          /* each by its own */
    void (*add_row)(float *y, const float *a, const float *b, int64_t n);
    void (*sum_rows)(float *out, bool add, const float *x, int64_t ldx, int64_t rows, int64_t n);
    double (*sum_squares)(const float *x, int64_t n);
    void (*act_forward)(float *y, const float *x, int64_t n, fv_act act);
    void (*act_backward)(float *dx, bool add, const float *dy, const float *x, int64_t n, fv_act act);
    void (*norm_forward)(float *y, float *mean, float *rstd, const float *x, const float *w, const float *b, int64_t n, float eps);
    /* dx NULL: not wanted. dw, db: added to, both NULL: not wanted. */
    void (*norm_backward)(float *dx, bool add, float *dw, float *db, const float *dy, const float *x, const float *w, float mean, float rstd, int64_t n);
    /* log of the sum of exp(x); *sum = the sum of x. */
    float (*log_sum_exp)(const float *x, int64_t n, float *sum);
    /* tops[i] = the largest of x[i · FV_TOP_BLOCK ..), -inf where none is a number. */
    void (*block_tops)(float *tops, const float *x, int64_t n);
    /* sums[q · ld + r] = row r · query q, exactly. Rows and queries are `stride` numbers apart and long, whole FV_SCAN_UNITs. */
    void (*scan)(int32_t *sums, int64_t ld, const int8_t *rows, int n_rows, const int16_t *queries, int n_queries, int64_t stride);
    /* dx = or += weight · exp(x - lse) - shift. */
    void (*softmax_row)(float *dx, bool add, const float *x, int64_t n, float lse, float weight, float shift);
    /* y = or += (byte >= drop ? x · scale : 0) + residual. Column c takes byte (c / 16) % 4, from the
     * top, of word (c / 64) · 16 + c % 16: sixteen words serve four vectors of sixteen lanes. */
    void (*dropout_row)(float *y, bool add, const float *x, const float *residual, int64_t n, uint32_t row_key, uint32_t drop, float scale);
    void (*adam)(float *w, float *m, float *v, const float *grad, int64_t n, const fv_adam *adam);

    void (*triad)(float *a, const float *b, const float *c, float s, int64_t n); /* a, b, c: 64-byte aligned */
    double (*fma_chains)(int64_t steps);                                        /* gives back how many operations it did */
} fv_isa_table;

/* Products in fewer bits. A word, as wide as a float and lying where one would, holds `per_word` neighbours
 * along k; panels and tiles are those of float32 with words for floats, and k counts words in `tile`,
 * numbers in `pack`. The last word is filled up with numbers that multiply to 0. */
typedef struct fv_bf16_table {
    bool (*supported)(void);
    int mr, nr;
    void (*pack)(float *out, int64_t width, const float *x, int64_t ldx, bool transpose, int64_t used, int64_t k);
    void (*tile)(float *c, int64_t ldc, const float *a, int64_t a_step, const float *b, int64_t b_step, fv_ahead ahead, int64_t k, int rows, int cols, bool add);
    double (*chains)(int64_t steps);
} fv_bf16_table;

/* How a row of A is quantised: q = round(x · inverse) + zero, within 0..255; x is about scale · (q - zero). */
typedef struct fv_quant_row {
    float scale, inverse;
    int32_t zero;
} fv_quant_row;

/* How a tile of integer sums becomes floats: (sum - zero · col_sum) · (scale · col_scale) + bias. All of a panel's columns exist, but of the bias. */
typedef struct fv_dequant {
    const fv_quant_row *rows;
    const float *col_scales;
    const int32_t *col_sums; /* of the int8 weights */
    const float *bias;       /* NULL for none */
} fv_dequant;

typedef struct fv_int8_table {
    bool (*supported)(void);
    int mr, nr, per_word; /* 4: bytes; 2: 16 bits each, for processors that add no four products of bytes without clipping */
    /* *low = the smallest of 0 and x, *high = the largest, or NaN when x is not all finite. */
    void (*range)(const float *x, int64_t n, float *low, float *high);
    void (*pack_rows)(float *out, int64_t width, const float *x, int64_t ldx, const fv_quant_row *rows, int64_t used, int64_t k);
    /* c[rows][cols] holds 32-bit integer sums, set or added to; floats once `d` is given, with the last of the sums. */
    void (*tile)(float *c, int64_t ldc, const float *a, int64_t a_step, const float *b, int64_t b_step, fv_ahead ahead, int64_t k, int rows, int cols, bool add, const fv_dequant *d);
    double (*chains)(int64_t steps); /* NULL: not worth measuring */
} fv_int8_table;

extern const fv_int8_table fv_int8_plain;
extern const fv_isa_table fv_isa_plain;
#if defined(__x86_64__)
extern const fv_isa_table fv_isa_avx2, fv_isa_avx512;
extern const fv_bf16_table fv_bf16_avx512;
extern const fv_int8_table fv_int8_avx2, fv_int8_avx512;
#elif defined(__aarch64__)
extern const fv_isa_table fv_isa_neon;
#endif

/* The table in use. */
const fv_isa_table *fv_isa_current(void);
/* What goes with a table: NULL where bf16 has no instructions of its own (float32's then multiply what was rounded). */
const fv_bf16_table *fv_isa_bf16(const fv_isa_table *isa);
const fv_int8_table *fv_isa_int8(const fv_isa_table *isa);

/* A random word of a row: the finaliser "lowbias32" (Wellons 2018) of key + index · golden ratio.
 * Rows' keys differ by fv_mix, so two rows agree by chance only. */
#define FV_WORD_STEP 0x9e3779b9u
#define FV_WORD_MUL1 0x7feb352du
#define FV_WORD_MUL2 0x846ca68bu
static inline uint32_t fv_random_word(uint32_t row_key, uint32_t index)
{
    uint32_t x = row_key + index * FV_WORD_STEP;
    x = (x ^ (x >> 16)) * FV_WORD_MUL1;
    x = (x ^ (x >> 15)) * FV_WORD_MUL2;
    return x ^ (x >> 16);
}

#endif
