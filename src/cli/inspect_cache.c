/* thaw inspect for a feature cache: the table of its entries. */
#include "cli/inspect.h"
#include "thaw/feature.h"
#include "thaw/file.h"
#include "thaw/memory.h"

/* A sub-folder with an entry.yaml tells a cache. */
bool cli_is_cache(const char *path) {
  thaw_strings names = {0};
  bool found = false;
  if (!thaw_folder_exists(path) || thaw_folder_list(path, &names) != THAW_OK) return false;
  for (size_t i = 0; i < names.count && !found; i++) {
    char *entry = thaw_format("%s/%s/entry.yaml", path, names.item[i]);
    found = entry && thaw_file_exists(entry);
    thaw_free(entry);
  }
  thaw_strings_clear(&names);
  return found;
}

thaw_status cli_inspect_cache(cli_context *cli, const char *path) {
  thaw_text text = {0};
  thaw_status status = cli_is_root(cli) ? thaw_cache_describe(path, &text) : THAW_OK;
  if (status == THAW_OK) cli_print_text(cli, &text);
  thaw_text_clear(&text);
  return cli_share_status(cli, status);
}
