/* Texts in, answers out, chunk after chunk in constant memory: what classify, embed, tag and translate share. The command says how a
 * chunk is answered and printed; opening, reading, the hint to who types, bad texts, and what is said of lost rows at the end are
 * here. */
#ifndef CLI_ANSWERS_H
#define CLI_ANSWERS_H

#include "cli/rows.h"

typedef struct cli_answers {
    const char *model, *file; /* model NULL: the command answers without one, and its session is NULL */
    const fv_session_options *session;
    const cli_rows_options *rows;
    bool quiet;
    const char *long_texts; /* what happened to texts longer than the model: "were cut" */
    const int64_t *own_cut; /* so many of them were the command's own, and are not told; NULL: none */
    /* Before the first chunk; NULL: nothing to do. */
    fv_status (*begin)(void *user, fv_session *session, fv_err *err);
    /* Answers the chunk, whose texts it may change, and prints: for each text, cli_rows_print_bad for one that was left out. FV_E_INPUT
     * before anything is printed when one of the texts is at fault: it is then called with parts of the chunk. Also called
     * with no texts at first, to hear what the model has against it. stdout is flushed after it. */
    fv_status (*answer)(void *user, fv_session *session, const cli_chunk *chunk, fv_err *err);
    fv_status (*end)(void *user, fv_err *err); /* after the last chunk, when nothing went wrong; NULL: nothing to do */
    void *user;
} cli_answers;

fv_status cli_answer_all(const cli_answers *answers, fv_err *err);

#endif
