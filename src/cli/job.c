/* The job file on the command line: reading it, and the help about it. */
#include "cli/cli.h"
#include "thaw/layer.h"
#include "thaw/loss.h"
#include "thaw/memory.h"
#include "thaw/optim.h"

enum { FILE_LIMIT = 4 << 20 }; /* bytes; thaw_job_parse has a stricter limit of its own and a better message */

static thaw_job_schemas job_schemas(void) {
  return (thaw_job_schemas){.layers = thaw_layer_head_schemas(),
                            .losses = thaw_loss_schemas(),
                            .optimizers = thaw_optim_schemas(),
                            .schedules = thaw_schedule_schemas()};
}

/* Every rank parses the same bytes with the same result, so there is nothing to agree on. */
thaw_status cli_read_job(cli_context *cli, const char *path, thaw_job **out) {
  const thaw_job_schemas schemas = job_schemas();
  char *text;
  size_t size;
  THAW_TRY(cli_read_shared(cli, path, FILE_LIMIT, &text, &size));
  thaw_status status = thaw_job_parse(path, text, size, &schemas, out);
  thaw_free(text);
  return status;
}

/* Every key of the job file, from the same tables that check it. */
thaw_status cli_help_job(cli_context *cli) {
  const thaw_job_schemas schemas = job_schemas();
  thaw_text text = {0};
  thaw_job_help(&schemas, &text);
  thaw_status status = text.failed ? THAW_ERR_MEMORY : THAW_OK;
  if (status == THAW_OK) cli_print_text(cli, &text);
  thaw_text_clear(&text);
  return status;
}
