/* tokenizer.json: what is saved comes back, what is hostile or not supported is refused by name. */
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

static fv_tokenizer *open_good(const char *path)
{
    fv_err err = {0};
    fv_tokenizer *t = fv_tokenizer_open(path, &err);
    if (!t) fail_msg("%s", err.text);
    return t;
}

static void assert_same_file(const char *a, const char *b)
{
    fv_buf x = {0}, y = {0};
    assert_int_equal(fv_file_read(a, 1 << 20, &x, NULL), FV_OK);
    assert_int_equal(fv_file_read(b, 1 << 20, &y, NULL), FV_OK);
    assert_int_equal(x.len, y.len);
    assert_memory_equal(x.data, y.data, x.len);
    fv_buf_release(&x);
    fv_buf_release(&y);
}

static void assert_same_ids(const fv_tokenizer *a, const fv_tokenizer *b, const char *text)
{
    fv_encoding x = {0}, y = {0};
    assert_int_equal(fv_tokenizer_encode(a, text, strlen(text), text, strlen(text), true, &x, NULL), FV_OK);
    assert_int_equal(fv_tokenizer_encode(b, text, strlen(text), text, strlen(text), true, &y, NULL), FV_OK);
    assert_int_equal(x.n, y.n);
    assert_memory_equal(x.ids, y.ids, x.n * sizeof *x.ids);
    assert_memory_equal(x.begins, y.begins, x.n * sizeof *x.begins);
    assert_memory_equal(x.types, y.types, x.n);
    fv_encoding_release(&x);
    fv_encoding_release(&y);
}

static void what_is_saved_comes_back(void **state)
{
    (void)state;
    static const fv_normalize forms[] = {FV_NORMALIZE_NONE, FV_NORMALIZE_NFC, FV_NORMALIZE_NFKC};
    for (size_t i = 0; i < 2 * FV_COUNT(forms); i++) {
        const char *first = scratch_path("first.json"), *second = scratch_path("second.json");
        fv_tokenizer *made = made_tokenizer(forms[i / 2], i % 2);
        assert_int_equal(fv_tokenizer_save(made, first, NULL), FV_OK);
        fv_tokenizer *read = open_good(first);
        assert_int_equal(fv_tokenizer_size(read), fv_tokenizer_size(made));
        assert_same_ids(made, read, "The CAT\uff21 cafe\u0301[SEP] \u5feb\u9012\u5230 \xff");
        assert_int_equal(fv_tokenizer_save(read, second, NULL), FV_OK);
        assert_same_file(first, second);
        fv_tokenizer_close(made);
        fv_tokenizer_close(read);
    }
}

static void a_folder_stands_for_the_file_in_it(void **state)
{
    (void)state;
    fv_err err = {0};
    char folder[FV_PATH_MAX];
    assert_int_equal(fv_path_join(folder, scratch_folder(), "model", NULL), FV_OK);
    assert_int_equal(fv_folder_make(folder, NULL), FV_OK);
    assert_null(fv_tokenizer_open(folder, &err));
    assert_int_equal(err.status, FV_E_IO);
    assert_string_equal(err.text + strlen(folder), ": no tokenizer in it (it is empty); expected tokenizer.json, vocab.txt, vocab.json with merges.txt, or a SentencePiece model");
    fv_tokenizer *t = made_tokenizer(FV_NORMALIZE_NFC, false);
    assert_int_equal(fv_tokenizer_save(t, folder, NULL), FV_OK);
    fv_tokenizer *read = open_good(folder);
    assert_same_ids(t, read, "the cat");
    fv_tokenizer_close(read);
    fv_tokenizer_close(t);
}

static void a_failed_save_leaves_the_old_file(void **state)
{
    (void)state;
    const char *path = scratch_path("kept.json"), *copy = scratch_path("copy.json");
    fv_err err = {0};
    fv_tokenizer *old = made_tokenizer(FV_NORMALIZE_NFC, false), *new = made_tokenizer(FV_NORMALIZE_NFKC, true);
    assert_int_equal(fv_tokenizer_save(old, path, NULL), FV_OK);
    assert_int_equal(fv_tokenizer_save(old, copy, NULL), FV_OK);
    fv_write_fail_after(0);
    assert_int_equal(fv_tokenizer_save(new, path, &err), FV_E_IO);
    fv_write_fail_after(-1);
    assert_same_file(path, copy);
    fv_tokenizer_close(old);
    fv_tokenizer_close(new);
}

/* ---- Files by hand ---- */

/* A file with a vocabulary of all bytes, then "ab" (256), "abc" (257) and "<s>" (258); the parts that
 * a test does not give are good ones. */
typedef struct parts {
    const char *top, *added, *normalizer, *pre, *post, *decoder, *model, *vocab, *merges;
} parts;

static const parts good = {
    .top = "\"version\": \"1.0\", \"truncation\": null, ",
    .added = "[{\"id\": 258, \"content\": \"<s>\", \"special\": true}]",
    .normalizer = "null",
    .pre = "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": true}",
    .post = "null",
    .decoder = "{\"type\": \"ByteLevel\"}",
    .model = "\"type\": \"BPE\", \"dropout\": null, \"unk_token\": null, ",
    .vocab = ", \"ab\": 256, \"abc\": 257",
    .merges = "[\"a b\", [\"ab\", \"c\"]]",
};

static void build(const parts *p, fv_buf *out)
{
    fv_byte_names names;
    fv_byte_names_init(&names);
    fv_buf_printf(out, NULL, "{%s\"added_tokens\": %s, \"normalizer\": %s, \"pre_tokenizer\": %s, \"post_processor\": %s, \"decoder\": %s, \"model\": {%s\"vocab\": {", p->top, p->added, p->normalizer, p->pre, p->post, p->decoder, p->model);
    for (int i = 0; i < 256; i++) {
        const char *escape = names.text[i][0] == '"' || names.text[i][0] == '\\' ? "\\" : "";
        fv_buf_printf(out, NULL, "%s\"%s%s\": %d", i ? ", " : "", escape, names.text[i], i);
    }
    assert_int_equal(fv_buf_printf(out, NULL, "%s}, \"merges\": %s}}", p->vocab, p->merges), FV_OK);
}

static fv_tokenizer *parse(const parts *p, fv_err *err)
{
    fv_buf text = {0};
    build(p, &text);
    fv_tokenizer *t = fv_tokenizer_parse(text.data, text.len, "t.json", err);
    fv_buf_release(&text);
    return t;
}

static void assert_tokens(const fv_tokenizer *t, const char *text, const char *expected)
{
    fv_encoding e = {0};
    made_encode(t, text, &e);
    assert_string_equal(made_spelled(t, &e), expected);
    fv_encoding_release(&e);
}

static void assert_encodes(const parts *p, const char *text, const char *expected)
{
    fv_err err = {0};
    fv_tokenizer *t = parse(p, &err);
    if (!t) fail_msg("%s", err.text);
    assert_tokens(t, text, expected);
    fv_tokenizer_close(t);
}

static void files_of_others_are_read(void **state)
{
    (void)state;
    parts p = good;
    assert_encodes(&p, "abc<s> ab", "abc[0,3) <s>[3,6) \u0120[6,7) ab[7,9) ");
    p.model = ""; /* GPT-2's published file says no type */
    assert_encodes(&p, "abc", "abc[0,3) ");
    p.pre = "{\"type\": \"ByteLevel\"}"; /* a space in front is the default */
    assert_encodes(&p, "abc<s>ab c", "\u0120[0,0) abc[0,3) <s>[3,6) \u0120[6,6) ab[6,8) \u0120[8,9) c[9,10) ");
    assert_encodes(&p, " ab", "\u0120[0,1) ab[1,3) ");
    p.pre = "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"use_regex\": false}";
    p.merges = "[\"a b\", \"ab c\"]";
    assert_encodes(&p, "ab ab", "ab[0,2) \u0120[2,3) ab[3,5) ");
    p.added = "[{\"id\": 258, \"content\": \"AB\", \"normalized\": true}, {\"id\": 257, \"content\": \"abc\"}]";
    p.normalizer = "{\"type\": \"Lowercase\"}";
    p.pre = good.pre;
    assert_encodes(&p, "xAbab ABC abc", "x[0,1) AB[1,3) AB[3,5) \u0120[5,6) AB[6,8) c[8,9) \u0120[9,10) abc[10,13) ");
    p = good;
    p.post = "{\"type\": \"ByteLevel\", \"trim_offsets\": true}";
    assert_encodes(&p, " a", "\u0120[0,1) a[1,2) ");
}

static void templates_are_read(void **state)
{
    (void)state;
    parts p = good;
    fv_encoding e = {0};
    p.post = "{\"type\": \"TemplateProcessing\", \"single\": [{\"Sequence\": {\"id\": \"A\", \"type_id\": 1}}, {\"SpecialToken\": {\"id\": \"end\", \"type_id\": 0}}],"
             " \"pair\": [{\"Sequence\": {\"id\": \"B\", \"type_id\": 0}}, {\"SpecialToken\": {\"id\": \"end\", \"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": 1}}],"
             " \"special_tokens\": {\"end\": {\"id\": \"end\", \"ids\": [258, 97], \"tokens\": [\"<s>\", \"a\"]}}}";
    fv_tokenizer *t = parse(&p, NULL);
    assert_non_null(t);
    assert_int_equal(fv_tokenizer_encode(t, "x", 1, NULL, 0, true, &e, NULL), FV_OK);
    assert_string_equal(made_spelled(t, &e), "x[0,1) <s>[0,0) a[0,0) ");
    assert_int_equal(e.types[0], 1);
    assert_int_equal(fv_tokenizer_encode(t, "x", 1, "yz", 2, true, &e, NULL), FV_OK);
    assert_string_equal(made_spelled(t, &e), "y[0,1) z[1,2) <s>[0,0) a[0,0) x[0,1) ");
    assert_int_equal(fv_tokenizer_save(t, scratch_path("template.json"), NULL), FV_OK);
    fv_tokenizer *back = open_good(scratch_path("template.json"));
    assert_same_ids(t, back, "x ab abc");
    fv_tokenizer_close(back);
    fv_tokenizer_close(t);
    fv_encoding_release(&e);
}

static void assert_refused(const parts *p, const char *message)
{
    fv_err err = {0};
    int64_t live = fv_alloc_live();
    assert_null(parse(p, &err));
    assert_int_equal(err.status, FV_E_FORMAT);
    if (strncmp(err.text, "t.json:", 7) != 0 || !strstr(err.text, message)) fail_msg("\"%s\" should name the file and say \"%s\"", err.text, message);
    assert_int_equal(fv_alloc_live(), live);
}

/* Refused when one part is as given. */
#define REFUSED(part, value, message) do { parts p_ = good; p_.part = (value); assert_refused(&p_, (message)); } while (0)

static void what_is_not_supported_is_refused(void **state)
{
    (void)state;
    REFUSED(model, "\"type\": \"Viterbi\", ", "model.type is \"Viterbi\"; expected \"BPE\", \"WordPiece\", \"Unigram\" or \"WordLevel\"");
    REFUSED(model, "\"type\": 3, ", "model.type is 3");
    REFUSED(model, "\"type\": \"WordLevel\", ", "model.unk_token is missing; expected text, as \"[UNK]\"");
    REFUSED(model, "\"dropout\": 0.1, ", "model.dropout is the real number 0.1; expected null");
    REFUSED(model, "\"byte_fallback\": \"yes\", ", "model.byte_fallback is \"yes\"; expected true or false");
    REFUSED(model, "\"end_of_word_suffix\": 7, ", "model.end_of_word_suffix is 7; expected null or text");
    REFUSED(normalizer, "{\"type\": \"Rot13\"}", "normalizer.type is \"Rot13\"; expected BertNormalizer, NFC,");
    REFUSED(normalizer, "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFC\"}, {\"type\": \"Rot13\"}]}", "normalizer.normalizers[1].type is \"Rot13\"");
    REFUSED(normalizer, "{\"type\": \"Sequence\"}", "normalizer.normalizers is missing; expected a list");
    REFUSED(normalizer, "{\"type\": \"Replace\", \"pattern\": {\"String\": \"a\"}}", "normalizer.content is missing; expected text");
    REFUSED(normalizer, "7", "normalizer.type is missing");
    REFUSED(pre, "{\"type\": \"Thai\"}", "pre_tokenizer.type is \"Thai\"; expected BertPreTokenizer, Whitespace,");
    REFUSED(pre, "{\"type\": \"ByteLevel\", \"use_regex\": 1}", "pre_tokenizer.use_regex is 1; expected true or false");
    REFUSED(pre, "{\"type\": \"FixedLength\", \"length\": 0}", "pre_tokenizer.length is 0; expected 1 to 1000000");
    REFUSED(post, "{\"type\": \"T5Processing\"}", "post_processor.type is \"T5Processing\"");
    REFUSED(post, "{\"type\": \"RobertaProcessing\"}", "post_processor.cls is missing");
    REFUSED(decoder, "{\"type\": \"Reverse\"}", "decoder.type is \"Reverse\"; expected WordPiece, BPEDecoder,");
    REFUSED(decoder, "{\"type\": \"Strip\", \"content\": \"ab\"}", "decoder.content is \"ab\"; expected one character");
    REFUSED(top, "\"version\": \"2.0\", ", "version is \"2.0\"; expected \"1.0\"");
    REFUSED(top, "\"version\": 1, ", "version is 1");
    REFUSED(added, "[{\"id\": 258, \"content\": \"<s>\", \"lstrip\": 0}]", "added_tokens[0].lstrip is 0; expected true or false");
}

#define SPLIT(split, bytes) "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", " split "}, {\"type\": \"ByteLevel\", " bytes "}]}"
#define PLAIN_BYTES "\"add_prefix_space\": false, \"use_regex\": false"

static void patterns_are_read_or_refused(void **state)
{
    (void)state;
    parts p = good;
    p.pre = SPLIT("\"pattern\": {\"Regex\": \"b|c\"}, \"behavior\": \"Isolated\", \"invert\": false", PLAIN_BYTES);
    assert_encodes(&p, "abc", "a[0,1) b[1,2) c[2,3) ");
    REFUSED(pre, SPLIT("\"pattern\": {\"Regex\": \"a(\"}, \"behavior\": \"Isolated\"", PLAIN_BYTES), "pattern is not understood: missing closing parenthesis");
    REFUSED(pre, SPLIT("\"pattern\": {\"Glob\": \"a\"}, \"behavior\": \"Isolated\"", PLAIN_BYTES), "pre_tokenizer.pretokenizers[0].pattern is an object; expected {\"String\": text} or {\"Regex\": a pattern}");
    REFUSED(pre, SPLIT("\"pattern\": {\"Regex\": \"a\"}, \"behavior\": \"Doubled\"", PLAIN_BYTES), "pretokenizers[0].behavior is \"Doubled\"; expected \"Removed\", \"Isolated\"");
    REFUSED(pre, SPLIT("\"pattern\": {\"Regex\": \"a\"}, \"behavior\": \"Isolated\", \"invert\": 1", PLAIN_BYTES), "pretokenizers[0].invert is 1");
    REFUSED(pre, SPLIT("\"pattern\": {\"Regex\": \"[a&&b]\"}, \"behavior\": \"Isolated\"", PLAIN_BYTES), "it has && in brackets, which is not supported here");
    p.pre = SPLIT("\"pattern\": {\"Regex\": \"(a+)+$\"}, \"behavior\": \"Isolated\"", PLAIN_BYTES);
    fv_tokenizer *t = parse(&p, NULL);
    fv_encoding e = {0};
    fv_err err = {0};
    const char *text = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!";
    assert_int_equal(fv_tokenizer_encode(t, text, strlen(text), NULL, 0, false, &e, &err), FV_E_FORMAT);
    assert_non_null(strstr(err.text, "too costly for this text"));
    assert_int_equal(e.n, 0);
    fv_encoding_release(&e);
    fv_tokenizer_close(t);
}

static void hostile_vocabularies_are_refused(void **state)
{
    (void)state;
    REFUSED(vocab, ", \"ab\": 256, \"abc\": 256", "\"abc\" has the id 256, which another token has; expected ids without repeats");
    REFUSED(vocab, ", \"ab\": 256, \"abc\": -1", "the id of \"abc\" is -1; expected 0 to 258, as there are 259 tokens");
    REFUSED(vocab, ", \"ab\": 256, \"abc\": 4000000000", "is 4000000000; expected 0 to 258");
    REFUSED(vocab, ", \"ab\": 256, \"abc\": \"257\"", "is \"257\"; expected 0 to 258");
    REFUSED(vocab, ", \"ab\": 256, \"abc\": 257.0", "the id of \"abc\" is the real number 257; expected 0 to 258");
    REFUSED(vocab, ", \"ab\": 256, \"\": 257", "model.vocab has an empty token");
    REFUSED(vocab, ", \"ab\": 257, \"abc\": 259", "is 259; expected 0 to 258"); /* a gap pushes an id out */
    REFUSED(vocab, ", \"ab\": 256, \"ab\": 257", "duplicate");
    REFUSED(merges, "[\"a b\", \"ab x\"]", "model.merges[1] is \"ab x\"; expected two tokens that joined are in model.vocab");
    REFUSED(merges, "[\"a zz\"]", "model.merges[0] is \"a zz\"; expected tokens of model.vocab");
    REFUSED(merges, "[\"a b\", \"a b\"]", "model.merges[1] joins the same two tokens as model.merges[0]");
    REFUSED(merges, "[\"ab\"]", "model.merges[0] is \"ab\"; expected two tokens, \"a b\" or");
    REFUSED(merges, "[\"a b c\"]", "model.merges[0] is \"a b c\"");
    REFUSED(merges, "[[\"a\", 1]]", "model.merges[0] is a list");
    REFUSED(merges, "[7]", "model.merges[0] is 7");
    REFUSED(merges, "{}", "model.merges is an object; expected a list");
    REFUSED(added, "{}", "added_tokens is an object; expected a list");
    REFUSED(added, "[{\"id\": 258}]", "added_tokens[0].content is missing; expected text");
    REFUSED(added, "[{\"id\": 3, \"content\": \"<s>\"}]", "added_tokens: \"<s>\" has the id 3, which another token has");
    REFUSED(added, "[{\"content\": \"<s>\"}]", "the id of \"<s>\" is missing");
    REFUSED(added, "[{\"id\": 5, \"content\": \"ab\"}]", "added_tokens[0].id is 5; expected the id that model.vocab gives it");
    REFUSED(added, "[{\"id\": 256, \"content\": \"ab\"}, {\"id\": 256, \"content\": \"ab\"}]", "added_tokens[1].content is \"ab\"; expected each token once");
    REFUSED(added, "[{\"id\": 258, \"content\": \"<s>\", \"special\": 1}]", "added_tokens[0].special is 1; expected true or false");
    REFUSED(added, "[{\"id\": 258, \"content\": \"\"}]", "added_tokens has an empty token");
}

static void bytes_must_be_there_and_lengths_fit(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_buf text = {0};
    build(&good, &text);
    memcpy(strstr(text.data, "\"z\": 122"), "\"qq\":122", 8);
    fv_tokenizer *lacking = fv_tokenizer_parse(text.data, text.len, "t.json", &err);
    if (!lacking) fail_msg("%s", err.text);
    assert_tokens(lacking, "abzc", "abc[0,3) "); /* what no token spells vanishes, as in the library */
    fv_tokenizer_close(lacking);
    fv_buf_release(&text);
    /* "Äb" spells bytes 0xC4 'b'; as an added token it is three plain bytes, and a merge of it would lie. */
    parts p = good;
    p.vocab = ", \"\u00c4b\": 256, \"\u00c4bc\": 257";
    p.merges = "[\"\u00c4 b\", \"\u00c4b c\"]";
    fv_tokenizer *t = parse(&p, NULL);
    assert_non_null(t);
    fv_tokenizer_close(t);
    p.added = "[{\"id\": 258, \"content\": \"<s>\"}, {\"id\": 256, \"content\": \"\u00c4b\"}]";
    assert_refused(&p, "model.merges[0] makes a token of 3 bytes from 2 bytes; is one of them an added token?");
    p = good;
    p.added = "[{\"id\": 258, \"content\": \"<s>\"}, {\"id\": 196, \"content\": \"\u00c4\"}]";
    assert_refused(&p, "model.vocab has no token for byte 0xC4");
}

#define TEMPLATE(single, pair, specials) "{\"type\": \"TemplateProcessing\", \"single\": " single ", \"pair\": " pair ", \"special_tokens\": " specials "}"
#define A_STEP "{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}"
#define B_STEP "{\"Sequence\": {\"id\": \"B\", \"type_id\": 1}}"

static void hostile_templates_are_refused(void **state)
{
    (void)state;
    REFUSED(post, TEMPLATE("[]", "[" A_STEP ", " B_STEP "]", "{}"), "post_processor.single names A 0 times and B 0 times; expected 1 and 0");
    REFUSED(post, TEMPLATE("[" A_STEP "]", "[" A_STEP "]", "{}"), "post_processor.pair names A 1 times and B 0 times; expected 1 and 1");
    REFUSED(post, TEMPLATE("7", "[]", "{}"), "post_processor.single is not a list");
    REFUSED(post, TEMPLATE("[{\"Sequence\": {\"id\": \"C\", \"type_id\": 0}}]", "[]", "{}"), "Sequence.id is \"C\"; expected \"A\" or \"B\"");
    REFUSED(post, TEMPLATE("[{\"Sequence\": {\"id\": \"A\", \"type_id\": 2}}]", "[]", "{}"), "type_id is 2; expected 0 or 1");
    REFUSED(post, TEMPLATE("[3]", "[]", "{}"), "Sequence.id is missing");
    REFUSED(post, TEMPLATE("[{\"SpecialToken\": {\"id\": \"x\", \"type_id\": 0}}]", "[]", "{}"), "SpecialToken.id is \"x\"; expected a name in post_processor.special_tokens");
    REFUSED(post, TEMPLATE("[{\"SpecialToken\": {\"id\": \"x\", \"type_id\": 0}}]", "[]", "{\"x\": {\"ids\": [259]}}"), "special_tokens ids is 259; expected ids of the vocabulary");
    REFUSED(post, TEMPLATE("[{\"SpecialToken\": {\"id\": \"x\", \"type_id\": 0}}]", "[]", "{\"x\": {\"ids\": [0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}}"), "post_processor.single has more than 32 steps");
}

static void assert_text_refused(const char *text, const char *message)
{
    fv_err err = {0};
    assert_null(fv_tokenizer_parse(text, strlen(text), "t.json", &err));
    assert_int_equal(err.status, FV_E_FORMAT);
    if (!strstr(err.text, message)) fail_msg("%s", err.text);
}

static void what_is_no_tokenizer_is_refused(void **state)
{
    (void)state;
    assert_text_refused("", "t.json: is empty; expected JSON");
    assert_text_refused("[]", "t.json: the file is a list; expected an object");
    assert_text_refused("{}", "model is missing; expected an object");
    assert_text_refused("{\"model\":{\"vocab\":[]}}", "model.vocab is a list");
    assert_text_refused("{\"model\":{\"vocab\":{}}}", "model.merges is missing; expected a list");
    assert_text_refused("{\"model\":{\"vocab\":{\"a\":0,\"b\":2},\"merges\":[]}}", "the id of \"b\" is 2; expected 0 to 1");
    fv_err err = {0};
    assert_null(fv_tokenizer_open(scratch_path("no such file"), &err));
    assert_int_equal(err.status, FV_E_IO);
}

/* Every prefix of a good file is refused, and nothing leaks. */
static void truncated_files_are_refused(void **state)
{
    (void)state;
    fv_buf text = {0};
    build(&good, &text);
    int64_t live = fv_alloc_live();
    for (size_t n = 0; n + 1 < text.len; n += n < 200 ? 1 : 97) assert_null(fv_tokenizer_parse(text.data, n, "t.json", NULL));
    assert_int_equal(fv_alloc_live(), live);
    fv_buf_release(&text);
}

static void memory_that_runs_out_is_an_error(void **state)
{
    (void)state;
    const char *path = scratch_path("memory.json");
    fv_tokenizer *t = made_tokenizer(FV_NORMALIZE_NFKC, true), *read = NULL;
    assert_int_equal(fv_tokenizer_save(t, path, NULL), FV_OK);
    fv_status status = FV_E_MEMORY;
    for (int64_t fail = 0; status != FV_OK; fail += fail < 100 ? 1 : 37) {
        int64_t live = fv_alloc_live();
        fv_alloc_fail_after(fail);
        status = fv_tokenizer_save(t, path, NULL);
        fv_alloc_fail_after(-1);
        if (status != FV_OK) assert_int_equal(status, FV_E_MEMORY);
        assert_int_equal(fv_alloc_live(), live);
    }
    for (int64_t fail = 0; !read; fail += fail < 100 ? 1 : 37) {
        fv_err err = {0};
        int64_t live = fv_alloc_live();
        fv_alloc_fail_after(fail);
        read = fv_tokenizer_open(path, &err);
        fv_alloc_fail_after(-1);
        if (read) break;
        assert_int_equal(err.status, FV_E_MEMORY);
        assert_int_equal(fv_alloc_live(), live);
    }
    fv_tokenizer_close(read);
    fv_tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_saved_comes_back),
        cmocka_unit_test(a_folder_stands_for_the_file_in_it),
        cmocka_unit_test(a_failed_save_leaves_the_old_file),
        cmocka_unit_test(files_of_others_are_read),
        cmocka_unit_test(templates_are_read),
        cmocka_unit_test(what_is_not_supported_is_refused),
        cmocka_unit_test(patterns_are_read_or_refused),
        cmocka_unit_test(hostile_vocabularies_are_refused),
        cmocka_unit_test(bytes_must_be_there_and_lengths_fit),
        cmocka_unit_test(hostile_templates_are_refused),
        cmocka_unit_test(what_is_no_tokenizer_is_refused),
        cmocka_unit_test(truncated_files_are_refused),
        cmocka_unit_test(memory_that_runs_out_is_an_error),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
