/* The list of commands, and the options that all of them take. */
#include <string.h>

#include "cli/commands.h"

extern const cli_command cli_train, cli_eval, cli_classify, cli_embed, cli_search, cli_tag, cli_translate, cli_explain, cli_tokenizer_train, cli_tokenizer_encode,
    cli_tokenizer_decode, cli_inspect, cli_runs, cli_convert, cli_compress, cli_pull, cli_serve, cli_bench, cli_help;

/* In the order of a person's way through: make, judge, use, understand, measure. */
const cli_command *const cli_commands[] = {
    &cli_train, &cli_eval, &cli_classify, &cli_embed, &cli_search, &cli_tag, &cli_translate, &cli_explain, &cli_tokenizer_train, &cli_tokenizer_encode,
    &cli_tokenizer_decode, &cli_inspect, &cli_runs, &cli_convert, &cli_compress, &cli_pull, &cli_serve, &cli_bench, &cli_help, NULL,
};

#define AT(field) CLI_FIELD(cli_common, field)

const cli_option cli_common_options[] = {
    {"json", NULL, "results as JSON, one object a line", AT(json)},
    {"quiet", NULL, "no progress and no messages, except errors", AT(quiet)},
    {"seed", "N", "what chance is drawn from; the same seed gives the same result", AT(seed), .low = 0, .high = 9007199254740991},
    {"threads", "N", "threads to work with, one for each core if not given; results do not depend on it", AT(threads), .low = 0, .high = 4096},
    {"config", "FILE", "options from a JSON object whose keys are their names; the command line wins", AT(config)},
    {"help", NULL, "this text", AT(help)},
};
const size_t cli_n_common_options = FV_COUNT(cli_common_options);

/* How many words of argv make up `name`, which is one word or two; 0 if they do not. */
static int words_matched(const char *name, int argc, char *const *argv)
{
    size_t first = strcspn(name, " ");
    if (argc < 1 || strlen(argv[0]) != first || memcmp(argv[0], name, first) != 0) return 0;
    if (!name[first]) return 1;
    return argc > 1 && strcmp(argv[1], name + first + 1) == 0 ? 2 : 0;
}

const cli_command *cli_find_command(int argc, char *const *argv, int *n_words)
{
    for (size_t i = 0; cli_commands[i]; i++)
        if ((*n_words = words_matched(cli_commands[i]->name, argc, argv))) return cli_commands[i];
    return NULL;
}

bool cli_is_family(const char *word)
{
    size_t len = strlen(word);
    for (size_t i = 0; cli_commands[i]; i++)
        if (strncmp(cli_commands[i]->name, word, len) == 0 && cli_commands[i]->name[len] == ' ') return true;
    return false;
}
