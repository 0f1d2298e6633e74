/* What a bag of n-grams sees in a text: words and pairs of words, the 2 to 5 characters long pieces of
 * words, and of Chinese the 1 to 4 characters long ones. Each is a 64-bit hash, odd for the pieces of
 * words and even for all else; the text is normalised (NFKC) and in lower case first. Order is lost,
 * repeats are kept. */
#ifndef FV_TEXT_NGRAMS_H
#define FV_TEXT_NGRAMS_H

#include "text/tokenizer.h"

/* A hash has no text, so a person who asks is told where it came from. Bytes are those of the text as
 * it was given; a composed character is not cut, so neighbours may share bytes. */
typedef struct fv_ngram_place {
    uint32_t begin, end;
    uint8_t part;              /* 0: text, 1: the second one */
    bool pair;                 /* of the words at its two ends, whatever lies between */
    bool open_begin, open_end; /* a piece: letters may stand before it, after it */
} fv_ngram_place;

/* A run of letters and digits, a mark, or a Chinese character. Ascending, and without common bytes. */
typedef struct fv_ngram_word {
    uint32_t begin, end;
    uint8_t part;
} fv_ngram_word;

/* Start from {0}. */
typedef struct fv_ngram_places {
    fv_ngram_place *items; /* [n], of the hash with the same number */
    size_t n, capacity;
    fv_ngram_word *words;
    size_t n_words, words_capacity;
} fv_ngram_places;

/* Start from {0}; every call refills it and reuses its memory. */
typedef struct fv_ngrams {
    uint64_t *hashes;
    size_t n, capacity;
    fv_normalized text;
    fv_ngram_places *places; /* the caller's, filled too; NULL: nobody asks */
} fv_ngrams;

fv_status fv_ngrams_of(fv_ngrams *to, const char *text, size_t len, fv_err *err);
/* Adds those of a second text, told apart from the first one's. */
fv_status fv_ngrams_add(fv_ngrams *to, const char *text, size_t len, fv_err *err);
void fv_ngrams_release(fv_ngrams *ngrams);
void fv_ngram_places_release(fv_ngram_places *places);

#endif
