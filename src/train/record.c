/* Writes the run's log and its TensorBoard events side by side. When to write, and what a metric
 * means, is the loop's. The trap: the two files grow together but a crash may come between them, so a
 * checkpoint keeps a size for each, taken when both are whole. */
#include "train/record.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static double wall_time(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* JSON does not know NaN, which the loss of a run that diverged may be. */
static fv_status add_number(fv_buf *line, double value, fv_err *err)
{
    char text[FV_DOUBLE_TEXT];
    return fv_buf_puts(line, isfinite(value) ? fv_double_text(value, text) : "null", err);
}

static fv_status add_field(fv_buf *line, const char *key, double value, fv_err *err)
{
    fv_status status = FV_OK;
    if (line->data[line->len - 1] != '{') FV_TRY(fv_buf_putc(line, ',', err));
    FV_TRY(fv_buf_printf(line, err, "\"%s\":", key));
    FV_TRY(add_number(line, value, err));
done:
    return status;
}

static fv_status start_line(fv_buf *line, int64_t step, int64_t epoch, fv_err *err)
{
    line->len = 0;
    return fv_buf_printf(line, err, "{\"step\":%" PRId64 ",\"epoch\":%" PRId64, step, epoch);
}

static fv_status end_line(fv_record *record, const char *closing, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(fv_buf_puts(&record->line, closing, err));
    FV_TRY(fv_appender_add(&record->log, record->line.data, record->line.len, err));
done:
    return status;
}

/* What an earlier run told is kept under another name when a run begins anew. Its events, the same
 * figures, are not: TensorBoard would take both files for one run. */
static fv_status set_aside(const char *path, const char *folder, fv_err *err)
{
    static const char aside[] = "previous." FV_RECORD_LOG;
    char to[FV_PATH_MAX];
    if (!fv_file_exists(path)) return FV_OK;
    fv_status status = fv_path_join(to, folder, aside, err);
    if (status == FV_OK && rename(path, to) != 0) status = FV_FAIL(err, FV_E_IO, "%s: cannot be renamed to %s: %s", path, aside, strerror(errno));
    return status;
}

fv_status fv_record_open(fv_record *record, const char *folder, uint64_t keep_log_bytes, uint64_t keep_event_bytes, fv_err *err)
{
    fv_status status = FV_OK;
    char path[FV_PATH_MAX];
    *record = (fv_record){0};
    FV_TRY(fv_path_join(path, folder, FV_RECORD_LOG, err));
    if (!keep_log_bytes) FV_TRY(set_aside(path, folder, err));
    FV_TRY(fv_appender_open(&record->log, path, keep_log_bytes, err));
    FV_TRY(fv_path_join(path, folder, FV_RECORD_EVENTS, err));
    FV_TRY(fv_events_open(&record->events, path, keep_event_bytes, err));
done:
    if (status != FV_OK) fv_record_close(record);
    return status;
}

fv_status fv_record_step(fv_record *record, const fv_record_figures *figures, fv_err *err)
{
    fv_status status = FV_OK;
    fv_buf *line = &record->line;
    FV_TRY(start_line(line, figures->step, figures->epoch, err));
    FV_TRY(add_field(line, "loss", figures->loss, err));
    FV_TRY(add_field(line, "lr", figures->lr, err));
    FV_TRY(add_field(line, "grad_norm", figures->grad_norm, err));
    FV_TRY(fv_buf_printf(line, err, ",\"tokens\":%" PRId64, figures->tokens));
    FV_TRY(add_field(line, "tokens_per_s", figures->tokens_per_s, err));
    FV_TRY(add_field(line, "seconds", figures->seconds, err));
    FV_TRY(end_line(record, "}\n", err));

    double now = wall_time();
    FV_TRY(fv_events_scalar(&record->events, figures->step, now, "train/loss", figures->loss, err));
    FV_TRY(fv_events_scalar(&record->events, figures->step, now, "train/lr", figures->lr, err));
    FV_TRY(fv_events_scalar(&record->events, figures->step, now, "train/grad_norm", figures->grad_norm, err));
    FV_TRY(fv_events_scalar(&record->events, figures->step, now, "train/tokens_per_s", figures->tokens_per_s, err));
done:
    return status;
}

fv_status fv_record_valid(fv_record *record, int64_t step, int64_t epoch, const char *task, const fv_metric *metrics, size_t n, fv_err *err)
{
    fv_status status = FV_OK;
    fv_buf *line = &record->line;
    double now = wall_time();
    FV_TRY(start_line(line, step, epoch, err));
    if (*task) FV_TRY(fv_buf_printf(line, err, ",\"task\":\"%s\"", task)); /* letters, digits, _ and -: nothing to escape */
    FV_TRY(fv_buf_puts(line, ",\"valid\":{", err));
    for (size_t i = 0; i < n; i++) FV_TRY(add_field(line, metrics[i].name, metrics[i].value, err));
    FV_TRY(end_line(record, "}}\n", err));
    for (size_t i = 0; i < n; i++) {
        char tag[128];
        snprintf(tag, sizeof tag, "valid/%s%s%s", task, *task ? "/" : "", metrics[i].name);
        FV_TRY(fv_events_scalar(&record->events, step, now, tag, metrics[i].value, err));
    }
done:
    return status;
}

void fv_record_sizes(const fv_record *record, uint64_t *log_bytes, uint64_t *event_bytes)
{
    *log_bytes = fv_appender_size(&record->log);
    *event_bytes = fv_events_size(&record->events);
}

void fv_record_close(fv_record *record)
{
    fv_appender_close(&record->log);
    fv_events_close(&record->events);
    fv_buf_release(&record->line);
}
