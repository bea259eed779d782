/* The compiled constant part: creation and queries. */
#include "graph/plan_private.h"

#include <string.h>

static thaw_status check(const thaw_graph *graph, const int32_t *outputs, int32_t count,
                         const thaw_plan_options *options) {
  if (count < 1 || options->batch < 1 || options->threads < 1)
    return thaw_fail(THAW_ERR_INTERNAL, "a plan of %d outputs, %d images and %d threads", count, options->batch,
                     options->threads);
  for (int32_t i = 0; i < count; i++)
    if (outputs[i] < 0 || outputs[i] >= graph->count)
      return thaw_fail(THAW_ERR_INTERNAL, "a plan of node %d of %d", outputs[i], graph->count);
  return THAW_OK;
}

static thaw_status allocate(thaw_plan *plan, const int32_t *outputs, int32_t count) {
  size_t nodes = (size_t)plan->graph->count;
  plan->output = thaw_arena_new(plan->arena, (size_t)count, sizeof *plan->output);
  plan->op = thaw_arena_new(plan->arena, nodes, sizeof *plan->op);
  plan->value = thaw_arena_new(plan->arena, nodes, sizeof *plan->value);
  if (!plan->output || !plan->op || !plan->value) return THAW_ERR_MEMORY;
  memcpy(plan->output, outputs, (size_t)count * sizeof *outputs);
  plan->outputs = count;
  for (int32_t i = 0; i < count; i++)
    plan->output_floats += thaw_shape_count(thaw_plan_layer(plan, outputs[i])->output);
  return THAW_OK;
}

static thaw_status build(thaw_plan *plan, const int32_t *outputs, int32_t count) {
  plan->arena = thaw_arena_create();
  if (!plan->arena) return THAW_ERR_MEMORY;
  THAW_TRY(allocate(plan, outputs, count));
  THAW_TRY(thaw_plan_fuse(plan));
  THAW_TRY(thaw_plan_group(plan));
  THAW_TRY(thaw_plan_place(plan));
  THAW_TRY(thaw_plan_compile(plan));
  plan->activations = thaw_arena_new(plan->arena, plan->activation_bytes, (size_t)plan->options.threads);
  plan->scratch = thaw_arena_new(plan->arena, plan->scratch_bytes, (size_t)plan->options.threads);
  plan->seconds = thaw_arena_new(plan->arena, (size_t)plan->ops, sizeof *plan->seconds);
  if (!plan->activations || !plan->scratch || !plan->seconds) return THAW_ERR_MEMORY;
  return thaw_plan_start_workers(plan);
}

thaw_status thaw_plan_create(const thaw_graph *graph, const int32_t *outputs, int32_t count, const thaw_isa *isa,
                             const thaw_plan_options *options, thaw_plan **out) {
  *out = NULL;
  THAW_TRY(check(graph, outputs, count, options));
  thaw_plan *plan = thaw_new(1, sizeof *plan);
  if (!plan) return THAW_ERR_MEMORY;
  plan->graph = graph;
  plan->isa = isa;
  plan->options = *options;
  plan->share = (options->batch + options->threads - 1) / options->threads;
  thaw_status status = build(plan, outputs, count);
  if (status != THAW_OK) {
    thaw_plan_destroy(plan);
    return thaw_fail_in(status, "frozen layers: ");
  }
  *out = plan;
  return THAW_OK;
}

void thaw_plan_destroy(thaw_plan *plan) {
  if (!plan) return;
  thaw_plan_stop_workers(plan);
  for (int32_t i = 0; i < plan->ops; i++) {
    thaw_conv_destroy(plan->op[i].conv);
    thaw_conv_destroy(plan->op[i].depthwise);
  }
  thaw_arena_destroy(plan->arena);
  thaw_free(plan);
}

static bool same_operation(const plan_op *a, const plan_op *b) {
  bool same = a->kind == b->kind && a->node == b->node && a->output == b->output && a->inputs == b->inputs &&
              a->residual == b->residual && a->norm == b->norm && a->prologue == b->prologue &&
              a->activation == b->activation && a->depthwise_node == b->depthwise_node &&
              a->depthwise_norm == b->depthwise_norm && strcmp(a->view.algorithm, b->view.algorithm) == 0;
  for (int32_t j = 0; same && j < a->inputs; j++) same = a->input[j] == b->input[j];
  return same;
}

bool thaw_plan_contains(const thaw_plan *plan, const thaw_plan *part) {
  int32_t j = 0; /* both lists are in the order of nodes */
  for (int32_t i = 0; i < part->ops; i++) {
    while (j < plan->ops && !same_operation(&plan->op[j], &part->op[i])) j++;
    if (j == plan->ops) return false;
  }
  return true;
}

size_t thaw_plan_packed_bytes(const thaw_plan *plan) {
  return plan->packed_bytes;
}

size_t thaw_plan_activation_bytes(const thaw_plan *plan) {
  return plan->activation_bytes * (size_t)plan->options.threads;
}

size_t thaw_plan_lower_bound_bytes(const thaw_plan *plan) {
  return plan->bound_bytes * (size_t)plan->options.threads;
}

size_t thaw_plan_scratch_bytes(const thaw_plan *plan) {
  return plan->scratch_bytes * (size_t)plan->options.threads;
}

size_t thaw_plan_output_floats(const thaw_plan *plan) {
  return plan->output_floats;
}

int32_t thaw_plan_op_count(const thaw_plan *plan) {
  return plan->ops;
}

const thaw_plan_op *thaw_plan_op_view(const thaw_plan *plan, int32_t index) {
  return &plan->op[index].view;
}
