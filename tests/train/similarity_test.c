/* Correlations and AUC against values from scipy 1.17.1 and scikit-learn 1.9.1:
 *   python3 -c "from scipy.stats import spearmanr, pearsonr; x=[1,2,2,3,5,4]; y=[.1,.4,.35,.4,.3,.9]; print(spearmanr(x,y)[0], pearsonr(x,y)[0])"
 *   python3 -c "from sklearn.metrics import roc_auc_score; print(roc_auc_score([0,1,0,1,1,0,1], [.2,.9,.5,.5,.1,.3,.8]))" */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "train/metrics.h"
#include "train/similarity.h"

static fv_report measured(const double *truth, const float *cosines, size_t n)
{
    fv_report report = {0};
    fv_err err = {0};
    fv_similarities s = {.n = n, .truth = truth, .cosines = cosines, .seed = 1};
    if (fv_similarity_compute(&report, &s, NULL, &err) != FV_OK) fail_msg("%s", err.text);
    return report;
}

static void expect(const fv_report *r, const char *name, double expected)
{
    for (size_t i = 0; i < r->n_metrics; i++)
        if (strcmp(r->metrics[i].name, name) == 0) {
            if (!(fabs(r->metrics[i].value - expected) < 1e-6)) fail_msg("%s is %.9g, expected %.9g", name, r->metrics[i].value, expected);
            return;
        }
    fail_msg("no %s", name);
}

static void correlations(void **state)
{
    (void)state;
    fv_report r = measured((const double[]){1, 2, 2, 3, 5, 4}, (const float[]){0.1f, 0.4f, 0.35f, 0.4f, 0.3f, 0.9f}, 6);
    expect(&r, "spearman", 0.367647058824);
    expect(&r, "pearson", 0.49069632743);
    assert_int_equal(r.n_metrics, 2);
    assert_true(r.metrics[0].low < r.metrics[0].value && r.metrics[0].value < r.metrics[0].high);
    fv_metrics_release(&r);
}

static void areas(void **state)
{
    (void)state;
    fv_report r = measured((const double[]){0, 1, 0, 1, 1, 0, 1}, (const float[]){0.2f, 0.9f, 0.5f, 0.5f, 0.1f, 0.3f, 0.8f}, 7);
    expect(&r, "auc", 0.708333333333);
    fv_metrics_release(&r);
}

static void odd_ones(void **state)
{
    (void)state;
    fv_report r = measured((const double[]){1, 1, 1}, (const float[]){0.2f, 0.9f, 0.5f}, 3);
    expect(&r, "spearman", 0);
    expect(&r, "pearson", 0);
    expect(&r, "auc", 0.5);
    fv_metrics_release(&r);
    r = measured((const double[]){0, 1, 2}, (const float[]){NAN, 0.1f, 0.5f}, 3);
    expect(&r, "spearman", 1);
    fv_metrics_release(&r);
    fv_report none = {0};
    assert_int_equal(fv_similarity_compute(&none, &(fv_similarities){0}, NULL, NULL), FV_E_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(correlations), cmocka_unit_test(areas), cmocka_unit_test(odd_ones)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
