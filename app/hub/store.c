/* The cache on the disk: blobs, snapshots, refs. See hub.h.
 *
 * Everything gets its name last: a blob when its hash is right, a link when its blob is there, a ref when all links are. So a pull
 * that dies leaves a cache in which nothing is half. The trap: a link among the folders on the way would lead writing
 * out of the cache; folders of the cache must be folders. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hub/hub.h"

fv_status hub_store_at(hub_store *store, const hub_places *places, const char *name, fv_err *err)
{
    char folder[2 * HUB_TEXT_MAX];
    size_t first = strcspn(name, "/");
    FV_ASSERT(hub_name_fits(name));
    snprintf(folder, sizeof folder, name[first] ? "models--%.*s--%s" : "models--%.*s", (int)first, name, name[first] ? name + first + 1 : "");
    fv_status status = fv_path_join(store->folder, places->cache, folder, err);
    if (status != FV_OK) return status;
    char locks[FV_PATH_MAX];
    status = fv_path_join(locks, places->cache, ".locks", err);
    return status == FV_OK ? fv_path_join(store->locks, locks, folder, err) : status;
}

/* Makes the folder, and holds it to be one, not a link to one. */
static fv_status make_folder(const char *path, fv_err *err)
{
    struct stat st;
    fv_status status = fv_folder_make(path, err);
    if (status != FV_OK) return status;
    if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode)) return FV_OK;
    return FV_FAIL(err, FV_E_IO, "%s: is a link; expected a folder of the cache itself; remove the link", path);
}

/* FOLDER/PART, made. */
static fv_status make_part(const char *folder, const char *part, fv_err *err)
{
    char path[FV_PATH_MAX];
    fv_status status = fv_path_join(path, folder, part, err);
    return status == FV_OK ? make_folder(path, err) : status;
}

fv_status hub_store_make(const hub_store *store, fv_err *err)
{
    static const char *const parts[] = {"blobs", "snapshots", "refs"};
    fv_status status = make_folder(store->folder, err);
    for (size_t i = 0; i < FV_COUNT(parts) && status == FV_OK; i++) status = make_part(store->folder, parts[i], err);
    return status == FV_OK ? make_folder(store->locks, err) : status;
}

/* Makes the folders that `path` has in front of its last part, below `folder`. */
static fv_status make_way(const char *folder, const char *path, fv_err *err)
{
    char part[HUB_TEXT_MAX];
    fv_status status = FV_OK;
    for (const char *slash = strchr(path, '/'); slash && status == FV_OK; slash = strchr(slash + 1, '/')) {
        snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
        status = make_part(folder, part, err);
    }
    return status;
}

/* ---- Blobs ---- */

fv_status hub_blob_path(const hub_store *store, const char *hash, const char *end, char out[FV_PATH_MAX], fv_err *err)
{
    char name[96];
    snprintf(name, sizeof name, "blobs/%s%s", hash, end);
    return fv_path_join(out, store->folder, name, err);
}

bool hub_blob_there(const hub_store *store, const hub_file *file)
{
    char path[FV_PATH_MAX];
    struct stat st;
    if (hub_blob_path(store, file->hash, "", path, NULL) != FV_OK) return false;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == file->size;
}

fv_status hub_blob_finish(const hub_store *store, const hub_file *file, fv_err *err)
{
    char part[FV_PATH_MAX], path[FV_PATH_MAX], hash[65];
    fv_status status = FV_OK;
    FV_TRY(hub_blob_path(store, file->hash, ".incomplete", part, err));
    FV_TRY(hub_blob_path(store, file->hash, "", path, err));
    FV_TRY(hub_hash(part, file->hash, hash, err));
    if (strcmp(hash, file->hash) != 0) {
        unlink(part);
        return FV_FAIL(err, FV_E_FORMAT, "%s: what came has the hash %s; the hub's list says %s; it is thrown away, and what was there before is kept; try again", file->path, hash, file->hash);
    }
    if (rename(part, path) != 0) status = FV_FAIL(err, FV_E_IO, "%s: cannot be made: %s", path, strerror(errno));
done:
    return status;
}

/* ---- Snapshots and refs ---- */

fv_status hub_snapshot_path(const hub_store *store, const char *commit, char out[FV_PATH_MAX], fv_err *err)
{
    char name[64];
    snprintf(name, sizeof name, "snapshots/%s", commit);
    return fv_path_join(out, store->folder, name, err);
}

/* Relative, so that the cache can be moved: one step up for each folder between the link and the store. */
static void link_text(const hub_file *file, char *out, size_t size)
{
    size_t at = (size_t)snprintf(out, size, "../../");
    for (const char *p = file->path; *p && at < size; p++)
        if (*p == '/') at += (size_t)snprintf(out + at, size - at, "../");
    if (at < size) snprintf(out + at, size - at, "blobs/%s", file->hash);
}

/* A link is made under another name and renamed over the old one, which is thus never missing. */
fv_status hub_snapshot_link(const hub_store *store, const char *commit, const hub_file *file, fv_err *err)
{
    char folder[FV_PATH_MAX], path[FV_PATH_MAX], fresh[FV_PATH_MAX + 32], text[2 * HUB_TEXT_MAX];
    fv_status status = FV_OK;
    FV_TRY(hub_snapshot_path(store, commit, folder, err));
    FV_TRY(make_folder(folder, err));
    FV_TRY(make_way(folder, file->path, err));
    FV_TRY(fv_path_join(path, folder, file->path, err));
    link_text(file, text, sizeof text);
    snprintf(fresh, sizeof fresh, "%s.tmp-%ld", path, (long)getpid());
    unlink(fresh);
    if (symlink(text, fresh) != 0 || rename(fresh, path) != 0) {
        status = FV_FAIL(err, FV_E_IO, "%s: cannot be linked: %s", path, strerror(errno));
        unlink(fresh);
    }
done:
    return status;
}

fv_status hub_ref_write(const hub_store *store, const char *revision, const char *commit, fv_err *err)
{
    char refs[FV_PATH_MAX], path[FV_PATH_MAX];
    fv_status status = FV_OK;
    if (hub_commit_fits(revision)) return FV_OK; /* means itself */
    FV_TRY(fv_path_join(refs, store->folder, "refs", err));
    FV_TRY(make_way(refs, revision, err));
    FV_TRY(fv_path_join(path, refs, revision, err));
    FV_TRY(fv_file_write(path, commit, strlen(commit), err));
done:
    return status;
}

bool hub_ref_read(const hub_store *store, const char *revision, char commit[41])
{
    char refs[FV_PATH_MAX], path[FV_PATH_MAX];
    fv_buf text = {0};
    if (hub_commit_fits(revision)) {
        memcpy(commit, revision, 41);
        return true;
    }
    bool found = fv_path_join(refs, store->folder, "refs", NULL) == FV_OK && fv_path_join(path, refs, revision, NULL) == FV_OK &&
                 fv_file_exists(path) && fv_file_read(path, 64, &text, NULL) == FV_OK && text.len == 40 && hub_commit_fits(text.data);
    if (found) memcpy(commit, text.data, 41);
    fv_buf_release(&text);
    return found;
}

bool hub_find(const char *model, char out[FV_PATH_MAX])
{
    char name[HUB_TEXT_MAX], commit[41], folder[FV_PATH_MAX];
    size_t len = strcspn(model, "@");
    const char *revision = model[len] ? model + len + 1 : "main";
    hub_places places;
    hub_store store;
    if (len >= sizeof name) return false;
    snprintf(name, sizeof name, "%.*s", (int)len, model);
    if (!hub_name_fits(name) || !hub_revision_fits(revision) || hub_places_find(&places, NULL) != FV_OK) return false;
    if (hub_store_at(&store, &places, name, NULL) != FV_OK || !hub_ref_read(&store, revision, commit)) return false;
    if (hub_snapshot_path(&store, commit, folder, NULL) != FV_OK || !fv_folder_exists(folder)) return false;
    memcpy(out, folder, sizeof folder);
    return true;
}
