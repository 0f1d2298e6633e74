/* fovea bench: speed, a line for each case as it is measured. */
#include <string.h>

#include "cli/commands.h"
#include "cli/record.h"
#include "cli/term.h"

struct args {
    cli_common common;
    const char *what, *only;
};

#define AT(field) CLI_FIELD(struct args, field)

static const cli_option operands[] = {
    {"WHAT", "peak|gemm|attention|embed|ops|train|translate|optimiser", "what to measure", AT(what), .needed = true},
};

static const cli_option options[] = {
    {"only", "TEXT", "cases whose name contains it", AT(only)},
};

struct printer {
    bool json, any;
    fv_status status; /* of writing; the library has no way to be told, so it is kept to the end */
    fv_err *err;
};

static json_t *result_json(const fv_bench_result *r)
{
    return json_pack("{s:s, s:s, s:s, s:i, s:o, s:s, s:o, s:i, s:o, s:o}", "bench", r->bench, "case", r->name, "isa", r->isa, "threads", r->threads,
                     "value", cli_json_real(r->value), "unit", r->unit, "share_of_peak", r->share_of_peak > 0 ? cli_json_real(r->share_of_peak) : json_null(),
                     "median_of", r->runs, "min", cli_json_real(r->min), "max", cli_json_real(r->max));
}

/* Lines appear as they are measured, so the columns' widths are fixed beforehand. */
static void print_line(const struct printer *p, const fv_bench_result *r)
{
    char share[16] = "";
    if (!p->any) printf("%-44s %12s  %-12s %9s  %s\n", "case", "median", "unit", "of peak", "lowest to highest");
    if (r->share_of_peak > 0) snprintf(share, sizeof share, "%.0f %%", 100 * r->share_of_peak);
    printf("%-44s %12.5g  %-12s %9s  %.5g to %.5g, %d runs\n", r->name, r->value, r->unit, share, r->min, r->max, r->runs);
}

static void on_result(void *user, const fv_bench_result *r)
{
    struct printer *p = user;
    if (p->status) return;
    if (p->json) p->status = cli_json_line(result_json(r), p->err);
    else print_line(p, r);
    p->any = true;
    if (!p->status) p->status = cli_flush(p->err);
}

static fv_status run(void *user, fv_err *err)
{
    struct args *args = user;
    struct printer p = {.json = args->common.json, .err = err};
    if (!args->common.json && !args->common.quiet) fprintf(stderr, "%s, instruction set %s\n", args->what, fv_isa());
    fv_status status = fv_bench(args->what, args->only, on_result, &p, err);
    if (p.status) return p.status;
    if (status == FV_OK && !p.any)
        return FV_FAIL(err, FV_E_ARGUMENT, "no case of %s has \"%.100s\" in its name; without --only all are run, and named", args->what, args->only ? args->only : "");
    return status;
}

static const char *const examples[] = {
    "fovea bench peak",
    "fovea bench gemm --json --threads 1",
    NULL,
};

const cli_command cli_bench = {
    .name = "bench",
    .says = "measures this machine and this program",
    .text = "Prints the median of several runs, the lowest and the highest, and the share of the multiply-add peak measured in the same run. "
            "Close other programs first. With --json a line is\n"
            "  {\"bench\":…,\"case\":…,\"isa\":…,\"threads\":…,\"value\":…,\"unit\":…,\n"
            "   \"share_of_peak\":…,\"median_of\":…,\"min\":…,\"max\":…}",
    .examples = examples,
    .operands = operands, .n_operands = FV_COUNT(operands),
    .options = options, .n_options = FV_COUNT(options),
    .args_size = sizeof(struct args),
    .run = run,
};
