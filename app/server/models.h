/* The models that are served: opened, named, and replaced by newer ones while old ones still answer.
 *
 * Who asks for a model holds it until srv_model_drop, so that a reload takes nothing away from a request. Sessions are
 * the engine thread's (engine.h) alone; `encoding` is the HTTP thread's. */
#ifndef SRV_MODELS_H
#define SRV_MODELS_H

#include <pthread.h>
#include <stdatomic.h>

#include "cli/serve.h"

typedef enum srv_work { SRV_EMBED = 1, SRV_PREDICT = 2, SRV_RERANK = 4, SRV_TRANSLATE = 8 } srv_work;

/* "embeddings", "labels", …: what a model that does this work gives. */
const char *srv_work_gives(srv_work work);

/* One question that a model answers. */
typedef struct srv_head {
    char *name; /* NAME, or NAME/HEAD where there are several */
    fv_session *session;
    fv_labels kind;
    int n_labels;
    unsigned works; /* of srv_work */
} srv_head;

typedef struct srv_model {
    char *name, *folder;
    fv_model *model;
    srv_head *heads;
    int n_heads;
    int max_len;              /* tokens of a text */
    char *type;               /* "bert", … */
    char *weights_sha256;
    const fv_tokenizer *tokenizer; /* NULL for a translator */
    fv_encoding encoding;
    int64_t opened;           /* seconds since 1970 */
    atomic_int holders;
} srv_model;

/* A head, and its model held. */
typedef struct srv_choice {
    srv_model *model;
    const srv_head *head;
} srv_choice;

typedef struct srv_models {
    pthread_mutex_t lock; /* of `all` */
    srv_model **all;      /* [n], in the order of the command line */
    size_t n;
    const cli_serve_args *args;
    atomic_int reloads, refused;
} srv_models;

/* Opens all; the first that does not open ends it. Release it either way. */
fv_status srv_models_open(srv_models *models, const cli_serve_args *args, fv_err *err);
/* Opens each again in place of the old one; those that do not open stay as they are, and are told on stderr. */
void srv_models_reload(srv_models *models);
void srv_models_release(srv_models *models);

/* The head of that name, or for NULL the first that does `work`; model is NULL if there is none. */
srv_choice srv_models_find(srv_models *models, const char *name, srv_work work);
/* The i-th model, held, or NULL. */
srv_model *srv_models_hold(srv_models *models, size_t i);
void srv_model_drop(srv_model *model);

/* Tokens of the text as the model reads it, its frame included. Only for the HTTP thread. */
fv_status srv_count_tokens(srv_model *model, const fv_text *text, size_t *n, fv_err *err);

#endif
