/* Ranks of right documents, and figures of them. Scores come in blocks of some texts against all documents, so that memory
 * does not grow with their product. The trap: nothing is sorted by score, since only the ranks of right documents count. */
#include "train/retrieval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"
#include "train/bootstrap.h"

enum { N_FIGURES = 4, DEPTH = 10 };
static const char *const names[N_FIGURES] = {"mrr", "ndcg10", "recall1", "recall10"};

/* ---- Judgements --------------------------------------------------------------------------- */

/* The text's number; a new one joins the list. */
static fv_status number_of(fv_map *map, fv_text *texts, size_t *n, const char *text, size_t len, int32_t *number, fv_err *err)
{
    *number = fv_map_get(map, text, len);
    if (*number >= 0) return FV_OK;
    *number = (int32_t)*n;
    texts[(*n)++] = (fv_text){.text = text, .len = len};
    return fv_map_set(map, text, len, *number, err);
}

static int by_place(const void *a, const void *b)
{
    const fv_judgement *x = a, *y = b;
    if (x->query != y->query) return x->query < y->query ? -1 : 1;
    if (x->document != y->document) return x->document < y->document ? -1 : 1;
    return (x->grade < y->grade) - (x->grade > y->grade);
}

static void drop_repeated(fv_judgements *j)
{
    size_t kept = 0;
    qsort(j->items, j->n, sizeof *j->items, by_place);
    for (size_t i = 0; i < j->n; i++)
        if (kept == 0 || j->items[i].query != j->items[kept - 1].query || j->items[i].document != j->items[kept - 1].document) j->items[kept++] = j->items[i];
    j->n = kept;
}

typedef struct collector {
    fv_map asking, asked;
    fv_text *documents; /* [2 · rows] */
} collector;

static fv_status collect_row(fv_judgements *j, collector *c, const fv_example *e, bool graded, int32_t *asks, int32_t *asked, fv_err *err)
{
    fv_status status = FV_OK;
    int32_t wrong;
    *asks = *asked = -1;
    if (e->text_len > 0) FV_TRY(number_of(&c->asking, j->texts, &j->n_queries, e->text, e->text_len, asks, err));
    if (e->text2) FV_TRY(number_of(&c->asked, c->documents, &j->n_documents, e->text2, e->text2_len, asked, err));
    if (e->negative) FV_TRY(number_of(&c->asked, c->documents, &j->n_documents, e->negative, e->negative_len, &wrong, err));
    if (*asks >= 0 && *asked >= 0) j->items[j->n++] = (fv_judgement){.query = *asks, .document = *asked, .grade = graded ? e->value : 1};
done:
    return status;
}

fv_status fv_judgements_make(fv_judgements *j, const fv_dataset *data, fv_err *err)
{
    fv_status status = FV_E_MEMORY;
    collector c = {.documents = fv_alloc_zero(2 * data->n, sizeof *c.documents, err)};
    *j = (fv_judgements){0};
    j->texts = c.documents ? fv_alloc_zero(3 * data->n, sizeof *j->texts, err) : NULL;
    j->items = j->texts ? fv_alloc_zero(data->n, sizeof *j->items, err) : NULL;
    j->asks = j->items ? fv_alloc_zero(data->n, sizeof *j->asks, err) : NULL;
    j->asked = j->asks ? fv_alloc_zero(data->n, sizeof *j->asked, err) : NULL;
    if (!j->asked) goto done;
    for (size_t i = 0; i < data->n; i++) FV_TRY(collect_row(j, &c, &data->rows[i], data->has & FV_HAS_GRADE, &j->asks[i], &j->asked[i], err));
    memcpy(j->texts + j->n_queries, c.documents, j->n_documents * sizeof *j->texts);
    drop_repeated(j);
    status = FV_OK;
done:
    fv_map_release(&c.asking);
    fv_map_release(&c.asked);
    fv_free(c.documents);
    if (status != FV_OK) fv_judgements_release(j);
    return status;
}

void fv_judgements_release(fv_judgements *j)
{
    fv_free(j->texts);
    fv_free(j->items);
    fv_free(j->asks);
    fv_free(j->asked);
    *j = (fv_judgements){0};
}

/* ---- Ranks -------------------------------------------------------------------------------- */

typedef struct ranking {
    const fv_rankings *of;
    size_t *ends;    /* [n_queries] where each one's items end; they begin where the last one's do */
    double *figures; /* [n_queries, N_FIGURES]; NaN where nothing is right */
    float *scores;   /* [rows, n_documents] of the texts from `first` on */
    size_t first, rows;
    void *scratch;
} ranking;

/* How many wrong documents stand before one of score s. */
static size_t wrong_before(const ranking *k, const float *scores, const fv_judgement *items, size_t n, float s)
{
    size_t before = 0, right = 0, documents = k->of->judgements->n_documents;
    for (size_t i = 0; i < n; i++)
        if (items[i].grade > 0) right += scores[items[i].document] >= s;
        else before += scores[items[i].document] >= s;
    if (k->of->own) return before;
    before = 0;
    for (size_t d = 0; d < documents; d++) before += scores[d] >= s;
    return before - right;
}

/* The place of item i among all documents, from 1 on; the last for a score that is none. */
static size_t rank_of(const ranking *k, const float *scores, const fv_judgement *items, size_t n, size_t i)
{
    float s = scores[items[i].document];
    if (isnan(s)) return k->of->judgements->n_documents;
    size_t rank = 1 + wrong_before(k, scores, items, n, s);
    for (size_t o = 0; o < n; o++) {
        float other = scores[items[o].document];
        if (items[o].grade > 0 && (other > s || (other == s && o < i))) rank++;
    }
    return rank;
}

static double discount(size_t rank) { return 1 / log2(1 + (double)rank); }

/* Σ grade · discount in the best order: the largest grades first. */
static double best_gain(const fv_judgement *items, size_t n)
{
    double gain = 0, below = INFINITY;
    for (size_t rank = 1; rank <= DEPTH;) {
        double top = 0;
        size_t equal = 0;
        for (size_t i = 0; i < n; i++)
            if (items[i].grade < below && items[i].grade > top) top = items[i].grade;
        if (!(top > 0)) break;
        for (size_t i = 0; i < n; i++) equal += items[i].grade == top;
        for (; equal > 0 && rank <= DEPTH; equal--) gain += top * discount(rank++);
        below = top;
    }
    return gain;
}

static void judge_one(void *arg, int64_t row, int worker)
{
    (void)worker;
    const ranking *k = arg;
    size_t query = k->first + (size_t)row, begin = query ? k->ends[query - 1] : 0, n = k->ends[query] - begin;
    const fv_judgement *items = k->of->judgements->items + begin;
    const float *scores = k->scores + (size_t)row * k->of->judgements->n_documents;
    double *figures = k->figures + query * N_FIGURES, gain = 0;
    size_t right = 0, found = 0, best = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        if (!(items[i].grade > 0)) continue;
        size_t rank = rank_of(k, scores, items, n, i);
        right++;
        best = rank < best ? rank : best;
        if (rank > DEPTH) continue;
        found++;
        gain += items[i].grade * discount(rank);
    }
    figures[0] = right ? 1 / (double)best : NAN;
    figures[1] = right ? gain / best_gain(items, n) : NAN;
    figures[2] = right ? best == 1 : NAN;
    figures[3] = right ? (double)found / (double)(right < DEPTH ? right : DEPTH) : NAN;
}

static fv_gemm score_product(const ranking *k)
{
    const fv_judgements *j = k->of->judgements;
    int64_t dim = k->of->dim, documents = (int64_t)j->n_documents;
    return (fv_gemm){.m = (int64_t)k->rows, .n = documents, .k = dim, .a = k->of->vectors + (int64_t)k->first * dim, .lda = dim,
                     .b = k->of->vectors + (int64_t)j->n_queries * dim, .ldb = dim, .b_t = true, .c = k->scores, .ldc = documents};
}

/* Moves the queries that have something right to the front, and says how many. */
static size_t drop_unanswerable(ranking *k)
{
    size_t kept = 0;
    for (size_t q = 0; q < k->of->judgements->n_queries; q++)
        if (!isnan(k->figures[q * N_FIGURES])) memmove(k->figures + kept++ * N_FIGURES, k->figures + q * N_FIGURES, N_FIGURES * sizeof *k->figures);
    return kept;
}

static void find_ends(ranking *k)
{
    const fv_judgements *j = k->of->judgements;
    size_t at = 0;
    for (size_t q = 0; q < j->n_queries; q++) {
        while (at < j->n && (size_t)j->items[at].query == q) at++;
        k->ends[q] = at;
    }
}

/* ---- Figures ------------------------------------------------------------------------------ */

typedef struct means {
    const double *figures;
    size_t n;
} means;

static void measure(const void *rows, fv_rng *chance, void *scratch, double *figures)
{
    (void)scratch;
    const means *all = rows;
    for (int f = 0; f < N_FIGURES; f++) figures[f] = 0;
    for (size_t i = 0; i < all->n; i++) {
        const double *of = all->figures + fv_bootstrap_draw(chance, i, all->n) * N_FIGURES;
        for (int f = 0; f < N_FIGURES; f++) figures[f] += of[f] / (double)all->n;
    }
}

static fv_status rank_all(ranking *k, size_t block, fv_pool *pool, fv_err *err)
{
    const fv_judgements *j = k->of->judgements;
    k->rows = block;
    fv_gemm largest = score_product(k);
    k->scratch = fv_alloc(fv_gemm_scratch(&largest, pool ? fv_pool_threads(pool) : 1), err);
    if (!k->scratch) return FV_E_MEMORY;
    for (k->first = 0; k->first < j->n_queries; k->first += k->rows) {
        k->rows = j->n_queries - k->first < block ? j->n_queries - k->first : block;
        fv_gemm g = score_product(k);
        fv_gemm_run(&g, pool, k->scratch);
        fv_pool_run(pool, (int64_t)k->rows, judge_one, k);
    }
    return FV_OK;
}

fv_status fv_retrieval_compute(fv_report *report, const fv_rankings *r, fv_pool *pool, fv_err *err)
{
    enum { MOST_SCORES = 4 << 20, MOST_ROWS = 256 };
    fv_status status = FV_E_MEMORY;
    const fv_judgements *j = r->judgements;
    ranking k = {.of = r};
    size_t block = MOST_SCORES / (j->n_documents ? j->n_documents : 1);
    block = block < 1 ? 1 : block > MOST_ROWS ? MOST_ROWS : block;
    k.ends = fv_alloc_zero(j->n_queries, sizeof *k.ends, err);
    k.figures = k.ends ? fv_alloc_zero(j->n_queries * N_FIGURES, sizeof *k.figures, err) : NULL;
    k.scores = k.figures ? fv_alloc_zero(block * j->n_documents, sizeof *k.scores, err) : NULL;
    if (!k.scores) goto done;
    find_ends(&k);
    FV_TRY(rank_all(&k, block, pool, err));
    means all = {.figures = k.figures, .n = drop_unanswerable(&k)};
    if (all.n == 0) { status = FV_FAIL(err, FV_E_INPUT, "no text has a right text2; expected a grade above 0 in some row"); goto done; }
    fv_bootstrap b = {.measure = measure, .rows = &all, .names = names, .n_figures = N_FIGURES, .seed = r->seed, .values_only = r->values_only};
    FV_TRY(fv_bootstrap_run(report, &b, pool, err));
done:
    fv_free(k.ends);
    fv_free(k.figures);
    fv_free(k.scores);
    fv_free(k.scratch);
    return status;
}
