/* Attention of one new query a row against keys and values that are kept: a step of decoding. Which slot
 * holds what is the caller's; growing, sharing and reordering of caches are not seen here.
 *
 * A step reads every key and value once or twice and does little with them, so memory decides. A task is a
 * run of rows that stand together and see the same keys (the beams of one sentence). It walks the keys in
 * blocks, all heads of a block while it is in the first cache, all rows of the run for each head; then it
 * makes weights of the scores; then it walks the values in the same way.
 *
 * The trap: runs only share loads. The sums of a row and head are made in the order of its keys, in
 * blocks of one size, whether the row stands alone or not. */
#include <string.h>

#include "kernels/attention.h"
#include "kernels/shares.h"

#ifdef FV_STRESS
enum { BLOCK = 16, MOST_ROWS = 2, FEW_TASKS = 64, LEAST_MULTIPLY_ADDS = 1 };
#else
enum {
    BLOCK = 16,                    /* keys at a time: the vector of the widest instruction set */
    MOST_ROWS = 8,                 /* of a run: scores and queries of them stay in the caches */
    FEW_TASKS = 4,                 /* fewer runs are cut by heads too */
    LEAST_MULTIPLY_ADDS = 1 << 17, /* below it one thread is done before another wakes */
};
#endif

typedef struct step {
    const fv_attention_step *s;
    const fv_isa_table *isa;
    int32_t *runs;         /* [n_runs + 1] first rows */
    int32_t n_runs, heads; /* heads of a task */
    int64_t ld;            /* scores of a head */
    char *rooms;
    size_t room_bytes;
} step;

/* A part of the rows and heads. */
typedef struct unit {
    int32_t row, rows, head, heads, keys;
    float *scores; /* [rows][heads][ld] */
} unit;

/* ---- Cutting ------------------------------------------------------------------------------ */

static size_t runs_bytes(const fv_attention_step *s) { return (size_t)fv_round64((s->R + 1) * (int64_t)sizeof(int32_t), 64); }
static int64_t scores_of(int64_t keys) { return fv_round64(keys, BLOCK); }
static size_t room_bytes(const fv_attention_step *s, int64_t ld) { return (size_t)(MOST_ROWS * s->H * ld) * sizeof(float); }

size_t fv_attention_step_scratch(const fv_attention_step *s, int most_keys, int threads)
{
    return runs_bytes(s) + (size_t)threads * room_bytes(s, scores_of(most_keys));
}

static bool same_keys(const fv_attention_step *s, int32_t a, int32_t b)
{
    return !s->places && s->firsts[a] == s->firsts[b] && s->lengths[a] == s->lengths[b];
}

static void find_runs(step *t)
{
    const fv_attention_step *s = t->s;
    t->n_runs = 0;
    for (int32_t r = 0; r < s->R; r++) {
        int32_t first = t->n_runs > 0 ? t->runs[t->n_runs - 1] : 0;
        if (t->n_runs == 0 || r - first >= MOST_ROWS || !same_keys(s, first, r)) t->runs[t->n_runs++] = r;
    }
    t->runs[t->n_runs] = s->R;
}

/* The mean over heads wants all of them in one task. */
static int32_t heads_of_task(const step *t)
{
    if (t->s->weights || t->n_runs >= FEW_TASKS) return t->s->H;
    return fv_even(t->s->H, (t->s->H * t->n_runs + FEW_TASKS - 1) / FEW_TASKS);
}

/* ---- One unit ----------------------------------------------------------------------------- */

static float *scores_at(const step *t, const unit *u, int32_t row, int32_t head) { return u->scores + ((int64_t)row * u->heads + head) * t->ld; }

/* Where keys [key, key + n) of a row lie. */
static int32_t point(const fv_attention_step *s, const float *rows[BLOCK], const float *x, int64_t ldx, int32_t row, int32_t key, int32_t keys)
{
    int32_t n = keys - key < BLOCK ? keys - key : BLOCK;
    for (int32_t i = 0; i < n; i++) {
        int32_t slot = s->places ? s->places[row * s->ldplaces + key + i] : s->firsts[row] + key + i;
        rows[i] = x + slot * ldx;
    }
    return n;
}

static void score(const step *t, const unit *u)
{
    const fv_attention_step *s = t->s;
    const float *rows[BLOCK];
    for (int32_t key = 0; key < u->keys; key += BLOCK) {
        int32_t n = point(s, rows, s->k, s->ldk, u->row, key, u->keys);
        for (int32_t h = 0; h < u->heads; h++) {
            int32_t head = u->head + h, column = head / (s->H / s->K) * s->D;
            for (int32_t r = 0; r < u->rows; r++) t->isa->dot_rows(scores_at(t, u, r, h) + key, s->q + (u->row + r) * s->ldq + head * s->D, rows, column, n, s->D, s->scale);
        }
    }
}

/* Keys further back than the span all have the same bias, its first. */
static void add_bias(const fv_attention_step *s, float *scores, int32_t head, int32_t keys)
{
    const float *bias = s->bias + (int64_t)head * (2 * s->span + 1);
    int32_t far = keys - 1 - s->span;
    for (int32_t j = 0; j < keys; j++) scores[j] += bias[j > far ? j - far : 0];
}

static void weigh(const step *t, const unit *u)
{
    for (int32_t r = 0; r < u->rows; r++) {
        for (int32_t h = 0; h < u->heads; h++) {
            float *scores = scores_at(t, u, r, h);
            if (t->s->bias) add_bias(t->s, scores, u->head + h, u->keys);
            t->isa->softmax(scores, u->keys);
        }
    }
}

static void mix(const step *t, const unit *u)
{
    const fv_attention_step *s = t->s;
    const float *rows[BLOCK];
    for (int32_t key = 0; key < u->keys; key += BLOCK) {
        int32_t n = point(s, rows, s->v, s->ldv, u->row, key, u->keys);
        for (int32_t h = 0; h < u->heads; h++) {
            int32_t head = u->head + h, column = head / (s->H / s->K) * s->D;
            for (int32_t r = 0; r < u->rows; r++) t->isa->mix_rows(s->out + (u->row + r) * s->ldo + head * s->D, key > 0, scores_at(t, u, r, h) + key, rows, column, n, s->D);
        }
    }
}

static void tell_weights(const step *t, const unit *u)
{
    const fv_attention_step *s = t->s;
    for (int32_t r = 0; r < u->rows; r++) {
        float *mean = s->weights + (u->row + r) * s->ldweights;
        for (int32_t h = 0; h < u->heads; h++) t->isa->copy(mean, 0, h > 0, scores_at(t, u, r, h), 0, 1.0f / (float)s->H, 1, u->keys);
    }
}

static void give_zeros(const fv_attention_step *s, const unit *u)
{
    for (int32_t r = 0; r < u->rows; r++) memset(s->out + (u->row + r) * s->ldo + u->head * s->D, 0, (size_t)(u->heads * s->D) * sizeof(float));
}

static void attend_task(void *arg, int64_t task, int worker)
{
    const step *t = arg;
    const fv_attention_step *s = t->s;
    int64_t groups = (s->H + t->heads - 1) / t->heads, run = task / groups;
    unit u = {.row = t->runs[run], .rows = t->runs[run + 1] - t->runs[run], .head = (int32_t)(task % groups) * t->heads};
    u.heads = s->H - u.head < t->heads ? s->H - u.head : t->heads;
    u.keys = s->lengths[u.row];
    u.scores = (float *)(t->rooms + (size_t)worker * t->room_bytes);
    if (u.keys <= 0) {
        give_zeros(s, &u);
        return;
    }
    score(t, &u);
    weigh(t, &u);
    mix(t, &u);
    if (s->weights) tell_weights(t, &u);
}

void fv_attention_step_forward(const fv_attention_step *s, fv_pool *pool, void *scratch)
{
    int64_t longest = 0, all = 0;
    for (int32_t r = 0; r < s->R; r++) {
        if (s->lengths[r] > longest) longest = s->lengths[r];
        all += s->lengths[r];
    }
    step t = {.s = s, .isa = fv_isa_current(), .runs = scratch, .ld = scores_of(longest)};
    find_runs(&t);
    t.heads = heads_of_task(&t);
    t.rooms = (char *)scratch + runs_bytes(s);
    t.room_bytes = room_bytes(s, t.ld);
    bool small = all * 2 * s->H * s->D < LEAST_MULTIPLY_ADDS;
    fv_shares_run(small ? NULL : pool, (int64_t)t.n_runs * ((s->H + t.heads - 1) / t.heads), attend_task, &t);
}
