/* Checkpoints written behind the training: the state is copied at a step boundary, a thread of rank 0 writes the copy.
 * The thread calls HDF5 (whose lock is in src/h5) and the file system, never MPI and never the log. */
#include "thaw/memory.h"
#include "train/train_private.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MESSAGE_SIZE = 1024 };

struct train_writer {
  train_state snapshot; /* the thread's own while it runs; its memory serves the next one */
  char *folder;
  thaw_strings names;
  int32_t keep;
  pthread_t thread;
  bool threaded; /* to be joined */
  bool pending;  /* started and not waited for */
  atomic_bool done;
  thaw_status status; /* of the thread; read after joining */
  char message[MESSAGE_SIZE];
};

thaw_status train_writer_create(const char *folder, int32_t keep, train_writer **out) {
  train_writer *writer = thaw_new(1, sizeof *writer);
  if (!writer) return THAW_ERR_MEMORY;
  writer->folder = thaw_copy_text(folder);
  writer->keep = keep > 0 ? keep : 1;
  *out = writer;
  if (writer->folder) return THAW_OK;
  train_writer_destroy(writer);
  *out = NULL;
  return THAW_ERR_MEMORY;
}

void train_writer_destroy(train_writer *writer) {
  if (!writer) return;
  if (writer->threaded) pthread_join(writer->thread, NULL);
  train_state_clear(&writer->snapshot);
  thaw_strings_clear(&writer->names);
  thaw_free(writer->folder);
  thaw_free(writer);
}

/* What is older than the newest `keep` checkpoints goes, only after the new one is on disk. */
static thaw_status remove_old(const train_writer *writer) {
  thaw_strings names = {0};
  thaw_status status = train_checkpoint_list(writer->folder, &names);
  for (size_t i = 0; i + (size_t)writer->keep < names.count && status == THAW_OK; i++) {
    char *path = thaw_path_join(writer->folder, names.item[i]);
    if (path) unlink(path); /* one too many does no harm */
    thaw_free(path);
  }
  thaw_strings_clear(&names);
  return status;
}

static thaw_status write_files(train_writer *writer, train_state *state) {
  for (size_t i = 0; i < writer->names.count; i++) {
    char *path = thaw_path_join(writer->folder, writer->names.item[i]);
    if (!path) return THAW_ERR_MEMORY;
    thaw_status status = train_checkpoint_write(path, state);
    thaw_free(path);
    THAW_TRY(status);
  }
  return remove_old(writer);
}

static void write_and_note(train_writer *writer, train_state *state) {
  writer->status = write_files(writer, state);
  if (writer->status != THAW_OK) snprintf(writer->message, sizeof writer->message, "%s", thaw_message());
  atomic_store(&writer->done, true);
}

static void *work(void *context) {
  train_writer *writer = context;
  sigset_t all; /* signals are for the main thread */
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, NULL);
  write_and_note(writer, &writer->snapshot);
  return NULL;
}

bool train_writer_busy(const train_writer *writer) {
  return writer->pending && !atomic_load(&writer->done);
}

bool train_writer_finished(const train_writer *writer) {
  return writer->pending && atomic_load(&writer->done);
}

const thaw_strings *train_writer_names(const train_writer *writer) {
  return &writer->names;
}

thaw_status train_writer_wait(train_writer *writer) {
  if (!writer->pending) return THAW_OK;
  if (writer->threaded) pthread_join(writer->thread, NULL);
  writer->threaded = writer->pending = false;
  return writer->status == THAW_OK ? THAW_OK : thaw_fail(writer->status, "%s", writer->message);
}

static thaw_status take_names(train_writer *writer, const char *const *name, int32_t count) {
  thaw_strings_clear(&writer->names);
  for (int32_t i = 0; i < count; i++) THAW_TRY(thaw_strings_add(&writer->names, name[i]));
  return THAW_OK;
}

thaw_status train_writer_start(train_writer *writer, train_state *state, const char *const *name, int32_t count) {
  THAW_TRY(train_writer_wait(writer));
  THAW_TRY(take_names(writer, name, count));
  atomic_store(&writer->done, false);
  writer->pending = true;
  if (train_state_copy(state, &writer->snapshot) == THAW_OK)
    writer->threaded = pthread_create(&writer->thread, NULL, work, writer) == 0;
  if (writer->threaded) return THAW_OK;
  /* Without the memory or the thread the files are written all the same, while the training waits. */
  train_state_clear(&writer->snapshot);
  write_and_note(writer, state);
  return THAW_OK;
}
