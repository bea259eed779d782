/* thaw inspect --verify: a weight or model file's network runs on a built-in image. Where the weights are known, by the
 * digest of their values, the features must be those that Keras computes; else they must be finite. */
#include "cli/inspect.h"
#include "thaw/kernel.h"
#include "thaw/loader.h"
#include "thaw/memory.h"
#include "thaw/weights.h"
#include "thaw/zoo.h"

#include <math.h>
#include <string.h>

enum { SUMS = 8, DIGEST_SHOWN = 16 };
static const double tolerance = 1e-5; /* of the root mean square */

/* Features of keras.applications' network (Keras 3.15 on TensorFlow 2.21) with these weights on the built-in image of
 * 224 x 224: mean, mean absolute, root mean square, and means weighted with ((2 k + 1) i mod 17 - 8) / 8, which tell
 * features apart that have changed their places. */
typedef struct known_weights {
  const char *digest, *title; /* the beginning of what thaw_weights_load computes */
  int64_t count;
  double mean, absolute, square, weighted[SUMS];
} known_weights;

static const known_weights known[] = {
    {"03135c6d0375e970",
     "VGG16, ImageNet",
     25088,
     1.5743941382015878,
     1.5743941382015878,
     6.985445162370814,
     {0.00599581459, 0.0135434211, 0.0166925169, -0.00213697823, 0.00125745872, -0.0129887752, 0.0142075353,
      -0.00156753309}},
    {"b1ed7ba90ab8523f",
     "MobileNetV2, nsfwjs",
     62720,
     0.0820905960221984,
     0.0820905960221984,
     0.4298690289898245,
     {0.000576045416, -0.000585460286, 0.000594653127, 0.000142007304, 0.000731182292, 0.000761072496, 0.000770797641,
      -0.000546961961}},
    {"b4a01c4778aa2377",
     "MobileNetV2, ImageNet, up to block 10",
     18816,
     0.0005600434803337291,
     2.0111886110143176,
     2.5754016751421154,
     {-0.0029497756, -0.00502134517, -0.0059556863, 0.0117610794, 0.00347896151, 0.00738456903, -0.00426859236,
      0.0113303067}},
};

typedef struct network {
  thaw_graph *graph;
  int32_t last;
  thaw_preprocessing preprocessing;
  const char *title; /* of the architecture; "the model in the file" */
  char *cut;
  char digest[65];
  thaw_plan *plan;
  void *packed;
} network;

static void close_network(network *net) {
  thaw_plan_destroy(net->plan);
  thaw_free(net->packed);
  thaw_free(net->cut);
  thaw_graph_destroy(net->graph);
}

/* A file with a model in it tells its network; of weights alone the architecture is guessed. */
static thaw_status build(const char *path, network *net) {
  const thaw_architecture *architecture;
  thaw_status status = thaw_weights_identify(path, &architecture, &net->cut);
  if (status == THAW_OK && architecture) {
    const thaw_shape input = {.rank = 3, .h = architecture->default_size, .w = architecture->default_size, .c = 3};
    net->title = architecture->title;
    net->preprocessing = architecture->preprocessing;
    return thaw_zoo_build(architecture->name, input, net->cut, &net->graph, &net->last);
  }
  THAW_TRY(status);
  net->title = "the model in the file";
  net->preprocessing = THAW_PREPROCESS_RAW;
  return thaw_weights_read_model(path, NULL, NULL, &net->graph, &net->last);
}

static thaw_status prepare(const char *path, thaw_log *log, network *net) {
  const thaw_isa *isa;
  const thaw_plan_options options = {.batch = 1, .threads = 1};
  THAW_TRY(build(path, net));
  THAW_TRY(thaw_graph_bind(net->graph));
  THAW_TRY(thaw_weights_load(net->graph, path, log, net->digest));
  THAW_TRY(thaw_isa_select(NULL, &isa));
  THAW_TRY(thaw_plan_create(net->graph, &net->last, 1, isa, &options, &net->plan));
  net->packed = thaw_new(1, thaw_plan_packed_bytes(net->plan));
  if (!net->packed) return THAW_ERR_MEMORY;
  THAW_TRY(thaw_plan_pack(net->plan, net->packed));
  thaw_plan_use(net->plan, net->packed);
  return THAW_OK;
}

/* Values 0 .. 255, with gradients and edges in every colour. */
static float *make_image(thaw_shape shape, thaw_preprocessing preprocessing) {
  const size_t pixels = (size_t)shape.h * (size_t)shape.w;
  float *image = thaw_new(pixels, (size_t)shape.c * sizeof *image);
  if (!image) return NULL;
  for (int32_t y = 0; y < shape.h; y++)
    for (int32_t x = 0; x < shape.w; x++)
      for (int32_t c = 0; c < shape.c; c++) {
        const int32_t value = x * (c % 3 + 2) + y * (4 - c % 3) + (x / 8) * (y / 8) * 5;
        image[((size_t)y * (size_t)shape.w + (size_t)x) * (size_t)shape.c + (size_t)c] = (float)(value % 256);
      }
  thaw_preprocess(preprocessing, image, pixels, shape.c);
  return image;
}

static thaw_status add_statistics(const char *path, const float *feature, size_t count, known_weights *out) {
  size_t zeros = 0;
  *out = (known_weights){.count = (int64_t)count};
  for (size_t i = 0; i < count; i++) {
    const double value = (double)feature[i];
    if (!isfinite(value)) return thaw_fail(THAW_ERR_DATA, "%s: feature %zu of a plain image is %g", path, i, value);
    zeros += feature[i] == 0;
    out->mean += value / (double)count;
    out->absolute += fabs(value) / (double)count;
    out->square += value * value / (double)count;
    for (size_t k = 0; k < SUMS; k++)
      out->weighted[k] += value * ((double)((2 * k + 1) * i % 17) - 8) / 8 / (double)count;
  }
  out->square = sqrt(out->square);
  return zeros < count ? THAW_OK : thaw_fail(THAW_ERR_DATA, "%s: every feature of a plain image is 0", path);
}

/* The largest difference of any of the numbers, relative to the root mean square. */
static double compare(const known_weights *found, const known_weights *expected) {
  double worst = fmax(fabs(found->mean - expected->mean), fabs(found->absolute - expected->absolute));
  worst = fmax(worst, fabs(found->square - expected->square));
  for (int k = 0; k < SUMS; k++) worst = fmax(worst, fabs(found->weighted[k] - expected->weighted[k]));
  return worst / expected->square;
}

static thaw_status judge(const char *path, const network *net, const known_weights *found, thaw_text *out) {
  char count[32];
  thaw_text_add(out, "%s: %s%s%s, weights %.*s...\n", path, net->title, net->cut ? " up to " : "",
                net->cut ? net->cut : "", DIGEST_SHOWN, net->digest);
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    if (strncmp(known[i].digest, net->digest, DIGEST_SHOWN) != 0 || known[i].count != found->count) continue;
    const double error = compare(found, &known[i]);
    if (!(error <= tolerance))
      return thaw_fail(THAW_ERR_DATA, "%s: the weights are those of %s, but their features differ from Keras' by %.1e",
                       path, known[i].title, error);
    thaw_text_add(out, "known weights: %s; features as Keras computes them, to %.1e\n", known[i].title, error);
    return THAW_OK;
  }
  thaw_text_add(out, "unknown weights; %s features finite, mean %.6g, mean absolute %.6g, root mean square %.6g\n",
                thaw_format_count(found->count, count), found->mean, found->absolute, found->square);
  return THAW_OK;
}

static thaw_status verify(const char *path, thaw_log *log, network *net, thaw_text *out) {
  THAW_TRY(prepare(path, log, net));
  const thaw_shape shape = thaw_graph_view(net->graph, 0)->layer.output;
  const size_t count = thaw_plan_output_floats(net->plan);
  if (shape.rank != 3) return thaw_fail(THAW_ERR_DATA, "%s: the model does not take images", path);
  float *image = make_image(shape, net->preprocessing), *feature = thaw_new(count, sizeof *feature);
  thaw_status status = image && feature ? THAW_OK : THAW_ERR_MEMORY;
  known_weights found;
  if (status == THAW_OK) {
    thaw_plan_run(net->plan, image, 1, feature);
    status = add_statistics(path, feature, count, &found);
  }
  if (status == THAW_OK) status = judge(path, net, &found, out);
  thaw_free(image);
  thaw_free(feature);
  return status;
}

thaw_status cli_inspect_verify(cli_context *cli, const char *path) {
  thaw_text text = {0};
  network net = {0};
  thaw_status status = cli_is_root(cli) ? verify(path, cli->log, &net, &text) : THAW_OK;
  close_network(&net);
  if (status == THAW_OK) cli_print_text(cli, &text);
  thaw_text_clear(&text);
  return cli_share_status(cli, status);
}
