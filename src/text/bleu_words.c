/* What BLEU counts as words. Counting is bleu.c's.
 *
 * A figure is worth comparing only if everybody cuts alike, so these are sacreBLEU's rules, oddities
 * included. Each rule is one walk from left to right that puts blanks around what it looks for: either a
 * character of one kind, or two neighbours of two kinds, and what was matched is not looked at again by the
 * same rule. That is why "1,,2" comes out as it does, and why the order of the rules matters. */
#include <string.h>
#include <utf8proc.h>

#include "text/overlap.h"

/* ---- Kinds of characters ------------------------------------------------------------------ */

typedef bool (*kind)(uint32_t c);

static bool is_digit(uint32_t c) { return c >= '0' && c <= '9'; }
static bool not_digit(uint32_t c) { return !is_digit(c); }
static bool is_point(uint32_t c) { return c == '.' || c == ','; }
static bool is_dash(uint32_t c) { return c == '-'; }

/* ASCII's marks but for ' , - . which may be parts of words and numbers. */
static bool is_mark(uint32_t c)
{
    return (c >= ' ' && c <= '&') || (c >= '(' && c <= '+') || c == '/' || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

static utf8proc_category_t category(uint32_t c) { return utf8proc_category((utf8proc_int32_t)c); }

static bool not_number(uint32_t c)
{
    utf8proc_category_t k = category(c);
    return k < UTF8PROC_CATEGORY_ND || k > UTF8PROC_CATEGORY_NO;
}

static bool is_punctuation(uint32_t c)
{
    utf8proc_category_t k = category(c);
    return k >= UTF8PROC_CATEGORY_PC && k <= UTF8PROC_CATEGORY_PO;
}

static bool is_symbol(uint32_t c)
{
    utf8proc_category_t k = category(c);
    return k >= UTF8PROC_CATEGORY_SM && k <= UTF8PROC_CATEGORY_SO;
}

static bool is_chinese(uint32_t c)
{
    /* The first range is an accident that everybody's figures contain: sacreBLEU writes extension B as "\u20000"
     * to "\u2a6d6", which Python reads as U+2000 and U+2A6D with a digit behind, and so takes dashes, quotes and
     * arrows for Chinese, and extension B not. */
    static const struct { uint32_t first, last; } ranges[] = {
        {0x2001, 0x2a6d}, {0x2e80, 0x2fdf}, {0x2ff0, 0x303f}, {0x3100, 0x312f}, {0x31a0, 0x31bf}, {0x31c0, 0x31ef}, {0x3200, 0x4db5},
        {0x4e00, 0x9fbb}, {0xf900, 0xfa2d}, {0xfa30, 0xfa6a}, {0xfa70, 0xfad9}, {0xfe10, 0xfe1f}, {0xfe30, 0xfe4f}, {0xff00, 0xffef},
    };
    for (size_t i = 0; i < FV_COUNT(ranges); i++)
        if (c >= ranges[i].first && c <= ranges[i].last) return true;
    return false;
}

/* ---- Lower case --------------------------------------------------------------------------- */

#define CAPITAL_I_DOT 0x130 /* the one character whose lower case is two */
#define CAPITAL_SIGMA 0x3a3
#define FINAL_SIGMA 0x3c2

static bool is_cased(uint32_t c)
{
    utf8proc_category_t k = category(c);
    return k == UTF8PROC_CATEGORY_LU || k == UTF8PROC_CATEGORY_LL || k == UTF8PROC_CATEGORY_LT;
}

/* Marks and signs inside words. */
static bool is_seen_through(uint32_t c)
{
    switch (category(c)) {
    case UTF8PROC_CATEGORY_MN: case UTF8PROC_CATEGORY_ME: case UTF8PROC_CATEGORY_CF: case UTF8PROC_CATEGORY_LM: case UTF8PROC_CATEGORY_SK: return true;
    default: return c == '\'' || c == '.' || c == ':' || c == 0xb7 || c == 0x387 || c == 0x2018 || c == 0x2019 || c == 0x2024 || c == 0x2027;
    }
}

static const char *character_before(const char *begin, const char *p)
{
    const char *q = p - 1;
    while (q > begin && p - q < 4 && ((unsigned char)*q & 0xc0) == 0x80) q--;
    return fv_utf8_len(q, p) == p - q ? q : p - 1;
}

/* Whether a letter comes next, forwards from `p` or backwards. */
static bool letter_follows(const char *p, const char *end)
{
    int n;
    for (; p < end; p += n) {
        uint32_t c = fv_char_at(p, end, &n);
        if (!is_seen_through(c)) return is_cased(c);
    }
    return false;
}

static bool letter_precedes(const char *begin, const char *p)
{
    int n;
    while (p > begin) {
        const char *end = p;
        p = character_before(begin, p);
        uint32_t c = fv_char_at(p, end, &n);
        if (!is_seen_through(c)) return is_cased(c);
    }
    return false;
}

static fv_status add_point(fv_buf *out, uint32_t point, fv_err *err)
{
    utf8proc_uint8_t bytes[4];
    utf8proc_ssize_t n = utf8proc_encode_char((utf8proc_int32_t)point, bytes);
    return fv_buf_add(out, bytes, (size_t)n, err);
}

static uint32_t lower_of(const char *text, const char *p, int n, const char *end, uint32_t c)
{
    if (c == CAPITAL_SIGMA && letter_precedes(text, p) && !letter_follows(p + n, end)) return FINAL_SIGMA;
    return (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
}

fv_status fv_text_lower(fv_buf *out, const char *text, size_t len, fv_err *err)
{
    fv_status status = FV_OK;
    out->len = 0;
    int n = 0;
    for (const char *p = text, *end = text + len; p < end; p += n) {
        uint32_t c = fv_char_at(p, end, &n);
        if (c < 0x80) FV_TRY(fv_buf_putc(out, (char)(c >= 'A' && c <= 'Z' ? c + 32 : c), err));
        else if (c > 0x10ffff) FV_TRY(fv_buf_putc(out, *p, err));
        else if (c == CAPITAL_I_DOT) FV_TRY(fv_buf_add(out, "i\xcc\x87", 3, err));
        else FV_TRY(add_point(out, lower_of(text, p, n, end, c), err));
    }
done:
    return status;
}

/* ---- Rules -------------------------------------------------------------------------------- */

/* Puts texts before the first character of a match, between it and the second, and behind the last. */
typedef struct rule {
    kind first, second; /* second NULL: a match is one character */
    const char *before, *between, *behind;
} rule;

static const rule western[] = {
    {is_mark, NULL, " ", "", " "},
    {not_digit, is_point, "", " ", " "},
    {is_point, not_digit, " ", " ", ""},
    {is_digit, is_dash, "", " ", " "},
};

static const rule international[] = {
    {not_number, is_punctuation, "", " ", " "},
    {is_punctuation, not_number, " ", " ", ""},
    {is_symbol, NULL, " ", "", " "},
};

static const rule chinese[] = {{is_chinese, NULL, " ", "", " "}};

/* Bytes of the rule's match at p; *first those of its first character. 0: no match. */
static int match(const rule *r, const char *p, const char *end, int *first)
{
    int second = 0;
    if (!r->first(fv_char_at(p, end, first))) return 0;
    if (!r->second) return *first;
    if (p + *first == end || !r->second(fv_char_at(p + *first, end, &second))) return 0;
    return *first + second;
}

static void swap(fv_overlap *room)
{
    fv_buf text = room->text;
    room->text = room->other;
    room->other = text;
}

/* room->text by the rule, through room->other. */
static fv_status apply(fv_overlap *room, const rule *r, fv_err *err)
{
    fv_status status = FV_OK;
    fv_buf *out = &room->other;
    int first = 0, n;
    out->len = 0;
    for (const char *p = room->text.data, *end = p + room->text.len; p < end; p += n) {
        n = match(r, p, end, &first);
        if (!n) {
            n = first;
            FV_TRY(fv_buf_add(out, p, (size_t)n, err));
            continue;
        }
        FV_TRY(fv_buf_puts(out, r->before, err));
        FV_TRY(fv_buf_add(out, p, (size_t)first, err));
        FV_TRY(fv_buf_puts(out, r->between, err));
        FV_TRY(fv_buf_add(out, p + first, (size_t)(n - first), err));
        FV_TRY(fv_buf_puts(out, r->behind, err));
    }
    swap(room);
done:
    return status;
}

static fv_status apply_all(fv_overlap *room, const rule *rules, size_t n, fv_err *err)
{
    fv_status status = FV_OK;
    for (size_t i = 0; i < n && status == FV_OK; i++) status = apply(room, &rules[i], err);
    return status;
}

/* Every `sought` of room->text becomes `put`. */
static fv_status replace(fv_overlap *room, const char *sought, const char *put, fv_err *err)
{
    fv_status status = FV_OK;
    fv_buf *in = &room->text, *out = &room->other;
    const char *p = in->data, *end = p + in->len, *found = memmem(p, in->len, sought, strlen(sought));
    if (!found) return FV_OK;
    out->len = 0;
    for (; found; found = memmem(p, (size_t)(end - p), sought, strlen(sought))) {
        FV_TRY(fv_buf_add(out, p, (size_t)(found - p), err));
        FV_TRY(fv_buf_puts(out, put, err));
        p = found + strlen(sought);
    }
    FV_TRY(fv_buf_add(out, p, (size_t)(end - p), err));
    swap(room);
done:
    return status;
}

/* ---- Cuts --------------------------------------------------------------------------------- */

/* What NIST's evaluation data had in it besides text. One after the other: "&amp;lt;" ends as "<". */
static fv_status clean_13a(fv_overlap *room, fv_err *err)
{
    static const char *const steps[][2] = {{"<skipped>", ""}, {"-\n", ""}, {"\n", " "}, {"&quot;", "\""}, {"&amp;", "&"}, {"&lt;", "<"}, {"&gt;", ">"}};
    fv_status status = FV_OK;
    for (size_t i = 0; i < FV_COUNT(steps) && status == FV_OK; i++) status = replace(room, steps[i][0], steps[i][1], err);
    return status;
}

static size_t blanks_at_begin(const char *text, size_t len)
{
    const char *p = text, *end = text + len;
    for (int n; p < end && fv_char_is_blank(fv_char_at(p, end, &n)); p += n) {}
    return (size_t)(p - text);
}

static size_t without_blanks_at_end(const char *text, size_t len)
{
    int n;
    for (const char *end = text + len, *p; end > text; end = p) {
        p = character_before(text, end);
        if (!fv_char_is_blank(fv_char_at(p, end, &n))) return (size_t)(end - text);
    }
    return 0;
}

/* room->text: the text in its case, without blanks at its end (for zh at both). 13a puts one at either: there a
 * point at the end is a mark, whatever stands before it. */
static fv_status begin(fv_overlap *room, fv_bleu_cut cut, bool lower, const char *text, size_t len, fv_err *err)
{
    fv_status status = FV_OK;
    const char *edge = cut == FV_BLEU_13A ? " " : "";
    if (lower) {
        FV_TRY(fv_text_lower(&room->other, text, len, err));
        text = room->other.data;
        len = room->other.len;
    }
    len = without_blanks_at_end(text, len);
    size_t from = cut == FV_BLEU_ZH ? blanks_at_begin(text, len) : 0;
    room->text.len = 0;
    FV_TRY(fv_buf_puts(&room->text, edge, err));
    FV_TRY(fv_buf_add(&room->text, text + from, len - from, err));
    FV_TRY(fv_buf_puts(&room->text, edge, err));
done:
    return status;
}

fv_status fv_bleu_words(fv_overlap *room, fv_bleu_cut cut, bool lower, const char *text, size_t len, fv_err *err)
{
    fv_status status = begin(room, cut, lower, text, len, err);
    if (status != FV_OK) return status;
    switch (cut) {
    case FV_BLEU_13A:
        FV_TRY(clean_13a(room, err));
        return apply_all(room, western, FV_COUNT(western), err);
    case FV_BLEU_ZH:
        FV_TRY(apply_all(room, chinese, FV_COUNT(chinese), err));
        return apply_all(room, western, FV_COUNT(western), err);
    case FV_BLEU_INTL: return apply_all(room, international, FV_COUNT(international), err);
    case FV_BLEU_CHAR: case FV_BLEU_NONE: break;
    }
done:
    return status;
}

#define CUT_NAME(name, text) [name] = text,
static const char *const cut_names[] = {FV_BLEU_CUT_LIST(CUT_NAME)};
#undef CUT_NAME

const char *fv_bleu_cut_name(fv_bleu_cut cut) { return cut_names[cut]; }

int fv_bleu_cut_parse(const char *name)
{
    for (size_t i = 0; i < FV_COUNT(cut_names); i++)
        if (strcmp(name, cut_names[i]) == 0) return (int)i;
    return -1;
}
