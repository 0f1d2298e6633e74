/* Tokenizers put together from parts, as tokenizer.json lists them: normalisers, pre-tokenizers, decoders, each a type
 * with its settings. For this room's files only.
 *
 * A part is a row of a table: its type's name, what reads its settings, what runs it. Reading always makes parts; where
 * they amount to one of the ways that this room does at full speed (tokenizer.h), that way is taken and the parts are
 * dropped. Otherwise they are kept in `fv_parts`, and run one after another.
 *
 *   parts_read.c        lists of parts; choosing the fast ways
 *   parts_pattern.c     patterns, written for Oniguruma and run by pcre2; finding matches
 *   parts_normalize.c   normalisers
 *   parts_split.c       pre-tokenizers
 *   parts_model.c       pieces to ids: merging from characters, whole words
 *   parts_decode.c      decoders
 *
 * The trap: every part runs on valid UTF-8 alone; the first step of normalising puts U+FFFD for what is none. */
#ifndef FV_TEXT_PARTS_H
#define FV_TEXT_PARTS_H

#include "text/sentencepiece.h"
#include "text/tokenizer_json.h"

/* ---- parts_pattern.c ---------------------------------------------------------------------- */

typedef struct fv_pattern {
    fv_splitter regex;   /* its pattern NULL: `literal` is sought */
    const char *literal; /* the tokenizer's arena holds it */
    size_t literal_len;
} fv_pattern;

/* A walk over a text's matches, from left to right, none overlapping. */
typedef struct fv_matches {
    const fv_pattern *pattern;
    pcre2_match_data *match;
    const char *text;
    size_t len, search, last_end;
    bool any; /* one was found */
} fv_matches;

/* {"String": …} or {"Regex": …}, `key` names it in messages. */
fv_status fv_pattern_read(const fv_json_source *s, const char *key, const json_t *value, fv_pattern *out);
void fv_pattern_release(fv_pattern *pattern);
/* 1: a match; 0: no more; negative: an fv_status. */
int fv_matches_next(fv_matches *m, size_t *begin, size_t *end, fv_err *err);

/* ---- Parts -------------------------------------------------------------------------------- */

typedef enum fv_behaviour { FV_REMOVED, FV_ISOLATED, FV_MERGED_WITH_PREVIOUS, FV_MERGED_WITH_NEXT, FV_CONTIGUOUS } fv_behaviour;

typedef struct fv_part fv_part;
struct fv_cutting;
struct fv_strings;

typedef struct fv_part_kind {
    const char *type;
    fv_status (*read)(const fv_json_source *s, const char *key, const json_t *value, fv_part *part);
    /* One of these. `text` is the whole; spans in `to` point into it. */
    fv_status (*normalize)(const fv_part *part, fv_normalized *to, const char *text, size_t len, fv_err *err);
    fv_status (*split)(const fv_part *part, struct fv_cutting *c, fv_err *err);
    fv_status (*decode)(const fv_part *part, struct fv_strings *s, fv_err *err);
} fv_part_kind;

/* Settings; what a type has no use for is zero. Texts lie in the tokenizer's arena. */
struct fv_part {
    const fv_part_kind *kind;
    fv_normalizer how;
    fv_pattern pattern;
    fv_charsmap map;
    const char *content, *other; /* what replaces, prefixes, suffixes; CTC's second token */
    fv_behaviour behaviour;
    fv_prepend prepend;
    bool invert, split, prefix_space, regex, cleanup, left, right;
    bool (*test)(int32_t point); /* characters that are matches, instead of a pattern */
    int64_t start, stop;         /* Strip's counts; FixedLength's length */
};

typedef struct fv_part_list {
    fv_part *items;
    size_t n, capacity;
} fv_part_list;

bool fv_part_is(const fv_part *part, const char *type);
void fv_part_list_release(fv_part_list *list);
/* A part, or a Sequence of them, or null. */
fv_status fv_read_normalizers(const fv_json_source *s, const json_t *value, fv_part_list *out);
fv_status fv_read_splits(const fv_json_source *s, const json_t *value, fv_part_list *out);
fv_status fv_read_decoders(const fv_json_source *s, const json_t *value, fv_part_list *out);

/* For readers of settings. A flag with a default. */
fv_status fv_part_flag(const fv_json_source *s, const char *key, const json_t *value, const char *name, bool preset, bool *out);
/* Text; `preset` NULL: it must be there. */
fv_status fv_part_text(const fv_json_source *s, const char *key, const json_t *value, const char *name, const char *preset, const char **out);
/* The same, of one character. */
fv_status fv_part_char(const fv_json_source *s, const char *key, const json_t *value, const char *name, const char *preset, const char **out);
fv_status fv_part_count(const fv_json_source *s, const char *key, const json_t *value, const char *name, int64_t preset, int64_t *out);
fv_status fv_part_prepend(const fv_json_source *s, const char *key, const json_t *value, fv_prepend *out);
fv_status fv_part_refuse(const fv_json_source *s, const char *key, const char *name, const json_t *found, const char *expected);

extern const fv_part_kind fv_normalize_kinds[], fv_split_kinds[], fv_decode_kinds[]; /* ended by a type of NULL */

/* What a tokenizer keeps of them. */
typedef struct fv_parts {
    fv_part_list normalizers, splits, decoders;
    bool splits_used, decoders_used; /* an empty list in use means: the text is one piece; tokens are joined by spaces */
    json_t *tree; /* the file without its vocabulary and merges: what saving starts from */
} fv_parts;

void fv_parts_free(fv_parts *parts);

/* ---- Running ------------------------------------------------------------------------------ */

/* Bytes that rules may make of a text of `len` bytes: more than any that means well, and no more than memory bears. */
static inline size_t fv_parts_most(size_t len) { return ((size_t)4 << 20) + 32 * len; }

fv_status fv_parts_normalize(fv_normalized *to, const fv_parts *parts, const char *text, size_t len, uint32_t base, fv_err *err);
/* What a call leaves in `to` for the next: release with it. */
void fv_parts_room_free(struct fv_parts_room *room);

typedef struct fv_cut {
    size_t from, to;
} fv_cut;

/* A text in pieces. All of it is scratch that goes from call to call. */
typedef struct fv_cutting {
    fv_normalized text, next; /* spans point into the text that was given */
    fv_cut *cuts, *more;      /* [n] pieces of `text` */
    size_t n, n_more, capacity, more_capacity;
    pcre2_match_data *match;
    bool first; /* the text is where the input begins */
    size_t most; /* bytes that it may become */
} fv_cutting;

fv_status fv_parts_split(fv_cutting *c, const fv_parts *parts, const char *text, size_t len, bool first, fv_err *err);
void fv_cutting_release(fv_cutting *c);

/* Ids of a piece and the bytes of each, into ids[len] and lens[len]. */
fv_status fv_parts_solve(const fv_tokenizer *t, const char *piece, size_t len, int32_t *ids, uint32_t *lens, size_t *n, fv_err *err);
/* Readies a BPE model for it: finds the tokens of bytes. */
void fv_parts_seal_bpe(fv_tokenizer *t);

/* Strings in work: items [n] of `text`. */
typedef struct fv_strings {
    fv_buf text, next;
    fv_cut *items, *more;
    size_t n, n_more, capacity, more_capacity;
    size_t most; /* bytes that they may become */
    pcre2_match_data *match;
} fv_strings;

fv_status fv_parts_decode(const fv_tokenizer *t, const int32_t *ids, size_t n, fv_buf *out, fv_err *err);

#endif
