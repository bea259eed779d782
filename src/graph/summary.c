/* The table of Keras' model.summary(), with one more column: trained now, frozen, or without parameters. */
#include "graph/graph_private.h"

#include <stdio.h>
#include <string.h>

enum { NAME_WIDTH = 42, SHAPE_WIDTH = 24, COUNT_WIDTH = 12, STATE_WIDTH = 10 };

static void rule(thaw_text *out, char mark) {
  char line[NAME_WIDTH + SHAPE_WIDTH + COUNT_WIDTH + STATE_WIDTH + 2];
  memset(line, mark, sizeof line - 1);
  line[sizeof line - 1] = 0;
  thaw_text_add(out, "%s\n", line);
}

static const char *state_of(const thaw_node *node) {
  if (node->layer.params == 0) return "";
  return node->frozen ? "frozen" : "trainable";
}

static int64_t params_of(const thaw_node *node) {
  int64_t count = 0;
  for (int32_t p = 0; p < node->layer.params; p++) count += (int64_t)thaw_param_count(&node->layer.param[p]);
  return count;
}

static void row(const thaw_node *node, thaw_text *out) {
  char title[256], shape[48], count[32];
  int length = snprintf(title, sizeof title, "%s (%s)", node->layer.name, node->layer.ops->keras_class);
  if (length >= NAME_WIDTH) snprintf(title + NAME_WIDTH - 4, 4, "...");
  thaw_text_add(out, "%-*s%-*s%*s %s\n", NAME_WIDTH, title, SHAPE_WIDTH, thaw_shape_text(node->layer.output, shape),
                COUNT_WIDTH, thaw_format_count(params_of(node), count), state_of(node));
}

/* "Total params: 14,714,688 (56.13 MB)": Keras counts 4 bytes each and powers of 1024. */
static void total(thaw_text *out, const char *what, int64_t params) {
  char count[32];
  double bytes = 4.0 * (double)params;
  const char *unit = bytes < 1024 ? "B" : bytes < 1024 * 1024 ? "KB" : "MB";
  double value = bytes < 1024 ? bytes : bytes < 1024 * 1024 ? bytes / 1024 : bytes / (1024 * 1024);
  thaw_text_add(out, "%s: %s (%.2f %s)\n", what, thaw_format_count(params, count), value, unit);
}

void thaw_graph_summary(const thaw_graph *graph, const char *title, thaw_text *out) {
  thaw_text_add(out, "Model: \"%s\"\n", title);
  rule(out, '_');
  thaw_text_add(out, "%-*s%-*s%*s %s\n", NAME_WIDTH, "Layer (type)", SHAPE_WIDTH, "Output Shape", COUNT_WIDTH,
                "Param #", "State");
  rule(out, '=');
  for (int32_t i = 0; i < graph->count; i++) row(graph->node[i], out);
  rule(out, '=');
  int64_t all = thaw_graph_param_count(graph, false), live = thaw_graph_param_count(graph, true);
  total(out, "Total params", all);
  total(out, "Trainable params", live);
  total(out, "Non-trainable params", all - live);
}
