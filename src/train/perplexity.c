/* Loss and perplexity of rows whose losses are known. */
#include "train/perplexity.h"

#include <math.h>

#include "base/mem.h"
#include "train/bootstrap.h"

static const char *const names[] = {"loss", "perplexity"};

fv_status fv_row_losses_init(fv_row_losses *l, size_t n, fv_err *err)
{
    *l = (fv_row_losses){.sums = fv_alloc_zero(n, sizeof *l->sums, err), .n = n};
    if (l->sums) l->counts = fv_alloc_zero(n, sizeof *l->counts, err);
    return l->counts ? FV_OK : FV_E_MEMORY;
}

void fv_row_losses_release(fv_row_losses *l)
{
    fv_free(l->sums);
    fv_free(l->counts);
    *l = (fv_row_losses){0};
}

void fv_perplexity_measure(const void *losses, fv_rng *chance, void *scratch, double *figures)
{
    (void)scratch;
    const fv_row_losses *all = losses;
    double loss = 0;
    int64_t words = 0;
    for (size_t i = 0; i < all->n; i++) {
        size_t row = fv_bootstrap_draw(chance, i, all->n);
        loss += all->sums[row];
        words += all->counts[row];
    }
    figures[0] = words ? loss / (double)words : NAN; /* a resample may draw nothing but rows without words */
    figures[1] = exp(figures[0]);
}

fv_status fv_perplexity_compute(fv_report *report, const fv_row_losses *losses, uint64_t seed, bool intervals, fv_pool *pool, fv_err *err)
{
    fv_bootstrap b = {.measure = fv_perplexity_measure, .rows = losses, .names = names, .n_figures = FV_COUNT(names), .seed = seed, .values_only = !intervals};
    int64_t words = 0;
    for (size_t i = 0; i < losses->n; i++) words += losses->counts[i];
    if (words == 0) return FV_FAIL(err, FV_E_INPUT, "no words to judge; expected a text that has some");
    report->rows = (int64_t)losses->n;
    return fv_bootstrap_run(report, &b, pool, err);
}
