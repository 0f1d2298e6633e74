/* Hub folders without a tokenizer.json: which files make which tokenizer, how texts are framed, and what is refused. */
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
#include "text/sentencepiece.h"

#define PIECES_MODEL "tests/golden/pieces/map.model"
#define CONFIG "tokenizer_config.json"

static const char *folder; /* of the test at work */

static void begin(const char *name)
{
    folder = scratch_path(name);
    assert_int_equal(fv_folder_make(folder, NULL), FV_OK);
}

static void put(const char *name, const char *text)
{
    char path[FV_PATH_MAX];
    assert_int_equal(fv_path_join(path, folder, name, NULL), FV_OK);
    assert_int_equal(fv_file_write(path, text, strlen(text), NULL), FV_OK);
}

/* All bytes, then "ab" (256) and, if `more`, what RoBERTa has. */
static void put_bytes(const char *more)
{
    fv_buf text = {0};
    fv_byte_names names;
    fv_byte_names_init(&names);
    fv_buf_puts(&text, "{", NULL);
    for (int i = 0; i < 256; i++) {
        const char *escape = names.text[i][0] == '"' || names.text[i][0] == '\\' ? "\\" : "";
        fv_buf_printf(&text, NULL, "\"%s%s\": %d, ", escape, names.text[i], i);
    }
    assert_int_equal(fv_buf_printf(&text, NULL, "\"ab\": 256%s}", more), FV_OK);
    put("vocab.json", text.data);
    put("merges.txt", "#version: 0.2\na b\n");
    fv_buf_release(&text);
}

#define ROBERTA ", \"<s>\": 257, \"<pad>\": 258, \"</s>\": 259, \"<unk>\": 260, \"<mask>\": 261"

/* The model's bytes under a name of the folder. */
static void put_pieces(const char *name, const char *from)
{
    char path[FV_PATH_MAX];
    fv_buf bytes = {0};
    assert_int_equal(fv_file_read(from, 1 << 20, &bytes, NULL), FV_OK);
    assert_int_equal(fv_path_join(path, folder, name, NULL), FV_OK);
    assert_int_equal(fv_file_write(path, bytes.data, bytes.len, NULL), FV_OK);
    fv_buf_release(&bytes);
}

static fv_tokenizer *open_folder(void)
{
    fv_err err = {0};
    fv_tokenizer *t = fv_tokenizer_open(folder, &err);
    if (!t) fail_msg("%s", err.text);
    return t;
}

/* With special tokens; text2 may be NULL. */
static void assert_framed(const fv_tokenizer *t, const char *text, const char *text2, const char *expected)
{
    fv_encoding e = {0};
    fv_err err = {0};
    if (fv_tokenizer_encode(t, text, strlen(text), text2, text2 ? strlen(text2) : 0, true, &e, &err) != FV_OK) fail_msg("%s", err.text);
    assert_string_equal(made_spelled(t, &e), expected);
    fv_encoding_release(&e);
}

static void roberta_frames_texts_and_gpt2_does_not(void **state)
{
    (void)state;
    begin("roberta");
    put_bytes(ROBERTA);
    fv_tokenizer *t = open_folder();
    assert_framed(t, "ab b", NULL, "<s>[0,0) ab[0,2) \u0120[2,3) b[3,4) </s>[0,0) ");
    assert_framed(t, "a", "b", "<s>[0,0) a[0,1) </s>[0,0) </s>[0,0) b[0,1) </s>[0,0) ");
    assert_framed(t, "a <mask>", NULL, "<s>[0,0) a[0,1) \u0120[1,2) <mask>[2,8) </s>[0,0) ");
    fv_tokenizer_close(t);
    put("config.json", "{\"model_type\": \"gpt2\"}");
    t = open_folder();
    assert_framed(t, "ab", NULL, "ab[0,2) ");
    fv_tokenizer_close(t);
}

static void the_configuration_is_asked(void **state)
{
    (void)state;
    begin("asked");
    put_bytes(ROBERTA);
    put(CONFIG, "{\"tokenizer_class\": \"RobertaTokenizer\", \"add_prefix_space\": true, \"mask_token\": {\"content\": \"<mask>\", \"lstrip\": true}}");
    fv_tokenizer *t = open_folder();
    assert_framed(t, "ab <mask>", NULL, "<s>[0,0) \u0120[0,0) ab[0,2) <mask>[2,9) </s>[0,0) ");
    fv_tokenizer_close(t);
    put(CONFIG, "{\"tokenizer_class\": \"RobertaTokenizerFast\", \"sep_token\": \"<pad>\"}");
    put("special_tokens_map.json", "{\"cls_token\": \"<unk>\", \"sep_token\": \"ab\"}");
    put("added_tokens.json", "{\"new\": 262}");
    put("config.json", "{\"model_type\": \"bert\"}"); /* the class says more */
    t = open_folder();
    assert_framed(t, "anewb", NULL, "<unk>[0,0) a[0,1) new[1,4) b[4,5) <pad>[0,0) ");
    fv_tokenizer_close(t);
}

static void added_tokens_have_their_flags(void **state)
{
    (void)state;
    begin("flags");
    put_bytes(ROBERTA);
    put(CONFIG, "{\"added_tokens_decoder\": {\"262\": {\"content\": \"tok\", \"single_word\": true}, \"261\": {\"content\": \"<mask>\", \"rstrip\": true, \"special\": true}}}");
    fv_tokenizer *t = open_folder();
    assert_framed(t, "tok <mask> tokb", NULL, "<s>[0,0) tok[0,3) \u0120[3,4) <mask>[4,11) t[11,12) o[12,13) k[13,14) b[14,15) </s>[0,0) ");
    assert_true(fv_tokenizer_is_special(t, 261));
    assert_false(fv_tokenizer_is_special(t, 262));
    fv_tokenizer_close(t);
}

/* <pad> pushes every piece one id up. */
static void fairseq_numbers_pieces_one_up(void **state)
{
    (void)state;
    begin("xlmr");
    put_pieces("sentencepiece.bpe.model", PIECES_MODEL);
    fv_tokenizer *bare = fv_tokenizer_open(PIECES_MODEL, NULL), *t = open_folder();
    assert_non_null(bare);
    int n = fv_tokenizer_size(bare);
    assert_int_equal(fv_tokenizer_size(t), n + 2);
    assert_string_equal(fv_tokenizer_token(t, 0), "<s>");
    assert_string_equal(fv_tokenizer_token(t, 1), "<pad>");
    assert_string_equal(fv_tokenizer_token(t, 2), "</s>");
    assert_string_equal(fv_tokenizer_token(t, 3), "<unk>");
    assert_string_equal(fv_tokenizer_token(t, n + 1), "<mask>");
    for (int32_t id = 3; id < n; id++) assert_string_equal(fv_tokenizer_token(t, id + 1), fv_tokenizer_token(bare, id));
    fv_encoding a = {0}, b = {0};
    made_encode(bare, "where is my order", &a);
    assert_int_equal(fv_tokenizer_encode(t, "where is my order", 17, NULL, 0, true, &b, NULL), FV_OK);
    assert_true(a.n > 3 && b.n == a.n + 2);
    assert_int_equal(b.ids[0], 0);
    assert_int_equal(b.ids[b.n - 1], 2);
    for (size_t i = 0; i < a.n; i++) assert_int_equal(b.ids[i + 1], a.ids[i] ? a.ids[i] + 1 : 3);
    fv_encoding_release(&a);
    fv_encoding_release(&b);
    fv_tokenizer_close(bare);
    fv_tokenizer_close(t);
}

static void what_was_put_together_is_saved_as_one_file(void **state)
{
    (void)state;
    begin("saved");
    put_pieces("sentencepiece.bpe.model", PIECES_MODEL);
    fv_tokenizer *t = open_folder();
    assert_int_equal(fv_tokenizer_save(t, folder, NULL), FV_OK);
    fv_tokenizer *back = open_folder(); /* tokenizer.json now */
    fv_encoding a = {0}, b = {0};
    for (size_t i = 0; i < made_n_texts; i++) {
        made_encode(t, made_texts[i], &a);
        made_encode(back, made_texts[i], &b);
        assert_int_equal(a.n, b.n);
        assert_memory_equal(a.ids, b.ids, a.n * sizeof *a.ids);
    }
    fv_encoding_release(&a);
    fv_encoding_release(&b);
    fv_tokenizer_close(t);
    fv_tokenizer_close(back);
}

static void mpnet_has_a_vocabulary_between_roberta_s_tokens(void **state)
{
    (void)state;
    begin("mpnet");
    put("vocab.txt", "<s>\n<pad>\n</s>\n<unk>\n[PAD]\n[UNK]\n[CLS]\n[SEP]\nlamp\n##s\n<mask>\n");
    fv_tokenizer *t = open_folder();
    assert_framed(t, "Lamps [CLS]", "no <mask>", "<s>[0,0) lamp[0,4) ##s[4,5) [UNK][6,7) [UNK][7,10) [UNK][10,11) </s>[0,0) </s>[0,0) [UNK][0,2) <mask>[2,9) </s>[0,0) ");
    fv_tokenizer_close(t);
}

static void assert_refused(const char *message)
{
    fv_err err = {0};
    int64_t live = fv_alloc_live();
    assert_null(fv_tokenizer_open(folder, &err));
    assert_int_equal(err.status, FV_E_FORMAT);
    if (!strstr(err.text, folder) || !strstr(err.text, message)) fail_msg("\"%s\" should name the folder and say \"%s\"", err.text, message);
    assert_int_equal(fv_alloc_live(), live);
}

static void other_classes_are_refused_by_name(void **state)
{
    (void)state;
    begin("classes");
    put_bytes(ROBERTA);
    put(CONFIG, "{\"tokenizer_class\": \"CLIPTokenizer\"}");
    assert_refused("tokenizer_class is \"CLIPTokenizer\", whose way with these files is not known here");
    put(CONFIG, "{\"tokenizer_class\": \"XLMRobertaTokenizer\"}");
    assert_refused("the class is that of a model with a SentencePiece file");
    put(CONFIG, "{}");
    put("config.json", "{\"model_type\": \"clip\"}");
    assert_refused("config.json: model_type is \"clip\"");
    begin("classes2");
    put_pieces("spiece.model", PIECES_MODEL);
    assert_refused("no tokenizer_config.json and no config.json say whose model it is");
    put(CONFIG, "{\"tokenizer_class\": \"CamembertTokenizer\"}");
    assert_refused("tokenizer_class is \"CamembertTokenizer\"");
    put(CONFIG, "{\"tokenizer_class\": \"RobertaTokenizer\"}");
    assert_refused("the class is that of a model with vocab.json and merges.txt");
}

static void broken_files_are_refused_by_name(void **state)
{
    (void)state;
    begin("broken");
    put_bytes(ROBERTA);
    put("merges.txt", "#version: 0.2\na b\nb zz\n");
    assert_refused("model.merges[1] is \"b zz\"; expected tokens of model.vocab");
    put("merges.txt", "a b\n\nb \xff\n");
    assert_refused("merges.txt: the line at byte 5 is no UTF-8");
    put("merges.txt", "");
    put(CONFIG, "[]");
    put("special_tokens_map.json", "{}");
    assert_refused("are no objects");
    put(CONFIG, "{\"added_tokens_decoder\": {\"x\": {\"content\": \"y\"}}}");
    assert_refused("added_tokens_decoder is not made of ids and tokens");
    put(CONFIG, "{\"added_tokens_decoder\": {\"9000000000000000000\": {\"content\": \"yy\"}}}");
    assert_refused("the id of \"yy\" is 9000000000000000000; expected 0 to 262");
    put(CONFIG, "{\"cls_token\": 7}");
    assert_refused("cls_token is no text; expected a token");
    put(CONFIG, "{\"sep_token\": \"nowhere\"}");
    assert_refused("post_processor.sep is \"nowhere\"; expected a token of the vocabulary");
    put("vocab.json", "{\"<s>\": 0, \"</s>\": 7}");
    assert_refused("is 7; expected 0 to 1");
    put("vocab.json", "{");
    assert_refused("vocab.json");
    begin("broken2");
    put_pieces("sentencepiece.bpe.model", "tests/golden/pieces/bytes.model");
    assert_refused("expected UNIGRAM in an XLM-R folder");
    put("sentencepiece.bpe.model", "\x0a\x05\x0a\x01x\x18\x02");
    assert_refused("piece 0 is not \"<unk>\"; expected <unk>, <s>, </s> in an XLM-R folder");
    put("sentencepiece.bpe.model", "\x0a\x7f");
    assert_refused("is the file cut?");
}

static void memory_that_runs_out_is_an_error(void **state)
{
    (void)state;
    begin("memory");
    put_bytes(ROBERTA);
    put("special_tokens_map.json", "{\"cls_token\": \"<s>\"}");
    bool ended = false;
    for (int64_t fail = 0; !ended; fail++) {
        fv_err err = {0};
        int64_t live = fv_alloc_live();
        fv_alloc_fail_after(fail);
        fv_tokenizer *t = fv_tokenizer_open(folder, &err);
        fv_alloc_fail_after(-1);
        ended = t != NULL;
        if (!ended) assert_int_equal(err.status, FV_E_MEMORY);
        fv_tokenizer_close(t);
        assert_int_equal(fv_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roberta_frames_texts_and_gpt2_does_not),
        cmocka_unit_test(the_configuration_is_asked),
        cmocka_unit_test(added_tokens_have_their_flags),
        cmocka_unit_test(fairseq_numbers_pieces_one_up),
        cmocka_unit_test(what_was_put_together_is_saved_as_one_file),
        cmocka_unit_test(mpnet_has_a_vocabulary_between_roberta_s_tokens),
        cmocka_unit_test(other_classes_are_refused_by_name),
        cmocka_unit_test(broken_files_are_refused_by_name),
        cmocka_unit_test(memory_that_runs_out_is_an_error),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
