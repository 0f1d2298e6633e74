/* A model hub as it looks from this machine: which names there are, where the cache of huggingface_hub lies and how it is
 * laid out, which of a model's files Fovea can load. Nothing here touches the network: the program's other commands
 * find pulled models by this room, and fovea-pull (app/pull) fills the cache by it.
 *
 *     CACHE/models--ORG--NAME/blobs/HASH               each file once, named by what is in it
 *                             snapshots/COMMIT/FILE    links to blobs: a model folder
 *                             refs/REVISION            holds the commit that a branch or tag meant last
 *
 * Names and lists come from strangers. What is not plain is refused before a path is made of it. */
#ifndef HUB_HUB_H
#define HUB_HUB_H

#include "base/file.h"

enum { HUB_TEXT_MAX = 256, HUB_LIST_MAX = 16 << 20 };

/* ---- places.c ---- */

/* What the environment says, by the rules of huggingface_hub: HF_HOME, HF_HUB_CACHE, HF_TOKEN_PATH, HF_ENDPOINT, HF_HUB_OFFLINE. */
typedef struct hub_places {
    char cache[FV_PATH_MAX], token_file[FV_PATH_MAX];
    char endpoint[1024]; /* without a slash at its end */
    bool offline;
} hub_places;

fv_status hub_places_find(hub_places *places, fv_err *err);
/* From HF_TOKEN or the token file; "" if there is none. */
fv_status hub_token_read(const hub_places *places, char token[HUB_TEXT_MAX], fv_err *err);
bool hub_name_fits(const char *name);         /* ORG/NAME or NAME */
bool hub_revision_fits(const char *revision); /* a branch, a tag, a commit; "refs/pr/1" */
bool hub_path_fits(const char *path);         /* a file inside a folder: no "..", no empty part, no control bytes */
bool hub_commit_fits(const char *commit);     /* 40 hex digits */

/* ---- list.c ---- */

typedef struct hub_file {
    char path[HUB_TEXT_MAX];
    char hash[65];  /* SHA-256 (64 digits) or git's SHA-1 of a blob (40); "" if the list does not say */
    uint64_t size;
} hub_file;

typedef struct hub_list {
    char commit[41];
    hub_file *files; /* those that Fovea loads */
    size_t n, capacity;
} hub_list;

/* Reads what /api/models/NAME/revision/REVISION?blobs=true answers. */
fv_status hub_list_read(hub_list *list, const char *text, size_t len, const char *where, fv_err *err);
/* The same of a snapshot in the cache, which huggingface_hub may have made: hashes are what its links point to, or are made of the files
 * where it has no links. */
fv_status hub_list_snapshot(hub_list *list, const char *folder, fv_err *err);
void hub_list_release(hub_list *list);

/* ---- store.c ---- */

/* The cache's folder of one model. */
typedef struct hub_store {
    char folder[FV_PATH_MAX], locks[FV_PATH_MAX];
} hub_store;

fv_status hub_store_at(hub_store *store, const hub_places *places, const char *name, fv_err *err);
fv_status hub_store_make(const hub_store *store, fv_err *err);
/* CACHE/…/blobs/HASH with `end` behind it: "" or ".incomplete". */
fv_status hub_blob_path(const hub_store *store, const char *hash, const char *end, char out[FV_PATH_MAX], fv_err *err);
/* Whether the blob is there with the size that the list says. */
bool hub_blob_there(const hub_store *store, const hub_file *file);
/* Gives the finished part its name if its hash is right; if not, removes it, and says so. */
fv_status hub_blob_finish(const hub_store *store, const hub_file *file, fv_err *err);
/* snapshots/COMMIT/PATH, as a link to the blob. */
fv_status hub_snapshot_link(const hub_store *store, const char *commit, const hub_file *file, fv_err *err);
fv_status hub_snapshot_path(const hub_store *store, const char *commit, char out[FV_PATH_MAX], fv_err *err);
fv_status hub_ref_write(const hub_store *store, const char *revision, const char *commit, fv_err *err);
/* The commit that a revision means here; false if that is not known. */
bool hub_ref_read(const hub_store *store, const char *revision, char commit[41]);
/* The folder of ORG/NAME or ORG/NAME@REVISION in the cache. False, and `out` as it was, if it is not there. */
bool hub_find(const char *model, char out[FV_PATH_MAX]);

/* ---- copy.c ---- */

/* Makes OUT a folder of real files, copies of the snapshot `from`, whose files `list` names: all or nothing. OUT may be missing, empty or this
 * very model; what holds anything else is refused. */
fv_status hub_copy(const hub_list *list, const char *from, const char *out, fv_err *err);

/* ---- sha1.c ---- */

/* The name that git gives to a file's content: SHA-1 of "blob SIZE", a zero byte, and the bytes. */
fv_status hub_git_hash(const char *path, char hex[41], fv_err *err);
/* The hash of the kind that `like` is: SHA-256 (64 digits) or git's. */
fv_status hub_hash(const char *path, const char *like, char hex[65], fv_err *err);

#endif
