/* Small tasks that a small model learns in a second. What a row says is a function of its number, so
 * that parts of the list are files that do not overlap. */
#include "train/toy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"

static const char *const words[3][6] = {
    {"cherry", "currant", "raspberry", "elder", "mulberry", "sloe"},
    {"copper", "silver", "zinc", "iron", "nickel", "tin"},
    {"danube", "长江", "loire", "oder", "volga", "tagus"},
};
static const char *const labels[] = {"berry", "metal", "river"};
static const char *const fillers[] = {"we found", "there is", "they spoke of", "nobody saw", "she drew", "look at", "they sold", "he likes"};
static const char *const endings[] = {"today", "again", "in the morning", "near home", "with care", "for a while", "at last"};

static const char *keep_path(const char *name)
{
    static char paths[16][FV_PATH_MAX];
    static int next;
    char *path = paths[next++ % 16];
    fv_err err = {0};
    assert_int_equal(fv_path_join(path, scratch_folder(), name, &err), FV_OK);
    return path;
}

static FILE *begin(const char **path, const char *name, const char *header)
{
    *path = keep_path(name);
    FILE *file = fopen(*path, "w"); /* not fv_file_write, whose syncing takes its time */
    assert_non_null(file);
    fprintf(file, "%s\n", header);
    return file;
}

const char *toy_text(const char *name, const char *text)
{
    const char *path = keep_path(name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    return path;
}

static const char *filler(int i) { return fillers[(i / 18 + i) % 8]; }
static const char *ending(int i) { return endings[(i / 7 + i) % 7]; }
static const char *word(int class, int i) { return words[class][i % 6]; }

const char *toy_classes(const char *name, int first, int last)
{
    const char *path;
    FILE *file = begin(&path, name, "text\tlabel");
    for (int i = first; i < last; i++) fprintf(file, "%s %s %s\t%s\n", filler(i), word(i % 3, i / 3), ending(i), labels[i % 3]);
    assert_int_equal(fclose(file), 0);
    return path;
}

const char *toy_pairs(const char *name, int first, int last)
{
    const char *path;
    FILE *file = begin(&path, name, "text\ttext2\tlabel");
    for (int i = first; i < last; i++) {
        int a = i % 2, b = i / 2 % 2;
        fprintf(file, "%s\t%s %s\t%s\n", word(a, i / 4 % 2), word(b, i / 8 % 2), ending(i), a == b ? "same" : "other");
    }
    assert_int_equal(fclose(file), 0);
    return path;
}

const char *toy_sets(const char *name, int first, int last)
{
    const char *path;
    FILE *file = begin(&path, name, "text\tlabel");
    for (int i = first; i < last; i++) {
        int set = i % 7 + 1;
        fputs(filler(i), file);
        for (int c = 0; c < 3; c++)
            if (set >> c & 1) fprintf(file, " %s", word(c, i / 7 % 2));
        fputs("\t", file);
        for (int c = 0, n = 0; c < 3; c++)
            if (set >> c & 1) fprintf(file, "%s%s", n++ ? "," : "", labels[c]);
        fputs("\n", file);
    }
    assert_int_equal(fclose(file), 0);
    return path;
}

const char *toy_numbers(const char *name, int first, int last)
{
    const char *path;
    FILE *file = begin(&path, name, "text\tlabel");
    for (int i = first; i < last; i++) fprintf(file, "%s %s %s\t%g\n", word(i % 3, 0), word(i / 3 % 3, 1), ending(i), 0.5 * (i % 3) + (i / 3 % 3) - 1.0);
    assert_int_equal(fclose(file), 0);
    return path;
}

const char *toy_translations(const char *name, int first, int last)
{
    static const char *const numbers[] = {"one", "two", "three", "four", "five", "six"}, *const zahlen[] = {"eins", "zwei", "drei", "vier", "fünf", "sechs"};
    static const char *const things[] = {"houses", "birds", "rivers", "stones"}, *const dinge[] = {"häuser", "vögel", "flüsse", "steine"};
    const char *path;
    FILE *file = begin(&path, name, "src\ttgt");
    for (int i = first; i < last; i++) {
        int a = i % 6, b = i / 6 % 4, c = i / 5 % 6, d = i / 7 % 4;
        fprintf(file, "%s %s and %s %s\t%s %s und %s %s\n", numbers[a], things[b], numbers[c], things[d], zahlen[c], dinge[d], zahlen[a], dinge[b]);
    }
    assert_int_equal(fclose(file), 0);
    return path;
}

static void put_words(FILE *file, const char *text)
{
    for (size_t n; *text; text += n + (text[n] == ' ')) {
        n = strcspn(text, " ");
        fprintf(file, "%.*s\tO\n", (int)n, text);
    }
}

const char *toy_tags(const char *name, int first, int last)
{
    const char *path;
    FILE *file = begin(&path, name, "# words and what they are");
    for (int i = first; i < last; i++) {
        const char *label = labels[i % 3];
        put_words(file, filler(i));
        if (i / 18 % 2) fprintf(file, "old\tB-%s\n%s\tI-%s\n", label, word(i % 3, i / 3), label);
        else fprintf(file, "%s\tB-%s\n", word(i % 3, i / 3), label);
        if (i / 5 % 2) put_words(file, "old and");
        put_words(file, ending(i));
        putc('\n', file);
    }
    assert_int_equal(fclose(file), 0);
    return path;
}

void toy_options(fv_train_options *o, const char *train, const char *valid, const char *out)
{
    fv_train_options_init(o);
    o->train = train;
    o->valid = valid;
    o->out = keep_path(out);
    o->layers = 1;
    o->width = 32;
    o->heads = 2;
    o->ffn = 48;
    o->max_len = 24;
    o->vocab = 400;
    o->steps = 100;
    o->lr = 4e-3;
    o->batch_tokens = 256;
    o->checkpoint_seconds = 1e6;
    o->wide = false; /* else it learns these tasks alone */
}

void toy_translator_options(fv_train_options *o, const char *out)
{
    toy_options(o, toy_translations("toy-train.pairs.tsv", 0, 240), toy_translations("toy-valid.pairs.tsv", 240, 270), out);
    o->task = FV_TASK_TRANSLATE;
    o->columns.text = "src";
    o->columns.label = "tgt";
    o->vocab = 80;
    o->dropout = 0;
    o->label_smoothing = 0;
    o->lr = 0.01;
    o->batch_tokens = 300;
    o->steps = 250;
}

void toy_train(const fv_train_options *o)
{
    fv_err err = {0};
    if (fv_train(o, &err) != FV_OK) fail_msg("training failed: %s", err.text);
}

static int stop_at(void *user, const fv_event *e) { return e->kind == FV_EVENT_STEP && e->step == *(const int64_t *)user; }

void toy_stops_and_goes_on(const fv_train_options *o, int64_t every)
{
    fv_err err = {0};
    toy_train(o);
    const char *whole = toy_hash(o->out);
    for (int64_t stop = 1; stop < o->steps; stop += every) {
        fv_train_options part = *o;
        part.out = keep_path("parts");
        part.on_event = stop_at;
        part.on_event_user = &stop;
        assert_int_equal(fv_set_threads(1, &err), FV_OK);
        assert_int_equal(fv_train(&part, &err), FV_E_STOPPED);
        assert_int_equal(fv_set_threads(2, &err), FV_OK);
        part.on_event = NULL;
        part.resume = true;
        toy_train(&part);
        assert_string_equal(toy_hash(part.out), whole);
    }
}

typedef struct watched { int64_t allocations, steps, allocating; } watched;

/* Validations and their files are free to: counting starts anew after them. */
static int watch(void *user, const fv_event *e)
{
    watched *w = user;
    if (e->kind != FV_EVENT_STEP) return w->allocations = 0, 0;
    if (w->allocations && w->steps >= 2 && fv_alloc_count() != w->allocations) w->allocating++;
    w->allocations = fv_alloc_count();
    w->steps++;
    return 0;
}

void toy_allocates_nothing(const fv_train_options *o)
{
    watched w = {0};
    fv_train_options watched_one = *o;
    watched_one.on_event = watch;
    watched_one.on_event_user = &w;
    toy_train(&watched_one);
    assert_int_equal(w.steps, o->steps);
    assert_int_equal(w.allocating, 0);
}

void toy_fails_without_memory(const fv_train_options *o, int times, int most)
{
    char checkpoint[FV_PATH_MAX];
    int64_t before = fv_alloc_count();
    toy_train(o);
    int64_t total = fv_alloc_count() - before;
    fv_rng rng = fv_rng_make(1, "memory");
    int passed = 0;
    snprintf(checkpoint, sizeof checkpoint, "%s/checkpoint.safetensors", o->out);
    for (int i = 0; i < times; i++) {
        int64_t live = fv_alloc_live();
        fv_err err = {0};
        fv_alloc_fail_after((int64_t)fv_rng_below(&rng, (uint64_t)total));
        fv_status status = fv_train(o, &err);
        fv_alloc_fail_after(-1);
        passed += status == FV_OK;
        if (status != FV_OK && status != FV_E_MEMORY) fail_msg("status %d: %s", status, err.text);
        assert_int_equal(fv_alloc_live(), live);
        assert_int_equal(fv_file_remove(checkpoint, NULL), FV_OK);
    }
    assert_true(passed <= most);
}

const char *toy_hash(const char *folder)
{
    static char hex[8][129];
    static int next;
    char path[FV_PATH_MAX], *to = hex[next++ % 8];
    fv_err err = {0};
    assert_int_equal(fv_path_join(path, folder, "model.safetensors", &err), FV_OK);
    if (fv_sha256_file(path, to, &err) != FV_OK) fail_msg("%s", err.text);
    assert_int_equal(fv_path_join(path, folder, "wide.safetensors", &err), FV_OK);
    if (fv_file_exists(path) && fv_sha256_file(path, to + 64, &err) != FV_OK) fail_msg("%s", err.text);
    return to;
}

const char *toy_model(void)
{
    static char folder[FV_PATH_MAX];
    if (*folder) return folder;
    fv_train_options o;
    toy_options(&o, toy_classes("toy-train.tsv", 0, 180), toy_classes("toy-valid.tsv", 180, 270), "toy-model");
    o.steps = 150;
    toy_train(&o);
    snprintf(folder, sizeof folder, "%s", o.out);
    return folder;
}

const char *toy_tag_model(void)
{
    static char folder[FV_PATH_MAX];
    if (*folder) return folder;
    fv_train_options o;
    toy_options(&o, toy_tags("toy-train.conll", 0, 180), toy_tags("toy-valid.conll", 180, 270), "toy-tags");
    o.task = FV_TASK_TAG;
    o.steps = 150;
    toy_train(&o);
    snprintf(folder, sizeof folder, "%s", o.out);
    return folder;
}

fv_model *toy_open(const char *folder)
{
    fv_err err = {0};
    fv_model *model = fv_model_open(folder, &err);
    if (!model) fail_msg("%s", err.text);
    return model;
}

const char *toy_read(const char *folder, const char *name)
{
    static char text[1 << 16];
    char path[FV_PATH_MAX];
    fv_err err = {0};
    assert_int_equal(fv_path_join(path, folder, name, &err), FV_OK);
    FILE *file = fopen(path, "r");
    if (!file) fail_msg("%s is missing", path);
    size_t n = fread(text, 1, sizeof text - 1, file);
    text[n] = 0;
    fclose(file);
    return text;
}

double toy_metric(const fv_report *report, const char *name)
{
    for (size_t i = 0; i < report->n_metrics; i++)
        if (strcmp(report->metrics[i].name, name) == 0) return report->metrics[i].value;
    fail_msg("no metric %s", name);
    return 0;
}

void toy_contains_at(const char *text, const char *part, const char *file, int line)
{
    if (strstr(text, part)) return;
    print_error("\"%s\"\ndoes not contain \"%s\"\n", text, part);
    _fail(file, line);
}
