/* fv_convert: a model folder of another program as one of ours.
 *
 * Its files make sense only together, so they are written into a folder of their own beside the place where the model
 * shall be, which then gets its name in one step. A place where something lies already is refused. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "models/seq2seq_import.h"

typedef struct job {
    const char *in, *out;
    char place[FV_PATH_MAX];   /* out, without a slash at its end */
    char staging[FV_PATH_MAX]; /* "" until it is made */
    fv_ctranslate2 from;
    fv_seq2seq_import import;
} job;

/* The record comes last. SentencePiece models are taken along where they lie beside model.bin. */
static const char *const pieces_names[] = {"source.spm", "target.spm"};
static const char *const file_names[] = {"config.json", "vocab.json", "target_vocab.json", "source.spm", "target.spm", "model.safetensors", "fovea.json"};

enum { MAX_PIECES_BYTES = 256 << 20 };

/* ---- Where to ---- */

static bool is_empty_folder(const char *path)
{
    DIR *dir = opendir(path);
    if (!dir) return false;
    int others = 0;
    for (struct dirent *entry; (entry = readdir(dir));) others += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(dir);
    return others == 0;
}

static fv_status check_out(job *j, fv_err *err)
{
    size_t n = strlen(j->out);
    while (n > 1 && j->out[n - 1] == '/') n--;
    if (n == 0 || n + 32 > sizeof j->place) return FV_FAIL(err, FV_E_ARGUMENT, "the folder to write has no name, or one that is too long");
    memcpy(j->place, j->out, n);
    j->place[n] = 0;
    if (access(j->place, F_OK) != 0 || is_empty_folder(j->place)) return FV_OK;
    return FV_FAIL(err, FV_E_ARGUMENT, "%s: is there already, and nothing is overwritten; choose another folder", j->place);
}

static fv_status begin_staging(job *j, fv_err *err)
{
    char path[FV_PATH_MAX];
    snprintf(path, sizeof path, "%.*s.new-%ld", (int)(sizeof path - 32), j->place, (long)getpid());
    fv_status status = fv_folder_make(path, err);
    if (status == FV_OK) memcpy(j->staging, path, sizeof path);
    return status;
}

/* Whatever is left of it: nothing, after a success. */
static void end_staging(const job *j)
{
    char path[FV_PATH_MAX];
    if (!*j->staging) return;
    for (size_t i = 0; i < FV_COUNT(file_names); i++)
        if (fv_path_join(path, j->staging, file_names[i], NULL) == FV_OK) fv_file_remove(path, NULL);
    rmdir(j->staging);
}

static fv_status take_place(const job *j, fv_err *err)
{
    if (rename(j->staging, j->place) == 0) return FV_OK;
    return FV_FAIL(err, FV_E_IO, "%s: cannot be made: %s", j->place, strerror(errno));
}

/* ---- What ---- */

static fv_status out_of_memory(fv_err *err) { return FV_FAIL(err, FV_E_MEMORY, "out of memory"); }

/* Saves the tree, which may be NULL, and drops it. */
static fv_status save_json(const job *j, const char *name, json_t *tree, fv_err *err)
{
    char path[FV_PATH_MAX];
    if (!tree) return out_of_memory(err);
    fv_status status = fv_path_join(path, j->staging, name, err);
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

static fv_status write_weights(const job *j, fv_err *err)
{
    char path[FV_PATH_MAX];
    fv_status status = fv_path_join(path, j->staging, "model.safetensors", err);
    if (status != FV_OK) return status;
    return fv_safetensors_write(path, j->import.tensors, j->import.n, (const char *[]){"format"}, (const char *[]){"pt"}, 1, err);
}

static fv_status copy_pieces(const job *j, fv_err *err)
{
    fv_status status = FV_OK;
    fv_buf bytes = {0};
    for (size_t i = 0; i < FV_COUNT(pieces_names); i++) {
        char from[FV_PATH_MAX], to[FV_PATH_MAX];
        FV_TRY(fv_path_join(from, j->in, pieces_names[i], err));
        if (!fv_file_exists(from)) continue;
        FV_TRY(fv_path_join(to, j->staging, pieces_names[i], err));
        FV_TRY(fv_file_read(from, MAX_PIECES_BYTES, &bytes, err));
        FV_TRY(fv_file_write(to, bytes.data, bytes.len, err));
    }
done:
    fv_buf_release(&bytes);
    return status;
}

static fv_status hashes_json(const job *j, json_t *files, fv_err *err)
{
    char path[FV_PATH_MAX], hex[65];
    for (size_t i = 0; i + 1 < FV_COUNT(file_names); i++) {
        fv_status status = fv_path_join(path, j->staging, file_names[i], err);
        if (status != FV_OK) return status;
        if (!fv_file_exists(path)) continue; /* one vocabulary for both sides, no pieces */
        status = fv_sha256_file(path, hex, err);
        if (status != FV_OK) return status;
        if (json_object_set_new(files, file_names[i], json_string(hex)) != 0) return out_of_memory(err);
    }
    return FV_OK;
}

static json_t *origin_json(const job *j, const char *hash)
{
    return json_pack("{s:s, s:s, s:i, s:s, s:i, s:s}", "folder", j->in, "program", "CTranslate2", "binary_version", (int)j->from.version,
        "specification", j->from.specification, "revision", (int)j->from.revision, "sha256", hash);
}

static fv_status write_record(const job *j, fv_err *err)
{
    fv_status status = FV_OK;
    char hash[65], when[32];
    time_t now = time(NULL);
    struct tm utc;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    json_t *files = json_object(), *tree = NULL;
    FV_TRY(fv_sha256_file(j->from.path, hash, err));
    FV_TRY(hashes_json(j, files, err));
    tree = json_pack("{s:i, s:s, s:s, s:o, s:s, s:s, s:O}", "format", 1, "task", "translate", "labels_kind", "text",
        "converted", origin_json(j, hash), "finished", when, "fovea", FV_VERSION, "files", files);
    status = save_json(j, "fovea.json", tree, err);
done:
    json_decref(files);
    return status;
}

/* ---- All of it ---- */

static fv_status write_all(job *j, fv_err *err)
{
    fv_status status = FV_OK;
    json_t *config;
    FV_TRY(begin_staging(j, err));
    config = fv_seq2seq_config_to_json(&j->import.config, err);
    FV_TRY(save_json(j, "config.json", config, err));
    FV_TRY(save_json(j, "vocab.json", vocabulary_json(&j->import.source), err));
    if (j->import.target.n) FV_TRY(save_json(j, "target_vocab.json", vocabulary_json(&j->import.target), err));
    FV_TRY(copy_pieces(j, err));
    FV_TRY(write_weights(j, err));
    FV_TRY(write_record(j, err));
    FV_TRY(take_place(j, err));
done:
    end_staging(j);
    return status;
}

static fv_status check_in(const job *j, fv_err *err)
{
    char path[FV_PATH_MAX];
    if (!fv_folder_exists(j->in)) return FV_FAIL(err, FV_E_IO, "%s: no such folder; expected a model of CTranslate2: model.bin and its vocabularies", j->in);
    fv_status status = fv_path_join(path, j->in, "model.bin", err);
    if (status != FV_OK || fv_file_exists(path)) return status;
    return FV_FAIL(err, FV_E_FORMAT, "%s: no model.bin; supported: models of CTranslate2. Folders of Marian in Transformers need no conversion", j->in);
}

fv_status fv_convert(const char *in, const char *out, fv_err *err)
{
    fv_status status = FV_OK;
    job *j = fv_alloc_zero(1, sizeof *j, err);
    if (!j) return FV_E_MEMORY;
    j->in = in;
    j->out = out;
    FV_TRY(check_in(j, err));
    FV_TRY(check_out(j, err));
    FV_TRY(fv_ctranslate2_open(&j->from, in, err));
    FV_TRY(fv_seq2seq_import_ctranslate2(&j->import, &j->from, err));
    FV_TRY(write_all(j, err));
done:
    fv_seq2seq_import_release(&j->import);
    fv_ctranslate2_close(&j->from);
    fv_free(j);
    return status;
}
