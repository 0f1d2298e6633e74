/* What a run leaves behind for people: OUT/log.jsonl, one object a line, and OUT/events.out.tfevents.fovea,
 * the same figures for TensorBoard.
 *
 *     {"step":10,"epoch":0,"loss":1.5,"lr":0.001,"grad_norm":2,"tokens":20480,"tokens_per_s":9000,"seconds":2.3}
 *     {"step":40,"epoch":0,"valid":{"accuracy":0.8,"loss":0.7}}
 *
 * A number that is not finite is null in JSON. A checkpoint remembers the sizes of both files, and
 * resuming cuts them back to there, so that no step is told twice. */
#ifndef FV_TRAIN_RECORD_H
#define FV_TRAIN_RECORD_H

#include "formats/formats.h"

#define FV_RECORD_LOG "log.jsonl"
#define FV_RECORD_EVENTS "events.out.tfevents.fovea"

typedef struct fv_record {
    fv_appender log;
    fv_events events;
    fv_buf line; /* reused by every line */
} fv_record;

typedef struct fv_record_figures {
    int64_t step, epoch, tokens;
    double loss, lr, grad_norm, tokens_per_s, seconds;
} fv_record_figures;

/* Keeps the first bytes of each file; 0 and 0 begin anew, and the log that was there is renamed to previous.log.jsonl. */
fv_status fv_record_open(fv_record *record, const char *folder, uint64_t keep_log_bytes, uint64_t keep_event_bytes, fv_err *err);
fv_status fv_record_step(fv_record *record, const fv_record_figures *figures, fv_err *err);
/* `task`: which of several, "" for the only one. */
fv_status fv_record_valid(fv_record *record, int64_t step, int64_t epoch, const char *task, const fv_metric *metrics, size_t n, fv_err *err);
/* For a checkpoint. */
void fv_record_sizes(const fv_record *record, uint64_t *log_bytes, uint64_t *event_bytes);
void fv_record_close(fv_record *record);

#endif
