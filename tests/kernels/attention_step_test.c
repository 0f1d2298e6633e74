/* One new query a row against kept keys and values, against float64 with nothing shared and nothing blocked, on every
 * instruction set; and what the header promises besides: a row depends on no other, nor on threads. */
#include "kernels/check.h"

enum { MOST_ROWS = 24, SPAN = 6 };

typedef struct shape {
    const char *name;
    int32_t R, H, K, D;
    int32_t lengths[MOST_ROWS], firsts[MOST_ROWS];
    bool gathered, bias, weights;
    float reach; /* inputs lie in [-reach, reach]; 0: 1 */
} shape;

static const shape shapes[] = {
    {.name = "one key", .R = 1, .H = 1, .K = 1, .D = 16, .lengths = {1}},
    {.name = "beams of two sentences", .R = 7, .H = 8, .K = 8, .D = 64, .lengths = {40, 40, 40, 33, 33, 33, 33}, .firsts = {0, 0, 0, 60, 60, 60, 60}},
    {.name = "equal firsts, other lengths", .R = 4, .H = 2, .K = 2, .D = 32, .lengths = {5, 7, 7, 5}, .firsts = {3, 3, 3, 3}},
    {.name = "more beams than a run", .R = 21, .H = 2, .K = 2, .D = 16, .lengths = {17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17}},
    {.name = "no keys", .R = 4, .H = 4, .K = 2, .D = 8, .lengths = {0, 3, 0, 0}, .firsts = {0, 5, 0, 9}, .weights = true},
    {.name = "gathered", .R = 9, .H = 8, .K = 8, .D = 64, .lengths = {1, 2, 15, 16, 17, 31, 64, 100, 100}, .gathered = true},
    {.name = "gathered, biased, told", .R = 5, .H = 4, .K = 4, .D = 24, .lengths = {1, 5, 7, 8, 50}, .gathered = true, .bias = true, .weights = true},
    {.name = "grouped heads", .R = 6, .H = 6, .K = 2, .D = 16, .lengths = {20, 20, 20, 9, 1, 33}, .firsts = {0, 0, 0, 30, 40, 50}, .weights = true},
    {.name = "odd head size", .R = 3, .H = 3, .K = 3, .D = 19, .lengths = {12, 12, 30}, .firsts = {0, 0, 20}, .bias = true},
    {.name = "tiny head", .R = 2, .H = 5, .K = 5, .D = 1, .lengths = {3, 40}, .gathered = true},
    {.name = "wide head", .R = 2, .H = 2, .K = 1, .D = 203, .lengths = {70, 70}, .weights = true},
    {.name = "one long row", .R = 1, .H = 7, .K = 7, .D = 32, .lengths = {300}, .bias = true},
    {.name = "large scores", .R = 3, .H = 2, .K = 2, .D = 16, .lengths = {40, 40, 12}, .firsts = {0, 0, 40}, .reach = 12},
};

/* A shape with its operands; rows have gaps, and keys lie anywhere among 400 slots when gathered. */
typedef struct problem {
    fv_attention_step s;
    int32_t places[MOST_ROWS * 300];
    int32_t most_keys;
    grid q, k, v, out, bias, weights;
} problem;

enum { SLOTS = 400 };

static problem *problem_new(const shape *sh)
{
    problem *p = calloc(1, sizeof *p);
    assert_non_null(p);
    float reach = sh->reach > 0 ? sh->reach : 1;
    for (int32_t r = 0; r < sh->R; r++) p->most_keys = sh->lengths[r] > p->most_keys ? sh->lengths[r] : p->most_keys;
    for (int32_t i = 0; i < MOST_ROWS * 300; i++) p->places[i] = i % 300 < sh->lengths[i / 300] ? (i * 37 + 11) % SLOTS : -1;
    p->q = grid_new(sh->R, sh->H * sh->D, 3);
    p->k = grid_new(SLOTS, sh->K * sh->D, 5);
    p->v = grid_made(SLOTS, sh->K * sh->D, 1);
    grid_random(&p->q, -reach, reach);
    grid_random(&p->k, -reach, reach);
    p->out = grid_new(sh->R, sh->H * sh->D, 2);
    p->bias = grid_made(sh->H, 2 * SPAN + 1, 0);
    p->weights = grid_new(sh->R, p->most_keys, 4);
    p->s = (fv_attention_step){
        .R = sh->R, .H = sh->H, .K = sh->K, .D = sh->D, .scale = 0.9f / sqrtf((float)sh->D),
        .q = p->q.at, .k = p->k.at, .v = p->v.at, .ldq = p->q.ld, .ldk = p->k.ld, .ldv = p->v.ld,
        .places = sh->gathered ? p->places : NULL, .ldplaces = 300, .firsts = sh->gathered ? NULL : sh->firsts, .lengths = sh->lengths,
        .bias = sh->bias ? p->bias.at : NULL, .span = SPAN, .out = p->out.at, .ldo = p->out.ld,
        .weights = sh->weights ? p->weights.at : NULL, .ldweights = p->weights.ld,
    };
    return p;
}

static void problem_free(problem *p)
{
    grid *grids[] = {&p->q, &p->k, &p->v, &p->out, &p->bias, &p->weights};
    for (size_t i = 0; i < FV_COUNT(grids); i++) grid_free(grids[i]);
    free(p);
}

/* Scratch full of NaN, with a guard behind it. */
static void attend(const fv_attention_step *s, int32_t most_keys, fv_pool *pool)
{
    int threads = pool ? fv_pool_threads(pool) : 1;
    size_t bytes = fv_attention_step_scratch(s, most_keys, threads);
    uint8_t *scratch = fv_alloc(bytes + 64, NULL);
    assert_non_null(scratch);
    memset(scratch, 0xff, bytes + 64);
    fv_attention_step_forward(s, pool, scratch);
    for (size_t i = 0; i < 64; i++) assert_int_equal(scratch[bytes + i], 0xff);
    fv_free(scratch);
}

static int32_t slot_of(const fv_attention_step *s, int32_t r, int32_t j) { return s->places ? s->places[r * s->ldplaces + j] : s->firsts[r] + j; }

static double bias64(const fv_attention_step *s, int32_t h, int32_t away)
{
    if (away < -s->span) away = -s->span;
    return s->bias ? (double)s->bias[h * (2 * s->span + 1) + s->span + away] : 0;
}

/* The weights of one row and head. */
static void weights64(const fv_attention_step *s, int32_t r, int32_t h, double *w)
{
    int32_t n = s->lengths[r];
    double top = -INFINITY, sum = 0;
    for (int32_t j = 0; j < n; j++) {
        w[j] = bias64(s, h, j - (n - 1));
        for (int32_t d = 0; d < s->D; d++) w[j] += (double)s->scale * s->q[r * s->ldq + h * s->D + d] * s->k[slot_of(s, r, j) * s->ldk + h / (s->H / s->K) * s->D + d];
        top = fmax(top, w[j]);
    }
    for (int32_t j = 0; j < n; j++) sum += w[j] = exp(w[j] - top);
    for (int32_t j = 0; j < n; j++) w[j] /= sum;
}

static void truth(const problem *p, double *out, double *mean)
{
    const fv_attention_step *s = &p->s;
    double *w = doubles(p->most_keys);
    for (int32_t r = 0; r < s->R; r++) {
        for (int32_t h = 0; h < s->H; h++) {
            weights64(s, r, h, w);
            for (int32_t j = 0; j < s->lengths[r]; j++) {
                mean[r * p->most_keys + j] += w[j] / s->H;
                for (int32_t d = 0; d < s->D; d++) out[(r * s->H + h) * s->D + d] += w[j] * s->v[slot_of(s, r, j) * s->ldv + h / (s->H / s->K) * s->D + d];
            }
        }
    }
    free(w);
}

static void check_weights(const problem *p, const double *mean, const char *name)
{
    for (int32_t r = 0; r < p->s.R; r++) {
        for (int32_t j = 0; j < p->most_keys; j++) {
            const float *w = &p->weights.at[r * p->weights.ld + j];
            bool told = p->s.weights && j < p->s.lengths[r];
            if (told) check_close(*w, mean[r * p->most_keys + j], 1e-5, name, r, j);
            else assert_memory_equal(w, &guard_bits, 4);
        }
    }
    grid_check_guards(&p->weights);
}

static fv_pool *pool;

static void against_float64(void **state)
{
    (void)state;
    for (size_t i = 0; i < FV_COUNT(shapes); i++) {
        problem *p = problem_new(&shapes[i]);
        double *out = doubles(p->out.rows * p->out.cols), *mean = doubles((int64_t)p->s.R * p->most_keys);
        truth(p, out, mean);
        for (EACH_ISA(isa)) {
            grid_spoil(&p->out);
            grid_spoil(&p->weights);
            attend(&p->s, p->most_keys, isa % 2 ? pool : NULL);
            grid_check(&p->out, out, shapes[i].reach > 1 ? 1e-4 : 3e-6, shapes[i].name);
            check_weights(p, mean, shapes[i].name);
        }
        free(out);
        free(mean);
        problem_free(p);
    }
}

/* Row r of a problem alone, with scratch for more keys than it has. */
static void attend_alone(const problem *p, int32_t r, float *out, float *weights)
{
    fv_attention_step s = p->s;
    s.R = 1;
    s.q += r * s.ldq;
    s.lengths += r;
    if (s.places) s.places += r * s.ldplaces;
    else s.firsts += r;
    s.out = out;
    if (s.weights) s.weights = weights;
    attend(&s, p->most_keys + 7, NULL);
}

static void a_row_depends_on_no_other(void **state)
{
    (void)state;
    for (size_t i = 0; i < FV_COUNT(shapes); i++) {
        problem *p = problem_new(&shapes[i]);
        grid one = grid_new(1, p->out.cols, 0), weights = grid_new(1, p->most_keys, 0);
        for (EACH_ISA(isa)) {
            attend(&p->s, p->most_keys, pool);
            for (int32_t r = 0; r < p->s.R; r++) {
                attend_alone(p, r, one.at, weights.at);
                assert_memory_equal(one.at, p->out.at + r * p->out.ld, (size_t)one.cols * sizeof(float));
                if (p->s.weights) assert_memory_equal(weights.at, p->weights.at + r * p->weights.ld, (size_t)p->s.lengths[r] * sizeof(float));
            }
        }
        grid_free(&one);
        grid_free(&weights);
        problem_free(p);
    }
}

static void same_bits_with_any_threads(void **state)
{
    (void)state;
    fv_pool *three = fv_pool_new(3, NULL);
    for (size_t i = 0; i < FV_COUNT(shapes); i++) {
        problem *p = problem_new(&shapes[i]);
        grid first = grid_new(p->out.rows, p->out.cols, 2);
        for (EACH_ISA(isa)) {
            attend(&p->s, p->most_keys, NULL);
            grid_copy(&first, &p->out);
            grid_spoil(&p->out);
            attend(&p->s, p->most_keys, three);
            assert_true(grid_same(&first, &p->out));
        }
        grid_free(&first);
        problem_free(p);
    }
    fv_pool_free(three);
}

/* A score that is no number must show, not hide. */
static void what_is_no_number_shows(void **state)
{
    (void)state;
    problem *p = problem_new(&shapes[1]);
    p->k.at[(p->s.firsts[0] + 2) * p->k.ld] = NAN;
    for (EACH_ISA(isa)) {
        attend(&p->s, p->most_keys, NULL);
        for (int32_t r = 0; r < p->s.R; r++) {
            assert_true(isnan(grid_get(&p->out, r, 0)) == (r < 3));
            assert_false(isnan(grid_get(&p->out, r, p->s.D)));
        }
    }
    problem_free(p);
}

static int start(void **state)
{
    (void)state;
    pool = fv_pool_new(2, NULL);
    return pool ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    fv_pool_free(pool);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_float64), cmocka_unit_test(a_row_depends_on_no_other),
        cmocka_unit_test(same_bits_with_any_threads), cmocka_unit_test(what_is_no_number_shows),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
