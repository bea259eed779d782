/* Cross-validation: the training data without one fold, which is the validation data. Features are those of all
 * samples, so that every fold reads the same cache. */
#include "thaw/memory.h"
#include "train/train_private.h"

#include <string.h>

bool train_has_folds(const thaw_session *s) {
  return s->job->data.folds > 0 && (s->train.catalog || s->validation.catalog);
}

thaw_status train_folds_open(thaw_session *s) {
  thaw_session_data *data[] = {&s->train, &s->validation};
  if (!train_has_folds(s)) return THAW_OK;
  for (int i = 0; i < 2; i++)
    if (data[i]->catalog) THAW_TRY(thaw_catalog_open(s->job->data.train, &data[i]->whole));
  return THAW_OK;
}

/* [collective] Rank 0 reads the groups; fold [count] on every rank. */
static thaw_status share_folds(thaw_session *s, thaw_comm *comm, thaw_catalog *catalog, uint8_t *fold) {
  thaw_status status = THAW_OK;
  if (thaw_comm_rank(comm) == 0) status = thaw_catalog_folds(catalog, s->job->data.folds, fold);
  if (status != THAW_OK) status = thaw_fail_in(status, "%s: data.folds: ", s->job->path);
  THAW_TRY(thaw_agree(comm, status));
  return thaw_comm_broadcast(comm, 0, fold, (size_t)thaw_catalog_info(catalog)->count);
}

/* [local] The samples in the job's fold, or all others. */
static thaw_status select_samples(const thaw_session *s, thaw_session_data *data, const uint8_t *fold, bool inside) {
  int64_t count = data->info->count, kept = 0;
  int64_t *sample = thaw_new((size_t)count, sizeof *sample);
  if (!sample) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < count; i++)
    if ((fold[i] == s->job->data.fold - 1) == inside) sample[kept++] = i;
  thaw_status status = thaw_catalog_select(data->catalog, sample, kept);
  thaw_free(sample);
  if (status == THAW_OK && data->labels) status = thaw_catalog_labels(data->catalog, &data->labels);
  return status;
}

thaw_status train_folds_apply(thaw_session *s, thaw_comm *comm) {
  if (!train_has_folds(s)) return THAW_OK;
  thaw_catalog *catalog = s->train.catalog ? s->train.catalog : s->validation.catalog;
  uint8_t *fold = thaw_new((size_t)thaw_catalog_info(catalog)->count, sizeof *fold);
  thaw_status status = thaw_agree(comm, fold ? THAW_OK : THAW_ERR_MEMORY);
  if (status == THAW_OK) status = share_folds(s, comm, catalog, fold);
  thaw_status selected = status;
  if (selected == THAW_OK && s->train.catalog) selected = select_samples(s, &s->train, fold, false);
  if (selected == THAW_OK && s->validation.catalog) selected = select_samples(s, &s->validation, fold, true);
  thaw_free(fold);
  return status == THAW_OK ? thaw_agree(comm, selected) : status;
}
