/* A server under siege: SIEGE_CONNECTIONS of them (default 900; `run-tests hard` lays 10,000) that are silent, slow, broken or enormous, each in one of nine
 * ways, while a client asks on. It must get its answer every time, to the byte; the server's memory stays within its bounds; and
 * when all have gone, so has what they held.
 *
 * The server is a child process, so that what it takes can be read. The trap: as many files are open here as there are
 * connections, so this program needs the system's leave for them; where that is refused, it lays siege with fewer and says so. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "server/running.h"

#define PARCEL "{\"inputs\":\"Where is my parcel?\"}"
#define POST "POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HEAP_WAYS 8
#else
#define HEAP_WAYS 1
#endif

enum {
    EVERY = 50,            /* hostile connections between two of the client's requests */
    SPARE_FILES = 64,
    BODY_BYTES = 2 << 20,  /* the server's default bound */
    /* 32 large bodies, and 17 KiB for each of 1,040 connections (app/server/http.c); half as much again for the heap's ways, and a
     * sanitizer's: it keeps what is freed for a while. */
    BOUND_KB = 3 * (32 * 2048 + 1040 * 17) / 2 * HEAP_WAYS,
};

static pid_t server;
static running at;

static srv_orders orders;

static void on_signal(int signal_number)
{
    (void)signal_number;
    atomic_store(&orders.stop, true);
}

/* The port to the parent. */
static void tell(void *user, const srv_address *address) { FV_ASSERT(write(*(int *)user, address->port, sizeof address->port) == (ssize_t)sizeof address->port); }

static void serve_and_exit(int end)
{
    static const char *const models[] = {"words=tests/golden/encoders/sentence"};
    running r;
    fv_err err = {0};
    running_init(&r);
    r.args->models = (cli_list){models, 1};
    signal(SIGTERM, on_signal);
    signal(SIGPIPE, SIG_IGN);
    fv_status status = srv_serve(r.args, &orders, tell, &end, &err);
    if (status != FV_OK) fv_err_print(stderr, &err);
    _exit(status != FV_OK);
}

static void start_server(void)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    server = fork();
    assert_true(server >= 0);
    if (server == 0) {
        close(ends[0]);
        serve_and_exit(ends[1]);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], at.address.port, sizeof at.address.port), sizeof at.address.port);
    close(ends[0]);
}

/* A figure of /proc/PID/status in KiB. */
static long memory_kb(const char *key)
{
    char path[64];
    fv_buf text = {0};
    snprintf(path, sizeof path, "/proc/%d/status", (int)server);
    assert_int_equal(fv_file_read(path, 1 << 16, &text, NULL), FV_OK);
    const char *found = strstr(text.data, key);
    assert_non_null(found);
    long kb = atol(found + strlen(key));
    fv_buf_release(&text);
    return kb;
}

static int files_allowed(int wanted)
{
    struct rlimit files;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    getrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur == RLIM_INFINITY || files.rlim_cur >= (rlim_t)(wanted + SPARE_FILES)) return wanted;
    print_message("only %d connections: the system allows no more open files\n", (int)files.rlim_cur - SPARE_FILES);
    return (int)files.rlim_cur - SPARE_FILES;
}

/* One of the nine ways. */
static void besiege(int fd, int way, const fv_buf *blanks)
{
    switch (way) {
    case 0: return;
    case 1: client_puts(fd, "GET /healthz HTTP/1.1\r\nHost: loc"); return;
    case 2: client_puts(fd, POST "Content-Length: 1000\r\n\r\n{\"inputs\""); return;
    case 3: client_puts(fd, POST "Content-Length: 18446744073709551616\r\n\r\n{}"); return;
    case 4: client_puts(fd, POST "Content-Length: 3\r\nContent-Length: 30\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff0\r\n{}"); return;
    case 5:
        client_puts(fd, "GET /healthz HTTP/1.1\r\nX-Huge: ");
        client_send(fd, blanks->data, 40000);
        return;
    case 6: client_ask(fd, "POST", "/embed", "", "{\"inputs\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["); return;
    case 7: client_puts(fd, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 no TLS here"); return;
    default: /* a large body that never ends */
        client_puts(fd, POST "Content-Length: 2000000\r\n\r\n");
        client_send(fd, blanks->data, 1900000);
    }
}

static void ask_as_ever(const char *right)
{
    answer a = client_post(&at, "/embed", PARCEL);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, right);
    answer_release(&a);
}

/* Nothing of them is left: until the queue holds no bytes and the memory is what it was, but for what the heap keeps. */
static void await_calm(long before, const char *right)
{
    long now = 0;
    for (double began = fv_now(); fv_now() - began < 60; usleep(200000)) {
        now = memory_kb("VmRSS:");
        if (now - before < BOUND_KB / 2) break;
    }
    assert_true(now - before < BOUND_KB / 2);
    answer a = client_get(&at, "/metrics");
    assert_non_null(strstr(a.body, "\nfovea_queue_bytes 0\n"));
    answer_release(&a);
    ask_as_ever(right);
}

static void a_siege_costs_bounded_memory_and_nobody_an_answer(void **state)
{
    const char *asked = getenv("SIEGE_CONNECTIONS");
    int n = files_allowed(asked ? atoi(asked) : 900), most_large = 0;
    int *fds = fv_alloc_zero((size_t)n, sizeof *fds, NULL);
    fv_buf blanks = {0};
    (void)state;
    assert_int_equal(fv_buf_reserve(&blanks, BODY_BYTES, NULL), FV_OK);
    memset(blanks.data, ' ', BODY_BYTES);
    start_server();
    answer first = client_post(&at, "/embed", PARCEL);
    assert_int_equal(first.status, 200);
    long before = memory_kb("VmRSS:");
    double slowest = 0;
    for (int i = 0; i < n; i++) {
        fds[i] = client_connect(&at);
        assert_true(fds[i] >= 0);
        int way = i % 9;
        if (way == 8 && most_large++ > 300) way = 2; /* their bytes take the test's time, not the server's memory */
        besiege(fds[i], way, &blanks);
        if (i % EVERY) continue;
        double began = fv_now();
        ask_as_ever(first.body);
        if (fv_now() - began > slowest) slowest = fv_now() - began;
    }
    long peak = memory_kb("VmHWM:");
    print_message("%d connections: %.1f MB at rest, %.1f MB at most; the slowest answer took %.0f ms\n", n, (double)before / 1024, (double)peak / 1024, 1e3 * slowest);
    assert_true(peak - before < BOUND_KB);
    for (int i = 0; i < n; i++) close(fds[i]);
    await_calm(before, first.body);
    answer_release(&first);
    kill(server, SIGTERM);
    int status = -1;
    assert_int_equal(waitpid(server, &status, 0), server);
    assert_int_equal(status, 0);
    fv_buf_release(&blanks);
    fv_free(fds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_siege_costs_bounded_memory_and_nobody_an_answer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
