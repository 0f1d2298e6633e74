/* A filter: labels the lines of standard input with a model that `fovea train classify` made, and
 * prints label, probability and text, parted by tabs.
 *
 *     cc classify.c $(pkg-config --cflags --libs fovea) -o classify
 *     ./classify models/shop <questions.txt
 *
 * Lines go to the model in groups, which it computes faster than line by line. (A regression model
 * has no label names; its score is the number.) */
// run: build/examples/model <demo/questions.txt

#include <fovea.h>
#include <stdlib.h>
#include <string.h>

#define GROUP 64

/* Reads up to GROUP lines into `lines`, without their line breaks. getline keeps the memory. */
static size_t read_lines(char *lines[GROUP], size_t sizes[GROUP], fv_text texts[GROUP])
{
    size_t n = 0;
    ssize_t len;
    while (n < GROUP && (len = getline(&lines[n], &sizes[n], stdin)) >= 0) {
        lines[n][strcspn(lines[n], "\r\n")] = 0;
        texts[n] = (fv_text){.text = lines[n]};
        n++;
    }
    return n;
}

static fv_status label_lines(fv_session *session, fv_err *err)
{
    char *lines[GROUP] = {0};
    size_t sizes[GROUP] = {0}, n;
    fv_text texts[GROUP];
    fv_label best[GROUP];
    fv_status status = FV_OK;
    while (status == FV_OK && (n = read_lines(lines, sizes, texts)) > 0) {
        status = fv_classify(session, texts, n, 1, best, err);
        for (size_t i = 0; status == FV_OK && i < n; i++)
            printf("%s\t%.3f\t%s\n", best[i].name ? best[i].name : "-", (double)best[i].score, texts[i].text);
    }
    for (size_t i = 0; i < GROUP; i++) free(lines[i]);
    return status;
}

int main(int argc, char **argv)
{
    fv_err err = {0};
    if (argc != 2) {
        fprintf(stderr, "usage: classify MODEL <LINES\n");
        return 2;
    }
    fv_model *model = fv_model_open(argv[1], &err);
    fv_session *session = model ? fv_session_new(model, NULL, &err) : NULL;
    if (session) label_lines(session, &err);
    fv_session_free(session);
    fv_model_close(model);
    return err.status ? fv_err_print(stderr, &err) : 0;
}
