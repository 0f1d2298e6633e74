/* JSON by jansson, with Fovea's errors: file, line, field, found, expected. Depth and size are bounded. */
#ifndef FV_BASE_JSON_H
#define FV_BASE_JSON_H

#include <jansson.h>

#include "base/str.h"

/* Text to a tree the caller json_decref()s. `where` names the source in messages. Duplicate keys are refused. */
json_t *fv_json_parse(const char *text, size_t len, const char *where, fv_err *err);
json_t *fv_json_load(const char *path, size_t max_bytes, fv_err *err);
/* Adds the tree as text, keys in insertion order, reals as short as they read back the same. indent 0: one line,
 * no blanks. Prefer it to json_dumps, whose result must go through fv_free_plain. */
fv_status fv_json_print(const json_t *tree, int indent, fv_buf *out, fv_err *err);
/* Indented, keys in insertion order, ended by a line break; written all or nothing. */
fv_status fv_json_save(const json_t *tree, const char *path, fv_err *err);

/* Field readers. Missing: *out keeps its value (preset it to the default) unless `required`. Wrong
 * type or out of [low, high]: FV_E_FORMAT "WHERE: KEY is "x"; expected …". */
fv_status fv_json_int(const json_t *object, const char *key, bool required, int64_t low, int64_t high, int64_t *out, const char *where, fv_err *err);
fv_status fv_json_real(const json_t *object, const char *key, bool required, double *out, const char *where, fv_err *err);
fv_status fv_json_bool(const json_t *object, const char *key, bool required, bool *out, const char *where, fv_err *err);
/* Borrowed from the tree. JSON null counts as missing. */
fv_status fv_json_text(const json_t *object, const char *key, bool required, const char **out, const char *where, fv_err *err);
/* The place of the text among `words`. */
fv_status fv_json_word(const json_t *object, const char *key, bool required, const char *const *words, int n, int *out, const char *where, fv_err *err);

#endif
