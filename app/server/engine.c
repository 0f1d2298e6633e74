/* Joins jobs into batches: see engine.h. All of the queue's state is under one lock, which is not held while computing.
 *
 * The trap inside: a batch's texts are the jobs' own memory. So a job that is left while it is computed must not be told of
 * its end before the batch is over. */
#include <string.h>

#include "base/file.h"
#include "server/engine.h"

/* A job's texts in a batch: `n` of them from text `first` on. */
struct part {
    srv_job *job;
    size_t first, n;
};

struct srv_engine {
    pthread_mutex_t lock;
    pthread_cond_t came;
    pthread_t thread;
    bool started, stopping;
    srv_job *head, **tail;
    int batch_tokens, max_jobs;
    int64_t max_bytes;
    srv_load load;
    double busy_seconds;

    /* The thread's own. */
    struct part *parts;
    size_t n_parts, parts_capacity;
    fv_text *texts;
    size_t n_texts, texts_capacity;
    float *scores;
    size_t scores_capacity;
    fv_translation *found;
    size_t found_capacity;
};

/* ---- Jobs ---- */

void srv_job_release(srv_job *job)
{
    for (size_t i = 0; job->translated && i < job->n * (size_t)job->nbest; i++) fv_free(job->translated[i].text);
    fv_free(job->translated);
    fv_free(job->scores);
    fv_free(job->texts);
    fv_free(job->tokens);
    fv_buf_release(&job->room);
    srv_model_drop(job->on.model);
    *job = (srv_job){0};
}

/* Whether one call can answer both. */
static bool join(const srv_job *a, const srv_job *b)
{
    return a->on.head == b->on.head && a->work == b->work && a->beam == b->beam && a->nbest == b->nbest && a->dim == b->dim && a->unit == b->unit;
}

/* Bytes that the job's answer takes at most, as JSON too. Translations are guessed: they are about as long as their texts. */
static size_t answer_bytes(const srv_job *job)
{
    enum { NUMBER = sizeof(float) + 14 };
    return job->n * (job->width * NUMBER + 64) + (job->work == SRV_TRANSLATE ? 4 * job->room.len * (size_t)job->nbest : 0);
}

static fv_status make_room(srv_job *job, fv_err *err)
{
    if (job->work == SRV_TRANSLATE) {
        job->translated = fv_alloc_zero(job->n * (size_t)job->nbest, sizeof *job->translated, err);
        return job->translated ? FV_OK : FV_E_MEMORY;
    }
    job->scores = fv_alloc_zero(job->n * job->width, sizeof *job->scores, err);
    return job->scores ? FV_OK : FV_E_MEMORY;
}

static void append(srv_engine *e, srv_job *job)
{
    job->next = NULL;
    *e->tail = job;
    e->tail = &job->next;
    e->load.waiting++;
    e->load.waiting_tokens += (int64_t)job->n_tokens;
}

/* What was counted for it is free again. */
static void give_up(srv_engine *e, srv_job *job)
{
    srv_engine_forget(e, job);
    job->bytes = 0;
}

bool srv_engine_add(srv_engine *e, srv_job *job, fv_err *err)
{
    job->bytes = sizeof *job + job->room.capacity + job->n * (sizeof *job->texts + sizeof *job->tokens) + answer_bytes(job);
    pthread_mutex_lock(&e->lock);
    bool fits = !e->stopping && e->load.waiting < e->max_jobs && (e->load.bytes + (int64_t)job->bytes <= e->max_bytes || e->load.bytes == 0);
    if (fits) e->load.bytes += (int64_t)job->bytes;
    pthread_mutex_unlock(&e->lock);
    if (!fits) {
        job->bytes = 0;
        return false;
    }
    if (make_room(job, err) != FV_OK) {
        give_up(e, job);
        return false;
    }
    pthread_mutex_lock(&e->lock);
    bool taken = !e->stopping;
    if (taken) append(e, job);
    pthread_cond_signal(&e->came);
    pthread_mutex_unlock(&e->lock);
    if (taken) return true;
    give_up(e, job);
    return false;
}

void srv_engine_forget(srv_engine *e, const srv_job *job)
{
    pthread_mutex_lock(&e->lock);
    e->load.bytes -= (int64_t)job->bytes;
    pthread_mutex_unlock(&e->lock);
}

srv_load srv_engine_load(srv_engine *e)
{
    pthread_mutex_lock(&e->lock);
    srv_load load = e->load;
    load.tokens_per_s = e->busy_seconds > 0 ? (double)load.tokens / e->busy_seconds : 0;
    pthread_mutex_unlock(&e->lock);
    return load;
}

/* ---- Taking a batch: under the lock ---- */

static void unlink_job(srv_engine *e, srv_job **at)
{
    srv_job *job = *at;
    *at = job->next;
    if (e->tail == &job->next) e->tail = at;
    job->next = NULL;
    e->load.waiting--;
    for (size_t i = job->taken; i < job->n; i++) e->load.waiting_tokens -= job->tokens[i];
}

/* Jobs that nobody waits for, or not any more, into a list of their own. */
static srv_job *take_lost(srv_engine *e, double now)
{
    srv_job *lost = NULL;
    for (srv_job **at = &e->head; *at;) {
        srv_job *job = *at;
        bool left = e->stopping || atomic_load(&job->left);
        if (!left && now < job->deadline) {
            at = &job->next;
            continue;
        }
        unlink_job(e, at);
        job->end = left ? SRV_LEFT : SRV_LATE;
        job->next = lost;
        lost = job;
    }
    return lost;
}

static size_t joinable(const srv_engine *e)
{
    size_t n = 0;
    for (const srv_job *job = e->head; job; job = job->next) n += join(e->head, job);
    return n;
}

/* Takes texts of one job until its share is spent, one at least. Gives their tokens back. */
static size_t take_texts(srv_engine *e, srv_job *job, size_t share)
{
    struct part *part = &e->parts[e->n_parts++];
    size_t spent = 0;
    *part = (struct part){.job = job, .first = job->taken};
    while (job->taken < job->n && (part->n == 0 || spent + job->tokens[job->taken] <= share)) {
        spent += job->tokens[job->taken++];
        part->n++;
    }
    e->load.waiting_tokens -= (int64_t)spent;
    e->n_texts += part->n;
    return spent;
}

/* A job of which texts are left goes to the end of the queue: others have their turn first. */
static void put_back(srv_engine *e, srv_job **at)
{
    srv_job *job = *at;
    *at = job->next;
    if (e->tail == &job->next) e->tail = at;
    job->next = NULL;
    *e->tail = job;
    e->tail = &job->next;
}

/* The first job decides what the batch is of. What a job leaves of its share falls to those after it. */
static fv_status take_batch(srv_engine *e, fv_err *err)
{
    size_t n = joinable(e), budget = (size_t)e->batch_tokens;
    const srv_job first = {.on = e->head->on, .work = e->head->work, .beam = e->head->beam, .nbest = e->head->nbest, .dim = e->head->dim, .unit = e->head->unit};
    fv_status status = fv_grow(&e->parts, &e->parts_capacity, n, sizeof *e->parts, err);
    if (status) return status;
    srv_job **at = &e->head;
    for (size_t left = n; left > 0 && budget > 0;) {
        if (!join(&first, *at)) {
            at = &(*at)->next;
            continue;
        }
        size_t spent = take_texts(e, *at, budget / left);
        budget -= spent < budget ? spent : budget;
        left--;
        if ((*at)->taken < (*at)->n) put_back(e, at);
        else unlink_job(e, at);
    }
    return FV_OK;
}

/* ---- Computing: without the lock ---- */

static fv_status compute_labels(srv_engine *e, const srv_job *as, const fv_text *texts, size_t n, fv_err *err)
{
    fv_status status = fv_grow(&e->scores, &e->scores_capacity, n * as->width, sizeof *e->scores, err);
    return status ? status : fv_classify_scores(as->on.head->session, texts, n, e->scores, err);
}

static fv_status compute_translations(srv_engine *e, const srv_job *as, const fv_text *texts, size_t n, fv_err *err)
{
    fv_translate_options o;
    fv_translate_options_init(&o);
    o.beam = as->beam;
    o.nbest = as->nbest;
    o.long_texts = FV_LONG_SPLIT;
    fv_status status = fv_grow(&e->found, &e->found_capacity, n * (size_t)as->nbest, sizeof *e->found, err);
    return status ? status : fv_translate(as->on.head->session, texts, n, &o, e->found, err);
}

/* The prompt is part of the texts by now (request.c). */
static fv_status compute_vectors(srv_engine *e, const srv_job *as, const fv_text *texts, size_t n, fv_err *err)
{
    fv_embed_options o;
    fv_embed_options_init(&o);
    o.prompt = "";
    o.unit = (fv_unit)as->unit;
    o.dim = as->dim;
    fv_status status = fv_grow(&e->scores, &e->scores_capacity, n * as->width, sizeof *e->scores, err);
    return status ? status : fv_embed(as->on.head->session, texts, n, &o, e->scores, err);
}

static fv_status compute(srv_engine *e, const srv_job *as, const fv_text *texts, size_t n, fv_err *err)
{
    switch (as->work) {
    case SRV_EMBED: return compute_vectors(e, as, texts, n, err);
    case SRV_TRANSLATE: return compute_translations(e, as, texts, n, err);
    default: return compute_labels(e, as, texts, n, err);
    }
}

/* The answers of the call's texts from `from` on are the part's. */
static fv_status give(const srv_engine *e, const struct part *part, size_t from, fv_err *err)
{
    srv_job *job = part->job;
    if (job->work != SRV_TRANSLATE) {
        memcpy(job->scores + part->first * job->width, e->scores + from * job->width, part->n * job->width * sizeof *job->scores);
        return FV_OK;
    }
    size_t nbest = (size_t)job->nbest;
    for (size_t i = 0; i < part->n * nbest; i++) {
        const fv_translation *found = &e->found[from * nbest + i];
        srv_translated *to = &job->translated[part->first * nbest + i];
        if (!found->text) continue;
        to->text = fv_strndup(found->text, found->len, err);
        to->len = found->len;
        if (!to->text) return FV_E_MEMORY;
    }
    return FV_OK;
}

static void fail(srv_job *job, const fv_err *why)
{
    job->end = SRV_FAILED;
    job->err = *why;
}

/* After a call failed: each part alone, so that one job's trouble is no other's. */
static void compute_apart(srv_engine *e)
{
    size_t from = 0;
    for (size_t i = 0; i < e->n_parts; i++) {
        struct part *part = &e->parts[i];
        fv_err err = {0};
        fv_status status = compute(e, part->job, e->texts + from, part->n, &err);
        if (status == FV_OK) status = give(e, part, 0, &err);
        if (status) fail(part->job, &err);
        from += part->n;
    }
}

static fv_status compute_joined(srv_engine *e, fv_err *err)
{
    size_t from = 0;
    fv_status status = fv_grow(&e->texts, &e->texts_capacity, e->n_texts, sizeof *e->texts, err);
    if (status) return status;
    for (size_t i = 0; i < e->n_parts; i++) {
        const struct part *part = &e->parts[i];
        memcpy(e->texts + from, part->job->texts + part->first, part->n * sizeof *e->texts);
        from += part->n;
    }
    return compute(e, e->parts[0].job, e->texts, e->n_texts, err);
}

static void compute_batch(srv_engine *e)
{
    fv_err err = {0};
    size_t from = 0;
    if (compute_joined(e, &err) != FV_OK) {
        if (e->n_parts > 1 && err.status != FV_E_MEMORY) compute_apart(e);
        else
            for (size_t i = 0; i < e->n_parts; i++) fail(e->parts[i].job, &err);
        return;
    }
    for (size_t i = 0; i < e->n_parts; i++) {
        if (give(e, &e->parts[i], from, &err) != FV_OK) fail(e->parts[i].job, &err);
        from += e->parts[i].n;
    }
}

/* ---- The thread ---- */

/* Tells the jobs whose last text was in the batch. One that failed earlier is told then too: its rest is not computed. */
static void tell(srv_engine *e)
{
    for (size_t i = 0; i < e->n_parts; i++) {
        srv_job *job = e->parts[i].job;
        if (job->taken == job->n) job->on_done(job);
    }
}

/* What is left of jobs that failed is taken out of the queue, by which they are told. */
static void skip_failed(srv_engine *e)
{
    pthread_mutex_lock(&e->lock);
    for (srv_job **at = &e->head; *at;) {
        srv_job *job = *at;
        if (job->end != SRV_FAILED) {
            at = &job->next;
            continue;
        }
        unlink_job(e, at);
        job->taken = job->n;
    }
    pthread_mutex_unlock(&e->lock);
}

static void count(srv_engine *e, double seconds)
{
    int64_t tokens = 0;
    for (size_t i = 0; i < e->n_parts; i++)
        for (size_t k = 0; k < e->parts[i].n; k++) tokens += e->parts[i].job->tokens[e->parts[i].first + k];
    pthread_mutex_lock(&e->lock);
    e->load.batches++;
    e->load.texts += (int64_t)e->n_texts;
    e->load.tokens += tokens;
    e->busy_seconds += seconds;
    pthread_mutex_unlock(&e->lock);
}

static void tell_lost(srv_job *lost)
{
    while (lost) {
        srv_job *next = lost->next;
        lost->next = NULL;
        lost->on_done(lost);
        lost = next;
    }
}

/* Waits for jobs and takes a batch of them, and those that are lost. False: it is time to end. */
static bool wait_for_work(srv_engine *e, srv_job **lost)
{
    fv_err err = {0};
    pthread_mutex_lock(&e->lock);
    while (!e->head && !e->stopping) pthread_cond_wait(&e->came, &e->lock);
    *lost = take_lost(e, fv_now());
    e->n_parts = e->n_texts = 0;
    if (e->head && take_batch(e, &err) != FV_OK) {
        srv_job *job = e->head;
        unlink_job(e, &e->head);
        fail(job, &err);
        job->next = *lost;
        *lost = job;
    }
    bool more = e->head || e->n_parts || *lost || !e->stopping;
    pthread_mutex_unlock(&e->lock);
    return more;
}

static void *work(void *user)
{
    srv_engine *e = user;
    srv_job *lost;
    while (wait_for_work(e, &lost)) {
        tell_lost(lost);
        if (e->n_parts == 0) continue;
        double began = fv_now();
        compute_batch(e);
        count(e, fv_now() - began);
        skip_failed(e);
        tell(e);
    }
    return NULL;
}

srv_engine *srv_engine_new(int batch_tokens, int max_jobs, int64_t max_bytes, fv_err *err)
{
    srv_engine *e = fv_alloc_zero(1, sizeof *e, err);
    if (!e) return NULL;
    e->batch_tokens = batch_tokens;
    e->max_jobs = max_jobs;
    e->max_bytes = max_bytes;
    e->tail = &e->head;
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->came, NULL);
    e->started = pthread_create(&e->thread, NULL, work, e) == 0;
    if (e->started) return e;
    FV_FAIL(err, FV_E_MEMORY, "the system gives no more threads");
    srv_engine_free(e);
    return NULL;
}

void srv_engine_stop(srv_engine *e)
{
    if (!e || !e->started) return;
    pthread_mutex_lock(&e->lock);
    e->stopping = true;
    pthread_cond_signal(&e->came);
    pthread_mutex_unlock(&e->lock);
    pthread_join(e->thread, NULL);
    e->started = false;
}

void srv_engine_free(srv_engine *e)
{
    if (!e) return;
    srv_engine_stop(e);
    pthread_cond_destroy(&e->came);
    pthread_mutex_destroy(&e->lock);
    fv_free(e->parts);
    fv_free(e->texts);
    fv_free(e->scores);
    fv_free(e->found);
    fv_free(e);
}
