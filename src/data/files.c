/* Walks a folder for files of texts. What is in them is reader.c's matter.
 *
 * Links are not followed, so the walk ends and never leaves the folder; the depth is bounded all the same, since the
 * walk calls itself. */
#include "data/files.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/file.h"

enum { DEEPEST = 64 };

static bool ends_in(const char *name, size_t len, const char *ending)
{
    size_t n = strlen(ending);
    return len > n && strncasecmp(name + len - n, ending, n) == 0;
}

static bool has_texts(const char *name)
{
    static const char *const endings[] = {".txt", ".md", ".tsv", ".csv", ".jsonl"};
    size_t len = strlen(name);
    if (ends_in(name, len, ".gz")) len -= 3;
    for (size_t i = 0; i < FV_COUNT(endings); i++)
        if (ends_in(name, len, endings[i])) return true;
    return false;
}

static fv_status add(fv_text_files *files, const char *path, fv_err *err)
{
    fv_status status = fv_grow(&files->paths, &files->capacity, files->n + 1, sizeof *files->paths, err);
    if (status != FV_OK) return status;
    const char *copy = fv_arena_strndup(&files->arena, path, strlen(path), err);
    if (!copy) return FV_E_MEMORY;
    files->paths[files->n++] = copy;
    return FV_OK;
}

static fv_status walk(fv_text_files *files, const char *folder, int depth, fv_err *err);

static fv_status look_at(fv_text_files *files, const char *folder, const char *name, int depth, fv_err *err)
{
    struct stat st;
    char path[FV_PATH_MAX];
    fv_status status = fv_path_join(path, folder, name, err);
    if (status != FV_OK) return status;
    if (lstat(path, &st) != 0) return errno == ENOENT ? FV_OK : FV_FAIL(err, FV_E_IO, "%s: cannot be looked at: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode)) return walk(files, path, depth + 1, err);
    return S_ISREG(st.st_mode) && has_texts(name) ? add(files, path, err) : FV_OK;
}

static fv_status walk(fv_text_files *files, const char *folder, int depth, fv_err *err)
{
    fv_status status = FV_OK;
    struct dirent *entry;
    if (depth > DEEPEST) return FV_FAIL(err, FV_E_INPUT, "%s: folders lie more than %d deep; give one of those further down", folder, DEEPEST);
    DIR *dir = opendir(folder);
    if (!dir) return FV_FAIL(err, FV_E_IO, "%s: the folder cannot be read: %s; make it readable, or take it out", folder, strerror(errno));
    while (status == FV_OK && (errno = 0, entry = readdir(dir))) {
        if (entry->d_name[0] != '.') status = look_at(files, folder, entry->d_name, depth, err);
    }
    if (status == FV_OK && errno != 0) status = FV_FAIL(err, FV_E_IO, "%s: the folder cannot be read: %s", folder, strerror(errno));
    closedir(dir);
    return status;
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

fv_status fv_text_files_find(fv_text_files *files, const char *folder, fv_err *err)
{
    *files = (fv_text_files){.arena.block_bytes = 16 << 10};
    fv_status status = walk(files, folder, 0, err);
    if (status == FV_OK && files->n == 0) status = FV_FAIL(err, FV_E_INPUT, "%s: no files of texts are in it; expected " FV_TEXT_FILES, folder);
    if (status != FV_OK) return fv_text_files_release(files), status;
    qsort(files->paths, files->n, sizeof *files->paths, compare_paths);
    return FV_OK;
}

void fv_text_files_release(fv_text_files *files)
{
    fv_free(files->paths);
    fv_arena_release(&files->arena);
    *files = (fv_text_files){0};
}
