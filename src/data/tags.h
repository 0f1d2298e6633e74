/* Words that have a tag each, and the spans that tags spell: "O O B-LOC I-LOC" is a span of two words.
 *
 * Where a span begins and ends follows conlleval of CoNLL-2000 (Tjong Kim Sang & Buchholz), as seqeval
 * does by default: B begins one, I and E go on; an I or E behind O, behind another type or behind E or S
 * begins one too; S is one of a single word. M counts as I, L as E, U as S (BMES, BILOU). */
#ifndef FV_DATA_TAGS_H
#define FV_DATA_TAGS_H

#include "base/err.h"

/* The words of a text as tags count them: what stands between ASCII white space. Moves *at behind the
 * next one; false if none is left. */
bool fv_word_next(const char **at, const char *end, const char **word, size_t *len);
/* All of it is one word. */
bool fv_word_is_one(const char *text, size_t len);
size_t fv_word_count(const char *text, size_t len);

/* What a tag says of its word's place in a span. */
typedef enum fv_tag_part { FV_TAG_OUT, FV_TAG_BEGIN, FV_TAG_IN, FV_TAG_END, FV_TAG_SINGLE } fv_tag_part;

typedef struct fv_tag_name {
    fv_tag_part part;
    const char *type; /* within the name; "_" for bare letters and O */
} fv_tag_name;

/* False unless it is O or a letter of B I E S M L U, bare or with -TYPE behind it. */
bool fv_tag_parse(const char *name, fv_tag_name *tag);
/* All names are such tags, and not all are O. Others (parts of speech) make every word a span of its own. */
bool fv_tags_have_spans(const char *const *names, int n);

/* A walk over the spans of a sentence. Start from {.names = …, .tags = …, .n = …}. */
typedef struct fv_span_walk {
    const char *const *names;
    const int32_t *tags; /* [n] places in names; negative: none, as O */
    size_t n, at;
    bool single;         /* names are no tags of spans: every word that has a tag is a span */
} fv_span_walk;

typedef struct fv_tag_span {
    size_t begin, end; /* words [begin, end) */
    int32_t tag;       /* of its first word */
} fv_tag_span;

/* The next span; false at the end. */
bool fv_span_next(fv_span_walk *walk, fv_tag_span *span);

#endif
