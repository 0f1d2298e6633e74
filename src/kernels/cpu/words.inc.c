/* Products of words that hold several numbers each, in vectors: the tile and the packing of rows,
 * compiled by avx512_bf16.c and, through int8.inc.c, by avx512_vnni.c and avx2_int8.c. Each defines
 * before it, over simd_*.h:
 *   PER_WORD      numbers in a word
 *   vw, vs        vectors of words (vw_load, vw_set: one word everywhere) and of their sums (vs_zero)
 *   vs_dot        sum + the products in a word, lane by lane
 *   vs_give       the sums of one vector to memory
 *   words_of      VL words of VL · PER_WORD numbers of row `at`, of which `left` exist
 *
 * The trap: words lie in arrays of floats, and most of them are no float that arithmetic may touch. */

/* Loads of a vector of which only `left` lanes, or none, may exist. */
INLINE vf get_some(const float *p, int64_t left) { return left >= VL ? vf_load(p) : left > 0 ? vf_load_part(p, left) : vf_zero(); }

/* ---- Packing ------------------------------------------------------------------------------ */

/* VL words of VL rows of x, of which `used` exist, become VL rows of out, those of the `left` numbers
 * that exist. A panel narrower than a vector is written into its next row, which comes later; its
 * last row must not be. */
static __attribute__((noinline)) void turn_words(float *out, int64_t width, const float *x, int64_t ldx, const fv_quant_row *rows, int64_t used, int64_t left, bool last)
{
    vf r[VL];
    int64_t at = 0, words = left >= VL * PER_WORD ? VL : (left + PER_WORD - 1) / PER_WORD;
    UNROLL
    for (int i = 0; i < VL; i++) {
        r[i] = words_of(x + at * ldx, left, rows, at);
        at += i + 1 < used;
    }
    vf_transpose(r);
    UNROLL
    for (int i = 0; i < VL; i++) {
        if (i >= words) continue;
        if (width >= VL || !last || i + 1 < words) vf_store(out + i * width, r[i]);
        else vf_store_part(out + i * width, r[i], width);
    }
}

static void pack_turned(float *out, int64_t width, const float *x, int64_t ldx, const fv_quant_row *rows, int64_t used, int64_t k)
{
    for (int64_t i = 0; i < used; i += VL) {
        for (int64_t l = 0; l < k; l += VL * PER_WORD)
            turn_words(out + i + l / PER_WORD * width, width, x + i * ldx + l, ldx, rows + (rows ? i : 0), used - i, k - l, l + VL * PER_WORD >= k);
    }
}

/* ---- Tile --------------------------------------------------------------------------------- */

INLINE void tile_step(vs sum[MR][2], const float *a, const float *b, int rows, int vectors)
{
    vw y[2];
    UNROLL
    for (int j = 0; j < vectors; j++) y[j] = vw_load(b + j * VL);
    UNROLL
    for (int i = 0; i < rows; i++) {
        vw x = vw_set(a + i);
        UNROLL
        for (int j = 0; j < vectors; j++) sum[i][j] = vs_dot(x, y[j], sum[i][j]);
    }
}

/* c is fetched meanwhile, as in simd.inc.c. */
INLINE void tile_sums(vs sum[MR][2], float *c, int64_t ldc, const float *a, int64_t a_step, const float *b, int64_t b_step, fv_ahead ahead, int64_t k, int rows, int vectors)
{
    int64_t l = 0;
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int j = 0; j < vectors; j++) sum[i][j] = vs_zero();
    }
    for (int64_t first = k < rows ? k : rows; l < first; l++) {
        for (int j = 0; j < vectors; j += 16 / VL) vf_expect(c + l * ldc + j * VL);
        fv_ask_ahead(ahead, l * b_step);
        tile_step(sum, a + l * a_step, b + l * b_step, rows, vectors);
    }
    for (; l < k; l++) {
        fv_ask_ahead(ahead, l * b_step);
        tile_step(sum, a + l * a_step, b + l * b_step, rows, vectors);
    }
}

#define TILE_ARGS float *c, int64_t ldc, const float *a, int64_t a_step, const float *b, int64_t b_step, fv_ahead ahead, int64_t k, int cols, bool add, const fv_dequant *d

INLINE void tile_body(TILE_ARGS, int rows, int vectors)
{
    vs sum[MR][2];
    tile_sums(sum, c, ldc, a, a_step, b, b_step, ahead, k, rows, vectors);
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int j = 0; j < vectors; j++) vs_give(c + i * ldc + j * VL, sum[i][j], cols - j * VL, add, d, i, j * VL);
    }
}

/* One function for each number of rows and vectors; [rows - 1][vectors - 1] finds it. */
#define TILE_ONE(rows, vectors) static void tile_##rows##_##vectors(TILE_ARGS) { tile_body(c, ldc, a, a_step, b, b_step, ahead, k, cols, add, d, rows, vectors); }
#define TILE_FN(rows) TILE_ONE(rows, 1) TILE_ONE(rows, 2)
#define TILE_PAIR(rows) {tile_##rows##_1, tile_##rows##_2},

EACH_ROWS(TILE_FN)

typedef void (*tile_fn)(TILE_ARGS);
static const tile_fn tiles[MR][2] = {EACH_ROWS(TILE_PAIR)};

/* ---- Measure ------------------------------------------------------------------------------ */

static double chains(int64_t steps)
{
    vs sum[CHAINS];
    vw x = vw_set((const float[]){0}), y = x;
    UNROLL
    for (int i = 0; i < CHAINS; i++) sum[i] = vs_zero();
    for (int64_t s = 0; s < steps; s++) {
        UNROLL
        for (int i = 0; i < CHAINS; i++) {
            __asm__ volatile("" : "+v"(x), "+v"(y)); /* else a product that is an instruction of its own would be made once for all */
            sum[i] = vs_dot(x, y, sum[i]);
            __asm__ volatile("" : "+v"(sum[i])); /* else the work would be shared or removed */
        }
    }
    return (double)steps * CHAINS * VL * PER_WORD * 2;
}
