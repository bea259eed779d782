/* One block file: written whole or not at all, mapped for reading, each row proved by its checksum when first used. */
#include "feature/feature_private.h"
#include "thaw/h5.h"
#include "thaw/kernel.h"
#include "thaw/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int64_t thaw_block_first(const thaw_features *f, int32_t block) {
  return block * f->block_rows;
}

int64_t thaw_block_count(const thaw_features *f, int32_t block) {
  int64_t left = f->data->count - thaw_block_first(f, block);
  return left < f->block_rows ? left : f->block_rows;
}

char *thaw_block_path(const thaw_features *f, const thaw_view *view, int32_t block) {
  (void)f;
  return thaw_format("%s/block-%06d.h5", view->folder, block);
}

void thaw_block_samples(const thaw_features *f, int32_t block, uint64_t *out) {
  for (int64_t i = 0; i < thaw_block_count(f, block); i++) out[i] = (uint64_t)(thaw_block_first(f, block) + i);
}

/* The sample's index is part of it, so that a row in another row's place is found out. */
static uint64_t row_checksum(const thaw_features *f, const thaw_view *view, int64_t sample, const void *row) {
  return thaw_checksum(row, f->row_bytes, view->key_bits ^ (uint64_t)sample);
}

/* ------------------------------------------------------------------ writing */
static thaw_status write_content(const thaw_features *f, const thaw_view *view, int32_t block, const void *rows,
                                 const uint64_t *checksum, thaw_h5 *file) {
  thaw_h5_type type = f->storage == THAW_STORE_F16 ? THAW_H5_F16 : THAW_H5_F32;
  int64_t count = thaw_block_count(f, block);
  thaw_h5_layout features = {.type = type, .rank = 2, .dim = {count, (int64_t)f->floats}};
  thaw_h5_layout sums = {.type = THAW_H5_I64, .rank = 1, .dim = {count}};
  THAW_TRY(thaw_h5_set_text(file, "/", "format", "thaw-features"));
  THAW_TRY(thaw_h5_set_int(file, "/", "version", THAW_FEATURE_VERSION));
  THAW_TRY(thaw_h5_set_text(file, "/", "key", view->key));
  THAW_TRY(thaw_h5_set_int(file, "/", "first", thaw_block_first(f, block)));
  THAW_TRY(thaw_h5_write(file, "/checksum", &sums, checksum));
  return thaw_h5_write(file, "/features", &features, rows);
}

static thaw_status write_file(const thaw_features *f, const thaw_view *view, int32_t block, const char *path,
                              const void *rows, const uint64_t *checksum) {
  thaw_h5 *file;
  THAW_TRY(thaw_folder_create(view->folder)); /* another job's limit may have removed it */
  THAW_TRY(thaw_h5_create(path, &file));
  thaw_status status = write_content(f, view, block, rows, checksum, file);
  if (status == THAW_OK) return thaw_h5_publish(file); /* checksums find out what a power cut spoils */
  thaw_h5_close(file);
  return status;
}

thaw_status thaw_block_write(const thaw_features *f, const thaw_view *view, int32_t block, const void *rows) {
  int64_t count = thaw_block_count(f, block), first = thaw_block_first(f, block);
  uint64_t *checksum = thaw_new((size_t)count, sizeof *checksum);
  char *path = thaw_block_path(f, view, block);
  thaw_status status = checksum && path ? THAW_OK : THAW_ERR_MEMORY;
  for (int64_t i = 0; status == THAW_OK && i < count; i++)
    checksum[i] = row_checksum(f, view, first + i, (const char *)rows + (size_t)i * f->row_bytes);
  if (status == THAW_OK) status = write_file(f, view, block, path, rows, checksum);
  thaw_free(checksum);
  thaw_free(path);
  return status;
}

static thaw_status too_large(const thaw_features *f) {
  return thaw_fail(THAW_ERR_USAGE,
                   "cache.storage: float16 holds values up to 65,504, the features of %s are larger; "
                   "use float32",
                   f->cut_name);
}

/* In place: floats to halves at the start of the same memory, with what that loses. */
static thaw_status to_half(const thaw_features *f, float *x, int64_t rows, thaw_half_error *error) {
  uint16_t *out = (uint16_t *)(void *)x;
  float back[256];
  size_t count = (size_t)rows * f->floats;
  for (size_t at = 0; at < count; at += 256) {
    size_t n = count - at < 256 ? count - at : 256;
    uint16_t half[256];
    thaw_to_half(x + at, n, half);
    thaw_from_half(half, n, back);
    for (size_t i = 0; i < n; i++) {
      double value = x[at + i], difference = fabs(back[i] - value);
      if (!isfinite(back[i]) && isfinite(value)) return too_large(f);
      if (!error) continue;
      error->square += difference * difference;
      error->norm += value * value;
      if (difference > error->largest) error->largest = difference;
    }
    memcpy(out + at, half, n * sizeof *half); /* never ahead of what is still to be read */
  }
  return THAW_OK;
}

thaw_status thaw_block_buffer(thaw_features *f) {
  if (!f->block_float) f->block_float = thaw_new((size_t)f->block_rows, f->floats * sizeof *f->block_float);
  return f->block_float ? THAW_OK : THAW_ERR_MEMORY;
}

thaw_status thaw_block_finish(thaw_features *f, const thaw_view *view, int32_t block, thaw_half_error *error_out) {
  if (f->storage == THAW_STORE_F16) THAW_TRY(to_half(f, f->block_float, thaw_block_count(f, block), error_out));
  return thaw_block_write(f, view, block, f->block_float);
}

thaw_status thaw_block_make(thaw_features *f, const thaw_view *view, int32_t block, thaw_half_error *error_out) {
  int64_t count = thaw_block_count(f, block);
  THAW_TRY(thaw_block_buffer(f));
  uint64_t *sample = thaw_new((size_t)count, sizeof *sample);
  if (!sample) return THAW_ERR_MEMORY;
  thaw_block_samples(f, block, sample);
  thaw_status status = thaw_feature_compute(f, sample, (int32_t)count, view->view, f->block_float);
  if (status == THAW_OK) status = thaw_block_finish(f, view, block, error_out);
  thaw_free(sample);
  return status;
}

/* ------------------------------------------------------------------ reading */
static thaw_status check_attributes(const thaw_features *f, const thaw_view *view, int32_t block, thaw_h5 *file) {
  int64_t version, first;
  char *key;
  THAW_TRY(thaw_h5_get_int(file, "/", "version", &version));
  if (version != THAW_FEATURE_VERSION)
    return thaw_fail(THAW_ERR_DATA, "%s: format version %lld, expected %d", thaw_h5_path(file), (long long)version,
                     THAW_FEATURE_VERSION);
  THAW_TRY(thaw_h5_get_int(file, "/", "first", &first));
  if (first != thaw_block_first(f, block))
    return thaw_fail(THAW_ERR_DATA, "%s: holds samples from %lld, expected from %lld", thaw_h5_path(file),
                     (long long)first, (long long)thaw_block_first(f, block));
  THAW_TRY(thaw_h5_get_text(file, "/", "key", &key));
  bool same = strcmp(key, view->key) == 0;
  thaw_free(key);
  return same ? THAW_OK : thaw_fail(THAW_ERR_DATA, "%s: belongs to other features (key)", thaw_h5_path(file));
}

static thaw_status check_shape(const thaw_features *f, int64_t count, thaw_h5 *file, int64_t *offset_out) {
  thaw_h5_info info;
  thaw_h5_type type = f->storage == THAW_STORE_F16 ? THAW_H5_F16 : THAW_H5_F32;
  THAW_TRY(thaw_h5_describe(file, "/features", &info));
  if (info.type != type || info.rank != 2 || info.dim[0] != count || info.dim[1] != (int64_t)f->floats)
    return thaw_fail(THAW_ERR_DATA, "%s: /features is %s [%lld][%lld], expected %s [%lld][%zu]", thaw_h5_path(file),
                     thaw_h5_type_name(info.type), (long long)info.dim[0], (long long)info.dim[1],
                     thaw_h5_type_name(type), (long long)count, f->floats);
  THAW_TRY(thaw_h5_offset(file, "/features", offset_out));
  int64_t needed = *offset_out + count * (int64_t)f->row_bytes, size = thaw_file_size(thaw_h5_path(file));
  if (*offset_out < 0 || needed > size)
    return thaw_fail(THAW_ERR_DATA, "%s: %lld bytes, expected at least %lld: truncated", thaw_h5_path(file),
                     (long long)size, (long long)needed);
  return THAW_OK;
}

static thaw_status map_file(const char *path, size_t bytes, void **out) {
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return thaw_fail(THAW_ERR_DATA, "%s: cannot be read: %s", path, strerror(errno));
  void *map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, file, 0);
  close(file);
  if (map == MAP_FAILED) return thaw_fail(THAW_ERR_DATA, "%s: cannot be mapped: %s", path, strerror(errno));
  *out = map;
  return THAW_OK;
}

static thaw_status open_content(const thaw_features *f, const thaw_view *view, int32_t block, thaw_h5 *file,
                                thaw_block *out) {
  int64_t offset, count = thaw_block_count(f, block);
  THAW_TRY(check_attributes(f, view, block, file));
  THAW_TRY(check_shape(f, count, file, &offset));
  out->checksum = thaw_new((size_t)count, sizeof *out->checksum);
  out->verified = thaw_new((size_t)count, sizeof *out->verified);
  if (!out->checksum || !out->verified) return THAW_ERR_MEMORY;
  THAW_TRY(thaw_h5_read(file, "/checksum", THAW_H5_I64, count, out->checksum));
  size_t bytes = (size_t)offset + (size_t)count * f->row_bytes;
  THAW_TRY(map_file(thaw_h5_path(file), bytes, &out->map));
  out->map_bytes = bytes;
  out->rows = (const char *)out->map + offset;
  return THAW_OK;
}

thaw_status thaw_block_open(const thaw_features *f, thaw_view *view, int32_t block, bool *missing_out) {
  thaw_block *out = &view->block[block];
  *missing_out = false;
  if (out->map) return THAW_OK;
  char *path = thaw_block_path(f, view, block);
  if (!path) return THAW_ERR_MEMORY;
  *missing_out = !thaw_file_exists(path);
  thaw_h5 *file;
  thaw_status status = *missing_out ? THAW_ERR_DATA : thaw_h5_open(path, &file);
  if (status == THAW_OK) {
    status = open_content(f, view, block, file, out);
    thaw_h5_close(file);
  }
  if (status != THAW_OK) thaw_block_close(out);
  thaw_free(path);
  return status;
}

void thaw_block_close(thaw_block *block) {
  if (block->map) munmap(block->map, block->map_bytes);
  thaw_free(block->checksum);
  thaw_free(block->verified);
  *block = (thaw_block){0};
}

const void *thaw_block_row(const thaw_features *f, thaw_view *view, int32_t block, int64_t row) {
  thaw_block *b = &view->block[block];
  const char *data = b->rows + (size_t)row * f->row_bytes;
  if (b->verified[row]) return data;
  if (row_checksum(f, view, thaw_block_first(f, block) + row, data) != b->checksum[row]) return NULL;
  b->verified[row] = 1;
  return data;
}
