/* A translator of random weights, 2+2 layers of 32, and sources for it: for tests of what writes with one. */
#ifndef TESTS_INFER_TINY_TRANSLATOR_H
#define TESTS_INFER_TINY_TRANSLATOR_H

#include "infer/search.h"
#include "models/seq2seq.h"

enum { TINY_EOS = 0, TINY_PAD = 28, TINY_VOCAB = 29, TINY_LONGEST = 7 };

void tiny_translator(fv_seq2seq *m, fv_positions positions, bool pre_norm);
/* [n], each of 1 to TINY_LONGEST ids, which are stored in `ids`. */
void tiny_sources(fv_search_source *sources, int32_t (*ids)[TINY_LONGEST], int32_t n);

#endif
