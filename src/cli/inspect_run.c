/* thaw inspect, for checkpoints and run folders. */
#include "cli/inspect.h"
#include "thaw/train.h"

thaw_status cli_inspect_run(cli_context *cli, const char *path) {
  thaw_text text = {0};
  thaw_status status = THAW_OK;
  if (cli_is_root(cli))
    status = thaw_run_recognize(path) ? thaw_run_describe(path, &text) : thaw_checkpoint_describe(path, &text);
  if (status == THAW_OK) cli_print_text(cli, &text);
  thaw_text_clear(&text);
  return cli_share_status(cli, status);
}
