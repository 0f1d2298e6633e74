/* A pulled model as a plain folder of its own: `fovea pull --out`. See hub.h.
 *
 * The cache has the files by their hashes and links by their names; here they become files. They are copied into OUT.new-PID, read again and
 * compared with their hashes, and then the whole folder gets its name: OUT is complete or not there. What is in OUT already is
 * only looked at: this very model is fine, anything else is refused and named. */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hub/hub.h"

typedef struct copy {
    const hub_list *list;
    const char *from;
    char place[FV_PATH_MAX], staging[FV_PATH_MAX];
} copy;

/* ---- What OUT holds ---- */

static bool has_folder(const hub_list *list, const char *path)
{
    size_t n = strlen(path);
    for (size_t i = 0; i < list->n; i++)
        if (strncmp(list->files[i].path, path, n) == 0 && list->files[i].path[n] == '/') return true;
    return false;
}

static fv_status check_same(const copy *c, const char *folder, const hub_file *file, fv_err *err)
{
    char path[FV_PATH_MAX], hash[65];
    struct stat st;
    fv_status status = fv_path_join(path, folder, file->path, err);
    if (status != FV_OK) return status;
    bool same = lstat(path, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == file->size;
    if (same) status = hub_hash(path, file->hash, hash, err);
    if (status != FV_OK || (same && strcmp(hash, file->hash) == 0)) return status;
    return FV_FAIL(err, FV_E_ARGUMENT, "%s: is not this model's %s, and nothing is overwritten; choose another folder, or remove %s", path, file->path, c->place);
}

static bool is_known(const copy *c, const char *path)
{
    for (size_t i = 0; i < c->list->n; i++)
        if (strcmp(c->list->files[i].path, path) == 0) return true;
    return has_folder(c->list, path);
}

/* Refuses what is not this model's, in OUT or in a folder of it. Counts what there is. */
static fv_status check_others(const copy *c, const char *below, size_t *n, fv_err *err)
{
    char folder[FV_PATH_MAX], path[HUB_TEXT_MAX + 256];
    fv_status status = FV_OK;
    if (*below) FV_TRY(fv_path_join(folder, c->place, below, err));
    else memcpy(folder, c->place, sizeof folder);
    DIR *dir = opendir(folder);
    if (!dir) return FV_FAIL(err, FV_E_ARGUMENT, "%s: cannot be opened: %s; expected a new folder, or an empty one", folder, strerror(errno));
    for (struct dirent *entry; status == FV_OK && (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        snprintf(path, sizeof path, "%s%s%s", below, *below ? "/" : "", entry->d_name);
        ++*n;
        if (!is_known(c, path)) status = FV_FAIL(err, FV_E_ARGUMENT, "%s: holds %s, which is not this model's; choose another folder", c->place, path);
        else if (!*below && has_folder(c->list, path)) status = check_others(c, path, n, err);
    }
    closedir(dir);
done:
    return status;
}

/* *there: OUT is this model already. */
static fv_status check_place(const copy *c, bool *there, fv_err *err)
{
    size_t n = 0;
    fv_status status = FV_OK;
    *there = false;
    if (access(c->place, F_OK) != 0) return FV_OK;
    FV_TRY(check_others(c, "", &n, err));
    if (n == 0) return FV_OK;
    for (size_t i = 0; i < c->list->n; i++) FV_TRY(check_same(c, c->place, &c->list->files[i], err));
    *there = true;
done:
    return status;
}

/* ---- Copying ---- */

static fv_status copy_bytes(const char *from, const char *to, fv_err *err)
{
    fv_mapping map = {0};
    fv_status status = fv_file_map(from, &map, err);
    fv_writer *writer = status == FV_OK ? fv_writer_open(to, err) : NULL;
    if (!writer) return fv_file_unmap(&map), status == FV_OK ? FV_E_IO : status;
    if (map.size) status = fv_writer_write(writer, map.data, map.size, err);
    fv_file_unmap(&map);
    if (status == FV_OK) return fv_writer_commit(writer, err);
    fv_writer_abort(writer);
    return status;
}

static fv_status copy_file(const copy *c, const hub_file *file, fv_err *err)
{
    char from[FV_PATH_MAX], to[FV_PATH_MAX], folder[FV_PATH_MAX], hash[65];
    fv_status status = FV_OK;
    FV_TRY(fv_path_join(from, c->from, file->path, err));
    FV_TRY(fv_path_join(to, c->staging, file->path, err));
    memcpy(folder, to, sizeof folder);
    *strrchr(folder, '/') = 0;
    FV_TRY(fv_folder_make(folder, err));
    FV_TRY(copy_bytes(from, to, err));
    FV_TRY(hub_hash(to, file->hash, hash, err));
    if (strcmp(hash, file->hash) != 0) status = FV_FAIL(err, FV_E_FORMAT, "%s: has the hash %s; expected %s, by which the cache calls it; remove %s and pull again", from, hash, file->hash, from);
done:
    return status;
}

/* Whatever is left of it: nothing, after a success. */
static void end_staging(const copy *c)
{
    char path[FV_PATH_MAX];
    for (size_t i = 0; i < c->list->n; i++)
        if (fv_path_join(path, c->staging, c->list->files[i].path, NULL) == FV_OK) fv_file_remove(path, NULL);
    for (size_t i = 0; i < c->list->n; i++) {
        const char *slash = strchr(c->list->files[i].path, '/');
        if (!slash || fv_path_join(path, c->staging, c->list->files[i].path, NULL) != FV_OK) continue;
        path[strlen(path) - strlen(slash)] = 0;
        rmdir(path);
    }
    rmdir(c->staging);
}

static fv_status copy_all(const copy *c, fv_err *err)
{
    fv_status status = fv_folder_make(c->staging, err);
    for (size_t i = 0; i < c->list->n && status == FV_OK; i++) status = copy_file(c, &c->list->files[i], err);
    if (status == FV_OK && rename(c->staging, c->place) != 0) status = FV_FAIL(err, FV_E_IO, "%s: cannot be made: %s", c->place, strerror(errno));
    if (status != FV_OK) end_staging(c);
    return status;
}

fv_status hub_copy(const hub_list *list, const char *from, const char *out, fv_err *err)
{
    copy c = {.list = list, .from = from};
    size_t n = strlen(out);
    bool there;
    while (n > 1 && out[n - 1] == '/') n--;
    if (n == 0 || n + 32 > sizeof c.place) return FV_FAIL(err, FV_E_ARGUMENT, "--out: the folder has no name, or one that is too long");
    snprintf(c.place, sizeof c.place, "%.*s", (int)n, out);
    snprintf(c.staging, sizeof c.staging, "%.*s.new-%ld", (int)(sizeof c.staging - 32), c.place, (long)getpid());
    fv_status status = check_place(&c, &there, err);
    return status == FV_OK && !there ? copy_all(&c, err) : status;
}
