/* torchvision's DenseNet is Keras' network under other names; only the epsilon of batch-norm differs, 1e-5. */
#include "weights/weights_private.h"

#include <stdio.h>
#include <string.h>

static bool whole(const char *text, int used) {
  return used > 0 && text[used] == '\0';
}

static char *inner_name(const char *name, char out[64]) {
  static const char *const part[] = {"norm1", "conv1", "norm2", "conv2"};
  int block, layer, number, used = 0;
  char kind[5] = "";
  if (sscanf(name, "conv%1d_block%2d_%1d_%4[a-z]%n", &block, &layer, &number, kind, &used) != 4 || !whole(name, used))
    return NULL;
  bool norm = strcmp(kind, "bn") == 0;
  if ((!norm && strcmp(kind, "conv") != 0) || number < 0 || number > 2 || (norm ? number > 1 : number < 1)) return NULL;
  snprintf(out, 64, "features.denseblock%d.denselayer%d.%s", block - 1, layer,
           part[norm ? 2 * number : 2 * number - 1]);
  return out;
}

char *thaw_weight_torch_densenet_name(const char *name, char out[64]) {
  static const char *const single[][2] = {
      {"conv1_conv", "features.conv0"}, {"conv1_bn", "features.norm0"}, {"bn", "features.norm5"}};
  int block, used = 0;
  char kind[5] = "";
  for (size_t i = 0; i < sizeof single / sizeof single[0]; i++)
    if (strcmp(name, single[i][0]) == 0) {
      snprintf(out, 64, "%s", single[i][1]);
      return out;
    }
  if (sscanf(name, "pool%1d_%4[a-z]%n", &block, kind, &used) != 2 || !whole(name, used)) return inner_name(name, out);
  if (strcmp(kind, "bn") != 0 && strcmp(kind, "conv") != 0) return NULL;
  snprintf(out, 64, "features.transition%d.%s", block - 1, strcmp(kind, "bn") == 0 ? "norm" : "conv");
  return out;
}
