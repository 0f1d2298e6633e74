/* SHA-256 (FIPS 180-4), for naming data and model files by what is in them.
 *
 * Plain C, some 200 MB/s and more: files are hashed once a run. Section numbers are the standard's. */
#include <string.h>

#include "base/file.h"

/* 4.2.2: the first 32 bits of the fractions of the cube roots of the first 64 primes. */
static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotr(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static uint32_t read_big_endian(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* 6.2.2, step 1: the message schedule. */
static void spread(uint32_t w[64], const uint8_t *block)
{
    for (int t = 0; t < 16; t++) w[t] = read_big_endian(block + 4 * t);
    for (int t = 16; t < 64; t++) {
        uint32_t s0 = rotr(w[t - 15], 7) ^ rotr(w[t - 15], 18) ^ w[t - 15] >> 3;
        uint32_t s1 = rotr(w[t - 2], 17) ^ rotr(w[t - 2], 19) ^ w[t - 2] >> 10;
        w[t] = s1 + w[t - 7] + s0 + w[t - 16];
    }
}

/* 6.2.2, step 3. Instead of moving a..h down each round, round t finds them t places lower: with t
 * known to the compiler (the loop below is unrolled) they stay in registers. */
static inline void round_of(uint32_t v[8], unsigned t, uint32_t k_and_w)
{
#define AT(letter) v[((letter) - t) % 8]
    enum { A, B, C, D, E, F, G, H };
    uint32_t sum1 = rotr(AT(E), 6) ^ rotr(AT(E), 11) ^ rotr(AT(E), 25);
    uint32_t choice = (AT(E) & AT(F)) ^ (~AT(E) & AT(G));
    uint32_t t1 = AT(H) + sum1 + choice + k_and_w;
    uint32_t sum0 = rotr(AT(A), 2) ^ rotr(AT(A), 13) ^ rotr(AT(A), 22);
    uint32_t majority = (AT(A) & AT(B)) ^ (AT(A) & AT(C)) ^ (AT(B) & AT(C));
    AT(D) += t1;
    AT(H) = t1 + sum0 + majority;
#undef AT
}

static void compress(uint32_t state[8], const uint8_t *block)
{
    uint32_t w[64], v[8];
    spread(w, block);
    memcpy(v, state, sizeof v);
    for (int t = 0; t < 64; t += 8) {
#pragma GCC unroll 8
        for (unsigned i = 0; i < 8; i++) round_of(v, i, K[t + i] + w[t + i]);
    }
    for (int i = 0; i < 8; i++) state[i] += v[i];
}

/* 5.3.3: the first 32 bits of the fractions of the square roots of the first 8 primes. */
void fv_sha256_init(fv_sha256 *s)
{
    *s = (fv_sha256){.state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

void fv_sha256_add(fv_sha256 *s, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    while (n > 0) {
        size_t have = s->bytes % 64;
        size_t take = n < 64 - have ? n : 64 - have;
        if (take == 64) {
            compress(s->state, p);
        } else {
            memcpy(s->block + have, p, take);
            if (have + take == 64) compress(s->state, s->block);
        }
        s->bytes += take;
        p += take;
        n -= take;
    }
}

/* 5.1.1: a one bit, zeros, and the length in bits fill the last block. */
static void pad(fv_sha256 *s)
{
    static const uint8_t mark[64] = {0x80};
    uint64_t bits = s->bytes * 8;
    uint8_t length[8];
    for (int i = 0; i < 8; i++) length[i] = (uint8_t)(bits >> (56 - 8 * i));
    fv_sha256_add(s, mark, 1 + (119 - s->bytes % 64) % 64);
    fv_sha256_add(s, length, sizeof length);
}

void fv_sha256_end(fv_sha256 *s, char hex[65])
{
    static const char digits[] = "0123456789abcdef";
    pad(s);
    for (int i = 0; i < 64; i++) hex[i] = digits[s->state[i / 8] >> (28 - 4 * (i % 8)) & 15];
    hex[64] = 0;
}
