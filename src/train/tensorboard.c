/* Event files that TensorBoard reads: tensorboard/train and tensorboard/validation in the run folder, with the tags of
 * Keras' callback (epoch_loss, ...) and the epochs of metrics.csv as steps.
 *
 * A file is a row of TFRecords (tensorflow/core/lib/io/record_writer.h): length (8 bytes), its masked CRC, the bytes,
 * their masked CRC. The bytes are an Event (tensorflow/core/util/event.proto) in protocol buffers' encoding: 1
 * wall_time (double), 2 step (varint), 3 file_version (text), 5 summary; a Summary (framework/summary.proto) has values
 * (1), each with a tag (1, text) and a simple_value (2, float). */
#include "thaw/memory.h"
#include "train/train_private.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FILE_LIMIT = 1 << 28, FRAME = 16, HEADER = 12 };

/* ------------------------------------------------------------------ records */

/* CRC-32C (Castagnoli; RFC 3720, B.4), bit by bit: some hundred bytes per epoch. */
static uint32_t crc32c(const void *data, size_t size) {
  const unsigned char *byte = data;
  uint32_t crc = 0xffffffffu;
  for (size_t i = 0; i < size; i++) {
    crc ^= byte[i];
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
  }
  return ~crc;
}

static uint32_t masked_crc(const void *data, size_t size) {
  uint32_t crc = crc32c(data, size);
  return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static void add_little_endian(thaw_text *out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; i++) thaw_text_add_bytes(out, &(const char){(char)(value >> 8 * i)}, 1);
}

static void add_varint(thaw_text *out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) thaw_text_add_bytes(out, &(const char){(char)(value | 0x80)}, 1);
  thaw_text_add_bytes(out, &(const char){(char)value}, 1);
}

static void add_field(thaw_text *out, int number, const char *data, size_t size) {
  add_varint(out, (uint64_t)number << 3 | 2);
  add_varint(out, size);
  thaw_text_add_bytes(out, data, size);
}

static void add_record(thaw_text *out, const thaw_text *event) {
  thaw_text length = {0};
  add_little_endian(&length, event->length, 8);
  if (event->failed || length.failed) {
    out->failed = true;
  } else {
    thaw_text_add_bytes(out, length.data, 8);
    add_little_endian(out, masked_crc(length.data, 8), 4);
    thaw_text_add_bytes(out, event->data, event->length);
    add_little_endian(out, masked_crc(event->data, event->length), 4);
  }
  thaw_text_clear(&length);
}

/* ------------------------------------------------------------------ events */

static void begin_event(thaw_text *event, int64_t step) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  double seconds = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
  uint64_t bits;
  memcpy(&bits, &seconds, sizeof bits);
  add_varint(event, 1 << 3 | 1);
  add_little_endian(event, bits, 8);
  add_varint(event, 2 << 3);
  add_varint(event, (uint64_t)step);
}

static void add_version(thaw_text *out) {
  static const char version[] = "brain.Event:2";
  thaw_text event = {0};
  begin_event(&event, 0);
  add_field(&event, 3, version, sizeof version - 1);
  add_record(out, &event);
  thaw_text_clear(&event);
}

static void add_value(thaw_text *summary, const char *name, double number) {
  thaw_text value = {0}, tag = {0};
  float single = (float)number;
  uint32_t bits;
  memcpy(&bits, &single, sizeof bits);
  thaw_text_add(&tag, "epoch_%s", name);
  add_field(&value, 1, tag.data ? tag.data : "", tag.length);
  add_varint(&value, 2 << 3 | 5);
  add_little_endian(&value, bits, 4);
  if (value.failed || tag.failed)
    summary->failed = true;
  else
    add_field(summary, 1, value.data, value.length);
  thaw_text_clear(&value);
  thaw_text_clear(&tag);
}

/* One epoch: the columns of training, or those of validation without their prefix. */
static void add_epoch(const train_state *state, const double *row, bool validation, thaw_text *out) {
  static const char *const left_out[] = {"phase", "epoch", "step", "seconds"};
  thaw_text event = {0}, summary = {0};
  for (int64_t c = 0; c < state->columns; c++) {
    const char *name = state->column.item[c];
    bool of_validation = strncmp(name, "val_", 4) == 0, wanted = of_validation == validation;
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++) wanted &= strcmp(name, left_out[i]) != 0;
    if (wanted && !isnan(row[c])) add_value(&summary, name + (of_validation ? 4 : 0), row[c]);
  }
  begin_event(&event, (int64_t)row[train_history_column(state, "epoch")]);
  if (summary.failed)
    out->failed = true;
  else
    add_field(&event, 5, summary.data ? summary.data : "", summary.length);
  add_record(out, &event);
  thaw_text_clear(&event);
  thaw_text_clear(&summary);
}

/* ------------------------------------------------------------------ reading what is there */

static bool read_varint(const char **at, const char *end, uint64_t *value) {
  *value = 0;
  for (int shift = 0; *at < end && shift < 64; shift += 7) {
    unsigned char byte = (unsigned char)*(*at)++;
    *value |= (uint64_t)(byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

/* The step of an Event; false when it is none. */
static bool read_step(const char *at, const char *end, int64_t *step) {
  *step = 0;
  while (at < end) {
    uint64_t key, value = 0, size = 0;
    if (!read_varint(&at, end, &key)) return false;
    bool is_varint = (key & 7) == 0;
    if (is_varint && !read_varint(&at, end, &value)) return false;
    if (key == 2 << 3) *step = (int64_t)value;
    if ((key & 7) == 1) size = 8;
    if ((key & 7) == 5) size = 4;
    if ((key & 7) == 2 && !read_varint(&at, end, &size)) return false;
    if (size > (size_t)(end - at)) return false;
    at += size;
  }
  return true;
}

/* How many bytes of a file are whole records of steps up to `last`, and the step of the last of them (-1: none). */
static size_t whole_records(const char *data, size_t size, int64_t last, int64_t *step_out) {
  size_t at = 0;
  *step_out = -1;
  while (size - at >= FRAME) {
    uint64_t length = thaw_little_endian(data + at, 8);
    int64_t step;
    const char *event = data + at + HEADER;
    if (thaw_little_endian(data + at + 8, 4) != masked_crc(data + at, 8) || length > size - at - FRAME) break;
    if (thaw_little_endian(event + length, 4) != masked_crc(event, (size_t)length)) break;
    if (!read_step(event, event + length, &step) || step > last) break;
    *step_out = step;
    at += FRAME + (size_t)length;
  }
  return at;
}

/* ------------------------------------------------------------------ files */

static char *file_of(const char *folder, bool validation) {
  return thaw_format("%s/tensorboard/%s/events.out.tfevents.thaw", folder, validation ? "validation" : "train");
}

static thaw_status append(const char *path, const thaw_text *records) {
  if (records->failed) return THAW_ERR_MEMORY;
  if (!records->length) return THAW_OK;
  FILE *file = fopen(path, "abe");
  bool written = file && fwrite(records->data, 1, records->length, file) == records->length;
  if (file) written = fclose(file) == 0 && written;
  return written ? THAW_OK : thaw_fail(THAW_ERR_DISK, "%s: cannot write: %s", path, strerror(errno));
}

/* Keeps the epochs that the state knows, with their times, and adds those that are missing. */
static thaw_status begin_file(const train_state *state, const char *path, bool validation) {
  thaw_text records = {0};
  char *data = NULL;
  size_t size = 0;
  int64_t epoch = train_history_column(state, "epoch"), step = -1;
  double last = state->rows ? state->history[(state->rows - 1) * state->columns + epoch] : 0;
  if (thaw_file_exists(path)) THAW_TRY(thaw_file_read(path, FILE_LIMIT, &data, &size));
  size_t whole = data ? whole_records(data, size, (int64_t)last, &step) : 0;
  thaw_status status = whole == size && data ? THAW_OK : thaw_file_write(path, data ? data : "", whole);
  if (step < 0) add_version(&records);
  for (int64_t r = 0; r < state->rows; r++) {
    const double *row = state->history + r * state->columns;
    if (row[epoch] > (double)step) add_epoch(state, row, validation, &records);
  }
  if (status == THAW_OK) status = append(path, &records);
  thaw_text_clear(&records);
  thaw_free(data);
  return status;
}

/* The files of a run: for training, and for validation where there are such columns. row NULL: they begin. */
static thaw_status each_file(const train_state *state, const char *run_folder, const double *row) {
  bool validated = train_history_column(state, "val_loss") >= 0;
  for (int validation = 0; validation <= validated; validation++) {
    char *path = file_of(run_folder, validation), *folder = path ? thaw_path_folder(path) : NULL;
    thaw_text records = {0};
    thaw_status status = folder ? thaw_folder_create(folder) : THAW_ERR_MEMORY;
    if (status == THAW_OK && row) {
      add_epoch(state, row, validation, &records);
      status = append(path, &records);
    } else if (status == THAW_OK) {
      status = begin_file(state, path, validation);
    }
    thaw_text_clear(&records);
    thaw_free(folder);
    thaw_free(path);
    THAW_TRY(status);
  }
  return THAW_OK;
}

thaw_status train_tensorboard_begin(const train_state *state, const char *run_folder) {
  return each_file(state, run_folder, NULL);
}

thaw_status train_tensorboard_add(const train_state *state, const char *run_folder, const double *row) {
  return each_file(state, run_folder, row);
}
