/* Trainable weights in one block. Knows names and storage; nothing of models. */
#include "graph/param.h"

#include <string.h>

#include "base/str.h"

enum { FV_PARAM_ALIGN = 16 }; /* floats: a cache line, so that vector loads of rows start aligned */

static void copy_name(char to[FV_PARAM_NAME], const char *name)
{
    size_t n = strlen(name);
    FV_ASSERT(n < FV_PARAM_NAME);
    memcpy(to, name, n + 1);
}

fv_param *fv_params_add(fv_params *params, const char *const *names, int parts, int rank, int64_t rows, int64_t cols, fv_init init, float deviation, fv_err *err)
{
    FV_ASSERT(parts >= 1 && parts <= FV_MAX_PARTS && (rank == 2 || rows == 1));
    FV_ASSERT((rank == 2 ? rows : cols) % parts == 0 && !params->block);
    if (fv_grow(&params->items, &params->capacity, params->n + 1, sizeof *params->items, err) != FV_OK) return NULL;
    fv_param *p = fv_arena_alloc(&params->arena, sizeof *p, err);
    if (!p) return NULL;
    for (int i = 0; i < parts; i++) copy_name(p->names[i], names[i]);
    p->parts = parts;
    p->rank = rank;
    p->rows = rows;
    p->cols = cols;
    p->init = init;
    p->deviation = deviation;
    p->decay = rank == 2;
    p->zero_row = -1;
    p->depth = FV_PARAM_ABOVE;
    p->rate = 1;
    p->offset = params->n_floats;
    p->version = 1;
    params->n_floats += (rows * cols + FV_PARAM_ALIGN - 1) / FV_PARAM_ALIGN * FV_PARAM_ALIGN;
    params->items[params->n++] = p;
    return p;
}

fv_status fv_params_allocate(fv_params *params, fv_err *err)
{
    FV_ASSERT(!params->block);
    params->block = fv_alloc_zero((size_t)params->n_floats, sizeof(float), err);
    if (!params->block) return FV_E_MEMORY;
    for (size_t i = 0; i < params->n; i++) params->items[i]->data = params->block + params->items[i]->offset;
    return FV_OK;
}

static void draw(fv_param *p, uint64_t seed)
{
    for (int part = 0; part < p->parts; part++) {
        int64_t rows, cols;
        float *w = fv_param_part(p, part, &rows, &cols);
        fv_rng rng = fv_rng_make(seed, p->names[part]);
        for (int64_t i = 0; i < rows * cols; i++)
            w[i] = p->init == FV_INIT_NORMAL ? (float)(p->deviation * fv_rng_normal(&rng)) : p->init == FV_INIT_ONE ? 1.0f : 0.0f;
    }
}

void fv_params_hold_zeros(const fv_params *params, float *block)
{
    for (size_t i = 0; i < params->n; i++) {
        const fv_param *p = params->items[i];
        if (p->zero_row >= 0) memset(block + p->offset + p->zero_row * p->cols, 0, (size_t)p->cols * sizeof *block);
    }
}

void fv_params_draw(fv_params *params, uint64_t seed)
{
    for (size_t i = 0; i < params->n; i++) draw(params->items[i], seed);
    fv_params_hold_zeros(params, params->block);
    fv_params_changed(params, NULL);
}

void fv_params_bind_grad(fv_params *params, float *block)
{
    for (size_t i = 0; i < params->n; i++) {
        fv_param *p = params->items[i];
        p->grad = block && !p->frozen ? block + p->offset : NULL;
    }
}

/* Tables are looked up; the one that is multiplied with, too, is so where few words are missing. */
static bool packable(const fv_param *p) { return p->rank == 2 && !p->table; }

void fv_param_rows(float *to, const fv_param *p, int64_t first, int64_t n)
{
    int64_t rows = p->rows / p->parts;
    if (p->data) {
        memcpy(to, p->data + first * p->cols, (size_t)(n * p->cols) * sizeof *to);
        return;
    }
    for (int64_t r = first; r < first + n; r++, to += p->cols) {
        const uint8_t *from = p->narrow[r / rows];
        int64_t at = r % rows * p->cols;
        if (p->narrow_dtype != FV_I8) fv_dtype_widen(to, from + 2 * at, p->narrow_dtype, p->cols);
        else
            for (int64_t c = 0; c < p->cols; c++) to[c] = p->scales[r] * (float)((const int8_t *)from)[at + c];
    }
}

/* Integers of the file go into panels as they are. */
static fv_packed *pack_stored(const fv_param *p, fv_err *err)
{
    size_t part = (size_t)(p->rows / p->parts * p->cols);
    int8_t *q = fv_alloc(part * (size_t)p->parts, err);
    if (!q) return NULL;
    for (int i = 0; i < p->parts; i++) memcpy(q + (size_t)i * part, p->narrow[i], part);
    fv_packed *packed = fv_packed_new_int8(q, p->cols, p->scales, p->cols, p->rows, err);
    fv_free(q);
    return packed;
}

static fv_packed *pack_int8(const fv_param *p, fv_err *err)
{
    fv_packed *packed = NULL;
    if (!p->data) return pack_stored(p, err);
    int8_t *q = fv_alloc((size_t)(p->rows * p->cols), err);
    float *scales = q ? fv_alloc((size_t)p->rows * sizeof *scales, err) : NULL;
    if (scales) {
        fv_quantize_weights(q, p->cols, scales, p->data, p->cols, p->rows, p->cols);
        packed = fv_packed_new_int8(q, p->cols, scales, p->cols, p->rows, err);
    }
    fv_free(q);
    fv_free(scales);
    return packed;
}

static fv_packed *pack_floats(const fv_param *p, fv_precision precision, fv_pool *pool, fv_err *err)
{
    float *wide = p->data ? NULL : fv_alloc((size_t)(p->rows * p->cols) * sizeof *wide, err);
    const float *data = p->data ? p->data : wide;
    if (!data) return NULL;
    if (wide) fv_param_rows(wide, p, 0, p->rows);
    fv_packed *packed = precision == FV_PRECISION_BF16 ? fv_packed_new_bf16(data, p->cols, true, p->cols, p->rows, pool, err) : fv_packed_new(data, p->cols, true, p->cols, p->rows, pool, err);
    fv_free(wide);
    return packed;
}

fv_status fv_param_pack(fv_param *p, fv_precision precision, fv_pool *pool, fv_err *err)
{
    FV_ASSERT(p->rank == 2);
    if (p->packed[precision]) return FV_OK;
    p->packed[precision] = precision == FV_PRECISION_INT8 ? pack_int8(p, err) : pack_floats(p, precision, pool, err);
    return p->packed[precision] ? FV_OK : FV_E_MEMORY;
}

fv_status fv_params_pack(fv_params *params, fv_precision precision, fv_pool *pool, fv_err *err)
{
    fv_status status = FV_OK;
    for (size_t i = 0; i < params->n; i++) {
        fv_param *p = params->items[i];
        if (packable(p)) FV_TRY(fv_param_pack(p, p->rounds ? precision : FV_PRECISION_F32, pool, err));
    }
done:
    return status;
}

const fv_packed *fv_param_packed(const fv_param *p, fv_precision precision)
{
    const fv_packed *found = p->packed[precision] ? p->packed[precision] : p->packed[FV_PRECISION_F32];
    for (int i = 0; i < FV_N_PRECISIONS && !found; i++) found = p->packed[i];
    return found;
}

static void drop_packed(fv_param *p, fv_precision precision)
{
    fv_packed_free(p->packed[precision]);
    p->packed[precision] = NULL;
}

static void changed(fv_param *p, fv_pool *pool)
{
    p->version++;
    for (fv_precision i = FV_PRECISION_F32; i < FV_PRECISION_INT8; i++) drop_packed(p, i);
    if (p->packed[FV_PRECISION_INT8]) fv_packed_refill_int8(p->packed[FV_PRECISION_INT8], p->data, p->cols, pool);
}

void fv_params_changed(fv_params *params, fv_pool *pool)
{
    for (size_t i = 0; i < params->n; i++) changed(params->items[i], pool);
}

void fv_params_learned(fv_params *params, fv_pool *pool)
{
    for (size_t i = 0; i < params->n; i++)
        if (!params->items[i]->frozen) changed(params->items[i], pool);
}

fv_status fv_params_pack_rounding(fv_params *params, fv_precision precision, fv_pool *pool, fv_err *err)
{
    fv_status status = FV_OK;
    for (size_t i = 0; i < params->n; i++)
        if (params->items[i]->rounds) FV_TRY(fv_param_pack(params->items[i], precision, pool, err));
done:
    return status;
}

float *fv_param_part(const fv_param *param, int i, int64_t *rows, int64_t *cols)
{
    *rows = param->rank == 2 ? param->rows / param->parts : 1;
    *cols = param->rank == 2 ? param->cols : param->cols / param->parts;
    return param->data ? param->data + (int64_t)i * *rows * *cols : NULL;
}

void fv_params_release(fv_params *params)
{
    for (size_t i = 0; i < params->n; i++)
        for (fv_precision k = FV_PRECISION_F32; k <= FV_PRECISION_INT8; k++) drop_packed(params->items[i], k);
    fv_free(params->items);
    fv_free(params->block);
    fv_arena_release(&params->arena);
    *params = (fv_params){0};
}
