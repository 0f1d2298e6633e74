/* Normalisation (Unicode Annex 15: NFC, NFKC) and lower case, with each output byte knowing the input
 * byte that it came from.
 *
 * utf8proc normalises whole strings but tells no offsets, so the text is cut into clusters first: a
 * character that can begin one, and all that may compose with it or be reordered behind it. Clusters
 * normalise independently of their neighbours, so the pieces joined are the whole normalised.
 *
 * The tables are utf8proc's. Other libraries have those of older or newer versions of Unicode, and so
 * may differ on the few characters that came or changed between the two.
 *
 * The trap: utf8proc sorts marks by swapping neighbours, which is quadratic, and a hostile text may
 * be ten megabytes of marks. Marks are therefore sorted here, and utf8proc only composes. */
#include <string.h>
#include <utf8proc.h>

#include "text/parts.h"

#define MARKS_BEGIN 0x300    /* no code point below is a mark, or composes with one before it */
#define POINTS_OF_ONE 32     /* longest decomposition of one code point is 18 (U+FDFA) */
#define CAPITAL_I_DOT 0x130  /* the one code point whose lower case is two: i and a dot above */
#define DOT_ABOVE 0x307
#define HANGUL_FIRST 0xAC00
#define HANGUL_LAST 0xD7A3

/* ---- Output ------------------------------------------------------------------------------- */

fv_status fv_normalized_span(fv_normalized *to, uint32_t begin, uint32_t end, bool exact, fv_err *err)
{
    fv_status status = fv_grow(&to->spans, &to->spans_capacity, to->n_spans + 1, sizeof *to->spans, err);
    if (status == FV_OK) to->spans[to->n_spans++] = (fv_span){.out = to->text.len, .begin = begin, .end = end, .exact = exact};
    return status;
}

/* Whether exact bytes of the input at `begin` go on where the last span ends. */
static bool continues(const fv_normalized *to, uint32_t begin)
{
    if (!to->n_spans) return false;
    const fv_span *last = &to->spans[to->n_spans - 1];
    return last->exact && last->begin + (to->text.len - last->out) == begin;
}

static fv_status open_exact(fv_normalized *to, uint32_t begin, fv_err *err)
{
    return continues(to, begin) ? FV_OK : fv_normalized_span(to, begin, begin, true, err);
}

static fv_status add_exact(fv_normalized *to, const char *bytes, size_t n, uint32_t begin, fv_err *err)
{
    fv_status status = open_exact(to, begin, err);
    return status == FV_OK ? fv_buf_add(&to->text, bytes, n, err) : status;
}

static fv_status add_point(fv_buf *text, int32_t point, fv_err *err)
{
    utf8proc_uint8_t bytes[4];
    utf8proc_ssize_t n = utf8proc_encode_char(point, bytes);
    return fv_buf_add(text, bytes, (size_t)n, err);
}

static fv_status add_lower(fv_buf *text, int32_t point, fv_err *err)
{
    if (point != CAPITAL_I_DOT) return add_point(text, utf8proc_tolower(point), err);
    fv_status status = add_point(text, 'i', err);
    return status == FV_OK ? add_point(text, DOT_ABOVE, err) : status;
}

/* ---- One text after another --------------------------------------------------------------- */

static fv_status add_followed(fv_normalized *to, size_t *n, fv_span span, fv_err *err)
{
    fv_status status = fv_grow(&to->followed, &to->followed_capacity, *n + 1, sizeof *to->followed, err);
    if (status == FV_OK) to->followed[(*n)++] = span;
    return status;
}

/* Exact bytes [begin, end) of the inner text, which stand at `out`: a span for each of the inner ones that they meet. */
static fv_status follow_exact(fv_normalized *outer, size_t *n, const fv_normalized *inner, const fv_span *at, size_t out, size_t begin, size_t end, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_span *stop = inner->spans + inner->n_spans;
    for (bool first = true; at < stop && (first || at->out < end) && status == FV_OK; at++, first = false) {
        size_t from = at->out > begin ? at->out : begin;
        fv_span span = *at;
        if (span.exact) span.begin = span.end = at->begin + (uint32_t)(from - at->out);
        span.out = out + (from - begin);
        status = add_followed(outer, n, span, err);
    }
    return status;
}

fv_status fv_normalized_follow(fv_normalized *outer, const fv_normalized *inner, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_span *at = inner->spans, *last = inner->spans + inner->n_spans - 1;
    size_t n = 0;
    for (size_t i = 0; i < outer->n_spans && status == FV_OK; i++) {
        fv_span span = outer->spans[i];
        size_t bytes = (i + 1 < outer->n_spans ? outer->spans[i + 1].out : outer->len) - span.out;
        uint32_t from, to;
        fv_span_source(&at, last, span.begin, span.exact ? span.begin + bytes : span.end, &from, &to);
        if (span.exact) status = follow_exact(outer, &n, inner, at, span.out, span.begin, span.begin + bytes, err);
        else status = add_followed(outer, &n, (fv_span){.out = span.out, .begin = from, .end = to}, err);
    }
    fv_span *spans = outer->spans;
    size_t capacity = outer->spans_capacity;
    outer->spans = outer->followed, outer->spans_capacity = outer->followed_capacity, outer->n_spans = n;
    outer->followed = spans, outer->followed_capacity = capacity;
    return status;
}

/* ---- Clusters ----------------------------------------------------------------------------- */

static utf8proc_option_t options_of(fv_normalize form)
{
    int compat = form == FV_NORMALIZE_NFKC ? UTF8PROC_COMPAT : 0;
    return (utf8proc_option_t)(UTF8PROC_STABLE | UTF8PROC_COMPOSE | compat);
}

static size_t decompose(int32_t point, fv_normalize form, int32_t out[POINTS_OF_ONE])
{
    int boundary = 0;
    utf8proc_ssize_t n = utf8proc_decompose_char(point, out, POINTS_OF_ONE, options_of(form), &boundary);
    FV_ASSERT(n >= 0 && n <= POINTS_OF_ONE);
    return (size_t)n;
}

/* Marks, and the vowels and finals of Hangul: what may compose with the character before it. Wider
 * than needed (not every mark composes), which costs nothing but a coarser offset. */
static bool joins_left(const utf8proc_property_t *p)
{
    switch (p->category) {
    case UTF8PROC_CATEGORY_MN: case UTF8PROC_CATEGORY_MC: case UTF8PROC_CATEGORY_ME: return true;
    default: return p->boundclass == UTF8PROC_BOUNDCLASS_V || p->boundclass == UTF8PROC_BOUNDCLASS_T;
    }
}

/* Whether a point belongs to the cluster before it. What counts is the first of its decomposition:
 * a half-width voicing mark is a letter until NFKC makes it a mark. */
static bool attaches(int32_t point, fv_normalize form)
{
    if (point < MARKS_BEGIN) return false;
    const utf8proc_property_t *p = utf8proc_get_property(point);
    if (p->decomp_seqindex == UINT16_MAX) return joins_left(p);
    int32_t parts[POINTS_OF_ONE];
    decompose(point, form, parts);
    return joins_left(utf8proc_get_property(parts[0]));
}

/* Syllables of Hangul are taken apart by rule, not by the table, and put together again at once unless `decompose`. */
static bool is_plain(int32_t point, bool decompose)
{
    if (decompose && point >= HANGUL_FIRST && point <= HANGUL_LAST) return false;
    return utf8proc_get_property(point)->decomp_seqindex == UINT16_MAX;
}

/* Bytes of the cluster that begins at `p` with a character of `first` bytes. */
static size_t cluster_len(const char *p, size_t len, size_t first, fv_normalize form)
{
    size_t n = first;
    while (n < len && (unsigned char)p[n] >= 0x80) {
        int32_t point;
        utf8proc_ssize_t l = utf8proc_iterate((const utf8proc_uint8_t *)p + n, (utf8proc_ssize_t)(len - n), &point);
        if (l <= 0 || !attaches(point, form)) break;
        n += (size_t)l;
    }
    return n;
}

static int class_of(int32_t point)
{
    return utf8proc_get_property(point)->combining_class;
}

/* Stable sort by combining class (the canonical ordering algorithm), by counting. */
static void sort_marks(int32_t *marks, size_t n, int32_t *room)
{
    size_t starts[256] = {0};
    for (size_t i = 0; i < n; i++) starts[class_of(marks[i])]++;
    size_t sum = 0;
    for (int c = 0; c < 256; c++) { size_t count = starts[c]; starts[c] = sum; sum += count; }
    for (size_t i = 0; i < n; i++) room[starts[class_of(marks[i])]++] = marks[i];
    memcpy(marks, room, n * sizeof *marks);
}

/* Sorts each run of marks that is out of order; a point of class 0 ends a run. `room` holds n. */
static void order_marks(int32_t *points, size_t n, int32_t *room)
{
    for (size_t begin = 0, end; begin < n; begin = end + 1) {
        bool sorted = true;
        for (end = begin; end < n && class_of(points[end]) != 0; end++)
            if (end > begin && class_of(points[end]) < class_of(points[end - 1])) sorted = false;
        if (!sorted) sort_marks(points + begin, end - begin, room);
    }
}

/* Normalises the cluster's text into to->points. */
static fv_status compose(fv_normalized *to, fv_normalizer how, const char *p, size_t len, size_t *n_points, fv_err *err)
{
    fv_status status;
    size_t n = 0;
    for (size_t at = 0; at < len;) {
        int32_t point, parts[POINTS_OF_ONE];
        at += (size_t)utf8proc_iterate((const utf8proc_uint8_t *)p + at, (utf8proc_ssize_t)(len - at), &point);
        size_t k = decompose(point, how.form, parts);
        if ((status = fv_grow(&to->points, &to->points_capacity, 2 * (n + k), sizeof *to->points, err)) != FV_OK) return status;
        memcpy(to->points + n, parts, k * sizeof *parts);
        n += k;
    }
    order_marks(to->points, n, to->points + n);
    *n_points = how.decompose ? n : (size_t)utf8proc_normalize_utf32(to->points, (utf8proc_ssize_t)n, options_of(how.form));
    return FV_OK;
}

fv_status fv_normalized_point(fv_normalized *to, bool lowercase, int32_t point, fv_err *err)
{
    return lowercase ? add_lower(&to->text, point, err) : add_point(&to->text, point, err);
}

static fv_status add_points(fv_normalized *to, bool lowercase, const int32_t *points, size_t n, fv_err *err)
{
    fv_status status = FV_OK;
    for (size_t i = 0; i < n && status == FV_OK; i++) status = fv_normalized_point(to, lowercase, points[i], err);
    return status;
}

/* One character as it is, but for its case: exact while that keeps its length. */
fv_status fv_normalized_char(fv_normalized *to, bool lowercase, int32_t point, const char *p, size_t len, uint32_t begin, fv_err *err)
{
    if (!lowercase) return add_exact(to, p, len, begin, err);
    utf8proc_uint8_t bytes[4];
    bool exact = point != CAPITAL_I_DOT && (size_t)utf8proc_encode_char(utf8proc_tolower(point), bytes) == len;
    fv_status status = exact ? open_exact(to, begin, err) : fv_normalized_span(to, begin, begin + (uint32_t)len, false, err);
    return status == FV_OK ? add_lower(&to->text, point, err) : status;
}

/* Writes to->points[n], made from the input's `len` bytes at p. Characters that come out as they went
 * in stand for themselves, from the first on; all that follows is from all that followed. */
static fv_status put_cluster(fv_normalized *to, bool lowercase, size_t n, const char *p, size_t len, uint32_t begin, fv_err *err)
{
    fv_status status;
    size_t at = 0, i = 0;
    while (i < n && at < len) {
        int32_t point;
        size_t l = (size_t)utf8proc_iterate((const utf8proc_uint8_t *)p + at, (utf8proc_ssize_t)(len - at), &point);
        if (point != to->points[i]) break;
        if ((status = fv_normalized_char(to, lowercase, point, p + at, l, begin + (uint32_t)at, err)) != FV_OK) return status;
        at += l;
        i++;
    }
    if (i == n) return FV_OK;
    status = fv_normalized_span(to, begin + (uint32_t)at, begin + (uint32_t)len, false, err);
    return status == FV_OK ? add_points(to, lowercase, to->points + i, n - i, err) : status;
}

/* Takes one cluster (or one broken byte) at p; *taken is its length. */
static fv_status add_cluster(fv_normalized *to, fv_normalizer how, const char *p, size_t len, uint32_t begin, size_t *taken, fv_err *err)
{
    int32_t point;
    utf8proc_ssize_t first = utf8proc_iterate((const utf8proc_uint8_t *)p, (utf8proc_ssize_t)len, &point);
    *taken = first > 0 ? (size_t)first : 1;
    if (first <= 0) return add_exact(to, p, 1, begin, err);
    if (how.form != FV_NORMALIZE_NONE) *taken = cluster_len(p, len, (size_t)first, how.form);
    bool one = *taken == (size_t)first;
    if (one && (how.form == FV_NORMALIZE_NONE || is_plain(point, how.decompose)))
        return fv_normalized_char(to, how.lowercase, point, p, *taken, begin, err);
    size_t n;
    fv_status status = compose(to, how, p, *taken, &n, err);
    return status == FV_OK ? put_cluster(to, how.lowercase, n, p, *taken, begin, err) : status;
}

/* ---- Whole texts -------------------------------------------------------------------------- */

/* ASCII bytes from p on that are clusters by themselves: all but one that something may attach to. */
static size_t ascii_run(const char *p, size_t len, fv_normalize form)
{
    size_t n = 0;
    while (n < len && (unsigned char)p[n] < 0x80) n++;
    return n == len || form == FV_NORMALIZE_NONE || n == 0 ? n : n - 1;
}

fv_status fv_normalized_ascii(fv_normalized *to, bool lowercase, const char *p, size_t n, uint32_t begin, fv_err *err)
{
    size_t from = to->text.len;
    fv_status status = add_exact(to, p, n, begin, err);
    if (status == FV_OK && lowercase)
        for (char *c = to->text.data + from; c < to->text.data + from + n; c++)
            if (*c >= 'A' && *c <= 'Z') *c = (char)(*c + 'a' - 'A');
    return status;
}

fv_status fv_normalize_text(fv_normalized *to, fv_normalizer how, const char *text, size_t len, uint32_t base, fv_err *err)
{
    fv_status status = FV_OK;
    if (how.bert) return fv_bert_normalize(to, how, text, len, base, err);
    if (how.sp) return fv_sentencepiece_normalize(to, how.sp, text, len, base, err);
    if (how.parts) return fv_parts_normalize(to, how.parts, text, len, base, err);
    to->n_spans = to->text.len = 0;
    if (how.form == FV_NORMALIZE_NONE && !how.lowercase) {
        to->data = text;
        to->len = len;
        return fv_normalized_span(to, base, base, true, err);
    }
    for (size_t at = 0; at < len && status == FV_OK;) {
        size_t taken = ascii_run(text + at, len - at, how.form);
        if (taken) status = fv_normalized_ascii(to, how.lowercase, text + at, taken, base + (uint32_t)at, err);
        else status = add_cluster(to, how, text + at, len - at, base + (uint32_t)at, &taken, err);
        at += taken;
    }
    to->data = to->text.data;
    to->len = to->text.len;
    return status;
}

void fv_normalized_release(fv_normalized *n)
{
    fv_buf_release(&n->text);
    fv_free(n->spans);
    fv_free(n->points);
    fv_free(n->followed);
    fv_parts_room_free(n->room);
    *n = (fv_normalized){0};
}
