/* The run folder: one job, one run; nothing is overwritten unless asked for. */
#include "thaw/log.h"
#include "thaw/memory.h"
#include "train/train_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum { MOST_KEY = 1 << 24 };

/* ------------------------------------------------------------------ looking */

/* The first line in which two texts differ, without its newline. */
static void first_difference(const char *a, const char *b, char out_a[128], char out_b[128]) {
  while (*a && *b) {
    const char *end_a = strchr(a, '\n'), *end_b = strchr(b, '\n');
    size_t length_a = end_a ? (size_t)(end_a - a) : strlen(a), length_b = end_b ? (size_t)(end_b - b) : strlen(b);
    if (length_a != length_b || memcmp(a, b, length_a) != 0) break;
    a += length_a + (end_a != NULL);
    b += length_b + (end_b != NULL);
  }
  while (*a == ' ') a++;
  while (*b == ' ') b++;
  snprintf(out_a, 128, "%.*s", (int)strcspn(a, "\n"), a);
  snprintf(out_b, 128, "%.*s", (int)strcspn(b, "\n"), b);
}

static thaw_status compare_keys(const train_folder *folder, const char *path, bool *same_out, char there[128],
                                char here[128]) {
  char *text;
  THAW_TRY(thaw_file_read(path, MOST_KEY, &text, NULL));
  *same_out = strcmp(text, folder->key) == 0;
  if (!*same_out) first_difference(text, folder->key, there, here);
  thaw_free(text);
  return THAW_OK;
}

static bool holds_checkpoint(const char *path) {
  thaw_strings names = {0};
  bool found = train_checkpoint_list(path, &names) != THAW_OK || names.count > 0;
  thaw_strings_clear(&names);
  return found;
}

static thaw_status check_earlier_run(train_folder *folder, const thaw_train_options *options, const char *key_path) {
  bool same = true;
  char there[128] = "", here[128] = "";
  folder->used = true;
  if (options->overwrite) return THAW_OK;
  THAW_TRY(compare_keys(folder, key_path, &same, there, here));
  if (!same)
    return thaw_fail(THAW_ERR_USAGE,
                     "%s: holds the run of another job ('%s' there, '%s' here): give this job another name or output, "
                     "or --overwrite to lose the earlier run",
                     folder->path, there, here);
  if (options->resume || !holds_checkpoint(folder->path)) return THAW_OK; /* without one there is nothing to lose */
  return thaw_fail(THAW_ERR_USAGE,
                   "%s: holds an earlier run of this job: --resume goes on with it, --overwrite starts "
                   "anew and loses it",
                   folder->path);
}

/* The newest whole checkpoint; damaged ones are told and passed over. */
static thaw_status find_checkpoint(train_folder *folder, thaw_log *log) {
  thaw_strings names = {0};
  thaw_status status = train_checkpoint_list(folder->path, &names);
  for (size_t i = names.count; i > 0 && status == THAW_OK && !folder->resume; i--) {
    char *path = thaw_path_join(folder->path, names.item[i - 1]);
    train_state state = {0};
    thaw_status readable = path ? train_checkpoint_read(path, &state) : THAW_ERR_MEMORY;
    train_state_clear(&state);
    if (readable == THAW_OK) {
      folder->resume = path;
      break;
    }
    thaw_warn(log, "%s; falling back to the checkpoint before", thaw_message());
    thaw_free(path);
    if (i == 1)
      status = thaw_fail(THAW_ERR_DATA, "%s: none of its %zu checkpoints is whole; --overwrite starts anew",
                         folder->path, names.count);
  }
  thaw_strings_clear(&names);
  return status;
}

thaw_status train_folder_check(const thaw_job *job, const thaw_train_options *options, thaw_log *log,
                               train_folder *out) {
  thaw_text key = {0};
  thaw_status status = thaw_job_echo(job, true, &key);
  if (status != THAW_OK || key.failed) {
    thaw_text_clear(&key);
    return status != THAW_OK ? status : THAW_ERR_MEMORY;
  }
  *out = (train_folder){.path = thaw_copy_text(job->output), .key = key.data, .command = options->command};
  char *key_path = out->path ? thaw_path_join(out->path, "job.key") : NULL;
  if (!key_path) return THAW_ERR_MEMORY;
  if (thaw_file_exists(key_path)) {
    status = check_earlier_run(out, options, key_path);
  } else if (thaw_file_exists(out->path) && !thaw_folder_exists(out->path)) {
    status = thaw_fail(THAW_ERR_USAGE, "%s: is a file, the job's output must be a folder", out->path);
  }
  thaw_free(key_path);
  if (status == THAW_OK && out->used && options->resume && !options->overwrite) status = find_checkpoint(out, log);
  return status;
}

void train_folder_clear(train_folder *folder) {
  thaw_free(folder->path);
  thaw_free(folder->key);
  thaw_free(folder->resume);
  *folder = (train_folder){0};
}

/* ------------------------------------------------------------------ writing */

static thaw_status write_text(const char *folder, const char *name, const thaw_text *text) {
  if (text->failed) return THAW_ERR_MEMORY;
  char *path = thaw_path_join(folder, name);
  thaw_status status = path ? thaw_file_write(path, text->data ? text->data : "", text->length) : THAW_ERR_MEMORY;
  thaw_free(path);
  return status;
}

/* What an earlier run, its evaluation and its report left: none of it is true of the new run. */
static bool belongs_to_run(const char *name) {
  static const char *const exact[] = {"best.h5",          "import.yaml",     "metrics.csv",        "log.jsonl",
                                      "environment.json", "evaluation.json", "progress.json",      "sampling.csv",
                                      "predictions.h5",   "report.html",     "learning_curve.png", "confusion.png"};
  for (size_t i = 0; i < sizeof exact / sizeof *exact; i++)
    if (strcmp(name, exact[i]) == 0) return true;
  return strncmp(name, "step-", 5) == 0 || strncmp(name, "summary", 7) == 0;
}

/* What a killed run was writing. */
static bool is_unfinished(const char *name) {
  char stem[64];
  const char *end = strstr(name, ".tmp-");
  if (!end || end - name >= (ptrdiff_t)sizeof stem) return false;
  snprintf(stem, sizeof stem, "%.*s", (int)(end - name), name);
  return belongs_to_run(stem) || !strcmp(stem, "job.yaml") || !strcmp(stem, "job.key");
}

static thaw_status remove_files(const char *folder, bool (*wanted)(const char *name)) {
  thaw_strings names = {0};
  thaw_status status = thaw_folder_list(folder, &names);
  for (size_t i = 0; i < names.count && status == THAW_OK; i++) {
    if (!wanted(names.item[i])) continue;
    char *path = thaw_path_join(folder, names.item[i]);
    if (!path)
      status = THAW_ERR_MEMORY;
    else if (unlink(path) != 0 && errno != ENOENT)
      status = thaw_fail(THAW_ERR_DISK, "%s: cannot be removed: %s", path, strerror(errno));
    thaw_free(path);
  }
  thaw_strings_clear(&names);
  return status;
}

/* The same below the run folder. */
static thaw_status remove_below(const char *folder) {
  static const char *const name[] = {"explain/sheet.png", "data/data.json",
                                     "tensorboard/train/events.out.tfevents.thaw",
                                     "tensorboard/validation/events.out.tfevents.thaw"};
  for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
    char *path = thaw_path_join(folder, name[i]);
    if (!path) return THAW_ERR_MEMORY;
    bool gone = unlink(path) == 0 || errno == ENOENT || errno == ENOTDIR;
    thaw_status status = gone ? THAW_OK : thaw_fail(THAW_ERR_DISK, "%s: cannot be removed: %s", path, strerror(errno));
    thaw_free(path);
    THAW_TRY(status);
  }
  return THAW_OK;
}

static void add_member(thaw_text *json, const char *name, const char *value) {
  thaw_text_add(json, "  ");
  thaw_text_add_json(json, name);
  thaw_text_add(json, ": ");
  thaw_text_add_json(json, value ? value : "");
  thaw_text_add(json, ",\n");
}

static void describe_environment(const train_folder *folder, const thaw_session *session, const char *hosts, int ranks,
                                 thaw_text *json) {
  char here[4096];
  struct utsname system;
  char now[64] = "";
  time_t seconds = time(NULL);
  struct tm broken_down;
  if (gmtime_r(&seconds, &broken_down)) strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &broken_down);
  thaw_text_add(json, "{\n");
  add_member(json, "version", THAW_VERSION);
  add_member(json, "started", now);
  if (uname(&system) == 0) {
    add_member(json, "system", system.sysname);
    add_member(json, "kernel", system.release);
    add_member(json, "machine", system.machine);
  }
  if (folder->command) add_member(json, "command", folder->command);
  if (getcwd(here, sizeof here)) add_member(json, "working_folder", here);
  add_member(json, "compiler", __VERSION__);
  add_member(json, "instruction_set", thaw_isa_name(session->isa));
  add_member(json, "hosts", hosts);
  add_member(json, "architecture", session->architecture->name);
  add_member(json, "weights",
             session->job->backbone.weights ? session->job->backbone.weights : session->job->backbone.file);
  add_member(json, "weights_sha256", session->weights_digest);
  add_member(json, "train", session->job->data.train);
  add_member(json, "train_sha256", session->train.info->digest);
  if (session->validation.catalog) {
    add_member(json, "validation", session->job->data.validation);
    add_member(json, "validation_sha256", session->validation.info->digest);
  }
  thaw_text_add(json, "  \"ranks\": %d\n}\n", ranks);
}

/* import.yaml beside the training data, where there is one: prediction makes its images the same way. */
static thaw_status copy_recipe(const char *folder, const char *catalog) {
  char *source = thaw_folder_exists(catalog) ? thaw_copy_text(catalog) : thaw_path_folder(catalog);
  char *path = source ? thaw_path_join(source, "import.yaml") : NULL;
  thaw_text text = {0};
  thaw_status status = path ? THAW_OK : THAW_ERR_MEMORY;
  if (path && thaw_file_exists(path)) {
    status = thaw_file_read(path, 1 << 16, &text.data, &text.length);
    if (status == THAW_OK) status = write_text(folder, "import.yaml", &text);
    thaw_free(text.data);
  }
  thaw_free(path);
  thaw_free(source);
  return status;
}

static thaw_status write_documents(const train_folder *folder, const thaw_session *session, const char *hosts,
                                   int ranks) {
  thaw_text job = {0}, environment = {0};
  thaw_text key = {.data = folder->key, .length = strlen(folder->key)};
  thaw_status status = thaw_job_echo(session->job, false, &job);
  if (status == THAW_OK) status = write_text(folder->path, "job.yaml", &job);
  describe_environment(folder, session, hosts, ranks, &environment);
  if (status == THAW_OK) status = write_text(folder->path, "environment.json", &environment);
  if (status == THAW_OK) status = copy_recipe(folder->path, session->job->data.train);
  /* Last: its presence is what marks a folder as taken. */
  if (status == THAW_OK) status = write_text(folder->path, "job.key", &key);
  thaw_text_clear(&job);
  thaw_text_clear(&environment);
  return status;
}

thaw_status train_folder_prepare(const train_folder *folder, const thaw_session *session, const char *hosts,
                                 int ranks) {
  THAW_TRY(thaw_folder_create(folder->path));
  THAW_TRY(remove_files(folder->path, is_unfinished));
  if (!folder->resume) THAW_TRY(remove_files(folder->path, belongs_to_run));
  if (!folder->resume) THAW_TRY(remove_below(folder->path));
  return write_documents(folder, session, hosts, ranks);
}
