/* How fast texts become token ids, on one thread: for bench/tokenizers, which times another library on the
 * same files in turns.
 *
 *   encode TOKENIZER.json TEXTS.txt      a text on each line, without special tokens
 *
 * Prints one JSON line: megabytes a second, how many ids there were and their sum, so that both sides can
 * be seen to do the same work. The time is the processor's, which a busy machine stretches least. A few
 * hundred texts go first, untimed: they bring the vocabulary into the caches; the rest is new to it. */
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "fovea.h"

#define WARM_UP 200

typedef struct totals { size_t bytes; int64_t n, sum; double seconds; } totals;

static double processor_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Encodes up to `most` lines from *at on. */
static fv_status encode_lines(const fv_tokenizer *t, const char **at, const char *end, size_t most, fv_encoding *e, totals *sums, fv_err *err)
{
    double start = processor_seconds();
    for (; *at < end && most; most--) {
        const char *stop = memchr(*at, '\n', (size_t)(end - *at));
        size_t len = (size_t)((stop ? stop : end) - *at);
        fv_status status = fv_tokenizer_encode(t, *at, len, NULL, 0, false, e, err);
        if (status != FV_OK) return status;
        for (size_t i = 0; i < e->n; i++) sums->sum += e->ids[i];
        sums->n += (int64_t)e->n;
        sums->bytes += len;
        *at += len + 1;
    }
    sums->seconds += processor_seconds() - start;
    return FV_OK;
}

static fv_status measure(const fv_tokenizer *t, const char *path, totals *sums, fv_err *err)
{
    fv_status status = FV_OK;
    fv_buf file = {0};
    fv_encoding e = {0};
    totals warm = {0};
    FV_TRY(fv_file_read(path, (size_t)1 << 30, &file, err));
    const char *at = file.data, *end = file.data + file.len;
    FV_TRY(encode_lines(t, &at, end, WARM_UP, &e, &warm, err));
    FV_TRY(encode_lines(t, &at, end, SIZE_MAX, &e, sums, err));
done:
    fv_encoding_release(&e);
    fv_buf_release(&file);
    return status;
}

int main(int argc, char **argv)
{
    fv_err err = {0};
    totals sums = {0};
    if (argc != 3) return fprintf(stderr, "usage: encode TOKENIZER.json TEXTS.txt\n"), 2;
    fv_tokenizer *t = fv_tokenizer_open(argv[1], &err);
    if (!t || measure(t, argv[2], &sums, &err) != FV_OK) return fv_err_print(stderr, &err);
    fv_tokenizer_close(t);
    printf("{\"mb_per_s\":%.3f,\"ids\":%lld,\"sum\":%lld}\n", 1e-6 * (double)sums.bytes / sums.seconds, (long long)sums.n, (long long)sums.sum);
    return 0;
}
