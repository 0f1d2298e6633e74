/* contrast: which of a batch's other texts belongs to each text, as a choice among all of them (Henderson et al. 2017, 4.4;
 * van den Oord et al. 2018, eq. 4).
 *   x [P·B, C] rows of length 1: a text, the one that belongs to it, and with P = 3 one that does not, B times   ->   [1, 1]
 * The mean over texts of -log softmax(scale · cos) at the right one, among the second and third rows of all B. With
 * `both_ways` the mean of that and of the same from the second rows to the first ones.
 *
 * names [P·B]: rows of equal text have equal names. What may as well be right is no rival: a candidate that is the right
 * text again, or the asking text itself, or the right one of another row that asks the same.
 * The trap: scores of all pairs are kept, [B, (P-1)·B]: a batch of 1,000 pairs takes 4 MB, and twice that both ways. */
#include "graph/op.h"
#include "ops.h"

#include <math.h>
#include <string.h>

typedef struct args {
    const int32_t *names;
    int parts;
    float scale;
    bool both_ways;
} args;

/* What forward keeps: shares of candidates, [B, M] for the first rows, then [B, B] for the second ones; then a loss a row. */
typedef struct room {
    int64_t B, M;
    float *there, *back, *losses;
} room;

static room room_of(const fv_node *node)
{
    const args *a = node->args;
    room k = {.B = node->in[0]->rows / a->parts};
    k.M = k.B * (a->parts - 1);
    k.there = node->aux;
    if (k.there) k.back = k.there + k.B * k.M, k.losses = k.back + (a->both_ways ? k.B * k.B : 0);
    return k;
}

/* Scores of all texts with part p of all rows. */
static fv_gemm score_product(const fv_node *node, const room *k, int p)
{
    const args *a = node->args;
    const fv_tensor *x = node->in[0];
    fv_gemm g = {.m = k->B, .n = k->B, .k = x->cols, .lda = a->parts * x->stride, .ldb = a->parts * x->stride, .b_t = true, .ldc = k->M};
    if (x->data) g.a = x->data, g.b = x->data + p * x->stride;
    if (k->there) g.c = k->there + (p - 1) * k->B;
    return g;
}

/* Into the gradient of the first rows: slopes [B, M] by part p's rows. */
static fv_gemm text_product(const fv_node *node, const room *k, const float *slopes, int p, fv_grad_to d)
{
    const args *a = node->args;
    const fv_tensor *x = node->in[0];
    fv_gemm g = {.m = k->B, .n = x->cols, .k = k->B, .lda = k->M, .ldb = a->parts * x->stride, .c = d.data, .ldc = a->parts * d.stride, .add = p > 1 || d.add};
    if (slopes) g.a = slopes + (p - 1) * k->B, g.b = x->data + p * x->stride;
    return g;
}

/* Into that of part p's rows: slopes transposed, by the first rows. */
static fv_gemm candidate_product(const fv_node *node, const room *k, const float *slopes, int p, fv_grad_to d)
{
    const args *a = node->args;
    const fv_tensor *x = node->in[0];
    fv_gemm g = {.m = k->B, .n = x->cols, .k = k->B, .lda = k->M, .a_t = true, .ldb = a->parts * x->stride, .ldc = a->parts * d.stride, .add = d.add};
    if (slopes) g.a = slopes + (p - 1) * k->B, g.b = x->data, g.c = d.data + p * d.stride;
    return g;
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }
static size_t slope_bytes(const room *k) { return ((size_t)(k->B * k->M) * sizeof(float) + 63) / 64 * 64; }

static fv_status check(fv_node *node, fv_err *err)
{
    const args *a = node->args;
    const fv_tensor *x = node->in[0];
    if (!a->names) return FV_FAIL(err, FV_E_ARGUMENT, "no names");
    if (a->parts < 2 || a->parts > 3 || x->rows % a->parts) return FV_FAIL(err, FV_E_SHAPE, "%lld rows of %d parts; expected a multiple of 2 or 3", (long long)x->rows, a->parts);
    room k = room_of(node);
    node->out->rows = node->out->cols = 1;
    node->aux_floats = k.B * k.M + (a->both_ways ? k.B * k.B : 0) + 2 * k.B;
    node->keeps = FV_KEEP_IN(0);
    fv_gemm s = score_product(node, &k, 1), t = text_product(node, &k, NULL, 1, (fv_grad_to){0}), c = candidate_product(node, &k, NULL, 1, (fv_grad_to){0});
    node->scratch_forward = fv_gemm_scratch(&s, node->threads);
    node->scratch_backward = slope_bytes(&k) + larger(fv_gemm_scratch(&t, node->threads), fv_gemm_scratch(&c, node->threads));
    return FV_OK;
}

/* May part p of row j be held against the text of row i? */
static bool rivals(const args *a, int64_t i, int64_t j, int p)
{
    const int32_t *mine = a->names + i * a->parts, *other = a->names + j * a->parts;
    if (i == j && p == 1) return true; /* it is the right one */
    return other[p] != mine[1] && other[p] != mine[0] && !(p == 1 && other[0] == mine[0]);
}

/* The same from the second rows: the first of row j against the second of row i. */
static bool rivals_back(const args *a, int64_t i, int64_t j)
{
    const int32_t *mine = a->names + i * a->parts, *other = a->names + j * a->parts;
    return i == j || (other[0] != mine[0] && other[0] != mine[1] && other[1] != mine[1]);
}

static const float never = -INFINITY;

/* Scores, `never` where there is no rivalry, to shares; gives -log of the right one's. */
static float settle(float *scores, int64_t n, int64_t right, float scale)
{
    float top = never;
    double sum = 0, own = (double)scores[right] * (double)scale;
    for (int64_t j = 0; j < n; j++) top = fmaxf(top, scores[j] *= scale);
    for (int64_t j = 0; j < n; j++) sum += (double)(scores[j] = expf(scores[j] - top));
    for (int64_t j = 0; j < n; j++) scores[j] = (float)((double)scores[j] / sum);
    return (float)((double)top + log(sum) - own);
}

static void settle_there(void *arg, int64_t i, int worker)
{
    (void)worker;
    const fv_node *node = arg;
    const args *a = node->args;
    room k = room_of(node);
    float *scores = k.there + i * k.M;
    for (int p = 1; p < a->parts; p++)
        for (int64_t j = 0; j < k.B; j++)
            if (!rivals(a, i, j, p)) scores[(p - 1) * k.B + j] = never;
    k.losses[i] = settle(scores, k.M, i, a->scale);
}

/* Reads what settle_there overwrites: it goes first. */
static void settle_back(void *arg, int64_t i, int worker)
{
    (void)worker;
    const fv_node *node = arg;
    const args *a = node->args;
    room k = room_of(node);
    float *scores = k.back + i * k.B;
    for (int64_t j = 0; j < k.B; j++) scores[j] = rivals_back(a, i, j) ? k.there[j * k.M + i] : never;
    k.losses[k.B + i] = settle(scores, k.B, i, a->scale);
}

static void forward(const fv_node *node, const fv_run *run)
{
    const args *a = node->args;
    room k = room_of(node);
    double sum = 0;
    int64_t n = k.B * (1 + a->both_ways);
    for (int p = 1; p < a->parts && k.B > 0; p++) {
        fv_gemm g = score_product(node, &k, p);
        fv_gemm_run(&g, run->pool, node->scratch);
    }
    if (a->both_ways) fv_pool_run(run->pool, k.B, settle_back, (void *)(uintptr_t)node);
    fv_pool_run(run->pool, k.B, settle_there, (void *)(uintptr_t)node);
    for (int64_t i = 0; i < n; i++) sum += (double)k.losses[i];
    node->out->data[0] = n ? (float)(sum / (double)n) : 0;
}

/* d loss / d cosine of every pair. */
static void find_slopes(float *slopes, const fv_node *node, const room *k)
{
    const args *a = node->args;
    float weight = node->out->grad[0] * a->scale / (float)(k->B * (1 + a->both_ways));
    for (int64_t i = 0; i < k->B; i++)
        for (int64_t j = 0; j < k->M; j++) {
            float slope = k->there[i * k->M + j] - (float)(i == j);
            if (a->both_ways && j < k->B) slope += k->back[j * k->B + i] - (float)(i == j);
            slopes[i * k->M + j] = weight * slope;
        }
}

static void backward(const fv_node *node, const fv_run *run)
{
    const args *a = node->args;
    room k = room_of(node);
    fv_grad_to d = fv_grad(node, 0);
    float *slopes = node->scratch;
    void *scratch = (char *)node->scratch + slope_bytes(&k);
    if (!d.data || !k.B) return;
    find_slopes(slopes, node, &k);
    for (int p = 1; p < a->parts; p++) {
        fv_gemm t = text_product(node, &k, slopes, p, d), c = candidate_product(node, &k, slopes, p, d);
        fv_gemm_run(&t, run->pool, scratch);
        fv_gemm_run(&c, run->pool, scratch);
    }
}

/* ---- The truth ---- */

static double dot(const double *x, int64_t i, int64_t j, int64_t cols)
{
    double sum = 0;
    for (int64_t c = 0; c < cols; c++) sum += x[i * cols + c] * x[j * cols + c];
    return sum;
}

/* -log softmax at row i's own, from its first row or, `back`, from its second. */
static double loss_of(const args *a, const double *x, int64_t B, int64_t cols, int64_t i, bool back)
{
    double sum = 0, scale = (double)a->scale;
    int64_t mine = i * a->parts + back, right = i * a->parts + !back;
    for (int64_t j = 0; j < B; j++)
        for (int p = back ? 0 : 1; p < (back ? 1 : a->parts); p++)
            if (back ? rivals_back(a, i, j) : rivals(a, i, j, p)) sum += exp(scale * dot(x, mine, j * a->parts + p, cols));
    return log(sum) - scale * dot(x, mine, right, cols);
}

static void reference(const fv_node *node, const fv_run *run, const double *const *in, double *out)
{
    (void)run;
    const args *a = node->args;
    int64_t B = node->in[0]->rows / a->parts, cols = node->in[0]->cols;
    out[0] = 0;
    for (int64_t i = 0; i < B; i++)
        for (int way = 0; way <= a->both_ways; way++) out[0] += loss_of(a, in[0], B, cols, i, way) / (double)(B * (1 + a->both_ways));
}

static double flops(const fv_node *node, bool backward)
{
    const args *a = node->args;
    double B = (double)(node->in[0]->rows / a->parts), once = 2 * B * B * (a->parts - 1) * (double)node->in[0]->cols;
    return backward ? 2 * once : once;
}

/* Rows 1 and 3 ask the same; 2 and 4 have the same answer; 0's answer is asked by 5; 6's wrong one is 0's right one. */
static const int32_t all_others[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20};
static const int32_t pairs[] = {0, 1, 2, 3, 4, 5, 2, 7, 8, 5, 1, 11, 12, 13};
static const int32_t triples[] = {0, 1, 14, 2, 3, 15, 4, 5, 16, 2, 7, 17, 8, 5, 18, 1, 11, 19, 12, 13, 1};

static fv_tensor *plain(fv_case *c) { return fv_contrast(fv_case_graph(c), fv_case_input(c, "x", 14, 7), all_others, 2, 2, false); }
static fv_tensor *same_texts(fv_case *c) { return fv_contrast(fv_case_graph(c), fv_case_input(c, "x", 14, 9), pairs, 2, 1.5f, false); }
static fv_tensor *both(fv_case *c) { return fv_contrast(fv_case_graph(c), fv_case_input(c, "x", 14, 9), pairs, 2, 1.5f, true); }
static fv_tensor *hard(fv_case *c) { return fv_contrast(fv_case_graph(c), fv_case_input(c, "x", 21, 16), triples, 3, 1.5f, false); }
static fv_tensor *hard_both(fv_case *c) { return fv_contrast(fv_case_graph(c), fv_case_input(c, "x", 21, 5), triples, 3, 1.5f, true); }
static fv_tensor *alone(fv_case *c) { return fv_contrast(fv_case_graph(c), fv_case_input(c, "x", 2, 5), all_others, 2, 20, true); }
static fv_tensor *no_names(fv_case *c) { return fv_contrast(fv_case_graph(c), fv_case_input(c, "x", 4, 5), NULL, 2, 20, false); }
static fv_tensor *row_missing(fv_case *c) { return fv_contrast(fv_case_graph(c), fv_case_input(c, "x", 5, 5), all_others, 2, 20, false); }
static fv_tensor *four_parts(fv_case *c) { return fv_contrast(fv_case_graph(c), fv_case_input(c, "x", 8, 5), all_others, 4, 20, false); }
static fv_tensor *typical(fv_case *c) { return fv_contrast(fv_case_graph(c), fv_case_input(c, "x", 256, 384), fv_case_integers(c, 256, 1 << 30), 2, 20, true); }

static const fv_op_case cases[] = {{"plain", plain}, {"same texts", same_texts}, {"both ways", both}, {"hard ones", hard}, {"hard ones, both ways", hard_both}, {"one row", alone}};
static const fv_op_case refused[] = {{"no names", no_names}, {"a row missing", row_missing}, {"four parts", four_parts}};

const fv_op fv_op_contrast = {
    .name = "contrast", .says = "measures how well texts tell their own partner from the others'",
    .check = check, .forward = forward, .backward = backward, .reference = reference, .flops = flops,
    FV_CASES(cases), FV_REFUSED(refused), .typical = typical, .tolerance = 2e-5,
};

FV_OP_FN fv_tensor *fv_contrast(fv_graph *g, fv_tensor *x, const int32_t *names, int parts, float scale, bool both_ways) {
    return fv_graph_add(g, &fv_op_contrast, (fv_tensor *[]){x}, 1, 1, &(args){.names = names, .parts = parts, .scale = scale, .both_ways = both_ways}, sizeof(args));
}
