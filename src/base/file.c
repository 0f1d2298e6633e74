/* Files: reading whole, mapping, replacing all or nothing, appending, locking, folders.
 *
 * Everything is checked on the open descriptor, not on the name before: the name may change its
 * meaning in between. A mapped file that another program cuts short kills the reader with SIGBUS;
 * Fovea itself only ever replaces files by rename, which leaves mappings of the old one whole.
 * The trap: data is on the disk only after fsync of the file and, for its name, of the folder. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifdef FV_STRESS
#define WRITE_MAX ((size_t)7) /* short writes and reads all the time */
#define READ_CHUNK ((size_t)5)
#else
#define WRITE_MAX ((size_t)1 << 30) /* Linux and macOS refuse or cut a single call near 2 GiB */
#define READ_CHUNK ((size_t)1 << 16)
#endif

/* ---- Errors of the system in plain words -------------------------------------------------- */

static const char *what_to_do(int code)
{
    switch (code) {
    case ENOENT: return "; check the path";
    case EACCES: case EPERM: return "; check who may use it";
    case EROFS: return "; choose a place that can be written";
    case ENOSPC: case EDQUOT: return "; free some space";
    case EMFILE: case ENFILE: return "; raise the limit of open files (ulimit -n)";
    case EFBIG: return "; raise the limit of file size (ulimit -f)";
    case ENAMETOOLONG: return "; choose a shorter path";
    default: return "";
    }
}

/* "x: cannot be WRITTEN: No space left on device; free some space", from errno. strerror is safe
 * among threads for the codes that exist (glibc 2.32, musl, macOS). */
static fv_status io_fail(const char *path, const char *done, fv_err *err)
{
    int code = errno;
    return FV_FAIL(err, FV_E_IO, "%s: cannot be %s: %s%s", path, done, strerror(code), what_to_do(code));
}

static const char *kind_name(mode_t mode)
{
    if (S_ISDIR(mode)) return "a folder";
    if (S_ISFIFO(mode)) return "a pipe";
    if (S_ISSOCK(mode)) return "a socket";
    if (S_ISREG(mode)) return "a file";
    return "a device";
}

static fv_status expect_file(const char *path, mode_t mode, fv_err *err)
{
    if (S_ISREG(mode)) return FV_OK;
    return FV_FAIL(err, FV_E_IO, "%s: is %s; expected a file", path, kind_name(mode));
}

/* ---- Descriptors -------------------------------------------------------------------------- */

/* Like open, but never 0, so that a {0} appender or lock is a closed one. Does not wait for the
 * other end of a pipe: expect_file refuses it later. */
static int open_fd(const char *path, int flags)
{
    int fd;
    do fd = open(path, flags | O_CLOEXEC | O_NONBLOCK, 0666);
    while (fd < 0 && errno == EINTR);
    if (fd != 0) return fd;
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    close(fd);
    return moved;
}

/* Opens a regular file and nothing else. `*size` is its length. */
static fv_status open_file(const char *path, int flags, int *fd, uint64_t *size, fv_err *err)
{
    struct stat st;
    *fd = open_fd(path, flags);
    if (*fd < 0) {
        int code = errno;
        if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) return expect_file(path, st.st_mode, err);
        errno = code;
        return io_fail(path, "opened", err);
    }
    fv_status status = fstat(*fd, &st) == 0 ? expect_file(path, st.st_mode, err) : io_fail(path, "opened", err);
    if (status != FV_OK) close(*fd);
    *size = status == FV_OK ? (uint64_t)st.st_size : 0;
    return status;
}

static ssize_t read_some(int fd, void *to, size_t n)
{
    ssize_t got;
    do got = read(fd, to, n);
    while (got < 0 && errno == EINTR);
    return got;
}

static atomic_int_fast64_t fail_after = -1, write_steps;

void fv_write_fail_after(int64_t n) { atomic_store(&fail_after, n); }
int64_t fv_write_count(void) { return atomic_load(&write_steps); }

/* Every step that may meet a full disk asks here first, so that tests can fill it. */
static bool disk_is_full(void)
{
    atomic_fetch_add_explicit(&write_steps, 1, memory_order_relaxed);
    if (atomic_load_explicit(&fail_after, memory_order_relaxed) < 0) return false;
    bool full = atomic_fetch_sub(&fail_after, 1) == 0;
    if (full) errno = ENOSPC;
    return full;
}

static bool write_all(int fd, const char *bytes, size_t n)
{
    if (disk_is_full()) return false;
    while (n > 0) {
        ssize_t put = write(fd, bytes, n < WRITE_MAX ? n : WRITE_MAX);
        if (put < 0 && errno == EINTR) continue;
        if (put == 0) errno = ENOSPC;
        if (put <= 0) return false;
        bytes += put;
        n -= (size_t)put;
    }
    return true;
}

static bool sync_fd(int fd)
{
    if (disk_is_full()) return false;
    int failed;
    do failed = fsync(fd);
    while (failed && errno == EINTR);
    return !failed;
}

/* ---- Reading ------------------------------------------------------------------------------ */

fv_status fv_file_map(const char *path, fv_mapping *out, fv_err *err)
{
    int fd;
    uint64_t size;
    *out = (fv_mapping){0};
    fv_status status = open_file(path, O_RDONLY, &fd, &size, err);
    if (status != FV_OK) return status;
    if (size > 0) {
        void *data = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) status = io_fail(path, "mapped into memory", err);
        else *out = (fv_mapping){.data = data, .size = (size_t)size};
    }
    close(fd);
    return status;
}

void fv_file_rest(const fv_mapping *mapping)
{
    if (mapping->data) madvise((void *)(uintptr_t)mapping->data, mapping->size, MADV_DONTNEED);
}

void fv_file_unmap(fv_mapping *mapping)
{
    if (mapping->data) munmap((void *)(uintptr_t)mapping->data, mapping->size);
    *mapping = (fv_mapping){0};
}

static fv_status too_long(const char *path, size_t max, fv_err *err)
{
    return FV_FAIL(err, FV_E_INPUT, "%s: has more than %zu bytes; expected at most that", path, max);
}

/* Reads on to the end rather than to `size`, which is 0 in /proc and old if the file grows. */
static fv_status read_to_end(int fd, const char *path, uint64_t size, size_t max, fv_buf *buf, fv_err *err)
{
    size_t more = (size_t)size + 1; /* one beyond shows that the end was met */
    for (;; more = READ_CHUNK) {
        fv_status status = fv_buf_reserve(buf, more, err);
        if (status != FV_OK) return status;
        ssize_t got = read_some(fd, buf->data + buf->len, buf->capacity - buf->len - 1);
        if (got < 0) return io_fail(path, "read", err);
        buf->len += (size_t)got;
        buf->data[buf->len] = 0;
        if (buf->len > max) return too_long(path, max, err);
        if (got == 0) return FV_OK;
    }
}

fv_status fv_file_read(const char *path, size_t max, fv_buf *buf, fv_err *err)
{
    int fd;
    uint64_t size;
    buf->len = 0;
    fv_status status = open_file(path, O_RDONLY, &fd, &size, err);
    if (status != FV_OK) return status;
    status = size > max ? too_long(path, max, err) : read_to_end(fd, path, size, max, buf, err);
    close(fd);
    return status;
}

fv_status fv_sha256_file(const char *path, char hex[65], fv_err *err)
{
    int fd;
    uint64_t size;
    fv_status status = open_file(path, O_RDONLY, &fd, &size, err);
    if (status != FV_OK) return status;
    char chunk[READ_CHUNK];
    ssize_t got;
    fv_sha256 sha;
    fv_sha256_init(&sha);
    while ((got = read_some(fd, chunk, sizeof chunk)) > 0) fv_sha256_add(&sha, chunk, (size_t)got);
    if (got < 0) status = io_fail(path, "read", err);
    else fv_sha256_end(&sha, hex);
    close(fd);
    return status;
}

/* ---- Names and folders -------------------------------------------------------------------- */

bool fv_file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool fv_folder_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

enum { TOLD = 4, NAME_BYTES = 256 }; /* names that are told, the first by their bytes */

static void keep_name(char names[TOLD][NAME_BYTES], size_t n, const char *name)
{
    size_t at = n < TOLD ? n : TOLD;
    for (; at > 0 && strcmp(name, names[at - 1]) < 0; at--)
        if (at < TOLD) memcpy(names[at], names[at - 1], NAME_BYTES);
    if (at < TOLD) snprintf(names[at], NAME_BYTES, "%s", name);
}

const char *fv_folder_holds(fv_holds *room, const char *path)
{
    char names[TOLD][NAME_BYTES], *out = room->text, *end = room->text + sizeof room->text;
    size_t n = 0;
    DIR *dir = opendir(path);
    if (!dir) return snprintf(out, sizeof room->text, "it cannot be read: %s", strerror(errno)), out;
    for (struct dirent *entry; (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) keep_name(names, n++, entry->d_name);
    closedir(dir);
    if (n == 0) return snprintf(out, sizeof room->text, "it is empty"), out;
    for (size_t i = 0; i < n && i < TOLD && out < end; i++) {
        fv_shown shown;
        out += snprintf(out, (size_t)(end - out), "%s%s", i ? ", " : "it holds ", fv_show(&shown, names[i], strlen(names[i])));
    }
    if (n > TOLD && out < end) snprintf(out, (size_t)(end - out), " and %zu more", n - TOLD);
    return room->text;
}

static fv_status make_one_folder(const char *path, fv_err *err)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        if (mkdir(path, 0777) == 0) return FV_OK;
        int code = errno; /* what mkdir said; stat says something else */
        bool there_now = code == EEXIST && stat(path, &st) == 0; /* another program was faster */
        errno = code;
        if (!there_now) return io_fail(path, "made", err);
    }
    if (S_ISDIR(st.st_mode)) return FV_OK;
    return FV_FAIL(err, FV_E_IO, "%s: is %s; expected a folder", path, kind_name(st.st_mode));
}

fv_status fv_folder_make_new(const char *path, size_t *stood, fv_err *err)
{
    *stood = 0;
    if (!*path) return FV_FAIL(err, FV_E_ARGUMENT, "the name of a folder is empty; expected a path");
    char part[FV_PATH_MAX];
    bool stands = true;
    fv_status status = fv_path_join(part, path, "", err);
    for (char *p = part + 1; status == FV_OK && *p; p++) {
        if (*p != '/') continue;
        *p = 0;
        stands = stands && fv_folder_exists(part);
        if (stands) *stood = (size_t)(p - part);
        status = make_one_folder(part, err);
        *p = '/';
    }
    return status;
}

fv_status fv_folder_make(const char *path, fv_err *err)
{
    size_t stood;
    return fv_folder_make_new(path, &stood, err);
}

void fv_folder_unmake(const char *path, size_t stood)
{
    char part[FV_PATH_MAX];
    if (fv_path_join(part, path, "", NULL) != FV_OK) return;
    for (size_t n = strlen(part); n-- > stood + 1;) {
        if (part[n] != '/') continue;
        part[n] = 0;
        rmdir(part); /* fails where something lies in it or it was never made, which is as it should be */
    }
}

fv_status fv_file_remove(const char *path, fv_err *err)
{
    if (fv_folder_exists(path)) return expect_file(path, S_IFDIR, err);
    if (unlink(path) == 0 || errno == ENOENT) return FV_OK;
    return io_fail(path, "removed", err);
}

fv_status fv_path_join(char out[FV_PATH_MAX], const char *dir, const char *name, fv_err *err)
{
    size_t len = strlen(dir);
    const char *between = len == 0 || dir[len - 1] == '/' ? "" : "/";
    int n = snprintf(out, FV_PATH_MAX, "%s%s%s", dir, between, name);
    if (n >= 0 && n < FV_PATH_MAX) return FV_OK;
    fv_shown shown;
    return FV_FAIL(err, FV_E_ARGUMENT, "a path is too long; expected less than %d bytes: %s", FV_PATH_MAX, fv_show(&shown, dir, len));
}

/* ---- Replacing a file --------------------------------------------------------------------- */

struct fv_writer {
    int fd;
    bool broken; /* a write failed: the temporary file must never get the name */
    char *path, *temp;
};

static void free_writer(fv_writer *writer)
{
    fv_free(writer->path);
    fv_free(writer->temp);
    fv_free(writer);
}

static fv_writer *new_writer(const char *path, fv_err *err)
{
    fv_writer *writer = fv_alloc_zero(1, sizeof *writer, err);
    if (!writer) return NULL;
    fv_buf temp = {0};
    writer->path = fv_strdup(path, err);
    fv_status status = fv_buf_printf(&temp, err, "%s.tmp-%ld", path, (long)getpid());
    writer->temp = temp.data;
    if (writer->path && status == FV_OK) return writer;
    free_writer(writer);
    return NULL;
}

/* What a killed process of the same number left is removed first, so that O_EXCL can promise that
 * nobody's link is followed. */
static fv_status open_temp(fv_writer *writer, fv_err *err)
{
    unlink(writer->temp);
    writer->fd = disk_is_full() ? -1 : open_fd(writer->temp, O_WRONLY | O_CREAT | O_EXCL);
    return writer->fd < 0 ? io_fail(writer->path, "written", err) : FV_OK;
}

/* A private file stays private: the new one gets the old one's permissions. File systems without
 * permissions refuse that, and lose nothing by it. */
static void copy_mode(fv_writer *writer, const struct stat *old)
{
    (void)fchmod(writer->fd, old->st_mode & 07777);
}

fv_writer *fv_writer_open(const char *path, fv_err *err)
{
    struct stat old;
    bool replaces = stat(path, &old) == 0;
    if (replaces && expect_file(path, old.st_mode, err) != FV_OK) return NULL;
    fv_writer *writer = new_writer(path, err);
    if (!writer) return NULL;
    if (open_temp(writer, err) != FV_OK) {
        free_writer(writer);
        return NULL;
    }
    if (replaces) copy_mode(writer, &old);
    return writer;
}

fv_status fv_writer_write(fv_writer *writer, const void *bytes, size_t n, fv_err *err)
{
    if (write_all(writer->fd, bytes, n)) return FV_OK;
    writer->broken = true;
    return io_fail(writer->path, "written", err);
}

fv_status fv_writer_write_head(fv_writer *writer, const void *bytes, size_t n, fv_err *err)
{
    if (lseek(writer->fd, 0, SEEK_SET) == 0 && write_all(writer->fd, bytes, n) && lseek(writer->fd, 0, SEEK_END) >= (off_t)n) return FV_OK;
    writer->broken = true;
    return io_fail(writer->path, "written", err);
}

/* The rename is done: old or new, the file is whole. A folder that cannot be synced (as on some
 * network file systems) is therefore no failure; only a power cut could still bring the old one back. */
static void sync_folder_of(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash) slash[slash == path] = 0;
    int fd = open_fd(slash ? path : ".", O_RDONLY | O_DIRECTORY);
    if (fd < 0) return;
    fsync(fd);
    close(fd);
}

fv_status fv_writer_commit(fv_writer *writer, fv_err *err)
{
    fv_status status = FV_OK;
    if (writer->broken) status = FV_FAIL(err, FV_E_IO, "%s: kept as it was, because a write before failed", writer->path);
    else if (!sync_fd(writer->fd)) status = io_fail(writer->path, "written", err);
    else if (disk_is_full() || rename(writer->temp, writer->path) != 0) status = io_fail(writer->path, "replaced", err);
    if (status != FV_OK) {
        fv_writer_abort(writer);
        return status;
    }
    close(writer->fd);
    sync_folder_of(writer->path);
    free_writer(writer);
    return FV_OK;
}

void fv_writer_abort(fv_writer *writer)
{
    if (!writer) return;
    close(writer->fd);
    unlink(writer->temp);
    free_writer(writer);
}

fv_status fv_file_write(const char *path, const void *bytes, size_t n, fv_err *err)
{
    fv_writer *writer = fv_writer_open(path, err);
    if (!writer) return err ? err->status : FV_E_IO;
    fv_status status = fv_writer_write(writer, bytes, n, err);
    if (status == FV_OK) return fv_writer_commit(writer, err);
    fv_writer_abort(writer);
    return status;
}

/* ---- Appending ---------------------------------------------------------------------------- */

/* A shorter file than asked for stays as it is: after a power cut a log may lack its last lines. */
fv_status fv_appender_open(fv_appender *appender, const char *path, uint64_t keep_bytes, fv_err *err)
{
    int fd;
    uint64_t size;
    *appender = (fv_appender){0};
    fv_status status = open_file(path, O_WRONLY | O_CREAT | O_APPEND, &fd, &size, err);
    if (status != FV_OK) return status;
    if (size > keep_bytes && ftruncate(fd, (off_t)keep_bytes) != 0) {
        status = io_fail(path, "cut", err);
        close(fd);
        return status;
    }
    appender->fd = fd;
    return FV_OK;
}

fv_status fv_appender_add(fv_appender *appender, const void *bytes, size_t n, fv_err *err)
{
    uint64_t before = fv_appender_size(appender);
    if (write_all(appender->fd, bytes, n)) return FV_OK;
    fv_status status = io_fail("the log", "written", err);
    if (ftruncate(appender->fd, (off_t)before) != 0) fv_err_prefix(err, "its last line is cut, and must be removed by hand");
    return status;
}

uint64_t fv_appender_size(const fv_appender *appender)
{
    struct stat st;
    return fstat(appender->fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

void fv_appender_close(fv_appender *appender)
{
    if (appender->fd > 0) close(appender->fd);
    *appender = (fv_appender){0};
}

/* ---- Locks -------------------------------------------------------------------------------- */

/* A holder may remove its file: who had that open meanwhile holds a lock on something that nobody else will find. */
static bool still_named(int fd, const char *path)
{
    struct stat held, named;
    return fstat(fd, &held) == 0 && stat(path, &named) == 0 && held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

fv_status fv_lock_take(fv_lock *lock, const char *path, fv_err *err)
{
    int fd, failed;
    uint64_t size;
    *lock = (fv_lock){0};
    for (;;) {
        fv_status status = open_file(path, O_RDWR | O_CREAT, &fd, &size, err);
        if (status != FV_OK) return status;
        do failed = flock(fd, LOCK_EX | LOCK_NB);
        while (failed && errno == EINTR);
        if (failed) break;
        if (still_named(fd, path)) return lock->fd = fd, FV_OK;
        close(fd);
    }
    fv_status status = errno == EWOULDBLOCK ? FV_FAIL(err, FV_E_BUSY, "%s: is held by another program; wait for it to end or choose another folder", path) : io_fail(path, "locked", err);
    close(fd);
    return status;
}

void fv_lock_drop(fv_lock *lock)
{
    if (lock->fd > 0) close(lock->fd);
    *lock = (fv_lock){0};
}

/* While it is held: afterwards the file may be another's. */
void fv_lock_remove(fv_lock *lock, const char *path)
{
    if (lock->fd > 0) unlink(path);
    fv_lock_drop(lock);
}

double fv_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
