/* SentencePiece models (Kudo and Richardson 2018), for this room's files only; everyone else uses fv_tokenizer_* or pair.h.
 *
 * Such a model is a fv_tokenizer whose `sp` is set: pieces, scores and the tokens of bytes lie where unigram models
 * have them, and what only SentencePiece knows lies here. A text is normalised by a table, spaces become FV_META, and
 * the whole of it is cut at once, by Viterbi's algorithm or by merging neighbours.
 *
 *   charsmap.c             the table: looking up in it, normalising by it
 *   charsmap_make.c        making one from Unicode's tables
 *   sentencepiece.c        a model's parts put together; pieces back to text
 *   sentencepiece_bpe.c    cutting by merges
 *   sentencepiece_read.c   the file (a protocol buffer, read by hand)
 *   sentencepiece_write.c  and back */
#ifndef FV_TEXT_SENTENCEPIECE_H
#define FV_TEXT_SENTENCEPIECE_H

#include "text/tokenizer.h"

#define FV_PIECE_MAX 1024 /* bytes of a piece or of unk_surface, read or written; pieces learnt from texts have less than a hundred */

/* As the file numbers them. */
typedef enum fv_piece_type {
    FV_PIECE_NORMAL = 1,
    FV_PIECE_UNKNOWN, /* exactly one */
    FV_PIECE_CONTROL, /* never found in a text */
    FV_PIECE_USER,    /* kept whole wherever a text holds it, and not normalised */
    FV_PIECE_UNUSED,  /* never made of a text */
    FV_PIECE_BYTE,
} fv_piece_type;

/* A table from strings to strings, as SentencePiece stores it: u32 size of a double array (Aoe 1989, in the layout of
 * Darts-clone, whose leaves are offsets into what follows), the array, strings that end in zero bytes. */
typedef struct fv_charsmap {
    fv_buf blob; /* as stored; empty: nothing is replaced */
    const char *units, *strings;
    size_t n_units, n_strings;
} fv_charsmap;

/* Takes `blob` over if it succeeds. */
fv_status fv_charsmap_init(fv_charsmap *map, fv_buf *blob, const char *where, fv_err *err);
/* The longest entry that begins at p: its length (0: none) and what replaces it. */
size_t fv_charsmap_find(const fv_charsmap *map, const char *p, size_t len, const char **to);
/* The same of the shortest. */
size_t fv_charsmap_find_first(const fv_charsmap *map, const char *p, size_t len, const char **to);

/* The table for a form of Unicode and lower case, appended to `blob`: each character by itself, and with a form also letters
 * with the marks that compose with them, white space to a space, control characters away. Not the whole of normalisation
 * (marks are not put in order, nor Hangul letters composed), as no table of this kind is. Lower case alone is the same as
 * doing it. Nothing is appended where there is nothing to do. */
fv_status fv_charsmap_make(fv_buf *blob, fv_normalize form, bool lowercase, fv_err *err);

typedef struct fv_sentencepiece {
    bool bpe;          /* merges instead of the most probable cut */
    uint8_t *types;    /* [n] fv_piece_type; the tokenizer's arena holds them */
    fv_charsmap map;
    fv_trie user;      /* pieces of FV_PIECE_USER */
    bool dummy_prefix; /* FV_META before a text */
    bool trim;         /* spaces at both ends go, and of several one stays */
    bool escape;       /* spaces become FV_META */
    const char *normalizer, *unk_surface; /* the table's name; what an unknown piece is decoded to; the arena holds them */
} fv_sentencepiece;

/* One with the defaults of the format, without pieces; `t` becomes its owner. */
fv_status fv_sentencepiece_begin(fv_tokenizer *t, fv_err *err);
/* Readies it for texts once pieces, types and scores are there. */
fv_status fv_sentencepiece_seal(fv_tokenizer *t, const char *where, fv_err *err);
void fv_sentencepiece_free(fv_sentencepiece *sp);
fv_status fv_sentencepiece_normalize(fv_normalized *to, const fv_sentencepiece *sp, const char *text, size_t len, uint32_t base, fv_err *err);

/* Cuts by merges: ids and lens hold `len`. */
fv_status fv_sentencepiece_bpe(const fv_tokenizer *t, const char *text, size_t len, int32_t *ids, uint32_t *lens, size_t *n, fv_err *err);

typedef struct fv_piece {
    const char *text;
    uint32_t len;
    fv_piece_type type;
} fv_piece;
/* Appends the text of pieces, and tells the bytes of it that each made (NULL: not wanted). */
fv_status fv_sentencepiece_join(const fv_sentencepiece *sp, const fv_piece *pieces, size_t n, fv_buf *out, uint32_t *begins, uint32_t *ends, fv_err *err);
fv_status fv_sentencepiece_decode(const fv_tokenizer *t, const int32_t *ids, size_t n, fv_buf *out, fv_err *err);

/* Whether PATH is named .model or .spm. */
bool fv_sentencepiece_is(const char *path);
fv_tokenizer *fv_sentencepiece_open(const char *path, fv_err *err);
/* The bytes of a file; `where` names it in messages. */
fv_tokenizer *fv_sentencepiece_parse(const char *bytes, size_t len, const char *where, fv_err *err);
/* The same tokenizer as a file: one that was read from such a file, or trained to be one, or a unigram model whose spaces
 * are FV_META and whose normaliser is none or lower case. Others are refused. */
fv_status fv_sentencepiece_save(const fv_tokenizer *t, const char *path, fv_err *err);

/* Trains a unigram model that normalises as SentencePiece does, from the start, so that what is saved is what was trained. */
fv_tokenizer *fv_sentencepiece_train(const fv_tokenizer_options *options, fv_next_text next, void *user, fv_err *err);

/* After fv_tokenizer_encode or _sample of a single text by such a model: the normalised text, and how many bytes of it each
 * id covers. Good until the next call. */
const char *fv_sentencepiece_surface(const fv_encoding *encoding, const uint32_t **lens);

#endif
