/* damage TIMES CUTS SEED JOB RUN STARTED FILE NAMED EXPECTED: flips TIMES random bits of FILE, one at a time, and cuts
 * it short CUTS times. After each change the job is trained as `thaw train` does it, on one rank and in this process,
 * anew (STARTED "-") or resumed from a copy of the folder STARTED. The change must be found, with exit code 3 and a
 * message that names NAMED, or be harmless: parameters with the digest EXPECTED. Prints the counts; exit code 1 after
 * anything else. */
#include "thaw/comm.h"
#include "thaw/file.h"
#include "thaw/layer.h"
#include "thaw/log.h"
#include "thaw/loss.h"
#include "thaw/memory.h"
#include "thaw/optim.h"
#include "thaw/rng.h"
#include "thaw/text.h"
#include "thaw/train.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct damage {
  const char *run, *started, *file, *named, *expected;
  thaw_comm *comm;
  thaw_log *log;
  thaw_job *job;
  char *whole; /* the file's content */
  size_t size;
  int detected, repaired, harmless, wrong;
} damage;

static thaw_status read_job(const char *path, thaw_job **out) {
  const thaw_job_schemas schemas = {.layers = thaw_layer_head_schemas(),
                                    .losses = thaw_loss_schemas(),
                                    .optimizers = thaw_optim_schemas(),
                                    .schedules = thaw_schedule_schemas()};
  char *text;
  size_t size;
  THAW_TRY(thaw_file_read(path, 1 << 20, &text, &size));
  thaw_status status = thaw_job_parse(path, text, size, &schemas, out);
  thaw_free(text);
  return status;
}

/* Without fsync: nobody pulls a plug here. */
static thaw_status put_file(const char *path, const char *data, size_t size) {
  FILE *file = fopen(path, "wb");
  bool done = file && fwrite(data, 1, size, file) == size;
  if (file && fclose(file) != 0) done = false;
  return done ? THAW_OK : thaw_fail(THAW_ERR_DISK, "%s: cannot be written", path);
}

static thaw_status copy_file(const char *from, const char *to) {
  char *data;
  size_t size;
  THAW_TRY(thaw_file_read(from, (size_t)1 << 30, &data, &size));
  thaw_status status = put_file(to, data, size);
  thaw_free(data);
  return status;
}

/* What `to` held is gone first, but for files of folders in it, which are written over. */
static thaw_status copy_folder(const char *from, const char *to) {
  thaw_strings names = {0};
  THAW_TRY(thaw_folder_create(to));
  thaw_status status = thaw_folder_list(to, &names);
  for (size_t i = 0; i < names.count && status == THAW_OK; i++) {
    char *path = thaw_path_join(to, names.item[i]);
    if (path) unlink(path);
    thaw_free(path);
  }
  thaw_strings_clear(&names);
  if (status == THAW_OK) status = thaw_folder_list(from, &names);
  for (size_t i = 0; i < names.count && status == THAW_OK; i++) {
    char *source = thaw_path_join(from, names.item[i]), *target = thaw_path_join(to, names.item[i]);
    const bool whole = source && target;
    status = !whole                       ? THAW_ERR_MEMORY
             : thaw_folder_exists(source) ? copy_folder(source, target)
                                          : copy_file(source, target);
    thaw_free(source);
    thaw_free(target);
  }
  thaw_strings_clear(&names);
  return status;
}

/* What went to the standard error since the last call, in `text`. */
static void take_warnings(char *text, size_t size) {
  fflush(stderr);
  rewind(stderr);
  size_t got = fread(text, 1, size - 1, stderr);
  text[got] = 0;
  rewind(stderr);
  if (ftruncate(fileno(stderr), 0) != 0) text[0] = 0;
}

static bool warned(const char *warnings, const char *named) {
  return strstr(warnings, "warning: ") && strstr(warnings, named);
}

static thaw_status train_once(damage *d, bool *not_copied, char digest[65]) {
  thaw_train_result result = {0};
  thaw_train_options options = {.resume = strcmp(d->started, "-") != 0, .overwrite = strcmp(d->started, "-") == 0};
  *not_copied = false;
  if (options.resume) {
    /* The run folder is a copy of STARTED, of which FILE may be a part. */
    thaw_status status = copy_folder(d->started, d->run);
    *not_copied = status != THAW_OK;
    THAW_TRY(status);
  }
  thaw_status status = thaw_train(d->comm, d->job, &options, d->log, &result);
  memcpy(digest, result.parameters_digest, 65);
  return status;
}

static void judge(damage *d, const char *change) {
  char digest[65] = "", warnings[4096];
  bool broken;
  thaw_status status = train_once(d, &broken, digest);
  char *message = thaw_copy_text(status == THAW_OK ? "" : thaw_message());
  take_warnings(warnings, sizeof warnings);
  if (status == THAW_OK && strcmp(digest, d->expected) == 0)
    *(warned(warnings, d->named) ? &d->repaired : &d->harmless) += 1;
  else if (!broken && thaw_exit_code(status) == 3 && message && strstr(message, d->named))
    d->detected++;
  else {
    d->wrong++;
    printf("FAILED: %s, %s: code %d, digest '%.12s' instead of '%.12s': %s %s\n", d->file, change,
           thaw_exit_code(status), digest, d->expected, message ? message : "", warnings);
  }
  fflush(stdout);
  thaw_free(message);
}

static void flip_and_judge(damage *d, const thaw_draw *at, uint32_t number) {
  uint32_t word[4];
  char change[64];
  thaw_random4(at, number, word);
  size_t offset = (size_t)(((uint64_t)word[0] << 32 | word[1]) % d->size);
  int bit = (int)(word[2] % 8);
  snprintf(change, sizeof change, "bit %d of byte %zu", bit, offset);
  d->whole[offset] = (char)(d->whole[offset] ^ (1 << bit));
  if (put_file(d->file, d->whole, d->size) == THAW_OK) judge(d, change);
  d->whole[offset] = (char)(d->whole[offset] ^ (1 << bit));
}

static void cut_and_judge(damage *d, const thaw_draw *at, uint32_t number) {
  uint32_t word[4];
  char change[64];
  thaw_random4(at, number, word);
  size_t size = (size_t)(((uint64_t)word[0] << 32 | word[1]) % d->size);
  snprintf(change, sizeof change, "cut to %zu bytes", size);
  if (put_file(d->file, d->whole, size) == THAW_OK) judge(d, change);
}

static thaw_status run(damage *d, const char *job, int64_t times, int64_t cuts, int64_t seed) {
  thaw_draw at = {.seed = (uint64_t)seed, .purpose = THAW_RNG_TEST};
  THAW_TRY(thaw_file_read(d->file, (size_t)1 << 30, &d->whole, &d->size));
  THAW_TRY(read_job(job, &d->job));
  d->job->output = thaw_arena_text(d->job->arena, d->run);
  for (int64_t i = 0; i < times; i++) flip_and_judge(d, &at, (uint32_t)i);
  for (int64_t i = 0; i < cuts; i++) cut_and_judge(d, &at, (uint32_t)(times + i));
  THAW_TRY(put_file(d->file, d->whole, d->size));
  judge(d, "whole again");
  d->harmless--; /* the last one was no change */
  printf("%d detected, %d repaired, %d harmless, %d wrong\n", d->detected, d->repaired, d->harmless, d->wrong);
  return d->wrong ? THAW_ERR_INTERNAL : THAW_OK;
}

int main(int argc, char **argv) {
  damage d = {0};
  int64_t times, cuts, seed;
  if (argc != 10 || thaw_parse_int(argv[1], &times) != THAW_OK || thaw_parse_int(argv[2], &cuts) != THAW_OK ||
      thaw_parse_int(argv[3], &seed) != THAW_OK || !freopen("messages", "w+", stderr)) {
    fputs("damage TIMES CUTS SEED JOB RUN STARTED FILE NAMED EXPECTED\n", stderr);
    return 2;
  }
  d.run = argv[5], d.started = argv[6], d.file = argv[7], d.named = argv[8], d.expected = argv[9];
  FILE *nowhere = fopen("/dev/null", "w");
  thaw_status status = thaw_comm_create(&argc, &argv, &d.comm);
  if (status != THAW_OK || !nowhere) return 1;
  status = thaw_log_create(nowhere, THAW_QUIET, &d.log);
  if (status == THAW_OK) status = run(&d, argv[4], times, cuts, seed);
  if (status != THAW_OK && !d.wrong) printf("FAILED: %s\n", thaw_message());
  thaw_job_destroy(d.job);
  thaw_free(d.whole);
  thaw_log_destroy(d.log);
  fclose(nowhere);
  thaw_comm_destroy(d.comm);
  return status != THAW_OK;
}
