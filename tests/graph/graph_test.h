/* graph_test.h: small networks with random parameters. */
#ifndef GRAPH_TEST_H
#define GRAPH_TEST_H

#include "thaw_test.h"

#include "thaw/memory.h"
#include "thaw/rng.h"
#include "thaw/zoo.h"

static inline thaw_shape test_map(int32_t h, int32_t w, int32_t c) {
  return (thaw_shape){.rank = 3, .h = h, .w = w, .c = c};
}

static inline void test_fill(float *out, size_t count, uint64_t stream, float low, float high) {
  thaw_draw position = {.seed = 11, .purpose = THAW_RNG_TEST, .sample = stream};
  thaw_random_uniform(&position, out, (uint32_t)count);
  for (size_t i = 0; i < count; i++) out[i] = low + (high - low) * out[i];
}

/* Glorot kernels; biases, scales and moving statistics that are all different and of natural size. */
static inline void test_randomize(thaw_graph *graph) {
  thaw_graph_initialize(graph, 1, false);
  for (int32_t i = 0; i < thaw_graph_count(graph); i++) {
    thaw_layer *layer = &thaw_graph_node(graph, i)->layer;
    for (int32_t p = 0; p < layer->params; p++) {
      thaw_param *param = &layer->param[p];
      uint64_t stream = (uint64_t)i * 8 + (uint64_t)p;
      if (strcmp(param->name, "bias") == 0 || strcmp(param->name, "beta") == 0 ||
          strcmp(param->name, "moving_mean") == 0)
        test_fill(param->value, thaw_param_count(param), stream, -0.2f, 0.2f);
      if (strcmp(param->name, "gamma") == 0 || strcmp(param->name, "moving_variance") == 0)
        test_fill(param->value, thaw_param_count(param), stream, 0.7f, 1.3f);
    }
  }
}

static inline int32_t test_add(thaw_graph *graph, const char *type, const void *config, const char *name,
                               int32_t input) {
  int32_t node = -1;
  assert_thaw_ok(thaw_graph_add(graph, type, config, name, &input, 1, &node));
  return node;
}

static inline int32_t test_join(thaw_graph *graph, const char *type, int32_t a, int32_t b) {
  int32_t node = -1;
  assert_thaw_ok(thaw_graph_add(graph, type, NULL, NULL, (int32_t[]){a, b}, 2, &node));
  return node;
}

static inline int32_t test_conv(thaw_graph *graph, int32_t input, int32_t filters, int32_t kernel, int32_t stride,
                                int32_t padding, thaw_activation activation) {
  thaw_conv2d_config config = {.filters = filters,
                               .kernel_h = kernel,
                               .stride_h = stride,
                               .padding = padding,
                               .activation = (int32_t)activation,
                               .use_bias = true};
  return test_add(graph, "conv2d", &config, NULL, input);
}

static inline int32_t test_norm(thaw_graph *graph, int32_t input) {
  thaw_batch_norm_config config = {.momentum = 0.9, .epsilon = 1e-3, .center = true, .scale = true};
  return test_add(graph, "batch_normalization", &config, NULL, input);
}

static inline int32_t test_activation(thaw_graph *graph, int32_t input, thaw_activation activation) {
  return test_add(graph, "activation", &(thaw_activation_config){.activation = (int32_t)activation}, NULL, input);
}

static inline int32_t test_pool(thaw_graph *graph, int32_t input, const char *type, int32_t size, int32_t stride,
                                int32_t padding) {
  thaw_pool2d_config config = {.pool_h = size, .stride_h = stride, .padding = padding};
  return test_add(graph, type, &config, NULL, input);
}

static inline int32_t test_dense(thaw_graph *graph, int32_t input, int32_t units, thaw_activation activation) {
  thaw_dense_config config = {.units = units, .activation = (int32_t)activation, .use_bias = true};
  return test_add(graph, "dense", &config, NULL, input);
}

#endif
