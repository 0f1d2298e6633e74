/* Is one model better than another on the same rows? The difference of their accuracies with a paired
 * bootstrap interval: rows are drawn, and both models are judged on the rows drawn, so what is hard
 * for both cancels out.
 *
 *   paired FLOOR.tsv COLUMN PREDICTED.txt      FLOOR.tsv is bench/floor's: truth, nb, svm
 *
 * PREDICTED.txt holds a label a line (what follows a tab is left out: `fovea classify` prints the
 * label's probability there). Prints one JSON line: both accuracies, the difference in points with
 * its 95 % interval, and the share of resamples in which the second model is no worse.
 *
 * The trap: nothing but the order says which rows belong together, so unequal numbers are refused. */
#include <jansson.h>

#include "base/file.h"
#include "score.h"

typedef struct verdicts { bool *first, *second; size_t n; } verdicts; /* right or wrong, by row */

/* Reads lines one by one; a line's end is cut off. NULL at the end. */
static char *next_line(FILE *from, char **line, size_t *room)
{
    ssize_t got = getline(line, room, from);
    if (got < 0) return NULL;
    (*line)[strcspn(*line, "\r\n")] = 0;
    return *line;
}

/* The nth field of a line whose tabs become zero bytes, or NULL. Call it once a line for each n, rising. */
static char *field(char *line, int n)
{
    for (; n > 0 && line; n--) line = strchr(line, '\t') ? strchr(line, '\t') + 1 : NULL;
    return line;
}

static bool same(const char *a, const char *b)
{
    size_t n = strcspn(a, "\t"), m = strcspn(b, "\t");
    return n == m && memcmp(a, b, n) == 0;
}

static int find_column(char *head, const char *name, const char *path)
{
    for (int i = 0; field(head, i); i++)
        if (same(field(head, i), name)) return i;
    die("%s: has no column \"%s\"; its first line is: %s", path, name, head);
}

static FILE *open_or_die(const char *path)
{
    FILE *file = fopen(path, "r");
    if (!file) die("%s: cannot be read", path);
    return file;
}

static verdicts read_verdicts(const char *floor_path, const char *column, const char *predicted_path)
{
    verdicts v = {0};
    size_t first_room = 0, second_room = 0, a_room = 0, b_room = 0;
    char *a = NULL, *b = NULL;
    FILE *floor = open_or_die(floor_path), *predicted = open_or_die(predicted_path);
    if (!next_line(floor, &a, &a_room)) die("%s: is empty", floor_path);
    int at = find_column(a, column, floor_path);
    for (; next_line(floor, &a, &a_room); v.n++) {
        if (!next_line(predicted, &b, &b_room)) die("%s: ends after %zu rows, %s goes on", predicted_path, v.n, floor_path);
        if (!field(a, at)) die("%s:%zu: has too few columns", floor_path, v.n + 2);
        if (fv_grow(&v.first, &first_room, v.n + 1, sizeof *v.first, NULL) || fv_grow(&v.second, &second_room, v.n + 1, sizeof *v.second, NULL)) die("out of memory");
        v.first[v.n] = same(a, field(a, at));
        v.second[v.n] = same(a, b);
    }
    if (next_line(predicted, &b, &b_room)) die("%s: has more than the %zu rows of %s", predicted_path, v.n, floor_path);
    fclose(floor), fclose(predicted);
    free(a), free(b);
    if (!v.n) die("%s: has no rows", floor_path);
    return v;
}

static double share(const bool *right, const uint32_t *pick, size_t n)
{
    size_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += right[pick[i]];
    return (double)sum / (double)n;
}

static double first(const void *user, const uint32_t *pick, size_t n) { return share(((const verdicts *)user)->first, pick, n); }
static double second(const void *user, const uint32_t *pick, size_t n) { return share(((const verdicts *)user)->second, pick, n); }
static double difference(const void *user, const uint32_t *pick, size_t n) { return 100 * (second(user, pick, n) - first(user, pick, n)); }
static double no_worse(const void *user, const uint32_t *pick, size_t n) { return difference(user, pick, n) >= 0; }

int main(int argc, char **argv)
{
    if (argc != 4) die("usage: paired FLOOR.tsv COLUMN PREDICTED.txt");
    verdicts v = read_verdicts(argv[1], argv[2], argv[3]);
    figure a = bootstrap(first, &v, v.n, 1), b = bootstrap(second, &v, v.n, 1), d = bootstrap(difference, &v, v.n, 1);
    json_t *line = json_pack("{s:I, s:f, s:f, s:f, s:f, s:f, s:f}", "rows", (json_int_t)v.n, "first", a.value, "second", b.value, "points", d.value,
                             "low", d.low, "high", d.high, "no_worse", bootstrap(no_worse, &v, v.n, 1).mean);
    if (!line || json_dumpf(line, stdout, JSON_COMPACT | JSON_REAL_PRECISION(7))) die("the result could not be written");
    putchar('\n');
    json_decref(line);
    fv_free(v.first), fv_free(v.second);
    return 0;
}
