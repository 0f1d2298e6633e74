/* Model folders: what opens, what is refused, and the message that says why. Whole damaged folders
 * through the program are in tests/cli/hostile.sh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "infer/infer.h"
#include "train/toy.h"

static const char *const parts[] = {"config.json", "fovea.json", "model.safetensors", "tokenizer.json"};
enum { RECORD = 1 }; /* what other programs' folders lack */

/* A folder whose files are links to the toy model's: replacing one leaves the others. */
static const char *linked_copy(void)
{
    static char folder[FV_PATH_MAX];
    static int n;
    char name[32], from[FV_PATH_MAX], to[FV_PATH_MAX];
    snprintf(name, sizeof name, "copy-%d", n++);
    assert_int_equal(fv_path_join(folder, scratch_folder(), name, NULL), FV_OK);
    assert_int_equal(mkdir(folder, 0777), 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(fv_path_join(from, toy_model(), parts[i], NULL), FV_OK);
        assert_int_equal(fv_path_join(to, folder, parts[i], NULL), FV_OK);
        assert_int_equal(link(from, to), 0);
    }
    return folder;
}

static void replace(const char *folder, const char *name, const char *text)
{
    char path[FV_PATH_MAX];
    assert_int_equal(fv_path_join(path, folder, name, NULL), FV_OK);
    assert_int_equal(unlink(path), 0);
    if (!text) return;
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void expect_refused(const char *folder, fv_status expected, const char *part)
{
    fv_err err = {0};
    int64_t live = fv_alloc_live();
    assert_null(fv_model_open(folder, &err));
    if (err.status != expected) fail_msg("status %d: %s", err.status, err.text);
    toy_contains(err.text, part);
    assert_int_equal(fv_alloc_live(), live);
    assert_null(fv_model_open(folder, NULL));
}

/* The file with the first FROM replaced by TO. */
static void expect_edit_refused(const char *name, const char *from, const char *to, const char *part)
{
    const char *folder = linked_copy(), *text = toy_read(folder, name), *at = strstr(text, from);
    if (!at) fail_msg("no %s in %s", from, name);
    size_t room = strlen(text) + strlen(to) + 1;
    char *changed = malloc(room);
    snprintf(changed, room, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    replace(folder, name, changed);
    free(changed);
    expect_refused(folder, FV_E_FORMAT, part);
}

static void a_folder_opens(void **state)
{
    (void)state;
    fv_model *m = toy_open(linked_copy());
    fv_session *s = fv_session_new(m, NULL, NULL);
    assert_int_equal(fv_model_n_heads(m), 1);
    assert_string_equal(fv_model_head_name(m, 0), "");
    assert_null(fv_model_head_name(m, 1));
    assert_int_equal(fv_session_n_labels(s), 3);
    assert_string_equal(fv_session_label(s, 2), "river");
    assert_null(fv_session_label(s, 3));
    assert_null(fv_session_label(s, -1));
    assert_int_equal(fv_session_labels(s), FV_LABELS_SINGLE);
    fv_session_free(s);
    assert_true(fv_tokenizer_size(fv_model_tokenizer(m)) <= m->net.encoder.config.vocab);
    fv_model_close(m);
    fv_model_close(NULL);
}

static void each_part_is_needed(void **state)
{
    (void)state;
    expect_refused("no/such/folder", FV_E_IO, "no/such/folder: no such folder; expected a model folder with config.json");
    for (int i = 0; i < 4; i++) {
        const char *folder = linked_copy();
        replace(folder, parts[i], NULL);
        if (i != RECORD) expect_refused(folder, FV_E_IO, parts[i]);
        folder = linked_copy();
        replace(folder, parts[i], "");
        expect_refused(folder, FV_E_FORMAT, parts[i]);
        folder = linked_copy();
        replace(folder, parts[i], "[1, 2]");
        expect_refused(folder, FV_E_FORMAT, parts[i]);
    }
}

/* Then config.json says what the labels are, as for any other program. */
static void a_folder_without_a_record_opens(void **state)
{
    (void)state;
    const char *folder = linked_copy();
    replace(folder, parts[RECORD], NULL);
    fv_model *with = toy_open(toy_model()), *without = toy_open(folder);
    fv_session *a = fv_session_new(with, NULL, NULL), *b = fv_session_new(without, NULL, NULL);
    float scores[2][3];
    fv_text text = {.text = "we found silver today"};
    with->net.heads[0].temperature = 1; /* config.json has no place for it */
    assert_int_equal(fv_session_n_labels(b), 3);
    for (int i = 0; i < 3; i++) assert_string_equal(fv_session_label(a, i), fv_session_label(b, i));
    assert_int_equal(fv_classify_scores(a, &text, 1, scores[0], NULL), FV_OK);
    assert_int_equal(fv_classify_scores(b, &text, 1, scores[1], NULL), FV_OK);
    assert_memory_equal(scores[0], scores[1], sizeof scores[0]);
    fv_session_free(a);
    fv_session_free(b);
    fv_model_close(with);
    fv_model_close(without);
}

static void the_record_is_checked(void **state)
{
    (void)state;
    expect_edit_refused("fovea.json", "\"format\": 1", "\"format\": 2", "fovea.json: format is 2");
    expect_edit_refused("fovea.json", "\"single\"", "\"double\"", "labels_kind is \"double\"; expected \"single\", \"multi\", \"regression\"");
    expect_edit_refused("fovea.json", "\"temperature\": ", "\"temperature\": -", "temperature is -");
    expect_edit_refused("fovea.json", "\"metal\"", "7", "label 1 is not a string");
    expect_edit_refused("fovea.json", "\"metal\"", "\"river\"", "two labels have one name");
    expect_edit_refused("fovea.json", "\"labels\":", "\"lables\":", "labels is not a list");
    expect_edit_refused("fovea.json", "\"river\"", "\"river\", \"sea\"", "classifier.weight is [3, 32]; config.json says [4, 32]");
}

static void the_architecture_is_checked(void **state)
{
    (void)state;
    expect_edit_refused("config.json", "\"bert\"", "\"gpt\"", "model_type is \"gpt\"; supported: \"bert\", \"roberta\", \"xlm-roberta\", \"distilbert\", \"mpnet\", \"fovea_encoder\"");
    expect_edit_refused("config.json", "\"gelu\"", "\"mish\"", "hidden_act is \"mish\"");
    expect_edit_refused("config.json", "\"hidden_size\": 32", "\"hidden_size\": 48", "config.json says [");
    expect_edit_refused("config.json", "\"hidden_size\": 32", "\"hidden_size\": 32.5", "hidden_size");
    expect_edit_refused("config.json", "\"hidden_size\"", "\"hidden\"", "hidden_size");
    expect_edit_refused("config.json", "\"num_attention_heads\": 2", "\"num_attention_heads\": 5", "width 32 does not divide into 5 heads");
    expect_edit_refused("config.json", "\"num_hidden_layers\": 1", "\"num_hidden_layers\": 2", "no tensor bert.encoder.layer.1.");
    expect_edit_refused("config.json", "\"num_hidden_layers\": 1", "\"num_hidden_layers\": 99999", "num_hidden_layers is 99999");
    expect_edit_refused("config.json", "\"vocab_size\": ", "\"vocab_size\": 1", "config.json says [");
    expect_edit_refused("config.json", "\"max_position_embeddings\": 24", "\"max_position_embeddings\": 3", "max_position_embeddings is 3");
    expect_edit_refused("config.json", "\"layer_norm_eps\": ", "\"layer_norm_eps\": -", "layer norm epsilon");
}

/* A calibrated head and labels with every kind of character survive the JSON. */
static void heads_survive_json(void **state)
{
    (void)state;
    fv_err err = {0};
    fv_head head = {.kind = FV_LABELS_MULTI, .temperature = 1.75}, back = {0};
    assert_int_equal(fv_label_set_copy(&head.labels, (const char *[]){"a b", "退货", "\"q\"\\"}, 3, &err), FV_OK);
    json_t *tree = json_pack("{s:i}", "format", 1);
    assert_int_equal(fv_head_to_json(&head, tree, &err), FV_OK);
    assert_int_equal(fv_head_from_json(&back, tree, "here", &err), FV_OK);
    assert_int_equal(back.kind, FV_LABELS_MULTI);
    assert_true(back.temperature == 1.75);
    assert_int_equal(back.labels.n, 3);
    for (int i = 0; i < 3; i++) assert_string_equal(back.labels.names[i], head.labels.names[i]);
    json_decref(tree);
    fv_label_set_release(&head.labels);
    fv_label_set_release(&back.labels);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_opens),
        cmocka_unit_test(each_part_is_needed),
        cmocka_unit_test(a_folder_without_a_record_opens),
        cmocka_unit_test(the_record_is_checked),
        cmocka_unit_test(the_architecture_is_checked),
        cmocka_unit_test(heads_survive_json),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
