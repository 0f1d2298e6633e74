/* The program: finds the command, reads its options, runs it, and turns its status into the exit status.
 *
 * It is a client of fovea.h: whatever it does, another C program can do. What every command shares
 * stands here once: threads, wrong usage, and noticing that stdout could not be written. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/term.h"

/* With a standard stream closed, the next file opened would take its number and receive what is
 * printed. The stand-ins are opened the wrong way round, so that using them is still an error. */
static void hold_standard_streams(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd) _exit(cli_exit_status(FV_E_IO));
}

/* An empty text is an error that needs no words. */
static int report(fv_status status, const fv_err *err, const char *command)
{
    if (status && err->text[0]) fv_err_print(stderr, err);
    if (status == FV_E_ARGUMENT) fprintf(stderr, "`fovea %s%s--help` explains%s.\n", command, *command ? " " : "", *command ? " it" : "");
    return cli_exit_status(status);
}

/* The nearest first word of a command, or NULL. */
static const char *nearest_command(const char *word)
{
    const char *names[64];
    static char firsts[64][32];
    size_t n = 0;
    for (; cli_commands[n] && n < FV_COUNT(names); n++) {
        const char *name = cli_commands[n]->name;
        snprintf(firsts[n], sizeof firsts[n], "%.*s", (int)strcspn(name, " "), name);
        names[n] = firsts[n];
    }
    return cli_nearest(word, names, n);
}

static int unknown_command(const char *word)
{
    fv_err err = {0};
    fv_shown shown;
    const char *near = nearest_command(word);
    fv_show(&shown, word, strlen(word));
    if (near) FV_FAIL(&err, FV_E_ARGUMENT, "unknown command %s; did you mean %s?", shown.text, near);
    else FV_FAIL(&err, FV_E_ARGUMENT, "unknown command %s; `fovea help` lists them", shown.text);
    return report(FV_E_ARGUMENT, &err, "");
}

/* "tokenizer" alone or with a second word that is none of its own. */
static int run_family(const char *word, const char *second)
{
    fv_err err = {0};
    if (second && strcmp(second, "--help") == 0) {
        cli_help_family(word);
        return report(cli_flush(&err), &err, word);
    }
    fv_shown shown;
    if (second) FV_FAIL(&err, FV_E_ARGUMENT, "unknown command %s of %s", fv_show(&shown, second, strlen(second)), word);
    else FV_FAIL(&err, FV_E_ARGUMENT, "%s needs a second word", word);
    return report(FV_E_ARGUMENT, &err, word);
}

static int run_command(const cli_command *command, int argc, char **argv)
{
    fv_err err = {0};
    cli_call call;
    fv_status status;
    FV_TRY(cli_call_init(&call, command, &err));
    FV_TRY(cli_parse(&call, argc, argv, &err));
    const cli_common *common = call.args;
    if (common->help) FV_TRY(cli_help_command(command, &err));
    else {
        if (common->threads) FV_TRY(fv_set_threads(common->threads, &err));
        FV_TRY(command->run(call.args, &err));
    }
    status = cli_flush(&err);
done:
    cli_call_release(&call);
    return report(status, &err, command->name);
}

static int show_version(void)
{
    fv_err err = {0};
    printf("fovea %s (%s)\n", fv_version(), fv_isa());
    return report(cli_flush(&err), &err, "");
}

int main(int argc, char **argv)
{
    int n_words;
    hold_standard_streams();
    if (argc < 2) {
        fprintf(stderr, "fovea: expected a command; `fovea help` lists them\n");
        return cli_exit_status(FV_E_ARGUMENT);
    }
    if (strcmp(argv[1], "--version") == 0) return show_version();
    if (strcmp(argv[1], "--help") == 0) argv[1] = "help";
    const cli_command *command = cli_find_command(argc - 1, argv + 1, &n_words);
    if (command) return run_command(command, argc - 1 - n_words, argv + 1 + n_words);
    if (cli_is_family(argv[1])) return run_family(argv[1], argc > 2 ? argv[2] : NULL);
    return unknown_command(argv[1]);
}
