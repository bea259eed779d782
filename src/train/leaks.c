/* Before a training: patients, names and look-alike images that are in two of its data sets, as data.leaks says. The
 * session's own catalogues are read, so staged shards are read where they were copied to. */
#include "thaw/leak.h"
#include "thaw/log.h"
#include "train/train_private.h"

#include <string.h>

enum { MOST_SETS = 3 };

/* The same data under two names has everything in common: said once, and not compared. */
static bool is_new(const thaw_leak_set *set, int32_t sets, const char *name, thaw_catalog *catalog, thaw_log *log) {
  for (int32_t i = 0; i < sets; i++) {
    if (strcmp(thaw_catalog_info(set[i].catalog)->digest, thaw_catalog_info(catalog)->digest) != 0) continue;
    thaw_warn(log, "the data sets %s and %s are the same: what is measured on one says nothing of new images",
              set[i].name, name);
    return false;
  }
  return true;
}

/* Folds share a catalogue, and never a group. `test` is NULL where the job has none, or one that cannot be opened: that
 * is for the evaluation to say. */
static int32_t list_sets(const thaw_session *s, thaw_catalog *test, thaw_log *log, thaw_leak_set set[MOST_SETS]) {
  thaw_catalog *const catalog[] = {s->train.catalog, s->job->data.folds ? NULL : s->validation.catalog, test};
  static const char *const name[] = {"train", "validation", "test"};
  int32_t sets = 0;
  for (int i = 0; i < MOST_SETS; i++)
    if (catalog[i] && is_new(set, sets, name[i], catalog[i], log)) set[sets++] = (thaw_leak_set){name[i], catalog[i]};
  return sets;
}

static thaw_status refuse(const thaw_job *job, int64_t groups) {
  return thaw_fail(
      THAW_ERR_DATA,
      "%s: %lld group%s (patient, lot, person) in more than one of train, validation and test: `thaw inspect "
      "--leaks` names them, data.leaks: warn trains all the same",
      job->path, (long long)groups, groups == 1 ? "" : "s");
}

/* [collective] */
static thaw_status judge(const thaw_session *s, thaw_comm *comm, const thaw_leak_set *set, int32_t sets,
                         thaw_log *log) {
  const thaw_leak_options options = {.distance = THAW_LEAK_DISTANCE, .stored_only = true};
  thaw_leaks leaks;
  THAW_TRY(thaw_leaks_find(comm, set, sets, &options, log, &leaks));
  thaw_status status;
  if (leaks.found[THAW_LEAK_GROUP] && s->job->data.leaks == THAW_LEAKS_REFUSE)
    status = refuse(s->job, leaks.found[THAW_LEAK_GROUP]);
  else
    status = thaw_agree(comm, thaw_comm_rank(comm) == 0 ? thaw_leaks_warn(&leaks, set, log) : THAW_OK);
  thaw_leaks_clear(&leaks);
  return status;
}

thaw_status train_check_leaks(const thaw_session *s, thaw_comm *comm, thaw_log *log) {
  const thaw_data_config *data = &s->job->data;
  thaw_leak_set set[MOST_SETS];
  thaw_catalog *test = NULL;
  if (data->leaks == THAW_LEAKS_IGNORE) return THAW_OK;
  if (data->test && thaw_agree(comm, thaw_catalog_open(data->test, &test)) != THAW_OK) {
    thaw_catalog_close(test);
    test = NULL;
  }
  const int32_t sets = list_sets(s, test, log, set);
  thaw_status status = sets > 1 ? judge(s, comm, set, sets, log) : THAW_OK;
  thaw_catalog_close(test);
  return status;
}
