/* What a bag of n-grams sees in a text: words and pairs of words, the 2 to 5 characters long pieces of
 * words, and of Chinese the 1 to 4 characters long ones. Each is a 64-bit hash; the text is normalised
 * (NFKC) and in lower case first. Order is lost, repeats are kept. */
#ifndef FV_TEXT_NGRAMS_H
#define FV_TEXT_NGRAMS_H

#include "text/tokenizer.h"

/* Start from {0}; every call refills it and reuses its memory. */
typedef struct fv_ngrams {
    uint64_t *hashes;
    size_t n, capacity;
    fv_normalized text;
} fv_ngrams;

fv_status fv_ngrams_of(fv_ngrams *to, const char *text, size_t len, fv_err *err);
/* Adds those of a second text, told apart from the first one's. */
fv_status fv_ngrams_add(fv_ngrams *to, const char *text, size_t len, fv_err *err);
void fv_ngrams_release(fv_ngrams *ngrams);

#endif
