/* Arithmetic on raw pointers. Every call here splits its work into tasks by the problem's size and
 * runs them on the pool; the inner loops come from a table chosen once by what the processor offers.
 *
 *   dispatch.c         picks the table: FOVEA_ISA=plain|avx2|avx512|neon forces one
 *   gemm.c             packing, blocking, epilogue, in float32 and bf16
 *   shares.c           which thread begins with which tasks, so that caches keep their worth
 *   gemm_int8.c        what int8 adds: scales, quantising, dequantising
 *   gemm_columns.c     some columns of packed weights, for a vocabulary's shortlist
 *   attention.c        how a batch is cut, bounds; forward: tiles with an online softmax
 *   attention_backward.c  the gradients, from weights made again
 *   attention_step.c   one new query a row against keys and values that are kept: a step of decoding
 *   rows.c             norms, activations, losses, embeddings, optimiser, reductions: what walks rows
 *   top.c              the best columns of rows, for whoever chooses among them
 *   scan.c             the rows nearest to a query, for searching
 *   measure.c          what the processor and the memory reach at best
 *   cpu/isa.h          the table of inner loops
 *   cpu/plain.c        the truth, in plain C
 *   cpu/simd.inc.c     the same in vectors, compiled once for each instruction set by cpu/avx2.c, cpu/avx512.c, cpu/neon.c
 *   cpu/words.inc.c    products of words that hold several numbers: cpu/avx512_bf16.c, cpu/avx512_vnni.c, cpu/avx2_int8.c
 *
 * Matrices are row-major float32; `ld` is the distance of rows in floats; columns are unit stride.
 * "add" means: add to what is there, else set it. Results do not depend on the number of threads. */
#ifndef FV_KERNELS_KERNELS_H
#define FV_KERNELS_KERNELS_H

#include "base/pool.h"
#include "base/rng.h"

const char *fv_kernels_isa(void);                              /* in use now */
fv_status fv_kernels_force(const char *isa, fv_err *err);      /* tests; FV_E_ARGUMENT lists what this machine has */
/* FV_E_ARGUMENT when FOVEA_ISA names what this machine lacks (the fastest is used then): for the public calls to ask early. */
fv_status fv_kernels_check(fv_err *err);
int fv_kernels_list(const char **names, int max);              /* what this build and processor offer, slowest first */

/* GELU: exact, by erf; GELU_TANH: the approximation by tanh beside it (Hendrycks & Gimpel 2016). SILU: x · sigmoid(x),
 * which is named swish, too (Elfwing et al. 2018). */
typedef enum fv_act { FV_ACT_NONE, FV_ACT_RELU, FV_ACT_GELU, FV_ACT_TANH, FV_ACT_SILU, FV_ACT_GELU_TANH } fv_act;
enum { FV_N_ACTS = FV_ACT_GELU_TANH + 1 };

/* ---- Products ----------------------------------------------------------------------------- */

typedef struct fv_packed fv_packed; /* B of a product, laid out for the instruction set in use */

/* What a product's operands are rounded to; sums, C and the epilogue are float32 (int8: 32-bit integers, then float32).
 *   bf16  to nearest even, both operands, while they are packed. Where the processor multiplies pairs of bf16, numbers
 *         below 2^-126 count as 0, and it rounds sums by a rule of its own: bits differ between instruction sets.
 *   int8  weights to -127..127 with a scale for each column of B, rows of A to 0..255 with a scale and a zero point
 *         for each row. Integer sums are exact, so that bits agree between instruction sets as far as `act` does. */
typedef enum fv_precision { FV_PRECISION_F32, FV_PRECISION_BF16, FV_PRECISION_INT8 } fv_precision;

/* C[m,n] = residual + act(A·B + bias), or C += A·B when `add` (then no epilogue).
 *   a   [m,k], or [k,m] when a_t        b   [k,n], or [n,k] when b_t (as weights [out,in] are stored)
 *   pre NULL, or where A·B + bias goes before the activation, for backward */
typedef struct fv_gemm {
    int64_t m, n, k;
    const float *a, *b;
    int64_t lda, ldb;
    bool a_t, b_t;
    const fv_packed *packed; /* used instead of b when not NULL */
    fv_precision precision;  /* float32 or bf16; packed B decides it by itself. int8 only so, without a_t and add */
    float *c;
    int64_t ldc;
    bool add;
    const float *bias;       /* [n] or NULL */
    fv_act act;
    float *pre;
    int64_t ldpre;
    const float *residual;   /* [m,n] or NULL */
    int64_t ldres;
} fv_gemm;

size_t fv_gemm_scratch(const fv_gemm *g, int threads); /* bytes that fv_gemm_run needs */
void fv_gemm_run(const fv_gemm *g, fv_pool *pool, void *scratch);
/* Packs B for many products. Free with fv_packed_free. */
fv_packed *fv_packed_new(const float *b, int64_t ldb, bool b_t, int64_t k, int64_t n, fv_pool *pool, fv_err *err);
fv_packed *fv_packed_new_bf16(const float *b, int64_t ldb, bool b_t, int64_t k, int64_t n, fv_pool *pool, fv_err *err);
/* From int8 weights [n,k] and n scales, which are copied. k up to 65,536, beyond which sums could overflow: FV_E_ARGUMENT. */
fv_packed *fv_packed_new_int8(const int8_t *w, int64_t ldw, const float *scales, int64_t k, int64_t n, fv_err *err);
/* Packs weights [n,k] anew in place of those that were: what fv_quantize_weights and fv_packed_new_int8 make of them, with no allocation. */
void fv_packed_refill_int8(fv_packed *packed, const float *w, int64_t ldw, fv_pool *pool);
/* Room for up to `most` columns of matrices like this one (its k, precision and instruction set): none are in it yet. A vocabulary's shortlist, say. */
fv_packed *fv_packed_columns_new(const fv_packed *like, int64_t most, fv_err *err);
/* Column j of `to` becomes column columns[j] of `from`, for n of them: a product with `to` has the bits of those columns of the product with `from`.
 * Sorted columns are taken fastest. What was in `to` is forgotten; nothing is allocated. */
void fv_packed_take_columns(fv_packed *to, const fv_packed *from, const int32_t *columns, int64_t n, fv_pool *pool);
void fv_packed_free(fv_packed *packed);
size_t fv_packed_bytes(const fv_packed *packed);
fv_precision fv_packed_precision(const fv_packed *packed);
/* Weights [n,k] to int8, each row's largest to 127: w is about scales[row] · q. A row of zeros has scale 1; one that holds
 * no finite number, a scale that is none, so that it shows. */
void fv_quantize_weights(int8_t *q, int64_t ldq, float *scales, const float *w, int64_t ldw, int64_t n, int64_t k);

/* ---- Attention ---------------------------------------------------------------------------- */

/* softmax(scale · q kᵀ + bounds) v for ragged sequences (Vaswani et al. 2017, eq. 1), never an L×L
 * matrix: tiles with an online softmax (Milakov & Gimelshein 2018; Dao et al. 2022).
 *   q, out, dq  [N, H·D] rows by q_offsets[B+1], row strides ldq, ldo, lddq
 *   k, v, dk, dv [M, K·D] rows by k_offsets[B+1]; H divisible by K (query head h reads key head h·K/H)
 *   lse         [N, H] log-sum-exp of each row's scaled visible scores, for backward
 *   causal      query i of a sequence with n queries and m keys sees key j when j <= i + (m - n)
 *   window      > 0: and only when |j - (i + m - n)| < window
 *   k_limits    NULL, or [B]: only the first k_limits[b] keys of sequence b are visible
 *   dropout     probability on the weights, rounded to 1/256, at most 255/256: 8 random bits a score, from the key, the
 *               sequence's name, the head, and the two positions: drawn again in backward
 *   bias        NULL, or [H, 2·span+1]: bias[h][span + clamp(j - (i + m - n), -span, span)] is added to the scaled score of
 *               query i and key j (Shaw et al. 2018 as Raffel et al. 2020 have it, 2.1); row stride ldbias
 * A row that sees no key gives zeros, lse = -inf, and no gradient. Scores may be of any finite size. */
typedef struct fv_attention {
    int32_t B, H, K, D;
    const int32_t *q_offsets, *k_offsets, *k_limits;
    const uint64_t *sequences; /* [B]; may be NULL without dropout */
    float scale;
    bool causal;
    int32_t window;
    float dropout;
    uint64_t key;
    const float *q, *k, *v;
    int64_t ldq, ldk, ldv;
    float *out, *lse;
    int64_t ldo;
    const float *bias;
    int64_t ldbias;
    int32_t span;
} fv_attention;

size_t fv_attention_scratch(const fv_attention *a, int threads); /* forward and backward */
void fv_attention_forward(const fv_attention *a, fv_pool *pool, void *scratch);
/* Uses a->out and a->lse of forward. add_*: whether to add to the gradient that is there. */
typedef struct fv_attention_grad {
    const float *dout;
    int64_t lddo;
    float *dq, *dk, *dv; /* all or none of them NULL */
    int64_t lddq, lddk, lddv;
    bool add_q, add_k, add_v;
    float *dbias; /* [H, 2·span+1], added to; NULL: not wanted */
    int64_t lddbias;
} fv_attention_grad;
void fv_attention_backward(const fv_attention *a, const fv_attention_grad *g, fv_pool *pool, void *scratch);
/* For people: the weights of one sequence and head, [n queries, m keys], recomputed from q, k and lse, without dropout. */
void fv_attention_weights(const fv_attention *a, int32_t sequence, int32_t head, float *weights);
/* Multiply-adds × 2 over the scores that the bounds leave visible: forward 4·D a score; backward 10·D. */
double fv_attention_flops(const fv_attention *a, bool backward);

/* One new query a row against keys and values that are kept in slots: a step of decoding. Scores of a row fit into scratch, so the softmax is the
 * plain one.
 *   q, out   [R, H·D]              k, v    [slots, K·D], H divisible by K
 *   places   [R, ldplaces] slots of row r's keys, oldest first, lengths[r] of them; NULL: slots firsts[r] .. firsts[r] + lengths[r] - 1
 *   bias     NULL, or [H, 2·span+1]: bias[h][span + clamp(j - i, -span, span)] is added to the scaled score of key j for the newest place
 *            i = lengths[r] - 1 (relative positions)
 *   weights  NULL, or [R, ldweights]: the mean over heads of the softmax weights, for alignment; what is beyond lengths[r] is left alone
 * A row of length 0 gives zeros. What a row gives depends on no other row. Rows that stand together and have equal firsts and lengths share the reading
 * of their keys, most so where ldk and ldv are no multiple of 1,024 floats: of rows 4 KB apart a first cache keeps eight. (1.6 times as fast with 16 floats more.) */
typedef struct fv_attention_step {
    int32_t R, H, K, D;
    float scale;
    const float *q, *k, *v;
    int64_t ldq, ldk, ldv;
    const int32_t *places, *firsts, *lengths;
    int64_t ldplaces;
    const float *bias;
    int32_t span;
    float *out;
    int64_t ldo;
    float *weights;
    int64_t ldweights;
} fv_attention_step;

size_t fv_attention_step_scratch(const fv_attention_step *s, int most_keys, int threads); /* looks at sizes alone: the rest may be set later */
void fv_attention_step_forward(const fv_attention_step *s, fv_pool *pool, void *scratch);

/* ---- Rows --------------------------------------------------------------------------------- */

/* y = (x - mean) / sqrt(var + eps) · w + b by rows (Ba et al. 2016). mean, rstd: [rows], may be NULL when running. */
void fv_layer_norm_forward(float *y, int64_t ldy, float *mean, float *rstd, const float *x, int64_t ldx, const float *w, const float *b, int64_t rows, int64_t cols, float eps, fv_pool *pool);
size_t fv_layer_norm_scratch(int64_t rows, int64_t cols);
/* dx set or added (NULL: not wanted); dw and db added (NULL: not wanted). */
void fv_layer_norm_backward(float *dx, int64_t lddx, bool add, float *dw, float *db, const float *dy, int64_t lddy, const float *x, int64_t ldx, const float *w, const float *mean, const float *rstd, int64_t rows, int64_t cols, fv_pool *pool, void *scratch);

void fv_act_forward(float *y, int64_t ldy, const float *x, int64_t ldx, int64_t rows, int64_t cols, fv_act act, fv_pool *pool);
/* dx = dy · act'(x), x being what went into the activation. dx may be dy. */
void fv_act_backward(float *dx, int64_t lddx, bool add, const float *dy, int64_t lddy, const float *x, int64_t ldx, int64_t rows, int64_t cols, fv_act act, fv_pool *pool);

/* y = x · mask / keep (+ residual). One random byte an element from (key, sequence, position in the
 * sequence, column); rows by offsets. p is rounded to 1/256. The same call on dy gives dx. */
typedef struct fv_dropout {
    float p;
    uint64_t key;
    int32_t B;
    const int32_t *offsets;    /* [B+1] */
    const uint64_t *sequences; /* [B] */
} fv_dropout;
void fv_dropout_apply(float *y, int64_t ldy, bool add, const float *x, int64_t ldx, const float *residual, int64_t ldres, int64_t cols, const fv_dropout *d, fv_pool *pool);

void fv_copy_rows(float *y, int64_t ldy, bool add, const float *x, int64_t ldx, float scale, int64_t rows, int64_t cols, fv_pool *pool); /* y = or += scale·x */
void fv_add_rows(float *y, int64_t ldy, const float *a, int64_t lda, const float *b, int64_t ldb, int64_t rows, int64_t cols, fv_pool *pool);
void fv_sum_columns(float *out, bool add, const float *x, int64_t ldx, int64_t rows, int64_t cols, fv_pool *pool); /* bias gradients */

/* y[i] = scale · table[ids[i]] (set or add); backward: dtable[ids[i]] += scale · dy[i], in row order. */
void fv_gather_rows(float *y, int64_t ldy, bool add, const float *table, int64_t ldt, const int32_t *ids, float scale, int64_t rows, int64_t cols, fv_pool *pool);
void fv_scatter_rows(float *dtable, int64_t ldt, const float *dy, int64_t lddy, const int32_t *ids, float scale, int64_t rows, int64_t cols, fv_pool *pool);

/* y = or += x with pairs of each head's channels turned (rotary positions, Su et al. 2021): channels i and i + D/2, or
 * 2i and 2i+1 when `interleaved`, by the angle whose cosine and sine are table[place][i] and table[place][D/2 + i]. */
typedef struct fv_rotation {
    const float *table;    /* [places, D] */
    const int32_t *places; /* [rows]; NULL: row r has place r */
    int32_t heads, D;
    bool interleaved, back; /* back: by the opposite angle */
} fv_rotation;
void fv_rotate_rows(float *y, int64_t ldy, bool add, const float *x, int64_t ldx, const fv_rotation *rotation, int64_t rows, fv_pool *pool);

/* Row-wise softmax cross-entropy with label smoothing s (Szegedy et al. 2016): the target is (1-s) on
 * targets[r] plus s spread over all cols. targets[r] < 0: the row counts nothing. loss: [rows], and
 * lse: [rows]. backward: dx = weight · (softmax(x) - target), dx set or added. */
void fv_cross_entropy_forward(float *loss, float *lse, const float *x, int64_t ldx, const int32_t *targets, float smoothing, int64_t rows, int64_t cols, fv_pool *pool);
void fv_cross_entropy_backward(float *dx, int64_t lddx, bool add, const float *x, int64_t ldx, const float *lse, const int32_t *targets, float smoothing, float weight, int64_t rows, int64_t cols, fv_pool *pool);
/* The same when columns come in tiles, in order: x holds columns [first, first + cols) of `all`. Loss and lse are whole after
 * the last tile; backward takes that lse for every tile, and dx may be x. */
void fv_cross_entropy_tile_forward(float *loss, float *lse, const float *x, int64_t ldx, const int32_t *targets, float smoothing, int64_t rows, int64_t first, int64_t cols, int64_t all, fv_pool *pool);
void fv_cross_entropy_tile_backward(float *dx, int64_t lddx, bool add, const float *x, int64_t ldx, const float *lse, const int32_t *targets, float smoothing, float weight, int64_t rows, int64_t first, int64_t cols, int64_t all, fv_pool *pool);

/* The k best columns of each row, best first, equal ones by column; -1 where there are fewer (what is NaN or -inf is none).
 *   best, values [rows, k]; lse [rows] log-sum-exp of the row, NaN if any of it is
 *   counts       NULL, or [rows]: only so many columns of each row count */
void fv_top_rows(int32_t *best, float *values, float *lse, const float *x, int64_t ldx, const int32_t *counts, int64_t rows, int64_t cols, int k, fv_pool *pool);

/* ---- Nearest rows ------------------------------------------------------------------------- */

/* The k rows whose products with a query are largest. All rows are looked at as int8, which is a quarter of the memory to read; a bound
 * on what that loses says which of them may be among the best, and those are multiplied as they are, in double. So the answer is that of the
 * slow way: exact, the same on every instruction set and with any number of threads. */
enum { FV_SCAN_UNIT = 32 }; /* rows of int8 are whole units long */

/* Some rows, quantised by fv_scan_quantize. Names are what tells rows apart; of equal products the lower name is first. */
typedef struct fv_scan_block {
    const float *x;               /* [n, D] */
    const int8_t *q;              /* [n, fv_scan_stride(D)] */
    const float *scales, *slacks; /* [n] */
    const int64_t *names;         /* [n] */
    int64_t n;
} fv_scan_block;

typedef struct fv_near {
    int64_t name;
    float score;
} fv_near;

static inline int64_t fv_scan_stride(int64_t D) { return (D + FV_SCAN_UNIT - 1) / FV_SCAN_UNIT * FV_SCAN_UNIT; }
/* False when x has a number that is none, or is longer than FV_SCAN_LONGEST: what follows would overflow. */
#define FV_SCAN_LONGEST 1e15
bool fv_scan_takes(const float *x, int64_t D);
void fv_scan_quantize(int8_t *q, float *scale, float *slack, const float *x, int64_t D);
/* a · b in double, in a fixed order. */
double fv_scan_product(const float *a, const float *b, int64_t D);

/* out [n_queries, k], best first; counts [n_queries] how many there are. Every query is one that fv_scan_takes. */
size_t fv_scan_scratch(int64_t D, int64_t n_queries, int k, int threads);
void fv_scan_top(fv_near *out, int *counts, const fv_scan_block *blocks, int64_t n_blocks, const float *queries, int64_t ldq, int64_t n_queries, int64_t D, int k, fv_pool *pool, void *scratch);

/* The best k so far of what is added in any order: a heap whose first is the worst. Sorted, it is a list and takes no more. */
typedef struct fv_nearest {
    fv_near *items; /* [k] */
    int k, n;
} fv_nearest;
static inline bool fv_near_before(fv_near a, fv_near b) { return a.score > b.score || (a.score == b.score && a.name < b.name); }
/* Whether such a score may still be among them. */
static inline bool fv_nearest_wants(const fv_nearest *best, float score) { return best->n < best->k || (best->k && score >= best->items[0].score); }
void fv_nearest_add(fv_nearest *best, int64_t name, float score);
void fv_nearest_sort(fv_nearest *best);

/* ---- Parameters --------------------------------------------------------------------------- */

/* Sum of squares in double, in a fixed order. scratch: fv_sum_squares_scratch(n) bytes. */
size_t fv_sum_squares_scratch(int64_t n);
double fv_sum_squares(const float *x, int64_t n, fv_pool *pool, void *scratch);

/* One step of Adam (Kingma & Ba 2015) on n parameters; AdamW (Loshchilov & Hutter 2019) decouples the
 * decay, Adam adds it to the gradient. grad is scaled by grad_scale first (clipping, averaging). */
typedef struct fv_adam {
    float lr, beta1, beta2, epsilon, decay, grad_scale;
    float correction1, correction2; /* 1 - beta^t */
    bool decoupled;
} fv_adam;
void fv_adam_step(float *w, float *m, float *v, const float *grad, int64_t n, const fv_adam *adam, fv_pool *pool);

/* ---- Measure ------------------------------------------------------------------------------ */

/* What this processor reaches with `threads` threads: independent multiply-add chains in registers
 * (float32, GFLOP/s), and a[i] = b[i] + s·c[i] over `bytes` of memory (GB/s). Best of several runs. */
double fv_peak_fma(fv_pool *pool);
/* The same for products of bf16 and of int8 (a multiply-add counts 2 here too); 0 where the processor has none. */
double fv_peak_bf16(fv_pool *pool);
double fv_peak_int8(fv_pool *pool);
double fv_peak_memory(fv_pool *pool, size_t bytes, fv_err *err); /* 0 on failure */

#endif
