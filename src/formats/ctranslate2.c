/* CTranslate2's model.bin and vocabularies. What its variables mean to a model is for others.
 *
 * The file comes from strangers, so every length is held against what is left before it is used. The traps: data
 * follows names of any length, so nothing in it is aligned; and before version 4 the file gives the width of a number
 * instead of its type, so that two bytes are a 16-bit weight even where a short float was meant. */
#include "formats/ctranslate2.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "model.bin is little-endian and is mapped as it is");

enum {
    OLDEST = 2, NEWEST = 6,
    WITH_ALIASES = 3, WITH_TYPES = 4, /* the versions that brought them */
    VARIABLE_MIN = 2 + 2 + 1 + 1 + 4, /* bytes of a variable of rank 0 without data, its name one letter */
    ALIAS_MIN = 2 * (2 + 2),
    MAX_VOCABULARY_BYTES = 256 << 20,
};

static const float default_scale = 1000; /* of 16-bit weights that come without one */

/* ---- Bytes ---- */

typedef struct cursor {
    const uint8_t *start, *at, *end;
    const char *path;
    char thing[96]; /* what is being read, for messages */
} cursor;

static size_t left(const cursor *c) { return (size_t)(c->end - c->at); }

static fv_status __attribute__((format(printf, 3, 4)))
refuse(fv_err *err, const cursor *c, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return FV_FAIL(err, FV_E_FORMAT, "%s: %s%s%s", c->path, c->thing, *c->thing ? ": " : "", text);
}

/* The next n bytes, where they are. */
static fv_status take_bytes(cursor *c, const uint8_t **bytes, uint64_t n, const char *what, fv_err *err)
{
    *bytes = c->at;
    if (n > left(c))
        return refuse(err, c, "%s at byte %zu has %llu bytes, but %zu are left; the file may be cut short: fetch it again", what,
                      (size_t)(c->at - c->start), (unsigned long long)n, left(c));
    c->at += n;
    return FV_OK;
}

static fv_status take_number(cursor *c, uint32_t *out, size_t width, const char *what, fv_err *err)
{
    const uint8_t *bytes;
    fv_status status = take_bytes(c, &bytes, width, what, err);
    *out = 0;
    if (status == FV_OK) memcpy(out, bytes, width);
    return status;
}

static fv_status take_string(cursor *c, const char **out, const char *what, fv_err *err)
{
    fv_status status = FV_OK;
    uint32_t length;
    const uint8_t *bytes;
    FV_TRY(take_number(c, &length, 2, what, err));
    FV_TRY(take_bytes(c, &bytes, length, what, err));
    if (length == 0 || memchr(bytes, 0, length) != bytes + length - 1)
        status = refuse(err, c, "%s at byte %zu does not end in its only zero byte", what, (size_t)(bytes - c->start));
    *out = (const char *)bytes; /* stays in the mapping, zero byte and all */
done:
    return status;
}

/* A list that claims more than the file could hold is not waited for. */
static fv_status take_count(cursor *c, uint32_t *n, size_t least_bytes, const char *what, fv_err *err)
{
    fv_status status = take_number(c, n, 4, what, err);
    if (status == FV_OK && *n > left(c) / least_bytes)
        return refuse(err, c, "%s is %u, more than the %zu bytes left can hold", what, *n, left(c));
    return status;
}

/* ---- Variables ---- */

static fv_status take_shape(cursor *c, fv_st_tensor *t, uint64_t *numbers, fv_err *err)
{
    fv_status status = FV_OK;
    uint32_t rank, size;
    *numbers = 1;
    FV_TRY(take_number(c, &rank, 1, "the rank", err));
    if (rank > FV_MAX_RANK) return refuse(err, c, "has %u dimensions; at most %d are supported", rank, FV_MAX_RANK);
    t->rank = (int)rank;
    for (int i = 0; i < t->rank; i++) {
        FV_TRY(take_number(c, &size, 4, "the shape", err));
        t->shape[i] = size;
        if (__builtin_mul_overflow(*numbers, (uint64_t)size, numbers)) return refuse(err, c, "has more numbers than can be counted");
    }
done:
    return status;
}

static fv_status type_of(const cursor *c, uint32_t version, uint32_t code, fv_dtype *out, fv_err *err)
{
    static const fv_dtype types[] = {FV_F32, FV_I8, FV_I16, FV_I32, FV_F16, FV_BF16};
    if (version >= WITH_TYPES) {
        if (code >= FV_COUNT(types)) return refuse(err, c, "type %u; expected 0 to %zu", code, FV_COUNT(types) - 1);
        *out = types[code];
        return FV_OK;
    }
    if (code != 1 && code != 2 && code != 4) return refuse(err, c, "numbers of %u bytes; expected 1, 2 or 4", code);
    *out = code == 4 ? FV_F32 : code == 2 ? FV_I16 : FV_I8;
    return FV_OK;
}

static fv_status take_variable(cursor *c, uint32_t version, fv_st_tensor *t, fv_err *err)
{
    fv_status status = FV_OK;
    uint32_t code, count;
    uint64_t numbers, bytes, needed;
    const uint8_t *data;
    fv_shown shown;
    FV_TRY(take_string(c, &t->name, "the name of a variable", err));
    snprintf(c->thing, sizeof c->thing, "%s", fv_show(&shown, t->name, strlen(t->name)));
    FV_TRY(take_shape(c, t, &numbers, err));
    FV_TRY(take_number(c, &code, 1, "the type", err));
    FV_TRY(type_of(c, version, code, &t->dtype, err));
    FV_TRY(take_number(c, &count, 4, "the size", err));
    bytes = (uint64_t)count * (version >= WITH_TYPES ? 1 : code);
    if (__builtin_mul_overflow(numbers, (uint64_t)fv_dtype_bytes(t->dtype), &needed) || needed != bytes) {
        status = refuse(err, c, "has %llu bytes of data; its shape and type need another number", (unsigned long long)bytes);
        goto done;
    }
    FV_TRY(take_bytes(c, &data, bytes, "the data", err));
    t->data = data;
    t->bytes = (size_t)bytes;
    c->thing[0] = 0;
done:
    return status;
}

static int by_name(const void *a, const void *b) { return strcmp(((const fv_st_tensor *)a)->name, ((const fv_st_tensor *)b)->name); }

static fv_status sort_variables(fv_ctranslate2 *m, const cursor *c, fv_err *err)
{
    qsort(m->variables, m->n, sizeof *m->variables, by_name);
    for (size_t i = 1; i < m->n; i++) {
        fv_shown shown;
        const char *name = m->variables[i].name;
        if (strcmp(m->variables[i - 1].name, name) == 0) return refuse(err, c, "variable %s is there twice", fv_show(&shown, name, strlen(name)));
    }
    return FV_OK;
}

static fv_status take_variables(fv_ctranslate2 *m, cursor *c, fv_err *err)
{
    fv_status status = FV_OK;
    uint32_t n;
    FV_TRY(take_count(c, &n, VARIABLE_MIN, "the number of variables", err));
    m->variables = fv_alloc_zero(n, sizeof *m->variables, err);
    if (!m->variables) return FV_E_MEMORY;
    m->n = n;
    for (uint32_t i = 0; i < n; i++) FV_TRY(take_variable(c, m->version, &m->variables[i], err));
    FV_TRY(sort_variables(m, c, err));
done:
    return status;
}

/* ---- Aliases ---- */

/* One more name for what NAME is, and for its scale: ALIAS_scale goes unsaid in the file. */
static fv_status add_alias(fv_ctranslate2 *m, size_t known, fv_st_tensor *list, size_t *n, const char *alias, const char *name, fv_err *err)
{
    fv_st_tensor wanted = {.name = name}, *found = bsearch(&wanted, m->variables, known, sizeof wanted, by_name);
    if (!found) return FV_OK;
    list[*n] = *found;
    list[*n].name = fv_arena_strndup(&m->names, alias, strlen(alias), err);
    return list[(*n)++].name ? FV_OK : FV_E_MEMORY;
}

static fv_status add_alias_of_scale(fv_ctranslate2 *m, size_t known, fv_st_tensor *list, size_t *n, const char *alias, const char *name, fv_err *err)
{
    fv_buf of = {0}, to = {0};
    fv_status status = FV_OK;
    FV_TRY(fv_buf_printf(&of, err, "%s_scale", alias));
    FV_TRY(fv_buf_printf(&to, err, "%s_scale", name));
    FV_TRY(add_alias(m, known, list, n, of.data, to.data, err));
done:
    fv_buf_release(&of);
    fv_buf_release(&to);
    return status;
}

static fv_status take_aliases(fv_ctranslate2 *m, cursor *c, fv_err *err)
{
    fv_status status = FV_OK;
    uint32_t n;
    size_t known = m->n, added = 0;
    FV_TRY(take_count(c, &n, ALIAS_MIN, "the number of aliases", err));
    fv_st_tensor *more = fv_realloc(m->variables, (known + 2 * (size_t)n) * sizeof *more, err);
    if (!more) return FV_E_MEMORY;
    m->variables = more;
    for (uint32_t i = 0; i < n; i++) {
        const char *alias, *name;
        size_t before = added;
        fv_shown shown;
        FV_TRY(take_string(c, &alias, "an alias", err));
        FV_TRY(take_string(c, &name, "what an alias stands for", err));
        FV_TRY(add_alias(m, known, more + known, &added, alias, name, err));
        if (added == before) return refuse(err, c, "an alias stands for %s, which is no variable", fv_show(&shown, name, strlen(name)));
        FV_TRY(add_alias_of_scale(m, known, more + known, &added, alias, name, err));
    }
    m->n += added;
    FV_TRY(sort_variables(m, c, err));
done:
    return status;
}

/* ---- The file as a whole ---- */

static fv_status read_file(fv_ctranslate2 *m, cursor *c, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(take_number(c, &m->version, 4, "the binary version", err));
    if (m->version < OLDEST || m->version > NEWEST)
        return refuse(err, c, "binary version %u; supported: %d to %d. Is it a model of CTranslate2?", m->version, OLDEST, NEWEST);
    FV_TRY(take_string(c, &m->specification, "the name of the specification", err));
    FV_TRY(take_number(c, &m->revision, 4, "the revision", err));
    FV_TRY(take_variables(m, c, err));
    if (m->version >= WITH_ALIASES) FV_TRY(take_aliases(m, c, err));
    if (left(c)) status = refuse(err, c, "%zu bytes are left over after the last variable", left(c));
done:
    return status;
}

fv_status fv_ctranslate2_open(fv_ctranslate2 *m, const char *folder, fv_err *err)
{
    fv_status status = FV_OK;
    char path[FV_PATH_MAX];
    *m = (fv_ctranslate2){0};
    FV_TRY(fv_path_join(path, folder, "model.bin", err));
    m->path = fv_strdup(path, err);
    m->folder = fv_strdup(folder, err);
    if (!m->path || !m->folder) { status = FV_E_MEMORY; goto done; }
    FV_TRY(fv_file_map(path, &m->map, err));
    cursor c = {.start = m->map.data, .at = m->map.data, .end = m->map.data + m->map.size, .path = m->path};
    FV_TRY(read_file(m, &c, err));
done:
    if (status != FV_OK) fv_ctranslate2_close(m);
    return status;
}

void fv_ctranslate2_close(fv_ctranslate2 *m)
{
    fv_free(m->variables);
    fv_arena_release(&m->names);
    fv_file_unmap(&m->map);
    fv_free(m->path);
    fv_free(m->folder);
    *m = (fv_ctranslate2){0};
}

/* ---- What is in it ---- */

const fv_st_tensor *fv_ctranslate2_find(const fv_ctranslate2 *m, const char *name)
{
    fv_st_tensor wanted = {.name = name};
    return m->n ? bsearch(&wanted, m->variables, m->n, sizeof wanted, by_name) : NULL;
}

static fv_status wrong(const fv_ctranslate2 *m, const fv_st_tensor *t, const char *expected, fv_err *err)
{
    fv_shown shown;
    return FV_FAIL(err, FV_E_FORMAT, "%s: %s is %s of rank %d; expected %s", m->path, fv_show(&shown, t->name, strlen(t->name)), fv_dtype_name(t->dtype), t->rank, expected);
}

fv_status fv_ctranslate2_number(const fv_ctranslate2 *m, const char *name, double *out, fv_err *err)
{
    const fv_st_tensor *t = fv_ctranslate2_find(m, name);
    union { int8_t i8; int16_t i16; int32_t i32; } bits = {0};
    float f;
    if (!t) return FV_OK;
    if (t->rank != 0) return wrong(m, t, "a single number", err);
    if (fv_dtype_widens(t->dtype)) {
        fv_dtype_widen(&f, t->data, t->dtype, 1);
        *out = f;
        return FV_OK;
    }
    memcpy(&bits, t->data, t->bytes);
    *out = t->dtype == FV_I8 ? bits.i8 : t->dtype == FV_I16 ? bits.i16 : bits.i32;
    return FV_OK;
}

fv_status fv_ctranslate2_text(fv_ctranslate2 *m, const char *name, const char **out, fv_err *err)
{
    const fv_st_tensor *t = fv_ctranslate2_find(m, name);
    if (!t) return FV_OK;
    if (t->dtype != FV_I8 || t->rank != 1) return wrong(m, t, "a text", err);
    *out = fv_arena_strndup(&m->names, t->data, t->bytes, err);
    return *out ? FV_OK : FV_E_MEMORY;
}

/* What integers of this variable are divided by, a number for each row or (each = 0) one for all. */
static fv_status find_scales(const fv_ctranslate2 *m, const fv_st_tensor *t, const uint8_t **scales, int64_t *each, fv_err *err)
{
    fv_buf name = {0};
    fv_status status = fv_buf_printf(&name, err, "%s_scale", t->name);
    if (status != FV_OK) return status;
    const fv_st_tensor *s = fv_ctranslate2_find(m, name.data);
    fv_buf_release(&name);
    *each = 0;
    *scales = (const uint8_t *)&default_scale;
    if (!s) return t->dtype == FV_I16 ? FV_OK : wrong(m, t, "a scale beside it", err);
    bool for_rows = s->rank == 1 && t->rank > 0 && s->shape[0] == t->shape[0];
    if (s->dtype != FV_F32 || !(s->rank == 0 || for_rows)) return wrong(m, s, "F32, a number for each row or one for all", err);
    *each = for_rows;
    *scales = s->data;
    return FV_OK;
}

static fv_status scale_rows(const fv_ctranslate2 *m, const fv_st_tensor *t, int64_t first, int64_t rows, int64_t cols, float *out, fv_err *err)
{
    const uint8_t *scales, *data = t->data;
    int64_t each;
    fv_status status = find_scales(m, t, &scales, &each, err);
    if (status != FV_OK) return status;
    for (int64_t r = first; r < first + rows; r++) {
        float scale;
        memcpy(&scale, scales + (each ? r : 0) * (int64_t)sizeof scale, sizeof scale);
        if (!(isfinite(scale) && scale != 0)) return wrong(m, t, "scales that can be divided by", err);
        for (int64_t i = r * cols; i < (r + 1) * cols; i++) {
            int16_t wide = 0;
            if (t->dtype == FV_I16) memcpy(&wide, data + 2 * i, sizeof wide);
            *out++ = (float)(t->dtype == FV_I16 ? wide : (int8_t)data[i]) / scale;
        }
    }
    return FV_OK;
}

fv_status fv_ctranslate2_floats(const fv_ctranslate2 *m, const fv_st_tensor *t, int64_t first, int64_t rows, float *out, fv_err *err)
{
    int64_t cols = 1;
    FV_ASSERT(t->rank > 0 && first >= 0 && rows >= 0 && first + rows <= t->shape[0]);
    for (int d = 1; d < t->rank; d++) cols *= t->shape[d];
    if (fv_dtype_widens(t->dtype)) {
        fv_dtype_widen(out, (const uint8_t *)t->data + first * cols * (int64_t)fv_dtype_bytes(t->dtype), t->dtype, rows * cols);
        return FV_OK;
    }
    if (t->dtype == FV_I32) return wrong(m, t, "F32, F16, BF16, I16 or I8", err);
    return scale_rows(m, t, first, rows, cols, out, err);
}

/* ---- Vocabularies ---- */

static bool is_utf8(const char *text, size_t len)
{
    const char *end = text + len;
    int n;
    while (text < end && (n = fv_utf8_len(text, end))) text += n;
    return text == end && !memchr(end - len, 0, len);
}

static fv_status add_token(fv_map *tokens, const char *token, size_t len, const char *path, fv_err *err)
{
    fv_shown shown;
    int32_t before = fv_map_get(tokens, token, len);
    if (!is_utf8(token, len)) return FV_FAIL(err, FV_E_FORMAT, "%s: token %zu is %s; expected UTF-8", path, tokens->n, fv_show(&shown, token, len));
    if (before >= 0) return FV_FAIL(err, FV_E_FORMAT, "%s: tokens %d and %zu are both %s", path, before, tokens->n, fv_show(&shown, token, len));
    return fv_map_set(tokens, token, len, (int32_t)tokens->n, err);
}

static fv_status read_list(fv_map *tokens, const char *path, fv_err *err)
{
    fv_err inner = {0}; /* the caller's may be NULL, and the kind is needed */
    fv_status status = FV_OK;
    json_t *tree = fv_json_load(path, MAX_VOCABULARY_BYTES, &inner);
    if (!tree) return FV_FAIL(err, inner.status == FV_E_INPUT ? FV_E_FORMAT : inner.status, "%s", inner.text);
    if (!json_is_array(tree)) status = FV_FAIL(err, FV_E_FORMAT, "%s: is no list; expected one of tokens", path);
    for (size_t i = 0; status == FV_OK && i < json_array_size(tree); i++) {
        const json_t *token = json_array_get(tree, i);
        if (json_is_string(token)) status = add_token(tokens, json_string_value(token), json_string_length(token), path, err);
        else status = FV_FAIL(err, FV_E_FORMAT, "%s: entry %zu is no string; expected only tokens", path, i);
    }
    json_decref(tree);
    return status;
}

/* Tokens may end in a carriage return; only where all lines do, it belongs to the line's end. */
static bool lines_end_in_return(const char *p, const char *end)
{
    while (p < end) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        if (!stop) stop = end;
        if (stop == p || stop[-1] != '\r') return false;
        p = stop + 1;
    }
    return true;
}

static fv_status read_lines(fv_map *tokens, const char *path, fv_err *err)
{
    fv_buf text = {0};
    fv_status status = FV_OK;
    FV_TRY(fv_file_read(path, MAX_VOCABULARY_BYTES, &text, err));
    const char *p = text.data, *end = p + text.len;
    size_t tail = text.len > 0 && lines_end_in_return(p, end);
    while (p < end) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        if (!stop) stop = end;
        FV_TRY(add_token(tokens, p, (size_t)(stop - p) - tail, path, err));
        p = stop + 1;
    }
done:
    fv_buf_release(&text);
    return status;
}

fv_status fv_ctranslate2_vocabulary(fv_map *tokens, bool *found, const char *folder, const char *name, fv_err *err)
{
    fv_status status = FV_OK;
    char file[64], path[FV_PATH_MAX];
    *tokens = (fv_map){0};
    *found = true;
    snprintf(file, sizeof file, "%s.json", name);
    FV_TRY(fv_path_join(path, folder, file, err));
    if (fv_file_exists(path)) {
        FV_TRY(read_list(tokens, path, err));
        return FV_OK;
    }
    snprintf(file, sizeof file, "%s.txt", name);
    FV_TRY(fv_path_join(path, folder, file, err));
    *found = fv_file_exists(path);
    if (*found) FV_TRY(read_lines(tokens, path, err));
done:
    if (status != FV_OK) fv_map_release(tokens);
    return status;
}
