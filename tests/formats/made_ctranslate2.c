/* Bytes of a model.bin, one after the other. */
#include "formats/made_ctranslate2.h"

#include <string.h>

static void put(fv_buf *to, const void *bytes, size_t n) { FV_ASSERT(fv_buf_add(to, bytes, n, NULL) == FV_OK); }

void made_u8(fv_buf *to, uint8_t x) { put(to, &x, sizeof x); }
void made_u16(fv_buf *to, uint16_t x) { put(to, &x, sizeof x); }
void made_u32(fv_buf *to, uint32_t x) { put(to, &x, sizeof x); }

void made_string(fv_buf *to, const char *text)
{
    made_u16(to, (uint16_t)(strlen(text) + 1));
    put(to, text, strlen(text) + 1);
}

void made_header(fv_buf *to, uint32_t version, const char *specification, uint32_t revision, uint32_t variables)
{
    made_u32(to, version);
    made_string(to, specification);
    made_u32(to, revision);
    made_u32(to, variables);
}

static uint8_t code_of(fv_dtype type)
{
    static const fv_dtype types[] = {FV_F32, FV_I8, FV_I16, FV_I32, FV_F16, FV_BF16};
    uint8_t code = 0;
    while (types[code] != type) code++;
    return code;
}

void made_variable(fv_buf *to, bool typed, const char *name, fv_dtype type, int rank, uint32_t rows, uint32_t cols)
{
    uint32_t n = (rank > 0 ? rows : 1) * (rank > 1 ? cols : 1), width = (uint32_t)fv_dtype_bytes(type);
    made_string(to, name);
    made_u8(to, (uint8_t)rank);
    if (rank > 0) made_u32(to, rows);
    if (rank > 1) made_u32(to, cols);
    made_u8(to, typed ? code_of(type) : (uint8_t)width);
    made_u32(to, typed ? n * width : n);
}
