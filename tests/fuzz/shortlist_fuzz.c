/* Shortlists from strangers: opened or refused, and what opens keeps its promises and gives unions that do. The
 * first two bytes of an input are the vocabularies' sizes. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "infer/shortlist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_pick(const fv_shortlist *list, const int32_t *ids, size_t n)
{
    uint64_t marks[4];
    int32_t out[256];
    if (fv_shortlist_marks(list) > 4) abort();
    size_t picked = fv_shortlist_pick(list, marks, ids, n, out);
    if (picked > (size_t)list->target_vocab || picked < (size_t)list->n_always) abort();
    for (size_t i = 0; i < picked; i++)
        if (out[i] < 0 || out[i] >= list->target_vocab || (i > 0 && out[i] <= out[i - 1])) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fv_shortlist list;
    fv_err err = {0};
    char path[64];
    int32_t all[256];
    if (size < 2) return 0;
    int fd = memfd_create("fuzz", MFD_CLOEXEC), source = 1 + data[0], target = 1 + data[1];
    if (fd < 0 || write(fd, data + 2, size - 2) != (ssize_t)(size - 2)) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    fv_status status = fv_shortlist_open(&list, path, source, target, &err);
    if (status != FV_OK && (err.status != status || !err.text[0])) abort();
    for (int i = 0; i < source; i++) {
        all[i] = i;
        if (status == FV_OK) check_pick(&list, &all[i], 1);
    }
    if (status == FV_OK) check_pick(&list, all, (size_t)source);
    fv_shortlist_release(&list);
    close(fd);
    return 0;
}
