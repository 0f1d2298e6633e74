/* Bytes of a model.bin, one after the other. */
#include "formats/made_ctranslate2.h"

#include <stdio.h>
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

/* ---- A translator ---- */

enum { WIDTH = 8, FFN = 4, WORDS = 4 };

typedef struct making {
    const made_translator *what;
    fv_buf body;
    uint32_t variables, numbers;
    bool typed;
} making;

static void variable(making *m, const char *name, fv_dtype type, int rank, uint32_t rows, uint32_t cols, const void *data, size_t n)
{
    if (m->what->without && strcmp(m->what->without, name) == 0) return;
    made_variable(&m->body, m->typed, name, type, rank, rows, cols);
    put(&m->body, data, n);
    m->variables++;
}

/* Numbers that differ from place to place; short floats and integers are whatever bits they are. */
static void tensor(making *m, const char *name, fv_dtype type, int rank, uint32_t rows, uint32_t cols)
{
    fv_buf data = {0};
    for (uint32_t i = 0; i < rows * (rank > 1 ? cols : 1); i++) {
        float f = (float)(m->numbers++ % 251) / 128 - 1;
        uint16_t wide = (uint16_t)(m->numbers % 12000);
        uint8_t narrow = (uint8_t)m->numbers;
        if (type == FV_F32) put(&data, &f, 4);
        else if (type == FV_I8) put(&data, &narrow, 1);
        else put(&data, &wide, 2);
    }
    variable(m, name, type, rank, rows, cols, data.data, data.len);
    fv_buf_release(&data);
}

static void matrix(making *m, const char *scope, uint32_t rows, uint32_t cols)
{
    char name[128], scale[160];
    float scales[64];
    fv_dtype type = m->what->weights ? m->what->weights : FV_F32;
    snprintf(name, sizeof name, "%s/weight", scope);
    snprintf(scale, sizeof scale, "%s_scale", name);
    tensor(m, name, type, 2, rows, cols);
    for (uint32_t i = 0; i < rows; i++) scales[i] = (float)(50 + i);
    if (type == FV_I8) variable(m, scale, FV_F32, 1, rows, 0, scales, rows * sizeof *scales);
    if (type == FV_I16) variable(m, scale, FV_F32, 0, 0, 0, scales, sizeof *scales);
}

static void vector(making *m, const char *scope, const char *what, uint32_t n)
{
    char name[128];
    snprintf(name, sizeof name, "%s/%s", scope, what);
    tensor(m, name, FV_F32, 1, n, 0);
}

static void linear(making *m, const char *layer, const char *what, uint32_t rows, uint32_t cols)
{
    char scope[96];
    snprintf(scope, sizeof scope, "%s/%s", layer, what);
    matrix(m, scope, rows, cols);
    vector(m, scope, "bias", rows);
}

static void norm(making *m, const char *layer, const char *what)
{
    char scope[96];
    snprintf(scope, sizeof scope, "%s/%s", layer, what);
    vector(m, scope, "gamma", WIDTH);
    vector(m, scope, "beta", WIDTH);
}

static void attribute8(making *m, const char *side, const char *what, int value)
{
    char name[96];
    int8_t byte = (int8_t)value;
    snprintf(name, sizeof name, "%s/%s", side, what);
    variable(m, name, FV_I8, 0, 0, 0, &byte, 1);
}

static void side(making *m, const char *name, bool decodes)
{
    char layer[32], scope[64];
    float one = 1;
    snprintf(layer, sizeof layer, "%s/layer_0", name);
    snprintf(scope, sizeof scope, "%s/embeddings%s", name, decodes ? "" : "_0");
    if (decodes || !m->what->shared) matrix(m, scope, WORDS, WIDTH);
    snprintf(scope, sizeof scope, "%s/position_encodings/encodings", name);
    if (m->what->positions) tensor(m, scope, FV_F32, 2, m->what->positions + decodes, WIDTH);
    snprintf(scope, sizeof scope, "%s/scale_embeddings", name);
    if (m->what->scale == 1) attribute8(m, name, "scale_embeddings", 1);
    if (m->what->scale == 2) variable(m, scope, FV_F32, 0, 0, 0, &one, sizeof one);
    attribute8(m, name, "num_heads", 2);
    attribute8(m, name, "pre_norm", 1);
    attribute8(m, name, "activation", m->what->activation);
    linear(m, layer, "self_attention/linear_0", 3 * WIDTH, WIDTH);
    linear(m, layer, "self_attention/linear_1", WIDTH, WIDTH);
    norm(m, layer, "self_attention/layer_norm");
    if (decodes) {
        linear(m, layer, "attention/linear_0", WIDTH, WIDTH);
        linear(m, layer, "attention/linear_1", 2 * WIDTH, WIDTH);
        linear(m, layer, "attention/linear_2", WIDTH, WIDTH);
        norm(m, layer, "attention/layer_norm");
    }
    linear(m, layer, "ffn/linear_0", FFN, WIDTH);
    linear(m, layer, "ffn/linear_1", WIDTH, FFN);
    norm(m, layer, "ffn/layer_norm");
    norm(m, name, "layer_norm");
}

void made_translator_file(fv_buf *to, const made_translator *what)
{
    uint32_t version = what->version ? what->version : 6, aliases = (uint32_t)what->tied + (uint32_t)what->shared;
    making m = {.what = what, .typed = version >= 4};
    side(&m, "encoder", false);
    side(&m, "decoder", true);
    if (what->tied) vector(&m, "decoder/projection", "bias", WORDS);
    else linear(&m, "decoder", "projection", WORDS, WIDTH);
    attribute8(&m, "decoder", "alignment_heads", 1);
    attribute8(&m, "decoder", "alibi", 0);
    if (what->with) variable(&m, what->with, FV_F32, 0, 0, 0, &what->number, sizeof what->number);
    if (what->text) variable(&m, what->text_key, FV_I8, 1, (uint32_t)strlen(what->text), 0, what->text, strlen(what->text));
    made_header(to, version, what->specification ? what->specification : "TransformerSpec", what->revision ? what->revision : 7, m.variables);
    put(to, m.body.data, m.body.len);
    fv_buf_release(&m.body);
    if (version < 3) return;
    made_u32(to, aliases);
    if (what->tied) made_string(to, "decoder/projection/weight"), made_string(to, "decoder/embeddings/weight");
    if (what->shared) made_string(to, "encoder/embeddings_0/weight"), made_string(to, "decoder/embeddings/weight");
}
