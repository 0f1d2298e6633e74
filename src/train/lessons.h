/* What the n-grams teach a Transformer that is to answer alone (--no-wide). Small sets know too little for
 * it: which words speak for a label it learns from thousands of texts, the n-grams from some dozens. So
 * it takes lessons (distillation: Hinton et al. 2015; with changed texts: Tang et al. 2019). Each training
 * text comes with copies in which words are left out or come from other texts; what a linear model on
 * n-grams thinks of all of these is what the Transformer has to answer.
 *
 * The teacher must not have seen the text that it speaks of: it would know the label by heart and tell
 * no more than that. So there are five, each taught by four fifths of the rows and heard on the rest. */
#ifndef FV_TRAIN_LESSONS_H
#define FV_TRAIN_LESSONS_H

#include "infer/infer.h"

enum { FV_LESSON_COPIES = 3 };

typedef struct fv_lessons {
    fv_text *texts; /* [n] the rows' texts, then copies of all of them, and again */
    size_t n;       /* rows · (1 + FV_LESSON_COPIES); 0: no lessons, the set is too small or too large */
    float *shares;  /* [n, outputs] what to answer: each row sums to 1 */
    fv_arena arena; /* the copies' bytes */
} fv_lessons;

/* From rows with one label each. A pure function of rows and seed. Texts that are no copies are borrowed from data. */
fv_status fv_lessons_make(fv_lessons *lessons, const fv_dataset *data, int outputs, uint64_t seed, fv_pool *pool, fv_err *err);
void fv_lessons_release(fv_lessons *lessons);

#endif
