/* TensorBoard events: checksums, framing and fields, decoded here by hand and, once, by TensorBoard. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "formats/formats.h"
#include "formats/scratch.h"

static void checksums_are_castagnolis(void **state)
{
    (void)state;
    uint8_t ascending[32], zeros[32] = {0};
    for (int i = 0; i < 32; i++) ascending[i] = (uint8_t)i;
    assert_int_equal(fv_crc32c("", 0), 0);
    assert_int_equal(fv_crc32c("123456789", 9), 0xe3069283u);
    assert_int_equal(fv_crc32c(zeros, 32), 0x8a9136aau);     /* RFC 3720, B.4 */
    assert_int_equal(fv_crc32c(ascending, 32), 0x46dd794eu); /* the same */
}

static uint32_t masked(const void *bytes, size_t n)
{
    uint32_t crc = fv_crc32c(bytes, n);
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

/* The next record's bytes, with its frame checked. */
static const uint8_t *next_record(const fv_buf *file, size_t *at, size_t *n)
{
    const uint8_t *p = (const uint8_t *)file->data + *at;
    uint64_t length;
    uint32_t crc;
    assert_true(file->len - *at >= 16);
    memcpy(&length, p, 8);
    memcpy(&crc, p + 8, 4);
    assert_int_equal(crc, masked(p, 8));
    assert_true(length <= file->len - *at - 16);
    memcpy(&crc, p + 12 + length, 4);
    assert_int_equal(crc, masked(p + 12, length));
    *at += length + 16;
    *n = length;
    return p + 12;
}

static void assert_whole_file(const char *path, size_t records)
{
    fv_buf file = {0};
    size_t at = 0, n = 0, found = 0;
    assert_int_equal(fv_file_read(path, 1 << 20, &file, NULL), FV_OK);
    for (; at < file.len; found++) next_record(&file, &at, &n);
    assert_int_equal(found, records);
    fv_buf_release(&file);
}

static void a_file_starts_with_its_version(void **state)
{
    (void)state;
    const char *path = scratch_path("version");
    fv_events events;
    fv_buf file = {0};
    size_t at = 0, n;
    assert_int_equal(fv_events_open(&events, path, 0, NULL), FV_OK);
    assert_int_equal(fv_file_read(path, 1 << 20, &file, NULL), FV_OK);
    assert_int_equal(fv_events_size(&events), file.len);
    const uint8_t *record = next_record(&file, &at, &n);
    assert_int_equal(n, 1 + 8 + 2 + 13);
    assert_int_equal(record[0], 1 << 3 | 1);                    /* wall_time, 64 bits */
    assert_memory_equal(record + 9, "\x1a\x0d" "brain.Event:2", 15); /* file_version */
    fv_buf_release(&file);
    fv_events_close(&events);
}

static void a_scalar_byte_for_byte(void **state)
{
    (void)state;
    const char *path = scratch_path("scalar");
    fv_events events;
    fv_buf file = {0};
    size_t at = 0, n;
    assert_int_equal(fv_events_open(&events, path, 0, NULL), FV_OK);
    assert_int_equal(fv_events_scalar(&events, 300, 1.5, "train/loss", 0.25, NULL), FV_OK);
    fv_events_close(&events);
    assert_int_equal(fv_file_read(path, 1 << 20, &file, NULL), FV_OK);
    next_record(&file, &at, &n);
    const uint8_t *record = next_record(&file, &at, &n);
    static const uint8_t expected[] = {
        0x09, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f,                    /* wall_time: 1.5 */
        0x10, 0xac, 0x02,                                      /* step: 300 */
        0x2a, 19, 0x0a, 17,                                    /* summary, value */
        0x0a, 10, 't', 'r', 'a', 'i', 'n', '/', 'l', 'o', 's', 's',
        0x15, 0, 0, 0x80, 0x3e,                                /* simple_value: 0.25 */
    };
    assert_int_equal(n, sizeof expected);
    assert_memory_equal(record, expected, sizeof expected);
    assert_int_equal(at, file.len);
    fv_buf_release(&file);
}

static void any_step_value_and_tag(void **state)
{
    (void)state;
    static char tag[128];
    const char *path = scratch_path("extremes");
    fv_err err = {0};
    fv_events events;
    assert_int_equal(fv_events_open(&events, path, 0, &err), FV_OK);
    memset(tag, 'x', 127);
    assert_int_equal(fv_events_scalar(&events, INT64_MAX, 1e9, tag, 1, &err), FV_OK);
    assert_int_equal(fv_events_scalar(&events, INT64_MIN, 1e9, "", __builtin_nan(""), &err), FV_OK);
    uint64_t size = fv_events_size(&events);
    fv_events_close(&events);
    assert_whole_file(path, 3);

    char long_tag[129];
    memset(long_tag, 'x', 128);
    long_tag[128] = 0;
    assert_int_equal(fv_events_open(&events, path, size, &err), FV_OK);
    assert_int_equal(fv_events_scalar(&events, 0, 1e9, long_tag, 1, &err), FV_E_ARGUMENT);
    assert_string_equal(err.text, "the tag of a scalar has 128 bytes; at most 127 are supported");
    assert_int_equal(fv_events_size(&events), size);
    fv_events_close(&events);
}

static void resuming_cuts_back(void **state)
{
    (void)state;
    const char *path = scratch_path("resumed");
    fv_events events;
    assert_int_equal(fv_events_open(&events, path, 0, NULL), FV_OK);
    assert_int_equal(fv_events_scalar(&events, 1, 1, "a", 1, NULL), FV_OK);
    uint64_t keep = fv_events_size(&events);
    assert_int_equal(fv_events_scalar(&events, 2, 2, "a", 2, NULL), FV_OK);
    fv_events_close(&events);
    assert_whole_file(path, 3);

    assert_int_equal(fv_events_open(&events, path, keep, NULL), FV_OK);
    assert_int_equal(fv_events_size(&events), keep);
    fv_events_close(&events);
    assert_whole_file(path, 2);

    assert_int_equal(fv_events_open(&events, path, 0, NULL), FV_OK);
    fv_events_close(&events);
    assert_whole_file(path, 1);
}

static void full_disk_and_bad_places(void **state)
{
    (void)state;
    const char *path = scratch_path("disk");
    fv_err err = {0};
    fv_events events;
    fv_write_fail_after(0);
    assert_int_equal(fv_events_open(&events, path, 0, &err), FV_E_IO);
    fv_write_fail_after(-1);
    assert_int_equal(fv_events_open(&events, path, 0, &err), FV_OK);
    fv_write_fail_after(0);
    assert_int_equal(fv_events_scalar(&events, 1, 1, "a", 1, &err), FV_E_IO);
    fv_write_fail_after(-1);
    fv_events_close(&events);
    assert_whole_file(path, 1);
    assert_int_not_equal(fv_events_open(&events, scratch_folder(), 0, &err), FV_OK);
    assert_int_equal(fv_events_open(&events, scratch_path("no/such/place"), 0, &err), FV_E_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksums_are_castagnolis),
        cmocka_unit_test(a_file_starts_with_its_version),
        cmocka_unit_test(a_scalar_byte_for_byte),
        cmocka_unit_test(any_step_value_and_tag),
        cmocka_unit_test(resuming_cuts_back),
        cmocka_unit_test(full_disk_and_bad_places),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
