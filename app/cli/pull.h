/* What `fovea pull` is told. Help, man page and completions know it from the table in cmd_pull.c; the work is done by a second
 * program, fovea-pull, which reads the same words by the same table (app/pull/main.c). */
#ifndef CLI_PULL_H
#define CLI_PULL_H

#include "cli/commands.h"

typedef struct cli_pull_args {
    cli_common common;
    const char *name;     /* ORG/NAME */
    const char *revision; /* branch, tag or commit */
    const char *out;      /* a folder for real files; NULL: the cache alone */
} cli_pull_args;

extern const cli_command cli_pull;

#endif
