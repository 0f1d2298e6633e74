/* The kinds of file, the columns asked for, and every message about a row that is not as it should be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/made.h"
#include "formats/scratch.h"

static fv_columns columns(const char *text, const char *text2, const char *label)
{
    fv_columns c;
    fv_columns_init(&c);
    c.text = text;
    c.text2 = text2;
    c.label = label;
    return c;
}

/* NAME with CONTENT, read with the default columns, gives RESULT. */
static void expect_with(const char *name, const char *content, const fv_columns *c, const char *result)
{
    const char *read = read_rows(made_text(name, content), c);
    if (strcmp(read, result) != 0) fail_msg("%s gives\n%s\ninstead of\n%s", name, read, result);
}

static void expect(const char *name, const char *content, const char *result)
{
    expect_with(name, content, NULL, result);
}

/* RESULT with the advice that a bad row's message ends in. */
static void expect_bad(const char *name, const char *content, const char *result)
{
    char whole[2048];
    snprintf(whole, sizeof whole, "%s; or pass --skip-bad to leave such rows out", result);
    expect(name, content, whole);
}

/* For what the JSON library words: how the message begins, and what it holds further on. */
static void expect_parts(const char *name, const char *content, const char *begin, const char *part)
{
    const char *read = read_rows(made_text(name, content), NULL);
    if (strncmp(read, begin, strlen(begin)) != 0 || !strstr(read, part)) fail_msg("%s gives \"%s\"", name, read);
}

/* ---- Kinds -------------------------------------------------------------------------------- */

static const char two_rows[] = "2 My card, stolen|-|card\n3 Wo ist es?|-|where\n";

static void kinds_by_name(void **state)
{
    (void)state;
    expect("a.tsv", "text\tlabel\nMy card, stolen\tcard\nWo ist es?\twhere\n", two_rows);
    expect("a.csv", "label,text\ncard,\"My card, stolen\"\nwhere,Wo ist es?\n", two_rows);
    const char *json = "\n{\"text\":\"My card, stolen\",\"label\":\"card\"}\n{\"label\":\"where\",\"text\":\"Wo ist es?\",\"id\":7}\n";
    expect("a.jsonl", json, two_rows);
    expect("a.ndjson", json, two_rows);
    expect("a.JSON", json, two_rows);
    const char *fasttext = "\n__label__card My card, stolen\n__label__where Wo ist es?\n";
    expect("a.txt", fasttext, two_rows);
    expect("a.ft", fasttext, two_rows);
}

static void kinds_by_first_line(void **state)
{
    (void)state;
    fv_columns text_only = columns("text", NULL, NULL);
    expect("a", "text\tlabel\nMy card, stolen\tcard\nWo ist es?\twhere\n", two_rows);
    expect("a.data", "label,text\ncard,\"My card, stolen\"\nwhere,Wo ist es?\n", two_rows);
    expect("a", "\"label\",\"text\"\ncard,\"My card, stolen\"\n", "2 My card, stolen|-|card\n");
    expect("a", "{\"text\":\"x\",\"label\":\"y\"}\n", "1 x|-|y\n");
    expect("a", "__label__y x\n", "1 x|-|y\n");
    expect_with("a", "text\na, \"b\"\n", &text_only, "2 a, \"b\"|-|-\n");
    expect_with("a", "\"text\"\n\"b\"\n", &text_only, "2 b|-|-\n");
    expect_with("a", "where is it?\n", &text_only, ":1: no column \"text\"; the header has \"where is it?\"; name one with --text");
    expect("a", "", "");
}

/* ---- TSV ---------------------------------------------------------------------------------- */

static void tsv(void **state)
{
    (void)state;
    expect("a.tsv", "text\tlabel\n\"a\"\tb c\n", "2 \"a\"|-|b c\n");
    expect("a.tsv", "text\tlabel\n\t\n", "2 |-|\n");
    expect("a.tsv", "text\tlabel\r\nx\ty\r\n", "2 x|-|y\n");
    expect("a.tsv", "text\tlabel\n", "");
    expect_bad("a.tsv", "text\tlabel\nx\ty\nMy card was stolen\n",
               "2 x|-|y\n:3: found 1 field, expected 2 as in the header; field 1 is \"My card was stolen\"; expected a tab between fields");
    expect_bad("a.tsv", "text\tlabel\nx\ty\tz\n",
               ":2: found 3 fields, expected 2 as in the header; field 2 is \"y\"; a field cannot hold a tab");
}

static void empty_lines_of_tables(void **state)
{
    (void)state;
    fv_columns text_only = columns("text", NULL, NULL);
    expect("a.tsv", "text\tlabel\nx\ty\n\n\r\n\n", "2 x|-|y\n");
    expect("a.csv", "text,label\nx,y\n\n\n", "2 x|-|y\n");
    expect_bad("a.tsv", "text\tlabel\nx\ty\n\n\nx\ty\n", "2 x|-|y\n:3: the line is empty, expected 2 fields");
    expect_with("a.tsv", "text\nx\n\n\ny\n\n", &text_only, "2 x|-|-\n3 |-|-\n4 |-|-\n5 y|-|-\n");
    expect_with("a.csv", "text\nx\n\n\"y\"\n", &text_only, "2 x|-|-\n3 |-|-\n4 y|-|-\n");
}

/* ---- CSV ---------------------------------------------------------------------------------- */

static void csv_quotes(void **state)
{
    (void)state;
    expect("a.csv", "text,label\n\"a, \"\"b\"\"\",c\n", "2 a, \"b\"|-|c\n");
    expect("a.csv", "text,label\n\"\",\"\"\n", "2 |-|\n");
    expect("a.csv", "text,label\n\"\"\"\",\"\"\"\"\"\"\n", "2 \"|-|\"\"\n");
    expect("a.csv", "text,label\nan \"inner\" quote,5\"\n", "2 an \"inner\" quote|-|5\"\n");
    expect("a.csv", "text,label\r\n\"a\r\nb\",c\r\nd,e\r\n", "2 a\r\nb|-|c\n4 d|-|e\n");
    expect("a.csv", "text,label\n\"a\n\n\nb\",\"c\"\nd,e", "2 a\n\n\nb|-|c\n6 d|-|e\n");
    expect("a.csv", "\"te\nxt\",text,label\na,b,c\n", "3 b|-|c\n");
    expect("a.csv", "\"text\",\"la\"\"bel\",label\na,b,c\n", "2 a|-|c\n");
    fv_columns twice = columns("text,text", "text", "text");
    expect_with("a.csv", "text\n\"a\"\"b\"\n", &twice, "2 a\"b\na\"b|a\"b|a\"b\n");
}

static void csv_bad_rows(void **state)
{
    (void)state;
    expect_bad("a.csv", "text,label\na\n", ":2: found 1 field, expected 2 as in the header; field 1 is \"a\"; expected a comma between fields");
    expect_bad("a.csv", "text,label\nHello, card,card\n",
               ":2: found 3 fields, expected 2 as in the header; field 2 is \" card\"; a field that holds a comma must be quoted");
    expect_bad("a.csv", "text,label\n\"a\"b,c\n",
               ":2: field 1 is quoted, and after its closing quote in line 2 comes \"b,c\"; expected a comma (a quote within quotes is written \"\")");
    expect_bad("a.csv", "text,label\na,\"b\nc\nd\" e\n",
               ":2: field 2 is quoted, and after its closing quote in line 4 comes \" e\"; expected a comma (a quote within quotes is written \"\")");
    expect_bad("a.csv", "text,label\na,b\n\"x\ny\",\"z\nzz\n",
               "2 a|-|b\n:4: the quote that opens field 2 never closes: \"z\\nzz\"; expected a closing quote (one within the text is written \"\")");
}

/* A quote that never closes costs its own line, not the rest of the file. */
static void csv_goes_on_after_open_quote(void **state)
{
    (void)state;
    fv_columns skip = columns("text", NULL, "label");
    skip.skip_bad = true;
    expect_with("a.csv", "text,label\na,b\n\"c,d\ne,f\ng,h\n", &skip, "2 a|-|b\n4 e|-|f\n5 g|-|h\n");
    expect_with("a.csv", "text,label\na,\"b\nc,d\n\"e\"x,f\ng,h\n", &skip, "3 c|-|d\n5 g|-|h\n");
}

/* ---- JSON lines --------------------------------------------------------------------------- */

static void jsonl_labels(void **state)
{
    (void)state;
    expect("a.jsonl", "{\"text\":\"x\",\"label\":5}\n{\"text\":\"x\",\"label\":-0.1}\n{\"text\":\"x\",\"label\":1e100}\n",
           "1 x|-|5\n2 x|-|-0.1\n3 x|-|1e+100\n");
    expect("a.jsonl", "{\"text\":\"x\",\"label\":0.30000000000000004}\n", "1 x|-|0.30000000000000004\n");
    expect("a.jsonl", "{\"text\":\"x\",\"label\":[\"a\",\"b c\",3]}\n{\"text\":\"x\",\"label\":[]}\n", "1 x|-|a,b c,3\n2 x|-|\n");
    expect_bad("a.jsonl", "{\"text\":\"x\",\"label\":[\"a\",\"b,c\"]}\n",
               ":1: field \"label\" is an array that holds \"b,c\"; its comma would separate labels: rename the label");
    expect_bad("a.jsonl", "{\"text\":\"x\",\"label\":[\"a\",\" \"]}\n", ":1: field \"label\" is an array that holds an empty label; expected names");
    expect_bad("a.jsonl", "{\"text\":\"x\",\"label\":[[\"a\"]]}\n", ":1: field \"label\" is an array that holds an array; expected names");
    expect_bad("a.jsonl", "{\"text\":\"x\",\"label\":true}\n", ":1: field \"label\" is true; expected a string, a number or an array of strings");
    expect_bad("a.jsonl", "{\"text\":\"x\",\"label\":null}\n", ":1: field \"label\" is null; expected a string, a number or an array of strings");
}

static void jsonl_bad_rows(void **state)
{
    (void)state;
    expect("a.jsonl", "{\"text\":\"\\u4f60\\n\",\"label\":\"\"}\n \t\n\n", "1 \xe4\xbd\xa0\n|-|\n");
    expect_bad("a.jsonl", "{\"text\":5,\"label\":\"y\"}\n", ":1: field \"text\" is a number; expected a string");
    expect_bad("a.jsonl", "{\"text\":{},\"label\":\"y\"}\n", ":1: field \"text\" is an object; expected a string");
    expect_bad("a.jsonl", "{\"body\":\"x\",\"id\":4}\n", ":1: no column \"text\"; the object has \"body\", \"id\"; name one with --text");
    expect("a.jsonl", "\r\r\n \r\r\n", "");
    expect_bad("a.jsonl", "{}\n", ":1: no column \"text\"; the object has none; name one with --text");
    expect_bad("a.jsonl", "[{\"text\":\"x\"}]\n", ":1: the line is an array; expected an object, one a line");
    expect_parts("a.jsonl", "\n[\n", ":2: not a JSON object, column ", "; expected valid JSON; or pass --skip-bad");
    expect_parts("a.jsonl", "{\"text\":\"a\",\"text\":\"b\"}\n", ":1: not a JSON object, column ", "; expected each key once");
    expect_parts("a.jsonl", "{\"text\":\"a\\u0000b\"}\n", ":1: not a JSON object, column ", "a NUL character (\\u0000); expected text without it");
    char deep[402];
    memset(deep, '[', 400);
    memcpy(deep + 400, "\n", 2);
    expect_parts("a.jsonl", deep, ":1: not a JSON object, column ", "; expected at most 64 levels");
    expect_parts("a.jsonl", "{\"id\":1e999}\n", ":1: not a JSON object, column ", "; expected a number that fits into 64 bits");
}

static void jsonl_optional_labels(void **state)
{
    (void)state;
    fv_columns c = columns("text", "other", "label");
    c.label_optional = true;
    expect_with("a.jsonl", "{\"text\":\"x\",\"other\":\"y\"}\n{\"text\":\"x\",\"other\":\"y\",\"label\":null}\n{\"text\":\"x\",\"other\":\"y\",\"label\":\"z\"}\n", &c,
                "1 x|y|-\n2 x|y|-\n3 x|y|z\n");
}

/* ---- fastText ----------------------------------------------------------------------------- */

static void fasttext(void **state)
{
    (void)state;
    expect("a.txt", "__label__a __label__b\tMy  text \n\n__label__c\n", "1 My  text |-|a,b\n3 |-|c\n");
    expect("a.txt", "__label__\xe4\xbd\xa0,x y __label__z\n", "1 y __label__z|-|\xe4\xbd\xa0,x\n");
    expect_bad("a.txt", "My text\n", ":1: no label: \"My text\"; expected __label__NAME and then the text");
    expect_bad("a.txt", "__label__ My text\n", ":1: a label without a name: \"__label__ My text\"; expected __label__NAME and then the text");
    expect_bad("a.txt", "__label__a __label__b,c x\n",
               ":1: a comma within one of several labels, where it separates labels: \"__label__a __label__b,c x\"; expected __label__NAME and then the text");
    fv_columns c = columns("text", NULL, NULL);
    expect_with("a.txt", "My text\n__label__a x\n", &c, "1 My text|-|-\n2 x|-|-\n");
    c = columns("text", NULL, "label");
    c.label_optional = true;
    expect_with("a.txt", "My text\n__label__a x\n", &c, "1 My text|-|-\n2 x|-|a\n");
    c = columns("text", "second", "label");
    expect_with("a.txt", "__label__a x\n", &c, ":1: no column \"second\"; fastText lines have \"text\", \"label\"; name one with --text2");
}

/* ---- CoNLL -------------------------------------------------------------------------------- */

static void conll(void **state)
{
    (void)state;
    const char *sentences = "2 I live in Bad Homburg|-|O O O B-LOC I-LOC\n8 Ja|-|O\n";
    const char *tabs = "\nI\tO\nlive\tO\nin\tO\nBad\tB-LOC\nHomburg\tI-LOC\n\nJa\tO";
    expect("a.conll", tabs, sentences);
    expect("a.iob", tabs, sentences);
    expect("a.BIO", tabs, sentences);
    expect("a.conll", "\r\nI O\r\nlive   O \r\nin O\r\nBad B-LOC\t\r\nHomburg I-LOC\r\n \t\r\nJa O\r\n\r\n\r\n", sentences);
    expect("a.conll", "", "");
    expect("a.conll", "\n\n# only this\n", "");
    fv_buf packed = {0};
    made_gzip(&packed, tabs, strlen(tabs));
    assert_string_equal(read_rows(made_bytes("a.conll.gz", packed.data, packed.len), NULL), sentences);
    fv_buf_release(&packed);
}

/* Between the word and the tag: not read. A no-break space is part of a word. */
static void conll_columns_and_comments(void **state)
{
    (void)state;
    expect("a.conll", "U.N. NNP I-NP I-ORG\nrises VBZ I-VP O\n", "1 U.N. rises|-|I-ORG O\n");
    expect("a.conll", "x\t\t\tO\n y \tA b\t-\t Z \n", "1 x y|-|O Z\n");
    expect("a.conll", "10\xc2\xa0" "000\tB\n", "1 10\xc2\xa0" "000|-|B\n");
    const char *documents = "-DOCSTART- -X- O\n\n# id = 7\n#\nA X O\n# Y B\n#tag Z I\n-DOCSTART- -X- O\n#b V E\n";
    expect("a.conll", documents, "5 A # #tag|-|O B I\n9 #b|-|E\n");
    expect("a", documents, "5 A # #tag|-|O B I\n9 #b|-|E\n");
}

static void conll_without_tags(void **state)
{
    (void)state;
    fv_columns c = columns("text", NULL, NULL);
    expect_with("a.conll", "My\ntext\n\nx\n", &c, "1 My text|-|-\n4 x|-|-\n");
    expect_with("a.conll", "My O\ntext O\n", &c, "1 My text|-|-\n");
    c = columns("text", "text", "label");
    c.label_optional = true;
    expect_with("a.conll", "My\ntext\n", &c, "1 My text|My text|-\n");
    expect_with("a.conll", "My O\ntext B\n", &c, "1 My text|My text|O B\n");
    c = columns("text", NULL, "ner");
    expect_with("a.conll", "My O\n", &c, ":1: no column \"ner\"; CoNLL files have \"text\" (the words), \"label\" (their tags); name one with --label");
}

static void conll_bad_lines(void **state)
{
    (void)state;
    expect_bad("a.conll", "My\n", ":1: one column only: \"My\"; expected a word and its tag, apart by a tab or by spaces");
    expect_bad("a.conll", "New York\tB\n", ":1: a word that holds a space: \"New York\\tB\"; expected one word in the first column");
    expect_bad("a.conll", "x\tB I\n", ":1: a tag that holds a space: \"x\\tB I\"; expected one tag in the last column");
    expect_bad("a.conll", "\tO\n", ":1: the line has no word: \"\\tO\"; expected a word and its tag");
    expect_bad("a.conll", "I O\n\nsaw O\nNew York B\n",
               "1 I|-|O\n:4: found 3 columns where the lines before have 2: \"New York B\"; expected as many on every line, apart by a tab or by spaces, "
               "the first the word, the last its tag");
    expect_bad("a.conll", "ab O\nb\xff O\n", ":2: byte 2 (0xff) is not UTF-8: \"b\\xFF O\"; expected UTF-8 text");
}

/* A bad line costs its sentence and no other. */
static void conll_goes_on_behind_a_bad_sentence(void **state)
{
    (void)state;
    fv_columns skip = columns("text", NULL, "label");
    skip.skip_bad = true;
    expect_with("a.conll", "a\nb O\n\nc O\nd O O\ne O\n# x\n-DOCSTART-\nf O\n\ng O\nh", &skip, "9 f|-|O\n");
}

static void jsonl_of_words(void **state)
{
    (void)state;
    expect("a.jsonl", "{\"text\":[\"I\",\"live\"],\"label\":[\"O\",\"B-X,Y\"]}\n{\"text\":[],\"label\":[]}\n", "1 I live|-|O B-X,Y\n2 |-|\n");
    expect("a.jsonl", "{\"label\":\"O O\",\"text\":[\"I\",\"live\"]}\n", "1 I live|-|O O\n");
    expect_bad("a.jsonl", "{\"text\":[\"New York\"],\"label\":[\"B\"]}\n",
               ":1: field \"text\" is an array that holds \"New York\"; expected one word, without spaces, in each string");
    expect_bad("a.jsonl", "{\"text\":[\"\"],\"label\":[\"B\"]}\n", ":1: field \"text\" is an array that holds \"\"; expected one word, without spaces, in each string");
    expect_bad("a.jsonl", "{\"text\":[\"a\"],\"label\":[1]}\n", ":1: field \"label\" is an array that holds a number; expected strings, one for each word");
    fv_columns two = columns("text,other", NULL, NULL);
    expect_with("a.jsonl", "{\"text\":[\"a\"],\"other\":\"b\"}\n", &two,
                ":1: field \"text\" is an array; expected a string; or pass --skip-bad to leave such rows out");
}

/* ---- Columns ------------------------------------------------------------------------------ */

static void columns_asked_for(void **state)
{
    (void)state;
    const char *file = "id\ttitle\tbody\ttopic\n1\tHi\tthere\tgreeting\n";
    fv_columns c = columns("title,body", NULL, "topic");
    expect_with("a.tsv", file, &c, "2 Hi\nthere|-|greeting\n");
    c = columns("title", "body", NULL);
    expect_with("a.tsv", file, &c, "2 Hi|there|-\n");
    c = columns("body,body,id", "id", "id");
    expect_with("a.tsv", file, &c, "2 there\nthere\n1|1|1\n");
    c = columns("title", NULL, "label");
    expect_with("a.tsv", file, &c, ":1: no column \"label\"; the header has \"id\", \"title\", \"body\", \"topic\"; name one with --label");
    c.label_optional = true;
    expect_with("a.tsv", file, &c, "2 Hi|-|-\n");
    expect("a.tsv", "", "");
    expect("a.tsv", "id\tbody\n", ":1: no column \"text\"; the header has \"id\", \"body\"; name one with --text");
    expect("a.tsv", "text\tlabel\ttext\n", ":1: columns 1 and 3 are both called \"text\"; rename one");
}

static void columns_that_make_no_sense(void **state)
{
    (void)state;
    const char *file = "text\tlabel\n";
    fv_columns c = columns("text,", NULL, "label");
    expect_with("a.tsv", file, &c, "--text names an empty column; expected a column's name");
    c = columns("text", "", "label");
    expect_with("a.tsv", file, &c, "--text2 names an empty column; expected a column's name");
    c = columns("a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", NULL, NULL);
    expect_with("a.tsv", file, &c, "--text names more than 16 columns");
    c = (fv_columns){.text = "text"};
    expect_with("a.tsv", file, &c, "the columns were not set up by fv_columns_init, or name no text");
}

/* A header of thousands of names is not all in a message; one of a million is no header. */
static void wide_tables(void **state)
{
    (void)state;
    fv_buf text = {0};
    for (int i = 0; i < 3000; i++) fv_buf_printf(&text, NULL, "column %d\t", i);
    fv_buf_puts(&text, "text\tlabel\n", NULL);
    for (int i = 0; i < 3000; i++) fv_buf_printf(&text, NULL, "%d\t", i);
    fv_buf_puts(&text, "x\ty\n", NULL);
    expect("a.tsv", text.data, "2 x|-|y\n");
    fv_columns c = columns("body", NULL, NULL);
    const char *read = read_rows(made_text("a.tsv", text.data), &c);
    assert_non_null(strstr(read, ":1: no column \"body\"; the header has \"column 0\", \"column 1\", "));
    assert_non_null(strstr(read, ", …; name one with --text"));
    text.len = 0;
    made_repeat(&text, "\t", 1000000);
    expect("a.tsv", text.data, ":1: the header has 1000001 columns; at most 16384 are read");
    fv_buf_release(&text);
}

/* ---- Bytes -------------------------------------------------------------------------------- */

static void bytes_that_are_no_text(void **state)
{
    (void)state;
    expect_bad("a.tsv", "text\tlabel\nstolen\xff card\ty\n", ":2: byte 7 (0xff) is not UTF-8: \"stolen\\xFF card\\ty\"; expected UTF-8 text");
    expect_bad("a.jsonl", "{\"text\":\"\xe4\xbd\"}\n", ":1: byte 10 (0xe4) is not UTF-8: \"{\\\"text\\\":\\\"\\xE4\\xBD\\\"}\"; expected UTF-8 text");
    expect_bad("a.txt", "__label__a \xc0\xaf\n", ":1: byte 12 (0xc0) is not UTF-8: \"__label__a \\xC0\\xAF\"; expected UTF-8 text");
    expect_bad("a.csv", "text,label\n\"one\ntwo\nth\xed\xa0\x80ree\",x\n", ":4: byte 3 (0xed) is not UTF-8: \"th\\xED\\xA0\\x80ree\\\",x\"; expected UTF-8 text");
    expect("a.tsv", "te\xffxt\n", ":1: byte 3 (0xff) is not UTF-8: \"te\\xFFxt\"; expected UTF-8 text");
    const char nul[] = "text\tlabel\nlong enough for words\tx\nab\0c\ty\n";
    assert_string_equal(read_rows(made_bytes("a.tsv", nul, sizeof nul - 1), NULL),
                        "2 long enough for words|-|x\n:3: byte 3 (0x00) is a NUL byte: \"ab\\x00c\\ty\"; expected UTF-8 text; or pass --skip-bad to leave such rows out");
}

/* Each place in a line, so that no word-at-a-time shortcut misses one. */
static void bad_bytes_anywhere(void **state)
{
    (void)state;
    for (size_t at = 0; at < 40; at++) {
        for (int bad = 0; bad < 2; bad++) {
            char line[64] = "text\n";
            memset(line + 5, '\x01', 40);
            line[45] = '\n';
            line[5 + at] = bad ? '\x80' : '\0';
            char expected[64];
            snprintf(expected, sizeof expected, ":2: byte %zu (0x%s) is ", at + 1, bad ? "80" : "00");
            fv_columns c = columns("text", NULL, NULL);
            assert_memory_equal(read_rows(made_bytes("a.tsv", line, 46), &c), expected, strlen(expected));
        }
    }
}

/* ---- Skipping ----------------------------------------------------------------------------- */

static void bad_rows_are_counted(void **state)
{
    (void)state;
    fv_columns c = columns("text", NULL, "label");
    c.skip_bad = true;
    char path[256], expected[400];
    snprintf(path, sizeof path, "%s", made_text("a.tsv", "text\tlabel\na\tb\nlonely\n\nc\td\n\xff\te\nf\tg\n"));
    fv_reader *reader = fv_reader_open(path, &c, NULL);
    const char *first = NULL;
    fv_row row;
    assert_int_equal(fv_reader_next(reader, &row, NULL), 1);
    assert_int_equal(fv_reader_skipped(reader, &first), 0);
    assert_string_equal(first, "");
    assert_int_equal(fv_reader_next(reader, &row, NULL), 1);
    assert_string_equal(row.text, "c");
    assert_int_equal(fv_reader_skipped(reader, NULL), 2);
    assert_int_equal(fv_reader_next(reader, &row, NULL), 1);
    assert_int_equal(fv_reader_next(reader, &row, NULL), 0);
    assert_int_equal(fv_reader_skipped(reader, &first), 3);
    snprintf(expected, sizeof expected, "%s:3: found 1 field, expected 2 as in the header; field 1 is \"lonely\"; expected a tab between fields", path);
    assert_string_equal(first, expected);
    fv_reader_close(reader);
}

static void bad_rows_are_told_of(void **state)
{
    (void)state;
    fv_columns c = columns("text", NULL, "label");
    c.skip_bad = c.tell_bad = true;
    fv_reader *reader = fv_reader_open(made_text("a.tsv", "text\tlabel\na\tb\nlonely\nc\td\n\xff\te\n"), &c, NULL);
    const int expected[] = {1, 2, 1, 2, 0};
    fv_err err;
    fv_row row;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(fv_reader_next(reader, &row, &err), expected[i]);
        if (expected[i]) assert_int_equal(row.line, i + 2);
        if (expected[i] == 2) assert_null(row.text);
    }
    assert_non_null(strstr(err.text, "a.tsv:5: byte 1 (0xff) is not UTF-8"));
    assert_null(strstr(err.text, "--skip-bad"));
    assert_int_equal(fv_reader_skipped(reader, NULL), 2);
    fv_reader_close(reader);
}

/* Without skipping, a person may still read on after a bad row. */
static void reading_on_after_an_error(void **state)
{
    (void)state;
    fv_reader *reader = fv_reader_open(made_text("a.jsonl", "{\n{\"text\":\"x\",\"label\":\"y\"}\n"), NULL, NULL);
    fv_row row;
    assert_int_equal(fv_reader_next(reader, &row, NULL), FV_E_INPUT);
    assert_int_equal(fv_reader_next(reader, &row, NULL), 1);
    assert_string_equal(row.text, "x");
    assert_int_equal(fv_reader_next(reader, &row, NULL), 0);
    fv_reader_close(reader);
    fv_reader_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_by_name),
        cmocka_unit_test(kinds_by_first_line),
        cmocka_unit_test(tsv),
        cmocka_unit_test(empty_lines_of_tables),
        cmocka_unit_test(csv_quotes),
        cmocka_unit_test(csv_bad_rows),
        cmocka_unit_test(csv_goes_on_after_open_quote),
        cmocka_unit_test(jsonl_labels),
        cmocka_unit_test(jsonl_bad_rows),
        cmocka_unit_test(jsonl_optional_labels),
        cmocka_unit_test(fasttext),
        cmocka_unit_test(conll),
        cmocka_unit_test(conll_columns_and_comments),
        cmocka_unit_test(conll_without_tags),
        cmocka_unit_test(conll_bad_lines),
        cmocka_unit_test(conll_goes_on_behind_a_bad_sentence),
        cmocka_unit_test(jsonl_of_words),
        cmocka_unit_test(columns_asked_for),
        cmocka_unit_test(columns_that_make_no_sense),
        cmocka_unit_test(wide_tables),
        cmocka_unit_test(bytes_that_are_no_text),
        cmocka_unit_test(bad_bytes_anywhere),
        cmocka_unit_test(bad_rows_are_counted),
        cmocka_unit_test(bad_rows_are_told_of),
        cmocka_unit_test(reading_on_after_an_error),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
