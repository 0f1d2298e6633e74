/* fovea train: options into fv_train_options, progress out of its events.
 *
 * Training itself, its checkpoints and its record belong to the library. The first Ctrl-C (or SIGTERM)
 * asks it to stop, through the value that the event callback returns; the second one kills, since the
 * handler is gone by then. */
#include <math.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/record.h"
#include "cli/term.h"

struct args {
    cli_common common;
    unsigned task, precision;
    const char *src, *tgt, *dims;
    bool multi_label, regression, no_wide;
    fv_train_options o;
};

#define AT(field) CLI_FIELD(struct args, field)
#define HEADING(text) {.help = text}

static const fv_task tasks[] = {FV_TASK_CLASSIFY, FV_TASK_TAG, FV_TASK_MLM, FV_TASK_MULTI, FV_TASK_TRANSLATE, FV_TASK_EMBED}; /* as TASK lists them */

static const cli_option operands[] = {
    {"TASK", "classify|tag|mlm|multi|translate|embed", "what to learn", AT(task), .needed = true},
};

static const cli_option options[] = {
    {"train", "FILE", "rows to learn from: .tsv, .csv, .jsonl, .conll, fastText lines, each also as .gz; for mlm texts are enough, a .txt with one a line or a folder; for multi a JSON list of tasks", AT(o.train), .needed = true},
    {"valid", "FILE", "rows to choose the best epoch by; without it a tenth of the training rows is held back", AT(o.valid)},
    {"test", "FILE", "rows to judge the finished model by", AT(o.test)},
    {"out", "MODEL", "the folder to write", AT(o.out), .needed = true},
    {"from", "MODEL", "start from this model instead of from nothing", AT(o.from)},
    {"freeze", "N", "the embeddings and the first N layers stay as they are; 0: the embeddings alone; all learn if not given", AT(o.freeze), .low = 0, .high = 256},
    {"layer-decay", "X", "each layer learns X times as fast as the one above it; 0.9 with --from for labels, else 1", AT(o.layer_decay), .low = 0.01, .high = 1},
    {"resume", NULL, "go on from the checkpoint in --out, or start if there is none", AT(o.resume)},
    {"checkpoint-seconds", "S", "between checkpoints; 0: after every step", AT(o.checkpoint_seconds), .low = 0, .high = 1e9},
    HEADING("Columns and labels"),
    {"text", "COL", "column of the text; a,b joins two with a line break", AT(o.columns.text)},
    {"text2", "COL", "column of the second text of a pair", AT(o.columns.text2)},
    {"label", "COL", "column of the label, for tag of the tags", AT(o.columns.label)},
    {"src", "COL", "translate: column of the text to translate; src if not given", AT(src)},
    {"tgt", "COL", "translate: column of its translation; tgt if not given", AT(tgt)},
    {"negative", "COL", "embed: column of a text that is farther from the text than text2 is; negative if not given", AT(o.columns.negative)},
    {"multi-label", NULL, "a row has any number of labels, separated by commas", AT(multi_label)},
    {"regression", NULL, "the label is a number", AT(regression)},
    {"skip-bad", NULL, "leave out bad rows, and count them, instead of failing at the first", AT(o.columns.skip_bad)},
    {"cased", NULL, "keep upper case apart from lower case", AT(o.cased)},
    HEADING("Size of the model"),
    {"preset", "tiny|small|base", "2×128, 4×256, 6×512 (layers × width)", AT(o.preset)},
    {"layers", "N", "blocks; the preset's if not given", AT(o.layers), .low = 1, .high = 256},
    {"width", "N", "channels; the preset's if not given", AT(o.width), .low = 1, .high = 65536},
    {"heads", "N", "attention heads, a divisor of the width; the preset's if not given", AT(o.heads), .low = 1, .high = 1024},
    {"ffn", "N", "width between the two layers after attention; the preset's if not given", AT(o.ffn), .low = 1, .high = 1048576},
    {"max-len", "N", "tokens of a text at most, the rest is cut; the preset's if not given", AT(o.max_len), .low = 3, .high = 1048576},
    {"vocab", "N", "entries of the vocabulary; the preset's if not given", AT(o.vocab), .low = 261, .high = 4000000},
    {"pooling", "cls|mean|max", "how token vectors become one; cls if not given, for embed mean, or what --from does", AT(o.pooling)},
    {"pre-norm", NULL, "normalise before each block instead of after it", AT(o.pre_norm)},
    {"relu", NULL, "ReLU instead of GELU", AT(o.relu)},
    {"positions", "learned|sinusoidal|rotary|relative", "how a token's place is told; sinusoidal if not given for translate, which alone takes the last two, else learned", AT(o.positions)},
    {"attention", "full|uniform|none", "uniform: a token sees all others alike; none: only itself. To tell what attention adds", AT(o.attention)},
    {"decoder-layers", "N", "translate: blocks of the decoder; as many as --layers if not given", AT(o.decoder_layers), .low = 1, .high = 256},
    {"separate-vocab", NULL, "translate: a vocabulary for each language instead of one for both", AT(o.separate_vocab)},
    {"untied", NULL, "translate: an output matrix of its own instead of the embeddings", AT(o.untied)},
    {"article-attention", NULL, "activated keys and values, queries by a feed-forward pair, what was attended to beside the hidden state", AT(o.article_attention)},
    {"no-wide", NULL, "the Transformer answers alone: n-grams only teach it, on four texts for each row, its own and changed copies", AT(no_wide)},
    HEADING("Vectors (embed)"),
    {"loss", "contrast|cosent|cosine|triplet|teacher", "what rows teach; by their columns if not given", AT(o.loss)},
    {"teacher", "MODEL", "draw vectors to those of this model", AT(o.teacher)},
    {"dims", "N,N,…", "the first N numbers of a vector are to do alone, too", AT(dims)},
    {"scale", "X", "what cosines are multiplied by in contrast and cosent", AT(o.scale), .low = 1e-3, .high = 1e3},
    {"margin", "X", "by how much text2's cosine is to lie above the negative's in triplet", AT(o.margin), .low = 0, .high = 2},
    HEADING("How long"),
    {"epochs", "N", "passes over the data; 30 if no other bound is given, 7 with --no-wide, 6 with --from", AT(o.epochs), .low = 0, .high = 1e6},
    {"steps", "N", "steps, instead of epochs; what equal bits are promised for", AT(o.steps), .low = 0, .high = 1e12},
    {"max-seconds", "S", "time the first 20 steps and take as many as fit", AT(o.max_seconds), .low = 0, .high = 1e9},
    {"patience", "N", "epochs without a better validation before stopping; 0 never stops early", AT(o.patience), .low = 0, .high = 1e6},
    HEADING("How"),
    {"lr", "X", "highest learning rate; the preset's if not given, with --from 30 / width / width, 0.0005 at most", AT(o.lr), .low = 0, .high = 10},
    {"schedule", "linear|cosine|inverse-sqrt|constant", "how the rate falls after the warm-up", AT(o.schedule)},
    {"warmup", "X", "share of the steps in which the rate rises", AT(o.warmup), .low = 0, .high = 1},
    {"batch-tokens", "N", "tokens of a batch at most; 2048 if not given, 768 to classify with --from, 4096 for embed", AT(o.batch_tokens), .low = 1, .high = 16777216},
    {"accumulate", "N", "batches whose gradients make one step, a power of two", AT(o.accumulate), .low = 1, .high = 65536},
    {"optimizer", "adamw|adam", "adam has its weight decay in the gradient (L2)", AT(o.optimiser)},
    {"weight-decay", "X", "how hard weights are pulled to zero", AT(o.weight_decay), .low = 0, .high = 10},
    {"beta1", "X", "decay of the gradient's mean", AT(o.beta1), .low = 0, .high = 0.99999},
    {"beta2", "X", "decay of the gradient's square", AT(o.beta2), .low = 0, .high = 0.9999999},
    {"epsilon", "X", "added to the root of the square", AT(o.epsilon), .low = 1e-16, .high = 1},
    {"clip", "X", "gradient norm at most; 0 does not clip", AT(o.clip), .low = 0, .high = 1e9},
    {"dropout", "X", "on embeddings and residuals; 0.2 if not given, 0.1 with --from", AT(o.dropout), .low = 0, .high = 0.99},
    {"attention-dropout", "X", "on attention weights; --dropout's if not given", AT(o.attention_dropout), .low = 0, .high = 0.99},
    {"precision", "float32|bf16|int8", "what products round their numbers to; weights and sums are float32 in any case. int8: as compress --int8 has an encoder run, which so learns to bear it; mostly a last epoch, --from what learnt in float32", AT(precision)},
    {"word-dropout", "X", "share of a text's tokens that each step hides from the Transformer; 0.2 if not given, 0 with --from", AT(o.word_dropout), .low = 0, .high = 0.99},
    {"sample-pieces", "X", "translate: cut words into other pieces in each epoch, more evenly the smaller X is; 0: always the likeliest", AT(o.sample_pieces), .low = 0, .high = 10},
    {"average", "N", "translate: try the mean of the weights at the last N epochs' ends, too", AT(o.average), .low = 0, .high = 1000},
    {"mask-share", "X", "mlm: share of words that are hidden to learn by; models are judged with 0.15", AT(o.mask_share), .low = 0.01, .high = 0.9},
    {"mask-pieces", NULL, "mlm: hide tokens one by one instead of whole words and runs of one to three Chinese characters", AT(o.mask_pieces)},
    {"label-smoothing", "X", "share of certainty given to the other labels; mlm has none", AT(o.label_smoothing), .low = 0, .high = 0.99},
};

static void init(void *user)
{
    struct args *args = user;
    fv_train_options_init(&args->o);
}

/* ---- Ctrl-C ---- */

static volatile sig_atomic_t stop_asked;

static void ask_to_stop(int signal_number)
{
    static const char text[] = "\nfovea: stopping; a checkpoint is being written (once more: stop at once)\n";
    (void)signal_number;
    stop_asked = 1;
    /* Nothing can be done about a failure here. */
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0) stop_asked = 1;
}

/* SIGPIPE is no reason to lose training: what nobody reads is noticed at the end. */
static void watch_signals(void)
{
    struct sigaction ask = {.sa_handler = ask_to_stop, .sa_flags = (int)(SA_RESETHAND | SA_RESTART)};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGINT, &ask, NULL);
    sigaction(SIGTERM, &ask, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
}

/* ---- Events: epochs are counted from 0 in files and in JSON, and from 1 for people ---- */

struct shower {
    const struct args *args;
    cli_progress progress;
    double loss;      /* smoothed */
    bool any_loss;
    int64_t step;
    fv_status status; /* of writing results */
    fv_err *err;
};

static void smooth_loss(struct shower *s, double loss)
{
    const double keep = 0.95;
    s->loss = s->any_loss && isfinite(s->loss) ? keep * s->loss + (1 - keep) * loss : loss;
    s->any_loss = true;
}

static void show_step(struct shower *s, const fv_event *e)
{
    cli_piece pieces[7] = {{4, ""}, {6, ""}, {1, ""}, {5, ""}, {2, ""}, {7, ""}, {3, ""}};
    cli_span span;
    size_t size = sizeof pieces[0].text;
    double share = e->steps > 0 ? (double)e->step / (double)e->steps : 0;
    smooth_loss(s, e->loss);
    if (!cli_progress_due(&s->progress)) return;
    snprintf(pieces[0].text, size, "epoch %lld", (long long)e->epoch + 1);
    snprintf(pieces[4].text, size, "loss %.3f", s->loss);
    snprintf(pieces[5].text, size, e->tokens_per_s < 9999.5 ? "%.0f tokens/s" : "%.1fk tokens/s", e->tokens_per_s / (e->tokens_per_s < 9999.5 ? 1 : 1000));
    if (e->steps > 0) {
        if (s->progress.live) cli_bar(pieces[1].text, size, share, 20);
        snprintf(pieces[2].text, size, "%.0f %%", 100 * share);
        snprintf(pieces[3].text, size, "step %lld/%lld", (long long)e->step, (long long)e->steps);
        snprintf(pieces[6].text, size, "%s left", cli_show_span(&span, e->seconds_left));
    } else snprintf(pieces[3].text, size, "step %lld", (long long)e->step);
    cli_progress_draw(&s->progress, pieces, FV_COUNT(pieces));
}

static void show_epoch(struct shower *s, const fv_event *e)
{
    cli_figure figure;
    const char *metric = e->metric ? e->metric : "";
    if (s->args->common.json) {
        json_t *line = json_pack("{s:s, s:I, s:I, s:o, s:o, s:s, s:o, s:b, s:o}", "event", "epoch", "epoch", (json_int_t)e->epoch, "step",
                                 (json_int_t)e->step, "loss", cli_json_real(e->loss), "lr", cli_json_real(e->lr), "metric", metric, "value",
                                 cli_json_real(e->value), "best", e->best, "seconds", cli_json_real(e->seconds));
        s->status = cli_json_line(line, s->err);
        fflush(stdout);
    }
    cli_progress_say(&s->progress, "epoch %lld  loss %.3f  %s %s%s", (long long)e->epoch + 1, e->loss, metric,
                     cli_show_figure(&figure, metric, e->value), e->best ? "  best" : "");
}

static int on_event(void *user, const fv_event *e)
{
    struct shower *s = user;
    s->step = e->step > s->step ? e->step : s->step;
    if (e->kind == FV_EVENT_STEP) show_step(s, e);
    else if (e->kind == FV_EVENT_EPOCH) show_epoch(s, e);
    else if (e->kind == FV_EVENT_MESSAGE) cli_progress_say(&s->progress, "%s", e->text);
    else cli_progress_say(&s->progress, "the model is in %s", s->args->o.out);
    return stop_asked || s->status != FV_OK;
}

/* ---- The summary ---- */

/* Rows "test accuracy  88.1 %  87.2 to 89.0 %" of one part of the record, or of one of its heads. */
static void add_figures(cli_table *table, const json_t *record, const char *part)
{
    const char *head = cli_record_text(record, "name");
    const char *name;
    const json_t *value;
    json_object_foreach((json_t *)json_object_get(record, part), name, value)
    {
        cli_figure figure, interval;
        double x = cli_record_metric(record, part, name);
        const json_t *low = json_object_get(value, "low"), *high = json_object_get(value, "high");
        if (isnan(x)) continue;
        cli_table_add(table, "%s%s%s %s", head, *head ? " " : "", part, name);
        cli_table_add(table, "%s", cli_show_figure(&figure, name, x));
        cli_table_add(table, "%s", cli_show_interval(&interval, name, low ? json_number_value(low) : NAN, high ? json_number_value(high) : NAN));
    }
}

static fv_status show_summary(const struct args *args, fv_err *err)
{
    static const char *const heads[] = {"~metric", ">value", "95 % interval"};
    fv_status status;
    cli_table table;
    json_t *record = cli_record_load(args->o.out, err);
    if (!record) return err->status;
    if (args->common.json) {
        json_t *line = json_pack("{s:s, s:o}", "event", "done", "model", cli_json_text(args->o.out, strlen(args->o.out)));
        static const char *const parts[] = {"steps", "seconds", "valid", "test", "heads"};
        for (size_t i = 0; line && i < FV_COUNT(parts); i++)
            if (json_object_get(record, parts[i])) json_object_set(line, parts[i], json_object_get(record, parts[i]));
        status = cli_json_line(line, err);
    } else {
        cli_table_init(&table, heads, FV_COUNT(heads));
        size_t i;
        json_t *head;
        add_figures(&table, record, "valid");
        add_figures(&table, record, "test");
        json_array_foreach(json_object_get(record, "heads"), i, head) {
            add_figures(&table, head, "valid");
            add_figures(&table, head, "test");
        }
        status = cli_table_print(&table, err);
    }
    json_decref(record);
    return status;
}

/* "256,128,64" */
static fv_status take_dims(struct args *args, fv_err *err)
{
    const char *at = args->dims;
    for (int i = 0; at && *at; i++) {
        char number[16];
        int64_t dim;
        size_t len = strcspn(at, ",");
        snprintf(number, sizeof number, "%.*s", (int)(len < sizeof number ? len : sizeof number - 1), at);
        if (i == FV_MAX_DIMS) return FV_FAIL(err, FV_E_ARGUMENT, "--dims has more than %d numbers", FV_MAX_DIMS);
        if (len >= sizeof number || !fv_parse_int64(number, &dim) || dim < 1 || dim > 65536) return FV_FAIL(err, FV_E_ARGUMENT, "--dims is \"%s\"; expected numbers from 1 to 65536 with a comma between them", args->dims);
        args->o.dims[i] = (int)dim;
        at += len + (at[len] == ',');
    }
    return FV_OK;
}

static void take_pair_options(struct args *args)
{
    args->o.columns.text = args->src ? args->src : "src";
    args->o.columns.label = args->tgt ? args->tgt : "tgt";
}

static fv_status run(void *user, fv_err *err)
{
    struct args *args = user;
    struct shower s = {.args = args, .err = err};
    if (args->multi_label && args->regression) return FV_FAIL(err, FV_E_ARGUMENT, "--multi-label and --regression exclude each other");
    args->o.task = tasks[args->task];
    if (args->o.task == FV_TASK_TRANSLATE) take_pair_options(args);
    else if (args->src || args->tgt) return FV_FAIL(err, FV_E_ARGUMENT, "--src and --tgt name the columns of translate; other tasks take --text and --label");
    if (take_dims(args, err) != FV_OK) return FV_E_ARGUMENT;
    if (args->multi_label) args->o.labels = FV_LABELS_MULTI;
    if (args->regression) args->o.labels = FV_LABELS_REGRESSION;
    args->o.wide = !args->no_wide;
    args->o.products = (fv_products)args->precision;
    if (args->common.seed >= 0) args->o.seed = (uint64_t)args->common.seed;
    args->o.on_event = on_event;
    args->o.on_event_user = &s;
    cli_progress_init(&s.progress, args->common.quiet);
    watch_signals();
    fv_status status = fv_train(&args->o, err);
    cli_progress_clear(&s.progress);
    if (s.status) return s.status;
    if (status == FV_E_STOPPED)
        return FV_FAIL(err, status, "stopped at step %lld; the same command with --resume goes on from the checkpoint in %.400s", (long long)s.step, args->o.out);
    return status ? status : show_summary(args, err);
}

static const char *const examples[] = {
    "fovea train classify --train train.tsv --out models/shop --preset tiny --max-seconds 60",
    "fovea train classify --train train.tsv --valid valid.tsv --test test.tsv --out models/shop --resume",
    "fovea train tag --train train.conll --valid valid.conll --out models/places",
    "fovea train multi --train tasks.json --out models/news",
    "fovea train translate --train pairs.tsv --src en --tgt de --out models/en-de",
    "fovea train mlm --train texts.txt --out models/body",
    "fovea train mlm --train letters/ --from models/all-MiniLM-L6-v2 --out models/body --lr 0.0001 --epochs 3",
    "fovea train classify --train train.tsv --from models/body --out models/shop",
    "fovea train embed --train faq.tsv --text question --text2 answer --from all-MiniLM-L6-v2 --out models/faq",
    "fovea train embed --train faq.tsv --text question --text2 answer --from models/faq --out models/faq-aware --precision int8 --epochs 1 --lr 0.00001",
    NULL,
};

const cli_command cli_train = {
    .name = "train",
    .says = "trains a model on labelled rows, or on plain texts",
    .text = "Learns from rows with a text and a label, keeps the epoch that does best on the validation rows, judges it on the test "
            "rows, and writes a model folder. Ctrl-C leaves a checkpoint that --resume goes on from, to the same bits as if nothing "
            "had happened.\n\n"
            "tag learns a tag for every word. Its files are CoNLL (a word and its tag on a line, an empty line after each sentence), or rows "
            "whose text is words with a space between them and whose label is as many tags; in JSON lines both may be arrays. Tags such as "
            "B-PLACE and I-PLACE are judged by the spans that they spell, as conlleval and seqeval do, others by the word.\n\n"
            "Several things are learnt at once by one body with a head for each: multi takes a JSON list of tasks, "
            "[{\"name\": \"topic\", \"train\": \"news.tsv\", \"text\": \"title\"}, …]; an entry may also have valid, test, text2, label, "
            "labels (single, multi, regression) and weight, how often its rows are seen. --head then names the one that answers.\n\n"
            "mlm learns from texts alone, one a line or a table's column: it hides words and learns to tell them from what is around "
            "them. No label is needed, so all text at hand will do, and --from then starts another task from what was learnt. Long "
            "texts take several rows instead of losing their ends. --train (and --valid, --test) may be a folder: all .txt, .md, .tsv, .csv "
            "and .jsonl in it and below, each also as .gz, in the order of their paths, without hidden files and symbolic links. Blank "
            "lines part the texts of .txt and .md there. A file that is no text is an error, or left out and counted with --skip-bad.\n\n"
            "translate learns from pairs of texts, the columns --src and --tgt, and writes a folder that Transformers loads as Marian's.\n\n"
            "embed learns vectors that lie near each other where texts belong together, and writes a folder of sentence-transformers. What a "
            "row is, its columns say:\n"
            "  text, text2            the two belong together, and the other text2s of\n"
            "                         the batch do not (contrast)\n"
            "  text, text2, negative  the same, and the last does not either; or, with\n"
            "                         --loss triplet, it alone by a margin\n"
            "  text, text2, label     how alike they are: only the order counts (cosent),\n"
            "                         or the number (--loss cosine)\n"
            "  text                   with --teacher: what this model makes of the text\n"
            "  text, text2            with --teacher: both get its vector of text; text2\n"
            "                         may be a translation, or empty in some rows\n"
            "A text is told from the others of its batch, so that --batch-tokens matters; --accumulate adds none. The best epoch is that of "
            "the highest mrr of text2 for text among the validation rows (cosent, cosine: spearman; --teacher: cosine to its vectors).\n\n"
            "Training from nothing needs some dozens of rows for each label at least. The folder also receives a log (JSON lines), "
            "TensorBoard events, and fovea.json, which `fovea runs` compares.",
    .examples = examples,
    .operands = operands, .n_operands = FV_COUNT(operands),
    .options = options, .n_options = FV_COUNT(options),
    .args_size = sizeof(struct args),
    .init = init,
    .run = run,
};
