/* Fetching a model: the list, then each file that is not there, then links, then the ref. See pull.h.
 *
 * A part lies under blobs/HASH.incomplete and grows by plain writes, so that whatever ends the program leaves what came; the
 * next run asks for the rest. A lock for each file, the one that huggingface_hub takes too, keeps two from writing one part. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "pull/http.h"
#include "pull/pull.h"

enum { TRIES = 5, PATH_BYTES = 2048 };

typedef struct pull {
    pull_job *job;
    hub_places places;
    hub_store store;
    hub_list list;
    char token[HUB_TEXT_MAX];
    pull_http *http;
} pull;

/* ---- Answers that are none ---- */

static fv_status refused(const pull *p, long code, const char *what, fv_err *err)
{
    const char *hub = p->places.endpoint;
    if ((code == 401 || code == 403) && p->token[0]) return FV_FAIL(err, FV_E_INPUT, "%s: %s says %ld: the token may not read it; check the name, accept the model's terms on its page, or use another token", what, hub, code);
    if (code == 401 || code == 403) return FV_FAIL(err, FV_E_INPUT, "%s: %s says %ld: no such model, or one that needs a token; check the name, or set HF_TOKEN or write a token to %s", what, hub, code, p->places.token_file);
    if (code == 404) return FV_FAIL(err, FV_E_INPUT, "%s: not at %s; check the name (ORG/NAME) and the revision (%s)", what, hub, p->job->revision);
    if (code == 429) return FV_FAIL(err, FV_E_IO, "%s: %s says 429, too many requests; wait, or set HF_TOKEN", what, hub);
    return FV_FAIL(err, FV_E_IO, "%s: %s answers %ld; expected 200; try again later", what, hub, code);
}

/* Waits longer from try to try; a wish to stop is noticed. */
static void wait_before(const pull *p, int tried)
{
    const struct timespec step = {.tv_nsec = 50000000};
    for (int i = 0; i < 4 << tried && !atomic_load(p->job->stop); i++) nanosleep(&step, NULL);
}

/* Letters, digits and what names have else stand as they are. */
static void add_escaped(char *out, size_t size, const char *text)
{
    size_t at = strlen(out);
    for (; *text && at + 4 < size; text++) {
        bool plain = strchr("-_./~", *text) || (*text >= '0' && *text <= '9') || ((*text | 32) >= 'a' && (*text | 32) <= 'z');
        at += (size_t)snprintf(out + at, size - at, plain ? "%c" : "%%%02X", (unsigned char)*text);
    }
}

/* ---- The list ---- */

static fv_status begin_text(void *user, bool resumed, fv_err *err)
{
    (void)resumed, (void)err;
    ((fv_buf *)user)->len = 0;
    return FV_OK;
}

static fv_status take_text(void *user, const void *bytes, size_t n, fv_err *err)
{
    fv_buf *text = user;
    if (text->len + n > HUB_LIST_MAX) return FV_FAIL(err, FV_E_FORMAT, "the hub's list of files is longer than %d bytes; expected less", HUB_LIST_MAX);
    return fv_buf_add(text, bytes, n, err);
}

static fv_status read_list(pull *p, fv_err *err)
{
    char path[3 * PATH_BYTES], revision[PATH_BYTES] = "";
    fv_buf text = {0};
    const pull_sink sink = {begin_text, take_text, &text};
    long code;
    bool again;
    fv_status status;
    for (const char *r = p->job->revision; *r; r++) { /* refs/pr/1 is one part of the address */
        char one[2] = {*r, 0};
        if (*r == '/') snprintf(revision + strlen(revision), sizeof revision - strlen(revision), "%%2F");
        else add_escaped(revision, sizeof revision, one);
    }
    snprintf(path, sizeof path, "/api/models/%s/revision/%s?blobs=true", p->job->name, revision);
    int tried = 0;
    while ((status = pull_http_get(p->http, path, 0, &sink, &code, &again, err)) != FV_OK && again && ++tried < TRIES) wait_before(p, tried);
    if (status == FV_OK && code != 200) status = refused(p, code, p->job->name, err);
    if (status == FV_OK) status = hub_list_read(&p->list, text.data ? text.data : "", text.len, p->job->name, err);
    fv_buf_release(&text);
    return status;
}

/* ---- One file ---- */

typedef struct part {
    pull *p;
    const hub_file *file;
    int fd;
    uint64_t have;
} part;

static fv_status write_failed(const part *t, fv_err *err)
{
    return FV_FAIL(err, FV_E_IO, "%s: cannot be written to %s: %s", t->file->path, t->p->store.folder, strerror(errno));
}

static fv_status begin_part(void *user, bool resumed, fv_err *err)
{
    part *t = user;
    if (resumed) return FV_OK;
    t->have = 0;
    return ftruncate(t->fd, 0) == 0 && lseek(t->fd, 0, SEEK_SET) == 0 ? FV_OK : write_failed(t, err);
}

static fv_status take_part(void *user, const void *bytes, size_t n, fv_err *err)
{
    part *t = user;
    const char *at = bytes;
    if (n > t->file->size - t->have) return FV_FAIL(err, FV_E_FORMAT, "%s: the hub sends more than the %llu bytes that its list says; refused", t->file->path, (unsigned long long)t->file->size);
    while (n > 0) {
        ssize_t put = write(t->fd, at, n);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return write_failed(t, err);
        at += put;
        n -= (size_t)put;
        t->have += (uint64_t)put;
        t->p->job->fetched += (uint64_t)put;
    }
    if (t->p->job->tell) t->p->job->tell(t->p->job->user, t->file, t->have);
    return FV_OK;
}

/* A link in the part's place would be written through: O_NOFOLLOW. */
static fv_status open_part(part *t, const char *path, fv_err *err)
{
    struct stat st;
    t->fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (t->fd < 0) return write_failed(t, err);
    if (fstat(t->fd, &st) != 0 || !S_ISREG(st.st_mode)) return FV_FAIL(err, FV_E_IO, "%s: is no file; remove it", path);
    t->have = (uint64_t)st.st_size;
    if (t->have > t->file->size) return begin_part(t, false, err);
    return lseek(t->fd, 0, SEEK_END) >= 0 ? FV_OK : write_failed(t, err);
}

static fv_status fetch_rest(part *t, fv_err *err)
{
    pull *p = t->p;
    char path[PATH_BYTES];
    const pull_sink sink = {begin_part, take_part, t};
    fv_status status = FV_OK;
    bool again = true;
    long code = 0;
    snprintf(path, sizeof path, "/%s/resolve/%s/", p->job->name, p->list.commit);
    add_escaped(path, sizeof path, t->file->path);
    for (int tried = 0; t->have < t->file->size && again && tried < TRIES; tried++) {
        if (tried) wait_before(p, tried);
        status = pull_http_get(p->http, path, t->have, &sink, &code, &again, err);
        if (status == FV_OK && code != 200 && code != 206) {
            status = refused(p, code, t->file->path, err);
            again = code == 429 || code >= 500;
        } else if (status == FV_OK) again = t->have < t->file->size;
    }
    if (status == FV_OK && t->have < t->file->size) status = FV_FAIL(err, FV_E_FORMAT, "%s: ends after %llu bytes; the hub's list says %llu", t->file->path, (unsigned long long)t->have, (unsigned long long)t->file->size);
    return status;
}

static fv_status fetch_locked(pull *p, const hub_file *file, fv_err *err)
{
    part t = {.p = p, .file = file, .fd = -1};
    char path[FV_PATH_MAX];
    fv_status status = FV_OK;
    if (hub_blob_there(&p->store, file)) return FV_OK; /* another program was faster */
    FV_TRY(hub_blob_path(&p->store, file->hash, ".incomplete", path, err));
    FV_TRY(open_part(&t, path, err));
    FV_TRY(fetch_rest(&t, err));
    if (fsync(t.fd) != 0) FV_TRY(write_failed(&t, err));
    FV_TRY(hub_blob_finish(&p->store, file, err));
done:
    if (t.fd >= 0) close(t.fd);
    return status;
}

static fv_status fetch(pull *p, const hub_file *file, fv_err *err)
{
    char path[FV_PATH_MAX], name[96];
    fv_lock lock;
    snprintf(name, sizeof name, "%s.lock", file->hash);
    fv_status status = fv_path_join(path, p->store.locks, name, err);
    if (status != FV_OK) return status;
    while ((status = fv_lock_take(&lock, path, err)) == FV_E_BUSY && !atomic_load(p->job->stop)) wait_before(p, 0);
    if (status == FV_E_BUSY) return FV_FAIL(err, FV_E_STOPPED, "stopped while another program fetches %s; the same command goes on", file->path);
    if (status != FV_OK) return status;
    status = fetch_locked(p, file, err);
    fv_lock_drop(&lock);
    return status;
}

/* ---- All of it ---- */

static fv_status fetch_all(pull *p, fv_err *err)
{
    fv_status status = FV_OK;
    for (size_t i = 0; i < p->list.n && status == FV_OK; i++) {
        p->job->bytes += p->list.files[i].size;
        if (!hub_blob_there(&p->store, &p->list.files[i])) status = fetch(p, &p->list.files[i], err);
    }
    for (size_t i = 0; i < p->list.n && status == FV_OK; i++) status = hub_snapshot_link(&p->store, p->list.commit, &p->list.files[i], err);
    if (status == FV_OK) status = hub_ref_write(&p->store, p->job->revision, p->list.commit, err);
    p->job->files = p->list.n;
    return status;
}

static fv_status pull_online(pull *p, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(hub_token_read(&p->places, p->token, err));
    p->http = pull_http_new(&p->places, p->token, p->job->stop, err);
    if (!p->http) return FV_E_MEMORY;
    FV_TRY(read_list(p, err));
    FV_TRY(hub_store_make(&p->store, err));
    FV_TRY(fetch_all(p, err));
    memcpy(p->job->commit, p->list.commit, sizeof p->list.commit);
done:
    return status;
}

static fv_status find_offline(pull *p, fv_err *err)
{
    if (hub_ref_read(&p->store, p->job->revision, p->job->commit)) return FV_OK;
    return FV_FAIL(err, FV_E_INPUT, "%s: revision %s is not in %s, and HF_HUB_OFFLINE forbids to ask a hub", p->job->name, p->job->revision, p->places.cache);
}

/* The cache is filled first in any case: it has the parts of what was interrupted, and one copy for all who ask for the name. */
static fv_status copy_out(pull_job *job, fv_err *err)
{
    hub_list list = {0};
    fv_status status = hub_list_snapshot(&list, job->folder, err);
    if (status == FV_OK) status = hub_copy(&list, job->folder, job->out, err);
    if (status == FV_OK) snprintf(job->folder, sizeof job->folder, "%s", job->out);
    hub_list_release(&list);
    return status;
}

fv_status pull_model(pull_job *job, fv_err *err)
{
    pull p = {.job = job};
    fv_shown shown;
    fv_status status = FV_OK;
    if (!hub_name_fits(job->name)) return FV_FAIL(err, FV_E_ARGUMENT, "%s is no name of a model; expected ORG/NAME, such as sentence-transformers/all-MiniLM-L6-v2", fv_show(&shown, job->name, strlen(job->name)));
    if (!hub_revision_fits(job->revision)) return FV_FAIL(err, FV_E_ARGUMENT, "--revision %s is none; expected a branch, a tag or a commit", fv_show(&shown, job->revision, strlen(job->revision)));
    FV_TRY(hub_places_find(&p.places, err));
    FV_TRY(hub_store_at(&p.store, &p.places, job->name, err));
    FV_TRY(p.places.offline ? find_offline(&p, err) : pull_online(&p, err));
    FV_TRY(hub_snapshot_path(&p.store, job->commit, job->folder, err));
    if (!fv_folder_exists(job->folder)) status = FV_FAIL(err, FV_E_INPUT, "%s: not there; pull it with a network first", job->folder);
    else if (job->out) status = copy_out(job, err);
done:
    pull_http_free(p.http);
    hub_list_release(&p.list);
    return status;
}
