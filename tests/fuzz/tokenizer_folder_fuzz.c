/* Tokenizers of folders without tokenizer.json, of which one file comes from a stranger: refused with a message, or read and
 * then used. The first byte of an input says which file of which folder the rest is: vocab.txt, vocab.json and merges.txt,
 * and what stands beside them. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { WORDPIECE, MERGES, N_FOLDERS };
enum { LETTERS = 256 };

static const struct { int folder; const char *file; } cases[] = {
    {WORDPIECE, "vocab.txt"}, {WORDPIECE, "tokenizer_config.json"}, {MERGES, "vocab.json"}, {MERGES, "merges.txt"}, {MERGES, "tokenizer_config.json"},
    {MERGES, "special_tokens_map.json"}, {MERGES, "added_tokens.json"}, {MERGES, "config.json"},
};

static char root[256];
static fv_buf good[N_FOLDERS][2]; /* what is put back: vocab.txt; vocab.json and merges.txt */

static void promise(bool kept)
{
    if (!kept) abort();
}

static const char *path_of(int folder, const char *file)
{
    static char path[400];
    snprintf(path, sizeof path, "%s/%d/%s", root, folder, file);
    return path;
}

static void put(int folder, const char *file, const void *bytes, size_t n)
{
    FILE *to = fopen(path_of(folder, file), "wb");
    promise(to && fwrite(bytes, 1, n, to) == n && fclose(to) == 0);
}

static void clean_up(void)
{
    for (size_t i = 0; i < FV_COUNT(cases); i++) unlink(path_of(cases[i].folder, cases[i].file));
    for (int i = 0; i < N_FOLDERS; i++) rmdir(path_of(i, ""));
    rmdir(root);
}

/* Byte-level letters, the special tokens, and two merges. */
static void make_vocabularies(void)
{
    fv_buf *words = &good[WORDPIECE][0], *vocab = &good[MERGES][0], *merges = &good[MERGES][1];
    promise(fv_buf_puts(words, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\ncat\n##s\na\nb\n##b\n", NULL) == FV_OK);
    promise(fv_buf_puts(vocab, "{\"<s>\":0,\"<pad>\":1,\"</s>\":2,\"<unk>\":3,\"<mask>\":4", NULL) == FV_OK);
    for (int byte = 0; byte < LETTERS; byte++) {
        int point = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173) ? byte : byte < 33 ? 256 + byte : byte < 161 ? 256 + byte - 94 : 323;
        promise(fv_buf_printf(vocab, NULL, ",\"\\u%04x\":%d", (unsigned)point, 5 + byte) == FV_OK);
    }
    promise(fv_buf_puts(vocab, ",\"ab\":261,\"abc\":262}", NULL) == FV_OK);
    promise(fv_buf_puts(merges, "#version: 0.2\na b\nab c\n", NULL) == FV_OK);
}

/* All is as it was before any input. */
static void put_right(int folder)
{
    for (size_t i = 0; i < FV_COUNT(cases); i++)
        if (cases[i].folder == folder) unlink(path_of(folder, cases[i].file));
    if (folder == WORDPIECE) put(folder, "vocab.txt", good[folder][0].data, good[folder][0].len);
    else put(folder, "vocab.json", good[folder][0].data, good[folder][0].len), put(folder, "merges.txt", good[folder][1].data, good[folder][1].len);
}

static void use(const fv_tokenizer *t)
{
    static const char text[] = "The cats' abc [SEP] <s> <mask> cafe\u0301 \u4f60\u597d \xff\xe4\xbd  aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbb\n\n!";
    fv_encoding e = {0};
    fv_err err = {0};
    fv_status status = fv_tokenizer_encode(t, text, sizeof text - 1, "ab", 2, true, &e, &err);
    promise(status == err.status && (status == FV_OK || err.text[0]));
    for (size_t i = 0; i < e.n; i++) promise(fv_tokenizer_token(t, e.ids[i]) && e.begins[i] <= e.ends[i] && e.ends[i] <= sizeof text - 1);
    fv_encoding_release(&e);
}

static void open_folder(int folder, bool must)
{
    fv_err err = {0};
    fv_tokenizer *t = fv_tokenizer_open(path_of(folder, ""), &err);
    promise((t != NULL) == (err.status == FV_OK) && (t != NULL) == (err.text[0] == 0));
    promise(t || !must);
    if (t) use(t);
    fv_tokenizer_close(t);
}

static void make_folders(void)
{
    if (*root) return;
    snprintf(root, sizeof root, "%s/fovea-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : P_tmpdir);
    if (!mkdtemp(root)) abort();
    atexit(clean_up);
    make_vocabularies();
    for (int i = 0; i < N_FOLDERS; i++) {
        promise(mkdir(path_of(i, ""), 0700) == 0);
        put_right(i);
        open_folder(i, true); /* else every input would be refused for another's fault */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    make_folders();
    if (size == 0) return 0;
    size_t i = data[0] % FV_COUNT(cases);
    put(cases[i].folder, cases[i].file, data + 1, size - 1);
    open_folder(cases[i].folder, false);
    put_right(cases[i].folder);
    return 0;
}
