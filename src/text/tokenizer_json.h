/* Between the files that read tokenizer.json; nobody else includes it.
 *
 *   json_refuse.c     messages and small questions
 *   json_words.c      what WordPiece files say
 *   json_unigram.c    what unigram files say
 *   vocab.c           BERT's vocab.txt
 *   tokenizer_json.c  the whole; what byte-level BPE files say
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

/* ---- json_words.c ------------------------------------------------------------------------- */

/* The parts of a WordPiece file. */
fv_status fv_json_bert_normalizer(const fv_json_source *s, const json_t *value);
fv_status fv_json_bert_pre_tokenizer(const fv_json_source *s, const json_t *value);
fv_status fv_json_wordpiece(const fv_json_source *s, const json_t *model, const json_t *added);
fv_status fv_json_wordpiece_decoder(const fv_json_source *s, const json_t *value);
fv_status fv_json_bert_frame(const fv_json_source *s, const json_t *value);

/* ---- json_unigram.c ----------------------------------------------------------------------- */

fv_status fv_json_metaspace(const fv_json_source *s, const json_t *value);
fv_status fv_json_unigram(const fv_json_source *s, const json_t *model, const json_t *added);
fv_status fv_json_metaspace_decoder(const fv_json_source *s, const json_t *value);

/* ---- vocab.c ------------------------------------------------------------------------------ */

/* Whether PATH is named .txt, or is a folder with a vocab.txt and no tokenizer.json. */
bool fv_vocab_is(const char *path);
fv_tokenizer *fv_vocab_open(const char *path, fv_err *err);

#endif
