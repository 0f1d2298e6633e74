/* fovea compress: a model folder that takes less room and computes faster, at a small loss. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/record.h"
#include "cli/term.h"

struct args {
    cli_common common;
    const char *model, *out;
    fv_compress_options o;
};

#define AT(field) CLI_FIELD(struct args, field)

static const cli_option operands[] = {
    {"MODEL", NULL, "a model folder", AT(model), .needed = true},
};

static const cli_option options[] = {
    {"out", "MODEL", "the model folder to write; nothing may be there yet", AT(out), .needed = true},
    {"int8", NULL, "store the matrices of layers as integers of 8 bits with a scale a row, and compute with them", AT(o.int8)},
};

static void init(void *user)
{
    struct args *args = user;
    fv_compress_options_init(&args->o);
}

static fv_status run(void *user, fv_err *err)
{
    struct args *args = user;
    if (!args->o.int8) return FV_FAIL(err, FV_E_ARGUMENT, "nothing is asked for; expected --int8");
    fv_status status = fv_compress(args->model, args->out, &args->o, err);
    if (status) return status;
    if (args->common.json) return cli_json_line(json_pack("{s:o}", "model", cli_json_text(args->out, strlen(args->out))), err);
    if (!args->common.quiet) fprintf(stderr, "%s: done; `fovea eval` of both says what it costs\n", args->out);
    return FV_OK;
}

static const char *const examples[] = {
    "fovea compress models/shop --out models/shop-int8 --int8",
    NULL,
};

const cli_command cli_compress = {
    .name = "compress",
    .says = "makes a model smaller and faster, at a small loss",
    .text = "--int8 stores the matrices of all layers as whole numbers from -127 to 127 with a scale for each row, and tables of embeddings "
            "in 16 bits; norms, biases and heads stay what they are. Such a folder computes with products of 8 bits wherever it is used, "
            "unless --precision says otherwise. Transformers loads it as well, with the package compressed-tensors.\n\n"
            "All files of the folder come along but weights in other programs' forms, and logs. If the work fails, nothing is written.",
    .examples = examples,
    .operands = operands, .n_operands = FV_COUNT(operands),
    .options = options, .n_options = FV_COUNT(options),
    .args_size = sizeof(struct args),
    .init = init,
    .run = run,
};
