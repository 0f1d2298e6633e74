/* What searching takes for words. A text is brought into one form first (NFKC, case folded, accents of Latin and Greek letters taken off).
 *
 *   letters, digits and marks    a run of them is a word; all else parts words
 *   scripts without spaces       Chinese, Japanese, Korean, Thai and the like: every two neighbours are a word; a document's single
 *                                characters, too, so that a query of one character finds it
 *
 * A word is a 64-bit hash: two words of one hash would be taken for one, which a million words do once in 30 million indexes. */
#ifndef FV_TEXT_TERMS_H
#define FV_TEXT_TERMS_H

#include "text/tokenizer.h"

typedef enum fv_terms_kind {
    FV_TERMS_DOCUMENT, /* single characters besides pairs */
    FV_TERMS_QUERY,    /* single ones only where they stand alone */
} fv_terms_kind;

typedef struct fv_term {
    uint64_t hash;
    uint32_t begin, end; /* bytes of the text as it was given */
} fv_term;

/* Start from {0}; every call refills it and reuses its memory. */
typedef struct fv_terms {
    fv_term *items; /* in the order of the text */
    size_t n, capacity;
    uint32_t length; /* words, pairs not counted */
    fv_normalized text;
    fv_buf word;
} fv_terms;

#define FV_TERMS_BYTES (1u << 30) /* of a text at most */

fv_status fv_terms_of(fv_terms *to, fv_terms_kind kind, const char *text, size_t len, fv_err *err);
void fv_terms_release(fv_terms *terms);

#endif
