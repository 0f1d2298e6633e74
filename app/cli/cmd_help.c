/* fovea help: lists the commands, explains one, prints the man page or a shell's completions. */
#include <string.h>

#include "cli/commands.h"

struct args {
    cli_common common;
    cli_list words;
    bool man;
    const char *completion;
};

#define AT(field) CLI_FIELD(struct args, field)

static const cli_option operands[] = {
    {"VERB", NULL, "a command to explain", AT(words)},
};

static const cli_option options[] = {
    {"man", NULL, "the man page, in roff", AT(man)},
    {"completion", "bash|zsh|fish", "completions for a shell", AT(completion)},
};

static fv_status explain(const cli_list *words, fv_err *err)
{
    int n_words;
    const cli_command *command = cli_find_command((int)words->n, (char *const *)words->items, &n_words);
    fv_shown shown;
    if (command && (size_t)n_words == words->n) return cli_help_command(command, err);
    if (words->n == 1 && cli_is_family(words->items[0])) {
        cli_help_family(words->items[0]);
        return FV_OK;
    }
    return FV_FAIL(err, FV_E_ARGUMENT, "there is no command %s; `fovea help` lists them",
                   fv_show(&shown, words->items[0], strlen(words->items[0])));
}

static fv_status run(void *user, fv_err *err)
{
    struct args *args = user;
    if (args->man) cli_man();
    else if (args->completion) return cli_completion(args->completion, err);
    else if (args->words.n) return explain(&args->words, err);
    else cli_help_all();
    return FV_OK;
}

static const char *const examples[] = {
    "fovea help train",
    "fovea help --man > fovea.1",
    "fovea help --completion bash > fovea.bash",
    NULL,
};

const cli_command cli_help = {
    .name = "help",
    .says = "lists the commands, or explains one",
    .text = "Without an operand: all commands, a line each. The man page and the completions come from the same table as the help.",
    .examples = examples,
    .operands = operands, .n_operands = FV_COUNT(operands),
    .options = options, .n_options = FV_COUNT(options),
    .args_size = sizeof(struct args),
    .run = run,
};
