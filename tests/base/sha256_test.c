/* SHA-256 against the vectors of FIPS 180-4 and of NIST's test suite, in pieces of every size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/file.h"
#include "formats/scratch.h"

static const struct {
    const char *text, *hex;
} vectors[] = {
    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
     "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
};

static void hash(const void *bytes, size_t n, size_t step, char hex[65])
{
    fv_sha256 s;
    fv_sha256_init(&s);
    for (size_t at = 0; at < n; at += step) fv_sha256_add(&s, (const char *)bytes + at, n - at < step ? n - at : step);
    fv_sha256_end(&s, hex);
}

static void vectors_hold(void **state)
{
    (void)state;
    char hex[65];
    for (size_t i = 0; i < FV_COUNT(vectors); i++) {
        hash(vectors[i].text, strlen(vectors[i].text), 1000, hex);
        assert_string_equal(hex, vectors[i].hex);
    }
}

static void a_million_times_a(void **state)
{
    (void)state;
    static char text[1000000];
    char hex[65];
    memset(text, 'a', sizeof text);
    hash(text, sizeof text, 4099, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void pieces_make_no_difference(void **state)
{
    (void)state;
    char text[200], whole[65], pieces[65];
    for (size_t i = 0; i < sizeof text; i++) text[i] = (char)(i * 37);
    for (size_t n = 0; n <= sizeof text; n++) {
        hash(text, n, sizeof text, whole);
        for (size_t step = 1; step <= 130; step += 3) {
            hash(text, n, step, pieces);
            assert_string_equal(pieces, whole);
        }
    }
}

static void a_file_is_hashed(void **state)
{
    (void)state;
    fv_err err = {0};
    char hex[65];
    assert_int_equal(fv_file_write(scratch_path("abc"), "abc", 3, &err), FV_OK);
    assert_int_equal(fv_sha256_file(scratch_path("abc"), hex, &err), FV_OK);
    assert_string_equal(hex, vectors[1].hex);
    assert_int_equal(fv_sha256_file(scratch_path("missing"), hex, &err), FV_E_IO);
    assert_int_equal(fv_sha256_file(scratch_folder(), hex, &err), FV_E_IO);
    assert_non_null(strstr(err.text, "is a folder; expected a file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_hold),
        cmocka_unit_test(a_million_times_a),
        cmocka_unit_test(pieces_make_no_difference),
        cmocka_unit_test(a_file_is_hashed),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
