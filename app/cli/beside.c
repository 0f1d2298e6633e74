/* The program becomes another that lies beside it, and what both owe the shell that started them. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"

/* Where a system does not say where this program lies, PATH is asked for the other. */
static void find_program(char path[FV_PATH_MAX], const char *ending)
{
    size_t len = strlen(ending) + 1;
    ssize_t n = readlink("/proc/self/exe", path, FV_PATH_MAX - len);
    if (n > 0) memcpy(path + n, ending, len);
    else snprintf(path, FV_PATH_MAX, "fovea%s", ending);
}

fv_status cli_become(const char *ending, const cli_common *common, fv_err *err)
{
    char path[FV_PATH_MAX];
    find_program(path, ending);
    size_t n = common->words.n;
    const char **words = fv_alloc_zero(n + 2, sizeof *words, err);
    if (!words) return FV_E_MEMORY;
    words[0] = path;
    memcpy(words + 1, common->words.items, n * sizeof *words);
    execvp(path, (char *const *)words);
    fv_status status = FV_FAIL(err, FV_E_IO, "%s: %s; `./run build` makes it, `./run install` puts it there", path, strerror(errno));
    fv_free(words);
    return status;
}

int cli_exit_status(fv_status status)
{
    switch (status) {
    case FV_OK: return 0;
    case FV_E_ARGUMENT: return 2;
    case FV_E_INPUT:
    case FV_E_FORMAT: return 3;
    default: return 1;
    }
}
