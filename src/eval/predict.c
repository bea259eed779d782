#include "thaw/eval.h"
#include "thaw/image.h"
#include "thaw/memory.h"
#include "thaw/nifti.h"

#include <string.h>
#include <strings.h>

/* ------------------------------------------------------------------ the list of files */

static bool looks_like_image(const char *name) {
  const char *dot = strrchr(name, '.');
  if (!dot) return false;
  return strcasecmp(dot, ".png") == 0 || strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0;
}

/* DICOM files often have no ending, or a number for one. */
static bool holds_frames(const char *path) {
  const char *dot = strrchr(thaw_path_name(path), '.');
  return thaw_nifti_recognize(path) || (dot && strcasecmp(dot, ".dcm") == 0) || thaw_dicom_recognize(path);
}

enum { MAX_DEPTH = 16 };

static thaw_status walk(const char *folder, int depth, bool frames, thaw_strings *out) {
  thaw_strings names = {0};
  thaw_status status = thaw_folder_list(folder, &names);
  for (size_t i = 0; status == THAW_OK && i < names.count; i++) {
    char *path = thaw_path_join(folder, names.item[i]);
    if (!path)
      status = THAW_ERR_MEMORY;
    else if (thaw_folder_exists(path))
      status = depth < MAX_DEPTH ? walk(path, depth + 1, frames, out) : THAW_OK;
    else if (looks_like_image(names.item[i]) || (frames && holds_frames(path)))
      status = thaw_strings_add(out, path);
    thaw_free(path);
  }
  thaw_strings_clear(&names);
  return status;
}

static thaw_status list_files(const char *path, bool frames, thaw_strings *out) {
  if (!thaw_folder_exists(path)) {
    if (!thaw_file_exists(path)) return thaw_fail(THAW_ERR_DATA, "%s: no such file or folder", path);
    return thaw_strings_add(out, path);
  }
  THAW_TRY(walk(path, 0, frames, out));
  if (out->count == 0)
    return thaw_fail(THAW_ERR_DATA, "%s: holds no .png, .jpg%s file", path,
                     frames ? ", .jpeg, .dcm, .nii or .nii.gz" : " or .jpeg");
  return THAW_OK;
}

/* Zero-separated, because a file name may hold anything else. */
static thaw_status join(const thaw_strings *strings, thaw_text *out) {
  for (size_t i = 0; i < strings->count; i++) thaw_text_add_bytes(out, strings->item[i], strlen(strings->item[i]) + 1);
  return out->failed ? THAW_ERR_MEMORY : THAW_OK;
}

static thaw_status separate(const char *data, size_t size, thaw_strings *out) {
  for (size_t at = 0; at < size; at += strlen(data + at) + 1) THAW_TRY(thaw_strings_add(out, data + at));
  return THAW_OK;
}

thaw_status thaw_image_files(thaw_comm *comm, const char *path, bool frames, thaw_strings *out) {
  bool root = thaw_comm_rank(comm) == 0;
  thaw_text text = {0};
  thaw_status status = root ? list_files(path, frames, out) : THAW_OK;
  if (root && status == THAW_OK) status = join(out, &text);
  status = thaw_agree(comm, status);
  char *data = text.data;
  size_t size = text.length;
  if (status == THAW_OK) status = thaw_comm_broadcast_new(comm, 0, &data, &size);
  if (status == THAW_OK) status = thaw_agree(comm, root ? THAW_OK : separate(data, size, out));
  if (data != text.data) thaw_free(data);
  thaw_text_clear(&text);
  return status;
}

/* ------------------------------------------------------------------ one rank's share */

typedef struct predictor {
  const thaw_predict_desc *desc;
  int64_t first, count;
  float *input, *features, *y;
  uint64_t *sample;
  bool *broken;    /* [batch] */
  thaw_text error; /* zero-separated reasons of this rank's files */
} predictor;

static void predictor_clear(predictor *p) {
  thaw_free(p->input);
  thaw_free(p->features);
  thaw_free(p->y);
  thaw_free(p->sample);
  thaw_free(p->broken);
  thaw_text_clear(&p->error);
}

static size_t input_floats(const thaw_input *input) {
  return (size_t)input->h * (size_t)input->w * (size_t)input->c;
}

static thaw_status predictor_create(predictor *p, const thaw_predict_desc *desc, thaw_comm *comm) {
  p->desc = desc;
  int64_t total = (int64_t)thaw_import_reader_ids(desc->images)->count, rank = thaw_comm_rank(comm),
          ranks = thaw_comm_size(comm);
  p->first = total * rank / ranks;
  p->count = total * (rank + 1) / ranks - p->first;
  size_t batch = (size_t)desc->batch;
  p->input = thaw_new(batch * input_floats(desc->input), sizeof *p->input);
  p->features = thaw_new(batch * desc->floats, sizeof *p->features);
  p->y = thaw_new((size_t)p->count * (size_t)desc->outputs, sizeof *p->y);
  p->sample = thaw_new(batch, sizeof *p->sample);
  p->broken = thaw_new(batch, sizeof *p->broken);
  return p->input && p->features && p->y && p->sample && p->broken ? THAW_OK : THAW_ERR_MEMORY;
}

/* The same path as a shard's pixels take: 8 or 16 bits, then thaw_input_make. */
thaw_status thaw_predict_input(const thaw_input *input, thaw_import_reader *images, int64_t index, float *out) {
  thaw_image image = {0};
  double value_max;
  THAW_TRY(thaw_import_reader_image(images, index, &image, &value_max));
  thaw_dataset_info info = {.count = 1,
                            .h = image.h,
                            .w = image.w,
                            .c = image.c,
                            .bits = image.bits,
                            .value_max = value_max,
                            .label_kind = THAW_LABEL_NONE,
                            .label_width = 1};
  thaw_input any_size = *input;
  any_size.allow_resize = true;
  thaw_status status = thaw_input_make(&any_size, &info, image.pixels, index, -1, out);
  thaw_image_clear(&image);
  return status;
}

static thaw_status predict_batch(predictor *p, int64_t at, int32_t rows) {
  const thaw_predict_desc *d = p->desc;
  size_t floats = input_floats(d->input);
  int32_t slice_start[2] = {0, rows};
  int64_t slice = 0;
  for (int32_t r = 0; r < rows; r++) {
    float *row = p->input + (size_t)r * floats;
    p->sample[r] = (uint64_t)(at + r);
    thaw_status status = thaw_predict_input(d->input, d->images, at + r, row);
    if (status == THAW_ERR_MEMORY) return status;
    p->broken[r] = status != THAW_OK;
    if (p->broken[r]) memset(row, 0, floats * sizeof *row);
    const char *reason = status == THAW_OK ? "" : thaw_message();
    thaw_text_add_bytes(&p->error, reason, strlen(reason) + 1);
  }
  if (d->plan) thaw_plan_run(d->plan, p->input, rows, p->features);
  thaw_share share = {.features = d->plan ? p->features : p->input,
                      .sample = p->sample,
                      .samples = rows,
                      .slices = 1,
                      .slice_start = slice_start,
                      .slice = &slice,
                      .batch = rows};
  const float *y;
  THAW_TRY(thaw_live_forward(d->live, &share, NULL, &y));
  size_t width = (size_t)d->outputs;
  float *out = p->y + (size_t)(at - p->first) * width;
  memcpy(out, y, (size_t)rows * width * sizeof *y);
  for (int32_t r = 0; r < rows; r++)
    if (p->broken[r]) memset(out + (size_t)r * width, 0, width * sizeof *out);
  return THAW_OK;
}

static thaw_status predict_share(predictor *p, thaw_log *log) {
  int64_t end = p->first + p->count, total = (int64_t)thaw_import_reader_ids(p->desc->images)->count;
  for (int64_t at = p->first; at < end;) {
    int32_t rows = (int32_t)(end - at < p->desc->batch ? end - at : p->desc->batch);
    THAW_TRY(predict_batch(p, at, rows));
    at += rows;
    thaw_progress_update(log, (at - p->first) * total / p->count, NULL);
  }
  return p->error.failed ? THAW_ERR_MEMORY : THAW_OK;
}

/* ------------------------------------------------------------------ all ranks */

static thaw_status gather(predictor *p, thaw_comm *comm, thaw_predictions *out) {
  const thaw_predict_desc *d = p->desc;
  char *y = NULL, *errors = NULL;
  size_t *y_sizes = NULL, *error_sizes = NULL, error_bytes = 0;
  THAW_TRY(thaw_comm_gather(comm, p->y, (size_t)p->count * (size_t)d->outputs * sizeof *p->y, &y, &y_sizes));
  thaw_free(y_sizes);
  out->y = (float *)(void *)y;
  THAW_TRY(thaw_comm_gather(comm, p->error.data, p->error.length, &errors, &error_sizes));
  if (errors)
    for (int r = 0; r < thaw_comm_size(comm); r++) error_bytes += error_sizes[r];
  thaw_free(error_sizes);
  thaw_status status = errors ? separate(errors, error_bytes, &out->error) : THAW_OK;
  thaw_free(errors);
  for (size_t i = 0; i < out->error.count; i++) out->failed += out->error.item[i][0] != 0;
  return thaw_agree(comm, status);
}

thaw_status thaw_predict_files(thaw_comm *comm, const thaw_predict_desc *desc, thaw_log *log, thaw_predictions *out) {
  *out = (thaw_predictions){.count = (int64_t)thaw_import_reader_ids(desc->images)->count};
  predictor p = {0};
  thaw_status status = predictor_create(&p, desc, comm);
  thaw_progress_begin(log, "predict", "images", out->count);
  if (status == THAW_OK) status = predict_share(&p, log);
  thaw_progress_end(log, NULL);
  status = thaw_agree(comm, status);
  if (status == THAW_OK) status = gather(&p, comm, out);
  predictor_clear(&p);
  if (status != THAW_OK) thaw_predictions_clear(out);
  return status;
}

void thaw_predictions_clear(thaw_predictions *predictions) {
  thaw_free(predictions->y);
  thaw_strings_clear(&predictions->error);
  *predictions = (thaw_predictions){0};
}
