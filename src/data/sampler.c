/* Which rows make which batch of which epoch. Token ids go in, ragged batches come out.
 *
 * A window of rows about 50 batches long is sorted by length, so that rows of a batch are alike and
 * the budget is filled well, and yet a batch's company changes from epoch to epoch.
 * The trap: a plan must be the same on every machine and after a resume. Hence no qsort (order of
 * equals is open, and it may allocate): keys hold length and row number, so no two are equal. */
#include "data/data.h"

#include <string.h>

enum { WINDOW_BATCHES = 50 };

/* What planning scribbles on. */
typedef struct workspace {
    uint64_t *keys, *other; /* [n] length and row number in one word, to be sorted */
    uint32_t *order, *starts; /* the plan before its batches are shuffled */
    uint32_t *batches;      /* [n] */
} workspace;

fv_status fv_feature_rows_init(fv_feature_rows *rows, size_t most, fv_err *err)
{
    *rows = (fv_feature_rows){.offsets = fv_alloc_zero(most + 1, sizeof *rows->offsets, err)};
    return rows->offsets ? FV_OK : FV_E_MEMORY;
}

void fv_feature_rows_release(fv_feature_rows *rows)
{
    fv_free(rows->ids);
    fv_free(rows->values);
    fv_free(rows->offsets);
    *rows = (fv_feature_rows){0};
}

void fv_token_rows_release(fv_token_rows *rows)
{
    fv_free(rows->ids);
    fv_free(rows->types);
    fv_free(rows->offsets);
    *rows = (fv_token_rows){0};
}

static int64_t row_len(const fv_token_rows *rows, uint32_t row)
{
    return rows->offsets[row + 1] - rows->offsets[row];
}

/* Radix sort, a byte at a time; bytes in which all keys agree cost one count. */
static void sort_keys(uint64_t *keys, uint64_t *other, size_t n)
{
    uint64_t *from = keys, *to = other;
    for (int shift = 0; shift < 64; shift += 8) {
        size_t counts[256] = {0}, place = 0;
        for (size_t i = 0; i < n; i++) counts[from[i] >> shift & 255]++;
        if (n == 0 || counts[from[0] >> shift & 255] == n) continue;
        for (int digit = 0; digit < 256; digit++) {
            size_t count = counts[digit];
            counts[digit] = place;
            place += count;
        }
        for (size_t i = 0; i < n; i++) to[counts[from[i] >> shift & 255]++] = from[i];
        uint64_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != keys) memcpy(keys, from, n * sizeof *keys);
}

/* Sorts rows[0..n) by length, equal ones by number. */
static void sort_rows(const fv_sampler *s, uint32_t *rows, size_t n, bool longest_first)
{
    const workspace *w = s->work;
    for (size_t i = 0; i < n; i++) {
        uint32_t len = (uint32_t)row_len(s->rows, rows[i]);
        w->keys[i] = (uint64_t)(longest_first ? UINT32_MAX - len : len) << 32 | rows[i];
    }
    sort_keys(w->keys, w->other, n);
    for (size_t i = 0; i < n; i++) rows[i] = (uint32_t)w->keys[i];
}

/* Cuts order[begin..end) into batches behind those that are there. A row over the budget is alone. The bounds were found with
 * the rows as they were first: rows that changed since then stay within them. */
static void cut_batches(fv_sampler *s, const uint32_t *order, uint32_t *starts, size_t begin, size_t end)
{
    int64_t tokens = 0, most = s->batch_tokens < s->max_N ? s->batch_tokens : s->max_N;
    for (size_t i = begin; i < end; i++) {
        int64_t len = row_len(s->rows, order[i]);
        if (i == begin || tokens + len > most || (int64_t)i - starts[s->n_batches - 1] >= s->max_B) {
            starts[s->n_batches++] = (uint32_t)i;
            tokens = 0;
        }
        tokens += len;
    }
    starts[s->n_batches] = (uint32_t)end;
}

static size_t window_end(const fv_sampler *s, const uint32_t *order, size_t begin)
{
    int64_t tokens = 0;
    size_t end = begin;
    while (end < s->rows->n && tokens < (int64_t)WINDOW_BATCHES * s->batch_tokens) tokens += row_len(s->rows, order[end++]);
    return end;
}

static void plan_by_length(fv_sampler *s)
{
    sort_rows(s, s->order, s->rows->n, true);
    cut_batches(s, s->order, s->starts, 0, s->rows->n);
}

/* Puts the batches of the workspace into s in a new order. */
static void shuffle_batches(fv_sampler *s, fv_rng *rng)
{
    const workspace *w = s->work;
    uint32_t at = 0;
    for (size_t i = 0; i < s->n_batches; i++) w->batches[i] = (uint32_t)i;
    fv_rng_shuffle(rng, w->batches, s->n_batches);
    for (size_t i = 0; i < s->n_batches; i++) {
        uint32_t from = w->starts[w->batches[i]], n = w->starts[w->batches[i] + 1] - from;
        memcpy(s->order + at, w->order + from, n * sizeof *s->order);
        s->starts[i] = at;
        at += n;
    }
    s->starts[s->n_batches] = at;
}

void fv_sampler_plan(fv_sampler *s, int64_t epoch)
{
    const workspace *w = s->work;
    size_t n = s->rows->n;
    s->epoch = epoch;
    s->n_batches = 0;
    s->starts[0] = 0;
    uint32_t *order = epoch < 0 ? s->order : w->order;
    for (size_t i = 0; i < n; i++) order[i] = (uint32_t)i;
    if (epoch < 0) {
        plan_by_length(s);
        return;
    }
    fv_rng seeded = fv_rng_make(s->seed, "sampler"), rng = fv_rng_fork(&seeded, (uint64_t)epoch);
    fv_rng_shuffle(&rng, order, n);
    for (size_t begin = 0, end; begin < n; begin = end) {
        end = window_end(s, order, begin);
        sort_rows(s, order + begin, end - begin, false);
        cut_batches(s, order, w->starts, begin, end);
    }
    shuffle_batches(s, &rng);
}

/* ---- Batches ------------------------------------------------------------------------------ */

void fv_sampler_read(const fv_sampler *s, size_t i, fv_batch_room *r, fv_batch *batch)
{
    FV_ASSERT(i < s->n_batches);
    const fv_token_rows *rows = s->rows;
    int32_t n = 0, B = (int32_t)(s->starts[i + 1] - s->starts[i]);
    const uint32_t *numbers = s->order + s->starts[i];
    for (int32_t b = 0; b < B; b++) {
        int64_t from = rows->offsets[numbers[b]];
        int32_t len = (int32_t)row_len(rows, numbers[b]);
        r->offsets[b] = n;
        r->sequences[b] = numbers[b];
        memcpy(r->ids + n, rows->ids + from, (size_t)len * sizeof *r->ids);
        for (int32_t t = 0; t < len; t++, n++) {
            r->types[n] = rows->types[from + t];
            r->positions[n] = t;
        }
    }
    r->offsets[B] = n;
    *batch = (fv_batch){.B = B, .N = n, .ids = r->ids, .types = r->types, .positions = r->positions,
                        .offsets = r->offsets, .sequences = r->sequences, .rows = numbers};
}

void fv_sampler_get(fv_sampler *s, size_t i, fv_batch *batch) { fv_sampler_read(s, i, &s->room, batch); }

/* ---- Bounds and storage -------------------------------------------------------------------- */

/* No plan can put more rows together than the shortest ones that fit. */
static void find_bounds(fv_sampler *s)
{
    size_t n = s->rows->n;
    int64_t total = 0, longest = 0;
    for (size_t i = 0; i < n; i++) s->order[i] = (uint32_t)i;
    sort_rows(s, s->order, n, false);
    for (size_t i = 0; i < n; i++) {
        int64_t len = row_len(s->rows, s->order[i]);
        total += len;
        longest = len > longest ? len : longest;
        if (i == 0 || total <= s->batch_tokens) s->max_B = (int32_t)i + 1;
    }
    s->max_N = (int32_t)(total < s->batch_tokens ? total : s->batch_tokens);
    if (longest > s->max_N) s->max_N = (int32_t)longest;
}

static void *array(size_t n, size_t size, fv_status *status, fv_err *err)
{
    void *block = *status == FV_OK ? fv_alloc_zero(n, size, err) : NULL;
    if (!block) *status = FV_E_MEMORY;
    return block;
}

static fv_status allocate_plan(fv_sampler *s, fv_err *err)
{
    fv_status status = FV_OK;
    size_t n = s->rows->n;
    workspace *w = s->work = array(1, sizeof *w, &status, err);
    if (!w) return status;
    w->keys = array(n, sizeof *w->keys, &status, err);
    w->other = array(n, sizeof *w->other, &status, err);
    w->order = array(n, sizeof *w->order, &status, err);
    w->starts = array(n + 1, sizeof *w->starts, &status, err);
    w->batches = array(n, sizeof *w->batches, &status, err);
    s->order = array(n, sizeof *s->order, &status, err);
    s->starts = array(n + 1, sizeof *s->starts, &status, err);
    return status;
}

fv_status fv_batch_room_init(fv_batch_room *r, const fv_sampler *s, fv_err *err)
{
    fv_status status = FV_OK;
    size_t N = (size_t)s->max_N, B = (size_t)s->max_B;
    r->ids = array(N, sizeof *r->ids, &status, err);
    r->types = array(N, sizeof *r->types, &status, err);
    r->positions = array(N, sizeof *r->positions, &status, err);
    r->offsets = array(B + 1, sizeof *r->offsets, &status, err);
    r->sequences = array(B, sizeof *r->sequences, &status, err);
    return status;
}

void fv_batch_room_release(fv_batch_room *r)
{
    fv_free(r->ids);
    fv_free(r->types);
    fv_free(r->positions);
    fv_free(r->offsets);
    fv_free(r->sequences);
    *r = (fv_batch_room){0};
}

fv_status fv_sampler_init(fv_sampler *s, const fv_token_rows *rows, int batch_tokens, uint64_t seed, fv_err *err)
{
    fv_status status = FV_OK;
    *s = (fv_sampler){.rows = rows, .batch_tokens = batch_tokens, .seed = seed};
    if (batch_tokens < 1) return FV_FAIL(err, FV_E_ARGUMENT, "batches of %d tokens make no sense; expected at least 1", batch_tokens);
    if (rows->n > INT32_MAX) return FV_FAIL(err, FV_E_ARGUMENT, "%zu rows are too many; at most %d", rows->n, INT32_MAX);
    FV_TRY(allocate_plan(s, err));
    find_bounds(s);
    FV_TRY(fv_batch_room_init(&s->room, s, err));
    fv_sampler_plan(s, 0);
done:
    if (status != FV_OK) fv_sampler_release(s);
    return status;
}

void fv_sampler_release(fv_sampler *s)
{
    workspace *w = s->work;
    if (w) {
        fv_free(w->keys);
        fv_free(w->other);
        fv_free(w->order);
        fv_free(w->starts);
        fv_free(w->batches);
    }
    fv_free(w);
    fv_free(s->order);
    fv_free(s->starts);
    fv_batch_room_release(&s->room);
    *s = (fv_sampler){0};
}
