/* Attention backward: the weights are made again from q, k and the log-sum-exp that forward kept.
 * With p the weights, delta = the row sums of dout·out, and · elementwise (Dao et al. 2022, app. B):
 *
 *   dv = pᵀ dout     dp = dout vᵀ     ds = scale · p · (dp - delta)     dq = ds k     dk = dsᵀ q
 *
 * A task owns a sequence and some key heads with all of their query heads, so that dk and dv have
 * one writer: for each block of keys it sums dk and dv beside it and writes them once; dq is added to
 * block after block. There are as many tasks as sequences times key heads (several of them in one
 * where sequences are short): a lone long sequence keeps no more threads busy than it has key heads,
 * which costs less than the second computation of scores that a pass of its own for dq would need.
 *
 * Biases get ds / scale, summed along diagonals. Their sums have a writer each, too: tasks in runs, as many as
 * sizes alone say, and each run has its own, which are added up in the end.
 *
 * The trap: a query that saw nothing has lse = -inf; it is turned to +inf, so that its weights are 0. */
#include <math.h>
#include <string.h>

#include "kernels/attention.h"
#include "kernels/shares.h"

enum { QUERIES = FV_TILE_LD }; /* of a tile */

#ifdef FV_STRESS
enum { BIAS_RUNS = 3 };
#else
enum { BIAS_RUNS = 32 };
#endif

static int32_t min32(int32_t a, int32_t b) { return a < b ? a : b; }

/* What one thread works in. */
typedef struct room {
    float *keys, *values;                       /* straight */
    float *queries, *douts;                     /* straight */
    float *queries_turned, *douts_turned;       /* the former scaled */
    float *scores, *dp;                         /* [KEY_BLOCK][QUERIES] */
    float *dk, *dv;                             /* [KEY_BLOCK][D] */
    float *lse, *delta;                         /* [QUERIES] */
    float *strip;                               /* where there are biases */
    float *dbias;                               /* of the run, [H][2·span+1], or NULL */
} room;

typedef struct backward {
    const fv_attention *a;
    const fv_attention_grad *g;
    const fv_isa_table *isa;
    fv_attention_cut cut;
    char *rooms;
    size_t room_bytes;
    uint32_t drop;
    float keep; /* the share that dropout keeps */
    float *dbias; /* [runs][H][2·span+1], or NULL */
    int64_t runs; /* of tasks */
} backward;

static size_t make_room(room *r, const fv_attention *a, const fv_isa_table *isa, char *base)
{
    size_t at = 0;
    int64_t D = a->D;
    r->keys = fv_take(base, &at, fv_straight_floats(a->D, FV_KEY_BLOCK));
    r->values = fv_take(base, &at, fv_straight_floats(a->D, FV_KEY_BLOCK));
    r->queries = fv_take(base, &at, fv_straight_floats(a->D, QUERIES));
    r->douts = fv_take(base, &at, fv_straight_floats(a->D, QUERIES));
    r->queries_turned = fv_take(base, &at, fv_round64(QUERIES, isa->nr) * D);
    r->douts_turned = fv_take(base, &at, fv_round64(QUERIES, isa->nr) * D);
    r->scores = fv_take(base, &at, FV_KEY_BLOCK * QUERIES);
    r->dp = fv_take(base, &at, FV_KEY_BLOCK * QUERIES);
    r->dk = fv_take(base, &at, FV_KEY_BLOCK * D);
    r->dv = fv_take(base, &at, FV_KEY_BLOCK * D);
    r->lse = fv_take(base, &at, QUERIES);
    r->delta = fv_take(base, &at, QUERIES);
    r->strip = fv_take(base, &at, a->bias ? FV_STRIP : 0);
    return at;
}

static int64_t bias_floats(const fv_attention *a) { return a->H * (2 * (int64_t)a->span + 1); }

static void load_keys(const backward *b, const room *r, const fv_attention_unit *u, int32_t key_head, const fv_key_block *k)
{
    const fv_attention *a = b->a;
    int64_t row = u->first_key + k->key, column = (int64_t)key_head * a->D;
    fv_straighten(b->isa, r->keys, FV_KEY_BLOCK, a->k + row * a->ldk + column, a->ldk, k->n, a->D);
    fv_straighten(b->isa, r->values, FV_KEY_BLOCK, a->v + row * a->ldv + column, a->ldv, k->n, a->D);
}

/* What a score's gradient is multiplied by at once. Where biases want theirs, the scale comes after them. */
static float early_scale(const backward *b) { return b->dbias ? 1.0f : b->a->scale; }

/* The tile's queries and output gradients, and what each lane subtracts. delta is scaled, as ds is. */
static void load_queries(const backward *b, const room *r, const fv_attention_unit *u, int32_t head, int32_t query, const fv_lanes *l)
{
    const fv_attention *a = b->a;
    int64_t row = u->first_query + query, column = (int64_t)head * a->D;
    const float *queries = a->q + row * a->ldq + column, *douts = b->g->dout + row * b->g->lddo + column, *outs = a->out + row * a->ldo + column;
    fv_straighten(b->isa, r->queries, QUERIES, queries, a->ldq, l->n, a->D);
    fv_straighten(b->isa, r->douts, QUERIES, douts, b->g->lddo, l->n, a->D);
    b->isa->turn(r->queries_turned, queries, a->ldq, a->scale, l->n, a->D);
    b->isa->turn(r->douts_turned, douts, b->g->lddo, 1.0f, l->n, a->D);
    for (int32_t i = 0; i < l->lanes; i++) {
        float lse = i < l->n ? a->lse[(row + i) * a->H + head] : -INFINITY;
        r->lse[i] = lse == -INFINITY ? INFINITY : lse;
        r->delta[i] = i < l->n ? early_scale(b) * b->isa->dot(douts + i * b->g->lddo, outs + i * a->ldo, a->D) : 0;
    }
}

/* out[keys][D] = or += weights[keys][QUERIES] · queries, straight, over n of them. */
static void sum_over_queries(const backward *b, float *out, const float *weights, const float *queries, int32_t keys, int32_t n, bool add)
{
    int32_t D = b->a->D, nr = b->isa->nr, rows = fv_even(keys, b->isa->mr);
    for (int32_t d = 0; d < D; d += nr) {
        const float *column = queries + fv_straight_at(QUERIES, 0, d);
        for (int32_t i = 0; i < keys; i += rows) {
            b->isa->tile_rows(out + i * D + d, D, weights + i * QUERIES, column, FV_TILE_LD, n, min32(rows, keys - i), min32(nr, D - d), add);
        }
    }
}

/* dq[queries][D] = or += ds[keys][queries]ᵀ · keys, straight, of the span */
static void sum_over_keys(const backward *b, float *dq, const float *ds, const float *keys, fv_span span, int32_t n, bool add)
{
    int32_t D = b->a->D, nr = b->isa->nr, rows = fv_even(n, b->isa->mr);
    for (int32_t d = 0; d < D; d += nr) {
        const float *column = keys + fv_straight_at(FV_KEY_BLOCK, span.begin, d);
        for (int32_t i = 0; i < n; i += rows) {
            b->isa->tile(dq + i * b->g->lddq + d, b->g->lddq, ds + i, QUERIES, column, FV_TILE_LD, (fv_ahead){0}, span.keys, min32(rows, n - i), min32(nr, D - d), add);
        }
    }
}

/* Adds the diagonals of ds to the biases' gradients, then gives ds its scale. Keys that lie a vector apart come one after
 * the other: their sums are then whole vectors of the strip, and none has to wait for parts of two that were just written. */
static void sum_diagonals(const backward *b, const room *r, const fv_strip *strip, int32_t head)
{
    const fv_attention *a = b->a;
    float *dbias = r->dbias + head * (2 * (int64_t)a->span + 1);
    int32_t floats = strip->keys - 1 + strip->lanes;
    memset(strip->at, 0, (size_t)floats * sizeof(float));
    for (int32_t phase = 0; phase < b->isa->lanes; phase++) {
        for (int32_t key = phase; key < strip->keys; key += b->isa->lanes) {
            float *sums = strip->at + strip->keys - 1 - key;
            b->isa->add_row(sums, sums, r->dp + key * QUERIES, strip->lanes);
        }
    }
    for (int32_t x = 0; x < floats; x++) dbias[fv_bias_at(a->span, strip->far - x)] += strip->at[x];
    if (a->scale != 1.0f) b->isa->copy(r->dp, QUERIES, false, r->dp, QUERIES, a->scale, strip->keys, strip->lanes);
}

/* The first tile sets dk and dv of the block when it sees all of its keys; else zeros come first. */
static bool begin_keys(const backward *b, const room *r, const fv_key_block *k, fv_span span, bool begun)
{
    if (begun || span.keys == k->n) return begun;
    size_t bytes = (size_t)k->n * (size_t)b->a->D * sizeof(float);
    memset(r->dk, 0, bytes);
    memset(r->dv, 0, bytes);
    return true;
}

static void clear_rows(float *x, int64_t ldx, int64_t rows, int32_t D)
{
    for (int64_t i = 0; i < rows; i++) memset(x + i * ldx, 0, (size_t)D * sizeof(float));
}

/* One tile: up to QUERIES queries of one head against a block of keys. begun: dk and dv hold sums. */
static bool return_tile(const backward *b, const room *r, const fv_attention_unit *u, const fv_key_block *k, int32_t head, int32_t query, bool begun)
{
    const fv_attention *a = b->a;
    fv_lanes l;
    fv_lanes_fill(&l, a, u, b->isa, head, query, min32(QUERIES, u->n - query));
    fv_span span = fv_span_of(k, &l);
    float *dq = b->g->dq + (u->first_query + query) * b->g->lddq + (int64_t)head * a->D;
    bool add_q = b->g->add_q || k->key > 0;
    if (span.keys == 0) {
        if (!add_q) clear_rows(dq, b->g->lddq, l.n, a->D);
        return begun;
    }
    load_queries(b, r, u, head, query, &l);
    fv_strip strip = fv_strip_of(r->strip, u, query, l.lanes, k->key + span.begin, span.keys);
    if (a->bias) fv_strip_start_scores(&strip, a, head, r->scores, QUERIES);
    fv_scores(b->isa, r->scores, QUERIES, r->keys, span, r->queries_turned, a->D, l.lanes, a->bias != NULL);
    fv_scores(b->isa, r->dp, QUERIES, r->values, span, r->douts_turned, a->D, l.lanes, false);
    fv_score_tile t = {
        .s = r->scores, .ld = QUERIES, .n_keys = span.keys, .first_key = k->key + span.begin, .lanes = l.lanes,
        .lo = span.all ? NULL : l.lo, .hi = span.all ? NULL : l.hi, .drop = b->drop, .row_keys = b->drop ? l.row_keys : NULL,
    };
    b->isa->softmax_grad_tile(&t, r->dp, r->lse, r->delta, early_scale(b) / b->keep);
    if (r->dbias) sum_diagonals(b, r, &strip, head);
    begun = begin_keys(b, r, k, span, begun);
    sum_over_queries(b, r->dv + span.begin * a->D, r->scores, r->douts, span.keys, l.n, begun);
    sum_over_queries(b, r->dk + span.begin * a->D, r->dp, r->queries, span.keys, l.n, begun);
    sum_over_keys(b, dq, r->dp, r->keys, span, l.n, add_q);
    return true;
}

/* What was summed beside, into dk and dv; dv still lacks dropout's scale. Keys that nobody saw get zeros. */
static void store_keys(const backward *b, const room *r, const fv_attention_unit *u, const fv_key_block *k, int32_t key_head, bool begun)
{
    const fv_attention_grad *g = b->g;
    int32_t D = b->a->D;
    int64_t row = u->first_key + k->key, column = (int64_t)key_head * D;
    float *dk = g->dk + row * g->lddk + column, *dv = g->dv + row * g->lddv + column;
    if (begun) {
        b->isa->copy(dk, g->lddk, g->add_k, r->dk, D, 1.0f, k->n, D);
        b->isa->copy(dv, g->lddv, g->add_v, r->dv, D, 1.0f / b->keep, k->n, D);
        return;
    }
    if (!g->add_k) clear_rows(dk, g->lddk, k->n, D);
    if (!g->add_v) clear_rows(dv, g->lddv, k->n, D);
}

static void return_head(const backward *b, const room *r, const fv_attention_unit *u, int32_t key_head)
{
    int32_t group = b->a->H / b->a->K, first = key_head * group, block = fv_even(u->m, FV_KEY_BLOCK);
    for (int32_t key = 0; key < u->m; key += block) {
        fv_key_block k = {.key = key, .n = min32(block, u->m - key)};
        bool begun = false;
        load_keys(b, r, u, key_head, &k);
        for (int32_t head = first; head < first + group; head++) {
            for (int32_t query = 0; query < u->n; query += QUERIES) begun = return_tile(b, r, u, &k, head, query, begun);
        }
        store_keys(b, r, u, &k, key_head, begun);
    }
    if (u->m == 0 && !b->g->add_q) clear_rows(b->g->dq + u->first_query * b->g->lddq + (int64_t)first * b->a->D, b->g->lddq, u->n, group * b->a->D);
}

static void backward_run(void *arg, int64_t run, int worker)
{
    const backward *b = arg;
    int64_t tasks = b->cut.firsts[b->a->B], floats = bias_floats(b->a);
    room r;
    make_room(&r, b->a, b->isa, b->rooms + (size_t)worker * b->room_bytes);
    r.dbias = b->dbias ? b->dbias + run * floats : NULL;
    if (r.dbias) memset(r.dbias, 0, (size_t)floats * sizeof(float));
    for (int64_t task = tasks * run / b->runs; task < tasks * (run + 1) / b->runs; task++) {
        fv_attention_unit u = fv_attention_cut_unit(&b->cut, b->a, task);
        for (int32_t head = u.head; head < u.head_end; head++) return_head(b, &r, &u, head);
    }
}

static void give_biases(const backward *b, fv_pool *pool)
{
    int64_t each = 2 * (int64_t)b->a->span + 1;
    for (int32_t h = 0; h < b->a->H; h++) fv_sum_columns(b->g->dbias + h * b->g->lddbias, true, b->dbias + h * each, bias_floats(b->a), b->runs, each, pool);
}

size_t fv_attention_scratch(const fv_attention *a, int threads)
{
    room r;
    size_t forward = fv_attention_forward_scratch(a, threads), biases = a->bias ? BIAS_RUNS * (size_t)bias_floats(a) * sizeof(float) : 0;
    size_t here = fv_attention_cut_bytes(a) + (size_t)threads * make_room(&r, a, fv_isa_current(), NULL) + biases;
    return here > forward ? here : forward;
}

void fv_attention_backward(const fv_attention *a, const fv_attention_grad *g, fv_pool *pool, void *scratch)
{
    room r;
    int threads = pool ? fv_pool_threads(pool) : 1;
    backward b = {.a = a, .g = g, .isa = fv_isa_current(), .drop = fv_drop_of(a->dropout)};
    b.cut = (fv_attention_cut){.firsts = scratch, .chunk = INT32_MAX - 31, .heads = a->K, .work = 5.0 * a->D * (a->H / a->K)};
    b.rooms = (char *)scratch + fv_attention_cut_bytes(a);
    b.room_bytes = make_room(&r, a, b.isa, NULL);
    b.keep = (float)(256 - b.drop) / 256.0f;
    fv_attention_cut_make(&b.cut, a);
    b.runs = b.cut.firsts[a->B];
    if (a->bias && g->dbias) {
        b.dbias = (float *)(b.rooms + (size_t)threads * b.room_bytes);
        if (b.runs > BIAS_RUNS) b.runs = BIAS_RUNS;
    }
    fv_shares_run(pool, b.runs, backward_run, &b);
    if (b.dbias) give_biases(&b, pool);
}
