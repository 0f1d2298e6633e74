/* A hub's list of a model's files, and which of them Fovea can load. See hub.h.
 *
 * The list is a stranger's. A name that could leave the folder makes the whole list refused, wanted or not: who writes such a
 * name means harm. Files that Fovea does not load (pickles, other programs' weights, pictures) are passed over. */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "hub/hub.h"

enum { MOST_FILES = 1000 };

static bool is_one_of(const char *name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

/* model-00001-of-00003.safetensors */
static bool is_shard(const char *name)
{
    size_t len = strlen(name);
    return len > 18 && strncmp(name, "model-", 6) == 0 && strcmp(name + len - 12, ".safetensors") == 0;
}

/* Of the model's own folder, or of a module's of sentence-transformers: 1_Pooling/config.json. */
static bool is_loaded(const char *path)
{
    static const char *const names[] = {
        "config.json", "fovea.json", "generation_config.json", "model.safetensors", "model.safetensors.index.json", "wide.safetensors",
        "shortlist.safetensors", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt",
        "vocab.json", "merges.txt", "sentencepiece.bpe.model", "spiece.model", "tokenizer.model", "source.spm", "target.spm", "modules.json",
        "config_sentence_transformers.json", "sentence_bert_config.json",
    };
    const char *slash = strchr(path, '/'), *name = slash ? slash + 1 : path;
    if (slash && (path[0] < '0' || path[0] > '9' || strchr(name, '/'))) return false;
    return is_one_of(name, names, FV_COUNT(names)) || is_shard(name);
}

static bool hash_fits(const char *hash, size_t digits)
{
    return strlen(hash) == digits && strspn(hash, "0123456789abcdef") == digits;
}

/* Large files have their hash and size under "lfs", small ones git's. */
static fv_status read_hash(hub_file *file, const json_t *entry, const char *where, fv_err *err)
{
    const json_t *large = json_object_get(entry, "lfs");
    const char *hash = NULL;
    int64_t size = -1;
    bool is_large = json_is_object(large);
    fv_status status = fv_json_text(is_large ? large : entry, is_large ? "sha256" : "blobId", false, &hash, where, err);
    if (status == FV_OK) status = fv_json_int(is_large ? large : entry, "size", false, 0, (int64_t)1 << 50, &size, where, err);
    if (status != FV_OK) return status;
    if (!hash || size < 0) return FV_FAIL(err, FV_E_FORMAT, "%s: %s has no hash or no size; expected what the hub answers to ?blobs=true", where, file->path);
    if (!hash_fits(hash, is_large ? 64 : 40)) return FV_FAIL(err, FV_E_FORMAT, "%s: the hash of %s is no %s", where, file->path, is_large ? "SHA-256" : "SHA-1");
    snprintf(file->hash, sizeof file->hash, "%s", hash);
    file->size = (uint64_t)size;
    return FV_OK;
}

static fv_status read_file(hub_list *list, const json_t *entry, const char *where, fv_err *err)
{
    const char *path = NULL;
    fv_shown shown;
    if (!json_is_object(entry)) return FV_FAIL(err, FV_E_FORMAT, "%s: an entry of \"siblings\" is no object", where);
    fv_status status = fv_json_text(entry, "rfilename", true, &path, where, err);
    if (status != FV_OK) return status;
    if (path[0] == '.' && path[1] != '.' && !strchr(path, '/')) return FV_OK; /* .gitattributes */
    if (!hub_path_fits(path)) return FV_FAIL(err, FV_E_FORMAT, "%s: a file is called %s; expected a plain name inside the folder", where, fv_show(&shown, path, strlen(path)));
    if (!is_loaded(path)) return FV_OK;
    if (list->n == MOST_FILES) return FV_FAIL(err, FV_E_FORMAT, "%s: has more than %d files of weights and tokenizers; expected fewer", where, MOST_FILES);
    status = fv_grow(&list->files, &list->capacity, list->n + 1, sizeof *list->files, err);
    if (status != FV_OK) return status;
    hub_file *file = &list->files[list->n++];
    *file = (hub_file){0};
    snprintf(file->path, sizeof file->path, "%s", path);
    return read_hash(file, entry, where, err);
}

static bool has(const hub_list *list, const char *path)
{
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->files[i].path, path) == 0) return true;
    return false;
}

/* Weights in one file make the same weights in shards superfluous. */
static void drop_shards(hub_list *list)
{
    size_t kept = 0;
    if (!has(list, "model.safetensors")) return;
    for (size_t i = 0; i < list->n; i++)
        if (!is_shard(list->files[i].path) && strcmp(list->files[i].path, "model.safetensors.index.json") != 0) list->files[kept++] = list->files[i];
    list->n = kept;
}

static fv_status check_parts(const hub_list *list, const char *where, fv_err *err)
{
    for (size_t i = 0; i < list->n; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(list->files[i].path, list->files[j].path) == 0) return FV_FAIL(err, FV_E_FORMAT, "%s: names %s twice", where, list->files[i].path);
    if (!has(list, "config.json") && !has(list, "modules.json")) return FV_FAIL(err, FV_E_INPUT, "%s: has no config.json; expected a model that Transformers can load", where);
    for (size_t i = 0; i < list->n; i++)
        if (strstr(list->files[i].path, ".safetensors")) return FV_OK;
    return FV_FAIL(err, FV_E_INPUT, "%s: has no weights as safetensors; others may run code when read, and are not fetched; expected model.safetensors", where);
}

fv_status hub_list_read(hub_list *list, const char *text, size_t len, const char *where, fv_err *err)
{
    const char *commit = NULL;
    fv_status status = FV_OK;
    *list = (hub_list){0};
    json_t *tree = fv_json_parse(text, len, where, err);
    if (!tree) return err ? err->status : FV_E_FORMAT;
    const json_t *files = json_object_get(tree, "siblings");
    if (!json_is_object(tree) || !json_is_array(files)) FV_TRY(FV_FAIL(err, FV_E_FORMAT, "%s: has no list \"siblings\"; expected a hub's description of a model", where));
    if (json_array_size(files) > 10000) FV_TRY(FV_FAIL(err, FV_E_FORMAT, "%s: lists %zu files; expected at most 10000", where, json_array_size(files)));
    FV_TRY(fv_json_text(tree, "sha", true, &commit, where, err));
    if (!hub_commit_fits(commit)) FV_TRY(FV_FAIL(err, FV_E_FORMAT, "%s: \"sha\" is no commit; expected 40 hex digits", where));
    snprintf(list->commit, sizeof list->commit, "%s", commit);
    for (size_t i = 0; i < json_array_size(files); i++) FV_TRY(read_file(list, json_array_get(files, i), where, err));
    drop_shards(list);
    FV_TRY(check_parts(list, where, err));
done:
    json_decref(tree);
    if (status != FV_OK) hub_list_release(list);
    return status;
}

/* ---- A snapshot ---- */

/* The blob that the link points to, by its name; else the file's own hash. */
static fv_status hash_of_file(hub_file *file, const char *path, fv_err *err)
{
    char target[FV_PATH_MAX];
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n > 0) {
        target[n] = 0;
        const char *slash = strrchr(target, '/'), *name = slash ? slash + 1 : target;
        if (hash_fits(name, 64) || hash_fits(name, 40)) return memcpy(file->hash, name, strlen(name) + 1), FV_OK;
    }
    return fv_sha256_file(path, file->hash, err);
}

static fv_status add_found(hub_list *list, const char *folder, const char *path, uint64_t size, fv_err *err)
{
    char full[FV_PATH_MAX];
    fv_status status = FV_OK;
    if (list->n == MOST_FILES) return FV_FAIL(err, FV_E_FORMAT, "%s: has more than %d files of weights and tokenizers; expected fewer", folder, MOST_FILES);
    FV_TRY(fv_grow(&list->files, &list->capacity, list->n + 1, sizeof *list->files, err));
    hub_file *file = &list->files[list->n++];
    *file = (hub_file){.size = size};
    memcpy(file->path, path, strlen(path) + 1); /* it fits: hub_path_fits */
    FV_TRY(fv_path_join(full, folder, path, err));
    FV_TRY(hash_of_file(file, full, err));
done:
    return status;
}

/* Files below, and those of the folders of modules. What has a name too long or not plain is none of a model's. */
static fv_status scan(hub_list *list, const char *folder, const char *below, fv_err *err)
{
    char path[2 * HUB_TEXT_MAX], full[FV_PATH_MAX];
    struct stat st;
    fv_status status = FV_OK;
    FV_TRY(*below ? fv_path_join(full, folder, below, err) : fv_path_join(full, folder, ".", err));
    DIR *dir = opendir(full);
    if (!dir) return FV_FAIL(err, FV_E_IO, "%s: cannot be read: %s", full, strerror(errno));
    for (struct dirent *entry; status == FV_OK && (entry = readdir(dir));) {
        snprintf(path, sizeof path, "%s%s%s", below, *below ? "/" : "", entry->d_name);
        if (entry->d_name[0] == '.' || !hub_path_fits(path)) continue;
        if (fv_path_join(full, folder, path, NULL) != FV_OK || stat(full, &st) != 0) continue;
        if (S_ISDIR(st.st_mode) && !*below) status = scan(list, folder, path, err);
        else if (S_ISREG(st.st_mode) && is_loaded(path)) status = add_found(list, folder, path, (uint64_t)st.st_size, err);
    }
    closedir(dir);
done:
    return status;
}

fv_status hub_list_snapshot(hub_list *list, const char *folder, fv_err *err)
{
    *list = (hub_list){0};
    fv_status status = scan(list, folder, "", err);
    drop_shards(list);
    return status == FV_OK ? check_parts(list, folder, err) : status;
}

void hub_list_release(hub_list *list)
{
    fv_free(list->files);
    *list = (hub_list){0};
}
