/* fv_compress: a model folder as one whose layers are stored in 8 bits. Every file of the folder comes along but those that are
 * made anew (weights, config.json, the record) and those that are no part of what it computes: the same weights in other
 * programs' forms, and what training leaves behind.
 *
 * The trap: what is written must be what `--precision int8` computes with, so the integers are those that packing would make
 * (fv_quantize_weights), and nothing else of a layer changes. Tables that are looked up lose half their bytes: Transformers can
 * not look up integers. */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "api/staging.h"
#include "infer/infer.h"

enum { MAX_JSON_BYTES = 64 << 20, MAX_DEPTH = 3 };

static const char weights_name[] = "model.safetensors", config_name[] = "config.json", record_name[] = "fovea.json";

typedef struct job {
    fv_staging staging;
    fv_model *model;
    const char *body;       /* where the Transformer's files are in the folder: "", or "NAME/" */
    fv_st_tensor *tensors;  /* what is written */
    size_t n, capacity;
    fv_arena made;          /* and was made anew */
} job;

static fv_status out_of_memory(fv_err *err) { return FV_FAIL(err, FV_E_MEMORY, "out of memory"); }

/* ---- Weights ---- */

static fv_st_tensor *add_tensor(job *j, const fv_st_tensor *t, fv_err *err)
{
    if (fv_grow(&j->tensors, &j->capacity, j->n + 1, sizeof *j->tensors, err) != FV_OK) return NULL;
    j->tensors[j->n] = *t;
    return &j->tensors[j->n++];
}

static fv_status add_scales(job *j, const fv_st_tensor *of, const float *scales, fv_err *err)
{
    fv_st_tensor t = {.dtype = FV_F32, .rank = 2, .shape = {of->shape[0], 1}, .data = scales, .bytes = (size_t)of->shape[0] * sizeof *scales};
    size_t n = strlen(of->name);
    char *name = fv_arena_alloc(&j->made, n + sizeof "_scale", err);
    if (!name) return FV_E_MEMORY;
    memcpy(name, of->name, n);
    memcpy(name + n, "_scale", sizeof "_scale");
    t.name = name;
    return add_tensor(j, &t, err) ? FV_OK : FV_E_MEMORY;
}

static fv_status add_int8(job *j, const fv_st_tensor *from, fv_err *err)
{
    fv_status status = FV_OK;
    int64_t rows = from->shape[0], cols = from->shape[1];
    int8_t *q = fv_arena_alloc(&j->made, (size_t)(rows * cols), err);
    float *scales = q ? fv_arena_alloc(&j->made, (size_t)rows * sizeof *scales, err) : NULL;
    float *wide = scales ? fv_alloc((size_t)(rows * cols) * sizeof *wide, err) : NULL;
    if (!wide) return FV_E_MEMORY;
    fv_dtype_widen(wide, from->data, from->dtype, rows * cols);
    fv_quantize_weights(q, cols, scales, wide, cols, rows, cols);
    fv_free(wide);
    for (int64_t i = 0; i < rows; i++)
        if (!isfinite(scales[i])) return FV_FAIL(err, FV_E_FORMAT, "%s: %s: row %lld is not all finite numbers, so it has no scale", j->model->file.path, from->name, (long long)i);
    fv_st_tensor *t = add_tensor(j, from, err);
    if (!t) return FV_E_MEMORY;
    t->dtype = FV_I8;
    t->data = q;
    t->bytes = (size_t)(rows * cols);
    FV_TRY(add_scales(j, from, scales, err));
done:
    return status;
}

/* As it is where a number is too large for 16 bits, which tables hold none of. */
static fv_status add_half(job *j, const fv_st_tensor *from, fv_err *err)
{
    size_t n = from->bytes / sizeof(float);
    fv_st_tensor *t = add_tensor(j, from, err);
    uint16_t *half = t ? fv_arena_alloc(&j->made, n * sizeof *half, err) : NULL;
    if (!half) return FV_E_MEMORY;
    if (!fv_dtype_round_f16(half, from->data, (int64_t)n)) return FV_OK;
    t->dtype = FV_F16;
    t->data = half;
    t->bytes = n * sizeof *half;
    return FV_OK;
}

/* The parameter that the tensor is a part of, or NULL: something that others keep among the weights. */
static const fv_param *parameter_of(const job *j, const fv_st_tensor *t)
{
    const fv_params *params = fv_network_params(&j->model->net);
    for (size_t i = 0; i < params->n; i++)
        for (int part = 0; part < params->items[i]->parts; part++)
            if (fv_weights_find(params, &j->model->file, params->items[i]->names[part]) == t) return params->items[i];
    return NULL;
}

static fv_status collect_tensors(job *j, fv_err *err)
{
    const fv_safetensors *file = &j->model->file;
    for (size_t i = 0; i < file->n; i++) {
        const fv_st_tensor *t = &file->tensors[i];
        const fv_param *p = parameter_of(j, t);
        fv_status status = p && p->rounds ? add_int8(j, t, err) : p && p->table && t->dtype == FV_F32 ? add_half(j, t, err) : add_tensor(j, t, err) ? FV_OK : FV_E_MEMORY;
        if (status != FV_OK) return status;
    }
    return FV_OK;
}

static fv_status write_weights(const job *j, fv_err *err)
{
    char name[FV_PATH_MAX], path[FV_PATH_MAX];
    snprintf(name, sizeof name, "%s%s", j->body, weights_name);
    fv_status status = fv_path_join(path, j->staging.path, name, err);
    return status == FV_OK ? fv_safetensors_write(path, j->tensors, j->n, (const char *[]){"format"}, (const char *[]){"pt"}, 1, err) : status;
}

/* ---- JSON ---- */

static json_t *load(const char *folder, const char *name, fv_err *err)
{
    char path[FV_PATH_MAX];
    return fv_path_join(path, folder, name, err) == FV_OK ? fv_json_load(path, MAX_JSON_BYTES, err) : NULL;
}

/* Drops the tree. */
static fv_status save(const job *j, const char *name, json_t *tree, fv_err *err)
{
    char path[FV_PATH_MAX];
    fv_status status = fv_path_join(path, j->staging.path, name, err);
    if (status == FV_OK) status = fv_json_save(tree, path, err);
    json_decref(tree);
    return status;
}

static fv_status write_config(const job *j, fv_err *err)
{
    char name[FV_PATH_MAX];
    json_t *tree = load(j->model->body, config_name, err);
    if (!tree) return err->status;
    snprintf(name, sizeof name, "%s%s", j->body, config_name);
    if (json_object_set_new(tree, "quantization_config", fv_quantization_to_json()) == 0) return save(j, name, tree, err);
    json_decref(tree);
    return out_of_memory(err);
}

/* Hashes of the files that the record has hashes of. */
static fv_status renew_hashes(const job *j, json_t *files, fv_err *err)
{
    char path[FV_PATH_MAX], hex[65];
    const char *name;
    json_t *old;
    json_object_foreach(files, name, old)
    {
        fv_status status = fv_path_join(path, j->staging.path, name, err);
        if (status == FV_OK) status = fv_sha256_file(path, hex, err);
        if (status != FV_OK) return status;
        if (json_object_set_new(files, name, json_string(hex)) != 0) return out_of_memory(err);
    }
    return FV_OK;
}

/* What was recorded holds as before, but for the files: the weights that they were rounded from are named. Folders of others have no record, and need none. */
static fv_status write_record(const job *j, fv_err *err)
{
    char path[FV_PATH_MAX], hash[65];
    fv_status status = FV_OK;
    json_t *tree = NULL;
    FV_TRY(fv_path_join(path, j->model->folder, record_name, err));
    if (!fv_file_exists(path)) return FV_OK;
    FV_TRY(fv_sha256_file(j->model->file.path, hash, err));
    tree = load(j->model->folder, record_name, err);
    if (!tree) return err->status;
    FV_TRY(renew_hashes(j, json_object_get(tree, "files"), err));
    if (json_object_set_new(tree, "compressed", json_pack("{s:s, s:s}", "to", "int8", "from_sha256", hash)) != 0) status = out_of_memory(err);
    else status = save(j, record_name, json_incref(tree), err);
done:
    json_decref(tree);
    return status;
}

/* ---- What comes along ---- */

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n >= m && strcmp(name + n - m, end) == 0;
}

/* Weights again, training's remains, and what nobody sees. */
static bool stays_behind(const char *name)
{
    static const char *const ends[] = {".bin", ".h5", ".msgpack", ".onnx", ".ot", ".gguf", ".pt", ".pth", ".ckpt", ".safetensors.index.json", ".tmp"};
    static const char *const names[] = {"onnx", "openvino", "coreml", "log.jsonl", "previous.log.jsonl", "events.out.tfevents.fovea", "checkpoint.safetensors"};
    bool found = *name == '.';
    for (size_t i = 0; i < FV_COUNT(ends) && !found; i++) found = ends_with(name, ends[i]);
    for (size_t i = 0; i < FV_COUNT(names) && !found; i++) found = strcmp(name, names[i]) == 0;
    return found;
}

/* Of the Transformer's own folder: what is written anew, and the shards that it is made of. */
static bool is_made(const char *name) { return strcmp(name, config_name) == 0 || (strncmp(name, "model", 5) == 0 && ends_with(name, ".safetensors")); }

static fv_status copy_folder(const job *j, const char *below, int depth, fv_err *err);

/* NAME in the folder that `below` is ("", or ending in a slash). Links lead to files alone: a folder's could go in circles. */
static fv_status copy_entry(const job *j, const char *below, const char *name, int depth, fv_err *err)
{
    fv_status status = FV_OK;
    char rest[FV_PATH_MAX], from[FV_PATH_MAX], to[FV_PATH_MAX];
    struct stat info;
    bool body = strcmp(below, j->body) == 0, top = !*below;
    if (stays_behind(name) || (body && is_made(name)) || (top && strcmp(name, record_name) == 0)) return FV_OK;
    if (snprintf(rest, sizeof rest, "%s%s", below, name) >= (int)sizeof rest - 1) return FV_FAIL(err, FV_E_IO, "%s: a name this long is not supported", name);
    FV_TRY(fv_path_join(from, j->model->folder, rest, err));
    if (lstat(from, &info) == 0 && S_ISDIR(info.st_mode)) {
        if (depth == MAX_DEPTH) return FV_OK;
        FV_TRY(fv_path_join(to, j->staging.path, rest, err));
        FV_TRY(fv_folder_make(to, err));
        rest[strlen(rest) + 1] = 0;
        rest[strlen(rest)] = '/';
        return copy_folder(j, rest, depth + 1, err);
    }
    if (fv_file_exists(from)) status = fv_staging_copy(&j->staging, from, rest, err);
done:
    return status;
}

static fv_status copy_folder(const job *j, const char *below, int depth, fv_err *err)
{
    char path[FV_PATH_MAX];
    fv_status status = fv_path_join(path, j->model->folder, below, err);
    DIR *dir = status == FV_OK ? opendir(path) : NULL;
    if (!dir) return status != FV_OK ? status : FV_FAIL(err, FV_E_IO, "%s: cannot be read", path);
    for (struct dirent *entry; status == FV_OK && (entry = readdir(dir));) status = copy_entry(j, below, entry->d_name, depth, err);
    closedir(dir);
    return status;
}

/* ---- All of it ---- */

static fv_status write_all(job *j, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(collect_tensors(j, err));
    FV_TRY(fv_staging_begin(&j->staging, err));
    FV_TRY(copy_folder(j, "", 1, err));
    FV_TRY(write_config(j, err));
    FV_TRY(write_weights(j, err));
    FV_TRY(write_record(j, err));
    FV_TRY(fv_staging_take_place(&j->staging, err));
done:
    fv_staging_end(&j->staging);
    return status;
}

static fv_status compress(job *j, const char *in, const char *out, fv_err *err)
{
    fv_status status = FV_OK;
    char body[FV_PATH_MAX] = "";
    FV_TRY(fv_staging_check(&j->staging, out, err));
    j->model = fv_model_open(in, err);
    if (!j->model) return err->status;
    if (fv_network_stored(&j->model->net)->weights) return FV_FAIL(err, FV_E_ARGUMENT, "%s: its weights are integers already; compress the model that it was made of", in);
    if (strlen(j->model->body) > strlen(in)) snprintf(body, sizeof body, "%s/", strrchr(j->model->body, '/') + 1);
    j->body = body;
    status = write_all(j, err);
done:
    return status;
}

void fv_compress_options_init(fv_compress_options *options) { *options = (fv_compress_options){.size = sizeof *options}; }

fv_status fv_compress(const char *in, const char *out, const fv_compress_options *options, fv_err *err)
{
    fv_err own = {0};
    if (!err) err = &own; /* its parts pass the status up through it */
    if (!options || !options->int8) return FV_FAIL(err, FV_E_ARGUMENT, "nothing is asked for; expected int8");
    job *j = fv_alloc_zero(1, sizeof *j, err);
    if (!j) return FV_E_MEMORY;
    fv_status status = compress(j, in, out, err);
    fv_model_close(j->model);
    fv_arena_release(&j->made);
    fv_free(j->tensors);
    fv_free(j);
    return status;
}
