/* Readers and datasets on hostile files. The first byte chooses the kind of file (by its name) and
 * the options, the rest is the file. Whatever comes in: no crash, no leak, strings that end where
 * they say and are UTF-8, lines that count upwards, as many tags as words. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/data.h"
#include "data/tags.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"a.tsv", "a.csv", "a.jsonl", "a.txt", "a.gz", "a", "a.conll", "a.md"};
static char folder[128];

static void remove_folder(void)
{
    char path[160];
    for (size_t i = 0; i < FV_COUNT(names); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

static void make_folder(void)
{
    const char *parent = getenv("TMPDIR");
    if (folder[0]) return;
    snprintf(folder, sizeof folder, "%.100s/fovea-reader-fuzz-%d", parent ? parent : "/tmp", (int)getpid());
    FV_ASSERT(mkdir(folder, 0700) == 0);
    atexit(remove_folder);
}

static void write_file(const char *path, const uint8_t *bytes, size_t n)
{
    FILE *file = fopen(path, "wb");
    FV_ASSERT(file && fwrite(bytes, 1, n, file) == n && fclose(file) == 0);
}

static void check_text(const char *text, size_t len)
{
    if (!text) return;
    FV_ASSERT(strlen(text) == len);
    for (const char *p = text, *end = text + len; p < end;) {
        int n = fv_utf8_len(p, end);
        FV_ASSERT(n > 0);
        p += n;
    }
}

static void read_all(const char *path, const fv_columns *columns)
{
    fv_err err = {0};
    fv_row row;
    int64_t line = 0;
    int more = FV_E_INPUT;
    fv_reader *reader = fv_reader_open(path, columns, &err);
    while (reader && (more = fv_reader_next(reader, &row, &err)) == 1) {
        FV_ASSERT(row.line > line);
        line = row.line;
        check_text(row.text, row.text_len);
        check_text(row.text2, row.text2_len);
        check_text(row.label, row.label_len);
    }
    FV_ASSERT(more == 0 || (err.status != FV_OK && err.text[0]));
    fv_reader_close(reader);
}

static void load_all(const char *path, const fv_columns *columns, fv_labels kind)
{
    fv_dataset set = {0}, held = {0};
    fv_label_set labels = {0};
    if (fv_dataset_load(&set, path, columns, kind, &labels, true, NULL) == FV_OK) {
        for (size_t i = 0; i < set.n && kind == FV_LABELS_TAGS; i++)
            FV_ASSERT(set.rows[i].n_labels == 0 || (size_t)set.rows[i].n_labels == fv_word_count(set.rows[i].text, set.rows[i].text_len));
        FV_ASSERT(fv_dataset_sort_labels(&set, kind, &labels, NULL) == FV_OK);
        size_t n = set.n;
        fv_dataset_split(&set, 0.2, 1, &held, NULL);
        FV_ASSERT(set.n > 0 && set.n + held.n == n);
    }
    fv_dataset_release(&set);
    fv_dataset_release(&held);
    fv_label_set_release(&labels);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[160];
    fv_columns columns;
    if (size == 0) return 0;
    unsigned choice = data[0] / FV_COUNT(names);
    int64_t live = fv_alloc_live();
    make_folder();
    snprintf(path, sizeof path, "%s/%s", folder, names[data[0] % FV_COUNT(names)]);
    write_file(path, data + 1, size - 1);
    fv_columns_init(&columns);
    columns.skip_bad = choice & 1;
    columns.label_optional = choice & 2;
    if (choice & 4) columns.text = "text,label";
    if (choice & 8) columns.text2 = "text";
    read_all(path, &columns);
    load_all(path, &columns, (fv_labels)(choice % 4));
    FV_ASSERT(fv_alloc_live() == live);
    return 0;
}
