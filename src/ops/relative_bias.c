/* relative_bias: a learned number for each head and bucket of distances becomes one for each distance, as `attend` adds
 * them to its scores.
 *   table [buckets, H]   ->   [H, 2·span+1], column span + d for keys d tokens after the query
 * Raffel et al. 2020 (T5), 2.1 and the code that they published: half of the buckets are for one distance each, 0, 1, 2 …;
 * the others grow by one ratio up to max_distance, and the last holds all beyond. Where both ways count, keys ahead have
 * the second half of the table, split the same way; else keys ahead count as distance 0.
 * T5 and MPNet have 32 buckets and a max_distance of 128; then a span of 128 loses nothing. */
#include "graph/op.h"
#include "ops.h"

#include <math.h>
#include <stdlib.h>

typedef struct args {
    int32_t span, max_distance;
    bool both_ways;
} args;

/* Of one direction: buckets, and how many of them hold one distance. */
typedef struct sizes { int32_t buckets, exact; } sizes;

static sizes sizes_of(const args *a, int64_t rows)
{
    int32_t buckets = (int32_t)(a->both_ways ? rows / 2 : rows);
    return (sizes){buckets, buckets / 2};
}

static fv_status check(fv_node *node, fv_err *err)
{
    const args *a = node->args;
    const fv_tensor *table = node->in[0];
    if (a->span < 0) return FV_FAIL(err, FV_E_ARGUMENT, "span is %d; expected 0 or more", a->span);
    if (table->rows > INT32_MAX || (a->both_ways && table->rows % 2)) return FV_FAIL(err, FV_E_SHAPE, "%lld buckets; expected an even number, one half for each way", (long long)table->rows);
    sizes s = sizes_of(a, table->rows);
    if (s.exact < 1 || a->max_distance <= s.exact) return FV_FAIL(err, FV_E_SHAPE, "%lld buckets and a largest distance of %d; expected at least two buckets each way, and a distance above half of those", (long long)table->rows, a->max_distance);
    node->out->rows = table->cols;
    node->out->cols = 2 * (int64_t)a->span + 1;
    return FV_OK;
}

static int32_t bucket_of(const args *a, sizes s, int32_t distance)
{
    int32_t ahead = a->both_ways && distance > 0 ? s.buckets : 0;
    int32_t away = a->both_ways || distance < 0 ? abs(distance) : 0;
    if (away < s.exact) return ahead + away;
    double share = log((double)away / s.exact) / log((double)a->max_distance / s.exact);
    int32_t bucket = s.exact + (int32_t)(share * (s.buckets - s.exact) + 1e-9); /* whole numbers must not come out a hair below */
    return ahead + (bucket < s.buckets ? bucket : s.buckets - 1);
}

static void forward(const fv_node *node, const fv_run *run)
{
    (void)run;
    const args *a = node->args;
    const fv_tensor *table = node->in[0], *y = node->out;
    sizes s = sizes_of(a, table->rows);
    for (int64_t x = 0; x < y->cols; x++) {
        const float *row = table->data + bucket_of(a, s, (int32_t)(x - a->span)) * table->stride;
        for (int64_t h = 0; h < y->rows; h++) y->data[h * y->stride + x] = row[h];
    }
}

static void backward(const fv_node *node, const fv_run *run)
{
    (void)run;
    const args *a = node->args;
    const fv_tensor *y = node->out;
    sizes s = sizes_of(a, node->in[0]->rows);
    fv_grad_to d = fv_grad_zeroed(node, 0);
    for (int64_t x = 0; d.data && x < y->cols; x++) {
        float *row = d.data + bucket_of(a, s, (int32_t)(x - a->span)) * d.stride;
        for (int64_t h = 0; h < y->rows; h++) row[h] += y->grad[h * y->grad_stride + x];
    }
}

/* The other way round: a bucket begins where the ratio has been applied often enough. */
static void reference(const fv_node *node, const fv_run *run, const double *const *in, double *out)
{
    (void)run;
    const args *a = node->args;
    int64_t heads = node->out->rows, cols = node->out->cols, half = node->in[0]->rows / (a->both_ways ? 2 : 1), exact = half / 2;
    for (int64_t x = 0; x < cols; x++) {
        int64_t distance = x - a->span, away = distance < 0 ? -distance : a->both_ways ? distance : 0, bucket = away < exact ? away : exact;
        for (int64_t k = 1; k < half - exact; k++) bucket += (double)away >= (double)exact * pow((double)a->max_distance / (double)exact, (double)k / (double)(half - exact)) - 1e-6;
        if (a->both_ways && distance > 0) bucket += half;
        for (int64_t h = 0; h < heads; h++) out[h * cols + x] = in[0][bucket * heads + h];
    }
}

static fv_tensor *both_ways(fv_case *c) { return fv_relative_bias(fv_case_graph(c), fv_case_input(c, "table", 32, 3), 150, 128, true); }
static fv_tensor *one_way(fv_case *c) { return fv_relative_bias(fv_case_graph(c), fv_case_input(c, "table", 32, 2), 150, 128, false); }
static fv_tensor *short_span(fv_case *c) { return fv_relative_bias(fv_case_graph(c), fv_case_input(c, "table", 10, 1), 3, 20, true); }
static fv_tensor *no_span(fv_case *c) { return fv_relative_bias(fv_case_graph(c), fv_case_input(c, "table", 4, 2), 0, 5, true); }
static fv_tensor *odd(fv_case *c) { return fv_relative_bias(fv_case_graph(c), fv_case_input(c, "table", 7, 2), 5, 128, true); }
static fv_tensor *too_near(fv_case *c) { return fv_relative_bias(fv_case_graph(c), fv_case_input(c, "table", 32, 2), 5, 16, false); }
static fv_tensor *one_bucket(fv_case *c) { return fv_relative_bias(fv_case_graph(c), fv_case_input(c, "table", 2, 2), 5, 128, true); }
static fv_tensor *span_below_zero(fv_case *c) { return fv_relative_bias(fv_case_graph(c), fv_case_input(c, "table", 32, 2), -1, 128, true); }
static fv_tensor *typical(fv_case *c) { return fv_relative_bias(fv_case_graph(c), fv_case_input(c, "table", 32, 8), 128, 128, true); }

static const fv_op_case cases[] = {{"both ways", both_ways}, {"one way", one_way}, {"short span", short_span}, {"no span", no_span}};
static const fv_op_case refused[] = {{"odd", odd}, {"too near", too_near}, {"one bucket", one_bucket}, {"span below zero", span_below_zero}};

const fv_op fv_op_relative_bias = {
    .name = "relative_bias", .says = "says for each head how much a distance counts",
    .check = check, .forward = forward, .backward = backward, .reference = reference,
    FV_CASES(cases), FV_REFUSED(refused), .typical = typical, .tolerance = 1e-5,
};

FV_OP_FN fv_tensor *fv_relative_bias(fv_graph *g, fv_tensor *table, int32_t span, int32_t max_distance, bool both_ways) {
    return fv_graph_add(g, &fv_op_relative_bias, (fv_tensor *[]){table}, 1, 1, &(args){.span = span, .max_distance = max_distance, .both_ways = both_ways}, sizeof(args));
}
