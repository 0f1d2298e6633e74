/* Loss and perplexity of rows whose losses are known. */
#include "train/perplexity.h"

#include <math.h>

#include "train/bootstrap.h"

typedef struct judged {
    const double *losses;
    const int32_t *counts;
    size_t n;
} judged;

static const char *const names[] = {"loss", "perplexity"};

static void measure(const void *rows, fv_rng *chance, void *scratch, double *figures)
{
    (void)scratch;
    const judged *all = rows;
    double loss = 0;
    int64_t words = 0;
    for (size_t i = 0; i < all->n; i++) {
        size_t row = fv_bootstrap_draw(chance, i, all->n);
        loss += all->losses[row];
        words += all->counts[row];
    }
    figures[0] = words ? loss / (double)words : NAN; /* a resample may draw nothing but rows without words */
    figures[1] = exp(figures[0]);
}

fv_status fv_perplexity_compute(fv_report *report, const double *losses, const int32_t *counts, size_t n, uint64_t seed, bool intervals, fv_pool *pool, fv_err *err)
{
    judged all = {.losses = losses, .counts = counts, .n = n};
    fv_bootstrap b = {.measure = measure, .rows = &all, .names = names, .n_figures = FV_COUNT(names), .seed = seed, .values_only = !intervals};
    int64_t words = 0;
    for (size_t i = 0; i < n; i++) words += counts[i];
    if (words == 0) return FV_FAIL(err, FV_E_INPUT, "no words to judge; expected a text that has some");
    report->rows = (int64_t)n;
    return fv_bootstrap_run(report, &b, pool, err);
}
