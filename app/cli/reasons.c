/* What every view of reasons says alike. */
#include "cli/reasons.h"

#include <math.h>

const char *cli_reasons_text(const cli_reasons *r, int part) { return part ? r->text.text2 : r->text.text; }

const char *cli_reasons_label(const cli_reasons *r, int label) { return r->kind == FV_LABELS_REGRESSION ? "the value" : fv_session_label(r->session, label); }

const fv_attribution *cli_reasons_shown(const cli_reasons *r)
{
    const fv_explanation *e = r->explained;
    return e->n_attributions && e->attributions[0].withheld == FV_WITHHELD_NOT ? &e->attributions[0] : NULL;
}

const char *cli_reasons_measures(fv_method method)
{
    switch (method) {
    case FV_METHOD_ATTENTION: return "where the Transformer looked";
    case FV_METHOD_GRADIENT: return "how much it matters at the margin";
    case FV_METHOD_INTEGRATED: return "what it adds on the way from nothing";
    default: return "what is lost without the word";
    }
}

const char *cli_reasons_withheld(fv_withheld why)
{
    switch (why) {
    case FV_WITHHELD_RANDOM: return "withheld: no better than words in random order";
    case FV_WITHHELD_SHORT: return "withheld: fewer than two words have no order";
    case FV_WITHHELD_GAP: return "withheld: its sum misses over 90 % of the score";
    default: return NULL;
    }
}

const char *cli_reasons_why(fv_withheld why)
{
    switch (why) {
    case FV_WITHHELD_RANDOM: return "random";
    case FV_WITHHELD_SHORT: return "short";
    case FV_WITHHELD_GAP: return "gap";
    default: return NULL;
    }
}

/* ---- n-grams ---- */

/* Two pieces that share bytes and pull the same way. */
static bool alike(const fv_reason *x, const fv_reason *y)
{
    bool pieces = (x->open_begin || x->open_end) && (y->open_begin || y->open_end);
    return pieces && x->part == y->part && x->begin < y->end && y->begin < x->end && (x->weight < 0) == (y->weight < 0);
}

size_t cli_reasons_ngrams(const fv_reasons *wide, const fv_reason *chosen[CLI_REASONS_NGRAMS])
{
    size_t n = 0;
    for (size_t i = 0; i < wide->n_ngrams && n < CLI_REASONS_NGRAMS; i++) {
        const fv_reason *g = &wide->ngrams[i];
        bool said = false;
        for (size_t k = 0; k < n; k++) said |= alike(g, chosen[k]);
        if (!said) chosen[n++] = g;
    }
    return n;
}

static fv_status spell_pair(const cli_reasons *r, const fv_reason *g, fv_buf *out, fv_err *err)
{
    const char *text = cli_reasons_text(r, g->part);
    const fv_reason *first = g, *last = g;
    for (size_t i = 0; i < r->wide->n_words; i++) {
        const fv_reason *w = &r->wide->words[i];
        if (w->part == g->part && w->begin == g->begin) first = w;
        if (w->part == g->part && w->end == g->end) last = w;
    }
    return fv_buf_printf(out, err, "%.*s %.*s", (int)(first->end - first->begin), text + first->begin, (int)(last->end - last->begin), text + last->begin);
}

fv_status cli_reasons_spell(const cli_reasons *r, const fv_reason *g, fv_buf *out, fv_err *err)
{
    if (g->pair) return spell_pair(r, g, out, err);
    return fv_buf_printf(out, err, "%s%.*s%s", g->open_begin ? "-" : "", (int)(g->end - g->begin), cli_reasons_text(r, g->part) + g->begin, g->open_end ? "-" : "");
}

fv_status cli_reasons_sum(const cli_reasons *r, fv_buf *out, fv_err *err)
{
    const fv_reasons *w = r->wide;
    fv_status status;
    bool rivals = w->rival >= 0;
    double sum = rivals ? w->margin : w->logit, wide = rivals ? w->wide_margin : w->wide;
    const char *name = cli_reasons_label(r, w->label);
    if (rivals) FV_TRY(fv_buf_printf(out, err, "%s is %s %s by %.3f", name, sum < 0 ? "behind" : "ahead of", cli_reasons_label(r, w->rival), fabs(sum)));
    else if (r->kind == FV_LABELS_REGRESSION) FV_TRY(fv_buf_printf(out, err, "The value is %+.3f", sum));
    else FV_TRY(fv_buf_printf(out, err, "%s has %+.3f and holds above 0", name, sum));
    FV_TRY(fv_buf_printf(out, err, ": n-grams %+.3f, Transformer %+.3f.", wide, sum - wide));
done:
    return status;
}
