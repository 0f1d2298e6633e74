/* The files of texts below a folder; for this room's files only.
 *
 *     fv_text_files files;
 *     FV_TRY(fv_text_files_find(&files, "letters", err));
 *     for (size_t i = 0; i < files.n; i++) … files.paths[i] …
 *     fv_text_files_release(&files);
 */
#ifndef FV_DATA_FILES_H
#define FV_DATA_FILES_H

#include "base/str.h"

#define FV_TEXT_FILES ".txt, .md, .tsv, .csv, .jsonl, each also as .gz"

typedef struct fv_text_files {
    const char **paths; /* FOLDER/…, in the order of their bytes: the same on every disk */
    size_t n, capacity;
    fv_arena arena;
} fv_text_files;

/* All FV_TEXT_FILES in the folder and below. Left out: what is hidden (a name with a dot in front), symbolic links, and what is
 * neither file nor folder. Errors: a folder that cannot be read; none of such files at all. */
fv_status fv_text_files_find(fv_text_files *files, const char *folder, fv_err *err);
void fv_text_files_release(fv_text_files *files);

#endif
