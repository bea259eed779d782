/* small_network.h: the network of make_fixtures.py and its weights. */
#ifndef SMALL_NETWORK_H
#define SMALL_NETWORK_H

#include "thaw_test.h"

#include "thaw/graph.h"

/* Conv2D(4, 3x3) `first`, BatchNormalization `norm`, DepthwiseConv2D(3x3) `spread` on 8x8x3, then Flatten and Dense(2)
 * `top` as the head; bound. `names`: the three backbone layers' names, or NULL for those. */
static inline thaw_graph *small_network(const char *const *names) {
  static const char *const usual[] = {"first", "norm", "spread"};
  if (!names) names = usual;
  thaw_graph *graph;
  int32_t node = 0;
  thaw_conv2d_config conv = {
      .filters = 4, .kernel_h = 3, .kernel_w = 3, .stride_h = 1, .stride_w = 1, .use_bias = true};
  thaw_batch_norm_config norm = {.momentum = 0.99, .epsilon = 1e-3, .center = true, .scale = true};
  thaw_dense_config dense = {.units = 2, .use_bias = true, .activation = THAW_SOFTMAX};
  assert_thaw_ok(thaw_graph_create((thaw_shape){.rank = 3, .h = 8, .w = 8, .c = 3}, &graph));
  assert_thaw_ok(thaw_graph_add(graph, "conv2d", &conv, names[0], &node, 1, &node));
  assert_thaw_ok(thaw_graph_add(graph, "batch_normalization", &norm, names[1], &node, 1, &node));
  assert_thaw_ok(thaw_graph_add(graph, "depthwise_conv2d", &conv, names[2], &node, 1, &node));
  assert_thaw_ok(thaw_graph_add(graph, "flatten", NULL, NULL, &node, 1, &node));
  thaw_graph_mark_head(graph, node);
  assert_thaw_ok(thaw_graph_add(graph, "dense", &dense, "top", &node, 1, &node));
  thaw_graph_mark_head(graph, node - 1);
  assert_thaw_ok(thaw_graph_bind(graph));
  return graph;
}

static inline float small_value(int32_t layer, int32_t weight, size_t i) {
  return (float)(i % 23) / 8 + (float)layer + (float)weight / 4;
}

static inline void assert_small_values(const thaw_graph *graph) {
  for (int32_t layer = 0; layer < 3; layer++) {
    const thaw_layer *view = &thaw_graph_view(graph, layer + 1)->layer;
    assert_int_equal(view->params, layer == 1 ? 4 : 2);
    for (int32_t p = 0; p < view->params; p++)
      for (size_t i = 0; i < thaw_param_count(&view->param[p]); i++)
        if (view->param[p].value[i] != small_value(layer, p, i))
          fail_msg("layer %s, %s[%zu] is %g", view->name, view->param[p].name, i, (double)view->param[p].value[i]);
  }
}

#endif
