/* Where values lie: concatenations as views of one wide block, results in place of what dies, the rest by lifetime. */
#include "graph/plan_private.h"

static plan_value *value_of(const thaw_plan *plan, int32_t node) {
  return &plan->value[thaw_plan_resolve(plan, node)];
}

static int32_t channels_of(const thaw_plan *plan, int32_t node) {
  return thaw_plan_layer(plan, node)->output.c;
}

/* Marks values whose maker or reader needs pixels without gaps. */
static void find_dense(thaw_plan *plan) {
  for (int32_t i = 0; i < plan->graph->count; i++)
    if (plan->value[i].alias >= 0) value_of(plan, i)->dense_only = true;
  for (int32_t i = 0; i < plan->ops; i++) {
    const plan_op *op = &plan->op[i];
    bool plain = op->kind == OP_LAYER || op->kind == OP_ACTIVATE;
    for (int32_t j = 0; plain && j < op->inputs; j++) value_of(plan, op->input[j])->dense_only = true;
    if (op->residual >= 0) value_of(plan, op->residual)->dense_only = true;
    if (plain || op->kind == OP_GLOBAL_POOL || op->residual >= 0) value_of(plan, op->output)->dense_only = true;
  }
}

/* The inputs of a concatenation become parts of its block where they can. The last concatenation first, so that chains
 * of them (DenseNet) end in one block. */
static void place_views(thaw_plan *plan, const plan_op *op) {
  plan_value *whole = &plan->value[op->output];
  size_t channel = 0;
  for (int32_t j = 0; j < op->inputs; j++) {
    plan_value *part = value_of(plan, op->input[j]);
    bool fits =
        !part->external && !part->dense_only && !part->viewed && !part->direct && part != whole && part->block < 0;
    if (fits) {
      part->viewed = true;
      part->block = whole->block;
      part->stride = whole->stride;
      part->channel = whole->channel + channel;
    }
    channel += (size_t)channels_of(plan, op->input[j]);
  }
}

static void new_block(thaw_plan *plan, int32_t node) {
  plan_value *value = &plan->value[node];
  value->stride = channels_of(plan, node);
  value->channel = 0;
  value->block = plan->blocks++;
  plan->block[value->block].image_bytes = thaw_shape_count(thaw_plan_layer(plan, node)->output) * sizeof(float);
  plan->interval[value->block] = (thaw_interval){.first = INT32_MAX, .last = -1};
}

/* The only output goes straight to the caller's memory when it has a dense maker of its own. */
static void choose_direct(thaw_plan *plan) {
  if (plan->outputs != 1) return;
  plan_value *value = value_of(plan, plan->output[0]);
  if (value->external) return;
  value->direct = true;
  value->stride = channels_of(plan, thaw_plan_resolve(plan, plan->output[0]));
}

static void place_concatenations(thaw_plan *plan) {
  for (int32_t i = plan->ops - 1; i >= 0; i--) {
    const plan_op *op = &plan->op[i];
    if (op->kind != OP_CONCAT) continue;
    plan_value *whole = &plan->value[op->output];
    if (whole->direct) continue;
    if (whole->block < 0) new_block(plan, op->output);
    place_views(plan, op);
  }
}

static int32_t last_read(const thaw_plan *plan, int32_t block) {
  int32_t last = -1;
  for (int32_t i = 0; i < plan->ops; i++) {
    const plan_op *op = &plan->op[i];
    for (int32_t j = 0; j < op->inputs; j++)
      if (value_of(plan, op->input[j])->block == block) last = i;
    if (op->residual >= 0 && value_of(plan, op->residual)->block == block) last = i;
  }
  for (int32_t i = 0; i < plan->outputs; i++)
    if (value_of(plan, plan->output[i])->block == block) last = plan->ops;
  return last;
}

/* An element-wise operation may overwrite an input that nothing reads later. */
static bool may_overwrite(const thaw_plan *plan, const plan_op *op, int32_t index) {
  const plan_value *x = value_of(plan, op->input[0]);
  if (op->kind != OP_AFFINE && op->kind != OP_ACTIVATE) return false;
  if (x->external || x->direct || x->viewed || x->block < 0 || x->stride != channels_of(plan, op->output)) return false;
  if (op->residual >= 0 && value_of(plan, op->residual) == x) return false;
  return last_read(plan, x->block) == index;
}

static void place_rest(thaw_plan *plan) {
  for (int32_t i = 0; i < plan->ops; i++) {
    plan_op *op = &plan->op[i];
    plan_value *value = &plan->value[op->output];
    if (value->direct || value->block >= 0) continue;
    if (may_overwrite(plan, op, i)) {
      const plan_value *x = value_of(plan, op->input[0]);
      op->in_place = true;
      value->block = x->block;
      value->stride = x->stride;
      continue;
    }
    new_block(plan, op->output);
  }
}

/* A block that one segment makes and reads holds a group of images and lives from operation to operation. Any other
 * holds all images, and since its makers and readers run for all images, segment by segment, lives for whole segments.
 */
static void size_block(thaw_plan *plan, int32_t index) {
  thaw_interval *interval = &plan->interval[index];
  plan_block *block = &plan->block[index];
  const plan_segment *maker = &plan->segment[plan->op[interval->first].segment];
  block->inside = interval->last <= maker->last;
  if (!block->inside) {
    interval->first = maker->first;
    if (interval->last < plan->ops) interval->last = plan->segment[plan->op[interval->last].segment].last;
  }
  interval->bytes = block->image_bytes * (size_t)(block->inside ? maker->group : plan->share);
}

static void find_lifetimes(thaw_plan *plan) {
  for (int32_t i = 0; i < plan->ops; i++) {
    const plan_value *value = &plan->value[plan->op[i].output];
    if (value->block < 0) continue;
    thaw_interval *interval = &plan->interval[value->block];
    if (i < interval->first) interval->first = i;
    if (i > interval->last) interval->last = i;
  }
  for (int32_t i = 0; i < plan->blocks; i++) {
    int32_t last = last_read(plan, i);
    if (last > plan->interval[i].last) plan->interval[i].last = last;
    size_block(plan, i);
  }
}

thaw_status thaw_plan_place(thaw_plan *plan) {
  plan->block = thaw_arena_new(plan->arena, (size_t)plan->graph->count, sizeof *plan->block);
  plan->interval = thaw_arena_new(plan->arena, (size_t)plan->graph->count, sizeof *plan->interval);
  int32_t *order = thaw_arena_new(plan->arena, (size_t)plan->graph->count, sizeof *order);
  if (!plan->block || !plan->interval || !order) return THAW_ERR_MEMORY;
  plan_value *x = &plan->value[0];
  x->stride = channels_of(plan, 0);
  find_dense(plan);
  choose_direct(plan);
  place_concatenations(plan);
  place_rest(plan);
  find_lifetimes(plan);
  plan->activation_bytes = thaw_plan_offsets(plan->interval, plan->blocks, order);
  plan->bound_bytes = thaw_plan_bound(plan->interval, plan->blocks, plan->ops + 1);
  return THAW_OK;
}
