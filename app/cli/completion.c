/* Completions for bash, zsh and fish, made from the table of commands. */
#include <string.h>

#include "cli/commands.h"
#include "cli/term.h"

/* Whether a value is a file or a folder, by what the table calls it. */
static bool is_path(const char *arg)
{
    static const char *const names[] = {"FILE", "MODEL", "DIR", "PATH"};
    for (size_t i = 0; arg && i < FV_COUNT(names); i++)
        if (strcmp(arg, names[i]) == 0) return true;
    return false;
}

/* "a|b|c" as "a b c". */
static void put_words(const char *words)
{
    for (; *words; words++) putchar(*words == '|' ? ' ' : *words);
}

/* Calls `each` for the command's options, its own and the common ones. */
static void each_option(const cli_command *c, void (*each)(const cli_command *c, const cli_option *o))
{
    for (size_t i = 0; i < c->n_options; i++)
        if (c->options[i].name) each(c, &c->options[i]);
    for (size_t i = 0; i < cli_n_common_options; i++) each(c, &cli_common_options[i]);
}

/* Words that may follow the command: those of its operands that are one of a few. */
static const char *operand_words(const cli_command *c)
{
    for (size_t i = 0; i < c->n_operands; i++)
        if (cli_is_words(&c->operands[i])) return c->operands[i].arg;
    return NULL;
}

/* The first words of all commands, each once, with `each` (a family only at its first member). */
static void each_first_word(void (*each)(const char *word, size_t len, const cli_command *c))
{
    for (size_t i = 0; cli_commands[i]; i++) {
        const char *name = cli_commands[i]->name;
        size_t len = strcspn(name, " ");
        if (i && strncmp(cli_commands[i - 1]->name, name, len) == 0 && cli_commands[i - 1]->name[len] == ' ') continue;
        each(name, len, cli_commands[i]);
    }
}

/* The second words of a family's commands, each after a space. */
static void put_second_words(const char *family, size_t len)
{
    for (size_t i = 0; cli_commands[i]; i++)
        if (strncmp(cli_commands[i]->name, family, len) == 0 && cli_commands[i]->name[len] == ' ') printf(" %s", cli_commands[i]->name + len + 1);
}

/* ---- bash ---- */

static void bash_first_word(const char *word, size_t len, const cli_command *c)
{
    (void)c;
    printf(" %.*s", (int)len, word);
}

static void bash_name(const cli_command *c, const cli_option *o)
{
    (void)c;
    printf(" --%s", o->name);
}

static void bash_value(const cli_command *c, const cli_option *o)
{
    (void)c;
    if (!cli_is_words(o)) return;
    printf("            --%s) words='", o->name);
    put_words(o->arg);
    printf("' ;;\n");
}

static void bash_command(const cli_command *c)
{
    const char *words = operand_words(c);
    printf("    '%s')\n        options='", c->name);
    each_option(c, bash_name);
    printf("'\n        operands='");
    if (words) put_words(words);
    printf("'\n        case $before in\n");
    each_option(c, bash_value);
    printf("            *) words= ;;\n        esac ;;\n");
}

static void bash_family(const char *word, size_t len, const cli_command *c)
{
    if (!c->name[len]) return;
    printf("    '%.*s')\n        operands='", (int)len, word);
    put_second_words(word, len);
    printf("' ;;\n");
}

/* A family's name takes its second word in, which then names the command. */
static void bash_join(const char *word, size_t len, const cli_command *c)
{
    if (c->name[len]) printf("    [ \"$COMP_CWORD\" -gt 2 ] && [ \"$command\" = %.*s ] && command=\"$command ${COMP_WORDS[2]}\"\n", (int)len, word);
}

static void bash(void)
{
    printf("# bash completion for fovea\n"
           "_fovea()\n{\n"
           "    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
           "    local command=${COMP_WORDS[1]} options= operands= words= verbs='");
    each_first_word(bash_first_word);
    printf("'\n    COMPREPLY=()\n"
           "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
           "        COMPREPLY=($(compgen -W \"$verbs --help --version\" -- \"$current\"))\n"
           "        return\n    fi\n"
           "    case \"$verbs \" in\n        *\" $command \"*) ;;\n        *) return ;;\n    esac\n");
    each_first_word(bash_join);
    printf("    case $command in\n");
    each_first_word(bash_family);
    for (size_t i = 0; cli_commands[i]; i++) bash_command(cli_commands[i]);
    printf("    esac\n"
           "    if [ -n \"$words\" ]; then\n        COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
           "    elif [[ $current == -* ]]; then\n        COMPREPLY=($(compgen -W \"$options\" -- \"$current\"))\n"
           "    elif [ \"$COMP_CWORD\" -eq 2 ] && [ -n \"$operands\" ]; then\n        COMPREPLY=($(compgen -W \"$operands\" -- \"$current\"))\n"
           "    else\n        COMPREPLY=($(compgen -f -- \"$current\"))\n    fi\n"
           "}\ncomplete -o filenames -F _fovea fovea\n");
}

/* ---- zsh ---- */

/* Text within single quotes within a spec: quotes, colons and brackets are syntax there. */
static void zsh_text(const char *text)
{
    for (; *text; text++) {
        if (*text == '\'') fputs("'\\''", stdout);
        else if (strchr(":[]\\", *text)) printf("\\%c", *text);
        else putchar(*text);
    }
}

static void zsh_option(const cli_command *c, const cli_option *o)
{
    (void)c;
    printf("            '--%s%s[", o->name, o->arg ? "=" : "");
    zsh_text(o->help);
    putchar(']');
    if (cli_is_words(o)) {
        printf(":word:(");
        put_words(o->arg);
        putchar(')');
    } else if (o->arg) printf(":%s:%s", o->arg, is_path(o->arg) ? "_files" : "");
    printf("' \\\n");
}

static void zsh_command(const cli_command *c)
{
    const char *words = operand_words(c);
    printf("        '%s')\n            _arguments \\\n", c->name);
    each_option(c, zsh_option);
    if (words) {
        printf("            '1:word:(");
        put_words(words);
        printf(")' \\\n");
    }
    printf("            '*:file:_files' ;;\n");
}

static void zsh_first_word(const char *word, size_t len, const cli_command *c)
{
    printf("        '%.*s:", (int)len, word);
    if (c->name[len]) put_second_words(word, len);
    else zsh_text(c->says);
    printf("'\n");
}

/* The same for zsh, which also drops the family's name, so that places of operands hold. */
static void zsh_family(const char *word, size_t len, const cli_command *c)
{
    if (!c->name[len]) return;
    printf("    if [[ $command == %.*s ]]; then\n        if (( CURRENT == 3 )); then\n            _values verb", (int)len, word);
    put_second_words(word, len);
    printf("\n            return\n        fi\n"
           "        command=\"$command $words[3]\"\n        shift words\n        (( CURRENT-- ))\n    fi\n");
}

static void zsh(void)
{
    printf("#compdef fovea\n# zsh completion for fovea\n"
           "_fovea() {\n    local command=$words[2]\n    local -a verbs\n    verbs=(\n");
    each_first_word(zsh_first_word);
    printf("    )\n"
           "    if (( CURRENT == 2 )); then\n        _describe command verbs\n        return\n    fi\n");
    each_first_word(zsh_family);
    printf("    shift words\n    (( CURRENT-- ))\n"
           "    case $command in\n");
    for (size_t i = 0; cli_commands[i]; i++) zsh_command(cli_commands[i]);
    printf("    esac\n}\n_fovea \"$@\"\n");
}

/* ---- fish ---- */

/* Text within single quotes. */
static void fish_text(const char *text)
{
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\') putchar('\\');
        putchar(*text);
    }
}

/* The condition under which a command's options are offered: its words were seen, and it is not the
 * second word of a family (`tokenizer train` is not `train`). */
static void fish_when(const cli_command *c)
{
    const char *second = strchr(c->name, ' ');
    printf("complete -c fovea -n '__fish_seen_subcommand_from %.*s", (int)strcspn(c->name, " "), c->name);
    if (second) printf("; and __fish_seen_subcommand_from %s", second + 1);
    for (size_t i = 0; !second && cli_commands[i]; i++) {
        const char *name = cli_commands[i]->name, *other = strchr(name, ' ');
        if (other && strcmp(other + 1, c->name) == 0) printf("; and not __fish_seen_subcommand_from %.*s", (int)(other - name), name);
    }
    printf("'");
}

static void fish_option(const cli_command *c, const cli_option *o)
{
    fish_when(c);
    printf(" -l %s", o->name);
    if (cli_is_words(o)) {
        printf(" -x -a '");
        put_words(o->arg);
        putchar('\'');
    } else if (o->arg) printf(is_path(o->arg) ? " -r -F" : " -x");
    printf(" -d '");
    fish_text(o->help);
    printf("'\n");
}

static void fish_first_word(const char *word, size_t len, const cli_command *c)
{
    printf("complete -c fovea -n __fish_use_subcommand -f -a %.*s -d '", (int)len, word);
    if (c->name[len]) put_second_words(word, len);
    else fish_text(c->says);
    printf("'\n");
}

static void fish_operands(const cli_command *c)
{
    const char *second = strchr(c->name, ' '), *words = operand_words(c);
    size_t len = strcspn(c->name, " ");
    if (second) {
        printf("complete -c fovea -n '__fish_seen_subcommand_from %.*s; and not __fish_seen_subcommand_from", (int)len, c->name);
        put_second_words(c->name, len);
        printf("' -f -a %s -d '", second + 1);
        fish_text(c->says);
        printf("'\n");
    }
    if (!words) return;
    fish_when(c);
    printf(" -a '");
    put_words(words);
    printf("'\n");
}

static void fish(void)
{
    printf("# fish completion for fovea\n");
    each_first_word(fish_first_word);
    for (size_t i = 0; cli_commands[i]; i++) {
        fish_operands(cli_commands[i]);
        each_option(cli_commands[i], fish_option);
    }
}

fv_status cli_completion(const char *shell, fv_err *err)
{
    if (strcmp(shell, "bash") == 0) bash();
    else if (strcmp(shell, "zsh") == 0) zsh();
    else if (strcmp(shell, "fish") == 0) fish();
    else return FV_FAIL(err, FV_E_ARGUMENT, "no completions for %.40s; expected bash, zsh or fish", shell);
    return FV_OK;
}
