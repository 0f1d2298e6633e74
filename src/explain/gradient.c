/* Gradients at the embeddings: how the score changes as words come in from nothing. Nothing is the same text with [MASK] for each
 * token but the frames, and no n-grams; the way from there to the text is the straight line
 *
 *   e(α) = e' + α (e - e')          e  what the node "embeddings.embed" gives for the text, e' for the [MASK]s
 *   z(α) = Transformer(e(α)) + α · wide
 *
 *   gradient × input       g_t = Σ_c ∂S/∂e_tc (e_tc - e'_tc)                     at α = 1, the text itself
 *   integrated gradients   the mean of that over α in [0, 1], by Gauss and Legendre's points
 *
 * and a word's n-grams add Σ_l ∂S/∂z_l · (what they add to z_l), by the same mean. The integrated weights then sum to S(1) - S(0)
 * (Sundararajan et al. 2017, "completeness"); what they lack of it is the error of the sum that stands for the integral.
 *
 * No model code knows of this: a tap of the graph writes e(α) where the embeddings were, and reads the gradient there.
 * The trap: a graph that trains also drops out, so the network is built from a copy of the description that has no dropout. */
#include <math.h>
#include <string.h>

#include "explain/explain.h"

static const char tap[] = "embeddings.embed";

/* A run holds no more tokens than this (or one text): what is kept for the way back takes some 0.2 MB a token in a model of six layers of 384. */
enum { TOKENS = 512, MAX_STEPS = 256 };

typedef struct path {
    fv_explaining *x;
    fv_network net;         /* a shallow copy without dropout */
    fv_graph *graph;
    int64_t n, width;       /* tokens, columns of their vectors */
    int outputs;
    float *start, *away;    /* [n, width] e' and e - e' */
    double *wide;           /* [words + 1, outputs] what each word's n-grams add to the logits; last their sum */
    double *at, *weights;   /* [MAX_STEPS] α, and what counts there */
    float *logits, *seed;   /* [texts of a run, outputs] */
    double *slope, *slopes; /* [outputs] ∂S/∂z, and its weighted sum */
    double *tokens;         /* [n] the sums that come of it */
    fv_ends ends;
    const fv_batch *batch;  /* the one that runs */
} path;

/* ---- Runs of equal length ---- */

/* `count` rows of the text's tokens, every second one of [MASK]s if `masked`. */
static fv_status make_rows(const path *p, size_t count, bool masked, fv_token_rows *rows, fv_err *err)
{
    const fv_encoding *e = &p->x->encoding;
    size_t n = e->n;
    *rows = (fv_token_rows){.n = count, .max_len = (int)n};
    rows->ids = fv_alloc_zero(count * n + 1, sizeof *rows->ids, err);
    rows->types = fv_alloc_zero(count * n + 1, sizeof *rows->types, err);
    rows->offsets = fv_alloc_zero(count + 1, sizeof *rows->offsets, err);
    if (!rows->ids || !rows->types || !rows->offsets) return FV_E_MEMORY;
    for (size_t i = 0; i < count; i++) {
        for (size_t t = 0; t < n; t++) {
            bool frame = e->begins[t] == e->ends[t];
            rows->ids[i * n + t] = masked && i % 2 && !frame ? p->x->nothing : e->ids[t];
        }
        memcpy(rows->types + i * n, e->types, n);
        rows->offsets[i + 1] = (int64_t)((i + 1) * n);
    }
    return FV_OK;
}

static fv_status build(path *p, const fv_batch *batch, fv_tensor **logits, fv_err *err)
{
    p->batch = batch;
    *logits = fv_network_build(&p->net, p->x->session->head, p->graph, batch, NULL);
    return fv_graph_plan(p->graph, *logits, err);
}

/* ---- Both ends ---- */

static void keep_ends(path *p, const fv_batch *batch, const fv_tensor *vectors, const fv_tensor *logits)
{
    for (int32_t b = 0; b < 2; b++) {
        const float *from = vectors->data + batch->offsets[b] * vectors->stride;
        bool text = batch->rows[b] == 0;
        for (int64_t i = 0; i < p->n; i++) memcpy((text ? p->away : p->start) + i * p->width, from + i * vectors->stride, (size_t)p->width * sizeof(float));
        for (int l = 0; l < p->outputs; l++) p->logits[l] = logits->data[b * logits->stride + l] + (text ? (float)p->wide[p->x->units.n * (size_t)p->outputs + (size_t)l] : 0);
        *(text ? &p->ends.score : &p->ends.baseline) = fv_score_of(&p->x->score, p->logits);
    }
    for (int64_t i = 0; i < p->n * p->width; i++) p->away[i] -= p->start[i];
}

static fv_status find_ends(path *p, fv_err *err)
{
    fv_status status = FV_OK;
    fv_token_rows rows = {0};
    fv_sampler sampler = {0};
    fv_batch batch;
    fv_tensor *logits;
    FV_TRY(make_rows(p, 2, true, &rows, err));
    FV_TRY(fv_sampler_init(&sampler, &rows, 2 * rows.max_len, 0, err));
    fv_sampler_plan(&sampler, -1);
    fv_sampler_get(&sampler, 0, &batch);
    fv_graph_reset(p->graph, false);
    fv_graph_watch(p->graph, tap, NULL, NULL);
    FV_TRY(build(p, &batch, &logits, err));
    fv_graph_forward(p->graph, 0);
    keep_ends(p, &batch, fv_graph_find(p->graph, tap), logits);
done:
    fv_sampler_release(&sampler);
    fv_token_rows_release(&rows);
    return status;
}

/* ---- Points on the way ---- */

/* The tap: e(α) for each text of the run. */
static void place(void *user, fv_tensor *vectors)
{
    const path *p = user;
    for (int32_t b = 0; b < p->batch->B; b++) {
        float alpha = (float)p->at[p->batch->rows[b]];
        for (int64_t i = 0; i < p->n; i++) {
            float *to = vectors->data + (p->batch->offsets[b] + i) * vectors->stride;
            for (int64_t c = 0; c < p->width; c++) to[c] = p->start[i * p->width + c] + alpha * p->away[i * p->width + c];
        }
    }
}

/* The gradient of each text's score with respect to its logits. */
static void seed_scores(path *p, const fv_batch *batch, const fv_tensor *logits)
{
    const double *sum = p->wide + p->x->units.n * (size_t)p->outputs;
    for (int32_t b = 0; b < batch->B; b++) {
        double alpha = p->at[batch->rows[b]];
        for (int l = 0; l < p->outputs; l++) p->logits[l] = (float)((double)logits->data[b * logits->stride + l] + alpha * sum[l]);
        fv_score_gradient(&p->x->score, p->logits, p->slope);
        for (int l = 0; l < p->outputs; l++) {
            p->seed[b * p->outputs + l] = (float)p->slope[l];
            p->slopes[l] += p->weights[batch->rows[b]] * p->slope[l];
        }
    }
}

static void gather(path *p, const fv_batch *batch, const fv_tensor *vectors)
{
    for (int32_t b = 0; b < batch->B; b++)
        for (int64_t i = 0; i < p->n; i++) {
            const float *gradient = vectors->grad + (batch->offsets[b] + i) * vectors->grad_stride, *away = p->away + i * p->width;
            double sum = 0;
            for (int64_t c = 0; c < p->width; c++) sum += (double)gradient[c] * (double)away[c];
            p->tokens[i] += p->weights[batch->rows[b]] * sum;
        }
}

static fv_status run_points(path *p, const fv_batch *batch, fv_err *err)
{
    fv_tensor *logits, *vectors;
    fv_graph_reset(p->graph, true);
    fv_graph_watch(p->graph, tap, place, p);
    fv_status status = build(p, batch, &logits, err);
    if (status != FV_OK) return status;
    fv_graph_forward(p->graph, 0);
    seed_scores(p, batch, logits);
    fv_graph_backward_from(p->graph, logits, p->seed, 0);
    vectors = fv_graph_find(p->graph, tap);
    gather(p, batch, vectors);
    return FV_OK;
}

/* Weights of words from `count` points, whose places and weights are set. */
static fv_status walk(path *p, size_t count, double *words, fv_err *err)
{
    fv_status status = FV_OK;
    fv_token_rows rows = {0};
    fv_sampler sampler = {0};
    size_t n_words = p->x->units.n;
    memset(p->tokens, 0, (size_t)p->n * sizeof *p->tokens);
    memset(p->slopes, 0, (size_t)p->outputs * sizeof *p->slopes);
    FV_TRY(make_rows(p, count, false, &rows, err));
    FV_TRY(fv_sampler_init(&sampler, &rows, TOKENS, 0, err));
    fv_sampler_plan(&sampler, -1);
    for (size_t i = 0; i < sampler.n_batches; i++) {
        fv_batch batch;
        fv_sampler_get(&sampler, i, &batch);
        FV_TRY(run_points(p, &batch, err));
    }
    memset(words, 0, n_words * sizeof *words);
    fv_shares_add(&p->x->shares, p->tokens, words);
    for (size_t w = 0; w < n_words; w++)
        for (int l = 0; l < p->outputs; l++) words[w] += p->slopes[l] * p->wide[w * (size_t)p->outputs + (size_t)l];
done:
    fv_sampler_release(&sampler);
    fv_token_rows_release(&rows);
    return status;
}

/* ---- A path's life ---- */

static fv_status allocate(path *p, fv_err *err)
{
    size_t n = (size_t)p->n, outputs = (size_t)p->outputs, words = p->x->units.n, texts = (size_t)(p->n > TOKENS ? 1 : TOKENS / p->n);
    size_t vectors = n * (size_t)p->width;
    p->start = fv_alloc_zero(2 * vectors, sizeof *p->start, err);
    p->wide = fv_alloc_zero((words + 1) * outputs + 2 * MAX_STEPS + 2 * outputs + n, sizeof *p->wide, err);
    p->logits = fv_alloc_zero((texts + 1) * outputs, sizeof *p->logits, err);
    if (!p->start || !p->wide || !p->logits) return FV_E_MEMORY;
    p->away = p->start + vectors;
    p->at = p->wide + (words + 1) * outputs;
    p->weights = p->at + MAX_STEPS;
    p->slope = p->weights + MAX_STEPS;
    p->slopes = p->slope + outputs;
    p->tokens = p->slopes + outputs;
    p->seed = p->logits + outputs;
    return FV_OK;
}

static void end(path *p)
{
    fv_graph_free(p->graph);
    fv_free(p->start);
    fv_free(p->wide);
    fv_free(p->logits);
}

static fv_status begin(path *p, fv_explaining *x, fv_err *err)
{
    fv_status status = FV_OK;
    *p = (path){.x = x, .net = x->session->model->net, .n = (int64_t)x->encoding.n, .outputs = x->score.outputs};
    p->net.encoder.config.dropout = p->net.encoder.config.attention_dropout = 0;
    p->width = p->net.encoder.config.width;
    fv_pool *pool = fv_pool_shared(err);
    p->graph = pool ? fv_graph_new(pool, err) : NULL;
    if (!p->graph) return FV_E_MEMORY;
    fv_graph_set_precision(p->graph, x->session->precision);
    FV_TRY(allocate(p, err));
    if (x->session->head->has_wide && x->units.n) FV_TRY(fv_wide_by_words(x, p->wide, err));
    for (size_t w = 0; w < x->units.n; w++)
        for (int l = 0; l < p->outputs; l++) p->wide[x->units.n * (size_t)p->outputs + (size_t)l] += p->wide[w * (size_t)p->outputs + (size_t)l];
    FV_TRY(find_ends(p, err));
done:
    return status;
}

/* ---- The integral's points ---- */

/* Roots of the Legendre polynomial of degree n by Newton's steps from the usual guess (Abramowitz and Stegun 22.16.6, 25.4.29). */
void fv_gauss_points(int n, double *at, double *weights)
{
    const double pi = 3.14159265358979323846;
    for (int i = 0; i < n; i++) {
        double x = cos(pi * (i + 0.75) / (n + 0.5)), slope = 1;
        for (int step = 0; step < 8; step++) {
            double last = 1, now = x;
            for (int k = 2; k <= n; k++) {
                double next = ((2 * k - 1) * x * now - (k - 1) * last) / k;
                last = now;
                now = next;
            }
            slope = n * (x * now - last) / (x * x - 1);
            x -= now / slope;
        }
        at[i] = (1 - x) / 2;
        weights[i] = 1 / ((1 - x * x) * slope * slope);
    }
}

/* ---- Methods ---- */

static double sum_of(const double *weights, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += weights[i];
    return sum;
}

fv_status fv_explain_ends(fv_explaining *x, fv_ends *ends, fv_err *err)
{
    path p;
    fv_status status = begin(&p, x, err);
    *ends = p.ends;
    end(&p);
    return status;
}

fv_status fv_explain_gradient(fv_explaining *x, double *weights, fv_err *err)
{
    path p;
    fv_status status;
    FV_TRY(begin(&p, x, err));
    p.at[0] = p.weights[0] = 1;
    FV_TRY(walk(&p, 1, weights, err));
done:
    end(&p);
    return status;
}

fv_status fv_explain_integrated(fv_explaining *x, int *steps, double *weights, fv_err *err)
{
    path p;
    fv_status status;
    int n = *steps ? *steps : 16;
    FV_TRY(begin(&p, x, err));
    double whole = p.ends.score - p.ends.baseline;
    for (;; n *= 2) {
        fv_gauss_points(n, p.at, p.weights);
        FV_TRY(walk(&p, (size_t)n, weights, err));
        if (*steps || n >= MAX_STEPS || fabs(sum_of(weights, x->units.n) - whole) <= 0.01 * fabs(whole)) break;
    }
    *steps = n;
done:
    end(&p);
    return status;
}
