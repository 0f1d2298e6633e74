/* Lines of plain and gzipped files: their ends, their sizes, and every way in which a file can be
 * not what it seems. Read through the public reader as one-column TSV where rows are enough. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "data/lines.h"
#include "data/made.h"
#include "formats/scratch.h"

static const char *read_texts(const char *path)
{
    fv_columns columns;
    fv_columns_init(&columns);
    columns.label = NULL;
    return read_rows(path, &columns);
}

static void line_ends(void **state)
{
    (void)state;
    assert_string_equal(read_texts(made_text("a.tsv", "text\none\ntwo\n")), "2 one|-|-\n3 two|-|-\n");
    assert_string_equal(read_texts(made_text("a.tsv", "text\r\none\r\ntwo\r\n")), "2 one|-|-\n3 two|-|-\n");
    assert_string_equal(read_texts(made_text("a.tsv", "text\none\ntwo")), "2 one|-|-\n3 two|-|-\n");
    assert_string_equal(read_texts(made_text("a.tsv", "\xef\xbb\xbftext\none\n")), "2 one|-|-\n");
    assert_string_equal(read_texts(made_text("a.tsv", "\xef\xbb\xbf")), "");
    assert_string_equal(read_texts(made_text("a.tsv", "text\na\rb\n")), "2 a\rb|-|-\n");
}

/* Record by record: what more, keep_first and unread give. */
static void records_grow_and_are_given_back(void **state)
{
    (void)state;
    fv_lines l;
    assert_int_equal(fv_lines_open(&l, made_text("a.txt", "one\r\ntwo\nthree"), NULL), FV_OK);
    assert_int_equal(fv_lines_next(&l, NULL), 1);
    assert_int_equal(fv_lines_more(&l, NULL), 1);
    assert_int_equal(l.len, strlen("one\r\ntwo"));
    assert_memory_equal(l.text, "one\r\ntwo", l.len);
    assert_int_equal(fv_lines_more(&l, NULL), 1);
    assert_int_equal(fv_lines_more(&l, NULL), 0);
    assert_memory_equal(l.text, "one\r\ntwo\nthree", l.len);
    assert_int_equal(l.line, 1);
    assert_int_equal(l.last, 3);
    fv_lines_keep_first(&l);
    assert_int_equal(l.len, 3);
    assert_int_equal(fv_lines_next(&l, NULL), 1);
    assert_int_equal(l.line, 2);
    fv_lines_unread(&l);
    assert_int_equal(fv_lines_next(&l, NULL), 1);
    assert_memory_equal(l.text, "two", l.len);
    assert_int_equal(l.line, 2);
    assert_int_equal(fv_lines_next(&l, NULL), 1);
    assert_int_equal(fv_lines_next(&l, NULL), 0);
    assert_int_equal(fv_lines_next(&l, NULL), 0);
    fv_lines_close(&l);
    fv_lines_close(&l);
}

/* Sizes around the buffers' edges. */
static void lines_of_every_size(void **state)
{
    (void)state;
    fv_buf text = {0};
    for (size_t size = 65530; size < 65545; size++) {
        text.len = 0;
        made_repeat(&text, "text\n", 1);
        for (int i = 0; i < 9; i++) {
            made_repeat(&text, "x", size);
            made_repeat(&text, "\r\n", 1);
        }
        fv_columns columns;
        fv_columns_init(&columns);
        columns.label = NULL;
        fv_reader *reader = fv_reader_open(made_bytes("a.tsv", text.data, text.len), &columns, NULL);
        fv_row row;
        for (int i = 0; i < 9; i++) {
            assert_int_equal(fv_reader_next(reader, &row, NULL), 1);
            assert_int_equal(row.text_len, size);
            assert_int_equal(strspn(row.text, "x"), size);
        }
        assert_int_equal(fv_reader_next(reader, &row, NULL), 0);
        fv_reader_close(reader);
    }
    fv_buf_release(&text);
}

static void long_lines(void **state)
{
    (void)state;
    fv_columns columns;
    fv_columns_init(&columns);
    columns.label = NULL;
    fv_buf text = {0};
    made_repeat(&text, "text\n", 1);
    made_repeat(&text, "0123456789", 1 << 20);
    made_repeat(&text, "\nshort\n", 1);
    fv_reader *reader = fv_reader_open(made_bytes("long.tsv", text.data, text.len), &columns, NULL);
    fv_row row;
    assert_int_equal(fv_reader_next(reader, &row, NULL), 1);
    assert_int_equal(row.text_len, 10 << 20);
    assert_int_equal(fv_reader_next(reader, &row, NULL), 1);
    assert_string_equal(row.text, "short");
    fv_reader_close(reader);

    while (text.len <= FV_LINE_BYTES + 5) made_repeat(&text, "0123456789abcdef", 1 << 16);
    memset(text.data + 5, 'x', text.len - 5);
    assert_string_equal(read_texts(made_bytes("long.tsv", text.data, text.len)),
                        ":2: the line is longer than 64 MB; is this a text file with line breaks?");
    text.data[5 + FV_LINE_BYTES] = '\n'; /* exactly as long as a line may be */
    reader = fv_reader_open(made_bytes("long.tsv", text.data, 5 + FV_LINE_BYTES + 1), &columns, NULL);
    assert_int_equal(fv_reader_next(reader, &row, NULL), 1);
    assert_int_equal(row.text_len, FV_LINE_BYTES);
    assert_int_equal(fv_reader_next(reader, &row, NULL), 0);
    fv_reader_close(reader);
    fv_buf_release(&text);
}

/* Memory does not grow with the file: after the first rows nothing is allocated. */
static void reading_allocates_nothing_more(void **state)
{
    (void)state;
    fv_buf text = {0}, gz = {0};
    made_repeat(&text, "text,label\n", 1);
    made_repeat(&text, "\"some text\nwith \"\"quotes\"\"\",a label\n", 100000);
    made_gzip(&gz, text.data, text.len);
    for (int kind = 0; kind < 2; kind++) {
        const char *path = kind == 0 ? made_bytes("a.csv", text.data, text.len) : made_bytes("a.csv.gz", gz.data, gz.len);
        fv_reader *reader = fv_reader_open(path, NULL, NULL);
        fv_row row;
        for (int i = 0; i < 10; i++) assert_int_equal(fv_reader_next(reader, &row, NULL), 1);
        int64_t allocations = fv_alloc_count();
        for (int i = 10; i < 100000; i++) assert_int_equal(fv_reader_next(reader, &row, NULL), 1);
        assert_int_equal(fv_alloc_count(), allocations);
        assert_int_equal(fv_reader_next(reader, &row, NULL), 0);
        fv_reader_close(reader);
    }
    fv_buf_release(&text);
    fv_buf_release(&gz);
}

static const char rows[] = "text\none\ntwo\n";
static const char rows_read[] = "2 one|-|-\n3 two|-|-\n";

static void gzip_by_name_and_by_magic(void **state)
{
    (void)state;
    fv_buf gz = {0};
    made_gzip(&gz, rows, sizeof rows - 1);
    assert_string_equal(read_texts(made_bytes("a.tsv.gz", gz.data, gz.len)), rows_read);
    assert_string_equal(read_texts(made_bytes("a.TSV.GZ", gz.data, gz.len)), rows_read);
    assert_string_equal(read_texts(made_bytes("a.tsv", gz.data, gz.len)), rows_read);
    assert_string_equal(read_texts(made_bytes("a", gz.data, gz.len)), rows_read);
    gz.len = 0;
    made_gzip(&gz, "\xef\xbb\xbftext\none", 11);
    assert_string_equal(read_texts(made_bytes("a.tsv.gz", gz.data, gz.len)), "2 one|-|-\n");
    fv_buf_release(&gz);
}

/* Members one after another are one text, also when one is empty or cut in the middle of a line. */
static void gzip_members(void **state)
{
    (void)state;
    fv_buf gz = {0};
    made_gzip(&gz, rows, 8);
    made_gzip(&gz, "", 0);
    made_gzip(&gz, rows + 8, sizeof rows - 1 - 8);
    assert_string_equal(read_texts(made_bytes("a.gz", gz.data, gz.len)), rows_read);
    fv_buf_add(&gz, "\0\0\0\0", 4, NULL);
    assert_string_equal(read_texts(made_bytes("a.gz", gz.data, gz.len)), rows_read);
    fv_buf_add(&gz, "junk", 4, NULL);
    assert_non_null(strstr(read_texts(made_bytes("a.gz", gz.data, gz.len)), ": the gzip data is damaged after line 3 (incorrect header check)"));
    gz.len = 0;
    made_gzip(&gz, "", 0);
    assert_string_equal(read_texts(made_bytes("a.gz", gz.data, gz.len)), "");
    fv_buf_release(&gz);
}

/* A gzip cut anywhere is an error, never a shorter file. */
static void gzip_cut_off(void **state)
{
    (void)state;
    fv_buf gz = {0};
    made_gzip(&gz, rows, sizeof rows - 1);
    for (size_t n = 2; n < gz.len; n++) {
        const char *read = read_texts(made_bytes("a.tsv.gz", gz.data, n));
        if (!strstr(read, ": the gzip data is cut off after line ")) fail_msg("%zu bytes give \"%s\"", n, read);
    }
    for (size_t n = 0; n < 2; n++) assert_non_null(strstr(read_texts(made_bytes("a.tsv.gz", gz.data, n)), ": is not gzip, as its name says"));
    assert_string_equal(read_texts(made_bytes("a.tsv.gz", gz.data, gz.len - 1)),
                        "2 one|-|-\n3 two|-|-\n: the gzip data is cut off after line 3; copy or download the file again");
    fv_buf_release(&gz);
}

static void gzip_damaged(void **state)
{
    (void)state;
    fv_buf text = {0}, gz = {0};
    made_repeat(&text, "text\n", 1);
    for (int i = 0; i < 3000; i++) fv_buf_printf(&text, NULL, "row %d of a long text %d\n", i, i * i);
    made_gzip(&gz, text.data, text.len);
    for (size_t at = 0; at < gz.len; at += 211) {
        gz.data[at] ^= 0x20;
        read_texts(made_bytes("a.tsv.gz", gz.data, gz.len)); /* a header's flag may change unnoticed: no crash, no leak */
        gz.data[at] ^= 0x20;
    }
    gz.data[gz.len - 6] ^= 1;
    const char *read = read_texts(made_bytes("a.tsv.gz", gz.data, gz.len));
    assert_non_null(strstr(read, ": the gzip data is damaged after line "));
    assert_non_null(strstr(read, " (incorrect data check); copy or download the file again"));
    fv_buf_release(&text);
    fv_buf_release(&gz);
}

static void what_is_no_text_is_told(void **state)
{
    (void)state;
    char path[256];
    snprintf(path, sizeof path, "%s", scratch_path("none.tsv"));
    assert_string_equal(read_texts(path), ": no such file");
    assert_string_equal(read_texts(scratch_folder()), ": is a folder; expected a file");
    assert_string_equal(read_texts(made_text("a.tsv.gz", "text\none\n")),
                        ": is not gzip, as its name says; unpacked files go by .tsv, .csv or .jsonl");
    assert_string_equal(read_texts(made_text("a.tsv", "(\xb5/\xfd....")), ": is compressed by zstd; unpack it, or compress it with gzip");
    assert_string_equal(read_texts(made_text("a.tsv", "\xfd""7zXZ")), ": is compressed by xz; unpack it, or compress it with gzip");
    assert_string_equal(read_texts(made_text("a.csv", "PK\x03\x04...")), ": is a zip archive or a spreadsheet; save it as TSV, CSV or JSONL");
    assert_string_equal(read_texts(made_bytes("a.csv", "\xff\xfet\0e\0x\0t\0", 10)), ": is UTF-16 text; save it as UTF-8");
    fv_buf gz = {0};
    made_gzip(&gz, "\xff\xfet\0e\0x\0t\0", 10);
    assert_string_equal(read_texts(made_bytes("a.csv.gz", gz.data, gz.len)), ": within the gzip is UTF-16 text; save it as UTF-8");
    fv_buf_release(&gz);
}

/* With `bytes` as standard input. */
static const char *read_stdin(const void *bytes, size_t n)
{
    int ends[2], kept = dup(STDIN_FILENO);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], bytes, n), (ssize_t)n);
    close(ends[1]);
    dup2(ends[0], STDIN_FILENO);
    close(ends[0]);
    const char *read = read_texts("-");
    dup2(kept, STDIN_FILENO);
    close(kept);
    return read;
}

static void standard_input(void **state)
{
    (void)state;
    fv_buf gz = {0};
    assert_string_equal(read_stdin(rows, sizeof rows - 1), rows_read);
    assert_string_equal(read_stdin("", 0), "");
    made_gzip(&gz, rows, sizeof rows - 1);
    assert_string_equal(read_stdin(gz.data, gz.len), rows_read);
    assert_string_equal(read_stdin("body\nx\n", 7), "stdin:1: no column \"text\"; the header has \"body\"; name one with --text");
    fv_buf_release(&gz);
}

/* A failure is given again, and no row comes after it. */
static void failures_stay(void **state)
{
    (void)state;
    fv_buf gz = {0};
    fv_lines l;
    fv_err first = {0}, again = {0};
    made_gzip(&gz, rows, sizeof rows - 1);
    assert_int_equal(fv_lines_open(&l, made_bytes("a.gz", gz.data, gz.len - 3), NULL), FV_OK);
    while (fv_lines_next(&l, &first) == 1) continue;
    assert_int_equal(first.status, FV_E_INPUT);
    assert_int_equal(fv_lines_next(&l, &again), FV_E_INPUT);
    assert_string_equal(first.text, again.text);
    fv_lines_close(&l);
    fv_buf_release(&gz);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line_ends),
        cmocka_unit_test(records_grow_and_are_given_back),
        cmocka_unit_test(lines_of_every_size),
        cmocka_unit_test(long_lines),
        cmocka_unit_test(reading_allocates_nothing_more),
        cmocka_unit_test(gzip_by_name_and_by_magic),
        cmocka_unit_test(gzip_members),
        cmocka_unit_test(gzip_cut_off),
        cmocka_unit_test(gzip_damaged),
        cmocka_unit_test(what_is_no_text_is_told),
        cmocka_unit_test(standard_input),
        cmocka_unit_test(failures_stay),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
