/* The work of `fovea pull`: list, fetch, compare, name. main.c adds signals and the terminal. */
#ifndef PULL_PULL_H
#define PULL_PULL_H

#include <stdatomic.h>

#include "hub/hub.h"

/* Bytes of the file under way, as they come. */
typedef void pull_tell(void *user, const hub_file *file, uint64_t have);

typedef struct pull_job {
    const char *name, *revision;
    const char *out; /* a folder of real files is made there, too; NULL: none */
    const atomic_bool *stop;
    pull_tell *tell; /* NULL: nobody listens */
    void *user;
    /* Results. */
    char folder[FV_PATH_MAX], commit[41]; /* out, or the snapshot in the cache */
    size_t files;
    uint64_t bytes, fetched; /* of all files, and of those that came over the network */
} pull_job;

fv_status pull_model(pull_job *job, fv_err *err);

#endif
