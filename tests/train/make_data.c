/* make_data FOLDER SAMPLES CLASSES SIDE SHARDS SEED: images of noise with a bright square whose place and colour tell
 * the class, in shards of different sizes, with a catalogue. */
#include "thaw/memory.h"
#include "thaw/rng.h"
#include "thaw/shard.h"
#include "thaw/text.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct request {
  const char *folder;
  int64_t samples, classes, side, shards, seed;
} request;

static void draw(const request *r, int64_t sample, int32_t label, uint8_t *pixels) {
  int64_t side = r->side, square = side / 3;
  thaw_draw at = {.seed = (uint64_t)r->seed, .purpose = THAW_RNG_TEST, .sample = (uint64_t)sample};
  for (int64_t i = 0; i < side * side * 3; i += 4) {
    uint32_t word[4];
    thaw_random4(&at, (uint32_t)(i / 4), word);
    for (int64_t j = 0; j < 4 && i + j < side * side * 3; j++) pixels[i + j] = (uint8_t)(word[j] >> 25);
  }
  int64_t top = label % 3 * square, left = label / 3 % 3 * square;
  for (int64_t y = top; y < top + square; y++)
    for (int64_t x = left; x < left + square; x++) pixels[(y * side + x) * 3 + label % 3] |= 128;
}

static thaw_status write_shard(const request *r, thaw_dataset_info *info, int64_t first, int64_t count,
                               const char *name, int64_t *histogram, char digest[65]) {
  size_t bytes = (size_t)(r->side * r->side * 3);
  uint8_t *pixels = thaw_new((size_t)count, bytes);
  int32_t *labels = thaw_new((size_t)count, sizeof *labels);
  char **ids = thaw_new((size_t)count, sizeof *ids), *path = thaw_path_join(r->folder, name);
  if (!pixels || !labels || !ids || !path) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < count; i++) {
    int64_t sample = first + i;
    labels[i] = (int32_t)((sample * 7 + sample / 11) % r->classes);
    histogram[labels[i]]++;
    draw(r, sample, labels[i], pixels + (size_t)i * bytes);
    ids[i] = thaw_format("image-%06lld", (long long)sample);
  }
  info->count = count;
  thaw_shard_rows rows = {.count = count, .pixels = pixels, .labels = labels, .ids = ids};
  thaw_status status = thaw_shard_write(path, info, &rows, 0, digest);
  for (int64_t i = 0; i < count; i++) thaw_free(ids[i]);
  thaw_free(ids);
  thaw_free(labels);
  thaw_free(pixels);
  thaw_free(path);
  return status;
}

static thaw_status make(const request *r) {
  thaw_dataset_info info = {.h = (int32_t)r->side,
                            .w = (int32_t)r->side,
                            .c = 3,
                            .bits = 8,
                            .value_max = 255,
                            .label_kind = THAW_LABEL_CLASS,
                            .label_width = 1};
  thaw_shard_entry *shard = thaw_new((size_t)r->shards, sizeof *shard);
  int64_t *histogram = thaw_new((size_t)r->classes, sizeof *histogram), first = 0;
  if (!shard || !histogram) return THAW_ERR_MEMORY;
  THAW_TRY(thaw_folder_create(r->folder));
  for (int64_t c = 0; c < r->classes; c++) {
    char name[32];
    snprintf(name, sizeof name, "class-%lld", (long long)c);
    THAW_TRY(thaw_strings_add(&info.classes, name));
  }
  for (int64_t s = 0; s < r->shards; s++) {
    int64_t end = s + 1 == r->shards ? r->samples : r->samples * (s + 1) * (s + 1) / (r->shards * r->shards);
    shard[s].file = thaw_format("part-%05lld.h5", (long long)s);
    shard[s].count = end - first;
    THAW_TRY(write_shard(r, &info, first, end - first, shard[s].file, histogram, shard[s].digest));
    first = end;
  }
  info.count = r->samples;
  char *path = thaw_path_join(r->folder, "catalog.yaml");
  thaw_status status = thaw_catalog_write(path, &info, shard, (int32_t)r->shards, histogram);
  for (int64_t s = 0; s < r->shards; s++) thaw_free(shard[s].file);
  thaw_free(shard);
  thaw_free(histogram);
  thaw_free(path);
  thaw_strings_clear(&info.classes);
  return status;
}

int main(int argc, char **argv) {
  request r = {0};
  int64_t *number[] = {&r.samples, &r.classes, &r.side, &r.shards, &r.seed};
  bool fine = argc == 7;
  for (int i = 0; fine && i < 5; i++) fine = thaw_parse_int(argv[2 + i], number[i]) == THAW_OK;
  if (!fine) {
    fprintf(stderr, "usage: make_data FOLDER SAMPLES CLASSES SIDE SHARDS SEED\n");
    return 2;
  }
  r.folder = argv[1];
  thaw_status status = make(&r);
  if (status != THAW_OK) fprintf(stderr, "error: %s\n", thaw_message());
  return thaw_exit_code(status);
}
