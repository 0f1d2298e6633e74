/* Files that the ecosystem already knows: safetensors, and TensorBoard event files.
 *
 *   shards.c        several safetensors files and the index over them, as one
 *   safetensors.c   https://github.com/huggingface/safetensors, format version 0.4: u64 header length, JSON, data
 *   events.c        TFRecord framing (length, masked CRC-32C) around hand-encoded Event protobufs
 */
#ifndef FV_FORMATS_FORMATS_H
#define FV_FORMATS_FORMATS_H

#include "base/dtype.h"
#include "base/file.h"
#include "base/json.h"

#define FV_MAX_RANK 8

/* One tensor of a file. `data` points into the mapping (or, for writing, to the caller's bytes). */
typedef struct fv_st_tensor {
    const char *name;
    fv_dtype dtype;
    int rank;
    int64_t shape[FV_MAX_RANK];
    const void *data;
    size_t bytes;
} fv_st_tensor;

/* An open, mapped, fully checked file: header at most 100 MB of valid JSON, known dtypes, shapes that
 * do not overflow and match their byte ranges, ranges inside the file, ascending, without gap or
 * overlap. Anything else is FV_E_FORMAT naming file, tensor and what was found. Other writers may put
 * a tensor at any address, aligned for its type or not: copy it, or look before casting `data`. */
typedef struct fv_safetensors {
    fv_mapping map;
    fv_st_tensor *tensors; /* sorted by name */
    size_t n;
    json_t *metadata;      /* the "__metadata__" object (string values), or NULL */
    char *path;
    fv_arena names;        /* what the tensors' names point into */
    struct fv_safetensors *shards; /* [n_shards] files whose tensors these are, when it is an index */
    size_t n_shards;
} fv_safetensors;

fv_status fv_safetensors_open(fv_safetensors *file, const char *path, fv_err *err);
/* FOLDER's model.safetensors, or what model.safetensors.index.json lists: shards beside it, whose tensors become one list. */
fv_status fv_safetensors_open_folder(fv_safetensors *file, const char *folder, fv_err *err);
const fv_st_tensor *fv_safetensors_find(const fv_safetensors *file, const char *name); /* NULL if missing */
const char *fv_safetensors_meta(const fv_safetensors *file, const char *key);           /* NULL if missing */
void fv_safetensors_rest(const fv_safetensors *file); /* fv_file_rest, of all files */
void fv_safetensors_close(fv_safetensors *file);

/* Writes tensors in the given order (the spec's alignment: header padded with spaces to 8 bytes;
 * ours: to 64, so that mapped rows are aligned), all or nothing. meta_keys/values: n_meta pairs. */
fv_status fv_safetensors_write(const char *path, const fv_st_tensor *tensors, size_t n, const char *const *meta_keys, const char *const *meta_values, size_t n_meta, fv_err *err);

/* TensorBoard scalars. Resuming cuts the file to keep_bytes first. */
typedef struct fv_events { fv_appender file; } fv_events;
fv_status fv_events_open(fv_events *events, const char *path, uint64_t keep_bytes, fv_err *err);
fv_status fv_events_scalar(fv_events *events, int64_t step, double wall_time, const char *tag, double value, fv_err *err);
uint64_t fv_events_size(const fv_events *events);
void fv_events_close(fv_events *events);
uint32_t fv_crc32c(const void *bytes, size_t n);

#endif
