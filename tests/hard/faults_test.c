/* Memory and disk that give out: every job is run with its nth allocation, or its nth step of writing,
 * failing. It must end in an error that says what failed, or do without what it did not get and come to
 * the same result; nothing may leak, and what lay on the disk before must still be whole. A training that
 * failed goes on with --resume to the bits of one that nothing disturbed.
 *
 * HARD_SECONDS bounds the time of each job and kind of failure (default 0.5; 0 takes every n). Within it the
 * places are visited in an order that is spread evenly over the whole run wherever it stops. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "train/toy.h"

/* ---- Folders ---------------------------------------------------------------------------------- */

static void copy_file(const char *from, const char *to)
{
    static char bytes[1 << 20];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    assert_true(in && out);
    size_t n = fread(bytes, 1, sizeof bytes, in);
    assert_true(n < sizeof bytes && fwrite(bytes, 1, n, out) == n);
    fclose(in);
    assert_int_equal(fclose(out), 0);
}

static void each_file(const char *folder, const char *to)
{
    char path[FV_PATH_MAX], copy[FV_PATH_MAX];
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir));) {
        assert_int_equal(fv_path_join(path, folder, entry->d_name, NULL), FV_OK);
        if (!fv_file_exists(path)) continue;
        if (!to) assert_int_equal(remove(path), 0);
        else if (fv_path_join(copy, to, entry->d_name, NULL) == FV_OK) copy_file(path, copy);
    }
    closedir(dir);
}

/* `to` holds what `from` holds, and nothing else. */
static void copy_folder(const char *from, const char *to)
{
    assert_int_equal(fv_folder_make(to, NULL), FV_OK);
    each_file(to, NULL);
    each_file(from, to);
}

/* Files that were being written when it failed. */
static int n_leftovers(const char *folder)
{
    int n = 0;
    DIR *dir = opendir(folder);
    for (const struct dirent *entry; dir && (entry = readdir(dir));) n += strstr(entry->d_name, ".tmp") || strcmp(entry->d_name, ".new") == 0;
    if (dir) closedir(dir);
    return n;
}

/* ---- What the jobs work on -------------------------------------------------------------------- */

/* A finished model of another shape, which lies in the folder of a training that fails; a training that
 * stopped half-way; and where the jobs write. */
static char finished[FV_PATH_MAX], halfway[FV_PATH_MAX], work[FV_PATH_MAX], corpus[FV_PATH_MAX], vocabulary[FV_PATH_MAX];
static char finished_hash[129], right_hash[129];
static fv_train_options training, from_training, multi_training, mlm_training, pair_training;
static const fv_train_options *training_now; /* of the job at hand */

static int stop_after_two(void *user, const fv_event *e)
{
    (void)user;
    return e->kind == FV_EVENT_STEP && e->step == 2;
}

/* The same body for a label of the text and a tag of each word, and for words that are hidden. */
static void describe_others(void)
{
    static char list[8192];
    const char *labelled = toy_classes("labelled.tsv", 0, 12);
    const char *tagged = toy_text("tagged.tsv", "text\tlabel\nwe found zinc\tO O B-METAL\nshe drew a sloe\tO O O B-BERRY\nzinc today\tB-METAL O\n");
    snprintf(list, sizeof list, "[{\"name\": \"topic\", \"train\": \"%s\", \"valid\": \"%s\"}, {\"name\": \"names\", \"task\": \"tag\", \"train\": \"%s\", \"valid\": \"%s\"}]", labelled, labelled, tagged, tagged);
    toy_options(&multi_training, toy_text("tasks.json", list), NULL, "work");
    multi_training.task = FV_TASK_MULTI;
    multi_training.width = 16;
    multi_training.ffn = 20;
    multi_training.vocab = 300;
    multi_training.steps = 4;
    multi_training.checkpoint_seconds = 0;
    toy_options(&mlm_training, labelled, labelled, "work");
    mlm_training.task = FV_TASK_MLM;
    mlm_training.width = 16;
    mlm_training.ffn = 20;
    mlm_training.vocab = 300;
    mlm_training.steps = 3;
    mlm_training.checkpoint_seconds = 0;
}

/* Texts and their translations, cut anew in each epoch. */
static void describe_pairs(void)
{
    const char *pairs = toy_text("translations.tsv", "src\ttgt\none bird\tein Vogel\ntwo birds\tzwei Vögel\none stone\tein Stein\ntwo stones\tzwei Steine\n");
    toy_options(&pair_training, pairs, pairs, "work");
    pair_training.task = FV_TASK_TRANSLATE;
    pair_training.columns.text = "src";
    pair_training.columns.label = "tgt";
    pair_training.width = 16;
    pair_training.ffn = 20;
    pair_training.vocab = 60;
    pair_training.sample_pieces = 0.1;
    pair_training.average = 2;
    pair_training.steps = 3; /* an epoch each */
    pair_training.checkpoint_seconds = 0;
}

static void describe_trainings(void)
{
    toy_options(&training, toy_pairs("pairs.tsv", 0, 20), toy_pairs("pairs-valid.tsv", 20, 28), "work");
    training.test = training.valid;
    training.columns.text2 = "text2";
    training.width = 16;
    training.ffn = 20;
    training.vocab = 300;
    training.accumulate = 2;
    training.wide = true;
    training.steps = 3;
    training.checkpoint_seconds = 0;
    toy_options(&from_training, toy_classes("more.tsv", 0, 12), toy_classes("more-valid.tsv", 12, 18), "work");
    from_training.from = finished;
    from_training.layers = from_training.width = from_training.heads = from_training.ffn = from_training.vocab = from_training.max_len = 0;
    from_training.steps = 2;
    describe_others();
    describe_pairs();
}

static void make_folders(void)
{
    fv_train_options o;
    toy_options(&o, toy_classes("train.tsv", 0, 36), toy_classes("valid.tsv", 36, 54), "finished");
    o.steps = 2;
    o.wide = true;
    toy_train(&o);
    snprintf(finished, sizeof finished, "%s", o.out);
    snprintf(finished_hash, sizeof finished_hash, "%s", toy_hash(finished));
    describe_trainings();
    snprintf(work, sizeof work, "%s", training.out);
    snprintf(corpus, sizeof corpus, "%s", training.train);
    assert_int_equal(fv_path_join(vocabulary, scratch_folder(), "tokenizer.json", NULL), FV_OK);
    fv_train_options part = training;
    part.out = scratch_path("halfway");
    part.on_event = stop_after_two;
    assert_int_equal(fv_train(&part, NULL), FV_E_STOPPED);
    snprintf(halfway, sizeof halfway, "%s", part.out);
}

/* In memory where that can be: thousands of runs sync their files, and a disk would take hours for it. */
static int set_up(void **state)
{
    if (access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", 1);
    if (scratch_setup(state) != 0) return 1;
    make_folders();
    return 0;
}

/* ---- Jobs: all that they take they give back, whether they come through or not ----------------- */

static fv_status run_training(fv_err *err) { return fv_train(training_now, err); }

static fv_status run_resumed(fv_err *err)
{
    fv_train_options o = *training_now;
    o.resume = true;
    return fv_train(&o, err);
}

static void with_old_model(void) { copy_folder(finished, work); }

static void with_checkpoint(void)
{
    copy_folder(finished, work);
    each_file(halfway, work);
}

/* A session on the finished model, and what a job does with it. */
static fv_status in_session(fv_status (*act)(fv_session *session, fv_err *err), fv_err *err)
{
    fv_model *model = fv_model_open(finished, err);
    fv_session *session = model ? fv_session_new(model, NULL, err) : NULL;
    fv_status status = session ? act(session, err) : err->status;
    fv_session_free(session);
    fv_model_close(model);
    return status;
}

static const fv_text texts[] = {{.text = "we found zinc again"}, {.text = "look at 长江", .text2 = "today"}, {.text = "she drew a sloe"}};

/* What the job gave undisturbed, in words; when it comes through again it must give the same. */
static char *right_result;

static fv_status same_result(const char *text, fv_err *err)
{
    if (!right_result) right_result = strdup(text);
    return strcmp(text, right_result) == 0 ? FV_OK : FV_FAIL(err, FV_E_FORMAT, "the result is %s, it was %s", text, right_result);
}

static fv_status classify(fv_session *session, fv_err *err)
{
    fv_label best[6];
    float scores[9];
    fv_status status = fv_classify(session, texts, 3, 2, best, err);
    if (status == FV_OK) status = fv_classify_scores(session, texts, 3, scores, err);
    if (status != FV_OK) return status;
    char text[64];
    snprintf(text, sizeof text, "%s %.9g %.9g", best[2].name, (double)best[2].score, (double)scores[4]);
    return same_result(text, err);
}

static fv_status explain(fv_session *session, fv_err *err)
{
    const fv_word *words;
    size_t n;
    fv_status status = fv_attention_words(session, &texts[1], &words, &n, err);
    if (status != FV_OK) return status;
    double first = (double)words[0].weight;
    fv_explain_options o;
    fv_explain_options_init(&o);
    o.orders = 3, o.steps = 4, o.maps = true;
    fv_explanation *e = fv_explain(session, &texts[1], &o, err);
    if (!e) return err->status;
    char text[128];
    snprintf(text, sizeof text, "%zu %.9g %.9g %.9g %.9g", n, first, e->random.sufficiency, e->attributions[0].measured.sufficiency, (double)e->maps[3]);
    fv_explanation_free(e);
    return same_result(text, err);
}

static fv_status evaluate(fv_session *session, fv_err *err)
{
    fv_report *report = fv_eval(session, from_training.train, NULL, err);
    if (!report) return err->status;
    char text[64];
    snprintf(text, sizeof text, "%zu %.9g %.9g", report->n_confusions, report->metrics[0].value, report->metrics[0].low);
    fv_report_free(report);
    return same_result(text, err);
}

static fv_status run_classify(fv_err *err) { return in_session(classify, err); }
static fv_status run_explain(fv_err *err) { return in_session(explain, err); }
static fv_status run_eval(fv_err *err) { return in_session(evaluate, err); }

static fv_status run_inspect(fv_err *err)
{
    char *text = fv_model_inspect(finished, err);
    if (!text) return err->status;
    fv_status status = same_result(text, err);
    free(text);
    return status;
}

typedef struct rows { fv_reader *reader; } rows;

static int next_text(void *user, const char **text, size_t *len, fv_err *err)
{
    fv_row row;
    int more = fv_reader_next(((rows *)user)->reader, &row, err);
    if (more == 1) *text = row.text, *len = row.text_len;
    return more;
}

static fv_status use_tokenizer(const char *path, fv_err *err)
{
    char ids[256] = "";
    fv_encoding e = {0};
    fv_tokenizer *t = fv_tokenizer_open(path, err);
    fv_status status = t ? fv_tokenizer_encode(t, texts[0].text, strlen(texts[0].text), NULL, 0, true, &e, err) : err->status;
    for (size_t i = 0; i < e.n && status == FV_OK; i++) snprintf(ids + strlen(ids), sizeof ids - strlen(ids), "%d ", (int)e.ids[i]);
    if (status == FV_OK) status = same_result(ids, err);
    fv_encoding_release(&e);
    fv_tokenizer_close(t);
    return status;
}

static fv_status learn_tokenizer(fv_tokenizer_kind kind, fv_err *err)
{
    fv_columns columns;
    fv_tokenizer_options o;
    fv_columns_init(&columns);
    fv_tokenizer_options_init(&o);
    o.kind = kind;
    o.vocab = 300;
    rows from = {fv_reader_open(corpus, &columns, err)};
    fv_tokenizer *t = from.reader ? fv_tokenizer_train(&o, next_text, &from, err) : NULL;
    fv_status status = t ? fv_tokenizer_save(t, vocabulary, err) : err->status;
    fv_tokenizer_close(t);
    fv_reader_close(from.reader);
    return status == FV_OK ? use_tokenizer(vocabulary, err) : status;
}

static fv_status run_bpe(fv_err *err) { return learn_tokenizer(FV_TOKENIZER_BPE, err); }
static fv_status run_wordpiece(fv_err *err) { return learn_tokenizer(FV_TOKENIZER_WORDPIECE, err); }
static fv_status run_unigram(fv_err *err) { return learn_tokenizer(FV_TOKENIZER_UNIGRAM, err); }

/* ---- What must hold afterwards ---------------------------------------------------------------- */

static const char *failing; /* "allocation 17", for messages */

/* Old or new, the model that lies there is whole. */
static void folder_is_whole(bool failed)
{
    fv_err err = {0};
    if (n_leftovers(work) != 0) fail_msg("%s: unfinished files are left", failing);
    fv_model *model = fv_model_open(work, &err);
    if (!model) fail_msg("%s: the folder does not open: %s", failing, err.text);
    fv_model_close(model);
    const char *hash = toy_hash(work);
    if (strcmp(hash, right_hash) != 0 && !(failed && strcmp(hash, finished_hash) == 0)) fail_msg("%s: a model of other bits lies there", failing);
}

static void training_is_safe(bool failed)
{
    fv_err err = {0};
    folder_is_whole(failed);
    if (!failed) return;
    if (run_resumed(&err) != FV_OK) fail_msg("%s: --resume: %s", failing, err.text);
    folder_is_whole(false);
}

static void vocabulary_is_whole(bool failed)
{
    fv_err err = {0};
    (void)failed;
    if (use_tokenizer(vocabulary, &err) != FV_OK) fail_msg("%s: the vocabulary: %s", failing, err.text);
    if (n_leftovers(scratch_folder()) != 0) fail_msg("%s: unfinished files are left", failing);
}

/* ---- The sweep -------------------------------------------------------------------------------- */

typedef struct job {
    const char *name;
    void (*prepare)(void);      /* before every run: it writes into `work`; NULL: it does not */
    fv_status (*run)(fv_err *err);
    void (*check)(bool failed); /* after every run; NULL: nothing was to be written */
    const fv_train_options *training; /* what training_now is to be */
} job;

typedef struct kind {
    const char *what;
    fv_status status;
    const char *says; /* part of every message */
    void (*fail_after)(int64_t n);
    int64_t (*count)(void);
} kind;

static const kind kinds[] = {
    {"allocation", FV_E_MEMORY, "memory", fv_alloc_fail_after, fv_alloc_count},
    {"write", FV_E_IO, "No space left", fv_write_fail_after, fv_write_count},
};

static double seconds_allowed(void)
{
    const char *said = getenv("HARD_SECONDS");
    return said ? atof(said) : 0.5;
}

static int64_t places_in(const job *j, const kind *k)
{
    fv_err err = {0};
    if (j->prepare) j->prepare();
    int64_t before = k->count();
    if (j->run(&err) != FV_OK) fail_msg("%s fails undisturbed: %s", j->name, err.text);
    return k->count() - before;
}

/* True if the job failed. */
static bool fail_at(const job *j, const kind *k, int64_t n)
{
    char name[64];
    fv_err err = {0};
    snprintf(name, sizeof name, "%s: %s %lld", j->name, k->what, (long long)n);
    failing = name;
    if (j->prepare) j->prepare();
    int64_t live = fv_alloc_live();
    k->fail_after(n);
    fv_status status = j->run(&err);
    k->fail_after(-1);
    if (fv_alloc_live() != live) fail_msg("%s: %lld blocks leaked (%s)", name, (long long)(fv_alloc_live() - live), err.text);
    if (status != FV_OK && (status != k->status || !strstr(err.text, k->says))) fail_msg("%s: status %d, \"%s\"", name, status, err.text);
    if (j->check) j->check(status != FV_OK);
    return status != FV_OK;
}

/* Steps that visit every one of n places once, and are spread evenly wherever they stop: a number near the
 * golden section of n that shares no divisor with it. */
static int64_t stride_of(int64_t n)
{
    int64_t stride = (int64_t)(0.618 * (double)n) + 1;
    for (;; stride++) {
        int64_t a = n, b = stride;
        while (b) { int64_t rest = a % b; a = b; b = rest; }
        if (a == 1) return stride;
    }
}

static void sweep(const job *j, const kind *k)
{
    double limit = seconds_allowed(), began = fv_now();
    int64_t places = places_in(j, k), at = places - 1, tried = 0, survived = 0;
    if (places == 0) return; /* it writes nothing */
    int64_t stride = stride_of(places);
    for (; tried < places && (limit <= 0 || tried < 3 || fv_now() - began < limit); tried++) {
        survived += !fail_at(j, k, at);
        at = (at + stride) % places;
    }
    printf("note: %s: %lld of %lld %ss failed, %lld of these were done without\n", j->name, (long long)tried, (long long)places, k->what, (long long)survived);
    if (survived > tried / 10 + 3) fail_msg("%s: %lld of %lld failing %ss went unnoticed", j->name, (long long)survived, (long long)tried, k->what);
}

static const job jobs[] = {
    {"train classify", with_old_model, run_training, training_is_safe, &training},
    {"train classify --resume", with_checkpoint, run_resumed, training_is_safe, &training},
    {"train classify --from", with_old_model, run_training, training_is_safe, &from_training},
    {"train multi", with_old_model, run_training, training_is_safe, &multi_training},
    {"train mlm", with_old_model, run_training, training_is_safe, &mlm_training},
    {"train translate", with_old_model, run_training, training_is_safe, &pair_training},
    {"eval", NULL, run_eval, NULL, NULL},
    {"classify", NULL, run_classify, NULL, NULL},
    {"explain", NULL, run_explain, NULL, NULL},
    {"inspect", NULL, run_inspect, NULL, NULL},
    {"tokenizer train, bpe", NULL, run_bpe, vocabulary_is_whole, NULL},
    {"tokenizer train, wordpiece", NULL, run_wordpiece, vocabulary_is_whole, NULL},
    {"tokenizer train, unigram", NULL, run_unigram, vocabulary_is_whole, NULL},
};

/* First undisturbed: what is made once in a process is made, and what is right is known. */
static void sweep_job(void **state)
{
    const job *j = *state;
    fv_err err = {0};
    free(right_result);
    right_result = NULL;
    right_hash[0] = 0;
    training_now = j->training;
    if (j->prepare) j->prepare();
    if (j->run(&err) != FV_OK) fail_msg("%s: %s", j->name, err.text);
    if (j->prepare) snprintf(right_hash, sizeof right_hash, "%s", toy_hash(work));
    for (size_t i = 0; i < FV_COUNT(kinds); i++) sweep(j, &kinds[i]);
}

/* One argument: only the tests that it names, * and ? allowed. */
int main(int argc, char **argv)
{
    struct CMUnitTest tests[FV_COUNT(jobs)];
    for (size_t i = 0; i < FV_COUNT(jobs); i++)
        tests[i] = (struct CMUnitTest){.name = jobs[i].name, .test_func = sweep_job, .initial_state = (void *)(uintptr_t)&jobs[i]};
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, set_up, scratch_teardown);
}
