/* Connections, by how long each has been idle: bounds of time and number that a slow or silent client cannot evade.
 *
 * A line is idle from its beginning until a request has come in whole, and again while its answer is read; then it has a few
 * seconds, however often a byte trickles. When lines run out, the one that has been idle for longest makes room for the new
 * one: a thousand silent connections do not lock anybody out. While a request is computed its line is busy and left
 * alone, but looked after: if the client hangs up, nothing more is computed for it. */
#ifndef SRV_LINES_H
#define SRV_LINES_H

#include "server/engine.h"

typedef struct srv_line {
    struct srv_line *before, *after;
    int fd;
    double since;
    srv_job *job;  /* while busy */
    bool ended;    /* told to; it goes when the HTTP thread sees it */
} srv_line;

typedef struct srv_line_list {
    srv_line *first, *last;
} srv_line_list;

typedef struct srv_lines {
    pthread_mutex_t lock;
    srv_line_list idle, busy; /* the longest first */
    int n, most;
    unsigned ticks;
    double seconds;
} srv_lines;

void srv_lines_init(srv_lines *lines, int most, double seconds);
/* A new line, which belongs to the list until srv_lines_gone frees it. NULL: out of memory. */
srv_line *srv_lines_came(srv_lines *lines, int fd);
void srv_lines_gone(srv_lines *lines, srv_line *line);
/* Idle from now on; busy with a job. */
void srv_lines_idle(srv_lines *lines, srv_line *line);
void srv_lines_busy(srv_lines *lines, srv_line *line, srv_job *job);
/* Ends lines that are idle for too long or whose clients hung up, and jobs whose clients hung up: several times a second. */
void srv_lines_tick(srv_lines *lines);
void srv_lines_release(srv_lines *lines);

#endif
