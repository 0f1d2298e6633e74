/* What the bench programs share: accuracy and macro-F1 of predicted labels with bootstrap intervals,
 * and memory that is there or ends the program.
 *
 * Leaves errors of input to fv_err: a bench program prints them and ends with status 1. */
#ifndef BENCH_SCORE_H
#define BENCH_SCORE_H

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/str.h"

enum { RESAMPLES = 1000 };

/* Of all rows; of the resamples: the 95 % interval and the mean. */
typedef struct figure { double value, low, high, mean; } figure;

/* A figure of the rows `pick` (n of them), computed anew for each resample. */
typedef double (*measure)(const void *user, const uint32_t *pick, size_t n);

__attribute__((format(printf, 1, 2), noreturn)) static inline void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

static inline void *must(void *memory)
{
    if (!memory) die("out of memory");
    return memory;
}

static inline int by_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Percentile bootstrap over rows, 95 %: the same method as fv_eval's, so that intervals compare. */
static inline figure bootstrap(measure fn, const void *user, size_t rows, uint64_t seed)
{
    double values[RESAMPLES];
    uint32_t *pick = must(fv_alloc((rows + 1) * sizeof *pick, NULL));
    fv_rng rng = fv_rng_make(seed, "bootstrap");
    for (size_t i = 0; i < rows; i++) pick[i] = (uint32_t)i;
    figure f = {.value = fn(user, pick, rows)};
    for (int r = 0; r < RESAMPLES; r++) {
        for (size_t i = 0; i < rows; i++) pick[i] = (uint32_t)fv_rng_below(&rng, rows);
        values[r] = fn(user, pick, rows);
        f.mean += values[r] / RESAMPLES;
    }
    qsort(values, RESAMPLES, sizeof *values, by_double);
    f.low = values[(int)(0.025 * (RESAMPLES - 1))];
    f.high = values[(int)ceil(0.975 * (RESAMPLES - 1))];
    fv_free(pick);
    return f;
}

#endif
