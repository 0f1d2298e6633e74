/* Attention forward against float64 with the whole matrix of weights, on every instruction set. */
#include "kernels/attention_cases.h"

static void check_out(const problem *p, const truth *t, const shape *s)
{
    const fv_attention *a = &p->a;
    double keep = keep_share(a), tolerance = s->reach > 0 ? 1e-4 : 2e-6;
    for (int32_t b = 0; b < a->B; b++) {
        for (int32_t row = a->q_offsets[b]; row < a->q_offsets[b + 1]; row++) {
            for (int32_t c = 0; c < a->H * a->D; c++) {
                int32_t h = c / a->D, kh = h / (a->H / a->K);
                double sum = 0;
                for (int32_t j = 0; j < a->k_offsets[b + 1] - a->k_offsets[b]; j++) {
                    int64_t at = truth_at(a, b, h, row - a->q_offsets[b], j);
                    sum += t->weights[b][at] * t->kept[b][at] / keep * a->v[(a->k_offsets[b] + j) * a->ldv + kh * a->D + c % a->D];
                }
                check_close(grid_get(&p->out, row, c), sum, tolerance, s->name, row, c);
            }
        }
    }
    grid_check_guards(&p->out);
}

static void check_lse(const problem *p, const truth *t, const shape *s)
{
    for (int32_t row = 0; row < p->N; row++) {
        for (int32_t h = 0; h < p->a.H; h++) {
            double expected = t->lse[row * p->a.H + h];
            if (expected == -INFINITY) assert_true(grid_get(&p->lse, row, h) == -INFINITY);
            else check_close(grid_get(&p->lse, row, h), expected, s->reach > 0 ? 1e-4 : 2e-6, "lse", row, h);
        }
    }
    grid_check_guards(&p->lse);
}

static void values_agree(void **state)
{
    fv_pool *pool = *state;
    for (size_t i = 0; i < FV_COUNT(shapes); i++) {
        problem p;
        problem_init(&p, &shapes[i]);
        truth t = truth_new(&p);
        for (EACH_ISA(isa)) {
            grid_spoil(&p.out);
            grid_spoil(&p.lse);
            if (p.a.dropout > 0) read_mask(&t, &p);
            attend(&p.a, pool);
            check_out(&p, &t, &shapes[i]);
            check_lse(&p, &t, &shapes[i]);
        }
        truth_free(&t);
        problem_release(&p);
    }
}

/* For people: the same weights, without dropout. */
static void weights_agree(void **state)
{
    (void)state;
    for (size_t i = 0; i < FV_COUNT(shapes); i++) {
        problem p;
        problem_init(&p, &shapes[i]);
        truth t = truth_new(&p);
        for (EACH_ISA(isa)) {
            attend(&p.a, NULL);
            for (int32_t b = 0; b < p.a.B; b++) {
                int32_t n = shapes[i].n[b], m = shapes[i].m[b], h = p.a.H - 1;
                grid w = grid_new(n, m, 0);
                fv_attention_weights(&p.a, b, h, w.at);
                grid_check(&w, t.weights[b] + truth_at(&p.a, b, h, 0, 0), shapes[i].reach > 0 ? 1e-4 : 2e-6, "weights");
                grid_free(&w);
            }
        }
        truth_free(&t);
        problem_release(&p);
    }
}

static void same_bits_with_any_threads(void **state)
{
    (void)state;
    for (size_t i = 0; i < FV_COUNT(shapes); i++) {
        problem p;
        problem_init(&p, &shapes[i]);
        grid first = grid_new(p.N, p.out.cols, 2);
        for (EACH_ISA(isa)) {
            for (int threads = 1; threads <= 4; threads *= 2) {
                fv_pool *pool = fv_pool_new(threads, NULL);
                grid_spoil(&p.out);
                attend(&p.a, pool);
                if (threads == 1) memcpy(first.block, p.out.block, p.out.floats * sizeof(float));
                else assert_true(grid_same(&first, &p.out));
                fv_pool_free(pool);
            }
        }
        grid_free(&first);
        problem_release(&p);
    }
}

/* The same scores are dropped on every instruction set, as many as asked, and others for another
 * sequence, head or key. */
static void dropout_is_one_choice(void **state)
{
    (void)state;
    shape s = {.B = 2, .H = 2, .K = 2, .D = 64, .n = {200, 200}, .m = {200, 200}, .limits = {-1}, .dropout = 0.3f};
    problem p;
    problem_init(&p, &s);
    truth first = truth_new(&p), t = truth_new(&p);
    for (EACH_ISA(isa)) {
        truth *to = isa == 0 ? &first : &t;
        read_mask(to, &p);
        for (int32_t b = 0; b < s.B; b++) assert_memory_equal(to->kept[b], first.kept[b], 2 * 200 * 200 * sizeof(double));
    }
    const int64_t one = 200 * 200;
    double kept = 0, heads = 0, sequences = 0, rows = 0;
    for (int64_t x = 0; x < one; x++) {
        kept += first.kept[0][x];
        heads += first.kept[0][x] == first.kept[0][one + x];
        sequences += first.kept[0][x] == first.kept[1][x];
        rows += first.kept[0][x] == first.kept[0][(x + 200) % one];
    }
    double keep = keep_share(&p.a), agree = keep * keep + (1 - keep) * (1 - keep), deviation = 5 * sqrt(0.25 / (double)one);
    check_close(kept / (double)one, keep, deviation, "share kept", 0, 0);
    check_close(heads / (double)one, agree, deviation, "agreement of heads", 0, 0);
    check_close(sequences / (double)one, agree, deviation, "agreement of sequences", 0, 0);
    check_close(rows / (double)one, agree, deviation, "agreement of rows", 0, 0);
    p.a.key++;
    read_mask(&t, &p);
    assert_memory_not_equal(t.kept[0], first.kept[0], (size_t)one * sizeof(double));
    truth_free(&first);
    truth_free(&t);
    problem_release(&p);
}

/* What a score's place in the batch is does not change what is dropped: it is the sequence's name. */
static void dropout_follows_the_sequence(void **state)
{
    (void)state;
    shape s = {.B = 2, .H = 1, .K = 1, .D = 32, .n = {37, 90}, .m = {37, 90}, .limits = {-1}, .dropout = 0.5f};
    shape turned = s;
    turned.n[0] = turned.m[0] = 90;
    turned.n[1] = turned.m[1] = 37;
    problem p, q;
    problem_init(&p, &s);
    problem_init(&q, &turned);
    q.sequences[0] = p.sequences[1];
    q.sequences[1] = p.sequences[0];
    truth t = truth_new(&p), u = truth_new(&q);
    for (EACH_ISA(isa)) {
        read_mask(&t, &p);
        read_mask(&u, &q);
        assert_memory_equal(t.kept[0], u.kept[1], 37 * 37 * sizeof(double));
        assert_memory_equal(t.kept[1], u.kept[0], 90 * 90 * sizeof(double));
    }
    truth_free(&t);
    truth_free(&u);
    problem_release(&p);
    problem_release(&q);
}

/* Scores near the largest floats, and all equal, and far apart: still weights that sum to 1. */
static void huge_scores(void **state)
{
    (void)state;
    shape s = {.B = 1, .H = 1, .K = 1, .D = 16, .n = {40}, .m = {400}, .limits = {-1}};
    problem p;
    problem_init(&p, &s);
    for (int32_t i = 0; i < p.N; i++) {
        for (int32_t d = 0; d < 16; d++) p.q.at[i * p.q.ld + d] = d == 0 ? (i % 2 ? 1e18f : -1e18f) : 0;
    }
    for (int32_t j = 0; j < p.M; j++) {
        for (int32_t d = 0; d < 16; d++) {
            p.k.at[j * p.k.ld + d] = d == 0 ? (j == 333 ? 2e19f : j == 22 ? -2e19f : 1e19f * (float)(j % 2)) : 0;
            p.v.at[j * p.v.ld + d] = (float)j;
        }
    }
    for (EACH_ISA(isa)) {
        attend(&p.a, NULL);
        for (int32_t i = 0; i < p.N; i++) check_close(grid_get(&p.out, i, 3), i % 2 ? 333 : 22, 0, "the largest score's value", i, 3);
        grid_check_guards(&p.out);
    }
    problem_release(&p);
}

/* A row that is no number must show, not be hidden by the maximum. */
static void nan_shows(void **state)
{
    (void)state;
    shape s = {.B = 1, .H = 1, .K = 1, .D = 16, .n = {20}, .m = {20}, .limits = {-1}};
    problem p;
    problem_init(&p, &s);
    p.q.at[7 * p.q.ld + 4] = NAN;
    for (EACH_ISA(isa)) {
        attend(&p.a, NULL);
        for (int32_t i = 0; i < p.N; i++) assert_int_equal(isnan(grid_get(&p.out, i, 0)) != 0, i == 7);
    }
    problem_release(&p);
}

static void flops_count_what_is_visible(void **state)
{
    (void)state;
    for (size_t i = 0; i < FV_COUNT(shapes); i++) {
        problem p;
        problem_init(&p, &shapes[i]);
        double scores = 0;
        for (int32_t b = 0; b < p.a.B; b++) {
            for (int32_t x = 0; x < shapes[i].n[b]; x++) {
                for (int32_t y = 0; y < shapes[i].m[b]; y++) scores += visible(&p.a, b, x, y);
            }
        }
        assert_true(fv_attention_flops(&p.a, false) == scores * p.a.H * p.a.D * 4);
        assert_true(fv_attention_flops(&p.a, true) == scores * p.a.H * p.a.D * 10);
        problem_release(&p);
    }
}

static int start(void **state)
{
    *state = fv_pool_new(2, NULL);
    return *state ? 0 : -1;
}

static int stop(void **state)
{
    fv_pool_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_agree), cmocka_unit_test(weights_agree),
        cmocka_unit_test(same_bits_with_any_threads), cmocka_unit_test(dropout_is_one_choice),
        cmocka_unit_test(dropout_follows_the_sequence), cmocka_unit_test(huge_scores),
        cmocka_unit_test(nan_shows), cmocka_unit_test(flops_count_what_is_visible),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
