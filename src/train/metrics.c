/* Figures of predictions, with bootstrap intervals.
 *
 * Reading files, running models and choosing which figure to watch are others', drawing rows is bootstrap.c's. Each row is
 * first boiled down to the few counts that it adds to (struct outcome), so that a resample is nothing but sums over drawn
 * rows: a thousand of them cost little.
 *
 * The trap: figures of a resample may be undefined where those of all rows are not (a label that was
 * not drawn, a truth that became constant); every quotient has its own answer for that. */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "train/bootstrap.h"
#include "train/metrics.h"

enum {
    N_BINS = 15, /* Guo et al. 2017 */
    N_CONFUSIONS = 20,
};

/* ---- Rows boiled down --------------------------------------------------------------------- */

/* What became of one label in one row. */
typedef enum verdict { HIT, MISS, FALSE_ALARM, N_VERDICTS } verdict;

typedef struct judged {
    int32_t label;
    verdict verdict;
} judged;

/* How much surer than right the decisions of one bin were: the sum of confidence - correctness. */
typedef struct surplus {
    int32_t bin;
    float sum;
} surplus;

/* One row's part of every figure. Labels and bins that it does not touch are not listed. */
typedef struct outcome {
    size_t judged, surplus; /* where its lists begin; they end where the next row's begin */
    double loss;
    bool right, has_loss;
    bool stranger;         /* its true label is unknown to the model */
} outcome;

typedef struct outcomes {
    size_t n;
    int n_labels;
    double decisions;  /* a row, for calibration: 1, or one for each label */
    outcome *rows;     /* [n + 1] */
    judged *judged;
    surplus *surplus;
    size_t n_judged, judged_capacity, n_surplus, surplus_capacity;
} outcomes;

static void outcomes_release(outcomes *all)
{
    fv_free(all->rows);
    fv_free(all->judged);
    fv_free(all->surplus);
}

/* NaN becomes 0. */
static float probability(float score) { return score > 0 ? (score < 1 ? score : 1) : 0; }

/* -ln(p), at most 87.3: the smallest normal float stands for less. */
static double surprise(double p) { return -log(p > FLT_MIN ? p : FLT_MIN); }

/* Bins are (0, 1/15], (1/15, 2/15] …, as in the paper. */
static int bin_of(float confidence)
{
    int bin = (int)ceilf(confidence * N_BINS) - 1;
    return bin < 0 ? 0 : bin;
}

static fv_status add_judged(outcomes *all, int32_t label, verdict how, fv_err *err)
{
    fv_status status = fv_grow(&all->judged, &all->judged_capacity, all->n_judged + 1, sizeof *all->judged, err);
    if (status == FV_OK) all->judged[all->n_judged++] = (judged){label, how};
    return status;
}

static fv_status add_surplus(outcomes *all, int bin, double sum, fv_err *err)
{
    fv_status status = fv_grow(&all->surplus, &all->surplus_capacity, all->n_surplus + 1, sizeof *all->surplus, err);
    if (status == FV_OK) all->surplus[all->n_surplus++] = (surplus){bin, (float)sum};
    return status;
}

static int best_label(const float *scores, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (probability(scores[i]) > probability(scores[best])) best = i;
    return best;
}

static fv_status judge_single(outcomes *all, outcome *row, const float *scores, int32_t truth, fv_err *err)
{
    fv_status status = FV_OK;
    int best = best_label(scores, all->n_labels);
    float confidence = probability(scores[best]);
    row->right = best == truth;
    row->stranger = truth < 0;
    row->has_loss = truth >= 0;
    if (row->has_loss) row->loss = surprise(probability(scores[truth]));
    FV_TRY(add_judged(all, best, row->right ? HIT : FALSE_ALARM, err));
    if (!row->right && !row->stranger) FV_TRY(add_judged(all, truth, MISS, err));
    FV_TRY(add_surplus(all, bin_of(confidence), confidence - row->right, err));
done:
    return status;
}

/* `member` has n_labels places, all false on entry and on return. */
static fv_status judge_multi(outcomes *all, outcome *row, const float *scores, const int32_t *truth, size_t n_truth, bool *member, fv_err *err)
{
    fv_status status = FV_OK;
    double sums[N_BINS] = {0}, loss = 0;
    row->right = row->has_loss = true;
    for (size_t i = 0; i < n_truth; i++) member[truth[i]] = true;
    for (int label = 0; label < all->n_labels; label++) {
        float p = probability(scores[label]);
        bool predicted = p >= 0.5f, true_one = member[label];
        float confidence = predicted ? p : 1 - p;
        loss += surprise(true_one ? p : 1.0 - p);
        sums[bin_of(confidence)] += confidence - (predicted == true_one);
        if (predicted != true_one) row->right = false;
        if (predicted || true_one)
            FV_TRY(add_judged(all, label, predicted == true_one ? HIT : true_one ? MISS : FALSE_ALARM, err));
    }
    row->loss = loss / all->n_labels;
    for (int bin = 0; bin < N_BINS; bin++)
        if (sums[bin] != 0) FV_TRY(add_surplus(all, bin, sums[bin], err));
done:
    for (size_t i = 0; i < n_truth; i++) member[truth[i]] = false;
    return status;
}

static fv_status judge(outcomes *all, const fv_predictions *p, fv_err *err)
{
    fv_status status = FV_OK;
    bool *member = NULL, multi = p->kind == FV_LABELS_MULTI;
    *all = (outcomes){.n = p->n, .n_labels = p->n_labels, .decisions = multi ? p->n_labels : 1};
    if (!(all->rows = fv_alloc_zero(p->n + 1, sizeof *all->rows, err)) || !(member = fv_alloc_zero((size_t)p->n_labels, sizeof *member, err))) {
        status = FV_E_MEMORY;
        goto done;
    }
    for (size_t i = 0; i < p->n; i++) {
        const float *scores = p->scores + i * (size_t)p->n_labels;
        all->rows[i] = (outcome){.judged = all->n_judged, .surplus = all->n_surplus};
        if (!multi) FV_TRY(judge_single(all, &all->rows[i], scores, p->truth[i], err));
        else FV_TRY(judge_multi(all, &all->rows[i], scores, p->truth + p->truth_offsets[i], p->truth_offsets[i + 1] - p->truth_offsets[i], member, err));
    }
    all->rows[p->n] = (outcome){.judged = all->n_judged, .surplus = all->n_surplus};
done:
    fv_free(member);
    return status;
}

/* ---- Figures of labels -------------------------------------------------------------------- */

/* Sums over some rows. */
typedef struct tally {
    int64_t (*labels)[N_VERDICTS]; /* [n_labels] */
    double surplus[N_BINS], loss;
    int64_t rows, right, with_loss, strangers;
} tally;

static void tally_row(tally *sums, const outcomes *all, size_t i)
{
    const outcome *row = &all->rows[i];
    for (size_t j = row->judged; j < row[1].judged; j++) sums->labels[all->judged[j].label][all->judged[j].verdict]++;
    for (size_t j = row->surplus; j < row[1].surplus; j++) sums->surplus[all->surplus[j].bin] += all->surplus[j].sum;
    sums->loss += row->loss;
    sums->rows++;
    sums->right += row->right;
    sums->with_loss += row->has_loss;
    sums->strangers += row->stranger;
}

static double share(double part, double whole) { return whole > 0 ? part / whole : 0; }

static double f1(double hits, double errors) { return share(2 * hits, 2 * hits + errors); }

static const char *const label_figures[] = {"accuracy", "macro_f1", "micro_f1", "ece", "loss"};

/* In the order of label_figures. */
static void figures_of_tally(const tally *sums, const outcomes *all, double *figures)
{
    int64_t hits = 0, errors = sums->strangers, present = 0;
    double f1_sum = 0, gap = 0;
    for (int i = 0; i < all->n_labels; i++) {
        const int64_t *label = sums->labels[i];
        int64_t wrong = label[MISS] + label[FALSE_ALARM];
        hits += label[HIT];
        errors += wrong;
        present += label[HIT] + wrong > 0;
        f1_sum += f1((double)label[HIT], (double)wrong);
    }
    for (int i = 0; i < N_BINS; i++) gap += fabs(sums->surplus[i]);
    figures[0] = share((double)sums->right, (double)sums->rows);
    figures[1] = share(f1_sum, (double)present);
    figures[2] = f1((double)hits, (double)errors);
    figures[3] = share(gap, (double)sums->rows * all->decisions);
    figures[4] = share(sums->loss, (double)sums->with_loss);
}

static void measure_labels(const void *rows, fv_rng *chance, void *scratch, double *figures)
{
    const outcomes *all = rows;
    tally sums = {.labels = scratch};
    for (int i = 0; i < all->n_labels; i++)
        for (int v = 0; v < N_VERDICTS; v++) sums.labels[i][v] = 0;
    for (size_t i = 0; i < all->n; i++) tally_row(&sums, all, fv_bootstrap_draw(chance, i, all->n));
    figures_of_tally(&sums, all, figures);
}

/* ---- Labels and confusions ---------------------------------------------------------------- */

static fv_status score_labels(fv_report *report, const outcomes *all, const char *const *names, fv_err *err)
{
    int64_t(*counts)[N_VERDICTS] = fv_alloc_zero((size_t)all->n_labels, sizeof *counts, err);
    report->labels = counts ? fv_alloc_zero((size_t)all->n_labels, sizeof *report->labels, err) : NULL;
    if (!report->labels) {
        fv_free(counts);
        return FV_E_MEMORY;
    }
    report->n_labels = (size_t)all->n_labels;
    for (size_t i = 0; i < all->n_judged; i++) counts[all->judged[i].label][all->judged[i].verdict]++;
    for (int i = 0; i < all->n_labels; i++) {
        int64_t hits = counts[i][HIT], truth = hits + counts[i][MISS], predicted = hits + counts[i][FALSE_ALARM];
        report->labels[i] = (fv_label_score){
            .name = names[i],
            .precision = share((double)hits, (double)predicted),
            .recall = share((double)hits, (double)truth),
            .f1 = f1((double)hits, (double)(counts[i][MISS] + counts[i][FALSE_ALARM])),
            .count = truth,
            .predicted = predicted,
        };
    }
    fv_free(counts);
    return FV_OK;
}

/* A wrong answer, and how often it was given. */
typedef struct mistake {
    int32_t truth, predicted;
    int64_t count;
} mistake;

static int by_labels(const void *a, const void *b)
{
    const mistake *x = a, *y = b;
    if (x->truth != y->truth) return x->truth < y->truth ? -1 : 1;
    return (x->predicted > y->predicted) - (x->predicted < y->predicted);
}

static int by_count(const void *a, const void *b)
{
    const mistake *x = a, *y = b;
    if (x->count != y->count) return x->count > y->count ? -1 : 1;
    return by_labels(a, b);
}

/* Sorts and merges equal ones; returns how many are left. */
static size_t merge_mistakes(mistake *mistakes, size_t n)
{
    size_t kept = 0;
    qsort(mistakes, n, sizeof *mistakes, by_labels);
    for (size_t i = 0; i < n; i++) {
        if (kept > 0 && by_labels(&mistakes[kept - 1], &mistakes[i]) == 0) mistakes[kept - 1].count++;
        else mistakes[kept++] = mistakes[i];
    }
    qsort(mistakes, kept, sizeof *mistakes, by_count);
    return kept;
}

/* For single labels: a row that is wrong and no stranger has its prediction first and its truth next. */
static fv_status find_confusions(fv_report *report, const outcomes *all, const char *const *names, fv_err *err)
{
    fv_status status = FV_E_MEMORY;
    size_t n = 0;
    mistake *mistakes = fv_alloc_zero(all->n, sizeof *mistakes, err);
    if (!mistakes) goto done;
    for (size_t i = 0; i < all->n; i++) {
        const judged *of_row = &all->judged[all->rows[i].judged];
        if (!all->rows[i].right && !all->rows[i].stranger) mistakes[n++] = (mistake){of_row[1].label, of_row[0].label, 1};
    }
    n = merge_mistakes(mistakes, n);
    if (n > N_CONFUSIONS) n = N_CONFUSIONS;
    report->confusions = fv_alloc_zero(n, sizeof *report->confusions, err);
    if (!report->confusions) goto done;
    report->n_confusions = n;
    for (size_t i = 0; i < n; i++)
        report->confusions[i] = (fv_confusion){names[mistakes[i].truth], names[mistakes[i].predicted], mistakes[i].count};
    status = FV_OK;
done:
    fv_free(mistakes);
    return status;
}

static fv_status compute_labels(fv_report *report, const fv_predictions *p, fv_pool *pool, fv_err *err)
{
    fv_status status = FV_OK;
    outcomes all;
    FV_TRY(judge(&all, p, err));
    fv_bootstrap b = {
        .measure = measure_labels, .rows = &all, .names = label_figures, .n_figures = FV_COUNT(label_figures),
        .scratch_bytes = (size_t)p->n_labels * sizeof(int64_t[N_VERDICTS]), .seed = p->seed, .values_only = p->values_only,
    };
    FV_TRY(fv_bootstrap_run(report, &b, pool, err));
    FV_TRY(score_labels(report, &all, p->names, err));
    if (p->kind == FV_LABELS_SINGLE) FV_TRY(find_confusions(report, &all, p->names, err));
done:
    outcomes_release(&all);
    return status;
}

/* ---- Regression --------------------------------------------------------------------------- */

static const char *const value_figures[] = {"r2", "mse", "pearson"};

typedef struct values {
    size_t n;
    const double *truth;
    const float *predicted;
    double truth_mean, predicted_mean; /* taken off first, so that squares do not cancel */
} values;

/* Sum of squared distances from the mean, or 0 if it is nothing but rounding. */
static double spread(double squares, double sum, double n)
{
    double about_mean = squares - sum * sum / n;
    return about_mean > 1e-12 * squares ? about_mean : 0;
}

/* In the order of value_figures. */
static void measure_values(const void *rows, fv_rng *chance, void *scratch, double *figures)
{
    (void)scratch;
    const values *all = rows;
    double n = (double)all->n, t_sum = 0, p_sum = 0, tt = 0, pp = 0, tp = 0, error = 0;
    for (size_t i = 0; i < all->n; i++) {
        size_t row = fv_bootstrap_draw(chance, i, all->n);
        double t = all->truth[row] - all->truth_mean, p = all->predicted[row] - all->predicted_mean;
        double off = all->truth[row] - all->predicted[row];
        t_sum += t, p_sum += p;
        tt += t * t, pp += p * p, tp += t * p;
        error += off * off;
    }
    double t_spread = spread(tt, t_sum, n), p_spread = spread(pp, p_sum, n);
    figures[0] = t_spread > 0 ? 1 - error / t_spread : isnan(error) ? NAN : error == 0;
    figures[1] = error / n;
    figures[2] = isnan(error) ? NAN : t_spread > 0 && p_spread > 0 ? (tp - t_sum * p_sum / n) / sqrt(t_spread * p_spread) : 0;
}

static fv_status compute_values(fv_report *report, const fv_predictions *p, fv_pool *pool, fv_err *err)
{
    values all = {.n = p->n, .truth = p->values, .predicted = p->scores};
    for (size_t i = 0; i < p->n; i++) {
        all.truth_mean += p->values[i] / (double)p->n;
        all.predicted_mean += p->scores[i] / (double)p->n;
    }
    fv_bootstrap b = {
        .measure = measure_values, .rows = &all, .names = value_figures, .n_figures = FV_COUNT(value_figures), .seed = p->seed, .values_only = p->values_only,
    };
    return fv_bootstrap_run(report, &b, pool, err);
}

/* ---- Entry -------------------------------------------------------------------------------- */

fv_status fv_metrics_compute(fv_report *report, const fv_predictions *predictions, fv_pool *pool, fv_err *err)
{
    if (predictions->n == 0) return FV_FAIL(err, FV_E_INPUT, "no rows to judge; expected at least one");
    report->rows = (int64_t)predictions->n;
    fv_status status = predictions->kind == FV_LABELS_REGRESSION ? compute_values(report, predictions, pool, err)
                                                                 : compute_labels(report, predictions, pool, err);
    if (status != FV_OK) fv_metrics_release(report);
    return status;
}

void fv_metrics_release(fv_report *report)
{
    fv_free(report->metrics);
    fv_free(report->labels);
    fv_free(report->confusions);
    report->metrics = NULL;
    report->labels = NULL;
    report->confusions = NULL;
    report->n_metrics = report->n_labels = report->n_confusions = 0;
}
