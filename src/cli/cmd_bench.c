/* thaw bench: how fast this machine computes frozen features and trains heads and thawed networks. */
#include "cli/bench.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char details[] =
    "Weights and images are random: the time does not depend on them. GFLOP/s are textbook operations (two per\n"
    "multiply-add of the plain algorithm) per second, so convolutions that need fewer can exceed the hardware's peak.\n"
    "A head is Dense(128, relu), Dropout(0.5), Dense(10, softmax) on 512 features, trained with Adam through the\n"
    "trainer's own step: slices, exact sums, reduction over all ranks, update. With --unfreeze, that head is trained "
    "on\n"
    "top of the network, together with the layers named; once from images, once from features as a cache holds "
    "them.\n\n"
    "examples:\n"
    "  thaw bench --network vgg16\n"
    "  taskset -c 0 thaw bench --network mobilenetv2 --batch 16 --isa avx2\n"
    "  thaw bench --head --batch 64\n"
    "  mpirun -n 2 thaw bench --reduce\n"
    "  thaw bench --network vgg16 --unfreeze block5 --batch 32\n";

/* The processor's name as Linux tells it. */
static void processor_name(char out[128]) {
  char line[256];
  snprintf(out, 128, "unknown processor");
  FILE *file = fopen("/proc/cpuinfo", "r");
  while (file && fgets(line, sizeof line, file)) {
    const char *colon = strchr(line, ':');
    if (strncmp(line, "model name", 10) != 0 || !colon) continue;
    snprintf(out, 128, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
    break;
  }
  if (file) fclose(file);
}

static void describe_machine(cli_context *cli, const thaw_isa *isa) {
  char name[128];
  processor_name(name);
  long level2 = sysconf(_SC_LEVEL2_CACHE_SIZE), level3 = sysconf(_SC_LEVEL3_CACHE_SIZE);
  cli_print(cli, "machine: %s, %ld processors, %s kernels", name, sysconf(_SC_NPROCESSORS_ONLN), thaw_isa_name(isa));
  if (level2 > 0) cli_print(cli, ", L2 %ld KiB", level2 / 1024);
  if (level3 > 0) cli_print(cli, ", L3 %ld KiB", level3 / 1024);
  cli_print(cli, "\n");
}

thaw_status cli_bench(cli_context *cli) {
  cli_bench_options bench = {.network = "vgg16", .threads = 1, .slice = 8, .seconds = 3, .layers = true};
  const char *isa = NULL;
  bool head = false, reduce = false;
  const cli_option options[] = {
      {.name = "network", .kind = CLI_TEXT, .target = &bench.network, .help = "architecture of the frozen network"},
      {.name = "architecture", .kind = CLI_TEXT, .target = &bench.network, .help = "the same as --network"},
      {.name = "cut", .kind = CLI_TEXT, .target = &bench.cut, .value = "LAYER", .help = "last layer that is computed"},
      {.name = "size",
       .kind = CLI_INT,
       .target = &bench.size,
       .low = 0,
       .high = 4096,
       .fallback = "the architecture's own",
       .help = "height and width of the images"},
      {.name = "batch",
       .kind = CLI_INT,
       .target = &bench.batch,
       .low = 0,
       .high = 65536,
       .fallback = "16, for a head 64, with --unfreeze 32",
       .help = "images in flight, or the global batch of training"},
      {.name = "threads",
       .kind = CLI_INT,
       .target = &bench.threads,
       .low = 1,
       .high = 1024,
       .help = "threads per rank"},
      {.name = "isa",
       .kind = CLI_TEXT,
       .target = &isa,
       .value = "NAME",
       .fallback = "the best of this processor",
       .help = "avx2 or avx512"},
      {.name = "seconds",
       .kind = CLI_FLOAT,
       .target = &bench.seconds,
       .low = 0.01,
       .high = 3600,
       .help = "measure at least this long; the best run counts"},
      {.name = "layers", .kind = CLI_FLAG, .target = &bench.layers, .help = "show every operation of the network"},
      {.name = "head", .kind = CLI_FLAG, .target = &head, .help = "train a dense head from given features instead"},
      {.name = "reduce",
       .kind = CLI_FLAG,
       .target = &reduce,
       .help = "measure the exact sum of gradients over all ranks beside a sum of floats"},
      {.name = "unfreeze",
       .kind = CLI_TEXT,
       .target = &bench.unfreeze,
       .value = "LAYERS",
       .help = "train with these layers live: names or prefixes with commas between them, all, none"},
      {.name = "slice",
       .kind = CLI_INT,
       .target = &bench.slice,
       .low = 1,
       .high = 65536,
       .help = "samples per slice of a training batch"},
      {.name = "recompute",
       .kind = CLI_FLAG,
       .target = &bench.recompute,
       .help = "compute activations again in the backward pass instead of keeping them"},
  };
  const cli_usage usage = {.summary = "Measures the frozen forward pass of a network, or training.",
                           .details = details,
                           .options = options,
                           .count = sizeof options / sizeof *options,
                           .quiet_output = true};
  THAW_TRY(cli_parse(cli, &usage));
  if (cli->done) return THAW_OK;
  THAW_TRY(thaw_agree(cli->comm, thaw_isa_select(isa, &bench.isa)));
  if (bench.batch == 0) bench.batch = head ? 64 : bench.unfreeze ? 32 : 16;
  if (head && bench.unfreeze) return thaw_fail(THAW_ERR_USAGE, "--head and --unfreeze exclude each other");
  describe_machine(cli, bench.isa);
  if (reduce) return cli_bench_reduce(cli, &bench);
  if (bench.unfreeze) return cli_bench_train(cli, &bench);
  return head ? cli_bench_head(cli, &bench) : cli_bench_network(cli, &bench);
}
