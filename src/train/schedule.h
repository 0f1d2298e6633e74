/* The learning rate of each step. */
#ifndef FV_TRAIN_SCHEDULE_H
#define FV_TRAIN_SCHEDULE_H

#include "fovea.h"

/* The rate of step `step`, counted from 0, of a run of `steps`. Warm-up rises linearly and reaches
 * `peak` with step warmup_steps - 1; then the rate decays by `kind`, linear and cosine reaching 0 just
 * behind the last step, so that no step is wasted on a rate of 0. A pure function: resuming needs
 * no state. Steps at or behind `steps` have what the decay ends in. */
double fv_schedule_lr(fv_schedule kind, double peak, int64_t warmup_steps, int64_t steps, int64_t step);

#endif
