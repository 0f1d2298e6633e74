/* Names and sizes of element types, from the one list in the header. */
#include "base/dtype.h"

#include <string.h>

#include "base/err.h"

static const struct {
    const char *name;
    size_t bytes;
} types[] = {
#define TYPE_ROW(name, text, bytes) [name] = {text, bytes},
    FV_DTYPE_LIST(TYPE_ROW)
#undef TYPE_ROW
};

size_t fv_dtype_bytes(fv_dtype dtype)
{
    FV_ASSERT((size_t)dtype < FV_COUNT(types));
    return types[dtype].bytes;
}

const char *fv_dtype_name(fv_dtype dtype)
{
    FV_ASSERT((size_t)dtype < FV_COUNT(types));
    return types[dtype].name;
}

int fv_dtype_parse(const char *name)
{
    for (int i = 0; i < FV_DTYPE_COUNT; i++)
        if (strcmp(types[i].name, name) == 0) return i;
    return -1;
}
