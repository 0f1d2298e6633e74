/* Files: read whole, mapped, or written so that a crash or a full disk leaves the old one.
 *
 * A writer fills PATH.tmp-PID, syncs it, renames it over PATH and syncs the folder. Anything less
 * than fv_writer_commit leaves PATH as it was. Tests can make the nth write fail. */
#ifndef FV_BASE_FILE_H
#define FV_BASE_FILE_H

#include "base/str.h"

/* A read-only mapping. {0} is nothing. An empty file gives data = NULL, size = 0. Refuses folders and devices. */
typedef struct fv_mapping {
    const uint8_t *data;
    size_t size;
} fv_mapping;

fv_status fv_file_map(const char *path, fv_mapping *out, fv_err *err);
void fv_file_unmap(fv_mapping *mapping);
/* Gives the memory that reading it took back to the system; what is read again comes from the file again. */
void fv_file_rest(const fv_mapping *mapping);
/* Whole file into buf (replacing its content); more than `max` bytes is an error that says so. */
fv_status fv_file_read(const char *path, size_t max, fv_buf *buf, fv_err *err);
bool fv_file_exists(const char *path);
bool fv_folder_exists(const char *path);
/* For a message about what is not in a folder: "it is empty", "it holds a.txt, b and 12 more", or why it cannot be told. */
typedef struct fv_holds { char text[400]; } fv_holds;
const char *fv_folder_holds(fv_holds *room, const char *path);
/* Like mkdir -p. */
fv_status fv_folder_make(const char *path, fv_err *err);
/* The same, to be taken back: *stood is how many bytes of `path` named a folder before, whether this fails or not. */
fv_status fv_folder_make_new(const char *path, size_t *stood, fv_err *err);
/* Removes PATH and those above it that did not stand, as far as they are empty. */
void fv_folder_unmake(const char *path, size_t stood);
fv_status fv_file_remove(const char *path, fv_err *err); /* a missing file is fine */
/* DIR/NAME into a caller's buffer; error if it does not fit. */
#define FV_PATH_MAX 4096
fv_status fv_path_join(char out[FV_PATH_MAX], const char *dir, const char *name, fv_err *err);

typedef struct fv_writer fv_writer;
fv_writer *fv_writer_open(const char *path, fv_err *err);
fv_status fv_writer_write(fv_writer *writer, const void *bytes, size_t n, fv_err *err);
/* Writes over the file's first n bytes, which must be there: for a header that counts what follows. */
fv_status fv_writer_write_head(fv_writer *writer, const void *bytes, size_t n, fv_err *err);
/* Syncs, renames, frees the writer, whether it succeeds or not; on failure the old file stays. */
fv_status fv_writer_commit(fv_writer *writer, fv_err *err);
void fv_writer_abort(fv_writer *writer); /* removes the temporary file; NULL is fine */
/* The three calls above for bytes at hand. */
fv_status fv_file_write(const char *path, const void *bytes, size_t n, fv_err *err);
/* Tests: the step (create, write, sync, rename) after n more successful ones fails with ENOSPC, once (negative: never). */
void fv_write_fail_after(int64_t n);
int64_t fv_write_count(void); /* such steps since the start, failed ones included */

/* An append-only log: each fv_appender_add is one whole line; a line that does not fit on the disk is taken back.
 * {0} is a closed one. */
typedef struct fv_appender { int fd; } fv_appender;
fv_status fv_appender_open(fv_appender *appender, const char *path, uint64_t keep_bytes, fv_err *err); /* cuts the file to keep_bytes first */
fv_status fv_appender_add(fv_appender *appender, const void *bytes, size_t n, fv_err *err);
uint64_t fv_appender_size(const fv_appender *appender);
void fv_appender_close(fv_appender *appender);

/* An advisory lock on PATH (created if missing, kernel-released when the holder dies). FV_E_BUSY if held. {0} holds nothing. */
typedef struct fv_lock { int fd; } fv_lock;
fv_status fv_lock_take(fv_lock *lock, const char *path, fv_err *err);
void fv_lock_drop(fv_lock *lock); /* the file stays */
void fv_lock_remove(fv_lock *lock, const char *path); /* drops it and its file, which is the caller's if it holds the lock */

/* SHA-256 (FIPS 180-4), as 64 hex digits and a zero byte. */
typedef struct fv_sha256 { uint32_t state[8]; uint64_t bytes; uint8_t block[64]; } fv_sha256;
void fv_sha256_init(fv_sha256 *s);
void fv_sha256_add(fv_sha256 *s, const void *bytes, size_t n);
void fv_sha256_end(fv_sha256 *s, char hex[65]);
fv_status fv_sha256_file(const char *path, char hex[65], fv_err *err);

double fv_now(void); /* seconds, monotonic */

#endif
