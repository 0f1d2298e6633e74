/* Classes of characters that tokenizers ask for, as Unicode defines them.
 *
 * Other libraries carry tables of older or newer versions of Unicode, and so may differ on the few characters that came or
 * changed between the two. */
#include <utf8proc.h>

#include "text/tokenizer.h"

bool fv_is_white(int32_t point)
{
    if (point < 0x80) return point == ' ' || (point >= 9 && point <= 13);
    switch (utf8proc_category(point)) {
    case UTF8PROC_CATEGORY_ZS: case UTF8PROC_CATEGORY_ZL: case UTF8PROC_CATEGORY_ZP: return true;
    default: return point == 0x85;
    }
}

static bool is_ascii_punctuation(int c)
{
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

bool fv_is_punctuation(int32_t point)
{
    if (point < 0x80) return is_ascii_punctuation(point);
    switch (utf8proc_category(point)) {
    case UTF8PROC_CATEGORY_PC: case UTF8PROC_CATEGORY_PD: case UTF8PROC_CATEGORY_PS: case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI: case UTF8PROC_CATEGORY_PF: case UTF8PROC_CATEGORY_PO: return true;
    default: return false;
    }
}

bool fv_is_number(int32_t point)
{
    switch (utf8proc_category(point)) {
    case UTF8PROC_CATEGORY_ND: case UTF8PROC_CATEGORY_NL: case UTF8PROC_CATEGORY_NO: return true;
    default: return false;
    }
}

bool fv_is_mark(int32_t point)
{
    switch (utf8proc_category(point)) {
    case UTF8PROC_CATEGORY_MN: case UTF8PROC_CATEGORY_MC: case UTF8PROC_CATEGORY_ME: return true;
    default: return false;
    }
}

/* Symbols that count as alphabetic: letters in circles and squares. */
static bool is_letter_like(int32_t point)
{
    return (point >= 0x24B6 && point <= 0x24E9) || (point >= 0x1F130 && point <= 0x1F149) || (point >= 0x1F150 && point <= 0x1F169) ||
           (point >= 0x1F170 && point <= 0x1F189);
}

bool fv_is_word(int32_t point)
{
    switch (utf8proc_category(point)) {
    case UTF8PROC_CATEGORY_LU: case UTF8PROC_CATEGORY_LL: case UTF8PROC_CATEGORY_LT: case UTF8PROC_CATEGORY_LM: case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND: case UTF8PROC_CATEGORY_NL: case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_MN: case UTF8PROC_CATEGORY_MC: case UTF8PROC_CATEGORY_ME: return true;
    default: return point == 0x200C || point == 0x200D || is_letter_like(point);
    }
}

size_t fv_point_at(const char *p, size_t len, int32_t *point)
{
    utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)p, (utf8proc_ssize_t)len, point);
    if (n > 0) return (size_t)n;
    *point = 0xFFFD;
    return 1;
}

size_t fv_point_before(const char *text, size_t end, int32_t *point)
{
    size_t n = 1;
    while (n < 4 && n < end && (unsigned char)text[end - n] >> 6 == 2) n++;
    if (fv_point_at(text + end - n, n, point) == n) return n;
    *point = 0xFFFD;
    return 1;
}
