/* Inside of a tokenizer, for this room's files only; everyone else uses fv_tokenizer_* of fovea.h.
 *
 * A tokenizer is four steps: normalise the text (utf8proc), split it into pieces by a pattern
 * (pcre2), merge each piece's bytes by learned rank (BPE), and frame the ids with [CLS] and [SEP].
 * It is immutable once made, so threads share it; what a call needs to scribble on lives in the
 * caller's fv_encoding.
 *
 *   normalize.c   NFC, NFKC, lower case, each output byte knowing its input byte
 *   split.c       the pattern; added and special tokens found in the text
 *   bpe.c         training, and merging one piece
 *   tokenizer.c   the public calls
 *   tokenizer_json.c   reading and writing tokenizer.json (Hugging Face tokenizers 0.2x, version "1.0")
 */
#ifndef FV_TEXT_TOKENIZER_H
#define FV_TEXT_TOKENIZER_H

#include "base/str.h"

/* Pieces: English contractions; runs of Han characters apart from other letters, so that a Chinese
 * sentence next to a Latin name is cut between them; digits in threes at most; the space goes with
 * the word that follows it, as in GPT-2. Written so that pcre2 and Oniguruma read it alike. */
extern const char fv_split_pattern[];

#endif
