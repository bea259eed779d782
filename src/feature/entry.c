/* The cache folder: one sub-folder per key, their sizes and ages, and the limit. */
#include "feature/feature_private.h"
#include "thaw/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A temporary file of another host is left alone until it is this old: writing a block takes seconds. */
static const double stale_seconds = 3600;
static const char mark[] = "last_used";

double thaw_wall_clock(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ------------------------------------------------------------------ looking */
static bool is_entry(const char *name) {
  size_t digits = strspn(name, "0123456789abcdef");
  return digits == 32 && !name[digits];
}

static bool is_block(const char *name) {
  size_t length = strlen(name);
  return strncmp(name, "block-", 6) == 0 && length > 3 && strcmp(name + length - 3, ".h5") == 0;
}

static void add_file(const char *folder, const char *name, thaw_entry *entry) {
  struct stat info;
  char *path = thaw_path_join(folder, name);
  if (path && stat(path, &info) == 0) {
    entry->bytes += info.st_size;
    entry->blocks += is_block(name);
    double changed = (double)info.st_mtim.tv_sec + 1e-9 * (double)info.st_mtim.tv_nsec;
    if (changed > entry->last_used) entry->last_used = changed;
  }
  thaw_free(path);
}

static thaw_status measure(const char *folder, const char *name, thaw_entry *out) {
  char *path = thaw_path_join(folder, name);
  thaw_strings files = {0};
  out->name = thaw_copy_text(name);
  thaw_status status = path && out->name ? THAW_OK : THAW_ERR_MEMORY;
  if (status == THAW_OK) status = thaw_folder_list(path, &files);
  if (status == THAW_ERR_DATA) status = THAW_OK; /* another job has just removed it */
  for (size_t i = 0; i < files.count; i++) add_file(path, files.item[i], out);
  thaw_strings_clear(&files);
  thaw_free(path);
  return status;
}

thaw_status thaw_entries_read(const char *folder, thaw_entries *out) {
  *out = (thaw_entries){0};
  if (!thaw_folder_exists(folder)) return THAW_OK;
  thaw_strings names = {0};
  thaw_status status = thaw_folder_list(folder, &names);
  for (size_t i = 0; i < names.count && status == THAW_OK; i++) {
    if (!is_entry(names.item[i])) continue;
    if (thaw_grow((void **)&out->item, out->count, &out->capacity, sizeof *out->item) != 0)
      status = THAW_ERR_MEMORY;
    else
      status = measure(folder, names.item[i], &out->item[out->count++]);
  }
  thaw_strings_clear(&names);
  if (status != THAW_OK) thaw_entries_clear(out);
  return status;
}

void thaw_entries_clear(thaw_entries *entries) {
  for (size_t i = 0; i < entries->count; i++) thaw_free(entries->item[i].name);
  thaw_free(entries->item);
  *entries = (thaw_entries){0};
}

/* ------------------------------------------------------------------ one entry */
static thaw_status describe(const thaw_features *f, const thaw_view *view, thaw_text *out) {
  thaw_input input = f->input;
  input.augment.enabled = view->view >= 0;
  thaw_text_add(out, "format: thaw-features\nversion: %d\nkey: %s\ncut: ", THAW_FEATURE_VERSION, view->key);
  thaw_text_add_json(out, f->cut_name);
  thaw_text_add(out, "\nvalues: %zu\nsamples: %lld\nblocks: %d\nblock_samples: %lld\nview: %d\nstorage: %s\ndata: ",
                f->floats, (long long)f->data->count, f->blocks, (long long)f->block_rows, view->view,
                f->storage == THAW_STORE_F16 ? "float16" : "float32");
  thaw_text_add_json(out, thaw_catalog_path(f->catalog));
  thaw_text_add(out, "\ndata_digest: %s\nweights_digest: %s\ninput: \"", f->data->digest, f->weights_digest);
  thaw_input_key(&input, out);
  thaw_text_add(out, "\"\n");
  return out->failed ? THAW_ERR_MEMORY : THAW_OK;
}

/* "...tmp-HOST-PID" whose process is gone, or that is old. */
static bool is_abandoned(const char *path) {
  const char *tail = strstr(thaw_path_name(path), ".tmp-");
  if (!tail) return false;
  tail += 5;
  char host[64] = "host";
  gethostname(host, sizeof host - 1);
  const char *dash = strrchr(tail, '-');
  struct stat info;
  if (stat(path, &info) != 0) return false;
  if (thaw_wall_clock() - (double)info.st_mtim.tv_sec > stale_seconds) return true;
  int64_t process;
  bool here = dash && strlen(host) == (size_t)(dash - tail) && memcmp(host, tail, strlen(host)) == 0;
  if (!here || thaw_parse_int(dash + 1, &process) != THAW_OK || process <= 0) return false;
  return kill((pid_t)process, 0) != 0 && errno == ESRCH;
}

static void remove_abandoned(const char *folder) {
  thaw_strings files = {0};
  if (thaw_folder_list(folder, &files) != THAW_OK) return;
  for (size_t i = 0; i < files.count; i++) {
    char *path = thaw_path_join(folder, files.item[i]);
    if (path && is_abandoned(path)) unlink(path);
    thaw_free(path);
  }
  thaw_strings_clear(&files);
}

void thaw_entry_touch(const thaw_view *view) {
  char *path = thaw_path_join(view->folder, mark);
  if (!path) return;
  int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (file >= 0) {
    futimens(file, NULL); /* a failure makes the entry look older, no more */
    close(file);
  }
  thaw_free(path);
}

thaw_status thaw_entry_prepare(const thaw_features *f, const thaw_view *view) {
  THAW_TRY(thaw_folder_create(view->folder));
  remove_abandoned(view->folder);
  thaw_entry_touch(view);
  char *path = thaw_path_join(view->folder, "entry.yaml");
  thaw_text text = {0};
  thaw_status status = path ? describe(f, view, &text) : THAW_ERR_MEMORY;
  if (status == THAW_OK && !thaw_file_exists(path)) status = thaw_file_write(path, text.data, text.length);
  thaw_text_clear(&text);
  thaw_free(path);
  return status;
}

/* ------------------------------------------------------------------ the limit */
/* Blocks first, so that a kill in between leaves an entry that is merely incomplete. */
static void remove_entry(const char *folder, const char *name) {
  char *path = thaw_path_join(folder, name);
  thaw_strings files = {0};
  if (path && thaw_folder_list(path, &files) == THAW_OK) {
    for (size_t i = 0; i < files.count; i++) {
      char *file = thaw_path_join(path, files.item[i]);
      if (file) unlink(file);
      thaw_free(file);
    }
    rmdir(path);
  }
  thaw_strings_clear(&files);
  thaw_free(path);
}

static int by_age(const void *a, const void *b) {
  double left = ((const thaw_entry *)a)->last_used, right = ((const thaw_entry *)b)->last_used;
  return (left > right) - (left < right);
}

thaw_status thaw_entries_limit(thaw_features *f, const thaw_view *view, double needed, bool *fits_out) {
  *fits_out = true;
  if (f->limit_bytes <= 0) return THAW_OK;
  thaw_entries entries;
  THAW_TRY(thaw_entries_read(f->cache_folder, &entries));
  double total = needed;
  for (size_t i = 0; i < entries.count; i++) total += (double)entries.item[i].bytes;
  if (entries.count) qsort(entries.item, entries.count, sizeof *entries.item, by_age);
  for (size_t i = 0; i < entries.count && total > f->limit_bytes; i++) {
    const thaw_entry *entry = &entries.item[i];
    if (entry->last_used >= f->opened || strcmp(entry->name, thaw_path_name(view->folder)) == 0) continue;
    char bytes[32];
    thaw_info(f->log, "feature cache: removing %.8s, the least recently used (%s)", entry->name,
              thaw_format_bytes((double)entry->bytes, bytes));
    remove_entry(f->cache_folder, entry->name);
    total -= (double)entry->bytes;
  }
  *fits_out = total <= f->limit_bytes;
  thaw_entries_clear(&entries);
  return THAW_OK;
}
