/* fovea-serve: what `fovea serve` becomes. Reads the same words by the same table (app/cli/cmd_serve.c), turns signals into
 * orders, and serves. */
#include <signal.h>
#include <string.h>

#include "server/serve.h"

static srv_orders orders;

/* A second wish to stop is one to stop at once. */
static void on_signal(int signal)
{
    if (signal == SIGHUP) atomic_store(&orders.reload, true);
    else if (atomic_exchange(&orders.stop, true)) atomic_store(&orders.now, true);
}

static void listen_to_signals(void)
{
    static const int signals[] = {SIGHUP, SIGTERM, SIGINT};
    struct sigaction action = {.sa_handler = on_signal};
    for (size_t i = 0; i < FV_COUNT(signals); i++) sigaction(signals[i], &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* Who starts the server reads from this line where it is. */
static void tell(void *user, const srv_address *address)
{
    const cli_serve_args *args = user;
    bool six = strchr(address->host, ':') != NULL;
    if (!args->common.quiet) fprintf(stderr, "fovea: serving at http://%s%s%s:%s\n", six ? "[" : "", address->host, six ? "]" : "", address->port);
}

static fv_status run(int argc, char **argv, fv_err *err)
{
    cli_call call;
    fv_status status;
    FV_TRY(cli_call_init(&call, &cli_serve, err));
    FV_TRY(cli_parse(&call, argc, argv, err));
    const cli_serve_args *args = call.args;
    if (args->common.help) FV_TRY(cli_help_command(&cli_serve, err));
    else {
        if (args->common.threads) FV_TRY(fv_set_threads(args->common.threads, err));
        listen_to_signals();
        FV_TRY(srv_serve(args, &orders, tell, call.args, err));
    }
done:
    cli_call_release(&call);
    return status;
}

int main(int argc, char **argv)
{
    fv_err err = {0};
    fv_status status = run(argc - 1, argv + 1, &err);
    if (status == FV_OK) return 0;
    fv_err_print(stderr, &err);
    return cli_exit_status(status);
}
