/* A folder of texts: which files are found and in what order, plain text parted by blank lines, and what is told of files
 * that are no text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "data/data.h"
#include "data/files.h"
#include "data/made.h"
#include "formats/scratch.h"

static void make_folder(const char *name) { assert_int_equal(fv_folder_make(scratch_path(name), NULL), FV_OK); }

/* Found paths without the folder's, a space between them. */
static const char *found(const char *name)
{
    static char all[1024];
    fv_err err = {0};
    fv_text_files files;
    const char *folder = scratch_path(name);
    size_t n = 0, skip = strlen(folder) + 1;
    if (fv_text_files_find(&files, folder, &err) != FV_OK) return snprintf(all, sizeof all, "%s", err.text + strlen(folder)), all;
    for (size_t i = 0; i < files.n; i++) n += (size_t)snprintf(all + n, sizeof all - n, "%s%s", i ? " " : "", files.paths[i] + skip);
    fv_text_files_release(&files);
    return all;
}

static void which_files(void **state)
{
    (void)state;
    make_folder("which/b/c");
    make_folder("which/.git");
    made_text("which/z.txt", "z");
    made_text("which/b/c/deep.MD", "deep");
    made_text("which/b/a.csv.gz", "");
    made_text("which/b.jsonl", "");
    made_text("which/A.tsv", "");
    made_text("which/.hidden.txt", "");
    made_text("which/.git/x.txt", "");
    made_text("which/picture.png", "");
    made_text("which/.txt", "");
    made_text("which/txt", "");
    made_text("which/a.gz", "");
    assert_int_equal(symlink(scratch_path("which/z.txt"), scratch_path("which/link.txt")), 0);
    assert_int_equal(symlink(scratch_path("which"), scratch_path("which/b/loop")), 0);
    assert_int_equal(mkfifo(scratch_path("which/pipe.txt"), 0600), 0);
    assert_string_equal(found("which"), "A.tsv b.jsonl b/a.csv.gz b/c/deep.MD z.txt");
}

static void folders_that_have_none(void **state)
{
    (void)state;
    make_folder("none/below");
    made_text("none/below/a.png", "");
    assert_string_equal(found("none"), ": no files of texts are in it; expected .txt, .md, .tsv, .csv, .jsonl, each also as .gz");
    make_folder("shut/below");
    made_text("shut/a.txt", "a");
    if (geteuid() == 0) return; /* to whom no folder is shut */
    assert_int_equal(chmod(scratch_path("shut/below"), 0), 0);
    assert_non_null(strstr(found("shut"), "/below: the folder cannot be read: Permission denied"));
    assert_int_equal(chmod(scratch_path("shut/below"), 0700), 0);
}

static void depth_has_an_end(void **state)
{
    (void)state;
    char path[512] = "deep";
    for (int i = 0; i < 70; i++) strncat(path, "/d", sizeof path - strlen(path) - 1);
    make_folder(path);
    assert_non_null(strstr(found("deep"), "folders lie more than 64 deep"));
}

/* ---- Plain text --------------------------------------------------------------------------- */

static void blank_lines_part_texts(void **state)
{
    (void)state;
    fv_columns c;
    fv_columns_init(&c);
    c.label = NULL;
    assert_string_equal(read_rows(made_text("a.md", "\n \n# One\ntwo\n\n\nthree  \r\n four\r\n\t\r\nfive"), &c), "3 # One\ntwo|-|-\n7 three  \n four|-|-\n10 five|-|-\n");
    assert_string_equal(read_rows(made_text("a.md", " \n\n"), &c), "");
    assert_string_equal(read_rows(made_text("a.md", ""), &c), "");
    c.text = "title,body"; /* a table's */
    assert_string_equal(read_rows(made_text("a.md", "one\ntwo\n"), &c), "1 one\ntwo|-|-\n");
    c.text2 = "second";
    assert_string_equal(read_rows(made_text("a.md", "one\n"), &c), ":1: no column \"second\"; plain text has \"text\"; name one with --text2");
    fv_columns_init(&c);
    assert_string_equal(read_rows(made_text("a.md", "one\n"), &c), ":1: no column \"label\"; plain text has \"text\"; name one with --label");
}

static void long_texts_are_parted_at_lines(void **state)
{
    (void)state;
    fv_buf text = {0};
    fv_dataset set;
    fv_label_set labels = {0};
    fv_columns c;
    fv_columns_init(&c);
    c.label = NULL;
    size_t all = 0;
    made_repeat(&text, "a line of some words\n", 4000); /* 84,000 bytes */
    assert_int_equal(fv_dataset_load(&set, made_bytes("long.md", text.data, text.len), &c, FV_LABELS_NONE, &labels, false, NULL), FV_OK);
    assert_int_equal(set.n, 6);
    for (size_t i = 0; i < set.n; i++) {
        assert_true(i + 1 == set.n || (set.rows[i].text_len >= 16 << 10 && set.rows[i].text_len < (16 << 10) + 21));
        assert_memory_equal(set.rows[i].text, "a line", 6);
        all += set.rows[i].text_len + 1;
    }
    assert_int_equal(all, text.len);
    fv_dataset_release(&set);
    fv_buf_release(&text);
}

/* ---- Folders as one set ------------------------------------------------------------------- */

static fv_status load(fv_dataset *set, const char *name, bool skip_bad, fv_err *err)
{
    fv_columns c;
    fv_label_set labels = {0};
    fv_columns_init(&c);
    c.label = NULL;
    c.skip_bad = skip_bad;
    return fv_dataset_load(set, scratch_path(name), &c, FV_LABELS_NONE, &labels, false, err);
}

static void expect_texts(const fv_dataset *set, const char *expected)
{
    char all[256] = "";
    for (size_t i = 0; i < set->n; i++) {
        strncat(all, i ? "|" : "", sizeof all - strlen(all) - 1);
        strncat(all, set->rows[i].text, sizeof all - strlen(all) - 1);
    }
    assert_string_equal(all, expected);
}

static void a_folder_is_one_set(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_dataset set;
    fv_buf gz = {0};
    made_gzip(&gz, "text\tother\nof a table\tx\n", 24);
    make_folder("set/below");
    made_text("set/c.txt", "__label__x is text\n\nlast\n");
    made_text("set/b.jsonl", "{\"text\":\"of an object\"}\n");
    made_bytes("set/below/a.tsv.gz", gz.data, gz.len);
    made_text("set/empty.txt", "");
    if (load(&set, "set", false, &err) != FV_OK) fail_msg("%s", err.text);
    expect_texts(&set, "of an object|of a table|__label__x is text|last");
    assert_int_equal(set.files, 4);
    assert_int_equal(set.skipped_files, 0);
    char hash[65];
    memcpy(hash, set.hash, sizeof hash);
    fv_dataset_release(&set);
    made_text("set.jsonl", "{\"text\":\"of an object\"}\n{\"text\":\"of a table\"}\n{\"text\":\"__label__x is text\"}\n{\"text\":\"last\"}\n");
    assert_int_equal(load(&set, "set.jsonl", false, &err), FV_OK);
    assert_string_equal(set.hash, hash); /* of what was read, wherever it lay */
    assert_int_equal(set.files, 0);
    fv_dataset_release(&set);
    made_text("set/c.txt", "__label__x is text\n\nlost\n");
    assert_int_equal(load(&set, "set", false, &err), FV_OK);
    assert_string_not_equal(set.hash, hash);
    fv_dataset_release(&set);
    fv_buf_release(&gz);
}

static void bad_files_are_told_or_left_out(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_dataset set;
    make_folder("bad");
    made_text("bad/a.txt", "good\n");
    made_bytes("bad/b.txt", "begins well\n\nthen\0not\n", 22);
    made_text("bad/c.tsv", "body\nno such column\n");
    made_text("bad/d.tsv", "text\tn\nfine\t1\nlonely\n");
    made_text("bad/e.md", "latin \xe9\n");
    made_text("bad/f.jsonl.gz", "plain");
    made_bytes("bad/g.txt", "PK\x03\x04zip", 7);
    made_text("bad/h.txt", "end");
    assert_int_equal(load(&set, "bad", false, &err), FV_E_INPUT);
    assert_non_null(strstr(err.text, "bad/b.txt:3: byte 5 (0x00) "));
    int64_t live = fv_alloc_live();
    assert_int_equal(load(&set, "bad", true, &err), FV_OK);
    expect_texts(&set, "good|fine|end");
    assert_int_equal(set.files, 3);
    assert_int_equal(set.skipped_files, 5);
    assert_int_equal(set.skipped, 1);
    assert_non_null(strstr(set.skipped_files_first, "bad/b.txt:3: byte 5 (0x00) "));
    assert_non_null(strstr(set.skipped_first, "bad/d.tsv:3: "));
    fv_dataset_release(&set);
    assert_int_equal(fv_alloc_live(), live);
    make_folder("worse");
    made_text("worse/a.txt", "\xff");
    assert_int_equal(load(&set, "worse", true, &err), FV_E_INPUT);
    assert_non_null(strstr(err.text, "worse: no texts are left, 1 files are bad; the first: "));
}

static void memory_that_runs_out(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_dataset set;
    make_folder("faults/below");
    made_text("faults/a.txt", "one\n\ntwo\n");
    made_text("faults/below/b.tsv", "text\nthree\n");
    int64_t live = fv_alloc_live();
    for (int64_t n = 0;; n++) {
        fv_alloc_fail_after(n);
        fv_status status = load(&set, "faults", n % 2, &err);
        fv_alloc_fail_after(-1);
        if (status == FV_OK) break;
        assert_int_equal(status, FV_E_MEMORY);
        assert_int_equal(fv_alloc_live(), live);
    }
    expect_texts(&set, "one|two|three");
    fv_dataset_release(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(which_files),
        cmocka_unit_test(folders_that_have_none),
        cmocka_unit_test(depth_has_an_end),
        cmocka_unit_test(blank_lines_part_texts),
        cmocka_unit_test(long_texts_are_parted_at_lines),
        cmocka_unit_test(a_folder_is_one_set),
        cmocka_unit_test(bad_files_are_told_or_left_out),
        cmocka_unit_test(memory_that_runs_out),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
