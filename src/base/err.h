/* Making and passing errors. The type and the kinds are public: see fovea.h.
 *
 *     fv_status load(const char *path, fv_err *err) {
 *         fv_status status = FV_OK;
 *         fv_buf text = {0};
 *         FV_TRY(fv_file_read(path, 1 << 20, &text, err));
 *         if (text.len == 0) { status = FV_FAIL(err, FV_E_INPUT, "%s: empty; expected a header line", path); goto done; }
 *     done:
 *         fv_buf_release(&text);
 *         return status;
 *     }
 */
#ifndef FV_BASE_ERR_H
#define FV_BASE_ERR_H

#include "fovea.h"

/* Fills *err (NULL is fine), cutting at a character boundary, and gives `status` back. */
fv_status fv_err_set(fv_err *err, fv_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Puts "WHERE: " before the text that is there: for callers who know the file or the line. */
void fv_err_prefix(fv_err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define FV_FAIL(err, status, ...) fv_err_set((err), (status), __VA_ARGS__)
/* Needs `fv_status status` and a label `done` in the function. */
#define FV_TRY(call) do { if ((status = (call)) != FV_OK) goto done; } while (0)
/* Our own mistake, never the user's: says where and aborts. On in every build. */
#define FV_ASSERT(x) ((x) ? (void)0 : fv_assert_failed(__FILE__, __LINE__, #x))
_Noreturn void fv_assert_failed(const char *file, int line, const char *what);

#define FV_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
