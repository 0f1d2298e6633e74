/* Patterns of tokenizer.json, and where a text matches them.
 *
 * They are written for Oniguruma with Ruby's syntax, and run by pcre2. The two mean different things by some of the same
 * signs: those are rewritten here, and what cannot be is refused by name. The fewest of published patterns have any but \s.
 *
 * The trap: patterns come from strangers, so matching is bounded (split.c sets the limits). */
#include <string.h>
#include <strings.h>

#include "text/parts.h"

#define SPACE "\\x09-\\x0D\\x{85}\\p{Z}"
#define LETTER_LIKE "\\x{24B6}-\\x{24E9}\\x{1F130}-\\x{1F149}\\x{1F150}-\\x{1F169}\\x{1F170}-\\x{1F189}"
#define WORD "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}" LETTER_LIKE
/* Oniguruma's \w outside brackets goes by an older table below U+0100, which has ² ³ ¹ ¼ ½ ¾. */
#define LONE_WORD WORD "\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}"
#define AT_WORD "(?:(?<=[" LONE_WORD "])(?![" LONE_WORD "])|(?<![" LONE_WORD "])(?=[" LONE_WORD "]))"
#define NOT_AT_WORD "(?:(?<=[" LONE_WORD "])(?=[" LONE_WORD "])|(?<![" LONE_WORD "])(?![" LONE_WORD "]))"

/* Sets by name, as [:name:] and \p{name}; what pcre2 calls as Oniguruma does is not among them. */
static const struct { const char *name, *set; } sets[] = {
    {"alnum", "\\p{Alphabetic}\\p{Nd}"}, {"alpha", "\\p{Alphabetic}"}, {"blank", "\\x09\\p{Zs}"}, {"cntrl", "\\p{Cc}"}, {"digit", "\\p{Nd}"},
    {"graph", "\\p{L}\\p{M}\\p{N}\\p{P}\\p{S}\\p{Cf}\\p{Co}"}, {"lower", "\\p{Lowercase}"}, {"print", "\\p{L}\\p{M}\\p{N}\\p{P}\\p{S}\\p{Cf}\\p{Co}\\p{Zs}"},
    {"punct", "\\p{P}\\p{S}"}, {"space", SPACE}, {"upper", "\\p{Uppercase}"}, {"word", WORD}, {"xdigit", "0-9A-Fa-f"},
    {"letter", "\\p{L}"}, {"uppercase_letter", "\\p{Lu}"}, {"lowercase_letter", "\\p{Ll}"}, {"titlecase_letter", "\\p{Lt}"}, {"modifier_letter", "\\p{Lm}"},
    {"other_letter", "\\p{Lo}"}, {"mark", "\\p{M}"}, {"nonspacing_mark", "\\p{Mn}"}, {"number", "\\p{N}"}, {"decimal_number", "\\p{Nd}"},
    {"letter_number", "\\p{Nl}"}, {"other_number", "\\p{No}"}, {"punctuation", "\\p{P}"}, {"symbol", "\\p{S}"}, {"separator", "\\p{Z}"},
    {"space_separator", "\\p{Zs}"}, {"other", "\\p{C}"}, {"control", "\\p{Cc}"}, {"format", "\\p{Cf}"},
};

/* ---- Rewriting ---------------------------------------------------------------------------- */

/* A pattern in work. */
typedef struct rewriter {
    const char *p;
    fv_buf *out;
    bool in_class;
    const char *where;
    fv_err *err;
} rewriter;

static fv_status refuse(const rewriter *r, const char *what)
{
    return FV_FAIL(r->err, FV_E_FORMAT, "%s: the pre_tokenizer's pattern is not understood: it has %s, which is not supported here", r->where, what);
}

static const char *set_named(const char *name, size_t len)
{
    for (size_t i = 0; i < FV_COUNT(sets); i++)
        if (strlen(sets[i].name) == len && strncasecmp(sets[i].name, name, len) == 0) return sets[i].set;
    return NULL;
}

/* A set in the place of the pattern's next n bytes. */
static fv_status put_set(rewriter *r, const char *set, bool negated, size_t n)
{
    if (r->in_class && negated) return refuse(r, "the complement of a set (as \\W, \\H, [:^alpha:]) in brackets");
    r->p += n;
    if (r->in_class) return fv_buf_puts(r->out, set, r->err);
    return fv_buf_printf(r->out, r->err, "[%s%s]", negated ? "^" : "", set);
}

/* Oniguruma means the script, pcre2 all characters that the script shares with others. */
static bool is_script(const char *name, size_t len)
{
    static const char *const scripts[] = {"Han", "Hiragana", "Katakana", "Hangul", "Latin", "Greek", "Cyrillic", "Arabic", "Hebrew", "Thai", "Devanagari", "Bengali", "Tamil"};
    for (size_t i = 0; i < FV_COUNT(scripts); i++)
        if (strlen(scripts[i]) == len && memcmp(scripts[i], name, len) == 0) return true;
    return false;
}

/* \p{Punct} is less than [:punct:]. */
static const char *property_named(const char *name, size_t len)
{
    return len == 5 && strncasecmp(name, "punct", len) == 0 ? "\\p{P}" : set_named(name, len);
}

static fv_status put_property(rewriter *r)
{
    const char *name = r->p + 3, *end = strchr(r->p, '}');
    if (r->p[2] != '{' || !end) return refuse(r, "\\p without a name in braces");
    bool negated = r->p[1] == 'P';
    if (*name == '^') negated = !negated, name++;
    size_t len = (size_t)(end - name);
    const char *set = property_named(name, len);
    if (set) return put_set(r, set, negated, (size_t)(end + 1 - r->p));
    r->p = end + 1;
    return fv_buf_printf(r->out, r->err, "\\%c{%s%.*s}", negated ? 'P' : 'p', is_script(name, len) ? "sc:" : "", (int)len, name);
}

/* \b in brackets is the backspace, for both. */
static fv_status put_boundary(rewriter *r)
{
    bool inside = r->p[1] == 'B';
    r->p += 2;
    return fv_buf_puts(r->out, r->in_class ? inside ? "B" : "\\b" : inside ? NOT_AT_WORD : AT_WORD, r->err);
}

static fv_status put_escape(rewriter *r)
{
    switch (r->p[1]) {
    case 0: return refuse(r, "\\ at its end");
    case 's': return put_set(r, SPACE, false, 2);
    case 'S': if (r->in_class) break; return put_set(r, SPACE, true, 2);
    case 'w': return put_set(r, r->in_class ? WORD : LONE_WORD, false, 2);
    case 'W': return put_set(r, LONE_WORD, true, 2);
    case 'h': return put_set(r, "0-9A-Fa-f", false, 2);
    case 'H': return put_set(r, "0-9A-Fa-f", true, 2);
    case 'b': case 'B': return put_boundary(r);
    case 'p': case 'P': return put_property(r);
    case 'y': case 'Y': case 'O': return refuse(r, "\\y, \\Y or \\O");
    }
    fv_status status = fv_buf_add(r->out, r->p, 2, r->err);
    r->p += 2;
    return status;
}

/* [:name:] */
static fv_status put_posix(rewriter *r)
{
    const char *name = r->p + 2, *end = strstr(name, ":]");
    bool negated = *name == '^';
    name += negated;
    const char *set = end ? set_named(name, (size_t)(end - name)) : NULL;
    return set ? put_set(r, set, negated, (size_t)(end + 2 - r->p)) : refuse(r, "[: in brackets without the name of a set");
}

/* A bracket in brackets is a set in a set there, and itself here. */
static fv_status put_in_class(rewriter *r)
{
    if (r->p[0] == '[') return r->p[1] == ':' ? put_posix(r) : refuse(r, "[ in brackets");
    if (r->p[0] == '&' && r->p[1] == '&') return refuse(r, "&& in brackets");
    if (r->p[0] == ']') r->in_class = false;
    return fv_buf_putc(r->out, *r->p++, r->err);
}

static size_t class_opening(const char *p)
{
    size_t n = 1 + (p[1] == '^');
    return p[n] == ']' ? n + 1 : n; /* a first ] is itself */
}

/* (?m means that . matches line breaks, there; ^ and $ are of lines without it. */
static bool sets_m(const char *p)
{
    if (p[0] != '(' || p[1] != '?') return false;
    for (p += 2; *p && strchr("imx-", *p); p++)
        if (*p == 'm') return true;
    return false;
}

static fv_status put_outside(rewriter *r)
{
    size_t n = 1;
    if (sets_m(r->p)) return refuse(r, "(?m");
    if (r->p[0] == '{' && r->p[1] == ',') return refuse(r, "{,");
    if (r->p[0] == '(' && r->p[1] == '*') return refuse(r, "(*");
    if (r->p[0] == '[') n = class_opening(r->p), r->in_class = true;
    fv_status status = fv_buf_add(r->out, r->p, n, r->err);
    r->p += n;
    return status;
}

fv_status fv_pattern_rewrite(const char *pattern, const char *where, fv_buf *out, fv_err *err)
{
    rewriter r = {.p = pattern, .out = out, .where = where, .err = err};
    fv_status status = fv_buf_reserve(out, strlen(pattern) + 1, err);
    while (*r.p && status == FV_OK) status = *r.p == '\\' ? put_escape(&r) : r.in_class ? put_in_class(&r) : put_outside(&r);
    return status;
}

/* ---- Reading ------------------------------------------------------------------------------ */

fv_status fv_pattern_read(const fv_json_source *s, const char *key, const json_t *value, fv_pattern *out)
{
    const json_t *regex = json_object_get(value, "Regex"), *text = json_object_get(value, "String");
    if (json_is_string(regex)) return fv_splitter_init(&out->regex, json_string_value(regex), s->where, s->err);
    if (!json_is_string(text) || json_string_length(text) == 0) return fv_part_refuse(s, key, "pattern", value, "{\"String\": text} or {\"Regex\": a pattern}");
    out->literal_len = json_string_length(text);
    out->literal = fv_arena_strndup(&s->t->arena, json_string_value(text), out->literal_len, s->err);
    return out->literal ? FV_OK : FV_E_MEMORY;
}

void fv_pattern_release(fv_pattern *pattern)
{
    fv_splitter_release(&pattern->regex);
    *pattern = (fv_pattern){0};
}

/* ---- Matching ----------------------------------------------------------------------------- */

static int next_literal(fv_matches *m, size_t *begin, size_t *end)
{
    const char *found = memmem(m->text + m->search, m->len - m->search, m->pattern->literal, m->pattern->literal_len);
    if (!found) return 0;
    *begin = (size_t)(found - m->text);
    *end = m->search = *begin + m->pattern->literal_len;
    return 1;
}

/* An empty match counts unless one has just ended there, as Oniguruma's callers do. */
int fv_matches_next(fv_matches *m, size_t *begin, size_t *end, fv_err *err)
{
    if (!m->pattern->regex.pattern) return next_literal(m, begin, end);
    while (m->search <= m->len) {
        int found = fv_splitter_match(&m->pattern->regex, m->match, m->text, m->len, m->search, begin, end, err);
        if (found <= 0) return found;
        if (*begin == *end && m->any && *end == m->last_end) {
            m->search += m->search < m->len ? (size_t)fv_utf8_len(m->text + m->search, m->text + m->len) : 1;
            continue;
        }
        m->search = m->last_end = *end;
        m->any = true;
        return 1;
    }
    return 0;
}
