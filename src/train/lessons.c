/* Lessons: copies of texts, five teachers, and what they think. How a linear model is found is wide_fit.c's
 * business. The trap: a copy's words must come from texts of its own fold, or a teacher hears words
 * beside a label that it was taught them with. */
#include "train/lessons.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "train/wide_fit.h"

enum { FOLDS = 5, LEAST_ROWS = 50, MOST_SHARES = 16 << 20, MAX_TEACHER_WEIGHTS = 16 << 20 };

/* Chosen on held-back parts of banking77, sst2_sentences and fin_phrasebank, from few tries. */
static const double dropped = 0.15, swapped = 0.15, trust = 0.7;

/* Rows that one teacher has not seen. */
typedef struct fold {
    uint32_t *rows;           /* [data.n] numbers in the whole */
    fv_dataset data;          /* of them, borrowing their texts */
    fv_feature_rows features; /* of their texts, then of their copies */
} fold;

typedef struct school {
    const fv_dataset *data;
    int outputs;
    uint64_t seed;
    fv_pool *pool;
    fold folds[FOLDS];
    fv_wide wide;             /* which n-grams count, for all teachers */
    float *weight;            /* of one teacher: [n + 1, outputs] */
} school;

/* ---- Folds ---- */

/* By the text, so that no teacher has seen its twin. */
static int fold_of(const school *s, size_t i)
{
    return (int)(fv_hash64(s->data->rows[i].text, s->data->rows[i].text_len, s->seed) % FOLDS);
}

static fv_status make_folds(school *s, fv_err *err)
{
    size_t n = s->data->n;
    for (int k = 0; k < FOLDS; k++) {
        fold *f = &s->folds[k];
        f->rows = fv_alloc(n * sizeof *f->rows, err);
        f->data.rows = fv_alloc(n * sizeof *f->data.rows, err);
        if (!f->rows || !f->data.rows) return FV_E_MEMORY;
    }
    for (size_t i = 0; i < n; i++) {
        fold *f = &s->folds[fold_of(s, i)];
        f->rows[f->data.n] = (uint32_t)i;
        f->data.rows[f->data.n++] = s->data->rows[i];
    }
    return FV_OK;
}

static bool any_empty(const school *s)
{
    for (int k = 0; k < FOLDS; k++)
        if (s->folds[k].data.n == 0) return true;
    return false;
}

/* ---- Copies ---- */

/* Bytes of the word at `text` with the space behind it, or of one character of three bytes or more: scripts
 * without spaces have those. */
static size_t word_length(const char *text, const char *end)
{
    const char *p = text;
    if ((uint8_t)*p >= 0xe0) {
        for (p++; p < end && ((uint8_t)*p & 0xc0) == 0x80; p++) continue;
        return (size_t)(p - text);
    }
    while (p < end && *p != ' ' && (uint8_t)*p < 0xe0) p++;
    return (size_t)(p - text) + (p < end && *p == ' ');
}

/* A word of one of the fold's texts: where a random place of it falls. Empty if that text is. */
static const char *other_word(const fold *f, fv_rng *rng, size_t *len)
{
    const fv_example *e = &f->data.rows[fv_rng_below(rng, f->data.n)];
    const char *at = e->text, *end = at + e->text_len;
    *len = 0;
    if (e->text_len == 0) return at;
    const char *place = at + fv_rng_below(rng, e->text_len);
    while (at + (*len = word_length(at, end)) <= place) at += *len;
    return at;
}

/* A word from a text's end lacks the space that it needs in the middle of another. */
static fv_status add_word(fv_buf *to, const char *word, size_t len, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(fv_buf_add(to, word, len, err));
    if (len > 0 && word[len - 1] != ' ' && (uint8_t)word[0] < 0xe0) FV_TRY(fv_buf_putc(to, ' ', err));
done:
    return status;
}

/* An empty copy teaches nothing: then it is the text itself. */
static fv_status copy_text(fv_lessons *l, const fold *f, fv_rng *rng, const char **text, size_t *len, fv_buf *buf, fv_err *err)
{
    fv_status status = FV_OK;
    const char *p = *text, *end = p + *len;
    buf->len = 0;
    while (p < end) {
        double u = fv_rng_uniform(rng);
        size_t own = word_length(p, end), n = own;
        const char *word = u < swapped ? other_word(f, rng, &n) : p;
        if (u < swapped || u >= swapped + dropped) FV_TRY(add_word(buf, word, n, err));
        p += own;
    }
    if (buf->len == 0) return FV_OK;
    *text = fv_arena_strndup(&l->arena, buf->data, buf->len, err);
    *len = buf->len;
    if (!*text) status = FV_E_MEMORY;
done:
    return status;
}

static fv_status copy_row(fv_lessons *l, const school *s, size_t at, fv_buf *buf, fv_err *err)
{
    fv_status status = FV_OK;
    size_t i = at % s->data->n;
    fv_rng all = fv_rng_make(s->seed, "lessons"), rng = fv_rng_fork(&all, at);
    const fold *f = &s->folds[fold_of(s, i)];
    fv_text *t = &l->texts[at];
    *t = l->texts[i];
    FV_TRY(copy_text(l, f, &rng, &t->text, &t->len, buf, err));
    if (t->text2) FV_TRY(copy_text(l, f, &rng, &t->text2, &t->len2, buf, err));
done:
    return status;
}

static fv_status make_texts(fv_lessons *l, const school *s, fv_err *err)
{
    fv_status status = FV_OK;
    size_t n = s->data->n;
    fv_buf buf = {0};
    fv_text *texts = fv_prepare_texts(s->data, err);
    if (!texts) return FV_E_MEMORY;
    l->n = n * (1 + FV_LESSON_COPIES);
    l->texts = fv_alloc_zero(l->n, sizeof *l->texts, err);
    if (!l->texts) { status = FV_E_MEMORY; goto done; }
    memcpy(l->texts, texts, n * sizeof *texts);
    for (size_t i = n; i < l->n; i++) FV_TRY(copy_row(l, s, i, &buf, err));
done:
    fv_buf_release(&buf);
    fv_free(texts);
    return status;
}

/* ---- Teachers ---- */

static fv_status make_features(const fv_lessons *l, const school *s, fold *f, fv_ngrams *ngrams, fv_err *err)
{
    size_t n = f->data.n;
    fv_text *texts = fv_alloc(n * (1 + FV_LESSON_COPIES) * sizeof *texts, err);
    if (!texts) return FV_E_MEMORY;
    for (size_t k = 0; k <= FV_LESSON_COPIES; k++)
        for (size_t i = 0; i < n; i++) texts[k * n + i] = l->texts[k * s->data->n + f->rows[i]];
    fv_status status = fv_prepare_features(&f->features, &s->wide, texts, n * (1 + FV_LESSON_COPIES), ngrams, err);
    fv_free(texts);
    return status;
}

/* The parts of all folds but one: what its teacher learns from. */
static void all_but(const school *s, int left_out, fv_wide_rows *parts)
{
    for (int k = 0, n = 0; k < FOLDS; k++)
        if (k != left_out) parts[n++] = (fv_wide_rows){&s->folds[k].features, &s->folds[k].data};
}

static void listen(const school *s, const fold *f, size_t row, float *margin)
{
    const fv_feature_rows *x = &f->features;
    size_t outputs = (size_t)s->outputs;
    memcpy(margin, s->weight + (size_t)s->wide.n * outputs, outputs * sizeof *margin);
    for (int64_t k = x->offsets[row]; k < x->offsets[row + 1]; k++) {
        const float *w = s->weight + (size_t)x->ids[k] * outputs;
        for (size_t c = 0; c < outputs; c++) margin[c] += x->values[k] * w[c];
    }
}

static fv_status ask_teacher(fv_lessons *l, const school *s, int number, double C, fv_err *err)
{
    const fold *f = &s->folds[number];
    fv_wide_rows parts[FOLDS];
    all_but(s, number, parts);
    fv_status status = fv_wide_fit(s->weight, C, parts, FOLDS - 1, FV_LABELS_SINGLE, s->outputs, s->wide.n, s->seed, s->pool, err);
    if (status != FV_OK) return status;
    for (size_t k = 0; k <= FV_LESSON_COPIES; k++)
        for (size_t i = 0; i < f->data.n; i++)
            listen(s, f, k * f->data.n + i, l->shares + (k * s->data->n + f->rows[i]) * (size_t)s->outputs);
    return FV_OK;
}

static fv_status choose_C(const school *s, double *C, fv_err *err)
{
    const fold *f = &s->folds[0];
    fv_wide_rows parts[FOLDS], held = {&f->features, &f->data};
    float *margins = fv_alloc(f->data.n * (size_t)s->outputs * sizeof *margins, err);
    if (!margins) return FV_E_MEMORY;
    all_but(s, 0, parts);
    fv_status status = fv_wide_choose_C(C, margins, parts, FOLDS - 1, &held, FV_LABELS_SINGLE, s->outputs, s->wide.n, s->seed, s->pool, err);
    fv_free(margins);
    return status;
}

/* Margins to shares, as loud as loses least on the rows. A row's own label counts beside the teacher's word. */
static void settle_shares(fv_lessons *l, const school *s)
{
    fv_fusion fusion;
    fv_fusion_fit(&fusion, NULL, l->shares, s->data, FV_LABELS_SINGLE, s->outputs);
    for (size_t i = 0; i < l->n; i++) {
        float *x = l->shares + i * (size_t)s->outputs;
        bool real = i < s->data->n;
        double top = -INFINITY, sum = 0, by = real ? trust : 1;
        for (int c = 0; c < s->outputs; c++) top = fmax(top, (double)x[c]);
        for (int c = 0; c < s->outputs; c++) sum += exp(fusion.wide * ((double)x[c] - top));
        for (int c = 0; c < s->outputs; c++) x[c] = (float)(by * exp(fusion.wide * ((double)x[c] - top)) / sum);
        if (real) x[s->data->rows[i].label] += (float)(1 - by);
    }
}

static fv_status teach(fv_lessons *l, school *s, fv_err *err)
{
    fv_status status = FV_OK;
    fv_ngrams ngrams = {0};
    double C;
    FV_TRY(make_texts(l, s, err));
    FV_TRY(fv_prepare_wide(&s->wide, l->texts, s->data->n, MAX_TEACHER_WEIGHTS / s->outputs, &ngrams, err));
    for (int k = 0; k < FOLDS; k++) FV_TRY(make_features(l, s, &s->folds[k], &ngrams, err));
    s->weight = fv_alloc((size_t)(s->wide.n + 1) * (size_t)s->outputs * sizeof *s->weight, err);
    l->shares = fv_alloc(l->n * (size_t)s->outputs * sizeof *l->shares, err);
    if (!s->weight || !l->shares) { status = FV_E_MEMORY; goto done; }
    FV_TRY(choose_C(s, &C, err));
    for (int k = 0; k < FOLDS; k++) FV_TRY(ask_teacher(l, s, k, C, err));
    settle_shares(l, s);
done:
    fv_ngrams_release(&ngrams);
    return status;
}

/* ---- Entry ---- */

static void release_school(school *s)
{
    for (int k = 0; k < FOLDS; k++) {
        fv_free(s->folds[k].rows);
        fv_free(s->folds[k].data.rows);
        fv_feature_rows_release(&s->folds[k].features);
    }
    fv_wide_release(&s->wide);
    fv_free(s->weight);
}

fv_status fv_lessons_make(fv_lessons *l, const fv_dataset *data, int outputs, uint64_t seed, fv_pool *pool, fv_err *err)
{
    fv_status status = FV_OK;
    school s = {.data = data, .outputs = outputs, .seed = seed, .pool = pool};
    *l = (fv_lessons){0};
    if (data->n < LEAST_ROWS || data->n * (1 + FV_LESSON_COPIES) > (size_t)(MOST_SHARES / outputs)) return FV_OK;
    FV_TRY(make_folds(&s, err));
    if (!any_empty(&s)) FV_TRY(teach(l, &s, err));
done:
    release_school(&s);
    if (status != FV_OK) fv_lessons_release(l);
    return status;
}

void fv_lessons_release(fv_lessons *l)
{
    fv_free(l->texts);
    fv_free(l->shares);
    fv_arena_release(&l->arena);
    *l = (fv_lessons){0};
}
