/* bench.h: the parts of `thaw bench`. Private to src/cli. */
#ifndef THAW_CLI_BENCH_H
#define THAW_CLI_BENCH_H

#include "cli/cli.h"
#include "thaw/comm.h"
#include "thaw/graph.h"
#include "thaw/loader.h"
#include "thaw/loss.h"
#include "thaw/optim.h"

typedef struct cli_bench_options {
  const char *network, *cut;
  const char *unfreeze; /* words with commas between them, or NULL */
  int32_t size, batch, threads, slice;
  double seconds;
  bool layers; /* the table */
  bool recompute;
  const thaw_isa *isa;
} cli_bench_options;

/* [collective] The frozen forward of one network with random weights. Every rank measures, rank 0 shows its own. */
thaw_status cli_bench_network(cli_context *cli, const cli_bench_options *options) THAW_CHECKED;
/* [collective] Training a dense head from given features, all ranks together. */
thaw_status cli_bench_head(cli_context *cli, const cli_bench_options *options) THAW_CHECKED;
/* [collective] Training a network with thawed layers and a dense head, all ranks together, from images and from
 * features. */
thaw_status cli_bench_train(cli_context *cli, const cli_bench_options *options) THAW_CHECKED;

/* Where a step's time goes. */
typedef enum cli_bench_stage {
  CLI_BENCH_FEATURES,
  CLI_BENCH_FORWARD,
  CLI_BENCH_BACKWARD, /* with the rounding of gradients */
  CLI_BENCH_REDUCE,
  CLI_BENCH_UPDATE,
  CLI_BENCH_STAGES
} cli_bench_stage;

/* Everything that training steps need. The owner sets comm and graph (owned from then on, its live layers marked)
 * before create. */
typedef struct cli_bench_step {
  thaw_comm *comm;
  thaw_arena *arena;
  thaw_graph *graph;
  thaw_cut cut;
  thaw_live *live;
  thaw_exact *exact;
  thaw_epoch epoch;
  thaw_step_share share;
  size_t classes;
  int32_t *piece_start;                     /* slices of one call of the live part */
  float *features, *labels, *dy, *gradient; /* of one rank's share */
  float *(*slot)[THAW_MAX_SLOTS];           /* [tensor] */
  double *value;
  const thaw_loss_ops *loss;
  const thaw_optim_ops *optimizer;
  void *loss_config, *optimizer_config;
  int64_t steps;
  double seconds[CLI_BENCH_STAGES]; /* of the last step */
} cli_bench_step;
/* Fills features and labels for the samples of the step's share. */
typedef void (*cli_bench_fetch)(void *context, cli_bench_step *step);

/* [local] */
thaw_status cli_bench_step_create(cli_bench_step *step, const cli_bench_options *options, int64_t samples) THAW_CHECKED;
void cli_bench_step_clear(cli_bench_step *step);
/* [collective] Global step `index` of the epoch in step->epoch. */
thaw_status cli_bench_step_run(cli_bench_step *step, int64_t index, cli_bench_fetch fetch, void *context) THAW_CHECKED;

/* [collective] The exact reduction against a plain sum of floats. */
thaw_status cli_bench_reduce(cli_context *cli, const cli_bench_options *options) THAW_CHECKED;

#endif
