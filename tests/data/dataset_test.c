/* Labels turned into numbers, the order of labels, the holding back of rows, and memory that runs out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/data.h"
#include "data/made.h"
#include "formats/scratch.h"

/* Loads CONTENT as NAME into fresh sets; fails the test if that fails. */
static void load(fv_dataset *set, fv_label_set *labels, fv_labels kind, const char *name, const char *content)
{
    fv_err err = {0};
    *labels = (fv_label_set){0};
    if (fv_dataset_load(set, made_text(name, content), NULL, kind, labels, true, &err) != FV_OK) fail_msg("%s", err.text);
}

static void release(fv_dataset *set, fv_label_set *labels)
{
    fv_dataset_release(set);
    fv_label_set_release(labels);
}

/* Loading fails, gives nothing, and says MESSAGE behind the path. */
static void expect_error(fv_labels kind, const fv_columns *columns, const char *name, const char *content, const char *message)
{
    fv_err err = {0};
    fv_dataset set;
    fv_label_set labels = {0};
    const char *path = made_text(name, content);
    int64_t live = fv_alloc_live();
    assert_int_equal(fv_dataset_load(&set, path, columns, kind, &labels, true, &err), FV_E_INPUT);
    assert_memory_equal(err.text, path, strlen(path));
    assert_string_equal(err.text + strlen(path), message);
    assert_null(set.rows);
    assert_int_equal(set.n, 0);
    fv_label_set_release(&labels);
    assert_int_equal(fv_alloc_live(), live);
    assert_int_equal(fv_dataset_load(&set, path, columns, kind, &labels, true, NULL), FV_E_INPUT);
    fv_label_set_release(&labels);
}

/* ---- One label ---------------------------------------------------------------------------- */

static void one_label(void **state)
{
    (void)state;
    fv_dataset set;
    fv_label_set labels;
    load(&set, &labels, FV_LABELS_SINGLE, "a.tsv", "text\tlabel\nx\tb\n\ta b, c\nz\t\xe9\x80\x80\xe6\xac\xbe\nw\tb\n");
    assert_int_equal(set.n, 4);
    assert_int_equal(labels.n, 3);
    assert_string_equal(labels.names[0], "b");
    assert_string_equal(labels.names[1], "a b, c");
    assert_string_equal(labels.names[2], "\xe9\x80\x80\xe6\xac\xbe");
    for (int i = 0; i < 4; i++) {
        assert_int_equal(set.rows[i].label, i % 3);
        assert_int_equal(set.rows[i].n_labels, 1);
        assert_int_equal(set.rows[i].line, i + 2);
        assert_null(set.rows[i].text2);
    }
    assert_int_equal(set.rows[1].text_len, 0);
    assert_string_equal(set.rows[1].text, "");
    release(&set, &labels);
}

static void labels_sorted_by_bytes(void **state)
{
    (void)state;
    fv_dataset set;
    fv_label_set labels;
    load(&set, &labels, FV_LABELS_SINGLE, "a.tsv", "text\tlabel\nx\tb\ny\t\xe9\x80\x80\nz\ta\nw\tB\nv\tb\n");
    assert_int_equal(fv_dataset_sort_labels(&set, FV_LABELS_SINGLE, &labels, NULL), FV_OK);
    const char *sorted[] = {"B", "a", "b", "\xe9\x80\x80"};
    for (int i = 0; i < 4; i++) {
        assert_string_equal(labels.names[i], sorted[i]);
        assert_int_equal(fv_map_get(&labels.ids, sorted[i], strlen(sorted[i])), i);
    }
    const int32_t expected[] = {2, 3, 1, 0, 2};
    for (int i = 0; i < 5; i++) assert_int_equal(set.rows[i].label, expected[i]);
    release(&set, &labels);
}

static void a_hundred_thousand_labels(void **state)
{
    (void)state;
    fv_buf text = {0};
    fv_dataset set;
    fv_label_set labels;
    fv_buf_puts(&text, "text\tlabel\n", NULL);
    for (int i = 0; i < 100000; i++) fv_buf_printf(&text, NULL, "text %d\tlabel %d\n", i, 99999 - i);
    load(&set, &labels, FV_LABELS_SINGLE, "many.tsv", text.data);
    assert_int_equal(labels.n, 100000);
    assert_int_equal(fv_dataset_sort_labels(&set, FV_LABELS_SINGLE, &labels, NULL), FV_OK);
    for (int i = 0; i < 100000; i += 7) {
        char name[32];
        snprintf(name, sizeof name, "label %d", 99999 - i);
        assert_string_equal(labels.names[set.rows[i].label], name);
        assert_int_equal(fv_map_get(&labels.ids, name, strlen(name)), set.rows[i].label);
        if (i > 0) assert_true(strcmp(labels.names[i - 1], labels.names[i]) < 0);
    }
    release(&set, &labels);
    fv_buf_release(&text);
}

static void unknown_labels(void **state)
{
    (void)state;
    fv_dataset set;
    fv_label_set labels;
    const char *const names[] = {"a", "b"};
    char path[256], expected[400];
    assert_int_equal(fv_label_set_copy(&labels, names, 2, NULL), FV_OK);
    snprintf(path, sizeof path, "%s", made_text("valid.tsv", "text\tlabel\nx\tb\ny\tx y\nz\tz\n"));
    assert_int_equal(fv_dataset_load(&set, path, NULL, FV_LABELS_SINGLE, &labels, false, NULL), FV_OK);
    assert_int_equal(set.rows[0].label, 1);
    assert_int_equal(set.rows[1].label, -1);
    assert_int_equal(set.unknown, 2);
    snprintf(expected, sizeof expected, "%s:3: label \"x y\" never occurs in training", path);
    assert_string_equal(set.unknown_first, expected);
    fv_dataset_release(&set);

    snprintf(path, sizeof path, "%s", made_text("valid.tsv", "text\tlabel\nx\tb,q,a,r\n"));
    assert_int_equal(fv_dataset_load(&set, path, NULL, FV_LABELS_MULTI, &labels, false, NULL), FV_OK);
    assert_int_equal(set.rows[0].n_labels, 2);
    assert_int_equal(set.rows[0].labels[0], 0);
    assert_int_equal(set.rows[0].labels[1], 1);
    assert_int_equal(set.unknown, 2);
    assert_int_equal(labels.n, 2);
    release(&set, &labels);
}

/* ---- Tags --------------------------------------------------------------------------------- */

static void tags(void **state)
{
    (void)state;
    fv_dataset set;
    fv_label_set labels;
    load(&set, &labels, FV_LABELS_TAGS, "a.tsv", "text\tlabel\nin Bad  Homburg\tO B-x I-x\n \t\nBad\tB-x \n");
    assert_int_equal(fv_dataset_sort_labels(&set, FV_LABELS_TAGS, &labels, NULL), FV_OK);
    assert_string_equal(labels.names[0], "B-x");
    assert_int_equal(labels.n, 3);
    const int32_t expected[] = {2, 0, 1};
    assert_int_equal(set.rows[0].n_labels, 3);
    assert_memory_equal(set.rows[0].labels, expected, sizeof expected); /* in the words' order */
    assert_int_equal(set.rows[1].n_labels, 0);
    assert_int_equal(set.rows[2].labels[0], 0);
    fv_dataset_release(&set);

    assert_int_equal(fv_dataset_load(&set, made_text("b.conll", "a\tO\nb\tB-y\nc\tI-x\n"), NULL, FV_LABELS_TAGS, &labels, false, NULL), FV_OK);
    const int32_t known[] = {2, -1, 1};
    assert_memory_equal(set.rows[0].labels, known, sizeof known);
    assert_int_equal(set.unknown, 1);
    release(&set, &labels);
    expect_error(FV_LABELS_TAGS, NULL, "a.tsv", "text\tlabel\nin Homburg\tO\n", ":2: 2 words and 1 tag; expected as many, a space between them; or pass --skip-bad to leave such rows out");
    expect_error(FV_LABELS_TAGS, NULL, "a.tsv", "text\tlabel\nHomburg\t\n", ":2: 1 word and 0 tags; expected as many, a space between them; or pass --skip-bad to leave such rows out");
}

/* ---- Several labels, numbers, none ---------------------------------------------------------- */

/* Rows of vectors: the first says what all have; with grades an empty text is a document that nobody asks for. */
static void vectors(void **state)
{
    (void)state;
    fv_dataset set, held;
    fv_label_set labels = {0};
    fv_columns c;
    fv_columns_init(&c);
    fv_dataset_vector_columns(&c);
    assert_int_equal(fv_dataset_load(&set, made_text("v.tsv", "text\ttext2\tnegative\na\tx\tz\nb\ty\tw\n"), &c, FV_LABELS_VECTOR, &labels, true, NULL), FV_OK);
    assert_int_equal(set.has, FV_HAS_TEXT2 | FV_HAS_NEGATIVE);
    assert_string_equal(set.rows[1].negative, "w");
    assert_true(isnan(set.rows[0].value));
    assert_int_equal(fv_dataset_split(&set, 0.5, 1, &held, NULL), FV_OK);
    assert_int_equal(held.has, set.has);
    assert_true(held.rows[0].negative[0] == 'z' || held.rows[0].negative[0] == 'w');
    fv_dataset_release(&held);
    fv_dataset_release(&set);
    assert_int_equal(fv_dataset_load(&set, made_text("g.tsv", "text\ttext2\tgrade\na\tx\t2\n\ty\t\n"), &c, FV_LABELS_VECTOR, &labels, true, NULL), FV_OK);
    assert_int_equal(set.has, FV_HAS_TEXT2 | FV_HAS_GRADE);
    assert_true(set.rows[0].value == 2 && isnan(set.rows[1].value) && set.rows[1].text_len == 0);
    release(&set, &labels);
    assert_int_equal(fv_dataset_load(&set, made_text("l.jsonl", "{\"text\":\"a\",\"text2\":\"b\",\"label\":0.5}\n"), &c, FV_LABELS_VECTOR, &labels, true, NULL), FV_OK);
    assert_true(set.rows[0].value == 0.5);
    release(&set, &labels);
    expect_error(FV_LABELS_VECTOR, &c, "v.tsv", "text\ttext2\na\t\n", ":2: a text is empty; expected some in all; or pass --skip-bad to leave such rows out");
    expect_error(FV_LABELS_VECTOR, &c, "v.tsv", "text\ttext2\tgrade\na\tb\t\n", ":2: the grade is \"\"; expected a finite number; or pass --skip-bad to leave such rows out");
    expect_error(FV_LABELS_VECTOR, &c, "v.jsonl", "{\"text\":\"a\",\"text2\":\"b\"}\n{\"text\":\"a\",\"text2\":\"b\",\"label\":1}\n", ":2: a label, and the rows before it have none; expected the same fields in all rows; or pass --skip-bad to leave such rows out");
}

static void several_labels(void **state)
{
    (void)state;
    fv_dataset set;
    fv_label_set labels;
    load(&set, &labels, FV_LABELS_MULTI, "a.tsv", "text\tlabel\nx\tc, a b ,c\ny\t\nz\t \nw\tb,c\n");
    assert_int_equal(labels.n, 3);
    assert_string_equal(labels.names[1], "a b");
    assert_int_equal(set.rows[0].n_labels, 2);
    assert_int_equal(set.rows[1].n_labels, 0);
    assert_int_equal(set.rows[2].n_labels, 0);
    assert_int_equal(fv_dataset_sort_labels(&set, FV_LABELS_MULTI, &labels, NULL), FV_OK);
    assert_int_equal(set.rows[0].labels[0], 0);
    assert_int_equal(set.rows[0].labels[1], 2);
    assert_int_equal(set.rows[3].labels[0], 1);
    assert_int_equal(set.rows[3].labels[1], 2);
    release(&set, &labels);
    load(&set, &labels, FV_LABELS_MULTI, "a.jsonl", "{\"text\":\"x\",\"label\":[\"b\",\"a\"]}\n{\"text\":\"y\",\"label\":[]}\n");
    assert_int_equal(labels.n, 2);
    assert_int_equal(set.rows[0].n_labels, 2);
    assert_int_equal(set.rows[1].n_labels, 0);
    release(&set, &labels);
}

static void numbers(void **state)
{
    (void)state;
    fv_dataset set;
    fv_label_set labels;
    load(&set, &labels, FV_LABELS_REGRESSION, "a.csv", "text,label\nx,0.5\ny, -3e2 \nz,7\n");
    assert_true(set.rows[0].value == 0.5 && set.rows[1].value == -300 && set.rows[2].value == 7);
    assert_int_equal(labels.n, 0);
    assert_int_equal(fv_dataset_sort_labels(&set, FV_LABELS_REGRESSION, &labels, NULL), FV_OK);
    release(&set, &labels);
    expect_error(FV_LABELS_REGRESSION, NULL, "a.tsv", "text\tlabel\nx\thigh\n",
                 ":2: the label is \"high\"; expected a finite number; or pass --skip-bad to leave such rows out");
    expect_error(FV_LABELS_REGRESSION, NULL, "a.tsv", "text\tlabel\nx\t\n",
                 ":2: the label is \"\"; expected a finite number; or pass --skip-bad to leave such rows out");
    const char *const wrong[] = {"nan", "inf", "1e999", "0x10", "1,5", "1 2", "000000000000000000000000000000000000000000000000000000000000000000001"};
    for (size_t i = 0; i < FV_COUNT(wrong); i++) {
        char content[200], message[300];
        snprintf(content, sizeof content, "text\tlabel\nx\t1\nx\t%s\n", wrong[i]);
        snprintf(message, sizeof message, ":3: the label is \"%.60s%s; expected a finite number; or pass --skip-bad to leave such rows out", wrong[i],
                 strlen(wrong[i]) > 60 ? "...\"" : "\"");
        expect_error(FV_LABELS_REGRESSION, NULL, "a.tsv", content, message);
    }
}

static void no_labels(void **state)
{
    (void)state;
    fv_dataset set;
    fv_label_set labels = {0};
    fv_columns columns;
    fv_columns_init(&columns);
    columns.label = NULL;
    columns.text2 = "other";
    for (int kind = FV_LABELS_SINGLE; kind <= FV_LABELS_REGRESSION; kind++) {
        assert_int_equal(fv_dataset_load(&set, made_text("a.tsv", "text\tother\nx\ty\n"), &columns, (fv_labels)kind, &labels, true, NULL), FV_OK);
        assert_string_equal(set.rows[0].text2, "y");
        assert_int_equal(set.rows[0].text2_len, 1);
        assert_int_equal(set.rows[0].label, -1);
        assert_int_equal(set.rows[0].n_labels, 0);
        assert_true(isnan(set.rows[0].value));
        assert_int_equal(set.unknown, 0);
        fv_dataset_release(&set);
    }
    assert_int_equal(labels.n, 0);
}

/* ---- What cannot be loaded ------------------------------------------------------------------ */

static void errors(void **state)
{
    (void)state;
    fv_columns skip;
    fv_columns_init(&skip);
    skip.skip_bad = true;
    expect_error(FV_LABELS_SINGLE, NULL, "a.tsv", "", ": no rows; expected at least one");
    expect_error(FV_LABELS_SINGLE, NULL, "a.tsv", "text\tlabel\n", ": no rows; expected at least one");
    expect_error(FV_LABELS_SINGLE, NULL, "a.jsonl", "\n\n", ": no rows; expected at least one");
    expect_error(FV_LABELS_SINGLE, NULL, "a.tsv", "text\tlabel\nx\t\n",
                 ":2: the label is empty; expected a name; or pass --skip-bad to leave such rows out");
    expect_error(FV_LABELS_MULTI, NULL, "a.tsv", "text\tlabel\nx\ta,,b\n",
                 ":2: an empty label beside a comma; expected names with one comma between them; or pass --skip-bad to leave such rows out");
    expect_error(FV_LABELS_MULTI, NULL, "a.tsv", "text\tlabel\nx\ta, \n",
                 ":2: an empty label beside a comma; expected names with one comma between them; or pass --skip-bad to leave such rows out");
    char message[800];
    char path[256];
    snprintf(path, sizeof path, "%s", scratch_path("a.tsv"));
    snprintf(message, sizeof message, ": no rows are left, all 2 are bad; the first: %s:2: the label is empty; expected a name", path);
    expect_error(FV_LABELS_SINGLE, &skip, "a.tsv", "text\tlabel\nx\t\nlonely\n", message);
    fv_err err = {0};
    fv_dataset set;
    fv_label_set labels = {0};
    assert_int_equal(fv_dataset_load(&set, scratch_path("none"), NULL, FV_LABELS_SINGLE, &labels, true, &err), FV_E_IO);
    assert_non_null(strstr(err.text, "/none: no such file"));
    fv_dataset_release(&set);
}

/* Rows that the reader refuses and rows whose label is wrong are one count, and leave nothing behind. */
static void skipped_rows(void **state)
{
    (void)state;
    fv_columns skip;
    fv_columns_init(&skip);
    skip.skip_bad = true;
    fv_dataset set;
    fv_label_set labels = {0};
    const char *path = made_text("a.tsv", "text\tlabel\nx\ta\ny\tnever,,seen\nlonely\nz\tb\n");
    assert_int_equal(fv_dataset_load(&set, path, &skip, FV_LABELS_MULTI, &labels, true, NULL), FV_OK);
    assert_int_equal(set.n, 2);
    assert_int_equal(set.skipped, 2);
    assert_non_null(strstr(set.skipped_first, "a.tsv:3: an empty label beside a comma"));
    assert_int_equal(labels.n, 2);
    release(&set, &labels);
    path = made_text("a.tsv", "text\tlabel\nx\ta\nlonely\ny\tnever,,seen\n");
    assert_int_equal(fv_dataset_load(&set, path, &skip, FV_LABELS_MULTI, &labels, true, NULL), FV_OK);
    assert_int_equal(set.skipped, 2);
    assert_non_null(strstr(set.skipped_first, "a.tsv:3: found 1 field"));
    release(&set, &labels);
}

/* A long message is kept up to a character's end. */
static void long_messages_are_cut_between_characters(void **state)
{
    (void)state;
    fv_dataset set;
    fv_label_set labels = {0};
    for (int shift = 0; shift < 3; shift++) {
        fv_buf name = {0};
        made_repeat(&name, "x", (size_t)shift);
        made_repeat(&name, "\xe5\xad\x97", 70);
        made_repeat(&name, ".tsv", 1);
        assert_int_equal(fv_dataset_load(&set, made_text(name.data, "text\tlabel\nx\tsome label\n"), NULL, FV_LABELS_SINGLE, &labels, false, NULL), FV_OK);
        size_t len = strlen(set.unknown_first);
        assert_in_range(len, 253, 255);
        for (const char *p = set.unknown_first; *p;) {
            int n = fv_utf8_len(p, set.unknown_first + len);
            assert_int_not_equal(n, 0);
            p += n;
        }
        fv_dataset_release(&set);
        fv_buf_release(&name);
    }
}

static void hash_of(const char *content, char hash[65])
{
    fv_dataset set;
    fv_label_set labels;
    load(&set, &labels, FV_LABELS_SINGLE, "a.tsv", content);
    memcpy(hash, set.hash, 65);
    release(&set, &labels);
}

/* The hash is of the rows: the same however they are stored, another when a byte moves. */
static void hash_of_rows(void **state)
{
    (void)state;
    char a[65], b[65];
    hash_of("text\tlabel\nab\tc\n", a);
    assert_int_equal(strlen(a), 64);
    hash_of("id\ttext\tlabel\r\n7\tab\tc\r\n", b);
    assert_string_equal(a, b);
    hash_of("text\tlabel\na\tbc\n", b);
    assert_string_not_equal(a, b);
    hash_of("text\tlabel\nab\tc\nab\tc\n", b);
    assert_string_not_equal(a, b);
    /* printf '\2\0\0\0\0\0\0\0ab\377\377\377\377\377\377\377\377\1\0\0\0\0\0\0\0c' | sha256sum */
    assert_string_equal(a, "9aea2373b90273ccbe19525612d2e47d9d3304cede2248944668d9bcdb28daa6");
}

/* ---- Holding back --------------------------------------------------------------------------- */

static void make_rows(fv_dataset *set, fv_label_set *labels, int n, int copies)
{
    fv_buf text = {0};
    fv_buf_puts(&text, "text\tlabel\n", NULL);
    for (int i = 0; i < n; i++) fv_buf_printf(&text, NULL, "text %d\tlabel %d\n", i / copies, i % 7);
    load(set, labels, FV_LABELS_MULTI, "a.tsv", text.data);
    fv_buf_release(&text);
}

/* Every line is in one of the two, in its old order, and no text in both. */
static void check_parts(const fv_dataset *a, const fv_dataset *b, int n)
{
    fv_map texts = {0};
    size_t i = 0, j = 0;
    for (int line = 2; line < n + 2; line++) {
        if (i < a->n && a->rows[i].line == line) i++;
        else if (j < b->n && b->rows[j].line == line) j++;
        else fail_msg("line %d is lost or out of order", line);
    }
    for (i = 0; i < a->n; i++) fv_map_set(&texts, a->rows[i].text, a->rows[i].text_len, 1, NULL);
    for (j = 0; j < b->n; j++) assert_int_equal(fv_map_get(&texts, b->rows[j].text, b->rows[j].text_len), -1);
    fv_map_release(&texts);
}

static void holding_back_a_share(void **state)
{
    (void)state;
    for (int copies = 1; copies <= 3; copies++) {
        fv_dataset set, held;
        fv_label_set labels;
        make_rows(&set, &labels, 300, copies);
        int32_t first = -1;
        assert_int_equal(fv_dataset_split(&set, 0.1, 1, &held, NULL), FV_OK);
        assert_int_equal(held.n, 30);
        assert_int_equal(set.n, 270);
        assert_string_equal(held.hash, set.hash);
        check_parts(&set, &held, 300);
        fv_dataset_release(&set); /* what is held back stands on its own */
        for (size_t i = 0; i < held.n; i++) {
            assert_int_equal(held.rows[i].n_labels, 1);
            assert_int_equal(held.rows[i].labels[0], (held.rows[i].line - 2) % 7);
            assert_int_equal(strlen(held.rows[i].text), held.rows[i].text_len);
            first = first < 0 ? held.rows[i].labels[0] : first;
        }
        fv_dataset_release(&held);
        fv_label_set_release(&labels);
    }
}

static void lines_held(uint64_t seed, int64_t lines[30])
{
    fv_dataset set, held;
    fv_label_set labels;
    make_rows(&set, &labels, 300, 1);
    assert_int_equal(fv_dataset_split(&set, 0.1, seed, &held, NULL), FV_OK);
    for (int i = 0; i < 30; i++) lines[i] = held.rows[i].line;
    fv_dataset_release(&held);
    release(&set, &labels);
}

static void the_seed_decides(void **state)
{
    (void)state;
    int64_t a[30], b[30], c[30];
    lines_held(5, a);
    lines_held(5, b);
    lines_held(6, c);
    assert_memory_equal(a, b, sizeof a);
    assert_memory_not_equal(a, c, sizeof a);
}

static size_t count_held(int n, int copies, double share)
{
    fv_dataset set, held;
    fv_label_set labels;
    make_rows(&set, &labels, n, copies);
    assert_int_equal(fv_dataset_split(&set, share, 1, &held, NULL), FV_OK);
    check_parts(&set, &held, n);
    size_t count = held.n;
    fv_dataset_release(&held);
    release(&set, &labels);
    return count;
}

static void at_least_one_and_never_all(void **state)
{
    (void)state;
    assert_int_equal(count_held(2, 1, 0.1), 1);
    assert_int_equal(count_held(5, 1, 0), 1);
    assert_int_equal(count_held(5, 1, 1), 4);
    assert_int_equal(count_held(5, 1, 7), 4);
    assert_int_equal(count_held(5, 1, NAN), 1);
    assert_int_equal(count_held(6, 3, 0.1), 3); /* two texts, three times each: duplicates stay together */
    fv_err err = {0};
    fv_dataset set, held;
    fv_label_set labels;
    make_rows(&set, &labels, 4, 4);
    assert_int_equal(fv_dataset_split(&set, 0.1, 1, &held, &err), FV_E_INPUT);
    assert_string_equal(err.text, "all 4 rows have the same text, so none can be held back; give a file with --valid");
    assert_int_equal(set.n, 4);
    set.n = 1;
    assert_int_equal(fv_dataset_split(&set, 0.1, 1, &held, &err), FV_E_INPUT);
    assert_string_equal(err.text, "one row cannot be split into training and validation; give more rows or a file with --valid");
    release(&set, &labels);
}

/* ---- Memory ------------------------------------------------------------------------------- */

static fv_status load_sort_split(const char *path, fv_labels kind, fv_err *err)
{
    fv_dataset set = {0}, held = {0};
    fv_label_set labels = {0}, copy = {0};
    fv_columns columns;
    fv_columns_init(&columns);
    columns.text = "text,other";
    columns.text2 = "text";
    fv_status status = fv_dataset_load(&set, path, &columns, kind, &labels, true, err);
    if (status == FV_OK) status = fv_dataset_sort_labels(&set, kind, &labels, err);
    if (status == FV_OK) status = fv_dataset_split(&set, 0.3, 1, &held, err);
    if (status == FV_OK) status = fv_label_set_copy(&copy, labels.names, labels.n, err);
    fv_dataset_release(&held);
    fv_label_set_release(&copy);
    release(&set, &labels);
    return status;
}

/* Fails the first allocation, then the second … until all goes well. */
static void check_faults(const char *path, fv_labels kind)
{
    fv_status status = FV_E_MEMORY;
    int64_t n = 0, live = fv_alloc_live();
    for (; status != FV_OK; n++) {
        fv_err err = {0};
        fv_alloc_fail_after(n);
        status = load_sort_split(path, kind, &err);
        fv_alloc_fail_after(-1);
        assert_int_equal(fv_alloc_live(), live);
        assert_int_equal(err.status, status);
        if (status != FV_OK && status != FV_E_MEMORY) fail_msg("allocation %lld: %s", (long long)n, err.text);
        assert_true(n < 5000);
    }
    assert_true(n > 8);
}

static void memory_that_runs_out(void **state)
{
    (void)state;
    fv_buf gz = {0};
    const char table[] = "text,other,label\n\"a \"\"b\"\"\",c,\"x, y\"\nd,e,y\nf,g,z\nh,\"i\nj\",x\n";
    const char json[] = "{\"text\":\"a\",\"other\":\"b\",\"label\":[\"x\",\"y\",3]}\n{\"text\":\"c\",\"other\":\"d\",\"label\":0.5}\n";
    made_gzip(&gz, table, sizeof table - 1);
    check_faults(made_bytes("a.csv.gz", gz.data, gz.len), FV_LABELS_MULTI);
    check_faults(made_text("a.csv", table), FV_LABELS_SINGLE);
    check_faults(made_text("a.tsv", "text\tother\tlabel\na\tb\t1\nc\td\t2\n"), FV_LABELS_REGRESSION);
    check_faults(made_text("a.jsonl", json), FV_LABELS_MULTI);
    fv_buf_release(&gz);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_label),
        cmocka_unit_test(labels_sorted_by_bytes),
        cmocka_unit_test(a_hundred_thousand_labels),
        cmocka_unit_test(unknown_labels),
        cmocka_unit_test(tags),
        cmocka_unit_test(vectors),
        cmocka_unit_test(several_labels),
        cmocka_unit_test(numbers),
        cmocka_unit_test(no_labels),
        cmocka_unit_test(errors),
        cmocka_unit_test(skipped_rows),
        cmocka_unit_test(long_messages_are_cut_between_characters),
        cmocka_unit_test(hash_of_rows),
        cmocka_unit_test(holding_back_a_share),
        cmocka_unit_test(the_seed_decides),
        cmocka_unit_test(at_least_one_and_never_all),
        cmocka_unit_test(memory_that_runs_out),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
