/* fovea explain: the words of a text shaded by how much the answer read them.
 *
 * Shading is a background colour on a terminal, and elsewhere a block after the word, ▁ to █. It is
 * relative to the strongest word, since weights shrink as texts grow. */
#include <string.h>

#include "cli/commands.h"
#include "cli/record.h"
#include "cli/term.h"

struct args {
    cli_common common;
    fv_session_options session;
    const char *model, *input, *input2;
};

#define AT(field) CLI_FIELD(struct args, field)

static const cli_option operands[] = {
    {"MODEL", NULL, "a model folder", AT(model), .needed = true},
};

static const cli_option options[] = {
    {"head", "NAME", "which head answers, of a model with several", AT(session.head)},
    {"input", "TEXT", "the text", AT(input), .needed = true},
    {"input2", "TEXT", "the second text of a pair", AT(input2)},
};

/* One explained text. */
struct answer {
    fv_text text;
    fv_label best;
    fv_labels kind;
    const fv_word *words;
    size_t n;
};

/* ---- JSON ---- */

static json_t *words_json(const struct answer *a)
{
    json_t *all = json_array();
    for (size_t i = 0; i < a->n; i++) {
        const fv_word *w = &a->words[i];
        const char *text = w->part ? a->text.text2 : a->text.text;
        json_t *one = json_pack("{s:o, s:I, s:I, s:i, s:o}", "text", cli_json_text(text + w->begin, w->end - w->begin), "begin", (json_int_t)w->begin,
                                "end", (json_int_t)w->end, "part", w->part, "weight", cli_json_real((double)w->weight));
        if (json_array_append_new(all, one)) {
            json_decref(all);
            return NULL;
        }
    }
    return all;
}

static json_t *answer_json(const struct answer *a)
{
    json_t *score = cli_json_real((double)a->best.score);
    if (a->kind == FV_LABELS_REGRESSION) return json_pack("{s:o, s:o}", "value", score, "words", words_json(a));
    return json_pack("{s:s, s:o, s:o}", "label", a->best.name, "score", score, "words", words_json(a));
}

/* ---- Text ---- */

/* The weight that gets full shade: the strongest, but at least twice an even share, so that words read
 * alike do not all shine. */
static float full_weight(const struct answer *a)
{
    float most = a->n ? 2 / (float)a->n : 1;
    for (size_t i = 0; i < a->n; i++) most = a->words[i].weight > most ? a->words[i].weight : most;
    return most;
}

/* Bytes outside words, or of a word, made harmless for a terminal. */
static fv_status put_bytes(fv_buf *out, const char *text, size_t len, fv_err *err) { return cli_add_cut(out, text, len, 0, err); }

/* Six shades of the 256-colour palette, faint to strong, with black text on the strong ones. */
static fv_status put_word(fv_buf *out, const char *text, size_t len, float share, bool colour, fv_err *err)
{
    static const int shades[] = {0, 230, 229, 222, 215, 208};
    static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    fv_status status;
    int shade = shades[(int)(share * 5.99f)];
    if (colour && shade) FV_TRY(fv_buf_printf(out, err, "\033[30;48;5;%dm", shade));
    FV_TRY(put_bytes(out, text, len, err));
    if (colour && shade) FV_TRY(fv_buf_puts(out, "\033[0m", err));
    if (!colour) FV_TRY(fv_buf_puts(out, blocks[(int)(share * 7.99f)], err));
done:
    return status;
}

/* One of the two texts, its words shaded, as one line. */
static fv_status put_part(fv_buf *out, const struct answer *a, int part, bool colour, fv_err *err)
{
    const char *text = part ? a->text.text2 : a->text.text;
    size_t at = 0, len = part ? a->text.len2 : a->text.len;
    float most = full_weight(a);
    fv_status status = FV_OK;
    for (size_t i = 0; i < a->n; i++) {
        const fv_word *w = &a->words[i];
        if (w->part != part || w->begin < at || w->end > len) continue;
        FV_TRY(put_bytes(out, text + at, w->begin - at, err));
        FV_TRY(put_word(out, text + w->begin, w->end - w->begin, w->weight / most, colour, err));
        at = w->end;
    }
    FV_TRY(put_bytes(out, text + at, len - at, err));
    FV_TRY(fv_buf_putc(out, '\n', err));
done:
    return status;
}

static fv_status print_answer(const struct answer *a, fv_err *err)
{
    fv_buf out = {0};
    fv_status status;
    bool colour = cli_colour(stdout);
    if (a->kind == FV_LABELS_REGRESSION) FV_TRY(fv_buf_printf(&out, err, "%.7g\n\n", (double)a->best.score));
    else FV_TRY(fv_buf_printf(&out, err, "%s\t%.4f\n\n", a->best.name, (double)a->best.score));
    FV_TRY(put_part(&out, a, 0, colour, err));
    if (a->text.text2) FV_TRY(put_part(&out, a, 1, colour, err));
    fwrite(out.data, 1, out.len, stdout);
done:
    fv_buf_release(&out);
    return status;
}

static fv_status explain(const struct args *args, fv_session *session, fv_err *err)
{
    struct answer a = {.text = {.text = args->input, .text2 = args->input2, .len = strlen(args->input)}, .kind = fv_session_labels(session)};
    fv_status status;
    if (args->input2) a.text.len2 = strlen(args->input2);
    FV_TRY(fv_classify(session, &a.text, 1, 1, &a.best, err));
    FV_TRY(fv_attention_words(session, &a.text, &a.words, &a.n, err));
    FV_TRY(args->common.json ? cli_json_line(answer_json(&a), err) : print_answer(&a, err));
    if (!args->common.json && !args->common.quiet)
        fprintf(stderr, "\nThis is where the model looked, which is no proof of why it decided.\n");
done:
    return status;
}

static fv_status run(void *user, fv_err *err)
{
    struct args *args = user;
    fv_session *session = NULL;
    fv_model *model = fv_model_open(args->model, err);
    if (model) session = fv_session_new(model, &args->session, err);
    fv_status status = session ? explain(args, session, err) : err->status;
    fv_session_free(session);
    fv_model_close(model);
    return status;
}

static void init(void *user)
{
    struct args *args = user;
    fv_session_options_init(&args->session);
}

static const char *const examples[] = {
    "fovea explain models/shop --input 'My parcel has not come'",
    "fovea explain models/shop --input 'My parcel has not come' --json",
    NULL,
};

const cli_command cli_explain = {
    .name = "explain",
    .says = "shows which words of a text the answer read",
    .text = "Prints the best label, then the text with each word shaded by the attention that reached the answer (attention rollout): a "
            "background colour on a terminal, a block from ▁ to █ elsewhere, relative to the strongest word. It shows where the model "
            "looked, which is no proof of why it decided.",
    .examples = examples,
    .operands = operands, .n_operands = FV_COUNT(operands),
    .options = options, .n_options = FV_COUNT(options),
    .args_size = sizeof(struct args),
    .init = init,
    .run = run,
};
