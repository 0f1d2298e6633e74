/* Options of every kind, in every form, into their fields; what is refused, and with which words. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/commands.h"

typedef enum colour { RED, GREEN, BLUE } colour;

struct args {
    cli_common common;
    const char *first, *text, *word;
    cli_list rest, many;
    colour colour;
    bool flag;
    int count;
    int64_t big;
    double real;
};

#define AT(field) CLI_FIELD(struct args, field)

static const cli_option operands[] = {
    {"FIRST", NULL, "the first", AT(first), .needed = true},
    {"REST", NULL, "the others", AT(rest)},
};

static const cli_option options[] = {
    {"text", "TEXT", "any text", AT(text)},
    {"word", "one|two", "a word", AT(word)},
    {"many", "X", "any number of texts", AT(many)},
    {.help = "A heading"},
    {"colour", "red|green|blue", "a colour", AT(colour)},
    {"flag", NULL, "a flag", AT(flag)},
    {"count", "N", "a count", AT(count), .low = -5, .high = 5},
    {"big", "N", "without bounds", AT(big)},
    {"real", "X", "a real", AT(real), .low = 0, .high = 1},
};

static void init(void *user)
{
    struct args *args = user;
    args->text = "as it was";
    args->count = 3;
}

static const cli_command command = {
    .name = "sample", .operands = operands, .n_operands = FV_COUNT(operands), .options = options, .n_options = FV_COUNT(options),
    .args_size = sizeof(struct args), .init = init,
};

/* A line read: `line` is cut at spaces. */
struct read {
    cli_call call;
    const struct args *args;
    fv_status status;
    fv_err err;
    char line[512];
};

static void read_line(struct read *r, const char *line)
{
    char *words[32], *at = r->line;
    int n = 0;
    memset(r, 0, sizeof *r);
    snprintf(r->line, sizeof r->line, "%s", line);
    while (*at) {
        words[n++] = at;
        at += strcspn(at, " ");
        if (*at) *at++ = 0;
    }
    assert_int_equal(cli_call_init(&r->call, &command, &r->err), FV_OK);
    r->status = cli_parse(&r->call, n, words, &r->err);
    r->args = r->call.args;
}

static void expect_refused(const char *line, const char *text)
{
    struct read r;
    read_line(&r, line);
    assert_int_equal(r.status, FV_E_ARGUMENT);
    assert_string_equal(r.err.text, text);
    cli_call_release(&r.call);
}

static void values_reach_their_fields(void **state)
{
    (void)state;
    struct read r;
    read_line(&r, "a --text=x=y --word two --colour blue --flag --count -5 --big 9007199254740993 --real 0.25 --seed 7 --threads=2 --json");
    assert_int_equal(r.status, FV_OK);
    assert_string_equal(r.args->first, "a");
    assert_string_equal(r.args->text, "x=y");
    assert_string_equal(r.args->word, "two");
    assert_int_equal(r.args->colour, BLUE);
    assert_true(r.args->flag);
    assert_int_equal(r.args->count, -5);
    assert_true(r.args->big == 9007199254740993);
    assert_true(r.args->real == 0.25);
    assert_int_equal(r.args->common.seed, 7);
    assert_int_equal(r.args->common.threads, 2);
    assert_true(r.args->common.json);
    cli_call_release(&r.call);
}

static void what_is_not_given_keeps_its_default(void **state)
{
    (void)state;
    struct read r;
    read_line(&r, "a");
    assert_int_equal(r.status, FV_OK);
    assert_string_equal(r.args->text, "as it was");
    assert_int_equal(r.args->count, 3);
    assert_int_equal(r.args->common.seed, -1);
    assert_false(r.args->flag);
    assert_int_equal(r.args->rest.n, 0);
    cli_call_release(&r.call);
}

static void options_and_operands_mix(void **state)
{
    (void)state;
    struct read r;
    read_line(&r, "--flag a --count 1 b - -- --flag -x");
    assert_int_equal(r.status, FV_OK);
    assert_string_equal(r.args->first, "a");
    assert_int_equal(r.args->rest.n, 4);
    assert_string_equal(r.args->rest.items[0], "b");
    assert_string_equal(r.args->rest.items[1], "-");
    assert_string_equal(r.args->rest.items[2], "--flag");
    assert_string_equal(r.args->rest.items[3], "-x");
    cli_call_release(&r.call);
}

static void the_last_of_two_wins(void **state)
{
    (void)state;
    struct read r;
    read_line(&r, "a --count 1 --count 2 --flag --flag=false");
    assert_int_equal(r.args->count, 2);
    assert_false(r.args->flag);
    cli_call_release(&r.call);
}

static void help_needs_nothing_else(void **state)
{
    (void)state;
    struct read r;
    read_line(&r, "--help");
    assert_int_equal(r.status, FV_OK);
    assert_true(r.args->common.help);
    cli_call_release(&r.call);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    expect_refused("--flag", "FIRST is missing: the first");
    expect_refused("a --count 6", "--count is \"6\"; expected a whole number from -5 to 5");
    expect_refused("a --count 1.5", "--count is \"1.5\"; expected a whole number from -5 to 5");
    expect_refused("a --big 1e3", "--big is \"1e3\"; expected a whole number");
    expect_refused("a --big 9223372036854775808", "--big is \"9223372036854775808\"; expected a whole number");
    expect_refused("a --real 1.01", "--real is \"1.01\"; expected a number from 0 to 1");
    expect_refused("a --real inf", "--real is \"inf\"; expected a number from 0 to 1");
    expect_refused("a --word three", "--word is \"three\"; expected one or two");
    expect_refused("a --word on", "--word is \"on\"; expected one or two");
    expect_refused("a --colour", "--colour needs a value: --colour red|green|blue");
    expect_refused("a --color red", "unknown option --color; did you mean --colour?");
    expect_refused("a --zebra", "unknown option \"zebra\" of sample");
    expect_refused("a --flag=1", "--flag is \"1\"; expected no value, or true or false");
}

static void out_of_memory_is_passed_up(void **state)
{
    (void)state;
    int64_t before = fv_alloc_live();
    for (int n = 0; n < 2; n++) {
        char word[] = "a", *words[] = {word};
        cli_call call;
        fv_err err = {0};
        fv_alloc_fail_after(n);
        fv_status status = cli_call_init(&call, &command, &err);
        if (!status) status = cli_parse(&call, 1, words, &err);
        fv_alloc_fail_after(-1);
        assert_int_equal(status, FV_E_MEMORY);
        cli_call_release(&call);
        assert_int_equal(fv_alloc_live(), before);
    }
}

static void expect_list(const cli_list *list, const char *const *expected, size_t n)
{
    assert_int_equal(list->n, n);
    for (size_t i = 0; i < n; i++) assert_string_equal(list->items[i], expected[i]);
}

static void an_option_may_be_repeated(void **state)
{
    const char *path = "build/options-test.json";
    const char json[] = "{\"many\": [\"p\", \"q\", \"r\", \"s\", \"t\", \"u\"], \"count\": 3}";
    (void)state;
    struct read r;
    read_line(&r, "a --many one b --many=two c");
    assert_int_equal(r.status, FV_OK);
    expect_list(&r.args->many, (const char *const[]){"one", "two"}, 2);
    expect_list(&r.args->rest, (const char *const[]){"b", "c"}, 2);
    assert_int_equal(r.args->common.words.n, 6);
    cli_call_release(&r.call);

    assert_int_equal(fv_file_write(path, json, sizeof json - 1, NULL), FV_OK);
    read_line(&r, "--config build/options-test.json a");
    assert_int_equal(r.status, FV_OK);
    expect_list(&r.args->many, (const char *const[]){"p", "q", "r", "s", "t", "u"}, 6);
    cli_call_release(&r.call);
    read_line(&r, "a --many one --config build/options-test.json");
    expect_list(&r.args->many, (const char *const[]){"one"}, 1);
    assert_int_equal(r.args->count, 3);
    cli_call_release(&r.call);
    unlink(path);
}

static void near_names_are_suggested(void **state)
{
    (void)state;
    static const char *const names[] = {"epochs", "steps", "seed", "batch-tokens", "lr"};
    assert_string_equal(cli_nearest("epohcs", names, 5), "epochs");
    assert_string_equal(cli_nearest("step", names, 5), "steps");
    assert_string_equal(cli_nearest("batch", names, 5), "batch-tokens");
    assert_string_equal(cli_nearest("rl", names, 5), "lr");
    assert_null(cli_nearest("colour", names, 5));
    assert_null(cli_nearest("xx", names, 5));
    assert_null(cli_nearest("", names, 5));
    assert_null(cli_nearest("a-word-that-is-longer-than-any-name-a-person-would-mistype", names, 5));
}

static void every_command_is_whole(void **state)
{
    (void)state;
    for (size_t i = 0; cli_commands[i]; i++) {
        const cli_command *c = cli_commands[i];
        assert_non_null(c->says);
        assert_non_null(c->text);
        assert_non_null(c->run);
        assert_non_null(c->examples[0]);
        assert_true(c->args_size >= sizeof(cli_common));
        for (size_t k = 0; k < c->n_options; k++) {
            assert_non_null(c->options[k].help);
            if (c->options[k].name) assert_int_equal(c->options[k].arg == NULL, c->options[k].kind == CLI_FLAG);
            /* "needed" is checked by the pointer being set. */
            if (c->options[k].needed) assert_true(c->options[k].kind == CLI_TEXT || c->options[k].kind == CLI_LIST);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_reach_their_fields),
        cmocka_unit_test(what_is_not_given_keeps_its_default),
        cmocka_unit_test(options_and_operands_mix),
        cmocka_unit_test(the_last_of_two_wins),
        cmocka_unit_test(help_needs_nothing_else),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(out_of_memory_is_passed_up),
        cmocka_unit_test(an_option_may_be_repeated),
        cmocka_unit_test(near_names_are_suggested),
        cmocka_unit_test(every_command_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
