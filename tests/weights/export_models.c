/* export_models FOLDER WEIGHTS_FOLDER [ARCHITECTURE ...]: whole networks as Keras models for keras_roundtrip.py, each
 * with inputs and thaw's own outputs beside it: FOLDER/<name>.h5, FOLDER/<name>_io.h5. export_models --check FILE
 * ARCHITECTURE: prints the digest of a backbone read from a model file. */
#include "thaw/digest.h"
#include "thaw/file.h"
#include "thaw/h5.h"
#include "thaw/memory.h"
#include "thaw/rng.h"
#include "thaw/weights.h"
#include "thaw/zoo.h"

#include <stdio.h>
#include <string.h>

enum { SIZE = 76, IMAGES = 4, CLASSES = 5 };

/* gain: of batch-norm's scales, so that images still differ after many gates of about a half. */
static const struct {
  const char *architecture, *weights;
  float gain;
} models[] = {
    {"vgg16", "vgg16_imagenet_notop.h5", 1},
    {"mobilenetv2", "mobilenet_v2_nsfwjs_1.0_224_notop_gz.h5", 1},
    {"resnet50", NULL, 1},
    {"densenet121", NULL, 1},
    {"xception", NULL, 1.5f},
    {"efficientnetb0", NULL, 4},
    {"resnet50v2", NULL, 1},
    {"inceptionv3", NULL, 1},
};
enum { MODELS = sizeof models / sizeof models[0] };

static thaw_status add_head(thaw_graph *graph, int32_t node) {
  thaw_batch_norm_config norm = {.momentum = 0.99, .epsilon = 1e-3, .center = true, .scale = true};
  thaw_dense_config hidden = {.units = 16, .activation = THAW_RELU, .use_bias = true, .kernel_l2 = 1e-4};
  thaw_dense_config last = {.units = CLASSES, .activation = THAW_SOFTMAX, .use_bias = true};
  thaw_dropout_config dropout = {.rate = 0.5};
  int32_t first = thaw_graph_count(graph);
  THAW_TRY(thaw_graph_add(graph, "global_average_pooling", NULL, NULL, &node, 1, &node));
  THAW_TRY(thaw_graph_add(graph, "batch_normalization", &norm, "head_norm", &node, 1, &node));
  THAW_TRY(thaw_graph_add(graph, "dense", &hidden, NULL, &node, 1, &node));
  THAW_TRY(thaw_graph_add(graph, "dropout", &dropout, NULL, &node, 1, &node));
  THAW_TRY(thaw_graph_add(graph, "dense", &last, NULL, &node, 1, &node));
  thaw_graph_mark_head(graph, first);
  return THAW_OK;
}

/* Statistics and scales of batch-norm layers away from their trivial start. */
static void disturb(thaw_graph *graph, const char *only, float gain) {
  for (int32_t i = 0; i < thaw_graph_count(graph); i++) {
    thaw_layer *layer = &thaw_graph_node(graph, i)->layer;
    if (strcmp(layer->ops->keras_class, "BatchNormalization") != 0 || (only && strcmp(layer->name, only) != 0))
      continue;
    for (int32_t p = 0; p < layer->params; p++)
      for (size_t k = 0; k < thaw_param_count(&layer->param[p]); k++)
        layer->param[p].value[k] += 0.2f * (float)((k * 7 + (size_t)p * 3) % 11) / 10;
    for (size_t k = 0; k < thaw_param_count(&layer->param[0]); k++) layer->param[0].value[k] *= gain;
  }
}

static thaw_status build(const char *architecture, const char *weights, float gain, thaw_graph **out) {
  int32_t last;
  char digest[THAW_DIGEST_TEXT];
  thaw_shape input = {.rank = 3, .h = SIZE, .w = SIZE, .c = 3};
  THAW_TRY(thaw_zoo_build(architecture, input, NULL, out, &last));
  THAW_TRY(add_head(*out, last));
  THAW_TRY(thaw_graph_bind(*out));
  thaw_graph_initialize(*out, 7, false);
  disturb(*out, weights ? "head_norm" : NULL, gain);
  return weights ? thaw_weights_load(*out, weights, NULL, digest) : THAW_OK;
}

/* Values of -1 .. 1, or of 0 .. 255 for networks that scale pixels themselves. */
static void fill_images(bool raw, float *x) {
  for (size_t i = 0; i < (size_t)IMAGES * SIZE * SIZE * 3; i++) {
    size_t column = i / 3 % SIZE, row = i / 3 / SIZE % SIZE, image = i / 3 / SIZE / SIZE;
    x[i] = (float)((column * (image + 1) + row * 3 + i % 3 * 40) % 97) / 48.5f - 1;
    if (raw) x[i] = 127.5f * (x[i] + 1);
  }
}

/* x [IMAGES][SIZE][SIZE][3] -> y [IMAGES][CLASSES] through the compiled network. */
static thaw_status predict(const thaw_graph *graph, const float *x, float *y) {
  const thaw_isa *isa;
  thaw_plan *plan;
  int32_t output = thaw_graph_count(graph) - 1;
  thaw_plan_options options = {.batch = IMAGES, .threads = 1};
  THAW_TRY(thaw_isa_select(NULL, &isa));
  THAW_TRY(thaw_plan_create(graph, &output, 1, isa, &options, &plan));
  void *packed = thaw_new(1, thaw_plan_packed_bytes(plan));
  thaw_status status = packed ? thaw_plan_pack(plan, packed) : THAW_ERR_MEMORY;
  if (status == THAW_OK) {
    thaw_plan_use(plan, packed);
    thaw_plan_run(plan, x, IMAGES, y);
  }
  thaw_plan_destroy(plan);
  thaw_free(packed);
  return status;
}

static thaw_status write_io(const char *path, const float *x, const float *y, const char *digest) {
  thaw_h5 *h5;
  THAW_TRY(thaw_h5_create(path, &h5));
  thaw_h5_layout input = {.type = THAW_H5_F32, .rank = 4, .dim = {IMAGES, SIZE, SIZE, 3}};
  thaw_h5_layout output = {.type = THAW_H5_F32, .rank = 2, .dim = {IMAGES, CLASSES}};
  thaw_status status = thaw_h5_write(h5, "/x", &input, x);
  if (status == THAW_OK) status = thaw_h5_write(h5, "/y", &output, y);
  if (status == THAW_OK) status = thaw_h5_set_text(h5, "/", "digest", digest);
  if (status == THAW_OK) return thaw_h5_commit(h5);
  thaw_h5_close(h5);
  return status;
}

static thaw_status export_graph(const thaw_graph *graph, const char *folder, const char *name) {
  float *x = thaw_new((size_t)IMAGES * SIZE * SIZE * 3, sizeof *x), y[IMAGES * CLASSES];
  char *model = thaw_format("%s/%s.h5", folder, name), *io = thaw_format("%s/%s_io.h5", folder, name);
  char *archive = thaw_format("%s/%s.keras", folder, name), *objects = thaw_format("%s/%s.weights.h5", folder, name);
  char digest[THAW_DIGEST_TEXT];
  thaw_strings classes = {0};
  thaw_status status = x && model && io && archive && objects ? THAW_OK : THAW_ERR_MEMORY;
  for (int i = 0; i < CLASSES && status == THAW_OK; i++)
    status = thaw_strings_add(&classes, (char[]){(char)('a' + i), 0});
  const thaw_export_training training = {.optimizer_class = "Adam",
                                         .optimizer_config = "{\"learning_rate\": 0.002, \"beta_1\": 0.8}",
                                         .loss = "\"categorical_crossentropy\"",
                                         .metrics = "[\"accuracy\"]"};
  thaw_export_options options = {.name = name, .preprocessing = "tf", .classes = &classes, .training = &training};
  if (status == THAW_OK) status = thaw_weights_export(graph, model, &options);
  if (status == THAW_OK) status = thaw_weights_export_keras(graph, archive, &options);
  if (status == THAW_OK) status = thaw_weights_save_objects(graph, objects);
  if (status == THAW_OK) status = thaw_weights_digest(graph, false, digest);
  if (status == THAW_OK) {
    fill_images(thaw_architecture_find(name)->preprocessing == THAW_PREPROCESS_RAW, x);
    status = predict(graph, x, y);
  }
  if (status == THAW_OK) status = write_io(io, x, y, digest);
  thaw_strings_clear(&classes);
  thaw_free(x);
  thaw_free(model);
  thaw_free(archive);
  thaw_free(objects);
  thaw_free(io);
  return status;
}

/* Prints the name when it is done. */
static thaw_status export_one(const char *folder, const char *architecture, const char *weights, float gain) {
  thaw_graph *graph = NULL;
  thaw_status status = build(architecture, weights && thaw_file_exists(weights) ? weights : NULL, gain, &graph);
  if (status == THAW_OK) status = export_graph(graph, folder, architecture);
  if (status == THAW_OK) printf("%s\n", architecture);
  thaw_graph_destroy(graph);
  return status;
}

static thaw_status export_all(const char *folder, const char *weights_folder) {
  for (size_t i = 0; i < MODELS; i++) {
    char *weights = models[i].weights ? thaw_path_join(weights_folder, models[i].weights) : NULL;
    thaw_status status = export_one(folder, models[i].architecture, weights, models[i].gain);
    thaw_free(weights);
    THAW_TRY(status);
  }
  return THAW_OK;
}

static thaw_status check(const char *path, const char *architecture) {
  thaw_graph *graph = NULL;
  int32_t last;
  char digest[THAW_DIGEST_TEXT];
  thaw_shape input = {.rank = 3, .h = SIZE, .w = SIZE, .c = 3};
  thaw_status status = thaw_zoo_build(architecture, input, NULL, &graph, &last);
  if (status == THAW_OK) status = thaw_graph_bind(graph);
  if (status == THAW_OK) status = thaw_weights_load(graph, path, NULL, digest);
  if (status == THAW_OK) printf("%s\n", digest);
  thaw_graph_destroy(graph);
  return status;
}

int main(int argc, char **argv) {
  thaw_status status = THAW_OK;
  if (argc == 4 && strcmp(argv[1], "--check") == 0)
    status = check(argv[2], argv[3]);
  else if (argc == 3)
    status = export_all(argv[1], argv[2]);
  else if (argc < 3)
    status = thaw_fail(THAW_ERR_USAGE, "usage: export_models FOLDER WEIGHTS_FOLDER [ARCHITECTURE ...]");
  else
    for (int i = 3; i < argc && status == THAW_OK; i++) status = export_one(argv[1], argv[i], NULL, 1);
  if (status != THAW_OK) fprintf(stderr, "error: %s\n", thaw_message());
  return thaw_exit_code(status);
}
