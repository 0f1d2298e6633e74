/* The engine: one thread that answers what waits, joined into ragged batches.
 *
 * A job is one request's texts for one head. The engine takes texts from all jobs that ask the same of the same head, in
 * turn and up to a budget of tokens, so that a long request does not hold up short ones, computes them in one call, and
 * gives each job its own. A text's answer does not depend on the others, so joining changes no bit.
 *
 * The queue is bounded twice: in jobs, and in bytes of texts and answers. Who has a job may give up on it at any time; it is
 * told once, by on_done, from the engine's thread, and the job is its own again. */
#ifndef SRV_ENGINE_H
#define SRV_ENGINE_H

#include "server/models.h"

typedef struct srv_translated {
    char *text;
    size_t len;
} srv_translated;

/* How it came out; SRV_LATE and SRV_LEFT say that nobody computed it. */
typedef enum srv_end { SRV_DONE, SRV_FAILED, SRV_LATE, SRV_LEFT } srv_end;

typedef struct srv_job {
    srv_choice on;
    srv_work work;
    fv_text *texts;           /* [n] into `room` */
    uint32_t *tokens;         /* [n] */
    size_t n, n_tokens;
    fv_buf room;              /* the texts themselves */
    int beam, nbest;          /* of translations */
    int dim;                  /* of embeddings; 0: all */
    int unit;                 /* of embeddings: an fv_unit */

    float *scores;            /* [n, width]; of embeddings: the vectors */
    size_t width;
    srv_translated *translated; /* [n, nbest] */
    srv_end end;
    fv_err err;

    double deadline;
    atomic_bool left;         /* nobody waits any more */
    void (*on_done)(struct srv_job *job);
    void *user;

    /* The engine's. */
    struct srv_job *next;
    size_t taken;
    size_t bytes;
} srv_job;

/* Frees what the job holds, but not the job; drops its model. */
void srv_job_release(srv_job *job);

typedef struct srv_engine srv_engine;

typedef struct srv_load {
    int waiting;              /* jobs in the queue */
    int64_t waiting_tokens, bytes;
    int64_t batches, texts, tokens;
    double tokens_per_s;      /* lately; 0: nothing was computed yet */
} srv_load;

srv_engine *srv_engine_new(int batch_tokens, int max_jobs, int64_t max_bytes, fv_err *err);
/* Whether it was taken: false when the queue is full. Makes room for the answers first, which may fail with err set. */
bool srv_engine_add(srv_engine *engine, srv_job *job, fv_err *err);
/* After on_done, when the answer has been sent: its bytes are free for others. */
void srv_engine_forget(srv_engine *engine, const srv_job *job);
srv_load srv_engine_load(srv_engine *engine);
/* Ends what waits as SRV_LEFT, waits for what is computed, ends the thread; takes nothing from then on. NULL is fine. */
void srv_engine_stop(srv_engine *engine);
void srv_engine_free(srv_engine *engine);

#endif
