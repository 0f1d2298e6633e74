/* BLEU: counts of a sentence, and the figure of a corpus from their sums. What a word is, is bleu_words.c's.
 *
 * The traps: a translation of four words has n-grams of one order less than it seems, so the totals come from
 * the rows and not from the lengths of the corpus; and without a single match the figure is 0, smoothed or not. */
#include <math.h>
#include <stdlib.h>

#include "text/overlap.h"

void fv_overlap_release(fv_overlap *room)
{
    fv_grams_release(&room->grams);
    fv_buf_release(&room->text);
    fv_buf_release(&room->other);
}

static fv_status add_row(fv_overlap *room, const fv_bleu_options *how, const char *text, size_t len, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(fv_bleu_words(room, how->cut, how->lower, text, len, err));
    if (how->cut == FV_BLEU_CHAR) return fv_grams_add_characters(&room->grams, room->text.data, room->text.len, err);
    return fv_grams_add_words(&room->grams, room->text.data, room->text.len, err);
done:
    return status;
}

static int64_t row_length(const fv_grams *g, size_t row) { return (int64_t)(g->starts[row + 1] - g->starts[row]); }

/* The length next to that of the row behind the references; of two as near the shorter one. */
static int64_t next_length(const fv_grams *g, size_t n_references)
{
    int64_t length = row_length(g, n_references), best = row_length(g, 0);
    for (size_t i = 1; i < n_references; i++) {
        int64_t one = row_length(g, i), nearer = llabs(one - length) - llabs(best - length);
        if (nearer < 0 || (nearer == 0 && one < best)) best = one;
    }
    return best;
}

fv_status fv_bleu_count(fv_bleu_stats *out, fv_overlap *room, const fv_bleu_options *how, const char *text, size_t len, const fv_text_span *references, size_t n_references, fv_err *err)
{
    fv_status status = FV_OK;
    fv_grams *g = &room->grams;
    FV_ASSERT(n_references > 0);
    fv_grams_clear(g);
    for (size_t i = 0; i < n_references; i++) FV_TRY(add_row(room, how, references[i].text, references[i].len, err));
    FV_TRY(add_row(room, how, text, len, err));
    FV_TRY(fv_grams_start(g, err));
    *out = (fv_bleu_stats){.length = row_length(g, n_references), .reference_length = next_length(g, n_references)};
    for (int n = 0; n < FV_BLEU_ORDER; n++) {
        fv_grams_next(g);
        for (size_t i = 0; i < n_references; i++) fv_grams_learn(g, i);
        out->correct[n] = fv_grams_common(g, n_references);
        out->total[n] = fv_grams_count(g, n_references);
    }
done:
    return status;
}

void fv_bleu_add(fv_bleu_stats *sum, const fv_bleu_stats *stats)
{
    sum->length += stats->length;
    sum->reference_length += stats->reference_length;
    for (int n = 0; n < FV_BLEU_ORDER; n++) {
        sum->correct[n] += stats->correct[n];
        sum->total[n] += stats->total[n];
    }
}

/* Below 1 for translations shorter than their references. */
static double brevity_penalty(const fv_bleu_stats *sum)
{
    if (sum->length >= sum->reference_length) return 1;
    return sum->length ? exp(1 - (double)sum->reference_length / (double)sum->length) : 0;
}

double fv_bleu_value(const fv_bleu_stats *sum, bool effective)
{
    double logs = 0, doubled = 1;
    int n = 0;
    if (sum->correct[0] == 0) return 0; /* nor then are there longer ones */
    for (; n < FV_BLEU_ORDER && sum->total[n] > 0; n++) {
        /* Orders without a match count 1/2, 1/4, … of one, as in mteval-v13a (Chen & Cherry 2014, method 3). */
        double correct = sum->correct[n] ? (double)sum->correct[n] : 1 / (doubled *= 2);
        logs += log(100 * correct / (double)sum->total[n]);
    }
    if (n < FV_BLEU_ORDER && !effective) return 0;
    return brevity_penalty(sum) * exp(logs / n);
}

const char *fv_bleu_signature(fv_signature *room, const fv_bleu_options *how, size_t n_references)
{
    snprintf(room->text, sizeof room->text, "nrefs:%zu|case:%s|eff:no|tok:%s|smooth:exp|version:fovea-" FV_VERSION,
             n_references, how->lower ? "lc" : "mixed", fv_bleu_cut_name(how->cut));
    return room->text;
}
