/* All rows of a file in memory, with labels turned into numbers, and the holding back of a share.
 *
 * Which label is which number is open while rows are read (order of appearance) and settled by
 * fv_dataset_sort_labels. What makes a row bad here (a label that is empty or no number) is skipped
 * and counted like what the reader finds, so a person sees one count.
 * The trap: the set of labels outlives a failed load and then has what was read so far. */
#include "data/data.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/files.h"
#include "data/reader.h"
#include "data/tags.h"

/* ---- Label sets --------------------------------------------------------------------------- */

/* The name's index; a new name gets the next one. names[] has room for the next power of two of n. */
static fv_status add_label(fv_label_set *set, const char *name, size_t len, int32_t *index, fv_err *err)
{
    *index = fv_map_get(&set->ids, name, len);
    if (*index >= 0) return FV_OK;
    if ((set->n & (set->n - 1)) == 0) {
        const char **names = fv_realloc(set->names, (set->n ? 2 * (size_t)set->n : 1) * sizeof *names, err);
        if (!names) return FV_E_MEMORY;
        set->names = names;
    }
    fv_status status = fv_map_set(&set->ids, name, len, set->n, err);
    if (status != FV_OK) return status;
    set->names[set->n] = set->ids.entries[set->ids.n - 1].key;
    *index = set->n++;
    return FV_OK;
}

fv_status fv_label_set_copy(fv_label_set *to, const char *const *names, int n, fv_err *err)
{
    *to = (fv_label_set){0};
    for (int i = 0; i < n; i++) {
        int32_t index;
        fv_status status = add_label(to, names[i], strlen(names[i]), &index, err);
        if (status == FV_OK) continue;
        fv_label_set_release(to);
        return status;
    }
    return FV_OK;
}

void fv_label_set_release(fv_label_set *set)
{
    fv_map_release(&set->ids);
    fv_free(set->names);
    *set = (fv_label_set){0};
}

/* ---- Loading ------------------------------------------------------------------------------ */

/* One load on its way. */
typedef struct loader {
    fv_dataset *set;
    fv_label_set *labels;
    fv_labels kind;
    bool grow, skip_bad, text2_may_be_empty;
    const char *name;     /* of the file, in messages */
    fv_sha256 hash;
    int32_t *found;       /* the labels of one row */
    size_t n_found, found_capacity;
    int64_t bad;          /* rows left out here; the readers count their own */
    int64_t skipped;      /* by readers of earlier files */
} loader;

enum { MESSAGE = sizeof ((fv_dataset *)NULL)->skipped_first };
enum { BAD = 1 }; /* beside the statuses: err says what is wrong with this row alone */

static int bad_row(const loader *l, const fv_row *row, const char *what, fv_err *err)
{
    fv_err_set(err, FV_E_INPUT, "%s:%lld: %s", l->name, (long long)row->line, what);
    return BAD;
}

/* Into a dataset's room for a message, cut at a character boundary. */
static void keep_message(char to[MESSAGE], const char *text)
{
    size_t n = strlen(text);
    if (n >= MESSAGE) {
        for (n = MESSAGE - 1; n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80;) n--;
    }
    memcpy(to, text, n);
    to[n] = '\0';
}

static void hash_field(fv_sha256 *hash, const char *text, size_t len)
{
    uint8_t bytes[8];
    uint64_t n = text ? len : UINT64_MAX; /* none is not the same as empty */
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)(n >> (8 * i));
    fv_sha256_add(hash, bytes, sizeof bytes);
    if (text) fv_sha256_add(hash, text, len);
}

/* -1 for a label that the set does not have and may not get. */
static fv_status find_label(loader *l, const fv_row *row, const char *name, size_t len, int32_t *index, fv_err *err)
{
    if (l->grow) return add_label(l->labels, name, len, index, err);
    *index = fv_map_get(&l->labels->ids, name, len);
    if (*index >= 0 || l->set->unknown++ > 0) return FV_OK;
    fv_shown room;
    fv_err message;
    fv_err_set(&message, FV_E_INPUT, "%s:%lld: label %s never occurs in training", l->name, (long long)row->line,
               fv_show(&room, name, len));
    keep_message(l->set->unknown_first, message.text);
    return FV_OK;
}

static int compare_ints(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* Ascending, each once; rows have a few labels only. */
static void sort_found(int32_t *found, size_t *n)
{
    size_t kept = 0;
    if (*n > 1) qsort(found, *n, sizeof *found, compare_ints);
    for (size_t i = 0; i < *n; i++)
        if (kept == 0 || found[kept - 1] != found[i]) found[kept++] = found[i];
    *n = kept;
}

static void trim(const char **text, size_t *len)
{
    while (*len > 0 && **text == ' ') ++*text, --*len;
    while (*len > 0 && (*text)[*len - 1] == ' ') --*len;
}

/* The next of several names, trimmed; false when all were given. *at begins at the text's start. */
static bool next_name(const char **at, const char *end, const char **name, size_t *len)
{
    if (!*at) return false;
    const char *comma = memchr(*at, ',', (size_t)(end - *at));
    *name = *at;
    *len = (size_t)((comma ? comma : end) - *at);
    trim(name, len);
    *at = comma ? comma + 1 : NULL;
    return true;
}

static bool has_empty_name(const char *text, const char *end)
{
    const char *name;
    size_t len;
    while (next_name(&text, end, &name, &len))
        if (len == 0) return true;
    return false;
}

static fv_status add_found(loader *l, int32_t index, fv_err *err)
{
    fv_status status = fv_grow(&l->found, &l->found_capacity, l->n_found + 1, sizeof *l->found, err);
    if (status == FV_OK) l->found[l->n_found++] = index;
    return status;
}

/* All names of text..end to l->found, unknown ones left out. */
static fv_status find_labels(loader *l, const fv_row *row, const char *text, const char *end, fv_err *err)
{
    const char *name;
    size_t len;
    int32_t index;
    l->n_found = 0;
    while (text < end && next_name(&text, end, &name, &len)) {
        fv_status status = find_label(l, row, name, len, &index, err);
        if (status == FV_OK && index >= 0) status = add_found(l, index, err);
        if (status != FV_OK) return status;
    }
    sort_found(l->found, &l->n_found);
    return FV_OK;
}

static fv_status keep_labels(fv_dataset *set, fv_example *example, const int32_t *found, size_t n, fv_err *err)
{
    int32_t *labels = fv_arena_alloc_small(&set->arena, (n + 1) * sizeof *labels, err);
    if (!labels) return FV_E_MEMORY;
    if (n > 0) memcpy(labels, found, n * sizeof *labels);
    example->labels = labels;
    example->n_labels = (int32_t)n;
    return FV_OK;
}

/* Labels separated by commas; none at all is fine. A bad row must not add to the set: so look first. */
static int take_several(loader *l, const fv_row *row, fv_example *example, fv_err *err)
{
    const char *text = row->label;
    size_t len = row->label_len;
    trim(&text, &len);
    const char *end = text + len;
    if (len > 0 && has_empty_name(text, end))
        return bad_row(l, row, "an empty label beside a comma; expected names with one comma between them", err);
    fv_status status = find_labels(l, row, text, end, err);
    return status == FV_OK ? keep_labels(l->set, example, l->found, l->n_found, err) : status;
}

/* A tag for each word, in their order; those that the set does not have are -1. */
static fv_status find_tags(loader *l, const fv_row *row, fv_err *err)
{
    const char *at = row->label, *tag;
    size_t len;
    l->n_found = 0;
    while (fv_word_next(&at, row->label + row->label_len, &tag, &len)) {
        int32_t index;
        fv_status status = find_label(l, row, tag, len, &index, err);
        if (status == FV_OK) status = add_found(l, index, err);
        if (status != FV_OK) return status;
    }
    return FV_OK;
}

static int take_tags(loader *l, const fv_row *row, fv_example *example, fv_err *err)
{
    char what[160];
    size_t words = fv_word_count(row->text, row->text_len), tags = fv_word_count(row->label, row->label_len);
    if (words != tags) {
        snprintf(what, sizeof what, "%zu word%s and %zu tag%s; expected as many, a space between them", words, words == 1 ? "" : "s", tags, tags == 1 ? "" : "s");
        return bad_row(l, row, what, err);
    }
    fv_status status = find_tags(l, row, err);
    return status == FV_OK ? keep_labels(l->set, example, l->found, l->n_found, err) : status;
}

static int take_number(loader *l, const fv_row *row, fv_example *example, fv_err *err)
{
    fv_shown room;
    char text[64], what[200];
    const char *at = row->label;
    size_t len = row->label_len;
    trim(&at, &len);
    if (len < sizeof text) {
        memcpy(text, at, len);
        text[len] = '\0';
        if (fv_parse_double(text, &example->value)) return FV_OK;
    }
    snprintf(what, sizeof what, "the %s is %s; expected a finite number", row->grade ? "grade" : "label", fv_show(&room, row->label, row->label_len));
    return bad_row(l, row, what, err);
}

/* ---- Rows of vectors ---- */

static unsigned fields_of(const fv_row *row)
{
    return (row->text2 ? FV_HAS_TEXT2 : 0u) | (row->negative ? FV_HAS_NEGATIVE : 0u) | (row->grade ? FV_HAS_GRADE : row->label ? FV_HAS_LABEL : 0u);
}

static int wrong_fields(const loader *l, const fv_row *row, unsigned has, fv_err *err)
{
    static const char *const names[] = {"text2", "negative", "label", "grade"};
    char what[120];
    int i = 0;
    while (!((has ^ l->set->has) >> i & 1)) i++;
    bool lacks = l->set->has >> i & 1;
    snprintf(what, sizeof what, "%s %s, and the rows before it have %s; expected the same fields in all rows", lacks ? "no" : "a", names[i], lacks ? "one" : "none");
    return bad_row(l, row, what, err);
}

/* The first row says what the others are to have. */
static int take_vector_row(loader *l, const fv_row *row, fv_example *example, fv_err *err)
{
    unsigned has = fields_of(row);
    bool lone = (has & FV_HAS_GRADE) && row->text_len == 0; /* a document that nobody asks for */
    if ((row->text_len == 0 && !lone) || (row->text2 && row->text2_len == 0 && !l->text2_may_be_empty) || (row->negative && row->negative_len == 0)) return bad_row(l, row, "a text is empty; expected some in all", err);
    if (l->set->n > 0 && has != l->set->has) return wrong_fields(l, row, has, err);
    fv_row number = *row;
    if (row->grade) number.label = row->grade, number.label_len = row->grade_len;
    if (number.label && !(lone && number.label_len == 0)) {
        int rc = take_number(l, &number, example, err);
        if (rc != FV_OK) return rc;
    }
    l->set->has = has;
    return FV_OK;
}

/* FV_OK, BAD or a status. */
static int take_label(loader *l, const fv_row *row, fv_example *example, fv_err *err)
{
    example->label = -1;
    example->value = NAN;
    if (l->kind == FV_LABELS_VECTOR) return take_vector_row(l, row, example, err);
    if (!row->label) return FV_OK;
    if (l->kind == FV_LABELS_MULTI) return take_several(l, row, example, err);
    if (l->kind == FV_LABELS_TAGS) return take_tags(l, row, example, err);
    if (l->kind == FV_LABELS_TEXT) return row->label_len > 0 && row->text_len > 0 ? FV_OK : bad_row(l, row, "a text is empty; expected a pair of texts", err);
    example->n_labels = 1;
    if (l->kind == FV_LABELS_REGRESSION) return take_number(l, row, example, err);
    if (row->label_len == 0) return bad_row(l, row, "the label is empty; expected a name", err);
    return find_label(l, row, row->label, row->label_len, &example->label, err);
}

static fv_status take_texts(fv_dataset *set, const fv_row *row, fv_example *example, fv_err *err)
{
    example->text = fv_arena_strndup(&set->arena, row->text, row->text_len, err);
    example->text2 = row->text2 ? fv_arena_strndup(&set->arena, row->text2, row->text2_len, err) : NULL;
    example->negative = row->negative ? fv_arena_strndup(&set->arena, row->negative, row->negative_len, err) : NULL;
    if (!example->text || (row->text2 && !example->text2) || (row->negative && !example->negative)) return FV_E_MEMORY;
    example->text_len = (uint32_t)row->text_len;
    example->text2_len = (uint32_t)row->text2_len;
    example->negative_len = (uint32_t)row->negative_len;
    return FV_OK;
}

/* FV_OK, BAD or a status. The label comes first: a bad row must leave nothing behind. */
static int take_row(loader *l, const fv_row *given, fv_err *err)
{
    fv_dataset *set = l->set;
    fv_row pair = *given;
    if (l->kind == FV_LABELS_TEXT) pair.text2 = given->label, pair.text2_len = given->label_len;
    const fv_row *row = &pair;
    fv_example example = {.line = row->line};
    if (set->n == INT32_MAX) return FV_FAIL(err, FV_E_INPUT, "%s: more than %d rows; use a part of them", l->name, INT32_MAX);
    int rc = take_label(l, row, &example, err);
    if (rc != FV_OK) return rc;
    fv_status status = take_texts(set, row, &example, err);
    if (status == FV_OK) status = fv_grow(&set->rows, &set->capacity, set->n + 1, sizeof *set->rows, err);
    if (status != FV_OK) return status;
    set->rows[set->n++] = example;
    hash_field(&l->hash, row->text, row->text_len);
    hash_field(&l->hash, row->text2, row->text2_len);
    hash_field(&l->hash, row->label, row->label_len);
    if (l->kind != FV_LABELS_VECTOR) return FV_OK;
    hash_field(&l->hash, row->negative, row->negative_len);
    hash_field(&l->hash, row->grade, row->grade_len);
    return FV_OK;
}

/* `bad` is of a row that the reader let pass: it is the first if the reader has skipped none so far. */
static void skip_row(loader *l, const fv_reader *reader, const fv_err *bad)
{
    if (l->bad++ == 0 && l->skipped + fv_reader_skipped(reader, NULL) == 0)
        keep_message(l->set->skipped_first, bad->text);
}

static fv_status take_rows(loader *l, fv_reader *reader, fv_err *err)
{
    fv_row row;
    int more;
    while ((more = fv_reader_next(reader, &row, err)) == 1) {
        fv_err bad;
        int rc = take_row(l, &row, &bad);
        if (rc == BAD && l->skip_bad) skip_row(l, reader, &bad);
        else if (rc == BAD) return FV_FAIL(err, FV_E_INPUT, "%s; or pass --skip-bad to leave such rows out", bad.text);
        else if (rc != FV_OK) return FV_FAIL(err, (fv_status)rc, "%s", bad.text);
    }
    return (fv_status)more;
}

/* What a reader that is done left out. */
static void count_skipped(loader *l, const fv_reader *reader)
{
    const char *first;
    l->skipped += fv_reader_skipped(reader, &first);
    if (l->set->skipped_first[0] == '\0') keep_message(l->set->skipped_first, first);
}

static fv_status count_rows(loader *l, fv_err *err)
{
    fv_dataset *set = l->set;
    set->skipped = l->skipped + l->bad;
    if (set->n > 0) return FV_OK;
    if (set->skipped_files > 0) return FV_FAIL(err, FV_E_INPUT, "%s: no texts are left, %lld files are bad; the first: %s", l->name, (long long)set->skipped_files, set->skipped_files_first);
    if (set->skipped == 0) return FV_FAIL(err, FV_E_INPUT, "%s: no rows; expected at least one", l->name);
    return FV_FAIL(err, FV_E_INPUT, "%s: no rows are left, all %lld are bad; the first: %s", l->name, (long long)set->skipped,
                   set->skipped_first);
}

typedef fv_reader *opener(const char *path, const fv_columns *columns, fv_err *err);

static fv_status take_file(loader *l, opener *open, const char *path, const fv_columns *columns, fv_err *err)
{
    fv_err why = {0};
    fv_reader *reader = open(path, columns, &why);
    if (!reader) return FV_FAIL(err, why.status, "%s", why.text);
    fv_status status = take_rows(l, reader, err);
    count_skipped(l, reader);
    fv_reader_close(reader);
    return status;
}

/* ---- A folder of texts -------------------------------------------------------------------- */

/* Reads all of a file and keeps nothing: whether it can be read to its end. One bad byte in plain text tells of a file that is
 * none: it is then bad as a whole, while tables have bad rows. */
static fv_status try_file(const char *path, const fv_columns *columns, fv_err *err)
{
    fv_row row;
    int more;
    const char *first;
    fv_reader *reader = fv_reader_open_prose(path, columns, err);
    if (!reader) return err->status;
    while ((more = fv_reader_next(reader, &row, err)) == 1) continue;
    fv_status status = (fv_status)more;
    if (status == FV_OK && reader->format == &fv_format_prose && fv_reader_skipped(reader, &first) > 0) status = FV_FAIL(err, FV_E_INPUT, "%s", first);
    fv_reader_close(reader);
    return status;
}

/* Files are read twice: nothing of a bad one may have been taken when it is found to be bad. */
static fv_status take_file_of_folder(loader *l, const char *path, const fv_columns *columns, fv_err *err)
{
    fv_err why = {0};
    fv_dataset *set = l->set;
    if (l->skip_bad && try_file(path, columns, &why) != FV_OK) {
        if (why.status == FV_E_MEMORY) return FV_FAIL(err, why.status, "%s", why.text);
        if (set->skipped_files++ == 0) keep_message(set->skipped_files_first, why.text);
        return FV_OK;
    }
    set->files++;
    return take_file(l, fv_reader_open_prose, path, columns, err);
}

static fv_status take_folder(loader *l, const char *folder, const fv_columns *columns, fv_err *err)
{
    fv_text_files files;
    fv_status status = fv_text_files_find(&files, folder, err);
    if (status != FV_OK) return status;
    for (size_t i = 0; i < files.n && status == FV_OK; i++) {
        l->name = files.paths[i];
        status = take_file_of_folder(l, files.paths[i], columns, err);
    }
    l->name = folder;
    fv_text_files_release(&files);
    return status;
}

/* ---- All of it ---------------------------------------------------------------------------- */

fv_status fv_dataset_load(fv_dataset *set, const char *path, const fv_columns *columns, fv_labels kind, fv_label_set *labels, bool grow, fv_err *err)
{
    fv_status status = FV_OK;
    loader l = {.set = set, .labels = labels, .kind = kind, .grow = grow, .skip_bad = columns && columns->skip_bad, .text2_may_be_empty = columns && columns->text2_may_be_empty,
                .name = strcmp(path, "-") == 0 ? "stdin" : path};
    *set = (fv_dataset){.arena.block_bytes = 256 << 10};
    fv_sha256_init(&l.hash);
    FV_TRY(kind == FV_LABELS_NONE && fv_folder_exists(path) ? take_folder(&l, path, columns, err) : take_file(&l, fv_reader_open, path, columns, err));
    FV_TRY(count_rows(&l, err));
    fv_sha256_end(&l.hash, set->hash);
done:
    fv_free(l.found);
    if (status != FV_OK) fv_dataset_release(set);
    return status;
}

static void look_for(const char **name, bool *optional, const char *usual)
{
    if (*name) return;
    *name = usual;
    *optional = true;
}

void fv_dataset_vector_columns(fv_columns *c)
{
    look_for(&c->text2, &c->text2_optional, "text2");
    look_for(&c->negative, &c->negative_optional, "negative");
    look_for(&c->grade, &c->grade_optional, "grade");
    if (c->label && strcmp(c->label, "label") == 0) c->label_optional = true; /* as fv_columns_init has it: not asked for */
    look_for(&c->label, &c->label_optional, "label");
}

void fv_dataset_release(fv_dataset *set)
{
    fv_free(set->rows);
    fv_arena_release(&set->arena);
    *set = (fv_dataset){0};
}

/* ---- Label order -------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void renumber(fv_dataset *set, fv_labels kind, const int32_t *new_of)
{
    for (size_t i = 0; i < set->n; i++) {
        fv_example *row = &set->rows[i];
        if (kind == FV_LABELS_SINGLE && row->label >= 0) row->label = new_of[row->label];
        if ((kind != FV_LABELS_MULTI && kind != FV_LABELS_TAGS) || row->n_labels == 0) continue;
        int32_t *labels = (int32_t *)(uintptr_t)row->labels; /* ours: it lies in the set's arena */
        for (int32_t j = 0; j < row->n_labels; j++) labels[j] = labels[j] < 0 ? -1 : new_of[labels[j]];
        if (kind == FV_LABELS_MULTI) qsort(labels, (size_t)row->n_labels, sizeof *labels, compare_ints);
    }
}

fv_status fv_dataset_sort_labels(fv_dataset *set, fv_labels kind, fv_label_set *labels, fv_err *err)
{
    if (kind == FV_LABELS_REGRESSION || labels->n == 0) return FV_OK;
    int32_t *new_of = fv_alloc((size_t)labels->n * sizeof *new_of, err);
    if (!new_of) return FV_E_MEMORY;
    qsort(labels->names, (size_t)labels->n, sizeof *labels->names, compare_names);
    /* the map's values are the numbers of first appearance until the entry itself is renumbered */
    for (int32_t i = 0; i < labels->n; i++) new_of[fv_map_get(&labels->ids, labels->names[i], strlen(labels->names[i]))] = i;
    for (size_t i = 0; i < labels->ids.n; i++) labels->ids.entries[i].value = new_of[labels->ids.entries[i].value];
    renumber(set, kind, new_of);
    fv_free(new_of);
    return FV_OK;
}

/* ---- Holding rows back -------------------------------------------------------------------- */

typedef struct keyed { uint64_t hash; uint32_t row; bool held; } keyed;

static int compare_keyed(const void *a, const void *b)
{
    const keyed *x = a, *y = b;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

static int compare_rows(const void *a, const void *b)
{
    const keyed *x = a, *y = b;
    return (x->row > y->row) - (x->row < y->row);
}

/* Where the rows with the text of keys[begin] end. */
static size_t group_end(const keyed *keys, size_t n, size_t begin)
{
    size_t end = begin + 1;
    while (end < n && keys[end].hash == keys[begin].hash) end++;
    return end;
}

/* Marks whole groups, in the order of their hashes, as long as they fit; if none fits, the smallest.
 * Gives the number of rows marked: 0 if all rows have one text. */
static size_t choose_held(keyed *keys, size_t n, size_t wanted)
{
    size_t held = 0, smallest = 0, smallest_size = n;
    for (size_t i = 0, end; i < n; i = end) {
        end = group_end(keys, n, i);
        if (end - i < smallest_size) smallest = i, smallest_size = end - i;
        if (held + (end - i) > wanted) continue;
        for (size_t j = i; j < end; j++) keys[j].held = true;
        held += end - i;
    }
    if (held > 0 || smallest_size == n) return held;
    for (size_t j = smallest; j < smallest + smallest_size; j++) keys[j].held = true;
    return smallest_size;
}

static fv_status copy_example(fv_dataset *to, const fv_example *from, fv_err *err)
{
    fv_example row = *from;
    const fv_row texts = {.text = from->text, .text_len = from->text_len, .text2 = from->text2, .text2_len = from->text2_len, .negative = from->negative, .negative_len = from->negative_len};
    fv_status status = take_texts(to, &texts, &row, err);
    if (status != FV_OK) return status;
    if (from->labels) status = keep_labels(to, &row, from->labels, (size_t)from->n_labels, err);
    if (status == FV_OK) to->rows[to->n++] = row;
    return status;
}

/* Copies the marked rows, so that either set may be released first; then closes the gaps. */
static fv_status move_held(fv_dataset *set, fv_dataset *held, const keyed *keys, size_t n_held, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(fv_grow(&held->rows, &held->capacity, n_held, sizeof *held->rows, err));
    for (size_t i = 0; i < set->n; i++)
        if (keys[i].held) FV_TRY(copy_example(held, &set->rows[i], err));
    size_t kept = 0;
    for (size_t i = 0; i < set->n; i++)
        if (!keys[i].held) set->rows[kept++] = set->rows[i];
    set->n = kept;
    memcpy(held->hash, set->hash, sizeof held->hash);
    held->has = set->has;
done:
    return status;
}

static size_t held_count(size_t n, double share)
{
    double wanted = floor(share * (double)n + 0.5);
    if (!(wanted >= 1)) return 1;
    return wanted > (double)(n - 1) ? n - 1 : (size_t)wanted;
}

fv_status fv_dataset_split(fv_dataset *set, double share, uint64_t seed, fv_dataset *held, fv_err *err)
{
    fv_status status = FV_OK;
    keyed *keys = NULL;
    *held = (fv_dataset){.arena.block_bytes = 256 << 10};
    if (set->n < 2) return FV_FAIL(err, FV_E_INPUT, "one row cannot be split into training and validation; give more rows or a file with --valid");
    keys = fv_alloc(set->n * sizeof *keys, err);
    if (!keys) return FV_E_MEMORY;
    for (size_t i = 0; i < set->n; i++)
        keys[i] = (keyed){.hash = fv_hash64(set->rows[i].text, set->rows[i].text_len, seed), .row = (uint32_t)i};
    qsort(keys, set->n, sizeof *keys, compare_keyed);
    size_t n_held = choose_held(keys, set->n, held_count(set->n, share));
    qsort(keys, set->n, sizeof *keys, compare_rows);
    if (n_held == 0) status = FV_FAIL(err, FV_E_INPUT, "all %zu rows have the same text, so none can be held back; give a file with --valid", set->n);
    else status = move_held(set, held, keys, n_held, err);
    fv_free(keys);
    if (status != FV_OK) fv_dataset_release(held);
    return status;
}
