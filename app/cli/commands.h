/* The table of commands: the one source of parsing, --help, the man page and the completions.
 *
 * Each command file ends in its `const cli_command`, and commands.c lists them. An option says where
 * its value goes, as a field of the command's own struct of arguments; the field's C type decides
 * how the text is read, so that the two cannot disagree:
 *
 *     struct args { cli_common common; const char *out; int epochs; };
 *     #define AT(field) CLI_FIELD(struct args, field)
 *     static const cli_option options[] = {
 *         {"out", "MODEL", "the folder to write", AT(out), .needed = true},
 *         {"epochs", "N", "passes over the data", AT(epochs), .low = 1, .high = 1e6},
 *     };
 *
 * Names of the program start cli_, which keeps them apart from the library's.
 */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include <jansson.h>

#include "base/file.h"

/* How a value is read, and what it is written to. */
typedef enum cli_kind {
    CLI_FLAG,   /* bool; takes no value, or =true, =false */
    CLI_TEXT,   /* const char *; an argument "a|b|c" allows only these words */
    CLI_CHOICE, /* an enum; the word's place in the argument "a|b|c" */
    CLI_INT,    /* int */
    CLI_INT64,  /* int64_t */
    CLI_REAL,   /* double */
    CLI_LIST,   /* cli_list: an operand, or a command's one option, that may be repeated */
} cli_kind;

typedef struct cli_list {
    const char *const *items;
    size_t n;
} cli_list;

#define CLI_KIND(field)                                                                                 \
    _Generic((field), bool: CLI_FLAG, const char *: CLI_TEXT, int: CLI_INT, int64_t: CLI_INT64, \
             double: CLI_REAL, cli_list: CLI_LIST, unsigned: CLI_CHOICE)
#define CLI_FIELD(type, field) .at = offsetof(type, field), .kind = CLI_KIND(((type *)0)->field)

/* An option or, in a list of operands, an operand. A row without a name is a heading over the rows
 * that follow it. */
typedef struct cli_option {
    const char *name;  /* "max-len"; of an operand "MODEL" */
    const char *arg;   /* "N", "FILE", "cls|mean|max"; NULL for a flag */
    const char *help;  /* one phrase, lower case, no full stop */
    size_t at;
    cli_kind kind;
    double low, high;  /* bounds of a number, both allowed; none if equal */
    bool needed;
} cli_option;

/* The same option of every command that runs a model. */
#define CLI_PRECISION(at) {"precision", "float32|bf16|int8|model", "what products round their numbers to; model: as its weights are stored", at}

/* The options that every command takes: the first member of every struct of arguments. */
typedef struct cli_common {
    bool json, quiet, help;
    int64_t seed; /* -1: not given */
    int threads;  /* 0: one for each core */
    const char *config;
    cli_list words; /* all that stood after the command's name: for a command that starts another program */
} cli_common;

typedef struct cli_command {
    const char *name;            /* "train", "tokenizer encode" */
    const char *says;            /* what it does, one line for the list of commands */
    const char *text;            /* more, paragraphs parted by "\n\n"; a line starting with a space is kept as it is */
    const char *const *examples; /* command lines that work, ended by NULL */
    const cli_option *operands, *options;
    size_t n_operands, n_options;
    size_t args_size;
    void (*init)(void *args);    /* defaults, after zeroing; NULL: none */
    fv_status (*run)(void *args, fv_err *err);
} cli_command;

/* All commands, ended by NULL. */
extern const cli_command *const cli_commands[];
extern const cli_option cli_common_options[];
extern const size_t cli_n_common_options;

/* The command that the words of argv name, or NULL; *n_words is how many of them did. */
const cli_command *cli_find_command(int argc, char *const *argv, int *n_words);
/* True if some command's name is `word` followed by another word. */
bool cli_is_family(const char *word);

/* ---- options.c ---- */

/* A command line read into the command's arguments. Release it after the run. */
typedef struct cli_call {
    const cli_command *command;
    void *args;             /* command->args_size bytes, starting with a cli_common */
    const char **operands;  /* what a CLI_LIST points into */
    size_t n_operands;
    const char **repeated;  /* the same for an option */
    size_t n_repeated, room;
    char (*found)[FV_PATH_MAX]; /* folders in the cache that names of models stand for */
    json_t *config;         /* what strings from --config point into */
} cli_call;

/* The arguments with the defaults of `command` and nothing else; cli_call_release frees it. */
fv_status cli_call_init(cli_call *call, const cli_command *command, fv_err *err);
/* Reads argv[0..argc), the words after the command's name. FV_E_ARGUMENT on wrong usage. */
fv_status cli_parse(cli_call *call, int argc, char **argv, fv_err *err);
void cli_call_release(cli_call *call);
/* Whether its argument is one of a few words, "a|b|c". */
bool cli_is_words(const cli_option *option);
/* The i-th word of "a|b|c" and its length in *len, or NULL after the last. */
const char *cli_word(const char *words, size_t i, size_t *len);

/* ---- beside.c ---- */

/* Becomes the program called like this one with `ending` behind ("-serve"), which is told the same words. Returns only if it cannot. */
fv_status cli_become(const char *ending, const cli_common *common, fv_err *err);
/* What a process ends with: 0 done, 1 failed, 2 wrong usage, 3 bad input. */
int cli_exit_status(fv_status status);

/* ---- suggest.c ---- */

/* The name nearest to `text` if it is near enough to be what was meant, else NULL. */
const char *cli_nearest(const char *text, const char *const *names, size_t n);

/* ---- help.c, man.c, completion.c ---- */

/* Formatting from the table. `width`: columns at most. */
fv_status cli_help_command(const cli_command *command, fv_err *err);
void cli_help_family(const char *word);
void cli_help_all(void);
void cli_man(void);
fv_status cli_completion(const char *shell, fv_err *err);
/* "MODEL [FILE]", with the needed options: what follows the command's name. */
fv_status cli_synopsis(const cli_command *command, fv_buf *out, fv_err *err);

#endif
