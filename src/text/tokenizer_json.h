/* Between the files that read tokenizer.json; nobody else includes it.
 *
 *   json_refuse.c     messages and small questions
 *   json_words.c      WordPiece and WordLevel models
 *   json_unigram.c    unigram models
 *   json_bpe.c        BPE models
 *   json_frame.c      special tokens around texts
 *   parts.h           normalisers, pre-tokenizers, decoders
 *   tokenizer_json.c  the whole; vocabularies and added tokens; which of a file's parts this room has faster ways for
 *   vocab.c           BERT's vocab.txt
 *   folder.c          vocab.json with merges.txt, and XLM-R's SentencePiece models
 *   tokenizer_save.c  writing */
#ifndef FV_TEXT_TOKENIZER_JSON_H
#define FV_TEXT_TOKENIZER_JSON_H

#include "base/file.h"
#include "base/json.h"
#include "text/tokenizer.h"

/* A file in work. */
typedef struct fv_json_source {
    const char *where;
    fv_tokenizer *t;
    fv_err *err;
    bool from_text; /* its numbers were read from digits (json_unigram.c) */
} fv_json_source;

#define FV_TOKENIZER_FILE "tokenizer.json"
/* PATH itself, or the tokenizer.json in it when PATH is a folder. */
fv_status fv_tokenizer_file(char out[FV_PATH_MAX], const char *path, fv_err *err);

/* ---- json_refuse.c ------------------------------------------------------------------------ */

const char *fv_json_describe(const json_t *value, fv_shown *room);
fv_status fv_json_refuse(const fv_json_source *s, const char *key, const json_t *found, const char *expected);
fv_status fv_json_refuse_item(const fv_json_source *s, const char *list, size_t i, const char *key, const json_t *found, const char *expected);
/* A flag that may be missing and then is false. */
bool fv_json_read_flag(const json_t *value, bool *out);
bool fv_json_is_false(const json_t *value);
bool fv_json_is_type(const json_t *value, const char *type);
/* Absent, null, zero or empty: the feature is off. */
bool fv_json_is_off(const json_t *value);

/* ---- tokenizer_json.c --------------------------------------------------------------------- */

/* Names all tokens: those of `vocab`, an object of ids, and added ones. */
fv_status fv_json_read_tokens(const fv_json_source *s, json_t *vocab, const json_t *added);

/* What the tree of a tokenizer.json makes, which is the caller's still; its vocabulary and merges may be taken out of it.
 * `from_text`: it was read from a file, not put together. */
fv_tokenizer *fv_json_tokenizer(json_t *tree, bool from_text, const char *where, fv_err *err);

/* ---- The models: json_words.c, json_unigram.c, json_bpe.c --------------------------------- */

fv_status fv_json_wordpiece(const fv_json_source *s, const json_t *model, const json_t *added);
fv_status fv_json_wordlevel(const fv_json_source *s, const json_t *model, const json_t *added);
fv_status fv_json_unigram(const fv_json_source *s, const json_t *model, const json_t *added);
fv_status fv_json_bpe(const fv_json_source *s, const json_t *model, const json_t *added);

/* ---- json_frame.c ------------------------------------------------------------------------- */

fv_status fv_json_post_processor(const fv_json_source *s, const json_t *value);

/* ---- vocab.c ------------------------------------------------------------------------------ */

/* Whether PATH is named .txt, or is a folder with a vocab.txt and no tokenizer.json. */
bool fv_vocab_is(const char *path);
fv_tokenizer *fv_vocab_open(const char *path, fv_err *err);

/* ---- folder.c ----------------------------------------------------------------------------- */

/* Whether PATH is a folder with such files and no tokenizer.json. */
bool fv_folder_is(const char *path);
fv_tokenizer *fv_folder_open(const char *path, fv_err *err);

#endif
