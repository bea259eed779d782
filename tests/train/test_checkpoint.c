/* Checkpoints: what is written is read, and no damage goes unnoticed. */
#include "thaw_test.h"

#include "thaw/memory.h"
#include "thaw/rng.h"
#include "train/train_private.h"

#include <stdlib.h>
#include <unistd.h>

static char folder[] = "/tmp/thaw-checkpoint-XXXXXX";

static float *floats(size_t count, uint32_t lane) {
  float *out = thaw_new(count, sizeof *out);
  assert_non_null(out);
  thaw_draw at = {.seed = 3, .purpose = THAW_RNG_TEST, .lane = lane};
  thaw_random_normal(&at, out, (uint32_t)count);
  return out;
}

static train_tensor tensor(const char *layer, const char *name, int rank, int64_t first, int64_t second, bool trainable,
                           uint32_t lane) {
  size_t count = (size_t)(first * (rank > 1 ? second : 1));
  train_tensor t = {.layer = thaw_copy_text(layer),
                    .name = thaw_copy_text(name),
                    .rank = rank,
                    .dim = {first, second},
                    .count = count,
                    .value = floats(count, lane),
                    .trainable = trainable,
                    .steps = trainable ? 420 : 0,
                    .exponent = trainable ? -7 : THAW_EXACT_UNKNOWN};
  if (!trainable) return t;
  snprintf(t.optimizer, sizeof t.optimizer, "adam");
  t.slots = 2;
  t.slot[0] = floats(count, lane + 1);
  t.slot[1] = floats(count, lane + 2);
  t.best = floats(count, lane + 3);
  return t;
}

/* The middle of a run, with something in every field. */
static void make_state(train_state *s) {
  *s = (train_state){.phase = 1,
                     .epoch = 3,
                     .epochs = 13,
                     .step = 17,
                     .steps = 420,
                     .seen = 1088,
                     .rate = 3e-4,
                     .seconds = 1.5,
                     .early = {0.25, true, 2, 0},
                     .plateau = {0.5, true, 1, 3},
                     .best = {0.125, true, 0, 0},
                     .owns_values = true,
                     .rows = 2,
                     .columns = 3};
  snprintf(s->job_digest, sizeof s->job_digest, "%064d", 1);
  snprintf(s->weights_digest, sizeof s->weights_digest, "%064d", 2);
  snprintf(s->train_digest, sizeof s->train_digest, "%064d", 3);
  const char *columns[] = {"phase", "loss", "seconds"}, *classes[] = {"cat", "dog"};
  for (int i = 0; i < 3; i++) assert_thaw_ok(thaw_strings_add(&s->column, columns[i]));
  for (int i = 0; i < 2; i++) assert_thaw_ok(thaw_strings_add(&s->classes, classes[i]));
  s->history = thaw_new(6, sizeof *s->history);
  for (int i = 0; i < 6; i++) s->history[i] = 1.0 / (i + 1);
  for (int i = 0; i < 9; i++) assert_true(thaw_wide_add(&s->sum[i], -1.5 * i));
  s->tensor = thaw_new(3, sizeof *s->tensor);
  s->tensor[0] = tensor("dense", "kernel", 2, 33, 7, true, 10);
  s->tensor[1] = tensor("dense", "bias", 1, 7, 0, true, 20);
  s->tensor[2] = tensor("normalization", "moving_mean", 1, 33, 0, false, 30);
  s->tensors = s->capacity = 3;
}

static bool same_floats(const float *a, const float *b, size_t count) {
  return a && b ? memcmp(a, b, count * sizeof *a) == 0 : a == b;
}

static bool same_tensor(const train_tensor *a, const train_tensor *b) {
  bool same = strcmp(a->layer, b->layer) == 0 && strcmp(a->name, b->name) == 0 && a->rank == b->rank &&
              memcmp(a->dim, b->dim, (size_t)a->rank * sizeof *a->dim) == 0 && a->count == b->count &&
              a->trainable == b->trainable && a->steps == b->steps && a->exponent == b->exponent &&
              strcmp(a->optimizer, b->optimizer) == 0 && a->slots == b->slots &&
              same_floats(a->value, b->value, a->count) && same_floats(a->best, b->best, a->count);
  for (int i = 0; i < a->slots && same; i++) same = same_floats(a->slot[i], b->slot[i], a->count);
  return same;
}

static bool same_monitor(const train_monitor *a, const train_monitor *b) {
  return a->best == b->best && a->known == b->known && a->wait == b->wait && a->cooldown == b->cooldown;
}

static bool same_state(const train_state *a, const train_state *b) {
  bool same = strcmp(a->job_digest, b->job_digest) == 0 && strcmp(a->weights_digest, b->weights_digest) == 0 &&
              strcmp(a->train_digest, b->train_digest) == 0 &&
              strcmp(a->validation_digest, b->validation_digest) == 0 && a->phase == b->phase && a->epoch == b->epoch &&
              a->epochs == b->epochs && a->step == b->step && a->steps == b->steps && a->finished == b->finished &&
              a->seen == b->seen && a->rate == b->rate && a->seconds == b->seconds &&
              same_monitor(&a->early, &b->early) && same_monitor(&a->plateau, &b->plateau) &&
              same_monitor(&a->best, &b->best) && memcmp(a->sum, b->sum, sizeof a->sum) == 0 && a->rows == b->rows &&
              a->columns == b->columns && a->tensors == b->tensors && a->classes.count == b->classes.count;
  if (same) same = memcmp(a->history, b->history, (size_t)(a->rows * a->columns) * sizeof *a->history) == 0;
  for (size_t i = 0; i < a->tensors && same; i++) same = same_tensor(&a->tensor[i], &b->tensor[i]);
  for (size_t i = 0; i < a->classes.count && same; i++) same = strcmp(a->classes.item[i], b->classes.item[i]) == 0;
  return same;
}

static char *write_one(train_state *state, const char *name) {
  char *path = thaw_path_join(folder, name);
  make_state(state);
  assert_thaw_ok(train_checkpoint_write(path, state));
  return path;
}

static void what_is_written_is_read(void **context) {
  (void)context;
  train_state written, read;
  char *path = write_one(&written, "whole.h5");
  assert_thaw_ok(train_checkpoint_read(path, &read));
  assert_true(same_state(&written, &read));
  thaw_text text = {0};
  assert_thaw_ok(thaw_checkpoint_describe(path, &text));
  assert_non_null(strstr(text.data, "phase 2, epoch 4 of the phase, step 18 of the epoch; 420 steps"));
  assert_true(thaw_checkpoint_recognize(path));
  thaw_text_clear(&text);
  train_state_clear(&written);
  train_state_clear(&read);
  thaw_free(path);
}

static void one_value_changed_is_another_state(void **context) {
  (void)context;
  train_state written, read;
  char *path = write_one(&written, "other.h5");
  written.tensor[0].slot[1][5] += 1;
  assert_thaw_ok(train_checkpoint_read(path, &read));
  assert_false(same_state(&written, &read));
  train_state_clear(&written);
  train_state_clear(&read);
  thaw_free(path);
}

/* A file with one bit turned is refused, or still says exactly the same. */
static void no_flipped_bit_changes_the_state(void **context) {
  (void)context;
  enum { FLIPS = 300 };
  train_state written;
  char *path = write_one(&written, "flip.h5"), *text, *damaged = thaw_path_join(folder, "damaged.h5");
  size_t size;
  int refused = 0;
  assert_thaw_ok(thaw_file_read(path, 1 << 24, &text, &size));
  for (uint32_t i = 0; i < FLIPS; i++) {
    thaw_draw at = {.seed = 8, .purpose = THAW_RNG_TEST, .sample = i};
    uint32_t word[4];
    thaw_random4(&at, 0, word);
    size_t byte = word[0] % size;
    char bit = (char)(1 << word[1] % 8);
    text[byte] ^= bit;
    assert_thaw_ok(thaw_file_write(damaged, text, size));
    text[byte] ^= bit;
    train_state read;
    if (train_checkpoint_read(damaged, &read) != THAW_OK) {
      refused++;
      continue;
    }
    assert_true(same_state(&written, &read));
    train_state_clear(&read);
  }
  assert_true(refused > FLIPS / 10);
  thaw_free(text);
  thaw_free(path);
  thaw_free(damaged);
  train_state_clear(&written);
}

static void no_truncated_file_is_read(void **context) {
  (void)context;
  train_state written, read;
  char *path = write_one(&written, "long.h5"), *text, *damaged = thaw_path_join(folder, "short.h5");
  size_t size;
  assert_thaw_ok(thaw_file_read(path, 1 << 24, &text, &size));
  for (size_t i = 0; i < 40; i++) {
    assert_thaw_ok(thaw_file_write(damaged, text, size * i / 40));
    assert_int_equal(train_checkpoint_read(damaged, &read), THAW_ERR_DATA);
  }
  thaw_free(text);
  thaw_free(path);
  thaw_free(damaged);
  train_state_clear(&written);
}

static void foreign_files_are_named(void **context) {
  (void)context;
  train_state read;
  thaw_h5 *file;
  char *path = thaw_path_join(folder, "foreign.h5");
  assert_thaw_ok(thaw_h5_create(path, &file));
  assert_thaw_ok(thaw_h5_set_text(file, "/", "format", "thaw-shard"));
  assert_thaw_ok(thaw_h5_commit(file));
  assert_thaw_fails(train_checkpoint_read(path, &read), THAW_ERR_DATA, "is not a thaw checkpoint");
  assert_false(thaw_checkpoint_recognize(path));
  thaw_free(path);
}

/* The state of the moment of starting is written, whatever becomes of it afterwards. */
static void a_copy_is_written_behind(void **context) {
  (void)context;
  const char *names[] = {"best.h5", "step-000000420.h5"};
  train_state written, expected, read;
  train_writer *writer;
  make_state(&written);
  make_state(&expected);
  assert_thaw_ok(train_writer_create(folder, 1, &writer));
  assert_thaw_ok(train_writer_wait(writer)); /* nothing yet */
  for (int round = 0; round < 3; round++) {
    assert_thaw_ok(train_writer_start(writer, &written, names, 2));
    for (int i = 0; i < 3; i++) {
      written.tensor[i].value[1] += 1;
      if (written.tensor[i].slots) written.tensor[i].slot[1][2] += 1;
    }
    written.steps++;
    assert_thaw_ok(train_writer_wait(writer));
    assert_false(train_writer_busy(writer) || train_writer_finished(writer));
    for (int i = 0; i < 2; i++) {
      char *path = thaw_path_join(folder, names[i]);
      assert_thaw_ok(train_checkpoint_read(path, &read));
      assert_true(same_state(&expected, &read));
      train_state_clear(&read);
      thaw_free(path);
    }
    train_state_clear(&expected);
    assert_thaw_ok(train_state_copy(&written, &expected));
  }
  train_writer_destroy(writer);
  train_state_clear(&written);
  train_state_clear(&expected);
}

static void the_newest_are_kept(void **context) {
  (void)context;
  train_state state;
  train_writer *writer;
  thaw_strings left = {0};
  make_state(&state);
  assert_thaw_ok(train_writer_create(folder, 2, &writer));
  for (int i = 1; i <= 4; i++) {
    char name[32];
    const char *names[] = {name};
    snprintf(name, sizeof name, "step-%09d.h5", 1000 * i);
    assert_thaw_ok(train_writer_start(writer, &state, names, 1)); /* waits for the one before */
  }
  assert_thaw_ok(train_writer_wait(writer));
  assert_thaw_ok(train_checkpoint_list(folder, &left));
  assert_int_equal(left.count, 2);
  assert_string_equal(left.item[0], "step-000003000.h5");
  assert_string_equal(left.item[1], "step-000004000.h5");
  thaw_strings_clear(&left);
  train_writer_destroy(writer);
  train_state_clear(&state);
}

/* The thread's failure comes back in the words of the caller's thread, once, and the next files are tried again. */
static void a_failed_write_is_told(void **context) {
  (void)context;
  const char *names[] = {"step-000000001.h5"};
  train_state state;
  train_writer *writer;
  char *absent = thaw_path_join(folder, "absent");
  make_state(&state);
  assert_thaw_ok(train_writer_create(absent, 1, &writer));
  assert_thaw_ok(train_writer_start(writer, &state, names, 1));
  assert_thaw_fails(train_writer_wait(writer), THAW_ERR_DISK, "absent/step-000000001.h5: cannot be created");
  assert_thaw_ok(train_writer_wait(writer));
  assert_thaw_ok(train_writer_start(writer, &state, names, 1));
  assert_thaw_fails(train_writer_start(writer, &state, names, 1), THAW_ERR_DISK, "cannot be created");
  assert_thaw_ok(thaw_folder_create(absent));
  assert_thaw_ok(train_writer_start(writer, &state, names, 1));
  assert_thaw_ok(train_writer_wait(writer));
  train_writer_destroy(writer);
  train_state_clear(&state);
  char *file = thaw_path_join(absent, names[0]);
  assert_int_equal(unlink(file), 0);
  assert_int_equal(rmdir(absent), 0);
  thaw_free(file);
  thaw_free(absent);
}

/* keras.callbacks.EarlyStopping's and ReduceLROnPlateau's rules for one value. */
static void improvement_has_keras_rules(void **context) {
  (void)context;
  train_monitor fresh = {0}, half = {.best = 0.5, .known = true};
  assert_true(train_monitor_improved(&fresh, false, 0, 100));
  assert_false(train_monitor_improved(&fresh, false, 0, NAN));
  assert_false(train_monitor_improved(&half, false, 0, 0.5));
  assert_true(train_monitor_improved(&half, false, 0.1, 0.39));
  assert_false(train_monitor_improved(&half, false, 0.1, 0.41));
  assert_true(train_monitor_improved(&half, true, 0.1, 0.61));
  assert_false(train_monitor_improved(&half, true, 0.1, 0.59));
  assert_true(train_monitor_maximize("val_accuracy", 0));
  assert_false(train_monitor_maximize("val_loss", 0));
  assert_true(train_monitor_maximize("val_loss", 2));
}

static int make_folder(void **context) {
  (void)context;
  return mkdtemp(folder) ? 0 : 1;
}

static int remove_folder(void **context) {
  (void)context;
  thaw_strings names = {0};
  if (thaw_folder_list(folder, &names) != THAW_OK) return 1;
  for (size_t i = 0; i < names.count; i++) {
    char *path = thaw_path_join(folder, names.item[i]);
    unlink(path);
    thaw_free(path);
  }
  thaw_strings_clear(&names);
  return rmdir(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_written_is_read),          cmocka_unit_test(one_value_changed_is_another_state),
      cmocka_unit_test(no_flipped_bit_changes_the_state), cmocka_unit_test(no_truncated_file_is_read),
      cmocka_unit_test(foreign_files_are_named),          cmocka_unit_test(improvement_has_keras_rules),
      cmocka_unit_test(a_copy_is_written_behind),         cmocka_unit_test(the_newest_are_kept),
      cmocka_unit_test(a_failed_write_is_told),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
