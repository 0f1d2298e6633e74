/* Errors: the text in the caller's fv_err, and the end of the program for our own mistakes.
 *
 * Messages quote file names and bytes of hostile files, so whatever is not printable UTF-8 is
 * replaced here, once: a message is one line that no terminal can be tricked with.
 * The trap: arguments of fv_err_set may point into the very err that is being filled, so the text
 * is made in a buffer of its own first. */
#include "base/err.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define TEXT_MAX sizeof(((fv_err *)NULL)->text)

/* Length of `text` without a character whose end is missing. */
static size_t whole_characters(const char *text, size_t len)
{
    size_t back = 0;
    while (back < 3 && back < len && ((unsigned char)text[len - 1 - back] & 0xC0) == 0x80) back++;
    if (back == len) return len;
    size_t lead = len - 1 - back;
    bool multibyte = (unsigned char)text[lead] >= 0xC0;
    return multibyte && fv_utf8_len(text + lead, text + len) == 0 ? lead : len;
}

static bool control(unsigned char c)
{
    return c < 0x20 || c == 0x7F;
}

/* U+0080 to U+009F, which terminals obey like escape sequences. */
static bool control_pair(const char *p, int len)
{
    return len == 2 && (unsigned char)p[0] == 0xC2 && (unsigned char)p[1] < 0xA0;
}

static void copy_printable(char *to, const char *from, size_t len)
{
    const char *end = from + len;
    while (from < end) {
        int n = fv_utf8_len(from, end);
        if (n == 0 || control((unsigned char)*from) || control_pair(from, n)) {
            *to++ = *from == '\n' || *from == '\t' ? ' ' : '?';
            from += n == 0 ? 1 : n;
            continue;
        }
        memcpy(to, from, (size_t)n);
        to += n;
        from += n;
    }
    *to = 0;
}

/* `would` is what vsnprintf returned for a buffer of TEXT_MAX bytes. */
static void keep_text(fv_err *err, const char *text, int would)
{
    size_t len = would < 0 ? 0 : (size_t)would;
    if (len >= TEXT_MAX) len = whole_characters(text, TEXT_MAX - 1);
    copy_printable(err->text, text, len);
}

fv_status fv_err_set(fv_err *err, fv_status status, const char *format, ...)
{
    if (!err) return status;
    char text[TEXT_MAX];
    va_list args;
    va_start(args, format);
    int would = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    keep_text(err, text, would);
    err->status = status;
    return status;
}

void fv_err_prefix(fv_err *err, const char *format, ...)
{
    if (!err) return;
    char where[TEXT_MAX], text[TEXT_MAX];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(where, sizeof where, format, args);
    va_end(args);
    if (len < 0) return;
    keep_text(err, text, snprintf(text, sizeof text, "%s: %s", where, err->text));
}

void fv_assert_failed(const char *file, int line, const char *what)
{
    fprintf(stderr, "fovea: %s:%d: broken promise: %s; this is a mistake in Fovea, please report it\n", file, line, what);
    abort();
}

const char *fv_status_text(fv_status status)
{
    switch (status) {
#define TEXT_CASE(name, value, text) case name: return text;
        FV_STATUS_LIST(TEXT_CASE)
#undef TEXT_CASE
    }
    return "an unknown status";
}

int fv_err_print(FILE *to, const fv_err *err)
{
    const char *text = err && err->text[0] ? err->text : fv_status_text(err ? err->status : FV_OK);
    fprintf(to, "fovea: %s\n", text);
    return 1;
}

const char *fv_version(void)
{
    return FV_VERSION;
}
