#include "readers.h"
#include "feature/feature_private.h"
#include "fuzz.h"
#include "thaw/train.h"
#include "weights/weights_private.h"

#include <stdbool.h>

/* Takes the place of the library's: comparing with every architecture would take most of the time. */
const thaw_architecture *thaw_weight_most_like(const thaw_weight_file *file, thaw_likeness *found) {
  (void)file;
  *found = (thaw_likeness){0};
  return NULL;
}

/* conv2d `first`, batch_normalization `norm`, depthwise_conv2d `spread`: the network of tests/weights' files. */
static thaw_status small_network(thaw_graph **out) {
  int32_t node = 0;
  const thaw_conv2d_config conv = {
      .filters = 4, .kernel_h = 3, .kernel_w = 3, .stride_h = 1, .stride_w = 1, .use_bias = true};
  const thaw_batch_norm_config norm = {.momentum = 0.99, .epsilon = 1e-3, .center = true, .scale = true};
  THAW_TRY(thaw_graph_create((thaw_shape){.rank = 3, .h = 8, .w = 8, .c = 3}, out));
  THAW_TRY(thaw_graph_add(*out, "conv2d", &conv, "first", &node, 1, &node));
  THAW_TRY(thaw_graph_add(*out, "batch_normalization", &norm, "norm", &node, 1, &node));
  THAW_TRY(thaw_graph_add(*out, "depthwise_conv2d", &conv, "spread", &node, 1, &node));
  return thaw_graph_bind(*out);
}

void fuzz_read_weights(const char *path) {
  thaw_graph *graph = NULL;
  char digest[65];
  if (small_network(&graph) == THAW_OK) fuzz_expect(thaw_weights_load(graph, path, NULL, digest));
  thaw_graph_destroy(graph);
}

static void read_model(const char *path) {
  thaw_graph *graph;
  thaw_model_facts facts;
  int32_t last;
  fuzz_expect(thaw_weights_read_model(path, NULL, NULL, &graph, &last));
  thaw_graph_destroy(graph);
  fuzz_expect(thaw_weights_read_facts(path, &facts));
  thaw_model_facts_clear(&facts);
}

static void read_data(const char *path) {
  static unsigned char pixels[1 << 16];
  thaw_catalog *catalog;
  thaw_strings ids = {0};
  const thaw_labels *labels;
  thaw_status status = thaw_catalog_open(path, &catalog);
  fuzz_expect(status);
  if (status != THAW_OK) return;
  const thaw_dataset_info *info = thaw_catalog_info(catalog);
  if (info->count < 1 << 16) {
    double bytes = (double)info->h * info->w * info->c * 2;
    fuzz_expect(thaw_catalog_labels(catalog, &labels));
    fuzz_expect(thaw_catalog_ids(catalog, 0, info->count, &ids));
    if (info->count > 0 && bytes <= sizeof pixels) fuzz_expect(thaw_catalog_pixels(catalog, 0, 1, pixels));
  }
  thaw_strings_clear(&ids);
  thaw_catalog_close(catalog);
}

static void read_checkpoint(const char *path) {
  thaw_text text = {0};
  fuzz_expect(thaw_checkpoint_describe(path, &text));
  thaw_text_clear(&text);
}

/* A cache of four samples of six numbers, whose only block this file is. */
static void read_block(const char *path) {
  thaw_dataset_info data = {.count = 4};
  thaw_block block = {0};
  char folder[256], name[300];
  snprintf(folder, sizeof folder, "%s/thaw-fuzz-cache-XXXXXX", fuzz_folder());
  thaw_view view = {.view = -1, .key = "6b6579", .folder = mkdtemp(folder), .block = &block};
  thaw_features features = {
      .data = &data, .floats = 6, .row_bytes = 24, .storage = THAW_STORE_F32, .block_rows = 4, .blocks = 1};
  bool missing;
  if (!view.folder) return;
  snprintf(name, sizeof name, "%s/block-000000.h5", folder);
  if (link(path, name) == 0) fuzz_expect(thaw_block_open(&features, &view, 0, &missing));
  thaw_block_close(&block);
  unlink(name);
  rmdir(folder);
}

void fuzz_read_everything(const char *path) {
  fuzz_read_weights(path);
  read_model(path);
  read_data(path);
  read_checkpoint(path);
  read_block(path);
}
