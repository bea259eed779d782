/* thaw inspect, for weight and model files. */
#include "cli/inspect.h"
#include "thaw/weights.h"

thaw_status cli_inspect_weights(cli_context *cli, const char *path) {
  thaw_text text = {0};
  thaw_status status = cli_is_root(cli) ? thaw_weights_describe(path, &text) : THAW_OK;
  if (status == THAW_OK) cli_print_text(cli, &text);
  thaw_text_clear(&text);
  return cli_share_status(cli, status);
}
