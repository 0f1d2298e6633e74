/* Dual coordinate descent, for many machines at once: a walk over a row's features costs its cache
 * misses, so LANES machines (a label, with one C) take it together, their weights side by side.
 *
 * The trap: everything is decided by the rows, the machines and the seed. Lanes are filled in order and
 * solved each by one thread, so that the number of threads changes no bit. */
#include "train/wide_fit.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

enum { LANES = 16, MAX_PASSES = 300, FULL_PASS = 5 };
static const float tolerance = 0.05f; /* of a slope of the dual, at most: answers change no more */
static const double grid[] = {0.1, 0.3, 1, 3, 10};

/* Rows of several parts, one after the other. */
typedef struct problem {
    const fv_wide_rows *parts;
    int n_parts;
    fv_labels kind;
    int outputs, machines;  /* machines: of one C */
    int64_t features;
    size_t n;
    const double *Cs;
    int n_C;
    uint64_t seed;
    const uint32_t *first;  /* [n_parts] number of each part's first row */
    /* what becomes of the lanes, one of the two */
    float *weight;          /* [features + 1, outputs] */
    const fv_wide_rows *held;
    float *margins;         /* [n_C, held rows, outputs] */
    struct lanes *workers;
} problem;

/* One thread's room. w: [features + 1][LANES], the last the bias. */
typedef struct lanes {
    float *w, *alpha;       /* alpha: [n][LANES], 0 or more, but for numbers */
    uint32_t *order;
    uint8_t *asleep;
    float D[LANES];         /* 1 / 2C */
    int label[LANES], used;
} lanes;

typedef struct row {
    const int32_t *ids;
    const float *values;
    int64_t n;
    const fv_example *example;
} row;

static row row_of(const fv_wide_rows *part, size_t i)
{
    const fv_feature_rows *f = part->features;
    return (row){.ids = f->ids + f->offsets[i], .values = f->values + f->offsets[i], .n = f->offsets[i + 1] - f->offsets[i], .example = &part->data->rows[i]};
}

static row row_at(const problem *p, uint32_t i)
{
    int part = p->n_parts - 1;
    while (part > 0 && i < p->first[part]) part--;
    return row_of(&p->parts[part], i - p->first[part]);
}

/* ---- One row ---- */

static void margins_of(const problem *p, const float *w, const row *r, float *restrict out)
{
    const float *bias = w + p->features * LANES;
    for (int l = 0; l < LANES; l++) out[l] = bias[l];
    for (int64_t k = 0; k < r->n; k++) {
        const float *at = w + (int64_t)r->ids[k] * LANES;
        float value = r->values[k];
        for (int l = 0; l < LANES; l++) out[l] += value * at[l];
    }
}

static void add_row(const problem *p, float *w, const row *r, const float *restrict step)
{
    float *bias = w + p->features * LANES;
    for (int l = 0; l < LANES; l++) bias[l] += step[l];
    for (int64_t k = 0; k < r->n; k++) {
        float *at = w + (int64_t)r->ids[k] * LANES;
        float value = r->values[k];
        for (int l = 0; l < LANES; l++) at[l] += value * step[l];
    }
}

static bool has_label(const fv_example *e, fv_labels kind, int label)
{
    if (kind == FV_LABELS_SINGLE) return e->label == label;
    for (int32_t i = 0; i < e->n_labels; i++)
        if (e->labels[i] == label) return true;
    return false;
}

/* For labels which side of 0 a margin should be on, and how far; for numbers 1, and the number. */
static void wanted(const problem *p, const lanes *s, const fv_example *e, float *restrict side, float *restrict goal)
{
    for (int l = 0; l < LANES; l++) {
        bool numbers = p->kind == FV_LABELS_REGRESSION;
        side[l] = numbers || has_label(e, p->kind, s->label[l]) ? 1 : -1;
        goal[l] = numbers ? (float)e->value : 1;
    }
}

/* One coordinate of each lane: alpha goes to where the dual's slope is 0, or to 0. Gives the largest slope there was. */
static float move(const problem *p, lanes *s, uint32_t i)
{
    row r = row_at(p, i);
    float margin[LANES], side[LANES], goal[LANES], step[LANES], square = 1, largest = 0, *alpha = s->alpha + (size_t)i * LANES;
    bool moved = false;
    for (int64_t k = 0; k < r.n; k++) square += r.values[k] * r.values[k];
    margins_of(p, s->w, &r, margin);
    wanted(p, s, r.example, side, goal);
    for (int l = 0; l < LANES; l++) {
        float slope = side[l] * margin[l] - goal[l] + s->D[l] * alpha[l];
        bool bound = p->kind != FV_LABELS_REGRESSION && alpha[l] == 0 && slope > 0;
        step[l] = 0;
        if (l >= s->used || bound) continue;
        float next = alpha[l] - slope / (square + s->D[l]);
        if (p->kind != FV_LABELS_REGRESSION && next < 0) next = 0;
        step[l] = side[l] * (next - alpha[l]);
        alpha[l] = next;
        moved = moved || step[l] != 0;
        largest = fmaxf(largest, fabsf(slope));
    }
    if (moved) add_row(p, s->w, &r, step);
    return largest;
}

/* ---- One set of lanes ---- */

static void shuffle(uint32_t *order, size_t n, fv_rng *rng)
{
    for (size_t i = n; i > 1; i--) {
        size_t k = (size_t)fv_rng_below(rng, i);
        uint32_t swap = order[i - 1];
        order[i - 1] = order[k];
        order[k] = swap;
    }
}

/* Passes in random order. A row that hardly moved sleeps until the next full pass; a full pass in which
 * none moves much is the end. */
static void solve(const problem *p, lanes *s)
{
    fv_rng rng = fv_rng_make(p->seed, "wide fit");
    memset(s->w, 0, (size_t)(p->features + 1) * LANES * sizeof *s->w);
    memset(s->alpha, 0, p->n * LANES * sizeof *s->alpha);
    for (uint32_t i = 0; i < p->n; i++) s->order[i] = i;
    for (int pass = 0; pass < MAX_PASSES; pass++) {
        bool full = pass % FULL_PASS == 0;
        float largest = 0;
        shuffle(s->order, p->n, &rng);
        for (size_t k = 0; k < p->n; k++) {
            uint32_t i = s->order[k];
            if (!full && s->asleep[i]) continue;
            float slope = move(p, s, i);
            s->asleep[i] = slope <= tolerance;
            largest = fmaxf(largest, slope);
        }
        if (full && largest <= tolerance) return;
    }
}

/* Two labels of which one must hold share a machine: what is for the second is against the first. */
static bool is_pair(const problem *p) { return p->kind == FV_LABELS_SINGLE && p->outputs == 2; }

static void put(const problem *p, float *to, int label, float value)
{
    if (is_pair(p)) to[0] = -value / 2, to[1] = value / 2;
    else to[label] = value;
}

static void keep_weights(const problem *p, const lanes *s)
{
    for (int64_t f = 0; f <= p->features; f++)
        for (int l = 0; l < s->used; l++) put(p, p->weight + f * p->outputs, s->label[l], s->w[f * LANES + l]);
}

static void keep_margins(const problem *p, const lanes *s, int first)
{
    size_t n = p->held->data->n;
    for (size_t i = 0; i < n; i++) {
        float margin[LANES];
        row r = row_of(p->held, i);
        margins_of(p, s->w, &r, margin);
        for (int l = 0; l < s->used; l++) {
            size_t c = (size_t)((first + l) / p->machines);
            put(p, p->margins + (c * n + i) * (size_t)p->outputs, s->label[l], margin[l]);
        }
    }
}

/* Machines are numbered C by C, label by label. */
static void solve_lanes(void *arg, int64_t task, int worker)
{
    const problem *p = arg;
    lanes *s = &p->workers[worker];
    int first = (int)task * LANES, all = p->machines * p->n_C;
    s->used = all - first < LANES ? all - first : LANES;
    for (int l = 0; l < LANES; l++) {
        int machine = l < s->used ? first + l : first;
        s->label[l] = is_pair(p) ? 1 : machine % p->machines;
        s->D[l] = (float)(0.5 / p->Cs[machine / p->machines]);
    }
    solve(p, s);
    if (p->weight) keep_weights(p, s);
    else keep_margins(p, s, first);
}

static bool make_lanes(lanes *s, const problem *p, fv_err *err)
{
    s->w = fv_alloc((size_t)(p->features + 1) * LANES * sizeof *s->w, err);
    s->alpha = fv_alloc((p->n + 1) * LANES * sizeof *s->alpha, err);
    s->order = fv_alloc((p->n + 1) * sizeof *s->order, err);
    s->asleep = fv_alloc_zero(p->n + 1, 1, err);
    return s->w && s->alpha && s->order && s->asleep;
}

static fv_status run(problem *p, fv_pool *pool, fv_err *err)
{
    fv_status status = FV_OK;
    int64_t tasks = ((int64_t)p->machines * p->n_C + LANES - 1) / LANES;
    int threads = tasks > 1 && pool ? fv_pool_threads(pool) : 1;
    uint32_t *first = fv_alloc_zero((size_t)p->n_parts, sizeof *first, err);
    p->workers = fv_alloc_zero((size_t)threads, sizeof *p->workers, err);
    if (!first || !p->workers) { status = FV_E_MEMORY; goto done; }
    for (int i = 0; i < p->n_parts; i++) {
        first[i] = (uint32_t)p->n;
        p->n += p->parts[i].data->n;
    }
    p->first = first;
    for (int i = 0; i < threads && status == FV_OK; i++)
        if (!make_lanes(&p->workers[i], p, err)) status = FV_E_MEMORY;
    if (status == FV_OK) fv_pool_run(threads > 1 ? pool : NULL, tasks, solve_lanes, p);
done:
    for (int i = 0; p->workers && i < threads; i++) {
        fv_free(p->workers[i].w);
        fv_free(p->workers[i].alpha);
        fv_free(p->workers[i].order);
        fv_free(p->workers[i].asleep);
    }
    fv_free(p->workers);
    fv_free(first);
    return status;
}

static problem make_problem(const fv_wide_rows *parts, int n_parts, fv_labels kind, int outputs, int64_t features, uint64_t seed)
{
    problem p = {.parts = parts, .n_parts = n_parts, .kind = kind, .outputs = outputs, .features = features, .seed = seed};
    p.machines = is_pair(&p) ? 1 : outputs;
    return p;
}

/* ---- Entry ---- */

fv_status fv_wide_fit(float *weight, double C, const fv_wide_rows *parts, int n_parts, fv_labels kind, int outputs, int64_t features, uint64_t seed, fv_pool *pool, fv_err *err)
{
    problem p = make_problem(parts, n_parts, kind, outputs, features, seed);
    p.Cs = &C;
    p.n_C = 1;
    p.weight = weight;
    return run(&p, pool, err);
}

fv_status fv_wide_choose_C(double *C, float *margins, const fv_wide_rows *parts, int n_parts, const fv_wide_rows *held, fv_labels kind, int outputs, int64_t features, uint64_t seed, fv_pool *pool, fv_err *err)
{
    problem p = make_problem(parts, n_parts, kind, outputs, features, seed);
    size_t each = held->data->n * (size_t)outputs;
    double least = INFINITY;
    int best = 0;
    p.Cs = grid;
    p.n_C = FV_COUNT(grid);
    p.held = held;
    p.margins = fv_alloc_zero(each * FV_COUNT(grid), sizeof *p.margins, err);
    if (!p.margins) return FV_E_MEMORY;
    fv_status status = run(&p, pool, err);
    for (int i = 0; i < p.n_C && status == FV_OK; i++) {
        fv_fusion alone;
        double loss = fv_fusion_fit(&alone, NULL, p.margins + (size_t)i * each, held->data, kind, outputs);
        if (loss < least) least = loss, best = i;
    }
    *C = grid[best];
    memcpy(margins, p.margins + (size_t)best * each, each * sizeof *margins);
    fv_free(p.margins);
    return status;
}
