/* Text: buffers, the map, hashes, UTF-8, what messages show, numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static int64_t live_before;

static int remember_live(void **state)
{
    (void)state;
    live_before = fv_alloc_live();
    return 0;
}

static int nothing_leaked(void **state)
{
    (void)state;
    fv_alloc_fail_after(-1);
    return fv_alloc_live() == live_before ? 0 : -1;
}

/* ---- Buffers ------------------------------------------------------------------------------ */

static void buffers_grow_and_end_in_zero(void **state)
{
    (void)state;
    fv_buf buf = {0};
    assert_int_equal(fv_buf_add(&buf, NULL, 0, NULL), FV_OK);
    assert_string_equal(buf.data, "");
    assert_int_equal(fv_buf_puts(&buf, "one", NULL), FV_OK);
    assert_int_equal(fv_buf_putc(&buf, ' ', NULL), FV_OK);
    assert_int_equal(fv_buf_add(&buf, "two!", 3, NULL), FV_OK);
    assert_int_equal(fv_buf_printf(&buf, NULL, " %d%s", 3, ""), FV_OK);
    assert_string_equal(buf.data, "one two 3");
    assert_int_equal(buf.len, 9);
    fv_buf_release(&buf);
    assert_null(buf.data);
    fv_buf_release(&buf);
}

static void buffers_of_every_length(void **state)
{
    (void)state;
    fv_buf bytes = {0}, printed = {0};
    for (size_t n = 0; n < 3000; n++) {
        assert_int_equal(bytes.len, n);
        assert_int_equal(fv_buf_putc(&bytes, (char)('a' + n % 26), NULL), FV_OK);
        assert_int_equal(fv_buf_printf(&printed, NULL, "%c", (char)('a' + n % 26)), FV_OK);
        assert_true(bytes.capacity > bytes.len);
        assert_int_equal(bytes.data[bytes.len], 0);
    }
    assert_string_equal(bytes.data, printed.data);
    fv_buf_release(&bytes);
    fv_buf_release(&printed);
}

static void reserved_room_needs_no_memory(void **state)
{
    (void)state;
    fv_buf buf = {0};
    assert_int_equal(fv_buf_reserve(&buf, 1000, NULL), FV_OK);
    fv_alloc_fail_after(0);
    for (int i = 0; i < 1000; i++) assert_int_equal(fv_buf_putc(&buf, 'x', NULL), FV_OK);
    fv_alloc_fail_after(-1);
    fv_buf_release(&buf);
}

static void a_failed_add_keeps_the_text(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_buf buf = {0};
    char longer[500] = {0};
    memset(longer, 'x', sizeof longer - 1);
    assert_int_equal(fv_buf_puts(&buf, "kept", &err), FV_OK);
    fv_alloc_fail_after(0);
    assert_int_equal(fv_buf_puts(&buf, longer, &err), FV_E_MEMORY);
    fv_alloc_fail_after(0);
    assert_int_equal(fv_buf_printf(&buf, &err, "%s", longer), FV_E_MEMORY);
    assert_int_equal(fv_buf_reserve(&buf, SIZE_MAX, &err), FV_E_MEMORY);
    assert_int_equal(fv_buf_reserve(&buf, SIZE_MAX - 5, &err), FV_E_MEMORY);
    assert_string_equal(buf.data, "kept");
    assert_int_equal(buf.len, 4);
    fv_buf_release(&buf);
}

/* ---- Hash --------------------------------------------------------------------------------- */

/* These numbers are a promise: caches and trainings of other machines and versions use them. */
static void hashes_stay_the_same(void **state)
{
    (void)state;
    static const struct { size_t n; uint64_t hash; } known[] = {
        {0, 0x843625eb8176b6c6}, {1, 0xd626df78e4140fc4}, {3, 0x69ea287bd5c5a8ca}, {4, 0xb0aabf2b33cd23a9},
        {7, 0x9002d718ede54d1c}, {8, 0x64c0e758d43ea70b}, {15, 0x72802286a30b5301}, {16, 0x6aa81621dbbb6e2b},
        {17, 0x339254be961ca481}, {33, 0x3ce9f40671bbd9c2}, {64, 0xbbf4c11b4dd15be4},
    };
    unsigned char bytes[64 + 8];
    for (size_t shift = 0; shift < 8; shift++) {
        for (size_t i = 0; i < 64; i++) bytes[shift + i] = (unsigned char)i;
        for (size_t k = 0; k < FV_COUNT(known); k++) assert_true(fv_hash64(bytes + shift, known[k].n, 7) == known[k].hash);
    }
}

static void each_bit_flips_half_of_the_hash(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 50; n++) {
        for (size_t bit = 0; bit < 8 * n; bit++) {
            double flips = 0;
            for (int round = 0; round < 40; round++) {
                unsigned char bytes[50];
                for (size_t i = 0; i < n; i++) bytes[i] = (unsigned char)((size_t)round * 31 + i * i);
                uint64_t before = fv_hash64(bytes, n, 0);
                bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
                flips += __builtin_popcountll(before ^ fv_hash64(bytes, n, 0));
            }
            assert_true(fabs(flips / 40 - 32) < 4);
        }
    }
}

static int compare_hashes(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void no_two_short_keys_collide(void **state)
{
    (void)state;
    enum { N = 200000 };
    uint64_t *hashes = malloc(N * sizeof *hashes);
    for (int i = 0; i < N; i++) {
        char key[32];
        int n = snprintf(key, sizeof key, i % 2 ? "%d" : "Ġ%d-token", i / 2);
        hashes[i] = fv_hash64(key, (size_t)n, 0);
    }
    qsort(hashes, N, sizeof *hashes, compare_hashes);
    for (int i = 1; i < N; i++) assert_true(hashes[i] != hashes[i - 1]);
    free(hashes);
}

static void length_and_seed_count(void **state)
{
    (void)state;
    static const unsigned char zeros[40];
    for (size_t n = 0; n < 40; n++) {
        assert_true(fv_hash64(zeros, n, 0) != fv_hash64(zeros, n + 1 < 40 ? n + 1 : 0, 0));
        assert_true(fv_hash64(zeros, n, 0) != fv_hash64(zeros, n, 1));
    }
}

/* ---- Map ---------------------------------------------------------------------------------- */

static fv_status set_number(fv_map *map, int i, fv_err *err)
{
    char key[16];
    int n = snprintf(key, sizeof key, "key %d", i);
    return fv_map_set(map, key, (size_t)n, i, err);
}

static int32_t get_number(const fv_map *map, int i)
{
    char key[16];
    int n = snprintf(key, sizeof key, "key %d", i);
    return fv_map_get(map, key, (size_t)n);
}

static void maps_find_what_was_set_in_its_order(void **state)
{
    (void)state;
    fv_map map = {0};
    assert_int_equal(fv_map_get(&map, "x", 1), -1);
    for (int i = 0; i < 20000; i++) assert_int_equal(set_number(&map, i, NULL), FV_OK);
    assert_int_equal(map.n, 20000);
    for (int i = 0; i < 20000; i++) {
        assert_int_equal(get_number(&map, i), i);
        assert_int_equal(map.entries[i].value, i);
        assert_int_equal(strlen(map.entries[i].key), map.entries[i].len);
    }
    for (int i = 20000; i < 40000; i++) assert_int_equal(get_number(&map, i), -1);
    fv_map_release(&map);
    assert_int_equal(fv_map_get(&map, "x", 1), -1);
}

static void setting_again_replaces(void **state)
{
    (void)state;
    fv_map map = {0};
    fv_map_set(&map, "a", 1, 1, NULL);
    fv_map_set(&map, "b", 1, 2, NULL);
    fv_map_set(&map, "a", 1, 3, NULL);
    assert_int_equal(map.n, 2);
    assert_int_equal(fv_map_get(&map, "a", 1), 3);
    assert_string_equal(map.entries[0].key, "a");
    fv_map_release(&map);
}

static void keys_may_be_any_bytes(void **state)
{
    (void)state;
    fv_map map = {0};
    assert_int_equal(fv_map_set(&map, "", 0, 1, NULL), FV_OK);
    assert_int_equal(fv_map_set(&map, "\0", 1, 2, NULL), FV_OK);
    assert_int_equal(fv_map_set(&map, "\0\0", 2, 3, NULL), FV_OK);
    assert_int_equal(fv_map_set(&map, "\xff", 1, 4, NULL), FV_OK);
    assert_int_equal(fv_map_get(&map, "", 0), 1);
    assert_int_equal(fv_map_get(&map, "\0", 1), 2);
    assert_int_equal(fv_map_get(&map, "\0\0", 2), 3);
    assert_int_equal(fv_map_get(&map, "\xff", 1), 4);
    fv_map_release(&map);
}

static void a_map_is_whole_after_each_failure(void **state)
{
    (void)state;
    int64_t failures = 0;
    for (int64_t n = 0;; n++, failures++) {
        fv_err err = {0};
        fv_map map = {0};
        int done = 0;
        fv_alloc_fail_after(n);
        while (done < 300 && set_number(&map, done, &err) == FV_OK) done++;
        fv_alloc_fail_after(-1);
        assert_int_equal(map.n, done);
        for (int i = 0; i < done; i++) assert_int_equal(get_number(&map, i), i);
        assert_int_equal(get_number(&map, done), -1);
        if (done < 300) assert_int_equal(err.status, FV_E_MEMORY);
        assert_int_equal(set_number(&map, done, NULL), FV_OK);
        fv_map_release(&map);
        if (done == 300) break;
    }
    assert_true(failures >= 8);
}

/* ---- UTF-8 -------------------------------------------------------------------------------- */

/* The length by the definition: decode, then ask whether the number is allowed and needs so many bytes. */
static int slow_utf8_len(const unsigned char *p, int n)
{
    int len = p[0] < 0x80 ? 1 : p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : p[0] >> 3 == 30 ? 4 : 0;
    if (len == 0 || len > n) return 0;
    uint32_t c = len == 1 ? p[0] : p[0] & (0xFFu >> (len + 1));
    for (int i = 1; i < len; i++) {
        if (p[i] >> 6 != 2) return 0;
        c = c << 6 | (p[i] & 0x3Fu);
    }
    int needs = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    return needs == len && c <= 0x10FFFF && !(c >= 0xD800 && c < 0xE000) ? len : 0;
}

static void utf8_lengths_hold_for_all_openings(void **state)
{
    (void)state;
    static const unsigned char others[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC2, 0xE0, 0xFF};
    for (int first = 0; first < 256; first++)
        for (int second = 0; second < 256; second++)
            for (size_t k = 0; k < FV_COUNT(others); k++)
                for (int n = 1; n <= 4; n++) {
                    unsigned char p[4] = {(unsigned char)first, (unsigned char)second, others[k], others[(k + 5) % FV_COUNT(others)]};
                    int len = fv_utf8_len((const char *)p, (const char *)p + n);
                    if (len != slow_utf8_len(p, n)) fail_msg("%02x %02x %02x %02x of %d: %d", p[0], p[1], p[2], p[3], n, len);
                }
    assert_int_equal(fv_utf8_len("a", "a"), 0);
}

/* ---- fv_show ------------------------------------------------------------------------------ */

static void shown(const char *text, size_t len, const char *expected)
{
    fv_shown room;
    assert_string_equal(fv_show(&room, text, len), expected);
}

static void shows_are_quoted_and_escaped(void **state)
{
    (void)state;
    shown("", 0, "\"\"");
    shown(NULL, 0, "nothing");
    shown("plain 猫 é 🐈", strlen("plain 猫 é 🐈"), "\"plain 猫 é 🐈\"");
    shown("a\tb\r\n\"\\", 7, "\"a\\tb\\r\\n\\\"\\\\\"");
    shown("\0\x1b[m\x7f", 5, "\"\\x00\\x1B[m\\x7F\"");
    shown("\xff\xe7\x8c", 3, "\"\\xFF\\xE7\\x8C\"");
    shown("\xc2\x9b", 2, "\"\\xC2\\x9B\"");
}

static void shows_are_cut_at_a_character(void **state)
{
    (void)state;
    for (size_t lead = 0; lead < 4; lead++) {
        char text[1000], expected[100] = "\"";
        size_t n = lead;
        memset(text, 'a', sizeof text);
        for (; n + 3 <= sizeof text; n += 3) memcpy(text + n, "猫", 3);
        size_t kept = lead + (60 - lead) / 3 * 3;
        memcpy(expected + 1, text, kept);
        memcpy(expected + 1 + kept, "...\"", 5);
        shown(text, n, expected);
    }
    char exact[61] = {0};
    memset(exact, 'a', 60);
    fv_shown room;
    assert_null(strstr(fv_show(&room, exact, 60), "..."));
}

static void any_bytes_fit_into_a_show(void **state)
{
    (void)state;
    char text[300];
    for (int byte = 0; byte < 256; byte++)
        for (size_t len = 0; len < sizeof text; len += 13) {
            memset(text, byte, sizeof text);
            fv_shown room;
            const char *out = fv_show(&room, text, len);
            assert_in_range(strlen(out), 2, sizeof room.text - 1);
            assert_int_equal(out[strlen(out) - 1], '"');
        }
}

/* ---- Numbers ------------------------------------------------------------------------------ */

static void reads_doubles(void **state)
{
    (void)state;
    static const struct { const char *text; double value; } good[] = {
        {"0", 0}, {"-1.5", -1.5}, {"+2e3", 2000}, {".5", 0.5}, {"5.", 5}, {"1e-320", 1e-320}, {"0.1", 0.1},
    };
    static const char *bad[] = {"", " 1", "1 ", "1,5", "nan", "inf", "-inf", "0x10", "1e999", "1e", "--1", "1.2.3", "e", ".", "+"};
    double value = 0;
    for (size_t i = 0; i < FV_COUNT(good); i++) {
        assert_true(fv_parse_double(good[i].text, &value));
        assert_true(value == good[i].value);
    }
    value = 7;
    for (size_t i = 0; i < FV_COUNT(bad); i++) assert_false(fv_parse_double(bad[i], &value));
    assert_true(value == 7);
}

static void reads_integers(void **state)
{
    (void)state;
    static const struct { const char *text; int64_t value; } good[] = {
        {"0", 0}, {"-7", -7}, {"+7", 7}, {"007", 7}, {"9223372036854775807", INT64_MAX}, {"-9223372036854775808", INT64_MIN},
    };
    static const char *bad[] = {"", "-", "+", " 1", "1 ", "1.0", "1e3", "0x1", "--1", "9223372036854775808", "-9223372036854775809"};
    int64_t value = 0;
    for (size_t i = 0; i < FV_COUNT(good); i++) {
        assert_true(fv_parse_int64(good[i].text, &value));
        assert_true(value == good[i].value);
    }
    value = 7;
    for (size_t i = 0; i < FV_COUNT(bad); i++) assert_false(fv_parse_int64(bad[i], &value));
    assert_true(value == 7);
}

static void doubles_are_written_short_and_read_back(void **state)
{
    (void)state;
    char out[FV_DOUBLE_TEXT];
    assert_string_equal(fv_double_text(0.1, out), "0.1");
    assert_string_equal(fv_double_text(1e-12, out), "1e-12");
    assert_string_equal(fv_double_text(-3, out), "-3");
    static const double values[] = {1.0 / 3, M_PI, DBL_MAX, DBL_MIN, 5e-324, -DBL_MAX, 0.1 + 0.2, 1e22, 123456789.123456789, 0.1f};
    for (size_t i = 0; i < FV_COUNT(values); i++) {
        double back = 0;
        assert_true(fv_parse_double(fv_double_text(values[i], out), &back));
        assert_true(back == values[i]);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, remember_live, nothing_leaked)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(buffers_grow_and_end_in_zero),
        TEST(buffers_of_every_length),
        TEST(reserved_room_needs_no_memory),
        TEST(a_failed_add_keeps_the_text),
        TEST(hashes_stay_the_same),
        TEST(each_bit_flips_half_of_the_hash),
        TEST(no_two_short_keys_collide),
        TEST(length_and_seed_count),
        TEST(maps_find_what_was_set_in_its_order),
        TEST(setting_again_replaces),
        TEST(keys_may_be_any_bytes),
        TEST(a_map_is_whole_after_each_failure),
        TEST(utf8_lengths_hold_for_all_openings),
        TEST(shows_are_quoted_and_escaped),
        TEST(shows_are_cut_at_a_character),
        TEST(any_bytes_fit_into_a_show),
        TEST(reads_doubles),
        TEST(reads_integers),
        TEST(doubles_are_written_short_and_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
