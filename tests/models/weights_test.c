/* Weights to files and back, mapped or copied, and halves widened exactly. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "formats/scratch.h"
#include "models/encoder.h"

/* A matrix of two parts and a vector. */
typedef struct pair { fv_params params; fv_param *w, *b; } pair;

static void make(pair *p, bool allocate)
{
    *p = (pair){0};
    p->w = fv_params_add(&p->params, (const char *[]){"top", "bottom"}, 2, 2, 4, 3, FV_INIT_NORMAL, 1, NULL);
    p->b = fv_params_add(&p->params, (const char *[]){"bias"}, 1, 1, 1, 5, FV_INIT_NORMAL, 1, NULL);
    assert_true(p->w && p->b);
    if (!allocate) return;
    assert_int_equal(fv_params_allocate(&p->params, NULL), FV_OK);
    fv_params_draw(&p->params, 2);
}

static void expect_equal(const pair *a, const pair *b)
{
    assert_memory_equal(a->w->data, b->w->data, 12 * sizeof(float));
    assert_memory_equal(a->b->data, b->b->data, 5 * sizeof(float));
}

static void weights_come_back(void **state)
{
    (void)state;
    pair saved, mapped, loaded;
    fv_safetensors file = {0};
    fv_err err = {0};
    const char *path = scratch_path("w.safetensors");
    make(&saved, true);
    make(&mapped, false);
    make(&loaded, true);
    memset(loaded.params.block, 0, (size_t)loaded.params.n_floats * sizeof(float));
    uint32_t version = loaded.w->version;
    assert_int_equal(fv_weights_save(&saved.params, path, (const char *[]){"format"}, (const char *[]){"pt"}, 1, &err), FV_OK);
    assert_int_equal(fv_safetensors_open(&file, path, &err), FV_OK);
    assert_int_equal(file.n, 3);
    assert_string_equal(fv_safetensors_meta(&file, "format"), "pt");
    assert_int_equal(fv_safetensors_find(&file, "bias")->rank, 1);
    assert_int_equal(fv_safetensors_find(&file, "bottom")->shape[0], 2);
    assert_int_equal(fv_weights_map(&mapped.params, &file, &err), FV_OK);
    assert_int_equal(fv_weights_load(&loaded.params, &file, &err), FV_OK);
    expect_equal(&saved, &mapped);
    expect_equal(&saved, &loaded);
    assert_ptr_equal(mapped.b->data, fv_safetensors_find(&file, "bias")->data); /* one part: not copied */
    assert_ptr_equal(mapped.w->data, fv_safetensors_find(&file, "top")->data); /* nor two that lie back to back */
    assert_true(loaded.w->version > version);
    fv_params_release(&mapped.params);
    fv_params_release(&loaded.params);
    fv_params_release(&saved.params);
    fv_safetensors_close(&file);
}

/* ---- Halves ---- */

/* Every half there is: its value by its definition. */
static double half_value(uint16_t h)
{
    int exponent = h >> 10 & 31, fraction = h & 1023;
    double value = exponent == 31 ? (fraction ? NAN : INFINITY) : exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return h & 0x8000 ? -value : value;
}

static double brain_value(uint16_t h)
{
    int exponent = h >> 7 & 255, fraction = h & 127;
    double value = exponent == 255 ? (fraction ? NAN : INFINITY) : exponent ? ldexp(128 + fraction, exponent - 134) : ldexp(fraction, -133);
    return h & 0x8000 ? -value : value;
}

static void check_widening(fv_dtype dtype, double (*value_of)(uint16_t))
{
    static uint16_t halves[65536];
    fv_params params = {0};
    fv_safetensors file = {0};
    fv_err err = {0};
    const char *path = scratch_path("h.safetensors"), *name = "x";
    for (int i = 0; i < 65536; i++) halves[i] = (uint16_t)i;
    fv_st_tensor t = {.name = name, .dtype = dtype, .rank = 1, .shape = {65536}, .data = halves, .bytes = sizeof halves};
    assert_int_equal(fv_safetensors_write(path, &t, 1, NULL, NULL, 0, &err), FV_OK);
    assert_int_equal(fv_safetensors_open(&file, path, &err), FV_OK);
    fv_param *x = fv_params_add(&params, &name, 1, 1, 1, 65536, FV_INIT_ZERO, 0, NULL);
    assert_int_equal(fv_weights_map(&params, &file, &err), FV_OK);
    for (int i = 0; i < 65536; i++) {
        double expected = value_of((uint16_t)i), found = (double)x->data[i];
        bool same = isnan(expected) ? isnan(found) : found == expected && signbit(found) == signbit(expected);
        if (!same) fail_msg("%s 0x%04x is %g, expected %g", fv_dtype_name(dtype), (unsigned)i, found, expected);
    }
    fv_params_release(&params);
    fv_safetensors_close(&file);
}

static void parts_in_another_order_are_put_together(void **state)
{
    (void)state;
    pair saved, mapped;
    fv_safetensors file = {0};
    fv_err err = {0};
    const char *path = scratch_path("o.safetensors");
    make(&saved, true);
    make(&mapped, false);
    fv_st_tensor tensors[] = {
        {.name = "bottom", .dtype = FV_F32, .rank = 2, .shape = {2, 3}, .data = saved.w->data + 6, .bytes = 6 * sizeof(float)},
        {.name = "top", .dtype = FV_F32, .rank = 2, .shape = {2, 3}, .data = saved.w->data, .bytes = 6 * sizeof(float)},
        {.name = "bias", .dtype = FV_F32, .rank = 1, .shape = {5}, .data = saved.b->data, .bytes = 5 * sizeof(float)},
    };
    assert_int_equal(fv_safetensors_write(path, tensors, 3, NULL, NULL, 0, &err), FV_OK);
    assert_int_equal(fv_safetensors_open(&file, path, &err), FV_OK);
    assert_int_equal(fv_weights_map(&mapped.params, &file, &err), FV_OK);
    expect_equal(&saved, &mapped);
    assert_ptr_not_equal(mapped.w->data, fv_safetensors_find(&file, "top")->data);
    fv_params_release(&mapped.params);
    fv_params_release(&saved.params);
    fv_safetensors_close(&file);
}

static void halves_are_widened_exactly(void **state)
{
    (void)state;
    check_widening(FV_F16, half_value);
    check_widening(FV_BF16, brain_value);
}

/* ---- What does not fit ---- */

static float zeros[64];

static fv_st_tensor tensor(const char *name, fv_dtype dtype, int rank, int64_t rows, int64_t cols)
{
    return (fv_st_tensor){.name = name, .dtype = dtype, .rank = rank, .shape = {rank == 1 ? cols : rows, cols}, .data = zeros, .bytes = (size_t)((rank == 2 ? rows : 1) * cols) * fv_dtype_bytes(dtype)};
}

static void expect_refused(fv_st_tensor bottom, const char *part)
{
    fv_st_tensor list[] = {tensor("top", FV_F32, 2, 2, 3), bottom, tensor("bias", FV_F32, 1, 1, 5)};
    const char *path = scratch_path("bad.safetensors");
    fv_err err = {0};
    fv_safetensors file = {0};
    pair mapped, loaded;
    make(&mapped, false);
    make(&loaded, true);
    assert_int_equal(fv_safetensors_write(path, list, 3, NULL, NULL, 0, &err), FV_OK);
    assert_int_equal(fv_safetensors_open(&file, path, &err), FV_OK);
    assert_int_equal(fv_weights_map(&mapped.params, &file, &err), FV_E_FORMAT);
    if (!strstr(err.text, part) || !strstr(err.text, "bad.safetensors: ")) fail_msg("\"%s\" does not say \"%s\"", err.text, part);
    assert_int_equal(fv_weights_load(&loaded.params, &file, &err), FV_E_FORMAT);
    fv_params_release(&mapped.params);
    fv_params_release(&loaded.params);
    fv_safetensors_close(&file);
}

static void what_does_not_fit_is_named(void **state)
{
    (void)state;
    expect_refused(tensor("other", FV_F32, 2, 2, 3), "no tensor bottom, which config.json asks for");
    expect_refused(tensor("bottom", FV_F32, 2, 3, 3), "bottom is [3, 3]; config.json says [2, 3]");
    expect_refused(tensor("bottom", FV_F32, 1, 1, 6), "bottom is [6]; config.json says [2, 3]");
    expect_refused(tensor("bottom", FV_F32, 0, 1, 1), "bottom is []; config.json says [2, 3]");
    expect_refused(tensor("bottom", FV_I8, 2, 2, 3), "bottom holds I8; supported: F32, F16, BF16");
    expect_refused(tensor("bottom", FV_F64, 2, 2, 3), "bottom holds F64");
}

static void a_full_disk_leaves_no_file(void **state)
{
    (void)state;
    pair saved;
    fv_err err = {0};
    const char *path = scratch_path("full.safetensors");
    make(&saved, true);
    fv_write_fail_after(1);
    assert_int_equal(fv_weights_save(&saved.params, path, NULL, NULL, 0, &err), FV_E_IO);
    fv_write_fail_after(-1);
    assert_false(fv_file_exists(path));
    fv_params_release(&saved.params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_come_back),
        cmocka_unit_test(parts_in_another_order_are_put_together),
        cmocka_unit_test(halves_are_widened_exactly),
        cmocka_unit_test(what_does_not_fit_is_named),
        cmocka_unit_test(a_full_disk_leaves_no_file),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
