/* fovea explain: why this label, by every method that the model allows. What is found is shown by reasons_*.c. */
#include <string.h>

#include "cli/commands.h"
#include "cli/reasons.h"
#include "cli/term.h"

enum { ALL = FV_N_METHODS }; /* of --method: its words stand in the order of fv_method */

struct args {
    cli_common common;
    fv_session_options session;
    const char *model, *input, *input2, *label, *html;
    unsigned method;
    int steps, orders;
    bool maps;
};

#define AT(field) CLI_FIELD(struct args, field)

static const cli_option operands[] = {
    {"MODEL", NULL, "a model folder", AT(model), .needed = true},
};

static const cli_option options[] = {
    {"head", "NAME", "which head answers, of a model with several", AT(session.head)},
    CLI_PRECISION(AT(session.products)),
    {"input", "TEXT", "the text", AT(input), .needed = true},
    {"input2", "TEXT", "the second text of a pair", AT(input2)},
    {"label", "LABEL", "what speaks for and against it; the best label if not given", AT(label)},
    {"method", "attention|gradient|integrated|leave-one-out|all", "how words are weighed; what is best on the text is shown", AT(method)},
    {"steps", "N", "of the integral; as many as it needs if not given", AT(steps), .low = 1, .high = 256},
    {"orders", "N", "random ones that methods are measured against; 0: nothing is measured, and nothing withheld", AT(orders), .low = 0, .high = 10000},
    {"html", "FILE", "write a page of it, with attention by layer and head", AT(html)},
    {"maps", NULL, "with --json: attention by layer and head, too", AT(maps)},
};

static fv_status find_label(const cli_reasons *r, const char *name, int *label, fv_err *err)
{
    fv_shown shown;
    *label = -1;
    if (!name) return FV_OK;
    if (r->kind == FV_LABELS_REGRESSION) return FV_FAIL(err, FV_E_ARGUMENT, "--label: the model learned a number, and has no labels");
    for (int i = 0; i < fv_session_n_labels(r->session); i++)
        if (strcmp(fv_session_label(r->session, i), name) == 0) return *label = i, FV_OK;
    return FV_FAIL(err, FV_E_ARGUMENT, "--label: the model has no label %s; `fovea inspect` lists them", fv_show(&shown, name, strlen(name)));
}

static fv_status show(const struct args *args, const cli_reasons *r, fv_err *err)
{
    fv_status status = FV_OK;
    if (args->html) FV_TRY(cli_reasons_page(r, args->html, err));
    FV_TRY(args->common.json ? cli_json_line(cli_reasons_json(r), err) : cli_reasons_print(r, err));
    const fv_attribution *shown = cli_reasons_shown(r);
    if (!args->common.json && !args->common.quiet && shown && shown->method == FV_METHOD_ATTENTION)
        fprintf(stderr, "\nAttention is where the model looked, which is no proof of why it decided.\n");
done:
    return status;
}

/* The wide part is asked about what was explained: the part that the model reads. */
static fv_reasons *explain_wide(fv_session *session, const cli_reasons *r, fv_err *err)
{
    const fv_explanation *e = r->explained;
    fv_text read = {.text = e->read[0] ? r->text.text : "", .len = e->read[0], .text2 = r->text.text2, .len2 = e->read[1]};
    if (read.text2 && !read.len2) read.text2 = "";
    return fv_explain_wide(session, &read, e->label, err);
}

static fv_status explain(const struct args *args, fv_session *session, fv_err *err)
{
    cli_reasons r = {.model = args->model, .session = session, .kind = fv_session_labels(session), .text = {.text = args->input, .text2 = args->input2, .len = strlen(args->input)}};
    fv_explain_options o;
    fv_explanation *explained = NULL;
    fv_reasons *wide = NULL;
    fv_status status;
    if (args->input2) r.text.len2 = strlen(args->input2);
    fv_explain_options_init(&o);
    if (args->method != ALL) o.methods = 1u << args->method;
    if (args->common.seed >= 0) o.seed = (uint64_t)args->common.seed;
    o.steps = args->steps, o.orders = args->orders;
    o.maps = args->html || args->maps;
    FV_TRY(fv_classify(session, &r.text, 1, 1, &r.best, err));
    FV_TRY(find_label(&r, args->label, &o.label, err));
    r.explained = explained = fv_explain(session, &r.text, &o, err);
    if (!explained) { status = err->status; goto done; }
    if (fv_session_has_wide(session) && !(r.wide = wide = explain_wide(session, &r, err))) { status = err->status; goto done; }
    FV_TRY(show(args, &r, err));
done:
    fv_reasons_free(wide);
    fv_explanation_free(explained);
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
    fv_explain_options o;
    fv_explain_options_init(&o);
    fv_session_options_init(&args->session);
    args->orders = o.orders;
    args->method = ALL;
}

static const char *const examples[] = {
    "fovea explain models/shop --input 'My parcel has not come'",
    "fovea explain models/shop --input 'My parcel has not come' --label refund --method integrated",
    "fovea explain models/shop --input 'My parcel has not come' --html why.html",
    NULL,
};

const cli_command cli_explain = {
    .name = "explain",
    .says = "shows which words of a text made the answer",
    .text = "Prints the best label, then the text with each word shaded by what it speaks for the label: a background colour on a terminal, a sign and a block "
            "from ▁ to █ elsewhere, relative to the strongest word; and the weightiest words as bars.\n\n"
            "Words are weighed in four ways: attention (where the Transformer looked, which is no proof of why it decided), gradient (gradient × input), integrated "
            "(integrated gradients, with what their sum lacks) and leave-one-out. Each is measured on this text: by how much the label's probability sinks without "
            "its first words (the more the better), and with nothing but them (the less the better). The best one is shown; what is no better than words in random order is withheld, and so are weights whose sum misses over 90 % of the score.\n\n"
            "Then, if the model has a wide part (it has when it was trained from nothing without --no-wide), what the n-grams add "
            "to the label or take from it: this is a sum, and the whole of what that part does. The heaviest n-grams follow (words, pairs of "
            "words, pieces such as \"re-\" and \"-ed\"; of pieces that overlap, the heaviest), and how much of the lead over the runner-up is theirs, and how much the Transformer's.\n\n"
            "--html writes one file that needs no network: the text by each method, their figures, and attention by layer and head.\n\n"
            "With --json all of it is on one line:\n"
            "  {\"label\":…,\"score\":…,\"explained\":{…},\"method\":…,\"words\":[…],\n"
            "   \"methods\":[…],\"random\":{…},\"wide\":{…}}\n"
            "words have the weights of the method that is best; methods hold all weights and figures, best first. A stretch of text is\n"
            "  {\"text\":…,\"begin\":…,\"end\":…,\"part\":…,\"weight\":…}",
    .examples = examples,
    .operands = operands, .n_operands = FV_COUNT(operands),
    .options = options, .n_options = FV_COUNT(options),
    .args_size = sizeof(struct args),
    .init = init,
    .run = run,
};
