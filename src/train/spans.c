/* Figures of tagged sentences. Running models and laying tags on words are others'. Each sentence is
 * first boiled down to a few sums, so that a resample is nothing but sums.
 *
 * The trap: a span is right only as a whole. Its tags may all be right and it still be wrong, when the
 * prediction runs on into the next word; so spans are compared, never tags, for all but accuracy. */
#include "train/spans.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "data/tags.h"
#include "train/bootstrap.h"
#include "train/metrics.h"

/* What one sentence, or some together, add to the figures. */
typedef struct counts {
    int64_t words, right;            /* words, and those with the right tag */
    int64_t truth, predicted, hits;  /* spans */
    int64_t with_loss;
    double loss;
} counts;

typedef struct judged {
    const fv_tag_predictions *p;
    bool spans;         /* tags spell spans; else every word is one */
    counts *sentences;  /* [n] */
    int32_t *type_of;   /* [n_names] place in scores; -1 for O */
    fv_label_score *scores;
    int64_t *hits;      /* [n_scores] */
    size_t n_scores;
} judged;

static double share(int64_t part, int64_t whole) { return whole > 0 ? (double)part / (double)whole : 0; }

/* Harmonic mean of hits / predicted and hits / truth. */
static double f1(int64_t hits, int64_t predicted, int64_t truth) { return share(2 * hits, predicted + truth); }

/* ---- Types -------------------------------------------------------------------------------- */

/* What a name's spans are scored under; NULL for O. */
static const char *type_name(const judged *all, int name)
{
    fv_tag_name tag;
    if (!all->spans) return all->p->names[name];
    fv_tag_parse(all->p->names[name], &tag);
    return tag.part == FV_TAG_OUT ? NULL : tag.type;
}

static int32_t find_type(judged *all, const char *type)
{
    size_t i = 0;
    while (i < all->n_scores && strcmp(all->scores[i].name, type) != 0) i++;
    if (i == all->n_scores) all->scores[all->n_scores++].name = type;
    return (int32_t)i;
}

static fv_status find_types(judged *all, fv_err *err)
{
    size_t n = (size_t)all->p->n_names;
    all->type_of = fv_alloc(n * sizeof *all->type_of, err);
    all->scores = all->type_of ? fv_alloc_zero(n, sizeof *all->scores, err) : NULL;
    all->hits = all->scores ? fv_alloc_zero(n, sizeof *all->hits, err) : NULL;
    if (!all->hits) return FV_E_MEMORY;
    for (int i = 0; i < all->p->n_names; i++) {
        const char *type = type_name(all, i);
        all->type_of[i] = type ? find_type(all, type) : -1;
    }
    return FV_OK;
}

/* ---- Sentences ---------------------------------------------------------------------------- */

static fv_span_walk walk(const judged *all, const int32_t *tags, size_t sentence)
{
    const size_t *offsets = all->p->offsets;
    return (fv_span_walk){.names = all->p->names, .tags = tags + offsets[sentence], .n = offsets[sentence + 1] - offsets[sentence], .single = !all->spans};
}

static bool same(const judged *all, const fv_tag_span *a, const fv_tag_span *b)
{
    return a->begin == b->begin && a->end == b->end && all->type_of[a->tag] == all->type_of[b->tag];
}

/* Both sides' spans come in order of their beginnings, so two walks side by side meet every pair. */
static void judge_spans(judged *all, size_t sentence, counts *c)
{
    fv_span_walk truths = walk(all, all->p->truth, sentence), guesses = walk(all, all->p->predicted, sentence);
    fv_tag_span truth, guess;
    bool more = fv_span_next(&guesses, &guess);
    while (fv_span_next(&truths, &truth)) {
        c->truth++;
        all->scores[all->type_of[truth.tag]].count++;
        for (; more && guess.begin <= truth.begin; more = fv_span_next(&guesses, &guess)) {
            bool hit = same(all, &truth, &guess);
            c->predicted++;
            c->hits += hit;
            all->scores[all->type_of[guess.tag]].predicted++;
            all->hits[all->type_of[guess.tag]] += hit;
        }
    }
    for (; more; more = fv_span_next(&guesses, &guess)) {
        c->predicted++;
        all->scores[all->type_of[guess.tag]].predicted++;
    }
}

static counts judge_words(const fv_tag_predictions *p, size_t sentence)
{
    counts c = {.words = (int64_t)(p->offsets[sentence + 1] - p->offsets[sentence])};
    for (size_t i = p->offsets[sentence]; i < p->offsets[sentence + 1]; i++) {
        c.right += p->truth[i] >= 0 && p->truth[i] == p->predicted[i];
        if (!p->losses || isnan(p->losses[i])) continue;
        c.with_loss++;
        c.loss += (double)p->losses[i];
    }
    return c;
}

/* ---- Figures ------------------------------------------------------------------------------ */

static const char *const span_figures[] = {"accuracy", "precision", "recall", "f1", "loss"}, *const tag_figures[] = {"accuracy", "loss"};

static void measure(const void *rows, fv_rng *chance, void *scratch, double *figures)
{
    (void)scratch;
    const judged *all = rows;
    counts sum = {0};
    for (size_t i = 0; i < all->p->n; i++) {
        const counts *c = &all->sentences[fv_bootstrap_draw(chance, i, all->p->n)];
        sum.words += c->words, sum.right += c->right;
        sum.truth += c->truth, sum.predicted += c->predicted, sum.hits += c->hits;
        sum.loss += c->loss, sum.with_loss += c->with_loss;
    }
    *figures++ = share(sum.right, sum.words);
    if (all->spans) {
        *figures++ = share(sum.hits, sum.predicted);
        *figures++ = share(sum.hits, sum.truth);
        *figures++ = f1(sum.hits, sum.predicted, sum.truth);
    }
    if (all->p->losses) *figures = sum.with_loss ? sum.loss / (double)sum.with_loss : 0;
}

static fv_status run_bootstrap(fv_report *report, const judged *all, fv_pool *pool, fv_err *err)
{
    size_t n = all->spans ? FV_COUNT(span_figures) : FV_COUNT(tag_figures);
    fv_bootstrap b = {
        .measure = measure, .rows = all, .names = all->spans ? span_figures : tag_figures, .n_figures = n - !all->p->losses,
        .seed = all->p->seed, .values_only = all->p->values_only,
    };
    return fv_bootstrap_run(report, &b, pool, err);
}

/* Hands the scores over to the report. */
static void give_scores(fv_report *report, judged *all)
{
    for (size_t i = 0; i < all->n_scores; i++) {
        fv_label_score *s = &all->scores[i];
        s->precision = share(all->hits[i], s->predicted);
        s->recall = share(all->hits[i], s->count);
        s->f1 = f1(all->hits[i], s->predicted, s->count);
    }
    report->labels = all->scores;
    report->n_labels = all->n_scores;
    all->scores = NULL;
}

static fv_status judge(judged *all, fv_err *err)
{
    const fv_tag_predictions *p = all->p;
    all->sentences = fv_alloc(p->n * sizeof *all->sentences, err);
    if (!all->sentences || find_types(all, err) != FV_OK) return FV_E_MEMORY;
    for (size_t i = 0; i < p->n; i++) {
        all->sentences[i] = judge_words(p, i);
        judge_spans(all, i, &all->sentences[i]);
    }
    return FV_OK;
}

fv_status fv_spans_compute(fv_report *report, const fv_tag_predictions *p, fv_pool *pool, fv_err *err)
{
    fv_status status = FV_OK;
    judged all = {.p = p, .spans = fv_tags_have_spans(p->names, p->n_names)};
    if (p->n == 0 || p->offsets[p->n] == p->offsets[0]) return FV_FAIL(err, FV_E_INPUT, "no words to judge; expected at least one");
    FV_TRY(judge(&all, err));
    FV_TRY(run_bootstrap(report, &all, pool, err));
    report->rows = (int64_t)p->n;
    give_scores(report, &all);
done:
    fv_free(all.sentences);
    fv_free(all.type_of);
    fv_free(all.scores);
    fv_free(all.hits);
    return status;
}
