/* Any bytes as a hub's list of files. What is taken has plain names, hashes and sizes alone: nothing that leads out of a folder. */
#include <string.h>

#include "hub/hub.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hub_list list;
    fv_err err = {0};
    if (hub_list_read(&list, (const char *)data, size, "list", &err) != FV_OK) {
        FV_ASSERT(err.text[0] && !list.files);
        return 0;
    }
    FV_ASSERT(hub_commit_fits(list.commit) && list.n > 0);
    for (size_t i = 0; i < list.n; i++) {
        const hub_file *f = &list.files[i];
        size_t len = strlen(f->hash);
        FV_ASSERT(hub_path_fits(f->path) && !strstr(f->path, "/.") && f->path[0] != '/');
        FV_ASSERT((len == 40 || len == 64) && strspn(f->hash, "0123456789abcdef") == len);
    }
    hub_list_release(&list);
    return 0;
}
