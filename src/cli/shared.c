/* Files that every rank needs are read once. */
#include "cli/cli.h"
#include "thaw/file.h"
#include "thaw/memory.h"

#include <string.h>

thaw_status cli_share_status(cli_context *cli, thaw_status status) {
  int64_t code = status;
  char *message = cli_is_root(cli) ? thaw_format("%s", thaw_message()) : NULL;
  size_t size = message ? strlen(message) : 0;
  thaw_status sent = thaw_comm_broadcast(cli->comm, 0, &code, sizeof code);
  if (sent == THAW_OK && code != THAW_OK) sent = thaw_comm_broadcast_new(cli->comm, 0, &message, &size);
  if (sent == THAW_OK && code != THAW_OK) sent = thaw_fail((thaw_status)code, "%s", message ? message : "");
  thaw_free(message);
  return sent;
}

thaw_status cli_read_shared(cli_context *cli, const char *path, size_t limit, char **text_out, size_t *size_out) {
  char *text = NULL;
  size_t size = 0;
  thaw_status status = cli_is_root(cli) ? thaw_file_read(path, limit, &text, &size) : THAW_OK;
  THAW_TRY(cli_share_status(cli, status));
  THAW_TRY(thaw_comm_broadcast_new(cli->comm, 0, &text, &size));
  *text_out = text;
  *size_out = size;
  return THAW_OK;
}
