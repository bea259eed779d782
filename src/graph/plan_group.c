/* How many images go through an operation before the next one runs.
 *
 * Few: what an operation writes is still in the cache when the next one reads it. Many: the packed weights are read
 * once for more images. With P bytes of weights and A bytes of activations per image, P / g + A bytes pass per image
 * for groups of g, so beyond g = 4 P / A there is little to win. Groups are powers of two and grow along the network,
 * whose maps shrink and whose weights grow, so there are few segments. Since a group holds for all that follows, A is
 * the most that any later operation passes: one on a single pixel (squeeze and excite) does not ask for a large group
 * while maps are wide. They change speed and memory, never a result. */
#include "graph/plan_private.h"

#include <math.h>

static double packed_estimate(const plan_op *op) {
  const thaw_conv_desc *d = &op->conv_desc;
  if (op->kind != OP_CONV) return 0;
  bool winograd = !d->depthwise && d->kh == 3 && d->kw == 3 && d->stride_h == 1 && d->stride_w == 1;
  double taps = winograd ? 36 : (double)d->kh * d->kw;
  return taps * d->k * (d->depthwise ? 1 : d->c) * sizeof(float);
}

static double activation_bytes(const thaw_plan *plan, const plan_op *op) {
  double floats = (double)thaw_shape_count(thaw_plan_layer(plan, op->output)->output);
  for (int32_t j = 0; j < op->inputs; j++)
    floats += (double)thaw_shape_count(thaw_plan_layer(plan, op->input[j])->output);
  return floats * sizeof(float);
}

static int32_t best_group(const thaw_plan *plan, const plan_op *op, double later_bytes) {
  double wanted = 4 * packed_estimate(op) / later_bytes;
  int32_t group = 1;
  while (group < plan->share && group < wanted) group *= 2;
  return group < plan->share ? group : plan->share;
}

thaw_status thaw_plan_group(thaw_plan *plan) {
  plan->segment = thaw_arena_new(plan->arena, (size_t)plan->ops + 1, sizeof *plan->segment);
  double *later = thaw_arena_new(plan->arena, (size_t)plan->ops + 1, sizeof *later);
  if (!plan->segment || !later) return THAW_ERR_MEMORY;
  for (int32_t i = plan->ops - 1; i >= 0; i--) later[i] = fmax(activation_bytes(plan, &plan->op[i]), later[i + 1]);
  for (int32_t i = 0; i < plan->ops; i++) {
    int32_t group = best_group(plan, &plan->op[i], later[i]);
    plan_segment *last = &plan->segment[plan->segments > 0 ? plan->segments - 1 : 0];
    if (plan->segments > 0 && group <= last->group) {
      last->last = i;
    } else {
      plan->segment[plan->segments++] = (plan_segment){.first = i, .last = i, .group = group};
    }
    plan->op[i].segment = plan->segments - 1;
  }
  return THAW_OK;
}
