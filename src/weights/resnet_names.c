/* ResNet50 exists in two generations of names under one file name: Keras 1 and 2 until 2.2.4 wrote res2a_branch2a,
 * later ones conv2_block1_1_conv. Their layers come in different orders, and some that change places have equal shapes,
 * so the names must be translated. The older network's batch-norm layers have epsilon 1e-3. */
#include "weights/weights_private.h"

#include <stdio.h>
#include <string.h>

static bool ends_at(const char *text, int used) {
  return used > 0 && text[used] == '\0';
}

char *thaw_weight_old_resnet_name(const char *name, char out[32]) {
  static const char *const branch[] = {"1", "2a", "2b", "2c"};
  int stage, block, part, used = 0;
  if (strcmp(name, "conv1_conv") == 0 || strcmp(name, "conv1_bn") == 0) {
    snprintf(out, 32, "%s", strcmp(name, "conv1_conv") == 0 ? "conv1" : "bn_conv1");
    return out;
  }
  bool norm = sscanf(name, "conv%1d_block%1d_%1d_bn%n", &stage, &block, &part, &used) == 3 && ends_at(name, used);
  if (!norm) {
    used = 0;
    bool conv = sscanf(name, "conv%1d_block%1d_%1d_conv%n", &stage, &block, &part, &used) == 3 && ends_at(name, used);
    if (!conv) return NULL;
  }
  if (stage < 2 || stage > 5 || block < 1 || block > 6 || part < 0 || part > 3) return NULL;
  snprintf(out, 32, "%s%d%c_branch%s", norm ? "bn" : "res", stage, 'a' + block - 1, branch[part]);
  return out;
}

void thaw_weight_use_epsilon(thaw_graph *graph, double epsilon) {
  for (int32_t i = 0; i < thaw_graph_count(graph); i++) {
    thaw_node *node = thaw_graph_node(graph, i);
    if (!node->head && strcmp(node->layer.ops->keras_class, "BatchNormalization") == 0)
      ((thaw_batch_norm_config *)node->layer.config)->epsilon = epsilon;
  }
}
