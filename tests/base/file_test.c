/* Files: what is read, what is refused, and that a failure at any step leaves the old file whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "formats/scratch.h"

static int64_t live_before;
static int files_before;
static fv_err err;

static int open_files(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++) n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static int remember(void **state)
{
    (void)state;
    live_before = fv_alloc_live();
    files_before = open_files();
    err = (fv_err){0};
    return 0;
}

static int nothing_leaked(void **state)
{
    (void)state;
    fv_alloc_fail_after(-1);
    fv_write_fail_after(-1);
    return fv_alloc_live() == live_before && open_files() == files_before ? 0 : -1;
}

static void put(const char *path, const char *text)
{
    FILE *to = fopen(path, "w");
    assert_non_null(to);
    fputs(text, to);
    fclose(to);
}

static void holds(const char *path, const char *text)
{
    fv_buf buf = {0};
    assert_int_equal(fv_file_read(path, 1 << 20, &buf, &err), FV_OK);
    assert_string_equal(buf.data, text);
    fv_buf_release(&buf);
}

static void says(const char *part)
{
    if (!strstr(err.text, part)) fail_msg("\"%s\" does not say \"%s\"", err.text, part);
}

/* How many entries of the scratch folder have `part` in their names. */
static int count_named(const char *part)
{
    int n = 0;
    DIR *dir = opendir(scratch_folder());
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) n += strstr(e->d_name, part) != NULL;
    closedir(dir);
    return n;
}

/* ---- Reading ------------------------------------------------------------------------------ */

static void reads_whole_files(void **state)
{
    (void)state;
    const char *path = scratch_path("whole");
    fv_buf buf = {0};
    put(path, "first, and longer");
    assert_int_equal(fv_file_read(path, 100, &buf, &err), FV_OK);
    put(path, "second");
    assert_int_equal(fv_file_read(path, 6, &buf, &err), FV_OK);
    assert_string_equal(buf.data, "second");
    assert_int_equal(buf.len, 6);
    put(path, "");
    assert_int_equal(fv_file_read(path, 0, &buf, &err), FV_OK);
    assert_string_equal(buf.data, "");
    fv_buf_release(&buf);
}

static void reads_files_that_hide_their_size(void **state)
{
    (void)state;
    fv_buf buf = {0};
    if (access("/proc/self/status", R_OK) != 0) skip();
    assert_int_equal(fv_file_read("/proc/self/status", 1 << 20, &buf, &err), FV_OK);
    assert_true(buf.len > 10);
    assert_int_equal(fv_file_read("/proc/self/status", 10, &buf, &err), FV_E_INPUT);
    fv_buf_release(&buf);
}

static void refuses_more_than_asked(void **state)
{
    (void)state;
    fv_buf buf = {0};
    put(scratch_path("long"), "0123456789");
    assert_int_equal(fv_file_read(scratch_path("long"), 9, &buf, &err), FV_E_INPUT);
    says("long: has more than 9 bytes; expected at most that");
    fv_buf_release(&buf);
}

static void maps_files(void **state)
{
    (void)state;
    fv_mapping mapping;
    put(scratch_path("mapped"), "bytes");
    assert_int_equal(fv_file_map(scratch_path("mapped"), &mapping, &err), FV_OK);
    assert_int_equal(mapping.size, 5);
    assert_memory_equal(mapping.data, "bytes", 5);
    assert_int_equal(fv_file_write(scratch_path("mapped"), "other", 5, &err), FV_OK);
    assert_memory_equal(mapping.data, "bytes", 5); /* replacing a file leaves mappings of the old one whole */
    fv_file_unmap(&mapping);
    fv_file_unmap(&mapping);
    put(scratch_path("mapped"), "");
    assert_int_equal(fv_file_map(scratch_path("mapped"), &mapping, &err), FV_OK);
    assert_null(mapping.data);
    assert_int_equal(mapping.size, 0);
    fv_file_unmap(&mapping);
}

/* Every way of opening `path` must fail at once (a pipe without a writer too) and say `part`. */
static void refused_by_all(const char *path, const char *part)
{
    fv_mapping mapping;
    fv_buf buf = {0};
    fv_appender appender;
    fv_lock lock;
    char hex[65];
    fv_status got[] = {
        fv_file_map(path, &mapping, &err), fv_file_read(path, 10, &buf, &err), fv_sha256_file(path, hex, &err),
        fv_appender_open(&appender, path, 0, &err), fv_lock_take(&lock, path, &err), fv_file_write(path, "x", 1, &err),
    };
    for (size_t i = 0; i < FV_COUNT(got); i++) assert_int_equal(got[i], FV_E_IO);
    says(part);
    fv_buf_release(&buf);
}

static void refuses_what_is_no_file(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(scratch_path("pipe"), 0666), 0);
    refused_by_all(scratch_folder(), "is a folder; expected a file");
    refused_by_all(scratch_path("pipe"), "pipe: is a pipe; expected a file");
    refused_by_all("/dev/null", "/dev/null: is a device; expected a file");
    struct stat st;
    assert_int_equal(stat(scratch_path("pipe"), &st), 0);
    assert_true(S_ISFIFO(st.st_mode));
}

static void says_what_is_missing(void **state)
{
    (void)state;
    fv_buf buf = {0};
    assert_int_equal(fv_file_read(scratch_path("missing"), 10, &buf, &err), FV_E_IO);
    says("missing: cannot be opened: No such file or directory; check the path");
    assert_int_equal(fv_file_write(scratch_path("no/such/folder"), "", 0, &err), FV_E_IO);
    says("folder: cannot be written: No such file or directory");
}

/* ---- Names and folders -------------------------------------------------------------------- */

static void tells_files_from_folders(void **state)
{
    (void)state;
    put(scratch_path("f"), "");
    assert_true(fv_file_exists(scratch_path("f")));
    assert_false(fv_folder_exists(scratch_path("f")));
    assert_true(fv_folder_exists(scratch_folder()));
    assert_false(fv_file_exists(scratch_folder()));
    assert_false(fv_file_exists(scratch_path("missing")));
    assert_false(fv_folder_exists(scratch_path("missing")));
}

static void makes_folders_with_their_parents(void **state)
{
    (void)state;
    assert_int_equal(fv_folder_make(scratch_path("a/b//c/"), &err), FV_OK);
    assert_true(fv_folder_exists(scratch_path("a/b/c")));
    assert_int_equal(fv_folder_make(scratch_path("a/b/c"), &err), FV_OK);
    assert_int_equal(fv_folder_make("/", &err), FV_OK);
    assert_int_equal(fv_folder_make(".", &err), FV_OK);
    put(scratch_path("a/file"), "kept");
    assert_int_equal(fv_folder_make(scratch_path("a/file"), &err), FV_E_IO);
    says("a/file: is a file; expected a folder");
    assert_int_equal(fv_folder_make(scratch_path("a/file/b"), &err), FV_E_IO);
    assert_int_equal(fv_folder_make("", &err), FV_E_ARGUMENT);
    holds(scratch_path("a/file"), "kept");
}

static void removes_files_only(void **state)
{
    (void)state;
    put(scratch_path("gone"), "");
    assert_int_equal(fv_file_remove(scratch_path("gone"), &err), FV_OK);
    assert_false(fv_file_exists(scratch_path("gone")));
    assert_int_equal(fv_file_remove(scratch_path("gone"), &err), FV_OK);
    assert_int_equal(fv_file_remove(scratch_folder(), &err), FV_E_IO);
    says("is a folder; expected a file");
}

static void joins_paths(void **state)
{
    (void)state;
    char path[FV_PATH_MAX], longest[FV_PATH_MAX];
    assert_int_equal(fv_path_join(path, "a", "b", &err), FV_OK);
    assert_string_equal(path, "a/b");
    assert_int_equal(fv_path_join(path, "a/", "b", &err), FV_OK);
    assert_string_equal(path, "a/b");
    assert_int_equal(fv_path_join(path, "", "b", &err), FV_OK);
    assert_string_equal(path, "b");
    memset(longest, 'x', sizeof longest);
    longest[FV_PATH_MAX - 3] = 0;
    assert_int_equal(fv_path_join(path, longest, "b", &err), FV_OK);
    assert_int_equal(fv_path_join(path, longest, "bc", &err), FV_E_ARGUMENT);
    says("path is too long");
}

/* ---- Replacing ---------------------------------------------------------------------------- */

static fv_status write_in_pieces(const char *path)
{
    fv_writer *writer = fv_writer_open(path, &err);
    if (!writer) return err.status;
    for (const char *p = "new"; *p; p++) {
        fv_status status = fv_writer_write(writer, p, 1, &err);
        if (status == FV_OK) continue;
        fv_writer_abort(writer);
        return status;
    }
    return fv_writer_commit(writer, &err);
}

static void the_old_file_stays_until_commit(void **state)
{
    (void)state;
    const char *path = scratch_path("kept");
    put(path, "old");
    fv_writer *writer = fv_writer_open(path, &err);
    assert_int_equal(fv_writer_write(writer, "new", 3, &err), FV_OK);
    holds(path, "old");
    fv_writer_abort(writer);
    holds(path, "old");
    writer = fv_writer_open(path, &err);
    assert_int_equal(fv_writer_write(writer, "new", 3, &err), FV_OK);
    assert_int_equal(fv_writer_commit(writer, &err), FV_OK);
    holds(path, "new");
    fv_writer_abort(NULL);
    assert_int_equal(count_named(".tmp-"), 0);
}

static void a_head_is_written_last(void **state)
{
    (void)state;
    const char *path = scratch_path("counted");
    fv_writer *writer = fv_writer_open(path, &err);
    assert_int_equal(fv_writer_write(writer, "00 lines: ", 10, &err), FV_OK);
    assert_int_equal(fv_writer_write_head(writer, "12", 2, &err), FV_OK);
    assert_int_equal(fv_writer_write(writer, "a b", 3, &err), FV_OK);
    assert_int_equal(fv_writer_commit(writer, &err), FV_OK);
    holds(path, "12 lines: a b");
    writer = fv_writer_open(path, &err);
    fv_write_fail_after(0);
    assert_int_equal(fv_writer_write_head(writer, "13", 2, &err), FV_E_IO);
    assert_int_equal(fv_writer_commit(writer, &err), FV_E_IO);
    holds(path, "12 lines: a b");
}

static void a_full_disk_at_any_step_keeps_the_old_file(void **state)
{
    (void)state;
    const char *path = scratch_path("full");
    int64_t failures = 0;
    for (;; failures++) {
        put(path, "old");
        fv_write_fail_after(failures);
        fv_status status = write_in_pieces(path);
        fv_write_fail_after(-1);
        assert_int_equal(count_named(".tmp-"), 0);
        if (status == FV_OK) break;
        assert_int_equal(status, FV_E_IO);
        says("full: cannot be ");
        says("No space left on device; free some space");
        holds(path, "old");
    }
    holds(path, "new");
    assert_int_equal(failures, 6); /* create, three writes, sync, rename */
}

static void no_memory_at_any_step_keeps_the_old_file(void **state)
{
    (void)state;
    const char *path = scratch_path("poor");
    int64_t failures = 0;
    for (;; failures++) {
        put(path, "old");
        fv_alloc_fail_after(failures);
        fv_status status = fv_file_write(path, "new", 3, &err);
        fv_alloc_fail_after(-1);
        assert_int_equal(count_named(".tmp-"), 0);
        if (status == FV_OK) break;
        assert_int_equal(status, FV_E_MEMORY);
        holds(path, "old");
    }
    holds(path, "new");
    assert_true(failures >= 3);
}

static void a_writer_that_failed_cannot_be_committed(void **state)
{
    (void)state;
    const char *path = scratch_path("broken");
    put(path, "old");
    fv_writer *writer = fv_writer_open(path, &err);
    fv_write_fail_after(0);
    assert_int_equal(fv_writer_write(writer, "n", 1, &err), FV_E_IO);
    assert_int_equal(fv_writer_write(writer, "ew", 2, &err), FV_OK);
    assert_int_equal(fv_writer_commit(writer, &err), FV_E_IO);
    says("kept as it was");
    holds(path, "old");
    assert_int_equal(count_named(".tmp-"), 0);
}

/* The limit of file size makes a real short write: half of the bytes go in, the next call fails. */
static void a_short_write_is_a_failure(void **state)
{
    (void)state;
    const char *path = scratch_path("short");
    put(path, "old");
    int status;
    pid_t child = fork();
    if (child == 0) {
        char bytes[1000] = {0};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){500, 500});
        _exit(fv_file_write(path, bytes, sizeof bytes, &err) == FV_E_IO && strstr(err.text, "raise the limit") ? 0 : 1);
    }
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    holds(path, "old");
    assert_int_equal(count_named(".tmp-"), 0);
}

static void a_left_over_file_is_overwritten_and_no_link_followed(void **state)
{
    (void)state;
    char name[64];
    snprintf(name, sizeof name, "again.tmp-%ld", (long)getpid());
    const char *path = scratch_path("again"), *temp = scratch_path(name), *victim = scratch_path("victim");
    put(temp, "left over, and longer than what comes now");
    assert_int_equal(fv_file_write(path, "now", 3, &err), FV_OK);
    holds(path, "now");
    put(victim, "untouched");
    assert_int_equal(symlink(victim, temp), 0);
    assert_int_equal(fv_file_write(path, "then", 4, &err), FV_OK);
    holds(path, "then");
    holds(victim, "untouched");
    assert_int_equal(count_named(".tmp-"), 0);
}

static void permissions_are_kept(void **state)
{
    (void)state;
    struct stat st;
    const char *path = scratch_path("private");
    put(path, "old");
    chmod(path, 0600);
    assert_int_equal(fv_file_write(path, "new", 3, &err), FV_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void a_read_only_folder_is_left_alone(void **state)
{
    (void)state;
    char path[FV_PATH_MAX];
    assert_int_equal(fv_folder_make(scratch_path("locked"), &err), FV_OK);
    fv_path_join(path, scratch_path("locked"), "file", &err);
    put(path, "old");
    chmod(scratch_path("locked"), 0500);
    bool ours = access(scratch_path("locked"), W_OK) == 0; /* root may write anywhere */
    fv_status status = ours ? FV_E_IO : fv_file_write(path, "new", 3, &err);
    chmod(scratch_path("locked"), 0700);
    holds(path, "old");
    if (ours) skip();
    assert_int_equal(status, FV_E_IO);
    says("Permission denied; check who may use it");
}

static void large_files_go_through(void **state)
{
    (void)state;
    size_t n = 3 << 20;
    char *bytes = fv_alloc(n, &err);
    for (size_t i = 0; i < n; i++) bytes[i] = (char)(i * 7919 >> 5);
    assert_int_equal(fv_file_write(scratch_path("large"), bytes, n, &err), FV_OK);
    fv_buf back = {0};
    assert_int_equal(fv_file_read(scratch_path("large"), n, &back, &err), FV_OK);
    assert_int_equal(back.len, n);
    assert_memory_equal(back.data, bytes, n);
    fv_buf_release(&back);
    fv_free(bytes);
}

/* ---- Appending ---------------------------------------------------------------------------- */

static void a_log_grows_and_is_cut(void **state)
{
    (void)state;
    const char *path = scratch_path("log");
    fv_appender log;
    assert_int_equal(fv_appender_open(&log, path, 0, &err), FV_OK);
    assert_int_equal(fv_appender_add(&log, "one\n", 4, &err), FV_OK);
    assert_int_equal(fv_appender_add(&log, "two\n", 4, &err), FV_OK);
    assert_int_equal(fv_appender_size(&log), 8);
    fv_appender_close(&log);
    fv_appender_close(&log);
    assert_int_equal(fv_appender_open(&log, path, 4, &err), FV_OK);
    assert_int_equal(fv_appender_add(&log, "2\n", 2, &err), FV_OK);
    fv_appender_close(&log);
    holds(path, "one\n2\n");
    assert_int_equal(fv_appender_open(&log, path, 1000, &err), FV_OK); /* shorter than asked: stays */
    assert_int_equal(fv_appender_size(&log), 6);
    fv_appender_close(&log);
}

static void a_failed_line_is_taken_back(void **state)
{
    (void)state;
    const char *path = scratch_path("full log");
    fv_appender log;
    assert_int_equal(fv_appender_open(&log, path, 0, &err), FV_OK);
    fv_appender_add(&log, "one\n", 4, &err);
    fv_write_fail_after(0);
    assert_int_equal(fv_appender_add(&log, "two\n", 4, &err), FV_E_IO);
    says("No space left");
    assert_int_equal(fv_appender_add(&log, "three\n", 6, &err), FV_OK);
    fv_appender_close(&log);
    holds(path, "one\nthree\n");
}

static void half_a_line_is_taken_back(void **state)
{
    (void)state;
    const char *path = scratch_path("half log");
    int status;
    pid_t child = fork();
    if (child == 0) {
        char bytes[100] = {0};
        fv_appender log;
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){50, 50});
        bool right = fv_appender_open(&log, path, 0, &err) == FV_OK && fv_appender_add(&log, "one\n", 4, &err) == FV_OK
            && fv_appender_add(&log, bytes, sizeof bytes, &err) == FV_E_IO && fv_appender_size(&log) == 4;
        _exit(right ? 0 : 1);
    }
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    holds(path, "one\n");
}

/* ---- Locks -------------------------------------------------------------------------------- */

/* What another process gets when it tries: 0, or the status made positive. */
static int tried_by_another(const char *path)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        fv_lock lock;
        _exit(-fv_lock_take(&lock, path, &err));
    }
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_lock_keeps_others_out(void **state)
{
    (void)state;
    const char *path = scratch_path("lock");
    fv_lock lock, second;
    assert_int_equal(fv_lock_take(&lock, path, &err), FV_OK);
    assert_int_equal(tried_by_another(path), -FV_E_BUSY);
    assert_int_equal(fv_lock_take(&second, path, &err), FV_E_BUSY);
    says("lock: is held by another program; wait for it to end or choose another folder");
    fv_lock_drop(&second);
    assert_int_equal(tried_by_another(path), -FV_E_BUSY);
    fv_lock_drop(&lock);
    fv_lock_drop(&lock);
    assert_int_equal(tried_by_another(path), 0);
}

static void a_lock_goes_with_its_file(void **state)
{
    (void)state;
    const char *path = scratch_path("passing");
    fv_lock lock, second = {0};
    assert_int_equal(fv_lock_take(&lock, path, &err), FV_OK);
    assert_int_equal(fv_lock_take(&second, path, &err), FV_E_BUSY);
    fv_lock_remove(&second, path); /* holds nothing, and so takes nothing away */
    assert_true(fv_file_exists(path));
    fv_lock_remove(&lock, path);
    assert_false(fv_file_exists(path));
    assert_int_equal(fv_lock_take(&lock, path, &err), FV_OK);
    fv_lock_remove(&lock, path);
}

static void folders_are_taken_back(void **state)
{
    (void)state;
    size_t stood;
    const char *top = scratch_path("unmade");
    char inner[FV_PATH_MAX], deep[FV_PATH_MAX], blocked[FV_PATH_MAX];
    assert_int_equal(fv_path_join(inner, top, "a//b", &err), FV_OK);
    assert_int_equal(fv_path_join(deep, inner, "c/", &err), FV_OK);
    assert_int_equal(fv_folder_make_new(inner, &stood, &err), FV_OK);
    assert_int_equal(stood, strlen(scratch_folder()));
    fv_folder_unmake(inner, stood);
    assert_false(fv_folder_exists(top));
    assert_true(fv_folder_exists(scratch_folder()));

    assert_int_equal(fv_folder_make(inner, &err), FV_OK);
    assert_int_equal(fv_folder_make_new(deep, &stood, &err), FV_OK);
    assert_int_equal(stood, strlen(inner));
    fv_folder_unmake(deep, stood);
    assert_true(fv_folder_exists(inner)); /* empty, but it was there */
    assert_int_equal(fv_folder_make_new(inner, &stood, &err), FV_OK);
    fv_folder_unmake(inner, stood);
    assert_true(fv_folder_exists(inner));

    assert_int_equal(fv_path_join(blocked, inner, "file", &err), FV_OK);
    assert_int_equal(fv_file_write(blocked, "x", 1, &err), FV_OK);
    fv_folder_unmake(inner, 0); /* holds something */
    assert_true(fv_file_exists(blocked));
    assert_int_equal(fv_path_join(deep, blocked, "under", &err), FV_OK);
    assert_int_equal(fv_folder_make_new(deep, &stood, &err), FV_E_IO);
    assert_int_equal(stood, strlen(inner));
}

static void a_lock_dies_with_its_holder(void **state)
{
    (void)state;
    const char *path = scratch_path("orphan");
    int ready[2], status;
    char byte = 0;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        fv_lock lock;
        byte = fv_lock_take(&lock, path, &err) == FV_OK;
        if (write(ready[1], &byte, 1) != 1) _exit(1);
        pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]), close(ready[1]);
    assert_int_equal(byte, 1);
    fv_lock lock;
    assert_int_equal(fv_lock_take(&lock, path, &err), FV_E_BUSY);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    assert_int_equal(fv_lock_take(&lock, path, &err), FV_OK);
    fv_lock_drop(&lock);
}

/* A zeroed lock or appender is a closed one: dropping it must not close the program's stdin. */
static void zeroed_handles_own_nothing(void **state)
{
    (void)state;
    int status;
    const char *path = scratch_path("zero");
    pid_t child = fork();
    if (child == 0) {
        fv_lock lock = {0};
        fv_appender log = {0};
        bool open_before = fcntl(0, F_GETFD) >= 0;
        fv_lock_drop(&lock);
        fv_appender_close(&log);
        bool right = (fcntl(0, F_GETFD) >= 0) == open_before;
        close(0); /* now the next descriptor would be 0 */
        right = right && fv_lock_take(&lock, path, &err) == FV_OK && lock.fd > 0;
        _exit(right ? 0 : 1);
    }
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
}

static void time_goes_on(void **state)
{
    (void)state;
    double before = fv_now();
    usleep(2000);
    double after = fv_now();
    assert_true(after - before > 0.0019 && after - before < 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, remember, nothing_leaked)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_whole_files),
        TEST(reads_files_that_hide_their_size),
        TEST(refuses_more_than_asked),
        TEST(maps_files),
        TEST(refuses_what_is_no_file),
        TEST(says_what_is_missing),
        TEST(tells_files_from_folders),
        TEST(makes_folders_with_their_parents),
        TEST(removes_files_only),
        TEST(joins_paths),
        TEST(the_old_file_stays_until_commit),
        TEST(a_head_is_written_last),
        TEST(a_full_disk_at_any_step_keeps_the_old_file),
        TEST(no_memory_at_any_step_keeps_the_old_file),
        TEST(a_writer_that_failed_cannot_be_committed),
        TEST(a_short_write_is_a_failure),
        TEST(a_left_over_file_is_overwritten_and_no_link_followed),
        TEST(permissions_are_kept),
        TEST(a_read_only_folder_is_left_alone),
        TEST(large_files_go_through),
        TEST(a_log_grows_and_is_cut),
        TEST(a_failed_line_is_taken_back),
        TEST(half_a_line_is_taken_back),
        TEST(a_lock_keeps_others_out),
        TEST(a_lock_goes_with_its_file),
        TEST(folders_are_taken_back),
        TEST(a_lock_dies_with_its_holder),
        TEST(zeroed_handles_own_nothing),
        TEST(time_goes_on),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
