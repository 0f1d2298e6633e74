/* How near a translation is to a person's: BLEU (Papineni et al. 2002) and chrF (Popović 2015), with the
 * figures that sacreBLEU (Post 2018) gives for the same texts.
 *
 *     fv_overlap room = {0};
 *     fv_bleu_stats sum = {0}, one;
 *     fv_bleu_options how = {.lower = true};
 *     fv_text_span reference = {"A dog barks.", 12};
 *     for each sentence:
 *         FV_TRY(fv_bleu_count(&one, &room, &how, "The dog barks.", 14, &reference, 1, err));
 *         fv_bleu_add(&sum, &one);
 *     printf("%.2f %s\n", fv_bleu_value(&sum, false), fv_bleu_signature(&signature, &how, 1));
 *     fv_overlap_release(&room);
 *
 * Both are figures of a corpus: counts are added over its sentences and the figure comes from the sums, which
 * is no mean of sentences' figures. Keep the counts of each sentence, and any resample is but sums.
 *
 * A byte that is no UTF-8 is a character of its own. Unicode's tables are utf8proc's; Python's may be newer. */
#ifndef FV_TEXT_OVERLAP_H
#define FV_TEXT_OVERLAP_H

#include "text/grams.h"

/* Scratch of one thread. Start from {0}; it keeps memory between calls. */
typedef struct fv_overlap {
    fv_grams grams;
    fv_buf text, other;
} fv_overlap;

void fv_overlap_release(fv_overlap *room);

typedef struct fv_text_span {
    const char *text;
    size_t len;
} fv_text_span;

/* ---- Words (bleu_words.c) ----------------------------------------------------------------- */

/* What BLEU counts as a word: name and meaning are sacreBLEU's "--tokenize". */
#define FV_BLEU_CUT_LIST(X)                                                                      \
    X(FV_BLEU_13A, "13a")   /* mteval-v13a: Western punctuation apart, but not inside numbers */ \
    X(FV_BLEU_INTL, "intl") /* mteval-v14: the same by Unicode's categories */                   \
    X(FV_BLEU_ZH, "zh")     /* Chinese characters one by one, the rest as 13a */                 \
    X(FV_BLEU_CHAR, "char") /* characters */                                                     \
    X(FV_BLEU_NONE, "none") /* what stands between blanks */

typedef enum fv_bleu_cut {
#define FV_BLEU_CUT_ENUM(name, text) name,
    FV_BLEU_CUT_LIST(FV_BLEU_CUT_ENUM)
#undef FV_BLEU_CUT_ENUM
} fv_bleu_cut;

const char *fv_bleu_cut_name(fv_bleu_cut cut);
int fv_bleu_cut_parse(const char *name); /* the cut, or -1 */

/* Lower case as Python's str.lower() has it, into `out`. */
fv_status fv_text_lower(fv_buf *out, const char *text, size_t len, fv_err *err);
/* room->text: the text with blanks between its words, for FV_BLEU_CHAR between any. */
fv_status fv_bleu_words(fv_overlap *room, fv_bleu_cut cut, bool lower, const char *text, size_t len, fv_err *err);

/* ---- BLEU (bleu.c) ------------------------------------------------------------------------ */

enum { FV_BLEU_ORDER = 4 };

typedef struct fv_bleu_options {
    fv_bleu_cut cut;
    bool lower; /* letters in lower case on both sides ("-lc") */
} fv_bleu_options;

/* What one sentence adds, or several together. */
typedef struct fv_bleu_stats {
    int64_t length, reference_length;                    /* words; of several references the one that is next in length */
    int64_t correct[FV_BLEU_ORDER], total[FV_BLEU_ORDER]; /* n-grams of the translation that a reference has, and all */
} fv_bleu_stats;

/* n_references is at least 1. */
fv_status fv_bleu_count(fv_bleu_stats *out, fv_overlap *room, const fv_bleu_options *how, const char *text, size_t len, const fv_text_span *references, size_t n_references, fv_err *err);
void fv_bleu_add(fv_bleu_stats *sum, const fv_bleu_stats *stats);
/* 0 to 100, with sacreBLEU's exponential smoothing. `effective`: n-grams longer than the text do not count; for a
 * single sentence ("eff:yes"), not for a corpus. */
double fv_bleu_value(const fv_bleu_stats *sum, bool effective);

/* How a figure came to be, in sacreBLEU's words: "nrefs:1|case:lc|eff:no|tok:13a|smooth:exp|version:fovea-0.1.0".
 * The same but for the version means the same figure there. Uses `room`. */
typedef struct fv_signature { char text[128]; } fv_signature;
const char *fv_bleu_signature(fv_signature *room, const fv_bleu_options *how, size_t n_references);

/* ---- chrF (chrf.c) ------------------------------------------------------------------------ */

enum { FV_CHRF_CHARACTERS = 6, FV_CHRF_WORDS = 2, FV_CHRF_ORDER = FV_CHRF_CHARACTERS + FV_CHRF_WORDS };

typedef struct fv_chrf_options {
    bool lower;
    bool words; /* word 1-grams and 2-grams too: chrF++ (Popović 2017) */
} fv_chrf_options;

/* Of character n-grams, n from 1 to 6, then of words' (0 without them): how many the translation has, the reference has, both have. */
typedef struct fv_chrf_stats {
    int64_t text[FV_CHRF_ORDER], reference[FV_CHRF_ORDER], common[FV_CHRF_ORDER];
} fv_chrf_stats;

/* Of several references the one that gives the sentence the best figure counts. */
fv_status fv_chrf_count(fv_chrf_stats *out, fv_overlap *room, const fv_chrf_options *how, const char *text, size_t len, const fv_text_span *references, size_t n_references, fv_err *err);
void fv_chrf_add(fv_chrf_stats *sum, const fv_chrf_stats *stats);
/* 0 to 100: the F of recall weighing twice as much as precision, from the means over the n that both have. */
double fv_chrf_value(const fv_chrf_stats *sum);
/* "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:fovea-0.1.0". */
const char *fv_chrf_signature(fv_signature *room, const fv_chrf_options *how, size_t n_references);

#endif
