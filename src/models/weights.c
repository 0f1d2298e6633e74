/* Parameters to and from safetensors files, under their own names. */
#include "models/encoder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static fv_status wrong_shape(const fv_safetensors *file, const fv_st_tensor *t, int64_t rows, int64_t cols, int rank, fv_err *err)
{
    fv_buf found = {0};
    for (int i = 0; i < t->rank; i++) fv_buf_printf(&found, NULL, "%s%lld", i ? ", " : "", (long long)t->shape[i]);
    char wanted[64];
    if (rank == 2) snprintf(wanted, sizeof wanted, "%lld, %lld", (long long)rows, (long long)cols);
    else snprintf(wanted, sizeof wanted, "%lld", (long long)cols);
    fv_status status = FV_FAIL(err, FV_E_FORMAT, "%s: %s is [%s]; config.json says [%s]", file->path, t->name, found.data ? found.data : "", wanted);
    fv_buf_release(&found);
    return status;
}

/* Weights that were first TensorFlow's: the old names of a norm's scale and shift. */
static const fv_st_tensor *find_old(const fv_safetensors *file, const char *name)
{
    static const char *const ends[][2] = {{"LayerNorm.weight", "LayerNorm.gamma"}, {"LayerNorm.bias", "LayerNorm.beta"}};
    char old[FV_PARAM_NAME + 2];
    for (size_t i = 0; i < FV_COUNT(ends); i++) {
        size_t n = strlen(name), m = strlen(ends[i][0]);
        if (n < m || strcmp(name + n - m, ends[i][0]) != 0) continue;
        snprintf(old, sizeof old, "%.*s%s", (int)(n - m), name, ends[i][1]);
        return fv_safetensors_find(file, old);
    }
    return NULL;
}

static const fv_st_tensor *find_named(const fv_safetensors *file, const char *name)
{
    const fv_st_tensor *t = fv_safetensors_find(file, name);
    return t ? t : find_old(file, name);
}

const fv_st_tensor *fv_weights_find(const fv_params *params, const fv_safetensors *file, const char *name)
{
    const fv_st_tensor *t = find_named(file, name);
    size_t n = params->prefix ? strlen(params->prefix) : 0;
    return t || n == 0 || strncmp(name, params->prefix, n) != 0 ? t : find_named(file, name + n);
}

static fv_status find_part(const fv_params *params, const fv_safetensors *file, const fv_param *p, int part, const fv_st_tensor **out, fv_err *err)
{
    int64_t rows, cols;
    fv_param_part(p, part, &rows, &cols);
    const fv_st_tensor *t = fv_weights_find(params, file, p->names[part]);
    if (!t) return FV_FAIL(err, FV_E_FORMAT, "%s: no tensor %s, which config.json asks for", file->path, p->names[part]);
    bool fits = p->rank == 2 ? t->rank == 2 && t->shape[0] == rows && t->shape[1] == cols : t->rank == 1 && t->shape[0] == cols;
    if (!fits) return wrong_shape(file, t, rows, cols, p->rank, err);
    bool integers = params->integers && p->rank == 2 && !p->table;
    if (!fv_dtype_widens(t->dtype) && !(integers && t->dtype == FV_I8))
        return FV_FAIL(err, FV_E_FORMAT, "%s: %s holds %s; supported: F32, F16, BF16%s", file->path, t->name, fv_dtype_name(t->dtype), integers ? ", and I8 with scales" : "");
    *out = t;
    return FV_OK;
}

/* ---- Integers ---- */

/* What lies beside the tensor NAME; NULL: nothing. */
static const fv_st_tensor *find_beside(const fv_params *params, const fv_safetensors *file, const char *name, const char *suffix)
{
    char full[FV_PARAM_NAME + 16];
    snprintf(full, sizeof full, "%s%s", name, suffix);
    return fv_weights_find(params, file, full);
}

/* Files of symmetric integers may have zero points all the same, if they are 0. */
static fv_status check_zero_points(const fv_params *params, const fv_safetensors *file, const char *name, fv_err *err)
{
    const fv_st_tensor *t = find_beside(params, file, name, "_zero_point");
    for (size_t i = 0; t && i < t->bytes; i++)
        if (((const uint8_t *)t->data)[i]) return FV_FAIL(err, FV_E_FORMAT, "%s: %s is not all 0; not supported", file->path, t->name);
    return FV_OK;
}

/* A scale for each of the tensor's rows. */
static fv_status read_scales(const fv_params *params, const fv_safetensors *file, const char *name, float *to, int64_t rows, fv_err *err)
{
    const fv_st_tensor *t = find_beside(params, file, name, "_scale");
    if (!t) return FV_FAIL(err, FV_E_FORMAT, "%s: %s holds I8, and there is no tensor %s_scale", file->path, name, name);
    if (!fv_dtype_widens(t->dtype)) return FV_FAIL(err, FV_E_FORMAT, "%s: %s holds %s; supported: F32, F16, BF16", file->path, t->name, fv_dtype_name(t->dtype));
    bool fits = t->rank >= 1 && t->rank <= 2 && t->shape[0] == rows && (t->rank == 1 || t->shape[1] == 1);
    if (!fits) return wrong_shape(file, t, rows, 1, 2, err);
    fv_dtype_widen(to, t->data, t->dtype, rows);
    for (int64_t i = 0; i < rows; i++)
        if (!(to[i] > 0) || !isfinite(to[i])) return FV_FAIL(err, FV_E_FORMAT, "%s: %s: row %lld is %g; expected more than 0", file->path, t->name, (long long)i, (double)to[i]);
    return check_zero_points(params, file, name, err);
}

static fv_status widen_integers(const fv_params *params, const fv_safetensors *file, const fv_st_tensor *t, float *to, int64_t rows, int64_t cols, const char *name, fv_err *err)
{
    float *scales = fv_alloc((size_t)rows * sizeof *scales, err);
    if (!scales) return FV_E_MEMORY;
    fv_status status = read_scales(params, file, name, scales, rows, err);
    for (int64_t i = 0; i < rows * cols && status == FV_OK; i++) to[i] = scales[i / cols] * (float)((const int8_t *)t->data)[i];
    fv_free(scales);
    return status;
}

/* ---- Copies ---- */

static fv_status copy_parts(const fv_params *params, fv_param *p, const fv_safetensors *file, fv_err *err)
{
    fv_status status = FV_OK;
    for (int i = 0; i < p->parts; i++) {
        const fv_st_tensor *t;
        int64_t rows, cols;
        FV_TRY(find_part(params, file, p, i, &t, err));
        float *to = fv_param_part(p, i, &rows, &cols);
        if (t->dtype == FV_I8) FV_TRY(widen_integers(params, file, t, to, rows, cols, p->names[i], err));
        else fv_dtype_widen(to, t->data, t->dtype, rows * cols);
    }
done:
    return status;
}

fv_status fv_weights_load(fv_params *params, const fv_safetensors *file, fv_err *err)
{
    fv_status status = FV_OK;
    FV_ASSERT(params->block);
    for (size_t i = 0; i < params->n; i++)
        FV_TRY(copy_parts(params, params->items[i], file, err));
    fv_params_changed(params, NULL);
done:
    return status;
}

/* Where the parts lie back to back in the file, as we write them; *at is NULL when they do not, or are no floats. */
static fv_status find_whole(const fv_params *params, const fv_safetensors *file, const fv_param *p, const void **at, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_st_tensor *t = NULL;
    const char *next = NULL;
    *at = NULL;
    for (int i = 0; i < p->parts; i++) {
        FV_TRY(find_part(params, file, p, i, &t, err));
        bool follows = i == 0 || (const char *)t->data == next;
        if (!follows || t->dtype != FV_F32 || (uintptr_t)t->data % sizeof(float)) return *at = NULL, FV_OK;
        if (i == 0) *at = t->data;
        next = (const char *)t->data + t->bytes;
    }
done:
    return status;
}

/* Whether the parameter may stay as the file has it, in fewer bits; then its parts are where `narrow` says. */
static fv_status find_narrow(const fv_params *params, const fv_safetensors *file, fv_param *p, bool *stays, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_st_tensor *t = NULL;
    *stays = p->rounds || (p->table && !p->multiplied);
    for (int i = 0; i < p->parts && *stays; i++) {
        FV_TRY(find_part(params, file, p, i, &t, err));
        *stays = (p->table ? t->dtype == FV_F16 || t->dtype == FV_BF16 : t->dtype == FV_I8) && (i == 0 || t->dtype == p->narrow_dtype);
        p->narrow[i] = t->data;
        p->narrow_dtype = t->dtype;
    }
done:
    return status;
}

static fv_status map_narrow(fv_params *params, fv_param *p, const fv_safetensors *file, fv_err *err)
{
    fv_status status = FV_OK;
    int64_t rows = p->rows / p->parts;
    if (p->narrow_dtype != FV_I8) return FV_OK;
    p->scales = fv_arena_alloc(&params->arena, (size_t)p->rows * sizeof *p->scales, err);
    if (!p->scales) return FV_E_MEMORY;
    for (int i = 0; i < p->parts; i++) FV_TRY(read_scales(params, file, p->names[i], p->scales + i * rows, rows, err));
done:
    return status;
}

static fv_status map_one(fv_params *params, fv_param *p, const fv_safetensors *file, fv_err *err)
{
    fv_status status = FV_OK;
    const void *whole;
    bool narrow;
    FV_TRY(find_narrow(params, file, p, &narrow, err));
    if (narrow) return map_narrow(params, p, file, err);
    FV_TRY(find_whole(params, file, p, &whole, err));
    if (whole) {
        p->data = (float *)(uintptr_t)whole; /* never written: running does not change weights */
        return FV_OK;
    }
    p->data = fv_arena_alloc(&params->arena, (size_t)(p->rows * p->cols) * sizeof(float), err);
    if (!p->data) return FV_E_MEMORY;
    FV_TRY(copy_parts(params, p, file, err));
done:
    return status;
}

fv_status fv_weights_map(fv_params *params, const fv_safetensors *file, fv_err *err)
{
    fv_status status = FV_OK;
    FV_ASSERT(!params->block);
    for (size_t i = 0; i < params->n; i++)
        FV_TRY(map_one(params, params->items[i], file, err));
done:
    return status;
}

fv_status fv_weights_save(const fv_params *params, const char *path, const char *const *meta_keys, const char *const *meta_values, size_t n_meta, fv_err *err)
{
    fv_status status = FV_OK;
    size_t n = 0;
    fv_st_tensor *list = fv_alloc_zero(params->n * FV_MAX_PARTS, sizeof *list, err);
    if (!list) return FV_E_MEMORY;
    for (size_t i = 0; i < params->n; i++)
        for (int part = 0; part < params->items[i]->parts; part++) {
            const fv_param *p = params->items[i];
            int64_t rows, cols;
            float *data = fv_param_part(p, part, &rows, &cols);
            list[n++] = (fv_st_tensor){
                .name = p->names[part], .dtype = FV_F32, .rank = p->rank, .data = data, .bytes = (size_t)(rows * cols) * sizeof(float),
                .shape = {p->rank == 2 ? rows : cols, cols},
            };
        }
    FV_TRY(fv_safetensors_write(path, list, n, meta_keys, meta_values, n_meta, err));
done:
    fv_free(list);
    return status;
}
