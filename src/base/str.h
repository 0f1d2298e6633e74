/* Growing text and a map from strings to integers. */
#ifndef FV_BASE_STR_H
#define FV_BASE_STR_H

#include "base/mem.h"

/* Bytes that grow. {0} is empty. `data` is zero-ended once anything was added (len does not count it). */
typedef struct fv_buf {
    char *data;
    size_t len, capacity;
} fv_buf;

fv_status fv_buf_reserve(fv_buf *buf, size_t more, fv_err *err);
fv_status fv_buf_add(fv_buf *buf, const void *bytes, size_t n, fv_err *err);
fv_status fv_buf_puts(fv_buf *buf, const char *text, fv_err *err);
fv_status fv_buf_putc(fv_buf *buf, char c, fv_err *err);
fv_status fv_buf_printf(fv_buf *buf, fv_err *err, const char *format, ...) __attribute__((format(printf, 3, 4)));
void fv_buf_release(fv_buf *buf);

/* String -> int32, open addressing, keys copied. Iteration order is the order of insertion. {0} is empty. */
typedef struct fv_map {
    struct fv_map_entry *entries; /* [n], in insertion order: key, len, value */
    uint32_t *slots;
    size_t n, capacity, n_slots;
    fv_arena keys;
} fv_map;

struct fv_map_entry {
    const char *key;
    uint32_t len, hash;
    int32_t value;
};

/* The value, or -1. */
int32_t fv_map_get(const fv_map *map, const char *key, size_t len);
/* Adds or replaces. */
fv_status fv_map_set(fv_map *map, const char *key, size_t len, int32_t value, fv_err *err);
void fv_map_release(fv_map *map);

/* Stable 64-bit hash of bytes (same on every machine). */
uint64_t fv_hash64(const void *bytes, size_t n, uint64_t seed);

/* `text` shortened for a message: quoted, control bytes and broken UTF-8 escaped, at most ~60 bytes. Uses `room`. */
typedef struct fv_shown { char text[96]; } fv_shown;
const char *fv_show(fv_shown *room, const char *text, size_t len);

/* Length of the UTF-8 sequence at p (1..4), or 0 if it is invalid or cut by `end`. */
int fv_utf8_len(const char *p, const char *end);

/* Whole-string numbers: false unless all of `text` is one finite number. */
bool fv_parse_double(const char *text, double *out);
bool fv_parse_int64(const char *text, int64_t *out);

/* The shortest text that reads back as the same finite double, with a point in every locale. Gives `out` back. */
#define FV_DOUBLE_TEXT 32
const char *fv_double_text(double value, char out[FV_DOUBLE_TEXT]);

#endif
