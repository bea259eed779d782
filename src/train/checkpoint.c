/* Checkpoints: one description of the content serves writing and reading, and a digest over all of it proves the file.
 *
 *     /                       attributes: format, version, digests, cursor, callbacks; digest: SHA-256 over everything
 *     /parameters/LAYER/NAME  float32, the parameter's shape
 *     /optimizer/LAYER/NAME/0 float32, one dataset per slot; attributes of LAYER/NAME above: steps, exponent, optimizer
 *     /best/LAYER/NAME        only with restore_best_weights
 *     /average/LAYER/NAME     only with ema_momentum
 *     /layers, /names         which parameters, in order
 *     /history, /columns      one row per finished epoch
 *     /classes                names of the classes
 *     /target                 float64: means, then deviations of the training targets, with target_scaling
 *     /sums                   int64: exact sums of the epoch under way
 */
#include "thaw/memory.h"
#include "train/train_private.h"

#include <stdio.h>
#include <string.h>

enum {
  VERSION = 1,
  MOST_TENSORS = 1 << 16,
  MOST_COLUMNS = 64,
  MOST_ROWS = 1 << 24,
  MOST_CLASSES = 1 << 20,
  MOST_TARGETS = 1 << 20
};
static const char format_name[] = "thaw-checkpoint";

typedef struct checkpoint_io {
  thaw_h5 *file;
  thaw_digest *digest;
  bool writing;
} checkpoint_io;

/* ------------------------------------------------------------------ single values */

static thaw_status io_int(checkpoint_io *io, const char *object, const char *name, int64_t *value) {
  THAW_TRY(io->writing ? thaw_h5_set_int(io->file, object, name, *value)
                       : thaw_h5_get_int(io->file, object, name, value));
  thaw_digest_add_text(io->digest, name);
  thaw_digest_add(io->digest, value, sizeof *value);
  return THAW_OK;
}

static thaw_status io_double(checkpoint_io *io, const char *name, double *value) {
  THAW_TRY(io->writing ? thaw_h5_set_double(io->file, "/", name, *value)
                       : thaw_h5_get_double(io->file, "/", name, value));
  thaw_digest_add_text(io->digest, name);
  thaw_digest_add(io->digest, value, sizeof *value);
  return THAW_OK;
}

/* A text of fewer than `size` bytes. */
static thaw_status io_text(checkpoint_io *io, const char *object, const char *name, char *value, size_t size) {
  if (io->writing) {
    THAW_TRY(thaw_h5_set_text(io->file, object, name, value));
  } else {
    char *text;
    THAW_TRY(thaw_h5_get_text(io->file, object, name, &text));
    bool fits = strlen(text) < size;
    if (fits) snprintf(value, size, "%s", text);
    thaw_free(text);
    if (!fits) return thaw_fail(THAW_ERR_DATA, "%s: attribute %s is too long", thaw_h5_path(io->file), name);
  }
  thaw_digest_add_text(io->digest, name);
  thaw_digest_add_text(io->digest, value);
  return THAW_OK;
}

static thaw_status io_monitor(checkpoint_io *io, const char *name, train_monitor *monitor) {
  char key[64];
  int64_t known = monitor->known;
  snprintf(key, sizeof key, "%s_best", name);
  THAW_TRY(io_double(io, key, &monitor->best));
  snprintf(key, sizeof key, "%s_known", name);
  THAW_TRY(io_int(io, "/", key, &known));
  monitor->known = known != 0;
  snprintf(key, sizeof key, "%s_wait", name);
  THAW_TRY(io_int(io, "/", key, &monitor->wait));
  snprintf(key, sizeof key, "%s_cooldown", name);
  return io_int(io, "/", key, &monitor->cooldown);
}

/* Only where blocks were thawed one by one. */
static thaw_status io_thawed(checkpoint_io *io, train_state *s) {
  bool present = io->writing ? s->thawed > 0 || s->thawed_best > 0 : thaw_h5_has_attribute(io->file, "/", "thawed");
  if (!present) return THAW_OK;
  THAW_TRY(io_int(io, "/", "thawed", &s->thawed));
  THAW_TRY(io_int(io, "/", "thawed_best", &s->thawed_best));
  if (!io->writing && !thaw_h5_has_attribute(io->file, "/", "thawed_epoch")) return THAW_OK; /* of an older thaw */
  return io_int(io, "/", "thawed_epoch", &s->thawed_epoch);
}

static thaw_status io_cursor(checkpoint_io *io, train_state *s) {
  THAW_TRY(io_text(io, "/", "job_digest", s->job_digest, sizeof s->job_digest));
  THAW_TRY(io_text(io, "/", "weights_digest", s->weights_digest, sizeof s->weights_digest));
  THAW_TRY(io_text(io, "/", "train_digest", s->train_digest, sizeof s->train_digest));
  THAW_TRY(io_text(io, "/", "validation_digest", s->validation_digest, sizeof s->validation_digest));
  THAW_TRY(io_int(io, "/", "phase", &s->phase));
  THAW_TRY(io_int(io, "/", "epoch", &s->epoch));
  THAW_TRY(io_int(io, "/", "epochs", &s->epochs));
  THAW_TRY(io_int(io, "/", "step", &s->step));
  THAW_TRY(io_int(io, "/", "steps", &s->steps));
  THAW_TRY(io_int(io, "/", "finished", &s->finished));
  THAW_TRY(io_int(io, "/", "stop_phase", &s->stop_phase));
  THAW_TRY(io_thawed(io, s));
  THAW_TRY(io_int(io, "/", "seen", &s->seen));
  THAW_TRY(io_double(io, "learning_rate", &s->rate));
  THAW_TRY(io_double(io, "seconds", &s->seconds));
  THAW_TRY(io_monitor(io, "early_stopping", &s->early));
  THAW_TRY(io_monitor(io, "reduce_lr", &s->plateau));
  return io_monitor(io, "checkpoint", &s->best);
}

/* ------------------------------------------------------------------ arrays */

/* Chunks of at most about 1 MB, each with a checksum. */
static thaw_h5_layout layout_of(thaw_h5_type type, int rank, const int64_t *dim) {
  thaw_h5_layout layout = {.type = type, .rank = rank, .chunk_rows = 1};
  int64_t row = (int64_t)thaw_h5_type_size(type);
  for (int i = 0; i < rank; i++) {
    layout.dim[i] = dim[i];
    if (i) row *= dim[i];
  }
  int64_t rows = (1 << 20) / row;
  if (rows < 1) rows = 1;
  int64_t chunks = (dim[0] + rows - 1) / rows;
  layout.chunk_rows = (dim[0] + chunks - 1) / chunks; /* all alike: the last one is stored whole */
  return layout;
}

/* Chunk by chunk, so that a checkpoint written behind the training holds HDF5's lock for short times only. */
static thaw_status write_array(checkpoint_io *io, const char *path, const thaw_h5_layout *layout, const char *data) {
  size_t row = thaw_h5_type_size(layout->type);
  for (int i = 1; i < layout->rank; i++) row *= (size_t)layout->dim[i];
  THAW_TRY(thaw_h5_create_dataset(io->file, path, layout));
  for (int64_t first = 0, rows; first < layout->dim[0]; first += rows) {
    rows = layout->dim[0] - first < layout->chunk_rows ? layout->dim[0] - first : layout->chunk_rows;
    THAW_TRY(thaw_h5_write_rows(io->file, path, layout->type, first, rows, data + (size_t)first * row));
    thaw_digest_add(io->digest, data + (size_t)first * row, (size_t)rows * row);
  }
  return THAW_OK;
}

static thaw_status io_array(checkpoint_io *io, const char *path, thaw_h5_type type, int rank, const int64_t *dim,
                            void *data) {
  int64_t count = 1;
  for (int i = 0; i < rank; i++) count *= dim[i];
  thaw_h5_layout layout = layout_of(type, rank, dim);
  thaw_digest_add_text(io->digest, path);
  if (io->writing) return write_array(io, path, &layout, data);
  THAW_TRY(thaw_h5_read(io->file, path, type, count, data));
  thaw_digest_add(io->digest, data, (size_t)count * thaw_h5_type_size(type));
  return THAW_OK;
}

static thaw_status io_strings(checkpoint_io *io, const char *path, thaw_strings *strings, int64_t most) {
  /* An empty list is no dataset. */
  if (io->writing && strings->count) THAW_TRY(thaw_h5_write_strings(io->file, path, strings));
  if (!io->writing && thaw_h5_exists(io->file, path)) {
    thaw_h5_info info;
    THAW_TRY(thaw_h5_describe(io->file, path, &info));
    if (info.count > most)
      return thaw_fail(THAW_ERR_DATA, "%s: %s has %lld entries, at most %lld are possible", thaw_h5_path(io->file),
                       path, (long long)info.count, (long long)most);
    THAW_TRY(thaw_h5_read_strings(io->file, path, 0, info.count, strings));
  }
  thaw_digest_add_text(io->digest, path);
  for (size_t i = 0; i < strings->count; i++) thaw_digest_add_text(io->digest, strings->item[i]);
  return THAW_OK;
}

/* A float array of the tensor's shape under `folder`; when reading, *data is made. */
static thaw_status io_floats(checkpoint_io *io, const char *folder, const char *suffix, const train_tensor *t,
                             float **data) {
  char *path = thaw_format("/%s/%s/%s%s", folder, t->layer, t->name, suffix);
  if (!io->writing) *data = thaw_new(t->count, sizeof(float));
  thaw_status status = path && *data ? io_array(io, path, THAW_H5_F32, t->rank, t->dim, *data) : THAW_ERR_MEMORY;
  thaw_free(path);
  return status;
}

/* When reading: shape from the file. */
static thaw_status read_shape(checkpoint_io *io, const char *path, train_tensor *t) {
  thaw_h5_info info;
  THAW_TRY(thaw_h5_describe(io->file, path, &info));
  if (info.rank < 1 || info.rank > 4 || info.type != THAW_H5_F32 || info.count < 1)
    return thaw_fail(THAW_ERR_DATA, "%s: %s is no float32 parameter of 1 to 4 dimensions", thaw_h5_path(io->file),
                     path);
  t->rank = info.rank;
  t->count = (size_t)info.count;
  for (int i = 0; i < info.rank; i++) t->dim[i] = info.dim[i];
  return THAW_OK;
}

static thaw_status io_tensor_words(checkpoint_io *io, const char *path, train_tensor *t, int64_t *has_best) {
  int64_t trainable = t->trainable;
  THAW_TRY(io_int(io, path, "trainable", &trainable));
  t->trainable = trainable != 0;
  THAW_TRY(io_int(io, path, "steps", &t->steps));
  THAW_TRY(io_int(io, path, "exponent", &t->exponent));
  THAW_TRY(io_int(io, path, "slots", &t->slots));
  THAW_TRY(io_text(io, path, "optimizer", t->optimizer, sizeof t->optimizer));
  THAW_TRY(io_int(io, path, "has_best", has_best));
  /* The exponents of float32 sums; a value outside would be a broken scale. */
  bool sane = t->slots >= 0 && t->slots <= THAW_MAX_SLOTS && t->steps >= 0 &&
              (t->exponent == THAW_EXACT_UNKNOWN || (t->exponent > -400 && t->exponent < 400));
  return sane ? THAW_OK : thaw_fail(THAW_ERR_DATA, "%s: %s has impossible attributes", thaw_h5_path(io->file), path);
}

static bool has_average(const checkpoint_io *io, const train_tensor *t) {
  if (io->writing) return t->average != NULL;
  char *path = thaw_format("/average/%s/%s", t->layer, t->name);
  bool found = path && thaw_h5_exists(io->file, path);
  thaw_free(path);
  return found;
}

static thaw_status io_tensor(checkpoint_io *io, train_tensor *t) {
  char *path = thaw_format("/parameters/%s/%s", t->layer, t->name);
  if (!path) return THAW_ERR_MEMORY;
  int64_t has_best = t->best != NULL;
  thaw_status status = io->writing ? THAW_OK : read_shape(io, path, t);
  if (status == THAW_OK) status = io_floats(io, "parameters", "", t, &t->value);
  if (status == THAW_OK) status = io_tensor_words(io, path, t, &has_best);
  thaw_free(path);
  for (int64_t s = 0; s < t->slots && status == THAW_OK; s++) {
    char suffix[8];
    snprintf(suffix, sizeof suffix, "/%d", (int)s);
    status = io_floats(io, "optimizer", suffix, t, &t->slot[s]);
  }
  if (status == THAW_OK && has_best) status = io_floats(io, "best", "", t, &t->best);
  return status == THAW_OK && has_average(io, t) ? io_floats(io, "average", "", t, &t->average) : status;
}

/* Names first, so that a reader knows what to expect. */
static thaw_status io_names(checkpoint_io *io, train_state *s, thaw_strings *layers, thaw_strings *names) {
  for (size_t i = 0; i < s->tensors && io->writing; i++) {
    THAW_TRY(thaw_strings_add(layers, s->tensor[i].layer));
    THAW_TRY(thaw_strings_add(names, s->tensor[i].name));
  }
  THAW_TRY(io_strings(io, "/layers", layers, MOST_TENSORS));
  THAW_TRY(io_strings(io, "/names", names, MOST_TENSORS));
  if (io->writing) return THAW_OK;
  if (layers->count != names->count)
    return thaw_fail(THAW_ERR_DATA, "%s: /layers and /names differ in length", thaw_h5_path(io->file));
  s->tensor = thaw_new(layers->count, sizeof *s->tensor);
  if (!s->tensor) return THAW_ERR_MEMORY;
  s->owns_values = true;
  for (size_t i = 0; i < layers->count; i++) {
    s->tensor[i].layer = thaw_copy_text(layers->item[i]);
    s->tensor[i].name = thaw_copy_text(names->item[i]);
    s->tensors = s->capacity = i + 1;
    if (!s->tensor[i].layer || !s->tensor[i].name) return THAW_ERR_MEMORY;
  }
  return THAW_OK;
}

static thaw_status io_tensors(checkpoint_io *io, train_state *s) {
  thaw_strings layers = {0}, names = {0};
  thaw_status status = io_names(io, s, &layers, &names);
  thaw_strings_clear(&layers);
  thaw_strings_clear(&names);
  for (size_t i = 0; i < s->tensors && status == THAW_OK; i++) status = io_tensor(io, &s->tensor[i]);
  return status;
}

static thaw_status io_history(checkpoint_io *io, train_state *s) {
  THAW_TRY(io_strings(io, "/columns", &s->column, MOST_COLUMNS));
  THAW_TRY(io_int(io, "/", "rows", &s->rows));
  s->columns = (int64_t)s->column.count;
  if (s->rows < 0 || s->rows > MOST_ROWS)
    return thaw_fail(THAW_ERR_DATA, "%s: has %lld rows of history", thaw_h5_path(io->file), (long long)s->rows);
  if (s->rows == 0 || s->columns == 0) return THAW_OK;
  int64_t dim[2] = {s->rows, s->columns};
  if (!io->writing && !(s->history = thaw_new((size_t)(s->rows * s->columns), sizeof *s->history)))
    return THAW_ERR_MEMORY;
  return io_array(io, "/history", THAW_H5_F64, 2, dim, s->history);
}

/* Only where targets are scaled. */
static thaw_status io_target(checkpoint_io *io, train_state *s) {
  thaw_h5_info info;
  if (!io->writing && thaw_h5_exists(io->file, "/target")) {
    THAW_TRY(thaw_h5_describe(io->file, "/target", &info));
    if (info.count < 2 || info.count > MOST_TARGETS)
      return thaw_fail(THAW_ERR_DATA, "%s: /target has %lld entries, 2 to %d are possible", thaw_h5_path(io->file),
                       (long long)info.count, MOST_TARGETS);
    s->targets = info.count;
    if (!(s->target = thaw_new((size_t)s->targets, sizeof *s->target))) return THAW_ERR_MEMORY;
  }
  return s->targets ? io_array(io, "/target", THAW_H5_F64, 1, &s->targets, s->target) : THAW_OK;
}

/* As many as are in use, and at least nine. */
static thaw_status io_sums(checkpoint_io *io, train_state *s) {
  const int64_t most = (int64_t)(sizeof s->sum / sizeof *s->sum), least = 9;
  int64_t limbs = 3 * most;
  _Static_assert(sizeof(thaw_wide) == 3 * sizeof(int64_t), "a wide sum is three limbs");
  if (io->writing) {
    static const thaw_wide none = {{0}};
    while (limbs > 3 * least && !memcmp(&s->sum[limbs / 3 - 1], &none, sizeof none)) limbs -= 3;
  } else {
    thaw_h5_info info;
    THAW_TRY(thaw_h5_describe(io->file, "/sums", &info));
    if (info.count < 3 * least || info.count > 3 * most || info.count % 3)
      return thaw_fail(THAW_ERR_DATA, "%s: /sums has %lld entries, %lld to %lld are possible", thaw_h5_path(io->file),
                       (long long)info.count, (long long)(3 * least), (long long)(3 * most));
    limbs = info.count;
  }
  return io_array(io, "/sums", THAW_H5_I64, 1, &limbs, s->sum);
}

static thaw_status io_state(checkpoint_io *io, train_state *s) {
  THAW_TRY(io_cursor(io, s));
  THAW_TRY(io_tensors(io, s));
  THAW_TRY(io_history(io, s));
  THAW_TRY(io_strings(io, "/classes", &s->classes, MOST_CLASSES));
  THAW_TRY(io_target(io, s));
  return io_sums(io, s);
}

/* ------------------------------------------------------------------ files */

static thaw_status write_content(thaw_h5 *file, train_state *state) {
  checkpoint_io io = {.file = file, .writing = true};
  char digest[THAW_DIGEST_TEXT];
  THAW_TRY(thaw_digest_create(&io.digest));
  thaw_status status = thaw_h5_set_text(file, "/", "format", format_name);
  if (status == THAW_OK) status = thaw_h5_set_int(file, "/", "version", VERSION);
  if (status == THAW_OK) status = io_state(&io, state);
  thaw_digest_finish(io.digest, digest);
  return status == THAW_OK ? thaw_h5_set_text(file, "/", "digest", digest) : status;
}

thaw_status train_checkpoint_write(const char *path, train_state *state) {
  thaw_h5 *file;
  THAW_TRY(thaw_h5_create(path, &file));
  thaw_status status = write_content(file, state);
  if (status == THAW_OK) return thaw_h5_commit(file);
  thaw_h5_close(file);
  return status;
}

static thaw_status check_format(thaw_h5 *file, const char *path) {
  char *format = NULL;
  int64_t version = 0;
  if (!thaw_h5_has_attribute(file, "/", "format"))
    return thaw_fail(THAW_ERR_DATA, "%s: is not a thaw checkpoint", path);
  THAW_TRY(thaw_h5_get_text(file, "/", "format", &format));
  bool right = strcmp(format, format_name) == 0;
  thaw_free(format);
  if (!right) return thaw_fail(THAW_ERR_DATA, "%s: is not a thaw checkpoint", path);
  THAW_TRY(thaw_h5_get_int(file, "/", "version", &version));
  if (version == VERSION) return THAW_OK;
  return thaw_fail(THAW_ERR_DATA, "%s: checkpoint format version %lld, this program reads %d", path, (long long)version,
                   VERSION);
}

static thaw_status read_content(thaw_h5 *file, const char *path, train_state *out) {
  checkpoint_io io = {.file = file};
  char found[THAW_DIGEST_TEXT], *stored = NULL;
  THAW_TRY(check_format(file, path));
  THAW_TRY(thaw_digest_create(&io.digest));
  thaw_status status = io_state(&io, out);
  thaw_digest_finish(io.digest, found);
  if (status == THAW_OK) status = thaw_h5_get_text(file, "/", "digest", &stored);
  if (status == THAW_OK && strcmp(stored, found) != 0)
    status = thaw_fail(THAW_ERR_DATA, "%s: is damaged: its content has digest %.12s, it should have %.12s", path, found,
                       stored);
  thaw_free(stored);
  return status;
}

thaw_status train_checkpoint_read(const char *path, train_state *out) {
  thaw_h5 *file;
  *out = (train_state){0};
  THAW_TRY(thaw_h5_open(path, &file));
  thaw_status status = read_content(file, path, out);
  thaw_h5_close(file);
  if (status != THAW_OK) train_state_clear(out);
  return status;
}

thaw_status train_checkpoint_share(thaw_comm *comm, const char *path, char **bytes_out, size_t *size_out) {
  enum { MOST = 1 << 20 };
  thaw_status status = THAW_OK;
  *bytes_out = NULL;
  *size_out = 0;
  if (thaw_comm_rank(comm) == 0) status = thaw_file_read(path, (size_t)MOST << 20, bytes_out, size_out);
  status = thaw_agree(comm, status);
  if (status == THAW_OK) status = thaw_comm_broadcast_new(comm, 0, bytes_out, size_out);
  if (status == THAW_OK) return THAW_OK;
  thaw_free(*bytes_out);
  *bytes_out = NULL;
  return status;
}

thaw_status train_checkpoint_parse(const char *path, const char *bytes, size_t size, train_state *out) {
  thaw_h5 *file;
  *out = (train_state){0};
  THAW_TRY(thaw_h5_open_image(path, bytes, size, &file));
  thaw_status status = read_content(file, path, out);
  thaw_h5_close(file);
  if (status != THAW_OK) train_state_clear(out);
  return status;
}

thaw_status train_checkpoint_list(const char *folder, thaw_strings *out) {
  thaw_strings all = {0};
  if (!thaw_folder_exists(folder)) return THAW_OK;
  thaw_status status = thaw_folder_list(folder, &all); /* sorted; numbers have leading zeros */
  for (size_t i = 0; i < all.count && status == THAW_OK; i++) {
    size_t length = strlen(all.item[i]);
    if (strncmp(all.item[i], "step-", 5) == 0 && length > 8 && strcmp(all.item[i] + length - 3, ".h5") == 0)
      status = thaw_strings_add(out, all.item[i]);
  }
  thaw_strings_clear(&all);
  return status;
}
