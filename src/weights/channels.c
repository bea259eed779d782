/* Weights of 3 input channels for a network with another number of them, as timm adapts them
 * (timm/models/_manipulate.py, adapt_input_conv): for one channel the first kernel is summed over red, green and blue,
 * which is what it does to a grey image; for N channels it is repeated, kernel channel i mod 3, times 3/N, so that the
 * result keeps its size. The statistics of a Normalization layer become their mean. */
#include "weights/weights_private.h"

#include "thaw/memory.h"

enum { COLOURS = 3 };

bool thaw_weight_reads_image(const thaw_graph *graph, int32_t index) {
  const thaw_node *node = thaw_graph_view(graph, index);
  const thaw_layer_ops *ops = node->layer.ops;
  if (ops != &thaw_layer_conv2d && ops != &thaw_layer_normalization) return false;
  while (node->layer.inputs == 1) {
    node = thaw_graph_view(graph, node->input[0]);
    ops = node->layer.ops;
    if (ops != &thaw_layer_zero_padding && ops != &thaw_layer_rescaling && ops != &thaw_layer_normalization) break;
  }
  return ops == &thaw_layer_input;
}

/* The axis of the image's channels, -1 when the parameter has none. */
static int channel_axis(const thaw_param *param) {
  if (param->rank == 4) return 2;
  return param->rank == 1 && thaw_weight_role_of(param->name) != THAW_ROLE_BIAS ? 0 : -1;
}

bool thaw_weight_fits_colours(const thaw_weight *weight, const thaw_param *param) {
  int axis = channel_axis(param);
  if (axis < 0 || weight->info.rank != param->rank || weight->info.dim[axis] != COLOURS) return false;
  for (int i = 0; i < param->rank; i++)
    if (i != axis && weight->info.dim[i] != param->dim[i]) return false;
  return param->dim[axis] != COLOURS;
}

static void convert_kernel(const float *from, const thaw_param *param) {
  size_t pixels = (size_t)param->dim[0] * (size_t)param->dim[1], c = (size_t)param->dim[2], k = (size_t)param->dim[3];
  for (size_t p = 0; p < pixels; p++)
    for (size_t i = 0; i < c; i++)
      for (size_t j = 0; j < k; j++) {
        const float *colour = from + p * COLOURS * k + j;
        double value = c == 1 ? (double)colour[0] + (double)colour[k] + (double)colour[2 * k]
                              : (double)colour[i % COLOURS * k] * COLOURS / (double)c;
        param->value[(p * c + i) * k + j] = (float)value;
      }
}

void thaw_weight_convert_colours(const float *from, const thaw_param *param) {
  if (param->rank == 4) {
    convert_kernel(from, param);
    return;
  }
  double sum = 0;
  for (int i = 0; i < COLOURS; i++) sum += from[i];
  for (int32_t i = 0; i < param->dim[0]; i++) param->value[i] = (float)(sum / COLOURS);
}
