/* Decoders that tokenizer.json can list, and running a list of them: tokens become strings, each part changes or joins
 * them, and what is left at the end is the text. Without a decoder tokens are joined by spaces. */
#include <stdio.h>
#include <string.h>

#include "text/parts.h"

#define BROKEN "\xef\xbf\xbd"

/* ---- Strings ------------------------------------------------------------------------------ */

static fv_status add_bytes(fv_strings *s, const char *bytes, size_t n, fv_err *err)
{
    if (s->next.len + n > s->most) return FV_FAIL(err, FV_E_INPUT, "the tokenizer's decoder makes more than %zu bytes of these ids", s->most);
    return fv_buf_add(&s->next, bytes, n, err);
}

/* Ends the string whose bytes were added since `from`. */
static fv_status add_item(fv_strings *s, size_t from, fv_err *err)
{
    fv_status status = fv_grow(&s->more, &s->more_capacity, s->n_more + 1, sizeof *s->more, err);
    if (status == FV_OK) s->more[s->n_more++] = (fv_cut){from, s->next.len};
    return status;
}

/* The new strings take the old ones' place. */
static void take_items(fv_strings *s)
{
    fv_strings old = *s;
    s->text = old.next, s->items = old.more, s->n = old.n_more, s->capacity = old.more_capacity;
    s->next = old.text, s->more = old.items, s->n_more = 0, s->more_capacity = old.capacity;
    s->next.len = 0;
}

static fv_status ready_match(fv_strings *s, const fv_pattern *pattern, fv_err *err)
{
    if (!pattern->regex.pattern || s->match) return FV_OK;
    s->match = fv_splitter_scratch(&pattern->regex, err);
    return s->match ? FV_OK : FV_E_MEMORY;
}

/* Adds text with what the pattern finds in it replaced. */
static fv_status add_replaced(fv_strings *s, const fv_pattern *pattern, const char *content, const char *text, size_t len, fv_err *err)
{
    fv_status status = FV_OK;
    size_t kept = 0, begin, end;
    int more;
    fv_matches m = {.pattern = pattern, .match = s->match, .text = text, .len = len};
    while ((more = fv_matches_next(&m, &begin, &end, err)) == 1) {
        FV_TRY(add_bytes(s, text + kept, begin - kept, err));
        FV_TRY(add_bytes(s, content, strlen(content), err));
        kept = end;
    }
    status = more < 0 ? (fv_status)more : add_bytes(s, text + kept, len - kept, err);
done:
    return status;
}

static const char *text_of(const fv_strings *s, size_t i, size_t *len)
{
    *len = s->items[i].to - s->items[i].from;
    return s->text.data + s->items[i].from;
}

static bool begins_with(const char *p, size_t len, const char *with)
{
    size_t n = strlen(with);
    return n <= len && memcmp(p, with, n) == 0;
}

/* ---- Spaces before punctuation ------------------------------------------------------------ */

/* Spaces that English does not write, taken away from what was added since `from`, one rule after another. */
static fv_status clean_up(fv_strings *s, size_t from, fv_err *err)
{
    static const char *const rules[][2] = {
        {" .", "."}, {" ?", "?"}, {" !", "!"}, {" ,", ","}, {" ' ", "'"}, {" n't", "n't"}, {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
    };
    fv_status status = FV_OK;
    fv_buf old = {0};
    for (size_t i = 0; i < FV_COUNT(rules); i++) {
        const fv_pattern rule = {.literal = rules[i][0], .literal_len = strlen(rules[i][0])};
        old.len = 0;
        FV_TRY(fv_buf_add(&old, s->next.data + from, s->next.len - from, err));
        s->next.len = from;
        FV_TRY(add_replaced(s, &rule, rules[i][1], old.data, old.len, err));
    }
done:
    fv_buf_release(&old);
    return status;
}

/* ---- The kinds ---------------------------------------------------------------------------- */

static fv_status read_wordpiece(const fv_json_source *s, const char *key, const json_t *value, fv_part *part)
{
    fv_status status = fv_part_text(s, key, value, "prefix", "##", &part->content);
    return status == FV_OK ? fv_part_flag(s, key, value, "cleanup", true, &part->cleanup) : status;
}

static fv_status run_wordpiece(const fv_part *part, fv_strings *s, fv_err *err)
{
    fv_status status = FV_OK;
    for (size_t i = 0; i < s->n; i++) {
        size_t len, from = s->next.len;
        const char *p = text_of(s, i, &len);
        size_t cut = i && begins_with(p, len, part->content) ? strlen(part->content) : 0;
        if (i && !cut && part->content[0]) FV_TRY(add_bytes(s, " ", 1, err));
        FV_TRY(add_bytes(s, p + cut, len - cut, err));
        if (part->cleanup) FV_TRY(clean_up(s, from, err));
        FV_TRY(add_item(s, from, err));
    }
done:
    return status;
}

static fv_status read_suffix(const fv_json_source *s, const char *key, const json_t *value, fv_part *part)
{
    fv_status status = fv_part_text(s, key, value, "suffix", "</w>", &part->content);
    part->pattern.literal = part->content;
    if (status == FV_OK) part->pattern.literal_len = strlen(part->content);
    return status == FV_OK && !part->pattern.literal_len ? fv_part_refuse(s, key, "suffix", json_object_get(value, "suffix"), "text") : status;
}

static fv_status run_suffix(const fv_part *part, fv_strings *s, fv_err *err)
{
    fv_status status = FV_OK;
    for (size_t i = 0; i < s->n; i++) {
        size_t len, from = s->next.len;
        const char *p = text_of(s, i, &len);
        FV_TRY(add_replaced(s, &part->pattern, i + 1 == s->n ? "" : " ", p, len, err));
        FV_TRY(add_item(s, from, err));
    }
done:
    return status;
}

/* The byte that the character at *p names, which moves on; -1 if none. */
static int named_byte(const fv_byte_names *names, const char **p, const char *end)
{
    int32_t point;
    *p += fv_point_at(*p, (size_t)(end - *p), &point);
    return point >= 0 && point < (int32_t)FV_COUNT(names->byte_of) ? names->byte_of[point] : -1;
}

static fv_status add_named(fv_strings *s, const fv_byte_names *names, const char *p, size_t len, fv_err *err)
{
    fv_status status = FV_OK;
    size_t from = s->next.len;
    const char *end = p + len;
    for (const char *at = p; at < end && status == FV_OK;) {
        int byte = named_byte(names, &at, end);
        char c = (char)byte;
        if (byte < 0) { /* then all of it stands for itself */
            s->next.len = from;
            return add_bytes(s, p, len, err);
        }
        status = add_bytes(s, &c, 1, err);
    }
    return status;
}

static fv_status run_byte_level(const fv_part *part, fv_strings *s, fv_err *err)
{
    fv_status status = FV_OK;
    fv_byte_names names;
    (void)part;
    fv_byte_names_init(&names);
    for (size_t i = 0; i < s->n && status == FV_OK; i++) {
        size_t len;
        const char *p = text_of(s, i, &len);
        status = add_named(s, &names, p, len, err);
    }
    return status == FV_OK ? add_item(s, 0, err) : status;
}

static fv_status read_metaspace(const fv_json_source *s, const char *key, const json_t *value, fv_part *part)
{
    fv_status status = fv_part_char(s, key, value, "replacement", FV_META, &part->content);
    return status == FV_OK ? fv_part_prepend(s, key, value, &part->prepend) : status;
}

static fv_status run_metaspace(const fv_part *part, fv_strings *s, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_pattern meta = {.literal = part->content, .literal_len = strlen(part->content)};
    for (size_t i = 0; i < s->n; i++) {
        size_t len, from = s->next.len;
        const char *p = text_of(s, i, &len);
        FV_TRY(add_replaced(s, &meta, i == 0 && part->prepend != FV_PREPEND_NEVER ? "" : " ", p, len, err));
        FV_TRY(add_item(s, from, err));
    }
done:
    return status;
}

static int hex_byte(const char *p, size_t len)
{
    unsigned byte = 0;
    char digits[3] = {0};
    if (len != 6 || memcmp(p, "<0x", 3) != 0 || p[5] != '>') return -1;
    memcpy(digits, p + 3, 2);
    if (strspn(digits, "0123456789ABCDEFabcdef") != 2) return -1;
    return sscanf(digits, "%2x", &byte) == 1 ? (int)byte : -1;
}

/* A run of bytes, added since `from`: one string if it is UTF-8, else U+FFFD for each. */
static fv_status end_bytes(fv_strings *s, size_t from, fv_err *err)
{
    fv_status status = FV_OK;
    size_t n = s->next.len - from, good = 0;
    if (n == 0) return FV_OK;
    for (int l = 1; good < n && l; good += (size_t)l) l = fv_utf8_len(s->next.data + from + good, s->next.data + s->next.len);
    if (good == n) return add_item(s, from, err);
    s->next.len = from;
    for (size_t i = 0; i < n && status == FV_OK; i++) {
        size_t at = s->next.len;
        status = add_bytes(s, BROKEN, strlen(BROKEN), err);
        if (status == FV_OK) status = add_item(s, at, err);
    }
    return status;
}

static fv_status run_fallback(const fv_part *part, fv_strings *s, fv_err *err)
{
    fv_status status = FV_OK;
    size_t from = 0;
    (void)part;
    for (size_t i = 0; i < s->n; i++) {
        size_t len;
        const char *p = text_of(s, i, &len);
        int byte = hex_byte(p, len);
        char c = (char)byte;
        if (byte >= 0) { FV_TRY(add_bytes(s, &c, 1, err)); continue; }
        FV_TRY(end_bytes(s, from, err));
        from = s->next.len;
        FV_TRY(add_bytes(s, p, len, err));
        FV_TRY(add_item(s, from, err));
        from = s->next.len;
    }
    status = end_bytes(s, from, err);
done:
    return status;
}

static fv_status run_fuse(const fv_part *part, fv_strings *s, fv_err *err)
{
    fv_status status = FV_OK;
    (void)part;
    for (size_t i = 0; i < s->n && status == FV_OK; i++) {
        size_t len;
        const char *p = text_of(s, i, &len);
        status = add_bytes(s, p, len, err);
    }
    return status == FV_OK ? add_item(s, 0, err) : status;
}

static fv_status read_strip(const fv_json_source *s, const char *key, const json_t *value, fv_part *part)
{
    fv_status status = FV_OK;
    FV_TRY(fv_part_char(s, key, value, "content", NULL, &part->content));
    FV_TRY(fv_part_count(s, key, value, "start", 0, &part->start));
    FV_TRY(fv_part_count(s, key, value, "stop", 0, &part->stop));
done:
    return status;
}

static fv_status run_strip(const fv_part *part, fv_strings *s, fv_err *err)
{
    fv_status status = FV_OK;
    size_t n = strlen(part->content);
    for (size_t i = 0; i < s->n; i++) {
        size_t len, from = s->next.len;
        const char *p = text_of(s, i, &len);
        for (int64_t k = 0; k < part->start && begins_with(p, len, part->content); k++) p += n, len -= n;
        for (int64_t k = 0; k < part->stop && len >= n && begins_with(p + len - n, n, part->content); k++) len -= n;
        FV_TRY(add_bytes(s, p, len, err));
        FV_TRY(add_item(s, from, err));
    }
done:
    return status;
}

static fv_status read_replace(const fv_json_source *s, const char *key, const json_t *value, fv_part *part)
{
    fv_status status = fv_part_text(s, key, value, "content", NULL, &part->content);
    return status == FV_OK ? fv_pattern_read(s, key, json_object_get(value, "pattern"), &part->pattern) : status;
}

static fv_status run_replace(const fv_part *part, fv_strings *s, fv_err *err)
{
    fv_status status = ready_match(s, &part->pattern, err);
    for (size_t i = 0; i < s->n && status == FV_OK; i++) {
        size_t len, from = s->next.len;
        const char *p = text_of(s, i, &len);
        status = add_replaced(s, &part->pattern, part->content, p, len, err);
        if (status == FV_OK) status = add_item(s, from, err);
    }
    return status;
}

static fv_status read_ctc(const fv_json_source *s, const char *key, const json_t *value, fv_part *part)
{
    fv_status status = FV_OK;
    FV_TRY(fv_part_text(s, key, value, "pad_token", "<pad>", &part->content));
    FV_TRY(fv_part_text(s, key, value, "word_delimiter_token", "|", &part->other));
    FV_TRY(fv_part_flag(s, key, value, "cleanup", true, &part->cleanup));
    if (!part->content[0] || !part->other[0]) return fv_part_refuse(s, key, part->content[0] ? "word_delimiter_token" : "pad_token", json_object_get(value, "pad_token"), "text");
done:
    return status;
}

/* What is said twice in a row is one, padding is nothing, delimiters are spaces (Graves et al. 2006). */
static fv_status run_ctc(const fv_part *part, fv_strings *s, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_pattern pad = {.literal = part->content, .literal_len = strlen(part->content)}, bar = {.literal = part->other, .literal_len = strlen(part->other)};
    fv_buf word = {0};
    for (size_t i = 0, len, last_len = 0; i < s->n; i++, last_len = len) {
        const char *p = text_of(s, i, &len);
        size_t from = s->next.len;
        if (i && len == last_len && memcmp(p, s->text.data + s->items[i - 1].from, len) == 0) continue;
        FV_TRY(add_replaced(s, &pad, "", p, len, err));
        if (part->cleanup) {
            FV_TRY(clean_up(s, from, err));
            word.len = 0;
            FV_TRY(fv_buf_add(&word, s->next.data + from, s->next.len - from, err));
            s->next.len = from;
            FV_TRY(add_replaced(s, &bar, " ", word.data, word.len, err));
        }
        if (s->next.len > from) FV_TRY(add_item(s, from, err));
    }
done:
    fv_buf_release(&word);
    return status;
}

/* ---- A list ------------------------------------------------------------------------------- */

static fv_status add_tokens(fv_strings *s, const fv_tokenizer *t, const int32_t *ids, size_t n, fv_err *err)
{
    fv_status status = fv_buf_reserve(&s->next, 1, err);
    for (size_t i = 0; i < n && status == FV_OK; i++) {
        const fv_token *token = &t->tokens[ids[i]];
        size_t from = s->next.len;
        if (token->special) continue;
        const char *normalized = fv_token_as_normalized(t, ids[i]), *text = normalized ? normalized : token->text;
        status = add_bytes(s, text, strlen(text), err);
        if (status == FV_OK) status = add_item(s, from, err);
    }
    take_items(s);
    return status;
}

static fv_status join(const fv_strings *s, const char *between, fv_buf *out, fv_err *err)
{
    fv_status status = FV_OK;
    for (size_t i = 0; i < s->n && status == FV_OK; i++) {
        size_t len;
        const char *p = text_of(s, i, &len);
        if (i) status = fv_buf_puts(out, between, err);
        if (status == FV_OK) status = fv_buf_add(out, p, len, err);
    }
    return status;
}

fv_status fv_parts_decode(const fv_tokenizer *t, const int32_t *ids, size_t n, fv_buf *out, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_part_list *list = &t->parts->decoders;
    fv_strings s = {.most = SIZE_MAX};
    FV_TRY(add_tokens(&s, t, ids, n, err));
    s.most = fv_parts_most(s.text.len);
    for (size_t i = 0; i < list->n; i++) {
        FV_TRY(fv_buf_reserve(&s.next, 1, err));
        FV_TRY(list->items[i].kind->decode(&list->items[i], &s, err));
        take_items(&s);
    }
    status = join(&s, list->n ? "" : " ", out, err);
done:
    fv_buf_release(&s.text);
    fv_buf_release(&s.next);
    fv_free(s.items);
    fv_free(s.more);
    pcre2_match_data_free(s.match);
    return status;
}

const fv_part_kind fv_decode_kinds[] = {
    {.type = "WordPiece", .read = read_wordpiece, .decode = run_wordpiece},
    {.type = "BPEDecoder", .read = read_suffix, .decode = run_suffix},
    {.type = "ByteLevel", .decode = run_byte_level},
    {.type = "Metaspace", .read = read_metaspace, .decode = run_metaspace},
    {.type = "ByteFallback", .decode = run_fallback},
    {.type = "Fuse", .decode = run_fuse},
    {.type = "Strip", .read = read_strip, .decode = run_strip},
    {.type = "Replace", .read = read_replace, .decode = run_replace},
    {.type = "CTC", .read = read_ctc, .decode = run_ctc},
    {0},
};
