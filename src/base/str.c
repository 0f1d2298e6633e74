/* Text: growing buffers, a map from strings to integers, hashes, UTF-8 and numbers.
 *
 * What a message shows of a person's file goes through fv_show. The traps: fv_map_set may move the
 * entries, so no pointer to one survives it (keys stay where they are); and numbers are read in the
 * C locale, because a host program may have chosen one where 1,5 is a number and 1.5 is not. */
#include "base/str.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#ifdef __APPLE__
#include <xlocale.h>
#endif

/* ---- Buffers ------------------------------------------------------------------------------ */

fv_status fv_buf_reserve(fv_buf *buf, size_t more, fv_err *err)
{
    size_t need;
    if (__builtin_add_overflow(buf->len, more, &need) || need == SIZE_MAX) need = SIZE_MAX - 1;
    return fv_grow(&buf->data, &buf->capacity, need + 1, 1, err);
}

fv_status fv_buf_add(fv_buf *buf, const void *bytes, size_t n, fv_err *err)
{
    fv_status status = fv_buf_reserve(buf, n, err);
    if (status != FV_OK) return status;
    if (n) memcpy(buf->data + buf->len, bytes, n);
    buf->len += n;
    buf->data[buf->len] = 0;
    return FV_OK;
}

fv_status fv_buf_puts(fv_buf *buf, const char *text, fv_err *err)
{
    return fv_buf_add(buf, text, strlen(text), err);
}

fv_status fv_buf_putc(fv_buf *buf, char c, fv_err *err)
{
    return fv_buf_add(buf, &c, 1, err);
}

fv_status fv_buf_printf(fv_buf *buf, fv_err *err, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    FV_ASSERT(n >= 0);
    fv_status status = fv_buf_reserve(buf, (size_t)n, err);
    if (status == FV_OK) {
        vsnprintf(buf->data + buf->len, (size_t)n + 1, format, again);
        buf->len += (size_t)n;
    }
    va_end(again);
    va_end(args);
    return status;
}

void fv_buf_release(fv_buf *buf)
{
    fv_free(buf->data);
    *buf = (fv_buf){0};
}

/* ---- Hash --------------------------------------------------------------------------------- */

/* Odd constants with about half of their bits set: the first digits of pi's fraction in base 16. */
#define K0 0x243f6a8885a308d3u
#define K1 0x13198a2e03707345u
#define K2 0xa4093822299f31d1u
#define K3 0x082efa98ec4e6c89u

/* Little-endian on every machine. */
static uint64_t read64(const unsigned char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? __builtin_bswap64(word) : word;
}

static uint64_t read32(const unsigned char *p)
{
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? __builtin_bswap32(word) : word;
}

/* The 128-bit product, folded: each input bit reaches about half of the output bits. */
static uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Adding h again keeps what was read before even where a word makes the product zero. */
static uint64_t absorb(uint64_t h, uint64_t a, uint64_t b)
{
    return fold(a ^ K1, b ^ h) + h;
}

static uint64_t absorb_last(uint64_t h, const unsigned char *p, size_t n)
{
    if (n >= 8) return absorb(h, read64(p), read64(p + n - 8));
    if (n >= 4) return absorb(h, read32(p), read32(p + n - 4));
    if (n >= 1) return absorb(h, (uint64_t)p[0] << 16 | (uint64_t)p[n / 2] << 8 | p[n - 1], 0);
    return h;
}

uint64_t fv_hash64(const void *bytes, size_t n, uint64_t seed)
{
    const unsigned char *p = bytes;
    uint64_t h = fold(seed ^ K0, K2);
    size_t left = n;
    for (; left > 16; left -= 16, p += 16) h = absorb(h, read64(p), read64(p + 8));
    h = absorb_last(h, p, left);
    h = fold(h ^ K2, (uint64_t)n ^ K3);
    h = (h ^ (h >> 32)) * K1;
    return h ^ (h >> 29);
}

/* ---- Map ---------------------------------------------------------------------------------- */

/* slots[] holds entry numbers + 1, 0 where free; its size is a power of two and at least twice n,
 * so a search always meets a free slot. */

static uint32_t hash_key(const char *key, size_t len)
{
    uint64_t h = fv_hash64(key, len, 0);
    return (uint32_t)(h >> 32);
}

/* The slot of the key, or the free one where it belongs. */
static size_t find_slot(const fv_map *map, const char *key, size_t len, uint32_t hash)
{
    size_t mask = map->n_slots - 1, at = hash & mask;
    for (;; at = (at + 1) & mask) {
        if (map->slots[at] == 0) return at;
        const struct fv_map_entry *e = &map->entries[map->slots[at] - 1];
        if (e->hash == hash && e->len == len && memcmp(e->key, key, len) == 0) return at;
    }
}

static fv_status double_slots(fv_map *map, fv_err *err)
{
    size_t n_slots = map->n_slots ? map->n_slots * 2 : 16;
    uint32_t *slots = fv_alloc_zero(n_slots, sizeof *slots, err);
    if (!slots) return FV_E_MEMORY;
    for (size_t i = 0; i < map->n; i++) {
        size_t at = map->entries[i].hash & (n_slots - 1);
        while (slots[at]) at = (at + 1) & (n_slots - 1);
        slots[at] = (uint32_t)i + 1;
    }
    fv_free(map->slots);
    map->slots = slots;
    map->n_slots = n_slots;
    return FV_OK;
}

static fv_status make_room(fv_map *map, fv_err *err)
{
    if (map->n >= INT32_MAX) return FV_FAIL(err, FV_E_MEMORY, "a table of strings is full: it holds at most %d", INT32_MAX);
    if (map->n * 2 >= map->n_slots) {
        fv_status status = double_slots(map, err);
        if (status != FV_OK) return status;
    }
    return fv_grow(&map->entries, &map->capacity, map->n + 1, sizeof *map->entries, err);
}

int32_t fv_map_get(const fv_map *map, const char *key, size_t len)
{
    if (map->n == 0) return -1;
    size_t at = find_slot(map, key, len, hash_key(key, len));
    return map->slots[at] ? map->entries[map->slots[at] - 1].value : -1;
}

fv_status fv_map_set(fv_map *map, const char *key, size_t len, int32_t value, fv_err *err)
{
    if (len > UINT32_MAX) return FV_FAIL(err, FV_E_INPUT, "a string of %zu bytes is too long; expected less than 4 GiB", len);
    fv_status status = make_room(map, err);
    if (status != FV_OK) return status;
    uint32_t hash = hash_key(key, len);
    size_t at = find_slot(map, key, len, hash);
    if (map->slots[at]) {
        map->entries[map->slots[at] - 1].value = value;
        return FV_OK;
    }
    const char *copy = fv_arena_strndup(&map->keys, key, len, err);
    if (!copy) return FV_E_MEMORY;
    map->entries[map->n++] = (struct fv_map_entry){.key = copy, .len = (uint32_t)len, .hash = hash, .value = value};
    map->slots[at] = (uint32_t)map->n;
    return FV_OK;
}

void fv_map_release(fv_map *map)
{
    fv_free(map->entries);
    fv_free(map->slots);
    fv_arena_release(&map->keys);
    *map = (fv_map){0};
}

/* ---- UTF-8 -------------------------------------------------------------------------------- */

/* The well-formed sequences of the Unicode Standard, table 3-7: only the second byte's bounds
 * depend on the first (no overlong forms, no surrogates, nothing above U+10FFFF). */
int fv_utf8_len(const char *p, const char *end)
{
    if (p >= end) return 0;
    unsigned char first = (unsigned char)*p;
    if (first < 0x80) return 1;
    if (first < 0xC2 || first > 0xF4) return 0;
    int len = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (end - p < len) return 0;
    unsigned char low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    unsigned char high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    unsigned char second = (unsigned char)p[1];
    if (second < low || second > high) return 0;
    for (int i = 2; i < len; i++)
        if (((unsigned char)p[i] & 0xC0) != 0x80) return 0;
    return len;
}

/* ---- Text for messages -------------------------------------------------------------------- */

#define SHOWN_MAX 60

/* One character of `text` as a message shows it, into out[8]; gives its bytes and the bytes written. */
static int show_one(const char *p, const char *end, char out[8], int *written)
{
    int n = fv_utf8_len(p, end);
    unsigned char c = (unsigned char)*p;
    bool control = n == 1 && (c < 0x20 || c == 0x7F);
    bool control_pair = n == 2 && c == 0xC2 && (unsigned char)p[1] < 0xA0; /* U+0080..U+009F: terminals obey them */
    if (n == 0 || control_pair) n = 1, control = true;
    if (c == '\n' || c == '\t' || c == '\r') *written = snprintf(out, 8, "\\%c", c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
    else if (control) *written = snprintf(out, 8, "\\x%02X", c);
    else if (c == '"' || c == '\\') *written = snprintf(out, 8, "\\%c", c);
    else *written = n, memcpy(out, p, (size_t)n);
    return n;
}

const char *fv_show(fv_shown *room, const char *text, size_t len)
{
    _Static_assert(sizeof room->text > SHOWN_MAX + sizeof "\"\"...", "a shown text must fit");
    if (!text) return "nothing";
    const char *p = text, *end = text + len;
    char *to = room->text;
    *to++ = '"';
    while (p < end) {
        char piece[8];
        int written, taken = show_one(p, end, piece, &written);
        if (to + written > room->text + 1 + SHOWN_MAX) break;
        memcpy(to, piece, (size_t)written);
        to += written;
        p += taken;
    }
    snprintf(to, sizeof room->text - (size_t)(to - room->text), p < end ? "...\"" : "\"");
    return room->text;
}

/* ---- Numbers ------------------------------------------------------------------------------ */

bool fv_parse_double(const char *text, double *out)
{
    size_t len = strlen(text);
    if (len == 0 || strspn(text, "0123456789+-.eE") != len) return false; /* no blanks, hex, inf or nan */
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!plain) return false;
    char *end;
    double value = strtod_l(text, &end, plain);
    freelocale(plain);
    if (end != text + len || !isfinite(value)) return false;
    *out = value;
    return true;
}

bool fv_parse_int64(const char *text, int64_t *out)
{
    const char *digits = text + (*text == '-' || *text == '+');
    if (*digits == 0 || strspn(digits, "0123456789") != strlen(digits)) return false;
    errno = 0;
    long long value = strtoll(text, NULL, 10);
    if (errno == ERANGE) return false;
    *out = value;
    return true;
}

const char *fv_double_text(double value, char out[FV_DOUBLE_TEXT])
{
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    locale_t before = plain ? uselocale(plain) : (locale_t)0;
    for (int digits = 15; digits <= 17; digits++) { /* 17 always suffice for a double */
        snprintf(out, FV_DOUBLE_TEXT, "%.*g", digits, value);
        if (strtod(out, NULL) == value) break;
    }
    if (plain) uselocale(before), freelocale(plain);
    return out;
}
