/* Chance that can be drawn again: every number is a function of a key and a counter, never of what
 * was drawn before. So resuming, other batching and more threads change nothing. */
#ifndef FV_BASE_RNG_H
#define FV_BASE_RNG_H

#include "base/err.h"

/* A stream: key and position. Copy it to draw the same again. */
typedef struct fv_rng { uint64_t key, counter; } fv_rng;

/* Streams of equal seed and different names are independent. */
fv_rng fv_rng_make(uint64_t seed, const char *name);
fv_rng fv_rng_fork(const fv_rng *rng, uint64_t index);
uint64_t fv_rng_next(fv_rng *rng);                    /* 64 bits: splitmix64's finaliser of key + counter × golden gamma (Steele et al. 2014) */
double fv_rng_uniform(fv_rng *rng);                   /* [0, 1), 53 bits */
uint64_t fv_rng_below(fv_rng *rng, uint64_t n);       /* [0, n), unbiased (Lemire 2019) */
double fv_rng_normal(fv_rng *rng);                    /* mean 0, deviation 1 (Box–Muller) */
void fv_rng_shuffle(fv_rng *rng, uint32_t *items, size_t n); /* Fisher–Yates */

/* Mixes words into one: the keys of dropout are fv_mix(fv_mix(seed, step), name) and so on. */
static inline uint64_t fv_mix(uint64_t a, uint64_t b)
{
    uint64_t z = a ^ (b + 0x9e3779b97f4a7c15u + (a << 6) + (a >> 2));
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

#endif
