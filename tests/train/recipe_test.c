/* Options to a recipe: defaults, presets, what is refused, and a JSON that tells any two recipes apart. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "train/training.h"

static fv_recipe settle(const fv_train_options *o)
{
    fv_err err = {0};
    fv_recipe r;
    if (fv_recipe_settle(&r, o, &err) != FV_OK) fail_msg("%s", err.text);
    return r;
}

static void presets_fill_what_is_not_given(void **state)
{
    (void)state;
    static const struct { const char *name; int layers, width; } presets[] = {{"tiny", 2, 128}, {"small", 4, 256}, {"base", 6, 512}};
    fv_train_options o;
    for (size_t i = 0; i < 3; i++) {
        fv_train_options_init(&o);
        o.preset = presets[i].name;
        fv_recipe r = settle(&o);
        assert_int_equal(r.encoder.layers, presets[i].layers);
        assert_int_equal(r.encoder.width, presets[i].width);
        assert_int_equal(r.encoder.ffn, 4 * r.encoder.width);
        assert_true(r.lr > 0 && r.epochs > 0);
    }
    o.layers = 3;
    o.width = 192;
    o.max_len = 50;
    o.lr = 0.5;
    fv_recipe r = settle(&o);
    assert_int_equal(r.encoder.layers, 3);
    assert_int_equal(r.encoder.heads, 3);
    assert_int_equal(r.encoder.ffn, 768);
    assert_int_equal(r.encoder.max_len, 50);
    assert_true(r.lr == 0.5);
    o.heads = 4;
    o.ffn = 100;
    r = settle(&o);
    assert_int_equal(r.encoder.heads, 4);
    assert_int_equal(r.encoder.ffn, 100);
}

/* What has learnt already is changed with care; what is given counts as always. */
static void tuning_has_defaults_of_its_own(void **state)
{
    (void)state;
    fv_train_options o;
    fv_train_options_init(&o);
    fv_recipe r = settle(&o);
    assert_true(r.encoder.dropout == 0.2 && r.word_dropout == 0.2);
    assert_int_equal(r.batch_tokens, 2048);
    o.from = "another";
    r = settle(&o);
    assert_true(r.encoder.dropout == 0.1 && r.encoder.attention_dropout == 0.1 && r.word_dropout == 0);
    assert_true(r.lr == 0); /* until the width is known */
    assert_true(r.epochs < 30 && r.batch_tokens < 2048);
    o.task = FV_TASK_TRANSLATE;
    r = settle(&o);
    assert_true(r.translator.dropout == 0.2 && r.lr > 0 && r.batch_tokens == 2048);
    o.task = FV_TASK_CLASSIFY;
    o.dropout = o.word_dropout = 0.3;
    o.lr = 0.5;
    o.epochs = 40;
    r = settle(&o);
    assert_true(r.encoder.dropout == 0.3 && r.word_dropout == 0.3 && r.lr == 0.5);
    assert_int_equal(r.epochs, 40);
}

static void expect_refused(const fv_train_options *o, const char *part)
{
    fv_err err = {0};
    fv_recipe r;
    assert_int_equal(fv_recipe_settle(&r, o, &err), FV_E_ARGUMENT);
    if (!strstr(err.text, part)) fail_msg("\"%s\" does not say \"%s\"", err.text, part);
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    fv_train_options good, o;
    fv_train_options_init(&good);
#define REFUSED(field, value, part) o = good, o.field = (value), expect_refused(&o, part)
    REFUSED(preset, "huge", "preset \"huge\" is not known; expected tiny, small or base");
    REFUSED(preset, NULL, "preset or attention is NULL");
    REFUSED(pooling, "last", "pooling \"last\" is not known; expected cls, mean or max");
    REFUSED(attention, "half", "attention \"half\" is not known; expected full, uniform or none");
    REFUSED(attention, NULL, "preset or attention is NULL");
    REFUSED(attention, "none", "[CLS] sees no word");
    REFUSED(schedule, (fv_schedule)9, "schedule is 9");
    REFUSED(optimiser, (fv_optimiser)9, "optimiser is 9");
    REFUSED(labels, (fv_labels)9, "labels is 9");
    REFUSED(layers, -1, "layers is -1");
    REFUSED(layers, 65, "65 layers; expected 1 to 64");
    REFUSED(vocab, -5, "vocab is -5");
    REFUSED(heads, 3, "width 128 does not divide into 3 heads");
    REFUSED(lr, -1, "lr is -1; expected 0 to 10");
    REFUSED(lr, NAN, "lr is");
    REFUSED(warmup, 1.5, "warmup is 1.5");
    REFUSED(dropout, 1, "dropout 1");
    REFUSED(dropout, NAN, "dropout is");
    REFUSED(word_dropout, 1, "word dropout is 1");
    REFUSED(label_smoothing, 1, "label smoothing is 1");
    REFUSED(beta2, 1, "beta2 is 1");
    REFUSED(epsilon, 0, "epsilon is 0");
    REFUSED(clip, -1, "clip is -1");
    REFUSED(batch_tokens, -1, "batch tokens is -1");
    REFUSED(steps, -1, "steps is -1");
    REFUSED(epochs, -1, "epochs is -1");
    REFUSED(max_seconds, INFINITY, "seconds is inf");
    REFUSED(accumulate, 0, "accumulate is 0; expected a power of two");
    REFUSED(accumulate, 6, "accumulate is 6; expected a power of two");
#undef REFUSED
    o = good, o.task = FV_TASK_TRANSLATE, o.products = FV_PRODUCTS_INT8, expect_refused(&o, "products of int8 are learnt by encoders; a translator learns with float32 or bf16 (--precision)");
    o = good, o.products = FV_PRODUCTS_AS_MODEL, expect_refused(&o, "products is 3; expected 0 to 2");
    o = good, o.steps = 10, o.epochs = 2, expect_refused(&o, "both steps and epochs are given; give one");
}

static json_t *json_of(const fv_train_options *o)
{
    fv_err err = {0};
    fv_recipe r = settle(o);
    json_t *tree = fv_recipe_to_json(&r, &err);
    assert_non_null(tree);
    return tree;
}

static void dropout_of_attention(void **state)
{
    (void)state;
    for (int task = 0; task < 2; task++) {
        fv_train_options o;
        fv_train_options_init(&o);
        o.task = task ? FV_TASK_TRANSLATE : FV_TASK_CLASSIFY;
        o.dropout = 0.3;
        fv_recipe like = settle(&o);
        o.attention_dropout = 0;
        fv_recipe none = settle(&o);
        assert_true((task ? like.translator.attention_dropout : like.encoder.attention_dropout) == 0.3);
        assert_true((task ? none.translator.attention_dropout : none.encoder.attention_dropout) == 0);
        assert_true((task ? none.translator.dropout : none.encoder.dropout) == 0.3);
        o.attention_dropout = 1;
        expect_refused(&o, "attention dropout 1; expected 0 or more, and less than 1");
    }
}

static void positions_of_each_task(void **state)
{
    (void)state;
    static const struct { const char *name; fv_positions of_translator; bool sinusoidal, refused; } cases[] = {
        {NULL, FV_POSITIONS_SINUSOIDAL, false, false},
        {"learned", FV_POSITIONS_LEARNED, false, false},
        {"sinusoidal", FV_POSITIONS_SINUSOIDAL, true, false},
        {"rotary", FV_POSITIONS_ROTARY, false, true},
        {"relative", FV_POSITIONS_RELATIVE, false, true},
    };
    for (size_t i = 0; i < FV_COUNT(cases); i++) {
        fv_train_options o;
        fv_train_options_init(&o);
        o.positions = cases[i].name;
        if (cases[i].refused) expect_refused(&o, "positions are a translator's only; expected learned or sinusoidal");
        else assert_int_equal(settle(&o).encoder.sinusoidal, cases[i].sinusoidal);
        o.task = FV_TASK_TRANSLATE;
        assert_int_equal(settle(&o).translator.positions, cases[i].of_translator);
    }
}

#define DIFFERS(field, value) \
    do { \
        fv_train_options o = first; \
        o.field = (value); \
        json_t *two = json_of(&o); \
        if (json_equal(one, two)) fail_msg("%s is not in the recipe's JSON", #field); \
        json_decref(two); \
    } while (0)

static void every_option_of_a_translator_is_in_the_json(void **state)
{
    (void)state;
    fv_train_options first;
    fv_train_options_init(&first);
    first.task = FV_TASK_TRANSLATE;
    json_t *one = json_of(&first);
    DIFFERS(decoder_layers, 2);
    DIFFERS(positions, "relative");
    DIFFERS(separate_vocab, true);
    DIFFERS(untied, true);
    DIFFERS(pre_norm, true);
    DIFFERS(dropout, 0.33);
    DIFFERS(attention_dropout, 0.05);
    DIFFERS(sample_pieces, 0.5);
    DIFFERS(average, 3);
    DIFFERS(label_smoothing, 0.05);
    json_decref(one);
}

static void every_option_is_in_the_json(void **state)
{
    (void)state;
    fv_train_options first;
    fv_train_options_init(&first);
    json_t *one = json_of(&first);
    DIFFERS(task, FV_TASK_MULTI);
    DIFFERS(labels, FV_LABELS_MULTI);
    DIFFERS(products, FV_PRODUCTS_BF16);
    DIFFERS(products, FV_PRODUCTS_INT8);
    DIFFERS(preset, "small");
    DIFFERS(layers, 3);
    DIFFERS(heads, 2);
    DIFFERS(ffn, 100);
    DIFFERS(max_len, 99);
    DIFFERS(vocab, 1234);
    DIFFERS(pre_norm, !first.pre_norm);
    DIFFERS(relu, !first.relu);
    DIFFERS(positions, "sinusoidal");
    DIFFERS(attention_dropout, 0.05);
    DIFFERS(article_attention, !first.article_attention);
    DIFFERS(attention, "uniform");
    DIFFERS(pooling, "max");
    DIFFERS(cased, !first.cased);
    DIFFERS(wide, !first.wide);
    DIFFERS(steps, 77);
    DIFFERS(epochs, 7);
    DIFFERS(patience, 3);
    DIFFERS(batch_tokens, 100);
    DIFFERS(accumulate, 2);
    DIFFERS(optimiser, FV_OPTIMISER_ADAM);
    DIFFERS(schedule, FV_SCHEDULE_COSINE);
    DIFFERS(lr, 0.1234567891234);
    DIFFERS(warmup, 0.33);
    DIFFERS(weight_decay, 0.07);
    DIFFERS(beta1, 0.8);
    DIFFERS(beta2, 0.98);
    DIFFERS(epsilon, 1e-6);
    DIFFERS(clip, 0.5);
    DIFFERS(dropout, 0.33);
    DIFFERS(word_dropout, 0.05);
    DIFFERS(label_smoothing, 0.05);
    DIFFERS(seed, 42);
    for (int64_t n = 0;; n++) {
        fv_err err = {0};
        fv_recipe r = settle(&first);
        int64_t live = fv_alloc_live();
        fv_alloc_fail_after(n);
        json_t *tree = fv_recipe_to_json(&r, &err);
        fv_alloc_fail_after(-1);
        if (tree) {
            assert_true(json_equal(tree, one));
            json_decref(tree);
            break;
        }
        assert_int_equal(err.status, FV_E_MEMORY);
        assert_int_equal(fv_alloc_live(), live);
    }
    json_decref(one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(presets_fill_what_is_not_given),
        cmocka_unit_test(tuning_has_defaults_of_its_own),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(dropout_of_attention),
        cmocka_unit_test(positions_of_each_task),
        cmocka_unit_test(every_option_of_a_translator_is_in_the_json),
        cmocka_unit_test(every_option_is_in_the_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
