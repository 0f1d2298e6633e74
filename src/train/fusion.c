/* How loud the Transformer and the n-grams are to speak when they answer together. */
#include <math.h>

#include "train/wide_fit.h"

enum { STEPS = 30 };

/* A little is held against loudness far from 1, so that rows that all are right ask for no infinity. */
static const double prior = 1;

/* Value, gradient and Hessian of the loss in the two factors. */
typedef struct slopes { double loss, g[2], h[2][2]; } slopes;

typedef struct pairs {
    const float *x[2]; /* deep (NULL: silent), wide */
    const fv_dataset *data;
    fv_labels kind;
    int outputs;
} pairs;

static double at(const pairs *p, int which, size_t i, int c) { return p->x[which] ? (double)p->x[which][i * (size_t)p->outputs + (size_t)c] : 0; }

static double logit(const pairs *p, const double f[2], size_t i, int c) { return f[0] * at(p, 0, i, c) + f[1] * at(p, 1, i, c); }

/* -log softmax of the right label: the Hessian is the covariance of the two under the softmax. */
static void add_single(slopes *s, const pairs *p, const double f[2], size_t i)
{
    int truth = p->data->rows[i].label;
    double top = -INFINITY, sum = 0, mean[2] = {0, 0}, square[2][2] = {{0, 0}, {0, 0}};
    if (truth < 0) return;
    for (int c = 0; c < p->outputs; c++) top = fmax(top, logit(p, f, i, c));
    for (int c = 0; c < p->outputs; c++) sum += exp(logit(p, f, i, c) - top);
    for (int c = 0; c < p->outputs; c++) {
        double share = exp(logit(p, f, i, c) - top) / sum, x[2] = {at(p, 0, i, c), at(p, 1, i, c)};
        for (int k = 0; k < 2; k++) {
            mean[k] += share * x[k];
            for (int m = 0; m < 2; m++) square[k][m] += share * x[k] * x[m];
        }
    }
    s->loss += log(sum) + top - logit(p, f, i, truth);
    for (int k = 0; k < 2; k++) {
        s->g[k] += mean[k] - at(p, k, i, truth);
        for (int m = 0; m < 2; m++) s->h[k][m] += square[k][m] - mean[k] * mean[m];
    }
}

static void add_one(slopes *s, const pairs *p, size_t i, int c, double loss, double slope, double curve)
{
    s->loss += loss;
    for (int k = 0; k < 2; k++) {
        s->g[k] += slope * at(p, k, i, c);
        for (int m = 0; m < 2; m++) s->h[k][m] += curve * at(p, k, i, c) * at(p, m, i, c);
    }
}

static bool holds(const fv_example *e, int label)
{
    for (int32_t i = 0; i < e->n_labels; i++)
        if (e->labels[i] == label) return true;
    return false;
}

static void add_multi(slopes *s, const pairs *p, const double f[2], size_t i)
{
    for (int c = 0; c < p->outputs; c++) {
        double z = logit(p, f, i, c), share = 1 / (1 + exp(-z)), y = holds(&p->data->rows[i], c);
        add_one(s, p, i, c, fmax(z, 0) - z * y + log1p(exp(-fabs(z))), share - y, share * (1 - share));
    }
}

static void add_number(slopes *s, const pairs *p, const double f[2], size_t i)
{
    double difference = logit(p, f, i, 0) - p->data->rows[i].value;
    if (isfinite(difference)) add_one(s, p, i, 0, difference * difference / 2, difference, 1);
}

static slopes slopes_at(const pairs *p, const double f[2])
{
    slopes s = {.loss = 0};
    for (size_t i = 0; i < p->data->n; i++) {
        if (p->kind == FV_LABELS_SINGLE) add_single(&s, p, f, i);
        else if (p->kind == FV_LABELS_MULTI) add_multi(&s, p, f, i);
        else add_number(&s, p, f, i);
    }
    for (int k = 0; k < 2; k++) {
        s.loss += prior / 2 * (f[k] - 1) * (f[k] - 1);
        s.g[k] += prior * (f[k] - 1);
        s.h[k][k] += prior;
    }
    return s;
}

/* Newton's step, shortened until the loss falls. Neither may speak against itself. */
static bool step(const pairs *p, double f[2], slopes *s)
{
    double det = s->h[0][0] * s->h[1][1] - s->h[0][1] * s->h[1][0];
    double d[2] = {-(s->h[1][1] * s->g[0] - s->h[0][1] * s->g[1]) / det, -(s->h[0][0] * s->g[1] - s->h[1][0] * s->g[0]) / det};
    for (double length = 1; length > 1e-4; length /= 2) {
        double next[2] = {fmax(0, f[0] + length * d[0]), fmax(0, f[1] + length * d[1])};
        slopes there = slopes_at(p, next);
        if (!(there.loss < s->loss)) continue;
        bool far = s->loss - there.loss > 1e-9 * fabs(s->loss);
        f[0] = next[0], f[1] = next[1];
        *s = there;
        return far;
    }
    return false;
}

double fv_fusion_fit(fv_fusion *fusion, const float *deep, const float *wide, const fv_dataset *data, fv_labels kind, int outputs)
{
    pairs p = {.x = {deep, wide}, .data = data, .kind = kind, .outputs = outputs};
    double f[2] = {deep ? 1 : 0, 1};
    slopes s = slopes_at(&p, f);
    for (int i = 0; i < STEPS && step(&p, f, &s);) i++;
    *fusion = (fv_fusion){.deep = f[0], .wide = f[1]};
    return s.loss / (double)(data->n ? data->n : 1);
}
