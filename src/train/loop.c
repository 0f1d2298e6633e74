/* Steps and validations. The trap is the promise of equal bits: everything that decides a number
 * (batches, chance, rates) is a function of the recipe, the step and the place in the data, never of
 * the clock; the clock decides only when a checkpoint is written, and once, before the first step,
 * how many steps there will be (--max-seconds). */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "train/metrics.h"
#include "train/schedule.h"
#include "train/training.h"

enum { TIMED_STEPS = 20 };

double fv_training_seconds(const fv_training *t) { return t->seconds + fv_now() - t->started; }

static fv_event blank_event(const fv_training *t, fv_event_kind kind)
{
    return (fv_event){
        .size = sizeof(fv_event), .kind = kind, .text = "", .step = t->step, .steps = t->recipe.steps, .epoch = t->epoch,
        .tokens = t->tokens, .loss = t->loss, .lr = t->lr, .grad_norm = t->grad_norm, .seconds = fv_training_seconds(t), .metric = "",
    };
}

static void send(fv_training *t, const fv_event *event)
{
    if (t->o->on_event && t->o->on_event(t->o->on_event_user, event)) t->stop = 1;
}

void fv_training_say(fv_training *t, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fv_event event = blank_event(t, FV_EVENT_MESSAGE);
    event.text = text;
    send(t, &event);
}

/* ---- One shard ---- */

fv_status fv_training_shard(fv_training *t, fv_job *job, const fv_batch *batch, int shard, double *loss, fv_err *err)
{
    uint64_t key = fv_mix(fv_mix(t->recipe.seed, (uint64_t)t->step), (uint64_t)shard);
    float *grad = fv_shards_slot(&t->shards);
    if (!t->planning) memset(grad, 0, (size_t)t->params->n_floats * sizeof *grad);
    fv_params_bind_grad(t->params, grad);
    fv_graph_reset(job->graph, true);
    fv_tensor *out = job->objective->loss(t, job, batch);
    fv_status status = fv_graph_plan(job->graph, out, err);
    if (status != FV_OK || t->planning) return status;
    fv_graph_forward(job->graph, key);
    fv_graph_backward(job->graph, out, 1.0f / (float)t->recipe.accumulate, key);
    *loss = (double)out->data[0];
    return FV_OK;
}

/* ---- One step ---- */

/* Which job a shard of this step is for: drawn by their shares. */
static fv_job *choose_job(const fv_training *t, int shard)
{
    fv_rng rng = fv_rng_make(fv_mix(t->recipe.seed, (uint64_t)t->step * (uint64_t)t->recipe.accumulate + (uint64_t)shard), "job");
    double left = fv_rng_uniform(&rng);
    int i = 0;
    while (i + 1 < t->n_jobs && left >= t->jobs[i].share) left -= t->jobs[i++].share;
    return &t->jobs[i];
}

fv_status fv_job_begin_epoch(fv_training *t, fv_job *job, fv_err *err)
{
    fv_status status = job->objective->draw_rows ? job->objective->draw_rows(t, job, err) : FV_OK;
    if (status == FV_OK) fv_sampler_plan(&job->train.sampler, job->epoch);
    return status;
}

static fv_status next_batch(fv_training *t, fv_job *job, fv_batch *batch, fv_err *err)
{
    fv_status status = FV_OK;
    if (job->batch >= (int64_t)job->train.sampler.n_batches) {
        job->batch = 0;
        job->epoch++;
        status = fv_job_begin_epoch(t, job, err);
    }
    if (status == FV_OK) fv_sampler_get(&job->train.sampler, (size_t)job->batch++, batch);
    return status;
}

static int64_t batches_of_epoch(const fv_training *t)
{
    int64_t n = 0;
    for (int i = 0; i < t->n_jobs; i++) n += (int64_t)t->jobs[i].train.sampler.n_batches;
    return n;
}

static bool epoch_ended(const fv_training *t) { return t->batch >= batches_of_epoch(t); }

static fv_status sum_shards(fv_training *t, fv_err *err)
{
    t->loss = 0;
    for (int i = 0; i < t->recipe.accumulate; i++) {
        fv_batch batch;
        double loss = 0;
        fv_job *job = choose_job(t, i);
        if (epoch_ended(t)) t->epoch++, t->batch = 0;
        fv_status status = next_batch(t, job, &batch, err);
        t->batch++;
        if (status == FV_OK) status = fv_training_shard(t, job, &batch, i, &loss, err);
        if (status != FV_OK) return status;
        fv_shards_push(&t->shards, t->pool);
        t->loss += loss / t->recipe.accumulate;
        t->tokens += batch.N;
    }
    return FV_OK;
}

static void update(fv_training *t, float *grad, float scale)
{
    const fv_recipe *r = &t->recipe;
    double turn = (double)t->step + 1;
    fv_adam adam = {
        .beta1 = (float)r->beta1, .beta2 = (float)r->beta2, .epsilon = (float)r->epsilon, .grad_scale = scale,
        .correction1 = (float)(1 - pow(r->beta1, turn)), .correction2 = (float)(1 - pow(r->beta2, turn)), .decoupled = r->optimiser == FV_OPTIMISER_ADAMW,
    };
    for (size_t i = 0; i < t->params->n; i++) {
        const fv_param *p = t->params->items[i];
        if (p->frozen) continue;
        adam.lr = (float)t->lr * p->rate;
        adam.decay = p->decay ? (float)r->weight_decay : 0;
        fv_adam_step(p->data, t->moment1 + t->moment_at[i], t->moment2 + t->moment_at[i], grad + p->offset, p->rows * p->cols, &adam, t->pool);
    }
    fv_params_learned(t->params, t->pool);
}

static fv_status take_step(fv_training *t, fv_err *err)
{
    const fv_recipe *r = &t->recipe;
    fv_status status = sum_shards(t, err);
    if (status != FV_OK) return status;
    float *grad = fv_shards_sum(&t->shards);
    fv_params_hold_zeros(t->params, grad);
    t->grad_norm = sqrt(fv_sum_squares(grad, t->params->n_floats, t->pool, t->norm_scratch));
    t->lr = fv_schedule_lr(r->schedule, r->lr, (int64_t)(r->warmup * (double)r->steps), r->steps, t->step);
    if (!isfinite(t->loss) || !isfinite(t->grad_norm))
        return FV_FAIL(err, FV_E_DIVERGED, "step %lld: loss is %g, gradient norm %g; a lower rate (--lr, now %g) or more warm-up may help. The last checkpoint is untouched", (long long)t->step + 1, t->loss, t->grad_norm, r->lr);
    update(t, grad, r->clip > 0 && t->grad_norm > r->clip ? (float)(r->clip / t->grad_norm) : 1);
    t->step++;
    return FV_OK;
}

static fv_status tell_step(fv_training *t, double tokens_per_s, fv_err *err)
{
    fv_event event = blank_event(t, FV_EVENT_STEP);
    double done = (double)t->step / (double)t->recipe.steps, spent = event.seconds;
    event.tokens_per_s = tokens_per_s;
    event.seconds_left = done > 0 ? spent / done - spent : 0;
    fv_record_figures figures = {
        .step = t->step, .epoch = t->epoch, .tokens = t->tokens, .loss = t->loss, .lr = t->lr,
        .grad_norm = t->grad_norm, .tokens_per_s = event.tokens_per_s, .seconds = event.seconds,
    };
    fv_status status = fv_record_step(&t->record, &figures, err);
    if (status == FV_OK) send(t, &event);
    return status;
}

/* ---- Validation ---- */

double fv_report_value(const fv_report *report, const char *name)
{
    for (size_t i = 0; i < report->n_metrics; i++)
        if (strcmp(report->metrics[i].name, name) == 0) return report->metrics[i].value;
    return NAN;
}

fv_judging fv_judged_by_loss(const fv_job *job)
{
    (void)job;
    return (fv_judging){.headline = "perplexity", .tie_breaker = "loss", .by_tie_breaker = true};
}

static bool keep_if_best(fv_training *t, double value, double loss)
{
    bool best = t->best_step == 0 || value > t->best_value || (value == t->best_value && loss < t->best_loss);
    t->epochs_since_best = best ? 0 : t->epochs_since_best + 1;
    if (!best) return false;
    t->best_value = value;
    t->best_loss = loss;
    t->best_step = t->step;
    memcpy(t->best, t->params->block, (size_t)t->params->n_floats * sizeof *t->best);
    return true;
}

/* What a validation says, means over jobs: the headline for people, what decides (larger is better), and what decides between equals. */
typedef struct verdict { double headline, value, loss; } verdict;

static fv_status validate_job(fv_training *t, fv_job *job, verdict *v, fv_err *err)
{
    fv_status status = FV_OK;
    fv_report report = {0};
    const fv_judging by = job->objective->judging(job);
    FV_TRY(job->objective->evaluate(t, job, &job->valid, false, &report, err));
    FV_TRY(fv_record_valid(&t->record, t->step, t->epoch, job->head->name, report.metrics, report.n_metrics, err));
    double headline = fv_report_value(&report, by.headline), loss = fv_report_value(&report, by.tie_breaker);
    if (t->n_jobs > 1) fv_training_say(t, "epoch %lld  %s: %s %.4f", (long long)t->epoch + 1, job->head->name, by.headline, headline);
    v->headline += headline / t->n_jobs;
    v->value += (by.by_tie_breaker ? -loss : headline) / t->n_jobs;
    v->loss += loss / t->n_jobs;
done:
    fv_metrics_release(&report);
    return status;
}

static fv_status validate(fv_training *t, fv_err *err)
{
    double begun = fv_now();
    verdict v = {0};
    for (int i = 0; i < t->n_jobs; i++) {
        fv_status status = validate_job(t, &t->jobs[i], &v, err);
        if (status != FV_OK) return status;
    }
    bool best = keep_if_best(t, v.value, v.loss);
    t->valid_seconds = fv_now() - begun;
    fv_event event = blank_event(t, FV_EVENT_EPOCH);
    event.metric = t->n_jobs > 1 ? "mean" : t->jobs[0].objective->judging(&t->jobs[0]).headline;
    event.value = v.headline;
    event.best = best;
    send(t, &event);
    return FV_OK;
}

/* ---- The mean of the last epochs ---- */

static int64_t steps_of_epochs(const fv_training *t, double epochs)
{
    int64_t each = (batches_of_epoch(t) + t->recipe.accumulate - 1) / t->recipe.accumulate;
    return (int64_t)fmax(1, epochs * (double)each);
}

/* The weights at an epoch's end, if it is one of the last. */
static void gather_mean(fv_training *t)
{
    if (!t->mean) return;
    int64_t each = steps_of_epochs(t, 1), ends_to_come = (t->recipe.steps - t->step + each - 1) / each; /* the last epoch may be a part of one */
    if (ends_to_come >= t->recipe.average) return;
    fv_add_rows(t->mean, t->params->n_floats, t->mean, t->params->n_floats, t->params->block, t->params->n_floats, 1, t->params->n_floats, t->pool);
    t->n_mean++;
}

/* Whether the mean is better than the best single one is for the validation rows to say. */
static fv_status try_mean(fv_training *t, fv_err *err)
{
    if (!t->mean || t->n_mean < 2) return FV_OK;
    fv_training_say(t, "the mean of the weights at the last %lld epochs' ends:", (long long)t->n_mean);
    fv_copy_rows(t->params->block, t->params->n_floats, false, t->mean, t->params->n_floats, 1 / (float)t->n_mean, 1, t->params->n_floats, t->pool);
    fv_params_changed(t->params, t->pool);
    return validate(t, err);
}

/* ---- How many steps ---- */

static fv_status begin_data(fv_training *t, fv_err *err)
{
    fv_status status = FV_OK;
    t->epoch = t->batch = 0;
    for (int i = 0; i < t->n_jobs && status == FV_OK; i++) {
        fv_job *job = &t->jobs[i];
        job->epoch = job->batch = 0;
        status = fv_job_begin_epoch(t, job, err);
    }
    return status;
}

static fv_status score_valid(fv_training *t, fv_err *err)
{
    fv_status status = FV_OK;
    for (int i = 0; i < t->n_jobs && status == FV_OK; i++) {
        fv_report report = {0};
        status = t->jobs[i].objective->evaluate(t, &t->jobs[i], &t->jobs[i].valid, false, &report, err);
        fv_metrics_release(&report);
    }
    return status;
}

/* Times steps that are then forgotten: nothing is updated, so the run itself starts from nothing. */
static fv_status time_steps(fv_training *t, double *step_seconds, double *valid_seconds, fv_err *err)
{
    fv_status status = FV_OK;
    int64_t n = batches_of_epoch(t) * 2, tokens = t->tokens;
    int steps = n < TIMED_STEPS ? (int)n : TIMED_STEPS;
    double begun = fv_now();
    for (int i = 0; i < steps; i++) {
        FV_TRY(sum_shards(t, err));
        fv_sum_squares(fv_shards_sum(&t->shards), t->params->n_floats, t->pool, t->norm_scratch);
        fv_params_learned(t->params, t->pool); /* for the time it takes: nothing is learnt */
    }
    *step_seconds = (fv_now() - begun) / steps;
    begun = fv_now();
    FV_TRY(score_valid(t, err));
    *valid_seconds = fv_now() - begun;
    t->tokens = tokens;
    FV_TRY(begin_data(t, err));
done:
    return status;
}

/* Rows to be tested at the end, as a share of those that every validation scores. */
static double test_share(const fv_training *t)
{
    double tests = 0, valids = 0;
    for (int i = 0; i < t->n_jobs; i++) {
        tests += (double)t->jobs[i].test.data.n;
        valids += (double)t->jobs[i].valid.data.n;
    }
    return tests / valids;
}

static fv_status fit_steps_to_time(fv_training *t, int64_t wanted, fv_err *err)
{
    double step_seconds, valid_seconds;
    fv_status status = time_steps(t, &step_seconds, &valid_seconds, err);
    if (status != FV_OK) return status;
    double an_epoch = (double)steps_of_epochs(t, 1);
    /* A twentieth is left for what varies: the machine, batches, writing. */
    double left = (t->o->max_seconds - fv_training_seconds(t)) * 0.95 - valid_seconds * (1 + test_share(t));
    double each = step_seconds * 1.03 + valid_seconds / an_epoch; /* the optimiser's share was not timed */
    int64_t fit = (int64_t)(left / each);
    if (fit < 1) return FV_FAIL(err, FV_E_ARGUMENT, "%g seconds are too few: a step takes %.3f s, a validation %.2f s, and %.1f s are gone", t->o->max_seconds, step_seconds, valid_seconds, fv_training_seconds(t));
    t->recipe.steps = fit < wanted ? fit : wanted;
    fv_training_say(t, "a step takes %.1f ms: %lld steps (%.1f epochs) fit into %g seconds; %lld will be run", 1e3 * step_seconds, (long long)fit, (double)fit / an_epoch, t->o->max_seconds, (long long)t->recipe.steps);
    return FV_OK;
}

fv_status fv_training_settle_steps(fv_training *t, fv_err *err)
{
    if (t->resumed) return FV_OK;
    fv_status status = begin_data(t, err);
    if (status != FV_OK) return status;
    int64_t wanted = t->recipe.steps_asked > 0 ? t->recipe.steps_asked : steps_of_epochs(t, t->recipe.epochs);
    if (t->o->max_seconds > 0) return fit_steps_to_time(t, wanted, err);
    t->recipe.steps = wanted;
    return FV_OK;
}

/* ---- The run ---- */

static bool out_of_patience(const fv_training *t) { return t->recipe.patience > 0 && t->epochs_since_best >= t->recipe.patience; }

static fv_status stop_here(fv_training *t, fv_err *err)
{
    fv_status status = fv_checkpoint_save(t, err);
    if (status != FV_OK) return status;
    return FV_FAIL(err, FV_E_STOPPED, "stopped after step %lld of %lld; --resume goes on from there", (long long)t->step, (long long)t->recipe.steps);
}

static fv_status save_if_due(fv_training *t, fv_err *err)
{
    if (fv_now() - t->saved < t->o->checkpoint_seconds) return FV_OK;
    return fv_checkpoint_save(t, err);
}

fv_status fv_training_run(fv_training *t, fv_err *err)
{
    fv_status status = FV_OK;
    double stepping = 0;
    int64_t tokens_before = t->tokens;
    t->saved = fv_now();
    while (t->step < t->recipe.steps && !t->done_early) {
        if (t->stop) return stop_here(t, err);
        double begun = fv_now();
        FV_TRY(take_step(t, err));
        stepping += fv_now() - begun;
        bool validates = epoch_ended(t) || t->step == t->recipe.steps;
        FV_TRY(tell_step(t, (double)(t->tokens - tokens_before) / fmax(stepping, 1e-9), err));
        if (validates) FV_TRY(validate(t, err));
        if (validates) gather_mean(t);
        if (validates && out_of_patience(t)) t->done_early = true;
        FV_TRY(save_if_due(t, err));
    }
    if (t->done_early) fv_training_say(t, "no better validation for %d epochs: stopped at step %lld of %lld", t->recipe.patience, (long long)t->step, (long long)t->recipe.steps);
    FV_TRY(try_mean(t, err));
done:
    return status;
}
