/* Gradients at the embeddings against finite differences of the whole network, and an integral that is complete. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "explain/explain.h"
#include "train/toy.h"

enum { MOST = 32 };

typedef struct trained {
    fv_model *model;
    fv_session *session;
} trained;

static trained narrow, wide, multi, number, pair;

static trained train(const char *train_file, const char *valid_file, const char *out, fv_labels labels, bool with_wide, bool second)
{
    fv_train_options o;
    toy_options(&o, train_file, valid_file, out);
    o.labels = labels;
    o.wide = with_wide;
    o.dropout = 0.2; /* which explaining must not feel */
    o.steps = 60;
    if (second) o.columns.text2 = "text2";
    toy_train(&o);
    trained t = {.model = toy_open(o.out)};
    t.session = fv_session_new(t.model, NULL, NULL);
    assert_non_null(t.session);
    return t;
}

static int train_all(void **state)
{
    if (scratch_setup(state) != 0) return -1;
    const char *classes = toy_classes("a.tsv", 0, 120), *held = toy_classes("av.tsv", 120, 150);
    narrow = train(classes, held, "narrow", FV_LABELS_SINGLE, false, false);
    wide = train(classes, held, "wide", FV_LABELS_SINGLE, true, false);
    multi = train(toy_sets("b.tsv", 0, 120), toy_sets("bv.tsv", 120, 150), "multi", FV_LABELS_MULTI, true, false);
    number = train(toy_numbers("c.tsv", 0, 120), toy_numbers("cv.tsv", 120, 150), "number", FV_LABELS_REGRESSION, true, false);
    pair = train(toy_pairs("d.tsv", 0, 120), toy_pairs("dv.tsv", 120, 150), "pair", FV_LABELS_SINGLE, true, true);
    return 0;
}

static int close_all(void **state)
{
    trained *all[] = {&narrow, &wide, &multi, &number, &pair};
    for (size_t i = 0; i < FV_COUNT(all); i++) {
        fv_session_free(all[i]->session);
        fv_model_close(all[i]->model);
    }
    return scratch_teardown(state);
}

static fv_explaining begin(const trained *t, const char *text, const char *text2, int label)
{
    const fv_head *head = t->session->head;
    int64_t cut = 0;
    fv_explaining x = {.session = t->session, .text = fv_units_measured(&(fv_text){.text = text, .text2 = text2})};
    x.score = (fv_score){.kind = head->kind, .label = label, .outputs = head->outputs, .temperature = head->temperature, .direction = 1};
    x.nothing = fv_tokenizer_id(t->model->tokenizer, "[MASK]");
    assert_true(x.nothing >= 0);
    assert_int_equal(fv_prepare_one(&x.encoding, t->model->tokenizer, t->model->max_len, &x.text, &cut, NULL), FV_OK);
    assert_int_equal(fv_units_find(&x.units, &x.text, NULL), FV_OK);
    assert_int_equal(fv_shares_find(&x.shares, &x.units, &x.encoding, NULL), FV_OK);
    assert_true(x.units.n <= MOST);
    return x;
}

static void end(fv_explaining *x)
{
    fv_encoding_release(&x->encoding);
    fv_units_release(&x->units);
    fv_shares_release(&x->shares);
    fv_arena_release(&x->arena);
}

/* ---- Differences ---- */

/* Moves the embedding of some tokens a step along their way from [MASK]: shift [tokens, width]. */
typedef struct nudge {
    const float *away, *factor; /* [tokens, width], [tokens] */
    float *copy;                /* not NULL: what the embeddings are goes here */
} nudge;

static void move(void *user, fv_tensor *v)
{
    const nudge *n = user;
    for (int64_t i = 0; i < v->rows; i++)
        for (int64_t c = 0; c < v->cols; c++) {
            float *at = v->data + i * v->stride + c;
            if (n->copy) n->copy[i * v->cols + c] = *at;
            else *at += n->factor[i] * n->away[i * v->cols + c];
        }
}

/* The score of these ids with the embeddings moved, by a graph of its own. */
static double score_of(const fv_explaining *x, const int32_t *ids, nudge *n)
{
    const fv_model *m = x->session->model;
    int32_t positions[64], types[64], offsets[2] = {0, (int32_t)x->encoding.n};
    uint64_t sequence = 0;
    uint32_t row = 0;
    for (size_t i = 0; i < x->encoding.n; i++) positions[i] = (int32_t)i, types[i] = x->encoding.types[i];
    fv_batch batch = {.B = 1, .N = offsets[1], .ids = ids, .types = types, .positions = positions, .offsets = offsets, .sequences = &sequence, .rows = &row};
    fv_graph *g = fv_graph_new(fv_pool_shared(NULL), NULL);
    fv_graph_reset(g, false);
    fv_graph_watch(g, "embeddings.embed", move, n);
    fv_tensor *logits = fv_network_build(&m->net, x->session->head, g, &batch, NULL);
    assert_int_equal(fv_graph_plan(g, logits, NULL), FV_OK);
    fv_graph_forward(g, 0);
    double score = fv_score_of(&x->score, logits->data);
    fv_graph_free(g);
    return score;
}

static void expect_differences(const trained *t, const char *text, int label)
{
    fv_explaining x = begin(t, text, NULL, label);
    int64_t width = t->model->net.encoder.config.width;
    size_t n = x.encoding.n, all = n * (size_t)width;
    float *e = calloc(3 * all + n, sizeof *e), *away = e + all, *base = away + all, *factor = base + all;
    int32_t masked[64];
    double weights[MOST];
    assert_true(n <= 64);
    for (size_t i = 0; i < n; i++) masked[i] = x.encoding.begins[i] == x.encoding.ends[i] ? x.encoding.ids[i] : x.nothing;
    score_of(&x, x.encoding.ids, &(nudge){.copy = e});
    score_of(&x, masked, &(nudge){.copy = base});
    for (size_t i = 0; i < all; i++) away[i] = e[i] - base[i];
    assert_int_equal(fv_explain_gradient(&x, weights, NULL), FV_OK);
    for (size_t w = 0; w < x.units.n; w++) {
        const float step = 1.0f / 64;
        double differences[2];
        for (int side = 0; side < 2; side++) {
            memset(factor, 0, n * sizeof *factor);
            for (size_t i = 0; i < x.shares.n; i++)
                if (x.shares.items[i].word == (int32_t)w) factor[x.shares.items[i].token] = (side ? step : -step) * (float)x.shares.items[i].share;
            differences[side] = score_of(&x, x.encoding.ids, &(nudge){.away = away, .factor = factor});
        }
        double slope = (differences[1] - differences[0]) / (2 * (double)step);
        if (fabs(slope - weights[w]) > 2e-3 * (1 + fabs(slope))) fail_msg("\"%s\", word %zu: gradient %g, difference %g", text, w, weights[w], slope);
    }
    free(e);
    end(&x);
}

static void gradients_are_differences(void **state)
{
    (void)state;
    for (int label = 0; label < 3; label++) {
        expect_differences(&narrow, "we found cherry near home", label);
        expect_differences(&narrow, "她 sold 长江, today copper!", label);
    }
}

/* ---- The integral ---- */

static void points_integrate_polynomials(void **state)
{
    (void)state;
    double at[256], weights[256];
    static const int counts[] = {1, 2, 3, 8, 16, 100, 256};
    for (size_t k = 0; k < FV_COUNT(counts); k++) {
        int n = counts[k], degree = 2 * n - 1 < 30 ? 2 * n - 1 : 30;
        fv_gauss_points(n, at, weights);
        for (int d = 0; d <= degree; d++) {
            double sum = 0;
            for (int i = 0; i < n; i++) sum += weights[i] * pow(at[i], d);
            assert_float_equal(sum, 1.0 / (d + 1), 1e-12);
        }
        for (int i = 0; i < n; i++) assert_true(at[i] > 0 && at[i] < 1 && (i == 0 || at[i] > at[i - 1]));
    }
}

static double sum_of(const double *weights, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += weights[i];
    return sum;
}

static void expect_complete(const trained *t, const char *text, const char *text2, int label)
{
    fv_explaining x = begin(t, text, text2, label);
    fv_ends ends;
    double weights[MOST], gaps[2];
    static const int counts[] = {8, 128};
    float logits[8];
    assert_int_equal(fv_explain_ends(&x, &ends, NULL), FV_OK);
    assert_int_equal(fv_session_logits(t->session, &x.text, 1, logits, NULL, NULL, NULL), FV_OK);
    assert_float_equal(ends.score, fv_score_of(&x.score, logits), 1e-4); /* the model's final answer, n-grams and all */
    for (int i = 0; i < 2; i++) {
        int steps = counts[i];
        assert_int_equal(fv_explain_integrated(&x, &steps, weights, NULL), FV_OK);
        assert_int_equal(steps, counts[i]);
        gaps[i] = fabs(sum_of(weights, x.units.n) - (ends.score - ends.baseline));
    }
    double whole = fabs(ends.score - ends.baseline);
    if (gaps[1] > 2e-3 * (0.5 + whole)) fail_msg("\"%s\": 128 steps leave a gap of %g of %g", text, gaps[1], whole);
    int steps = 0;
    assert_int_equal(fv_explain_integrated(&x, &steps, weights, NULL), FV_OK);
    double gap = fabs(sum_of(weights, x.units.n) - (ends.score - ends.baseline));
    if (gap > 0.01 * whole && steps < 256) fail_msg("\"%s\": %d steps of its own choice leave a gap of %g of %g", text, steps, gap, whole);
    end(&x);
}

static void the_integral_is_complete(void **state)
{
    (void)state;
    for (int label = 0; label < 3; label++) {
        expect_complete(&narrow, "we found cherry near home", NULL, label);
        expect_complete(&wide, "They SAW copper, copper and ｃｏｐｐｅｒ!", NULL, label);
        expect_complete(&multi, "we found cherry near 长江", NULL, label);
    }
    expect_complete(&number, "silver and cherry", NULL, 0);
    expect_complete(&pair, "cherry", "copper cherry today", 1);
    expect_complete(&wide, "", NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(points_integrate_polynomials),
        cmocka_unit_test(gradients_are_differences),
        cmocka_unit_test(the_integral_is_complete),
    };
    return cmocka_run_group_tests(tests, train_all, close_all);
}
