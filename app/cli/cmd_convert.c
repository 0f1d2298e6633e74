/* fovea convert: a model of another program as one of ours, or one of ours in half the bytes. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/record.h"
#include "cli/term.h"

struct args {
    cli_common common;
    const char *in, *out;
    bool bf16;
};

#define AT(field) CLI_FIELD(struct args, field)

static const cli_option operands[] = {
    {"IN", NULL, "a model folder of CTranslate2: model.bin and its vocabularies; with --bf16 any model folder", AT(in), .needed = true},
    {"OUT", NULL, "the model folder to write; nothing may be there yet", AT(out), .needed = true},
};

static const cli_option options[] = {
    {"bf16", NULL, "store the weights as bfloat16: half the bytes, two or three digits of each number", AT(bf16)},
};

static fv_status run(void *user, fv_err *err)
{
    struct args *args = user;
    fv_convert_options o;
    fv_convert_options_init(&o);
    o.bf16 = args->bf16;
    fv_status status = fv_convert(args->in, args->out, &o, err);
    if (status) return status;
    if (args->common.json) return cli_json_line(json_pack("{s:o}", "model", cli_json_text(args->out, strlen(args->out))), err);
    if (!args->common.quiet) fprintf(stderr, "%s: done%s\n", args->out, args->bf16 ? "; its weights take two bytes each" : "; fovea translate reads it");
    return FV_OK;
}

static const char *const examples[] = {
    "fovea convert downloads/opus-en-de models/en-de",
    "fovea convert models/en-de small/en-de --bf16",
    NULL,
};

const cli_command cli_convert = {
    .name = "convert",
    .says = "makes a model of another program one of ours",
    .text = "CTranslate2's Transformers that translate, of binary versions 2 to 6. Weights of 8 and 16 bits become float32: the converted "
            "model computes with the rounded weights, but rounds no further. What a model has that is not supported (gated layers, relative "
            "positions, factors) is named, and nothing is written.\n\n"
            "source.spm and target.spm, where they lie beside model.bin, are taken along; without them a text is tokens with spaces between "
            "them, as the vocabulary spells them. Folders of Marian in Transformers (OPUS-MT) need no conversion.\n\n"
            "--bf16 stores weights in two bytes instead of four, rounded to nearest even. It takes a model folder of any task, too: its other files "
            "are copied, its log and events are not. Products are computed in float32 as before; Transformers loads such a folder as well.",
    .examples = examples,
    .operands = operands, .n_operands = FV_COUNT(operands),
    .options = options, .n_options = FV_COUNT(options),
    .args_size = sizeof(struct args),
    .run = run,
};
