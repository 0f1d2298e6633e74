/* The table by which SentencePiece normalises: what is made agrees with Unicode's normalisation on every character and on
 * composed letters however they are spelled, and a walk in any table stays inside it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <utf8proc.h>

#include "base/rng.h"
#include "text/sentencepiece.h"

static fv_charsmap made(fv_normalize form, bool lowercase)
{
    fv_err err = {0};
    fv_buf blob = {0};
    fv_charsmap map = {0};
    assert_int_equal(fv_charsmap_make(&blob, form, lowercase, &err), FV_OK);
    if (blob.len && fv_charsmap_init(&map, &blob, "test", &err) != FV_OK) fail_msg("%s", err.text);
    assert_null(blob.data);
    return map;
}

/* What a table makes of a text, entry by entry. */
static void apply(const fv_charsmap *map, const char *p, size_t len, fv_buf *out)
{
    out->len = 0;
    assert_int_equal(fv_buf_add(out, "", 0, NULL), FV_OK);
    for (size_t n; len; p += n, len -= n) {
        const char *to;
        n = fv_charsmap_find(map, p, len, &to);
        assert_int_equal(n ? fv_buf_puts(out, to, NULL) : fv_buf_add(out, p, 1, NULL), FV_OK);
        if (!n) n = 1;
    }
}

static void assert_becomes(const fv_charsmap *map, const char *text, const char *expected)
{
    fv_buf out = {0};
    apply(map, text, strlen(text), &out);
    if (strcmp(out.data, expected) != 0) fail_msg("\"%s\" became \"%s\" instead of \"%s\"", text, out.data, expected);
    fv_buf_release(&out);
}

static void nothing_to_do_is_no_table(void **state)
{
    (void)state;
    fv_charsmap map = made(FV_NORMALIZE_NONE, false);
    const char *to;
    assert_int_equal(map.blob.len, 0);
    assert_int_equal(fv_charsmap_find(&map, "a", 1, &to), 0);
}

static bool is_cleaned(int32_t point)
{
    utf8proc_category_t c = utf8proc_category(point);
    return c == UTF8PROC_CATEGORY_CC || c == UTF8PROC_CATEGORY_ZS || c == UTF8PROC_CATEGORY_ZL || c == UTF8PROC_CATEGORY_ZP || c == UTF8PROC_CATEGORY_CF;
}

/* Every character by itself, but for white space and control characters, becomes what normalising makes of it. */
static void assert_characters(fv_normalize form, bool lowercase)
{
    fv_charsmap map = made(form, lowercase);
    fv_normalized n = {0};
    fv_buf out = {0};
    size_t compared = 0;
    for (int32_t point = 1; point < 0x30000; point++) {
        char text[4];
        if (!utf8proc_codepoint_valid(point) || is_cleaned(point) || utf8proc_category(point) == UTF8PROC_CATEGORY_CO) continue;
        size_t len = (size_t)utf8proc_encode_char(point, (utf8proc_uint8_t *)text);
        assert_int_equal(fv_normalize_text(&n, (fv_normalizer){.form = form, .lowercase = lowercase}, text, len, 0, NULL), FV_OK);
        apply(&map, text, len, &out);
        if (out.len != n.len || memcmp(out.data, n.data, n.len) != 0) fail_msg("U+%04X", (unsigned)point);
        compared++;
    }
    assert_true(compared > 100000);
    fv_normalized_release(&n);
    fv_buf_release(&out);
    fv_buf_release(&map.blob);
}

static void each_character_is_normalised(void **state)
{
    (void)state;
    assert_characters(FV_NORMALIZE_NFC, false);
    assert_characters(FV_NORMALIZE_NFKC, false);
    assert_characters(FV_NORMALIZE_NFKC, true);
    assert_characters(FV_NORMALIZE_NONE, true);
}

static void letters_and_marks_compose_however_they_are_spelled(void **state)
{
    (void)state;
    fv_charsmap map = made(FV_NORMALIZE_NFKC, true);
    assert_becomes(&map, "cafe\u0301 E\u0302\u0301 \u00ca\u0301 A\u030a", "caf\u00e9 \u1ebf \u1ebf \u00e5");
    assert_becomes(&map, "\u03b1\u0313\u0300\u0345 \u1f00\u0300\u0345 \u1f02\u0345", "\u1f82 \u1f82 \u1f82");
    assert_becomes(&map, "\u304b\u3099\uff76\uff9e x\u0301", "\u304c\u30ab\u3099 x\u0301"); /* half-width letters become marks too late to compose */
    fv_buf_release(&map.blob);
}

static void white_space_is_one_kind_and_control_characters_go(void **state)
{
    (void)state;
    fv_charsmap map = made(FV_NORMALIZE_NFC, false);
    assert_becomes(&map, "a\tb\nc\u00a0d\u2028e\u3000f", "a b c d e f");
    assert_becomes(&map, "a\x01\u200b\u00ad\ufeff" "b", "ab");
    assert_becomes(&map, "\u2764\u200d\u2764", "\u2764\u200d\u2764");
    fv_buf_release(&map.blob);
}

/* A zero byte is no entry's, and walks into no other's. */
static void a_zero_byte_matches_nothing(void **state)
{
    (void)state;
    fv_charsmap map = made(FV_NORMALIZE_NFKC, true);
    const char *to;
    for (int byte = 0; byte < 256; byte++) {
        char text[3] = {0, (char)byte, 'A'};
        assert_int_equal(fv_charsmap_find(&map, text, 3, &to), 0);
    }
    fv_buf_release(&map.blob);
}

/* Units drawn at random lead out of the array as often as not. */
static void any_table_is_walked_safely(void **state)
{
    fv_rng rng = fv_rng_make(3, "tables");
    (void)state;
    for (int round = 0; round < 200; round++) {
        char bytes[4 + 64 * 4 + 2] = {0}, text[16];
        uint32_t size = 64 * 4;
        memcpy(bytes, &size, 4);
        for (size_t i = 4; i < 4 + size; i++) bytes[i] = (char)(fv_rng_next(&rng) & (i % 4 == 0 ? 0xff : 0x07));
        fv_buf blob = {0};
        fv_charsmap map = {0};
        assert_int_equal(fv_buf_add(&blob, bytes, sizeof bytes, NULL), FV_OK);
        assert_int_equal(fv_charsmap_init(&map, &blob, "test", NULL), FV_OK);
        for (int k = 0; k < 100; k++) {
            const char *to;
            for (size_t i = 0; i < sizeof text; i++) text[i] = (char)fv_rng_next(&rng);
            size_t n = fv_charsmap_find(&map, text, sizeof text, &to);
            assert_true(n <= sizeof text && (n == 0 || strlen(to) < sizeof bytes));
        }
        fv_buf_release(&map.blob);
    }
}

/* A unit for 'a' whose children begin where its own sisters do. */
static void a_table_that_leads_back_ends(void **state)
{
    enum { UNITS = 'a' + 1 };
    static const char text[5000] = {'a', 'a'};
    unsigned char bytes[4 + 4 * UNITS + 1] = {4 * UNITS % 256, 4 * UNITS / 256}, *unit = bytes + 4 + 4 * 'a';
    char run[5000];
    const char *to;
    fv_buf blob = {0};
    fv_charsmap map = {0};
    (void)state;
    unit[0] = 'a', unit[1] = ('a' << 2 & 0xff) | 1, unit[2] = 'a' >> 6;
    assert_int_equal(fv_buf_add(&blob, bytes, sizeof bytes, NULL), FV_OK);
    assert_int_equal(fv_charsmap_init(&map, &blob, "test", NULL), FV_OK);
    memset(run, 'a', sizeof run);
    assert_int_equal(fv_charsmap_find(&map, text, sizeof text, &to), 2);
    assert_int_equal(fv_charsmap_find(&map, run, sizeof run, &to), 1024);
    fv_buf_release(&map.blob);
}

static void a_replacement_without_bound_is_refused(void **state)
{
    fv_err err = {0};
    fv_buf blob = {0};
    fv_charsmap map = {0};
    (void)state;
    assert_int_equal(fv_buf_add(&blob, "\4\0\0\0\0\0\0\0", 8, NULL), FV_OK);
    for (int i = 0; i < 1025; i++) assert_int_equal(fv_buf_putc(&blob, 'x', NULL), FV_OK);
    assert_int_equal(fv_buf_putc(&blob, 0, NULL), FV_OK);
    assert_int_equal(fv_charsmap_init(&map, &blob, "m.spm", &err), FV_E_FORMAT);
    assert_non_null(strstr(err.text, "by 1025 bytes"));
    fv_buf_release(&blob);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_to_do_is_no_table),
        cmocka_unit_test(each_character_is_normalised),
        cmocka_unit_test(letters_and_marks_compose_however_they_are_spelled),
        cmocka_unit_test(white_space_is_one_kind_and_control_characters_go),
        cmocka_unit_test(a_zero_byte_matches_nothing),
        cmocka_unit_test(any_table_is_walked_safely),
        cmocka_unit_test(a_table_that_leads_back_ends),
        cmocka_unit_test(a_replacement_without_bound_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
