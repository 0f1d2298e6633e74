/* Learning rates as formulas of the step. Choosing the peak, the share of warm-up and the number of
 * steps is the loop's. The trap: a rate of 0 at the first or last step would spend a step on nothing,
 * so warm-up starts at 1/warmup and decay ends one step behind the run. */
#include <math.h>

#include "train/schedule.h"

/* How much of the decay lies behind `step`, 0 to 1. */
static double decayed(int64_t warmup_steps, int64_t steps, int64_t step)
{
    if (step >= steps) return 1;
    return (double)(step - warmup_steps) / (double)(steps - warmup_steps);
}

double fv_schedule_lr(fv_schedule kind, double peak, int64_t warmup_steps, int64_t steps, int64_t step)
{
    if (step < warmup_steps) return peak * (double)(step + 1) / (double)warmup_steps;
    switch (kind) {
    case FV_SCHEDULE_LINEAR: return peak * (1 - decayed(warmup_steps, steps, step));
    case FV_SCHEDULE_COSINE: return peak * 0.5 * (1 + cos(M_PI * decayed(warmup_steps, steps, step)));
    case FV_SCHEDULE_INVERSE_SQRT: /* Vaswani et al. 2017, section 5.3, scaled to the peak */
        return peak * sqrt((double)(warmup_steps > 0 ? warmup_steps : 1) / (double)(step + 1));
    case FV_SCHEDULE_CONSTANT: break;
    }
    return peak;
}
