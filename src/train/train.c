/* fv_train: lock the folder, prepare, resume or begin, run, publish. */
#include <string.h>

#include "train/training.h"

static fv_status check_options(const fv_train_options *o, fv_err *err)
{
    if (o->size != sizeof *o) return FV_FAIL(err, FV_E_ARGUMENT, "options were not filled by fv_train_options_init of this version");
    if (!o->train || !o->out) return FV_FAIL(err, FV_E_ARGUMENT, "training data and a folder to write (--train, --out) are needed");
    if (o->valid && strcmp(o->train, "-") == 0 && strcmp(o->valid, "-") == 0) return FV_FAIL(err, FV_E_ARGUMENT, "training and validation cannot both be read from stdin");
    return FV_OK;
}

static const char lock_name[] = ".lock";

static fv_status lock_folder(fv_training *t, fv_err *err)
{
    fv_status status = FV_OK;
    char path[FV_PATH_MAX];
    FV_TRY(fv_path_join(path, t->o->out, lock_name, err));
    t->in_out = true;
    FV_TRY(fv_folder_make_new(t->o->out, &t->out_stood, err));
    t->lock_is_new = !fv_file_exists(path);
    status = fv_lock_take(&t->lock, path, err);
    if (status == FV_E_BUSY) FV_FAIL(err, FV_E_BUSY, "%s: another training is writing there; wait for it, or choose another folder", t->o->out);
done:
    return status;
}

/* What was refused leaves nothing: no lock, and no folder that was not there. */
static void leave_folder(fv_training *t)
{
    char path[FV_PATH_MAX];
    if (!t->in_out || t->begun) return;
    if (t->lock_is_new && fv_path_join(path, t->o->out, lock_name, NULL) == FV_OK) fv_lock_remove(&t->lock, path);
    fv_folder_unmake(t->o->out, t->out_stood);
}

/* The record is the first thing that is written: all that may be refused comes before it. */
static fv_status begin(fv_training *t, fv_err *err)
{
    fv_status status = FV_OK;
    uint64_t log_bytes = 0, event_bytes = 0;
    bool found = false;
    if (t->o->resume) FV_TRY(fv_checkpoint_restore(t, &log_bytes, &event_bytes, &found, err));
    if (found) fv_training_say(t, "resumed after step %lld of %lld", (long long)t->step, (long long)t->recipe.steps);
    FV_TRY(fv_training_settle_steps(t, err));
    t->begun = true;
    FV_TRY(fv_record_open(&t->record, t->o->out, log_bytes, event_bytes, err));
done:
    return status;
}

static fv_status train(fv_training *t, fv_err *err)
{
    fv_status status = FV_OK;
    bool finished = false;
    t->pool = fv_pool_shared(err);
    if (!t->pool) return FV_E_MEMORY;
    FV_TRY(fv_kernels_check(err));
    FV_TRY(fv_recipe_settle(&t->recipe, t->o, err));
    FV_TRY(lock_folder(t, err));
    if (!t->o->resume && fv_checkpoint_exists(t->o->out))
        return FV_FAIL(err, FV_E_ARGUMENT, "%s: holds an unfinished training; --resume goes on with it, and removing %s/" FV_CHECKPOINT " gives it up", t->o->out, t->o->out);
    FV_TRY(fv_training_prepare(t, err));
    if (t->o->resume && !fv_checkpoint_exists(t->o->out)) FV_TRY(fv_training_is_finished(t, &finished, err));
    if (finished) {
        fv_training_say(t, "%s: this training is finished already", t->o->out);
        return FV_OK;
    }
    FV_TRY(begin(t, err));
    FV_TRY(fv_training_run(t, err));
    FV_TRY(fv_training_publish(t, err));
    fv_event event = {.size = sizeof event, .kind = FV_EVENT_DONE, .text = t->o->out, .step = t->step, .steps = t->recipe.steps, .epoch = t->epoch, .tokens = t->tokens,
                      .loss = t->loss, .lr = t->lr, .seconds = fv_training_seconds(t), .metric = "", .value = t->best_value, .best = true};
    if (t->o->on_event) t->o->on_event(t->o->on_event_user, &event);
done:
    return status;
}

fv_status fv_train(const fv_train_options *options, fv_err *err)
{
    fv_err local = {0};
    fv_status status = check_options(options, err);
    if (status != FV_OK) return status;
    fv_training *t = fv_alloc_zero(1, sizeof *t, err); /* large: an encoder's table of layers */
    if (!t) return FV_E_MEMORY;
    t->o = options;
    t->started = fv_now();
    t->lock.fd = t->record.log.fd = t->record.events.file.fd = -1;
    status = train(t, &local);
    leave_folder(t);
    fv_training_release(t);
    fv_free(t);
    return status == FV_OK ? FV_OK : FV_FAIL(err, local.status ? local.status : status, "%s", local.text);
}
