/* From nodes to operations. A node is taken into the operation before it when it is the only reader of that
 * operation's result; zero padding goes into the window that follows, and a batch-norm with ReLU in front of a 1x1
 * convolution becomes that convolution's prologue. */
#include "graph/plan_private.h"

#include <string.h>

const thaw_layer *thaw_plan_layer(const thaw_plan *plan, int32_t node) {
  return &plan->graph->node[node]->layer;
}

static const thaw_layer_ops *ops_of(const thaw_plan *plan, int32_t node) {
  return thaw_plan_layer(plan, node)->ops;
}

int32_t thaw_plan_resolve(const thaw_plan *plan, int32_t value) {
  while (plan->value[value].alias >= 0) value = plan->value[value].alias;
  return value;
}

/* The only reader of `node`, or -1. */
static int32_t only_reader(const thaw_plan *plan, int32_t node) {
  const plan_value *value = &plan->value[node];
  return value->uses == 1 && !value->output ? value->reader : -1;
}

static int32_t input_of(const thaw_plan *plan, int32_t node, int32_t index) {
  return plan->graph->node[node]->input[index];
}

/* The activations that convolutions and thaw_affine apply. */
static bool is_simple(thaw_activation activation) {
  return activation == THAW_LINEAR || activation == THAW_RELU || activation == THAW_RELU6 || activation == THAW_SWISH;
}

/* An activation layer whose function can be fused, LINEAR when `node` is something else. */
static thaw_activation fusable_activation(const thaw_plan *plan, int32_t node) {
  if (node < 0) return THAW_LINEAR;
  const thaw_layer *layer = thaw_plan_layer(plan, node);
  if (layer->ops != &thaw_layer_activation && layer->ops != &thaw_layer_re_lu) return THAW_LINEAR;
  thaw_activation activation = thaw_layer_last_activation(layer);
  return is_simple(activation) ? activation : THAW_LINEAR;
}

static bool is_conv(const thaw_plan *plan, int32_t node) {
  const thaw_layer *layer = thaw_plan_layer(plan, node);
  return (layer->ops == &thaw_layer_conv2d || layer->ops == &thaw_layer_depthwise_conv2d ||
          layer->ops == &thaw_layer_separable_conv2d) &&
         is_simple(thaw_layer_last_activation(layer));
}

static plan_op *emit(thaw_plan *plan, op_kind kind, int32_t node, int32_t output) {
  plan_op *op = &plan->op[plan->ops++];
  op->kind = kind;
  op->node = node;
  op->output = output;
  op->residual = op->norm = op->prologue = op->depthwise_node = op->depthwise_norm = -1;
  op->inputs = thaw_plan_layer(plan, node)->inputs;
  for (int32_t j = 0; j < op->inputs; j++) op->input[j] = input_of(plan, node, j);
  plan->value[output].ready = true;
  return op;
}

/* ------------------------------------------------------------------ what can be taken in before a window */

/* Values that cannot be negative: zeros around them change no maximum. */
static bool is_non_negative(const thaw_plan *plan, int32_t node) {
  thaw_activation activation = thaw_layer_last_activation(thaw_plan_layer(plan, node));
  return activation == THAW_RELU || activation == THAW_RELU6 || activation == THAW_SIGMOID;
}

static bool folds_padding(const thaw_plan *plan, int32_t padding, int32_t reader) {
  if (is_conv(plan, reader)) return true;
  const thaw_padding2d_config *pad = thaw_plan_layer(plan, padding)->config;
  if (ops_of(plan, reader) != &thaw_layer_max_pooling || !is_non_negative(plan, input_of(plan, padding, 0)))
    return false;
  thaw_pool_desc pool = thaw_layer_pool_desc(thaw_plan_layer(plan, reader));
  /* Every window must hold a real pixel. */
  return pad->top < pool.kh && pad->bottom < pool.kh && pad->left < pool.kw && pad->right < pool.kw;
}

static bool absorb_padding(thaw_plan *plan, int32_t node) {
  if (plan->value[node].output) return false;
  for (int32_t reader = node + 1; reader < plan->graph->count; reader++) {
    if (!plan->value[reader].needed) continue;
    for (int32_t j = 0; j < thaw_plan_layer(plan, reader)->inputs; j++)
      if (input_of(plan, reader, j) == node && !folds_padding(plan, node, reader)) return false;
  }
  plan->value[node].absorbed = true;
  return true;
}

/* When `node` is a padding that was taken in, adds its sides and returns what it pads. */
static int32_t through_padding(const thaw_plan *plan, int32_t node, int32_t *top, int32_t *bottom, int32_t *left,
                               int32_t *right) {
  if (ops_of(plan, node) != &thaw_layer_zero_padding || !plan->value[node].absorbed) return node;
  const thaw_padding2d_config *pad = thaw_plan_layer(plan, node)->config;
  *top += pad->top;
  *bottom += pad->bottom;
  *left += pad->left;
  *right += pad->right;
  return input_of(plan, node, 0);
}

/* Batch-norm, ReLU, 1x1 convolution, each the only reader of the one before. */
static bool absorb_prologue(thaw_plan *plan, int32_t norm) {
  int32_t relu = only_reader(plan, norm), conv = relu < 0 ? -1 : only_reader(plan, relu);
  if (conv < 0 || fusable_activation(plan, relu) != THAW_RELU || ops_of(plan, conv) != &thaw_layer_conv2d ||
      !is_conv(plan, conv))
    return false;
  const thaw_conv2d_config *config = thaw_plan_layer(plan, conv)->config;
  if (config->kernel_h != 1 || config->kernel_w != 1 || config->stride_h != 1 || config->stride_w != 1) return false;
  plan->value[norm].absorbed = plan->value[relu].absorbed = true;
  return true;
}

/* ------------------------------------------------------------------ what can be taken in after it */

static int32_t take_norm(const thaw_plan *plan, plan_op *op, int32_t last) {
  int32_t next = only_reader(plan, last);
  if (next < 0 || ops_of(plan, next) != &thaw_layer_batch_normalization) return last;
  op->norm = next;
  return next;
}

/* Dropout does nothing in a constant part; where it stands between a convolution and an addition, it is passed over. */
static int32_t pass_dropout(const thaw_plan *plan, int32_t last) {
  int32_t next = only_reader(plan, last);
  return next >= 0 && ops_of(plan, next) == &thaw_layer_dropout ? next : last;
}

static int32_t take_residual(const thaw_plan *plan, plan_op *op, int32_t before) {
  int32_t last = pass_dropout(plan, before), next = only_reader(plan, last);
  if (next < 0 || ops_of(plan, next) != &thaw_layer_add || thaw_plan_layer(plan, next)->inputs != 2) return before;
  int32_t first = input_of(plan, next, 0), other = first == last ? input_of(plan, next, 1) : first;
  if (other == last || !plan->value[other].ready) return before;
  op->residual = other;
  return next;
}

static int32_t take_activation(const thaw_plan *plan, int32_t last, thaw_activation *activation) {
  int32_t next = only_reader(plan, last);
  thaw_activation found = fusable_activation(plan, next);
  if (found == THAW_LINEAR) return last;
  *activation = found;
  return next;
}

static int32_t take_pool(const thaw_plan *plan, plan_op *op, int32_t last) {
  int32_t next = only_reader(plan, last);
  if (next < 0 || op->residual >= 0 || ops_of(plan, next) != &thaw_layer_max_pooling) return last;
  thaw_pool_desc pool = thaw_layer_pool_desc(thaw_plan_layer(plan, next));
  bool fits = pool.kh == 2 && pool.kw == 2 && pool.stride_h == 2 && pool.stride_w == 2 && pool.pad_top == 0 &&
              pool.pad_left == 0 && pool.pad_bottom == 0 && pool.pad_right == 0;
  if (!fits) return last;
  op->conv_desc.pool = true;
  return next;
}

static void mark_absorbed(thaw_plan *plan, int32_t from, int32_t last) {
  for (int32_t node = from; node != last; node = plan->value[node].reader) {
    if (node != from) plan->value[node].absorbed = true;
  }
  if (last != from) {
    plan->value[last].absorbed = true;
    plan->value[last].ready = true;
  }
}

/* A separable convolution's depthwise part reads x; its pointwise part takes in what follows. */
static int32_t open_separable(const thaw_plan *plan, plan_op *op, int32_t x) {
  thaw_conv_desc *first = &op->depthwise_desc;
  op->depthwise_node = op->node;
  thaw_layer_separable_descs(thaw_plan_layer(plan, op->node), first, &op->conv_desc);
  x = through_padding(plan, x, &first->pad_top, &first->pad_bottom, &first->pad_left, &first->pad_right);
  first->h = thaw_plan_layer(plan, x)->output.h;
  first->w = thaw_plan_layer(plan, x)->output.w;
  return x;
}

/* Takes in the operation before when it is a depthwise convolution that only this 1x1 convolution reads. */
static void take_depthwise(thaw_plan *plan, plan_op *op) {
  if (plan->ops < 2) return;
  const plan_op *before = op - 1;
  if (before->kind != OP_CONV || before->output != op->input[0] || only_reader(plan, before->output) != op->node ||
      !thaw_separable_fits(&before->conv_desc, &op->conv_desc))
    return;
  plan_op both = *op;
  both.depthwise_node = before->node;
  both.depthwise_norm = before->norm;
  both.depthwise_desc = before->conv_desc;
  both.input[0] = before->input[0];
  plan->value[before->output].absorbed = true;
  plan->op[--plan->ops - 1] = both;
}

static void fuse_conv(thaw_plan *plan, int32_t node) {
  const thaw_layer *layer = thaw_plan_layer(plan, node);
  plan_op *op = emit(plan, OP_CONV, node, node);
  plan->value[node].ready = false;
  thaw_conv_desc *desc = &op->conv_desc;
  *desc = thaw_layer_conv_desc(layer);
  int32_t x = input_of(plan, node, 0);
  if (layer->ops == &thaw_layer_separable_conv2d) {
    x = open_separable(plan, op, x);
  } else if (plan->value[x].absorbed && fusable_activation(plan, x) == THAW_RELU &&
             ops_of(plan, input_of(plan, x, 0)) == &thaw_layer_batch_normalization &&
             plan->value[input_of(plan, x, 0)].absorbed && plan->value[x].alias < 0 && !plan->value[x].ready) {
    op->prologue = input_of(plan, x, 0);
    desc->prologue = true;
    x = input_of(plan, op->prologue, 0);
  } else {
    x = through_padding(plan, x, &desc->pad_top, &desc->pad_bottom, &desc->pad_left, &desc->pad_right);
    desc->h = thaw_plan_layer(plan, x)->output.h;
    desc->w = thaw_plan_layer(plan, x)->output.w;
  }
  op->input[0] = x;
  desc->activation = thaw_layer_last_activation(layer);
  int32_t last = node;
  if (desc->activation == THAW_LINEAR) {
    last = take_norm(plan, op, last);
    last = take_residual(plan, op, last);
    last = take_activation(plan, last, &desc->activation);
  }
  if (op->depthwise_node < 0) last = take_pool(plan, op, last);
  desc->residual = op->residual >= 0;
  op->output = last;
  mark_absorbed(plan, node, last);
  plan->value[last].ready = true;
  take_depthwise(plan, op);
}

/* ------------------------------------------------------------------ everything else */

static void fuse_pool(thaw_plan *plan, int32_t node) {
  plan_op *op = emit(plan, OP_POOL, node, node);
  op->pool = thaw_layer_pool_desc(thaw_plan_layer(plan, node));
  int32_t x = through_padding(plan, op->input[0], &op->pool.pad_top, &op->pool.pad_bottom, &op->pool.pad_left,
                              &op->pool.pad_right);
  op->pool.h = thaw_plan_layer(plan, x)->output.h;
  op->pool.w = thaw_plan_layer(plan, x)->output.w;
  op->input[0] = x;
}

/* A batch-norm or a two-input addition with the activation that follows it, or an activation by itself. */
static void fuse_affine(thaw_plan *plan, int32_t node, thaw_activation activation) {
  const thaw_layer *layer = thaw_plan_layer(plan, node);
  plan_op *op = emit(plan, OP_AFFINE, node, node);
  op->activation = activation;
  if (layer->ops == &thaw_layer_batch_normalization) op->norm = node;
  if (layer->ops == &thaw_layer_add) {
    op->residual = op->input[1];
    op->inputs = 1;
  }
  if (activation != THAW_LINEAR) return;
  op->output = take_activation(plan, node, &op->activation);
  if (op->output == node) return;
  plan->value[node].ready = false;
  mark_absorbed(plan, node, op->output);
}

/* Whether a value may stand for the layer's input: pixels are as wide, or all readers take samples as rows. */
static bool is_same_memory(const thaw_plan *plan, int32_t node) {
  const thaw_layer *layer = thaw_plan_layer(plan, node);
  if (layer->output.c == layer->input[0].c) return true;
  for (int32_t reader = node + 1; reader < plan->graph->count; reader++)
    for (int32_t j = 0; plan->value[reader].needed && j < thaw_plan_layer(plan, reader)->inputs; j++)
      if (input_of(plan, reader, j) == node && ops_of(plan, reader) != &thaw_layer_dense) return false;
  return layer->ops == &thaw_layer_flatten;
}

static void make_alias(thaw_plan *plan, int32_t node) {
  plan->value[node].alias = input_of(plan, node, 0);
  plan->value[node].ready = true;
}

static void fuse_activation(thaw_plan *plan, int32_t node) {
  const thaw_layer *layer = thaw_plan_layer(plan, node);
  thaw_activation activation = thaw_layer_last_activation(layer);
  if (layer->ops == &thaw_layer_re_lu && activation == THAW_LINEAR)
    emit(plan, OP_LAYER, node, node); /* a limit other than 6 */
  else if (activation == THAW_LINEAR)
    make_alias(plan, node);
  else if (is_simple(activation))
    fuse_affine(plan, node, activation);
  else
    emit(plan, OP_ACTIVATE, node, node)->activation = activation;
}

static void fuse_node(thaw_plan *plan, int32_t node) {
  const thaw_layer *layer = thaw_plan_layer(plan, node);
  const thaw_layer_ops *ops = layer->ops;
  if (plan->options.no_fusion)
    emit(plan, OP_LAYER, node, node);
  else if (ops == &thaw_layer_dropout ||
           ((ops == &thaw_layer_flatten || ops == &thaw_layer_reshape) && is_same_memory(plan, node)))
    make_alias(plan, node);
  else if (is_conv(plan, node))
    fuse_conv(plan, node);
  else if (ops == &thaw_layer_max_pooling || ops == &thaw_layer_average_pooling)
    fuse_pool(plan, node);
  else if (ops == &thaw_layer_global_average_pooling || ops == &thaw_layer_global_max_pooling)
    emit(plan, OP_GLOBAL_POOL, node, node);
  else if (ops == &thaw_layer_activation || ops == &thaw_layer_re_lu)
    fuse_activation(plan, node);
  else if (ops == &thaw_layer_concatenate)
    emit(plan, OP_CONCAT, node, node);
  else if (ops == &thaw_layer_batch_normalization ? !absorb_prologue(plan, node)
                                                  : ops == &thaw_layer_add && layer->inputs == 2)
    fuse_affine(plan, node, THAW_LINEAR);
  else if (ops == &thaw_layer_zero_padding ? !absorb_padding(plan, node) : ops != &thaw_layer_batch_normalization)
    emit(plan, OP_LAYER, node, node);
}

static void mark_needed(thaw_plan *plan) {
  for (int32_t i = 0; i < plan->outputs; i++) {
    plan_value *value = &plan->value[plan->output[i]];
    value->uses += !value->output;
    value->needed = value->output = true;
  }
  for (int32_t i = plan->graph->count - 1; i > 0; i--)
    for (int32_t j = 0; plan->value[i].needed && j < thaw_plan_layer(plan, i)->inputs; j++) {
      plan_value *value = &plan->value[input_of(plan, i, j)];
      value->needed = true;
      value->uses++;
      if (value->reader < i) value->reader = i;
    }
}

thaw_status thaw_plan_fuse(thaw_plan *plan) {
  for (int32_t i = 0; i < plan->graph->count; i++) plan->value[i].alias = plan->value[i].block = -1;
  mark_needed(plan);
  plan->value[0].ready = plan->value[0].external = true;
  for (int32_t i = 1; i < plan->graph->count; i++)
    if (plan->value[i].needed && !plan->value[i].absorbed) fuse_node(plan, i);
  return THAW_OK;
}
