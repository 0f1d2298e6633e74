/* Attention backward against float64 gradients, themselves checked against finite differences. */
#include "kernels/attention_cases.h"

typedef struct grads {
    grid dout, dq, dk, dv, dbias;
    double *q, *k, *v, *bias; /* expected, [N, H·D], [M, K·D] and [H, 2·span+1] */
} grads;

static grads grads_new(const problem *p)
{
    int64_t C = p->a.H * p->a.D, G = p->a.K * p->a.D;
    return (grads){
        .dout = grid_made(p->N, C, 7), .dq = grid_new(p->N, C, 1), .dk = grid_new(p->M, G, 2), .dv = grid_new(p->M, G, 3),
        .dbias = grid_new(p->a.H, p->bias.cols, 3), .bias = doubles(p->a.H * p->bias.cols),
        .q = doubles(p->N * C), .k = doubles(p->M * G), .v = doubles(p->M * G),
    };
}

static void grads_free(grads *g)
{
    grid_free(&g->dout);
    grid_free(&g->dq);
    grid_free(&g->dk);
    grid_free(&g->dv);
    grid_free(&g->dbias);
    free(g->bias);
    free(g->q);
    free(g->k);
    free(g->v);
}

/* dw/dscore of one row: with w the weights and g = dout · value for each key after dropout,
 * w · (g - sum of w · g). */
static void expect_row(grads *g, const problem *p, const truth *t, int32_t b, int32_t h, int32_t i)
{
    const fv_attention *a = &p->a;
    int32_t m = a->k_offsets[b + 1] - a->k_offsets[b], kh = h / (a->H / a->K), D = a->D;
    int64_t row = a->q_offsets[b] + i, at = truth_at(a, b, h, i, 0), C = a->H * D, G = a->K * D;
    double keep = keep_share(a), delta = 0, *gain = doubles(m);
    for (int32_t j = 0; j < m; j++) {
        int64_t key = a->k_offsets[b] + j;
        for (int32_t d = 0; d < D; d++) {
            double dout = grid_get(&g->dout, row, h * D + d);
            gain[j] += dout * a->v[key * a->ldv + kh * D + d] * t->kept[b][at + j] / keep;
            g->v[key * G + kh * D + d] += dout * t->weights[b][at + j] * t->kept[b][at + j] / keep;
        }
        delta += t->weights[b][at + j] * gain[j];
    }
    for (int32_t j = 0; j < m; j++) {
        double db = t->weights[b][at + j] * (gain[j] - delta), ds = a->scale * db;
        g->bias[h * p->bias.cols + bias_of(a, b, i, j)] += db;
        int64_t key = a->k_offsets[b] + j;
        for (int32_t d = 0; d < D; d++) {
            g->q[row * C + h * D + d] += ds * a->k[key * a->ldk + kh * D + d];
            g->k[key * G + kh * D + d] += ds * a->q[row * a->ldq + h * D + d];
        }
    }
    free(gain);
}

static void expect(grads *g, const problem *p, const truth *t)
{
    const fv_attention *a = &p->a;
    memset(g->q, 0, (size_t)(p->N * a->H * a->D) * sizeof(double));
    memset(g->k, 0, (size_t)(p->M * a->K * a->D) * sizeof(double));
    memset(g->v, 0, (size_t)(p->M * a->K * a->D) * sizeof(double));
    memset(g->bias, 0, (size_t)(a->H * p->bias.cols) * sizeof(double));
    for (int32_t b = 0; b < a->B; b++) {
        for (int32_t h = 0; h < a->H; h++) {
            for (int32_t i = 0; i < a->q_offsets[b + 1] - a->q_offsets[b]; i++) expect_row(g, p, t, b, h, i);
        }
    }
}

static void back(const problem *p, grads *g, bool add, fv_pool *pool)
{
    int threads = pool ? fv_pool_threads(pool) : 1;
    fv_attention_grad grad = {
        .dout = g->dout.at, .lddo = g->dout.ld, .dq = g->dq.at, .lddq = g->dq.ld, .dk = g->dk.at, .lddk = g->dk.ld,
        .dv = g->dv.at, .lddv = g->dv.ld, .add_q = add, .add_k = add, .add_v = add,
        .dbias = p->a.bias ? g->dbias.at : NULL, .lddbias = g->dbias.ld,
    };
    uint8_t *scratch = scratch_new(&p->a, threads);
    fv_attention_backward(&p->a, &grad, pool, scratch);
    scratch_free(scratch, &p->a, threads);
}

static void check_all(const problem *p, const grads *g, double tolerance)
{
    if (p->a.bias) grid_check(&g->dbias, g->bias, tolerance, "dbias");
    grid_check(&g->dq, g->q, tolerance, "dq");
    grid_check(&g->dk, g->k, tolerance, "dk");
    grid_check(&g->dv, g->v, tolerance, "dv");
}

/* By a power of two: no bit is lost. */
static void scale_expected(grads *g, const problem *p, double by)
{
    for (int64_t i = 0; i < p->N * g->dq.cols; i++) g->q[i] *= by;
    for (int64_t i = 0; i < p->M * g->dk.cols; i++) g->k[i] *= by, g->v[i] *= by;
    for (int64_t i = 0; i < p->a.H * g->dbias.cols; i++) g->bias[i] *= by;
}

/* Biases' gradients are added to what is there: from 0 here. */
static void spoil_outputs(const grads *g)
{
    grid_spoil(&g->dq);
    grid_spoil(&g->dk);
    grid_spoil(&g->dv);
    grid_spoil(&g->dbias);
    for (int64_t h = 0; h < g->dbias.rows; h++) memset(g->dbias.at + h * g->dbias.ld, 0, (size_t)g->dbias.cols * sizeof(float));
}

/* Set, then the same added. What is expected depends on the kernels only through what they drop. */
static void check_gradients(const problem *p, double tolerance, fv_pool *pool)
{
    grads g = grads_new(p);
    truth t = truth_new(p);
    expect(&g, p, &t);
    for (EACH_ISA(isa)) {
        if (p->a.dropout > 0) {
            read_mask(&t, p);
            expect(&g, p, &t);
        }
        attend(&p->a, pool);
        spoil_outputs(&g);
        back(p, &g, false, pool);
        check_all(p, &g, tolerance);
        back(p, &g, true, pool);
        scale_expected(&g, p, 2);
        check_all(p, &g, 2 * tolerance);
        scale_expected(&g, p, 0.5);
    }
    truth_free(&t);
    grads_free(&g);
}

static void gradients_agree(void **state)
{
    for (size_t i = 0; i < FV_COUNT(shapes); i++) {
        problem p;
        problem_init(&p, &shapes[i]);
        check_gradients(&p, shapes[i].reach > 0 ? 2e-3 : 2e-5, *state);
        problem_release(&p);
    }
}

/* At scale 0 the biases alone decide, and theirs is the only slope before the softmax. */
static void biases_alone(void **state)
{
    problem p;
    problem_init(&p, &(shape){.B = 2, .H = 2, .K = 2, .D = 16, .n = {30, 9}, .m = {30, 9}, .limits = {-1}, .span = 6});
    p.a.scale = 0;
    check_gradients(&p, 2e-5, *state);
    problem_release(&p);
}

static void same_bits_with_any_threads(void **state)
{
    (void)state;
    for (size_t i = 0; i < FV_COUNT(shapes); i++) {
        problem p;
        problem_init(&p, &shapes[i]);
        grads first = grads_new(&p), g = grads_new(&p);
        grid_copy(&g.dout, &first.dout);
        for (EACH_ISA(isa)) {
            attend(&p.a, NULL);
            spoil_outputs(&first);
            back(&p, &first, false, NULL);
            for (int threads = 2; threads <= 4; threads *= 2) {
                fv_pool *pool = fv_pool_new(threads, NULL);
                spoil_outputs(&g);
                back(&p, &g, false, pool);
                assert_true(grid_same(&first.dq, &g.dq) && grid_same(&first.dk, &g.dk) && grid_same(&first.dv, &g.dv) && grid_same(&first.dbias, &g.dbias));
                fv_pool_free(pool);
            }
        }
        grads_free(&first);
        grads_free(&g);
        problem_release(&p);
    }
}

/* The sum of dout · out in float64, with a given choice of dropout. */
static double loss(const problem *p, const grads *g, const truth *mask)
{
    const fv_attention *a = &p->a;
    truth t = truth_new(p);
    double sum = 0;
    for (int32_t b = 0; b < a->B; b++) {
        int32_t n = a->q_offsets[b + 1] - a->q_offsets[b], m = a->k_offsets[b + 1] - a->k_offsets[b];
        for (int32_t x = 0; x < a->H * n * m; x++) {
            int32_t j = x % m, i = x / m % n, h = x / m / n, kh = h / (a->H / a->K);
            double w = t.weights[b][x] * mask->kept[b][x] / keep_share(a);
            for (int32_t d = 0; d < a->D; d++) sum += w * grid_get(&g->dout, a->q_offsets[b] + i, h * a->D + d) * a->v[(a->k_offsets[b] + j) * a->ldv + kh * a->D + d];
        }
    }
    truth_free(&t);
    return sum;
}

static void check_slope(const problem *p, const grads *g, const truth *mask, const grid *input, int64_t r, int64_t c, const double *expected, const char *what)
{
    float *x = &input->at[r * input->ld + c], old = *x;
    *x = old + 0.004f;
    double up = *x, above = loss(p, g, mask);
    *x = old - 0.004f;
    double down = *x, below = loss(p, g, mask);
    *x = old;
    check_close((above - below) / (up - down), expected[r * input->cols + c], 2e-4, what, r, c);
}

static void expected_gradients_are_slopes(void **state)
{
    (void)state;
    shape s = {.B = 2, .H = 4, .K = 2, .D = 8, .n = {9, 5}, .m = {12, 5}, .causal = true, .limits = {10, 5}, .dropout = 0.3f, .span = 4};
    problem p;
    problem_init(&p, &s);
    grads g = grads_new(&p);
    truth t = truth_new(&p);
    read_mask(&t, &p);
    expect(&g, &p, &t);
    for (int64_t c = 0; c < 32; c += 5) {
        check_slope(&p, &g, &t, &p.q, c % p.N, c, g.q, "slope by q");
        check_slope(&p, &g, &t, &p.k, c % p.M, c / 2, g.k, "slope by k");
        check_slope(&p, &g, &t, &p.v, c % p.M, c / 2, g.v, "slope by v");
        check_slope(&p, &g, &t, &p.bias, c % 4, c % 9, g.bias, "slope by bias");
    }
    truth_free(&t);
    grads_free(&g);
    problem_release(&p);
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
        cmocka_unit_test(expected_gradients_are_slopes),
        cmocka_unit_test(gradients_agree),
        cmocka_unit_test(biases_alone),
        cmocka_unit_test(same_bits_with_any_threads),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
