/* Bodies to answers, route by route: the forms that clients send, what is refused and in which words, and that every answer
 * is as /openapi.json says. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "asked.h"
#include "base/file.h"
#include "base/json.h"
#include "server/openapi.h"

static asked server;

/* A cross-encoder of two labels, "0" and "1", and one of a number: hardly trained, which is enough to be asked. */
static void make_pairs_model(const char *out, fv_labels labels)
{
    static const char rows[] = "text\ttext2\tlabel\nwhere is it\ton its way\t1\nwhere is it\tthank you\t0\nmy card\ta new card\t1\nmy card\tred shoes\t0\n";
    fv_train_options o;
    fv_err err = {0};
    assert_int_equal(fv_file_write("build/serve-pairs.tsv", rows, sizeof rows - 1, NULL), FV_OK);
    fv_train_options_init(&o);
    o.train = o.valid = "build/serve-pairs.tsv";
    o.out = out;
    o.columns.text2 = "text2";
    o.labels = labels;
    o.layers = 1, o.width = 16, o.heads = 2, o.ffn = 32, o.max_len = 48, o.vocab = 300, o.steps = 2;
    if (fv_train(&o, &err) != FV_OK) fail_msg("%s", err.text);
    unlink("build/serve-pairs.tsv");
}

static int open_all(void **state)
{
    static const char *const models[] = {"shop=tests/golden/bert-tiny", "en-de=tests/golden/marian-tiny", "build/serve-yes-no", "build/serve-number/", "words=tests/golden/encoders/sentence", NULL};
    (void)state;
    make_pairs_model("build/serve-yes-no", FV_LABELS_SINGLE);
    make_pairs_model("build/serve-number", FV_LABELS_REGRESSION);
    asked_init(&server, models);
    asked_open(&server);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    asked_close(&server);
    return 0;
}

/* The answer's JSON, the caller's to json_decref. */
static json_t *post(const char *path, const char *body, int status)
{
    srv_request r;
    asked_ask(&server, &r, "POST", path, body);
    if (r.status != status) print_error("%s %s: %s\n", path, body, r.reply.data);
    assert_int_equal(r.status, status);
    json_t *tree = fv_json_parse(r.reply.data, r.reply.len, "answer", NULL);
    assert_non_null(tree);
    srv_request_release(&r);
    return tree;
}

static void refused(const char *path, const char *body, int status, const char *word)
{
    json_t *tree = post(path, body, status);
    const json_t *error = json_object_get(tree, "error");
    if (!error) error = json_object_get(tree, "message");
    if (json_is_object(error)) error = json_object_get(error, "message");
    if (!strstr(json_string_value(error), word)) print_error("%s\n", json_string_value(error));
    assert_non_null(strstr(json_string_value(error), word));
    json_decref(tree);
}

/* ---- /predict ---- */

static double sum_of(const json_t *labels, const char *key)
{
    double sum = 0;
    for (size_t i = 0; i < json_array_size(labels); i++) sum += json_number_value(json_object_get(json_array_get(labels, i), key));
    return sum;
}

static void predict_takes_a_text_a_pair_and_several(void **state)
{
    (void)state;
    json_t *one = post("/predict", "{\"inputs\":\"Where is my parcel?\"}", 200);
    assert_int_equal(json_array_size(one), 13);
    assert_string_equal(json_string_value(json_object_get(json_array_get(one, 0), "label")), "product_question");
    assert_true(fabs(sum_of(one, "score") - 1) < 1e-5);
    json_t *listed = post("/predict", "{\"inputs\":[\"Where is my parcel?\"]}", 200);
    assert_true(json_equal(one, listed));
    json_t *pair = post("/predict", "{\"inputs\":[\"Where is my parcel?\",\"Thanks\"]}", 200);
    assert_int_equal(json_array_size(pair), 13);
    assert_false(json_equal(one, pair));
    json_t *several = post("/predict", "{\"inputs\":[[\"Where is my parcel?\"],[\"Where is my parcel?\",\"Thanks\"]],\"model\":\"shop\"}", 200);
    assert_true(json_equal(one, json_array_get(several, 0)));
    assert_true(json_equal(pair, json_array_get(several, 1)));
    json_decref(one);
    json_decref(listed);
    json_decref(pair);
    json_decref(several);
}

static void raw_scores_are_logits(void **state)
{
    (void)state;
    json_t *raw = post("/predict", "{\"inputs\":\"Thanks\",\"raw_scores\":true}", 200), *soft = post("/predict", "{\"inputs\":\"Thanks\"}", 200);
    double p = json_number_value(json_object_get(json_array_get(soft, 0), "score")), q = json_number_value(json_object_get(json_array_get(soft, 1), "score"));
    double difference = json_number_value(json_object_get(json_array_get(raw, 0), "score")) - json_number_value(json_object_get(json_array_get(raw, 1), "score"));
    assert_true(fabs(difference - log(p / q)) < 1e-4);
    json_decref(raw);
    json_decref(soft);
}

static void predict_refuses(void **state)
{
    (void)state;
    refused("/predict", "{}", 422, "inputs is missing");
    refused("/predict", "{\"inputs\":7}", 422, "inputs is neither");
    refused("/predict", "{\"inputs\":[]}", 400, "inputs is empty");
    refused("/predict", "{\"inputs\":[\"a\",\"b\",\"c\"]}", 422, "3 items");
    refused("/predict", "{\"inputs\":[[\"a\"],\"b\"]}", 422, "inputs[1] is no list");
    refused("/predict", "{\"inputs\":[[]]}", 422, "0 items");
    refused("/predict", "{\"inputs\":[[1,2]]}", 422, "token ids");
    refused("/predict", "{\"inputs\":\"a\",\"raw_scores\":\"yes\"}", 422, "raw_scores");
    refused("/predict", "{\"inputs\":\"a\",\"model\":\"none\"}", 404, "\"none\" is not served");
    refused("/predict", "{\"inputs\":\"a\",\"model\":\"en-de\"}", 404, "gives no labels");
    refused("/predict", "{\"inputs\":\"a\",\"inputs\":\"b\"}", 422, "a duplicate key");
}

static void long_texts_are_cut_only_when_told(void **state)
{
    char body[2000];
    (void)state;
    int n = snprintf(body, sizeof body, "{\"inputs\":\"");
    for (int i = 0; i < 60; i++) n += snprintf(body + n, sizeof body - (size_t)n, "where is my ");
    snprintf(body + n, sizeof body - (size_t)n, "\"}");
    refused("/predict", body, 413, "the model takes 48");
    snprintf(body + n, sizeof body - (size_t)n, "\",\"truncate\":true}");
    json_decref(post("/predict", body, 200));
}

static void items_are_bounded(void **state)
{
    int most = server.args->max_items;
    (void)state;
    server.args->max_items = 2;
    refused("/predict", "{\"inputs\":[[\"a\"],[\"b\"],[\"c\"]]}", 413, "has 3 texts; expected at most 2");
    server.args->max_items = most;
}

/* ---- /rerank ---- */

static double score_of(const json_t *list, size_t i, const char *key) { return json_number_value(json_object_get(json_array_get(list, i), key)); }

static void rerank_orders_texts(void **state)
{
    const char *const names[] = {"serve-yes-no", "serve-number"};
    char body[300];
    (void)state;
    for (int m = 0; m < 2; m++) {
        snprintf(body, sizeof body, "{\"model\":\"%s\",\"query\":\"where is it\",\"texts\":[\"thank you\",\"on its way\",\"red\"],\"return_text\":true}", names[m]);
        json_t *list = post("/rerank", body, 200);
        assert_int_equal(json_array_size(list), 3);
        for (size_t i = 0; i < 3; i++) {
            static const char *const texts[] = {"thank you", "on its way", "red"};
            const json_t *one = json_array_get(list, i);
            assert_string_equal(json_string_value(json_object_get(one, "text")), texts[json_integer_value(json_object_get(one, "index"))]);
            assert_true(score_of(list, i, "score") > 0 && score_of(list, i, "score") < 1);
            assert_true(i == 0 || score_of(list, i, "score") <= score_of(list, i - 1, "score"));
        }
        snprintf(body, sizeof body, "{\"model\":\"%s\",\"query\":\"where is it\",\"texts\":[\"thank you\",\"on its way\",\"red\"],\"raw_scores\":true}", names[m]);
        json_t *raw = post("/rerank", body, 200);
        for (size_t i = 0; i < 3; i++) assert_true(fabs(1 / (1 + exp(-score_of(raw, i, "score"))) - score_of(list, i, "score")) < 1e-5);
        json_decref(list);
        json_decref(raw);
    }
}

static void rerank_in_coheres_form(void **state)
{
    (void)state;
    json_t *all = post("/v1/rerank", "{\"query\":\"where is it\",\"documents\":[\"thank you\",{\"text\":\"on its way\"}],\"return_documents\":true}", 200);
    json_t *best = post("/v1/rerank", "{\"model\":\"serve-yes-no\",\"query\":\"where is it\",\"documents\":[\"thank you\",\"on its way\"],\"top_n\":1}", 200);
    const json_t *results = json_object_get(all, "results"), *only = json_object_get(best, "results");
    assert_int_equal(json_array_size(results), 2);
    assert_int_equal(json_array_size(only), 1);
    assert_true(score_of(results, 0, "relevance_score") == score_of(only, 0, "relevance_score"));
    assert_string_equal(json_string_value(json_object_get(all, "model")), "serve-yes-no");
    assert_true(json_integer_value(json_object_get(json_object_get(all, "usage"), "total_tokens")) > 6);
    assert_non_null(json_object_get(json_object_get(json_array_get(results, 0), "document"), "text"));
    json_decref(all);
    json_decref(best);
}

static void rerank_refuses(void **state)
{
    (void)state;
    refused("/v1/rerank", "{\"model\":\"shop\",\"query\":\"a\",\"documents\":[\"b\"]}", 404, "gives no relevance");
    refused("/v1/rerank", "{\"query\":\"a\"}", 400, "documents is missing");
    refused("/v1/rerank", "{\"documents\":[\"a\"]}", 400, "query is missing");
    refused("/v1/rerank", "{\"query\":\"a\",\"documents\":[\"a\"],\"top_n\":0}", 400, "top_n");
    refused("/rerank", "{\"query\":\"a\",\"texts\":[\"a\",7]}", 422, "texts[1] is no text");
    refused("/rerank", "{\"query\":\"a\",\"texts\":\"a\"}", 422, "texts is no list");
}

/* ---- /v1/embeddings, /embed, / ---- */

#define WORDS_FOLDER "tests/golden/encoders/sentence"

/* What the library makes of one text: out[size]. */
static int vector_of(const char *text, const fv_embed_options *o, float out[256])
{
    const fv_text one = {.text = text};
    fv_model *model = fv_model_open(WORDS_FOLDER, NULL);
    fv_session *session = fv_session_new(model, NULL, NULL);
    int size = fv_model_embedding_size(model);
    assert_non_null(session);
    assert_in_range(size, 4, 256);
    assert_int_equal(fv_embed(session, &one, 1, o, out, NULL), FV_OK);
    fv_session_free(session);
    fv_model_close(model);
    return o->dim ? o->dim : size;
}

/* Nine digits read back as the same float. */
static void same_vector(const json_t *list, const float *want, int n)
{
    assert_int_equal(json_array_size(list), n);
    for (int i = 0; i < n; i++) assert_true((float)json_number_value(json_array_get(list, (size_t)i)) == want[i]);
}

static const json_t *embedding(const json_t *tree, size_t i) { return json_object_get(json_array_get(json_object_get(tree, "data"), i), "embedding"); }

static void embeddings_in_openais_form(void **state)
{
    float want[256];
    fv_embed_options o;
    (void)state;
    fv_embed_options_init(&o);
    o.unit = FV_UNIT_YES;
    json_t *one = post("/v1/embeddings", "{\"input\":\"Where is it?\",\"user\":\"u1\",\"dimensions\":null}", 200);
    same_vector(embedding(one, 0), want, vector_of("Where is it?", &o, want));
    json_t *two = post("/v1/embeddings", "{\"model\":\"words\",\"input\":[\"Thanks\",\"Where is it?\"],\"encoding_format\":\"float\"}", 200);
    assert_true(json_equal(embedding(one, 0), embedding(two, 1)));
    assert_false(json_equal(embedding(two, 0), embedding(two, 1)));
    assert_int_equal(json_integer_value(json_object_get(json_array_get(json_object_get(two, "data"), 1), "index")), 1);
    assert_string_equal(json_string_value(json_object_get(two, "model")), "words");
    const json_t *usage_one = json_object_get(one, "usage"), *usage_two = json_object_get(two, "usage");
    assert_true(json_integer_value(json_object_get(usage_one, "prompt_tokens")) > 3);
    assert_true(json_integer_value(json_object_get(usage_two, "total_tokens")) > json_integer_value(json_object_get(usage_one, "total_tokens")));
    json_decref(one);
    json_decref(two);
    o.dim = 4;
    json_t *cut = post("/v1/embeddings", "{\"input\":\"Where is it?\",\"dimensions\":4}", 200);
    same_vector(embedding(cut, 0), want, vector_of("Where is it?", &o, want));
    json_decref(cut);
}

static int digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = strchr(digits, c);
    assert_true(c && at);
    return (int)(at - digits);
}

static void base64_has_every_bit(void **state)
{
    float want[256];
    fv_embed_options o;
    (void)state;
    fv_embed_options_init(&o);
    o.unit = FV_UNIT_YES;
    o.dim = 6;
    vector_of("Where is it?", &o, want);
    json_t *tree = post("/v1/embeddings", "{\"input\":\"Where is it?\",\"encoding_format\":\"base64\",\"dimensions\":6}", 200);
    const char *text = json_string_value(embedding(tree, 0));
    uint8_t bytes[24];
    assert_int_equal(strlen(text), 32);
    for (int i = 0; i < 8; i++) {
        int all = digit(text[4 * i]) << 18 | digit(text[4 * i + 1]) << 12 | digit(text[4 * i + 2]) << 6 | digit(text[4 * i + 3]);
        for (int k = 0; k < 3; k++) bytes[3 * i + k] = (uint8_t)(all >> (16 - 8 * k));
    }
    assert_memory_equal(bytes, want, sizeof bytes);
    json_decref(tree);
}

static void embed_in_teis_form(void **state)
{
    float want[256];
    fv_embed_options o;
    (void)state;
    fv_embed_options_init(&o);
    o.unit = FV_UNIT_NO;
    json_t *raw = post("/embed", "{\"inputs\":\"Where is it?\",\"normalize\":false}", 200);
    assert_int_equal(json_array_size(raw), 1);
    same_vector(json_array_get(raw, 0), want, vector_of("Where is it?", &o, want));
    o.unit = FV_UNIT_YES;
    o.dim = 5;
    json_t *unit = post("/embed", "{\"inputs\":[\"Where is it?\",\"Thanks\"],\"dimensions\":5}", 200);
    assert_int_equal(json_array_size(unit), 2);
    same_vector(json_array_get(unit, 0), want, vector_of("Where is it?", &o, want));
    json_decref(raw);
    json_decref(unit);
}

static void prompts_stand_before_texts(void **state)
{
    (void)state;
    json_t *named = post("/embed", "{\"inputs\":[\"it\"],\"prompt_name\":\"query\"}", 200), *spelt = post("/embed", "{\"inputs\":\"find: it\"}", 200);
    json_t *none = post("/embed", "{\"inputs\":\"it\"}", 200);
    assert_true(json_equal(named, spelt));
    assert_false(json_equal(named, none));
    json_decref(named);
    json_decref(spelt);
    json_decref(none);
    refused("/embed", "{\"inputs\":\"it\",\"prompt_name\":\"no\"}", 422, "document, plain, query");
}

/* A text's last words are kept, as many as fit with the prompt before them. */
static void the_left_end_is_cut(void **state)
{
    static const char *const words[] = {"where", "is", "my", "parcel,", "unbelievably", "refunded"};
    fv_buf text = {0}, body = {0};
    (void)state;
    for (int i = 0; i < 900; i++) fv_buf_printf(&text, NULL, "%s%s", i ? " " : "", words[(i * 5 + i / 7) % 6]);
    fv_buf_printf(&body, NULL, "{\"inputs\":\"%s\",\"prompt_name\":\"query\",\"truncate\":true,\"truncation_direction\":\"Left\"}", text.data);
    json_t *cut = post("/embed", body.data, 200);
    fv_model *model = fv_model_open(WORDS_FOLDER, NULL);
    fv_encoding e = {0};
    const char *from = text.data;
    for (size_t n = SIZE_MAX;; from = strchr(from, ' ') + 1) { /* the longest end that fits */
        fv_buf one = {0};
        fv_buf_printf(&one, NULL, "find: %s", from);
        assert_int_equal(fv_tokenizer_encode(fv_model_tokenizer(model), one.data, one.len, NULL, 0, true, &e, NULL), FV_OK);
        fv_buf_release(&one);
        n = e.n;
        if (n <= (size_t)fv_model_max_len(model)) break;
    }
    body.len = 0;
    fv_buf_printf(&body, NULL, "{\"inputs\":\"find: %s\"}", from);
    json_t *spelt = post("/embed", body.data, 200);
    assert_true(from > text.data);
    assert_true(json_equal(cut, spelt));
    json_decref(cut);
    json_decref(spelt);
    body.len = 0; /* no words at all: something of it is read */
    fv_buf_printf(&body, NULL, "{\"inputs\":\"%0*d\",\"truncate\":true,\"truncation_direction\":\"left\"}", 3000, 7);
    json_decref(post("/embed", body.data, 200));
    fv_encoding_release(&e);
    fv_model_close(model);
    fv_buf_release(&text);
    fv_buf_release(&body);
}

static void embeddings_are_refused(void **state)
{
    (void)state;
    refused("/v1/embeddings", "{}", 400, "input is missing");
    refused("/v1/embeddings", "{\"input\":[]}", 400, "input is empty");
    refused("/v1/embeddings", "{\"input\":[1,2,3]}", 400, "token ids");
    refused("/v1/embeddings", "{\"input\":[[1,2],[3]]}", 400, "token ids");
    refused("/v1/embeddings", "{\"input\":\"a\",\"encoding_format\":\"hex\"}", 400, "encoding_format");
    refused("/v1/embeddings", "{\"input\":\"a\",\"dimensions\":100000}", 400, "dimensions is 100000");
    refused("/v1/embeddings", "{\"input\":\"a\",\"dimensions\":0}", 400, "dimensions");
    refused("/v1/embeddings", "{\"input\":\"a\",\"user\":7}", 400, "user");
    refused("/v1/embeddings", "{\"input\":\"a\",\"model\":\"text-embedding-3-small\"}", 404, "not served here");
    refused("/v1/embeddings", "{\"input\":\"a\",\"model\":\"shop\"}", 404, "gives no embeddings");
    refused("/embed", "{\"inputs\":[]}", 400, "inputs is empty");
    refused("/embed", "{\"inputs\":[\"a\",7]}", 422, "inputs[1]");
    refused("/embed", "{\"inputs\":\"a\",\"truncation_direction\":\"up\"}", 422, "truncation_direction");
}

/* One address for clients that know no paths. */
static void the_root_does_what_is_asked(void **state)
{
    (void)state;
    static const char *const same[][3] = {
        {"/embed", "{\"inputs\":\"it\"}", NULL},
        {"/predict", "{\"inputs\":\"it\",\"model\":\"shop\"}", NULL},
        {"/rerank", "{\"query\":\"a\",\"texts\":[\"b\",\"c\"],\"model\":\"serve-number\"}", NULL},
    };
    for (size_t i = 0; i < FV_COUNT(same); i++) {
        json_t *there = post(same[i][0], same[i][1], 200), *here = post("/", same[i][1], 200);
        assert_true(json_equal(there, here));
        json_decref(there);
        json_decref(here);
    }
    refused("/", "{}", 422, "inputs is missing");
}

/* ---- /translate ---- */

static void translations_in_libre_translates_form(void **state)
{
    (void)state;
    json_t *one = post("/translate", "{\"q\":\"A dog runs.\",\"source\":\"en\",\"target\":\"de\",\"alternatives\":2}", 200);
    assert_true(json_is_string(json_object_get(one, "translatedText")));
    assert_int_equal(json_array_size(json_object_get(one, "alternatives")), 2);
    json_t *more = post("/translate", "{\"q\":[\"A dog runs.\",\"\"],\"source\":\"auto\",\"target\":\"de\",\"alternatives\":2}", 200);
    assert_true(json_equal(json_object_get(one, "translatedText"), json_array_get(json_object_get(more, "translatedText"), 0)));
    assert_string_equal(json_string_value(json_array_get(json_object_get(more, "translatedText"), 1)), "");
    assert_true(json_equal(json_object_get(one, "alternatives"), json_array_get(json_object_get(more, "alternatives"), 0)));
    json_decref(one);
    json_decref(more);
    refused("/translate", "{\"q\":\"a\",\"source\":\"en\",\"target\":\"fr\"}", 400, "no translator from en to fr");
    refused("/translate", "{\"q\":\"a\",\"format\":\"html\"}", 400, "format");
    refused("/translate", "{\"source\":\"en\"}", 400, "q is missing");
    refused("/translate", "{\"q\":\"a\",\"alternatives\":99}", 400, "alternatives");
}

/* ---- The description ---- */

static const json_t *description;

static const json_t *resolve(const json_t *schema)
{
    const char *name = json_string_value(json_object_get(schema, "$ref"));
    if (!name) return schema;
    assert_memory_equal(name, "#/components/schemas/", 21);
    const json_t *found = json_object_get(json_object_get(json_object_get(description, "components"), "schemas"), name + 21);
    assert_non_null(found);
    return found;
}

static bool type_is(const char *type, const json_t *value)
{
    if (strcmp(type, "object") == 0) return json_is_object(value);
    if (strcmp(type, "array") == 0) return json_is_array(value);
    if (strcmp(type, "string") == 0) return json_is_string(value);
    if (strcmp(type, "integer") == 0) return json_is_integer(value);
    if (strcmp(type, "number") == 0) return json_is_number(value);
    if (strcmp(type, "boolean") == 0) return json_is_boolean(value);
    if (strcmp(type, "null") == 0) return json_is_null(value);
    fail_msg("unknown type %s", type);
    return false;
}

static bool fits(const json_t *schema, const json_t *value);

static bool fits_one(const json_t *choices, const json_t *value)
{
    int n = 0;
    for (size_t i = 0; i < json_array_size(choices); i++) n += fits(json_array_get(choices, i), value);
    return n == 1;
}

static bool fits_type(const json_t *type, const json_t *value)
{
    if (json_is_string(type)) return type_is(json_string_value(type), value);
    bool any = type == NULL;
    for (size_t i = 0; i < json_array_size(type); i++) any |= type_is(json_string_value(json_array_get(type, i)), value);
    return any;
}

static bool fits_enum(const json_t *words, const json_t *value)
{
    bool any = words == NULL;
    for (size_t i = 0; i < json_array_size(words); i++) any |= json_equal(json_array_get(words, i), value);
    return any;
}

/* As far as our schemas go. What an object has that its schema does not name does not fit: answers are described in full. */
static bool fits(const json_t *schema, const json_t *value)
{
    schema = resolve(schema);
    const json_t *properties = json_object_get(schema, "properties"), *required = json_object_get(schema, "required"), *one = json_object_get(schema, "oneOf");
    const json_t *items = json_object_get(schema, "items"), *most = json_object_get(schema, "maxItems"), *least = json_object_get(schema, "minItems");
    if (one) return fits_one(one, value);
    if (!fits_type(json_object_get(schema, "type"), value) || !fits_enum(json_object_get(schema, "enum"), value)) return false;
    for (size_t i = 0; i < json_array_size(required); i++)
        if (!json_object_get(value, json_string_value(json_array_get(required, i)))) return false;
    if (most && json_array_size(value) > (size_t)json_integer_value(most)) return false;
    if (least && json_array_size(value) < (size_t)json_integer_value(least)) return false;
    for (size_t i = 0; items && i < json_array_size(value); i++)
        if (!fits(items, json_array_get(value, i))) return false;
    const char *key;
    json_t *field;
    json_object_foreach((json_t *)(uintptr_t)value, key, field)
        if (properties && (!json_object_get(properties, key) || !fits(json_object_get(properties, key), field))) return false;
    return true;
}

static const json_t *at(const json_t *tree, const char *const *keys)
{
    for (; *keys; keys++) {
        tree = json_object_get(tree, *keys);
        if (!tree) print_error("no %s\n", *keys);
        assert_non_null(tree);
    }
    return tree;
}

static const json_t *operation_of(const srv_route *route)
{
    const char *method = strcmp(route->method, "POST") == 0 ? "post" : "get";
    return at(description, (const char *const[]){"paths", route->path, method, NULL});
}

/* What no route takes is refused in its form. */
static void check_refusal(const srv_route *route)
{
    const json_t *schema = at(operation_of(route), (const char *const[]){"responses", "default", "content", "application/json", "schema", NULL});
    srv_request r;
    asked_ask(&server, &r, route->method, route->path, "{\"model\":7}");
    json_t *answer = fv_json_parse(r.reply.data, r.reply.len, "answer", NULL);
    if (r.status < 400 || !fits(schema, answer)) fail_msg("%s: the refusal is not as described: %s", route->path, r.reply.data);
    json_decref(answer);
    srv_request_release(&r);
}

/* The answer to the route's example is as described. */
static void check_route(const srv_route *route)
{
    const json_t *operation = operation_of(route), *schema;
    srv_request r;
    if (route->asks) {
        const json_t *content = at(operation, (const char *const[]){"requestBody", "content", "application/json", NULL});
        if (!fits(json_object_get(content, "schema"), json_object_get(content, "example"))) fail_msg("%s: the example is not as described", route->path);
    }
    asked_ask(&server, &r, route->method, route->path, route->asks ? route->example : NULL);
    assert_int_equal(r.status, 200);
    if (!route->gives) return srv_request_release(&r);
    json_t *answer = fv_json_parse(r.reply.data, r.reply.len, "answer", NULL);
    schema = at(operation, (const char *const[]){"responses", "200", "content", "application/json", "schema", NULL});
    if (!fits(schema, answer)) fail_msg("%s: the answer is not as described: %s", route->path, r.reply.data);
    json_decref(answer);
    srv_request_release(&r);
}

static void every_route_is_as_described(void **state)
{
    fv_buf text = {0};
    fv_err err = {0};
    (void)state;
    assert_int_equal(srv_openapi(&text, NULL), FV_OK);
    json_t *tree = fv_json_parse(text.data, text.len, "openapi", &err);
    if (!tree) fail_msg("%s", err.text);
    description = tree;
    assert_string_equal(json_string_value(json_object_get(tree, "openapi")), "3.1.0");
    assert_int_equal(json_object_size(json_object_get(tree, "paths")), srv_n_routes());
    for (size_t i = 0; srv_routes[i]; i++) {
        check_route(srv_routes[i]);
        if (srv_routes[i]->asks) check_refusal(srv_routes[i]);
    }
    json_decref(tree);
    fv_buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(predict_takes_a_text_a_pair_and_several),
        cmocka_unit_test(raw_scores_are_logits),
        cmocka_unit_test(predict_refuses),
        cmocka_unit_test(long_texts_are_cut_only_when_told),
        cmocka_unit_test(items_are_bounded),
        cmocka_unit_test(rerank_orders_texts),
        cmocka_unit_test(rerank_in_coheres_form),
        cmocka_unit_test(rerank_refuses),
        cmocka_unit_test(embeddings_in_openais_form),
        cmocka_unit_test(base64_has_every_bit),
        cmocka_unit_test(embed_in_teis_form),
        cmocka_unit_test(prompts_stand_before_texts),
        cmocka_unit_test(the_left_end_is_cut),
        cmocka_unit_test(embeddings_are_refused),
        cmocka_unit_test(the_root_does_what_is_asked),
        cmocka_unit_test(translations_in_libre_translates_form),
        cmocka_unit_test(every_route_is_as_described),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
