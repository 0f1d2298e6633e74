/* Fovea: Transformers that train, run and explain themselves on a CPU.
 *
 * This header is the engine's whole stable surface. A program that classifies:
 *
 *     fv_err err = {0};
 *     fv_model *model = fv_model_open("models/banking", &err);
 *     fv_session *s = fv_session_new(model, NULL, &err);
 *     fv_text text = {.text = "My card was stolen"};
 *     fv_label best;
 *     if (fv_classify(s, &text, 1, 1, &best, &err) == FV_OK) puts(best.name);
 *     else fv_err_print(stderr, &err);
 *     fv_session_free(s);
 *     fv_model_close(model);
 *
 * Errors    Calls that can fail return fv_status (or NULL) and fill the caller's fv_err, the last
 *           argument. NULL is fine there; success leaves it alone. The library never prints or
 *           exits, except that a broken promise of its own (FV_ASSERT) stops the program.
 * Options   Every fv_x_options has an fv_x_options_init that fills the defaults and `size`; after it
 *           every value means itself, zero included. Passing NULL means the defaults.
 * Strings   UTF-8, ended by a zero byte unless a length is given. Borrowed, never kept, unless the
 *           comment says otherwise. What the library returns lives as long as the comment says.
 * Threads   A model may be shared by threads. A session, a reader and an encoding belong to one at a
 *           time. One pool of worker threads serves the whole process (fv_set_threads).
 * free      Every _free and _close accepts NULL.
 */
#ifndef FOVEA_H
#define FOVEA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FV_VERSION "0.1.0"
#define FV_API __attribute__((visibility("default")))

/* ---- Errors ------------------------------------------------------------------------------- */

/* Kinds of failure, with the sentence that fv_status_text gives. One list, so that they agree. */
#define FV_STATUS_LIST(X)                                                 \
    X(FV_OK, 0, "done")                                                   \
    X(FV_E_ARGUMENT, -1, "an argument or option makes no sense")          \
    X(FV_E_INPUT, -2, "the data given is not as expected")                \
    X(FV_E_FORMAT, -3, "a model file is damaged or not supported")        \
    X(FV_E_IO, -4, "a file could not be read or written")                 \
    X(FV_E_MEMORY, -5, "out of memory")                                   \
    X(FV_E_SHAPE, -6, "shapes do not fit together")                       \
    X(FV_E_BUSY, -7, "another program is using it")                       \
    X(FV_E_STOPPED, -8, "stopped on request; can be resumed")             \
    X(FV_E_DIVERGED, -9, "training diverged")

typedef enum fv_status {
#define FV_STATUS_ENUM(name, value, text) name = value,
    FV_STATUS_LIST(FV_STATUS_ENUM)
#undef FV_STATUS_ENUM
} fv_status;

/* Where, what was found, what was expected, what to do: one line, cut at a character boundary. */
typedef struct fv_err {
    fv_status status;
    char text[1024];
} fv_err;

FV_API const char *fv_status_text(fv_status status);
/* Prints "fovea: TEXT\n" and returns 1, so that main may `return fv_err_print(stderr, &err)`. */
FV_API int fv_err_print(FILE *to, const fv_err *err);
FV_API const char *fv_version(void);

/* ---- Threads ------------------------------------------------------------------------------ */

/* Sets how many threads, the caller's included, work inside a call. 0 means one for each core.
 * Must come before the first other call or between calls. Results do not depend on it. */
FV_API fv_status fv_set_threads(int threads, fv_err *err);
/* The instruction set in use: "plain", "avx2", "avx512" … (FOVEA_ISA in the environment forces one). */
FV_API const char *fv_isa(void);

/* ---- Reading labelled data ---------------------------------------------------------------- */

/* Files: .tsv (no quoting), .csv (RFC 4180), .jsonl, fastText lines (__label__x text), each also as
 * .gz; "-" is stdin. The kind is told by name first and by the first line otherwise. */
typedef struct fv_columns {
    size_t size;
    const char *text;    /* column of the text, default "text"; "a,b" joins two with a line break */
    const char *text2;   /* the second text of a pair, default NULL: none */
    const char *label;   /* default "label"; NULL: labels are not read */
    bool label_optional; /* a file without the label column is fine */
    bool skip_bad;       /* count bad rows instead of failing at the first */
    bool tell_bad;       /* with skip_bad: fv_reader_next says 2 where one stood */
    /* Of rows that vectors are learnt from or judged by. Default NULL and false. */
    const char *negative; /* a text that is farther from the text than text2 is */
    const char *grade;    /* how right text2 is for the text: 0 wrong, the larger the better */
    bool text2_optional, negative_optional, grade_optional; /* a file without that column is fine */
    bool text2_may_be_empty; /* in some of the rows */
} fv_columns;

FV_API void fv_columns_init(fv_columns *columns);

/* One row. Strings are valid until the next fv_reader_next, and end in a zero byte too. */
typedef struct fv_row {
    const char *text, *text2, *label; /* NULL where there is none */
    size_t text_len, text2_len, label_len;
    int64_t line;                     /* 1 is the file's first line */
    const char *negative, *grade;     /* as label */
    size_t negative_len, grade_len;
} fv_row;

typedef struct fv_reader fv_reader;

FV_API fv_reader *fv_reader_open(const char *path, const fv_columns *columns, fv_err *err);
/* 1: a row; 0: the end; negative: an fv_status; with tell_bad also 2: a bad row, of which row->line says where and err why. */
FV_API int fv_reader_next(fv_reader *reader, fv_row *row, fv_err *err);
/* Rows left out under skip_bad, and the first one's message ("" if none). */
FV_API int64_t fv_reader_skipped(const fv_reader *reader, const char **first);
FV_API void fv_reader_close(fv_reader *reader);

/* ---- Tokenizers --------------------------------------------------------------------------- */

typedef struct fv_tokenizer fv_tokenizer;

typedef enum fv_normalize { FV_NORMALIZE_NONE, FV_NORMALIZE_NFC, FV_NORMALIZE_NFKC } fv_normalize;

/* How a word becomes tokens: byte-level BPE (Sennrich et al. 2016; bytes as in GPT-2, Radford et al.
 * 2019) · the longest known piece first, of texts that BERT's rules normalise and split (Devlin et
 * al. 2019) · the most probable pieces (Kudo 2018). */
typedef enum fv_tokenizer_kind { FV_TOKENIZER_BPE, FV_TOKENIZER_WORDPIECE, FV_TOKENIZER_UNIGRAM, FV_TOKENIZER_WORDLEVEL /* read, not trained */ } fv_tokenizer_kind;

typedef struct fv_tokenizer_options {
    size_t size;
    int vocab;              /* entries, the 5 special tokens (and BPE's 256 bytes) included; default 8000 */
    fv_normalize normalize; /* default FV_NORMALIZE_NFC; WordPiece normalises as BERT does instead */
    bool lowercase;         /* default false; WordPiece then takes accents off too */
    int min_count;          /* merges of pairs (unigram: longer pieces) rarer than this are not learned; default 2 */
    fv_tokenizer_kind kind; /* default FV_TOKENIZER_BPE */
} fv_tokenizer_options;

FV_API void fv_tokenizer_options_init(fv_tokenizer_options *options);

/* Gives the next text and its length: 1, or 0 at the end, or a negative fv_status with err filled. */
typedef int (*fv_next_text)(void *user, const char **text, size_t *len, fv_err *err);

/* The same texts in any order give the same vocabulary. */
FV_API fv_tokenizer *fv_tokenizer_train(const fv_tokenizer_options *options, fv_next_text next, void *user, fv_err *err);
/* PATH is a tokenizer.json, a vocab.txt of BERT (named .txt), or a folder that holds one of them; or a SentencePiece model,
 * named .model or .spm (unigram or BPE; Kudo and Richardson 2018). */
FV_API fv_tokenizer *fv_tokenizer_open(const char *path, fv_err *err);
/* Writes tokenizer.json to PATH, all or nothing; or a SentencePiece model if PATH ends in .model or .spm. That takes a unigram
 * tokenizer whose normalisation a table of characters can express: none, lower case, or what came from such a file. */
FV_API fv_status fv_tokenizer_save(const fv_tokenizer *tokenizer, const char *path, fv_err *err);
FV_API void fv_tokenizer_close(fv_tokenizer *tokenizer);
FV_API int fv_tokenizer_size(const fv_tokenizer *tokenizer);
/* The token's text as the vocabulary spells it, or NULL; lives as long as the tokenizer. */
FV_API const char *fv_tokenizer_token(const fv_tokenizer *tokenizer, int32_t id);
/* The id of a token spelled so, special or not, or -1. */
FV_API int32_t fv_tokenizer_id(const fv_tokenizer *tokenizer, const char *token);
/* A token that frames or stands for texts instead of being of one: [CLS] and the like. */
FV_API bool fv_tokenizer_is_special(const fv_tokenizer *tokenizer, int32_t id);

/* Token ids with the bytes of the input that each came from (special tokens have begin = end).
 * Start from {0}; every call refills it and reuses its memory. */
typedef struct fv_encoding {
    int32_t *ids;
    uint32_t *begins, *ends; /* in bytes of the first or second text */
    uint8_t *types;          /* 0: first text, 1: second */
    size_t n, capacity;
    void *scratch;           /* the encoder's own */
} fv_encoding;

/* Appends nothing for text2 = NULL. `special` adds [CLS] a [SEP] (b [SEP]). Never cuts. BPE
 * encodes invalid UTF-8 byte for byte; to the other kinds it is unknown, or nothing. */
FV_API fv_status fv_tokenizer_encode(const fv_tokenizer *tokenizer, const char *text, size_t len, const char *text2, size_t len2, bool special, fv_encoding *out, fv_err *err);
/* Text of ids, special tokens left out; *out is malloc'ed and the caller's to free(). */
FV_API fv_status fv_tokenizer_decode(const fv_tokenizer *tokenizer, const int32_t *ids, size_t n, char **out, size_t *out_len, fv_err *err);
FV_API void fv_encoding_release(fv_encoding *encoding);

/* ---- Training ----------------------------------------------------------------------------- */

typedef enum fv_task {
    FV_TASK_CLASSIFY, /* a text, or a pair, to its label */
    FV_TASK_TAG,      /* every word to a tag */
    FV_TASK_MLM,      /* words that are missing, from those around them (Devlin et al. 2019): to start others from */
    FV_TASK_MULTI,    /* several of the first two at once: one body, a head for each */
    FV_TASK_TRANSLATE, /* a text to another text: an encoder–decoder (Vaswani et al. 2017) */
    FV_TASK_EMBED,    /* texts to vectors, near where the texts belong together (Reimers & Gurevych 2019) */
} fv_task;

/* What a label is. */
typedef enum fv_labels {
    FV_LABELS_SINGLE,     /* one of a set */
    FV_LABELS_MULTI,      /* any of a set, separated by commas */
    FV_LABELS_REGRESSION, /* a number */
    FV_LABELS_TAGS,       /* a tag for each word: words and tags are separated by spaces */
    FV_LABELS_NONE,       /* there is none */
    FV_LABELS_TEXT,       /* another text: what the first is to be turned into */
    FV_LABELS_VECTOR,     /* there is none: a body without a head, which only makes vectors (fv_embed) */
} fv_labels;

/* What the numbers of a product are rounded to; sums stay float32 (of int8: 32-bit integers, then float32). Of an encoder INT8 is for
 * its layers, and its heads stay float32. AS_MODEL is for running only: as the weights of the model's folder are stored. */
typedef enum fv_products { FV_PRODUCTS_FLOAT32, FV_PRODUCTS_BF16, FV_PRODUCTS_INT8, FV_PRODUCTS_AS_MODEL } fv_products;

typedef enum fv_schedule { FV_SCHEDULE_LINEAR, FV_SCHEDULE_COSINE, FV_SCHEDULE_INVERSE_SQRT, FV_SCHEDULE_CONSTANT } fv_schedule;
typedef enum fv_optimiser { FV_OPTIMISER_ADAMW, FV_OPTIMISER_ADAM } fv_optimiser;

typedef enum fv_event_kind {
    FV_EVENT_MESSAGE, /* text: something a person should know */
    FV_EVENT_STEP,    /* a training step ended; in fv_eval: a batch was scored */
    FV_EVENT_EPOCH,   /* a validation ended: metric, value */
    FV_EVENT_DONE,    /* all is written */
} fv_event_kind;

typedef struct fv_event {
    size_t size;
    fv_event_kind kind;
    const char *text;           /* "" if there is none */
    int64_t step, steps, epoch; /* steps: how many there will be, 0 while not known */
    int64_t tokens;             /* real tokens so far */
    double loss, lr, tokens_per_s, seconds, seconds_left;
    double grad_norm;
    const char *metric;         /* "accuracy", … */
    double value;
    bool best;                  /* the best validation so far, and kept */
} fv_event;

enum { FV_MAX_DIMS = 7 };

/* Progress. Returning nonzero stops cleanly: a checkpoint is written and the call returns
 * FV_E_STOPPED. Called from the thread that called the library. */
typedef int (*fv_on_event)(void *user, const fv_event *event);

typedef struct fv_train_options {
    size_t size;
    fv_task task;
    /* Files; without valid a tenth of train is held back; test may be NULL. FV_TASK_MLM also takes folders: all .txt, .md, .tsv,
     * .csv and .jsonl in them and below, each also as .gz, in the order of their paths; hidden files and symbolic links are left
     * out, blank lines part the texts of .txt and .md, and columns.skip_bad leaves bad files out. FV_TASK_MULTI: train is a
     * JSON list of the tasks, and the other two stay NULL:
     *   [{"name": "topic", "train": "news.tsv", "text": "title"}, {"name": "tone", "train": "tone.tsv"}]
     * An entry may also have task ("classify" or "tag"), valid, test, text, text2, label, labels ("single",
     * "multi", "regression"), and weight: how often its rows are seen, 1 unless given. Files are sought
     * from the folder that the list lies in. */
    const char *train, *valid, *test;
    const char *out;                  /* the model folder to write */
    const char *from;                 /* a model folder to start from, or NULL */
    /* Of an encoder, mostly with `from`: what was learnt there on much more text is kept, the more the lower it lies. */
    int freeze;                       /* the embeddings and the first so many layers stay as they are; 0: the embeddings alone; default -1: all learn */
    double layer_decay;               /* the topmost layer learns at the full rate, each below it this many times as fast as the one above, the
                                       * embeddings last (Howard & Ruder 2018); what stands on the body at the full rate. Default -1: 0.9 `from` an
                                       * encoder for labels, else 1 */
    fv_columns columns;
    fv_labels labels;                 /* FV_TASK_CLASSIFY */

    const char *preset;               /* "tiny" 2×128, "small" 4×256, "base" 6×512 (layers × width) */
    int layers, width, heads, ffn;    /* 0: the preset's */
    int max_len, vocab;               /* tokens a text, entries; 0: the preset's */
    bool pre_norm;                    /* normalise before each block instead of after it */
    bool relu;                        /* ReLU instead of GELU */
    const char *positions;            /* "learned" | "sinusoidal"; FV_TASK_TRANSLATE also "rotary" | "relative"; NULL: sinusoidal to translate, else learned */
    int decoder_layers;               /* FV_TASK_TRANSLATE: 0: as many as layers */
    bool separate_vocab, untied;      /* FV_TASK_TRANSLATE: a vocabulary for each side; an output matrix of its own */
    double sample_pieces;             /* FV_TASK_TRANSLATE: each epoch cuts words anew (Kudo 2018), with this alpha; 0: never */
    int average;                      /* FV_TASK_TRANSLATE: the mean of the weights at the last so many epochs' ends; 0 or 1: the best alone */
    bool article_attention;           /* the article's attention block instead of Vaswani's: docs/attention.md */
    const char *attention;            /* "full"; to compare with: "uniform" (all weights alike) | "none" (tokens see only themselves) */
    const char *pooling;              /* "cls" | "mean" | "max"; NULL: that of the model it starts from, else cls */
    bool wide;                        /* a linear part on n-grams that answers too; default true, without effect with `from`. False: n-grams only
                                       * teach what single labels mean, from copies of the texts too, and the Transformer answers alone */
    bool cased;                       /* keep upper case apart from lower case */

    int64_t steps;                    /* 0: by epochs */
    int epochs;                       /* default 0: 30, or 7 where n-grams teach (`wide` false), or 6 `from` an encoder; fewer when time is short */
    double max_seconds;               /* 0: no bound; else the first 20 steps are timed and the number of steps fixed */
    int patience;                     /* epochs without a better validation before stopping; 0: never */
    int batch_tokens;                 /* tokens of a batch at most; default 0: 2048, or 768 to label texts `from` an encoder, or 4096 for FV_TASK_EMBED */
    int accumulate;                   /* shards whose gradients make one step, a power of two */

    fv_optimiser optimiser;
    fv_schedule schedule;
    double lr;                        /* highest rate; default 0: the preset's, or `from` an encoder 30 / width², at most 5e-4, which is 5e-5 for BERT's 768 */
    double warmup;                    /* share of the steps */
    double weight_decay, beta1, beta2, epsilon;
    double clip;                      /* gradient norm at most; 0: no clipping */
    double dropout;                   /* on embeddings and residuals; default -1, as any number below 0: 0.2, or 0.1 `from` an encoder */
    double attention_dropout;         /* on attention weights; default -1, as any number below 0: like dropout */
    double word_dropout;              /* share of a text's tokens that a step hides behind [MASK]; not for tagging and mlm; default -1: 0.2, or 0 `from` an encoder */
    double label_smoothing;           /* without effect on FV_TASK_MLM, which has no labels */
    double mask_share;                /* FV_TASK_MLM: of words that are hidden, default 0.15; models are judged at 0.15 in any case */
    bool mask_pieces;                 /* FV_TASK_MLM: hide each token for itself, not whole words and runs of Chinese characters */
    /* FV_PRODUCTS_INT8, of encoders: forward, and when it validates, a step computes as a session with int8 products does, while
     * gradients pass the rounding as if it were not there, to float32 weights (Bengio, Léonard & Courville 2013). What is
     * chosen is then what fv_compress makes of the folder; mostly a last epoch, `from` the model that learnt in float32. */
    fv_products products;
    uint64_t seed;

    /* FV_TASK_EMBED. What a row teaches, its columns say (text2, negative and label are looked for by these names unless
     * `columns` has others):
     *   text, text2             the two belong together, and nothing else of the batch to either   loss "contrast"
     *   text, text2, negative   the same, and the last not to any text of the batch                "contrast"; "triplet": not to this one
     *   text, text2, label      how alike they are                                                 "cosent": in the right order; "cosine": so much
     *   with `teacher`: text    the vector that the teacher gives it                               "teacher"
     *   text, text2             the same for both, that of text: text2 may be of another language (Reimers & Gurevych 2020)
     * Pooling is "mean" unless `from` or `pooling` says otherwise. */
    const char *loss;                 /* NULL: the first one above */
    const char *teacher;              /* a model folder. Where the sizes of the vectors differ, the teacher's are turned so that their first
                                         numbers say most, and cut; turn.safetensors in `out` has by which matrix */
    int dims[FV_MAX_DIMS];            /* the first so many numbers are to do alone, too (Kusupati et al. 2022); 0 ends the list */
    double scale;                     /* of cosines, for "contrast" and "cosent"; default 20 */
    double margin;                    /* of cosines, for "triplet"; default 0.1 */

    bool resume;                      /* go on from the checkpoint in `out`, if there is one */
    double checkpoint_seconds;        /* between checkpoints; default 60, 0: after every step */
    fv_on_event on_event;
    void *on_event_user;
} fv_train_options;

FV_API void fv_train_options_init(fv_train_options *options);
/* Trains, validates each epoch, keeps the best, tests at the end, and writes a model folder.
 * FV_E_BUSY when another training holds `out`. Nothing that was in `out` is lost on failure; what is refused
 * before the first step (options, data, models, too little time) leaves `out` as it was, or not there at all. */
FV_API fv_status fv_train(const fv_train_options *options, fv_err *err);

/* ---- Models and sessions ------------------------------------------------------------------ */

typedef struct fv_model fv_model;
typedef struct fv_session fv_session;

FV_API fv_model *fv_model_open(const char *folder, fv_err *err);
FV_API void fv_model_close(fv_model *model); /* after its sessions are freed */
/* A model answers one question, or one of several that share its body, each by a head of its own. */
FV_API int fv_model_n_heads(const fv_model *model);
FV_API const char *fv_model_head_name(const fv_model *model, int i); /* "" for an only one; lives as long as the model */
FV_API const fv_tokenizer *fv_model_tokenizer(const fv_model *model);
/* All that is known of it as one JSON object: architecture, sizes, tokenizer, labels, training
 * record, file hashes. malloc'ed; free() it. */
FV_API char *fv_model_inspect(const char *folder, fv_err *err);

typedef struct fv_session_options {
    size_t size;
    int batch_tokens; /* tokens computed at once at most, unless one text has more; default 2048 */
    const char *head; /* the name of the head that answers; NULL: the only one, or of several none, and fv_embed alone has an answer */
    fv_products products; /* default FV_PRODUCTS_AS_MODEL. A translator's first session decides for all */
    bool shortlist;   /* of a translator: only words that its pairs suggest are considered; default false */
} fv_session_options;

FV_API void fv_session_options_init(fv_session_options *options);
FV_API fv_session *fv_session_new(fv_model *model, const fv_session_options *options, fv_err *err);
FV_API void fv_session_free(fv_session *session);
FV_API int fv_session_n_labels(const fv_session *session);               /* 1 for regression; 0 without a head */
FV_API const char *fv_session_label(const fv_session *session, int i); /* lives as long as the model */
FV_API fv_labels fv_session_labels(const fv_session *session);
FV_API fv_products fv_session_products(const fv_session *session);      /* what they are rounded to: never FV_PRODUCTS_AS_MODEL */

/* A text, or a pair. Lengths of 0 mean "up to the zero byte". Longer than the model: cut at the
 * end (the longer of a pair first), which fv_session_cut counts. */
typedef struct fv_text {
    const char *text, *text2;
    size_t len, len2;
} fv_text;

typedef struct fv_label {
    const char *name; /* lives as long as the model; NULL for regression */
    int index;
    float score;      /* calibrated probability (softmax, or sigmoid if several may hold); regression: the value */
} fv_label;

/* The best `top` labels of each text, best first: out[n × top]; unused places have index -1.
 * For FV_LABELS_REGRESSION top must be 1. */
FV_API fv_status fv_classify(fv_session *session, const fv_text *texts, size_t n, int top, fv_label *out, fv_err *err);
/* Scores of every label: out[n × fv_session_n_labels]. */
FV_API fv_status fv_classify_scores(fv_session *session, const fv_text *texts, size_t n, float *out, fv_err *err);
FV_API int64_t fv_session_cut(const fv_session *session);
FV_API const fv_model *fv_session_model(const fv_session *session);

/* ---- Embeddings ---- */

typedef enum fv_unit { FV_UNIT_AS_MODEL, FV_UNIT_YES, FV_UNIT_NO } fv_unit;

typedef struct fv_embed_options {
    size_t size;
    const char *prompt_name; /* which of the model's prompts stands before every text; NULL: the one that it names, if any */
    const char *prompt;      /* a text of your own instead, or "" for none; NULL: see prompt_name */
    fv_unit unit;            /* scaled to length 1; default: if the model's folder says so */
    int dim;                 /* keep the first so many numbers, for models trained to be cut (Kusupati et al. 2022), before
                                scaling; default 0: all */
} fv_embed_options;

FV_API void fv_embed_options_init(fv_embed_options *options);
/* Numbers of a text's vector; 0 for a translator. */
FV_API int fv_model_embedding_size(const fv_model *model);
FV_API int fv_model_max_len(const fv_model *model); /* tokens of a text at most, its frame included */
/* The text of the prompt of that name, or for NULL of the one that the model itself puts before every text; "" if it names none.
 * Lives as long as the model. NULL, and an error that lists the names, if there is none called so. */
FV_API const char *fv_model_prompt(const fv_model *model, const char *name, fv_err *err);
/* A vector for each text: out[n × dim]. Pooling and what follows are as modules.json says (sentence-transformers), else the mean
 * of the hidden states; any encoder will do, whatever its head. A text's vector does not depend on the others. */
FV_API fv_status fv_embed(fv_session *session, const fv_text *texts, size_t n, const fv_embed_options *options, float *out, fv_err *err);

/* ---- Tags ---- */

/* Words, which are what stands between white space, and the spans that their tags spell: B-LOC I-LOC is
 * one of type LOC (conlleval's rules; none where tags are no such letters). */
typedef struct fv_tagged_word {
    uint32_t begin, end; /* bytes of the text */
    const char *tag;     /* lives as long as the model */
    float score;         /* calibrated probability */
} fv_tagged_word;

typedef struct fv_tagged_span {
    uint32_t begin, end;
    const char *type;    /* "_" where tags are bare letters */
    float score;         /* of its least certain word */
} fv_tagged_span;

typedef struct fv_tagged {
    const fv_tagged_word *words;
    const fv_tagged_span *spans;
    size_t n_words, n_spans;
} fv_tagged;

/* A tag for every word of every text (no pairs): out[n]. What it points to belongs to the session until
 * its next call. Texts longer than the model are read in parts, cut between words, and counted by
 * fv_session_cut. */
FV_API fv_status fv_tag(fv_session *session, const fv_text *texts, size_t n, fv_tagged *out, fv_err *err);

/* ---- Translation ---- */

/* What happens to a text that is longer than the model. */
typedef enum fv_long { FV_LONG_REFUSE, FV_LONG_SPLIT } fv_long;

typedef struct fv_translate_options {
    size_t size;
    int beam;                /* hypotheses kept; 1: greedy; default 4 */
    int nbest;               /* translations of each text, best first, at most `beam`; default 1 */
    double length_penalty;   /* a finished hypothesis scores its log-probability / tokens^x; default 1 */
    double coverage_penalty; /* weight of what the source's attention left out (Wu et al. 2016, eq. 14); default 0 */
    int max_len;             /* tokens of a translation at most; 0: twice the source's and 20, within the model's */
    int min_len;             /* and at least, </s> not counted */
    bool align;              /* which source words made each word */
    fv_long long_texts;      /* default FV_LONG_REFUSE: FV_E_INPUT, and the message names the text; split: at ends of
                                sentences, else between words; the translations are joined by a space */
} fv_translate_options;

/* A word: what stands between white space, or one Chinese character. */
typedef struct fv_extent { uint32_t begin, end; } fv_extent;

typedef struct fv_translation {
    const char *text;               /* ends in a zero byte too */
    size_t len;
    double score;                   /* mean log-probability of a token, with the penalties */
    bool cut;                       /* it ran into max_len: the end is missing */
    /* With `align`: words, and how much each of the target's attended to each of the source's: rows sum to 1. */
    const fv_extent *source_words, *target_words;
    size_t n_source_words, n_target_words;
    const float *attention;         /* [n_target_words, n_source_words] */
    const uint32_t *alignment;      /* [n_target_words] the source word of each, by attention */
} fv_translation;

FV_API void fv_translate_options_init(fv_translate_options *options);
/* out[n × nbest], unused places with text NULL. A text2 is what its translation begins with. An empty text
 * gives an empty one. What `out` points to belongs to the session until its next call. A text's translation
 * does not depend on the others. */
FV_API fv_status fv_translate(fv_session *session, const fv_text *texts, size_t n, const fv_translate_options *options, fv_translation *out, fv_err *err);

/* How much the answer read each word: attention rollout (Abnar & Zuidema 2020) from the pooled
 * place to the tokens, summed over the pieces of a word; weights sum to 1. Attention shows where a
 * model looked, not proof of why it decided. */
typedef struct fv_word {
    uint32_t begin, end; /* bytes of the text */
    int part;            /* 0: text, 1: text2 */
    float weight;
} fv_word;

/* *words belongs to the session until its next call. */
FV_API fv_status fv_attention_words(fv_session *session, const fv_text *text, const fv_word **words, size_t *n, fv_err *err);

/* A stretch of a text, and what it adds to the logit of a label. */
typedef struct fv_reason {
    uint32_t begin, end;       /* bytes of the text; of an n-gram: where it stands first */
    int part;                  /* 0: text, 1: text2 */
    bool open_begin, open_end; /* a piece of words: letters may stand before it, after it */
    bool pair;                 /* of the words at its two ends, whatever stands between them */
    double weight;             /* for the label, or if negative against it */
} fv_reason;

/* What the wide part (`wide` of the training options) says. It is linear, so that this is not where a
 * model looked but what it added up: `wide` is the sum of the n-grams' weights, and of the words', over
 * which the n-grams' are spread. The rest of the logit is the Transformer's. */
typedef struct fv_reasons {
    int label, rival;           /* explained; the best of the others, or -1 where labels do not compete */
    double logit, wide;         /* of the label: in all; the wide part's share */
    double margin, wide_margin; /* the same, less the rival's, if there is one */
    fv_reason *ngrams;          /* those that the model knows, the heaviest first */
    fv_reason *words;           /* all, in the order of the text: runs of letters, marks, Chinese characters */
    size_t n_ngrams, n_words;
} fv_reasons;

FV_API bool fv_session_has_wide(const fv_session *session);
/* LABEL is a label's number, or negative for the best one. FV_E_ARGUMENT when there is no wide part. */
FV_API fv_reasons *fv_explain_wide(fv_session *session, const fv_text *text, int label, fv_err *err);
FV_API void fv_reasons_free(fv_reasons *reasons);

/* ---- Why: which words made the answer, by several methods, each measured ----
 *
 * What is explained is the score of one label in the model's final answer, the wide part included: its log-odds ln p/(1-p),
 * or of regression the value. A word is a run of letters and digits, a mark, or a Chinese character, whatever the tokenizer makes of it.
 * docs/explain.md has the formulas. */
typedef enum fv_method {
    FV_METHOD_ATTENTION,     /* where the Transformer looked: attention rollout (Abnar & Zuidema 2020); nothing of the wide part */
    FV_METHOD_GRADIENT,      /* gradient × input, the input counted from a text of [MASK]s (Shrikumar et al. 2016) */
    FV_METHOD_INTEGRATED,    /* integrated gradients on the way from there (Sundararajan et al. 2017) */
    FV_METHOD_LEAVE_ONE_OUT, /* what the score loses without the word */
    FV_N_METHODS
} fv_method;

FV_API const char *fv_method_name(fv_method method); /* "attention" | "gradient" | "integrated" | "leave-one-out" */

typedef struct fv_explain_options {
    size_t size;
    int label;        /* default -1: the best one */
    unsigned methods; /* of 1u << fv_method; default all */
    int steps;        /* of the integral; default 0: as many as bring its gap under 1 %, at most 256 */
    int orders;       /* random ones, to measure methods against; default 20; 0: nothing is measured, and nothing withheld */
    uint64_t seed;    /* of these; default 1 */
    bool maps;        /* attention by layer and head, too; default false */
} fv_explain_options;

FV_API void fv_explain_options_init(fv_explain_options *options);

/* How well an order of words holds (DeYoung et al. 2020, ERASER): by how much the probability (of regression: the value, towards where the
 * text brought it) sinks without its first words, and with nothing but them; the mean over the first 10, 20 and 50 % of the words. */
typedef struct fv_faithfulness {
    double comprehensiveness; /* the higher the better */
    double sufficiency;       /* the lower the better */
} fv_faithfulness;

typedef enum fv_withheld {
    FV_WITHHELD_NOT,    /* it is shown */
    FV_WITHHELD_RANDOM, /* comprehensiveness less sufficiency is no higher than the random orders' mean and twice its standard error */
    FV_WITHHELD_SHORT,  /* of fewer than two words there is no order to measure */
    FV_WITHHELD_GAP,    /* the gap is over 0.9 of |score - baseline_score|: the weights are hardly of what they should explain */
} fv_withheld;

typedef struct fv_attribution {
    fv_method method;
    const double *weights;     /* [n_words] for the label, or if negative against it; attention: shares, that sum to 1. NULL when withheld */
    fv_withheld withheld;
    fv_faithfulness measured;  /* NaN without orders */
    double gap;                /* integrated: what the weights' sum lacks of score - baseline_score; gradient: the same, and no promise; else NaN */
    int steps;                 /* integrated: how many; else 0 */
} fv_attribution;

typedef struct fv_explained_word {
    uint32_t begin, end; /* bytes of the text */
    int part;            /* 0: text, 1: text2 */
} fv_explained_word;

/* A row and a column of a map: a word, or a token that frames the text. */
typedef struct fv_place {
    int word;          /* -1: a frame */
    const char *frame; /* "[CLS]"; NULL for a word; lives as long as the model */
} fv_place;

typedef struct fv_explanation {
    int label;                        /* explained; 0 of regression */
    double answer;                    /* its calibrated probability; of regression the value */
    double score, baseline_score;     /* its log-odds, or the value; the same of [MASK]s and without n-grams */
    const char *baseline;             /* the token that stands for nothing, "[MASK]"; lives as long as the model */
    bool cut;                         /* the text is longer than the model: explained is what it would say of the part that it reads */
    uint32_t read[2];                 /* bytes of that part of each text */
    const fv_explained_word *words;
    size_t n_words;
    fv_attribution attributions[FV_N_METHODS]; /* those asked for, best first: by comprehensiveness less sufficiency, the withheld last */
    int n_attributions;
    fv_faithfulness random;           /* the mean over the random orders */
    double random_error;              /* the standard error of its comprehensiveness less sufficiency */
    int orders;
    /* With `maps`: how much place i attends to place j, [layers, heads, n_places, n_places]. A word's pieces are one place:
     * attention to it is the sum, attention from it the mean (Clark et al. 2019). Rows sum to 1. */
    const fv_place *places;
    size_t n_places;
    int layers, heads;
    const float *maps;
} fv_explanation;

/* Free it before the model is closed. FV_E_ARGUMENT when the model gives texts no labels. */
FV_API fv_explanation *fv_explain(fv_session *session, const fv_text *text, const fv_explain_options *options, fv_err *err);
FV_API void fv_explanation_free(fv_explanation *explanation);

/* ---- Searching ----------------------------------------------------------------------------
 *
 * An index of items that come, change and go; each has a vector, or words, or both:
 *
 *     fv_index_options o;
 *     fv_index_options_init(&o);
 *     o.dim = fv_model_embedding_size(model);
 *     fv_index *index = fv_index_new(&o, &err);
 *     fv_index_item item = {.id = 7, .vector = vector, .text = "Where is my parcel?"};
 *     fv_index_add(index, &item, 1, &err);
 *     fv_query query = {.vector = asked, .text = "parcel"};
 *     fv_hit hits[10];
 *     size_t n;
 *     fv_index_search(index, &query, 1, NULL, hits, &n, &err);
 *
 * Any thread may call any of these at any time: searches run side by side, whoever adds or removes waits for those that run, and
 * those that come after wait for him. What a search finds depends on the items alone, not on how and when they came, nor on threads. */
typedef struct fv_index fv_index;

typedef struct fv_index_options {
    size_t size;
    int dim;      /* numbers of a vector, at most 65536; default 0: items have none */
    bool words;   /* items have words; default true */
    double k1, b; /* of BM25: how little repeats count, how much length does; default 1.2 and 0.75 */
} fv_index_options;

/* An item is at least one of the two; both are copied in some form, the text not as it is. */
typedef struct fv_index_item {
    int64_t id;          /* the caller's */
    const float *vector; /* [dim], finite and no longer than 1e15; NULL: none */
    const char *text;    /* NULL: none */
    size_t len;          /* 0: up to the zero byte */
} fv_index_item;

/* How items are found. */
typedef enum fv_find {
    FV_FIND_MEANING, /* by the product of vectors, which of vectors of length 1 is their cosine: exactly the highest, whatever int8 is used on the way */
    FV_FIND_WORDS,   /* by BM25 (Robertson & Zaragoza 2009); Chinese and other scripts without spaces by pairs of characters */
    FV_FIND_HYBRID,  /* by both: the product and 0.2 times the share of the query's words that are met; for vectors of length 1 (docs/decisions.md) */
} fv_find;

typedef struct fv_query {
    const float *vector; /* [dim]; needed to find by meaning */
    const char *text;    /* needed to find by words; one without a known word finds nothing by them */
    size_t len;          /* 0: up to the zero byte */
} fv_query;

typedef struct fv_find_options {
    size_t size;
    fv_find by; /* default FV_FIND_MEANING */
    int top;    /* hits of a query at most; default 10 */
} fv_find_options;

/* Best first; of equal scores the lower id. */
typedef struct fv_hit {
    int64_t id;
    float score;                      /* by the way that was asked for */
    float meaning, words;             /* the product; BM25. NaN: not looked at, or the item has no such part */
    int32_t meaning_rank, words_rank; /* places by each way alone, from 1; 0: not among those that were considered */
} fv_hit;

FV_API void fv_index_options_init(fv_index_options *options);
FV_API void fv_find_options_init(fv_find_options *options);
FV_API fv_index *fv_index_new(const fv_index_options *options, fv_err *err);
/* An id that is there already is replaced. All are looked at before one is added: FV_E_INPUT names the first at fault, by its place, and changes
 * nothing. FV_E_MEMORY: those before the one that had no room are in, it and those after are as they were. */
FV_API fv_status fv_index_add(fv_index *index, const fv_index_item *items, size_t n, fv_err *err);
/* Whether it was there. */
FV_API bool fv_index_remove(fv_index *index, int64_t id);
FV_API bool fv_index_has(fv_index *index, int64_t id);
FV_API size_t fv_index_size(fv_index *index);  /* items */
FV_API size_t fv_index_bytes(fv_index *index); /* memory that is held */
/* hits [n × top], counts [n] how many each query has. Several queries at once by meaning cost less than one by one. */
FV_API fv_status fv_index_search(fv_index *index, const fv_query *queries, size_t n, const fv_find_options *options, fv_hit *hits, size_t *counts, fv_err *err);
FV_API void fv_index_free(fv_index *index);

/* An index always finds something by meaning. Whether it means anything, the best hits of texts tell that have nothing to do with the items:
 *
 *     size_t n;
 *     const fv_text *texts = fv_unrelated_texts(&n);         // fv_embed them, as queries are
 *     fv_index_chance(index, queries, n, FV_FIND_MEANING, &level, &err);
 *     if (!n_hits || hits[0].score <= level) puts("nothing that is better than chance");
 */

/* Sentences on as many subjects, in English and Chinese: what stands for texts that have nothing to do with the items. */
FV_API const fv_text *fv_unrelated_texts(size_t *n);
/* *level: the mean of the best scores of these queries and 2.5 times their standard deviation; -INFINITY of an index that finds nothing. It
 * holds for queries found `by` the same way, and as long as the items are about the same and about as many. FV_E_ARGUMENT for
 * FV_FIND_WORDS, which any text passes by its little words (docs/decisions.md has rates of either mistake). */
FV_API fv_status fv_index_chance(fv_index *index, const fv_query *unrelated, size_t n, fv_find by, float *level, fv_err *err);

/* Where a text has words of a query, as an index understands words: bytes, ascending, apart. Lengths of 0: up to the zero byte. *out is
 * malloc'ed and the caller's to free(). */
FV_API fv_status fv_matched_words(const char *query, size_t query_len, const char *text, size_t len, fv_extent **out, size_t *n, fv_err *err);

/* ---- Evaluation --------------------------------------------------------------------------- */

/* A headline figure with a bootstrap interval (percentile, 95 %, 1,000 resamples of rows). */
typedef struct fv_metric {
    const char *name; /* accuracy, macro_f1, micro_f1, ece, loss | r2, mse, pearson | loss, perplexity | accuracy, precision, recall, f1, loss | bleu, bleu_lc, chrf, loss, perplexity | mrr, ndcg10, recall1, recall10 | spearman, pearson, auc | cosine */
    double value, low, high;
} fv_metric;

typedef struct fv_label_score {
    const char *name;
    double precision, recall, f1;
    int64_t count, predicted;
} fv_label_score;

typedef struct fv_confusion {
    const char *truth, *predicted;
    int64_t count;
} fv_confusion;

typedef struct fv_report {
    int64_t rows, cut, unknown_labels, skipped;
    fv_metric *metrics;
    size_t n_metrics;
    fv_label_score *labels; /* in the model's order; for tags that spell spans, their types */
    size_t n_labels;
    fv_confusion *confusions; /* largest first, at most 20 */
    size_t n_confusions;
    char bleu_signature[128], chrf_signature[128]; /* of a translator: how the figures came to be, in sacreBLEU's words; else "" */
} fv_report;

typedef struct fv_eval_options {
    size_t size;
    fv_columns columns;
    uint64_t seed; /* of the bootstrap, and of which words are hidden */
    int beam;      /* of a translator; 0: fv_translate's default */
    int dim;       /* of vectors: the first so many numbers; 0: all */
    bool own;      /* of vectors: a text ranks only the text2s that stand in rows with it, not those of the whole file */
    const char *bleu_words; /* what BLEU counts as a word, as sacreBLEU's --tokenize: "13a", "intl", "zh", "char", "none"; NULL: by the script */
    fv_on_event on_event;
    void *on_event_user;
} fv_eval_options;

FV_API void fv_eval_options_init(fv_eval_options *options);
/* Free with fv_report_free, before the model is closed: names are the model's. */
FV_API fv_report *fv_eval(fv_session *session, const char *path, const fv_eval_options *options, fv_err *err);
FV_API void fv_report_free(fv_report *report);

/* ---- Other programs' models --------------------------------------------------------------- */

typedef struct fv_convert_options {
    size_t size;
    bool bf16; /* weights are rounded to the nearest bfloat16, ties to even: half the bytes. IN may be a model folder of ours then; default false */
} fv_convert_options;

FV_API void fv_convert_options_init(fv_convert_options *options);
/* Makes the model folder OUT of a translator of CTranslate2 in the folder IN (model.bin and vocabularies): all or
 * nothing, and nothing that is there already is overwritten. Weights of 8 and 16 bits become float32. What is not
 * supported is FV_E_FORMAT and named. */
FV_API fv_status fv_convert(const char *in, const char *out, const fv_convert_options *options, fv_err *err);

/* ---- Smaller models ----------------------------------------------------------------------- */

typedef struct fv_compress_options {
    size_t size;
    bool int8; /* matrices of layers as integers of 8 bits with a scale a row, tables of embeddings in 16 bits; default false */
} fv_compress_options;

FV_API void fv_compress_options_init(fv_compress_options *options);
/* Makes the model folder OUT of the one in IN, with its other files: all or nothing, and nothing that is there already is
 * overwritten. Products are of int8 then, unless a session says otherwise, and have the bits that FV_PRODUCTS_INT8 gives IN, but
 * for what tables lose. FV_E_ARGUMENT when nothing is asked for, or IN's weights are integers already. */
FV_API fv_status fv_compress(const char *in, const char *out, const fv_compress_options *options, fv_err *err);

/* ---- Benchmarks --------------------------------------------------------------------------- */

typedef struct fv_bench_result {
    const char *bench, *name, *isa, *unit;
    int threads, runs;
    double value, min, max; /* value: the median of runs */
    double share_of_peak;   /* of the multiply-add peak measured in the same run; 0 where it has no meaning */
} fv_bench_result;

typedef void (*fv_on_bench)(void *user, const fv_bench_result *result);

/* WHAT: "peak", "gemm", "attention", "embed", "ops", "train", "translate", "optimiser". ONLY: run cases whose name contains it, or NULL. */
FV_API fv_status fv_bench(const char *what, const char *only, fv_on_bench on_result, void *user, fv_err *err);

#ifdef __cplusplus
}
#endif
#endif
