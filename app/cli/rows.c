/* Texts in chunks. See rows.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/record.h"
#include "cli/rows.h"
#include "cli/term.h"

#define READ_BYTES (1 << 16)
#define LINE_BYTES (64u << 20) /* a longer line is refused rather than held */

struct cli_rows {
    char name[256];      /* for messages */
    fv_reader *reader;   /* a table, or NULL */
    bool any_stdin;      /* its reader reads stdin */
    int fd;              /* plain lines */
    bool end;            /* nothing more comes from fd */
    fv_buf buf;          /* bytes read: those before `at` are used up */
    size_t at, searched; /* no line break lies in at .. searched */
    int64_t line;
    bool skip_bad, any_bytes;
    int64_t skipped;
    fv_err first_bad;
    fv_err failure;      /* what ended the reading, told when the rows before it were given */
    fv_arena arena;      /* the texts of the present chunk */
    fv_text texts[CLI_CHUNK];
    int64_t lines[CLI_CHUNK];
    const char *bad[CLI_CHUNK];
};

static bool ends_with(const char *text, size_t len, const char *end)
{
    size_t n = strlen(end);
    return len >= n && memcmp(text + len - n, end, n) == 0;
}

static bool named_as_table(const char *path)
{
    static const char *const endings[] = {".tsv", ".csv", ".jsonl", ".conll", ".iob", ".bio"};
    size_t len = strlen(path);
    if (ends_with(path, len, ".gz")) len -= 3;
    for (size_t i = 0; i < FV_COUNT(endings); i++)
        if (ends_with(path, len, endings[i])) return true;
    return false;
}

/* True when reading now would not have to wait, the end of the input included. */
static bool ready(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) > 0;
}

/* ---- Plain lines ---- */

/* Room behind what is left unread, which moves to the front. */
static fv_status make_room(cli_rows *rows, fv_err *err)
{
    memmove(rows->buf.data, rows->buf.data + rows->at, rows->buf.len - rows->at);
    rows->buf.len -= rows->at;
    rows->searched -= rows->at;
    rows->at = 0;
    return fv_buf_reserve(&rows->buf, READ_BYTES, err);
}

/* Reads once more from the file. */
static fv_status fill(cli_rows *rows, fv_err *err)
{
    fv_status status = make_room(rows, err);
    if (status) return status;
    ssize_t n;
    do n = read(rows->fd, rows->buf.data + rows->buf.len, READ_BYTES);
    while (n < 0 && errno == EINTR);
    if (n < 0) return FV_FAIL(err, FV_E_IO, "%s could not be read: %s", rows->name, strerror(errno));
    rows->end = n == 0;
    rows->buf.len += (size_t)n;
    if (rows->buf.len > LINE_BYTES + READ_BYTES)
        return FV_FAIL(err, FV_E_INPUT, "%s:%lld: a line of more than 64 MiB; expected a text on each line", rows->name, (long long)rows->line + 1);
    return FV_OK;
}

/* The next line if all of it was read: false if more must be read first, or nothing is left. */
static bool take_line(cli_rows *rows, const char **text, size_t *len)
{
    const char *start = rows->buf.data + rows->at, *from = rows->buf.data + rows->searched;
    const char *stop = rows->buf.len > rows->searched ? memchr(from, '\n', rows->buf.len - rows->searched) : NULL;
    rows->searched = rows->buf.len;
    if (!stop && !(rows->end && rows->at < rows->buf.len)) return false;
    *text = start;
    *len = stop ? (size_t)(stop - start) : rows->buf.len - rows->at;
    rows->at += *len + (stop != NULL);
    rows->searched = rows->at;
    rows->line++;
    if (*len && start[*len - 1] == '\r') --*len;
    return true;
}

static fv_status keep_text(cli_rows *rows, const char *text, size_t len, const char **out, fv_err *err)
{
    *out = fv_arena_strndup(&rows->arena, text, len, err);
    return *out ? FV_OK : FV_E_MEMORY;
}

fv_status cli_rows_leave_out(cli_rows *rows, const cli_chunk *chunk, size_t i, const fv_err *why, fv_err *err)
{
    chunk->texts[i] = (fv_text){.text = ""};
    if (rows->skipped++ == 0) rows->first_bad = *why;
    return keep_text(rows, why->text, strlen(why->text), &chunk->bad[i], err);
}

/* The place behind the chunk's last, for what stands at `line`. */
static fv_text *next_place(cli_rows *rows, const cli_chunk *chunk, int64_t line)
{
    rows->lines[chunk->n] = line;
    rows->bad[chunk->n] = NULL;
    rows->texts[chunk->n] = (fv_text){0};
    return &rows->texts[chunk->n];
}

/* Says what tables say of such bytes. */
static fv_status check_text(const cli_rows *rows, const char *text, size_t len, const char *advice, fv_err *err)
{
    fv_shown shown;
    size_t at = 0;
    for (int n; at < len; at += (size_t)n)
        if (text[at] == '\0' || (n = fv_utf8_len(text + at, text + len)) == 0) break;
    if (at == len || rows->any_bytes) return FV_OK;
    size_t from = at > 20 ? at - 20 : 0, rest = len - from;
    return FV_FAIL(err, FV_E_INPUT, "%s:%lld: byte %zu (0x%02x) %s: %s; expected UTF-8 text%s", rows->name, (long long)rows->line, at + 1, (unsigned char)text[at],
                   text[at] ? "is not UTF-8" : "is a NUL byte", fv_show(&shown, text + from, rest < 40 ? rest : 40), advice);
}

/* The line that was taken, as the chunk's next text. */
static fv_status add_line(cli_rows *rows, cli_chunk *chunk, const char *text, size_t len, fv_err *err)
{
    fv_err bad;
    size_t mark = rows->line == 1 && len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    fv_status status = check_text(rows, text, len, rows->skip_bad ? "" : "; or pass --skip-bad to leave such rows out", &bad);
    if (status && !rows->skip_bad) return FV_FAIL(err, status, "%s", bad.text);
    fv_text *t = next_place(rows, chunk, rows->line);
    t->len = len - mark;
    status = status ? cli_rows_leave_out(rows, chunk, chunk->n, &bad, err) : keep_text(rows, text + mark, t->len, &t->text, err);
    chunk->n += status == FV_OK;
    return status;
}

static fv_status next_lines(cli_rows *rows, cli_chunk *chunk, fv_err *err)
{
    const char *text;
    size_t len;
    fv_status status = FV_OK;
    while (chunk->n < CLI_CHUNK && status == FV_OK) {
        if (take_line(rows, &text, &len)) status = add_line(rows, chunk, text, len, err);
        else if (rows->end || (chunk->n && !ready(rows->fd))) break;
        else status = fill(rows, err);
    }
    return status;
}

/* gzip in plain lines would be read as noise, which is never what was meant. */
static fv_status refuse_gzip(cli_rows *rows, fv_err *err)
{
    fv_status status = fill(rows, err);
    if (status || rows->buf.len < 2 || memcmp(rows->buf.data, "\x1f\x8b", 2) != 0) return status;
    return FV_FAIL(err, FV_E_INPUT, "%s is compressed; expected plain lines (zcat it into `-`, or name it .tsv.gz, .csv.gz or .jsonl.gz)", rows->name);
}

static fv_status open_lines(cli_rows *rows, const char *path, fv_err *err)
{
    struct stat info;
    fv_status status = fv_buf_reserve(&rows->buf, READ_BYTES, err);
    if (status) return status;
    if (strcmp(path, "-") == 0) {
        rows->fd = STDIN_FILENO;
        return FV_OK;
    }
    rows->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (rows->fd < 0) return FV_FAIL(err, FV_E_IO, "%s could not be opened: %s", rows->name, strerror(errno));
    if (fstat(rows->fd, &info) == 0 && S_ISDIR(info.st_mode)) return FV_FAIL(err, FV_E_INPUT, "%s is a folder; expected a file", rows->name);
    return refuse_gzip(rows, err);
}

/* ---- Tables ---- */

static fv_status open_table(cli_rows *rows, const char *path, const cli_rows_options *options, fv_err *err)
{
    fv_columns columns;
    fv_columns_init(&columns);
    if (options->usual) columns.text = options->usual;
    if (options->text) columns.text = options->text;
    columns.text2 = options->text2;
    columns.label = NULL;
    columns.skip_bad = columns.tell_bad = options->skip_bad;
    rows->any_stdin = strcmp(path, "-") == 0;
    rows->reader = fv_reader_open(path, &columns, err);
    return rows->reader ? FV_OK : err->status;
}

static fv_status add_row(cli_rows *rows, cli_chunk *chunk, const fv_row *row, fv_err *err)
{
    fv_text *t = next_place(rows, chunk, row->line);
    t->len = row->text_len, t->len2 = row->text2_len;
    fv_status status = keep_text(rows, row->text, row->text_len, &t->text, err);
    if (!status && row->text2) status = keep_text(rows, row->text2, row->text2_len, &t->text2, err);
    chunk->n += status == FV_OK;
    return status;
}

static fv_status add_bad_row(cli_rows *rows, cli_chunk *chunk, const fv_row *row, const fv_err *why, fv_err *err)
{
    next_place(rows, chunk, row->line);
    fv_status status = cli_rows_leave_out(rows, chunk, chunk->n, why, err);
    chunk->n += status == FV_OK;
    return status;
}

static fv_status next_rows(cli_rows *rows, cli_chunk *chunk, fv_err *err)
{
    fv_row row;
    fv_err bad;
    fv_status status = FV_OK;
    while (chunk->n < CLI_CHUNK && status == FV_OK) {
        if (chunk->n && rows->any_stdin && !ready(STDIN_FILENO)) break;
        int got = fv_reader_next(rows->reader, &row, &bad);
        if (got == 0) break;
        if (got < 0) return FV_FAIL(err, bad.status, "%s", bad.text);
        status = got == 1 ? add_row(rows, chunk, &row, err) : add_bad_row(rows, chunk, &row, &bad, err);
    }
    return status;
}

/* ---- Both ---- */

cli_rows *cli_rows_open(const char *path, const cli_rows_options *options, fv_err *err)
{
    bool column = options->text || options->text2;
    if (options->lines && column) {
        FV_FAIL(err, FV_E_ARGUMENT, "--lines reads plain lines, which have no columns; leave out --lines, or the names of columns");
        return NULL;
    }
    cli_rows *rows = fv_alloc_zero(1, sizeof *rows, err);
    if (!rows) return NULL;
    rows->fd = -1;
    rows->skip_bad = options->skip_bad;
    rows->any_bytes = options->any_bytes;
    snprintf(rows->name, sizeof rows->name, "%s", strcmp(path, "-") ? path : "stdin");
    bool table = !options->lines && (column || named_as_table(path));
    fv_status status = table ? open_table(rows, path, options, err) : open_lines(rows, path, err);
    if (status == FV_OK) return rows;
    cli_rows_close(rows);
    return NULL;
}

fv_status cli_rows_next(cli_rows *rows, cli_chunk *chunk, fv_err *err)
{
    fv_arena_reset(&rows->arena);
    *chunk = (cli_chunk){.name = rows->name, .texts = rows->texts, .lines = rows->lines, .bad = rows->bad};
    if (rows->failure.status == FV_OK) (rows->reader ? next_rows : next_lines)(rows, chunk, &rows->failure);
    if (rows->failure.status == FV_OK || chunk->n > 0) return FV_OK;
    return FV_FAIL(err, rows->failure.status, "%s", rows->failure.text);
}

fv_status cli_rows_print_bad(const cli_chunk *chunk, size_t i, bool json, fv_err *err)
{
    if (json) return cli_json_line(json_pack("{s:o}", "error", cli_json_text(chunk->bad[i], strlen(chunk->bad[i]))), err);
    putchar('\n');
    return FV_OK;
}

void cli_rows_say_skipped(const cli_rows *rows)
{
    cli_count count;
    if (rows->skipped) fprintf(stderr, "fovea: %s bad rows were left out, the first: %s\n", cli_show_count(&count, rows->skipped), rows->first_bad.text);
}

void cli_rows_close(cli_rows *rows)
{
    if (!rows) return;
    fv_reader_close(rows->reader);
    if (rows->fd > STDERR_FILENO) close(rows->fd);
    fv_buf_release(&rows->buf);
    fv_arena_release(&rows->arena);
    fv_free(rows);
}
