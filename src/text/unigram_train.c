/* Learning a unigram vocabulary (Kudo 2018): many seeds, whose probabilities expectation maximisation
 * finds, and of which those that the likelihood misses least are taken away, again and again.
 *
 * Seeds are counted by length: a string of n characters can be frequent only if both of its parts of
 * n - 1 are, so memory stays in proportion to what is frequent. Single characters are never taken
 * away. Pieces are put in order first, since sums of floating-point numbers depend on it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "text/tokenizer.h"

#define SEED_CHARS 16
#define SEEDS_MAX 1000000
#define ROUNDS_OF_EM 2   /* before each pruning */
#define SHRINK 0.75      /* of the pieces stay at most */
#define SPARE 1.1        /* pruning stops at so many times the vocabulary; the last cut is by score */
#define RARE 0.5         /* expected less often: gone */
#define SCORE_STEPS 1e6  /* scores are rounded, so that another libm writes the same file */
#define PIECE_MAX 1024

typedef struct seed {
    const char *text;
    uint32_t len;
    bool single;    /* one character */
    double score;   /* its log probability; at first its count times its characters */
    double expected, loss;
} seed;

typedef struct word {
    const char *text;
    uint32_t len;
    int64_t count;
} word;

typedef struct edge { uint32_t from, to; int32_t id; } edge;

typedef struct learner {
    word *words;
    size_t n_words;
    fv_arena texts;
    seed *seeds;
    size_t n_seeds, seeds_capacity;
    fv_trie trie;      /* of the seeds at hand */
    edge *edges;       /* of the word at hand, ascending by `from` */
    size_t n_edges, edges_capacity;
    double forward[PIECE_MAX + 1], backward[PIECE_MAX + 1];
} learner;

static int by_bytes(const char *a, uint32_t a_len, const char *b, uint32_t b_len)
{
    int order = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return order ? order : (a_len > b_len) - (a_len < b_len);
}

static int by_text(const void *x, const void *y)
{
    const word *a = x, *b = y;
    return by_bytes(a->text, a->len, b->text, b->len);
}

/* Characters first, then the best scores. */
static int by_score(const void *x, const void *y)
{
    const seed *a = x, *b = y;
    if (a->single != b->single) return a->single ? -1 : 1;
    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    return by_bytes(a->text, a->len, b->text, b->len);
}

static int by_loss(const void *x, const void *y)
{
    const seed *a = x, *b = y;
    if (a->single != b->single) return a->single ? -1 : 1;
    if (a->loss != b->loss) return a->loss > b->loss ? -1 : 1;
    return by_bytes(a->text, a->len, b->text, b->len);
}

/* Bytes of `chars` characters at p, 0 if there are fewer. */
static size_t span_of(const char *p, const char *end, int chars)
{
    const char *q = p;
    for (int i = 0; i < chars; i++) {
        int n = q < end ? fv_utf8_len(q, end) : 0;
        if (n == 0) return 0;
        q += n;
    }
    return (size_t)(q - p);
}

static size_t char_len(const char *p, const char *end)
{
    int n = fv_utf8_len(p, end);
    return n ? (size_t)n : 1;
}

/* ---- Seeds -------------------------------------------------------------------------------- */

typedef struct counts {
    fv_map map; /* string -> its place in n */
    int64_t *n;
    size_t capacity;
} counts;

static void release_counts(counts *c)
{
    fv_map_release(&c->map);
    fv_free(c->n);
    *c = (counts){0};
}

static fv_status count(counts *c, const char *p, size_t len, int64_t by, fv_err *err)
{
    fv_status status = FV_OK;
    int32_t i = fv_map_get(&c->map, p, len);
    if (i < 0) {
        i = (int32_t)c->map.n;
        FV_TRY(fv_grow(&c->n, &c->capacity, (size_t)i + 1, sizeof *c->n, err));
        FV_TRY(fv_map_set(&c->map, p, len, i, err));
        c->n[i] = 0;
    }
    c->n[i] += by;
done:
    return status;
}

static bool frequent(const counts *c, const char *p, size_t len, int64_t min_count)
{
    int32_t i = fv_map_get(&c->map, p, len);
    return i >= 0 && c->n[i] >= min_count;
}

static fv_status count_strings(const word *w, int chars, const counts *shorter, int64_t min_count, counts *out, fv_err *err)
{
    fv_status status = FV_OK;
    const char *end = w->text + w->len;
    for (const char *p = w->text; p < end && status == FV_OK; p += char_len(p, end)) {
        size_t n = span_of(p, end, chars), first = span_of(p, end, chars - 1), skip = char_len(p, end);
        if (n == 0) continue;
        if (chars > 1 && (!frequent(shorter, p, first, min_count) || !frequent(shorter, p + skip, n - skip, min_count))) continue;
        status = count(out, p, n, w->count, err);
    }
    return status;
}

static fv_status take_seeds(learner *l, const counts *c, int chars, int64_t min_count, fv_err *err)
{
    fv_status status = FV_OK;
    for (size_t i = 0; i < c->map.n; i++) {
        const struct fv_map_entry *e = &c->map.entries[i];
        if ((chars > 1 && c->n[i] < min_count) || fv_is_special(e->key, e->len)) continue;
        FV_TRY(fv_grow(&l->seeds, &l->seeds_capacity, l->n_seeds + 1, sizeof *l->seeds, err));
        seed s = {.text = fv_arena_strndup(&l->texts, e->key, e->len, err), .len = e->len, .single = chars == 1, .score = (double)c->n[i] * chars};
        if (!s.text) return FV_E_MEMORY;
        l->seeds[l->n_seeds++] = s;
    }
done:
    return status;
}

/* Scores become log probabilities, as if counts were. */
static void normalize_scores(learner *l)
{
    double sum = 0;
    for (size_t i = 0; i < l->n_seeds; i++) sum += l->seeds[i].score;
    for (size_t i = 0; i < l->n_seeds; i++) l->seeds[i].score = log(l->seeds[i].score / sum);
}

static fv_status make_seeds(learner *l, size_t most_chars, int64_t min_count, fv_err *err)
{
    fv_status status = FV_OK;
    counts shorter = {0}, longer = {0};
    for (int chars = 1; chars <= SEED_CHARS; chars++) {
        for (size_t i = 0; i < l->n_words; i++) FV_TRY(count_strings(&l->words[i], chars, &shorter, min_count, &longer, err));
        if (longer.map.n == 0) break;
        FV_TRY(take_seeds(l, &longer, chars, min_count, err));
        if (chars == 1 && l->n_seeds) { /* the most frequent characters alone */
            qsort(l->seeds, l->n_seeds, sizeof *l->seeds, by_score);
            if (l->n_seeds > most_chars) l->n_seeds = most_chars;
        }
        release_counts(&shorter);
        shorter = longer;
        longer = (counts){0};
    }
    if (l->n_seeds) qsort(l->seeds, l->n_seeds, sizeof *l->seeds, by_score);
    if (l->n_seeds > SEEDS_MAX) l->n_seeds = SEEDS_MAX;
    normalize_scores(l);
done:
    release_counts(&shorter);
    release_counts(&longer);
    return status;
}

/* ---- Expectation and maximisation ---------------------------------------------------------- */

static fv_status index_seeds(learner *l, fv_err *err)
{
    fv_status status = FV_OK;
    fv_trie_release(&l->trie);
    for (size_t i = 0; i < l->n_seeds && status == FV_OK; i++) status = fv_trie_add(&l->trie, l->seeds[i].text, l->seeds[i].len, (int32_t)i, err);
    return status;
}

/* All seeds at all places of a text, but for seed `without` (-1: none). */
static fv_status find_edges(learner *l, const char *text, size_t len, int32_t without, fv_err *err)
{
    fv_status status = FV_OK;
    l->n_edges = 0;
    for (size_t at = 0; at < len; at += char_len(text + at, text + len)) {
        uint32_t state = 0;
        for (size_t i = at; i < len; i++) {
            int32_t id;
            if (!(state = fv_trie_step(&l->trie, state, text[i], &id))) break;
            if (id < 0 || id == without) continue;
            FV_TRY(fv_grow(&l->edges, &l->edges_capacity, l->n_edges + 1, sizeof *l->edges, err));
            l->edges[l->n_edges++] = (edge){(uint32_t)at, (uint32_t)i + 1, id};
        }
    }
done:
    return status;
}

static double log_add(double a, double b)
{
    double high = a > b ? a : b, low = a > b ? b : a;
    return low == -INFINITY ? high : high + log1p(exp(low - high));
}

/* Forward and backward; an impossible word (a character is no seed) teaches nothing. */
static void expect(learner *l, const word *w)
{
    double *f = l->forward, *b = l->backward;
    for (size_t i = 0; i <= w->len; i++) f[i] = b[i] = -INFINITY;
    f[0] = b[w->len] = 0;
    for (size_t i = 0; i < l->n_edges; i++) {
        const edge *e = &l->edges[i];
        f[e->to] = log_add(f[e->to], f[e->from] + l->seeds[e->id].score);
    }
    if (f[w->len] == -INFINITY) return;
    for (size_t i = l->n_edges; i-- > 0;) {
        const edge *e = &l->edges[i];
        b[e->from] = log_add(b[e->from], b[e->to] + l->seeds[e->id].score);
    }
    for (size_t i = 0; i < l->n_edges; i++) {
        const edge *e = &l->edges[i];
        l->seeds[e->id].expected += (double)w->count * exp(f[e->from] + l->seeds[e->id].score + b[e->to] - f[w->len]);
    }
}

/* d/dx log gamma(x): with it in place of log, EM prefers few frequent pieces (Bayesian, as Kudo does). */
static double digamma(double x)
{
    double sum = 0;
    for (; x < 7; x++) sum -= 1 / x;
    double y = 1 / ((x - 0.5) * (x - 0.5));
    return sum + log(x - 0.5) + y * (1.0 / 24 - y * (7.0 / 960 - y * (31.0 / 8064)));
}

static void maximise(learner *l)
{
    double sum = 0;
    size_t n = 0;
    for (size_t i = 0; i < l->n_seeds; i++) {
        seed s = l->seeds[i];
        if (s.expected < RARE && !s.single) continue;
        if (s.expected < RARE) s.expected = RARE;
        sum += s.expected;
        l->seeds[n++] = s;
    }
    l->n_seeds = n;
    for (size_t i = 0; i < n; i++) l->seeds[i].score = digamma(l->seeds[i].expected) - digamma(sum);
}

static fv_status improve(learner *l, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(index_seeds(l, err));
    for (size_t i = 0; i < l->n_seeds; i++) l->seeds[i].expected = 0;
    for (size_t i = 0; i < l->n_words; i++) {
        FV_TRY(find_edges(l, l->words[i].text, l->words[i].len, -1, err));
        expect(l, &l->words[i]);
    }
    maximise(l);
done:
    return status;
}

/* ---- Pruning ------------------------------------------------------------------------------ */

/* The log probability of the best way through the edges at hand. */
static double best_score(learner *l, size_t len)
{
    double *f = l->forward;
    for (size_t i = 0; i <= len; i++) f[i] = -INFINITY;
    f[0] = 0;
    for (size_t i = 0; i < l->n_edges; i++) {
        const edge *e = &l->edges[i];
        double score = f[e->from] + l->seeds[e->id].score;
        if (score > f[e->to]) f[e->to] = score;
    }
    return f[len];
}

/* What the likelihood loses with a seed: the next best way to spell it, as often as it is expected. */
static fv_status weigh(learner *l, fv_err *err)
{
    fv_status status = index_seeds(l, err);
    for (size_t i = 0; i < l->n_seeds && status == FV_OK; i++) {
        seed *s = &l->seeds[i];
        if (s->single) continue;
        status = find_edges(l, s->text, s->len, (int32_t)i, err);
        if (status == FV_OK) s->loss = s->expected * (s->score - best_score(l, s->len));
    }
    return status;
}

static fv_status prune(learner *l, size_t wanted, fv_err *err)
{
    fv_status status = weigh(l, err);
    if (status != FV_OK) return status;
    size_t keep = (size_t)(SHRINK * (double)l->n_seeds);
    qsort(l->seeds, l->n_seeds, sizeof *l->seeds, by_loss);
    l->n_seeds = keep > wanted ? keep : wanted;
    return FV_OK;
}

static fv_status reduce(learner *l, size_t vocab, fv_err *err)
{
    fv_status status = FV_OK;
    size_t wanted = (size_t)(SPARE * (double)vocab);
    if (l->n_seeds == 0) return FV_OK;
    for (;;) {
        for (int i = 0; i < ROUNDS_OF_EM; i++) FV_TRY(improve(l, err));
        if (l->n_seeds <= wanted) break;
        FV_TRY(prune(l, wanted, err));
    }
    qsort(l->seeds, l->n_seeds, sizeof *l->seeds, by_score);
    if (l->n_seeds > vocab) l->n_seeds = vocab;
done:
    return status;
}

/* ---- The whole ---------------------------------------------------------------------------- */

static fv_status read_words(learner *l, const fv_trainer *trainer, fv_err *err)
{
    if (!(l->words = fv_alloc(trainer->pieces.n * sizeof *l->words, err))) return FV_E_MEMORY;
    for (size_t i = 0; i < trainer->pieces.n; i++) {
        const struct fv_map_entry *e = &trainer->pieces.entries[i];
        FV_ASSERT(e->len <= PIECE_MAX);
        if (!memchr(e->key, 0, e->len)) l->words[l->n_words++] = (word){e->key, e->len, trainer->counts[e->value]}; /* no token can spell a zero byte */
    }
    qsort(l->words, l->n_words, sizeof *l->words, by_text);
    return FV_OK;
}

static fv_status name_seeds(fv_tokenizer *t, const learner *l, fv_err *err)
{
    fv_status status = FV_OK;
    fv_unigram *u = &t->unigram;
    size_t first = (size_t)fv_n_specials(t), n = first + l->n_seeds;
    FV_TRY(fv_tokenizer_begin(t, n, err));
    u->n_scores = (int32_t)n;
    u->unk = t->sp ? FV_SP_UNK : FV_UNK;
    if (!(u->scores = fv_arena_alloc(&t->arena, n * sizeof *u->scores, err))) return FV_E_MEMORY;
    for (size_t i = 0; i < l->n_seeds; i++) {
        int32_t id = (int32_t)(first + i);
        FV_TRY(fv_tokenizer_name(t, id, l->seeds[i].text, l->seeds[i].len, err));
        u->scores[id] = rint(l->seeds[i].score * SCORE_STEPS) / SCORE_STEPS;
        if (t->sp) u->scores[id] = (float)u->scores[id]; /* what its file can hold */
    }
done:
    return status;
}

fv_status fv_unigram_learn(fv_tokenizer *tokenizer, const fv_trainer *trainer, int vocab, int min_count, fv_err *err)
{
    fv_status status = FV_OK;
    size_t room = (size_t)(vocab - fv_n_specials(tokenizer));
    learner *l = fv_alloc_zero(1, sizeof *l, err);
    if (!l) return FV_E_MEMORY;
    FV_TRY(read_words(l, trainer, err));
    FV_TRY(make_seeds(l, room, min_count, err));
    FV_TRY(reduce(l, room, err));
    FV_TRY(name_seeds(tokenizer, l, err));
done:
    fv_trie_release(&l->trie);
    fv_arena_release(&l->texts);
    void *blocks[] = {l->words, l->seeds, l->edges, l};
    for (size_t i = 0; i < FV_COUNT(blocks); i++) fv_free(blocks[i]);
    return status;
}
