/* Weights in several files: model.safetensors.index.json says which file holds which tensor, as large models are published. What
 * one file may hold is safetensors.c's to check. The trap: the index comes from a stranger too, and names files: only names of
 * this folder are opened. */
#include "formats/formats.h"

#include <stdlib.h>
#include <string.h>

enum { INDEX_BYTES = 64 << 20, MAX_SHARDS = 1024 };

/* A plain name of this folder. */
static bool is_shard_name(const char *name)
{
    static const char end[] = ".safetensors";
    size_t n = strlen(name), m = sizeof end - 1;
    return n > m && n < 256 && strcmp(name + n - m, end) == 0 && name[0] != '.' && !strpbrk(name, "/\\:");
}

static fv_status collect(fv_map *names, const json_t *weight_map, const char *path, fv_err *err)
{
    fv_status status = FV_OK;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)weight_map, key, value)
    {
        const char *name = json_string_value(value);
        fv_shown tensor, shown;
        if (!name || !is_shard_name(name))
            return FV_FAIL(err, FV_E_FORMAT, "%s: weight_map: %s is in %s; expected the name of a .safetensors file beside the index", path,
                           fv_show(&tensor, key, strlen(key)), name ? fv_show(&shown, name, strlen(name)) : "no name");
        if (fv_map_get(names, name, strlen(name)) >= 0) continue;
        if (names->n == MAX_SHARDS) return FV_FAIL(err, FV_E_FORMAT, "%s: weight_map names more than %d files", path, MAX_SHARDS);
        FV_TRY(fv_map_set(names, name, strlen(name), (int32_t)names->n, err));
    }
    if (names->n == 0) status = FV_FAIL(err, FV_E_FORMAT, "%s: weight_map is missing or empty; expected the file of every tensor", path);
done:
    return status;
}

static fv_status open_shards(fv_safetensors *all, const fv_map *names, const char *folder, fv_err *err)
{
    fv_status status = FV_OK;
    char path[FV_PATH_MAX];
    all->shards = fv_alloc_zero(names->n, sizeof *all->shards, err);
    if (!all->shards) return FV_E_MEMORY;
    for (size_t i = 0; i < names->n; i++) {
        FV_TRY(fv_path_join(path, folder, names->entries[i].key, err));
        if (!fv_file_exists(path)) return FV_FAIL(err, FV_E_IO, "%s: is missing; %s lists %zu such files: fetch the folder again", path, all->path, names->n);
        FV_TRY(fv_safetensors_open(&all->shards[i], path, err));
        all->n_shards = i + 1;
    }
done:
    return status;
}

static int by_name(const void *a, const void *b) { return strcmp(((const fv_st_tensor *)a)->name, ((const fv_st_tensor *)b)->name); }

static fv_status gather(fv_safetensors *all, const fv_map *names, const json_t *weight_map, fv_err *err)
{
    const char *key;
    json_t *value;
    all->tensors = fv_alloc_zero(json_object_size(weight_map), sizeof *all->tensors, err);
    if (!all->tensors) return FV_E_MEMORY;
    json_object_foreach((json_t *)(uintptr_t)weight_map, key, value)
    {
        const char *name = json_string_value(value);
        const fv_safetensors *shard = &all->shards[fv_map_get(names, name, strlen(name))];
        const fv_st_tensor *t = fv_safetensors_find(shard, key);
        fv_shown shown;
        if (!t) return FV_FAIL(err, FV_E_FORMAT, "%s: no tensor %s, which %s says is there", shard->path, fv_show(&shown, key, strlen(key)), all->path);
        all->tensors[all->n++] = *t;
    }
    qsort(all->tensors, all->n, sizeof *all->tensors, by_name);
    return FV_OK;
}

static fv_status open_index(fv_safetensors *all, const char *folder, const char *path, fv_err *err)
{
    fv_status status = FV_OK;
    fv_map names = {0};
    fv_err inner = {0}; /* the caller's may be NULL */
    json_t *tree = fv_json_load(path, INDEX_BYTES, &inner);
    if (!tree) return FV_FAIL(err, inner.status, "%s", inner.text);
    const json_t *weight_map = json_object_get(tree, "weight_map");
    *all = (fv_safetensors){.path = fv_strdup(path, err)};
    if (!all->path) { status = FV_E_MEMORY; goto done; }
    FV_TRY(collect(&names, weight_map, path, err));
    FV_TRY(open_shards(all, &names, folder, err));
    FV_TRY(gather(all, &names, weight_map, err));
done:
    fv_map_release(&names);
    json_decref(tree);
    if (status != FV_OK) fv_safetensors_close(all);
    return status;
}

void fv_safetensors_rest(const fv_safetensors *file)
{
    fv_file_rest(&file->map);
    for (size_t i = 0; i < file->n_shards; i++) fv_file_rest(&file->shards[i].map);
}

static bool has(const char *folder, const char *name)
{
    char path[FV_PATH_MAX];
    return fv_path_join(path, folder, name, NULL) == FV_OK && fv_file_exists(path);
}

fv_status fv_safetensors_open_folder(fv_safetensors *file, const char *folder, fv_err *err)
{
    char path[FV_PATH_MAX];
    bool whole = has(folder, "model.safetensors"), index = !whole && has(folder, "model.safetensors.index.json");
    if (!whole && !index && has(folder, "pytorch_model.bin"))
        return FV_FAIL(err, FV_E_FORMAT, "%s: its weights are in pytorch_model.bin, which can run programs and is not read; expected model.safetensors: save the model again as safetensors", folder);
    fv_holds holds;
    if (!whole && !index && fv_folder_exists(folder))
        return FV_FAIL(err, FV_E_IO, "%s: no weights in it (%s); expected model.safetensors, or model.safetensors.index.json and the files that it lists", folder, fv_folder_holds(&holds, folder));
    fv_status status = fv_path_join(path, folder, index ? "model.safetensors.index.json" : "model.safetensors", err);
    if (status != FV_OK) return status;
    return index ? open_index(file, folder, path, err) : fv_safetensors_open(file, path, err);
}
