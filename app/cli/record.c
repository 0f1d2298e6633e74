/* The record of a training run, and figures in words. See record.h. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "cli/record.h"
#include "cli/term.h"

#define RECORD_BYTES (64u << 20) /* a record lists labels: thousands at most */

json_t *cli_record_load(const char *folder, fv_err *err)
{
    char path[FV_PATH_MAX];
    if (fv_path_join(path, folder, "fovea.json", err)) return NULL;
    json_t *record = fv_json_load(path, RECORD_BYTES, err);
    if (record && !json_is_object(record)) {
        FV_FAIL(err, FV_E_FORMAT, "%s: expected a JSON object", path);
        json_decref(record);
        return NULL;
    }
    return record;
}

const json_t *cli_record_at(const json_t *at, const char *path)
{
    char key[64];
    while (at && *path) {
        size_t len = strcspn(path, ".");
        snprintf(key, sizeof key, "%.*s", (int)len, path);
        at = json_object_get(at, key);
        path += len + (path[len] == '.');
    }
    return at;
}

const char *cli_record_text(const json_t *record, const char *path)
{
    const char *text = json_string_value(cli_record_at(record, path));
    return text ? text : "";
}

double cli_record_number(const json_t *record, const char *path)
{
    const json_t *at = cli_record_at(record, path);
    return json_is_number(at) ? json_number_value(at) : NAN;
}

double cli_record_metric(const json_t *record, const char *part, const char *metric)
{
    const json_t *at = json_object_get(json_object_get(record, part), metric);
    if (json_is_object(at)) at = json_object_get(at, "value");
    return json_is_number(at) ? json_number_value(at) : NAN;
}

const char *cli_record_main_metric(const json_t *record)
{
    const char *kind = cli_record_text(record, "labels_kind");
    if (cli_record_at(record, "heads")) return "mean"; /* of the heads' own */
    if (strcmp(kind, "multi") == 0) return "micro_f1";
    if (strcmp(kind, "none") == 0) return "perplexity";
    if (strcmp(kind, "vector") == 0) return cli_record_at(record, "valid.spearman") ? "spearman" : cli_record_at(record, "valid.cosine") ? "cosine" : "mrr";
    if (strcmp(kind, "tags") == 0 && cli_record_at(record, "valid.f1")) return "f1"; /* of spans */
    return strcmp(kind, "regression") == 0 ? "r2" : "accuracy";
}

bool cli_smaller_is_better(const char *metric) { return strcmp(metric, "perplexity") == 0; }

/* BLEU and chrF go from 0 to 100, and are given with two decimals everywhere. */
static bool is_score(const char *metric) { return strncmp(metric, "bleu", 4) == 0 || strcmp(metric, "chrf") == 0; }

/* Shares of a whole are read as per cent. */
static bool is_share(const char *metric)
{
    static const char *const shares[] = {"accuracy", "ece", "precision", "recall", "f1", "macro_f1", "micro_f1", "recall1", "recall10"};
    for (size_t i = 0; i < FV_COUNT(shares); i++)
        if (strcmp(metric, shares[i]) == 0) return true;
    return false;
}

const char *cli_show_figure(cli_figure *room, const char *metric, double value)
{
    if (isnan(value)) room->text[0] = 0;
    else if (is_share(metric)) snprintf(room->text, sizeof room->text, "%.1f %%", 100 * value);
    else if (is_score(metric)) snprintf(room->text, sizeof room->text, "%.2f", value);
    else snprintf(room->text, sizeof room->text, "%.4f", value);
    return room->text;
}

const char *cli_show_interval(cli_figure *room, const char *metric, double low, double high)
{
    if (isnan(low) || isnan(high)) room->text[0] = 0;
    else if (is_share(metric)) snprintf(room->text, sizeof room->text, "%.1f to %.1f %%", 100 * low, 100 * high);
    else if (is_score(metric)) snprintf(room->text, sizeof room->text, "%.2f to %.2f", low, high);
    else snprintf(room->text, sizeof room->text, "%.4f to %.4f", low, high);
    return room->text;
}

json_t *cli_json_real(double x) { return isfinite(x) ? json_real(x) : json_null(); }

json_t *cli_json_text(const char *text, size_t len)
{
    json_t *value = json_stringn(text, len);
    if (value) return value;
    fv_buf clean = {0};
    if (cli_add_cut(&clean, text, len, 0, NULL) == FV_OK) value = json_stringn(clean.data ? clean.data : "", clean.len);
    fv_buf_release(&clean);
    return value;
}
