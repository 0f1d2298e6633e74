/* The n-grams' linear model against its own objective, minimised slowly in float64; the choice of C; and
 * how loud it is to speak beside another answer. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "train/wide_fit.h"

/* Rows of a few features out of F; what they are labelled with follows from hidden weights, and noise. */
enum { F = 12, ROWS = 120, EACH = 4, MAX_OUTPUTS = 20 };

typedef struct set {
    fv_feature_rows features;
    fv_dataset data;
    int32_t labels[ROWS][2];
} set;

static void draw(set *s, fv_labels kind, int outputs, uint64_t seed)
{
    fv_rng rng = fv_rng_make(seed, "rows"), truth = fv_rng_make(1, "truth");
    double hidden[MAX_OUTPUTS][F];
    memset(s, 0, sizeof *s);
    for (int l = 0; l < outputs; l++)
        for (int f = 0; f < F; f++) hidden[l][f] = fv_rng_normal(&truth);
    s->features = (fv_feature_rows){.ids = calloc(ROWS * EACH, sizeof(int32_t)), .values = calloc(ROWS * EACH, sizeof(float)), .offsets = calloc(ROWS + 1, sizeof(int64_t)), .n = ROWS};
    s->data = (fv_dataset){.rows = calloc(ROWS, sizeof(fv_example)), .n = ROWS};
    for (int i = 0; i < ROWS; i++) {
        fv_example *e = &s->data.rows[i];
        double score[MAX_OUTPUTS] = {0};
        int best = 0;
        for (int k = 0; k < EACH; k++) {
            int id = k * (F / EACH) + (int)fv_rng_below(&rng, F / EACH);
            s->features.ids[i * EACH + k] = id;
            s->features.values[i * EACH + k] = 0.5f;
            for (int l = 0; l < outputs; l++) score[l] += 0.5 * hidden[l][id];
        }
        s->features.offsets[i + 1] = (i + 1) * EACH;
        for (int l = 0; l < outputs; l++) {
            score[l] += 0.3 * fv_rng_normal(&rng);
            if (score[l] > score[best]) best = l;
        }
        e->label = best;
        e->value = score[0];
        e->labels = s->labels[i];
        if (kind != FV_LABELS_MULTI) continue;
        for (int l = 0; l < 2 && l < outputs; l++)
            if (score[l] > 0) s->labels[i][e->n_labels++] = l;
    }
}

static void release(set *s)
{
    free(s->features.ids);
    free(s->features.values);
    free(s->features.offsets);
    free(s->data.rows);
}

/* ---- Truth ---- */

static double margin(const set *s, int i, const double *w)
{
    double sum = w[F];
    for (int k = 0; k < EACH; k++) sum += (double)s->features.values[i * EACH + k] * w[s->features.ids[i * EACH + k]];
    return sum;
}

static double wanted(const set *s, int i, fv_labels kind, int label)
{
    const fv_example *e = &s->data.rows[i];
    if (kind == FV_LABELS_REGRESSION) return e->value;
    if (kind == FV_LABELS_SINGLE) return e->label == label ? 1 : -1;
    for (int k = 0; k < e->n_labels; k++)
        if (e->labels[k] == label) return 1;
    return -1;
}

/* ½|w|² + C Σ loss, and its gradient; w: [F + 1]. */
static double objective(const set *s, fv_labels kind, int label, double C, const double *w, double *grad)
{
    double sum = 0;
    for (int f = 0; f <= F; f++) sum += w[f] * w[f] / 2, grad[f] = w[f];
    for (int i = 0; i < ROWS; i++) {
        double y = wanted(s, i, kind, label), m = margin(s, i, w);
        double error = kind == FV_LABELS_REGRESSION ? m - y : fmin(0, y * m - 1), slope = 2 * C * error * (kind == FV_LABELS_REGRESSION ? 1 : y);
        sum += C * error * error;
        grad[F] += slope;
        for (int k = 0; k < EACH; k++) grad[s->features.ids[i * EACH + k]] += slope * (double)s->features.values[i * EACH + k];
    }
    return sum;
}

static double least(const set *s, fv_labels kind, int label, double C)
{
    double w[F + 1] = {0}, grad[F + 1], value = 0, rate = 1 / (1 + 2 * C * ROWS * 2);
    for (int step = 0; step < 20000; step++) {
        value = objective(s, kind, label, C, w, grad);
        for (int f = 0; f <= F; f++) w[f] -= rate * grad[f];
    }
    return value;
}

static void check(fv_labels kind, int outputs, double C, double tolerance)
{
    set s;
    draw(&s, kind, outputs, 5);
    float *weight = calloc((F + 1) * (size_t)outputs, sizeof *weight);
    fv_wide_rows rows = {&s.features, &s.data};
    assert_int_equal(fv_wide_fit(weight, C, &rows, 1, kind, outputs, F, 1, NULL, NULL), FV_OK);
    for (int l = 0; l < outputs; l++) {
        double w[F + 1], grad[F + 1], truth = least(&s, kind, l, C), twice = kind == FV_LABELS_SINGLE && outputs == 2 ? 2 : 1;
        for (int f = 0; f <= F; f++) w[f] = twice * (double)weight[f * outputs + l];
        double found = objective(&s, kind, l, C, w, grad);
        if (!(found < truth * (1 + tolerance)) || found < truth * (1 - 1e-6)) fail_msg("label %d, C %g: %g, at least %g", l, C, found, truth);
    }
    free(weight);
    release(&s);
}

static void the_objective_is_minimised(void **state)
{
    (void)state;
    for (double C = 0.1; C < 11; C *= 10) {
        double tolerance = C < 5 ? 0.02 : 0.05; /* far from 0 the last steps are small */
        check(FV_LABELS_SINGLE, 3, C, tolerance);
        check(FV_LABELS_SINGLE, 2, C, tolerance);
        check(FV_LABELS_SINGLE, 20, C, tolerance);
        check(FV_LABELS_MULTI, 2, C, tolerance);
        check(FV_LABELS_REGRESSION, 1, C, 0.05);
    }
}

static void parts_are_as_good_as_one(void **state)
{
    (void)state;
    set s;
    draw(&s, FV_LABELS_SINGLE, 3, 5);
    float whole[(F + 1) * 3], cut[(F + 1) * 3];
    int64_t offsets[ROWS + 1];
    fv_wide_rows one = {&s.features, &s.data}, two[2];
    for (int i = 0; i <= ROWS - 50; i++) offsets[i] = s.features.offsets[i + 50];
    fv_feature_rows head = s.features, tail = s.features;
    fv_dataset first = s.data, last = s.data;
    tail.offsets = offsets;
    first.n = 50;
    last.n = ROWS - 50;
    last.rows += 50;
    two[0] = (fv_wide_rows){&head, &first};
    two[1] = (fv_wide_rows){&tail, &last};
    assert_int_equal(fv_wide_fit(whole, 1, &one, 1, FV_LABELS_SINGLE, 3, F, 1, NULL, NULL), FV_OK);
    assert_int_equal(fv_wide_fit(cut, 1, two, 2, FV_LABELS_SINGLE, 3, F, 1, NULL, NULL), FV_OK);
    assert_memory_equal(whole, cut, sizeof whole);
    release(&s);
}

static void threads_change_no_bit(void **state)
{
    (void)state;
    enum { OUTPUTS = 20 };
    set s, held;
    draw(&s, FV_LABELS_SINGLE, OUTPUTS, 5);
    draw(&held, FV_LABELS_SINGLE, OUTPUTS, 6);
    fv_wide_rows rows = {&s.features, &s.data}, judged = {&held.features, &held.data};
    static float first[ROWS * OUTPUTS], again[ROWS * OUTPUTS];
    double C = 0;
    for (int threads = 1; threads <= 4; threads++) {
        fv_pool *pool = fv_pool_new(threads, NULL);
        assert_int_equal(fv_wide_choose_C(&C, threads == 1 ? first : again, &rows, 1, &judged, FV_LABELS_SINGLE, OUTPUTS, F, 1, pool, NULL), FV_OK);
        fv_pool_free(pool);
        if (threads > 1) assert_memory_equal(first, again, sizeof first);
    }
    release(&s);
    release(&held);
}

/* Labels of chance are best answered with little said; those that follow from the row, with more. */
static void C_follows_the_noise(void **state)
{
    (void)state;
    set s, held;
    float margins[ROWS * 3];
    double sure, unsure;
    draw(&s, FV_LABELS_SINGLE, 3, 5);
    draw(&held, FV_LABELS_SINGLE, 3, 6);
    fv_wide_rows rows = {&s.features, &s.data}, judged = {&held.features, &held.data};
    assert_int_equal(fv_wide_choose_C(&sure, margins, &rows, 1, &judged, FV_LABELS_SINGLE, 3, F, 1, NULL, NULL), FV_OK);
    int right = 0;
    for (int i = 0; i < ROWS; i++) {
        const float *m = margins + 3 * i;
        int best = m[1] > m[0] ? 1 : 0;
        right += (m[2] > m[best] ? 2 : best) == held.data.rows[i].label;
    }
    assert_true(right > ROWS * 7 / 10);
    fv_rng rng = fv_rng_make(3, "noise");
    for (int i = 0; i < ROWS; i++) s.data.rows[i].label = (int32_t)fv_rng_below(&rng, 3), held.data.rows[i].label = (int32_t)fv_rng_below(&rng, 3);
    assert_int_equal(fv_wide_choose_C(&unsure, margins, &rows, 1, &judged, FV_LABELS_SINGLE, 3, F, 1, NULL, NULL), FV_OK);
    assert_true(unsure <= sure);
    release(&s);
    release(&held);
}

static void memory_that_fails_is_told(void **state)
{
    (void)state;
    set s;
    draw(&s, FV_LABELS_SINGLE, 3, 5);
    float margins[ROWS * 3];
    double C;
    fv_wide_rows rows = {&s.features, &s.data};
    int64_t live = fv_alloc_live();
    for (int64_t n = 0;; n++) {
        fv_alloc_fail_after(n);
        fv_status status = fv_wide_choose_C(&C, margins, &rows, 1, &rows, FV_LABELS_SINGLE, 3, F, 1, NULL, NULL);
        fv_alloc_fail_after(-1);
        assert_int_equal(fv_alloc_live(), live);
        if (status == FV_OK) break;
        assert_int_equal(status, FV_E_MEMORY);
    }
    release(&s);
}

/* ---- Fusion ---- */

static double loss_of(const float *deep, const float *wide, const fv_dataset *data, double a, double b)
{
    double loss = 0;
    for (size_t i = 0; i < data->n; i++) {
        double sum = 0, z[3];
        for (int c = 0; c < 3; c++) sum += exp(z[c] = a * (double)deep[3 * i + (size_t)c] + b * (double)wide[3 * i + (size_t)c]);
        loss += log(sum) - z[data->rows[i].label];
    }
    return loss + ((a - 1) * (a - 1) + (b - 1) * (b - 1)) / 2;
}

static void the_two_are_weighed(void **state)
{
    (void)state;
    set s;
    draw(&s, FV_LABELS_SINGLE, 3, 5);
    float deep[ROWS * 3], wide[ROWS * 3];
    fv_rng rng = fv_rng_make(4, "logits");
    for (int i = 0; i < ROWS * 3; i++) {
        float truth = i % 3 == s.data.rows[i / 3].label;
        deep[i] = 9 * (truth + 0.8f * (float)fv_rng_normal(&rng)); /* knows much, and shouts */
        wide[i] = 0.2f * truth + 0.1f * (float)fv_rng_normal(&rng);
    }
    fv_fusion f;
    double loss = fv_fusion_fit(&f, deep, wide, &s.data, FV_LABELS_SINGLE, 3) * ROWS;
    assert_true(f.deep > 0 && f.deep < 1 && f.wide > 2);
    assert_true(fabs(loss - loss_of(deep, wide, &s.data, f.deep, f.wide)) < 1e-6 * loss);
    for (int k = 0; k < 4; k++)
        assert_true(loss_of(deep, wide, &s.data, f.deep + (k == 0 ? 0.02 : k == 1 ? -0.02 : 0), f.wide + (k == 2 ? 0.3 : k == 3 ? -0.3 : 0)) > loss);
    for (int i = 0; i < ROWS * 3; i++) wide[i] = -wide[i];
    fv_fusion_fit(&f, deep, wide, &s.data, FV_LABELS_SINGLE, 3);
    assert_true(f.wide < 0.01); /* what is wrong is silenced, never turned round */
    release(&s);
}

static void numbers_are_weighed_exactly(void **state)
{
    (void)state;
    set s;
    draw(&s, FV_LABELS_REGRESSION, 1, 5);
    float deep[ROWS], wide[ROWS];
    fv_rng rng = fv_rng_make(4, "numbers");
    for (int i = 0; i < ROWS; i++) {
        deep[i] = (float)fv_rng_normal(&rng);
        wide[i] = (float)fv_rng_normal(&rng);
        s.data.rows[i].value = 0.25 * (double)deep[i] + 2 * (double)wide[i];
    }
    fv_fusion f;
    fv_fusion_fit(&f, deep, wide, &s.data, FV_LABELS_REGRESSION, 1);
    assert_true(fabs(f.deep - 0.25) < 0.02 && fabs(f.wide - 2) < 0.03);
    release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_objective_is_minimised),
        cmocka_unit_test(parts_are_as_good_as_one),
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(C_follows_the_noise),
        cmocka_unit_test(memory_that_fails_is_told),
        cmocka_unit_test(the_two_are_weighed),
        cmocka_unit_test(numbers_are_weighed_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
