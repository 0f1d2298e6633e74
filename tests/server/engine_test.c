/* The engine: joined requests get the bits that each would get alone; long ones do not hold up short ones; who comes too
 * late, gives up, or finds no room is told; one request's trouble is no other's. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "asked.h"
#include "base/file.h"
#include "base/json.h"

enum { REQUESTS = 40, TEXTS = 5 };

static const char *const models[] = {"shop=tests/golden/bert-tiny", "en-de=tests/golden/marian-tiny", NULL};

/* Texts of several lengths. */
static void make_text(char *to, size_t size, int request, int i)
{
    static const char *const words[] = {"where", "is", "my", "parcel", "refund", "thank you", "茶", "invoice", "card", "late"};
    size_t at = 0;
    to[0] = 0;
    for (int k = 0; k < 1 + (request * 7 + i * 3) % 20; k++) at += (size_t)snprintf(to + at, size - at, "%s ", words[(request + i * k + k * k) % 10]);
}

static void make_body(fv_buf *body, int request, int n)
{
    char text[512];
    assert_int_equal(fv_buf_puts(body, "{\"truncate\":true,\"inputs\":[", NULL), FV_OK);
    for (int i = 0; i < n; i++) {
        make_text(text, sizeof text, request, i);
        assert_int_equal(fv_buf_printf(body, NULL, "%s[\"%s\"]", i ? "," : "", text), FV_OK);
    }
    assert_int_equal(fv_buf_puts(body, "]}", NULL), FV_OK);
}

/* What the library says of the same texts, one at a time. */
static void expect_offline(fv_session *session, const srv_request *r, int request)
{
    char text[512];
    float alone[64];
    for (size_t i = 0; i < r->job.n; i++) {
        make_text(text, sizeof text, request, (int)i);
        const fv_text one = {.text = text};
        assert_int_equal(fv_classify_scores(session, &one, 1, alone, NULL), FV_OK);
        assert_memory_equal(alone, r->job.scores + i * r->job.width, r->job.width * sizeof(float));
    }
}

static void joined_requests_have_the_bits_of_lone_ones(void **state)
{
    asked a;
    srv_request r[REQUESTS];
    fv_err err = {0};
    (void)state;
    asked_init(&a, models);
    a.args->session.batch_tokens = 300;
    asked_open(&a);
    for (int i = 0; i < REQUESTS; i++) {
        fv_buf body = {0};
        make_body(&body, i, 1 + i % TEXTS);
        asked_start(&a, &r[i], "POST", "/predict", body.data);
        fv_buf_release(&body);
    }
    asked_wait(&a);
    assert_true(srv_engine_load(a.server.engine).batches < REQUESTS); /* some were joined */
    fv_model *model = fv_model_open("tests/golden/bert-tiny", &err);
    fv_session *session = fv_session_new(model, NULL, &err);
    for (int i = 0; i < REQUESTS; i++) {
        assert_int_equal(r[i].status, 0);
        expect_offline(session, &r[i], i);
        srv_request_release(&r[i]);
    }
    fv_session_free(session);
    fv_model_close(model);
    assert_int_equal(srv_engine_load(a.server.engine).bytes, 0);
    asked_close(&a);
}

static void translations_keep_apart_too(void **state)
{
    asked a;
    srv_request r[6];
    (void)state;
    asked_init(&a, models);
    asked_open(&a);
    for (int i = 0; i < 6; i++) asked_start(&a, &r[i], "POST", "/translate", i % 2 ? "{\"q\":[\"A dog runs.\",\"The cat\"],\"beam\":2}" : "{\"q\":[\"The cat\"],\"beam\":2,\"alternatives\":1}");
    asked_wait(&a);
    for (int i = 2; i < 6; i++) {
        assert_int_equal(r[i].job.end, SRV_DONE);
        for (size_t k = 0; k < r[i].job.n * (size_t)r[i].job.nbest; k++) assert_string_equal(r[i].job.translated[k].text, r[i - 2].job.translated[k].text);
    }
    assert_string_equal(r[0].job.translated[0].text, r[1].job.translated[1].text);
    for (int i = 0; i < 6; i++) srv_request_release(&r[i]);
    asked_close(&a);
}

static double end_of[2];

static void note_end(srv_job *job)
{
    double *end = job->user;
    *end = fv_now();
}

/* The job of a request, which the caller gives to the engine itself. */
static void prepare(asked *a, srv_request *r, int n, double *end)
{
    fv_buf body = {0};
    make_body(&body, 1, n);
    srv_request_init(r, &a->server, "POST", "/predict");
    json_t *tree = fv_json_parse(body.data, body.len, "test", NULL);
    r->body_len = body.len;
    assert_true(r->route->start(r, tree));
    json_decref(tree);
    fv_buf_release(&body);
    r->job.on_done = note_end;
    r->job.user = end;
    r->job.deadline = fv_now() + 100;
}

static void short_requests_overtake_long_ones(void **state)
{
    asked a;
    srv_request lengthy, brief;
    (void)state;
    asked_init(&a, models);
    a.args->session.batch_tokens = 200;
    asked_open(&a);
    prepare(&a, &lengthy, 2000, &end_of[0]);
    prepare(&a, &brief, 1, &end_of[1]);
    assert_true(srv_engine_add(a.server.engine, &lengthy.job, NULL));
    assert_true(srv_engine_add(a.server.engine, &brief.job, NULL));
    while (srv_engine_load(a.server.engine).waiting) continue;
    srv_engine_stop(a.server.engine);
    assert_int_equal(lengthy.job.end, SRV_DONE);
    assert_int_equal(brief.job.end, SRV_DONE);
    assert_true(end_of[1] < end_of[0]);
    srv_request_release(&lengthy);
    srv_request_release(&brief);
    asked_close(&a);
}

static void late_and_left_jobs_are_not_computed(void **state)
{
    asked a;
    srv_request late, left;
    (void)state;
    asked_init(&a, models);
    asked_open(&a);
    prepare(&a, &late, 3, &end_of[0]);
    prepare(&a, &left, 3, &end_of[1]);
    late.job.deadline = fv_now() - 1;
    atomic_store(&left.job.left, true);
    assert_true(srv_engine_add(a.server.engine, &late.job, NULL));
    assert_true(srv_engine_add(a.server.engine, &left.job, NULL));
    while (srv_engine_load(a.server.engine).waiting) continue;
    srv_engine_stop(a.server.engine);
    assert_int_equal(late.job.end, SRV_LATE);
    assert_int_equal(left.job.end, SRV_LEFT);
    assert_int_equal(srv_engine_load(a.server.engine).texts, 0);
    srv_request_finish(&late);
    srv_request_finish(&left);
    assert_int_equal(late.status, 504);
    assert_int_equal(left.status, 503);
    srv_request_release(&late);
    srv_request_release(&left);
    asked_close(&a);
}

static void a_stopped_engine_takes_nothing(void **state)
{
    asked a;
    srv_request r;
    (void)state;
    asked_init(&a, models);
    asked_open(&a);
    srv_engine_stop(a.server.engine);
    prepare(&a, &r, 1, &end_of[0]);
    assert_false(srv_engine_add(a.server.engine, &r.job, NULL));
    srv_request_release(&r);
    assert_int_equal(srv_engine_load(a.server.engine).bytes, 0);
    asked_close(&a);
}

static void bytes_are_bounded(void **state)
{
    asked a;
    srv_request first, second;
    (void)state;
    asked_init(&a, models);
    asked_open(&a);
    srv_engine *small = srv_engine_new(100, 10, 1000, NULL);
    prepare(&a, &first, 50, &end_of[0]);
    prepare(&a, &second, 50, &end_of[1]);
    assert_true(srv_engine_add(small, &first.job, NULL)); /* one is always taken, else it never could be */
    assert_false(srv_engine_add(small, &second.job, NULL));
    srv_engine_stop(small);
    srv_engine_forget(small, &first.job);
    first.job.bytes = 0;
    srv_request_release(&first);
    srv_request_release(&second);
    srv_engine_free(small);
    asked_close(&a);
}

/* An n-best list longer than the beam is a mistake that the library refuses: only its own request hears of it. */
static void a_failing_request_fails_alone(void **state)
{
    asked a;
    srv_request bad, good;
    (void)state;
    asked_init(&a, models);
    asked_open(&a);
    asked_start(&a, &good, "POST", "/predict", "{\"inputs\":\"thank you\"}");
    srv_request_init(&bad, &a.server, "POST", "/translate");
    json_t *tree = json_pack("{s:s}", "q", "The cat");
    bad.body_len = 100;
    assert_true(bad.route->start(&bad, tree));
    json_decref(tree);
    bad.job.nbest = 3;
    bad.job.beam = 1;
    bad.job.on_done = note_end;
    bad.job.user = &end_of[0];
    bad.job.deadline = fv_now() + 100;
    assert_true(srv_engine_add(a.server.engine, &bad.job, NULL));
    asked_wait(&a);
    while (srv_engine_load(a.server.engine).waiting) continue;
    srv_engine_stop(a.server.engine);
    srv_request_finish(&bad);
    asked_finish(&good);
    assert_int_equal(bad.status, 400);
    assert_int_equal(good.status, 200);
    srv_request_release(&bad);
    srv_request_release(&good);
    asked_close(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joined_requests_have_the_bits_of_lone_ones),
        cmocka_unit_test(translations_keep_apart_too),
        cmocka_unit_test(short_requests_overtake_long_ones),
        cmocka_unit_test(late_and_left_jobs_are_not_computed),
        cmocka_unit_test(a_stopped_engine_takes_nothing),
        cmocka_unit_test(bytes_are_bounded),
        cmocka_unit_test(a_failing_request_fails_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
