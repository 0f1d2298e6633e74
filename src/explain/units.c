/* Words as people see them: runs of letters and digits, marks, single Chinese characters. The text alone decides, so that words are
 * the same for every tokenizer; a token that reaches over several gives each its share by bytes.
 *
 * The trap: bytes need not be UTF-8, nor end in a zero byte. What is no character joins what stands before it. */
#include <string.h>
#include <utf8proc.h>

#include "explain/explain.h"

/* ---- Words ---- */

enum { BLANK, WORDY, MARK, IDEOGRAPH, INNER };

static bool is_ideograph(int32_t c) { return (c >= 0x3040 && c <= 0x9fff) || (c >= 0xf900 && c <= 0xfaff) || c >= 0x20000; }

/* What the character at p is: of a word, a word by itself, between words, or joined to whatever stands before it. */
static int kind_of(const char *p, const char *end, int *len)
{
    int32_t c = 0;
    *len = fv_utf8_len(p, end);
    if (*len == 0) return *len = 1, WORDY;
    utf8proc_iterate((const uint8_t *)p, *len, &c);
    if (c == '\'' || c == '_' || c == 0x2019) return WORDY;
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_ZS: case UTF8PROC_CATEGORY_ZL: case UTF8PROC_CATEGORY_ZP: return BLANK;
    case UTF8PROC_CATEGORY_CC: return c == 0 || c > 0x20 ? MARK : BLANK;
    case UTF8PROC_CATEGORY_MN: case UTF8PROC_CATEGORY_MC: case UTF8PROC_CATEGORY_ME: case UTF8PROC_CATEGORY_CF: return INNER;
    case UTF8PROC_CATEGORY_LU: case UTF8PROC_CATEGORY_LL: case UTF8PROC_CATEGORY_LT: case UTF8PROC_CATEGORY_LM: case UTF8PROC_CATEGORY_LO:
        return is_ideograph(c) ? IDEOGRAPH : WORDY;
    case UTF8PROC_CATEGORY_ND: case UTF8PROC_CATEGORY_NL: case UTF8PROC_CATEGORY_NO: return WORDY;
    default: return MARK;
    }
}

static fv_status add_unit(fv_units *u, uint32_t begin, uint32_t end, int part, fv_err *err)
{
    fv_status status = fv_grow(&u->items, &u->capacity, u->n + 1, sizeof *u->items, err);
    if (status == FV_OK) u->items[u->n++] = (fv_explained_word){.begin = begin, .end = end, .part = part};
    return status;
}

static fv_status find_in(fv_units *u, const char *text, size_t len, int part, fv_err *err)
{
    int before = BLANK, n;
    for (size_t at = 0; at < len; at += (size_t)n) {
        int kind = kind_of(text + at, text + len, &n);
        if (kind == INNER && before == BLANK) kind = WORDY;
        uint32_t end = (uint32_t)at + (uint32_t)n;
        if (kind == INNER || (kind == WORDY && before == WORDY)) u->items[u->n - 1].end = end;
        else if (kind != BLANK) {
            fv_status status = add_unit(u, (uint32_t)at, end, part, err);
            if (status != FV_OK) return status;
        }
        if (kind != INNER) before = kind;
    }
    return FV_OK;
}

fv_status fv_units_find(fv_units *u, const fv_text *text, fv_err *err)
{
    fv_status status = FV_OK;
    u->n = 0;
    FV_TRY(find_in(u, text->text, text->len, 0, err));
    if (text->text2) FV_TRY(find_in(u, text->text2, text->len2, 1, err));
done:
    return status;
}

void fv_units_release(fv_units *u)
{
    fv_free(u->items);
    *u = (fv_units){0};
}

size_t fv_units_at(const fv_units *u, int part, uint32_t at)
{
    size_t low = 0, high = u->n;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        const fv_explained_word *w = &u->items[middle];
        if (w->part < part || (w->part == part && w->begin <= at)) low = middle;
        else high = middle;
    }
    return low;
}

fv_text fv_units_measured(const fv_text *text)
{
    fv_text t = *text;
    if (!t.text) t.text = "";
    if (!t.len) t.len = strlen(t.text);
    if (t.text2 && !t.len2) t.len2 = strlen(t.text2);
    return t;
}

/* ---- Texts with words left out ---- */

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Whether the last character of what was written and the first of what follows are letters of words. */
static bool grows_together(const char *written, size_t len, const char *next, const char *end)
{
    size_t at = len;
    int n;
    while (at > 0 && len - at < 4 && (at == len || ((unsigned char)written[at] & 0xc0) == 0x80)) at--;
    return at < len && next < end && kind_of(written + at, written + len, &n) == WORDY && kind_of(next, end, &n) == WORDY;
}

/* What stood between words is copied; of the blanks around a hole one side stays. */
static size_t copy_kept(char *out, const char *text, size_t len, const fv_explained_word *words, size_t n, const bool *keep)
{
    size_t at = 0, to = 0;
    for (size_t i = 0; i < n; i++) {
        if (keep[i]) continue;
        size_t between = words[i].begin - at;
        memcpy(out + to, text + at, between);
        to += between;
        at = words[i].end;
        bool open = to == 0 || is_blank(out[to - 1]);
        if (open && at < len && is_blank(text[at])) at++;
        else if (grows_together(out, to, text + at, text + len)) out[to++] = ' ';
    }
    memcpy(out + to, text + at, len - at);
    to += len - at;
    if (n > 0 && !keep[n - 1])
        while (to > 0 && is_blank(out[to - 1])) to--;
    out[to] = 0;
    return to;
}

/* A hole takes a byte at least, which pays for the blank that it may leave. */
fv_status fv_units_without(const fv_units *u, const fv_text *text, const bool *keep, fv_arena *arena, fv_text *out, fv_err *err)
{
    size_t first = 0;
    *out = (fv_text){0};
    while (first < u->n && u->items[first].part == 0) first++;
    char *one = fv_arena_alloc_small(arena, text->len + 1, err), *two = text->text2 ? fv_arena_alloc_small(arena, text->len2 + 1, err) : NULL;
    if (!one || (text->text2 && !two)) return FV_E_MEMORY;
    out->text = one;
    out->len = copy_kept(one, text->text, text->len, u->items, first, keep);
    out->text2 = two;
    if (two) out->len2 = copy_kept(two, text->text2, text->len2, u->items + first, u->n - first, keep + first);
    return FV_OK;
}

/* ---- Shares ---- */

static fv_status add_share(fv_shares *s, size_t token, int32_t word, double share, fv_err *err)
{
    fv_status status = fv_grow(&s->items, &s->capacity, s->n + 1, sizeof *s->items, err);
    if (status == FV_OK) s->items[s->n++] = (fv_share){.token = (int32_t)token, .word = word, .share = share};
    return status;
}

static uint32_t common(const fv_explained_word *w, uint32_t begin, uint32_t end)
{
    uint32_t low = w->begin > begin ? w->begin : begin, high = w->end < end ? w->end : end;
    return low < high ? high - low : 0;
}

/* The first word that ends behind byte `at` of a part, or n. */
static size_t first_behind(const fv_units *u, int part, uint32_t at)
{
    size_t i = fv_units_at(u, part, at);
    return u->items[i].part < part || (u->items[i].part == part && u->items[i].end <= at) ? i + 1 : i;
}

/* A token of blanks alone goes to the word behind it, or before it where there is none. */
static fv_status share_token(fv_shares *s, const fv_units *u, const fv_encoding *e, size_t token, fv_err *err)
{
    fv_status status = FV_OK;
    int part = e->types[token] != 0;
    uint32_t begin = e->begins[token], end = e->ends[token], bytes = 0;
    if (begin == end || u->n == 0) return add_share(s, token, -1, 1, err);
    size_t first = first_behind(u, part, begin), last = first;
    for (; last < u->n && u->items[last].part == part && u->items[last].begin < end; last++) bytes += common(&u->items[last], begin, end);
    if (bytes == 0) return add_share(s, token, (int32_t)(first < u->n && (first == 0 || u->items[first].part == part) ? first : first - 1), 1, err);
    for (size_t i = first; i < last; i++) FV_TRY(add_share(s, token, (int32_t)i, (double)common(&u->items[i], begin, end) / bytes, err));
done:
    return status;
}

fv_status fv_shares_find(fv_shares *s, const fv_units *u, const fv_encoding *e, fv_err *err)
{
    fv_status status = FV_OK;
    s->n = 0;
    for (size_t i = 0; i < e->n; i++) FV_TRY(share_token(s, u, e, i, err));
done:
    return status;
}

void fv_shares_release(fv_shares *s)
{
    fv_free(s->items);
    *s = (fv_shares){0};
}

void fv_shares_add(const fv_shares *s, const double *tokens, double *words)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->items[i].word >= 0) words[s->items[i].word] += s->items[i].share * tokens[s->items[i].token];
}
