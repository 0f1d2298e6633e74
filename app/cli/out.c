/* Results on stdout, and noticing that they did not arrive. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "cli/term.h"

/* Seven digits hold what a float has to say, and 0.97 stays 0.97. */
#define JSON_STYLE (JSON_COMPACT | JSON_REAL_PRECISION(7))

fv_status cli_json_line(json_t *object, fv_err *err)
{
    if (!object) return FV_FAIL(err, FV_E_MEMORY, "out of memory for a line of JSON");
    /* Failing to write is left to cli_flush, failing to format is ours. */
    int failed = json_dumpf(object, stdout, JSON_STYLE);
    json_decref(object);
    if (failed && !ferror(stdout)) return FV_FAIL(err, FV_E_MEMORY, "a line of JSON could not be made");
    fputc('\n', stdout);
    return FV_OK;
}

/* A pipe without a reader. Asked of the pipe, since errno of the write that failed may be long gone. */
static bool nobody_reads(void)
{
    struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&p, 1, 0) > 0 && (p.revents & POLLERR);
}

fv_status cli_flush(fv_err *err)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout)) return FV_OK;
    if (nobody_reads()) {
        fv_status status = FV_FAIL(err, FV_E_IO, "nobody reads the output");
        err->text[0] = 0;
        return status;
    }
    return FV_FAIL(err, FV_E_IO, "the output could not be written: %s", errno ? strerror(errno) : "an earlier write failed");
}
