/* Making the table by which SentencePiece normalises: what each character becomes, and each letter with the marks that
 * compose with it, in a double array (Aoe 1989).
 *
 * A node's children lie at base ^ label, all within 256 units of each other; bases are never shared, or a walk could
 * stray into another node's children. The label 0 is the end of an entry, and its unit holds the value. Unused units get
 * bit 31 and so match no byte, a zero byte included. */
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "text/sentencepiece.h"

#define POINTS_END 0x110000
#define HANGUL_BEGIN 0xAC00
#define HANGUL_END 0xD7A4
#define POINTS_MAX 32  /* of a decomposition; the longest has 18 */
#define BLOCK 256      /* units are added so many at a time: readers expect it */
#define UNITS_MAX (1u << 21) /* offsets beyond would need the wide form */
#define UNUSED 0x80000000u
#define LEAF 0x100u

typedef struct rule {
    const char *from, *to;
    uint32_t from_len, to_len;
    uint32_t value; /* where `to` lies in the strings */
} rule;

typedef struct maker {
    fv_arena texts;
    rule *rules;
    size_t n, capacity;
    fv_normalized normalized; /* scratch */
    fv_normalizer how;
    bool clean; /* white space and control characters too */
    uint32_t *units;
    uint8_t *taken; /* by a unit, by a base */
    size_t n_units, units_capacity, taken_capacity;
    size_t first_free;
    fv_buf strings;
} maker;

enum { BY_UNIT = 1, BY_BASE = 2 };

/* ---- Rules -------------------------------------------------------------------------------- */

static fv_status add_rule(maker *m, const char *from, size_t from_len, const char *to, size_t to_len, fv_err *err)
{
    fv_status status = fv_grow(&m->rules, &m->capacity, m->n + 1, sizeof *m->rules, err);
    if (status != FV_OK) return status;
    rule r = {.from = fv_arena_strndup(&m->texts, from, from_len, err), .from_len = (uint32_t)from_len, .to_len = (uint32_t)to_len};
    if (!r.from || !(r.to = fv_arena_strndup(&m->texts, to, to_len, err))) return FV_E_MEMORY;
    m->rules[m->n++] = r;
    return FV_OK;
}

/* A rule for a text that normalising changes. */
static fv_status consider(maker *m, const char *text, size_t len, fv_err *err)
{
    fv_status status = fv_normalize_text(&m->normalized, m->how, text, len, 0, err);
    const fv_normalized *n = &m->normalized;
    if (status != FV_OK || (n->len == len && memcmp(n->data, text, len) == 0)) return status;
    return add_rule(m, text, len, n->data, n->len, err);
}

static bool is_blank(int32_t point)
{
    return (point >= '\t' && point <= '\r') || point == 0x85 || utf8proc_category(point) == UTF8PROC_CATEGORY_ZS
        || utf8proc_category(point) == UTF8PROC_CATEGORY_ZL || utf8proc_category(point) == UTF8PROC_CATEGORY_ZP;
}

/* Of no width and no meaning to a translator; joiners (U+200C, U+200D) are left, since scripts and emoji need them. */
static bool is_control(int32_t point)
{
    return utf8proc_category(point) == UTF8PROC_CATEGORY_CC || point == 0xAD || point == 0x200B || point == 0x200E || point == 0x200F || point == 0x2060 || point == 0xFEFF;
}

static fv_status add_point(maker *m, int32_t point, fv_err *err)
{
    char text[4];
    size_t len = (size_t)utf8proc_encode_char(point, (utf8proc_uint8_t *)text);
    if (m->clean && point != ' ' && is_blank(point)) return add_rule(m, text, len, " ", 1, err);
    if (m->clean && is_control(point)) return add_rule(m, text, len, "", 0, err);
    return consider(m, text, len, err);
}

static size_t put_points(char *to, const int32_t *points, size_t n)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++) len += (size_t)utf8proc_encode_char(points[i], (utf8proc_uint8_t *)to + len);
    return len;
}

/* The other ways to write a composed character: its decomposition, of which more and more may be composed. */
static fv_status add_spellings(maker *m, int32_t point, fv_err *err)
{
    fv_status status = FV_OK;
    int32_t parts[POINTS_MAX], prefix[POINTS_MAX];
    char text[4 * POINTS_MAX];
    int boundary = 0;
    utf8proc_ssize_t n = utf8proc_decompose_char(point, parts, POINTS_MAX, (utf8proc_option_t)(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE), &boundary);
    FV_ASSERT(n > 0 && n <= POINTS_MAX);
    memcpy(prefix, parts, (size_t)n * sizeof *parts);
    if (n < 2 || utf8proc_normalize_utf32(prefix, n, (utf8proc_option_t)(UTF8PROC_STABLE | UTF8PROC_COMPOSE)) != 1 || prefix[0] != point) return FV_OK;
    for (utf8proc_ssize_t composed = 1; composed < n && status == FV_OK; composed++) {
        memcpy(prefix, parts, (size_t)composed * sizeof *parts);
        utf8proc_ssize_t k = utf8proc_normalize_utf32(prefix, composed, (utf8proc_option_t)(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
        if (composed > 1 && k == composed) continue; /* nothing composes: the spelling that was had */
        size_t len = put_points(text, prefix, (size_t)k);
        len += put_points(text + len, parts + composed, (size_t)(n - composed));
        status = consider(m, text, len, err);
    }
    return status;
}

static fv_status add_points(maker *m, fv_err *err)
{
    fv_status status = FV_OK;
    for (int32_t point = 1; point < POINTS_END; point++) {
        if (!utf8proc_codepoint_valid(point) || utf8proc_category(point) == UTF8PROC_CATEGORY_CN || utf8proc_category(point) == UTF8PROC_CATEGORY_CO) continue;
        FV_TRY(add_point(m, point, err));
        if (m->how.form != FV_NORMALIZE_NONE && (point < HANGUL_BEGIN || point >= HANGUL_END)) FV_TRY(add_spellings(m, point, err));
    }
done:
    return status;
}

static int by_from(const void *x, const void *y)
{
    const rule *a = x, *b = y;
    int order = memcmp(a->from, b->from, a->from_len < b->from_len ? a->from_len : b->from_len);
    return order ? order : (a->from_len > b->from_len) - (a->from_len < b->from_len);
}

/* Values are where the replacements lie; equal ones lie in one place. */
static fv_status lay_strings(maker *m, fv_err *err)
{
    fv_status status = FV_OK;
    fv_map places = {0};
    for (size_t i = 0; i < m->n; i++) {
        rule *r = &m->rules[i];
        int32_t at = fv_map_get(&places, r->to, r->to_len);
        if (at < 0) {
            at = (int32_t)m->strings.len;
            FV_TRY(fv_map_set(&places, r->to, r->to_len, at, err));
            FV_TRY(fv_buf_add(&m->strings, r->to, r->to_len + 1, err));
        }
        r->value = (uint32_t)at;
    }
done:
    fv_map_release(&places);
    return status;
}

/* ---- The double array --------------------------------------------------------------------- */

static fv_status add_block(maker *m, fv_err *err)
{
    fv_status status = FV_OK;
    size_t n = m->n_units + BLOCK;
    FV_ASSERT(n <= UNITS_MAX);
    FV_TRY(fv_grow(&m->units, &m->units_capacity, n, sizeof *m->units, err));
    FV_TRY(fv_grow(&m->taken, &m->taken_capacity, n, sizeof *m->taken, err));
    for (size_t i = m->n_units; i < n; i++) m->units[i] = UNUSED;
    memset(m->taken + m->n_units, 0, BLOCK);
    m->n_units = n;
done:
    return status;
}

static uint32_t label_at(const rule *r, size_t depth)
{
    return depth < r->from_len ? (unsigned char)r->from[depth] : 0;
}

/* The labels of a node's children: rules are sorted, so equal ones are neighbours. */
static size_t list_labels(const rule *rules, size_t n, size_t depth, uint8_t labels[256])
{
    size_t n_labels = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t label = label_at(&rules[i], depth);
        if (n_labels == 0 || labels[n_labels - 1] != label) labels[n_labels++] = (uint8_t)label;
    }
    return n_labels;
}

static bool fits(const maker *m, size_t base, const uint8_t *labels, size_t n)
{
    if (m->taken[base] & BY_BASE) return false;
    for (size_t i = 0; i < n; i++)
        if (m->taken[base ^ labels[i]] & BY_UNIT) return false;
    return true;
}

/* A base apart from the node itself: readers take an offset of 0 for damage. */
static fv_status find_base(maker *m, size_t node, const uint8_t *labels, size_t n, size_t *base, fv_err *err)
{
    while (m->first_free < m->n_units && (m->taken[m->first_free] & BY_UNIT)) m->first_free++;
    for (size_t at = m->first_free;; at++) {
        if (at == m->n_units) {
            fv_status status = add_block(m, err);
            if (status != FV_OK) return status;
        }
        if (m->taken[at] & BY_UNIT || (at ^ labels[0]) == node || !fits(m, at ^ labels[0], labels, n)) continue;
        *base = at ^ labels[0];
        return FV_OK;
    }
}

/* The rules below `node` share their first `depth` bytes. */
static fv_status place_children(maker *m, size_t node, const rule *rules, size_t n, size_t depth, fv_err *err)
{
    fv_status status = FV_OK;
    uint8_t labels[256];
    size_t base, n_labels = list_labels(rules, n, depth, labels);
    FV_TRY(find_base(m, node, labels, n_labels, &base, err));
    m->taken[base] |= BY_BASE;
    m->units[node] |= (uint32_t)(node ^ base) << 10 | (labels[0] == 0 ? LEAF : 0);
    for (size_t i = 0; i < n_labels; i++) {
        m->taken[base ^ labels[i]] |= BY_UNIT;
        m->units[base ^ labels[i]] = labels[i];
    }
    for (size_t i = 0, begin = 0, end; i < n_labels; i++, begin = end) {
        for (end = begin; end < n && label_at(&rules[end], depth) == labels[i];) end++;
        if (labels[i] == 0) m->units[base] = UNUSED | rules[begin].value;
        else FV_TRY(place_children(m, base ^ labels[i], rules + begin, end - begin, depth + 1, err));
    }
done:
    return status;
}

static fv_status build(maker *m, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(add_block(m, err));
    m->units[0] = 0;
    m->taken[0] = BY_UNIT;
    status = place_children(m, 0, m->rules, m->n, 0, err);
done:
    return status;
}

static fv_status put_u32(fv_buf *to, uint32_t value, fv_err *err)
{
    char bytes[4] = {(char)value, (char)(value >> 8), (char)(value >> 16), (char)(value >> 24)};
    return fv_buf_add(to, bytes, 4, err);
}

static fv_status write_out(const maker *m, fv_buf *blob, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(put_u32(blob, (uint32_t)(4 * m->n_units), err));
    for (size_t i = 0; i < m->n_units; i++) FV_TRY(put_u32(blob, m->units[i], err));
    status = fv_buf_add(blob, m->strings.data, m->strings.len, err);
done:
    return status;
}

/* ---- The whole ---------------------------------------------------------------------------- */

fv_status fv_charsmap_make(fv_buf *blob, fv_normalize form, bool lowercase, fv_err *err)
{
    fv_status status = FV_OK;
    maker m = {.how = {.form = form, .lowercase = lowercase}, .clean = form != FV_NORMALIZE_NONE};
    if (form == FV_NORMALIZE_NONE && !lowercase) return FV_OK;
    FV_TRY(add_points(&m, err));
    qsort(m.rules, m.n, sizeof *m.rules, by_from);
    FV_TRY(lay_strings(&m, err));
    FV_TRY(build(&m, err));
    status = write_out(&m, blob, err);
done:
    fv_arena_release(&m.texts);
    fv_normalized_release(&m.normalized);
    fv_buf_release(&m.strings);
    fv_free(m.rules);
    fv_free(m.units);
    fv_free(m.taken);
    return status;
}
