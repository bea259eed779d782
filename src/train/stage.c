/* Shards copied to a disk of each node before they are read: rank 0 of each node copies, its neighbours use the copy.
 */
#include "thaw/log.h"
#include "thaw/memory.h"
#include "thaw/text.h"
#include "train/train_private.h"

#include <string.h>

enum { MOST_DATA = 6, MARGIN_BYTES = 16 << 20 };

/* With `again` also those of the same files: the parts of a cross-validation. */
static int list_catalogs(const thaw_session *s, bool again, thaw_catalog *out[MOST_DATA]) {
  const thaw_session_data *data[] = {&s->train, &s->validation, &s->test};
  int count = 0;
  for (int i = 0; i < 3; i++) {
    bool same = i == 1 && s->train.catalog && s->job->data.folds;
    if (data[i]->catalog && (again || !same)) out[count++] = data[i]->catalog;
    if (data[i]->whole && again) out[count++] = data[i]->whole;
  }
  return count;
}

/* The node's own environment counts: $TMPDIR may differ from node to node. */
static thaw_status find_folder(const thaw_session *s, char **out) {
  char *folder = NULL;
  thaw_status status = thaw_expand_environment(s->job->data.stage, &folder);
  if (status == THAW_OK && folder[0] != '/') status = thaw_fail(THAW_ERR_USAGE, "'%s' is not an absolute path", folder);
  if (status == THAW_OK)
    *out = folder;
  else
    thaw_free(folder);
  return status == THAW_ERR_USAGE ? thaw_fail_in(status, "%s: data.stage: ", s->job->path) : status;
}

static thaw_status check_room(const thaw_stage *stage, int64_t bytes, int64_t missing) {
  const char *folder = thaw_stage_folder(stage);
  int64_t left = thaw_disk_free(folder);
  char text[3][32];
  if (missing <= 0 || left >= missing + MARGIN_BYTES) return THAW_OK;
  return thaw_fail(THAW_ERR_DISK, "%s: has %s free, staging needs %s more (the data is %s in all)", folder,
                   thaw_format_bytes((double)left, text[0]), thaw_format_bytes((double)missing, text[1]),
                   thaw_format_bytes((double)bytes, text[2]));
}

static void draw(void *log, int64_t bytes) {
  thaw_progress_update(log, bytes / 1000000, NULL);
}

/* [local] on rank 0 of the node. */
static thaw_status copy_all(thaw_session *s, thaw_stage_progress *progress) {
  thaw_catalog *catalog[MOST_DATA];
  int count = list_catalogs(s, false, catalog);
  int64_t bytes = 0, missing = 0;
  char *folder = NULL;
  THAW_TRY(find_folder(s, &folder));
  thaw_status status = thaw_stage_open(folder, &s->stage);
  thaw_free(folder);
  THAW_TRY(status);
  for (int i = 0; i < count; i++) THAW_TRY(thaw_stage_measure(s->stage, catalog[i], &bytes, &missing));
  THAW_TRY(check_room(s->stage, bytes, missing));
  if (missing > 0) thaw_progress_begin(progress->log, "staging", "MB", missing / 1000000 + 1);
  for (int i = 0; i < count && status == THAW_OK; i++) status = thaw_stage_copy(s->stage, catalog[i], progress);
  if (missing > 0) thaw_progress_end(progress->log, NULL);
  return status;
}

/* [collective] */
static thaw_status use_copies(thaw_session *s, thaw_comm *comm, bool leads) {
  thaw_catalog *catalog[MOST_DATA];
  int count = list_catalogs(s, true, catalog);
  char *folder = leads ? thaw_copy_text(thaw_stage_folder(s->stage)) : NULL;
  thaw_status status = thaw_comm_node_share_text(comm, &folder);
  if (status == THAW_OK && !folder) status = THAW_ERR_MEMORY;
  for (int i = 0; i < count && status == THAW_OK; i++) status = thaw_catalog_use_stage(catalog[i], folder);
  thaw_free(folder);
  return thaw_agree(comm, status);
}

static thaw_status tell(const thaw_session *s, thaw_comm *comm, const thaw_stage_progress *progress, bool leads,
                        thaw_log *log) {
  int64_t sum[] = {progress->files, progress->reused, progress->bytes, leads};
  char bytes[32];
  THAW_TRY(thaw_comm_sum_int(comm, sum, sizeof sum / sizeof *sum));
  if (s->stage)
    thaw_info(log, "staged in %s on %lld node%s: %lld files copied (%s), %lld already there",
              thaw_stage_folder(s->stage), (long long)sum[3], sum[3] == 1 ? "" : "s", (long long)sum[0],
              thaw_format_bytes((double)sum[2], bytes), (long long)sum[1]);
  return THAW_OK;
}

thaw_status train_stage(thaw_session *s, thaw_comm *comm, const thaw_session_options *options, thaw_log *log) {
  if (!options->stage || !s->job->data.stage) return THAW_OK;
  bool leads = thaw_comm_node_rank(comm) == 0;
  thaw_stage_progress progress = {.stop = options->stop, .context = options->stop_context, .copied = draw, .log = log};
  THAW_TRY(thaw_agree(comm, leads ? copy_all(s, &progress) : THAW_OK));
  THAW_TRY(use_copies(s, comm, leads));
  return tell(s, comm, &progress, leads, log);
}
