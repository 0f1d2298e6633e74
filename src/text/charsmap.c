/* SentencePiece's normaliser: the longest entry of a table that begins at each place is replaced, spaces are trimmed and
 * made visible. It gives what the sentencepiece library gives, byte for byte, and knows where each byte came from.
 *
 * Tables come from files, so every step in one is checked; they are made in charsmap_make.c. The trap: a table could
 * blow a text up without bound, hence REPLACEMENT_MAX, and one whose steps lead back to where they came from would be
 * walked to the text's end from each of its bytes, hence KEY_MAX. */
#include <string.h>

#include "text/sentencepiece.h"

#define REPLACEMENT_MAX 1024
#define KEY_MAX 1024 /* bytes of a text that one replacement may take */
#define BROKEN "\xef\xbf\xbd" /* U+FFFD, for a byte that is no UTF-8 */

/* ---- The table ---------------------------------------------------------------------------- */

static uint32_t read_u32(const char *p)
{
    const unsigned char *b = (const unsigned char *)p;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static size_t longest_string(const char *strings, size_t len)
{
    size_t longest = 0, run = 0;
    for (size_t i = 0; i < len; i++) {
        run = strings[i] ? run + 1 : 0;
        if (run > longest) longest = run;
    }
    return longest;
}

fv_status fv_charsmap_init(fv_charsmap *map, fv_buf *blob, const char *where, fv_err *err)
{
    fv_charsmap m = {0};
    if (blob->len < 4) return FV_FAIL(err, FV_E_FORMAT, "%s: a precompiled_charsmap of %zu bytes; expected the size of its double array first", where, blob->len);
    size_t bytes = read_u32(blob->data), rest = blob->len - 4;
    if (bytes < 4 || bytes % 4 || bytes >= rest) return FV_FAIL(err, FV_E_FORMAT, "%s: precompiled_charsmap says that its double array has %zu bytes; expected a multiple of 4 below the %zu that follow", where, bytes, rest);
    m.units = blob->data + 4;
    m.n_units = bytes / 4;
    m.strings = m.units + bytes;
    m.n_strings = rest - bytes;
    if (m.strings[m.n_strings - 1]) return FV_FAIL(err, FV_E_FORMAT, "%s: precompiled_charsmap does not end in a zero byte: is it cut?", where);
    size_t longest = longest_string(m.strings, m.n_strings);
    if (longest > REPLACEMENT_MAX) return FV_FAIL(err, FV_E_FORMAT, "%s: precompiled_charsmap replaces characters by %zu bytes; at most %d are accepted", where, longest, REPLACEMENT_MAX);
    m.blob = *blob;
    *map = m;
    *blob = (fv_buf){0};
    return FV_OK;
}

/* A unit's parts: its label, or bit 31 when it is a leaf; where its children are, relative to it; whether one is a leaf. */
static uint32_t label_of(uint32_t unit) { return unit & (0x80000000u | 0xff); }
static uint32_t offset_of(uint32_t unit) { return (unit >> 10) << ((unit & 0x200) >> 6); }
static bool has_leaf(uint32_t unit) { return unit >> 8 & 1; }

static bool unit_at(const fv_charsmap *map, uint32_t at, uint32_t *unit)
{
    if (at >= map->n_units) return false;
    *unit = read_u32(map->units + 4 * (size_t)at);
    return true;
}

static size_t find(const fv_charsmap *map, const char *p, size_t len, bool first, const char **to)
{
    size_t found = 0;
    uint32_t at = 0, unit, leaf;
    if (!unit_at(map, 0, &unit)) return 0;
    at = offset_of(unit);
    for (size_t i = 0; i < len && i < KEY_MAX; i++) {
        at ^= (unsigned char)p[i];
        if (!unit_at(map, at, &unit) || label_of(unit) != (unsigned char)p[i]) break;
        at ^= offset_of(unit);
        if (!has_leaf(unit) || !unit_at(map, at, &leaf)) continue;
        leaf &= 0x7fffffff;
        if (leaf >= map->n_strings) break;
        *to = map->strings + leaf;
        found = i + 1;
        if (first) break;
    }
    return found;
}

size_t fv_charsmap_find(const fv_charsmap *map, const char *p, size_t len, const char **to)
{
    return find(map, p, len, false, to);
}

size_t fv_charsmap_find_first(const fv_charsmap *map, const char *p, size_t len, const char **to)
{
    return find(map, p, len, true, to);
}

/* ---- Texts -------------------------------------------------------------------------------- */

static size_t user_symbol(const fv_sentencepiece *sp, const char *p, size_t len)
{
    size_t longest = 0;
    uint32_t state = 0;
    for (size_t i = 0; i < len; i++) {
        int32_t id;
        if (!(state = fv_trie_step(&sp->user, state, p[i], &id))) break;
        if (id >= 0) longest = i + 1;
    }
    return longest;
}

/* What the first `taken` bytes of a text become: `to` is in the text itself when they stay. */
typedef struct prefix {
    size_t taken, len;
    const char *to;
} prefix;

static prefix next_prefix(const fv_sentencepiece *sp, const char *p, size_t len)
{
    const char *to = NULL;
    size_t n = user_symbol(sp, p, len);
    if (n) return (prefix){n, n, p};
    if ((n = fv_charsmap_find(&sp->map, p, len, &to))) return (prefix){n, strlen(to), to};
    if ((n = (size_t)fv_utf8_len(p, p + len))) return (prefix){n, n, p};
    return (prefix){1, strlen(BROKEN), BROKEN};
}

static bool is_space(const prefix *x)
{
    return x->len == 1 && x->to[0] == ' ';
}

static fv_status add_escaped(const fv_sentencepiece *sp, fv_buf *text, const char *p, size_t len, fv_err *err)
{
    fv_status status = FV_OK;
    for (size_t i = 0; i < len && status == FV_OK; i++)
        status = sp->escape && p[i] == ' ' ? fv_buf_add(text, FV_META, FV_META_LEN, err) : fv_buf_putc(text, p[i], err);
    return status;
}

/* `x` came from the input's bytes at `begin`; what stays as it is keeps an offset for each byte. */
static fv_status add_prefix(fv_normalized *to, const fv_sentencepiece *sp, const prefix *x, const char *from, uint32_t begin, fv_err *err)
{
    if (x->to == from && !memchr(x->to, ' ', x->len)) return fv_normalized_ascii(to, false, from, x->len, begin, err);
    fv_status status = fv_normalized_span(to, begin, begin + (uint32_t)x->taken, false, err);
    return status == FV_OK ? add_escaped(sp, &to->text, x->to, x->len, err) : status;
}

static void trim_end(fv_normalized *to, const fv_sentencepiece *sp)
{
    const char *space = sp->escape ? FV_META : " ";
    size_t n = strlen(space);
    while (to->text.len >= n && memcmp(to->text.data + to->text.len - n, space, n) == 0) to->text.len -= n;
    while (to->n_spans && to->spans[to->n_spans - 1].out >= to->text.len) to->n_spans--;
}

static size_t leading_spaces(const fv_sentencepiece *sp, const char *text, size_t len)
{
    size_t at = 0;
    while (at < len) {
        prefix x = next_prefix(sp, text + at, len - at);
        if (!is_space(&x)) break;
        at += x.taken;
    }
    return at;
}

static fv_status add_dummy(fv_normalized *to, const fv_sentencepiece *sp, uint32_t at, fv_err *err)
{
    fv_status status = fv_normalized_span(to, at, at, false, err);
    return status == FV_OK ? fv_buf_puts(&to->text, sp->escape ? FV_META : " ", err) : status;
}

static fv_status add_all(fv_normalized *to, const fv_sentencepiece *sp, const char *text, size_t len, size_t at, uint32_t base, fv_err *err)
{
    fv_status status = FV_OK;
    bool after_space = sp->trim;
    while (at < len && status == FV_OK) {
        prefix x = next_prefix(sp, text + at, len - at);
        prefix kept = x;
        while (after_space && kept.len && kept.to[0] == ' ') kept.to++, kept.len--;
        if (kept.len) {
            status = add_prefix(to, sp, &kept, text + at, base + (uint32_t)at, err);
            after_space = sp->trim && kept.to[kept.len - 1] == ' ';
        }
        at += x.taken;
    }
    return status;
}

fv_status fv_sentencepiece_normalize(fv_normalized *to, const fv_sentencepiece *sp, const char *text, size_t len, uint32_t base, fv_err *err)
{
    fv_status status = FV_OK;
    to->n_spans = to->text.len = 0;
    FV_TRY(fv_buf_reserve(&to->text, FV_META_LEN * (len + 1), err));
    size_t at = sp->trim ? leading_spaces(sp, text, len) : 0;
    if (at < len) {
        if (sp->dummy_prefix) FV_TRY(add_dummy(to, sp, base + (uint32_t)at, err));
        FV_TRY(add_all(to, sp, text, len, at, base, err));
        if (sp->trim) trim_end(to, sp);
    }
    if (!to->n_spans) FV_TRY(fv_normalized_span(to, base, base, true, err));
    to->data = to->text.data;
    to->len = to->text.len;
done:
    return status;
}
