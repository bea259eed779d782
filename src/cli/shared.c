/* Files that every rank needs are read once. */
#include "cli/cli.h"
#include "thaw/file.h"
#include "thaw/memory.h"

/* Rank 0 sends its status with the bytes, or with the message in their place, so that a missing file is reported in the
 * same words whatever the number of ranks. */
thaw_status cli_read_shared(cli_context *cli, const char *path, size_t limit, char **text_out, size_t *size_out) {
  char *text = NULL;
  size_t size = 0;
  int64_t code = THAW_OK;
  if (cli_is_root(cli)) {
    code = thaw_file_read(path, limit, &text, &size);
    if (code != THAW_OK) {
      thaw_free(text);
      text = thaw_format("%s", thaw_message());
      for (size = 0; text && text[size];) size++;
    }
  }
  THAW_TRY(thaw_comm_broadcast(cli->comm, 0, &code, sizeof code));
  THAW_TRY(thaw_comm_broadcast_new(cli->comm, 0, &text, &size));
  if (code != THAW_OK) {
    thaw_status status = thaw_fail((thaw_status)code, "%s", text ? text : "no further information");
    thaw_free(text);
    return status;
  }
  *text_out = text;
  *size_out = size;
  return THAW_OK;
}
