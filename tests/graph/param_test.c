/* Weights in one block: parts under their own names, chance that depends on names alone, packed copies
 * that follow the version. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "graph/param.h"

static fv_param *add(fv_params *params, const char *name, int rank, int64_t rows, int64_t cols, fv_init init)
{
    fv_param *p = fv_params_add(params, &name, 1, rank, rows, cols, init, 0.5f, NULL);
    assert_non_null(p);
    return p;
}

static fv_param *add_three(fv_params *params, const char *suffix, int rank, int64_t rows, int64_t cols)
{
    char q[32], k[32], v[32];
    snprintf(q, sizeof q, "query.%s", suffix);
    snprintf(k, sizeof k, "key.%s", suffix);
    snprintf(v, sizeof v, "value.%s", suffix);
    fv_param *p = fv_params_add(params, (const char *[]){q, k, v}, 3, rank, rows, cols, FV_INIT_NORMAL, 0.5f, NULL);
    assert_non_null(p);
    return p;
}

static void parts_are_blocks(void **state)
{
    (void)state;
    fv_params params = {0};
    int64_t rows, cols;
    fv_param *w = add_three(&params, "weight", 2, 12, 5), *b = add_three(&params, "bias", 1, 1, 12);
    assert_null(fv_param_part(w, 1, &rows, &cols));
    assert_int_equal(fv_params_allocate(&params, NULL), FV_OK);
    assert_ptr_equal(fv_param_part(w, 2, &rows, &cols), w->data + 2 * 4 * 5);
    assert_int_equal(rows, 4);
    assert_int_equal(cols, 5);
    assert_ptr_equal(fv_param_part(b, 1, &rows, &cols), b->data + 4);
    assert_int_equal(rows, 1);
    assert_int_equal(cols, 4);
    assert_true(w->decay && !b->decay);
    assert_string_equal(w->names[1], "key.weight");
    fv_params_release(&params);
}

static void storage_is_aligned_and_apart(void **state)
{
    (void)state;
    fv_params params = {0};
    for (int i = 1; i < 40; i++) {
        char name[16];
        snprintf(name, sizeof name, "p%d", i);
        add(&params, name, 2, i, 3, FV_INIT_ZERO);
    }
    assert_int_equal(fv_params_allocate(&params, NULL), FV_OK);
    for (size_t i = 0; i < params.n; i++) {
        const fv_param *p = params.items[i];
        assert_int_equal((uintptr_t)p->data % 64, 0);
        int64_t end = i + 1 < params.n ? params.items[i + 1]->offset : params.n_floats;
        assert_true(p->offset + p->rows * p->cols <= end);
    }
    fv_params_release(&params);
}

static void chance_is_a_name_s_own(void **state)
{
    (void)state;
    fv_params few = {0}, more = {0};
    fv_param *a = add(&few, "a", 2, 30, 20, FV_INIT_NORMAL);
    add(&more, "new", 2, 7, 7, FV_INIT_NORMAL);
    fv_param *b = add(&more, "a", 2, 30, 20, FV_INIT_NORMAL), *other = add(&more, "b", 2, 30, 20, FV_INIT_NORMAL), *one = add(&more, "one", 1, 1, 9, FV_INIT_ONE);
    assert_int_equal(fv_params_allocate(&few, NULL), FV_OK);
    assert_int_equal(fv_params_allocate(&more, NULL), FV_OK);
    fv_params_draw(&few, 3);
    fv_params_draw(&more, 3);
    assert_memory_equal(a->data, b->data, 600 * sizeof(float));
    assert_memory_not_equal(a->data, other->data, 600 * sizeof(float));
    assert_true(one->data[8] == 1.0f);
    double sum = 0, squares = 0;
    for (int i = 0; i < 600; i++) sum += (double)a->data[i], squares += (double)a->data[i] * (double)a->data[i];
    assert_true(fabs(sum / 600) < 0.1 && fabs(sqrt(squares / 600) - 0.5) < 0.05);
    fv_params_draw(&more, 4);
    assert_memory_not_equal(a->data, b->data, 600 * sizeof(float));
    fv_params_release(&few);
    fv_params_release(&more);
}

static void gradients_lie_where_they_are_bound(void **state)
{
    (void)state;
    fv_params params = {0};
    float block[256];
    fv_param *a = add(&params, "a", 2, 3, 3, FV_INIT_ZERO), *b = add(&params, "b", 2, 3, 3, FV_INIT_ZERO);
    fv_params_bind_grad(&params, block);
    assert_ptr_equal(a->grad, block);
    assert_ptr_equal(b->grad, block + b->offset);
    fv_params_bind_grad(&params, NULL);
    assert_null(a->grad);
    fv_params_release(&params);
}

static void packed_copies_follow_the_version(void **state)
{
    (void)state;
    fv_params params = {0};
    fv_param *w = add(&params, "dense.weight", 2, 8, 8, FV_INIT_NORMAL), *table = add(&params, "embeddings.weight", 2, 8, 8, FV_INIT_NORMAL);
    table->table = true;
    fv_param *b = add(&params, "dense.bias", 1, 1, 8, FV_INIT_ZERO);
    assert_int_equal(fv_params_allocate(&params, NULL), FV_OK);
    fv_params_draw(&params, 1);
    assert_null(fv_param_packed(w, FV_PRECISION_F32));
    assert_int_equal(fv_params_pack(&params, FV_PRECISION_F32, NULL, NULL), FV_OK);
    const fv_packed *first = w->packed[FV_PRECISION_F32];
    assert_non_null(first);
    assert_null(fv_param_packed(table, FV_PRECISION_F32)); /* gathered, never multiplied */
    assert_null(fv_param_packed(b, FV_PRECISION_F32));
    assert_int_equal(fv_params_pack(&params, FV_PRECISION_F32, NULL, NULL), FV_OK);
    assert_ptr_equal(w->packed[FV_PRECISION_F32], first);
    assert_ptr_equal(fv_param_packed(w, FV_PRECISION_INT8), first);
    uint32_t version = w->version;
    fv_params_changed(&params, NULL);
    assert_null(fv_param_packed(w, FV_PRECISION_F32));
    assert_true(w->version > version);
    fv_alloc_fail_after(0);
    assert_int_equal(fv_params_pack(&params, FV_PRECISION_F32, NULL, NULL), FV_E_MEMORY);
    fv_alloc_fail_after(-1);
    assert_int_equal(fv_params_pack(&params, FV_PRECISION_F32, NULL, NULL), FV_OK);
    assert_non_null(w->packed[FV_PRECISION_F32]);
    fv_params_release(&params);
}

static void what_may_not_be_rounded_stays_float32(void **state)
{
    (void)state;
    fv_params params = {0};
    fv_param *body = add(&params, "dense.weight", 2, 8, 8, FV_INIT_NORMAL), *head = add(&params, "classifier.weight", 2, 8, 8, FV_INIT_NORMAL);
    body->rounds = true;
    assert_int_equal(fv_params_allocate(&params, NULL), FV_OK);
    fv_params_draw(&params, 1);
    for (fv_precision p = FV_PRECISION_BF16; p <= FV_PRECISION_INT8; p++) {
        assert_int_equal(fv_params_pack(&params, p, NULL, NULL), FV_OK);
        assert_int_equal(fv_packed_precision(fv_param_packed(body, p)), p);
        assert_int_equal(fv_packed_precision(fv_param_packed(head, p)), FV_PRECISION_F32);
    }
    assert_null(body->packed[FV_PRECISION_F32]);
    assert_int_equal(fv_packed_precision(fv_param_packed(body, FV_PRECISION_F32)), FV_PRECISION_BF16); /* whichever there is */
    fv_params_release(&params);
}

/* The first integers of a matrix, by a product with the first unit vector. */
static float first_number(const fv_param *p)
{
    float x[8] = {1}, y[8], scratch[4096];
    fv_gemm g = {.m = 1, .n = p->rows, .k = p->cols, .a = x, .lda = 8, .packed = fv_param_packed(p, FV_PRECISION_INT8), .c = y, .ldc = 8};
    assert_true(fv_gemm_scratch(&g, 1) <= sizeof scratch);
    fv_gemm_run(&g, NULL, scratch);
    return y[0];
}

static void int8_copies_follow_where_they_lie(void **state)
{
    (void)state;
    fv_params params = {0};
    fv_param *learns = add(&params, "a.weight", 2, 8, 8, FV_INIT_NORMAL), *frozen = add(&params, "b.weight", 2, 8, 8, FV_INIT_NORMAL);
    fv_param *head = add(&params, "classifier.weight", 2, 8, 8, FV_INIT_NORMAL);
    learns->rounds = frozen->rounds = frozen->frozen = true;
    assert_int_equal(fv_params_allocate(&params, NULL), FV_OK);
    fv_params_draw(&params, 1);
    assert_int_equal(fv_params_pack_rounding(&params, FV_PRECISION_INT8, NULL, NULL), FV_OK);
    assert_null(fv_param_packed(head, FV_PRECISION_INT8));
    const fv_packed *first = learns->packed[FV_PRECISION_INT8];
    int64_t allocations = fv_alloc_count();
    uint32_t version = learns->version, frozen_version = frozen->version;
    learns->data[0] = frozen->data[0] = 100;
    fv_params_learned(&params, NULL);
    assert_float_equal(first_number(learns), 100, 1e-3);
    assert_true(first_number(frozen) < 50);
    assert_true(learns->version > version && frozen->version == frozen_version);
    fv_params_changed(&params, NULL);
    assert_float_equal(first_number(frozen), 100, 1e-3);
    assert_true(frozen->version > frozen_version);
    assert_ptr_equal(learns->packed[FV_PRECISION_INT8], first);
    assert_int_equal(fv_alloc_count(), allocations);
    fv_params_release(&params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_blocks),
        cmocka_unit_test(storage_is_aligned_and_apart),
        cmocka_unit_test(chance_is_a_name_s_own),
        cmocka_unit_test(gradients_lie_where_they_are_bound),
        cmocka_unit_test(packed_copies_follow_the_version),
        cmocka_unit_test(what_may_not_be_rounded_stays_float32),
        cmocka_unit_test(int8_copies_follow_where_they_lie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
