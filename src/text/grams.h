/* Counts the n-grams that texts have in common, of words or of characters, n growing from 1.
 *
 *     fv_grams_clear(&grams);
 *     FV_TRY(fv_grams_add_words(&grams, reference, len, err));   a row for each text, in this order
 *     FV_TRY(fv_grams_add_words(&grams, hypothesis, len, err));
 *     FV_TRY(fv_grams_start(&grams, err));
 *     for (int n = 1; n <= 4; n++) {
 *         fv_grams_next(&grams);                                 now of n-grams
 *         fv_grams_learn(&grams, 0);
 *         matches[n] = fv_grams_common(&grams, 1);
 *     }
 *
 * Exact, in time and memory linear in the length of the texts; memory is kept for the next ones. */
#ifndef FV_TEXT_GRAMS_H
#define FV_TEXT_GRAMS_H

#include "base/str.h"

/* Start from {0}. */
typedef struct fv_grams {
    uint32_t *symbols;          /* [n] words by number, characters by code point; all rows back to back */
    uint32_t *names;            /* [n] the n-gram that begins at a symbol: its slot */
    size_t n, capacity, names_capacity;
    size_t *starts;             /* [n_rows + 1] */
    size_t n_rows, starts_capacity;
    int order;                  /* n of the present n-grams; 0 before the first fv_grams_next */
    struct fv_gram_slot *slots; /* [mask + 1], a hash table */
    size_t mask, slots_capacity;
    fv_buf spelled;             /* the words, back to back; words[i] is where the i-th different one stands */
    struct fv_gram_word *words;
    size_t n_words, words_capacity;
    uint32_t *word_slots;       /* [n_word_slots], a hash table: place in words + 1 */
    size_t n_word_slots;
} fv_grams;

void fv_grams_clear(fv_grams *grams);
void fv_grams_release(fv_grams *grams);

/* Adds a row: what stands between blanks. */
fv_status fv_grams_add_words(fv_grams *grams, const char *text, size_t len, fv_err *err);
/* Adds a row: all characters but blanks. */
fv_status fv_grams_add_characters(fv_grams *grams, const char *text, size_t len, fv_err *err);
/* For rows of words that blanks do not cut: begin one, add its words. */
fv_status fv_grams_begin_row(fv_grams *grams, fv_err *err);
fv_status fv_grams_add_word(fv_grams *grams, const char *word, size_t len, fv_err *err);
/* Adds a row: `add` is told what stands between blanks, and may cut it further. */
typedef fv_status (*fv_grams_word_fn)(fv_grams *grams, const char *word, size_t len, fv_err *err);
fv_status fv_grams_add_split(fv_grams *grams, const char *text, size_t len, fv_grams_word_fn add, fv_err *err);

/* All rows are there. */
fv_status fv_grams_start(fv_grams *grams, fv_err *err);
/* Goes on to n-grams one longer, and forgets the learned ones. */
void fv_grams_next(fv_grams *grams);
int64_t fv_grams_count(const fv_grams *grams, size_t row);
/* Notes how often each n-gram stands in a row. Of several learned rows the one that has it most often counts. */
void fv_grams_learn(fv_grams *grams, size_t row);
/* How many n-grams of the row are in the learned ones, none more often than there. */
int64_t fv_grams_common(fv_grams *grams, size_t row);

/* The character at p and its length. A byte that begins no valid UTF-8 is a character of its own, above all code points. */
uint32_t fv_char_at(const char *p, const char *end, int *len);
/* White space as Python's str.split() has it, which the scores that people compare are computed with. */
bool fv_char_is_blank(uint32_t character);

#endif
