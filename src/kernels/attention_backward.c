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
 * The trap: a query that saw nothing has lse = -inf; it is turned to +inf, so that its weights are 0. */
#include <math.h>
#include <string.h>

#include "kernels/attention.h"

enum { QUERIES = FV_TILE_LD }; /* of a tile */

static int32_t min32(int32_t a, int32_t b) { return a < b ? a : b; }

/* What one thread works in. Turned: panels [D][width], for products over D. Straight: panels
 * [rows][nr] of columns of D, for products over keys or queries. */
typedef struct room {
    float *keys_turned, *values_turned, *keys_straight;
    float *queries_turned, *douts_turned, *queries_straight, *douts_straight;
    float *scores, *dp;       /* [KEY_BLOCK][QUERIES] */
    float *dk, *dv;           /* [KEY_BLOCK][D in whole panels] */
    float *lse, *delta;       /* [QUERIES] */
} room;

typedef struct backward {
    const fv_attention *a;
    const fv_attention_grad *g;
    const fv_isa_table *isa;
    fv_attention_cut cut;
    char *rooms;
    size_t room_bytes;
    uint32_t drop;
    float keep;    /* the share that dropout keeps */
    int64_t width; /* D in whole panels */
} backward;

static size_t make_room(room *r, const fv_attention *a, const fv_isa_table *isa, char *base)
{
    size_t at = 0;
    int64_t D = a->D, width = fv_round64(D, isa->nr), keys = FV_KEY_BLOCK + isa->mr;
    r->keys_turned = fv_take(base, &at, keys * D);
    r->values_turned = fv_take(base, &at, keys * D);
    r->keys_straight = fv_take(base, &at, width * FV_KEY_BLOCK);
    r->queries_turned = fv_take(base, &at, QUERIES * D);
    r->douts_turned = fv_take(base, &at, QUERIES * D);
    r->queries_straight = fv_take(base, &at, width * QUERIES);
    r->douts_straight = fv_take(base, &at, width * QUERIES);
    r->scores = fv_take(base, &at, FV_KEY_BLOCK * QUERIES);
    r->dp = fv_take(base, &at, FV_KEY_BLOCK * QUERIES);
    r->dk = fv_take(base, &at, FV_KEY_BLOCK * width);
    r->dv = fv_take(base, &at, FV_KEY_BLOCK * width);
    r->lse = fv_take(base, &at, QUERIES);
    r->delta = fv_take(base, &at, QUERIES);
    return at;
}

static void load_keys(const backward *b, const room *r, const fv_attention_unit *u, int32_t key_head, fv_key_block *k)
{
    const fv_attention *a = b->a;
    int64_t row = u->first_key + k->key, column = (int64_t)key_head * a->D;
    const float *keys = a->k + row * a->ldk + column, *values = a->v + row * a->ldv + column;
    k->mr = fv_even(k->n, b->isa->mr);
    fv_pack_turned(b->isa, r->keys_turned, k->mr, keys, a->ldk, k->n, a->D);
    fv_pack_turned(b->isa, r->values_turned, k->mr, values, a->ldv, k->n, a->D);
    fv_pack_straight(b->isa, r->keys_straight, (int64_t)FV_KEY_BLOCK * b->isa->nr, keys, a->ldk, k->n, a->D);
    memset(r->dk, 0, (size_t)(k->n * b->width) * sizeof(float));
    memset(r->dv, 0, (size_t)(k->n * b->width) * sizeof(float));
}

/* Packs the tile's queries and output gradients, and what each lane subtracts. delta is scaled, as ds is. */
static void load_queries(const backward *b, const room *r, const fv_attention_unit *u, int32_t head, int32_t query, const fv_lanes *l)
{
    const fv_attention *a = b->a;
    int64_t row = u->first_query + query, column = (int64_t)head * a->D;
    const float *queries = a->q + row * a->ldq + column, *douts = b->g->dout + row * b->g->lddo + column, *outs = a->out + row * a->ldo + column;
    fv_pack_turned(b->isa, r->queries_turned, b->isa->nr, queries, a->ldq, l->n, a->D);
    b->isa->scale_row(r->queries_turned, false, r->queries_turned, a->scale, fv_round64(l->n, b->isa->nr) * a->D);
    fv_pack_turned(b->isa, r->douts_turned, b->isa->nr, douts, b->g->lddo, l->n, a->D);
    fv_pack_straight(b->isa, r->queries_straight, (int64_t)QUERIES * b->isa->nr, queries, a->ldq, l->n, a->D);
    fv_pack_straight(b->isa, r->douts_straight, (int64_t)QUERIES * b->isa->nr, douts, b->g->lddo, l->n, a->D);
    for (int32_t i = 0; i < l->lanes; i++) {
        float lse = i < l->n ? a->lse[(row + i) * a->H + head] : -INFINITY;
        r->lse[i] = lse == -INFINITY ? INFINITY : lse;
        r->delta[i] = i < l->n ? a->scale * b->isa->dot(douts + i * b->g->lddo, outs + i * a->ldo, a->D) : 0;
    }
}

/* out[keys][QUERIES] = turned keys · turned queries, over D. */
static void multiply_turned(const backward *b, float *out, const float *keys, const float *queries, const fv_key_block *k, fv_span span, int32_t lanes)
{
    int32_t D = b->a->D, nr = b->isa->nr;
    for (int32_t j = 0; j < lanes; j += nr) {
        for (int32_t i = 0; i < span.keys; i += k->mr) {
            const float *panel = keys + (int64_t)(span.begin + i) * D;
            b->isa->tile(out + i * QUERIES + j, QUERIES, panel, k->mr, queries + (int64_t)j * D, D, min32(k->mr, span.keys - i), min32(nr, lanes - j), false);
        }
    }
}

/* out[keys][D] += weights[keys][QUERIES] · straight[queries][D], over n queries. */
static void sum_over_queries(const backward *b, float *out, const float *weights, const float *straight, int32_t keys, int32_t mr, int32_t n)
{
    int32_t D = b->a->D, nr = b->isa->nr;
    for (int32_t d = 0; d < D; d += nr) {
        const float *panel = straight + (int64_t)d * QUERIES;
        for (int32_t i = 0; i < keys; i += mr) {
            b->isa->tile_rows(out + i * b->width + d, b->width, weights + i * QUERIES, panel, n, min32(mr, keys - i), nr, true);
        }
    }
}

/* dq[queries][D] += ds[keys][queries]ᵀ · keys[keys][D] */
static void sum_over_keys(const backward *b, float *dq, const float *ds, const float *straight, int32_t keys, int32_t n)
{
    int32_t D = b->a->D, nr = b->isa->nr, rows = fv_even(n, b->isa->mr);
    for (int32_t d = 0; d < D; d += nr) {
        const float *panel = straight + (int64_t)d * FV_KEY_BLOCK;
        for (int32_t i = 0; i < n; i += rows) {
            b->isa->tile(dq + i * b->g->lddq + d, b->g->lddq, ds + i, QUERIES, panel, keys, min32(rows, n - i), min32(nr, D - d), true);
        }
    }
}

/* One tile: up to QUERIES queries of one head against a block of keys. */
static void return_tile(const backward *b, const room *r, const fv_attention_unit *u, const fv_key_block *k, int32_t head, int32_t query)
{
    const fv_attention *a = b->a;
    fv_lanes l;
    fv_lanes_fill(&l, a, u, b->isa, head, query, min32(QUERIES, u->n - query));
    fv_span span = fv_span_of(k, &l);
    if (span.keys == 0) return;
    load_queries(b, r, u, head, query, &l);
    multiply_turned(b, r->scores, r->keys_turned, r->queries_turned, k, span, l.lanes);
    multiply_turned(b, r->dp, r->values_turned, r->douts_turned, k, span, l.lanes);
    fv_score_tile t = {
        .s = r->scores, .ld = QUERIES, .n_keys = span.keys, .first_key = k->key + span.begin, .lanes = l.lanes,
        .lo = span.all ? NULL : l.lo, .hi = span.all ? NULL : l.hi, .drop = b->drop, .row_keys = b->drop ? l.row_keys : NULL,
    };
    b->isa->softmax_grad_tile(&t, r->dp, r->lse, r->delta, a->scale / b->keep);
    sum_over_queries(b, r->dv + span.begin * b->width, r->scores, r->douts_straight, span.keys, k->mr, l.n);
    sum_over_queries(b, r->dk + span.begin * b->width, r->dp, r->queries_straight, span.keys, k->mr, l.n);
    float *dq = b->g->dq + (u->first_query + query) * b->g->lddq + (int64_t)head * a->D;
    sum_over_keys(b, dq, r->dp, r->keys_straight + (int64_t)span.begin * b->isa->nr, span.keys, l.n);
}

/* What was summed beside, into dk and dv; dv still lacks dropout's scale. */
static void store_keys(const backward *b, const room *r, const fv_attention_unit *u, const fv_key_block *k, int32_t key_head)
{
    const fv_attention_grad *g = b->g;
    int32_t D = b->a->D;
    for (int32_t i = 0; i < k->n; i++) {
        int64_t row = u->first_key + k->key + i, column = (int64_t)key_head * D;
        b->isa->scale_row(g->dk + row * g->lddk + column, g->add_k, r->dk + i * b->width, 1.0f, D);
        b->isa->scale_row(g->dv + row * g->lddv + column, g->add_v, r->dv + i * b->width, 1.0f / b->keep, D);
    }
}

static void clear_dq(const backward *b, const fv_attention_unit *u, int32_t head)
{
    for (int32_t i = 0; i < u->n && !b->g->add_q; i++) {
        memset(b->g->dq + (u->first_query + i) * b->g->lddq + (int64_t)head * b->a->D, 0, (size_t)b->a->D * sizeof(float));
    }
}

static void return_head(const backward *b, const room *r, const fv_attention_unit *u, int32_t key_head)
{
    int32_t group = b->a->H / b->a->K, first = key_head * group, block = fv_even(u->m, FV_KEY_BLOCK);
    for (int32_t head = first; head < first + group; head++) clear_dq(b, u, head);
    for (int32_t key = 0; key < u->m; key += block) {
        fv_key_block k = {.key = key, .n = min32(block, u->m - key)};
        load_keys(b, r, u, key_head, &k);
        for (int32_t head = first; head < first + group; head++) {
            for (int32_t query = 0; query < u->n; query += QUERIES) return_tile(b, r, u, &k, head, query);
        }
        store_keys(b, r, u, &k, key_head);
    }
}

static void backward_task(void *arg, int64_t task, int worker)
{
    const backward *b = arg;
    room r;
    make_room(&r, b->a, b->isa, b->rooms + (size_t)worker * b->room_bytes);
    fv_attention_unit u = fv_attention_cut_unit(&b->cut, b->a, task);
    for (int32_t head = u.head; head < u.head_end; head++) return_head(b, &r, &u, head);
}

size_t fv_attention_scratch(const fv_attention *a, int threads)
{
    room r;
    size_t forward = fv_attention_forward_scratch(a, threads);
    size_t here = fv_attention_cut_bytes(a) + (size_t)threads * make_room(&r, a, fv_isa_current(), NULL);
    return here > forward ? here : forward;
}

void fv_attention_backward(const fv_attention *a, const fv_attention_grad *g, fv_pool *pool, void *scratch)
{
    room r;
    backward b = {.a = a, .g = g, .isa = fv_isa_current(), .drop = fv_drop_of(a->dropout)};
    b.cut = (fv_attention_cut){.firsts = scratch, .chunk = INT32_MAX - 31, .heads = a->K, .work = 5.0 * a->D * (a->H / a->K)};
    b.rooms = (char *)scratch + fv_attention_cut_bytes(a);
    b.room_bytes = make_room(&r, a, b.isa, NULL);
    b.keep = (float)(256 - b.drop) / 256.0f;
    b.width = fv_round64(a->D, b.isa->nr);
    fv_attention_cut_make(&b.cut, a);
    fv_pool_run(pool, b.cut.firsts[a->B], backward_task, &b);
}
