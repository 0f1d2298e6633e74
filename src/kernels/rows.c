/* What walks rows: norms, activations, dropout, sums, embeddings, losses, the optimiser. A task is a
 * block of rows of some 16,000 elements, or a block of columns where rows are summed, so that every
 * sum has one order whatever the threads. */
#include <math.h>
#include <string.h>

#include "kernels/cpu/isa.h"
#include "kernels/shares.h"

#ifdef FV_STRESS
enum { TASK_FLOATS = 64, COLUMN_BLOCK = 16, NORM_BLOCKS = 3 };
#else
enum {
    TASK_FLOATS = 1 << 14,
    COLUMN_BLOCK = 128,  /* columns of a task that sums over rows: some cache lines that lie together */
    NORM_BLOCKS = 64,    /* partial sums that a norm's parameter gradients are made of, at most */
};
#endif

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* A job over rows: `one` is called for rows [begin, end), some thousands of elements at a time. */
typedef struct job {
    const void *arg;
    void (*one)(const void *arg, int64_t begin, int64_t end);
    int64_t rows, step;
} job;

static void job_task(void *arg, int64_t task, int worker)
{
    (void)worker;
    const job *j = arg;
    j->one(j->arg, task * j->step, min64((task + 1) * j->step, j->rows));
}

static void run_steps(fv_pool *pool, int64_t rows, int64_t step, void (*one)(const void *, int64_t, int64_t), const void *arg)
{
    job j = {.arg = arg, .one = one, .rows = rows, .step = step};
    int64_t tasks = ceil_div(rows, step);
    if (rows > 0) fv_shares_run(pool, tasks, job_task, &j);
}

static void run_rows(fv_pool *pool, int64_t rows, int64_t cols, void (*one)(const void *, int64_t, int64_t), const void *arg)
{
    if (cols > 0) run_steps(pool, rows, max64(1, TASK_FLOATS / cols), one, arg);
}

/* The operands that most of these share: y from x and z. */
typedef struct operands {
    const fv_isa_table *isa;
    float *y;
    const float *x, *z;
    int64_t ldy, ldx, ldz, cols;
    bool add;
    float scale;
    fv_act act;
} operands;

/* ---- Layer norm --------------------------------------------------------------------------- */

typedef struct norm {
    const fv_isa_table *isa;
    float *y, *mean_out, *rstd_out, *partial;
    const float *x, *dy, *w, *b, *mean, *rstd;
    int64_t ldy, ldx, lddy, rows, cols, step;
    float eps;
    bool add;
} norm;

static void norm_forward_rows(const void *arg, int64_t begin, int64_t end)
{
    const norm *n = arg;
    for (int64_t r = begin; r < end; r++) {
        float mean, rstd;
        n->isa->norm_forward(n->y + r * n->ldy, &mean, &rstd, n->x + r * n->ldx, n->w, n->b, n->cols, n->eps);
        if (n->mean_out) n->mean_out[r] = mean;
        if (n->rstd_out) n->rstd_out[r] = rstd;
    }
}

void fv_layer_norm_forward(float *y, int64_t ldy, float *mean, float *rstd, const float *x, int64_t ldx, const float *w, const float *b, int64_t rows, int64_t cols, float eps, fv_pool *pool)
{
    norm n = {.isa = fv_isa_current(), .y = y, .ldy = ldy, .mean_out = mean, .rstd_out = rstd, .x = x, .ldx = ldx, .w = w, .b = b, .cols = cols, .eps = eps};
    run_rows(pool, rows, cols, norm_forward_rows, &n);
}

static int64_t norm_step(int64_t rows, int64_t cols) { return max64(max64(1, TASK_FLOATS / max64(1, cols)), ceil_div(rows, NORM_BLOCKS)); }

size_t fv_layer_norm_scratch(int64_t rows, int64_t cols)
{
    return (size_t)(2 * cols * ceil_div(rows, norm_step(rows, cols))) * sizeof(float);
}

/* Each block of rows sums its own dw and db, [2][cols] of partial. */
static void norm_backward_rows(const void *arg, int64_t begin, int64_t end)
{
    const norm *n = arg;
    float *dw = n->partial ? n->partial + begin / n->step * 2 * n->cols : NULL, *db = dw ? dw + n->cols : NULL;
    if (dw) memset(dw, 0, (size_t)(2 * n->cols) * sizeof(float));
    for (int64_t r = begin; r < end; r++) {
        float *dx = n->y ? n->y + r * n->ldy : NULL;
        n->isa->norm_backward(dx, n->add, dw, db, n->dy + r * n->lddy, n->x + r * n->ldx, n->w, n->mean[r], n->rstd[r], n->cols);
    }
}

void fv_layer_norm_backward(float *dx, int64_t lddx, bool add, float *dw, float *db, const float *dy, int64_t lddy, const float *x, int64_t ldx, const float *w, const float *mean, const float *rstd, int64_t rows, int64_t cols, fv_pool *pool, void *scratch)
{
    norm n = {
        .isa = fv_isa_current(), .y = dx, .ldy = lddx, .add = add, .dy = dy, .lddy = lddy, .x = x, .ldx = ldx, .w = w,
        .mean = mean, .rstd = rstd, .cols = cols, .step = norm_step(rows, cols), .partial = dw || db ? scratch : NULL,
    };
    if (rows <= 0 || cols <= 0) return;
    run_steps(pool, rows, n.step, norm_backward_rows, &n);
    int64_t blocks = ceil_div(rows, n.step);
    if (dw) fv_sum_columns(dw, true, n.partial, 2 * cols, blocks, cols, pool);
    if (db) fv_sum_columns(db, true, n.partial + cols, 2 * cols, blocks, cols, pool);
}

/* ---- Elementwise -------------------------------------------------------------------------- */

static void act_forward_rows(const void *arg, int64_t begin, int64_t end)
{
    const operands *o = arg;
    for (int64_t r = begin; r < end; r++) o->isa->act_forward(o->y + r * o->ldy, o->x + r * o->ldx, o->cols, o->act);
}

void fv_act_forward(float *y, int64_t ldy, const float *x, int64_t ldx, int64_t rows, int64_t cols, fv_act act, fv_pool *pool)
{
    operands o = {.isa = fv_isa_current(), .y = y, .ldy = ldy, .x = x, .ldx = ldx, .cols = cols, .act = act};
    run_rows(pool, rows, cols, act_forward_rows, &o);
}

static void act_backward_rows(const void *arg, int64_t begin, int64_t end)
{
    const operands *o = arg;
    for (int64_t r = begin; r < end; r++) o->isa->act_backward(o->y + r * o->ldy, o->add, o->x + r * o->ldx, o->z + r * o->ldz, o->cols, o->act);
}

void fv_act_backward(float *dx, int64_t lddx, bool add, const float *dy, int64_t lddy, const float *x, int64_t ldx, int64_t rows, int64_t cols, fv_act act, fv_pool *pool)
{
    operands o = {.isa = fv_isa_current(), .y = dx, .ldy = lddx, .add = add, .x = dy, .ldx = lddy, .z = x, .ldz = ldx, .cols = cols, .act = act};
    run_rows(pool, rows, cols, act_backward_rows, &o);
}

static void copy_rows(const void *arg, int64_t begin, int64_t end)
{
    const operands *o = arg;
    o->isa->copy(o->y + begin * o->ldy, o->ldy, o->add, o->x + begin * o->ldx, o->ldx, o->scale, end - begin, o->cols);
}

void fv_copy_rows(float *y, int64_t ldy, bool add, const float *x, int64_t ldx, float scale, int64_t rows, int64_t cols, fv_pool *pool)
{
    operands o = {.isa = fv_isa_current(), .y = y, .ldy = ldy, .add = add, .x = x, .ldx = ldx, .scale = scale, .cols = cols};
    run_rows(pool, rows, cols, copy_rows, &o);
}

static void add_rows(const void *arg, int64_t begin, int64_t end)
{
    const operands *o = arg;
    for (int64_t r = begin; r < end; r++) o->isa->add_row(o->y + r * o->ldy, o->x + r * o->ldx, o->z + r * o->ldz, o->cols);
}

void fv_add_rows(float *y, int64_t ldy, const float *a, int64_t lda, const float *b, int64_t ldb, int64_t rows, int64_t cols, fv_pool *pool)
{
    operands o = {.isa = fv_isa_current(), .y = y, .ldy = ldy, .x = a, .ldx = lda, .z = b, .ldz = ldb, .cols = cols};
    run_rows(pool, rows, cols, add_rows, &o);
}

/* Here a "row" of the job is a column of the matrix. */
typedef struct column_sum {
    operands o;
    int64_t rows;
} column_sum;

static void sum_columns(const void *arg, int64_t begin, int64_t end)
{
    const column_sum *s = arg;
    s->o.isa->sum_rows(s->o.y + begin, s->o.add, s->o.x + begin, s->o.ldx, s->rows, end - begin);
}

void fv_sum_columns(float *out, bool add, const float *x, int64_t ldx, int64_t rows, int64_t cols, fv_pool *pool)
{
    column_sum s = {.o = {.isa = fv_isa_current(), .y = out, .add = add, .x = x, .ldx = ldx}, .rows = rows};
    run_steps(rows * cols > TASK_FLOATS ? pool : NULL, cols, COLUMN_BLOCK, sum_columns, &s);
}

/* ---- Dropout ------------------------------------------------------------------------------ */

typedef struct dropout {
    operands o;
    const fv_dropout *d;
    uint32_t drop;
} dropout;

/* The sequence that holds a row: the last b with offsets[b] <= row. */
static int32_t sequence_of(const fv_dropout *d, int64_t row)
{
    int32_t low = 0, high = d->B;
    while (high - low > 1) {
        int32_t middle = low + (high - low) / 2;
        if (d->offsets[middle] <= row) low = middle;
        else high = middle;
    }
    return low;
}

static void dropout_rows(const void *arg, int64_t begin, int64_t end)
{
    const dropout *p = arg;
    const operands *o = &p->o;
    int32_t b = sequence_of(p->d, begin);
    for (int64_t r = begin; r < end; r++) {
        while (r >= p->d->offsets[b + 1]) b++;
        uint64_t key = fv_mix(fv_mix(p->d->key, p->d->sequences[b]), (uint64_t)(r - p->d->offsets[b]));
        const float *residual = o->z ? o->z + r * o->ldz : NULL;
        o->isa->dropout_row(o->y + r * o->ldy, o->add, o->x + r * o->ldx, residual, o->cols, (uint32_t)key, p->drop, o->scale);
    }
}

void fv_dropout_apply(float *y, int64_t ldy, bool add, const float *x, int64_t ldx, const float *residual, int64_t ldres, int64_t cols, const fv_dropout *d, fv_pool *pool)
{
    float rounded = 256.0f * d->p + 0.5f;
    dropout p = {
        .o = {.isa = fv_isa_current(), .y = y, .ldy = ldy, .add = add, .x = x, .ldx = ldx, .z = residual, .ldz = ldres, .cols = cols},
        .d = d, .drop = rounded < 1 ? 0 : rounded >= 255 ? 255 : (uint32_t)rounded,
    };
    p.o.scale = 256.0f / (float)(256 - p.drop);
    run_rows(pool, d->B > 0 ? d->offsets[d->B] : 0, cols, dropout_rows, &p);
}

/* ---- Embeddings --------------------------------------------------------------------------- */

typedef struct lookup {
    operands o;
    const int32_t *ids;
    int64_t rows;
} lookup;

static void gather_rows(const void *arg, int64_t begin, int64_t end)
{
    const lookup *l = arg;
    const operands *o = &l->o;
    for (int64_t r = begin; r < end; r++) o->isa->copy(o->y + r * o->ldy, o->ldy, o->add, o->x + l->ids[r] * o->ldx, o->ldx, o->scale, 1, o->cols);
}

void fv_gather_rows(float *y, int64_t ldy, bool add, const float *table, int64_t ldt, const int32_t *ids, float scale, int64_t rows, int64_t cols, fv_pool *pool)
{
    lookup l = {.o = {.isa = fv_isa_current(), .y = y, .ldy = ldy, .add = add, .x = table, .ldx = ldt, .scale = scale, .cols = cols}, .ids = ids};
    run_rows(pool, rows, cols, gather_rows, &l);
}

/* One id may come often: a task takes all rows of some columns, so that no two meet. */
static void scatter_columns(const void *arg, int64_t begin, int64_t end)
{
    const lookup *l = arg;
    const operands *o = &l->o;
    for (int64_t r = 0; r < l->rows; r++) o->isa->copy(o->y + l->ids[r] * o->ldy + begin, o->ldy, true, o->x + r * o->ldx + begin, o->ldx, o->scale, 1, end - begin);
}

void fv_scatter_rows(float *dtable, int64_t ldt, const float *dy, int64_t lddy, const int32_t *ids, float scale, int64_t rows, int64_t cols, fv_pool *pool)
{
    lookup l = {.o = {.isa = fv_isa_current(), .y = dtable, .ldy = ldt, .x = dy, .ldx = lddy, .scale = scale}, .ids = ids, .rows = rows};
    run_steps(rows * cols > TASK_FLOATS ? pool : NULL, cols, COLUMN_BLOCK, scatter_columns, &l);
}

/* ---- Rotary positions --------------------------------------------------------------------- */

typedef struct rotate {
    operands o;
    const fv_rotation *by;
} rotate;

/* The pairs of one head; `sign` is of the sines. Nothing overlaps, which lets compilers make vectors of it. */
static void turn_halves(float *restrict y, bool add, const float *restrict x, const float *restrict cosines, const float *restrict sines, int64_t half, float sign)
{
    for (int64_t i = 0; i < half; i++) {
        float c = cosines[i], s = sign * sines[i], a = x[i] * c - x[half + i] * s, b = x[half + i] * c + x[i] * s;
        y[i] = add ? y[i] + a : a;
        y[half + i] = add ? y[half + i] + b : b;
    }
}

static void turn_neighbours(float *restrict y, bool add, const float *restrict x, const float *restrict cosines, const float *restrict sines, int64_t half, float sign)
{
    for (int64_t i = 0; i < half; i++) {
        float c = cosines[i], s = sign * sines[i], a = x[2 * i] * c - x[2 * i + 1] * s, b = x[2 * i + 1] * c + x[2 * i] * s;
        y[2 * i] = add ? y[2 * i] + a : a;
        y[2 * i + 1] = add ? y[2 * i + 1] + b : b;
    }
}

static void rotate_rows(const void *arg, int64_t begin, int64_t end)
{
    const rotate *r = arg;
    const operands *o = &r->o;
    int64_t D = r->by->D, half = D / 2;
    for (int64_t row = begin; row < end; row++) {
        const float *cosines = r->by->table + (r->by->places ? r->by->places[row] : row) * D;
        for (int64_t c = 0; c < o->cols; c += D) {
            float *y = o->y + row * o->ldy + c;
            const float *x = o->x + row * o->ldx + c;
            if (r->by->interleaved) turn_neighbours(y, o->add, x, cosines, cosines + half, half, o->scale);
            else turn_halves(y, o->add, x, cosines, cosines + half, half, o->scale);
        }
    }
}

void fv_rotate_rows(float *y, int64_t ldy, bool add, const float *x, int64_t ldx, const fv_rotation *rotation, int64_t rows, fv_pool *pool)
{
    int64_t cols = (int64_t)rotation->heads * rotation->D;
    rotate r = {.o = {.y = y, .ldy = ldy, .add = add, .x = x, .ldx = ldx, .cols = cols, .scale = rotation->back ? -1 : 1}, .by = rotation};
    run_rows(pool, rows, cols, rotate_rows, &r);
}

/* ---- Losses ------------------------------------------------------------------------------- */

/* Columns [first, first + o.cols) of `all`. */
typedef struct cross_entropy {
    operands o;
    float *loss, *lse_out;
    const float *lse;
    const int32_t *targets;
    float smoothing;
    int64_t first, all;
} cross_entropy;

/* Where in the tile row r has its target, or below 0. */
static int64_t target_place(const cross_entropy *c, int64_t r)
{
    int64_t place = c->targets[r] - c->first;
    return place < c->o.cols ? place : -1;
}

/* log(e^a + e^b) */
static float add_logs(float a, float b) { return a > b ? a + log1pf(expf(b - a)) : b + log1pf(expf(a - b)); }

/* lse - (1 - s)·x[target] - s·mean(x), lse coming last. */
static void cross_entropy_rows(const void *arg, int64_t begin, int64_t end)
{
    const cross_entropy *c = arg;
    for (int64_t r = begin; r < end; r++) {
        const float *x = c->o.x + r * c->o.ldx;
        float sum, lse = c->o.isa->log_sum_exp(x, c->o.cols, &sum);
        float mean = c->smoothing > 0 ? sum / (float)c->all : 0;
        int64_t place = target_place(c, r);
        float hit = c->smoothing * mean + (place >= 0 ? (1 - c->smoothing) * x[place] : 0);
        c->lse_out[r] = c->first ? add_logs(c->lse_out[r], lse) : lse;
        c->loss[r] = (c->first ? c->loss[r] : 0) - hit;
        if (c->first + c->o.cols == c->all) c->loss[r] = c->targets[r] < 0 ? 0 : c->lse_out[r] + c->loss[r];
    }
}

void fv_cross_entropy_tile_forward(float *loss, float *lse, const float *x, int64_t ldx, const int32_t *targets, float smoothing, int64_t rows, int64_t first, int64_t cols, int64_t all, fv_pool *pool)
{
    cross_entropy c = {
        .o = {.isa = fv_isa_current(), .x = x, .ldx = ldx, .cols = cols},
        .loss = loss, .lse_out = lse, .targets = targets, .smoothing = smoothing, .first = first, .all = all,
    };
    run_rows(pool, rows, cols, cross_entropy_rows, &c);
}

void fv_cross_entropy_forward(float *loss, float *lse, const float *x, int64_t ldx, const int32_t *targets, float smoothing, int64_t rows, int64_t cols, fv_pool *pool)
{
    fv_cross_entropy_tile_forward(loss, lse, x, ldx, targets, smoothing, rows, 0, cols, cols, pool);
}

static void cross_entropy_back_rows(const void *arg, int64_t begin, int64_t end)
{
    const cross_entropy *c = arg;
    const operands *o = &c->o;
    for (int64_t r = begin; r < end; r++) {
        float *dx = o->y + r * o->ldy;
        int64_t place = target_place(c, r);
        if (c->targets[r] >= 0) {
            o->isa->softmax_row(dx, o->add, o->x + r * o->ldx, o->cols, c->lse[r], o->scale, o->scale * c->smoothing / (float)c->all);
            if (place >= 0) dx[place] -= o->scale * (1 - c->smoothing);
        } else if (!o->add) {
            memset(dx, 0, (size_t)o->cols * sizeof(float));
        }
    }
}

void fv_cross_entropy_tile_backward(float *dx, int64_t lddx, bool add, const float *x, int64_t ldx, const float *lse, const int32_t *targets, float smoothing, float weight, int64_t rows, int64_t first, int64_t cols, int64_t all, fv_pool *pool)
{
    cross_entropy c = {
        .o = {.isa = fv_isa_current(), .y = dx, .ldy = lddx, .add = add, .x = x, .ldx = ldx, .cols = cols, .scale = weight},
        .lse = lse, .targets = targets, .smoothing = smoothing, .first = first, .all = all,
    };
    run_rows(pool, rows, cols, cross_entropy_back_rows, &c);
}

void fv_cross_entropy_backward(float *dx, int64_t lddx, bool add, const float *x, int64_t ldx, const float *lse, const int32_t *targets, float smoothing, float weight, int64_t rows, int64_t cols, fv_pool *pool)
{
    fv_cross_entropy_tile_backward(dx, lddx, add, x, ldx, lse, targets, smoothing, weight, rows, 0, cols, cols, pool);
}

/* ---- Parameters --------------------------------------------------------------------------- */

typedef struct squares {
    const fv_isa_table *isa;
    const float *x;
    double *sums;
} squares;

static void square_block(const void *arg, int64_t begin, int64_t end)
{
    const squares *s = arg;
    s->sums[begin / TASK_FLOATS] = s->isa->sum_squares(s->x + begin, end - begin);
}

size_t fv_sum_squares_scratch(int64_t n) { return (size_t)ceil_div(n, TASK_FLOATS) * sizeof(double); }

double fv_sum_squares(const float *x, int64_t n, fv_pool *pool, void *scratch)
{
    squares s = {.isa = fv_isa_current(), .x = x, .sums = scratch};
    double sum = 0;
    run_steps(pool, n, TASK_FLOATS, square_block, &s);
    for (int64_t i = 0; i < ceil_div(n, TASK_FLOATS); i++) sum += s.sums[i];
    return sum;
}

typedef struct adam {
    const fv_isa_table *isa;
    float *w, *m, *v;
    const float *grad;
    const fv_adam *options;
} adam;

static void adam_block(const void *arg, int64_t begin, int64_t end)
{
    const adam *a = arg;
    a->isa->adam(a->w + begin, a->m + begin, a->v + begin, a->grad + begin, end - begin, a->options);
}

void fv_adam_step(float *w, float *m, float *v, const float *grad, int64_t n, const fv_adam *options, fv_pool *pool)
{
    adam a = {.isa = fv_isa_current(), .w = w, .m = m, .v = v, .grad = grad, .options = options};
    run_steps(pool, n, TASK_FLOATS, adam_block, &a);
}
