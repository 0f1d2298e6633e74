/* Makes files for tests and writes what a reader gives as one text, so that a test is one comparison. */
#include "data/made.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "formats/scratch.h"

const char *made_bytes(const char *name, const void *bytes, size_t n)
{
    const char *path = scratch_path(name);
    FILE *file = fopen(path, "wb"); /* not fv_file_write, whose syncing takes its time */
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
    return path;
}

const char *made_text(const char *name, const char *text)
{
    return made_bytes(name, text, strlen(text));
}

void made_gzip(fv_buf *to, const void *bytes, size_t n)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)bytes, .avail_in = (uInt)n};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    uLong bound = deflateBound(&z, n);
    assert_int_equal(fv_buf_reserve(to, bound, NULL), FV_OK);
    z.next_out = (Bytef *)to->data + to->len;
    z.avail_out = (uInt)bound;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    to->len += z.total_out;
    deflateEnd(&z);
}

void made_repeat(fv_buf *to, const char *text, size_t times)
{
    for (size_t i = 0; i < times; i++) assert_int_equal(fv_buf_puts(to, text, NULL), FV_OK);
}

static const char *without_path(const char *text, const char *path)
{
    size_t n = strlen(path);
    return strncmp(text, path, n) == 0 ? text + n : text;
}

/* Strings end in a zero byte where their length says, too. */
static void check_ends(const fv_row *row)
{
    assert_int_equal(strlen(row->text), row->text_len);
    if (row->text2) assert_int_equal(strlen(row->text2), row->text2_len);
    if (row->label) assert_int_equal(strlen(row->label), row->label_len);
}

const char *read_rows(const char *path, const fv_columns *columns)
{
    static fv_buf rows;
    fv_err err = {0};
    fv_row row;
    int more = -1;
    fv_buf_release(&rows);
    assert_int_equal(fv_buf_puts(&rows, "", NULL), FV_OK);
    int64_t live = fv_alloc_live();
    fv_reader *reader = fv_reader_open(path, columns, &err);
    while (reader && (more = fv_reader_next(reader, &row, &err)) == 1) {
        check_ends(&row);
        fv_buf_printf(&rows, NULL, "%lld %s|%s|%s\n", (long long)row.line, row.text, row.text2 ? row.text2 : "-", row.label ? row.label : "-");
    }
    if (more < 0) {
        assert_int_not_equal(err.status, FV_OK);
        if (reader) assert_int_equal(more, err.status);
        fv_buf_puts(&rows, without_path(err.text, path), NULL);
    }
    fv_reader_close(reader);
    assert_int_equal(fv_alloc_live(), live);
    return rows.data;
}
