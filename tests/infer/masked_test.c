/* Rows for masked pre-training: which pieces are a word, what is never hidden, how long texts become several rows, and that
 * losses are those of the words that were hidden. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/json.h"
#include "infer/masked.h"
#include "ops.h"

enum { LONG = 64 };

static const char *const corpus[] = {"the harbour lies south of the town", "长江 flows east", "harbours and towns, lies and truths", "don't (ever), stop"};

typedef struct feed { size_t at; } feed;

static int next_text(void *user, const char **text, size_t *len, fv_err *err)
{
    (void)err;
    feed *f = user;
    if (f->at == FV_COUNT(corpus)) return 0;
    *text = corpus[f->at++];
    *len = strlen(*text);
    return 1;
}

/* Of few entries, so that words have many pieces. */
static fv_tokenizer *make_tokenizer(fv_tokenizer_kind kind)
{
    fv_tokenizer_options o;
    fv_err err = {0};
    feed f = {0};
    fv_tokenizer_options_init(&o);
    o.kind = kind;
    o.vocab = kind == FV_TOKENIZER_BPE ? 270 : 60;
    fv_tokenizer *t = fv_tokenizer_train(&o, next_text, &f, &err);
    if (!t) fail_msg("%s", err.text);
    return t;
}

typedef struct made {
    fv_token_rows rows;
    uint8_t *kinds;
    fv_encoding encoding;
    int64_t cut;
} made;

static void make(made *m, const fv_tokenizer *t, int max_len, const fv_text *texts, size_t n)
{
    fv_err err = {0};
    *m = (made){0};
    if (fv_masked_rows_make(&m->rows, &m->kinds, t, max_len, texts, n, &m->encoding, &m->cut, &err) != FV_OK) fail_msg("%s", err.text);
}

static void release(made *m)
{
    fv_token_rows_release(&m->rows);
    fv_encoding_release(&m->encoding);
    fv_free(m->kinds);
}

/* The words of a text as bytes of it, one after the other between bars. */
static void show_words(const fv_tokenizer *t, const char *text, char *out)
{
    made m;
    fv_text one = {.text = text};
    make(&m, t, 1000, &one, 1);
    const fv_encoding *e = &m.encoding;
    for (size_t i = 0; i < e->n; i++) {
        if (m.kinds[i] == FV_TOKEN_WORD) *out++ = '|';
        if (m.kinds[i] == FV_TOKEN_CHARACTER) *out++ = '/';
        if (m.kinds[i] == FV_TOKEN_FIXED) continue;
        memcpy(out, text + e->begins[i], e->ends[i] - e->begins[i]);
        out += e->ends[i] - e->begins[i];
    }
    *out = '\0';
    release(&m);
}

static void expect_words(const fv_tokenizer *t, const char *text, const char *expected)
{
    char words[512];
    show_words(t, text, words);
    assert_string_equal(words, expected);
}

static void pieces_without_a_gap_are_a_word(void **state)
{
    (void)state;
    static const fv_tokenizer_kind kinds[] = {FV_TOKENIZER_BPE, FV_TOKENIZER_WORDPIECE};
    for (size_t i = 0; i < FV_COUNT(kinds); i++) {
        fv_tokenizer *t = make_tokenizer(kinds[i]);
        bool bytes = kinds[i] == FV_TOKENIZER_BPE; /* whose tokens hold the space before them */
        expect_words(t, "harbours lie", bytes ? "|harbours| lie" : "|harbours|lie");
        expect_words(t, "towns,harbours", "|towns|,|harbours");
        if (bytes) expect_words(t, "the长江。the", "|the/长/江|。|the"); /* the other has no room for ideographs */
        fv_tokenizer_close(t);
    }
}

static void bytes_of_a_character_stay_together(void **state)
{
    (void)state;
    fv_tokenizer *t = make_tokenizer(FV_TOKENIZER_BPE);
    expect_words(t, "河 \xf0\x9f\x9a\xa2", "/河| |\xf0\x9f\x9a\xa2");
    fv_tokenizer_close(t);
}

/* Nobody writes words of hundreds of pieces. */
static void what_goes_on_and_on_is_no_word(void **state)
{
    (void)state;
    fv_tokenizer *t = make_tokenizer(FV_TOKENIZER_WORDPIECE);
    char text[100] = "";
    made m;
    fv_text one = {.text = text};
    memset(text, 's', 80);
    make(&m, t, 1000, &one, 1);
    int words = 0, pieces = 0;
    for (size_t i = 0; i < m.encoding.n; i++) words += m.kinds[i] == FV_TOKEN_WORD, pieces += m.kinds[i] != FV_TOKEN_FIXED;
    assert_true(pieces > 32 && words >= pieces / 16 && words <= pieces / 16 + 1);
    release(&m);
    fv_tokenizer_close(t);
}

static void special_tokens_are_fixed(void **state)
{
    (void)state;
    fv_tokenizer *t = make_tokenizer(FV_TOKENIZER_BPE);
    made m;
    fv_text one = {.text = "the [SEP] town [MASK]"};
    make(&m, t, 1000, &one, 1);
    for (int64_t i = 0; i < m.rows.offsets[1]; i++) assert_true((m.kinds[i] == FV_TOKEN_FIXED) == fv_tokenizer_is_special(t, m.rows.ids[i]));
    assert_int_equal(m.kinds[0], FV_TOKEN_FIXED);
    release(&m);
    fv_tokenizer_close(t);
}

/* ---- Long texts --------------------------------------------------------------------------- */

/* The rows hold the tokens of `whole`, each once and in order, and each row its frames. */
static void expect_all(const made *m, const fv_encoding *whole, int max_len)
{
    size_t at = 1;
    for (size_t r = 0; r < m->rows.n; r++) {
        const int32_t *ids = m->rows.ids + m->rows.offsets[r];
        int64_t n = m->rows.offsets[r + 1] - m->rows.offsets[r];
        assert_in_range(n, 3, max_len);
        assert_int_equal(ids[0], whole->ids[0]);
        assert_int_equal(ids[n - 1], whole->ids[whole->n - 1]);
        for (int64_t i = 1; i < n - 1; i++) assert_int_equal(ids[i], whole->ids[at++]);
    }
    assert_int_equal(at, whole->n - 1);
}

static void long_texts_take_several_rows(void **state)
{
    (void)state;
    fv_tokenizer *t = make_tokenizer(FV_TOKENIZER_BPE);
    char text[2048];
    size_t n = 0;
    for (int i = 0; i < 12; i++) n += (size_t)snprintf(text + n, sizeof text - n, "%s", i % 2 ? "harbours and towns " : "长江 lies ");
    made m;
    fv_text one = {.text = text};
    fv_encoding whole = {0};
    assert_int_equal(fv_tokenizer_encode(t, text, strlen(text), NULL, 0, true, &whole, NULL), FV_OK);
    for (int max_len = 3; max_len < 40; max_len += 4) {
        make(&m, t, max_len, &one, 1);
        expect_all(&m, &whole, max_len);
        assert_int_equal(m.cut, 1);
        for (size_t r = 0; r < m.rows.n && max_len > 20; r++) assert_int_not_equal(m.kinds[m.rows.offsets[r] + 1], FV_TOKEN_CONTINUES); /* words are not torn */
        release(&m);
    }
    fv_encoding_release(&whole);
    fv_tokenizer_close(t);
}

static void pairs_share_a_row_if_they_fit(void **state)
{
    (void)state;
    fv_tokenizer *t = make_tokenizer(FV_TOKENIZER_BPE);
    made m;
    fv_text pair = {.text = "the town", .text2 = "lies south"};
    make(&m, t, LONG, &pair, 1);
    assert_int_equal(m.rows.n, 1);
    assert_int_equal(m.rows.types[m.rows.offsets[1] - 1], 1);
    int n = (int)m.rows.offsets[1];
    release(&m);
    make(&m, t, n - 1, &pair, 1);
    assert_int_equal(m.rows.n, 2);
    for (int64_t i = 0; i < m.rows.offsets[2]; i++) assert_int_equal(m.rows.types[i], 0);
    release(&m);
    fv_tokenizer_close(t);
}

static void empty_texts_make_no_rows(void **state)
{
    (void)state;
    fv_tokenizer *t = make_tokenizer(FV_TOKENIZER_BPE);
    made m;
    fv_text texts[] = {{.text = ""}, {.text = "town"}, {.text = ""}};
    make(&m, t, LONG, texts, 3);
    assert_int_equal(m.rows.n, 1);
    assert_int_equal(m.cut, 0);
    release(&m);
    fv_tokenizer_close(t);
}

static void memory_may_fail(void **state)
{
    (void)state;
    fv_tokenizer *t = make_tokenizer(FV_TOKENIZER_BPE);
    fv_text texts[] = {{.text = "the harbour lies south of the town"}, {.text = "长江", .text2 = "flows east"}};
    bool done = false;
    for (int64_t n = 0; !done; n++) {
        made m = {0};
        fv_masker masker = {0};
        int64_t live = fv_alloc_live();
        fv_alloc_fail_after(n);
        fv_status status = fv_masked_rows_make(&m.rows, &m.kinds, t, 8, texts, 2, &m.encoding, &m.cut, NULL);
        if (status == FV_OK) status = fv_masker_init(&masker, t, 1, NULL);
        if (status == FV_OK) status = fv_masker_reserve(&masker, 100, NULL);
        fv_alloc_fail_after(-1);
        done = status == FV_OK;
        assert_true(done || status == FV_E_MEMORY);
        fv_masker_release(&masker);
        release(&m);
        assert_int_equal(fv_alloc_live(), live);
    }
    fv_tokenizer_close(t);
}

/* ---- Losses ------------------------------------------------------------------------------- */

static void make_network(fv_network *net, const fv_tokenizer *t)
{
    fv_encoder_config config = {.vocab = fv_tokenizer_size(t), .layers = 1, .width = 16, .heads = 2, .ffn = 32, .max_len = LONG, .types = 2,
                                .act = FV_ACT_GELU, .norm_eps = 1e-12, .init_deviation = 0.3};
    *net = (fv_network){.heads = fv_alloc_zero(1, sizeof *net->heads, NULL), .n_heads = 1};
    net->heads[0] = (fv_head){.kind = FV_LABELS_NONE, .temperature = 1};
    assert_int_equal(fv_network_init(net, &config, NULL), FV_OK);
    assert_int_equal(fv_params_allocate(&net->encoder.params, NULL), FV_OK);
    fv_params_draw(&net->encoder.params, 1);
}

/* Scores of rows do not depend on what they are computed beside; the sum of all is the graph's mean. */
static void losses_are_those_of_hidden_words(void **state)
{
    (void)state;
    fv_tokenizer *t = make_tokenizer(FV_TOKENIZER_BPE);
    fv_network net;
    made m;
    fv_text texts[FV_COUNT(corpus)];
    double losses[2][FV_COUNT(corpus)];
    int32_t counts[2][FV_COUNT(corpus)];
    fv_masker masker;
    for (size_t i = 0; i < FV_COUNT(corpus); i++) texts[i] = (fv_text){.text = corpus[i]};
    make(&m, t, LONG, texts, FV_COUNT(corpus));
    make_network(&net, t);
    fv_graph *g = fv_graph_new(NULL, NULL);
    assert_int_equal(fv_masker_init(&masker, t, 3, NULL), FV_OK);
    for (int way = 0; way < 2; way++) {
        fv_sampler sampler;
        assert_int_equal(fv_sampler_init(&sampler, &m.rows, way ? 1 : 1000, 0, NULL), FV_OK);
        assert_int_equal(fv_masked_score(&masker, &net, &net.heads[0], g, &sampler, m.kinds, losses[way], counts[way], NULL, NULL, NULL), FV_OK);
        fv_sampler_release(&sampler);
    }
    for (size_t i = 0; i < m.rows.n; i++) {
        assert_true(counts[0][i] >= 1 && losses[0][i] > 0);
        assert_int_equal(counts[0][i], counts[1][i]);
        assert_true(fabs(losses[0][i] - losses[1][i]) < 1e-4);
    }
    fv_masker_release(&masker);
    fv_graph_free(g);
    fv_network_release(&net);
    release(&m);
    fv_tokenizer_close(t);
}

/* ---- Elsewhere ---------------------------------------------------------------------------- */

enum { EVERY = 13, TOKENS = 31, GOLDEN_MOST = 32 }; /* as tests/golden/masked.py has them */

/* How surprised the model is by every 13th token at one place of a text. */
static void losses_at(const fv_model *m, const fv_encoding *e, int32_t place, float losses[TOKENS])
{
    fv_err err = {0};
    int32_t zeros[GOLDEN_MOST] = {0}, positions[GOLDEN_MOST], places[TOKENS], targets[TOKENS], offsets[] = {0, (int32_t)e->n};
    uint64_t sequence = 0;
    for (int32_t i = 0; i < GOLDEN_MOST; i++) positions[i] = i;
    for (int32_t i = 0; i < TOKENS; i++) places[i] = place, targets[i] = i * EVERY;
    fv_batch batch = {.B = 1, .N = (int32_t)e->n, .ids = e->ids, .types = zeros, .positions = positions, .offsets = offsets, .sequences = &sequence};
    fv_graph *g = fv_graph_new(NULL, NULL);
    fv_graph_reset(g, false);
    fv_tensor *hidden = fv_take_rows(g, fv_encoder_build(&m->net.encoder, g, &batch), places, TOKENS);
    fv_tensor *x = fv_head_build_words(&m->net.heads[0].weights, &m->net.encoder, g, hidden);
    fv_tensor *loss = fv_linear_cross_entropy(g, x, fv_graph_param(g, m->net.encoder.words), fv_graph_param(g, m->net.heads[0].weights.bias), targets, 0);
    fv_graph_keep(g, loss);
    if (fv_graph_plan(g, loss, &err) != FV_OK) fail_msg("%s", err.text);
    fv_graph_forward(g, 0);
    memcpy(losses, loss->from->aux, TOKENS * sizeof *losses);
    fv_graph_free(g);
}

static void check_golden(const fv_model *m, const json_t *row)
{
    const char *text = json_string_value(json_object_get(row, "text"));
    const json_t *ids = json_object_get(row, "ids"), *expected = json_object_get(row, "losses");
    float losses[TOKENS];
    fv_encoding e = {0};
    assert_int_equal(fv_tokenizer_encode(m->tokenizer, text, strlen(text), NULL, 0, true, &e, NULL), FV_OK);
    assert_int_equal(e.n, json_array_size(ids));
    assert_true(e.n <= GOLDEN_MOST);
    for (size_t i = 0; i < e.n; i++) assert_int_equal(e.ids[i], json_integer_value(json_array_get(ids, i)));
    assert_int_equal(json_array_size(expected), TOKENS);
    losses_at(m, &e, (int32_t)json_integer_value(json_object_get(row, "place")), losses);
    for (size_t i = 0; i < TOKENS; i++) {
        double other = json_number_value(json_array_get(expected, i));
        if (!(fabs((double)losses[i] - other) < 2e-5)) fail_msg("%s: token %zu: %.7g, expected %.7g", text, i * EVERY, (double)losses[i], other);
    }
    fv_encoding_release(&e);
}

/* The folder that we wrote loads there as BertForMaskedLM, and says the same. */
static void losses_are_those_of_transformers(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_buf lines = {0};
    int n = 0;
    fv_model *m = fv_model_open("tests/golden/bert-masked", &err);
    if (!m) fail_msg("%s", err.text);
    assert_int_equal(fv_file_read("tests/golden/bert-masked/losses.jsonl", 1 << 20, &lines, &err), FV_OK);
    for (char *line = lines.data, *end; (end = strchr(line, '\n')); line = end + 1, n++) {
        json_t *row = fv_json_parse(line, (size_t)(end - line), "losses.jsonl", &err);
        assert_non_null(row);
        check_golden(m, row);
        json_decref(row);
    }
    assert_int_equal(n, 5);
    fv_buf_release(&lines);
    fv_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_without_a_gap_are_a_word),
        cmocka_unit_test(bytes_of_a_character_stay_together),
        cmocka_unit_test(what_goes_on_and_on_is_no_word),
        cmocka_unit_test(special_tokens_are_fixed),
        cmocka_unit_test(long_texts_take_several_rows),
        cmocka_unit_test(pairs_share_a_row_if_they_fit),
        cmocka_unit_test(empty_texts_make_no_rows),
        cmocka_unit_test(memory_may_fail),
        cmocka_unit_test(losses_are_those_of_hidden_words),
        cmocka_unit_test(losses_are_those_of_transformers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
