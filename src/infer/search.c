/* Greedy and beam search over many sources at once.
 *
 * A source in work has a lane. A lane has up to `beam` live hypotheses, and what each of them has written so far is a row of
 * places: slots, one for each token, oldest first. A token's slot holds its key and value, its id, and the attention that its
 * successor paid. So a hypothesis that goes on copies some integers, and no key or value ever moves; a slot is written once
 * while its lane works. Rows of a step are the live hypotheses of all lanes, back to back: lanes that are done drop out, and
 * waiting sources take their lanes as soon as a quarter of them is free.
 *
 * When a lane is done: once `beam` hypotheses have ended (as many do it: Klein et al. 2017, Ott et al. 2019), or, earlier but
 * without changing any result, when the best live one could not reach the worst that is asked for even if every later token
 * were certain: log-probabilities only fall, and the length penalty helps at most as much as max_len tokens would. The common
 * rule is kept because waiting for the exact one alone takes nearly max_len steps when the length penalty is 1. An end counts
 * when it is among the best `beam` continuations of its step.
 *
 * The trap: every choice must have one outcome. Candidates are ordered by score, then by hypothesis, then by id; a sum is
 * made of the same terms in the same order wherever a row stands. */
#include "infer/search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_ROWS = 128,  /* where the options leave it open */
    EXTRA_LENGTH = 20,
};

typedef struct live_hypothesis {
    double sum;      /* of log-probabilities */
    int32_t parent;  /* while its lane advances: the hypothesis that it continues */
    int32_t newest;  /* token */
} live_hypothesis;

typedef struct ended_hypothesis {
    double score;
    int32_t n;       /* tokens, </s> not counted */
    bool cut;
    int32_t *places; /* [n + 1], the start token's first */
} ended_hypothesis;

typedef struct lane {
    int32_t source;  /* -1: free */
    int32_t t;       /* tokens written */
    int32_t least, most;
    int32_t n_live, n_ended, n_kept; /* ended: all that came to an end; kept: the best of them */
    int32_t row;     /* of its first hypothesis in this step */
    live_hypothesis *live;           /* [beam], best first */
    ended_hypothesis *kept;          /* [beam], best first */
    int32_t *places;                 /* [beam, ld] */
} lane;

typedef struct candidate {
    double sum;
    int32_t parent, id;
} candidate;

struct fv_search {
    fv_stepper model;
    fv_pool *pool;
    fv_search_options options;
    const fv_search_source *sources;
    fv_hypothesis *out;
    uint32_t *order;      /* [n] sources, the longest first */
    size_t order_capacity;
    fv_arena work, results;

    /* laid out in `work` for the lanes of a group of sources */
    fv_search_shape shape;
    int32_t ld;           /* places of a hypothesis at most */
    int k;                /* best columns that a row is asked for */
    lane *lanes;
    int32_t n_lanes, n_rows;
    fv_search_reading *readings;
    int32_t *ids, *positions, *slots, *places, *lengths, *firsts, *memory_lengths, *row_lanes; /* [rows]; places [rows, ld] */
    float *weights;       /* [rows, longest], or NULL */
    int32_t *slot_ids;    /* [slots] */
    float *slot_weights;  /* [slots, longest], or NULL */
    int32_t *best;        /* [rows, k] */
    float *values, *lse;  /* [rows, k], [rows] */
    candidate *candidates;
    live_hypothesis *next;
    double *covered;      /* [longest] */
};

fv_search *fv_search_new(const fv_stepper *stepper, fv_pool *pool, fv_err *err)
{
    fv_search *s = fv_alloc_zero(1, sizeof *s, err);
    if (!s) return NULL;
    s->model = *stepper;
    s->pool = pool;
    return s;
}

void fv_search_free(fv_search *s)
{
    if (!s) return;
    fv_arena_release(&s->work);
    fv_arena_release(&s->results);
    fv_free(s->order);
    fv_free(s);
}

static int32_t min32(int32_t a, int32_t b) { return a < b ? a : b; }
static int32_t max32(int32_t a, int32_t b) { return a > b ? a : b; }

/* ---- What is asked ---- */

static int32_t most_of(const fv_search *s, const fv_search_source *source)
{
    int32_t most = s->options.max_len > 0 ? s->options.max_len : 2 * min32(source->n, s->model.max_len) + EXTRA_LENGTH;
    return min32(most, s->model.max_len - 1);
}

static fv_status check_source(const fv_search *s, const fv_search_source *source, fv_err *err)
{
    FV_ASSERT(source->n >= 1);
    if (source->n_prefix > most_of(s, source))
        return FV_FAIL(err, FV_E_INPUT, "text %zu: its translation is to begin with %d tokens, but may have %d at most", source->text, source->n_prefix, most_of(s, source));
    for (int32_t p = 0; p < source->n_prefix; p++)
        if (source->prefix[p] < 0 || source->prefix[p] >= s->model.vocab || source->prefix[p] == s->model.eos)
            return FV_FAIL(err, FV_E_INPUT, "text %zu: its translation is to begin with token %d, which is the end or not in the vocabulary (0 to %d)", source->text, source->prefix[p], s->model.vocab - 1);
    return FV_OK;
}

static fv_status check(const fv_search *s, size_t n, fv_err *err)
{
    const fv_search_options *o = &s->options;
    if (o->beam < 1 || o->nbest < 1 || o->nbest > o->beam) return FV_FAIL(err, FV_E_ARGUMENT, "beam %d, nbest %d; expected 1 or more, and nbest at most beam", o->beam, o->nbest);
    if (!(o->length_penalty >= 0 && o->length_penalty <= 100) || !(o->coverage_penalty >= 0 && o->coverage_penalty <= 100))
        return FV_FAIL(err, FV_E_ARGUMENT, "length penalty %g, coverage penalty %g; expected 0 to 100", o->length_penalty, o->coverage_penalty);
    if (o->max_len < 0 || o->min_len < 0 || (o->max_len > 0 && o->min_len > o->max_len))
        return FV_FAIL(err, FV_E_ARGUMENT, "translations of %d to %d tokens; expected 0 or more, the least first", o->min_len, o->max_len);
    for (size_t i = 0; i < n; i++) {
        fv_status status = check_source(s, &s->sources[i], err);
        if (status != FV_OK) return status;
    }
    return FV_OK;
}

/* ---- Room ---- */

static bool wants_weights(const fv_search *s) { return s->options.attention || s->options.coverage_penalty > 0; }

/* All that grows with the sizes of a group, from the arena: after the largest one nothing is allocated any more. */
static void *take(fv_search *s, int64_t n, size_t size, fv_status *status, fv_err *err)
{
    void *memory = fv_arena_alloc(&s->work, (size_t)n * size, err);
    if (!memory) *status = FV_E_MEMORY;
    return memory;
}

#define TAKE(what, n) ((what) = take(s, (n), sizeof *(what), &status, err))

static fv_status lay_out_lanes(fv_search *s, fv_err *err)
{
    fv_status status = FV_OK;
    int32_t beam = s->options.beam;
    TAKE(s->lanes, s->n_lanes);
    for (int32_t i = 0; i < s->n_lanes && status == FV_OK; i++) {
        lane *l = &s->lanes[i];
        l->source = -1;
        TAKE(l->live, beam);
        TAKE(l->kept, beam);
        TAKE(l->places, (int64_t)beam * s->ld);
        for (int32_t b = 0; b < beam && status == FV_OK; b++) TAKE(l->kept[b].places, s->ld);
    }
    return status;
}

static fv_status lay_out(fv_search *s, fv_err *err)
{
    fv_status status = FV_OK;
    int64_t rows = s->shape.rows, beam = s->options.beam;
    fv_arena_reset(&s->work);
    TAKE(s->readings, s->n_lanes);
    TAKE(s->ids, rows), TAKE(s->positions, rows), TAKE(s->slots, rows), TAKE(s->lengths, rows);
    TAKE(s->firsts, rows), TAKE(s->memory_lengths, rows), TAKE(s->row_lanes, rows);
    TAKE(s->places, rows * s->ld), TAKE(s->slot_ids, s->shape.slots);
    TAKE(s->best, rows * s->k), TAKE(s->values, rows * s->k), TAKE(s->lse, rows);
    TAKE(s->candidates, beam * s->k), TAKE(s->next, beam), TAKE(s->covered, s->shape.longest);
    s->weights = s->slot_weights = NULL;
    if (wants_weights(s)) TAKE(s->weights, rows * s->shape.longest), TAKE(s->slot_weights, s->shape.slots * s->shape.longest);
    return status == FV_OK ? lay_out_lanes(s, err) : status;
}

/* Lanes for sources of which the longest comes first. */
static fv_status plan_group(fv_search *s, size_t begin, size_t end, fv_err *err)
{
    const fv_search_options *o = &s->options;
    int32_t longest = s->sources[s->order[begin]].n, most = 0;
    int32_t rows = o->rows ? o->rows : MOST_ROWS, lanes = max32(1, min32(o->batch_tokens / longest, o->batch ? o->batch : rows / o->beam));
    for (size_t i = begin; i < end; i++) most = max32(most, most_of(s, &s->sources[s->order[i]]));
    s->n_lanes = (size_t)lanes < end - begin ? lanes : (int32_t)(end - begin);
    s->ld = most + 1;
    s->k = min32(o->beam + 2, s->model.vocab); /* two of them may be </s> and padding */
    s->shape = (fv_search_shape){
        .lanes = s->n_lanes, .rows = s->n_lanes * o->beam, .longest = longest,
        .slots = (int64_t)s->n_lanes * o->beam * s->ld, .memory_rows = (int64_t)s->n_lanes * longest,
    };
    if (s->shape.slots > INT32_MAX) return FV_FAIL(err, FV_E_ARGUMENT, "a beam of %d with translations of %d tokens is more than can be held; ask for less", o->beam, most);
    fv_status status = lay_out(s, err);
    return status == FV_OK ? s->model.plan(s->model.user, &s->shape, err) : status;
}

/* ---- Lanes ---- */

/* Slots of one time lie together, whatever lane they are of: what short translations never reach stays untouched. */
static int32_t slot_of(const fv_search *s, const lane *l, int32_t b, int32_t t)
{
    return t * s->shape.rows + (int32_t)(l - s->lanes) * s->options.beam + b;
}

static int32_t *places_of(const fv_search *s, const lane *l, int32_t b) { return l->places + (int64_t)b * s->ld; }
static const int32_t *row_places(const fv_search *s, const lane *l, int32_t b) { return s->places + (int64_t)(l->row + b) * s->ld; }

/* Gives the newest token of hypothesis b its slot. */
static void write_token(fv_search *s, lane *l, int32_t b)
{
    int32_t slot = slot_of(s, l, b, l->t);
    places_of(s, l, b)[l->t] = slot;
    s->slot_ids[slot] = l->live[b].newest;
}

static void begin_lane(fv_search *s, lane *l, int32_t source)
{
    l->source = source;
    l->most = most_of(s, &s->sources[source]);
    l->least = min32(s->options.min_len, l->most);
    l->t = l->n_ended = l->n_kept = 0;
    l->n_live = 1;
    l->live[0] = (live_hypothesis){.newest = s->model.start};
    write_token(s, l, 0);
}

/* Fills free lanes from *next on. */
static fv_status refill(fv_search *s, size_t *next, size_t end, fv_err *err)
{
    int32_t n = 0;
    for (int32_t i = 0; i < s->n_lanes && *next < end; i++) {
        if (s->lanes[i].source >= 0) continue;
        uint32_t source = s->order[(*next)++];
        begin_lane(s, &s->lanes[i], (int32_t)source);
        s->readings[n++] = (fv_search_reading){.lane = i, .first = i * s->shape.longest, .source = &s->sources[source]};
    }
    return n ? s->model.read(s->model.user, s->readings, n, err) : FV_OK;
}

/* ---- Scores ---- */

/* What a hypothesis left out of its source, its </s> aside: eq. 14 of Wu et al. 2016. The floor keeps a word that no head looked
 * at from being an infinite fault. */
static double coverage(const fv_search *s, const lane *l, const int32_t *places, int32_t n)
{
    int32_t words = s->sources[l->source].n - 1;
    double sum = 0;
    memset(s->covered, 0, (size_t)words * sizeof *s->covered);
    for (int32_t j = 0; j < n; j++)
        for (int32_t i = 0; i < words; i++) s->covered[i] += (double)s->slot_weights[(int64_t)places[j] * s->shape.longest + i];
    for (int32_t i = 0; i < words; i++) sum += log(fmin(fmax(s->covered[i], 1e-6), 1));
    return sum;
}

/* Of `tokens` tokens, which paid the attention that places[0 .. tokens) keep. */
static double score_of(const fv_search *s, const lane *l, double sum, const int32_t *places, int32_t tokens)
{
    const fv_search_options *o = &s->options;
    double score = sum / pow(tokens > 0 ? tokens : 1, o->length_penalty);
    return o->coverage_penalty > 0 ? score + o->coverage_penalty * coverage(s, l, places, tokens) : score;
}

static bool better(const ended_hypothesis *a, const ended_hypothesis *b) { return a->cut != b->cut ? b->cut : a->score > b->score; }

/* Keeps a hypothesis of n tokens if it is among the best; `places` has its n + 1. */
static void keep(fv_search *s, lane *l, double sum, const int32_t *places, int32_t n, bool cut)
{
    int32_t beam = s->options.beam, at;
    ended_hypothesis e = {.score = score_of(s, l, sum, places, cut ? n : n + 1), .n = n, .cut = cut};
    if (l->n_kept == beam && !better(&e, &l->kept[beam - 1])) return;
    l->n_kept = min32(l->n_kept + 1, beam);
    e.places = l->kept[l->n_kept - 1].places;
    memcpy(e.places, places, (size_t)(n + 1) * sizeof *places);
    for (at = l->n_kept - 1; at > 0 && better(&e, &l->kept[at - 1]); at--) l->kept[at] = l->kept[at - 1];
    l->kept[at] = e;
}

/* ---- A step ---- */

static void place_row(fv_search *s, const lane *l, int32_t b)
{
    int32_t r = l->row + b;
    const int32_t *places = places_of(s, l, b);
    s->ids[r] = l->live[b].newest;
    s->positions[r] = l->t;
    s->slots[r] = places[l->t];
    s->lengths[r] = l->t + 1;
    s->row_lanes[r] = (int32_t)(l - s->lanes);
    s->firsts[r] = s->row_lanes[r] * s->shape.longest;
    s->memory_lengths[r] = s->sources[l->source].n;
    memcpy(s->places + (int64_t)r * s->ld, places, (size_t)(l->t + 1) * sizeof *places);
}

static fv_status step(fv_search *s, fv_search_logits *logits, fv_err *err)
{
    s->n_rows = 0;
    for (int32_t i = 0; i < s->n_lanes; i++) {
        lane *l = &s->lanes[i];
        if (l->source < 0) continue;
        l->row = s->n_rows;
        for (int32_t b = 0; b < l->n_live; b++) place_row(s, l, b);
        s->n_rows += l->n_live;
    }
    fv_step request = {
        .R = s->n_rows, .ids = s->ids, .positions = s->positions, .slots = s->slots, .places = s->places, .ldplaces = s->ld, .lengths = s->lengths, .most = s->ld,
        .firsts = s->firsts, .memory_lengths = s->memory_lengths, .most_memory = s->shape.longest, .weights = s->weights, .ldweights = s->shape.longest, .weights_layer = s->model.weights_layer,
    };
    fv_status status = s->model.step(s->model.user, &request, s->row_lanes, logits, err);
    if (status != FV_OK) return status;
    fv_top_rows(s->best, s->values, s->lse, logits->x, logits->ld, logits->counts, s->n_rows, logits->cols, s->k, s->pool);
    for (int32_t r = 0; s->weights && r < s->n_rows; r++)
        memcpy(s->slot_weights + (int64_t)s->slots[r] * s->shape.longest, s->weights + (int64_t)r * s->shape.longest, (size_t)s->memory_lengths[r] * sizeof(float));
    return FV_OK;
}

/* ---- What follows from a step ---- */

/* Hypothesis b goes on where its parent was. */
static void go_on(fv_search *s, lane *l, int32_t b, double sum, int32_t parent, int32_t id)
{
    l->live[b] = (live_hypothesis){.sum = sum, .parent = parent, .newest = id};
    memcpy(places_of(s, l, b), row_places(s, l, parent), (size_t)l->t * sizeof(int32_t));
    write_token(s, l, b);
}

/* The logit of a token that must come; a decoder's shortlist holds those of prefixes. */
static float logit_of(const fv_search_logits *logits, int32_t r, int32_t id)
{
    const float *x = logits->x + r * logits->ld;
    if (!logits->ids) return x[id];
    int32_t low = 0, high = logits->counts[r] - 1;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (logits->ids[r][middle] < id) low = middle + 1;
        else high = middle;
    }
    FV_ASSERT(logits->ids[r][low] == id);
    return x[low];
}

static void force(fv_search *s, lane *l, const fv_search_logits *logits, int32_t id)
{
    double sum = l->live[0].sum + (double)(logit_of(logits, l->row, id) - s->lse[l->row]);
    l->t++;
    go_on(s, l, 0, sum, 0, id);
    l->n_live = isfinite(sum) ? 1 : 0;
}

static int by_sum(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->sum != y->sum) return x->sum < y->sum ? 1 : -1;
    if (x->parent != y->parent) return x->parent < y->parent ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

/* The continuations of a lane, best first. A row that is not all numbers has none. */
static int32_t gather_candidates(fv_search *s, const lane *l, const fv_search_logits *logits)
{
    int32_t n = 0;
    for (int32_t b = 0; b < l->n_live; b++) {
        int32_t r = l->row + b;
        for (int i = 0; i < s->k && isfinite(s->lse[r]); i++) {
            int32_t column = s->best[r * s->k + i];
            if (column < 0) break;
            int32_t id = logits->ids ? logits->ids[r][column] : column;
            if (id == s->model.pad || (id == s->model.eos && l->t < l->least)) continue;
            s->candidates[n++] = (candidate){.sum = l->live[b].sum + (double)(s->values[r * s->k + i] - s->lse[r]), .parent = b, .id = id};
        }
    }
    qsort(s->candidates, (size_t)n, sizeof *s->candidates, by_sum);
    return n;
}

static void choose(fv_search *s, lane *l, const fv_search_logits *logits)
{
    int32_t n = gather_candidates(s, l, logits), beam = s->options.beam, n_next = 0;
    for (int32_t i = 0; i < n && n_next < beam; i++) {
        const candidate *c = &s->candidates[i];
        if (c->id != s->model.eos) {
            s->next[n_next++] = (live_hypothesis){.sum = c->sum, .parent = c->parent, .newest = c->id};
        } else if (i < beam) {
            keep(s, l, c->sum, row_places(s, l, c->parent), l->t, false);
            l->n_ended++;
        }
    }
    l->t++;
    l->n_live = n_next;
    for (int32_t b = 0; b < n_next; b++) go_on(s, l, b, s->next[b].sum, s->next[b].parent, s->next[b].newest);
}

static bool cannot_win(const fv_search *s, const lane *l)
{
    if (l->n_kept < s->options.nbest) return false;
    double bound = fmin(l->live[0].sum, 0) / pow(l->most + 1, s->options.length_penalty);
    return bound <= l->kept[s->options.nbest - 1].score;
}

static bool is_done(const fv_search *s, const lane *l)
{
    return l->n_live == 0 || l->t == l->most || l->n_ended >= s->options.beam || cannot_win(s, l);
}

/* ---- Answers ---- */

/* Token i was written by a step whose attention lies in the slot before it. */
static fv_status hand_over(fv_search *s, const lane *l, const ended_hypothesis *e, fv_hypothesis *out, fv_err *err)
{
    size_t n = (size_t)e->n, m = (size_t)s->sources[l->source].n;
    int32_t *ids = fv_arena_alloc_small(&s->results, (n + 1) * sizeof *ids, err);
    float *attention = ids && s->options.attention ? fv_arena_alloc_small(&s->results, (n * m + 1) * sizeof *attention, err) : NULL;
    if (!ids || (s->options.attention && !attention)) return FV_E_MEMORY;
    for (size_t i = 0; i < n; i++) {
        ids[i] = s->slot_ids[e->places[i + 1]];
        if (attention) memcpy(attention + i * m, s->slot_weights + (int64_t)e->places[i] * s->shape.longest, m * sizeof *attention);
    }
    *out = (fv_hypothesis){.ids = ids, .n = e->n, .score = e->score, .cut = e->cut, .attention = attention};
    return FV_OK;
}

static fv_status end_lane(fv_search *s, lane *l, fv_err *err)
{
    fv_status status = FV_OK;
    if (l->t == l->most)
        for (int32_t b = 0; b < l->n_live; b++) keep(s, l, l->live[b].sum, places_of(s, l, b), l->t, true);
    if (l->n_kept == 0) return FV_FAIL(err, FV_E_FORMAT, "text %zu: the model gives no numbers for what follows token %d; are its weights damaged?", s->sources[l->source].text, l->t);
    for (int32_t i = 0; i < min32(l->n_kept, s->options.nbest); i++)
        FV_TRY(hand_over(s, l, &l->kept[i], &s->out[(int64_t)l->source * s->options.nbest + i], err));
    l->source = -1;
done:
    return status;
}

static fv_status advance(fv_search *s, lane *l, const fv_search_logits *logits, fv_err *err)
{
    const fv_search_source *source = &s->sources[l->source];
    if (l->t < source->n_prefix) force(s, l, logits, source->prefix[l->t]);
    else choose(s, l, logits);
    return is_done(s, l) ? end_lane(s, l, err) : FV_OK;
}

static int32_t count_free(const fv_search *s)
{
    int32_t n = 0;
    for (int32_t i = 0; i < s->n_lanes; i++) n += s->lanes[i].source < 0;
    return n;
}

/* Sources order[begin .. end), with one layout. */
static fv_status run_group(fv_search *s, size_t begin, size_t end, fv_err *err)
{
    fv_status status = FV_OK;
    fv_search_logits logits;
    FV_TRY(plan_group(s, begin, end, err));
    for (size_t next = begin;;) {
        if (4 * count_free(s) >= s->n_lanes) FV_TRY(refill(s, &next, end, err));
        if (count_free(s) == s->n_lanes) break;
        logits = (fv_search_logits){0};
        FV_TRY(step(s, &logits, err));
        for (int32_t i = 0; i < s->n_lanes; i++)
            if (s->lanes[i].source >= 0) FV_TRY(advance(s, &s->lanes[i], &logits, err));
    }
done:
    return status;
}

/* ---- Entry ---- */

typedef struct sorted { int32_t n; uint32_t source; } sorted;

static int longest_first(const void *a, const void *b)
{
    const sorted *x = a, *y = b;
    if (x->n != y->n) return x->n < y->n ? 1 : -1;
    return (x->source > y->source) - (x->source < y->source);
}

static fv_status sort_sources(fv_search *s, size_t n, fv_err *err)
{
    fv_status status = fv_grow(&s->order, &s->order_capacity, n, sizeof *s->order, err);
    sorted *list = status == FV_OK ? fv_alloc(n * sizeof *list, err) : NULL;
    if (!list) return FV_E_MEMORY;
    for (size_t i = 0; i < n; i++) list[i] = (sorted){.n = s->sources[i].n, .source = (uint32_t)i};
    qsort(list, n, sizeof *list, longest_first);
    for (size_t i = 0; i < n; i++) s->order[i] = list[i].source;
    fv_free(list);
    return FV_OK;
}

fv_status fv_search_run(fv_search *s, const fv_search_source *sources, size_t n, const fv_search_options *options, fv_hypothesis *out, fv_err *err)
{
    fv_status status = FV_OK;
    s->options = *options;
    s->sources = sources;
    s->out = out;
    fv_arena_reset(&s->results);
    FV_TRY(check(s, n, err));
    memset(out, 0, n * (size_t)options->nbest * sizeof *out);
    if (n == 0) return FV_OK;
    FV_TRY(sort_sources(s, n, err));
    for (size_t begin = 0, end; begin < n; begin = end) {
        for (end = begin + 1; end < n && 2 * sources[s->order[end]].n >= sources[s->order[begin]].n; end++) continue;
        FV_TRY(run_group(s, begin, end, err));
    }
done:
    return status;
}
