/* large_data: data sets of many tiny images, written quickly, and the order in which an epoch draws them; for
 * jobs/large-data.sh.
 *
 *   large_data make FOLDER SAMPLES SHARDS SIDE PER_GROUP HASHES SEED
 *       grey noise of SIDE x SIDE pixels in two classes; a group per PER_GROUP samples (0: none); HASHES 1: hashes.txt
 *       with 64 random bits a sample, which stand for looks
 *   large_data order SAMPLES BATCH RANKS CHUNK WINDOW
 *       plans rank 0's share of every step of an epoch (CHUNK 0: full); checks that RANKS 1 draws each sample once */
#include "thaw/leak.h"
#include "thaw/loader.h"
#include "thaw/memory.h"
#include "thaw/rng.h"
#include "thaw/text.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

typedef struct request {
  const char *folder;
  int64_t samples, shards, side, per_group, hashes, seed;
} request;

static uint64_t random64(const request *r, int64_t sample, uint32_t lane) {
  const thaw_draw at = {.seed = (uint64_t)r->seed, .purpose = THAW_RNG_TEST, .sample = (uint64_t)sample, .lane = lane};
  uint32_t word[4];
  thaw_random4(&at, 0, word);
  return (uint64_t)word[1] << 32 | word[0];
}

static void free_names(char **name, int64_t count) {
  for (int64_t i = 0; name && i < count; i++) thaw_free(name[i]);
  thaw_free(name);
}

/* Names of one shard's rows; the set's seed is part of them, so that two sets have none in common. */
static char **make_names(const request *r, const char *word, int64_t first, int64_t count, int64_t each) {
  char **name = thaw_new((size_t)count, sizeof *name);
  for (int64_t i = 0; name && i < count; i++)
    name[i] = thaw_format("%s-%lld-%09lld", word, (long long)r->seed, (long long)((first + i) / each));
  return name;
}

static thaw_status write_shard(const request *r, thaw_dataset_info *info, int64_t first, thaw_shard_entry *shard,
                               int64_t *histogram) {
  const int64_t bytes = r->side * r->side, count = shard->count;
  uint8_t *pixels = thaw_new((size_t)(count * bytes), 1);
  int32_t *labels = thaw_new((size_t)count, sizeof *labels);
  if (!pixels || !labels) return THAW_ERR_MEMORY;
  uint64_t word = random64(r, first, 1);
  for (int64_t i = 0; i < count * bytes; i++, word = word * 6364136223846793005u + 1442695040888963407u)
    pixels[i] = (uint8_t)(word >> 56);
  for (int64_t i = 0; i < count; i++) histogram[labels[i] = pixels[i * bytes] & 1]++;
  const thaw_shard_rows rows = {.count = count,
                                .pixels = pixels,
                                .labels = labels,
                                .ids = make_names(r, "image", first, count, 1),
                                .groups = r->per_group ? make_names(r, "patient", first, count, r->per_group) : NULL};
  char *path = thaw_path_join(r->folder, shard->file);
  info->count = count;
  thaw_status status = rows.ids && path ? thaw_shard_write(path, info, &rows, 0, shard->digest) : THAW_ERR_MEMORY;
  free_names((char **)rows.ids, count);
  free_names((char **)rows.groups, count);
  thaw_free(path);
  thaw_free(labels);
  thaw_free(pixels);
  return status;
}

static thaw_status write_hashes(const request *r, const char *path) {
  thaw_catalog *catalog;
  THAW_TRY(thaw_catalog_open(path, &catalog));
  uint64_t *hash = thaw_new((size_t)r->samples, sizeof *hash);
  for (int64_t i = 0; hash && i < r->samples; i++) hash[i] = random64(r, i, 2) | 1;
  thaw_status status =
      hash ? thaw_hashes_write(path, thaw_catalog_info(catalog)->digest, hash, r->samples) : THAW_ERR_MEMORY;
  thaw_free(hash);
  thaw_catalog_close(catalog);
  return status;
}

static thaw_status write_all(const request *r, thaw_dataset_info *info, thaw_shard_entry *shard) {
  int64_t histogram[2] = {0, 0};
  THAW_TRY(thaw_folder_create(r->folder));
  for (int64_t s = 0; s < r->shards; s++) {
    const int64_t first = r->samples * s / r->shards;
    shard[s].file = thaw_format("part-%05lld.h5", (long long)s);
    shard[s].count = r->samples * (s + 1) / r->shards - first;
    if (!shard[s].file) return THAW_ERR_MEMORY;
    THAW_TRY(write_shard(r, info, first, &shard[s], histogram));
  }
  info->count = r->samples;
  char *path = thaw_path_join(r->folder, "catalog.yaml");
  thaw_status status = path ? thaw_catalog_write(path, info, shard, (int32_t)r->shards, histogram) : THAW_ERR_MEMORY;
  if (status == THAW_OK && r->hashes) status = write_hashes(r, path);
  thaw_free(path);
  return status;
}

static thaw_status make(const request *r) {
  thaw_dataset_info info = {.h = (int32_t)r->side,
                            .w = (int32_t)r->side,
                            .c = 1,
                            .bits = 8,
                            .value_max = 255,
                            .label_kind = THAW_LABEL_CLASS,
                            .label_width = 1};
  thaw_shard_entry *shard = thaw_new((size_t)r->shards, sizeof *shard);
  THAW_TRY(thaw_strings_add(&info.classes, "even"));
  THAW_TRY(thaw_strings_add(&info.classes, "odd"));
  thaw_status status = shard ? write_all(r, &info, shard) : THAW_ERR_MEMORY;
  for (int64_t s = 0; shard && s < r->shards; s++) thaw_free(shard[s].file);
  thaw_free(shard);
  thaw_strings_clear(&info.classes);
  return status;
}

/* ------------------------------------------------------------------ order */

/* Prints the processor's time for the shares of all steps, and the process's largest memory so far. */
static thaw_status order(int64_t samples, int64_t batch, int64_t ranks, int64_t chunk, int64_t window) {
  const thaw_epoch epoch = {.seed = 1,
                            .epoch = 3,
                            .samples = samples,
                            .batch = (int32_t)batch,
                            .slice = 16,
                            .shuffle = true,
                            .chunk = (int32_t)chunk,
                            .window = (int32_t)window};
  thaw_step_share share;
  uint64_t sum = 0;
  THAW_TRY(thaw_step_share_create(&epoch, (int)ranks, &share));
  const clock_t start = clock();
  for (int64_t step = 0; step < thaw_epoch_steps(&epoch); step++) {
    thaw_step_share_plan(&epoch, step, 0, (int)ranks, &share);
    for (int32_t i = 0; i < share.samples; i++) sum += share.sample[i];
  }
  const double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
  thaw_step_share_clear(&share);
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  if (ranks == 1 && sum != (uint64_t)samples * (uint64_t)(samples - 1) / 2)
    return thaw_fail(THAW_ERR_INTERNAL, "the samples of the epoch add up to %llu", (unsigned long long)sum);
  printf("%.3f %.1f\n", seconds, (double)usage.ru_maxrss / 1024);
  return THAW_OK;
}

int main(int argc, char **argv) {
  int64_t number[6] = {0};
  const bool making = argc == 9 && strcmp(argv[1], "make") == 0, ordering = argc == 7 && strcmp(argv[1], "order") == 0;
  bool fine = making || ordering;
  for (int i = 0, from = making ? 3 : 2; fine && from + i < argc; i++)
    fine = thaw_parse_int(argv[from + i], &number[i]) == THAW_OK;
  if (!fine) {
    fprintf(stderr, "usage: large_data make FOLDER SAMPLES SHARDS SIDE PER_GROUP HASHES SEED\n"
                    "       large_data order SAMPLES BATCH RANKS CHUNK WINDOW\n");
    return 2;
  }
  const request r = {argv[2], number[0], number[1], number[2], number[3], number[4], number[5]};
  const thaw_status status = making ? make(&r) : order(number[0], number[1], number[2], number[3], number[4]);
  if (status != THAW_OK) fprintf(stderr, "error: %s\n", thaw_message());
  return thaw_exit_code(status);
}
