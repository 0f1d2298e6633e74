/* The live line of a long job. See term.h.
 *
 * The width is asked for at every drawing, so a resized terminal needs no signal handler; the line
 * never fills the last column, where some terminals wrap. */
#include <stdarg.h>
#include <string.h>

#include "base/file.h"
#include "cli/term.h"

#define LIVE_SECONDS 0.1
#define PLAIN_SECONDS 10.0

void cli_progress_init(cli_progress *p, bool quiet)
{
    *p = (cli_progress){.live = cli_live(stderr), .quiet = quiet, .last = fv_now()};
}

bool cli_progress_due(const cli_progress *p)
{
    return !p->quiet && fv_now() - p->last >= (p->live ? LIVE_SECONDS : PLAIN_SECONDS);
}

static bool kept(const cli_piece *pieces, size_t i, int limit) { return pieces[i].rank < limit && pieces[i].text[0]; }

/* Columns of the pieces ranked below `limit`, two spaces between them. */
static size_t line_width(const cli_piece *pieces, size_t n, int limit)
{
    size_t width = 0;
    for (size_t i = 0; i < n; i++)
        if (kept(pieces, i, limit)) width += cli_text_width(pieces[i].text, strlen(pieces[i].text)) + (width ? 2 : 0);
    return width;
}

void cli_progress_draw(cli_progress *p, const cli_piece *pieces, size_t n)
{
    int limit = (int)n + 1, width = cli_width(stderr);
    bool any = false;
    if (p->quiet) return;
    while (width && limit > 1 && line_width(pieces, n, limit) >= (size_t)width) limit--;
    if (p->live) fputs("\r\033[K", stderr);
    for (size_t i = 0; i < n; i++) {
        if (!kept(pieces, i, limit)) continue;
        fprintf(stderr, "%s%s", any ? "  " : "", pieces[i].text);
        any = true;
    }
    if (!p->live) fputc('\n', stderr);
    fflush(stderr);
    p->shown = p->live;
    p->last = fv_now();
}

void cli_progress_clear(cli_progress *p)
{
    if (p->shown) fputs("\r\033[K", stderr);
    p->shown = false;
}

void cli_progress_say(cli_progress *p, const char *format, ...)
{
    va_list list;
    if (p->quiet) return;
    cli_progress_clear(p);
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
    if (!p->live) p->last = fv_now(); /* a plain line is sign of life enough; a live line comes back at once */
}

void cli_bar(char *out, size_t size, double share, int cells)
{
    static const char *const eighths[] = {" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"};
    int filled = share <= 0 ? 0 : (int)((share >= 1 ? 1 : share) * cells * 8);
    size_t at = 0;
    out[0] = 0;
    for (int c = 0; c < cells; c++) {
        int here = filled - 8 * c;
        const char *cell = eighths[here < 0 ? 0 : here > 8 ? 8 : here];
        size_t len = strlen(cell);
        if (at + len + 1 > size) return;
        memcpy(out + at, cell, len + 1);
        at += len;
    }
}
