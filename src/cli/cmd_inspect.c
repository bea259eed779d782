/* thaw inspect: what a file holds, by its kind. */
#include "cli/cli.h"
#include "cli/inspect.h"
#include "thaw/file.h"
#include "thaw/weights.h"

static const char details[] = "FILE is a catalogue (catalog.yaml, or a folder with one), an HDF5 file of images,\n"
                              "or a Keras weight or model file.\n\n"
                              "examples:\n"
                              "  thaw inspect shards/train/catalog.yaml --sheet train.png\n"
                              "  thaw inspect shards/train/train-00000.h5\n"
                              "  thaw inspect vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5\n";

thaw_status cli_inspect(cli_context *cli) {
  cli_inspect_options inspect = {.digest = true};
  const cli_option options[] = {
      {.name = "sheet",
       .kind = CLI_TEXT,
       .target = &inspect.sheet,
       .value = "FILE.png",
       .help = "write samples of a data set into one picture, a row per class"},
      {.name = "digest",
       .kind = CLI_FLAG,
       .target = &inspect.digest,
       .help = "do not read everything to compare digests"},
  };
  const cli_usage usage = {.positional = "FILE",
                           .summary = "Shows what a file holds.",
                           .details = details,
                           .min = 1,
                           .max = 1,
                           .options = options,
                           .count = sizeof options / sizeof *options,
                           .quiet_output = true};
  THAW_TRY(cli_parse(cli, &usage));
  if (cli->done) return THAW_OK;
  const char *path = cli->argument[0];
  if (!thaw_file_exists(path)) return thaw_fail(THAW_ERR_DATA, "%s: no such file", path);
  if (cli_is_data(path)) return cli_inspect_data(cli, path, &inspect);
  if (thaw_weights_recognize(path)) return cli_inspect_weights(cli, path);
  return thaw_fail(THAW_ERR_DATA, "%s: neither a catalogue, nor an HDF5 file of images, nor a Keras weight file", path);
}
