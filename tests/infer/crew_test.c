/* Batches side by side: every row once, the same bits with any number of threads, and the earliest failure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "infer/infer.h"

enum { ROWS = 600, MOST = 23, SIZE = 16 };

static void make_rows(fv_token_rows *rows, size_t n)
{
    fv_rng rng = fv_rng_make(1, "crew");
    *rows = (fv_token_rows){.n = n, .offsets = calloc(n + 1, sizeof *rows->offsets), .ids = calloc(n * MOST, sizeof *rows->ids), .types = calloc(n * MOST, 1)};
    assert_true(rows->offsets && rows->ids && rows->types);
    for (size_t i = 0; i < n; i++) {
        int len = 1 + (int)fv_rng_below(&rng, MOST);
        rows->offsets[i + 1] = rows->offsets[i] + len;
        if (len > rows->max_len) rows->max_len = len;
    }
    for (int64_t i = 0; i < rows->offsets[n]; i++) rows->ids[i] = (int32_t)fv_rng_below(&rng, 50);
}

static void free_rows(fv_token_rows *rows)
{
    free(rows->offsets);
    free(rows->ids);
    free(rows->types);
}

typedef struct rig {
    fv_pool *pool;
    fv_graph *graph;
    fv_crew *crew;
} rig;

static rig new_rig(int threads)
{
    rig r = {.pool = fv_pool_new(threads, NULL)};
    r.graph = fv_graph_new(r.pool, NULL);
    r.crew = fv_crew_new(r.graph, r.pool, NULL);
    assert_true(r.pool && r.graph && r.crew);
    return r;
}

static void free_rig(rig *r)
{
    fv_crew_free(r->crew);
    fv_graph_free(r->graph);
    fv_pool_free(r->pool);
}

/* ---- Rows ---- */

typedef struct seen {
    const fv_token_rows *rows;
    const fv_graph *together;
    int times[ROWS];
    int most;            /* tokens that a batch may have */
    atomic_bool beside;  /* whether any batch had a graph of its own */
} seen;

static fv_status look(void *user, fv_graph *g, const fv_batch *batch, fv_err *err)
{
    seen *s = user;
    (void)err;
    if (g != s->together) s->beside = true; /* by several threads, but always the same */
    assert_true(batch->N <= s->most || batch->B == 1);
    for (int32_t b = 0; b < batch->B; b++) {
        uint32_t row = batch->rows[b];
        int64_t from = s->rows->offsets[row], len = s->rows->offsets[row + 1] - from;
        assert_int_equal(batch->offsets[b + 1] - batch->offsets[b], len);
        assert_memory_equal(batch->ids + batch->offsets[b], s->rows->ids + from, (size_t)len * sizeof(int32_t));
        s->times[row]++;
    }
    return FV_OK;
}

static void check_rows(int threads, size_t n, int batch_tokens, bool beside)
{
    rig r = new_rig(threads);
    fv_token_rows rows;
    make_rows(&rows, n);
    seen s = {.rows = &rows, .together = r.graph, .most = batch_tokens};
    assert_int_equal(fv_crew_run(r.crew, &rows, batch_tokens, look, &s, NULL), FV_OK);
    for (size_t i = 0; i < n; i++) assert_int_equal(s.times[i], 1);
    assert_int_equal(s.beside, beside);
    free_rows(&rows);
    free_rig(&r);
}

static void every_row_comes_once(void **state)
{
    (void)state;
    check_rows(1, ROWS, 100, false);
    check_rows(2, ROWS, 100, true);
    check_rows(3, ROWS, 2048, true);
    check_rows(2, ROWS, 5, true); /* rows longer than that are alone */
    check_rows(3, 1, 2048, false);
}

/* ---- Bits ---- */

static void init_encoder(fv_encoder *e)
{
    fv_encoder_config config = {.vocab = 50, .layers = 2, .width = SIZE, .heads = 4, .ffn = 40, .max_len = MOST, .types = 2, .act = FV_ACT_GELU, .norm_eps = 1e-12, .init_deviation = 0.3};
    assert_int_equal(fv_encoder_init(e, &config, NULL), FV_OK);
    assert_int_equal(fv_params_allocate(&e->params, NULL), FV_OK);
    fv_params_draw(&e->params, 1);
    assert_int_equal(fv_params_pack(&e->params, FV_PRECISION_F32, NULL, NULL), FV_OK);
}

static void embed_with(const fv_encoder *e, int threads, int batch_tokens, const fv_token_rows *rows, float *out)
{
    fv_err err = {0};
    rig r = new_rig(threads);
    fv_sentence sentence = {.pooling = FV_POOLING_MEAN};
    if (fv_crew_vectors(r.crew, e, &sentence, rows, batch_tokens, SIZE, true, out, &err) != FV_OK) fail_msg("%s", err.text);
    free_rig(&r);
}

static void vectors_have_the_same_bits_whoever_works_on_them(void **state)
{
    (void)state;
    fv_encoder e;
    fv_token_rows rows;
    static float alone[ROWS * SIZE], out[ROWS * SIZE];
    init_encoder(&e);
    make_rows(&rows, ROWS);
    embed_with(&e, 1, 1, &rows, alone); /* a batch for each row */
    for (int threads = 1; threads <= 4; threads++) {
        memset(out, 0, sizeof out);
        embed_with(&e, threads, threads == 3 ? 150 : 2048, &rows, out);
        assert_memory_equal(out, alone, sizeof alone);
    }
    free_rows(&rows);
    fv_encoder_release(&e);
}

/* ---- Failures ---- */

/* All but the batch of the longest row; the first failure is told. */
static fv_status fail_late(void *user, fv_graph *g, const fv_batch *batch, fv_err *err)
{
    const fv_token_rows *rows = user;
    int64_t len = batch->offsets[1];
    (void)g;
    return len == rows->max_len ? FV_OK : FV_FAIL(err, FV_E_INPUT, "row of %lld", (long long)len);
}

static void the_earliest_failure_is_told(void **state)
{
    (void)state;
    char texts[3][64];
    fv_token_rows rows;
    make_rows(&rows, ROWS);
    for (int threads = 1; threads <= 3; threads++) {
        rig r = new_rig(threads);
        fv_err err = {0};
        assert_int_equal(fv_crew_run(r.crew, &rows, 30, fail_late, &rows, &err), FV_E_INPUT); /* one row each, the longest first */
        memcpy(texts[threads - 1], err.text, sizeof texts[0]);
        seen s = {.rows = &rows, .together = r.graph, .most = 30};
        assert_int_equal(fv_crew_run(r.crew, &rows, 30, look, &s, &err), FV_OK); /* and then it works again */
        free_rig(&r);
    }
    assert_string_equal(texts[0], texts[1]);
    assert_string_equal(texts[0], texts[2]);
    free_rows(&rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_comes_once),
        cmocka_unit_test(vectors_have_the_same_bits_whoever_works_on_them),
        cmocka_unit_test(the_earliest_failure_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
