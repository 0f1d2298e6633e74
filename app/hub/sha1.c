/* SHA-1 (FIPS 180-4) as git names files: for the small files of a hub, whose list knows no better hash. It shows that a file
 * arrived whole; that nobody forged it is for SHA-256 to say, which weights have. */
#include <string.h>

#include "hub/hub.h"

typedef struct sha1 {
    uint32_t state[5];
    uint64_t bytes;
    uint8_t block[64];
} sha1;

static uint32_t rotl(uint32_t x, int n) { return x << n | x >> (32 - n); }

static void spread(uint32_t w[80], const uint8_t *p)
{
    for (int t = 0; t < 16; t++, p += 4) w[t] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    for (int t = 16; t < 80; t++) w[t] = rotl(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
}

/* 4.1.1 and 4.2.1: the function and the constant of round t. */
static uint32_t mix(int t, uint32_t b, uint32_t c, uint32_t d)
{
    if (t < 20) return ((b & c) | (~b & d)) + 0x5a827999;
    if (t < 40) return (b ^ c ^ d) + 0x6ed9eba1;
    if (t < 60) return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
    return (b ^ c ^ d) + 0xca62c1d6;
}

static void compress(sha1 *s)
{
    uint32_t w[80], v[5];
    spread(w, s->block);
    memcpy(v, s->state, sizeof v);
    for (int t = 0; t < 80; t++) {
        uint32_t next = rotl(v[0], 5) + mix(t, v[1], v[2], v[3]) + v[4] + w[t];
        v[4] = v[3];
        v[3] = v[2];
        v[2] = rotl(v[1], 30);
        v[1] = v[0];
        v[0] = next;
    }
    for (int i = 0; i < 5; i++) s->state[i] += v[i];
}

static void add(sha1 *s, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    for (; n > 0; n--) {
        s->block[s->bytes++ % 64] = *p++;
        if (s->bytes % 64 == 0) compress(s);
    }
}

/* 5.1.1: a one bit, zeros, and the length in bits fill the last block. */
static void end(sha1 *s, char hex[41])
{
    static const uint8_t mark[64] = {0x80};
    uint64_t bits = s->bytes * 8;
    uint8_t length[8];
    for (int i = 0; i < 8; i++) length[i] = (uint8_t)(bits >> (56 - 8 * i));
    add(s, mark, 1 + (119 - s->bytes % 64) % 64);
    add(s, length, sizeof length);
    for (int i = 0; i < 5; i++) snprintf(hex + 8 * i, 9, "%08x", s->state[i]);
}

fv_status hub_git_hash(const char *path, char hex[41], fv_err *err)
{
    sha1 s = {.state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}};
    fv_mapping file;
    char head[40];
    fv_status status = fv_file_map(path, &file, err);
    if (status != FV_OK) return status;
    int n = snprintf(head, sizeof head, "blob %zu", file.size);
    add(&s, head, (size_t)n + 1);
    add(&s, file.data, file.size);
    end(&s, hex);
    fv_file_unmap(&file);
    return FV_OK;
}

fv_status hub_hash(const char *path, const char *like, char hex[65], fv_err *err)
{
    return strlen(like) == 64 ? fv_sha256_file(path, hex, err) : hub_git_hash(path, hex, err);
}
