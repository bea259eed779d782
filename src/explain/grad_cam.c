/* Grad-CAM: the constant part up to the layer by the frozen plan, the rest forward and back by the live executor. */
#include "thaw/explain.h"
#include "thaw/memory.h"

#include <string.h>

struct thaw_grad_cam {
  thaw_graph *graph;
  int32_t layer, batch;
  size_t outputs, offset; /* of the layer's tensor in a row of features */
  thaw_cut cut;
  thaw_plan *plan;
  void *packed;
  thaw_live *live;
  float *features, *dy;
  uint64_t *sample;
  double *weight; /* [channels] */
};

static bool is_pooling(const thaw_layer *layer) {
  return strstr(layer->ops->schema->name, "pooling") || strstr(layer->ops->schema->name, "padding") ||
         layer->ops->random;
}

static bool is_image(const thaw_shape *shape) {
  return shape->h > 1 && shape->w > 1;
}

int32_t thaw_grad_cam_layer(const thaw_graph *graph) {
  for (int32_t i = thaw_graph_count(graph) - 2; i > 0; i--) {
    const thaw_layer *layer = &thaw_graph_view(graph, i)->layer;
    if (is_image(&layer->output) && !is_pooling(layer)) return i;
  }
  return -1;
}

/* What does not depend on the layer is constant; the cut is the layer and whatever else the rest reads. */
static thaw_status cut_at(thaw_grad_cam *cam) {
  int32_t count = thaw_graph_count(cam->graph);
  thaw_cut *cut = &cam->cut;
  *cut = (thaw_cut){.node = thaw_new((size_t)count, sizeof(int32_t)),
                    .constant = thaw_new((size_t)count, sizeof(bool)),
                    .gradient = true};
  bool *crosses = thaw_new((size_t)count, sizeof *crosses);
  thaw_status status = cut->node && cut->constant && crosses ? THAW_OK : THAW_ERR_MEMORY;
  for (int32_t i = 0; status == THAW_OK && i < count; i++) {
    const thaw_node *node = thaw_graph_view(cam->graph, i);
    cut->constant[i] = true;
    for (int32_t j = 0; i > cam->layer && j < node->layer.inputs; j++)
      if (node->input[j] == cam->layer || !cut->constant[node->input[j]]) cut->constant[i] = false;
    for (int32_t j = 0; !cut->constant[i] && j < node->layer.inputs; j++)
      if (cut->constant[node->input[j]]) crosses[node->input[j]] = true;
  }
  for (int32_t i = 0; status == THAW_OK && i < count; i++) {
    if (!crosses[i]) continue;
    if (i == cam->layer) cam->offset = cut->floats;
    cut->node[cut->count++] = i;
    cut->floats += thaw_shape_count(thaw_graph_view(cam->graph, i)->layer.output);
  }
  thaw_free(crosses);
  return status;
}

static thaw_status make_plan(thaw_grad_cam *cam, const thaw_isa *isa) {
  const thaw_plan_options options = {.batch = cam->batch, .threads = 1};
  if (cam->cut.count == 1 && cam->cut.node[0] == 0) return THAW_OK;
  THAW_TRY(thaw_plan_create(cam->graph, cam->cut.node, cam->cut.count, isa, &options, &cam->plan));
  cam->packed = thaw_new(thaw_plan_packed_bytes(cam->plan), 1);
  if (!cam->packed) return THAW_ERR_MEMORY;
  THAW_TRY(thaw_plan_pack(cam->plan, cam->packed));
  thaw_plan_use(cam->plan, cam->packed);
  return THAW_OK;
}

static thaw_status create(thaw_grad_cam *cam, const thaw_isa *isa) {
  const thaw_layer *layer = &thaw_graph_view(cam->graph, cam->layer)->layer;
  const thaw_shape shape = layer->output;
  int32_t count = thaw_graph_count(cam->graph);
  if (!is_image(&shape))
    return thaw_fail(THAW_ERR_USAGE, "layer '%s': its output is %d x %d, a map of it shows nothing", layer->name,
                     shape.h, shape.w);
  for (int32_t i = 0; i < count; i++) thaw_graph_node(cam->graph, i)->frozen = true;
  THAW_TRY(cut_at(cam));
  if (cam->cut.constant[count - 1])
    return thaw_fail(THAW_ERR_USAGE, "layer '%s': the network's output does not depend on it", layer->name);
  THAW_TRY(make_plan(cam, isa));
  THAW_TRY(thaw_live_create(cam->graph, &cam->cut, isa, cam->batch, cam->batch, &cam->live));
  size_t batch = (size_t)cam->batch;
  cam->outputs = thaw_shape_count(thaw_graph_view(cam->graph, count - 1)->layer.output);
  cam->features = thaw_new(batch * cam->cut.floats, sizeof(float));
  cam->dy = thaw_new(batch * cam->outputs, sizeof(float));
  cam->sample = thaw_new(batch, sizeof(uint64_t));
  cam->weight = thaw_new((size_t)shape.c, sizeof(double));
  return cam->features && cam->dy && cam->sample && cam->weight ? THAW_OK : THAW_ERR_MEMORY;
}

thaw_status thaw_grad_cam_create(thaw_graph *graph, int32_t layer, const thaw_isa *isa, int32_t batch,
                                 thaw_grad_cam **out) {
  *out = NULL;
  if (layer < 0 || layer >= thaw_graph_count(graph) || batch < 1)
    return thaw_fail(THAW_ERR_INTERNAL, "layer %d of %d, %d images", layer, thaw_graph_count(graph), batch);
  thaw_grad_cam *cam = thaw_new(1, sizeof *cam);
  if (!cam) return THAW_ERR_MEMORY;
  cam->graph = graph;
  cam->layer = layer;
  cam->batch = batch;
  thaw_status status = create(cam, isa);
  if (status != THAW_OK) {
    thaw_grad_cam_destroy(cam);
    return status;
  }
  *out = cam;
  return THAW_OK;
}

void thaw_grad_cam_destroy(thaw_grad_cam *cam) {
  if (!cam) return;
  thaw_live_destroy(cam->live);
  thaw_plan_destroy(cam->plan);
  thaw_cut_clear(&cam->cut);
  thaw_free(cam->packed);
  thaw_free(cam->features);
  thaw_free(cam->dy);
  thaw_free(cam->sample);
  thaw_free(cam->weight);
  thaw_free(cam);
}

void thaw_grad_cam_size(const thaw_grad_cam *cam, int32_t *h, int32_t *w) {
  const thaw_shape shape = thaw_graph_view(cam->graph, cam->layer)->layer.output;
  *h = shape.h;
  *w = shape.w;
}

static int32_t largest(const float *y, size_t count) {
  size_t best = 0;
  for (size_t i = 1; i < count; i++)
    if (y[i] > y[best]) best = i;
  return (int32_t)best;
}

/* One image's map from its activations and their gradient, both [h][w][c]. */
static void make_map(const thaw_grad_cam *cam, const float *activation, const float *gradient, float *map) {
  const thaw_shape shape = thaw_graph_view(cam->graph, cam->layer)->layer.output;
  size_t positions = (size_t)shape.h * (size_t)shape.w, channels = (size_t)shape.c;
  float most = 0;
  memset(cam->weight, 0, channels * sizeof *cam->weight);
  for (size_t i = 0; i < positions * channels; i++) cam->weight[i % channels] += gradient[i];
  for (size_t i = 0; i < positions; i++) {
    double sum = 0;
    for (size_t k = 0; k < channels; k++) sum += cam->weight[k] * activation[i * channels + k];
    map[i] = sum > 0 ? (float)(sum / (double)positions) : 0;
    if (map[i] > most) most = map[i];
  }
  for (size_t i = 0; most > 0 && i < positions; i++) map[i] /= most;
}

thaw_status thaw_grad_cam_run(thaw_grad_cam *cam, const float *x, int32_t n, int32_t *target, float *y, float *maps) {
  const int32_t slice_start[2] = {0, n};
  const int64_t slice = 0;
  const float *result;
  int32_t h, w;
  size_t floats = thaw_shape_count(thaw_graph_view(cam->graph, cam->layer)->layer.output);
  thaw_grad_cam_size(cam, &h, &w);
  if (cam->plan) thaw_plan_run(cam->plan, x, n, cam->features);
  const thaw_share share = {.features = cam->plan ? cam->features : x,
                            .sample = cam->sample,
                            .samples = n,
                            .slices = 1,
                            .slice_start = slice_start,
                            .slice = &slice,
                            .batch = n,
                            .training = true};
  THAW_TRY(thaw_live_forward(cam->live, &share, NULL, &result));
  memcpy(y, result, (size_t)n * cam->outputs * sizeof *y);
  memset(cam->dy, 0, (size_t)n * cam->outputs * sizeof *cam->dy);
  for (int32_t i = 0; i < n; i++) {
    if (target[i] < 0) target[i] = largest(y + (size_t)i * cam->outputs, cam->outputs);
    cam->dy[(size_t)i * cam->outputs + (size_t)target[i]] = 1;
  }
  THAW_TRY(thaw_live_backward(cam->live, &share, NULL, cam->dy, thaw_live_logits(cam->live) != NULL));
  const float *gradient = thaw_live_cut_gradient(cam->live, cam->layer);
  for (int32_t i = 0; i < n; i++)
    make_map(cam, share.features + (size_t)i * cam->cut.floats + cam->offset, gradient + (size_t)i * floats,
             maps + (size_t)i * (size_t)h * (size_t)w);
  return THAW_OK;
}
