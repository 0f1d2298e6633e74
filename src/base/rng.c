/* Chance by counter: see the header for why.
 *
 * All streams lie on one cycle of 2^64 numbers, each starting where its key says. That two short
 * streams overlap is as unlikely as that two random keys lie close together.
 * Box and Muller's second number is not kept: a stream is a key and a counter, nothing else. */
#include "base/rng.h"

#include <math.h>
#include <string.h>

#include "base/str.h"

#define GOLDEN_GAMMA 0x9e3779b97f4a7c15u
#define FORK_SALT 0x452821e638d01377u /* a fork's key is no other call's mix of the same two words */
#define TAU 6.283185307179586476925

fv_rng fv_rng_make(uint64_t seed, const char *name)
{
    return (fv_rng){.key = fv_mix(seed, fv_hash64(name, strlen(name), 0))};
}

fv_rng fv_rng_fork(const fv_rng *rng, uint64_t index)
{
    return (fv_rng){.key = fv_mix(rng->key ^ FORK_SALT, index)};
}

uint64_t fv_rng_next(fv_rng *rng)
{
    uint64_t z = rng->key + rng->counter++ * GOLDEN_GAMMA;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

double fv_rng_uniform(fv_rng *rng)
{
    return (double)(fv_rng_next(rng) >> 11) * 0x1p-53;
}

/* Lemire 2019, algorithm 5: the high word of a product is the number; the few low words that would
 * make some numbers likelier than others are drawn again. */
uint64_t fv_rng_below(fv_rng *rng, uint64_t n)
{
    FV_ASSERT(n > 0);
    unsigned __int128 product = (unsigned __int128)fv_rng_next(rng) * n;
    if ((uint64_t)product < n) {
        uint64_t threshold = -n % n;
        while ((uint64_t)product < threshold) product = (unsigned __int128)fv_rng_next(rng) * n;
    }
    return (uint64_t)(product >> 64);
}

double fv_rng_normal(fv_rng *rng)
{
    double radius = sqrt(-2 * log(1 - fv_rng_uniform(rng))); /* 1 - u is never 0 */
    return radius * cos(TAU * fv_rng_uniform(rng));
}

void fv_rng_shuffle(fv_rng *rng, uint32_t *items, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)fv_rng_below(rng, i);
        uint32_t kept = items[i - 1];
        items[i - 1] = items[j];
        items[j] = kept;
    }
}
