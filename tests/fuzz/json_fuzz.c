/* JSON: any bytes are refused with a message or read; what is read is printed, reads back the same,
 * and its fields are read without a crash. */
#include <stdlib.h>

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void promise(bool kept)
{
    if (!kept) abort();
}

static void read_fields(const json_t *tree)
{
    static const char *keys[] = {"a", "hidden_size", "", "labels"};
    for (size_t i = 0; i < FV_COUNT(keys); i++) {
        fv_err err = {0};
        int64_t n = 0;
        double x = 0;
        bool b = false;
        const char *t = NULL;
        fv_json_int(tree, keys[i], true, 0, 100, &n, "input", &err);
        fv_json_real(tree, keys[i], true, &x, "input", &err);
        fv_json_bool(tree, keys[i], false, &b, "input", &err);
        fv_json_text(tree, keys[i], false, &t, "input", &err);
        promise(n >= 0 && n <= 100);
    }
}

static void print_and_read_back(const json_t *tree, int indent)
{
    fv_err err = {0};
    fv_buf text = {0};
    promise(fv_json_print(tree, indent, &text, &err) == FV_OK);
    json_t *back = fv_json_parse(text.data, text.len, "printed", &err);
    promise(back && json_equal(tree, back));
    json_decref(back);
    fv_buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fv_err err = {0};
    json_t *tree = fv_json_parse((const char *)data, size, "input", &err);
    promise((tree != NULL) == (err.status == FV_OK) && (tree != NULL) == (err.text[0] == 0));
    if (!tree) return 0;
    read_fields(tree);
    print_and_read_back(tree, 0);
    print_and_read_back(tree, 2);
    json_decref(tree);
    return 0;
}
