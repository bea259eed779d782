/* shard_support.h: a folder for a test's files and shards with known content. */
#ifndef THAW_SHARD_SUPPORT_H
#define THAW_SHARD_SUPPORT_H

#include "thaw/file.h"
#include "thaw/memory.h"
#include "thaw/shard.h"
#include "thaw/text.h"
#include "thaw_test.h"

#include <stdlib.h>

enum { SHARD_H = 5, SHARD_W = 4, SHARD_C = 3, SHARD_PIXELS = SHARD_H * SHARD_W * SHARD_C };

static char folder[64];

static inline int make_folder(void **state) {
  (void)state;
  snprintf(folder, sizeof folder, "/tmp/thaw-shard-XXXXXX");
  return mkdtemp(folder) ? 0 : -1;
}

static inline int remove_folder(void **state) {
  (void)state;
  char command[128];
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  return system(command);
}

/* "folder/name", valid until the next but three calls. */
static inline const char *in_folder(const char *name) {
  static char path[4][256];
  static int next;
  next = (next + 1) % 4;
  snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
  return path[next];
}

static inline void write_text(const char *name, const char *text) {
  assert_thaw_ok(thaw_file_write(in_folder(name), text, strlen(text)));
}

static inline thaw_dataset_info class_info(void) {
  thaw_dataset_info info = {.h = SHARD_H, .w = SHARD_W, .c = SHARD_C, .bits = 8, .value_max = 255, .label_width = 1};
  assert_thaw_ok(thaw_strings_add(&info.classes, "cat"));
  assert_thaw_ok(thaw_strings_add(&info.classes, "dog"));
  assert_thaw_ok(thaw_strings_add(&info.classes, "m\xc3\xa4use: \"grey\""));
  return info;
}

static inline uint8_t pixel_of(int64_t sample, int64_t i) {
  return (uint8_t)(sample * 31 + i * 7);
}

/* Samples first .. first + count - 1 of the imagined data set, labels sample % 3. */
static inline void write_classes(const char *name, int64_t first, int64_t count, const int32_t *labels,
                                 char digest[65]) {
  thaw_dataset_info info = class_info();
  uint8_t *pixels = thaw_new((size_t)(count * SHARD_PIXELS), 1);
  int32_t *label = thaw_new((size_t)count, sizeof *label);
  char **id = thaw_new((size_t)count, sizeof *id), **group = thaw_new((size_t)count, sizeof *group);
  for (int64_t i = 0; i < count; i++) {
    for (int64_t k = 0; k < SHARD_PIXELS; k++) pixels[i * SHARD_PIXELS + k] = pixel_of(first + i, k);
    label[i] = labels ? labels[i] : (int32_t)((first + i) % 3);
    id[i] = thaw_format("id-%lld", (long long)(first + i));
    group[i] = thaw_format("patient-%lld", (long long)((first + i) / 2));
  }
  const thaw_shard_rows rows = {count, pixels, label, id, group};
  assert_thaw_ok(thaw_shard_write(in_folder(name), &info, &rows, 0, digest));
  for (int64_t i = 0; i < count; i++) {
    thaw_free(id[i]);
    thaw_free(group[i]);
  }
  thaw_free(group);
  thaw_free(id);
  thaw_free(label);
  thaw_free(pixels);
  thaw_strings_clear(&info.classes);
}

/* Three shards of 4, 1 and 5 samples and their catalogue. */
static inline void write_catalog(void) {
  thaw_shard_entry entry[3] = {
      {.file = (char *)"a.h5", .count = 4}, {.file = (char *)"b.h5", .count = 1}, {.file = (char *)"c.h5", .count = 5}};
  const int64_t histogram[3] = {4, 3, 3};
  thaw_dataset_info info = class_info();
  for (int64_t i = 0, first = 0; i < 3; first += entry[i++].count)
    write_classes(entry[i].file, first, entry[i].count, NULL, entry[i].digest);
  assert_thaw_ok(thaw_catalog_write(in_folder("catalog.yaml"), &info, entry, 3, histogram));
  thaw_strings_clear(&info.classes);
}

#endif
