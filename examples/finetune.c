/* Fine-tunes an encoder folder, as hubs have them, on a CSV with the columns `text` and `label`; then answers each line of standard
 * input, and says which words made the answer.
 *
 *     cc finetune.c $(pkg-config --cflags --libs fovea) -o finetune
 *     ./finetune models/minilm rows.csv models/mine <questions.txt */
// run: tests/golden/bert-tiny examples/finetune.csv build/examples/finetuned <demo/questions.txt

#include <fovea.h>
#include <math.h>
#include <string.h>

/* The three words that weigh most by the method that held best, in the order of their weights. */
static void print_reasons(const fv_explanation *why, const char *text)
{
    const double *weights = why->attributions[0].weights;
    char told[256] = {0};
    if (!weights) printf("   no method named words better than chance does");
    for (int k = 0; weights && k < 3; k++) {
        size_t best = why->n_words;
        for (size_t i = 0; i < why->n_words && i < sizeof told; i++)
            if (!told[i] && (best == why->n_words || fabs(weights[i]) > fabs(weights[best]))) best = i;
        if (best == why->n_words) break;
        const fv_explained_word *w = &why->words[best];
        printf("   %.*s %+.2f", (int)(w->end - w->begin), text + w->begin, weights[best]);
        told[best] = 1;
    }
    putchar('\n');
}

static fv_status answer_lines(fv_session *session, fv_err *err)
{
    char line[4096];
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\r\n")] = 0;
        const fv_text text = {.text = line};
        fv_explanation *why = *line ? fv_explain(session, &text, NULL, err) : NULL;
        if (*line && !why) return err->status;
        if (!why) continue;
        printf("%s\t%.3f\t%s\n", fv_session_label(session, why->label), why->answer, line);
        print_reasons(why, line);
        fv_explanation_free(why);
    }
    return FV_OK;
}

int main(int argc, char **argv)
{
    fv_err err = {0};
    fv_train_options o;
    if (argc != 4) return fprintf(stderr, "usage: finetune FOLDER ROWS.csv MODEL <LINES\n"), 2;
    fv_train_options_init(&o);
    o.from = argv[1], o.train = argv[2], o.out = argv[3];
    o.epochs = 10, o.lr = 2e-4, o.layer_decay = 0.9;
    fv_model *model = fv_train(&o, &err) == FV_OK ? fv_model_open(argv[3], &err) : NULL;
    fv_session *session = model ? fv_session_new(model, NULL, &err) : NULL;
    if (session) answer_lines(session, &err);
    fv_session_free(session);
    fv_model_close(model);
    return err.status ? fv_err_print(stderr, &err) : 0;
}
