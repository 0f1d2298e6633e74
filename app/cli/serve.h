/* What `fovea serve` is told. The table of options lies here with all others, so that help, man page and completions know
 * them; the server itself is a second program, fovea-serve, which reads the same words by the same table (app/server/main.c). */
#ifndef CLI_SERVE_H
#define CLI_SERVE_H

#include "cli/commands.h"

typedef struct cli_serve_args {
    cli_common common;
    cli_list models, more;    /* [NAME=]FOLDER, as --model and as words without it */
    const char *listen;       /* ADDRESS:PORT */
    const char *token_file;
    const char *host;         /* further names of this server, parted by commas */
    fv_session_options session;
    int queue;                /* requests that may wait */
    int max_items;            /* texts of a request */
    int64_t max_body;         /* bytes of a request */
    int connections;
    double rate;              /* requests a second from one address; 0: no bound */
    double send_seconds;      /* to send a request, or to read its answer */
    double answer_seconds;    /* from a request to its answer */
    bool truncate;
} cli_serve_args;

extern const cli_command cli_serve;

#endif
