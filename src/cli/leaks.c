/* Patients, names and look-alike images that are in two data sets: told, and refused before a training. */
#include "cli/leaks.h"
#include "thaw/file.h"
#include "thaw/leak.h"
#include "thaw/memory.h"

#include <string.h>

enum { SHOWN = 10 };

static bool is_job(const char *path) {
  char *text = NULL;
  size_t size;
  const char *dot = strrchr(thaw_path_name(path), '.');
  if (!dot || (strcmp(dot, ".yaml") != 0 && strcmp(dot, ".yml") != 0)) return false;
  if (thaw_file_read(path, (size_t)1 << 28, &text, &size) != THAW_OK) return false;
  const bool job = !strstr(text, "format: thaw-catalog");
  thaw_free(text);
  return job;
}

static void close_sets(thaw_leak_set *set, int32_t sets) {
  for (int32_t i = 0; i < sets; i++) thaw_catalog_close(set[i].catalog);
}

/* [collective] */
static thaw_status open_set(cli_context *cli, const char *name, const char *path, thaw_leak_set *out) {
  *out = (thaw_leak_set){.name = name};
  return thaw_agree(cli->comm, thaw_catalog_open(path, &out->catalog));
}

/* Data sets of a job that can be opened: what cannot is for the training to say. */
static int32_t open_job(cli_context *cli, const thaw_job *job, thaw_leak_set set[3]) {
  const char *const path[] = {job->data.train, job->data.validation, job->data.test};
  static const char *const name[] = {"train", "validation", "test"};
  int32_t sets = 0;
  for (int i = 0; i < 3; i++)
    if (path[i] && open_set(cli, name[i], path[i], &set[sets]) == THAW_OK) sets++;
  return sets;
}

/* ------------------------------------------------------------------ thaw inspect --leaks */

static thaw_status show(cli_context *cli, const thaw_leak_set *set, int32_t sets, const cli_leaks_options *options,
                        const thaw_leaks *leaks) {
  thaw_text text = {0};
  char count[32];
  for (int32_t i = 0; i < sets; i++)
    thaw_text_add(&text, "%s: %s samples\n", set[i].name,
                  thaw_format_count(thaw_catalog_info(set[i].catalog)->count, count));
  if (leaks->blank)
    thaw_text_add(&text, "%s images have no detail and are not compared by look\n",
                  thaw_format_count(leaks->blank, count));
  thaw_text_add(&text, "%s\n", leaks->count ? "in common:" : "nothing in common");
  thaw_status status = thaw_leaks_describe(leaks, set, SHOWN, &text);
  if (status == THAW_OK && options->list) {
    status = thaw_leaks_write(leaks, set, options->list);
    thaw_text_add(&text, "wrote %s\n", options->list);
  }
  if (status == THAW_OK) cli_print_text(cli, &text);
  thaw_text_clear(&text);
  return status;
}

static thaw_status refuse(const thaw_leaks *leaks, const char *where) {
  thaw_text summary = {0};
  thaw_leaks_summary(leaks, &summary);
  thaw_status status = THAW_OK;
  if (summary.length) status = thaw_fail(THAW_ERR_DATA, "%s in more than one %s", summary.data, where);
  thaw_text_clear(&summary);
  return status;
}

static thaw_status inspect_sets(cli_context *cli, const thaw_leak_set *set, int32_t sets,
                                const cli_leaks_options *options) {
  const thaw_leak_options find = {.distance = options->distance};
  thaw_leaks leaks;
  if (sets < 2)
    return thaw_fail(THAW_ERR_USAGE, "--leaks compares two data sets or more, or those of a job with several");
  THAW_TRY(thaw_leaks_find(cli->comm, set, sets, &find, cli->log, &leaks));
  thaw_status status = cli_share_status(cli, cli_is_root(cli) ? show(cli, set, sets, options, &leaks) : THAW_OK);
  if (status == THAW_OK) status = refuse(&leaks, "data set");
  thaw_leaks_clear(&leaks);
  return status;
}

static thaw_status inspect_job(cli_context *cli, const char *path, const cli_leaks_options *options) {
  thaw_leak_set set[3] = {0};
  thaw_job *job;
  THAW_TRY(cli_read_job(cli, path, &job));
  const int32_t sets = open_job(cli, job, set);
  thaw_status status = inspect_sets(cli, set, sets, options);
  close_sets(set, sets);
  thaw_job_destroy(job);
  return status;
}

thaw_status cli_leaks_inspect(cli_context *cli, const char *const *path, int32_t count,
                              const cli_leaks_options *options) {
  thaw_leak_set set[THAW_LEAK_SETS] = {0};
  int32_t sets = 0;
  if (count == 1 && is_job(path[0])) return inspect_job(cli, path[0], options);
  if (count > THAW_LEAK_SETS)
    return thaw_fail(THAW_ERR_USAGE, "--leaks: %d data sets, at most %d", (int)count, THAW_LEAK_SETS);
  thaw_status status = THAW_OK;
  while (status == THAW_OK && sets < count) {
    status = open_set(cli, path[sets], path[sets], &set[sets]);
    sets += status == THAW_OK;
  }
  if (status == THAW_OK) status = inspect_sets(cli, set, sets, options);
  close_sets(set, sets);
  return status;
}

/* ------------------------------------------------------------------ before an evaluation */

thaw_status cli_leaks_evaluate(cli_context *cli, const thaw_job *job, thaw_catalog *evaluated) {
  const thaw_leak_options options = {.distance = THAW_LEAK_DISTANCE, .stored_only = true};
  thaw_leak_set set[2] = {0};
  thaw_leaks leaks;
  if (job->data.leaks == THAW_LEAKS_IGNORE || open_set(cli, "train", job->data.train, &set[0]) != THAW_OK)
    return THAW_OK;
  set[1] = (thaw_leak_set){.name = "the evaluated data", .catalog = evaluated};
  thaw_status status = THAW_OK;
  if (strcmp(thaw_catalog_info(set[0].catalog)->digest, thaw_catalog_info(evaluated)->digest) == 0)
    thaw_warn(cli->log, "the evaluated data is the training data: this says nothing of new images");
  else if ((status = thaw_leaks_find(cli->comm, set, 2, &options, cli->log, &leaks)) == THAW_OK) {
    status = cli_share_status(cli, cli_is_root(cli) ? thaw_leaks_warn(&leaks, set, cli->log) : THAW_OK);
    thaw_leaks_clear(&leaks);
  }
  thaw_catalog_close(set[0].catalog);
  return status;
}
