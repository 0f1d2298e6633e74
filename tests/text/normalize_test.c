/* Normalisation: the forms of Unicode Annex 15, lower case, and where each byte came from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "text/tokenizer.h"

static const fv_normalizer nfc = {.form = FV_NORMALIZE_NFC}, nfkc = {.form = FV_NORMALIZE_NFKC};
static const fv_normalizer lower = {.lowercase = true}, both = {.form = FV_NORMALIZE_NFKC, .lowercase = true}, nothing = {.form = FV_NORMALIZE_NONE};

static void assert_becomes(fv_normalizer how, const char *text, const char *expected)
{
    fv_normalized n = {0};
    assert_int_equal(fv_normalize_text(&n, how, text, strlen(text), 0, NULL), FV_OK);
    assert_int_equal(n.len, strlen(expected));
    if (n.len) assert_memory_equal(n.data, expected, n.len);
    fv_normalized_release(&n);
}

static void forms_are_those_of_unicode(void **state)
{
    (void)state;
    assert_becomes(nothing, "e\u0301 \uff21", "e\u0301 \uff21");
    assert_becomes(nfc, "e\u0301 \uff21 \ufb01", "\u00e9 \uff21 \ufb01");
    assert_becomes(nfkc, "e\u0301 \uff21 \ufb01 \u2460 \u337f \u00bd", "\u00e9 A fi 1 \u682a\u5f0f\u4f1a\u793e 1\u20442");
    assert_becomes(nfc, "\u212b \u0958 \u2adc", "\u00c5 \u0915\u093c \u2add\u0338"); /* singletons and exclusions */
    assert_becomes(nfkc, "\uff76\uff9e \uff8a\uff9f", "\u30ac \u30d1");               /* half-width kana compose */
    assert_becomes(nfc, "\uff76\uff9e", "\uff76\uff9e");
    assert_becomes(nfc, "\u1112\u1161\u11ab \u1100\u1161", "\ud55c \uac00");          /* Hangul by rule */
    assert_becomes(nfc, "\uac00\u11a8", "\uac01");
    assert_becomes(nfc, "\u0344 x\u0344", "\u0308\u0301 \u1e8d\u0301");                   /* a mark that decomposes */
}

static void marks_are_reordered(void **state)
{
    (void)state;
    assert_becomes(nfc, "q\u0307\u0323", "q\u0323\u0307");
    assert_becomes(nfc, "e\u0302\u0323", "\u1ec7");
    assert_becomes(nfc, "a\u0315\u0300\u05ae\u0300" "b", "\u00e0\u05ae\u0300\u0315" "b"); /* from NormalizationTest.txt */
    assert_becomes(nfc, "\u0301start", "\u0301start");
}

static void lower_case_is_full(void **state)
{
    (void)state;
    assert_becomes(lower, "ABC xyz \u00c9\u0416\u03a3 \u1e9e", "abc xyz \u00e9\u0436\u03c3 \u00df");
    assert_becomes(lower, "\u0130I", "i\u0307i");
    assert_becomes(lower, "\u01c4 \u01c5", "\u01c6 \u01c6");
    assert_becomes(lower, "E\u0301", "e\u0301"); /* no form asked for */
    assert_becomes(both, "\uff21\u0301 \ufb01X", "\u00e1 fix");
}

static void broken_bytes_pass_through(void **state)
{
    (void)state;
    const fv_normalizer all[] = {nothing, nfc, nfkc, lower, both};
    for (size_t i = 0; i < FV_COUNT(all); i++) {
        assert_becomes(all[i], "\xff\xc3 \xe4\xbd", "\xff\xc3 \xe4\xbd");
        assert_becomes(all[i], "\xed\xa0\x80\xc0\x80", "\xed\xa0\x80\xc0\x80"); /* a surrogate, an overlong zero */
        assert_becomes(all[i], "", "");
    }
    assert_becomes(nfc, "e\xff\u0301", "e\xff\u0301"); /* nothing composes across them */
}

/* Spans as text: "out<begin" for exact ones, "out<begin-end" for others. */
static void assert_spans(fv_normalizer how, const char *text, uint32_t base, const char *expected)
{
    char found[512] = "";
    int at = 0;
    fv_normalized n = {0};
    assert_int_equal(fv_normalize_text(&n, how, text, strlen(text), base, NULL), FV_OK);
    for (size_t i = 0; i < n.n_spans; i++) {
        const fv_span *s = &n.spans[i];
        at += snprintf(found + at, sizeof found - (size_t)at, s->exact ? "%zu<%u " : "%zu<%u-%u ", s->out, s->begin, s->end);
    }
    assert_string_equal(found, expected);
    fv_normalized_release(&n);
}

static void bytes_know_where_they_came_from(void **state)
{
    (void)state;
    assert_spans(nothing, "anything", 7, "0<7 ");
    assert_spans(nfc, "plain \u4f60\u597d text", 7, "0<7 ");
    assert_spans(lower, "ABC \u00c9\u0416", 0, "0<0 ");             /* same length: byte for byte */
    assert_spans(nfc, "ae\u0301b", 10, "0<10 1<11-14 3<14 ");       /* e and its accent made two bytes */
    assert_spans(nfkc, "x\u337fy", 0, "0<0 1<1-4 13<4 ");           /* one character made four */
    assert_spans(lower, "a\u0130b", 0, "0<0 1<1-3 4<3 ");
    assert_spans(nfc, "q\u0323\u0307!", 0, "0<0 ");                 /* marks in order stay apart */
    assert_spans(nfc, "q\u0307\u0323!", 0, "0<0 1<1-5 5<5 ");       /* reordered: both from both */
    assert_spans(both, "E\u0323!", 3, "0<3-6 3<6 ");
    assert_spans(nfc, "e\xff\u0301", 0, "0<0 ");
}

/* utf8proc alone takes hours for this: it sorts marks by swapping neighbours. */
static void a_megabyte_of_marks_is_quick(void **state)
{
    (void)state;
    enum { MARKS = 500000 };
    char *text = malloc(2 * MARKS + 1);
    fv_normalized n = {0};
    text[0] = 'e';
    for (size_t i = 0; i < MARKS; i++) memcpy(text + 1 + 2 * i, i % 2 ? "\u0323" : "\u0301", 2);
    double start = fv_now();
    assert_int_equal(fv_normalize_text(&n, nfc, text, 2 * MARKS + 1, 0, NULL), FV_OK);
    assert_true(fv_now() - start < 5);
    /* e and the first dot below compose to U+1EB9, then come the other dots, then the accents. */
    assert_int_equal(n.len, 3 + 2 * (MARKS - 1));
    assert_memory_equal(n.data, "\u1eb9\u0323", 5);
    assert_memory_equal(n.data + n.len - 2, "\u0301", 2);
    fv_normalized_release(&n);
    free(text);
}

static void memory_that_runs_out_is_an_error(void **state)
{
    (void)state;
    const char *text = "Ae\u0301\u0323 \u337f \uff21";
    for (int64_t fail = 0;; fail++) {
        fv_normalized n = {0};
        fv_err err = {0};
        int64_t live = fv_alloc_live();
        fv_alloc_fail_after(fail);
        fv_status status = fv_normalize_text(&n, both, text, strlen(text), 0, &err);
        fv_alloc_fail_after(-1);
        fv_normalized_release(&n);
        assert_int_equal(fv_alloc_live(), live);
        if (status == FV_OK) { assert_true(fail >= 3); return; }
        assert_int_equal(status, FV_E_MEMORY);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_are_those_of_unicode),
        cmocka_unit_test(marks_are_reordered),
        cmocka_unit_test(lower_case_is_full),
        cmocka_unit_test(broken_bytes_pass_through),
        cmocka_unit_test(bytes_know_where_they_came_from),
        cmocka_unit_test(a_megabyte_of_marks_is_quick),
        cmocka_unit_test(memory_that_runs_out_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
