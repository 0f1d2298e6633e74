/* The run's record: lines that any JSON reader takes, and files that a resumed run goes on with. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "formats/scratch.h"
#include "train/record.h"

static const fv_record_figures figures = {.step = 10, .epoch = 2, .tokens = 20480, .loss = 1.5, .lr = 0.001, .grad_norm = 2, .tokens_per_s = 9000.25, .seconds = 1e-7};
static const fv_metric metrics[] = {{.name = "accuracy", .value = 0.8, .low = 0.7, .high = 0.9}, {.name = "loss", .value = 0.1f}};

static void assert_log(const char *expected)
{
    fv_buf text = {0};
    assert_int_equal(fv_file_read(scratch_path(FV_RECORD_LOG), 1 << 20, &text, NULL), FV_OK);
    assert_string_equal(text.len ? text.data : "", expected);
    fv_buf_release(&text);
}

#define STEP_10 "{\"step\":10,\"epoch\":2,\"loss\":1.5,\"lr\":0.001,\"grad_norm\":2,\"tokens\":20480,\"tokens_per_s\":9000.25,\"seconds\":1e-07}\n"
#define VALID_10 "{\"step\":10,\"epoch\":2,\"valid\":{\"accuracy\":0.8,\"loss\":0.10000000149011612}}\n"

static void lines_as_they_are_promised(void **state)
{
    (void)state;
    fv_record record;
    fv_err err = {0};
    assert_int_equal(fv_record_open(&record, scratch_folder(), 0, 0, &err), FV_OK);
    assert_int_equal(fv_record_step(&record, &figures, &err), FV_OK);
    assert_int_equal(fv_record_valid(&record, 10, 2, "", metrics, 2, &err), FV_OK);
    fv_record_close(&record);
    assert_log(STEP_10 VALID_10);
}

static void what_is_not_finite_is_null(void **state)
{
    (void)state;
    fv_record record;
    fv_record_figures odd = {.step = INT64_MAX, .epoch = -1, .tokens = INT64_MIN, .loss = NAN, .lr = INFINITY, .grad_norm = -INFINITY, .seconds = -0.0};
    const fv_metric nothing = {.name = "r2", .value = NAN};
    assert_int_equal(fv_record_open(&record, scratch_folder(), 0, 0, NULL), FV_OK);
    assert_int_equal(fv_record_step(&record, &odd, NULL), FV_OK);
    assert_int_equal(fv_record_valid(&record, 1, 1, "", &nothing, 1, NULL), FV_OK);
    assert_int_equal(fv_record_valid(&record, 2, 1, "", NULL, 0, NULL), FV_OK);
    fv_record_close(&record);
    assert_log("{\"step\":9223372036854775807,\"epoch\":-1,\"loss\":null,\"lr\":null,\"grad_norm\":null,\"tokens\":-9223372036854775808,\"tokens_per_s\":0,\"seconds\":-0}\n"
               "{\"step\":1,\"epoch\":1,\"valid\":{\"r2\":null}}\n{\"step\":2,\"epoch\":1,\"valid\":{}}\n");
}

/* How often `tag` stands in the events. */
static int count_tag(const char *tag)
{
    fv_buf bytes = {0};
    int n = 0;
    assert_int_equal(fv_file_read(scratch_path(FV_RECORD_EVENTS), 1 << 20, &bytes, NULL), FV_OK);
    for (const char *at = bytes.data; (at = memmem(at, (size_t)(bytes.data + bytes.len - at), tag, strlen(tag))); at++) n++;
    fv_buf_release(&bytes);
    return n;
}

static void resuming_forgets_what_came_after_the_checkpoint(void **state)
{
    (void)state;
    fv_record record;
    uint64_t log_bytes, event_bytes, log_now, events_now;
    assert_int_equal(fv_record_open(&record, scratch_folder(), 0, 0, NULL), FV_OK);
    assert_int_equal(fv_record_step(&record, &figures, NULL), FV_OK);
    fv_record_sizes(&record, &log_bytes, &event_bytes);
    assert_int_equal(log_bytes, strlen(STEP_10));
    assert_int_equal(fv_record_step(&record, &figures, NULL), FV_OK);
    fv_record_close(&record);
    assert_int_equal(count_tag("train/loss"), 2);

    assert_int_equal(fv_record_open(&record, scratch_folder(), log_bytes, event_bytes, NULL), FV_OK);
    fv_record_sizes(&record, &log_now, &events_now);
    assert_int_equal(log_now, log_bytes);
    assert_int_equal(events_now, event_bytes);
    assert_int_equal(fv_record_valid(&record, 10, 2, "", metrics, 2, NULL), FV_OK);
    fv_record_close(&record);
    assert_log(STEP_10 VALID_10);
    assert_int_equal(count_tag("train/loss"), 1);
    assert_int_equal(count_tag("train/lr"), 1);
    assert_int_equal(count_tag("train/grad_norm"), 1);
    assert_int_equal(count_tag("train/tokens_per_s"), 1);
    assert_int_equal(count_tag("valid/accuracy"), 1);
    assert_int_equal(count_tag("valid/loss"), 1);
    assert_int_equal(count_tag("brain.Event:2"), 1);
}

static void no_folder(void **state)
{
    (void)state;
    fv_record record;
    fv_err err = {0};
    int64_t live = fv_alloc_live();
    assert_int_equal(fv_record_open(&record, scratch_path("missing"), 0, 0, &err), FV_E_IO);
    assert_non_null(strstr(err.text, "missing/log.jsonl"));
    assert_int_equal(fv_alloc_live(), live);
    fv_record_close(&record);
}

/* A full disk leaves whole lines only. */
static void full_disk(void **state)
{
    (void)state;
    fv_record record;
    assert_int_equal(fv_record_open(&record, scratch_folder(), 0, 0, NULL), FV_OK);
    assert_int_equal(fv_record_step(&record, &figures, NULL), FV_OK);
    fv_write_fail_after(0);
    assert_int_equal(fv_record_step(&record, &figures, NULL), FV_E_IO);
    fv_write_fail_after(1);
    assert_int_equal(fv_record_valid(&record, 10, 2, "", metrics, 2, NULL), FV_E_IO);
    fv_write_fail_after(-1);
    fv_record_close(&record);
    assert_log(STEP_10 VALID_10);
    assert_int_equal(count_tag("valid/accuracy"), 0);
}

static void full_heap(void **state)
{
    (void)state;
    fv_status status = FV_E_MEMORY;
    int64_t live = fv_alloc_live();
    for (int n = 0; status != FV_OK && n < 100; n++) {
        fv_record record;
        fv_alloc_fail_after(n);
        status = fv_record_open(&record, scratch_folder(), 0, 0, NULL);
        if (status == FV_OK) status = fv_record_step(&record, &figures, NULL);
        fv_alloc_fail_after(-1);
        fv_record_close(&record);
        assert_int_equal(fv_alloc_live(), live);
    }
    assert_int_equal(status, FV_OK);
    assert_log(STEP_10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_as_they_are_promised),
        cmocka_unit_test(what_is_not_finite_is_null),
        cmocka_unit_test(resuming_forgets_what_came_after_the_checkpoint),
        cmocka_unit_test(no_folder),
        cmocka_unit_test(full_disk),
        cmocka_unit_test(full_heap),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
