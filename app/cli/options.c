/* Reads a command line, and the --config file, into a command's arguments.
 *
 * GNU style: --name value, --name=value, options and operands in any order, "--" ends options, "-"
 * is an operand. The trap inside: --config may stand anywhere and the command line wins over it, so
 * the line is read twice, once to find the file and once more on top of what the file said. */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "cli/commands.h"
#include "hub/hub.h"

#define CONFIG_BYTES (1 << 20)
#define FOUND_MAX 4 /* models of one command line at most */

bool cli_is_words(const cli_option *o) { return o->arg && (o->kind == CLI_CHOICE || strchr(o->arg, '|')); }

const char *cli_word(const char *words, size_t i, size_t *len)
{
    while (i-- > 0) {
        words = strchr(words, '|');
        if (!words) return NULL;
        words++;
    }
    *len = strcspn(words, "|");
    return words;
}

/* The place of `text` in "a|b|c", or -1. */
static int word_place(const char *words, const char *text)
{
    size_t len, want = strlen(text);
    const char *word;
    for (size_t i = 0; (word = cli_word(words, i, &len)); i++)
        if (len == want && memcmp(word, text, len) == 0) return (int)i;
    return -1;
}

/* ---- One value ---- */

/* How messages call it: "--epochs", or an operand's bare name. */
typedef struct label { char text[64]; } label;

static label label_of(const cli_option *o)
{
    bool operand = o->name[0] >= 'A' && o->name[0] <= 'Z';
    label l;
    snprintf(l.text, sizeof l.text, "%s%s", operand ? "" : "--", o->name);
    return l;
}

static fv_status refuse(const cli_option *o, const char *text, const char *expected, fv_err *err)
{
    fv_shown shown;
    return FV_FAIL(err, FV_E_ARGUMENT, "%s is %s; expected %s", label_of(o).text, fv_show(&shown, text, strlen(text)), expected);
}

static fv_status refuse_number(const cli_option *o, const char *text, const char *what, fv_err *err)
{
    char expected[96];
    if (o->low < o->high) snprintf(expected, sizeof expected, "%s from %.16g to %.16g", what, o->low, o->high);
    else snprintf(expected, sizeof expected, "%s", what);
    return refuse(o, text, expected, err);
}

/* "…; expected cls, mean or max". */
static fv_status refuse_word(const cli_option *o, const char *text, fv_err *err)
{
    char expected[256];
    const char *word;
    size_t len, at = 0;
    for (size_t i = 0; (word = cli_word(o->arg, i, &len)) && at < sizeof expected; i++) {
        const char *joint = i == 0 ? "" : word[len] ? ", " : " or ";
        at += (size_t)snprintf(expected + at, sizeof expected - at, "%s%.*s", joint, (int)len, word);
    }
    return refuse(o, text, expected, err);
}

static bool within(const cli_option *o, double x) { return o->low >= o->high || (x >= o->low && x <= o->high); }

static fv_status set_flag(const cli_option *o, const char *text, bool *out, fv_err *err)
{
    bool yes = !text || strcmp(text, "true") == 0;
    if (!yes && strcmp(text, "false") != 0) return refuse(o, text, "no value, or true or false", err);
    *out = yes;
    return FV_OK;
}

static fv_status set_word(const cli_option *o, const char *text, void *out, fv_err *err)
{
    int place = cli_is_words(o) ? word_place(o->arg, text) : 0;
    if (place < 0) return refuse_word(o, text, err);
    if (o->kind == CLI_CHOICE) *(unsigned *)out = (unsigned)place;
    else *(const char **)out = text;
    return FV_OK;
}

static fv_status set_whole(const cli_option *o, const char *text, void *out, fv_err *err)
{
    int64_t x;
    bool fits = fv_parse_int64(text, &x) && within(o, (double)x);
    if (!fits || (o->kind == CLI_INT && (x < INT_MIN || x > INT_MAX))) return refuse_number(o, text, "a whole number", err);
    if (o->kind == CLI_INT) *(int *)out = (int)x;
    else *(int64_t *)out = x;
    return FV_OK;
}

static fv_status set_real(const cli_option *o, const char *text, double *out, fv_err *err)
{
    double x;
    if (!fv_parse_double(text, &x) || !within(o, x)) return refuse_number(o, text, "a number", err);
    *out = x;
    return FV_OK;
}

/* `text` is NULL only for a flag without a value. */
static fv_status set(const cli_option *o, void *args, const char *text, fv_err *err)
{
    void *out = (char *)args + o->at;
    switch (o->kind) {
    case CLI_FLAG: return set_flag(o, text, out, err);
    case CLI_TEXT:
    case CLI_CHOICE: return set_word(o, text, out, err);
    case CLI_INT:
    case CLI_INT64: return set_whole(o, text, out, err);
    case CLI_REAL: return set_real(o, text, out, err);
    case CLI_LIST: break; /* an operand's is filled with all at once, an option's by repeat */
    }
    return FV_OK;
}

/* One more value of the option that may be repeated; cli_parse made room. */
static void repeat(cli_call *call, const cli_option *o, const char *text)
{
    call->repeated[call->n_repeated++] = text;
    *(cli_list *)((char *)call->args + o->at) = (cli_list){call->repeated, call->n_repeated};
}

/* ---- Finding an option ---- */

static const cli_option *find_in(const cli_option *options, size_t n, const char *name, size_t len)
{
    for (size_t i = 0; i < n; i++)
        if (options[i].name && strlen(options[i].name) == len && memcmp(options[i].name, name, len) == 0) return &options[i];
    return NULL;
}

static const cli_option *find_option(const cli_command *c, const char *name, size_t len)
{
    const cli_option *o = find_in(c->options, c->n_options, name, len);
    return o ? o : find_in(cli_common_options, cli_n_common_options, name, len);
}

static const char *nearest_option(const cli_command *c, const char *name)
{
    const char *names[128];
    size_t n = 0;
    for (size_t i = 0; i < c->n_options && n < FV_COUNT(names); i++)
        if (c->options[i].name) names[n++] = c->options[i].name;
    for (size_t i = 0; i < cli_n_common_options && n < FV_COUNT(names); i++) names[n++] = cli_common_options[i].name;
    return cli_nearest(name, names, n);
}

/* `dashes` stands before names in the message: "--" on the command line, "" in a config file. */
static fv_status unknown_option(const cli_command *c, const char *name, size_t len, const char *dashes, fv_err *err)
{
    char cut[64];
    fv_shown shown;
    snprintf(cut, sizeof cut, "%.*s", (int)(len < 60 ? len : 60), name);
    const char *near = nearest_option(c, cut);
    fv_show(&shown, name, len);
    /* fv_show puts quotes around; an option reads better without when it is an ordinary word. */
    if (near) return FV_FAIL(err, FV_E_ARGUMENT, "unknown option %s%s; did you mean %s%s?", dashes, cut, dashes, near);
    return FV_FAIL(err, FV_E_ARGUMENT, "unknown option %s of %s", shown.text, c->name);
}

/* ---- The config file ---- */

/* A JSON value as the text that the command line would have had; `room` is for numbers. */
static const char *config_text(const json_t *value, char room[64])
{
    if (json_is_string(value)) return json_string_value(value);
    if (json_is_true(value)) return "true";
    if (json_is_false(value)) return "false";
    if (json_is_integer(value)) snprintf(room, 64, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value)) snprintf(room, 64, "%.17g", json_real_value(value));
    else return NULL;
    return room;
}

static fv_status set_from_config(cli_call *call, const char *path, const char *key, const json_t *value, fv_err *err)
{
    char room[64];
    const cli_option *o = find_option(call->command, key, strlen(key));
    if (!o || strcmp(key, "config") == 0 || strcmp(key, "help") == 0) {
        unknown_option(call->command, key, strlen(key), "", err);
        fv_err_prefix(err, "%s", path);
        return FV_E_ARGUMENT;
    }
    const char *text = config_text(value, room);
    if (!text) return FV_FAIL(err, FV_E_ARGUMENT, "%s: %s is neither text, a number, true nor false", path, key);
    if ((o->kind == CLI_TEXT || o->kind == CLI_LIST) && text == room) return FV_FAIL(err, FV_E_ARGUMENT, "%s: %s is %s; expected text in quotes", path, key, text);
    if (o->kind == CLI_LIST) return repeat(call, o, text), FV_OK;
    fv_status status = set(o, call->args, text, err);
    if (status) fv_err_prefix(err, "%s", path);
    return status;
}

/* A list gives an option that may be repeated each of its items. */
static fv_status set_each_from_config(cli_call *call, const char *path, const char *key, const json_t *value, fv_err *err)
{
    const cli_option *o = find_option(call->command, key, strlen(key));
    if (!o || o->kind != CLI_LIST || !json_is_array(value)) return set_from_config(call, path, key, value, err);
    const char **more = fv_realloc(call->repeated, (call->room + json_array_size(value)) * sizeof *more, err);
    if (!more) return FV_E_MEMORY;
    call->repeated = more;
    call->room += json_array_size(value);
    for (size_t i = 0; i < json_array_size(value); i++) {
        fv_status status = set_from_config(call, path, key, json_array_get(value, i), err);
        if (status) return status;
    }
    return FV_OK;
}

static fv_status apply_config(cli_call *call, const char *path, fv_err *err)
{
    const char *key;
    json_t *value;
    call->config = fv_json_load(path, CONFIG_BYTES, err);
    if (!call->config) return err->status;
    if (!json_is_object(call->config)) return FV_FAIL(err, FV_E_INPUT, "%s: expected a JSON object whose keys are option names", path);
    json_object_foreach(call->config, key, value)
    {
        fv_status status = set_each_from_config(call, path, key, value, err);
        if (status) return status;
    }
    return FV_OK;
}

/* ---- The command line ---- */

/* Reads the option at argv[*at], and its value if that is the next word. */
static fv_status read_option(cli_call *call, int argc, char **argv, int *at, fv_err *err)
{
    const char *name = argv[*at] + 2, *value = strchr(name, '=');
    size_t len = value ? (size_t)(value - name) : strlen(name);
    const cli_option *o = find_option(call->command, name, len);
    if (!o) return unknown_option(call->command, name, len, "--", err);
    if (value) value++;
    else if (o->kind != CLI_FLAG) {
        if (*at + 1 >= argc) return FV_FAIL(err, FV_E_ARGUMENT, "--%s needs a value: --%s %s", o->name, o->name, o->arg);
        value = argv[++*at];
    }
    if (o->kind == CLI_LIST) return repeat(call, o, value), FV_OK;
    return set(o, call->args, value, err);
}

static fv_status read_line(cli_call *call, int argc, char **argv, fv_err *err)
{
    bool options = true;
    call->n_operands = call->n_repeated = 0;
    for (int i = 0; i < argc; i++) {
        fv_status status = FV_OK;
        if (options && strcmp(argv[i], "--") == 0) options = false;
        else if (options && strncmp(argv[i], "--", 2) == 0) status = read_option(call, argc, argv, &i, err);
        else if (options && argv[i][0] == '-' && argv[i][1])
            status = FV_FAIL(err, FV_E_ARGUMENT, "unknown option %.60s; options start with two dashes (a file of this name: ./%.60s)", argv[i], argv[i]);
        else call->operands[call->n_operands++] = argv[i];
        if (status) return status;
    }
    return FV_OK;
}

/* The operands into their fields; a list takes all that are left. */
static fv_status place_operands(cli_call *call, fv_err *err)
{
    const cli_command *c = call->command;
    size_t used = 0;
    for (size_t i = 0; i < c->n_operands; i++) {
        const cli_option *o = &c->operands[i];
        size_t left = call->n_operands - used;
        fv_status status = FV_OK;
        if (left == 0 && o->needed) return FV_FAIL(err, FV_E_ARGUMENT, "%s is missing: %s", o->name, o->help);
        if (o->kind == CLI_LIST) {
            *(cli_list *)((char *)call->args + o->at) = (cli_list){call->operands + used, left};
            used += left;
        } else if (left) status = set(o, call->args, call->operands[used++], err);
        if (status) return status;
    }
    if (used == call->n_operands) return FV_OK;
    fv_shown shown;
    const char *extra = call->operands[used];
    return FV_FAIL(err, FV_E_ARGUMENT, "%s is one word too many", fv_show(&shown, extra, strlen(extra)));
}

static fv_status check_needed(const cli_call *call, fv_err *err)
{
    for (size_t i = 0; i < call->command->n_options; i++) {
        const cli_option *o = &call->command->options[i];
        if (o->name && o->needed && !*(const char **)((char *)call->args + o->at))
            return FV_FAIL(err, FV_E_ARGUMENT, "--%s %s is missing: %s", o->name, o->arg, o->help);
    }
    return FV_OK;
}

static void set_defaults(cli_call *call)
{
    memset(call->args, 0, call->command->args_size);
    ((cli_common *)call->args)->seed = -1;
    if (call->command->init) call->command->init(call->args);
}

fv_status cli_call_init(cli_call *call, const cli_command *command, fv_err *err)
{
    *call = (cli_call){.command = command};
    call->args = fv_alloc(command->args_size, err);
    if (!call->args) return FV_E_MEMORY;
    set_defaults(call);
    return FV_OK;
}

/* A name of a model that lies in the hub's cache stands for its folder there, unless there is a file or folder of that name. */
static void find_model(cli_call *call, const cli_option *o, size_t *n)
{
    const char **value = (const char **)((char *)call->args + o->at);
    if (o->kind != CLI_TEXT || !*value || *n == FOUND_MAX || fv_folder_exists(*value) || fv_file_exists(*value)) return;
    if (hub_find(*value, call->found[*n])) *value = call->found[(*n)++];
}

/* MODEL as an operand or option is one to read; only --out is one to write. */
static fv_status find_models(cli_call *call, fv_err *err)
{
    const cli_command *c = call->command;
    size_t n = 0;
    call->found = fv_alloc(FOUND_MAX * sizeof *call->found, err);
    if (!call->found) return FV_E_MEMORY;
    for (size_t i = 0; i < c->n_operands; i++)
        if (strcmp(c->operands[i].name, "MODEL") == 0) find_model(call, &c->operands[i], &n);
    for (size_t i = 0; i < c->n_options; i++) {
        const cli_option *o = &c->options[i];
        if (o->name && o->arg && strcmp(o->arg, "MODEL") == 0 && strcmp(o->name, "out") != 0) find_model(call, o, &n);
    }
    return FV_OK;
}

fv_status cli_parse(cli_call *call, int argc, char **argv, fv_err *err)
{
    cli_common *common = call->args;
    fv_status status = FV_OK;
    call->room = (size_t)argc + 1;
    call->operands = fv_alloc_zero(call->room, sizeof *call->operands, err);
    call->repeated = fv_alloc_zero(call->room, sizeof *call->repeated, err);
    if (!call->operands || !call->repeated) return FV_E_MEMORY;
    FV_TRY(read_line(call, argc, argv, err));
    if (common->help) return FV_OK;
    if (common->config) {
        const char *path = common->config;
        set_defaults(call);
        FV_TRY(apply_config(call, path, err));
        FV_TRY(read_line(call, argc, argv, err));
    }
    FV_TRY(place_operands(call, err));
    FV_TRY(check_needed(call, err));
    FV_TRY(find_models(call, err));
    common->words = (cli_list){(const char *const *)argv, (size_t)argc};
done:
    return status;
}

void cli_call_release(cli_call *call)
{
    fv_free(call->args);
    fv_free(call->operands);
    fv_free(call->repeated);
    fv_free(call->found);
    json_decref(call->config);
    *call = (cli_call){0};
}
