/* The rows nearest to a query. The bound that makes it exact: with x = s·q + e and y = t·p + f, where q and p are
 * whole numbers,
 *
 *     x·y = s·t·(q·p) + s·q·f + e·y  <=  s·(t·(q·p) + 127·sqrt(D)·|f|) + |e|·|y|        (Cauchy–Schwarz; |q| <= 127·sqrt(D))
 *
 * A row whose bound is below the k-th best product so far is none of the best. The others, a few dozen of a million, are
 * multiplied in double. |e| is a row's `slack`, taken when it is quantised, with some more for the rounding of the bound itself.
 * Queries have 16 bits, or as many as sums of 32 bits allow, so that |f| hardly counts.
 *
 * The trap: a bound that is NaN would lose a row; so what is not finite, or could overflow, is not taken in the first place. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/isa.h"
#include "kernels/shares.h"

enum { STRIP = FV_TOP_BLOCK, GROUP = 16, LANES = 8 }; /* rows at a time; queries at a time; sums of a product */

#define ROUNDING 1e-5 /* of a row's length: more than the float32 operations of the bound and of a score can lose */

/* ---- Rows --------------------------------------------------------------------------------- */

double fv_scan_product(const float *a, const float *b, int64_t D)
{
    double sum[LANES] = {0};
    int64_t d = 0;
    for (; d + LANES <= D; d += LANES)
        for (int i = 0; i < LANES; i++) sum[i] += (double)a[d + i] * (double)b[d + i];
    for (int i = 0; d < D; d++, i++) sum[i] += (double)a[d] * (double)b[d];
    return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

bool fv_scan_takes(const float *x, int64_t D) { return sqrt(fv_scan_product(x, x, D)) <= FV_SCAN_LONGEST; } /* false for NaN */

void fv_scan_quantize(int8_t *q, float *scale, float *slack, const float *x, int64_t D)
{
    double left = 0;
    memset(q, 0, (size_t)fv_scan_stride(D));
    fv_quantize_weights(q, D, scale, x, D, 1, D);
    for (int64_t d = 0; d < D; d++) {
        double e = (double)x[d] - (double)*scale * q[d];
        left += e * e;
    }
    *slack = nextafterf((float)(sqrt(left) + ROUNDING * sqrt(fv_scan_product(x, x, D))), INFINITY);
}

/* ---- The best so far ---------------------------------------------------------------------- */

static void sink(fv_near *items, int n, int i, fv_near x)
{
    for (int child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && fv_near_before(items[child], items[child + 1])) child++;
        if (!fv_near_before(x, items[child])) break;
        items[i] = items[child];
    }
    items[i] = x;
}

void fv_nearest_add(fv_nearest *best, int64_t name, float score)
{
    fv_near x = {.name = name, .score = score};
    if (best->n == best->k) {
        if (best->k && fv_near_before(x, best->items[0])) sink(best->items, best->n, 0, x);
        return;
    }
    int i = best->n++;
    for (int parent; i > 0 && fv_near_before(best->items[parent = (i - 1) / 2], x); i = parent) best->items[i] = best->items[parent];
    best->items[i] = x;
}

static int best_first(const void *a, const void *b) { return fv_near_before(*(const fv_near *)b, *(const fv_near *)a) ? 1 : -1; }

void fv_nearest_sort(fv_nearest *best)
{
    if (best->n) qsort(best->items, (size_t)best->n, sizeof *best->items, best_first);
}

/* ---- Queries ------------------------------------------------------------------------------ */

/* What turns whole sums into bounds. */
typedef struct query {
    const float *x;
    float step, spare, length; /* t, 127·sqrt(D)·|f|, |y| */
} query;

static query quantize_query(int16_t *p, const float *y, int64_t D)
{
    int64_t stride = fv_scan_stride(D), most = INT32_MAX / (127 * stride);
    float top = 0;
    double left = 0;
    if (most > INT16_MAX) most = INT16_MAX;
    for (int64_t d = 0; d < D; d++) top = fabsf(y[d]) > top ? fabsf(y[d]) : top;
    double step = (double)(float)((double)top / (double)most);
    if (step < (double)FLT_MIN) step = 1;
    memset(p, 0, (size_t)stride * sizeof *p);
    for (int64_t d = 0; d < D; d++) {
        double whole = rint((double)y[d] / step);
        p[d] = (int16_t)(whole > (double)most ? (double)most : whole < -(double)most ? -(double)most : whole);
        double f = (double)y[d] - step * p[d];
        left += f * f;
    }
    return (query){
        .x = y, .step = (float)step, .spare = nextafterf((float)(127 * sqrt((double)D * left)), INFINITY),
        .length = nextafterf((float)sqrt(fv_scan_product(y, y, D)), INFINITY),
    };
}

/* ---- The scan ----------------------------------------------------------------------------- */

typedef struct scan_job {
    const fv_isa_table *isa;
    const fv_scan_block *blocks;
    int64_t D, stride;
    int n_queries, k, threads;
    query queries[GROUP];
    const int16_t *packed; /* [n_queries, stride] */
    fv_nearest *best;      /* [n_queries, threads] */
} scan_job;

static void bounds_of(float *bounds, const int32_t *sums, const float *scales, const float *slacks, int n, query y)
{
    for (int i = 0; i < n; i++) bounds[i] = scales[i] * (y.step * (float)sums[i] + y.spare) + slacks[i] * y.length + FLT_MIN;
}

static void scan_strip(const scan_job *j, const fv_scan_block *b, int64_t at, int n, int worker)
{
    int32_t sums[GROUP * STRIP];
    float bounds[STRIP], top;
    j->isa->scan(sums, STRIP, b->q + at * j->stride, n, j->packed, j->n_queries, j->stride);
    for (int i = 0; i < j->n_queries; i++) {
        fv_nearest *best = &j->best[i * j->threads + worker];
        bounds_of(bounds, sums + i * STRIP, b->scales + at, b->slacks + at, n, j->queries[i]);
        j->isa->block_tops(&top, bounds, n);
        if (!fv_nearest_wants(best, top)) continue;
        for (int r = 0; r < n; r++)
            if (fv_nearest_wants(best, bounds[r])) fv_nearest_add(best, b->names[at + r], (float)fv_scan_product(b->x + (at + r) * j->D, j->queries[i].x, j->D));
    }
}

static void scan_block(void *arg, int64_t task, int worker)
{
    const scan_job *j = arg;
    const fv_scan_block *b = &j->blocks[task];
    for (int64_t at = 0; at < b->n; at += STRIP) scan_strip(j, b, at, b->n - at < STRIP ? (int)(b->n - at) : STRIP, worker);
}

/* The best of each worker's best. */
static int gather(fv_near *out, fv_nearest *best, int threads, int k)
{
    fv_nearest all = {.items = out, .k = k};
    for (int w = 0; w < threads; w++)
        for (int i = 0; i < best[w].n; i++) fv_nearest_add(&all, best[w].items[i].name, best[w].items[i].score);
    fv_nearest_sort(&all);
    return all.n;
}

static int64_t group_of(int64_t n_queries) { return n_queries < GROUP ? n_queries : GROUP; }
static size_t round_up(size_t bytes) { return (bytes + 63) / 64 * 64; }
static size_t packed_bytes(int64_t D, int64_t group) { return round_up((size_t)(group * fv_scan_stride(D)) * sizeof(int16_t)); }

size_t fv_scan_scratch(int64_t D, int64_t n_queries, int k, int threads)
{
    size_t heaps = (size_t)(group_of(n_queries) * threads);
    return packed_bytes(D, group_of(n_queries)) + round_up(heaps * sizeof(fv_nearest)) + heaps * (size_t)k * sizeof(fv_near);
}

void fv_scan_top(fv_near *out, int *counts, const fv_scan_block *blocks, int64_t n_blocks, const float *queries, int64_t ldq, int64_t n_queries, int64_t D, int k, fv_pool *pool, void *scratch)
{
    int threads = pool ? fv_pool_threads(pool) : 1;
    int64_t group = group_of(n_queries);
    int16_t *packed = scratch;
    scan_job j = {.isa = fv_isa_current(), .blocks = blocks, .D = D, .stride = fv_scan_stride(D), .k = k, .threads = threads, .packed = packed};
    j.best = (fv_nearest *)(void *)((char *)scratch + packed_bytes(D, group));
    fv_near *items = (fv_near *)(void *)((char *)j.best + round_up((size_t)(group * threads) * sizeof *j.best));
    for (int64_t first = 0; first < n_queries; first += group) {
        j.n_queries = (int)(n_queries - first < group ? n_queries - first : group);
        for (int i = 0; i < j.n_queries; i++) j.queries[i] = quantize_query(packed + i * j.stride, queries + (first + i) * ldq, D);
        for (int i = 0; i < j.n_queries * threads; i++) j.best[i] = (fv_nearest){.items = items + (int64_t)i * k, .k = k};
        fv_shares_run(pool, n_blocks, scan_block, &j);
        for (int i = 0; i < j.n_queries; i++) counts[first + i] = gather(out + (first + i) * k, j.best + i * threads, threads, k);
    }
}
