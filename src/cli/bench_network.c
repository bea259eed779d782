/* thaw bench: the frozen forward pass of one network, as a whole and operation by operation. */
#include "cli/bench.h"

#include "thaw/log.h"
#include "thaw/memory.h"
#include "thaw/rng.h"
#include "thaw/zoo.h"

#include <sys/resource.h>

typedef struct network {
  thaw_graph *graph;
  thaw_plan *plan;
  void *packed;
  float *x, *y;
  thaw_shape shape;
} network;

static void clear(network *net) {
  thaw_plan_destroy(net->plan);
  thaw_graph_destroy(net->graph);
  thaw_free(net->packed);
  thaw_free(net->x);
  thaw_free(net->y);
}

/* The parameters go once they are packed, as in a run whose ranks share the packed block. */
static thaw_status pack(network *net) {
  net->packed = thaw_new(thaw_plan_packed_bytes(net->plan), 1);
  if (!net->packed) return THAW_ERR_MEMORY;
  THAW_TRY(thaw_plan_pack(net->plan, net->packed));
  thaw_plan_use(net->plan, net->packed);
  size_t count = (size_t)thaw_graph_count(net->graph);
  bool *constant = thaw_new(count, sizeof *constant);
  if (!constant) return THAW_ERR_MEMORY;
  for (size_t i = 0; i < count; i++) constant[i] = true;
  thaw_graph_release_constant(net->graph, constant);
  thaw_free(constant);
  return THAW_OK;
}

static thaw_status prepare(const cli_bench_options *options, network *net) {
  const thaw_architecture *architecture = thaw_architecture_find(options->network);
  int32_t last, size = options->size ? options->size : architecture ? architecture->default_size : 224;
  net->shape = (thaw_shape){.rank = 3, .h = size, .w = size, .c = 3};
  THAW_TRY(thaw_zoo_build(options->network, net->shape, options->cut, &net->graph, &last));
  THAW_TRY(thaw_graph_bind(net->graph));
  thaw_graph_initialize(net->graph, 1, false);
  thaw_plan_options plan = {.batch = options->batch, .threads = options->threads};
  THAW_TRY(thaw_plan_create(net->graph, &last, 1, options->isa, &plan, &net->plan));
  THAW_TRY(pack(net));
  size_t image = thaw_shape_count(net->shape), n = (size_t)options->batch;
  net->x = thaw_new(n * image, sizeof(float));
  net->y = thaw_new(n * thaw_plan_output_floats(net->plan), sizeof(float));
  if (!net->x || !net->y) return THAW_ERR_MEMORY;
  thaw_draw position = {.seed = 1, .purpose = THAW_RNG_TEST};
  for (size_t i = 0; i < n; i++, position.sample++) thaw_random_uniform(&position, net->x + i * image, (uint32_t)image);
  return THAW_OK;
}

/* Seconds of the fastest run. */
static double measure(network *net, const cli_bench_options *options) {
  thaw_plan_run(net->plan, net->x, options->batch, net->y);
  double best = 1e30, start = thaw_seconds();
  for (int32_t run = 0; run < 3 || thaw_seconds() - start < options->seconds; run++) {
    double begin = thaw_seconds();
    thaw_plan_run(net->plan, net->x, options->batch, net->y);
    double seconds = thaw_seconds() - begin;
    if (seconds < best) best = seconds;
  }
  return best;
}

static void show_layers(cli_context *cli, network *net, const cli_bench_options *options) {
  thaw_plan_profile(net->plan, net->x, options->batch, net->y, 3);
  double all = 0;
  for (int32_t i = 0; i < thaw_plan_op_count(net->plan); i++) all += thaw_plan_op_view(net->plan, i)->seconds;
  cli_print(cli, "%-28s %-20s %-40s %8s %9s %8s %6s\n", "layer", "algorithm", "shape", "GFLOP", "ms", "GFLOP/s",
            "share");
  for (int32_t i = 0; i < thaw_plan_op_count(net->plan); i++) {
    const thaw_plan_op *op = thaw_plan_op_view(net->plan, i);
    double rate = op->seconds > 0 ? op->flops / op->seconds * 1e-9 : 0;
    cli_print(cli, "%-28s %-20s %-40s %8.3f %9.3f %8.1f %5.1f%%\n", op->name, op->algorithm, op->shape,
              op->flops * 1e-9, op->seconds * 1e3, rate, all > 0 ? 100 * op->seconds / all : 0);
  }
}

static void show_memory(cli_context *cli, const network *net) {
  char packed[32], activations[32], bound[32], scratch[32], peak[32];
  struct rusage usage = {0};
  getrusage(RUSAGE_SELF, &usage);
  cli_print(cli, "memory: packed weights %s, activations %s (lower bound %s), scratch %s, whole process at most %s\n",
            thaw_format_bytes((double)thaw_plan_packed_bytes(net->plan), packed),
            thaw_format_bytes((double)thaw_plan_activation_bytes(net->plan), activations),
            thaw_format_bytes((double)thaw_plan_lower_bound_bytes(net->plan), bound),
            thaw_format_bytes((double)thaw_plan_scratch_bytes(net->plan), scratch),
            thaw_format_bytes(1024.0 * (double)usage.ru_maxrss, peak));
}

static void show(cli_context *cli, network *net, const cli_bench_options *options, double seconds) {
  double flops = 0;
  cli_print(cli, "%s, %dx%dx%d, batch %d, %d thread%s\n", options->network, net->shape.h, net->shape.w, net->shape.c,
            options->batch, options->threads, options->threads == 1 ? "" : "s");
  if (options->layers) show_layers(cli, net, options);
  for (int32_t i = 0; i < thaw_plan_op_count(net->plan); i++) flops += thaw_plan_op_view(net->plan, i)->flops;
  show_memory(cli, net);
  double image = seconds / options->batch;
  cli_print(cli, "total %.3f GFLOP, %.2f ms per image, %.1f GFLOP/s, %.2f images/s\n", flops * 1e-9, image * 1e3,
            flops / image * 1e-9, 1 / image);
}

thaw_status cli_bench_network(cli_context *cli, const cli_bench_options *options) {
  network net = {0};
  thaw_status status = thaw_agree(cli->comm, prepare(options, &net));
  if (status == THAW_OK) show(cli, &net, options, measure(&net, options));
  clear(&net);
  return status;
}
