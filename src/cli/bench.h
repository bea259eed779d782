/* bench.h: the parts of `thaw bench`. Private to src/cli. */
#ifndef THAW_CLI_BENCH_H
#define THAW_CLI_BENCH_H

#include "cli/cli.h"
#include "thaw/kernel.h"

typedef struct cli_bench_options {
  const char *network, *cut, *unfreeze;
  int32_t size, batch, threads, slice;
  double seconds;
  bool layers; /* the table */
  const thaw_isa *isa;
} cli_bench_options;

/* [collective] The frozen forward of one network with random weights. Every rank measures, rank 0 shows its own. */
thaw_status cli_bench_network(cli_context *cli, const cli_bench_options *options) THAW_CHECKED;
/* [collective] Training a dense head, or live layers of a network and the head, from given features, all ranks
 * together. */
thaw_status cli_bench_head(cli_context *cli, const cli_bench_options *options) THAW_CHECKED;

#endif
