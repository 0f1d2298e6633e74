/* Every op of src/ops at the sizes of a training step: nothing is listed here, an op's file brings its
 * typical case with it. */
#include <stdio.h>

#include "api/bench.h"
#include "graph/case.h"
#include "ops.h"

/* ---- What stands for the loss: it sends back ones, at next to no cost ---- */

static fv_status sink_check(fv_node *node, fv_err *err)
{
    (void)err;
    node->out->rows = node->out->cols = 1;
    return FV_OK;
}

static void sink_forward(const fv_node *node, const fv_run *run)
{
    (void)run;
    node->out->data[0] = 0;
}

static void sink_backward(const fv_node *node, const fv_run *run)
{
    (void)run;
    fv_grad_to d = fv_grad(node, 0);
    for (int64_t r = 0; r < node->in[0]->rows; r++)
        for (int64_t c = 0; c < node->in[0]->cols; c++) d.data[r * d.stride + c] = 1;
}

static const fv_op sink = {.name = "sink", .check = sink_check, .forward = sink_forward, .backward = sink_backward};

/* ---- Timing ---- */

typedef struct timed { fv_graph *graph; fv_tensor *loss; } timed;

static void forward(void *arg)
{
    timed *t = arg;
    fv_graph_forward(t->graph, 1);
}

static void backward(void *arg)
{
    timed *t = arg;
    fv_graph_backward(t->graph, t->loss, 1, 1);
}

static void time_op(fv_bench_run *run, const fv_op *op, timed *t)
{
    char name[64];
    snprintf(name, sizeof name, "%s forward", op->name);
    fv_bench_case(run, name, "calls/s", 1, 1, fv_graph_flops(t->graph, false), forward, t);
    if (!op->backward) return;
    forward(t); /* whatever was asked for, backward reads what a forward noted */
    snprintf(name, sizeof name, "%s backward", op->name);
    fv_bench_case(run, name, "calls/s", 1, 1, fv_graph_flops(t->graph, true), backward, t);
}

static fv_status bench_op(fv_bench_run *run, const fv_op *op, fv_err *err)
{
    fv_status status = FV_OK;
    fv_case c = {0};
    timed t = {.graph = fv_graph_new(run->pool, err)};
    if (!t.graph) return FV_E_MEMORY;
    fv_case_init(&c, t.graph, true, 1, 0);
    fv_tensor *y = op->typical(&c);
    t.loss = fv_graph_add(t.graph, &sink, (fv_tensor *[]){y}, 1, 1, NULL, 0);
    FV_TRY(fv_graph_plan(t.graph, t.loss, err));
    time_op(run, op, &t);
done:
    fv_case_release(&c);
    fv_graph_free(t.graph);
    return status;
}

fv_status fv_bench_ops(fv_bench_run *run, fv_err *err)
{
    fv_status status = FV_OK;
    for (int i = 0; i < fv_n_ops; i++) FV_TRY(bench_op(run, fv_ops[i], err));
done:
    return status;
}
