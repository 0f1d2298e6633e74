/* fovea.json, the record of a training run, as `runs` and `train` show it; and figures in words.
 *
 * Records come from other versions and from people's editors, so a missing or odd key is no error:
 * it is shown as nothing. */
#ifndef CLI_RECORD_H
#define CLI_RECORD_H

#include <jansson.h>

#include "base/str.h"

/* FOLDER/fovea.json, which the caller json_decref()s, or NULL. */
json_t *cli_record_load(const char *folder, fv_err *err);
/* Text or a number at a path of keys, "recipe.layers"; "" / NaN if it is not there. */
const char *cli_record_text(const json_t *record, const char *path);
double cli_record_number(const json_t *record, const char *path);
const json_t *cli_record_at(const json_t *record, const char *path);
/* A figure of "valid" or "test", which is a number or {"value", "low", "high"}; NaN if it is not there. */
double cli_record_metric(const json_t *record, const char *part, const char *metric);
/* The figure that runs are judged by: accuracy, or what stands for it with other labels. */
const char *cli_record_main_metric(const json_t *record);
bool cli_smaller_is_better(const char *metric);

/* A figure as people read it: "88.1 %" for shares, "0.4123" for the rest, "" for NaN. */
typedef struct cli_figure { char text[48]; } cli_figure;
const char *cli_show_figure(cli_figure *room, const char *metric, double value);
/* "87.2 to 89.0 %"; "" if either is NaN. */
const char *cli_show_interval(cli_figure *room, const char *metric, double low, double high);

/* A JSON number, or null for what JSON has no number for. */
json_t *cli_json_real(double x);
/* A JSON string of any bytes: broken UTF-8 becomes "�". */
json_t *cli_json_text(const char *text, size_t len);

#endif
