/* Names and sizes of element types, from the one list in the header, and what short floats say. */
#include "base/dtype.h"

#include <string.h>

#include "base/err.h"

static const struct {
    const char *name;
    size_t bytes;
} types[] = {
#define TYPE_ROW(name, text, bytes) [name] = {text, bytes},
    FV_DTYPE_LIST(TYPE_ROW)
#undef TYPE_ROW
};

size_t fv_dtype_bytes(fv_dtype dtype)
{
    FV_ASSERT((size_t)dtype < FV_COUNT(types));
    return types[dtype].bytes;
}

const char *fv_dtype_name(fv_dtype dtype)
{
    FV_ASSERT((size_t)dtype < FV_COUNT(types));
    return types[dtype].name;
}

int fv_dtype_parse(const char *name)
{
    for (int i = 0; i < FV_DTYPE_COUNT; i++)
        if (strcmp(types[i].name, name) == 0) return i;
    return -1;
}

/* ---- Short floats ---- */

static float from_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* IEEE 754 binary16. */
static float widen_half(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 1023;
    if (exponent == 31) return from_bits(sign | 0x7f800000 | fraction << 13);
    if (exponent) return from_bits(sign | (exponent + 112) << 23 | fraction << 13);
    float tiny = (float)fraction * 0x1p-24f;
    return sign ? -tiny : tiny;
}

bool fv_dtype_widens(fv_dtype dtype) { return dtype == FV_F32 || dtype == FV_F16 || dtype == FV_BF16; }

void fv_dtype_widen(float *to, const void *from, fv_dtype dtype, int64_t n)
{
    const uint8_t *bytes = from;
    FV_ASSERT(fv_dtype_widens(dtype));
    if (dtype == FV_F32) {
        if (n) memcpy(to, bytes, (size_t)n * sizeof *to);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, bytes + 2 * i, sizeof h);
        to[i] = dtype == FV_F16 ? widen_half(h) : from_bits((uint32_t)h << 16);
    }
}

/* The trap: adding half of the last place carries a NaN of small payload over to infinity. */
static uint16_t round_bf16(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

void fv_dtype_round_bf16(uint16_t *to, const void *from, fv_dtype dtype, int64_t n)
{
    const uint8_t *at = from;
    for (int64_t i = 0; i < n; i++) {
        float f;
        fv_dtype_widen(&f, at + (size_t)i * fv_dtype_bytes(dtype), dtype, 1);
        to[i] = round_bf16(f);
    }
}

/* Between halves below 2^-14 lie 2^-24, and adding 0.5 rounds a float to just that. */
static uint16_t round_half(float f)
{
    uint32_t bits, sign;
    memcpy(&bits, &f, sizeof bits);
    sign = bits >> 16 & 0x8000;
    bits &= 0x7fffffff;
    if (bits < 0x38800000) {
        float sum = from_bits(bits) + 0.5f;
        memcpy(&bits, &sum, sizeof bits);
        return (uint16_t)(sign | (bits - 0x3f000000));
    }
    return (uint16_t)(sign | ((bits - 0x38000000 + 0xfff + (bits >> 13 & 1)) >> 13));
}

bool fv_dtype_round_f16(uint16_t *to, const void *from, int64_t n)
{
    const uint8_t *at = from;
    bool fits = true;
    for (int64_t i = 0; i < n; i++) {
        float f;
        memcpy(&f, at + i * (int64_t)sizeof f, sizeof f);
        fits &= __builtin_fabsf(f) < 65520; /* from there on the nearest is infinity; of NaN it is not true either */
        to[i] = fits ? round_half(f) : 0;
    }
    return fits;
}
