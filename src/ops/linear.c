/* linear: y = residual + act(x wᵀ + b), one product with all that follows it fused.
 *   x [N, I], w [O, I] (as files keep it), b [1, O] or NULL, residual [N, O] or NULL   ->   [N, O]
 * With an activation, backward needs what went into it: kept in aux. Its gradient is then formed in
 * place, in the output's own gradient, which nobody reads afterwards.
 * In a bf16 graph all three products round their operands; what they read and write stays float32. Packed weights decide by
 * themselves; in an int8 graph products without them are float32, and so are the two of backward: with the weights as they are
 * and with x as the int8 products below made it, straight through the rounding (graph.h). */
#include "graph/op.h"
#include "ops.h"

typedef struct args {
    fv_act act;
    fv_precision precision, loose; /* the graph's when the node was made: with packed weights, and without */
} args;

enum { X, W, B, R };

static fv_gemm forward_product(const fv_node *node)
{
    const args *a = node->args;
    const fv_tensor *x = node->in[X], *w = node->in[W], *b = node->in[B], *r = node->in[R], *y = node->out;
    const fv_param *p = w->param;
    return (fv_gemm){
        .m = x->rows, .n = w->rows, .k = x->cols, .precision = a->loose,
        .a = x->data, .lda = x->stride, .b = w->data, .ldb = w->stride, .b_t = true,
        .packed = p ? fv_param_packed(p, a->precision) : NULL,
        .c = y->data, .ldc = y->stride,
        .bias = b ? b->data : NULL, .act = a->act,
        .pre = node->aux_floats ? node->aux : NULL, .ldpre = w->rows,
        .residual = r ? r->data : NULL, .ldres = r ? r->stride : 0,
    };
}

static fv_gemm input_product(const fv_node *node, fv_grad_to d)
{
    const args *a = node->args;
    const fv_tensor *w = node->in[W], *y = node->out;
    return (fv_gemm){
        .m = y->rows, .n = w->cols, .k = w->rows, .precision = a->loose,
        .a = y->grad, .lda = y->grad_stride, .b = w->data, .ldb = w->stride,
        .c = d.data, .ldc = d.stride, .add = d.add,
    };
}

static fv_gemm weight_product(const fv_node *node, fv_grad_to d)
{
    const args *a = node->args;
    const fv_tensor *x = node->in[X], *y = node->out;
    return (fv_gemm){
        .m = y->cols, .n = x->cols, .k = y->rows, .precision = a->loose,
        .a = y->grad, .lda = y->grad_stride, .a_t = true, .b = x->data, .ldb = x->stride,
        .c = d.data, .ldc = d.stride, .add = d.add,
    };
}

/* Of weights that are stored as integers, widened; whole cache lines. */
static size_t stored_bytes(const fv_tensor *w) { return ((size_t)(w->rows * w->cols) * sizeof(float) + 63) / 64 * 64; }

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static fv_status check(fv_node *node, fv_err *err)
{
    const args *a = node->args;
    const fv_tensor *x = node->in[X], *w = node->in[W], *b = node->in[B], *r = node->in[R];
    fv_tensor *y = node->out;
    if (x->cols != w->cols) return FV_FAIL(err, FV_E_SHAPE, "input is [%lld, %lld], weight [%lld, %lld]; expected equal second sizes", (long long)x->rows, (long long)x->cols, (long long)w->rows, (long long)w->cols);
    if (b && (b->rows != 1 || b->cols != w->rows)) return FV_FAIL(err, FV_E_SHAPE, "bias is [%lld, %lld]; expected [1, %lld]", (long long)b->rows, (long long)b->cols, (long long)w->rows);
    if (r && (r->rows != x->rows || r->cols != w->rows)) return FV_FAIL(err, FV_E_SHAPE, "residual is [%lld, %lld]; expected [%lld, %lld]", (long long)r->rows, (long long)r->cols, (long long)x->rows, (long long)w->rows);
    y->rows = x->rows;
    y->cols = y->stride = y->grad_stride = w->rows;
    if (a->act != FV_ACT_NONE && fv_graph_training(node->graph)) node->aux_floats = y->rows * y->cols;
    node->keeps = FV_KEEP_IN(X) | FV_KEEP_IN(W);
    if (a->act == FV_ACT_NONE) node->passes = 1u << R; /* else the output's gradient is changed in place */
    fv_gemm f = forward_product(node), dx = input_product(node, (fv_grad_to){0}), dw = weight_product(node, (fv_grad_to){0});
    node->scratch_forward = fv_gemm_scratch(&f, node->threads);
    node->scratch_backward = larger(fv_gemm_scratch(&dx, node->threads), fv_gemm_scratch(&dw, node->threads));
    if (w->param && !w->data) node->scratch_backward += stored_bytes(w);
    return FV_OK;
}

static void forward(const fv_node *node, const fv_run *run)
{
    fv_gemm g = forward_product(node);
    fv_gemm_run(&g, run->pool, node->scratch);
}

static void backward(const fv_node *node, const fv_run *run)
{
    const args *a = node->args;
    const fv_tensor *y = node->out;
    fv_grad_to dr = fv_grad_passed(node, R), dx = fv_grad(node, X), dw = fv_grad(node, W), db = fv_grad(node, B);
    if (dr.data) fv_copy_rows(dr.data, dr.stride, dr.add, y->grad, y->grad_stride, 1, y->rows, y->cols, run->pool);
    if (a->act != FV_ACT_NONE) fv_act_backward(y->grad, y->grad_stride, false, y->grad, y->grad_stride, node->aux, y->cols, y->rows, y->cols, a->act, run->pool);
    if (dx.data) {
        fv_gemm g = input_product(node, dx);
        char *scratch = node->scratch;
        if (!g.b) {
            fv_param_rows((float *)(void *)scratch, node->in[W]->param, 0, node->in[W]->rows);
            g.b = (const float *)(const void *)scratch;
            scratch += stored_bytes(node->in[W]);
        }
        fv_gemm_run(&g, run->pool, scratch);
    }
    if (dw.data) {
        fv_gemm g = weight_product(node, dw);
        fv_gemm_run(&g, run->pool, node->scratch);
    }
    if (db.data) fv_sum_columns(db.data, db.add, y->grad, y->grad_stride, y->rows, y->cols, run->pool);
}

static double activate(fv_act act, double x)
{
    switch (act) {
    case FV_ACT_RELU: return x > 0 ? x : 0;
    case FV_ACT_GELU: return 0.5 * x * (1 + __builtin_erf(x * 0.70710678118654752440));
    case FV_ACT_TANH: return __builtin_tanh(x);
    case FV_ACT_SILU: return x / (1 + __builtin_exp(-x));
    case FV_ACT_GELU_TANH: return 0.5 * x * (1 + __builtin_tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
    case FV_ACT_NONE: break;
    }
    return x;
}

static void reference(const fv_node *node, const fv_run *run, const double *const *in, double *out)
{
    (void)run;
    const args *a = node->args;
    int64_t n = node->out->rows, o = node->out->cols, k = node->in[X]->cols;
    for (int64_t r = 0; r < n; r++)
        for (int64_t c = 0; c < o; c++) {
            double sum = in[B] ? in[B][c] : 0;
            for (int64_t i = 0; i < k; i++) sum += in[X][r * k + i] * in[W][c * k + i];
            out[r * o + c] = activate(a->act, sum) + (in[R] ? in[R][r * o + c] : 0);
        }
}

static double flops(const fv_node *node, bool backward)
{
    double once = 2.0 * (double)node->out->rows * (double)node->out->cols * (double)node->in[X]->cols;
    return backward ? once * (node->in[X]->wants_grad + node->in[W]->wants_grad) : once;
}

static fv_tensor *bare(fv_case *c) { return fv_linear(fv_case_graph(c), fv_case_input(c, "x", 5, 7), fv_case_input(c, "w", 3, 7), NULL, FV_ACT_NONE, NULL); }
static fv_tensor *with_bias(fv_case *c) { return fv_linear(fv_case_graph(c), fv_case_input(c, "x", 33, 20), fv_case_input(c, "w", 18, 20), fv_case_input(c, "b", 1, 18), FV_ACT_NONE, NULL); }
static fv_tensor *with_gelu(fv_case *c) { return fv_linear(fv_case_graph(c), fv_case_input(c, "x", 9, 16), fv_case_input(c, "w", 24, 16), fv_case_input(c, "b", 1, 24), FV_ACT_GELU, NULL); }
static fv_tensor *with_tanh(fv_case *c) { return fv_linear(fv_case_graph(c), fv_case_input(c, "x", 1, 8), fv_case_input(c, "w", 8, 8), fv_case_input(c, "b", 1, 8), FV_ACT_TANH, NULL); }
static fv_tensor *with_silu(fv_case *c) { return fv_linear(fv_case_graph(c), fv_case_input(c, "x", 9, 16), fv_case_input(c, "w", 20, 16), fv_case_input(c, "b", 1, 20), FV_ACT_SILU, NULL); }
static fv_tensor *with_gelu_tanh(fv_case *c) { return fv_linear(fv_case_graph(c), fv_case_input(c, "x", 9, 16), fv_case_input(c, "w", 20, 16), fv_case_input(c, "b", 1, 20), FV_ACT_GELU_TANH, NULL); }
static fv_tensor *with_relu_and_residual(fv_case *c) { return fv_linear(fv_case_graph(c), fv_case_input(c, "x", 9, 16), fv_case_input(c, "w", 5, 16), fv_case_input(c, "b", 1, 5), FV_ACT_RELU, fv_case_input(c, "r", 9, 5)); }
static fv_tensor *widths_differ(fv_case *c) { return fv_linear(fv_case_graph(c), fv_case_input(c, "x", 5, 7), fv_case_input(c, "w", 3, 6), NULL, FV_ACT_NONE, NULL); }
static fv_tensor *bias_too_long(fv_case *c) { return fv_linear(fv_case_graph(c), fv_case_input(c, "x", 5, 7), fv_case_input(c, "w", 3, 7), fv_case_input(c, "b", 1, 4), FV_ACT_NONE, NULL); }
static fv_tensor *residual_too_short(fv_case *c) { return fv_linear(fv_case_graph(c), fv_case_input(c, "x", 5, 7), fv_case_input(c, "w", 3, 7), NULL, FV_ACT_NONE, fv_case_input(c, "r", 4, 3)); }
static fv_tensor *typical(fv_case *c) { return fv_linear(fv_case_graph(c), fv_case_input(c, "x", 2048, 512), fv_case_input(c, "w", 2048, 512), fv_case_input(c, "b", 1, 2048), FV_ACT_GELU, NULL); }

static const fv_op_case cases[] = {{"bare", bare}, {"bias", with_bias}, {"gelu", with_gelu}, {"tanh", with_tanh}, {"silu", with_silu}, {"gelu by tanh", with_gelu_tanh}, {"relu, residual", with_relu_and_residual}};
static const fv_op_case refused[] = {{"widths differ", widths_differ}, {"bias too long", bias_too_long}, {"residual too short", residual_too_short}};

const fv_op fv_op_linear = {
    .name = "linear", .says = "mixes the channels of each row by learned weights",
    .check = check, .forward = forward, .backward = backward, .reference = reference, .flops = flops,
    FV_CASES(cases), FV_REFUSED(refused), .typical = typical, .tolerance = 2e-5,
};

FV_OP_FN fv_tensor *fv_linear(fv_graph *g, fv_tensor *x, fv_tensor *w, fv_tensor *b, fv_act act, fv_tensor *residual) {
    return fv_graph_add(g, &fv_op_linear, (fv_tensor *[]){x, w, b, residual}, 4, 1u << X | 1u << W, &(args){.act = act, .precision = fv_graph_precision(g), .loose = fv_graph_loose_precision(g)}, sizeof(args));
}
