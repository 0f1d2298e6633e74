/* The floors that a trained Transformer has to beat: naive Bayes on binary features and a linear SVM
 * on TF-IDF, trained and tested on one set: seconds, a minute or two for newsgroups20. No network.
 *
 *   naive Bayes   p(feature | label) ∝ rows of the label that hold it + smoothing (multinomial on
 *                 binary counts); words 1-2, Chinese: characters 1-2
 *   SVM           one against the rest, squared hinge, L2; dual coordinate descent (Hsieh et al. 2008,
 *                 with the L2 loss's diagonal 1/2C); words 1-2 beside characters 2-5, Chinese:
 *                 characters 1-4; each group of features scaled to length 1
 *
 * Smoothing and C are the best of the two lists below on --valid; without one, on a tenth of the
 * training rows, after which both learn from all of them. Nothing else is chosen, and the test rows
 * are scored once. Nothing is random but the order of the rows, which the seed fixes: figures do not
 * depend on --threads.
 *
 * Memory: the texts, 16 bytes for each different feature of the training part, 8 for each feature of a
 * row, and LANES weight vectors a thread; 1 GB for newsgroups20, the largest set.
 *
 * The trap: a feature that only one row holds helps no other row, yet lengthens its own, so MIN_ROWS
 * leaves it out. Features are counted over all training rows, a held tenth included: no label of it is
 * seen, but its words are known. */
#include <jansson.h>
#include <pthread.h>
#include <utf8proc.h>

#include "base/file.h"
#include "fovea.h"
#include "score.h"

/* Tried in this order; of equals the first wins, which is the plainer model. */
static const double grid[] = {0.03, 0.1, 0.3, 1, 3, 10}, smoothings[] = {1, 0.3, 0.1, 0.03, 0.01};
enum { GRID = FV_COUNT(grid), SMOOTHINGS = FV_COUNT(smoothings), MAX_PASSES = 200, FULL_PASS = 5, MIN_ROWS = 2 };
static const float TOLERANCE = 0.1f; /* of a slope of the dual, at most: LIBLINEAR's default for this problem */

typedef struct options {
    const char *set, *train, *valid, *test, *predictions;
    fv_columns columns;
    bool chinese;
    int threads;
    uint64_t seed;
} options;

/* ---- Rows ------------------------------------------------------------------------------------ */

typedef struct rows {
    char **texts; /* lower case, runs of white space made one blank */
    int32_t *labels;
    size_t n, texts_room, labels_room;
} rows;

typedef struct names {
    fv_map map;
    int32_t n;
} names;

static bool is_space(int32_t c) { return c <= ' ' || utf8proc_category(c) == UTF8PROC_CATEGORY_ZS; }

/* The readers let no invalid UTF-8 through, so every step moves on. */
static char *tidy(const char *text, size_t len)
{
    char *out = must(fv_alloc(3 * len + 1, NULL)); /* lower case may be longer: U+023A takes 2 bytes, U+2C65 3 */
    size_t n = 0;
    for (size_t at = 0; at < len;) {
        int32_t c;
        ptrdiff_t step = utf8proc_iterate((const uint8_t *)text + at, (ptrdiff_t)(len - at), &c);
        at += step > 0 ? (size_t)step : 1;
        if (step > 0 && !is_space(c)) n += (size_t)utf8proc_encode_char(utf8proc_tolower(c), (uint8_t *)out + n);
        else if (n && out[n - 1] != ' ') out[n++] = ' ';
    }
    while (n && out[n - 1] == ' ') n--;
    out[n] = 0;
    return must(fv_realloc(out, n + 1, NULL));
}

/* A label that training never had becomes -1: always wrong. */
static int32_t label_id(names *labels, const fv_row *row, bool grow)
{
    int32_t id = fv_map_get(&labels->map, row->label, row->label_len);
    if (id >= 0 || !grow) return id;
    if (fv_map_set(&labels->map, row->label, row->label_len, labels->n, NULL)) die("out of memory");
    return labels->n++;
}

static void add_row(rows *to, names *labels, const fv_row *row, bool grow)
{
    if (fv_grow(&to->texts, &to->texts_room, to->n + 1, sizeof *to->texts, NULL) ||
        fv_grow(&to->labels, &to->labels_room, to->n + 1, sizeof *to->labels, NULL)) die("out of memory");
    to->texts[to->n] = tidy(row->text, row->text_len);
    to->labels[to->n++] = label_id(labels, row, grow);
}

static rows read_rows(const char *path, const fv_columns *columns, names *labels, bool grow)
{
    rows out = {0};
    fv_row row;
    fv_err err = {0};
    fv_reader *reader = fv_reader_open(path, columns, &err);
    int got = reader ? fv_reader_next(reader, &row, &err) : -1;
    for (; got == 1; got = fv_reader_next(reader, &row, &err)) add_row(&out, labels, &row, grow);
    if (got < 0) exit(fv_err_print(stderr, &err));
    fv_reader_close(reader);
    if (!out.n) die("%s: has no rows; expected some", path);
    return out;
}

static void free_rows(rows *r)
{
    for (size_t i = 0; i < r->n; i++) fv_free(r->texts[i]);
    fv_free(r->texts);
    fv_free(r->labels);
}

/* ---- Features -------------------------------------------------------------------------------- */

/* Sequences of `low` to `high` words, or of characters. */
typedef struct grams { bool words; int low, high; } grams;

typedef void (*on_gram)(void *user, uint64_t hash);

enum { MAX_GRAM = 8 };

static bool in_word(int32_t c)
{
    utf8proc_category_t k = utf8proc_category(c);
    return (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_NO) || c == '_';
}

/* Where the next word of two characters or more begins, and its end through `end`; NULL at the end. */
static const char *next_word(const char *at, const char **end)
{
    const char *begin = at;
    int length = 0;
    for (int32_t c; *at;) {
        ptrdiff_t step = utf8proc_iterate((const uint8_t *)at, -1, &c);
        bool word = step > 0 && in_word(c);
        if (!word && length > 1) break;
        if (!word) length = 0;
        else if (length++ == 0) begin = at;
        at += step > 0 ? step : 1;
    }
    *end = at;
    return length > 1 ? begin : NULL;
}

/* The last `high` units are kept: at each new unit, all sequences that end in it. */
static void each_word_gram(const grams *g, const char *text, on_gram fn, void *user)
{
    uint64_t last[MAX_GRAM] = {0};
    const char *end;
    int seen = 0;
    for (const char *word = next_word(text, &end); word; word = next_word(end, &end)) {
        memmove(last + 1, last, sizeof last - sizeof *last);
        last[0] = fv_hash64(word, (size_t)(end - word), 1);
        seen++;
        uint64_t hash = 0;
        for (int n = 1; n <= g->high && n <= seen; n++) {
            hash = fv_mix(hash, last[n - 1]);
            if (n >= g->low) fn(user, fv_mix(hash, (uint64_t)n));
        }
    }
}

static void each_character_gram(const grams *g, const char *text, on_gram fn, void *user)
{
    for (const char *begin = text; *begin; begin += utf8proc_utf8class[(uint8_t)*begin]) {
        const char *end = begin;
        for (int n = 1; n <= g->high && *end; n++) {
            end += utf8proc_utf8class[(uint8_t)*end];
            if (n >= g->low) fn(user, fv_hash64(begin, (size_t)(end - begin), 2));
        }
    }
}

static void each_gram(const grams *g, const char *text, on_gram fn, void *user)
{
    (g->words ? each_word_gram : each_character_gram)(g, text, fn, user);
}

/* Hash of a feature -> its number. 64 bits make a collision among millions unlikely (1 in 10^5). */
typedef struct entry { uint64_t hash; uint32_t n_rows, last; } entry; /* last: row that it was seen in, from 1; later its number */

typedef struct table {
    grams grams;
    entry *entries; /* [1 << bits], n_rows 0: free */
    int bits;
    size_t n, first; /* numbers are first … first + n_kept - 1 */
} table;

#define NO_FEATURE UINT32_MAX

static entry *find(const table *t, uint64_t hash)
{
    size_t mask = ((size_t)1 << t->bits) - 1, at = (size_t)(hash >> (64 - t->bits));
    while (t->entries[at].n_rows && t->entries[at].hash != hash) at = (at + 1) & mask;
    return &t->entries[at];
}

static void widen(table *t)
{
    table wide = *t;
    wide.bits = t->bits ? t->bits + 1 : 12;
    wide.entries = must(fv_alloc_zero((size_t)1 << wide.bits, sizeof *wide.entries, NULL));
    for (size_t i = 0; t->bits && i < (size_t)1 << t->bits; i++)
        if (t->entries[i].n_rows) *find(&wide, t->entries[i].hash) = t->entries[i];
    fv_free(t->entries);
    *t = wide;
}

typedef struct counting { table *t; uint32_t row; } counting;

static void count_gram(void *user, uint64_t hash)
{
    counting *c = user;
    entry *e = find(c->t, hash);
    if (!e->n_rows && 2 * ++c->t->n > (size_t)1 << c->t->bits) {
        widen(c->t);
        e = find(c->t, hash);
    }
    if (e->last == c->row) return;
    e->hash = hash;
    e->last = c->row;
    e->n_rows++;
}

/* Numbers from `first` for the features that at least `min_rows` rows hold; gives the next free number. */
static size_t learn_table(table *t, const grams *g, const rows *train, uint32_t min_rows, size_t first)
{
    *t = (table){.grams = *g, .first = first};
    widen(t);
    for (size_t i = 0; i < train->n; i++) each_gram(g, train->texts[i], count_gram, &(counting){t, (uint32_t)i + 1});
    for (size_t i = 0; i < (size_t)1 << t->bits; i++) {
        entry *e = &t->entries[i];
        e->last = e->n_rows >= min_rows ? (uint32_t)first++ : NO_FEATURE;
    }
    if (first >= NO_FEATURE) die("too many features");
    return first;
}

/* Sparse rows: features begin[i] .. begin[i+1] of row i. */
typedef struct sparse {
    uint32_t *features;
    float *values;
    size_t *begin, n, used, features_room, values_room;
} sparse;

typedef struct gathering {
    const table *t;
    sparse *out;
    uint32_t *place; /* [n_features]: where in the row a feature stands, plus one */
    size_t row;
} gathering;

static void gather_gram(void *user, uint64_t hash)
{
    gathering *g = user;
    sparse *s = g->out;
    const entry *e = find(g->t, hash);
    if (!e->n_rows || e->last == NO_FEATURE) return;
    uint32_t *place = &g->place[e->last];
    if (!*place) {
        if (fv_grow(&s->features, &s->features_room, s->used + 1, sizeof *s->features, NULL) ||
            fv_grow(&s->values, &s->values_room, s->used + 1, sizeof *s->values, NULL)) die("out of memory");
        s->features[s->used] = e->last;
        s->values[s->used++] = 0;
        *place = (uint32_t)(s->used - g->row);
    }
    s->values[g->row + *place - 1]++;
}

/* (1 + ln count) · (1 + ln((1 + rows) / (1 + rows that hold it))), the group scaled to length 1. */
static void weigh(sparse *s, size_t from, const float *idf)
{
    double sum = 0;
    for (size_t i = from; i < s->used; i++) {
        s->values[i] = (1 + logf(s->values[i])) * idf[s->features[i]];
        sum += (double)s->values[i] * s->values[i];
    }
    for (size_t i = from; i < s->used; i++) s->values[i] /= (float)sqrt(sum);
}

/* Inverse document frequencies for the SVM; for naive Bayes idf is NULL and values are left counts. */
static sparse make_sparse(const rows *r, const table *tables, int n_tables, size_t n_features, const float *idf)
{
    sparse s = {.n = r->n, .begin = must(fv_alloc((r->n + 1) * sizeof(size_t), NULL))};
    uint32_t *place = must(fv_alloc_zero(n_features + 1, sizeof *place, NULL));
    for (size_t i = 0; i < r->n; i++) {
        s.begin[i] = s.used;
        for (int k = 0; k < n_tables; k++) {
            gathering g = {&tables[k], &s, place, s.used};
            each_gram(&tables[k].grams, r->texts[i], gather_gram, &g);
            if (idf) weigh(&s, g.row, idf);
        }
        for (size_t j = s.begin[i]; j < s.used; j++) place[s.features[j]] = 0;
    }
    s.begin[r->n] = s.used;
    fv_free(place);
    return s;
}

static void free_sparse(sparse *s) { fv_free(s->features), fv_free(s->values), fv_free(s->begin); }

static float *make_idf(const table *tables, int n_tables, size_t n_features, size_t n_rows)
{
    float *idf = must(fv_alloc((n_features + 1) * sizeof *idf, NULL));
    for (int k = 0; k < n_tables; k++)
        for (size_t i = 0; i < (size_t)1 << tables[k].bits; i++) {
            const entry *e = &tables[k].entries[i];
            if (e->n_rows && e->last != NO_FEATURE) idf[e->last] = 1 + logf((1 + (float)n_rows) / (1 + (float)e->n_rows));
        }
    return idf;
}

/* ---- Choosing on held rows -------------------------------------------------------------------- */

/* Rows `fit` of x to learn from, rows `held` of z to choose by. Without a valid part z is x itself. */
typedef struct split {
    const sparse *x, *z;
    const int32_t *x_labels, *z_labels;
    uint32_t *order;
    const uint32_t *fit, *held;
    size_t n_fit, n_held;
} split;

static uint32_t *counting_up(size_t n)
{
    uint32_t *out = must(fv_alloc((n + 1) * sizeof *out, NULL));
    for (size_t i = 0; i < n; i++) out[i] = (uint32_t)i;
    return out;
}

/* v: the valid rows, or NULL: a tenth of x is held back, by chance. Free `order`. */
static split make_split(const sparse *x, const rows *train, const sparse *v, const rows *valid, uint64_t seed)
{
    split s = {.x = x, .x_labels = train->labels, .z = v ? v : x, .z_labels = v ? valid->labels : train->labels};
    fv_rng rng = fv_rng_make(seed, "hold back");
    s.fit = s.held = s.order = counting_up(v && v->n > x->n ? v->n : x->n);
    s.n_fit = v ? x->n : x->n - (x->n + 9) / 10;
    s.n_held = v ? v->n : x->n - s.n_fit;
    if (v) return s;
    fv_rng_shuffle(&rng, s.order, x->n);
    s.held = s.order + s.n_fit;
    return s;
}

static size_t count_right(const split *s, const int32_t *predicted)
{
    size_t right = 0;
    for (size_t i = 0; i < s->n_held; i++) right += predicted[i] == s->z_labels[s->held[i]];
    return right;
}

/* The place of the most right ones of n predictions of all held rows; the first of equals. */
static int best_of(const split *s, const int32_t *predicted, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (count_right(s, predicted + (size_t)i * s->n_held) > count_right(s, predicted + (size_t)best * s->n_held)) best = i;
    return best;
}

/* ---- Naive Bayes ----------------------------------------------------------------------------- */

typedef struct bayes {
    float *counts; /* [n_features × L]: rows of the label that hold the feature */
    float *shares; /* [n_features × L]: log of the smoothed share */
    double *prior; /* [L]: log of the label's share of the rows */
    size_t n_features, L;
} bayes;

static void count_labels(bayes *b, const sparse *x, const int32_t *labels, const uint32_t *pick, size_t n)
{
    memset(b->counts, 0, b->n_features * b->L * sizeof *b->counts);
    for (size_t c = 0; c < b->L; c++) b->prior[c] = 1e-9; /* a label may have no row once a tenth is held back */
    for (size_t i = 0; i < n; i++) {
        size_t label = (size_t)labels[pick[i]];
        b->prior[label]++;
        for (size_t j = x->begin[pick[i]]; j < x->begin[pick[i] + 1]; j++) b->counts[x->features[j] * b->L + label]++;
    }
    for (size_t c = 0; c < b->L; c++) b->prior[c] = log(b->prior[c] / (double)n);
}

static void smooth(bayes *b, double more)
{
    double *sums = must(fv_alloc(b->L * sizeof *sums, NULL));
    for (size_t c = 0; c < b->L; c++) sums[c] = more * (double)b->n_features;
    for (size_t i = 0; i < b->n_features * b->L; i++) sums[i % b->L] += (double)b->counts[i];
    for (size_t i = 0; i < b->n_features * b->L; i++) b->shares[i] = logf((b->counts[i] + (float)more) / (float)sums[i % b->L]);
    fv_free(sums);
}

static int32_t largest(const double *scores, size_t n)
{
    size_t best = 0;
    for (size_t c = 1; c < n; c++) best = scores[c] > scores[best] ? c : best;
    return (int32_t)best;
}

static void predict_bayes(const bayes *b, const sparse *z, const uint32_t *pick, size_t n, int32_t *predicted)
{
    double *scores = must(fv_alloc(b->L * sizeof *scores, NULL));
    for (size_t i = 0; i < n; i++) {
        memcpy(scores, b->prior, b->L * sizeof *scores);
        for (size_t j = z->begin[pick[i]]; j < z->begin[pick[i] + 1]; j++)
            for (size_t c = 0; c < b->L; c++) scores[c] += b->shares[z->features[j] * b->L + c];
        predicted[i] = largest(scores, b->L);
    }
    fv_free(scores);
}

static double choose_smoothing(bayes *b, const split *s)
{
    int32_t *predicted = must(fv_alloc((SMOOTHINGS * s->n_held + 1) * sizeof *predicted, NULL));
    count_labels(b, s->x, s->x_labels, s->fit, s->n_fit);
    for (int i = 0; i < SMOOTHINGS; i++) {
        smooth(b, smoothings[i]);
        predict_bayes(b, s->z, s->held, s->n_held, predicted + (size_t)i * s->n_held);
    }
    int best = best_of(s, predicted, SMOOTHINGS);
    fv_free(predicted);
    return smoothings[best];
}

static double naive_bayes(const rows *train, const rows *valid, const rows *test, const grams *g, int32_t n_labels, uint64_t seed, int32_t *predicted)
{
    table t;
    bayes b = {.n_features = learn_table(&t, g, train, MIN_ROWS, 0), .L = (size_t)n_labels};
    sparse x = make_sparse(train, &t, 1, b.n_features, NULL), z = make_sparse(test, &t, 1, b.n_features, NULL);
    sparse v = make_sparse(valid, &t, 1, b.n_features, NULL);
    b.counts = must(fv_alloc((b.n_features * b.L + 1) * sizeof *b.counts, NULL));
    b.shares = must(fv_alloc((b.n_features * b.L + 1) * sizeof *b.shares, NULL));
    b.prior = must(fv_alloc(b.L * sizeof *b.prior, NULL));
    split s = make_split(&x, train, valid->n ? &v : NULL, valid, seed);
    double smoothing = choose_smoothing(&b, &s);
    uint32_t *all = counting_up(train->n > test->n ? train->n : test->n);
    count_labels(&b, &x, train->labels, all, train->n);
    smooth(&b, smoothing);
    predict_bayes(&b, &z, all, test->n, predicted);
    fv_free(b.counts), fv_free(b.shares), fv_free(b.prior), fv_free(t.entries), fv_free(s.order), fv_free(all);
    free_sparse(&x), free_sparse(&z), free_sparse(&v);
    return smoothing;
}

/* ---- Linear SVM ------------------------------------------------------------------------------ */

/* A walk over the features of a row costs its cache misses, so LANES machines (a label against the
 * rest, under one C) walk together: their weights of one feature share one cache line. */
enum { LANES = 16, AHEAD = 8 };

/* The rows `pick` of x. Weights have one place more than there are features: the bias, a feature that
 * is always 1. */
typedef struct problem {
    const sparse *x;
    const int32_t *labels;
    const uint32_t *pick;
    const float *squares; /* [x->n]: x·x + 1 */
    size_t n, n_features;
} problem;

typedef struct descent {
    int n;                     /* lanes in use; the others have no row of their own and are never read */
    int32_t labels[LANES];
    float diagonals[LANES];    /* 1/2C */
    float (*w)[LANES];         /* [n_features + 1], each on a cache line of its own */
    float (*alpha)[LANES];     /* [p->n] */
    uint32_t *order;           /* [p->n] */
} descent;

static void margins(const sparse *x, size_t i, float (*w)[LANES], size_t n_features, float out[LANES])
{
    float sum[LANES];
    const uint32_t *features = x->features;
    memcpy(sum, w[n_features], sizeof sum);
    for (size_t j = x->begin[i], end = x->begin[i + 1]; j < end; j++) {
        if (j + AHEAD < end) __builtin_prefetch(w[features[j + AHEAD]]);
        const float *from = w[features[j]], value = x->values[j];
        for (int k = 0; k < LANES; k++) sum[k] += from[k] * value;
    }
    memcpy(out, sum, sizeof sum);
}

static void add_to(float (*w)[LANES], const sparse *x, size_t i, const float step[LANES], size_t n_features)
{
    for (size_t j = x->begin[i]; j < x->begin[i + 1]; j++) {
        float *to = w[x->features[j]], value = x->values[j];
        for (int k = 0; k < LANES; k++) to[k] += step[k] * value;
    }
    for (int k = 0; k < LANES; k++) w[n_features][k] += step[k];
}

/* One coordinate of each lane: moves alpha to where the dual's slope is 0, or to 0. Gives the largest
 * projected slope that it met. */
static float move(const problem *p, descent *d, uint32_t at)
{
    size_t i = p->pick[at];
    float step[LANES], worst = 0, *alpha = d->alpha[at];
    margins(p->x, i, d->w, p->n_features, step);
    for (int k = 0; k < LANES; k++) {
        float y = p->labels[i] == d->labels[k] ? 1 : -1, slope = y * step[k] - 1 + alpha[k] * d->diagonals[k];
        float projected = fabsf(alpha[k] <= 0 && slope > 0 ? 0 : slope);
        float next = fmaxf(alpha[k] - slope / (p->squares[i] + d->diagonals[k]), 0);
        worst = k < d->n && projected > worst ? projected : worst;
        step[k] = k < d->n ? (next - alpha[k]) * y : 0;
        alpha[k] = k < d->n ? next : 0;
    }
    if (worst > 0) add_to(d->w, p->x, i, step, p->n_features);
    return worst;
}

/* Passes in random order. A row that hardly moved stays out until the next full pass, every
 * FULL_PASS-th; the end is a full pass in which no slope was over TOLERANCE. */
static void solve(const problem *p, descent *d, uint64_t seed)
{
    fv_rng rng = fv_rng_make(seed, "svm");
    memset(d->w, 0, (p->n_features + 1) * sizeof *d->w);
    memset(d->alpha, 0, p->n * sizeof *d->alpha);
    for (size_t i = 0; i < p->n; i++) d->order[i] = (uint32_t)i;
    for (size_t pass = 0, active = p->n; pass < MAX_PASSES; pass++) {
        float worst = 0;
        size_t n = pass % FULL_PASS == 0 ? p->n : active;
        fv_rng_shuffle(&rng, d->order, n);
        active = 0;
        for (size_t s = 0; s < n; s++) {
            uint32_t at = d->order[s];
            float slope = move(p, d, at);
            worst = fmaxf(worst, slope);
            if (slope <= TOLERANCE / 4) continue;
            d->order[s] = d->order[active];
            d->order[active++] = at;
        }
        if (worst <= TOLERANCE && n == p->n) return;
    }
}

/* Machines are numbered C by C, label by label; a job is the next few of them, and threads take the
 * next job. scores[C][row][label] of z. */
typedef struct team {
    const problem *p;
    const sparse *z;
    const uint32_t *z_pick;
    size_t n_z;
    const double *Cs;
    int n_C, n_labels; /* two labels need one machine, for the second, and n_labels is 1 */
    float *scores;
    uint64_t seed;
    int next;
} team;

static void choose_lanes(const team *t, descent *d, int first)
{
    int machines = t->n_C * t->n_labels;
    d->n = machines - first < LANES ? machines - first : LANES;
    for (int k = 0; k < LANES; k++) {
        int machine = k < d->n ? first + k : first;
        d->labels[k] = t->n_labels == 1 ? 1 : machine % t->n_labels;
        d->diagonals[k] = (float)(0.5 / t->Cs[machine / t->n_labels]);
    }
}

static void score_lanes(const team *t, const descent *d, int first)
{
    float scores[LANES];
    for (size_t i = 0; i < t->n_z; i++) {
        margins(t->z, t->z_pick[i], d->w, t->p->n_features, scores);
        for (int k = 0; k < d->n; k++) {
            size_t C = (size_t)((first + k) / t->n_labels), label = (size_t)((first + k) % t->n_labels);
            t->scores[(C * t->n_z + i) * (size_t)t->n_labels + label] = scores[k];
        }
    }
}

static void *on_cache_lines(size_t n) { return must(aligned_alloc(LANES * sizeof(float), n * LANES * sizeof(float))); }

static void *work(void *user)
{
    team *t = user;
    const problem *p = t->p;
    int machines = t->n_C * t->n_labels, jobs = (machines + LANES - 1) / LANES;
    descent d = {.w = on_cache_lines(p->n_features + 1), .alpha = on_cache_lines(p->n), .order = must(fv_alloc(p->n * sizeof(uint32_t), NULL))};
    for (int job; (job = __atomic_fetch_add(&t->next, 1, __ATOMIC_RELAXED)) < jobs;) {
        choose_lanes(t, &d, job * LANES);
        solve(p, &d, t->seed);
        score_lanes(t, &d, job * LANES);
    }
    free(d.w), free(d.alpha), fv_free(d.order);
    return NULL;
}

static void run_team(team *t, int threads)
{
    enum { MOST = 64 };
    pthread_t others[MOST];
    int n = 0;
    while (n + 1 < threads && n < MOST && pthread_create(&others[n], NULL, work, t) == 0) n++;
    work(t);
    for (int i = 0; i < n; i++) pthread_join(others[i], NULL);
}

/* Learns from the rows `pick` with each C and predicts the rows z_pick of z: out[C][row]. */
static void predict_svm(const problem *p, const sparse *z, const uint32_t *z_pick, size_t n_z, const double *Cs, int n_C, int32_t n_labels, const options *o, int32_t *out)
{
    team t = {.p = p, .z = z, .z_pick = z_pick, .n_z = n_z, .Cs = Cs, .n_C = n_C, .n_labels = n_labels == 2 ? 1 : n_labels, .seed = o->seed};
    size_t M = (size_t)t.n_labels, total = (size_t)n_C * n_z;
    t.scores = must(fv_alloc((total * M + 1) * sizeof *t.scores, NULL));
    run_team(&t, o->threads);
    for (size_t i = 0; i < total; i++) {
        const float *s = t.scores + i * M;
        int32_t best = M == 1 && s[0] > 0;
        for (size_t c = 1; c < M; c++) best = s[c] > s[best] ? (int32_t)c : best;
        out[i] = best;
    }
    fv_free(t.scores);
}

static float *squares_of(const sparse *x)
{
    float *out = must(fv_alloc((x->n + 1) * sizeof *out, NULL));
    for (size_t i = 0; i < x->n; i++) {
        double sum = 1;
        for (size_t j = x->begin[i]; j < x->begin[i + 1]; j++) sum += (double)x->values[j] * x->values[j];
        out[i] = (float)sum;
    }
    return out;
}

static double choose_C(problem p, const split *s, int32_t n_labels, const options *o)
{
    int32_t *predicted = must(fv_alloc((GRID * s->n_held + 1) * sizeof *predicted, NULL));
    p.pick = s->fit;
    p.n = s->n_fit;
    predict_svm(&p, s->z, s->held, s->n_held, grid, GRID, n_labels, o, predicted);
    int best = best_of(s, predicted, GRID);
    fv_free(predicted);
    return grid[best];
}

static double svm(const rows *train, const rows *valid, const rows *test, const grams *groups, int n_groups, int32_t n_labels, const options *o, int32_t *predicted)
{
    table tables[2];
    size_t n_features = 0;
    for (int k = 0; k < n_groups; k++) n_features = learn_table(&tables[k], &groups[k], train, MIN_ROWS, n_features);
    float *idf = make_idf(tables, n_groups, n_features, train->n);
    sparse x = make_sparse(train, tables, n_groups, n_features, idf), z = make_sparse(test, tables, n_groups, n_features, idf);
    sparse v = make_sparse(valid, tables, n_groups, n_features, idf);
    for (int k = 0; k < n_groups; k++) fv_free(tables[k].entries);
    float *squares = squares_of(&x);
    uint32_t *all = counting_up(train->n > test->n ? train->n : test->n);
    problem p = {.x = &x, .labels = train->labels, .pick = all, .squares = squares, .n = train->n, .n_features = n_features};
    split s = make_split(&x, train, valid->n ? &v : NULL, valid, o->seed);
    double C = choose_C(p, &s, n_labels, o);
    predict_svm(&p, &z, all, test->n, &C, 1, n_labels, o, predicted);
    fv_free(idf), fv_free(squares), fv_free(all), fv_free(s.order);
    free_sparse(&x), free_sparse(&z), free_sparse(&v);
    return C;
}

/* ---- Results --------------------------------------------------------------------------------- */

typedef struct outcome { const int32_t *truth, *predicted; int32_t n_labels; } outcome;

static double accuracy(const void *user, const uint32_t *pick, size_t n)
{
    const outcome *o = user;
    size_t right = 0;
    for (size_t i = 0; i < n; i++) right += o->truth[pick[i]] == o->predicted[pick[i]];
    return (double)right / (double)n;
}

/* The mean over labels that are there or were predicted. */
static double macro_f1(const void *user, const uint32_t *pick, size_t n)
{
    const outcome *o = user;
    size_t L = (size_t)o->n_labels;
    double *tally = must(fv_alloc_zero(3 * L, sizeof *tally, NULL)), *right = tally, *there = tally + L, *said = tally + 2 * L, sum = 0;
    int labels = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t t = o->truth[pick[i]], p = o->predicted[pick[i]];
        if (t >= 0) there[t]++;
        said[p]++;
        if (t == p) right[t]++;
    }
    for (size_t c = 0; c < L; c++)
        if (there[c] + said[c] > 0) sum += 2 * right[c] / (there[c] + said[c]), labels++;
    fv_free(tally);
    return sum / labels;
}

static json_t *figure_json(measure fn, const outcome *o, size_t n, uint64_t seed)
{
    figure f = bootstrap(fn, o, n, seed);
    return json_pack("{s:f, s:f, s:f}", "value", f.value, "low", f.low, "high", f.high);
}

static json_t *scores_json(const rows *test, const int32_t *predicted, int32_t n_labels, uint64_t seed)
{
    outcome o = {test->labels, predicted, n_labels};
    return json_pack("{s:o, s:o}", "accuracy", figure_json(accuracy, &o, test->n, seed), "macro_f1", figure_json(macro_f1, &o, test->n, seed));
}

static double majority(const rows *train, const rows *test, int32_t n_labels)
{
    double *counts = must(fv_alloc_zero((size_t)n_labels, sizeof *counts, NULL)), right = 0;
    for (size_t i = 0; i < train->n; i++) counts[train->labels[i]]++;
    int32_t most = largest(counts, (size_t)n_labels);
    for (size_t i = 0; i < test->n; i++) right += test->labels[i] == most;
    fv_free(counts);
    return right / (double)test->n;
}

static const char *label_name(const names *labels, int32_t id) { return id < 0 ? "" : labels->map.entries[id].key; }

static void write_predictions(const char *path, const names *labels, const rows *test, const int32_t *nb, const int32_t *sv)
{
    FILE *to = fopen(path, "w");
    if (!to) die("%s: cannot be written", path);
    fputs("truth\tnb\tsvm\n", to);
    for (size_t i = 0; i < test->n; i++)
        fprintf(to, "%s\t%s\t%s\n", label_name(labels, test->labels[i]), label_name(labels, nb[i]), label_name(labels, sv[i]));
    if (fclose(to)) die("%s: could not be written to its end", path);
}

static void print_result(const options *o, const rows *train, const rows *test, const names *labels, const int32_t *nb, double smoothing, const int32_t *sv, double C, double seconds)
{
    json_t *nb_scores = scores_json(test, nb, labels->n, o->seed), *svm_scores = scores_json(test, sv, labels->n, o->seed);
    json_object_set_new(nb_scores, "smoothing", json_real(smoothing));
    json_object_set_new(svm_scores, "C", json_real(C));
    json_t *line = json_pack("{s:s, s:s, s:I, s:I, s:i, s:f, s:o, s:o, s:f}", "bench", "floor", "set", o->set, "train_rows", (json_int_t)train->n,
                             "rows", (json_int_t)test->n, "labels", (int)labels->n, "majority", majority(train, test, labels->n), "nb",
                             nb_scores, "svm", svm_scores, "seconds", seconds);
    if (!line || json_dumpf(line, stdout, JSON_COMPACT | JSON_REAL_PRECISION(7))) die("the result could not be written");
    putchar('\n');
    json_decref(line);
}

/* ---- Entry ----------------------------------------------------------------------------------- */

static void usage(void)
{
    die("usage: floor SET --train FILE --test FILE [--valid FILE] [--text COL] [--label COL] [--chinese]\n"
        "             [--predictions FILE] [--threads N] [--seed N]");
}

static void take_option(options *o, const char *name, const char *value)
{
    struct { const char *name, **to; } texts[] = {
        {"--train", &o->train}, {"--valid", &o->valid}, {"--test", &o->test}, {"--text", &o->columns.text},
        {"--label", &o->columns.label}, {"--predictions", &o->predictions},
    };
    if (!value) usage();
    for (size_t i = 0; i < FV_COUNT(texts); i++)
        if (strcmp(texts[i].name, name) == 0) { *texts[i].to = value; return; }
    if (strcmp(name, "--threads") == 0) o->threads = atoi(value);
    else if (strcmp(name, "--seed") == 0) o->seed = strtoull(value, NULL, 10);
    else usage();
}

static options parse(char **argv)
{
    options o = {.threads = 1, .seed = 1};
    fv_columns_init(&o.columns);
    for (argv++; *argv; argv++) {
        if (strcmp(*argv, "--chinese") == 0) o.chinese = true;
        else if (**argv != '-') o.set = *argv;
        else take_option(&o, argv[0], argv[1]), argv++;
    }
    if (!o.set || !o.train || !o.test) usage();
    return o;
}

int main(int argc, char **argv)
{
    static const grams words = {true, 1, 2}, characters = {false, 1, 2};
    static const grams english[] = {{true, 1, 2}, {false, 2, 5}}, chinese[] = {{false, 1, 4}};
    (void)argc;
    options o = parse(argv);
    names labels = {0};
    double begun = fv_now();
    rows train = read_rows(o.train, &o.columns, &labels, true), test = read_rows(o.test, &o.columns, &labels, false);
    rows valid = o.valid ? read_rows(o.valid, &o.columns, &labels, false) : (rows){0};
    if (labels.n < 2) die("%s: has %d label; expected two or more", o.train, (int)labels.n);
    int32_t *nb = must(fv_alloc(test.n * sizeof *nb, NULL)), *sv = must(fv_alloc(test.n * sizeof *sv, NULL));
    double smoothing = naive_bayes(&train, &valid, &test, o.chinese ? &characters : &words, labels.n, o.seed, nb);
    double C = svm(&train, &valid, &test, o.chinese ? chinese : english, o.chinese ? 1 : 2, labels.n, &o, sv);
    print_result(&o, &train, &test, &labels, nb, smoothing, sv, C, fv_now() - begun);
    if (o.predictions) write_predictions(o.predictions, &labels, &test, nb, sv);
    free_rows(&train), free_rows(&valid), free_rows(&test);
    fv_map_release(&labels.map);
    fv_free(nb), fv_free(sv);
    return 0;
}
