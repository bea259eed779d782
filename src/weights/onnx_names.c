/* Names of layers. Exporters name nodes differently:
 *
 *     torch, by scope    /layer1/layer1.0/conv1/Conv          -> layer1.0.conv1
 *     torch, by program  node_Conv_293 with layer1.0.conv1.weight -> layer1.0.conv1
 *     tf2onnx            model/block1_conv1/Conv2D            -> block1_conv1
 *     thaw               block1_conv1                         as it is
 *
 * What is left is no path, since names become groups of files. */
#include "weights/onnx_reader.h"

#include <stdio.h>
#include <string.h>

enum { LONGEST = 150 };

/* The last part of a path that says what the node does, which the layer's type says, too. */
static bool is_operation(const Onnx__NodeProto *node, const char *part, size_t length) {
  static const char *const ops[] = {"Conv2D", "depthwise", "BiasAdd", "FusedBatchNormV3", "MaxPool", "AvgPool",
                                    "MatMul", "Relu",      "Relu6",   "Softmax",          "Mean",    "convolution"};
  static const char *const kept[] = {"Add", "Mul", "Concat", "Flatten", "Reshape", "Pad", "Sigmoid", "Sum"};
  size_t type = strlen(node->op_type);
  for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
    if (strlen(ops[i]) == length && strncmp(part, ops[i], length) == 0) return true;
  for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
    if (strcmp(node->op_type, kept[i]) == 0) return false;
  return type == length && strncmp(part, node->op_type, type) == 0;
}

static bool is_wrapper(const char *part, size_t length) {
  static const char *const wrappers[] = {"StatefulPartitionedCall", "model", "functional", "sequential"};
  for (size_t i = 0; i < sizeof wrappers / sizeof wrappers[0]; i++) {
    size_t known = strlen(wrappers[i]);
    bool numbered =
        length > known + 1 && part[known] == '_' && strspn(part + known + 1, "0123456789") == length - known - 1;
    if (strncmp(part, wrappers[i], known) == 0 && (length == known || numbered)) return true;
  }
  return false;
}

static const char *next_part(const char *part, size_t *length) {
  while (*part == '/') part++;
  *length = strcspn(part, "/");
  return part;
}

/* "layer1" before "layer1.0" says nothing. */
static bool repeats(const char *part, size_t length, const char *after) {
  return strncmp(part, after, length) == 0 && after[length] == '.';
}

static void from_path(const Onnx__NodeProto *node, const char *path, char *out) {
  size_t length, used = 0;
  out[0] = '\0';
  for (const char *part = next_part(path, &length); length; part = next_part(part + length, &length)) {
    size_t ignored;
    const char *after = next_part(part + length, &ignored);
    bool last = *after == '\0', first = used == 0;
    if ((first && !last && is_wrapper(part, length)) || (last && !first && is_operation(node, part, length))) continue;
    if (repeats(part, length, after)) continue;
    if (used + length + 2 > LONGEST) break;
    used += (size_t)snprintf(out + used, LONGEST - used, "%s%.*s", used ? "." : "", (int)length, part);
  }
}

void thaw_onnx_layer_name(const Onnx__NodeProto *node, size_t position, char out[200]) {
  static const char end[] = ".weight";
  const char *weight = node->n_input > 1 ? node->input[1] : "";
  size_t length = strlen(weight);
  bool own = strcmp(node->op_type, "Conv") == 0 || strcmp(node->op_type, "Gemm") == 0 ||
             strcmp(node->op_type, "MatMul") == 0 || strcmp(node->op_type, "BatchNormalization") == 0;
  if (own && length > sizeof end - 1 && length < LONGEST && strcmp(weight + length - (sizeof end - 1), end) == 0)
    snprintf(out, 200, "%.*s", (int)(length - (sizeof end - 1)), weight);
  else
    from_path(node, node->name[0] ? node->name : node->n_output ? node->output[0] : "", out);
  if (out[0] == '\0') snprintf(out, 200, "%.60s_%zu", node->op_type, position);
  for (char *c = out; *c; c++)
    if ((unsigned char)*c <= ' ' || *c == ':' || *c == '/' || (unsigned char)*c == 127) *c = '_';
}
