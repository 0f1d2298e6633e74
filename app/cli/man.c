/* The man page fovea(1), in roff, made from the table of commands. */
#include <string.h>
#include <utf8proc.h>

#include "cli/commands.h"
#include "cli/term.h"

/* One character, which is not ASCII, spelled so that any roff reads it; its length. */
static int put_wide(const char *p)
{
    utf8proc_int32_t c = 0;
    int len = (int)utf8proc_iterate((const utf8proc_uint8_t *)p, -1, &c);
    if (c == 0x2026) fputs("...", stdout);
    else printf("\\[u%04X]", (unsigned)c);
    return len;
}

/* Text as roff wants it: ASCII, "-" as a minus that can be copied, "\" doubled, no line that looks
 * like a request. */
static void put(const char *text)
{
    bool start = true;
    for (int len; *text; start = *text == '\n', text += len) {
        len = 1;
        if (start && (*text == '.' || *text == '\'')) fputs("\\&", stdout);
        if (*text == '-') fputs("\\-", stdout);
        else if (*text == '\\') fputs("\\e", stdout);
        else if ((unsigned char)*text >= 0x80) len = put_wide(text);
        else putchar(*text);
    }
}

/* Lines that start with a space are examples or lists: kept as they are. */
static void put_text(const char *text)
{
    bool kept = false;
    while (*text) {
        char line[1024];
        size_t len = strcspn(text, "\n");
        snprintf(line, sizeof line, "%.*s", (int)len, text);
        bool keep = line[0] == ' ';
        if (keep != kept) printf(keep ? ".nf\n" : ".fi\n");
        kept = keep;
        if (line[0]) put(line);
        else printf(".PP");
        putchar('\n');
        text += len + (text[len] == '\n');
    }
    if (kept) printf(".fi\n");
}

static void put_options(const cli_option *options, size_t n, bool operands)
{
    for (size_t i = 0; i < n; i++) {
        const cli_option *o = &options[i];
        if (!o->name) {
            printf(".PP\n");
            put(o->help);
            printf(":\n");
            continue;
        }
        printf(".TP\n.B ");
        put(operands ? "" : "--");
        put(o->name);
        if (o->arg && !operands) {
            printf(" \\fI");
            put(o->arg);
            printf("\\fR");
        }
        putchar('\n');
        put(o->help);
        putchar('\n');
    }
}

static void put_command(const cli_command *c)
{
    fv_buf synopsis = {0};
    printf(".SS ");
    put(c->name);
    putchar('\n');
    if (cli_synopsis(c, &synopsis, NULL) == FV_OK) {
        printf(".B fovea ");
        put(synopsis.data);
        printf("\n.PP\n");
    }
    fv_buf_release(&synopsis);
    put_text(c->text);
    put_options(c->operands, c->n_operands, true);
    put_options(c->options, c->n_options, false);
    printf(".PP\nExamples:\n.PP\n.nf\n.RS\n");
    for (size_t i = 0; c->examples[i]; i++) {
        put(c->examples[i]);
        putchar('\n');
    }
    printf(".RE\n.fi\n");
}

static const char closing[] =
    ".SH EXIT STATUS\n"
    ".TP\n.B 0\ndone\n.TP\n.B 1\nfailed, or stopped on request\n.TP\n.B 2\nwrong usage\n.TP\n.B 3\nbad input\n"
    ".SH ENVIRONMENT\n"
    ".TP\n.B NO_COLOR\nif set and not empty, no colour\n"
    ".TP\n.B COLUMNS\nthe terminal's width, before what the terminal says\n"
    ".TP\n.B FOVEA_ISA\nforces an instruction set:\n.IR plain ,\n.I avx2\nand what else this processor has\n"
    ".SH FILES\n"
    "A model is a folder with\n.IR config.json ,\n.IR model.safetensors ,\n.I tokenizer.json\nand\n.IR fovea.json .\n";

void cli_man(void)
{
    printf(".TH FOVEA 1 \"\" \"fovea %s\" \"User commands\"\n.SH NAME\n", fv_version());
    printf("fovea \\- Transformers that train, run and explain themselves on a CPU\n");
    printf(".SH SYNOPSIS\n.B fovea\n.I VERB\n[\\fIOPTION\\fR]... [\\fIFILE\\fR]...\n");
    printf(".SH DESCRIPTION\nResults go to standard output, progress and messages to standard error.\n"
           "A file named \\- is standard input; \\-\\- ends the options.\n");
    printf(".SH COMMANDS\n");
    for (size_t i = 0; cli_commands[i]; i++) put_command(cli_commands[i]);
    printf(".SH OPTIONS OF EVERY COMMAND\n");
    put_options(cli_common_options, cli_n_common_options, false);
    fputs(closing, stdout);
}
