/* The two languages of a translation model: text to ids of its vocabulary and back. As a folder: source.spm, target.spm, vocab.json
 * (Marian in Transformers; target_vocab.json beside it when the two sides have vocabularies of their own). Without .spm files texts are
 * tokens separated by spaces, as vocab.json spells them.
 *
 * A piece that the vocabulary lacks is <unk>. A text may begin with a token of the vocabulary such as ">>fra<<" (multilingual models
 * are told the language by it), which then stays whole. Tokens such as "</s>" that somebody typed are text. Immutable once made, so
 * threads share one; what a call scribbles on lives in the caller's fv_encoding. */
#ifndef FV_TEXT_PAIR_H
#define FV_TEXT_PAIR_H

#include "base/rng.h"
#include "fovea.h"

typedef enum fv_side { FV_SIDE_SOURCE, FV_SIDE_TARGET } fv_side;

typedef struct fv_pair_tokenizer fv_pair_tokenizer;

typedef struct fv_pair_options {
    int vocab;              /* entries of a vocabulary, </s>, <unk> and <pad> included */
    bool shared;            /* one vocabulary for both */
    fv_normalize normalize; /* as SentencePiece does it: by a table of characters and of letters with their marks */
    bool lowercase;
} fv_pair_options;

/* Learns pieces (unigram, Kudo 2018) from the texts of both sides; the order of texts does not matter. */
fv_pair_tokenizer *fv_pair_tokenizer_train(const fv_pair_options *options, fv_next_text source, void *source_user, fv_next_text target, void *target_user, fv_err *err);
fv_pair_tokenizer *fv_pair_tokenizer_open(const char *folder, fv_err *err);
/* Its files, by number, for whoever stages a folder: writes file i into path; names end with NULL. */
const char *fv_pair_tokenizer_file(const fv_pair_tokenizer *t, int i);
fv_status fv_pair_tokenizer_save(const fv_pair_tokenizer *t, int i, const char *path, fv_err *err);
void fv_pair_tokenizer_close(fv_pair_tokenizer *t);

int fv_pair_size(const fv_pair_tokenizer *t, fv_side side);
/* -1 where there is none; </s>, <unk>, <pad> as Marian numbers them: 0, 1, last. Where the sides have vocabularies of their own: the
 * target's, whose ids are what a decoder starts from and ends with. */
int32_t fv_pair_eos(const fv_pair_tokenizer *t);
int32_t fv_pair_unk(const fv_pair_tokenizer *t);
int32_t fv_pair_pad(const fv_pair_tokenizer *t);
/* As the vocabulary spells it, or NULL; lives as long as the tokenizer. */
const char *fv_pair_token(const fv_pair_tokenizer *t, fv_side side, int32_t id);

/* Ids with </s> at the end (begin = end), and the bytes that each came from. alpha > 0 samples the segmentation by rng (NULL otherwise). */
fv_status fv_pair_encode(const fv_pair_tokenizer *t, fv_side side, const char *text, size_t len, double alpha, fv_rng *rng, fv_encoding *out, fv_err *err);
/* Target ids to text, specials left out; *out malloc'ed; begins/ends [n] (NULL: not wanted) the bytes of the text that each id made. */
fv_status fv_pair_decode(const fv_pair_tokenizer *t, fv_side side, const int32_t *ids, size_t n, char **out, size_t *out_len, uint32_t *begins, uint32_t *ends, fv_err *err);

#endif
