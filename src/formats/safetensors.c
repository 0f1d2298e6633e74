/* safetensors: eight bytes of header length, a JSON header, then the tensors' bytes.
 *
 * The file comes from strangers, so every number of the header is checked before it is used: what
 * fv_safetensors_open returns can be read without a further look. What the numbers mean for a model
 * is for others. The trap: offsets count from the end of the header, not from the file's start, and
 * an empty tensor shares its offset with its neighbour, so tensors are ordered by begin, then by size. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "formats/formats.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "safetensors data is little-endian and is mapped as it is");

enum {
    PREFIX_BYTES = 8,               /* hold the header's length */
    HEADER_MAX = 100 * 1000 * 1000, /* as in the reference reader */
    ALIGNMENT = 64,                 /* of the data that we write */
};

static const char metadata_key[] = "__metadata__";

/* ---- Reading one tensor's entry ----------------------------------------------------------- */

/* Where the data lies, and what a message needs to say where it found something. */
typedef struct place {
    const char *path;
    const char *tensor; /* its name, fit to be shown */
    const uint8_t *data;
    uint64_t data_bytes;
} place;

static fv_status __attribute__((format(printf, 3, 4)))
refuse(fv_err *err, const place *at, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return FV_FAIL(err, FV_E_FORMAT, "%s: tensor %s: %s", at->path, at->tensor, text);
}

static fv_status refuse_dtype(fv_err *err, const place *at, const char *found)
{
    char known[160] = "";
    size_t used = 0;
    for (int i = 0; i < FV_DTYPE_COUNT && used < sizeof known; i++)
        used += (size_t)snprintf(known + used, sizeof known - used, " %s", fv_dtype_name((fv_dtype)i));
    fv_shown shown;
    return refuse(err, at, "dtype is %s; expected one of%s", found ? fv_show(&shown, found, strlen(found)) : "missing", known);
}

static fv_status read_dtype(fv_st_tensor *tensor, const json_t *entry, const place *at, fv_err *err)
{
    const char *name = json_string_value(json_object_get(entry, "dtype"));
    int dtype = name ? fv_dtype_parse(name) : -1;
    if (dtype < 0) return refuse_dtype(err, at, name);
    tensor->dtype = (fv_dtype)dtype;
    return FV_OK;
}

static fv_status read_shape(fv_st_tensor *tensor, const json_t *entry, const place *at, fv_err *err)
{
    const json_t *shape = json_object_get(entry, "shape");
    if (!json_is_array(shape)) return refuse(err, at, "shape is missing or no list; expected a list of sizes");
    if (json_array_size(shape) > FV_MAX_RANK)
        return refuse(err, at, "shape has %zu sizes; at most %d are supported", json_array_size(shape), FV_MAX_RANK);
    tensor->rank = (int)json_array_size(shape);
    for (int i = 0; i < tensor->rank; i++) {
        const json_t *size = json_array_get(shape, (size_t)i);
        if (!json_is_integer(size) || json_integer_value(size) < 0)
            return refuse(err, at, "shape[%d] is no whole number of 0 or more", i);
        tensor->shape[i] = json_integer_value(size);
    }
    return FV_OK;
}

static bool shape_bytes(const fv_st_tensor *tensor, size_t *bytes)
{
    *bytes = fv_dtype_bytes(tensor->dtype);
    for (int i = 0; i < tensor->rank; i++)
        if (__builtin_mul_overflow(*bytes, (uint64_t)tensor->shape[i], bytes)) return false;
    return true;
}

/* Needs dtype and shape, and checks that they agree with the range. */
static fv_status read_range(fv_st_tensor *tensor, const json_t *entry, const place *at, fv_err *err)
{
    const json_t *range = json_object_get(entry, "data_offsets");
    const json_t *first = json_array_get(range, 0), *last = json_array_get(range, 1);
    if (json_array_size(range) != 2 || !json_is_integer(first) || !json_is_integer(last))
        return refuse(err, at, "data_offsets is no list of two whole numbers");
    int64_t begin = json_integer_value(first), end = json_integer_value(last);
    if (begin < 0 || end < begin)
        return refuse(err, at, "data_offsets is [%lld, %lld]; expected 0 <= begin <= end", (long long)begin, (long long)end);
    if ((uint64_t)end > at->data_bytes)
        return refuse(err, at, "data_offsets ends at %lld, but the file has %llu bytes of data; it may be cut short: fetch or write it again",
                      (long long)end, (unsigned long long)at->data_bytes);
    if (!shape_bytes(tensor, &tensor->bytes)) return refuse(err, at, "shape has more bytes than can be counted");
    if (tensor->bytes != (size_t)(end - begin))
        return refuse(err, at, "data_offsets has %lld bytes; dtype and shape need %zu", (long long)(end - begin), tensor->bytes);
    tensor->data = at->data + begin;
    return FV_OK;
}

static fv_status read_tensor(fv_st_tensor *tensor, const char *name, const json_t *entry, place *at, fv_err *err)
{
    fv_status status = FV_OK;
    fv_shown shown;
    at->tensor = fv_show(&shown, name, strlen(name));
    if (!json_is_object(entry)) {
        status = refuse(err, at, "its entry is no object; expected dtype, shape and data_offsets");
        goto done;
    }
    FV_TRY(read_dtype(tensor, entry, at, err));
    FV_TRY(read_shape(tensor, entry, at, err));
    FV_TRY(read_range(tensor, entry, at, err));
done:
    at->tensor = NULL;
    return status;
}

/* ---- Reading the header ------------------------------------------------------------------- */

static fv_status read_metadata(fv_safetensors *file, json_t *value, fv_err *err)
{
    const char *key;
    json_t *text;
    if (json_is_null(value)) return FV_OK;
    if (!json_is_object(value)) return FV_FAIL(err, FV_E_FORMAT, "%s: %s is no object; expected one of strings", file->path, metadata_key);
    json_object_foreach(value, key, text) {
        fv_shown shown;
        if (!json_is_string(text))
            return FV_FAIL(err, FV_E_FORMAT, "%s: %s: %s is no string; expected only strings there", file->path, metadata_key,
                           fv_show(&shown, key, strlen(key)));
    }
    file->metadata = json_incref(value);
    return FV_OK;
}

static fv_status read_entries(fv_safetensors *file, json_t *header, place *at, fv_err *err)
{
    fv_status status = FV_OK;
    const char *key;
    json_t *value;
    file->tensors = fv_alloc_zero(json_object_size(header), sizeof *file->tensors, err);
    if (!file->tensors) return FV_E_MEMORY;
    json_object_foreach(header, key, value) {
        if (strcmp(key, metadata_key) == 0) {
            FV_TRY(read_metadata(file, value, err));
            continue;
        }
        fv_st_tensor *tensor = &file->tensors[file->n++];
        FV_TRY(read_tensor(tensor, key, value, at, err));
        tensor->name = fv_arena_strndup(&file->names, key, strlen(key), err);
        if (!tensor->name) return FV_E_MEMORY;
    }
done:
    return status;
}

/* The header's length, once it is known to be believable. */
static fv_status header_length(const fv_safetensors *file, uint64_t *length, fv_err *err)
{
    const fv_mapping *map = &file->map;
    if (map->size < PREFIX_BYTES)
        return FV_FAIL(err, FV_E_FORMAT, "%s: %zu bytes long; a safetensors file starts with %d bytes of header length", file->path, map->size, PREFIX_BYTES);
    memcpy(length, map->data, PREFIX_BYTES);
    if (*length > HEADER_MAX)
        return FV_FAIL(err, FV_E_FORMAT, "%s: header length is %llu, above the limit of %d; is it a safetensors file?", file->path,
                       (unsigned long long)*length, HEADER_MAX);
    if (*length > map->size - PREFIX_BYTES)
        return FV_FAIL(err, FV_E_FORMAT, "%s: header length is %llu, but %zu bytes follow; the file is cut short: fetch or write it again",
                       file->path, (unsigned long long)*length, map->size - PREFIX_BYTES);
    if (*length == 0 || map->data[PREFIX_BYTES] != '{')
        return FV_FAIL(err, FV_E_FORMAT, "%s: the header does not begin with {; is it a safetensors file?", file->path);
    return FV_OK;
}

static fv_status parse_header(const fv_safetensors *file, uint64_t length, json_t **header, fv_err *err)
{
    fv_err inner = {0}; /* the caller's may be NULL, and the kind is needed */
    *header = fv_json_parse((const char *)file->map.data + PREFIX_BYTES, length, file->path, &inner);
    if (*header) return FV_OK;
    fv_status status = inner.status == FV_E_MEMORY ? FV_E_MEMORY : FV_E_FORMAT;
    return FV_FAIL(err, status, "%s", inner.text);
}

/* ---- The file as a whole ------------------------------------------------------------------ */

static int by_place(const void *a, const void *b)
{
    const fv_st_tensor *x = a, *y = b;
    const uint8_t *from_x = x->data, *from_y = y->data;
    if (from_x != from_y) return from_x < from_y ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const fv_st_tensor *)a)->name, ((const fv_st_tensor *)b)->name);
}

/* Every byte of data belongs to exactly one tensor. Bytes of nobody could hide anything. */
static fv_status check_layout(fv_safetensors *file, place *at, fv_err *err)
{
    uint64_t expected = 0;
    qsort(file->tensors, file->n, sizeof *file->tensors, by_place);
    for (size_t i = 0; i < file->n; i++) {
        const fv_st_tensor *tensor = &file->tensors[i];
        uint64_t begin = (uint64_t)((const uint8_t *)tensor->data - at->data);
        if (begin != expected) {
            fv_shown shown;
            at->tensor = fv_show(&shown, tensor->name, strlen(tensor->name));
            fv_status status = refuse(err, at, "data_offsets begins at %llu, which leaves %s; expected %llu, where the tensor before ends",
                                      (unsigned long long)begin, begin > expected ? "a gap" : "an overlap", (unsigned long long)expected);
            at->tensor = NULL;
            return status;
        }
        expected += tensor->bytes;
    }
    if (expected != at->data_bytes)
        return FV_FAIL(err, FV_E_FORMAT, "%s: %llu bytes of data; the header's tensors have %llu", file->path,
                       (unsigned long long)at->data_bytes, (unsigned long long)expected);
    return FV_OK;
}

fv_status fv_safetensors_open(fv_safetensors *file, const char *path, fv_err *err)
{
    fv_status status = FV_OK;
    json_t *header = NULL;
    uint64_t length = 0;
    *file = (fv_safetensors){0};
    file->path = fv_strdup(path, err);
    if (!file->path) return FV_E_MEMORY;
    FV_TRY(fv_file_map(path, &file->map, err));
    FV_TRY(header_length(file, &length, err));
    FV_TRY(parse_header(file, length, &header, err));
    place at = {
        .path = file->path,
        .data = file->map.data + PREFIX_BYTES + length,
        .data_bytes = file->map.size - PREFIX_BYTES - length,
    };
    FV_TRY(read_entries(file, header, &at, err));
    FV_TRY(check_layout(file, &at, err));
    qsort(file->tensors, file->n, sizeof *file->tensors, by_name);
done:
    json_decref(header);
    if (status != FV_OK) fv_safetensors_close(file);
    return status;
}

const fv_st_tensor *fv_safetensors_find(const fv_safetensors *file, const char *name)
{
    fv_st_tensor wanted = {.name = name};
    return file->n ? bsearch(&wanted, file->tensors, file->n, sizeof wanted, by_name) : NULL;
}

const char *fv_safetensors_meta(const fv_safetensors *file, const char *key)
{
    return json_string_value(json_object_get(file->metadata, key));
}

void fv_safetensors_close(fv_safetensors *file)
{
    for (size_t i = 0; i < file->n_shards; i++) fv_safetensors_close(&file->shards[i]);
    fv_free(file->shards);
    json_decref(file->metadata);
    fv_arena_release(&file->names);
    fv_free(file->tensors);
    fv_file_unmap(&file->map);
    fv_free(file->path);
    *file = (fv_safetensors){0};
}

/* ---- Writing ------------------------------------------------------------------------------ */

/* jansson copies keys and refuses those that are not UTF-8; it says no more than -1 for that and
 * for a full heap, so UTF-8 is checked first. */
static bool is_utf8(const char *text)
{
    const char *end = text + strlen(text);
    while (text < end) {
        int n = fv_utf8_len(text, end);
        if (n == 0) return false;
        text += n;
    }
    return true;
}

static fv_status out_of_memory(fv_err *err)
{
    return FV_FAIL(err, FV_E_MEMORY, "out of memory for a safetensors header");
}

static fv_status put_metadata(json_t *header, const char *const *keys, const char *const *values, size_t n, fv_err *err)
{
    if (n == 0) return FV_OK;
    json_t *metadata = json_object();
    if (json_object_set_new(header, metadata_key, metadata) != 0) return out_of_memory(err);
    for (size_t i = 0; i < n; i++) {
        if (!is_utf8(keys[i]) || !is_utf8(values[i]))
            return FV_FAIL(err, FV_E_ARGUMENT, "%s entry %zu is not UTF-8", metadata_key, i);
        if (json_object_set_new(metadata, keys[i], json_string(values[i])) != 0) return out_of_memory(err);
    }
    return FV_OK;
}

static fv_status check_tensor(const json_t *header, const fv_st_tensor *tensor, fv_err *err)
{
    fv_shown shown;
    size_t bytes = 0;
    const char *name = fv_show(&shown, tensor->name, strlen(tensor->name));
    if (!is_utf8(tensor->name) || strcmp(tensor->name, metadata_key) == 0)
        return FV_FAIL(err, FV_E_ARGUMENT, "tensor %s: the name is not UTF-8, or has another meaning in the format", name);
    if (json_object_get(header, tensor->name)) return FV_FAIL(err, FV_E_ARGUMENT, "tensor %s is given twice", name);
    if (!shape_bytes(tensor, &bytes) || bytes != tensor->bytes)
        return FV_FAIL(err, FV_E_ARGUMENT, "tensor %s has %zu bytes; its dtype and shape need %zu", name, tensor->bytes, bytes);
    return FV_OK;
}

static fv_status put_tensor(json_t *header, const fv_st_tensor *tensor, uint64_t *offset, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(check_tensor(header, tensor, err));
    json_t *shape = json_array();
    for (int i = 0; i < tensor->rank; i++)
        if (json_array_append_new(shape, json_integer(tensor->shape[i])) != 0) {
            json_decref(shape);
            return out_of_memory(err);
        }
    json_int_t begin = (json_int_t)*offset, end = begin + (json_int_t)tensor->bytes;
    json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", fv_dtype_name(tensor->dtype), "shape", shape, "data_offsets", begin, end);
    if (json_object_set_new(header, tensor->name, entry) != 0) return out_of_memory(err);
    *offset += tensor->bytes;
done:
    return status;
}

/* The length, the JSON, and spaces up to where the data can start. */
static fv_status header_bytes(const json_t *header, fv_buf *out, fv_err *err)
{
    fv_status status = FV_OK;
    uint64_t length = 0;
    FV_TRY(fv_buf_add(out, &length, PREFIX_BYTES, err));
    FV_TRY(fv_json_print(header, 0, out, err));
    while (out->len % ALIGNMENT != 0) FV_TRY(fv_buf_putc(out, ' ', err));
    length = out->len - PREFIX_BYTES;
    if (length > HEADER_MAX) return FV_FAIL(err, FV_E_ARGUMENT, "a safetensors header of %llu bytes; the limit is %d", (unsigned long long)length, HEADER_MAX);
    memcpy(out->data, &length, PREFIX_BYTES);
done:
    return status;
}

static fv_status write_all(const char *path, const fv_buf *header, const fv_st_tensor *tensors, size_t n, fv_err *err)
{
    fv_status status = FV_OK;
    fv_writer *writer = fv_writer_open(path, err);
    if (!writer) return FV_E_IO;
    FV_TRY(fv_writer_write(writer, header->data, header->len, err));
    for (size_t i = 0; i < n; i++)
        if (tensors[i].bytes > 0) FV_TRY(fv_writer_write(writer, tensors[i].data, tensors[i].bytes, err));
    status = fv_writer_commit(writer, err);
    writer = NULL;
done:
    fv_writer_abort(writer);
    return status;
}

fv_status fv_safetensors_write(const char *path, const fv_st_tensor *tensors, size_t n, const char *const *meta_keys, const char *const *meta_values, size_t n_meta, fv_err *err)
{
    fv_status status = FV_OK;
    fv_buf text = {0};
    uint64_t offset = 0;
    json_t *header = json_object();
    if (!header) return out_of_memory(err);
    FV_TRY(put_metadata(header, meta_keys, meta_values, n_meta, err));
    for (size_t i = 0; i < n; i++) FV_TRY(put_tensor(header, &tensors[i], &offset, err));
    FV_TRY(header_bytes(header, &text, err));
    FV_TRY(write_all(path, &text, tensors, n, err));
done:
    if (status == FV_E_ARGUMENT) fv_err_prefix(err, "%s", path);
    json_decref(header);
    fv_buf_release(&text);
    return status;
}
