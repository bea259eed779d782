#include "cli/run.h"
#include "cli/quarantine.h"
#include "thaw/file.h"
#include "thaw/memory.h"

#include <string.h>

/* [local] rank 0: the checkpoint that was asked for, or the one that stands for the run. */
static thaw_status choose_checkpoint(const char *wanted, cli_run *run) {
  if (!wanted) return thaw_run_checkpoint(run->folder, &run->checkpoint);
  if (!thaw_file_exists(wanted)) return thaw_fail(THAW_ERR_DATA, "%s: no such checkpoint", wanted);
  run->checkpoint = thaw_copy_text(wanted);
  return run->checkpoint ? THAW_OK : THAW_ERR_MEMORY;
}

static thaw_status open_session(cli_context *cli, const char *checkpoint, const thaw_session_options *options,
                                cli_run *run) {
  char *path = thaw_path_join(run->folder, "job.yaml");
  if (!path) return THAW_ERR_MEMORY;
  thaw_status status = cli_read_job(cli, path, &run->job);
  if (status == THAW_ERR_DATA) status = thaw_fail_in(status, "%s is not a run folder: ", run->folder);
  thaw_free(path);
  if (status != THAW_OK) return status;
  THAW_TRY(cli_quarantine_job(cli, run->job));
  status = cli_is_root(cli) ? choose_checkpoint(checkpoint, run) : THAW_OK;
  THAW_TRY(cli_share_status(cli, status));
  size_t size = run->checkpoint ? strlen(run->checkpoint) : 0;
  THAW_TRY(thaw_comm_broadcast_new(cli->comm, 0, &run->checkpoint, &size));
  THAW_TRY(thaw_session_create(cli->comm, run->job, options, cli->log, &run->session));
  return thaw_session_load(run->session, cli->comm, run->checkpoint, cli->log);
}

thaw_status cli_run_open(cli_context *cli, const char *folder, const char *checkpoint,
                         const thaw_session_options *options, cli_run *out) {
  *out = (cli_run){.folder = thaw_copy_text(folder)};
  thaw_status status = out->folder ? open_session(cli, checkpoint, options, out) : THAW_ERR_MEMORY;
  if (status != THAW_OK) cli_run_close(out);
  return status;
}

void cli_run_close(cli_run *run) {
  thaw_session_destroy(run->session);
  thaw_job_destroy(run->job);
  thaw_free(run->checkpoint);
  thaw_free(run->folder);
  *run = (cli_run){0};
}

thaw_status cli_run_one_head(const cli_run *run, const char *what) {
  if (!run->session->heads) return THAW_OK;
  return thaw_fail(THAW_ERR_USAGE, "%s has %d heads: %s is for runs with a single one", run->folder,
                   run->session->heads, what);
}

static thaw_status read_recipe(const cli_run *run, thaw_import_recipe *out) {
  char *own = thaw_path_join(run->folder, "import.yaml"), *data = thaw_path_folder(run->job->data.train);
  char *beside = data ? thaw_path_join(data, "import.yaml") : NULL;
  thaw_status status = own && beside ? THAW_OK : THAW_ERR_MEMORY;
  if (status == THAW_OK) status = thaw_import_recipe_read(thaw_file_exists(own) ? own : beside, out);
  thaw_free(beside);
  thaw_free(data);
  thaw_free(own);
  return status;
}

thaw_status cli_run_images(cli_context *cli, const cli_run *run, const thaw_strings *files, thaw_import_reader **out) {
  thaw_import_recipe recipe = {0};
  THAW_TRY(cli_share_status(cli, cli_is_root(cli) ? read_recipe(run, &recipe) : THAW_OK));
  THAW_TRY(thaw_comm_broadcast(cli->comm, 0, &recipe, sizeof recipe));
  return thaw_import_reader_open(cli->comm, files, &recipe, cli->log, out);
}

thaw_status cli_run_predict(cli_context *cli, const cli_run *run, thaw_import_reader *images, thaw_predictions *out) {
  const thaw_session *s = run->session;
  const thaw_predict_desc desc = {.images = images,
                                  .input = &s->input,
                                  .plan = s->plan,
                                  .live = s->live,
                                  .floats = s->cut.floats,
                                  .outputs = s->outputs,
                                  .batch = s->max_samples < 8 ? s->max_samples : 8};
  return thaw_predict_files(cli->comm, &desc, cli->log, out);
}

cli_option cli_isa_option(const char **target) {
  return (cli_option){.name = "isa",
                      .kind = CLI_TEXT,
                      .target = target,
                      .value = "NAME",
                      .fallback = "the best of this CPU",
                      .help = "avx2 or avx512"};
}

cli_option cli_checkpoint_option(const char **target) {
  return (cli_option){.name = "checkpoint",
                      .kind = CLI_TEXT,
                      .target = target,
                      .value = "FILE",
                      .fallback = "best.h5, else the newest",
                      .help = "checkpoint to use"};
}

cli_option cli_output_option(const char **target, const char *fallback, const char *help) {
  return (cli_option){.name = "output",
                      .letter = 'o',
                      .kind = CLI_TEXT,
                      .target = target,
                      .value = "FILE",
                      .fallback = fallback,
                      .help = help};
}

bool cli_is_catalog(const char *source) {
  char *inside = thaw_path_join(source, "catalog.yaml");
  bool found = inside && thaw_folder_exists(source) && thaw_file_exists(inside);
  thaw_free(inside);
  const char *dot = strrchr(thaw_path_name(source), '.');
  return found || (dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0 || strcmp(dot, ".h5") == 0));
}
