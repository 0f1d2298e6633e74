/* The element types of tensors and of safetensors files. */
#ifndef FV_BASE_DTYPE_H
#define FV_BASE_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FV_DTYPE_LIST(X) \
    X(FV_F64, "F64", 8) X(FV_F32, "F32", 4) X(FV_F16, "F16", 2) X(FV_BF16, "BF16", 2) \
    X(FV_I64, "I64", 8) X(FV_I32, "I32", 4) X(FV_I16, "I16", 2) X(FV_I8, "I8", 1) \
    X(FV_U64, "U64", 8) X(FV_U32, "U32", 4) X(FV_U16, "U16", 2) X(FV_U8, "U8", 1) X(FV_BOOL, "BOOL", 1)

typedef enum fv_dtype {
#define FV_DTYPE_ENUM(name, text, bytes) name,
    FV_DTYPE_LIST(FV_DTYPE_ENUM)
#undef FV_DTYPE_ENUM
    FV_DTYPE_COUNT
} fv_dtype;

size_t fv_dtype_bytes(fv_dtype dtype);
const char *fv_dtype_name(fv_dtype dtype);
int fv_dtype_parse(const char *name); /* the dtype, or -1 */
/* n numbers of a type that `widens` to float32, exactly: F32, F16, BF16. `from` need not be aligned. */
bool fv_dtype_widens(fv_dtype dtype);
void fv_dtype_widen(float *to, const void *from, fv_dtype dtype, int64_t n);
/* The nearest bfloat16 of n numbers of a type that widens; of two the even one. NaN stays NaN. */
void fv_dtype_round_bf16(uint16_t *to, const void *from, fv_dtype dtype, int64_t n);
/* The nearest float16 of n floats, which need not be aligned; of two the even one. False when one is too large, or no number. */
bool fv_dtype_round_f16(uint16_t *to, const void *from, int64_t n);

#endif
