#include "fixture.h"
#include "thaw/memory.h"

#include <ftw.h>
#include <stdio.h>
#include <string.h>

enum { PIXELS = FIXTURE_SIDE * FIXTURE_SIDE * 3 };

static void paint(int64_t sample, uint8_t out[PIXELS]) {
  for (int j = 0; j < PIXELS; j++) out[j] = (uint8_t)((sample * 7919 + j * (13 + sample % 5)) % 251);
}

thaw_status fixture_write_shard(const char *folder) {
  char digest[65], *class = "a", *path = thaw_path_join(folder, "data.h5");
  uint8_t(*pixels)[PIXELS] = thaw_new(FIXTURE_SAMPLES, PIXELS);
  int32_t *labels = thaw_new(FIXTURE_SAMPLES, sizeof *labels);
  thaw_strings ids = {0};
  if (!pixels || !labels || !path) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < FIXTURE_SAMPLES; i++) {
    char id[16];
    snprintf(id, sizeof id, "%d", (int)i);
    paint(i, pixels[i]);
    THAW_TRY(thaw_strings_add(&ids, id));
  }
  thaw_dataset_info info = {.count = FIXTURE_SAMPLES,
                            .h = FIXTURE_SIDE,
                            .w = FIXTURE_SIDE,
                            .c = 3,
                            .bits = 8,
                            .value_max = 255,
                            .label_kind = THAW_LABEL_CLASS,
                            .label_width = 1,
                            .classes = {.item = &class, .count = 1}};
  thaw_shard_rows rows = {.count = FIXTURE_SAMPLES, .pixels = pixels, .labels = labels, .ids = ids.item};
  thaw_status status = thaw_shard_write(path, &info, &rows, 0, digest);
  thaw_strings_clear(&ids);
  thaw_free(pixels), thaw_free(labels), thaw_free(path);
  return status;
}

static thaw_status build_plan(fixture *f) {
  thaw_shape shape = {.rank = 3, .h = FIXTURE_SIDE, .w = FIXTURE_SIDE, .c = 3};
  thaw_conv2d_config conv = {.filters = FIXTURE_FLOATS,
                             .kernel_h = 3,
                             .kernel_w = 3,
                             .stride_h = 1,
                             .stride_w = 1,
                             .padding = THAW_SAME,
                             .activation = THAW_RELU,
                             .use_bias = true};
  const thaw_isa *isa;
  int32_t node = 0;
  THAW_TRY(thaw_isa_select(NULL, &isa));
  THAW_TRY(thaw_graph_create(shape, &f->graph));
  THAW_TRY(thaw_graph_add(f->graph, "conv2d", &conv, "conv", &node, 1, &node));
  THAW_TRY(thaw_graph_add(f->graph, "global_average_pooling", NULL, "pool", &node, 1, &node));
  THAW_TRY(thaw_graph_bind(f->graph));
  thaw_graph_initialize(f->graph, 3, false);
  thaw_plan_options options = {.batch = FIXTURE_BATCH, .threads = 1};
  THAW_TRY(thaw_plan_create(f->graph, &node, 1, isa, &options, &f->plan));
  f->packed = thaw_new(1, thaw_plan_packed_bytes(f->plan));
  if (!f->packed) return THAW_ERR_MEMORY;
  THAW_TRY(thaw_plan_pack(f->plan, f->packed));
  thaw_plan_use(f->plan, f->packed);
  return THAW_OK;
}

thaw_status fixture_open(const char *folder, fixture *f) {
  *f = (fixture){.folder = thaw_copy_text(folder),
                 .shard = thaw_path_join(folder, "data.h5"),
                 .cache = thaw_path_join(folder, "cache"),
                 .input = {.h = FIXTURE_SIDE,
                           .w = FIXTURE_SIDE,
                           .c = 3,
                           .preprocessing = THAW_PREPROCESS_TF,
                           .seed = 11,
                           .allow_resize = true,
                           .augment = {.enabled = true, .horizontal_flip = true, .rotation = {-15, 15}, .views = 4}},
                 .config = {.enabled = true},
                 .weights_digest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"};
  if (!f->folder || !f->shard || !f->cache) return THAW_ERR_MEMORY;
  THAW_TRY(thaw_catalog_open(f->shard, &f->catalog));
  return build_plan(f);
}

void fixture_close(fixture *f) {
  thaw_plan_destroy(f->plan);
  thaw_graph_destroy(f->graph);
  thaw_catalog_close(f->catalog);
  thaw_free(f->packed), thaw_free(f->folder), thaw_free(f->shard), thaw_free(f->cache);
  *f = (fixture){0};
}

thaw_status fixture_features(fixture *f, thaw_comm *comm, thaw_features **out) {
  thaw_features_desc desc = {.catalog = f->catalog,
                             .input = &f->input,
                             .plan = f->plan,
                             .cut_name = "pool",
                             .floats = FIXTURE_FLOATS,
                             .weights_digest = f->weights_digest,
                             .cache = &f->config,
                             .cache_folder = f->cache,
                             .batch = FIXTURE_BATCH};
  return thaw_features_open(comm, &desc, NULL, out);
}

thaw_status fixture_expected(fixture *f, int32_t view, float *out) {
  uint8_t pixels[PIXELS];
  float input[PIXELS];
  for (int64_t i = 0; i < FIXTURE_SAMPLES; i++) {
    paint(i, pixels);
    THAW_TRY(thaw_input_make(&f->input, thaw_catalog_info(f->catalog), pixels, i, view, input));
    thaw_plan_run(f->plan, input, 1, out + i * FIXTURE_FLOATS);
  }
  return THAW_OK;
}

thaw_status fixture_blocks(const fixture *f, thaw_strings *out) {
  thaw_strings entries = {0}, files = {0};
  THAW_TRY(thaw_folder_list(f->cache, &entries));
  for (size_t i = 0; i < entries.count; i++) {
    char *folder = thaw_path_join(f->cache, entries.item[i]);
    THAW_TRY(thaw_folder_list(folder, &files));
    for (size_t j = 0; j < files.count; j++) {
      char *path = thaw_path_join(folder, files.item[j]);
      size_t length = strlen(files.item[j]);
      if (length > 3 && strcmp(files.item[j] + length - 3, ".h5") == 0) THAW_TRY(thaw_strings_add(out, path));
      thaw_free(path);
    }
    thaw_free(folder);
    thaw_strings_clear(&files);
  }
  thaw_strings_clear(&entries);
  return THAW_OK;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *where) {
  (void)info, (void)type, (void)where;
  return remove(path);
}

void fixture_remove_tree(const char *folder) {
  nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
