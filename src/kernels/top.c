/* The best few columns of long rows, with each row's log-sum-exp: how a decoder chooses words. A block's largest
 * number is found in vectors, and nearly every block falls behind the k-th best so far: so few numbers are
 * looked at one by one.
 *
 * The trap: a column is better only when strictly larger, and columns come in order: so equal ones keep it, and a
 * NaN is never chosen. */
#include <math.h>

#include "kernels/cpu/isa.h"
#include "kernels/shares.h"

enum { STRIP = 64 * FV_TOP_BLOCK }; /* columns whose blocks' tops lie on the stack */

typedef struct top_job {
    const fv_isa_table *isa;
    int32_t *best;
    float *values, *lse;
    const float *x;
    int64_t ldx, cols;
    const int32_t *counts;
    int k;
} top_job;

/* Puts column c, better than the worst, in its place. */
static void insert(int32_t *best, float *values, int k, int32_t c, float value)
{
    int i = k - 1;
    for (; i > 0 && values[i - 1] < value; i--) {
        values[i] = values[i - 1];
        best[i] = best[i - 1];
    }
    values[i] = value;
    best[i] = c;
}

static void search_strip(const top_job *j, int32_t *best, float *values, const float *x, int64_t first, int64_t n)
{
    float tops[STRIP / FV_TOP_BLOCK];
    j->isa->block_tops(tops, x + first, n);
    for (int64_t begin = first; begin < first + n; begin += FV_TOP_BLOCK) {
        if (!(tops[(begin - first) / FV_TOP_BLOCK] > values[j->k - 1])) continue;
        int64_t end = begin + FV_TOP_BLOCK < first + n ? begin + FV_TOP_BLOCK : first + n;
        for (int64_t c = begin; c < end; c++)
            if (x[c] > values[j->k - 1]) insert(best, values, j->k, (int32_t)c, x[c]);
    }
}

static void top_row(void *arg, int64_t r, int worker)
{
    (void)worker;
    const top_job *j = arg;
    const float *x = j->x + r * j->ldx;
    int32_t *best = j->best + r * j->k;
    float *values = j->values + r * j->k, sum;
    int64_t n = j->counts ? j->counts[r] : j->cols;
    for (int i = 0; i < j->k; i++) {
        best[i] = -1;
        values[i] = -INFINITY;
    }
    for (int64_t first = 0; first < n; first += STRIP) search_strip(j, best, values, x, first, n - first < STRIP ? n - first : STRIP);
    j->lse[r] = best[0] < 0 ? NAN : j->isa->log_sum_exp(x, n, &sum);
}

void fv_top_rows(int32_t *best, float *values, float *lse, const float *x, int64_t ldx, const int32_t *counts, int64_t rows, int64_t cols, int k, fv_pool *pool)
{
    top_job j = {.isa = fv_isa_current(), .best = best, .values = values, .lse = lse, .x = x, .ldx = ldx, .cols = cols, .counts = counts, .k = k};
    fv_shares_run(rows * cols < STRIP ? NULL : pool, rows, top_row, &j);
}
