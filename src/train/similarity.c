/* Correlations of pairs' cosines with the truth. Values are numbered by size once, so that a resample counts how often it has
 * each and needs no sorting. */
#include "train/similarity.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "train/bootstrap.h"

static const char *const names[] = {"spearman", "pearson", "auc"};

/* One side: values, and each one's place among the distinct ones. */
typedef struct side {
    double *values;   /* [n] */
    int32_t *places;  /* [n] */
    size_t n_places;
} side;

typedef struct pairs {
    size_t n;
    side truth, cosine;
    bool binary;
} pairs;

typedef struct item { double value; size_t row; } item;

static int by_value(const void *a, const void *b)
{
    const item *x = a, *y = b;
    return (x->value > y->value) - (x->value < y->value);
}

static fv_status number(side *s, size_t n, fv_err *err)
{
    item *items = fv_alloc_zero(n, sizeof *items, err);
    s->places = items ? fv_alloc_zero(n, sizeof *s->places, err) : NULL;
    if (!s->places) return fv_free(items), FV_E_MEMORY;
    for (size_t i = 0; i < n; i++) items[i] = (item){s->values[i], i};
    qsort(items, n, sizeof *items, by_value);
    for (size_t i = 0; i < n; i++) {
        s->n_places += i > 0 && items[i].value > items[i - 1].value;
        s->places[items[i].row] = (int32_t)s->n_places;
    }
    s->n_places++;
    fv_free(items);
    return FV_OK;
}

static void release(pairs *p)
{
    fv_free(p->truth.values);
    fv_free(p->truth.places);
    fv_free(p->cosine.values);
    fv_free(p->cosine.places);
}

/* A cosine that is none counts as the smallest. */
static fv_status gather(pairs *p, const fv_similarities *s, fv_err *err)
{
    fv_status status = FV_OK;
    *p = (pairs){.n = s->n, .binary = true};
    p->truth.values = fv_alloc_zero(s->n, sizeof *p->truth.values, err);
    p->cosine.values = fv_alloc_zero(s->n, sizeof *p->cosine.values, err);
    if (!p->truth.values || !p->cosine.values) return FV_E_MEMORY;
    for (size_t i = 0; i < s->n; i++) {
        p->truth.values[i] = s->truth[i];
        p->cosine.values[i] = isnan(s->cosines[i]) ? -2 : (double)s->cosines[i];
        p->binary = p->binary && (s->truth[i] == 0 || s->truth[i] == 1);
    }
    FV_TRY(number(&p->truth, s->n, err));
    FV_TRY(number(&p->cosine, s->n, err));
done:
    return status;
}

/* Counts to ranks, in place: the mean of the ranks that the equal ones share. */
static void rank(double *counts, size_t n)
{
    double before = 0;
    for (size_t i = 0; i < n; i++) {
        double here = counts[i];
        counts[i] = before + (here + 1) / 2;
        before += here;
    }
}

static double correlate(double n, double x, double y, double xx, double yy, double xy)
{
    double x_spread = xx - x * x / n, y_spread = yy - y * y / n;
    if (!(x_spread > 1e-12 * xx) || !(y_spread > 1e-12 * yy)) return 0;
    return (xy - x * y / n) / sqrt(x_spread * y_spread);
}

static void measure(const void *rows, fv_rng *chance, void *scratch, double *figures)
{
    const pairs *p = rows;
    double *truth = scratch, *cosine = truth + p->truth.n_places, n = (double)p->n, right = 0, right_ranks = 0;
    double x = 0, y = 0, xx = 0, yy = 0, xy = 0, rx = 0, ry = 0, rxx = 0, ryy = 0, rxy = 0;
    fv_rng again = chance ? *chance : (fv_rng){0};
    for (size_t i = 0; i < p->truth.n_places + p->cosine.n_places; i++) truth[i] = 0;
    for (size_t i = 0; i < p->n; i++) {
        size_t row = fv_bootstrap_draw(chance, i, p->n);
        truth[p->truth.places[row]]++;
        cosine[p->cosine.places[row]]++;
    }
    rank(truth, p->truth.n_places);
    rank(cosine, p->cosine.n_places);
    for (size_t i = 0; i < p->n; i++) {
        size_t row = fv_bootstrap_draw(chance ? &again : NULL, i, p->n);
        double t = p->truth.values[row], c = p->cosine.values[row], tr = truth[p->truth.places[row]], cr = cosine[p->cosine.places[row]];
        x += t, y += c, xx += t * t, yy += c * c, xy += t * c;
        rx += tr, ry += cr, rxx += tr * tr, ryy += cr * cr, rxy += tr * cr;
        right += t == 1;
        right_ranks += t == 1 ? cr : 0;
    }
    figures[0] = correlate(n, rx, ry, rxx, ryy, rxy);
    figures[1] = correlate(n, x, y, xx, yy, xy);
    if (p->binary) figures[2] = right > 0 && right < n ? (right_ranks - right * (right + 1) / 2) / (right * (n - right)) : 0.5;
}

fv_status fv_similarity_compute(fv_report *report, const fv_similarities *s, fv_pool *pool, fv_err *err)
{
    fv_status status = FV_OK;
    pairs p;
    if (s->n == 0) return FV_FAIL(err, FV_E_INPUT, "no rows to judge; expected at least one");
    FV_TRY(gather(&p, s, err));
    fv_bootstrap b = {
        .measure = measure, .rows = &p, .names = names, .n_figures = FV_COUNT(names) - !p.binary,
        .scratch_bytes = (p.truth.n_places + p.cosine.n_places) * sizeof(double), .seed = s->seed, .values_only = s->values_only,
    };
    FV_TRY(fv_bootstrap_run(report, &b, pool, err));
done:
    release(&p);
    return status;
}
