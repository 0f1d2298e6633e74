/* Options to a settled recipe. The default recipe was chosen on training and validation parts only;
 * docs/decisions.md says how. */
#include <math.h>
#include <string.h>

#include "train/training.h"

typedef struct preset {
    const char *name;
    int layers, width, heads, ffn, max_len, vocab;
    double lr;
} preset;

static const preset presets[] = {
    {"tiny", 2, 128, 4, 512, 256, 8000, 1e-3},
    {"small", 4, 256, 4, 1024, 256, 8000, 5e-4},
    {"base", 6, 512, 8, 2048, 512, 16000, 2.5e-4},
};

void fv_train_options_init(fv_train_options *o)
{
    *o = (fv_train_options){
        .size = sizeof *o, .task = FV_TASK_CLASSIFY, .labels = FV_LABELS_SINGLE, .preset = "tiny", .attention = "full", .wide = true,
        .accumulate = 1, .optimiser = FV_OPTIMISER_ADAMW, .schedule = FV_SCHEDULE_LINEAR,
        .warmup = 0.1, .weight_decay = 0.01, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .clip = 1,
        .dropout = -1, .attention_dropout = -1, .word_dropout = -1, .label_smoothing = 0.1, .seed = 1, .checkpoint_seconds = 60,
        .mask_share = FV_MASK_SHARE, .scale = 20, .margin = 0.1,
        .freeze = -1, .layer_decay = -1,
    };
    fv_columns_init(&o->columns);
}

/* An encoder–decoder has as many layers on each side. The smallest is that of Wu et al. 2021 for small sets of pairs. */
static const preset translators[] = {
    {"tiny", 4, 128, 4, 256, 256, 6000, 5e-3},
    {"small", 4, 256, 4, 1024, 256, 8000, 2e-3},
    {"base", 6, 512, 8, 2048, 512, 32000, 7e-4},
};

static const preset *find_preset(const char *name, fv_task task)
{
    const preset *all = task == FV_TASK_TRANSLATE ? translators : presets;
    for (size_t i = 0; i < FV_COUNT(presets); i++)
        if (strcmp(all[i].name, name) == 0) return &all[i];
    return NULL;
}

static const char *const mixings[] = {"full", "uniform", "none"}, *const placings[] = {"sinusoidal", "learned", "rotary", "relative"};

static int pick(int given, int otherwise) { return given > 0 ? given : otherwise; }

static fv_status settle_pooling(fv_pooling *pooling, const char *name, fv_err *err)
{
    *pooling = FV_POOLING_CLS;
    if (!name) return FV_OK;
    static const char *const names[] = {"cls", "mean", "max"};
    for (int i = 0; i < 3; i++)
        if (strcmp(name, names[i]) == 0) return *pooling = (fv_pooling)i, FV_OK;
    return FV_FAIL(err, FV_E_ARGUMENT, "pooling \"%s\" is not known; expected cls, mean or max", name);
}

static fv_status settle_mixing(fv_mixing *mixing, const char *name, fv_err *err)
{
    for (int i = 0; i < 3; i++)
        if (strcmp(name, mixings[i]) == 0) return *mixing = (fv_mixing)i, FV_OK;
    return FV_FAIL(err, FV_E_ARGUMENT, "attention \"%s\" is not known; expected full, uniform or none", name);
}

static fv_status settle_positions(fv_positions *positions, const char *name, fv_positions usual, fv_err *err)
{
    *positions = usual;
    for (int i = 0; i < (int)FV_COUNT(placings) && name; i++)
        if (strcmp(name, placings[i]) == 0) return *positions = (fv_positions)i, FV_OK;
    return name ? FV_FAIL(err, FV_E_ARGUMENT, "positions \"%s\" are not known; expected learned, sinusoidal, rotary or relative", name) : FV_OK;
}

/* What options leave open is filled in by where a training starts: an encoder that has read much already wants small steps,
 * few epochs and less noise (Devlin et al. 2019, A.3). docs/decisions.md has what was tried. */
static bool tunes(const fv_train_options *o) { return o->from && o->task != FV_TASK_TRANSLATE; }

static double dropout_of(const fv_train_options *o) { return o->dropout >= 0 ? o->dropout : tunes(o) ? 0.1 : 0.2; }
static double attention_dropout_of(const fv_train_options *o) { return o->attention_dropout < 0 ? dropout_of(o) : o->attention_dropout; }

/* A head that knows nothing sends down steps that mean little at first. */
static double layer_decay_of(const fv_train_options *o)
{
    bool new_head = o->task == FV_TASK_CLASSIFY || o->task == FV_TASK_TAG || o->task == FV_TASK_MULTI;
    return o->layer_decay > 0 ? o->layer_decay : tunes(o) && new_head ? FV_TUNING_DECAY : 1;
}

static double word_dropout_of(const fv_train_options *o) { return o->word_dropout >= 0 ? o->word_dropout : tunes(o) ? 0 : 0.2; }

static int heads_of(const fv_train_options *o, const preset *p, int width)
{
    return pick(o->heads, o->width > 0 ? (width >= 128 && width % 64 == 0 ? width / 64 : 1) : p->heads);
}

/* </s> is 0, <unk> 1, <pad> the last, as Marian numbers them: the last is known once the vocabulary is. */
static fv_status settle_translator(fv_recipe *r, const fv_train_options *o, const preset *p, fv_err *err)
{
    int width = pick(o->width, p->width), layers = pick(o->layers, p->layers), vocab = pick(o->vocab, p->vocab);
    r->translator = (fv_seq2seq_config){
        .src_vocab = vocab, .tgt_vocab = vocab, .encoder_layers = layers, .decoder_layers = pick(o->decoder_layers, layers), .width = width,
        .heads = heads_of(o, p, width), .ffn = pick(o->ffn, o->width > 0 ? 4 * width : p->ffn), .max_len = pick(o->max_len, p->max_len),
        .act = FV_ACT_RELU, .pre_norm = o->pre_norm, .shared = !o->separate_vocab, .tied = !o->untied, .scale_embedding = true, .output_bias = true,
        .pad = vocab - 1, .eos = 0, .start = vocab - 1, .norm_eps = 1e-5, .dropout = dropout_of(o), .attention_dropout = attention_dropout_of(o),
    };
    fv_status status = settle_positions(&r->translator.positions, o->positions, FV_POSITIONS_SINUSOIDAL, err);
    return status != FV_OK ? status : fv_seq2seq_config_check(&r->translator, err);
}

static fv_status settle_encoder(fv_recipe *r, const fv_train_options *o, const preset *p, fv_err *err)
{
    int width = pick(o->width, p->width);
    fv_positions positions;
    fv_status status = settle_positions(&positions, o->positions, FV_POSITIONS_LEARNED, err);
    if (status != FV_OK) return status;
    if (positions > FV_POSITIONS_LEARNED) return FV_FAIL(err, FV_E_ARGUMENT, "%s positions are a translator's only; expected learned or sinusoidal", o->positions);
    r->encoder = (fv_encoder_config){
        .vocab = pick(o->vocab, p->vocab), .layers = pick(o->layers, p->layers), .width = width,
        .heads = heads_of(o, p, width), .ffn = pick(o->ffn, o->width > 0 ? 4 * width : p->ffn), .max_len = pick(o->max_len, p->max_len), .types = 2,
        .act = o->relu ? FV_ACT_RELU : FV_ACT_GELU, .pre_norm = o->pre_norm, .sinusoidal = positions == FV_POSITIONS_SINUSOIDAL, .article_attention = o->article_attention,
        .norm_eps = 1e-12, .dropout = dropout_of(o), .attention_dropout = attention_dropout_of(o), .init_deviation = sqrt(0.5 / width), /* BERT's 0.02, at its width, learns slowly at ours */
    };
    status = settle_pooling(&r->encoder.pooling, o->pooling, err);
    if (status == FV_OK) status = settle_mixing(&r->encoder.mixing, o->attention, err);
    return status != FV_OK ? status : fv_encoder_config_check(&r->encoder, err);
}

static fv_status check_range(const char *name, double value, double low, double high, fv_err *err)
{
    if (value >= low && value <= high) return FV_OK;
    return FV_FAIL(err, FV_E_ARGUMENT, "%s is %g; expected %g to %g", name, value, low, high);
}

/* The encoder's own check sees them with the preset's filled in: here only what would pass for "not given". */
static fv_status check_sizes(const fv_train_options *o, fv_err *err)
{
    const struct { const char *name; int value; } sizes[] = {
        {"layers", o->layers}, {"decoder layers", o->decoder_layers}, {"width", o->width}, {"heads", o->heads}, {"ffn", o->ffn}, {"max len", o->max_len}, {"vocab", o->vocab},
    };
    for (size_t i = 0; i < FV_COUNT(sizes); i++)
        if (sizes[i].value < 0) return FV_FAIL(err, FV_E_ARGUMENT, "%s is %d; expected more than 0, or 0 for the preset's", sizes[i].name, sizes[i].value);
    return FV_OK;
}

static fv_status check_choices(const fv_train_options *o, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(check_range("labels", o->labels, FV_LABELS_SINGLE, FV_LABELS_REGRESSION, err));
    FV_TRY(check_range("task", o->task, FV_TASK_CLASSIFY, FV_TASK_EMBED, err));
    FV_TRY(check_range("products", o->products, FV_PRODUCTS_FLOAT32, FV_PRODUCTS_INT8, err));
    if (o->task == FV_TASK_TRANSLATE && o->products == FV_PRODUCTS_INT8) return FV_FAIL(err, FV_E_ARGUMENT, "products of int8 are learnt by encoders; a translator learns with float32 or bf16 (--precision), and int8 may run it all the same");
    FV_TRY(check_range("schedule", o->schedule, FV_SCHEDULE_LINEAR, FV_SCHEDULE_CONSTANT, err));
    FV_TRY(check_range("optimiser", o->optimiser, FV_OPTIMISER_ADAMW, FV_OPTIMISER_ADAM, err));
    if (!o->preset || !o->attention) return FV_FAIL(err, FV_E_ARGUMENT, "preset or attention is NULL; expected a name, as fv_train_options_init gives");
done:
    return status;
}

static fv_status check_numbers(const fv_train_options *o, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(check_range("lr", o->lr, 0, 10, err));
    FV_TRY(check_range("warmup", o->warmup, 0, 1, err));
    FV_TRY(check_range("weight decay", o->weight_decay, 0, 10, err));
    FV_TRY(check_range("beta1", o->beta1, 0, 0.99999, err));
    FV_TRY(check_range("beta2", o->beta2, 0, 0.9999999, err));
    FV_TRY(check_range("epsilon", o->epsilon, 1e-16, 1, err));
    FV_TRY(check_range("clip", o->clip, 0, 1e9, err));
    FV_TRY(check_range("dropout", o->dropout, -INFINITY, 1, err)); /* the models say no to 1 */
    FV_TRY(check_range("word dropout", o->word_dropout, -INFINITY, 0.99, err));
    FV_TRY(check_range("label smoothing", o->label_smoothing, 0, 0.99, err));
    FV_TRY(check_range("mask share", o->mask_share, 0.01, 0.9, err));
    FV_TRY(check_range("freeze", o->freeze, -1, FV_MAX_LAYERS, err));
    if (o->layer_decay != -1) FV_TRY(check_range("layer decay", o->layer_decay, 0.01, 1, err));
    if (o->task == FV_TASK_TRANSLATE && (o->freeze >= 0 || (o->layer_decay != -1 && o->layer_decay != 1))) return FV_FAIL(err, FV_E_ARGUMENT, "freeze and layer decay are for encoders; a translator learns as a whole");
    FV_TRY(check_range("alpha of pieces", o->sample_pieces, 0, 10, err));
    FV_TRY(check_range("average", o->average, 0, 1000, err));
    FV_TRY(check_range("batch tokens", o->batch_tokens, 0, 1 << 24, err));
    FV_TRY(check_range("epochs", o->epochs, 0, 1e6, err));
    FV_TRY(check_range("steps", (double)o->steps, 0, 1e12, err));
    FV_TRY(check_range("seconds", o->max_seconds, 0, 1e9, err));
    FV_TRY(check_range("patience", o->patience, 0, 1e6, err));
    FV_TRY(check_range("seconds between checkpoints", o->checkpoint_seconds, 0, 1e9, err));
    if (o->accumulate < 1 || (o->accumulate & (o->accumulate - 1)) || o->accumulate > 1 << 20)
        return FV_FAIL(err, FV_E_ARGUMENT, "accumulate is %d; expected a power of two", o->accumulate);
    if (o->steps && o->epochs) return FV_FAIL(err, FV_E_ARGUMENT, "both steps and epochs are given; give one");
done:
    return status;
}

/* ---- Vectors ---- */

static const char *const losses[] = {"contrast", "cosent", "cosine", "triplet", "teacher"};

const char *fv_embed_loss_name(fv_embed_loss loss) { return losses[loss]; }

static fv_status settle_loss(fv_embed_loss *loss, const char *name, fv_err *err)
{
    *loss = FV_EMBED_BY_COLUMNS;
    if (!name) return FV_OK;
    for (int i = 0; i < FV_EMBED_BY_COLUMNS; i++)
        if (strcmp(name, losses[i]) == 0) return *loss = (fv_embed_loss)i, FV_OK;
    return FV_FAIL(err, FV_E_ARGUMENT, "loss \"%s\" is not known; expected contrast, cosent, cosine, triplet or teacher", name);
}

/* Largest first, each once. */
static fv_status settle_dims(fv_embed_recipe *e, const int dims[FV_MAX_DIMS], fv_err *err)
{
    for (int i = 0; i < FV_MAX_DIMS && dims[i]; i++) {
        int at = e->n_dims++;
        if (dims[i] < 1) return FV_FAIL(err, FV_E_ARGUMENT, "vectors of %d numbers asked; expected 1 or more", dims[i]);
        for (; at > 0 && e->dims[at - 1] < dims[i]; at--) e->dims[at] = e->dims[at - 1];
        e->dims[at] = dims[i];
        if (at > 0 && e->dims[at - 1] == dims[i]) return FV_FAIL(err, FV_E_ARGUMENT, "vectors of %d numbers are asked twice", dims[i]);
    }
    return FV_OK;
}

/* The body is as hub folders have it: pooling is the vector's, not the body's. */
static fv_status settle_embed(fv_recipe *r, const fv_train_options *o, fv_err *err)
{
    fv_status status = FV_OK;
    r->embed = (fv_embed_recipe){.scale = o->scale, .margin = o->margin, .max_len = r->encoder.max_len, .pooling = o->pooling ? r->encoder.pooling : FV_POOLING_MEAN};
    r->encoder.pooling = FV_POOLING_CLS;
    r->label_smoothing = r->word_dropout = 0;
    FV_TRY(check_range("scale", o->scale, 1e-3, 1e3, err));
    FV_TRY(check_range("margin", o->margin, 0, 2, err));
    FV_TRY(settle_loss(&r->embed.loss, o->loss, err));
    FV_TRY(settle_dims(&r->embed, o->dims, err));
done:
    return status;
}

fv_status fv_recipe_settle(fv_recipe *r, const fv_train_options *o, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(check_choices(o, err));
    const preset *p = find_preset(o->preset, o->task);
    if (!p) return FV_FAIL(err, FV_E_ARGUMENT, "preset \"%s\" is not known; expected tiny, small or base", o->preset);
    /* What starts from nothing and is to answer alone takes lessons: an epoch then has four texts for each row. */
    bool taught = !o->wide && !o->from && o->task == FV_TASK_CLASSIFY && o->labels == FV_LABELS_SINGLE;
    *r = (fv_recipe){
        .taught = taught, .cased = o->cased, .wide = o->wide && !o->from && (o->task == FV_TASK_CLASSIFY || o->task == FV_TASK_MULTI), .task = o->task, .labels = o->labels, .products = o->products, .epochs = pick(o->epochs, tunes(o) ? 6 : taught ? 30 / (1 + FV_LESSON_COPIES) : 30), .patience = o->patience,
        .batch_tokens = pick(o->batch_tokens, o->task == FV_TASK_EMBED ? 4096 : tunes(o) && o->task == FV_TASK_CLASSIFY ? 768 : 2048), .accumulate = o->accumulate, .optimiser = o->optimiser, .schedule = o->schedule,
        .lr = o->lr > 0 || tunes(o) ? o->lr : p->lr, .warmup = o->warmup, .weight_decay = o->weight_decay,
        .beta1 = o->beta1, .beta2 = o->beta2, .epsilon = o->epsilon, .clip = o->clip,
        .sample_pieces = o->sample_pieces, .average = o->average, .word_dropout = word_dropout_of(o), .label_smoothing = o->task == FV_TASK_MLM ? 0 : o->label_smoothing, .seed = o->seed, .steps_asked = o->steps,
        .mask_share = o->mask_share, .mask_pieces = o->mask_pieces,
        .freeze = o->freeze, .layer_decay = layer_decay_of(o),
    };
    FV_TRY(check_numbers(o, err));
    FV_TRY(check_sizes(o, err));
    FV_TRY((o->task == FV_TASK_TRANSLATE ? settle_translator : settle_encoder)(r, o, p, err));
    if (o->task == FV_TASK_EMBED) FV_TRY(settle_embed(r, o, err));
done:
    return status;
}

static json_t *encoder_to_json(const fv_recipe *r)
{
    static const char *const poolings[] = {"cls", "mean", "max"};
    const fv_encoder_config *e = &r->encoder;
    return json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:b, s:b, s:s, s:b, s:s, s:s, s:b, s:b, s:b, s:f, s:f, s:f, s:i, s:f}",
        "labels", fv_labels_name(r->labels), "layers", e->layers, "width", e->width, "heads", e->heads, "ffn", e->ffn,
        "max_len", e->max_len, "vocab", e->vocab, "pre_norm", e->pre_norm, "relu", e->act == FV_ACT_RELU,
        "positions", placings[e->sinusoidal ? FV_POSITIONS_SINUSOIDAL : FV_POSITIONS_LEARNED], "article_attention", e->article_attention, "attention", mixings[e->mixing], "pooling", poolings[e->pooling], "cased", r->cased, "wide", r->wide, "taught", r->taught,
        "dropout", e->dropout, "attention_dropout", e->attention_dropout, "word_dropout", r->word_dropout,
        "freeze", r->freeze, "layer_decay", r->layer_decay);
}

static json_t *translator_to_json(const fv_recipe *r)
{
    const fv_seq2seq_config *c = &r->translator;
    return json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:b, s:s, s:b, s:b, s:f, s:f, s:f, s:i}",
        "layers", c->encoder_layers, "decoder_layers", c->decoder_layers, "width", c->width, "heads", c->heads, "ffn", c->ffn,
        "max_len", c->max_len, "src_vocab", c->src_vocab, "tgt_vocab", c->tgt_vocab, "pre_norm", c->pre_norm, "positions", placings[c->positions],
        "shared", c->shared, "tied", c->tied, "dropout", c->dropout, "attention_dropout", c->attention_dropout, "sample_pieces", r->sample_pieces, "average", r->average);
}

/* Its own keys stand for those of the same name. */
static bool put_embed(json_t *tree, const fv_embed_recipe *e)
{
    json_t *dims = json_array();
    for (int i = 0; i < e->n_dims; i++) json_array_append_new(dims, json_integer(e->dims[i]));
    json_t *own = json_pack("{s:s, s:f, s:f, s:o, s:i, s:s, s:s}", "loss", losses[e->loss], "scale", e->scale, "margin", e->margin, "dims", dims,
        "max_len", e->max_len, "pooling", fv_pooling_name(e->pooling), "teacher", e->teacher);
    bool fine = own && (int)json_array_size(dims) == e->n_dims && json_object_update(tree, own) == 0;
    json_decref(own);
    return fine;
}

json_t *fv_recipe_to_json(const fv_recipe *r, fv_err *err)
{
    static const char *const products[] = {[FV_PRODUCTS_FLOAT32] = "float32", [FV_PRODUCTS_BF16] = "bf16", [FV_PRODUCTS_INT8] = "int8"};
    static const char *const schedules[] = {"linear", "cosine", "inverse-sqrt", "constant"}, *const tasks[] = {"classify", "tag", "mlm", "multi", "translate", "embed"};
    json_t *tree = (r->task == FV_TASK_TRANSLATE ? translator_to_json : encoder_to_json)(r);
    json_t *rest = json_pack("{s:s, s:i, s:i, s:i, s:i, s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I}",
        "task", tasks[r->task], "epochs", r->epochs, "patience", r->patience, "batch_tokens", r->batch_tokens, "accumulate", r->accumulate,
        "optimizer", r->optimiser == FV_OPTIMISER_ADAM ? "adam" : "adamw", "schedule", schedules[r->schedule],
        "products", products[r->products], "lr", r->lr, "warmup", r->warmup, "weight_decay", r->weight_decay, "beta1", r->beta1, "beta2", r->beta2,
        "epsilon", r->epsilon, "clip", r->clip, "label_smoothing", r->label_smoothing, "seed", (json_int_t)r->seed, "steps", (json_int_t)r->steps_asked);
    bool fine = tree && rest && json_object_update(tree, rest) == 0;
    json_decref(rest);
    if (fine && r->task == FV_TASK_MLM) fine = json_object_set_new(tree, "mask_share", json_real(r->mask_share)) == 0 && json_object_set_new(tree, "mask_pieces", json_boolean(r->mask_pieces)) == 0;
    if (fine && r->task == FV_TASK_EMBED) fine = put_embed(tree, &r->embed);
    if (fine) return tree;
    json_decref(tree);
    FV_FAIL(err, FV_E_MEMORY, "recipe: out of memory");
    return NULL;
}
