/* What a terminal is and how wide text is in it. See term.h. */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utf8proc.h>

#include "cli/term.h"

#define NARROWEST 10 /* a width below this is nonsense from the environment */

int cli_width(FILE *to)
{
    struct winsize size;
    int64_t columns;
    const char *text = getenv("COLUMNS");
    if (!isatty(fileno(to))) return 0;
    if (text && fv_parse_int64(text, &columns) && columns >= NARROWEST && columns < 10000) return (int)columns;
    if (ioctl(fileno(to), TIOCGWINSZ, &size) == 0 && size.ws_col >= NARROWEST) return size.ws_col;
    return 80;
}

bool cli_live(FILE *to)
{
    const char *term = getenv("TERM");
    return isatty(fileno(to)) && term && *term && strcmp(term, "dumb") != 0;
}

bool cli_colour(FILE *to)
{
    const char *no = getenv("NO_COLOR");
    return cli_live(to) && !(no && *no);
}

/* The character at p: its length in bytes, and its columns. Broken bytes and control characters count as
 * one column, *plain false. */
static int measure(const char *p, const char *end, int *columns, bool *plain)
{
    utf8proc_int32_t c = 0;
    int len = fv_utf8_len(p, end);
    *plain = false;
    *columns = 1;
    if (len == 0) return 1;
    utf8proc_iterate((const utf8proc_uint8_t *)p, len, &c);
    if (c < 0x20 || (c >= 0x7f && c < 0xa0)) return len;
    *plain = true;
    *columns = utf8proc_charwidth(c);
    return len;
}

size_t cli_text_width(const char *text, size_t len)
{
    size_t width = 0;
    int columns;
    bool plain;
    for (const char *end = text + len; text < end; width += (size_t)columns) text += measure(text, end, &columns, &plain);
    return width;
}

fv_status cli_add_cut(fv_buf *out, const char *text, size_t len, size_t width, fv_err *err)
{
    const char *end = text + len;
    bool cut = width && cli_text_width(text, len) > width, plain;
    size_t used = 0;
    int columns;
    while (text < end) {
        int n = measure(text, end, &columns, &plain);
        if (cut && used + (size_t)columns > width - 1) break;
        fv_status status = plain ? fv_buf_add(out, text, (size_t)n, err) : fv_buf_puts(out, "\xef\xbf\xbd", err);
        if (status) return status;
        used += (size_t)columns;
        text += n;
    }
    return cut ? fv_buf_puts(out, "…", err) : FV_OK;
}

void cli_wrap(FILE *to, const char *text, size_t column, size_t indent, size_t width)
{
    bool first = true;
    while (*text) {
        size_t len = strcspn(text, " "), columns = cli_text_width(text, len);
        if (!first && column + 1 + columns > width) {
            fprintf(to, "\n%*s", (int)indent, "");
            column = indent;
            first = true;
        }
        fprintf(to, "%s%.*s", first ? "" : " ", (int)len, text);
        column += columns + !first;
        first = false;
        text += len;
        text += strspn(text, " ");
    }
    fputc('\n', to);
}

const char *cli_show_span(cli_span *room, double seconds)
{
    long long whole = seconds < 1e9 ? (long long)(seconds + 0.5) : 1000000000;
    if (seconds < 9.95) snprintf(room->text, sizeof room->text, "%.1fs", seconds < 0 ? 0 : seconds);
    else if (whole < 60) snprintf(room->text, sizeof room->text, "%llds", whole);
    else if (whole < 3600) snprintf(room->text, sizeof room->text, "%lldm %02llds", whole / 60, whole % 60);
    else snprintf(room->text, sizeof room->text, "%lldh %02lldm", whole / 3600, whole / 60 % 60);
    return room->text;
}

const char *cli_show_count(cli_count *room, int64_t n)
{
    char digits[24];
    size_t len = (size_t)snprintf(digits, sizeof digits, "%lld", (long long)n), at = 0;
    for (size_t i = 0; i < len; i++) {
        room->text[at++] = digits[i];
        size_t left = len - 1 - i;
        if (left && left % 3 == 0 && digits[i] != '-') room->text[at++] = ',';
    }
    room->text[at] = 0;
    return room->text;
}
