/* Pulling from a hub of the test's own: its list, its files, redirects to another port, Range; and its lies. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pull/pull.h"

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define CONFIG "{\"model_type\":\"bert\"}"
#define WEIGHTS "these are the weights, all of them"

enum { LEN = sizeof WEIGHTS - 1, KEPT = 10 };

typedef struct fake_hub {
    struct MHD_Daemon *hub, *store; /* weights are sent on to the second */
    char token[32];                 /* asked for if not empty */
    const char *weights;            /* what is sent */
    const char *rest;               /* further entries of the list */
    bool no_range;
    int asked, ranges, leaked;      /* requests; with a Range; with a token at the wrong place */
} fake_hub;

static fake_hub hub;
static char home[64];
static atomic_bool stop;

static unsigned port_of(struct MHD_Daemon *d) { return MHD_get_daemon_info(d, MHD_DAEMON_INFO_BIND_PORT)->port; }

static enum MHD_Result send_text(struct MHD_Connection *c, unsigned code, const char *text, const char *name, const char *value)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
    if (name) MHD_add_response_header(r, name, value);
    enum MHD_Result done = MHD_queue_response(c, code, r);
    MHD_destroy_response(r);
    return done;
}

static const char *sha256_of(const char *text)
{
    static char hex[65];
    fv_sha256 s;
    fv_sha256_init(&s);
    fv_sha256_add(&s, text, strlen(text));
    fv_sha256_end(&s, hex);
    return hex;
}

static enum MHD_Result send_list(struct MHD_Connection *c)
{
    char text[2048];
    snprintf(text, sizeof text, "{\"sha\":\"" COMMIT "\",\"siblings\":[{\"rfilename\":\".gitattributes\"},{\"rfilename\":\"config.json\",\"size\":%zu,"
        "\"blobId\":\"%s\"},{\"rfilename\":\"model.safetensors\",\"size\":1,\"blobId\":\"x\",\"lfs\":{\"sha256\":\"%s\",\"size\":%d}},"
        "{\"rfilename\":\"pytorch_model.bin\"}%s]}", sizeof CONFIG - 1, "3967ff7fee9d40eb77abadd6a292230496ca9f24", sha256_of(WEIGHTS), LEN, hub.rest);
    return send_text(c, 200, text, NULL, NULL);
}

static enum MHD_Result on_hub(void *user, struct MHD_Connection *c, const char *url, const char *method, const char *version, const char *data, size_t *n, void **state)
{
    char there[64];
    const char *token = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization");
    (void)user, (void)method, (void)version, (void)data, (void)n, (void)state;
    hub.asked++;
    if (hub.token[0] && (!token || strcmp(token, hub.token) != 0)) return send_text(c, 401, "", NULL, NULL);
    if (strcmp(url, "/api/models/shop/small/revision/main") == 0) return send_list(c);
    if (strcmp(url, "/shop/small/resolve/" COMMIT "/config.json") == 0) return send_text(c, 200, CONFIG, NULL, NULL);
    if (strcmp(url, "/shop/small/resolve/" COMMIT "/model.safetensors") != 0) return send_text(c, 404, "", NULL, NULL);
    snprintf(there, sizeof there, "http://127.0.0.1:%u/blob", port_of(hub.store));
    return send_text(c, 302, "", "Location", there);
}

static enum MHD_Result on_store(void *user, struct MHD_Connection *c, const char *url, const char *method, const char *version, const char *data, size_t *n, void **state)
{
    const char *range = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Range");
    (void)user, (void)url, (void)method, (void)version, (void)data, (void)n, (void)state;
    hub.asked++;
    hub.leaked += MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization") != NULL;
    if (!range || hub.no_range) return send_text(c, 200, hub.weights, NULL, NULL);
    hub.ranges++;
    return send_text(c, 206, hub.weights + atoi(range + strlen("bytes=")), NULL, NULL);
}

static int set_up(void **state)
{
    char address[64];
    (void)state;
    hub = (fake_hub){.weights = WEIGHTS, .rest = ""};
    hub.hub = MHD_start_daemon(MHD_USE_AUTO_INTERNAL_THREAD, 0, NULL, NULL, on_hub, NULL, MHD_OPTION_END);
    hub.store = MHD_start_daemon(MHD_USE_AUTO_INTERNAL_THREAD, 0, NULL, NULL, on_store, NULL, MHD_OPTION_END);
    if (!hub.hub || !hub.store) return -1;
    snprintf(home, sizeof home, "/tmp/fovea-pull-XXXXXX");
    if (!mkdtemp(home)) return -1;
    snprintf(address, sizeof address, "http://127.0.0.1:%u/", port_of(hub.hub));
    setenv("HF_ENDPOINT", address, 1);
    setenv("HF_HOME", home, 1);
    static const char *const others[] = {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"};
    for (size_t i = 0; i < FV_COUNT(others); i++) unsetenv(others[i]);
    atomic_store(&stop, false);
    return 0;
}

static int tear_down(void **state)
{
    char command[128];
    (void)state;
    MHD_stop_daemon(hub.hub);
    MHD_stop_daemon(hub.store);
    snprintf(command, sizeof command, "rm -rf '%s'", home);
    return system(command);
}

static fv_status pull(pull_job *job, fv_err *err)
{
    *job = (pull_job){.name = "shop/small", .revision = "main", .stop = &stop};
    *err = (fv_err){0};
    return pull_model(job, err);
}

static void expect_pulled(pull_job *job)
{
    fv_err err;
    fv_status status = pull(job, &err);
    if (status != FV_OK) print_error("%s\n", err.text);
    assert_int_equal(status, FV_OK);
}

static void expect_refused(fv_status expected, const char *words)
{
    pull_job job;
    fv_err err;
    fv_status status = pull(&job, &err);
    if (status != expected || !strstr(err.text, words)) print_error("%d: %s\n", status, err.text);
    assert_int_equal(status, expected);
    assert_non_null(strstr(err.text, words));
}

static void expect_text(const char *folder, const char *name, const char *text)
{
    char path[FV_PATH_MAX];
    fv_buf got = {0};
    assert_int_equal(fv_path_join(path, folder, name, NULL), FV_OK);
    assert_int_equal(fv_file_read(path, 4096, &got, NULL), FV_OK);
    assert_string_equal(got.data ? got.data : "", text);
    fv_buf_release(&got);
}

/* blobs/HASH + end of the weights. */
static void blob(char path[FV_PATH_MAX], const char *end)
{
    snprintf(path, FV_PATH_MAX, "%s/hub/models--shop--small/blobs/%s%s", home, sha256_of(WEIGHTS), end);
}

/* A part as an interrupted run leaves it. */
static void leave_part(const char *text)
{
    char path[FV_PATH_MAX];
    snprintf(path, sizeof path, "%s/hub/models--shop--small/blobs", home);
    assert_int_equal(fv_folder_make(path, NULL), FV_OK);
    blob(path, ".incomplete");
    assert_int_equal(fv_file_write(path, text, strlen(text), NULL), FV_OK);
}

static void a_fresh_model_is_there_then(void **state)
{
    pull_job job;
    char found[FV_PATH_MAX];
    (void)state;
    assert_false(hub_find("shop/small", found));
    expect_pulled(&job);
    assert_int_equal(job.files, 2);
    expect_text(job.folder, "config.json", CONFIG);
    expect_text(job.folder, "model.safetensors", WEIGHTS);
    assert_true(hub_find("shop/small", found));
    assert_string_equal(found, job.folder);
    assert_true(hub_find("shop/small@" COMMIT, found));
    assert_false(hub_find("shop/small@v2", found));
    int asked = hub.asked;
    expect_pulled(&job);
    assert_int_equal(hub.asked, asked + 1); /* the list alone */
    assert_int_equal(job.fetched, 0);
    setenv("HF_HUB_OFFLINE", "1", 1);
    expect_pulled(&job);
    assert_int_equal(hub.asked, asked + 1);
}

static void nothing_new(const char *folder)
{
    char command[FV_PATH_MAX + 64];
    snprintf(command, sizeof command, "test -z \"$(ls -d '%s'.new-* 2>/dev/null)\"", folder);
    assert_int_equal(system(command), 0);
}

static void expect_out_refused(const char *out, const char *words)
{
    fv_err err = {0};
    pull_job job = {.name = "shop/small", .revision = "main", .stop = &stop, .out = out};
    fv_status status = pull_model(&job, &err);
    if (status != FV_E_ARGUMENT || !strstr(err.text, words)) print_error("%d: %s\n", status, err.text);
    assert_int_equal(status, FV_E_ARGUMENT);
    assert_non_null(strstr(err.text, words));
    nothing_new(out);
}

/* Real files, complete or not there; what is there already is looked at, never written over. */
static void a_folder_of_real_files(void **state)
{
    char out[FV_PATH_MAX], path[FV_PATH_MAX], asked[FV_PATH_MAX + 2];
    struct stat st;
    fv_err err = {0};
    (void)state;
    hub.rest = ",{\"rfilename\":\"1_Pooling/config.json\",\"size\":0,\"blobId\":\"e69de29bb2d1d6434b8b29ae775ad8c2e48c5391\"}"; /* empty */
    assert_int_equal(fv_path_join(out, home, "mine/model", NULL), FV_OK);
    snprintf(asked, sizeof asked, "%s/", out);
    pull_job job = {.name = "shop/small", .revision = "main", .stop = &stop, .out = asked};
    if (pull_model(&job, &err) != FV_OK) fail_msg("%s", err.text);
    assert_string_equal(job.folder, asked);
    expect_text(out, "config.json", CONFIG);
    expect_text(out, "model.safetensors", WEIGHTS);
    expect_text(out, "1_Pooling/config.json", "");
    assert_int_equal(fv_path_join(path, out, "model.safetensors", NULL), FV_OK);
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISREG(st.st_mode) && st.st_nlink == 1);
    nothing_new(out);
    ino_t before = st.st_ino;
    setenv("HF_HUB_OFFLINE", "1", 1); /* again, and without the hub's list: the same, untouched */
    assert_int_equal(pull_model(&job, &err), FV_OK);
    assert_int_equal(lstat(path, &st), 0);
    assert_true(st.st_ino == before);

    assert_int_equal(fv_file_write(path, "my own weights, of the same length", LEN, NULL), FV_OK);
    expect_out_refused(out, "model.safetensors: is not this model's");
    expect_text(out, "model.safetensors", "my own weights, of the same length");
    assert_int_equal(fv_path_join(path, out, "1_Pooling/notes", NULL), FV_OK);
    assert_int_equal(fv_file_write(path, "x", 1, NULL), FV_OK);
    expect_out_refused(out, "holds 1_Pooling/notes, which is not this model's");
    expect_out_refused(home, "which is not this model's");
    assert_int_equal(fv_path_join(path, home, "file", NULL), FV_OK);
    assert_int_equal(fv_file_write(path, "x", 1, NULL), FV_OK);
    expect_out_refused(path, "expected a new folder");
    expect_out_refused("", "no name");
}

/* A blob that rotted in the cache is found out when it is copied. */
static void rotten_blobs_are_not_copied(void **state)
{
    char path[FV_PATH_MAX], out[FV_PATH_MAX];
    pull_job job;
    fv_err err = {0};
    (void)state;
    expect_pulled(&job);
    blob(path, "");
    assert_int_equal(fv_file_write(path, "these are the weights, nearly all!", LEN, NULL), FV_OK);
    assert_int_equal(fv_path_join(out, home, "mine", NULL), FV_OK);
    job.out = out;
    assert_int_equal(pull_model(&job, &err), FV_E_FORMAT);
    assert_non_null(strstr(err.text, "model.safetensors: has the hash"));
    assert_false(fv_folder_exists(out));
    nothing_new(out);
}

static void a_part_is_continued(void **state)
{
    pull_job job;
    (void)state;
    leave_part("these are ");
    expect_pulled(&job);
    assert_int_equal(hub.ranges, 1);
    assert_int_equal(job.fetched, LEN - KEPT + sizeof CONFIG - 1);
    expect_text(job.folder, "model.safetensors", WEIGHTS);
}

static void a_hub_without_ranges_sends_all_again(void **state)
{
    pull_job job;
    (void)state;
    hub.no_range = true;
    leave_part("these are ");
    expect_pulled(&job);
    expect_text(job.folder, "model.safetensors", WEIGHTS);
}

static void wrong_bytes_are_refused_and_the_old_kept(void **state)
{
    char path[FV_PATH_MAX], found[FV_PATH_MAX];
    (void)state;
    hub.weights = "these are the weights, nearly all!";
    expect_refused(FV_E_FORMAT, "model.safetensors: what came has the hash");
    blob(path, ".incomplete");
    assert_false(fv_file_exists(path));
    blob(path, "");
    assert_false(fv_file_exists(path));
    assert_false(hub_find("shop/small", found));
    hub.weights = WEIGHTS " and more";
    expect_refused(FV_E_FORMAT, "sends more than the 34 bytes");
    hub.weights = "these";
    hub.no_range = true;
    expect_refused(FV_E_FORMAT, "model.safetensors: ends after 5 bytes");
}

static void tokens_are_sent_to_the_hub_alone(void **state)
{
    pull_job job;
    (void)state;
    snprintf(hub.token, sizeof hub.token, "Bearer hf_secret");
    expect_refused(FV_E_INPUT, "needs a token");
    setenv("HF_TOKEN", "hf_other", 1);
    expect_refused(FV_E_INPUT, "the token may not read it");
    unsetenv("HF_TOKEN");
    char path[FV_PATH_MAX];
    assert_int_equal(fv_path_join(path, home, "token", NULL), FV_OK);
    assert_int_equal(fv_file_write(path, "hf_secret\n", 10, NULL), FV_OK);
    expect_pulled(&job);
    assert_int_equal(hub.leaked, 0);
}

static void what_is_not_there_is_said(void **state)
{
    fv_err err = {0};
    pull_job job = {.name = "shop/none", .revision = "main", .stop = &stop};
    (void)state;
    assert_int_equal(pull_model(&job, &err), FV_E_INPUT);
    assert_non_null(strstr(err.text, "shop/none: not at http://127.0.0.1:"));
    job.name = "../etc";
    assert_int_equal(pull_model(&job, &err), FV_E_ARGUMENT);
    setenv("HF_HUB_OFFLINE", "1", 1);
    expect_refused(FV_E_INPUT, "HF_HUB_OFFLINE");
}

static void hostile_lists_are_refused(void **state)
{
    static const char *const names[] = {"../x", "/etc/passwd", "a/../../x", "", "a//b", "1_Pooling/..", "a\\\\b", "a\\nb"};
    char rest[128];
    (void)state;
    hub.rest = rest;
    for (size_t i = 0; i < FV_COUNT(names); i++) {
        snprintf(rest, sizeof rest, ",{\"rfilename\":\"%s\"}", names[i]);
        expect_refused(FV_E_FORMAT, "expected a plain name");
    }
    snprintf(rest, sizeof rest, ",{\"rfilename\":\"vocab.txt\",\"size\":1,\"blobId\":\"../../../x\"}");
    expect_refused(FV_E_FORMAT, "no SHA-1");
    snprintf(rest, sizeof rest, ",{\"rfilename\":\"vocab.txt\",\"size\":-1,\"blobId\":\"%040d\"}", 0);
    expect_refused(FV_E_FORMAT, "size");
}

/* A link in the cache must not lead writing out of it. */
static void links_are_not_followed(void **state)
{
    char path[FV_PATH_MAX], outside[FV_PATH_MAX];
    (void)state;
    leave_part("");
    blob(path, ".incomplete");
    assert_int_equal(fv_path_join(outside, home, "outside", NULL), FV_OK);
    assert_int_equal(fv_file_write(outside, "mine", 4, NULL), FV_OK);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink(outside, path), 0);
    expect_refused(FV_E_IO, "cannot be written");
    expect_text(home, "outside", "mine");
}

static void a_wish_to_stop_leaves_a_part(void **state)
{
    (void)state;
    atomic_store(&stop, true);
    expect_refused(FV_E_STOPPED, "goes on where this one ended");
}

static void *wish_to_stop(void *user)
{
    usleep(300000);
    atomic_store(&stop, true);
    return user;
}

/* Whoever holds a file's lock is waited for; a wish to stop ends that. */
static void a_locked_file_is_waited_for(void **state)
{
    char folder[FV_PATH_MAX], path[FV_PATH_MAX + 80];
    fv_lock lock;
    (void)state;
    snprintf(folder, sizeof folder, "%s/hub/.locks/models--shop--small", home);
    assert_int_equal(fv_folder_make(folder, NULL), FV_OK);
    snprintf(path, sizeof path, "%s/%s.lock", folder, sha256_of(WEIGHTS));
    assert_int_equal(fv_lock_take(&lock, path, NULL), FV_OK);
    pthread_t later;
    assert_int_equal(pthread_create(&later, NULL, wish_to_stop, NULL), 0);
    expect_refused(FV_E_STOPPED, "another program fetches model.safetensors");
    pthread_join(later, NULL);
    fv_lock_drop(&lock);
    atomic_store(&stop, false);
    pull_job job;
    expect_pulled(&job);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_fresh_model_is_there_then), CASE(a_folder_of_real_files), CASE(rotten_blobs_are_not_copied), CASE(a_part_is_continued), CASE(a_hub_without_ranges_sends_all_again),
        CASE(wrong_bytes_are_refused_and_the_old_kept), CASE(tokens_are_sent_to_the_hub_alone), CASE(what_is_not_there_is_said),
        CASE(hostile_lists_are_refused), CASE(links_are_not_followed), CASE(a_wish_to_stop_leaves_a_part), CASE(a_locked_file_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
