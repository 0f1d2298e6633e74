/* A small fuzzer of our own, so that fuzzing needs no compiler but the one at hand. It links with
 * any *_fuzz.c that exports LLVMFuzzerTestOneInput; under clang libFuzzer can take its place.
 *
 *     NAME FILE…                          runs each file once: how a saved input is tried again
 *     NAME --seconds N --save PATH DIR    runs every file of DIR, then changed copies of them
 *
 * Where the library was compiled with -fsanitize-coverage=trace-pc, an input that reaches a new place
 * joins those that are changed further; without it only the files of DIR are changed. Chance has a
 * fixed seed, so only the number of runs differs from one day to the next.
 *
 * An input that crashes, exits, leaks or runs for HANG_SECONDS is written to PATH. The trap: all of
 * that happens in signal handlers or in a dying process, so saving is open, write and close only. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define HANG_SECONDS 5
#define LONGEST (256 * 1024) /* a changed input grows no further; a longer file is run as it is */
#define MAX_KEPT 8192          /* inputs held for further changes */
#define PLACES (1 << 16)       /* slots for places in the code, a power of two; collisions lose little */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
void __sanitizer_cov_trace_pc(void);
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);

/* Offered by the sanitizers' runtimes; missing in a plain build. */
__attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)(void));
__attribute__((weak)) int __lsan_do_recoverable_leak_check(void);
__attribute__((weak)) int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t),
                                                                    void (*on_free)(const volatile void *));

typedef struct input {
    uint8_t *bytes;
    size_t size;
} input;

/* What is being run, for the handlers. */
static const uint8_t *volatile running;
static volatile size_t running_size;
static volatile sig_atomic_t seconds_in_run;
static const char *save_path;

static uint8_t reached[PLACES];
static size_t n_reached;
static volatile int64_t live_blocks;

static input kept[MAX_KEPT];
static size_t n_kept, n_runs;
static uint64_t chance = 0x9E3779B97F4A7C15u;

/* ---- Saving what went wrong ------------------------------------------------------------------ */

static void print(const char *text)
{
    ssize_t ignored = write(STDERR_FILENO, text, strlen(text));
    (void)ignored;
}

/* Runs at most once, for the input at hand; safe in a signal handler. */
static void save_running(void)
{
    const uint8_t *bytes = running;
    if (bytes == NULL) return;
    running = NULL;
    if (save_path == NULL) return;
    int fd = open(save_path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    bool saved = fd >= 0 && write(fd, bytes, running_size) == (ssize_t)running_size;
    if (fd >= 0) close(fd);
    print(saved ? "the input is saved in " : "the input could not be written to ");
    print(save_path);
    print("\n");
}

static void on_crash(int sig)
{
    print("fuzz: the input crashed the program\n");
    save_running();
    signal(sig, SIG_DFL);
    raise(sig);
}

static void on_second(int sig)
{
    (void)sig;
    if (running == NULL || ++seconds_in_run < HANG_SECONDS) return;
    print("fuzz: the input ran for 5 seconds without an end\n");
    save_running();
    _exit(1);
}

static void on_exit_inside(void)
{
    if (running == NULL) return;
    print("fuzz: the input made the program exit\n");
    save_running();
    _exit(1);
}

/* Aborting brings every report through on_crash: gcc's two runtimes share no callback. A size from a
 * hostile file that nothing could hold must come back as NULL, as it does without a sanitizer. */
const char *__asan_default_options(void)
{
    return "abort_on_error=1:allocator_may_return_null=1:max_allocation_size_mb=1024:hard_rss_limit_mb=3000";
}

const char *__ubsan_default_options(void)
{
    return "abort_on_error=1:print_stacktrace=1";
}

static void handle(int sig, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(sig, &action, NULL);
}

static void count_malloc(const volatile void *block, size_t size)
{
    (void)block, (void)size;
    live_blocks++;
}

static void count_free(const volatile void *block)
{
    if (block != NULL) live_blocks--;
}

static void install_handlers(void)
{
    static const int plain[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    /* A sanitizer reports these signals better than we can, and calls back before it ends. */
    if (__sanitizer_set_death_callback != NULL) {
        __sanitizer_set_death_callback(save_running);
    } else {
        for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) handle(plain[i], on_crash);
    }
    handle(SIGABRT, on_crash);
    handle(SIGALRM, on_second);
    struct itimerval every_second = {.it_interval.tv_sec = 1, .it_value.tv_sec = 1};
    setitimer(ITIMER_REAL, &every_second, NULL);
    atexit(on_exit_inside);
    if (__sanitizer_install_malloc_and_free_hooks != NULL)
        __sanitizer_install_malloc_and_free_hooks(count_malloc, count_free);
}

/* ---- Running one input ----------------------------------------------------------------------- */

/* Called by instrumented code at every branch. */
void __sanitizer_cov_trace_pc(void)
{
    uintptr_t place = (uintptr_t)__builtin_return_address(0);
    uint8_t *slot = &reached[(place ^ (place >> 16)) & (PLACES - 1)];
    if (*slot) return;
    *slot = 1;
    n_reached++;
}

/* Looking for leaks is slow, so it is done only after a run that freed less than it allocated. */
static void check_leaks(int64_t blocks_before)
{
    if (live_blocks <= blocks_before || __lsan_do_recoverable_leak_check == NULL) return;
    if (__lsan_do_recoverable_leak_check() == 0) return;
    print("fuzz: the input made the program leak\n");
    save_running();
    _exit(1);
}

/* True if a place was reached that no input reached before. */
static bool run(const uint8_t *bytes, size_t size)
{
    /* An exact copy on the heap, so that reading one byte too far is seen. */
    uint8_t *copy = malloc(size ? size : 1);
    if (copy == NULL) abort();
    memcpy(copy, bytes, size);
    size_t before = n_reached;
    int64_t blocks = live_blocks;
    seconds_in_run = 0;
    running_size = size;
    running = copy;
    LLVMFuzzerTestOneInput(copy, size);
    check_leaks(blocks);
    running = NULL;
    free(copy);
    n_runs++;
    return n_reached > before;
}

static void keep(const uint8_t *bytes, size_t size)
{
    if (n_kept == MAX_KEPT || size > LONGEST) return;
    uint8_t *copy = malloc(size ? size : 1);
    if (copy == NULL) abort();
    memcpy(copy, bytes, size);
    kept[n_kept++] = (input){copy, size};
}

/* ---- Changing inputs ------------------------------------------------------------------------- */

/* splitmix64 (Steele et al. 2014). */
static uint64_t random_bits(void)
{
    uint64_t z = chance += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static size_t below(size_t n)
{
    return n ? (size_t)(random_bits() % n) : 0;
}

static size_t flip_bit(uint8_t *bytes, size_t size)
{
    if (size) bytes[below(size)] ^= (uint8_t)(1u << below(8));
    return size;
}

static size_t set_byte(uint8_t *bytes, size_t size)
{
    /* What our formats give a meaning to, beside any byte at all. */
    static const char special[] = "{}[]\",:\\\t\n\r 0123456789-+.eE_\xEF\xBB\xBF\xFF";
    if (size) bytes[below(size)] = below(2) ? (uint8_t)special[below(sizeof special)] : (uint8_t)random_bits();
    return size;
}

static size_t set_number(uint8_t *bytes, size_t size)
{
    static const uint64_t edges[] = {
        0, 1, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF,
        0x7FFFFFFFFFFFFFFF, 0x8000000000000000, 0xFFFFFFFFFFFFFFFF, 0x1000000000000000,
    };
    size_t width = (size_t)1 << below(4);
    if (size < width) return size;
    uint64_t value = edges[below(sizeof edges / sizeof *edges)] + below(3) - 1;
    bool big_endian = below(2);
    size_t at = below(4) ? below(size - width + 1) : 0;
    for (size_t i = 0; i < width; i++) bytes[at + i] = (uint8_t)(value >> 8 * (big_endian ? width - 1 - i : i));
    return size;
}

/* Numbers written as text carry most sizes of our formats. */
static size_t set_decimal(uint8_t *bytes, size_t size)
{
    static const char *const numbers[] = {"0", "-1", "4294967296", "9223372036854775808", "1e999", "00", "0.5", "nan"};
    size_t at = below(size + 1), end;
    while (at < size && (bytes[at] < '0' || bytes[at] > '9')) at++;
    for (end = at; end < size && bytes[end] >= '0' && bytes[end] <= '9'; end++) {}
    const char *number = numbers[below(sizeof numbers / sizeof *numbers)];
    size_t length = strlen(number);
    if (at == end || size - (end - at) + length > LONGEST) return size;
    memmove(bytes + at + length, bytes + end, size - end);
    memcpy(bytes + at, number, length);
    return size - (end - at) + length;
}

static size_t delete_range(uint8_t *bytes, size_t size)
{
    if (size == 0) return 0;
    size_t at = below(size);
    size_t length = 1 + below(below(4) ? (size - at < 16 ? size - at : 16) : size - at);
    memmove(bytes + at, bytes + at + length, size - at - length);
    return size - length;
}

/* Puts n bytes in; `from` must not lie in the buffer. */
static size_t insert(uint8_t *bytes, size_t size, size_t at, const uint8_t *from, size_t n)
{
    if (size + n > LONGEST) return size;
    memmove(bytes + at + n, bytes + at, size - at);
    memcpy(bytes + at, from, n);
    return size + n;
}

static size_t insert_bytes(uint8_t *bytes, size_t size)
{
    uint8_t fresh[64];
    size_t n = 1 + below(sizeof fresh);
    bool same = below(2);
    uint8_t byte = (uint8_t)random_bits();
    for (size_t i = 0; i < n; i++) fresh[i] = same ? byte : (uint8_t)random_bits();
    return insert(bytes, size, below(size + 1), fresh, n);
}

/* Says a part of the input again, several times: how nesting gets deep. */
static size_t repeat_range(uint8_t *bytes, size_t size)
{
    uint8_t part[64];
    if (size == 0) return 0;
    size_t from = below(size);
    size_t n = 1 + below(size - from < sizeof part ? size - from : sizeof part);
    memcpy(part, bytes + from, n);
    for (size_t times = (size_t)1 << below(10); times > 0; times--) size = insert(bytes, size, from, part, n);
    return size;
}

static size_t splice_in(uint8_t *bytes, size_t size)
{
    const input *other = &kept[below(n_kept)];
    if (other->size == 0) return size;
    size_t from = below(other->size);
    size_t n = 1 + below(other->size - from);
    return insert(bytes, size, below(size + 1), other->bytes + from, n);
}

static size_t change(uint8_t *bytes, size_t size)
{
    static size_t (*const changes[])(uint8_t *, size_t) = {
        flip_bit, set_byte, set_byte, set_number, set_decimal, delete_range, insert_bytes, repeat_range, splice_in,
    };
    for (size_t times = (size_t)1 << below(4); times > 0; times--)
        size = changes[below(sizeof changes / sizeof *changes)](bytes, size);
    return size;
}

/* ---- The two ways to run --------------------------------------------------------------------- */

static bool read_file(const char *path, input *out)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) return false;
    bool read = fseek(file, 0, SEEK_END) == 0;
    long size = read ? ftell(file) : -1;
    rewind(file);
    out->size = size < 0 ? 0 : (size_t)size;
    out->bytes = size < 0 ? NULL : malloc(out->size + 1);
    read = out->bytes != NULL && fread(out->bytes, 1, out->size, file) == out->size;
    fclose(file);
    return read;
}

static bool run_file(const char *path)
{
    input in = {0};
    if (!read_file(path, &in)) {
        fprintf(stderr, "fuzz: %s: cannot be read\n", path);
        free(in.bytes);
        return false;
    }
    run(in.bytes, in.size);
    keep(in.bytes, in.size);
    free(in.bytes);
    return true;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* By name, so that every machine starts from the same order. */
static bool run_folder(const char *folder)
{
    struct dirent **names = NULL;
    int n = scandir(folder, &names, NULL, by_name);
    bool ok = n >= 0;
    if (!ok) fprintf(stderr, "fuzz: %s: not a folder that can be read\n", folder);
    for (int i = 0; i < n; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
        if (names[i]->d_name[0] != '.' && !run_file(path)) ok = false;
        free(names[i]);
    }
    free(names);
    return ok;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void change_until(double end)
{
    static uint8_t bytes[LONGEST];
    if (n_kept == 0) keep((const uint8_t *)"", 0);
    while (now() < end) {
        /* Half of the time one of the newest: what reached new places last has most left to find. */
        size_t newest = n_kept < 32 ? n_kept : 32;
        const input *from = &kept[below(2) ? n_kept - 1 - below(newest) : below(n_kept)];
        memcpy(bytes, from->bytes, from->size);
        size_t size = change(bytes, from->size);
        if (run(bytes, size)) keep(bytes, size);
    }
}

static int fuzz(const char *name, const char *folder, double seconds)
{
    double start = now();
    bool ok = run_folder(folder);
    size_t files = n_runs;
    change_until(start + seconds);
    printf("note: %s: %zu files, then %zu runs in %.0f s, %zu inputs kept, %zu places reached\n", name, files, n_runs - files,
           now() - start, n_kept, n_reached);
    while (n_kept > 0) free(kept[--n_kept].bytes);
    return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/');
    install_handlers();
    if (argc == 6 && strcmp(argv[1], "--seconds") == 0 && strcmp(argv[3], "--save") == 0) {
        save_path = argv[4];
        return fuzz(slash ? slash + 1 : argv[0], argv[5], strtod(argv[2], NULL));
    }
    if (argc < 2 || argv[1][0] == '-') {
        fprintf(stderr, "usage: %s FILE… | %s --seconds N --save PATH FOLDER\n", argv[0], argv[0]);
        return 2;
    }
    int failed = 0;
    for (int i = 1; i < argc; i++) failed |= !run_file(argv[i]);
    while (n_kept > 0) free(kept[--n_kept].bytes);
    return failed;
}
