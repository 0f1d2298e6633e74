/* BERT's vocab.txt, and MPNet's: a token a line, the line's number is its id (Devlin et al. 2019).
 *
 * The file does not say how texts are normalised. A tokenizer_config.json beside it may; without one,
 * a vocabulary that knows the letter A keeps case, and one that does not makes texts lower case. */
#include <string.h>

#include "text/tokenizer_json.h"

#define FILE_NAME "vocab.txt"
#define CONFIG_NAME "tokenizer_config.json"
#define FILE_MAX ((size_t)64 << 20)
#define CONFIG_MAX ((size_t)4 << 20)
#define MAX_CHARS 100

static bool ends_in_txt(const char *path)
{
    size_t len = strlen(path);
    return len > 4 && strcmp(path + len - 4, ".txt") == 0;
}

bool fv_vocab_is(const char *path)
{
    char file[FV_PATH_MAX];
    if (!fv_folder_exists(path)) return ends_in_txt(path);
    if (fv_path_join(file, path, FV_TOKENIZER_FILE, NULL) != FV_OK || fv_file_exists(file)) return false;
    return fv_path_join(file, path, FILE_NAME, NULL) == FV_OK && fv_file_exists(file);
}

/* The line at *p without its end; moves on. */
static size_t take_line(const char **p, const char *end, const char **line)
{
    const char *stop = memchr(*p, '\n', (size_t)(end - *p));
    *line = *p;
    size_t len = (size_t)((stop ? stop : end) - *p);
    *p = stop ? stop + 1 : end;
    return len && (*line)[len - 1] == '\r' ? len - 1 : len;
}

static size_t count_lines(const char *p, const char *end)
{
    size_t n = 0;
    for (const char *line; p < end; n++) take_line(&p, end, &line);
    return n;
}

static fv_status name_lines(fv_tokenizer *t, const fv_buf *text, const char *where, fv_err *err)
{
    const char *p = text->data, *end = p + text->len, *line;
    for (int32_t id = 0; p < end; id++) {
        size_t len = take_line(&p, end, &line);
        fv_shown room;
        if (len == 0 || memchr(line, 0, len)) return FV_FAIL(err, FV_E_FORMAT, "%s:%d: %s; expected a token", where, (int)id + 1, len ? "a zero byte" : "an empty line");
        int32_t other = fv_map_get(&t->ids, line, len);
        if (other >= 0) return FV_FAIL(err, FV_E_FORMAT, "%s:%d: %s stands in line %d too; expected each token once", where, (int)id + 1, fv_show(&room, line, len), (int)other + 1);
        fv_status status = fv_tokenizer_name(t, id, line, len, err);
        if (status != FV_OK) return status;
    }
    return FV_OK;
}

/* The unknown token, those around a text, and two that may be missing. */
static const char *const bert_names[] = {"[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"};
/* MPNet's vocabulary is BERT's with tokens of RoBERTa's names before and behind it. */
static const char *const mpnet_names[] = {"[UNK]", "<s>", "</s>", "<pad>", "<mask>"};

static bool is_mpnet(const fv_tokenizer *t)
{
    return fv_tokenizer_id(t, "<s>") == 0 && fv_tokenizer_id(t, "<mask>") >= 0;
}

static fv_status add_specials(fv_tokenizer *t, const char *where, fv_err *err)
{
    bool mpnet = is_mpnet(t);
    const char *const *names = mpnet ? mpnet_names : bert_names;
    int32_t ids[FV_N_SPECIALS];
    for (size_t i = 0; i < FV_N_SPECIALS; i++) {
        ids[i] = fv_tokenizer_id(t, names[i]);
        if (ids[i] < 0 && i < 3) return FV_FAIL(err, FV_E_FORMAT, "%s: no line says %s; expected the vocabulary of a BERT model", where, names[i]);
        bool takes_space = mpnet && i + 1 == FV_N_SPECIALS;
        fv_status status = ids[i] < 0 ? FV_OK : fv_tokenizer_add_as(t, (fv_added){.id = ids[i], .special = true, .lstrip = takes_space}, err);
        if (status != FV_OK) return status;
    }
    t->wordpiece = (fv_wordpiece){.prefix = "##", .prefix_len = 2, .max_chars = MAX_CHARS, .unk = ids[0], .cleanup = true};
    (mpnet ? fv_frame_roberta : fv_frame_bert)(t, ids[1], ids[2]);
    return FV_OK;
}

static fv_status read_config(fv_normalizer *n, const json_t *config, const char *where, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(fv_json_bool(config, "do_lower_case", false, &n->lowercase, where, err));
    n->strip_accents = n->lowercase;
    if (!json_is_null(json_object_get(config, "strip_accents")))
        FV_TRY(fv_json_bool(config, "strip_accents", false, &n->strip_accents, where, err));
    FV_TRY(fv_json_bool(config, "tokenize_chinese_chars", false, &n->han_apart, where, err));
done:
    return status;
}

/* `file` is the vocabulary's; what lies beside it is asked. */
static fv_status choose_normalizer(fv_tokenizer *t, const char *file, fv_err *err)
{
    char path[FV_PATH_MAX];
    const char *slash = strrchr(file, '/');
    bool lower = fv_tokenizer_id(t, "A") < 0;
    t->normalizer = (fv_normalizer){.bert = true, .clean = true, .han_apart = true, .strip_accents = lower, .lowercase = lower};
    int folder = slash ? (int)(slash + 1 - file) : 0;
    if (snprintf(path, sizeof path, "%.*s%s", folder, file, CONFIG_NAME) >= (int)sizeof path || !fv_file_exists(path)) return FV_OK;
    json_t *config = fv_json_load(path, CONFIG_MAX, err);
    if (!config) return FV_E_FORMAT;
    fv_status status = read_config(&t->normalizer, config, path, err);
    json_decref(config);
    return status;
}

static fv_status read_vocab(fv_tokenizer *t, const char *file, fv_err *err)
{
    fv_status status = FV_OK;
    fv_buf text = {0};
    t->kind = FV_TOKENIZER_WORDPIECE;
    FV_TRY(fv_file_read(file, FILE_MAX, &text, err));
    if (text.len == 0) { status = FV_FAIL(err, FV_E_FORMAT, "%s: empty; expected a token a line", file); goto done; }
    FV_TRY(fv_tokenizer_reserve(t, count_lines(text.data, text.data + text.len), FV_N_SPECIALS, err));
    FV_TRY(name_lines(t, &text, file, err));
    FV_TRY(choose_normalizer(t, file, err));
    FV_TRY(add_specials(t, file, err));
    FV_TRY(fv_tokenizer_seal(t, file, err));
done:
    fv_buf_release(&text);
    return status;
}

fv_tokenizer *fv_vocab_open(const char *path, fv_err *err)
{
    char joined[FV_PATH_MAX];
    const char *file = path;
    if (fv_folder_exists(path)) {
        if (fv_path_join(joined, path, FILE_NAME, err) != FV_OK) return NULL;
        file = joined;
    }
    fv_tokenizer *t = fv_tokenizer_new(err);
    if (t && read_vocab(t, file, err) != FV_OK) {
        fv_tokenizer_close(t);
        t = NULL;
    }
    return t;
}
