/* A model folder in the making. */
#include "api/staging.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool is_empty_folder(const char *path)
{
    DIR *dir = opendir(path);
    if (!dir) return false;
    int others = 0;
    for (struct dirent *entry; (entry = readdir(dir));) others += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(dir);
    return others == 0;
}

fv_status fv_staging_check(fv_staging *s, const char *out, fv_err *err)
{
    size_t n = strlen(out);
    while (n > 1 && out[n - 1] == '/') n--;
    if (n == 0 || n + 32 > sizeof s->place) return FV_FAIL(err, FV_E_ARGUMENT, "the folder to write has no name, or one that is too long");
    memcpy(s->place, out, n);
    s->place[n] = 0;
    if (access(s->place, F_OK) != 0 || is_empty_folder(s->place)) return FV_OK;
    return FV_FAIL(err, FV_E_ARGUMENT, "%s: is there already, and nothing is overwritten; choose another folder", s->place);
}

fv_status fv_staging_begin(fv_staging *s, fv_err *err)
{
    char path[FV_PATH_MAX];
    snprintf(path, sizeof path, "%.*s.new-%ld", (int)(sizeof path - 32), s->place, (long)getpid());
    fv_status status = fv_folder_make(path, err);
    if (status == FV_OK) memcpy(s->path, path, sizeof path);
    return status;
}

fv_status fv_staging_take_place(const fv_staging *s, fv_err *err)
{
    if (rename(s->path, s->place) == 0) return FV_OK;
    return FV_FAIL(err, FV_E_IO, "%s: cannot be made: %s", s->place, strerror(errno));
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)info, (void)kind, (void)at;
    remove(path);
    return 0;
}

void fv_staging_end(const fv_staging *s)
{
    if (*s->path) nftw(s->path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

fv_status fv_staging_copy(const fv_staging *s, const char *from, const char *name, fv_err *err)
{
    fv_status status = FV_OK;
    char to[FV_PATH_MAX];
    fv_mapping map = {0};
    FV_TRY(fv_path_join(to, s->path, name, err));
    FV_TRY(fv_file_map(from, &map, err));
    FV_TRY(fv_file_write(to, map.data, map.size, err));
done:
    fv_file_unmap(&map);
    return status;
}
