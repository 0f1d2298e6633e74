/* A teacher: another model, whose vectors a pupil's are drawn to.
 *
 *     fv_teacher *t = fv_teacher_open("models/large", err);
 *     FV_TRY(fv_teacher_fit(t, width, turns, from));      // to vectors of `width` numbers
 *     FV_TRY(fv_teacher_ask(t, vectors, texts, n, …));    // [n, width]; the first call's texts decide the turn
 *     fv_teacher_rest(t);                                 // the model is closed, the turn stays
 *
 * Its vectors are of length 1. Where a pupil has fewer numbers, or its first numbers are to do alone, they are turned: by the
 * axes along which the first texts' vectors are longest (the eigenvectors of Σ v vᵀ, longest first), so that cosines stay what
 * they were and the first numbers say most of them. Then they are cut to the pupil's size, or filled up with zeros. The turn
 * is kept in the pupil's folder: whoever goes on from it with the same teacher goes on with the same axes. */
#ifndef FV_TRAIN_TEACHER_H
#define FV_TRAIN_TEACHER_H

#include "base/pool.h"

#define FV_TURN_FILE "turn.safetensors"

typedef struct fv_teacher fv_teacher;

/* FV_E_ARGUMENT when the model makes no vectors. */
fv_teacher *fv_teacher_open(const char *folder, fv_err *err);
const char *fv_teacher_hash(const fv_teacher *teacher); /* SHA-256 of its weights, in hex */
/* For vectors of `width` numbers. `turns`: the first numbers are to say most. FROM: a folder that may have a turn of this teacher
 * and this width, or NULL. */
fv_status fv_teacher_fit(fv_teacher *teacher, int width, bool turns, const char *from, fv_err *err);
/* Told how many texts are read; nonzero stops with FV_E_STOPPED. */
typedef int (*fv_teacher_progress)(void *user, size_t read, size_t of);
fv_status fv_teacher_ask(fv_teacher *teacher, float *vectors, const fv_text *texts, size_t n, fv_teacher_progress progress, void *user, fv_pool *pool, fv_err *err);
void fv_teacher_rest(fv_teacher *teacher);
bool fv_teacher_turned(const fv_teacher *teacher);
fv_status fv_teacher_save_turn(const fv_teacher *teacher, const char *path, fv_err *err);
void fv_teacher_close(fv_teacher *teacher); /* NULL is fine */

/* The n axes of the symmetric matrix a [n, n], which is spoilt, as rows of `axes` [n, n], the one of the largest eigenvalue
 * first: Jacobi's rotations (1846), in one order. */
fv_status fv_axes_of(double *axes, double *a, int n, fv_err *err);

#endif
