/* Bytes from a file or stdin, gzip undone, cut into lines. Columns and rows are reader.c's matter.
 *
 * The trap: the buffer moves when it is refilled, so the record's place is kept as offsets and
 * `text` is set anew by every call. A damaged gzip must not look like a short file: its end is only
 * believed when zlib has checked the sum of the last member. */
#include "data/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef FV_STRESS
enum { CHUNK = 16 }; /* edges everywhere */
#else
enum { CHUNK = 64 * 1024 };
#endif

/* ---- Bytes -------------------------------------------------------------------------------- */

static void *zlib_alloc(void *unused, unsigned count, unsigned size)
{
    (void)unused;
    return fv_alloc((size_t)count * size, NULL);
}

static void zlib_free(void *unused, void *block)
{
    (void)unused;
    fv_free(block);
}

/* Reads once into the room behind what is there. in_end stays as it was at the end of the file. */
static fv_status read_more(fv_lines *l, fv_err *err)
{
    if (l->in_begin == l->in_end) l->in_begin = l->in_end = 0;
    ssize_t n;
    do n = read(l->fd, l->in + l->in_end, CHUNK - l->in_end);
    while (n < 0 && errno == EINTR);
    if (n < 0) return FV_FAIL(err, FV_E_IO, "%s: cannot be read: %s", l->name, strerror(errno));
    l->in_end += (size_t)n;
    return FV_OK;
}

static fv_status need_input(fv_lines *l, fv_err *err)
{
    return l->in_begin < l->in_end ? FV_OK : read_more(l, err);
}

static fv_status copy_some(fv_lines *l, char *to, size_t room, size_t *got, fv_err *err)
{
    fv_status status = need_input(l, err);
    if (status != FV_OK) return status;
    size_t n = l->in_end - l->in_begin;
    if (n > room) n = room;
    memcpy(to, l->in + l->in_begin, n);
    l->in_begin += n;
    *got = n;
    return FV_OK;
}

static fv_status gzip_damaged(const fv_lines *l, fv_err *err)
{
    return FV_FAIL(err, FV_E_INPUT, "%s: the gzip data is damaged after line %lld (%s); copy or download the file again",
                   l->name, (long long)l->last, l->z.msg ? l->z.msg : "not gzip");
}

/* After a member: another, or the end. Zeros are padding, as tapes and some tools leave it. */
static fv_status next_member(fv_lines *l, fv_err *err)
{
    for (;;) {
        fv_status status = need_input(l, err);
        if (status != FV_OK || l->in_begin == l->in_end) return status;
        if (l->in[l->in_begin] != 0) break;
        l->in_begin++;
    }
    l->between = false;
    l->z.msg = NULL;
    return inflateReset(&l->z) == Z_OK ? FV_OK : gzip_damaged(l, err);
}

/* One round of zlib over the input at hand. */
static fv_status inflate_round(fv_lines *l, fv_err *err)
{
    l->z.next_in = l->in + l->in_begin;
    l->z.avail_in = (uInt)(l->in_end - l->in_begin);
    int rc = inflate(&l->z, Z_NO_FLUSH);
    l->in_begin = l->in_end - l->z.avail_in;
    if (rc == Z_MEM_ERROR) return FV_FAIL(err, FV_E_MEMORY, "%s: out of memory for gzip", l->name);
    if (rc != Z_OK && rc != Z_BUF_ERROR && rc != Z_STREAM_END) return gzip_damaged(l, err);
    l->between = rc == Z_STREAM_END;
    return FV_OK;
}

/* Gives at least a byte unless the data is over. */
static fv_status inflate_some(fv_lines *l, char *to, size_t room, size_t *got, fv_err *err)
{
    fv_status status = FV_OK;
    if (room > UINT_MAX) room = UINT_MAX;
    l->z.next_out = (Bytef *)to;
    l->z.avail_out = (uInt)room;
    while (l->z.avail_out == room) {
        if (l->between) FV_TRY(next_member(l, err));
        if (l->between) break;
        FV_TRY(need_input(l, err));
        if (l->in_begin == l->in_end) {
            status = FV_FAIL(err, FV_E_INPUT, "%s: the gzip data is cut off after line %lld; copy or download the file again",
                             l->name, (long long)l->last);
            goto done;
        }
        FV_TRY(inflate_round(l, err));
    }
    *got = room - l->z.avail_out;
done:
    return status;
}

/* ---- Opening ------------------------------------------------------------------------------ */

static fv_status open_file(fv_lines *l, const char *path, fv_err *err)
{
    struct stat st;
    if (strcmp(path, "-") == 0) {
        l->name = "stdin";
        l->fd = STDIN_FILENO;
    } else {
        l->name = path;
        l->fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (l->fd < 0 && errno == ENOENT) return FV_FAIL(err, FV_E_IO, "%s: no such file", path);
    if (l->fd < 0) return FV_FAIL(err, FV_E_IO, "%s: cannot be opened: %s", path, strerror(errno));
    if (fstat(l->fd, &st) == 0 && S_ISDIR(st.st_mode))
        return FV_FAIL(err, FV_E_IO, "%s: is a folder; expected a file", l->name);
    return FV_OK;
}

static bool starts(const void *bytes, size_t n, const char *magic, size_t magic_len)
{
    return n >= magic_len && memcmp(bytes, magic, magic_len) == 0;
}

/* The kinds of file that people hand over by mistake and that would else give puzzling errors. */
static const char *wrong_kind(const void *bytes, size_t n)
{
    static const struct { const char *magic; size_t len; const char *says; } kinds[] = {
        {"\x28\xb5\x2f\xfd", 4, "compressed by zstd; unpack it, or compress it with gzip"},
        {"\xfd" "7zXZ", 5, "compressed by xz; unpack it, or compress it with gzip"},
        {"BZh9", 4, "compressed by bzip2; unpack it, or compress it with gzip"},
        {"PK\x03\x04", 4, "a zip archive or a spreadsheet; save it as TSV, CSV or JSONL"},
        {"\xff\xfe", 2, "UTF-16 text; save it as UTF-8"},
        {"\xfe\xff", 2, "UTF-16 text; save it as UTF-8"},
    };
    for (size_t i = 0; i < FV_COUNT(kinds); i++)
        if (starts(bytes, n, kinds[i].magic, kinds[i].len)) return kinds[i].says;
    return NULL;
}

static bool named_gzip(const char *name)
{
    size_t n = strlen(name);
    return n >= 3 && strcmp(name + n - 3, ".gz") == 0;
}

static fv_status start_gzip(fv_lines *l, fv_err *err)
{
    l->z.zalloc = zlib_alloc;
    l->z.zfree = zlib_free;
    if (inflateInit2(&l->z, 15 + 16) != Z_OK) return FV_FAIL(err, FV_E_MEMORY, "%s: out of memory for gzip", l->name);
    l->gzip = true;
    return FV_OK;
}

/* Told by the first bytes, so that stdin and files of any name work. */
static fv_status look_at_start(fv_lines *l, fv_err *err)
{
    size_t before;
    do {
        before = l->in_end;
        fv_status status = read_more(l, err);
        if (status != FV_OK) return status;
    } while (l->in_end < 2 && l->in_end > before); /* a pipe may give one byte at first */
    if (starts(l->in, l->in_end, "\x1f\x8b", 2)) return start_gzip(l, err);
    const char *wrong = wrong_kind(l->in, l->in_end);
    if (wrong) return FV_FAIL(err, FV_E_INPUT, "%s: is %s", l->name, wrong);
    if (!named_gzip(l->name)) return FV_OK;
    return FV_FAIL(err, FV_E_INPUT, "%s: is not gzip, as its name says%s; unpacked files go by .tsv, .csv or .jsonl", l->name,
                   l->in_end == 0 ? " (it is empty)" : "");
}

/* ---- Lines -------------------------------------------------------------------------------- */

/* Room for more text behind what is there. Moving down costs no more than the quarter it frees. */
static fv_status make_room(fv_lines *l, fv_err *err)
{
    if (l->capacity - l->end > CHUNK) return FV_OK;
    if (l->begin > 0) memmove(l->data, l->data + l->begin, l->end - l->begin);
    l->next -= l->begin;
    l->end -= l->begin;
    l->begin = 0;
    if (l->capacity - l->end > l->capacity / 4) return FV_OK;
    size_t capacity = l->capacity ? 2 * l->capacity : 4 * CHUNK + 4;
    char *data = fv_realloc(l->data, capacity, err);
    if (!data) return FV_E_MEMORY;
    l->data = data;
    l->capacity = capacity;
    return FV_OK;
}

/* Reads ahead. One byte stays free for the zero that may end the last record. */
static fv_status fill(fv_lines *l, fv_err *err)
{
    size_t got = 0;
    fv_status status = make_room(l, err);
    if (status != FV_OK) return status;
    size_t room = l->capacity - l->end - 1;
    status = l->gzip ? inflate_some(l, l->data + l->end, room, &got, err) : copy_some(l, l->data + l->end, room, &got, err);
    l->end += got;
    l->ended = status == FV_OK && got == 0;
    return status;
}

static fv_status drop_byte_order_mark(fv_lines *l, fv_err *err)
{
    while (l->end < 3 && !l->ended) {
        fv_status status = fill(l, err);
        if (status != FV_OK) return status;
    }
    if (starts(l->data, l->end, "\xef\xbb\xbf", 3)) l->begin = l->next = 3;
    const char *wrong = l->gzip ? wrong_kind(l->data, l->end) : NULL;
    return wrong ? FV_FAIL(err, FV_E_INPUT, "%s: within the gzip is %s", l->name, wrong) : FV_OK;
}

/* The record as the outside sees it; it ends before `stop`, where a line break or the text's end is. */
static void show_record(fv_lines *l, size_t stop)
{
    l->text = l->data + l->begin;
    l->len = stop - l->begin;
    if (l->len > 0 && l->text[l->len - 1] == '\r') l->len--;
}

/* Adds one line to the record. 1; 0: none is left; FV_LINE_BYTES overrun: *too_long and 0. */
static int extend(fv_lines *l, bool *too_long, fv_err *err)
{
    const char *stop = NULL;
    size_t seen = 0;
    if (l->failure.status != FV_OK) return FV_FAIL(err, l->failure.status, "%s", l->failure.text);
    while (l->next + seen == l->end || !(stop = memchr(l->data + l->next + seen, '\n', l->end - l->next - seen))) {
        seen = l->end - l->next;
        *too_long = l->end - l->begin > FV_LINE_BYTES;
        if (*too_long || l->ended) break;
        fv_status status = fill(l, &l->failure);
        if (status != FV_OK) return FV_FAIL(err, status, "%s", l->failure.text);
    }
    size_t at = stop ? (size_t)(stop - l->data) : l->end;
    *too_long = at - l->begin > FV_LINE_BYTES;
    if (*too_long || (!stop && seen == 0)) return 0;
    l->next = at + (stop != NULL);
    l->last++;
    show_record(l, at);
    return 1;
}

int fv_lines_next(fv_lines *l, fv_err *err)
{
    bool too_long = false;
    l->begin = l->next;
    l->line = l->last + 1;
    int rc = extend(l, &too_long, err);
    l->first_bytes = l->next - l->begin;
    if (!too_long) return rc;
    fv_err_set(&l->failure, FV_E_INPUT, "%s:%lld: the line is longer than %zu MB; is this a text file with line breaks?",
               l->name, (long long)l->line, FV_LINE_BYTES >> 20);
    return FV_FAIL(err, FV_E_INPUT, "%s", l->failure.text);
}

int fv_lines_more(fv_lines *l, fv_err *err)
{
    bool too_long = false;
    int rc = extend(l, &too_long, err);
    l->text = l->data + l->begin; /* the buffer may have moved while no line came */
    return rc;
}

void fv_lines_keep_first(fv_lines *l)
{
    l->next = l->begin + l->first_bytes;
    l->last = l->line;
    show_record(l, l->next - (l->next > l->begin && l->data[l->next - 1] == '\n'));
}

void fv_lines_unread(fv_lines *l)
{
    l->next = l->begin;
    l->last = l->line - 1;
}

fv_status fv_lines_open(fv_lines *l, const char *path, fv_err *err)
{
    fv_status status = FV_OK;
    memset(l, 0, sizeof *l);
    FV_TRY(open_file(l, path, err));
    l->in = fv_alloc(CHUNK, err);
    if (!l->in) { status = FV_E_MEMORY; goto done; }
    FV_TRY(look_at_start(l, err));
    FV_TRY(drop_byte_order_mark(l, err));
done:
    if (status != FV_OK) fv_lines_close(l);
    return status;
}

void fv_lines_close(fv_lines *l)
{
    if (l->gzip) inflateEnd(&l->z);
    if (l->fd > STDIN_FILENO) close(l->fd);
    fv_free(l->in);
    fv_free(l->data);
    memset(l, 0, sizeof *l);
}
