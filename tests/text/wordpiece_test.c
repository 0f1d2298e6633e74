/* WordPiece: BERT's cleaning and words, longest tokens, unknown words, offsets, the way back, a
 * vocabulary learned, saved and read again, and vocab.txt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "formats/scratch.h"
#include "text/made.h"

static const char small[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nun\n##aff\n##able\nunable\n,\n\u4f60\n\u597d\nn\n##'\n't\ncafe\n!\n";

static fv_tokenizer *open_text(const char *name, const char *text, fv_err *err)
{
    const char *path = scratch_path(name);
    assert_int_equal(fv_file_write(path, text, strlen(text), NULL), FV_OK);
    return fv_tokenizer_open(path, err);
}

static fv_tokenizer *open_small(void)
{
    fv_err err = {0};
    fv_tokenizer *t = open_text("vocab.txt", small, &err);
    if (!t) fail_msg("%s", err.text);
    return t;
}

static void assert_tokens(const fv_tokenizer *t, const char *text, const char *expected)
{
    fv_encoding e = {0};
    made_encode(t, text, &e);
    assert_string_equal(made_spelled(t, &e), expected);
    fv_encoding_release(&e);
}

static void the_longest_token_goes_first(void **state)
{
    (void)state;
    fv_tokenizer *t = open_small();
    assert_tokens(t, "unaffable", "un[0,2) ##aff[2,5) ##able[5,9) ");
    assert_tokens(t, "unable", "unable[0,6) ");
    assert_tokens(t, "unaffxable un", "[UNK][0,10) un[11,13) ");
    assert_tokens(t, "", "");
    assert_tokens(t, " \t\n ", "");
    fv_tokenizer_close(t);
}

static void texts_are_cleaned_and_split_as_bert_does(void **state)
{
    (void)state;
    fv_tokenizer *t = open_small();
    assert_tokens(t, "UN,unable!", "un[0,2) ,[2,3) unable[3,9) ![9,10) ");
    assert_tokens(t, "\u4f60\u597dun", "\u4f60[0,3) \u597d[3,6) un[6,8) ");
    assert_tokens(t, "Caf\u00e9 cafe\u0301", "cafe[0,5) cafe[6,10) "); /* the accent is taken off */
    assert_tokens(t, "u\u200bn u\x01n", "un[0,5) un[6,9) ");           /* controls too */
    assert_tokens(t, "un\u00a0un", "un[0,2) un[4,6) ");
    assert_tokens(t, "u\xffn", "un[0,3) ");
    assert_tokens(t, "un[SEP]un", "un[0,2) [SEP][2,7) un[7,9) ");
    fv_tokenizer_close(t);
}

static void a_word_of_too_many_characters_is_unknown(void **state)
{
    (void)state;
    char text[512] = "un";
    fv_tokenizer *t = open_small();
    for (int i = 0; i < 24; i++) memcpy(text + 2 + 4 * i, "able", 4); /* 98 characters */
    fv_encoding e = {0};
    made_encode(t, text, &e);
    assert_int_equal(e.n, 24); /* unable ##able … */
    assert_int_equal(e.ends[23], 98);
    memcpy(text + 98, "aff", 3);
    made_encode(t, text, &e);
    assert_int_equal(e.n, 1);
    assert_int_equal(e.ends[0], 101);
    fv_encoding_release(&e);
    fv_tokenizer_close(t);
}

static void decoding_puts_spaces_between_words(void **state)
{
    (void)state;
    fv_tokenizer *t = open_small();
    fv_encoding e = {0};
    char *back;
    size_t len;
    static const char text[] = "unaffable, unable!", text2[] = "un";
    assert_int_equal(fv_tokenizer_encode(t, text, strlen(text), text2, 2, true, &e, NULL), FV_OK);
    assert_int_equal(e.ids[0], 2);
    assert_int_equal(e.ids[e.n - 1], 3);
    assert_int_equal(e.types[e.n - 1], 1);
    assert_int_equal(fv_tokenizer_decode(t, e.ids, e.n, &back, &len, NULL), FV_OK);
    assert_string_equal(back, "unaffable, unable! un");
    free(back);
    fv_encoding_release(&e);
    fv_tokenizer_close(t);
}

static fv_tokenizer *train(const made_list *texts, int vocab, bool lowercase, fv_err *err)
{
    made_list list = *texts;
    fv_tokenizer_options o;
    fv_tokenizer_options_init(&o);
    o.kind = FV_TOKENIZER_WORDPIECE;
    o.vocab = vocab;
    o.lowercase = lowercase;
    return fv_tokenizer_train(&o, made_next, &list, err);
}

static void a_vocabulary_is_learned_by_count(void **state)
{
    (void)state;
    static const char *const texts[] = {"low low low low low lower lower", "newest newest newest newest", "NEW Q"};
    const made_list list = {texts, FV_COUNT(texts), 0};
    fv_tokenizer *t = train(&list, 100, true, NULL);
    assert_non_null(t);
    assert_true(fv_tokenizer_id(t, "low") > 5);
    assert_true(fv_tokenizer_id(t, "newest") > 5);
    assert_int_equal(fv_tokenizer_id(t, "q"), -1); /* once only */
    assert_tokens(t, "Newest lower q", "newest[0,6) lower[7,12) [UNK][13,14) ");
    fv_tokenizer_close(t);
}

static void a_small_vocabulary_keeps_frequent_characters(void **state)
{
    (void)state;
    static const char *const texts[] = {"a a a a b b b c c", "a b"};
    const made_list list = {texts, FV_COUNT(texts), 0};
    fv_tokenizer *t = train(&list, 7, false, NULL);
    assert_int_equal(fv_tokenizer_size(t), 7);
    assert_string_equal(fv_tokenizer_token(t, 5), "a");
    assert_string_equal(fv_tokenizer_token(t, 6), "b");
    fv_tokenizer_close(t);
}

static void what_is_saved_comes_back(void **state)
{
    (void)state;
    const made_list list = {made_texts, made_n_texts, 0};
    const char *path = scratch_path("words.json");
    fv_tokenizer *made = train(&list, 120, true, NULL);
    assert_int_equal(fv_tokenizer_save(made, path, NULL), FV_OK);
    fv_err err = {0};
    fv_tokenizer *read = fv_tokenizer_open(path, &err);
    if (!read) fail_msg("%s", err.text);
    fv_encoding e = {0};
    for (size_t i = 0; i < made_n_texts; i++) {
        char first[4096];
        made_encode(made, made_texts[i], &e);
        snprintf(first, sizeof first, "%s", made_spelled(made, &e));
        made_encode(read, made_texts[i], &e);
        assert_string_equal(made_spelled(read, &e), first);
    }
    fv_encoding_release(&e);
    fv_tokenizer_close(made);
    fv_tokenizer_close(read);
}

static void assert_refused(const char *name, const char *text, const char *message)
{
    fv_err err = {0};
    assert_null(open_text(name, text, &err));
    assert_int_equal(err.status, FV_E_FORMAT);
    if (!strstr(err.text, message)) fail_msg("\"%s\" should say \"%s\"", err.text, message);
}

#define WORDS(model, rest) "{\"model\":{\"type\":\"WordPiece\"," model "}," rest "}"
#define VOCAB "\"vocab\":{\"[UNK]\":0,\"a\":1}"
#define GOOD "\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":100," VOCAB
#define BERT "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\"decoder\":{\"type\":\"WordPiece\",\"prefix\":\"##\"}"

static void bad_files_are_refused_by_name(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_tokenizer *good = open_text("good.json", WORDS(GOOD, BERT), &err);
    if (!good) fail_msg("%s", err.text);
    fv_tokenizer_close(good);
    assert_refused("a.json", WORDS("\"unk_token\":\"<x>\",\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":100," VOCAB, BERT), "model.unk_token is \"<x>\"");
    assert_refused("b.json", WORDS("\"unk_token\":\"[UNK]\",\"max_input_chars_per_word\":100," VOCAB, BERT), "model.continuing_subword_prefix is missing");
    assert_refused("c.json", WORDS("\"unk_token\":\"[UNK]\",\"max_input_chars_per_word\":-1," VOCAB, BERT), "model.max_input_chars_per_word is -1");
    assert_refused("d.json", WORDS(GOOD, "\"normalizer\":{\"type\":\"NFB\"}," BERT), "normalizer.type is \"NFB\"");
    assert_refused("e.json", WORDS(GOOD, "\"normalizer\":{\"type\":\"BertNormalizer\",\"lowercase\":3}," BERT), "normalizer.lowercase is 3");
    assert_refused("f.json", WORDS(GOOD, "\"pre_tokenizer\":{\"type\":\"White\"}"), "pre_tokenizer.type is \"White\"");
    assert_refused("g.json", WORDS(GOOD, "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\"decoder\":{\"type\":\"WordPiece\",\"prefix\":1}"), "decoder.prefix is 1; expected text");
    assert_refused("h.json", WORDS(GOOD, BERT ",\"post_processor\":{\"type\":\"BertProcessing\",\"cls\":[\"a\",1],\"sep\":[\"a\",0]}"), "post_processor.sep is 0");
    assert_refused("a.txt", "[UNK]\n[CLS]\n\n[SEP]\n", "a.txt:3: an empty line");
    assert_refused("b.txt", "[UNK]\n[CLS]\n[SEP]\nx\nx\n", "b.txt:5: \"x\" stands in line 4 too");
    assert_refused("c.txt", "[UNK]\n[SEP]\n", "no line says [CLS]");
    assert_refused("d.txt", "", "empty");
}

static void a_vocabulary_with_capitals_keeps_case(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_tokenizer *t = open_text("cased.txt", "[UNK]\n[CLS]\n[SEP]\nA\na\n", &err);
    if (!t) fail_msg("%s", err.text);
    assert_tokens(t, "A a \u00e1", "A[0,1) a[2,3) [UNK][4,6) ");
    fv_tokenizer_close(t);
}

static void memory_that_runs_out_is_an_error(void **state)
{
    (void)state;
    const made_list list = {made_texts, 1, 0};
    bool ended = false;
    for (int64_t fail = 0; !ended; fail++) {
        fv_err err = {0};
        int64_t live = fv_alloc_live();
        fv_alloc_fail_after(fail);
        fv_tokenizer *t = train(&list, 60, true, &err);
        fv_encoding e = {0};
        ended = t && fv_tokenizer_encode(t, "The caf\u00e9 \u4f60", 12, NULL, 0, true, &e, &err) == FV_OK;
        fv_alloc_fail_after(-1);
        if (!ended) assert_int_equal(err.status, FV_E_MEMORY);
        fv_encoding_release(&e);
        fv_tokenizer_close(t);
        assert_int_equal(fv_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_token_goes_first),
        cmocka_unit_test(texts_are_cleaned_and_split_as_bert_does),
        cmocka_unit_test(a_word_of_too_many_characters_is_unknown),
        cmocka_unit_test(decoding_puts_spaces_between_words),
        cmocka_unit_test(a_vocabulary_is_learned_by_count),
        cmocka_unit_test(a_small_vocabulary_keeps_frequent_characters),
        cmocka_unit_test(what_is_saved_comes_back),
        cmocka_unit_test(bad_files_are_refused_by_name),
        cmocka_unit_test(a_vocabulary_with_capitals_keeps_case),
        cmocka_unit_test(memory_that_runs_out_is_an_error),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
