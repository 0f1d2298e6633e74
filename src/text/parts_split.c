/* Pre-tokenizers that tokenizer.json can list, and running a list of them: each cuts every piece of the one before it, and
 * some write the text anew (spaces as U+2581, bytes as characters).
 *
 * The trap: pieces are places in the text of now. A part that writes a text makes the next one and the pieces of that, and
 * only then takes its place. */
#include <string.h>

#include "text/parts.h"

#define LENGTH_MOST 1000000

/* ---- Cutting ------------------------------------------------------------------------------ */

static fv_status add_cut(fv_cutting *c, size_t from, size_t to, fv_err *err)
{
    fv_status status = fv_grow(&c->more, &c->more_capacity, c->n_more + 1, sizeof *c->more, err);
    if (status == FV_OK) c->more[c->n_more++] = (fv_cut){from, to};
    return status;
}

/* The new pieces take the old ones' place; empty ones go. */
static void take_cuts(fv_cutting *c)
{
    fv_cut *old = c->cuts;
    size_t capacity = c->capacity;
    c->cuts = c->more, c->capacity = c->more_capacity, c->n = 0;
    for (size_t i = 0; i < c->n_more; i++)
        if (c->cuts[i].from < c->cuts[i].to) c->cuts[c->n++] = c->cuts[i];
    c->more = old, c->more_capacity = capacity, c->n_more = 0;
}

/* Matches and what is between them come in order; what becomes of them depends on the one before. */
typedef struct sorter {
    fv_cutting *c;
    fv_behaviour behaviour;
    bool invert, after_match;
    size_t first;   /* of the pieces made of this one */
    bool waiting;   /* a match that the next piece may take in, at `held` */
    size_t held;
    fv_err *err;
} sorter;

static fv_status flush(sorter *s, size_t end)
{
    if (!s->waiting) return FV_OK;
    s->waiting = false;
    return add_cut(s->c, s->held, end, s->err);
}

static fv_status merge_with_next(sorter *s, size_t from, size_t to, bool match)
{
    if (match) {
        fv_status status = flush(s, from);
        s->waiting = true;
        s->held = from;
        return status;
    }
    size_t begin = s->waiting ? s->held : from;
    s->waiting = false;
    return add_cut(s->c, begin, to, s->err);
}

static fv_status sort_in(sorter *s, size_t from, size_t to, bool match)
{
    match ^= s->invert;
    bool after = s->after_match, any = s->c->n_more > s->first;
    s->after_match = match;
    switch (s->behaviour) {
    case FV_REMOVED: return match ? FV_OK : add_cut(s->c, from, to, s->err);
    case FV_ISOLATED: return add_cut(s->c, from, to, s->err);
    case FV_MERGED_WITH_NEXT: return merge_with_next(s, from, to, match);
    case FV_MERGED_WITH_PREVIOUS: if (!(any && match && !after)) return add_cut(s->c, from, to, s->err); break;
    case FV_CONTIGUOUS: if (!(any && match == after)) return add_cut(s->c, from, to, s->err); break;
    }
    s->c->more[s->c->n_more - 1].to = to;
    return FV_OK;
}

/* The next run of one character that passes the test. */
static bool next_tested(const fv_part *part, const char *text, size_t len, size_t *at, size_t *begin, size_t *end)
{
    for (size_t n; *at < len; *at += n) {
        int32_t point;
        n = fv_point_at(text + *at, len - *at, &point);
        if (!part->test(point)) continue;
        *begin = *at;
        *end = *at += n;
        return true;
    }
    return false;
}

static fv_status ready_match(fv_cutting *c, const fv_pattern *pattern, fv_err *err)
{
    if (!pattern->regex.pattern || c->match) return FV_OK;
    c->match = fv_splitter_scratch(&pattern->regex, err);
    return c->match ? FV_OK : FV_E_MEMORY;
}

static fv_status cut_piece(const fv_part *part, sorter *s, const char *text, fv_cut cut)
{
    fv_status status = FV_OK;
    size_t len = cut.to - cut.from, at = 0, begin, end, done_to = 0;
    fv_matches m = {.pattern = &part->pattern, .match = s->c->match, .text = text + cut.from, .len = len};
    int more;
    s->first = s->c->n_more;
    s->after_match = s->waiting = false;
    while ((more = part->test ? next_tested(part, m.text, len, &at, &begin, &end) : fv_matches_next(&m, &begin, &end, s->err)) == 1) {
        if (begin > done_to) FV_TRY(sort_in(s, cut.from + done_to, cut.from + begin, false));
        FV_TRY(sort_in(s, cut.from + begin, cut.from + end, true));
        done_to = end;
    }
    if (more < 0) return (fv_status)more;
    if (done_to < len) FV_TRY(sort_in(s, cut.from + done_to, cut.to, false));
    status = flush(s, cut.to);
done:
    return status;
}

/* Cuts all pieces at what the part's pattern or test finds. */
static fv_status cut_all(const fv_part *part, fv_behaviour behaviour, fv_cutting *c, fv_err *err)
{
    sorter s = {.c = c, .behaviour = behaviour, .invert = part->invert, .err = err};
    fv_status status = ready_match(c, &part->pattern, err);
    for (size_t i = 0; i < c->n && status == FV_OK; i++) status = cut_piece(part, &s, c->text.data, c->cuts[i]);
    take_cuts(c);
    return status;
}

static fv_status run_split(const fv_part *part, fv_cutting *c, fv_err *err)
{
    return cut_all(part, part->behaviour, c, err);
}

/* White space goes, marks of punctuation stand alone. */
static fv_status run_bert(const fv_part *part, fv_cutting *c, fv_err *err)
{
    fv_part marks = *part;
    fv_status status = cut_all(part, FV_REMOVED, c, err);
    marks.test = fv_is_punctuation;
    return status == FV_OK ? cut_all(&marks, FV_ISOLATED, c, err) : status;
}

/* ---- Runs of one sort --------------------------------------------------------------------- */

/* Words, and runs of what is neither a word's nor white space. */
static fv_status run_whitespace(const fv_part *part, fv_cutting *c, fv_err *err)
{
    fv_status status = FV_OK;
    (void)part;
    for (size_t i = 0; i < c->n && status == FV_OK; i++) {
        size_t begin = c->cuts[i].from;
        int before = 0; /* 0: white space, 1: a word, 2: other */
        for (size_t at = begin, n; at < c->cuts[i].to && status == FV_OK; at += n) {
            int32_t point;
            n = fv_point_at(c->text.data + at, c->cuts[i].to - at, &point);
            int sort = fv_is_word(point) ? 1 : fv_is_white(point) ? 0 : 2;
            if (sort != before && before) status = add_cut(c, begin, at, err);
            if (sort != before) begin = at;
            before = sort;
        }
        if (status == FV_OK && before) status = add_cut(c, begin, c->cuts[i].to, err);
    }
    take_cuts(c);
    return status;
}

static fv_status run_length(const fv_part *part, fv_cutting *c, fv_err *err)
{
    fv_status status = FV_OK;
    for (size_t i = 0; i < c->n && status == FV_OK; i++) {
        size_t begin = c->cuts[i].from, end = c->cuts[i].to;
        int64_t count = 0;
        for (size_t at = begin, n; at < end && status == FV_OK; at += n) {
            int32_t point;
            n = fv_point_at(c->text.data + at, end - at, &point);
            if (++count % part->start) continue;
            status = add_cut(c, begin, at + n, err);
            begin = at + n;
        }
        if (status == FV_OK) status = add_cut(c, begin, end, err);
    }
    take_cuts(c);
    return status;
}

/* ---- Writing the text anew ---------------------------------------------------------------- */

static fv_status keep(fv_cutting *c, size_t from, size_t to, fv_err *err)
{
    return from == to ? FV_OK : fv_normalized_ascii(&c->next, false, c->text.data + from, to - from, (uint32_t)from, err);
}

static fv_status put(fv_cutting *c, const char *bytes, size_t begin, size_t end, fv_err *err)
{
    if (c->next.text.len > c->most) return FV_FAIL(err, FV_E_INPUT, "the tokenizer's pre_tokenizer makes more than %zu bytes of this text", c->most);
    fv_status status = fv_normalized_span(&c->next, (uint32_t)begin, (uint32_t)end, false, err);
    return status == FV_OK ? fv_buf_puts(&c->next.text, bytes, err) : status;
}

static void begin_text(fv_cutting *c)
{
    c->next.n_spans = c->next.text.len = 0;
}

static fv_status take_text(fv_cutting *c, fv_err *err)
{
    fv_status status = FV_OK;
    if (!c->next.n_spans) FV_TRY(fv_normalized_span(&c->next, 0, 0, true, err));
    FV_TRY(fv_buf_reserve(&c->next.text, 1, err));
    c->next.data = c->next.text.data;
    c->next.len = c->next.text.len;
    FV_TRY(fv_normalized_follow(&c->next, &c->text, err));
    fv_normalized old = c->text;
    c->text = c->next;
    c->next = old;
    take_cuts(c);
done:
    return status;
}

static bool starts_with(const fv_cutting *c, fv_cut cut, const char *text)
{
    size_t n = strlen(text);
    return cut.to - cut.from >= n && memcmp(c->text.data + cut.from, text, n) == 0;
}

/* Whether the piece is where the input begins. */
static bool is_first(const fv_cutting *c, fv_cut cut)
{
    const fv_span *span = c->text.spans;
    uint32_t from, to;
    fv_span_source(&span, c->text.spans + c->text.n_spans - 1, cut.from, cut.to, &from, &to);
    return c->first && from == 0;
}

static fv_status write_meta(const fv_part *part, fv_cutting *c, fv_cut cut, fv_err *err)
{
    fv_status status = FV_OK;
    size_t kept = cut.from, begin = c->next.text.len;
    bool wanted = part->prepend == FV_PREPEND_ALWAYS || (part->prepend == FV_PREPEND_FIRST && is_first(c, cut));
    if (wanted && !starts_with(c, cut, " ") && !starts_with(c, cut, part->content)) FV_TRY(put(c, part->content, cut.from, cut.from, err));
    for (const char *space; (space = memchr(c->text.data + kept, ' ', cut.to - kept));) {
        size_t at = (size_t)(space - c->text.data);
        FV_TRY(keep(c, kept, at, err));
        FV_TRY(put(c, part->content, at, at + 1, err));
        kept = at + 1;
    }
    FV_TRY(keep(c, kept, cut.to, err));
    status = add_cut(c, begin, c->next.text.len, err);
done:
    return status;
}

static fv_status run_metaspace(const fv_part *part, fv_cutting *c, fv_err *err)
{
    fv_status status = FV_OK;
    begin_text(c);
    for (size_t i = 0; i < c->n; i++) FV_TRY(write_meta(part, c, c->cuts[i], err));
    FV_TRY(take_text(c, err));
    if (part->split) status = cut_all(part, FV_MERGED_WITH_NEXT, c, err);
done:
    return status;
}

static fv_status put_spaces(fv_cutting *c, fv_err *err)
{
    fv_status status = FV_OK;
    begin_text(c);
    for (size_t i = 0; i < c->n; i++) {
        fv_cut cut = c->cuts[i];
        size_t begin = c->next.text.len;
        if (!starts_with(c, cut, " ")) FV_TRY(put(c, " ", cut.from, cut.from, err));
        FV_TRY(keep(c, cut.from, cut.to, err));
        FV_TRY(add_cut(c, begin, c->next.text.len, err));
    }
    status = take_text(c, err);
done:
    return status;
}

static fv_status name_bytes(fv_cutting *c, fv_err *err)
{
    fv_status status = FV_OK;
    fv_byte_names names;
    fv_byte_names_init(&names);
    begin_text(c);
    for (size_t i = 0; i < c->n; i++) {
        size_t begin = c->next.text.len;
        for (size_t at = c->cuts[i].from; at < c->cuts[i].to; at++) FV_TRY(put(c, names.text[(unsigned char)c->text.data[at]], at, at + 1, err));
        FV_TRY(add_cut(c, begin, c->next.text.len, err));
    }
    status = take_text(c, err);
done:
    return status;
}

static fv_status run_byte_level(const fv_part *part, fv_cutting *c, fv_err *err)
{
    fv_status status = FV_OK;
    if (part->prefix_space) FV_TRY(put_spaces(c, err));
    if (part->regex) FV_TRY(cut_all(part, FV_ISOLATED, c, err));
    status = name_bytes(c, err);
done:
    return status;
}

/* ---- Reading ------------------------------------------------------------------------------ */

static fv_status read_behaviour(const fv_json_source *s, const char *key, const json_t *value, const char *preset, fv_behaviour *out)
{
    static const char *const names[] = {[FV_REMOVED] = "Removed", [FV_ISOLATED] = "Isolated", [FV_MERGED_WITH_PREVIOUS] = "MergedWithPrevious", [FV_MERGED_WITH_NEXT] = "MergedWithNext", [FV_CONTIGUOUS] = "Contiguous"};
    const json_t *found = json_object_get(value, "behavior");
    const char *text = found ? json_string_value(found) : preset;
    for (size_t i = 0; i < FV_COUNT(names); i++)
        if (text && strcmp(text, names[i]) == 0) { *out = (fv_behaviour)i; return FV_OK; }
    return fv_part_refuse(s, key, "behavior", found, "\"Removed\", \"Isolated\", \"MergedWithPrevious\", \"MergedWithNext\" or \"Contiguous\"");
}

static fv_status read_split(const fv_json_source *s, const char *key, const json_t *value, fv_part *part)
{
    fv_status status = FV_OK;
    FV_TRY(read_behaviour(s, key, value, NULL, &part->behaviour));
    FV_TRY(fv_part_flag(s, key, value, "invert", false, &part->invert));
    status = fv_pattern_read(s, key, json_object_get(value, "pattern"), &part->pattern);
done:
    return status;
}

static fv_status read_white(const fv_json_source *s, const char *key, const json_t *value, fv_part *part)
{
    (void)s, (void)key, (void)value;
    part->test = fv_is_white;
    part->behaviour = FV_REMOVED;
    return FV_OK;
}

static fv_status read_punctuation(const fv_json_source *s, const char *key, const json_t *value, fv_part *part)
{
    part->test = fv_is_punctuation;
    return read_behaviour(s, key, value, "Isolated", &part->behaviour);
}

static fv_status read_digits(const fv_json_source *s, const char *key, const json_t *value, fv_part *part)
{
    bool apart = false;
    fv_status status = fv_part_flag(s, key, value, "individual_digits", false, &apart);
    part->test = fv_is_number;
    part->behaviour = apart ? FV_ISOLATED : FV_CONTIGUOUS;
    return status;
}

static fv_status read_delimiter(const fv_json_source *s, const char *key, const json_t *value, fv_part *part)
{
    fv_status status = fv_part_char(s, key, value, "delimiter", NULL, &part->pattern.literal);
    if (status == FV_OK) part->pattern.literal_len = strlen(part->pattern.literal);
    part->behaviour = FV_REMOVED;
    return status;
}

static fv_status read_metaspace(const fv_json_source *s, const char *key, const json_t *value, fv_part *part)
{
    fv_status status = FV_OK;
    FV_TRY(fv_part_char(s, key, value, "replacement", FV_META, &part->content));
    FV_TRY(fv_part_prepend(s, key, value, &part->prepend));
    FV_TRY(fv_part_flag(s, key, value, "split", true, &part->split));
    part->pattern.literal = part->content;
    part->pattern.literal_len = strlen(part->content);
done:
    return status;
}

static fv_status read_byte_level(const fv_json_source *s, const char *key, const json_t *value, fv_part *part)
{
    fv_status status = FV_OK;
    FV_TRY(fv_part_flag(s, key, value, "add_prefix_space", true, &part->prefix_space));
    FV_TRY(fv_part_flag(s, key, value, "use_regex", true, &part->regex));
    if (part->regex) status = fv_splitter_init(&part->pattern.regex, fv_split_gpt2, s->where, s->err);
done:
    return status;
}

static fv_status read_length(const fv_json_source *s, const char *key, const json_t *value, fv_part *part)
{
    fv_status status = fv_part_count(s, key, value, "length", 5, &part->start);
    if (status == FV_OK && (part->start < 1 || part->start > LENGTH_MOST)) return fv_part_refuse(s, key, "length", json_object_get(value, "length"), "1 to 1000000");
    return status;
}

/* Runs of one script, where kana count as Han, and a space or what has no script goes on with the script before it, or
 * is dropped where there is none. */
static fv_status read_scripts(const fv_json_source *s, const char *key, const json_t *value, fv_part *part)
{
    static const char *const scripts[] = {
        "Common", "Inherited", "Latin", "Greek", "Cyrillic", "Armenian", "Hebrew", "Arabic", "Syriac", "Thaana", "Devanagari", "Bengali", "Gurmukhi", "Gujarati",
        "Oriya", "Tamil", "Telugu", "Kannada", "Malayalam", "Sinhala", "Thai", "Lao", "Tibetan", "Myanmar", "Georgian", "Hangul", "Ethiopic", "Cherokee",
        "Canadian_Aboriginal", "Ogham", "Runic", "Khmer", "Mongolian", "Bopomofo", "Yi", "Old_Italic", "Gothic", "Deseret", "Tagalog", "Hanunoo", "Buhid",
        "Tagbanwa", "Limbu", "Tai_Le", "Linear_B", "Ugaritic", "Shavian", "Osmanya", "Cypriot", "Braille", "Buginese", "Coptic", "New_Tai_Lue", "Glagolitic",
        "Tifinagh", "Syloti_Nagri", "Old_Persian", "Kharoshthi", "Balinese", "Cuneiform", "Phoenician", "Phags_Pa", "Nko", "Vai", "Javanese", "Cham", "Lisu",
    };
    fv_buf pattern = {0};
    fv_status status = FV_OK;
    (void)key, (void)value;
    part->behaviour = FV_REMOVED;
    part->invert = true;
    FV_TRY(fv_buf_puts(&pattern, "[\\p{Han}\\p{Hiragana}\\p{Katakana}\\x{30FC}][\\p{Han}\\p{Hiragana}\\p{Katakana}\\x{30FC} \\p{Cn}\\p{Co}]*", s->err));
    for (size_t i = 0; i < FV_COUNT(scripts); i++)
        FV_TRY(fv_buf_printf(&pattern, s->err, "|(?![\\x{30FC} ])[\\p{sc:%s}](?:(?!\\x{30FC})[\\p{sc:%s} \\p{Cn}\\p{Co}])*", scripts[i], scripts[i]));
    status = fv_splitter_init(&part->pattern.regex, pattern.data, s->where, s->err);
done:
    fv_buf_release(&pattern);
    return status;
}

/* ---- A list ------------------------------------------------------------------------------- */

fv_status fv_parts_split(fv_cutting *c, const fv_parts *parts, const char *text, size_t len, bool first, fv_err *err)
{
    fv_status status = FV_OK;
    c->first = first;
    c->most = fv_parts_most(len);
    c->n_more = c->text.n_spans = 0;
    c->text.data = text;
    c->text.len = len;
    FV_TRY(fv_normalized_span(&c->text, 0, 0, true, err));
    FV_TRY(add_cut(c, 0, len, err));
    c->text.spans[0].out = 0;
    take_cuts(c);
    for (size_t i = 0; i < parts->splits.n; i++) FV_TRY(parts->splits.items[i].kind->split(&parts->splits.items[i], c, err));
done:
    return status;
}

void fv_cutting_release(fv_cutting *c)
{
    fv_normalized_release(&c->text);
    fv_normalized_release(&c->next);
    pcre2_match_data_free(c->match);
    fv_free(c->cuts);
    fv_free(c->more);
    *c = (fv_cutting){0};
}

const fv_part_kind fv_split_kinds[] = {
    {.type = "BertPreTokenizer", .read = read_white, .split = run_bert},
    {.type = "Whitespace", .split = run_whitespace},
    {.type = "WhitespaceSplit", .read = read_white, .split = run_split},
    {.type = "Punctuation", .read = read_punctuation, .split = run_split},
    {.type = "Digits", .read = read_digits, .split = run_split},
    {.type = "CharDelimiterSplit", .read = read_delimiter, .split = run_split},
    {.type = "Split", .read = read_split, .split = run_split},
    {.type = "UnicodeScripts", .read = read_scripts, .split = run_split},
    {.type = "FixedLength", .read = read_length, .split = run_length},
    {.type = "Metaspace", .read = read_metaspace, .split = run_metaspace},
    {.type = "ByteLevel", .read = read_byte_level, .split = run_byte_level},
    {0},
};
