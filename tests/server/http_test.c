/* The server as clients meet it, over real sockets: kind ones, slow ones, rude ones, and many. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "server/running.h"

#define PARCEL "{\"inputs\":\"Where is my parcel?\"}"

static void expect(answer a, int status, const char *word)
{
    if (a.status != status || !strstr(a.body, word)) print_error("got %d: %s\n", a.status, a.body);
    assert_int_equal(a.status, status);
    assert_non_null(strstr(a.body, word));
    answer_release(&a);
}

/* One raw request, and its answer. */
static answer raw(const running *r, const char *text)
{
    int fd = client_connect(r);
    client_puts(fd, text);
    answer a = client_read(fd);
    close(fd);
    return a;
}

static void start(running *r)
{
    bool up = running_start(r);
    if (!up) print_error("%s\n", r->err.text);
    assert_true(up);
}

static void answers_and_keeps_the_connection(void **state)
{
    running r;
    (void)state;
    running_init(&r);
    start(&r);
    int fd = client_connect(&r);
    for (int i = 0; i < 3; i++) {
        client_ask(fd, "POST", "/predict", "", PARCEL);
        expect(client_read(fd), 200, "\"label\":\"product_question\"");
        client_ask(fd, "GET", "/healthz", "", NULL);
        expect(client_read(fd), 200, "{\"status\":\"ok\"}");
    }
    close(fd);
    expect(client_get(&r, "/readyz"), 200, "ready");
    expect(client_get(&r, "/metrics"), 200, "fovea_requests_total{path=\"/predict\",status=\"200\"} 3");
    assert_int_equal(running_stop(&r), FV_OK);
}

static void refuses_in_words(void **state)
{
    running r;
    (void)state;
    running_init(&r);
    r.args->max_body = 2000;
    start(&r);
    expect(client_get(&r, "/nothing"), 404, "there is nothing at this path");
    answer a = client_get(&r, "/predict");
    assert_non_null(strstr(a.all.data, "\r\nAllow: POST\r\n"));
    expect(a, 405, "/predict takes POST");
    expect(raw(&r, "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"), 415, "application/json");
    expect(raw(&r, "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/jsonp\r\nContent-Length: 2\r\n\r\n{}"), 415, "application/json");
    expect(client_post(&r, "/predict", "{\"inputs\":"), 422, "the end instead of");
    expect(client_post(&r, "/predict", "[]"), 422, "expected a JSON object");
    expect(client_post(&r, "/predict", ""), 422, "is empty");
    expect(client_post(&r, "/predict", "{\"inputs\":\"\\ud800\"}"), 422, "request:1");
    expect(client_post(&r, "/predict", "{\"inputs\":\"a\xff\"}"), 422, "UTF-8");
    char deep[1200] = "{\"inputs\":";
    memset(deep + 10, '[', 1000);
    expect(client_post(&r, "/predict", deep), 422, "64 levels");
    expect(raw(&r, "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2001\r\n\r\n"), 413, "longer than 2000 bytes");
    expect(client_get(&r, "/healthz"), 200, "ok");
    assert_int_equal(running_stop(&r), FV_OK);
}

/* What libmicrohttpd answers itself, or does not answer at all: only that the server outlives it counts. */
static void outlives_broken_http(void **state)
{
    static const char *const broken[] = {
        "\r\n\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\x16\x03\x01\x02\x01\x01\xfc\x03\x03", "GET /healthz HTTP/1.1\r\n\r\n",
        "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: -5\r\n\r\n{}",
        "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99999999999999999999999\r\n\r\n{}",
        "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: two\r\n\r\n{}",
        "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    };
    running r;
    (void)state;
    running_init(&r);
    r.args->send_seconds = 0.5; /* some are neither answered nor closed before */
    start(&r);
    for (size_t i = 0; i < FV_COUNT(broken); i++) {
        int fd = client_connect(&r);
        client_puts(fd, broken[i]);
        shutdown(fd, SHUT_WR);
        answer a = client_read(fd);
        if (a.status >= 200 && a.status < 300 && !strstr(broken[i], "healthz")) print_error("%s gave %d\n", broken[i], a.status);
        assert_true(a.status < 200 || a.status >= 300 || strstr(broken[i], "healthz"));
        answer_release(&a);
        close(fd);
    }
    fv_buf head = {0};
    assert_int_equal(fv_buf_puts(&head, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n", NULL), FV_OK);
    for (int i = 0; i < 5000; i++) assert_int_equal(fv_buf_printf(&head, NULL, "X-Header-%d: 0123456789\r\n", i), FV_OK);
    answer a = raw(&r, head.data);
    assert_true(a.status == 431 || a.status == 0);
    answer_release(&a);
    fv_buf_release(&head);
    expect(client_post(&r, "/predict", PARCEL), 200, "label");
    assert_int_equal(running_stop(&r), FV_OK);
}

static void counts_what_chunks_add_up_to(void **state)
{
    running r;
    char chunk[600];
    (void)state;
    running_init(&r);
    r.args->max_body = 2000;
    start(&r);
    int fd = client_connect(&r);
    client_puts(fd, "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
    memset(chunk, ' ', sizeof chunk);
    memcpy(chunk, "200\r\n", 5); /* 512 bytes */
    memcpy(chunk + 517, "\r\n", 2);
    for (int i = 0; i < 6; i++) client_send(fd, chunk, 519);
    client_puts(fd, "0\r\n\r\n");
    expect(client_read(fd), 413, "longer than 2000 bytes");
    client_ask(fd, "POST", "/predict", "", PARCEL);
    expect(client_read(fd), 200, "label"); /* the connection is still in step */
    close(fd);
    assert_int_equal(running_stop(&r), FV_OK);
}

static bool closed_by_server(int fd, double seconds)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char byte;
    return poll(&p, 1, (int)(seconds * 1000)) > 0 && recv(fd, &byte, 1, 0) <= 0;
}

/* A byte now and then buys no time: neither within the head nor within the body. */
static void slow_clients_run_out_of_time(void **state)
{
    running r;
    (void)state;
    running_init(&r);
    r.args->send_seconds = 0.4;
    start(&r);
    int silent = client_connect(&r), head = client_connect(&r), body = client_connect(&r);
    client_puts(head, "GET /healthz HTTP/1.1\r\n");
    client_puts(body, "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n");
    double began = fv_now();
    bool over = false;
    while (!over && fv_now() - began < 5) {
        client_puts(head, "X");
        client_puts(body, " ");
        struct pollfd both[2] = {{.fd = head, .events = POLLIN}, {.fd = body, .events = POLLIN}};
        poll(both, 2, 50);
        over = both[0].revents && both[1].revents;
    }
    assert_true(over);
    assert_true(closed_by_server(silent, 2));
    close(silent);
    close(head);
    close(body);
    expect(client_post(&r, "/predict", PARCEL), 200, "label");
    assert_int_equal(running_stop(&r), FV_OK);
}

/* Ten times as many silent connections as there may be: the longest silent make room, and a client is served. */
static void many_connections_lock_nobody_out(void **state)
{
    enum { MANY = 400, MOST = 40 };
    running r;
    int fds[MANY], ended = 0;
    (void)state;
    running_init(&r);
    r.args->connections = MOST;
    start(&r);
    for (int i = 0; i < MANY; i++) {
        fds[i] = client_connect(&r);
        assert_true(fds[i] >= 0);
        client_puts(fds[i], "GET /healthz HTTP/1.1\r\nHost: loc");
        if (i % 50 == 49) expect(client_post(&r, "/predict", PARCEL), 200, "label");
    }
    for (int i = 0; i < MANY; i++) {
        ended += closed_by_server(fds[i], 0.01);
        close(fds[i]);
    }
    assert_true(ended >= MANY - MOST - 16);
    assert_int_equal(running_stop(&r), FV_OK);
}

static void browsers_of_other_pages_are_refused(void **state)
{
    running r;
    (void)state;
    running_init(&r);
    r.args->host = "desk.example";
    start(&r);
    expect(raw(&r, "GET /v1/models HTTP/1.1\r\nHost: evil.example\r\n\r\n"), 403, "evil.example");
    expect(raw(&r, "GET /v1/models HTTP/1.1\r\nHost: localhost.evil.example:80\r\n\r\n"), 403, "not called");
    expect(raw(&r, "GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1:80\r\nOrigin: http://evil.example\r\n\r\n"), 403, "may not ask");
    expect(raw(&r, "GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1:80\r\nOrigin: null\r\n\r\n"), 403, "may not ask");
    expect(raw(&r, "GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1:80\r\nOrigin: http://127.0.0.1:80\r\n\r\n"), 200, "shop");
    expect(raw(&r, "GET /v1/models HTTP/1.1\r\nHost: desk.example\r\n\r\n"), 200, "shop");
    expect(raw(&r, "GET /v1/models HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n"), 200, "shop");
    assert_int_equal(running_stop(&r), FV_OK);
}

static void asks_for_the_token(void **state)
{
    const char *path = "build/serve-test-token";
    running r;
    (void)state;
    assert_int_equal(fv_file_write(path, "0123456789abcdef0123\n", 21, NULL), FV_OK);
    running_init(&r);
    r.args->token_file = path;
    start(&r);
    expect(client_get(&r, "/healthz"), 200, "ok");
    expect(client_get(&r, "/metrics"), 401, "Bearer");
    answer a = client_post(&r, "/predict", PARCEL);
    assert_non_null(strstr(a.all.data, "\r\nWWW-Authenticate: Bearer\r\n"));
    expect(a, 401, "Bearer TOKEN");
    expect(raw(&r, "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer 0123456789abcdef0124\r\n\r\n"), 401, "invalid_api_key");
    expect(raw(&r, "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic 0123456789abcdef0123\r\n\r\n"), 401, "invalid_api_key");
    expect(raw(&r, "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer 0123456789abcdef0123\r\n\r\n"), 200, "shop");
    assert_int_equal(running_stop(&r), FV_OK);
    unlink(path);
}

static void other_machines_need_a_token(void **state)
{
    running r;
    (void)state;
    running_init(&r);
    r.args->listen = "0.0.0.0:0";
    assert_false(running_start(&r));
    assert_non_null(strstr(r.err.text, "--token-file"));
    assert_int_equal(running_stop(&r), FV_E_ARGUMENT);
}

static void one_address_has_its_rate(void **state)
{
    running r;
    (void)state;
    running_init(&r);
    r.args->rate = 5;
    start(&r);
    for (int i = 0; i < 5; i++) expect(client_get(&r, "/healthz"), 200, "ok");
    answer a = client_post(&r, "/predict", PARCEL);
    assert_non_null(strstr(a.all.data, "\r\nRetry-After: 1\r\n"));
    expect(a, 429, "Overloaded");
    assert_int_equal(running_stop(&r), FV_OK);
}

/* A body that keeps the engine at work for a while: many long texts. */
static void long_body(fv_buf *body, int n)
{
    fv_buf_puts(body, "{\"truncate\":true,\"inputs\":[", NULL);
    for (int i = 0; i < n; i++) fv_buf_printf(body, NULL, "%s[\"number %d %0*d\"]", i ? "," : "", i, 150, i);
    fv_buf_puts(body, "]}", NULL);
}

/* Until the engine has something to do, or has nothing. */
static void await_work(const running *r, bool wanted)
{
    bool busy = !wanted;
    for (double began = fv_now(); busy != wanted && fv_now() - began < 20;) {
        answer a = client_get(r, "/metrics");
        busy = !strstr(a.body, "\nfovea_queue_bytes 0\n");
        answer_release(&a);
    }
    assert_int_equal(busy, wanted);
}

/* A request that takes seconds, on its way to be answered; close it to have that ended. */
static int ask_for_much(running *r)
{
    fv_buf body = {0};
    long_body(&body, 60000);
    int fd = client_connect(r);
    client_ask(fd, "POST", "/predict", "", body.data);
    fv_buf_release(&body);
    await_work(r, true);
    return fd;
}

static void allow_much(running *r)
{
    r->args->max_items = 100000;
    r->args->max_body = 64 << 20;
}

static void a_full_queue_says_when_to_come_again(void **state)
{
    running r;
    (void)state;
    running_init(&r);
    allow_much(&r);
    r.args->queue = 1;
    start(&r);
    int fd = ask_for_much(&r);
    answer a = client_post(&r, "/predict", PARCEL);
    assert_non_null(strstr(a.all.data, "\r\nRetry-After: "));
    expect(a, 429, "too many requests wait");
    close(fd);
    await_work(&r, false);
    expect(client_post(&r, "/predict", PARCEL), 200, "label");
    assert_int_equal(running_stop(&r), FV_OK);
}

static void stopping_answers_what_was_asked(void **state)
{
    running r;
    fv_buf body = {0};
    (void)state;
    running_init(&r);
    allow_much(&r);
    start(&r);
    long_body(&body, 2000);
    int fd = client_connect(&r);
    client_ask(fd, "POST", "/predict", "", body.data);
    await_work(&r, true);
    atomic_store(&r.orders.stop, true);
    answer a = client_read(fd);
    assert_int_equal(a.status, 200);
    assert_non_null(strcasestr(a.all.data, "\r\nConnection: close\r\n"));
    assert_true(a.all.len > 30000);
    answer_release(&a);
    close(fd);
    fv_buf_release(&body);
    assert_int_equal(running_stop(&r), FV_OK);
    assert_true(client_connect(&r) < 0);
}

/* Who hangs up is not computed for. */
static void hanging_up_ends_the_work(void **state)
{
    running r;
    (void)state;
    running_init(&r);
    allow_much(&r);
    start(&r);
    close(ask_for_much(&r));
    await_work(&r, false);
    answer a = client_get(&r, "/metrics");
    const char *texts = strstr(a.body, "\nfovea_texts_total ");
    assert_non_null(texts);
    assert_true(atol(texts + 19) < 60000);
    answer_release(&a);
    assert_int_equal(running_stop(&r), FV_OK);
}

static void copy(const char *from, const char *to, const char *name)
{
    char a[FV_PATH_MAX], b[FV_PATH_MAX];
    fv_buf bytes = {0};
    assert_int_equal(fv_path_join(a, from, name, NULL), FV_OK);
    assert_int_equal(fv_path_join(b, to, name, NULL), FV_OK);
    assert_int_equal(fv_file_read(a, 1 << 20, &bytes, NULL), FV_OK);
    assert_int_equal(fv_file_write(b, bytes.data, bytes.len, NULL), FV_OK);
    fv_buf_release(&bytes);
}

static void await_figure(const running *r, const char *figure)
{
    bool seen = false;
    for (double began = fv_now(); !seen && fv_now() - began < 10;) {
        answer a = client_get(r, "/metrics");
        seen = strstr(a.body, figure) != NULL;
        answer_release(&a);
    }
    assert_true(seen);
}

static void reload_refuses_a_bad_model(void **state)
{
    static const char *const files[] = {"config.json", "fovea.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"};
    const char *folder = "build/serve-test-model";
    const char *const models[] = {"again=build/serve-test-model"};
    char path[FV_PATH_MAX];
    running r;
    (void)state;
    assert_int_equal(fv_folder_make(folder, NULL), FV_OK);
    for (size_t i = 0; i < FV_COUNT(files); i++) copy("tests/golden/bert-tiny", folder, files[i]);
    running_init(&r);
    r.args->models = (cli_list){models, 1};
    start(&r);
    answer before = client_post(&r, "/predict", PARCEL);
    atomic_store(&r.orders.reload, true);
    await_figure(&r, "\nfovea_reloads_total 1\n");
    assert_int_equal(fv_path_join(path, folder, "model.safetensors", NULL), FV_OK);
    assert_int_equal(fv_file_write(path, "broken", 6, NULL), FV_OK);
    atomic_store(&r.orders.reload, true);
    await_figure(&r, "\nfovea_reloads_refused_total 1\n");
    answer after = client_post(&r, "/predict", PARCEL);
    assert_int_equal(after.status, 200);
    assert_string_equal(after.body, before.body);
    answer_release(&before);
    answer_release(&after);
    assert_int_equal(running_stop(&r), FV_OK);
    for (size_t i = 0; i < FV_COUNT(files); i++) {
        assert_int_equal(fv_path_join(path, folder, files[i], NULL), FV_OK);
        unlink(path);
    }
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_and_keeps_the_connection),
        cmocka_unit_test(refuses_in_words),
        cmocka_unit_test(outlives_broken_http),
        cmocka_unit_test(counts_what_chunks_add_up_to),
        cmocka_unit_test(slow_clients_run_out_of_time),
        cmocka_unit_test(many_connections_lock_nobody_out),
        cmocka_unit_test(browsers_of_other_pages_are_refused),
        cmocka_unit_test(asks_for_the_token),
        cmocka_unit_test(other_machines_need_a_token),
        cmocka_unit_test(one_address_has_its_rate),
        cmocka_unit_test(a_full_queue_says_when_to_come_again),
        cmocka_unit_test(stopping_answers_what_was_asked),
        cmocka_unit_test(hanging_up_ends_the_work),
        cmocka_unit_test(reload_refuses_a_bad_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
