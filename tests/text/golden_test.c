/* Ids, types and offsets against those that the Hugging Face tokenizers library gave for the same
 * files and texts; tests/golden/tokenizer/record.py says how they were recorded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "formats/scratch.h"
#include "text/made.h"

#define GOLDEN "tests/golden/tokenizer/"

static int64_t number(const json_t *list, size_t i)
{
    return json_integer_value(json_array_get(list, i));
}

/* Ours may be finer than theirs, which are of whole characters: widen both ends to one. */
static bool same_place(const char *text, uint32_t begin, uint32_t end, const json_t *theirs)
{
    while (begin > 0 && (unsigned char)text[begin] >> 6 == 2) begin--;
    while ((unsigned char)text[end] >> 6 == 2) end++;
    return begin == number(theirs, 0) && end == number(theirs, 1);
}

/* A space put in front is theirs of the first character and ours of nothing. */
static bool is_prefix(const fv_tokenizer *t, const fv_encoding *e, size_t i)
{
    return (t->prefix_space || t->kind == FV_TOKENIZER_UNIGRAM) && e->begins[i] == e->ends[i];
}

static void assert_line(const fv_tokenizer *t, const json_t *line, fv_encoding *e)
{
    const json_t *text = json_object_get(line, "text"), *text2 = json_object_get(line, "text2");
    const json_t *ids = json_object_get(line, "ids"), *types = json_object_get(line, "types"), *offsets = json_object_get(line, "offsets");
    const char *first = json_string_value(text), *second = json_string_value(text2);
    fv_err err = {0};
    if (fv_tokenizer_encode(t, first, json_string_length(text), second, json_string_length(text2), json_is_true(json_object_get(line, "special")), e, &err) != FV_OK) fail_msg("%s", err.text);
    if (e->n != json_array_size(ids)) fail_msg("%zu ids instead of %zu for: %s", e->n, json_array_size(ids), first);
    for (size_t i = 0; i < e->n; i++) {
        if (e->ids[i] != number(ids, i)) fail_msg("id %zu is %d, expected %lld, for: %s", i, (int)e->ids[i], (long long)number(ids, i), first);
        if (e->types[i] != number(types, i)) fail_msg("type %zu for: %s", i, first);
        if (!offsets || is_prefix(t, e, i)) continue;
        if (!same_place(first, e->begins[i], e->ends[i], json_array_get(offsets, i)))
            fail_msg("token %zu is at %u to %u, expected %lld to %lld, for: %s", i, e->begins[i], e->ends[i], (long long)number(json_array_get(offsets, i), 0), (long long)number(json_array_get(offsets, i), 1), first);
    }
}

static void assert_golden(const char *tokenizer, const char *lines, size_t at_least)
{
    fv_err err = {0};
    fv_buf file = {0};
    fv_encoding e = {0};
    fv_tokenizer *t = fv_tokenizer_open(tokenizer, &err);
    if (!t) fail_msg("%s (tests run in the repository's root)", err.text);
    assert_int_equal(fv_file_read(lines, 1 << 20, &file, &err), FV_OK);
    size_t n = 0;
    for (char *line = file.data, *end; (end = strchr(line, '\n')); line = end + 1, n++) {
        json_t *tree = fv_json_parse(line, (size_t)(end - line), lines, &err);
        if (!tree) fail_msg("%s", err.text);
        assert_line(t, tree, &e);
        json_decref(tree);
    }
    assert_true(n >= at_least);
    fv_encoding_release(&e);
    fv_buf_release(&file);
    fv_tokenizer_close(t);
}

static void ours_gives_the_recorded_ids(void **state)
{
    (void)state;
    assert_golden(GOLDEN "ours.json", GOLDEN "ours.jsonl", 50);
}

static void a_foreign_file_gives_the_recorded_ids(void **state)
{
    (void)state;
    assert_golden(GOLDEN "foreign.json", GOLDEN "foreign.jsonl", 50);
}

static void wordpiece_gives_the_recorded_ids(void **state)
{
    (void)state;
    assert_golden(GOLDEN "words.json", GOLDEN "words.jsonl", 50);
}

static void a_vocabulary_of_bert_gives_the_recorded_ids(void **state)
{
    (void)state;
    assert_golden(GOLDEN "bert.txt", GOLDEN "bert.jsonl", 80);
}

static void unigram_gives_the_recorded_ids(void **state)
{
    (void)state;
    assert_golden(GOLDEN "unigram.json", GOLDEN "unigram.jsonl", 50);
    assert_golden(GOLDEN "pieces.json", GOLDEN "pieces.jsonl", 50);
}

typedef struct lines { char *at; } lines;

static int next_line(void *user, const char **text, size_t *len, fv_err *err)
{
    lines *l = user;
    (void)err;
    char *end = strchr(l->at, '\n');
    if (!end) return 0;
    *text = l->at;
    *len = (size_t)(end - l->at);
    l->at = end + 1;
    return 1;
}

/* Training is the same everywhere and stays so: the file that was recorded comes out again, byte for byte. */
static void assert_trained(const fv_tokenizer_options *o, const char *file)
{
    fv_buf corpus = {0}, made = {0}, recorded = {0};
    assert_int_equal(fv_file_read(GOLDEN "corpus.txt", 1 << 20, &corpus, NULL), FV_OK);
    lines l = {corpus.data};
    fv_tokenizer *t = fv_tokenizer_train(o, next_line, &l, NULL);
    assert_non_null(t);
    assert_int_equal(fv_tokenizer_save(t, scratch_path("made.json"), NULL), FV_OK);
    assert_int_equal(fv_file_read(scratch_path("made.json"), 1 << 20, &made, NULL), FV_OK);
    assert_int_equal(fv_file_read(file, 1 << 20, &recorded, NULL), FV_OK);
    assert_int_equal(made.len, recorded.len);
    assert_memory_equal(made.data, recorded.data, made.len);
    fv_tokenizer_close(t);
    fv_buf_release(&corpus);
    fv_buf_release(&made);
    fv_buf_release(&recorded);
}

static void training_makes_the_recorded_file(void **state)
{
    (void)state;
    fv_tokenizer_options o;
    fv_tokenizer_options_init(&o);
    o.vocab = 640;
    o.normalize = FV_NORMALIZE_NFKC;
    o.lowercase = true;
    assert_trained(&o, GOLDEN "ours.json");
    fv_tokenizer_options_init(&o);
    o.kind = FV_TOKENIZER_WORDPIECE;
    o.vocab = 600;
    o.lowercase = true;
    assert_trained(&o, GOLDEN "words.json");
    fv_tokenizer_options_init(&o);
    o.kind = FV_TOKENIZER_UNIGRAM;
    o.vocab = 350;
    assert_trained(&o, GOLDEN "pieces.json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ours_gives_the_recorded_ids),
        cmocka_unit_test(a_foreign_file_gives_the_recorded_ids),
        cmocka_unit_test(wordpiece_gives_the_recorded_ids),
        cmocka_unit_test(a_vocabulary_of_bert_gives_the_recorded_ids),
        cmocka_unit_test(unigram_gives_the_recorded_ids),
        cmocka_unit_test(training_makes_the_recorded_file),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
