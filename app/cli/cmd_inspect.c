/* fovea inspect: all that is known of a model, as a page or as the library's JSON.
 *
 * The page follows the JSON, whatever it holds: a new key needs no change here. Tensors come last, and those of all layers on one
 * line, so that it stays a page. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "cli/commands.h"
#include "cli/record.h"
#include "cli/term.h"

struct args {
    cli_common common;
    const char *model;
};

#define AT(field) CLI_FIELD(struct args, field)

static const cli_option operands[] = {
    {"MODEL", NULL, "a model folder", AT(model), .needed = true},
};

#define KEY_COLUMNS 20
#define FEW 6 /* of what fits on a line */
#define FOLDED 2000 /* tensors at most whose layers are sought: by looking at all for each */

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* "n_labels" as "n labels"; a file keeps its name. */
static void show_key(char *out, size_t size, const char *key)
{
    snprintf(out, size, "%s", key);
    for (bool file = strchr(key, '.') != NULL; *out && !file; out++)
        if (*out == '_') *out = ' ';
}

static void show_bytes(char *out, size_t size, double bytes)
{
    if (bytes < 1024 * 1024) snprintf(out, size, "%.1f KiB", bytes / 1024);
    else snprintf(out, size, "%.1f MiB", bytes / (1024 * 1024));
}

/* A value that is no object and no array. */
static void show_scalar(char *out, size_t size, const char *key, const json_t *value)
{
    cli_count count;
    if (json_is_string(value)) snprintf(out, size, "%s", json_string_value(value));
    else if (json_is_true(value)) snprintf(out, size, "yes");
    else if (json_is_false(value)) snprintf(out, size, "no");
    else if (json_is_number(value) && ends_with(key, "bytes")) show_bytes(out, size, json_number_value(value));
    else if (json_is_integer(value)) snprintf(out, size, "%s", cli_show_count(&count, json_integer_value(value)));
    else if (json_is_real(value)) snprintf(out, size, "%.6g", json_real_value(value));
    else snprintf(out, size, "none");
}

/* A line "  key    text", the text made harmless and cut to the terminal. */
static fv_status print_line(const char *key, const char *text, int depth, fv_err *err)
{
    fv_buf line = {0};
    char name[64];
    fv_status status;
    size_t room = (size_t)cli_width(stdout);
    show_key(name, sizeof name, key);
    FV_TRY(fv_buf_printf(&line, err, "%*s%-*s  ", 2 * depth, "", KEY_COLUMNS - 2 * depth, name));
    size_t used = cli_text_width(line.data, line.len);
    FV_TRY(cli_add_cut(&line, text, strlen(text), room > used + 8 ? room - used : room ? 8 : 0, err));
    printf("%s\n", line.data);
done:
    fv_buf_release(&line);
    return status;
}

static bool is_scalar(const json_t *value) { return !json_is_object(value) && !json_is_array(value); }

/* ---- Arrays ---- */

/* Names and numbers in a row, "77: a, b, c"; a short list needs no count. */
static fv_status add_list(fv_buf *text, const json_t *array, fv_err *err)
{
    fv_status status = FV_OK;
    size_t n = json_array_size(array);
    if (n > FEW) FV_TRY(fv_buf_printf(text, err, "%zu: ", n));
    for (size_t i = 0; i < n; i++) {
        char item[256];
        show_scalar(item, sizeof item, "", json_array_get(array, i));
        FV_TRY(fv_buf_printf(text, err, "%s%s", i ? ", " : "", item));
    }
    if (n == 0) status = fv_buf_puts(text, "none", err);
done:
    return status;
}

/* ---- Tensors of all layers as one ---- */

/* "layer.3.bias" as "layer.", 3, ".bias": false if no part of the name is a number. */
static bool find_layer(const char *name, size_t *begin, size_t *end, long *layer)
{
    for (const char *p = strchr(name, '.'); p; p = strchr(p + 1, '.')) {
        size_t digits = strspn(p + 1, "0123456789");
        if (digits == 0 || digits > 6 || (p[1 + digits] != '.' && p[1 + digits] != '\0')) continue;
        *begin = (size_t)(p + 1 - name);
        *end = *begin + digits;
        *layer = strtol(p + 1, NULL, 10);
        return true;
    }
    return false;
}

/* Whether b is a's next layer: all else is the same. */
static bool follows(const json_t *a, const json_t *b, long step)
{
    size_t a_begin, a_end, b_begin, b_end;
    long a_layer, b_layer;
    const char *key, *x = json_string_value(json_object_get(a, "name")), *y = json_string_value(json_object_get(b, "name"));
    json_t *value;
    if (!x || !y || !find_layer(x, &a_begin, &a_end, &a_layer) || !find_layer(y, &b_begin, &b_end, &b_layer)) return false;
    if (b_layer != a_layer + step || a_begin != b_begin || memcmp(x, y, a_begin) != 0 || strcmp(x + a_end, y + b_end) != 0) return false;
    json_object_foreach((json_t *)(uintptr_t)a, key, value)
        if (strcmp(key, "name") != 0 && !json_equal(value, json_object_get(b, key))) return false;
    return true;
}

/* Which of the array goes on with item i after so many layers; NULL: none. */
static const json_t *find_next(const json_t *array, size_t i, long step)
{
    for (size_t k = 0; k < json_array_size(array); k++)
        if (follows(json_array_get(array, i), json_array_get(array, k), step)) return json_array_get(array, k);
    return NULL;
}

/* The name of what stands for all layers: "layer.0-5.bias"; false if another item does. */
static bool show_name(char *out, size_t size, const json_t *array, size_t i)
{
    const char *name = json_string_value(json_object_get(json_array_get(array, i), "name"));
    size_t begin, end;
    long layer, more = 0;
    snprintf(out, size, "%s", name);
    if (!find_layer(name, &begin, &end, &layer)) return true;
    if (find_next(array, i, -1)) return false;
    while (find_next(array, i, more + 1)) more++;
    if (more) snprintf(out, size, "%.*s%ld-%ld%s", (int)begin, name, layer, layer + more, name + end);
    return true;
}

static fv_status add_cell(cli_table *table, const char *key, const json_t *value, fv_err *err)
{
    fv_buf text = {0};
    char cell[256] = "";
    fv_status status = FV_OK;
    if (json_is_array(value) && (status = add_list(&text, value, err)) == FV_OK) snprintf(cell, sizeof cell, "%s", text.data);
    else if (value && is_scalar(value)) show_scalar(cell, sizeof cell, key, value);
    fv_buf_release(&text);
    if (status == FV_OK) cli_table_add(table, "%s", cell);
    return status;
}

/* Objects with the same keys, under the keys of the first, which gives way on a narrow terminal. */
static fv_status print_objects(const char *key, const json_t *array, fv_err *err)
{
    const char *keys[CLI_COLUMNS], *heads[CLI_COLUMNS], *name;
    char first[64], shown[256];
    json_t *value;
    cli_table table;
    size_t n = 0;
    fv_status status = FV_OK;
    json_object_foreach(json_array_get(array, 0), name, value) if (n < CLI_COLUMNS) heads[n] = keys[n] = name, n++;
    bool named = n > 0 && strcmp(keys[0], "name") == 0 && json_array_size(array) <= FOLDED;
    snprintf(first, sizeof first, "~%s", n ? keys[0] : "");
    heads[0] = first;
    cli_table_init(&table, heads, n);
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *item = json_array_get(array, i);
        bool folded = named && json_is_string(json_object_get(item, "name"));
        if (folded && !show_name(shown, sizeof shown, array, i)) continue;
        if (folded) cli_table_add(&table, "%s", shown);
        for (size_t c = folded; c < n; c++) FV_TRY(add_cell(&table, keys[c], json_object_get(item, keys[c]), err));
    }
    printf("\n%s\n", key);
    status = cli_table_print(&table, err);
done:
    return status;
}

static fv_status print_array(const char *key, const json_t *array, int depth, fv_err *err)
{
    if (json_is_object(json_array_get(array, 0))) return print_objects(key, array, err);
    fv_buf text = {0};
    fv_status status = add_list(&text, array, err);
    if (status == FV_OK) status = print_line(key, text.data, depth, err);
    fv_buf_release(&text);
    return status;
}

/* ---- Objects ---- */

/* {"value", "low", "high"} as "88.1 %  (87.2 to 89.0 %)". False if it is none of these. */
static bool show_metric(char *out, size_t size, const char *key, const json_t *object)
{
    cli_figure figure, interval;
    double value = cli_record_number(object, "value"), low = cli_record_number(object, "low"), high = cli_record_number(object, "high");
    if (isnan(value) || isnan(low) || isnan(high)) return false;
    snprintf(out, size, "%s  (%s)", cli_show_figure(&figure, key, value), cli_show_interval(&interval, key, low, high));
    return true;
}

/* A small object within a section as one line: "path a.tsv, rows 60". A hash is known by its first digits. */
static bool show_small(char *out, size_t size, const json_t *object)
{
    const char *key;
    json_t *value;
    size_t at = 0;
    if (json_object_size(object) > FEW) return false;
    out[0] = 0;
    json_object_foreach((json_t *)object, key, value)
    {
        char text[256], name[64];
        if (!is_scalar(value)) return false;
        show_key(name, sizeof name, key);
        show_scalar(text, sizeof text, key, value);
        if (strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64) text[12] = 0;
        bool plain = strcmp(key, "bytes") == 0; /* says what it is */
        if (at < size) at += (size_t)snprintf(out + at, size - at, "%s%s%s%s", at ? ", " : "", plain ? "" : name, plain ? "" : " ", text);
    }
    return true;
}

static fv_status print_value(const char *key, const json_t *value, int depth, fv_err *err);

static fv_status print_object(const json_t *object, int depth, fv_err *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        fv_status status = print_value(key, value, depth, err);
        if (status) return status;
    }
    return FV_OK;
}

static fv_status print_value(const char *key, const json_t *value, int depth, fv_err *err)
{
    char text[1024], name[64];
    if (json_is_array(value)) return print_array(key, value, depth, err);
    if (is_scalar(value)) show_scalar(text, sizeof text, key, value);
    else if (!show_metric(text, sizeof text, key, value) && !(depth > 0 && show_small(text, sizeof text, value))) {
        show_key(name, sizeof name, key);
        printf("%s%*s%s\n", depth ? "" : "\n", 2 * depth, "", name);
        return print_object(value, depth + 1, err);
    }
    return print_line(key, text, depth, err);
}

static fv_status print_page(const char *text, const char *where, fv_err *err)
{
    json_t *tree = fv_json_parse(text, strlen(text), where, err);
    if (!tree) return err->status;
    json_t *tensors = json_incref(json_object_get(tree, "tensors"));
    json_object_del(tree, "tensors");
    fv_status status = print_object(tree, 0, err);
    if (status == FV_OK && tensors) status = print_value("tensors", tensors, 0, err);
    json_decref(tensors);
    json_decref(tree);
    return status;
}

static fv_status run(void *user, fv_err *err)
{
    struct args *args = user;
    char *text = fv_model_inspect(args->model, err);
    if (!text) return err->status;
    fv_status status = FV_OK;
    if (!args->common.json) status = print_page(text, args->model, err);
    else {
        json_t *tree = fv_json_parse(text, strlen(text), args->model, err);
        status = tree ? cli_json_line(tree, err) : err->status;
    }
    free(text);
    return status;
}

static const char *const examples[] = {
    "fovea inspect models/shop",
    "fovea inspect models/shop --json",
    NULL,
};

const cli_command cli_inspect = {
    .name = "inspect",
    .says = "shows what a model is and how it was trained",
    .text = "Architecture, sizes, tokenizer, labels, the record of its training, and the hashes of its files.",
    .examples = examples,
    .operands = operands, .n_operands = FV_COUNT(operands),
    .args_size = sizeof(struct args),
    .run = run,
};
