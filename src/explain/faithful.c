/* Leaving words out of the text: what the score loses without one (leave-one-out), and how well an order of words holds
 * (comprehensiveness and sufficiency, DeYoung et al. 2020, 4.2). Words are taken out of the text itself, which is then cut into
 * tokens and n-grams anew: so the whole model is asked, the wide part included. */
#include <math.h>
#include <stdlib.h>

#include "explain/explain.h"

/* Shares of the words that are taken out, or kept. */
static const double shares[] = {0.1, 0.2, 0.5};
enum { N_SHARES = FV_COUNT(shares), AT_ONCE = 256 };

/* Logits [n, outputs] of texts. Those that the removal made longer than the model (it may leave a word cut otherwise) are not the caller's to count. */
static fv_status ask(fv_explaining *x, const fv_text *texts, size_t n, float *logits, fv_err *err)
{
    int64_t cut = x->session->cut;
    fv_status status = fv_session_logits(x->session, texts, n, logits, NULL, NULL, err);
    x->session->cut = cut;
    return status;
}

/* ---- Leave one out ---- */

static fv_status leave_out(fv_explaining *x, size_t first, size_t n, bool *keep, fv_text *texts, float *logits, fv_err *err)
{
    fv_status status = FV_OK;
    fv_arena_reset(&x->arena);
    for (size_t i = 0; i < n; i++) {
        keep[first + i] = false;
        FV_TRY(fv_units_without(&x->units, &x->text, keep, &x->arena, &texts[i], err));
        keep[first + i] = true;
    }
    FV_TRY(ask(x, texts, n, logits, err));
done:
    return status;
}

fv_status fv_explain_leave_one_out(fv_explaining *x, double *weights, fv_err *err)
{
    fv_status status = FV_OK;
    size_t n = x->units.n, outputs = (size_t)x->score.outputs, most = n < AT_ONCE ? n : AT_ONCE;
    bool *keep = fv_alloc_zero(n + 1, sizeof *keep, err);
    fv_text *texts = fv_alloc_zero(most + 1, sizeof *texts, err);
    float *logits = fv_alloc_zero((most + 1) * outputs, sizeof *logits, err);
    if (!keep || !texts || !logits) { status = FV_E_MEMORY; goto done; }
    FV_TRY(ask(x, &x->text, 1, logits, err));
    double whole = fv_score_of(&x->score, logits);
    for (size_t i = 0; i < n; i++) keep[i] = true;
    for (size_t first = 0; first < n; first += most) {
        size_t some = n - first < most ? n - first : most;
        FV_TRY(leave_out(x, first, some, keep, texts, logits, err));
        for (size_t i = 0; i < some; i++) weights[first + i] = whole - fv_score_of(&x->score, logits + i * outputs);
    }
done:
    fv_free(keep);
    fv_free(texts);
    fv_free(logits);
    return status;
}

/* ---- Orders ---- */

typedef struct weighted { double weight; uint32_t word; } weighted;

static int heavier(const void *a, const void *b)
{
    const weighted *x = a, *y = b;
    if (x->weight != y->weight) return x->weight > y->weight ? -1 : 1;
    return x->word < y->word ? -1 : 1;
}

fv_status fv_explain_order(const double *weights, size_t n, uint32_t *order, fv_err *err)
{
    weighted *all = fv_alloc_zero(n + 1, sizeof *all, err);
    if (!all) return FV_E_MEMORY;
    for (size_t i = 0; i < n; i++) all[i] = (weighted){weights[i], (uint32_t)i};
    qsort(all, n, sizeof *all, heavier);
    for (size_t i = 0; i < n; i++) order[i] = all[i].word;
    fv_free(all);
    return FV_OK;
}

/* Texts of one order: for each share one without its first words, and one with them alone. */
static fv_status make_texts(fv_explaining *x, const uint32_t *order, bool *keep, fv_text texts[2 * N_SHARES], fv_err *err)
{
    fv_status status = FV_OK;
    size_t n = x->units.n;
    for (size_t s = 0; s < N_SHARES; s++) {
        size_t first = (size_t)ceil(shares[s] * (double)n);
        for (size_t i = 0; i < n; i++) keep[order[i]] = i >= first;
        FV_TRY(fv_units_without(&x->units, &x->text, keep, &x->arena, &texts[2 * s], err));
        for (size_t i = 0; i < n; i++) keep[i] = !keep[i];
        FV_TRY(fv_units_without(&x->units, &x->text, keep, &x->arena, &texts[2 * s + 1], err));
    }
done:
    return status;
}

static fv_faithfulness judge(const fv_explaining *x, double whole, const float *logits)
{
    fv_faithfulness f = {0};
    size_t outputs = (size_t)x->score.outputs;
    for (size_t s = 0; s < N_SHARES; s++) {
        f.comprehensiveness += (whole - fv_score_chance(&x->score, logits + 2 * s * outputs)) / N_SHARES;
        f.sufficiency += (whole - fv_score_chance(&x->score, logits + (2 * s + 1) * outputs)) / N_SHARES;
    }
    return f;
}

fv_status fv_explain_measure(fv_explaining *x, const uint32_t *orders, size_t n, fv_faithfulness *out, fv_err *err)
{
    enum { EACH = 2 * N_SHARES, TOGETHER = AT_ONCE / EACH };
    fv_status status = FV_OK;
    size_t outputs = (size_t)x->score.outputs;
    fv_text texts[EACH * TOGETHER];
    bool *keep = fv_alloc_zero(x->units.n + 1, sizeof *keep, err);
    float *logits = fv_alloc_zero(EACH * TOGETHER * outputs, sizeof *logits, err);
    if (!keep || !logits) { status = FV_E_MEMORY; goto done; }
    FV_TRY(ask(x, &x->text, 1, logits, err));
    double whole = fv_score_chance(&x->score, logits);
    for (size_t first = 0; first < n; first += TOGETHER) {
        size_t some = n - first < TOGETHER ? n - first : TOGETHER;
        fv_arena_reset(&x->arena);
        for (size_t i = 0; i < some; i++) FV_TRY(make_texts(x, orders + (first + i) * x->units.n, keep, texts + i * EACH, err));
        FV_TRY(ask(x, texts, some * EACH, logits, err));
        for (size_t i = 0; i < some; i++) out[first + i] = judge(x, whole, logits + i * EACH * outputs);
    }
done:
    fv_free(keep);
    fv_free(logits);
    return status;
}
