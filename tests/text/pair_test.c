/* A translator's tokenizers: the ids that MarianTokenizer of Transformers gives for the folder that is written here
 * (tests/golden/pieces/record.py says how they were recorded), and what folders are refused.
 *
 * Called with the name of a folder, it leaves there what it trains, for that script. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "formats/scratch.h"
#include "text/made.h"
#include "text/pair.h"

#define CORPUS "tests/golden/tokenizer/corpus.txt"
#define RECORDED "tests/golden/pieces/pair.jsonl"

/* Every other line of the corpus, from the first or the second on. */
typedef struct half {
    char *at;
    bool odd;
} half;

static int next_line(void *user, const char **text, size_t *len, fv_err *err)
{
    half *h = user;
    char *end;
    (void)err;
    while ((end = strchr(h->at, '\n'))) {
        *text = h->at;
        *len = (size_t)(end - h->at);
        h->at = end + 1;
        h->odd = !h->odd;
        if (h->odd) return 1;
    }
    return 0;
}

static fv_pair_tokenizer *train(fv_pair_options o, fv_err *err)
{
    fv_buf corpus = {0};
    assert_int_equal(fv_file_read(CORPUS, 1 << 20, &corpus, NULL), FV_OK);
    half source = {.at = corpus.data}, target = {.at = corpus.data, .odd = true};
    fv_pair_tokenizer *t = fv_pair_tokenizer_train(&o, next_line, &source, next_line, &target, err);
    fv_buf_release(&corpus);
    return t;
}

static fv_pair_tokenizer *train_well(fv_pair_options o)
{
    fv_err err = {0};
    fv_pair_tokenizer *t = train(o, &err);
    if (!t) fail_msg("%s", err.text);
    return t;
}

/* What was recorded: vocabularies of their own, with NFKC. */
static const fv_pair_options recorded = {.vocab = 300, .normalize = FV_NORMALIZE_NFKC};

static void leave(const fv_pair_tokenizer *t, const char *folder)
{
    char path[FV_PATH_MAX];
    assert_int_equal(fv_folder_make(folder, NULL), FV_OK);
    for (int i = 0; fv_pair_tokenizer_file(t, i); i++) {
        assert_int_equal(fv_path_join(path, folder, fv_pair_tokenizer_file(t, i), NULL), FV_OK);
        assert_int_equal(fv_pair_tokenizer_save(t, i, path, NULL), FV_OK);
    }
}

static fv_pair_tokenizer *open_well(const char *folder)
{
    fv_err err = {0};
    fv_pair_tokenizer *t = fv_pair_tokenizer_open(folder, &err);
    if (!t) fail_msg("%s", err.text);
    return t;
}

static void encode(const fv_pair_tokenizer *t, fv_side side, const char *text, fv_encoding *e)
{
    fv_err err = {0};
    if (fv_pair_encode(t, side, text, strlen(text), 0, NULL, e, &err) != FV_OK) fail_msg("%s", err.text);
}

/* ---- Against Transformers ----------------------------------------------------------------- */

static void assert_ids(const fv_encoding *e, const json_t *ids, const char *text)
{
    if (e->n != json_array_size(ids)) fail_msg("%zu ids instead of %zu for: %s", e->n, json_array_size(ids), text);
    for (size_t i = 0; i < e->n; i++)
        if (e->ids[i] != json_integer_value(json_array_get(ids, i))) fail_msg("id %zu is %d for: %s", i, (int)e->ids[i], text);
}

static void assert_line(const fv_pair_tokenizer *t, const json_t *line, fv_encoding *e)
{
    const char *text = json_string_value(json_object_get(line, "text"));
    char *back;
    size_t len;
    encode(t, FV_SIDE_SOURCE, text, e);
    assert_ids(e, json_object_get(line, "source"), text);
    encode(t, FV_SIDE_TARGET, text, e);
    assert_ids(e, json_object_get(line, "target"), text);
    assert_int_equal(fv_pair_decode(t, FV_SIDE_TARGET, e->ids, e->n, &back, &len, NULL, NULL, NULL), FV_OK);
    assert_string_equal(back, json_string_value(json_object_get(line, "decoded")));
    free(back);
}

static void assert_recorded(const fv_pair_tokenizer *t)
{
    fv_buf file = {0};
    fv_encoding e = {0};
    size_t n = 0;
    assert_int_equal(fv_file_read(RECORDED, 1 << 20, &file, NULL), FV_OK);
    for (char *line = file.data, *end; (end = strchr(line, '\n')); line = end + 1, n++) {
        json_t *tree = fv_json_parse(line, (size_t)(end - line), RECORDED, NULL);
        assert_non_null(tree);
        assert_line(t, tree, &e);
        json_decref(tree);
    }
    assert_int_equal(n, 21);
    fv_encoding_release(&e);
    fv_buf_release(&file);
}

static void ids_are_those_of_transformers(void **state)
{
    (void)state;
    fv_pair_tokenizer *t = train_well(recorded);
    assert_recorded(t);
    leave(t, scratch_path("pair"));
    fv_pair_tokenizer *again = open_well(scratch_path("pair"));
    assert_recorded(again);
    fv_pair_tokenizer_close(t);
    fv_pair_tokenizer_close(again);
}

/* ---- Vocabularies ------------------------------------------------------------------------- */

static void a_vocabulary_is_numbered_as_marian_does(void **state)
{
    (void)state;
    fv_pair_tokenizer *t = train_well((fv_pair_options){.vocab = 200, .shared = true});
    int n = fv_pair_size(t, FV_SIDE_SOURCE);
    assert_true(n <= 200);
    assert_int_equal(n, fv_pair_size(t, FV_SIDE_TARGET));
    assert_int_equal(fv_pair_eos(t), 0);
    assert_int_equal(fv_pair_unk(t), 1);
    assert_int_equal(fv_pair_pad(t), n - 1);
    assert_string_equal(fv_pair_token(t, FV_SIDE_SOURCE, 0), "</s>");
    assert_ptr_equal(fv_pair_token(t, FV_SIDE_SOURCE, 5), fv_pair_token(t, FV_SIDE_TARGET, 5));
    assert_null(fv_pair_token(t, FV_SIDE_TARGET, n));
    assert_null(fv_pair_token(t, FV_SIDE_TARGET, -1));
    assert_string_equal(fv_pair_tokenizer_file(t, 0), "source.spm");
    assert_string_equal(fv_pair_tokenizer_file(t, 2), "vocab.json");
    assert_string_equal(fv_pair_tokenizer_file(t, 3), "tokenizer_config.json");
    assert_null(fv_pair_tokenizer_file(t, 4));
    fv_pair_tokenizer_close(t);
    t = train_well((fv_pair_options){.vocab = 200});
    assert_string_equal(fv_pair_tokenizer_file(t, 3), "target_vocab.json");
    fv_pair_tokenizer_close(t);
}

static void a_vocabulary_too_small_is_refused(void **state)
{
    fv_err err = {0};
    (void)state;
    assert_null(train((fv_pair_options){.vocab = 2, .shared = true}, &err));
    assert_int_equal(err.status, FV_E_ARGUMENT);
}

/* ---- Texts -------------------------------------------------------------------------------- */

static void offsets_are_of_the_text(void **state)
{
    static const char text[] = "Where is \xef\xbd\x8d\xef\xbd\x99 order?";
    fv_encoding e = {0};
    uint32_t end = 0;
    (void)state;
    fv_pair_tokenizer *t = train_well(recorded);
    encode(t, FV_SIDE_SOURCE, text, &e);
    for (size_t i = 0; i < e.n; i++) {
        assert_true(e.begins[i] <= e.ends[i] && e.begins[i] >= end);
        end = e.ends[i];
    }
    assert_int_equal(end, strlen(text));
    assert_int_equal(e.ids[e.n - 1], fv_pair_eos(t));
    assert_int_equal(e.begins[e.n - 1], end);
    fv_encoding_release(&e);
    fv_pair_tokenizer_close(t);
}

static void decoding_tells_what_each_id_made(void **state)
{
    uint32_t begins[64], ends[64];
    fv_encoding e = {0};
    char *text;
    size_t len, at = 0;
    (void)state;
    fv_pair_tokenizer *t = train_well(recorded);
    encode(t, FV_SIDE_TARGET, "The kettle is broken.", &e);
    assert_true(e.n < FV_COUNT(begins));
    assert_int_equal(fv_pair_decode(t, FV_SIDE_TARGET, e.ids, e.n, &text, &len, begins, ends, NULL), FV_OK);
    assert_string_equal(text, "The kettle is broken.");
    for (size_t i = 0; i < e.n; i++) {
        assert_int_equal(begins[i], at);
        at = ends[i];
    }
    assert_int_equal(at, len);
    assert_int_equal(begins[e.n - 1], len); /* </s> made nothing */
    free(text);
    fv_encoding_release(&e);
    fv_pair_tokenizer_close(t);
}

static void an_id_outside_is_refused(void **state)
{
    fv_err err = {0};
    char *text;
    size_t len;
    (void)state;
    fv_pair_tokenizer *t = train_well(recorded);
    int32_t id = fv_pair_size(t, FV_SIDE_TARGET);
    assert_int_equal(fv_pair_decode(t, FV_SIDE_TARGET, &id, 1, &text, &len, NULL, NULL, &err), FV_E_INPUT);
    assert_non_null(strstr(err.text, "not in the vocabulary"));
    fv_pair_tokenizer_close(t);
}

static void cuts_by_chance_spell_the_same_text(void **state)
{
    static const char text[] = "The kettle is broken.";
    fv_rng rng = fv_rng_make(7, "cuts");
    fv_encoding best = {0}, e = {0};
    size_t others = 0;
    (void)state;
    fv_pair_tokenizer *t = train_well(recorded);
    encode(t, FV_SIDE_SOURCE, text, &best);
    for (int i = 0; i < 50; i++) {
        char *back;
        size_t len;
        assert_int_equal(fv_pair_encode(t, FV_SIDE_SOURCE, text, strlen(text), 0.1, &rng, &e, NULL), FV_OK);
        others += e.n != best.n;
        assert_int_equal(fv_pair_decode(t, FV_SIDE_SOURCE, e.ids, e.n, &back, &len, NULL, NULL, NULL), FV_OK);
        assert_string_equal(back, text);
        free(back);
    }
    assert_true(others > 25);
    fv_encoding_release(&e);
    fv_encoding_release(&best);
    fv_pair_tokenizer_close(t);
}

/* ---- Folders ------------------------------------------------------------------------------ */

static const char *folder_with(const char *vocab, const char *target)
{
    const char *folder = scratch_path("words");
    char path[FV_PATH_MAX];
    assert_int_equal(fv_folder_make(folder, NULL), FV_OK);
    assert_int_equal(fv_path_join(path, folder, "vocab.json", NULL), FV_OK);
    assert_int_equal(fv_file_write(path, vocab, strlen(vocab), NULL), FV_OK);
    assert_int_equal(fv_path_join(path, folder, "target_vocab.json", NULL), FV_OK);
    assert_int_equal(target ? fv_file_write(path, target, strlen(target), NULL) : fv_file_remove(path, NULL), FV_OK);
    return folder;
}

static void assert_words(const fv_pair_tokenizer *t, const char *text, const int32_t *ids, size_t n)
{
    fv_encoding e = {0};
    encode(t, FV_SIDE_SOURCE, text, &e);
    assert_int_equal(e.n, n);
    for (size_t i = 0; i < n; i++) assert_int_equal(e.ids[i], ids[i]);
    fv_encoding_release(&e);
}

static void without_models_words_are_tokens(void **state)
{
    char *text;
    size_t len;
    uint32_t begins[4], ends[4];
    (void)state;
    fv_pair_tokenizer *t = open_well(folder_with("{\"</s>\":0,\"<unk>\":1,\"a\":2,\">>b<<\":3,\"<pad>\":4}", NULL));
    assert_words(t, " a  x\ta ", (int32_t[]){2, 1, 2, 0}, 4);
    assert_words(t, "", (int32_t[]){0}, 1);
    assert_words(t, ">>b<< a </s>", (int32_t[]){3, 2, 1, 0}, 4); /* a typed </s> ends nothing */
    assert_words(t, ">>b<<a", (int32_t[]){3, 2, 0}, 3);
    assert_words(t, ">>c<< a", (int32_t[]){1, 2, 0}, 3);
    assert_int_equal(fv_pair_decode(t, FV_SIDE_TARGET, (int32_t[]){2, 1, 2, 0}, 4, &text, &len, begins, ends, NULL), FV_OK);
    assert_string_equal(text, "a a");
    assert_int_equal(begins[2], 2);
    assert_int_equal(ends[3], 3);
    free(text);
    assert_string_equal(fv_pair_tokenizer_file(t, 0), "vocab.json");
    assert_null(fv_pair_tokenizer_file(t, 1));
    fv_pair_tokenizer_close(t);
}

static void a_vocabulary_without_unknown_fails_on_one(void **state)
{
    fv_err err = {0};
    fv_encoding e = {0};
    (void)state;
    fv_pair_tokenizer *t = open_well(folder_with("{\"a\":0}", "{\"b\":0}"));
    assert_int_equal(fv_pair_eos(t), -1);
    assert_int_equal(fv_pair_pad(t), -1);
    assert_words(t, "a a", (int32_t[]){0, 0}, 2);
    assert_int_equal(fv_pair_encode(t, FV_SIDE_TARGET, "a", 1, 0, NULL, &e, &err), FV_E_INPUT);
    assert_non_null(strstr(err.text, "<unk>"));
    assert_int_equal(e.n, 0);
    fv_encoding_release(&e);
    fv_pair_tokenizer_close(t);
}

/* A piece that this side's model does not know, and the shared vocabulary does: found by its spelling, behind a language's token. */
static void what_a_model_does_not_know_is_sought_by_its_spelling(void **state)
{
    fv_encoding e = {0};
    char path[FV_PATH_MAX];
    static const char vocab[] = "{\"</s>\":0,\"<unk>\":1,\"e\":2,\"\u00e6\":3,\">>fra<<\":4,\"\u2581\":5,\"<pad>\":6}";
    (void)state;
    fv_pair_tokenizer *t = train_well(recorded);
    const char *folder = scratch_path("spelled");
    leave(t, folder);
    fv_pair_tokenizer_close(t);
    assert_int_equal(fv_path_join(path, folder, "target_vocab.json", NULL), FV_OK);
    assert_int_equal(fv_file_remove(path, NULL), FV_OK);
    assert_int_equal(fv_path_join(path, folder, "vocab.json", NULL), FV_OK);
    assert_int_equal(fv_file_write(path, vocab, strlen(vocab), NULL), FV_OK);
    t = open_well(folder);
    encode(t, FV_SIDE_SOURCE, ">>fra<< \u00e6", &e);
    assert_int_equal(e.n, 4);
    assert_int_equal(e.ids[0], 4);
    assert_int_equal(e.ends[0], 7);
    assert_int_equal(e.ids[1], 5);
    assert_int_equal(e.ids[2], 3);
    assert_int_equal(e.begins[2], 8);
    assert_int_equal(e.ids[3], 0);
    encode(t, FV_SIDE_SOURCE, ">>deu<< e", &e);
    assert_int_not_equal(e.ids[0], 4);
    fv_encoding_release(&e);
    fv_pair_tokenizer_close(t);
}

static void assert_refused(const char *folder, const char *why)
{
    fv_err err = {0};
    assert_null(fv_pair_tokenizer_open(folder, &err));
    assert_int_equal(err.status, FV_E_FORMAT);
    if (!strstr(err.text, why)) fail_msg("\"%s\" does not say \"%s\"", err.text, why);
}

static void bad_folders_are_refused(void **state)
{
    char path[FV_PATH_MAX];
    (void)state;
    assert_refused(folder_with("{\"a\":0,\"b\":0}", NULL), "expected each id once");
    assert_refused(folder_with("{\"a\":0,\"b\":2}", NULL), "is not one of 0 to 1");
    assert_refused(folder_with("{\"a\":\"0\"}", NULL), "is not one of 0 to 0");
    assert_refused(folder_with("{}", NULL), "a JSON object of tokens with their ids");
    assert_refused(folder_with("[]", NULL), "a JSON object of tokens with their ids");
    assert_refused(folder_with("{\"a\":0}", "{\"a\":7}"), "target_vocab.json");
    const char *folder = folder_with("{\"a\":0}", NULL);
    assert_int_equal(fv_path_join(path, folder, "source.spm", NULL), FV_OK);
    assert_int_equal(fv_file_write(path, "x", 1, NULL), FV_OK);
    assert_refused(folder, "target.spm is missing");
    assert_int_equal(fv_file_remove(path, NULL), FV_OK);
}

/* Failing an allocation anywhere gives an error, and nothing is lost. */
static void memory_that_runs_out_is_an_error(void **state)
{
    static const char vocab[] = "{\"</s>\":0,\"<unk>\":1,\"a\":2}";
    const char *folder = folder_with(vocab, NULL);
    int64_t live = fv_alloc_live();
    (void)state;
    for (int64_t fail = 0;; fail++) {
        fv_err err = {0};
        fv_encoding e = {0};
        char *text = NULL;
        size_t len;
        fv_alloc_fail_after(fail);
        fv_pair_tokenizer *t = fv_pair_tokenizer_open(folder, &err);
        fv_status status = t ? fv_pair_encode(t, FV_SIDE_SOURCE, "a b", 3, 0, NULL, &e, &err) : err.status;
        if (status == FV_OK) status = fv_pair_decode(t, FV_SIDE_TARGET, e.ids, e.n, &text, &len, NULL, NULL, &err);
        fv_alloc_fail_after(-1);
        free(text);
        fv_encoding_release(&e);
        fv_pair_tokenizer_close(t);
        assert_int_equal(fv_alloc_live(), live);
        if (status == FV_OK) break;
        assert_int_equal(err.status, FV_E_MEMORY);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_those_of_transformers),
        cmocka_unit_test(a_vocabulary_is_numbered_as_marian_does),
        cmocka_unit_test(a_vocabulary_too_small_is_refused),
        cmocka_unit_test(offsets_are_of_the_text),
        cmocka_unit_test(decoding_tells_what_each_id_made),
        cmocka_unit_test(an_id_outside_is_refused),
        cmocka_unit_test(cuts_by_chance_spell_the_same_text),
        cmocka_unit_test(without_models_words_are_tokens),
        cmocka_unit_test(a_vocabulary_without_unknown_fails_on_one),
        cmocka_unit_test(what_a_model_does_not_know_is_sought_by_its_spelling),
        cmocka_unit_test(bad_folders_are_refused),
        cmocka_unit_test(memory_that_runs_out_is_an_error),
    };
    if (argc == 2) {
        fv_pair_tokenizer *t = train_well(recorded);
        leave(t, argv[1]);
        fv_pair_tokenizer_close(t);
        return 0;
    }
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
