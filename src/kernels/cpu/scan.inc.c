/* Products of rows of int8 with queries of 16 bits, in vectors. Part of simd.inc.c, whose words it uses.
 *
 * Rows come from memory once and are widened on the way. One query waits for memory, so four rows go side by
 * side; several queries are held up by arithmetic, so a tile of two rows and four queries shares its loads.
 * Sums are whole numbers: any order gives the same. */

INLINE void scan_tile(int32_t *sums, int64_t ld, const int8_t *rows, const int16_t *queries, int64_t stride, int n_rows, int n_queries)
{
    vi sum[4][4];
    UNROLL
    for (int r = 0; r < n_rows; r++) {
        UNROLL
        for (int q = 0; q < n_queries; q++) sum[r][q] = vi_set(0);
    }
    for (int64_t k = 0; k < stride; k += 2 * VL) {
        vi x[4];
        UNROLL
        for (int r = 0; r < n_rows; r++) x[r] = vi_widen(rows + r * stride + k);
        UNROLL
        for (int q = 0; q < n_queries; q++) {
            vi y = vi_load(queries + q * stride + k);
            UNROLL
            for (int r = 0; r < n_rows; r++) sum[r][q] = vi_dot16(x[r], y, sum[r][q]);
        }
    }
    UNROLL
    for (int r = 0; r < n_rows; r++) {
        UNROLL
        for (int q = 0; q < n_queries; q++) sums[q * ld + r] = vi_sum(sum[r][q]);
    }
}

static void scan_one(int32_t *sums, const int8_t *rows, int n_rows, const int16_t *query, int64_t stride)
{
    int r = 0;
    for (; r + 4 <= n_rows; r += 4) scan_tile(sums + r, 0, rows + r * stride, query, stride, 4, 1);
    for (; r < n_rows; r++) scan_tile(sums + r, 0, rows + r * stride, query, stride, 1, 1);
}

static void scan_four(int32_t *sums, int64_t ld, const int8_t *rows, int n_rows, const int16_t *queries, int64_t stride)
{
    int r = 0;
    for (; r + 2 <= n_rows; r += 2) scan_tile(sums + r, ld, rows + r * stride, queries, stride, 2, 4);
    for (; r < n_rows; r++) scan_tile(sums + r, ld, rows + r * stride, queries, stride, 1, 4);
}

static void scan(int32_t *sums, int64_t ld, const int8_t *rows, int n_rows, const int16_t *queries, int n_queries, int64_t stride)
{
    int q = 0;
    for (; q + 4 <= n_queries; q += 4) scan_four(sums + q * ld, ld, rows, n_rows, queries + q * stride, stride);
    for (; q < n_queries; q++) scan_one(sums + q * ld, rows, n_rows, queries + q * stride, stride);
}
