/* Kernels, sizes and descriptions of the operations; packing their constants. */
#include "graph/plan_private.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static int32_t stride_of(const thaw_plan *plan, int32_t node) {
  return plan->value[thaw_plan_resolve(plan, node)].stride;
}

static size_t round_up(size_t bytes) {
  return (bytes + THAW_ALIGN - 1) / THAW_ALIGN * THAW_ALIGN;
}

static const float *param_of(const thaw_layer *layer, const char *name) {
  for (int32_t p = 0; p < layer->params; p++)
    if (strcmp(layer->param[p].name, name) == 0) return layer->param[p].value;
  return NULL;
}

static thaw_status compile_depthwise(thaw_plan *plan, plan_op *op) {
  thaw_conv_desc *desc = &op->depthwise_desc;
  desc->x_stride = stride_of(plan, op->input[0]);
  desc->y_stride = op->conv_desc.x_stride;
  THAW_TRY(thaw_conv_create(plan->isa, desc, &op->depthwise));
  op->depthwise_packed_bytes = round_up(thaw_conv_packed_bytes(op->depthwise));
  op->packed_bytes += op->depthwise_packed_bytes;
  op->scratch_bytes = thaw_separable_scratch_bytes(op->depthwise, op->conv);
  op->view.flops += thaw_conv_flops(desc);
  return THAW_OK;
}

static thaw_status compile_conv(thaw_plan *plan, plan_op *op) {
  thaw_conv_desc *desc = &op->conv_desc;
  bool separable = op->depthwise_node >= 0;
  desc->x_stride = separable ? thaw_separable_stride(desc->c) : stride_of(plan, op->input[0]);
  desc->y_stride = stride_of(plan, op->output);
  THAW_TRY(thaw_conv_create(plan->isa, desc, &op->conv));
  op->packed_bytes = thaw_conv_packed_bytes(op->conv);
  op->scratch_bytes = thaw_conv_scratch_bytes(op->conv);
  snprintf(op->view.algorithm, sizeof op->view.algorithm, "%s%s%s%s%s", separable ? "depthwise, " : "",
           thaw_conv_algorithm_name(op->conv), desc->prologue ? " pre" : "", desc->residual ? " +add" : "",
           desc->pool ? " +pool" : "");
  op->view.flops = thaw_conv_flops(desc);
  return separable ? compile_depthwise(plan, op) : THAW_OK;
}

static void compile_layer(const thaw_plan *plan, plan_op *op) {
  op->layer = *thaw_plan_layer(plan, op->node);
  for (int32_t p = 0; p < op->layer.params; p++)
    op->packed_bytes += round_up(thaw_param_count(&op->layer.param[p]) * sizeof(float));
  if (op->layer.ops->scratch_bytes)
    op->scratch_bytes = op->layer.ops->scratch_bytes(&op->layer, plan->isa, plan->share);
}

static thaw_status compile_op(thaw_plan *plan, plan_op *op) {
  static const char *const names[] = {"", "pool", "global pool", "affine", "activation", "concatenate", "layer"};
  const thaw_layer *layer = thaw_plan_layer(plan, op->node);
  snprintf(op->view.algorithm, sizeof op->view.algorithm, "%s", names[op->kind]);
  if (layer->ops->flops) op->view.flops = layer->ops->flops(layer);
  if (op->kind == OP_CONV) return compile_conv(plan, op);
  if (op->kind == OP_POOL) {
    op->pool.x_stride = stride_of(plan, op->input[0]);
    op->pool.y_stride = stride_of(plan, op->output);
  }
  if (op->kind == OP_AFFINE && op->norm >= 0) op->packed_bytes = 2 * round_up((size_t)layer->output.c * sizeof(float));
  if (op->kind == OP_LAYER) compile_layer(plan, op);
  return THAW_OK;
}

static void describe(const thaw_plan *plan, plan_op *op) {
  thaw_shape in = thaw_plan_layer(plan, op->input[0])->output, out = thaw_plan_layer(plan, op->output)->output;
  op->view.name = thaw_plan_layer(plan, op->node)->name;
  int length =
      snprintf(op->view.shape, sizeof op->view.shape, "%dx%dx%d -> %dx%dx%d", in.h, in.w, in.c, out.h, out.w, out.c);
  const thaw_conv_desc *window = op->depthwise_node >= 0 ? &op->depthwise_desc : &op->conv_desc;
  if (op->kind == OP_CONV && length > 0 && (size_t)length < sizeof op->view.shape)
    snprintf(op->view.shape + length, sizeof op->view.shape - (size_t)length, " %dx%d/%d", window->kh, window->kw,
             window->stride_h);
}

thaw_status thaw_plan_compile(thaw_plan *plan) {
  for (int32_t i = 0; i < plan->ops; i++) {
    plan_op *op = &plan->op[i];
    thaw_status status = compile_op(plan, op);
    if (status != THAW_OK) return thaw_fail_in(status, "layer '%s': ", thaw_plan_layer(plan, op->node)->name);
    describe(plan, op);
    op->packed_at = plan->packed_bytes;
    plan->packed_bytes += round_up(op->packed_bytes);
    if (op->scratch_bytes > plan->scratch_bytes) plan->scratch_bytes = round_up(op->scratch_bytes);
  }
  return THAW_OK;
}

/* ------------------------------------------------------------------ packing */

/* Inference batch-norm as x * scale + shift, computed in double. */
static void norm_to_affine(const thaw_layer *layer, float *scale, float *shift) {
  const float *gamma = param_of(layer, "gamma"), *beta = param_of(layer, "beta");
  const float *mean = param_of(layer, "moving_mean"), *variance = param_of(layer, "moving_variance");
  double epsilon = ((const thaw_batch_norm_config *)layer->config)->epsilon;
  for (int32_t j = 0; j < layer->output.c; j++) {
    double factor = (gamma ? gamma[j] : 1.0) / sqrt(variance[j] + epsilon);
    scale[j] = (float)factor;
    shift[j] = (float)((beta ? beta[j] : 0.0) - mean[j] * factor);
  }
}

/* The kernel that a batch-norm behind the layer is folded into: the last one. */
static const thaw_param *kernel_of(const thaw_layer *conv) {
  return &conv->param[conv->ops == &thaw_layer_separable_conv2d ? 1 : 0];
}

/* The values of a convolution with the batch-norm after it folded in; *to_free owns them where there is one. */
typedef struct folded {
  const float *kernel, *bias;
  float *to_free;
} folded;

static thaw_status fold_norm(const thaw_plan *plan, const thaw_param *kernel, const float *bias, int32_t norm_node,
                             const thaw_conv_desc *d, folded *out) {
  *out = (folded){.kernel = kernel->value, .bias = bias};
  if (norm_node < 0) return THAW_OK;
  const thaw_layer *norm = thaw_plan_layer(plan, norm_node);
  size_t count = thaw_param_count(kernel), inner = (size_t)d->kh * (size_t)d->kw * (size_t)(d->depthwise ? 1 : d->c);
  float *values = thaw_new(count + (size_t)d->k, sizeof(float));
  if (!values) return THAW_ERR_MEMORY;
  thaw_fold_batch_norm(kernel->value, bias, inner, d->k, param_of(norm, "gamma"), param_of(norm, "beta"),
                       param_of(norm, "moving_mean"), param_of(norm, "moving_variance"),
                       ((const thaw_batch_norm_config *)norm->config)->epsilon, values, values + count);
  *out = (folded){.kernel = values, .bias = values + count, .to_free = values};
  return THAW_OK;
}

/* A SeparableConv2D's bias belongs to its second part. */
static thaw_status pack_depthwise(const thaw_plan *plan, const plan_op *op, void *packed) {
  const thaw_layer *layer = thaw_plan_layer(plan, op->depthwise_node);
  const float *bias = op->depthwise_node == op->node ? NULL : param_of(layer, "bias");
  folded values;
  THAW_TRY(fold_norm(plan, &layer->param[0], bias, op->depthwise_norm, &op->depthwise_desc, &values));
  thaw_conv_pack(op->depthwise, values.kernel, values.bias, NULL, NULL, packed);
  thaw_free(values.to_free);
  return THAW_OK;
}

static thaw_status pack_conv(const thaw_plan *plan, const plan_op *op, void *packed) {
  const thaw_layer *conv = thaw_plan_layer(plan, op->node);
  folded values;
  float *affine = NULL;
  if (op->depthwise) THAW_TRY(pack_depthwise(plan, op, packed));
  THAW_TRY(fold_norm(plan, kernel_of(conv), param_of(conv, "bias"), op->norm, &op->conv_desc, &values));
  if (op->prologue >= 0) {
    affine = thaw_new(2 * (size_t)op->conv_desc.c, sizeof(float));
    if (affine) norm_to_affine(thaw_plan_layer(plan, op->prologue), affine, affine + op->conv_desc.c);
  }
  if (op->prologue < 0 || affine)
    thaw_conv_pack(op->conv, values.kernel, values.bias, affine, affine ? affine + op->conv_desc.c : NULL,
                   (char *)packed + op->depthwise_packed_bytes);
  thaw_free(values.to_free);
  bool failed = op->prologue >= 0 && !affine;
  thaw_free(affine);
  return failed ? THAW_ERR_MEMORY : THAW_OK;
}

static void pack_layer(const thaw_plan *plan, const plan_op *op, char *packed) {
  const thaw_layer *layer = thaw_plan_layer(plan, op->node);
  for (int32_t p = 0; p < layer->params; p++) {
    size_t bytes = thaw_param_count(&layer->param[p]) * sizeof(float);
    memcpy(packed, layer->param[p].value, bytes);
    packed += round_up(bytes);
  }
}

thaw_status thaw_plan_pack(const thaw_plan *plan, void *packed) {
  for (int32_t i = 0; i < plan->ops; i++) {
    const plan_op *op = &plan->op[i];
    char *at = (char *)packed + op->packed_at;
    const thaw_layer *layer = thaw_plan_layer(plan, op->node);
    if (op->kind == OP_CONV) THAW_TRY(pack_conv(plan, op, at));
    if (op->kind == OP_LAYER) pack_layer(plan, op, at);
    if (op->kind == OP_AFFINE && op->norm >= 0)
      norm_to_affine(layer, (float *)at, (float *)(at + round_up((size_t)layer->output.c * sizeof(float))));
  }
  return THAW_OK;
}

void thaw_plan_use(thaw_plan *plan, const void *packed) {
  plan->packed = packed;
  for (int32_t i = 0; i < plan->ops; i++) {
    plan_op *op = &plan->op[i];
    const char *at = plan->packed + op->packed_at;
    for (int32_t p = 0; op->kind == OP_LAYER && p < op->layer.params; p++) {
      op->layer.param[p].value = (float *)(uintptr_t)at; /* read only: layers do not write parameters in forward */
      at += round_up(thaw_param_count(&op->layer.param[p]) * sizeof(float));
    }
  }
}
