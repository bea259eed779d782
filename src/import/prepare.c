/* prepare.c: the output folders before anything is written. */
#include "import/import_private.h"
#include "thaw/text.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static const char *const part_name[IMPORT_PARTS + 1] = {"train", "validation", "test", ""};

static thaw_status remove_file(const char *folder, const char *name) {
  char *path = thaw_path_join(folder, name);
  if (!path) return THAW_ERR_MEMORY;
  thaw_status status = THAW_OK;
  if (unlink(path) != 0 && errno != ENOENT)
    status = thaw_fail(THAW_ERR_DISK, "%s: cannot be removed: %s", path, strerror(errno));
  thaw_free(path);
  return status;
}

/* "train-00012.h5", and the same with ".tmp-..." behind it: names that only an import gives. */
static bool is_own_name(const char *name) {
  static const char *const stem[] = {"train-", "validation-", "test-", "data-"};
  for (size_t i = 0; i < sizeof stem / sizeof *stem; i++) {
    const size_t length = strlen(stem[i]);
    if (strncmp(name, stem[i], length) != 0) continue;
    const size_t digits = strspn(name + length, "0123456789");
    const char *rest = name + length + digits;
    return digits >= 5 && (strcmp(rest, ".h5") == 0 || strncmp(rest, ".h5.tmp-", 8) == 0);
  }
  return false;
}

/* A catalogue goes first, so that an interruption never leaves one over changed shards. */
static thaw_status clear_folder(const char *folder) {
  thaw_strings names = {0};
  if (!thaw_folder_exists(folder)) return THAW_OK;
  THAW_TRY(remove_file(folder, "catalog.yaml"));
  THAW_TRY(remove_file(folder, "hashes.txt"));
  THAW_TRY(remove_file(folder, "import.yaml"));
  THAW_TRY(remove_file(folder, "subgroups.csv"));
  THAW_TRY(thaw_folder_list(folder, &names));
  thaw_status status = THAW_OK;
  for (size_t i = 0; status == THAW_OK && i < names.count; i++)
    if (is_own_name(names.item[i]) || strncmp(names.item[i], "catalog.yaml.tmp-", 17) == 0)
      status = remove_file(folder, names.item[i]);
  thaw_strings_clear(&names);
  return status;
}

static thaw_status refuse_existing(const char *folder) {
  char *path = thaw_path_join(folder, "catalog.yaml");
  if (!path) return THAW_ERR_MEMORY;
  thaw_status status = THAW_OK;
  if (thaw_file_exists(path))
    status = thaw_fail(THAW_ERR_USAGE, "%s: exists already; give another --output, or --overwrite", path);
  thaw_free(path);
  return status;
}

/* Refused before anything is removed; shards without a catalogue are what an interrupted import leaves. */
static thaw_status clear_output(const thaw_import_options *options) {
  thaw_status status = THAW_OK;
  for (int pass = options->overwrite ? 1 : 0; pass < 2; pass++)
    for (int s = 0; status == THAW_OK && s <= IMPORT_PARTS; s++) {
      char *folder = thaw_path_join(options->output, part_name[s]);
      status = !folder ? THAW_ERR_MEMORY : pass == 0 ? refuse_existing(folder) : clear_folder(folder);
      thaw_free(folder);
    }
  return status;
}

static thaw_status check_space(const import_plan *plan, const thaw_import_options *options) {
  const thaw_dataset_info *info = &plan->info;
  double bytes = 0;
  char wanted[32], found[32];
  const int64_t available = thaw_disk_free(options->output);
  for (int s = 0; s < IMPORT_PARTS; s++)
    bytes += (double)plan->size[s] * info->h * info->w * info->c * (info->bits / 8);
  if (options->deflate || available < 0 || bytes < (double)available) return THAW_OK;
  return thaw_fail(THAW_ERR_DISK, "%s: the shards need %s, the disk has %s", options->output,
                   thaw_format_bytes(bytes, wanted), thaw_format_bytes((double)available, found));
}

static thaw_status prepare(const import_plan *plan, const thaw_import_options *options) {
  THAW_TRY(check_space(plan, options));
  THAW_TRY(clear_output(options));
  for (int s = 0; s < IMPORT_PARTS; s++)
    if (plan->folder[s]) THAW_TRY(thaw_folder_create(plan->folder[s]));
  return THAW_OK;
}

thaw_status thaw_import__prepare(thaw_comm *comm, const import_plan *plan, const thaw_import_options *options) {
  return thaw_agree(comm, thaw_comm_rank(comm) == 0 ? prepare(plan, options) : THAW_OK);
}
