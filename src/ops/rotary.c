/* rotary: turns pairs of a head's channels by the position of their row (Su et al. 2021, eq. 34), so that a query and a
 * key, both turned, have a product that depends on how far apart they are and on nothing else.
 *   x [N, H·D], positions [N] host integers of 0 or more   ->   [N, H·D]
 * Pair i of a head, of D/2, turns by position · base^(-2i/D). `interleaved`: channels 2i and 2i+1 are a pair, as in the
 * article; else i and i + D/2, as most published models have it. Backward turns back.
 *
 * Sines and cosines are made once a call: for each position up to the last, or where those are more, for each row. */
#include "graph/op.h"
#include "ops.h"

#include <math.h>

enum { TASK_PLACES = 32 }; /* some 50 microseconds of sines */

typedef struct args {
    const int32_t *positions;
    int32_t heads;
    float base;
    bool interleaved;
} args;

static int32_t last_position(const args *a, int64_t rows)
{
    int32_t last = 0;
    for (int64_t r = 0; r < rows; r++) last = a->positions[r] > last ? a->positions[r] : last;
    return last;
}

static fv_status check(fv_node *node, fv_err *err)
{
    const args *a = node->args;
    const fv_tensor *x = node->in[0];
    if (a->heads < 1 || x->cols % (2 * (int64_t)a->heads)) return FV_FAIL(err, FV_E_SHAPE, "%lld columns for %d heads; expected heads of an even size", (long long)x->cols, a->heads);
    if (!(a->base > 1)) return FV_FAIL(err, FV_E_ARGUMENT, "base is %g; expected above 1", (double)a->base);
    for (int64_t r = 0; r < x->rows; r++)
        if (a->positions[r] < 0) return FV_FAIL(err, FV_E_SHAPE, "position %d at row %lld; expected 0 or more", a->positions[r], (long long)r);
    int64_t places = (int64_t)last_position(a, x->rows) + 1, D = x->cols / a->heads;
    node->out->rows = x->rows;
    node->out->cols = x->cols;
    node->scratch_forward = node->scratch_backward = (size_t)((places < x->rows ? places : x->rows) * D + D) * sizeof(float);
    return FV_OK;
}

/* Places are positions where those are fewer than rows; else rows. */
typedef struct table {
    const args *a;
    float *cells;   /* [places][D]: D/2 cosines, D/2 sines */
    double *speeds; /* [D/2] */
    int64_t D, places;
    bool by_position;
} table;

static void fill_table(void *arg, int64_t task, int worker)
{
    (void)worker;
    const table *t = arg;
    int64_t end = (task + 1) * TASK_PLACES < t->places ? (task + 1) * TASK_PLACES : t->places;
    for (int64_t p = task * TASK_PLACES; p < end; p++) {
        float *row = t->cells + p * t->D;
        double position = t->by_position ? (double)p : t->a->positions[p];
        for (int64_t i = 0; i < t->D / 2; i++) {
            row[i] = (float)cos(position * t->speeds[i]);
            row[t->D / 2 + i] = (float)sin(position * t->speeds[i]);
        }
    }
}

static void turn(const fv_node *node, fv_grad_to y, const float *x, int64_t ldx, bool back, fv_pool *pool)
{
    const args *a = node->args;
    int64_t rows = node->out->rows, D = node->out->cols / a->heads, positions = (int64_t)last_position(a, rows) + 1;
    table t = {.a = a, .cells = (float *)node->scratch + D, .speeds = node->scratch, .D = D, .places = positions < rows ? positions : rows, .by_position = positions < rows};
    for (int64_t i = 0; i < D / 2; i++) t.speeds[i] = pow((double)a->base, -2.0 * (double)i / (double)D);
    fv_pool_run(pool, (t.places + TASK_PLACES - 1) / TASK_PLACES, fill_table, &t);
    fv_rotation r = {.table = t.cells, .places = t.by_position ? a->positions : NULL, .heads = a->heads, .D = (int32_t)D, .interleaved = a->interleaved, .back = back};
    fv_rotate_rows(y.data, y.stride, y.add, x, ldx, &r, rows, pool);
}

static void forward(const fv_node *node, const fv_run *run)
{
    const fv_tensor *x = node->in[0], *y = node->out;
    turn(node, (fv_grad_to){.data = y->data, .stride = y->stride}, x->data, x->stride, false, run->pool);
}

static void backward(const fv_node *node, const fv_run *run)
{
    const fv_tensor *y = node->out;
    fv_grad_to d = fv_grad(node, 0);
    if (d.data) turn(node, d, y->grad, y->grad_stride, true, run->pool);
}

static void reference(const fv_node *node, const fv_run *run, const double *const *in, double *out)
{
    (void)run;
    const args *a = node->args;
    int64_t cols = node->out->cols, D = cols / a->heads;
    for (int64_t at = 0; at < node->out->rows * cols; at++) {
        int64_t c = at % D, pair = a->interleaved ? c / 2 : c % (D / 2), away = a->interleaved ? 1 : D / 2;
        bool second = a->interleaved ? c % 2 : c >= D / 2;
        double angle = a->positions[at / cols] / pow((double)a->base, 2 * (double)pair / (double)D);
        out[at] = second ? in[0][at] * cos(angle) + in[0][at - away] * sin(angle) : in[0][at] * cos(angle) - in[0][at + away] * sin(angle);
    }
}

static const int32_t places[] = {0, 1, 2, 3, 0, 1, 2}, apart[] = {900, 7, 12345}, below[] = {0, -1, 1};

static fv_tensor *halves(fv_case *c) { return fv_rotary(fv_case_graph(c), fv_case_input(c, "x", 7, 36), places, 2, 10000, false); }
static fv_tensor *neighbours(fv_case *c) { return fv_rotary(fv_case_graph(c), fv_case_input(c, "x", 7, 36), places, 2, 10000, true); }
static fv_tensor *far_apart(fv_case *c) { return fv_rotary(fv_case_graph(c), fv_case_input(c, "x", 3, 16), apart, 1, 500, false); }
static fv_tensor *pairs_alone(fv_case *c) { return fv_rotary(fv_case_graph(c), fv_case_input(c, "x", 7, 6), places, 3, 10000, true); }

/* As models use it: some columns of what a product left. */
static fv_tensor *view(fv_case *c)
{
    fv_graph *g = fv_case_graph(c);
    return fv_rotary(g, fv_view_columns(g, fv_case_input(c, "qkv", 7, 48), 16, 16), places, 2, 10000, false);
}

static fv_tensor *odd_heads(fv_case *c) { return fv_rotary(fv_case_graph(c), fv_case_input(c, "x", 7, 10), places, 2, 10000, false); }
static fv_tensor *position_below_zero(fv_case *c) { return fv_rotary(fv_case_graph(c), fv_case_input(c, "x", 3, 16), below, 1, 10000, false); }
static fv_tensor *no_base(fv_case *c) { return fv_rotary(fv_case_graph(c), fv_case_input(c, "x", 7, 16), places, 1, 1, false); }
static fv_tensor *typical(fv_case *c) { return fv_rotary(fv_case_graph(c), fv_case_input(c, "x", 2048, 1024), fv_case_integers(c, 2048, 64), 16, 10000, false); }

static const fv_op_case cases[] = {{"halves", halves}, {"neighbours", neighbours}, {"far apart", far_apart}, {"pairs alone", pairs_alone}, {"view", view}};
static const fv_op_case refused[] = {{"odd heads", odd_heads}, {"position below zero", position_below_zero}, {"no base", no_base}};

const fv_op fv_op_rotary = {
    .name = "rotary", .says = "turns queries and keys by their place, so that only distances count",
    .check = check, .forward = forward, .backward = backward, .reference = reference,
    FV_CASES(cases), FV_REFUSED(refused), .typical = typical, .tolerance = 1e-6,
};

FV_OP_FN fv_tensor *fv_rotary(fv_graph *g, fv_tensor *x, const int32_t *positions, int32_t heads, float base, bool interleaved) {
    return fv_graph_add(g, &fv_op_rotary, (fv_tensor *[]){x}, 1, 1, &(args){.positions = positions, .heads = heads, .base = base, .interleaved = interleaved}, sizeof(args));
}
