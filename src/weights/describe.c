/* What is in a weight file: a table for people. */
#include "thaw/digest.h"
#include "thaw/memory.h"
#include "weights/weights_private.h"

#include <math.h>
#include <string.h>

enum { DIGEST_SHOWN = 12 };

typedef struct widths {
  int layer, weight, shape;
} widths;

static int wider(int width, size_t length) {
  return (int)length > width ? (int)length : width;
}

static widths measure(const thaw_weight_file *file) {
  widths w = {.layer = 5, .weight = 6, .shape = 5};
  char shape[96];
  for (size_t i = 0; i < file->count; i++) {
    w.layer = wider(w.layer, strlen(file->layer[i].name));
    for (size_t j = 0; j < file->layer[i].count; j++) {
      const thaw_weight *weight = &file->layer[i].weight[j];
      w.weight = wider(w.weight, strlen(weight->name));
      w.shape = wider(w.shape, strlen(thaw_weight_shape_text(&weight->info, shape)));
    }
  }
  return w;
}

/* The digest of the values as float32, and how many of them are not finite. */
static thaw_status examine(const thaw_weight_file *file, const thaw_weight *weight, char digest[THAW_DIGEST_TEXT],
                           int64_t *broken_out) {
  size_t count = (size_t)weight->info.count;
  float *value = thaw_new(count, sizeof *value);
  if (!value) return THAW_ERR_MEMORY;
  thaw_status status = thaw_weight_read(file, weight, value);
  if (status == THAW_OK) status = thaw_digest_bytes(value, count * sizeof *value, digest);
  *broken_out = 0;
  for (size_t i = 0; i < count && status == THAW_OK; i++) *broken_out += !isfinite(value[i]);
  thaw_free(value);
  return status;
}

static thaw_status add_row(const thaw_weight_file *file, const char *layer, const thaw_weight *weight, widths w,
                           thaw_text *out) {
  char shape[96], digest[THAW_DIGEST_TEXT] = "-";
  int64_t broken = 0;
  if (weight->info.type != THAW_H5_OTHER && weight->info.type != THAW_H5_STRING)
    THAW_TRY(examine(file, weight, digest, &broken));
  thaw_text_add(out, "%-*s  %-*s  %-*s  %-8s  %.*s", w.layer, layer, w.weight, weight->name, w.shape,
                thaw_weight_shape_text(&weight->info, shape), thaw_weight_type_name(weight), DIGEST_SHOWN, digest);
  if (broken) thaw_text_add(out, "  %lld values are not finite", (long long)broken);
  thaw_text_add(out, "\n");
  return THAW_OK;
}

static void add_heading(const thaw_weight_file *file, thaw_text *out) {
  int64_t parameters = 0;
  char number[32];
  for (size_t i = 0; i < file->count; i++)
    for (size_t j = 0; j < file->layer[i].count; j++) parameters += file->layer[i].weight[j].info.count;
  thaw_text_add(out, "%s: %s", file->path, file->layout);
  if (file->version) thaw_text_add(out, " (keras %s)", file->version);
  thaw_text_add(out, ", %zu layers with weights, %s parameters\narchitecture: ", file->count,
                thaw_format_count(parameters, number));
  thaw_weight_guess(file, out);
  int32_t dense = 0;
  for (size_t i = 0; i < file->count; i++) dense += thaw_weight_layer_is_dense(&file->layer[i]);
  if (dense) thaw_text_add(out, ", with a top of %d dense layer%s", dense, dense == 1 ? "" : "s");
  thaw_text_add(out, "\n\n");
}

static thaw_status describe(const thaw_weight_file *file, thaw_text *out) {
  widths w = measure(file);
  add_heading(file, out);
  thaw_text_add(out, "%-*s  %-*s  %-*s  %-8s  %s\n", w.layer, "layer", w.weight, "weight", w.shape, "shape", "type",
                "sha256");
  for (size_t i = 0; i < file->count; i++)
    for (size_t j = 0; j < file->layer[i].count; j++)
      THAW_TRY(add_row(file, j ? "" : file->layer[i].name, &file->layer[i].weight[j], w, out));
  return out->failed ? THAW_ERR_MEMORY : THAW_OK;
}

thaw_status thaw_weights_describe(const char *path, thaw_text *out) {
  thaw_weight_file file;
  THAW_TRY(thaw_weight_file_open(path, &file));
  thaw_status status = describe(&file, out);
  thaw_weight_file_close(&file);
  return status;
}
