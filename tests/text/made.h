/* Tokenizers and encodings made for the tests of this room. */
#ifndef FV_TESTS_TEXT_MADE_H
#define FV_TESTS_TEXT_MADE_H

#include "text/tokenizer.h"

/* Texts for fv_next_text: a list, given out one by one. */
typedef struct made_list {
    const char *const *texts;
    size_t n, at;
} made_list;
int made_next(void *user, const char **text, size_t *len, fv_err *err);

/* A few lines of English and Chinese, enough for merges of both. */
extern const char *const made_texts[];
extern const size_t made_n_texts;

/* Trains on made_texts; fails the test if that fails. */
fv_tokenizer *made_tokenizer(fv_normalize form, bool lowercase);
/* The encoding of a text ended by a zero byte, without special tokens; fails the test on an error. */
void made_encode(const fv_tokenizer *tokenizer, const char *text, fv_encoding *out);
/* Its tokens, each with its offsets: "hi[0,2) there[2,8) ". Good until the next call. */
const char *made_spelled(const fv_tokenizer *tokenizer, const fv_encoding *encoding);

#endif
