/* An alignment as a picture in plain text: the translation's words down, the text's across, shaded by how much the one attended
 * to the other. */
#ifndef CLI_PICTURE_H
#define CLI_PICTURE_H

#include "base/str.h"

/* Prints to stdout, an empty line behind it; "word ← word (0.83)" lines where the terminal is too narrow. A pipe counts as
 * CLI_PICTURE_WIDTH columns. */
#define CLI_PICTURE_WIDTH 120
fv_status cli_print_picture(const char *source, const fv_translation *translation, fv_err *err);
/* The same into a buffer. */
fv_status cli_add_picture(fv_buf *out, const char *source, const fv_translation *translation, size_t width, fv_err *err);

#endif
