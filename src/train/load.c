/* A finished run's parameters for evaluation, prediction and export. */
#include "thaw/memory.h"
#include "train/train_private.h"

#include <string.h>

/* Labels that are judged mean the outputs they mean in the checkpoint: its first classes in its order. */
static thaw_status check_classes(const thaw_strings *own, const char *path, const thaw_session_data *data) {
  const thaw_strings *classes = &data->info->classes;
  thaw_strings same = *own;
  if (classes->count < same.count) same.count = classes->count;
  return train_same_classes(&same, path, classes, thaw_catalog_path(data->catalog));
}

/* The checkpoint names the outputs, whatever data is open. */
static thaw_status adopt_classes(thaw_session *s, const thaw_strings *classes, const char *path) {
  const thaw_session_data *judged[] = {&s->validation, &s->test};
  const bool judges = s->labels_needed && !s->embedding && !s->loss->evaluate_batch;
  if (!classes->count) return THAW_OK;
  if (judges && s->heads && s->classes.count) /* named after the heads and the classes of the data */
    THAW_TRY(train_same_classes(classes, path, &s->classes, "the data"));
  for (int i = 0; judges && !s->heads && i < 2; i++)
    if (judged[i]->catalog) THAW_TRY(check_classes(classes, path, judged[i]));
  thaw_strings_clear(&s->classes);
  for (size_t i = 0; i < classes->count; i++) THAW_TRY(thaw_strings_add(&s->classes, classes->item[i]));
  return THAW_OK;
}

static thaw_status parse_and_apply(thaw_session *session, const char *path, const char *bytes, size_t size,
                                   int64_t *phase_out) {
  train_state state;
  THAW_TRY(train_checkpoint_parse(path, bytes, size, &state));
  thaw_status status = THAW_OK;
  if (strcmp(state.weights_digest, session->weights_digest) != 0)
    status = thaw_fail(THAW_ERR_DATA, "%s: was trained on backbone weights %.12s, the job's are %.12s", path,
                       state.weights_digest, session->weights_digest);
  if (status == THAW_OK) status = train_state_apply(&state, session->graph, session->part, path);
  if (status == THAW_OK && train_targets_wanted(session) && !session->part) {
    if (state.targets == 2 * (int64_t)session->outputs)
      status = train_targets_set(session, state.target);
    else
      status = thaw_fail(THAW_ERR_DATA, "%s: scales %lld targets, the job's network has %d outputs", path,
                         (long long)state.targets / 2, session->outputs);
  }
  if (status == THAW_OK) status = adopt_classes(session, &state.classes, path);
  *phase_out = state.phase;
  session->auto_blocks = (int32_t)state.thawed;
  train_state_clear(&state);
  return status;
}

thaw_status thaw_session_load(thaw_session *session, thaw_comm *comm, const char *checkpoint, thaw_log *log) {
  int64_t phase = 0;
  char *bytes;
  size_t size;
  THAW_TRY(train_checkpoint_share(comm, checkpoint, &bytes, &size));
  thaw_status status = parse_and_apply(session, checkpoint, bytes, size, &phase);
  thaw_free(bytes);
  THAW_TRY(thaw_agree(comm, status));
  THAW_TRY(thaw_session_phase(session, comm, (int32_t)phase, log));
  char digest[THAW_DIGEST_TEXT];
  THAW_TRY(thaw_agree(comm, train_parameters_digest(session->graph, digest)));
  return thaw_agree_same(comm, "parameters of the checkpoint", digest);
}

thaw_status thaw_run_checkpoint(const char *run_folder, char **path_out) {
  char *best = thaw_path_join(run_folder, "best.h5");
  if (!best) return THAW_ERR_MEMORY;
  *path_out = best;
  if (thaw_file_exists(best)) return THAW_OK;
  thaw_free(best);
  *path_out = NULL;
  thaw_strings names = {0};
  thaw_status status = train_checkpoint_list(run_folder, &names);
  if (status == THAW_OK && names.count == 0)
    status =
        thaw_fail(THAW_ERR_DATA, "%s: holds no checkpoint (best.h5 or step-*.h5); train the job first", run_folder);
  if (status == THAW_OK) {
    *path_out = thaw_path_join(run_folder, names.item[names.count - 1]);
    if (!*path_out) status = THAW_ERR_MEMORY;
  }
  thaw_strings_clear(&names);
  return status;
}
