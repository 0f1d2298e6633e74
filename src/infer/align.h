/* From attention between tokens to attention between words: what people can read. */
#ifndef FV_INFER_ALIGN_H
#define FV_INFER_ALIGN_H

#include "base/mem.h"

/* Words of a text, in arena memory: what stands between white space; each Chinese or Japanese character is one of its own. */
typedef struct fv_word_list {
    fv_extent *words;
    size_t n;
} fv_word_list;

fv_status fv_words_find(fv_word_list *list, const char *text, size_t len, fv_arena *arena, fv_err *err);
/* Where tokens come from: bytes [begins[i], ends[i]) of the text; begin = end: from nothing. */
typedef struct fv_token_bytes {
    const uint32_t *begins, *ends;
    size_t n;
} fv_token_bytes;

/* Adds to weights [n target words, n source words] what the tokens' attention [target.n, columns] says, of which the first
 * source.n columns are tokens of the source. A token that spans several words counts for each of them in equal parts. */
void fv_align_add(float *weights, const fv_word_list *source_words, const fv_word_list *target_words, const fv_token_bytes *source, const fv_token_bytes *target, const float *attention, size_t columns);
/* Makes every row sum to 1 (one that nothing was added to: all alike) and gives the column of its largest weight, the first of equal ones. */
void fv_align_finish(float *weights, uint32_t *best, size_t rows, size_t cols);

#endif
