/* Drawn inputs for the cases of ops. */
#include "graph/case.h"

void fv_case_init(fv_case *c, fv_graph *graph, bool training, uint64_t seed, int64_t pad)
{
    *c = (fv_case){.graph = graph, .rng = fv_rng_make(seed, "case"), .pad = pad};
    fv_graph_reset(graph, training);
}

void fv_case_release(fv_case *c) { fv_arena_release(&c->arena); }

fv_graph *fv_case_graph(fv_case *c) { return c->graph; }

static float *guarded(fv_case *c, int64_t rows, int64_t stride)
{
    float *x = fv_arena_alloc(&c->arena, (size_t)(rows * stride) * sizeof *x, NULL);
    FV_ASSERT(x);
    for (int64_t i = 0; i < rows * stride; i++) x[i] = FV_CASE_GUARD;
    return x;
}

fv_tensor *fv_case_input_scaled(fv_case *c, const char *name, int64_t rows, int64_t cols, float scale, float shift)
{
    FV_ASSERT(c->n < FV_MAX_IN);
    fv_case_in *in = &c->in[c->n++];
    *in = (fv_case_in){.rows = rows, .cols = cols, .stride = rows == 1 ? cols : cols + c->pad};
    in->data = guarded(c, rows, in->stride);
    in->grad = guarded(c, rows, in->stride);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < cols; i++) in->data[r * in->stride + i] = shift + scale * (float)(2 * fv_rng_uniform(&c->rng) - 1);
    in->tensor = fv_graph_input_grad(c->graph, name, in->data, in->grad, rows, cols, in->stride);
    return in->tensor;
}

fv_tensor *fv_case_input(fv_case *c, const char *name, int64_t rows, int64_t cols)
{
    return fv_case_input_scaled(c, name, rows, cols, 1, 0);
}

const int32_t *fv_case_offsets(fv_case *c, int32_t B, int32_t length)
{
    int32_t *offsets = fv_arena_alloc(&c->arena, ((size_t)B + 1) * sizeof *offsets, NULL);
    FV_ASSERT(offsets);
    for (int32_t b = 0; b <= B; b++) offsets[b] = b * length;
    return offsets;
}

const uint64_t *fv_case_names(fv_case *c, int32_t B)
{
    uint64_t *names = fv_arena_alloc(&c->arena, (size_t)B * sizeof *names, NULL);
    FV_ASSERT(names);
    for (int32_t b = 0; b < B; b++) names[b] = fv_rng_next(&c->rng);
    return names;
}

const int32_t *fv_case_integers(fv_case *c, int64_t n, int32_t below)
{
    int32_t *numbers = fv_arena_alloc(&c->arena, (size_t)n * sizeof *numbers, NULL);
    FV_ASSERT(numbers);
    for (int64_t i = 0; i < n; i++) numbers[i] = (int32_t)fv_rng_below(&c->rng, (uint64_t)below);
    return numbers;
}
