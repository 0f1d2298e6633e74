/* A folder for a test's files: made under TMPDIR, gone afterwards. One per test program. */
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "formats/scratch.h"

static char folder[FV_PATH_MAX];

int scratch_setup(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/fovea-test-%ld", base && *base ? base : P_tmpdir, (long)getpid());
    return mkdir(folder, 0700);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info, (void)kind, (void)walk;
    return remove(path);
}

int scratch_teardown(void **state)
{
    (void)state;
    return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *scratch_folder(void) { return folder; }

const char *scratch_path(const char *name)
{
    static char paths[4][FV_PATH_MAX];
    static int next;
    char *path = paths[next++ % 4];
    fv_err err = {0};
    return fv_path_join(path, folder, name, &err) == FV_OK ? path : NULL;
}
