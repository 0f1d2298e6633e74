/* --help, made from the table of commands, with the defaults that the library itself gives. */
#include <string.h>

#include "cli/commands.h"
#include "cli/term.h"

#define WIDEST 100      /* columns of help text at most, for the eye */
#define HELP_COLUMN 28  /* where what an option does starts */

static size_t help_width(void)
{
    int width = cli_width(stdout);
    if (width == 0) return 80;
    return (size_t)(width < 40 ? 40 : width > WIDEST ? WIDEST : width);
}

/* Paragraphs parted by empty lines are wrapped; a line that starts with a space is kept. */
static void print_text(const char *text, size_t width)
{
    while (*text) {
        char line[1024];
        size_t len = strcspn(text, "\n");
        snprintf(line, sizeof line, "%.*s", (int)len, text);
        if (line[0] == ' ' || !line[0]) printf("%s\n", line);
        else cli_wrap(stdout, line, 0, 0, width);
        text += len + (text[len] == '\n');
    }
}

/* " (default 2048)" if the option has one worth saying: not a flag, not zero, not nothing. */
static void show_default(const cli_option *o, const void *args, char *out, size_t size)
{
    const void *at = (const char *)args + o->at;
    size_t len = 0;
    const char *word;
    out[0] = 0;
    switch (o->kind) {
    case CLI_TEXT:
        if (*(const char *const *)at) snprintf(out, size, " (default %s)", *(const char *const *)at);
        break;
    case CLI_CHOICE:
        word = cli_word(o->arg, *(const unsigned *)at, &len);
        if (word) snprintf(out, size, " (default %.*s)", (int)len, word);
        break;
    case CLI_INT:
        if (*(const int *)at > 0) snprintf(out, size, " (default %d)", *(const int *)at);
        break;
    case CLI_INT64:
        if (*(const int64_t *)at > 0) snprintf(out, size, " (default %lld)", (long long)*(const int64_t *)at);
        break;
    case CLI_REAL:
        if (*(const double *)at > 0) snprintf(out, size, " (default %g)", *(const double *)at);
        break;
    case CLI_FLAG:
    case CLI_LIST: break;
    }
}

static void print_rows(const cli_option *options, size_t n, const void *args, bool operands, size_t width)
{
    for (size_t i = 0; i < n; i++) {
        const cli_option *o = &options[i];
        char left[128], help[512], value[96] = "";
        if (!o->name) {
            printf("\n%s\n", o->help);
            continue;
        }
        if (args) show_default(o, args, value, sizeof value);
        snprintf(left, sizeof left, "  %s%s%s%s", operands ? "" : "--", o->name, o->arg && !operands ? " " : "", o->arg && !operands ? o->arg : "");
        snprintf(help, sizeof help, "%s%s", o->help, value);
        size_t column = strlen(left);
        if (column + 2 > HELP_COLUMN) printf("%s\n%*s", left, HELP_COLUMN, "");
        else printf("%-*s", HELP_COLUMN, left);
        cli_wrap(stdout, help, HELP_COLUMN, HELP_COLUMN, width);
    }
}

fv_status cli_synopsis(const cli_command *c, fv_buf *out, fv_err *err)
{
    fv_status status = FV_OK;
    out->len = 0;
    FV_TRY(fv_buf_puts(out, c->name, err));
    for (size_t i = 0; i < c->n_operands; i++) {
        const cli_option *o = &c->operands[i];
        const char *name = o->arg ? o->arg : o->name;
        FV_TRY(fv_buf_printf(out, err, o->needed ? " %s%s" : " [%s%s]", name, o->kind == CLI_LIST ? "…" : ""));
    }
    for (size_t i = 0; i < c->n_options; i++)
        if (c->options[i].name && c->options[i].needed) FV_TRY(fv_buf_printf(out, err, " --%s %s", c->options[i].name, c->options[i].arg));
    FV_TRY(fv_buf_puts(out, " [OPTION…]", err));
done:
    return status;
}

static void print_examples(const cli_command *c)
{
    printf("\nExamples\n");
    for (size_t i = 0; c->examples[i]; i++) printf("  %s\n", c->examples[i]);
}

fv_status cli_help_command(const cli_command *c, fv_err *err)
{
    size_t width = help_width();
    fv_buf synopsis = {0};
    cli_call call = {0};
    fv_status status = FV_OK;
    FV_TRY(cli_synopsis(c, &synopsis, err));
    FV_TRY(cli_call_init(&call, c, err));
    printf("fovea %s: ", c->name);
    cli_wrap(stdout, c->says, strlen(c->name) + 8, 2, width);
    printf("\n  fovea ");
    cli_wrap(stdout, synopsis.data, 8, 10, width);
    printf("\n");
    print_text(c->text, width);
    print_examples(c);
    if (c->n_operands) printf("\nOperands\n");
    print_rows(c->operands, c->n_operands, NULL, true, width);
    if (c->n_options && c->options[0].name) printf("\nOptions\n");
    print_rows(c->options, c->n_options, call.args, false, width);
    printf("\nOptions of every command\n");
    print_rows(cli_common_options, cli_n_common_options, NULL, false, width);
done:
    fv_buf_release(&synopsis);
    cli_call_release(&call);
    return status;
}

/* Commands whose name is `word` or starts with it; NULL: all. */
static void print_list(const char *word, size_t width)
{
    size_t len = word ? strlen(word) : 0;
    for (size_t i = 0; cli_commands[i]; i++) {
        const cli_command *c = cli_commands[i];
        if (word && (strncmp(c->name, word, len) != 0 || c->name[len] != ' ')) continue;
        printf("  %-18s", c->name);
        cli_wrap(stdout, c->says, 20, 20, width);
    }
}

void cli_help_family(const char *word)
{
    printf("fovea %s: one of\n\n", word);
    print_list(word, help_width());
    printf("\n`fovea %s VERB --help` explains one.\n", word);
}

void cli_help_all(void)
{
    printf("fovea %s: Transformers that train, run and explain themselves on a CPU\n\n"
           "  fovea VERB …           does it\n"
           "  fovea VERB --help      explains it, with an example that works\n"
           "  fovea --version\n\n",
           fv_version());
    print_list(NULL, help_width());
    printf("\nResults go to stdout, progress and messages to stderr.\n"
           "Exit status: 0 done, 1 failed, 2 wrong usage, 3 bad input.\n");
}
