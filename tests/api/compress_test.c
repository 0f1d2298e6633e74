/* Models stored in 8 bits: what a folder becomes, that it computes what int8 products of the original do, that hostile ones are
 * refused, and that nothing half done is ever left. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "formats/scratch.h"
#include "infer/infer.h"

enum { TEXTS = 4, MOST = 64 };

static const char sentence[] = "tests/golden/encoders/sentence";
static const fv_compress_options int8 = {.size = sizeof int8, .int8 = true};
static fv_err err;

static void compress(const char *in, const char *out)
{
    if (fv_compress(in, out, &int8, &err) != FV_OK) fail_msg("%s", err.text);
}

/* Vectors of a few texts; how long each is. */
static int vectors(const char *folder, fv_products products, float out[TEXTS * MOST])
{
    static const fv_text texts[TEXTS] = {{.text = "where is my parcel?"}, {.text = "a"}, {.text = "my card was stolen, and I want it back"}, {.text = "the parcel"}};
    fv_session_options o;
    fv_session_options_init(&o);
    o.products = products;
    fv_model *m = fv_model_open(folder, &err);
    fv_session *s = m ? fv_session_new(m, &o, &err) : NULL;
    if (!s) fail_msg("%s", err.text);
    int n = fv_model_embedding_size(m);
    assert_true(n <= MOST);
    if (fv_embed(s, texts, TEXTS, NULL, out, &err) != FV_OK) fail_msg("%s", err.text);
    if (products != FV_PRODUCTS_AS_MODEL) assert_int_equal(fv_session_products(s), products);
    fv_session_free(s);
    fv_model_close(m);
    return n;
}

static double least_cosine(const float *a, const float *b, int n)
{
    double least = 1;
    for (int t = 0; t < TEXTS; t++, a += n, b += n) {
        double ab = 0, aa = 0, bb = 0;
        for (int i = 0; i < n; i++) ab += (double)a[i] * (double)b[i], aa += (double)a[i] * (double)a[i], bb += (double)b[i] * (double)b[i];
        least = fmin(least, ab / sqrt(aa * bb));
    }
    return least;
}

static const fv_st_tensor *tensor(const fv_safetensors *file, const char *name)
{
    const fv_st_tensor *t = fv_safetensors_find(file, name);
    if (!t) fail_msg("no tensor %s", name);
    return t;
}

/* ---- What is made ---- */

static void layers_become_integers(void **state)
{
    (void)state;
    const char *out = scratch_path("made");
    fv_safetensors file = {0};
    compress(sentence, out);
    assert_int_equal(fv_safetensors_open_folder(&file, out, &err), FV_OK);
    assert_int_equal(tensor(&file, "encoder.layer.0.attention.self.query.weight")->dtype, FV_I8);
    const fv_st_tensor *scale = tensor(&file, "encoder.layer.0.attention.self.query.weight_scale");
    assert_true(scale->dtype == FV_F32 && scale->rank == 2 && scale->shape[0] == tensor(&file, "encoder.layer.0.attention.self.query.weight")->shape[0] && scale->shape[1] == 1);
    assert_int_equal(tensor(&file, "embeddings.word_embeddings.weight")->dtype, FV_F16);
    assert_int_equal(tensor(&file, "encoder.layer.0.output.LayerNorm.weight")->dtype, FV_F32);
    assert_int_equal(tensor(&file, "encoder.layer.0.attention.self.query.bias")->dtype, FV_F32);
    fv_safetensors_close(&file);
    assert_true(fv_file_exists(scratch_path("made/tokenizer.json")));
    assert_true(fv_file_exists(scratch_path("made/1_Pooling/config.json")));
    assert_true(fv_file_exists(scratch_path("made/2_Dense/model.safetensors")));
}

static void every_family_stays_close(void **state)
{
    (void)state;
    static const char *const folders[] = {"tests/golden/encoders/sentence", "tests/golden/encoders/cross", "tests/golden/bert-tiny"};
    for (size_t i = 0; i < FV_COUNT(folders); i++) {
        float exact[TEXTS * MOST], rounded[TEXTS * MOST];
        char name[32];
        if (!fv_folder_exists(folders[i])) fail_msg("no %s", folders[i]);
        snprintf(name, sizeof name, "close-%zu", i);
        compress(folders[i], scratch_path(name));
        int n = vectors(folders[i], FV_PRODUCTS_FLOAT32, exact);
        assert_int_equal(vectors(scratch_path(name), FV_PRODUCTS_AS_MODEL, rounded), n);
        double cosine = least_cosine(exact, rounded, n);
        if (!(cosine > 0.995 && cosine < 1)) fail_msg("%s: %g", folders[i], cosine);
    }
}

/* Tables of two bytes lose nothing more, so nothing differs. */
static void bits_are_those_of_int8_products(void **state)
{
    (void)state;
    static const fv_convert_options two_bytes = {.size = sizeof two_bytes, .bf16 = true};
    float expected[TEXTS * MOST], found[TEXTS * MOST];
    const char *two = scratch_path("two"), *small = scratch_path("small");
    if (fv_convert("tests/golden/bert-tiny", two, &two_bytes, &err) != FV_OK) fail_msg("%s", err.text);
    compress(two, small);
    int n = vectors(two, FV_PRODUCTS_INT8, expected);
    assert_int_equal(vectors(small, FV_PRODUCTS_AS_MODEL, found), n);
    assert_memory_equal(found, expected, sizeof(float) * TEXTS * (size_t)n);
    vectors(small, FV_PRODUCTS_INT8, found);
    assert_memory_equal(found, expected, sizeof(float) * TEXTS * (size_t)n);
    for (fv_products p = FV_PRODUCTS_FLOAT32; p <= FV_PRODUCTS_BF16; p++) {
        vectors(small, p, found);
        assert_memory_not_equal(found, expected, sizeof(float) * TEXTS * (size_t)n);
        assert_true(least_cosine(found, expected, n) > 0.995);
    }
}

static void threads_change_nothing(void **state)
{
    (void)state;
    float one[TEXTS * MOST], many[TEXTS * MOST];
    compress(sentence, scratch_path("threads"));
    assert_int_equal(fv_set_threads(1, &err), FV_OK);
    int n = vectors(scratch_path("threads"), FV_PRODUCTS_AS_MODEL, one);
    assert_int_equal(fv_set_threads(5, &err), FV_OK);
    vectors(scratch_path("threads"), FV_PRODUCTS_AS_MODEL, many);
    assert_memory_equal(one, many, sizeof(float) * TEXTS * (size_t)n);
}

/* Sessions of one model, each with its own products, do not disturb each other. */
static void sessions_differ_in_products(void **state)
{
    (void)state;
    static const fv_text text = {.text = "my card was stolen"};
    fv_model *m = fv_model_open(sentence, &err);
    float first[MOST], again[MOST], other[MOST];
    fv_session *sessions[2];
    for (int i = 0; i < 2; i++) {
        fv_session_options o;
        fv_session_options_init(&o);
        o.products = i ? FV_PRODUCTS_INT8 : FV_PRODUCTS_FLOAT32;
        sessions[i] = fv_session_new(m, &o, &err);
        assert_non_null(sessions[i]);
        assert_int_equal(fv_embed(sessions[i], &text, 1, NULL, i ? other : first, &err), FV_OK);
    }
    size_t bytes = sizeof(float) * (size_t)fv_model_embedding_size(m);
    assert_int_equal(fv_embed(sessions[0], &text, 1, NULL, again, &err), FV_OK);
    assert_memory_equal(first, again, bytes);
    assert_memory_not_equal(first, other, bytes);
    for (int i = 0; i < 2; i++) fv_session_free(sessions[i]);
    fv_model_close(m);
}

/* What Transformers makes of such a folder (tests/golden/int8.py): the same up to how activations are rounded. */
static void transformers_reads_the_same(void **state)
{
    (void)state;
    fv_session *s = NULL;
    fv_model *m = fv_model_open("tests/golden/encoders/int8", &err);
    if (m) s = fv_session_new(m, NULL, &err);
    if (!s) fail_msg("%s", err.text);
    assert_int_equal(fv_session_products(s), FV_PRODUCTS_INT8);
    json_t *rows = fv_json_load("tests/golden/encoders/int8/expected.json", 1 << 20, &err), *row;
    size_t i;
    json_array_foreach(rows, i, row)
    {
        float found[TEXTS * MOST] = {0}, expected[TEXTS * MOST] = {0};
        fv_text text = {.text = json_string_value(json_object_get(row, "text"))};
        const json_t *vector = json_object_get(row, "vector");
        int n = (int)json_array_size(vector);
        assert_int_equal(fv_model_embedding_size(m), n);
        assert_int_equal(fv_embed(s, &text, 1, NULL, found, &err), FV_OK);
        for (int c = 0; c < TEXTS * n; c++) expected[c] = (float)json_number_value(json_array_get(vector, (size_t)(c % n))), found[c] = found[c % n];
        double cosine = least_cosine(found, expected, n);
        if (!(cosine > 0.9995)) fail_msg("%s: %g", text.text, cosine);
    }
    assert_int_equal(i, 4);
    json_decref(rows);
    fv_session_free(s);
    fv_model_close(m);
}

/* ---- What is refused ---- */

static void nothing_is_overwritten(void **state)
{
    (void)state;
    const char *out = scratch_path("taken");
    compress(sentence, out);
    assert_int_equal(fv_compress(sentence, out, &int8, &err), FV_E_ARGUMENT);
    assert_non_null(strstr(err.text, "is there already, and nothing is overwritten"));
    assert_int_equal(fv_compress(out, scratch_path("again"), &int8, &err), FV_E_ARGUMENT);
    assert_non_null(strstr(err.text, "its weights are integers already"));
    assert_int_equal(fv_compress(sentence, scratch_path("none"), NULL, &err), FV_E_ARGUMENT);
    assert_int_equal(fv_compress("nowhere", scratch_path("none"), &int8, &err), FV_E_IO);
    assert_false(fv_folder_exists(scratch_path("again")) || fv_folder_exists(scratch_path("none")));
}

/* The compressed folder with one tensor replaced, or left out (rank 0), does not open. */
static void expect_hostile(const char *name, fv_st_tensor with, const char *message)
{
    const char *out = scratch_path("hostile"), *path = scratch_path("hostile/model.safetensors");
    fv_safetensors file = {0};
    fv_st_tensor list[256];
    size_t n = 0;
    assert_int_equal(fv_safetensors_open(&file, scratch_path("whole/model.safetensors"), &err), FV_OK);
    tensor(&file, name);
    for (size_t i = 0; i < file.n; i++) {
        bool this = strcmp(file.tensors[i].name, name) == 0;
        with.name = name;
        if (!this || with.rank) list[n++] = this ? with : file.tensors[i];
    }
    assert_int_equal(fv_safetensors_write(path, list, n, NULL, NULL, 0, &err), FV_OK);
    fv_safetensors_close(&file);
    fv_model *m = fv_model_open(out, &err);
    if (m) fail_msg("%s: opened", name);
    assert_int_equal(err.status, FV_E_FORMAT);
    if (!strstr(err.text, message)) fail_msg("%s: \"%s\" lacks \"%s\"", name, err.text, message);
}

static void hostile_weights_are_refused(void **state)
{
    (void)state;
    static float numbers[4096];
    static const char scale[] = "encoder.layer.0.output.dense.weight_scale", weight[] = "encoder.layer.0.output.dense.weight", words[] = "embeddings.word_embeddings.weight", norm[] = "encoder.layer.0.output.LayerNorm.weight";
    fv_safetensors file = {0};
    compress(sentence, scratch_path("whole"));
    compress(sentence, scratch_path("hostile"));
    assert_int_equal(fv_safetensors_open(&file, scratch_path("whole/model.safetensors"), &err), FV_OK);
    fv_st_tensor s = *tensor(&file, scale), w = *tensor(&file, weight), e = *tensor(&file, words), b = *tensor(&file, norm);
    fv_safetensors_close(&file);
    s.data = w.data = e.data = b.data = numbers;
    for (size_t i = 0; i < FV_COUNT(numbers); i++) numbers[i] = 1;
    expect_hostile(scale, (fv_st_tensor){0}, "output.dense.weight holds I8, and there is no tensor bert.encoder.layer.0.output.dense.weight_scale");
    fv_st_tensor bad = s;
    bad.shape[1] = 2, bad.shape[0] /= 2;
    expect_hostile(scale, bad, "weight_scale is [");
    numbers[3] = NAN;
    expect_hostile(scale, s, "weight_scale: row 3 is nan; expected more than 0");
    numbers[3] = -1;
    expect_hostile(scale, s, "row 3 is -1; expected more than 0");
    numbers[3] = INFINITY;
    expect_hostile(scale, s, "row 3 is inf");
    bad = s, bad.dtype = FV_I32;
    expect_hostile(scale, bad, "weight_scale holds I32");
    bad = w, bad.dtype = FV_U8;
    expect_hostile(weight, bad, "weight holds U8; supported: F32, F16, BF16, and I8 with scales");
    bad = e, bad.dtype = FV_I8, bad.bytes /= 2;
    expect_hostile(words, bad, "word_embeddings.weight holds I8; supported: F32, F16, BF16");
    bad = b, bad.dtype = FV_I8, bad.bytes /= 4;
    expect_hostile(norm, bad, "LayerNorm.weight holds I8");
}

/* Integers that config.json does not speak of. */
static void integers_need_their_convention(void **state)
{
    (void)state;
    const char *path = scratch_path("silent/config.json");
    compress(sentence, scratch_path("silent"));
    json_t *tree = fv_json_load(path, 1 << 20, &err);
    json_object_del(tree, "quantization_config");
    assert_int_equal(fv_json_save(tree, path, &err), FV_OK);
    json_decref(tree);
    assert_null(fv_model_open(scratch_path("silent"), &err));
    assert_non_null(strstr(err.text, "holds I8; supported: F32, F16, BF16"));
}

/* ---- When something fails ---- */

static void check_nothing(const char *out)
{
    char staging[FV_PATH_MAX];
    snprintf(staging, sizeof staging, "%.4000s.new-%ld", out, (long)getpid());
    assert_false(fv_folder_exists(out));
    assert_false(fv_folder_exists(staging));
}

static void a_full_disk_leaves_nothing(void **state)
{
    (void)state;
    const char *out = scratch_path("full");
    int64_t n = 0;
    for (;; n++) {
        fv_write_fail_after(n);
        fv_status status = fv_compress(sentence, out, &int8, &err);
        fv_write_fail_after(-1);
        if (status == FV_OK) break;
        assert_int_equal(status, FV_E_IO);
        check_nothing(out);
    }
    assert_true(n > 10);
}

static void lack_of_memory_leaves_nothing(void **state)
{
    (void)state;
    const char *out = scratch_path("short");
    int64_t n = 0;
    for (int64_t live = fv_alloc_live();; n += 1 + n / 10) {
        fv_alloc_fail_after(n);
        fv_status status = fv_compress(sentence, out, &int8, &err);
        fv_alloc_fail_after(-1);
        assert_int_equal(fv_alloc_live(), live);
        if (status == FV_OK) break;
        assert_true(status == FV_E_MEMORY || status == FV_E_IO);
        check_nothing(out);
    }
    assert_true(n > 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_become_integers),
        cmocka_unit_test(every_family_stays_close),
        cmocka_unit_test(bits_are_those_of_int8_products),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(sessions_differ_in_products),
        cmocka_unit_test(transformers_reads_the_same),
        cmocka_unit_test(nothing_is_overwritten),
        cmocka_unit_test(hostile_weights_are_refused),
        cmocka_unit_test(integers_need_their_convention),
        cmocka_unit_test(a_full_disk_leaves_nothing),
        cmocka_unit_test(lack_of_memory_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
