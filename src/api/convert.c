/* fv_convert: a model folder of another program as one of ours; and either, or one of ours already, with its weights
 * stored in half the bytes.
 *
 * The folder takes its place as a whole (staging.h). What is no part of a model (log, events, checkpoint) stays behind.
 *
 * The trap: a model of ours is opened as a whole first, since a folder that is copied unread would hand its damage on. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "api/staging.h"
#include "infer/infer.h"
#include "infer/shortlist.h"
#include "models/seq2seq_import.h"

typedef struct job {
    const char *in, *out;
    bool bf16;
    fv_staging staging;
    fv_model *own;             /* NULL: the model is CTranslate2's, and these are it: */
    fv_ctranslate2 from;
    fv_seq2seq_import import;
    fv_arena rounded;          /* weights of two bytes */
} job;

static const char record_name[] = "fovea.json", weights_name[] = "model.safetensors", config_name[] = "config.json";

/* What a model folder may have beside weights, config.json and the record; of CTranslate2's, what is of use to us comes along, too. */
static const char *const beside[] = {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt", "vocab.json", "merges.txt", "sentencepiece.bpe.model", "target_vocab.json", "source.spm", "target.spm", FV_SHORTLIST_FILE};
static const char *const pieces[] = {"source.spm", "target.spm"};

enum { MAX_JSON_BYTES = 64 << 20 };

/* File i of what is written before the record; "" after the last. Few models have all. */
static fv_wide_file file_of(const job *j, int i)
{
    fv_wide_file file = {""};
    int n = (int)FV_COUNT(beside), head = i - n - 2;
    const char *name = i < n ? beside[i] : i == n ? config_name : weights_name;
    if (i < n + 2) snprintf(file.name, sizeof file.name, "%s", name);
    else if (j->own && head < j->own->net.n_heads) file = fv_wide_file_of(&j->own->net.heads[head]);
    return file;
}

/* ---- What ---- */

static fv_status out_of_memory(fv_err *err) { return FV_FAIL(err, FV_E_MEMORY, "out of memory"); }

/* Saves the tree, which may be NULL, and drops it. */
static fv_status save_json(const job *j, const char *name, json_t *tree, fv_err *err)
{
    char path[FV_PATH_MAX];
    if (!tree) return out_of_memory(err);
    fv_status status = fv_path_join(path, j->staging.path, name, err);
    if (status == FV_OK) status = fv_json_save(tree, path, err);
    json_decref(tree);
    return status;
}

static json_t *vocabulary_json(const fv_map *tokens)
{
    json_t *tree = json_object();
    bool fine = tree;
    for (size_t i = 0; i < tokens->n && fine; i++) fine = json_object_set_new(tree, tokens->entries[i].key, json_integer((json_int_t)i)) == 0;
    if (fine) return tree;
    json_decref(tree);
    return NULL;
}

static fv_status load_json(const job *j, const char *name, json_t **tree, fv_err *err)
{
    char path[FV_PATH_MAX];
    fv_status status = fv_path_join(path, j->in, name, err);
    if (status != FV_OK) return status;
    *tree = fv_json_load(path, MAX_JSON_BYTES, err);
    return *tree ? FV_OK : err->status;
}

static fv_status write_config(const job *j, fv_err *err)
{
    fv_status status = FV_OK;
    json_t *tree = NULL;
    if (j->own) FV_TRY(load_json(j, config_name, &tree, err));
    else tree = fv_seq2seq_config_to_json(&j->import.config, err);
    if (tree && j->bf16 && json_object_set_new(tree, "torch_dtype", json_string("bfloat16")) != 0) {
        status = out_of_memory(err);
        goto done;
    }
    return save_json(j, config_name, tree, err);
done:
    json_decref(tree);
    return status;
}

/* Whole numbers, such as an index that others keep among the weights, stay what they are. */
static fv_status round_one(job *j, fv_st_tensor *t, fv_err *err)
{
    if (!fv_dtype_widens(t->dtype) || t->dtype == FV_BF16) return FV_OK;
    size_t n = t->bytes / fv_dtype_bytes(t->dtype);
    uint16_t *to = fv_arena_alloc(&j->rounded, n * sizeof *to, err);
    if (!to) return FV_E_MEMORY;
    fv_dtype_round_bf16(to, t->data, t->dtype, (int64_t)n);
    t->dtype = FV_BF16;
    t->data = to;
    t->bytes = n * sizeof *to;
    return FV_OK;
}

static fv_status write_weights(job *j, fv_err *err)
{
    fv_status status = FV_OK;
    char path[FV_PATH_MAX];
    const fv_st_tensor *given = j->own ? j->own->file.tensors : j->import.tensors;
    size_t n = j->own ? j->own->file.n : j->import.n;
    fv_st_tensor *tensors = fv_alloc_zero(n, sizeof *tensors, err);
    if (!tensors) return FV_E_MEMORY;
    memcpy(tensors, given, n * sizeof *tensors);
    for (size_t i = 0; i < n && j->bf16; i++) FV_TRY(round_one(j, &tensors[i], err));
    FV_TRY(fv_path_join(path, j->staging.path, weights_name, err));
    FV_TRY(fv_safetensors_write(path, tensors, n, (const char *[]){"format"}, (const char *[]){"pt"}, 1, err));
done:
    fv_free(tensors);
    return status;
}

/* A file that is not there is none of this model's. */
static fv_status copy(const job *j, const char *name, fv_err *err)
{
    char from[FV_PATH_MAX];
    fv_status status = fv_path_join(from, j->in, name, err);
    return status == FV_OK && fv_file_exists(from) ? fv_staging_copy(&j->staging, from, name, err) : status;
}

static fv_status hashes_json(const job *j, json_t *files, fv_err *err)
{
    char path[FV_PATH_MAX], hex[65];
    for (int i = 0; *file_of(j, i).name; i++) {
        fv_wide_file file = file_of(j, i);
        fv_status status = fv_path_join(path, j->staging.path, file.name, err);
        if (status != FV_OK) return status;
        if (!fv_file_exists(path)) continue;
        status = fv_sha256_file(path, hex, err);
        if (status != FV_OK) return status;
        if (json_object_set_new(files, file.name, json_string(hex)) != 0) return out_of_memory(err);
    }
    return FV_OK;
}

static json_t *origin_json(const job *j, const char *hash)
{
    return json_pack("{s:s, s:s, s:i, s:s, s:i, s:s}", "folder", j->in, "program", "CTranslate2", "binary_version", (int)j->from.version,
        "specification", j->from.specification, "revision", (int)j->from.revision, "sha256", hash);
}

static fv_status describe_import(const job *j, json_t **tree, fv_err *err)
{
    char hash[65], when[32];
    time_t now = time(NULL);
    struct tm utc;
    fv_status status = fv_sha256_file(j->from.path, hash, err);
    if (status != FV_OK) return status;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    *tree = json_pack("{s:i, s:s, s:s, s:o, s:s, s:s}", "format", 1, "task", "translate", "labels_kind", "text",
        "converted", origin_json(j, hash), "finished", when, "fovea", FV_VERSION);
    return *tree ? FV_OK : out_of_memory(err);
}

/* What was recorded holds as before, but for the files: the weights that they were rounded from are named. */
static fv_status describe_own(const job *j, json_t **tree, fv_err *err)
{
    char path[FV_PATH_MAX], hash[65];
    fv_status status = FV_OK;
    FV_TRY(load_json(j, record_name, tree, err));
    FV_TRY(fv_path_join(path, j->in, weights_name, err));
    FV_TRY(fv_sha256_file(path, hash, err));
    if (json_object_set_new(*tree, "rounded", json_pack("{s:s, s:s}", "to", "bfloat16", "from_sha256", hash)) != 0) status = out_of_memory(err);
done:
    return status;
}

/* A folder of Marian in Transformers has none, and needs none. */
static fv_status write_record(const job *j, fv_err *err)
{
    fv_status status = FV_OK;
    char path[FV_PATH_MAX];
    json_t *files = NULL, *tree = NULL;
    FV_TRY(fv_path_join(path, j->in, record_name, err));
    if (j->own && !fv_file_exists(path)) return FV_OK;
    FV_TRY((j->own ? describe_own : describe_import)(j, &tree, err));
    files = json_object();
    if (json_object_set(tree, "files", files) != 0) {
        status = out_of_memory(err);
        goto done;
    }
    FV_TRY(hashes_json(j, files, err));
    status = save_json(j, record_name, json_incref(tree), err);
done:
    json_decref(files);
    json_decref(tree);
    return status;
}

/* ---- All of it ---- */

static fv_status write_import(const job *j, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(save_json(j, "vocab.json", vocabulary_json(&j->import.source), err));
    if (j->import.target.n) FV_TRY(save_json(j, "target_vocab.json", vocabulary_json(&j->import.target), err));
    for (size_t i = 0; i < FV_COUNT(pieces); i++) FV_TRY(copy(j, pieces[i], err));
done:
    return status;
}

static fv_status write_own(const job *j, fv_err *err)
{
    fv_status status = FV_OK;
    for (int i = 0; *file_of(j, i).name && status == FV_OK; i++) {
        fv_wide_file file = file_of(j, i);
        if (strcmp(file.name, config_name) != 0 && strcmp(file.name, weights_name) != 0) status = copy(j, file.name, err);
    }
    return status;
}

static fv_status write_all(job *j, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(fv_staging_begin(&j->staging, err));
    FV_TRY(write_config(j, err));
    FV_TRY((j->own ? write_own : write_import)(j, err));
    FV_TRY(write_weights(j, err));
    FV_TRY(write_record(j, err));
    FV_TRY(fv_staging_take_place(&j->staging, err));
done:
    fv_staging_end(&j->staging);
    return status;
}

static bool has(const char *folder, const char *name)
{
    char path[FV_PATH_MAX];
    return fv_path_join(path, folder, name, NULL) == FV_OK && fv_file_exists(path);
}

/* Which kind of folder it is. */
static fv_status check_in(const job *j, bool *own, fv_err *err)
{
    *own = false;
    if (!fv_folder_exists(j->in)) return FV_FAIL(err, FV_E_IO, "%s: no such folder; expected a model of CTranslate2: model.bin and its vocabularies", j->in);
    if (has(j->in, "model.bin")) return FV_OK;
    *own = has(j->in, config_name);
    if (!*own) return FV_FAIL(err, FV_E_FORMAT, "%s: no model.bin; supported: models of CTranslate2, and with --bf16 folders that are models here already", j->in);
    if (j->bf16) return FV_OK;
    return FV_FAIL(err, FV_E_ARGUMENT, "%s: no model.bin; supported: models of CTranslate2. A folder with config.json needs no conversion; --bf16 stores its weights in half the bytes", j->in);
}

static bool has_more_than_bf16(const fv_safetensors *file)
{
    for (size_t i = 0; i < file->n; i++)
        if (fv_dtype_widens(file->tensors[i].dtype) && file->tensors[i].dtype != FV_BF16) return true;
    return false;
}

static fv_status open_in(job *j, bool own, fv_err *err)
{
    fv_status status = FV_OK;
    if (!own) {
        FV_TRY(fv_ctranslate2_open(&j->from, j->in, err));
        return fv_seq2seq_import_ctranslate2(&j->import, &j->from, err);
    }
    j->own = fv_model_open(j->in, err);
    if (!j->own) return err->status;
    if (!has_more_than_bf16(&j->own->file)) status = FV_FAIL(err, FV_E_ARGUMENT, "%s: its weights are of two bytes already; there is nothing to convert", j->in);
done:
    return status;
}

static fv_status convert(job *j, fv_err *err)
{
    fv_status status = FV_OK;
    bool own;
    FV_TRY(check_in(j, &own, err));
    FV_TRY(fv_staging_check(&j->staging, j->out, err));
    FV_TRY(open_in(j, own, err));
    FV_TRY(write_all(j, err));
done:
    return status;
}

void fv_convert_options_init(fv_convert_options *options) { *options = (fv_convert_options){.size = sizeof *options}; }

fv_status fv_convert(const char *in, const char *out, const fv_convert_options *options, fv_err *err)
{
    fv_err own = {0};
    if (!err) err = &own; /* its parts pass the status up through it */
    job *j = fv_alloc_zero(1, sizeof *j, err);
    if (!j) return FV_E_MEMORY;
    j->in = in;
    j->out = out;
    j->bf16 = options && options->bf16;
    fv_status status = convert(j, err);
    fv_seq2seq_import_release(&j->import);
    fv_ctranslate2_close(&j->from);
    fv_model_close(j->own);
    fv_arena_release(&j->rounded);
    fv_free(j);
    return status;
}
