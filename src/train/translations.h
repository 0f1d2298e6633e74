/* From translations to figures: BLEU as people write it (cased and in lower case) and chrF, each with how far it
 * would move with other sentences.
 *
 *     fv_translations t = {.n = n, .texts = texts, .references = references, .seed = 1};
 *     FV_TRY(fv_translations_compute(&report, &t, pool, err));
 *     ... report.metrics[0].value ...            0 to 100, as sacreBLEU prints them
 *     fv_metrics_release(&report);
 *
 * The figures:
 *   bleu, bleu_lc     BLEU of the corpus, letters as they are and in lower case (text/overlap.h)
 *   chrf              chrF2 of the corpus
 *   loss, perplexity  when `losses` are given: per token, and its exponential */
#ifndef FV_TRAIN_TRANSLATIONS_H
#define FV_TRAIN_TRANSLATIONS_H

#include "base/pool.h"
#include "text/overlap.h"
#include "train/perplexity.h"

/* Everything is borrowed. */
typedef struct fv_translations {
    size_t n;                       /* sentences */
    const fv_text_span *texts;      /* [n] what the model wrote */
    const fv_text_span *references; /* [n] what a person wrote */
    fv_bleu_cut cut;
    const fv_row_losses *losses;    /* of the references: -ln(probability) summed over their tokens; or NULL */
    uint64_t seed;                  /* of the intervals, which resample sentences */
    bool values_only;               /* no intervals. For a look between epochs */
} fv_translations;

/* Fills metrics and rows of *report. No sentences: FV_E_INPUT. Release with fv_metrics_release. */
fv_status fv_translations_compute(fv_report *report, const fv_translations *translations, fv_pool *pool, fv_err *err);
/* How to cut texts like these when nobody says: zh where a third of the characters are Han, else 13a. */
fv_bleu_cut fv_translations_cut(const fv_text_span *references, size_t n);

#endif
