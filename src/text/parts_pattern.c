/* Patterns of tokenizer.json, and where a text matches them.
 *
 * They are written for Oniguruma with Ruby's syntax, and run by pcre2. The two mean different things by some of the same
 * signs: those are rewritten here, and what cannot be is refused by name. The fewest of published patterns have any but \s.
 *
 * The trap: patterns come from strangers, so matching is bounded (split.c sets the limits). */
#include <string.h>

#include "text/parts.h"

#define SPACE "\\x09-\\x0D\\x{85}\\p{Z}"
#define WORD "\\p{L}\\p{M}\\p{N}\\p{Pc}\\x{24B6}-\\x{24E9}"

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

/* Oniguruma means the script, pcre2 all characters that the script shares with others. */
static fv_status put_property(rewriter *r)
{
    static const char *const scripts[] = {"Han", "Hiragana", "Katakana", "Hangul", "Latin", "Greek", "Cyrillic", "Arabic", "Hebrew", "Thai", "Devanagari", "Bengali", "Tamil"};
    const char *end = strchr(r->p, '}'), *name = r->p + 3;
    if (r->p[2] != '{' || !end) return refuse(r, "\\p without a name in braces");
    size_t len = (size_t)(end - name);
    bool script = false;
    for (size_t i = 0; i < FV_COUNT(scripts); i++) script |= strlen(scripts[i]) == len && memcmp(scripts[i], name, len) == 0;
    fv_status status = fv_buf_printf(r->out, r->err, "\\%c{%s%.*s}", r->p[1], script ? "sc:" : "", (int)len, name);
    r->p = end + 1;
    return status;
}

static fv_status put_set(rewriter *r, const char *set, bool negated)
{
    r->p += 2;
    if (r->in_class && negated) return refuse(r, "\\W or \\H in brackets");
    if (r->in_class) return fv_buf_puts(r->out, set, r->err);
    return fv_buf_printf(r->out, r->err, "[%s%s]", negated ? "^" : "", set);
}

static fv_status put_escape(rewriter *r)
{
    switch (r->p[1]) {
    case 0: return refuse(r, "\\ at its end");
    case 's': return put_set(r, SPACE, false);
    case 'S': if (r->in_class) break; return put_set(r, SPACE, true);
    case 'w': return put_set(r, WORD, false);
    case 'W': return put_set(r, WORD, true);
    case 'h': return put_set(r, "0-9A-Fa-f", false);
    case 'H': return put_set(r, "0-9A-Fa-f", true);
    case 'p': case 'P': return put_property(r);
    case 'y': case 'Y': case 'O': return refuse(r, "\\y, \\Y or \\O");
    }
    fv_status status = fv_buf_add(r->out, r->p, 2, r->err);
    r->p += 2;
    return status;
}

/* A bracket in brackets is a set in a set there, and itself here; [:alpha:] is alike in both. */
static fv_status put_in_class(rewriter *r)
{
    if (r->p[0] == '[' && r->p[1] != ':') return refuse(r, "[ in brackets");
    if (r->p[0] == '&' && r->p[1] == '&') return refuse(r, "&& in brackets");
    const char *close = r->p[0] == '[' ? strstr(r->p, ":]") : NULL;
    size_t n = close ? (size_t)(close + 2 - r->p) : 1;
    if (r->p[0] == ']') r->in_class = false;
    fv_status status = fv_buf_add(r->out, r->p, n, r->err);
    r->p += n;
    return status;
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
