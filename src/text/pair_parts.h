/* Between pair.c, which uses a translator's tokenizers, and pair_files.c, which makes, reads and writes them; nobody else includes it. */
#ifndef FV_TEXT_PAIR_PARTS_H
#define FV_TEXT_PAIR_PARTS_H

#include "text/pair.h"
#include "text/sentencepiece.h"

typedef struct fv_pair_vocab {
    const char **tokens; /* [n]; the tokenizer's arena holds them */
    int32_t n;
    fv_map ids;
    int32_t eos, unk, pad; /* -1: none */
} fv_pair_vocab;

struct fv_pair_tokenizer {
    fv_tokenizer *spm[2];    /* by side; NULL: words are separated by spaces. One may stand for both */
    fv_pair_vocab vocabs[2]; /* the second only if `separate` */
    bool separate;
    int32_t *ids[2];         /* [pieces of spm[side]] in the side's vocabulary, -1 where it lacks one; the arena holds them */
    fv_arena arena;
};

const fv_pair_vocab *fv_pair_vocab_of(const fv_pair_tokenizer *t, fv_side side);

#endif
