/* What the server writes: floats that read back as the same, base64, escapes, errors in each API's form, order. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "server/routes.h"

static void expect_float(float x, const char *text)
{
    fv_buf out = {0};
    assert_int_equal(srv_put_float(&out, x, NULL), FV_OK);
    if (text) assert_string_equal(out.data, text);
    if (isfinite(x)) assert_true(strtof(out.data, NULL) == x);
    fv_buf_release(&out);
}

static void floats_read_back(void **state)
{
    (void)state;
    expect_float(0, "0");
    expect_float(1, "1");
    expect_float(0.5f, "0.5");
    expect_float(-0.25f, "-0.25");
    expect_float(0.1f, "0.100000001");
    expect_float(0.015625f, "0.015625");
    expect_float(1e-6f, NULL);
    expect_float(0.99999994f, NULL);
    expect_float(1e-30f, NULL);
    expect_float(-3.4e38f, NULL);
    expect_float(NAN, "null");
    expect_float(INFINITY, "null");
    uint32_t bits = 1;
    for (int i = 0; i < 200000; i++) {
        float x;
        bits = bits * 1664525 + 1013904223;
        uint32_t some = (bits & 0x807FFFFF) | (uint32_t)(100 + i % 30) << 23; /* 2^-27 to 8 */
        memcpy(&x, &some, sizeof x);
        expect_float(x, NULL);
    }
}

static void bytes_as_base64(void **state)
{
    static const char *const pairs[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"\xff\xfe\xfd", "//79"}};
    (void)state;
    for (size_t i = 0; i < FV_COUNT(pairs); i++) {
        fv_buf out = {0};
        assert_int_equal(srv_put_base64(&out, pairs[i][0], strlen(pairs[i][0]), NULL), FV_OK);
        assert_string_equal(out.len ? out.data : "", pairs[i][1]);
        fv_buf_release(&out);
    }
}

static void texts_are_escaped(void **state)
{
    fv_buf out = {0};
    (void)state;
    static const char odd[] = "a\"b\\c\n\x01 茶";
    assert_int_equal(srv_put_text(&out, odd, sizeof odd - 1, NULL), FV_OK);
    assert_string_equal(out.data, "\"a\\\"b\\\\c\\u000a\\u0001 茶\"");
    json_t *list = NULL;
    char array[64];
    snprintf(array, sizeof array, "[%s]", out.data);
    list = fv_json_parse(array, strlen(array), "test", NULL);
    assert_string_equal(json_string_value(json_array_get(list, 0)), "a\"b\\c\n\x01 茶");
    json_decref(list);
    fv_buf_release(&out);
}

static void best_first_and_ties_in_order(void **state)
{
    const float scores[] = {0.5f, 2, NAN, 2, -1};
    uint32_t order[5];
    (void)state;
    assert_int_equal(srv_sort_scores(scores, 5, order, NULL), FV_OK);
    const uint32_t expected[] = {1, 3, 0, 4, 2};
    assert_memory_equal(order, expected, sizeof order);
}

static void expect_error(srv_form form, int status, const char *json)
{
    const srv_route route = {.form = form};
    srv_request r = {.route = &route};
    assert_false(srv_refuse(&r, SRV_TOO_LONG, "no %s", "\"way\""));
    assert_int_equal(r.status, status);
    assert_string_equal(r.reply.data, json);
    fv_buf_release(&r.reply);
}

static void errors_in_each_form(void **state)
{
    (void)state;
    expect_error(SRV_OPENAI, 400, "{\"error\":{\"message\":\"no \\\"way\\\"\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"invalid_request_error\"}}");
    expect_error(SRV_TEI, 413, "{\"error\":\"no \\\"way\\\"\",\"error_type\":\"Validation\"}");
    expect_error(SRV_COHERE, 400, "{\"message\":\"no \\\"way\\\"\"}");
    expect_error(SRV_LIBRE, 400, "{\"error\":\"no \\\"way\\\"\"}");
    expect_error(SRV_PLAIN, 400, "{\"error\":\"no \\\"way\\\"\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floats_read_back), cmocka_unit_test(bytes_as_base64), cmocka_unit_test(texts_are_escaped),
        cmocka_unit_test(best_first_and_ties_in_order), cmocka_unit_test(errors_in_each_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
