/* Small labelled files and small trainings, for the tests of what trains, answers and explains. Files
 * lie in the scratch folder of formats/scratch.h; all calls assert that they succeed. */
#ifndef FV_TESTS_TRAIN_TOY_H
#define FV_TESTS_TRAIN_TOY_H

#include "formats/scratch.h"

/* Write NAME with rows first .. last-1 of an endless list, every row another, and give its path. */
const char *toy_classes(const char *name, int first, int last);  /* text, label: berry | metal | river, told by one word of six */
const char *toy_pairs(const char *name, int first, int last);    /* text, text2, label: same | other, told by both */
const char *toy_sets(const char *name, int first, int last);     /* text, label: one to three names, each told by a word */
const char *toy_numbers(const char *name, int first, int last);  /* text, label: a number, the sum of two words' */
const char *toy_tags(const char *name, int first, int last);     /* CoNLL: berry | metal | river spans of a word, or of "old" and a word; "old" alone is none */
const char *toy_translations(const char *name, int first, int last); /* src, tgt: "two birds and five rivers", "fünf flüsse und zwei vögel": halves change places */
const char *toy_text(const char *name, const char *text);

/* One layer of 32 numbers, no wide part, no waiting: o->train, valid and out are copied paths of scratch files NAME. */
void toy_options(fv_train_options *o, const char *train, const char *valid, const char *out);
/* The same for train translate, on toy_translations: it learns them in `steps`, 250. */
void toy_translator_options(fv_train_options *o, const char *out);
/* fv_train, which must succeed. */
void toy_train(const fv_train_options *o);
/* Trains, and again in two parts, stopped at step 1, 1 + every, … and gone on with by another number of threads: no bit may differ. */
void toy_stops_and_goes_on(const fv_train_options *o, int64_t every);
/* Trains, where from the third on no step may allocate. */
void toy_allocates_nothing(const fv_train_options *o);
/* Trains a step or so, then `times` with an allocation that fails somewhere: an error, no leak. All but `most` do fail: patterns that are not
 * compiled to machine code are no error. */
void toy_fails_without_memory(const fv_train_options *o, int times, int most);
/* SHA-256 of the weights in FOLDER: model.safetensors, and wide.safetensors if it is there. */
const char *toy_hash(const char *folder);
/* The model of a short training on toy_classes, made at the first call: its folder. */
const char *toy_model(void);
/* The same on toy_tags. */
const char *toy_tag_model(void);
fv_model *toy_open(const char *folder);
/* A file of a folder as text; good until the next call. */
const char *toy_read(const char *folder, const char *name);
/* A value of the report by name; it must be there. */
double toy_metric(const fv_report *report, const char *name);

#define toy_contains(text, part) toy_contains_at((text), (part), __FILE__, __LINE__)
void toy_contains_at(const char *text, const char *part, const char *file, int line);

#endif
