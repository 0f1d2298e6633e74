/* Attention forward, for ragged sequences and any bounds, in tiles with an online softmax.
 *
 * A task takes a chunk of queries of one sequence and some heads. For each head it walks blocks of
 * keys: copies keys and values of the block to where they lie close, then for nr queries at a time makes a tile of scores,
 * exponentiates it, and adds weights · values to the output rows themselves, which also are the
 * accumulators. Short sequences take all heads in one task; sizes alone decide.
 *
 * The trap: key blocks that a tile's queries do not see are skipped, so the first block seen sets
 * the output and later ones add; queries that see nothing at all get zeros at the end. */
#include <math.h>
#include <string.h>

#include "kernels/attention.h"
#include "kernels/shares.h"

#ifdef FV_STRESS
enum { QUERY_CHUNK = 32, TASK_MULTIPLY_ADDS = 1 };
#else
enum {
    QUERY_CHUNK = 256,            /* queries of a task: they share the copy of keys and values; a multiple of 32 */
    TASK_MULTIPLY_ADDS = 1 << 21, /* in a task, or short sequences' heads are put together */
};
#endif

static int32_t min32(int32_t a, int32_t b) { return a < b ? a : b; }
static int32_t max32(int32_t a, int32_t b) { return a > b ? a : b; }

/* ---- Cutting ------------------------------------------------------------------------------ */

size_t fv_attention_cut_bytes(const fv_attention *a) { return (size_t)fv_round64(((int64_t)a->B + 1) * 8, 64); }

static int32_t heads_of_task(const fv_attention_cut *cut, int32_t n, int32_t m)
{
    double one = cut->work * min32(n, cut->chunk) * (double)m;
    double want = TASK_MULTIPLY_ADDS / (one > 1 ? one : 1);
    return want >= cut->heads ? cut->heads : fv_even(cut->heads, max32(1, (int32_t)want));
}

/* Tasks of sequence b; the heads of each and the queries of each, whole vectors of them. */
static int64_t tasks_of(const fv_attention_cut *cut, const fv_attention *a, int32_t b, int32_t *heads, int32_t *queries)
{
    int32_t n = a->q_offsets[b + 1] - a->q_offsets[b], m = a->k_offsets[b + 1] - a->k_offsets[b];
    *heads = heads_of_task(cut, n, m);
    *queries = (int32_t)fv_round64(fv_even(max32(n, 1), cut->chunk), 32);
    return fv_round64(max32(n, 1), *queries) / *queries * ((cut->heads + *heads - 1) / *heads);
}

void fv_attention_cut_make(fv_attention_cut *cut, const fv_attention *a)
{
    int32_t heads, queries;
    cut->firsts[0] = 0;
    for (int32_t b = 0; b < a->B; b++) cut->firsts[b + 1] = cut->firsts[b] + tasks_of(cut, a, b, &heads, &queries);
}

/* The last b whose first task is not after `task`. */
static int32_t find_sequence(const fv_attention_cut *cut, int32_t B, int64_t task)
{
    int32_t low = 0, high = B;
    while (high - low > 1) {
        int32_t middle = low + (high - low) / 2;
        if (cut->firsts[middle] <= task) low = middle;
        else high = middle;
    }
    return low;
}

fv_attention_unit fv_attention_cut_unit(const fv_attention_cut *cut, const fv_attention *a, int64_t task)
{
    int32_t b = find_sequence(cut, a->B, task), heads, queries;
    tasks_of(cut, a, b, &heads, &queries);
    int32_t groups = (cut->heads + heads - 1) / heads;
    int32_t rest = (int32_t)(task - cut->firsts[b]), head = rest % groups * heads;
    fv_attention_unit u = {
        .sequence = b, .head = head, .head_end = min32(head + heads, cut->heads),
        .first_query = a->q_offsets[b], .first_key = a->k_offsets[b],
        .n = a->q_offsets[b + 1] - a->q_offsets[b], .m = a->k_offsets[b + 1] - a->k_offsets[b],
        .query = rest / groups * queries,
    };
    u.query_end = u.n - u.query > queries ? u.query + queries : u.n;
    return u;
}

/* ---- Bounds ------------------------------------------------------------------------------- */

fv_seen fv_attention_seen(const fv_attention *a, const fv_attention_unit *u, int32_t i)
{
    int64_t limit = a->k_limits ? max32(0, min32(u->m, a->k_limits[u->sequence])) : u->m;
    int64_t place = (int64_t)i + u->m - u->n, lo = 0, hi = limit;
    if (a->causal && hi > place + 1) hi = place + 1;
    if (a->window > 0 && hi > place + a->window) hi = place + a->window;
    if (a->window > 0 && lo < place - a->window + 1) lo = place - a->window + 1;
    if (lo > limit) lo = limit;
    if (hi < lo) hi = lo;
    return (fv_seen){(int32_t)lo, (int32_t)hi};
}

static void fill_row_keys(fv_lanes *l, const fv_attention *a, const fv_attention_unit *u, int32_t head, int32_t query)
{
    uint64_t key = fv_mix(fv_mix(a->key, a->sequences[u->sequence]), (uint64_t)head);
    for (int32_t i = 0; i < l->lanes; i++) l->row_keys[i] = (uint32_t)fv_mix(key, (uint64_t)(query + i));
}

void fv_lanes_fill(fv_lanes *l, const fv_attention *a, const fv_attention_unit *u, const fv_isa_table *isa, int32_t head, int32_t query, int32_t n)
{
    l->n = n;
    l->lanes = (int32_t)fv_round64(n, isa->lanes);
    fv_seen first = fv_attention_seen(a, u, query), last = fv_attention_seen(a, u, query + n - 1);
    l->begin = first.lo;
    l->end = last.hi;
    l->all_begin = last.lo;
    l->all_end = first.hi;
    bool same = first.lo == last.lo && first.hi == last.hi;
    for (int32_t i = 0; i < l->lanes; i++) {
        fv_seen seen = same ? first : fv_attention_seen(a, u, query + min32(i, n - 1));
        l->lo[i] = seen.lo;
        l->hi[i] = seen.hi;
    }
    if (fv_drop_of(a->dropout)) fill_row_keys(l, a, u, head, query);
}

fv_span fv_span_of(const fv_key_block *k, const fv_lanes *l)
{
    int32_t begin = max32(l->begin - k->key, 0), end = min32(l->end - k->key, k->n);
    if (end <= begin) return (fv_span){0};
    return (fv_span){.begin = begin, .keys = end - begin, .all = k->key + begin >= l->all_begin && k->key + end <= l->all_end};
}

/* ---- Layout ------------------------------------------------------------------------------- */

void fv_straighten(const fv_isa_table *isa, float *out, int32_t most, const float *x, int64_t ldx, int32_t rows, int32_t D)
{
    for (int32_t d = 0; d < D; d += FV_TILE_LD) {
        isa->copy(out + fv_straight_at(most, 0, d), FV_TILE_LD, false, x + d, ldx, 1.0f, rows, min32(FV_TILE_LD, D - d));
    }
}

/* D goes in pieces, since that is how the keys lie. */
static void score_tile(const fv_isa_table *isa, float *out, int64_t ld, const float *keys, int32_t row, const float *queries, int32_t D, int rows, int cols, bool add)
{
    for (int32_t d = 0; d < D; d += FV_TILE_LD) {
        isa->tile_rows(out, ld, keys + fv_straight_at(FV_KEY_BLOCK, row, d), queries + (int64_t)d * isa->nr, isa->nr, min32(FV_TILE_LD, D - d), rows, cols, add || d > 0);
    }
}

void fv_scores(const fv_isa_table *isa, float *out, int64_t ld, const float *keys, fv_span span, const float *queries, int32_t D, int32_t lanes, bool add)
{
    int32_t rows = fv_even(span.keys, isa->mr);
    for (int32_t j = 0; j < lanes; j += isa->nr) {
        for (int32_t i = 0; i < span.keys; i += rows) {
            score_tile(isa, out + i * ld + j, ld, keys, span.begin + i, queries + (int64_t)j * D, D, min32(rows, span.keys - i), min32(isa->nr, lanes - j), add);
        }
    }
}

/* ---- Biases ------------------------------------------------------------------------------- */

fv_strip fv_strip_of(float *at, const fv_attention_unit *u, int32_t query, int32_t lanes, int32_t first_key, int32_t keys)
{
    return (fv_strip){.at = at, .keys = keys, .lanes = lanes, .far = (int64_t)first_key + keys - 1 - ((int64_t)query + u->m - u->n)};
}

void fv_strip_start_scores(const fv_strip *strip, const fv_attention *a, int32_t head, float *scores, int64_t ld)
{
    const float *bias = a->bias + head * a->ldbias;
    for (int32_t x = 0; x < strip->keys - 1 + strip->lanes; x++) strip->at[x] = bias[fv_bias_at(a->span, strip->far - x)];
    for (int32_t r = 0; r < strip->keys; r++) memcpy(scores + r * ld, strip->at + strip->keys - 1 - r, (size_t)strip->lanes * sizeof(float));
}

/* ---- Forward ------------------------------------------------------------------------------ */

/* What one thread works in. */
typedef struct room {
    float *queries;       /* turned, scaled */
    float *keys, *values; /* straight */
    float *scores;        /* [KEY_BLOCK][nr] */
    float *max, *sum;     /* [chunk] */
    float *alpha;         /* [nr] */
    float *strip;         /* where there are biases */
    bool *begun;          /* [chunk / nr] */
} room;

typedef struct forward {
    const fv_attention *a;
    const fv_isa_table *isa;
    fv_attention_cut cut;
    char *rooms;
    size_t room_bytes;
} forward;

static size_t make_room(room *r, const fv_attention *a, const fv_isa_table *isa, char *base)
{
    size_t at = 0;
    int64_t D = a->D, nr = isa->nr, chunk = fv_round64(QUERY_CHUNK, nr);
    r->queries = fv_take(base, &at, chunk * D);
    r->keys = fv_take(base, &at, fv_straight_floats(a->D, FV_KEY_BLOCK));
    r->values = fv_take(base, &at, fv_straight_floats(a->D, FV_KEY_BLOCK));
    r->scores = fv_take(base, &at, FV_KEY_BLOCK * nr);
    r->max = fv_take(base, &at, chunk);
    r->sum = fv_take(base, &at, chunk);
    r->alpha = fv_take(base, &at, nr);
    r->begun = fv_take(base, &at, chunk / nr);
    r->strip = fv_take(base, &at, a->bias ? FV_STRIP : 0);
    return at;
}

/* Multiplies what was summed before by alpha, mostly 1. */
static void rescale(const forward *f, float *out, const float *alpha, int32_t n)
{
    bool any = false;
    for (int32_t i = 0; i < n; i++) any |= alpha[i] != 1.0f;
    if (any) f->isa->scale_rows(out, f->a->ldo, alpha, n, f->a->D);
}

/* out[n][D] = or += weights[keys][n]ᵀ · values, from row `begin` on */
static void weigh_values(const forward *f, float *out, const float *weights, const float *values, int32_t n, fv_span span, bool add)
{
    const fv_isa_table *isa = f->isa;
    int32_t rows = fv_even(n, isa->mr), D = f->a->D;
    for (int32_t d = 0; d < D; d += isa->nr) {
        const float *column = values + fv_straight_at(FV_KEY_BLOCK, span.begin, d);
        for (int32_t i = 0; i < n; i += rows) {
            isa->tile(out + i * f->a->ldo + d, f->a->ldo, weights + i, isa->nr, column, FV_TILE_LD, (fv_ahead){0}, span.keys, min32(rows, n - i), min32(isa->nr, D - d), add);
        }
    }
}

/* nr queries, from `query` on, against one block of keys. */
static void attend_block(const forward *f, const room *r, const fv_attention_unit *u, const fv_lanes *l, const fv_key_block *k, int32_t head, int32_t at)
{
    const fv_isa_table *isa = f->isa;
    const fv_attention *a = f->a;
    fv_span span = fv_span_of(k, l);
    if (span.keys == 0) return;
    if (a->bias) {
        fv_strip strip = fv_strip_of(r->strip, u, u->query + at, l->lanes, k->key + span.begin, span.keys);
        fv_strip_start_scores(&strip, a, head, r->scores, isa->nr);
    }
    fv_scores(isa, r->scores, isa->nr, r->keys, span, r->queries + (int64_t)at * a->D, a->D, l->lanes, a->bias != NULL);
    fv_score_tile t = {
        .s = r->scores, .ld = isa->nr, .n_keys = span.keys, .first_key = k->key + span.begin, .lanes = l->lanes,
        .lo = span.all ? NULL : l->lo, .hi = span.all ? NULL : l->hi,
        .drop = fv_drop_of(a->dropout), .row_keys = fv_drop_of(a->dropout) ? l->row_keys : NULL,
    };
    isa->softmax_tile(&t, r->max + at, r->sum + at, r->alpha);
    bool *begun = &r->begun[at / isa->nr];
    float *rows = a->out + (u->first_query + u->query + at) * a->ldo + (int64_t)head * a->D;
    if (*begun) rescale(f, rows, r->alpha, l->n);
    weigh_values(f, rows, r->scores, r->values, l->n, span, *begun);
    *begun = true;
}

static void start_head(const forward *f, const room *r, const fv_attention_unit *u, int32_t head)
{
    const fv_attention *a = f->a;
    int32_t n = u->query_end - u->query, nr = f->isa->nr, lanes = (int32_t)fv_round64(n, nr);
    f->isa->turn(r->queries, a->q + (u->first_query + u->query) * a->ldq + (int64_t)head * a->D, a->ldq, a->scale, n, a->D);
    for (int32_t i = 0; i < lanes; i++) {
        r->max[i] = -INFINITY;
        r->sum[i] = 0;
    }
    memset(r->begun, 0, (size_t)(lanes / nr) * sizeof(bool));
}

/* Divides by the sums, and by the share that dropout keeps. Queries that saw nothing were not written. */
static void finish_head(const forward *f, const room *r, const fv_attention_unit *u, int32_t head)
{
    const fv_attention *a = f->a;
    int64_t row = u->first_query + u->query, n = u->query_end - u->query;
    float keep = (float)(256 - fv_drop_of(a->dropout)) / 256.0f, *out = a->out + row * a->ldo + (int64_t)head * a->D;
    for (int64_t i = 0; i < n; i++) {
        float sum = r->sum[i];
        if (sum == 0) memset(out + i * a->ldo, 0, (size_t)a->D * sizeof(float));
        if (a->lse) a->lse[(row + i) * a->H + head] = sum == 0 ? -INFINITY : r->max[i] + logf(sum);
        r->sum[i] = sum == 0 ? 0 : 1.0f / (sum * keep);
    }
    f->isa->scale_rows(out, a->ldo, r->sum, n, a->D);
}

static void load_keys(const forward *f, const room *r, const fv_attention_unit *u, int32_t head, const fv_key_block *k)
{
    const fv_attention *a = f->a;
    int64_t row = u->first_key + k->key, column = (int64_t)(head / (a->H / a->K)) * a->D;
    fv_straighten(f->isa, r->keys, FV_KEY_BLOCK, a->k + row * a->ldk + column, a->ldk, k->n, a->D);
    fv_straighten(f->isa, r->values, FV_KEY_BLOCK, a->v + row * a->ldv + column, a->ldv, k->n, a->D);
}

static void attend_head(const forward *f, const room *r, const fv_attention_unit *u, int32_t head)
{
    int32_t nr = f->isa->nr, n = u->query_end - u->query;
    int32_t begin = fv_attention_seen(f->a, u, u->query).lo, end = fv_attention_seen(f->a, u, u->query_end - 1).hi;
    int32_t block = fv_even(max32(end - begin, 1), FV_KEY_BLOCK);
    start_head(f, r, u, head);
    for (; begin < end; begin += block) {
        fv_key_block k = {.key = begin, .n = min32(block, end - begin)};
        load_keys(f, r, u, head, &k);
        for (int32_t at = 0; at < n; at += nr) {
            fv_lanes l;
            fv_lanes_fill(&l, f->a, u, f->isa, head, u->query + at, min32(nr, n - at));
            attend_block(f, r, u, &l, &k, head, at);
        }
    }
    finish_head(f, r, u, head);
}

static void forward_task(void *arg, int64_t task, int worker)
{
    const forward *f = arg;
    room r;
    make_room(&r, f->a, f->isa, f->rooms + (size_t)worker * f->room_bytes);
    fv_attention_unit u = fv_attention_cut_unit(&f->cut, f->a, task);
    for (int32_t head = u.head; head < u.head_end && u.n > 0; head++) attend_head(f, &r, &u, head);
}

static fv_attention_cut forward_cut(const fv_attention *a, void *scratch)
{
    return (fv_attention_cut){.firsts = scratch, .chunk = QUERY_CHUNK, .heads = a->H, .work = 2.0 * a->D};
}

size_t fv_attention_forward_scratch(const fv_attention *a, int threads)
{
    room r;
    return fv_attention_cut_bytes(a) + (size_t)threads * make_room(&r, a, fv_isa_current(), NULL);
}

void fv_attention_forward(const fv_attention *a, fv_pool *pool, void *scratch)
{
    room r;
    forward f = {.a = a, .isa = fv_isa_current(), .cut = forward_cut(a, scratch)};
    f.rooms = (char *)scratch + fv_attention_cut_bytes(a);
    f.room_bytes = make_room(&r, a, f.isa, NULL);
    fv_attention_cut_make(&f.cut, a);
    fv_shares_run(pool, f.cut.firsts[a->B], forward_task, &f);
}

/* ---- For people --------------------------------------------------------------------------- */

void fv_attention_weights(const fv_attention *a, int32_t sequence, int32_t head, float *weights)
{
    const fv_isa_table *isa = fv_isa_current();
    fv_attention_unit u = {
        .sequence = sequence, .first_query = a->q_offsets[sequence], .first_key = a->k_offsets[sequence],
        .n = a->q_offsets[sequence + 1] - a->q_offsets[sequence], .m = a->k_offsets[sequence + 1] - a->k_offsets[sequence],
    };
    const float *k = a->k + u.first_key * a->ldk + (int64_t)(head / (a->H / a->K)) * a->D;
    for (int32_t i = 0; i < u.n; i++) {
        fv_seen seen = fv_attention_seen(a, &u, i);
        int64_t row = u.first_query + i;
        const float *q = a->q + row * a->ldq + (int64_t)head * a->D;
        for (int32_t j = 0; j < u.m; j++) {
            bool visible = j >= seen.lo && j < seen.hi;
            float bias = a->bias ? a->bias[head * a->ldbias + fv_bias_at(a->span, (int64_t)j - (i + u.m - u.n))] : 0;
            weights[(int64_t)i * u.m + j] = visible ? expf(a->scale * isa->dot(q, k + j * a->ldk, a->D) + bias - a->lse[row * a->H + head]) : 0;
        }
    }
}

double fv_attention_flops(const fv_attention *a, bool backward)
{
    double scores = 0;
    for (int32_t b = 0; b < a->B; b++) {
        fv_attention_unit u = {.sequence = b, .n = a->q_offsets[b + 1] - a->q_offsets[b], .m = a->k_offsets[b + 1] - a->k_offsets[b]};
        for (int32_t i = 0; i < u.n; i++) {
            fv_seen seen = fv_attention_seen(a, &u, i);
            scores += seen.hi - seen.lo;
        }
    }
    return scores * a->H * a->D * (backward ? 10.0 : 4.0);
}
