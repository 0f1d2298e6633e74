/* safetensors files from strangers: opened, every byte that was promised is read, closed. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "formats/formats.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t sink;

static void read_all(const fv_safetensors *file)
{
    for (size_t i = 0; i < file->n; i++) {
        const fv_st_tensor *tensor = &file->tensors[i];
        const uint8_t *bytes = tensor->data;
        for (size_t j = 0; j < tensor->bytes; j++) sink += bytes[j];
        if (fv_safetensors_find(file, tensor->name) != tensor) abort();
    }
    (void)fv_safetensors_meta(file, "format");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fv_safetensors file;
    fv_err err = {0};
    char path[64];
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    fv_status status = fv_safetensors_open(&file, path, &err);
    if (status == FV_OK) read_all(&file);
    else if (err.status != status || !err.text[0]) abort();
    if (status == FV_OK) fv_safetensors_close(&file);
    close(fd);
    return 0;
}
