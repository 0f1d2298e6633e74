/* What the kernels' tests share: matrices with guards around and between their rows, chance, and a
 * walk over the instruction sets of this machine. Inputs lie between guards too: those are NaN, so a
 * kernel that reads what it should not spoils its result. */
#ifndef FV_TESTS_KERNELS_CHECK_H
#define FV_TESTS_KERNELS_CHECK_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "kernels/kernels.h"

#define GUARD 64
static const uint32_t guard_bits = 0x7fc0dead; /* a NaN of our own */

typedef struct grid {
    float *at;
    int64_t rows, cols, ld;
    float *block;
    size_t floats;
} grid;

static inline grid grid_new(int64_t rows, int64_t cols, int64_t gap)
{
    grid g = {.rows = rows, .cols = cols, .ld = cols + gap};
    g.floats = (size_t)(rows * g.ld) + 2 * GUARD;
    g.block = fv_alloc(g.floats * sizeof(float), NULL);
    assert_non_null(g.block);
    for (size_t i = 0; i < g.floats; i++) memcpy(g.block + i, &guard_bits, 4);
    g.at = g.block + GUARD;
    return g;
}

static inline void grid_free(grid *g) { fv_free(g->block); }

static uint64_t chance_state = 1;

static inline float chance(float low, float high)
{
    chance_state = chance_state * 6364136223846793005u + 1442695040888963407u;
    return low + (high - low) * (float)(chance_state >> 40) / 16777216.0f;
}

static inline void grid_random(const grid *g, float low, float high)
{
    for (int64_t r = 0; r < g->rows; r++) {
        for (int64_t c = 0; c < g->cols; c++) g->at[r * g->ld + c] = chance(low, high);
    }
}

static inline grid grid_made(int64_t rows, int64_t cols, int64_t gap)
{
    grid g = grid_new(rows, cols, gap);
    grid_random(&g, -1, 1);
    return g;
}

/* Back to NaN: for outputs that must be set, whatever was there. */
static inline void grid_spoil(const grid *g)
{
    for (size_t i = 0; i < g->floats; i++) memcpy(g->block + i, &guard_bits, 4);
}

static inline void grid_copy(const grid *to, const grid *from)
{
    for (int64_t r = 0; r < from->rows; r++) memcpy(to->at + r * to->ld, from->at + r * from->ld, (size_t)from->cols * sizeof(float));
}

static inline float grid_get(const grid *g, int64_t r, int64_t c) { return g->at[r * g->ld + c]; }

/* Nothing was written outside of rows × cols. */
static inline void grid_check_guards(const grid *g)
{
    for (size_t i = 0; i < g->floats; i++) {
        int64_t place = (int64_t)i - GUARD;
        bool inside = place >= 0 && place < g->rows * g->ld && place % g->ld < g->cols;
        if (!inside && memcmp(g->block + i, &guard_bits, 4) != 0) fail_msg("wrote outside, at float %ld of a %ld x %ld matrix with rows %ld apart", (long)place, (long)g->rows, (long)g->cols, (long)g->ld);
    }
}

static inline void check_close(double got, double expected, double tolerance, const char *what, int64_t r, int64_t c)
{
    if (!(fabs(got - expected) <= tolerance)) fail_msg("%s [%ld, %ld] on %s: %.9g, expected %.9g within %.3g", what, (long)r, (long)c, fv_kernels_isa(), got, expected, tolerance);
}

/* Every element against float64, and the guards. */
static inline void grid_check(const grid *g, const double *expected, double tolerance, const char *what)
{
    for (int64_t r = 0; r < g->rows; r++) {
        for (int64_t c = 0; c < g->cols; c++) check_close(grid_get(g, r, c), expected[r * g->cols + c], tolerance, what, r, c);
    }
    grid_check_guards(g);
}

static inline bool grid_same(const grid *a, const grid *b) { return a->floats == b->floats && memcmp(a->block, b->block, a->floats * sizeof(float)) == 0; }

static inline double *doubles(int64_t n)
{
    double *x = calloc((size_t)(n > 0 ? n : 1), sizeof *x);
    assert_non_null(x);
    return x;
}

/* for (EACH_ISA(i)) runs its body once for each instruction set, slowest first. */
static inline bool use_isa(int i)
{
    const char *names[8];
    int n = fv_kernels_list(names, 8);
    assert_true(n >= 1);
    if (i < n) assert_int_equal(fv_kernels_force(names[i], NULL), FV_OK);
    return i < n;
}
#define EACH_ISA(i) int i = 0; use_isa(i); i++

static inline double gelu64(double x) { return 0.5 * x * erfc(-x / sqrt(2)); }
static inline double gelu_slope64(double x) { return 0.5 * erfc(-x / sqrt(2)) + x * exp(-0.5 * x * x) / sqrt(2 * M_PI); }

static inline double gelu_tanh_inner64(double x) { return sqrt(2 / M_PI) * (x + 0.044715 * x * x * x); }
static inline double gelu_tanh_slope64(double x)
{
    double t = tanh(gelu_tanh_inner64(x));
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * sqrt(2 / M_PI) * (1 + 3 * 0.044715 * x * x);
}

static inline double act64(double x, fv_act act)
{
    switch (act) {
    case FV_ACT_RELU: return x > 0 ? x : 0;
    case FV_ACT_GELU: return gelu64(x);
    case FV_ACT_TANH: return tanh(x);
    case FV_ACT_SILU: return x / (1 + exp(-x));
    case FV_ACT_GELU_TANH: return 0.5 * x * (1 + tanh(gelu_tanh_inner64(x)));
    case FV_ACT_NONE: break;
    }
    return x;
}

static inline double act_slope64(double x, fv_act act)
{
    switch (act) {
    case FV_ACT_RELU: return x > 0;
    case FV_ACT_GELU: return gelu_slope64(x);
    case FV_ACT_TANH: return 1 - tanh(x) * tanh(x);
    case FV_ACT_SILU: return (1 + exp(-x) + x * exp(-x)) / ((1 + exp(-x)) * (1 + exp(-x)));
    case FV_ACT_GELU_TANH: return gelu_tanh_slope64(x);
    case FV_ACT_NONE: break;
    }
    return 1;
}

#endif
