/* Connections by idleness: see lines.h.
 *
 * The trap inside: lines are ended from other threads than the one that closes their sockets. So a socket is only shut down
 * here, under the lock that srv_lines_gone takes before the number of the socket can become another's. */
#include <poll.h>
#include <sys/socket.h>

#include "base/file.h"
#include "server/lines.h"

static void take_out(srv_line_list *list, srv_line *line)
{
    if (line->before) line->before->after = line->after;
    else list->first = line->after;
    if (line->after) line->after->before = line->before;
    else list->last = line->before;
}

static void put_last(srv_line_list *list, srv_line *line)
{
    line->before = list->last;
    line->after = NULL;
    if (list->last) list->last->after = line;
    else list->first = line;
    list->last = line;
}

static void end(srv_line *line)
{
    if (!line->ended) shutdown(line->fd, SHUT_RDWR);
    line->ended = true;
}

static void end_oldest(srv_lines *lines)
{
    srv_line *line = lines->idle.first;
    while (line && line->ended) line = line->after;
    if (line) end(line);
}

void srv_lines_init(srv_lines *lines, int most, double seconds)
{
    *lines = (srv_lines){.most = most, .seconds = seconds};
    pthread_mutex_init(&lines->lock, NULL);
}

void srv_lines_release(srv_lines *lines) { pthread_mutex_destroy(&lines->lock); }

srv_line *srv_lines_came(srv_lines *lines, int fd)
{
    srv_line *line = fv_alloc_zero(1, sizeof *line, NULL);
    if (!line) return NULL;
    line->fd = fd;
    line->since = fv_now();
    pthread_mutex_lock(&lines->lock);
    if (lines->n >= lines->most) end_oldest(lines);
    put_last(&lines->idle, line);
    lines->n++;
    pthread_mutex_unlock(&lines->lock);
    return line;
}

void srv_lines_gone(srv_lines *lines, srv_line *line)
{
    pthread_mutex_lock(&lines->lock);
    take_out(line->job ? &lines->busy : &lines->idle, line);
    lines->n--;
    pthread_mutex_unlock(&lines->lock);
    fv_free(line);
}

static void move(srv_lines *lines, srv_line *line, srv_job *job)
{
    pthread_mutex_lock(&lines->lock);
    take_out(line->job ? &lines->busy : &lines->idle, line);
    line->job = job;
    line->since = fv_now();
    put_last(job ? &lines->busy : &lines->idle, line);
    pthread_mutex_unlock(&lines->lock);
}

void srv_lines_idle(srv_lines *lines, srv_line *line) { move(lines, line, NULL); }
void srv_lines_busy(srv_lines *lines, srv_line *line, srv_job *job) { move(lines, line, job); }

/* A client that only ends its own side has gone too, as far as HTTP's clients do. */
static bool hung_up(const srv_line *line)
{
    struct pollfd p = {.fd = line->fd, .events = POLLRDHUP};
    return poll(&p, 1, 0) > 0;
}

/* libmicrohttpd (0.9.75) misses the end of a connection that comes together with the last bytes it reads; who went in the middle of a
 * large body would hold its memory until the time is up. Asking the system takes a call for each line, so it is done now and then, and not
 * of lines on which something happened just now. */
static void end_gone(srv_lines *lines, double now)
{
    enum { EVERY = 16 };
    if (lines->ticks++ % EVERY) return;
    for (srv_line *line = lines->idle.first; line && line->since < now - 1; line = line->after)
        if (!line->ended && hung_up(line)) end(line);
}

void srv_lines_tick(srv_lines *lines)
{
    double now = fv_now();
    pthread_mutex_lock(&lines->lock);
    for (srv_line *line = lines->idle.first; line && line->since < now - lines->seconds; line = line->after) end(line);
    end_gone(lines, now);
    for (srv_line *line = lines->busy.first; line; line = line->after)
        if (!line->ended && hung_up(line)) {
            line->ended = true;
            atomic_store(&line->job->left, true);
        }
    pthread_mutex_unlock(&lines->lock);
}
