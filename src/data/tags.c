/* Words, tags and spans. Readers, datasets, figures and whoever lays tags on tokens ask here, so that
 * all count alike. Numbers of tags are others' matter: here a tag is its name.
 *
 * The trap: only ASCII white space separates words. A no-break space within "10 000" is part of the
 * word, or a file's words and its tags would no longer be as many. */
#include "data/tags.h"

#include <string.h>

/* ---- Words -------------------------------------------------------------------------------- */

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

bool fv_word_next(const char **at, const char *end, const char **word, size_t *len)
{
    while (*at < end && is_space(**at)) ++*at;
    *word = *at;
    while (*at < end && !is_space(**at)) ++*at;
    *len = (size_t)(*at - *word);
    return *len > 0;
}

bool fv_word_is_one(const char *text, size_t len)
{
    const char *at = text, *word;
    size_t n;
    return fv_word_next(&at, text + len, &word, &n) && n == len;
}

size_t fv_word_count(const char *text, size_t len)
{
    const char *at = text, *word;
    size_t n = 0, bytes;
    while (fv_word_next(&at, text + len, &word, &bytes)) n++;
    return n;
}

/* ---- Tags --------------------------------------------------------------------------------- */

static fv_tag_part part_of(char letter)
{
    switch (letter) {
    case 'B': return FV_TAG_BEGIN;
    case 'I': case 'M': return FV_TAG_IN;
    case 'E': case 'L': return FV_TAG_END;
    case 'S': case 'U': return FV_TAG_SINGLE;
    default: return FV_TAG_OUT;
    }
}

bool fv_tag_parse(const char *name, fv_tag_name *tag)
{
    *tag = (fv_tag_name){.part = part_of(name[0]), .type = "_"};
    if (tag->part == FV_TAG_OUT) return strcmp(name, "O") == 0;
    if (name[1] == '-' && name[2] != '\0') tag->type = name + 2;
    return name[1] == '\0' || tag->type == name + 2;
}

bool fv_tags_have_spans(const char *const *names, int n)
{
    fv_tag_name tag;
    bool any = false;
    for (int i = 0; i < n; i++) {
        if (!fv_tag_parse(names[i], &tag)) return false;
        any |= tag.part != FV_TAG_OUT;
    }
    return any;
}

/* ---- Spans -------------------------------------------------------------------------------- */

static fv_tag_name tag_at(const fv_span_walk *w, size_t i)
{
    fv_tag_name tag = {.part = FV_TAG_OUT, .type = "_"};
    if (w->tags[i] >= 0) fv_tag_parse(w->names[w->tags[i]], &tag);
    return tag;
}

/* `tag` begins a span where `before` stands in front of it. */
static bool begins(fv_tag_name before, fv_tag_name tag)
{
    if (tag.part == FV_TAG_OUT) return false;
    if (tag.part == FV_TAG_BEGIN || tag.part == FV_TAG_SINGLE) return true;
    if (before.part != FV_TAG_BEGIN && before.part != FV_TAG_IN) return true;
    return strcmp(before.type, tag.type) != 0;
}

static size_t span_end(const fv_span_walk *w, size_t begin)
{
    size_t end = begin + 1;
    if (w->single) return end;
    for (fv_tag_name before = tag_at(w, begin); end < w->n; end++) {
        fv_tag_name tag = tag_at(w, end);
        if (tag.part == FV_TAG_OUT || begins(before, tag)) break;
        before = tag;
    }
    return end;
}

static bool is_outside(const fv_span_walk *w, size_t i)
{
    return w->single ? w->tags[i] < 0 : tag_at(w, i).part == FV_TAG_OUT;
}

bool fv_span_next(fv_span_walk *w, fv_tag_span *span)
{
    while (w->at < w->n && is_outside(w, w->at)) w->at++;
    if (w->at == w->n) return false;
    *span = (fv_tag_span){.begin = w->at, .end = span_end(w, w->at), .tag = w->tags[w->at]};
    w->at = span->end;
    return true;
}
