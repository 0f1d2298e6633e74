/* chrF and chrF++: F of character n-grams, and of word n-grams beside them.
 *
 * The trap: an order that only one side has counts for nothing, not as 0. So a sentence of three characters is
 * judged by its n-grams of one to three, and adding its counts to a corpus's changes no other order. */

#include "text/overlap.h"

static bool is_mark(char c) { return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~'); }

/* chrF++ takes one mark off a word's end, or else off its beginning: of "(hi)" remain "(hi" and ")". */
static fv_status add_parts(fv_grams *g, const char *word, size_t len, fv_err *err)
{
    fv_status status = FV_OK;
    const char *end = word + len;
    bool one = len == 1 || (size_t)fv_utf8_len(word, end) == len;
    size_t cut = one ? len : is_mark(end[-1]) ? len - 1 : is_mark(*word) ? 1 : len;
    FV_TRY(fv_grams_add_word(g, word, cut, err));
    if (cut < len) FV_TRY(fv_grams_add_word(g, word + cut, len - cut, err));
done:
    return status;
}

static fv_status add_words(fv_grams *g, const char *text, size_t len, fv_err *err) { return fv_grams_add_split(g, text, len, add_parts, err); }

/* Counts of the orders 1 to n_orders, from out's place `at` on; row 0 is the reference. */
static fv_status count_orders(fv_chrf_stats *out, fv_grams *g, int at, int n_orders, fv_err *err)
{
    fv_status status = fv_grams_start(g, err);
    for (int i = at; i < at + n_orders && status == FV_OK; i++) {
        fv_grams_next(g);
        fv_grams_learn(g, 0);
        out->reference[i] = fv_grams_count(g, 0);
        out->text[i] = out->reference[i] ? fv_grams_count(g, 1) : 0; /* what cannot be right is not wrong */
        out->common[i] = fv_grams_common(g, 1);
    }
    return status;
}

typedef fv_status (*add_fn)(fv_grams *g, const char *text, size_t len, fv_err *err);

/* One side of the comparison, in its case. */
static fv_status add_side(fv_overlap *room, add_fn add, bool lower, const char *text, size_t len, fv_err *err)
{
    fv_status status = FV_OK;
    if (!lower) return add(&room->grams, text, len, err);
    FV_TRY(fv_text_lower(&room->text, text, len, err));
    FV_TRY(add(&room->grams, room->text.data, room->text.len, err));
done:
    return status;
}

static fv_status count_one(fv_chrf_stats *out, fv_overlap *room, const fv_chrf_options *how, const fv_text_span *text, const fv_text_span *reference, fv_err *err)
{
    static const struct { add_fn add; int at, orders; } kinds[] = {{fv_grams_add_characters, 0, FV_CHRF_CHARACTERS}, {add_words, FV_CHRF_CHARACTERS, FV_CHRF_WORDS}};
    fv_status status = FV_OK;
    *out = (fv_chrf_stats){0};
    for (int i = 0; i < 1 + how->words; i++) {
        fv_grams_clear(&room->grams);
        FV_TRY(add_side(room, kinds[i].add, how->lower, reference->text, reference->len, err));
        FV_TRY(add_side(room, kinds[i].add, how->lower, text->text, text->len, err));
        FV_TRY(count_orders(out, &room->grams, kinds[i].at, kinds[i].orders, err));
    }
done:
    return status;
}

fv_status fv_chrf_count(fv_chrf_stats *out, fv_overlap *room, const fv_chrf_options *how, const char *text, size_t len, const fv_text_span *references, size_t n_references, fv_err *err)
{
    fv_status status = FV_OK;
    fv_chrf_stats one;
    double best = -1;
    FV_ASSERT(n_references > 0);
    for (size_t i = 0; i < n_references; i++) {
        FV_TRY(count_one(&one, room, how, &(fv_text_span){text, len}, &references[i], err));
        if (fv_chrf_value(&one) <= best) continue;
        best = fv_chrf_value(&one);
        *out = one;
    }
done:
    return status;
}

void fv_chrf_add(fv_chrf_stats *sum, const fv_chrf_stats *stats)
{
    for (int i = 0; i < FV_CHRF_ORDER; i++) {
        sum->text[i] += stats->text[i];
        sum->reference[i] += stats->reference[i];
        sum->common[i] += stats->common[i];
    }
}

double fv_chrf_value(const fv_chrf_stats *sum)
{
    double precision = 0, recall = 0;
    int orders = 0;
    for (int i = 0; i < FV_CHRF_ORDER; i++) {
        if (sum->text[i] == 0 || sum->reference[i] == 0) continue;
        precision += (double)sum->common[i] / (double)sum->text[i];
        recall += (double)sum->common[i] / (double)sum->reference[i];
        orders++;
    }
    if (precision + recall == 0) return 0;
    precision /= orders;
    recall /= orders;
    return 100 * 5 * precision * recall / (4 * precision + recall); /* F of beta 2 */
}

const char *fv_chrf_signature(fv_signature *room, const fv_chrf_options *how, size_t n_references)
{
    snprintf(room->text, sizeof room->text, "nrefs:%zu|case:%s|eff:yes|nc:%d|nw:%d|space:no|version:fovea-" FV_VERSION,
             n_references, how->lower ? "lc" : "mixed", FV_CHRF_CHARACTERS, how->words ? FV_CHRF_WORDS : 0);
    return room->text;
}
