/* thaw inspect for catalogues and shards: counts, shapes, classes, digests, a contact sheet. */
#include "cli/contact_sheet.h"
#include "cli/inspect.h"
#include "thaw/file.h"
#include "thaw/h5.h"
#include "thaw/memory.h"
#include "thaw/shard.h"

#include <math.h>
#include <string.h>

enum { BAR_WIDTH = 40, SHARD_LINES = 40, CLASS_LINES = 200, NAME_WIDTH = 40 };

static bool ends_with(const char *text, const char *end) {
  const size_t length = strlen(text), tail = strlen(end);
  return length >= tail && strcmp(text + length - tail, end) == 0;
}

static bool holds_images(const char *path) {
  thaw_h5 *file = NULL;
  if (thaw_h5_open(path, &file) != THAW_OK) return false;
  const bool images = thaw_h5_exists(file, "/images") || thaw_h5_exists(file, "/x");
  thaw_h5_close(file);
  return images;
}

bool cli_is_data(const char *path) {
  if (thaw_folder_exists(path)) {
    char *inside = thaw_path_join(path, "catalog.yaml");
    const bool found = inside && thaw_file_exists(inside);
    thaw_free(inside);
    return found;
  }
  if (ends_with(path, ".h5") || ends_with(path, ".hdf5")) return holds_images(path);
  char *text = NULL;
  size_t size = 0;
  if (!ends_with(path, ".yaml") && !ends_with(path, ".yml")) return false;
  if (thaw_file_read(path, (size_t)1 << 28, &text, &size) != THAW_OK) return false;
  const bool catalog = strstr(text, "format: thaw-catalog") != NULL;
  thaw_free(text);
  return catalog;
}

static void add_labels(const thaw_dataset_info *info, thaw_text *out) {
  switch (info->label_kind) {
  case THAW_LABEL_CLASS:
    thaw_text_add(out, "one of %zu classes\n", info->classes.count);
    break;
  case THAW_LABEL_MULTI:
    thaw_text_add(out, "any of %d classes\n", (int)info->label_width);
    break;
  case THAW_LABEL_TARGET:
    thaw_text_add(out, "%d target%s\n", (int)info->label_width, info->label_width == 1 ? "" : "s");
    break;
  case THAW_LABEL_NONE:
    thaw_text_add(out, "none\n");
    break;
  case THAW_LABEL_MIXED:
    thaw_text_add(out, "%d columns, for several heads\n", (int)info->label_width);
    break;
  }
}

static void add_summary(const thaw_catalog *catalog, thaw_text *out) {
  const thaw_dataset_info *info = thaw_catalog_info(catalog);
  char count[32], bytes[32];
  const double size = (double)info->count * info->h * info->w * info->c * (info->bits / 8);
  thaw_text_add(out, "%s\n", thaw_catalog_path(catalog));
  thaw_text_add(out, "  samples  %s in %d shard%s, %s\n", thaw_format_count(info->count, count),
                (int)thaw_catalog_shards(catalog), thaw_catalog_shards(catalog) == 1 ? "" : "s",
                thaw_format_bytes(size, bytes));
  thaw_text_add(out, "  images   %d x %d x %d (height x width x channels), %d bits, largest value %g\n", (int)info->h,
                (int)info->w, (int)info->c, (int)info->bits, info->value_max);
  thaw_text_add(out, "  labels   ");
  add_labels(info, out);
  thaw_text_add(out, "  digest   %s\n", info->digest);
}

/* Of labels for several heads: what each column is, and how many samples have it. */
static void add_columns(const thaw_dataset_info *info, const thaw_labels *labels, thaw_text *out) {
  for (int32_t k = 0; k < info->label_width; k++) {
    const thaw_label_column column = thaw_label_column_of(info, k);
    int64_t known = 0;
    for (int64_t i = 0; i < info->count; i++) known += !isnan(thaw_label(labels, (uint64_t)i, k));
    thaw_text_add(out, "  %-24s %8lld known  ", column.name, (long long)known);
    if (column.kind == THAW_LABEL_CLASS)
      thaw_text_add(out, "one of %d classes:", (int)column.classes);
    else
      thaw_text_add(out, column.kind == THAW_LABEL_MULTI ? "0 or 1" : "a number");
    for (int32_t c = 0; c < column.classes; c++)
      thaw_text_add(out, "%s %s", c ? "," : "", info->classes.item[column.first + c]);
    thaw_text_add(out, "\n");
  }
}

/* Samples per class; unknown labels count for none. New, thaw_free; NULL when memory is gone. */
static int64_t *count_classes(const thaw_dataset_info *info, const thaw_labels *labels) {
  const int32_t width = info->label_width;
  const size_t classes = info->label_kind == THAW_LABEL_MULTI ? (size_t)width : info->classes.count;
  int64_t *count = thaw_new(classes, sizeof *count);
  for (int64_t i = 0; count && i < info->count; i++) {
    if (info->label_kind == THAW_LABEL_CLASS) count[(int64_t)thaw_label(labels, (uint64_t)i, 0)]++;
    for (int32_t k = 0; info->label_kind == THAW_LABEL_MULTI && k < width; k++)
      count[k] += thaw_label(labels, (uint64_t)i, k) == 1;
  }
  return count;
}

static void add_bar(thaw_text *out, int64_t value, int64_t largest) {
  const int64_t length = largest ? (value * BAR_WIDTH + largest - 1) / largest : 0;
  for (int64_t i = 0; i < length; i++) thaw_text_add(out, "#");
  thaw_text_add(out, "\n");
}

static void add_histogram(const thaw_dataset_info *info, const int64_t *count, thaw_text *out) {
  const int64_t classes = info->label_kind == THAW_LABEL_MULTI ? info->label_width : (int64_t)info->classes.count;
  int64_t largest = 0;
  int width = 5;
  for (int64_t k = 0; k < classes; k++) {
    const char *name = (size_t)k < info->classes.count ? info->classes.item[k] : "";
    if (count[k] > largest) largest = count[k];
    if ((int)strlen(name) > width) width = (int)strlen(name) < NAME_WIDTH ? (int)strlen(name) : NAME_WIDTH;
  }
  thaw_text_add(out, "\n  %5s  %-*s %12s %7s\n", "index", width, "class", "samples", "share");
  for (int64_t k = 0; k < classes && k < CLASS_LINES; k++) {
    char text[32];
    thaw_text_add(out, "  %5lld  %-*.*s %12s %6.2f%%  ", (long long)k, width, width,
                  (size_t)k < info->classes.count ? info->classes.item[k] : "", thaw_format_count(count[k], text),
                  100.0 * (double)count[k] / (double)info->count);
    add_bar(out, count[k], largest);
  }
  if (classes > CLASS_LINES) thaw_text_add(out, "  ... and %lld more\n", (long long)(classes - CLASS_LINES));
}

static void add_targets(const thaw_dataset_info *info, const thaw_labels *labels, thaw_text *out) {
  for (int32_t k = 0; k < info->label_width && k < CLASS_LINES; k++) {
    double low = (double)thaw_label(labels, 0, k), high = low, sum = 0;
    for (int64_t i = 0; i < info->count; i++) {
      const double value = (double)thaw_label(labels, (uint64_t)i, k);
      low = value < low ? value : low;
      high = value > high ? value : high;
      sum += value;
    }
    thaw_text_add(out, "  target %d%s%s  %g .. %g, mean %g\n", (int)k, (size_t)k < info->classes.count ? " " : "",
                  (size_t)k < info->classes.count ? info->classes.item[k] : "", low, high, sum / (double)info->count);
  }
}

static void add_shards(const thaw_catalog *catalog, bool verified, thaw_text *out) {
  const int32_t shards = thaw_catalog_shards(catalog);
  thaw_text_add(out, "\n  %-40s %12s  %s\n", "shard", "samples", verified ? "content" : "");
  for (int32_t i = 0; i < shards && i < SHARD_LINES; i++) {
    int64_t count = 0;
    char text[32];
    const char *path = thaw_catalog_shard(catalog, i, NULL, &count);
    thaw_text_add(out, "  %-40s %12s  %s\n", thaw_path_name(path), thaw_format_count(count, text),
                  verified ? "as its digest says" : "");
  }
  if (shards > SHARD_LINES) thaw_text_add(out, "  ... and %d more\n", (int)(shards - SHARD_LINES));
}

/* [collective] Shards are dealt over the ranks. */
static thaw_status verify_shards(cli_context *cli, thaw_catalog *catalog) {
  const int32_t shards = thaw_catalog_shards(catalog), ranks = thaw_comm_size(cli->comm);
  thaw_status status = THAW_OK;
  thaw_progress_begin(cli->log, "verifying", "shards", shards);
  for (int32_t i = thaw_comm_rank(cli->comm); status == THAW_OK && i < shards; i += ranks) {
    status = thaw_catalog_verify(catalog, i);
    thaw_progress_update(cli->log, i + 1, NULL);
  }
  thaw_progress_end(cli->log, NULL);
  return thaw_agree(cli->comm, status);
}

/* [local] rank 0 */
static thaw_status show(cli_context *cli, thaw_catalog *catalog, const cli_inspect_options *options) {
  const thaw_dataset_info *info = thaw_catalog_info(catalog);
  const thaw_labels *labels = NULL;
  thaw_text text = {0};
  THAW_TRY(thaw_catalog_labels(catalog, &labels));
  int64_t *count = count_classes(info, labels);
  if (!count) return THAW_ERR_MEMORY;
  add_summary(catalog, &text);
  if (info->label_kind == THAW_LABEL_CLASS || info->label_kind == THAW_LABEL_MULTI) add_histogram(info, count, &text);
  if (info->label_kind == THAW_LABEL_TARGET) add_targets(info, labels, &text);
  if (info->label_kind == THAW_LABEL_MIXED) add_columns(info, labels, &text);
  add_shards(catalog, options->digest, &text);
  cli_print_text(cli, &text);
  thaw_text_clear(&text);
  thaw_status status = THAW_OK;
  if (options->sheet) {
    status = cli_contact_sheet(catalog, count, options->sheet);
    if (status == THAW_OK) cli_print(cli, "\n  contact sheet: %s\n", options->sheet);
  }
  thaw_free(count);
  return status;
}

/* [collective] */
static thaw_status inspect(cli_context *cli, thaw_catalog *catalog, const cli_inspect_options *options) {
  THAW_TRY(thaw_agree(cli->comm, cli_is_root(cli) ? thaw_catalog_check(catalog) : THAW_OK));
  if (options->digest) THAW_TRY(verify_shards(cli, catalog));
  return thaw_agree(cli->comm, cli_is_root(cli) ? show(cli, catalog, options) : THAW_OK);
}

thaw_status cli_inspect_data(cli_context *cli, const char *path, const cli_inspect_options *options) {
  thaw_catalog *catalog = NULL;
  thaw_status status = thaw_agree(cli->comm, thaw_catalog_open(path, &catalog));
  if (status == THAW_OK) status = inspect(cli, catalog, options);
  thaw_catalog_close(catalog);
  return status;
}
