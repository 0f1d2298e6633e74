/* The score that is explained. Labels that compete have log-odds against all the others together,
 *
 *   S = ln p/(1-p) = z_l/T - ln Σ_{j≠l} exp(z_j/T)
 *
 * and not the probability, which is flat where the model is sure: there gradients vanish. Nor the logit alone, which rises
 * and falls with those of rivals. Labels that do not compete have z_l/T, a number is itself. */
#include <math.h>

#include "explain/explain.h"

static bool competes(const fv_score *s) { return s->kind == FV_LABELS_SINGLE && s->outputs > 1; }

/* ln Σ exp(z/T) over all but the label. */
static double rivals(const fv_score *s, const float *logits)
{
    double top = -INFINITY, sum = 0;
    for (int j = 0; j < s->outputs; j++)
        if (j != s->label) top = fmax(top, (double)logits[j] / s->temperature);
    for (int j = 0; j < s->outputs; j++)
        if (j != s->label) sum += exp((double)logits[j] / s->temperature - top);
    return top + log(sum);
}

double fv_score_of(const fv_score *s, const float *logits)
{
    double own = (double)logits[s->label];
    if (s->kind == FV_LABELS_REGRESSION) return own;
    return own / s->temperature - (competes(s) ? rivals(s, logits) : 0);
}

double fv_score_gradient(const fv_score *s, const float *logits, double *gradient)
{
    double t = s->kind == FV_LABELS_REGRESSION ? 1 : s->temperature, all = competes(s) ? rivals(s, logits) : 0;
    for (int j = 0; j < s->outputs; j++) gradient[j] = j == s->label ? 1 / t : competes(s) ? -exp((double)logits[j] / t - all) / t : 0;
    return fv_score_of(s, logits);
}

double fv_score_chance(const fv_score *s, const float *logits)
{
    double score = fv_score_of(s, logits);
    if (s->kind == FV_LABELS_REGRESSION) return s->direction * score;
    if (s->kind == FV_LABELS_SINGLE && s->outputs == 1) return 1;
    return 1 / (1 + exp(-score));
}
